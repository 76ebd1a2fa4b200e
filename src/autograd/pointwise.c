/* pointwise.c - activations: kernels of rc__k in tiles over threads. The equations are in kernels/pointwise.inc. */
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

static const char *const act_name[RC_ACT_COUNT] = {"sigmoid",  "tanh", "relu", "leaky_relu", "elu",    "gelu", "silu",
                                                   "softplus", "exp",  "log",  "sqrt",       "square", "abs"};
#define ACT_WORK 4 /* times that of an addition: a rough mean, exp and erf among them */

typedef struct act_node {
    rc__node n;
    rc_var *x;
    rc_act act;
} act_node;

typedef struct act_job {
    const act_node *a;
    rc_real *dx;
} act_job;

static void forward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const act_node *a = ((const act_job *)ctx)->a;
    size_t at = task * RC__TILE;
    rc__k->pw.act[a->act](rc__min_size(RC__TILE, a->x->len - at), a->x->x + at, a->n.out.x + at);
}

static void backward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const act_job *j = ctx;
    const act_node *a = j->a;
    size_t at = task * RC__TILE;
    rc__k->pw.act_back[a->act](rc__min_size(RC__TILE, a->x->len - at), a->x->x + at, a->n.out.x + at, a->n.out.dx + at,
                               j->dx + at);
}

static void act_backward(rc_tape *t, rc__node *self) {
    act_node *a = (act_node *)self;
    rc_real *dx = rc__grad(t, a->x);
    if (dx)
        rc__parallel(rc__tiles(a->x->len, RC__TILE), ACT_WORK * RC__WORK(a->x->len), backward_task, &(act_job){a, dx});
}

rc_var *rc_activate(rc_tape *t, rc_var *x, rc_act act) {
    if ((unsigned)act >= RC_ACT_COUNT) {
        if (!rc__alive(t, "activate", 0)) return rc__dead(t);
        return rc__op_fail(t, RC_EINVAL, "activate", "unknown activation %d", (int)act);
    }
    if (!rc__alive(t, act_name[act], 1, x)) return rc__dead(t);
    act_node *a = rc__node_new(t, sizeof *a, act_name[act], x->ndim, x->dim, x->needs_grad, act_backward);
    if (!a) return rc__dead(t);
    a->x = x;
    a->act = act;
    rc__parallel(rc__tiles(x->len, RC__TILE), ACT_WORK * RC__WORK(x->len), forward_task, &(act_job){a, NULL});
    return &a->n.out;
}

rc_var *rc_sigmoid(rc_tape *t, rc_var *x) { return rc_activate(t, x, RC_ACT_SIGMOID); }

rc_var *rc_tanh(rc_tape *t, rc_var *x) { return rc_activate(t, x, RC_ACT_TANH); }

rc_var *rc_relu(rc_tape *t, rc_var *x) { return rc_activate(t, x, RC_ACT_RELU); }
