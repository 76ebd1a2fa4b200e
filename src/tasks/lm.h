/* lm.h - what the files of the language model share: lm.c (the network), lm_file.c, lm_eval.c, lm_generate.c. */
#ifndef RC_LM_INTERNAL_H
#define RC_LM_INTERNAL_H
#include <pthread.h>
#include "kernels/gemm.h"
#include "recur/lm.h"

typedef struct rc__lm_sampling rc__lm_sampling;

/* Letters in these files: T seq_len, B batch, V vocabulary, E embedding_size, W width of the softmax's input. */
struct rc_lm {
    rc_lm_options opt; /* every default resolved; opt.rnn.cell is the static name of the cell table */
    rc_vocab *vocab;   /* owned */
    size_t vocab_size; /* V of the tensors; less than rc_vocab_size between rc_vocab_grow and rc_lm_grow */
    size_t width;      /* W: E when tied, else the output size of the layers */
    rc_params *params;
    rc_rnn *rnn;
    rc_param *embedding;       /* embedding.weight (V, E) */
    rc_param *adapter;         /* adapter.weight (E, output size), or NULL: only when tied and the widths differ */
    rc_param *head;            /* head.weight (V, W); the embedding itself when tied */
    rc_param *bias;            /* head.bias (V) */
    char *provenance;          /* JSON object, rc__strdup; NULL = "{}" */
    double smoothing;          /* of the labels while training */
    rc__lm_sampling *sampling; /* of the softmax while training; NULL = the whole vocabulary */
    /* Packed copies of head and adapter, for rc_lm_step; on a tape they are linear layers. */
    pthread_mutex_t lock;      /* over their making */
    rc__packed packed_head, packed_adapter;
    uint64_t packed_version;   /* of the parameters that they were made of; 0 = none */
};

/* The network for vocab_size entries with every parameter named and shaped, and none allocated: a file's shapes are
 * compared with it before memory is asked for. m->vocab is NULL; rc_params_build comes next. */
rc_status rc__lm_declare(rc_lm **out, size_t vocab_size, const rc_lm_options *opt, rc_error *e);
/* rc__lm_declare and rc_params_build. */
rc_status rc__lm_build(rc_lm **out, size_t vocab_size, const rc_lm_options *opt, uint64_t seed, rc_error *e);
/* RC_EINVAL when the vocabulary has grown past the tensors and rc_lm_grow was not called. */
rc_status rc__lm_check(const rc_lm *m, rc_error *e);
/* Reads n ids into a state of batch 1 without a softmax. Uses the tape. */
rc_status rc__lm_advance(const rc_lm *m, rc_tape *t, rc_state *state, const int32_t *ids, size_t n, rc_error *e);
/* rc_lm_eval on n ids of this model's vocabulary; only nll, tokens and seconds of *out are set. n >= 2 (RC_EDATA). */
rc_status rc__lm_eval_ids(rc_lm *m, const int32_t *ids, size_t n, const rc_lm_eval_options *opt, rc_lm_score *out,
                          rc_error *e);
/* lm_sampled.c: the training loss over a part of the vocabulary; h (..., W), targets (n). */
rc_var *rc__lm_sampled_loss(rc_tape *t, const rc_lm *m, rc_var *h, const int32_t *targets, size_t n, double *nll_sum,
                            size_t *count);
void rc__lm_sampling_free(rc__lm_sampling *s);
#endif
