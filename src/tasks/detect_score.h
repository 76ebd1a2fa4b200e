/* detect_score.h - the one engine that turns rows into scores: row after row, by all that is known at that row.
 *
 *   error    mean over the channels that are there of rc__detect_surprise: how far the row is from its forecast
 *   tail     -log10 Q((m - mean) / deviation), Q the tail of the standard normal, m the mean error of the last `recent`
 *            rows, mean and deviation those of the errors of the last `history` rows before this one (Ahmad &
 *            Purdy 2016, arXiv 1607.02480; Ahmad 2017, Neurocomputing 262). 5 is one row in 100,000. The oldest of
 *            `history` are left out in blocks of 1/80
 *   range    RC__DETECT_BEYOND where a value leaves the range of all values before it by more than `range` of it, as
 *            numenta/NAB's numenta_detector.py has it (there: score 1, that of a tail of 1e-10)
 *   score    the larger of both; 0 in the first `settle` rows, 0 where one of the last `quiet` rows had as large a one
 *   alarm    score >= threshold: the threshold on errors rolls with mean and deviation
 */
#ifndef RC_DETECT_SCORE_H
#define RC_DETECT_SCORE_H
#include "tasks/detect.h"

#define RC__DETECT_BEYOND    10.0
#define RC__DETECT_MAX_SCORE 1e6

/* Rows as the network is told them, in a ring. */
typedef struct rc__detect_rows {
    rc_real *z, *clock; /* (cap, C), (cap, RC__DETECT_CLOCK) or NULL */
    size_t C, cap;
    uint64_t n; /* rows so far; those from n - cap on are there */
} rc__detect_rows;
rc_status rc__detect_rows_new(rc__detect_rows *r, size_t channels, bool clock, size_t cap, rc_error *e);
void rc__detect_rows_free(rc__detect_rows *r);
/* The place of the next row, which is counted: fill z and clock. */
rc__detect_row rc__detect_rows_next(rc__detect_rows *r, rc_real **z, rc_real **clock);
/* Rows start..start+T-1 as column b of x (T, B, inputs) and targets (T, B, C). */
void rc__detect_window(const rc__detect_net *n, const rc__detect_rows *r, uint64_t start, size_t T, size_t B, size_t b,
                       rc_real *x, rc_real *targets);

typedef struct rc__detected {
    double score, tail, error;
    bool alarm, settling, missing; /* missing: no channel had a value */
    bool beyond;                   /* the range rule spoke */
    double *expected;              /* (C), in the units of the data; NaN: not known yet */
    double
        *share; /* (C) of the score: of what the last rows' mean error is above the usual one, or of the values out of
                       * range; NaN: the row has no score. Both belong to the engine */
} rc__detected;

typedef struct rc__detector rc__detector;
/* m must outlive it and is only read; online: it learns on a copy of the weights. */
rc_status rc__detector_new(rc__detector **out, const rc__detect_model *m, bool online, rc_error *e);
void rc__detector_free(rc__detector *d);
/* x (C) with NaN for missing values; time is not read when the model has no clock. */
rc_status rc__detector_row(rc__detector *d, int64_t time, const double *x, rc__detected *out, rc_error *e);
uint64_t rc__detector_rows(const rc__detector *d); /* so far */
/* Everything that the next row depends on, as one file; what follows is the same to the bit. RC_EMODEL: a damaged file,
 * one of another model, or of the other kind (online or not); the engine is to be freed then. */
rc_status rc__detector_save(rc__detector *d, const char *path, rc_error *e);
rc_status rc__detector_load(rc__detector *d, const char *path, rc_error *e);
#endif
