/* rouge.c - ROUGE-1, -2, -L, -Lsum (Lin 2004) of one pair as rouge-score 0.1.2 counts them.
 *
 * A word is a run of a-z and 0-9 of the text in lower case. Stemming is Porter's (1980) with the departures of NLTK's default
 * mode, which rouge-score uses; each is marked NLTK. */
#include <string.h>
#include "base/mem.h"
#include "data/codes.h"
#include "data/strtab.h"
#include "metrics/ngrams.h"
#include "metrics/translation.h"

#define MAX_CELLS ((size_t)1 << 32) /* of a table of two texts: a minute's work */

/* ---- Porter's stemmer -------------------------------------------------------------------------------------------- */

static bool is_vowel_letter(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

/* y is a vowel after a consonant. One pass from the left: what letter i is follows from letter i - 1. */
static bool next_is_consonant(char c, bool first, bool before) {
    return c == 'y' ? first || !before : !is_vowel_letter(c);
}

static bool is_consonant(const char *w, size_t i) {
    bool c = false;
    size_t from = i;
    while (from > 0 && w[from] == 'y') from--; /* what a y is depends on the y's before it alone */
    for (size_t k = from; k <= i; k++) c = next_is_consonant(w[k], k == 0, c);
    return c;
}

/* m of [C](VC)^m[V]. */
static size_t measure(const char *w, size_t n) {
    size_t m = 0;
    bool before = true;
    for (size_t i = 0; i < n; i++) {
        bool c = next_is_consonant(w[i], i == 0, before);
        m += c && !before && i > 0;
        before = c;
    }
    return m;
}

static bool has_vowel(const char *w, size_t n) {
    bool c = true;
    for (size_t i = 0; i < n; i++)
        if (!(c = next_is_consonant(w[i], i == 0, c))) return true;
    return false;
}

static bool ends_double(const char *w, size_t n) { return n >= 2 && w[n - 1] == w[n - 2] && is_consonant(w, n - 1); }

/* *o: consonant, vowel, consonant that is not w, x, y. NLTK: vowel and consonant are enough for a stem of two. */
static bool ends_cvc(const char *w, size_t n) {
    if (n == 2) return !is_consonant(w, 0) && is_consonant(w, 1);
    return n >= 3 && is_consonant(w, n - 3) && !is_consonant(w, n - 2) && is_consonant(w, n - 1) && w[n - 1] != 'w' &&
           w[n - 1] != 'x' && w[n - 1] != 'y';
}

static bool ends_with(const char *w, size_t n, const char *suffix) {
    size_t k = strlen(suffix);
    return n >= k && memcmp(w + n - k, suffix, k) == 0;
}

/* Suffix, replacement; the first suffix that fits decides, and is replaced when the measure of the stem is at least `least`. */
typedef struct suffix {
    const char *from, *to;
} suffix;

static size_t put_end(char *w, size_t stem, const char *to) {
    size_t k = strlen(to);
    memcpy(w + stem, to, k);
    return stem + k;
}

static size_t replace_first(char *w, size_t n, const suffix *list, size_t least, bool *changed) {
    for (; list->from; list++) {
        if (!ends_with(w, n, list->from)) continue;
        size_t stem = n - strlen(list->from);
        bool logi = strcmp(list->from, "logi") == 0; /* NLTK: the measure of what is before "ogi" */
        bool fits = measure(w, logi ? n - 3 : stem) >= least;
        if (fits && strcmp(list->from, "ion") == 0) fits = stem > 0 && (w[stem - 1] == 's' || w[stem - 1] == 't');
        if (changed) *changed = fits;
        return fits ? put_end(w, stem, list->to) : n;
    }
    return n;
}

static size_t step_1a(char *w, size_t n) {
    static const suffix list[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}, {0}};
    if (n == 4 && ends_with(w, n, "ies")) return 3; /* NLTK: dies -> die */
    return replace_first(w, n, list, 0, NULL);
}

static size_t step_1b(char *w, size_t n) {
    static const suffix more[] = {{"at", "ate"}, {"bl", "ble"}, {"iz", "ize"}, {0}};
    if (ends_with(w, n, "ied")) return n == 4 ? 3 : n - 2; /* NLTK: died -> die, spied -> spi */
    if (ends_with(w, n, "eed")) return measure(w, n - 3) > 0 ? n - 1 : n;
    size_t stem = 0;
    if (ends_with(w, n, "ed") && has_vowel(w, n - 2))
        stem = n - 2;
    else if (ends_with(w, n, "ing") && has_vowel(w, n - 3))
        stem = n - 3;
    if (stem == 0) return n;
    bool changed = false;
    n = replace_first(w, stem, more, 0, &changed);
    if (changed) return n;
    if (ends_double(w, n)) return w[n - 1] == 'l' || w[n - 1] == 's' || w[n - 1] == 'z' ? n : n - 1;
    return measure(w, n) == 1 && ends_cvc(w, n) ? put_end(w, n, "e") : n;
}

static size_t step_2(char *w, size_t n) {
    static const suffix list[] = {{"ational", "ate"},
                                  {"tional", "tion"},
                                  {"enci", "ence"},
                                  {"anci", "ance"},
                                  {"izer", "ize"},
                                  {"bli", "ble"},
                                  {"alli", "al"},
                                  {"entli", "ent"},
                                  {"eli", "e"},
                                  {"ousli", "ous"},
                                  {"ization", "ize"},
                                  {"ation", "ate"},
                                  {"ator", "ate"},
                                  {"alism", "al"},
                                  {"iveness", "ive"},
                                  {"fulness", "ful"},
                                  {"ousness", "ous"},
                                  {"aliti", "al"},
                                  {"iviti", "ive"},
                                  {"biliti", "ble"},
                                  {"fulli", "ful"},
                                  {"logi", "log"}, /* NLTK: these two, bli for abli */
                                  {0}};
    if (ends_with(w, n, "alli") && measure(w, n - 4) > 0) n -= 2; /* NLTK: once more after alli -> al */
    return replace_first(w, n, list, 1, NULL);
}

size_t rc__porter_stem(char *w, size_t n) {
    static const suffix special[] = {
        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},       {"tying", "tie"},
        {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},   {"outings", "outing"},
        {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"}, {"howe", "howe"},
        {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}, {0}};
    static const suffix third[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                   {"ical", "ic"},  {"ful", ""},   {"ness", ""},    {0}};
    static const suffix fourth[] = {{"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},    {"ic", ""},
                                    {"able", ""}, {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""},
                                    {"ent", ""},  {"ion", ""},  {"ou", ""},   {"ism", ""},   {"ate", ""},
                                    {"iti", ""},  {"ous", ""},  {"ive", ""},  {"ize", ""},   {0}};
    for (const suffix *x = special; x->from; x++)
        if (strlen(x->from) == n && memcmp(w, x->from, n) == 0) return put_end(w, 0, x->to);
    n = step_1a(w, n);
    n = step_1b(w, n);
    if (n > 2 && w[n - 1] == 'y' && is_consonant(w, n - 2)) w[n - 1] = 'i'; /* step 1c, NLTK: after a consonant */
    n = step_2(w, n);
    n = replace_first(w, n, third, 1, NULL);
    n = replace_first(w, n, fourth, 2, NULL);
    if (n && w[n - 1] == 'e') { /* step 5a */
        size_t m = measure(w, n - 1);
        if (m > 1 || (m == 1 && !ends_cvc(w, n - 1))) n--;
    }
    if (ends_with(w, n, "ll") && measure(w, n - 1) > 1) n--; /* step 5b */
    return n;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

typedef struct side {
    rc__codes text, ids;
    size_t *line; /* starts of lines in ids, and the end: of lines that have bytes */
    size_t n_lines, cap_line;
} side;

typedef struct pair {
    side r, h; /* reference, hypothesis */
    rc__strtab words;
    rc__string word;
    rc__ngrams ngrams;
    uint32_t *table;
    size_t cap_table;
    uint32_t *left; /* (2, words): how often each may still count */
    size_t cap_left;
    uint8_t *hit; /* of the words of a line of the reference */
    size_t cap_hit;
} pair;

static bool is_word(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static rc_status end_word(pair *p, side *x, bool stemmed, rc_error *e) {
    uint32_t id;
    size_t n = p->word.len;
    if (n == 0) return RC_OK;
    rc_status s = rc__string_put(&p->word, "\0", 1, e); /* room: a stem may be one longer */
    if (s == RC_OK && stemmed && n > 3) n = rc__porter_stem(p->word.s, n);
    p->word.len = 0;
    if (s == RC_OK) s = rc__strtab_add(&p->words, p->word.s, n, &id, NULL, e);
    return s == RC_OK ? rc__codes_put(&x->ids, id, e) : s;
}

static rc_status read_side(pair *p, side *x, rc__cell cell, bool stemmed, rc_error *e) {
    rc_status s = rc__codes_read(&x->text, cell, e);
    if (s == RC_OK) s = rc__codes_lower(&x->text, e);
    bool empty = true;
    x->ids.n = x->n_lines = 0;
    for (size_t i = 0; s == RC_OK && i <= x->text.n; i++) {
        uint32_t c = i < x->text.n ? x->text.c[i] : '\n';
        if (is_word(c)) {
            char byte = (char)c;
            if (empty) {
                s = rc__grow((void **)&x->line, &x->cap_line, x->n_lines + 2, sizeof *x->line, e);
                if (s == RC_OK) x->line[x->n_lines++] = x->ids.n;
            }
            empty = false;
            if (s == RC_OK) s = rc__string_put(&p->word, &byte, 1, e);
        } else
            s = end_word(p, x, stemmed, e);
        if (c == '\n') empty = true;
    }
    if (s == RC_OK) s = rc__grow((void **)&x->line, &x->cap_line, x->n_lines + 1, sizeof *x->line, e);
    if (s == RC_OK) x->line[x->n_lines] = x->ids.n;
    return s;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static rc__rouge rouge_of(double hits, size_t of_hypothesis, size_t of_reference) {
    rc__rouge r = {.precision = hits / (double)(of_hypothesis ? of_hypothesis : 1),
                   .recall = hits / (double)(of_reference ? of_reference : 1)};
    if (r.precision + r.recall > 0) r.f = 2 * r.precision * r.recall / (r.precision + r.recall);
    return r;
}

static rc_status check_cells(size_t a, size_t b, rc_error *e) {
    size_t cells;
    if (rc__size_mul(a + 1, b + 1, &cells) && cells <= MAX_CELLS) return RC_OK;
    return rc_fail(e, RC_EDATA, "ROUGE-L of texts of %zu and %zu words: they are too long", a, b);
}

/* Length of the longest common subsequence, one row at a time. */
static rc_status lcs_length(pair *p, size_t *out, rc_error *e) {
    const uint32_t *a = p->r.ids.c, *b = p->h.ids.c;
    size_t na = p->r.ids.n, nb = p->h.ids.n;
    rc_status s = check_cells(na, nb, e);
    if (s == RC_OK) s = rc__grow((void **)&p->table, &p->cap_table, nb + 1, sizeof *p->table, e);
    if (s != RC_OK) return s;
    uint32_t *t = p->table;
    memset(t, 0, (nb + 1) * sizeof *t);
    for (size_t i = 0; i < na; i++) {
        uint32_t diagonal = 0;
        for (size_t j = 1; j <= nb; j++) {
            uint32_t above = t[j];
            if (a[i] == b[j - 1])
                t[j] = diagonal + 1;
            else if (t[j - 1] > above)
                t[j] = t[j - 1];
            diagonal = above;
        }
    }
    *out = t[nb];
    return RC_OK;
}

/* Marks in p->hit the words of a (a line of the reference) in one longest common subsequence with b: the one that rouge-score
 * walks back along. */
static rc_status mark_lcs(pair *p, const uint32_t *a, size_t na, const uint32_t *b, size_t nb, rc_error *e) {
    size_t row = nb + 1;
    rc_status s = check_cells(na, nb, e);
    if (s == RC_OK) s = rc__grow((void **)&p->table, &p->cap_table, (na + 1) * row, sizeof *p->table, e);
    if (s != RC_OK) return s;
    uint32_t *t = p->table;
    memset(t, 0, row * sizeof *t);
    for (size_t i = 1; i <= na; i++) {
        t[i * row] = 0;
        for (size_t j = 1; j <= nb; j++) {
            uint32_t above = t[(i - 1) * row + j], before = t[i * row + j - 1];
            t[i * row + j] = a[i - 1] == b[j - 1] ? t[(i - 1) * row + j - 1] + 1 : above > before ? above : before;
        }
    }
    for (size_t i = na, j = nb; i > 0 && j > 0;) {
        if (a[i - 1] == b[j - 1]) {
            p->hit[--i] = 1;
            j--;
        } else if (t[i * row + j - 1] > t[(i - 1) * row + j])
            j--;
        else
            i--;
    }
    return RC_OK;
}

/* Lin 2004, section 3.2: of each line of the reference the union over lines of the hypothesis; no word counts more often than
 * it comes. */
static rc_status lsum_hits(pair *p, double *out, rc_error *e) {
    size_t words = p->words.count, hits = 0;
    rc_status s = rc__grow((void **)&p->left, &p->cap_left, 2 * words + 1, sizeof *p->left, e);
    if (s == RC_OK) s = rc__grow((void **)&p->hit, &p->cap_hit, p->r.ids.n + 1, 1, e);
    if (s != RC_OK) return s;
    uint32_t *of_r = p->left, *of_h = p->left + words;
    memset(p->left, 0, 2 * words * sizeof *p->left);
    for (size_t i = 0; i < p->r.ids.n; i++) of_r[p->r.ids.c[i]]++;
    for (size_t i = 0; i < p->h.ids.n; i++) of_h[p->h.ids.c[i]]++;
    for (size_t i = 0; i < p->r.n_lines && s == RC_OK; i++) {
        const uint32_t *a = p->r.ids.c + p->r.line[i];
        size_t na = p->r.line[i + 1] - p->r.line[i];
        memset(p->hit, 0, na);
        for (size_t k = 0; k < p->h.n_lines && s == RC_OK; k++)
            s = mark_lcs(p, a, na, p->h.ids.c + p->h.line[k], p->h.line[k + 1] - p->h.line[k], e);
        for (size_t k = 0; k < na && s == RC_OK; k++) {
            if (!p->hit[k] || !of_r[a[k]] || !of_h[a[k]]) continue;
            of_r[a[k]]--;
            of_h[a[k]]--;
            hits++;
        }
    }
    *out = (double)hits;
    return s;
}

static rc_status score(pair *p, rc__rouge out[RC__ROUGES], rc_error *e) {
    const rc__codes *r = &p->r.ids, *h = &p->h.ids;
    rc_status s = RC_OK;
    for (size_t n = 1; n <= 2 && s == RC_OK; n++) {
        uint64_t matches;
        s = rc__ngram_matches(&p->ngrams, r->c, r->n, h->c, h->n, n, &matches, e);
        if (s == RC_OK)
            out[n == 1 ? RC__ROUGE_1 : RC__ROUGE_2] =
                rouge_of((double)matches, rc__ngram_total(h->n, n), rc__ngram_total(r->n, n));
    }
    size_t longest = 0;
    double hits = 0;
    if (s == RC_OK && r->n && h->n) s = lcs_length(p, &longest, e);
    if (s == RC_OK && r->n && h->n) s = lsum_hits(p, &hits, e);
    if (s != RC_OK) return s;
    out[RC__ROUGE_L] = rouge_of((double)longest, h->n, r->n);
    out[RC__ROUGE_LSUM] = rouge_of(hits, h->n, r->n);
    return RC_OK;
}

static void free_side(side *x) {
    rc__codes_free(&x->text);
    rc__codes_free(&x->ids);
    rc__free(x->line, x->cap_line * sizeof *x->line);
}

rc_status rc__rouge_score(rc__cell hypothesis, rc__cell reference, bool stemmed, rc__rouge out[RC__ROUGES],
                          rc_error *e) {
    pair p = {0};
    rc__rouge found[RC__ROUGES] = {{0}};
    rc_status s = read_side(&p, &p.r, reference, stemmed, e);
    if (s == RC_OK) s = read_side(&p, &p.h, hypothesis, stemmed, e);
    if (s == RC_OK) s = score(&p, found, e);
    free_side(&p.r);
    free_side(&p.h);
    rc__strtab_free(&p.words);
    rc__string_free(&p.word);
    rc__ngrams_free(&p.ngrams);
    rc__free(p.table, p.cap_table * sizeof *p.table);
    rc__free(p.left, p.cap_left * sizeof *p.left);
    rc__free(p.hit, p.cap_hit);
    if (s == RC_OK) memcpy(out, found, sizeof found);
    return s;
}
