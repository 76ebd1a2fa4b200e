/* distribution.c - draws from Gaussian, Student's t and negative binomial distributions. */
#include "decode/distribution.h"
#include <math.h>
#include "autograd/likelihood.h"

/* Gamma(shape, 1): Marsaglia & Tsang 2000, "A simple method for generating gamma variables"; below 1 by
 * Gamma(k) = Gamma(k + 1) U^(1/k) (section 6 there). */
static double draw_gamma(double shape, rc_rng *r) {
    if (shape < 1) {
        double u = rc_rng_uniform(r);
        return draw_gamma(shape + 1, r) * pow(u, 1 / shape);
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rc_rng_normal(r), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - rc_rng_uniform(r)) < x * x / 2 + d - d * v + d * log(v)) return d * v;
    }
}

/* Few: as many uniform numbers as have a product of at least exp(-mean) (Knuth). Many: transformed rejection (Hoermann
 * 1993, "The transformed rejection method for generating Poisson random variables", algorithm PTRS). Beyond 1e15 a
 * double holds no neighbours that the spread could reach with meaning: the mean itself. */
static double draw_poisson(double mean, rc_rng *r) {
    if (mean < 10) {
        double bound = exp(-mean), product = 1 - rc_rng_uniform(r), n = 0;
        for (; product > bound; n++) product *= 1 - rc_rng_uniform(r);
        return n;
    }
    if (mean > 1e15) return floor(mean);
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b, log_mean = log(mean);
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), sure = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        double u = rc_rng_uniform(r) - 0.5, v = 1 - rc_rng_uniform(r), us = 0.5 - fabs(u);
        if (us <= 0) continue;
        double k = floor((2 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= sure) return k;
        if (k < 0 || (us < 0.013 && v > us)) continue;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log_mean - mean - rc__log_gamma(k + 1)) return k;
    }
}

double rc__draw_gaussian(const rc_real *params, rc_rng *r) {
    rc__location_scale p = rc__gaussian_of(params);
    return p.mean + p.scale * rc_rng_normal(r);
}

/* A normal number over the root of chi^2 / df, chi^2 = 2 Gamma(df / 2). */
double rc__draw_student_t(const rc_real *params, rc_rng *r) {
    rc__location_scale p = rc__student_t_of(params);
    if (!isfinite(p.df)) return NAN;
    double z = rc_rng_normal(r);
    return p.mean + p.scale * z / sqrt(2 * draw_gamma(p.df / 2, r) / p.df);
}

/* Poisson of a mean that is Gamma(1 / alpha) alpha mean. */
double rc__draw_negative_binomial(const rc_real *params, double scale, rc_rng *r) {
    rc__count_params p = rc__negative_binomial_of(params, scale);
    if (!isfinite(p.mean) || !isfinite(p.alpha)) return NAN;
    return draw_poisson(draw_gamma(1 / p.alpha, r) * p.alpha * p.mean, r);
}

double rc__mean_gaussian(const rc_real *params) { return (double)params[0]; }

double rc__mean_negative_binomial(const rc_real *params, double scale) {
    return rc__negative_binomial_of(params, scale).mean;
}
