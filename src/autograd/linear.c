/* linear.c - products: the linear layer over packed weights, and batched matmul. */
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/gemm.h"

/* ---- linear: y = x W^T + b,  x (M, K), W (N, K), b (N), y (M, N) ------------------------------------------------- */

typedef struct linear_node {
    rc__node n;
    rc_var *x, *w, *b;
    size_t M, N, K;
} linear_node;

static void linear_backward(rc_tape *t, rc__node *self) {
    linear_node *l = (linear_node *)self;
    const rc_real *dy = self->out.dx;
    bool add;
    rc_real *dx = rc__grad_to(t, l->x, &add);
    if (dx) { /* dx = dy W */
        const rc__packed *w = rc__tape_packed(t, l->w, true);
        if (!w) return;
        rc__gemm_packed_mt(l->M, dy, l->N, w, NULL, add, dx, l->K);
    }
    rc_real *dw = rc__grad_to(t, l->w, &add);
    rc__outer_side side = {.N = l->K, .B = l->x->x, .ldb = l->K, .C = dw, .ldc = l->K};
    if (dw && !rc__tape_outer(t, rc__var_precision(l->w), l->N, l->M, dy, l->N, &side, 1, add)) return; /* dy^T x */
    rc_real *db = l->b ? rc__grad_to(t, l->b, &add) : NULL;
    if (db)
        rc__sum_columns(t, &(rc__column_sums){.items = 1,
                                              .rows = l->M,
                                              .cols = l->N,
                                              .row_stride = l->N,
                                              .x = dy,
                                              .scale = 1,
                                              .out = db,
                                              .add = add});
}

rc_var *rc_linear(rc_tape *t, rc_var *x, rc_var *w, rc_var *b) {
    if (!rc__alive(t, "linear", 2, x, w) || (b && !rc__alive(t, "linear bias", 1, b))) return rc__dead(t);
    if (w->ndim != 2)
        return rc__op_fail(t, RC_EINVAL, "linear", "weight is %s, expected 2 dimensions",
                           rc__shape_text(w->ndim, w->dim));
    size_t N = w->dim[0], K = w->dim[1], dim[RC_MAX_DIMS];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != K)
        return rc__op_fail(t, RC_EINVAL, "linear", "x is %s, weight %s expects %zu", rc__shape_text(x->ndim, x->dim),
                           rc__shape_text(w->ndim, w->dim), K);
    if (b && (b->ndim != 1 || b->dim[0] != N))
        return rc__op_fail(t, RC_EINVAL, "linear", "bias is %s, weight %s expects (%zu)",
                           rc__shape_text(b->ndim, b->dim), rc__shape_text(w->ndim, w->dim), N);
    const rc__packed *packed = rc__tape_packed(t, w, false);
    if (!packed) return rc__dead(t);
    memcpy(dim, x->dim, sizeof dim);
    dim[x->ndim - 1] = N;
    linear_node *l = rc__node_new(t, sizeof *l, "linear", x->ndim, dim,
                                  x->needs_grad || w->needs_grad || (b && b->needs_grad), linear_backward);
    if (!l) return rc__dead(t);
    l->x = x;
    l->w = w;
    l->b = b;
    l->M = x->len / K;
    l->N = N;
    l->K = K;
    rc__gemm_packed_mt(l->M, x->x, K, packed, b ? b->x : NULL, false, l->n.out.x, N);
    return &l->n.out;
}

/* ---- matmul: C = op(A) op(B), op(A) (M, K), op(B) (K, N), a batch of them ---------------------------------------- */

typedef struct product { /* C[i] = or += op(A[i]) op(B[i]); a step of 0 repeats the matrix */
    bool ta, tb;
    size_t M, N, K;
    const rc_real *A, *B;
    rc_real *C;
    size_t a_step, b_step, c_step;
    bool add;
} product;

static void product_task(void *ctx, size_t i, int worker) {
    (void)worker;
    const product *p = ctx;
    rc__gemm(p->ta, p->tb, p->M, p->N, p->K, 1, p->A + i * p->a_step, p->ta ? p->M : p->K, p->B + i * p->b_step,
             p->tb ? p->K : p->N, p->add ? 1 : 0, p->C + i * p->c_step, p->N);
}

/* Small products go one to a thread; large ones, and those that add up in one C, are each cut over all threads. */
static void run_products(const product *p, size_t batch) {
    double work = 2.0 * (double)p->M * (double)p->N * (double)p->K;
    if (p->c_step && batch > 1 && work < 1e8) {
        rc__parallel(batch, work * (double)batch, product_task, (void *)(uintptr_t)p);
        return;
    }
    for (size_t i = 0; i < batch; i++)
        rc__gemm_mt(p->ta, p->tb, p->M, p->N, p->K, 1, p->A + i * p->a_step, p->ta ? p->M : p->K, p->B + i * p->b_step,
                    p->tb ? p->K : p->N, p->add || (i && !p->c_step) ? 1 : 0, p->C + i * p->c_step, p->N);
}

typedef struct matmul_node {
    rc__node n;
    rc_var *a, *b;
    bool ta, tb;
    size_t batch, M, N, K;
    size_t b_step; /* K * N, or 0: one b for all */
} matmul_node;

static void matmul_backward(rc_tape *t, rc__node *self) {
    matmul_node *m = (matmul_node *)self;
    size_t M = m->M, N = m->N, K = m->K, mk = M * K, mn = M * N;
    const rc_real *a = m->a->x, *b = m->b->x, *dy = self->out.dx;
    bool add;
    rc_real *da = rc__grad_to(t, m->a, &add);
    if (da && !m->ta) /* (M, K) = dC op(B)^T */
        run_products(&(product){false, !m->tb, M, K, N, dy, b, da, mn, m->b_step, mk, add}, m->batch);
    else if (da) /* (K, M) = op(B) dC^T */
        run_products(&(product){m->tb, true, K, M, N, b, dy, da, m->b_step, mn, mk, add}, m->batch);
    rc_real *db = rc__grad_to(t, m->b, &add);
    if (db && !m->tb) /* (K, N) = op(A)^T dC */
        run_products(&(product){!m->ta, false, K, N, M, a, dy, db, mk, mn, m->b_step, add}, m->batch);
    else if (db) /* (N, K) = dC^T op(A) */
        run_products(&(product){true, m->ta, N, K, M, dy, a, db, mn, mk, m->b_step, add}, m->batch);
}

static const char *swapped(bool trans) { return trans ? " transposed" : ""; }

rc_var *rc_matmul(rc_tape *t, rc_var *a, bool ta, rc_var *b, bool tb) {
    if (!rc__alive(t, "matmul", 2, a, b)) return rc__dead(t);
    const char *a_text = rc__shape_text(a->ndim, a->dim), *b_text = rc__shape_text(b->ndim, b->dim);
    if (a->ndim < 2 || b->ndim < 2)
        return rc__op_fail(t, RC_EINVAL, "matmul", "%s times %s: both need 2 dimensions or more", a_text, b_text);
    const size_t *da = a->dim + a->ndim - 2, *db = b->dim + b->ndim - 2;
    size_t M = da[ta], K = da[!ta], N = db[!tb], batch = 1, dim[RC_MAX_DIMS];
    bool fits = db[tb] == K && (b->ndim == 2 || b->ndim == a->ndim);
    for (int i = 0; i < a->ndim - 2; i++) {
        fits = fits && (b->ndim == 2 || b->dim[i] == a->dim[i]);
        batch *= a->dim[i];
    }
    if (!fits)
        return rc__op_fail(t, RC_EINVAL, "matmul", "%s%s times %s%s do not fit", a_text, swapped(ta), b_text,
                           swapped(tb));
    memcpy(dim, a->dim, sizeof dim);
    dim[a->ndim - 2] = M;
    dim[a->ndim - 1] = N;
    matmul_node *m =
        rc__node_new(t, sizeof *m, "matmul", a->ndim, dim, a->needs_grad || b->needs_grad, matmul_backward);
    if (!m) return rc__dead(t);
    m->a = a;
    m->b = b;
    m->ta = ta;
    m->tb = tb;
    m->K = K;
    m->N = N;
    m->b_step = b->ndim == 2 ? 0 : K * N;
    bool one = b->ndim == 2 && !ta; /* rows of all a's under each other: one product */
    m->batch = one ? 1 : batch;
    m->M = one ? batch * M : M;
    run_products(&(product){ta, tb, m->M, N, K, a->x, b->x, m->n.out.x, M * K, m->b_step, M * N, false}, m->batch);
    return &m->n.out;
}
