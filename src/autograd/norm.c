/* norm.c - layer normalisation over the last axis (Ba, Kiros & Hinton 2016), the same by the root mean square alone
 * (Zhang & Sennrich 2019), and batch normalisation per feature (Ioffe & Szegedy 2015), as torch.nn.functional.layer_norm,
 * rms_norm and batch_norm. Letters: N rows, F features. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/positions.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

/* True when v is NULL or has F elements. */
static bool vector_of(rc_tape *t, const char *op, const char *name, const rc_var *v, size_t F) {
    if (!v) return true;
    if (!rc__alive(t, op, 1, v)) return false;
    if (v->len == F) return true;
    rc__op_fail(t, RC_EINVAL, op, "%s is %s, expected (%zu)", name, rc__shape_text(v->ndim, v->dim), F);
    return false;
}

static const rc_real *value(const rc_var *v) { return v ? v->x : NULL; }
static bool wants(const rc_var *v) { return v && v->needs_grad; }

/* out += the sum of `parts` rows, first to last */
static void add_parts(size_t parts, size_t F, const rc_real *part, size_t stride, rc_real *out) {
    for (size_t p = 0; p < parts; p++) rc__k->pw.add(F, out, part + p * stride, out);
}

/* ---- layer norm -------------------------------------------------------------------------------------------------- */

typedef struct layer_norm_node {
    rc__node n;
    rc_var *x, *gain, *bias;
    double eps;
    size_t N, F, tile;
    rc_real *mean, *rstd; /* (N) */
} layer_norm_node;

static void layer_norm_task(void *ctx, size_t task, int worker) {
    (void)worker;
    layer_norm_node *s = ctx;
    size_t first = task * s->tile, rows = rc__min_size(s->tile, s->N - first), at = first * s->F;
    rc__k->row.layer_norm(rows, s->F, s->x->x + at, value(s->gain), value(s->bias), s->eps, s->n.out.x + at,
                          s->mean + first, s->rstd + first);
}

typedef struct layer_norm_grad {
    layer_norm_node *s;
    rc_real *dx, *dgain, *dbias; /* dgain, dbias: one row of F per tile */
} layer_norm_grad;

static void layer_norm_back_task(void *ctx, size_t task, int worker) {
    (void)worker;
    layer_norm_grad *g = ctx;
    layer_norm_node *s = g->s;
    size_t F = s->F, first = task * s->tile, rows = rc__min_size(s->tile, s->N - first), at = first * F;
    rc_real *dgain = g->dgain ? g->dgain + task * F : NULL, *dbias = g->dbias ? g->dbias + task * F : NULL;
    if (dgain) memset(dgain, 0, F * sizeof *dgain);
    if (dbias) memset(dbias, 0, F * sizeof *dbias);
    rc__k->row.layer_norm_back(rows, F, s->x->x + at, value(s->gain), s->mean + first, s->rstd + first,
                               s->n.out.dx + at, g->dx ? g->dx + at : NULL, dgain, dbias);
}

static void layer_norm_backward(rc_tape *t, rc__node *self) {
    layer_norm_node *s = (layer_norm_node *)self;
    size_t tiles = rc__tiles(s->N, s->tile);
    layer_norm_grad g = {.s = s, .dx = rc__grad(t, s->x)};
    rc_real *dgain = rc__grad(t, s->gain), *dbias = rc__grad(t, s->bias);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (dgain) g.dgain = rc__tape_alloc(t, tiles * s->F * sizeof *g.dgain);
    if (dbias) g.dbias = rc__tape_alloc(t, tiles * s->F * sizeof *g.dbias);
    if (rc__alive(t, self->op, 0)) {
        rc__parallel(tiles, 20.0 * (double)s->x->len, layer_norm_back_task, &g);
        if (dgain) add_parts(tiles, s->F, g.dgain, s->F, dgain);
        if (dbias) add_parts(tiles, s->F, g.dbias, s->F, dbias);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc_layer_norm(rc_tape *t, rc_var *x, rc_var *gain, rc_var *bias, double eps) {
    const char *op = "layer_norm";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim < 1) return rc__op_fail(t, RC_EINVAL, op, "x is a scalar, expected at least one dimension");
    size_t F = x->dim[x->ndim - 1];
    if (!vector_of(t, op, "gain", gain, F) || !vector_of(t, op, "bias", bias, F)) return rc__dead(t);
    if (!(eps >= 0)) return rc__op_fail(t, RC_EINVAL, op, "eps is %g, expected 0 or more", eps);
    layer_norm_node *s = rc__node_new(t, sizeof *s, op, x->ndim, x->dim, x->needs_grad || wants(gain) || wants(bias),
                                      layer_norm_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->gain = gain, s->bias = bias, s->eps = eps;
    s->N = x->len / F, s->F = F;
    s->tile =
        F < RC__TILE / 16 ? RC__TILE / F : 16; /* at least 16 rows: each tile has its own sums for gain and bias */
    s->mean = rc__tape_alloc(t, s->N * sizeof *s->mean);
    s->rstd = rc__tape_alloc(t, s->N * sizeof *s->rstd);
    if (!s->mean || !s->rstd) return rc__dead(t);
    rc__parallel(rc__tiles(s->N, s->tile), 10.0 * (double)x->len, layer_norm_task, s);
    return &s->n.out;
}

/* ---- root mean square norm ---------------------------------------------------------------------------------------- */

typedef struct rms_norm_node {
    rc__node n;
    rc_var *x, *gain;
    double eps;
    size_t N, F, tile;
    rc_real *r; /* (N) */
} rms_norm_node;

typedef struct rms_norm_grad {
    rms_norm_node *s;
    rc_real *dx, *dgain; /* dgain: one row of F per tile */
} rms_norm_grad;

static void rms_norm_task(void *ctx, size_t task, int worker) {
    (void)worker;
    rms_norm_node *s = ctx;
    size_t first = task * s->tile, rows = rc__min_size(s->tile, s->N - first), at = first * s->F;
    rc__k->row.rms_norm(rows, s->F, s->x->x + at, value(s->gain), s->eps, s->n.out.x + at, s->r + first);
}

static void rms_norm_back_task(void *ctx, size_t task, int worker) {
    (void)worker;
    rms_norm_grad *g = ctx;
    rms_norm_node *s = g->s;
    size_t F = s->F, first = task * s->tile, rows = rc__min_size(s->tile, s->N - first), at = first * F;
    rc_real *dgain = g->dgain ? g->dgain + task * F : NULL;
    if (dgain) memset(dgain, 0, F * sizeof *dgain);
    rc__k->row.rms_norm_back(rows, F, s->x->x + at, value(s->gain), s->r + first, s->n.out.dx + at,
                             g->dx ? g->dx + at : NULL, dgain);
}

static void rms_norm_backward(rc_tape *t, rc__node *self) {
    rms_norm_node *s = (rms_norm_node *)self;
    size_t tiles = rc__tiles(s->N, s->tile);
    rms_norm_grad g = {.s = s, .dx = rc__grad(t, s->x)};
    rc_real *dgain = rc__grad(t, s->gain);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (dgain) g.dgain = rc__tape_alloc(t, tiles * s->F * sizeof *g.dgain);
    if (rc__alive(t, self->op, 0)) {
        rc__parallel(tiles, 14.0 * (double)s->x->len, rms_norm_back_task, &g);
        if (dgain) add_parts(tiles, s->F, g.dgain, s->F, dgain);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc_rms_norm(rc_tape *t, rc_var *x, rc_var *gain, double eps) {
    const char *op = "rms_norm";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim < 1) return rc__op_fail(t, RC_EINVAL, op, "x is a scalar, expected at least one dimension");
    size_t F = x->dim[x->ndim - 1];
    if (!vector_of(t, op, "gain", gain, F)) return rc__dead(t);
    if (!(eps >= 0)) return rc__op_fail(t, RC_EINVAL, op, "eps is %g, expected 0 or more", eps);
    rms_norm_node *s = rc__node_new(t, sizeof *s, op, x->ndim, x->dim, x->needs_grad || wants(gain), rms_norm_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->gain = gain, s->eps = eps;
    s->N = x->len / F, s->F = F;
    s->tile = F < RC__TILE / 16 ? RC__TILE / F : 16;
    s->r = rc__tape_alloc(t, s->N * sizeof *s->r);
    if (!s->r) return rc__dead(t);
    rc__parallel(rc__tiles(s->N, s->tile), 8.0 * (double)x->len, rms_norm_task, s);
    return &s->n.out;
}

/* ---- batch norm -------------------------------------------------------------------------------------------------- */

typedef struct batch_norm_node {
    rc__node n;
    rc_var *x, *gain, *bias;
    rc__positions at;
    size_t N, F, tile, count; /* count: rows that count */
    bool batch;               /* mean and rstd are of this batch */
    rc_real *mean, *rstd;     /* (F) */
} batch_norm_node;

typedef struct columns_job { /* sums over rows that count, one pair of rows of F per tile */
    batch_norm_node *s;
    rc_real *one, *two;
    rc_real *a, *b, *c, *dx; /* (F): dx += a dy - b x - c */
} columns_job;

static void mean_task(void *ctx, size_t task, int worker) {
    (void)worker;
    columns_job *j = ctx;
    batch_norm_node *s = j->s;
    rc_real *sum = j->one + task * s->F;
    memset(sum, 0, s->F * sizeof *sum);
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++)
        if (rc__counts(&s->at, r)) rc__k->pw.add(s->F, sum, s->x->x + r * s->F, sum);
}

static void variance_task(void *ctx, size_t task, int worker) {
    (void)worker;
    columns_job *j = ctx;
    batch_norm_node *s = j->s;
    rc_real *sum = j->one + task * s->F;
    memset(sum, 0, s->F * sizeof *sum);
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        if (!rc__counts(&s->at, r)) continue;
        const rc_real *x = s->x->x + r * s->F;
        for (size_t f = 0; f < s->F; f++) sum[f] += (x[f] - s->mean[f]) * (x[f] - s->mean[f]);
    }
}

static void normalise_task(void *ctx, size_t task, int worker) {
    (void)worker;
    columns_job *j = ctx;
    batch_norm_node *s = j->s;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        const rc_real *x = s->x->x + r * s->F;
        rc_real *y = s->n.out.x + r * s->F;
        if (rc__counts(&s->at, r)) {
            for (size_t f = 0; f < s->F; f++) y[f] = (x[f] - s->mean[f]) * j->a[f] + j->b[f];
        } else
            memset(y, 0, s->F * sizeof *y);
    }
}

/* one: sum of dy, two: sum of dy z, z = (x - mean) rstd */
static void batch_sums_task(void *ctx, size_t task, int worker) {
    (void)worker;
    columns_job *j = ctx;
    batch_norm_node *s = j->s;
    rc_real *one = j->one + task * s->F, *two = j->two + task * s->F;
    memset(one, 0, s->F * sizeof *one);
    memset(two, 0, s->F * sizeof *two);
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        if (!rc__counts(&s->at, r)) continue;
        const rc_real *x = s->x->x + r * s->F, *dy = s->n.out.dx + r * s->F;
        for (size_t f = 0; f < s->F; f++) {
            one[f] += dy[f];
            two[f] += dy[f] * ((x[f] - s->mean[f]) * s->rstd[f]);
        }
    }
}

static void batch_dx_task(void *ctx, size_t task, int worker) {
    (void)worker;
    columns_job *j = ctx;
    batch_norm_node *s = j->s;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        if (!rc__counts(&s->at, r)) continue;
        const rc_real *x = s->x->x + r * s->F, *dy = s->n.out.dx + r * s->F;
        rc_real *dx = j->dx + r * s->F;
        for (size_t f = 0; f < s->F; f++) dx[f] += j->a[f] * dy[f] - j->b[f] * (x[f] - s->mean[f]) - j->c[f];
    }
}

/* dgain += sum dy z,  dbias += sum dy,  and with the batch's own statistics over n rows
 * dx += gain rstd (dy - mean(dy) - z mean(dy z)); with running ones dx += gain rstd dy. */
static void batch_norm_backward(rc_tape *t, rc__node *self) {
    batch_norm_node *s = (batch_norm_node *)self;
    size_t F = s->F, tiles = rc__tiles(s->N, s->tile);
    if (s->count == 0) return;
    columns_job j = {.s = s, .dx = rc__grad(t, s->x)};
    rc_real *dgain = rc__grad(t, s->gain), *dbias = rc__grad(t, s->bias);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    j.one = rc__tape_alloc(t, (tiles + 1) * F * sizeof(rc_real));
    j.two = rc__tape_alloc(t, (tiles + 1) * F * sizeof(rc_real));
    j.a = rc__tape_alloc(t, 3 * F * sizeof(rc_real));
    if (rc__alive(t, self->op, 0)) {
        j.b = j.a + F, j.c = j.b + F;
        double work = 6.0 * (double)s->x->len;
        rc__parallel(tiles, work, batch_sums_task, &j);
        rc_real *one = j.one + tiles * F, *two = j.two + tiles * F;
        memset(one, 0, F * sizeof *one);
        memset(two, 0, F * sizeof *two);
        add_parts(tiles, F, j.one, F, one);
        add_parts(tiles, F, j.two, F, two);
        if (dgain) rc__k->pw.add(F, dgain, two, dgain);
        if (dbias) rc__k->pw.add(F, dbias, one, dbias);
        for (size_t f = 0; f < F; f++) {
            rc_real a = (s->gain ? s->gain->x[f] : 1) * s->rstd[f], n = (rc_real)s->count;
            j.a[f] = a;
            j.b[f] = s->batch ? a * s->rstd[f] * two[f] / n : 0;
            j.c[f] = s->batch ? a * one[f] / n : 0;
        }
        if (j.dx) rc__parallel(tiles, work, batch_dx_task, &j);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

/* mean and rstd of the batch, and the running statistics: unbiased variance there, as torch */
static bool batch_statistics(rc_tape *t, batch_norm_node *s, double momentum, double eps, rc_real *running_mean,
                             rc_real *running_var) {
    size_t F = s->F, tiles = rc__tiles(s->N, s->tile);
    double n = (double)s->count, work = 4.0 * (double)s->x->len;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    columns_job j = {.s = s, .one = rc__tape_alloc(t, tiles * F * sizeof(rc_real))};
    if (!j.one) return false;
    rc__parallel(tiles, work, mean_task, &j);
    for (size_t f = 0; f < F; f++) {
        double sum = 0;
        for (size_t p = 0; p < tiles; p++) sum += (double)j.one[p * F + f];
        s->mean[f] = (rc_real)(sum / n);
    }
    rc__parallel(tiles, work, variance_task, &j);
    for (size_t f = 0; f < F; f++) {
        double sum = 0;
        for (size_t p = 0; p < tiles; p++) sum += (double)j.one[p * F + f];
        s->rstd[f] = (rc_real)(1 / sqrt(sum / n + eps));
        if (running_mean) running_mean[f] += (rc_real)(momentum * ((double)s->mean[f] - (double)running_mean[f]));
        if (running_var) running_var[f] += (rc_real)(momentum * (sum / (n - 1) - (double)running_var[f]));
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return true;
}

rc_var *rc_batch_norm(rc_tape *t, rc_var *x, const int32_t *lengths, rc_var *gain, rc_var *bias, rc_real *running_mean,
                      rc_real *running_var, double momentum, double eps) {
    const char *op = "batch_norm";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim < 2)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (..., features)", rc__shape_text(x->ndim, x->dim));
    size_t F = x->dim[x->ndim - 1];
    if (!vector_of(t, op, "gain", gain, F) || !vector_of(t, op, "bias", bias, F)) return rc__dead(t);
    if (!(eps >= 0)) return rc__op_fail(t, RC_EINVAL, op, "eps is %g, expected 0 or more", eps);
    bool training = rc_tape_get_mode(t).training;
    if (!training && (!running_mean || !running_var))
        return rc__op_fail(t, RC_EINVAL, op, "needs running_mean and running_var when not training");
    rc__positions at;
    if (!rc__positions_init(&at, t, op, x, x->ndim - 1, lengths)) return rc__dead(t);
    batch_norm_node *s = rc__node_new(t, sizeof *s, op, x->ndim, x->dim, x->needs_grad || wants(gain) || wants(bias),
                                      batch_norm_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->gain = gain, s->bias = bias, s->at = at, s->batch = training;
    s->N = x->len / F, s->F = F;
    s->tile = F < RC__TILE / 256 ? 256 : F < RC__TILE / 16 ? RC__TILE / F : 16; /* 16 to 256 rows added up in float */
    for (size_t r = 0; r < s->N; r++) s->count += rc__counts(&at, r);
    if (training && s->count == 1)
        return rc__op_fail(t, RC_EINVAL, op, "one value per feature in %s has no variance; training needs two or more",
                           rc__shape_text(x->ndim, x->dim));
    s->mean = rc__tape_alloc(t, 2 * F * sizeof *s->mean);
    if (!s->mean) return rc__dead(t);
    s->rstd = s->mean + F;
    if (s->count == 0) {
        memset(s->n.out.x, 0, x->len * sizeof(rc_real));
        return &s->n.out;
    }
    if (training) {
        if (!batch_statistics(t, s, momentum, eps, running_mean, running_var)) return rc__dead(t);
    } else {
        for (size_t f = 0; f < F; f++) {
            s->mean[f] = running_mean[f];
            s->rstd[f] = (rc_real)(1 / sqrt((double)running_var[f] + eps));
        }
    }
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    columns_job j = {.s = s, .a = rc__tape_alloc(t, 2 * F * sizeof(rc_real))};
    if (!j.a) return rc__dead(t);
    j.b = j.a + F;
    for (size_t f = 0; f < F; f++) {
        j.a[f] = s->rstd[f] * (gain ? gain->x[f] : 1);
        j.b[f] = bias ? bias->x[f] : 0;
    }
    rc__parallel(rc__tiles(s->N, s->tile), 4.0 * (double)x->len, normalise_task, &j);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return &s->n.out;
}
