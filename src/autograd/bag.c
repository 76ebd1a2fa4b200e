/* bag.c - sums of rows of a table: a bag of words, with or without a weight for each place in it. Letters: R bags, n ids in
 * all, table (V, E), mask (P, E). */
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

/* Backward is shared out by columns, as that of rc_embedding: who adds what in which order does not depend on threads. */
#define STRIPE 128

typedef struct bag_node {
    rc__node n;
    rc_bags b;
    rc_var *table, *mask;
    size_t E, tile;
    rc_real *dtable, *dmask;
} bag_node;

static void sum_task(void *ctx, size_t task, int worker) {
    (void)worker;
    bag_node *s = ctx;
    size_t E = s->E;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->b.bags); r < end; r++) {
        rc_real *y = s->n.out.x + r * E;
        memset(y, 0, E * sizeof *y);
        for (size_t i = s->b.start[r]; i < s->b.start[r + 1]; i++) {
            const rc_real *w = s->table->x + (size_t)s->b.ids[i] * E;
            if (s->mask)
                rc__k->pw.mul_add(E, s->mask->x + (size_t)s->b.place[i] * E, w, y);
            else
                rc__k->pw.add(E, y, w, y);
        }
    }
}

static void scatter_task(void *ctx, size_t task, int worker) {
    (void)worker;
    bag_node *s = ctx;
    size_t E = s->E, first = task * STRIPE, width = rc__min_size(STRIPE, E - first);
    for (size_t r = 0; r < s->b.bags; r++) {
        const rc_real *dy = s->n.out.dx + r * E + first;
        for (size_t i = s->b.start[r]; i < s->b.start[r + 1]; i++) {
            size_t w = (size_t)s->b.ids[i] * E + first, m = s->mask ? (size_t)s->b.place[i] * E + first : 0;
            if (s->dtable && s->mask)
                rc__k->pw.mul_add(width, s->mask->x + m, dy, s->dtable + w);
            else if (s->dtable)
                rc__k->pw.add(width, s->dtable + w, dy, s->dtable + w);
            if (s->dmask) rc__k->pw.mul_add(width, s->table->x + w, dy, s->dmask + m);
        }
    }
}

static void bag_backward(rc_tape *t, rc__node *self) {
    bag_node *s = (bag_node *)self;
    rc_param *p = rc__var_param(s->table);
    bool sparse = p && p->sparse;
    size_t n = s->b.start[s->b.bags];
    s->dtable = sparse ? rc__grad_rows(t, s->table) : rc__grad(t, s->table);
    s->dmask = s->mask ? rc__grad(t, s->mask) : NULL;
    if (!s->dtable && !s->dmask) return;
    if (sparse && s->dtable)
        for (size_t i = 0; i < n; i++) rc_param_touch(p, (size_t)s->b.ids[i]);
    rc__parallel(rc__tiles(s->E, STRIPE), RC__WORK(n * s->E), scatter_task, s);
}

rc_var *rc_embedding_bags(rc_tape *t, const rc_bags *b, rc_var *table, rc_var *mask) {
    const char *op = "embedding_bags";
    if (!rc__alive(t, op, 1, table) || (mask && !rc__alive(t, op, 1, mask))) return rc__dead(t);
    if (table->ndim != 2 || (mask && (mask->ndim != 2 || mask->dim[1] != table->dim[1])))
        return rc__op_fail(t, RC_EINVAL, op, "the table is %s, the mask %s; expected (V, E) and (P, E)",
                           rc__shape_text(table->ndim, table->dim), mask ? rc__shape_text(mask->ndim, mask->dim) : "NULL");
    if (!b->bags || !b->start || b->start[0] != 0 || (b->start[b->bags] && !b->ids) || (mask && b->start[b->bags] && !b->place))
        return rc__op_fail(t, RC_EINVAL, op, "no bags, or ids or places are NULL");
    size_t E = table->dim[1];
    for (size_t r = 0; r < b->bags; r++)
        if (b->start[r + 1] < b->start[r]) return rc__op_fail(t, RC_EINVAL, op, "bag %zu ends before it begins", r);
    for (size_t i = 0; i < b->start[b->bags]; i++) {
        if (b->ids[i] < 0 || (size_t)b->ids[i] >= table->dim[0])
            return rc__op_fail(t, RC_EDATA, op, "id %d at position %zu, expected 0 to %zu", (int)b->ids[i], i, table->dim[0] - 1);
        if (mask && (b->place[i] < 0 || (size_t)b->place[i] >= mask->dim[0]))
            return rc__op_fail(t, RC_EDATA, op, "place %d at position %zu, expected 0 to %zu", (int)b->place[i], i,
                               mask->dim[0] - 1);
    }
    bag_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){b->bags, E}, table->needs_grad || (mask && mask->needs_grad),
                               bag_backward);
    if (!s) return rc__dead(t);
    s->b = *b, s->table = table, s->mask = mask, s->E = E;
    s->tile = 1 + RC__TILE / E / 8;
    rc__parallel(rc__tiles(b->bags, s->tile), RC__WORK(b->start[b->bags] * E), sum_task, s);
    return &s->n.out;
}
