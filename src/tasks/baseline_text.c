/* baseline_text.c - hashed words and pairs, logistic regression. Buckets that training has seen have a row of weights;
 * a text's other features have the weight 0 that they would have had. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "tasks/baselines.h"

struct rc__ngram {
    rc__ngram_options o;
    size_t C, rows, buckets;
    uint32_t *row;  /* (buckets + 1): of a bucket, + 1; 0 = not seen. The last is the bias. */
    double *weight; /* (rows, C) */
};

rc__ngram_options rc__ngram_options_default(void) { return (rc__ngram_options){20, 10, .5, true, 1}; }

/* ---- words and features ------------------------------------------------------------------------------------------ */

static bool in_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\'' ||
           (unsigned char)c > 127;
}

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }

/* The next word is [*start, *at); false at the end. */
static bool next_word(rc__text t, size_t *at, size_t *start) {
    while (*at < t.len && is_white(t.s[*at])) ++*at;
    *start = *at;
    if (*at == t.len) return false;
    ++*at;
    while (in_word(t.s[*start]) && *at < t.len && in_word(t.s[*at])) ++*at;
    return true;
}

/* FNV-1a, 64 bits, lower case, going on from h */
static uint64_t hash_on(uint64_t h, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] - 'A' + 'a') : s[i];
        h = (h ^ (unsigned char)c) * 0x100000001b3u;
    }
    return h;
}
static const uint64_t hash_start = 0xcbf29ce484222325u;

/* FNV mixes upwards: the top bits, after one more multiplication. */
static uint32_t bucket_of(const rc__ngram *m, uint64_t h) {
    return (uint32_t)((h * 0x9e3779b97f4a7c15u) >> (64 - m->o.bits));
}

/* The buckets of a text, the bias first; out may be NULL. Returns their number. */
static size_t features(const rc__ngram *m, rc__text t, uint32_t *out) {
    size_t n = 1, at = 0, start;
    uint64_t before = 0;
    bool first = true;
    if (out) out[0] = (uint32_t)m->buckets;
    while (next_word(t, &at, &start)) {
        uint64_t h = hash_on(hash_start, t.s + start, at - start);
        if (out) out[n] = bucket_of(m, h);
        n++;
        if (m->o.pairs && !first) {
            if (out) out[n] = bucket_of(m, hash_on(hash_on(before, " ", 1), t.s + start, at - start));
            n++;
        }
        before = h;
        first = false;
    }
    return n;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* From sums of weights to probabilities, in place. */
static void softmax(size_t C, double *p, double scale) {
    double top = -INFINITY, sum = 0;
    for (size_t c = 0; c < C; c++) top = fmax(top, p[c] * scale);
    for (size_t c = 0; c < C; c++) sum += p[c] = exp(p[c] * scale - top);
    for (size_t c = 0; c < C; c++) p[c] /= sum;
}

static void add_row(const rc__ngram *m, uint32_t bucket, double *p) {
    uint32_t row = m->row[bucket];
    if (!row) return;
    const double *w = m->weight + (size_t)(row - 1) * m->C;
    for (size_t c = 0; c < m->C; c++) p[c] += w[c];
}

void rc__ngram_predict(const rc__ngram *m, rc__text t, double *p) {
    size_t at = 0, start, n = 1;
    uint64_t before = 0;
    memset(p, 0, m->C * sizeof *p);
    add_row(m, (uint32_t)m->buckets, p);
    for (bool first = true; next_word(t, &at, &start); first = false) { /* as features(), without room for them */
        uint64_t h = hash_on(hash_start, t.s + start, at - start);
        add_row(m, bucket_of(m, h), p);
        n++;
        if (m->o.pairs && !first) {
            add_row(m, bucket_of(m, hash_on(hash_on(before, " ", 1), t.s + start, at - start)), p);
            n++;
        }
        before = h;
    }
    softmax(m->C, p, 1 / sqrt((double)n));
}

/* Texts with a label: their features one after the other. */
typedef struct corpus {
    size_t n, total;
    size_t *from;      /* (n + 1): of a text, in feature */
    int32_t *label;    /* (n) */
    uint32_t *feature; /* (total): rows of weights */
    size_t *order;     /* (n) */
    double *p;         /* (C) */
    size_t room;       /* texts, with a label or not: what was allocated */
} corpus;

static void corpus_free(corpus *c, size_t C) {
    rc__free(c->from, (c->room + 1) * sizeof *c->from);
    rc__free(c->label, (c->room + 1) * sizeof *c->label);
    rc__free(c->feature, (c->total + 1) * sizeof *c->feature);
    rc__free(c->order, (c->room + 1) * sizeof *c->order);
    rc__free(c->p, C * sizeof *c->p);
}

static rc_status corpus_take(rc__ngram *m, size_t n, const rc__text *text, const int32_t *label, corpus *c,
                             rc_error *e) {
    c->room = n;
    c->from = rc__alloc((n + 1) * sizeof *c->from);
    c->label = rc__alloc((n + 1) * sizeof *c->label);
    c->order = rc__alloc((n + 1) * sizeof *c->order);
    c->p = rc__alloc(m->C * sizeof *c->p);
    if (!c->from || !c->label || !c->order || !c->p) return rc_fail(e, RC_ENOMEM, "no memory for %zu texts", n);
    for (size_t i = 0; i < n; i++) {
        if (label[i] < 0) continue;
        if ((size_t)label[i] >= m->C) {
            return rc_fail(e, RC_EINVAL, "text %zu: label %d, expected 0 to %zu", i, (int)label[i], m->C - 1);
        }
        c->from[c->n] = c->total;
        c->label[c->n] = label[i];
        c->order[c->n] = c->n;
        c->n++;
        c->total += features(m, text[i], NULL);
    }
    c->from[c->n] = c->total;
    if (!c->n) return rc_fail(e, RC_EDATA, "no text has a label");
    c->feature = rc__alloc((c->total + 1) * sizeof *c->feature);
    if (!c->feature) return rc_fail(e, RC_ENOMEM, "no memory for the %zu features of %zu texts", c->total, n);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (label[i] >= 0) at += features(m, text[i], c->feature + at);
    }
    for (size_t k = 0; k < c->total; k++) {
        uint32_t *row = &m->row[c->feature[k]];
        if (!*row) *row = (uint32_t)++m->rows;
        c->feature[k] = *row - 1;
    }
    return RC_OK;
}

static void sgd_step(rc__ngram *m, const corpus *c, size_t which, double lr) {
    const uint32_t *f = c->feature + c->from[which];
    size_t n = c->from[which + 1] - c->from[which];
    double scale = 1 / sqrt((double)n);
    memset(c->p, 0, m->C * sizeof *c->p);
    for (size_t k = 0; k < n; k++) {
        const double *w = m->weight + (size_t)f[k] * m->C;
        for (size_t i = 0; i < m->C; i++) c->p[i] += w[i];
    }
    softmax(m->C, c->p, scale);
    c->p[c->label[which]] -= 1;
    for (size_t i = 0; i < m->C; i++) c->p[i] *= lr * scale;
    for (size_t k = 0; k < n; k++) {
        double *w = m->weight + (size_t)f[k] * m->C;
        for (size_t i = 0; i < m->C; i++) w[i] -= c->p[i];
    }
}

static void train(rc__ngram *m, const corpus *c) {
    rc_rng rng = rc_rng_make(m->o.seed, 0);
    double done = 0, total = (double)m->o.epochs * (double)c->n;
    for (size_t epoch = 0; epoch < m->o.epochs; epoch++) {
        for (size_t i = c->n; i > 1; i--) {
            size_t j = (size_t)rc_rng_below(&rng, i), keep = c->order[i - 1];
            c->order[i - 1] = c->order[j];
            c->order[j] = keep;
        }
        for (size_t i = 0; i < c->n; i++) sgd_step(m, c, c->order[i], m->o.lr * (1 - done++ / total));
    }
}

rc_status rc__ngram_train(size_t n, const rc__text *text, const int32_t *label, size_t C, const rc__ngram_options *o,
                          rc__ngram **out, rc_error *e) {
    rc__ngram_options options = o ? *o : rc__ngram_options_default();
    *out = NULL;
    if (!C || options.bits < 1 || options.bits > 24 || !options.epochs || !(options.lr > 0) || isinf(options.lr)) {
        return rc_fail(e, RC_EINVAL, "expected classes, 1 to 24 bits, epochs and a rate over 0; found %zu, %u, %zu, %g",
                       C, options.bits, options.epochs, options.lr);
    }
    rc__ngram *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "no memory for a bag of words");
    m->o = options;
    m->C = C;
    m->buckets = (size_t)1 << options.bits;
    m->row = rc__calloc(m->buckets + 1, sizeof *m->row);
    corpus c = {0};
    rc_status s =
        m->row ? corpus_take(m, n, text, label, &c, e) : rc_fail(e, RC_ENOMEM, "no memory for %zu buckets", m->buckets);
    size_t cells = 0;
    if (s == RC_OK) {
        m->weight = rc__size_mul(m->rows, C, &cells) ? rc__calloc(cells, sizeof *m->weight) : NULL;
        if (!m->weight) s = rc_fail(e, RC_ENOMEM, "no memory for %zu features of %zu classes", m->rows, C);
    }
    if (s == RC_OK) train(m, &c);
    corpus_free(&c, C);
    if (s == RC_OK) {
        *out = m;
    } else {
        rc__ngram_free(m);
    }
    return s;
}

void rc__ngram_free(rc__ngram *m) {
    if (!m) return;
    rc__free(m->row, (m->buckets + 1) * sizeof *m->row);
    rc__free(m->weight, m->rows * m->C * sizeof *m->weight);
    rc__free(m, sizeof *m);
}
