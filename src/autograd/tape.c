/* tape.c - the tape: nodes in an arena, sticky errors, gradients on demand, and the walk back.
 *
 * A variable is the first member of its node. Nodes whose output needs a gradient and that have a backward form a list,
 * latest first; rc_backward walks it. A node's backward runs when all users of its output have run, so out.dx is then
 * complete. Gradient memory comes from the arena when the first user adds to it: what the loss does not depend on costs
 * nothing. Parameters' gradients are windows of the parameter block and are always added to.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "autograd/tape_internal.h"

#define SPARES 16

struct rc_tape {
    rc__arena *arena;
    rc_tape_mode mode;
    rc__node *last;      /* newest node with a backward */
    uint64_t random_ops; /* since rc_tape_begin */
    bool walked;         /* rc_backward was called */
    rc_error error;      /* code RC_OK while all is well */
    rc__node dead;
    rc__packed_cache packed;
    struct {
        rc_real *x;
        size_t len;
    } spare[SPARES]; /* gradients that were passing */
    size_t n_spare;
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* What a call on no tape returns; never written. */
static rc_var no_tape_var;

rc_var *rc__dead(rc_tape *t) { return t ? &t->dead.out : &no_tape_var; }

rc_var *rc__op_fail(rc_tape *t, rc_status code, const char *op, const char *format, ...) {
    if (t && t->error.code == RC_OK) {
        char text[sizeof t->error.text - 64];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        rc_fail(&t->error, code, "%s: %s", op, text);
    }
    return rc__dead(t);
}

bool rc__alive(rc_tape *t, const char *op, int n, ...) {
    if (!t || t->error.code != RC_OK) return false;
    va_list args;
    va_start(args, n);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        const rc_var *v = va_arg(args, const rc_var *);
        if (v && v->len > 0) continue;
        ok = false;
        if (n == 1)
            rc__op_fail(t, RC_EINVAL, op, "the input is %s", v ? "a dead variable" : "NULL");
        else
            rc__op_fail(t, RC_EINVAL, op, "input %d of %d is %s", i + 1, n, v ? "a dead variable" : "NULL");
    }
    va_end(args);
    return ok;
}

rc_status rc_tape_status(const rc_tape *t, rc_error *e) {
    if (!t) return rc_fail(e, RC_EINVAL, "the tape is NULL");
    if (t->error.code != RC_OK) return rc_fail(e, t->error.code, "%s", t->error.text);
    return RC_OK;
}

const char *rc__shape_text(int ndim, const size_t *dim) {
    enum { SLOTS = 8, SIZE = 128 };
    static _Thread_local char ring[SLOTS][SIZE];
    static _Thread_local unsigned next;
    char *s = ring[next++ % SLOTS];
    size_t at = 0;
    s[at++] = '(';
    for (int i = 0; i < ndim && i < RC_MAX_DIMS; i++)
        at += (size_t)snprintf(s + at, SIZE - at, i ? ", %zu" : "%zu", dim[i]);
    snprintf(s + at, SIZE - at, ")");
    return s;
}

/* ---- life of a tape ---------------------------------------------------------------------------------------------- */

rc_status rc_tape_new(rc_tape **out, rc_error *e) {
    *out = NULL;
    rc_tape *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "out of memory making a tape");
    t->arena = rc__arena_new();
    if (!t->arena) {
        rc__free(t, sizeof *t);
        return rc_fail(e, RC_ENOMEM, "out of memory making a tape");
    }
    *out = t;
    return RC_OK;
}

void rc_tape_free(rc_tape *t) {
    if (!t) return;
    rc__packed_cache_free(&t->packed);
    rc__arena_free(t->arena);
    rc__free(t, sizeof *t);
}

void rc_tape_begin(rc_tape *t, rc_tape_mode mode) {
    if (!t) return;
    rc__arena_reset(t->arena);
    t->mode = mode;
    t->last = NULL;
    t->random_ops = 0;
    t->n_spare = 0;
    t->walked = false;
    t->error.code = RC_OK;
    t->error.text[0] = '\0';
    memset(&t->dead, 0, sizeof t->dead);
    t->packed.run++;
}

rc_tape_mode rc_tape_get_mode(const rc_tape *t) { return t ? t->mode : (rc_tape_mode){0}; }

size_t rc_tape_bytes(const rc_tape *t) { return t ? rc__arena_used(t->arena) : 0; }

rc__arena *rc__tape_arena(rc_tape *t) { return t->arena; }

rc__packed_cache *rc__tape_packed_cache(rc_tape *t) { return &t->packed; }

void *rc__tape_alloc(rc_tape *t, size_t bytes) {
    void *p = rc__arena_alloc(t->arena, bytes ? bytes : 1);
    if (!p) rc__op_fail(t, RC_ENOMEM, "tape", "out of memory for %zu bytes", bytes);
    return p;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* Sets *len to the number of elements; false (tape marked) for a shape that no variable can have. */
static bool shape_len(rc_tape *t, const char *op, int ndim, const size_t *dim, size_t *len) {
    if (ndim < 0 || ndim > RC_MAX_DIMS || (ndim > 0 && !dim)) {
        rc__op_fail(t, RC_EINVAL, op, "%d dimensions, expected 0 to %d", ndim, RC_MAX_DIMS);
        return false;
    }
    size_t n = 1, bytes;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] == 0) {
            rc__op_fail(t, RC_EINVAL, op, "shape %s has no elements", rc__shape_text(ndim, dim));
            return false;
        }
        if (!rc__size_mul(n, dim[i], &n) || !rc__size_mul(n, sizeof(rc_real), &bytes)) {
            rc__op_fail(t, RC_EINVAL, op, "shape %s is too large", rc__shape_text(ndim, dim));
            return false;
        }
    }
    *len = n;
    return true;
}

void *rc__node_view(rc_tape *t, size_t size, const char *op, int ndim, const size_t *dim, bool needs_grad,
                    void (*backward)(rc_tape *t, rc__node *self)) {
    size_t len;
    if (!shape_len(t, op, ndim, dim, &len)) return NULL;
    rc__node *n = rc__tape_alloc(t, size);
    if (!n) return NULL;
    memset(n, 0, size);
    n->out.ndim = ndim;
    if (ndim > 0) memcpy(n->out.dim, dim, (size_t)ndim * sizeof *dim);
    n->out.len = len;
    n->out.needs_grad = needs_grad && t->mode.grad;
    n->op = op;
    n->backward = backward;
    if (n->out.needs_grad && backward) {
        n->prev = t->last;
        t->last = n;
    }
    return n;
}

void *rc__node_new(rc_tape *t, size_t size, const char *op, int ndim, const size_t *dim, bool needs_grad,
                   void (*backward)(rc_tape *t, rc__node *self)) {
    rc__node *n = rc__node_view(t, size, op, ndim, dim, needs_grad, backward);
    if (!n) return NULL;
    n->out.x = rc__tape_alloc(t, n->out.len * sizeof(rc_real));
    return n->out.x ? n : NULL;
}

bool rc__tape_keeps(const rc_tape *t, const rc_var *v) { return t->mode.grad && v && v->needs_grad; }

rc_param *rc__var_param(const rc_var *v) { return ((const rc__node *)v)->param; }

/* Gradient memory of v, not cleared when new (*fresh). */
static rc_real *grad_memory(rc_tape *t, rc_var *v, bool *fresh) {
    *fresh = false;
    if (!v || !v->needs_grad || v->len == 0) return NULL;
    if (v->dx) return v->dx;
    rc_param *p = rc__var_param(v);
    if (p) return v->dx = p->g;
    *fresh = true;
    ((rc__node *)v)->owns_dx = true;
    for (size_t i = 0; i < t->n_spare; i++)
        if (t->spare[i].len == v->len) {
            v->dx = t->spare[i].x;
            t->spare[i] = t->spare[--t->n_spare];
            return v->dx;
        }
    return v->dx = rc__tape_alloc(t, v->len * sizeof(rc_real));
}

rc_var *rc__passing(rc_var *v) {
    if (v->len) ((rc__node *)v)->passing = true;
    return v;
}

bool rc__grad_hand_on(rc__node *self, rc_var *x, bool keeps) {
    if (!x->needs_grad || x->dx || rc__var_param(x)) return false;
    x->dx = self->out.dx;
    if (keeps) {
        ((rc__node *)x)->owns_dx = self->owns_dx;
        self->owns_dx = false;
    }
    return true;
}

/* The backward of n has run. */
static void take_back(rc_tape *t, rc__node *n) {
    if (!n->passing || !n->owns_dx || t->n_spare == SPARES) return;
    t->spare[t->n_spare].x = n->out.dx;
    t->spare[t->n_spare++].len = n->out.len;
    n->out.dx = NULL;
    n->owns_dx = false;
}

/* A writer that may touch any element of a sparse parameter's gradient. */
static void touch_all_rows(const rc_var *v) {
    rc_param *p = rc__var_param(v);
    if (!p || !p->sparse || !p->rows || p->n_rows == p->dim[0]) return;
    for (size_t r = 0; r < p->dim[0]; r++) rc_param_touch(p, r);
}

rc_real *rc__grad_rows(rc_tape *t, rc_var *v) {
    bool fresh;
    rc_real *g = grad_memory(t, v, &fresh);
    if (g && fresh) memset(g, 0, v->len * sizeof *g);
    return g;
}

rc_real *rc__grad(rc_tape *t, rc_var *v) {
    rc_real *g = rc__grad_rows(t, v);
    if (g) touch_all_rows(v);
    return g;
}

rc_real *rc__grad_to(rc_tape *t, rc_var *v, bool *add) {
    bool fresh;
    rc_real *g = grad_memory(t, v, &fresh);
    *add = !fresh;
    if (g) touch_all_rows(v);
    return g;
}

/* Streams of masks have the highest bit set, so they never meet those of initialisation or shuffling under one seed:
 * 1 bit, 43 bits of the step, 20 bits for the number of the op. */
rc_rng rc__tape_rng(rc_tape *t) {
    uint64_t op = t->random_ops++;
    return rc_rng_make(t->mode.seed, (UINT64_C(1) << 63) | ((t->mode.step << 20) + op));
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static rc_var *leaf(rc_tape *t, const char *op, int ndim, const size_t *dim, const rc_real *x, bool needs_grad) {
    if (!rc__alive(t, op, 0)) return rc__dead(t);
    if (!x) return rc__op_fail(t, RC_EINVAL, op, "the array is NULL");
    rc__node *n = rc__node_view(t, sizeof *n, op, ndim, dim, needs_grad, NULL);
    if (!n) return rc__dead(t);
    n->out.x = (rc_real *)(uintptr_t)x; /* only read: no op writes to its inputs */
    return &n->out;
}

rc_var *rc_input(rc_tape *t, int ndim, const size_t *dim, const rc_real *x) {
    return leaf(t, "input", ndim, dim, x, false);
}

rc_var *rc_leaf(rc_tape *t, int ndim, const size_t *dim, const rc_real *x) {
    return leaf(t, "leaf", ndim, dim, x, true);
}

rc_var *rc_param_var(rc_tape *t, rc_param *p) {
    if (!rc__alive(t, "parameter", 0)) return rc__dead(t);
    if (!p) return rc__op_fail(t, RC_EINVAL, "parameter", "it is NULL");
    if (!p->w) return rc__op_fail(t, RC_EINVAL, p->name, "has no value before rc_params_build");
    rc_var *v = leaf(t, p->name, p->ndim, p->dim, p->w, !p->frozen);
    if (!v->len) return v;
    ((rc__node *)v)->param = p;
    ((rc__node *)v)->precision = p->precision ? *p->precision : RC_FP32;
    return v;
}

rc_var *rc_zeros(rc_tape *t, int ndim, const size_t *dim) {
    if (!rc__alive(t, "zeros", 0)) return rc__dead(t);
    rc__node *n = rc__node_new(t, sizeof *n, "zeros", ndim, dim, false, NULL);
    if (!n) return rc__dead(t);
    memset(n->out.x, 0, n->out.len * sizeof(rc_real));
    return &n->out;
}

const rc__node *rc__tape_first_bad(const rc_tape *t) {
    const rc__node *first = NULL;
    for (const rc__node *n = t->last; n; n = n->prev) /* latest first: the one found last is the earliest */
        for (size_t i = 0; n->out.x && i < n->out.len; i++)
            if (!isfinite(n->out.x[i])) {
                first = n;
                break;
            }
    return first;
}

/* ---- the walk back ----------------------------------------------------------------------------------------------- */

rc_status rc_backward(rc_tape *t, rc_var *loss, double scale, rc_error *e) {
    rc_status s = rc_tape_status(t, e);
    if (s != RC_OK) return s;
    if (!rc__alive(t, "backward", 1, loss)) return rc_tape_status(t, e);
    if (!t->mode.grad) return rc_fail(e, RC_EINVAL, "backward: the tape was begun without grad");
    if (t->walked) return rc_fail(e, RC_EINVAL, "backward: already called since rc_tape_begin");
    if (loss->len != 1)
        return rc_fail(e, RC_EINVAL, "backward: the loss is %s, expected a scalar",
                       rc__shape_text(loss->ndim, loss->dim));
    if (!loss->needs_grad) return rc_fail(e, RC_EINVAL, "backward: nothing that the loss depends on takes a gradient");
    t->walked = true;
    rc_real *seed = rc__grad(t, loss);
    if (seed) *seed += (rc_real)scale;
    for (rc__node *n = t->last; n && t->error.code == RC_OK; n = n->prev)
        if (n->out.dx) {
            n->backward(t, n);
            take_back(t, n);
        }
    return rc_tape_status(t, e);
}
