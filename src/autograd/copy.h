/* copy.h - the loss of a network that writes a token either from its vocabulary or by copying one it has read: the
 * pointer-generator of See et al. 2017 (arXiv 1704.04368), eq. 9:
 *     p(y) = sigmoid(gate) P_vocab(y) + (1 - sigmoid(gate)) sum of the attention on the places where the source has
 *     y */
#ifndef RC_COPY_H
#define RC_COPY_H
#include "recur/tape.h"

/* The attention on the places where the source has the target: weights (N, longest), rows of each sequence one after
 * the other, q_lengths (batch) many; source (T, batch), k_lengths (batch) at most longest; targets (N) -> (N). Arrays
 * are borrowed. */
rc_var *rc__copied(rc_tape *t, rc_var *weights, const int32_t *q_lengths, size_t batch, const int32_t *source,
                   const int32_t *k_lengths, const int32_t *targets);
/* rc_linear_cross_entropy with p(y) as above for the probability of the target; gate and copied have one element a row
 * of x (N). In logarithms throughout: neither side can underflow the other. Label smoothing is spread over the
 * vocabulary's part; class weights are not for this: RC_EINVAL. */
rc_var *rc__mixed_cross_entropy(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, rc_var *gate, rc_var *copied,
                                const int32_t *targets, const rc_loss_options *opt, double *nll_sum, size_t *count);
#endif
