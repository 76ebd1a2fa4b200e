/* Measures of forecasts: against scikit-learn and numpy, by hand, and M4's published numbers on its hourly series. */
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

#include "metrics/forecast.h"
#include "golden/metrics_data.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12 * fmax(1, fabs(b)))
#define N          60

static void points_as_scikit_learn(void **state) {
    (void)state;
    rc__forecast_scores s;
    rc__forecast_score(N, fc_y, fc_point, &s);
    NEAR(s.mse, fc_scores[0]);
    NEAR(s.mae, fc_scores[1]);
    NEAR(s.rmse, fc_scores[2]);
    NEAR(s.mape, fc_scores[3]);
    NEAR(s.smape, fc_scores[4]);
    assert_true(s.used == N && s.missing == 0);
}

static void missing_zero_and_nothing(void **state) {
    (void)state;
    rc__forecast_scores s;
    const double y[] = {2, NAN, -4}, f[] = {1, NAN, -5}, zero[] = {0, 0}, some[] = {0, 1}, unknown[] = {1, NAN};
    rc__forecast_score(3, y, f, &s);
    assert_true(s.used == 2 && s.missing == 1 && s.mae == 1 && s.mse == 1);
    NEAR(s.mape, (50 + 25) / 2.);
    NEAR(s.smape, (200. / 3 + 200. / 9) / 2);
    NEAR(s.nd, 2 / 6.);
    rc__forecast_score(1, y + 1, f, &s);
    assert_true(s.used == 0 && s.missing == 1 && isnan(s.mae) && isnan(s.rmse) && isnan(s.smape) && isnan(s.nd));
    rc__forecast_score(2, zero, zero, &s);
    assert_true(s.mape == 0 && s.smape == 0 && isnan(s.nd));
    rc__forecast_score(2, zero, some, &s);
    assert_true(isinf(s.mape) && s.smape == 100 && isinf(s.nd));
    rc__forecast_score(2, y + 1, unknown, &s); /* a forecast that is missing is wrong, not left out */
    assert_true(s.used == 1 && isnan(s.mae));
}

static void mase_by_hand(void **state) {
    (void)state;
    const double x[] = {1, 3, 2, 6, NAN, 5}, flat[] = {4, 4, 4};
    NEAR(rc__mase_scale(4, x, 1), (2 + 1 + 4) / 3.);
    NEAR(rc__mase_scale(6, x, 2), (1 + 3 + 1) / 3.); /* 1-2, 3-6, 6-5; the pair with NaN is none */
    assert_true(rc__mase_scale(3, flat, 1) == 0);
    assert_true(isnan(rc__mase_scale(3, x, 3)) && isnan(rc__mase_scale(0, x, 1)));
    NEAR(rc__mase(3, 2), 1.5);
    assert_true(isinf(rc__mase(3, 0)) && isnan(rc__mase(0, 0)) && isnan(rc__mase(1, NAN)));
    NEAR(rc__owa(9, 2, 10, 4), .7);
    NEAR(rc__owa(10, 4, 10, 4), 1.);
}

/* A pure period has a flat trend, so the indices are the pattern. */
static void naive2_finds_seasons(void **state) {
    (void)state;
    const double pattern[] = {.5, 1.5, 1.25, .75};
    double x[26], f[9], level = 8;
    for (size_t t = 0; t < 26; t++) x[t] = level * pattern[t % 4];
    assert_true(rc__m4_seasonal(26, x, 4));
    assert_int_equal(rc__naive2(26, x, 4, 9, f, NULL), RC_OK);
    for (size_t h = 0; h < 9; h++) NEAR(f[h], level * pattern[(26 + h) % 4]);
    assert_false(rc__m4_seasonal(26, x, 1));
    assert_false(rc__m4_seasonal(11, x, 4)); /* fewer than three periods */
    double odd[33];
    const double three[] = {2, 1, 3};
    for (size_t t = 0; t < 33; t++) odd[t] = three[t % 3];
    assert_int_equal(rc__naive2(33, odd, 3, 4, f, NULL), RC_OK);
    for (size_t h = 0; h < 4; h++) NEAR(f[h], three[h % 3]);
}

/* x of period 24, 72 values: R's acf stops at lag floor(10 log10 72) = 18, so M4's test finds no season of 24. */
static void season_beyond_the_lags_of_acf_is_none(void **state) {
    (void)state;
    double x[300], f[1];
    for (size_t t = 0; t < 300; t++) x[t] = 2 + sin((double)t * 2 * acos(-1) / 24);
    assert_false(rc__m4_seasonal(72, x, 24));
    assert_true(rc__m4_seasonal(300, x, 24)); /* 24.77 */
    assert_int_equal(rc__naive2(72, x, 24, 1, f, NULL), RC_OK);
    assert_true(f[0] == x[71]);
}

static void naive2_of_flat_short_and_missing(void **state) {
    (void)state;
    double flat[40], f[2];
    rc_error e;
    for (size_t t = 0; t < 40; t++) flat[t] = .1;
    assert_false(rc__m4_seasonal(40, flat, 4));
    assert_int_equal(rc__naive2(40, flat, 4, 2, f, NULL), RC_OK);
    assert_true(f[0] == .1 && f[1] == .1);
    assert_int_equal(rc__naive2(1, flat, 12, 2, f, NULL), RC_OK);
    assert_int_equal(rc__naive2(0, flat, 12, 2, f, &e), RC_EINVAL);
    flat[7] = NAN;
    assert_int_equal(rc__naive2(40, flat, 4, 2, f, &e), RC_EINVAL);
    assert_string_equal(e.text, "Naive2: value 7 of the history is missing");
}

static void quantiles_as_scikit_learn(void **state) {
    (void)state;
    double tau[9], column[N], each[9], size = 0, sum = 0;
    for (size_t i = 0; i < N; i++) size += fabs(fc_y[i]);
    for (size_t k = 0; k < 9; k++) {
        tau[k] = (double)(k + 1) / 10;
        for (size_t i = 0; i < N; i++) column[i] = fc_quantiles[i * 9 + k];
        NEAR(rc__pinball(N, fc_y, column, tau[k]), fc_pinball[k]);
        sum += 2 * fc_pinball[k] / 9;
    }
    NEAR(rc__weighted_quantile_loss(N, 9, fc_y, fc_quantiles, tau, each), sum * N / size);
    NEAR(each[2], 2 * fc_pinball[2] * N / size);
    NEAR(rc__crps_quantiles(N, 9, fc_y, fc_quantiles, tau), sum);
    const double nothing[] = {NAN}, zero[] = {0}, one[] = {1}, half[] = {.5};
    assert_true(isnan(rc__pinball(1, nothing, one, .5)) && isnan(rc__pinball(1, one, nothing, .5)));
    assert_true(isinf(rc__weighted_quantile_loss(1, 1, zero, one, half, NULL)));
    assert_true(isnan(rc__weighted_quantile_loss(1, 1, zero, zero, half, NULL)));
}

static void crps_of_samples(void **state) {
    (void)state;
    const double y[] = {3, NAN}, x[] = {1, 4, 9, 9}, broken[] = {1, NAN};
    double got;
    assert_int_equal(rc__crps_samples(N, 7, fc_y, fc_samples, &got, NULL), RC_OK);
    NEAR(got, fc_crps[0]);
    assert_int_equal(rc__crps_samples(2, 2, y, x, &got, NULL), RC_OK);
    NEAR(got, (2 + 1) / 2. - 2 * 3 / 8.);
    assert_int_equal(rc__crps_samples(1, 1, y, x, &got, NULL), RC_OK); /* one sample: the absolute error */
    NEAR(got, 2.);
    assert_int_equal(rc__crps_samples(1, 2, y, broken, &got, NULL), RC_OK);
    assert_true(isnan(got));
    assert_int_equal(rc__crps_samples(1, 0, y, x, &got, NULL), RC_EINVAL);
}

static void intervals_by_hand(void **state) {
    (void)state;
    const double y[] = {1, 5, NAN, 0}, low[] = {1, 2, 0, 1}, high[] = {2, 4, 9, 3};
    rc__interval_scores s;
    rc__interval_score(4, y, low, high, .8, &s);
    assert_true(s.used == 3 && s.missing == 1);
    NEAR(s.coverage, 1 / 3.);
    NEAR(s.width, 5 / 3.);
    NEAR(s.winkler, (1 + (2 + 10 * 1) + (2 + 10 * 1)) / 3.);
    rc__interval_score(0, y, low, high, .8, &s);
    assert_true(isnan(s.coverage) && isnan(s.width));
}

/* ---- M4's hourly series ------------------------------------------------------------------------------------------ */

/* The next row of numbers after a quoted id; false at the end. */
static bool row(gzFile f, double *x, size_t *n, size_t room) {
    static char line[1 << 16];
    if (!gzgets(f, line, sizeof line)) return false;
    char *p = strchr(line, ',');
    for (*n = 0; p && *n < room; p = strchr(p, ',')) {
        char *end;
        p += 1 + (p[1] == '"');
        double v = strtod(p, &end);
        if (end == p) break; /* padding */
        x[(*n)++] = v;
    }
    return true;
}

/* Published for hourly: Naive 43.003 and 11.608, seasonal naive 13.912 and 1.193, Naive2 18.383 and 2.395 (sMAPE, MASE;
 * Makridakis, Spiliotis & Assimakopoulos 2020, the tables of the M4 competition). */
static void m4_hourly_as_published(void **state) {
    (void)state;
    const char *data = getenv("RECUR_DATA");
    if (!data || !*data) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    char name[500];
    snprintf(name, sizeof name, "%s/m4-hourly/Hourly-train.csv.gz", data);
    gzFile train = gzopen(name, "rb");
    snprintf(name, sizeof name, "%s/m4-hourly/Hourly-test.csv", data);
    gzFile test = gzopen(name, "rb");
    assert_non_null(train);
    assert_non_null(test);
    double x[1000], y[48], f[3][48], smape[3] = {0}, mase[3] = {0}, series = 0;
    size_t n, h;
    assert_true(row(train, x, &n, 1000) && row(test, y, &h, 48));
    while (row(train, x, &n, 1000) && row(test, y, &h, 48)) {
        assert_true(h == 48 && n >= 700);
        for (size_t k = 0; k < 48; k++) {
            f[0][k] = x[n - 1];
            f[1][k] = x[n - 24 + k % 24];
        }
        assert_int_equal(rc__naive2(n, x, 24, 48, f[2], NULL), RC_OK);
        double scale = rc__mase_scale(n, x, 24);
        for (size_t i = 0; i < 3; i++) {
            rc__forecast_scores s;
            rc__forecast_score(48, y, f[i], &s);
            smape[i] += s.smape;
            mase[i] += rc__mase(s.mae, scale);
        }
        series++;
    }
    gzclose(train);
    gzclose(test);
    const double want[3][2] = {{43.003, 11.608}, {13.912, 1.193}, {18.383, 2.395}};
    assert_true(series == 414);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs(smape[i] / series - want[i][0]) < .0006);
        assert_true(fabs(mase[i] / series - want[i][1]) < .0006);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_as_scikit_learn),
        cmocka_unit_test(missing_zero_and_nothing),
        cmocka_unit_test(mase_by_hand),
        cmocka_unit_test(naive2_finds_seasons),
        cmocka_unit_test(season_beyond_the_lags_of_acf_is_none),
        cmocka_unit_test(naive2_of_flat_short_and_missing),
        cmocka_unit_test(quantiles_as_scikit_learn),
        cmocka_unit_test(crps_of_samples),
        cmocka_unit_test(intervals_by_hand),
        cmocka_unit_test(m4_hourly_as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
