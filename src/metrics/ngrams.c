/* ngrams.c - see ngrams.h. Open addressing, at most half full. */
#include "metrics/ngrams.h"
#include <string.h>
#include "base/mem.h"
#include "data/strtab.h"

void rc__ngrams_free(rc__ngrams *t) {
    rc__free(t->slot, t->cap_slot * sizeof *t->slot);
    rc__free(t->count, t->cap_count * sizeof *t->count);
    *t = (rc__ngrams){0};
}

rc_status rc__ngrams_begin(rc__ngrams *t, const uint32_t *text, size_t n, size_t most, rc_error *e) {
    if (most > INT32_MAX) return rc_fail(e, RC_EDATA, "a text of %zu tokens: more than can be counted", most);
    size_t slots = 16;
    while (slots < 2 * most) slots *= 2;
    rc_status s = rc__grow((void **)&t->slot, &t->cap_slot, slots, sizeof *t->slot, e);
    if (s == RC_OK) s = rc__grow((void **)&t->count, &t->cap_count, slots, sizeof *t->count, e);
    if (s != RC_OK) return s;
    t->text = text;
    t->n = n;
    t->n_slots = slots;
    memset(t->slot, 0, slots * sizeof *t->slot);
    return RC_OK;
}

/* Where the n-gram is, or the free place where it would be. */
static size_t place_of(const rc__ngrams *t, const uint32_t *ngram) {
    uint64_t h = 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < t->n; i++) {
        h = (h ^ ngram[i]) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    size_t at = (size_t)h & (t->n_slots - 1);
    while (t->slot[at] && memcmp(t->text + t->slot[at] - 1, ngram, t->n * sizeof *ngram) != 0)
        at = (at + 1) & (t->n_slots - 1);
    return at;
}

uint32_t *rc__ngrams_add(rc__ngrams *t, size_t at) {
    size_t place = place_of(t, t->text + at);
    if (!t->slot[place]) {
        t->slot[place] = (uint32_t)at + 1;
        t->count[place] = 0;
    }
    return &t->count[place];
}

uint32_t *rc__ngrams_find(const rc__ngrams *t, const uint32_t *ngram) {
    size_t place = place_of(t, ngram);
    return t->slot[place] ? &t->count[place] : NULL;
}

rc_status rc__ngram_matches(rc__ngrams *t, const uint32_t *a, size_t na, const uint32_t *b, size_t nb, size_t n,
                            uint64_t *matches, rc_error *e) {
    size_t in_a = rc__ngram_total(na, n), in_b = rc__ngram_total(nb, n);
    *matches = 0;
    if (in_a == 0 || in_b == 0) return RC_OK;
    rc_status s = rc__ngrams_begin(t, a, n, in_a, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; i < in_a; i++) (*rc__ngrams_add(t, i))++;
    for (size_t i = 0; i < in_b; i++) {
        uint32_t *left = rc__ngrams_find(t, b + i);
        if (!left || *left == 0) continue;
        (*left)--;
        (*matches)++;
    }
    return RC_OK;
}
