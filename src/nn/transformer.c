/* transformer.c - blocks of attention: options, parameters, and whole sequences on a tape. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "nn/transformer_internal.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

#define MAX_CONTEXT ((size_t)1 << 16)
#define CONTEXT     256

static rc_status foreign(const char *option, rc_error *e) {
    return rc_fail(e, RC_EINVAL, "rnn: %s is for recurrent layers, cell transformer has none", option);
}

static rc_status refuse_recurrent(const rc_rnn_options *o, rc_error *e) {
    rc_rnn_options d = rc_rnn_options_default();
    if (o->proj_size) return foreign("proj_size", e);
    if (o->reverse) return foreign("reverse", e);
    if (o->decay_every) return foreign("decay_every", e);
    if (o->skip != RC_SKIP_NONE) return foreign("skip", e);
    if (o->dropout_sequence) return foreign("dropout_sequence", e);
    if (o->recurrent_dropout != 0) return foreign("recurrent_dropout", e);
    if (o->zoneout_h != 0) return foreign("zoneout_h", e);
    if (o->zoneout_c != 0) return foreign("zoneout_c", e);
    if (o->weight_drop != 0) return foreign("weight_drop", e);
    if (o->learn_initial_state) return foreign("learn_initial_state", e);
    if (o->depth != d.depth) return foreign("depth", e);
    if (o->init_ih != d.init_ih) return foreign("init_ih", e);
    if (o->init_hh != d.init_hh) return foreign("init_hh", e);
    if (o->forget_bias != d.forget_bias) return foreign("forget_bias", e);
    return RC_OK;
}

/* About 64 columns a head, as many heads as divide the width into equal ones that rotary positions can turn. */
static size_t default_heads(const rc_rnn_options *o) {
    size_t heads = o->hidden_size / 64 ? o->hidden_size / 64 : 1;
    bool even = o->positions == RC_POSITIONS_ROTARY;
    while (heads > 1 && (o->hidden_size % heads || (even && o->hidden_size / heads % 2))) heads--;
    return heads;
}

static rc_status complete(rc_rnn_options *o, rc_error *e) {
    const size_t most = RC__MAX_LAYER_WIDTH;
    if (!o->input_size || o->input_size > most)
        return rc_fail(e, RC_EINVAL, "rnn: input_size is %zu, expected 1 to %zu", o->input_size, most);
    if (!o->hidden_size || o->hidden_size > most)
        return rc_fail(e, RC_EINVAL, "rnn: hidden_size is %zu, expected 1 to %zu", o->hidden_size, most);
    if (o->num_layers < 1 || o->num_layers > 1000)
        return rc_fail(e, RC_EINVAL, "rnn: num_layers is %d, expected 1 to 1000", o->num_layers);
    if ((int)o->positions < 0 || o->positions > RC_POSITIONS_NONE)
        return rc_fail(e, RC_EINVAL, "rnn: unknown positions %d", (int)o->positions);
    if ((int)o->ffn_kind < 0 || o->ffn_kind > RC_FFN_SWIGLU)
        return rc_fail(e, RC_EINVAL, "rnn: unknown ffn_kind %d", (int)o->ffn_kind);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return rc_fail(e, RC_EINVAL, "rnn: dropout is %g, expected a probability in [0, 1)", o->dropout);
    if (!(o->attention_dropout >= 0 && o->attention_dropout < 1))
        return rc_fail(e, RC_EINVAL, "rnn: attention_dropout is %g, expected a probability in [0, 1)",
                       o->attention_dropout);
    size_t H = o->hidden_size;
    if (!o->heads) o->heads = default_heads(o);
    if (o->heads > H || H % o->heads)
        return rc_fail(e, RC_EINVAL, "rnn: heads is %zu, which does not divide hidden_size %zu", o->heads, H);
    if (o->positions == RC_POSITIONS_ROTARY && H / o->heads % 2)
        return rc_fail(e, RC_EINVAL,
                       "rnn: %zu heads of %zu columns each: rotary positions turn pairs of columns; take an "
                       "even width, or other positions",
                       o->heads, H / o->heads);
    if (!o->kv_heads) o->kv_heads = o->heads;
    if (o->kv_heads > o->heads || o->heads % o->kv_heads)
        return rc_fail(e, RC_EINVAL, "rnn: kv_heads is %zu, which does not divide heads %zu", o->kv_heads, o->heads);
    /* swiglu has three matrices where the others have two: as many weights (Shazeer 2020, section 2), whole vectors */
    if (!o->ffn) o->ffn = o->ffn_kind == RC_FFN_SWIGLU ? (8 * H / 3 + 15) / 16 * 16 : 4 * H;
    if (o->ffn > 2 * most) return rc_fail(e, RC_EINVAL, "rnn: ffn is %zu, expected 1 to %zu", o->ffn, 2 * most);
    if (!o->context && !o->bidirectional) o->context = CONTEXT;
    if (o->context > MAX_CONTEXT)
        return rc_fail(e, RC_EINVAL, "rnn: context is %zu, expected 1 to %zu", o->context, MAX_CONTEXT);
    return RC_OK;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

typedef struct namer {
    rc_params *ps;
    const char *prefix;
    char block[32]; /* "layers.3." */
    rc_error *e;
    bool failed;
} namer;

static rc_param *add(namer *n, const char *part, const char *what, size_t rows, size_t cols, rc_init init) {
    if (n->failed) return NULL;
    char name[512];
    size_t dims[2] = {rows, cols};
    snprintf(name, sizeof name, "%s%s%s%s", n->prefix, n->block, part, what);
    rc_param *p = rc_params_add(n->ps, name, cols ? 2 : 1, dims, init, n->e);
    if (!p)
        n->failed = true;
    else
        p->no_decay = !cols;
    return p;
}

/* As GPT-2 (Radford et al. 2019, section 2.3): matrices that add to the stream are smaller by the root of how many
 * there are. Its N(0, 0.02^2) is, at its width of 768, the deviation that torch.nn.Linear begins with, 1 / sqrt(3
 * fan_in): that holds for other widths too. */
static rc_init matrix_init(const rc__transformer *m, size_t fan_in, bool adds) {
    double bound = 1.0 / sqrt((double)fan_in);
    if (m->opt.init_torch) return (rc_init){.kind = RC_INIT_UNIFORM, .value = bound};
    double fewer = adds ? 1.0 / sqrt((double)(m->L * m->norms)) : 1;
    return (rc_init){.kind = RC_INIT_NORMAL, .value = bound / sqrt(3) * fewer};
}

static const rc_init zeros = {.kind = RC_INIT_ZEROS}, ones = {.kind = RC_INIT_CONSTANT, .value = 1};

static rc__tf_norm add_norm(const rc__transformer *m, namer *n, const char *part) {
    rc__tf_norm x = {.w = add(n, part, "weight", m->H, 0, ones)};
    if (!m->opt.rms_norm && !m->opt.no_bias) x.b = add(n, part, "bias", m->H, 0, zeros);
    return x;
}

static void add_attention(const rc__transformer *m, namer *n, const char *part, size_t memory, rc__tf_attention *a) {
    size_t H = m->H, KV = m->KV;
    rc_init in = m->opt.init_torch ? (rc_init){.kind = RC_INIT_XAVIER_UNIFORM} : matrix_init(m, H, false);
    if (!memory || memory == H) {
        a->in_w = add(n, part, "in_proj_weight", H + 2 * KV, H, in);
    } else {
        rc_init kv = m->opt.init_torch ? in : matrix_init(m, memory, false);
        a->q_w = add(n, part, "q_proj_weight", H, H, in);
        a->k_w = add(n, part, "k_proj_weight", KV, memory, kv);
        a->v_w = add(n, part, "v_proj_weight", KV, memory, kv);
    }
    if (!m->opt.no_bias) a->in_b = add(n, part, "in_proj_bias", H + 2 * KV, 0, zeros);
    a->out_w = add(n, part, "out_proj.weight", H, H, matrix_init(m, H, true));
    if (!m->opt.no_bias) a->out_b = add(n, part, "out_proj.bias", H, 0, zeros);
}

static void add_block(const rc__transformer *m, namer *n, rc__tf_block *b) {
    static const char *const norms[] = {"norm1.", "norm2.", "norm3."};
    bool bias = !m->opt.no_bias;
    rc_init b1 = m->opt.init_torch ? matrix_init(m, m->H, false) : zeros;
    rc_init b2 = m->opt.init_torch ? matrix_init(m, m->F, false) : zeros;
    add_attention(m, n, "self_attn.", 0, &b->self);
    if (m->memory_size) add_attention(m, n, "multihead_attn.", m->memory_size, &b->cross);
    b->w1 = add(n, "linear1.", "weight", m->F1, m->H, matrix_init(m, m->H, false));
    if (bias) b->b1 = add(n, "linear1.", "bias", m->F1, 0, b1);
    b->w2 = add(n, "linear2.", "weight", m->H, m->F, matrix_init(m, m->F, true));
    if (bias) b->b2 = add(n, "linear2.", "bias", m->H, 0, b2);
    for (size_t i = 0; i < m->norms; i++) b->norm[i] = add_norm(m, n, norms[i]);
}

static bool make_speeds(rc__transformer *m) {
    size_t width = m->opt.positions == RC_POSITIONS_ROTARY ? m->D : m->H;
    m->speeds = (width + 1) / 2;
    m->speed = rc__alloc(m->speeds * sizeof *m->speed);
    for (size_t i = 0; m->speed && i < m->speeds; i++)
        m->speed[i] = pow(RC__TF_ROTARY, -2.0 * (double)i / (double)width);
    return m->speed != NULL;
}

rc_status rc__transformer_new(rc__transformer **out, rc_params *ps, const char *prefix, const rc_rnn_options *o,
                              size_t memory_size, rc_error *e) {
    *out = NULL;
    rc_rnn_options full = *o;
    rc_status s = refuse_recurrent(o, e);
    if (s == RC_OK) s = complete(&full, e);
    if (s == RC_OK && memory_size > RC__MAX_LAYER_WIDTH)
        s = rc_fail(e, RC_EINVAL, "transformer: a memory of width %zu, expected at most %zu", memory_size,
                    RC__MAX_LAYER_WIDTH);
    if (s != RC_OK) return s;
    rc__transformer *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "transformer: out of memory");
    pthread_mutex_init(&m->lock, NULL);
    m->opt = full;
    m->memory_size = memory_size;
    m->I = full.input_size, m->H = full.hidden_size;
    m->D = m->H / full.heads;
    m->KV = full.kv_heads * m->D;
    m->L = (size_t)full.num_layers;
    m->F = full.ffn;
    m->F1 = full.ffn_kind == RC_FFN_SWIGLU ? 2 * m->F : m->F;
    m->norms = memory_size ? 3 : 2;
    m->ps = ps;
    m->blocks = rc__calloc(m->L, sizeof *m->blocks);
    rc_error why = {0};
    bool made = m->blocks && make_speeds(m);
    namer n = {.ps = ps, .prefix = prefix ? prefix : "", .e = &why, .failed = !made};
    if (!made) rc_fail(&why, RC_ENOMEM, "transformer: out of memory for %zu blocks", m->L);
    if (m->I != m->H) {
        m->in_w = add(&n, "input_proj.", "weight", m->H, m->I, matrix_init(m, m->I, false));
        if (!full.no_bias) m->in_b = add(&n, "input_proj.", "bias", m->H, 0, zeros);
    }
    if (full.positions == RC_POSITIONS_LEARNED)
        m->positions = add(&n, "positions.", "weight", full.context ? full.context : CONTEXT, m->H,
                           (rc_init){.kind = RC_INIT_NORMAL, .value = 0.02}); /* GPT-2's */
    if (m->positions) m->positions->no_decay = true;
    for (size_t l = 0; l < m->L && !n.failed; l++) {
        snprintf(n.block, sizeof n.block, "layers.%zu.", l);
        add_block(m, &n, &m->blocks[l]);
    }
    n.block[0] = 0;
    if (!full.post_norm) m->norm = add_norm(m, &n, "norm.");
    if (n.failed) {
        rc__transformer_free(m);
        return rc_fail(e, why.code ? why.code : RC_ENOMEM, "%s", why.text);
    }
    *out = m;
    return RC_OK;
}

void rc__transformer_free(rc__transformer *m) {
    if (!m) return;
    if (m->blocks) rc__tf_packed_free(m);
    rc__free(m->blocks, m->L * sizeof *m->blocks);
    rc__free(m->speed, m->speed ? m->speeds * sizeof *m->speed : 0);
    pthread_mutex_destroy(&m->lock);
    rc__free(m, sizeof *m);
}

const rc_rnn_options *rc__transformer_get_options(const rc__transformer *m) { return &m->opt; }
size_t rc__transformer_kv(const rc__transformer *m) { return m->KV; }

size_t rc__transformer_state_width(const rc__transformer *m) {
    return m->opt.bidirectional ? 0 : RC__TF_HEAD + 2 * m->opt.context * m->KV;
}

/* ---- positions --------------------------------------------------------------------------------------------------- */

void rc__tf_sinusoid(const rc__transformer *m, uint64_t position, rc_real *to) {
    for (size_t i = 0; i < m->H; i += 2) {
        double angle = (double)position * m->speed[i / 2];
        to[i] = (rc_real)sin(angle);
        if (i + 1 < m->H) to[i + 1] = (rc_real)cos(angle);
    }
}

void rc__tf_turn(const rc__transformer *m, size_t n, rc_real *k, int64_t positions) {
    size_t D = m->D, half = D / 2;
    for (size_t j = 0; j < half; j++) { /* the pair (j, j + D/2), as rc_rotary */
        double angle = (double)positions * m->speed[j];
        rc_real c = (rc_real)cos(angle), s = (rc_real)sin(angle);
        for (size_t i = 0; i < n; i++)
            for (size_t h = 0; h < m->opt.kv_heads; h++) {
                rc_real *x = k + i * m->KV + h * D + j, a = x[0], b = x[half];
                x[0] = a * c - b * s;
                x[half] = a * s + b * c;
            }
    }
}

void rc__tf_rebase(const rc__transformer *m, rc_real *row, uint64_t from, uint64_t to) {
    uint64_t eras = to / RC__TF_ERA - from / RC__TF_ERA;
    if (!eras || m->opt.positions != RC_POSITIONS_ROTARY) return;
    rc__tf_turn(m, m->opt.context, row + RC__TF_HEAD, -(int64_t)(eras * RC__TF_ERA));
}

/* ---- what one forward knows of its rows -------------------------------------------------------------------------- */

typedef struct batch_rows {
    size_t T, B, N;
    const int32_t *lengths;   /* (B) */
    const uint64_t *seen;     /* (B): steps before these */
    rc_real *turn, *back;     /* rotary: cosines and sines of each angle (rows, D), and of the way back; NULL without */
    const uint32_t *turn_row; /* (N): the row of those */
    /* the self-attention of a state: */
    rc_state *state;            /* NULL: from the start */
    const int32_t *past;        /* (B): steps of the state that are seen; NULL = none of any row */
    const int32_t *key_lengths; /* (B): past + lengths */
    size_t keys, longest;       /* of all rows; of one */
    rc_var **k, **v;            /* (L): the new ones, for the state */
} batch_rows;

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The angles of all rows: those of step i of any row, and those of where each row begins, in double; the theorem of
 * addition makes the others. One row of them for each step where all rows of the batch are equally old. */
static bool make_turns(rc_tape *t, const rc__transformer *m, batch_rows *r) {
    size_t half = m->D / 2, longest = 0, at = 0;
    bool same = true;
    for (size_t b = 0; b < r->B; b++) {
        same = same && r->seen[b] % RC__TF_ERA == r->seen[0] % RC__TF_ERA;
        if ((size_t)r->lengths[b] > longest) longest = (size_t)r->lengths[b];
    }
    size_t rows = same ? longest : r->N, len = rows * m->D;
    uint32_t *row = rc__tape_alloc(t, r->N * sizeof *row);
    r->turn = rc__tape_alloc(t, len * sizeof *r->turn);
    r->back = rc__tape_alloc(t, len * sizeof *r->back);
    double *steps = rc__tape_alloc(t, longest * m->D * sizeof *steps);
    double *start = rc__tape_alloc(t, m->D * sizeof *start);
    if (!row || !r->turn || !r->back || !steps || !start) return false;
    for (size_t i = 0; i < longest; i++)
        for (size_t j = 0; j < half; j++) {
            double angle = (double)i * m->speed[j];
            steps[i * m->D + j] = cos(angle), steps[i * m->D + half + j] = sin(angle);
        }
    rc_real *turn = r->turn, *back = r->back;
    for (size_t b = 0; b < r->B; b++) {
        size_t n = same ? b ? 0 : longest : (size_t)r->lengths[b];
        for (size_t j = 0; j < half && n; j++) {
            double angle = (double)(r->seen[b] % RC__TF_ERA) * m->speed[j];
            start[j] = cos(angle), start[half + j] = sin(angle);
        }
        for (size_t i = 0; i < n; i++, turn += m->D, back += m->D) {
            rc__k->row.turn(half, start, steps + i * m->D, 1, turn);
            rc__k->row.turn(half, start, steps + i * m->D, -1, back);
        }
    }
    for (size_t b = 0; b < r->B; b++)
        for (size_t i = 0; i < (size_t)r->lengths[b]; i++, at++) row[at] = (uint32_t)(same ? i : at);
    r->turn_row = row;
    return true;
}

static bool count_rows(rc_tape *t, const rc__transformer *m, const int32_t *lengths, rc_state *state, batch_rows *r) {
    size_t B = r->B;
    int32_t *own = rc__tape_alloc(t, B * sizeof *own), *past = rc__tape_alloc(t, B * sizeof *past);
    int32_t *keys = rc__tape_alloc(t, B * sizeof *keys);
    uint64_t *seen = rc__tape_alloc(t, B * sizeof *seen);
    if (!own || !past || !keys || !seen) return false;
    bool any = false;
    for (size_t b = 0; b < B; b++) {
        own[b] = lengths ? lengths[b] : (int32_t)r->T;
        seen[b] = state ? rc__tf_seen(rc__tf_row(m, state, 0, b)) : 0;
        size_t before = (size_t)least(seen[b], m->opt.context - 1);
        past[b] = state && own[b] ? (int32_t)before : 0;
        keys[b] = past[b] + own[b];
        any = any || past[b];
        r->N += (size_t)own[b];
        r->keys += (size_t)keys[b];
        if (r->longest < (size_t)keys[b]) r->longest = (size_t)keys[b];
    }
    r->lengths = own;
    r->seen = seen;
    r->state = state;
    r->past = any ? past : NULL;
    r->key_lengths = any ? keys : own;
    if (!any) r->keys = r->N;
    if (m->opt.positions == RC_POSITIONS_ROTARY && r->N && !make_turns(t, m, r)) return false;
    if (state) {
        r->k = rc__tape_alloc(t, m->L * sizeof *r->k);
        r->v = rc__tape_alloc(t, m->L * sizeof *r->v);
        if (!r->k || !r->v) return false;
    }
    return true;
}

/* ---- pieces of a block ------------------------------------------------------------------------------------------- */

/* Rows [first, first + n) of a parameter, as a parameter: packed copies are kept for it, and its gradient is added
 * where it belongs. */
static rc_var *rows_of(rc_tape *t, rc_param *p, size_t first, size_t n) {
    rc_var *whole = rc_param_var(t, p);
    if (!whole->len || n == p->dim[0]) return whole;
    size_t dim[RC_MAX_DIMS] = {n, p->ndim > 1 ? p->dim[1] : 1}, at = first * (p->ndim > 1 ? p->dim[1] : 1);
    rc__node *v = rc__node_view(t, sizeof *v, p->name, p->ndim, dim, !p->frozen, NULL);
    if (!v) return rc__dead(t);
    v->out.x = p->w + at;
    if (v->out.needs_grad) v->out.dx = p->g + at;
    v->param = p;
    v->precision = ((rc__node *)whole)->precision;
    return &v->out;
}

static rc_var *linear(rc_tape *t, rc_var *x, rc_param *w, rc_param *b, size_t first, size_t n) {
    return rc__passing(rc_linear(t, x, rows_of(t, w, first, n), b ? rows_of(t, b, first, n) : NULL));
}

static rc_var *whole_linear(rc_tape *t, rc_var *x, rc_param *w, rc_param *b) {
    return rc__passing(rc_linear(t, x, rc_param_var(t, w), b ? rc_param_var(t, b) : NULL));
}

static rc_var *normed(rc_tape *t, const rc__transformer *m, rc_var *x, rc__tf_norm n) {
    rc_var *w = rc_param_var(t, n.w);
    return rc__passing(m->opt.rms_norm ? rc_rms_norm(t, x, w, RC__TF_EPS)
                                       : rc_layer_norm(t, x, w, n.b ? rc_param_var(t, n.b) : NULL, RC__TF_EPS));
}

/* A job on rows of matrices of the same width, tile by tile. */
typedef struct rows_job {
    const batch_rows *r;
    const rc_real *turn; /* to turn by, or: */
    const rc_real *add;
    rc_real *x;
    size_t width, heads, D, tile;
} rows_job;

static void rows_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    size_t first = task * j->tile, end = rc__min_size(first + j->tile, j->r->N), at = first * j->width;
    if (j->add) rc__k->pw.add((end - first) * j->width, j->x + at, j->add + at, j->x + at);
    for (size_t i = first; !j->add && i < end; i++) {
        rc_real *x = j->x + i * j->width;
        rc__k->row.rotate(j->heads, j->D, x, j->turn + j->r->turn_row[i] * j->D, x, false);
    }
}

static void run_rows(rows_job j) {
    j.tile = 1 + RC__TILE / j.width;
    rc__parallel(rc__tiles(j.r->N, j.tile), RC__WORK(j.r->N * j.width), rows_task, &j);
}

/* Where a product is the only one that knows its output, what comes next may be written over it: its backward reads the
 * gradient alone. So it is with the two that follow. */
typedef struct over_node {
    rc__node n;
    rc_var *x, *f; /* f: written over */
    const batch_rows *r;
    size_t heads, D;
} over_node;

static over_node *write_over(rc_tape *t, const char *op, const batch_rows *r, rc_var *f, bool needs_grad,
                             void (*backward)(rc_tape *, rc__node *)) {
    over_node *s = rc__node_view(t, sizeof *s, op, f->ndim, f->dim, needs_grad, backward);
    if (!s) return NULL;
    s->n.out.x = f->x;
    s->f = f;
    s->r = r;
    rc__passing(&s->n.out);
    return s;
}

static void rotary_backward(rc_tape *t, rc__node *self) {
    over_node *s = (over_node *)self;
    (void)t;
    const batch_rows *r = s->r;
    size_t width = s->f->dim[1];
    run_rows((rows_job){.r = r, .turn = r->back, .x = self->out.dx, .width = width, .heads = s->heads, .D = s->D});
    rc__grad_hand_on(self, s->f, true);
}

/* x in rotary positions (Su et al. 2021, eq. 34), as rc_rotary. */
static rc_var *rotary(rc_tape *t, const rc__transformer *m, const batch_rows *r, rc_var *x, size_t heads) {
    if (!x->len) return x;
    over_node *s = write_over(t, "rotary", r, x, x->needs_grad, rotary_backward);
    if (!s) return rc__dead(t);
    s->heads = heads;
    s->D = m->D;
    run_rows((rows_job){.r = r, .turn = r->turn, .x = x->x, .width = x->dim[1], .heads = heads, .D = m->D});
    return &s->n.out;
}

/* dx = df = dy. One memory serves both: f's own backward, which comes next, has read it before anything that made f
 * of x adds to dx. */
static void residual_backward(rc_tape *t, rc__node *self) {
    over_node *s = (over_node *)self;
    bool add, given = rc__grad_hand_on(self, s->x, true);
    rc_real *dx = given ? NULL : rc__grad_to(t, s->x, &add);
    if (dx && add)
        rc__k->pw.add(self->out.len, dx, self->out.dx, dx);
    else if (dx)
        memcpy(dx, self->out.dx, self->out.len * sizeof *dx);
    rc__grad_hand_on(self, s->f, !given);
}

/* x + f */
static rc_var *residual(rc_tape *t, const batch_rows *r, rc_var *x, rc_var *f) {
    if (!x->len || !f->len) return rc__dead(t);
    over_node *s = write_over(t, "residual", r, f, x->needs_grad || f->needs_grad, residual_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    run_rows((rows_job){.r = r, .add = x->x, .x = f->x, .width = x->dim[1]});
    return &s->n.out;
}

/* Of each sequence the keys (or values) of the state, oldest first, then the new ones. */
typedef struct past_node {
    rc__node n;
    rc_var *x;
    const batch_rows *r;
    size_t width;
} past_node;

static void past_backward(rc_tape *t, rc__node *self) {
    past_node *p = (past_node *)self;
    rc_real *dx = rc__grad(t, p->x);
    const rc_real *dy = self->out.dx;
    for (size_t b = 0; dx && b < p->r->B; b++) {
        size_t n = (size_t)p->r->lengths[b] * p->width;
        dy += (size_t)p->r->past[b] * p->width;
        rc__k->pw.add(n, dx, dy, dx);
        dx += n, dy += n;
    }
}

static rc_var *with_past(rc_tape *t, const rc__transformer *m, const batch_rows *r, size_t layer, rc_var *x,
                         bool values) {
    if (!r->past || !x->len) return x;
    size_t W = m->KV, C = m->opt.context, dim[2] = {r->keys, W};
    past_node *p = rc__node_new(t, sizeof *p, "keys", 2, dim, x->needs_grad, past_backward);
    if (!p) return rc__dead(t);
    p->x = x;
    p->r = r;
    p->width = W;
    rc_real *to = p->n.out.x;
    const rc_real *from = x->x;
    for (size_t b = 0; b < r->B; b++) {
        const rc_real *ring = rc__tf_row(m, r->state, layer, b) + RC__TF_HEAD + (values ? C * W : 0);
        for (size_t i = (size_t)r->past[b]; i > 0;) { /* in one piece, or in two where the ring ends between */
            size_t slot = (size_t)((r->seen[b] - i) % C), n = rc__min_size(i, C - slot);
            memcpy(to, ring + slot * W, n * W * sizeof *to);
            to += n * W;
            i -= n;
        }
        size_t n = (size_t)r->lengths[b] * W;
        memcpy(to, from, n * sizeof *to);
        to += n, from += n;
    }
    return rc__passing(&p->n.out);
}

static rc_var *self_attention(rc_tape *t, const rc__transformer *m, batch_rows *r, size_t layer, rc_var *x) {
    const rc__tf_attention *a = &m->blocks[layer].self;
    const rc_rnn_options *o = &m->opt;
    rc_var *q = linear(t, x, a->in_w, a->in_b, 0, m->H);
    rc_var *k = linear(t, x, a->in_w, a->in_b, m->H, m->KV);
    rc_var *v = linear(t, x, a->in_w, a->in_b, m->H + m->KV, m->KV);
    if (r->turn) {
        q = rotary(t, m, r, q, o->heads);
        k = rotary(t, m, r, k, o->kv_heads);
    }
    if (r->state) r->k[layer] = k, r->v[layer] = v;
    k = with_past(t, m, r, layer, k, false);
    v = with_past(t, m, r, layer, v, true);
    rc_attention_options at = rc_attention_options_default();
    at.batch = r->B;
    at.q_lengths = r->lengths;
    at.k_lengths = r->key_lengths;
    at.heads = o->heads;
    at.kv_heads = o->kv_heads;
    at.causal = !o->bidirectional;
    at.window = o->context < r->longest ? o->context : 0;
    at.alibi = o->positions == RC_POSITIONS_ALIBI;
    at.dropout = o->attention_dropout;
    return whole_linear(t, rc__passing(rc_attention(t, q, k, v, &at)), a->out_w, a->out_b);
}

typedef struct memory_rows {
    rc_var *x; /* packed, NULL: not a single step */
    const int32_t *lengths;
    rc__transformer_memory *more;
} memory_rows;

static rc_var *cross_attention(rc_tape *t, const rc__transformer *m, const batch_rows *r, size_t layer, rc_var *x,
                               const memory_rows *memory) {
    const rc__tf_attention *a = &m->blocks[layer].cross;
    size_t H = m->H, KV = m->KV;
    rc_var *mem = memory->x, *seen;
    if (!mem) {
        seen = rc_zeros(t, 2, (size_t[2]){r->N, H});
    } else {
        rc_var *bias[3] = {0};
        for (size_t i = 0; a->in_b && i < 3; i++) bias[i] = rows_of(t, a->in_b, i ? H + (i - 1) * KV : 0, i ? KV : H);
        rc_var *q = rc_linear(t, x, a->in_w ? rows_of(t, a->in_w, 0, H) : rc_param_var(t, a->q_w), bias[0]);
        rc_var *k = rc_linear(t, mem, a->in_w ? rows_of(t, a->in_w, H, KV) : rc_param_var(t, a->k_w), bias[1]);
        rc_var *v = rc_linear(t, mem, a->in_w ? rows_of(t, a->in_w, H + KV, KV) : rc_param_var(t, a->v_w), bias[2]);
        rc_attention_options at = rc_attention_options_default();
        at.batch = r->B;
        at.q_lengths = r->lengths;
        at.k_lengths = memory->lengths;
        at.heads = m->opt.heads;
        at.kv_heads = m->opt.kv_heads;
        at.dropout = m->opt.attention_dropout;
        if (layer + 1 == m->L) {
            at.weights = memory->more->weights;
            memory->more->query = q;
            memory->more->keys = k;
        }
        rc__passing(q), rc__passing(k), rc__passing(v);
        seen = rc__passing(rc_attention(t, q, k, v, &at));
    }
    return whole_linear(t, seen, a->out_w, a->out_b);
}

static rc_var *feed_forward(rc_tape *t, const rc__transformer *m, const rc__tf_block *b, rc_var *x) {
    rc_var *f = whole_linear(t, x, b->w1, b->b1);
    f = m->opt.ffn_kind == RC_FFN_SWIGLU
            ? rc_swiglu(t, f)
            : rc_activate(t, f, m->opt.ffn_kind == RC_FFN_RELU ? RC_ACT_RELU : RC_ACT_GELU);
    return whole_linear(t, rc__passing(f), b->w2, b->b2);
}

static rc_var *block(rc_tape *t, const rc__transformer *m, batch_rows *r, size_t layer, rc_var *x,
                     const memory_rows *memory) {
    const rc__tf_block *b = &m->blocks[layer];
    bool post = m->opt.post_norm;
    for (size_t part = 0, norm = 0; part < 3; part++) {
        if (part == 1 && !m->memory_size) continue;
        rc_var *in = post ? x : normed(t, m, x, b->norm[norm]);
        rc_var *f = part == 0   ? self_attention(t, m, r, layer, in)
                    : part == 1 ? cross_attention(t, m, r, layer, in, memory)
                                : feed_forward(t, m, b, in);
        x = residual(t, r, x, rc__passing(rc_dropout(t, f, m->opt.dropout)));
        if (post) x = normed(t, m, x, b->norm[norm]);
        norm++;
    }
    return x;
}

/* What sinusoidal and learned positions add: (N, H). */
static rc_var *add_positions(rc_tape *t, const rc__transformer *m, const batch_rows *r, rc_var *x) {
    bool learned = m->opt.positions == RC_POSITIONS_LEARNED, same = true;
    if (!learned && m->opt.positions != RC_POSITIONS_SINUSOIDAL) return x;
    size_t dim = r->N, at = 0;
    int32_t *id = rc__tape_alloc(t, r->N * sizeof *id);
    if (!id) return rc__dead(t);
    for (size_t b = 1; b < r->B; b++) same = same && r->seen[b] == r->seen[0];
    for (size_t b = 0; b < r->B; b++)
        for (size_t i = 0; i < (size_t)r->lengths[b]; i++, at++)
            id[at] = (int32_t)(learned ? least(r->seen[b] + i, m->positions->dim[0] - 1) : same ? i : at);
    rc_var *table = NULL;
    if (learned) {
        table = rc_param_var(t, m->positions);
    } else {
        size_t n = same ? r->T : r->N, H = m->H;
        rc_real *sines = rc__tape_alloc(t, n * H * sizeof *sines);
        if (!sines) return rc__dead(t);
        at = 0;
        for (size_t i = 0; same && i < n; i++) rc__tf_sinusoid(m, r->seen[0] + i, sines + i * H);
        for (size_t b = 0; !same && b < r->B; b++)
            for (size_t i = 0; i < (size_t)r->lengths[b]; i++, at++) rc__tf_sinusoid(m, r->seen[b] + i, sines + at * H);
        table = rc_input(t, 2, (size_t[2]){n, H}, sines);
    }
    return rc__passing(rc_add(t, x, rc__passing(rc_embedding(t, id, 1, &dim, table))));
}

/* ---- whole sequences --------------------------------------------------------------------------------------------- */

/* Steps of no row at all: zeros, and gradients that are 0. */
typedef struct nothing_node {
    rc__node n;
    rc_var *x;
} nothing_node;

static void nothing_backward(rc_tape *t, rc__node *self) { (void)rc__grad(t, ((nothing_node *)self)->x); }

static rc_var *nothing(rc_tape *t, const rc__transformer *m, const batch_rows *r, rc_var *x) {
    size_t dim[3] = {r->T, r->B, m->H};
    nothing_node *n = rc__node_new(t, sizeof *n, "transformer", 3, dim, true, nothing_backward);
    if (!n) return rc__dead(t);
    n->x = x;
    memset(n->n.out.x, 0, n->n.out.len * sizeof(rc_real));
    return &n->n.out;
}

static rc_var *check(rc_tape *t, const char *what, const rc_var *x, const int32_t *lengths, size_t width,
                     size_t batch) {
    if (x->ndim != 3 || x->dim[2] != width || (batch && x->dim[1] != batch))
        return rc__op_fail(t, RC_EINVAL, "rnn", "%s is %s, expected (T, B, %zu)", what, rc__shape_text(x->ndim, x->dim),
                           width);
    if (x->dim[0] * x->dim[1] > INT32_MAX - 2 * RC__TF_ERA) /* with those of a state they are still numbers of steps */
        return rc__op_fail(t, RC_EINVAL, "rnn", "%s is %s: too many steps", what, rc__shape_text(3, x->dim));
    for (size_t b = 0; lengths && b < x->dim[1]; b++)
        if (lengths[b] < 0 || (size_t)lengths[b] > x->dim[0])
            return rc__op_fail(t, RC_EINVAL, "rnn", "lengths[%zu] is %d, expected 0 to T = %zu", b, (int)lengths[b],
                               x->dim[0]);
    return (rc_var *)(uintptr_t)x;
}

static bool pack_memory(rc_tape *t, const rc__transformer *m, rc__transformer_memory *memory, size_t B,
                        memory_rows *to) {
    if (!rc__alive(t, "transformer memory", 1, memory->steps)) return false;
    if (!check(t, "memory", memory->steps, memory->lengths, m->memory_size, B)->len) return false;
    int32_t *n = rc__tape_alloc(t, B * sizeof *n);
    size_t all = 0;
    for (size_t b = 0; n && b < B; b++)
        all += (size_t)(n[b] = memory->lengths ? memory->lengths[b] : (int32_t)memory->steps->dim[0]);
    to->lengths = n;
    to->more = memory;
    memory->query = memory->keys = NULL;
    if (n && all) to->x = rc__passing(rc_pack_rows(t, memory->steps, n));
    return n && (!all || to->x->len);
}

/* The new keys and values go into the state, each row's last `context` ones. */
static void keep(const rc__transformer *m, const batch_rows *r) {
    size_t W = m->KV, C = m->opt.context;
    for (size_t l = 0; l < m->L; l++) {
        size_t at = 0;
        for (size_t b = 0; b < r->B; b++) {
            size_t n = (size_t)r->lengths[b];
            rc_real *row = rc__tf_row(m, r->state, l, b), *k = row + RC__TF_HEAD, *v = k + C * W;
            for (size_t i = n > C ? n - C : 0; i < n; i++) {
                size_t slot = (size_t)((r->seen[b] + i) % C);
                memcpy(k + slot * W, r->k[l]->x + (at + i) * W, W * sizeof *k);
                memcpy(v + slot * W, r->v[l]->x + (at + i) * W, W * sizeof *v);
            }
            at += n;
            if (!n) continue;
            rc__tf_rebase(m, row, r->seen[b], r->seen[b] + n);
            rc__tf_set_seen(row, r->seen[b] + n);
        }
    }
}

rc_var *rc__transformer_forward(rc_tape *t, const rc__transformer *m, rc_var *x, const int32_t *lengths,
                                rc__transformer_memory *memory, rc_state *state) {
    if (!rc__alive(t, "rnn", 1, x)) return rc__dead(t);
    if (!check(t, "x", x, lengths, m->I, 0)->len) return rc__dead(t);
    size_t B = x->dim[1];
    if (!memory != !m->memory_size)
        return rc__op_fail(t, RC_EINVAL, "transformer", "a memory is %s",
                           memory ? "given to blocks without" : "missing");
    if (state && (state->batch != B || state->rows != m->L || state->P != rc__transformer_state_width(m)))
        return rc__op_fail(t, RC_EINVAL, "rnn",
                           "the state is for %zu rows of %zu x %zu, expected %zu rows of %zu x %zu", state->batch,
                           state->rows, state->P, B, m->L, rc__transformer_state_width(m));
    batch_rows *r = rc__tape_alloc(t, sizeof *r);
    if (!r) return rc__dead(t);
    *r = (batch_rows){.T = x->dim[0], .B = B};
    memory_rows looks = {0};
    if (!count_rows(t, m, lengths, state, r)) return rc__dead(t);
    if (memory && !pack_memory(t, m, memory, B, &looks)) return rc__dead(t);
    if (!r->N) return nothing(t, m, r, x);
    rc_var *y = rc__passing(rc_pack_rows(t, x, r->lengths));
    if (m->in_w) y = whole_linear(t, y, m->in_w, m->in_b);
    y = add_positions(t, m, r, y);
    for (size_t l = 0; l < m->L && y->len; l++) y = block(t, m, r, l, y, &looks);
    if (!m->opt.post_norm) y = normed(t, m, y, m->norm);
    y = rc_unpack_rows(t, y, r->lengths, r->T, B);
    if (state && y->len) keep(m, r);
    return y;
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc__transformer_explain(const rc__transformer *m, size_t batch, size_t seq_len, char *out, size_t cap) {
    static const char *const positions[] = {"rotary", "alibi", "sinusoidal", "learned", "no"};
    static const char *const ffn[] = {"gelu", "relu", "swiglu"};
    const rc_rnn_options *o = &m->opt;
    size_t at = 0, most = (size_t)rc_threads();
    double rows = (double)batch * (double)seq_len;
    double work = 2 * rows * (double)(m->H * (2 * m->H + 2 * m->KV + m->F1 + m->F));
    bool alone = most == 1 || work < rc__parallel_threshold;
    if (cap) out[0] = 0;
    for (size_t l = 0; l < m->L; l++) {
        char sees[64], keys[64] = "";
        snprintf(sees, sizeof sees, o->context ? "%zu steps%s" : "all steps", o->context,
                 o->bidirectional ? " on either side" : "");
        if (o->kv_heads != o->heads) snprintf(keys, sizeof keys, " (%zu of keys)", o->kv_heads);
        int n =
            snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0,
                     "block %zu: %zu heads%s of %zu over %s, %s positions, %s %zu, %s %s, %s, products by recur, "
                     "attention by blocks of keys, kernels %s, %zu thread%s%s\n",
                     l, o->heads, keys, m->D, sees, positions[o->positions], ffn[o->ffn_kind], m->F,
                     o->rms_norm ? "RMSNorm" : "LayerNorm", o->post_norm ? "after" : "before",
                     rc__precision_text(rc_params_get_precision(m->ps)), rc__k->isa, alone ? 1 : most,
                     alone || most == 1 ? "" : "s", alone && most > 1 ? ": too little work for a second thread" : "");
        if (n > 0) at += (size_t)n;
    }
    return at;
}
