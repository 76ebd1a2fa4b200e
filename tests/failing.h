/* failing.h - an allocator that refuses: for tests that let allocation number n fail, for every n. */
#ifndef FAILING_H
#define FAILING_H
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct failing {
    long left;  /* allocations that succeed before one is refused; < 0: none is ever refused */
    long calls;
    bool once;  /* that one alone is refused, else all from there on */
} failing;

static inline void *failing_alloc(void *ctx, void *p, size_t old_size, size_t new_size) {
    failing *f = ctx;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    f->calls++;
    if (f->left == 0) {
        if (f->once) f->left = -1;
        return NULL;
    }
    if (f->left > 0) f->left--;
    void *q = NULL;
    if (posix_memalign(&q, 64, new_size) != 0) return NULL;
    if (p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    free(p);
    return q;
}
#endif
