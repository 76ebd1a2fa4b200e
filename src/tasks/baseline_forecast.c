/* baseline_forecast.c - naive, seasonal naive and drift; linear autoregression by ridge regression. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "tasks/baselines.h"

/* The last value that is there at places end - 1, end - 1 - step, ...; NaN when none is. */
static double last_there(size_t end, const double *x, size_t step) {
    for (size_t t = end; t > 0; t = t > step ? t - step : 0) {
        if (!isnan(x[t - 1])) return x[t - 1];
    }
    return NAN;
}

void rc__naive(size_t n, const double *x, size_t horizon, double *f) {
    double last = last_there(n, x, 1);
    for (size_t h = 0; h < horizon; h++) f[h] = last;
}

void rc__seasonal_naive(size_t n, const double *x, size_t m, size_t horizon, double *f) {
    double last = last_there(n, x, 1);
    for (size_t h = 0; h < horizon; h++) {
        f[h] = h < m ? NAN : f[h - m];
        if (h < m && n >= m) f[h] = last_there(n - m + h + 1, x, m);
        if (isnan(f[h])) f[h] = last;
    }
}

void rc__drift(size_t n, const double *x, size_t horizon, double *f) {
    size_t first = 0, last = n;
    while (first < n && isnan(x[first])) first++;
    while (last > first && isnan(x[last - 1])) last--;
    for (size_t h = 0; h < horizon; h++) {
        if (first == last) {
            f[h] = NAN;
            continue;
        }
        double slope = last - first > 1 ? (x[last - 1] - x[first]) / (double)(last - 1 - first) : 0;
        f[h] = x[last - 1] + slope * (double)(n - last + h + 1);
    }
}

/* ---- ridge ------------------------------------------------------------------------------------------------------- */

struct rc__ridge {
    size_t L, H, windows;
    bool from_last;
    double *mean;   /* (L + H): of x, then of y */
    double *weight; /* (L, H) */
};

typedef struct gram {
    const rc__series *series;
    size_t n, L, H;
    bool from_last;
    const double *mean;
    double *G;       /* (L, L + H): x x', x y', about the means; column j of row i for j >= i alone */
    double *scratch; /* (workers, L + H) */
} gram;
enum { TILE = 8 }; /* rows of G that a task has: they and the window stay in L1 */

/* z (len) = the window at p, from its last input on request; false when a value is missing. */
static bool take_window(const double *p, size_t L, size_t len, bool from_last, double *z) {
    double base = from_last ? p[L - 1] : 0, check = 0;
    for (size_t k = 0; k < len; k++) {
        z[k] = p[k] - base;
        check += z[k];
    }
    return !isnan(check);
}

/* G += z z' for a tile of rows, window after window in their order. */
static void gram_task(void *ctx, size_t task, int worker) {
    gram *g = ctx;
    size_t len = g->L + g->H, first = task * TILE, end = first + TILE < g->L ? first + TILE : g->L;
    double *z = g->scratch + (size_t)worker * len;
    for (size_t s = 0; s < g->n; s++) {
        for (size_t t = 0; t + len <= g->series[s].n; t++) {
            if (!take_window(g->series[s].x + t, g->L, len, g->from_last, z)) continue;
            for (size_t k = 0; k < len; k++) z[k] -= g->mean[k];
            for (size_t i = first; i < end; i++) {
                double *row = g->G + i * len, zi = z[i];
                for (size_t j = i; j < len; j++) row[j] += zi * z[j];
            }
        }
    }
}

static size_t window_means(const gram *g, double *mean) {
    size_t windows = 0, len = g->L + g->H;
    for (size_t s = 0; s < g->n; s++) {
        for (size_t t = 0; t + len <= g->series[s].n; t++) {
            if (!take_window(g->series[s].x + t, g->L, len, g->from_last, g->scratch)) continue;
            for (size_t k = 0; k < len; k++) mean[k] += g->scratch[k];
            windows++;
        }
    }
    for (size_t k = 0; k < len && windows; k++) mean[k] /= (double)windows;
    return windows;
}

/* G = U' U in place in the upper triangle of its first L columns, U' solved into the H others on the way; then back,
 * so that those end as the solution of G W = (x y'). False when G is not positive. */
static bool solve(double *G, size_t L, size_t H) {
    size_t len = L + H;
    for (size_t i = 0; i < L; i++) {
        double *row = G + i * len;
        if (!(row[i] > 0) || isinf(row[i])) return false;
        double pivot = 1 / sqrt(row[i]);
        for (size_t j = i; j < len; j++) row[j] *= pivot;
        for (size_t k = i + 1; k < L; k++) {
            double *below = G + k * len, u = row[k];
            for (size_t j = k; j < len; j++) below[j] -= u * row[j];
        }
    }
    for (size_t i = L; i-- > 0;) {
        double *row = G + i * len;
        for (size_t k = i + 1; k < L; k++) {
            for (size_t h = L; h < len; h++) row[h] -= row[k] * G[k * len + h];
        }
        for (size_t h = L; h < len; h++) row[h] /= row[i];
    }
    return true;
}

static rc_status fit(rc__ridge *r, gram *g, double ridge, rc_error *e) {
    size_t len = r->L + r->H;
    r->windows = window_means(g, r->mean);
    if (!r->windows) return rc_fail(e, RC_EDATA, "no window of %zu values without a missing one", len);
    double work = 2 * (double)r->windows * (double)r->L * (double)len;
    rc__parallel((r->L + TILE - 1) / TILE, work, gram_task, g);
    double trace = 0;
    for (size_t i = 0; i < r->L; i++) trace += g->G[i * len + i];
    double penalty = ridge * trace / (double)r->L;
    for (size_t i = 0; i < r->L; i++) { /* constant series: W = 0 */
        g->G[i * len + i] += penalty > 0 ? penalty : 1;
    }
    if (!solve(g->G, r->L, r->H)) {
        return rc_fail(e, RC_EDATA, "%zu windows give no positive system: a larger ridge than %g is needed", r->windows,
                       ridge);
    }
    for (size_t i = 0; i < r->L; i++) memcpy(r->weight + i * r->H, g->G + i * len + r->L, r->H * sizeof *r->weight);
    return RC_OK;
}

rc_status rc__ridge_fit(size_t n, const rc__series *series, size_t L, size_t H, double ridge, bool from_last,
                        rc__ridge **out, rc_error *e) {
    *out = NULL;
    if (!L || !H || !(ridge > 0) || isinf(ridge)) {
        return rc_fail(e, RC_EINVAL,
                       "a linear autoregression needs inputs, steps and a ridge over 0, found %zu, %zu, %g", L, H,
                       ridge);
    }
    size_t len, workers = (size_t)rc__workers(), cells, scratch;
    rc__ridge *r = rc__calloc(1, sizeof *r);
    bool fits = rc__size_add(L, H, &len) && rc__size_mul(L, len, &cells) && rc__size_mul(workers, len, &scratch);
    if (!r || !fits) {
        rc__free(r, sizeof *r);
        return rc_fail(e, RC_ENOMEM, "no memory for %zu inputs and %zu steps", L, H);
    }
    r->L = L;
    r->H = H;
    r->from_last = from_last;
    r->mean = rc__calloc(len, sizeof *r->mean);
    r->weight = rc__calloc(L * H, sizeof *r->weight);
    gram g = {
        series, n, L, H, from_last, r->mean, rc__calloc(cells, sizeof *g.G), rc__calloc(scratch, sizeof *g.scratch)};
    rc_status s = RC_OK;
    if (!r->mean || !r->weight || !g.G || !g.scratch) {
        s = rc_fail(e, RC_ENOMEM, "no memory for %zu inputs and %zu steps", L, H);
    } else {
        s = fit(r, &g, ridge, e);
    }
    rc__free(g.G, cells * sizeof *g.G);
    rc__free(g.scratch, scratch * sizeof *g.scratch);
    if (s == RC_OK) {
        *out = r;
    } else {
        rc__ridge_free(r);
    }
    return s;
}

void rc__ridge_free(rc__ridge *r) {
    if (!r) return;
    rc__free(r->mean, (r->L + r->H) * sizeof *r->mean);
    rc__free(r->weight, r->L * r->H * sizeof *r->weight);
    rc__free(r, sizeof *r);
}

size_t rc__ridge_windows(const rc__ridge *r) { return r->windows; }

void rc__ridge_forecast(const rc__ridge *r, const double *x, double *f) {
    double base = r->from_last ? x[r->L - 1] : 0;
    for (size_t h = 0; h < r->H; h++) f[h] = base + r->mean[r->L + h];
    for (size_t i = 0; i < r->L; i++) {
        double d = x[i] - base - r->mean[i];
        const double *w = r->weight + i * r->H;
        for (size_t h = 0; h < r->H; h++) f[h] += d * w[h];
    }
}
