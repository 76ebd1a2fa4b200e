/* align.c - see align.h. One task per sequence, forward and backward; what is summed over sequences (w, U, filters,
 * offset) is kept by sequence and added in their order, so threads change no bit. Backward makes the tanh again. */
#include <math.h>
#include <string.h>
#include "autograd/align.h"
#include "autograd/bulk.h"
#include "autograd/spans.h"
#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"

/* ordered: a query depends on those before it, so sequences that share their keys stay apart, as they do where queries
 * have positions. */
static bool spans_init(rc__spans *s, rc_tape *t, const char *op, const rc__align_options *o, size_t longest,
                       const rc_var *q, const rc_var *k, bool ordered) {
    rc_attention_options a = {.batch = o->batch,
                              .q_lengths = o->q_lengths,
                              .k_lengths = o->k_lengths,
                              .k_start = o->k_start,
                              .alibi = ordered};
    if (!rc__spans_init(s, t, op, &a, q->dim[0], k->dim[0], rc__tape_keeps(t, k))) return false;
    if (s->longest <= longest) return true;
    rc__op_fail(t, RC_EINVAL, op, "%zu keys of a sequence, weights are for %zu", s->longest, longest);
    return false;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

typedef struct align_node {
    rc__node n;
    rc__spans spans;
    size_t longest;
    rc_var *q, *k, *w, *filters, *mix, *offset, *last, *sum;
    rc__align_kind kind;
    bool coverage;
    size_t A, C, taps; /* features, of which the filters are the last; width of a filter */
    rc_real scale;
    const rc_real *noise;
    rc_real *mix_t;   /* (C, A): U transposed */
    rc_real *covered; /* (Nq, longest): sums before each query, when they are kept for backward */
    rc_real *p;       /* (Nq, longest): monotonic, likewise */
    /* of the job now running */
    rc_real *scratch, *dq, *dk, *dlast, *dsum, *part;
    size_t scratch_len, part_len;
} align_node;

static size_t scratch_len(const align_node *s) { return s->spans.longest * (s->A + s->C) + 8 * s->longest; }

/* f (C, m) of a query, from the sums before it and the weights of the one before. */
static void features(const align_node *s, size_t m, const rc_real *sum, const rc_real *last, rc_real *f) {
    size_t c = 0, half = s->taps / 2;
    if (s->coverage) memcpy(f, sum, m * sizeof *f), c = 1;
    for (; c < s->C; c++) {
        const rc_real *filter = s->filters->x + (c - s->coverage) * s->taps;
        for (size_t j = 0; j < m; j++) {
            rc_real v = 0;
            size_t x0 = j < half ? half - j : 0, x1 = rc__min_size(s->taps, m + half - j);
            for (size_t x = x0; x < x1; x++) v += filter[x] * last[j + x - half];
            f[c * m + j] = v;
        }
    }
}

/* u (m, A) = tanh(q + k_j + U f_j) */
static void hidden(const align_node *s, const rc_real *q, const rc_real *k, size_t m, const rc_real *f, rc_real *u) {
    size_t A = s->A;
    for (size_t j = 0; j < m; j++) {
        rc__k->pw.add(A, q, k + j * A, u + j * A);
        for (size_t c = 0; c < s->C; c++) rc__k->pw.axpy(A, f[c * m + j], s->mix_t + c * A, u + j * A);
    }
    rc__k->pw.act[RC_ACT_TANH](m * A, u, u);
}

static void scores(const align_node *s, const rc_real *q, const rc_real *k, size_t m, const rc_real *u, rc_real *e) {
    for (size_t j = 0; j < m; j++)
        e[j] = s->w ? (rc_real)rc__k->pw.dot(s->A, u + j * s->A, s->w->x)
                    : s->scale * (rc_real)rc__k->pw.dot(s->A, q, k + j * s->A);
}

/* What is expected: p from the scores in e, r and the weights from those of the query before. */
static void monotonic(size_t m, const rc_real *p, const rc_real *last, rc_real *r, rc_real *a) {
    for (size_t j = 0; j < m; j++) {
        r[j] = (j ? (1 - p[j - 1]) * r[j - 1] : 0) + last[j];
        a[j] = p[j] * r[j];
    }
}

static void hard(size_t m, const rc_real *e, const rc_real *last, rc_real *a) {
    size_t at = 0;
    while (at < m && last[at] == 0) at++;
    while (at < m && e[at] < 0) at++;
    memset(a, 0, m * sizeof *a);
    if (at < m) a[at] = 1;
}

static void align_task(void *ctx, size_t b, int worker) {
    align_node *s = ctx;
    const rc__span *p = &s->spans.at[b];
    size_t A = s->A, L = s->longest, m = p->nk, first = p->q;
    rc_real *e = s->scratch + (size_t)worker * s->scratch_len, *last = e + L, *sum = last + L, *r = sum + L, *f = r + L,
            *u = f + s->C * m;
    const rc_real *k = s->k->x + p->k * A;
    memset(last, 0, 2 * L * sizeof *last);
    if (s->last)
        memcpy(last, s->last->x + b * L, m * sizeof *last);
    else if (s->kind != RC__ALIGN_SOFTMAX && m)
        last[0] = 1;
    if (s->sum) memcpy(sum, s->sum->x + b * L, m * sizeof *sum);
    for (size_t i = first; i < first + p->nq; i++) {
        const rc_real *q = s->q->x + i * A;
        rc_real *a = s->n.out.x + i * L;
        memset(a + m, 0, (L - m) * sizeof *a);
        if (!m) continue;
        if (s->covered) memcpy(s->covered + i * L, sum, m * sizeof *sum);
        if (s->C) features(s, m, sum, last, f);
        if (s->w) hidden(s, q, k, m, f, u);
        scores(s, q, k, m, u, e);
        for (size_t j = 0; s->offset && j < m; j++) e[j] += s->offset->x[0];
        if (s->noise) rc__k->pw.add(m, e, s->noise + i * L, e);
        if (s->kind == RC__ALIGN_SOFTMAX) {
            rc__k->row.softmax(1, m, e, a);
        } else if (s->kind == RC__ALIGN_HARD) {
            hard(m, e, last, a);
        } else {
            rc__k->pw.act[RC_ACT_SIGMOID](m, e, e);
            if (s->p) memcpy(s->p + i * L, e, m * sizeof *e);
            monotonic(m, e, last, r, a);
        }
        memcpy(last, a, m * sizeof *a);
        rc__k->pw.add(m, sum, a, sum);
    }
}

/* da -> de; dlast += for monotonic. */
static void normalise_back(const align_node *s, size_t i, size_t m, const rc_real *last, const rc_real *da, rc_real *de,
                           rc_real *dlast, rc_real *r) {
    const rc_real *a = s->n.out.x + i * s->longest;
    if (s->kind == RC__ALIGN_SOFTMAX) {
        memset(de, 0, m * sizeof *de);
        rc__k->row.softmax_back(1, m, a, da, de);
        return;
    }
    const rc_real *p = s->p + i * s->longest;
    rc_real next = 0; /* dr of j + 1 */
    for (size_t j = 0; j < m; j++) r[j] = (j ? (1 - p[j - 1]) * r[j - 1] : 0) + last[j];
    for (size_t j = m; j-- > 0;) {
        rc_real dr = da[j] * p[j] + next * (1 - p[j]), dp = r[j] * (da[j] - next);
        dlast[j] += dr;
        de[j] = dp * p[j] * (1 - p[j]);
        next = dr;
    }
}

/* df (C, m) -> gradients of the sums before, of the weights of the query before, of the filters (part). */
static void features_back(const align_node *s, size_t m, const rc_real *last, const rc_real *df, rc_real *dsum,
                          rc_real *dlast, rc_real *dfilter) {
    size_t c = 0, half = s->taps / 2;
    if (s->coverage) rc__k->pw.add(m, dsum, df, dsum), c = 1;
    for (; c < s->C; c++) {
        const rc_real *filter = s->filters->x + (c - s->coverage) * s->taps;
        rc_real *to = dfilter + (c - s->coverage) * s->taps;
        for (size_t j = 0; j < m; j++) {
            size_t x0 = j < half ? half - j : 0, x1 = rc__min_size(s->taps, m + half - j);
            for (size_t x = x0; x < x1; x++) {
                dlast[j + x - half] += filter[x] * df[c * m + j];
                to[x] += last[j + x - half] * df[c * m + j];
            }
        }
    }
}

/* Of one query: part is (A w, C * A of U transposed, filters, offset). */
static void scores_back(const align_node *s, const rc_real *q, const rc_real *k, size_t m, const rc_real *f, rc_real *u,
                        const rc_real *de, rc_real *dq, rc_real *dk, rc_real *df, rc_real *part) {
    size_t A = s->A;
    for (size_t j = 0; j < m; j++) {
        rc_real *g = u + j * A;
        if (!s->w) {
            if (dq) rc__k->pw.axpy(A, s->scale * de[j], k + j * A, dq);
            if (dk) rc__k->pw.axpy(A, s->scale * de[j], q, dk + j * A);
            continue;
        }
        rc__k->pw.axpy(A, de[j], g, part);
        for (size_t x = 0; x < A; x++) g[x] = de[j] * s->w->x[x] * (1 - g[x] * g[x]);
        if (dq) rc__k->pw.add(A, dq, g, dq);
        if (dk) rc__k->pw.add(A, dk + j * A, g, dk + j * A);
        for (size_t c = 0; c < s->C; c++) {
            rc__k->pw.axpy(A, f[c * m + j], g, part + A + c * A);
            df[c * m + j] = (rc_real)rc__k->pw.dot(A, s->mix_t + c * A, g);
        }
    }
    for (size_t j = 0; s->offset && j < m; j++) part[s->part_len - 1] += de[j];
}

static void align_back_task(void *ctx, size_t b, int worker) {
    align_node *s = ctx;
    const rc__span *p = &s->spans.at[b];
    size_t A = s->A, L = s->longest, m = p->nk, first = p->q;
    rc_real *part = s->part + b * s->part_len;
    memset(part, 0, s->part_len * sizeof *part);
    if (!m) return;
    rc_real *de = s->scratch + (size_t)worker * s->scratch_len, *da = de + L, *carry = da + L, *dsum = carry + L,
            *start = dsum + L, *r = start + L, *df = r + L, *f = df + s->C * m, *u = f + s->C * m;
    const rc_real *k = s->k->x + p->k * A;
    memset(carry, 0, 3 * L * sizeof *carry);
    if (s->last)
        memcpy(start, s->last->x + b * L, m * sizeof *start);
    else if (s->kind != RC__ALIGN_SOFTMAX)
        start[0] = 1;
    for (size_t i = first + p->nq; i-- > first;) {
        const rc_real *q = s->q->x + i * A, *last = i == first ? start : s->n.out.x + (i - 1) * L;
        rc__k->pw.add(m, s->n.out.dx + i * L, carry, da);
        rc__k->pw.add(m, da, dsum, da);
        memset(carry, 0, m * sizeof *carry);
        normalise_back(s, i, m, last, da, de, carry, r);
        if (s->C) features(s, m, s->covered ? s->covered + i * L : NULL, last, f);
        if (s->w) hidden(s, q, k, m, f, u);
        scores_back(s, q, k, m, f, u, de, s->dq ? s->dq + i * A : NULL, s->dk ? s->dk + p->k * A : NULL, df, part);
        if (s->C) features_back(s, m, last, df, dsum, carry, part + A + s->C * A);
    }
    if (s->dlast) rc__k->pw.add(m, s->dlast + b * L, carry, s->dlast + b * L);
    if (s->dsum) rc__k->pw.add(m, s->dsum + b * L, dsum, s->dsum + b * L);
}

static double align_work(const align_node *s) {
    return (double)s->n.out.dim[0] * (double)s->spans.longest * (double)s->A * (s->w ? 30.0 + 4.0 * (double)s->C : 4.0);
}

static void add_part(rc_real *to, const align_node *s, size_t at, size_t n) {
    for (size_t b = 0; to && b < s->spans.batch; b++) rc__k->pw.add(n, to, s->part + b * s->part_len + at, to);
}

static void align_backward(rc_tape *t, rc__node *self) {
    align_node *s = (align_node *)self;
    size_t A = s->A;
    s->dq = rc__grad(t, s->q);
    s->dk = rc__grad(t, s->k);
    s->dlast = s->last ? rc__grad(t, s->last) : NULL;
    s->dsum = s->sum ? rc__grad(t, s->sum) : NULL;
    rc_real *dw = s->w ? rc__grad(t, s->w) : NULL, *dmix = s->mix ? rc__grad(t, s->mix) : NULL;
    rc_real *dfilters = s->filters ? rc__grad(t, s->filters) : NULL,
            *doffset = s->offset ? rc__grad(t, s->offset) : NULL;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    s->scratch_len = scratch_len(s) + s->C * s->spans.longest;
    s->scratch = rc__tape_alloc(t, (size_t)rc__workers() * s->scratch_len * sizeof *s->scratch);
    s->part = rc__tape_alloc(t, s->spans.batch * s->part_len * sizeof *s->part);
    if (s->scratch && s->part) {
        rc__parallel(s->spans.batch, 3 * align_work(s), align_back_task, s);
        if (s->w) add_part(dw, s, 0, A);
        for (size_t b = 0; dmix && b < s->spans.batch; b++)
            for (size_t c = 0; c < s->C; c++)
                for (size_t x = 0; x < A; x++) dmix[x * s->C + c] += s->part[b * s->part_len + A + c * A + x];
        if (s->filters) add_part(dfilters, s, A + s->C * A, s->filters->len);
        add_part(doffset, s, s->part_len - 1, 1);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

static bool fits(rc_tape *t, const char *what, const rc_var *v, size_t rows, size_t cols) {
    if (!v || (v->ndim == 2 && v->dim[0] == rows && v->dim[1] == cols)) return true;
    rc__op_fail(t, RC_EINVAL, "align", "%s is %s, expected (%zu, %zu)", what, rc__shape_text(v->ndim, v->dim), rows,
                cols);
    return false;
}

static bool check_align(rc_tape *t, const rc_var *q, const rc_var *k, const rc_var *w, const rc__align_options *o,
                        size_t C) {
    if (q->ndim != 2 || k->ndim != 2 || q->dim[1] != k->dim[1]) {
        rc__op_fail(t, RC_EINVAL, "align", "q %s and k %s, expected (Nq, A) and (Nk, A)",
                    rc__shape_text(q->ndim, q->dim), rc__shape_text(k->ndim, k->dim));
        return false;
    }
    if ((w && w->len != q->dim[1]) || (C && (!w || !o->mix)) ||
        (o->filters && (o->filters->ndim != 2 || o->filters->dim[1] % 2 == 0))) {
        rc__op_fail(t, RC_EINVAL, "align",
                    "w, filters or mix do not fit queries of %zu: features need w (A), mix (A, "
                    "features) and filters of an odd width",
                    q->dim[1]);
        return false;
    }
    if (o->coverage && o->kind != RC__ALIGN_SOFTMAX) {
        rc__op_fail(t, RC_EINVAL, "align", "coverage is for softmax alone");
        return false;
    }
    return fits(t, "mix", C ? o->mix : NULL, q->dim[1], C) && fits(t, "last", o->last, o->batch, o->longest) &&
           fits(t, "sum", o->sum, o->batch, o->longest);
}

rc_var *rc__align(rc_tape *t, rc_var *q, rc_var *k, rc_var *w, const rc__align_options *o) {
    rc_var *more[6] = {w, o->filters, o->mix, o->offset, o->last, o->sum};
    if (!rc__alive(t, "align", 2, q, k)) return rc__dead(t);
    bool grad = q->needs_grad || k->needs_grad;
    for (int i = 0; i < 6; i++) {
        if (more[i] && !rc__alive(t, "align", 1, more[i])) return rc__dead(t);
        grad = grad || (more[i] && more[i]->needs_grad);
    }
    size_t C = (o->coverage ? 1 : 0) + (o->filters ? o->filters->dim[0] : 0);
    rc__spans spans;
    bool ordered = C || o->kind != RC__ALIGN_SOFTMAX;
    if (!check_align(t, q, k, w, o, C) || !spans_init(&spans, t, "align", o, o->longest, q, k, ordered))
        return rc__dead(t);
    grad = grad && o->kind != RC__ALIGN_HARD;
    size_t dim[2] = {q->dim[0], o->longest};
    align_node *s = rc__node_new(t, sizeof *s, "align", 2, dim, grad, align_backward);
    if (!s) return rc__dead(t);
    s->spans = spans, s->longest = o->longest;
    s->q = q, s->k = k, s->w = w, s->offset = o->offset, s->last = o->last, s->sum = o->sum;
    s->filters = o->filters, s->mix = C ? o->mix : NULL;
    s->kind = o->kind, s->coverage = o->coverage, s->noise = o->noise;
    s->A = q->dim[1], s->C = C, s->taps = o->filters ? o->filters->dim[1] : 0, s->scale = (rc_real)o->scale;
    s->part_len = s->A + C * s->A + (o->filters ? o->filters->len : 0) + 1;
    bool keep = grad && rc_tape_get_mode(t).grad;
    size_t bytes = s->n.out.len * sizeof(rc_real);
    if (C && !(s->mix_t = rc__tape_alloc(t, C * s->A * sizeof(rc_real)))) return rc__dead(t);
    if (keep && s->coverage && !(s->covered = rc__tape_alloc(t, bytes))) return rc__dead(t);
    if (keep && s->kind == RC__ALIGN_MONOTONIC && !(s->p = rc__tape_alloc(t, bytes))) return rc__dead(t);
    for (size_t c = 0; c < C; c++)
        for (size_t x = 0; x < s->A; x++) s->mix_t[c * s->A + x] = s->mix->x[x * C + c];
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    s->scratch_len = scratch_len(s);
    s->scratch = rc__tape_alloc(t, (size_t)rc__workers() * s->scratch_len * sizeof *s->scratch);
    if (!s->scratch) return rc__dead(t);
    rc__parallel(spans.batch, align_work(s), align_task, s);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return &s->n.out;
}

/* ---- what they sum up -------------------------------------------------------------------------------------------- */

typedef struct mix_node {
    rc__node n;
    rc__spans spans;
    size_t longest;
    rc_var *a, *v;
    size_t D;
    rc_real *da, *dv;
} mix_node;

static void mix_task(void *ctx, size_t b, int worker) {
    (void)worker;
    mix_node *s = ctx;
    const rc__span *p = &s->spans.at[b];
    size_t n = p->nq, m = p->nk, L = s->longest, D = s->D;
    rc_real *y = s->n.out.x + p->q * D;
    if (m && n)
        rc__gemm(false, false, n, D, m, 1, s->a->x + p->q * L, L, s->v->x + p->k * D, D, 0, y, D);
    else
        memset(y, 0, n * D * sizeof *y);
}

static void mix_back_task(void *ctx, size_t b, int worker) {
    (void)worker;
    mix_node *s = ctx;
    const rc__span *p = &s->spans.at[b];
    size_t n = p->nq, m = p->nk, L = s->longest, D = s->D;
    if (!m || !n) return;
    const rc_real *dy = s->n.out.dx + p->q * D, *a = s->a->x + p->q * L, *v = s->v->x + p->k * D;
    if (s->da) rc__gemm(false, true, n, m, D, 1, dy, D, v, D, 1, s->da + p->q * L, L);
    if (s->dv) rc__gemm(true, false, m, D, n, 1, a, L, dy, D, 1, s->dv + p->k * D, D);
}

static double mix_work(const mix_node *s) {
    return 2.0 * (double)s->n.out.dim[0] * (double)s->spans.longest * (double)s->D;
}

static void mix_backward(rc_tape *t, rc__node *self) {
    mix_node *s = (mix_node *)self;
    s->da = rc__grad(t, s->a);
    s->dv = rc__grad(t, s->v);
    rc__parallel(s->spans.batch, 2 * mix_work(s), mix_back_task, s);
}

rc_var *rc__mix_rows(rc_tape *t, rc_var *weights, rc_var *v, const rc__align_options *o) {
    if (!rc__alive(t, "mix_rows", 2, weights, v)) return rc__dead(t);
    if (weights->ndim != 2 || v->ndim != 2)
        return rc__op_fail(t, RC_EINVAL, "mix_rows", "weights %s and v %s, expected (Nq, longest) and (Nk, D)",
                           rc__shape_text(weights->ndim, weights->dim), rc__shape_text(v->ndim, v->dim));
    rc__spans spans;
    if (!spans_init(&spans, t, "mix_rows", o, weights->dim[1], weights, v, false)) return rc__dead(t);
    size_t dim[2] = {weights->dim[0], v->dim[1]};
    mix_node *s = rc__node_new(t, sizeof *s, "mix_rows", 2, dim, weights->needs_grad || v->needs_grad, mix_backward);
    if (!s) return rc__dead(t);
    s->spans = spans, s->longest = weights->dim[1];
    s->a = weights, s->v = v, s->D = v->dim[1];
    rc__parallel(spans.batch, mix_work(s), mix_task, s);
    return &s->n.out;
}

/* ---- coverage ---------------------------------------------------------------------------------------------------- */

typedef struct coverage_node {
    rc__node n;
    rc_var *a;
    const int32_t *q_len;
    size_t batch, longest;
} coverage_node;

/* min(a, c) has the gradient of its smaller side, of c where they are equal. */
static void coverage_backward(rc_tape *t, rc__node *self) {
    coverage_node *s = (coverage_node *)self;
    size_t L = s->longest, row = 0;
    rc_real *da = rc__grad(t, s->a), g = self->out.dx[0] / (rc_real)s->a->dim[0];
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    rc_real *sum = da ? rc__tape_alloc(t, 2 * L * sizeof *sum) : NULL, *later = sum + L;
    for (size_t b = 0; sum && b < s->batch; b++) {
        size_t n = (size_t)s->q_len[b];
        memset(sum, 0, 2 * L * sizeof *sum);
        for (size_t i = 0; i < n; i++) rc__k->pw.add(L, sum, s->a->x + (row + i) * L, sum);
        for (size_t i = n; i-- > 0;) {
            const rc_real *a = s->a->x + (row + i) * L;
            rc_real *to = da + (row + i) * L;
            for (size_t j = 0; j < L; j++) {
                sum[j] -= a[j];
                to[j] += later[j];
                if (a[j] < sum[j])
                    to[j] += g;
                else
                    later[j] += g;
            }
        }
        row += n;
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc__coverage_loss(rc_tape *t, rc_var *weights, const int32_t *q_lengths, size_t batch) {
    if (!rc__alive(t, "coverage_loss", 1, weights)) return rc__dead(t);
    size_t rows = 0, L = weights->dim[weights->ndim - 1];
    for (size_t b = 0; b < batch; b++) rows += (size_t)q_lengths[b];
    if (weights->ndim != 2 || weights->dim[0] != rows)
        return rc__op_fail(t, RC_EINVAL, "coverage_loss", "weights are %s, the lengths add up to %zu",
                           rc__shape_text(weights->ndim, weights->dim), rows);
    coverage_node *s = rc__node_new(t, sizeof *s, "coverage_loss", 0, NULL, weights->needs_grad, coverage_backward);
    if (!s) return rc__dead(t);
    s->a = weights, s->q_len = q_lengths, s->batch = batch, s->longest = L;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    rc_real *sum = rc__tape_alloc(t, L * sizeof *sum);
    if (!sum) return rc__dead(t);
    double total = 0;
    const rc_real *a = weights->x;
    for (size_t b = 0; b < batch; b++) {
        memset(sum, 0, L * sizeof *sum);
        for (int32_t i = 0; i < q_lengths[b]; i++, a += L)
            for (size_t j = 0; j < L; j++) {
                total += (double)(a[j] < sum[j] ? a[j] : sum[j]);
                sum[j] += a[j];
            }
    }
    s->n.out.x[0] = (rc_real)(total / (double)rows);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return &s->n.out;
}
