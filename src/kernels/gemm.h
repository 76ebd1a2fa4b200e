/* gemm.h - matrix products. All of these run on the calling thread alone, except the _mt ones. Row-major; ld* are row
 * strides in elements.
 *
 * Packed and outer products: the bits of an element of C depend on its row of A, its column of B and the build of the
 * kernels, on nothing else. Others: on shapes too, never on the number of threads. */
#ifndef RC_GEMM_H
#define RC_GEMM_H
#include "kernels/kernels.h"

const char *rc__gemm_backend(void); /* "oneDNN 2.6.3", "CBLAS", "reference" */

/* A (K, N) matrix packed once for many products. bf16 and int8 keep less of it; sums are float all the same. */
typedef struct rc__packed {
    size_t K, N;
    rc__panel_format format;
    void *impl;  /* int8: the scales (N), then the panels */
    size_t bytes;
} rc__packed;

static inline rc__panel_format rc__format_of(rc_precision p) {
    return p == RC_BF16 ? RC_PANEL_BF16 : p == RC_INT8 ? RC_PANEL_INT8 : RC_PANEL_REAL;
}
static inline size_t rc__weight_bytes(rc_precision p) { return p == RC_BF16 ? 2 : p == RC_INT8 ? 1 : sizeof(rc_real); }

/* How products in this precision are made by the kernels in use, for people: "int8 weights with a scale per row ...". */
const char *rc__precision_text(rc_precision p);

/* Prepares (allocates) for a K x N matrix. */
rc_status rc__packed_init(rc__packed *p, rc__panel_format format, size_t K, size_t N, rc_error *e);
void rc__packed_free(rc__packed *p);
/* The same for one that may have memory: kept when it fits. On failure p has none. */
rc_status rc__packed_ready(rc__packed *p, rc__panel_format format, size_t K, size_t N, rc_error *e);
/* Fills it from B: element (k, n) is B[k * ldb + n], or B[n * ldb + k] when trans (PyTorch's weights (N, K)). */
void rc__packed_set(rc__packed *p, const rc_real *B, size_t ldb, bool trans);
/* C (M, N) = A (M, K) B (+ C when accumulate) (+ bias (N) when not NULL; not together with accumulate). */
void rc__gemm_packed(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool accumulate,
                     rc_real *C, size_t ldc);
void rc__gemm_packed_mt(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias,
                        bool accumulate, rc_real *C, size_t ldc);
/* The columns that member `rank` of a team of `size` makes of a product N wide: whole panels, or none (first == last). */
void rc__gemm_share(size_t N, int rank, int size, size_t *first, size_t *last);
/* The same as rc__gemm_packed for groups of rows, and columns [first, last) of B and C alone: multiples of a panel, or N. */
void rc__gemm_packed_rows(size_t segments, const rc__panel_rows *rows, size_t lda, const rc__packed *B,
                          const rc_real *bias, bool accumulate, size_t ldc, size_t first, size_t last);

/* Weight gradients: C (M, N) = A^T B (+ C when accumulate) over K rows of A (K, M), for one or two sides B (K, N) that share
 * the A; in pieces of K that are added up one after the other. room: rc__gemm_outer_room(M, N of the one, N of the other or
 * 0) elements, of no use afterwards. format: real, or bf16: of A and B rounded. */
size_t rc__gemm_outer_room(size_t M, size_t N1, size_t N2);
void rc__gemm_outer_mt(rc__panel_format format, size_t M, size_t K, const rc_real *A, size_t lda,
                       const rc__outer_side *side, size_t sides, bool accumulate, rc_real *room);

/* C (M, N) = alpha op(A) op(B) + beta C, op(A) (M, K). With ta, A is stored (K, M). */
void rc__gemm(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
              const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc);
void rc__gemm_mt(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
                 const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc);
#endif
