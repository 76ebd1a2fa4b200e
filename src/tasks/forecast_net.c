/* forecast_net.c - the networks, their losses, and forecasts from them. Shapes: L lookback, H horizon, B windows, F
 * features, P outputs a step. Outline: parameters - windows (segment, direct) - steps (deepar, recurrent) - losses -
 * forecasts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/tape_internal.h"
#include "base/mem.h"
#include "decode/distribution.h"
#include "tasks/forecast.h"

const char *const rc__fc_kinds[RC_FC_KINDS] = {"segment", "direct", "deepar", "recurrent", "es-rnn"},
                  *const rc__fc_likelihoods[RC_FC_LIKELIHOODS] = {"point", "quantile", "gaussian", "student-t",
                                                                  "negative-binomial"},
                  *const rc__fc_normalizes[RC_FC_NORMALIZES] = {"zscore", "minmax", "series", "none"};

#define CONTEXT     16   /* direct: numbers for each step of the horizon */
#define MIX         64   /* ... and the layer over them */
#define MOST_SERIES 4096 /* segment: more series than this share one embedding */

size_t rc__fc_outputs(const rc__fc_config *c) {
    static const size_t outputs[] = {1, 0, 2, 3, 2};
    return c->likelihood == RC_FC_QUANTILE ? c->n_quantiles : outputs[c->likelihood];
}

bool rc__fc_has_quantiles(const rc__forecast *m) {
    if (m->c.likelihood != RC_FC_POINT) return m->c.n_quantiles > 0;
    return m->bands && m->bands[m->c.horizon * m->c.n_quantiles] < RC_FC_NO_BANDS;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* A linear layer as torch.nn.Linear starts: U(+-1 / sqrt(fan in)). */
rc_status rc__fc_add_linear(rc_params *ps, const char *name, size_t out, size_t in, rc_param **w, rc_param **b,
                            rc_error *e) {
    char full[64];
    rc_init init = {.kind = RC_INIT_UNIFORM, .value = 1 / sqrt((double)in)};
    snprintf(full, sizeof full, "%s.weight", name);
    *w = rc_params_add(ps, full, 2, (size_t[2]){out, in}, init, e);
    if (!*w) return e ? e->code : RC_ENOMEM;
    if (!b) return RC_OK;
    snprintf(full, sizeof full, "%s.bias", name);
    *b = rc_params_add(ps, full, 1, &out, init, e);
    if (!*b) return e ? e->code : RC_ENOMEM;
    (*b)->no_decay = true;
    return RC_OK;
}

static rc_param *add_table(rc_params *ps, const char *name, size_t rows, size_t cols, double deviation, rc_error *e) {
    rc_param *p =
        rc_params_add(ps, name, 2, (size_t[2]){rows, cols}, (rc_init){.kind = RC_INIT_NORMAL, .value = deviation}, e);
    if (p) p->no_decay = true;
    return p;
}

static size_t segments(size_t steps, size_t w) { return (steps + w - 1) / w; }
static bool tells_series_apart(const rc__forecast *m) { return m->n_series > 1 && m->n_series <= MOST_SERIES; }

static rc_status build_segment(rc__forecast *m, rc_error *e) {
    rc__fc_config *c = &m->c;
    rc_params *ps = m->base.params;
    size_t d = c->rnn.hidden_size, w = c->segment, F = rc__fc_features(m), own = tells_series_apart(m) ? d / 2 : 0;
    rc_status s = rc__fc_add_linear(ps, "embed", d, w * (1 + c->mask + F), &m->embed_w, &m->embed_b, e);
    if (s == RC_OK && !(m->place = add_table(ps, "place.weight", segments(c->horizon, w), d - own, 1, e)))
        s = RC_ENOMEM;
    if (s == RC_OK && own && !(m->channel = add_table(ps, "series.weight", m->n_series, own, 1, e))) s = RC_ENOMEM;
    if (s == RC_OK && F) s = rc__fc_add_linear(ps, "future", d, w * F, &m->future_w, NULL, e);
    c->rnn.input_size = d;
    if (s == RC_OK) s = rc_rnn_new(&m->rnn, ps, "rnn.", &c->rnn, e);
    if (s == RC_OK)
        s = rc__fc_add_linear(ps, "head", w * rc__fc_outputs(c), rc_rnn_output_size(m->rnn), &m->head_w, &m->head_b, e);
    return s;
}

static rc_status build_direct(rc__forecast *m, rc_error *e) {
    rc__fc_config *c = &m->c;
    rc_params *ps = m->base.params;
    size_t F = rc__fc_features(m), P = rc__fc_outputs(c);
    c->rnn.input_size = 1 + c->mask + F;
    rc_status s = rc_rnn_new(&m->rnn, ps, "rnn.", &c->rnn, e);
    if (s != RC_OK) return s;
    size_t h = rc_rnn_output_size(m->rnn);
    s = rc__fc_add_linear(ps, "context", c->horizon * CONTEXT, h, &m->context_w, &m->context_b, e);
    if (s == RC_OK) s = rc__fc_add_linear(ps, "mix", MIX, CONTEXT + F, &m->mix_w, &m->mix_b, e);
    if (s == RC_OK) s = rc__fc_add_linear(ps, "head", P, MIX, &m->head_w, &m->head_b, e);
    return s;
}

static rc_status build_steps(rc__forecast *m, rc_error *e) {
    rc__fc_config *c = &m->c;
    c->rnn.input_size = c->n_lags + 1 + rc__fc_features(m);
    rc_status s = rc_rnn_new(&m->rnn, m->base.params, "rnn.", &c->rnn, e);
    if (s != RC_OK) return s;
    return rc__fc_add_linear(m->base.params, "head", rc__fc_outputs(c), rc_rnn_output_size(m->rnn), &m->head_w,
                             &m->head_b, e);
}

rc_status rc__fc_build(rc__forecast *m, rc_error *e) {
    rc_error local = {.code = RC_OK};
    if (!e) e = &local;
    e->code = RC_OK;
    rc_status s = m->c.kind == RC_FC_SEGMENT  ? build_segment(m, e)
                  : m->c.kind == RC_FC_DIRECT ? build_direct(m, e)
                  : m->c.kind == RC_FC_ESRNN  ? rc__fc_esrnn_build(m, e)
                                              : build_steps(m, e);
    size_t L = m->baseline_lookback, bands = m->c.horizon * m->c.n_quantiles;
    if (s == RC_OK && m->c.likelihood == RC_FC_POINT && bands) {
        m->bands = rc__calloc(bands + 1, sizeof *m->bands);
        if (!m->bands) return rc_fail(e, RC_ENOMEM, "forecast: out of memory");
        m->bands[bands] = RC_FC_NO_BANDS;
    }
    if (s == RC_OK && m->c.linear) {
        m->ar = rc_params_add(m->base.params, "ar.weight", 2, (size_t[2]){m->c.horizon, m->c.lookback},
                              (rc_init){.kind = RC_INIT_ZEROS}, e); /* begins as the linear baseline */
        if (!m->ar)
            s = RC_ENOMEM;
        else
            m->ar->no_decay = true;
    }
    if (s == RC_OK && L) {
        m->baseline = rc_params_add(m->base.params, "baseline.weight", 2, (size_t[2]){m->c.horizon, L + 1},
                                    (rc_init){.kind = RC_INIT_ZEROS}, e);
        if (m->baseline) m->baseline->frozen = true;
        if (!m->baseline) s = RC_ENOMEM;
    }
    if (s == RC_ENOMEM && e->code == RC_OK) rc_fail(e, s, "forecast: out of memory");
    return s;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* (L, B) value, mask and features side by side: (L, B, 1 + mask + F). */
static rc_var *past_input(rc_tape *t, const rc__forecast *m, const rc__fc_batch *b) {
    rc_var *part[3];
    int n = 0;
    part[n++] = rc_input(t, 3, (size_t[3]){b->L, b->B, 1}, b->past);
    if (m->c.mask) part[n++] = rc_input(t, 3, (size_t[3]){b->L, b->B, 1}, b->mask);
    if (b->F) part[n++] = rc_input(t, 3, (size_t[3]){b->L, b->B, b->F}, b->features);
    return n == 1 ? part[0] : rc_concat(t, n, part, 2);
}

rc_var *rc__fc_cut(rc_tape *t, rc_var *x, size_t w) {
    size_t S = x->dim[0] / w, B = x->dim[1], C = x->ndim == 3 ? x->dim[2] : 1;
    rc_var *v = rc_reshape(t, x, 4, (size_t[4]){S, w, B, C});
    v = rc_transpose(t, v, (int[4]){0, 2, 1, 3});
    return rc_reshape(t, v, 3, (size_t[3]){S, B, w * C});
}

rc_var *rc__fc_of_series(rc_tape *t, rc_param *p, const rc__fc_batch *b) {
    size_t B = b->B;
    bool others = false;
    int32_t *ids = rc__tape_alloc(t, B * sizeof *ids);
    rc_real *known = rc__tape_alloc(t, B * sizeof *known), *unknown = rc__tape_alloc(t, B * sizeof *unknown);
    if (!ids || !known || !unknown) return rc__dead(t);
    for (size_t i = 0; i < B; i++) {
        bool new_one = b->series[i] < 0;
        others |= new_one;
        ids[i] = new_one ? 0 : b->series[i];
        known[i] = !new_one;
        unknown[i] = new_one;
    }
    rc_var *table = rc_param_var(t, p), *v = rc_embedding(t, ids, 1, &B, table);
    if (!others) return v;
    rc_var *mean = rc_reshape(t, rc_mean(t, table, 0), 2, (size_t[2]){1, p->dim[1]});
    rc_var *k = rc_input(t, 2, (size_t[2]){B, 1}, known), *u = rc_input(t, 2, (size_t[2]){B, 1}, unknown);
    return rc_add(t, rc_mul(t, v, k), rc_mul(t, mean, u));
}

/* out (H, B, P) plus what is linear in the lookback: to every quantile, or the location of a distribution. */
static rc_var *add_linear_part(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, rc_var *out) {
    const rc__fc_config *c = &m->c;
    size_t H = c->horizon, B = b->B;
    if (!m->ar) return out;
    rc_var *past = rc_transpose(t, rc_input(t, 2, (size_t[2]){b->L, B}, b->past), (int[2]){1, 0});
    rc_var *line = rc_transpose(t, rc_linear(t, past, rc_param_var(t, m->ar), NULL), (int[2]){1, 0});
    line = rc_reshape(t, line, 3, (size_t[3]){H, B, 1});
    if (c->likelihood == RC_FC_QUANTILE || c->likelihood == RC_FC_POINT) return rc_add(t, out, line);
    rc_var *rest = rc_zeros(t, 3, (size_t[3]){H, B, rc__fc_outputs(c) - 1});
    return rc_add(t, out, rc_concat(t, 2, (rc_var *[2]){line, rest}, 2));
}

/* -> (H, B, P) */
static rc_var *segment_forward(rc_tape *t, rc__forecast *m, const rc__fc_batch *b) {
    const rc__fc_config *c = &m->c;
    size_t w = c->segment, B = b->B, S = segments(c->horizon, w), P = rc__fc_outputs(c), d = c->rnn.hidden_size;
    rc_var *x = rc__fc_cut(t, past_input(t, m, b), w);
    x = rc_relu(t, rc_linear(t, x, rc_param_var(t, m->embed_w), rc_param_var(t, m->embed_b)));
    rc_var *h = NULL, *cell = NULL;
    bool has_c = rc_cell_find(c->rnn.cell)->has_c;
    rc_rnn_forward_vars(t, m->rnn, x, NULL, NULL, NULL, &h, has_c ? &cell : NULL);
    if (rc_tape_status(t, NULL) != RC_OK) return rc__dead(t);
    /* the query of each segment: place and series (equation 7) */
    rc_var *zeros = rc_zeros(t, 3, (size_t[3]){S, B, 1});
    rc_var *query = rc_reshape(t, rc_param_var(t, m->place), 3, (size_t[3]){S, 1, m->place->dim[1]});
    query = rc_add(t, query, zeros);
    if (m->channel) {
        rc_var *own = rc_reshape(t, rc__fc_of_series(t, m->channel, b), 3, (size_t[3]){1, B, m->channel->dim[1]});
        query = rc_concat(t, 2, (rc_var *[2]){query, rc_add(t, own, zeros)}, 2);
    }
    if (m->future_w) {
        rc_real *future = rc__tape_alloc(t, S * w * B * b->F * sizeof *future);
        if (!future) return rc__dead(t);
        memset(future, 0, S * w * B * b->F * sizeof *future);
        memcpy(future, b->features + b->L * B * b->F, b->H * B * b->F * sizeof *future);
        rc_var *f = rc__fc_cut(t, rc_input(t, 3, (size_t[3]){S * w, B, b->F}, future), w);
        query = rc_add(t, query, rc_linear(t, f, rc_param_var(t, m->future_w), NULL));
    }
    /* one step from the same state for all segments at once */
    size_t D = h->dim[0];
    rc_var *flat = rc_reshape(t, query, 3, (size_t[3]){1, S * B, d});
    rc_var *wide = rc_zeros(t, 4, (size_t[4]){D, S, B, 1});
    rc_var *h0 = rc_reshape(t, rc_add(t, rc_reshape(t, h, 4, (size_t[4]){D, 1, B, h->dim[2]}), wide), 3,
                            (size_t[3]){D, S * B, h->dim[2]});
    rc_var *c0 = NULL;
    if (has_c)
        c0 = rc_reshape(t, rc_add(t, rc_reshape(t, cell, 4, (size_t[4]){D, 1, B, cell->dim[2]}), wide), 3,
                        (size_t[3]){D, S * B, cell->dim[2]});
    rc_var *y = rc_rnn_forward_vars(t, m->rnn, flat, NULL, h0, c0, NULL, NULL);
    y = rc_linear(t, rc_dropout(t, y, c->dropout), rc_param_var(t, m->head_w), rc_param_var(t, m->head_b));
    y = rc_reshape(t, y, 4, (size_t[4]){S, B, w, P});
    y = rc_reshape(t, rc_transpose(t, y, (int[4]){0, 2, 1, 3}), 3, (size_t[3]){S * w, B, P});
    return add_linear_part(t, m, b, S * w == c->horizon ? y : rc_slice(t, y, 0, 0, c->horizon));
}

static rc_var *direct_forward(rc_tape *t, rc__forecast *m, const rc__fc_batch *b) {
    const rc__fc_config *c = &m->c;
    size_t B = b->B, H = c->horizon;
    rc_var *y = rc_rnn_forward(t, m->rnn, past_input(t, m, b), NULL, NULL);
    if (rc_tape_status(t, NULL) != RC_OK) return rc__dead(t);
    rc_var *h = rc_dropout(t, rc_last_time(t, y, NULL), c->dropout);
    rc_var *ctx = rc_linear(t, h, rc_param_var(t, m->context_w), rc_param_var(t, m->context_b));
    ctx = rc_transpose(t, rc_reshape(t, ctx, 3, (size_t[3]){B, H, CONTEXT}), (int[3]){1, 0, 2});
    if (b->F) {
        rc_var *f = rc_input(t, 3, (size_t[3]){H, B, b->F}, b->features + b->L * B * b->F);
        ctx = rc_concat(t, 2, (rc_var *[2]){ctx, f}, 2);
    }
    rc_var *mix = rc_relu(t, rc_linear(t, ctx, rc_param_var(t, m->mix_w), rc_param_var(t, m->mix_b)));
    return add_linear_part(t, m, b, rc_linear(t, mix, rc_param_var(t, m->head_w), rc_param_var(t, m->head_b)));
}

static rc_var *windows_forward(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, rc_var **penalty) {
    switch (m->c.kind) {
    case RC_FC_SEGMENT: return segment_forward(t, m, b);
    case RC_FC_DIRECT: return direct_forward(t, m, b);
    default: return rc__fc_esrnn_forward(t, m, b, penalty);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* (T, B, n_lags + 1 + F) from lags and features -> parameters (T, B, P) */
static rc_var *steps_forward(rc_tape *t, rc__forecast *m, rc_var *lags, const rc_real *features, size_t F,
                             rc_state *state) {
    size_t T = lags->dim[0], B = lags->dim[1];
    rc_var *x = lags;
    if (F) x = rc_concat(t, 2, (rc_var *[2]){x, rc_input(t, 3, (size_t[3]){T, B, F}, features)}, 2);
    rc_var *h = rc_dropout(t, rc_rnn_forward(t, m->rnn, x, NULL, state), m->c.dropout);
    return rc_linear(t, h, rc_param_var(t, m->head_w), rc_param_var(t, m->head_b));
}

/* One number of a distribution's parameters, scaled: its middle. */
static double middle(const rc__fc_config *c, const rc_real *p) {
    if (c->likelihood == RC_FC_QUANTILE) return (double)p[c->n_quantiles / 2];
    if (c->likelihood == RC_FC_NEGATIVE_BINOMIAL) return rc__mean_negative_binomial(p, 1);
    return (double)p[0];
}

/* Scheduled sampling (Bengio et al. 2015, arXiv 1506.03099), all steps at once (Duckworth et al. 2019, arXiv
 * 1906.04331): a pass with the true inputs, then some of them replaced by what it told, and the pass that learns. */
static rc_var *own_inputs(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, double own) {
    size_t T = b->L + b->H, B = b->B, N = b->n_lags + 1, P = rc__fc_outputs(&m->c);
    rc_var *lags = rc_input(t, 3, (size_t[3]){T, B, N}, b->lags);
    if (own <= 0) return lags;
    rc_var *first = steps_forward(t, m, lags, b->features, b->F, NULL);
    rc_real *mixed = rc__tape_alloc(t, T * B * N * sizeof *mixed);
    if (rc_tape_status(t, NULL) != RC_OK || !mixed) return rc__dead(t);
    memcpy(mixed, b->lags, T * B * N * sizeof *mixed);
    rc_rng r = rc__tape_rng(t);
    for (size_t j = 1; j < T; j++)
        for (size_t i = 0; i < B; i++) {
            bool replace = rc_rng_uniform(&r) < own;
            if (!replace || b->lags[(j * B + i) * N + N - 1] == 0) continue;
            for (size_t k = 0; k < b->n_lags; k++)
                if (m->c.lag[k] == 1)
                    mixed[(j * B + i) * N + k] = (rc_real)middle(&m->c, first->x + ((j - 1) * B + i) * P);
        }
    return rc_input(t, 3, (size_t[3]){T, B, N}, mixed);
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

static rc_var *loss_of(rc_tape *t, const rc__fc_config *c, rc_var *out, const rc_real *targets, const rc_real *scales) {
    rc_loss_options o = rc_loss_options_default();
    o.quantiles = c->quantile;
    o.n_quantiles = c->n_quantiles;
    switch (c->likelihood) {
    case RC_FC_POINT: return rc_mae(t, out, targets, &o);
    case RC_FC_QUANTILE: return rc_quantile(t, out, targets, &o);
    case RC_FC_GAUSSIAN: return rc_gaussian_nll(t, out, targets, &o);
    case RC_FC_STUDENT_T: return rc_student_t_nll(t, out, targets, &o);
    default: return rc_negative_binomial_nll(t, out, targets, scales, &o);
    }
}

rc_var *rc__fc_loss(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, double own) {
    const rc__fc_config *c = &m->c;
    if (rc__fc_steps(c)) {
        rc_var *out = steps_forward(t, m, own_inputs(t, m, b, own), b->features, b->F, NULL);
        if (c->likelihood == RC_FC_POINT) out = rc_reshape(t, out, 2, (size_t[2]){b->L + b->H, b->B});
        return loss_of(t, c, out, b->targets, b->scales);
    }
    rc_var *penalty = NULL, *out = windows_forward(t, m, b, &penalty);
    const rc_real *targets = b->future;
    if (c->kind == RC_FC_ESRNN) {
        rc_real *logs = rc__tape_alloc(t, b->H * b->B * sizeof *logs);
        if (!logs) return rc__dead(t);
        for (size_t i = 0; i < b->H * b->B; i++)
            logs[i] = b->future[i] > 0 ? (rc_real)log((double)b->future[i]) : (rc_real)NAN;
        targets = logs;
    }
    if (c->likelihood == RC_FC_NEGATIVE_BINOMIAL) {
        rc_real *counts = rc__tape_alloc(t, b->H * b->B * sizeof *counts);
        if (!counts) return rc__dead(t);
        for (size_t j = 0; j < b->H; j++)
            for (size_t i = 0; i < b->B; i++)
                counts[j * b->B + i] = (rc_real)round((double)b->future[j * b->B + i] * b->scale[i]);
        targets = counts;
    }
    if (c->likelihood == RC_FC_POINT) out = rc_reshape(t, out, 2, (size_t[2]){b->H, b->B});
    rc_var *loss = loss_of(t, c, out, targets, b->scales);
    return penalty && rc_tape_get_mode(t).training ? rc_add(t, loss, penalty) : loss;
}

/* ---- forecasts --------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* As NumPy's default (Hyndman & Fan 1996, definition 7). x is sorted. */
static double quantile_of(const double *x, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

static double draw(const rc__fc_config *c, const rc_real *p, double scale, rc_rng *r) {
    switch (c->likelihood) {
    case RC_FC_GAUSSIAN: return rc__draw_gaussian(p, r);
    case RC_FC_STUDENT_T: return rc__draw_student_t(p, r);
    case RC_FC_NEGATIVE_BINOMIAL: return rc__draw_negative_binomial(p, scale, r) / scale;
    case RC_FC_QUANTILE: { /* the quantiles as points of a distribution function, linear between and flat beyond */
        double q = rc_rng_uniform(r), sorted[RC_FC_MAX_QUANTILES];
        size_t n = c->n_quantiles, i = 0;
        for (size_t k = 0; k < n; k++) sorted[k] = (double)p[k];
        qsort(sorted, n, sizeof *sorted, by_size);
        if (n == 1 || q <= c->quantile[0]) return sorted[0];
        while (i + 2 < n && q > c->quantile[i + 1]) i++;
        double part = (q - c->quantile[i]) / (c->quantile[i + 1] - c->quantile[i]);
        return part >= 1 ? sorted[n - 1] : sorted[i] + part * (sorted[i + 1] - sorted[i]);
    }
    default: return (double)p[0];
    }
}

/* Samples of one place, scaled (n, sorted here), to what is asked for. */
static void from_samples(const rc__fc_config *c, double *x, size_t n, double loc, double scale, double *point,
                         double *quantile) {
    bool finite = true;
    for (size_t i = 0; i < n; i++) finite = finite && isfinite(x[i]);
    if (finite) qsort(x, n, sizeof *x, by_size);
    *point = finite ? loc + scale * quantile_of(x, n, 0.5) : NAN;
    for (size_t k = 0; quantile && k < c->n_quantiles; k++)
        quantile[k] = finite ? loc + scale * quantile_of(x, n, c->quantile[k]) : NAN;
}

/* The bands about a point; beyond the trained horizon they widen as those of a random walk do. */
static void put_bands(const rc__forecast *m, size_t j, double point, double scale, double *quantile) {
    size_t H = m->c.horizon, Q = m->c.n_quantiles, at = j < H ? j : H - 1;
    double wider = j < H ? 1 : sqrt((double)(j + 1) / (double)H);
    for (size_t k = 0; quantile && k < Q; k++) {
        double band = wider * (double)m->bands[at * Q + k];
        quantile[k] = m->c.kind == RC_FC_ESRNN ? point * exp(band) : point + scale * band;
    }
}

static uint64_t stream_of(uint64_t key, size_t path) { return key * UINT64_C(0x9E3779B97F4A7C15) + path; }

/* Windows: everything at once. Distributions are sampled for each step alone. */
static rc_status run_windows(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, size_t samples, uint64_t seed,
                             const uint64_t *key, rc__fc_forecast *out, rc_error *e) {
    const rc__fc_config *c = &m->c;
    size_t P = rc__fc_outputs(c), Q = c->n_quantiles;
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *y = windows_forward(t, m, b, NULL);
    rc_status s = rc_tape_status(t, e);
    if (s != RC_OK) return s;
    if (c->kind == RC_FC_ESRNN) /* it tells of logarithms */
        for (size_t i = 0; i < y->len; i++) y->x[i] = (rc_real)exp((double)y->x[i]);
    size_t n = samples ? samples : 1;
    double *x = rc__alloc((n > Q ? n : Q) * sizeof *x + sizeof *x);
    if (!x) return rc_fail(e, RC_ENOMEM, "forecast: out of memory");
    for (size_t i = 0; i < b->B; i++) {
        rc_rng r = rc_rng_make(seed, stream_of(key[i], 0));
        for (size_t j = 0; j < out->H; j++) {
            const rc_real *p = y->x + (j * b->B + i) * P;
            double loc = b->loc[i], scale = b->scale[i], *point = &out->point[i * out->H + j],
                   *quantile = out->quantile ? out->quantile + (i * out->H + j) * Q : NULL;
            if (c->likelihood == RC_FC_POINT) {
                *point = loc + scale * (double)p[0];
                put_bands(m, j, *point, scale, quantile);
            } else if (c->likelihood == RC_FC_QUANTILE) { /* in order, where they cross */
                for (size_t k = 0; k < Q; k++) x[k] = (double)p[k];
                qsort(x, Q, sizeof *x, by_size);
                for (size_t k = 0; quantile && k < Q; k++) quantile[k] = loc + scale * x[k];
                *point = loc + scale * x[Q / 2];
            } else {
                for (size_t k = 0; k < n; k++) x[k] = draw(c, p, scale, &r);
                from_samples(c, x, n, loc, scale, point, quantile);
            }
        }
    }
    rc__free(x, (n > Q ? n : Q) * sizeof *x + sizeof *x);
    return RC_OK;
}

/* Step by step: paths of each window side by side, row i * n + k is path k of window i. */
typedef struct paths {
    size_t n, rows; /* paths of a window; of all */
    rc_state *one, *state;
    rc_real *lags, *features;
    double *value; /* (rows, H) scaled */
    rc_rng *rng;
} paths;

static void free_paths(paths *p, const rc__fc_batch *b, size_t H) {
    rc_state_free(p->one);
    rc_state_free(p->state);
    rc__free(p->lags, p->rows * (b->n_lags + 1) * sizeof *p->lags);
    rc__free(p->features, (p->rows * b->F + 1) * sizeof *p->features);
    rc__free(p->value, p->rows * H * sizeof *p->value);
    rc__free(p->rng, p->rows * sizeof *p->rng);
}

/* The lookback, once for each window; then its state for each of its paths. */
static rc_status read_past(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, paths *p, rc_error *e) {
    size_t N = b->n_lags + 1;
    rc_status s = rc_state_new(&p->one, m->rnn, b->B, e);
    if (s == RC_OK) s = rc_state_new(&p->state, m->rnn, p->rows, e);
    if (s != RC_OK) return s;
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *lags = rc_input(t, 3, (size_t[3]){b->L, b->B, N}, b->lags), *x = lags;
    if (b->F) x = rc_concat(t, 2, (rc_var *[2]){x, rc_input(t, 3, (size_t[3]){b->L, b->B, b->F}, b->features)}, 2);
    rc_rnn_forward(t, m->rnn, x, NULL, p->one);
    s = rc_tape_status(t, e);
    for (size_t i = 0; s == RC_OK && i < p->rows; i++) s = rc_state_copy_row(p->state, i, p->one, i / p->n, e);
    return s;
}

static void fill_step(const rc__forecast *m, const rc__fc_batch *b, paths *p, size_t H, size_t j) {
    size_t N = b->n_lags + 1;
    for (size_t row = 0; row < p->rows; row++) {
        size_t i = row / p->n;
        rc_real *to = p->lags + row * N;
        memcpy(to, b->lags + ((b->L + j) * b->B + i) * N, N * sizeof *to);
        for (size_t k = 0; k < b->n_lags; k++)
            if (m->c.lag[k] <= j) to[k] = (rc_real)p->value[row * H + j - m->c.lag[k]];
        if (j > 0) to[b->n_lags] = 1; /* its own value is as good as observed */
        if (b->F)
            memcpy(p->features + row * b->F, b->features + ((b->L + j) * b->B + i) * b->F, b->F * sizeof *p->features);
    }
}

static rc_status run_steps(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, size_t samples, uint64_t seed,
                           const uint64_t *key, rc__fc_forecast *out, rc_error *e) {
    const rc__fc_config *c = &m->c;
    size_t H = out->H, P = rc__fc_outputs(c), N = b->n_lags + 1, Q = c->n_quantiles;
    bool point = c->likelihood == RC_FC_POINT || samples < 2;
    paths p = {.n = point ? 1 : samples};
    p.rows = b->B * p.n;
    p.lags = rc__alloc(p.rows * N * sizeof *p.lags);
    p.features = rc__alloc((p.rows * b->F + 1) * sizeof *p.features);
    p.value = rc__alloc(p.rows * H * sizeof *p.value);
    p.rng = rc__alloc(p.rows * sizeof *p.rng);
    double *x = rc__alloc(p.n * sizeof *x);
    rc_status s =
        p.lags && p.features && p.value && p.rng && x ? RC_OK : rc_fail(e, RC_ENOMEM, "forecast: out of memory");
    for (size_t i = 0; s == RC_OK && i < p.rows; i++) p.rng[i] = rc_rng_make(seed, stream_of(key[i / p.n], i % p.n));
    if (s == RC_OK) s = read_past(t, m, b, &p, e);
    for (size_t j = 0; s == RC_OK && j < H; j++) {
        fill_step(m, b, &p, H, j);
        rc_tape_begin(t, (rc_tape_mode){0});
        rc_var *lags = rc_input(t, 3, (size_t[3]){1, p.rows, N}, p.lags);
        rc_var *y = steps_forward(t, m, lags, p.features, b->F, p.state);
        s = rc_tape_status(t, e);
        for (size_t i = 0; s == RC_OK && i < p.rows; i++)
            p.value[i * H + j] = point ? middle(c, y->x + i * P) : draw(c, y->x + i * P, b->scale[i / p.n], &p.rng[i]);
    }
    for (size_t i = 0; s == RC_OK && i < b->B; i++)
        for (size_t j = 0; j < H; j++) {
            for (size_t k = 0; k < p.n; k++) x[k] = p.value[(i * p.n + k) * H + j];
            double *quantile = out->quantile ? out->quantile + (i * H + j) * Q : NULL, *to = &out->point[i * H + j];
            bool bands = c->likelihood == RC_FC_POINT;
            from_samples(c, x, p.n, b->loc[i], b->scale[i], to, bands ? NULL : quantile);
            if (bands) put_bands(m, j, *to, b->scale[i], quantile);
        }
    rc__free(x, p.n * sizeof *x);
    free_paths(&p, b, H);
    return s;
}

rc_status rc__fc_run(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, size_t samples, uint64_t seed,
                     const uint64_t *key, rc__fc_forecast *out, rc_error *e) {
    return rc__fc_steps(&m->c) ? run_steps(t, m, b, samples, seed, key, out, e)
                               : run_windows(t, m, b, samples, seed, key, out, e);
}

/* ---- bands ------------------------------------------------------------------------------------------------------- */

#define BAND_BATCH 64

rc_status rc__fc_fit_bands(rc__forecast *m, rc_tape *t, const rc__series *s, const int32_t *map, const rc__fc_window *w,
                           size_t n, double loss, rc_error *e) {
    size_t H = m->c.horizon, Q = m->c.n_quantiles;
    rc__fc_batch b = {0};
    rc__fc_forecast f = {.H = H};
    uint64_t key[BAND_BATCH] = {0};
    f.point = rc__alloc(BAND_BATCH * H * sizeof *f.point);
    double *error = rc__alloc(n * H * sizeof *error); /* (H, n) */
    size_t *count = rc__calloc(H, sizeof *count);
    rc_status st = f.point && error && count ? RC_OK : rc_fail(e, RC_ENOMEM, "bands: out of memory");
    if (st == RC_OK) st = rc__fc_batch_new(&b, m, n < BAND_BATCH ? n : BAND_BATCH, H, e);
    for (size_t at = 0; st == RC_OK && at < n; at += BAND_BATCH) {
        size_t B = n - at < BAND_BATCH ? n - at : BAND_BATCH;
        rc__fc_batch_fill(&b, m, s, map, w + at, B);
        st = rc__fc_run(t, m, &b, 1, 1, key, &f, e);
        for (size_t i = 0; st == RC_OK && i < B; i++)
            for (size_t j = 0; j < H; j++) {
                double y = b.loc[i] + b.scale[i] * (double)b.future[j * B + i], g = f.point[i * H + j];
                double r = m->c.kind == RC_FC_ESRNN ? log(y / g) : (y - g) / b.scale[i];
                if (isfinite(r)) error[j * n + count[j]++] = r;
            }
    }
    for (size_t j = 0; st == RC_OK && j < H; j++) {
        qsort(error + j * n, count[j], sizeof *error, by_size);
        for (size_t k = 0; count[j] && k < Q; k++)
            m->bands[j * Q + k] = (rc_real)quantile_of(error + j * n, count[j], m->c.quantile[k]);
    }
    if (st == RC_OK) m->bands[H * Q] = (rc_real)loss;
    rc__fc_batch_free(&b);
    rc__free(f.point, BAND_BATCH * H * sizeof *f.point);
    rc__free(error, n * H * sizeof *error);
    rc__free(count, H * sizeof *count);
    return st;
}
