/* attend.c - see attend.h. */
#include "nn/attend.h"
#include "nn/declare.h"
#include <math.h>
#include <stdio.h>
#include "autograd/align.h"
#include "autograd/tape_internal.h"

#define FILTERS \
    10 /* of location-aware attention, and their width: Chorowski et al. 2015, section 4.2, has 10 of 201 for
                           frames of speech; words are further apart */
#define FILTER_WIDTH 15

const char *const rc__attention_kinds[7] = {"none", "additive", "dot", "general", "concat", "multihead", "location"};

struct rc__attention {
    rc__attention_kind kind;
    size_t query, memory, A, heads; /* A: width that is scored */
    bool coverage, monotonic, additive;
    double dropout;
    rc_param *q_w, *k_w, *k_b, *v_w, *vector, *features, *filters, *offset; /* NULL where there is none */
};

static rc_status declare(rc__attention *a, rc_params *ps, const char *prefix, rc_error *e) {
    rc_init xavier = {.kind = RC_INIT_XAVIER_UNIFORM}, zero = {.kind = RC_INIT_ZEROS};
    size_t q[2] = {a->A, a->query}, k[2] = {a->A, a->memory}, one = 1;
    if (a->kind == RC__ATTENTION_GENERAL) { /* h W as a query of the memory's width */
        size_t w[2] = {a->memory, a->query};
        return (a->q_w = rc__declare(ps, prefix, "query.weight", 2, w, xavier, e)) ? RC_OK : RC_ENOMEM;
    }
    if (a->kind == RC__ATTENTION_DOT) return RC_OK;
    if (!(a->q_w = rc__declare(ps, prefix, "query.weight", 2, q, xavier, e))) return RC_ENOMEM;
    if (!(a->k_w = rc__declare(ps, prefix, "key.weight", 2, k, xavier, e))) return RC_ENOMEM;
    if (a->kind == RC__ATTENTION_MULTIHEAD)
        return (a->v_w = rc__declare(ps, prefix, "value.weight", 2, k, xavier, e)) ? RC_OK : RC_ENOMEM;
    if (a->kind != RC__ATTENTION_CONCAT && !(a->k_b = rc__declare(ps, prefix, "key.bias", 1, &a->A, zero, e))) return RC_ENOMEM;
    rc_init vector = {.kind = RC_INIT_UNIFORM, .value = sqrt(3.0 / (double)a->A)};
    if (!(a->vector = rc__declare(ps, prefix, "vector", 1, &a->A, vector, e))) return RC_ENOMEM;
    size_t n = (a->coverage ? 1u : 0u) + (a->kind == RC__ATTENTION_LOCATION ? FILTERS : 0u);
    if (n) {
        rc_init small = {.kind = RC_INIT_UNIFORM, .value = 1 / sqrt((double)a->A)};
        size_t w[2] = {a->A, n}, f[2] = {FILTERS, FILTER_WIDTH};
        if (!(a->features = rc__declare(ps, prefix, "features.weight", 2, w, small, e))) return RC_ENOMEM;
        if (a->kind == RC__ATTENTION_LOCATION && !(a->filters = rc__declare(ps, prefix, "filters", 2, f, xavier, e)))
            return RC_ENOMEM;
    }
    /* Raffel et al. 2017, section 2.4: a negative offset, so that at first attention lies on all of the memory */
    if (a->monotonic &&
        !(a->offset = rc__declare(ps, prefix, "offset", 1, &one, (rc_init){.kind = RC_INIT_CONSTANT, .value = -1}, e)))
        return RC_ENOMEM;
    return RC_OK;
}

static rc_status check(const rc__attention *a, rc_error *e) {
    const char *name = rc__attention_kinds[a->kind];
    if (a->kind == RC__ATTENTION_DOT && a->query != a->memory)
        return rc_fail(e, RC_EINVAL,
                       "decoder: attention dot multiplies decoder states of %zu with encoder states of %zu; make "
                       "them equal, or take general",
                       a->query, a->memory);
    if (a->heads < 1 || a->A % a->heads)
        return rc_fail(e, RC_EINVAL, "decoder: %zu heads do not divide a width of %zu", a->heads, a->A);
    if (a->coverage && !a->additive)
        return rc_fail(e, RC_EINVAL,
                       "decoder: coverage is a term inside additive, concat or location attention, not %s", name);
    if (a->monotonic && (!a->additive || a->coverage || a->kind == RC__ATTENTION_LOCATION))
        return rc_fail(e, RC_EINVAL,
                       "decoder: monotonic attention takes additive or concat scores without coverage, found %s%s",
                       name, a->coverage ? " with it" : "");
    return RC_OK;
}

rc_status rc__attention_new(rc__attention **out, rc_params *ps, const char *prefix, size_t query_size,
                            const rc__decoder_options *o, rc_error *e) {
    *out = NULL;
    rc__attention *a = rc__calloc(1, sizeof *a);
    if (!a) return rc_fail(e, RC_ENOMEM, "decoder: out of memory");
    a->kind = o->attention;
    a->query = query_size;
    a->memory = o->memory_size;
    a->A = o->attention == RC__ATTENTION_DOT || o->attention == RC__ATTENTION_GENERAL ? o->memory_size
                                                                                      : o->rnn.hidden_size;
    a->heads = 1;
    if (o->attention == RC__ATTENTION_MULTIHEAD) {
        a->heads = o->heads;
        for (size_t h = a->A / 64; !a->heads; h--) a->heads = h < 1 ? 1 : a->A % h == 0 ? h : 0;
    }
    a->additive = o->attention == RC__ATTENTION_ADDITIVE || o->attention == RC__ATTENTION_CONCAT ||
                  o->attention == RC__ATTENTION_LOCATION;
    a->coverage = o->coverage;
    a->monotonic = o->monotonic;
    a->dropout = o->attention_dropout;
    rc_status s = check(a, e);
    if (s == RC_OK) s = declare(a, ps, prefix, e);
    if (s != RC_OK) {
        rc__attention_free(a);
        return e && e->code != RC_OK ? e->code : s;
    }
    *out = a;
    return RC_OK;
}

void rc__attention_free(rc__attention *a) {
    if (a) rc__free(a, sizeof *a);
}

size_t rc__attention_width(const rc__attention *a) { return a->v_w ? a->A : a->memory; }
bool rc__attention_remembers(const rc__attention *a) {
    return a->coverage || a->monotonic || a->kind == RC__ATTENTION_LOCATION;
}

static rc_var *of(rc_tape *t, rc_param *p) { return p ? rc_param_var(t, p) : NULL; }

bool rc__attention_project(rc_tape *t, const rc__attention *a, rc_var *steps, rc__attention_memory *m) {
    m->keys = a->k_w ? rc_linear(t, steps, of(t, a->k_w), of(t, a->k_b)) : steps;
    m->values = a->v_w ? rc_linear(t, steps, of(t, a->v_w), NULL) : steps;
    return m->keys->len && m->values->len;
}

/* Noise on the scores makes p go to 0 or 1 by itself: Raffel et al. 2017, section 2.4. */
static const rc_real *draw_noise(rc_tape *t, size_t rows, size_t cols) {
    rc_real *noise = rc__tape_alloc(t, rows * cols * sizeof *noise);
    rc_rng r = rc__tape_rng(t);
    for (size_t i = 0; noise && i < rows * cols; i++) noise[i] = (rc_real)rc_rng_normal(&r);
    return noise;
}

static rc_var *columns(rc_tape *t, rc_var *x, size_t part, size_t parts) {
    size_t width = x->ndim ? x->dim[x->ndim - 1] / parts : 0;
    return parts == 1 ? x : rc_slice(t, x, -1, part * width, width);
}

rc_var *rc__attention_weights(rc_tape *t, rc_var *query, size_t heads, size_t kv_heads, const int32_t *q_lengths,
                              const rc__attention_memory *m) {
    if (!rc__alive(t, "attention", 2, query, m->keys)) return rc__dead(t);
    rc__align_options o = {.batch = m->batch,
                           .q_lengths = q_lengths,
                           .k_lengths = m->lengths,
                           .k_start = m->start,
                           .longest = m->longest,
                           .scale = 1 / sqrt((double)(query->dim[1] / heads))};
    rc_var *sum = NULL;
    for (size_t h = 0; h < heads; h++) {
        rc_var *w =
            rc__align(t, columns(t, query, h, heads), columns(t, m->keys, h / (heads / kv_heads), kv_heads), NULL, &o);
        sum = sum ? rc_add(t, sum, w) : w;
    }
    return heads > 1 ? rc_scale(t, sum, 1 / (double)heads, 0) : sum;
}

/* By rc__align: a head at a time, their mean as the weights. */
static rc_var *look_aligned(rc_tape *t, const rc__attention *a, rc_var *q, const int32_t *q_lengths,
                            const rc__attention_memory *m, const rc__attention_want *want) {
    rc_tape_mode mode = rc_tape_get_mode(t);
    rc__align_options o = {.batch = m->batch,
                           .q_lengths = q_lengths,
                           .k_lengths = m->lengths,
                           .k_start = m->start,
                           .longest = m->longest,
                           .scale = 1,
                           .coverage = a->coverage,
                           .filters = of(t, a->filters),
                           .mix = of(t, a->features),
                           .offset = of(t, a->offset),
                           .last = want->past.last,
                           .sum = a->coverage ? want->past.sum : NULL};
    if (a->kind == RC__ATTENTION_MULTIHEAD) o.scale = 1 / sqrt((double)(a->A / a->heads));
    if (a->monotonic) o.kind = mode.training ? RC__ALIGN_MONOTONIC : RC__ALIGN_HARD;
    if (a->monotonic && mode.training && !(o.noise = draw_noise(t, q->len ? q->dim[0] : 0, m->longest)))
        return rc__dead(t);
    rc_var *vector = of(t, a->vector), *weights = NULL, *context = NULL;
    for (size_t h = 0; h < a->heads; h++) {
        rc_var *w = rc__align(t, columns(t, q, h, a->heads), columns(t, m->keys, h, a->heads), vector, &o);
        rc_var *dropped = a->dropout > 0 ? rc_dropout(t, w, a->dropout) : w;
        rc_var *c = rc__mix_rows(t, dropped, columns(t, m->values, h, a->heads), &o);
        weights = weights ? rc_add(t, weights, w) : w;
        context = context ? rc_concat(t, 2, (rc_var *[2]){context, c}, -1) : c;
    }
    if (want->weights) *want->weights = a->heads > 1 ? rc_scale(t, weights, 1 / (double)a->heads, 0) : weights;
    return context;
}

rc_var *rc__attention_look(rc_tape *t, const rc__attention *a, rc_var *query, const int32_t *q_lengths,
                           const rc__attention_memory *m, const rc__attention_want *want) {
    rc_var *q = a->q_w ? rc_linear(t, query, of(t, a->q_w), NULL) : query;
    if (want->weights || rc__attention_remembers(a)) return look_aligned(t, a, q, q_lengths, m, want);
    rc_attention_options o = rc_attention_options_default();
    o.batch = m->batch;
    o.q_lengths = q_lengths;
    o.k_lengths = m->lengths;
    o.k_start = m->start;
    o.heads = a->heads;
    o.scale = a->kind == RC__ATTENTION_MULTIHEAD ? 0 : 1;
    o.dropout = a->dropout;
    o.weights = want->plain;
    if (a->additive) return rc_additive_attention(t, q, m->keys, of(t, a->vector), m->values, &o);
    return rc_attention(t, q, m->keys, m->values, &o);
}

size_t rc__attention_explain(const rc__attention *a, char *out, size_t cap) {
    const char *why = a->coverage    ? "what a step looks at depends on all that was looked at before"
                      : a->monotonic ? "it moves on from where it was"
                      : a->kind == RC__ATTENTION_LOCATION ? "what a step looks at depends on the step before"
                                                          : NULL;
    char heads[32] = "";
    if (a->heads > 1) snprintf(heads, sizeof heads, ", %zu heads", a->heads);
    int n = snprintf(out, cap, "attention: %s%s%s%s, states of %zu on steps of %zu, scored in %zu columns: %s%s\n",
                     rc__attention_kinds[a->kind], a->coverage ? " with coverage" : "",
                     a->monotonic ? ", monotonic" : "", heads, a->query, a->memory, a->A,
                     why ? "the steps of a sentence one after the other inside one op, since "
                         : "all steps at once, fused: no "
                           "step depends on what an earlier one looked at",
                     why ? why : "");
    return n < 0 ? 0 : (size_t)n;
}
