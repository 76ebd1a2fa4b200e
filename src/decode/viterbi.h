/* viterbi.h - what a linear-chain conditional random field says of a batch: its best paths, and the probability of each
 * tag. Over plain arrays: emissions (T, B, K), lengths (B) or NULL = all T; the rest as in autograd/crf.h, weight and
 * top unused. Rows are shared out over threads. RC_EINVAL: a length outside 0..T; RC_EDATA: a row that has no allowed
 * path, named. */
#ifndef RC_VITERBI_H
#define RC_VITERBI_H
#include "autograd/crf.h"

/* path (T, B): the allowed path of the highest score (Viterbi 1967; of equal ones that with the lower tag at the last
 * step where they differ), -1 beyond lengths. score (B) or NULL: of that path, 0 for a row of length 0. */
rc_status rc__viterbi(const rc__crf *c, size_t T, size_t B, const rc_real *emissions, const int32_t *lengths,
                      int32_t *path, double *score, rc_error *e);
/* prob (T, B, K): the probability of each tag at each step over all allowed paths, 0 beyond lengths. log_z (B) or NULL:
 * the logarithm of the sum over paths, so that exp(score - log_z) is a path's probability; 0 for a row of length 0. */
rc_status rc__crf_marginals(const rc__crf *c, size_t T, size_t B, const rc_real *emissions, const int32_t *lengths,
                            rc_real *prob, double *log_z, rc_error *e);
#endif
