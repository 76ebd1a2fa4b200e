/* decoder.h - the network that writes: a target sequence, given what an encoder made of the source.
 *
 * A recurrent decoder. With y_t the embedded token before, memory m_1..m_T the encoder's steps:
 *     h_t = layers 1..L-1 of (y_1..t)                     L = 1: h_t = y_t's layer itself
 *     c_t = attention(query h_t, memory)                  additive, dot, general, concat, multihead
 *     s_t = layer L of ([h_t ; c_t])                      (L = 1: no such layer)
 *     o_t = tanh(W [s_t ; c_t])                           Luong et al. 2015, arXiv 1508.04025, eq. 5
 * The attention looks with a state that does not depend on earlier attention, so in training all steps of a layer are
 * one call of the recurrence, and the attention of all steps one fused op; the last layer carries what was attended to.
 * (The conditional GRU of nematus, GRU - attention - GRU, is this with the second state fed back.) Attention whose
 * weights depend on those before - location-aware scores (Chorowski et al. 2015, eq. 8), coverage (See et al. 2017, eq.
 * 11), monotonic attention - goes through the steps of a sentence inside one op (autograd/align.h). Input feeding alone
 * (o_{t-1} joins y_t, Luong et al. 2015, section 3.3) goes step by step on the tape.
 * Without attention (`none`) the final states of the encoder alone reach the decoder, through the bridge: the
 * bottleneck.
 *
 * A Transformer decoder: causal self-attention, attention over the memory, feed-forward (Vaswani et al. 2017, section
 * 3.1). */
#ifndef RC_DECODER_H
#define RC_DECODER_H
#include "recur/rnn.h"

typedef enum rc__attention_kind {
    RC__ATTENTION_NONE, RC__ATTENTION_ADDITIVE, RC__ATTENTION_DOT, RC__ATTENTION_GENERAL, RC__ATTENTION_CONCAT,
    RC__ATTENTION_MULTIHEAD, RC__ATTENTION_LOCATION
} rc__attention_kind;
extern const char *const rc__attention_kinds[7];

typedef struct rc__decoder_options {
    rc_rnn_options rnn;      /* cell "transformer": a Transformer decoder; else as above. input_size from below */
    size_t input_size;       /* width of an embedded token */
    size_t memory_size;      /* width of the encoder's steps */
    size_t bridge_size;      /* width of the encoder's final vector; 0 = the decoder starts from zero */
    rc__attention_kind attention;
    size_t heads;            /* multihead; 0 = 1 for each 64 columns */
    bool input_feeding;
    bool coverage;           /* the attention sees where it has looked, and there is a coverage_loss */
    bool monotonic;          /* hard monotonic at inference, expected alignments while training (Raffel et al. 2017,
                                arXiv 1704.00784): for sources that are still coming in */
    double attention_dropout;
} rc__decoder_options;

typedef struct rc__decoder rc__decoder;

rc_status rc__decoder_new(rc__decoder **out, rc_params *ps, const char *prefix, const rc__decoder_options *o,
                          rc_error *e);
void rc__decoder_free(rc__decoder *d);
const rc__decoder_options *rc__decoder_get_options(const rc__decoder *d);
size_t rc__decoder_width(const rc__decoder *d);   /* of what comes out: hidden_size; without attention, of a state */
size_t rc__decoder_context(const rc__decoder *d); /* of what was attended to; 0 without attention, for a Transformer */
size_t rc__decoder_explain(const rc__decoder *d, size_t batch, size_t seq_len, char *out, size_t cap);

/* What the decoder looks at. */
typedef struct rc__memory {
    rc_var *steps;          /* (T, B, memory_size) */
    const int32_t *lengths; /* (B), NULL = all T; at least one of them 1 or more */
    rc_var *bridge;         /* (B, bridge_size), or NULL */
} rc__memory;

/* Teacher-forced: y (S, B, input_size), lengths (B) or NULL -> packed rows (N, width), N the sum of the lengths (1 or
 * more). What is wanted beside it goes where `more` points (NULL: nothing). */
typedef struct rc__decoder_more {
    rc_var *context;       /* out: (N, context) of each step; NULL where that is 0 */
    rc_var *weights;       /* out, when want_weights: (N, longest source), differentiable, zero beyond a length */
    rc_var *coverage_loss; /* out, with coverage: scalar, the sum over i of min(a_i, c_i), mean over steps (See, eq. 12) */
    bool want_weights;
} rc__decoder_more;
rc_var *rc__decoder_forward(rc_tape *t, const rc__decoder *d, rc_var *y, const int32_t *lengths,
                            const rc__memory *memory, rc__decoder_more *more);

/* Step by step, without gradients: the state of rows hypotheses over n sentences. */
typedef struct rc__decoding rc__decoding;
/* Takes what it needs of the memory's values (projected keys, bridge) and is independent of t afterwards. rows: at most
 * so many hypotheses at once. */
rc_status rc__decoding_new(rc__decoding **out, const rc__decoder *d, rc_tape *t, const rc__memory *memory, size_t rows,
                           rc_error *e);
void rc__decoding_free(rc__decoding *s);
/* n hypotheses go on: row i is of sentence[i] and continues row parent[i] of the call before (first call: the start,
 * parent is not read). y (n, input_size) -> out (n, width); weights (n, stride), zero beyond the sentence; context (n,
 * context): NULL = not wanted. The same numbers as rc__decoder_forward, to rounding. RC_EINVAL: more rows than rows, a
 * sentence or a parent that is not there. */
rc_status rc__decoding_step(rc__decoding *s, size_t n, const uint32_t *sentence, const uint32_t *parent,
                            const rc_real *y, rc_real *out, rc_real *context, rc_real *weights, size_t stride,
                            rc_error *e);
#endif
