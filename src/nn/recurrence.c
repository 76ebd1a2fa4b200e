/* recurrence.c - the driver of all cells: one layer, one or two directions, over a whole sequence.
 *
 * 1. Order. Rows are stored step after step: step s holds the rows still running, longest first. A full batch (all
 *    lengths T) is that layout already, so x and y are used in place, and reversal is only another order of the steps.
 *    Otherwise x is gathered, and y scattered (zero beyond each row's end).
 * 2. g = x W^T + bias for all steps at once.
 * 3. Rows are cut into tiles of a size that depends on the batch alone; a tile runs all its steps without meeting
 *    another: per step the recurrent product(s) and the cell. Tiles of both directions are one parallel job.
 * 4. Backward: per tile the steps in reverse, leaving dg and du of all steps; then dW, dR, db, dx as products over all
 *    rows.
 *
 * Sums over tiles (bias and vector gradients) are added in tile order. No sum's order depends on the number of threads.
 */
#include <string.h>
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "nn/rnn_internal.h"

typedef struct order {
    size_t T, B, S, R;    /* S steps (longest row), R rows in all */
    bool direct;
    size_t *n, *off;      /* (S) rows running at step s; where step s starts */
    int32_t *perm;        /* (B) sorted row -> row of the batch; NULL when direct */
    int32_t *source;      /* (R) packed row -> t * B + b; NULL when direct */
} order;

/* One direction of one layer in one forward. Letters as in cell.h. */
typedef struct run {
    const rc__dir *d;
    order ord;
    const rc_real *x;     /* (R, I) */
    rc_real *g;           /* (R, G*H) */
    rc_real *h;           /* (R, P), stride ldh: the output itself when direct */
    size_t ldh;
    rc_real *fresh_h;     /* (R, P) h before zoneout; NULL without */
    rc_real *c, *fresh_c; /* (R, H); fresh_c is c without zoneout */
    rc_real *save;        /* (R, save_width) */
    rc_real *a[RC_MAX_STAGES];  /* (R, K_s) operands; a[0] only when masked */
    rc_real *h0, *c0;     /* (B, P), (B, H) sorted */
    rc_real *mask;        /* (B, P) recurrent dropout, sorted; NULL without */
    const rc_real *drop_mask, *drop_masked; /* weight drop, as in rc__layer_io; NULL without */
    const rc_real *vec;   /* the vector parameters, dropped or not */
    rc_real *zone_h, *zone_c; /* (R, P), (R, H) zoneout masks; NULL without or at inference */
    /* backward */
    const rc_real *dy;    /* (R, P), stride lddy; NULL when no output gradient */
    size_t lddy;
    const rc_real *dhn, *dcn; /* (B, .) in batch order; NULL */
    rc_real *dg;          /* (R, G*H), g's own memory when the cell allows */
    rc_real *du[RC_MAX_STAGES]; /* (R, N_s) of the stages kept apart */
    rc_real *dx;          /* (R, I) for cells that see x; NULL */
    rc_real *dh0, *dc0;   /* (B, .) sorted */
    rc_real *part;        /* (tiles, part_len): bias and vector gradients of a tile */
} run;

typedef struct layer_node {
    rc__node n;
    const rc_rnn *rnn;
    rc_var *x, *h0, *c0;
    size_t first, layer, tile, tiles, part_len, worker_len;
    double zone_h, zone_c;
    rc_var *hn, *cn;      /* their nodes write nothing: we read their dx */
    uint64_t drop_id;
    run run[2];
    /* of the job now running */
    rc_real *worker_scratch;
} layer_node;

/* ---- order ------------------------------------------------------------------------------------------------------- */

static bool order_make(rc_tape *t, order *o, size_t T, size_t B, const int32_t *len, bool reverse) {
    *o = (order){.T = T, .B = B, .S = T, .R = T * B, .direct = true};
    for (size_t b = 0; len && b < B; b++)
        if ((size_t)len[b] != T) o->direct = false;
    if (!o->direct) {
        o->S = 0;
        o->R = 0;
        for (size_t b = 0; b < B; b++) {
            if ((size_t)len[b] > o->S) o->S = (size_t)len[b];
            o->R += (size_t)len[b];
        }
    }
    size_t S = o->S;
    o->n = rc__tape_alloc(t, 2 * (S + 1) * sizeof(size_t));
    if (!o->n) return false;
    o->off = o->n + S + 1;
    if (o->direct) {
        for (size_t s = 0; s < S; s++) {
            o->n[s] = B;
            o->off[s] = (reverse ? T - 1 - s : s) * B;
        }
        return true;
    }
    o->perm = rc__tape_alloc(t, B * sizeof(int32_t));
    o->source = rc__tape_alloc(t, (o->R + 1) * sizeof(int32_t));
    if (!o->perm || !o->source) return false;
    /* stable sort by length, longest first; a look at every row per length costs no more than x has rows */
    size_t at = 0;
    for (size_t l = S + 1; l-- > 0;)
        for (size_t b = 0; b < B; b++)
            if ((size_t)len[b] == l) o->perm[at++] = (int32_t)b;
    at = 0;
    size_t running = B;
    for (size_t s = 0; s < S; s++) {
        while (running && (size_t)len[o->perm[running - 1]] <= s) running--;
        o->n[s] = running;
        o->off[s] = at;
        for (size_t r = 0; r < running; r++) {
            size_t b = (size_t)o->perm[r], step = reverse ? (size_t)len[b] - 1 - s : s;
            o->source[at++] = (int32_t)(step * B + b);
        }
    }
    return true;
}

static bool reals(rc_tape *t, size_t n, rc_real **out) {
    return (*out = rc__tape_alloc(t, (n + 1) * sizeof **out)) != NULL; /* n may be 0: no row has a step */
}

static size_t row_of(const order *o, size_t sorted) { return o->direct ? sorted : (size_t)o->perm[sorted]; }

/* A new (R, width): the rows of from in the order of the steps. */
static rc_real *gather(rc_tape *t, const order *o, const rc_real *from, size_t ld, size_t width) {
    rc_real *to = rc__tape_alloc(t, (o->R * width + 1) * sizeof *to);
    for (size_t r = 0; to && r < o->R; r++)
        memcpy(to + r * width, from + (size_t)o->source[r] * ld, width * sizeof *to);
    return to;
}

/* Rows a tile has running at step s. */
static size_t active(const order *o, size_t s, size_t first, size_t rows) {
    return o->n[s] <= first ? 0 : o->n[s] - first < rows ? o->n[s] - first : rows;
}

/* 16 rows keep the products near their peak (kernels measure 270 of 285 GFLOP/s at 16 rows) and leave tiles for several
 * threads; small batches are cut in two. */
size_t rc__layer_tile_rows(size_t B) { return B >= 32 ? 16 : B >= 4 ? (B + 1) / 2 : B; }

double rc__layer_work(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    double per_row = 40.0 * (double)rnn->H;
    for (size_t s = 0; s < rnn->stages; s++) per_row += 2.0 * (double)(d->N[s] * d->K[s]);
    return (double)rows * per_row;
}

/* ---- one step: the stages of a cell ------------------------------------------------------------------------------ */

static void step_forward(const rc_rnn *rnn, const rc__dir *d, rc__cell_step *s, rc_real *const *a, const rc_real *a0,
                         size_t lda0, rc_real *u, const rc_real *mask) {
    const rc__cell_kernels *k = &rc__k->cell[rnn->cell->id];
    size_t H = rnn->H;
    for (size_t i = 0; i < rnn->stages; i++) {
        const rc_real *op = i ? a[i] : a0;
        size_t ld = i ? d->K[i] : lda0;
        if (i && mask && d->kind[i] != RC_STAGE_PROJECT)
            rc__k->pw.mul(s->rows * d->K[i], a[i], mask, a[i]);
        if (d->kind[i] == RC_STAGE_ADD)
            rc__gemm_packed(s->rows, op, ld, &d->hh[i], NULL, true, s->g + d->col[i] * H, s->ldg);
        else if (d->kind[i] == RC_STAGE_APART)
            rc__gemm_packed(s->rows, op, ld, &d->hh[i], d->b_hh ? d->b_hh->w + d->row[i] : NULL, false, u, d->N[i]);
        else if (d->kind[i] == RC_STAGE_PROJECT)
            rc__gemm_packed(s->rows, op, ld, &d->hh[i], NULL, false, u, d->N[i]);
        s->stage = (int)i;
        s->u = u;
        s->a_next = i + 1 < rnn->stages ? a[i + 1] : NULL;
        k->forward(s);
    }
}

/* Recurrent dropout of a scan cell: its state meets no product, and a mask on the state itself would multiply it at each step.
 * There the mask is on what a step adds to the memory, the candidate's block of g or of dg ("recurrent dropout without memory
 * loss", Semeniuta et al. 2016, arXiv:1603.05118, eq. 8, with one mask per sequence). */
static void mask_candidate(const rc_rnn *rnn, size_t n, const rc_real *mask, rc_real *g, size_t ldg) {
    size_t H = rnn->H;
    g += (size_t)rnn->cell->candidate * H;
    for (size_t b = 0; b < n; b++) rc__k->pw.mul(H, g + b * ldg, mask + b * H, g + b * ldg);
}

/* What the cell reads at step s of a tile with n rows running, forward and backward alike. */
static rc__cell_step step_of(const rc_rnn *rnn, const run *r, size_t first, size_t s, size_t n) {
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P, ldg = d->G * H;
    size_t p = r->ord.off[s] + first, q = s ? r->ord.off[s - 1] + first : 0; /* rows of this step, of the one before */
    rc__cell_step st = {
        .rows = n, .H = H, .P = P, .stages = (int)rnn->stages, .g = r->g + p * ldg, .ldg = ldg, .vec = r->vec};
    st.h_prev = s ? r->h + q * r->ldh : r->h0 + first * P;
    st.ldhp = s ? r->ldh : P;
    if (r->c) {
        st.c_prev = s ? r->c + q * H : r->c0 + first * H;
        st.c = r->fresh_c + p * H;
    }
    if (rnn->save_width) st.save = r->save + p * rnn->save_width;
    if (d->sees_x) {
        st.x = r->x + p * d->I;
        st.ldx = d->I;
    }
    return st;
}

static void tile_forward(const layer_node *ln, const run *r, size_t first, size_t rows, rc_real *scratch) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P;
    for (size_t s = 0; s < r->ord.S; s++) {
        size_t n = active(&r->ord, s, first, rows), p = r->ord.off[s] + first;
        if (!n) break;
        rc__cell_step st = step_of(rnn, r, first, s, n);
        st.h = r->fresh_h ? r->fresh_h + p * P : r->h + p * r->ldh;
        st.ldh = r->fresh_h ? P : r->ldh;
        const rc_real *h_prev = st.h_prev, *c_prev = st.c_prev, *mask = r->mask, *a0 = h_prev;
        size_t ldhp = st.ldhp, lda0 = ldhp;
        rc_real *a[RC_MAX_STAGES] = {0};
        for (size_t i = 1; i < rnn->stages; i++) a[i] = r->a[i] + p * d->K[i];
        if (mask) mask += first * P;
        if (mask && d->kind[0] == RC_STAGE_NONE) {
            mask_candidate(rnn, n, mask, st.g, st.ldg);
        } else if (mask) {
            for (size_t b = 0; b < n; b++) rc__k->pw.mul(P, h_prev + b * ldhp, mask + b * P, r->a[0] + (p + b) * P);
            a0 = r->a[0] + p * P;
            lda0 = P;
        }
        step_forward(rnn, d, &st, a, a0, lda0, scratch, mask);
        if (r->fresh_h)
            for (size_t b = 0; b < n; b++)
                rc__k->zone.forward(P, r->zone_h ? r->zone_h + (p + b) * P : NULL, (rc_real)ln->zone_h,
                                    h_prev + b * ldhp, r->fresh_h + (p + b) * P, r->h + (p + b) * r->ldh);
        if (r->c && r->fresh_c != r->c)
            rc__k->zone.forward(n * H, r->zone_c ? r->zone_c + p * H : NULL, (rc_real)ln->zone_c, c_prev,
                                r->fresh_c + p * H, r->c + p * H);
    }
}

static void forward_task(void *ctx, size_t task, int worker) {
    layer_node *ln = ctx;
    const run *r = &ln->run[task / ln->tiles];
    size_t first = task % ln->tiles * ln->tile, B = r->ord.B;
    size_t rows = B - first < ln->tile ? B - first : ln->tile;
    tile_forward(ln, r, first, rows, ln->worker_scratch + (size_t)worker * ln->worker_len);
}

/* ---- backward of a tile ------------------------------------------------------------------------------------------ */

static void column_sums(size_t rows, size_t cols, const rc_real *x, size_t ld, rc_real *sum) {
    for (size_t b = 0; b < rows; b++) rc__k->pw.axpy(cols, 1, x + b * ld, sum);
}

/* Scratch of one tile's backward: rows of so many numbers each. */
typedef struct back_room {
    rc_real *dh;          /* P: gradient of h(t) */
    rc_real *carry;       /* P: the part of it that comes from later steps */
    rc_real *next;        /* P: the same for h(t-1), being made */
    rc_real *fresh;       /* P: gradient of h before zoneout */
    rc_real *dc;          /* H: gradient of c(t), then of c(t-1) */
    rc_real *dc_zone;     /* H: under zoneout the part past the cell ... */
    rc_real *dc_fresh;    /* H: ... and the part through it */
    rc_real *cell;        /* 4H: rc__cell_grad's scratch */
    rc_real *da, *da_too; /* max_k: gradients of the operands of two stages */
} back_room;

static size_t back_room_len(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    return rows * (4 * rnn->P + 7 * rnn->H + 2 * d->max_k);
}

static back_room back_room_at(const rc_rnn *rnn, const rc__dir *d, size_t rows, rc_real *at) {
    back_room m = {.dh = at};
    m.carry = m.dh + rows * rnn->P;
    m.next = m.carry + rows * rnn->P;
    m.fresh = m.next + rows * rnn->P;
    m.dc = m.fresh + rows * rnn->P;
    m.dc_zone = m.dc + rows * rnn->H;
    m.dc_fresh = m.dc_zone + rows * rnn->H;
    m.cell = m.dc_fresh + rows * rnn->H;
    m.da = m.cell + rows * 4 * rnn->H;
    m.da_too = m.da + rows * d->max_k;
    return m;
}

static void copy_or_clear(rc_real *to, const rc_real *from, size_t row, size_t width) {
    if (from) memcpy(to, from + row * width, width * sizeof *to);
    else memset(to, 0, width * sizeof *to);
}

/* The stages of a step in reverse: du and dg of all of them; next += gradient of h(t-1) by the products. */
static void stages_backward(const rc_rnn *rnn, const run *r, rc__cell_grad *cg, size_t p, const rc_real *mask,
                            back_room *m) {
    const rc__cell_kernels *k = &rc__k->cell[rnn->cell->id];
    const rc__dir *d = r->d;
    size_t n = cg->f.rows, P = rnn->P;
    for (size_t i = rnn->stages; i-- > 0;) {
        bool add = d->kind[i] == RC_STAGE_ADD;
        rc_real *du = add ? cg->dg + d->col[i] * rnn->H : r->du[i] ? r->du[i] + p * d->N[i] : NULL;
        size_t ldu = add ? cg->lddg : d->N[i];
        cg->f.stage = (int)i;
        cg->du = du;
        k->backward(cg);
        if (d->kind[i] == RC_STAGE_NONE) break;
        if (i == 0 && !mask) {
            rc__gemm_packed(n, du, ldu, &d->hh_back[0], NULL, true, m->next, P);
        } else {
            rc_real *to = cg->da_next == m->da ? m->da_too : m->da;
            rc__gemm_packed(n, du, ldu, &d->hh_back[i], NULL, false, to, d->K[i]);
            if (mask && d->kind[i] != RC_STAGE_PROJECT) rc__k->pw.mul(n * d->K[i], to, mask, to);
            if (i == 0) rc__k->pw.add(n * P, m->next, to, m->next);
            cg->da_next = to;
        }
    }
}

/* One step of a tile: from m->carry and m->dc of step s to m->next and m->dc of step s - 1. */
static void step_backward(const layer_node *ln, const run *r, size_t first, size_t s, size_t n, back_room *m,
                          rc_real *part) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P, ldg = d->G * H, p = r->ord.off[s] + first;
    bool has_c = r->c != NULL;
    const rc_real *mask = r->mask ? r->mask + first * P : NULL;
    if (r->dy)
        for (size_t b = 0; b < n; b++) rc__k->pw.add(P, r->dy + (p + b) * r->lddy, m->carry + b * P, m->dh + b * P);
    else
        memcpy(m->dh, m->carry, n * P * sizeof *m->dh);
    memset(m->next, 0, n * P * sizeof *m->next);
    rc__cell_grad cg = {.f = step_of(rnn, r, first, s, n), .dh = m->dh, .lddh = P, .dg = r->dg + p * ldg, .lddg = ldg,
                        .dh_prev = m->next, .dc = m->dc, .dvec = part + ldg, .scratch = m->cell};
    if (d->sees_x) {
        cg.dx = r->dx ? r->dx + p * d->I : NULL;
        cg.lddx = d->I;
    }
    if (r->fresh_h) {
        rc__k->zone.backward(n * P, r->zone_h ? r->zone_h + p * P : NULL, (rc_real)ln->zone_h, m->dh, m->next,
                             m->fresh);
        cg.dh = m->fresh;
    }
    if (has_c && r->fresh_c != r->c) {
        memset(m->dc_zone, 0, n * H * sizeof *m->dc_zone);
        rc__k->zone.backward(n * H, r->zone_c ? r->zone_c + p * H : NULL, (rc_real)ln->zone_c, m->dc, m->dc_zone,
                             m->dc_fresh);
        cg.dc = m->dc_fresh;
    }
    stages_backward(rnn, r, &cg, p, mask, m);
    if (mask && d->kind[0] == RC_STAGE_NONE) mask_candidate(rnn, n, mask, cg.dg, ldg);
    if (cg.dc == m->dc_fresh) rc__k->pw.add(n * H, m->dc_zone, m->dc_fresh, m->dc);
    column_sums(n, ldg, cg.dg, ldg, part);
    rc_real *sum = part + ldg + d->vecs_len;
    for (size_t i = 0; d->b_hh && i < rnn->stages; i++)
        if (d->kind[i] == RC_STAGE_APART) {
            column_sums(n, d->N[i], r->du[i] + p * d->N[i], d->N[i], sum);
            sum += d->N[i];
        }
}

/* part: sums of this tile over its rows and steps: of dg (G*H), of the vectors, of the du that stages keep apart. */
static void tile_backward(const layer_node *ln, const run *r, size_t first, size_t rows, rc_real *scratch,
                          rc_real *part) {
    const rc_rnn *rnn = ln->rnn;
    const order *o = &r->ord;
    size_t H = rnn->H, P = rnn->P, before = 0; /* rows that were running at step s + 1 */
    back_room m = back_room_at(rnn, r->d, rows, scratch);
    for (size_t s = o->S; s-- > 0;) {
        size_t n = active(o, s, first, rows);
        if (!n) continue;
        for (size_t b = before; b < n; b++) { /* this is the last step of these rows */
            copy_or_clear(m.carry + b * P, r->dhn, row_of(o, first + b), P);
            if (r->c) copy_or_clear(m.dc + b * H, r->dcn, row_of(o, first + b), H);
        }
        before = n;
        step_backward(ln, r, first, s, n, &m, part);
        rc_real *swap = m.carry;
        m.carry = m.next;
        m.next = swap;
    }
    for (size_t b = 0; b < rows; b++) { /* a row of length 0: its final state is the initial one */
        bool ran = b < before;
        size_t row = row_of(o, first + b);
        if (r->dh0) copy_or_clear(r->dh0 + (first + b) * P, ran ? m.carry : r->dhn, ran ? b : row, P);
        if (r->dc0) copy_or_clear(r->dc0 + (first + b) * H, ran ? m.dc : r->dcn, ran ? b : row, H);
    }
}

static void backward_task(void *ctx, size_t task, int worker) {
    layer_node *ln = ctx;
    const run *r = &ln->run[task / ln->tiles];
    size_t first = task % ln->tiles * ln->tile, B = r->ord.B;
    size_t rows = B - first < ln->tile ? B - first : ln->tile;
    rc_real *part = r->part + task % ln->tiles * ln->part_len;
    tile_backward(ln, r, first, rows, ln->worker_scratch + (size_t)worker * ln->worker_len, part);
}

/* Scratch of a worker: u of a step forward, or the room of a tile's backward. */
static size_t worker_len(const rc_rnn *rnn, size_t layer, size_t rows) {
    size_t n = 0;
    for (size_t i = 0; i < rnn->D; i++) {
        const rc__dir *d = rc__rnn_dir(rnn, layer, i);
        size_t forward = rows * d->max_n, backward = back_room_len(rnn, d, rows);
        if (forward > n) n = forward;
        if (backward > n) n = backward;
    }
    return (n + 127) / 64 * 64;
}

/* ---- weight gradients -------------------------------------------------------------------------------------------- */

/* The operand of stage 0 for all rows in order: h(t-1). Full batches have it in h, one step away. */
static rc_real *gather_h_prev(rc_tape *t, const rc_rnn *rnn, const run *r) {
    size_t P = rnn->P;
    const order *o = &r->ord;
    rc_real *to = rc__tape_alloc(t, (o->R * P + 1) * sizeof *to);
    for (size_t s = 0; to && s < o->S; s++)
        for (size_t b = 0; b < o->n[s]; b++)
            memcpy(to + (o->off[s] + b) * P, s ? r->h + (o->off[s - 1] + b) * r->ldh : r->h0 + b * P, P * sizeof *to);
    return to;
}

/* dw (N, K) += du^T a over all rows of one stage. */
static bool stage_weight_gradient(rc_tape *t, const rc_rnn *rnn, const run *r, size_t i, rc_real *dw) {
    const rc__dir *d = r->d;
    const order *o = &r->ord;
    size_t N = d->N[i], K = d->K[i], ldu = d->kind[i] == RC_STAGE_ADD ? d->G * rnn->H : N;
    const rc_real *du = d->kind[i] == RC_STAGE_ADD ? r->dg + d->col[i] * rnn->H : r->du[i];
    if (i > 0 || r->mask) {
        return rc__tape_outer(t, N, K, o->R, du, ldu, r->a[i], K, true, dw, K);
    }
    if (!o->direct) {
        rc_real *a = gather_h_prev(t, rnn, r);
        return a && rc__tape_outer(t, N, K, o->R, du, ldu, a, K, true, dw, K);
    }
    size_t B = o->B, start = o->off[0]; /* forwards: steps 1.. meet h of steps ..T-2; backwards: the mirror */
    if (!rc__tape_outer(t, N, K, B, du + start * ldu, ldu, r->h0, K, true, dw, K)) return false;
    bool reverse = start != 0;
    return o->S < 2 || rc__tape_outer(t, N, K, (o->S - 1) * B, du + (reverse ? 0 : B * ldu), ldu,
                                      r->h + (reverse ? B * r->ldh : 0), r->ldh, true, dw, K);
}

static bool weight_gradients(rc_tape *t, const layer_node *ln, const run *r) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    const rc_real *drop = r->drop_mask;
    size_t H = rnn->H, GH = d->G * H, tiles = ln->tiles;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    bool ok = d->w_ih->frozen || rc__tape_outer(t, GH, d->I, r->ord.R, r->dg, GH, r->x, d->I, true, d->w_ih->g, d->I);
    if (ok && d->w_hh && !d->w_hh->frozen) {
        rc_real *dw = d->w_hh->g;
        if (drop && !(dw = rc__tape_alloc(t, d->w_hh->len * sizeof *dw))) ok = false;
        if (drop && ok) memset(dw, 0, d->w_hh->len * sizeof *dw);
        for (size_t i = 0; ok && i < rnn->stages; i++)
            if (d->kind[i] == RC_STAGE_ADD || d->kind[i] == RC_STAGE_APART)
                ok = stage_weight_gradient(t, rnn, r, i, dw + d->row[i] * d->K[i]);
        if (drop && ok) rc__k->pw.mul_add(d->w_hh->len, dw, drop, d->w_hh->g);
    }
    if (ok && d->w_hr && !d->w_hr->frozen) ok = stage_weight_gradient(t, rnn, r, rnn->stages - 1, d->w_hr->g);
    rc__arena_rewind(rc__tape_arena(t), mark);
    for (size_t i = 0; ok && i < tiles; i++) {
        const rc_real *part = r->part + i * ln->part_len, *vec = part + GH, *apart = vec + d->vecs_len;
        if (d->b_ih && !d->b_ih->frozen) rc__k->pw.axpy(GH, 1, part, d->b_ih->g);
        for (size_t s = 0; d->b_hh && s < rnn->stages; s++) {
            size_t N = d->N[s];
            const rc_real *db = part + d->col[s] * H;
            if (d->kind[s] == RC_STAGE_APART) {
                db = apart;
                apart += N;
            }
            if (d->kind[s] != RC_STAGE_PROJECT && !d->b_hh->frozen) rc__k->pw.axpy(N, 1, db, d->b_hh->g + d->row[s]);
        }
        for (size_t v = 0; v < RC_MAX_VECS && d->vec[v]; v++) {
            bool dropped = drop && !d->w_hh;
            if (!d->vec[v]->frozen && dropped) rc__k->pw.mul_add(d->vec[v]->len, vec, drop, d->vec[v]->g);
            else if (!d->vec[v]->frozen) rc__k->pw.axpy(d->vec[v]->len, 1, vec, d->vec[v]->g);
            vec += d->vec[v]->len;
        }
    }
    return ok;
}

/* ---- the node ---------------------------------------------------------------------------------------------------- */

/* dx = dg W, scattered when x was gathered. */
static bool input_gradient(rc_tape *t, const layer_node *ln, const run *r) {
    const rc__dir *d = r->d;
    size_t I = d->I, GH = d->G * ln->rnn->H, R = r->ord.R;
    if (r->ord.direct && !d->sees_x) {
        bool add;
        rc_real *dx = rc__grad_to(t, ln->x, &add);
        if (!dx) return !ln->x->needs_grad;
        rc__gemm_packed_mt(R, r->dg, GH, &d->ih_back, NULL, add, dx, I);
        return true;
    }
    rc_real *dx = rc__grad(t, ln->x);
    if (!dx) return !ln->x->needs_grad;
    rc_real *tmp = r->dx ? r->dx : rc__tape_alloc(t, (R * I + 1) * sizeof *tmp);
    if (!tmp) return false;
    if (R) rc__gemm_packed_mt(R, r->dg, GH, &d->ih_back, NULL, r->dx != NULL, tmp, I);
    for (size_t p = 0; p < R; p++)
        rc__k->pw.axpy(I, 1, tmp + p * I, dx + (r->ord.direct ? p : (size_t)r->ord.source[p]) * I);
    return true;
}

/* Adds from (B, width), sorted, to the gradient of v at row `first` of (rows, B, width). */
static void state_gradient(rc_tape *t, rc_var *v, size_t first, const rc_real *from, const order *o, size_t width) {
    rc_real *dv = rc__grad(t, v);
    for (size_t b = 0; dv && b < o->B; b++)
        rc__k->pw.axpy(width, 1, from + b * width, dv + (first * o->B + row_of(o, b)) * width);
}

/* The memory that a direction's backward fills. False: out of memory, or the weights cannot be packed. */
static bool run_backward_make(rc_tape *t, const layer_node *ln, size_t i, run *r) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    size_t R = r->ord.R, B = r->ord.B, GH = d->G * rnn->H, P = rnn->P, D = rnn->D;
    rc_error why = {0};
    if (rc__rnn_prepare_back(rnn, rc__rnn_dir(rnn, ln->layer, i), d->w_hh ? ln->drop_id : 0,
                             d->w_hh ? r->drop_masked : NULL, &why)) {
        rc__op_fail(t, why.code, "rnn", "%s", why.text);
        return false;
    }
    r->dy = ln->n.out.dx + i * P;
    r->lddy = D * P;
    if (!r->ord.direct) {
        r->dy = gather(t, &r->ord, r->dy, D * P, P);
        r->lddy = P;
        if (!r->dy) return false;
    }
    r->dhn = ln->hn && ln->hn->dx ? ln->hn->dx + i * B * P : NULL;
    r->dcn = ln->cn && ln->cn->dx ? ln->cn->dx + i * B * rnn->H : NULL;
    r->dg = r->g;
    if (rnn->cell->keep_g && !reals(t, R * GH, &r->dg)) return false;
    if (!reals(t, ln->tiles * ln->part_len, &r->part)) return false;
    memset(r->part, 0, ln->tiles * ln->part_len * sizeof *r->part);
    for (size_t s = 0; s < rnn->stages; s++)
        if (d->kind[s] == RC_STAGE_APART || d->kind[s] == RC_STAGE_PROJECT)
            if (!reals(t, R * d->N[s], &r->du[s])) return false;
    if (d->sees_x && ln->x->needs_grad) {
        if (!reals(t, R * d->I, &r->dx)) return false;
        memset(r->dx, 0, R * d->I * sizeof *r->dx);
    }
    if (ln->h0 && ln->h0->needs_grad && !reals(t, B * P, &r->dh0)) return false;
    return !(ln->c0 && ln->c0->needs_grad) || reals(t, B * rnn->H, &r->dc0);
}

/* When memory is out the tape knows already: rc_backward says so. */
static void layer_backward(rc_tape *t, rc__node *self) {
    layer_node *ln = (layer_node *)self;
    const rc_rnn *rnn = ln->rnn;
    size_t D = rnn->D;
    for (size_t i = 0; i < D; i++)
        if (!run_backward_make(t, ln, i, &ln->run[i])) return;
    double work = rc__layer_work(rnn, ln->run[0].d, ln->run[0].ord.R) * (double)D;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    ln->worker_scratch = rc__tape_alloc(t, (size_t)rc_threads() * ln->worker_len * sizeof(rc_real));
    if (!ln->worker_scratch) return;
    rc__parallel(ln->tiles * D, work, backward_task, ln);
    rc__arena_rewind(rc__tape_arena(t), mark);
    for (size_t i = 0; i < D; i++) {
        const run *r = &ln->run[i];
        if (!weight_gradients(t, ln, r)) return;
        if (ln->x->needs_grad && !input_gradient(t, ln, r)) return;
        if (r->dh0) state_gradient(t, ln->h0, ln->first + i, r->dh0, &r->ord, rnn->P);
        if (r->dc0) state_gradient(t, ln->c0, ln->first + i, r->dc0, &r->ord, rnn->H);
    }
}

/* hn and cn are nodes of their own; their backward makes sure that the layer's runs. */
typedef struct end_node {
    rc__node n;
    rc_var *layer;
} end_node;

static void end_backward(rc_tape *t, rc__node *self) { rc__grad(t, ((end_node *)self)->layer); }

static rc_var *end_var(rc_tape *t, layer_node *ln, const char *name, size_t width) {
    const rc_rnn *rnn = ln->rnn;
    size_t B = ln->n.out.dim[1], dims[3] = {rnn->D, B, width};
    end_node *e = rc__node_new(t, sizeof *e, name, 3, dims, ln->n.out.needs_grad, end_backward);
    if (!e) return NULL;
    e->layer = &ln->n.out;
    return &e->n.out;
}

/* Final h or c of every row, in batch order. */
static void final_state(const run *r, const rc_real *y, size_t ld, const rc_real *start, size_t width, rc_real *to) {
    const order *o = &r->ord;
    size_t s = o->S;
    for (size_t b = 0; b < o->B; b++) {
        while (s > 0 && o->n[s - 1] <= b) s--; /* rows are sorted: later rows end earlier */
        const rc_real *from = s ? y + (o->off[s - 1] + b) * ld : start + b * width;
        memcpy(to + row_of(o, b) * width, from, width * sizeof *to);
    }
}

static bool initial_state(rc_tape *t, const run *r, size_t dir, const rc_var *v, size_t first, const rc_real *plain,
                          size_t width, rc_real **out) {
    const order *o = &r->ord;
    rc_real *to = *out = rc__tape_alloc(t, (o->B * width + 1) * sizeof *to);
    if (!to) return false;
    const rc_real *from = v ? v->x + (first + dir) * o->B * width : plain ? plain + dir * o->B * width : NULL;
    for (size_t b = 0; b < o->B; b++)
        if (from) memcpy(to + b * width, from + row_of(o, b) * width, width * sizeof *to);
        else memset(to + b * width, 0, width * sizeof *to);
    return true;
}

/* Zoneout masks: 1 = keep the old value, with probability p. The table's dropout mask gives 0 with probability p. */
static bool zone_mask(rc_tape *t, size_t n, double p, rc_real **out) {
    rc_real *m = *out = rc__tape_alloc(t, (n + 1) * sizeof *m);
    rc_rng rng = rc__tape_rng(t);
    if (!m) return false;
    rc__k->pw.dropout_mask(n, rng, 0, p, m);
    for (size_t i = 0; i < n; i++) m[i] = m[i] == 0 ? 1 : 0;
    return true;
}

/* Whether some parameter of the layer is being trained; any of them may be frozen alone. */
static bool trains(const rc_rnn *rnn, size_t layer) {
    for (size_t i = 0; i < rnn->D; i++) {
        const rc__dir *d = rc__rnn_dir(rnn, layer, i);
        const rc_param *all[] = {d->w_ih, d->w_hh, d->b_ih, d->b_hh, d->w_hr};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k] && !all[k]->frozen) return true;
        for (size_t v = 0; v < RC_MAX_VECS && d->vec[v]; v++)
            if (!d->vec[v]->frozen) return true;
    }
    return false;
}

/* The masks of recurrent dropout and zoneout, in training. */
static bool run_masks(rc_tape *t, const layer_node *ln, run *r) {
    const rc_rnn *rnn = ln->rnn;
    size_t R = r->ord.R, B = r->ord.B, width = rnn->P;
    double p = rnn->opt.recurrent_dropout;
    if (p > 0) {
        rc_real *drawn; /* in batch order, so that a row's mask does not depend on the others' lengths */
        if (!reals(t, B * width, &drawn) || !reals(t, B * width, &r->mask)) return false;
        if (r->d->kind[0] != RC_STAGE_NONE && !reals(t, R * width, &r->a[0])) return false;
        rc__k->pw.dropout_mask(B * width, rc__tape_rng(t), 0, p, drawn);
        for (size_t b = 0; b < B; b++)
            memcpy(r->mask + b * width, drawn + row_of(&r->ord, b) * width, width * sizeof *drawn);
    }
    if (ln->zone_h > 0 && !zone_mask(t, R * rnn->P, ln->zone_h, &r->zone_h)) return false;
    return !(ln->zone_c > 0) || zone_mask(t, R * rnn->H, ln->zone_c, &r->zone_c);
}

/* One direction before its steps: order, memory, initial state, masks, and g of all steps. False: out of memory. */
static bool run_make(rc_tape *t, layer_node *ln, size_t i, const rc__layer_io *io) {
    const rc_rnn *rnn = ln->rnn;
    run *r = &ln->run[i];
    const rc__dir *d = r->d = rc__rnn_dir(rnn, ln->layer, i);
    size_t H = rnn->H, P = rnn->P, D = rnn->D, GH = d->G * H, T = ln->x->dim[0], B = ln->x->dim[1];
    r->drop_mask = io->drop_mask[i];
    r->drop_masked = io->drop_masked[i];
    r->vec = r->drop_masked && !d->w_hh ? r->drop_masked : d->vecs;
    if (!order_make(t, &r->ord, T, B, io->lengths, rnn->opt.reverse != (i == 1))) return false;
    size_t R = r->ord.R, part_len = GH + d->vecs_len;
    for (size_t s = 0; s < rnn->stages; s++)
        if (d->kind[s] == RC_STAGE_APART) part_len += d->N[s];
    part_len = (part_len + 15) / 16 * 16;
    if (part_len > ln->part_len) ln->part_len = part_len;
    r->x = r->ord.direct ? ln->x->x : gather(t, &r->ord, ln->x->x, d->I, d->I);
    if (!r->x || !reals(t, R * GH, &r->g)) return false;
    r->h = ln->n.out.x + i * P;
    r->ldh = D * P;
    if (!r->ord.direct) {
        r->ldh = P;
        if (!reals(t, R * P, &r->h)) return false;
    }
    if (ln->zone_h > 0 && !reals(t, R * P, &r->fresh_h)) return false;
    if (rnn->cell->has_c) {
        if (!reals(t, R * H, &r->c)) return false;
        r->fresh_c = r->c;
        if (ln->zone_c > 0 && !reals(t, R * H, &r->fresh_c)) return false;
    }
    if (rnn->save_width && !reals(t, R * rnn->save_width, &r->save)) return false;
    for (size_t s = 1; s < rnn->stages; s++)
        if (!reals(t, R * d->K[s], &r->a[s])) return false;
    if (!initial_state(t, r, i, io->h0, io->first, io->init_h, P, &r->h0)) return false;
    if (rnn->cell->has_c && !initial_state(t, r, i, io->c0, io->first, io->init_c, H, &r->c0)) return false;
    if (rc_tape_get_mode(t).training && !run_masks(t, ln, r)) return false;
    rc__gemm_packed_mt(R, r->x, d->I, &d->ih, d->bias, false, r->g, GH);
    return true;
}

/* The output in the order of the batch, zero beyond each row's end, when the runs kept theirs apart. */
static void scatter_output(const layer_node *ln) {
    size_t P = ln->rnn->P, D = ln->rnn->D;
    rc_real *y = ln->n.out.x;
    if (ln->run[0].ord.direct) return;
    memset(y, 0, ln->n.out.len * sizeof *y);
    for (size_t i = 0; i < D; i++) {
        const run *r = &ln->run[i];
        for (size_t p = 0; p < r->ord.R; p++)
            memcpy(y + (size_t)r->ord.source[p] * D * P + i * P, r->h + p * P, P * sizeof *y);
    }
}

static void final_states(const layer_node *ln, rc_real *h, rc_real *c) {
    const rc_rnn *rnn = ln->rnn;
    for (size_t i = 0; i < rnn->D; i++) {
        const run *r = &ln->run[i];
        if (h) final_state(r, r->h, r->ldh, r->h0, rnn->P, h + i * r->ord.B * rnn->P);
        if (c && r->c) final_state(r, r->c, rnn->H, r->c0, rnn->H, c + i * r->ord.B * rnn->H);
    }
}

rc_var *rc__rnn_layer(rc_tape *t, const rc_rnn *rnn, size_t layer, rc_var *x, rc__layer_io io) {
    size_t B = x->dim[1], D = rnn->D, dims[3] = {x->dim[0], B, D * rnn->P};
    bool needs = trains(rnn, layer) || x->needs_grad || (io.h0 && io.h0->needs_grad) || (io.c0 && io.c0->needs_grad);
    layer_node *ln = rc__node_new(t, sizeof *ln, "rnn", 3, dims, needs, layer_backward);
    if (!ln) return rc__dead(t);
    ln->rnn = rnn;
    ln->layer = layer;
    ln->x = x;
    ln->h0 = io.h0;
    ln->c0 = io.c0;
    ln->first = io.first;
    ln->drop_id = io.drop_id;
    ln->tile = rc__layer_tile_rows(B);
    ln->tiles = (B + ln->tile - 1) / ln->tile;
    ln->worker_len = worker_len(rnn, layer, ln->tile);
    ln->zone_h = rnn->opt.zoneout_h;
    ln->zone_c = rnn->cell->has_c ? rnn->opt.zoneout_c : 0;
    double work = 0;
    for (size_t i = 0; i < D; i++) {
        if (!run_make(t, ln, i, &io)) return rc__dead(t);
        work += rc__layer_work(rnn, ln->run[i].d, ln->run[i].ord.R);
    }
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    ln->worker_scratch = rc__tape_alloc(t, (size_t)rc_threads() * ln->worker_len * sizeof(rc_real));
    if (!ln->worker_scratch) return rc__dead(t);
    rc__parallel(ln->tiles * D, work, forward_task, ln);
    rc__arena_rewind(rc__tape_arena(t), mark);
    scatter_output(ln);
    final_states(ln, io.end_h, io.end_c);
    if (io.hn && !(*io.hn = ln->hn = end_var(t, ln, "rnn.hn", rnn->P))) return rc__dead(t);
    if (io.cn && rnn->cell->has_c && !(*io.cn = ln->cn = end_var(t, ln, "rnn.cn", rnn->H))) return rc__dead(t);
    final_states(ln, ln->hn ? ln->hn->x : NULL, ln->cn ? ln->cn->x : NULL);
    return &ln->n.out;
}

/* ---- one step without a tape ------------------------------------------------------------------------------------- */

size_t rc__layer_step_scratch(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    size_t n = d->G * rnn->H + d->max_n + rnn->save_width + rnn->P + rnn->H;
    for (size_t s = 1; s < rnn->stages; s++) n += d->K[s];
    return rows * n;
}

void rc__layer_step(const rc_rnn *rnn, const rc__dir *d, size_t rows, const rc_real *x, size_t ldx, rc_real *h,
                    rc_real *c, rc_real *y, size_t ldy, rc_real *scratch) {
    size_t H = rnn->H, P = rnn->P, GH = d->G * H;
    rc_real *g = scratch, *u = g + rows * GH, *save = u + rows * d->max_n, *h_new = save + rows * rnn->save_width;
    rc_real *c_new = h_new + rows * P, *at = c_new + rows * H, *a[RC_MAX_STAGES] = {0};
    for (size_t s = 1; s < rnn->stages; s++) {
        a[s] = at;
        at += rows * d->K[s];
    }
    rc__gemm_packed(rows, x, ldx, &d->ih, d->bias, false, g, GH);
    rc__cell_step st = {.rows = rows, .H = H, .P = P, .stages = (int)rnn->stages, .g = g, .ldg = GH, .h_prev = h,
                        .ldhp = P, .c_prev = c, .h = h_new, .ldh = P, .c = c_new, .save = save, .vec = d->vecs,
                        .x = d->sees_x ? x : NULL, .ldx = ldx};
    step_forward(rnn, d, &st, a, h, P, u, NULL);
    double zh = rnn->opt.zoneout_h, zc = rnn->opt.zoneout_c;
    if (zh > 0) rc__k->zone.forward(rows * P, NULL, (rc_real)zh, h, h_new, h_new);
    if (c && zc > 0) rc__k->zone.forward(rows * H, NULL, (rc_real)zc, c, c_new, c_new);
    memcpy(h, h_new, rows * P * sizeof *h);
    if (c) memcpy(c, c_new, rows * H * sizeof *c);
    for (size_t b = 0; b < rows; b++) memcpy(y + b * ldy, h + b * P, P * sizeof *y);
}
