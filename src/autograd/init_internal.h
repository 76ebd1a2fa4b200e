/* init_internal.h - initial values of parameters. */
#ifndef RC_INIT_INTERNAL_H
#define RC_INIT_INTERNAL_H
#include "recur/tape.h"

/* Says what is wrong with an initialisation of this shape, or RC_OK. */
rc_status rc__init_check(const char *name, int ndim, const size_t *dim, const rc_init *init, rc_error *e);
/* Fills p->w; draws from r. RC_ENOMEM. */
rc_status rc__init_fill(rc_param *p, rc_rng r, rc_error *e);
#endif
