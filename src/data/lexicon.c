/* lexicon.c - see lexicon.h. */
#include "data/lexicon.h"
#include "data/vocab_json.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/utf8.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_BUCKETS ((size_t)1 << 24)
#define MAX_SHAPE   12 /* characters of a shape that count */

/* ---- cutting text ------------------------------------------------------------------------------------------------ */

typedef enum char_class { SPACE, LETTER, IDEOGRAPH, APOSTROPHE, MARK } char_class;

static char_class class_of(uint32_t cp) {
    if (cp == '\'' || cp == 0x2019) return APOSTROPHE;
    if (cp < 0x80) {
        if (cp <= ' ' || cp == 0x7F) return SPACE;
        bool alnum = (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') || cp == '_';
        return alnum ? LETTER : MARK;
    }
    /* Written without spaces: kana, CJK ideographs and their extensions. Hangul has spaces. */
    if ((cp >= 0x3040 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x9FFF) || (cp >= 0xF900 && cp <= 0xFAFF) ||
        (cp >= 0x20000 && cp <= 0x3FFFF))
        return IDEOGRAPH;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return LETTER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF: return SPACE;
    default: return MARK;
    }
}

/* The code point at i; bytes that are none count as a mark of one byte. */
static size_t char_at(const char *text, size_t len, size_t i, uint32_t *cp, char_class *k) {
    size_t n = rc__utf8_decode(text + i, len - i, cp);
    if (n == 0) {
        *cp = RC_UTF8_REPLACEMENT;
        *k = MARK;
        return 1;
    }
    *k = class_of(*cp);
    return n;
}

bool rc__next_word(const char *text, size_t len, size_t *at, size_t *from, size_t *to) {
    uint32_t cp = 0, next;
    char_class k = SPACE, after;
    size_t i = *at, n = 0;
    while (i < len && (n = char_at(text, len, i, &cp, &k), k == SPACE)) i += n;
    if (i >= len) return false;
    *from = i;
    i += n;
    while (i < len && k != IDEOGRAPH) {
        n = char_at(text, len, i, &next, &after);
        if (k == LETTER && after == APOSTROPHE) { /* inside a word only: don't */
            char_class beyond = SPACE;
            uint32_t cp2;
            if (i + n < len) char_at(text, len, i + n, &cp2, &beyond);
            if (beyond != LETTER) break;
        } else if (k == LETTER || k == APOSTROPHE) {
            if (after != LETTER) break;
            k = LETTER;
        } else if (after != MARK || next != cp) {
            break;
        }
        i += n;
    }
    *to = *at = i;
    return true;
}

rc_status rc__lower(rc__string *b, const char *word, size_t len, rc_error *e) {
    b->len = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; i < len && s == RC_OK;) {
        uint32_t cp;
        char out[4];
        size_t n = rc__utf8_decode(word + i, len - i, &cp);
        if (n == 0)
            s = rc__string_put(b, word + i, n = 1, e);
        else
            s = rc__string_put(b, out, rc__utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), out), e);
        i += n;
    }
    return s;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static rc_status count(rc__word_counts *c, const char *word, size_t len, rc_error *e) {
    uint32_t id;
    bool added;
    rc_status s = rc__strtab_add(&c->words, word, len, &id, &added, e);
    if (s == RC_OK) s = rc__grow((void **)&c->count, &c->cap, c->words.count, sizeof *c->count, e);
    if (s != RC_OK) return s;
    if (added) c->count[id] = 0;
    if (c->count[id] < UINT32_MAX) c->count[id]++;
    return RC_OK;
}

rc_status rc__word_counts_word(rc__word_counts *c, bool lowercase, const char *word, size_t len, rc_error *e) {
    rc__string low = {0};
    rc_status s = RC_OK;
    size_t before = c->words.count;
    if (lowercase) {
        s = rc__lower(&low, word, len, e);
        if (s == RC_OK) s = count(c, low.s, low.len, e);
    } else {
        s = count(c, word, len, e);
    }
    if (s == RC_OK && c->words.count > before) s = rc__string_put(&c->chars, word, len, e);
    rc__string_free(&low);
    return s;
}

rc_status rc__word_counts_text(rc__word_counts *c, bool lowercase, const char *text, size_t len, rc_error *e) {
    size_t at = 0, from, to;
    rc_status s = RC_OK;
    while (s == RC_OK && rc__next_word(text, len, &at, &from, &to))
        s = rc__word_counts_word(c, lowercase, text + from, to - from, e);
    return s;
}

void rc__word_counts_free(rc__word_counts *c) {
    rc__strtab_free(&c->words);
    rc__free(c->count, c->cap * sizeof *c->count);
    rc__string_free(&c->chars);
    *c = (rc__word_counts){0};
}

typedef struct ranked {
    uint32_t count, id;
} ranked;
static int by_count(const void *pa, const void *pb) { /* ties in the order in which they came */
    const ranked *a = pa, *b = pb;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

static rc_status add_words(rc_vocab *v, const rc__word_counts *c, size_t min_count, size_t max_words, rc_error *e) {
    size_t n = 0;
    ranked *list = rc__alloc((c->words.count + 1) * sizeof *list);
    if (!list) return rc_fail(e, RC_ENOMEM, "out of memory (%zu words)", c->words.count);
    for (size_t i = 0; i < c->words.count; i++)
        if (c->count[i] >= min_count) list[n++] = (ranked){c->count[i], (uint32_t)i};
    qsort(list, n, sizeof *list, by_count);
    if (max_words > 0 && n > max_words) n = max_words;
    rc_status s = n > RC_VOCAB_MAX ? rc_fail(e, RC_EDATA, "%zu different words, the limit is %zu", n, RC_VOCAB_MAX) : RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        size_t len;
        uint32_t id;
        const char *word = rc__strtab_get(&c->words, list[i].id, &len);
        s = rc__strtab_add(&v->entries, word, len, &id, NULL, e);
    }
    rc__free(list, (c->words.count + 1) * sizeof *list);
    return s;
}

rc_status rc__lexicon_of_counts(rc__lexicon *x, const rc__word_counts *c, size_t min_count, size_t max_words, bool chars,
                                rc_error *e) {
    x->tokens = rc__vocab_new(RC_VOCAB_WORD);
    if (!x->tokens) return rc_fail(e, RC_ENOMEM, "out of memory (words)");
    rc_status s = rc__word_init(x->tokens, e);
    if (s == RC_OK) s = add_words(x->tokens, c, min_count, max_words, e);
    if (s == RC_OK && chars)
        s = rc_vocab_train(&x->chars, "char", c->chars.len ? c->chars.s : "a", c->chars.len ? c->chars.len : 1, e);
    return s;
}

void rc__lexicon_free(rc__lexicon *x) {
    rc_vocab_free(x->tokens);
    rc_vocab_free(x->chars);
    *x = (rc__lexicon){0};
}

size_t rc__lexicon_rows(const rc__lexicon *x) { return rc_vocab_size(x->tokens) + x->buckets; }

rc_status rc__lexicon_id(const rc__lexicon *x, rc__string *b, const char *word, size_t len, int32_t *id, rc_error *e) {
    rc_status s = RC_OK;
    if (x->lowercase) {
        s = rc__lower(b, word, len, e);
        if (s != RC_OK) return s;
        word = b->s ? b->s : "";
        len = b->len;
    }
    *id = rc__strtab_find(&x->tokens->entries, word, len);
    if (*id < 0) *id = x->tokens->unk;
    return s;
}

/* ---- affixes ----------------------------------------------------------------------------------------------------- */

/* Which kind it is, is hashed with it: "x" as an ending is not "x" as a shape. */
static int32_t hashed(size_t buckets, char kind, bool whole, const char *s, size_t len) {
    char key[64] = {kind, whole ? '=' : '-'};
    size_t n = len < sizeof key - 2 ? len : sizeof key - 2;
    if (n) memcpy(key + 2, s, n);
    return (int32_t)(rc__hash_bytes(key, n + 2) % buckets);
}

static char shape_of(uint32_t cp) {
    if (cp < 0x80) {
        if (cp >= 'A' && cp <= 'Z') return 'X';
        if (cp >= 'a' && cp <= 'z') return 'x';
        return cp >= '0' && cp <= '9' ? 'd' : (char)cp;
    }
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return 'X';
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return 'd';
    default: return class_of(cp) == LETTER ? 'x' : '~';
    }
}

static void shapes(size_t buckets, const char *word, size_t len, int32_t id[2]) {
    char all[MAX_SHAPE], runs[MAX_SHAPE], last = 0;
    size_t n = 0, m = 0;
    for (size_t i = 0; i < len && (n < MAX_SHAPE || m < MAX_SHAPE);) {
        uint32_t cp = RC_UTF8_REPLACEMENT;
        size_t bytes = rc__utf8_decode(word + i, len - i, &cp);
        char c = shape_of(cp);
        if (n < MAX_SHAPE) all[n++] = c;
        if (c != last && m < MAX_SHAPE) runs[m++] = c;
        last = c;
        i += bytes ? bytes : 1;
    }
    id[0] = hashed(buckets, 'S', false, all, n);
    id[1] = hashed(buckets, 'R', false, runs, m);
}

rc_status rc__affixes(size_t buckets, rc__string *b, const char *word, size_t len, int32_t id[RC__AFFIXES],
                      rc_error *e) {
    static const size_t first[] = {2, 3}, last[] = {1, 2, 3, 4};
    static_assert(RC__AFFIXES == 8, "two beginnings, four endings, two shapes");
    rc_status s = rc__lower(b, word, len, e);
    if (s != RC_OK) return s;
    const char *low = b->s ? b->s : "";
    size_t k = 0;
    for (size_t i = 0; i < 2; i++) {
        size_t at = 0;
        for (size_t c = 0; c < first[i] && at < b->len; c++) {
            uint32_t cp;
            size_t n = rc__utf8_decode(low + at, b->len - at, &cp);
            at += n ? n : 1;
        }
        id[k++] = hashed(buckets, 'P', at == b->len, low, at);
    }
    for (size_t i = 0; i < 4; i++) {
        size_t at = b->len;
        for (size_t c = 0; c < last[i] && at > 0; c++) {
            at--;
            while (at > 0 && ((unsigned char)low[at] & 0xC0) == 0x80) at--;
        }
        id[k++] = hashed(buckets, (char)('1' + i), at == 0, low + at, b->len - at);
    }
    shapes(buckets, word, len, id + k);
    return RC_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static const char *const split_names[] = {"words", "vocabulary", "given"};

rc_status rc__lexicon_to_json(const rc__lexicon *x, json_t **out, rc_error *e) {
    json_t *obj = json_pack("{ss sb sI}", "split", split_names[x->split], "lowercase", (int)x->lowercase, "buckets",
                            (json_int_t)x->buckets);
    rc_status s = obj ? rc__vocab_put(x->tokens, obj, "tokens", e) : rc_fail(e, RC_ENOMEM, "words: out of memory");
    if (s == RC_OK && x->chars) s = rc__vocab_put(x->chars, obj, "chars", e);
    if (s == RC_OK && x->affixes && json_object_set_new(obj, "affixes", json_integer((json_int_t)x->affixes)) != 0)
        s = rc_fail(e, RC_ENOMEM, "words: out of memory");
    if (s != RC_OK) {
        json_decref(obj);
        obj = NULL;
    }
    *out = obj;
    return s;
}

rc_status rc__lexicon_from_json(rc__lexicon *x, const json_t *obj, const char *where, rc_error *e) {
    static const char *const keys[] = {"split", "lowercase", "buckets", "tokens", "chars", "affixes"};
    const char *split = NULL;
    *x = (rc__lexicon){0};
    rc_status s = rc__json_only(obj, keys, 6, where, e);
    if (s == RC_OK) s = rc__json_get_string(obj, "split", RC_JSON_REQUIRED, &split, where, e);
    size_t i = 0;
    while (s == RC_OK && i < 3 && strcmp(split, split_names[i]) != 0) i++;
    if (s == RC_OK && i == 3) s = rc_fail(e, RC_EMODEL, "%s: \"split\": \"%s\" is unknown", where, split);
    x->split = (rc__split)i;
    if (s == RC_OK) s = rc__json_get_bool(obj, "lowercase", RC_JSON_REQUIRED, &x->lowercase, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "buckets", RC_JSON_REQUIRED, 0, MAX_BUCKETS, &x->buckets, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "affixes", RC_JSON_OPTIONAL, 0, MAX_BUCKETS, &x->affixes, where, e);
    if (s == RC_OK) s = rc__vocab_get(&x->tokens, obj, "tokens", RC_JSON_REQUIRED, where, e);
    if (s == RC_OK) s = rc__vocab_get(&x->chars, obj, "chars", RC_JSON_OPTIONAL, where, e);
    if (s == RC_OK && x->split != RC__SPLIT_VOCAB && rc_vocab_get_kind(x->tokens) != RC_VOCAB_WORD)
        s = rc_fail(e, RC_EMODEL, "%s: \"tokens\": expected a vocabulary of words, found %s", where,
                    rc_vocab_kind_name(rc_vocab_get_kind(x->tokens)));
    if (s == RC_OK && x->chars && rc_vocab_get_kind(x->chars) != RC_VOCAB_CHAR)
        s = rc_fail(e, RC_EMODEL, "%s: \"chars\": expected a vocabulary of characters, found %s", where,
                    rc_vocab_kind_name(rc_vocab_get_kind(x->chars)));
    if (s != RC_OK) rc__lexicon_free(x);
    return s;
}
