/* shape.c - ops that move elements: reshape, transpose, concat, slice, split. */
#include <stdio.h>
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct shape_node {
    rc__node n;
    rc_var *x;
    size_t stride[RC_MAX_DIMS]; /* transpose: of x's gradient, as seen from its own dims, in that of the output */
    int axis;                   /* slice */
    size_t start;
} shape_node;

/* ---- reshape: shares the value ----------------------------------------------------------------------------------- */

static void reshape_backward(rc_tape *t, rc__node *self) {
    shape_node *s = (shape_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, s->x, &add);
    if (dx) rc__bulk_put(s->x->len, 1, self->out.dx, dx, add);
}

/* As rc__shape_text, with the open dim as -1. */
static const char *wanted_text(int ndim, const size_t *dim, char *text, size_t cap) {
    size_t at = (size_t)snprintf(text, cap, "(");
    for (int i = 0; i < ndim; i++)
        at += (size_t)(dim[i] == SIZE_MAX ? snprintf(text + at, cap - at, i ? ", -1" : "-1")
                                          : snprintf(text + at, cap - at, i ? ", %zu" : "%zu", dim[i]));
    snprintf(text + at, cap - at, ")");
    return text;
}

/* Replaces the dim that is -1; false (tape marked) when the lengths differ. */
static bool resolve_shape(rc_tape *t, const rc_var *x, int ndim, const size_t *dim, size_t *out) {
    if (ndim < 0 || ndim > RC_MAX_DIMS || (ndim && !dim)) {
        rc__op_fail(t, RC_EINVAL, "reshape", "%d dimensions, expected 0 to %d", ndim, RC_MAX_DIMS);
        return false;
    }
    size_t known = 1;
    int open = -1;
    bool ok = true;
    for (int i = 0; i < ndim; i++) {
        out[i] = dim[i];
        if (dim[i] != SIZE_MAX)
            ok = ok && rc__size_mul(known, dim[i], &known);
        else if (open < 0)
            open = i;
        else
            ok = false;
    }
    if (ok && open >= 0) {
        ok = known > 0 && x->len % known == 0;
        if (ok) out[open] = x->len / known;
        known = x->len;
    }
    if (ok && known == x->len) return true;
    char text[128];
    rc__op_fail(t, RC_EINVAL, "reshape", "x is %s, %zu elements, which do not fill %s", rc__shape_text(x->ndim, x->dim),
                x->len, wanted_text(ndim, dim, text, sizeof text));
    return false;
}

rc_var *rc_reshape(rc_tape *t, rc_var *x, int ndim, const size_t *dim) {
    size_t d[RC_MAX_DIMS];
    if (!rc__alive(t, "reshape", 1, x) || !resolve_shape(t, x, ndim, dim, d)) return rc__dead(t);
    shape_node *s = rc__node_view(t, sizeof *s, "reshape", ndim, d, x->needs_grad, reshape_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    s->n.out.x = x->x;
    s->n.precision = rc__var_precision(x);
    return &s->n.out;
}

/* ---- transpose --------------------------------------------------------------------------------------------------- */

static void row_strides(int ndim, const size_t *dim, size_t *stride) {
    size_t s = 1;
    for (int i = ndim; i-- > 0; s *= dim[i]) stride[i] = s;
}

static void transpose_backward(rc_tape *t, rc__node *self) {
    shape_node *s = (shape_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, s->x, &add);
    if (dx) rc__permute(s->x->ndim, s->x->dim, s->stride, self->out.dx, dx, add);
}

rc_var *rc_transpose(rc_tape *t, rc_var *x, const int *perm) {
    if (!rc__alive(t, "transpose", 1, x)) return rc__dead(t);
    size_t dim[RC_MAX_DIMS], from[RC_MAX_DIMS], stride[RC_MAX_DIMS], to[RC_MAX_DIMS];
    unsigned seen = 0;
    row_strides(x->ndim, x->dim, from);
    if (!perm && x->ndim) return rc__op_fail(t, RC_EINVAL, "transpose", "the permutation is NULL");
    for (int i = 0; i < x->ndim; i++) {
        if (perm[i] < 0 || perm[i] >= x->ndim || (seen >> perm[i] & 1))
            return rc__op_fail(t, RC_EINVAL, "transpose", "entry %d of the permutation is %d: not an order of 0 to %d",
                               i, perm[i], x->ndim - 1);
        seen |= 1u << perm[i];
        dim[i] = x->dim[perm[i]];
        stride[i] = from[perm[i]];
    }
    shape_node *s = rc__node_new(t, sizeof *s, "transpose", x->ndim, dim, x->needs_grad, transpose_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    row_strides(x->ndim, dim, to);
    for (int i = 0; i < x->ndim; i++) s->stride[perm[i]] = to[i];
    rc__permute(x->ndim, dim, stride, x->x, s->n.out.x, false);
    return &s->n.out;
}

/* ---- rows of one array to rows of another ------------------------------------------------------------------------ */

typedef struct rows_job {
    size_t rows, width, from_stride, to_stride, rows_of_task;
    const rc_real *from;
    rc_real *to;
    bool add;
} rows_job;

static void rows_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    size_t first = task * j->rows_of_task, last = rc__min_size(first + j->rows_of_task, j->rows);
    for (size_t r = first; r < last; r++) {
        const rc_real *x = j->from + r * j->from_stride;
        rc_real *y = j->to + r * j->to_stride;
        if (j->add)
            rc__k->pw.add(j->width, x, y, y);
        else
            memcpy(y, x, j->width * sizeof *y);
    }
}

static void move_rows(rows_job j) {
    if (j.from_stride == j.width && j.to_stride == j.width) {
        rc__bulk_put(j.rows * j.width, 1, j.from, j.to, j.add);
        return;
    }
    j.rows_of_task = j.width < RC__TILE ? RC__TILE / j.width : 1;
    rc__parallel(rc__tiles(j.rows, j.rows_of_task), RC__WORK(j.rows * j.width), rows_task, &j);
}

/* ---- concat ------------------------------------------------------------------------------------------------------ */

typedef struct concat_node {
    rc__node n;
    int count, axis;
    rc_var **x;
} concat_node;

static void concat_backward(rc_tape *t, rc__node *self) {
    concat_node *c = (concat_node *)self;
    size_t outer, n, inner, at = 0;
    rc__around_axis(&self->out, c->axis, &outer, &n, &inner);
    for (int i = 0; i < c->count; i++) {
        size_t width = c->x[i]->dim[c->axis] * inner;
        bool add;
        rc_real *dx = rc__grad_to(t, c->x[i], &add);
        if (dx) move_rows((rows_job){outer, width, n * inner, width, 0, self->out.dx + at, dx, add});
        at += width;
    }
}

rc_var *rc_concat(rc_tape *t, int count, rc_var *const *x, int axis) {
    if (!rc__alive(t, "concat", 0)) return rc__dead(t);
    if (count < 1 || !x) return rc__op_fail(t, RC_EINVAL, "concat", "%d inputs, expected at least 1", count);
    bool needs_grad = false;
    size_t dim[RC_MAX_DIMS] = {0}, sum = 0;
    for (int i = 0; i < count; i++) {
        if (!x[i] || x[i]->len == 0)
            return rc__op_fail(t, RC_EINVAL, "concat", "input %d of %d is %s", i + 1, count,
                               x[i] ? "a dead variable" : "NULL");
        if (i == 0) {
            if (!rc__axis(t, "concat", x[0], axis, &axis)) return rc__dead(t);
            memcpy(dim, x[0]->dim, sizeof dim);
        }
        bool fits = x[i]->ndim == x[0]->ndim;
        for (int d = 0; fits && d < x[0]->ndim; d++) fits = d == axis || x[i]->dim[d] == dim[d];
        if (!fits)
            return rc__op_fail(t, RC_EINVAL, "concat", "input 1 is %s, input %d is %s: they may differ in axis %d only",
                               rc__shape_text(x[0]->ndim, x[0]->dim), i + 1, rc__shape_text(x[i]->ndim, x[i]->dim),
                               axis);
        if (!rc__size_add(sum, x[i]->dim[axis], &sum)) return rc__op_fail(t, RC_EINVAL, "concat", "too large");
        needs_grad = needs_grad || x[i]->needs_grad;
    }
    dim[axis] = sum;
    concat_node *c = rc__node_new(t, sizeof *c, "concat", x[0]->ndim, dim, needs_grad, concat_backward);
    if (!c) return rc__dead(t);
    c->x = rc__tape_alloc(t, (size_t)count * sizeof *c->x);
    if (!c->x) return rc__dead(t);
    memcpy(c->x, x, (size_t)count * sizeof *c->x);
    c->count = count;
    c->axis = axis;
    size_t outer, n, inner, at = 0;
    rc__around_axis(&c->n.out, axis, &outer, &n, &inner);
    for (int i = 0; i < count; i++) {
        size_t width = x[i]->dim[axis] * inner;
        move_rows((rows_job){outer, width, width, n * inner, 0, x[i]->x, c->n.out.x + at, false});
        at += width;
    }
    return &c->n.out;
}

/* ---- slice, split ------------------------------------------------------------------------------------------------ */

static void slice_backward(rc_tape *t, rc__node *self) {
    shape_node *s = (shape_node *)self;
    rc_real *dx = rc__grad(t, s->x);
    if (!dx) return;
    size_t outer, n, inner;
    rc__around_axis(s->x, s->axis, &outer, &n, &inner);
    size_t width = self->out.dim[s->axis] * inner;
    move_rows((rows_job){outer, width, width, n * inner, 0, self->out.dx, dx + s->start * inner, true});
}

rc_var *rc_slice(rc_tape *t, rc_var *x, int axis, size_t start, size_t len) {
    if (!rc__alive(t, "slice", 1, x) || !rc__axis(t, "slice", x, axis, &axis)) return rc__dead(t);
    size_t outer, n, inner, dim[RC_MAX_DIMS];
    rc__around_axis(x, axis, &outer, &n, &inner);
    if (len == 0 || start >= n || len > n - start)
        return rc__op_fail(t, RC_EINVAL, "slice", "%zu from %zu on of axis %d of %s", len, start, axis,
                           rc__shape_text(x->ndim, x->dim));
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = len;
    /* along the outermost axis the piece is contiguous: a view */
    shape_node *s =
        (outer == 1 ? rc__node_view : rc__node_new)(t, sizeof *s, "slice", x->ndim, dim, x->needs_grad, slice_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    s->axis = axis;
    s->start = start;
    if (outer == 1)
        s->n.out.x = x->x + start * inner;
    else
        move_rows((rows_job){outer, len * inner, n * inner, len * inner, 0, x->x + start * inner, s->n.out.x, false});
    return &s->n.out;
}

bool rc_split(rc_tape *t, rc_var *x, int axis, int n, rc_var **out) {
    for (int i = 0; out && i < n; i++) out[i] = rc__dead(t);
    if (!rc__alive(t, "split", 1, x) || !rc__axis(t, "split", x, axis, &axis)) return false;
    if (n < 1 || !out || x->dim[axis] % (size_t)n) {
        rc__op_fail(t, RC_EINVAL, "split", "axis %d of %s does not divide into %d pieces", axis,
                    rc__shape_text(x->ndim, x->dim), n);
        return false;
    }
    size_t len = x->dim[axis] / (size_t)n;
    for (int i = 0; i < n; i++) {
        out[i] = rc_slice(t, x, axis, (size_t)i * len, len);
        if (out[i]->len == 0) return false;
    }
    return true;
}
