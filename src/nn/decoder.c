/* decoder.c - see decoder.h. One function, body(), is a decoder's way through any number of steps: all of a batch in
 * training, one in decoding, and one after the other with input feeding. */
#include "nn/decoder.h"
#include <stdio.h>
#include <string.h>
#include "autograd/align.h"
#include "autograd/tape_internal.h"
#include "nn/attend.h"
#include "nn/declare.h"
#include "nn/kv_tree.h"

struct rc__decoder {
    rc__decoder_options o;
    rc_rnn *lower,
        *upper; /* layers below the attention, and the one above; NULL with one layer, or without attention */
    rc__attention *attend;   /* NULL: none */
    rc__transformer *blocks; /* a Transformer: what all is; then L, width and o alone are set */
    rc_param *bridge_w, *bridge_b, *output_w, *gate_w, *gate_b;
    size_t L, P, H, width, context; /* layers; width of h and of c (0: none) */
};

/* ---- making ------------------------------------------------------------------------------------------------------ */

static rc_param *add(rc_params *ps, const char *prefix, const char *name, size_t rows, size_t cols, rc_init init, rc_error *e) {
    return rc__declare(ps, prefix, name, cols ? 2 : 1, (size_t[2]){rows, cols}, init, e);
}

static rc_status check(const rc__decoder_options *o, rc_error *e) {
    if (o->input_size < 1) return rc_fail(e, RC_EINVAL, "decoder: input_size is 0");
    if (o->rnn.bidirectional || o->rnn.reverse)
        return rc_fail(e, RC_EINVAL, "decoder: %s layers would see the tokens they are to write",
                       o->rnn.bidirectional ? "bidirectional" : "reversed");
    if (o->attention < RC__ATTENTION_NONE || o->attention > RC__ATTENTION_LOCATION)
        return rc_fail(e, RC_EINVAL, "decoder: unknown attention %d", (int)o->attention);
    const rc_cell_info *kind = rc_cell_find(o->rnn.cell);
    bool blocks = kind && !kind->recurrent;
    if (blocks && (o->input_feeding || o->coverage || o->monotonic || o->attention == RC__ATTENTION_NONE))
        return rc_fail(e, RC_EINVAL,
                       "decoder: %s is of recurrent decoders; a Transformer attends with its own heads in each block",
                       o->input_feeding ? "input feeding"
                       : o->coverage    ? "coverage"
                       : o->monotonic   ? "monotonic attention"
                                        : "attention none");
    if (o->attention == RC__ATTENTION_NONE && (o->input_feeding || o->coverage || o->monotonic))
        return rc_fail(e, RC_EINVAL, "decoder: %s is of attention, but attention is none",
                       o->input_feeding ? "input feeding"
                       : o->coverage    ? "coverage"
                                        : "monotonic");
    if (o->attention != RC__ATTENTION_NONE && o->memory_size < 1)
        return rc_fail(e, RC_EINVAL, "decoder: attention without a memory: memory_size is 0");
    if (!(o->attention_dropout >= 0 && o->attention_dropout < 1))
        return rc_fail(e, RC_EINVAL, "decoder: attention_dropout is %g, expected a probability in [0, 1)",
                       o->attention_dropout);
    if (o->input_feeding && (o->rnn.recurrent_dropout > 0 || o->rnn.weight_drop > 0 || o->rnn.dropout_sequence))
        return rc_fail(e, RC_EINVAL,
                       "decoder: with input feeding each step is a call of its own, and %s has one mask for all steps",
                       o->rnn.recurrent_dropout > 0 ? "recurrent_dropout"
                       : o->rnn.weight_drop > 0     ? "weight_drop"
                                                    : "dropout_sequence");
    return RC_OK;
}

static rc_status declare_upper(rc__decoder *d, rc_params *ps, const char *prefix, rc_error *e) {
    char name[256];
    rc_rnn_options upper = d->o.rnn;
    upper.num_layers = 1;
    upper.input_size = d->P + d->context;
    snprintf(name, sizeof name, "%supper.", prefix);
    rc_status s = rc_rnn_new(&d->upper, ps, name, &upper, e);
    if (s != RC_OK || d->o.rnn.skip != RC_SKIP_HIGHWAY) return s;
    rc_init xavier = {.kind = RC_INIT_XAVIER_UNIFORM}, one = {.kind = RC_INIT_CONSTANT, .value = 1};
    d->gate_w = add(ps, prefix, "upper.weight_gate", d->P, d->P, xavier, e);
    if (d->gate_w) d->gate_b = add(ps, prefix, "upper.bias_gate", d->P, 0, one, e);
    return d->gate_b ? RC_OK : RC_ENOMEM;
}

static rc_status declare_blocks(rc__decoder *d, rc_params *ps, const char *prefix, rc_error *e) {
    rc__decoder_options *o = &d->o;
    o->rnn.input_size = o->input_size;
    if (o->rnn.attention_dropout == 0) o->rnn.attention_dropout = o->attention_dropout;
    rc_status s = rc__transformer_new(&d->blocks, ps, prefix, &o->rnn, o->memory_size, e);
    if (s != RC_OK) return s;
    o->rnn = *rc__transformer_get_options(d->blocks);
    o->rnn.cell = rc_cell_find("transformer")->name;
    o->attention = RC__ATTENTION_MULTIHEAD;
    o->bridge_size = 0;
    d->L = (size_t)o->rnn.num_layers;
    d->width = o->rnn.hidden_size;
    return RC_OK;
}

static rc_status declare(rc__decoder *d, rc_params *ps, const char *prefix, rc_error *e) {
    const rc_cell_info *kind = rc_cell_find(d->o.rnn.cell);
    if (kind && !kind->recurrent) return declare_blocks(d, ps, prefix, e);
    char name[256];
    rc__decoder_options *o = &d->o;
    bool attends = o->attention != RC__ATTENTION_NONE;
    rc_init xavier = {.kind = RC_INIT_XAVIER_UNIFORM}, zero = {.kind = RC_INIT_ZEROS};
    d->L = o->rnn.num_layers < 1 ? 0 : (size_t)o->rnn.num_layers;
    if (o->bridge_size) o->rnn.learn_initial_state = false;
    rc_rnn_options lower = o->rnn;
    lower.num_layers = attends && d->L > 1 ? (int)d->L - 1 : (int)d->L;
    lower.input_size = o->input_size + (o->input_feeding ? o->rnn.hidden_size : 0);
    rc_status s = rc_rnn_new(&d->lower, ps, prefix, &lower, e);
    if (s != RC_OK) return s;
    const rc_cell_info *cell = rc_cell_find(lower.cell);
    o->rnn = *rc_rnn_get_options(d->lower); /* completed */
    o->rnn.cell = cell->name;
    o->rnn.num_layers = (int)d->L;
    d->P = rc_rnn_state_size(d->lower);
    d->H = cell->has_c ? o->rnn.hidden_size : 0;
    d->width = d->P;
    if (attends) {
        snprintf(name, sizeof name, "%sattention.", prefix);
        if ((s = rc__attention_new(&d->attend, ps, name, d->P, o, e)) != RC_OK) return s;
        d->context = rc__attention_width(d->attend);
        d->width = o->rnn.hidden_size;
        if (d->L > 1 && (s = declare_upper(d, ps, prefix, e)) != RC_OK) return s;
        d->output_w = add(ps, prefix, "output.weight", d->width, d->P + d->context, xavier, e);
        if (!d->output_w) return RC_ENOMEM;
    }
    if (o->bridge_size) {
        d->bridge_w = add(ps, prefix, "bridge.weight", d->L * (d->P + d->H), o->bridge_size, xavier, e);
        if (d->bridge_w) d->bridge_b = add(ps, prefix, "bridge.bias", d->L * (d->P + d->H), 0, zero, e);
        if (!d->bridge_b) return RC_ENOMEM;
    }
    return RC_OK;
}

rc_status rc__decoder_new(rc__decoder **out, rc_params *ps, const char *prefix, const rc__decoder_options *o,
                          rc_error *e) {
    *out = NULL;
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    rc_status s = check(o, e);
    if (s != RC_OK) return s;
    rc__decoder *d = rc__calloc(1, sizeof *d);
    if (!d) return rc_fail(e, RC_ENOMEM, "decoder: out of memory");
    d->o = *o;
    e->code = RC_OK;
    s = declare(d, ps, prefix, e);
    if (s != RC_OK) {
        rc__decoder_free(d);
        return e->code != RC_OK ? e->code : s;
    }
    *out = d;
    return RC_OK;
}

void rc__decoder_free(rc__decoder *d) {
    if (!d) return;
    rc_rnn_free(d->lower);
    rc_rnn_free(d->upper);
    rc__attention_free(d->attend);
    rc__transformer_free(d->blocks);
    rc__free(d, sizeof *d);
}

const rc__decoder_options *rc__decoder_get_options(const rc__decoder *d) { return &d->o; }
size_t rc__decoder_width(const rc__decoder *d) { return d->width; }
size_t rc__decoder_context(const rc__decoder *d) { return d->context; }

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Where a batch of B rows stands; NULL = the start. */
typedef struct progress {
    rc_var *h[2], *c[2];     /* of lower and upper: (layers, B, width) */
    rc_var *fed;             /* (1, B, width): what came out of the step before, with input feeding */
    rc__attention_past past; /* (B, longest) */
} progress;

typedef struct looked {
    rc_var *context, *weights; /* NULL where there is none */
    bool want_weights;
    rc_real *plain; /* in: see rc__attention_want */
} looked;

static rc_var *layers_of(rc_tape *t, rc_var *x, size_t at, size_t layers, size_t width) {
    size_t B = x->ndim == 2 ? x->dim[0] : 0;
    rc_var *part = rc_reshape(t, rc_slice(t, x, 1, at * width, layers * width), 3, (size_t[3]){B, layers, width});
    return rc_transpose(t, part, (int[3]){1, 0, 2});
}

/* h and c of every layer: tanh(W bridge + b), all h first. */
static progress start(rc_tape *t, const rc__decoder *d, rc_var *bridge, size_t B) {
    progress p = {0};
    if (d->o.input_feeding) p.fed = rc_zeros(t, 3, (size_t[3]){1, B, d->width});
    if (!d->bridge_w) return p;
    rc_var *all = rc_tanh(t, rc_linear(t, bridge, rc_param_var(t, d->bridge_w), rc_param_var(t, d->bridge_b)));
    size_t low = d->upper ? d->L - 1 : d->L;
    rc_var *h = rc_slice(t, all, 1, 0, d->L * d->P), *c = d->H ? rc_slice(t, all, 1, d->L * d->P, d->L * d->H) : NULL;
    p.h[0] = layers_of(t, h, 0, low, d->P);
    if (d->upper) p.h[1] = layers_of(t, h, low, 1, d->P);
    if (c) p.c[0] = layers_of(t, c, 0, low, d->H);
    if (c && d->upper) p.c[1] = layers_of(t, c, low, 1, d->H);
    return p;
}

static rc_var *drop(rc_tape *t, const rc__decoder *d, rc_var *x) {
    double p = d->o.rnn.dropout;
    if (p == 0) return x;
    return d->o.rnn.dropout_sequence ? rc_dropout_sequence(t, x, p) : rc_dropout(t, x, p);
}

/* The layer above the attention: rows (N, P) of the one below and what was attended to -> (N, P). */
static rc_var *above(rc_tape *t, const rc__decoder *d, rc_var *rows, rc_var *context, const int32_t *lengths, size_t S,
                     size_t B, progress *p) {
    rc_var *x = rc_concat(t, 2, (rc_var *[2]){rows, context}, -1);
    x = drop(t, d, rc_unpack_rows(t, x, lengths, S, B));
    rc_var *f = rc_rnn_forward_vars(t, d->upper, x, lengths, p->h[1], p->c[1], &p->h[1], d->H ? &p->c[1] : NULL);
    f = rc_pack_rows(t, f, lengths);
    if (d->o.rnn.skip == RC_SKIP_RESIDUAL) return rc_add(t, rows, f);
    if (d->o.rnn.skip != RC_SKIP_HIGHWAY) return f;
    rc_var *gate = rc_sigmoid(t, rc_linear(t, rows, rc_param_var(t, d->gate_w), rc_param_var(t, d->gate_b)));
    return rc_add(t, rows, rc_mul(t, gate, rc_sub(t, f, rows)));
}

/* y (S, B, I), lengths (B) -> packed rows (N, width); p goes on, of what is attended to when S is 1 alone. */
static rc_var *body(rc_tape *t, const rc__decoder *d, rc_var *y, const int32_t *lengths, const rc__attention_memory *m,
                    progress *p, looked *l) {
    if (!rc__alive(t, "decoder", 1, y)) return rc__dead(t);
    size_t S = y->dim[0], B = y->dim[1];
    if (p->fed) y = rc_concat(t, 2, (rc_var *[2]){y, p->fed}, -1);
    rc_var *h = rc_rnn_forward_vars(t, d->lower, y, lengths, p->h[0], p->c[0], &p->h[0], d->H ? &p->c[0] : NULL);
    rc_var *rows = rc_pack_rows(t, h, lengths);
    if (!d->attend) return rows;
    bool remembers = rc__attention_remembers(d->attend);
    rc_var *weights = NULL;
    rc__attention_want want = {
        .past = p->past, .weights = l->want_weights || remembers ? &weights : NULL, .plain = l->plain};
    rc_var *context = rc__attention_look(t, d->attend, rows, lengths, m, &want);
    if (d->upper) rows = above(t, d, rows, context, lengths, S, B, p);
    rc_var *out = rc_concat(t, 2, (rc_var *[2]){rows, context}, -1);
    out = rc_tanh(t, rc_linear(t, out, rc_param_var(t, d->output_w), NULL));
    l->context = context;
    l->weights = weights;
    if (p->fed) p->fed = rc_unpack_rows(t, out, lengths, S, B);
    if (remembers && S == 1) {
        rc_var *now = rc_reshape(t, rc_unpack_rows(t, weights, lengths, 1, B), 2, (size_t[2]){B, m->longest});
        p->past.sum = p->past.sum ? rc_add(t, p->past.sum, now) : now;
        p->past.last = now;
    }
    return out;
}

/* Input feeding: each step is its own. Rows that have ended stay as they are and are left out when all are packed. */
static rc_var *one_by_one(rc_tape *t, const rc__decoder *d, rc_var *y, const int32_t *lengths,
                          const rc__attention_memory *m, progress *p, looked *l) {
    size_t S = 0, B = y->dim[1];
    for (size_t b = 0; b < B; b++)
        if ((size_t)lengths[b] > S) S = (size_t)lengths[b];
    rc_var **part[3];
    int32_t *alive = rc__tape_alloc(t, S * B * sizeof *alive);
    for (int i = 0; i < 3; i++)
        if (!(part[i] = rc__tape_alloc(t, S * sizeof *part[i]))) return rc__dead(t);
    if (!alive) return rc__dead(t);
    for (size_t s = 0; s < S; s++) {
        int32_t *now = alive + s * B;
        for (size_t b = 0; b < B; b++) now[b] = (size_t)lengths[b] > s;
        body(t, d, rc_slice(t, y, 0, s, 1), now, m, p, l);
        part[0][s] = p->fed;
        part[1][s] = rc_unpack_rows(t, l->context, now, 1, B);
        if (l->weights) part[2][s] = rc_unpack_rows(t, l->weights, now, 1, B);
        if (rc_tape_status(t, NULL) != RC_OK) return rc__dead(t);
    }
    l->context = rc_pack_rows(t, rc_concat(t, (int)S, part[1], 0), lengths);
    if (l->weights) l->weights = rc_pack_rows(t, rc_concat(t, (int)S, part[2], 0), lengths);
    return rc_pack_rows(t, rc_concat(t, (int)S, part[0], 0), lengths);
}

/* lengths as they are, or T of each of B. */
static const int32_t *all_lengths(rc_tape *t, const int32_t *lengths, size_t T, size_t B) {
    if (lengths) return lengths;
    int32_t *n = rc__tape_alloc(t, B * sizeof *n);
    for (size_t b = 0; n && b < B; b++) n[b] = (int32_t)T;
    return n;
}

/* What a memory is to whoever looks at it; its steps packed, NULL (tape marked) when they are wrong. */
static rc_var *pack_memory(rc_tape *t, const rc__decoder *d, const rc__memory *memory, rc__attention_memory *m) {
    if (!rc__alive(t, "decoder memory", 1, memory->steps)) return NULL;
    if (memory->steps->ndim != 3 || memory->steps->dim[2] != d->o.memory_size) {
        rc__op_fail(t, RC_EINVAL, "decoder", "the memory is %s, expected (T, B, %zu)",
                    rc__shape_text(memory->steps->ndim, memory->steps->dim), d->o.memory_size);
        return NULL;
    }
    m->batch = memory->steps->dim[1];
    m->lengths = all_lengths(t, memory->lengths, memory->steps->dim[0], m->batch);
    if (!m->lengths) return NULL;
    for (size_t b = 0; b < m->batch; b++)
        if (m->lengths[b] > 0 && (size_t)m->lengths[b] > m->longest) m->longest = (size_t)m->lengths[b];
    rc_var *rows = rc_pack_rows(t, memory->steps, m->lengths);
    return rows->len ? rows : NULL;
}

static bool look_at(rc_tape *t, const rc__decoder *d, const rc__memory *memory, rc__attention_memory *m) {
    if (!d->attend) return true;
    rc_var *rows = pack_memory(t, d, memory, m);
    return rows && rc__attention_project(t, d->attend, rows, m);
}

/* A Transformer. The weights, when they are wanted, are made again: those of its last block, the mean of its heads. */
static rc_var *blocks_forward(rc_tape *t, const rc__decoder *d, rc_var *y, const int32_t *lengths,
                              const rc__memory *memory, rc__decoder_more *more) {
    size_t B = y->dim[1];
    if (!rc__alive(t, "decoder memory", 1, memory->steps)) return rc__dead(t);
    if (!(lengths = all_lengths(t, lengths, y->dim[0], B))) return rc__dead(t);
    rc__transformer_memory tm = {.steps = memory->steps, .lengths = memory->lengths};
    rc_var *out = rc_pack_rows(t, rc__transformer_forward(t, d->blocks, y, lengths, &tm, NULL), lengths);
    if (!more) return out;
    more->context = more->coverage_loss = more->weights = NULL;
    rc__attention_memory m = {.batch = B, .lengths = all_lengths(t, memory->lengths, memory->steps->dim[0], B)};
    if (!more->want_weights || !m.lengths || !out->len) return out;
    for (size_t b = 0; b < B; b++)
        if ((size_t)m.lengths[b] > m.longest) m.longest = (size_t)m.lengths[b];
    m.keys = tm.keys;
    more->weights = rc__attention_weights(t, tm.query, d->o.rnn.heads, d->o.rnn.kv_heads, lengths, &m);
    return out;
}

static bool check_bridge(rc_tape *t, const rc__decoder *d, const rc__memory *memory, size_t B) {
    const rc_var *v = memory->bridge;
    if (!d->bridge_w || (v && v->ndim == 2 && v->dim[0] == B && v->dim[1] == d->o.bridge_size)) return true;
    if (!v)
        rc__op_fail(t, RC_EINVAL, "decoder", "a bridge of %zu is missing", d->o.bridge_size);
    else
        rc__op_fail(t, RC_EINVAL, "decoder", "the bridge is %s, expected (%zu, %zu)", rc__shape_text(v->ndim, v->dim),
                    B, d->o.bridge_size);
    return false;
}

rc_var *rc__decoder_forward(rc_tape *t, const rc__decoder *d, rc_var *y, const int32_t *lengths,
                            const rc__memory *memory, rc__decoder_more *more) {
    if (!rc__alive(t, "decoder", 1, y)) return rc__dead(t);
    if (y->ndim != 3 || y->dim[2] != d->o.input_size)
        return rc__op_fail(t, RC_EINVAL, "decoder", "y is %s, expected (S, B, %zu)", rc__shape_text(y->ndim, y->dim),
                           d->o.input_size);
    if (d->blocks) return blocks_forward(t, d, y, lengths, memory, more);
    rc__attention_memory m = {0};
    size_t B = y->dim[1];
    if (!check_bridge(t, d, memory, B) || !look_at(t, d, memory, &m)) return rc__dead(t);
    if (d->attend && m.batch != B)
        return rc__op_fail(t, RC_EINVAL, "decoder", "%zu rows of y, but %zu of the memory", B, m.batch);
    if (!(lengths = all_lengths(t, lengths, y->dim[0], B))) return rc__dead(t);
    for (size_t b = 0; b < B; b++)
        if (lengths[b] < 0 || (size_t)lengths[b] > y->dim[0])
            return rc__op_fail(t, RC_EINVAL, "decoder", "lengths[%zu] is %d, expected 0 to %zu", b, (int)lengths[b],
                               y->dim[0]);
    progress p = start(t, d, memory->bridge, B);
    looked l = {.want_weights = more && more->want_weights};
    rc_var *out = (d->o.input_feeding ? one_by_one : body)(t, d, y, lengths, &m, &p, &l);
    if (!more) return out;
    more->context = l.context;
    more->weights = l.weights;
    more->coverage_loss = d->o.coverage ? rc__coverage_loss(t, l.weights ? l.weights : rc__dead(t), lengths, B) : NULL;
    return out;
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

/* What a hypothesis carries: some variables of a progress, each (layers, n, width), one record after the other. */
typedef struct carried {
    rc_var **var;
    size_t layers, width;
    int ndim;
} carried;

struct rc__decoding {
    const rc__decoder *d;
    rc__kv_tree *tree; /* a Transformer; then of what follows sentences, rows, longest and begun alone are in use */
    rc_tape *tape;
    size_t sentences, rows, longest, before; /* before: rows of the call before */
    bool begun;
    size_t key_rows, record; /* rows of keys and values; elements of a record */
    rc_real *keys, *values;  /* values: keys itself when they are the same */
    size_t key_width, value_width;
    int32_t *length, *row_length, *ones; /* of sentences; of rows of this call */
    uint32_t *start, *row_start;
    rc_real *records[2]; /* (max(sentences, rows), record) of the call before, and of this one */
    rc_real *plain;      /* (rows, longest) */
};

static size_t list_carried(const rc__decoder *d, size_t longest, progress *p, carried *out) {
    size_t n = 0, low = d->upper ? d->L - 1 : d->L;
    out[n++] = (carried){&p->h[0], low, d->P, 3};
    if (d->H) out[n++] = (carried){&p->c[0], low, d->H, 3};
    if (d->upper) out[n++] = (carried){&p->h[1], 1, d->P, 3};
    if (d->upper && d->H) out[n++] = (carried){&p->c[1], 1, d->H, 3};
    if (d->o.input_feeding) out[n++] = (carried){&p->fed, 1, d->width, 3};
    if (!d->attend || !rc__attention_remembers(d->attend)) return n;
    out[n++] = (carried){&p->past.last, 1, longest, 2};
    if (d->o.coverage) out[n++] = (carried){&p->past.sum, 1, longest, 2};
    return n;
}

static void save_records(rc__decoding *s, progress *p, size_t n, rc_real *to) {
    carried list[8];
    size_t parts = list_carried(s->d, s->longest, p, list), at = 0;
    for (size_t i = 0; i < parts; i++)
        for (size_t l = 0; l < list[i].layers; l++, at += list[i].width)
            for (size_t r = 0; r < n; r++)
                memcpy(to + r * s->record + at, (*list[i].var)->x + (l * n + r) * list[i].width,
                       list[i].width * sizeof *to);
}

static bool load_records(rc__decoding *s, progress *p, size_t n, const uint32_t *from) {
    carried list[8];
    size_t parts = list_carried(s->d, s->longest, p, list), at = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t layers = list[i].layers, width = list[i].width, dim[3] = {layers, n, width};
        rc_real *x = rc__tape_alloc(s->tape, layers * n * width * sizeof *x);
        if (!x) return false;
        for (size_t l = 0; l < layers; l++, at += width)
            for (size_t r = 0; r < n; r++)
                memcpy(x + (l * n + r) * width, s->records[0] + from[r] * s->record + at, width * sizeof *x);
        *list[i].var = rc_input(s->tape, list[i].ndim, list[i].ndim == 3 ? dim : dim + 1, x);
    }
    return true;
}

/* The initial state of layers without a bridge: zero, or learnt. */
static rc_status own_start(rc_tape *t, const rc_rnn *rnn, size_t n, rc_var **h, rc_var **c, rc_error *e) {
    rc_state *s;
    rc_status status = rc_state_new(&s, rnn, n, e);
    if (status != RC_OK) return status;
    size_t rows = rc_state_h_len(s) / n / rc_rnn_state_size(rnn);
    *h = rc_zeros(t, 3, (size_t[3]){rows, n, rc_rnn_state_size(rnn)});
    if ((*h)->len) memcpy((*h)->x, rc_state_h(s), (*h)->len * sizeof(rc_real));
    if (rc_state_c(s)) {
        *c = rc_zeros(t, 3, (size_t[3]){rows, n, rc_state_c_len(s) / n / rows});
        if ((*c)->len) memcpy((*c)->x, rc_state_c(s), (*c)->len * sizeof(rc_real));
    }
    rc_state_free(s);
    return rc_tape_status(t, e);
}

/* The progress of the start, with everything that is carried as a variable. */
static rc_status explicit_start(rc_tape *t, const rc__decoder *d, const rc__memory *memory,
                                const rc__attention_memory *m, size_t n, progress *p, rc_error *e) {
    *p = start(t, d, memory->bridge, n);
    rc_status s = RC_OK;
    if (!p->h[0]) s = own_start(t, d->lower, n, &p->h[0], &p->c[0], e);
    if (s == RC_OK && d->upper && !p->h[1]) s = own_start(t, d->upper, n, &p->h[1], &p->c[1], e);
    if (s == RC_OK && d->attend && rc__attention_remembers(d->attend)) {
        p->past.last = rc_zeros(t, 2, (size_t[2]){n, m->longest});
        p->past.sum = rc_zeros(t, 2, (size_t[2]){n, m->longest});
        for (size_t b = 0; d->o.monotonic && p->past.last->len && b < n; b++) p->past.last->x[b * m->longest] = 1;
    }
    return s == RC_OK ? rc_tape_status(t, e) : s;
}

/* count elements; NULL without any, and for want of memory, which *ok tells */
static void *room(size_t count, size_t size, bool *ok) {
    size_t bytes;
    void *p = count && rc__size_mul(count, size, &bytes) ? rc__alloc(bytes) : NULL;
    if (count && !p) *ok = false;
    return p;
}

static rc_status take_memory(rc__decoding *s, const rc__attention_memory *m, rc_error *e) {
    s->longest = m->longest;
    s->key_rows = m->keys->dim[0];
    s->key_width = m->keys->dim[1];
    s->value_width = m->values->dim[1];
    bool own = m->values != m->keys, ok = true;
    s->keys = room(s->key_rows * s->key_width, sizeof *s->keys, &ok);
    if (own) s->values = room(s->key_rows * s->value_width, sizeof *s->values, &ok);
    s->length = room(s->sentences, sizeof *s->length, &ok);
    s->start = room(s->sentences, sizeof *s->start, &ok);
    s->row_length = room(s->rows, sizeof *s->row_length, &ok);
    s->row_start = room(s->rows, sizeof *s->row_start, &ok);
    s->plain = room(s->rows * s->longest, sizeof *s->plain, &ok);
    if (!ok) return rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu sentences", s->sentences);
    memcpy(s->keys, m->keys->x, s->key_rows * s->key_width * sizeof *s->keys);
    if (own) memcpy(s->values, m->values->x, s->key_rows * s->value_width * sizeof *s->values);
    uint32_t at = 0;
    for (size_t b = 0; b < s->sentences; b++) {
        s->length[b] = m->lengths[b];
        s->start[b] = at;
        at += (uint32_t)m->lengths[b];
    }
    return RC_OK;
}

static rc_status begin_decoding(rc__decoding *s, rc_tape *t, const rc__memory *memory, rc_error *e) {
    const rc__decoder *d = s->d;
    rc__attention_memory m = {0};
    if (d->blocks) {
        rc_var *steps = pack_memory(t, d, memory, &m);
        if (!steps) return rc_tape_status(t, e);
        s->longest = m.longest;
        return rc__kv_tree_new(&s->tree, d->blocks, s->rows, s->sentences, steps->x, m.lengths, e);
    }
    progress p;
    if (!check_bridge(t, d, memory, s->sentences) || !look_at(t, d, memory, &m)) return rc_tape_status(t, e);
    rc_status status = d->attend ? take_memory(s, &m, e) : RC_OK;
    if (status == RC_OK) status = explicit_start(t, d, memory, &m, s->sentences, &p, e);
    if (status == RC_OK) status = rc_tape_new(&s->tape, e);
    if (status != RC_OK) return status;
    carried list[8];
    size_t parts = list_carried(d, s->longest, &p, list), most = s->rows > s->sentences ? s->rows : s->sentences;
    for (size_t i = 0; i < parts; i++) s->record += list[i].layers * list[i].width;
    bool ok = true;
    s->records[0] = room(most * s->record, sizeof(rc_real), &ok);
    s->records[1] = room(most * s->record, sizeof(rc_real), &ok);
    s->ones = room(s->rows, sizeof *s->ones, &ok);
    if (!ok) return rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu hypotheses", s->rows);
    for (size_t r = 0; r < s->rows; r++) s->ones[r] = 1;
    save_records(s, &p, s->sentences, s->records[0]);
    return RC_OK;
}

rc_status rc__decoding_new(rc__decoding **out, const rc__decoder *d, rc_tape *t, const rc__memory *memory, size_t rows,
                           rc_error *e) {
    *out = NULL;
    const rc_var *v = memory->steps ? memory->steps : memory->bridge;
    rc_status status = rc_tape_status(t, e);
    if (status != RC_OK) return status;
    if (!v || !rows) return rc_fail(e, RC_EINVAL, "decoding: %s", v ? "no rows" : "there is neither memory nor bridge");
    rc__decoding *s = rc__calloc(1, sizeof *s);
    if (!s) return rc_fail(e, RC_ENOMEM, "decoding: out of memory");
    s->d = d;
    s->rows = rows;
    s->sentences = v->dim[v->ndim - 2];
    status = begin_decoding(s, t, memory, e);
    if (status != RC_OK) {
        rc__decoding_free(s);
        return status;
    }
    *out = s;
    return RC_OK;
}

void rc__decoding_free(rc__decoding *s) {
    if (!s) return;
    size_t most = s->rows > s->sentences ? s->rows : s->sentences;
    rc__kv_tree_free(s->tree);
    rc_tape_free(s->tape);
    rc__free(s->keys, s->key_rows * s->key_width * sizeof *s->keys);
    rc__free(s->values, s->key_rows * s->value_width * sizeof *s->values);
    rc__free(s->length, s->sentences * sizeof *s->length);
    rc__free(s->start, s->sentences * sizeof *s->start);
    rc__free(s->row_length, s->rows * sizeof *s->row_length);
    rc__free(s->row_start, s->rows * sizeof *s->row_start);
    rc__free(s->ones, s->rows * sizeof *s->ones);
    rc__free(s->plain, s->rows * s->longest * sizeof *s->plain);
    for (int i = 0; i < 2; i++) rc__free(s->records[i], most * s->record * sizeof(rc_real));
    rc__free(s, sizeof *s);
}

static rc_status check_step(const rc__decoding *s, size_t n, const uint32_t *sentence, const uint32_t *parent,
                            size_t stride, bool weights, rc_error *e) {
    if (n < 1 || n > s->rows) return rc_fail(e, RC_EINVAL, "decoding: %zu hypotheses, expected 1 to %zu", n, s->rows);
    if (weights && stride < s->longest)
        return rc_fail(e, RC_EINVAL, "decoding: a stride of %zu for weights on %zu steps", stride, s->longest);
    for (size_t i = 0; i < n; i++) {
        if (sentence[i] >= s->sentences)
            return rc_fail(e, RC_EINVAL, "decoding: hypothesis %zu is of sentence %u, there are %zu", i,
                           (unsigned)sentence[i], s->sentences);
        if (s->begun && parent[i] >= s->before)
            return rc_fail(e, RC_EINVAL, "decoding: hypothesis %zu continues %u, there were %zu", i,
                           (unsigned)parent[i], s->before);
    }
    return RC_OK;
}

/* The memory as each of n rows sees it. */
static rc__attention_memory seen_by_rows(rc__decoding *s, size_t n, const uint32_t *sentence) {
    rc__attention_memory m = {.batch = n, .longest = s->longest, .lengths = s->row_length, .start = s->row_start};
    if (!s->d->attend) return m;
    for (size_t i = 0; i < n; i++) {
        s->row_length[i] = s->length[sentence[i]];
        s->row_start[i] = s->start[sentence[i]];
    }
    m.keys = rc_input(s->tape, 2, (size_t[2]){s->key_rows, s->key_width}, s->keys);
    m.values = s->values ? rc_input(s->tape, 2, (size_t[2]){s->key_rows, s->value_width}, s->values) : m.keys;
    return m;
}

static void give_weights(const rc__decoding *s, size_t n, const rc_var *made, rc_real *weights, size_t stride) {
    const rc_real *from = made ? made->x : s->plain;
    for (size_t i = 0; i < n; i++) {
        size_t m = s->d->attend ? (size_t)s->row_length[i] : 0;
        if (m) memcpy(weights + i * stride, from, m * sizeof *weights);
        memset(weights + i * stride + m, 0, (stride - m) * sizeof *weights);
        from += made ? s->longest : m;
    }
}

static rc_status layers_step(rc__decoding *s, size_t n, const uint32_t *sentence, const uint32_t *parent,
                             const rc_real *y, rc_real *out, rc_real *context, rc_real *weights, size_t stride,
                             rc_error *e) {
    const rc__decoder *d = s->d;
    rc_tape_begin(s->tape, (rc_tape_mode){0});
    progress p = {0};
    if (!load_records(s, &p, n, s->begun ? parent : sentence)) return rc_tape_status(s->tape, e);
    rc__attention_memory m = seen_by_rows(s, n, sentence);
    looked l = {.plain = weights && d->attend ? s->plain : NULL};
    rc_var *in = rc_input(s->tape, 3, (size_t[3]){1, n, d->o.input_size}, y);
    rc_var *v = body(s->tape, d, in, s->ones, &m, &p, &l);
    rc_status status = rc_tape_status(s->tape, e);
    if (status != RC_OK) return status;
    memcpy(out, v->x, n * d->width * sizeof *out);
    if (context && l.context) memcpy(context, l.context->x, n * d->context * sizeof *out);
    if (weights) give_weights(s, n, l.weights, weights, stride);
    save_records(s, &p, n, s->records[1]);
    rc_real *swap = s->records[0];
    s->records[0] = s->records[1];
    s->records[1] = swap;
    return RC_OK;
}

rc_status rc__decoding_step(rc__decoding *s, size_t n, const uint32_t *sentence, const uint32_t *parent,
                            const rc_real *y, rc_real *out, rc_real *context, rc_real *weights, size_t stride,
                            rc_error *e) {
    rc_status status = check_step(s, n, sentence, parent, stride, weights != NULL, e);
    if (status != RC_OK) return status;
    status = s->tree ? rc__kv_tree_step(s->tree, n, sentence, parent, y, out, weights, stride, e)
                     : layers_step(s, n, sentence, parent, y, out, context, weights, stride, e);
    if (status != RC_OK) return status;
    s->begun = true;
    s->before = n;
    return RC_OK;
}

size_t rc__decoder_explain(const rc__decoder *d, size_t batch, size_t seq_len, char *out, size_t cap) {
    if (d->blocks) return rc__transformer_explain(d->blocks, batch, seq_len, out, cap);
    size_t at = rc_rnn_explain(d->lower, batch, d->o.input_feeding ? 1 : seq_len, out, cap);
    if (d->attend) at += rc__attention_explain(d->attend, at < cap ? out + at : NULL, at < cap ? cap - at : 0);
    if (d->upper) {
        int n = snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0, "above the attention: ");
        at += n < 0 ? 0 : (size_t)n;
        at += rc_rnn_explain(d->upper, batch, d->o.input_feeding ? 1 : seq_len, at < cap ? out + at : NULL,
                             at < cap ? cap - at : 0);
    }
    int n = snprintf(
        at < cap ? out + at : NULL, at < cap ? cap - at : 0, "target: %s\n",
        d->o.input_feeding ? "step by step on the tape: input feeding, each step reads what the one before wrote"
        : d->attend        ? "all steps of a layer in one call: no layer below the attention reads what it saw"
                           : "all steps of a layer in one call; no attention, the source comes through the bridge");
    return at + (n < 0 ? 0 : (size_t)n);
}
