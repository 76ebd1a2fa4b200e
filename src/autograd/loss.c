/* loss.c - losses, as torch.nn.functional's: cross-entropy (over logits, and fused with the linear layer before it),
 * binary cross-entropy, MSE, MAE, Huber, quantile. Letters: N positions, V classes, K width of the input of a fused
 * layer.
 *
 * Sums are kept in double, tile by tile, and added in the order of the tiles.
 *
 * Outline: 1 options and results   2 element by element   3 cross-entropy of a row   4 over logits   5 fused with the
 * layer
 */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/copy.h"
#include "autograd/positions.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"

/* ---- 1 options and results --------------------------------------------------------------------------------------- */

rc_loss_options rc_loss_options_default(void) { return (rc_loss_options){.ignore_index = -100, .delta = 1}; }

static rc_loss_options options_or_default(const rc_loss_options *opt) { return opt ? *opt : rc_loss_options_default(); }

static double ordered_sum(size_t n, const double *x) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i];
    return s;
}

/* ---- 2 element by element ---------------------------------------------------------------------------------------- */

typedef enum loss_kind { LOSS_MSE, LOSS_MAE, LOSS_HUBER, LOSS_QUANTILE, LOSS_BCE } loss_kind;

typedef struct element_node {
    rc__node n;
    rc_var *pred;
    rc_real *g; /* dLoss/dpred for a gradient of 1 from above, NULL when nobody wants it */
    loss_kind kind;
    rc__positions at;
    size_t len, cols; /* elements; width of the last axis, for the two kinds that look at columns */
    const rc_real *target;
    rc_real delta;
    const rc_real *q, *positive; /* (cols) quantiles; weights of the positive class */
    double *part;
    size_t *counted; /* per tile, as part */
} element_node;

#define ELEMENT_TILE ((size_t)4096)

static double mse_span(size_t n, const rc_real *p, const rc_real *y, rc_real *g) {
    double s = 0;
    for (size_t i = 0; i < n; i++) {
        rc_real d = p[i] - y[i];
        s += (double)d * (double)d;
        if (g) g[i] = 2 * d;
    }
    return s;
}

static double mae_span(size_t n, const rc_real *p, const rc_real *y, rc_real *g) {
    double s = 0;
    for (size_t i = 0; i < n; i++) {
        rc_real d = p[i] - y[i];
        s += fabs((double)d);
        if (g) g[i] = d > 0 ? 1 : d < 0 ? -1 : d; /* 0 stays 0, NaN stays NaN */
    }
    return s;
}

/* d^2 / 2 within delta, delta (|d| - delta / 2) beyond */
static double huber_span(size_t n, const rc_real *p, const rc_real *y, rc_real delta, rc_real *g) {
    double s = 0;
    for (size_t i = 0; i < n; i++) {
        rc_real d = p[i] - y[i], a = d < 0 ? -d : d;
        bool far = a > delta;
        s += far ? (double)delta * ((double)a - 0.5 * (double)delta) : 0.5 * (double)d * (double)d;
        if (g) g[i] = !far ? d : d > 0 ? delta : -delta;
    }
    return s;
}

/* Koenker & Bassett 1978: q (y - p) when y >= p, (1 - q) (p - y) otherwise; column c of p is quantile q[c] of target
 * row */
static double quantile_span(size_t n, size_t first, const element_node *s, rc_real *g) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        rc_real q = s->q[(first + i) % s->cols], d = s->target[(first + i) / s->cols] - s->pred->x[first + i];
        sum += (double)(d > 0 ? q * d : (q - 1) * d);
        if (g) g[i] = d > 0 ? -q : d < 0 ? 1 - q : d;
    }
    return sum;
}

/* With y the target and w the positive weight:  (1 - y) x + (1 + (w - 1) y) softplus(-x), derivative
 * (1 - y) - (1 + (w - 1) y) sigmoid(-x) */
static double bce_span(size_t n, size_t first, const element_node *s, rc_real *g) {
    enum { PIECE = 256 };
    rc_real minus[PIECE], soft[PIECE], sig[PIECE];
    double sum = 0;
    for (size_t from = 0; from < n; from += PIECE) {
        size_t m = rc__min_size(PIECE, n - from), at = first + from;
        const rc_real *x = s->pred->x + at, *y = s->target + at;
        rc__k->pw.scale(m, -1, 0, x, minus);
        rc__k->pw.act[RC_ACT_SOFTPLUS](m, minus, soft);
        if (g) rc__k->pw.act[RC_ACT_SIGMOID](m, minus, sig);
        for (size_t i = 0; i < m; i++) {
            rc_real w = s->positive ? s->positive[(at + i) % s->cols] : 1, a = 1 + (w - 1) * y[i];
            sum += (double)(1 - y[i]) * (double)x[i] + (double)a * (double)soft[i];
            if (g) g[from + i] = (1 - y[i]) - a * sig[i];
        }
    }
    return sum;
}

static double element_span(const element_node *s, size_t first, size_t n) {
    const rc_real *p = s->pred->x + first, *y = s->target + first;
    rc_real *g = s->g ? s->g + first : NULL;
    switch (s->kind) {
    case LOSS_MSE: return mse_span(n, p, y, g);
    case LOSS_MAE: return mae_span(n, p, y, g);
    case LOSS_HUBER: return huber_span(n, p, y, s->delta, g);
    case LOSS_QUANTILE: return quantile_span(n, first, s, g);
    case LOSS_BCE: return bce_span(n, first, s, g);
    }
    return 0;
}

/* The end of the run from element i on, within `stop`, whose targets are all there (*present) or all missing. */
static size_t run_of_targets(const element_node *s, size_t i, size_t stop, bool *present) {
    size_t share = s->kind == LOSS_QUANTILE ? s->cols : 1; /* elements that have one target */
    *present = !isnan(s->target[i / share]);
    while (++i < stop && !isnan(s->target[i / share]) == *present) continue;
    return i;
}

static void element_task(void *ctx, size_t task, int worker) {
    (void)worker;
    element_node *s = ctx;
    size_t i = task * ELEMENT_TILE, end = rc__min_size(i + ELEMENT_TILE, s->len), counted = 0;
    double sum = 0;
    while (i < end) { /* runs of one (t, b) row, which counts or does not, and of targets that are there */
        size_t stop = s->at.lengths ? rc__min_size((i / s->at.inner + 1) * s->at.inner, end) : end;
        bool counts = rc__counts(&s->at, i);
        if (counts) stop = run_of_targets(s, i, stop, &counts);
        if (counts) {
            sum += element_span(s, i, stop - i);
            counted += stop - i;
        } else if (s->g)
            memset(s->g + i, 0, (stop - i) * sizeof *s->g);
        i = stop;
    }
    s->part[task] = sum;
    s->counted[task] = counted;
}

static void element_backward(rc_tape *t, rc__node *self) {
    element_node *s = (element_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, s->pred, &add);
    if (dx) rc__bulk_put(s->len, self->out.dx[0], s->g, dx, add);
}

static rc_var *element_loss(rc_tape *t, const char *op, loss_kind kind, rc_var *pred, const rc_real *target,
                            const rc_loss_options *options) {
    if (!rc__alive(t, op, 1, pred)) return rc__dead(t);
    rc_loss_options o = options_or_default(options);
    if (!target) return rc__op_fail(t, RC_EINVAL, op, "targets is NULL");
    if (kind == LOSS_HUBER && !(o.delta > 0))
        return rc__op_fail(t, RC_EINVAL, op, "delta is %g, expected more than 0", o.delta);
    size_t cols = pred->ndim ? pred->dim[pred->ndim - 1] : 1;
    if (kind == LOSS_QUANTILE) {
        if (!o.quantiles || o.n_quantiles == 0) return rc__op_fail(t, RC_EINVAL, op, "no quantiles are given");
        if (pred->ndim < 1 || cols != o.n_quantiles)
            return rc__op_fail(t, RC_EINVAL, op, "pred is %s, expected a last axis of %zu quantiles",
                               rc__shape_text(pred->ndim, pred->dim), o.n_quantiles);
        for (size_t i = 0; i < cols; i++)
            if (!(o.quantiles[i] > 0 && o.quantiles[i] < 1))
                return rc__op_fail(t, RC_EINVAL, op, "quantile %zu is %g, expected inside (0, 1)", i, o.quantiles[i]);
    }
    rc__positions at;
    if (!rc__positions_init(&at, t, op, pred, pred->ndim, o.lengths)) return rc__dead(t);
    element_node *s = rc__node_new(t, sizeof *s, op, 0, NULL, pred->needs_grad, element_backward);
    if (!s) return rc__dead(t);
    s->pred = pred, s->kind = kind, s->at = at, s->len = pred->len, s->cols = cols, s->target = target;
    s->delta = (rc_real)o.delta;
    s->positive = kind == LOSS_BCE ? o.class_weights : NULL;
    if (kind == LOSS_QUANTILE) {
        rc_real *q = rc__tape_alloc(t, cols * sizeof *q);
        if (!q) return rc__dead(t);
        for (size_t i = 0; i < cols; i++) q[i] = (rc_real)o.quantiles[i];
        s->q = q;
    }
    size_t tiles = rc__tiles(s->len, ELEMENT_TILE);
    if (rc__tape_keeps(t, pred) && !(s->g = rc__tape_alloc(t, s->len * sizeof *s->g))) return rc__dead(t);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (!(s->part = rc__tape_alloc(t, tiles * sizeof *s->part))) return rc__dead(t);
    if (!(s->counted = rc__tape_alloc(t, tiles * sizeof *s->counted))) return rc__dead(t);
    rc__parallel(tiles, 8.0 * (double)s->len, element_task, s);
    double total = ordered_sum(tiles, s->part);
    size_t count = 0;
    for (size_t i = 0; i < tiles; i++) count += s->counted[i];
    rc__arena_rewind(rc__tape_arena(t), mark);
    double a = o.sum ? 1 : count > 0 ? 1 / (double)count : 0;
    s->n.out.x[0] = (rc_real)(total * a);
    if (s->g && a != 1) rc__bulk_scale(s->len, (rc_real)a, 0, s->g, s->g);
    return &s->n.out;
}

rc_var *rc_mse(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt) {
    return element_loss(t, "mse", LOSS_MSE, pred, targets, opt);
}
rc_var *rc_mae(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt) {
    return element_loss(t, "mae", LOSS_MAE, pred, targets, opt);
}
rc_var *rc_huber(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt) {
    return element_loss(t, "huber", LOSS_HUBER, pred, targets, opt);
}
rc_var *rc_quantile(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt) {
    return element_loss(t, "quantile", LOSS_QUANTILE, pred, targets, opt);
}
rc_var *rc_bce_logits(rc_tape *t, rc_var *logits, const rc_real *targets, const rc_loss_options *opt) {
    return element_loss(t, "bce_logits", LOSS_BCE, logits, targets, opt);
}

/* ---- 3 cross-entropy of a row ------------------------------------------------------------------------------------ */

/* With p = softmax(x), class weights w (1 without), smoothing e and target y, a row's loss is
 *     (1 - e) w_y (-log p_y) + e / V sum_c w_c (-log p_c)
 * and the mean divides the sum of rows by the sum of w_y over them. */
typedef struct classes {
    size_t V;
    const int32_t *target;
    const rc_real *weight;        /* (V) or NULL */
    double smoothing, weight_sum; /* weight_sum: of all V */
    double scale;                 /* 1 / (sum of w_y), or 1 */
    size_t counted;               /* positions */
    rc__positions at;
    int32_t ignore;
} classes;

static bool row_counts(const classes *c, size_t row) { return c->target[row] != c->ignore && rc__counts(&c->at, row); }

static bool classes_init(classes *c, rc_tape *t, const char *op, const rc_var *x, size_t V, const int32_t *targets,
                         const rc_loss_options *options) {
    rc_loss_options o = options_or_default(options);
    *c = (classes){.V = V,
                   .target = targets,
                   .weight = o.class_weights,
                   .smoothing = o.label_smoothing,
                   .weight_sum = (double)V,
                   .ignore = o.ignore_index};
    if (!targets) {
        rc__op_fail(t, RC_EINVAL, op, "targets is NULL");
        return false;
    }
    if (!(o.label_smoothing >= 0 && o.label_smoothing <= 1)) {
        rc__op_fail(t, RC_EINVAL, op, "label_smoothing is %g, expected 0 to 1", o.label_smoothing);
        return false;
    }
    if (c->weight) {
        c->weight_sum = 0;
        for (size_t i = 0; i < V; i++) {
            if (!(c->weight[i] >= 0) || isinf(c->weight[i])) {
                rc__op_fail(t, RC_EINVAL, op, "weight of class %zu is %g, expected 0 or more", i, (double)c->weight[i]);
                return false;
            }
            c->weight_sum += (double)c->weight[i];
        }
    }
    if (!rc__positions_init(&c->at, t, op, x, x->ndim - 1, o.lengths)) return false;
    size_t rows = x->len / x->dim[x->ndim - 1];
    double total = 0;
    for (size_t r = 0; r < rows; r++) {
        if (!row_counts(c, r)) continue;
        if (targets[r] < 0 || (size_t)targets[r] >= V) {
            rc__op_fail(t, RC_EDATA, op, "target %d at position %zu of %s, expected 0 to %zu", (int)targets[r], r,
                        rc__shape_text(x->ndim - 1, x->dim), V - 1);
            return false;
        }
        c->counted++;
        total += c->weight ? (double)c->weight[targets[r]] : 1;
    }
    c->scale = o.sum ? 1 : total > 0 ? 1 / total : 0;
    return true;
}

/* Of one row: p_y = s softmax(x)_y + (1 - s) copied with s = sigmoid(gate), instead of softmax(x)_y alone (autograd/copy.h). */
typedef struct mixture {
    double gate, copied;
    double nll, share;     /* -log p_y, and how much of p_y the softmax is */
    double dgate, dcopied; /* of nll */
} mixture;

/* dcopied is bounded: it comes back as weight * dcopied, and weights are small where it is large. */
static void mix(mixture *m, double log_softmax) {
    double on = -log1p(exp(-fabs(m->gate))), off = on; /* log sigmoid of gate and of -gate */
    if (m->gate < 0)
        on += m->gate;
    else
        off -= m->gate;
    double a = on + log_softmax, b = m->copied > 0 ? off + log(m->copied) : -INFINITY;
    double p = a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b)), most = off - p;
    m->nll = -p;
    m->share = exp(a - p);
    m->dgate = exp(on) - m->share;
    m->dcopied = -exp(most > 60 ? 60 : most);
}

/* The loss of one row (not scaled). d, when given, receives d(loss)/dx times `scale`, and may be x itself. *nll: -log
 * p_y. m: NULL for a softmax alone. */
static double class_row(const classes *c, const rc_real *x, int32_t y, double scale, rc_real *d, double *nll,
                        mixture *m) {
    double w = c->weight ? (double)c->weight[y] : 1, e = c->smoothing, xy = (double)x[y];
    if (m) {
        mix(m, xy - rc__k->row.softmax_lse(c->V, x, 1, NULL));
        w = m->share;
    }
    double weighted = e == 0 ? 0 : c->weight ? rc__k->pw.dot(c->V, c->weight, x) : rc__k->pw.sum(c->V, x);
    double lse =
        rc__k->row.softmax_lse(c->V, x, (rc_real)(scale * ((1 - e) * w + e * c->weight_sum / (double)c->V)), d);
    *nll = m ? m->nll : lse - xy;
    double loss = (1 - e) * (m ? 1 : w) * *nll;
    if (e != 0) loss += e / (double)c->V * (c->weight_sum * lse - weighted);
    if (!d) return loss;
    rc_real spread = (rc_real)(scale * e / (double)c->V);
    if (e != 0 && c->weight)
        rc__k->pw.axpy(c->V, -spread, c->weight, d);
    else if (e != 0)
        rc__k->pw.scale(c->V, 1, -spread, d, d);
    d[y] -= (rc_real)(scale * (1 - e) * w);
    return loss;
}

/* ---- 4 over logits ----------------------------------------------------------------------------------------------- */

typedef struct cross_entropy_node {
    rc__node n;
    rc_var *logits;
    classes c;
    size_t rows, tile;
    double *part;
    rc_real *dx, *scratch; /* scratch: a row per worker, when dx is added to */
} cross_entropy_node;

static void cross_entropy_task(void *ctx, size_t task, int worker) {
    (void)worker;
    cross_entropy_node *s = ctx;
    double sum = 0, nll;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->rows); r < end; r++)
        if (row_counts(&s->c, r))
            sum += class_row(&s->c, s->logits->x + r * s->c.V, s->c.target[r], 0, NULL, &nll, NULL);
    s->part[task] = sum;
}

static void cross_entropy_back_task(void *ctx, size_t task, int worker) {
    cross_entropy_node *s = ctx;
    size_t V = s->c.V;
    double scale = s->c.scale * (double)s->n.out.dx[0], nll;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->rows); r < end; r++) {
        rc_real *dx = s->dx + r * V, *d = s->scratch ? s->scratch + (size_t)worker * V : dx;
        if (row_counts(&s->c, r)) {
            class_row(&s->c, s->logits->x + r * V, s->c.target[r], scale, d, &nll, NULL);
            if (s->scratch) rc__k->pw.add(V, dx, d, dx);
        } else if (!s->scratch)
            memset(dx, 0, V * sizeof *dx);
    }
}

/* The softmax is made anew: an exponential a class costs less than keeping (or reading) another array of the logits'
 * size. */
static void cross_entropy_backward(rc_tape *t, rc__node *self) {
    cross_entropy_node *s = (cross_entropy_node *)self;
    bool add;
    s->dx = rc__grad_to(t, s->logits, &add);
    if (!s->dx) return;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    s->scratch = add ? rc__tape_alloc(t, (size_t)rc__workers() * s->c.V * sizeof *s->scratch) : NULL;
    if (!add || s->scratch)
        rc__parallel(rc__tiles(s->rows, s->tile), 20.0 * (double)s->logits->len, cross_entropy_back_task, s);
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc_cross_entropy(rc_tape *t, rc_var *logits, const int32_t *targets, const rc_loss_options *opt) {
    const char *op = "cross_entropy";
    if (!rc__alive(t, op, 1, logits)) return rc__dead(t);
    if (logits->ndim < 1) return rc__op_fail(t, RC_EINVAL, op, "logits is a scalar, expected (..., classes)");
    classes c;
    if (!classes_init(&c, t, op, logits, logits->dim[logits->ndim - 1], targets, opt)) return rc__dead(t);
    cross_entropy_node *s = rc__node_new(t, sizeof *s, op, 0, NULL, logits->needs_grad, cross_entropy_backward);
    if (!s) return rc__dead(t);
    s->logits = logits, s->c = c;
    s->rows = logits->len / c.V;
    s->tile = 1 + RC__TILE / c.V;
    size_t tiles = rc__tiles(s->rows, s->tile);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (!(s->part = rc__tape_alloc(t, tiles * sizeof *s->part))) return rc__dead(t);
    rc__parallel(tiles, 15.0 * (double)logits->len, cross_entropy_task, s);
    s->n.out.x[0] = (rc_real)(ordered_sum(tiles, s->part) * c.scale);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return &s->n.out;
}

/* ---- 5 fused with the layer -------------------------------------------------------------------------------------- */

/* Positions that count, in order, are cut into tiles of TILE rows, tiles into groups of at most GROUP_BYTES of logits.
 * Per tile, by one thread: logits = x W^T + b;  row by row the loss and, in place, dlogits;  db of the tile;
 * dx = dlogits W. Per group, by all: dW += dlogits^T x. Without gradients a thread's tile is all that is kept.
 * The gradients are made for 1 from above, which is what comes unless losses are added up or scaled. */
#define TILE        ((size_t)64)
#define GROUP_BYTES ((size_t)64 << 20)

typedef struct fused_node {
    rc__node n;
    rc_var *x, *w, *b;
    rc_var *gate, *copied; /* of a mixture; NULL: a softmax alone */
    size_t N, K, V;        /* N: rows of x */
    rc_real *dx, *dw, *db, *dgate, *dcopied; /* NULL when nobody wants them */
} fused_node;

typedef struct fused_job {
    fused_node *s;
    const classes *c;
    const rc__packed *forward, *transposed;
    const uint32_t *row; /* (counted) rows that count; NULL: all */
    size_t first, rows;  /* this group: positions among those that count */
    rc_real *logits;     /* (rows, V), or (workers * TILE, V) without gradients */
    rc_real *gathered;   /* (rows, K) when row is given */
    rc_real *dgathered;  /* (rows, K) when row and dx are given */
    rc_real *db_part;    /* (tiles, V) */
    bool keep;
    double *loss, *nll; /* per tile of the whole */
} fused_job;

static void fused_task(void *ctx, size_t task, int worker) {
    const fused_job *j = ctx;
    const fused_node *s = j->s;
    const classes *c = j->c;
    size_t V = s->V, K = s->K, at = task * TILE, rows = rc__min_size(TILE, j->rows - at), first = j->first + at;
    rc_real *logits = j->logits + (j->keep ? at : (size_t)worker * TILE) * V;
    const rc_real *x = s->x->x + first * K;
    if (j->row) { /* rows that do not count are left out, so that nothing in them (NaN) can reach a sum */
        rc_real *to = j->gathered + (j->keep ? at : (size_t)worker * TILE) * K;
        for (size_t r = 0; r < rows; r++) memcpy(to + r * K, s->x->x + j->row[first + r] * K, K * sizeof *to);
        x = to;
    }
    rc__gemm_packed(rows, x, K, j->forward, s->b ? s->b->x : NULL, false, logits, V);
    double loss = 0, total = 0, nll;
    rc_real *db = j->db_part ? j->db_part + task * V : NULL;
    for (size_t r = 0; r < rows; r++) {
        rc_real *d = logits + r * V;
        size_t at_row = j->row ? j->row[first + r] : first + r;
        mixture m;
        if (s->gate) m = (mixture){.gate = (double)s->gate->x[at_row], .copied = (double)s->copied->x[at_row]};
        loss += class_row(c, d, c->target[at_row], c->scale, j->keep ? d : NULL, &nll, s->gate ? &m : NULL);
        if (s->dgate) s->dgate[at_row] = (rc_real)(c->scale * (1 - c->smoothing) * m.dgate);
        if (s->dcopied) s->dcopied[at_row] = (rc_real)(c->scale * (1 - c->smoothing) * m.dcopied);
        total += nll;
        if (db && r == 0)
            memcpy(db, d, V * sizeof *db);
        else if (db)
            rc__k->pw.add(V, db, d, db);
    }
    j->loss[first / TILE] = loss;
    j->nll[first / TILE] = total;
    if (!s->dx) return;
    rc_real *dx = j->row ? j->dgathered + at * K : s->dx + first * K;
    rc__gemm_packed(rows, logits, V, j->transposed, NULL, false, dx, K);
    if (j->row)
        for (size_t r = 0; r < rows; r++) memcpy(s->dx + j->row[first + r] * K, dx + r * K, K * sizeof *dx);
}

static void fused_backward(rc_tape *t, rc__node *self) {
    fused_node *s = (fused_node *)self;
    rc_real a = self->out.dx[0];
    rc_var *v[5] = {s->x, s->w, s->b, s->gate, s->copied};
    rc_real *d[5] = {s->dx, s->dw, s->db, s->dgate, s->dcopied};
    for (int i = 0; i < 5; i++) {
        if (!d[i]) continue;
        if (!v[i]->dx && !rc__var_param(v[i])) { /* the first to bring a gradient: hand ours over */
            if (a != 1) rc__bulk_scale(v[i]->len, a, 0, d[i], d[i]);
            v[i]->dx = d[i];
            continue;
        }
        bool add;
        rc_real *to = rc__grad_to(t, v[i], &add);
        if (to) rc__bulk_put(v[i]->len, a, d[i], to, add);
    }
}

static bool fused_groups(rc_tape *t, fused_node *s, const classes *c, double *nll_sum, double *loss_sum) {
    size_t n = c->counted, V = s->V, K = s->K, tiles = rc__tiles(n, TILE), rows_max = GROUP_BYTES / sizeof(rc_real) / V;
    fused_job j = {.s = s, .c = c, .keep = s->dx || s->dw || s->db};
    size_t row_bytes = s->N * sizeof(rc_real);
    if (s->dgate) memset(s->dgate, 0, row_bytes); /* rows that do not count keep it */
    if (s->dcopied) memset(s->dcopied, 0, row_bytes);
    /* whole tiles, and groups of about the same size */
    size_t tiles_max = rows_max / TILE > 1 ? rows_max / TILE : 1, groups = rc__tiles(tiles, tiles_max);
    size_t group = rc__tiles(tiles, groups) * TILE,
           held = j.keep ? rc__min_size(group, tiles * TILE) : (size_t)rc__workers() * TILE;
    j.forward = rc__tape_packed(t, s->w, false);
    if (s->dx) j.transposed = rc__tape_packed(t, s->w, true);
    if (!j.forward || (s->dx && !j.transposed)) return false;
    if (n < s->N) {
        uint32_t *row = rc__tape_alloc(t, n * sizeof *row);
        j.gathered = rc__tape_alloc(t, held * K * sizeof *j.gathered);
        if (s->dx) j.dgathered = rc__tape_alloc(t, held * K * sizeof *j.dgathered);
        if (!row || !j.gathered || (s->dx && !j.dgathered)) return false;
        for (size_t r = 0, i = 0; r < s->N; r++)
            if (row_counts(c, r)) row[i++] = (uint32_t)r;
        j.row = row;
    }
    j.logits = rc__tape_alloc(t, held * V * sizeof *j.logits);
    j.loss = rc__tape_alloc(t, 2 * tiles * sizeof *j.loss);
    if (s->db) j.db_part = rc__tape_alloc(t, group / TILE * V * sizeof *j.db_part);
    if (!j.logits || !j.loss || (s->db && !j.db_part)) return false;
    j.nll = j.loss + tiles;
    if (s->db) memset(s->db, 0, V * sizeof *s->db);
    if (s->dx && j.row) memset(s->dx, 0, s->N * K * sizeof *s->dx);
    for (j.first = 0; j.first < n; j.first += group) {
        j.rows = rc__min_size(group, n - j.first);
        size_t here = rc__tiles(j.rows, TILE);
        rc__parallel(here, (s->dx ? 4.0 : 2.0) * (double)j.rows * (double)V * (double)K, fused_task, &j);
        rc__outer_side x = {.N = K, .B = j.row ? j.gathered : s->x->x + j.first * K, .ldb = K, .C = s->dw, .ldc = K};
        if (s->dw && !rc__tape_outer(t, rc__var_precision(s->w), V, j.rows, j.logits, V, &x, 1, j.first > 0))
            return false;
        for (size_t p = 0; s->db && p < here; p++) rc__k->pw.add(V, s->db, j.db_part + p * V, s->db);
    }
    *loss_sum = ordered_sum(tiles, j.loss);
    *nll_sum = ordered_sum(tiles, j.nll);
    return true;
}

/* gate, copied: NULL for a softmax alone */
static rc_var *fused(rc_tape *t, const char *op, rc_var *x, rc_var *w, rc_var *b, rc_var *gate, rc_var *copied,
                     const int32_t *targets, const rc_loss_options *opt, double *nll_sum, size_t *count) {
    if (!rc__alive(t, op, 2, x, w) || (b && !rc__alive(t, op, 1, b))) return rc__dead(t);
    if (w->ndim != 2) return rc__op_fail(t, RC_EINVAL, op, "w is %s, expected (V, K)", rc__shape_text(w->ndim, w->dim));
    size_t V = w->dim[0], K = w->dim[1];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != K)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, weight expects %zu", rc__shape_text(x->ndim, x->dim), K);
    if (b && b->len != V)
        return rc__op_fail(t, RC_EINVAL, op, "the bias is %s, expected (%zu)", rc__shape_text(b->ndim, b->dim), V);
    if (x->len / K > UINT32_MAX) return rc__op_fail(t, RC_EINVAL, op, "%zu positions are too many", x->len / K);
    if (gate && (gate->len != x->len / K || copied->len != x->len / K))
        return rc__op_fail(t, RC_EINVAL, op, "gate %s and copied %s, expected one for each of %zu rows",
                           rc__shape_text(gate->ndim, gate->dim), rc__shape_text(copied->ndim, copied->dim),
                           x->len / K);
    if (gate && opt && opt->class_weights) return rc__op_fail(t, RC_EINVAL, op, "class weights are not for a mixture");
    classes c;
    if (!classes_init(&c, t, op, x, V, targets, opt)) return rc__dead(t);
    bool grad =
        x->needs_grad || w->needs_grad || (b && b->needs_grad) || (gate && (gate->needs_grad || copied->needs_grad));
    fused_node *s = rc__node_new(t, sizeof *s, op, 0, NULL, grad, fused_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->w = w, s->b = b, s->gate = gate, s->copied = copied, s->N = x->len / K, s->K = K, s->V = V;
    double nll = 0, loss = 0;
    if (c.counted > 0) {
        rc_var *v[5] = {x, w, b, gate, copied};
        rc_real **d[5] = {&s->dx, &s->dw, &s->db, &s->dgate, &s->dcopied};
        for (int i = 0; i < 5; i++)
            if (rc__tape_keeps(t, v[i]) && !(*d[i] = rc__tape_alloc(t, v[i]->len * sizeof *s->dx))) return rc__dead(t);
        rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
        bool ok = fused_groups(t, s, &c, &nll, &loss);
        rc__arena_rewind(rc__tape_arena(t), mark);
        if (!ok) return rc__dead(t);
    }
    s->n.out.x[0] = (rc_real)(loss * c.scale);
    if (nll_sum) *nll_sum = nll;
    if (count) *count = c.counted;
    return &s->n.out;
}

rc_var *rc_linear_cross_entropy(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, const int32_t *targets,
                                const rc_loss_options *opt, double *nll_sum, size_t *count) {
    return fused(t, "linear_cross_entropy", x, w, b, NULL, NULL, targets, opt, nll_sum, count);
}

rc_var *rc__mixed_cross_entropy(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, rc_var *gate, rc_var *copied,
                                const int32_t *targets, const rc_loss_options *opt, double *nll_sum, size_t *count) {
    if (!rc__alive(t, "mixed_cross_entropy", 2, gate, copied)) return rc__dead(t);
    return fused(t, "mixed_cross_entropy", x, w, b, gate, copied, targets, opt, nll_sum, count);
}
