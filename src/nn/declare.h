/* declare.h - parameters of a part of a network, named under a prefix. */
#ifndef RC_DECLARE_H
#define RC_DECLARE_H
#include "recur/tape.h"

/* rc_params_add of <prefix><name>; vectors (biases, gains) take no weight decay. */
rc_param *rc__declare(rc_params *ps, const char *prefix, const char *name, int ndim, const size_t *dim, rc_init init, rc_error *e);
#endif
