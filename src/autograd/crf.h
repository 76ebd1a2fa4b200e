/* crf.h - one row of a linear-chain conditional random field over plain arrays: for the loss (crf.c) and for the
 * decoder (decode/viterbi.h). */
#ifndef RC_CRF_H
#define RC_CRF_H
#include "recur/tape.h"

typedef struct rc__crf {
    size_t K;                   /* tags */
    const rc_real *transitions; /* (K, K): [from][to] */
    const rc_real *start, *end; /* (K) */
    const uint8_t *allowed;     /* (K+1, K+1): [from][to], row K = from the start, column K = to the end; NULL = all */
    const double *weight, *top; /* by rc__crf_prepare: (K, K) exp(transitions - top[to]), 0 where forbidden; (K) */
    /* likewise, with `allowed`: the tags that may come after tag i are next[first[i]..first[i + 1]). Of the moves that
     * IOBES has a quarter are allowed, so lists are faster than rows */
    const uint32_t *first, *next;
} rc__crf;

static inline bool rc__crf_allows(const rc__crf *c, size_t from, size_t to) {
    return !c->allowed || c->allowed[from * (c->K + 1) + to];
}

static inline size_t rc__crf_table_len(size_t K) { return K * K + K + (K * K + K + 1 + 1) / 2; }
/* Fills weight and top of c, which lie in `table` (rc__crf_table_len) from then on. */
void rc__crf_prepare(rc__crf *c, double *table);

/* Numbers that rc__crf_row needs as room for a row of up to T steps. */
static inline size_t rc__crf_room(size_t T, size_t K) { return (T + 5) * K; }
/* The logarithm of the sum of exp(score) over all allowed paths of L >= 1 steps; step t's emissions (K) are at
 * emissions + t * stride. -INFINITY: there is no such path. With prob, which has the same stride: the probability
 * of each tag at each step, NaN when there is no path. With moves (K, K): += the expected number of moves from tag to
 * tag. */
double rc__crf_row(const rc__crf *c, size_t L, const rc_real *emissions, size_t stride, rc_real *prob, double *moves,
                   double *room);
#endif
