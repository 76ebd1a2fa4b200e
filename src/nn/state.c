/* state.c - the state of a stack of recurrent layers, apart from its weights. */
#include <string.h>
#include "nn/rnn_internal.h"
#include "nn/state_scratch.h"

rc_status rc_state_new(rc_state **out, const rc_rnn *r, size_t batch, rc_error *e) {
    *out = NULL;
    if (!batch) return rc_fail(e, RC_EINVAL, "state: batch is 0, expected 1 or more");
    if (!r->P) return rc_fail(e, RC_EINVAL, "state: a Transformer that sees both sides has none");
    rc_state *s = rc__calloc(1, sizeof *s);
    if (!s) return rc_fail(e, RC_ENOMEM, "state: out of memory");
    s->batch = batch;
    s->rows = r->L * r->D;
    s->P = r->P;
    s->H = r->H;
    size_t per_h, per_c;
    bool ok = rc__size_mul(s->rows * s->P, batch, &per_h) && rc__size_mul(s->rows * s->H, batch, &per_c);
    if (ok) {
        s->h_len = per_h;
        s->c_len = r->cell->has_c ? per_c : 0;
        s->h = rc__calloc(s->h_len, sizeof *s->h);
        if (s->c_len) s->c = rc__calloc(s->c_len, sizeof *s->c);
    }
    if (!ok || !s->h || (s->c_len && !s->c)) {
        rc_state_free(s);
        return rc_fail(e, RC_ENOMEM, "state: out of memory for %zu rows", batch);
    }
    rc_state_reset(s, r);
    *out = s;
    return RC_OK;
}

void rc_state_free(rc_state *s) {
    if (!s) return;
    rc__free(s->h, s->h ? s->h_len * sizeof *s->h : 0);
    rc__free(s->c, s->c ? s->c_len * sizeof *s->c : 0);
    rc__free(s->step, s->step_len * sizeof *s->step);
    rc__free(s->caller, s->caller_len * sizeof *s->caller);
    rc__free(s, sizeof *s);
}

size_t rc_state_batch(const rc_state *s) { return s->batch; }
rc_real *rc_state_h(rc_state *s) { return s->h; }
rc_real *rc_state_c(rc_state *s) { return s->c; }
size_t rc_state_h_len(const rc_state *s) { return s->h_len; }
size_t rc_state_c_len(const rc_state *s) { return s->c_len; }

static void reset_part(rc_real *to, size_t rows, size_t batch, size_t width, const rc_param *learnt, size_t row) {
    for (size_t l = 0; l < rows; l++) {
        rc_real *at = to + (l * batch + row) * width;
        if (learnt && learnt->w) memcpy(at, learnt->w + l * width, width * sizeof *at);
        else memset(at, 0, width * sizeof *at);
    }
}

rc_status rc_state_reset_row(rc_state *s, const rc_rnn *r, size_t row, rc_error *e) {
    if (row >= s->batch) return rc_fail(e, RC_EINVAL, "state: row %zu, expected 0 to %zu", row, s->batch - 1);
    reset_part(s->h, s->rows, s->batch, s->P, r->h0, row);
    if (s->c) reset_part(s->c, s->rows, s->batch, s->H, r->c0, row);
    return RC_OK;
}

void rc_state_reset(rc_state *s, const rc_rnn *r) {
    for (size_t b = 0; b < s->batch; b++) rc_state_reset_row(s, r, b, NULL);
}

static bool same_kind(const rc_state *a, const rc_state *b) {
    return a->rows == b->rows && a->P == b->P && a->H == b->H && !a->c == !b->c;
}

rc_status rc_state_copy(rc_state *to, const rc_state *from, rc_error *e) {
    if (!same_kind(to, from) || to->batch != from->batch)
        return rc_fail(e, RC_EINVAL, "state copy: %zu rows of %zu x %zu into %zu rows of %zu x %zu", from->batch,
                       from->rows, from->P, to->batch, to->rows, to->P);
    memcpy(to->h, from->h, to->h_len * sizeof *to->h);
    if (to->c) memcpy(to->c, from->c, to->c_len * sizeof *to->c);
    return RC_OK;
}

rc_status rc_state_copy_row(rc_state *to, size_t to_row, const rc_state *from, size_t from_row, rc_error *e) {
    if (!same_kind(to, from))
        return rc_fail(e, RC_EINVAL, "state copy: a row of %zu x %zu into one of %zu x %zu", from->rows, from->P,
                       to->rows, to->P);
    if (to_row >= to->batch || from_row >= from->batch)
        return rc_fail(e, RC_EINVAL, "state copy: row %zu of %zu into row %zu of %zu", from_row, from->batch, to_row,
                       to->batch);
    for (size_t l = 0; l < to->rows; l++) {
        memcpy(to->h + (l * to->batch + to_row) * to->P, from->h + (l * from->batch + from_row) * to->P,
               to->P * sizeof *to->h);
        if (to->c)
            memcpy(to->c + (l * to->batch + to_row) * to->H, from->c + (l * from->batch + from_row) * to->H,
                   to->H * sizeof *to->c);
    }
    return RC_OK;
}

rc_real *rc__state_scratch(rc_state *s, size_t len) {
    if (len > s->caller_len) {
        rc_real *p = rc__alloc(len * sizeof *p);
        if (!p) return NULL;
        rc__free(s->caller, s->caller_len * sizeof *s->caller);
        s->caller = p;
        s->caller_len = len;
    }
    return s->caller;
}
