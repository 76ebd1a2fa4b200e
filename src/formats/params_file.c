/* params_file.c - see params_file.h. */
#include "formats/params_file.h"

#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAME 512

rc_status rc__params_list(rc__st_list *l, const rc_params *ps, const rc_real *block, const char *prefix, rc_error *e) {
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        const rc_param *p = rc_params_at(ps, i);
        const rc_real *data = block ? block + p->offset : p->w;
        rc_status s = rc__st_list_add(l, prefix, p->name, RC_ST_REAL, p->ndim, p->dim, data, e);
        if (s != RC_OK) return s;
    }
    return RC_OK;
}

static bool starts_with(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

/* The tensor of each parameter, checked; then none may be left over. */
static rc_status check_all(const rc__st_file *f, const rc_params *ps, const char *prefix, const char *const *other,
                           size_t n_other, const rc__st_tensor **tensor, rc_error *e) {
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        const rc_param *p = rc_params_at(ps, i);
        char name[MAX_NAME];
        if ((size_t)snprintf(name, sizeof name, "%s%s", prefix, p->name) >= sizeof name)
            return rc_fail(e, RC_EINVAL, "%s: the name of parameter \"%s\" is too long", rc__st_name(f), p->name);
        rc_status s = rc__st_expect(f, name, RC_ST_DTYPE_COUNT, p->ndim, p->dim, &tensor[i], e);
        if (s != RC_OK) return s;
    }
    for (size_t i = 0; i < rc__st_count(f); i++) {
        const rc__st_tensor *t = rc__st_at(f, i);
        if (!starts_with(t->name, prefix) || rc_params_find(ps, t->name + strlen(prefix))) continue;
        size_t k = 0;
        while (k < n_other && !starts_with(t->name, other[k])) k++;
        if (k < n_other) continue;
        char shape[200];
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\" of shape %s is not expected by this model", rc__st_name(f),
                       t->name, rc__st_shape_text(t->ndim, t->dim, shape, sizeof shape));
    }
    return RC_OK;
}

rc_status rc__params_read(const rc__st_file *f, rc_params *ps, rc_real *block, const char *prefix,
                          const char *const *other, size_t n_other, rc_error *e) {
    size_t n = rc_params_count(ps), bytes = (n ? n : 1) * sizeof(rc__st_tensor *);
    const rc__st_tensor **tensor = rc__alloc(bytes);
    if (!tensor) return rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu tensors", rc__st_name(f), n);
    rc_status s = check_all(f, ps, prefix ? prefix : "", other, n_other, tensor, e);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        const rc_param *p = rc_params_at(ps, i);
        rc_real *to = block ? block + p->offset : p->w;
        s = rc__st_read_real(f, tensor[i], to, e);
        for (size_t k = 0; s == RC_OK && k < p->len; k++)
            if (!isfinite(to[k]))
                s = rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": element %zu is not a finite number", rc__st_name(f),
                            tensor[i]->name, k);
    }
    rc__free(tensor, bytes);
    if (!block) rc_params_changed(ps);
    return s;
}
