/* pool.c - attention pooling over time: softmax over the steps of a row, sum of steps by weights. Letters: T steps, B
 * rows, N columns of scores, F features. (Mean, maximum and last step are in reduce.c.) */
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/positions.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

/* ---- softmax over time ------------------------------------------------------------------------------------------- */

typedef struct softmax_time_node {
    rc__node n;
    rc_var *x;
    rc__positions at;
    size_t T, B, N;
} softmax_time_node;

typedef struct softmax_time_job {
    const softmax_time_node *s;
    rc_real *dx;
    rc_real *room; /* 3 T a worker: a column's steps side by side */
} softmax_time_job;

static size_t row_length(const softmax_time_node *s, size_t b) {
    return s->at.lengths ? (size_t)s->at.lengths[b] : s->T;
}

static void softmax_time_task(void *ctx, size_t b, int worker) {
    const softmax_time_job *j = ctx;
    const softmax_time_node *s = j->s;
    size_t len = row_length(s, b), step = s->B * s->N;
    rc_real *column = j->room + (size_t)worker * 3 * s->T;
    for (size_t at = b * s->N; at < (b + 1) * s->N; at++) {
        const rc_real *x = s->x->x + at;
        rc_real *y = s->n.out.x + at;
        for (size_t k = 0; k < len; k++) column[k] = x[k * step];
        if (len > 0) rc__k->row.softmax(1, len, column, column);
        for (size_t k = 0; k < s->T; k++) y[k * step] = k < len ? column[k] : 0;
    }
}

static void softmax_time_back_task(void *ctx, size_t b, int worker) {
    const softmax_time_job *j = ctx;
    const softmax_time_node *s = j->s;
    size_t len = row_length(s, b), step = s->B * s->N;
    rc_real *y = j->room + (size_t)worker * 3 * s->T, *dy = y + s->T, *dx = dy + s->T;
    for (size_t at = b * s->N; len > 0 && at < (b + 1) * s->N; at++) {
        for (size_t k = 0; k < len; k++) {
            y[k] = s->n.out.x[at + k * step];
            dy[k] = s->n.out.dx[at + k * step];
            dx[k] = 0;
        }
        rc__k->row.softmax_back(1, len, y, dy, dx);
        for (size_t k = 0; k < len; k++) j->dx[at + k * step] += dx[k];
    }
}

static void over_rows(rc_tape *t, softmax_time_node *s, rc_real *dx, void (*task)(void *, size_t, int)) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    softmax_time_job j = {.s = s, .dx = dx};
    j.room = rc__tape_alloc(t, (size_t)rc__workers() * 3 * s->T * sizeof *j.room);
    if (j.room) rc__parallel(s->B, 20.0 * (double)s->x->len, task, &j);
    rc__arena_rewind(rc__tape_arena(t), mark);
}

static void softmax_time_backward(rc_tape *t, rc__node *self) {
    softmax_time_node *s = (softmax_time_node *)self;
    rc_real *dx = rc__grad(t, s->x);
    if (dx) over_rows(t, s, dx, softmax_time_back_task);
}

rc_var *rc_softmax_time(rc_tape *t, rc_var *scores, const int32_t *lengths) {
    const char *op = "softmax_time";
    if (!rc__alive(t, op, 1, scores)) return rc__dead(t);
    if (scores->ndim != 2 && scores->ndim != 3)
        return rc__op_fail(t, RC_EINVAL, op, "scores is %s, expected (T, B) or (T, B, N)",
                           rc__shape_text(scores->ndim, scores->dim));
    rc__positions at;
    if (!rc__positions_init(&at, t, op, scores, 2, lengths)) return rc__dead(t);
    softmax_time_node *s =
        rc__node_new(t, sizeof *s, op, scores->ndim, scores->dim, scores->needs_grad, softmax_time_backward);
    if (!s) return rc__dead(t);
    s->x = scores, s->at = at;
    s->T = scores->dim[0], s->B = scores->dim[1], s->N = scores->ndim == 3 ? scores->dim[2] : 1;
    over_rows(t, s, NULL, softmax_time_task);
    return rc_tape_status(t, NULL) == RC_OK ? &s->n.out : rc__dead(t);
}

/* ---- weighted sum over time: y[b] = sum over t of w[t, b] x[t, b] ------------------------------------------------ */

typedef struct weighted_node {
    rc__node n;
    rc_var *x, *w;
    size_t T, B, F;
} weighted_node;

typedef struct weighted_job {
    const weighted_node *s;
    rc_real *dx, *dw;
} weighted_job;

#define SUM_COLS ((size_t)64)

static void weighted_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const weighted_node *s = ((const weighted_job *)ctx)->s;
    for (size_t from = 0; from < s->F; from += SUM_COLS) {
        size_t cols = rc__min_size(SUM_COLS, s->F - from);
        double sum[SUM_COLS];
        for (size_t i = 0; i < cols; i++) sum[i] = 0;
        for (size_t k = 0; k < s->T; k++) {
            double w = (double)s->w->x[k * s->B + b];
            const rc_real *x = s->x->x + (k * s->B + b) * s->F + from;
            if (w == 0) continue; /* a step beyond the row's length may hold anything */
            for (size_t i = 0; i < cols; i++) sum[i] += w * (double)x[i];
        }
        for (size_t i = 0; i < cols; i++) s->n.out.x[b * s->F + from + i] = (rc_real)sum[i];
    }
}

static void weighted_back_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const weighted_job *j = ctx;
    const weighted_node *s = j->s;
    const rc_real *dy = s->n.out.dx + b * s->F;
    for (size_t k = 0; k < s->T; k++) {
        size_t at = k * s->B + b;
        if (j->dx && s->w->x[at] != 0) rc__k->pw.axpy(s->F, s->w->x[at], dy, j->dx + at * s->F);
        if (j->dw) j->dw[at] += (rc_real)rc__k->pw.dot(s->F, s->x->x + at * s->F, dy);
    }
}

static void weighted_backward(rc_tape *t, rc__node *self) {
    weighted_node *s = (weighted_node *)self;
    weighted_job j = {.s = s, .dx = rc__grad(t, s->x), .dw = rc__grad(t, s->w)};
    if (j.dx || j.dw) rc__parallel(s->B, RC__WORK(s->x->len), weighted_back_task, &j);
}

rc_var *rc_weighted_sum_time(rc_tape *t, rc_var *x, rc_var *weights) {
    const char *op = "weighted_sum_time";
    if (!rc__alive(t, op, 2, x, weights)) return rc__dead(t);
    if (x->ndim != 3 || weights->ndim != 2 || weights->dim[0] != x->dim[0] || weights->dim[1] != x->dim[1])
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, weights are %s; expected (T, B, F) and (T, B)",
                           rc__shape_text(x->ndim, x->dim), rc__shape_text(weights->ndim, weights->dim));
    weighted_node *s =
        rc__node_new(t, sizeof *s, op, 2, x->dim + 1, x->needs_grad || weights->needs_grad, weighted_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->w = weights;
    s->T = x->dim[0], s->B = x->dim[1], s->F = x->dim[2];
    rc__parallel(s->B, RC__WORK(x->len), weighted_task, &(weighted_job){.s = s});
    return &s->n.out;
}
