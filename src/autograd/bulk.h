/* bulk.h - arithmetic on large arrays over threads: kernels of rc__k in tiles of fixed size. Results are the same bits
 * for any number of threads. */
#ifndef RC_BULK_H
#define RC_BULK_H
#include "autograd/tape_internal.h"

#define RC__TILE ((size_t)16384) /* elements; a few tiles fit the second-level cache */

/* The `work` that rc__parallel is told for moving or adding n elements: they come from memory or a cache, so each
 * weighs as much as several operations of a product. */
#define RC__WORK(n) (8.0 * (double)(n))

static inline size_t rc__tiles(size_t n, size_t tile) { return n / tile + (n % tile != 0); }
static inline size_t rc__min_size(size_t a, size_t b) { return a < b ? a : b; }

void rc__bulk_copy(size_t n, const rc_real *x, rc_real *y);
void rc__bulk_scale(size_t n, rc_real a, rc_real shift, const rc_real *x, rc_real *y); /* y = a x + shift; in place */
void rc__bulk_axpy(size_t n, rc_real a, const rc_real *x, rc_real *y);                 /* y += a x */
/* y = a x, or y += a x */
void rc__bulk_put(size_t n, rc_real a, const rc_real *x, rc_real *y, bool add);
/* sum of x, or of x * y when y is not NULL, in double; 0 (tape marked) when memory is out */
double rc__bulk_sum(rc_tape *t, size_t n, const rc_real *x, const rc_real *y);

/* One matrix (rows, cols) per item: out[item * cols + c] = or += scale * sum over r of x[item, r, c] (times m[item, r,
 * c] when m is not NULL). Item i starts at x + i * item_stride; rows are row_stride apart. Sixteen rows are added in
 * rc_real, these sums in double, by blocks of rows that do not depend on threads. False (tape marked) when memory is
 * out. */
typedef struct rc__column_sums {
    size_t items, rows, cols, item_stride, row_stride;
    const rc_real *x, *m;
    double scale;
    rc_real *out;
    bool add;
} rc__column_sums;
bool rc__sum_columns(rc_tape *t, const rc__column_sums *c);

/* Copies an array of `ndim` dims, `stride` elements apart in src, to a row-major dst; = or += */
void rc__permute(int ndim, const size_t *dim, const size_t *stride, const rc_real *src, rc_real *dst, bool add);

/* Resolves a negative axis; false (tape marked) when x has none such. */
bool rc__axis(rc_tape *t, const char *op, const rc_var *x, int axis, int *out);
/* Splits the shape of x around an axis: outer * n * inner elements. */
void rc__around_axis(const rc_var *x, int axis, size_t *outer, size_t *n, size_t *inner);
#endif
