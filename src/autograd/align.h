/* align.h - attention whose weights are wanted themselves: because a gradient flows into them (copying, coverage), or
 * because the weights of a step depend on those of the steps before (coverage, location, monotonic). Where neither is
 * so, rc_attention and rc_additive_attention are faster and hold no (Nq, longest) matrix.
 *
 * Packed rows as for rc_attention: query i of a sequence scores key j
 *     dot        scale q_i . k_j                                                         without w
 *     additive   w . tanh(q_i + k_j + U f_ij) [+ offset] [+ noise_ij]
 * with features f_ij of what was attended to before: the sum of the weights of all queries before i (coverage, See et
 * al. 2017, arXiv 1704.04368, eq. 10-11), then the weights of query i-1 convolved with filters (location, Chorowski et
 * al. 2015, arXiv 1506.07503, eq. 8). Then the weights of i are
 *     softmax     over the keys of the same sequence
 *     monotonic   what is expected of attention that moves on or stays, and never goes back (Raffel et al. 2017, arXiv
 *                 1704.00784, eq. 8-11): with p = sigmoid(score), r_j = (1 - p_{j-1}) r_{j-1} + before_j, weight_j =
 *                 p_j r_j
 *     hard        the same with p rounded to 0 or 1 (Algorithm 1); a query that reaches the end attends to nothing, nor
 *                 do those after it; no gradient */
#ifndef RC_ALIGN_H
#define RC_ALIGN_H
#include "recur/tape.h"

typedef enum rc__align_kind { RC__ALIGN_SOFTMAX, RC__ALIGN_MONOTONIC, RC__ALIGN_HARD } rc__align_kind;

typedef struct rc__align_options {
    size_t batch;
    const int32_t *q_lengths, *k_lengths; /* (batch); borrowed, as all arrays, until the next rc_tape_begin */
    const uint32_t *k_start;              /* as of rc_attention_options */
    size_t longest;                       /* columns of the result: the largest k_length or more */
    rc__align_kind kind;
    double scale;
    bool coverage;
    rc_var *filters;      /* (filters, width) of an odd width, or NULL */
    rc_var *mix;          /* U (A, features); NULL without features */
    rc_var *offset;       /* (1) or NULL */
    const rc_real *noise; /* (Nq, longest) or NULL */
    /* (batch, longest): weights of the query before the first, and the sum of those of all before it. NULL: nothing was
     * attended to; for monotonic and hard, the first key was. */
    rc_var *last, *sum;
} rc__align_options;

/* q (Nq, A), k (Nk, A), w (A) or NULL -> (Nq, longest), zero beyond a sequence's keys. */
rc_var *rc__align(rc_tape *t, rc_var *q, rc_var *k, rc_var *w, const rc__align_options *o);
/* weights (Nq, longest), v (Nk, D) -> (Nq, D): the sum over the keys of the same sequence of weight times v. Of o are
 * read batch, q_lengths, k_lengths, k_start. */
rc_var *rc__mix_rows(rc_tape *t, rc_var *weights, rc_var *v, const rc__align_options *o);
/* How much attention returns to where it was: the sum over a row of weights (Nq, longest) of min(weight, sum of the
 * weights of the queries before), mean over all rows (See et al. 2017, eq. 12 and 13). */
rc_var *rc__coverage_loss(rc_tape *t, rc_var *weights, const int32_t *q_lengths, size_t batch);
#endif
