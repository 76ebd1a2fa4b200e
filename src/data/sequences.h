/* sequences.h - sequences of numbers of unequal lengths, scaled, with missing values filled in, side by side in batches.
 *
 * A value that is missing (NaN) becomes the last one seen of its channel and series, before the first one 0, which is the
 * mean of scaled data. With `mask` each channel is three inputs: the value, 1 where it was seen, and the time since it was
 * last seen (Lipton et al. 2016, "Directly modeling missing data in sequences with RNNs"; Che et al. 2018, section 2.2:
 * delta counts steps, divided here by 10 and no more than 1). */
#ifndef RC_SEQUENCES_H
#define RC_SEQUENCES_H
#include "recur/base.h"

typedef enum rc__scaling { RC__SCALE_ZSCORE, RC__SCALE_MINMAX, RC__SCALE_SERIES, RC__SCALE_NONE } rc__scaling;

typedef struct rc__sequences {
    size_t channels, n;
    size_t *start; /* n + 1, in steps */
    double *x;     /* (steps, channels), NaN = missing; in double: a large offset must not eat what varies */
    size_t steps, cap_start, cap_x;
} rc__sequences;
/* Of the sequence being added. RC_EDATA: a value that is infinite or that a float does not hold. */
rc_status rc__sequences_step(rc__sequences *q, const double *values, rc_error *e);
rc_status rc__sequences_end(rc__sequences *q, rc_error *e);
void rc__sequences_free(rc__sequences *q);
static inline size_t rc__sequences_len(const rc__sequences *q, size_t i) { return q->start[i + 1] - q->start[i]; }

/* (channels) each: x is scaled to (x - shift) / scale. */
typedef struct rc__scaler {
    rc__scaling kind;
    size_t channels;
    double *shift, *scale;
} rc__scaler;
/* Of training data; a channel without variation has scale 1. SERIES and NONE: shift 0, scale 1. */
rc_status rc__scaler_fit(rc__scaler *s, rc__scaling kind, const rc__sequences *q, rc_error *e);
void rc__scaler_free(rc__scaler *s);

/* Writes the rows index[0..n) of one batch: x (T, n, channels * (mask ? 3 : 1)), zero beyond their lengths; only the steps
 * from[r] .. from[r] + lengths[r] of row r (from NULL: all of it). T: at least the longest of the lengths. */
void rc__sequences_batch(const rc__sequences *q, const rc__scaler *s, bool mask, const uint32_t *index, const size_t *from,
                         const int32_t *lengths, size_t n, size_t T, rc_real *x);
#endif
