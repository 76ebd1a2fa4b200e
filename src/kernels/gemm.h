/* gemm.h - matrix products. All of these run on the calling thread alone, except the _mt ones, which cut the work into
 * tiles that do not depend on the number of threads. Row-major; ld* are row strides in elements.
 *
 * The bits of a row of C depend on shapes only, never on the number of threads. */
#ifndef RC_GEMM_H
#define RC_GEMM_H
#include "recur/base.h"

const char *rc__gemm_backend(void); /* "oneDNN 2.6.3", "CBLAS", "reference" */

/* A (K, N) matrix packed once for many products. */
typedef struct rc__packed {
    size_t K, N;
    void *impl;
} rc__packed;

/* Prepares (allocates) for a K x N matrix; the reference backend keeps a plain copy. */
rc_status rc__packed_init(rc__packed *p, size_t K, size_t N, rc_error *e);
void rc__packed_free(rc__packed *p);
/* Fills it from B: element (k, n) is B[k * ldb + n], or B[n * ldb + k] when trans (PyTorch's weights (N, K)). */
void rc__packed_set(rc__packed *p, const rc_real *B, size_t ldb, bool trans);
/* C (M, N) = A (M, K) B (+ C when accumulate) (+ bias (N) when not NULL; not together with accumulate). */
void rc__gemm_packed(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool accumulate,
                     rc_real *C, size_t ldc);
void rc__gemm_packed_mt(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias,
                        bool accumulate, rc_real *C, size_t ldc);

/* C (M, N) = alpha op(A) op(B) + beta C, op(A) (M, K). With ta, A is stored (K, M). */
void rc__gemm(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
              const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc);
void rc__gemm_mt(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
                 const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc);
#endif
