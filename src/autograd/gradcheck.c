/* gradcheck.c - gradients against central differences (gradcheck.h says what is checked).
 *
 * The loss is sum r_i y_i. Differences are taken per element of y before they are summed, which keeps digits that the
 * difference of two large sums would lose. */
#include "autograd/gradcheck.h"
#ifdef RC_DOUBLE
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "autograd/tape_internal.h"

/* One array whose gradient is checked: an input's copy or a parameter's window. */
typedef struct target {
    const char *name;
    int ndim;
    const size_t *dim;
    size_t len;
    double *x;        /* perturbed in place */
    double *keep;     /* its value before */
    double *expected; /* numerical gradient */
    double *extra;    /* gradient already present in the second pass */
    double *found;    /* gradient of the op in the second pass, before `extra` is taken off */
    rc_param *param;  /* or NULL */
    bool checked, zero_ok;
} target;

typedef struct check {
    const rc__gradcheck *c;
    rc_tape *t;
    target *target;
    size_t n, cap;
    rc_var *in[RC__GRADCHECK_INPUTS]; /* of the last evaluation */
    double *weight, *plus, *minus;    /* of the reduction; values of y */
    size_t y_len;
    int y_ndim;
    size_t y_dim[RC_MAX_DIMS];
} check;

/* ---- the reduction: sum r_i y_i ---------------------------------------------------------------------------------- */

typedef struct weigh_node {
    rc__node n;
    rc_var *y;
    const double *r;
} weigh_node;

static void weigh_backward(rc_tape *t, rc__node *self) {
    weigh_node *w = (weigh_node *)self;
    double *dy = rc__grad(t, w->y);
    if (!dy) return;
    for (size_t i = 0; i < w->y->len; i++) dy[i] += w->r[i] * self->out.dx[0];
}

static rc_var *weigh(rc_tape *t, rc_var *y, const double *r) {
    if (!rc__alive(t, "gradcheck", 1, y)) return rc__dead(t);
    weigh_node *w = rc__node_new(t, sizeof *w, "gradcheck", 0, NULL, y->needs_grad, weigh_backward);
    if (!w) return rc__dead(t);
    w->y = y;
    w->r = r;
    double sum = 0;
    for (size_t i = 0; i < y->len; i++) sum += r[i] * y->x[i];
    w->n.out.x[0] = sum;
    return &w->n.out;
}

typedef struct join_node { /* a + b, of scalars */
    rc__node n;
    rc_var *a, *b;
} join_node;

static void join_backward(rc_tape *t, rc__node *self) {
    join_node *j = (join_node *)self;
    double *da = rc__grad(t, j->a), *db = rc__grad(t, j->b);
    if (da) da[0] += self->out.dx[0];
    if (db) db[0] += self->out.dx[0];
}

static rc_var *join(rc_tape *t, rc_var *a, rc_var *b) {
    if (!rc__alive(t, "gradcheck", 2, a, b)) return rc__dead(t);
    join_node *j = rc__node_new(t, sizeof *j, "gradcheck", 0, NULL, a->needs_grad || b->needs_grad, join_backward);
    if (!j) return rc__dead(t);
    j->a = a;
    j->b = b;
    j->n.out.x[0] = a->x[0] + b->x[0];
    return &j->n.out;
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */

static double *doubles(size_t n) { return rc__calloc(n ? n : 1, sizeof(double)); }

static bool target_init(target *g) {
    g->keep = doubles(g->len);
    g->expected = doubles(g->len);
    g->extra = doubles(g->len);
    g->found = doubles(g->len);
    if (!g->keep || !g->expected || !g->extra || !g->found) return false;
    memcpy(g->keep, g->x, g->len * sizeof *g->x);
    return true;
}

static void target_free(target *g) {
    size_t bytes = (g->len ? g->len : 1) * sizeof(double);
    if (!g->param) rc__free(g->x, bytes);
    rc__free(g->keep, bytes);
    rc__free(g->expected, bytes);
    rc__free(g->extra, bytes);
    rc__free(g->found, bytes);
}

static void fill(rc__fill how, const double *data, size_t n, rc_rng *r, double *x) {
    const size_t middle = n / 2;
    switch (how) {
    case RC__FILL_NORMAL:
        for (size_t i = 0; i < n; i++) x[i] = rc_rng_normal(r);
        break;
    case RC__FILL_POSITIVE:
        for (size_t i = 0; i < n; i++) x[i] = 0.5 + 1.5 * rc_rng_uniform(r);
        break;
    case RC__FILL_APART:
        for (size_t i = 0; i < n; i++) x[i] = 0.1 * ((double)i - (double)middle) + 0.025 + 0.02 * rc_rng_uniform(r);
        for (size_t i = n; i > 1; i--) {
            size_t j = (size_t)rc_rng_below(r, i);
            double swap = x[j];
            x[j] = x[i - 1];
            x[i - 1] = swap;
        }
        break;
    case RC__FILL_DATA: memcpy(x, data, n * sizeof *x); break;
    }
}

static rc_status add_inputs(check *k, rc_error *e) {
    rc_rng r = rc_rng_make(k->c->seed, 1);
    for (int i = 0; i < k->c->n; i++) {
        const rc__gradcheck_input *in = &k->c->in[i];
        target *g = &k->target[k->n];
        *g = (target){.name = in->name ? in->name : "(unnamed)",
                      .ndim = in->ndim,
                      .dim = in->dim,
                      .len = 1,
                      .checked = !in->no_grad,
                      .zero_ok = in->zero_ok};
        for (int d = 0; d < in->ndim; d++) g->len *= in->dim[d];
        if (in->fill == RC__FILL_DATA && !in->x)
            return rc_fail(e, RC_EINVAL, "gradcheck: input %s has no data", g->name);
        g->x = doubles(g->len);
        k->n++;
        if (!g->x) return rc_fail(e, RC_ENOMEM, "gradcheck: out of memory");
        fill(in->fill, in->x, g->len, &r, g->x);
        if (!target_init(g)) return rc_fail(e, RC_ENOMEM, "gradcheck: out of memory");
    }
    return RC_OK;
}

static rc_status add_params(check *k, rc_error *e) {
    for (size_t i = 0; i < rc_params_count(k->c->params); i++) {
        rc_param *p = rc_params_at(k->c->params, i);
        target *g = &k->target[k->n++];
        *g = (target){.name = p->name,
                      .ndim = p->ndim,
                      .dim = p->dim,
                      .len = p->len,
                      .x = p->w,
                      .param = p,
                      .checked = !p->frozen,
                      .zero_ok = k->c->params_zero_ok};
        if (!p->w) return rc_fail(e, RC_EINVAL, "gradcheck: parameter %s has no value before rc_params_build", p->name);
        if (!target_init(g)) return rc_fail(e, RC_ENOMEM, "gradcheck: out of memory");
    }
    return RC_OK;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

static rc_var *evaluate(check *k, bool grad) {
    const rc__gradcheck *c = k->c;
    rc_params_changed(c->params);
    rc_tape_begin(k->t, (rc_tape_mode){.grad = grad, .training = c->training, .seed = c->seed, .step = c->step});
    for (int i = 0; i < c->n; i++) {
        const target *g = &k->target[i];
        k->in[i] = (g->checked ? rc_leaf : rc_input)(k->t, g->ndim, g->dim, g->x);
    }
    return c->build(k->t, k->in, c->ctx);
}

/* y of the first evaluation: its shape, which must not change, and the weights. */
static rc_status first_value(check *k, rc_error *e) {
    rc_var *y = evaluate(k, true);
    rc_status s = rc_tape_status(k->t, e);
    if (s != RC_OK) return s;
    if (!y || y->len == 0) return rc_fail(e, RC_EINVAL, "gradcheck: build returned no variable, but no error either");
    k->y_len = y->len;
    k->y_ndim = y->ndim;
    memcpy(k->y_dim, y->dim, sizeof k->y_dim);
    k->weight = doubles(k->y_len);
    k->plus = doubles(k->y_len);
    k->minus = doubles(k->y_len);
    if (!k->weight || !k->plus || !k->minus) return rc_fail(e, RC_ENOMEM, "gradcheck: out of memory");
    rc_rng r = rc_rng_make(k->c->seed, 2);
    /* away from 0, so that no element of y goes unseen */
    for (size_t i = 0; i < k->y_len; i++) {
        double u = 2 * rc_rng_uniform(&r) - 1;
        k->weight[i] = u < 0 ? u - 0.5 : u + 0.5;
    }
    for (size_t i = 0; i < k->y_len; i++)
        if (!isfinite(y->x[i])) return rc_fail(e, RC_ENO, "gradcheck: output element %zu is %g", i, y->x[i]);
    return RC_OK;
}

static rc_status value(check *k, double *y_out, rc_error *e) {
    rc_var *y = evaluate(k, false);
    rc_status s = rc_tape_status(k->t, e);
    if (s != RC_OK) return s;
    if (!y || y->len != k->y_len) return rc_fail(e, RC_EINVAL, "gradcheck: the shape of the output changed");
    memcpy(y_out, y->x, k->y_len * sizeof *y_out);
    return RC_OK;
}

static rc_status numerical(check *k, rc_error *e) {
    double h = k->c->h != 0 ? k->c->h : 1e-5;
    for (size_t a = 0; a < k->n; a++) {
        target *g = &k->target[a];
        for (size_t i = 0; g->checked && i < g->len; i++) {
            double x = g->x[i], up = x + h, down = x - h, sum = 0;
            g->x[i] = up;
            rc_status s = value(k, k->plus, e);
            g->x[i] = down;
            if (s == RC_OK) s = value(k, k->minus, e);
            g->x[i] = x;
            if (s != RC_OK) return s;
            for (size_t j = 0; j < k->y_len; j++) sum += k->weight[j] * (k->plus[j] - k->minus[j]);
            g->expected[i] = sum / (up - down);
        }
    }
    return RC_OK;
}

/* "weight[3] of shape (4, 5)" */
static const char *element_text(const target *g, size_t i) {
    static _Thread_local char text[160];
    snprintf(text, sizeof text, "%s %s, element %zu of shape %s", g->param ? "parameter" : "input", g->name, i,
             rc__shape_text(g->ndim, g->dim));
    return text;
}

static const double *gradient(const check *k, size_t a) {
    const target *g = &k->target[a];
    return g->param ? g->param->g : k->in[a]->dx;
}

/* Fills target.found; `present` starts every gradient from target.extra. */
static rc_status analytic(check *k, bool present, rc_error *e) {
    rc_params_zero_grad(k->c->params);
    rc_var *y = evaluate(k, true);
    rc_status s = rc_tape_status(k->t, e);
    if (s != RC_OK) return s;
    if (!y || y->len != k->y_len) return rc_fail(e, RC_EINVAL, "gradcheck: the shape of the output changed");
    rc_var *loss = weigh(k->t, y, k->weight);
    for (size_t a = 0; present && a < k->n; a++) { /* made after the op, so their backward runs before its */
        target *g = &k->target[a];
        if (!g->checked) continue;
        if (g->param)
            for (size_t i = 0; i < g->len; i++) g->param->g[i] = g->extra[i];
        else
            loss = join(k->t, weigh(k->t, k->in[a], g->extra), loss);
    }
    s = rc_backward(k->t, loss, 1, e);
    if (s != RC_OK) return s;
    for (size_t a = 0; a < k->n; a++) {
        target *g = &k->target[a];
        const double *d = gradient(k, a);
        if (d)
            memcpy(g->found, d, g->len * sizeof *d);
        else
            memset(g->found, 0, g->len * sizeof *d);
        if (memcmp(g->x, g->keep, g->len * sizeof *g->x) != 0)
            return rc_fail(e, RC_ENO, "gradcheck: %s %s was written to", g->param ? "parameter" : "input", g->name);
    }
    return RC_OK;
}

static rc_status compare(const check *k, rc_error *e) {
    double tolerance = k->c->tolerance != 0 ? k->c->tolerance : 1e-6, least = k->c->floor != 0 ? k->c->floor : 1e-2;
    for (size_t a = 0; a < k->n; a++) {
        const target *g = &k->target[a];
        double sum = 0;
        for (size_t i = 0; g->checked && i < g->len; i++) {
            double want = g->expected[i], found = g->found[i], size = fmax(fmax(fabs(want), fabs(found)), least);
            if (!isfinite(want) || !isfinite(found))
                return rc_fail(e, RC_ENO, "gradcheck: %s: expected %g, found %g", element_text(g, i), want, found);
            if (fabs(want - found) > tolerance * size)
                return rc_fail(e, RC_ENO, "gradcheck: %s: expected %.9g, found %.9g (relative error %.2g)",
                               element_text(g, i), want, found, fabs(want - found) / size);
            sum += fabs(want);
        }
        /* differences of an output that does not depend on x are exactly 0; rounding leaves some 1e-11 */
        if (g->checked && !g->zero_ok && !(sum > 1e-7))
            return rc_fail(e, RC_ENO, "gradcheck: %s %s: every gradient is 0, which proves nothing",
                           g->param ? "parameter" : "input", g->name);
    }
    return RC_OK;
}

static rc_status compare_added(const check *k, const target *first, rc_error *e) {
    for (size_t a = 0; a < k->n; a++) {
        const target *g = &k->target[a];
        for (size_t i = 0; g->checked && i < g->len; i++) {
            double want = first[a].expected[i] + g->extra[i], found = g->found[i];
            double size = fmax(fmax(fabs(want), fabs(found)), 1);
            if (!(fabs(want - found) <= 1e-5 * size))
                return rc_fail(e, RC_ENO,
                               "gradcheck: %s: with a gradient of %.9g already present expected %.9g, found %.9g "
                               "(set where it should add?)",
                               element_text(g, i), g->extra[i], want, found);
        }
    }
    return RC_OK;
}

rc_status rc__gradcheck_run(const rc__gradcheck *c, rc_error *e) {
    if (!c || !c->build || c->n < 0 || c->n > RC__GRADCHECK_INPUTS)
        return rc_fail(e, RC_EINVAL, "gradcheck: needs a build function and 0 to %d inputs", RC__GRADCHECK_INPUTS);
    check k = {.c = c};
    k.cap = (size_t)c->n + rc_params_count(c->params);
    if (k.cap == 0) return rc_fail(e, RC_EINVAL, "gradcheck: there is neither an input nor a parameter to check");
    rc_status s = rc_tape_new(&k.t, e);
    if (s != RC_OK) return s;
    k.target = rc__calloc(k.cap, sizeof *k.target);
    if (!k.target) s = rc_fail(e, RC_ENOMEM, "gradcheck: out of memory");
    if (s == RC_OK) s = add_inputs(&k, e);
    if (s == RC_OK) s = add_params(&k, e);
    if (s == RC_OK) s = first_value(&k, e);
    if (s == RC_OK) s = numerical(&k, e);
    if (s == RC_OK) s = analytic(&k, false, e);
    if (s == RC_OK) s = compare(&k, e);
    if (s == RC_OK) {
        rc_rng r = rc_rng_make(c->seed, 3);
        for (size_t a = 0; a < k.n; a++)
            for (size_t i = 0; i < k.target[a].len; i++) k.target[a].extra[i] = 1 + rc_rng_uniform(&r);
        s = analytic(&k, true, e);
    }
    if (s == RC_OK) s = compare_added(&k, k.target, e);
    rc_params_zero_grad(c->params);
    for (size_t a = 0; a < k.n; a++) { /* dense again: the second pass wrote to rows that nobody noted */
        rc_param *p = k.target[a].param;
        if (p && p->g) memset(p->g, 0, p->len * sizeof *p->g);
        target_free(&k.target[a]);
    }
    size_t bytes = (k.y_len ? k.y_len : 1) * sizeof(double);
    rc__free(k.weight, bytes);
    rc__free(k.plus, bytes);
    rc__free(k.minus, bytes);
    rc__free(k.target, k.cap * sizeof *k.target);
    rc_tape_free(k.t);
    return s;
}
#endif
