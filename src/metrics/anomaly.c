/* anomaly.c - points, events and ranges; then NAB: what each row would add (place_rows), and a sweep of the threshold
 * from the highest score down, which sees the corpus' score at every threshold. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "metrics/anomaly.h"

static double f1_of(double precision, double recall) {
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

size_t rc__ranges_of(size_t n, const uint8_t *flag, rc__range *out) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!flag[i]) continue;
        if (i == 0 || !flag[i - 1]) out[count++].start = i;
        out[count - 1].end = i + 1;
    }
    return count;
}

void rc__detect_at(size_t n, const double *score, double threshold, uint8_t *flag) {
    for (size_t i = 0; i < n; i++) flag[i] = score[i] >= threshold;
}

rc__prf rc__anomaly_points(size_t n, const uint8_t *truth, const uint8_t *guess) {
    size_t right = 0, guessed = 0, support = 0;
    for (size_t i = 0; i < n; i++) {
        right += truth[i] && guess[i];
        guessed += guess[i] != 0;
        support += truth[i] != 0;
    }
    return rc__prf_of((double)right, (double)guessed, (double)support);
}

rc__prf rc__anomaly_points_adjusted(size_t n, const uint8_t *truth, const uint8_t *guess) {
    size_t right = 0, guessed = 0, support = 0, end;
    for (size_t i = 0; i < n; i = end) {
        bool any = guess[i] != 0, inside = truth[i] != 0;
        for (end = i + 1; inside && end < n && truth[end]; end++) any = any || guess[end];
        support += inside ? end - i : 0;
        right += inside && any ? end - i : 0;
        guessed += any ? end - i : 0;
    }
    return rc__prf_of((double)right, (double)guessed, (double)support);
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

typedef struct touch {
    size_t ranges, rows; /* of the other list: how many share rows with this range, and how many rows */
} touch;

/* *at: the first of the others that is not all before r; it only moves on, as the lists are in order. */
static touch touching(rc__range r, size_t n, const rc__range *other, size_t *at) {
    touch t = {0, 0};
    while (*at < n && other[*at].end <= r.start) ++*at;
    for (size_t k = *at; k < n && other[k].start < r.end; k++) {
        size_t start = other[k].start > r.start ? other[k].start : r.start;
        size_t end = other[k].end < r.end ? other[k].end : r.end;
        t.ranges++;
        t.rows += end - start;
    }
    return t;
}

/* Mean over ranges of alpha [touched] + (1 - alpha) card overlap. */
static double range_mean(size_t n, const rc__range *of, size_t m, const rc__range *other, double alpha,
                         rc__cardinality card) {
    double sum = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        touch t = touching(of[i], m, other, &at);
        if (!t.ranges) continue;
        double pieces = card == RC_CARDINALITY_RECIPROCAL ? (double)t.ranges : 1;
        sum += alpha + (1 - alpha) * (double)t.rows / (double)(of[i].end - of[i].start) / pieces;
    }
    return n ? sum / (double)n : 0;
}

rc__prf rc__anomaly_ranges(size_t R, const rc__range *truth, size_t P, const rc__range *guess, double alpha,
                           rc__cardinality card) {
    rc__prf s = {range_mean(P, guess, R, truth, 0, card), range_mean(R, truth, P, guess, alpha, card), 0, (double)R};
    s.f1 = f1_of(s.precision, s.recall);
    return s;
}

rc__prf rc__anomaly_events(size_t R, const rc__range *truth, size_t P, const rc__range *guess) {
    rc__prf s = {range_mean(P, guess, R, truth, 1, RC_CARDINALITY_ONE),
                 range_mean(R, truth, P, guess, 1, RC_CARDINALITY_ONE), 0, (double)R};
    s.f1 = f1_of(s.precision, s.recall);
    return s;
}

/* ---- NAB --------------------------------------------------------------------------------------------------------- */

const rc__nab_profile rc__nab_profiles[RC_NAB_PROFILES] = {
    /* config/profiles.json */
    {"standard", 1, .11, 1},
    {"reward_low_FP_rate", 1, .22, 1},
    {"reward_low_FN_rate", 1, .11, 2},
};

size_t rc__nab_probation(size_t rows) { return (size_t)fmin(floor(.15 * (double)rows), .15 * 5000); }

static double scaled_sigmoid(double x) { return x > 3 ? -1 : 2 / (1 + exp(5 * x)) - 1; }

/* A scored row: what it adds where it is detected. */
typedef struct row {
    double score, adds;
    size_t window; /* number in the corpus, NONE outside */
    size_t order;
} row;
static const size_t none = SIZE_MAX;

static rc_status check_windows(size_t which, const rc__nab_series *s, rc_error *e) {
    for (size_t w = 0; w < s->windows; w++) {
        rc__range r = s->window[w];
        if (r.start < r.end && r.end <= s->rows && (w == 0 || s->window[w - 1].end <= r.start)) continue;
        return rc_fail(e, RC_EINVAL,
                       "series %zu: window %zu, rows %zu to %zu, is not one after the last within %zu rows", which, w,
                       r.start, r.end, s->rows);
    }
    return RC_OK;
}

/* What row i adds, w being the first window that ends after it. */
static double row_adds(const rc__nab_profile *p, const rc__nab_series *s, size_t i, size_t w) {
    if (w < s->windows && i >= s->window[w].start) {
        rc__range r = s->window[w];
        return p->tp * scaled_sigmoid(-(double)(r.end - i) / (double)(r.end - r.start)) / scaled_sigmoid(-1);
    }
    if (w == 0) return -p->fp;
    rc__range before = s->window[w - 1];
    double last = (double)before.end - 1;
    return p->fp * scaled_sigmoid(((double)i - last) / ((double)(before.end - before.start) - 1)); /* x / 0 is beyond */
}

/* Appends the scored rows of a series that have a score; counts all as not detected, and the windows that have one. */
static size_t place_rows(const rc__nab_profile *p, const rc__nab_series *s, size_t first_window, row *rows, size_t at,
                         rc__nab_result *out) {
    size_t w = 0, counted = none;
    for (size_t i = rc__nab_probation(s->rows); i < s->rows; i++) {
        while (w < s->windows && s->window[w].end <= i) w++;
        bool inside = w < s->windows && i >= s->window[w].start;
        if (inside)
            out->fn++;
        else
            out->tn++;
        if (inside && counted != w) {
            counted = w;
            out->windows++;
        }
        if (isnan(s->score[i])) continue;
        rows[at] = (row){s->score[i], row_adds(p, s, i, w), inside ? first_window + w : none, at};
        at++;
    }
    return at;
}

/* From the highest score down; equal ones in the order of the corpus, so that sums are NAB's. */
static int by_score(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Lowers the threshold from infinity, score by score, down to *stop or, without it, to the last, keeping the best. */
static void sweep(const rc__nab_profile *p, const row *rows, size_t n, double *best, const double *stop,
                  rc__nab_result *out) {
    rc__nab_result now = *out;
    double outside = 0, windows = -p->fn * (double)now.windows;
    now.threshold = INFINITY;
    now.score = windows;
    *out = now;
    for (size_t i = 0; i < n && !(stop && rows[i].score < *stop);) {
        now.threshold = rows[i].score;
        for (; i < n && rows[i].score == now.threshold; i++) {
            size_t w = rows[i].window;
            if (w == none) {
                outside += rows[i].adds;
                now.fp++;
                now.tn--;
                continue;
            }
            now.tp++;
            now.fn--;
            if (isnan(best[w])) now.found++;
            double had = isnan(best[w]) ? -p->fn : best[w];
            best[w] = fmax(had, rows[i].adds);
            windows += best[w] - had;
        }
        now.score = outside + windows;
        if (stop || now.score > out->score) *out = now;
    }
    if (stop) out->threshold = *stop;
}

rc_status rc__nab_score(const rc__nab_profile *profile, size_t n, const rc__nab_series *series, const double *threshold,
                        rc__nab_result *out, rc_error *e) {
    size_t total = 0, windows = 0, at = 0;
    memset(out, 0, sizeof *out);
    for (size_t k = 0; k < n; k++) {
        rc_status s = check_windows(k, &series[k], e);
        if (s != RC_OK) return s;
        total += series[k].rows;
        windows += series[k].windows;
    }
    row *rows = rc__calloc(total + 1, sizeof *rows);
    double *best = rc__alloc((windows + 1) * sizeof *best); /* of each window, NaN before its first detection */
    if (rows && best) {
        for (size_t w = 0; w < windows; w++) best[w] = NAN;
        size_t first = 0;
        for (size_t k = 0; k < n; k++) {
            at = place_rows(profile, &series[k], first, rows, at, out);
            first += series[k].windows;
        }
        qsort(rows, at, sizeof *rows, by_score);
        sweep(profile, rows, at, best, threshold, out);
        out->null = -profile->fn * (double)out->windows;
        out->perfect = profile->tp * (double)windows;
        out->normalised = windows ? 100 * (out->score - out->null) / (out->perfect - out->null) : NAN;
    }
    bool ok = rows && best;
    rc__free(rows, (total + 1) * sizeof *rows);
    rc__free(best, (windows + 1) * sizeof *best);
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory to score %zu rows", total);
}
