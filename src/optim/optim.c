/* optim.c - the step of an optimizer: one pass that measures the gradients, one that updates and clears them.
 *
 * Both passes cut the parameters into the same tiles, whose list depends on shapes (and on the rows in use) alone; sums
 * of tiles are added in their order, so a step has the same bits for any number of threads. The update itself is a
 * fused kernel (kernels/optim.inc has the equations); the gradient is cleared while its tile is still in the cache.
 *
 * Row-sparse parameters (rc_param.sparse): norm, update, moments and clearing touch the rows in use only. Moments of a
 * row stand still while it is not used and bias correction counts all steps, as in torch.optim.SparseAdam; so does
 * weight decay. */
#include "recur/optim.h"

#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TILE       16384 /* elements: w, g and two moments of a tile are 256 KiB, inside a core's L2 */
#define MAX_BLOCKS 2

typedef struct tile {
    uint32_t param;
    bool rows; /* start and len count entries of rc_param.rows, else elements */
    size_t start, len;
    double sum, clipped; /* of squares of the gradient as it is, and with each element clipped */
} tile;

struct rc_optim {
    rc_params *ps;
    rc_optim_options opt;
    uint64_t steps;
    size_t n_blocks;
    const char *block_name[MAX_BLOCKS];
    rc_real *block[MAX_BLOCKS]; /* rc_params_block_len each */
    tile *tiles;                /* rebuilt at each step, room for all rows in use */
    size_t n_tiles, cap_tiles;
    bool *cleared; /* per parameter: frozen at the last step, so its gradient is known to be 0 */
};

/* ---- names and options ------------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"sgd", "rmsprop", "adagrad", "adam", "adamw"};
#define N_KINDS (sizeof kind_names / sizeof *kind_names)

const char *rc_optim_name(rc_optim_kind k) { return (unsigned)k < N_KINDS ? kind_names[k] : "?"; }

bool rc_optim_from_name(const char *name, rc_optim_kind *k) {
    for (size_t i = 0; name && i < N_KINDS; i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *k = (rc_optim_kind)i;
            return true;
        }
    return false;
}

rc_optim_options rc_optim_options_default(void) {
    return (rc_optim_options){.kind = RC_OPTIM_ADAMW, .alpha = 0.99, .beta1 = 0.9, .beta2 = 0.999};
}

static rc_status check_range(const char *name, double x, double below, rc_error *e) {
    if (x >= 0 && x < below) return RC_OK; /* false for NaN */
    if (below > 1) return rc_fail(e, RC_EINVAL, "optimizer: %s: expected a number >= 0, found %g", name, x);
    return rc_fail(e, RC_EINVAL, "optimizer: %s: expected a number in [0, 1), found %g", name, x);
}

static rc_status check_options(const rc_optim_options *o, rc_error *e) {
    const struct {
        const char *name;
        double value, below;
    } field[] = {
        {"momentum", o->momentum, 1},
        {"alpha", o->alpha, 1},
        {"beta1", o->beta1, 1},
        {"beta2", o->beta2, 1},
        {"eps", o->eps, DBL_MAX},
        {"weight_decay", o->weight_decay, DBL_MAX},
        {"clip_norm", o->clip_norm, DBL_MAX},
        {"clip_value", o->clip_value, DBL_MAX},
    };
    if ((unsigned)o->kind >= N_KINDS) return rc_fail(e, RC_EINVAL, "optimizer: unknown kind %d", (int)o->kind);
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        rc_status s = check_range(field[i].name, field[i].value, field[i].below, e);
        if (s != RC_OK) return s;
    }
    if (o->nesterov && (o->kind != RC_OPTIM_SGD || o->momentum == 0))
        return rc_fail(e, RC_EINVAL, "optimizer: nesterov needs sgd with momentum above 0, found %s with momentum %g",
                       kind_names[o->kind], o->momentum);
    return RC_OK;
}

static void name_blocks(rc_optim *o) {
    bool momentum = o->opt.momentum > 0;
    switch (o->opt.kind) {
    case RC_OPTIM_SGD:
        if (momentum) o->block_name[o->n_blocks++] = "momentum_buffer";
        break;
    case RC_OPTIM_RMSPROP:
        o->block_name[o->n_blocks++] = "square_avg";
        if (momentum) o->block_name[o->n_blocks++] = "momentum_buffer";
        break;
    case RC_OPTIM_ADAGRAD: o->block_name[o->n_blocks++] = "sum"; break;
    case RC_OPTIM_ADAM:
    case RC_OPTIM_ADAMW:
        o->block_name[o->n_blocks++] = "exp_avg";
        o->block_name[o->n_blocks++] = "exp_avg_sq";
        break;
    }
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

static bool by_rows(const rc_param *p) { return p->sparse && p->rows; }
static size_t row_width(const rc_param *p) { return p->len / p->dim[0]; }
static size_t rows_a_tile(const rc_param *p) { return row_width(p) < TILE ? TILE / row_width(p) : 1; }

static size_t most_tiles(const rc_param *p) {
    size_t dense = (p->len + TILE - 1) / TILE, rows = (p->dim[0] + rows_a_tile(p) - 1) / rows_a_tile(p);
    return dense > rows ? dense : rows;
}

static void cut(rc_optim *o) {
    o->n_tiles = 0;
    for (size_t i = 0; i < rc_params_count(o->ps); i++) {
        const rc_param *p = rc_params_at(o->ps, i);
        if (p->frozen) continue;
        bool rows = by_rows(p);
        size_t total = rows ? p->n_rows : p->len, step = rows ? rows_a_tile(p) : TILE;
        for (size_t at = 0; at < total; at += step)
            o->tiles[o->n_tiles++] =
                (tile){.param = (uint32_t)i, .rows = rows, .start = at, .len = total - at < step ? total - at : step};
    }
}

/* A tile is spans of contiguous elements: rows in use, or one. Span i starts at the returned element and has *n of
 * them. */
static size_t span_count(const tile *k) { return k->rows ? k->len : 1; }
static size_t span(const rc_param *p, const tile *k, size_t i, size_t *n) {
    *n = k->rows ? row_width(p) : k->len;
    return k->rows ? (size_t)p->rows[k->start + i] * *n : k->start;
}

/* ---- pass 1: the norm -------------------------------------------------------------------------------------------- */

static double sum_sq_clipped(size_t n, const rc_real *g, double edge) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double x = fabs((double)g[i]);
        x = x > edge ? edge : x;
        sum += x * x;
    }
    return sum;
}

static void measure_tile(void *ctx, size_t task, int worker) {
    rc_optim *o = ctx;
    tile *k = &o->tiles[task];
    const rc_param *p = rc_params_at(o->ps, k->param);
    (void)worker;
    k->sum = k->clipped = 0;
    for (size_t i = 0, n; i < span_count(k); i++) {
        const rc_real *g = p->g + span(p, k, i, &n);
        k->sum += rc__k->pw.sum_sq(n, g);
        if (o->opt.clip_value > 0) k->clipped += sum_sq_clipped(n, g, o->opt.clip_value);
    }
    if (o->opt.clip_value == 0) k->clipped = k->sum;
}

/* Names the first gradient that is not finite; squares are summed in double, so of floats only such a one can spoil a
 * sum. */
static rc_status diverged(const rc_optim *o, const tile *k, rc_optim_report *report, rc_error *e) {
    const rc_param *p = rc_params_at(o->ps, k->param);
    report->bad = p;
    for (size_t j = 0, n; j < span_count(k); j++) {
        size_t at = span(p, k, j, &n);
        for (size_t i = at; i < at + n; i++)
            if (!isfinite(p->g[i]))
                return rc_fail(e, RC_EDIVERGED, "the gradient of \"%s\" is %s at element %zu, in step %llu", p->name,
                               isnan(p->g[i]) ? "not a number" : "infinite", i, (unsigned long long)o->steps + 1);
    }
    return rc_fail(e, RC_EDIVERGED, "the gradient of \"%s\" is too large to square, in step %llu", p->name,
                   (unsigned long long)o->steps + 1);
}

/* ---- pass 2: the update ------------------------------------------------------------------------------------------ */

typedef struct update {
    rc_optim *o;
    rc__optim_args args;
    double lr;
} update;

static void update_tile(void *ctx, size_t task, int worker) {
    const update *u = ctx;
    const rc_optim *o = u->o;
    const tile *k = &o->tiles[task];
    const rc_param *p = rc_params_at(o->ps, k->param);
    const rc__optim_kernels *f = &rc__k->opt;
    rc__optim_args a = u->args;
    (void)worker;
    a.lr = u->lr * p->lr_scale;
    a.weight_decay = p->no_decay ? 0 : o->opt.weight_decay;
    for (size_t i = 0, n; i < span_count(k); i++) {
        size_t at = span(p, k, i, &n);
        rc_real *w = p->w + at, *g = p->g + at;
        rc_real *x = o->block[0] ? o->block[0] + p->offset + at : NULL,
                *y = o->block[1] ? o->block[1] + p->offset + at : NULL;
        switch (o->opt.kind) {
        case RC_OPTIM_SGD: f->sgd(n, &a, w, g, x); break;
        case RC_OPTIM_RMSPROP: f->rmsprop(n, &a, w, g, x, y); break;
        case RC_OPTIM_ADAGRAD: f->adagrad(n, &a, w, g, x); break;
        case RC_OPTIM_ADAM: f->adam(n, &a, w, g, x, y); break;
        case RC_OPTIM_ADAMW: f->adamw(n, &a, w, g, x, y); break;
        }
        memset(g, 0, n * sizeof *g);
    }
}

/* What the tiles left: lists of rows, and gradients from before a parameter was frozen. */
static void clear_rest(rc_optim *o) {
    for (size_t i = 0; i < rc_params_count(o->ps); i++) {
        rc_param *p = rc_params_at(o->ps, i);
        if (p->frozen && !o->cleared[i]) memset(p->g, 0, p->len * sizeof *p->g);
        o->cleared[i] = p->frozen;
        if (!by_rows(p)) continue;
        for (size_t r = 0; r < p->n_rows; r++) p->row_used[p->rows[r]] = 0;
        p->n_rows = 0;
    }
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

rc_status rc_optim_new(rc_optim **out, rc_params *ps, const rc_optim_options *opt, rc_error *e) {
    *out = NULL;
    rc_optim_options fallback = rc_optim_options_default();
    if (!opt) opt = &fallback;
    rc_status s = check_options(opt, e);
    if (s != RC_OK) return s;
    if (!rc_params_values(ps)) return rc_fail(e, RC_EINVAL, "optimizer: the parameters are not built yet");
    rc_optim *o = rc__calloc(1, sizeof *o);
    if (!o) return rc_fail(e, RC_ENOMEM, "out of memory for the optimizer");
    o->ps = ps;
    o->opt = *opt;
    if (o->opt.eps == 0) o->opt.eps = opt->kind == RC_OPTIM_ADAGRAD ? 1e-10 : 1e-8;
    name_blocks(o);
    for (size_t i = 0; i < rc_params_count(ps); i++) o->cap_tiles += most_tiles(rc_params_at(ps, i));
    o->tiles = rc__calloc(o->cap_tiles, sizeof *o->tiles);
    o->cleared = rc__calloc(rc_params_count(ps), sizeof *o->cleared);
    bool ok = o->tiles && o->cleared;
    for (size_t i = 0; i < o->n_blocks; i++)
        ok = (o->block[i] = rc__calloc(rc_params_block_len(ps), sizeof(rc_real))) && ok;
    if (!ok) {
        rc_fail(e, RC_ENOMEM, "out of memory for the state of the optimizer: %zu blocks of %zu numbers", o->n_blocks,
                rc_params_block_len(ps));
        rc_optim_free(o);
        return RC_ENOMEM;
    }
    *out = o;
    return RC_OK;
}

void rc_optim_free(rc_optim *o) {
    if (!o) return;
    for (size_t i = 0; i < o->n_blocks; i++) rc__free(o->block[i], rc_params_block_len(o->ps) * sizeof(rc_real));
    rc__free(o->tiles, o->cap_tiles * sizeof *o->tiles);
    rc__free(o->cleared, rc_params_count(o->ps) * sizeof *o->cleared);
    rc__free(o, sizeof *o);
}

rc_status rc_optim_step(rc_optim *o, double lr, rc_optim_report *report, rc_error *e) {
    rc_optim_report unwanted;
    if (!report) report = &unwanted;
    *report = (rc_optim_report){0};
    if (!(lr >= 0 && lr <= DBL_MAX))
        return rc_fail(e, RC_EINVAL, "the learning rate is %g, expected a number >= 0", lr);
    cut(o);
    size_t elements = 0;
    for (size_t i = 0; i < o->n_tiles; i++)
        elements +=
            o->tiles[i].rows ? o->tiles[i].len * row_width(rc_params_at(o->ps, o->tiles[i].param)) : o->tiles[i].len;

    rc__parallel(o->n_tiles, 4.0 * (double)elements, measure_tile, o);
    double sum = 0, clipped = 0;
    for (size_t i = 0; i < o->n_tiles; i++) {
        if (!isfinite(o->tiles[i].sum)) {
            report->grad_norm = sqrt(o->tiles[i].sum);
            return diverged(o, &o->tiles[i], report, e);
        }
        sum += o->tiles[i].sum;
        clipped += o->tiles[i].clipped;
    }
    report->grad_norm = sqrt(sum);

    const rc_optim_options *c = &o->opt;
    double t = (double)o->steps + 1, scale = 1;
    if (c->clip_norm > 0) { /* as torch.nn.utils.clip_grad_norm_, after clip_grad_value_ */
        double coefficient = c->clip_norm / (sqrt(clipped) + 1e-6);
        if (coefficient < 1) scale = coefficient;
    }
    report->clipped = scale < 1 || clipped < sum;
    update u = {.o = o, .lr = lr};
    u.args = (rc__optim_args){.momentum = c->momentum,
                              .alpha = c->alpha,
                              .beta1 = c->beta1,
                              .beta2 = c->beta2,
                              .eps = c->eps,
                              .bias1 = 1 - pow(c->beta1, t),
                              .bias2 = 1 - pow(c->beta2, t),
                              .grad_scale = scale,
                              .clip_value = c->clip_value,
                              .nesterov = c->nesterov};
    /* args.first stays false: torch starts a momentum buffer as g', ours at 0, and momentum * 0 + g' is the same. */
    rc__parallel(o->n_tiles, 16.0 * (double)elements, update_tile, &u);
    clear_rest(o);
    o->steps++;
    rc_params_changed(o->ps);
    return RC_OK;
}

uint64_t rc_optim_steps(const rc_optim *o) { return o->steps; }
void rc_optim_set_steps(rc_optim *o, uint64_t n) { o->steps = n; }
size_t rc_optim_blocks(const rc_optim *o) { return o->n_blocks; }
const char *rc_optim_block_name(const rc_optim *o, size_t i) { return i < o->n_blocks ? o->block_name[i] : NULL; }
rc_real *rc_optim_block(rc_optim *o, size_t i) { return i < o->n_blocks ? o->block[i] : NULL; }
