/* dropout.c - inverted dropout: y = m x, m = 0 with probability p, else 1 / (1 - p) (Srivastava et al. 2014, section
 * 10). Element i of a mask is number i of the op's own random stream, so tiles are made by any thread in any order. The
 * mask is kept for the backward pass: a multiplication costs less than drawing again. */
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct dropout_node {
    rc__node n;
    rc_var *x;
    rc_real *mask;
    size_t steps, len; /* x = (steps, len), mask = (len) */
    rc_rng rng;
    double p;
} dropout_node;

typedef struct dropout_job {
    const dropout_node *d;
    rc_real *dx;
    bool add;
    size_t tiles; /* of a step */
} dropout_job;

static void mask_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const dropout_node *d = ((const dropout_job *)ctx)->d;
    size_t at = task * RC__TILE;
    rc__k->pw.dropout_mask(rc__min_size(RC__TILE, d->len - at), d->rng, at, d->p, d->mask + at);
}

static void forward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const dropout_job *j = ctx;
    const dropout_node *d = j->d;
    size_t at = task % j->tiles * RC__TILE, from = task / j->tiles * d->len + at,
           n = rc__min_size(RC__TILE, d->len - at);
    rc__k->pw.mul(n, d->x->x + from, d->mask + at, d->n.out.x + from);
}

static void backward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const dropout_job *j = ctx;
    const dropout_node *d = j->d;
    size_t at = task % j->tiles * RC__TILE, from = task / j->tiles * d->len + at,
           n = rc__min_size(RC__TILE, d->len - at);
    if (j->add)
        rc__k->pw.mul_add(n, d->n.out.dx + from, d->mask + at, j->dx + from);
    else
        rc__k->pw.mul(n, d->n.out.dx + from, d->mask + at, j->dx + from);
}

static void dropout_backward(rc_tape *t, rc__node *self) {
    dropout_job j = {.d = (dropout_node *)self};
    j.dx = rc__grad_to(t, j.d->x, &j.add);
    if (!j.dx) return;
    j.tiles = rc__tiles(j.d->len, RC__TILE);
    rc__parallel(j.tiles * j.d->steps, RC__WORK(self->out.len), backward_task, &j);
}

static rc_var *dropout(rc_tape *t, const char *op, rc_var *x, double p, size_t steps) {
    if (!(p >= 0 && p < 1)) return rc__op_fail(t, RC_EINVAL, op, "p is %g, expected 0 <= p < 1", p);
    rc_rng rng = rc__tape_rng(t); /* drawn even when unused: the masks of later ops do not depend on this one's p */
    if (p == 0 || !rc_tape_get_mode(t).training) return x;
    dropout_node *d = rc__node_new(t, sizeof *d, op, x->ndim, x->dim, x->needs_grad, dropout_backward);
    if (!d) return rc__dead(t);
    d->x = x;
    d->steps = steps;
    d->len = x->len / steps;
    d->rng = rng;
    d->p = p;
    d->mask = rc__tape_alloc(t, d->len * sizeof *d->mask);
    if (!d->mask) return rc__dead(t);
    dropout_job j = {.d = d, .tiles = rc__tiles(d->len, RC__TILE)};
    rc__parallel(j.tiles, 8 * RC__WORK(d->len), mask_task, &j); /* ten rounds of Philox for four draws */
    rc__parallel(j.tiles * steps, RC__WORK(x->len), forward_task, &j);
    return &d->n.out;
}

rc_var *rc_dropout(rc_tape *t, rc_var *x, double p) {
    if (!rc__alive(t, "dropout", 1, x)) return rc__dead(t);
    return dropout(t, "dropout", x, p, 1);
}

rc_var *rc_dropout_sequence(rc_tape *t, rc_var *x, double p) {
    if (!rc__alive(t, "dropout_sequence", 1, x)) return rc__dead(t);
    if (x->ndim != 3)
        return rc__op_fail(t, RC_EINVAL, "dropout_sequence", "x is %s, expected (T, B, features)",
                           rc__shape_text(x->ndim, x->dim));
    return dropout(t, "dropout_sequence", x, p, x->dim[0]);
}
