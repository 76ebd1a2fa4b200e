/* embedding.c - rows of a table by id, with or without dropping whole rows (Merity et al. 2018, section 4.3). Letters:
 * n ids, table (V, E). */
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

/* Backward is shared out by columns: within a stripe one task adds the rows in the order of the ids, so the sum of an
 * id that occurs often does not depend on threads. */
#define STRIPE 64

typedef struct embedding_node {
    rc__node n;
    const int32_t *ids;
    rc_var *table;
    size_t count, E, tile;
    const rc_real *mask; /* (V) 0 or 1/(1-p), NULL without dropout */
    rc_real *dtable;
} embedding_node;

static void gather_task(void *ctx, size_t task, int worker) {
    (void)worker;
    embedding_node *s = ctx;
    size_t E = s->E;
    const rc_real *w = s->table->x;
    for (size_t i = task * s->tile, end = rc__min_size(i + s->tile, s->count); i < end; i++) {
        size_t id = (size_t)s->ids[i];
        rc_real *y = s->n.out.x + i * E;
        if (!s->mask)
            memcpy(y, w + id * E, E * sizeof *y);
        else if (s->mask[id] == 0)
            memset(y, 0, E * sizeof *y);
        else
            rc__k->pw.scale(E, s->mask[id], 0, w + id * E, y);
    }
}

static void scatter_task(void *ctx, size_t task, int worker) {
    (void)worker;
    embedding_node *s = ctx;
    size_t E = s->E, first = task * STRIPE, width = rc__min_size(STRIPE, E - first);
    const rc_real *dy = s->n.out.dx + first;
    rc_real *dw = s->dtable + first;
    for (size_t i = 0; i < s->count; i++, dy += E) {
        size_t id = (size_t)s->ids[i];
        if (!s->mask)
            rc__k->pw.add(width, dw + id * E, dy, dw + id * E);
        else if (s->mask[id] != 0)
            rc__k->pw.axpy(width, s->mask[id], dy, dw + id * E);
    }
}

static void embedding_backward(rc_tape *t, rc__node *self) {
    embedding_node *s = (embedding_node *)self;
    rc_param *p = rc__var_param(s->table);
    bool sparse = p && p->sparse;
    s->dtable = sparse ? rc__grad_rows(t, s->table) : rc__grad(t, s->table);
    if (!s->dtable) return;
    if (sparse)
        for (size_t i = 0; i < s->count; i++)
            if (!s->mask || s->mask[s->ids[i]] != 0) rc_param_touch(p, (size_t)s->ids[i]);
    rc__parallel(rc__tiles(s->E, STRIPE), (double)s->count * (double)s->E, scatter_task, s);
}

static rc_var *embedding(rc_tape *t, const char *op, const int32_t *ids, int ndim, const size_t *dim, rc_var *table,
                         double p) {
    if (!rc__alive(t, op, 1, table)) return rc__dead(t);
    if (table->ndim != 2)
        return rc__op_fail(t, RC_EINVAL, op, "the table is %s, expected (V, E)",
                           rc__shape_text(table->ndim, table->dim));
    if (!ids) return rc__op_fail(t, RC_EINVAL, op, "ids is NULL");
    if (ndim < 0 || ndim >= RC_MAX_DIMS || (ndim && !dim))
        return rc__op_fail(t, RC_EINVAL, op, "ids have %d dimensions, expected 0 to %d", ndim, RC_MAX_DIMS - 1);
    if (!(p >= 0 && p < 1)) return rc__op_fail(t, RC_EINVAL, op, "dropout %g is outside [0, 1)", p);
    size_t V = table->dim[0], E = table->dim[1], shape[RC_MAX_DIMS];
    for (int i = 0; i < ndim; i++) shape[i] = dim[i];
    shape[ndim] = E;
    embedding_node *s = rc__node_new(t, sizeof *s, op, ndim + 1, shape, table->needs_grad, embedding_backward);
    if (!s) return rc__dead(t);
    s->ids = ids, s->table = table, s->E = E;
    s->n.precision = rc__var_precision(table);
    s->count = s->n.out.len / E;
    s->tile = 1 + RC__TILE / E;
    for (size_t i = 0; i < s->count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= V)
            return rc__op_fail(t, RC_EDATA, op, "id %d at position %zu of %s, expected 0 to %zu", (int)ids[i], i,
                               rc__shape_text(ndim, dim), V - 1);
    if (p > 0 && rc_tape_get_mode(t).training) {
        rc_real *mask = rc__tape_alloc(t, V * sizeof *mask);
        if (!mask) return rc__dead(t);
        rc__k->pw.dropout_mask(V, rc__tape_rng(t), 0, p, mask);
        s->mask = mask;
    }
    rc__parallel(rc__tiles(s->count, s->tile), (double)s->n.out.len, gather_task, s);
    return &s->n.out;
}

rc_var *rc_embedding(rc_tape *t, const int32_t *ids, int ndim, const size_t *dim, rc_var *table) {
    return embedding(t, "embedding", ids, ndim, dim, table, 0);
}

rc_var *rc_embedding_dropout(rc_tape *t, const int32_t *ids, int ndim, const size_t *dim, rc_var *table, double p) {
    return embedding(t, "embedding_dropout", ids, ndim, dim, table, p);
}
