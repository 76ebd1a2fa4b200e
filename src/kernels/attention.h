/* attention.h - what kernels/attention.inc is told: the queries of one sequence against its keys, one head of keys and the
 * heads of queries that read it. */
#ifndef RC_ATTENTION_H
#define RC_ATTENTION_H
#include "recur/base.h"

/* Query i of nq sees keys [*first, *end) of nk: always a range, both ends never fall from one query to the next. */
static inline void rc__seen(size_t nq, size_t nk, bool causal, size_t window, size_t i, size_t *first, size_t *end) {
    size_t after = i + 1 + nk, low = 0, high = nk; /* after: nq more than 1 + the query's position among the keys */
    if (causal) high = after < nq ? 0 : after - nq;
    if (window) {
        if (after > nq + window) low = after - nq - window;
        if (!causal && after + window - 1 < nq + nk) high = after + window - 1 < nq ? 0 : after + window - 1 - nq;
    }
    if (high > nk) high = nk;
    *end = high;
    *first = low < high ? low : high;
}

/* Pointers are at the first row of the sequence and the first column of the head; ld*: from row to row. Head h of `group`
 * has its columns of q and dq at + h D, of y and dy at + h E, and most and part at [i * ld_stat + h]. */
typedef struct rc__attend {
    size_t nq, nk, D, E, group;
    const rc_real *q, *k, *v;
    size_t ldq, ldk, ldv, ldy, ld_stat;
    rc_real *y;
    rc_real *most, *part; /* of a query: the greatest score, and 1 / the sum of exp(score - most); 0 when it sees no key */
    size_t from, to;      /* forward, weights: these queries alone */
    bool causal;
    size_t window;
    const rc_real *w; /* (D): scores are w . tanh(q + k), scale is 1 and group too; NULL: they are scale q k */
    double scale;
    const double *slope; /* (group), or NULL: minus slope * distance is added to scores */
    /* Weight j of query i and head h is dropped when 16 bits of the stream that belong to it, row first + i * stride + h
     * (attention.inc: row_keep), are below `least`; what stays is multiplied by 65536 / (65536 - least). */
    uint32_t least; /* 0: no dropout */
    rc_rng rng;
    uint64_t first, stride;
    const rc_real *dy; /* backward: dq, dk, dv +=; each may be NULL */
    rc_real *dq, *dk, *dv, *dw; /* dw (D): of this call alone, if several may run */
    rc_real *e;    /* backward: dy . y of a query, as most and part; written */
    rc_real *room; /* rc__k->attention.room elements */
} rc__attend;

typedef struct rc__attention_kernels {
    size_t (*room)(size_t D, size_t E);
    void (*forward)(const rc__attend *a); /* y, most, part of queries [from, to) */
    void (*backward)(const rc__attend *a);
    /* to[(i - from) * nk + j] += mean * weight, before dropout, summed over the heads of the group */
    void (*weights)(const rc__attend *a, rc_real mean, rc_real *to);
} rc__attention_kernels;
#endif
