/* rnn_step.c - one time step of all layers without a tape: streaming.
 *
 * Alone, or as a team where reading the weights takes long enough: each thread has its panels of columns of every product,
 * always the same ones, so that they stay in its own cache, and its rows of everything else. */
#include <string.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "nn/rnn_internal.h"
#include "nn/transformer.h"

/* One call of rc_rnn_step, as one thread of the team sees it. */
typedef struct step {
    const rc_rnn *r;
    rc_state *s;
    const rc_real *x;
    rc_real *y;
    rc_real *between; /* outputs of layers, 2 * B * P; a gate, B * P */
    rc_real *scratch; /* of the layer now running */
    int rank, size;
    size_t row0, row1; /* my rows */
} step;

/* My columns of C = A B, + bias or + C. */
static void product(const step *w, const rc_real *A, size_t lda, const rc__packed *B, const rc_real *bias, bool add,
                    rc_real *C, size_t ldc) {
    size_t first, last;
    rc__panel_rows rows = {A, C, w->s->batch};
    rc__gemm_share(B->N, w->rank, w->size, &first, &last);
    if (first < last) rc__gemm_packed_rows(1, &rows, lda, B, bias, add, ldc, first, last);
}

static size_t layer_scratch(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    size_t n = d->W + d->max_n + rnn->save_width + rnn->P + rnn->H;
    for (size_t s = 1; s < rnn->stages; s++) n += d->K[s];
    return rows * n;
}

static void layer_step(const step *w, size_t layer, const rc_real *x, rc_real *y) {
    const rc_rnn *rnn = w->r;
    const rc__dir *d = rc__rnn_dir(rnn, layer, 0);
    size_t H = rnn->H, P = rnn->P, ldg = d->W, rows = w->s->batch, first = w->row0, mine = w->row1 - w->row0;
    rc_real *h = w->s->h + layer * rows * P, *c = w->s->c ? w->s->c + layer * rows * H : NULL;
    rc_real *g = w->scratch, *u = g + rows * ldg, *save = u + rows * d->max_n, *h_new = save + rows * rnn->save_width;
    rc_real *c_new = h_new + rows * P, *at = c_new + rows * H, *a[RC_MAX_STAGES + 1] = {0};
    for (size_t s = 1; s < rnn->stages; s++) {
        a[s] = at;
        at += rows * d->K[s];
    }
    product(w, x, d->I, &d->ih, d->bias, false, g, ldg);
    rc__cell_step st = {.rows = mine, .H = H, .P = P, .stages = (int)rnn->stages, .g = g + first * ldg, .ldg = ldg,
                        .h_prev = h + first * P, .ldhp = P, .c_prev = c ? c + first * H : NULL, .h = h_new + first * P,
                        .ldh = P, .c = c_new + first * H, .save = save + first * rnn->save_width, .vec = d->vecs,
                        .x = d->sees_x ? x + first * d->I : NULL, .ldx = d->I};
    for (size_t i = 0; i < rnn->stages; i++) {
        const rc_real *op = i ? a[i] : h;
        size_t ld = i ? d->K[i] : P;
        bool add = d->kind[i] == RC_STAGE_ADD;
        /* the same columns of g were made by the same thread, unless this product has fewer */
        if (i == 0 && add && d->N[0] != d->GH) rc__team_wait(w->size);
        if (d->kind[i] != RC_STAGE_NONE)
            product(w, op, ld, &d->hh[i], d->kind[i] == RC_STAGE_APART && d->b_hh ? d->b_hh->w + d->row[i] : NULL, add,
                    add ? g + d->col[i] * H : u, add ? ldg : d->N[i]);
        if (i == 0 && d->A) product(w, op, ld, &d->aside, d->bias ? d->bias + d->GH : NULL, false, g + d->GH, ldg);
        rc__team_wait(w->size);
        st.stage = (int)i;
        st.u = add ? NULL : u + first * d->N[i];
        st.a_next = i + 1 < rnn->stages ? a[i + 1] + first * d->K[i + 1] : NULL;
        if (mine) rc__k->cell[rnn->cell->id].forward(&st);
        if (i + 1 < rnn->stages) rc__team_wait(w->size);
    }
    double zh = rnn->opt.zoneout_h, zc = rnn->opt.zoneout_c;
    if (zh > 0) rc__k->zone.forward(mine * P, NULL, (rc_real)zh, h + first * P, st.h, st.h);
    if (c && zc > 0) rc__k->zone.forward(mine * H, NULL, (rc_real)zc, c + first * H, st.c, st.c);
    memcpy(h + first * P, st.h, mine * P * sizeof *h);
    if (c) memcpy(c + first * H, st.c, mine * H * sizeof *c);
    memcpy(y + first * P, st.h, mine * P * sizeof *y);
    rc__team_wait(w->size);
}

/* to = in + to, or in + gate (to - in), of my rows. */
static void skip_step(const step *w, size_t layer, const rc_real *in, rc_real *to) {
    const rc_rnn *r = w->r;
    size_t P = r->P;
    rc_real *gate = w->between + 2 * w->s->batch * P;
    if (r->opt.skip == RC_SKIP_HIGHWAY) {
        product(w, in, P, &rc__rnn_dir(r, layer, 0)->gate, r->gate_b[layer]->w, false, gate, P);
        rc__team_wait(w->size);
    }
    size_t first = w->row0 * P, last = w->row1 * P;
    if (r->opt.skip == RC_SKIP_RESIDUAL) {
        rc__k->pw.add(last - first, in + first, to + first, to + first);
    } else {
        rc__k->pw.act[RC_ACT_SIGMOID](last - first, gate + first, gate + first);
        for (size_t i = first; i < last; i++) to[i] = in[i] + gate[i] * (to[i] - in[i]);
    }
    rc__team_wait(w->size);
}

static void step_team(void *ctx, int rank, int size) {
    step w = *(const step *)ctx;
    size_t B = w.s->batch;
    w.rank = rank;
    w.size = size;
    w.row0 = B * (size_t)rank / (size_t)size;
    w.row1 = B * (size_t)(rank + 1) / (size_t)size;
    const rc_real *in = w.x;
    for (size_t l = 0; l < w.r->L; l++) {
        rc_real *to = l + 1 == w.r->L ? w.y : w.between + l % 2 * B * w.r->P;
        layer_step(&w, l, in, to);
        if (l && w.r->opt.skip != RC_SKIP_NONE) skip_step(&w, l, in, to);
        in = to;
    }
}

static bool step_room(const rc_rnn *r, rc_state *s) {
    size_t most = 0;
    for (size_t l = 0; l < r->L; l++) {
        size_t n = layer_scratch(r, rc__rnn_dir(r, l, 0), s->batch);
        if (n > most) most = n;
    }
    size_t need = 3 * s->batch * r->P + most;
    if (need > s->step_len) {
        rc_real *p = rc__alloc(need * sizeof *p);
        if (!p) return false;
        rc__free(s->step, s->step_len * sizeof *s->step);
        s->step = p;
        s->step_len = need;
    }
    return true;
}

/* About how many ns a step takes one thread. */
static double step_ns(const rc_rnn *r, size_t batch, size_t *products) {
    size_t elements = 0;
    *products = 0;
    for (size_t l = 0; l < r->L; l++) {
        const rc__dir *d = rc__rnn_dir(r, l, 0);
        elements += d->GH * d->I + d->A * r->P;
        for (size_t i = 0; i < r->stages; i++) elements += d->N[i] * d->K[i];
        *products += r->stages;
    }
    double bytes = (double)(elements * rc__weight_bytes(rc_params_get_precision(r->ps)));
    double near = (double)rc__cpu_l2_bytes() / 4 * 3;
    double ns = bytes < near ? bytes / 100 : bytes / 25, flops = 2.0 * (double)(elements * batch) / 150;
    return flops > ns ? flops : ns;
}

/* A team must gain more than its coming together and its waits cost: some 1.5 us, and 0.3 us each. */
bool rc__rnn_step_shared(const rc_rnn *r, size_t batch, size_t threads) {
    size_t products;
    double ns = step_ns(r, batch, &products);
    double cost = rc__parallel_threshold > 0 ? 1500 + 300.0 * (double)(r->L + 2 * products) : 0; /* 0: tests */
    return threads > 1 && ns * (1 - 1.0 / (double)threads) > cost;
}

rc_status rc_rnn_step(const rc_rnn *r, rc_state *s, const rc_real *x, rc_real *y, rc_error *e) {
    if (r->D != 1 || r->opt.reverse || (r->blocks && r->opt.bidirectional))
        return rc_fail(e, RC_EINVAL, "rnn step: layers that read backwards cannot go step by step");
    if (s->rows != r->L || s->P != r->P || s->H != r->H || !s->c != !r->cell->has_c)
        return rc_fail(e, RC_EINVAL, "rnn step: the state is of %zu x %zu, expected %zu x %zu", s->rows, s->P, r->L,
                       r->P);
    if (r->blocks) return rc__transformer_state_step(r->blocks, s, x, y, e);
    rc_status status = rc__rnn_prepare(r, false, NULL, e);
    if (status) return status;
    if (!step_room(r, s)) return rc_fail(e, RC_ENOMEM, "rnn step: out of memory");
    step w = {.r = r, .s = s, .x = x, .y = y, .between = s->step, .scratch = s->step + 3 * s->batch * r->P};
    size_t products;
    if (rc__rnn_step_shared(r, s->batch, (size_t)rc_threads())) rc__team(step_ns(r, s->batch, &products), step_team, &w);
    else step_team(&w, 0, 1);
    return RC_OK;
}
