/* arith.c - add, sub and mul with NumPy's broadcasting, and scale.
 *
 * Shapes are aligned at their last axis; an axis of 1 repeats (stride 0). Neighbouring axes that run on in both
 * operands are merged, so that equal shapes become one long run, a bias one run per row, a scalar one run with stride
 * 0. A run goes to a kernel. The gradient of a repeated operand is summed over its repetitions, in double:
 *   (rows, cols) <- (cols), (X, rows, cols) <- (X, 1, cols)   sums of columns, over threads
 *   (rows, cols) <- (rows, 1)                                 a sum per run, over threads
 *   a scalar                                                  one sum, over threads
 *   anything else                                             in the order of the runs, by one thread
 */
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef enum binary_kind { ADD, SUB, MUL } binary_kind;
static const char *const kind_name[] = {"add", "sub", "mul"};

typedef struct plan { /* merged axes of the output; strides of both operands, 0 where repeated */
    int ndim;         /* >= 1 */
    size_t dim[RC_MAX_DIMS], stride[2][RC_MAX_DIMS];
    size_t runs, inner; /* output = (runs, inner) */
} plan;

typedef struct binary_node {
    rc__node n;
    rc_var *in[2];
    binary_kind kind;
    plan p;
} binary_node;

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static size_t dim_from_end(const rc_var *v, int i) { return i < v->ndim ? v->dim[v->ndim - 1 - i] : 1; }

static bool make_plan(rc_tape *t, const char *op, const rc_var *a, const rc_var *b, size_t *dim, int *ndim, plan *p) {
    plan r = {0}; /* innermost first */
    size_t running[2] = {1, 1};
    *ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < *ndim; i++) {
        size_t d[2] = {dim_from_end(a, i), dim_from_end(b, i)}, n = d[0] > d[1] ? d[0] : d[1], s[2];
        for (int k = 0; k < 2; k++) {
            if (d[k] != n && d[k] != 1) {
                rc__op_fail(t, RC_EINVAL, op, "shapes %s and %s do not broadcast", rc__shape_text(a->ndim, a->dim),
                            rc__shape_text(b->ndim, b->dim));
                return false;
            }
            s[k] = d[k] == 1 ? 0 : running[k];
            running[k] *= d[k];
        }
        dim[*ndim - 1 - i] = n;
        if (n == 1) continue;
        int at = r.ndim - 1;
        if (at >= 0 && s[0] == r.stride[0][at] * r.dim[at] && s[1] == r.stride[1][at] * r.dim[at]) {
            r.dim[at] *= n;
            continue;
        }
        r.dim[r.ndim] = n;
        r.stride[0][r.ndim] = s[0];
        r.stride[1][r.ndim++] = s[1];
    }
    if (r.ndim == 0) r = (plan){.ndim = 1, .dim = {1}, .stride = {{1}, {1}}};
    *p = (plan){.ndim = r.ndim, .runs = 1, .inner = r.dim[0]};
    for (int i = 0; i < r.ndim; i++) {
        int at = r.ndim - 1 - i;
        p->dim[at] = r.dim[i];
        p->stride[0][at] = r.stride[0][i];
        p->stride[1][at] = r.stride[1][i];
        if (i) p->runs *= r.dim[i];
    }
    return true;
}

static size_t run_offset(const plan *p, int operand, size_t run) {
    size_t at = 0;
    for (int d = p->ndim - 1; d-- > 0; run /= p->dim[d]) at += run % p->dim[d] * p->stride[operand][d];
    return at;
}

/* ---- runs over threads ------------------------------------------------------------------------------------------- */

typedef struct runs_job runs_job;
struct runs_job {
    const plan *p;
    const rc_real *x[2]; /* the operands */
    const rc_real *dy;
    rc_real *out;
    binary_kind kind;
    int operand; /* backward: whose gradient */
    bool add;
    size_t pieces, runs_of_task;
    /* elements [at, at + n) of the output, which belong to one run and meet the operands at off[] */
    void (*run)(const runs_job *j, size_t at, const size_t off[2], size_t n);
};

static void runs_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const runs_job *j = ctx;
    const plan *p = j->p;
    size_t first = task / j->pieces * j->runs_of_task, last = rc__min_size(first + j->runs_of_task, p->runs);
    size_t from = task % j->pieces * RC__TILE, n = j->pieces > 1 ? rc__min_size(RC__TILE, p->inner - from) : p->inner;
    for (size_t r = first; r < last; r++) {
        size_t off[2];
        for (int k = 0; k < 2; k++) off[k] = run_offset(p, k, r) + from * p->stride[k][p->ndim - 1];
        j->run(j, r * p->inner + from, off, n);
    }
}

static void over_runs(runs_job *j) {
    j->pieces = rc__tiles(j->p->inner, RC__TILE);
    j->runs_of_task = j->p->inner < RC__TILE ? RC__TILE / j->p->inner : 1;
    rc__parallel(rc__tiles(j->p->runs, j->runs_of_task) * j->pieces, RC__WORK(j->p->runs * j->p->inner), runs_task, j);
}

/* y = a + b, a - b, a b; at most one of the two repeats one value along the run */
static void forward_run(const runs_job *j, size_t at, const size_t off[2], size_t n) {
    const rc_real *a = j->x[0] + off[0], *b = j->x[1] + off[1];
    rc_real *y = j->out + at;
    int last = j->p->ndim - 1;
    bool one_a = j->p->stride[0][last] == 0, one_b = j->p->stride[1][last] == 0;
    switch (j->kind) {
    case ADD:
        if (one_a)
            rc__k->pw.scale(n, 1, *a, b, y);
        else if (one_b)
            rc__k->pw.scale(n, 1, *b, a, y);
        else
            rc__k->pw.add(n, a, b, y);
        break;
    case SUB:
        if (one_a)
            rc__k->pw.scale(n, -1, *a, b, y);
        else if (one_b)
            rc__k->pw.scale(n, 1, -*b, a, y);
        else {
            rc__k->pw.scale(n, -1, 0, b, y);
            rc__k->pw.add(n, a, y, y);
        }
        break;
    case MUL:
        if (one_a)
            rc__k->pw.scale(n, *a, 0, b, y);
        else if (one_b)
            rc__k->pw.scale(n, *b, 0, a, y);
        else
            rc__k->pw.mul(n, a, b, y);
        break;
    }
}

/* forward y = a b; da = or += dy b, where a is not repeated */
static void mul_back_run(const runs_job *j, size_t at, const size_t off[2], size_t n) {
    const rc_real *dy = j->dy + at, *other = j->x[1 - j->operand] + off[1 - j->operand];
    rc_real *d = j->out + at;
    bool one = j->p->stride[1 - j->operand][j->p->ndim - 1] == 0;
    if (one && j->add)
        rc__k->pw.axpy(n, *other, dy, d);
    else if (one)
        rc__k->pw.scale(n, *other, 0, dy, d);
    else if (j->add)
        rc__k->pw.mul_add(n, dy, other, d);
    else
        rc__k->pw.mul(n, dy, other, d);
}

/* ---- sums over repetitions --------------------------------------------------------------------------------------- */

/* sum over a run of dy (times the other operand of a product), with the sign of a subtraction. The operand repeats one
 * value along the run, so the other one does not: an axis that both repeat has length 1 and is no axis of the plan. */
static double run_sum(const runs_job *j, size_t at, const size_t off[2], size_t n) {
    const rc_real *dy = j->dy + at;
    if (j->kind == ADD) return rc__k->pw.sum(n, dy);
    if (j->kind == SUB) return j->operand ? -rc__k->pw.sum(n, dy) : rc__k->pw.sum(n, dy);
    const rc_real *other = j->x[1 - j->operand] + off[1 - j->operand];
    return rc__k->pw.dot(n, dy, other);
}

typedef struct sums_job { /* runs of whom each has an element of the operand for itself */
    runs_job *j;
    size_t runs_of_task;
} sums_job;

static void sums_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const sums_job *s = ctx;
    const plan *p = s->j->p;
    size_t first = task * s->runs_of_task, last = rc__min_size(first + s->runs_of_task, p->runs);
    for (size_t r = first; r < last; r++) {
        size_t off[2] = {run_offset(p, 0, r), run_offset(p, 1, r)};
        rc_real v = (rc_real)run_sum(s->j, r * p->inner, off, p->inner), *d = s->j->out + off[s->j->operand];
        *d = s->j->add ? *d + v : v;
    }
}

static void sum_in_order(rc_tape *t, runs_job *j, size_t len) {
    const plan *p = j->p;
    int me = j->operand, last = p->ndim - 1;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    double *sum = rc__tape_alloc(t, len * sizeof *sum), sign = j->kind == SUB && me == 1 ? -1 : 1;
    if (!sum) return;
    for (size_t i = 0; i < len; i++) sum[i] = 0;
    for (size_t r = 0; r < p->runs; r++) {
        size_t off[2] = {run_offset(p, 0, r), run_offset(p, 1, r)}, at = r * p->inner;
        double *to = sum + off[me];
        if (p->stride[me][last] == 0) {
            *to += run_sum(j, at, off, p->inner);
            continue;
        }
        const rc_real *dy = j->dy + at, *other = j->x[1 - me] + off[1 - me];
        size_t step = p->stride[1 - me][last];
        if (j->kind == MUL)
            for (size_t i = 0; i < p->inner; i++) to[i] += (double)dy[i] * (double)other[i * step];
        else
            for (size_t i = 0; i < p->inner; i++) to[i] += sign * (double)dy[i];
    }
    for (size_t i = 0; i < len; i++) j->out[i] = (rc_real)sum[i] + (j->add ? j->out[i] : 0);
    rc__arena_rewind(rc__tape_arena(t), mark);
}

/* Whether an operand has every element of the output for itself. */
static bool is_full(const plan *p, int operand) {
    for (int d = 0; d < p->ndim; d++)
        if (p->stride[operand][d] == 0) return false;
    return true;
}

/* Describes the operand's gradient as sums of columns: merged axes (X, rows, cols) with rows repeated, X optional. X is
 * not repeated too, or it would have been merged with rows. */
static bool as_columns(const plan *p, int me, binary_kind kind, rc__column_sums *c) {
    if (p->ndim < 2 || p->ndim > 3 || p->stride[me][p->ndim - 1] == 0 || p->stride[me][p->ndim - 2] != 0) return false;
    if (kind == MUL && !is_full(p, 1 - me)) return false;
    c->items = p->ndim == 3 ? p->dim[0] : 1;
    c->rows = p->dim[p->ndim - 2];
    c->cols = c->row_stride = p->inner;
    c->item_stride = c->rows * c->cols;
    return true;
}

static void backward_into(rc_tape *t, const binary_node *b, int me) {
    bool add;
    const plan *p = &b->p;
    rc_real *d = rc__grad_to(t, b->in[me], &add);
    if (!d) return;
    const rc_real *dy = b->n.out.dx;
    double sign = b->kind == SUB && me == 1 ? -1 : 1;
    runs_job j = {.p = p,
                  .x = {b->in[0]->x, b->in[1]->x},
                  .dy = dy,
                  .out = d,
                  .kind = b->kind,
                  .operand = me,
                  .add = add,
                  .run = mul_back_run};
    rc__column_sums c = {.x = dy, .m = b->kind == MUL ? b->in[1 - me]->x : NULL, .scale = sign, .out = d, .add = add};
    if (is_full(p, me)) {
        if (b->kind == MUL)
            over_runs(&j);
        else
            rc__bulk_put(b->n.out.len, (rc_real)sign, dy, d, add);
    } else if (b->in[me]->len == 1) { /* the other one is full */
        rc_real v = (rc_real)(sign * rc__bulk_sum(t, b->n.out.len, dy, c.m));
        d[0] = add ? d[0] + v : v;
    } else if (as_columns(p, me, b->kind, &c)) {
        rc__sum_columns(t, &c);
    } else if (p->ndim == 2 && p->stride[me][1] == 0) {
        sums_job s = {&j, p->inner < RC__TILE ? RC__TILE / p->inner : 1};
        rc__parallel(rc__tiles(p->runs, s.runs_of_task), RC__WORK(b->n.out.len), sums_task, &s);
    } else {
        sum_in_order(t, &j, b->in[me]->len);
    }
}

static void binary_backward(rc_tape *t, rc__node *self) {
    for (int me = 0; me < 2; me++) backward_into(t, (binary_node *)self, me);
}

static rc_var *binary(rc_tape *t, binary_kind kind, rc_var *a, rc_var *b) {
    const char *op = kind_name[kind];
    size_t dim[RC_MAX_DIMS];
    int ndim;
    plan p;
    if (!rc__alive(t, op, 2, a, b) || !make_plan(t, op, a, b, dim, &ndim, &p)) return rc__dead(t);
    binary_node *n = rc__node_new(t, sizeof *n, op, ndim, dim, a->needs_grad || b->needs_grad, binary_backward);
    if (!n) return rc__dead(t);
    n->in[0] = a;
    n->in[1] = b;
    n->kind = kind;
    n->p = p;
    over_runs(&(runs_job){.p = &p, .x = {a->x, b->x}, .out = n->n.out.x, .kind = kind, .run = forward_run});
    return &n->n.out;
}

rc_var *rc_add(rc_tape *t, rc_var *a, rc_var *b) { return binary(t, ADD, a, b); }

rc_var *rc_sub(rc_tape *t, rc_var *a, rc_var *b) { return binary(t, SUB, a, b); }

rc_var *rc_mul(rc_tape *t, rc_var *a, rc_var *b) { return binary(t, MUL, a, b); }

/* ---- scale ------------------------------------------------------------------------------------------------------- */

typedef struct scale_node {
    rc__node n;
    rc_var *x;
    rc_real a;
} scale_node;

static void scale_backward(rc_tape *t, rc__node *self) {
    scale_node *s = (scale_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, s->x, &add);
    if (dx) rc__bulk_put(s->x->len, s->a, self->out.dx, dx, add);
}

rc_var *rc_scale(rc_tape *t, rc_var *x, double scale, double shift) {
    if (!rc__alive(t, "scale", 1, x)) return rc__dead(t);
    scale_node *s = rc__node_new(t, sizeof *s, "scale", x->ndim, x->dim, x->needs_grad, scale_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    s->a = (rc_real)scale;
    rc__bulk_scale(x->len, (rc_real)scale, (rc_real)shift, x->x, s->n.out.x);
    return &s->n.out;
}
