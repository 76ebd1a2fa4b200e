/* chrf.c - chrF (Popović 2015) and chrF++ (Popović 2017) over a corpus as sacrebleu 2.x counts them: counts are added up
 * over the pairs, an order counts where both sides have n-grams of it. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "data/codes.h"
#include "data/strtab.h"
#include "metrics/ngrams.h"
#include "metrics/translation.h"

enum { CHARS = 6, MOST_WORDS = 2, BETA = 2 };

typedef struct counts {
    uint64_t hypothesis[CHARS + MOST_WORDS], reference[CHARS + MOST_WORDS], match[CHARS + MOST_WORDS];
} counts;

typedef struct side {
    rc__codes text, chars, words; /* chars without white space; words as numbers */
} side;

typedef struct counter {
    side side[2];
    rc__strtab words;
    rc__ngrams ngrams;
} counter;

static bool is_mark(uint32_t c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static rc_status add_word(counter *c, side *x, const uint32_t *word, size_t n, rc_error *e) {
    uint32_t id;
    rc_status s = rc__strtab_add(&c->words, (const char *)word, n * sizeof *word, &id, NULL, e);
    return s == RC_OK ? rc__codes_put(&x->words, id, e) : s;
}

/* One mark at the end of a word, else one at its beginning, is a word of its own. */
static rc_status cut_word(counter *c, side *x, const uint32_t *word, size_t n, rc_error *e) {
    size_t at = n == 1 ? 0 : is_mark(word[n - 1]) ? n - 1 : is_mark(word[0]) ? 1 : 0;
    rc_status s = at ? add_word(c, x, word, at, e) : RC_OK;
    return s == RC_OK ? add_word(c, x, word + at, n - at, e) : s;
}

static rc_status read_side(counter *c, side *x, rc__cell cell, bool words, bool lowercase, rc_error *e) {
    rc_status s = rc__codes_read(&x->text, cell, e);
    if (s == RC_OK && lowercase) s = rc__codes_lower(&x->text, e);
    x->chars.n = x->words.n = 0;
    for (size_t i = 0; s == RC_OK && i < x->text.n;) {
        size_t from = i;
        while (s == RC_OK && i < x->text.n && !rc__code_is_space(x->text.c[i]))
            s = rc__codes_put(&x->chars, x->text.c[i++], e);
        if (i == from)
            i++;
        else if (s == RC_OK && words)
            s = cut_word(c, x, x->text.c + from, i - from, e);
    }
    return s;
}

static rc_status count_order(counter *c, counts *t, size_t k, const rc__codes *h, const rc__codes *r, size_t n,
                             rc_error *e) {
    size_t in_h = rc__ngram_total(h->n, n), in_r = rc__ngram_total(r->n, n);
    uint64_t matches;
    rc_status s = rc__ngram_matches(&c->ngrams, r->c, r->n, h->c, h->n, n, &matches, e);
    if (s != RC_OK) return s;
    t->hypothesis[k] += in_r ? in_h : 0;
    t->reference[k] += in_r;
    t->match[k] += matches;
    return RC_OK;
}

static double score_of(const counts *t, size_t orders) {
    double precision = 0, recall = 0, factor = BETA * BETA;
    size_t effective = 0;
    for (size_t k = 0; k < orders; k++) {
        if (!t->hypothesis[k] || !t->reference[k]) continue;
        precision += (double)t->match[k] / (double)t->hypothesis[k];
        recall += (double)t->match[k] / (double)t->reference[k];
        effective++;
    }
    if (effective == 0 || precision + recall == 0) return 0;
    precision /= (double)effective;
    recall /= (double)effective;
    double f = (1 + factor) * precision * recall;
    f /= factor * precision + recall;
    return 100 * f;
}

rc_status rc__chrf_corpus(const rc__cell *hypothesis, const rc__cell *reference, size_t n, int word_order,
                          bool lowercase, double *score, char signature[128], rc_error *e) {
    counter c = {0};
    counts t = {0};
    rc_status s = RC_OK;
    size_t words = word_order <= 0 ? 0 : word_order > MOST_WORDS ? MOST_WORDS : (size_t)word_order;
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        side *h = &c.side[0], *r = &c.side[1];
        rc__strtab_truncate(&c.words, 0);
        s = read_side(&c, h, hypothesis[i], words > 0, lowercase, e);
        if (s == RC_OK) s = read_side(&c, r, reference[i], words > 0, lowercase, e);
        for (size_t k = 0; k < CHARS && s == RC_OK; k++) s = count_order(&c, &t, k, &h->chars, &r->chars, k + 1, e);
        for (size_t k = 0; k < words && s == RC_OK; k++)
            s = count_order(&c, &t, CHARS + k, &h->words, &r->words, k + 1, e);
    }
    for (int i = 0; i < 2; i++) {
        rc__codes_free(&c.side[i].text);
        rc__codes_free(&c.side[i].chars);
        rc__codes_free(&c.side[i].words);
    }
    rc__strtab_free(&c.words);
    rc__ngrams_free(&c.ngrams);
    if (s != RC_OK) return s;
    *score = score_of(&t, CHARS + words);
    snprintf(signature, 128, "nrefs:1|case:%s|eff:yes|nc:%d|nw:%zu|space:no|version:recur-%s",
             lowercase ? "lc" : "mixed", CHARS, words, rc_version());
    return RC_OK;
}
