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

/* ---- entities ---------------------------------------------------------------------------------------------------- */

typedef struct entity_node {
    rc__node n;
    rc_var *s, *sw, *sk, *kv, *keys, *u, *slope;
    const size_t *start;
    size_t B, N, J, D;
    void *packed;
    rc_real *h;                /* (N, J, D) before each sentence */
    rc_real *a;                /* (N, J, D) before the PReLU; backward: its gradient */
    rc_real *g, *norm;         /* (N, J) */
    rc_real *ds, *dsw, *dsk, *dkeys_of, *dslope_of; /* backward; the last two (B, J D) and (B, D) */
} entity_node;

static void product_of_blocks(const entity_node *e, const rc_real *in, rc_real *out, bool add) {
    rc__panel_rows rows = {in, out, e->J};
    rc__panel_product p = {.format = RC_PANEL_REAL,
                           .K = e->D,
                           .N = e->D,
                           .last = e->D,
                           .B = e->packed,
                           .add = add,
                           .lda = e->D,
                           .ldc = e->D,
                           .rows = &rows,
                           .segments = 1};
    rc__k->panel.product(&p);
}

static rc_real prelu(rc_real a, rc_real slope) { return a > 0 ? a : slope * a; }

/* Blocks after one sentence into `to`, which may be those of the next. */
static void entity_write(const entity_node *e, size_t n, rc_real *to) {
    size_t J = e->J, D = e->D;
    const rc_real *s = e->s->x + n * D, *sw = e->sw->x + n * D;
    rc_real *h = e->h + n * J * D, *a = e->a + n * J * D;
    product_of_blocks(e, h, a, false);
    for (size_t j = 0; j < J; j++) {
        double score = rc__k->pw.dot(D, s, h + j * D) + (double)e->sk->x[n * J + j];
        rc_real g = (rc_real)(1 / (1 + exp(-score)));
        rc_real *r = to + j * D, *aj = a + j * D;
        for (size_t d = 0; d < D; d++) {
            aj[d] += e->kv->x[j * D + d] + sw[d];
            r[d] = h[j * D + d] + g * prelu(aj[d], e->slope->x[d]);
        }
        double norm = sqrt(rc__k->pw.sum_sq(D, r)) + 1e-12;
        rc__k->pw.scale(D, (rc_real)(1 / norm), 0, r, r);
        e->g[n * J + j] = g;
        e->norm[n * J + j] = (rc_real)norm;
    }
}

static void entity_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const entity_node *e = ctx;
    size_t block = e->J * e->D, from = e->start[b], end = e->start[b + 1];
    rc_real *out = e->n.out.x + b * block;
    memcpy(from < end ? e->h + from * block : out, e->keys->x, block * sizeof *out);
    for (size_t n = from; n < end; n++) entity_write(e, n, n + 1 < end ? e->h + (n + 1) * block : out);
}

/* dh: the gradient of the blocks after sentence n, becomes that before it; after: the blocks then. e->a becomes its gradient. */
static void entity_unwrite(entity_node *e, size_t b, size_t n, const rc_real *after, rc_real *dh) {
    size_t J = e->J, D = e->D;
    const rc_real *s = e->s->x + n * D, *h = e->h + n * J * D;
    rc_real *a = e->a + n * J * D;
    for (size_t j = 0; j < J; j++) {
        rc_real *d = dh + j * D, *aj = a + j * D, g = e->g[n * J + j], inverse = 1 / e->norm[n * J + j];
        rc_real along = (rc_real)rc__k->pw.dot(D, after + j * D, d);
        double dg = 0;
        for (size_t i = 0; i < D; i++) {
            rc_real dr = (d[i] - along * after[j * D + i]) * inverse, slope = e->slope->x[i], dc = g * dr;
            dg += (double)dr * (double)prelu(aj[i], slope);
            if (e->dslope_of && aj[i] <= 0) e->dslope_of[b * D + i] += dc * aj[i];
            aj[i] = aj[i] > 0 ? dc : slope * dc;
            d[i] = dr;
        }
        rc_real dscore = (rc_real)dg * g * (1 - g);
        if (e->ds) rc__k->pw.axpy(D, dscore, h + j * D, e->ds + n * D);
        if (e->dsk) e->dsk[n * J + j] += dscore;
        if (e->dsw) rc__k->pw.add(D, e->dsw + n * D, aj, e->dsw + n * D);
        rc__k->pw.axpy(D, dscore, s, d);
    }
    product_of_blocks(e, a, dh, true);
}

static void entity_back_task(void *ctx, size_t b, int worker) {
    (void)worker;
    entity_node *e = ctx;
    size_t block = e->J * e->D, from = e->start[b], end = e->start[b + 1];
    rc_real *dh = e->dkeys_of + b * block;
    memcpy(dh, e->n.out.dx + b * block, block * sizeof *dh);
    for (size_t n = end; n-- > from;)
        entity_unwrite(e, b, n, n + 1 < end ? e->h + (n + 1) * block : e->n.out.x + b * block, dh);
}

static void sum_rows(rc_tape *t, size_t rows, size_t cols, const rc_real *x, rc_real *out) {
    if (out)
        rc__sum_columns(t, &(rc__column_sums){
                               .items = 1, .rows = rows, .cols = cols, .row_stride = cols, .x = x, .scale = 1, .out = out, .add = true});
}

static void *entity_pack(rc_tape *t, const entity_node *e, bool trans) {
    void *packed = rc__tape_alloc(t, rc__k->panel.bytes(RC_PANEL_REAL, e->D, e->D));
    if (packed) rc__k->panel.pack(RC_PANEL_REAL, e->D, e->D, e->u->x, e->D, trans, 0, e->D, packed, NULL);
    return packed;
}

static void entity_backward(rc_tape *t, rc__node *self) {
    entity_node *e = (entity_node *)self;
    size_t D = e->D, block = e->J * D;
    e->ds = rc__grad(t, e->s);
    e->dsw = rc__grad(t, e->sw);
    e->dsk = rc__grad(t, e->sk);
    rc_real *du = rc__grad(t, e->u), *dkv = rc__grad(t, e->kv), *dkeys = rc__grad(t, e->keys), *dslope = rc__grad(t, e->slope);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    e->packed = entity_pack(t, e, false);
    e->dkeys_of = rc__tape_alloc(t, e->B * block * sizeof(rc_real));
    e->dslope_of = rc__tape_alloc(t, e->B * D * sizeof(rc_real));
    if (e->packed && e->dkeys_of && e->dslope_of) {
        memset(e->dslope_of, 0, e->B * D * sizeof(rc_real));
        rc__parallel(e->B, 4.0 * (double)(e->N * block) * (double)D, entity_back_task, e);
        rc__outer_side side = {.N = D, .B = e->h, .ldb = D, .C = du, .ldc = D};
        bool ok = !du || rc__tape_outer(t, RC_FP32, D, e->N * e->J, e->a, D, &side, 1, true);
        if (ok) {
            sum_rows(t, e->N, block, e->a, dkv);
            sum_rows(t, e->B, block, e->dkeys_of, dkeys);
            sum_rows(t, e->B, D, e->dslope_of, dslope);
        }
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

static bool shaped(const rc_var *x, size_t rows, size_t cols) { return x->ndim == 2 && x->dim[0] == rows && x->dim[1] == cols; }

rc_var *rc_entity_memory(rc_tape *t, rc_var *s, rc_var *sw, rc_var *sk, rc_var *kv, rc_var *keys, rc_var *u, rc_var *slope,
                         const int32_t *lengths, size_t batch, const rc_real **gates) {
    const char *op = "entity_memory";
    if (!rc__alive(t, op, 7, s, sw, sk, kv, keys, u, slope)) return rc__dead(t);
    size_t N = s->dim[0], D = s->ndim == 2 ? s->dim[1] : 0, J = keys->dim[0];
    if (!D || !shaped(sw, N, D) || !shaped(sk, N, J) || !shaped(kv, J, D) || !shaped(keys, J, D) || !shaped(u, D, D) ||
        slope->ndim != 1 || slope->dim[0] != D)
        return rc__op_fail(t, RC_EINVAL, op, "s is %s, sw %s, sk %s, kv %s, keys %s, u %s, slope %s: they do not fit",
                           rc__shape_text(s->ndim, s->dim), rc__shape_text(sw->ndim, sw->dim), rc__shape_text(sk->ndim, sk->dim),
                           rc__shape_text(kv->ndim, kv->dim), rc__shape_text(keys->ndim, keys->dim),
                           rc__shape_text(u->ndim, u->dim), rc__shape_text(slope->ndim, slope->dim));
    const size_t *start = starts_of(t, op, lengths, batch, N);
    if (!start) return rc__dead(t);
    bool grad = s->needs_grad || sw->needs_grad || sk->needs_grad || kv->needs_grad || keys->needs_grad || u->needs_grad ||
                slope->needs_grad;
    entity_node *e = rc__node_new(t, sizeof *e, op, 2, (size_t[]){batch * J, D}, grad, entity_backward);
    if (!e) return rc__dead(t);
    e->s = s, e->sw = sw, e->sk = sk, e->kv = kv, e->keys = keys, e->u = u, e->slope = slope, e->start = start;
    e->B = batch, e->N = N, e->J = J, e->D = D;
    e->h = rc__tape_alloc(t, N * J * D * sizeof *e->h);
    e->a = rc__tape_alloc(t, N * J * D * sizeof *e->a);
    e->g = rc__tape_alloc(t, 2 * N * J * sizeof *e->g);
    e->packed = entity_pack(t, e, true);
    if (!e->h || !e->a || !e->g || !e->packed) return rc__dead(t);
    e->norm = e->g + N * J;
    if (gates) *gates = e->g;
    rc__parallel(batch, 2.0 * (double)(N * J) * (double)(D * D), entity_task, e);
    return &e->n.out;
}
