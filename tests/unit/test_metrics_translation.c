/* Variety and exact match by hand; signatures; texts that are no UTF-8, of one line with 100,000 words; refused memory. The
 * scores themselves: tests/golden/test_translation.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "metrics/translation.h"
#include "failing.h"

static rc__cell of(const char *s) { return (rc__cell){s, strlen(s)}; }

static void variety_by_hand(void **state) {
    (void)state;
    const rc__cell texts[] = {of("a b a b a b"), of("a b"), of(""), of(" a b "), of("c")};
    rc__variety v;
    rc_error e;
    assert_int_equal(rc__variety_of(texts, 5, &v, &e), RC_OK);
    assert_true(fabs(v.distinct_1 - 3. / 11) < 1e-15);   /* a b c of 11 words */
    assert_true(fabs(v.distinct_2 - 2. / 7) < 1e-15);    /* "a b", "b a"; none across texts */
    assert_true(fabs(v.repetition - 1. / 3) < 1e-15);    /* abab baba abab */
    assert_true(fabs(v.most_frequent - 2. / 5) < 1e-15); /* "a b", blanks around or not */
    assert_int_equal(rc__variety_of(NULL, 0, &v, &e), RC_OK);
    assert_true(v.distinct_1 == 0 && v.most_frequent == 0);
}

static void exact_match_by_hand(void **state) {
    (void)state;
    const rc__cell h[] = {of("a b"), of(" a b\n"), of("a  b"), of("")},
                   r[] = {of("a b"), of("a b"), of("a b"), of(" ")};
    assert_true(rc__exact_match(h, r, 4) == 0.75);
    assert_true(rc__exact_match(h, r, 0) == 0);
}

static void signatures(void **state) {
    (void)state;
    const rc__cell t = of("one two three four");
    rc__bleu b;
    double f;
    char s[128];
    rc_error e;
    assert_int_equal(rc__bleu_corpus(&t, &t, 1, RC__BLEU_13A, true, &b, &e), RC_OK);
    assert_string_equal(b.signature, "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:recur-" RC_VERSION);
    assert_true(fabs(b.score - 100) < 1e-12);
    assert_int_equal(rc__chrf_corpus(&t, &t, 1, 2, false, &f, s, &e), RC_OK);
    assert_string_equal(s, "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:recur-" RC_VERSION);
    assert_int_equal(rc__bleu_corpus(NULL, NULL, 0, RC__BLEU_NONE, false, &b, &e), RC_OK);
    assert_true(b.score == 0 && b.brevity == 1);
}

static void odd_texts(void **state) {
    (void)state;
    enum { N = 100000 };
    char *many = malloc(2 * N + 1);
    for (size_t i = 0; i < N; i++) memcpy(many + 2 * i, i % 3 ? "a " : "b ", 2);
    const rc__cell texts[] = {{many, 2 * N}, {"\xff\xfe a\xc3", 5}, {"\0a\0", 3}};
    const rc__cell refs[] = {of("a b a"), of("a"), of("a")};
    rc__bleu b;
    double f;
    char s[128];
    rc__rouge x[RC__ROUGES];
    rc__variety v;
    rc_error e;
    for (int t = 0; t < 4; t++)
        assert_int_equal(rc__bleu_corpus(texts, refs, 3, (rc__bleu_tokenizer)t, true, &b, &e), RC_OK);
    assert_int_equal(rc__chrf_corpus(texts, refs, 3, 2, true, &f, s, &e), RC_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(rc__rouge_score(texts[i], refs[i], true, x, &e), RC_OK);
    assert_int_equal(rc__variety_of(texts, 3, &v, &e), RC_OK);
    assert_int_equal(rc__rouge_score(texts[0], texts[0], false, x, &e), RC_EDATA); /* 10^10 cells */
    free(many);
}

static void refused_memory(void **state) {
    (void)state;
    const rc__cell h[] = {of("a b c d, e\nf g running"), of("x")}, r[] = {of("a b c d e\nf h run ΟΣ"), of("y")};
    for (int kind = 0; kind < 4; kind++) {
        long refused = 0;
        for (long n = 0;; n++) {
            rc__bleu b;
            double f;
            char sig[128];
            rc__rouge x[RC__ROUGES];
            rc__variety v;
            rc_error e;
            failing fail = {.left = n};
            size_t before = rc_memory_used();
            rc_set_allocator(failing_alloc, &fail);
            rc_status s = kind == 0   ? rc__bleu_corpus(h, r, 2, RC__BLEU_13A, true, &b, &e)
                          : kind == 1 ? rc__chrf_corpus(h, r, 2, 2, true, &f, sig, &e)
                          : kind == 2 ? rc__rouge_score(h[0], r[0], true, x, &e)
                                      : rc__variety_of(h, 2, &v, &e);
            rc_set_allocator(NULL, NULL);
            assert_int_equal(rc_memory_used(), before);
            if (s == RC_OK) break;
            assert_int_equal(s, RC_ENOMEM);
            refused++;
        }
        assert_true(refused >= 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variety_by_hand), cmocka_unit_test(exact_match_by_hand), cmocka_unit_test(signatures),
        cmocka_unit_test(odd_texts),       cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
