/* vocab_word.c - white-space separated tokens of text that is already tokenised; a newline is <eos>. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/utf8.h"
#include "data/vocab_internal.h"

/* Length of the white space at s, 0 if there is none: the six of ASCII, or Unicode's White_Space. */
static size_t space_at(const rc_vocab *v, const char *s, size_t len) {
    unsigned char c = (unsigned char)s[0];
    if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
    if (!v->unicode_space || c < 0x80) return 0;
    uint32_t cp = 0;
    size_t n = rc__utf8_decode(s, len, &cp);
    bool space = cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
                 cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
    return space ? n : 0;
}

/* Steps over text: returns false at the end, else *word of *n bytes ("<eos>" for a newline when the vocabulary has
 * one). */
static bool next_token(const rc_vocab *v, const char *text, size_t len, size_t *at, const char **word, size_t *n) {
    size_t i = *at, space;
    while (i < len && (space = space_at(v, text + i, len - i)) > 0) {
        bool newline = text[i] == '\n';
        i += space;
        if (newline && v->eos >= 0) {
            *word = rc__strtab_get(&v->entries, (size_t)v->eos, n);
            *at = i;
            return true;
        }
    }
    if (i >= len) return false;
    size_t from = i;
    while (i < len && space_at(v, text + i, len - i) == 0) i++;
    *word = text + from;
    *n = i - from;
    *at = i;
    return true;
}

rc_status rc__word_init(rc_vocab *v, rc_error *e) {
    uint32_t id;
    v->unk = 0;
    v->eos = 1;
    rc_status s = rc__strtab_add(&v->entries, "<unk>", 5, &id, NULL, e);
    return s == RC_OK ? rc__strtab_add(&v->entries, "<eos>", 5, &id, NULL, e) : s;
}

typedef struct counted {
    const char *word;
    size_t len;
    uint64_t count;
} counted;

/* Most frequent first; ties in the order of the bytes, so that the result depends on the text alone. */
static int by_count(const void *pa, const void *pb) {
    const counted *a = pa, *b = pb;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->word, b->word, n);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

static rc_status count_words(const rc_vocab *v, const char *text, size_t len, rc__strtab *words, uint64_t **counts,
                             size_t *cap, rc_error *e) {
    const char *word;
    size_t n, at = 0;
    while (next_token(v, text, len, &at, &word, &n)) {
        uint32_t id;
        bool added;
        rc_status s = rc__strtab_add(words, word, n, &id, &added, e);
        if (s == RC_OK) s = rc__grow((void **)counts, cap, words->count, sizeof **counts, e);
        if (s != RC_OK) return s;
        if (added) (*counts)[id] = 0;
        (*counts)[id]++;
    }
    return RC_OK;
}

rc_status rc__word_learn(rc_vocab *v, const char *text, size_t len, size_t max_size, rc_error *e) {
    rc_status s = rc__utf8_check(text, len, e);
    if (s != RC_OK) return s;
    if (memchr(text, 0, len)) /* a word is a string in files and in other programs */
        return rc_fail(e, RC_EDATA, "offset %zu: a NUL byte; this is not text",
                       (size_t)((char *)memchr(text, 0, len) - text));
    rc__strtab words = {0};
    uint64_t *counts = NULL;
    counted *list = NULL;
    size_t cap = 0, n = 0, list_bytes = 0, before = v->entries.count;
    s = count_words(v, text, len, &words, &counts, &cap, e);
    if (s != RC_OK) goto done;
    list_bytes = words.count * sizeof *list;
    list = rc__alloc(list_bytes);
    if (!list) {
        s = rc_fail(e, RC_ENOMEM, "out of memory (%zu words)", words.count);
        goto done;
    }
    for (size_t i = 0; i < words.count; i++) {
        size_t word_len;
        const char *word = rc__strtab_get(&words, i, &word_len);
        if (rc__strtab_find(&v->entries, word, word_len) < 0) list[n++] = (counted){word, word_len, counts[i]};
    }
    qsort(list, n, sizeof *list, by_count);
    if (max_size == 0 && before + n > RC_VOCAB_MAX)
        s = rc_fail(e, RC_EDATA, "the text has %zu different words, the limit is %zu: use word:N", before + n,
                    RC_VOCAB_MAX);
    for (size_t i = 0; i < n && s == RC_OK && (max_size == 0 || v->entries.count < max_size); i++) {
        uint32_t id;
        s = rc__strtab_add(&v->entries, list[i].word, list[i].len, &id, NULL, e);
    }
    if (s != RC_OK) rc__strtab_truncate(&v->entries, before);
done:
    rc__free(list, list_bytes);
    rc__free(counts, cap * sizeof *counts);
    rc__strtab_free(&words);
    return s;
}

rc_status rc__word_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *unknown, rc_error *e) {
    rc_status s = rc__utf8_check(text, len, e);
    if (s != RC_OK) return s;
    const char *word;
    size_t n, at = 0;
    while (next_token(v, text, len, &at, &word, &n)) {
        int32_t id = rc__strtab_find(&v->entries, word, n);
        if (id < 0) {
            id = v->unk;
            ++*unknown;
        }
        if (out->n == out->cap && (s = rc__ids_reserve(out, 1, e)) != RC_OK) return s;
        out->id[out->n++] = id;
    }
    return RC_OK;
}
