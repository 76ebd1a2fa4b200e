/* ridge.c - see ridge.h. */
#include "tasks/ridge.h"

#include <math.h>

#include "base/mem.h"
#include "kernels/gemm.h"

struct rc__ridge {
    size_t K, H;
    double *A;   /* (K, K), then (K, H) */
    rc_real *xx; /* the same, of one call */
};

void rc__ridge_free(rc__ridge *r) {
    if (!r) return;
    rc__free(r->A, r->K * (r->K + r->H) * sizeof *r->A);
    rc__free(r->xx, r->K * (r->K + r->H) * sizeof *r->xx);
    rc__free(r, sizeof *r);
}

rc_status rc__ridge_new(rc__ridge **out, size_t K, size_t H, rc_error *e) {
    size_t n;
    *out = NULL;
    rc__ridge *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "regression: out of memory");
    *r = (rc__ridge){.K = K, .H = H};
    bool ok = rc__size_mul(K, K + H, &n) && n < SIZE_MAX / sizeof(double);
    r->A = ok ? rc__calloc(n, sizeof *r->A) : NULL;
    r->xx = ok ? rc__alloc(n * sizeof *r->xx) : NULL;
    if (!r->A || !r->xx) {
        rc__ridge_free(r);
        return rc_fail(e, RC_ENOMEM, "regression: out of memory for %zu inputs and %zu outputs", K, H);
    }
    *out = r;
    return RC_OK;
}

void rc__ridge_add(rc__ridge *r, size_t rows, const rc_real *x, const rc_real *y) {
    size_t K = r->K, H = r->H;
    if (!rows) return;
    rc__gemm(true, false, K, K, rows, 1, x, K, x, K, 0, r->xx, K);
    rc__gemm(true, false, K, H, rows, 1, x, K, y, H, 0, r->xx + K * K, H);
    for (size_t i = 0; i < K * (K + H); i++) r->A[i] += (double)r->xx[i];
}

/* A symmetric positive definite A (n, n) becomes its Cholesky factor; then A X = B for B (n, k), in place. */
static bool solve(double *A, size_t n, double *B, size_t k) {
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j; i < n; i++) {
            double sum = A[i * n + j];
            for (size_t p = 0; p < j; p++) sum -= A[i * n + p] * A[j * n + p];
            if (i == j && !(sum > 0)) return false;
            A[i * n + j] = i == j ? sqrt(sum) : sum / A[j * n + j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t p = 0; p < i; p++)
            for (size_t c = 0; c < k; c++) B[i * k + c] -= A[i * n + p] * B[p * k + c];
        for (size_t c = 0; c < k; c++) B[i * k + c] /= A[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t p = i + 1; p < n; p++)
            for (size_t c = 0; c < k; c++) B[i * k + c] -= A[p * n + i] * B[p * k + c];
        for (size_t c = 0; c < k; c++) B[i * k + c] /= A[i * n + i];
    }
    return true;
}

bool rc__ridge_solve(rc__ridge *r, double lambda, rc_real *w) {
    size_t K = r->K, H = r->H;
    double trace = 0, *A = r->A, *B = r->A + K * K;
    for (size_t i = 0; i < K; i++) trace += A[i * K + i];
    for (size_t i = 0; i < K; i++) A[i * K + i] += lambda * trace / (double)K;
    if (!solve(A, K, B, H)) return false;
    for (size_t i = 0; i < K * H; i++)
        if (!isfinite(B[i])) return false;
    for (size_t j = 0; j < H; j++)
        for (size_t i = 0; i < K; i++) w[j * K + i] = (rc_real)B[i * H + j];
    return true;
}
