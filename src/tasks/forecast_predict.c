/* forecast_predict.c - eval and predict: reading the file, joining it to what the model knows, results as lines. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/string.h"
#include "tasks/forecast.h"
#include "tasks/forecast_svg.h"

/* Options that say how a file is written; its columns are those of the model. */
static rc_status read_input(const rc__forecast *m, const char *path, const rc_data_options *d, bool may_lack,
                            rc__series **out, rc_error *e) {
    rc__series_options so;
    rc_status s = rc__fc_series_options(d, &so, e);
    return s == RC_OK ? rc__series_read(out, path, &so, m->schema, may_lack, e) : s;
}

static rc_status fits_windows(const rc__series *s, size_t horizon, rc_error *e) {
    for (size_t g = 0; g < s->n_groups; g++)
        if (s->group[g].n > UINT32_MAX - horizon - 1)
            return rc_fail(e, RC_EDATA, "series \"%s\": %zu steps are too many", s->group[g].id, s->group[g].n);
    return RC_OK;
}

/* ---- eval -------------------------------------------------------------------------------------------------------- */

rc_status rc__fc_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    rc__forecast *m = (rc__forecast *)base;
    rc__series *s = NULL;
    rc__fc_window *w = NULL;
    rc_tape *tape = NULL;
    size_t n = 0, *from = NULL;
    bool joined = false;
    rc_status st = read_input(m, path, &o->data, false, &s, e);
    if (st == RC_OK) st = rc__fc_continue(m, m->history, &s, &joined, e);
    if (st == RC_OK) st = fits_windows(s, m->c.horizon, e);
    size_t G = st == RC_OK ? s->n_groups : 0;
    if (st == RC_OK && !(from = rc__alloc(2 * G * sizeof *from))) st = rc_fail(e, RC_ENOMEM, "eval: out of memory");
    for (size_t g = 0; g < G && from; g++) {
        size_t end = s->group[g].n, first = joined ? s->group[g].first : 0;
        if (o->start < 0)
            from[g] = (uint64_t)-o->start < end ? end - (size_t)-o->start : 0;
        else if (o->start > 0)
            from[g] = first + (size_t)o->start - 1;
        else
            from[g] = joined ? first : m->c.lookback;
        if (from[g] > end) from[g] = end;
        from[G + g] = end;
    }
    if (st == RC_OK)
        st = rc__fc_windows(m, s, from, from + G, o->stride > 0 ? (size_t)o->stride : 1, joined, &w, &n, e);
    if (st == RC_OK && n == 0)
        st = rc_fail(e, RC_EDATA,
                     "%s: no series is long enough: %zu steps to look back on and a horizon of %zu are needed", path,
                     m->c.lookback, m->c.horizon);
    if (st == RC_OK) st = rc_tape_new(&tape, e);
    if (st == RC_OK) json_object_set_new(out, "history", json_string(joined ? "the model's" : "the file's"));
    if (st == RC_OK) st = rc__fc_score(m, tape, s, w, n, (size_t)o->batch, 100, 1, joined, o->details, out, e);
    rc_tape_free(tape);
    rc__free(w, n * sizeof *w);
    rc__free(from, 2 * G * sizeof *from);
    rc__series_free(s);
    return st;
}

/* ---- predict ----------------------------------------------------------------------------------------------------- */

typedef struct lines {
    const rc__forecast *m;
    const rc__series *s;
    const rc_predict_options *o;
    const rc_sink *sink;
    bool with_id, with_column;
    rc__string text;
} lines;

static bool known_ahead(const rc__schema *s) {
    for (size_t i = 0; i < s->n_covariates; i++)
        if (s->covariate[i].role == RC_COVARIATE_KNOWN) return true;
    return false;
}

static rc_status put_heading(lines *l, rc_error *e) {
    const rc__fc_config *c = &l->m->c;
    rc__string_addf(&l->text, "%s%stime,forecast", l->with_id ? "id," : "", l->with_column ? "column," : "");
    for (size_t k = 0; rc__fc_has_quantiles(l->m) && k < c->n_quantiles; k++)
        rc__string_addf(&l->text, ",q%g", c->quantile[k]);
    return rc__sink_text(l->sink, &l->text, e);
}

static void put_cell(lines *l, const char *text, char between) {
    rc__string_add_cell(&l->text, text, strlen(text), between);
    rc__string_add_bytes(&l->text, &between, 1);
}

static rc_status put_columns(lines *l, size_t g, size_t k, const double *point, const double *quantile, rc_error *e) {
    size_t H = (size_t)l->o->horizon, Q = l->m->c.n_quantiles;
    char between = l->o->csv ? ',' : '\t', buf[64];
    rc_status s = RC_OK;
    for (size_t j = 0; s == RC_OK && j < H; j++) {
        if (l->with_id) put_cell(l, l->s->group[g].id, between);
        if (l->with_column) put_cell(l, l->m->schema->target[k], between);
        put_cell(l, rc__series_time(l->s, g, l->s->group[g].n + j, buf), between);
        rc__string_addf(&l->text, "%.7g", point[j]);
        for (size_t i = 0; quantile && i < Q; i++) rc__string_addf(&l->text, "%c%.7g", between, quantile[j * Q + i]);
        s = rc__sink_text(l->sink, &l->text, e);
    }
    return s;
}

static rc_status put_json(lines *l, size_t g, size_t k, const double *point, const double *quantile,
                          rc_error *e) {
    size_t H = (size_t)l->o->horizon, Q = l->m->c.n_quantiles;
    char buf[64];
    json_t *o = json_object(), *time = json_array(), *forecast = json_array(), *all = json_object();
    if (l->with_id) json_object_set_new(o, "id", json_string(l->s->group[g].id));
    if (l->with_column) json_object_set_new(o, "column", json_string(l->m->schema->target[k]));
    for (size_t j = 0; j < H; j++) {
        json_array_append_new(time, json_string(rc__series_time(l->s, g, l->s->group[g].n + j, buf)));
        json_array_append_new(forecast, rc__real_or_null(point[j]));
    }
    for (size_t i = 0; quantile && i < Q; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < H; j++) {
            json_array_append_new(row, rc__real_or_null(quantile[j * Q + i]));
        }
        snprintf(buf, sizeof buf, "%g", l->m->c.quantile[i]);
        json_object_set_new(all, buf, row);
    }
    json_object_set_new(o, "time", time);
    json_object_set_new(o, "forecast", forecast);
    if (quantile)
        json_object_set_new(o, "quantiles", all);
    else
        json_decref(all);
    return rc__sink_json(l->sink, o, e);
}

/* What the forecast starts from: INPUT or the end of the training data, and what was observed since. */
static rc_status gather(const rc__forecast *m, const char *path, const rc_predict_options *o, rc__series **out,
                        rc_error *e) {
    rc__series *s = NULL, *later = NULL;
    bool joined;
    rc_status st = RC_OK;
    if (path) {
        st = read_input(m, path, &o->data, true, &s, e);
        if (st == RC_OK && m->schema->has_time) st = rc__fc_continue(m, m->history, &s, &joined, e);
    }
    const rc__series *from = path ? s : m->history;
    if (st == RC_OK && o->observe && *o->observe) {
        st = read_input(m, o->observe, &o->data, true, &later, e);
        if (st == RC_OK) st = rc__series_join(out, from, later, true, e);
        rc__series_free(later);
        rc__series_free(s);
        return st;
    }
    if (st != RC_OK) return rc__series_free(s), st;
    if (path) {
        *out = s;
        return RC_OK;
    }
    rc__series none = {.schema = m->schema}; /* a copy of the history */
    return rc__series_join(out, m->history, &none, true, e);
}

static rc_status check_future(const rc__forecast *m, const rc__series *s, size_t H, rc_error *e) {
    char buf[64];
    if (!known_ahead(m->schema)) return RC_OK;
    for (size_t g = 0; g < s->n_groups; g++)
        if (s->group[g].ahead < H)
            return rc_fail(
                e, RC_EDATA,
                "%s%s%sthe covariates that are known ahead are needed for %zu steps from %s on, found %zu: add "
                "rows with them and an empty target",
                *s->group[g].id ? "series \"" : "", s->group[g].id, *s->group[g].id ? "\": " : "", H,
                rc__series_time(s, g, s->group[g].n, buf), s->group[g].ahead);
    return RC_OK;
}

rc_status rc__fc_predict(rc_model *base, const char *path, const rc_predict_options *options, const rc_sink *sink,
                         rc_error *e) {
    rc__forecast *m = (rc__forecast *)base;
    rc_predict_options o = *options;
    size_t T = m->schema->n_targets, Q = rc__fc_has_quantiles(m) ? m->c.n_quantiles : 0;
    if (!o.horizon) o.horizon = (int64_t)m->c.horizon;
    size_t H = (size_t)o.horizon;
    if (!rc__fc_steps(&m->c) && H > m->c.horizon)
        return rc_fail(e, RC_EINVAL,
                       "horizon: this model tells of %zu steps; for %zu, train it with --horizon %zu, or "
                       "--model deepar, which may go on for any number",
                       m->c.horizon, H, H);
    if (H > RC_FC_MAX_HORIZON) return rc_fail(e, RC_EINVAL, "horizon: expected at most %d", RC_FC_MAX_HORIZON);
    rc__series *s = NULL;
    rc_status st = gather(m, path, &o, &s, e);
    if (st != RC_OK) return st;
    size_t S = s->n_groups * T, B = (size_t)o.batch < S ? (size_t)o.batch : S;
    size_t trained = m->c.horizon > H ? m->c.horizon : H; /* windows are always of the trained horizon */
    rc__fc_batch b = {0};
    rc_tape *tape = NULL;
    lines l = {
        .m = m, .s = s, .o = &o, .sink = sink, .with_id = s->n_groups > 1 || *s->group[0].id, .with_column = T > 1};
    int32_t *map = rc__fc_series_map(m, s);
    rc__fc_window *w = rc__alloc(B * sizeof *w);
    uint64_t *key = rc__alloc(B * sizeof *key);
    rc__fc_forecast f = {.H = H};
    f.point = rc__alloc(B * H * sizeof *f.point);
    f.quantile = Q ? rc__alloc(B * H * Q * sizeof *f.quantile) : NULL;
    rc__fc_chart *chart = NULL;
    bool gone = false;
    if (!map || !w || !key || !f.point || (Q && !f.quantile))
        st = rc_fail(e, RC_ENOMEM, "predict: out of memory");
    if (st == RC_OK) st = fits_windows(s, trained, e);
    if (st == RC_OK) st = check_future(m, s, H, e);
    if (st == RC_OK && o.svg && *o.svg) st = rc__fc_chart_begin(&chart, o.svg, m, s, H, e);
    if (st == RC_OK) st = rc__fc_batch_new(&b, m, B, trained, e);
    if (st == RC_OK) st = rc_tape_new(&tape, e);
    if (st == RC_OK && o.csv) st = put_heading(&l, e);
    for (size_t at = 0; st == RC_OK && at < S; at += B) {
        size_t n = S - at < B ? S - at : B;
        for (size_t i = 0; i < n; i++) {
            size_t g = (at + i) / T;
            w[i] = (rc__fc_window){(uint32_t)g, (uint32_t)((at + i) % T), (uint32_t)s->group[g].n};
            key[i] = at + i;
        }
        rc__fc_batch_fill(&b, m, s, map, w, n);
        st = rc__fc_run(tape, m, &b, (size_t)o.samples, (uint64_t)o.seed, key, &f, e);
        for (size_t i = 0; st == RC_OK && i < n; i++) {
            const double *q = Q ? f.quantile + i * H * Q : NULL;
            if (!gone) st = (o.json ? put_json : put_columns)(&l, w[i].group, w[i].target, f.point + i * H, q, e);
            if (st == RC_ESTOP && chart) gone = true, st = RC_OK; /* who read the lines; the picture is wanted still */
            if (st == RC_OK && chart) rc__fc_chart_add(chart, w[i].group, w[i].target, f.point + i * H, q);
        }
    }
    if (chart) st = rc__fc_chart_end(chart, st, e);
    if (st == RC_OK && gone) st = RC_ESTOP;
    rc_tape_free(tape);
    rc__fc_batch_free(&b);
    rc__string_free(&l.text);
    rc__free(map, (S + 1) * sizeof *map);
    rc__free(w, B * sizeof *w);
    rc__free(key, B * sizeof *key);
    rc__free(f.point, B * H * sizeof *f.point);
    rc__free(f.quantile, B * H * Q * sizeof *f.quantile);
    rc__series_free(s);
    return st;
}
