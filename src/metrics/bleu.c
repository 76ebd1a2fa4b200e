/* bleu.c - corpus BLEU-4 (Papineni et al. 2002) as sacrebleu 2.x counts it: its tokenizers 13a (mteval-v13a), intl
 * (mteval-v14), char and none, one reference, smoothing "exp". */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "data/codes.h"
#include "data/strtab.h"
#include "metrics/ngrams.h"
#include "metrics/translation.h"

const char *const rc__bleu_tokenizers[4] = {"13a", "intl", "char", "none"};

enum { ORDER = 4 };

/* ---- replacing --------------------------------------------------------------------------------------------------- */

static bool begins_with(const rc__codes *t, size_t at, const char *what) {
    for (size_t i = 0; what[i]; i++)
        if (at + i >= t->n || t->c[at + i] != (unsigned char)what[i]) return false;
    return true;
}

/* Every `what` (ASCII), from the left, becomes `with` (a character, 0: nothing). In place: it never grows. */
static void replace(rc__codes *t, const char *what, uint32_t with) {
    size_t to = 0, len = strlen(what);
    for (size_t i = 0; i < t->n;) {
        if (begins_with(t, i, what)) {
            if (with) t->c[to++] = with;
            i += len;
        } else
            t->c[to++] = t->c[i++];
    }
    t->n = to;
}

/* ---- the tokenizers ---------------------------------------------------------------------------------------------- */

static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool no_digit(uint32_t c) { return !is_digit(c); }
static bool is_stop(uint32_t c) { return c == '.' || c == ','; }
static bool is_dash(uint32_t c) { return c == '-'; }
static bool no_number(uint32_t c) { return !rc__code_is_number(c); }
/* [\{-\~\[-\` -\&\(-\+\:-\@\/]: ASCII marks but ' , - . */
static bool is_western(uint32_t c) {
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
           (c >= ':' && c <= '@') || c == '/';
}

static rc_status cut_13a(rc__rewrite *t, rc_error *e) {
    static const rc__space_rule rules[] = {
        {is_western, NULL, true, true},
        {no_digit, is_stop, false, true},  /* full stop and comma, unless a digit is before */
        {is_stop, no_digit, true, false},  /* ... or after */
        {is_digit, is_dash, false, true}}; /* a dash after a digit */
    replace(&t->now, "<skipped>", 0);
    replace(&t->now, "-\n", 0);
    replace(&t->now, "\n", ' ');
    replace(&t->now, "&quot;", '"');
    replace(&t->now, "&amp;", '&');
    replace(&t->now, "&lt;", '<');
    replace(&t->now, "&gt;", '>');
    rc_status s = rc__codes_put(&t->now, ' ', e);
    if (s == RC_OK) s = rc__codes_put(&t->now, ' ', e);
    if (s != RC_OK) return s;
    memmove(t->now.c + 1, t->now.c, (t->now.n - 2) * sizeof *t->now.c);
    t->now.c[0] = ' ';
    t->now.c[t->now.n - 1] = ' ';
    for (size_t i = 0; i < 4 && s == RC_OK; i++) s = rc__rewrite_spaces(t, &rules[i], e);
    return s;
}

static rc_status cut_intl(rc__rewrite *t, rc_error *e) {
    static const rc__space_rule rules[] = {{no_number, rc__code_is_punctuation, false, true},
                                           {rc__code_is_punctuation, no_number, true, false},
                                           {rc__code_is_symbol, NULL, true, true}};
    rc_status s = RC_OK;
    for (size_t i = 0; i < 3 && s == RC_OK; i++) s = rc__rewrite_spaces(t, &rules[i], e);
    return s;
}

static bool any(uint32_t c) {
    (void)c;
    return true;
}

static rc_status cut_char(rc__rewrite *t, rc_error *e) {
    static const rc__space_rule all = {any, NULL, true, false};
    return rc__rewrite_spaces(t, &all, e);
}

static rc_status read_text(rc__rewrite *t, rc__cell cell, rc__bleu_tokenizer tok, bool lowercase, rc_error *e) {
    rc_status s = rc__codes_read(&t->now, cell, e);
    if (s == RC_OK && lowercase) s = rc__codes_lower(&t->now, e);
    while (s == RC_OK && t->now.n && rc__code_is_space(t->now.c[t->now.n - 1])) t->now.n--;
    if (s != RC_OK || tok == RC__BLEU_NONE) return s;
    return tok == RC__BLEU_13A ? cut_13a(t, e) : tok == RC__BLEU_INTL ? cut_intl(t, e) : cut_char(t, e);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

typedef struct counter {
    rc__rewrite text;
    rc__strtab words; /* of one pair */
    rc__codes ids[2];
    rc__ngrams ngrams;
} counter;

/* The words between white space, as numbers. */
static rc_status number_words(counter *c, rc__codes *ids, rc_error *e) {
    rc_status s = RC_OK;
    const rc__codes *t = &c->text.now;
    ids->n = 0;
    for (size_t i = 0; i < t->n && s == RC_OK;) {
        size_t from = i;
        while (i < t->n && !rc__code_is_space(t->c[i])) i++;
        uint32_t id;
        if (i > from) {
            s = rc__strtab_add(&c->words, (const char *)(t->c + from), (i - from) * sizeof *t->c, &id, NULL, e);
            if (s == RC_OK) s = rc__codes_put(ids, id, e);
        } else
            i++;
    }
    return s;
}

static rc_status count_pair(counter *c, const rc__cell pair[2], rc__bleu_tokenizer tok, bool lowercase, rc__bleu *b,
                            rc_error *e) {
    rc_status s = RC_OK;
    rc__strtab_truncate(&c->words, 0);
    for (int i = 0; i < 2 && s == RC_OK; i++) {
        s = read_text(&c->text, pair[i], tok, lowercase, e);
        if (s == RC_OK) s = number_words(c, &c->ids[i], e);
    }
    if (s != RC_OK) return s;
    b->hypothesis_len += c->ids[0].n;
    b->reference_len += c->ids[1].n;
    for (size_t n = 1; n <= ORDER && s == RC_OK; n++) {
        uint64_t matches = 0;
        s = rc__ngram_matches(&c->ngrams, c->ids[1].c, c->ids[1].n, c->ids[0].c, c->ids[0].n, n, &matches, e);
        b->matches[n - 1] += matches;
        b->totals[n - 1] += rc__ngram_total(c->ids[0].n, n);
    }
    return s;
}

/* The steps of sacrebleu in its order, so that the last digit agrees. Smoothing "exp": the k-th order without a match counts
 * as 1 / 2^k matches (Chen and Cherry 2014, method 3). */
static void score(rc__bleu *b) {
    double sum = 0, smooth = 1, h = (double)b->hypothesis_len, r = (double)b->reference_len;
    b->brevity = 1;
    if (b->hypothesis_len < b->reference_len) b->brevity = h > 0 ? exp(1 - r / h) : 0;
    if (b->matches[0] + b->matches[1] + b->matches[2] + b->matches[3] == 0) return;
    for (size_t n = 0; n < ORDER && b->totals[n]; n++) {
        double total = (double)b->totals[n];
        if (b->matches[n] == 0) {
            smooth *= 2;
            b->precision[n] = 100. / (smooth * total);
        } else
            b->precision[n] = 100. * (double)b->matches[n] / total;
    }
    for (size_t n = 0; n < ORDER; n++) sum += b->precision[n] > 0 ? log(b->precision[n]) : -9999999999.;
    b->score = b->brevity * exp(sum / ORDER);
}

rc_status rc__bleu_corpus(const rc__cell *hypothesis, const rc__cell *reference, size_t n, rc__bleu_tokenizer tok,
                          bool lowercase, rc__bleu *out, rc_error *e) {
    counter c = {0};
    rc__bleu b = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && s == RC_OK; i++)
        s = count_pair(&c, (rc__cell[2]){hypothesis[i], reference[i]}, tok, lowercase, &b, e);
    rc__rewrite_free(&c.text);
    rc__strtab_free(&c.words);
    rc__codes_free(&c.ids[0]);
    rc__codes_free(&c.ids[1]);
    rc__ngrams_free(&c.ngrams);
    if (s != RC_OK) return s;
    score(&b);
    snprintf(b.signature, sizeof b.signature, "nrefs:1|case:%s|eff:no|tok:%s|smooth:exp|version:recur-%s",
             lowercase ? "lc" : "mixed", rc__bleu_tokenizers[tok], rc_version());
    *out = b;
    return RC_OK;
}
