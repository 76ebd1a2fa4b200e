/* ridge.h - ridge regression from K inputs to H outputs, by normal equations that grow with the rows. */
#ifndef RC_RIDGE_H
#define RC_RIDGE_H
#include "recur/base.h"

typedef struct rc__ridge rc__ridge;
rc_status rc__ridge_new(rc__ridge **out, size_t K, size_t H, rc_error *e);
void rc__ridge_free(rc__ridge *r);
void rc__ridge_add(rc__ridge *r, size_t rows, const rc_real *x, const rc_real *y); /* x (rows, K), y (rows, H) */
/* w (H, K): (X'X + lambda trace(X'X) / K I)^-1 X'Y. False, w untouched: there is no such thing (no rows, infinities).
 * Once. */
bool rc__ridge_solve(rc__ridge *r, double lambda, rc_real *w);
#endif
