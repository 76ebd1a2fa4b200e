/* vocab.c - what all vocabularies share: specs, ids to text, and the way to the code of each kind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/bpe.h"
#include "data/utf8.h"
#include "data/vocab_internal.h"

#define SPECS "char, byte, word, word:N or bpe:N"

const char *rc_vocab_kind_name(rc_vocab_kind k) {
    static const char *const names[] = {"byte", "char", "word", "bpe"};
    return (unsigned)k < sizeof names / sizeof *names ? names[k] : "?";
}

/* ---- growing arrays ---------------------------------------------------------------------------------------------- */

rc_status rc__ids_reserve(rc__ids *a, size_t more, rc_error *e) {
    size_t need;
    if (!rc__size_add(a->n, more, &need)) return rc_fail(e, RC_ENOMEM, "out of memory");
    return rc__grow((void **)&a->id, &a->cap, need, sizeof *a->id, e);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

rc_vocab *rc__vocab_new(rc_vocab_kind kind) {
    rc_vocab *v = rc__calloc(1, sizeof *v);
    if (!v) return NULL;
    v->kind = kind;
    v->unk = v->eos = -1;
    return v;
}

void rc_vocab_free(rc_vocab *v) {
    if (!v) return;
    rc__char_free(v);
    rc__bpe_free(v->bpe);
    rc__free(v->specials, v->n_specials * sizeof *v->specials);
    rc__free(v->specials_sorted, v->n_specials * sizeof *v->specials_sorted);
    rc__strtab_free(&v->entries);
    rc__free(v, sizeof *v);
}

rc_status rc__byte_init(rc_vocab *v, rc_error *e) {
    rc_status s = RC_OK;
    for (unsigned b = 0; b < 256 && s == RC_OK; b++) {
        uint32_t id;
        char c = (char)b;
        s = rc__strtab_add(&v->entries, &c, 1, &id, NULL, e);
    }
    return s;
}

/* "word:10000" -> RC_VOCAB_WORD, 10000; size 0 = all. */
static rc_status parse_spec(const char *spec, rc_vocab_kind *kind, size_t *size, rc_error *e) {
    const char *colon = strchr(spec, ':');
    size_t name_len = colon ? (size_t)(colon - spec) : strlen(spec);
    int k = 0;
    while (k < 4 && (strlen(rc_vocab_kind_name((rc_vocab_kind)k)) != name_len ||
                     memcmp(rc_vocab_kind_name((rc_vocab_kind)k), spec, name_len) != 0))
        k++;
    if (k == 4) return rc_fail(e, RC_EINVAL, "vocabulary \"%s\": expected " SPECS, spec);
    *kind = (rc_vocab_kind)k;
    *size = 0;
    if (!colon) {
        if (*kind == RC_VOCAB_BPE) return rc_fail(e, RC_EINVAL, "vocabulary \"bpe\" needs a size, such as bpe:8000");
        return RC_OK;
    }
    if (*kind == RC_VOCAB_BYTE || *kind == RC_VOCAB_CHAR)
        return rc_fail(e, RC_EINVAL, "vocabulary \"%s\": %s takes no size; expected " SPECS, spec,
                       rc_vocab_kind_name(*kind));
    const char *digits = colon + 1;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(digits, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end || errno)
        return rc_fail(e, RC_EINVAL, "vocabulary \"%s\": \"%s\" is not a whole number", spec, digits);
    unsigned least = *kind == RC_VOCAB_BPE ? 256 : 3;
    if (n < least || n > RC_VOCAB_MAX)
        return rc_fail(e, RC_EINVAL, "vocabulary \"%s\": the size must be %u to %zu", spec, least, RC_VOCAB_MAX);
    *size = (size_t)n;
    return RC_OK;
}

rc_status rc_vocab_train(rc_vocab **out, const char *spec, const char *text, size_t len, rc_error *e) {
    *out = NULL;
    rc_vocab_kind kind = RC_VOCAB_BYTE;
    size_t size = 0;
    rc_status s = parse_spec(spec, &kind, &size, e);
    if (s != RC_OK) return s;
    if (len == 0 && kind != RC_VOCAB_BYTE)
        return rc_fail(e, RC_EDATA, "the text is empty: nothing to make a %s vocabulary from",
                       rc_vocab_kind_name(kind));
    rc_vocab *v = rc__vocab_new(kind);
    if (!v) return rc_fail(e, RC_ENOMEM, "out of memory (vocabulary)");
    switch (kind) {
    case RC_VOCAB_BYTE: s = rc__byte_init(v, e); break;
    case RC_VOCAB_CHAR:
        s = rc__char_init(v, e);
        if (s == RC_OK) s = rc__char_add_unk(v, e);
        if (s == RC_OK) s = rc__char_learn(v, text, len, e);
        break;
    case RC_VOCAB_WORD:
        s = rc__word_init(v, e);
        if (s == RC_OK) s = rc__word_learn(v, text, len, size, e);
        break;
    case RC_VOCAB_BPE: s = rc__bpe_train(v, size, text, len, e); break;
    }
    if (s != RC_OK) {
        rc_vocab_free(v);
        return s;
    }
    *out = v;
    return RC_OK;
}

rc_status rc_vocab_grow(rc_vocab *v, const char *text, size_t len, size_t *added, rc_error *e) {
    size_t before = v->entries.count;
    if (added) *added = 0;
    rc_status s;
    if (v->kind == RC_VOCAB_CHAR)
        s = rc__char_learn(v, text, len, e);
    else if (v->kind == RC_VOCAB_WORD)
        s = rc__word_learn(v, text, len, 0, e);
    else
        return rc_fail(e, RC_EINVAL, "a %s vocabulary cannot grow: it encodes any text already",
                       rc_vocab_kind_name(v->kind));
    if (s == RC_OK && added) *added = v->entries.count - before;
    return s;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

rc_vocab_kind rc_vocab_get_kind(const rc_vocab *v) { return v->kind; }
size_t rc_vocab_size(const rc_vocab *v) { return v->entries.count; }
int32_t rc_vocab_unk(const rc_vocab *v) { return v->unk; }
int32_t rc_vocab_eos(const rc_vocab *v) { return v->eos; }

const char *rc_vocab_entry(const rc_vocab *v, int32_t id, size_t *len) {
    size_t ignored;
    if (!len) len = &ignored;
    if (id < 0 || (size_t)id >= v->entries.count) {
        *len = 0;
        return "";
    }
    if (id == v->eos) {
        *len = 1;
        return "\n";
    }
    if (id == v->unk && v->kind == RC_VOCAB_CHAR) {
        *len = 3;
        return "\xEF\xBF\xBD"; /* U+FFFD, the replacement character */
    }
    return rc__strtab_get(&v->entries, (size_t)id, len);
}

/* ---- text to ids and back ---------------------------------------------------------------------------------------- */

static rc_status byte_encode(const char *text, size_t len, rc__ids *out, rc_error *e) {
    rc_status s = rc__ids_reserve(out, len, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; i < len; i++) out->id[out->n + i] = (unsigned char)text[i];
    out->n += len;
    return RC_OK;
}

static rc_status encode_plain(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *missing,
                              rc_error *e) {
    switch (v->kind) {
    case RC_VOCAB_BYTE: return byte_encode(text, len, out, e);
    case RC_VOCAB_CHAR: return rc__char_encode(v, text, len, out, missing, e);
    case RC_VOCAB_WORD: return rc__word_encode(v, text, len, out, missing, e);
    case RC_VOCAB_BPE: return rc__bpe_encode(v, text, len, out, e);
    }
    return rc_fail(e, RC_EINVAL, "vocabulary of unknown kind %d", (int)v->kind);
}

static const char *special_text(const rc_vocab *v, size_t i, size_t *len) {
    return rc__strtab_get(&v->entries, (size_t)v->specials_sorted[i], len);
}

/* The first of the sorted specials in [low, high), which agree on their first k bytes, whose byte k is not less than c;
 * one of k bytes has none and comes before all others. */
static size_t first_not_below(const rc_vocab *v, size_t low, size_t high, size_t k, unsigned c) {
    while (low < high) {
        size_t mid = low + (high - low) / 2, n;
        const char *text = special_text(v, mid, &n);
        if (n <= k || (unsigned char)text[k] < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The longest special entry at s, or -1: those that go on like s are a range that shrinks byte by byte, so that a
 * tokenizer with very many of them costs no more than the logarithm. */
static int32_t special_at(const rc_vocab *v, const char *s, size_t len, size_t *taken) {
    int32_t best = -1;
    *taken = 0;
    if (!v->special_first[(unsigned char)s[0]]) return -1;
    size_t low = 0, high = v->n_specials, n;
    for (size_t k = 0; k < len && low < high; k++) {
        unsigned c = (unsigned char)s[k];
        low = first_not_below(v, low, high, k, c);
        high = first_not_below(v, low, high, k, c + 1);
        if (low == high) break;
        special_text(v, low, &n);
        if (n == k + 1) {
            best = v->specials_sorted[low];
            *taken = n;
        }
    }
    return best;
}

/* Special entries first, what lies between them by the rules of the kind. */
static rc_status encode_around_specials(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *missing,
                                        rc_error *e) {
    rc_status s = RC_OK;
    for (size_t from = 0; from < len && s == RC_OK;) {
        size_t end = from, taken = 0;
        int32_t special = -1;
        while (end < len && (special = special_at(v, text + end, len - end, &taken)) < 0) end++;
        if (end > from) s = encode_plain(v, text + from, end - from, out, missing, e);
        if (s == RC_OK && special >= 0 && (s = rc__ids_reserve(out, 1, e)) == RC_OK) out->id[out->n++] = special;
        from = end + taken;
    }
    return s;
}

static int by_text(const void *a, const void *b, void *vocab) {
    const rc_vocab *v = vocab;
    size_t n, m;
    const char *x = rc__strtab_get(&v->entries, (size_t) * (const int32_t *)a, &n);
    const char *y = rc__strtab_get(&v->entries, (size_t) * (const int32_t *)b, &m);
    int c = memcmp(x, y, n < m ? n : m);
    return c ? c : (n > m) - (n < m);
}

rc_status rc__vocab_set_specials(rc_vocab *v, const int32_t *ids, size_t n, rc_error *e) {
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (ids[i] < 0 || (size_t)ids[i] >= v->entries.count)
            return rc_fail(e, RC_EMODEL, "special entry %d does not exist", (int)ids[i]);
        const char *text = rc__strtab_get(&v->entries, (size_t)ids[i], &len);
        if (len == 0) return rc_fail(e, RC_EMODEL, "special entry %d is empty", (int)ids[i]);
        v->special_first[(unsigned char)text[0]] = true;
    }
    v->n_specials = n;
    v->specials = rc__alloc(n * sizeof *ids);
    v->specials_sorted = rc__alloc(n * sizeof *ids);
    if (!v->specials || !v->specials_sorted) return rc_fail(e, RC_ENOMEM, "out of memory (%zu special entries)", n);
    if (n == 0) return RC_OK;
    memcpy(v->specials, ids, n * sizeof *ids);
    memcpy(v->specials_sorted, ids, n * sizeof *ids);
    qsort_r(v->specials_sorted, n, sizeof *ids, by_text, v);
    for (size_t i = 1; i < n; i++) /* entries are distinct: equal texts are one id */
        if (v->specials_sorted[i] == v->specials_sorted[i - 1])
            return rc_fail(e, RC_EMODEL, "special entry %d is named twice", (int)v->specials_sorted[i]);
    return RC_OK;
}

rc_status rc_vocab_encode(const rc_vocab *v, const char *text, size_t len, int32_t **ids, size_t *n, size_t *unknown,
                          rc_error *e) {
    *ids = NULL;
    *n = 0;
    size_t missing = 0;
    rc__ids out = {0};
    rc_status s = v->n_specials ? encode_around_specials(v, text, len, &out, &missing, e)
                                : encode_plain(v, text, len, &out, &missing, e);
    if (s == RC_OK && (out.cap != out.n || !out.id)) { /* the caller's size must be the block's size */
        int32_t *exact = rc__realloc(out.id, out.cap * sizeof *exact, out.n * sizeof *exact);
        if (exact) {
            out.id = exact;
            out.cap = out.n;
        } else
            s = rc_fail(e, RC_ENOMEM, "out of memory (%zu ids)", out.n);
    }
    if (s != RC_OK) {
        rc__free(out.id, out.cap * sizeof *out.id);
        return s;
    }
    *ids = out.id;
    *n = out.n;
    if (unknown) *unknown = missing;
    return RC_OK;
}

void rc_ids_free(int32_t *ids, size_t n) { rc__free(ids, n * sizeof *ids); }

rc_status rc_vocab_decode(const rc_vocab *v, const int32_t *ids, size_t n, char **text, size_t *len, rc_error *e) {
    *text = NULL;
    *len = 0;
    rc__string out = {0};
    rc_status s = RC_OK;
    bool line_start = true; /* word: no space at the start of a line, nor before its end */
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= v->entries.count) {
            s = rc_fail(e, RC_EINVAL, "id %d at position %zu: the vocabulary has %zu entries", (int)ids[i], i,
                        v->entries.count);
            break;
        }
        size_t k;
        const char *entry = rc_vocab_entry(v, ids[i], &k);
        if (v->kind == RC_VOCAB_WORD) {
            if (ids[i] != v->eos && !line_start) s = rc__string_put(&out, " ", 1, e);
            line_start = ids[i] == v->eos;
        }
        if (s == RC_OK) s = rc__string_put(&out, entry, k, e);
    }
    if (s == RC_OK) return rc__string_take(&out, text, len, e);
    rc__string_free(&out);
    return s;
}
