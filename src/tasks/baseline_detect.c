/* baseline_detect.c - NAB's windowed Gaussian and null detectors. */
#include <math.h>
#include "base/mem.h"
#include "tasks/baselines.h"

typedef struct normal {
    double mean, deviation;
} normal;

static normal normal_of(size_t n, const double *x) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    double deviation = sqrt(squares / (double)n);
    return (normal){mean, deviation > 0 ? deviation : 1e-6};
}

/* 1 - Q(|z|), Q the tail of the standard normal */
static double tail_score(double x, normal g) { return 1 - .5 * erfc(fabs(x - g.mean) / g.deviation / sqrt(2)); }

rc_status rc__windowed_gaussian(size_t n, const double *x, size_t window, size_t step, double *score, rc_error *e) {
    if (!window || !step) return rc_fail(e, RC_EINVAL, "a windowed Gaussian needs a window and a step of 1 at least");
    double *seen = rc__alloc((n + 1) * sizeof *seen), mean = 0, squares = 0;
    if (!seen) return rc_fail(e, RC_ENOMEM, "no memory for %zu values", n);
    size_t count = 0;
    normal g = {0, 1};
    for (size_t i = 0; i < n; i++) {
        score[i] = count && !isnan(x[i]) ? tail_score(x[i], g) : 0;
        if (isnan(x[i])) continue;
        seen[count++] = x[i];
        if (count <= window) { /* Welford: all so far, in one step */
            double d = x[i] - mean;
            mean += d / (double)count;
            squares += d * (x[i] - mean);
            double deviation = sqrt(squares / (double)count);
            g = (normal){mean, deviation > 0 ? deviation : 1e-6};
        } else if ((count - window) % step == 0) {
            g = normal_of(window, seen + count - window);
        }
    }
    rc__free(seen, (n + 1) * sizeof *seen);
    return RC_OK;
}

void rc__null_detector(size_t n, double *score) {
    for (size_t i = 0; i < n; i++) score[i] = .5;
}
