/* attend.h - how a decoder looks at what an encoder made: the attention of decoder.h, its parameters and its two ways.
 * Of all steps at once by one fused op (rc_attention, rc_additive_attention), or, when the weights are wanted
 * themselves or depend on those before, by rc__align: a matrix (queries, longest memory) then exists.
 *
 * Scores of query h and memory step m (weights sum up m itself, but multihead: V m):
 *     dot         h . m                              Luong et al. 2015, arXiv 1508.04025, eq. 8
 *     general     h . W m                            likewise
 *     concat      v . tanh(W [h ; m])                likewise; W in two parts, query.weight and key.weight
 *     additive    v . tanh(W h + U m + b)            Bahdanau et al. 2015, arXiv 1409.0473, appendix A.1.2
 *     multihead   (Q h) . (K m) / sqrt(D), heads     Vaswani et al. 2017, arXiv 1706.03762, section 3.2
 *     location    additive + features of the weights of the step before: Chorowski et al. 2015, arXiv 1506.07503, eq.
 *     9 */
#ifndef RC_ATTEND_H
#define RC_ATTEND_H
#include "nn/decoder.h"

typedef struct rc__attention rc__attention;

/* Names its parameters <prefix>query.weight, key.weight, key.bias, value.weight, vector, features.weight, filters,
 * offset. Reads of o: attention, memory_size, rnn.hidden_size (the width that is scored), heads, coverage, monotonic,
 * attention_dropout. */
rc_status rc__attention_new(rc__attention **out, rc_params *ps, const char *prefix, size_t query_size,
                            const rc__decoder_options *o, rc_error *e);
void rc__attention_free(rc__attention *a);
size_t rc__attention_width(const rc__attention *a);   /* of what was attended to */
bool rc__attention_remembers(const rc__attention *a); /* weights depend on those before */
size_t rc__attention_explain(const rc__attention *a, char *out, size_t cap);

/* What is looked at, as packed rows: projected once, whatever looks at it. */
typedef struct rc__attention_memory {
    rc_var *keys, *values;
    size_t batch, longest;
    const int32_t *lengths; /* (batch) */
    const uint32_t *start;  /* NULL, or as k_start of rc_attention_options */
} rc__attention_memory;
/* steps (Nk, memory_size) packed. m's batch, longest and lengths are set by the caller. */
bool rc__attention_project(rc_tape *t, const rc__attention *a, rc_var *steps, rc__attention_memory *m);

/* For those that remember: (batch, longest) each, NULL at the start. */
typedef struct rc__attention_past {
    rc_var *last, *sum;
} rc__attention_past;

typedef struct rc__attention_want {
    rc__attention_past past; /* in */
    rc_var **weights;        /* not NULL: receives the weights (Nq, longest), differentiable */
    rc_real *plain; /* not NULL: receives weights as those of rc_attention_options, where *weights is not made */
} rc__attention_want;
/* query (Nq, query_size), q_lengths (batch) -> (Nq, width). *weights is made whenever rc__attention_remembers. */
rc_var *rc__attention_look(rc_tape *t, const rc__attention *a, rc_var *query, const int32_t *q_lengths,
                           const rc__attention_memory *m, const rc__attention_want *want);
/* The mean over heads of softmax(q k / sqrt(D)), with a gradient: (Nq, longest). keys: m's, kv_heads of them (as of
 * rc_attention_options). What a Transformer's last block looked at. */
rc_var *rc__attention_weights(rc_tape *t, rc_var *query, size_t heads, size_t kv_heads, const int32_t *q_lengths,
                              const rc__attention_memory *m);
#endif
