/* viterbi.c - best paths and probabilities of tags of a linear-chain conditional random field. */
#include "decode/viterbi.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"

typedef struct rows_job {
    rc__crf c;
    size_t T, B, room_bytes;
    const rc_real *emissions;
    const int32_t *lengths;
    int32_t *path;
    rc_real *prob;
    double *value; /* (B): score or log Z */
    uint8_t *none; /* (B): no path is allowed */
    char *room;
} rows_job;

static size_t row_length(const rows_job *j, size_t b) { return j->lengths ? (size_t)j->lengths[b] : j->T; }

/* The best way to each tag, step after step: best[j] = max over allowed i of best[i] + transitions[i][j], + emission.
 * from: where it came from, -1 where no allowed path leads. Comparisons that a NaN makes false leave an index in range.
 */
static void viterbi_row(const rows_job *j, size_t b, double *best, double *next, int32_t *from) {
    const rc__crf *c = &j->c;
    size_t K = c->K, L = row_length(j, b), stride = j->B * K;
    const rc_real *x = j->emissions + b * K;
    for (size_t k = 0; k < K; k++) {
        from[k] = rc__crf_allows(c, K, k) ? 0 : -1;
        best[k] = (double)c->start[k] + (double)x[k];
    }
    for (size_t t = 1; t < L; t++) {
        const int32_t *before = from + (t - 1) * K;
        for (size_t k = 0; k < K; k++) {
            int32_t arg = -1;
            double most = 0;
            for (size_t i = 0; i < K; i++) {
                if (before[i] < 0 || !rc__crf_allows(c, i, k)) continue;
                double v = best[i] + (double)c->transitions[i * K + k];
                if (arg < 0 || v > most) arg = (int32_t)i, most = v;
            }
            from[t * K + k] = arg;
            next[k] = most + (double)x[t * stride + k];
        }
        double *swap = best;
        best = next, next = swap;
    }
    int32_t tag = -1;
    double most = 0;
    for (size_t k = 0; k < K; k++) {
        if (from[(L - 1) * K + k] < 0 || !rc__crf_allows(c, k, K)) continue;
        double v = best[k] + (double)c->end[k];
        if (tag < 0 || v > most) tag = (int32_t)k, most = v;
    }
    j->none[b] = tag < 0;
    j->value[b] = most;
    for (size_t t = L; tag >= 0 && t-- > 0; tag = from[t * K + (size_t)tag]) j->path[t * j->B + b] = tag;
}

static void viterbi_task(void *ctx, size_t b, int worker) {
    const rows_job *j = ctx;
    double *best = (double *)(void *)(j->room + (size_t)worker * j->room_bytes);
    for (size_t t = 0; t < j->T; t++) j->path[t * j->B + b] = -1;
    if (row_length(j, b) > 0) viterbi_row(j, b, best, best + j->c.K, (int32_t *)(void *)(best + 2 * j->c.K));
}

static void marginals_task(void *ctx, size_t b, int worker) {
    const rows_job *j = ctx;
    size_t K = j->c.K, L = row_length(j, b);
    for (size_t t = 0; t < j->T; t++) memset(j->prob + (t * j->B + b) * K, 0, K * sizeof *j->prob);
    if (L == 0) return;
    double *room = (double *)(void *)(j->room + (size_t)worker * j->room_bytes);
    j->value[b] = rc__crf_row(&j->c, L, j->emissions + b * K, j->B * K, j->prob + b * K, NULL, room);
    j->none[b] = j->value[b] == -INFINITY;
}

/* Room for the workers, the results of the rows, and `table` more numbers; each row by `task`. */
static rc_status over_rows(rows_job *j, double *value, size_t table, void (*task)(void *, size_t, int), rc_error *e) {
    size_t T = j->T, B = j->B, K = j->c.K, workers = (size_t)rc__workers(), bytes, rows, size;
    for (size_t b = 0; b < B; b++)
        if (row_length(j, b) > T || (j->lengths && j->lengths[b] < 0))
            return rc_fail(e, RC_EINVAL, "length of row %zu is %d, expected 0 to %zu", b, (int)j->lengths[b], T);
    if (B == 0) return RC_OK;
    j->room_bytes = (j->room_bytes + 63) / 64 * 64;
    bool fits = rc__size_mul(workers, j->room_bytes, &bytes) && rc__size_mul(B, sizeof(double) + 1, &rows) &&
                rc__size_add(bytes, rows, &size) && rc__size_add(size, table * sizeof(double), &size);
    char *block = fits ? rc__calloc(1, size) : NULL;
    if (!block) return rc_fail(e, RC_ENOMEM, "out of memory decoding %zu rows of %zu steps of %zu tags", B, T, K);
    j->room = block;
    double *numbers = (double *)(void *)(block + bytes);
    if (table > 0) rc__crf_prepare(&j->c, numbers);
    j->value = numbers + table;
    j->none = (uint8_t *)(j->value + B);
    rc__parallel(B, 4.0 * (double)T * (double)B * (double)K * (double)K, task, j);
    rc_status s = RC_OK;
    for (size_t b = 0; b < B && s == RC_OK; b++)
        if (j->none[b]) s = rc_fail(e, RC_EDATA, "row %zu: no path of %zu steps is allowed", b, row_length(j, b));
    if (value && s == RC_OK) memcpy(value, j->value, B * sizeof *value);
    rc__free(block, size);
    return s;
}

rc_status rc__viterbi(const rc__crf *c, size_t T, size_t B, const rc_real *emissions, const int32_t *lengths,
                      int32_t *path, double *score, rc_error *e) {
    rows_job j = {.c = *c, .T = T, .B = B, .emissions = emissions, .lengths = lengths, .path = path};
    size_t cells;
    if (!rc__size_mul(T, c->K, &cells) || cells > SIZE_MAX / 32)
        return rc_fail(e, RC_ENOMEM, "%zu steps of %zu tags are too many", T, c->K);
    j.room_bytes = 2 * c->K * sizeof(double) + cells * sizeof(int32_t);
    return over_rows(&j, score, 0, viterbi_task, e);
}

rc_status rc__crf_marginals(const rc__crf *c, size_t T, size_t B, const rc_real *emissions, const int32_t *lengths,
                            rc_real *prob, double *log_z, rc_error *e) {
    rows_job j = {.c = *c, .T = T, .B = B, .emissions = emissions, .lengths = lengths, .prob = prob};
    size_t cells;
    if (!rc__size_mul(T, c->K, &cells) || cells > SIZE_MAX / 32)
        return rc_fail(e, RC_ENOMEM, "%zu steps of %zu tags are too many", T, c->K);
    j.room_bytes = rc__crf_room(T, c->K) * sizeof(double);
    return over_rows(&j, log_z, rc__crf_table_len(c->K), marginals_task, e);
}
