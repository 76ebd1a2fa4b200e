/* forecast_file.c - a forecaster as a file: its document, the tensors beside its parameters, and reading them back.
 *
 * Beside the parameters, all F64: "history.stats" (series + 1, 7); "history.covariates" (2, varying + fixed columns):
 * means, deviations; "history.y" and "history.x": the last steps of the training data, group after group, as
 * rc__group has them; "history.fixed" (groups, fixed columns). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "tasks/fields.h"
#include "tasks/forecast.h"

#define MOST_GROUPS ((size_t)1 << 22)

rc__forecast *rc__fc_new(rc_error *e) {
    rc__forecast *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "forecast: out of memory"), NULL;
    m->base.kind = &rc__task_forecast;
    if (rc_params_new(&m->base.params, e) == RC_OK) return m;
    rc__free(m, sizeof *m);
    return NULL;
}

void rc__fc_free(rc_model *base) {
    rc__forecast *m = (rc__forecast *)base;
    if (!m) return;
    size_t columns = m->schema ? m->schema->n_varying + m->schema->n_fixed : 0;
    for (size_t i = 0; m->id && i < m->n_groups; i++) rc__strfree(m->id[i]);
    rc__free(m->id, m->n_groups * sizeof *m->id);
    rc__free(m->stats, (m->n_series + 1) * sizeof *m->stats);
    rc__free(m->x_mean, (columns + 1) * sizeof *m->x_mean);
    rc__free(m->x_scale, (columns + 1) * sizeof *m->x_scale);
    rc__series_free(m->history);
    rc__schema_free(m->schema);
    rc__free(m->bands, (m->c.horizon * m->c.n_quantiles + 1) * sizeof *m->bands);
    rc_rnn_free(m->rnn);
    rc_params_free(m->base.params);
    rc__free(m, sizeof *m);
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

#define AT(field) offsetof(rc__fc_config, field)
static const rc__field fields[] = {
    {"model", RC__FIELD_NAME, AT(kind), rc__fc_kinds, RC_FC_KINDS},
    {"likelihood", RC__FIELD_NAME, AT(likelihood), rc__fc_likelihoods, RC_FC_LIKELIHOODS},
    {"normalize", RC__FIELD_NAME, AT(normalize), rc__fc_normalizes, RC_FC_NORMALIZES},
    {"horizon", RC__FIELD_SIZE, AT(horizon), NULL, 0},
    {"lookback", RC__FIELD_SIZE, AT(lookback), NULL, 0},
    {"segment", RC__FIELD_SIZE, AT(segment), NULL, 0},
    {"season", RC__FIELD_SIZE, AT(season), NULL, 0},
    {"dropout", RC__FIELD_PROBABILITY, AT(dropout), NULL, 0},
    {"mask", RC__FIELD_BOOL, AT(mask), NULL, 0},
    {"calendar", RC__FIELD_BOOL, AT(calendar), NULL, 0},
    {"linear", RC__FIELD_BOOL, AT(linear), NULL, 0},
};
#define FIELDS (sizeof fields / sizeof *fields)

rc_status rc__fc_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__forecast *m = (const rc__forecast *)base;
    json_t *config = json_object(), *rnn = json_object(), *lags = json_array(), *quantiles = json_array(),
           *groups = json_array(), *columns = rc__schema_json(m->schema);
    bool ok = config && rnn && columns && rc__fields_put(fields, FIELDS, &m->c, config) && rc__rnn_put(&m->c.rnn, rnn);
    for (size_t i = 0; i < m->c.n_lags; i++)
        ok &= json_array_append_new(lags, json_integer((json_int_t)m->c.lag[i])) == 0;
    for (size_t i = 0; i < m->c.n_quantiles; i++)
        ok &= json_array_append_new(quantiles, json_real(m->c.quantile[i])) == 0;
    for (size_t i = 0; i < m->n_groups; i++) {
        const rc__group *g = m->history ? &m->history->group[i] : NULL;
        json_t *o = json_pack("{ss sI sI}", "id", m->id[i], "start", (json_int_t)(g ? g->start : 0), "steps",
                              (json_int_t)(g ? g->n : 0));
        ok &= json_array_append_new(groups, o) == 0;
    }
    ok &= json_object_set_new(config, "lags", lags) == 0;
    ok &= json_object_set_new(config, "quantiles", quantiles) == 0;
    ok &= json_object_set_new(config, "baseline_lookback", json_integer((json_int_t)m->baseline_lookback)) == 0;
    ok &= json_object_set_new(config, "rnn", rnn) == 0;
    if (m->bands) ok &= json_object_set_new(config, "bands", json_boolean(rc__fc_has_quantiles(m))) == 0;
    ok &= json_object_set_new(doc, "forecast", config) == 0;
    ok &= json_object_set_new(doc, "columns", columns) == 0;
    ok &= json_object_set_new(doc, "series", groups) == 0;
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "forecast: out of memory");
}

/* The arrays that go beside the parameters live as long as the list: they are parts of the model. Histories are written
 * group by group. */
rc_status rc__fc_tensors(const rc_model *base, rc__st_list *list, rc_error *e) {
    const rc__forecast *m = (const rc__forecast *)base;
    size_t columns = m->schema->n_varying + m->schema->n_fixed;
    rc_status s = rc__st_list_add(list, "history.", "stats", RC_ST_F64, 2, (size_t[2]){m->n_series + 1, RC_FC_STATS},
                                  m->stats, e);
    if (s == RC_OK && columns) s = rc__st_list_add(list, "history.", "mean", RC_ST_F64, 1, &columns, m->x_mean, e);
    if (s == RC_OK && columns) s = rc__st_list_add(list, "history.", "scale", RC_ST_F64, 1, &columns, m->x_scale, e);
    if (s == RC_OK && m->bands && rc__fc_has_quantiles(m))
        s = rc__st_list_add(list, "history.", "bands", RC_ST_REAL, 2, (size_t[2]){m->c.horizon, m->c.n_quantiles},
                            m->bands, e);
    for (size_t i = 0; s == RC_OK && m->history && i < m->n_groups; i++) {
        const rc__group *g = &m->history->group[i];
        char name[40];
        snprintf(name, sizeof name, "%zu.y", i);
        if (g->n)
            s = rc__st_list_add(list, "history.", name, RC_ST_F64, 2, (size_t[2]){m->schema->n_targets, g->n}, g->y, e);
        snprintf(name, sizeof name, "%zu.x", i);
        if (s == RC_OK && g->x)
            s = rc__st_list_add(list, "history.", name, RC_ST_F64, 2, (size_t[2]){g->n, m->schema->n_varying}, g->x, e);
        snprintf(name, sizeof name, "%zu.fixed", i);
        if (s == RC_OK && g->fixed)
            s = rc__st_list_add(list, "history.", name, RC_ST_F64, 1, &m->schema->n_fixed, g->fixed, e);
    }
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status read_lists(rc__forecast *m, const json_t *o, const char *where, rc_error *e) {
    json_t *lags = NULL, *quantiles = NULL;
    rc__fc_config *c = &m->c;
    rc_status s = rc__json_get_array(o, "lags", RC_JSON_REQUIRED, &lags, where, e);
    if (s == RC_OK) s = rc__json_get_array(o, "quantiles", RC_JSON_REQUIRED, &quantiles, where, e);
    if (s != RC_OK) return s;
    c->n_lags = json_array_size(lags);
    c->n_quantiles = json_array_size(quantiles);
    if (c->n_lags > RC_FC_MAX_LAGS || c->n_quantiles > RC_FC_MAX_QUANTILES)
        return rc_fail(e, RC_EMODEL, "%s: %zu lags and %zu quantiles; the limits are %d and %d", where, c->n_lags,
                       c->n_quantiles, RC_FC_MAX_LAGS, RC_FC_MAX_QUANTILES);
    for (size_t i = 0; i < c->n_lags; i++) {
        json_int_t v = json_integer_value(json_array_get(lags, i));
        if (v < 1 || v > RC_FC_MAX_LOOKBACK)
            return rc_fail(e, RC_EMODEL, "%s: \"lags\": expected 1 to %d", where, RC_FC_MAX_LOOKBACK);
        c->lag[i] = (size_t)v;
    }
    for (size_t i = 0; i < c->n_quantiles; i++) {
        c->quantile[i] = json_number_value(json_array_get(quantiles, i));
        if (!(c->quantile[i] > 0 && c->quantile[i] < 1) || (i > 0 && c->quantile[i] <= c->quantile[i - 1]))
            return rc_fail(e, RC_EMODEL, "%s: \"quantiles\": expected numbers between 0 and 1 that grow", where);
    }
    return RC_OK;
}

static rc_status read_config(rc__forecast *m, const json_t *o, const char *where, rc_error *e) {
    rc__fc_config *c = &m->c;
    json_t *rnn = NULL;
    c->rnn = rc_rnn_options_default();
    rc_status s = rc__fields_get(fields, FIELDS, o, c, where, e);
    if (s == RC_OK) s = rc__json_get_object(o, "rnn", RC_JSON_REQUIRED, &rnn, where, e);
    if (s == RC_OK) s = rc__rnn_get(&c->rnn, rnn, where, e);
    if (s == RC_OK) s = read_lists(m, o, where, e);
    if (s == RC_OK)
        s = rc__json_get_size(o, "baseline_lookback", RC_JSON_REQUIRED, 0, RC_FC_MAX_LOOKBACK, &m->baseline_lookback,
                              where, e);
    if (s != RC_OK) return s;
    if (c->horizon < 1 || c->horizon > RC_FC_MAX_HORIZON || c->lookback < 1 || c->lookback > RC_FC_MAX_LOOKBACK ||
        c->season < 1 || c->season > RC_FC_MAX_LOOKBACK)
        return rc_fail(e, RC_EMODEL, "%s: horizon %zu, lookback %zu, season %zu: expected 1 to %d", where, c->horizon,
                       c->lookback, c->season, RC_FC_MAX_LOOKBACK);
    if ((c->kind == RC_FC_SEGMENT || c->kind == RC_FC_ESRNN) && (c->segment < 1 || c->lookback % c->segment != 0))
        return rc_fail(e, RC_EMODEL, "%s: a lookback of %zu is no whole number of segments of %zu", where, c->lookback,
                       c->segment);
    if (rc__fc_steps(c) && c->n_lags == 0) return rc_fail(e, RC_EMODEL, "%s: no lags", where);
    if (c->rnn.bidirectional && c->kind != RC_FC_DIRECT)
        return rc_fail(e, RC_EMODEL, "%s: a %s model cannot be bidirectional", where, rc__fc_kinds[c->kind]);
    if (c->kind == RC_FC_SEGMENT && !rc_cell_find(c->rnn.cell)->recurrent)
        return rc_fail(e, RC_EMODEL, "%s: a segment model needs a recurrent cell, found %s", where, c->rnn.cell);
    if (c->kind == RC_FC_ESRNN && (c->likelihood > RC_FC_QUANTILE || c->linear))
        return rc_fail(e, RC_EMODEL, "%s: es-rnn tells of a point or of quantiles", where);
    if (c->likelihood == RC_FC_QUANTILE && c->n_quantiles == 0) return rc_fail(e, RC_EMODEL, "%s: no quantiles", where);
    return RC_OK;
}

static rc_status read_f64(const rc__st_file *f, const char *name, int ndim, const size_t *dim, double *out, bool finite,
                          rc_error *e) {
    const rc__st_tensor *t;
    rc_status s = rc__st_expect(f, name, RC_ST_F64, ndim, dim, &t, e);
    if (s == RC_OK) s = rc__st_read(f, t, out, e);
    for (size_t i = 0; s == RC_OK && i < t->len; i++)
        if (isinf(out[i]) || (finite && isnan(out[i])))
            s = rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": element %zu is not a finite number", rc__st_name(f), name, i);
    return s;
}

static double *array(size_t n) { return rc__calloc(n ? n : 1, sizeof(double)); }

/* One group of the history; its arrays are not larger than the file. */
static rc_status read_group(rc__forecast *m, const rc__st_file *f, size_t i, const json_t *o, const char *where,
                            rc_error *e) {
    rc__group *g = &m->history->group[i];
    const rc__schema *sc = m->schema;
    const char *id = NULL;
    size_t n = 0, dim[2];
    char name[48];
    rc_status s = rc__json_get_string(o, "id", RC_JSON_REQUIRED, &id, where, e);
    if (s == RC_OK)
        s = rc__json_get_int(o, "start", RC_JSON_REQUIRED, INT64_MIN / 4, INT64_MAX / 4, &g->start, where, e);
    if (s == RC_OK) s = rc__json_get_size(o, "steps", RC_JSON_REQUIRED, 0, UINT32_MAX / 2, &n, where, e);
    if (s != RC_OK) return s;
    if (!(m->id[i] = rc__strdup(id)) || !(g->id = rc__strdup(id)))
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    const rc__st_tensor *t;
    if (n) {
        snprintf(name, sizeof name, "history.%zu.y", i);
        s = rc__st_expect(f, name, RC_ST_F64, 2, (dim[0] = sc->n_targets, dim[1] = n, dim), &t, e);
        if (s == RC_OK && !(g->y = array(sc->n_targets * n))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
        if (s == RC_OK) g->n = n;
        if (s == RC_OK) s = read_f64(f, name, 2, dim, g->y, false, e);
    }
    if (s == RC_OK && n && sc->n_varying) {
        snprintf(name, sizeof name, "history.%zu.x", i);
        s = rc__st_expect(f, name, RC_ST_F64, 2, (dim[0] = n, dim[1] = sc->n_varying, dim), &t, e);
        if (s == RC_OK && !(g->x = array(sc->n_varying * n))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
        if (s == RC_OK) s = read_f64(f, name, 2, dim, g->x, false, e);
    }
    if (s == RC_OK && sc->n_fixed) {
        snprintf(name, sizeof name, "history.%zu.fixed", i);
        if (!(g->fixed = array(sc->n_fixed))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
        if (s == RC_OK) s = read_f64(f, name, 1, &sc->n_fixed, g->fixed, false, e);
    }
    return s;
}

static rc_status read_series(rc__forecast *m, const rc__st_file *f, const json_t *list, const char *where,
                             rc_error *e) {
    size_t n = json_array_size(list), columns = m->schema->n_varying + m->schema->n_fixed;
    if (n < 1 || n > MOST_GROUPS) return rc_fail(e, RC_EMODEL, "%s: %zu series", where, n);
    m->n_series = n * m->schema->n_targets;
    const rc__st_tensor *t;
    size_t dim[2] = {m->n_series + 1, RC_FC_STATS};
    rc_status s =
        rc__st_expect(f, "history.stats", RC_ST_F64, 2, dim, &t, e); /* before anything of that size is allocated */
    if (s != RC_OK) return m->n_series = 0, s;
    m->id = rc__calloc(n, sizeof *m->id);
    m->n_groups = m->id ? n : 0;
    m->stats = rc__calloc(m->n_series + 1, sizeof *m->stats);
    m->x_mean = array(columns + 1);
    m->x_scale = array(columns + 1);
    m->history = rc__calloc(1, sizeof *m->history);
    if (m->history) m->history->group = rc__calloc(n, sizeof *m->history->group);
    if (m->history && m->history->group) m->history->n_groups = n;
    if (!m->id || !m->stats || !m->x_mean || !m->x_scale || !m->history || !m->history->group)
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    s = rc__schema_copy(&m->history->schema, m->schema, e);
    if (s == RC_OK) s = rc__st_read(f, t, m->stats, e);
    for (size_t i = 0; s == RC_OK && i <= m->n_series; i++) {
        const rc__fc_stats *st = &m->stats[i];
        if (!isfinite(st->mean) || !isfinite(st->low) || !isfinite(st->high) || !(st->deviation > 0) ||
            !isfinite(st->deviation) || !(st->mean_abs > 0) || !isfinite(st->mean_abs) || !(st->step > 0) ||
            !isfinite(st->step))
            s = rc_fail(e, RC_EMODEL, "%s: \"history.stats\": row %zu: expected finite numbers, and units above 0",
                        where, i);
    }
    if (s == RC_OK && columns) s = read_f64(f, "history.mean", 1, &columns, m->x_mean, true, e);
    if (s == RC_OK && columns) s = read_f64(f, "history.scale", 1, &columns, m->x_scale, true, e);
    for (size_t i = 0; s == RC_OK && i < columns; i++)
        if (!(m->x_scale[i] > 0)) s = rc_fail(e, RC_EMODEL, "%s: \"history.scale\": expected numbers above 0", where);
    for (size_t i = 0; s == RC_OK && i < n; i++) s = read_group(m, f, i, json_array_get(list, i), where, e);
    return s;
}

static rc_status read_params(rc__forecast *m, const rc__st_file *f, rc_error *e) {
    static const char *const other[] = {"history."};
    rc_params *ps = m->base.params;
    const rc__st_tensor *t;
    for (size_t i = 0; i < rc_params_count(ps); i++) { /* before memory is taken for them */
        rc_param *p = rc_params_at(ps, i);
        rc_status s = rc__st_expect(f, p->name, RC_ST_DTYPE_COUNT, p->ndim, p->dim, &t, e);
        if (s != RC_OK) return s;
        p->init = (rc_init){.kind = RC_INIT_ZEROS};
    }
    rc_status s = rc_params_build(ps, 0, e);
    return s == RC_OK ? rc__params_read(f, ps, NULL, NULL, other, 1, e) : s;
}

static rc_status read_bands(rc__forecast *m, const rc__st_file *f, const json_t *config, const char *where,
                            rc_error *e) {
    bool there = false;
    const rc__st_tensor *t;
    size_t dim[2] = {m->c.horizon, m->c.n_quantiles};
    rc_status s = rc__json_get_bool(config, "bands", RC_JSON_OPTIONAL, &there, where, e);
    if (s != RC_OK || !there || !m->bands) return s;
    s = rc__st_expect(f, "history.bands", RC_ST_DTYPE_COUNT, 2, dim, &t, e);
    if (s == RC_OK) s = rc__st_read_real(f, t, m->bands, e);
    for (size_t i = 0; s == RC_OK && i < dim[0] * dim[1]; i++)
        if (!isfinite(m->bands[i])) s = rc_fail(e, RC_EMODEL, "%s: \"history.bands\": not a finite number", where);
    if (s == RC_OK) m->bands[dim[0] * dim[1]] = 0;
    return s;
}

rc_status rc__fc_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    json_t *config = NULL, *columns = NULL, *series = NULL;
    rc__forecast *m = rc__fc_new(e);
    if (!m) return RC_ENOMEM;
    rc_status s = rc__json_get_object(doc, "forecast", RC_JSON_REQUIRED, &config, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "columns", RC_JSON_REQUIRED, &columns, where, e);
    if (s == RC_OK) s = rc__json_get_array(doc, "series", RC_JSON_REQUIRED, &series, where, e);
    if (s == RC_OK) s = read_config(m, config, where, e);
    if (s == RC_OK) s = rc__schema_read(&m->schema, columns, where, e);
    if (s == RC_OK) s = read_series(m, file, series, where, e);
    if (s == RC_OK) s = rc__fc_build(m, e);
    if (s == RC_EINVAL) s = rc_fail(e, RC_EMODEL, "%s: the network cannot be built", where);
    if (s == RC_OK) s = read_params(m, file, e);
    if (s == RC_OK) s = read_bands(m, file, config, where, e);
    if (s != RC_OK) return rc__fc_free(&m->base), s;
    *out = &m->base;
    return RC_OK;
}

size_t rc__fc_explain(const rc_model *base, size_t batch, size_t seq_len, char *out, size_t cap) {
    const rc__forecast *m = (const rc__forecast *)base;
    const rc__fc_config *c = &m->c;
    int n = snprintf(out, cap, "%s, %s: from %zu steps to %zu, season %zu, scaled by %s\n", rc__fc_kinds[c->kind],
                     rc__fc_likelihoods[c->likelihood], c->lookback, c->horizon, c->season,
                     rc__fc_normalizes[c->normalize]);
    size_t at = n > 0 ? (size_t)n : 0, steps = c->kind == RC_FC_SEGMENT ? c->lookback / c->segment : c->lookback;
    (void)seq_len;
    if (!m->rnn) return at;
    return at + rc_rnn_explain(m->rnn, batch, steps, at < cap ? out + at : NULL, at < cap ? cap - at : 0);
}
