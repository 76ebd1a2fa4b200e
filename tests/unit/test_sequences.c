/* Sequences of numbers: scaling, missing values, masks and gaps, windows, batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "data/sequences.h"

static void step(rc__sequences *q, double a, double b) {
    assert_int_equal(rc__sequences_step(q, (double[]){a, b}, NULL), RC_OK);
}

/* Two channels: lengths 4, 0, 2. */
static rc__sequences small(void) {
    rc__sequences q = {.channels = 2};
    step(&q, 1, NAN);
    step(&q, NAN, 10);
    step(&q, NAN, 20);
    step(&q, 4, 30);
    assert_int_equal(rc__sequences_end(&q, NULL), RC_OK);
    assert_int_equal(rc__sequences_end(&q, NULL), RC_OK);
    step(&q, 7, NAN);
    step(&q, 8, 40);
    assert_int_equal(rc__sequences_end(&q, NULL), RC_OK);
    assert_int_equal(q.n, 3);
    assert_true(rc__sequences_len(&q, 0) == 4 && rc__sequences_len(&q, 1) == 0 && rc__sequences_len(&q, 2) == 2);
    return q;
}

static void near(double found, double expected) {
    if (!(fabs(found - expected) < 1e-5)) fail_msg("%.9g, expected %.9g", found, expected);
}

static void scaling(void **state) {
    (void)state;
    rc__sequences q = small();
    rc__scaler s;
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_ZSCORE, &q, NULL), RC_OK);
    near(s.shift[0], 5); /* 1 4 7 8 */
    near(s.scale[0], sqrt((16 + 1 + 4 + 9) / 4.0));
    near(s.shift[1], 25); /* 10 20 30 40 */
    near(s.scale[1], sqrt((225 + 25 + 25 + 225) / 4.0));
    rc__scaler_free(&s);
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_MINMAX, &q, NULL), RC_OK);
    near(s.shift[0], 1);
    near(s.scale[0], 7);
    rc__scaler_free(&s);
    for (int kind = RC__SCALE_SERIES; kind <= RC__SCALE_NONE; kind++) {
        assert_int_equal(rc__scaler_fit(&s, (rc__scaling)kind, &q, NULL), RC_OK);
        assert_true(s.shift[0] == 0 && s.scale[0] == 1 && s.scale[1] == 1);
        rc__scaler_free(&s);
    }
    rc__sequences_free(&q);
    /* constant, missing throughout, and a large offset, which floats would not hold */
    q = (rc__sequences){.channels = 2};
    for (int i = 0; i < 4; i++) step(&q, 3, NAN);
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_ZSCORE, &q, NULL), RC_OK);
    assert_true(s.shift[0] == 3 && s.scale[0] == 1 && s.shift[1] == 0 && s.scale[1] == 1);
    rc__scaler_free(&s);
    rc__sequences_free(&q);
    q = (rc__sequences){.channels = 2};
    for (int i = 0; i < 4; i++) step(&q, 1.7e9 + i, 0);
    assert_int_equal(rc__sequences_end(&q, NULL), RC_OK);
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_ZSCORE, &q, NULL), RC_OK);
    near(s.scale[0], sqrt(1.25));
    rc_real x[8];
    rc__sequences_batch(&q, &s, false, (const uint32_t[]){0}, NULL, (const int32_t[]){4}, 1, 4, x);
    near((double)x[6], 1.5 / sqrt(1.25));
    rc__scaler_free(&s);
    rc__sequences_free(&q);
}

static void refused(void **state) {
    (void)state;
    rc__sequences q = {.channels = 2};
    rc_error e = {0};
    static const double bad[] = {1e39, -1e300, INFINITY};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rc__sequences_step(&q, (double[]){0, bad[i]}, &e), RC_EDATA);
        assert_non_null(strstr(e.text, "float"));
        assert_int_equal(q.steps, 0);
    }
    rc__sequences_free(&q);
}

static void missing(void **state) {
    (void)state;
    rc__sequences q = small();
    rc__scaler s;
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_NONE, &q, NULL), RC_OK);
    const uint32_t index[3] = {2, 1, 0};
    const int32_t lengths[3] = {2, 0, 4};
    rc_real x[5 * 3 * 6];
    memset(x, 0x7f, sizeof x);
    rc__sequences_batch(&q, &s, false, index, NULL, lengths, 3, 5, x);
    static const double plain[5][6] = {/* row 0, row 1 (empty), row 2: two channels each */
                                       {7, 0, 0, 0, 1, 0},
                                       {8, 40, 0, 0, 1, 10},
                                       {0, 0, 0, 0, 1, 20},
                                       {0, 0, 0, 0, 4, 30},
                                       {0, 0, 0, 0, 0, 0}};
    for (size_t i = 0; i < 30; i++) near((double)x[i], plain[i / 6][i % 6]);
    memset(x, 0x7f, sizeof x);
    rc__sequences_batch(&q, &s, true, index, NULL, lengths, 3, 5, x);
    /* of row 2, each channel: value, seen, steps since it was last seen / 10 */
    static const double mask[4][6] = {
        {1, 1, 0, 0, 0, 0}, {1, 0, .1, 10, 1, .1}, {1, 0, .2, 20, 1, .1}, {4, 1, .3, 30, 1, .1}};
    for (size_t t = 0; t < 4; t++)
        for (size_t k = 0; k < 6; k++) near((double)x[(t * 3 + 2) * 6 + k], mask[t][k]);
    for (size_t k = 0; k < 18; k++) near((double)x[4 * 18 + k], 0); /* beyond every length */
    for (size_t t = 0; t < 5; t++)
        for (size_t k = 0; k < 6; k++) near((double)x[(t * 3 + 1) * 6 + k], 0);
    rc__scaler_free(&s);
    rc__sequences_free(&q);
}

/* A gap counts no further than 10 steps. */
static void long_gap(void **state) {
    (void)state;
    rc__sequences q = {.channels = 1};
    rc__scaler s;
    for (int i = 0; i < 30; i++) assert_int_equal(rc__sequences_step(&q, (double[]){i ? NAN : 2}, NULL), RC_OK);
    assert_int_equal(rc__sequences_end(&q, NULL), RC_OK);
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_NONE, &q, NULL), RC_OK);
    rc_real x[90];
    rc__sequences_batch(&q, &s, true, (const uint32_t[]){0}, NULL, (const int32_t[]){30}, 1, 30, x);
    for (int i = 0; i < 30; i++) {
        near((double)x[3 * i], 2);
        near((double)x[3 * i + 1], i == 0);
        near((double)x[3 * i + 2], i < 10 ? i / 10.0 : 1);
    }
    rc__scaler_free(&s);
    rc__sequences_free(&q);
}

/* A window is the same steps as the whole series has there; SERIES scales by the whole series. */
static void windows(void **state) {
    (void)state;
    rc__sequences q = small();
    rc__scaler s;
    assert_int_equal(rc__scaler_fit(&s, RC__SCALE_SERIES, &q, NULL), RC_OK);
    rc_real whole[8], part[4];
    rc__sequences_batch(&q, &s, false, (const uint32_t[]){0}, NULL, (const int32_t[]){4}, 1, 4, whole);
    rc__sequences_batch(&q, &s, false, (const uint32_t[]){0}, (const size_t[]){2}, (const int32_t[]){2}, 1, 2, part);
    near((double)whole[0], (1 - 2.5) / 1.5);
    near((double)whole[6], 1);
    near((double)whole[7], 10 / sqrt(200 / 3.0));
    near((double)part[0], 0); /* missing, and nothing was seen in the window before */
    near((double)part[1], (double)whole[5]);
    near((double)part[2], (double)whole[6]);
    rc__scaler_free(&s);
    rc__sequences_free(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scaling), cmocka_unit_test(refused), cmocka_unit_test(missing),
                                       cmocka_unit_test(long_gap), cmocka_unit_test(windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
