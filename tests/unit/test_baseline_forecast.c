/* Naive forecasts by hand; ridge regression against a rule and by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/forecast.h"
#include "tasks/baselines.h"
#include "tasks/ridge.h"

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

/* What a linear rule made is found again: y = X W with two outputs, added in pieces. */
static void ridge_finds_the_rule(void **state) {
    (void)state;
    enum { K = 7, H = 2, ROWS = 60 };
    rc_real x[ROWS * K], y[ROWS * H], w[H * K], rule[H * K];
    rc_rng rng = rc_rng_make(5, 0);
    for (size_t i = 0; i < H * K; i++) rule[i] = (rc_real)rc_rng_normal(&rng);
    for (size_t i = 0; i < ROWS * K; i++) x[i] = (rc_real)rc_rng_normal(&rng);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t h = 0; h < H; h++) {
            y[r * H + h] = 0;
            for (size_t k = 0; k < K; k++) y[r * H + h] += rule[h * K + k] * x[r * K + k];
        }
    rc__ridge *r;
    assert_int_equal(rc__ridge_new(&r, K, H, NULL), RC_OK);
    rc__ridge_add(r, 25, x, y);
    rc__ridge_add(r, 0, x, y);
    rc__ridge_add(r, ROWS - 25, x + 25 * K, y + 25 * H);
    assert_true(rc__ridge_solve(r, 1e-9, w));
    for (size_t i = 0; i < H * K; i++) assert_true(fabs((double)(w[i] - rule[i])) < 1e-4);
    rc__ridge_free(r);
}

/* One input: w = xy / (xx + lambda xx), by hand; two inputs that are the same share it. No rows: no answer. */
static void ridge_by_hand(void **state) {
    (void)state;
    const rc_real x[] = {1, 2, 3}, y[] = {2, 3, 7}, twice[] = {1, 1, 2, 2, 3, 3};
    rc_real w[2] = {9, 9};
    rc__ridge *r;
    assert_int_equal(rc__ridge_new(&r, 1, 1, NULL), RC_OK);
    assert_false(rc__ridge_solve(r, 0.5, w));
    assert_true(w[0] == 9);
    rc__ridge_free(r);
    assert_int_equal(rc__ridge_new(&r, 1, 1, NULL), RC_OK);
    rc__ridge_add(r, 3, x, y);
    assert_true(rc__ridge_solve(r, 0.5, w));
    assert_true(fabs((double)w[0] - 29 / 21.0) < 1e-6);
    rc__ridge_free(r);
    assert_int_equal(rc__ridge_new(&r, 2, 1, NULL), RC_OK);
    rc__ridge_add(r, 3, twice, y);
    assert_true(rc__ridge_solve(r, 0.5, w)); /* (14 + 7) w + 14 w = 29 */
    assert_true(fabs((double)w[0] - 29 / 35.0) < 1e-6 && fabs((double)w[1] - 29 / 35.0) < 1e-6);
    rc__ridge_free(r);
    rc_error e;
    assert_int_equal(rc__ridge_new(&r, SIZE_MAX / 4, SIZE_MAX / 4, &e), RC_ENOMEM);
    assert_null(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(naive_by_hand), cmocka_unit_test(ridge_finds_the_rule), cmocka_unit_test(ridge_by_hand),
        };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
