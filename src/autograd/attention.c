/* attention.c - softmax(scale q k^T + bias) v on packed rows (Vaswani et al. 2017, eq. 1).
 *
 * Plain: a row of scores at a time. Letters: H query heads, G of keys, D and E numbers of a head of k and of v. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/spans.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

rc_attention_options rc_attention_options_default(void) { return (rc_attention_options){.heads = 1}; }

typedef struct attention_node {
    rc__node n;
    rc_var *q, *k, *v;
    rc__spans spans;
    size_t H, G, D, E;
    double scale, dropout; /* dropout: 0 when the tape does not train */
    bool alibi;
    rc_rng rng;
    rc_real *most,
        *part; /* (Nq, H): greatest score of a row, 1 / the sum of exp(score - most); 0 when it sees no key */
} attention_node;

typedef struct attention_job {
    attention_node *s;
    rc_real *room; /* 3 longest a worker */
    rc_real *dq, *dk, *dv;
} attention_job;

/* Scores of query i for the keys [first, end). */
static void scores(const attention_node *s, const rc__span *p, size_t i, size_t h, size_t first, size_t end,
                   rc_real *to) {
    const rc_real *q = s->q->x + (p->q + i) * s->H * s->D + h * s->D;
    size_t g = h / (s->H / s->G);
    double slope = s->alibi ? exp2(-8.0 * (double)(h + 1) / (double)s->H) : 0;
    for (size_t j = first; j < end; j++) {
        double score = rc__k->pw.dot(s->D, q, s->k->x + (p->k + j) * s->G * s->D + g * s->D) * s->scale;
        to[j] = (rc_real)(score - slope * rc__distance(p, i, j));
    }
}

/* exp(score - most) * part; and what dropout makes of 1 */
static void weights(const attention_node *s, const rc__span *p, size_t i, size_t h, size_t first, size_t end,
                    rc_real *w, rc_real *keep) {
    size_t row = (p->q + i) * s->H + h, n = end - first;
    scores(s, p, i, h, first, end, w);
    rc__k->pw.scale(n, 1, -s->most[row], w + first, w + first);
    rc__k->pw.act[RC_ACT_EXP](n, w + first, w + first);
    rc__k->pw.scale(n, s->part[row], 0, w + first, w + first);
    if (s->dropout > 0)
        rc__k->pw.dropout_mask(n, s->rng, h * s->spans.pairs + p->pairs + i * p->nk + first, s->dropout, keep + first);
}

static void forward_task(void *ctx, size_t task, int worker) {
    const attention_job *j = ctx;
    attention_node *s = j->s;
    const rc__span *p = &s->spans.at[task / s->H];
    size_t h = task % s->H, g = h / (s->H / s->G), first, end;
    rc_real *w = j->room + (size_t)worker * 3 * s->spans.longest, *keep = w + s->spans.longest;
    for (size_t i = 0; i < p->nq; i++) {
        rc_real *y = s->n.out.x + (p->q + i) * s->H * s->E + h * s->E;
        size_t row = (p->q + i) * s->H + h;
        memset(y, 0, s->E * sizeof *y);
        s->most[row] = s->part[row] = 0;
        rc__seen(&s->spans, p, i, &first, &end);
        if (first == end) continue;
        scores(s, p, i, h, first, end, w);
        double lse = rc__k->row.softmax_lse(end - first, w + first, 1, NULL);
        s->most[row] = (rc_real)lse, s->part[row] = (rc_real)exp((double)s->most[row] - lse);
        weights(s, p, i, h, first, end, w, keep);
        if (s->dropout > 0) rc__k->pw.mul(end - first, w + first, keep + first, w + first);
        for (size_t c = first; c < end; c++)
            rc__k->pw.axpy(s->E, w[c], s->v->x + (p->k + c) * s->G * s->E + g * s->E, y);
    }
}

/* The mean of the weights over heads, before dropout. */
static void weights_task(void *ctx, size_t b, int worker) {
    const attention_job *j = ctx;
    attention_node *s = j->s;
    const rc__span *p = &s->spans.at[b];
    rc_real *w = j->room + (size_t)worker * 3 * s->spans.longest, *to = j->dq + p->pairs;
    memset(to, 0, p->nq * p->nk * sizeof *to);
    for (size_t i = 0; i < p->nq; i++)
        for (size_t h = 0; h < s->H; h++) {
            size_t first, end;
            rc__seen(&s->spans, p, i, &first, &end);
            if (first == end) continue;
            weights(s, p, i, h, first, end, w, w + s->spans.longest);
            rc__k->pw.axpy(end - first, (rc_real)(1 / (double)s->H), w + first, to + i * p->nk + first);
        }
}

/* With P the weights, m what dropout multiplies them by, and e = dy . y:  dv += (P m)^T dy,  dS = P (m (dy v^T) - e),
 * dq += scale dS k,  dk += scale dS^T q */
static void backward_task(void *ctx, size_t task, int worker) {
    const attention_job *j = ctx;
    attention_node *s = j->s;
    const rc__span *p = &s->spans.at[task / s->G];
    size_t g = task % s->G, group = s->H / s->G, first, end;
    rc_real *w = j->room + (size_t)worker * 3 * s->spans.longest, *keep = w + s->spans.longest;
    for (size_t h = g * group; h < (g + 1) * group; h++)
        for (size_t i = 0; i < p->nq; i++) {
            size_t at = (p->q + i) * s->H + h;
            const rc_real *dy = s->n.out.dx + at * s->E, *q = s->q->x + at * s->D;
            rc__seen(&s->spans, p, i, &first, &end);
            if (first == end) continue;
            weights(s, p, i, h, first, end, w, keep);
            double e = rc__k->pw.dot(s->E, dy, s->n.out.x + at * s->E);
            for (size_t c = first; c < end; c++) {
                size_t key = (p->k + c) * s->G + g;
                double m = s->dropout > 0 ? (double)keep[c] : 1;
                if (j->dv) rc__k->pw.axpy(s->E, (rc_real)((double)w[c] * m), dy, j->dv + key * s->E);
                if (!j->dq && !j->dk) continue;
                double ds = (double)w[c] * (m * rc__k->pw.dot(s->E, dy, s->v->x + key * s->E) - e) * s->scale;
                if (j->dq) rc__k->pw.axpy(s->D, (rc_real)ds, s->k->x + key * s->D, j->dq + at * s->D);
                if (j->dk) rc__k->pw.axpy(s->D, (rc_real)ds, q, j->dk + key * s->D);
            }
        }
}

static bool run(rc_tape *t, attention_job *j, size_t tasks, double work, void (*task)(void *, size_t, int)) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    j->room = rc__tape_alloc(t, (size_t)rc__workers() * 3 * j->s->spans.longest * sizeof *j->room);
    if (j->room) rc__parallel(tasks, work, task, j);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return j->room != NULL;
}

static double work_of(const attention_node *s) {
    return 2.0 * (double)s->spans.pairs * (double)s->H * (double)(s->D + s->E);
}

static void attention_backward(rc_tape *t, rc__node *self) {
    attention_node *s = (attention_node *)self;
    attention_job j = {.s = s, .dq = rc__grad(t, s->q), .dk = rc__grad(t, s->k), .dv = rc__grad(t, s->v)};
    if (rc__alive(t, self->op, 0)) run(t, &j, s->spans.batch * s->G, 2.5 * work_of(s), backward_task);
}

/* Heads and their sizes; false (tape marked) when they do not fit. */
static bool shapes(rc_tape *t, const char *op, attention_node *s, const rc_attention_options *o) {
    const rc_var *q = s->q, *k = s->k, *v = s->v;
    if (q->ndim == 2 && k->ndim == 2 && v->ndim == 2 && k->dim[0] == v->dim[0]) {
        s->H = o->heads, s->G = o->kv_heads ? o->kv_heads : o->heads;
        if (s->H && s->H % s->G == 0 && q->dim[1] % s->H == 0 && k->dim[1] % s->G == 0 && v->dim[1] % s->G == 0) {
            s->D = q->dim[1] / s->H, s->E = v->dim[1] / s->G;
            if (k->dim[1] / s->G == s->D) return true;
        }
    }
    rc__op_fail(t, RC_EINVAL, op,
                "q is %s, k %s, v %s; expected (Nq, heads D), (Nk, kv_heads D), (Nk, kv_heads E), %zu and %zu "
                "heads",
                rc__shape_text(q->ndim, q->dim), rc__shape_text(k->ndim, k->dim), rc__shape_text(v->ndim, v->dim),
                o->heads, o->kv_heads ? o->kv_heads : o->heads);
    return false;
}

rc_var *rc_attention(rc_tape *t, rc_var *q, rc_var *k, rc_var *v, const rc_attention_options *o) {
    const char *op = "attention";
    if (!rc__alive(t, op, 3, q, k, v)) return rc__dead(t);
    if (!o) return rc__op_fail(t, RC_EINVAL, op, "the options are NULL");
    attention_node a = {.q = q, .k = k, .v = v, .alibi = o->alibi};
    if (!shapes(t, op, &a, o)) return rc__dead(t);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return rc__op_fail(t, RC_EINVAL, op, "dropout is %g, expected 0 <= p < 1", o->dropout);
    if (!isfinite(o->scale)) return rc__op_fail(t, RC_EINVAL, op, "scale is %g", o->scale);
    bool kv_grad = rc__tape_keeps(t, k) || rc__tape_keeps(t, v);
    if (!rc__spans_init(&a.spans, t, op, o, q->dim[0], k->dim[0], kv_grad)) return rc__dead(t);
    attention_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){q->dim[0], a.H * a.E}, q->needs_grad || kv_grad,
                                     attention_backward);
    if (!s) return rc__dead(t);
    rc__node node = s->n;
    *s = a;
    s->n = node;
    s->scale = o->scale != 0 ? o->scale : 1 / sqrt((double)s->D);
    s->rng = rc__tape_rng(t); /* drawn even when unused: the masks of later ops do not depend on this one's dropout */
    s->dropout = rc_tape_get_mode(t).training ? o->dropout : 0;
    s->most = rc__tape_alloc(t, 2 * q->dim[0] * s->H * sizeof *s->most);
    if (!s->most) return rc__dead(t);
    s->part = s->most + q->dim[0] * s->H;
    attention_job j = {.s = s, .dq = o->weights};
    if (!run(t, &j, s->spans.batch * s->H, work_of(s), forward_task)) return rc__dead(t);
    if (o->weights && !run(t, &j, s->spans.batch, work_of(s), weights_task)) return rc__dead(t);
    return &s->n.out;
}
