/* seq2seq.h - one sequence of tokens into another: what translate, summarize and chat share.
 *
 *   source ids -> embedding -> encoder (nn/encoder.h: any cell, bidirectional, cnn, transformer) -> memory
 *   target ids -> embedding -> decoder (nn/decoder.h) over the memory -> dropout -> linear -> softmax
 *                                                       [copy: mixed with the attention over the source's tokens]
 *
 * The files: seq2seq.c the network, its loss and its steps; seq2seq_data.c pairs to ids to batches; seq2seq_file.c the model
 * file; seq2seq_train.c the task in training; seq2seq_use.c eval, predict, explain; seq2seq_draw.c alignments; chat.c. */
#ifndef RC_SEQ2SEQ_H
#define RC_SEQ2SEQ_H
#include "data/epochs.h"
#include "data/pairs.h"
#include "data/vocab_internal.h"
#include "decode/beam.h"
#include "nn/decoder.h"
#include "nn/encoder.h"
#include "tasks/fields.h"
#include "tasks/task.h"

/* The network. Ids of a side are 0..vocab-1 of its vocabulary, then two more: begin = vocab and end = vocab + 1. */
typedef struct rc__seq2seq_options {
    size_t source_vocab, target_vocab; /* entries of the vocabularies, 1 or more each */
    bool shared;           /* one vocabulary and one table for both sides */
    bool tied;             /* the softmax uses the target's table */
    size_t embedding;
    rc__encoder_options encoder; /* input_size is set from embedding; pool is set by the decoder's bridge */
    rc__decoder_options decoder; /* input, memory and bridge sizes likewise */
    bool copy;             /* pointer-generator (See et al. 2017, arXiv 1704.04368, eq. 8-9): needs attention and shared */
    double dropout_input, dropout_output;
    double coverage_weight; /* of the coverage loss; 1 */
} rc__seq2seq_options;

typedef struct rc__seq2seq_net {
    rc__seq2seq_options o;
    rc_params *params;     /* borrowed */
    rc__encoder *encoder;
    rc__decoder *decoder;
    rc_param *source_table, *target_table, *head_w, *head_b, *adapter, *copy_w, *copy_b; /* NULL where there is none */
} rc__seq2seq_net;

/* Names and shapes every parameter in ps; rc_params_build or a file comes next. */
rc_status rc__seq2seq_declare(rc__seq2seq_net *net, rc_params *ps, const rc__seq2seq_options *o, rc_error *e);
void rc__seq2seq_net_free(rc__seq2seq_net *net); /* what it points to; not params */
size_t rc__seq2seq_explain(const rc__seq2seq_net *net, size_t batch, size_t seq_len, char *out, size_t cap);

/* One batch; all arrays borrowed until the next rc_tape_begin. */
typedef struct rc__seq2seq_batch {
    size_t n, source_len, target_len;
    const int32_t *source;         /* (source_len, n); beyond a row's length anything in range */
    const int32_t *source_lengths; /* (n), 1 or more (the end of the source is a token: rows of no words have length 1) */
    const int32_t *target_in;      /* (target_len, n): begin, then the tokens */
    const int32_t *target_out;     /* (target_len, n): the tokens, then end; -100 beyond the length */
    const int32_t *target_lengths; /* (n): tokens + 1 */
} rc__seq2seq_batch;
/* Mean loss of a target token, smoothed when the tape trains; *nll_sum and *count (may be NULL): plain. */
rc_var *rc__seq2seq_loss(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b, double smoothing,
                         double *nll_sum, size_t *count);
/* Scheduled sampling (Bengio et al. 2015): replaces, in target_in (writable), each token but the first by what the model says
 * now with probability p, drawn from rng. One pass without gradients. */
rc_status rc__seq2seq_sample_inputs(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b, int32_t *target_in,
                                    double p, rc_rng *rng, rc_error *e);

/* Decoding: a beam model over n sources (source, source_lengths as in a batch) of one network, or of several with the same
 * vocabularies, whose probabilities are averaged (an ensemble). rows: hypotheses at most (n * beam). */
typedef struct rc__seq2seq_run rc__seq2seq_run;
rc_status rc__seq2seq_run_new(rc__seq2seq_run **out, const rc__seq2seq_net *const *nets, size_t n_nets, size_t n,
                              size_t source_len, const int32_t *source, const int32_t *source_lengths, size_t rows,
                              rc_error *e);
void rc__seq2seq_run_free(rc__seq2seq_run *r);
rc__beam_model rc__seq2seq_beam_model(rc__seq2seq_run *r);

/* ---- the model: a network with what turns text into ids and back --------------------------------------------------- */
typedef struct rc__seq2seq {
    rc_model base;            /* kind: translate, summarize or chat */
    rc__seq2seq_net net;
    rc_vocab *source_vocab, *target_vocab; /* the same pointer when shared */
    char *source_language, *target_language; /* "" = not cut with Moses' rules */
    bool moses;               /* text is cut by data/moses.h before the vocabulary, results are put together again */
    bool lowercase;
    rc_data_options data;     /* how its pairs are read; owned texts */
    size_t history;           /* chat: turns of a source */
    char *separator;          /* ... and what stands between them */
    size_t max_source, max_target; /* longer ones are cut; tokens */
    /* decoding, unless asked otherwise */
    rc__beam_options beam;
} rc__seq2seq;
void rc__seq2seq_free(rc_model *m);

/* seq2seq_data.c: a text as the vocabulary of its side gets it: cut and in lower case where m says so, one line. */
rc_status rc__seq2seq_prepare(const rc__seq2seq *m, bool target, rc__cell text, rc__string *out, rc_error *e);
/* How files of pairs are read: data, and for conversations what a source is made of. out borrows. */
rc_status rc__seq2seq_pairs_options(const rc_data_options *d, bool conversations, size_t history, const char *separator,
                                    bool unlabelled, rc__pairs_options *out, rc_error *e);
/* Texts to ids. A text becomes its tokens (source: and the end). */
rc_status rc__seq2seq_encode(const rc__seq2seq *m, bool target, rc__cell text, rc__string *scratch, int32_t **ids, size_t *n,
                             size_t *unknown, rc_error *e); /* rc_ids_free */
/* Ids of a result to text, put together again where m cut it. replace: for each id the source's word to put in place of
 * <unk>, or NULL (Luong et al. 2015, "Addressing the rare word problem"). */
rc_status rc__seq2seq_decode(const rc__seq2seq *m, const int32_t *ids, size_t n, const rc__cell *replace, bool detokenize,
                             rc__string *out, rc_error *e);

/* Pairs as ids: pair i has source ids[source_start[i]] .. and target ... */
typedef struct rc__id_pairs {
    int32_t *source, *target;
    size_t *source_start, *target_start; /* n + 1 */
    uint32_t *line;                      /* of its file */
    size_t n, unknown_source, unknown_target, cut;
    size_t cap_source, cap_target, cap_n;
} rc__id_pairs;
void rc__id_pairs_free(rc__id_pairs *p);
rc_status rc__id_pairs_add(rc__id_pairs *p, const rc__seq2seq *m, rc__cell source, rc__cell target, size_t line, rc_error *e);
/* Buffers of a batch; begin with {0}. */
typedef struct rc__pair_batch {
    rc__seq2seq_batch b; /* views into the following */
    int32_t *source, *source_lengths, *target_in, *target_out, *target_lengths;
    size_t cap_source, cap_source_lengths, cap_target_in, cap_target_out, cap_target_lengths;
} rc__pair_batch;
void rc__pair_batch_free(rc__pair_batch *b);
/* drop: word dropout on source and target_in: tokens that become <unk> (or, without one, another token at random). */
rc_status rc__pair_batch_make(rc__pair_batch *b, const rc__seq2seq *m, const rc__id_pairs *p, const uint32_t *index, size_t n,
                              double drop, rc_rng *rng, rc_error *e);
/* Searches for p's sources (targets are not looked at) in batches of similar length; take gets the o->nbest results of each
 * source but the empty ones, in any order. What it returns but RC_OK ends the work. */
typedef rc_status (*rc__seq2seq_take)(void *ctx, size_t i, const rc__hypothesis *h, rc_error *e);
rc_status rc__seq2seq_answers(const rc__seq2seq *m, const rc__seq2seq_net *const *nets, size_t n_nets, const rc__id_pairs *p,
                              const rc__beam_options *o, size_t batch, rc__seq2seq_take take, void *ctx, rc_error *e);
/* Decodes p's sources (targets are not looked at) in batches of similar length, results in order: text[i] (rc__string each,
 * cleared first). What validation, eval and compare share. nets as for rc__seq2seq_run_new; NULL: the model's own. */
rc_status rc__seq2seq_translate(const rc__seq2seq *m, const rc__seq2seq_net *const *nets, size_t n_nets, const rc__id_pairs *p,
                                const rc__beam_options *o, size_t batch, rc__string *text, rc_error *e);

/* seq2seq_train.c: what makes each of the three tasks, whose files hold defaults and help. */
rc_status rc__seq2seq_make(rc__task **out, const rc__task_kind *kind, const rc_train_options *o, const char *initial,
                           const rc_train_hooks *hooks, rc_error *e);
#define RC__SEQ2SEQ_OPTIONS                                                                                              \
    "cell encoder bidirectional kernels filters embedding tied dropout-input dropout-output dropout-sequence "          \
    "label-smoothing word-dropout lowercase format delimiter header skip-bad-rows text target moses "      \
    "source-lang target-lang max-source max-target attention input-feeding coverage coverage-weight copy monotonic "    \
    "shared scheduled-sampling beam batch-tokens sample-every sample-length sample-prompt"
void rc__seq2seq_defaults(rc_train_options *o); /* what the three have in common */

/* seq2seq_file.c */
rc_status rc__seq2seq_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__seq2seq_open(rc_model **out, const rc__task_kind *kind, const rc__st_file *file, const json_t *doc,
                           const char *where, rc_error *e);
/* seq2seq_search.c: a search as the options and the model want it. Must not move while it is used. */
typedef struct rc__seq2seq_search {
    rc__beam_options o;
    rc_sampler_options sampler;
    int32_t *prefix;
    size_t n_prefix;
    int32_t banned[2];
    rc_model **others; /* of an ensemble, owned */
    const rc__seq2seq_net **nets;
    size_t n_nets, cap_nets;
} rc__seq2seq_search;
/* RC_EINVAL: options that cannot be; RC_EMODEL: a file of an ensemble that does not fit. */
rc_status rc__seq2seq_search_begin(rc__seq2seq_search *x, const rc__seq2seq *m, const rc_search_options *o, rc_error *e);
void rc__seq2seq_search_end(rc__seq2seq_search *x);
/* A model's own search has no attention to tell of when its decoder has none. */
bool rc__seq2seq_attends(const rc__seq2seq *m);

/* seq2seq_eval.c, seq2seq_use.c */
/* A kind's entry `model`: */
#define RC__SEQ2SEQ_MODEL                                                                                                \
    {                                                                                                                   \
        .document = rc__seq2seq_document, .eval = rc__seq2seq_eval, .predict = rc__seq2seq_predict,                     \
        .explain = rc__seq2seq_model_explain, .free = rc__seq2seq_free                                                  \
    }
size_t rc__seq2seq_model_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);
rc_status rc__seq2seq_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__seq2seq_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
#endif
