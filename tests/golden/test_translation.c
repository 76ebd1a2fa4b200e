/* BLEU, chrF and ROUGE against sacrebleu and rouge-score: translation.json is made by make_translation.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "metrics/translation.h"
#include "recur/text.h"

static json_t *golden;

static int read_golden(void **state) {
    (void)state;
    char path[600];
    const char *dir = getenv("RECUR_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/translation.json", dir ? dir : "tests");
    golden = json_load_file(path, 0, NULL);
    return golden ? 0 : -1;
}

static int free_golden(void **state) {
    (void)state;
    json_decref(golden);
    return 0;
}

static rc__cell cell(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return (rc__cell){json_string_value(v), json_string_length(v)};
}

/* To the last digit but one: the same steps in the same order, and a last bit for the C library's exp and log. */
static void same(double got, const json_t *want, const char *what, const rc__cell *pair) {
    double w = json_number_value(want);
    if (fabs(got - w) <= 4e-16 * fabs(w)) return;
    fail_msg("%s: %.17g, expected %.17g: \"%.*s\" of \"%.*s\"", what, got, w, pair ? (int)pair[0].len : 0,
             pair ? pair[0].text : "", pair ? (int)pair[1].len : 0, pair ? pair[1].text : "");
}

static void check(const rc__cell *h, const rc__cell *r, size_t n, const json_t *want, const rc__cell *pair) {
    rc_error e;
    for (size_t c = 0; c < 8; c++) {
        rc__bleu b;
        char what[64];
        const json_t *w = json_array_get(json_object_get(want, "bleu"), c);
        assert_int_equal(rc__bleu_corpus(h, r, n, (rc__bleu_tokenizer)(c / 2), c % 2, &b, &e), RC_OK);
        snprintf(what, sizeof what, "bleu %s %zu", rc__bleu_tokenizers[c / 2], c % 2);
        const double got[12] = {b.score, b.brevity, (double)b.hypothesis_len, (double)b.reference_len};
        for (size_t i = 2; i < 4; i++) same(got[i], json_array_get(w, i), what, pair);
        for (size_t i = 0; i < 4; i++) same((double)b.matches[i], json_array_get(w, 4 + i), what, pair);
        for (size_t i = 0; i < 4; i++) same((double)b.totals[i], json_array_get(w, 8 + i), what, pair);
        for (size_t i = 0; i < 2; i++) same(got[i], json_array_get(w, i), what, pair);
    }
    for (size_t c = 0; c < 4; c++) {
        double f;
        char signature[128];
        assert_int_equal(rc__chrf_corpus(h, r, n, c / 2 ? 2 : 0, c % 2, &f, signature, &e), RC_OK);
        same(f, json_array_get(json_object_get(want, "chrf"), c), "chrf", pair);
    }
}

static void bleu_and_chrf_of_pairs(void **state) {
    (void)state;
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(golden, "pairs"), i, p) {
        rc__cell pair[2] = {cell(p, "hypothesis"), cell(p, "reference")};
        check(&pair[0], &pair[1], 1, p, pair);
    }
    assert_true(i > 250);
}

static void bleu_and_chrf_of_all(void **state) {
    (void)state;
    json_t *pairs = json_object_get(golden, "pairs"), *p;
    size_t n = json_array_size(pairs), i;
    rc__cell *h = calloc(n, sizeof *h), *r = calloc(n, sizeof *r);
    json_array_foreach(pairs, i, p) {
        h[i] = cell(p, "hypothesis");
        r[i] = cell(p, "reference");
    }
    check(h, r, n, json_object_get(golden, "corpus"), NULL);
    free(h);
    free(r);
}

static void rouge_of_pairs(void **state) {
    (void)state;
    size_t i;
    json_t *p;
    rc_error e;
    json_array_foreach(json_object_get(golden, "pairs"), i, p) {
        rc__cell pair[2] = {cell(p, "hypothesis"), cell(p, "reference")};
        for (size_t c = 0; c < 2; c++) {
            rc__rouge x[RC__ROUGES];
            const json_t *w = json_array_get(json_object_get(p, "rouge"), c);
            assert_int_equal(rc__rouge_score(pair[0], pair[1], c, x, &e), RC_OK);
            for (size_t k = 0; k < RC__ROUGES; k++) {
                static const char *const names[] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};
                same(x[k].precision, json_array_get(w, 3 * k), names[k], pair);
                same(x[k].recall, json_array_get(w, 3 * k + 1), names[k], pair);
                same(x[k].f, json_array_get(w, 3 * k + 2), names[k], pair);
            }
        }
    }
}

static void stems(void **state) {
    (void)state;
    const char *word;
    json_t *stem;
    size_t n = 0;
    json_object_foreach(json_object_get(golden, "stems"), word, stem) {
        char w[64];
        snprintf(w, sizeof w, "%s", word);
        size_t len = rc__porter_stem(w, strlen(word));
        if (len != json_string_length(stem) || memcmp(w, json_string_value(stem), len) != 0)
            fail_msg("the stem of %s is %s, not %.*s", word, json_string_value(stem), (int)len, w);
        n++;
    }
    assert_true(n > 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bleu_and_chrf_of_pairs),
        cmocka_unit_test(bleu_and_chrf_of_all),
        cmocka_unit_test(rouge_of_pairs),
        cmocka_unit_test(stems),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
