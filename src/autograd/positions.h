/* positions.h - the positions of a batch with lengths: leading dims (T, B), row t * B + b counts when t <
 * lengths[b]. */
#ifndef RC_POSITIONS_H
#define RC_POSITIONS_H
#include "autograd/tape_internal.h"

/* Leading dims as rows of `inner` elements: all rows of one step and batch entry count, or none. */
typedef struct rc__positions {
    size_t T, B, inner;     /* T * B * inner = elements; without lengths T = 1 and B = rows */
    const int32_t *lengths; /* (B), NULL = all */
} rc__positions;

/* Checks lengths (may be NULL) against the first two of `lead` leading dims; inner is the product of the remaining
 * leading dims. False (tape marked) when a length is outside 0..T or there are no two leading dims. */
bool rc__positions_init(rc__positions *p, rc_tape *t, const char *op, const rc_var *x, int lead,
                        const int32_t *lengths);

/* Whether element i (0 .. T*B*inner-1) counts. */
static inline bool rc__counts(const rc__positions *p, size_t i) {
    if (!p->lengths) return true;
    size_t row = i / p->inner;
    return row / p->B < (size_t)p->lengths[row % p->B];
}
#endif
