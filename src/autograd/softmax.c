/* softmax.c - softmax and log-softmax over the last axis. */
#include "autograd/bulk.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct softmax_node {
    rc__node n;
    rc_var *x;
    bool log;
} softmax_node;

typedef struct rows_job {
    size_t rows, cols, tile;
    bool log;
    const rc_real *a, *b; /* forward: x; backward: y, dy */
    rc_real *out;
} rows_job;

static rows_job make_job(const rc_var *x, bool log) {
    size_t cols = x->ndim ? x->dim[x->ndim - 1] : 1;
    rows_job j = {.rows = x->len / cols, .cols = cols, .tile = 1 + RC__TILE / cols, .log = log};
    return j;
}

static void forward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    size_t first = task * j->tile, rows = rc__min_size(j->tile, j->rows - first), at = first * j->cols;
    (j->log ? rc__k->row.log_softmax : rc__k->row.softmax)(rows, j->cols, j->a + at, j->out + at);
}

static void backward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    size_t first = task * j->tile, rows = rc__min_size(j->tile, j->rows - first), at = first * j->cols;
    (j->log ? rc__k->row.log_softmax_back : rc__k->row.softmax_back)(rows, j->cols, j->a + at, j->b + at, j->out + at);
}

static void softmax_backward(rc_tape *t, rc__node *self) {
    softmax_node *s = (softmax_node *)self;
    rows_job j = make_job(s->x, s->log);
    j.a = self->out.x;
    j.b = self->out.dx;
    j.out = rc__grad(t, s->x);
    if (j.out) rc__parallel(rc__tiles(j.rows, j.tile), 20.0 * (double)s->x->len, backward_task, &j);
}

static rc_var *softmax(rc_tape *t, rc_var *x, const char *op, bool log) {
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    softmax_node *s = rc__node_new(t, sizeof *s, op, x->ndim, x->dim, x->needs_grad, softmax_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    s->log = log;
    rows_job j = make_job(x, log);
    j.a = x->x;
    j.out = s->n.out.x;
    rc__parallel(rc__tiles(j.rows, j.tile), 20.0 * (double)x->len, forward_task, &j);
    return &s->n.out;
}

rc_var *rc_softmax(rc_tape *t, rc_var *x) { return softmax(t, x, "softmax", false); }
rc_var *rc_log_softmax(rc_tape *t, rc_var *x) { return softmax(t, x, "log_softmax", true); }
