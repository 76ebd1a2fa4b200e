/* recur/rnn.h - recurrent layers: every cell, stacked, bidirectional, with lengths; and their state.
 *
 * Equations, gate orders and sources of each cell are at the top of its file, src/kernels/cell_*.inc; names of tensors
 * are PyTorch's (docs/format.md).
 */
#ifndef RECUR_RNN_H
#define RECUR_RNN_H

#include "recur/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- cells ------------------------------------------------------------------------------------------------------- */
typedef struct rc_cell_info {
    const char *name;    /* "lstm"; what --cell takes */
    const char *text;    /* one line: which variant, and the source */
    int gates;           /* blocks of weight_ih */
    bool has_c;          /* the state has a cell part beside h */
    bool projects;       /* h may be narrower than hidden_size */
    bool recurrent_product; /* false: a scan over element-wise recurrences */
    bool recurrent;      /* false: "transformer", the last in the list: blocks of attention, without the options of layers */
} rc_cell_info;
size_t rc_cell_count(void);
const rc_cell_info *rc_cell_at(size_t i);
const rc_cell_info *rc_cell_find(const char *name); /* NULL when unknown */

/* ---- layers ------------------------------------------------------------------------------------------------------ */
typedef enum rc_skip { RC_SKIP_NONE, RC_SKIP_RESIDUAL, RC_SKIP_HIGHWAY } rc_skip;

/* How a Transformer knows where a step is. */
typedef enum rc_positions {
    RC_POSITIONS_ROTARY,     /* Su et al. 2021 */
    RC_POSITIONS_ALIBI,      /* Press et al. 2022 */
    RC_POSITIONS_SINUSOIDAL, /* Vaswani et al. 2017, section 3.5; added to the input */
    RC_POSITIONS_LEARNED,    /* a table of `context` rows (256 where that is 0), added to the input; later steps take the
                                last row */
    RC_POSITIONS_NONE
} rc_positions;
typedef enum rc_ffn_kind { RC_FFN_GELU, RC_FFN_RELU, RC_FFN_SWIGLU } rc_ffn_kind;

typedef struct rc_rnn_options {
    const char *cell;           /* default "lstm" */
    size_t input_size, hidden_size;
    size_t proj_size;           /* lstm-projection: width of h; 0 = hidden_size / 2 there */
    int num_layers;             /* default 1 */
    bool bidirectional;         /* outputs are forward then reverse, concatenated */
    bool reverse;               /* each row from its own last step to its first; outputs stay at their input's time */
    bool no_bias;
    int depth;                  /* rhn: micro-steps per time step, default 3 */
    size_t decay_every;         /* gru-d: of each so many inputs the first layer's decay reads the last (3 where x is value,
                                   seen, time since, for each channel); its weights of the others are 0 and not trained.
                                   0: it reads all. Not in a language model's file */
    rc_skip skip;               /* between layers of equal width: y = x + f(x), or a highway gate over both */
    double dropout;             /* on the output of each layer but the last, as in PyTorch */
    bool dropout_sequence;      /* that dropout draws one mask per sequence */
    double recurrent_dropout;   /* on h before the recurrent product, one mask per sequence (Gal & Ghahramani 2016); in
                                   cells without a product, on what a step adds to the memory (Semeniuta et al. 2016) */
    double zoneout_h, zoneout_c; /* Krueger et al. 2017; the mean at inference */
    double weight_drop;         /* on weight_hh, one mask per forward (Merity et al. 2018) */
    bool learn_initial_state;
    rc_init_kind init_ih;       /* default XAVIER_UNIFORM, one gate at a time */
    rc_init_kind init_hh;       /* default ORTHOGONAL, one gate at a time */
    bool init_torch;            /* everything U(-1/sqrt(H), 1/sqrt(H)) as torch.nn does; overrides the two above */
    double forget_bias;         /* added to the forget gate's bias_ih at initialisation; default 1 */
    /* cell "transformer": blocks of self-attention and a feed-forward network instead of recurrent layers. Causal, unless
     * bidirectional (then one set of blocks that sees both sides, output as wide as hidden_size). Its state is the keys and
     * values of the last `context` steps. */
    size_t heads;               /* 0 = one for each 64 columns, at least 1 */
    size_t kv_heads;            /* 0 = heads */
    size_t ffn;                 /* width of the feed-forward network; 0 = 4 hidden_size; swiglu: 8/3 of it, as many weights */
    size_t context;             /* causal: steps that a step sees, its own included; 0 = 256, at most 65536. bidirectional:
                                   0 = all, else those less than so far away on either side */
    rc_positions positions;     /* default ROTARY */
    bool post_norm;             /* norms after the sums, as in Vaswani et al. 2017; default before (pre-norm) */
    bool rms_norm;              /* RMSNorm instead of LayerNorm */
    rc_ffn_kind ffn_kind;       /* default GELU */
    double attention_dropout;   /* on attention weights; `dropout` is on what each sub-layer adds */
} rc_rnn_options;
rc_rnn_options rc_rnn_options_default(void);

typedef struct rc_rnn rc_rnn;

/* Registers its parameters as <prefix>weight_ih_l0, ... in ps (build ps afterwards). RC_EINVAL: unknown cell, a size of
 * 0, a probability outside [0,1), skip with unequal widths, an option the cell does not have. */
rc_status rc_rnn_new(rc_rnn **out, rc_params *ps, const char *prefix, const rc_rnn_options *opt, rc_error *e);
void rc_rnn_free(rc_rnn *rnn);
const rc_rnn_options *rc_rnn_get_options(const rc_rnn *rnn);
size_t rc_rnn_output_size(const rc_rnn *rnn); /* directions * width of h; transformer: hidden_size */
size_t rc_rnn_state_size(const rc_rnn *rnn);  /* width of h of one layer and direction; 0: there is no state */
/* Text for `recur explain`: one line per layer and direction: kernel, precision, threads, and why. Returns the length
 * as snprintf does. */
size_t rc_rnn_explain(const rc_rnn *rnn, size_t batch, size_t seq_len, char *out, size_t cap);

/* ---- state ------------------------------------------------------------------------------------------------------- */
/* h (layers * directions, batch, width of h) and, for cells that have it, c (layers * directions, batch, hidden_size).
 * One model serves many states at once. A transformer's h are the keys and values of the last `context` steps of each layer
 * and the number of steps seen (src/nn/transformer.h); one that sees both sides has no state (RC_EINVAL). */
typedef struct rc_state rc_state;
rc_status rc_state_new(rc_state **out, const rc_rnn *rnn, size_t batch, rc_error *e); /* at the initial state */
void rc_state_free(rc_state *s);
size_t rc_state_batch(const rc_state *s);
void rc_state_reset(rc_state *s, const rc_rnn *rnn); /* all rows to the initial state (0, or learnt) */
rc_status rc_state_reset_row(rc_state *s, const rc_rnn *rnn, size_t row, rc_error *e);
rc_status rc_state_copy(rc_state *to, const rc_state *from, rc_error *e);                    /* same shape */
rc_status rc_state_copy_row(rc_state *to, size_t to_row, const rc_state *from, size_t from_row, rc_error *e);
rc_real *rc_state_h(rc_state *s);
rc_real *rc_state_c(rc_state *s); /* NULL for cells without */
size_t rc_state_h_len(const rc_state *s);
size_t rc_state_c_len(const rc_state *s);
rc_status rc_state_save(const rc_state *s, const char *path, rc_error *e); /* safetensors: "h", "c" */
rc_status rc_state_load(rc_state *s, const char *path, rc_error *e);       /* RC_EMODEL: other shapes */

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* x (T, B, I) -> (T, B, output size), zero beyond each row's length. lengths (B) in 0..T, any order, NULL = all T.
 * state, when given, is the start and receives the end (each row at its own last step; unchanged when its length is 0,
 * and all of it when the call fails); no gradient flows into it: this is truncated back-propagation. NULL starts at the
 * initial state. */
rc_var *rc_rnn_forward(rc_tape *t, const rc_rnn *rnn, rc_var *x, const int32_t *lengths, rc_state *state);
/* The same with the initial state as variables (layers*dirs, B, width), NULL = initial state, and the final ones as
 * variables (NULL = not wanted); gradients flow through all of them. c0/cn are NULL for cells without c. */
rc_var *rc_rnn_forward_vars(rc_tape *t, const rc_rnn *rnn, rc_var *x, const int32_t *lengths, rc_var *h0, rc_var *c0,
                            rc_var **hn, rc_var **cn);

/* One time step of every layer, for streaming.
 *   x (batch, input_size)   read       y (batch, output size)   written; may not overlap x
 * `s` must come from rc_state_new(rnn, batch); it is advanced. `rnn` is only read: different states may step
 * concurrently. After the first call on a state nothing is allocated. RC_EINVAL: s belongs to another shape, or the
 * layers are bidirectional or reversed. NaN in x gives NaN in y, never a crash. */
rc_status rc_rnn_step(const rc_rnn *rnn, rc_state *s, const rc_real *x, rc_real *y, rc_error *e);

#ifdef __cplusplus
}
#endif
#endif
