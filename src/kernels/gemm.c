/* gemm.c - matrix products.
 *
 * Products with a packed matrix - the recurrence, linear layers, softmax - and sums of outer products - weight gradients -
 * are our own kernels (panel.inc): beside oneDNN's matmul over prepacked weights they are as fast where the weights lie in
 * L2 and up to 1.4 times as fast where they come from L3, need no code generated per number of rows, and give an element
 * the same bits whatever is computed beside it (docs/performance.md has the numbers).
 * All other products are a library's: oneDNN's sgemm or CBLAS, each held to one thread, since the partition over threads is
 * ours; or plain loops, which are also the double build. What oneDNN refuses (it is out of memory) comes out as NaN.
 */
#include "kernels/gemm.h"
#include <string.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/parallel.h"

#if defined(RC_GEMM_ONEDNN) && !defined(RC_DOUBLE)
#define USE_ONEDNN 1
#elif defined(RC_GEMM_CBLAS) && !defined(RC_DOUBLE)
#define USE_CBLAS 1
#endif

/* Rows of a tile of the _mt products, columns of a packed one, and the blocks of a product with a long K: constants, so that
 * results do not depend on the number of threads. (The packed ones would not anyway.) */
#define TILE_M 96
#define TILE_N 512
#define BLOCK_K 512
#define OUTER_TILE_M 512
#define OUTER_TILE_N 256

const char *rc__precision_text(rc_precision p) {
    if (p == RC_INT8) return "int8 weights with a scale per row and fp32 sums";
    if (p != RC_BF16) return rc_precision_name(p);
    if (rc__k->panel.bf16_instruction) return "bf16 products with fp32 sums";
#if defined(__x86_64__)
    if (!rc__cpu_has_bf16()) return "bf16 by widening: this CPU has no bf16 instructions";
    if (!rc__cpu_bf16_pays()) return "bf16 by widening: this CPU's bf16 instruction is slower than its fp32 ones";
#endif
    return "bf16 by widening: the kernels in use have no bf16 instructions";
}

/* ---- packed ------------------------------------------------------------------------------------------------------ */

static size_t scale_bytes(const rc__packed *p) {
    return p->format == RC_PANEL_INT8 ? (p->N * sizeof(rc_real) + 63) / 64 * 64 : 0;
}

static rc_real *packed_scale(const rc__packed *p) { return p->format == RC_PANEL_INT8 ? p->impl : NULL; }

static void *packed_data(const rc__packed *p) { return (char *)p->impl + scale_bytes(p); }

rc_status rc__packed_init(rc__packed *p, rc__panel_format format, size_t K, size_t N, rc_error *e) {
    *p = (rc__packed){.K = K, .N = N, .format = format};
    size_t elements;
    if (rc__size_mul(K, N + rc__k->panel.width, &elements) && elements <= SIZE_MAX / 16) {
        p->bytes = scale_bytes(p) + rc__k->panel.bytes(format, K, N);
        p->impl = rc__alloc(p->bytes);
    }
    if (!p->impl) return rc_fail(e, RC_ENOMEM, "out of memory packing a (%zu, %zu) matrix", K, N);
    return RC_OK;
}

void rc__packed_free(rc__packed *p) {
    if (p->impl) rc__free(p->impl, p->bytes);
    *p = (rc__packed){0};
}

rc_status rc__packed_ready(rc__packed *p, rc__panel_format format, size_t K, size_t N, rc_error *e) {
    if (p->impl && p->format == format && p->K == K && p->N == N) return RC_OK;
    rc__packed_free(p);
    return rc__packed_init(p, format, K, N, e);
}

void rc__packed_set(rc__packed *p, const rc_real *B, size_t ldb, bool trans) {
    rc__k->panel.pack(p->format, p->K, p->N, B, ldb, trans, 0, p->N, packed_data(p), packed_scale(p));
}

void rc__gemm_share(size_t N, int rank, int size, size_t *first, size_t *last) {
    *first = 0;
    *last = N;
    if (size == 1) return; /* a step of a small layer notices two divisions */
    size_t width = rc__k->panel.width, panels = (N + width - 1) / width;
    *first = panels * (size_t)rank / (size_t)size * width;
    *last = panels * (size_t)(rank + 1) / (size_t)size * width;
    if (*last > N) *last = N;
    if (*first > *last) *first = *last;
}

void rc__gemm_packed_rows(size_t segments, const rc__panel_rows *rows, size_t lda, const rc__packed *B,
                          const rc_real *bias, bool accumulate, size_t ldc, size_t first, size_t last) {
    rc__k->panel.product(&(rc__panel_product){.format = B->format, .K = B->K, .N = B->N, .first = first, .last = last,
                                              .B = packed_data(B), .scale = packed_scale(B), .bias = bias,
                                              .add = accumulate, .lda = lda, .ldc = ldc, .rows = rows,
                                              .segments = segments});
}

void rc__gemm_packed(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool accumulate,
                     rc_real *C, size_t ldc) {
    rc__panel_rows rows = {A, C, M};
    if (M) rc__gemm_packed_rows(1, &rows, lda, B, bias, accumulate, ldc, 0, B->N);
}

/* ---- any other ------------------------------------------------------------------------------------------------------ */

#if USE_ONEDNN
#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>

const char *rc__gemm_backend(void) {
    static char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

/* oneDNN decides blocking and threads from this thread's OpenMP settings: one thread, always. */
static int one_thread(void) {
    int n = omp_get_max_threads();
    if (n != 1) omp_set_num_threads(1);
    return n;
}
static void restore_threads(int n) {
    if (n != 1) omp_set_num_threads(n);
}

/* oneDNN is out of memory (its own, beside our allocator): a result that nobody can take for one. */
static void fill_nan(float *x, size_t rows, size_t cols, size_t ld) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) x[i * ld + j] = NAN;
}

void rc__gemm(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
              const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc) {
    if (M == 0 || N == 0) return;
    int saved = one_thread();
    dnnl_status_t s = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)M, (dnnl_dim_t)N, (dnnl_dim_t)K, alpha, A,
                                 (dnnl_dim_t)lda, B, (dnnl_dim_t)ldb, beta, C, (dnnl_dim_t)ldc);
    if (s != dnnl_success) fill_nan(C, M, N, ldc);
    restore_threads(saved);
}

#else

#if USE_CBLAS
#include <cblas.h>
#include <pthread.h>
/* The threads are ours: OpenBLAS would start its own in each of them. Other libraries lack the function. */
extern void openblas_set_num_threads(int n) __attribute__((weak));
static void one_thread(void) {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
}
const char *rc__gemm_backend(void) { return "CBLAS"; }
#else
const char *rc__gemm_backend(void) { return "reference"; }
#endif

void rc__gemm(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
              const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc) {
    if (M == 0 || N == 0) return;
#if USE_CBLAS
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)M, (int)N, (int)K,
                alpha, A, (int)lda, B, (int)ldb, beta, C, (int)ldc);
#else
    for (size_t i = 0; i < M; i++) {
        rc_real *row = C + i * ldc;
        for (size_t j = 0; j < N; j++) row[j] = beta == 0 ? 0 : row[j] * beta;
        for (size_t k = 0; k < K; k++) {
            rc_real a = alpha * (ta ? A[k * lda + i] : A[i * lda + k]);
            if (tb)
                for (size_t j = 0; j < N; j++) row[j] += a * B[j * ldb + k];
            else
                for (size_t j = 0; j < N; j++) row[j] += a * B[k * ldb + j];
        }
    }
#endif
}
#endif

/* ---- over threads ------------------------------------------------------------------------------------------------ */

typedef struct packed_job {
    size_t M, lda, ldc, tiles_n, tile_n;
    const rc_real *A, *bias;
    const rc__packed *B;
    bool accumulate;
    rc_real *C;
} packed_job;

static void packed_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const packed_job *j = ctx;
    size_t m = task / j->tiles_n * TILE_M, n = task % j->tiles_n * j->tile_n, N = j->B->N;
    rc__panel_rows rows = {j->A + m * j->lda, j->C + m * j->ldc, j->M - m < TILE_M ? j->M - m : TILE_M};
    rc__gemm_packed_rows(1, &rows, j->lda, j->B, j->bias, j->accumulate, j->ldc, n, N - n < j->tile_n ? N : n + j->tile_n);
}

void rc__gemm_packed_mt(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias,
                        bool accumulate, rc_real *C, size_t ldc) {
    if (M == 0) return;
    size_t tiles_m = (M + TILE_M - 1) / TILE_M, width = rc__k->panel.width;
    packed_job j = {M, lda, ldc, 1, (B->N + width - 1) / width * width, A, bias, B, accumulate, C};
    if (tiles_m < 8) { /* few rows: columns are cut too */
        if (j.tile_n > TILE_N) j.tile_n = TILE_N;
        else j.tile_n = (j.tile_n / width + 1) / 2 * width;
        j.tiles_n = (B->N + j.tile_n - 1) / j.tile_n;
    }
    rc__parallel(tiles_m * j.tiles_n, 2.0 * (double)M * (double)B->N * (double)B->K, packed_task, &j);
}

/* C in tiles that stay in L2 while K passes. */
typedef struct outer_job {
    rc__outer_product p;
    size_t tile_m, tile_n, tiles_n, room_len; /* tile_n: columns of each side */
    bool add;
    rc_real *room;
} outer_job;

static outer_job outer_tiles(size_t M, size_t N1, size_t N2) {
    size_t N = N1 > N2 ? N1 : N2, both = N2 ? 2 : 1;
    outer_job j = {.tile_m = M < OUTER_TILE_M ? M : OUTER_TILE_M, .tile_n = N < OUTER_TILE_N ? N : OUTER_TILE_N};
    if (M <= OUTER_TILE_M && N <= OUTER_TILE_N) j.tile_m = (M + 1) / 2; /* one tile would leave one thread */
    j.tiles_n = (N + j.tile_n - 1) / j.tile_n;
    j.room_len = (rc__k->panel.outer_room(j.tile_m, both * j.tile_n) + 63) / 64 * 64;
    return j;
}

size_t rc__gemm_outer_room(size_t M, size_t N1, size_t N2) {
    return M && (N1 || N2) ? outer_tiles(M, N1, N2).room_len * (size_t)rc_threads() : 0;
}

static void outer_task(void *ctx, size_t task, int worker) {
    const outer_job *j = ctx;
    size_t m = task / j->tiles_n * j->tile_m, n = task % j->tiles_n * j->tile_n;
    rc__outer_product p = {.M = j->p.M - m < j->tile_m ? j->p.M - m : j->tile_m, .K = j->p.K, .lda = j->p.lda,
                           .format = j->p.format,
                           .A = j->p.A + m, .room = j->room + (size_t)worker * j->room_len};
    size_t sides = 0;
    for (size_t i = 0; i < j->p.sides; i++) {
        rc__outer_side s = j->p.side[i];
        if (n >= s.N) continue;
        s.N = s.N - n < j->tile_n ? s.N - n : j->tile_n;
        s.B += n;
        if (s.other) s.other += n;
        s.C += m * s.ldc + n;
        for (size_t r = 0; !j->add && r < p.M; r++) memset(s.C + r * s.ldc, 0, s.N * sizeof *s.C);
        p.side[sides++] = s;
    }
    p.sides = sides;
    rc__k->panel.outer(&p);
}

void rc__gemm_outer_mt(rc__panel_format format, size_t M, size_t K, const rc_real *A, size_t lda,
                       const rc__outer_side *side, size_t sides, bool accumulate, rc_real *room) {
    size_t N1 = side[0].N, N2 = sides > 1 ? side[1].N : 0;
    if (M == 0 || (N1 == 0 && N2 == 0)) return;
    outer_job j = outer_tiles(M, N1, N2);
    j.p = (rc__outer_product){.M = M, .K = K, .lda = lda, .A = A, .sides = sides, .format = format};
    memcpy(j.p.side, side, sides * sizeof *side);
    j.add = accumulate;
    j.room = room;
    size_t tiles_m = (M + j.tile_m - 1) / j.tile_m;
    rc__parallel(tiles_m * j.tiles_n, 2.0 * (double)M * (double)(N1 + N2) * (double)K, outer_task, &j);
}

typedef struct gemm_job {
    bool ta, tb;
    size_t M, N, K, lda, ldb, ldc, tile_m, tile_n, tiles_n;
    rc_real alpha, beta;
    const rc_real *A, *B;
    rc_real *C;
} gemm_job;

static void gemm_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const gemm_job *j = ctx;
    size_t m0 = task / j->tiles_n * j->tile_m, n0 = task % j->tiles_n * j->tile_n;
    size_t M = j->M - m0 < j->tile_m ? j->M - m0 : j->tile_m, N = j->N - n0 < j->tile_n ? j->N - n0 : j->tile_n;
    for (size_t k0 = 0; k0 < j->K || k0 == 0; k0 += BLOCK_K) {
        size_t K = j->K - k0 < BLOCK_K ? j->K - k0 : BLOCK_K;
        const rc_real *A = j->ta ? j->A + k0 * j->lda + m0 : j->A + m0 * j->lda + k0;
        const rc_real *B = j->tb ? j->B + n0 * j->ldb + k0 : j->B + k0 * j->ldb + n0;
        rc__gemm(j->ta, j->tb, M, N, K, j->alpha, A, j->lda, B, j->ldb, k0 ? 1 : j->beta, j->C + m0 * j->ldc + n0,
                 j->ldc);
    }
}

void rc__gemm_mt(bool ta, bool tb, size_t M, size_t N, size_t K, rc_real alpha, const rc_real *A, size_t lda,
                 const rc_real *B, size_t ldb, rc_real beta, rc_real *C, size_t ldc) {
    if (M == 0 || N == 0) return;
    gemm_job j = {ta, tb, M, N, K, lda, ldb, ldc, 0, 0, 0, alpha, beta, A, B, C};
    /* Tiles of at most 256 x 512; of 65 to 256 rows, two halves. */
    j.tile_m = M <= 256 ? (M > 64 ? (M + 1) / 2 : M) : 256;
    j.tile_n = N < TILE_N ? N : TILE_N;
    j.tiles_n = (N + j.tile_n - 1) / j.tile_n;
    size_t tiles_m = (M + j.tile_m - 1) / j.tile_m;
    rc__parallel(tiles_m * j.tiles_n, 2.0 * (double)M * (double)N * (double)K, gemm_task, &j);
}
