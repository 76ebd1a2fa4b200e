/* forecast.h - what a forecast is worth, and Naive2, against which M4 measures. Plain arrays, sums in double.
 *
 * y actual, f forecast. A NaN in y is a missing actual: that place is left out and counted. A NaN in f is not: it makes
 * the result NaN. A mean over no places is NaN. */
#ifndef RC_FORECAST_H
#define RC_FORECAST_H
#include "recur/base.h"

typedef struct rc__forecast_scores {
    size_t used, missing;
    double mse, mae,
        rmse;     /* rmse: the root of the mean over all places given                                         */
    double mape;  /* 100 |y - f| / |y|, mean. y = 0: infinite, and 0 where f = 0 too                          */
    double smape; /* M4: 200 |y - f| / (|y| + |f|), mean, 0..200. 0 where both are 0 (M4's R: NaN)            */
    double nd;    /* GluonTS ND: sum of |y - f| / sum of |y|; all y = 0: infinite, NaN where all f = 0 too    */
} rc__forecast_scores;
void rc__forecast_score(size_t n, const double *y, const double *f, rc__forecast_scores *out);

/* MASE (Hyndman & Koehler 2006) as in M4's "Benchmarks and Evaluation.R": mean |y - f| over the horizon / scale, scale
 * = mean |x_t - x_{t-m}| within the history x (n), pairs with a NaN left out. M4's m: yearly 1, quarterly 4, monthly
 * 12, weekly 1, daily 1, hourly 24. The scale is 0 for a history that repeats with period m, NaN without a pair (n <=
 * m). */
double rc__mase_scale(size_t n, const double *x, size_t m);
/* mae / scale; infinite when the scale is 0 and mae is not, NaN when both are: never 0. */
double rc__mase(double mae, double scale);
/* M4's overall weighted average: (smape / smape of Naive2 + mase / mase of Naive2) / 2, where each of the four is the
 * mean over all series first. */
double rc__owa(double smape, double mase, double naive2_smape, double naive2_mase);

/* M4's SeasonalityTest of x (n), period m, at 90 %: |r_m| > 1.645 sqrt((1 + 2 sum of r_k^2 for k < m) / n), r_k the
 * autocorrelation about the mean with divisor n. False for m < 2, n < 3 m, a constant x, a NaN in x, and where m is
 * beyond the lags that R's acf gives, floor(10 log10 n). */
bool rc__m4_seasonal(size_t n, const double *x, size_t m);
/* Naive2, M4's benchmark: where rc__m4_seasonal, x is divided by its seasonal indices, the last value goes on, times
 * the index of its season; else the last value goes on. Indices as R's decompose(multiplicative): x over a centred
 * moving average (half weights at both ends for even m), mean of each season, divided by their mean. f (horizon) is
 * written. x has no NaN (RC_EINVAL), n >= 1. An index of 0 gives what the division gives. */
rc_status rc__naive2(size_t n, const double *x, size_t m, size_t horizon, double *f, rc_error *e);

/* ---- quantiles, samples, intervals ------------------------------------------------------------------------------- */

/* Mean of the pinball loss: tau (y - f) where y >= f, (1 - tau) (f - y) elsewhere (Koenker & Bassett 1978). */
double rc__pinball(size_t n, const double *y, const double *f, double tau);
/* Weighted quantile losses as GluonTS's Evaluator: for quantile k, sum of 2 pinball over all places / sum of |y| over
 * all places; the result is their mean over the Q quantiles, each (Q) or NULL gets them. f (n, Q), tau (Q). For
 * several series, give all their places at once: sums come before quotients. All y = 0: infinite, or NaN without any
 * loss. */
double rc__weighted_quantile_loss(size_t n, size_t Q, const double *y, const double *f, const double *tau,
                                  double *each);

/* CRPS of a sample x_1..x_M, energy form: mean |x_i - y| - sum over i, j of |x_i - x_j| / (2 M^2) (Gneiting & Raftery
 * 2007, equation 21, for the empirical distribution); mean over places. f (n, M). RC_ENOMEM. */
rc_status rc__crps_samples(size_t n, size_t M, const double *y, const double *f, double *out, rc_error *e);
/* CRPS from quantiles: 2 * the integral of the pinball loss over tau, as the plain mean over the Q quantiles: mean of 2
 * pinball. Quantiles should be equally spaced, such as .1 to .9. */
double rc__crps_quantiles(size_t n, size_t Q, const double *y, const double *f, const double *tau);

typedef struct rc__interval_scores {
    size_t used, missing;
    double coverage; /* share of places with low <= y <= high                                                        */
    double width;    /* mean of high - low                                                                           */
    double winkler;  /* mean interval score: width + 2 / (1 - level) times what y is outside by, 0 < level < 1
                      * (Gneiting & Raftery 2007, equation 43)                                                       */
} rc__interval_scores;
void rc__interval_score(size_t n, const double *y, const double *low, const double *high, double level,
                        rc__interval_scores *out);
#endif
