/* answer.c - the networks that answer questions, and their answers; see answer.h. */
#include "tasks/answer.h"
#include "autograd/tape_internal.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const rc__answer_kinds[4] = {"memory", "query", "entity", "recurrent"};

/* ---- parameters -------------------------------------------------------------------------------------------------- */

typedef struct adder { /* stops at the first failure */
    rc__answerer *m;
    rc_error *e;
    rc_status s;
} adder;

static void add_param(adder *a, rc_param **p, const char *name, size_t number, size_t rows, size_t cols, rc_init init) {
    char full[64];
    size_t dim[2] = {rows, cols};
    if (a->s != RC_OK) return;
    if (number == SIZE_MAX)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "%s.%zu", name, number);
    rc_error own = {.code = RC_OK};
    *p = rc_params_add(a->m->base.params, full, rows ? 2 : 1, rows ? dim : dim + 1, init, &own);
    if (!*p) a->s = rc_fail(a->e, own.code != RC_OK ? own.code : RC_ENOMEM, "%s", own.text);
}

static rc_init normal(double deviation) { return (rc_init){.kind = RC_INIT_NORMAL, .value = deviation}; }
static rc_init constant(double v) { return (rc_init){.kind = RC_INIT_CONSTANT, .value = v}; }
/* Glorot & Bengio 2010, eq. 16, of one member's matrix. */
static rc_init xavier(size_t out, size_t in) {
    return (rc_init){.kind = RC_INIT_UNIFORM, .value = sqrt(6 / ((double)out + (double)in))};
}

/* An answer that is a word has the word's row of the last table, others get rows of their own. */
static rc_status number_answers(rc__answerer *m, rc_error *e) {
    m->n_answer_row = m->answers.count;
    m->table_rows = m->words.count;
    m->answer_row = rc__alloc((m->n_answer_row + 1) * sizeof *m->answer_row);
    if (!m->answer_row) return rc_fail(e, RC_ENOMEM, "no memory for %zu answers", m->n_answer_row);
    for (size_t k = 0; k < m->n_answer_row; k++) {
        size_t len;
        const char *name = rc__strtab_get(&m->answers, k, &len);
        int32_t word = rc__strtab_find(&m->words, name, len);
        m->answer_row[k] = word >= 0 ? word : (int32_t)m->table_rows++;
    }
    return RC_OK;
}

static void declare_memory(adder *a) {
    rc__answerer *m = a->m;
    const rc__answer_options *o = &m->o;
    size_t F = o->embedding * o->members, A = m->answers.count, times = o->memory + (size_t)((double)o->memory * o->noise + 1) + 1;
    if (!o->layerwise && a->s == RC_OK) a->s = number_answers(m, a->e);
    m->n_tables = o->layerwise ? 3 : o->hops + 1; /* A, C, B of the paper; or A of hop k is C of hop k - 1, and B is the first A */
    if (o->layerwise) m->table_rows = m->words.count;
    for (size_t k = 0; k < m->n_tables; k++) {
        add_param(a, &m->table[k], "words", k, m->table_rows, F, normal(0.1));
        if (o->temporal && (!o->layerwise || k < 2)) add_param(a, &m->time[k], "time", k, times, F, normal(0.1));
    }
    if (!o->layerwise) return;
    add_param(a, &m->hop, "hop", SIZE_MAX, o->embedding, F, normal(0.1));
    add_param(a, &m->out_w, "output", SIZE_MAX, A, F, normal(0.1));
}

static void declare_query(adder *a) {
    rc__answerer *m = a->m;
    const rc__answer_options *o = &m->o;
    size_t D = o->embedding, H = o->members, F = D * H, A = m->answers.count;
    m->n_tables = 1;
    add_param(a, &m->table[0], "words", SIZE_MAX, m->words.count, F, normal(0.1));
    for (size_t k = 0; k < o->hops; k++) {
        add_param(a, &m->gate_w[k], "gate.weight", k, 2, F, xavier(1, D)); /* update, reset */
        add_param(a, &m->gate_b[k], "gate.bias", k, 0, 2 * H, constant(0));
        add_param(a, &m->in_w[k], "sentence.weight", k, D, F, xavier(D, 2 * D));
        add_param(a, &m->query_w[k], "query.weight", k, D, F, xavier(D, 2 * D));
        add_param(a, &m->in_b[k], "query.bias", k, 0, F, constant(0));
        if (a->s == RC_OK) m->gate_b[k]->no_decay = m->in_b[k]->no_decay = true;
    }
    add_param(a, &m->out_w, "output", SIZE_MAX, A, F, xavier(A, D));
}

static void declare_entity(adder *a) {
    rc__answerer *m = a->m;
    const rc__answer_options *o = &m->o;
    size_t D = o->embedding, A = m->answers.count;
    m->n_tables = 1;
    add_param(a, &m->table[0], "words", SIZE_MAX, m->words.count, D, normal(0.1));
    if (o->position) add_param(a, &m->places, "places", SIZE_MAX, 32, D, constant(1)); /* words after the 32nd as that one */
    add_param(a, &m->keys, "keys", SIZE_MAX, o->blocks, D, normal(0.1));
    add_param(a, &m->entity_u, "update.block", SIZE_MAX, D, D, normal(0.1));
    add_param(a, &m->entity_v, "update.key", SIZE_MAX, D, D, normal(0.1));
    add_param(a, &m->entity_w, "update.sentence", SIZE_MAX, D, D, normal(0.1));
    add_param(a, &m->slope, "slope", SIZE_MAX, 0, D, constant(1));
    add_param(a, &m->entity_h, "question", SIZE_MAX, D, D, normal(0.1));
    add_param(a, &m->out_w, "output", SIZE_MAX, A, D, normal(0.1));
    if (a->s == RC_OK) m->slope->no_decay = true;
}

static void declare_recurrent(adder *a) {
    rc__answerer *m = a->m;
    rc__answer_options *o = &m->o;
    m->n_tables = 1;
    add_param(a, &m->table[0], "words", SIZE_MAX, m->words.count, o->embedding, normal(0.1));
    o->reader.input_size = o->embedding;
    if (a->s == RC_OK) a->s = rc__encoder_new(&m->reader, m->base.params, "reader.", &o->reader, a->e);
    if (a->s != RC_OK) return;
    size_t in = rc__encoder_pooled(m->reader), A = m->answers.count;
    add_param(a, &m->out_w, "output", SIZE_MAX, A, in, xavier(A, in));
    add_param(a, &m->out_b, "output.bias", SIZE_MAX, 0, A, constant(0));
    if (a->s == RC_OK) m->out_b->no_decay = true;
}

rc_status rc__answerer_declare(rc__answerer *m, rc_error *e) {
    rc_error local;
    adder a = {m, e ? e : &local, RC_OK};
    a.s = rc_params_new(&m->base.params, e);
    switch ((rc__answer_kind)m->o.kind) {
    case RC__ANSWER_MEMORY: declare_memory(&a); break;
    case RC__ANSWER_QUERY: declare_query(&a); break;
    case RC__ANSWER_ENTITY: declare_entity(&a); break;
    case RC__ANSWER_RECURRENT: declare_recurrent(&a); break;
    }
    add_param(&a, &m->error, "error", SIZE_MAX, 0, m->o.members, constant(0));
    if (a.s != RC_OK) return a.s;
    m->error->frozen = m->error->no_decay = true;
    for (size_t k = 0; k < m->n_tables; k++) {
        m->table[k]->no_decay = m->o.kind == RC__ANSWER_RECURRENT; /* of the others they are most of what is learnt */
        if (m->time[k]) m->time[k]->no_decay = true;
    }
    return RC_OK;
}

void rc__answerer_free(rc_model *base) {
    rc__answerer *m = (rc__answerer *)base;
    if (!m) return;
    rc__encoder_free(m->reader);
    rc_params_free(m->base.params);
    rc__strtab_free(&m->words);
    rc__strtab_free(&m->answers);
    rc__strtab_free(&m->tasks);
    rc__data_free(&m->data);
    rc__free(m->answer_row, (m->n_answer_row + 1) * sizeof *m->answer_row);
    rc__free(m, sizeof *m);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static rc_var *rows_of(rc_tape *t, const int32_t *ids, size_t n, rc_var *table) {
    return rc_embedding(t, ids, 1, &n, table);
}

/* The sentences of the batch as vectors by one table. */
static rc_var *sentences(rc_tape *t, const rc__answer_batch *b, rc_param *table, rc_var *mask) {
    rc_bags bags = {b->sentences, b->start, b->ids, mask ? b->place : NULL};
    return rc_embedding_bags(t, &bags, rc_param_var(t, table), mask);
}

static rc_var *position_mask(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b) {
    if (!m->o.position || b->places == 0) return NULL;
    return rc_input(t, 2, (size_t[]){b->places, m->o.embedding * m->o.members}, b->mask);
}

/* The memories by one table, with their times. */
static rc_var *memories(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc_var *vectors, size_t table) {
    rc_var *x = rows_of(t, b->row, b->rows, vectors);
    if (m->time[table]) x = rc_add(t, x, rows_of(t, b->when, b->rows, rc_param_var(t, m->time[table])));
    return x;
}

static rc_var *forward_memory(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks) {
    const rc__answer_options *o = &m->o;
    rc_var *mask = position_mask(t, m, b), *vectors[RC__ANSWER_MAX_HOPS + 1], *mem[RC__ANSWER_MAX_HOPS + 1];
    for (size_t k = 0; k < m->n_tables; k++) {
        vectors[k] = sentences(t, b, m->table[k], mask);
        if (k < 2 || !o->layerwise) mem[k] = memories(t, m, b, vectors[k], k);
    }
    rc_var *u = rows_of(t, b->question, b->n, vectors[o->layerwise ? 2 : 0]);
    for (size_t k = 0; k < o->hops; k++) {
        size_t in = o->layerwise ? 0 : k;
        rc_var *read = rc_memory_read(t, u, mem[in], mem[in + 1], b->lengths, o->members, !m->linear, looks ? &looks->p[k] : NULL);
        if (o->layerwise) u = rc_linear_heads(t, u, rc_param_var(t, m->hop), NULL, o->members);
        u = rc_add(t, u, read);
    }
    if (looks) looks->n = o->hops;
    rc_var *out = o->layerwise ? rc_param_var(t, m->out_w)
                               : rows_of(t, m->answer_row, m->n_answer_row, rc_param_var(t, m->table[o->hops]));
    return rc_linear_heads(t, rc_dropout(t, u, o->dropout), out, NULL, o->members);
}

/* x (N, H D) times z (N, H), each head's columns by its own. */
static rc_var *scale_heads(rc_tape *t, rc_var *x, rc_var *z, size_t H) {
    size_t three[3] = {x->dim[0], H, H ? x->dim[1] / H : 0}, one[3] = {x->dim[0], H, 1};
    rc_var *y = rc_mul(t, rc_reshape(t, x, 3, three), rc_reshape(t, z, 3, one));
    return rc_reshape(t, y, 2, (size_t[]){three[0], x->dim[1]});
}

/* At the start a sentence changes a twelfth of the query, so that all sentences of a story have a say in it. */
#define KEEP 2.5

static rc_var *forward_query(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks) {
    const rc__answer_options *o = &m->o;
    size_t H = o->members, N = b->rows;
    int32_t *asked = rc__tape_alloc(t, (N + 1) * sizeof *asked), *last = rc__tape_alloc(t, (b->n + 1) * sizeof *last);
    int32_t *which = rc__tape_alloc(t, (N + 1) * sizeof *which);
    if (!asked || !last || !which) return rc__dead(t);
    for (size_t i = 0, r = 0; i < b->n; i++) {
        for (int32_t k = 0; k < b->lengths[i]; k++, r++) asked[r] = b->question[i], which[r] = (int32_t)i;
        last[i] = (int32_t)r - 1;
    }
    rc_var *vectors = rc_dropout(t, sentences(t, b, m->table[0], position_mask(t, m, b)), o->dropout);
    rc_var *x = rows_of(t, b->row, N, vectors), *q = rows_of(t, asked, N, vectors), *h = NULL;
    for (size_t k = 0; k < o->hops; k++) {
        rc_var *gate = rc_linear_heads(t, rc_mul(t, x, q), rc_param_var(t, m->gate_w[k]), rc_param_var(t, m->gate_b[k]), H);
        rc_var *split = rc_reshape(t, gate, 3, (size_t[]){N, H, 2}); /* of each head: update, reset */
        rc_var *z = rc_sigmoid(t, rc_scale(t, rc_reshape(t, rc_slice(t, split, 2, 0, 1), 2, (size_t[]){N, H}), 1, -KEEP));
        rc_var *r = rc_sigmoid(t, rc_reshape(t, rc_slice(t, split, 2, 1, 1), 2, (size_t[]){N, H}));
        rc_var *of_x = rows_of(t, b->row, N, rc_linear_heads(t, vectors, rc_param_var(t, m->in_w[k]), rc_param_var(t, m->in_b[k]), H));
        rc_var *w = rc_param_var(t, m->query_w[k]);
        rc_var *of_q = k ? rc_linear_heads(t, q, w, NULL, H) /* before the first sentence all have the same question */
                         : rows_of(t, which, N, rc_linear_heads(t, rows_of(t, b->question, b->n, vectors), w, NULL, H));
        rc_var *c = scale_heads(t, rc_tanh(t, rc_add(t, of_x, of_q)), r, H);
        if (looks) looks->p[k] = z->x;
        h = rc_gated_scan(t, c, z, b->lengths, b->n, H, false);
        if (k + 1 < o->hops) q = rc_add(t, h, rc_gated_scan(t, c, z, b->lengths, b->n, H, true));
    }
    if (looks) looks->n = o->hops;
    return rc_linear_heads(t, rows_of(t, last, b->n, h), rc_param_var(t, m->out_w), NULL, H);
}

/* x where it is above 0, else slope times it; columns are the last axis. */
static rc_var *prelu(rc_tape *t, rc_var *x, rc_var *slope) {
    rc_var *positive = rc_relu(t, x);
    return rc_add(t, positive, rc_mul(t, rc_sub(t, x, positive), slope));
}

static rc_var *forward_entity(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks) {
    const rc__answer_options *o = &m->o;
    size_t J = o->blocks, n_ids = b->start[b->sentences];
    int32_t *place = rc__tape_alloc(t, (n_ids + 1) * sizeof *place), *blocks = rc__tape_alloc(t, (b->n + 1) * sizeof *blocks);
    if (!place || !blocks) return rc__dead(t);
    for (size_t r = 0; r < b->sentences; r++)
        for (uint32_t i = b->start[r]; i < b->start[r + 1]; i++) place[i] = (int32_t)(i - b->start[r] < 31 ? i - b->start[r] : 31);
    for (size_t i = 0; i < b->n; i++) blocks[i] = (int32_t)J;
    rc_bags bags = {b->sentences, b->start, b->ids, place};
    rc_var *mask = m->places ? rc_param_var(t, m->places) : NULL, *keys = rc_param_var(t, m->keys), *slope = rc_param_var(t, m->slope);
    rc_var *s = rc_dropout(t, rc_embedding_bags(t, &bags, rc_param_var(t, m->table[0]), mask), o->dropout);
    rc_var *sw = rc_linear(t, s, rc_param_var(t, m->entity_w), NULL), *sk = rc_linear(t, s, keys, NULL);
    rc_var *kv = rc_linear(t, keys, rc_param_var(t, m->entity_v), NULL);
    rc_var *h = rc_entity_memory(t, rows_of(t, b->row, b->rows, s), rows_of(t, b->row, b->rows, sw), rows_of(t, b->row, b->rows, sk),
                                 kv, keys, rc_param_var(t, m->entity_u), slope, b->lengths, b->n, NULL);
    if (looks) looks->n = 0;
    rc_var *q = rows_of(t, b->question, b->n, s);
    rc_var *u = rc_memory_read(t, q, h, h, blocks, 1, true, NULL);
    rc_var *y = prelu(t, rc_add(t, q, rc_linear(t, u, rc_param_var(t, m->entity_h), NULL)), slope);
    return rc_linear(t, y, rc_param_var(t, m->out_w), NULL);
}

static rc_var *forward_recurrent(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks) {
    size_t dim[2] = {b->words_T, b->n};
    rc_var *pooled = NULL, *x = rc_embedding(t, b->words, 2, dim, rc_param_var(t, m->table[0]));
    if (looks) looks->n = 0;
    rc__encoder_forward(t, m->reader, rc_dropout(t, x, m->o.dropout), b->word_lengths, &pooled);
    return rc_linear(t, rc_dropout(t, pooled, m->o.dropout), rc_param_var(t, m->out_w), rc_param_var(t, m->out_b));
}

rc_var *rc__answerer_forward(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks) {
    switch ((rc__answer_kind)m->o.kind) {
    case RC__ANSWER_QUERY: return forward_query(t, m, b, looks);
    case RC__ANSWER_ENTITY: return forward_entity(t, m, b, looks);
    case RC__ANSWER_RECURRENT: return forward_recurrent(t, m, b, looks);
    default: return forward_memory(t, m, b, looks);
    }
}

typedef struct times_node {
    rc__node n;
    rc_var *x;
    rc_real times;
} times_node;

static void times_backward(rc_tape *t, rc__node *self) {
    times_node *s = (times_node *)self;
    rc_real *dx = rc__grad(t, s->x);
    for (size_t i = 0; dx && i < s->x->len; i++) dx[i] += s->times * self->out.dx[i];
}

/* x as it is, with a gradient so many times as large. */
static rc_var *gradient_times(rc_tape *t, rc_var *x, size_t times) {
    if (!rc__alive(t, "gradient_times", 1, x)) return rc__dead(t);
    times_node *s = rc__node_view(t, sizeof *s, "gradient_times", x->ndim, x->dim, x->needs_grad, times_backward);
    if (!s) return rc__dead(t);
    s->x = x;
    s->times = (rc_real)times;
    s->n.out.x = x->x;
    return &s->n.out;
}

/* The mean over the members; each of them gets the gradient that it would have alone. */
rc_var *rc__answerer_loss(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc_var *scores) {
    size_t dim[2] = {b->n * m->o.members, m->answers.count};
    return gradient_times(t, rc_cross_entropy(t, rc_reshape(t, scores, 2, dim), b->targets, NULL), m->o.members);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

size_t rc__answerer_chosen(const rc__answerer *m, size_t chosen[RC__ANSWER_MAX_MEMBERS]) {
    size_t H = m->o.members, n = m->o.ensemble < H ? m->o.ensemble : H;
    for (size_t k = 0; k < H; k++) { /* insertion by error; the first of equal ones stays first */
        size_t at = k;
        for (; at > 0 && m->error->w[chosen[at - 1]] > m->error->w[k]; at--) chosen[at] = chosen[at - 1];
        chosen[at] = k;
    }
    return n;
}

rc_status rc__answer_result_new(rc__answer_result *r, const rc__answerer *m, size_t n, bool probabilities, rc_error *e) {
    *r = (rc__answer_result){0};
    r->answer = rc__calloc(n + 1, sizeof *r->answer);
    r->wrong = rc__calloc(m->o.members, sizeof *r->wrong);
    if (probabilities) r->probability = rc__calloc(n + 1, m->answers.count * sizeof *r->probability);
    return r->answer && r->wrong && (r->probability || !probabilities) ? RC_OK
                                                                       : rc_fail(e, RC_ENOMEM, "no memory for %zu answers", n);
}

void rc__answer_result_free(rc__answer_result *r, const rc__answerer *m, size_t n) {
    rc__free(r->answer, (n + 1) * sizeof *r->answer);
    rc__free(r->wrong, m->o.members * sizeof *r->wrong);
    rc__free(r->probability, (n + 1) * m->answers.count * sizeof *r->probability);
    *r = (rc__answer_result){0};
}

static size_t best_of(const rc_real *p, size_t A) {
    size_t best = 0;
    for (size_t a = 1; a < A; a++)
        if (p[a] > p[best]) best = a;
    return best;
}

typedef struct mean_of { /* the chosen members' probabilities of one question */
    const size_t *chosen;
    size_t n;
    double *mean; /* (A) */
} mean_of;

/* One question: p (members, A) are probabilities. */
static void take_answer(const rc__answerer *m, const rc_real *p, int32_t target, size_t i, mean_of *x, rc__answer_result *r) {
    size_t A = m->answers.count, best = 0;
    for (size_t k = 0; target >= 0 && k < m->o.members; k++)
        r->wrong[k] += (best_of(p + k * A, A) != (size_t)target) - 1e-2 * log((double)p[k * A + (size_t)target] + 1e-30);
    for (size_t a = 0; a < A; a++) {
        double sum = 0;
        for (size_t k = 0; k < x->n; k++) sum += (double)p[x->chosen[k] * A + a];
        x->mean[a] = sum / (double)x->n;
        if (x->mean[a] > x->mean[best]) best = a;
    }
    r->answer[i] = (int32_t)best;
    if (r->probability) memcpy(r->probability + i * A, x->mean, A * sizeof *x->mean);
    if (target == RC__ANSWER_NONE) return;
    r->known += target >= 0;
    r->right += (int32_t)best == target;
    if (target >= 0) r->loss -= log(x->mean[target] + 1e-30);
}

rc_status rc__answerer_run(const rc__answerer *m, rc_tape *t, const rc__story_set *x, const uint32_t *index, size_t n,
                           size_t batch, rc__answer_result *r, rc_error *e) {
    size_t chosen[RC__ANSWER_MAX_MEMBERS], A = m->answers.count, H = m->o.members;
    rc__answer_batch b = {0};
    mean_of mean = {chosen, rc__answerer_chosen(m, chosen), rc__alloc(A * sizeof(double))};
    uint32_t *all = rc__alloc((n + 1) * sizeof *all);
    rc_status s = mean.mean && all ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for %zu answers", A);
    for (size_t i = 0; s == RC_OK && i < n; i++) all[i] = index ? index[i] : (uint32_t)i;
    for (size_t from = 0; s == RC_OK && from < n; from += batch) {
        size_t count = n - from < batch ? n - from : batch;
        s = rc__answer_batch_make(&b, m, x, all + from, count, NULL, e);
        if (s != RC_OK) break;
        rc_tape_begin(t, (rc_tape_mode){0});
        rc_var *scores = rc__answerer_forward(t, m, &b, NULL);
        rc_var *p = rc_softmax(t, rc_reshape(t, scores, 3, (size_t[]){count, H, A}));
        s = rc_tape_status(t, e);
        for (size_t i = 0; s == RC_OK && i < count; i++) take_answer(m, p->x + i * H * A, b.target[i], from + i, &mean, r);
    }
    if (r->known) r->loss /= (double)r->known;
    for (size_t k = 0; r->known && k < H; k++) r->wrong[k] /= (double)r->known;
    rc__answer_batch_free(&b);
    rc__free(all, (n + 1) * sizeof *all);
    rc__free(mean.mean, A * sizeof(double));
    return s;
}
