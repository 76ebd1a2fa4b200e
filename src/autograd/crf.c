/* crf.c - the negative log likelihood of a linear-chain conditional random field (Lafferty, McCallum & Pereira 2001;
 * scores as in Lample et al. 2016, arXiv 1603.01360, section 2.2). Letters: T steps, B rows, K tags, L steps of a row.
 *
 *     score(y) = start[y_0] + sum over t of emissions[t][y_t] + sum over t >= 1 of transitions[y_t-1][y_t] + end[y_L-1]
 *     loss     = log Z - score(target),   Z = sum over allowed paths y of exp(score(y))
 *
 * Forward and backward variables are kept as logarithms, in double. A step's logsumexp over the K tags before is
 *     log sum_i exp(a_i + transitions_ij) = max a + top_j + log sum_i exp(a_i - max a) exp(transitions_ij - top_j),
 * a product with a matrix made once, so that a step needs 2 K exponentials and logarithms, not K^2. Where that sum is
 * so small that terms may have been lost below the smallest double, it is taken term by term instead: no spread of
 * scores makes it wrong. Gradients are expected less observed counts, made together with the loss.
 */
#include "autograd/crf.h"
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"

/* ---- one row ----------------------------------------------------------------------------------------------------- */

/* What underflows to 0 is less than 1e-300: nothing beside a sum of 1e-200, nor after a factor of 1e100. */
#define SMALL_SUM    1e-200
#define LARGE_FACTOR 1e100

void rc__crf_prepare(rc__crf *c, double *table) {
    size_t K = c->K;
    double *weight = table, *top = table + K * K;
    for (size_t j = 0; j < K; j++) {
        top[j] = -INFINITY;
        for (size_t i = 0; i < K; i++)
            if (rc__crf_allows(c, i, j) && (double)c->transitions[i * K + j] > top[j])
                top[j] = (double)c->transitions[i * K + j];
        if (top[j] == -INFINITY) top[j] = 0;
    }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++)
            weight[i * K + j] = rc__crf_allows(c, i, j) ? exp((double)c->transitions[i * K + j] - top[j]) : 0;
    c->weight = weight;
    c->top = top;
    c->first = c->next = NULL;
    if (!c->allowed) return;
    uint32_t *first = (uint32_t *)(void *)(top + K), *next = first + K + 1, n = 0;
    for (size_t i = 0; i < K; i++) {
        first[i] = n;
        for (size_t j = 0; j < K; j++)
            if (rc__crf_allows(c, i, j)) next[n++] = (uint32_t)j;
    }
    first[K] = n;
    c->first = first;
    c->next = next;
}

/* to += by * row i of the weights */
static void add_row(const rc__crf *c, size_t i, double by, double *to) {
    const double *w = c->weight + i * c->K;
    if (!c->next)
        for (size_t j = 0; j < c->K; j++) to[j] += by * w[j];
    else
        for (uint32_t n = c->first[i]; n < c->first[i + 1]; n++) to[c->next[n]] += by * w[c->next[n]];
}

/* row i of the weights . x */
static double row_dot(const rc__crf *c, size_t i, const double *x) {
    const double *w = c->weight + i * c->K;
    double sum = 0;
    if (!c->next)
        for (size_t j = 0; j < c->K; j++) sum += w[j] * x[j];
    else
        for (uint32_t n = c->first[i]; n < c->first[i + 1]; n++) sum += w[c->next[n]] * x[c->next[n]];
    return sum;
}

/* moves += by * row i of the weights * r, element by element */
static void add_moves(const rc__crf *c, size_t i, double by, const double *r, double *moves) {
    const double *w = c->weight + i * c->K;
    if (!c->next)
        for (size_t j = 0; j < c->K; j++) moves[j] += by * w[j] * r[j];
    else
        for (uint32_t n = c->first[i]; n < c->first[i + 1]; n++) {
            uint32_t j = c->next[n];
            moves[j] += by * w[j] * r[j];
        }
}

static double largest(size_t n, const double *x) {
    double m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > m) m = x[i]; /* a NaN is left to the sums, which it makes NaN */
    return m;
}

static double logsumexp(size_t n, const double *x) {
    double m = largest(n, x), sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] == -INFINITY ? 0 : exp(x[i] - m);
    return sum == 0 ? -INFINITY : m + log(sum);
}

/* y = exp(x - max x); returns max x. All 0 where all x are -infinity. */
static double exponentials(size_t n, const double *x, double *y) {
    double m = largest(n, x);
    for (size_t i = 0; i < n; i++) y[i] = x[i] == -INFINITY ? 0 : exp(x[i] - m);
    return m;
}

/* to[j] = log sum over i of exp(from[i] + transitions[i][j]) */
static void forward_step(const rc__crf *c, const double *from, double *to, double *p, double *terms) {
    size_t K = c->K;
    double m = exponentials(K, from, p);
    for (size_t j = 0; j < K; j++) to[j] = 0;
    for (size_t i = 0; i < K; i++)
        if (p[i] != 0) add_row(c, i, p[i], to);
    for (size_t j = 0; j < K; j++) {
        if (!(to[j] < SMALL_SUM)) {
            to[j] = m + c->top[j] + log(to[j]);
            continue;
        }
        for (size_t i = 0; i < K; i++)
            terms[i] = rc__crf_allows(c, i, j) ? from[i] + (double)c->transitions[i * K + j] : -INFINITY;
        to[j] = logsumexp(K, terms);
    }
}

/* to[i] = log sum over j of exp(transitions[i][j] + from[j]); r = exp(from + top - *most) */
static void backward_step(const rc__crf *c, const double *from, double *to, double *r, double *most, double *terms) {
    size_t K = c->K;
    for (size_t j = 0; j < K; j++) terms[j] = from[j] + c->top[j];
    double m = *most = exponentials(K, terms, r);
    for (size_t i = 0; i < K; i++) {
        double sum = row_dot(c, i, r);
        if (!(sum < SMALL_SUM)) {
            to[i] = m + log(sum);
            continue;
        }
        for (size_t j = 0; j < K; j++)
            terms[j] = rc__crf_allows(c, i, j) ? (double)c->transitions[i * K + j] + from[j] : -INFINITY;
        to[i] = logsumexp(K, terms);
    }
}

/* moves += exp(alpha[i] + transitions[i][j] + after[j] - log_z); r and most are backward_step's */
static void count_moves(const rc__crf *c, const double *alpha, const double *after, const double *r, double most,
                        double log_z, double *p, double *moves) {
    size_t K = c->K;
    double factor = exp(exponentials(K, alpha, p) + most - log_z);
    for (size_t i = 0; i < K; i++) {
        if (factor <= LARGE_FACTOR) {
            add_moves(c, i, factor * p[i], r, moves + i * K);
            continue;
        }
        for (size_t j = 0; j < K; j++)
            if (rc__crf_allows(c, i, j))
                moves[i * K + j] += exp(alpha[i] + (double)c->transitions[i * K + j] + after[j] - log_z);
    }
}

double rc__crf_row(const rc__crf *c, size_t L, const rc_real *emissions, size_t stride, rc_real *prob, double *moves,
                   double *room) {
    size_t K = c->K;
    double *alpha = room, *beta = alpha + L * K, *after = beta + K, *p = after + K, *r = p + K, *terms = r + K;
    for (size_t j = 0; j < K; j++)
        alpha[j] = rc__crf_allows(c, K, j) ? (double)c->start[j] + (double)emissions[j] : -INFINITY;
    for (size_t t = 1; t < L; t++) {
        double *a = alpha + t * K;
        forward_step(c, a - K, a, p, terms);
        for (size_t j = 0; j < K; j++) a[j] += (double)emissions[t * stride + j];
    }
    for (size_t j = 0; j < K; j++) {
        beta[j] = rc__crf_allows(c, j, K) ? (double)c->end[j] : -INFINITY;
        terms[j] = alpha[(L - 1) * K + j] + beta[j];
    }
    double log_z = logsumexp(K, terms);
    for (size_t i = 0; log_z == -INFINITY && prob && i < L * K; i++) prob[i / K * stride + i % K] = NAN;
    if (log_z == -INFINITY || (!prob && !moves)) return log_z;
    for (size_t t = L; t-- > 0;) {
        const double *a = alpha + t * K;
        for (size_t j = 0; prob && j < K; j++) prob[t * stride + j] = (rc_real)exp(a[j] + beta[j] - log_z);
        if (t == 0) break;
        for (size_t j = 0; j < K; j++) after[j] = (double)emissions[t * stride + j] + beta[j];
        double most;
        backward_step(c, after, beta, r, &most, terms);
        if (moves) count_moves(c, a - K, after, r, most, log_z, p, moves);
    }
    return log_z;
}

/* ---- the loss ---------------------------------------------------------------------------------------------------- */

typedef struct crf_node {
    rc__node n;
    rc_var *emissions, *transitions, *start, *end;
    rc_real *g; /* gradients for 1 from above: emissions, transitions, start, end, one after the other; or NULL */
} crf_node;

#define MOST_TILES ((size_t)32) /* of rows: each has K^2 sums of its own */

typedef struct crf_job {
    rc__crf c;
    size_t T, B, tile, room_len, part_len;
    const rc_real *emissions;
    const int32_t *targets, *lengths;
    rc_real *g;          /* of the emissions, or NULL */
    double *room, *part; /* per worker; per tile: the loss, then counts of moves (K, K), starts and ends (K) */
} crf_job;

static size_t row_length(const crf_job *j, size_t b) { return j->lengths ? (size_t)j->lengths[b] : j->T; }

/* The row's loss; counts of moves, starts and ends less those of the target are added to `counts`. */
static double row_loss(const crf_job *j, size_t b, double *counts, double *room) {
    size_t K = j->c.K, L = row_length(j, b), stride = j->B * K;
    const rc_real *x = j->emissions + b * K;
    const int32_t *y = j->targets + b;
    rc_real *g = j->g ? j->g + b * K : NULL;
    double *starts = counts + K * K, *ends = starts + K, score = 0;
    double log_z = rc__crf_row(&j->c, L, x, stride, g, g ? counts : NULL, room);
    for (size_t k = 0; g && k < K; k++) {
        starts[k] += (double)g[k];
        ends[k] += (double)g[(L - 1) * stride + k];
    }
    for (size_t t = 0; t < L; t++) {
        size_t tag = (size_t)y[t * j->B], before = t ? (size_t)y[(t - 1) * j->B] : 0;
        score += (double)x[t * stride + tag] + (double)(t ? j->c.transitions[before * K + tag] : j->c.start[tag]);
        if (t == L - 1) score += (double)j->c.end[tag];
        if (!g) continue;
        g[t * stride + tag] -= 1;
        if (t) counts[before * K + tag] -= 1;
        if (t == 0) starts[tag] -= 1;
        if (t == L - 1) ends[tag] -= 1;
    }
    return log_z - score;
}

static void crf_task(void *ctx, size_t task, int worker) {
    const crf_job *j = ctx;
    size_t K = j->c.K;
    double *part = j->part + task * j->part_len, loss = 0;
    memset(part, 0, j->part_len * sizeof *part);
    for (size_t b = task * j->tile, end = rc__min_size(b + j->tile, j->B); b < end; b++) {
        size_t L = row_length(j, b);
        for (size_t t = L; j->g && t < j->T; t++) memset(j->g + (t * j->B + b) * K, 0, K * sizeof *j->g);
        if (L > 0) loss += row_loss(j, b, part + 1, j->room + (size_t)worker * j->room_len);
    }
    part[0] = loss;
}

static void crf_backward(rc_tape *t, rc__node *self) {
    crf_node *s = (crf_node *)self;
    rc_var *v[4] = {s->emissions, s->transitions, s->start, s->end};
    const rc_real *g = s->g;
    for (int i = 0; i < 4; g += v[i++]->len) {
        bool add;
        rc_real *dx = rc__grad_to(t, v[i], &add);
        if (dx) rc__bulk_put(v[i]->len, self->out.dx[0], g, dx, add);
    }
}

/* Shapes, lengths, and that each target is a path that may be; false (tape marked) otherwise. */
static bool crf_inputs(rc_tape *t, const char *op, const rc_var *x, const rc_var *transitions, const rc_var *start,
                       const rc_var *end, const crf_job *j) {
    size_t K = x->dim[2], T = x->dim[0], B = x->dim[1];
    if (transitions->ndim != 2 || transitions->dim[0] != K || transitions->dim[1] != K) {
        rc__op_fail(t, RC_EINVAL, op, "transitions is %s, emissions %s expect (%zu, %zu)",
                    rc__shape_text(transitions->ndim, transitions->dim), rc__shape_text(x->ndim, x->dim), K, K);
        return false;
    }
    const rc_var *v[2] = {start, end};
    for (int i = 0; i < 2; i++)
        if (v[i]->ndim != 1 || v[i]->dim[0] != K) {
            rc__op_fail(t, RC_EINVAL, op, "%s is %s, emissions %s expect (%zu)", i ? "end" : "start",
                        rc__shape_text(v[i]->ndim, v[i]->dim), rc__shape_text(x->ndim, x->dim), K);
            return false;
        }
    for (size_t b = 0; b < B; b++) {
        if (j->lengths && (j->lengths[b] < 0 || (size_t)j->lengths[b] > T)) {
            rc__op_fail(t, RC_EINVAL, op, "length of row %zu is %d, expected 0 to %zu", b, (int)j->lengths[b], T);
            return false;
        }
        size_t L = row_length(j, b), before = K; /* row K of allowed: the start */
        for (size_t step = 0; step < L; step++) {
            int32_t tag = j->targets[step * B + b];
            if (tag < 0 || (size_t)tag >= K) {
                rc__op_fail(t, RC_EDATA, op, "row %zu, step %zu: target %d, expected 0 to %zu", b, step, (int)tag,
                            K - 1);
                return false;
            }
            if (!rc__crf_allows(&j->c, before, (size_t)tag)) {
                if (before == K)
                    rc__op_fail(t, RC_EDATA, op, "row %zu, step %zu: target %d is not allowed at the start", b, step,
                                (int)tag);
                else
                    rc__op_fail(t, RC_EDATA, op, "row %zu, step %zu: target %d is not allowed after %zu", b, step,
                                (int)tag, before);
                return false;
            }
            before = (size_t)tag;
        }
        if (L > 0 && !rc__crf_allows(&j->c, before, K)) {
            rc__op_fail(t, RC_EDATA, op, "row %zu, step %zu: target %zu is not allowed at the end", b, L - 1, before);
            return false;
        }
    }
    return true;
}

rc_var *rc_crf_loss(rc_tape *t, rc_var *emissions, rc_var *transitions, rc_var *start, rc_var *end,
                    const int32_t *targets, const int32_t *lengths, const uint8_t *allowed,
                    const rc_loss_options *opt) {
    const char *op = "crf_loss";
    if (!rc__alive(t, op, 4, emissions, transitions, start, end)) return rc__dead(t);
    if (emissions->ndim != 3)
        return rc__op_fail(t, RC_EINVAL, op, "emissions is %s, expected (T, B, K)",
                           rc__shape_text(emissions->ndim, emissions->dim));
    if (!targets) return rc__op_fail(t, RC_EINVAL, op, "targets is NULL");
    size_t T = emissions->dim[0], B = emissions->dim[1], K = emissions->dim[2];
    crf_job j = {.c = {.K = K, .transitions = transitions->x, .start = start->x, .end = end->x, .allowed = allowed},
                 .T = T,
                 .B = B,
                 .tile = rc__tiles(B, MOST_TILES),
                 .room_len = rc__crf_room(T, K),
                 .part_len = 1 + K * K + 2 * K,
                 .emissions = emissions->x,
                 .targets = targets,
                 .lengths = lengths};
    if (!crf_inputs(t, op, emissions, transitions, start, end, &j)) return rc__dead(t);
    bool needs = emissions->needs_grad || transitions->needs_grad || start->needs_grad || end->needs_grad;
    crf_node *s = rc__node_new(t, sizeof *s, op, 0, NULL, needs, crf_backward);
    if (!s) return rc__dead(t);
    s->emissions = emissions, s->transitions = transitions, s->start = start, s->end = end;
    if (needs && rc_tape_get_mode(t).grad) {
        s->g = rc__tape_alloc(t, (emissions->len + K * K + 2 * K) * sizeof *s->g);
        if (!s->g) return rc__dead(t);
        j.g = s->g;
    }
    size_t tiles = rc__tiles(B, j.tile), rows = 0;
    for (size_t b = 0; b < B; b++) rows += row_length(&j, b) > 0;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    double *table = rc__tape_alloc(t, rc__crf_table_len(K) * sizeof *table);
    j.room = rc__tape_alloc(t, (size_t)rc__workers() * j.room_len * sizeof *j.room);
    j.part = rc__tape_alloc(t, tiles * j.part_len * sizeof *j.part);
    if (!table || !j.room || !j.part) return rc__dead(t);
    rc__crf_prepare(&j.c, table);
    rc__parallel(tiles, 8.0 * (double)T * (double)B * (double)K * (double)(K + 10), crf_task, &j);
    for (size_t p = 1; p < tiles; p++)
        for (size_t i = 0; i < j.part_len; i++) j.part[i] += j.part[p * j.part_len + i];
    double scale = opt && opt->sum ? 1 : rows > 0 ? 1 / (double)rows : 0;
    s->n.out.x[0] = (rc_real)(j.part[0] * scale);
    if (s->g) {
        rc__bulk_scale(emissions->len, (rc_real)scale, 0, s->g, s->g);
        for (size_t i = 0; i < j.part_len - 1; i++) s->g[emissions->len + i] = (rc_real)(scale * j.part[1 + i]);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return &s->n.out;
}
