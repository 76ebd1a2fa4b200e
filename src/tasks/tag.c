/* tag.c - the network of a tagger, its batches, its loss and its answers; see tag.h. */
#include "tasks/tag.h"
#include "autograd/tape_internal.h"
#include "base/mem.h"
#include "data/batches.h"
#include "decode/viterbi.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tags -------------------------------------------------------------------------------------------------------- */

static rc_status copy_tags(const rc__tagset *from, rc__tagset **out, rc_error *e) {
    size_t K = rc__tagset_size(from);
    const char **names = rc__alloc((K + 1) * sizeof *names);
    if (!names) return rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
    for (size_t k = 0; k < K; k++) names[k] = rc__tagset_name(from, k);
    rc_status s = rc__tagset_new(names, K, out, e);
    rc__free(names, (K + 1) * sizeof *names);
    return s;
}

static rc_status set_allowed(rc__tagger *m, rc_error *e) {
    size_t K = rc__tagger_size(m);
    const char **names = rc__alloc((K + 1) * sizeof *names);
    m->allowed = rc__alloc((K + 1) * (K + 1));
    rc_status s = names && m->allowed ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
    for (size_t k = 0; s == RC_OK && k < K; k++) names[k] = rc__tagset_name(m->tags, k);
    if (s == RC_OK) s = rc__tags_allowed(names, K, m->inside_scheme, m->allowed, e);
    rc__free(names, (K + 1) * sizeof *names);
    return s;
}

rc_status rc__tagger_set_tags(rc__tagger *m, const rc__tagset *from, rc_error *e) {
    size_t K =
        m->spans ? 1 + rc__tagset_types(from) * (m->inside_scheme == RC_TAGS_IOB2 ? 2 : 4) : rc__tagset_size(from);
    size_t most = m->spans || m->crf ? RC__MAX_CRF_TAGS : RC__MAX_TAGS;
    if (K > most)
        return rc_fail(e, RC_EINVAL, "%zu different tags, the limit is %zu%s", K, most,
                       most == RC__MAX_CRF_TAGS ? " where they are chosen together" : "");
    rc_status s =
        m->spans ? rc__tagset_convert(from, m->written_scheme, &m->written, e) : copy_tags(from, &m->written, e);
    if (s == RC_OK)
        s = m->spans ? rc__tagset_convert(from, m->inside_scheme, &m->tags, e) : copy_tags(from, &m->tags, e);
    return s == RC_OK && m->spans ? set_allowed(m, e) : s;
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

static rc_status add_head(rc__tagger *m, const char *name, size_t outputs, size_t inputs, rc_param **w, rc_param **b,
                          rc_error *e) {
    char full[32] = "";
    size_t dim[2] = {outputs, inputs}, n = strlen(name);
    memcpy(full, name, n + 1);
    memcpy(full + n, ".weight", 8);
    *w = rc_params_add(m->base.params, full, 2, dim, (rc_init){.kind = RC_INIT_XAVIER_UNIFORM}, e);
    memcpy(full + n, ".bias", 6);
    if (*w) *b = rc_params_add(m->base.params, full, 1, dim, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (!*w || !*b) return e->code != RC_OK ? e->code : RC_ENOMEM;
    (*b)->no_decay = true;
    return RC_OK;
}

static rc_status add_field(rc__tagger *m, rc_error *e) {
    size_t K = rc__tagger_size(m), square[2] = {K, K};
    rc_init zeros = {.kind = RC_INIT_ZEROS}; /* every allowed move is as likely as any other */
    m->transitions = rc_params_add(m->base.params, "crf.transitions", 2, square, zeros, e);
    if (m->transitions) m->start = rc_params_add(m->base.params, "crf.start", 1, square, zeros, e);
    if (m->start) m->end = rc_params_add(m->base.params, "crf.end", 1, square, zeros, e);
    if (!m->end) return e->code != RC_OK ? e->code : RC_ENOMEM;
    m->transitions->no_decay = m->start->no_decay = m->end->no_decay = true;
    return RC_OK;
}

static rc_status add_outside(rc__tagger *m, rc_error *e) {
    size_t one[1] = {1};
    m->outside = rc_params_add(m->base.params, "outside", 1, one, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (!m->outside) return e->code != RC_OK ? e->code : RC_ENOMEM;
    m->outside->frozen = true;
    return RC_OK;
}

rc_status rc__tagger_declare(rc__tagger *m, rc_error *e) {
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    rc_status s = rc_params_new(&m->base.params, e);
    if (s != RC_OK) return s;
    m->wo.vocab_size = rc__lexicon_rows(&m->lexicon);
    m->wo.n_chars = m->lexicon.chars ? rc_vocab_size(m->lexicon.chars) : 0;
    m->wo.affix_buckets = m->lexicon.affixes;
    s = rc__words_new(&m->words, m->base.params, "words.", &m->wo, e);
    if (s == RC_OK) m->eo.input_size = rc__words_width(m->words);
    if (s == RC_OK) s = rc__encoder_new(&m->encoder, m->base.params, "encoder.", &m->eo, e);
    if (s != RC_OK) return s;
    m->eo = *rc__encoder_get_options(m->encoder);
    e->code = RC_OK;
    s = add_head(m, "head", rc__tagger_size(m), rc__encoder_width(m->encoder), &m->head_w, &m->head_b, e);
    if (s == RC_OK && m->crf) s = add_field(m, e);
    if (s == RC_OK && m->spans) s = add_outside(m, e);
    if (s == RC_OK && m->intents.count && rc__encoder_pooled(m->encoder) == 0)
        s = rc_fail(e, RC_EINVAL, "intents: no pooling");
    if (s == RC_OK && m->intents.count)
        s = add_head(m, "intent", m->intents.count, rc__encoder_pooled(m->encoder), &m->intent_w, &m->intent_b, e);
    return s;
}

void rc__tagger_free(rc_model *base) {
    if (!base) return;
    rc__tagger *m = (rc__tagger *)base;
    rc__words_free(m->words);
    rc__encoder_free(m->encoder);
    rc_params_free(m->base.params);
    rc__lexicon_free(&m->lexicon);
    size_t K = m->tags ? rc__tagger_size(m) : 0;
    rc__free(m->allowed, (K + 1) * (K + 1));
    rc__tagset_free(m->written);
    rc__tagset_free(m->tags);
    rc__strtab_free(&m->intents);
    rc__data_free(&m->data);
    rc__free(m, sizeof *m);
}

rc_var *rc__tagger_forward(rc_tape *t, const rc__tagger *m, const rc__tag_batch *b, rc_var **intent) {
    rc_var *pooled = NULL, *x = rc__words_forward(t, m->words, &b->text.words);
    x = rc_dropout(t, x, m->dropout_input);
    x = rc__encoder_forward(t, m->encoder, x, b->text.lengths, m->intents.count ? &pooled : NULL);
    x = rc_dropout(t, x, m->dropout_output);
    *intent = NULL;
    if (m->intents.count) {
        pooled = rc_dropout(t, pooled, m->dropout_output);
        *intent = rc_linear(t, pooled, rc_param_var(t, m->intent_w), rc_param_var(t, m->intent_b));
    }
    return rc_linear(t, x, rc_param_var(t, m->head_w), rc_param_var(t, m->head_b));
}

rc_var *rc__tagger_loss(rc_tape *t, const rc__tagger *m, const rc__tag_batch *b, double label_smoothing, rc_var *scores,
                        rc_var *intent) {
    rc_loss_options o = rc_loss_options_default();
    rc_var *loss;
    o.ignore_index = RC_NO_TARGET;
    if (m->crf) {
        o.sum = true;
        loss = rc_crf_loss(t, scores, rc_param_var(t, m->transitions), rc_param_var(t, m->start),
                           rc_param_var(t, m->end), b->target, b->lengths, m->allowed, &o);
        loss = rc_scale(t, loss, b->words ? 1 / (double)b->words : 0, 0);
        o.sum = false;
    } else {
        o.lengths = b->lengths;
        o.label_smoothing = label_smoothing;
        loss = rc_cross_entropy(t, scores, b->target, &o);
    }
    o.lengths = NULL;
    o.label_smoothing = label_smoothing;
    return intent ? rc_add(t, loss, rc_cross_entropy(t, intent, b->intent, &o)) : loss;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

void rc__tag_batch_free(rc__tag_batch *b) {
    rc__text_batch_free(&b->text);
    rc__free(b->target, b->cap_target * sizeof *b->target);
    rc__free(b->lengths, b->cap_lengths * sizeof *b->lengths);
    rc__free(b->intent, b->cap_intent * sizeof *b->intent);
    *b = (rc__tag_batch){0};
}

/* A field's loss is of whole sentences: one with a tag that the model does not know is left out of it. */
rc_status rc__tag_batch_make(rc__tag_batch *b, const rc__tagger *m, const rc__tag_set *x, const uint32_t *index,
                             size_t n, double drop, rc_rng *rng, rc_error *e) {
    rc_status s = rc__text_batch_make(&b->text, &x->text, index, n, drop, rng, e);
    size_t T = b->text.words.seq_len;
    if (s == RC_OK) s = rc__grow((void **)&b->target, &b->cap_target, T * n, sizeof *b->target, e);
    if (s == RC_OK) s = rc__grow((void **)&b->lengths, &b->cap_lengths, n, sizeof *b->lengths, e);
    if (s == RC_OK) s = rc__grow((void **)&b->intent, &b->cap_intent, n, sizeof *b->intent, e);
    if (s != RC_OK) return s;
    memset(b->target, 0, T * n * sizeof *b->target);
    b->n = n;
    b->T = T;
    b->words = b->rows = 0;
    for (size_t r = 0; r < n; r++) {
        size_t len = rc__text_set_len(&x->text, index[r]), known = 0;
        const int32_t *target = x->target + x->text.start[index[r]];
        for (size_t i = 0; i < len; i++) {
            b->target[i * n + r] = target[i];
            known += target[i] >= 0;
        }
        b->lengths[r] = m->crf && known < len ? 0 : (int32_t)len;
        b->words += m->crf && known < len ? 0 : known;
        b->intent[r] = x->intent[index[r]] < 0 ? RC_NO_TARGET : x->intent[index[r]];
        b->rows += b->intent[r] >= 0;
    }
    return RC_OK;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

rc_status rc__tag_answers_new(rc__tag_answers *a, size_t words, size_t n, bool probabilities, const double *outside,
                              size_t tries, rc_error *e) {
    *a = (rc__tag_answers){.words = words, .n = n, .outside = outside, .tries = outside ? tries : 1};
    a->tag = rc__calloc((words + 1) * a->tries, sizeof *a->tag);
    a->intent = rc__calloc(n + 1, sizeof *a->intent);
    a->intent_probability = rc__calloc(n + 1, sizeof *a->intent_probability);
    if (probabilities) a->probability = rc__calloc(n + 1, sizeof *a->probability);
    if (a->tag && a->intent && a->intent_probability && (a->probability || !probabilities)) return RC_OK;
    rc__tag_answers_free(a);
    return rc_fail(e, RC_ENOMEM, "out of memory for the tags of %zu words", words);
}

void rc__tag_answers_free(rc__tag_answers *a) {
    rc__free(a->tag, (a->words + 1) * a->tries * sizeof *a->tag);
    rc__free(a->intent, (a->n + 1) * sizeof *a->intent);
    rc__free(a->intent_probability, (a->n + 1) * sizeof *a->intent_probability);
    rc__free(a->probability, (a->n + 1) * sizeof *a->probability);
    *a = (rc__tag_answers){0};
}

/* The largest of n, and its share of the sum of exponentials. */
static size_t best_of(const rc_real *x, size_t n, double *probability) {
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[best]);
    *probability = 1 / sum;
    return best;
}

/* What a run needs for a batch. */
typedef struct room {
    int32_t *path;
    double *score, *log_z;
    rc_real *prob, *zeros;
    size_t cap_path, cap_score, cap_log_z, cap_prob, cap_zeros;
} room;

static void room_free(room *w) {
    rc__free(w->path, w->cap_path * sizeof *w->path);
    rc__free(w->score, w->cap_score * sizeof *w->score);
    rc__free(w->log_z, w->cap_log_z * sizeof *w->log_z);
    rc__free(w->prob, w->cap_prob * sizeof *w->prob);
    rc__free(w->zeros, w->cap_zeros * sizeof *w->zeros);
}

/* Without a field the moves cost nothing, but those that no valid sequence has are still not made. */
static rc_status best_paths(const rc__tagger *m, const rc__tag_batch *b, const rc_real *scores, bool probabilities,
                            room *w, rc_error *e) {
    size_t K = rc__tagger_size(m), old = w->cap_zeros;
    rc_status s = rc__grow((void **)&w->path, &w->cap_path, b->T * b->n, sizeof *w->path, e);
    if (s == RC_OK) s = rc__grow((void **)&w->score, &w->cap_score, b->n, sizeof *w->score, e);
    if (s == RC_OK) s = rc__grow((void **)&w->log_z, &w->cap_log_z, b->n, sizeof *w->log_z, e);
    if (s == RC_OK && !m->crf && m->spans) s = rc__grow((void **)&w->zeros, &w->cap_zeros, K * K, sizeof *w->zeros, e);
    if (s == RC_OK && probabilities && (m->crf || m->spans))
        s = rc__grow((void **)&w->prob, &w->cap_prob, b->T * b->n * K, sizeof *w->prob, e);
    if (s != RC_OK) return s;
    if (w->cap_zeros > old) memset(w->zeros, 0, w->cap_zeros * sizeof *w->zeros);
    if (!m->crf && !m->spans) {
        for (size_t r = 0; r < b->n; r++) {
            double p, log_p = 0;
            for (size_t i = 0; i < (size_t)b->text.lengths[r]; i++) {
                w->path[i * b->n + r] = (int32_t)best_of(scores + (i * b->n + r) * K, K, &p);
                log_p += log(p);
            }
            w->score[r] = log_p;
            w->log_z[r] = 0;
        }
        return RC_OK;
    }
    rc__crf c = {.K = K, .transitions = w->zeros, .start = w->zeros, .end = w->zeros, .allowed = m->allowed};
    if (m->crf) {
        c.transitions = m->transitions->w;
        c.start = m->start->w;
        c.end = m->end->w;
    }
    s = rc__viterbi(&c, b->T, b->n, scores, b->text.lengths, w->path, w->score, e);
    if (s == RC_OK && probabilities)
        s = rc__crf_marginals(&c, b->T, b->n, scores, b->text.lengths, w->prob, w->log_z, e);
    return s;
}

static void lower_outside(const rc__tag_batch *b, size_t K, double by, rc_real *scores) {
    for (size_t i = 0; i < b->T * b->n; i++) scores[i * K] -= (rc_real)by; /* O is the first (rc__tagset_convert) */
}

static void put_paths(const rc__tag_batch *b, const rc__tag_set *x, const uint32_t *index, const int32_t *path,
                      int32_t *tag) {
    for (size_t r = 0; r < b->n; r++) {
        size_t start = x->text.start[index[r]];
        for (size_t k = 0; k < rc__text_set_len(&x->text, index[r]); k++) tag[start + k] = path[k * b->n + r];
    }
}

static rc_status answer_batch(const rc__tagger *m, rc_tape *t, const rc__tag_batch *b, const rc__tag_set *x,
                              const uint32_t *index, rc__tag_answers *a, room *w, rc_error *e) {
    rc_var *intent;
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *scores = rc__tagger_forward(t, m, b, &intent);
    rc_var *loss = rc__tagger_loss(t, m, b, 0, scores, intent);
    rc_status s = rc_tape_status(t, e);
    double lowered = 0;
    for (size_t k = 0; s == RC_OK && k < a->tries; k++) {
        double outside = a->outside ? a->outside[k] : m->outside ? (double)m->outside->w[0] : 0;
        if (m->spans) lower_outside(b, rc__tagger_size(m), outside - lowered, scores->x);
        lowered = outside;
        s = best_paths(m, b, scores->x, a->probability != NULL, w, e);
        if (s == RC_OK) put_paths(b, x, index, w->path, a->tag + k * a->words);
    }
    if (s != RC_OK) return s;
    a->loss += (double)loss->x[0] * (double)b->words;
    for (size_t r = 0; r < b->n; r++) {
        size_t i = index[r];
        if (a->probability) a->probability[i] = exp(w->score[r] - w->log_z[r]);
        if (intent)
            a->intent[i] =
                (int32_t)best_of(intent->x + r * m->intents.count, m->intents.count, &a->intent_probability[i]);
    }
    return RC_OK;
}

typedef struct by_length {
    size_t length;
    uint32_t i;
} by_length;
static int longest_first(const void *pa, const void *pb) {
    const by_length *a = pa, *b = pb;
    if (a->length != b->length) return a->length < b->length ? 1 : -1;
    return (a->i > b->i) - (a->i < b->i);
}

rc_status rc__tagger_run(rc__tagger *m, rc_tape *t, const rc__tag_set *x, size_t batch, rc__tag_answers *a,
                         rc_error *e) {
    size_t n = x->text.n, bytes = (n + 1) * sizeof(by_length), known = 0;
    by_length *order = rc__alloc(bytes);
    uint32_t *index = rc__alloc((batch + 1) * sizeof *index);
    rc__tag_batch b = {0};
    room w = {0};
    rc_status s = order && index ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory for %zu sentences", n);
    for (size_t i = 0; s == RC_OK && i < n; i++) order[i] = (by_length){rc__text_set_len(&x->text, i), (uint32_t)i};
    if (s == RC_OK) qsort(order, n, sizeof *order, longest_first);
    a->loss = 0;
    for (size_t from = 0; s == RC_OK && from < n; from += batch) {
        size_t rows = n - from < batch ? n - from : batch;
        for (size_t r = 0; r < rows; r++) index[r] = order[from + r].i;
        s = rc__tag_batch_make(&b, m, x, index, rows, 0, NULL, e);
        if (s == RC_OK) s = answer_batch(m, t, &b, x, index, a, &w, e);
        known += b.words;
    }
    a->loss = known ? a->loss / (double)known : NAN;
    rc__free(order, bytes);
    rc__free(index, (batch + 1) * sizeof *index);
    rc__tag_batch_free(&b);
    room_free(&w);
    return s;
}

rc_status rc__tagger_write(const rc__tagger *m, const int32_t *tag, int32_t *out, size_t n, rc_error *e) {
    if (!m->spans) {
        if (n) memcpy(out, tag, n * sizeof *out);
        return RC_OK;
    }
    rc__span *spans = rc__alloc((n + 1) * sizeof *spans);
    if (!spans) return rc_fail(e, RC_ENOMEM, "out of memory for the spans of %zu words", n);
    size_t count = rc__spans(m->tags, RC_SPANS_SEQEVAL, m->inside_scheme, tag, n, spans);
    rc_status s = rc__tags_of_spans(m->tags, spans, count, m->written, m->written_scheme, out, n, e);
    rc__free(spans, (n + 1) * sizeof *spans);
    return s;
}
