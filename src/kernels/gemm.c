/* gemm.c - matrix products: oneDNN's matmul over prepacked weights, CBLAS, or plain loops (the reference, and double).
 *
 * oneDNN. A primitive is made per (M, K, N, lda, ldc, bias, accumulate) and kept per thread, so that execution shares
 * nothing: memory objects and scratchpad are the thread's own. Primitives are made and run with one OpenMP thread; the
 * partition over threads is ours. The packed layout is asked for once per (K, N) at M = 16, and every M uses that one.
 * What oneDNN refuses (it is out of memory) comes out as NaN.
 */
#include "kernels/gemm.h"
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"

#if defined(RC_GEMM_ONEDNN) && !defined(RC_DOUBLE)
#define USE_ONEDNN 1
#elif defined(RC_GEMM_CBLAS) && !defined(RC_DOUBLE)
#define USE_CBLAS 1
#endif

/* Row tile of the _mt products, and the blocks of a product with a long K: constants, so that results do not depend on
 * the number of threads. */
#define TILE_M 64
#define TILE_N 512
#define BLOCK_K 512

#if USE_ONEDNN
#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

const char *rc__gemm_backend(void) {
    static char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

typedef struct layout { /* of a packed K x N matrix */
    dnnl_memory_desc_t md;
    size_t bytes;
} layout;

typedef struct key {
    size_t M, K, N, lda, ldc;
    uint32_t flags; /* 1 bias, 2 accumulate */
} key;

typedef struct entry {
    key k;
    dnnl_primitive_t prim;
    dnnl_memory_t src, wei, dst, bias, scratch;
} entry;

typedef struct packer { /* a reorder of a plain matrix into its packed layout */
    size_t K, N, ldb;
    bool trans;
    dnnl_primitive_t prim;
    dnnl_memory_t from, to;
} packer;

#define CACHE_BITS 10
#define CACHE_SIZE ((size_t)1 << CACHE_BITS)
typedef struct cache { /* one per thread; cleared when three quarters full */
    entry slot[CACHE_SIZE];
    size_t used;
    packer pack[64];
    size_t packers;
    void *scratch;
    size_t scratch_bytes;
    float *dense; /* copies of strided operands */
    size_t dense_len;
    dnnl_stream_t stream;
} cache;

static dnnl_engine_t engine;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static pthread_key_t cache_key;
static _Thread_local cache *my_cache;

static void packer_free(packer *p) {
    if (p->from) dnnl_memory_destroy(p->from);
    if (p->to) dnnl_memory_destroy(p->to);
    if (p->prim) dnnl_primitive_destroy(p->prim);
    memset(p, 0, sizeof *p);
}

static void packers_clear(cache *c) {
    for (size_t i = 0; i < c->packers; i++) packer_free(&c->pack[i]);
    c->packers = 0;
}

static void entry_free(entry *e) { /* of an entry filled in part too */
    dnnl_memory_t all[] = {e->src, e->wei, e->dst, e->bias, e->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) dnnl_memory_destroy(all[i]);
    if (e->prim) dnnl_primitive_destroy(e->prim);
    memset(e, 0, sizeof *e);
}

static void cache_clear(cache *c) {
    for (size_t i = 0; i < CACHE_SIZE; i++) entry_free(&c->slot[i]);
    c->used = 0;
}

static void cache_free(void *p) {
    cache *c = p;
    cache_clear(c);
    packers_clear(c);
    dnnl_stream_destroy(c->stream);
    free(c->scratch);
    free(c->dense);
    free(c);
    my_cache = NULL;
}

static void engine_init(void) {
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
    if (pthread_key_create(&cache_key, cache_free) != 0) engine = NULL;
}

static bool engine_ready(void) {
    pthread_once(&engine_once, engine_init);
    return engine != NULL;
}

/* The thread's cache lives as long as the thread, outside the replaceable allocator like oneDNN's own memory. */
static cache *cache_get(void) {
    if (my_cache) return my_cache;
    if (!engine_ready()) return NULL;
    cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    if (dnnl_stream_create(&c->stream, engine, dnnl_stream_default_flags) != dnnl_success) {
        free(c);
        return NULL;
    }
    pthread_setspecific(cache_key, c);
    my_cache = c;
    return c;
}

static void plain_md(dnnl_memory_desc_t *md, size_t rows, size_t cols, size_t row_stride, size_t col_stride) {
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    dnnl_dims_t strides = {(dnnl_dim_t)row_stride, (dnnl_dim_t)col_stride};
    dnnl_memory_desc_init_by_strides(md, 2, dims, dnnl_f32, strides);
}

/* wei->format_kind any asks oneDNN for its layout; otherwise uses that one. */
static dnnl_status_t make_pd(dnnl_primitive_desc_t *pd, const key *k, const dnnl_memory_desc_t *wei) {
    dnnl_memory_desc_t src, dst, bias;
    plain_md(&src, k->M, k->K, k->lda, 1);
    plain_md(&dst, k->M, k->N, k->ldc, 1);
    dnnl_dims_t bias_dims = {1, (dnnl_dim_t)k->N};
    dnnl_memory_desc_init_by_tag(&bias, 2, bias_dims, dnnl_f32, dnnl_ab);
    dnnl_matmul_desc_t desc;
    dnnl_status_t s = dnnl_matmul_desc_init(&desc, &src, wei, (k->flags & 1) ? &bias : NULL, &dst);
    if (s != dnnl_success) return s;
    dnnl_primitive_attr_t attr;
    s = dnnl_primitive_attr_create(&attr);
    if (s != dnnl_success) return s;
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (k->flags & 2) {
        dnnl_post_ops_t ops;
        dnnl_post_ops_create(&ops);
        dnnl_post_ops_append_sum(ops, 1.0f);
        dnnl_primitive_attr_set_post_ops(attr, ops);
        dnnl_post_ops_destroy(ops);
    }
    s = dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
    dnnl_primitive_attr_destroy(attr);
    return s;
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

static bool fill_entry(cache *c, entry *e, const key *k, const dnnl_memory_desc_t *wei) {
    dnnl_primitive_desc_t pd;
    if (make_pd(&pd, k, wei) != dnnl_success) return false;
    bool ok = dnnl_primitive_create(&e->prim, pd) == dnnl_success;
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t need = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    dnnl_memory_desc_t src, dst, bias;
    plain_md(&src, k->M, k->K, k->lda, 1);
    plain_md(&dst, k->M, k->N, k->ldc, 1);
    dnnl_dims_t bias_dims = {1, (dnnl_dim_t)k->N};
    dnnl_memory_desc_init_by_tag(&bias, 2, bias_dims, dnnl_f32, dnnl_ab);
    if (ok && need > c->scratch_bytes) { /* grown: every entry is given the new block when it runs */
        void *p = NULL;
        ok = posix_memalign(&p, 4096, need) == 0;
        if (ok) {
            free(c->scratch);
            c->scratch = p;
            c->scratch_bytes = need;
        }
    }
    ok = ok && dnnl_memory_create(&e->src, &src, engine, DNNL_MEMORY_NONE) == dnnl_success;
    ok = ok && dnnl_memory_create(&e->wei, wei, engine, DNNL_MEMORY_NONE) == dnnl_success;
    ok = ok && dnnl_memory_create(&e->dst, &dst, engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (ok && (k->flags & 1)) ok = dnnl_memory_create(&e->bias, &bias, engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (ok && need) ok = dnnl_memory_create(&e->scratch, scratch, engine, DNNL_MEMORY_NONE) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    if (ok) e->k = *k;
    return ok;
}

static entry *cache_find(const key *k, const dnnl_memory_desc_t *wei) {
    cache *c = cache_get();
    if (!c) return NULL;
    uint64_t h = k->M * 0x9E3779B97F4A7C15u;
    h = (h ^ k->K) * 0xBF58476D1CE4E5B9u;
    h = (h ^ k->N) * 0x94D049BB133111EBu;
    h = (h ^ (k->lda * 31 + k->ldc) ^ ((uint64_t)k->flags << 40)) * 0x9E3779B97F4A7C15u;
    for (size_t i = h >> (64 - CACHE_BITS);; i = (i + 1) & (CACHE_SIZE - 1)) {
        entry *e = &c->slot[i];
        if (e->prim) {
            if (e->k.M == k->M && e->k.K == k->K && e->k.N == k->N && e->k.lda == k->lda && e->k.ldc == k->ldc &&
                e->k.flags == k->flags)
                return e;
            continue;
        }
        if (c->used >= CACHE_SIZE * 3 / 4) {
            cache_clear(c);
            return cache_find(k, wei);
        }
        if (!fill_entry(c, e, k, wei)) {
            entry_free(e);
            return NULL;
        }
        c->used++;
        return e;
    }
}

rc_status rc__packed_init(rc__packed *p, size_t K, size_t N, rc_error *e) {
    *p = (rc__packed){.K = K, .N = N};
    if (!engine_ready()) return rc_fail(e, RC_ENOMEM, "oneDNN: cannot create a CPU engine");
    int saved = one_thread();
    dnnl_dims_t dims = {(dnnl_dim_t)K, (dnnl_dim_t)N};
    dnnl_memory_desc_t any;
    dnnl_memory_desc_init_by_tag(&any, 2, dims, dnnl_f32, dnnl_format_tag_any);
    key k = {16, K, N, K, N, 0};
    dnnl_primitive_desc_t pd;
    dnnl_status_t s = make_pd(&pd, &k, &any);
    restore_threads(saved);
    if (s != dnnl_success) return rc_fail(e, RC_ENOMEM, "oneDNN: no matmul for a (%zu, %zu) matrix", K, N);
    layout *l = rc__alloc(sizeof *l);
    if (l) {
        l->md = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        l->bytes = dnnl_memory_desc_get_size(&l->md);
    }
    dnnl_primitive_desc_destroy(pd);
    char *block = l ? rc__alloc(sizeof(layout) + 64 + l->bytes) : NULL;
    if (!block) {
        rc__free(l, sizeof *l);
        return rc_fail(e, RC_ENOMEM, "out of memory packing a (%zu, %zu) matrix", K, N);
    }
    memcpy(block, l, sizeof *l);
    rc__free(l, sizeof *l);
    p->impl = block;
    return RC_OK;
}

static float *packed_data(const rc__packed *p) {
    return (float *)((char *)p->impl + (sizeof(layout) + 63) / 64 * 64);
}

void rc__packed_free(rc__packed *p) {
    if (p->impl) rc__free(p->impl, sizeof(layout) + 64 + ((layout *)p->impl)->bytes);
    *p = (rc__packed){0};
}

/* oneDNN is out of memory (its own, beside our allocator): a result that nobody can take for one. */
static void fill_nan(float *x, size_t rows, size_t cols, size_t ld) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) x[i * ld + j] = NAN;
}

static packer *packer_find(cache *c, const rc__packed *p, size_t ldb, bool trans) {
    for (size_t i = 0; i < c->packers; i++) {
        packer *k = &c->pack[i];
        if (k->K == p->K && k->N == p->N && k->ldb == ldb && k->trans == trans) return k;
    }
    if (c->packers == sizeof c->pack / sizeof *c->pack) packers_clear(c);
    packer *k = &c->pack[c->packers];
    const layout *l = p->impl;
    dnnl_memory_desc_t plain;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd = NULL;
    plain_md(&plain, p->K, p->N, trans ? 1 : ldb, trans ? ldb : 1);
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
    bool ok = dnnl_reorder_primitive_desc_create(&pd, &plain, engine, &l->md, engine, attr) == dnnl_success &&
              dnnl_primitive_create(&k->prim, pd) == dnnl_success &&
              dnnl_memory_create(&k->from, &plain, engine, DNNL_MEMORY_NONE) == dnnl_success &&
              dnnl_memory_create(&k->to, &l->md, engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (pd) dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    if (!ok) {
        packer_free(k);
        return NULL;
    }
    k->K = p->K;
    k->N = p->N;
    k->ldb = ldb;
    k->trans = trans;
    c->packers++;
    return k;
}

void rc__packed_set(rc__packed *p, const rc_real *B, size_t ldb, bool trans) {
    int saved = one_thread();
    cache *c = cache_get();
    packer *k = c ? packer_find(c, p, ldb, trans) : NULL;
    bool ok = k != NULL;
    if (k) {
        dnnl_memory_set_data_handle_v2(k->from, (void *)(uintptr_t)B, c->stream);
        dnnl_memory_set_data_handle_v2(k->to, packed_data(p), c->stream);
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, k->from}, {DNNL_ARG_TO, k->to}};
        ok = dnnl_primitive_execute(k->prim, c->stream, 2, args) == dnnl_success;
    }
    if (!ok) fill_nan(packed_data(p), 1, ((const layout *)p->impl)->bytes / sizeof(float), 0);
    restore_threads(saved);
}

static void product(const key *k, const rc_real *A, const dnnl_memory_desc_t *wei, const float *B, const rc_real *bias,
                    rc_real *C) {
    int saved = one_thread();
    entry *e = cache_find(k, wei);
    bool ok = e != NULL;
    if (e) {
        cache *c = my_cache;
        int n = 0;
        dnnl_exec_arg_t args[5];
        dnnl_memory_set_data_handle_v2(e->src, (void *)(uintptr_t)A, c->stream);
        dnnl_memory_set_data_handle_v2(e->wei, (void *)(uintptr_t)B, c->stream);
        dnnl_memory_set_data_handle_v2(e->dst, C, c->stream);
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, e->src};
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, e->wei};
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_DST, e->dst};
        if (e->bias) {
            dnnl_memory_set_data_handle_v2(e->bias, (void *)(uintptr_t)bias, c->stream);
            args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, e->bias};
        }
        if (e->scratch) {
            dnnl_memory_set_data_handle_v2(e->scratch, c->scratch, c->stream);
            args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, e->scratch};
        }
        ok = dnnl_primitive_execute(e->prim, c->stream, n, args) == dnnl_success;
    }
    if (!ok) fill_nan(C, k->M, k->N, k->ldc);
    restore_threads(saved);
}

/* oneDNN's fast matmul (brgemm) wants dense operands; a strided one falls to an implementation hundreds of times
 * slower. The copies here cost 1/(2N) and 1/(2K) of the product. */
static float *dense_room(size_t len) {
    cache *c = cache_get();
    if (!c) return NULL;
    if (len > c->dense_len) {
        void *p = NULL;
        if (posix_memalign(&p, 64, len * sizeof(float)) != 0) return NULL;
        free(c->dense);
        c->dense = p;
        c->dense_len = len;
    }
    return c->dense;
}

void rc__gemm_packed(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool accumulate,
                     rc_real *C, size_t ldc) {
    if (M == 0) return;
    const layout *l = B->impl;
    size_t K = B->K, N = B->N, a_len = lda != K && M > 1 ? (M * K + 15) / 16 * 16 : 0;
    bool apart = ldc != N && M > 1; /* C is strided: product first, then rows */
    float *room = a_len || apart ? dense_room(a_len + M * N) : NULL;
    if ((a_len || apart) && !room) { /* out of memory: single rows need no copies */
        for (size_t i = 0; i < M; i++) rc__gemm_packed(1, A + i * lda, lda, B, bias, accumulate, C + i * ldc, ldc);
        return;
    }
    if (a_len) {
        for (size_t i = 0; i < M; i++) memcpy(room + i * K, A + i * lda, K * sizeof *room);
        A = room;
    }
    float *to = apart ? room + a_len : C;
    key k = {M, K, N, K, N, (bias ? 1u : 0u) | (accumulate && !apart ? 2u : 0u)};
    product(&k, A, &l->md, packed_data(B), bias, to);
    for (size_t i = 0; apart && i < M; i++) {
        if (accumulate)
            for (size_t j = 0; j < N; j++) C[i * ldc + j] += to[i * N + j];
        else
            memcpy(C + i * ldc, to + i * N, N * sizeof *C);
    }
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

#else /* a plain copy of the matrix, transposed to (K, N) */

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

rc_status rc__packed_init(rc__packed *p, size_t K, size_t N, rc_error *e) {
    *p = (rc__packed){.K = K, .N = N};
    size_t bytes;
    if (!rc__size_mul(K, N, &bytes) || !rc__size_mul(bytes, sizeof(rc_real), &bytes) || !(p->impl = rc__alloc(bytes)))
        return rc_fail(e, RC_ENOMEM, "out of memory packing a (%zu, %zu) matrix", K, N);
    return RC_OK;
}

void rc__packed_free(rc__packed *p) {
    rc__free(p->impl, p->K * p->N * sizeof(rc_real));
    *p = (rc__packed){0};
}

void rc__packed_set(rc__packed *p, const rc_real *B, size_t ldb, bool trans) {
    rc_real *to = p->impl;
    for (size_t k = 0; k < p->K; k++)
        for (size_t n = 0; n < p->N; n++) to[k * p->N + n] = trans ? B[n * ldb + k] : B[k * ldb + n];
}

void rc__gemm_packed(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool accumulate,
                     rc_real *C, size_t ldc) {
    size_t N = B->N;
    if (bias)
        for (size_t i = 0; i < M; i++) memcpy(C + i * ldc, bias, N * sizeof *C);
    rc__gemm(false, false, M, N, B->K, 1, A, lda, B->impl, N, bias || accumulate ? 1 : 0, C, ldc);
}

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
    size_t M, lda, ldc;
    const rc_real *A, *bias;
    const rc__packed *B;
    bool accumulate;
    rc_real *C;
} packed_job;

static void packed_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const packed_job *j = ctx;
    size_t first = task * TILE_M, rows = j->M - first < TILE_M ? j->M - first : TILE_M;
    rc__gemm_packed(rows, j->A + first * j->lda, j->lda, j->B, j->bias, j->accumulate, j->C + first * j->ldc, j->ldc);
}

void rc__gemm_packed_mt(size_t M, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias,
                        bool accumulate, rc_real *C, size_t ldc) {
    packed_job j = {M, lda, ldc, A, bias, B, accumulate, C};
    rc__parallel((M + TILE_M - 1) / TILE_M, 2.0 * (double)M * (double)B->N * (double)B->K, packed_task, &j);
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
