/* forecast_baseline.c - what every model is measured against beside the last season (baselines.h): a linear model of the past. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tasks/forecast.h"
#include "tasks/ridge.h"

/* The lookback of a window, scaled by the deviation of the training, less its last value; 1 behind it. Missing values
 * are the last ones before them. False when nothing is known. */
static bool line_input(const rc__forecast *m, const double *y, size_t origin, double deviation, rc_real *x,
                       double *last) {
    size_t L = m->baseline_lookback, from = origin > L ? origin - L : 0;
    *last = NAN;
    for (size_t i = origin; i > from && isnan(*last); i--) *last = y[i - 1];
    if (isnan(*last)) return false;
    double now = NAN;
    for (size_t j = 0; j < L; j++) {
        size_t back = L - j;
        if (back <= origin && !isnan(y[origin - back])) now = y[origin - back];
        x[j] = isnan(now) ? 0 : (rc_real)((now - *last) / deviation);
    }
    x[L] = 1;
    return true;
}

static double unit_of(const rc__forecast *m, const double *y, size_t origin, int32_t series) {
    rc__fc_stats own;
    if (series >= 0) return m->stats[series].deviation;
    rc__fc_stats_of(y, origin, &own);
    return own.deviation;
}

void rc__fc_linear(const rc__forecast *m, const double *y, size_t origin, int32_t series, double *f) {
    size_t L = m->baseline_lookback, H = m->c.horizon;
    rc_real *x = L ? rc__alloc((L + 1) * sizeof *x) : NULL;
    double last, unit = unit_of(m, y, origin, series);
    bool known = x && line_input(m, y, origin, unit, x, &last);
    for (size_t j = 0; j < H; j++) {
        double sum = 0;
        for (size_t i = 0; known && i <= L; i++) sum += (double)m->baseline->w[j * (L + 1) + i] * (double)x[i];
        f[j] = known ? last + unit * sum : NAN;
    }
    rc__free(x, (L + 1) * sizeof *x);
}

#define ROWS  512   /* windows at once */
#define MOST  30000 /* windows in all: more do not change a linear model of a few hundred numbers */
#define RIDGE 1e-3  /* of the mean of the diagonal */

rc_status rc__fc_fit_linear(rc__forecast *m, const rc__series *s, const int32_t *map, const rc__fc_window *w, size_t n,
                            rc_error *e) {
    size_t L = m->baseline_lookback, H = m->c.horizon, K = L + 1, used = n < MOST ? n : MOST;
    if (!L || !n) return RC_OK;
    size_t bytes = ROWS * (K + H) * sizeof(rc_real);
    rc_real *x = rc__alloc(bytes), *y = x ? x + ROWS * K : NULL;
    rc__ridge *r = NULL;
    rc_status st = x ? rc__ridge_new(&r, K, H, e) : rc_fail(e, RC_ENOMEM, "linear baseline: out of memory");
    for (size_t at = 0; st == RC_OK && at < used;) {
        size_t rows = 0;
        for (; at < used && rows < ROWS; at++) {
            const rc__fc_window *v = &w[at * n / used];
            const double *from = rc__series_y(s, v->group, v->target);
            size_t known = s->group[v->group].n;
            int32_t id = map[v->group * s->schema->n_targets + v->target];
            double last, unit = unit_of(m, from, v->origin, id);
            bool whole = v->origin + H <= known && line_input(m, from, v->origin, unit, x + rows * K, &last);
            for (size_t j = 0; whole && j < H; j++) {
                double t = from[v->origin + j];
                whole = !isnan(t);
                y[rows * H + j] = (rc_real)((t - last) / unit);
            }
            rows += whole;
        }
        rc__ridge_add(r, rows, x, y);
    }
    if (st == RC_OK) rc__ridge_solve(r, RIDGE, m->baseline->w);
    for (size_t j = 0; st == RC_OK && m->ar && L == m->c.lookback && j < H; j++) /* the network begins from there */
        memcpy(m->ar->w + j * L, m->baseline->w + j * K, L * sizeof *m->ar->w);
    rc_params_changed(m->base.params);
    rc__ridge_free(r);
    rc__free(x, bytes);
    return st;
}
