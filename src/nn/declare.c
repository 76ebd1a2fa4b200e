/* declare.c - see declare.h. */
#include "nn/declare.h"
#include <stdio.h>

rc_param *rc__declare(rc_params *ps, const char *prefix, const char *name, int ndim, const size_t *dim, rc_init init, rc_error *e) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    rc_param *p = rc_params_add(ps, full, ndim, dim, init, e);
    if (p && ndim == 1) p->no_decay = true;
    return p;
}
