/* lm.c - the network of a language model:
 *
 *   ids (T, B) -> embedding (rows dropped) -> dropout -> recurrent layers [-> adapter] -> dropout -> softmax over V
 *
 * Initialisation. The recurrent layers have their own (rc_rnn_options). The embedding is N(0, 2^2), tied N(0, 0.4^2):
 * the matrix then makes logits too, which should start small. Large for a reason: with Xavier's input weights a gate
 * sees inputs of the embedding's variance, and a small one leaves it at its bias for hundreds of steps. Measured,
 * validation nats a token of an LSTM of 128 (2 layers, WikiText 1; batch 64 x 64, AdamW 0.003):
 *
 *   deviation                         0.06   0.1    0.2    0.4    0.5    0.8    1      2      4
 *   tinyshakespeare,  300 steps       2.354         2.263         2.162         2.038  1.978  1.999
 *                    1500 steps                                                 1.646  1.632
 *     tied            300 steps       2.432  2.255  2.078  1.975
 *     tied           1500 steps       1.809         1.643  1.600         1.601
 *   WikiText-2, 5000 words, 300 steps        5.011                              4.892  4.860
 *     tied                            5.178         4.851  4.857
 *
 * The softmax's weights are U(+-1/sqrt(W)), its bias 0. With rnn.init_torch everything is as torch.nn.Embedding and
 * torch.nn.Linear make it.
 */
#include "tasks/lm.h"
#include "base/mem.h"
#include "nn/state_scratch.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* From this many rows on the gradient of an untied embedding is kept sparse: a step uses T*B rows at most, and a pass
 * over all of the table costs more than the bookkeeping. */
#define SPARSE_ROWS    1000
#define ADVANCE_TOKENS 256 /* tokens of a prompt read at once */

rc_lm_options rc_lm_options_default(void) {
    rc_lm_options o = {.rnn = rc_rnn_options_default()};
    o.rnn.hidden_size = 256;
    return o;
}

static rc_status check_probability(double p, const char *name, rc_error *e) {
    if (p >= 0 && p < 1) return RC_OK;
    return rc_fail(e, RC_EINVAL, "language model: %s is %g, expected a probability in [0, 1)", name, p);
}

static rc_status check_options(const rc_lm_options *o, rc_error *e) {
    rc_status s = check_probability(o->dropout_input, "dropout_input", e);
    if (s == RC_OK) s = check_probability(o->dropout_output, "dropout_output", e);
    if (s == RC_OK) s = check_probability(o->dropout_embedding, "dropout_embedding", e);
    if (s == RC_OK && (o->rnn.bidirectional || o->rnn.reverse))
        s = rc_fail(e, RC_EINVAL, "language model: %s layers would see the tokens they are to predict",
                    o->rnn.bidirectional ? "bidirectional" : "reversed");
    if (s == RC_OK && o->rnn.hidden_size == 0)
        s = rc_fail(e, RC_EINVAL, "language model: hidden_size is 0, expected 1 or more");
    return s;
}

static rc_param *add_matrix(rc_lm *m, const char *name, size_t rows, size_t cols, rc_init init, rc_error *e) {
    return rc_params_add(m->params, name, 2, (size_t[2]){rows, cols}, init, e);
}

static rc_status add_embedding(rc_lm *m, rc_error *e) {
    double deviation = m->opt.rnn.init_torch ? 1 : m->opt.tied ? 0.4 : 2;
    rc_init init = {.kind = RC_INIT_NORMAL, .value = deviation};
    m->embedding = add_matrix(m, "embedding.weight", m->vocab_size, m->opt.embedding_size, init, e);
    if (!m->embedding) return RC_ENOMEM;
    m->embedding->no_decay = true;
    m->embedding->sparse = !m->opt.tied && m->vocab_size > SPARSE_ROWS;
    return RC_OK;
}

static rc_status add_softmax(rc_lm *m, rc_error *e) {
    size_t out = rc_rnn_output_size(m->rnn);
    m->width = m->opt.tied ? m->opt.embedding_size : out;
    m->head = m->embedding;
    if (m->opt.tied && out != m->opt.embedding_size) {
        rc_init init = {.kind = RC_INIT_XAVIER_UNIFORM};
        m->adapter = add_matrix(m, "adapter.weight", m->opt.embedding_size, out, init, e);
        if (!m->adapter) return RC_ENOMEM;
    }
    double bound = 1 / sqrt((double)m->width);
    if (!m->opt.tied) {
        rc_init init = {.kind = RC_INIT_UNIFORM, .value = bound};
        m->head = add_matrix(m, "head.weight", m->vocab_size, m->width, init, e);
        if (!m->head) return RC_ENOMEM;
    }
    rc_init init = {.kind = RC_INIT_ZEROS};
    if (m->opt.rnn.init_torch) init = (rc_init){.kind = RC_INIT_UNIFORM, .value = bound};
    m->bias = rc_params_add(m->params, "head.bias", 1, &m->vocab_size, init, e);
    if (!m->bias) return RC_ENOMEM;
    m->bias->no_decay = true;
    return RC_OK;
}

static rc_status declare(rc_lm *m, rc_error *e) {
    rc_status s = rc_params_new(&m->params, e);
    if (s == RC_OK) s = add_embedding(m, e);
    if (s == RC_OK) s = rc_rnn_new(&m->rnn, m->params, "rnn.", &m->opt.rnn, e);
    if (s != RC_OK) return s;
    m->opt.rnn = *rc_rnn_get_options(m->rnn);
    m->opt.rnn.cell = rc_cell_find(m->opt.rnn.cell)->name;
    return add_softmax(m, e);
}

rc_status rc__lm_declare(rc_lm **out, size_t vocab_size, const rc_lm_options *opt, rc_error *e) {
    *out = NULL;
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    rc_status s = check_options(opt, e);
    if (s != RC_OK) return s;
    if (vocab_size < 2)
        return rc_fail(e, RC_EINVAL, "language model: the vocabulary has %zu entries, expected 2 or more", vocab_size);
    rc_lm *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "language model: out of memory");
    pthread_mutex_init(&m->lock, NULL);
    m->opt = *opt;
    m->vocab_size = vocab_size;
    if (m->opt.embedding_size == 0) m->opt.embedding_size = m->opt.rnn.hidden_size;
    m->opt.rnn.input_size = m->opt.embedding_size;
    e->code = RC_OK;
    s = declare(m, e);
    if (s != RC_OK) {
        rc_lm_free(m);
        return e->code != RC_OK ? e->code : s;
    }
    *out = m;
    return RC_OK;
}

rc_status rc__lm_build(rc_lm **out, size_t vocab_size, const rc_lm_options *opt, uint64_t seed, rc_error *e) {
    rc_lm *m;
    *out = NULL;
    rc_status s = rc__lm_declare(&m, vocab_size, opt, e);
    if (s != RC_OK) return s;
    s = rc_params_build(m->params, seed, e);
    if (s != RC_OK) {
        rc_lm_free(m);
        return s;
    }
    *out = m;
    return RC_OK;
}

rc_status rc_lm_new(rc_lm **out, rc_vocab *vocab, const rc_lm_options *opt, uint64_t seed, rc_error *e) {
    rc_status s = rc__lm_build(out, rc_vocab_size(vocab), opt, seed, e);
    if (s == RC_OK) (*out)->vocab = vocab;
    return s;
}

void rc_lm_free(rc_lm *m) {
    if (!m) return;
    rc_rnn_free(m->rnn);
    rc_params_free(m->params);
    rc_vocab_free(m->vocab);
    rc__strfree(m->provenance);
    rc__lm_sampling_free(m->sampling);
    rc__packed_free(&m->packed_head);
    rc__packed_free(&m->packed_adapter);
    pthread_mutex_destroy(&m->lock);
    rc__free(m, sizeof *m);
}

const rc_lm_options *rc_lm_get_options(const rc_lm *m) { return &m->opt; }
const char *rc_lm_provenance(const rc_lm *m) { return m->provenance ? m->provenance : "{}"; }
rc_vocab *rc_lm_vocab(const rc_lm *m) { return m->vocab; }
rc_params *rc_lm_params(const rc_lm *m) { return m->params; }
const rc_rnn *rc_lm_rnn(const rc_lm *m) { return m->rnn; }

rc_status rc__lm_check(const rc_lm *m, rc_error *e) {
    size_t n = rc_vocab_size(m->vocab);
    if (n == m->vocab_size) return RC_OK;
    return rc_fail(e, RC_EINVAL,
                   "language model: the vocabulary has %zu entries, the model %zu: rc_lm_grow comes first", n,
                   m->vocab_size);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static rc_var *drop(rc_tape *t, const rc_lm *m, rc_var *x, double p) {
    if (p == 0) return x;
    return m->opt.dropout_sequence ? rc_dropout_sequence(t, x, p) : rc_dropout(t, x, p);
}

/* table: the embedding's variable. */
static rc_var *layers(rc_tape *t, const rc_lm *m, rc_var *table, const int32_t *ids, size_t seq_len, size_t batch,
                      rc_state *state) {
    size_t dim[2] = {seq_len, batch};
    rc_var *x = m->opt.dropout_embedding > 0 ? rc_embedding_dropout(t, ids, 2, dim, table, m->opt.dropout_embedding)
                                             : rc_embedding(t, ids, 2, dim, table);
    x = drop(t, m, x, m->opt.dropout_input);
    return rc_rnn_forward(t, m->rnn, x, NULL, state);
}

rc_status rc__lm_advance(const rc_lm *m, rc_tape *t, rc_state *state, const int32_t *ids, size_t n, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && s == RC_OK; i += ADVANCE_TOKENS) {
        rc_tape_begin(t, (rc_tape_mode){0});
        layers(t, m, rc_param_var(t, m->embedding), ids + i, n - i < ADVANCE_TOKENS ? n - i : ADVANCE_TOKENS, 1, state);
        s = rc_tape_status(t, e);
    }
    return s;
}

rc_var *rc_lm_loss(rc_tape *t, const rc_lm *m, const int32_t *ids, const int32_t *targets, size_t seq_len, size_t batch,
                   rc_state *state, double *nll_sum, size_t *count) {
    rc_var *table = rc_param_var(t, m->embedding);
    rc_var *h = layers(t, m, table, ids, seq_len, batch, state);
    if (m->adapter) h = rc_linear(t, h, rc_param_var(t, m->adapter), NULL);
    h = drop(t, m, h, m->opt.dropout_output);
    if (m->sampling && rc_tape_get_mode(t).training)
        return rc__lm_sampled_loss(t, m, h, targets, seq_len * batch, nll_sum, count);
    rc_var *w = m->opt.tied ? table : rc_param_var(t, m->head);
    rc_loss_options lo = rc_loss_options_default();
    if (rc_tape_get_mode(t).training) lo.label_smoothing = m->smoothing;
    return rc_linear_cross_entropy(t, h, w, rc_param_var(t, m->bias), targets, &lo, nll_sum, count);
}

rc_status rc_lm_smooth_labels(rc_lm *m, double smoothing, rc_error *e) {
    rc_status s = check_probability(smoothing, "label smoothing", e);
    if (s == RC_OK) m->smoothing = smoothing;
    return s;
}

static rc_status pack(rc__packed *to, rc__panel_format format, const rc_param *w, rc_error *e) {
    rc_status s = rc__packed_ready(to, format, w->dim[1], w->dim[0], e);
    if (s == RC_OK) rc__packed_set(to, w->w, w->dim[1], true);
    return s;
}

/* Makes the packed copies current. They are a cache: what the model means does not change. */
static rc_status prepare_step(const rc_lm *model, rc_error *e) {
    rc_lm *m = (rc_lm *)(uintptr_t)model;
    uint64_t version = rc_params_version(m->params);
    if (__atomic_load_n(&m->packed_version, __ATOMIC_ACQUIRE) == version) return RC_OK;
    pthread_mutex_lock(&m->lock);
    rc_status s = RC_OK;
    if (m->packed_version != version) {
        rc__panel_format format = rc__format_of(rc_params_get_precision(m->params));
        s = pack(&m->packed_head, format, m->head, e);
        if (s == RC_OK && m->adapter) s = pack(&m->packed_adapter, format, m->adapter, e);
        __atomic_store_n(&m->packed_version, s == RC_OK ? version : 0, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&m->lock);
    return s;
}

rc_status rc_lm_step(const rc_lm *m, rc_state *s, const int32_t *ids, rc_real *logits, rc_error *e) {
    size_t B = rc_state_batch(s), E = m->opt.embedding_size, H = rc_rnn_output_size(m->rnn);
    rc_real *x = rc__state_scratch(s, B * (E + H + E));
    if (!x) return rc_fail(e, RC_ENOMEM, "language model: out of memory for a step of %zu rows", B);
    rc_real *h = x + B * E, *z = h + B * H;
    for (size_t b = 0; b < B; b++) {
        if (ids[b] < 0 || (size_t)ids[b] >= m->vocab_size)
            return rc_fail(e, RC_EINVAL, "language model: row %zu: token %d is not in 0..%zu", b, (int)ids[b],
                           m->vocab_size - 1);
        memcpy(x + b * E, m->embedding->w + (size_t)ids[b] * E, E * sizeof *x);
    }
    rc_status status = prepare_step(m, e);
    if (status == RC_OK) status = rc_rnn_step(m->rnn, s, x, h, e);
    if (status != RC_OK) return status;
    if (m->adapter) {
        rc__gemm_packed_mt(B, h, H, &m->packed_adapter, NULL, false, z, E);
        h = z;
    }
    rc__gemm_packed_mt(B, h, m->width, &m->packed_head, m->bias->w, false, logits, m->vocab_size);
    return RC_OK;
}

/* ---- growth ------------------------------------------------------------------------------------------------------ */

/* Rows old..rows of p (rows, cols) become the mean of the first `old` rows (Hewitt 2021: a new logit is then at most
 * the log of the mean old exponential, so each new entry takes at most the mean mass of an old one) plus a hundredth of
 * their spread, so that two new entries are not the same. */
static void grow_rows(rc_param *p, const rc_param *from, size_t cols, rc_rng rng) {
    size_t rows = p->dim[0], old = from->dim[0];
    memcpy(p->w, from->w, from->len * sizeof *p->w);
    for (size_t c = 0; c < cols; c++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < old; r++) sum += from->w[r * cols + c];
        double mean = sum / (double)old;
        for (size_t r = 0; r < old; r++) squares += pow(from->w[r * cols + c] - mean, 2);
        double spread = sqrt(squares / (double)old);
        for (size_t r = old; r < rows; r++) p->w[r * cols + c] = (rc_real)(mean + 0.01 * spread * rc_rng_normal(&rng));
    }
}

static void copy_grown(rc_lm *to, const rc_lm *from, uint64_t seed) {
    for (size_t i = 0; i < rc_params_count(from->params); i++) {
        const rc_param *a = rc_params_at(from->params, i);
        rc_param *b = rc_params_at(to->params, i);
        b->frozen = a->frozen;
        b->lr_scale = a->lr_scale;
        if (a->len == b->len)
            memcpy(b->w, a->w, a->len * sizeof *a->w);
        else
            grow_rows(b, a, a->ndim == 2 ? a->dim[1] : 1, rc_rng_make(seed, i));
    }
    rc_params_changed(to->params);
}

rc_status rc_lm_grow(rc_lm **m, uint64_t seed, rc_error *e) {
    rc_lm *old = *m, *grown;
    size_t n = rc_vocab_size(old->vocab);
    if (n == old->vocab_size) return RC_OK;
    if (n < old->vocab_size)
        return rc_fail(e, RC_EINVAL, "language model: the vocabulary has %zu entries, fewer than the model's %zu", n,
                       old->vocab_size);
    rc_status s = rc__lm_build(&grown, n, &old->opt, seed, e);
    if (s != RC_OK) return s;
    copy_grown(grown, old, seed);
    s = rc_params_set_precision(grown->params, rc_params_get_precision(old->params), e);
    if (s != RC_OK) {
        rc_lm_free(grown);
        return s;
    }
    grown->vocab = old->vocab;
    grown->provenance = old->provenance;
    old->vocab = NULL;
    old->provenance = NULL;
    rc_lm_free(old);
    *m = grown;
    return RC_OK;
}

size_t rc_lm_explain(const rc_lm *m, size_t batch, size_t seq_len, char *out, size_t cap) {
    size_t at = rc_rnn_explain(m->rnn, batch, seq_len, out, cap);
    const char *how = batch * seq_len > 1 ? "fused with the cross-entropy" : "the logits of one row";
    int n = snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0,
                     "softmax: %s%zu -> %zu, %s, packed products by recur, kernels %s: %s\n",
                     m->opt.tied ? "tied to the embedding, " : "", m->width, m->vocab_size,
                     rc__precision_text(rc_params_get_precision(m->params)), rc__k->isa, how);
    return n > 0 ? at + (size_t)n : at;
}
