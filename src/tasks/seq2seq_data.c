/* seq2seq_data.c - texts to ids and back, pairs of them, batches, and the answers of a network to many sources. */
#include "base/mem.h"
#include "data/lexicon.h"
#include "data/moses.h"
#include "data/utf8.h"
#include "recur/tape.h"
#include "tasks/seq2seq.h"
#include <stdlib.h>
#include <string.h>

#define IGNORED (-100) /* in target_out */

static int32_t begin_id(size_t vocab) { return (int32_t)vocab; }
static int32_t end_id(size_t vocab) { return (int32_t)vocab + 1; }

/* ---- texts and ids ----------------------------------------------------------------------------------------------- */

static const rc_vocab *side(const rc__seq2seq *m, bool target) { return target ? m->target_vocab : m->source_vocab; }
static const char *language(const rc__seq2seq *m, bool target) {
    const char *l = target ? m->target_language : m->source_language;
    return l ? l : "";
}

static rc__cell trimmed(rc__cell c) {
    while (c.len && strchr(" \t\r\n", c.text[0]) && c.text[0]) c.text++, c.len--;
    while (c.len && strchr(" \t\r\n", c.text[c.len - 1]) && c.text[c.len - 1]) c.len--;
    return c;
}

/* A text is one line. Before a BPE it gets a blank, so that its first word is cut as others are: their pieces begin
 * with the blank before them. */
rc_status rc__seq2seq_prepare(const rc__seq2seq *m, bool target, rc__cell text, rc__string *out, rc_error *e) {
    rc__string lower = {0};
    rc_status s = RC_OK;
    out->len = 0;
    text = trimmed(text);
    if (text.len == 0) return RC_OK;
    if (rc_vocab_get_kind(side(m, target)) == RC_VOCAB_BPE) s = rc__string_put(out, " ", 1, e);
    if (s == RC_OK && m->moses) {
        const rc__moses_options mo = {.language = language(m, target), .normalize = true, .lowercase = m->lowercase};
        s = rc__moses_tokenize(out, text, &mo, e);
    } else if (s == RC_OK && m->lowercase) {
        s = rc__lower(&lower, text.text, text.len, e);
        if (s == RC_OK) s = rc__string_put(out, lower.s, lower.len, e);
        rc__string_free(&lower);
    } else if (s == RC_OK) {
        s = rc__string_put(out, text.text, text.len, e);
    }
    for (size_t i = 0; s == RC_OK && i < out->len; i++)
        if (out->s[i] == '\n' || out->s[i] == '\r' || out->s[i] == '\t') out->s[i] = ' ';
    return s;
}

/* *n tokens in a block of *n (a source: with its end). */
static rc_status encode(const rc__seq2seq *m, bool target, rc__cell text, rc__string *scratch, int32_t **ids, size_t *n,
                        size_t *unknown, bool *cut, rc_error *e) {
    const rc_vocab *v = side(m, target);
    size_t most = target ? m->max_target : m->max_source, had = 0;
    *ids = NULL;
    *n = *unknown = 0;
    *cut = false;
    rc_status s = rc__seq2seq_prepare(m, target, text, scratch, e);
    if (s == RC_OK && scratch->len) s = rc_vocab_encode(v, scratch->s, scratch->len, ids, &had, unknown, e);
    if (s != RC_OK) return s;
    *cut = most && had > most;
    size_t keep = *cut ? most : had, want = keep + !target;
    if (want != had) {
        int32_t *p = rc__realloc(*ids, had * sizeof *p, want * sizeof *p);
        if (!p && want) {
            rc_ids_free(*ids, had);
            *ids = NULL;
            return rc_fail(e, RC_ENOMEM, "out of memory for %zu tokens", want);
        }
        *ids = p;
    }
    if (!target) (*ids)[keep] = end_id(rc_vocab_size(v));
    *n = want;
    return RC_OK;
}

rc_status rc__seq2seq_encode(const rc__seq2seq *m, bool target, rc__cell text, rc__string *scratch, int32_t **ids,
                             size_t *n, size_t *unknown, rc_error *e) {
    bool cut;
    size_t ignored;
    return encode(m, target, text, scratch, ids, n, unknown ? unknown : &ignored, &cut, e);
}

/* The words of a word vocabulary, with those of the source where there is none. */
static rc_status put_words(const rc_vocab *v, const int32_t *ids, size_t n, const rc__cell *replace, rc__string *out,
                           rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        size_t len;
        const char *entry = rc_vocab_entry(v, ids[i], &len);
        rc__cell word = {entry, len};
        if (replace && ids[i] == rc_vocab_unk(v) && replace[i].text) word = replace[i];
        if (out->len) s = rc__string_put(out, " ", 1, e);
        if (s == RC_OK) s = rc__string_put(out, word.text, word.len, e);
    }
    return s;
}

/* One line of UTF-8: pieces of bytes may make what is none. */
static rc_status put_clean(const char *text, size_t len, rc__string *out, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < len;) {
        uint32_t cp;
        size_t k = rc__utf8_decode(text + i, len - i, &cp);
        if (k == 0)
            s = rc__string_put(out, "\xEF\xBF\xBD", 3, e);
        else if (k == 1 && (unsigned char)text[i] < ' ')
            s = rc__string_put(out, " ", 1, e);
        else
            s = rc__string_put(out, text + i, k, e);
        i += k ? k : 1;
    }
    return s;
}

rc_status rc__seq2seq_decode(const rc__seq2seq *m, const int32_t *ids, size_t n, const rc__cell *replace,
                             bool detokenize, rc__string *out, rc_error *e) {
    const rc_vocab *v = m->target_vocab;
    rc__string words = {0}, clean = {0};
    rc_status s = RC_OK;
    out->len = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= rc_vocab_size(v))
            return rc_fail(e, RC_EINVAL, "id %d at position %zu: the vocabulary has %zu entries", (int)ids[i], i,
                           rc_vocab_size(v));
    if (rc_vocab_get_kind(v) == RC_VOCAB_WORD) {
        s = put_words(v, ids, n, replace, &words, e);
    } else {
        char *text = NULL;
        size_t len = 0;
        s = rc_vocab_decode(v, ids, n, &text, &len, e);
        if (s == RC_OK) s = rc__string_put(&words, text, len, e);
        rc_text_free(text, len);
    }
    if (s == RC_OK) s = put_clean(words.s, words.len, &clean, e);
    rc__cell text = trimmed((rc__cell){clean.s, clean.len});
    if (s == RC_OK && text.len && m->moses && detokenize)
        s = rc__moses_detokenize(out, text, language(m, true), e);
    else if (s == RC_OK && text.len)
        s = rc__string_put(out, text.text, text.len, e);
    rc__string_free(&words);
    rc__string_free(&clean);
    return s;
}

/* ---- pairs of ids ------------------------------------------------------------------------------------------------ */

void rc__id_pairs_free(rc__id_pairs *p) {
    rc__free(p->source, p->cap_source * sizeof *p->source);
    rc__free(p->target, p->cap_target * sizeof *p->target);
    rc__free(p->source_start, p->cap_n * sizeof *p->source_start);
    rc__free(p->target_start, p->cap_n * sizeof *p->target_start);
    rc__free(p->line, p->cap_n * sizeof *p->line);
    *p = (rc__id_pairs){0};
}

/* Room for n + 1 pairs in all three arrays of cap_n; on failure all are as they were. */
static rc_status more_pairs(rc__id_pairs *p, rc_error *e) {
    if (p->n + 2 <= p->cap_n) return RC_OK;
    size_t cap = p->cap_n ? p->cap_n * 2 : 16, bytes = cap * sizeof(size_t);
    size_t *a = rc__alloc(bytes), *b = rc__alloc(bytes);
    uint32_t *c = rc__alloc(cap * sizeof *c);
    if (!a || !b || !c || cap > UINT32_MAX) {
        rc__free(a, bytes), rc__free(b, bytes), rc__free(c, cap * sizeof *c);
        return rc_fail(e, RC_ENOMEM, "out of memory for %zu pairs", cap);
    }
    a[0] = b[0] = 0;
    if (p->cap_n) {
        memcpy(a, p->source_start, p->cap_n * sizeof *a);
        memcpy(b, p->target_start, p->cap_n * sizeof *b);
        memcpy(c, p->line, p->cap_n * sizeof *c);
    }
    rc__free(p->source_start, p->cap_n * sizeof *a);
    rc__free(p->target_start, p->cap_n * sizeof *b);
    rc__free(p->line, p->cap_n * sizeof *c);
    p->source_start = a, p->target_start = b, p->line = c, p->cap_n = cap;
    return RC_OK;
}

static rc_status add_side(const rc__seq2seq *m, bool target, rc__cell text, int32_t **to, size_t *cap, size_t *start,
                          size_t *unknown, bool *cut, rc__string *scratch, rc_error *e) {
    int32_t *ids;
    size_t n, missing;
    rc_status s = encode(m, target, text, scratch, &ids, &n, &missing, cut, e);
    if (s != RC_OK) return s;
    s = rc__grow((void **)to, cap, start[0] + n, sizeof **to, e);
    if (s == RC_OK) {
        if (n) memcpy(*to + start[0], ids, n * sizeof *ids);
        start[1] = start[0] + n;
        *unknown += missing;
    }
    rc_ids_free(ids, n);
    return s;
}

rc_status rc__id_pairs_add(rc__id_pairs *p, const rc__seq2seq *m, rc__cell source, rc__cell target, size_t line,
                           rc_error *e) {
    rc__string scratch = {0};
    bool cut_source = false, cut_target = false;
    rc_status s = more_pairs(p, e);
    if (s == RC_OK)
        s = add_side(m, false, source, &p->source, &p->cap_source, p->source_start + p->n, &p->unknown_source,
                     &cut_source, &scratch, e);
    if (s == RC_OK)
        s = add_side(m, true, target, &p->target, &p->cap_target, p->target_start + p->n, &p->unknown_target,
                     &cut_target, &scratch, e);
    rc__string_free(&scratch);
    if (s != RC_OK) return s;
    p->line[p->n++] = line < UINT32_MAX ? (uint32_t)line : UINT32_MAX;
    p->cut += cut_source || cut_target;
    return RC_OK;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

void rc__pair_batch_free(rc__pair_batch *b) {
    rc__free(b->source, b->cap_source * sizeof *b->source);
    rc__free(b->source_lengths, b->cap_source_lengths * sizeof *b->source_lengths);
    rc__free(b->target_in, b->cap_target_in * sizeof *b->target_in);
    rc__free(b->target_out, b->cap_target_out * sizeof *b->target_out);
    rc__free(b->target_lengths, b->cap_target_lengths * sizeof *b->target_lengths);
    *b = (rc__pair_batch){0};
}

/* A word that is left out: the unknown one, or any other where there is none. Draws are token by token, so that padding
 * changes none. */
static int32_t dropped(const rc_vocab *v, int32_t id, double drop, rc_rng *rng) {
    if (!(rc_rng_uniform(rng) < drop)) return id;
    return rc_vocab_unk(v) >= 0 ? rc_vocab_unk(v) : (int32_t)rc_rng_below(rng, rc_vocab_size(v));
}

static void fill_row(rc__pair_batch *b, const rc__seq2seq *m, const rc__id_pairs *p, size_t i, size_t row, size_t n,
                     double drop, rc_rng *rng) {
    size_t from = p->source_start[i], len = p->source_start[i + 1] - from;
    int32_t source_end = end_id(rc_vocab_size(m->source_vocab)), end = end_id(rc_vocab_size(m->target_vocab));
    for (size_t t = 0; t < b->b.source_len; t++) {
        int32_t id = t < len ? p->source[from + t] : source_end;
        b->source[t * n + row] = drop > 0 && t + 1 < len ? dropped(m->source_vocab, id, drop, rng) : id;
    }
    b->source_lengths[row] = (int32_t)len;
    from = p->target_start[i];
    len = p->target_start[i + 1] - from;
    for (size_t t = 0; t < b->b.target_len; t++) {
        int32_t in = t == 0 ? begin_id(rc_vocab_size(m->target_vocab)) : t <= len ? p->target[from + t - 1] : end;
        b->target_in[t * n + row] = drop > 0 && t && t <= len ? dropped(m->target_vocab, in, drop, rng) : in;
        b->target_out[t * n + row] = t < len ? p->target[from + t] : t == len ? end : IGNORED;
    }
    b->target_lengths[row] = (int32_t)len + 1;
}

rc_status rc__pair_batch_make(rc__pair_batch *b, const rc__seq2seq *m, const rc__id_pairs *p, const uint32_t *index,
                              size_t n, double drop, rc_rng *rng, rc_error *e) {
    size_t S = 1, T = 1;
    for (size_t k = 0; k < n; k++) {
        size_t i = index[k], source = p->source_start[i + 1] - p->source_start[i];
        size_t target = p->target_start[i + 1] - p->target_start[i] + 1;
        S = source > S ? source : S;
        T = target > T ? target : T;
    }
    size_t source, target;
    if (!rc__size_mul(S, n, &source) || !rc__size_mul(T, n, &target))
        return rc_fail(e, RC_ENOMEM, "a batch of %zu pairs is too large", n);
    rc_status s = rc__grow((void **)&b->source, &b->cap_source, source, sizeof *b->source, e);
    if (s == RC_OK) s = rc__grow((void **)&b->source_lengths, &b->cap_source_lengths, n, sizeof *b->source_lengths, e);
    if (s == RC_OK) s = rc__grow((void **)&b->target_in, &b->cap_target_in, target, sizeof *b->target_in, e);
    if (s == RC_OK) s = rc__grow((void **)&b->target_out, &b->cap_target_out, target, sizeof *b->target_out, e);
    if (s == RC_OK) s = rc__grow((void **)&b->target_lengths, &b->cap_target_lengths, n, sizeof *b->target_lengths, e);
    if (s != RC_OK) return s;
    b->b = (rc__seq2seq_batch){.n = n,
                               .source_len = S,
                               .target_len = T,
                               .source = b->source,
                               .source_lengths = b->source_lengths,
                               .target_in = b->target_in,
                               .target_out = b->target_out,
                               .target_lengths = b->target_lengths};
    for (size_t k = 0; k < n; k++) fill_row(b, m, p, index[k], k, n, drop, rng);
    return RC_OK;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

typedef struct by_length {
    size_t length;
    uint32_t i;
} by_length;
static int shortest_first(const void *pa, const void *pb) {
    const by_length *a = pa, *b = pb;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return (a->i > b->i) - (a->i < b->i);
}

typedef struct answering {
    const rc__seq2seq *m;
    const rc__seq2seq_net *const *nets;
    size_t n_nets;
    const rc__beam_options *o;
    uint32_t *index;
    uint64_t *stream;
    size_t *length;
    rc__hypothesis *found;
    rc__pair_batch batch;
    rc__seq2seq_take take;
    void *ctx;
} answering;

static rc_status answer(answering *a, const rc__id_pairs *p, size_t n, rc_error *e) {
    const rc__beam_options *o = a->o;
    rc__seq2seq_run *run = NULL;
    rc__beam_options bo = *o;
    rc_status s = rc__pair_batch_make(&a->batch, a->m, p, a->index, n, 0, NULL, e);
    if (s != RC_OK) return s;
    for (size_t k = 0; k < n; k++) {
        a->length[k] = (size_t)a->batch.source_lengths[k];
        a->stream[k] = o->stream ? o->stream[a->index[k]] : a->index[k];
    }
    bo.stream = a->stream;
    s = rc__seq2seq_run_new(&run, a->nets, a->n_nets, n, a->batch.b.source_len, a->batch.source,
                            a->batch.source_lengths, n * o->beam, e);
    if (s == RC_OK) {
        rc__beam_model model = rc__seq2seq_beam_model(run);
        s = rc__beam_search(&model, n, a->length, &bo, a->found, e);
        for (size_t k = 0; s == RC_OK && k < n; k++) s = a->take(a->ctx, a->index[k], &a->found[k * o->nbest], e);
        rc__hypotheses_free(a->found, n * o->nbest);
        memset(a->found, 0, n * o->nbest * sizeof *a->found);
    }
    rc__seq2seq_run_free(run);
    return s;
}

rc_status rc__seq2seq_answers(const rc__seq2seq *m, const rc__seq2seq_net *const *nets, size_t n_nets,
                              const rc__id_pairs *p, const rc__beam_options *o, size_t batch, rc__seq2seq_take take,
                              void *ctx, rc_error *e) {
    const rc__seq2seq_net *own = &m->net;
    answering a = {.m = m, .nets = nets ? nets : &own, .n_nets = nets ? n_nets : 1, .o = o, .take = take, .ctx = ctx};
    size_t n = 0;
    if (batch < 1 || o->beam < 1 || o->nbest < 1)
        return rc_fail(e, RC_EINVAL, "decoding: batch, beam and nbest: expected 1 or more");
    by_length *order = rc__alloc((p->n + 1) * sizeof *order);
    a.index = rc__alloc(batch * sizeof *a.index);
    a.stream = rc__alloc(batch * sizeof *a.stream);
    a.length = rc__alloc(batch * sizeof *a.length);
    a.found = rc__calloc(batch * o->nbest, sizeof *a.found);
    rc_status s = RC_OK;
    if (!order || !a.index || !a.stream || !a.length || !a.found)
        s = rc_fail(e, RC_ENOMEM, "out of memory for %zu sources", p->n);
    for (size_t i = 0; s == RC_OK && i < p->n; i++) {
        size_t length = p->source_start[i + 1] - p->source_start[i];
        if (length > 1) order[n++] = (by_length){length, (uint32_t)i}; /* an empty text has an empty answer */
    }
    if (s == RC_OK) qsort(order, n, sizeof *order, shortest_first);
    for (size_t from = 0; s == RC_OK && from < n; from += batch) {
        size_t rows = n - from < batch ? n - from : batch;
        for (size_t k = 0; k < rows; k++) a.index[k] = order[from + k].i;
        s = answer(&a, p, rows, e);
    }
    rc__free(order, (p->n + 1) * sizeof *order);
    rc__free(a.index, batch * sizeof *a.index);
    rc__free(a.stream, batch * sizeof *a.stream);
    rc__free(a.length, batch * sizeof *a.length);
    rc__free(a.found, batch * o->nbest * sizeof *a.found);
    rc__pair_batch_free(&a.batch);
    return s;
}

typedef struct texts {
    const rc__seq2seq *m;
    rc__string *text;
} texts;

static rc_status take_text(void *ctx, size_t i, const rc__hypothesis *h, rc_error *e) {
    const texts *t = ctx;
    return rc__seq2seq_decode(t->m, h->token, h->n, NULL, true, &t->text[i], e);
}

rc_status rc__seq2seq_translate(const rc__seq2seq *m, const rc__seq2seq_net *const *nets, size_t n_nets,
                                const rc__id_pairs *p, const rc__beam_options *o, size_t batch, rc__string *text,
                                rc_error *e) {
    texts t = {m, text};
    for (size_t i = 0; i < p->n; i++) text[i].len = 0;
    return rc__seq2seq_answers(m, nets, n_nets, p, o, batch, take_text, &t, e);
}
