/* transformer_step.c - blocks of attention one step at a time, without a tape: keys and values lie where their owner
 * keeps them, and none of them is moved. */
#include <math.h>
#include <string.h>
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "nn/transformer_internal.h"

/* ---- packed copies of the weights -------------------------------------------------------------------------------- */

void rc__tf_packed_free(rc__transformer *m) {
    rc__packed_free(&m->in);
    for (size_t l = 0; l < m->L; l++) {
        rc__tf_block *b = &m->blocks[l];
        rc__packed *all[] = {&b->self.in, &b->self.out, &b->cross.in, &b->cross.out,
                             &b->cross.k, &b->cross.v,  &b->ffn1,     &b->ffn2};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) rc__packed_free(all[i]);
    }
}

/* Rows [first, first + n) of w, as rc_linear reads them. */
static rc_status pack(const rc__transformer *m, rc__packed *to, const rc_param *w, size_t first, size_t n,
                      rc_error *e) {
    size_t K = w->dim[1];
    rc_status s = rc__packed_ready(to, rc__format_of(rc_params_get_precision(m->ps)), K, n, e);
    if (s == RC_OK) rc__packed_set(to, w->w + first * K, K, true);
    return s;
}

static rc_status pack_block(const rc__transformer *m, rc__tf_block *b, rc_error *e) {
    size_t H = m->H, KV = m->KV;
    rc__tf_attention *c = &b->cross;
    rc_status s = pack(m, &b->self.in, b->self.in_w, 0, H + 2 * KV, e);
    if (s == RC_OK) s = pack(m, &b->self.out, b->self.out_w, 0, H, e);
    if (s == RC_OK) s = pack(m, &b->ffn1, b->w1, 0, m->F1, e);
    if (s == RC_OK) s = pack(m, &b->ffn2, b->w2, 0, H, e);
    if (s != RC_OK || !m->memory_size) return s;
    s = pack(m, &c->in, c->in_w ? c->in_w : c->q_w, 0, H, e);
    if (s == RC_OK) s = pack(m, &c->k, c->in_w ? c->in_w : c->k_w, c->in_w ? H : 0, KV, e);
    if (s == RC_OK) s = pack(m, &c->v, c->in_w ? c->in_w : c->v_w, c->in_w ? H + KV : 0, KV, e);
    if (s == RC_OK) s = pack(m, &c->out, c->out_w, 0, H, e);
    return s;
}

static rc_status prepare(const rc__transformer *model, rc_error *e) {
    rc__transformer *m =
        (rc__transformer *)(uintptr_t)model; /* the copies are a cache: what it means does not change */
    uint64_t version = rc_params_version(m->ps);
    if (__atomic_load_n(&m->version, __ATOMIC_ACQUIRE) == version) return RC_OK;
    pthread_mutex_lock(&m->lock);
    rc_status s = RC_OK;
    if (m->version != version) {
        if (m->in_w) s = pack(m, &m->in, m->in_w, 0, m->H, e);
        for (size_t l = 0; l < m->L && s == RC_OK; l++) s = pack_block(m, &m->blocks[l], e);
        __atomic_store_n(&m->version, s == RC_OK ? version : 0, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&m->lock);
    return s;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* The room of a step: x, n (rows, H); p (rows, H + 2 KV or H): projections; a (rows, H); f (rows, F1); g (rows, F),
 * swiglu alone; and scores (rows, heads, most), mean and deviation of norms (rows, 2), cosines (D). */
typedef struct step {
    const rc__transformer *m;
    const rc__transformer_step *s;
    size_t most, layer, ldp;
    bool memory;
    rc_real *x, *n, *p, *a, *f, *g, *score, *norm, *turn;
    const rc_real *slope;
} step;

static size_t row_room(const rc__transformer *m, size_t most) {
    return 3 * m->H + m->H + 2 * m->KV + m->F1 + m->F + m->opt.heads * most + 2 + m->D;
}

size_t rc__transformer_step_room(const rc__transformer *m, size_t rows, size_t most) {
    return rows * row_room(m, most) + m->opt.heads;
}

static const rc_real *bias(const rc_param *p, size_t first) { return p ? p->w + first : NULL; }

static void normed(const step *w, const rc__tf_norm *n, const rc_real *x, rc_real *y) {
    const rc__transformer *m = w->m;
    size_t rows = w->s->rows;
    if (m->opt.rms_norm)
        rc__k->row.rms_norm(rows, m->H, x, n->w->w, RC__TF_EPS, y, w->norm);
    else
        rc__k->row.layer_norm(rows, m->H, x, n->w->w, bias(n->b, 0), RC__TF_EPS, y, w->norm, w->norm + rows);
}

static void attend_task(void *ctx, size_t i, int worker) {
    (void)worker;
    const step *w = ctx;
    const rc__transformer *m = w->m;
    const rc_rnn_options *o = &m->opt;
    size_t H = m->H, KV = m->KV;
    rc_real *p = w->p + i * w->ldp;
    rc__kv_rows rows = {0};
    if (w->memory) {
        w->s->store.memory(w->s->store.ctx, w->layer, i, &rows);
    } else {
        rc_real *k = NULL, *v = NULL;
        w->s->store.self(w->s->store.ctx, w->layer, i, &k, &v, &rows);
        if (o->positions == RC_POSITIONS_ROTARY)
            rc__k->row.rotate(o->heads + o->kv_heads, m->D, p, w->turn + i * m->D, p, false);
        memcpy(k, p + H, KV * sizeof *k);
        memcpy(v, p + H + KV, KV * sizeof *v);
    }
    rc_real *weights = w->memory && w->s->weights && w->layer + 1 == m->L ? w->s->weights + i * w->s->stride : NULL;
    if (weights) memset(weights, 0, w->s->stride * sizeof *weights);
    rc__attend_step a = {.n = rows.n,
                         .heads = o->heads,
                         .kv_heads = o->kv_heads,
                         .D = m->D,
                         .ld = rows.ld,
                         .q = p,
                         .k = rows.k,
                         .v = rows.v,
                         .index = rows.index,
                         .scale = (rc_real)(1 / sqrt((double)m->D)),
                         .slope = w->memory ? NULL : w->slope,
                         .newest = rows.newest,
                         .score = w->score + i * o->heads * w->most,
                         .weights = weights,
                         .out = w->a + i * H};
    RC_ASSERT(rows.n <= w->most);
    rc__k->attend_step(&a);
}

/* y = attention of in, times out_proj. */
static void attention(step *w, const rc__tf_attention *a, bool memory, const rc_real *in, rc_real *y) {
    const rc__transformer *m = w->m;
    size_t rows = w->s->rows, H = m->H;
    w->memory = memory;
    w->ldp = memory ? H : H + 2 * m->KV;
    rc__gemm_packed_mt(rows, in, H, &a->in, bias(a->in_b, 0), false, w->p, w->ldp);
    rc__parallel(rows, 4.0 * (double)(rows * w->most * H), attend_task, w);
    rc__gemm_packed_mt(rows, w->a, H, &a->out, bias(a->out_b, 0), false, y, H);
}

static void feed_forward(const step *w, const rc__tf_block *b, const rc_real *in, rc_real *y) {
    const rc__transformer *m = w->m;
    size_t rows = w->s->rows, F = m->F;
    const rc_real *f = w->f;
    rc__gemm_packed_mt(rows, in, m->H, &b->ffn1, bias(b->b1, 0), false, w->f, m->F1);
    if (m->opt.ffn_kind == RC_FFN_SWIGLU) {
        for (size_t i = 0; i < rows; i++) {
            rc__k->pw.act[RC_ACT_SILU](F, w->f + i * m->F1, w->g + i * F);
            rc__k->pw.mul(F, w->g + i * F, w->f + i * m->F1 + F, w->g + i * F);
        }
        f = w->g;
    } else {
        rc__k->pw.act[m->opt.ffn_kind == RC_FFN_RELU ? RC_ACT_RELU : RC_ACT_GELU](rows * F, w->f, w->f);
    }
    rc__gemm_packed_mt(rows, f, F, &b->ffn2, bias(b->b2, 0), false, y, m->H);
}

static void block(step *w) {
    const rc__transformer *m = w->m;
    const rc__tf_block *b = &m->blocks[w->layer];
    size_t len = w->s->rows * m->H;
    for (size_t part = 0, norm = 0; part < 3; part++) {
        if (part == 1 && !m->memory_size) continue;
        const rc_real *in = w->x;
        if (!m->opt.post_norm) normed(w, &b->norm[norm], w->x, w->n), in = w->n;
        rc_real *y = part == 2 ? w->a : w->n;
        if (part == 2)
            feed_forward(w, b, in, y);
        else
            attention(w, part ? &b->cross : &b->self, part == 1, in, y);
        rc__k->pw.add(len, w->x, y, w->x);
        if (m->opt.post_norm) {
            normed(w, &b->norm[norm], w->x, w->n);
            memcpy(w->x, w->n, len * sizeof *w->x);
        }
        norm++;
    }
}

/* Slopes of heads (Press et al. 2022, section 3). */
static const rc_real *slopes(const rc__transformer *m, rc_real *to) {
    for (size_t h = 0; h < m->opt.heads; h++) to[h] = (rc_real)exp2(-8.0 * (double)(h + 1) / (double)m->opt.heads);
    return to;
}

static void add_positions(step *w) {
    const rc__transformer *m = w->m;
    const rc__transformer_step *s = w->s;
    for (size_t i = 0; i < s->rows; i++) {
        rc_real *x = w->x + i * m->H;
        if (m->opt.positions == RC_POSITIONS_LEARNED) {
            uint64_t last = m->positions->dim[0] - 1, at = s->position[i] < last ? s->position[i] : last;
            rc__k->pw.add(m->H, x, m->positions->w + at * m->H, x);
        } else if (m->opt.positions == RC_POSITIONS_SINUSOIDAL) {
            rc__tf_sinusoid(m, s->position[i], w->n);
            rc__k->pw.add(m->H, x, w->n, x);
        } else if (m->opt.positions == RC_POSITIONS_ROTARY) {
            rc_real *t = w->turn + i * m->D;
            double p = s->turn ? (double)s->turn[i] : (double)s->position[i];
            for (size_t j = 0, half = m->D / 2; j < half; j++) {
                double angle = p * m->speed[j];
                t[j] = (rc_real)cos(angle);
                t[j + half] = (rc_real)sin(angle);
            }
        }
    }
}

rc_status rc__transformer_step_run(const rc__transformer *m, const rc__transformer_step *s, size_t most, rc_error *e) {
    rc_status status = prepare(m, e);
    if (status != RC_OK) return status;
    size_t n = s->rows, H = m->H;
    step w = {.m = m, .s = s, .most = most, .x = s->room};
    w.n = w.x + n * H;
    w.a = w.n + n * H;
    w.p = w.a + n * H;
    w.f = w.p + n * (H + 2 * m->KV);
    w.g = w.f + n * m->F1;
    w.score = w.g + n * m->F;
    w.norm = w.score + n * m->opt.heads * most;
    w.turn = w.norm + 2 * n;
    if (m->opt.positions == RC_POSITIONS_ALIBI) w.slope = slopes(m, w.turn + n * m->D);
    if (m->in_w)
        rc__gemm_packed_mt(n, s->x, m->I, &m->in, bias(m->in_b, 0), false, w.x, H);
    else
        memcpy(w.x, s->x, n * H * sizeof *w.x);
    add_positions(&w);
    for (w.layer = 0; w.layer < m->L; w.layer++) block(&w);
    if (m->opt.post_norm)
        memcpy(s->y, w.x, n * H * sizeof *s->y);
    else
        normed(&w, &m->norm, w.x, s->y);
    return RC_OK;
}

rc_status rc__transformer_memory_kv(const rc__transformer *m, size_t layer, size_t n, const rc_real *memory, rc_real *k,
                                    rc_real *v, rc_error *e) {
    rc_status s = prepare(m, e);
    if (s != RC_OK || !n) return s;
    const rc__tf_attention *a = &m->blocks[layer].cross;
    rc__gemm_packed_mt(n, memory, m->memory_size, &a->k, bias(a->in_b, m->H), false, k, m->KV);
    rc__gemm_packed_mt(n, memory, m->memory_size, &a->v, bias(a->in_b, m->H + m->KV), false, v, m->KV);
    return RC_OK;
}

/* ---- the state of rc_rnn ----------------------------------------------------------------------------------------- */

typedef struct ring {
    const rc__transformer *m;
    const rc_state *s;
    const uint64_t *seen;
} ring;

static void ring_rows(void *ctx, size_t layer, size_t row, rc_real **k, rc_real **v, rc__kv_rows *past) {
    const ring *r = ctx;
    size_t C = r->m->opt.context, KV = r->m->KV, slot = (size_t)(r->seen[row] % C);
    rc_real *keys = rc__tf_row(r->m, r->s, layer, row) + RC__TF_HEAD, *values = keys + C * KV;
    *k = keys + slot * KV;
    *v = values + slot * KV;
    *past = (rc__kv_rows){
        .k = keys, .v = values, .ld = KV, .newest = slot, .n = r->seen[row] < C ? (size_t)r->seen[row] + 1 : C};
}

rc_status rc__transformer_state_step(const rc__transformer *m, rc_state *s, const rc_real *x, rc_real *y, rc_error *e) {
    size_t B = s->batch, C = m->opt.context, room = rc__transformer_step_room(m, B, C);
    size_t need = room + (2 * sizeof(uint64_t) / sizeof(rc_real)) * (B + 1); /* and the counts, behind it */
    if (need > s->step_len) {
        rc_real *p = rc__alloc(need * sizeof *p);
        if (!p) return rc_fail(e, RC_ENOMEM, "rnn step: out of memory");
        rc__free(s->step, s->step_len * sizeof *s->step);
        s->step = p;
        s->step_len = need;
    }
    uint64_t *seen = (uint64_t *)(void *)(s->step + (room + 1) / 2 * 2);
    int32_t *turns = (int32_t *)(void *)(seen + B);
    for (size_t b = 0; b < B; b++) {
        seen[b] = rc__tf_seen(rc__tf_row(m, s, 0, b));
        turns[b] = (int32_t)(seen[b] % RC__TF_ERA);
    }
    ring r = {m, s, seen};
    rc__transformer_step st = {.rows = B,
                               .x = x,
                               .y = y,
                               .position = seen,
                               .turn = turns,
                               .room = s->step,
                               .store = {.ctx = &r, .self = ring_rows}};
    rc_status status = rc__transformer_step_run(m, &st, C, e);
    if (status != RC_OK) return status;
    for (size_t l = 0; l < m->L; l++)
        for (size_t b = 0; b < B; b++) {
            rc_real *row = rc__tf_row(m, s, l, b);
            rc__tf_rebase(m, row, seen[b], seen[b] + 1);
            rc__tf_set_seen(row, seen[b] + 1);
        }
    return RC_OK;
}
