/* bulk.c - arithmetic on large arrays over threads. */
#include "autograd/bulk.h"
#include <string.h>
#include "base/parallel.h"
#include "kernels/kernels.h"

/* ---- element by element ------------------------------------------------------------------------------------------ */

typedef struct job {
    size_t n;
    rc_real a, shift;
    const rc_real *x, *b;
    rc_real *y;
    double *sums;
} job;

#define TASK(name, ...)                                                     \
    static void name(void *ctx, size_t task, int worker) {                  \
        (void)worker;                                                       \
        const job *j = ctx;                                                 \
        size_t at = task * RC__TILE, n = rc__min_size(RC__TILE, j->n - at); \
        __VA_ARGS__;                                                        \
    }
TASK(copy_task, memcpy(j->y + at, j->x + at, n * sizeof *j->y))
TASK(scale_task, rc__k->pw.scale(n, j->a, j->shift, j->x + at, j->y + at))
TASK(axpy_task, rc__k->pw.axpy(n, j->a, j->x + at, j->y + at))
TASK(sum_task, j->sums[task] = j->b ? rc__k->pw.dot(n, j->x + at, j->b + at) : rc__k->pw.sum(n, j->x + at))
#undef TASK

static void over_tiles(job *j, void (*task)(void *, size_t, int)) {
    rc__parallel(rc__tiles(j->n, RC__TILE), RC__WORK(j->n), task, j);
}

void rc__bulk_copy(size_t n, const rc_real *x, rc_real *y) { over_tiles(&(job){.n = n, .x = x, .y = y}, copy_task); }

void rc__bulk_scale(size_t n, rc_real a, rc_real shift, const rc_real *x, rc_real *y) {
    over_tiles(&(job){.n = n, .a = a, .shift = shift, .x = x, .y = y}, scale_task);
}

void rc__bulk_axpy(size_t n, rc_real a, const rc_real *x, rc_real *y) {
    over_tiles(&(job){.n = n, .a = a, .x = x, .y = y}, axpy_task);
}

void rc__bulk_put(size_t n, rc_real a, const rc_real *x, rc_real *y, bool add) {
    if (add)
        rc__bulk_axpy(n, a, x, y);
    else if (a == 1)
        rc__bulk_copy(n, x, y);
    else
        rc__bulk_scale(n, a, 0, x, y);
}

double rc__bulk_sum(rc_tape *t, size_t n, const rc_real *x, const rc_real *y) {
    size_t tiles = rc__tiles(n, RC__TILE);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    double *sums = rc__tape_alloc(t, tiles * sizeof *sums), total = 0;
    if (!sums) return 0;
    over_tiles(&(job){.n = n, .x = x, .b = y, .sums = sums}, sum_task);
    for (size_t i = 0; i < tiles; i++) total += sums[i];
    rc__arena_rewind(rc__tape_arena(t), mark);
    return total;
}

/* ---- sums of columns --------------------------------------------------------------------------------------------- */

#define COLS ((size_t)256)  /* columns of a task: their sums stay in the first-level cache */
#define ROWS ((size_t)1024) /* rows of a task */
#define STEP ((size_t)16)   /* rows added in rc_real before the sum goes to double */

typedef struct columns_job {
    rc__column_sums c;
    size_t row_blocks, col_blocks;
    double *part; /* (items, row_blocks, cols), when there are several blocks of rows */
} columns_job;

static void block_sums(const rc__column_sums *c, size_t item, size_t row, size_t rows, size_t col, size_t cols,
                       double *sum) {
    rc_real few[COLS];
    for (size_t i = 0; i < cols; i++) sum[i] = 0;
    for (size_t r = 0; r < rows; r += STEP) {
        size_t last = rc__min_size(r + STEP, rows);
        for (size_t k = r; k < last; k++) {
            size_t at = item * c->item_stride + (row + k) * c->row_stride + col;
            if (k == r) {
                if (c->m)
                    rc__k->pw.mul(cols, c->x + at, c->m + at, few);
                else
                    memcpy(few, c->x + at, cols * sizeof *few);
            } else if (c->m) {
                rc__k->pw.mul_add(cols, c->x + at, c->m + at, few);
            } else {
                rc__k->pw.add(cols, few, c->x + at, few);
            }
        }
        for (size_t i = 0; i < cols; i++) sum[i] += (double)few[i];
    }
}

static void put_sums(const rc__column_sums *c, size_t item, size_t col, size_t cols, const double *sum) {
    rc_real *y = c->out + item * c->cols + col;
    for (size_t i = 0; i < cols; i++) {
        rc_real v = (rc_real)(c->scale * sum[i]);
        y[i] = c->add ? y[i] + v : v;
    }
}

static void columns_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const columns_job *j = ctx;
    const rc__column_sums *c = &j->c;
    size_t col = task % j->col_blocks * COLS, row = task / j->col_blocks % j->row_blocks * ROWS;
    size_t item = task / j->col_blocks / j->row_blocks;
    size_t cols = rc__min_size(COLS, c->cols - col), rows = rc__min_size(ROWS, c->rows - row);
    double sum[COLS];
    double *to = j->part ? j->part + (item * j->row_blocks + row / ROWS) * c->cols + col : sum;
    block_sums(c, item, row, rows, col, cols, to);
    if (!j->part) put_sums(c, item, col, cols, to);
}

bool rc__sum_columns(rc_tape *t, const rc__column_sums *c) {
    columns_job j = {*c, rc__tiles(c->rows, ROWS), rc__tiles(c->cols, COLS), NULL};
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    if (j.row_blocks > 1) {
        j.part = rc__tape_alloc(t, c->items * j.row_blocks * c->cols * sizeof *j.part);
        if (!j.part) return false;
    }
    rc__parallel(c->items * j.row_blocks * j.col_blocks, RC__WORK(c->items * c->rows * c->cols), columns_task, &j);
    for (size_t item = 0; j.part && item < c->items; item++) {
        double *sum = j.part + item * j.row_blocks * c->cols;
        for (size_t b = 1; b < j.row_blocks; b++)
            for (size_t i = 0; i < c->cols; i++) sum[i] += sum[b * c->cols + i];
        put_sums(c, item, 0, c->cols, sum);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return true;
}

/* ---- permuted copies --------------------------------------------------------------------------------------------- */

#define SQUARE ((size_t)32) /* side of a block that is transposed at once: its lines stay in the first-level cache */

typedef struct permute_job {
    int ndim; /* >= 1, merged: no two neighbours that run on in both arrays */
    size_t dim[RC_MAX_DIMS], from[RC_MAX_DIMS], to[RC_MAX_DIMS];
    int fast;                 /* the dim whose elements are neighbours in src; ndim - 1: rows are contiguous in both */
    size_t outer, cuts, rows; /* of a block's task: cuts of dim `fast`, rows of each */
    const rc_real *src;
    rc_real *dst;
    bool add;
} permute_job;

/* Rows of the last dim; each is copied, added, or walked with its stride. */
static void permute_rows(const permute_job *j, size_t first, size_t count) {
    int last = j->ndim - 1;
    size_t n = j->dim[last], step = j->from[last];
    for (size_t i = first; i < first + count; i++) {
        const rc_real *x = j->src;
        rc_real *y = j->dst + i * n;
        for (size_t rest = i, d = (size_t)last; d-- > 0; rest /= j->dim[d]) x += rest % j->dim[d] * j->from[d];
        if (step == 1 && j->add)
            rc__k->pw.add(n, x, y, y);
        else if (step == 1)
            memcpy(y, x, n * sizeof *y);
        else if (j->add)
            for (size_t k = 0; k < n; k++) y[k] += x[k * step];
        else
            for (size_t k = 0; k < n; k++) y[k] = x[k * step];
    }
}

/* Blocks of SQUARE x SQUARE over (fast, last), turned in a small array, so that both sides are walked along their
 * lines: a power of two between lines would put a whole column into one set of the cache. */
static void permute_square(const permute_job *j, size_t outer, size_t cut) {
    int last = j->ndim - 1;
    const rc_real *x = j->src;
    rc_real *y = j->dst;
    for (size_t rest = outer, d = (size_t)last; d-- > 0;) {
        if ((int)d == j->fast) continue;
        x += rest % j->dim[d] * j->from[d];
        y += rest % j->dim[d] * j->to[d];
        rest /= j->dim[d];
    }
    size_t a0 = cut * SQUARE, as = rc__min_size(SQUARE, j->dim[j->fast] - a0), n = j->dim[last];
    size_t to = j->to[j->fast], from = j->from[last];
    rc_real block[SQUARE][SQUARE + 1]; /* + 1: a column's elements lie in different sets of the cache */
    for (size_t b0 = 0; b0 < n; b0 += SQUARE) {
        size_t bs = rc__min_size(SQUARE, n - b0);
        for (size_t b = 0; b < bs; b++)
            for (size_t a = 0; a < as; a++) block[a][b] = x[a0 + a + (b0 + b) * from];
        for (size_t a = 0; a < as; a++) {
            rc_real *line = y + (a0 + a) * to + b0;
            if (j->add)
                for (size_t b = 0; b < bs; b++) line[b] += block[a][b];
            else
                memcpy(line, block[a], bs * sizeof *line);
        }
    }
}

static void permute_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const permute_job *j = ctx;
    if (j->cuts)
        permute_square(j, task / j->cuts, task % j->cuts);
    else
        permute_rows(j, task * j->rows, rc__min_size(j->rows, j->outer - task * j->rows));
}

void rc__permute(int ndim, const size_t *dim, const size_t *stride, const rc_real *src, rc_real *dst, bool add) {
    permute_job j = {.src = src, .dst = dst, .add = add, .fast = -1};
    size_t len = 1;
    for (int i = 0; i < ndim; i++) {
        len *= dim[i];
        if (dim[i] == 1) continue;
        if (j.ndim > 0 && j.from[j.ndim - 1] == stride[i] * dim[i])
            j.dim[j.ndim - 1] *= dim[i];
        else
            j.dim[j.ndim++] = dim[i];
        j.from[j.ndim - 1] = stride[i];
    }
    if (j.ndim == 0) {
        j.dim[0] = j.from[0] = 1;
        j.ndim = 1;
    }
    size_t to = 1;
    for (int i = j.ndim; i-- > 0; to *= j.dim[i]) {
        j.to[i] = to;
        if (j.from[i] == 1) j.fast = i;
    }
    int last = j.ndim - 1;
    size_t tasks;
    if (j.fast >= 0 && j.fast < last) {
        j.cuts = rc__tiles(j.dim[j.fast], SQUARE);
        tasks = len / j.dim[last] / j.dim[j.fast] * j.cuts;
    } else if (last == 0 && j.from[0] == 1) { /* nothing moves */
        rc__bulk_put(len, 1, src, dst, add);
        return;
    } else {
        j.outer = len / j.dim[last];
        j.rows = j.dim[last] < RC__TILE ? RC__TILE / j.dim[last] : 1;
        tasks = rc__tiles(j.outer, j.rows);
    }
    rc__parallel(tasks, RC__WORK(len), permute_task, &j);
}

/* ---- axes -------------------------------------------------------------------------------------------------------- */

bool rc__axis(rc_tape *t, const char *op, const rc_var *x, int axis, int *out) {
    int a = axis < 0 ? axis + x->ndim : axis;
    if (a < 0 || a >= x->ndim) {
        rc__op_fail(t, RC_EINVAL, op, "axis %d of %s, which has %d", axis, rc__shape_text(x->ndim, x->dim), x->ndim);
        return false;
    }
    *out = a;
    return true;
}

void rc__around_axis(const rc_var *x, int axis, size_t *outer, size_t *n, size_t *inner) {
    *outer = *inner = 1;
    for (int i = 0; i < axis; i++) *outer *= x->dim[i];
    for (int i = axis + 1; i < x->ndim; i++) *inner *= x->dim[i];
    *n = x->dim[axis];
}
