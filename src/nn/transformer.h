/* transformer.h - blocks of attention and feed-forward networks: what cell "transformer" of rc_rnn is made of, and the
 * Transformer decoder (decoder.h), which looks at a memory besides.
 *
 * A block, with N the norm (LayerNorm or RMSNorm) and D dropout (Vaswani et al. 2017, arXiv 1706.03762, section 3.1;
 * norms before the sub-layers: Xiong et al. 2020, arXiv 2002.04745, figure 1b):
 *     pre-norm     x += D(self(N1 x));  [x += D(cross(N2 x, memory));]  x += D(ffn(Nlast x));  after all blocks y = N x
 *     post-norm    x = N1(x + D(self x));  [x = N2(x + D(cross(x, memory)));]  x = Nlast(x + D(ffn x))          y = x
 *     self         heads of softmax(q k^T / sqrt(width of a head)) v, with q, k, v = x in_proj^T, times out_proj^T
 *     ffn          linear2(act(linear1 x)); swiglu: linear1 has both halves, silu(first) * second
 * Parameters are named and shaped as those of torch.nn.TransformerEncoderLayer and TransformerDecoderLayer, under
 * <prefix>layers.N.: self_attn.in_proj_weight (H + 2 KV, H), in_proj_bias, out_proj.weight (H, H), out_proj.bias,
 * multihead_attn. likewise, with a memory (of another width than H: q_proj_weight (H, H), k_proj_weight, v_proj_weight
 * (KV, memory_size)), linear1.weight (F, H), linear2.weight (H, F), norm1.weight, norm1.bias, norm2, norm3; beside the
 * blocks <prefix>norm.weight (pre-norm), <prefix>input_proj.weight (H, I) where I != H, <prefix>positions.weight
 * (learned).
 *
 * Letters: H hidden_size, KV kv_heads * width of a head, N packed rows, L blocks.
 */
#ifndef RC_TRANSFORMER_H
#define RC_TRANSFORMER_H
#include "recur/rnn.h"

typedef struct rc__transformer rc__transformer;

/* Checks and completes the options (0 becomes what it stands for: rc__transformer_get_options) and registers the
 * parameters; rc_params_build comes next. memory_size: width of the memory that each block attends to; 0 = none.
 * RC_EINVAL names an option that is out of range, or that belongs to recurrent layers. */
rc_status rc__transformer_new(rc__transformer **out, rc_params *ps, const char *prefix, const rc_rnn_options *o,
                              size_t memory_size, rc_error *e);
void rc__transformer_free(rc__transformer *m);
const rc_rnn_options *rc__transformer_get_options(const rc__transformer *m);
size_t rc__transformer_kv(const rc__transformer *m); /* KV: width of a key, and of a value */
size_t rc__transformer_explain(const rc__transformer *m, size_t batch, size_t seq_len, char *out, size_t cap);

/* ---- whole sequences --------------------------------------------------------------------------------------------- */

typedef struct rc__transformer_memory {
    rc_var *steps;          /* (T, B, memory_size) */
    const int32_t *lengths; /* (B), NULL = all T */
    rc_real *weights;       /* not NULL: as of rc_attention_options, of the last block's attention to the memory */
    rc_var *query, *keys; /* out: of that attention, packed rows (N, H) and (N of the memory, KV), for whoever makes its
                               weights again, with a gradient */
} rc__transformer_memory;

/* x (T, B, I), lengths (B) or NULL -> (T, B, H), zero beyond each row's length. memory: NULL without one. state (causal
 * blocks alone, NULL = from the start): the keys and values before, which take no gradient; receives those of these
 * steps when all went well. */
rc_var *rc__transformer_forward(rc_tape *t, const rc__transformer *m, rc_var *x, const int32_t *lengths,
                                rc__transformer_memory *memory, rc_state *state);

/* ---- step by step, without a tape -------------------------------------------------------------------------------- */

/* Keys and values that a row attends to: n rows of KV elements, `ld` elements apart; the j-th lies at row index[j],
 * or j where index is NULL. Alibi alone looks at their order: the j-th is (newest - j) mod n steps old. */
typedef struct rc__kv_rows {
    const rc_real *k, *v;
    size_t ld;
    const uint32_t *index;
    size_t n;
    size_t newest;
} rc__kv_rows;

/* Who keeps the keys and values. Called by several threads at once, for different rows. */
typedef struct rc__kv_store {
    void *ctx;
    /* of row `row` in block `layer`: where its new key and value go (KV elements each), and what it attends to: those
     * before and the new ones, which are written before anything is read */
    void (*self)(void *ctx, size_t layer, size_t row, rc_real **k, rc_real **v, rc__kv_rows *past);
    /* of the memory, made by rc__transformer_memory_kv; NULL without a memory */
    void (*memory)(void *ctx, size_t layer, size_t row, rc__kv_rows *memory);
} rc__kv_store;

typedef struct rc__transformer_step {
    size_t rows;
    const rc_real *x;         /* (rows, I) */
    rc_real *y;               /* (rows, H) */
    const uint64_t *position; /* (rows): steps of each before this one */
    const int32_t *turn; /* (rows): rotary positions, which mean something relative to those of the keys kept alone;
                                 NULL = position */
    rc__kv_store store;
    rc_real *weights; /* not NULL: (rows, stride), the last block's weights on the memory, mean over heads */
    size_t stride;
    rc_real *room; /* rc__transformer_step_room(m, rows, most) elements */
} rc__transformer_step;
/* most: keys that a row attends to at most, memory included. */
size_t rc__transformer_step_room(const rc__transformer *m, size_t rows, size_t most);
/* One step of all rows. The same numbers as rc__transformer_forward, to rounding. RC_ENOMEM: packed copies of
 * weights. */
rc_status rc__transformer_step_run(const rc__transformer *m, const rc__transformer_step *s, size_t most, rc_error *e);
/* Keys and values of block `layer` of a memory: (n, memory_size) -> k, v (n, KV) each. Once per sentence. */
rc_status rc__transformer_memory_kv(const rc__transformer *m, size_t layer, size_t n, const rc_real *memory, rc_real *k,
                                    rc_real *v, rc_error *e);

/* ---- the state of rc_rnn ----------------------------------------------------------------------------------------- */

/* Of one row and block: RC__TF_HEAD numbers of which the first two count the steps seen (n mod 2^20 and n / 2^20: exact
 * in float to 2^44), then a ring of `context` keys, then one of as many values; step n is in slot n mod context. */
#define RC__TF_HEAD 16
size_t rc__transformer_state_width(const rc__transformer *m);
rc_status rc__transformer_state_step(const rc__transformer *m, rc_state *s, const rc_real *x, rc_real *y, rc_error *e);
#endif
