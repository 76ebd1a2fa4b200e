/* The windowed Gaussian against a plain reading, and on NAB's series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "nab_helper.h"
#include "tasks/baselines.h"

/* NAB's class, record by record: a window, a buffer of `step`, mean and deviation anew whenever the window changed. */
static void plain_gaussian(size_t n, const double *x, size_t window, size_t step, double *score) {
    double data[64], buffer[64];
    size_t have = 0, waiting = 0;
    double mean = 0, deviation = 1;
    for (size_t i = 0; i < n; i++) {
        score[i] = 0;
        if (isnan(x[i])) continue;
        if (have > 0) score[i] = 1 - .5 * erfc(fabs(x[i] - mean) / deviation / sqrt(2));
        bool changed = false;
        if (have < window) {
            data[have++] = x[i];
            changed = true;
        } else {
            buffer[waiting++] = x[i];
            if (waiting == step) {
                memmove(data, data + step, (window - step) * sizeof *data);
                memcpy(data + window - step, buffer, step * sizeof *data);
                waiting = 0;
                changed = true;
            }
        }
        if (!changed) continue;
        double sum = 0, squares = 0;
        for (size_t k = 0; k < have; k++) sum += data[k];
        mean = sum / (double)have;
        for (size_t k = 0; k < have; k++) squares += (data[k] - mean) * (data[k] - mean);
        deviation = sqrt(squares / (double)have);
        if (deviation == 0) deviation = .000001;
    }
}

static void as_read_plainly(void **state) {
    (void)state;
    double x[300], want[300], got[300];
    rc_rng rng = rc_rng_make(4, 0);
    for (size_t i = 0; i < 300; i++) x[i] = rc_rng_below(&rng, 12) ? rc_rng_normal(&rng) : NAN;
    const size_t sizes[][2] = {{40, 7}, {40, 1}, {40, 40}, {1, 1}};
    for (size_t k = 0; k < 4; k++) {
        plain_gaussian(300, x, sizes[k][0], sizes[k][1], want);
        assert_int_equal(rc__windowed_gaussian(300, x, sizes[k][0], sizes[k][1], got, NULL), RC_OK);
        for (size_t i = 0; i < 300; i++) assert_true(fabs(got[i] - want[i]) < 1e-9);
    }
}

static void corners(void **state) {
    (void)state;
    const double x[] = {2, 2, NAN, 2, 3};
    double score[5];
    assert_int_equal(rc__windowed_gaussian(5, x, 6400, 100, score, NULL), RC_OK);
    assert_true(score[0] == 0 && score[1] == .5 && score[2] == 0 && score[3] == .5 && score[4] == 1);
    assert_int_equal(rc__windowed_gaussian(0, x, 6400, 100, score, NULL), RC_OK);
    assert_int_equal(rc__windowed_gaussian(5, x, 0, 100, score, NULL), RC_EINVAL);
    assert_int_equal(rc__windowed_gaussian(5, x, 1, 0, score, NULL), RC_EINVAL);
    rc__null_detector(5, score);
    assert_true(score[0] == .5 && score[4] == .5);
}

/* On all 58 series NAB publishes 39.6 (standard), 20.9 (low FP), 47.4 (low FN); here are 23 of them. */
static void on_nab(void **state) {
    (void)state;
    static nab_corpus c;
    if (!nab_open(&c)) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    static double score[NAB_SERIES][30000];
    rc__nab_series series[NAB_SERIES];
    rc__nab_result r[RC_NAB_PROFILES];
    for (size_t k = 0; k < c.n; k++) {
        assert_int_equal(rc__windowed_gaussian(c.file[k].rows, c.file[k].value, 6400, 100, score[k], NULL), RC_OK);
        series[k] = (rc__nab_series){c.file[k].rows, c.file[k].windows, score[k], c.file[k].window};
    }
    for (size_t p = 0; p < RC_NAB_PROFILES; p++) {
        assert_int_equal(rc__nab_score(&rc__nab_profiles[p], c.n, series, NULL, &r[p], NULL), RC_OK);
        print_message("%s: %.2f at %.10g, %zu of %zu windows\n", rc__nab_profiles[p].name, r[p].normalised,
                      r[p].threshold, r[p].found, r[p].windows);
    }
    assert_true(r[0].normalised > 20 && r[0].normalised < 70);
    assert_true(r[1].normalised < r[0].normalised && r[0].normalised < r[2].normalised);
    nab_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_read_plainly),
        cmocka_unit_test(corners),
        cmocka_unit_test(on_nab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
