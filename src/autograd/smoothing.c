/* smoothing.c - see smoothing.h. Letters: T steps, B rows, m steps of a season. */
#include "autograd/smoothing.h"

#include <math.h>
#include <string.h>

#include "autograd/tape_internal.h"

typedef struct smooth_node {
    rc__node n;
    rc_var *alpha, *gamma, *season;
    const rc_real *y, *observed;
    const int32_t *phase;
    size_t T, B, m;
    double *work; /* l (T), s (T + m) and, backward, their gradients */
} smooth_node;

/* l and s of row b into work. Returns the first observed step, T without one. */
static size_t smooth(const smooth_node *k, size_t b, double *l, double *s) {
    size_t T = k->T, B = k->B, m = k->m, first = 0;
    double alpha = (double)k->alpha->x[b], gamma = k->gamma ? (double)k->gamma->x[b] : 0;
    for (size_t j = 0; j < m; j++)
        s[j] = k->season ? exp((double)k->season->x[b * m + ((size_t)k->phase[b] + j) % m]) : 1;
    while (first < T && k->observed[first * B + b] == 0) first++;
    for (size_t t = 0; t < T; t++) {
        double y = (double)k->y[t * B + b];
        bool seen = k->observed[t * B + b] != 0;
        if (t > first)
            l[t] = seen ? alpha * y / s[t] + (1 - alpha) * l[t - 1] : l[t - 1];
        else if (t == first)
            l[t] = y / s[t];
        else
            l[t] = 1; /* set below */
        s[t + m] = seen && k->gamma ? gamma * y / l[t] + (1 - gamma) * s[t] : s[t];
    }
    for (size_t t = 0; t < first && first < T; t++) l[t] = l[first];
    return first;
}

static void smooth_backward(rc_tape *t, rc__node *self) {
    smooth_node *k = (smooth_node *)self;
    size_t T = k->T, B = k->B, m = k->m;
    double *l = k->work, *s = l + T, *dl = s + T + m, *ds = dl + T;
    rc_real *dalpha = rc__grad(t, k->alpha), *dgamma = k->gamma ? rc__grad(t, k->gamma) : NULL,
            *dseason = k->season ? rc__grad(t, k->season) : NULL;
    for (size_t b = 0; b < B; b++) {
        size_t first = smooth(k, b, l, s);
        double alpha = (double)k->alpha->x[b], gamma = k->gamma ? (double)k->gamma->x[b] : 0, da = 0, dg = 0;
        for (size_t i = 0; i < T; i++) dl[i] = (double)self->out.dx[i * B + b] / l[i];
        for (size_t i = 0; i < T + m; i++) ds[i] = (double)self->out.dx[(T + i) * B + b] / s[i];
        for (size_t i = 0; i < first && first < T; i++) dl[first] += dl[i]; /* l_i = l_first */
        for (size_t i = T; i-- > 0;) {
            double y = (double)k->y[i * B + b];
            bool seen = k->observed[i * B + b] != 0;
            if (seen && k->gamma) { /* s[i + m] = gamma y / l[i] + (1 - gamma) s[i] */
                dg += ds[i + m] * (y / l[i] - s[i]);
                dl[i] -= ds[i + m] * gamma * y / (l[i] * l[i]);
                ds[i] += ds[i + m] * (1 - gamma);
            } else {
                ds[i] += ds[i + m];
            }
            if (i > first && seen) { /* l[i] = alpha y / s[i] + (1 - alpha) l[i - 1] */
                da += dl[i] * (y / s[i] - l[i - 1]);
                ds[i] -= dl[i] * alpha * y / (s[i] * s[i]);
                dl[i - 1] += dl[i] * (1 - alpha);
            } else if (i > first) {
                dl[i - 1] += dl[i];
            } else if (i == first) { /* l[i] = y / s[i] */
                ds[i] -= dl[i] * y / (s[i] * s[i]);
            }
        }
        if (dalpha) dalpha[b] += (rc_real)da;
        if (dgamma) dgamma[b] += (rc_real)dg;
        for (size_t j = 0; dseason && j < m; j++) /* s[j] = exp(season) */
            dseason[b * m + ((size_t)k->phase[b] + j) % m] += (rc_real)(ds[j] * s[j]);
    }
}

rc_var *rc__holt_winters(rc_tape *t, size_t T, size_t B, const rc_real *y, const rc_real *observed, rc_var *alpha,
                         rc_var *gamma, rc_var *log_season, const int32_t *phase) {
    if (!rc__alive(t, "holt_winters", 1, alpha) || (gamma && !rc__alive(t, "holt_winters", 2, gamma, log_season)))
        return rc__dead(t);
    if (T < 1 || alpha->len != B || (gamma && (gamma->len != B || log_season->ndim != 2 || log_season->dim[0] != B)))
        return rc__op_fail(t, RC_EINVAL, "holt_winters",
                           "alpha and gamma have one number, the season one row for each of %zu "
                           "rows",
                           B);
    size_t m = gamma ? log_season->dim[1] : 1, dim[2] = {2 * T + m, B};
    for (size_t i = 0; i < T * B; i++)
        if (observed[i] != 0 && !(y[i] > 0))
            return rc__op_fail(t, RC_EDATA, "holt_winters", "step %zu of row %zu: expected a value above 0, found %g",
                               i / B, i % B, (double)y[i]);
    bool grad = alpha->needs_grad || (gamma && (gamma->needs_grad || log_season->needs_grad));
    smooth_node *k = rc__node_new(t, sizeof *k, "holt_winters", 2, dim, grad, smooth_backward);
    if (!k) return rc__dead(t);
    k->alpha = alpha;
    k->gamma = gamma;
    k->season = gamma ? log_season : NULL;
    k->y = y;
    k->observed = observed;
    k->phase = phase;
    k->T = T;
    k->B = B;
    k->m = m;
    k->work = rc__tape_alloc(t, 2 * (2 * T + m) * sizeof *k->work);
    if (!k->work) return rc__dead(t);
    double *l = k->work, *s = l + T;
    for (size_t b = 0; b < B; b++) {
        smooth(k, b, l, s);
        for (size_t i = 0; i < T; i++) k->n.out.x[i * B + b] = (rc_real)log(l[i]);
        for (size_t i = 0; i < T + m; i++) k->n.out.x[(T + i) * B + b] = (rc_real)log(s[i]);
    }
    return &k->n.out;
}
