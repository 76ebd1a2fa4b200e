/* Measures and baselines while allocation number n is refused, for every n: RC_ENOMEM with a message, and nothing
 * lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>

#include "failing.h"
#include "metrics/anomaly.h"
#include "metrics/forecast.h"
#include "metrics/spans.h"
#include "tasks/baselines.h"
#include "tasks/ridge.h"

static const char *const names[] = {"O", "B-X", "I-X", "B-Y", "I-Y"};
static const double x[] = {1, 4, 2, 3, 1, 4, 2, 3, 1, 4, 2, 3, 1, 4, 2, 3, 1, 4, 2, 3, 1, 4, 2, 3, 1, 4};

static rc_status spans(rc_error *e) {
    rc__tagset *t = NULL, *to = NULL;
    rc__span_counts *c = NULL;
    int32_t tags[] = {2, 1, 2, 4, 0};
    size_t changed;
    uint8_t allowed[36];
    rc_status s = rc__tagset_new(names, 5, &t, e);
    if (s == RC_OK) s = rc__tagset_convert(t, RC_TAGS_IOBES, &to, e);
    if (s == RC_OK) s = rc__span_counts_new(t, RC_SPANS_CONLLEVAL, RC_TAGS_IOB2, &c, e);
    if (s == RC_OK) s = rc__span_counts_add(c, tags, tags, 5, e);
    if (s == RC_OK) s = rc__tags_repair(t, RC_TAGS_IOB2, RC_REPAIR_BEGIN, tags, 5, &changed, e);
    if (s == RC_OK) s = rc__tags_allowed(names, 5, RC_TAGS_IOB2, allowed, e);
    rc__span_counts_free(c);
    rc__tagset_free(to);
    rc__tagset_free(t);
    return s;
}

static rc_status measures(rc_error *e) {
    const uint8_t flag[] = {0, 1};
    const int32_t truth[] = {0};
    const rc__range window = {10, 12};
    const rc__nab_series series = {26, 1, x, &window};
    rc__multilabel_scores m;
    rc__nab_result r;
    double out, f[3];
    rc_status s = rc__multilabel(1, 2, flag, flag, &m, NULL, e);
    if (s == RC_OK) s = rc__calibration_error(1, 2, x, truth, 5, &out, e);
    if (s == RC_OK) s = rc__naive2(26, x, 4, 3, f, e);
    if (s == RC_OK) s = rc__crps_samples(1, 4, x, x, &out, e);
    if (s == RC_OK) s = rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, e);
    return s;
}

static rc_status baselines(rc_error *e) {
    const rc__steps series[] = {{x, 26}, {x, 12}};
    const rc__text text[] = {{"one two", 7}, {"three", 5}};
    const int32_t label[] = {0, 1};
    rc__ngram_options o = rc__ngram_options_default();
    rc__ridge *r = NULL;
    rc__ngram *m = NULL;
    size_t nearest[2];
    double score[26];
    o.bits = 6;
    rc_status s = rc__ridge_new(&r, 4, 2, e);
    if (s == RC_OK) s = rc__ngram_train(2, text, label, 2, &o, &m, e);
    if (s == RC_OK) s = rc__nearest(RC_NEAR_DTW, 1, 2, series, 2, series, nearest, NULL, e);
    if (s == RC_OK) s = rc__windowed_gaussian(26, x, 5, 2, score, e);
    rc__ngram_free(m);
    rc__ridge_free(r);
    return s;
}

static void refuse_each(rc_status (*f)(rc_error *e)) {
    size_t before = rc_memory_used();
    for (int once = 0; once < 2; once++) {
        for (long n = 0;; n++) {
            failing fail = {.left = n, .once = once};
            rc_error e = {0};
            rc_set_allocator(failing_alloc, &fail);
            rc_status s = f(&e);
            rc_set_allocator(NULL, NULL);
            assert_int_equal(rc_memory_used(), before);
            if (fail.calls <= n) {
                assert_int_equal(s, RC_OK);
                assert_true(n > 3);
                break;
            }
            assert_int_equal(s, RC_ENOMEM);
            assert_true(e.text[0] != 0);
        }
    }
}

static void memory_is_refused(void **state) {
    (void)state;
    assert_int_equal(measures(NULL), RC_OK);
    refuse_each(spans);
    refuse_each(measures);
    refuse_each(baselines);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
