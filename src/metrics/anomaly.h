/* anomaly.h - what a detection of anomalies in series is worth: by points, by events, by ranges, and NAB's score.
 *
 * A range is rows [start, end), start < end; lists of ranges are in order and do not overlap. Flags are bytes, 0 or
 * not. Quotients are 0 where their denominator is (rc__prf_of); f1 = 2 precision recall / (precision + recall). */
#ifndef RC_ANOMALY_H
#define RC_ANOMALY_H
#include "metrics/classify.h"

typedef struct rc__range {
    size_t start, end;
} rc__range;
/* Runs of flags that are not 0, into out (room for n / 2 + 1). Returns their number. */
size_t rc__ranges_of(size_t n, const uint8_t *flag, rc__range *out);
/* flag[i] = score[i] >= threshold; never for a NaN. */
void rc__detect_at(size_t n, const double *score, double threshold, uint8_t *flag);

/* Row by row. */
rc__prf rc__anomaly_points(size_t n, const uint8_t *truth, const uint8_t *guess);
/* "Point-adjusted" (Xu 2018, arXiv 1802.03903): one detected row in a true range makes all its rows
 * detected, then row by row. It flatters: random scores do well (Kim 2022, arXiv 2109.05257). Never report it under
 * another name. */
rc__prf rc__anomaly_points_adjusted(size_t n, const uint8_t *truth, const uint8_t *guess);
/* Event by event: recall = true ranges that share a row with a guessed one / true ranges, precision = guessed ranges
 * that share a row with a true one / guessed ranges. Support: true ranges. */
rc__prf rc__anomaly_events(size_t R, const rc__range *truth, size_t P, const rc__range *guess);

/* Range-based precision and recall (Tatbul 2018, arXiv 1803.03639, section 4), flat bias:
 *   recall     mean over true ranges r of alpha [r shares a row with any guess] + (1 - alpha) card(r) overlap(r)
 *   precision  mean over guessed ranges p of card(p) overlap(p), against the true ranges
 *   overlap    rows shared with any range of the other list / rows
 *   card       1 where at most one range of the other list shares rows; else 1 (RC_CARDINALITY_ONE) or 1 / how many do
 *              (RC_CARDINALITY_RECIPROCAL: pieces are worth less than a whole)
 * 0 <= alpha <= 1. No range: 0. */
typedef enum rc__cardinality { RC_CARDINALITY_ONE, RC_CARDINALITY_RECIPROCAL } rc__cardinality;
rc__prf rc__anomaly_ranges(size_t R, const rc__range *truth, size_t P, const rc__range *guess, double alpha,
                           rc__cardinality card);

/* ---- NAB ---------------------------------------------------------------------------------------------------------
 * The score of numenta/NAB (Lavin & Ahmad 2015, arXiv 1510.03336) by its code: nab/sweeper.py at commit ea702d75, which
 * differs from the paper's prose. Per series:
 *   - the first min(floor(.15 rows), 750) rows are not scored
 *   - S(x) = 2 / (1 + exp(5 x)) - 1, and -1 for x > 3
 *   - a window [start, end) of W rows counts its best row at or over the threshold: tp * S(-(end - i) / W) / S(-1),
 *     so its first row gives tp; -fn when no scored row is. A window without a scored row does not count here
 *   - every row at or over it outside counts fp * S((i - last) / (W - 1)), last and W those of the window before it;
 *     -fp when there is none, or when it has one row (NAB would divide by 0)
 * The score of a corpus is the sum. Normalised: 100 (score - null) / (perfect - null), null what a detector without a
 * detection has (-fn for each window that counts), perfect tp * all windows. */
typedef struct rc__nab_profile {
    const char *name;
    double tp, fp, fn;
} rc__nab_profile;
enum { RC_NAB_PROFILES = 3 };
extern const rc__nab_profile rc__nab_profiles[RC_NAB_PROFILES]; /* standard, reward_low_FP_rate, reward_low_FN_rate */

typedef struct rc__nab_series {
    size_t rows, windows;
    const double *score;     /* (rows); NaN is never a detection */
    const rc__range *window; /* (windows) */
} rc__nab_series;

typedef struct rc__nab_result {
    double threshold; /* infinite: best without any detection */
    double score, null, perfect;
    double normalised;     /* NaN for a corpus without windows */
    size_t tp, fp, fn, tn; /* rows that are scored, at the threshold */
    size_t windows, found; /* windows that count; those with a detection */
} rc__nab_result;
/* threshold NULL: the one of the largest score over the whole corpus, as NAB does for each detector and profile; the
 * highest such. RC_EINVAL: windows of a series out of order, overlapping or beyond its rows. O(rows log rows). */
rc_status rc__nab_score(const rc__nab_profile *profile, size_t n, const rc__nab_series *series, const double *threshold,
                        rc__nab_result *out, rc_error *e);
size_t rc__nab_probation(size_t rows);
#endif
