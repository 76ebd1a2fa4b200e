/* conv.c - convolution over time, as torch.nn.functional.conv1d with stride 1. Letters: T steps, B rows, I inputs, O
 * outputs, K offsets (taps), L steps of a row.
 *
 *     y[t] = b + sum over k of W[:, :, k] x[t + k - pad_left]
 *
 * Nothing is unfolded: a row's valid steps are copied one after the other with K - 1 steps of zeros around them, so
 * that the K steps of a window lie side by side and step t's window begins I numbers after that of t - 1. One product
 * over rows of K I numbers, I apart, makes y from it; padding is never computed, and y is written where it belongs, B O
 * apart. Backward: dx is the same product of dy, with its own zeros and the taps in reverse; dW = dy^T windows, one
 * product over all rows, where the zeros around dy see to it that windows across two rows do not count.
 */
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/gemm.h"

typedef struct conv_node {
    rc__node n;
    rc_var *x, *w, *b;
    size_t T, B, I, O, K, pad;
    size_t *len;      /* (B) valid steps */
    size_t *at;       /* (B + 1) where a row begins among the padded ones */
    size_t steps;     /* the sum of len */
    rc_real *windows; /* x padded: (at[B], I) */
} conv_node;

#define PIECE_ROWS ((size_t)96) /* rows of a task: one pass over the weights */

/* ---- rows with zeros around them --------------------------------------------------------------------------------- */

typedef struct pad_job {
    const conv_node *c;
    size_t width, before; /* numbers of a step; steps of zeros in front */
    const rc_real *from;  /* (T, B, width) */
    rc_real *to;          /* (at[B], width) */
} pad_job;

static void pad_task(void *ctx, size_t b, int worker) {
    (void)worker;
    const pad_job *j = ctx;
    const conv_node *c = j->c;
    size_t L = c->len[b], F = j->width, after = c->K - 1 - j->before;
    if (L == 0) return;
    rc_real *to = j->to + c->at[b] * F;
    memset(to, 0, j->before * F * sizeof *to);
    to += j->before * F;
    for (size_t s = 0; s < L; s++) memcpy(to + s * F, j->from + (s * c->B + b) * F, F * sizeof *to);
    memset(to + L * F, 0, after * F * sizeof *to);
}

static void pad_rows(const conv_node *c, size_t width, size_t before, const rc_real *from, rc_real *to) {
    rc__parallel(c->B, RC__WORK(c->at[c->B] * width), pad_task, &(pad_job){c, width, before, from, to});
}

/* at[B] steps of `width` numbers; NULL (tape marked) when memory is out */
static rc_real *padded_room(rc_tape *t, const char *op, const conv_node *c, size_t width) {
    size_t bytes;
    if (!rc__size_mul(c->at[c->B], width * sizeof(rc_real), &bytes)) {
        rc__op_fail(t, RC_ENOMEM, op, "%zu steps of %zu numbers are too many", c->at[c->B], width);
        return NULL;
    }
    return rc__tape_alloc(t, bytes);
}

/* ---- the product over windows ------------------------------------------------------------------------------------ */

typedef struct window_job {
    const rc__panel_rows *rows;
    size_t segments, per_task, lda, ldc;
    const rc__packed *w;
    const rc_real *bias;
    bool add;
} window_job;

static void window_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const window_job *j = ctx;
    size_t first = task * j->per_task, count = rc__min_size(j->per_task, j->segments - first);
    rc__gemm_packed_rows(count, j->rows + first, j->lda, j->w, j->bias, j->add, j->ldc, 0, j->w->N);
}

/* out (T, B, N) = or += windows of `in` (at[B], width) times w (K width, N) + bias at the valid steps; others are
 * cleared unless added to. False (tape marked) when memory is out. */
static bool window_product(rc_tape *t, const conv_node *c, const rc_real *in, size_t width, const rc__packed *w,
                           const rc_real *bias, bool add, rc_real *out) {
    size_t N = w->N, segments = 0;
    for (size_t b = 0; b < c->B; b++) segments += rc__tiles(c->len[b], PIECE_ROWS);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    rc__panel_rows *rows = rc__tape_alloc(t, (segments + 1) * sizeof *rows);
    if (!rows) return false;
    size_t i = 0;
    for (size_t b = 0; b < c->B; b++) {
        for (size_t s = 0; s < c->len[b]; s += PIECE_ROWS)
            rows[i++] = (rc__panel_rows){in + (c->at[b] + s) * width, out + (s * c->B + b) * N,
                                         rc__min_size(PIECE_ROWS, c->len[b] - s)};
        for (size_t s = c->len[b]; !add && s < c->T; s++) memset(out + (s * c->B + b) * N, 0, N * sizeof *out);
    }
    window_job j = {
        .rows = rows, .segments = segments, .lda = width, .ldc = c->B * N, .w = w, .bias = bias, .add = add};
    if (segments > 0) {
        size_t mean = c->steps / segments + 1;
        j.per_task = mean < PIECE_ROWS ? PIECE_ROWS / mean : 1;
        rc__parallel(rc__tiles(segments, j.per_task), 2.0 * (double)c->steps * (double)w->K * (double)N, window_task,
                     &j);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return true;
}

/* W (O, I, K) in another order as a matrix to pack: (O, K I) for y, or (I, K O) with the taps in reverse for dx. Its
 * memory is not given back before rc_tape_begin, by which the tape knows its packed copy. */
static const rc__packed *pack_taps(rc_tape *t, const conv_node *c, bool reverse) {
    size_t rows = reverse ? c->I : c->O, inner = reverse ? c->O : c->I, K = c->K;
    rc__node *m = rc__node_new(t, sizeof *m, "conv1d", 2, (size_t[]){rows, K * inner}, false, NULL);
    if (!m) return NULL;
    m->precision = rc__var_precision(c->w);
    const size_t dim[3] = {rows, K, inner}, to_y[3] = {c->I * K, 1, K}, to_dx[3] = {K, 1, c->I * K};
    rc__permute(3, dim, reverse ? to_dx : to_y, c->w->x, m->out.x, false);
    for (size_t r = 0; reverse && r < rows; r++)
        for (size_t k = 0; k < K / 2; k++) {
            rc_real *a = m->out.x + (r * K + k) * inner, *z = m->out.x + (r * K + K - 1 - k) * inner;
            for (size_t i = 0; i < inner; i++) {
                rc_real swap = a[i];
                a[i] = z[i], z[i] = swap;
            }
        }
    return rc__tape_packed(t, &m->out, false);
}

/* ---- the op ------------------------------------------------------------------------------------------------------ */

static void conv_backward(rc_tape *t, rc__node *self) {
    conv_node *c = (conv_node *)self;
    size_t I = c->I, O = c->O, K = c->K, rows = c->at[c->B], before = K - 1 - c->pad;
    if (rows == 0) return; /* y is 0 whatever the inputs are */
    bool add_x, add_w, add_b = false;
    rc_real *dx = rc__grad_to(t, c->x, &add_x), *dw = rc__grad_to(t, c->w, &add_w);
    rc_real *db = c->b ? rc__grad_to(t, c->b, &add_b) : NULL;
    const rc__packed *w = dx ? pack_taps(t, c, true) : NULL;
    if (dx && !w) return;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    rc_real *dy = padded_room(t, self->op, c, O);
    if (!dy) return;
    pad_rows(c, O, before, self->out.dx, dy);
    /* dx[s] = sum over j of dy[s + j - before] W[:, :, K - 1 - j] */
    if (dx && !window_product(t, c, dy, O, w, NULL, add_x, dx)) return;
    if (dw) { /* row r of the windows with dy `before` rows further on: zero where the window lies across two rows */
        rc_real *taps = rc__tape_alloc(t, O * K * I * sizeof *taps);
        rc__outer_side side = {.N = K * I, .B = c->windows, .ldb = I, .C = taps, .ldc = K * I};
        if (!taps ||
            !rc__tape_outer(t, rc__var_precision(c->w), O, rows - (K - 1), dy + before * O, O, &side, 1, false))
            return;
        rc__permute(3, (size_t[]){O, I, K}, (size_t[]){K * I, 1, I}, taps, dw, add_w);
    }
    if (db)
        rc__sum_columns(
            t, &(rc__column_sums){
                   .items = 1, .rows = rows, .cols = O, .row_stride = O, .x = dy, .scale = 1, .out = db, .add = add_b});
    rc__arena_rewind(rc__tape_arena(t), mark);
}

static bool conv_shapes(rc_tape *t, const char *op, const rc_var *x, const int32_t *lengths, const rc_var *w,
                        const rc_var *b, int pad_left) {
    if (!rc__alive(t, op, 2, x, w) || (b && !rc__alive(t, "conv1d bias", 1, b))) return false;
    rc_status bad = RC_EINVAL;
    if (w->ndim != 3)
        rc__op_fail(t, bad, op, "weight is %s, expected (O, I, K)", rc__shape_text(w->ndim, w->dim));
    else if (x->ndim != 3 || x->dim[2] != w->dim[1])
        rc__op_fail(t, bad, op, "x is %s, weight %s expects (T, B, %zu)", rc__shape_text(x->ndim, x->dim),
                    rc__shape_text(w->ndim, w->dim), w->dim[1]);
    else if (b && (b->ndim != 1 || b->dim[0] != w->dim[0]))
        rc__op_fail(t, bad, op, "bias is %s, weight %s expects (%zu)", rc__shape_text(b->ndim, b->dim),
                    rc__shape_text(w->ndim, w->dim), w->dim[0]);
    else if (pad_left < 0 || (size_t)pad_left >= w->dim[2])
        rc__op_fail(t, bad, op, "pad_left is %d, expected 0 to %zu", pad_left, w->dim[2] - 1);
    else {
        for (size_t r = 0; lengths && r < x->dim[1]; r++)
            if (lengths[r] < 0 || (size_t)lengths[r] > x->dim[0]) {
                rc__op_fail(t, bad, op, "length of row %zu is %d, expected 0 to %zu", r, (int)lengths[r], x->dim[0]);
                return false;
            }
        return true;
    }
    return false;
}

rc_var *rc_conv1d(rc_tape *t, rc_var *x, const int32_t *lengths, rc_var *w, rc_var *b, int pad_left) {
    const char *op = "conv1d";
    if (!conv_shapes(t, op, x, lengths, w, b, pad_left)) return rc__dead(t);
    size_t T = x->dim[0], B = x->dim[1], I = w->dim[1], O = w->dim[0], K = w->dim[2];
    conv_node *c = rc__node_new(t, sizeof *c, op, 3, (size_t[]){T, B, O},
                                x->needs_grad || w->needs_grad || (b && b->needs_grad), conv_backward);
    if (!c) return rc__dead(t);
    c->x = x, c->w = w, c->b = b;
    c->T = T, c->B = B, c->I = I, c->O = O, c->K = K, c->pad = (size_t)pad_left;
    c->len = rc__tape_alloc(t, (2 * B + 1) * sizeof *c->len);
    if (!c->len) return rc__dead(t);
    c->at = c->len + B;
    c->at[0] = 0;
    for (size_t r = 0; r < B; r++) {
        c->len[r] = lengths ? (size_t)lengths[r] : T;
        c->steps += c->len[r];
        if (!rc__size_add(c->at[r], c->len[r] ? c->len[r] + K - 1 : 0, &c->at[r + 1]))
            return rc__op_fail(t, RC_ENOMEM, op, "%zu taps over %zu rows are too many", K, B);
    }
    const rc__packed *packed = pack_taps(t, c, false);
    if (!packed) return rc__dead(t);
    bool keep = rc__tape_keeps(t, w);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    rc_real *windows = padded_room(t, op, c, I);
    if (!windows) return rc__dead(t);
    pad_rows(c, I, c->pad, x->x, windows);
    if (!window_product(t, c, windows, I, packed, b ? b->x : NULL, false, c->n.out.x)) return rc__dead(t);
    if (keep)
        c->windows = windows;
    else
        rc__arena_rewind(rc__tape_arena(t), mark);
    return &c->n.out;
}
