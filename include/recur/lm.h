/* recur/lm.h - language models: a vocabulary, an embedding, recurrent layers, a softmax; one file holds all of it.
 */
#ifndef RECUR_LM_H
#define RECUR_LM_H

#include "recur/rnn.h"
#include "recur/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_lm_options {
    rc_rnn_options rnn;        /* input_size is set from embedding_size */
    size_t embedding_size;     /* default hidden_size */
    bool tied;                 /* the softmax uses the embedding's matrix (Press & Wolf 2017); a linear adapter joins
                                  unequal widths */
    double dropout_input;      /* on the embedded input */
    double dropout_output;     /* on the input of the softmax */
    double dropout_embedding;  /* whole rows of the embedding */
    bool dropout_sequence;     /* dropout_input/output draw one mask per sequence */
} rc_lm_options;
rc_lm_options rc_lm_options_default(void);

typedef struct rc_lm rc_lm;

/* Takes ownership of vocab on success. */
rc_status rc_lm_new(rc_lm **out, rc_vocab *vocab, const rc_lm_options *opt, uint64_t seed, rc_error *e);
void rc_lm_free(rc_lm *m);
/* Model files: docs/format.md. provenance_json: an object stored under "provenance", or NULL to keep what was loaded.
 * Written to a temporary name and renamed. */
rc_status rc_lm_save(const rc_lm *m, const char *path, const char *provenance_json, rc_error *e);
rc_status rc_lm_load(rc_lm **out, const char *path, rc_error *e);
const rc_lm_options *rc_lm_get_options(const rc_lm *m);
const char *rc_lm_provenance(const rc_lm *m); /* JSON, "{}" when none */
rc_vocab *rc_lm_vocab(const rc_lm *m);
rc_params *rc_lm_params(const rc_lm *m);
const rc_rnn *rc_lm_rnn(const rc_lm *m);
/* Text for `recur explain`: the lines of rc_rnn_explain, and one of the softmax. Returns the length without the
 * terminator; writes at most cap bytes with it (cap may be 0). */
size_t rc_lm_explain(const rc_lm *m, size_t batch, size_t seq_len, char *out, size_t cap);
/* After rc_vocab_grow: adds rows to embedding and softmax, initialised to the mean of the old rows with a hundredth of
 * their spread as noise. *m is another model afterwards: the old one, its parameters and states are gone. */
rc_status rc_lm_grow(rc_lm **m, uint64_t seed, rc_error *e);

/* ids, targets (T, B), time first; targets may hold -100 (not scored). Returns the mean loss in nats; *nll_sum and
 * *count (may be NULL) get its parts. state as in rc_rnn_forward. */
rc_var *rc_lm_loss(rc_tape *t, const rc_lm *m, const int32_t *ids, const int32_t *targets, size_t seq_len, size_t batch,
                   rc_state *state, double *nll_sum, size_t *count);

/* Trains a large softmax on a part of the vocabulary: from now on rc_lm_loss, while the tape is training, runs over the
 * batch's targets and words drawn by the counts of ids (n tokens of this vocabulary), `samples` in all, corrected so
 * that the optimum is that of the whole softmax (Jean et al. 2015); the loss is another number. Evaluation is not
 * changed. samples 0 ends it. Clears the gradient of the softmax's matrix. */
rc_status rc_lm_sample_softmax(rc_lm *m, size_t samples, const int32_t *ids, size_t n, rc_error *e);

/* Label smoothing (Szegedy et al. 2016): from now on rc_lm_loss, while the tape is training, is the cross-entropy with
 * the share `smoothing` of the target's mass spread over the vocabulary; *nll_sum stays the plain one. Evaluation is
 * not changed, nor is a sampled softmax. RC_EINVAL: outside [0, 1). */
rc_status rc_lm_smooth_labels(rc_lm *m, double smoothing, rc_error *e);

/* One step for each row of the state: ids (batch) -> logits (batch, V). Nothing is allocated after the first call on a
 * state; m is only read, so that different states may step at once. RC_EINVAL: an id outside the vocabulary. */
rc_status rc_lm_step(const rc_lm *m, rc_state *s, const int32_t *ids, rc_real *logits, rc_error *e);

/* ---- evaluation -------------------------------------------------------------------------------------------------- */
typedef struct rc_lm_score {
    double nll;            /* sum of -ln p, nats */
    size_t tokens;         /* scored; the first token of the text has no context and is not */
    size_t bytes, chars, words, unknown; /* of the scored text; words by white space (newline counts for word models);
                                            chars is 0 when it is not UTF-8 */
    double nats_per_token, bits_per_byte, bits_per_char, perplexity, word_perplexity; /* NaN where the count is 0 */
    double seconds;
} rc_lm_score;
typedef struct rc_lm_eval_options {
    size_t window;      /* 0: one stateful pass. W: windows of W tokens, each from the initial state */
    size_t batch;       /* windows at once; default 64 */
    bool dynamic;       /* dynamic evaluation (Krause et al. 2018): SGD on each segment after it was scored; m is
                           changed and restored bit for bit, its gradients are left zero. Not with a window */
    double dynamic_lr;  /* rate of those steps, on the gradient of the mean loss clipped to norm 1; default 0.1 */
    size_t segment;     /* of dynamic evaluation; default 64 tokens */
} rc_lm_eval_options;
rc_lm_eval_options rc_lm_eval_options_default(void);
/* docs/evaluation.md defines the numbers. opt may be NULL. RC_EDATA: fewer than two tokens, or text that the vocabulary
 * refuses; RC_EDIVERGED: the loss is not finite. Without `dynamic` m is only read. */
rc_status rc_lm_eval(rc_lm *m, const char *text, size_t len, const rc_lm_eval_options *opt, rc_lm_score *out,
                     rc_error *e);

/* ---- generation -------------------------------------------------------------------------------------------------- */
typedef struct rc_lm_generate_options {
    rc_sampler_options sampler;
    size_t length;              /* tokens at most; default 500 */
    size_t samples;             /* at once, as rows of one batch; default 1 */
    uint64_t seed;              /* sample i uses stream i: the same text alone or in a batch */
    const char *const *stop;    /* stop strings, kept out of the text */
    size_t n_stop;
    /* Called with each new piece of sample i; return false to end that sample. Pieces are final and whole: text that
     * may begin a stop string and bytes of an unfinished UTF-8 character wait for the next token (bytes that can never
     * become UTF-8 pass). A character that the length cuts is dropped. */
    bool (*on_text)(void *ctx, size_t i, const char *piece, size_t len);
    void *ctx;
} rc_lm_generate_options;
rc_lm_generate_options rc_lm_generate_options_default(void);
/* What follows the prompt. texts[samples] (allocated, rc_text_free each with lens[i]); both may be NULL when on_text is
 * given. An empty prompt starts from a newline when the vocabulary has one, else from id 0. Prompt text that the
 * vocabulary lacks is read as <unk>. opt may be NULL. RC_EDIVERGED: the model's output is not finite. */
rc_status rc_lm_generate(const rc_lm *m, const char *prompt, size_t prompt_len, const rc_lm_generate_options *opt,
                         char **texts, size_t *lens, rc_error *e);

#ifdef __cplusplus
}
#endif
#endif
