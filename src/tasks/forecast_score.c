/* forecast_score.c - rolling back-tests: windows, and what forecasts of them are worth beside the baselines. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "metrics/forecast.h"
#include "tasks/baselines.h"
#include "tasks/forecast.h"

#define MOST_NAIVE2 5000 /* windows: each needs its whole history anew */
#define MOST_ROWS   64    /* series in the table of them */

rc_status rc__fc_windows(const rc__forecast *m, const rc__series *s, const size_t *from, const size_t *to,
                         size_t stride, bool partial, rc__fc_window **out, size_t *n, rc_error *e) {
    size_t H = m->c.horizon, T = s->schema->n_targets, total = 0, at = 0;
    *out = NULL;
    *n = 0;
    for (int fill = 0; fill < 2; fill++) {
        for (size_t g = 0; g < s->n_groups; g++) {
            bool whole = to[g] >= from[g] + H, some = partial && to[g] > from[g];
            size_t count = whole ? (to[g] - from[g] - H) / stride + 1 : some ? 1 : 0;
            if (!fill) total += count * T;
            for (size_t i = 0; fill && i < count; i++) /* the series of one moment side by side */
                for (size_t k = 0; k < T; k++)
                    (*out)[at++] = (rc__fc_window){(uint32_t)g, (uint32_t)k, (uint32_t)(from[g] + i * stride)};
        }
        if (total > UINT32_MAX / 2)
            return rc_fail(e, RC_EDATA, "%zu windows are too many; take a larger stride", total);
        if (total == 0) return RC_OK;
        if (!fill && !(*out = rc__alloc(total * sizeof **out)))
            return rc_fail(e, RC_ENOMEM, "out of memory for %zu windows", total);
    }
    *n = total;
    return RC_OK;
}

rc_status rc__fc_continue(const rc__forecast *m, const rc__series *earlier, rc__series **later, bool *joined,
                          rc_error *e) {
    rc__series *s = *later, *both;
    bool follows = false, too_short = true;
    *joined = false;
    if (!earlier) return RC_OK;
    for (size_t g = 0; g < s->n_groups; g++) {
        size_t k = rc__series_find(earlier, s->group[g].id, g);
        too_short = too_short && s->group[g].n < m->c.lookback + m->c.horizon;
        if (k == earlier->n_groups) continue;
        const rc__group *a = &earlier->group[k];
        follows = follows || !s->schema->has_time ||
                  rc__time_step(a->start, &s->schema->frequency, (int64_t)a->n) == s->group[g].start;
    }
    if (!follows || (!s->schema->has_time && !too_short)) return RC_OK;
    rc_status st = rc__series_join(&both, earlier, s, false, e);
    if (st != RC_OK) return st;
    rc__series_free(s);
    *later = both;
    *joined = true;
    return RC_OK;
}

/* Sums over places (by number of values that are there) and means over windows. */
typedef struct sums {
    double se, ae, ape, smape, mase, abs, scaled_se, scaled_ae;
    size_t places, windows, scored, endless; /* scored: windows with a MASE; endless: those where it has no bound */
} sums;

static void add(sums *to, size_t H, const double *y, const double *f, double mase_scale, double unit) {
    rc__forecast_scores s;
    rc__forecast_score(H, y, f, &s);
    if (!s.used) return;
    double n = (double)s.used, mase = rc__mase(s.mae, mase_scale);
    to->se += n * s.mse;
    to->ae += n * s.mae;
    to->ape += n * s.mape;
    to->smape += n * s.smape;
    to->scaled_se += n * s.mse / (unit * unit);
    to->scaled_ae += n * s.mae / unit;
    to->places += s.used;
    to->windows++;
    if (isfinite(mase))
        to->mase += mase, to->scored++;
    else
        to->endless++;
    for (size_t i = 0; i < H; i++)
        if (!isnan(y[i])) to->abs += fabs(y[i]);
}

static void put(json_t *o, const char *key, double v) { json_object_set_new(o, key, rc__real_or_null(v)); }
static double mean_mase(const sums *s) { return s->mase / (double)s->scored; }

static void put_sums(json_t *o, const sums *s) {
    double n = (double)s->places;
    put(o, "mse", s->se / n);
    put(o, "mae", s->ae / n);
    put(o, "rmse", sqrt(s->se / n));
    put(o, "mape", s->ape / n);
    put(o, "smape", s->smape / n);
    put(o, "mase", mean_mase(s));
    put(o, "nd", s->ae / s->abs);
    put(o, "scaled_mse", s->scaled_se / n);
    put(o, "scaled_mae", s->scaled_ae / n);
}

typedef struct scoring {
    rc__forecast *m;
    const rc__series *s;
    const int32_t *map;
    sums model, naive, line, naive2;
    double *pinball; /* (Q) sums of 2 pinball */
    size_t *below;   /* (Q) places at or below the quantile */
    size_t inside, of_quantiles;
    double width;
    sums *series; /* (groups * targets), or NULL */
    bool whole;   /* the series are there from their beginning: their own past is the scale of MASE */
    bool with_naive2;
    double *y, *f; /* (H) scratch */
} scoring;

static void score_window(scoring *c, const rc__fc_window *w, const double *point, const double *quantile) {
    const rc__forecast *m = c->m;
    size_t H = m->c.horizon, Q = m->c.n_quantiles, at = w->group * c->s->schema->n_targets + w->target;
    const double *y = rc__series_y(c->s, w->group, w->target);
    size_t n = c->s->group[w->group].n, o = w->origin;
    int32_t id = c->map[at];
    double mase = id >= 0 && !c->whole ? m->stats[id].mase : rc__mase_scale(o, y, m->c.season), unit;
    rc__fc_stats own;
    if (id < 0) rc__fc_stats_of(y, o, &own);
    unit = id >= 0 ? m->stats[id].deviation : own.deviation;
    for (size_t j = 0; j < H; j++) c->y[j] = o + j < n ? y[o + j] : NAN;
    add(&c->model, H, c->y, point, mase, unit);
    if (c->series) add(&c->series[at], H, c->y, point, mase, unit);
    rc__seasonal_naive(o, y, m->c.season, H, c->f);
    add(&c->naive, H, c->y, c->f, mase, unit);
    if (m->baseline) {
        rc__fc_linear(m, y, o, id, c->f);
        add(&c->line, H, c->y, c->f, mase, unit);
    }
    if (c->with_naive2) {
        bool whole = o > 0;
        for (size_t i = 0; whole && i < o; i++) whole = y[i] > 0; /* it divides by seasonal indices */
        c->with_naive2 = whole && rc__naive2(o, y, m->c.season, H, c->f, NULL) == RC_OK;
        for (size_t j = 0; j < H; j++) c->with_naive2 &= isfinite(c->f[j]);
        if (c->with_naive2) add(&c->naive2, H, c->y, c->f, mase, unit);
    }
    for (size_t j = 0; quantile && j < H; j++) {
        if (isnan(c->y[j])) continue;
        const double *q = quantile + j * Q;
        for (size_t k = 0; k < Q; k++) {
            c->pinball[k] += 2 * rc__pinball(1, &c->y[j], &q[k], m->c.quantile[k]);
            c->below[k] += c->y[j] <= q[k];
        }
        c->inside += c->y[j] >= q[0] && c->y[j] <= q[Q - 1];
        c->width += q[Q - 1] - q[0];
        c->of_quantiles++;
    }
}

static void put_quantiles(const scoring *c, bool details, json_t *out) {
    const rc__fc_config *k = &c->m->c;
    size_t Q = k->n_quantiles;
    double mean = 0, n = (double)c->of_quantiles;
    json_t *rows = json_array();
    for (size_t i = 0; i < Q; i++) {
        double loss = c->pinball[i] / c->model.abs;
        mean += loss / (double)Q;
        json_t *row = json_pack("{sf}", "quantile", k->quantile[i]);
        put(row, "weighted_loss", loss);
        put(row, "share_below", (double)c->below[i] / n);
        json_array_append_new(rows, row);
    }
    double crps = 0;
    for (size_t i = 0; i < Q; i++) crps += c->pinball[i] / n / (double)Q;
    put(out, "mean_weighted_quantile_loss", mean);
    put(out, "crps", crps);
    if (Q > 1) {
        put(out, "interval", k->quantile[Q - 1] - k->quantile[0]);
        put(out, "coverage", (double)c->inside / n);
        put(out, "mean_width", c->width / n);
    }
    if (details)
        json_object_set_new(out, "quantiles", rows);
    else
        json_decref(rows);
}

static json_t *model_row(const char *name, const sums *s) {
    json_t *row = json_pack("{ss}", "model", name);
    double n = (double)s->places;
    put(row, "mae", s->ae / n);
    put(row, "rmse", sqrt(s->se / n));
    put(row, "smape", s->smape / n);
    put(row, "mase", mean_mase(s));
    put(row, "scaled_mse", s->scaled_se / n);
    put(row, "scaled_mae", s->scaled_ae / n);
    return row;
}

static void report(const scoring *c, bool details, json_t *out) {
    const rc__forecast *m = c->m;
    const rc__schema *sc = c->s->schema;
    char name[160], naive[64];
    json_object_set_new(out, "windows", json_integer((json_int_t)c->model.windows));
    json_object_set_new(out, "horizon", json_integer((json_int_t)m->c.horizon));
    json_object_set_new(out, "season", json_integer((json_int_t)m->c.season));
    json_object_set_new(out, "values", json_integer((json_int_t)c->model.places));
    put_sums(out, &c->model);
    if (c->model.endless) json_object_set_new(out, "windows_without_mase", json_integer((json_int_t)c->model.endless));
    if (c->with_naive2 && c->naive2.windows == c->model.windows)
        put(out, "owa",
            rc__owa(c->model.smape / (double)c->model.places, mean_mase(&c->model),
                    c->naive2.smape / (double)c->naive2.places, mean_mase(&c->naive2)));
    if (c->pinball && c->of_quantiles) put_quantiles(c, details, out);
    json_t *rows = json_array();
    snprintf(naive, sizeof naive, m->c.season > 1 ? "seasonal naive (%zu)" : "naive", m->c.season);
    json_array_append_new(rows, model_row(rc__fc_kinds[m->c.kind], &c->model));
    if (m->baseline) json_array_append_new(rows, model_row("linear", &c->line));
    json_array_append_new(rows, model_row(naive, &c->naive));
    if (c->with_naive2) json_array_append_new(rows, model_row("naive 2", &c->naive2));
    json_object_set_new(out, "models", rows);
    size_t S = c->s->n_groups * sc->n_targets;
    if (!details || !c->series || S < 2 || S > MOST_ROWS) return;
    rows = json_array();
    for (size_t i = 0; i < S; i++) {
        const char *id = c->s->group[i / sc->n_targets].id;
        snprintf(name, sizeof name, "%.70s%s%.70s", id, *id && sc->n_targets > 1 ? " " : "",
                 *id && sc->n_targets == 1 ? "" : sc->target[i % sc->n_targets]);
        json_t *row = json_pack("{ss sI}", "series", name, "windows", (json_int_t)c->series[i].windows);
        if (!row) continue;
        put(row, "mae", c->series[i].ae / (double)c->series[i].places);
        put(row, "rmse", sqrt(c->series[i].se / (double)c->series[i].places));
        put(row, "smape", c->series[i].smape / (double)c->series[i].places);
        put(row, "mase", mean_mase(&c->series[i]));
        json_array_append_new(rows, row);
    }
    json_object_set_new(out, "series", rows);
}

rc_status rc__fc_score(rc__forecast *m, rc_tape *t, const rc__series *s, const rc__fc_window *w, size_t n, size_t batch,
                       size_t samples, uint64_t seed, bool whole, bool details, json_t *out, rc_error *e) {
    size_t H = m->c.horizon, Q = rc__fc_has_quantiles(m) ? m->c.n_quantiles : 0, S = s->n_groups * s->schema->n_targets;
    scoring c = {.m = m, .s = s, .whole = whole, .with_naive2 = n <= MOST_NAIVE2};
    rc__fc_batch b = {0};
    if (batch > n) batch = n;
    rc__fc_forecast f = {.H = H};
    uint64_t *key = rc__alloc(batch * sizeof *key);
    int32_t *map = rc__fc_series_map(m, s);
    f.point = rc__alloc(batch * H * sizeof *f.point);
    f.quantile = Q ? rc__alloc(batch * H * Q * sizeof *f.quantile) : NULL;
    c.pinball = Q ? rc__calloc(Q, sizeof *c.pinball) : NULL;
    c.below = Q ? rc__calloc(Q, sizeof *c.below) : NULL;
    c.series = S <= MOST_ROWS ? rc__calloc(S, sizeof *c.series) : NULL;
    c.y = rc__alloc(2 * H * sizeof *c.y);
    c.f = c.y ? c.y + H : NULL;
    c.map = map;
    rc_status st = RC_OK;
    if (!key || !map || !f.point || !c.y || (Q && (!f.quantile || !c.pinball || !c.below)))
        st = rc_fail(e, RC_ENOMEM, "eval: out of memory");
    if (st == RC_OK) st = rc__fc_batch_new(&b, m, batch, H, e);
    for (size_t at = 0; st == RC_OK && at < n; at += batch) {
        size_t B = n - at < batch ? n - at : batch;
        for (size_t i = 0; i < B; i++)
            key[i] = ((uint64_t)w[at + i].group * s->schema->n_targets + w[at + i].target) << 32 | w[at + i].origin;
        rc__fc_batch_fill(&b, m, s, map, w + at, B);
        st = rc__fc_run(t, m, &b, samples, seed, key, &f, e);
        for (size_t i = 0; st == RC_OK && i < B; i++)
            score_window(&c, &w[at + i], f.point + i * H, Q ? f.quantile + i * H * Q : NULL);
    }
    if (st == RC_OK && !c.model.windows) st = rc_fail(e, RC_EDATA, "no window has a value to compare with");
    if (st == RC_OK) report(&c, details, out);
    rc__fc_batch_free(&b);
    rc__free(key, batch * sizeof *key);
    rc__free(map, (S + 1) * sizeof *map);
    rc__free(f.point, batch * H * sizeof *f.point);
    rc__free(f.quantile, batch * H * Q * sizeof *f.quantile);
    rc__free(c.pinball, Q * sizeof *c.pinball);
    rc__free(c.below, Q * sizeof *c.below);
    rc__free(c.series, S * sizeof *c.series);
    rc__free(c.y, 2 * H * sizeof *c.y);
    return st;
}
