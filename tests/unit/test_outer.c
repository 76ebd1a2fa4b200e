/* Weight gradients, C += A^T B over rows, in every build of the kernels: two sides at once, rows taken from another matrix,
 * any sizes, nothing written beside C, and the same bits for any number of threads; with numbers as they are, and as bf16
 * holds them. */
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
#include "property.h"

static rc_rng rng = {.seed = 5};

static float *random_block(size_t n) {
    float *p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(rc_rng_uniform(&rng) * 2 - 1);
    return p;
}

/* x as bf16 holds it: 8 bits of significand, to the nearest, ties to even. */
static double as_bf16(float x) {
    int exponent;
    double f = frexp((double)x, &exponent); /* 0.5 <= |f| < 1 */
    return ldexp(nearbyint(ldexp(f, 8)), exponent - 8);
}

/* Row k of a side, as kernels.h says. */
static const float *row_of(const rc__outer_side *s, size_t k) {
    if (k >= s->from && k < s->to) return s->other + (k - s->from) * s->ld_other;
    return s->B + ((ptrdiff_t)k + s->shift) * (ptrdiff_t)s->ldb;
}

static void check(rc__panel_format format, size_t M, size_t N1, size_t N2, size_t K, size_t steps_of, bool backwards) {
    bool bf16 = format == RC_PANEL_BF16;
    size_t lda = M + 3, ld1 = N1 + 1, ld2 = N2 + 2, ldc = (N1 > N2 ? N1 : N2) + 5;
    float *A = random_block(K * lda), *B = random_block(K * ld1), *h = random_block(K * ld2), *h0 = random_block(steps_of * N2);
    float *C[2], *old[2], *first[2] = {NULL, NULL};
    rc__outer_side side[2] = {{.N = N1, .ldb = ld1, .ldc = ldc, .B = B},
                              {.N = N2, .ldb = ld2, .ldc = ldc, .B = h, .other = h0, .ld_other = N2}};
    side[1].shift = backwards ? (ptrdiff_t)steps_of : -(ptrdiff_t)steps_of;
    side[1].from = backwards ? K - steps_of : 0;
    side[1].to = side[1].from + steps_of;
    for (int i = 0; i < 2; i++) old[i] = random_block(M * ldc);
    const rc__kernels *all[8], *saved = rc__k;
    size_t builds = rc__kernels_available(all, 8);
    for (size_t b = 0; b < builds; b++)
        for (int threads = 1; threads <= 3; threads++) {
            rc__k = all[b];
            rc_set_threads(threads, NULL);
            for (int i = 0; i < 2; i++) {
                C[i] = malloc(M * ldc * sizeof(float));
                memcpy(C[i], old[i], M * ldc * sizeof(float));
                side[i].C = C[i];
            }
            bool add = threads != 2;
            for (int i = 0; !add && i < 2; i++) /* not added to: what was there does not matter */
                for (size_t m = 0; m < M; m++)
                    for (size_t n = 0; n < side[i].N; n++) C[i][m * ldc + n] = NAN;
            float *room = malloc((rc__gemm_outer_room(M, N1, N2) + 1) * sizeof *room);
            rc__gemm_outer_mt(format, M, K, A, lda, side, 2, add, room);
            for (int i = 0; i < 2; i++) {
                for (size_t m = 0; m < M; m++) {
                    for (size_t n = 0; n < side[i].N; n++) {
                        double sum = add ? old[i][m * ldc + n] : 0, found = C[i][m * ldc + n];
                        double squares = 0, parts = 1; /* the sums on the way, squared: this order's, and what any has */
                        for (size_t k = 0; k < K; k++) {
                            float a = A[k * lda + m], b_k = row_of(&side[i], k)[n];
                            double product = bf16 ? as_bf16(a) * as_bf16(b_k) : (double)a * b_k;
                            sum += product;
                            squares += product * product;
                            parts += sum * sum + squares;
                        }
                        /* each addition rounds what it has so far by eps / 4 of it as a rule, and they are independent */
                        if (!(fabs(sum - found) <= 2 * FLT_EPSILON * sqrt(parts)))
                            fail_msg("%s%s, case %llu, %zu x %zu over %zu, side %d: C(%zu, %zu) = %.9g, expected %.9g",
                                     rc__k->isa, bf16 ? ", bf16" : "", (unsigned long long)property_case, M, side[i].N, K, i, m, n, found, sum);
                    }
                    assert_memory_equal(C[i] + m * ldc + side[i].N, old[i] + m * ldc + side[i].N,
                                        (ldc - side[i].N) * sizeof(float));
                }
                if (threads == 1) {
                    first[i] = C[i];
                } else {
                    if (threads == 3 && memcmp(first[i], C[i], M * ldc * sizeof(float)))
                        fail_msg("%s: %d threads give other bits", rc__k->isa, threads);
                    free(C[i]);
                }
            }
            free(room);
            if (threads == 3) free(first[0]), free(first[1]);
        }
    rc__k = saved;
    rc_set_threads(2, NULL);
    free(A), free(B), free(h), free(h0), free(old[0]), free(old[1]);
}

static void both_sides(void **state) {
    (void)state;
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    static const size_t sizes[][4] = {/* M, N1, N2, K */
                                      {1, 1, 1, 1},    {4, 3, 5, 2},    {6, 64, 64, 128}, {7, 65, 63, 129}, {12, 16, 8, 257},
                                      {13, 1, 130, 70}, {24, 100, 24, 300}, {515, 5, 270, 20}, {40, 260, 40, 33}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int backwards = 0; backwards < 2; backwards++) {
            const size_t *s = sizes[i];
            check(RC_PANEL_REAL, s[0], s[1], s[2], s[3], s[3] > 3 ? 3 : 1, backwards);
            check(RC_PANEL_BF16, s[0], s[1], s[2], s[3], s[3] > 3 ? 3 : 1, backwards);
        }
    rc__parallel_threshold = threshold;
}

/* The same of any shape. */
static void any_sides(rc_rng *r) {
    size_t M = any_size(r, 150), N1 = any_size(r, 130), N2 = any_size(r, 130), K = any_size(r, 300);
    size_t steps_of = between(r, 1, K);
    rng = *r;
    check(chance(r, 0.5) ? RC_PANEL_BF16 : RC_PANEL_REAL, M, N1, N2, K, steps_of, chance(r, 0.5));
}
static void any_shapes(void **state) {
    (void)state;
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for_cases(8, NULL, any_sides);
    rc__parallel_threshold = threshold;
}

static void nothing_to_add_up(void **state) {
    (void)state;
    float C[4] = {1, 2, 3, 4};
    rc__outer_side side = {.N = 2, .ldb = 2, .ldc = 2, .C = C};
    float *enough = malloc((rc__gemm_outer_room(2, 2, 0) + 1) * sizeof *enough);
    rc__gemm_outer_mt(RC_PANEL_REAL, 2, 0, NULL, 2, &side, 1, true, enough);
    assert_true(C[0] == 1 && C[3] == 4); /* no rows: nothing is added */
    rc__gemm_outer_mt(RC_PANEL_REAL, 2, 0, NULL, 2, &side, 1, false, enough);
    assert_true(C[0] == 0 && C[3] == 0);
    free(enough);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides),
        cmocka_unit_test(any_shapes),
        cmocka_unit_test(nothing_to_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
