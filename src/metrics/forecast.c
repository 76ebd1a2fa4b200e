/* forecast.c - errors of point forecasts, M4's measures and its Naive2, quantiles, samples, intervals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "metrics/forecast.h"

static double mean_of(double sum, size_t n) { return n ? sum / (double)n : NAN; }

/* a / b of two that are not negative; 0 / 0 is as told. */
static double over(double a, double b, double none) { return a == 0 && b == 0 ? none : a / b; }

void rc__forecast_score(size_t n, const double *y, const double *f, rc__forecast_scores *out) {
    double squares = 0, errors = 0, percent = 0, symmetric = 0, size = 0;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) continue;
        double d = fabs(y[i] - f[i]);
        squares += d * d;
        errors += d;
        percent += 100 * over(d, fabs(y[i]), 0);
        symmetric += 200 * over(d, fabs(y[i]) + fabs(f[i]), 0);
        size += fabs(y[i]);
        used++;
    }
    *out = (rc__forecast_scores){used,
                                 n - used,
                                 mean_of(squares, used),
                                 mean_of(errors, used),
                                 sqrt(mean_of(squares, used)),
                                 mean_of(percent, used),
                                 mean_of(symmetric, used),
                                 over(errors, size, NAN)};
}

double rc__mase_scale(size_t n, const double *x, size_t m) {
    double sum = 0;
    size_t pairs = 0;
    for (size_t t = m; t < n; t++) {
        double d = fabs(x[t] - x[t - m]);
        if (isnan(d)) continue;
        sum += d;
        pairs++;
    }
    return mean_of(sum, pairs);
}

double rc__mase(double mae, double scale) { return over(mae, scale, NAN); }

double rc__owa(double smape, double mase, double naive2_smape, double naive2_mase) {
    return (over(smape, naive2_smape, NAN) + over(mase, naive2_mase, NAN)) / 2;
}

/* ---- Naive2 ------------------------------------------------------------------------------------------------------ */

static double average(size_t n, const double *x) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

/* n times the autocovariance of lag k */
static double lagged(size_t n, const double *x, double mean, size_t k) {
    double sum = 0;
    for (size_t t = k; t < n; t++) sum += (x[t] - mean) * (x[t - k] - mean);
    return sum;
}

bool rc__m4_seasonal(size_t n, const double *x, size_t m) {
    if (m < 2 || n / 3 < m || (double)m > floor(10 * log10((double)n))) return false;
    double mean = average(n, x), c0 = lagged(n, x, mean, 0), squares = 0;
    bool constant = true; /* by its values: rounding of the mean can leave a variance that is not 0 */
    for (size_t t = 1; t < n && constant; t++) constant = x[t] == x[0];
    if (constant || !(c0 > 0)) return false; /* NaN */
    for (size_t k = 1; k < m; k++) {
        double r = lagged(n, x, mean, k) / c0;
        squares += r * r;
    }
    return fabs(lagged(n, x, mean, m) / c0) > 1.645 * sqrt((1 + 2 * squares) / (double)n);
}

/* The moving average centred at t, over one period; the caller keeps t - m/2 and t + m/2 within the series. */
static double trend_at(const double *x, size_t t, size_t m) {
    size_t half = m / 2;
    double sum = 0;
    if (m % 2 == 0) {
        for (size_t k = t - half + 1; k < t + half; k++) sum += x[k];
        sum += (x[t - half] + x[t + half]) / 2;
    } else {
        for (size_t k = t - half; k <= t + half; k++) sum += x[k];
    }
    return sum / (double)m;
}

/* index (m): place t of the series belongs to season t % m. */
static void seasonal_indices(size_t n, const double *x, size_t m, double *index) {
    size_t half = m / 2;
    for (size_t s = 0; s < m; s++) {
        double sum = 0;
        size_t count = 0;
        for (size_t t = s; t + half < n; t += m) {
            if (t < half) continue;
            sum += x[t] / trend_at(x, t, m);
            count++;
        }
        index[s] = sum / (double)count; /* n >= 3 m: never 0 */
    }
    double mean = average(m, index);
    for (size_t s = 0; s < m; s++) index[s] /= mean;
}

rc_status rc__naive2(size_t n, const double *x, size_t m, size_t horizon, double *f, rc_error *e) {
    if (!n) return rc_fail(e, RC_EINVAL, "Naive2 needs a history of 1 value at least");
    for (size_t t = 0; t < n; t++) {
        if (isnan(x[t])) return rc_fail(e, RC_EINVAL, "Naive2: value %zu of the history is missing", t);
    }
    if (!rc__m4_seasonal(n, x, m)) {
        for (size_t h = 0; h < horizon; h++) f[h] = x[n - 1];
        return RC_OK;
    }
    double *index = rc__alloc(m * sizeof *index);
    if (!index) return rc_fail(e, RC_ENOMEM, "no memory for %zu seasons", m);
    seasonal_indices(n, x, m, index);
    double level = x[n - 1] / index[(n - 1) % m];
    for (size_t h = 0; h < horizon; h++) f[h] = level * index[(n + h) % m];
    rc__free(index, m * sizeof *index);
    return RC_OK;
}

/* ---- quantiles, samples, intervals ------------------------------------------------------------------------------- */

static double pinball(double y, double f, double tau) { return y >= f ? tau * (y - f) : (1 - tau) * (f - y); }

/* The loss of column k of f (n, Q), summed over places that are there; their number and their |y|, summed. */
static double pinball_sum(size_t n, size_t Q, size_t k, const double *y, const double *f, double tau, size_t *used,
                          double *size) {
    double sum = 0;
    *used = 0;
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) continue;
        sum += pinball(y[i], f[i * Q + k], tau);
        *size += fabs(y[i]);
        ++*used;
    }
    return sum;
}

double rc__pinball(size_t n, const double *y, const double *f, double tau) {
    size_t used;
    double size, sum = pinball_sum(n, 1, 0, y, f, tau, &used, &size);
    return mean_of(sum, used);
}

double rc__weighted_quantile_loss(size_t n, size_t Q, const double *y, const double *f, const double *tau,
                                  double *each) {
    double mean = 0, size;
    size_t used;
    for (size_t k = 0; k < Q; k++) {
        double sum = 2 * pinball_sum(n, Q, k, y, f, tau[k], &used, &size), loss = over(sum, size, NAN);
        if (each) each[k] = loss;
        mean += loss;
    }
    return mean_of(mean, Q);
}

double rc__crps_quantiles(size_t n, size_t Q, const double *y, const double *f, const double *tau) {
    double mean = 0, size;
    size_t used;
    for (size_t k = 0; k < Q; k++) {
        double sum = pinball_sum(n, Q, k, y, f, tau[k], &used, &size);
        mean += 2 * mean_of(sum, used);
    }
    return mean_of(mean, Q);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* With x in order, the sum over i, j of |x_i - x_j| is 2 sum (2 i - M + 1) x_i, i from 0. */
static double crps_of(size_t M, double y, double *x) {
    double near = 0, spread = 0, m = (double)M;
    qsort(x, M, sizeof *x, by_value);
    for (size_t i = 0; i < M; i++) {
        near += fabs(x[i] - y);
        spread += (2 * (double)i - m + 1) * x[i];
    }
    return near / m - spread / (m * m);
}

rc_status rc__crps_samples(size_t n, size_t M, const double *y, const double *f, double *out, rc_error *e) {
    if (!M) return rc_fail(e, RC_EINVAL, "a CRPS needs 1 sample a place at least");
    double *x = rc__alloc(M * sizeof *x), sum = 0;
    if (!x) return rc_fail(e, RC_ENOMEM, "no memory for %zu samples", M);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) continue;
        memcpy(x, f + i * M, M * sizeof *x);
        double check = 0; /* NaN has no place in an order: found before sorting */
        for (size_t k = 0; k < M; k++) check += x[k];
        sum += isnan(check) ? NAN : crps_of(M, y[i], x);
        used++;
    }
    rc__free(x, M * sizeof *x);
    *out = mean_of(sum, used);
    return RC_OK;
}

void rc__interval_score(size_t n, const double *y, const double *low, const double *high, double level,
                        rc__interval_scores *out) {
    double inside = 0, width = 0, winkler = 0, rate = 2 / (1 - level);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) continue;
        double wide = high[i] - low[i];
        inside += isnan(wide) ? NAN : low[i] <= y[i] && y[i] <= high[i];
        width += wide;
        winkler += wide + rate * (fmax(low[i] - y[i], 0) + fmax(y[i] - high[i], 0));
        used++;
    }
    *out = (rc__interval_scores){used, n - used, mean_of(inside, used), mean_of(width, used), mean_of(winkler, used)};
}
