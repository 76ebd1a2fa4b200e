/* Philox4x32-10 against known answers, and the numbers made of it against their distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "base/rng.h"

/* From the known-answer file of the authors' own library (philox4x32, 10 rounds). */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } v[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        rc__philox(v[i].counter, v[i].key, out);
        assert_memory_equal(out, v[i].out, sizeof out);
    }
    rc_rng r = rc_rng_make(0, 0);
    for (size_t i = 0; i < 4; i++) assert_int_equal(rc_rng_u32(&r), v[0].out[i]);
    assert_int_equal(r.position, 4);
}

/* The layout of key and counter is part of every checkpoint and of every seed: it must never change. */
static void seed_stream_and_position_have_fixed_places(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(0x123456789abcdef0u, 0x0fedcba987654321u);
    r.position = 4 * 0x100012345u;
    static const uint32_t expected[4] = {0xd30cbd54, 0xfb361fc6, 0x8709d285, 0x416bec48};
    for (size_t i = 0; i < 4; i++) assert_int_equal(rc_rng_u32(&r), expected[i]);
}

static void a_position_is_enough_to_continue(void **state) {
    (void)state;
    rc_rng a = rc_rng_make(42, 7);
    for (int i = 0; i < 1001; i++) rc_rng_u32(&a);
    rc_rng b = rc_rng_make(42, 7);
    b.position = 1001;
    for (int i = 0; i < 100; i++) assert_int_equal(rc_rng_u32(&a), rc_rng_u32(&b));
    rc_rng other = rc_rng_make(42, 8), seed = rc_rng_make(43, 7);
    rc_rng same = rc_rng_make(42, 7);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t v = rc_rng_u32(&same);
        equal += (v == rc_rng_u32(&other)) + (v == rc_rng_u32(&seed));
    }
    assert_true(equal < 3);
}

static void uniform_is_uniform(void **state) {
    (void)state;
    enum { N = 200000, BINS = 64 };
    rc_rng r = rc_rng_make(1, 0);
    double sum = 0, lag = 0, last = 0.5, least = 1, most = 0;
    unsigned bin[BINS] = {0};
    for (int i = 0; i < N; i++) {
        double u = rc_rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        lag += (u - 0.5) * (last - 0.5);
        last = u;
        least = fmin(least, u);
        most = fmax(most, u);
        bin[(int)(u * BINS)]++;
    }
    assert_int_equal(r.position, N);
    assert_true(fabs(sum / N - 0.5) < 4 * sqrt(1.0 / 12 / N));
    assert_true(fabs(lag / N) < 4 * (1.0 / 12) / sqrt(N));
    assert_true(least < 1e-4 && most > 1 - 1e-4);
    double chi2 = 0;
    for (int i = 0; i < BINS; i++) chi2 += pow(bin[i] - (double)N / BINS, 2) / ((double)N / BINS);
    assert_true(fabs(chi2 - (BINS - 1)) < 4 * sqrt(2.0 * (BINS - 1))); /* chi-squared with 63 degrees of freedom */
}

static void normal_is_normal(void **state) {
    (void)state;
    enum { N = 200000 };
    rc_rng r = rc_rng_make(2, 3);
    double m[5] = {0};
    unsigned inside = 0;
    for (int i = 0; i < N; i++) {
        double z = rc_rng_normal(&r), p = 1;
        assert_true(isfinite(z) && fabs(z) < 7);
        for (int k = 1; k <= 4; k++) m[k] += (p *= z);
        inside += fabs(z) < 1;
    }
    assert_int_equal(r.position, 2 * N);
    assert_true(fabs(m[1] / N) < 4 / sqrt(N));
    assert_true(fabs(m[2] / N - 1) < 4 * sqrt(2.0 / N));
    assert_true(fabs(m[3] / N) < 4 * sqrt(15.0 / N));
    assert_true(fabs(m[4] / N - 3) < 4 * sqrt(96.0 / N));
    assert_true(fabs((double)inside / N - 0.682689) < 4 * sqrt(0.6827 * 0.3173 / N));
}

static void below_stays_below(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(5, 5);
    for (int i = 0; i < 100; i++) assert_int_equal(rc_rng_below(&r, 1), 0);
    unsigned count[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t v = rc_rng_below(&r, 10);
        assert_true(v < 10);
        count[v]++;
    }
    for (int i = 0; i < 10; i++) assert_true(count[i] > 10000 - 400 && count[i] < 10000 + 400);
    /* the 128-bit product, against its definition: floor(n * draw / 2^64) */
    static const uint64_t ns[] = {2, 3, 0xffffffff, 0x100000000, 0x100000001, 0x8000000000000001u, UINT64_MAX};
    for (size_t k = 0; k < sizeof ns / sizeof *ns; k++)
        for (int i = 0; i < 1000; i++) {
            rc_rng copy = r;
            uint64_t high = rc_rng_u32(&copy), draw = high << 32 | rc_rng_u32(&copy);
            uint64_t v = rc_rng_below(&r, ns[k]);
            /* the upper half of draw * n by halves: no product or sum of these is beyond 64 bits */
            uint64_t a = draw >> 32, b = draw & 0xffffffff, c = ns[k] >> 32, d = ns[k] & 0xffffffff;
            uint64_t middle = a * d + (b * d >> 32), low = b * c + (middle & 0xffffffff);
            assert_true(v == a * c + (middle >> 32) + (low >> 32) && v < ns[k]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(seed_stream_and_position_have_fixed_places),
        cmocka_unit_test(a_position_is_enough_to_continue),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(normal_is_normal),
        cmocka_unit_test(below_stays_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
