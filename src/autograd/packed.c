/* packed.c - copies of weight matrices in the layout of the matrix backend, kept by the tape.
 *
 * A step packs each weight once per direction, however often it is used. Entries outlive the step: the memory is reused
 * for the same weight, or for another of the same shape that was not needed any more. A parameter whose version did not
 * move since (evaluation) is not packed again. Versions are unique over all rc_params (params.c), so a parameter that
 * lies where a freed one lay is not mistaken for it.
 */
#include "autograd/tape_internal.h"
#include "kernels/gemm.h"

struct rc__packed_entry {
    rc__packed packed;
    const rc_real *w;      /* what it was filled from */
    const rc_param *param; /* NULL: any other variable */
    bool trans;
    uint64_t version;      /* of the parameter when filled */
    uint64_t filled, used; /* runs */
};

/* Runs after which an entry that nobody asked for is given back, when memory for another is needed. */
#define KEEP_RUNS 64

static void entry_free(rc__packed_entry *e) {
    rc__packed_free(&e->packed);
    rc__free(e, sizeof *e);
}

void rc__packed_cache_free(rc__packed_cache *c) {
    for (size_t i = 0; i < c->n; i++) entry_free(c->entry[i]);
    rc__free(c->entry, c->cap * sizeof *c->entry);
    c->entry = NULL;
    c->n = c->cap = 0;
}

static void drop_unused(rc__packed_cache *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->entry[i]->used + KEEP_RUNS < c->run)
            entry_free(c->entry[i]);
        else
            c->entry[n++] = c->entry[i];
    }
    c->n = n;
}

static rc__packed_entry *entry_new(rc_tape *t, rc__packed_cache *c, rc__panel_format format, size_t K, size_t N) {
    drop_unused(c);
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        void *grown = rc__realloc(c->entry, c->cap * sizeof *c->entry, cap * sizeof *c->entry);
        if (!grown) goto no_memory;
        c->entry = grown;
        c->cap = cap;
    }
    rc__packed_entry *e = rc__calloc(1, sizeof *e);
    if (!e) goto no_memory;
    rc_error why = {0};
    if (rc__packed_init(&e->packed, format, K, N, &why) != RC_OK) {
        rc__free(e, sizeof *e);
        rc__op_fail(t, why.code ? why.code : RC_ENOMEM, "pack", "%s", why.text);
        return NULL;
    }
    c->entry[c->n++] = e;
    return e;
no_memory:
    rc__op_fail(t, RC_ENOMEM, "pack", "out of memory for a (%zu, %zu) matrix", K, N);
    return NULL;
}

const rc__packed *rc__tape_packed(rc_tape *t, const rc_var *w, bool trans) {
    if (!rc__alive(t, "pack", 1, w)) return NULL;
    if (w->ndim != 2) {
        rc__op_fail(t, RC_EINVAL, "pack", "a weight is %s, expected 2 dimensions", rc__shape_text(w->ndim, w->dim));
        return NULL;
    }
    rc__panel_format format = rc__format_of(rc__var_precision(w));
    if (format == RC_PANEL_INT8 && rc_tape_get_mode(t).grad) {
        rc__op_fail(t, RC_EINVAL, "product", "int8 weights are for inference; this tape keeps gradients");
        return NULL;
    }
    rc__packed_cache *c = rc__tape_packed_cache(t);
    const rc_param *p = rc__var_param(w);
    size_t rows = w->dim[0], cols = w->dim[1], K = trans ? rows : cols, N = trans ? cols : rows;
    rc__packed_entry *mine = NULL, *spare = NULL;
    for (size_t i = 0; i < c->n && !mine; i++) {
        rc__packed_entry *e = c->entry[i];
        if (e->packed.K != K || e->packed.N != N || e->packed.format != format) continue;
        if (e->w == w->x && e->param == p && e->trans == trans) mine = e;
        /* one run of grace, so that a pass of evaluation between steps finds its copies again */
        else if (e->used + (e->param ? 1 : 0) < c->run)
            spare = e;
    }
    if (!mine) mine = spare;
    if (!mine) mine = entry_new(t, c, format, K, N);
    if (!mine) return NULL;
    uint64_t version = p && p->version ? *p->version : 0;
    bool same = mine->filled && mine->w == w->x && mine->param == p && mine->trans == trans;
    bool fresh = same && (p && p->version ? mine->version == version : mine->filled == c->run);
    mine->used = c->run;
    if (fresh) return &mine->packed;
    rc__packed_set(&mine->packed, w->x, cols, !trans);
    mine->w = w->x;
    mine->param = p;
    mine->trans = trans;
    mine->version = version;
    mine->filled = c->run;
    return &mine->packed;
}

bool rc__tape_outer(rc_tape *t, rc_precision p, size_t M, size_t K, const rc_real *A, size_t lda,
                    const rc__outer_side *side, size_t sides, bool add) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    size_t len = rc__gemm_outer_room(M, side[0].N, sides > 1 ? side[1].N : 0);
    rc_real *room = rc__tape_alloc(t, (len + 1) * sizeof *room);
    if (room) rc__gemm_outer_mt(rc__format_of(p), M, K, A, lda, side, sides, add, room);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return room != NULL;
}
