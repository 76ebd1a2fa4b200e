/* swiglu.c - y = silu(a) b of the two halves of a row (Shazeer 2020, arXiv 2002.05202, eq. 6). */
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct swiglu_node {
    rc__node n;
    rc_var *x;
    size_t N, F, tile;
} swiglu_node;

typedef struct swiglu_job {
    const swiglu_node *s;
    rc_real *dx;
} swiglu_job;

static void forward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const swiglu_node *s = ((const swiglu_job *)ctx)->s;
    size_t F = s->F;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        const rc_real *a = s->x->x + 2 * r * F;
        rc__k->pw.swiglu(F, a, a + F, s->n.out.x + r * F);
    }
}

static void backward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const swiglu_job *j = ctx;
    const swiglu_node *s = j->s;
    size_t F = s->F;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        const rc_real *a = s->x->x + 2 * r * F;
        rc_real *da = j->dx + 2 * r * F;
        rc__k->pw.swiglu_back(F, a, a + F, s->n.out.dx + r * F, da, da + F);
    }
}

static void over_rows(const swiglu_job *j, void (*task)(void *, size_t, int)) {
    rc__parallel(rc__tiles(j->s->N, j->s->tile), 4 * RC__WORK(j->s->n.out.len), task, (void *)(uintptr_t)j);
}

static void swiglu_backward(rc_tape *t, rc__node *self) {
    swiglu_job j = {.s = (swiglu_node *)self};
    j.dx = rc__grad(t, j.s->x);
    if (j.dx) over_rows(&j, backward_task);
}

rc_var *rc_swiglu(rc_tape *t, rc_var *x) {
    const char *op = "swiglu";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim < 1 || x->dim[x->ndim - 1] % 2)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (..., 2F)", rc__shape_text(x->ndim, x->dim));
    size_t dim[RC_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++) dim[i] = x->dim[i];
    size_t F = dim[x->ndim - 1] /= 2;
    swiglu_node *s = rc__node_new(t, sizeof *s, op, x->ndim, dim, x->needs_grad, swiglu_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->F = F, s->N = s->n.out.len / F, s->tile = 1 + RC__TILE / F;
    over_rows(&(swiglu_job){.s = s}, forward_task);
    return &s->n.out;
}
