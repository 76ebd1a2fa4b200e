/* baseline_forecast.c - naive, seasonal naive and drift. */
#include <math.h>
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
