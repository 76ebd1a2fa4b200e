/* spans.h - which rows of q attend to which rows of k and v: the sequences of a batch as packed rows. */
#ifndef RC_SPANS_H
#define RC_SPANS_H
#include "autograd/tape_internal.h"

typedef struct rc__span { /* of one sequence */
    size_t q, nq, k, nk;  /* its first row and number of rows in q, and in k and v */
    size_t pairs;         /* the sum of nq * nk of the sequences before it */
} rc__span;

typedef struct rc__spans {
    size_t batch;
    const rc__span *at;
    size_t pairs;   /* of all */
    size_t longest; /* nk */
    bool causal;
    size_t window;
} rc__spans;

/* Checks batch, lengths, starts and window of o against Nq rows of q and Nk of k. kv_grad: k or v takes a gradient. False
 * (tape marked) when something is wrong. The lengths are copied to the tape. */
bool rc__spans_init(rc__spans *s, rc_tape *t, const char *op, const rc_attention_options *o, size_t Nq, size_t Nk,
                    bool kv_grad);

/* Query i of s sees keys [*first, *end) of its sequence: always a range. */
static inline void rc__seen(const rc__spans *a, const rc__span *s, size_t i, size_t *first, size_t *end) {
    /* 1 + the query's position among the keys, plus nq so that it cannot be negative */
    size_t after = i + 1 + s->nk, low = 0, high = s->nk;
    if (a->causal) high = after < s->nq ? 0 : after - s->nq;
    if (a->window) {
        size_t back = s->nq + a->window; /* keys from position - window + 1 on */
        low = after < back ? 0 : after - back;
        if (!a->causal && after + a->window <= s->nq + 1)
            high = 0;
        else if (!a->causal && after + a->window - s->nq - 1 < s->nk)
            high = after + a->window - s->nq - 1;
    }
    if (high > s->nk) high = s->nk;
    *end = high;
    *first = low < high ? low : high;
}

/* How far key j is from query i. */
static inline double rc__distance(const rc__span *s, size_t i, size_t j) {
    double d = (double)i + (double)s->nk - (double)s->nq - (double)j;
    return d < 0 ? -d : d;
}
#endif
