/* attention.c - softmax(scores) v on packed rows: by products, scores = scale q k^T + bias (Vaswani et al. 2017, eq. 1), and
 * additive, w . tanh(q_i + k_j) (Bahdanau et al. 2015, arXiv 1409.0473, section 3.1).
 *
 * The arithmetic is in kernels/attention.inc. Forward a task is a piece of the queries of a sequence and one head of keys;
 * backward all queries of a sequence and one head of keys, whose gradients nobody else adds to. Letters: H heads of q, G
 * heads of k and v, D and E numbers of a head of k and of v. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "autograd/spans.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

#define PIECE 256 /* queries of a task: packing keys for them costs a few percent of what they then do with them */

rc_attention_options rc_attention_options_default(void) { return (rc_attention_options){.heads = 1}; }

typedef struct attention_node {
    rc__node n;
    rc_var *q, *k, *v, *w; /* w: of additive attention, else NULL */
    rc__spans spans;
    size_t H, G, D, E;
    double scale, *slope; /* slope: (H), or NULL */
    uint32_t least;       /* of 16-bit draws that let a weight stay; 0 when the tape does not train */
    rc_rng rng;
    rc_real *most, *part; /* (Nq, H) */
} attention_node;

typedef struct piece { /* queries [from, to) of a sequence */
    const rc__span *span;
    size_t from, to;
} piece;

typedef struct attention_job {
    const attention_node *s;
    piece *pieces;
    size_t count, each; /* each: elements of a worker's room */
    rc_real *room;
    rc_real *dq, *dk, *dv, *dw, *e, *weights; /* dw: a row of D per sequence */
} attention_job;

static rc__attend attend(const attention_job *j, const rc__span *p, size_t g, int worker) {
    const attention_node *s = j->s;
    size_t group = s->H / s->G, h = g * group, D = s->D, E = s->E, q = p->q * s->H + h, k = p->k * s->G + g;
    return (rc__attend){
        .nq = p->nq,
        .nk = p->nk,
        .D = D,
        .E = E,
        .group = group,
        .q = s->q->x + q * D,
        .k = s->k->x + k * D,
        .v = s->v->x + k * E,
        .y = s->n.out.x + q * E,
        .ldq = s->H * D,
        .ldk = s->G * D,
        .ldv = s->G * E,
        .ldy = s->H * E,
        .ld_stat = s->H,
        .most = s->most + q,
        .part = s->part + q,
        .to = p->nq,
        .w = s->w ? s->w->x : NULL,
        .causal = s->spans.causal,
        .window = s->spans.window,
        .scale = s->scale,
        .slope = s->slope ? s->slope + h : NULL,
        .least = s->least,
        .rng = s->rng,
        .first = q,
        .stride = s->H,
        .dy = s->n.out.dx ? s->n.out.dx + q * E : NULL,
        .dq = j->dq ? j->dq + q * D : NULL,
        .dk = j->dk ? j->dk + k * D : NULL,
        .dv = j->dv ? j->dv + k * E : NULL,
        .e = j->e ? j->e + q : NULL,
        .room = j->room + (size_t)worker * j->each,
    };
}

static void forward_task(void *ctx, size_t task, int worker) {
    const attention_job *j = ctx;
    const piece *p = &j->pieces[task / j->s->G];
    rc__attend a = attend(j, p->span, task % j->s->G, worker);
    a.from = p->from, a.to = p->to;
    rc__k->attention.forward(&a);
}

/* The mean of the weights over heads: all heads of a piece in one task, one after the other. */
static void weights_task(void *ctx, size_t task, int worker) {
    const attention_job *j = ctx;
    const piece *p = &j->pieces[task];
    rc_real *to = j->weights + p->span->pairs + p->from * p->span->nk;
    memset(to, 0, (p->to - p->from) * p->span->nk * sizeof *to);
    for (size_t g = 0; g < j->s->G; g++) {
        rc__attend a = attend(j, p->span, g, worker);
        a.from = p->from, a.to = p->to;
        rc__k->attention.weights(&a, (rc_real)(1 / (double)j->s->H), to);
    }
}

static void backward_task(void *ctx, size_t task, int worker) {
    const attention_job *j = ctx;
    const rc__span *p = &j->s->spans.at[task / j->s->G];
    if (p->nq == 0) return;
    rc__attend a = attend(j, p, task % j->s->G, worker);
    if (j->dw) a.dw = j->dw + task * j->s->D; /* one head: a task is a sequence */
    rc__k->attention.backward(&a);
}

static bool make_room(rc_tape *t, attention_job *j) {
    j->each = (rc__k->attention.room(j->s->D, j->s->E) + 15) / 16 * 16;
    j->room = rc__tape_alloc(t, (size_t)rc__workers() * j->each * sizeof *j->room);
    return j->room != NULL;
}

/* Queries of each sequence in pieces of about the same size; which does not depend on threads. */
static bool make_pieces(rc_tape *t, attention_job *j) {
    const rc__spans *s = &j->s->spans;
    size_t count = 0;
    for (size_t b = 0; b < s->batch; b++) count += rc__tiles(s->at[b].nq, PIECE);
    j->pieces = rc__tape_alloc(t, count * sizeof *j->pieces);
    if (!j->pieces) return false;
    for (size_t b = 0; b < s->batch; b++) {
        size_t nq = s->at[b].nq, n = rc__tiles(nq, PIECE);
        for (size_t i = 0; i < n; i++)
            j->pieces[j->count++] = (piece){.span = &s->at[b], .from = i * nq / n, .to = (i + 1) * nq / n};
    }
    return true;
}

/* Of all pairs: half of them are not seen when causal, few with a window. A tanh is as long as eight products. */
static double work_of(const attention_node *s) {
    return 2.0 * (double)s->spans.pairs * (double)s->H * ((s->w ? 8.0 : 1.0) * (double)s->D + (double)s->E + 16);
}

static bool forward(rc_tape *t, const attention_node *s, rc_real *weights) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    attention_job j = {.s = s, .weights = weights};
    bool ok = make_pieces(t, &j) && make_room(t, &j);
    if (ok) {
        rc__parallel(j.count * s->G, work_of(s), forward_task, &j);
        if (weights) rc__parallel(j.count, work_of(s), weights_task, &j);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return ok;
}

static void attention_backward(rc_tape *t, rc__node *self) {
    attention_node *s = (attention_node *)self;
    attention_job j = {.s = s, .dq = rc__grad(t, s->q), .dk = rc__grad(t, s->k), .dv = rc__grad(t, s->v)};
    rc_real *dw = rc__grad(t, s->w);
    size_t parts = dw ? s->spans.batch * s->D : 0;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    j.e = rc__tape_alloc(t, s->q->dim[0] * s->H * sizeof *j.e);
    if (dw) j.dw = rc__tape_alloc(t, parts * sizeof *j.dw);
    if (rc__alive(t, self->op, 0) && make_room(t, &j)) {
        if (dw) memset(j.dw, 0, parts * sizeof *j.dw);
        rc__parallel(s->spans.batch * s->G, 2.5 * work_of(s), backward_task, &j);
        for (size_t at = 0; at < parts; at += s->D) rc__k->pw.add(s->D, dw, j.dw + at, dw);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
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

/* The op of `a`, which has its inputs and sizes. */
static rc_var *attention(rc_tape *t, const char *op, const attention_node *a, const rc_attention_options *o) {
    if (!(o->dropout >= 0 && o->dropout < 1))
        return rc__op_fail(t, RC_EINVAL, op, "dropout is %g, expected 0 <= p < 1", o->dropout);
    bool kv_grad = rc__tape_keeps(t, a->k) || rc__tape_keeps(t, a->v), w_grad = a->w && a->w->needs_grad;
    size_t Nq = a->q->dim[0];
    rc__spans spans;
    if (!rc__spans_init(&spans, t, op, o, Nq, a->k->dim[0], kv_grad)) return rc__dead(t);
    attention_node *s = rc__node_new(t, sizeof *s, op, 2, (size_t[]){Nq, a->H * a->E},
                                     a->q->needs_grad || kv_grad || w_grad, attention_backward);
    if (!s) return rc__dead(t);
    rc__node node = s->n;
    *s = *a;
    s->n = node, s->spans = spans;
    s->rng = rc__tape_rng(t); /* drawn even when unused: the masks of later ops do not depend on this one's dropout */
    if (rc_tape_get_mode(t).training) s->least = (uint32_t)rc__min_size((size_t)lround(o->dropout * 65536), 65535);
    s->most = rc__tape_alloc(t, 2 * Nq * s->H * sizeof *s->most);
    if (!s->most) return rc__dead(t);
    s->part = s->most + Nq * s->H;
    return forward(t, s, o->weights) ? &s->n.out : rc__dead(t);
}

rc_var *rc_attention(rc_tape *t, rc_var *q, rc_var *k, rc_var *v, const rc_attention_options *o) {
    const char *op = "attention";
    if (!rc__alive(t, op, 3, q, k, v)) return rc__dead(t);
    if (!o) return rc__op_fail(t, RC_EINVAL, op, "the options are NULL");
    attention_node a = {.q = q, .k = k, .v = v};
    if (!shapes(t, op, &a, o)) return rc__dead(t);
    if (!isfinite(o->scale)) return rc__op_fail(t, RC_EINVAL, op, "scale is %g", o->scale);
    a.scale = o->scale != 0 ? o->scale : 1 / sqrt((double)a.D);
    if (o->alibi) {
        a.slope = rc__tape_alloc(t, a.H * sizeof *a.slope);
        if (!a.slope) return rc__dead(t);
        for (size_t h = 0; h < a.H; h++) a.slope[h] = exp2(-8.0 * (double)(h + 1) / (double)a.H);
    }
    return attention(t, op, &a, o);
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
    attention_node a = {.q = q, .k = k, .v = v, .w = w, .H = 1, .G = 1, .D = q->dim[1], .E = v->dim[1], .scale = 1};
    return attention(t, op, &a, o);
}
