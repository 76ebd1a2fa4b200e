/* seq2seq.c - the network of sequence to sequence: its parameters, its loss, and its steps for a search. Letters: n
 * sequences, T steps of a source, V target ids (the vocabulary, begin and end), E width of an embedded token, W of what
 * the decoder makes.
 *
 * Initialisation. The layers have their own. The tables are N(0, 0.4^2), tied or not; the softmax's weights N(0,
 * 0.3^2), its bias 0. Measured, validation nats a word of Multi30k en-de by deviations (4,000 words a side; an LSTM of
 * 64 in either direction, two of 128 with general attention, AdamW 0.002, dropout 0.2, 600 batches of 32, one seed):
 *
 *   tables                  0.1    0.3    1      2      | tied to the target's table     0.1    0.2    0.4    0.7
 *   softmax 0.05            3.91   3.54   3.46   3.50   |                                3.42   2.63   2.64   2.78
 *
 *   softmax                 0.05   0.15   0.3    0.6    | source 0.4, target 0.5, softmax 0.15: 2.68, 0.3: 2.64
 *   tables 1                3.46   2.75   2.73   2.84   | 256 wide, 300 batches of 64, tables 1:
 *   gru, additive, tables 1 2.96          2.87          |   softmax 0.05: 3.26, 0.15: 2.63, 0.3: 2.62
 *
 * (0.05 was U(+-1/sqrt(W)), of deviation 0.051 at 128; at 256 it was 0.05 itself.) A Transformer's last norm hands on
 * numbers of size 1, so there the softmax's weights are U(+-1/sqrt(W)), and it reads sqrt(E) times a table of N(0, 1/E)
 * (Vaswani et al. 2017, section 3.4), so that logits of a tied one start small. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "autograd/copy.h"
#include "autograd/tape_internal.h"
#include "tasks/seq2seq.h"

#define SPARSE_ROWS     1000 /* as for a language model: lm.c */
#define LOGIT_ROWS      256  /* rows of logits at once where no loss is wanted */
#define BEGIN_ID(vocab) ((int32_t)(vocab))
#define END_ID(vocab)   ((int32_t)(vocab) + 1)

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static rc_status check_probability(double p, const char *name, rc_error *e) {
    if (p >= 0 && p < 1) return RC_OK;
    return rc_fail(e, RC_EINVAL, "sequence to sequence: %s is %g, expected a probability in [0, 1)", name, p);
}

static rc_status check_options(const rc__seq2seq_options *o, rc_error *e) {
    static const size_t most = (size_t)1 << 30;
    const char *me = "sequence to sequence";
    if (o->source_vocab < 1 || o->target_vocab < 1 || o->source_vocab > most || o->target_vocab > most)
        return rc_fail(e, RC_EINVAL, "%s: vocabularies of %zu and %zu entries, expected 1 to %zu", me, o->source_vocab,
                       o->target_vocab, most);
    if (o->shared && o->source_vocab != o->target_vocab)
        return rc_fail(e, RC_EINVAL, "%s: one vocabulary for both sides, but %zu and %zu entries", me, o->source_vocab,
                       o->target_vocab);
    if (o->embedding < 1) return rc_fail(e, RC_EINVAL, "%s: embedding is 0, expected 1 or more", me);
    if (o->copy && !o->shared) return rc_fail(e, RC_EINVAL, "%s: copying takes one vocabulary for both sides", me);
    if (o->copy && o->decoder.attention == RC__ATTENTION_NONE)
        return rc_fail(e, RC_EINVAL, "%s: copying takes attention, which says from where", me);
    if (!(o->coverage_weight >= 0 && o->coverage_weight < INFINITY))
        return rc_fail(e, RC_EINVAL, "%s: coverage_weight is %g, expected 0 or more", me, o->coverage_weight);
    rc_status s = check_probability(o->dropout_input, "dropout_input", e);
    return s == RC_OK ? check_probability(o->dropout_output, "dropout_output", e) : s;
}

static bool is_transformer(const rc_rnn_options *o) {
    const rc_cell_info *cell = rc_cell_find(o->cell);
    return cell && !cell->recurrent;
}

/* What an embedded token is multiplied by. */
static double table_scale(const rc__seq2seq_options *o, bool target) {
    bool source_tf = o->encoder.kind == RC__ENCODER_RNN && is_transformer(&o->encoder.rnn);
    bool target_tf = is_transformer(&o->decoder.rnn);
    return (target ? target_tf : source_tf) || (o->shared && (source_tf || target_tf)) ? sqrt((double)o->embedding) : 1;
}

static rc_param *add_matrix(rc_params *ps, const char *name, size_t rows, size_t cols, rc_init init, rc_error *e) {
    return rc_params_add(ps, name, 2, (size_t[2]){rows, cols}, init, e);
}

static rc_param *add_table(rc_params *ps, const char *name, const rc__seq2seq_options *o, bool target, rc_error *e) {
    bool tied = o->tied && (target || o->shared);
    size_t rows = (target ? o->target_vocab : o->source_vocab) + 2;
    double scale = table_scale(o, target), deviation = scale > 1 ? 1 / scale : 0.4;
    rc_param *p = add_matrix(ps, name, rows, o->embedding, (rc_init){.kind = RC_INIT_NORMAL, .value = deviation}, e);
    if (!p) return NULL;
    p->no_decay = true;
    p->sparse = !tied && rows > SPARSE_ROWS;
    return p;
}

static rc_status add_tables(rc__seq2seq_net *net, rc_error *e) {
    const rc__seq2seq_options *o = &net->o;
    net->source_table = add_table(net->params, o->shared ? "embedding.weight" : "source.embedding.weight", o, false, e);
    if (!net->source_table) return RC_ENOMEM;
    net->target_table = o->shared ? net->source_table : add_table(net->params, "target.embedding.weight", o, true, e);
    return net->target_table ? RC_OK : RC_ENOMEM;
}

static rc_status add_softmax(rc__seq2seq_net *net, rc_error *e) {
    const rc__seq2seq_options *o = &net->o;
    size_t W = rc__decoder_width(net->decoder), V = o->target_vocab + 2;
    rc_init xavier = {.kind = RC_INIT_XAVIER_UNIFORM}, zero = {.kind = RC_INIT_ZEROS};
    rc_init logits = {.kind = RC_INIT_UNIFORM, .value = 1 / sqrt((double)W)};
    if (!is_transformer(&o->decoder.rnn)) logits = (rc_init){.kind = RC_INIT_NORMAL, .value = 0.3};
    if (o->tied && W != o->embedding &&
        !(net->adapter = add_matrix(net->params, "adapter.weight", o->embedding, W, xavier, e)))
        return RC_ENOMEM;
    net->head_w = o->tied ? net->target_table : add_matrix(net->params, "head.weight", V, W, logits, e);
    if (!net->head_w || !(net->head_b = rc_params_add(net->params, "head.bias", 1, &V, zero, e))) return RC_ENOMEM;
    net->head_b->no_decay = true;
    if (!o->copy) return RC_OK;
    size_t seen = W + rc__decoder_context(net->decoder) + o->embedding, one = 1;
    if (!(net->copy_w = add_matrix(net->params, "copy.weight", 1, seen, xavier, e))) return RC_ENOMEM;
    if (!(net->copy_b = rc_params_add(net->params, "copy.bias", 1, &one, zero, e))) return RC_ENOMEM;
    net->copy_b->no_decay = true;
    return RC_OK;
}

static rc_status declare(rc__seq2seq_net *net, rc_error *e) {
    rc__seq2seq_options *o = &net->o;
    bool recurrent = !is_transformer(&o->decoder.rnn);
    bool last = o->encoder.kind == RC__ENCODER_RNN && !is_transformer(&o->encoder.rnn);
    o->encoder.input_size = o->embedding;
    o->encoder.pool = !recurrent ? 0 : last ? RC__POOL_LAST : RC__POOL_MEAN;
    rc_status s = add_tables(net, e);
    if (s == RC_OK) s = rc__encoder_new(&net->encoder, net->params, "encoder.", &o->encoder, e);
    if (s != RC_OK) return s;
    o->encoder = *rc__encoder_get_options(net->encoder);
    o->decoder.input_size = o->embedding;
    o->decoder.memory_size = rc__encoder_width(net->encoder);
    o->decoder.bridge_size = rc__encoder_pooled(net->encoder);
    s = rc__decoder_new(&net->decoder, net->params, "decoder.", &o->decoder, e);
    if (s != RC_OK) return s;
    o->decoder = *rc__decoder_get_options(net->decoder);
    return add_softmax(net, e);
}

rc_status rc__seq2seq_declare(rc__seq2seq_net *net, rc_params *ps, const rc__seq2seq_options *o, rc_error *e) {
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    *net = (rc__seq2seq_net){.o = *o, .params = ps};
    e->code = RC_OK;
    rc_status s = check_options(o, e);
    if (s == RC_OK) s = declare(net, e);
    if (s == RC_OK) return RC_OK;
    rc__seq2seq_net_free(net);
    return e->code != RC_OK ? e->code : s;
}

void rc__seq2seq_net_free(rc__seq2seq_net *net) {
    rc__encoder_free(net->encoder);
    rc__decoder_free(net->decoder);
    *net = (rc__seq2seq_net){0};
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static rc_var *embed(rc_tape *t, const rc__seq2seq_net *net, bool target, const int32_t *ids, size_t T, size_t n) {
    rc_var *table = rc_param_var(t, target ? net->target_table : net->source_table);
    rc_var *x = rc_embedding(t, ids, 2, (size_t[2]){T, n}, table);
    double scale = table_scale(&net->o, target);
    if (scale != 1) x = rc_scale(t, x, scale, 0);
    return net->o.dropout_input > 0 ? rc_dropout(t, x, net->o.dropout_input) : x;
}

static rc__memory encode(rc_tape *t, const rc__seq2seq_net *net, const int32_t *source, const int32_t *lengths,
                         size_t T, size_t n) {
    rc__memory m = {.lengths = lengths};
    rc_var *x = embed(t, net, false, source, T, n);
    m.steps = rc__encoder_forward(t, net->encoder, x, lengths, net->o.encoder.pool ? &m.bridge : NULL);
    return m;
}

/* What the decoder makes of a batch, and what the copy mechanism reads beside it. Packed rows. */
typedef struct written {
    rc_var *rows, *y;
    rc__decoder_more more;
} written;

static written write_down(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b) {
    rc__memory m = encode(t, net, b->source, b->source_lengths, b->source_len, b->n);
    rc_var *y = embed(t, net, true, b->target_in, b->target_len, b->n);
    written w = {.more.want_weights = net->o.copy};
    w.rows = rc__decoder_forward(t, net->decoder, y, b->target_lengths, &m, &w.more);
    if (net->o.copy) w.y = rc_pack_rows(t, y, b->target_lengths);
    return w;
}

/* The logit of writing from the vocabulary, not from the source (See et al. 2017, eq. 8): rows (n, W), context, y ->
 * (n, 1). */
static rc_var *copy_gate(rc_tape *t, const rc__seq2seq_net *net, rc_var *rows, rc_var *context, rc_var *y) {
    rc_var *seen[3] = {rows, y, context};
    rc_var *x = rc_concat(t, context ? 3 : 2, seen, -1);
    return rc_linear(t, x, rc_param_var(t, net->copy_w), rc_param_var(t, net->copy_b));
}

static rc_var *before_softmax(rc_tape *t, const rc__seq2seq_net *net, rc_var *rows) {
    return net->adapter ? rc_linear(t, rows, rc_param_var(t, net->adapter), NULL) : rows;
}

/* (target_len, n) -> packed rows */
static int32_t *pack_targets(rc_tape *t, const rc__seq2seq_batch *b, size_t rows) {
    int32_t *out = rc__tape_alloc(t, rows * sizeof *out), *to = out;
    for (size_t i = 0; out && i < b->n; i++)
        for (size_t s = 0; s < (size_t)b->target_lengths[i]; s++) *to++ = b->target_out[s * b->n + i];
    return out;
}

rc_var *rc__seq2seq_loss(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b, double smoothing,
                         double *nll_sum, size_t *count) {
    bool training = rc_tape_get_mode(t).training;
    written w = write_down(t, net, b);
    if (!rc__alive(t, "sequence to sequence", 1, w.rows)) return rc__dead(t);
    int32_t *targets = pack_targets(t, b, w.rows->dim[0]);
    if (!targets) return rc__dead(t);
    rc_var *x = before_softmax(t, net, w.rows), *head = rc_param_var(t, net->head_w),
           *bias = rc_param_var(t, net->head_b);
    if (net->o.dropout_output > 0) x = rc_dropout(t, x, net->o.dropout_output);
    rc_loss_options lo = rc_loss_options_default();
    if (training) lo.label_smoothing = smoothing;
    rc_var *loss;
    if (net->o.copy) {
        rc_var *gate = copy_gate(t, net, w.rows, w.more.context, w.y);
        rc_var *copied = rc__copied(t, w.more.weights, b->target_lengths, b->n, b->source, b->source_lengths, targets);
        loss = rc__mixed_cross_entropy(t, x, head, bias, gate, copied, targets, &lo, nll_sum, count);
    } else {
        loss = rc_linear_cross_entropy(t, x, head, bias, targets, &lo, nll_sum, count);
    }
    if (!training || !w.more.coverage_loss || net->o.coverage_weight == 0) return loss;
    return rc_add(t, loss, rc_scale(t, w.more.coverage_loss, net->o.coverage_weight, 0));
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

/* The source of each row, for copying. */
typedef struct row_sources {
    const int32_t *ids; /* (T, n) */
    size_t n;
    const int32_t *lengths;
    const uint32_t *sentence; /* (rows) */
} row_sources;

static double log_sigmoid(double x) { return (x < 0 ? x : 0) - log1p(exp(-fabs(x))); }

static rc_real add_logs(rc_real a, rc_real b) {
    rc_real most = a > b ? a : b, least = a > b ? b : a;
    return most == -(rc_real)INFINITY ? most : most + (rc_real)log1p(exp((double)(least - most)));
}

/* p = on softmax + off (attention on each token's places), in logarithms, of one row. mass: (V), zeros, and is
 * again. */
static void mix_copies(size_t T_row, size_t stride, const int32_t *ids, const rc_real *weights, double gate, size_t V,
                       rc_real *logp, rc_real *mass) {
    rc_real on = (rc_real)log_sigmoid(gate), off = (rc_real)log_sigmoid(-gate);
    for (size_t v = 0; v < V; v++) logp[v] += on;
    for (size_t j = 0; j < T_row; j++) mass[ids[j * stride]] += weights[j];
    for (size_t j = 0; j < T_row; j++) {
        int32_t id = ids[j * stride];
        if (mass[id] > 0) logp[id] = add_logs(logp[id], off + (rc_real)log((double)mass[id]));
        mass[id] = 0;
    }
}

/* Log probabilities (rows, V) of all next tokens. context, y, weights: for copying. */
static rc_var *log_probabilities(rc_tape *t, const rc__seq2seq_net *net, rc_var *rows, rc_var *context, rc_var *y,
                                 const rc_real *weights, size_t weights_ld, const row_sources *from) {
    rc_var *x = before_softmax(t, net, rows);
    rc_var *logits = rc_linear(t, x, rc_param_var(t, net->head_w), rc_param_var(t, net->head_b));
    rc_var *logp = rc_log_softmax(t, logits);
    if (!net->o.copy) return logp;
    rc_var *gate = copy_gate(t, net, rows, context, y);
    if (!rc__alive(t, "copy", 2, logp, gate)) return rc__dead(t);
    size_t V = logp->dim[1];
    rc_real *mass = rc__tape_alloc(t, V * sizeof *mass);
    if (!mass) return rc__dead(t);
    memset(mass, 0, V * sizeof *mass);
    for (size_t r = 0; r < logp->dim[0]; r++) {
        uint32_t b = from->sentence[r];
        mix_copies((size_t)from->lengths[b], from->n, from->ids + b, weights + r * weights_ld, (double)gate->x[r], V,
                   logp->x + r * V, mass);
    }
    return logp;
}

static int32_t best_token(size_t vocab, const rc_real *logp) {
    size_t best = 0;
    for (size_t v = 1; v < vocab; v++)
        if (logp[v] > logp[best]) best = v;
    return (int32_t)best;
}

/* What the model says at each packed row: of the vocabulary's tokens, since begin and end are no input in the
 * middle. */
static bool say(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b, int32_t *said) {
    written w = write_down(t, net, b);
    if (!rc__alive(t, "scheduled sampling", 1, w.rows)) return false;
    size_t N = w.rows->dim[0], r = 0;
    uint32_t *sentence = rc__tape_alloc(t, N * sizeof *sentence);
    if (!sentence) return false;
    for (size_t i = 0; i < b->n; i++)
        for (int32_t s = 0; s < b->target_lengths[i]; s++) sentence[r++] = (uint32_t)i;
    for (size_t at = 0; at < N; at += LOGIT_ROWS) {
        size_t n = N - at < LOGIT_ROWS ? N - at : LOGIT_ROWS, ld = w.more.weights ? w.more.weights->dim[1] : 0;
        row_sources from = {b->source, b->n, b->source_lengths, sentence + at};
        rc_var *context = w.more.context ? rc_slice(t, w.more.context, 0, at, n) : NULL;
        rc_var *logp =
            log_probabilities(t, net, rc_slice(t, w.rows, 0, at, n), context, w.y ? rc_slice(t, w.y, 0, at, n) : NULL,
                              w.more.weights ? w.more.weights->x + at * ld : NULL, ld, &from);
        if (!logp->len) return false;
        for (size_t i = 0; i < n; i++) said[at + i] = best_token(net->o.target_vocab, logp->x + i * logp->dim[1]);
    }
    return true;
}

rc_status rc__seq2seq_sample_inputs(rc_tape *t, const rc__seq2seq_net *net, const rc__seq2seq_batch *b,
                                    int32_t *target_in, double p, rc_rng *rng, rc_error *e) {
    size_t rows = 0;
    for (size_t i = 0; i < b->n; i++) rows += (size_t)b->target_lengths[i];
    if (p <= 0 || rows == 0) return RC_OK;
    rc_tape_begin(t, (rc_tape_mode){0});
    int32_t *said = rc__tape_alloc(t, rows * sizeof *said);
    if (!said || !say(t, net, b, said)) return rc_tape_status(t, e);
    const int32_t *of = said;
    for (size_t i = 0; i < b->n; of += b->target_lengths[i], i++)
        for (size_t s = 1; s < (size_t)b->target_lengths[i]; s++)
            if (rc_rng_uniform(rng) < p) target_in[s * b->n + i] = of[s - 1];
    return RC_OK;
}

/* ---- a search's steps -------------------------------------------------------------------------------------------- */

typedef struct member { /* of an ensemble */
    const rc__seq2seq_net *net;
    rc_tape *tape;
    rc__decoding *decoding;
} member;

struct rc__seq2seq_run {
    size_t n_members, n, rows, T, V, width, context, embedding; /* widths: the largest of the members */
    member *members;
    int32_t *source, *lengths;         /* copies */
    rc_real *y, *out, *seen, *weights; /* of a step: (rows, .) each, of one member after the other */
};

static rc_status check_run(const rc__seq2seq_net *const *nets, size_t n_nets, size_t n, size_t T, const int32_t *source,
                           const int32_t *lengths, size_t rows, rc_error *e) {
    if (n_nets < 1 || n < 1 || T < 1 || rows < n)
        return rc_fail(e, RC_EINVAL,
                       "decoding: %zu networks, %zu sources of %zu tokens, %zu rows: expected 1 or more, and a row for "
                       "each source",
                       n_nets, n, T, rows);
    const rc__seq2seq_options *a = &nets[0]->o;
    for (size_t i = 1; i < n_nets; i++)
        if (nets[i]->o.source_vocab != a->source_vocab || nets[i]->o.target_vocab != a->target_vocab)
            return rc_fail(e, RC_EINVAL,
                           "decoding: network %zu has vocabularies of %zu and %zu entries, the first %zu and %zu: an "
                           "ensemble takes the same ones",
                           i + 1, nets[i]->o.source_vocab, nets[i]->o.target_vocab, a->source_vocab, a->target_vocab);
    for (size_t b = 0; b < n; b++) {
        if (lengths[b] < 1 || (size_t)lengths[b] > T)
            return rc_fail(e, RC_EINVAL, "decoding: source %zu has %d tokens, expected 1 to %zu", b, (int)lengths[b],
                           T);
        for (size_t s = 0; s < (size_t)lengths[b]; s++)
            if (source[s * n + b] < 0 || (size_t)source[s * n + b] > a->source_vocab + 1)
                return rc_fail(e, RC_EINVAL, "decoding: token %zu of source %zu is %d, expected 0 to %zu", s, b,
                               (int)source[s * n + b], a->source_vocab + 1);
    }
    return RC_OK;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static rc_status begin_member(rc__seq2seq_run *r, member *m, rc_error *e) {
    rc_status s = rc_tape_new(&m->tape, e);
    if (s != RC_OK) return s;
    rc_tape_begin(m->tape, (rc_tape_mode){0});
    rc__memory memory = encode(m->tape, m->net, r->source, r->lengths, r->T, r->n);
    s = rc_tape_status(m->tape, e);
    return s == RC_OK ? rc__decoding_new(&m->decoding, m->net->decoder, m->tape, &memory, r->rows, e) : s;
}

static rc_status begin_run(rc__seq2seq_run *r, const rc__seq2seq_net *const *nets, const int32_t *source,
                           const int32_t *lengths, rc_error *e) {
    r->members = rc__calloc(r->n_members, sizeof *r->members);
    r->source = rc__calloc(r->T * r->n, sizeof *r->source);
    r->lengths = rc__calloc(r->n, sizeof *r->lengths);
    if (!r->members || !r->source || !r->lengths) return rc_fail(e, RC_ENOMEM, "decoding: out of memory");
    memcpy(r->lengths, lengths, r->n * sizeof *lengths);
    for (size_t b = 0; b < r->n; b++)
        for (size_t s = 0; s < (size_t)lengths[b]; s++) r->source[s * r->n + b] = source[s * r->n + b];
    for (size_t i = 0; i < r->n_members; i++) {
        r->members[i].net = nets[i];
        r->width = larger(r->width, rc__decoder_width(nets[i]->decoder));
        r->context = larger(r->context, larger(rc__decoder_context(nets[i]->decoder), 1));
        r->embedding = larger(r->embedding, nets[i]->o.embedding);
    }
    r->y = rc__calloc(r->rows * r->embedding, sizeof *r->y);
    r->out = rc__calloc(r->rows * r->width, sizeof *r->out);
    r->seen = rc__calloc(r->rows * r->context, sizeof *r->seen);
    r->weights = rc__calloc(r->rows * r->T, sizeof *r->weights);
    if (!r->y || !r->out || !r->seen || !r->weights)
        return rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu rows", r->rows);
    rc_status s = RC_OK;
    for (size_t i = 0; i < r->n_members && s == RC_OK; i++) s = begin_member(r, &r->members[i], e);
    return s;
}

rc_status rc__seq2seq_run_new(rc__seq2seq_run **out, const rc__seq2seq_net *const *nets, size_t n_nets, size_t n,
                              size_t source_len, const int32_t *source, const int32_t *source_lengths, size_t rows,
                              rc_error *e) {
    *out = NULL;
    rc_status s = check_run(nets, n_nets, n, source_len, source, source_lengths, rows, e);
    if (s != RC_OK) return s;
    rc__seq2seq_run *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "decoding: out of memory");
    r->n_members = n_nets;
    r->n = n;
    r->rows = rows;
    r->T = source_len;
    r->V = nets[0]->o.target_vocab + 2;
    s = begin_run(r, nets, source, source_lengths, e);
    if (s != RC_OK) {
        rc__seq2seq_run_free(r);
        return s;
    }
    *out = r;
    return RC_OK;
}

void rc__seq2seq_run_free(rc__seq2seq_run *r) {
    if (!r) return;
    for (size_t i = 0; r->members && i < r->n_members; i++) {
        rc__decoding_free(r->members[i].decoding);
        rc_tape_free(r->members[i].tape);
    }
    rc__free(r->members, r->n_members * sizeof *r->members);
    rc__free(r->source, r->T * r->n * sizeof *r->source);
    rc__free(r->lengths, r->n * sizeof *r->lengths);
    rc__free(r->y, r->rows * r->embedding * sizeof *r->y);
    rc__free(r->out, r->rows * r->width * sizeof *r->out);
    rc__free(r->seen, r->rows * r->context * sizeof *r->seen);
    rc__free(r->weights, r->rows * r->T * sizeof *r->weights);
    rc__free(r, sizeof *r);
}

/* *out: (rows, V) on the member's tape; weights are in r->weights when they were made. */
static rc_status member_step(rc__seq2seq_run *r, member *m, size_t rows, const uint32_t *sentence,
                             const uint32_t *parent, const int32_t *token, bool weights, rc_var **out, rc_error *e) {
    const rc__seq2seq_net *net = m->net;
    size_t E = net->o.embedding;
    rc_real scale = (rc_real)table_scale(&net->o, true);
    for (size_t i = 0; i < rows; i++)
        for (size_t x = 0; x < E; x++) r->y[i * E + x] = scale * net->target_table->w[(size_t)token[i] * E + x];
    rc_status s = rc__decoding_step(m->decoding, rows, sentence, parent, r->y, r->out, r->seen,
                                    weights || net->o.copy ? r->weights : NULL, r->T, e);
    if (s != RC_OK) return s;
    rc_tape *t = m->tape;
    rc_tape_begin(t, (rc_tape_mode){0});
    size_t W = rc__decoder_width(net->decoder), C = rc__decoder_context(net->decoder);
    rc_var *v = rc_input(t, 2, (size_t[2]){rows, W}, r->out);
    rc_var *context = C ? rc_input(t, 2, (size_t[2]){rows, C}, r->seen) : NULL;
    rc_var *y = rc_input(t, 2, (size_t[2]){rows, E}, r->y);
    row_sources from = {r->source, r->n, r->lengths, sentence};
    *out = log_probabilities(t, net, v, context, y, r->weights, r->T, &from);
    return rc_tape_status(t, e);
}

/* Probabilities are averaged: log (1/k sum exp). */
static void join(size_t n, const rc_real *x, rc_real *sum) {
    for (size_t i = 0; i < n; i++) sum[i] = add_logs(sum[i], x[i]);
}

static rc_status run_step(void *ctx, size_t rows, const uint32_t *sentence, const uint32_t *parent,
                          const int32_t *token, rc_real *logp, rc_real *attention, size_t stride, rc_error *e) {
    rc__seq2seq_run *r = ctx;
    size_t V = r->V, cols = stride < r->T ? stride : r->T;
    if (rows < 1 || rows > r->rows)
        return rc_fail(e, RC_EINVAL, "decoding: %zu rows, expected 1 to %zu", rows, r->rows);
    for (size_t i = 0; i < rows; i++)
        if (token[i] < 0 || (size_t)token[i] >= V)
            return rc_fail(e, RC_EINVAL, "decoding: row %zu: token %d, expected 0 to %zu", i, (int)token[i], V - 1);
    if (attention) memset(attention, 0, rows * stride * sizeof *attention);
    for (size_t k = 0; k < r->n_members; k++) {
        rc_var *p;
        rc_status s = member_step(r, &r->members[k], rows, sentence, parent, token, attention != NULL, &p, e);
        if (s != RC_OK) return s;
        if (k)
            join(rows * V, p->x, logp);
        else
            memcpy(logp, p->x, rows * V * sizeof *logp);
        for (size_t i = 0; attention && i < rows; i++)
            for (size_t j = 0; j < cols; j++)
                attention[i * stride + j] += r->weights[i * r->T + j] / (rc_real)r->n_members;
    }
    rc_real all = (rc_real)log((double)r->n_members);
    for (size_t i = 0; r->n_members > 1 && i < rows * V; i++) logp[i] -= all;
    for (size_t i = 0; i < rows; i++) logp[i * V + V - 2] = -(rc_real)INFINITY; /* begin is never written */
    return RC_OK;
}

rc__beam_model rc__seq2seq_beam_model(rc__seq2seq_run *r) {
    size_t vocab = r->V - 2;
    return (rc__beam_model){.ctx = r, .vocab = r->V, .begin = BEGIN_ID(vocab), .end = END_ID(vocab), .step = run_step};
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc__seq2seq_explain(const rc__seq2seq_net *net, size_t batch, size_t seq_len, char *out, size_t cap) {
    const rc__seq2seq_options *o = &net->o;
    int n = snprintf(out, cap, "encoder: %zu ids as rows of %zu%s\n", o->source_vocab + 2, o->embedding,
                     o->shared ? ", one table for both sides" : "");
    size_t at = n < 0 ? 0 : (size_t)n;
    at += rc__encoder_explain(net->encoder, batch, seq_len, at < cap ? out + at : NULL, at < cap ? cap - at : 0);
    n = snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0, "decoder: %zu ids as rows of %zu%s\n",
                 o->target_vocab + 2, o->embedding,
                 o->decoder.bridge_size ? ", begins with the encoder's final vector through a bridge" : "");
    at += n < 0 ? 0 : (size_t)n;
    at += rc__decoder_explain(net->decoder, batch, seq_len, at < cap ? out + at : NULL, at < cap ? cap - at : 0);
    n = snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0,
                 "softmax: %s%zu -> %zu, fused with the cross-entropy%s\n",
                 o->tied ? "tied to the target's table, " : "", net->head_w->dim[1], net->head_w->dim[0],
                 o->copy ? ", mixed with the attention on the source's tokens" : "");
    return at + (n < 0 ? 0 : (size_t)n);
}
