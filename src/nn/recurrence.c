/* recurrence.c - the driver of all cells: one layer, one or two directions, over a whole sequence.
 *
 * 1. Order. Rows are stored step after step: step s holds the rows still running, longest first. A full batch (all lengths T)
 *    is that layout already, so x and y are used in place, and reversal is only another order of the steps. Otherwise x is
 *    gathered, and y scattered (zero beyond each row's end).
 * 2. g = x W^T + bias for all steps at once.
 * 3. Rows are cut into tiles of a size that depends on the batch alone; a tile runs all its steps without meeting another:
 *    per step the recurrent product(s) and the cell. Tiles of both directions are one parallel job.
 * 4. Backward: per tile the steps in reverse, leaving dg and du of all steps; then dW, dR, db, dx as products over all rows.
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
    rc_real *mask;        /* (B, P or H) recurrent dropout, sorted; NULL without */
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

/* ---- order ---------------------------------------------------------------------------------------------------------- */

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
    /* counting sort by length, longest first, stable; n[s] on the way */
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

static size_t row_of(const order *o, size_t sorted) { return o->direct ? sorted : (size_t)o->perm[sorted]; }

/* to (R, width) = rows of from, or the other way (adding when add). */
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

/* ---- one step: the stages of a cell ----------------------------------------------------------------------------------- */

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

/* Scratch of a worker: u, and in backward what worker_layout says. */
static size_t worker_len(const rc_rnn *rnn, size_t layer, size_t rows) {
    size_t n = 0, H = rnn->H, P = rnn->P;
    for (size_t i = 0; i < rnn->D; i++) {
        const rc__dir *d = rc__rnn_dir(rnn, layer, i);
        size_t fwd = rows * d->max_n;
        size_t bwd = rows * (2 * d->max_k + 4 * P + 3 * H + 4 * H + d->max_n);
        if (fwd > n) n = fwd;
        if (bwd > n) n = bwd;
    }
    return (n + 127) / 64 * 64;
}

static void tile_forward(const layer_node *ln, const run *r, size_t first, size_t rows, rc_real *scratch) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    const order *o = &r->ord;
    size_t H = rnn->H, P = rnn->P, ldg = d->G * H;
    bool scan = d->kind[0] == RC_STAGE_NONE;
    for (size_t s = 0; s < o->S; s++) {
        size_t n = active(o, s, first, rows);
        if (!n) break;
        size_t p = o->off[s] + first, q = s ? o->off[s - 1] + first : 0;
        rc__cell_step st = {.rows = n, .H = H, .P = P, .stages = (int)rnn->stages};
        st.g = r->g + p * ldg;
        st.ldg = ldg;
        st.h_prev = s ? r->h + q * r->ldh : r->h0 + first * P;
        st.ldhp = s ? r->ldh : P;
        if (r->c) {
            st.c_prev = s ? r->c + q * H : r->c0 + first * H;
            st.c = r->fresh_c + p * H;
        }
        st.h = r->fresh_h ? r->fresh_h + p * P : r->h + p * r->ldh;
        st.ldh = r->fresh_h ? P : r->ldh;
        if (rnn->save_width) st.save = r->save + p * rnn->save_width;
        st.vec = r->vec;
        if (d->sees_x) {
            st.x = r->x + p * d->I;
            st.ldx = d->I;
        }
        const rc_real *h_prev = st.h_prev, *c_prev = st.c_prev, *mask = r->mask;
        size_t ldhp = st.ldhp;
        rc_real *a[RC_MAX_STAGES] = {0};
        for (size_t i = 1; i < rnn->stages; i++) a[i] = r->a[i] + p * d->K[i];
        const rc_real *a0 = h_prev;
        size_t lda0 = ldhp;
        if (mask) {
            mask += first * (scan && r->c ? H : P);
            if (scan && r->c) { /* the state that recurs is c */
                rc__k->pw.mul(n * H, c_prev, mask, r->a[0] + p * H);
                st.c_prev = r->a[0] + p * H;
            } else {
                for (size_t b = 0; b < n; b++)
                    rc__k->pw.mul(P, h_prev + b * ldhp, mask + b * P, r->a[0] + (p + b) * P);
                a0 = r->a[0] + p * P;
                lda0 = P;
                if (scan) {
                    st.h_prev = a0;
                    st.ldhp = P;
                }
            }
        }
        step_forward(rnn, d, &st, a, a0, lda0, scratch, mask);
        if (r->fresh_h)
            for (size_t b = 0; b < n; b++)
                rc__k->zone.forward(P, r->zone_h ? r->zone_h + (p + b) * P : NULL, (rc_real)ln->zone_h, h_prev + b * ldhp,
                                    r->fresh_h + (p + b) * P, r->h + (p + b) * r->ldh);
        if (r->c && r->fresh_c != r->c)
            rc__k->zone.forward(n * H, r->zone_c ? r->zone_c + p * H : NULL, (rc_real)ln->zone_c, c_prev, r->fresh_c + p * H,
                                r->c + p * H);
    }
}

static void forward_task(void *ctx, size_t task, int worker) {
    layer_node *ln = ctx;
    const run *r = &ln->run[task / ln->tiles];
    size_t first = task % ln->tiles * ln->tile, B = r->ord.B;
    size_t rows = B - first < ln->tile ? B - first : ln->tile;
    tile_forward(ln, r, first, rows, ln->worker_scratch + (size_t)worker * ln->worker_len);
}

/* ---- backward of a tile ----------------------------------------------------------------------------------------------- */

static void column_sums(size_t rows, size_t cols, const rc_real *x, size_t ld, rc_real *sum) {
    for (size_t b = 0; b < rows; b++) rc__k->pw.axpy(cols, 1, x + b * ld, sum);
}

static void tile_backward(const layer_node *ln, const run *r, size_t first, size_t rows, rc_real *scratch, rc_real *part) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    const order *o = &r->ord;
    const rc__cell_kernels *k = &rc__k->cell[rnn->cell->id];
    size_t H = rnn->H, P = rnn->P, ldg = d->G * H;
    bool scan = d->kind[0] == RC_STAGE_NONE, masked_c = scan && r->c != NULL;
    rc_real *dh = scratch, *carry = dh + rows * P, *next = carry + rows * P, *fresh = next + rows * P;
    rc_real *dc = fresh + rows * P, *dc_zone = dc + rows * H, *dc_fresh = dc_zone + rows * H, *cell_scratch = dc_fresh + rows * H;
    rc_real *da = cell_scratch + rows * 4 * H, *da_other = da + rows * d->max_k, *du_tmp = da_other + rows * d->max_k;
    rc_real *part_vec = part + d->G * H;
    rc_real *part_apart = part_vec + d->vecs_len;
    bool has_c = r->c != NULL;
    size_t before = 0; /* rows that were running at step s + 1 */
    for (size_t s = o->S; s-- > 0;) {
        size_t n = active(o, s, first, rows);
        if (!n) continue;
        for (size_t b = before; b < n; b++) { /* this is the last step of these rows */
            size_t row = row_of(o, first + b);
            if (r->dhn) memcpy(carry + b * P, r->dhn + row * P, P * sizeof *carry);
            else memset(carry + b * P, 0, P * sizeof *carry);
            if (has_c && r->dcn) memcpy(dc + b * H, r->dcn + row * H, H * sizeof *dc);
            else if (has_c) memset(dc + b * H, 0, H * sizeof *dc);
        }
        before = n;
        size_t p = o->off[s] + first, q = s ? o->off[s - 1] + first : 0;
        if (r->dy)
            for (size_t b = 0; b < n; b++) rc__k->pw.add(P, r->dy + (p + b) * r->lddy, carry + b * P, dh + b * P);
        else
            memcpy(dh, carry, n * P * sizeof *dh);
        memset(next, 0, n * P * sizeof *next);
        rc_real *dh_cell = dh, *dc_cell = dc;
        if (r->fresh_h) {
            rc__k->zone.backward(n * P, r->zone_h ? r->zone_h + p * P : NULL, (rc_real)ln->zone_h, dh, next, fresh);
            dh_cell = fresh;
        }
        if (has_c && r->fresh_c != r->c) {
            memset(dc_zone, 0, n * H * sizeof *dc_zone);
            rc__k->zone.backward(n * H, r->zone_c ? r->zone_c + p * H : NULL, (rc_real)ln->zone_c, dc, dc_zone, dc_fresh);
            dc_cell = dc_fresh;
        }
        rc__cell_grad cg = {.f = {.rows = n, .H = H, .P = P, .stages = (int)rnn->stages}};
        cg.f.g = r->g + p * ldg;
        cg.f.ldg = ldg;
        cg.f.h_prev = s ? r->h + q * r->ldh : r->h0 + first * P;
        cg.f.ldhp = s ? r->ldh : P;
        if (has_c) {
            cg.f.c_prev = s ? r->c + q * H : r->c0 + first * H;
            cg.f.c = r->fresh_c + p * H;
        }
        const rc_real *mask = r->mask ? r->mask + first * (masked_c ? H : P) : NULL;
        if (mask && masked_c) cg.f.c_prev = r->a[0] + p * H;
        if (mask && scan && !masked_c) {
            cg.f.h_prev = r->a[0] + p * P;
            cg.f.ldhp = P;
        }
        if (rnn->save_width) cg.f.save = r->save + p * rnn->save_width;
        cg.f.vec = r->vec;
        if (d->sees_x) {
            cg.f.x = r->x + p * d->I;
            cg.f.ldx = d->I;
            cg.dx = r->dx ? r->dx + p * d->I : NULL;
            cg.lddx = d->I;
        }
        cg.dh = dh_cell;
        cg.lddh = P;
        cg.dg = r->dg + p * ldg;
        cg.lddg = ldg;
        /* a scan cell adds its path to h(t-1) apart, so that the mask meets it alone */
        cg.dh_prev = mask && scan && !masked_c ? da : next;
        if (cg.dh_prev == da) memset(da, 0, n * P * sizeof *da);
        cg.dc = dc_cell;
        cg.dvec = part_vec;
        cg.scratch = cell_scratch;
        for (size_t i = rnn->stages; i-- > 0;) {
            cg.f.stage = (int)i;
            rc_real *du = d->kind[i] == RC_STAGE_ADD ? cg.dg + d->col[i] * H : r->du[i] ? r->du[i] + p * d->N[i] : du_tmp;
            size_t ldu = d->kind[i] == RC_STAGE_ADD ? ldg : d->N[i];
            cg.du = du;
            k->backward(&cg);
            if (d->kind[i] == RC_STAGE_NONE) break;
            if (i == 0 && !mask) {
                rc__gemm_packed(n, du, ldu, &d->hh_back[0], NULL, true, next, P);
            } else {
                rc_real *to = cg.da_next == da ? da_other : da;
                rc__gemm_packed(n, du, ldu, &d->hh_back[i], NULL, false, to, d->K[i]);
                if (mask && d->kind[i] != RC_STAGE_PROJECT) rc__k->pw.mul(n * d->K[i], to, mask, to);
                if (i == 0) rc__k->pw.add(n * P, next, to, next);
                cg.da_next = to;
            }
        }
        if (cg.dh_prev == da) rc__k->pw.mul_add(n * P, da, mask, next);
        if (mask && masked_c) rc__k->pw.mul(n * H, dc_cell, mask, dc_cell);
        if (dc_cell == dc_fresh) rc__k->pw.add(n * H, dc_zone, dc_fresh, dc);
        column_sums(n, ldg, cg.dg, ldg, part);
        rc_real *sum = part_apart;
        for (size_t i = 0; i < rnn->stages; i++)
            if (d->kind[i] == RC_STAGE_APART && d->b_hh) {
                column_sums(n, d->N[i], r->du[i] + p * d->N[i], d->N[i], sum);
                sum += d->N[i];
            }
        rc_real *swap = carry;
        carry = next;
        next = swap;
    }
    for (size_t b = 0; b < rows; b++) {
        size_t row = row_of(o, first + b);
        bool empty = b >= before; /* length 0: the final state is the initial one */
        if (r->dh0) {
            rc_real *to = r->dh0 + (first + b) * P;
            if (!empty) memcpy(to, carry + b * P, P * sizeof *to);
            else if (r->dhn) memcpy(to, r->dhn + row * P, P * sizeof *to);
            else memset(to, 0, P * sizeof *to);
        }
        if (r->dc0) {
            rc_real *to = r->dc0 + (first + b) * H;
            if (!empty) memcpy(to, dc + b * H, H * sizeof *to);
            else if (r->dcn) memcpy(to, r->dcn + row * H, H * sizeof *to);
            else memset(to, 0, H * sizeof *to);
        }
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

/* ---- weight gradients -------------------------------------------------------------------------------------------------- */

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
        rc__gemm_mt(true, false, N, K, o->R, 1, du, ldu, r->a[i], K, 1, dw, K);
        return true;
    }
    if (!o->direct) {
        rc_real *a = gather_h_prev(t, rnn, r);
        if (!a) return false;
        rc__gemm_mt(true, false, N, K, o->R, 1, du, ldu, a, K, 1, dw, K);
        return true;
    }
    size_t B = o->B, start = o->off[0]; /* forwards: steps 1.. meet h of steps ..T-2; backwards: the mirror */
    rc__gemm_mt(true, false, N, K, B, 1, du + start * ldu, ldu, r->h0, K, 1, dw, K);
    if (o->S > 1) {
        bool reverse = start != 0;
        rc__gemm_mt(true, false, N, K, (o->S - 1) * B, 1, du + (reverse ? 0 : B * ldu), ldu, r->h + (reverse ? B * r->ldh : 0),
                    r->ldh, 1, dw, K);
    }
    return true;
}

static bool weight_gradients(rc_tape *t, const layer_node *ln, const run *r) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    const rc_real *drop = r->drop_mask;
    size_t H = rnn->H, GH = d->G * H, tiles = ln->tiles;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    bool ok = true;
    if (!d->w_ih->frozen) rc__gemm_mt(true, false, GH, d->I, r->ord.R, 1, r->dg, GH, r->x, d->I, 1, d->w_ih->g, d->I);
    if (d->w_hh && !d->w_hh->frozen) {
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

/* ---- the node ------------------------------------------------------------------------------------------------------------ */

static bool input_gradient(rc_tape *t, layer_node *ln, run *r, size_t first_dir) {
    const rc__dir *d = r->d;
    size_t I = d->I, GH = d->G * ln->rnn->H, R = r->ord.R;
    (void)first_dir;
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

static bool state_gradient(rc_tape *t, const layer_node *ln, rc_var *v, const rc_real *from, const order *o, size_t dir,
                           size_t width) {
    (void)ln;
    rc_real *dv = v ? rc__grad(t, v) : NULL;
    if (!dv) return true;
    for (size_t b = 0; b < o->B; b++)
        rc__k->pw.axpy(width, 1, from + b * width, dv + ((ln->first + dir) * o->B + row_of(o, b)) * width);
    return true;
}

static void layer_backward(rc_tape *t, rc__node *self) {
    layer_node *ln = (layer_node *)self;
    const rc_rnn *rnn = ln->rnn;
    size_t H = rnn->H, P = rnn->P, D = rnn->D, B = self->out.dim[1];
    bool want_dx = ln->x->needs_grad;
    for (size_t i = 0; i < D; i++) {
        run *r = &ln->run[i];
        const rc__dir *d = r->d;
        size_t R = r->ord.R, GH = d->G * H;
        rc_error why = {0};
        rc__dir *copies = rc__rnn_dir(rnn, ln->layer, i);
        if (rc__rnn_prepare_back(rnn, copies, d->w_hh ? ln->drop_id : 0, d->w_hh ? r->drop_masked : NULL, &why)) {
            rc__op_fail(t, why.code, "rnn", "%s", why.text);
            return;
        }
        r->dy = self->out.dx + i * P;
        r->lddy = D * P;
        if (!r->ord.direct) {
            r->dy = gather(t, &r->ord, r->dy, D * P, P);
            r->lddy = P;
            if (!r->dy) return;
        }
        r->dhn = ln->hn && ln->hn->dx ? ln->hn->dx + i * B * P : NULL;
        r->dcn = ln->cn && ln->cn->dx ? ln->cn->dx + i * B * H : NULL;
        r->dg = rnn->cell->keep_g ? rc__tape_alloc(t, (R * GH + 1) * sizeof(rc_real)) : r->g;
        r->part = rc__tape_alloc(t, (ln->tiles * ln->part_len + 1) * sizeof(rc_real));
        if (!r->dg || !r->part) return;
        memset(r->part, 0, ln->tiles * ln->part_len * sizeof(rc_real));
        for (size_t s = 0; s < rnn->stages; s++)
            if (d->kind[s] == RC_STAGE_APART || d->kind[s] == RC_STAGE_PROJECT)
                if (!(r->du[s] = rc__tape_alloc(t, (R * d->N[s] + 1) * sizeof(rc_real)))) return;
        if (d->sees_x && want_dx) {
            if (!(r->dx = rc__tape_alloc(t, (R * d->I + 1) * sizeof(rc_real)))) return;
            memset(r->dx, 0, R * d->I * sizeof(rc_real));
        }
        if (ln->h0 && ln->h0->needs_grad && !(r->dh0 = rc__tape_alloc(t, B * P * sizeof(rc_real)))) return;
        if (ln->c0 && ln->c0->needs_grad && !(r->dc0 = rc__tape_alloc(t, B * H * sizeof(rc_real)))) return;
    }
    double work = rc__layer_work(rnn, ln->run[0].d, ln->run[0].ord.R) * (double)D;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    ln->worker_scratch = rc__tape_alloc(t, (size_t)rc_threads() * ln->worker_len * sizeof(rc_real));
    if (!ln->worker_scratch) return;
    rc__parallel(ln->tiles * D, work, backward_task, ln);
    rc__arena_rewind(rc__tape_arena(t), mark);
    for (size_t i = 0; i < D; i++) {
        run *r = &ln->run[i];
        if (!weight_gradients(t, ln, r)) return;
        if (want_dx && !input_gradient(t, ln, r, i)) return;
        if (r->dh0) state_gradient(t, ln, ln->h0, r->dh0, &r->ord, i, P);
        if (r->dc0) state_gradient(t, ln, ln->c0, r->dc0, &r->ord, i, H);
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

static bool initial_state(rc_tape *t, const run *r, size_t dir, const rc_var *v, size_t first, const rc_real *plain, size_t width,
                          rc_real **out) {
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

rc_var *rc__rnn_layer(rc_tape *t, const rc_rnn *rnn, size_t layer, rc_var *x, rc__layer_io io) {
    size_t T = x->dim[0], B = x->dim[1], H = rnn->H, P = rnn->P, D = rnn->D;
    size_t dims[3] = {T, B, D * P};
    rc_tape_mode mode = rc_tape_get_mode(t);
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
        run *r = &ln->run[i];
        const rc__dir *d = r->d = rc__rnn_dir(rnn, layer, i);
        r->drop_mask = io.drop_mask[i];
        r->drop_masked = io.drop_masked[i];
        r->vec = r->drop_masked && !d->w_hh ? r->drop_masked : d->vecs;
        if (!order_make(t, &r->ord, T, B, io.lengths, rnn->opt.reverse != (i == 1))) return rc__dead(t);
        size_t R = r->ord.R, GH = d->G * H, apart = 0;
        for (size_t s = 0; s < rnn->stages; s++)
            if (d->kind[s] == RC_STAGE_APART) apart += d->N[s];
        work += rc__layer_work(rnn, d, R);
        size_t part_len = (GH + d->vecs_len + apart + 15) / 16 * 16;
        if (part_len > ln->part_len) ln->part_len = part_len;
        r->x = r->ord.direct ? x->x : gather(t, &r->ord, x->x, d->I, d->I);
        r->g = rc__tape_alloc(t, (R * GH + 1) * sizeof(rc_real));
        r->h = ln->n.out.x + i * P;
        r->ldh = D * P;
        if (!r->ord.direct) {
            r->h = rc__tape_alloc(t, (R * P + 1) * sizeof(rc_real));
            r->ldh = P;
        }
        bool ok = r->x && r->g && r->h;
        if (ok && ln->zone_h > 0) ok = (r->fresh_h = rc__tape_alloc(t, (R * P + 1) * sizeof(rc_real))) != NULL;
        if (ok && rnn->cell->has_c) {
            r->c = r->fresh_c = rc__tape_alloc(t, (R * H + 1) * sizeof(rc_real));
            if (r->c && ln->zone_c > 0) r->fresh_c = rc__tape_alloc(t, (R * H + 1) * sizeof(rc_real));
            ok = r->c && r->fresh_c;
        }
        if (ok && rnn->save_width)
            ok = (r->save = rc__tape_alloc(t, (R * rnn->save_width + 1) * sizeof(rc_real))) != NULL;
        for (size_t s = 1; ok && s < rnn->stages; s++)
            ok = (r->a[s] = rc__tape_alloc(t, (R * d->K[s] + 1) * sizeof(rc_real))) != NULL;
        ok = ok && initial_state(t, r, i, io.h0, io.first, io.init_h, P, &r->h0);
        if (rnn->cell->has_c) ok = ok && initial_state(t, r, i, io.c0, io.first, io.init_c, H, &r->c0);
        if (ok && mode.training && rnn->opt.recurrent_dropout > 0) {
            size_t width = d->kind[0] == RC_STAGE_NONE && r->c ? H : P;
            rc_real *m = rc__tape_alloc(t, B * width * sizeof *m);
            r->a[0] = rc__tape_alloc(t, (R * width + 1) * sizeof *m);
            r->mask = rc__tape_alloc(t, B * width * sizeof *m);
            ok = m && r->a[0] && r->mask;
            rc_rng rng = rc__tape_rng(t);
            if (ok) { /* drawn in batch order, so that a row's mask does not depend on the others' lengths */
                rc__k->pw.dropout_mask(B * width, rng, 0, rnn->opt.recurrent_dropout, m);
                for (size_t b = 0; b < B; b++)
                    memcpy(r->mask + b * width, m + row_of(&r->ord, b) * width, width * sizeof *m);
            }
        }
        if (ok && mode.training && ln->zone_h > 0) ok = zone_mask(t, R * P, ln->zone_h, &r->zone_h);
        if (ok && mode.training && ln->zone_c > 0) ok = zone_mask(t, R * H, ln->zone_c, &r->zone_c);
        if (!ok) return rc__dead(t);
        rc__gemm_packed_mt(R, r->x, d->I, &d->ih, d->bias, false, r->g, GH);
    }
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    ln->worker_scratch = rc__tape_alloc(t, (size_t)rc_threads() * ln->worker_len * sizeof(rc_real));
    if (!ln->worker_scratch) return rc__dead(t);
    rc__parallel(ln->tiles * D, work, forward_task, ln);
    rc__arena_rewind(rc__tape_arena(t), mark);
    for (size_t i = 0; i < D; i++) {
        run *r = &ln->run[i];
        if (!r->ord.direct) {
            rc_real *y = ln->n.out.x;
            if (i == 0) memset(y, 0, T * B * D * P * sizeof *y);
            for (size_t p = 0; p < r->ord.R; p++)
                memcpy(y + (size_t)r->ord.source[p] * D * P + i * P, r->h + p * P, P * sizeof *y);
        }
        if (io.end_h) final_state(r, r->h, r->ldh, r->h0, P, io.end_h + i * B * P);
        if (io.end_c && r->c) final_state(r, r->c, H, r->c0, H, io.end_c + i * B * H);
    }
    if (io.hn) {
        if (!(*io.hn = ln->hn = end_var(t, ln, "rnn.hn", P))) return rc__dead(t);
        for (size_t i = 0; i < D; i++)
            final_state(&ln->run[i], ln->run[i].h, ln->run[i].ldh, ln->run[i].h0, P, ln->hn->x + i * B * P);
    }
    if (io.cn && rnn->cell->has_c) {
        if (!(*io.cn = ln->cn = end_var(t, ln, "rnn.cn", H))) return rc__dead(t);
        for (size_t i = 0; i < D; i++) final_state(&ln->run[i], ln->run[i].c, H, ln->run[i].c0, H, ln->cn->x + i * B * H);
    }
    return &ln->n.out;
}

/* ---- one step without a tape --------------------------------------------------------------------------------------------- */

size_t rc__layer_step_scratch(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    size_t n = d->G * rnn->H + d->max_n + rnn->save_width + rnn->P + rnn->H;
    for (size_t s = 1; s < rnn->stages; s++) n += d->K[s];
    return rows * n;
}

void rc__layer_step(const rc_rnn *rnn, const rc__dir *d, size_t rows, const rc_real *x, size_t ldx, rc_real *h, rc_real *c,
                    rc_real *y, size_t ldy, rc_real *scratch) {
    size_t H = rnn->H, P = rnn->P, GH = d->G * H;
    rc_real *g = scratch, *u = g + rows * GH, *save = u + rows * d->max_n, *h_new = save + rows * rnn->save_width;
    rc_real *c_new = h_new + rows * P, *at = c_new + rows * H, *a[RC_MAX_STAGES] = {0};
    for (size_t s = 1; s < rnn->stages; s++) {
        a[s] = at;
        at += rows * d->K[s];
    }
    rc__gemm_packed(rows, x, ldx, &d->ih, d->bias, false, g, GH);
    rc__cell_step st = {.rows = rows, .H = H, .P = P, .stages = (int)rnn->stages, .g = g, .ldg = GH, .h_prev = h, .ldhp = P,
                        .c_prev = c, .h = h_new, .ldh = P, .c = c_new, .save = save, .vec = d->vecs,
                        .x = d->sees_x ? x : NULL, .ldx = ldx};
    step_forward(rnn, d, &st, a, h, P, u, NULL);
    double zh = rnn->opt.zoneout_h, zc = rnn->opt.zoneout_c;
    if (zh > 0) rc__k->zone.forward(rows * P, NULL, (rc_real)zh, h, h_new, h_new);
    if (c && zc > 0) rc__k->zone.forward(rows * H, NULL, (rc_real)zc, c, c_new, c_new);
    memcpy(h, h_new, rows * P * sizeof *h);
    if (c) memcpy(c, c_new, rows * H * sizeof *c);
    for (size_t b = 0; b < rows; b++) memcpy(y + b * ldy, h + b * P, P * sizeof *y);
}
