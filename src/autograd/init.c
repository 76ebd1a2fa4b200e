/* init.c - initial values of parameters. Sources of the formulas: recur/tape.h. */
#include "autograd/init_internal.h"
#include <math.h>
#include <string.h>
#include "autograd/tape_internal.h"
#include "base/parallel.h"

static const char *const kind_name[] = {"zeros",         "constant",   "uniform",   "normal",     "xavier uniform",
                                        "xavier normal", "he uniform", "he normal", "orthogonal", "identity"};

rc_status rc__init_check(const char *name, int ndim, const size_t *dim, const rc_init *init, rc_error *e) {
    if ((unsigned)init->kind > RC_INIT_IDENTITY)
        return rc_fail(e, RC_EINVAL, "parameter %s: unknown kind of initialisation %d", name, (int)init->kind);
    const char *kind = kind_name[init->kind];
    size_t blocks = init->blocks ? init->blocks : 1;
    if (dim[0] % blocks)
        return rc_fail(e, RC_EINVAL, "parameter %s: %zu rows do not divide into %zu blocks", name, dim[0], blocks);
    if (init->only_block > blocks)
        return rc_fail(e, RC_EINVAL, "parameter %s: only block %zu of %zu", name, init->only_block, blocks);
    if (init->thin_block > blocks ||
        (init->thin_block && (ndim != 2 || !init->thin_every || dim[1] % init->thin_every)))
        return rc_fail(e, RC_EINVAL, "parameter %s: columns of block %zu of %zu cannot be thinned to every %zuth", name,
                       init->thin_block, blocks, init->thin_every);
    if (init->kind >= RC_INIT_ORTHOGONAL && ndim < 2)
        return rc_fail(e, RC_EINVAL, "parameter %s: %s initialisation needs a matrix, not shape %s", name, kind,
                       rc__shape_text(ndim, dim));
    if (!isfinite(init->value) || !isfinite(init->gain))
        return rc_fail(e, RC_EINVAL,
                       "parameter %s: %s initialisation with value %g and gain %g, expected finite numbers", name, kind,
                       init->value, init->gain);
    return RC_OK;
}

static void fill_uniform(size_t n, double bound, rc_rng *r, rc_real *w) {
    for (size_t i = 0; i < n; i++) w[i] = (rc_real)((2 * rc_rng_uniform(r) - 1) * bound);
}

static void fill_normal(size_t n, double deviation, rc_rng *r, rc_real *w) {
    for (size_t i = 0; i < n; i++) w[i] = (rc_real)(deviation * rc_rng_normal(r));
}

/* Four sums in a fixed order: a single one would wait for each addition. */
static double dot(size_t n, const double *a, const double *b) {
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) s[k] += a[i + k] * b[i + k];
    for (; i < n; i++) s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

typedef struct project_job {
    double *v; /* vectors, one after the other */
    size_t n, k;
} project_job;

/* Removes from vector k + 1 + task its part along vector k. */
static void project_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const project_job *j = ctx;
    const double *q = j->v + j->k * j->n;
    double *a = j->v + (j->k + 1 + task) * j->n, c = dot(j->n, q, a);
    for (size_t i = 0; i < j->n; i++) a[i] -= c * q[i];
}

/* Modified Gram-Schmidt on min(rows, cols) normal vectors of max(rows, cols) elements. In exact arithmetic this is the
 * Q of a QR decomposition whose R has a positive diagonal: the sign fix that makes Q uniform over the orthogonal
 * matrices (Mezzadri 2007, arXiv:math-ph/0609050). In double the loss of orthogonality is about 1e-16 times the
 * condition of a normal matrix, far below a float's last bit. */
static rc_status fill_orthogonal(const char *name, size_t rows, size_t cols, double gain, rc_rng *r, rc_real *w,
                                 rc_error *e) {
    size_t m = rows < cols ? rows : cols, n = rows < cols ? cols : rows, size;
    double *v = NULL;
    if (rc__size_mul(m, n, &size) && rc__size_mul(size, sizeof *v, &size)) v = rc__alloc(size);
    if (!v)
        return rc_fail(e, RC_ENOMEM, "parameter %s: out of memory for an orthogonal (%zu, %zu) matrix", name, rows,
                       cols);
    for (size_t k = 0; k < m; k++)
        for (size_t i = 0; i < n; i++) v[k * n + i] = rc_rng_normal(r);
    for (size_t k = 0; k < m; k++) {
        double *q = v + k * n, length = sqrt(dot(n, q, q)), f = length > 0 ? 1 / length : 0;
        for (size_t i = 0; i < n; i++) q[i] *= f;
        rc__parallel(m - k - 1, 4.0 * (double)n * (double)(m - k - 1), project_task, &(project_job){v, n, k});
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            w[i * cols + j] = (rc_real)(gain * (rows < cols ? v[i * n + j] : v[j * n + i]));
    rc__free(v, size);
    return RC_OK;
}

rc_status rc__init_fill(rc_param *p, rc_rng r, rc_error *e) {
    const rc_init *in = &p->init;
    double gain = in->gain != 0 ? in->gain : 1;
    size_t blocks = in->blocks ? in->blocks : 1, rows = p->dim[0] / blocks, cols = p->len / p->dim[0];
    /* as torch: (out, in, kernel...) has fans in * kernel and out * kernel; a vector counts its length as both */
    double kernel = p->ndim > 2 ? (double)cols / (double)p->dim[1] : 1;
    double fan_in = p->ndim > 1 ? (double)cols : (double)rows, fan_out = (double)rows * kernel;
    rc_status s = RC_OK;
    for (size_t b = 0; b < blocks && s == RC_OK; b++) {
        size_t n = rows * cols;
        rc_real *w = p->w + b * n;
        switch (in->kind) {
        case RC_INIT_ZEROS: memset(w, 0, n * sizeof *w); break;
        case RC_INIT_CONSTANT:
            for (size_t i = 0; i < n; i++) w[i] = in->only_block && in->only_block != b + 1 ? 0 : (rc_real)in->value;
            break;
        case RC_INIT_UNIFORM: fill_uniform(n, in->value, &r, w); break;
        case RC_INIT_NORMAL: fill_normal(n, in->value, &r, w); break;
        case RC_INIT_XAVIER_UNIFORM: fill_uniform(n, gain * sqrt(6 / (fan_in + fan_out)), &r, w); break;
        case RC_INIT_XAVIER_NORMAL: fill_normal(n, gain * sqrt(2 / (fan_in + fan_out)), &r, w); break;
        case RC_INIT_HE_UNIFORM: fill_uniform(n, gain * sqrt(6 / fan_in), &r, w); break;
        case RC_INIT_HE_NORMAL: fill_normal(n, gain * sqrt(2 / fan_in), &r, w); break;
        case RC_INIT_ORTHOGONAL: s = fill_orthogonal(p->name, rows, cols, gain, &r, w, e); break;
        case RC_INIT_IDENTITY:
            memset(w, 0, n * sizeof *w);
            for (size_t i = 0; i < rows && i < cols; i++) w[i * cols + i] = (rc_real)gain;
            break;
        }
        if (in->thin_block == b + 1)
            for (size_t i = 0; i < n; i++)
                if ((i + 1) % in->thin_every) w[i] = 0;
    }
    return s;
}
