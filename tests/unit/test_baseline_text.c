/* The bag of words: that it learns what it should, repeats, refuses; and what it reaches on SST. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/baselines.h"

static rc__text text_of(const char *s) { return (rc__text){s, strlen(s)}; }

static int32_t best(const rc__ngram *m, const char *s, size_t C) {
    double p[8], sum = 0;
    int32_t at = 0;
    rc__ngram_predict(m, text_of(s), p);
    for (size_t c = 0; c < C; c++) {
        sum += p[c];
        if (p[c] > p[at]) at = (int32_t)c;
    }
    assert_true(fabs(sum - 1) < 1e-12);
    return at;
}

/* Order matters and only a pair shows it; case does not; punctuation is a word. */
static void pairs_case_and_marks(void **state) {
    (void)state;
    const char *const words[] = {"dog bites man", "man bites dog", "why ?", "why !", "caf\xc3\xa9 ol\xc3\xa9"};
    const int32_t label[] = {0, 1, 2, 3, 4};
    rc__text text[5];
    rc__ngram_options o = rc__ngram_options_default();
    rc__ngram *m;
    for (size_t i = 0; i < 5; i++) text[i] = text_of(words[i]);
    o.epochs = 200;
    assert_int_equal(rc__ngram_train(5, text, label, 5, &o, &m, NULL), RC_OK);
    for (size_t i = 0; i < 5; i++) assert_int_equal(best(m, words[i], 5), label[i]);
    assert_int_equal(best(m, "  MAN\tBites DOG\n", 5), 1);
    assert_int_equal(best(m, "why?", 5), 2); /* two words, written together */
    rc__ngram_free(m);
    o.pairs = false;
    assert_int_equal(rc__ngram_train(5, text, label, 5, &o, &m, NULL), RC_OK);
    double p[5], q[5];
    rc__ngram_predict(m, text[0], p);
    rc__ngram_predict(m, text[1], q);
    assert_true(fabs(p[0] - q[0]) < 1e-12);
    rc__ngram_free(m);
}

/* One step from zero, by hand: text "a", class 0 of 2: p = .5 each, features bias and "a" of weight 1 / sqrt(2), so
 * each gets lr .5 / sqrt(2); then logits of "a" are +- 2 * lr * .5 / 2. */
static void one_step_by_hand(void **state) {
    (void)state;
    const rc__text a = text_of("a"), empty = text_of("");
    const int32_t label[] = {0};
    rc__ngram_options o = {10, 1, .8, true, 1};
    rc__ngram *m;
    double p[2];
    assert_int_equal(rc__ngram_train(1, &a, label, 2, &o, &m, NULL), RC_OK);
    rc__ngram_predict(m, a, p);
    assert_true(fabs(log(p[0] / p[1]) - 2 * .4) < 1e-12);
    rc__ngram_predict(m, empty, p); /* the bias alone, of weight 1 */
    assert_true(fabs(log(p[0] / p[1]) - 2 * .4 / sqrt(2)) < 1e-12);
    rc__ngram_predict(m, text_of("b"), p); /* not seen: bias, of weight 1 / sqrt(2) */
    assert_true(fabs(log(p[0] / p[1]) - .4) < 1e-12);
    rc__ngram_free(m);
}

static void refusals(void **state) {
    (void)state;
    const rc__text text[] = {{"a", 1}, {"b", 1}};
    const int32_t label[] = {0, 2}, none[] = {-1, -1};
    rc__ngram_options o = rc__ngram_options_default();
    rc__ngram *m;
    rc_error e;
    assert_int_equal(rc__ngram_train(2, text, label, 2, NULL, &m, &e), RC_EINVAL);
    assert_string_equal(e.text, "text 1: label 2, expected 0 to 1");
    assert_null(m);
    assert_int_equal(rc__ngram_train(2, text, none, 2, NULL, &m, &e), RC_EDATA);
    assert_int_equal(rc__ngram_train(0, NULL, NULL, 2, NULL, &m, &e), RC_EDATA);
    o.bits = 25;
    assert_int_equal(rc__ngram_train(2, text, label, 3, &o, &m, &e), RC_EINVAL);
    o = rc__ngram_options_default();
    o.lr = NAN;
    assert_int_equal(rc__ngram_train(2, text, label, 3, &o, &m, &e), RC_EINVAL);
    assert_int_equal(rc__ngram_train(2, text, label, 0, NULL, &m, &e), RC_EINVAL);
}

typedef struct lines {
    size_t n;
    char *all;
    rc__text text[8000];
    int32_t label[8000];
} lines;

static void read_sst(const char *data, const char *name, lines *l) {
    char path[500];
    snprintf(path, sizeof path, "%s/sst/%s", data, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    l->all = malloc(1 << 21);
    size_t len = fread(l->all, 1, (1 << 21) - 1, f);
    fclose(f);
    l->all[len] = '\0';
    l->n = 0;
    for (char *p = l->all, *end; *p && l->n < 8000; p = end + 1) {
        end = strchr(p, '\n');
        assert_non_null(end);
        l->label[l->n] = *p - '0';
        l->text[l->n++] = (rc__text){p + 2, (size_t)(end - p) - 2};
    }
}

/* The 6,920 sentences alone, no phrases: it reaches .798. */
static void sst_sentences(void **state) {
    (void)state;
    const char *data = getenv("RECUR_DATA");
    if (!data || !*data) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    static lines train, test;
    double p[2][2];
    read_sst(data, "stsa.binary.train", &train);
    read_sst(data, "stsa.binary.test", &test);
    assert_true(train.n == 6920 && test.n == 1821);
    rc__ngram *m[2];
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(rc__ngram_train(train.n, train.text, train.label, 2, NULL, &m[k], NULL), RC_OK);
    }
    size_t right = 0;
    for (size_t i = 0; i < test.n; i++) {
        for (size_t k = 0; k < 2; k++) rc__ngram_predict(m[k], test.text[i], p[k]);
        assert_memory_equal(p[0], p[1], sizeof p[0]); /* the same seed, the same bits */
        right += (p[0][1] > p[0][0]) == (test.label[i] == 1);
    }
    print_message("SST-2 test: %.4f\n", (double)right / (double)test.n);
    assert_true(right > test.n * 78 / 100);
    for (size_t k = 0; k < 2; k++) rc__ngram_free(m[k]);
    free(train.all);
    free(test.all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_case_and_marks),
        cmocka_unit_test(one_step_by_hand),
        cmocka_unit_test(refusals),
        cmocka_unit_test(sst_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
