/* baselines.h - plain methods to print beside a model. Plain arrays in, plain arrays out; no file, no option parsing.
 * NaN is a missing value throughout. The same input gives the same output, for any number of threads. */
#ifndef RC_BASELINES_H
#define RC_BASELINES_H
#include "recur/base.h"

/* n steps of some channels each, step after step. */
typedef struct rc__steps {
    const double *x;
    size_t n;
} rc__steps;

/* ---- baseline_forecast.c -----------------------------------------------------------------------------------------
 * x (n) is the history, f (horizon) is written. M4's Naive2 is rc__naive2 of metrics/forecast.h. */

/* The last value that is there goes on; NaN when none is. */
void rc__naive(size_t n, const double *x, size_t horizon, double *f);
/* The last value that is there of the same season of m steps; m >= 1. With n < m and for seasons without any, as
 * rc__naive. */
void rc__seasonal_naive(size_t n, const double *x, size_t m, size_t horizon, double *f);
/* The line through the first and the last value that are there goes on (Hyndman & Athanasopoulos, "Forecasting",
 * drift). */
void rc__drift(size_t n, const double *x, size_t horizon, double *f);

/* ---- baseline_text.c --------------------------------------------------------------------------------------------- */

/* A bag of words and pairs of words, hashed, and multinomial logistic regression on it by SGD: fastText's supervised
 * model (Joulin 2016, arXiv 1607.01759) without its hidden layer, so W is (buckets, C) and there is no dimension.
 * Words: runs of letters, digits, "'" and bytes over 127, lower case in ASCII; every other byte that is no white space
 * is a word. Features: a bias, each word, each pair of neighbours, by FNV-1a of 64 bits into 2^bits buckets; each of
 * the N occurrences has the weight 1 / sqrt(N). The rate falls from lr to 0 linearly; texts in a new order each epoch,
 * by seed. One thread. */
typedef struct rc__ngram_options {
    unsigned bits; /* 1..24; 20 */
    size_t epochs; /* 10 */
    double lr;     /* .5 */
    bool pairs;    /* true */
    uint64_t seed; /* 1 */
} rc__ngram_options;
rc__ngram_options rc__ngram_options_default(void);
typedef struct rc__text {
    const char *s;
    size_t len;
} rc__text;
typedef struct rc__ngram rc__ngram;
/* label (n): 0..C-1, below 0: left out. RC_EINVAL: another label or option; RC_EDATA: no text with a label. */
rc_status rc__ngram_train(size_t n, const rc__text *text, const int32_t *label, size_t C, const rc__ngram_options *o,
                          rc__ngram **out, rc_error *e);
void rc__ngram_free(rc__ngram *m);
void rc__ngram_predict(const rc__ngram *m, rc__text text, double *p); /* (C), sums to 1 */

/* ---- baseline_series.c ------------------------------------------------------------------------------------------- */

/* 1-nearest neighbour: nearest[i] is the number of the training series closest to test series i, the first such; its
 * label is the answer, of a classification and of a regression alike. distance (n_test) or NULL gets how far it is.
 *   RC_NEAR_EUCLID  root of the sum of squares over all steps and channels; RC_EINVAL for unequal lengths
 *   RC_NEAR_DTW     dynamic time warping, full window: the root of the least sum, over a path from both starts to both
 *                   ends that moves one step in either or both, of squared distances of steps over all channels
 *                   together: DTW_D (Shokoohi-Yekta 2017). Lengths may differ. Against an empty series, infinite
 * Values as given: normalise before. A NaN makes a distance infinite. RC_EINVAL: n_train is 0. */
typedef enum rc__near { RC_NEAR_EUCLID, RC_NEAR_DTW } rc__near;
rc_status rc__nearest(rc__near how, size_t channels, size_t n_train, const rc__steps *train, size_t n_test,
                      const rc__steps *test, size_t *nearest, double *distance, rc_error *e);

/* ---- baseline_detect.c ------------------------------------------------------------------------------------------- */

/* NAB's windowed Gaussian detector (numenta/NAB nab/detectors/gaussian, window 6400, step 100): score = 1 - Q(|z|), the
 * normal tail of a value under mean and deviation (divisor n; 1e-6 for 0) of those before it: of all while they are at
 * most `window`, then of a window that moves on by `step` whenever that many more have been seen. .5 to 1; the first
 * 0. A missing value scores 0 and is not seen. window, step >= 1 (RC_EINVAL). */
rc_status rc__windowed_gaussian(size_t n, const double *x, size_t window, size_t step, double *score, rc_error *e);
void rc__null_detector(size_t n, double *score); /* NAB's: .5 everywhere */
#endif
