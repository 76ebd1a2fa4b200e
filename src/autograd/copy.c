/* copy.c - the attention on the places of a token; the loss itself is in loss.c. */
#include <string.h>
#include "autograd/copy.h"
#include "autograd/tape_internal.h"

typedef struct copied_node {
    rc__node n;
    rc_var *weights;
    const int32_t *q_len, *source, *k_len, *target;
    size_t batch;
} copied_node;

/* Every place where a row's target stands: the sum (y given), or dx += dy there. */
static void visit(const copied_node *s, rc_real *y, const rc_real *dy, rc_real *dx) {
    size_t row = 0, L = s->weights->dim[1];
    for (size_t b = 0; b < s->batch; b++)
        for (int32_t i = 0; i < s->q_len[b]; i++, row++) {
            rc_real sum = 0;
            for (size_t j = 0; j < (size_t)s->k_len[b]; j++) {
                if (s->source[j * s->batch + b] != s->target[row]) continue;
                sum += s->weights->x[row * L + j];
                if (dx) dx[row * L + j] += dy[row];
            }
            if (y) y[row] = sum;
        }
}

static void copied_backward(rc_tape *t, rc__node *self) {
    copied_node *s = (copied_node *)self;
    rc_real *dx = rc__grad(t, s->weights);
    if (dx) visit(s, NULL, self->out.dx, dx);
}

rc_var *rc__copied(rc_tape *t, rc_var *weights, const int32_t *q_lengths, size_t batch, const int32_t *source,
                   const int32_t *k_lengths, const int32_t *targets) {
    if (!rc__alive(t, "copied", 1, weights)) return rc__dead(t);
    size_t rows = 0;
    for (size_t b = 0; b < batch; b++) rows += q_lengths[b] > 0 ? (size_t)q_lengths[b] : 0;
    if (weights->ndim != 2 || weights->dim[0] != rows)
        return rc__op_fail(t, RC_EINVAL, "copied", "weights are %s, the lengths add up to %zu",
                           rc__shape_text(weights->ndim, weights->dim), rows);
    for (size_t b = 0; b < batch; b++)
        if (k_lengths[b] < 0 || (size_t)k_lengths[b] > weights->dim[1])
            return rc__op_fail(t, RC_EINVAL, "copied", "source %zu has %d tokens, weights are for 0 to %zu", b,
                               (int)k_lengths[b], weights->dim[1]);
    copied_node *s = rc__node_new(t, sizeof *s, "copied", 1, &rows, weights->needs_grad, copied_backward);
    if (!s) return rc__dead(t);
    s->weights = weights, s->q_len = q_lengths, s->batch = batch, s->source = source, s->k_len = k_lengths,
    s->target = targets;
    visit(s, s->n.out.x, NULL, NULL);
    return &s->n.out;
}
