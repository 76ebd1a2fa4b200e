/* bpe_train.c - learns byte-pair merges (Sennrich, Haddow, Birch 2016, algorithm 1) with counts kept up to date.
 *
 *  1. count the distinct pieces of the text; each becomes a word of symbols (bytes at first)
 *  2. count the pairs of neighbours over all words; a heap holds them by count, ties by the smaller ids
 *  3. take the top pair (its count may be stale: then it goes back with the right one), make an entry of it, merge it
 *     in the words where it was seen; only the pairs at the seams change their counts
 * A heap entry knows the words in which its pair arose. Order of ties, ids of the alphabet and the arithmetic of
 * overlapping pairs ("aaa") are those of Hugging Face's BpeTrainer, so that both learn the same vocabulary from the
 * same text. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/bpe_internal.h"
#include "data/utf8.h"

typedef struct word {
    size_t from; /* its symbols in trainer.symbols */
    uint32_t n;
    int64_t count;
} word;

typedef struct pair {
    int32_t left, right; /* left -1 = a free slot */
    int64_t count;
} pair;

typedef struct entry {
    int64_t count;
    int32_t left, right;
    size_t from, n; /* its words in trainer.where */
} entry;

typedef struct change {
    int32_t left, right; /* a pair that became more frequent, */
    uint32_t word;       /* and where */
} change;

typedef struct trainer {
    word *words;
    size_t n_words;
    int32_t *symbols;
    size_t n_symbols;
    pair *pairs;
    size_t n_slots, n_pairs;
    entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *where;
    size_t n_where, cap_where;
    change *changes;
    size_t n_changes, cap_changes;
    rc__merge *merges;
    size_t n_merges, cap_merges;
} trainer;

static void trainer_free(trainer *t) {
    rc__free(t->words, t->n_words * sizeof *t->words);
    rc__free(t->symbols, t->n_symbols * sizeof *t->symbols);
    rc__free(t->pairs, t->n_slots * sizeof *t->pairs);
    rc__free(t->heap, t->cap_heap * sizeof *t->heap);
    rc__free(t->where, t->cap_where * sizeof *t->where);
    rc__free(t->changes, t->cap_changes * sizeof *t->changes);
    rc__free(t->merges, t->cap_merges * sizeof *t->merges);
}

/* ---- pairs and their counts -------------------------------------------------------------------------------------- */

static size_t find_pair(const trainer *t, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32) & (t->n_slots - 1);
    while (t->pairs[i].left >= 0 && (t->pairs[i].left != left || t->pairs[i].right != right))
        i = (i + 1) & (t->n_slots - 1);
    return i;
}

static rc_status grow_pairs(trainer *t, rc_error *e) {
    pair *old = t->pairs;
    size_t n_old = t->n_slots, n = n_old ? 2 * n_old : 4096;
    pair *pairs = n <= UINT32_MAX ? rc__alloc(n * sizeof *pairs) : NULL;
    if (!pairs) return rc_fail(e, RC_ENOMEM, "out of memory (%zu pairs)", n);
    for (size_t i = 0; i < n; i++) pairs[i].left = -1;
    t->pairs = pairs;
    t->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].left >= 0) pairs[find_pair(t, old[i].left, old[i].right)] = old[i];
    rc__free(old, n_old * sizeof *old);
    return RC_OK;
}

static rc_status reserve_pairs(trainer *t, size_t more, rc_error *e) {
    while ((t->n_pairs + more) * 2 > t->n_slots) {
        rc_status s = grow_pairs(t, e);
        if (s != RC_OK) return s;
    }
    return RC_OK;
}

/* There must be room for a new pair. */
static void add_count(trainer *t, int32_t left, int32_t right, int64_t count) {
    pair *p = &t->pairs[find_pair(t, left, right)];
    if (p->left < 0) {
        *p = (pair){left, right, 0};
        t->n_pairs++;
    }
    p->count += count;
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static bool before(const entry *a, const entry *b) {
    if (a->count != b->count) return a->count > b->count;
    if (a->left != b->left) return a->left < b->left;
    return a->right < b->right;
}

static rc_status heap_put(trainer *t, entry x, rc_error *e) {
    rc_status s = rc__grow((void **)&t->heap, &t->cap_heap, t->n_heap + 1, sizeof *t->heap, e);
    if (s != RC_OK) return s;
    size_t i = t->n_heap++;
    for (; i > 0 && before(&x, &t->heap[(i - 1) / 2]); i = (i - 1) / 2) t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = x;
    return RC_OK;
}

static entry heap_take(trainer *t) {
    entry top = t->heap[0], last = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && before(&t->heap[child + 1], &t->heap[child])) child++;
        if (!before(&t->heap[child], &last)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return top;
}

static int by_pair_then_word(const void *pa, const void *pb) {
    const change *a = pa, *b = pb;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    if (a->right != b->right) return a->right < b->right ? -1 : 1;
    return (a->word > b->word) - (a->word < b->word);
}

/* Each pair that became more frequent goes into the heap with the words where it did. */
static rc_status push_changes(trainer *t, rc_error *e) {
    if (t->n_changes == 0) return RC_OK;
    qsort(t->changes, t->n_changes, sizeof *t->changes, by_pair_then_word);
    rc_status s = rc__grow((void **)&t->where, &t->cap_where, t->n_where + t->n_changes, sizeof *t->where, e);
    for (size_t i = 0; i < t->n_changes && s == RC_OK;) {
        const pair *p = &t->pairs[find_pair(t, t->changes[i].left, t->changes[i].right)];
        entry x = {p->count, p->left, p->right, t->n_where, 0};
        for (; i < t->n_changes && t->changes[i].left == p->left && t->changes[i].right == p->right; i++)
            if (x.n == 0 || t->where[t->n_where - 1] != t->changes[i].word) {
                t->where[t->n_where++] = t->changes[i].word;
                x.n++;
            }
        if (x.count > 0) s = heap_put(t, x, e);
    }
    t->n_changes = 0;
    return s;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static rc_status count_pieces(const rc__bpe *b, const char *text, size_t len, rc__strtab *pieces, int64_t **counts,
                              size_t *cap, rc_error *e) {
    rc__pieces walk;
    rc_status s = rc__pieces_open(&walk, b, e);
    if (s != RC_OK) return s;
    rc__pieces_start(&walk, text, len);
    const char *piece;
    size_t n;
    while ((s = rc__pieces_next(&walk, &piece, &n, e)) == RC_OK && n > 0) {
        uint32_t id;
        bool added;
        s = rc__strtab_add(pieces, piece, n, &id, &added, e);
        if (s == RC_OK) s = rc__grow((void **)counts, cap, pieces->count, sizeof **counts, e);
        if (s != RC_OK) break;
        if (added) (*counts)[id] = 0;
        (*counts)[id]++;
    }
    rc__pieces_close(&walk);
    return s;
}

static rc_status make_words(trainer *t, const rc_vocab *v, const char *text, size_t len, rc_error *e) {
    rc__strtab pieces = {0};
    int64_t *counts = NULL;
    size_t cap = 0;
    rc_status s = count_pieces(v->bpe, text, len, &pieces, &counts, &cap, e);
    if (s == RC_OK) {
        t->words = rc__alloc(pieces.count * sizeof *t->words);
        if (t->words) t->n_words = pieces.count;
        t->symbols = rc__alloc(pieces.pool_len * sizeof *t->symbols);
        if (t->symbols) t->n_symbols = pieces.pool_len;
        if (!t->words || !t->symbols) s = rc_fail(e, RC_ENOMEM, "out of memory (%zu pieces)", pieces.count);
    }
    int32_t byte_id[256];
    for (unsigned i = 0; i < 256; i++) {
        char c = (char)i;
        byte_id[i] = rc__strtab_find(&v->entries, &c, 1);
    }
    for (size_t i = 0; i < pieces.count && s == RC_OK; i++) {
        size_t n;
        const char *piece = rc__strtab_get(&pieces, i, &n);
        t->words[i] = (word){pieces.start[i], (uint32_t)n, counts[i]};
        for (size_t k = 0; k < n; k++) t->symbols[pieces.start[i] + k] = byte_id[(unsigned char)piece[k]];
    }
    rc__free(counts, cap * sizeof *counts);
    rc__strtab_free(&pieces);
    return s;
}

/* One more (times the word's count) of left right, in word w. */
static rc_status add_pair(trainer *t, int32_t left, int32_t right, size_t w, rc_error *e) {
    rc_status s = rc__grow((void **)&t->changes, &t->cap_changes, t->n_changes + 1, sizeof *t->changes, e);
    if (s == RC_OK) s = reserve_pairs(t, 1, e);
    if (s != RC_OK) return s;
    add_count(t, left, right, t->words[w].count);
    t->changes[t->n_changes++] = (change){left, right, (uint32_t)w};
    return RC_OK;
}

static rc_status count_all_pairs(trainer *t, rc_error *e) {
    rc_status s = reserve_pairs(t, 1, e);
    for (size_t w = 0; w < t->n_words && s == RC_OK; w++) {
        const int32_t *x = t->symbols + t->words[w].from;
        for (size_t i = 0; i + 1 < t->words[w].n && s == RC_OK; i++) s = add_pair(t, x[i], x[i + 1], w, e);
    }
    return s == RC_OK ? push_changes(t, e) : s;
}

/* Replaces left right by result in word w, from left to right. Counts change at the seams only: the pair itself keeps
 * its count, it is not looked at again. */
static rc_status merge_in_word(trainer *t, size_t w, int32_t left, int32_t right, int32_t result, rc_error *e) {
    word *word_ = &t->words[w];
    int32_t *x = t->symbols + word_->from;
    size_t n = word_->n, to = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && s == RC_OK; to++) {
        if (x[i] != left || i + 1 >= n || x[i + 1] != right) {
            x[to] = x[i++];
            continue;
        }
        if (to > 0) {
            add_count(t, x[to - 1], left, -word_->count);
            s = add_pair(t, x[to - 1], result, w, e);
        }
        if (i + 2 < n && s == RC_OK) {
            add_count(t, right, x[i + 2], -word_->count);
            s = add_pair(t, result, x[i + 2], w, e);
        }
        x[to] = result;
        i += 2;
    }
    if (s == RC_OK) word_->n = (uint32_t)to;
    return s;
}

static rc_status add_entry(rc_vocab *v, int32_t left, int32_t right, int32_t *result, rc__string *scratch,
                           rc_error *e) {
    size_t nl, nr;
    uint32_t id;
    const char *l = rc__strtab_get(&v->entries, (size_t)left, &nl);
    scratch->len = 0;
    rc_status s = rc__string_put(scratch, l, nl, e);
    const char *r = rc__strtab_get(&v->entries, (size_t)right, &nr);
    if (s == RC_OK) s = rc__string_put(scratch, r, nr, e);
    if (s == RC_OK) s = rc__strtab_add(&v->entries, scratch->s, scratch->len, &id, NULL, e);
    if (s == RC_OK) *result = (int32_t)id;
    return s;
}

static rc_status learn(trainer *t, rc_vocab *v, size_t size, rc_error *e) {
    rc__string scratch = {0};
    rc_status s = RC_OK;
    while (v->entries.count < size && t->n_heap > 0 && s == RC_OK) {
        entry top = heap_take(t);
        int64_t now = t->pairs[find_pair(t, top.left, top.right)].count;
        if (top.count != now) {
            top.count = now;
            s = heap_put(t, top, e);
            continue;
        }
        if (now < 1) break;
        rc__merge m = {top.left, top.right, 0};
        s = add_entry(v, top.left, top.right, &m.result, &scratch, e);
        if (s == RC_OK) s = rc__grow((void **)&t->merges, &t->cap_merges, t->n_merges + 1, sizeof m, e);
        if (s != RC_OK) break;
        t->merges[t->n_merges++] = m;
        for (size_t i = 0; i < top.n && s == RC_OK; i++) {
            size_t w = t->where[top.from + i];
            s = merge_in_word(t, w, m.left, m.right, m.result, e);
        }
        if (s == RC_OK) s = push_changes(t, e);
    }
    rc__string_free(&scratch);
    return s;
}

/* The same pair may be merged twice, in words found later; like the reference, the last time gives its rank. */
static void drop_repeated_merges(trainer *t) {
    for (size_t i = 0; i < t->n_slots; i++) t->pairs[i].count = -1;
    for (size_t i = 0; i < t->n_merges; i++)
        t->pairs[find_pair(t, t->merges[i].left, t->merges[i].right)].count = (int64_t)i;
    size_t to = 0;
    for (size_t i = 0; i < t->n_merges; i++)
        if (t->pairs[find_pair(t, t->merges[i].left, t->merges[i].right)].count == (int64_t)i)
            t->merges[to++] = t->merges[i];
    t->n_merges = to;
}

rc_status rc__bpe_train(rc_vocab *v, size_t size, const char *text, size_t len, rc_error *e) {
    rc_status s = rc__utf8_check(text, len, e);
    if (s == RC_OK) s = rc__bpe_new(&v->bpe, NULL, e);
    if (s != RC_OK) return s;
    if (len > UINT32_MAX)
        return rc_fail(e, RC_EDATA, "the text has %zu bytes; learn merges from at most 4 GiB of it", len);
    unsigned char order[256];
    rc__byte_alphabet(order);
    for (size_t i = 0; i < 256 && s == RC_OK; i++) {
        uint32_t id;
        s = rc__strtab_add(&v->entries, (char *)&order[i], 1, &id, NULL, e);
    }
    trainer t = {0};
    if (s == RC_OK) s = make_words(&t, v, text, len, e);
    if (s == RC_OK) s = count_all_pairs(&t, e);
    if (s == RC_OK) s = learn(&t, v, size, e);
    if (s == RC_OK) {
        drop_repeated_merges(&t);
        s = rc__bpe_build(v, t.merges, t.n_merges, false, e);
    }
    trainer_free(&t);
    return s;
}
