/* rows.c - a padded batch (T, B, F) as packed rows (N, F) and back: all valid steps of the first sequence, then of the
 * second, ... */
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct rows_node {
    rc__node n;
    rc_var *x;
    size_t T, B, F;
    const size_t *first; /* (B + 1): where the rows of each sequence begin */
} rows_node;

typedef struct rows_job {
    const rows_node *s;
    const rc_real *from;
    rc_real *to;
    bool pack, add;
} rows_job;

/* first[b], from lengths in 0..T; NULL (tape marked) when they are not. */
static const size_t *row_starts(rc_tape *t, const char *op, const int32_t *lengths, size_t T, size_t B) {
    size_t *first = rc__tape_alloc(t, (B + 1) * sizeof *first);
    if (!first) return NULL;
    first[0] = 0;
    for (size_t b = 0; b < B; b++) {
        if (lengths && (lengths[b] < 0 || (size_t)lengths[b] > T)) {
            rc__op_fail(t, RC_EINVAL, op, "length %d of row %zu is outside 0..%zu", (int)lengths[b], b, T);
            return NULL;
        }
        first[b + 1] = first[b] + (lengths ? (size_t)lengths[b] : T);
    }
    return first;
}

static void move_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    const rows_node *s = j->s;
    size_t F = s->F, len = s->first[b + 1] - s->first[b];
    for (size_t k = 0; k < s->T; k++) {
        size_t padded = (k * s->B + b) * F, packed = (s->first[b] + k) * F;
        const rc_real *from = k < len ? j->from + (j->pack ? padded : packed) : NULL;
        if (k >= len && j->pack && !j->add) break;
        rc_real *to = j->to + (j->pack ? packed : padded);
        if (!from) {
            if (!j->add) memset(to, 0, F * sizeof *to);
        } else if (j->add)
            rc__k->pw.add(F, to, from, to);
        else
            memcpy(to, from, F * sizeof *to);
    }
}

static void move(const rows_job *j) {
    rc__parallel(j->s->B, RC__WORK(j->s->first[j->s->B] * j->s->F), move_task, (void *)(uintptr_t)j);
}

static void pack_backward(rc_tape *t, rc__node *self) {
    rows_job j = {.s = (rows_node *)self, .from = self->out.dx, .pack = false};
    j.to = rc__grad_to(t, j.s->x, &j.add);
    if (j.to) move(&j);
}

static void unpack_backward(rc_tape *t, rc__node *self) {
    rows_job j = {.s = (rows_node *)self, .from = self->out.dx, .pack = true};
    j.to = rc__grad_to(t, j.s->x, &j.add);
    if (j.to) move(&j);
}

rc_var *rc_pack_rows(rc_tape *t, rc_var *x, const int32_t *lengths) {
    const char *op = "pack_rows";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim != 3)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (T, B, F)", rc__shape_text(x->ndim, x->dim));
    size_t T = x->dim[0], B = x->dim[1], F = x->dim[2];
    const size_t *first = row_starts(t, op, lengths, T, B);
    if (!first) return rc__dead(t);
    if (first[B] == 0) return rc__op_fail(t, RC_EINVAL, op, "all %zu lengths are 0", B);
    rows_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){first[B], F}, x->needs_grad, pack_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->T = T, s->B = B, s->F = F, s->first = first;
    move(&(rows_job){.s = s, .from = x->x, .to = s->n.out.x, .pack = true});
    return &s->n.out;
}

rc_var *rc_unpack_rows(rc_tape *t, rc_var *x, const int32_t *lengths, size_t seq_len, size_t batch) {
    const char *op = "unpack_rows";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim != 2) return rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (N, F)", rc__shape_text(x->ndim, x->dim));
    size_t F = x->dim[1], all;
    if (!rc__size_mul(seq_len, batch, &all) || all == 0 || batch >= SIZE_MAX / sizeof(size_t))
        return rc__op_fail(t, RC_EINVAL, op, "%zu steps of %zu rows, expected at least 1 of each", seq_len, batch);
    const size_t *first = row_starts(t, op, lengths, seq_len, batch);
    if (!first) return rc__dead(t);
    if (first[batch] != x->dim[0])
        return rc__op_fail(t, RC_EINVAL, op, "lengths add up to %zu rows, x has %zu", first[batch], x->dim[0]);
    rows_node *s = rc__node_new(t, sizeof *s, op, 3, (size_t[]){seq_len, batch, F}, x->needs_grad, unpack_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->T = seq_len, s->B = batch, s->F = F, s->first = first;
    move(&(rows_job){.s = s, .from = x->x, .to = s->n.out.x, .pack = false});
    return &s->n.out;
}
