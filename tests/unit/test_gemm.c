/* Matrix products against their definition in double: every shape of interest, strides, transposes, and the same bits for
 * any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/gemm.h"

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

static void plain_products(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (int mode = 0; mode < 8; mode++) {
            bool ta = mode & 1, tb = mode & 2, mt = mode & 4;
            size_t M = shapes[s][0], N = shapes[s][1], K = shapes[s][2];
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
                    assert_near(sum, C[i * ldc + j], K, mt ? "gemm_mt" : "gemm", i, j);
                }
                assert_memory_equal(C + i * ldc + N, old + i * ldc + N, 2 * sizeof *C); /* between the rows */
            }
            drop(A, na);
            drop(B, nb);
            drop(C, nc);
            drop(old, nc);
        }
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

int main(void) {
    print_message("backend: %s\n", rc__gemm_backend());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_products),
        cmocka_unit_test(packed_products),
        cmocka_unit_test(many_shapes),
        cmocka_unit_test(the_same_bits_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
