/* ngrams.h - counting runs of n numbers (ids of words, code points) in texts. */
#ifndef RC_NGRAMS_H
#define RC_NGRAMS_H
#include "recur/base.h"

/* A table of the different n-grams of one array, with a count each. Begin with {0}. */
typedef struct rc__ngrams {
    const uint32_t *text; /* what the positions are in; borrowed */
    size_t n;             /* of the n-grams */
    uint32_t *slot;       /* position + 1 of the first such n-gram; 0 = free */
    uint32_t *count;
    size_t n_slots, cap_slot, cap_count;
} rc__ngrams;
void rc__ngrams_free(rc__ngrams *t);
/* Empties t for n-grams of text, at most `most` different ones. RC_EDATA: texts beyond 2^31. */
rc_status rc__ngrams_begin(rc__ngrams *t, const uint32_t *text, size_t n, size_t most, rc_error *e);
uint32_t *rc__ngrams_add(rc__ngrams *t, size_t at);                        /* the count of the n-gram at text + at */
uint32_t *rc__ngrams_find(const rc__ngrams *t, const uint32_t *ngram); /* NULL: there is none */

/* How many n-grams of b are in a, each at most as often as there. */
rc_status rc__ngram_matches(rc__ngrams *t, const uint32_t *a, size_t na, const uint32_t *b, size_t nb, size_t n,
                            uint64_t *matches, rc_error *e);
static inline size_t rc__ngram_total(size_t len, size_t n) { return len < n ? 0 : len - n + 1; }
#endif
