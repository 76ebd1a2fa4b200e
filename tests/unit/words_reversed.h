/* words_reversed.h - made-up pairs for sequence-to-sequence tests: words, and the same in capitals from the last to the first. */
#ifndef WORDS_REVERSED_H
#define WORDS_REVERSED_H
#include <stdio.h>

#include "recur/base.h"

static const char *const words[] = {"red", "blue", "cat", "dog", "runs", "eats", "the", "big"};

static inline void put_words(FILE *f, rc_rng r, size_t n, bool reversed) { /* n at most 8 */
    size_t id[8];
    for (size_t i = 0; i < n; i++) id[i] = (size_t)rc_rng_below(&r, 8);
    for (size_t i = 0; i < n; i++) {
        const char *w = words[id[reversed ? n - 1 - i : i]];
        fputs(i ? " " : "", f);
        for (; *w; w++) fputc(reversed ? *w - 32 : *w, f);
    }
}
#endif
