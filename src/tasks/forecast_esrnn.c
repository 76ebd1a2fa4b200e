/* forecast_esrnn.c - the hybrid of exponential smoothing and a recurrent network (Smyl 2020, International Journal of
 * Forecasting 36(1), section 3): level and season of each series are smoothed with its own alpha and gamma and from its
 * own initial season, all learnt with the network; the network sees what is left, ln(y_t / (l s_t)) with the last level
 * l, cut into segments (his are windows of a season), and tells of the same for the horizon. Differs from the original
 * in that a window of the last `lookback` steps is smoothed, not the series from its beginning, in the plain recurrent
 * layers (no dilation), and in its quantiles. */
#include <math.h>
#include <string.h>

#include "autograd/smoothing.h"
#include "autograd/tape_internal.h"
#include "tasks/forecast.h"

#define PENALTY 10.0 /* of a level that changes its pace; Smyl's for hourly data (50 and more elsewhere) */

rc_status rc__fc_esrnn_build(rc__forecast *m, rc_error *e) {
    rc__fc_config *c = &m->c;
    rc_params *ps = m->base.params;
    size_t d = c->rnn.hidden_size, season = c->season > 1 ? c->season : 0;
    m->smoothing =
        rc_params_add(ps, "smoothing", 2, (size_t[2]){m->n_series, 2 + season}, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (!m->smoothing) return e ? e->code : RC_ENOMEM;
    m->smoothing->no_decay = true;
    m->smoothing->lr_scale = 3; /* a series' own numbers are seen less often than those of the network */
    rc_status s = rc__fc_add_linear(ps, "embed", d, c->segment * (1 + c->mask), &m->embed_w, &m->embed_b, e);
    c->rnn.input_size = d;
    if (s == RC_OK) s = rc_rnn_new(&m->rnn, ps, "rnn.", &c->rnn, e);
    if (s != RC_OK) return s;
    size_t h = rc_rnn_output_size(m->rnn);
    s = rc__fc_add_linear(ps, "mix", h, h, &m->mix_w, &m->mix_b, e); /* his nonlinear layer */
    return s == RC_OK ? rc__fc_add_linear(ps, "head", c->horizon * rc__fc_outputs(c), h, &m->head_w, &m->head_b, e) : s;
}

/* The season begins as the mean of ln y less its mean over the season about it, for each phase. */
static void first_season(const double *y, size_t n, size_t m, double *out, size_t *count) {
    for (size_t j = 0; j < m; j++) out[j] = 0, count[j] = 0;
    for (size_t t = 0; t + m <= n; t++) {
        double mean = 0;
        size_t seen = 0, at = t + m / 2;
        for (size_t j = 0; j < m; j++)
            if (y[t + j] > 0) mean += log(y[t + j]), seen++;
        if (seen < m || !(y[at] > 0)) continue;
        out[at % m] += log(y[at]) - mean / (double)m;
        count[at % m]++;
    }
    double mean = 0;
    for (size_t j = 0; j < m; j++) {
        out[j] = count[j] ? out[j] / (double)count[j] : 0;
        mean += out[j] / (double)m;
    }
    for (size_t j = 0; j < m; j++) out[j] -= mean;
}

rc_status rc__fc_start_smoothing(rc__forecast *m, const rc__series *s, const size_t *split, rc_error *e) {
    if (!m->smoothing) return RC_OK;
    size_t season = m->c.season, T = s->schema->n_targets, width = m->smoothing->dim[1];
    double *first = rc__alloc(season * (sizeof *first + sizeof(size_t)));
    if (!first) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t i = 0; i < m->n_series; i++) {
        rc_real *to = m->smoothing->w + i * width;
        to[0] = to[1] = -1; /* sigmoid: .27 */
        if (width == 2) continue;
        first_season(rc__series_y(s, i / T, i % T), split[i / T], season, first, (size_t *)(first + season));
        for (size_t j = 0; j < season; j++) to[2 + j] = (rc_real)first[j];
    }
    rc__free(first, season * (sizeof *first + sizeof(size_t)));
    rc_params_changed(m->base.params);
    return RC_OK;
}

static rc_var *column(rc_tape *t, rc_var *x, size_t at, size_t B) {
    return rc_reshape(t, rc_sigmoid(t, rc_slice(t, x, 1, at, 1)), 1, &B);
}

rc_var *rc__fc_esrnn_forward(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, rc_var **penalty) {
    const rc__fc_config *c = &m->c;
    size_t L = b->L, B = b->B, H = c->horizon, P = rc__fc_outputs(c);
    bool seasonal = c->season > 1;
    size_t season = seasonal ? c->season : 1;
    rc_real *seen = rc__tape_alloc(t, L * B * sizeof *seen), *logs = rc__tape_alloc(t, L * B * sizeof *logs);
    if (!seen || !logs) return rc__dead(t);
    for (size_t i = 0; i < L * B; i++) {
        seen[i] = b->past[i] > 0 ? b->mask[i] : 0;
        logs[i] = b->past[i] > 0 ? (rc_real)log((double)b->past[i]) : 0;
    }
    rc_var *own = rc__fc_of_series(t, m->smoothing, b);
    if (rc_tape_status(t, NULL) != RC_OK) return rc__dead(t);
    rc_var *alpha = column(t, own, 0, B), *gamma = seasonal ? column(t, own, 1, B) : NULL,
           *first = seasonal ? rc_slice(t, own, 1, 2, season) : NULL;
    rc_var *smooth = rc__holt_winters(t, L, B, b->past, seen, alpha, gamma, first, b->phase);
    if (rc_tape_status(t, NULL) != RC_OK) return rc__dead(t);
    rc_var *last = rc_slice(t, smooth, 0, L - 1, 1), *seasons = rc_slice(t, smooth, 0, L, L); /* (1, B), (L, B) */
    rc_var *x = rc_sub(t, rc_sub(t, rc_input(t, 2, (size_t[2]){L, B}, logs), seasons), last);
    rc_real *open = rc__tape_alloc(t, L * B * sizeof *open); /* what lies before the series is 0 to the network */
    if (!open) return rc__dead(t);
    for (size_t i = 0; i < L * B; i++) open[i] = b->past[i] > 0 ? 1 : 0;
    x = rc_reshape(t, rc_mul(t, x, rc_input(t, 2, (size_t[2]){L, B}, open)), 3, (size_t[3]){L, B, 1});
    if (c->mask) x = rc_concat(t, 2, (rc_var *[2]){x, rc_input(t, 3, (size_t[3]){L, B, 1}, b->mask)}, 2);
    x = rc__fc_cut(t, x, c->segment);
    x = rc_tanh(t, rc_linear(t, x, rc_param_var(t, m->embed_w), rc_param_var(t, m->embed_b)));
    rc_var *h = rc_last_time(t, rc_rnn_forward(t, m->rnn, x, NULL, NULL), NULL);
    h = rc_tanh(t, rc_linear(t, rc_dropout(t, h, c->dropout), rc_param_var(t, m->mix_w), rc_param_var(t, m->mix_b)));
    rc_var *y = rc_linear(t, h, rc_param_var(t, m->head_w), rc_param_var(t, m->head_b)); /* (B, H * P) */
    y = rc_transpose(t, rc_reshape(t, y, 3, (size_t[3]){B, H, P}), (int[3]){1, 0, 2});
    /* the level and the last season again and again */
    rc_var *next = rc_slice(t, smooth, 0, 2 * L, season);
    if (H > season) {
        size_t times = (H + season - 1) / season;
        rc_var *zeros = rc_zeros(t, 3, (size_t[3]){times, season, B});
        next = rc_add(t, zeros, rc_reshape(t, next, 3, (size_t[3]){1, season, B}));
        next = rc_reshape(t, next, 2, (size_t[2]){times * season, B});
    }
    if (next->len != H * B && rc_tape_status(t, NULL) == RC_OK) next = rc_slice(t, next, 0, 0, H);
    next = rc_reshape(t, rc_add(t, next, last), 3, (size_t[3]){H, B, 1});
    if (penalty && L > 2) { /* of the level's changes of pace (his section 3.4) */
        rc_var *level = rc_slice(t, smooth, 0, 0, L);
        rc_var *pace = rc_sub(t, rc_slice(t, level, 0, 1, L - 1), rc_slice(t, level, 0, 0, L - 1));
        rc_var *bend = rc_sub(t, rc_slice(t, pace, 0, 1, L - 2), rc_slice(t, pace, 0, 0, L - 2));
        *penalty = rc_scale(t, rc_mean_all(t, rc_activate(t, bend, RC_ACT_SQUARE)), PENALTY, 0);
    }
    return rc_add(t, y, next);
}
