/* attention_additive.c - score(i, j) = w . tanh(q_i + k_j), softmax over the keys of a sequence, the weighted sum of v
 * (Bahdanau et al. 2015, arXiv 1409.0473, section 3.1).
 *
 * tanh(q_i + k_j) is never kept: backward makes it again. Weights are kept, one per pair. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/spans.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

typedef struct additive_node {
    rc__node n;
    rc_var *q, *k, *w, *v;
    rc__spans spans;
    size_t A, E;
    double dropout; /* 0 when the tape does not train */
    rc_rng rng;
    rc_real *p; /* (pairs): weights before dropout */
} additive_node;

typedef struct additive_job {
    additive_node *s;
    rc_real *room;              /* 2 longest a worker */
    rc_real *dq, *dk, *dw, *dv; /* dw: a row per sequence */
    bool any;                   /* of dq, dk, dw */
} additive_job;

/* What dropout makes of 1 for pair `pair` and those behind it. */
static void keep_mask(const additive_node *s, size_t pair, size_t n, rc_real *keep) {
    rc__k->pw.dropout_mask(n, s->rng, pair, s->dropout, keep);
}

static void forward_task(void *ctx, size_t b, int worker) {
    const additive_job *j = ctx;
    additive_node *s = j->s;
    const rc__span *p = &s->spans.at[b];
    size_t A = s->A, first, end;
    rc_real *room = j->room + (size_t)worker * 2 * s->spans.longest;
    for (size_t i = 0; i < p->nq; i++) {
        rc_real *y = s->n.out.x + (p->q + i) * s->E, *weight = s->p + p->pairs + i * p->nk;
        memset(y, 0, s->E * sizeof *y);
        memset(weight, 0, p->nk * sizeof *weight);
        rc__span_seen(&s->spans, p, i, &first, &end);
        if (first == end) continue;
        rc__k->row.additive_scores(end - first, A, s->q->x + (p->q + i) * A, s->k->x + (p->k + first) * A, s->w->x,
                                   weight + first);
        rc__k->row.softmax(1, end - first, weight + first, weight + first);
        const rc_real *use = weight;
        if (s->dropout > 0) {
            keep_mask(s, p->pairs + i * p->nk, p->nk, room);
            rc__k->pw.mul(p->nk, room, weight, room);
            use = room;
        }
        for (size_t c = first; c < end; c++) rc__k->pw.axpy(s->E, use[c], s->v->x + (p->k + c) * s->E, y);
    }
}

/* With P the weights, m what dropout multiplies them by, th = tanh(q_i + k_j) and e = dy . y:  dv += (P m)^T dy,
 * ds = P (m (dy v^T) - e),  dq_i += ds w (1 - th^2),  dk_j likewise,  dw += ds th */
static void backward_task(void *ctx, size_t b, int worker) {
    const additive_job *j = ctx;
    additive_node *s = j->s;
    const rc__span *p = &s->spans.at[b];
    size_t A = s->A, first, end;
    rc_real *ds = j->room + (size_t)worker * 2 * s->spans.longest, *keep = ds + s->spans.longest;
    rc_real *dw = j->dw ? j->dw + b * A : NULL;
    if (dw) memset(dw, 0, A * sizeof *dw);
    for (size_t i = 0; i < p->nq; i++) {
        const rc_real *weight = s->p + p->pairs + i * p->nk, *dy = s->n.out.dx + (p->q + i) * s->E;
        rc__span_seen(&s->spans, p, i, &first, &end);
        if (first == end) continue;
        if (s->dropout > 0) keep_mask(s, p->pairs + i * p->nk, p->nk, keep);
        double e = rc__k->pw.dot(s->E, dy, s->n.out.x + (p->q + i) * s->E);
        for (size_t c = first; c < end; c++) {
            double m = s->dropout > 0 ? (double)keep[c] : 1, P = (double)weight[c];
            if (j->dv) rc__k->pw.axpy(s->E, (rc_real)(P * m), dy, j->dv + (p->k + c) * s->E);
            ds[c] = j->any ? (rc_real)(P * (m * rc__k->pw.dot(s->E, dy, s->v->x + (p->k + c) * s->E) - e)) : 0;
        }
        if (j->any)
            rc__k->row.additive_back(end - first, A, s->q->x + (p->q + i) * A, s->k->x + (p->k + first) * A, s->w->x,
                                     ds + first, j->dq ? j->dq + (p->q + i) * A : NULL,
                                     j->dk ? j->dk + (p->k + first) * A : NULL, dw);
    }
}

static double work_of(const additive_node *s) {
    return (double)s->spans.pairs * (30.0 * (double)s->A + 2.0 * (double)s->E);
}

static void additive_backward(rc_tape *t, rc__node *self) {
    additive_node *s = (additive_node *)self;
    additive_job j = {.s = s, .dq = rc__grad(t, s->q), .dk = rc__grad(t, s->k), .dv = rc__grad(t, s->v)};
    rc_real *dw = rc__grad(t, s->w);
    j.any = j.dq || j.dk || dw;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    j.room = rc__tape_alloc(t, (size_t)rc__workers() * 2 * s->spans.longest * sizeof *j.room);
    if (dw) j.dw = rc__tape_alloc(t, s->spans.batch * s->A * sizeof *j.dw);
    if (rc__alive(t, self->op, 0)) {
        rc__parallel(s->spans.batch, 2 * work_of(s), backward_task, &j);
        if (dw)
            for (size_t b = 0; b < s->spans.batch; b++) rc__k->pw.add(s->A, dw, j.dw + b * s->A, dw);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
}

rc_var *rc_additive_attention(rc_tape *t, rc_var *q, rc_var *k, rc_var *w, rc_var *v, const rc_attention_options *o) {
    const char *op = "additive_attention";
    if (!rc__alive(t, op, 4, q, k, w, v)) return rc__dead(t);
    if (!o) return rc__op_fail(t, RC_EINVAL, op, "the options are NULL");
    if (q->ndim != 2 || k->ndim != 2 || v->ndim != 2 || k->dim[1] != q->dim[1] || w->len != q->dim[1] ||
        v->dim[0] != k->dim[0])
        return rc__op_fail(t, RC_EINVAL, op, "q is %s, k %s, w %s, v %s; expected (Nq, A), (Nk, A), (A), (Nk, E)",
                           rc__shape_text(q->ndim, q->dim), rc__shape_text(k->ndim, k->dim),
                           rc__shape_text(w->ndim, w->dim), rc__shape_text(v->ndim, v->dim));
    if (!(o->dropout >= 0 && o->dropout < 1))
        return rc__op_fail(t, RC_EINVAL, op, "dropout is %g, expected 0 <= p < 1", o->dropout);
    rc__spans spans;
    bool kv_grad = rc__tape_keeps(t, k) || rc__tape_keeps(t, v);
    if (!rc__spans_init(&spans, t, op, o, q->dim[0], k->dim[0], kv_grad)) return rc__dead(t);
    additive_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){q->dim[0], v->dim[1]},
                                    q->needs_grad || w->needs_grad || kv_grad, additive_backward);
    if (!s) return rc__dead(t);
    s->q = q, s->k = k, s->w = w, s->v = v, s->spans = spans, s->A = q->dim[1], s->E = v->dim[1];
    s->rng = rc__tape_rng(t); /* drawn even when unused: the masks of later ops do not depend on this one's dropout */
    s->dropout = rc_tape_get_mode(t).training ? o->dropout : 0;
    s->p = rc__tape_alloc(t, spans.pairs * sizeof *s->p);
    if (!s->p) return rc__dead(t);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    additive_job j = {.s = s, .room = rc__tape_alloc(t, (size_t)rc__workers() * 2 * spans.longest * sizeof *j.room)};
    if (j.room) rc__parallel(spans.batch, work_of(s), forward_task, &j);
    rc__arena_rewind(rc__tape_arena(t), mark);
    if (!j.room) return rc__dead(t);
    if (o->weights) memcpy(o->weights, s->p, spans.pairs * sizeof *s->p);
    return &s->n.out;
}
