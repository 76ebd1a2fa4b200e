/* reduce.c - sums, means and maxima over an axis, over everything, and over the valid steps of sequences. Sums are
 * added up in double, in an order that does not depend on the number of threads. */
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct reduce_node {
    rc__node n;
    rc_var *x;
    size_t outer, len, inner; /* of x, around the axis */
    rc_real scale;            /* sum: 1, mean: 1 / len */
    uint32_t *index;          /* max: which of `len`, for each element of the output; NULL when no gradient is kept */
} reduce_node;

static void drop_axis(const rc_var *x, int axis, size_t *dim) {
    for (int i = 0, k = 0; i < x->ndim; i++)
        if (i != axis) dim[k++] = x->dim[i];
}

/* ---- over one axis, and over all: sum, mean ---------------------------------------------------------------------- */

typedef struct spread_job { /* dx[o, k, i] = or += scale * dy[o, i] */
    const rc_real *dy;
    rc_real *dx;
    size_t outer, len, inner, rows_of_task;
    rc_real scale;
    bool add;
} spread_job;

static void spread_rows(const spread_job *j, size_t first, size_t last) {
    for (size_t r = first; r < last; r++) {
        const rc_real *dy = j->dy + r / j->len * j->inner;
        rc_real *dx = j->dx + r * j->inner;
        if (j->add)
            rc__k->pw.axpy(j->inner, j->scale, dy, dx);
        else
            rc__k->pw.scale(j->inner, j->scale, 0, dy, dx);
    }
}

/* inner == 1: one value goes to `len` neighbours */
static void spread_values(const spread_job *j, size_t first, size_t last) {
    while (first < last) {
        size_t o = first / j->len, end = rc__min_size((o + 1) * j->len, last);
        rc_real v = j->scale * j->dy[o], *dx = j->dx + first;
        /* in place: y = 1 * y + v */
        if (j->add)
            rc__k->pw.scale(end - first, 1, v, dx, dx);
        else
            for (size_t i = 0; i < end - first; i++) dx[i] = v;
        first = end;
    }
}

static void spread_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const spread_job *j = ctx;
    size_t first = task * j->rows_of_task, last = rc__min_size(first + j->rows_of_task, j->outer * j->len);
    if (j->inner == 1)
        spread_values(j, first, last);
    else
        spread_rows(j, first, last);
}

static void sum_backward(rc_tape *t, rc__node *self) {
    reduce_node *r = (reduce_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, r->x, &add);
    if (!dx) return;
    spread_job j = {self->out.dx, dx, r->outer, r->len, r->inner, 1, r->scale, add};
    if (j.inner < RC__TILE) j.rows_of_task = RC__TILE / j.inner;
    rc__parallel(rc__tiles(j.outer * j.len, j.rows_of_task), RC__WORK(r->x->len), spread_task, &j);
}

typedef struct row_sums_job {
    const rc_real *x;
    rc_real *y;
    size_t rows, len, rows_of_task;
    double scale;
} row_sums_job;

static void row_sums_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const row_sums_job *j = ctx;
    size_t first = task * j->rows_of_task, last = rc__min_size(first + j->rows_of_task, j->rows);
    for (size_t r = first; r < last; r++) j->y[r] = (rc_real)(j->scale * rc__k->pw.sum(j->len, j->x + r * j->len));
}

static rc_var *sum_axis(rc_tape *t, const char *op, rc_var *x, int axis, bool mean) {
    if (!rc__alive(t, op, 1, x) || !rc__axis(t, op, x, axis, &axis)) return rc__dead(t);
    size_t dim[RC_MAX_DIMS];
    drop_axis(x, axis, dim);
    reduce_node *r = rc__node_new(t, sizeof *r, op, x->ndim - 1, dim, x->needs_grad, sum_backward);
    if (!r) return rc__dead(t);
    r->x = x;
    rc__around_axis(x, axis, &r->outer, &r->len, &r->inner);
    double scale = mean ? 1 / (double)r->len : 1;
    r->scale = (rc_real)scale;
    if (r->outer == 1 && r->inner == 1) {
        r->n.out.x[0] = (rc_real)(scale * rc__bulk_sum(t, r->len, x->x, NULL));
    } else if (r->inner == 1) {
        row_sums_job j = {x->x, r->n.out.x, r->outer, r->len, r->len < RC__TILE ? RC__TILE / r->len : 1, scale};
        rc__parallel(rc__tiles(j.rows, j.rows_of_task), RC__WORK(x->len), row_sums_task, &j);
    } else if (!rc__sum_columns(t, &(rc__column_sums){.items = r->outer,
                                                      .rows = r->len,
                                                      .cols = r->inner,
                                                      .item_stride = r->len * r->inner,
                                                      .row_stride = r->inner,
                                                      .x = x->x,
                                                      .scale = scale,
                                                      .out = r->n.out.x})) {
        return rc__dead(t);
    }
    return &r->n.out;
}

rc_var *rc_sum(rc_tape *t, rc_var *x, int axis) { return sum_axis(t, "sum", x, axis, false); }

rc_var *rc_mean(rc_tape *t, rc_var *x, int axis) { return sum_axis(t, "mean", x, axis, true); }

static rc_var *sum_all(rc_tape *t, const char *op, rc_var *x, bool mean) {
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    reduce_node *r = rc__node_new(t, sizeof *r, op, 0, NULL, x->needs_grad, sum_backward);
    if (!r) return rc__dead(t);
    r->x = x;
    r->outer = r->inner = 1;
    r->len = x->len;
    double scale = mean ? 1 / (double)x->len : 1;
    r->scale = (rc_real)scale;
    r->n.out.x[0] = (rc_real)(scale * rc__bulk_sum(t, x->len, x->x, NULL));
    return &r->n.out;
}

rc_var *rc_sum_all(rc_tape *t, rc_var *x) { return sum_all(t, "sum_all", x, false); }

rc_var *rc_mean_all(rc_tape *t, rc_var *x) { return sum_all(t, "mean_all", x, true); }

/* ---- maxima ------------------------------------------------------------------------------------------------------ */

#define MAX_COLS ((size_t)256)

typedef struct max_job { /* y[o, i] = max over k of x[o * outer_step + k * step + i]; the first NaN wins */
    const rc_real *x;
    rc_real *y;
    uint32_t *index; /* or NULL */
    size_t inner, outer_step, step, blocks;
    size_t len;             /* of every column, or */
    const int32_t *lengths; /* of columns [b * features, (b + 1) * features); 0 gives 0 */
    size_t features;
} max_job;

static bool greater(rc_real x, rc_real best) {
    return best == best && !(x <= best); /* true for a NaN, unless best is one already */
}

static void max_columns(const max_job *j, size_t at, size_t from, size_t cols, size_t len, rc_real *y,
                        uint32_t *index) {
    const rc_real *x = j->x + at;
    for (size_t i = from; i < from + cols; i++) {
        y[i] = len ? x[i] : 0;
        if (index) index[i] = 0;
    }
    for (size_t k = 1; k < len; k++)
        for (size_t i = from; i < from + cols; i++)
            if (greater(x[k * j->step + i], y[i])) {
                y[i] = x[k * j->step + i];
                if (index) index[i] = (uint32_t)k;
            }
}

static void max_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const max_job *j = ctx;
    size_t o = task / j->blocks, from = task % j->blocks * MAX_COLS, cols = rc__min_size(MAX_COLS, j->inner - from);
    rc_real *y = j->y + o * j->inner;
    uint32_t *index = j->index ? j->index + o * j->inner : NULL;
    max_columns(j, o * j->outer_step, from, cols, j->lengths ? (size_t)j->lengths[o] : j->len, y, index);
}

static void run_max(max_job *j, size_t outer, size_t len) {
    j->blocks = rc__tiles(j->inner, MAX_COLS);
    rc__parallel(outer * j->blocks, RC__WORK(outer * len * j->inner), max_task, j);
}

static void max_backward(rc_tape *t, rc__node *self) {
    reduce_node *r = (reduce_node *)self;
    rc_real *dx = rc__grad(t, r->x);
    if (!dx || !r->index) return;
    for (size_t o = 0; o < r->outer; o++)
        for (size_t i = 0; i < r->inner; i++) {
            size_t at = o * r->inner + i;
            dx[(o * r->len + r->index[at]) * r->inner + i] += self->out.dx[at];
        }
}

/* Memory for the places of the maxima; false (tape marked) when it is out. */
static bool keep_index(rc_tape *t, const char *op, reduce_node *r) {
    if (!rc__tape_keeps(t, r->x)) return true;
    if (r->len > UINT32_MAX) {
        rc__op_fail(t, RC_EINVAL, op, "an axis of %zu is too long", r->len);
        return false;
    }
    r->index = rc__tape_alloc(t, r->n.out.len * sizeof *r->index);
    return r->index != NULL;
}

rc_var *rc_max(rc_tape *t, rc_var *x, int axis) {
    if (!rc__alive(t, "max", 1, x) || !rc__axis(t, "max", x, axis, &axis)) return rc__dead(t);
    size_t dim[RC_MAX_DIMS];
    drop_axis(x, axis, dim);
    reduce_node *r = rc__node_new(t, sizeof *r, "max", x->ndim - 1, dim, x->needs_grad, max_backward);
    if (!r) return rc__dead(t);
    r->x = x;
    rc__around_axis(x, axis, &r->outer, &r->len, &r->inner);
    if (!keep_index(t, "max", r)) return rc__dead(t);
    run_max(&(max_job){.x = x->x,
                       .y = r->n.out.x,
                       .index = r->index,
                       .inner = r->inner,
                       .outer_step = r->len * r->inner,
                       .step = r->inner,
                       .len = r->len},
            r->outer, r->len);
    return &r->n.out;
}

/* ---- over time: (T, B, F) -> (B, F) ------------------------------------------------------------------------------ */

typedef struct time_node {
    rc__node n;
    rc_var *x;
    size_t T, B, F;
    int32_t *lengths; /* (B), a copy */
    uint32_t *index;  /* max */
} time_node;

static time_node *time_op(rc_tape *t, const char *op, rc_var *x, const int32_t *lengths,
                          void (*backward)(rc_tape *t, rc__node *self)) {
    if (!rc__alive(t, op, 1, x)) return NULL;
    if (x->ndim != 3 || x->dim[0] > INT32_MAX) {
        rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (T, B, features)", rc__shape_text(x->ndim, x->dim));
        return NULL;
    }
    size_t T = x->dim[0], B = x->dim[1];
    for (size_t b = 0; lengths && b < B; b++)
        if (lengths[b] < 0 || (size_t)lengths[b] > T) {
            rc__op_fail(t, RC_EINVAL, op, "length of row %zu is %d, expected 0 to %zu", b, (int)lengths[b], T);
            return NULL;
        }
    time_node *n = rc__node_new(t, sizeof *n, op, 2, x->dim + 1, x->needs_grad, backward);
    if (!n) return NULL;
    n->x = x;
    n->T = T;
    n->B = B;
    n->F = x->dim[2];
    n->lengths = rc__tape_alloc(t, B * sizeof *n->lengths);
    if (!n->lengths) return NULL;
    for (size_t b = 0; b < B; b++) n->lengths[b] = lengths ? lengths[b] : (int32_t)T;
    return n;
}

typedef struct time_job {
    const time_node *n;
    rc_real *dx;
} time_job;

static void mean_time_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const time_node *n = ((const time_job *)ctx)->n;
    size_t len = (size_t)n->lengths[b];
    double sum[64];
    for (size_t from = 0; from < n->F; from += 64) {
        size_t cols = rc__min_size(64, n->F - from);
        for (size_t i = 0; i < cols; i++) sum[i] = 0;
        for (size_t k = 0; k < len; k++) {
            const rc_real *x = n->x->x + (k * n->B + b) * n->F + from;
            for (size_t i = 0; i < cols; i++) sum[i] += (double)x[i];
        }
        rc_real *y = n->n.out.x + b * n->F + from;
        for (size_t i = 0; i < cols; i++) y[i] = len ? (rc_real)(sum[i] / (double)len) : 0;
    }
}

static void mean_time_back_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const time_job *j = ctx;
    const time_node *n = j->n;
    for (size_t k = 0; k < (size_t)n->lengths[b]; k++)
        rc__k->pw.axpy(n->F, (rc_real)(1 / (double)n->lengths[b]), n->n.out.dx + b * n->F,
                       j->dx + (k * n->B + b) * n->F);
}

static void mean_time_backward(rc_tape *t, rc__node *self) {
    time_node *n = (time_node *)self;
    rc_real *dx = rc__grad(t, n->x);
    if (dx) rc__parallel(n->B, RC__WORK(n->x->len), mean_time_back_task, &(time_job){n, dx});
}

rc_var *rc_mean_time(rc_tape *t, rc_var *x, const int32_t *lengths) {
    time_node *n = time_op(t, "mean_time", x, lengths, mean_time_backward);
    if (!n) return rc__dead(t);
    rc__parallel(n->B, RC__WORK(x->len), mean_time_task, &(time_job){n, NULL});
    return &n->n.out;
}

static void max_time_backward(rc_tape *t, rc__node *self) {
    time_node *n = (time_node *)self;
    rc_real *dx = rc__grad(t, n->x);
    if (!dx || !n->index) return;
    for (size_t b = 0; b < n->B; b++)
        for (size_t i = 0; n->lengths[b] && i < n->F; i++) {
            size_t at = b * n->F + i;
            dx[(size_t)n->index[at] * n->B * n->F + at] += self->out.dx[at];
        }
}

rc_var *rc_max_time(rc_tape *t, rc_var *x, const int32_t *lengths) {
    time_node *n = time_op(t, "max_time", x, lengths, max_time_backward);
    if (!n) return rc__dead(t);
    if (rc__tape_keeps(t, x)) {
        n->index = rc__tape_alloc(t, n->n.out.len * sizeof *n->index);
        if (!n->index) return rc__dead(t);
    }
    run_max(&(max_job){.x = x->x,
                       .y = n->n.out.x,
                       .index = n->index,
                       .inner = n->F,
                       .outer_step = n->F,
                       .step = n->B * n->F,
                       .lengths = n->lengths},
            n->B, n->T);
    return &n->n.out;
}

static void last_time_backward(rc_tape *t, rc__node *self) {
    time_node *n = (time_node *)self;
    rc_real *dx = rc__grad(t, n->x);
    for (size_t b = 0; dx && b < n->B; b++) {
        if (n->lengths[b] == 0) continue;
        rc_real *d = dx + ((size_t)(n->lengths[b] - 1) * n->B + b) * n->F;
        rc__k->pw.add(n->F, self->out.dx + b * n->F, d, d);
    }
}

rc_var *rc_last_time(rc_tape *t, rc_var *x, const int32_t *lengths) {
    time_node *n = time_op(t, "last_time", x, lengths, last_time_backward);
    if (!n) return rc__dead(t);
    for (size_t b = 0; b < n->B; b++) {
        rc_real *y = n->n.out.x + b * n->F;
        if (n->lengths[b] == 0)
            memset(y, 0, n->F * sizeof *y);
        else
            memcpy(y, x->x + ((size_t)(n->lengths[b] - 1) * n->B + b) * n->F, n->F * sizeof *y);
    }
    return &n->n.out;
}
