/* recur/tape.h - parameters, tensors, and the tape that differentiates them.
 *
 * Define by run: an op computes its value at once and, when the tape is training, notes what its backward needs. Memory
 * is an arena that rc_tape_begin rewinds, so a steady training loop allocates nothing. Errors are sticky: an op that is
 * given a bad shape (or NULL, or a dead variable) records the first message and returns a dead variable of length 0;
 * later ops do nothing; rc_backward and rc_tape_status tell.
 *
 * Shapes are row-major; sequences are (T, B, features), time first. A tape belongs to one thread at a time (inside, ops
 * use the library's threads). Variables live until the next rc_tape_begin of their tape.
 */
#ifndef RECUR_TAPE_H
#define RECUR_TAPE_H

#include "recur/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RC_MAX_DIMS 5

typedef struct rc_tape rc_tape;

/* Read-only for callers. dx is NULL until a gradient reached the variable; valid after rc_backward. */
typedef struct rc_var {
    int ndim;
    size_t dim[RC_MAX_DIMS];
    size_t len;      /* product of dims; 0 marks a dead variable */
    rc_real *x;      /* value  */
    rc_real *dx;     /* dLoss/dx, same shape */
    bool needs_grad; /* whether a gradient is to be computed */
} rc_var;

/* ---- parameters --------------------------------------------------------------------------------------------------
 * One block for all values and one for all gradients; a parameter is a window into both at the same offset. Add all,
 * then build once. */
typedef enum rc_init_kind {
    RC_INIT_ZEROS,
    RC_INIT_CONSTANT,       /* value                                                                              */
    RC_INIT_UNIFORM,        /* U(-value, value)                                                                   */
    RC_INIT_NORMAL,         /* N(0, value^2)                                                                      */
    RC_INIT_XAVIER_UNIFORM, /* Glorot & Bengio 2010, eq. 16: U(+-gain sqrt(6 / (fan_in + fan_out)))               */
    RC_INIT_XAVIER_NORMAL,
    RC_INIT_HE_UNIFORM,     /* He et al. 2015, eq. 10, as uniform: U(+-gain sqrt(6 / fan_in)) with gain 1 = relu   */
    RC_INIT_HE_NORMAL,
    RC_INIT_ORTHOGONAL,     /* Saxe et al. 2014: QR of a normal matrix, signs fixed, times gain                   */
    RC_INIT_IDENTITY        /* Le et al. 2015 (IRNN): gain on the diagonal                                        */
} rc_init_kind;

typedef struct rc_init {
    rc_init_kind kind;
    double value; /* CONSTANT, UNIFORM, NORMAL */
    double gain;  /* the others; 0 means 1     */
    size_t blocks; /* rows are this many stacked matrices (gates), each initialised alone; 0 means 1 */
    size_t only_block; /* CONSTANT: 1 + the one block that gets value while the others get 0; 0 = all */
    size_t thin_block, thin_every; /* 1 + a block whose columns start at 0, but the last of each thin_every; 0 = none */
} rc_init;

typedef struct rc_param {
    char *name;
    int ndim;
    size_t dim[RC_MAX_DIMS];
    size_t len;
    size_t offset;     /* of both blocks, in elements; a multiple of 16 */
    rc_real *w, *g;    /* value and gradient; NULL before rc_params_build */
    rc_init init;
    bool frozen;       /* takes no gradient and no update */
    bool no_decay;     /* biases, norms, embeddings: excluded from weight decay */
    double lr_scale;   /* multiplies the learning rate; 1 unless set */
    /* Row-sparse gradients (embedding tables): when sparse is true only rows listed in rows[0..n_rows) have a gradient
     * since the last rc_params_zero_grad; zeroing, clipping and the optimizer touch those alone. */
    bool sparse;
    size_t n_rows;
    int32_t *rows;
    uint8_t *row_used;
    const uint64_t *version; /* of the rc_params it belongs to */
    const rc_precision *precision; /* likewise */
} rc_param;

typedef struct rc_params rc_params;

rc_status rc_params_new(rc_params **out, rc_error *e);
void rc_params_free(rc_params *ps); /* NULL is fine; so for every _free */
/* Adds a parameter; name is copied and must be new (RC_EINVAL). The pointer stays valid as long as ps. */
rc_param *rc_params_add(rc_params *ps, const char *name, int ndim, const size_t *dim, rc_init init, rc_error *e);
/* Allocates the blocks and initialises: parameter i draws from stream i of seed. Once. */
rc_status rc_params_build(rc_params *ps, uint64_t seed, rc_error *e);
size_t rc_params_count(const rc_params *ps);
rc_param *rc_params_at(const rc_params *ps, size_t i);
rc_param *rc_params_find(const rc_params *ps, const char *name); /* NULL when absent */
size_t rc_params_len(const rc_params *ps);    /* scalars, padding not counted */
size_t rc_params_block_len(const rc_params *ps); /* elements of a block, padding (kept 0) included */
rc_real *rc_params_values(const rc_params *ps);
rc_real *rc_params_grads(const rc_params *ps);
void rc_params_zero_grad(rc_params *ps);
/* Sets frozen on every parameter whose name matches the shell pattern (fnmatch); returns how many. */
size_t rc_params_freeze(rc_params *ps, const char *pattern);
/* Makes a matrix row-sparse after rc_params_build, or dense again; clears its gradient. */
rc_status rc_param_set_sparse(rc_param *p, bool sparse, rc_error *e);
/* Notes that row r of a sparse parameter has a gradient. Not for concurrent use on one parameter. */
void rc_param_touch(rc_param *p, size_t row);
/* Counts up whenever values change (optimizer step, load); packed copies of weights are remade when it moved. Whoever
 * writes to w must call rc_params_changed afterwards. No two rc_params ever share a version. */
uint64_t rc_params_version(const rc_params *ps);
void rc_params_changed(rc_params *ps);

/* The precision in which products read the parameters of ps; RC_FP32 unless set. It belongs to the product, not to the
 * tensor: values, gradients, states, all sums and everything that is no product stay fp32, and a model file holds fp32.
 * What follows it: recurrent layers (whole sequences and single steps), rc_linear, rc_conv1d, rc_linear_cross_entropy
 * and rc_lm_step, with a parameter as weight, or with a reshape or the rows (rc_embedding) of one. rc_matmul, vectors
 * of cells and all other ops are fp32. With RC_BF16 the products of the gradients are bf16 too; with RC_INT8 an op on a
 * tape that keeps gradients fails (RC_EINVAL). Counts as a change of the values: packed copies are made anew. Not
 * between a forward and its backward, nor while others use ps. RC_EINVAL: an unknown number. */
rc_status rc_params_set_precision(rc_params *ps, rc_precision p, rc_error *e);
rc_precision rc_params_get_precision(const rc_params *ps);

/* ---- the tape ---------------------------------------------------------------------------------------------------- */

rc_status rc_tape_new(rc_tape **out, rc_error *e);
void rc_tape_free(rc_tape *t);

typedef struct rc_tape_mode {
    bool grad;       /* keep what backward needs */
    bool training;   /* dropout, zoneout, batch statistics are active */
    uint64_t seed;   /* of the masks */
    uint64_t step;   /* masks are a function of (seed, step, number of the op on the tape) */
} rc_tape_mode;

/* Forgets all variables, clears the error, rewinds the arena. */
void rc_tape_begin(rc_tape *t, rc_tape_mode mode);
rc_tape_mode rc_tape_get_mode(const rc_tape *t);
/* RC_OK, or the first error since rc_tape_begin and its message. */
rc_status rc_tape_status(const rc_tape *t, rc_error *e);
/* Gradients of a scalar loss (len 1) times `scale` (1 / micro-batches when accumulating). Parameter gradients are
 * accumulated (+=); others are set. Once per rc_tape_begin. */
rc_status rc_backward(rc_tape *t, rc_var *loss, double scale, rc_error *e);
size_t rc_tape_bytes(const rc_tape *t); /* arena in use now */

/* Leaves. `x` is borrowed and must outlive the step. */
rc_var *rc_input(rc_tape *t, int ndim, const size_t *dim, const rc_real *x);      /* no gradient       */
rc_var *rc_leaf(rc_tape *t, int ndim, const size_t *dim, const rc_real *x);       /* with gradient     */
rc_var *rc_param_var(rc_tape *t, rc_param *p);                                    /* gradient to p->g  */
rc_var *rc_zeros(rc_tape *t, int ndim, const size_t *dim);

/* ---- ops: shapes ------------------------------------------------------------------------------------------------- */
rc_var *rc_reshape(rc_tape *t, rc_var *x, int ndim, const size_t *dim); /* same len; one dim may be (size_t)-1 */
rc_var *rc_transpose(rc_tape *t, rc_var *x, const int *perm);           /* perm of 0..ndim-1, copies           */
rc_var *rc_concat(rc_tape *t, int count, rc_var *const *x, int axis);   /* negative axis counts from the end   */
rc_var *rc_slice(rc_tape *t, rc_var *x, int axis, size_t start, size_t len);
/* Cuts x into n equal pieces along axis; out[0..n). Returns false (and marks the tape) when it does not divide. */
bool rc_split(rc_tape *t, rc_var *x, int axis, int n, rc_var **out);

/* ---- ops: arithmetic; shapes broadcast as in NumPy --------------------------------------------------------------- */
rc_var *rc_add(rc_tape *t, rc_var *a, rc_var *b);
rc_var *rc_sub(rc_tape *t, rc_var *a, rc_var *b);
rc_var *rc_mul(rc_tape *t, rc_var *a, rc_var *b);
rc_var *rc_scale(rc_tape *t, rc_var *x, double scale, double shift); /* scale * x + shift */
/* (..., M, K) x (..., K, N) -> (..., M, N); leading dims equal, or absent on b. ta/tb: the last two dims are
 * swapped. */
rc_var *rc_matmul(rc_tape *t, rc_var *a, bool ta, rc_var *b, bool tb);
/* y = x W^T + b: x (..., K), W (N, K), b (N) or NULL -> (..., N). As torch.nn.functional.linear. */
rc_var *rc_linear(rc_tape *t, rc_var *x, rc_var *w, rc_var *b);
/* Convolution over time, stride 1: x (T, B, I), w (O, I, K) as torch.nn.Conv1d.weight, b (O) or NULL -> (T, B, O) with
 * y[t] = b + sum over k of w[:, :, k] x[t + k - pad_left]. pad_left is 0 to K-1: (K-1)/2 keeps the window in the middle
 * ("same"), K-1 sees nothing of the future (causal). Steps outside 0..lengths[row]-1 count as zero, whatever they hold;
 * y is zero there, without a gradient. lengths (B), NULL = all T. Padding is not computed. Precision as for rc_linear.
 * RC_EINVAL: shapes, a length outside 0..T, pad_left. */
rc_var *rc_conv1d(rc_tape *t, rc_var *x, const int32_t *lengths, rc_var *w, rc_var *b, int pad_left);
/* Rows of table (V, E): ids (n) in 0..V-1 -> dims + (E). Gradient is scattered into the rows used; when the table is a
 * parameter marked sparse, only those rows are noted. ids are borrowed. RC_EDATA names a bad id and its position. */
rc_var *rc_embedding(rc_tape *t, const int32_t *ids, int ndim, const size_t *dim, rc_var *table);

/* Bags of rows: bag r holds ids[start[r]] .. ids[start[r + 1] - 1]. All borrowed until the next rc_tape_begin. */
typedef struct rc_bags {
    size_t bags;           /* 1 or more */
    const uint32_t *start; /* (bags + 1), from 0 on, never falling */
    const int32_t *ids;    /* 0..V-1 */
    const int32_t *place;  /* of each id its row of the mask, 0..P-1; NULL without a mask */
} rc_bags;
/* The sum of a bag's rows of table (V, E), each times its row of mask (P, E) element by element when there is one ->
 * (bags, E); 0 for an empty bag. A bag of words with position encoding, fixed (Sukhbaatar et al. 2015, arXiv
 * 1503.08895, section 4.1) or learnt (Henaff et al. 2017, arXiv 1612.03969, eq. 1). RC_EDATA: a bad id or place. */
rc_var *rc_embedding_bags(rc_tape *t, const rc_bags *b, rc_var *table, rc_var *mask);

/* ---- ops: reductions over one axis (kept out of the result), and over all ---------------------------------------- */
rc_var *rc_sum(rc_tape *t, rc_var *x, int axis);
rc_var *rc_mean(rc_tape *t, rc_var *x, int axis);
rc_var *rc_max(rc_tape *t, rc_var *x, int axis); /* gradient to the first maximum */
rc_var *rc_sum_all(rc_tape *t, rc_var *x);
rc_var *rc_mean_all(rc_tape *t, rc_var *x);
/* Over time of (T, B, F) -> (B, F), valid steps only; a row of length 0 gives 0. lengths NULL = all T. */
rc_var *rc_mean_time(rc_tape *t, rc_var *x, const int32_t *lengths);
rc_var *rc_max_time(rc_tape *t, rc_var *x, const int32_t *lengths);
rc_var *rc_last_time(rc_tape *t, rc_var *x, const int32_t *lengths); /* step lengths[b]-1 */

/* Attention pooling (Yang et al. 2016, "Hierarchical attention networks", eq. 6 and 7). Softmax over the valid steps of
 * each row: scores (T, B) or (T, B, N), each column for itself; zero beyond lengths, and in a row of length 0. */
rc_var *rc_softmax_time(rc_tape *t, rc_var *scores, const int32_t *lengths);
/* (B, F): the sum over time of weights[t, b] x[t, b]; x (T, B, F), weights (T, B). A weight of exactly 0 leaves its
 * step out, whatever that holds. */
rc_var *rc_weighted_sum_time(rc_tape *t, rc_var *x, rc_var *weights);

/* ---- ops: pointwise ---------------------------------------------------------------------------------------------- */
typedef enum rc_act {
    RC_ACT_SIGMOID, RC_ACT_TANH, RC_ACT_RELU, RC_ACT_LEAKY_RELU /* slope 0.01 */, RC_ACT_ELU /* alpha 1 */,
    RC_ACT_GELU /* exact, erf */, RC_ACT_SILU, RC_ACT_SOFTPLUS, RC_ACT_EXP, RC_ACT_LOG, RC_ACT_SQRT, RC_ACT_SQUARE,
    RC_ACT_ABS, RC_ACT_COUNT
} rc_act;
rc_var *rc_activate(rc_tape *t, rc_var *x, rc_act act);
rc_var *rc_sigmoid(rc_tape *t, rc_var *x);
rc_var *rc_tanh(rc_tape *t, rc_var *x);
rc_var *rc_relu(rc_tape *t, rc_var *x);

/* Inverted dropout: kept values are scaled by 1/(1-p); identity when the tape is not training or p == 0. p in [0,1). */
rc_var *rc_dropout(rc_tape *t, rc_var *x, double p);
/* One mask per sequence: x (T, B, F), the mask (B, F) is the same at every step (Gal & Ghahramani 2016). */
rc_var *rc_dropout_sequence(rc_tape *t, rc_var *x, double p);
/* Drops whole rows of the table per step: embedding dropout of AWD-LSTM (Merity et al. 2018, section 4.3). */
rc_var *rc_embedding_dropout(rc_tape *t, const int32_t *ids, int ndim, const size_t *dim, rc_var *table, double p);

/* ---- ops: normalisation and softmax over the last axis ----------------------------------------------------------- */
rc_var *rc_layer_norm(rc_tape *t, rc_var *x, rc_var *gain, rc_var *bias, double eps); /* gain, bias may be NULL */
/* Per feature over all other axes (valid steps only when x is (T,B,F) and lengths is given). While training it uses the
 * batch's biased variance and moves running_mean/var (F), unbiased, by momentum, as torch.nn.BatchNorm1d; otherwise it
 * uses the running ones. */
rc_var *rc_batch_norm(rc_tape *t, rc_var *x, const int32_t *lengths, rc_var *gain, rc_var *bias, rc_real *running_mean,
                      rc_real *running_var, double momentum, double eps);
rc_var *rc_softmax(rc_tape *t, rc_var *x);
rc_var *rc_log_softmax(rc_tape *t, rc_var *x);

/* ---- ops: attention ------------------------------------------------------------------------------------------------
 * Sequences of a batch as packed rows: (N, F) with all valid steps of the first sequence, then of the second, ...; N is the
 * sum of their lengths, so padding is neither stored nor computed. lengths (B) in 0..T; NULL = all T. */
rc_var *rc_pack_rows(rc_tape *t, rc_var *x, const int32_t *lengths); /* (T, B, F) -> (N, F) */
/* The other way: zero beyond each row's length. */
rc_var *rc_unpack_rows(rc_tape *t, rc_var *x, const int32_t *lengths, size_t seq_len, size_t batch);

typedef struct rc_attention_options {
    size_t batch;              /* sequences */
    const int32_t *q_lengths;  /* (batch): rows of q of each, one after the other; borrowed until the next rc_tape_begin */
    const int32_t *k_lengths;  /* (batch): rows of k and v; NULL = q_lengths */
    const uint32_t *k_start;   /* (batch): the first row of k and v of each; NULL = one after the other. Sequences may
                                  share rows (beams of one sentence); then no gradient flows into k and v: RC_EINVAL */
    size_t heads;              /* 1; head h reads columns h*D to (h+1)*D of q */
    size_t kv_heads;           /* 0 = heads; divides heads: query head h reads key head h / (heads / kv_heads) (Ainslie et
                                  al. 2023, arXiv 2305.13245) */
    bool causal;               /* query i of n sees keys up to i + (k_length - n): the last query sees all */
    size_t window;             /* ... and of those only the last `window`, its own position included; without causal, keys
                                  less than `window` away on either side. 0 = all */
    bool alibi;                /* minus slope_h times the distance added to each score (Press et al. 2022, arXiv 2108.12409,
                                  section 3: slopes 2^(-8 h / heads) for h = 1 ...) */
    double scale;              /* of q k; 0 = 1 / sqrt(D) (Vaswani et al. 2017, eq. 1) */
    double dropout;            /* on the weights, while training */
    rc_real *weights;          /* not NULL: receives the weights before dropout, the mean over heads: of each sequence a
                                  block of q_length x k_length, one after the other. Not differentiated */
} rc_attention_options;
rc_attention_options rc_attention_options_default(void);
/* softmax(scale q k^T + bias) v: q (Nq, heads*D), k (Nk, kv_heads*D), v (Nk, kv_heads*Dv) -> (Nq, heads*Dv). Never holds a
 * q_length x k_length matrix: keys are visited block by block with a running maximum and sum (Milakov & Gimelshein 2018;
 * Dao et al. 2022, arXiv 2205.14135, Algorithm 1), and backward makes the weights again. A query that sees no key gives 0.
 * All fp32. Same bits for any number of threads. */
rc_var *rc_attention(rc_tape *t, rc_var *q, rc_var *k, rc_var *v, const rc_attention_options *o);
/* Additive attention (Bahdanau et al. 2015, arXiv 1409.0473, section 3.1): score(i, j) = w . tanh(q_i + k_j), then softmax
 * over the keys of the same sequence, then the weighted sum of v: q (Nq, A), k (Nk, A), w (A), v (Nk, Dv) -> (Nq, Dv). With
 * k made of the encoder's states and q of the decoder's, each by a matrix of its own, it is Luong's concat too. Of o are
 * read batch, q_lengths, k_lengths, k_start, causal, window, dropout, weights. */
rc_var *rc_additive_attention(rc_tape *t, rc_var *q, rc_var *k, rc_var *w, rc_var *v, const rc_attention_options *o);
/* Rotary positions (Su et al. 2021, arXiv 2104.09864, eq. 34): x (N, heads*D), D even; the pair (j, j + D/2) of each head of
 * a row at position p turns by p * base^(-2j/D). (The halves are paired as in GPT-NeoX and Llama, not neighbours.) positions
 * (N), borrowed. */
rc_var *rc_rotary(rc_tape *t, rc_var *x, size_t heads, const int32_t *positions, double base);
/* x / sqrt(mean(x^2) + eps) * gain over the last axis (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4); gain may be NULL. */
rc_var *rc_rms_norm(rc_tape *t, rc_var *x, rc_var *gain, double eps);
/* (..., 2F) -> (..., F): silu(x[..F]) * x[F..] (Shazeer 2020, arXiv 2002.05202, eq. 6, with both products in x). */
rc_var *rc_swiglu(rc_tape *t, rc_var *x);

/* ---- ops: memories -------------------------------------------------------------------------------------------------
 * Several networks side by side as heads: H of them of D columns each lie one after the other in a row, and none sees
 * another.
 * Sequences are packed rows as for attention. Same bits for any number of threads and whatever other sequences are there. */
/* y[:, head h] = x[:, head h] w[:, head h]^T + b: x (N, H K), w (O, H K), b (H O) or NULL -> (N, H O). All fp32. */
rc_var *rc_linear_heads(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, size_t heads);
/* A hop of an end-to-end memory network (Sukhbaatar et al. 2015, arXiv 1503.08895, eq. 1 and 2): u (B, H D) looks k
 * (N, H D) of its sequence up, p = softmax(u k), or p = u k without softmax (their linear start, section 5), and gets
 * the sum of p v, v (N, H D) -> (B, H D); 0 for a sequence of length 0. lengths (B), summing up to N, are borrowed
 * during the call. *weights (may be NULL) becomes p (N, H), there until the next rc_tape_begin. */
rc_var *rc_memory_read(rc_tape *t, rc_var *u, rc_var *k, rc_var *v, const int32_t *lengths, size_t heads, bool softmax,
                       const rc_real **weights);
/* h(t) = z(t) c(t) + (1 - z(t)) h(t-1) over each sequence, h before it 0; from its end when reverse (Seo et al. 2017, arXiv
 * 1606.04582, eq. 3): c (N, H D), z (N, H) -> (N, H D). lengths (batch) as above. */
rc_var *rc_gated_scan(rc_tape *t, rc_var *c, rc_var *z, const int32_t *lengths, size_t batch, size_t heads,
                      bool reverse);
/* The dynamic memory of a recurrent entity network (Henaff et al. 2017, arXiv 1612.03969, eq. 2-5): J blocks that each
 * begin as its key and that every sentence s of its sequence may write to,
 *   g = sigmoid(s h + sk)   c = prelu(U h + kv + sw)   h <- (h + g c) / |h + g c|
 * s (N, D); sw (N, D) = W s and sk (N, J) = s times keys, kv (J, D) = V keys, which are products of the caller's; keys
 * (J, D); U (D, D); slope (D), of the PReLU -> (B J, D), the blocks after the last sentence. lengths (batch) as above.
 * *gates (may be NULL) becomes g (N, J). fp32. */
rc_var *rc_entity_memory(rc_tape *t, rc_var *s, rc_var *sw, rc_var *sk, rc_var *kv, rc_var *keys, rc_var *u,
                         rc_var *slope, const int32_t *lengths, size_t batch, const rc_real **gates);

/* ---- losses ------------------------------------------------------------------------------------------------------
 * Scalars. A position counts when t < lengths[b] (lengths NULL = all) and, for classes, target != ignore_index. The
 * mean is over positions that count (by class weight for cross-entropy, as in PyTorch); none counting gives 0, not NaN.
 * Leading dims are (T, B) when lengths are given. A target that is NaN is missing: in rc_bce_logits, rc_mse, rc_mae,
 * rc_huber, rc_quantile and the likelihoods such a position does not count, neither in the sum nor in the mean, and
 * takes no gradient, whatever the prediction there is. */
typedef struct rc_loss_options {
    const int32_t *lengths;         /* (B), NULL = all T steps                                               */
    bool sum;                       /* sum instead of mean                                                    */
    double label_smoothing;         /* cross-entropy: mass spread over all V classes, as in PyTorch           */
    int32_t ignore_index;           /* cross-entropy: targets to skip; default -100                           */
    const rc_real *class_weights;   /* cross-entropy: (V); binary: positive weight per column (F)             */
    double delta;                   /* Huber; default 1                                                       */
    const double *quantiles;        /* quantile loss: n_quantiles values in (0,1); pred has them as last axis  */
    size_t n_quantiles;
} rc_loss_options;
rc_loss_options rc_loss_options_default(void);

/* logits (..., V); targets: one class per leading position. opt may be NULL in all of these. */
rc_var *rc_cross_entropy(rc_tape *t, rc_var *logits, const int32_t *targets, const rc_loss_options *opt);
/* rc_cross_entropy(rc_linear(x, w, b)) that never holds all logits: works by panels of rows, and makes the gradients of
 * x, w and b in the same pass while the tape keeps gradients. *nll_sum, *count (may be NULL): plain sum of -log p and
 * number of positions, without smoothing or weights. */
rc_var *rc_linear_cross_entropy(rc_tape *t, rc_var *x, rc_var *w, rc_var *b, const int32_t *targets,
                                const rc_loss_options *opt, double *nll_sum, size_t *count);
rc_var *rc_bce_logits(rc_tape *t, rc_var *logits, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_mse(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_mae(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_huber(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_quantile(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt);

/* Negative log likelihoods, constants included, of a distribution whose parameters are the last axis of params
 * (..., P); one target per leading position. Of opt, lengths and sum are read. As in DeepAR (Salinas et al. 2020, arXiv
 * 1704.04110, section 3.1) and GluonTS, with softplus(r) = log(1 + exp(r)):
 *   Gaussian, P = 2: mean = params[0], standard deviation = softplus(params[1]) + 1e-4.
 *   Student's t, P = 3: location = params[0], scale = softplus(params[1]) + 1e-4,
 *     degrees of freedom = 2 + softplus(params[2]).
 *   Negative binomial, P = 2: mean = scale (softplus(params[0]) + 1e-6), of variance mean + alpha mean^2,
 *     alpha = (softplus(params[1]) + 1e-6) / sqrt(scale); targets are counts, 0 or more (RC_EDATA). scale: one number
 *     above 0 per position, as targets, that a series was divided by when the network saw it (DeepAR's section 3.3);
 *     NULL = 1. The other two need none: divide the targets. */
rc_var *rc_gaussian_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_student_t_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_loss_options *opt);
rc_var *rc_negative_binomial_nll(rc_tape *t, rc_var *params, const rc_real *targets, const rc_real *scale,
                                 const rc_loss_options *opt);

/* -log p(targets | emissions) of a linear-chain conditional random field (Lafferty, McCallum & Pereira 2001; Lample et
 * al. 2016, arXiv 1603.01360, section 2.2): emissions (T, B, K), transitions (K, K) [from][to], start and end (K),
 * targets (T, B) in 0..K-1. Of opt, `sum` alone is read; the mean is over rows with length > 0 (lengths NULL = all T),
 * a row of length 0 counts for nothing. allowed: (K+1, K+1) bytes [from][to], row K = from the start, column K = to the
 * end; a move whose byte is 0 has probability 0 and takes no gradient; NULL = all may be. O(T B K^2), forward and
 * gradients in one pass, in double. RC_EDATA names row and step of a target that is out of range or not allowed;
 * RC_EINVAL: shapes, lengths. */
rc_var *rc_crf_loss(rc_tape *t, rc_var *emissions, rc_var *transitions, rc_var *start, rc_var *end,
                    const int32_t *targets, const int32_t *lengths, const uint8_t *allowed,
                    const rc_loss_options *opt);

#ifdef __cplusplus
}
#endif
#endif
