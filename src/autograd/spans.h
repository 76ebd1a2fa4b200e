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
 * (tape marked) when something is wrong. The lengths are copied to the tape. Neighbours that share their keys (k_start) and
 * whose queries have no positions become one sequence of more queries: beams of one sentence read it once. */
bool rc__spans_init(rc__spans *s, rc_tape *t, const char *op, const rc_attention_options *o, size_t Nq, size_t Nk,
                    bool kv_grad);
#endif
