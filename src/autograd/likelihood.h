/* likelihood.h - parameters of a distribution as a network gives them, and what they stand for: for the losses
 * (likelihood.c) and for draws (decode/distribution.h). recur/tape.h states the parametrisation. */
#ifndef RC_LIKELIHOOD_H
#define RC_LIKELIHOOD_H
#include <math.h>
#include "recur/tape.h"

#define RC__SCALE_FLOOR 1e-4 /* of the scale of the Gaussian and of Student's t */
#define RC__COUNT_FLOOR 1e-6 /* of mean and alpha of the negative binomial */
#define RC__DF_FLOOR    2.0  /* of the degrees of freedom: the variance exists */

static inline double rc__softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

typedef struct rc__location_scale {
    double mean, scale, df; /* df: Student's t alone */
} rc__location_scale;

static inline rc__location_scale rc__gaussian_of(const rc_real *params) {
    return (rc__location_scale){(double)params[0], rc__softplus((double)params[1]) + RC__SCALE_FLOOR, INFINITY};
}
static inline rc__location_scale rc__student_t_of(const rc_real *params) {
    rc__location_scale p = rc__gaussian_of(params);
    p.df = RC__DF_FLOOR + rc__softplus((double)params[2]);
    return p;
}

typedef struct rc__count_params {
    double mean, alpha; /* variance = mean + alpha mean^2 */
} rc__count_params;

static inline rc__count_params rc__negative_binomial_of(const rc_real *params, double scale) {
    return (rc__count_params){scale * (rc__softplus((double)params[0]) + RC__COUNT_FLOOR),
                              (rc__softplus((double)params[1]) + RC__COUNT_FLOOR) / sqrt(scale)};
}

/* log Gamma(x) for x > 0; libm's writes to a global */
double rc__log_gamma(double x);
#endif
