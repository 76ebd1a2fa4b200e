/* positions.c - which positions of a batch with lengths count. */
#include "autograd/positions.h"
#include <string.h>

bool rc__positions_init(rc__positions *p, rc_tape *t, const char *op, const rc_var *x, int lead,
                        const int32_t *lengths) {
    size_t rows = 1;
    for (int i = 0; i < lead; i++) rows *= x->dim[i];
    *p = (rc__positions){.T = 1, .B = rows, .inner = 1};
    if (!lengths) return true;
    if (lead < 2) {
        rc__op_fail(t, RC_EINVAL, op, "lengths need (T, B, ...), found %s", rc__shape_text(x->ndim, x->dim));
        return false;
    }
    size_t T = x->dim[0], B = x->dim[1];
    for (size_t b = 0; b < B; b++)
        if (lengths[b] < 0 || (size_t)lengths[b] > T) {
            rc__op_fail(t, RC_EINVAL, op, "length %d of row %zu is outside 0..%zu", (int)lengths[b], b, T);
            return false;
        }
    int32_t *copy = rc__tape_alloc(t, B * sizeof *copy); /* backward comes after the caller's array may have changed */
    if (!copy) return false;
    memcpy(copy, lengths, B * sizeof *copy);
    /* NOLINTNEXTLINE(*DivideZero): no tensor has a dimension of 0 */
    *p = (rc__positions){.T = T, .B = B, .inner = rows / (T * B), .lengths = copy};
    return true;
}
