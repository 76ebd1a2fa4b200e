/* steps.c - the time steps of one layer and direction, forward and backward.
 *
 * Forward. The input product of about CHUNK_ROWS rows is made for several steps at once, so that the input weights are read
 * once for all of them while the result stays in L2; then per step and stage the recurrent product and the cell.
 *
 * Backward. Per step in reverse: the cell leaves dg and du, a product with the transposed weights makes the gradient of the
 * operand. Weight gradients and dx are products over all rows, made afterwards by recurrence.c.
 *
 * One thread runs all of it, or a team: then a product is cut by panels of columns and everything else by tiles, with a wait
 * between the two. With one thread both cuts are the whole and the waits are nothing.
 */
#include <string.h>
#include "base/parallel.h"
#include "nn/recurrence.h"

#define CHUNK_ROWS 128

/* What one thread of the team does. */
typedef struct share {
    const rc__layer *ln;
    const rc__run *r;
    size_t first, rows;    /* of the group */
    size_t tile0, tile1;   /* mine */
    size_t begin, end;     /* tiles of the group */
    int rank, size;
} share;

static share share_of(const rc__layer *ln, const rc__run *r, size_t g, int rank, int size) {
    size_t t0 = g * ln->plan.group, t1 = t0 + ln->plan.group < ln->plan.tiles ? t0 + ln->plan.group : ln->plan.tiles, n = t1 - t0;
    size_t first = rc__order_first(&r->ord, t0);
    return (share){.ln = ln, .r = r, .first = first, .rows = rc__order_first(&r->ord, t1) - first,
                   .tile0 = t0 + n * (size_t)rank / (size_t)size, .tile1 = t0 + n * (size_t)(rank + 1) / (size_t)size,
                   .begin = t0, .end = t1, .rank = rank, .size = size};
}

/* Rows of tile t that run at step s, and where they are: the first of them in the order of all rows, there at the step
 * before, in the order of the batch (sorted), and in the group. */
typedef struct place {
    size_t n, row, before, first, in_group;
} place;

static place place_of(const share *w, size_t t, size_t s) {
    const rc__order *o = &w->r->ord;
    size_t first = rc__order_first(o, t);
    return (place){.n = rc__order_rows(o, t, s), .row = rc__order_at(o, t, s),
                   .before = s ? rc__order_at(o, t, s - 1) : 0, .first = first, .in_group = first - w->first};
}

/* Where the rows of a product's operand, or result, lie. */
typedef enum where { BY_ROW, BY_ROW_BEFORE, BY_BATCH, BY_GROUP } where;

static size_t place_at(const place *p, where by) {
    return by == BY_ROW ? p->row : by == BY_ROW_BEFORE ? p->before : by == BY_BATCH ? p->first : p->in_group;
}

typedef struct matrix { /* rows of a number of tiles */
    rc_real *x;
    size_t ld;
    where by;
} matrix;

#define SEGMENTS 64
typedef struct segments { /* blocks of rows of A and C; those that touch are one */
    rc__panel_rows rows[SEGMENTS];
    size_t n, first, last; /* my columns */
    const rc__packed *B;
    const rc_real *bias;
    bool add;
    size_t lda, ldc;
} segments;

static void segments_run(segments *g) {
    if (g->n && g->first < g->last)
        rc__gemm_packed_rows(g->n, g->rows, g->lda, g->B, g->bias, g->add, g->ldc, g->first, g->last);
    g->n = 0;
}

static void segments_add(segments *g, const rc_real *A, rc_real *C, size_t n) {
    rc__panel_rows *last = g->rows + g->n - 1;
    if (g->n && A == last->A + last->n * g->lda && C == last->C + last->n * g->ldc) {
        last->n += n;
    } else if (g->n && last->A == A + n * g->lda && last->C == C + n * g->ldc) {
        *last = (rc__panel_rows){A, C, n + last->n};
    } else {
        if (g->n == SEGMENTS) segments_run(g);
        g->rows[g->n++] = (rc__panel_rows){A, C, n};
    }
}

/* My columns of the product of the group's rows at step s. The team must meet before another part reads it. */
static void product(const share *w, size_t s, matrix A, const rc__packed *B, const rc_real *bias, bool add, matrix C) {
    segments g = {.n = 0, .B = B, .bias = bias, .add = add, .lda = A.ld, .ldc = C.ld};
    rc__gemm_share(B->N, w->rank, w->size, &g.first, &g.last);
    for (size_t t = w->begin; t < w->end; t++) {
        place at = place_of(w, t, s);
        if (!at.n) break; /* later tiles have no more rows */
        segments_add(&g, A.x + place_at(&at, A.by) * A.ld, C.x + place_at(&at, C.by) * C.ld, at.n);
    }
    segments_run(&g);
}

/* Recurrent dropout of a scan cell: its state meets no product, and a mask on the state itself would multiply it at each step.
 * There the mask is on what a step adds to the memory, the candidate's block of g or of dg ("recurrent dropout without memory
 * loss", Semeniuta et al. 2016, arXiv:1603.05118, eq. 8, with one mask per sequence). */
static void mask_candidate(const rc_rnn *rnn, size_t n, const rc_real *mask, rc_real *g, size_t ldg) {
    size_t H = rnn->H;
    g += (size_t)rnn->cell->candidate * H;
    for (size_t b = 0; b < n; b++) rc__k->pw.mul(H, g + b * ldg, mask + b * H, g + b * ldg);
}

/* What the cell reads at step s of a tile, forward and backward alike. */
static rc__cell_step step_of(const rc_rnn *rnn, const rc__run *r, const place *at, size_t s) {
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P, ldg = d->W, p = at->row;
    rc__cell_step st = {
        .rows = at->n, .H = H, .P = P, .stages = (int)rnn->stages, .g = r->g + p * ldg, .ldg = ldg, .vec = r->vec};
    st.h_prev = s ? r->h + at->before * r->ldh : r->h0 + at->first * P;
    st.ldhp = s ? r->ldh : P;
    if (r->c) {
        st.c_prev = s ? r->c + at->before * H : r->c0 + at->first * H;
        st.c = r->fresh_c + p * H;
    }
    if (rnn->save_width) st.save = r->save + p * rnn->save_width;
    if (d->sees_x) {
        st.x = r->x + p * d->I;
        st.ldx = d->I;
    }
    return st;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* g of steps s0 .. s1-1. */
static void input_product(const share *w, size_t s0, size_t s1) {
    const rc__run *r = w->r;
    const rc__dir *d = r->d;
    segments g = {.n = 0, .B = &d->ih, .bias = d->bias, .lda = d->I, .ldc = d->W};
    rc__gemm_share(d->GH, w->rank, w->size, &g.first, &g.last);
    for (size_t s = s0; s < s1; s++)
        for (size_t t = w->begin; t < w->end; t++) {
            place at = place_of(w, t, s);
            if (!at.n) break;
            segments_add(&g, r->x + at.row * d->I, r->g + at.row * d->W, at.n);
        }
    segments_run(&g);
    rc__team_wait(w->size);
}

/* Stage i of my tiles at step s: the cell, and the mask of the next operand. */
static void stage_forward(const share *w, size_t s, size_t i, const rc_real *u) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P;
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        if (!at.n) break;
        rc__cell_step st = step_of(rnn, r, &at, s);
        st.h = r->fresh_h ? r->fresh_h + at.row * P : r->h + at.row * r->ldh;
        st.ldh = r->fresh_h ? P : r->ldh;
        st.stage = (int)i;
        if (d->kind[i] != RC_STAGE_ADD) st.u = u + at.in_group * d->N[i];
        if (i + 1 < rnn->stages) st.a_next = r->a[i + 1] + at.row * d->K[i + 1];
        if (r->mask && rc__cell_scans(rnn->cell)) mask_candidate(rnn, at.n, r->mask + at.first * P, st.g, st.ldg);
        rc__k->cell[rnn->cell->id].forward(&st);
        if (i + 1 < rnn->stages) {
            if (r->mask && d->kind[i + 1] != RC_STAGE_PROJECT)
                rc__k->pw.mul(at.n * d->K[i + 1], st.a_next, r->mask + at.first * P, st.a_next);
            continue;
        }
        if (r->fresh_h)
            for (size_t b = 0; b < at.n; b++)
                rc__k->zone.forward(P, r->zone_h ? r->zone_h + (at.row + b) * P : NULL, (rc_real)w->ln->zone_h,
                                    st.h_prev + b * st.ldhp, st.h + b * P, r->h + (at.row + b) * r->ldh);
        if (r->c && r->fresh_c != r->c)
            rc__k->zone.forward(at.n * H, r->zone_c ? r->zone_c + at.row * H : NULL, (rc_real)w->ln->zone_c, st.c_prev,
                                r->fresh_c + at.row * H, r->c + at.row * H);
    }
    rc__team_wait(w->size);
}

/* a_0 = h(t-1) masked, of my tiles. */
static void mask_operand(const share *w, size_t s) {
    const rc__run *r = w->r;
    size_t P = w->ln->rnn->P;
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        rc__cell_step st = step_of(w->ln->rnn, r, &at, s);
        for (size_t b = 0; b < at.n; b++)
            rc__k->pw.mul(P, st.h_prev + b * st.ldhp, r->mask + (at.first + b) * P, r->a[0] + (at.row + b) * P);
    }
    rc__team_wait(w->size);
}

static void step_forward(const share *w, size_t s, rc_real *u) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    const rc__dir *d = r->d;
    matrix op = s ? (matrix){r->h, r->ldh, BY_ROW_BEFORE} : (matrix){r->h0, rnn->P, BY_BATCH};
    if (r->mask && d->kind[0] != RC_STAGE_NONE) {
        mask_operand(w, s);
        op = (matrix){r->a[0], rnn->P, BY_ROW};
    }
    for (size_t i = 0; i < rnn->stages; i++) {
        if (i) op = (matrix){r->a[i], d->K[i], BY_ROW};
        if (d->kind[i] == RC_STAGE_ADD)
            product(w, s, op, &d->hh[i], NULL, true, (matrix){r->g + d->col[i] * rnn->H, d->W, BY_ROW});
        else if (d->kind[i] != RC_STAGE_NONE)
            product(w, s, op, &d->hh[i], d->kind[i] == RC_STAGE_APART && d->b_hh ? d->b_hh->w + d->row[i] : NULL, false,
                    (matrix){u, d->N[i], BY_GROUP});
        if (i == 0 && d->A)
            product(w, s, op, &d->aside, d->bias ? d->bias + d->GH : NULL, false, (matrix){r->g + d->GH, d->W, BY_ROW});
        rc__team_wait(w->size);
        stage_forward(w, s, i, u);
    }
}

void rc__steps_forward(const rc__layer *ln, const rc__run *r, size_t g, int rank, int size, rc_real *scratch) {
    share w = share_of(ln, r, g, rank, size);
    size_t S = r->ord.S, chunk = w.rows < CHUNK_ROWS ? CHUNK_ROWS / w.rows : 1;
    for (size_t s = 0; s < S && rc__order_rows(&r->ord, w.begin, s); s++) {
        if (s % chunk == 0) input_product(&w, s, s + chunk < S ? s + chunk : S);
        step_forward(&w, s, scratch);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

static void column_sums(size_t rows, size_t cols, const rc_real *x, size_t ld, rc_real *sum) {
    for (size_t b = 0; b < rows; b++) rc__k->pw.axpy(cols, 1, x + b * ld, sum);
}

/* Scratch of a group's backward: rows of so many numbers each. */
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

/* Sums of tile t over its rows and steps: of dg (G*H), of the vectors, of the du that stages keep apart. */
static rc_real *part_of(const share *w, size_t t) { return w->r->part + t * w->ln->part_len; }

/* Before the stages of step s: the gradients of h and c of my tiles. */
static void gradient_in(const share *w, size_t s, const back_room *m) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    size_t H = rnn->H, P = rnn->P;
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        size_t from = at.in_group, later = s + 1 < r->ord.S ? rc__order_rows(&r->ord, t, s + 1) : 0;
        for (size_t b = from + later; b < from + at.n; b++) { /* this is the last step of these rows */
            copy_or_clear(m->carry + b * P, r->dhn, rc__order_row(&r->ord, w->first + b), P);
            if (r->c) copy_or_clear(m->dc + b * H, r->dcn, rc__order_row(&r->ord, w->first + b), H);
        }
        if (r->dy)
            for (size_t b = 0; b < at.n; b++)
                rc__k->pw.add(P, r->dy + (at.row + b) * r->lddy, m->carry + (from + b) * P, m->dh + (from + b) * P);
        else
            memcpy(m->dh + from * P, m->carry + from * P, at.n * P * sizeof *m->dh);
        memset(m->next + from * P, 0, at.n * P * sizeof *m->next);
        if (r->fresh_h)
            rc__k->zone.backward(at.n * P, r->zone_h ? r->zone_h + at.row * P : NULL, (rc_real)w->ln->zone_h,
                                 m->dh + from * P, m->next + from * P, m->fresh + from * P);
        if (r->c && r->fresh_c != r->c) {
            memset(m->dc_zone + from * H, 0, at.n * H * sizeof *m->dc_zone);
            rc__k->zone.backward(at.n * H, r->zone_c ? r->zone_c + at.row * H : NULL, (rc_real)w->ln->zone_c,
                                 m->dc + from * H, m->dc_zone + from * H, m->dc_fresh + from * H);
        }
    }
}

/* Stage i of my tiles: from da_next to du, and in the last call dg. */
static void stage_backward(const share *w, size_t s, size_t i, const back_room *m, const rc_real *da_next) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P, ldg = d->W;
    bool add = d->kind[i] == RC_STAGE_ADD;
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        if (!at.n) break;
        rc_real *part = part_of(w, t);
        rc__cell_grad cg = {.f = step_of(rnn, r, &at, s), .lddh = P, .dg = r->dg + at.row * ldg, .lddg = ldg,
                            .dh_prev = m->next + at.in_group * P, .dvec = part + ldg,
                            .scratch = m->cell + at.in_group * 4 * H};
        cg.dh = (r->fresh_h ? m->fresh : m->dh) + at.in_group * P;
        cg.dc = (r->c && r->fresh_c != r->c ? m->dc_fresh : m->dc) + at.in_group * H;
        if (d->sees_x) {
            cg.dx = r->dx ? r->dx + at.row * d->I : NULL;
            cg.lddx = d->I;
        }
        cg.f.stage = (int)i;
        cg.du = add ? cg.dg + d->col[i] * H : r->du[i] ? r->du[i] + at.row * d->N[i] : NULL;
        if (da_next) cg.da_next = da_next + at.in_group * d->K[i + 1];
        rc__k->cell[rnn->cell->id].backward(&cg);
    }
    rc__team_wait(w->size);
}

/* After the stages of step s: the gradient of c(t-1) and the sums of my tiles. */
static void gradient_out(const share *w, size_t s, const back_room *m) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    const rc__dir *d = r->d;
    size_t H = rnn->H, P = rnn->P, ldg = d->W;
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        rc_real *part = part_of(w, t), *sum = part + ldg + d->vecs_len, *dg = r->dg + at.row * ldg;
        if (r->mask && rc__cell_scans(rnn->cell)) mask_candidate(rnn, at.n, r->mask + at.first * P, dg, ldg);
        if (r->c && r->fresh_c != r->c)
            rc__k->pw.add(at.n * H, m->dc_zone + at.in_group * H, m->dc_fresh + at.in_group * H, m->dc + at.in_group * H);
        column_sums(at.n, ldg, dg, ldg, part);
        for (size_t i = 0; d->b_hh && i < rnn->stages; i++)
            if (d->kind[i] == RC_STAGE_APART) {
                column_sums(at.n, d->N[i], r->du[i] + at.row * d->N[i], d->N[i], sum);
                sum += d->N[i];
            }
    }
}

/* to = to * mask (then += into `sum` when given), of my tiles. */
static void mask_gradient(const share *w, size_t s, rc_real *to, size_t width, const rc_real *mask, rc_real *sum) {
    for (size_t t = w->tile0; t < w->tile1; t++) {
        place at = place_of(w, t, s);
        rc_real *mine = to + at.in_group * width;
        if (mask) rc__k->pw.mul(at.n * width, mine, mask + at.first * width, mine);
        if (sum) rc__k->pw.add(at.n * width, sum + at.in_group * width, mine, sum + at.in_group * width);
    }
}

/* One step: from m->carry and m->dc of step s to m->next and m->dc of step s - 1. */
static void step_backward(const share *w, size_t s, const back_room *m) {
    const rc__run *r = w->r;
    const rc_rnn *rnn = w->ln->rnn;
    const rc__dir *d = r->d;
    const rc_real *da_next = NULL;
    gradient_in(w, s, m);
    for (size_t i = rnn->stages; i-- > 0;) {
        stage_backward(w, s, i, m, da_next);
        if (d->kind[i] == RC_STAGE_NONE) break;
        bool add = d->kind[i] == RC_STAGE_ADD, masked = r->mask && d->kind[i] != RC_STAGE_PROJECT;
        matrix du = add ? (matrix){r->dg + d->col[i] * rnn->H, d->W, BY_ROW} : (matrix){r->du[i], d->N[i], BY_ROW};
        bool onto = i == 0 && !masked;
        rc_real *to = onto ? m->next : da_next == m->da ? m->da_too : m->da;
        product(w, s, du, &d->hh_back[i], NULL, onto, (matrix){to, d->K[i], BY_GROUP});
        if (i == 0 && d->A)
            product(w, s, (matrix){r->dg + d->GH, d->W, BY_ROW}, &d->aside_back, NULL, true, (matrix){to, d->K[0], BY_GROUP});
        rc__team_wait(w->size);
        if (!onto) {
            mask_gradient(w, s, to, d->K[i], masked ? r->mask : NULL, i == 0 ? m->next : NULL);
            da_next = to;
        }
    }
    gradient_out(w, s, m);
}

void rc__steps_backward(const rc__layer *ln, const rc__run *r, size_t g, int rank, int size, rc_real *scratch) {
    share w = share_of(ln, r, g, rank, size);
    const rc__order *o = &r->ord;
    size_t H = ln->rnn->H, P = ln->rnn->P;
    back_room m = back_room_at(ln->rnn, r->d, w.rows, scratch);
    for (size_t s = o->S; s-- > 0;) {
        if (!rc__order_rows(o, w.begin, s)) continue;
        step_backward(&w, s, &m);
        rc_real *swap = m.carry;
        m.carry = m.next;
        m.next = swap;
    }
    for (size_t t = w.tile0; t < w.tile1; t++) {
        size_t first = rc__order_first(o, t), ran = o->S ? rc__order_rows(o, t, 0) : 0;
        for (size_t b = first; b < rc__order_first(o, t + 1); b++) {
            bool here = b < first + ran; /* else a row of length 0: its final state is the initial one */
            size_t row = rc__order_row(o, b);
            if (r->dh0) copy_or_clear(r->dh0 + b * P, here ? m.carry : r->dhn, here ? b - w.first : row, P);
            if (r->dc0) copy_or_clear(r->dc0 + b * H, here ? m.dc : r->dcn, here ? b - w.first : row, H);
        }
    }
}

/* u of a step forward, or the room of a group's backward. */
size_t rc__steps_scratch(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    size_t forward = rows * d->max_n, backward = back_room_len(rnn, d, rows);
    return forward > backward ? forward : backward;
}
