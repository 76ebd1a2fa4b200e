/* baseline_series.c - 1-nearest neighbour, by Euclidean distance and by dynamic time warping. A distance is given up
 * when it passes the best so far, which changes no answer. */
#include <math.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "tasks/baselines.h"

static double step_cost(size_t C, const double *a, const double *b) {
    double sum = 0;
    for (size_t c = 0; c < C; c++) sum += (a[c] - b[c]) * (a[c] - b[c]);
    return isnan(sum) ? INFINITY : sum;
}

/* The sum of squares, or something over bound once it is. */
static double euclid(size_t C, rc__steps a, rc__steps b, double bound) {
    double sum = 0;
    for (size_t t = 0; t < a.n && sum <= bound; t++) sum += step_cost(C, a.x + t * C, b.x + t * C);
    return sum;
}

/* row[j]: the least sum of a path from the starts to step i of a and j of b. Every path passes each i, so that a row
 * all over bound decides. row (b.n). */
static double warp(size_t C, rc__steps a, rc__steps b, double bound, double *row) {
    if (!a.n || !b.n) return a.n == b.n ? 0 : INFINITY;
    for (size_t i = 0; i < a.n; i++) {
        double corner = i ? INFINITY : 0, left = INFINITY, least = INFINITY; /* row[j - 1] of step i - 1, and of i */
        for (size_t j = 0; j < b.n; j++) {
            double above = i ? row[j] : INFINITY, best = left < above ? left : above;
            if (corner < best) best = corner;
            corner = above;
            row[j] = left = best + step_cost(C, a.x + i * C, b.x + j * C);
            if (left < least) least = left;
        }
        if (least > bound) return least;
    }
    return row[b.n - 1];
}

typedef struct search {
    rc__near how;
    size_t C, n_train, longest;
    const rc__steps *train, *test;
    size_t *nearest;
    double *distance, *scratch; /* scratch (workers, longest) */
} search;

static void search_task(void *ctx, size_t i, int worker) {
    search *s = ctx;
    double best = INFINITY, *row = s->scratch + (size_t)worker * s->longest;
    size_t at = 0;
    for (size_t k = 0; k < s->n_train; k++) {
        double d = s->how == RC_NEAR_DTW ? warp(s->C, s->test[i], s->train[k], best, row)
                                         : euclid(s->C, s->test[i], s->train[k], best);
        if (d < best) {
            best = d;
            at = k;
        }
    }
    s->nearest[i] = at;
    if (s->distance) s->distance[i] = sqrt(best);
}

rc_status rc__nearest(rc__near how, size_t channels, size_t n_train, const rc__steps *train, size_t n_test,
                      const rc__steps *test, size_t *nearest, double *distance, rc_error *e) {
    size_t longest = 1, workers = (size_t)rc__workers(), cells;
    double train_steps = 0, test_steps = 0;
    if (!n_train || !channels) return rc_fail(e, RC_EINVAL, "nearest neighbours need a training series and a channel");
    for (size_t k = 0; k < n_train; k++) {
        if (train[k].n > longest) longest = train[k].n;
        train_steps += (double)train[k].n;
        if (how == RC_NEAR_EUCLID && train[k].n != train[0].n) {
            return rc_fail(e, RC_EINVAL, "Euclidean distance: training series %zu has %zu steps, the first %zu", k,
                           train[k].n, train[0].n);
        }
    }
    for (size_t k = 0; k < n_test; k++) {
        test_steps += (double)test[k].n;
        if (how == RC_NEAR_EUCLID && test[k].n != train[0].n) {
            return rc_fail(e, RC_EINVAL, "Euclidean distance: series %zu has %zu steps, the training series %zu", k,
                           test[k].n, train[0].n);
        }
    }
    double *scratch = rc__size_mul(workers, longest, &cells) ? rc__calloc(cells, sizeof *scratch) : NULL;
    if (!scratch) return rc_fail(e, RC_ENOMEM, "no memory to warp series of %zu steps", longest);
    search s = {how, channels, n_train, longest, train, test, nearest, distance, scratch};
    double cells_of_all = how == RC_NEAR_DTW ? test_steps * train_steps : test_steps * (double)n_train;
    rc__parallel(n_test, 3 * (double)channels * cells_of_all, search_task, &s);
    rc__free(scratch, cells * sizeof *scratch);
    return RC_OK;
}
