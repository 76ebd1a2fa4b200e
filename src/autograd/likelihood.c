/* likelihood.c - negative log likelihoods whose parameters are the network's output at each position: Gaussian,
 * Student's t and negative binomial, as in DeepAR (Salinas et al. 2020, arXiv 1704.04110, section 3.1) and GluonTS.
 * Each position in double; sums tile by tile, added in the order of the tiles.
 *
 * Outline: 1 gamma functions   2 one position of each distribution   3 the op
 */
#include "autograd/likelihood.h"
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/positions.h"
#include "base/parallel.h"

/* ---- 1 gamma functions ------------------------------------------------------------------------------------------- */

#define LARGE_X 10.0 /* from here on the series below are exact to double */

/* log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), x >= LARGE_X: Abramowitz & Stegun 1964, 6.1.41 */
static double stirling_rest(double x) {
    double i = 1 / x, s = i * i;
    return i *
           (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188 - s * 691.0 / 360360)))));
}

/* psi(x) - log x, x >= LARGE_X: 6.3.18 there */
static double digamma_rest(double x) {
    double i = 1 / x, s = i * i;
    return -i / 2 - s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s * (1.0 / 132)))));
}

double rc__log_gamma(double x) {
    double below = 1;
    for (; x < LARGE_X; x++) below *= x; /* Gamma(x + 1) = x Gamma(x) */
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + stirling_rest(x) - log(below);
}

static double digamma(double x) {
    double below = 0;
    for (; x < LARGE_X; x++) below += 1 / x;
    return log(x) + digamma_rest(x) - below;
}

/* ---- 2 one position: the loss, and in d its derivatives by the raw parameters ------------------------------------ */

#define HALF_LOG_2PI 0.91893853320467274178
#define LOG_PI       1.14472988584940017414
#define MOST_PARAMS  3

static double logistic(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); } /* softplus' */

/* log(2 pi) / 2 + log s + z^2 / 2,  z = (y - mean) / s */
static double gaussian(const rc_real *params, double y, double scale, double *d) {
    (void)scale;
    rc__location_scale p = rc__gaussian_of(params);
    double z = (y - p.mean) / p.scale;
    d[0] = -z / p.scale;
    d[1] = (1 - z * z) / p.scale * logistic((double)params[1]);
    return HALF_LOG_2PI + log(p.scale) + z * z / 2;
}

/* log Gamma(v / 2) - log Gamma((v + 1) / 2) + log(v pi) / 2 + log s + (v + 1) / 2 log(1 + z^2 / v) */
static double student_t(const rc_real *params, double y, double scale, double *d) {
    (void)scale;
    rc__location_scale p = rc__student_t_of(params);
    double v = p.df, z = (y - p.mean) / p.scale, w = z * z / v, by_z = (v + 1) * z / (v * (1 + w)), far = log1p(w);
    d[0] = -by_z / p.scale;
    d[1] = (1 - by_z * z) / p.scale * logistic((double)params[1]);
    double by_v = (digamma(v / 2) - digamma((v + 1) / 2) + 1 / v + far - by_z * z / v) / 2;
    d[2] = by_v * logistic((double)params[2]);
    return rc__log_gamma(v / 2) - rc__log_gamma((v + 1) / 2) + (log(v) + LOG_PI) / 2 + log(p.scale) + (v + 1) / 2 * far;
}

/* With m the mean, a alpha and r = 1 / a:
 *     log Gamma(y + 1) - [log Gamma(y + r) - log Gamma(r) - y log r] + (y + r) log(1 + a m) - y log m
 * where the bracket of a large r is taken as a whole: its parts are large and nearly equal. */
static double negative_binomial(const rc_real *params, double y, double scale, double *d) {
    rc__count_params p = rc__negative_binomial_of(params, scale);
    double m = p.mean, a = p.alpha, r = 1 / a, grown = log1p(a * m), bracket, psi; /* psi(y + r) - psi(r) */
    if (r >= LARGE_X) {
        bracket = (r + y - 0.5) * log1p(y / r) - y + stirling_rest(r + y) - stirling_rest(r);
        psi = log1p(y / r) + digamma_rest(r + y) - digamma_rest(r);
    } else {
        bracket = rc__log_gamma(r + y) - rc__log_gamma(r) - y * log(r);
        psi = digamma(r + y) - digamma(r);
    }
    double by_m = (m - y) / (m * (1 + a * m)), by_a = r * (r * (psi - grown) + (r + y) * m / (r + m) - y);
    d[0] = by_m * scale * logistic((double)params[0]);
    d[1] = by_a / sqrt(scale) * logistic((double)params[1]);
    return rc__log_gamma(y + 1) - bracket + (y + r) * grown - (y > 0 ? y * log(m) : 0);
}

/* ---- 3 the op ---------------------------------------------------------------------------------------------------- */

typedef double position_loss(const rc_real *params, double y, double scale, double *d);

typedef struct likelihood_node {
    rc__node n;
    rc_var *params;
    rc_real *g; /* dLoss/dparams for a gradient of 1 from above, NULL when nobody wants it */
    size_t rows, width;
    rc__positions at;
    const rc_real *target, *scale;
    position_loss *loss;
    double *part; /* per tile: the sum, and how many count */
} likelihood_node;

#define TILE ((size_t)512)

static void likelihood_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const likelihood_node *s = ctx;
    double sum = 0, counted = 0, d[MOST_PARAMS];
    for (size_t i = task * TILE, end = rc__min_size(i + TILE, s->rows); i < end; i++) {
        bool counts = rc__counts(&s->at, i) && !isnan(s->target[i]);
        if (counts) {
            sum += s->loss(s->params->x + i * s->width, (double)s->target[i], s->scale ? (double)s->scale[i] : 1, d);
            counted++;
        }
        for (size_t k = 0; s->g && k < s->width; k++) s->g[i * s->width + k] = counts ? (rc_real)d[k] : 0;
    }
    s->part[2 * task] = sum;
    s->part[2 * task + 1] = counted;
}

static void likelihood_backward(rc_tape *t, rc__node *self) {
    likelihood_node *s = (likelihood_node *)self;
    bool add;
    rc_real *dx = rc__grad_to(t, s->params, &add);
    if (dx) rc__bulk_put(s->params->len, self->out.dx[0], s->g, dx, add);
}

static rc_var *likelihood(rc_tape *t, const char *op, position_loss *loss, size_t width, rc_var *params,
                          const rc_real *targets, const rc_real *scale, bool counts_only, const rc_loss_options *opt) {
    if (!rc__alive(t, op, 1, params)) return rc__dead(t);
    rc_loss_options o = opt ? *opt : rc_loss_options_default();
    if (!targets) return rc__op_fail(t, RC_EINVAL, op, "targets is NULL");
    if (params->ndim < 1 || params->dim[params->ndim - 1] != width)
        return rc__op_fail(t, RC_EINVAL, op, "params is %s, expected a last axis of %zu",
                           rc__shape_text(params->ndim, params->dim), width);
    rc__positions at;
    if (!rc__positions_init(&at, t, op, params, params->ndim - 1, o.lengths)) return rc__dead(t);
    size_t rows = params->len / width;
    for (size_t i = 0; counts_only && i < rows; i++) {
        if (!rc__counts(&at, i) || isnan(targets[i])) continue;
        const char *where = rc__shape_text(params->ndim - 1, params->dim);
        if (!(targets[i] >= 0))
            return rc__op_fail(t, RC_EDATA, op, "target %g at position %zu of %s, expected a count", (double)targets[i],
                               i, where);
        if (scale && !(scale[i] > 0 && isfinite(scale[i])))
            return rc__op_fail(t, RC_EDATA, op, "scale %g at position %zu of %s, expected more than 0",
                               (double)scale[i], i, where);
    }
    likelihood_node *s = rc__node_new(t, sizeof *s, op, 0, NULL, params->needs_grad, likelihood_backward);
    if (!s) return rc__dead(t);
    s->params = params, s->rows = rows, s->width = width, s->at = at;
    s->target = targets, s->scale = scale, s->loss = loss;
    if (rc__tape_keeps(t, params) && !(s->g = rc__tape_alloc(t, params->len * sizeof *s->g))) return rc__dead(t);
    size_t tiles = rc__tiles(rows, TILE);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (!(s->part = rc__tape_alloc(t, 2 * tiles * sizeof *s->part))) return rc__dead(t);
    rc__parallel(tiles, 200.0 * (double)rows, likelihood_task, s);
    double sum = 0, counted = 0;
    for (size_t i = 0; i < tiles; i++) sum += s->part[2 * i], counted += s->part[2 * i + 1];
    rc__arena_rewind(rc__tape_arena(t), mark);
    double a = o.sum ? 1 : counted > 0 ? 1 / counted : 0;
    s->n.out.x[0] = (rc_real)(sum * a);
    if (s->g && !o.sum) rc__bulk_scale(params->len, (rc_real)a, 0, s->g, s->g);
    return &s->n.out;
}

rc_var *rc_gaussian_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_loss_options *opt) {
    return likelihood(t, "gaussian_nll", gaussian, 2, params, targets, NULL, false, opt);
}
rc_var *rc_student_t_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_loss_options *opt) {
    return likelihood(t, "student_t_nll", student_t, 3, params, targets, NULL, false, opt);
}
rc_var *rc_negative_binomial_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_real *scale,
                                 const rc_loss_options *opt) {
    return likelihood(t, "negative_binomial_nll", negative_binomial, 2, params, targets, scale, true, opt);
}
