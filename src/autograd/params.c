/* params.c - named parameters: one block of values, one of gradients, windows into both. */
#include <fnmatch.h>
#include <stdatomic.h>
#include <string.h>
#include "autograd/init_internal.h"
#include "autograd/tape_internal.h"

#define LARGE (64.0 * (1 << 20)) /* bytes from which it is worth asking whether there is room */
#define ALIGN_ELEMENTS 16 /* a cache line of floats: no two parameters share one */

struct rc_params {
    rc_param **item;
    size_t n, cap;
    size_t len, block_len;
    rc_real *values, *grads; /* NULL before rc_params_build */
    uint64_t version;
    rc_precision precision;
};

/* One counter for all, so that a version names one state of one rc_params for the life of the process. */
static uint64_t next_version(void) {
    static _Atomic uint64_t counter;
    return atomic_fetch_add(&counter, 1) + 1;
}

rc_status rc_params_new(rc_params **out, rc_error *e) {
    *out = rc__calloc(1, sizeof **out);
    if (!*out) return rc_fail(e, RC_ENOMEM, "out of memory making a set of parameters");
    (*out)->version = next_version();
    return RC_OK;
}

static void param_free(rc_param *p) {
    if (!p) return;
    rc__strfree(p->name);
    rc__free(p->rows, p->dim[0] * sizeof *p->rows);
    rc__free(p->row_used, p->dim[0] * sizeof *p->row_used);
    rc__free(p, sizeof *p);
}

void rc_params_free(rc_params *ps) {
    if (!ps) return;
    for (size_t i = 0; i < ps->n; i++) param_free(ps->item[i]);
    rc__free(ps->item, ps->cap * sizeof *ps->item);
    rc__free(ps->values, ps->block_len * sizeof(rc_real));
    rc__free(ps->grads, ps->block_len * sizeof(rc_real));
    rc__free(ps, sizeof *ps);
}

static rc_status check_shape(const char *name, int ndim, const size_t *dim, size_t *len, rc_error *e) {
    if (ndim < 1 || ndim > RC_MAX_DIMS || !dim)
        return rc_fail(e, RC_EINVAL, "parameter %s: %d dimensions, expected 1 to %d", name, ndim, RC_MAX_DIMS);
    size_t n = 1, bytes;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] == 0)
            return rc_fail(e, RC_EINVAL, "parameter %s: shape %s has no elements", name, rc__shape_text(ndim, dim));
        if (!rc__size_mul(n, dim[i], &n) || !rc__size_mul(n, sizeof(rc_real), &bytes))
            return rc_fail(e, RC_EINVAL, "parameter %s: shape %s is too large", name, rc__shape_text(ndim, dim));
    }
    *len = n;
    return RC_OK;
}

rc_param *rc_params_add(rc_params *ps, const char *name, int ndim, const size_t *dim, rc_init init, rc_error *e) {
    size_t len = 0;
    if (!ps || !name || !*name) {
        rc_fail(e, RC_EINVAL, "a parameter needs a set to go to and a name");
        return NULL;
    }
    if (ps->values) {
        rc_fail(e, RC_EINVAL, "parameter %s: added after rc_params_build", name);
        return NULL;
    }
    if (rc_params_find(ps, name)) {
        rc_fail(e, RC_EINVAL, "parameter %s: there is one of that name", name);
        return NULL;
    }
    if (check_shape(name, ndim, dim, &len, e) != RC_OK) return NULL;
    if (rc__init_check(name, ndim, dim, &init, e) != RC_OK) return NULL;
    if (ps->n == ps->cap) {
        size_t cap = ps->cap ? 2 * ps->cap : 32;
        void *grown = rc__realloc(ps->item, ps->cap * sizeof *ps->item, cap * sizeof *ps->item);
        if (!grown) goto no_memory;
        ps->item = grown;
        ps->cap = cap;
    }
    rc_param *p = rc__calloc(1, sizeof *p);
    if (!p) goto no_memory;
    p->name = rc__strdup(name);
    if (!p->name) {
        rc__free(p, sizeof *p);
        goto no_memory;
    }
    p->ndim = ndim;
    memcpy(p->dim, dim, (size_t)ndim * sizeof *dim);
    p->len = len;
    p->init = init;
    p->lr_scale = 1;
    p->version = &ps->version;
    p->precision = &ps->precision;
    ps->item[ps->n++] = p;
    return p;
no_memory:
    rc_fail(e, RC_ENOMEM, "parameter %s: out of memory", name);
    return NULL;
}

/* Lays the parameters out; false when the block would not fit an address space. */
static bool lay_out(rc_params *ps, size_t *len, size_t *block_len) {
    size_t at = 0, sum = 0, bytes;
    for (size_t i = 0; i < ps->n; i++) {
        rc_param *p = ps->item[i];
        p->offset = at;
        sum += p->len;
        if (!rc__size_add(at, p->len, &at) || !rc__size_add(at, ALIGN_ELEMENTS - 1, &at)) return false;
        at -= at % ALIGN_ELEMENTS;
        if (!rc__size_mul(at, sizeof(rc_real), &bytes)) return false;
    }
    *len = sum;
    *block_len = at;
    return true;
}

static bool make_rows(rc_param *p) {
    if (!p->sparse || p->dim[0] > INT32_MAX) return true; /* without a list every row counts as used */
    p->rows = rc__calloc(p->dim[0], sizeof *p->rows);
    p->row_used = rc__calloc(p->dim[0], sizeof *p->row_used);
    return p->rows && p->row_used;
}

static void drop_rows(rc_param *p) {
    rc__free(p->rows, p->dim[0] * sizeof *p->rows);
    rc__free(p->row_used, p->dim[0] * sizeof *p->row_used);
    p->rows = NULL;
    p->row_used = NULL;
}

rc_status rc_params_build(rc_params *ps, uint64_t seed, rc_error *e) {
    if (!ps) return rc_fail(e, RC_EINVAL, "the set of parameters is NULL");
    if (ps->values) return rc_fail(e, RC_EINVAL, "rc_params_build was called before");
    if (ps->n == 0) return rc_fail(e, RC_EINVAL, "there are no parameters to build");
    size_t len, block_len;
    if (!lay_out(ps, &len, &block_len)) return rc_fail(e, RC_EINVAL, "the parameters are too large");
    rc_status s = RC_OK;
    /* Asked for both before the first is filled, which takes a while when it is large. */
    double need = 2.0 * (double)block_len * sizeof(rc_real), room = (double)rc_memory_room();
    if (need >= LARGE && need > room)
        return rc_fail(e, RC_ENOMEM, "out of memory for %zu parameters: with gradients they take %.1f GiB, %.1f GiB are free",
                       len, need / (1 << 30), room / (1 << 30));
    rc_real *values = rc__calloc(block_len, sizeof *values), *grads = rc__calloc(block_len, sizeof *grads);
    bool ok = values && grads;
    for (size_t i = 0; i < ps->n && ok; i++) ok = make_rows(ps->item[i]);
    if (!ok) s = rc_fail(e, RC_ENOMEM, "out of memory for %zu parameters", len);
    for (size_t i = 0; i < ps->n && s == RC_OK; i++) {
        rc_param *p = ps->item[i];
        p->w = values + p->offset;
        p->g = grads + p->offset;
        s = rc__init_fill(p, rc_rng_make(seed, i), e);
    }
    if (s != RC_OK) {
        for (size_t i = 0; i < ps->n; i++) {
            drop_rows(ps->item[i]);
            ps->item[i]->w = ps->item[i]->g = NULL;
        }
        rc__free(values, block_len * sizeof *values);
        rc__free(grads, block_len * sizeof *grads);
        return s;
    }
    ps->values = values;
    ps->grads = grads;
    ps->len = len;
    ps->block_len = block_len;
    rc_params_changed(ps);
    return RC_OK;
}

size_t rc_params_count(const rc_params *ps) { return ps ? ps->n : 0; }

rc_param *rc_params_at(const rc_params *ps, size_t i) { return ps && i < ps->n ? ps->item[i] : NULL; }

rc_param *rc_params_find(const rc_params *ps, const char *name) {
    if (!ps || !name) return NULL;
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->item[i]->name, name) == 0) return ps->item[i];
    return NULL;
}

size_t rc_params_len(const rc_params *ps) {
    size_t n = 0;
    for (size_t i = 0; ps && i < ps->n; i++) n += ps->item[i]->len;
    return n;
}

size_t rc_params_block_len(const rc_params *ps) { return ps ? ps->block_len : 0; }

rc_real *rc_params_values(const rc_params *ps) { return ps ? ps->values : NULL; }

rc_real *rc_params_grads(const rc_params *ps) { return ps ? ps->grads : NULL; }

/* Runs of dense parameters are cleared in one go; sparse ones row by row. */
void rc_params_zero_grad(rc_params *ps) {
    if (!ps || !ps->grads) return;
    size_t from = 0;
    for (size_t i = 0; i < ps->n; i++) {
        rc_param *p = ps->item[i];
        if (!p->sparse || !p->rows) continue;
        memset(ps->grads + from, 0, (p->offset - from) * sizeof(rc_real));
        from = i + 1 < ps->n ? ps->item[i + 1]->offset : ps->block_len;
        size_t width = p->len / p->dim[0];
        for (size_t k = 0; k < p->n_rows; k++) {
            memset(p->g + (size_t)p->rows[k] * width, 0, width * sizeof(rc_real));
            p->row_used[p->rows[k]] = 0;
        }
        p->n_rows = 0;
    }
    memset(ps->grads + from, 0, (ps->block_len - from) * sizeof(rc_real));
}

size_t rc_params_freeze(rc_params *ps, const char *pattern) {
    size_t n = 0;
    for (size_t i = 0; ps && pattern && i < ps->n; i++) {
        if (fnmatch(pattern, ps->item[i]->name, 0) != 0) continue;
        ps->item[i]->frozen = true;
        n++;
    }
    return n;
}

rc_status rc_param_set_sparse(rc_param *p, bool sparse, rc_error *e) {
    if (sparse && p->ndim != 2) return rc_fail(e, RC_EINVAL, "parameter %s: only a matrix can be row-sparse", p->name);
    if (p->g) memset(p->g, 0, p->len * sizeof *p->g);
    p->sparse = sparse;
    if (sparse && !p->rows && !make_rows(p)) {
        drop_rows(p);
        p->sparse = false;
        return rc_fail(e, RC_ENOMEM, "parameter %s: out of memory for %zu rows", p->name, p->dim[0]);
    }
    if (!sparse) drop_rows(p);
    return RC_OK;
}

void rc_param_touch(rc_param *p, size_t row) {
    if (!p->rows || row >= p->dim[0] || p->row_used[row]) return;
    p->row_used[row] = 1;
    p->rows[p->n_rows++] = (int32_t)row;
}

uint64_t rc_params_version(const rc_params *ps) { return ps ? ps->version : 0; }

void rc_params_changed(rc_params *ps) {
    if (ps) ps->version = next_version();
}

rc_status rc_params_set_precision(rc_params *ps, rc_precision p, rc_error *e) {
    if (p != RC_FP32 && p != RC_BF16 && p != RC_INT8)
        return rc_fail(e, RC_EINVAL, "parameters: unknown precision %d", (int)p);
    if (!ps) return rc_fail(e, RC_EINVAL, "the set of parameters is NULL");
    if (ps->precision != p) {
        ps->precision = p;
        rc_params_changed(ps);
    }
    return RC_OK;
}

rc_precision rc_params_get_precision(const rc_params *ps) { return ps ? ps->precision : RC_FP32; }
