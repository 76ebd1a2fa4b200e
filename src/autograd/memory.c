/* memory.c - networks that look sentences up, several of them side by side. Features of the copies (heads) lie one after the
 * other in a row: H heads of D columns. Sequences lie packed: all rows of the first, then of the second. Letters: B sequences,
 * N rows in all, H heads, D columns of a head, O outputs of a head. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/gemm.h"

/* Where each sequence begins, (B + 1); NULL (tape marked) when lengths do not sum up to rows. */
static size_t *starts_of(rc_tape *t, const char *op, const int32_t *lengths, size_t B, size_t rows) {
    size_t *start = rc__tape_alloc(t, (B + 1) * sizeof *start);
    if (!start) return NULL;
    start[0] = 0;
    for (size_t b = 0; b < B; b++) {
        if (!lengths || lengths[b] < 0 || (size_t)lengths[b] > rows - start[b]) {
            rc__op_fail(t, RC_EINVAL, op, "length of sequence %zu: expected 0 to %zu rows", b, rows - start[b]);
            return NULL;
        }
        start[b + 1] = start[b] + (size_t)lengths[b];
    }
    if (start[B] == rows) return start;
    rc__op_fail(t, RC_EINVAL, op, "the lengths sum up to %zu, expected %zu rows", start[B], rows);
    return NULL;
}

static bool matrix(const rc_var *x) { return x->ndim == 2; }

/* ---- a product for each head ------------------------------------------------------------------------------------- */

typedef struct heads_node {
    rc__node n;
    rc_var *x, *w, *b;
    size_t N, H, K, O;
} heads_node;

typedef struct heads_job {
    const heads_node *s;
    const rc_real *in;
    rc_real *out;
    size_t in_width, out_width; /* of a head */
    bool back, add;
    char *room; /* H packed matrices of `bytes` */
    size_t bytes;
} heads_job;

static void head_product(void *ctx, size_t h, int worker) {
    (void)worker;
    const heads_job *j = ctx;
    const heads_node *s = j->s;
    void *packed = j->room + h * j->bytes;
    rc__k->panel.pack(RC_PANEL_REAL, j->in_width, j->out_width, s->w->x + h * s->K, s->H * s->K, !j->back, 0, j->out_width,
                      packed, NULL);
    rc__panel_rows rows = {j->in + h * j->in_width, j->out + h * j->out_width, s->N};
    rc__panel_product p = {.format = RC_PANEL_REAL,
                           .K = j->in_width,
                           .N = j->out_width,
                           .last = j->out_width,
                           .B = packed,
                           .bias = !j->back && s->b ? s->b->x + h * s->O : NULL,
                           .add = j->add,
                           .lda = s->H * j->in_width,
                           .ldc = s->H * j->out_width,
                           .rows = &rows,
                           .segments = 1};
    rc__k->panel.product(&p);
}

static bool run_heads(rc_tape *t, heads_job *j) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    const heads_node *s = j->s;
    j->bytes = (rc__k->panel.bytes(RC_PANEL_REAL, j->in_width, j->out_width) + 63) / 64 * 64;
    j->room = rc__tape_alloc(t, s->H * j->bytes);
    if (j->room) rc__parallel(s->H, 2.0 * (double)(s->N * s->H) * (double)(s->K * s->O), head_product, j);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return j->room != NULL;
}

static void heads_backward(rc_tape *t, rc__node *self) {
    heads_node *s = (heads_node *)self;
    const rc_real *dy = self->out.dx;
    bool add;
    rc_real *dx = rc__grad_to(t, s->x, &add);
    if (dx && !run_heads(t, &(heads_job){.s = s, .in = dy, .out = dx, .in_width = s->O, .out_width = s->K, .back = true, .add = add}))
        return;
    rc_real *dw = rc__grad_to(t, s->w, &add);
    for (size_t h = 0; dw && h < s->H; h++) {
        rc__outer_side side = {
            .N = s->K, .B = s->x->x + h * s->K, .ldb = s->H * s->K, .C = dw + h * s->K, .ldc = s->H * s->K};
        if (!rc__tape_outer(t, RC_FP32, s->O, s->N, dy + h * s->O, s->H * s->O, &side, 1, add)) return;
    }
    rc_real *db = s->b ? rc__grad_to(t, s->b, &add) : NULL;
    size_t cols = s->H * s->O;
    if (db)
        rc__sum_columns(t, &(rc__column_sums){
                               .items = 1, .rows = s->N, .cols = cols, .row_stride = cols, .x = dy, .scale = 1, .out = db, .add = add});
}

rc_var *rc_linear_heads(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, size_t heads) {
    const char *op = "linear_heads";
    if (!rc__alive(t, op, 2, x, w) || (b && !rc__alive(t, op, 1, b))) return rc__dead(t);
    if (!matrix(x) || !matrix(w) || !heads || x->dim[1] % heads || x->dim[1] != w->dim[1])
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, w is %s; expected (N, H K) and (O, H K) with %zu heads",
                           rc__shape_text(x->ndim, x->dim), rc__shape_text(w->ndim, w->dim), heads);
    size_t N = x->dim[0], O = w->dim[0];
    if (b && (b->ndim != 1 || b->dim[0] != heads * O))
        return rc__op_fail(t, RC_EINVAL, op, "bias is %s, expected (%zu)", rc__shape_text(b->ndim, b->dim), heads * O);
    heads_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){N, heads * O},
                                 x->needs_grad || w->needs_grad || (b && b->needs_grad), heads_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->w = w, s->b = b;
    s->N = N, s->H = heads, s->K = x->dim[1] / heads, s->O = O;
    heads_job j = {.s = s, .in = x->x, .out = s->n.out.x, .in_width = s->K, .out_width = O};
    return run_heads(t, &j) ? &s->n.out : rc__dead(t);
}

/* ---- reading a memory -------------------------------------------------------------------------------------------- */

typedef struct read_node {
    rc__node n;
    rc_var *u, *k, *v;
    const size_t *start;
    size_t B, H, D;
    bool softmax;
    rc_real *p; /* (N, H) weights */
} read_node;

typedef struct read_job {
    const read_node *s;
    rc_real *du, *dk, *dv;
    rc_real *room; /* a worker: 3 columns of the longest sequence */
    size_t longest;
} read_job;

static void read_task(void *ctx, size_t b, int worker) {
    const read_job *j = ctx;
    const read_node *s = j->s;
    size_t H = s->H, D = s->D, F = H * D, from = s->start[b], n = s->start[b + 1] - from;
    rc_real *column = j->room + (size_t)worker * 3 * j->longest, *y = s->n.out.x + b * F;
    memset(y, 0, F * sizeof *y);
    for (size_t h = 0; n && h < H; h++) {
        const rc_real *u = s->u->x + b * F + h * D;
        for (size_t i = 0; i < n; i++) column[i] = (rc_real)rc__k->pw.dot(D, u, s->k->x + (from + i) * F + h * D);
        if (s->softmax) rc__k->row.softmax(1, n, column, column);
        for (size_t i = 0; i < n; i++) {
            s->p[(from + i) * H + h] = column[i];
            rc__k->pw.axpy(D, column[i], s->v->x + (from + i) * F + h * D, y + h * D);
        }
    }
}

static void read_back_task(void *ctx, size_t b, int worker) {
    const read_job *j = ctx;
    const read_node *s = j->s;
    size_t H = s->H, D = s->D, F = H * D, from = s->start[b], n = s->start[b + 1] - from;
    rc_real *p = j->room + (size_t)worker * 3 * j->longest, *dp = p + j->longest, *ds = dp + j->longest;
    for (size_t h = 0; n && h < H; h++) {
        const rc_real *dy = s->n.out.dx + b * F + h * D, *u = s->u->x + b * F + h * D;
        for (size_t i = 0; i < n; i++) {
            size_t at = (from + i) * F + h * D;
            p[i] = s->p[(from + i) * H + h];
            dp[i] = (rc_real)rc__k->pw.dot(D, dy, s->v->x + at);
            ds[i] = s->softmax ? 0 : dp[i];
            if (j->dv) rc__k->pw.axpy(D, p[i], dy, j->dv + at);
        }
        if (s->softmax) rc__k->row.softmax_back(1, n, p, dp, ds);
        for (size_t i = 0; i < n; i++) {
            size_t at = (from + i) * F + h * D;
            if (j->dk) rc__k->pw.axpy(D, ds[i], u, j->dk + at);
            if (j->du) rc__k->pw.axpy(D, ds[i], s->k->x + at, j->du + b * F + h * D);
        }
    }
}

static bool run_read(rc_tape *t, read_job *j, void (*task)(void *, size_t, int)) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    const read_node *s = j->s;
    for (size_t b = 0; b < s->B; b++)
        if (s->start[b + 1] - s->start[b] > j->longest) j->longest = s->start[b + 1] - s->start[b];
    j->room = rc__tape_alloc(t, ((size_t)rc__workers() * 3 * j->longest + 1) * sizeof *j->room);
    if (j->room) rc__parallel(s->B, RC__WORK(s->start[s->B] * s->H * s->D), task, j);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return j->room != NULL;
}

static void read_backward(rc_tape *t, rc__node *self) {
    read_node *s = (read_node *)self;
    read_job j = {.s = s, .du = rc__grad(t, s->u), .dk = rc__grad(t, s->k), .dv = rc__grad(t, s->v)};
    if (j.du || j.dk || j.dv) run_read(t, &j, read_back_task);
}

rc_var *rc_memory_read(rc_tape *t, rc_var *u, rc_var *k, rc_var *v, const int32_t *lengths, size_t heads, bool softmax,
                       const rc_real **weights) {
    const char *op = "memory_read";
    if (!rc__alive(t, op, 3, u, k, v)) return rc__dead(t);
    if (!matrix(u) || !matrix(k) || !matrix(v) || !heads || u->dim[1] % heads || k->dim[1] != u->dim[1] ||
        v->dim[1] != u->dim[1] || v->dim[0] != k->dim[0])
        return rc__op_fail(t, RC_EINVAL, op, "u is %s, k is %s, v is %s; expected (B, H D), (N, H D), (N, H D) with %zu heads",
                           rc__shape_text(u->ndim, u->dim), rc__shape_text(k->ndim, k->dim), rc__shape_text(v->ndim, v->dim),
                           heads);
    size_t B = u->dim[0], N = k->dim[0];
    const size_t *start = starts_of(t, op, lengths, B, N);
    if (!start) return rc__dead(t);
    read_node *s =
        rc__node_new(t, sizeof *s, op, 2, u->dim, u->needs_grad || k->needs_grad || v->needs_grad, read_backward);
    rc_real *p = rc__tape_alloc(t, N * heads * sizeof *p);
    if (!s || !p) return rc__dead(t);
    s->u = u, s->k = k, s->v = v, s->start = start, s->p = p;
    s->B = B, s->H = heads, s->D = u->dim[1] / heads, s->softmax = softmax;
    if (weights) *weights = p;
    read_job j = {.s = s};
    return run_read(t, &j, read_task) ? &s->n.out : rc__dead(t);
}

/* ---- a scan: h(t) = z(t) c(t) + (1 - z(t)) h(t-1) ------------------------------------------------------------------ */

typedef struct scan_node {
    rc__node n;
    rc_var *c, *z;
    const size_t *start;
    size_t B, H, D;
    bool reverse;
    rc_real *dc, *dz;
    rc_real *room; /* B rows: the gradient of h */
} scan_node;

static void scan_task(void *ctx, size_t b, int worker) {
    (void)worker;
    scan_node *s = ctx;
    size_t H = s->H, D = s->D, F = H * D, from = s->start[b], n = s->start[b + 1] - from;
    const rc_real *last = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t at = s->reverse ? from + n - 1 - i : from + i;
        rc_real *y = s->n.out.x + at * F;
        for (size_t h = 0; h < H; h++) {
            rc_real z = s->z->x[at * H + h];
            rc__k->pw.scale(D, z, 0, s->c->x + at * F + h * D, y + h * D);
            if (last) rc__k->pw.axpy(D, 1 - z, last + h * D, y + h * D);
        }
        last = y;
    }
}

static void scan_back_task(void *ctx, size_t b, int worker) {
    (void)worker;
    scan_node *s = ctx;
    size_t H = s->H, D = s->D, F = H * D, from = s->start[b], n = s->start[b + 1] - from;
    rc_real *dh = s->room + b * F;
    memset(dh, 0, F * sizeof *dh);
    for (size_t i = n; i-- > 0;) {
        size_t at = s->reverse ? from + n - 1 - i : from + i, before = s->reverse ? at + 1 : at - 1;
        rc__k->pw.add(F, dh, s->n.out.dx + at * F, dh);
        for (size_t h = 0; h < H; h++) {
            rc_real z = s->z->x[at * H + h];
            size_t col = h * D;
            if (s->dc) rc__k->pw.axpy(D, z, dh + col, s->dc + at * F + col);
            if (s->dz) {
                double d = rc__k->pw.dot(D, dh + col, s->c->x + at * F + col);
                if (i) d -= rc__k->pw.dot(D, dh + col, s->n.out.x + before * F + col);
                s->dz[at * H + h] += (rc_real)d;
            }
            rc__k->pw.scale(D, 1 - z, 0, dh + col, dh + col);
        }
    }
}

static void scan_backward(rc_tape *t, rc__node *self) {
    scan_node *s = (scan_node *)self;
    s->dc = rc__grad(t, s->c);
    s->dz = rc__grad(t, s->z);
    if (!s->dc && !s->dz) return;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t)); /* after the gradients, which stay */
    s->room = rc__tape_alloc(t, s->B * s->H * s->D * sizeof *s->room);
    if (s->room) rc__parallel(s->B, RC__WORK(3 * s->c->len), scan_back_task, s);
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc_gated_scan(rc_tape *t, rc_var *c, rc_var *z, const int32_t *lengths, size_t batch, size_t heads, bool reverse) {
    const char *op = "gated_scan";
    if (!rc__alive(t, op, 2, c, z)) return rc__dead(t);
    if (!matrix(c) || !matrix(z) || !heads || c->dim[1] % heads || z->dim[0] != c->dim[0] || z->dim[1] != heads)
        return rc__op_fail(t, RC_EINVAL, op, "c is %s, z is %s; expected (N, H D) and (N, H) with %zu heads",
                           rc__shape_text(c->ndim, c->dim), rc__shape_text(z->ndim, z->dim), heads);
    const size_t *start = starts_of(t, op, lengths, batch, c->dim[0]);
    if (!start) return rc__dead(t);
    scan_node *s = rc__node_new(t, sizeof *s, op, 2, c->dim, c->needs_grad || z->needs_grad, scan_backward);
    if (!s) return rc__dead(t);
    s->c = c, s->z = z, s->start = start;
    s->B = batch, s->H = heads, s->D = c->dim[1] / heads, s->reverse = reverse;
    rc__parallel(batch, RC__WORK(c->len), scan_task, s);
    return &s->n.out;
}
