/* variety.c - how varied texts are, and how many are exactly right. Words are what white space separates. */
#include <string.h>
#include "base/mem.h"
#include "data/codes.h"
#include "data/strtab.h"
#include "metrics/ngrams.h"
#include "metrics/translation.h"

typedef struct corpus {
    rc__strtab words, texts;
    rc__codes ids, times; /* all words, one text after the other; how often each different text came */
    size_t *start;        /* (n + 1) of each text in ids */
    rc__ngrams ngrams;
} corpus;

static rc__cell trim(rc__cell c) {
    while (c.len && strchr(" \t\r\n\v\f", c.text[0]) && c.text[0]) c.text++, c.len--;
    while (c.len && strchr(" \t\r\n\v\f", c.text[c.len - 1]) && c.text[c.len - 1]) c.len--;
    return c;
}

static rc_status take_text(corpus *x, rc__cell text, rc_error *e) {
    uint32_t id;
    bool added;
    rc__cell rest = text, whole = trim(text), word;
    rc_status s = rc__strtab_add(&x->texts, whole.text, whole.len, &id, &added, e);
    if (s == RC_OK && added) s = rc__codes_put(&x->times, 0, e);
    if (s == RC_OK) x->times.c[id]++;
    while (s == RC_OK && (word = rc__cell_word(&rest)).len) {
        s = rc__strtab_add(&x->words, word.text, word.len, &id, NULL, e);
        if (s == RC_OK) s = rc__codes_put(&x->ids, id, e);
    }
    return s;
}

/* Different n-grams / all, none across the border of two texts. */
static rc_status distinct(corpus *x, size_t n_texts, size_t n, double *out, rc_error *e) {
    size_t all = 0, different = 0;
    rc_status s = rc__ngrams_begin(&x->ngrams, x->ids.c, n, x->ids.n, e);
    for (size_t i = 0; s == RC_OK && i < n_texts; i++)
        for (size_t k = x->start[i]; k + n <= x->start[i + 1]; k++, all++)
            different += (*rc__ngrams_add(&x->ngrams, k))++ == 0;
    *out = all ? (double)different / (double)all : 0;
    return s;
}

static rc_status repetition(corpus *x, size_t n_texts, double *out, rc_error *e) {
    size_t all = 0, again = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n_texts; i++) {
        size_t from = x->start[i], len = x->start[i + 1] - from, grams = rc__ngram_total(len, 4);
        if (grams == 0) continue;
        s = rc__ngrams_begin(&x->ngrams, x->ids.c + from, 4, grams, e);
        for (size_t k = 0; s == RC_OK && k < grams; k++, all++) again += (*rc__ngrams_add(&x->ngrams, k))++ > 0;
    }
    *out = all ? (double)again / (double)all : 0;
    return s;
}

rc_status rc__variety_of(const rc__cell *texts, size_t n, rc__variety *out, rc_error *e) {
    corpus x = {0};
    rc__variety v = {0};
    rc_status s = RC_OK;
    size_t bytes;
    if (!rc__size_mul(n + 1, sizeof *x.start, &bytes) || !(x.start = rc__calloc(n + 1, sizeof *x.start)))
        return rc_fail(e, RC_ENOMEM, "out of memory for %zu texts", n);
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        s = take_text(&x, texts[i], e);
        x.start[i + 1] = x.ids.n;
    }
    uint32_t most = 0;
    for (size_t i = 0; s == RC_OK && i < x.times.n; i++)
        if (x.times.c[i] > most) most = x.times.c[i];
    v.most_frequent = n ? (double)most / (double)n : 0;
    if (s == RC_OK) s = distinct(&x, n, 1, &v.distinct_1, e);
    if (s == RC_OK) s = distinct(&x, n, 2, &v.distinct_2, e);
    if (s == RC_OK) s = repetition(&x, n, &v.repetition, e);
    rc__strtab_free(&x.words);
    rc__strtab_free(&x.texts);
    rc__codes_free(&x.ids);
    rc__codes_free(&x.times);
    rc__ngrams_free(&x.ngrams);
    rc__free(x.start, bytes);
    if (s == RC_OK) *out = v;
    return s;
}

double rc__exact_match(const rc__cell *hypothesis, const rc__cell *reference, size_t n) {
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        rc__cell h = trim(hypothesis[i]), r = trim(reference[i]);
        right += h.len == r.len && (h.len == 0 || memcmp(h.text, r.text, h.len) == 0);
    }
    return n ? (double)right / (double)n : 0;
}
