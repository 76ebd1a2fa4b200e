/* encoder.h - from a sequence of vectors to a sequence of vectors (T, B, width), and from that to one vector: what
 * classifiers, taggers and readers of a source sentence share.
 *
 *   rnn   recurrent layers (rc_rnn), any cell, either direction
 *   cnn   1-D convolutions of several widths side by side, then relu (Kim 2014, "Convolutional neural networks for
 *         sentence classification", section 2); each adds `filters` columns
 *   bow   nothing: the steps themselves (pooled by their mean: a bag)
 */
#ifndef RC_ENCODER_H
#define RC_ENCODER_H
#include "recur/rnn.h"

typedef enum rc__encoder_kind { RC__ENCODER_RNN, RC__ENCODER_CNN, RC__ENCODER_BOW } rc__encoder_kind;

/* Ways from steps to one vector; several are joined in this order. */
enum {
    RC__POOL_LAST = 1,      /* the last valid step; of a reverse direction its last, which is the first step; of a
                               Transformer that sees both sides its last step, which has seen all others */
    RC__POOL_MEAN = 2,      /* over the valid steps */
    RC__POOL_MAX = 4,       /* likewise */
    RC__POOL_ATTENTION = 8, /* softmax over the valid steps of v . tanh(W h + b) (Yang et al. 2016, eq. 5-7) */
    RC__POOL_ALL = 15
};

#define RC__ENCODER_MAX_KERNELS 8
typedef struct rc__encoder_options {
    rc__encoder_kind kind;
    rc_rnn_options rnn; /* rnn; input_size is set from input_size below */
    size_t input_size;
    size_t kernels[RC__ENCODER_MAX_KERNELS]; /* cnn: widths */
    int n_kernels;
    size_t filters;     /* cnn: outputs of each width */
    unsigned pool;      /* RC__POOL_*; 0 = steps only */
} rc__encoder_options;

typedef struct rc__encoder rc__encoder;

/* Names its parameters <prefix>weight_ih_l0 ..., <prefix>conv0.weight, <prefix>attention.weight ...; rc_params_build
 * comes next. RC_EINVAL: as rc_rnn_new; a kernel of width 0; last with cnn or bow, whose steps are no state. */
rc_status rc__encoder_new(rc__encoder **out, rc_params *ps, const char *prefix, const rc__encoder_options *o, rc_error *e);
void rc__encoder_free(rc__encoder *x);
const rc__encoder_options *rc__encoder_get_options(const rc__encoder *x);
size_t rc__encoder_width(const rc__encoder *x);  /* of a step */
size_t rc__encoder_pooled(const rc__encoder *x); /* of the vector; 0 without pool */
/* x (T, B, input_size), lengths (B) or NULL -> (T, B, width), zero beyond each row's length; *pooled (may be NULL without
 * pool) becomes (B, pooled): zero for a row of length 0. */
rc_var *rc__encoder_forward(rc_tape *t, const rc__encoder *x, rc_var *in, const int32_t *lengths, rc_var **pooled);
size_t rc__encoder_explain(const rc__encoder *x, size_t batch, size_t seq_len, char *out, size_t cap); /* as snprintf */
#endif
