/* decay.c - see decay.h. Rows are those of x, N of them; sums over rows are kept for each tile of rows and added in the
 * order of the tiles, so that threads do not change a bit. */
#include "nn/decay.h"
#include "nn/declare.h"
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include <math.h>
#include <string.h>

typedef struct decay_node {
    rc__node n;
    rc_var *x, *w, *b;
    size_t N, C, tile;
} decay_node;

static rc_real gamma_of(const decay_node *s, size_t c, rc_real gap) {
    rc_real p = s->w->x[c] * gap + s->b->x[c];
    return p > 0 ? (rc_real)exp(-(double)p) : 1;
}

static void forward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const decay_node *s = ctx;
    size_t end = rc__min_size((task + 1) * s->tile, s->N);
    for (size_t r = task * s->tile; r < end; r++) {
        const rc_real *x = s->x->x + r * 3 * s->C;
        rc_real *y = s->n.out.x + r * 3 * s->C;
        memcpy(y, x, 3 * s->C * sizeof *y);
        for (size_t c = 0; c < s->C; c++) {
            rc_real v = x[3 * c], m = x[3 * c + 1];
            if (m != 1) y[3 * c] = v * (m + (1 - m) * gamma_of(s, c, x[3 * c + 2]));
        }
    }
}

typedef struct decay_grad {
    const decay_node *s;
    rc_real *dx;   /* NULL: not wanted */
    rc_real *part; /* (tiles, 2 C): dw, db */
} decay_grad;

/* With q = m + (1-m) gamma, v' = v q:  dv = dv' q,  dm = dv' v (1 - gamma),  and where p = w d + b > 0
 * dp = -dv' v (1-m) gamma,  dd = dp w,  dw = dp d,  db = dp. */
static void backward_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const decay_grad *j = ctx;
    const decay_node *s = j->s;
    rc_real *dw = j->part + task * 2 * s->C, *db = dw + s->C;
    size_t end = rc__min_size((task + 1) * s->tile, s->N);
    memset(dw, 0, 2 * s->C * sizeof *dw);
    for (size_t r = task * s->tile; r < end; r++) {
        const rc_real *x = s->x->x + r * 3 * s->C, *dy = s->n.out.dx + r * 3 * s->C;
        rc_real *dx = j->dx ? j->dx + r * 3 * s->C : NULL;
        for (size_t c = 0; c < s->C; c++) {
            rc_real v = x[3 * c], m = x[3 * c + 1], gap = x[3 * c + 2], dv = dy[3 * c];
            if (m == 1 && !dx) continue;
            rc_real gamma = gamma_of(s, c, gap), dp = gamma < 1 ? -dv * v * (1 - m) * gamma : 0;
            dw[c] += dp * gap;
            db[c] += dp;
            if (!dx) continue;
            dx[3 * c] += dv * (m + (1 - m) * gamma);
            dx[3 * c + 1] += dy[3 * c + 1] + dv * v * (1 - gamma);
            dx[3 * c + 2] += dy[3 * c + 2] + dp * s->w->x[c];
        }
    }
}

static void decay_backward(rc_tape *t, rc__node *self) {
    decay_node *s = (decay_node *)self;
    size_t tiles = rc__tiles(s->N, s->tile);
    decay_grad j = {.s = s, .dx = rc__grad(t, s->x)};
    rc_real *dw = rc__grad(t, s->w), *db = rc__grad(t, s->b);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    j.part = rc__tape_alloc(t, tiles * 2 * s->C * sizeof *j.part);
    if (rc__alive(t, self->op, 0)) {
        rc__parallel(tiles, RC__WORK(s->x->len), backward_task, &j);
        for (size_t i = 0; i < tiles; i++) {
            const rc_real *part = j.part + i * 2 * s->C;
            if (dw) rc__k->pw.add(s->C, dw, part, dw);
            if (db) rc__k->pw.add(s->C, db, part + s->C, db);
        }
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc__input_decay(rc_tape *t, rc_var *x, rc_var *w, rc_var *b) {
    const char *op = "input_decay";
    if (!rc__alive(t, op, 3, x, w, b)) return rc__dead(t);
    size_t C = w->len;
    if (b->len != C || x->ndim < 1 || x->dim[x->ndim - 1] != 3 * C)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, w %s and b %s, expected (..., 3 C) and twice (C)",
                           rc__shape_text(x->ndim, x->dim), rc__shape_text(w->ndim, w->dim),
                           rc__shape_text(b->ndim, b->dim));
    decay_node *s = rc__node_new(t, sizeof *s, op, x->ndim, x->dim, x->needs_grad || w->needs_grad || b->needs_grad,
                                 decay_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->w = w, s->b = b;
    s->C = C, s->N = x->len / (3 * C);
    s->tile = 3 * C < RC__TILE / 16 ? RC__TILE / (3 * C) : 16;
    rc__parallel(rc__tiles(s->N, s->tile), RC__WORK(x->len), forward_task, s);
    return &s->n.out;
}

static rc_param *vector(rc_params *ps, const char *prefix, const char *name, size_t n, double value, rc_error *e) {
    return rc__declare(ps, prefix, name, 1, &n, (rc_init){.kind = RC_INIT_CONSTANT, .value = value}, e);
}

rc_status rc__decay_declare(rc__decay *d, rc_params *ps, const char *prefix, size_t channels, rc_error *e) {
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    e->code = RC_OK;
    d->w = vector(ps, prefix, "weight", channels, 1, e); /* above 0: below, max(0, .) has no slope to learn from */
    d->b = d->w ? vector(ps, prefix, "bias", channels, 0, e) : NULL;
    if (d->b) return RC_OK;
    return e->code != RC_OK ? e->code : RC_ENOMEM;
}

rc_var *rc__decay_forward(rc_tape *t, const rc__decay *d, rc_var *x) {
    return rc__input_decay(t, x, rc_param_var(t, d->w), rc_param_var(t, d->b));
}
