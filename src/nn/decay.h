/* decay.h - the input decay of GRU-D (Che et al. 2018, "Recurrent neural networks for multivariate time series with
 * missing values", Scientific Reports 8:6085, arXiv:1606.01865, eq. 10 and 11): a value that is missing goes from the
 * last one seen to the mean, at a rate that is learnt for each channel. Its hidden decay is the cell gru-d.
 *
 * x (..., 3 C) as data/sequences.h makes it: for each channel the value, or where it is missing the last one seen, v;
 * 1 where it was seen, m; the time since it was last seen, d. The mean is taken to be 0, as of scaled data (and as
 * sequences.h fills what comes before the first value):
 *   v' = m v + (1-m) gamma v,  gamma = exp(-max(0, w d + b));  m and d stay. */
#ifndef RC_DECAY_H
#define RC_DECAY_H
#include "recur/tape.h"

typedef struct rc__decay {
    rc_param *w, *b; /* (C) each: w starts at 1, b at 0; both NULL: none */
} rc__decay;

/* Names <prefix>weight and <prefix>bias; rc_params_build comes next. */
rc_status rc__decay_declare(rc__decay *d, rc_params *ps, const char *prefix, size_t channels, rc_error *e);
rc_var *rc__decay_forward(rc_tape *t, const rc__decay *d, rc_var *x);
/* The op itself: w, b (C). */
rc_var *rc__input_decay(rc_tape *t, rc_var *x, rc_var *w, rc_var *b);
#endif
