/* Matrix products against their definition in double: every shape of interest, strides, transposes, and the same bits for
 * any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/gemm.h"
#include "property.h"

static rc_rng rng = {.seed = 11};

static float *random_block(size_t n) {
    float *p = rc__alloc(n * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(rc_rng_uniform(&rng) * 2 - 1);
    return p;
}
static void drop(float *p, size_t n) { rc__free(p, n * sizeof *p); }

static float at(const float *A, size_t lda, bool t, size_t i, size_t k) { return t ? A[k * lda + i] : A[i * lda + k]; }

/* A sum of K products of numbers below 1 in float: an error of eps * K at worst, eps * sqrt(K) as a rule. */
static void assert_near(double expected, double found, size_t K, const char *what, size_t i, size_t j) {
    double tolerance = FLT_EPSILON * (4 + 2 * sqrt((double)K) * log2((double)K + 2));
    if (!(fabs(expected - found) <= tolerance))
        fail_msg("%s: C(%zu, %zu) = %.9g, expected %.9g, K = %zu", what, i, j, found, expected, K);
}

static const size_t shapes[][3] = {/* M, N, K */
                                   {1, 1, 1},    {1, 7, 5},     {2, 3, 1},     {3, 1, 9},    {1, 64, 64},    {4, 33, 31},
                                   {5, 128, 17}, {8, 64, 64},   {16, 16, 16},  {17, 65, 33}, {31, 100, 129}, {63, 31, 130},
                                   {64, 256, 64}, {65, 257, 100}, {129, 48, 513}, {1, 1024, 256}, {300, 40, 1100}};
#define SHAPES (sizeof shapes / sizeof *shapes)

/* mode: bits for transposed A, transposed B, threads. */
static void plain_product(size_t M, size_t N, size_t K, int mode, const char *what) {
    bool ta = mode & 1, tb = mode & 2, mt = mode & 4;
    size_t lda = (ta ? M : K) + 3, ldb = (tb ? K : N) + 1, ldc = N + 2;
    size_t na = (ta ? K : M) * lda, nb = (tb ? N : K) * ldb, nc = M * ldc;
    float alpha = mode & 1 ? 1 : -0.5f, beta = mode == 0 ? 0 : mode & 2 ? 1 : 0.25f;
    float *A = random_block(na), *B = random_block(nb), *C = random_block(nc), *old = rc__alloc(nc * sizeof *old);
    if (beta == 0)
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) C[i * ldc + j] = NAN; /* beta = 0 does not read C */
    memcpy(old, C, nc * sizeof *C);
    (mt ? rc__gemm_mt : rc__gemm)(ta, tb, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            double sum = 0;
            for (size_t k = 0; k < K; k++) sum += (double)at(A, lda, ta, i, k) * at(B, ldb, tb, k, j);
            sum = alpha * sum + (beta != 0 ? (double)beta * old[i * ldc + j] : 0);
            assert_near(sum, C[i * ldc + j], K, what, i, j);
        }
        assert_memory_equal(C + i * ldc + N, old + i * ldc + N, 2 * sizeof *C); /* between the rows */
    }
    drop(A, na);
    drop(B, nb);
    drop(C, nc);
    drop(old, nc);
}

static void plain_products(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (int mode = 0; mode < 8; mode++)
            plain_product(shapes[s][0], shapes[s][1], shapes[s][2], mode, mode & 4 ? "gemm_mt" : "gemm");
}

static void packed_products(void **state) {
    (void)state;
    size_t before = rc_memory_used();
    for (size_t s = 0; s < SHAPES; s++) {
        size_t N = shapes[s][1], K = shapes[s][2];
        for (int trans = 0; trans < 2; trans++) {
            size_t ldb = (trans ? K : N) + 2, nb = (trans ? N : K) * ldb;
            float *B = random_block(nb), *bias = random_block(N);
            rc__packed p;
            rc_error e = {0};
            if (rc__packed_init(&p, RC_PANEL_REAL, K, N, &e) != RC_OK) fail_msg("%s", e.text);
            rc__packed_set(&p, B, ldb, trans);
            size_t rows[] = {0, 1, 2, 7, 8, 15, 16, 17, 64, shapes[s][0], 70};
            for (size_t m = 0; m < sizeof rows / sizeof *rows; m++)
                for (int mode = 0; mode < 6; mode++) {
                    size_t M = rows[m], lda = K + (mode & 1), ldc = N + 3;
                    bool accumulate = mode % 3 == 1, with_bias = mode % 3 == 2, mt = mode >= 3;
                    float *A = random_block(M * lda), *C = random_block(M * ldc), *old = rc__alloc(M * ldc * sizeof *old);
                    if (!accumulate)
                        for (size_t i = 0; i < M; i++)
                            for (size_t j = 0; j < N; j++) C[i * ldc + j] = NAN;
                    memcpy(old, C, M * ldc * sizeof *C);
                    (mt ? rc__gemm_packed_mt : rc__gemm_packed)(M, A, lda, &p, with_bias ? bias : NULL, accumulate, C, ldc);
                    for (size_t i = 0; i < M; i++) {
                        for (size_t j = 0; j < N; j++) {
                            double sum = accumulate ? old[i * ldc + j] : with_bias ? bias[j] : 0;
                            for (size_t k = 0; k < K; k++) sum += (double)A[i * lda + k] * at(B, ldb, trans, k, j);
                            assert_near(sum, C[i * ldc + j], K, mt ? "packed_mt" : "packed", i, j);
                        }
                        assert_memory_equal(C + i * ldc + N, old + i * ldc + N, 3 * sizeof *C);
                    }
                    drop(A, M * lda);
                    drop(C, M * ldc);
                    drop(old, M * ldc);
                }
            rc__packed_free(&p);
            drop(B, nb);
            drop(bias, N);
        }
    }
    assert_int_equal(rc_memory_used(), before);
}

/* More shapes than a thread keeps primitives for, twice over: what is dropped is made again. */
static void many_shapes(void **state) {
    (void)state;
    enum { K = 5, N = 6, ROWS = 900 };
    float *A = random_block(ROWS * K), *B = random_block(K * N), *C = random_block(ROWS * N);
    rc__packed p;
    assert_int_equal(rc__packed_init(&p, RC_PANEL_REAL, K, N, NULL), RC_OK);
    rc__packed_set(&p, B, N, false);
    for (int round = 0; round < 2; round++)
        for (size_t M = 1; M <= ROWS; M++) {
            C[(M - 1) * N] = NAN;
            rc__gemm_packed(M, A, K, &p, NULL, false, C, N);
            double sum = 0;
            for (size_t k = 0; k < K; k++) sum += (double)A[(M - 1) * K + k] * B[k * N];
            assert_near(sum, C[(M - 1) * N], K, "packed", M - 1, 0);
        }
    rc__packed_free(&p);
    drop(A, ROWS * K);
    drop(B, K * N);
    drop(C, ROWS * N);
}

static void the_same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    enum { M = 333, N = 700, K = 1100 };
    rc__parallel_threshold = 0;
    float *A = random_block(M * K), *B = random_block(K * N), *C = random_block(M * N), *first = random_block(M * N);
    rc__packed p;
    assert_int_equal(rc__packed_init(&p, RC_PANEL_REAL, K, N, NULL), RC_OK);
    rc__packed_set(&p, B, N, false);
    for (int what = 0; what < 4; what++)
        for (int threads = 1; threads <= 5; threads++) {
            rc_set_threads(threads, NULL);
            switch (what) {
            case 0: rc__gemm_packed_mt(M, A, K, &p, NULL, false, C, N); break;
            case 1: rc__gemm_mt(false, false, M, N, K, 1, A, K, B, N, 0, C, N); break;
            case 2: rc__gemm_mt(true, false, M, N, K, 1, A, M, B, N, 0, C, N); break;
            default: rc__gemm_mt(false, true, M, N, K, 1, A, K, B, K, 0, C, N); break;
            }
            if (threads == 1) memcpy(first, C, sizeof *C * M * N);
            else assert_memory_equal(C, first, sizeof *C * M * N);
        }
    rc__packed_free(&p);
    drop(A, M * K);
    drop(B, K * N);
    drop(C, M * N);
    drop(first, M * N);
}

/* ---- less of the weights ------------------------------------------------------------------------------------------ */

static const struct {
    rc__panel_format format;
    const char *name;
} formats[] = {{RC_PANEL_REAL, "fp32"}, {RC_PANEL_BF16, "bf16"}, {RC_PANEL_INT8, "int8"}};
#define FORMATS (sizeof formats / sizeof *formats)

/* x as bf16 holds it: 8 bits of significand, to the nearest, ties to even. */
static double as_bf16(float x) {
    int exponent;
    double f = frexp((double)x, &exponent); /* 0.5 <= |f| < 1 */
    return ldexp(nearbyint(ldexp(f, 8)), exponent - 8);
}

static void bf16_rounding(void **state) {
    (void)state;
    static const float special[] = {0,     -0.0f,   1,        1.00390625f, 1.01171875f, 1.003906369f, -1.00390625f,
                                    3e38f, 3.4e38f, -3.4e38f, 1e-38f,      INFINITY,    -INFINITY,    NAN};
    enum { SPECIAL = sizeof special / sizeof *special, N = SPECIAL + 500 };
    const rc__kernels *all[8];
    size_t count = rc__kernels_available(all, 8);
    float *x = random_block(N), *y = random_block(N);
    memcpy(x, special, sizeof special);
    for (size_t isa = 0; isa < count; isa++) {
        all[isa]->panel.bf16_round(N, x, y);
        for (size_t i = 0; i < N; i++) {
            uint32_t bits;
            memcpy(&bits, &y[i], sizeof bits);
            assert_int_equal(bits & 0xffff, 0);
            assert_true(!signbit(x[i]) == !signbit(y[i]) || isnan(x[i]));
            if (isnan(x[i])) assert_true(isnan(y[i]));
            else if (!isfinite(x[i]) || fabsf(x[i]) > 3.395e38f) assert_true(isinf(y[i])); /* beyond the largest of bf16 */
            else if ((double)y[i] != as_bf16(x[i])) fail_msg("%s: %.9g becomes %.9g", all[isa]->isa, x[i], y[i]);
        }
    }
    drop(x, N), drop(y, N);
}

static void multiply(const rc__packed *p, size_t M, const float *A, const float *bias, bool add, float *C, size_t ldc) {
    rc__gemm_packed(M, A, p->K, p, bias, add, C, ldc);
}

/* What the packed matrix holds (K, N): the rows of the unit matrix times it. */
static float *unpacked(const rc__packed *p) {
    float *one = calloc(p->K, sizeof *one), *W = malloc(p->K * p->N * sizeof *W);
    for (size_t k = 0; k < p->K; k++) {
        one[k] = 1;
        multiply(p, 1, one, NULL, false, W + k * p->N, p->N);
        one[k] = 0;
    }
    free(one);
    return W;
}

/* int8: whole multiples of the column's scale, the nearest ones but for a few roundings of a number up to 127. */
static void check_rounding(rc__panel_format format, const char *what, size_t K, size_t N, const float *B, size_t ldb,
                           bool trans, const float *W) {
    for (size_t n = 0; n < N; n++) {
        double most = 0;
        for (size_t k = 0; k < K; k++) most = fmax(most, fabs((double)at(B, ldb, trans, k, n)));
        for (size_t k = 0; k < K; k++) {
            double x = at(B, ldb, trans, k, n), w = W[k * N + n], scale = most / 127, q = scale > 0 ? w / scale : 0;
            bool nearest = fabs(w - x) <= scale * (0.5 + 127 * 4 * FLT_EPSILON) && fabs(q - round(q)) < 1e-4;
            bool fine = format == RC_PANEL_INT8 ? nearest : w == (format == RC_PANEL_BF16 ? as_bf16((float)x) : x);
            if (!fine) fail_msg("%s: (%zu, %zu) is %.9g, of %.9g, scale %.9g", what, k, n, w, x, scale);
        }
    }
}

static double as_read(rc__panel_format format, float x) { return format == RC_PANEL_BF16 ? as_bf16(x) : (double)x; }

static void check_product(const char *what, const rc__packed *p, const float *W) {
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 17};
    size_t K = p->K, N = p->N, width = rc__k->panel.width, ldc = N + 3;
    for (size_t m = 0; m < sizeof rows / sizeof *rows; m++)
        for (int mode = 0; mode < 3; mode++) {
            size_t M = rows[m];
            float *A = random_block(M * K), *bias = random_block(N), *C = random_block(M * ldc),
                  *old = random_block(M * ldc), *part = random_block(M * ldc), *alone = random_block(N);
            memcpy(old, C, M * ldc * sizeof *C);
            memcpy(part, C, M * ldc * sizeof *C);
            multiply(p, M, A, mode == 1 ? bias : NULL, mode == 2, C, ldc);
            for (size_t i = 0; i < M; i++) {
                for (size_t j = 0; j < N; j++) {
                    double sum = mode == 2 ? old[i * ldc + j] : mode == 1 ? bias[j] : 0;
                    for (size_t k = 0; k < K; k++) sum += as_read(p->format, A[i * K + k]) * W[k * N + j];
                    assert_near(sum, C[i * ldc + j], K, what, i, j);
                }
                assert_memory_equal(C + i * ldc + N, old + i * ldc + N, 3 * sizeof *C);
                memcpy(alone, old + i * ldc, N * sizeof *C); /* one row, with the same bits */
                multiply(p, 1, A + i * K, mode == 1 ? bias : NULL, mode == 2, alone, N);
                assert_memory_equal(alone, C + i * ldc, N * sizeof *C);
            }
            for (size_t n = 0; n < N; n += width) { /* panel by panel, with the same bits */
                rc__panel_rows r = {A, part, M};
                rc__gemm_packed_rows(1, &r, K, p, mode == 1 ? bias : NULL, mode == 2, ldc, n, N - n < width ? N : n + width);
            }
            assert_memory_equal(part, C, M * ldc * sizeof *C);
            drop(A, M * K), drop(bias, N), drop(C, M * ldc), drop(old, M * ldc), drop(part, M * ldc), drop(alone, N);
        }
}

/* In the build that is picked. */
static void packed_format(size_t f, size_t K, size_t N, bool trans, const char *what) {
    size_t ldb = (trans ? K : N) + 2, nb = (trans ? N : K) * ldb;
    float *B = random_block(nb);
    for (size_t k = 0; k < K; k++) B[trans ? k : k * ldb] = 0; /* a column of zeros */
    rc__packed p;
    assert_int_equal(rc__packed_init(&p, formats[f].format, K, N, NULL), RC_OK);
    rc__packed_set(&p, B, ldb, trans);
    float *W = unpacked(&p);
    check_rounding(formats[f].format, what, K, N, B, ldb, trans, W);
    check_product(what, &p, W);
    free(W);
    rc__packed_free(&p);
    drop(B, nb);
}

static void formats_in_every_build(void **state) {
    (void)state;
    static const size_t sizes[][2] = {/* K, N */
                                      {1, 1},    {2, 7},    {5, 64},    {31, 65},  {64, 130},
                                      {129, 31}, {130, 16}, {300, 200}, {1031, 19}};
    const rc__kernels *all[8], *saved = rc__k;
    size_t count = rc__kernels_available(all, 8), before = rc_memory_used();
    char what[64];
    for (size_t isa = 0; isa < count; isa++)
        for (size_t f = 0; f < FORMATS; f++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                for (int trans = 0; trans < 2; trans++) {
                    rc__k = all[isa];
                    snprintf(what, sizeof what, "%s, %s, %s", rc__k->isa, formats[f].name,
                             trans ? "transposed" : "as it is");
                    packed_format(f, sizes[s][0], sizes[s][1], trans, what);
                }
    rc__k = saved;
    assert_int_equal(rc_memory_used(), before);
}

/* The same of any shape, one mode, format and build at a time. */
static void any_product(rc_rng *r) {
    const rc__kernels *all[8], *saved = rc__k;
    size_t count = rc__kernels_available(all, 8), f = between(r, 0, FORMATS - 1);
    char what[128];
    int mode = (int)between(r, 0, 7);
    size_t M = any_size(r, 130), N = any_size(r, 270), K = any_size(r, 300);
    snprintf(what, sizeof what, "case %llu, %zu x %zu over %zu, mode %d", (unsigned long long)property_case, M, N, K, mode);
    rng = *r;
    plain_product(M, N, K, mode, what);
    rc__k = all[between(r, 0, count - 1)];
    bool trans = chance(r, 0.5);
    snprintf(what, sizeof what, "case %llu, %s, %s, %zu over %zu%s", (unsigned long long)property_case, rc__k->isa,
             formats[f].name, N, K, trans ? ", transposed" : "");
    packed_format(f, K, N, trans, what);
    rc__k = saved;
}
static void any_products(void **state) {
    (void)state;
    for_cases(30, NULL, any_product);
}

/* What is not finite in a weight reaches its own column of the result, and no other. */
static void weights_that_are_no_numbers(void **state) {
    (void)state;
    enum { K = 70, N = 130, BAD = 65 };
    const rc__kernels *all[8], *saved = rc__k;
    size_t count = rc__kernels_available(all, 8);
    float *A = random_block(K), *C = random_block(N), *B = random_block(K * N);
    for (size_t isa = 0; isa < count; isa++)
        for (size_t f = 0; f < FORMATS; f++)
            for (int trans = 0; trans < 2; trans++)
                for (int inf = 0; inf < 2; inf++) {
                    rc__k = all[isa];
                    float *bad = &B[trans ? BAD * K + 3 : 3 * N + BAD], good = *bad;
                    *bad = inf ? INFINITY : NAN;
                    rc__packed p;
                    assert_int_equal(rc__packed_init(&p, formats[f].format, K, N, NULL), RC_OK);
                    rc__packed_set(&p, B, trans ? K : N, trans);
                    multiply(&p, 1, A, NULL, false, C, N);
                    for (size_t j = 0; j < N; j++)
                        if (!isfinite(C[j]) != (j == BAD))
                            fail_msg("%s, %s: C(%zu) = %g", rc__k->isa, formats[f].name, j, C[j]);
                    rc__packed_free(&p);
                    *bad = good;
                }
    rc__k = saved;
    drop(A, K), drop(C, N), drop(B, K * N);
}

/* What plans of the recurrence count with. */
static void test_weight_bytes(void **state) {
    (void)state;
    assert_int_equal(rc__weight_bytes(RC_FP32), 4);
    assert_int_equal(rc__weight_bytes(RC_BF16), 2);
    assert_int_equal(rc__weight_bytes(RC_INT8), 1);
}

int main(void) {
    print_message("backend: %s\n", rc__gemm_backend());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight_bytes),
        cmocka_unit_test(plain_products),
        cmocka_unit_test(packed_products),
        cmocka_unit_test(any_products),
        cmocka_unit_test(many_shapes),
        cmocka_unit_test(bf16_rounding),
        cmocka_unit_test(formats_in_every_build),
        cmocka_unit_test(weights_that_are_no_numbers),
        cmocka_unit_test(the_same_bits_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
