/* layer_step.c - one time step of one layer without a tape: streaming. */
#include <string.h>
#include "kernels/kernels.h"
#include "nn/rnn_internal.h"

static void step_forward(const rc_rnn *rnn, const rc__dir *d, rc__cell_step *s, rc_real *const *a, const rc_real *a0,
                         size_t lda0, rc_real *u) {
    const rc__cell_kernels *k = &rc__k->cell[rnn->cell->id];
    size_t H = rnn->H;
    for (size_t i = 0; i < rnn->stages; i++) {
        const rc_real *op = i ? a[i] : a0;
        size_t ld = i ? d->K[i] : lda0;
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
    step_forward(rnn, d, &st, a, h, P, u);
    double zh = rnn->opt.zoneout_h, zc = rnn->opt.zoneout_c;
    if (zh > 0) rc__k->zone.forward(rows * P, NULL, (rc_real)zh, h, h_new, h_new);
    if (c && zc > 0) rc__k->zone.forward(rows * H, NULL, (rc_real)zc, c, c_new, c_new);
    memcpy(h, h_new, rows * P * sizeof *h);
    if (c) memcpy(c, c_new, rows * H * sizeof *c);
    for (size_t b = 0; b < rows; b++) memcpy(y + b * ldy, h + b * P, P * sizeof *y);
}
