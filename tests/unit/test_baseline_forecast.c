/* Naive forecasts by hand; the linear autoregression against its normal equations, and on ETTh1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/parallel.h"
#include "metrics/forecast.h"
#include "tasks/baselines.h"

static void naive_by_hand(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, NAN, NAN}, none[] = {NAN, NAN};
    double f[5];
    rc__naive(7, x, 2, f);
    assert_true(f[0] == 5 && f[1] == 5);
    rc__naive(2, none, 2, f);
    assert_true(isnan(f[0]) && isnan(f[1]));
    rc__naive(0, none, 1, f);
    assert_true(isnan(f[0]));
    rc__seasonal_naive(5, x, 2, 5, f);
    assert_true(f[0] == 4 && f[1] == 5 && f[2] == 4 && f[3] == 5 && f[4] == 4);
    rc__seasonal_naive(7, x, 3, 5, f); /* places 4, 5, 6 of period 3: 5, then 3 for place 5, 4 for place 6 */
    assert_true(f[0] == 5 && f[1] == 3 && f[2] == 4 && f[3] == 5 && f[4] == 3);
    rc__seasonal_naive(2, x, 3, 2, f);
    assert_true(f[0] == 2 && f[1] == 2);
    rc__drift(7, x, 2, f); /* 5 is at place 4, the forecast begins at place 7 */
    assert_true(f[0] == 8 && f[1] == 9);
    rc__drift(1, x, 2, f);
    assert_true(f[0] == 1 && f[1] == 1);
    rc__drift(2, none, 1, f);
    assert_true(isnan(f[0]));
}

/* A sine obeys x_t = 2 cos(w) x_{t-1} - x_{t-2}: any two values give all that follow. */
static void a_sine_goes_on(void **state) {
    (void)state;
    double x[200], f[12];
    for (size_t t = 0; t < 200; t++) x[t] = 3 + sin(.37 * (double)t);
    const rc__series s = {x, 150};
    for (int from_last = 0; from_last < 2; from_last++) {
        rc__ridge *r;
        assert_int_equal(rc__ridge_fit(1, &s, 4, 12, 1e-10, from_last, &r, NULL), RC_OK);
        assert_int_equal(rc__ridge_windows(r), 135);
        rc__ridge_forecast(r, x + 146, f);
        for (size_t h = 0; h < 12; h++) assert_true(fabs(f[h] - x[150 + h]) < 1e-5);
        rc__ridge_free(r);
    }
}

/* The gradient of the penalised sum of squares is 0 in every weight and every constant, over two series with a gap. */
static void solves_its_normal_equations(void **state) {
    (void)state;
    enum { L = 11, H = 3, N = 90 };
    double a[N], b[N / 2], f[H], gradient[L][H] = {{0}}, constant[H] = {0}, base[H], weight[L][H], mean[L] = {0};
    rc_rng rng = rc_rng_make(5, 0);
    for (size_t t = 0; t < N; t++) a[t] = (t ? .7 * a[t - 1] : 0) + rc_rng_normal(&rng) + 2;
    for (size_t t = 0; t < N / 2; t++) b[t] = rc_rng_normal(&rng);
    a[40] = NAN;
    const rc__series series[] = {{a, N}, {b, N / 2}, {b, 3}};
    const double ridge = .05;
    rc__ridge *r;
    double probe[L] = {0}, trace = 0;
    size_t windows = 0;
    assert_int_equal(rc__ridge_fit(3, series, L, H, ridge, false, &r, NULL), RC_OK);
    rc__ridge_forecast(r, probe, base);
    for (size_t i = 0; i < L; i++) { /* the weights, by differences of a linear function */
        probe[i] = 1;
        rc__ridge_forecast(r, probe, f);
        for (size_t h = 0; h < H; h++) weight[i][h] = f[h] - base[h];
        probe[i] = 0;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t s = 0; s < 2; s++) {
            for (size_t t = 0; t + L + H <= series[s].n; t++) {
                const double *x = series[s].x + t;
                if (s == 0 && t <= 40 && 40 < t + L + H) continue;
                for (size_t i = 0; i < L; i++) {
                    if (pass == 0)
                        mean[i] += x[i];
                    else
                        trace += (x[i] - mean[i]) * (x[i] - mean[i]);
                }
                windows += pass == 0;
                if (pass == 0) continue;
                rc__ridge_forecast(r, x, f);
                for (size_t h = 0; h < H; h++) {
                    constant[h] += f[h] - x[L + h];
                    for (size_t i = 0; i < L; i++) gradient[i][h] += (f[h] - x[L + h]) * x[i];
                }
            }
        }
        for (size_t i = 0; i < L && pass == 0; i++) mean[i] /= (double)windows;
    }
    assert_int_equal(rc__ridge_windows(r), windows);
    for (size_t h = 0; h < H; h++) {
        assert_true(fabs(constant[h]) < 1e-9);
        for (size_t i = 0; i < L; i++) assert_true(fabs(gradient[i][h] + ridge * trace / L * weight[i][h]) < 1e-8);
    }
    rc__ridge_free(r);
}

static void same_bits_for_any_threads(void **state) {
    (void)state;
    enum { L = 30, H = 5, N = 300 };
    double x[N], f[2][H], keep = rc__parallel_threshold;
    rc_rng rng = rc_rng_make(6, 0);
    for (size_t t = 0; t < N; t++) x[t] = rc_rng_normal(&rng);
    const rc__series s = {x, N};
    int threads = rc_threads();
    rc__parallel_threshold = 0;
    for (int k = 0; k < 2; k++) {
        rc__ridge *r;
        assert_int_equal(rc_set_threads(1 + 2 * k, NULL), RC_OK);
        assert_int_equal(rc__ridge_fit(1, &s, L, H, 1e-3, true, &r, NULL), RC_OK);
        rc__ridge_forecast(r, x, f[k]);
        rc__ridge_free(r);
    }
    assert_memory_equal(f[0], f[1], sizeof f[0]);
    rc__parallel_threshold = keep;
    assert_int_equal(rc_set_threads(threads, NULL), RC_OK);
}

static void flat_short_missing(void **state) {
    (void)state;
    double flat[20], f[2];
    for (size_t t = 0; t < 20; t++) flat[t] = 7;
    rc__series s = {flat, 20};
    rc__ridge *r = (rc__ridge *)&s;
    rc_error e;
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, 1e-6, false, &r, NULL), RC_OK);
    rc__ridge_forecast(r, flat, f);
    assert_true(f[0] == 7 && f[1] == 7);
    flat[2] = NAN;
    rc__ridge_forecast(r, flat, f);
    assert_true(isnan(f[0]));
    rc__ridge_free(r);
    s.n = 6;
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, 1e-6, false, &r, &e), RC_EDATA);
    assert_null(r);
    s.n = 7; /* one window, with a gap */
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, 1e-6, false, &r, &e), RC_EDATA);
    assert_string_equal(e.text, "no window of 7 values without a missing one");
    flat[2] = INFINITY;
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, 1e-6, false, &r, &e), RC_EDATA);
    assert_int_equal(rc__ridge_fit(1, &s, 0, 2, 1e-6, false, &r, &e), RC_EINVAL);
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, 0, false, &r, &e), RC_EINVAL);
    assert_int_equal(rc__ridge_fit(1, &s, 5, 2, NAN, false, &r, &e), RC_EINVAL);
}

/* ETTh1, 12 + 4 + 4 months of 30 days, scaled by the first 12, 336 -> 96, all 7 columns: linear models are published at
 * a mean squared error of .374 (NLinear) and .375 (DLinear; Zeng 2023, table 2). */
static void etth1_as_linear_models(void **state) {
    (void)state;
    enum { ROWS = 14400, TRAIN = 8640, FROM = 11520, L = 336, H = 96, COLUMNS = 7 };
    const char *data = getenv("RECUR_DATA");
    if (!data || !*data) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    static double x[COLUMNS][ROWS];
    char name[500], line[400];
    snprintf(name, sizeof name, "%s/etth1/ETTh1.csv.gz", data);
    gzFile f = gzopen(name, "rb");
    assert_non_null(f);
    assert_non_null(gzgets(f, line, sizeof line));
    for (size_t t = 0; t < ROWS; t++) {
        assert_non_null(gzgets(f, line, sizeof line));
        char *p = strchr(line, ',');
        for (size_t c = 0; c < COLUMNS; c++) x[c][t] = strtod(p + 1, &p);
    }
    gzclose(f);
    rc__series train[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        double mean = 0, squares = 0;
        for (size_t t = 0; t < TRAIN; t++) mean += x[c][t] / TRAIN;
        for (size_t t = 0; t < TRAIN; t++) squares += (x[c][t] - mean) * (x[c][t] - mean) / TRAIN;
        for (size_t t = 0; t < ROWS; t++) x[c][t] = (x[c][t] - mean) / sqrt(squares);
        train[c] = (rc__series){x[c], TRAIN};
    }
    rc__ridge *r;
    assert_int_equal(rc__ridge_fit(COLUMNS, train, L, H, 1e-3, true, &r, NULL), RC_OK);
    double sum = 0, windows = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t t = FROM - L; t + L + H <= ROWS; t += 4) { /* every fourth window */
            double guess[H];
            rc__forecast_scores s;
            rc__ridge_forecast(r, x[c] + t, guess);
            rc__forecast_score(H, x[c] + t + L, guess, &s);
            sum += s.mse;
            windows++;
        }
    }
    print_message("ETTh1, 336 -> 96: %.4f\n", sum / windows);
    assert_true(sum / windows > .365 && sum / windows < .38);
    rc__ridge_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(naive_by_hand),
        cmocka_unit_test(a_sine_goes_on),
        cmocka_unit_test(solves_its_normal_equations),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(flat_short_missing),
        cmocka_unit_test(etth1_as_linear_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
