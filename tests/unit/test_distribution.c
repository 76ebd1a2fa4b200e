/* Draws: their distribution is the one that the likelihood states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "autograd/likelihood.h"
#include "decode/distribution.h"

enum { DRAWS = 100000 };

static float raw_of(double softplus) { return (float)log(expm1(softplus)); }

/* Mean and variance, within five standard errors (four moments of the draws themselves). */
static void check_moments(const char *what, const double *x, double mean, double variance) {
    double m = 0, v = 0, f = 0;
    for (int i = 0; i < DRAWS; i++) m += x[i] / DRAWS;
    for (int i = 0; i < DRAWS; i++) v += (x[i] - mean) * (x[i] - mean) / DRAWS;
    for (int i = 0; i < DRAWS; i++) f += pow((x[i] - mean) * (x[i] - mean) - v, 2) / DRAWS;
    if (!(fabs(m - mean) <= 5 * sqrt(v / DRAWS))) fail_msg("%s: mean %g, expected %g", what, m, mean);
    if (!(fabs(v - variance) <= 5 * sqrt(f / DRAWS))) fail_msg("%s: variance %g, expected %g", what, v, variance);
}

static double x[DRAWS];

/* Counts of draws in bins against the likelihood itself: chi-square, whose mean is its degrees of freedom, within six
 * of its standard deviations. */
static void check_counts(const char *what, const float *params, float scale) {
    enum { BINS = 4000 };
    static int seen[BINS];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < DRAWS; i++) seen[x[i] < BINS - 1 ? (int)x[i] : BINS - 1]++;
    rc_tape *t;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    double chi = 0, expected = 0, had = 0, bins = 0, left = 1;
    for (int k = 0; k < BINS - 1; k++) {
        float y = (float)k;
        rc_tape_begin(t, (rc_tape_mode){0});
        double p =
            exp(-(double)rc_negative_binomial_nll(t, rc_input(t, 1, (size_t[]){2}, params), &y, &scale, NULL)->x[0]);
        expected += DRAWS * p, had += seen[k], left -= p;
        if (expected < 20) continue; /* bins are joined until they are worth a test */
        chi += (had - expected) * (had - expected) / expected;
        bins++, expected = had = 0;
    }
    rc_tape_free(t);
    if (!(bins > 1 && fabs(left) < 1e-3)) fail_msg("%s: %g bins, %g of the probability left", what, bins, left);
    if (!(chi < bins + 6 * sqrt(2 * bins))) fail_msg("%s: chi-square %g of %g bins", what, chi, bins);
}

static void test_gaussian(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(1, 0);
    float p[2] = {-3, raw_of(2.5)};
    for (int i = 0; i < DRAWS; i++) x[i] = rc__draw_gaussian(p, &r);
    check_moments("gaussian", x, -3, 2.5001 * 2.5001);
    assert_true(rc__mean_gaussian(p) == -3);
}

static int by_value(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

static void test_student_t(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(2, 0);
    float p[3] = {1, raw_of(2), raw_of(8)};
    for (int i = 0; i < DRAWS; i++) x[i] = rc__draw_student_t(p, &r);
    check_moments("t of 10", x, 1, 2.0001 * 2.0001 * 10 / 8);
    float close[3] = {0, raw_of(1), -40}; /* two degrees of freedom: F(t) = 1/2 + t / (2 sqrt(2 + t^2)) */
    for (int i = 0; i < DRAWS; i++) x[i] = rc__draw_student_t(close, &r);
    qsort(x, DRAWS, sizeof *x, by_value);
    double worst = 0;
    for (int i = 0; i < DRAWS; i++)
        worst = fmax(worst, fabs(0.5 + x[i] / (2 * sqrt(2 + x[i] * x[i])) - (i + 0.5) / DRAWS));
    if (!(worst < 1.95 / sqrt(DRAWS))) fail_msg("t of 2: Kolmogorov's distance is %g", worst); /* 0.1 % */
}

static void test_negative_binomial(void **state) {
    (void)state;
    static const struct {
        double mean, alpha;
        float scale;
    } cases[] = {
        {0.3, 0.5, 1}, {4, 3, 1}, {4, 0.01, 1}, {40, 0.02, 1}, {2, 0.3, 9}, {700, 1e-4, 1}, {1e-3, 20, 1},
    };
    rc_rng r = rc_rng_make(3, 0);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float p[2] = {raw_of(cases[c].mean), raw_of(cases[c].alpha)};
        rc__count_params q = rc__negative_binomial_of(p, (double)cases[c].scale);
        double mean = cases[c].mean * (double)cases[c].scale;
        assert_true(fabs(q.mean - mean) < 1e-4 * mean + 1e-4);
        assert_true(rc__mean_negative_binomial(p, (double)cases[c].scale) == q.mean);
        for (int i = 0; i < DRAWS; i++) {
            x[i] = rc__draw_negative_binomial(p, (double)cases[c].scale, &r);
            assert_true(x[i] >= 0 && x[i] == floor(x[i]));
        }
        char what[40];
        snprintf(what, sizeof what, "negative binomial %zu", c);
        check_moments(what, x, q.mean, q.mean + q.alpha * q.mean * q.mean);
        if (c != 6) check_counts(what, p, cases[c].scale);
    }
}

/* The same seed gives the same draws; what is not finite ends, with NaN. */
static void test_odd(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0};
    rc_rng r = rc_rng_make(4, 0), again = r;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
            for (int c = 0; c < 6; c++) {
                float p[3] = {odd[a], odd[b], odd[c]};
                double one = rc__draw_student_t(p, &r), two = rc__draw_student_t(p, &again);
                assert_true(one == two || (isnan(one) && isnan(two)));
                assert_true(!isnan(rc__draw_negative_binomial(p, 1, &r)) || isnan(p[0]) || isnan(p[1]) || a == 1 ||
                            b == 1);
                again = r;
                if (isnan(p[0]) || isnan(p[1])) assert_true(isnan(rc__draw_gaussian(p, &r)));
                again = r;
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gaussian), cmocka_unit_test(test_student_t),
                                       cmocka_unit_test(test_negative_binomial), cmocka_unit_test(test_odd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
