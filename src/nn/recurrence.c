/* recurrence.c - the driver of all cells: one layer, one or two directions, over a whole sequence.
 *
 * 1. order.c puts rows in the order of the steps; where a batch is not in it already x is gathered, and y scattered (zero
 *    beyond each row's end).
 * 2. steps.c runs the steps, in groups of tiles of rows, or all rows at once with products cut by columns over a team.
 * 3. Backward: steps.c in reverse, leaving dg and du of all steps; then dW, dR, db, dx as products over all rows.
 *
 * Sums over tiles (bias and vector gradients) are added in tile order. No sum's order depends on the number of threads, nor
 * on how rows and columns are cut.
 */
#include <string.h>
#include "base/cpu.h"
#include "base/parallel.h"
#include "nn/recurrence.h"

static bool reals(rc_tape *t, size_t n, rc_real **out) {
    return (*out = rc__tape_alloc(t, (n + 1) * sizeof **out)) != NULL; /* n may be 0: no row has a step */
}

/* A new (R, width): the rows of from in the order of the steps. */
static rc_real *gather(rc_tape *t, const rc__order *o, const rc_real *from, size_t ld, size_t width) {
    rc_real *to = rc__tape_alloc(t, (o->R * width + 1) * sizeof *to);
    for (size_t r = 0; to && r < o->R; r++)
        memcpy(to + r * width, from + (size_t)o->source[r] * ld, width * sizeof *to);
    return to;
}

/* A tile is what one thread can do alone: 16 rows of large batches, half of small ones. */
static size_t tile_rows(size_t B) { return B >= 32 ? 16 : B >= 4 ? (B + 1) / 2 : B; }

double rc__layer_work(const rc_rnn *rnn, const rc__dir *d, size_t rows) {
    double per_row = 40.0 * (double)rnn->H + 2.0 * (double)(d->A * rnn->P);
    for (size_t s = 0; s < rnn->stages; s++) per_row += 2.0 * (double)(d->N[s] * d->K[s]);
    return (double)rows * per_row;
}

/* ---- who does what ----------------------------------------------------------------------------------------------- */

/* Groups of tiles as tasks need no wait between steps, but each thread reads all recurrent weights in each step: as fast as
 * they come while they stay in its L2. Cut by columns, each thread reads its own part: of weights that do not fit, and where
 * there are fewer tiles than threads, or so few rows that reading the weights takes longer than multiplying (below 3 a
 * thread: measured at batch 4 to 12, H = 128 and 256). A step must be worth its waits, some 0.2 us each. */
void rc__layer_plan(const rc_rnn *rnn, const rc__dir *d, size_t B, double rows, size_t threads, rc__plan *plan) {
    size_t D = rnn->D, weights = 0, products = 0, element = rc__weight_bytes(rc_params_get_precision(rnn->ps));
    for (size_t s = 0; s < rnn->stages; s++) {
        weights += d->N[s] * d->K[s] * element;
        products += d->kind[s] != RC_STAGE_NONE;
    }
    weights += d->A * rnn->P * element;
    *plan = (rc__plan){.tile = tile_rows(B)};
    plan->tiles = (B + plan->tile - 1) / plan->tile; /* NOLINT(*DivideZero): no tensor has a dimension of 0 */
    size_t l2 = rc__cpu_l2_bytes(), elements = weights / element;
    bool fits = weights <= l2 / 4 * 3, few = plan->tiles * D < threads || rows * (double)D < 3.0 * (double)threads;
    /* ns of a step on one thread: arithmetic at 150 flop/ns, weights at 100 B/ns from L2, 25 from beyond */
    double flops = 2.0 * rows * (double)elements / 150, bytes = (double)weights / (fits ? 100 : 25);
    double gain = (flops > bytes ? flops : bytes) * (1 - 1.0 / (double)threads), cost = 400.0 * (double)products;
    if (rc__parallel_threshold <= 0) cost = 0; /* tests share what is small */
    plan->by_columns = threads > 1 && products && (!fits || few) && gain > cost;
    size_t groups = plan->tiles;
    if (plan->by_columns || threads == 1) groups = 1;
    else if (!fits && groups > threads) groups = threads;
    plan->group = (plan->tiles + groups - 1) / groups;
    plan->groups = (plan->tiles + plan->group - 1) / plan->group;
}

static size_t worker_len(const rc_rnn *rnn, size_t layer, size_t rows) {
    size_t n = 0;
    for (size_t i = 0; i < rnn->D; i++) {
        size_t of_dir = rc__steps_scratch(rnn, rc__rnn_dir(rnn, layer, i), rows);
        if (of_dir > n) n = of_dir;
    }
    return (n + 127) / 64 * 64;
}

static void forward_task(void *ctx, size_t task, int worker) {
    const rc__layer *ln = ctx;
    rc__steps_forward(ln, &ln->run[task / ln->plan.groups], task % ln->plan.groups, 0, 1,
                      ln->worker_scratch + (size_t)worker * ln->worker_len);
}

static void backward_task(void *ctx, size_t task, int worker) {
    const rc__layer *ln = ctx;
    rc__steps_backward(ln, &ln->run[task / ln->plan.groups], task % ln->plan.groups, 0, 1,
                       ln->worker_scratch + (size_t)worker * ln->worker_len);
}

static void forward_team(void *ctx, int rank, int size) {
    const rc__layer *ln = ctx;
    for (size_t i = 0; i < ln->rnn->D; i++) rc__steps_forward(ln, &ln->run[i], 0, rank, size, ln->worker_scratch);
}

static void backward_team(void *ctx, int rank, int size) {
    const rc__layer *ln = ctx;
    for (size_t i = 0; i < ln->rnn->D; i++) {
        rc__steps_backward(ln, &ln->run[i], 0, rank, size, ln->worker_scratch);
        rc__team_wait(size); /* the scratch is the next direction's */
    }
}

/* All steps of both directions. False: out of memory. */
static bool run_steps(rc_tape *t, rc__layer *ln, bool backward) {
    size_t D = ln->rnn->D;
    double work = 0;
    for (size_t i = 0; i < D; i++) work += rc__layer_work(ln->rnn, ln->run[i].d, ln->run[i].ord.R);
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    size_t rooms = ln->plan.by_columns ? 1 : (size_t)rc_threads();
    ln->worker_scratch = rc__tape_alloc(t, rooms * ln->worker_len * sizeof(rc_real));
    if (!ln->worker_scratch) return false;
    if (ln->plan.by_columns) rc__team(work / 100, backward ? backward_team : forward_team, ln);
    else rc__parallel(ln->plan.groups * D, work, backward ? backward_task : forward_task, ln);
    rc__arena_rewind(rc__tape_arena(t), mark);
    return true;
}

/* ---- weight gradients -------------------------------------------------------------------------------------------- */

/* h(t-1) of all rows in order, of a batch with lengths. */
static rc_real *gather_h_prev(rc_tape *t, const rc_rnn *rnn, const rc__run *r) {
    size_t P = rnn->P;
    const rc__order *o = &r->ord;
    rc_real *to = rc__tape_alloc(t, (o->R * P + 1) * sizeof *to);
    for (size_t s = 0; to && s < o->S; s++)
        for (size_t tile = 0; tile < o->tiles; tile++)
            for (size_t b = 0; b < rc__order_rows(o, tile, s); b++)
                memcpy(to + (rc__order_at(o, tile, s) + b) * P,
                       s ? r->h + (rc__order_at(o, tile, s - 1) + b) * r->ldh : r->h0 + (rc__order_first(o, tile) + b) * P,
                       P * sizeof *to);
    return to;
}

/* The operand of stage i for all rows, as a side of the product that makes dw (N, K) += du^T a. */
static bool operand(rc_tape *t, const rc_rnn *rnn, const rc__run *r, size_t i, rc_real *dw, rc__outer_side *side) {
    const rc__order *o = &r->ord;
    size_t K = r->d->K[i], B = o->B;
    *side = (rc__outer_side){.N = K, .B = r->a[i], .ldb = K, .C = dw, .ldc = K};
    if (i > 0 || r->mask) return true;
    if (!o->direct) return (side->B = gather_h_prev(t, rnn, r)) != NULL;
    side->B = r->h; /* h(t-1) is a step away: before, or after where time runs backwards; of the first step it is h0 */
    side->ldb = r->ldh;
    side->shift = o->S > 1 && o->off[0] ? (ptrdiff_t)B : -(ptrdiff_t)B;
    side->other = r->h0;
    side->ld_other = K;
    side->from = o->S ? o->off[0] : 0;
    side->to = o->S ? o->off[0] + B : 0;
    return true;
}

/* The input, as a side of the product that makes dW from its row `row` on. */
static rc__outer_side input_side(const rc__run *r, size_t row) {
    size_t I = r->d->I;
    return (rc__outer_side){.N = I, .B = r->x, .ldb = I, .C = r->d->w_ih->g + row * I, .ldc = I};
}

/* dW and the dR of all stages. Columns of dg that a stage adds to serve both in one product. */
static bool matrix_gradients(rc_tape *t, const rc__layer *ln, const rc__run *r, rc_real *dr) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    size_t R = r->ord.R, done = 0; /* columns of dg that dW has */
    rc_precision precision = rc_params_get_precision(rnn->ps);
    bool do_x = !d->w_ih->frozen;
    for (size_t i = 0; dr && i < rnn->stages; i++) {
        if (d->kind[i] != RC_STAGE_ADD && d->kind[i] != RC_STAGE_APART) continue;
        bool add = d->kind[i] == RC_STAGE_ADD, both = add && do_x && d->col[i] * rnn->H == done;
        size_t N = d->N[i], ld = add ? d->W : N;
        const rc_real *du = add ? r->dg + d->col[i] * rnn->H : r->du[i];
        rc__outer_side side[2] = {input_side(r, done)}, h;
        if (!operand(t, rnn, r, i, dr + d->row[i] * d->K[i], &h)) return false;
        side[both] = h;
        if (!rc__tape_outer(t, precision, N, R, du, ld, side, both ? 2 : 1, true)) return false;
        if (both) done += N;
        h.C += N * h.N;
        if (i == 0 && d->A && !rc__tape_outer(t, precision, d->A, R, r->dg + d->GH, d->W, &h, 1, true)) return false;
    }
    rc__outer_side x = input_side(r, done);
    return !do_x || done == d->GH || rc__tape_outer(t, precision, d->GH - done, R, r->dg + done, d->W, &x, 1, true);
}

/* Weights of the decay that are held at 0 (decay_every) have no gradient. */
static void hold(const rc_rnn *rnn, const rc__dir *d) {
    size_t n = rnn->H * d->I;
    rc_real *dw = d->w_ih->g + (size_t)rnn->cell->decay * n;
    for (size_t i = 0; i < n; i++)
        if ((i + 1) % d->every) dw[i] = 0;
}

static bool weight_gradients(rc_tape *t, const rc__layer *ln, const rc__run *r) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    const rc_real *drop = r->drop_mask;
    size_t H = rnn->H, tiles = ln->plan.tiles;
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    bool hh = d->w_hh && !d->w_hh->frozen;
    rc_real *dr = hh ? d->w_hh->g : NULL;
    if (hh && drop) {
        if (!(dr = rc__tape_alloc(t, d->w_hh->len * sizeof *dr))) return false;
        memset(dr, 0, d->w_hh->len * sizeof *dr);
    }
    bool ok = matrix_gradients(t, ln, r, dr);
    if (ok && d->every && !d->w_ih->frozen) hold(rnn, d);
    if (ok && hh && drop) rc__k->pw.mul_add(d->w_hh->len, dr, drop, d->w_hh->g);
    if (ok && d->w_hr && !d->w_hr->frozen) {
        rc__outer_side a;
        size_t last = rnn->stages - 1;
        ok = operand(t, rnn, r, last, d->w_hr->g, &a) &&
             rc__tape_outer(t, rc_params_get_precision(rnn->ps), d->N[last], r->ord.R, r->du[last], d->N[last], &a, 1,
                            true);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    for (size_t i = 0; ok && i < tiles; i++) {
        const rc_real *part = r->part + i * ln->part_len, *vec = part + d->W, *apart = vec + d->vecs_len;
        if (d->b_ih && !d->b_ih->frozen) rc__k->pw.axpy(d->GH, 1, part, d->b_ih->g);
        if (d->b_hh && d->A && !d->b_hh->frozen) rc__k->pw.axpy(d->A, 1, part + d->GH, d->b_hh->g + d->N[0]);
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

/* dx (+)= dg W, in place or by way of gathered rows: the same sums in the same order. A cell that sees x left its own part
 * in r->dx, which the product is added to. */
static bool input_gradient(rc_tape *t, const rc__layer *ln, const rc__run *r) {
    const rc__dir *d = r->d;
    const rc__order *o = &r->ord;
    size_t I = d->I, R = o->R, in_place = o->direct ? R * I : 0;
    bool add;
    rc_real *dx = rc__grad_to(t, ln->x, &add);
    if (!dx) return !ln->x->needs_grad;
    if (!add) memset(dx + in_place, 0, (ln->x->len - in_place) * sizeof *dx); /* where no row has a step */
    if (!R) return true;
    if (r->dx) {
        if (!add) memset(dx, 0, in_place * sizeof *dx);
        rc__gemm_packed_mt(R, r->dg, d->W, &d->ih_back, NULL, true, r->dx, I);
        for (size_t p = 0; p < R; p++) rc__k->pw.axpy(I, 1, r->dx + p * I, dx + rc__order_source(o, p) * I);
    } else if (o->direct) {
        rc__gemm_packed_mt(R, r->dg, d->W, &d->ih_back, NULL, add, dx, I);
    } else {
        rc_real *rows = add ? gather(t, o, dx, I, I) : rc__tape_alloc(t, R * I * sizeof *rows);
        if (!rows) return false;
        rc__gemm_packed_mt(R, r->dg, d->W, &d->ih_back, NULL, add, rows, I);
        for (size_t p = 0; p < R; p++) memcpy(dx + (size_t)o->source[p] * I, rows + p * I, I * sizeof *rows);
    }
    return true;
}

/* Adds from (B, width), sorted, to the gradient of v at row `first` of (rows, B, width). */
static void state_gradient(rc_tape *t, rc_var *v, size_t first, const rc_real *from, const rc__order *o, size_t width) {
    rc_real *dv = rc__grad(t, v);
    for (size_t b = 0; dv && b < o->B; b++)
        rc__k->pw.axpy(width, 1, from + b * width, dv + (first * o->B + rc__order_row(o, b)) * width);
}

/* The memory that a direction's backward fills. False: out of memory, or the weights cannot be packed. */
static bool run_backward_make(rc_tape *t, const rc__layer *ln, size_t i, rc__run *r) {
    const rc_rnn *rnn = ln->rnn;
    const rc__dir *d = r->d;
    size_t R = r->ord.R, B = r->ord.B, P = rnn->P, D = rnn->D;
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
    if (rnn->cell->keep_g && !reals(t, R * d->W, &r->dg)) return false;
    if (!reals(t, ln->plan.tiles * ln->part_len, &r->part)) return false;
    memset(r->part, 0, ln->plan.tiles * ln->part_len * sizeof *r->part);
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
    rc__layer *ln = (rc__layer *)self;
    const rc_rnn *rnn = ln->rnn;
    size_t D = rnn->D;
    for (size_t i = 0; i < D; i++)
        if (!run_backward_make(t, ln, i, &ln->run[i])) return;
    if (!run_steps(t, ln, true)) return;
    for (size_t i = 0; i < D; i++) {
        const rc__run *r = &ln->run[i];
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

static rc_var *end_var(rc_tape *t, rc__layer *ln, const char *name, size_t width) {
    const rc_rnn *rnn = ln->rnn;
    size_t B = ln->n.out.dim[1], dims[3] = {rnn->D, B, width};
    end_node *e = rc__node_new(t, sizeof *e, name, 3, dims, ln->n.out.needs_grad, end_backward);
    if (!e) return NULL;
    e->layer = &ln->n.out;
    return &e->n.out;
}

/* Final h or c of every row, in batch order. */
static void final_state(const rc__run *r, const rc_real *y, size_t ld, const rc_real *start, size_t width, rc_real *to) {
    const rc__order *o = &r->ord;
    for (size_t tile = 0; tile < o->tiles; tile++) {
        size_t first = rc__order_first(o, tile), end = rc__order_first(o, tile + 1);
        for (size_t b = first; b < end; b++) {
            size_t len = o->direct ? o->S : (size_t)o->len[b];
            const rc_real *from = len ? y + (rc__order_at(o, tile, len - 1) + b - first) * ld : start + b * width;
            memcpy(to + rc__order_row(o, b) * width, from, width * sizeof *to);
        }
    }
}

static bool initial_state(rc_tape *t, const rc__run *r, size_t dir, const rc_var *v, size_t first, const rc_real *plain,
                          size_t width, rc_real **out) {
    const rc__order *o = &r->ord;
    rc_real *to = *out = rc__tape_alloc(t, (o->B * width + 1) * sizeof *to);
    if (!to) return false;
    const rc_real *from = v ? v->x + (first + dir) * o->B * width : plain ? plain + dir * o->B * width : NULL;
    for (size_t b = 0; b < o->B; b++)
        if (from) memcpy(to + b * width, from + rc__order_row(o, b) * width, width * sizeof *to);
        else memset(to + b * width, 0, width * sizeof *to);
    return true;
}

/* Zoneout masks: 1 = keep the old value, with probability p. The table's dropout mask gives 0 with probability p. The draws
 * are numbered as the output's elements, so that a step's mask does not depend on lengths and padding. */
static bool zone_mask(rc_tape *t, const rc__order *o, size_t width, double p, rc_real **out) {
    rc_real *m = *out = rc__tape_alloc(t, (o->R * width + 1) * sizeof *m);
    rc_rng rng = rc__tape_rng(t);
    if (!m) return false;
    for (size_t i = 0, n; i < o->R; i += n) { /* rows that follow each other there too are drawn at once */
        size_t at = rc__order_source(o, i);
        for (n = 1; i + n < o->R && rc__order_source(o, i + n) == at + n;) n++;
        rc__k->pw.dropout_mask(n * width, rng, at * width, p, m + i * width);
    }
    for (size_t i = 0; i < o->R * width; i++) m[i] = m[i] == 0 ? 1 : 0;
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
static bool run_masks(rc_tape *t, const rc__layer *ln, rc__run *r) {
    const rc_rnn *rnn = ln->rnn;
    size_t R = r->ord.R, B = r->ord.B, width = rnn->P;
    double p = rnn->opt.recurrent_dropout;
    if (p > 0) {
        rc_real *drawn; /* in batch order, so that a row's mask does not depend on the others' lengths */
        if (!reals(t, B * width, &drawn) || !reals(t, B * width, &r->mask)) return false;
        if (r->d->kind[0] != RC_STAGE_NONE && !reals(t, R * width, &r->a[0])) return false;
        rc__k->pw.dropout_mask(B * width, rc__tape_rng(t), 0, p, drawn);
        for (size_t b = 0; b < B; b++)
            memcpy(r->mask + b * width, drawn + rc__order_row(&r->ord, b) * width, width * sizeof *drawn);
    }
    if (ln->zone_h > 0 && !zone_mask(t, &r->ord, rnn->P, ln->zone_h, &r->zone_h)) return false;
    return !(ln->zone_c > 0) || zone_mask(t, &r->ord, rnn->H, ln->zone_c, &r->zone_c);
}

/* One direction before its steps: order, memory, initial state, masks. False: out of memory. */
static bool run_make(rc_tape *t, rc__layer *ln, size_t i, const rc__layer_io *io) {
    const rc_rnn *rnn = ln->rnn;
    rc__run *r = &ln->run[i];
    const rc__dir *d = r->d = rc__rnn_dir(rnn, ln->layer, i);
    size_t H = rnn->H, P = rnn->P, D = rnn->D, T = ln->x->dim[0], B = ln->x->dim[1];
    r->drop_mask = io->drop_mask[i];
    r->drop_masked = io->drop_masked[i];
    r->vec = r->drop_masked && !d->w_hh ? r->drop_masked : d->vecs;
    if (!rc__order_make(t, &r->ord, T, B, io->lengths, rnn->opt.reverse != (i == 1), ln->plan.tiles)) return false;
    size_t R = r->ord.R, part_len = d->W + d->vecs_len;
    for (size_t s = 0; s < rnn->stages; s++)
        if (d->kind[s] == RC_STAGE_APART) part_len += d->N[s];
    part_len = (part_len + 15) / 16 * 16;
    if (part_len > ln->part_len) ln->part_len = part_len;
    r->x = r->ord.direct ? ln->x->x : gather(t, &r->ord, ln->x->x, d->I, d->I);
    if (!r->x || !reals(t, R * d->W, &r->g)) return false;
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
    return !rc_tape_get_mode(t).training || run_masks(t, ln, r);
}

/* The output in the order of the batch, zero beyond each row's end, when the runs kept theirs apart. */
static void scatter_output(const rc__layer *ln) {
    size_t P = ln->rnn->P, D = ln->rnn->D;
    rc_real *y = ln->n.out.x;
    size_t in_place = ln->run[0].ord.direct ? ln->run[0].ord.R * D * P : 0;
    memset(y + in_place, 0, (ln->n.out.len - in_place) * sizeof *y);
    if (ln->run[0].ord.direct) return;
    for (size_t i = 0; i < D; i++) {
        const rc__run *r = &ln->run[i];
        for (size_t p = 0; p < r->ord.R; p++)
            memcpy(y + (size_t)r->ord.source[p] * D * P + i * P, r->h + p * P, P * sizeof *y);
    }
}

static void final_states(const rc__layer *ln, rc_real *h, rc_real *c) {
    const rc_rnn *rnn = ln->rnn;
    for (size_t i = 0; i < rnn->D; i++) {
        const rc__run *r = &ln->run[i];
        if (h) final_state(r, r->h, r->ldh, r->h0, rnn->P, h + i * r->ord.B * rnn->P);
        if (c && r->c) final_state(r, r->c, rnn->H, r->c0, rnn->H, c + i * r->ord.B * rnn->H);
    }
}

/* The mean over the steps that there are. */
static double rows_of_a_step(size_t T, size_t B, const int32_t *lengths) {
    size_t all = lengths ? 0 : T * B, steps = lengths ? 0 : T;
    for (size_t b = 0; lengths && b < B; b++) {
        all += (size_t)lengths[b];
        if ((size_t)lengths[b] > steps) steps = (size_t)lengths[b];
    }
    return steps ? (double)all / (double)steps : 0;
}

rc_var *rc__rnn_layer(rc_tape *t, const rc_rnn *rnn, size_t layer, rc_var *x, rc__layer_io io) {
    size_t B = x->dim[1], D = rnn->D, dims[3] = {x->dim[0], B, D * rnn->P};
    bool needs = trains(rnn, layer) || x->needs_grad || (io.h0 && io.h0->needs_grad) || (io.c0 && io.c0->needs_grad);
    rc__layer *ln = rc__node_new(t, sizeof *ln, "rnn", 3, dims, needs, layer_backward);
    if (!ln) return rc__dead(t);
    ln->rnn = rnn;
    ln->layer = layer;
    ln->x = x;
    ln->h0 = io.h0;
    ln->c0 = io.c0;
    ln->first = io.first;
    ln->drop_id = io.drop_id;
    rc__layer_plan(rnn, rc__rnn_dir(rnn, layer, 0), B, rows_of_a_step(x->dim[0], B, io.lengths), (size_t)rc__workers(),
                   &ln->plan);
    ln->worker_len = worker_len(rnn, layer, ln->plan.group * ln->plan.tile);
    ln->zone_h = rnn->opt.zoneout_h;
    ln->zone_c = rnn->cell->has_c ? rnn->opt.zoneout_c : 0;
    for (size_t i = 0; i < D; i++)
        if (!run_make(t, ln, i, &io)) return rc__dead(t);
    if (!run_steps(t, ln, false)) return rc__dead(t);
    scatter_output(ln);
    final_states(ln, io.end_h, io.end_c);
    if (io.hn && !(*io.hn = ln->hn = end_var(t, ln, "rnn.hn", rnn->P))) return rc__dead(t);
    if (io.cn && rnn->cell->has_c && !(*io.cn = ln->cn = end_var(t, ln, "rnn.cn", rnn->H))) return rc__dead(t);
    final_states(ln, ln->hn ? ln->hn->x : NULL, ln->cn ? ln->cn->x : NULL);
    return &ln->n.out;
}

