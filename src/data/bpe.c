/* bpe.c - pieces, encoding, and what a byte-pair vocabulary must satisfy. Learning merges is in bpe_train.c. */
#include "data/bpe_internal.h"

#include <string.h>

#include "base/mem.h"
#include "data/utf8.h"

const char *const rc__gpt2_pattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* The same with white space written out: PCRE2's \s also takes U+180E, which Unicode no longer counts as space. */
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
static const char gpt2_exact[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

/* ---- bytes as printable characters ------------------------------------------------------------------------------- */

static bool stands_for_itself(unsigned b) { return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; }

/* The others are 0..32, 127..160 and 173, numbered in this order from U+0100. */
uint32_t rc__byte_to_unicode(unsigned char byte) {
    if (stands_for_itself(byte)) return byte;
    return 256u + (byte <= 32 ? byte : byte <= 160 ? 33u + byte - 127u : 67u);
}

int rc__unicode_to_byte(uint32_t cp) {
    if (cp < 256) return stands_for_itself(cp) ? (int)cp : -1;
    uint32_t k = cp - 256;
    return k < 33 ? (int)k : k < 67 ? (int)k + 94 : k == 67 ? 173 : -1;
}

void rc__byte_alphabet(unsigned char order[256]) {
    size_t n = 0;
    for (unsigned b = 0; b < 256; b++)
        if (stands_for_itself(b)) order[n++] = (unsigned char)b;
    for (unsigned b = 0; b < 256; b++)
        if (!stands_for_itself(b)) order[n++] = (unsigned char)b;
}

/* ---- the pattern ------------------------------------------------------------------------------------------------- */

/* PCRE2 frees without the size, our allocator wants it: kept in front of each block. */
static void *pcre_alloc(size_t size, void *ctx) {
    (void)ctx;
    size_t whole;
    char *p = rc__size_add(size, 64, &whole) ? rc__alloc(whole) : NULL;
    if (!p) return NULL;
    memcpy(p, &whole, sizeof whole);
    return p + 64;
}

static void pcre_free(void *p, void *ctx) {
    (void)ctx;
    if (!p) return;
    size_t whole;
    memcpy(&whole, (char *)p - 64, sizeof whole);
    rc__free((char *)p - 64, whole);
}

rc_status rc__bpe_new(rc__bpe **out, const char *pattern, rc_error *e) {
    *out = NULL;
    rc__bpe *b = rc__calloc(1, sizeof *b);
    if (!b) return rc_fail(e, RC_ENOMEM, "out of memory (tokenizer)");
    if (pattern && strcmp(pattern, rc__gpt2_pattern) == 0) pattern = NULL;
    const char *compiled = pattern ? pattern : gpt2_exact;
    int code = 0;
    size_t at = 0;
    b->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *cc = b->memory ? pcre2_compile_context_create(b->memory) : NULL;
    if (cc)
        b->code =
            pcre2_compile((PCRE2_SPTR)compiled, strlen(compiled),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (b->code && pattern) b->pattern = rc__strdup(pattern);
    if (!b->code || (pattern && !b->pattern)) {
        rc__bpe_free(b);
        if (!pattern || code == 0 || code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
            return rc_fail(e, RC_ENOMEM, "out of memory (tokenizer pattern)");
        PCRE2_UCHAR why[128] = "?";
        pcre2_get_error_message(code, why, sizeof why);
        return rc_fail(e, RC_EMODEL, "pattern \"%.200s\": %s at offset %zu", pattern, (char *)why, at);
    }
    pcre2_jit_compile(b->code, PCRE2_JIT_COMPLETE); /* where it is not available, the interpreter does the same */
    *out = b;
    return RC_OK;
}

void rc__bpe_free(rc__bpe *b) {
    if (!b) return;
    pcre2_code_free(b->code);
    pcre2_general_context_free(b->memory);
    rc__strfree(b->pattern);
    rc__free(b->merges, b->n_merges * sizeof *b->merges);
    rc__free(b->slots, b->n_slots * sizeof *b->slots);
    rc__free(b, sizeof *b);
}

const char *rc__bpe_pattern(const rc_vocab *v) { return v->bpe->pattern ? v->bpe->pattern : rc__gpt2_pattern; }

const rc__merge *rc__bpe_merges(const rc_vocab *v, size_t *n) {
    *n = v->bpe->n_merges;
    return v->bpe->merges;
}

bool rc__bpe_ignores_merges(const rc_vocab *v) { return v->bpe->ignore_merges; }

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

rc_status rc__pieces_open(rc__pieces *p, const rc__bpe *b, rc_error *e) {
    memset(p, 0, sizeof *p);
    p->bpe = b;
    p->match = pcre2_match_data_create(1, b->memory);
    p->limits = pcre2_match_context_create(b->memory);
    if (p->match && p->limits) {
        /* A pattern from a file must not run for ever; GPT-2's needs a handful of steps a piece. */
        pcre2_set_match_limit(p->limits, 10 * 1000 * 1000);
        pcre2_set_heap_limit(p->limits, 64 * 1024);
        return RC_OK;
    }
    rc__pieces_close(p);
    return rc_fail(e, RC_ENOMEM, "out of memory (tokenizer)");
}

void rc__pieces_close(rc__pieces *p) {
    pcre2_match_data_free(p->match);
    pcre2_match_context_free(p->limits);
}

void rc__pieces_start(rc__pieces *p, const char *text, size_t len) {
    p->text = text;
    p->len = len;
    p->at = p->run_end = p->run_start = p->match_start = p->match_end = 0;
    p->matched = false;
}

/* Matching goes run by run of valid UTF-8; bytes between runs are pieces of their own, and so is what no match
 * covers. */
rc_status rc__pieces_next(rc__pieces *p, const char **piece, size_t *n, rc_error *e) {
    *n = 0;
    if (p->at == p->len) return RC_OK;
    if (p->at == p->run_end) { /* a new run, or bytes that are none */
        size_t from = p->at, valid = rc__utf8_valid_prefix(p->text + from, p->len - from);
        if (valid == 0) {
            size_t i = from + 1;
            while (i < p->len && rc__utf8_valid_prefix(p->text + i, p->len - i < 4 ? p->len - i : 4) == 0) i++;
            p->at = p->run_end = i;
            *piece = p->text + from;
            *n = i - from;
            return RC_OK;
        }
        p->run_start = from;
        p->run_end = from + valid;
        p->match_start = p->match_end = from;
        p->matched = false;
    }
    if (!p->matched) {
        int r = pcre2_match(p->bpe->code, (PCRE2_SPTR)p->text + p->run_start, p->run_end - p->run_start,
                            p->at - p->run_start, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, p->match, p->limits);
        if (r == PCRE2_ERROR_NOMATCH)
            p->match_start = p->match_end = p->run_end;
        else if (r < 0) {
            PCRE2_UCHAR why[128] = "?";
            pcre2_get_error_message(r, why, sizeof why);
            return rc_fail(e, r == PCRE2_ERROR_NOMEMORY ? RC_ENOMEM : RC_EDATA,
                           "offset %zu: the tokenizer's pattern failed: %s", p->at, (char *)why);
        } else {
            const PCRE2_SIZE *o = pcre2_get_ovector_pointer(p->match);
            p->match_start = p->run_start + o[0];
            p->match_end = p->run_start + o[1];
            if (p->match_start < p->at || p->match_end <= p->match_start) /* \K and look-behind tricks */
                return rc_fail(e, RC_EDATA, "offset %zu: the tokenizer's pattern matches backwards", p->at);
        }
    }
    p->matched = p->match_start > p->at; /* first what lies before the match */
    size_t end = p->matched ? p->match_start : p->match_end;
    if (end == p->run_end) p->matched = false;
    *piece = p->text + p->at;
    *n = end - p->at;
    p->at = end;
    return RC_OK;
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

/* As in strtab.c: no chance makes a way this long, pairs made to collide do. */
#define LONGEST_WAY 1024

/* The slot of a pair or the free one where it belongs; NULL when the way there is too long. */
static uint32_t *pair_slot(const rc__bpe *b, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t way = 0;
    for (size_t i = (size_t)(h >> 32) & (b->n_slots - 1); way++ < LONGEST_WAY; i = (i + 1) & (b->n_slots - 1)) {
        uint32_t r = b->slots[i];
        if (r == 0 || (b->merges[r - 1].left == left && b->merges[r - 1].right == right)) return &b->slots[i];
    }
    return NULL;
}

/* Index of the merge of two neighbours (less = sooner), UINT32_MAX if they stay apart. */
static uint32_t rank_of(const rc__bpe *b, int32_t left, int32_t right) {
    const uint32_t *slot = pair_slot(b, left, right);
    return slot ? *slot - 1 : UINT32_MAX; /* none was added at the end of such a way */
}

rc_status rc__merge_result(const rc_vocab *v, rc__merge *m, rc__string *scratch, rc_error *e) {
    size_t n;
    const char *s = rc__strtab_get(&v->entries, (size_t)m->left, &n);
    scratch->len = 0;
    rc_status st = rc__string_put(scratch, s, n, e);
    s = rc__strtab_get(&v->entries, (size_t)m->right, &n);
    if (st == RC_OK) st = rc__string_put(scratch, s, n, e);
    if (st == RC_OK) m->result = rc__strtab_find(&v->entries, scratch->s, scratch->len);
    return st;
}

/* Takes merge i into the table. A repeated pair is refused before its strings are looked at: with long entries, many
 * repetitions in a small file would be much work. */
static rc_status take_merge(rc_vocab *v, size_t i, rc__string *scratch, rc_error *e) {
    rc__merge *m = &v->bpe->merges[i];
    size_t count = v->entries.count;
    if (m->left < 0 || m->right < 0 || (size_t)m->left >= count || (size_t)m->right >= count)
        return rc_fail(e, RC_EMODEL, "merge %zu names an entry that does not exist", i);
    uint32_t *slot = pair_slot(v->bpe, m->left, m->right);
    if (!slot)
        return rc_fail(e, RC_EMODEL, "merge %zu: more than %d merges collide; they were made to", i, LONGEST_WAY);
    if (*slot) return rc_fail(e, RC_EMODEL, "merge %zu is the same as merge %u", i, (unsigned)*slot - 1);
    *slot = (uint32_t)i + 1;
    rc_status s = rc__merge_result(v, m, scratch, e);
    if (s == RC_OK && m->result < 0)
        return rc_fail(e, RC_EMODEL, "merge %zu: entries %d and %d put together are no entry", i, (int)m->left,
                       (int)m->right);
    return s;
}

rc_status rc__bpe_build(rc_vocab *v, const rc__merge *merges, size_t n, bool ignore_merges, rc_error *e) {
    rc__bpe *b = v->bpe;
    b->ignore_merges = ignore_merges;
    for (unsigned i = 0; i < 256; i++) {
        char c = (char)i;
        b->byte_id[i] = rc__strtab_find(&v->entries, &c, 1);
        if (b->byte_id[i] < 0)
            return rc_fail(e, RC_EMODEL, "the vocabulary lacks byte 0x%02X; every byte is needed", i);
    }
    size_t n_slots = 16;
    while (n_slots < 2 * n + 2) n_slots *= 2;
    b->merges = rc__alloc(n * sizeof *merges);
    if (b->merges) b->n_merges = n;
    b->slots = rc__calloc(n_slots, sizeof *b->slots);
    if (b->slots) b->n_slots = n_slots;
    if (!b->merges || !b->slots) return rc_fail(e, RC_ENOMEM, "out of memory (%zu merges)", n);
    if (n) memcpy(b->merges, merges, n * sizeof *merges);
    rc__string scratch = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) s = take_merge(v, i, &scratch, e);
    rc__string_free(&scratch);
    return s;
}

/* ---- one piece --------------------------------------------------------------------------------------------------- */

#define SHORT_PIECE 48

/* The best pair again and again, leftmost first; quadratic, and the fastest way for words. */
static size_t merge_short(const rc__bpe *b, int32_t *id, size_t n) {
    uint32_t rank[SHORT_PIECE];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = rank_of(b, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == UINT32_MAX) break;
        id[best] = b->merges[rank[best]].result;
        memmove(id + best + 1, id + best + 2, (n - best - 2) * sizeof *id);
        if (n - best > 2) memmove(rank + best, rank + best + 1, (n - best - 2) * sizeof *rank);
        n--;
        if (best + 1 < n) rank[best] = rank_of(b, id[best], id[best + 1]);
        if (best > 0) rank[best - 1] = rank_of(b, id[best - 1], id[best]);
    }
    return n;
}

/* Long pieces: a linked list of symbols and a heap of (rank, position). An entry is stale when its pair has changed. */
typedef struct link {
    int32_t id, prev, next; /* next -1: the last; id -1: merged away */
} link;
typedef struct candidate {
    uint32_t rank;
    int32_t at;
} candidate;

static bool sooner(candidate a, candidate b) { return a.rank != b.rank ? a.rank < b.rank : a.at < b.at; }

static void heap_put(candidate *heap, size_t *n, candidate c) {
    size_t i = (*n)++;
    for (; i > 0 && sooner(c, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = c;
}

static candidate heap_take(candidate *heap, size_t *n) {
    candidate top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *n; i = child) {
        if (child + 1 < *n && sooner(heap[child + 1], heap[child])) child++;
        if (!sooner(heap[child], last)) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static void consider(const rc__bpe *b, const link *l, int32_t at, candidate *heap, size_t *n) {
    if (at < 0 || l[at].next < 0) return;
    uint32_t rank = rank_of(b, l[at].id, l[l[at].next].id);
    if (rank != UINT32_MAX) heap_put(heap, n, (candidate){rank, at});
}

static rc_status merge_long(const rc__bpe *b, int32_t *id, size_t *count, rc_error *e) {
    size_t n = *count, in_heap = 0;
    if (n >= INT32_MAX / 4) return rc_fail(e, RC_EDATA, "a piece of %zu bytes without a break is too long", n);
    link *l = rc__alloc(n * sizeof *l);
    candidate *heap = rc__alloc(3 * n * sizeof *heap); /* each merge removes a symbol and adds at most two candidates */
    if (!l || !heap) {
        rc__free(l, n * sizeof *l);
        rc__free(heap, 3 * n * sizeof *heap);
        return rc_fail(e, RC_ENOMEM, "out of memory (a piece of %zu bytes)", n);
    }
    for (size_t i = 0; i < n; i++) l[i] = (link){id[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
    for (size_t i = 0; i < n; i++) consider(b, l, (int32_t)i, heap, &in_heap);
    while (in_heap) {
        candidate c = heap_take(heap, &in_heap);
        const rc__merge *m = &b->merges[c.rank];
        link *left = &l[c.at];
        if (left->id != m->left || left->next < 0 || l[left->next].id != m->right) continue;
        link *right = &l[left->next];
        left->id = m->result;
        right->id = -1;
        left->next = right->next;
        if (left->next >= 0) l[left->next].prev = c.at;
        consider(b, l, left->prev, heap, &in_heap);
        consider(b, l, c.at, heap, &in_heap);
    }
    size_t k = 0;
    for (int32_t i = 0; i >= 0; i = l[i].next) id[k++] = l[i].id;
    rc__free(l, n * sizeof *l);
    rc__free(heap, 3 * n * sizeof *heap);
    *count = k;
    return RC_OK;
}

static rc_status encode_piece(const rc_vocab *v, const char *piece, size_t len, rc__ids *out, rc_error *e) {
    const rc__bpe *b = v->bpe;
    rc_status s = rc__ids_reserve(out, len, e);
    if (s != RC_OK) return s;
    int32_t *id = out->id + out->n;
    if (b->ignore_merges) {
        int32_t whole = rc__strtab_find(&v->entries, piece, len);
        if (whole >= 0) {
            *id = whole;
            out->n++;
            return RC_OK;
        }
    }
    for (size_t i = 0; i < len; i++) id[i] = b->byte_id[(unsigned char)piece[i]];
    size_t n = len;
    if (len <= SHORT_PIECE)
        n = merge_short(b, id, n);
    else
        s = merge_long(b, id, &n, e);
    if (s == RC_OK) out->n += n;
    return s;
}

/* ---- a text ------------------------------------------------------------------------------------------------------ */

/* Words repeat: a piece seen before is copied from where its ids already stand in the output. */
typedef struct seen {
    const char *piece;
    size_t from;
    uint32_t hash;
    uint16_t len, n; /* len 0 = free */
} seen;
typedef struct cache {
    seen *slot;
    size_t n_slots, used;
} cache;

static void cache_open(cache *c, size_t text_len) {
    size_t n = 64;
    while (n < text_len / 8 && n < (size_t)1 << 18) n *= 2;
    c->slot = text_len < 64 ? NULL : rc__calloc(n, sizeof *c->slot); /* without memory: just slower */
    c->n_slots = c->slot ? n : 0;
    c->used = 0;
}

static seen *cache_find(cache *c, const char *piece, size_t len, uint32_t hash) {
    for (size_t i = hash & (c->n_slots - 1);; i = (i + 1) & (c->n_slots - 1)) {
        seen *s = &c->slot[i];
        if (s->len == 0 || (s->hash == hash && s->len == len && memcmp(s->piece, piece, len) == 0)) return s;
    }
}

static rc_status encode_cached(const rc_vocab *v, cache *c, const char *piece, size_t len, rc__ids *out, rc_error *e) {
    if (len == 1) {
        rc_status st = rc__ids_reserve(out, 1, e);
        if (st == RC_OK) out->id[out->n++] = v->bpe->byte_id[(unsigned char)piece[0]];
        return st;
    }
    if (!c->slot || len > SHORT_PIECE) return encode_piece(v, piece, len, out, e);
    uint32_t hash = rc__hash_bytes(piece, len);
    seen *s = cache_find(c, piece, len, hash);
    if (s->len) {
        rc_status st = rc__ids_reserve(out, s->n, e);
        if (st != RC_OK) return st;
        memcpy(out->id + out->n, out->id + s->from, s->n * sizeof *out->id);
        out->n += s->n;
        return RC_OK;
    }
    size_t from = out->n;
    rc_status st = encode_piece(v, piece, len, out, e);
    if (st == RC_OK && c->used < c->n_slots / 4 * 3) {
        *s = (seen){piece, from, hash, (uint16_t)len, (uint16_t)(out->n - from)};
        c->used++;
    }
    return st;
}

rc_status rc__bpe_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, rc_error *e) {
    rc__pieces pieces;
    rc_status s = rc__pieces_open(&pieces, v->bpe, e);
    if (s != RC_OK) return s;
    cache c;
    cache_open(&c, len);
    rc__pieces_start(&pieces, text, len);
    const char *piece;
    size_t n;
    s = rc__ids_reserve(out, len / 4 + 16, e);
    while (s == RC_OK && (s = rc__pieces_next(&pieces, &piece, &n, e)) == RC_OK && n > 0)
        s = encode_cached(v, &c, piece, n, out, e);
    rc__free(c.slot, c.n_slots * sizeof *c.slot);
    rc__pieces_close(&pieces);
    return s;
}
