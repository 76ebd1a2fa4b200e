/* forecast_train.c - forecasting as a task of the loop. Outline: options - what the data decide - a new model - windows
 * and batches - the task - making it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/tape_internal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "metrics/forecast.h"
#include "tasks/fields.h"
#include "tasks/forecast.h"

#define EPOCH_WINDOWS 100000 /* of more windows an epoch visits so many, others each time */
#define EPOCH_STEPS   40
#define MOST_WINDOWS  4000000 /* windows that are kept in memory: a stride makes fewer of them */
#define VALID_WINDOWS 20000
#define SCORE_WINDOWS 2000    /* of the report at the end, where forecasts are drawn */
#define BAND_WINDOWS  500     /* whose errors make the bands of a model of a point */
#define HISTORY       1000000 /* values that a model file keeps of its data */
#define MOST_SAMPLED  0.5     /* recurrent: share of inputs that are its own forecasts, at the end */

typedef struct forecast_task {
    rc__task base;
    rc__forecast *m;
    rc__series *train, *valid; /* valid may be train */
    int32_t *map, *valid_map;
    size_t *split; /* (groups of train) steps to train on */
    rc__fc_window *window, *valid_window, *band_window, *now;
    size_t n_window, n_valid, n_band, slots, batch;
    uint64_t seed, hash;
    rc__epochs *epochs;
    rc__visit last;
    rc__fc_batch b, vb;
    double own;
} forecast_task;

/* ---- options ----------------------------------------------------------------------------------------------------- */

rc_status rc__fc_series_options(const rc_data_options *d, rc__series_options *out, rc_error *e) {
    *out = (rc__series_options){.id = d->id,
                                .time = d->time,
                                .target = d->target,
                                .known = d->known_ahead,
                                .observed = d->inputs,
                                .fixed = d->fixed,
                                .categorical = d->categorical};
    const char *format = d->format && *d->format ? d->format : "auto";
    static const struct {
        const char *name;
        rc__layout layout;
    } layouts[] = {
        {"wide", RC_LAYOUT_WIDE}, {"long", RC_LAYOUT_LONG}, {"rows", RC_LAYOUT_ROWS}, {"m4", RC_LAYOUT_ROWS}};
    out->table.format = format;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (strcmp(format, layouts[i].name) == 0) {
            out->layout = layouts[i].layout;
            out->table.format = "auto";
        }
    const char *c = d->delimiter;
    if (c && *c) {
        if (strcmp(c, "tab") == 0)
            out->table.delimiter = '\t';
        else if (strcmp(c, "space") == 0)
            out->table.format = "spaces";
        else if (!c[1])
            out->table.delimiter = c[0];
        else
            return rc_fail(e, RC_EINVAL, "delimiter: expected one character, tab or space, found \"%s\"", c);
    }
    const char *h = d->header;
    if (h && *h) {
        if (strcmp(h, "yes") != 0 && strcmp(h, "no") != 0)
            return rc_fail(e, RC_EINVAL, "header: expected yes or no, found \"%s\"", h);
        out->table.header = strcmp(h, "yes") == 0 ? RC_YES : RC_NO;
    }
    return RC_OK;
}

static int find_name(const char *name, const char *const *names, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

static rc_status read_quantiles(rc__fc_config *c, const char *list, rc_error *e) {
    c->n_quantiles = 0;
    for (const char *p = list; *p;) {
        char *end;
        double q = strtod(p, &end);
        if (end == p || (*end && *end != ',') || !(q > 0 && q < 1) || c->n_quantiles == RC_FC_MAX_QUANTILES ||
            (c->n_quantiles > 0 && q <= c->quantile[c->n_quantiles - 1]))
            return rc_fail(e, RC_EINVAL,
                           "quantiles: expected up to %d numbers between 0 and 1 that grow, with commas "
                           "between, found \"%s\"",
                           RC_FC_MAX_QUANTILES, list);
        c->quantile[c->n_quantiles++] = q;
        p = *end ? end + 1 : end;
    }
    return c->n_quantiles ? RC_OK : rc_fail(e, RC_EINVAL, "quantiles: none");
}

/* ---- what the data decide ---------------------------------------------------------------------------------------- */

typedef struct lengths {
    size_t least, middle, most;
    bool counts;            /* whole numbers of 0 and more, and some are 0 */
    bool negative, above_0; /* some are below 0; all are above it */
} lengths;

static int by_size(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static rc_status measure(const rc__series *s, lengths *out, rc_error *e) {
    size_t *n = rc__alloc(s->n_groups * sizeof *n), zeros = 0, values = 0;
    if (!n) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    bool whole = true, above = true;
    for (size_t g = 0; g < s->n_groups; g++) {
        n[g] = s->group[g].n;
        for (size_t i = 0; i < n[g] * s->schema->n_targets; i++) {
            double v = s->group[g].y[i];
            if (isnan(v)) continue;
            whole = whole && v >= 0 && v == floor(v);
            out->negative |= v < 0;
            above = above && v > 0;
            zeros += v == 0;
            values++;
        }
    }
    qsort(n, s->n_groups, sizeof *n, by_size);
    *out = (lengths){n[0], n[s->n_groups / 2], n[s->n_groups - 1], whole && zeros * 50 > values, out->negative, above};
    rc__free(n, s->n_groups * sizeof *n);
    return RC_OK;
}

/* The season that people would name for this clock: a day of hours, a week of days, a year of months. */
static size_t season_of(const rc__schema *s) {
    if (!s->has_time || s->style.form == RC_DATE_INDEX) return 1;
    const rc__frequency *f = &s->frequency;
    int64_t c = f->count;
    switch (f->unit) {
    case RC_UNIT_BUSINESS_DAY: return c == 1 ? 5 : 1;
    case RC_UNIT_MONTH: return c < 12 && 12 % c == 0 ? (size_t)(12 / c) : 1;
    case RC_UNIT_SECOND:
        if (c < 86400) return 86400 % c == 0 ? (size_t)(86400 / c) : 1;
        return c == 86400 ? 7 : c == 7 * 86400 ? 52 : 1;
    default: return 1;
    }
}

/* Autocorrelation of the steps y_t - y_{t-1} at lag m: high where a season is, about 0 for a walk whatever its trend. */
static double season_strength(const double *y, size_t n, size_t m) {
    double mean = 0, var = 0, cov = 0;
    size_t count = 0;
    for (size_t t = 1; t < n; t++)
        if (!isnan(y[t] - y[t - 1])) mean += y[t] - y[t - 1], count++;
    mean /= count ? (double)count : 1;
    for (size_t t = 1; t < n; t++) {
        double a = y[t] - y[t - 1] - mean, b = t > m ? y[t - m] - y[t - m - 1] - mean : NAN;
        if (!isnan(a)) var += a * a;
        if (!isnan(a * b)) cov += a * b;
    }
    return var > 0 ? cov / var : 0;
}

/* At least half of (some of) the series show the season. */
static bool shows_season(const rc__series *s, size_t m) {
    size_t T = s->schema->n_targets, S = s->n_groups * T, look = S < 200 ? S : 200, yes = 0;
    for (size_t i = 0; m > 1 && i < look; i++) {
        size_t at = i * S / look;
        yes += season_strength(rc__series_y(s, at / T, at % T), s->group[at / T].n, m) > 0.2;
    }
    return 2 * yes >= look && yes > 0;
}

static rc_status settle_season(rc__fc_config *c, const rc_train_options *o, const rc__schema *s, rc_error *e) {
    if (strcmp(o->season, "auto") == 0 || !*o->season) {
        c->season = season_of(s);
        return RC_OK;
    }
    char *end;
    long v = strtol(o->season, &end, 10);
    if (*end || v < 1 || v > 100000)
        return rc_fail(e, RC_EINVAL, "season: expected auto, or 1 to 100000 steps, found \"%s\"", o->season);
    c->season = (size_t)v;
    return RC_OK;
}

static void settle_lags(rc__fc_config *c, size_t longest) {
    size_t m = c->season, want[] = {1, 2, 3, m - 1, m, m + 1, 2 * m, 3 * m, 7 * m - 1, 7 * m, 7 * m + 1, 14 * m};
    size_t n = sizeof want / sizeof *want, used = m < 2 ? 3 : m == 24 || m == 48 || m == 96 ? n : 8;
    c->n_lags = 0;
    for (size_t i = 0; i < used; i++) {
        bool twice = want[i] < 1 || (i > 0 && want[i] * 2 > longest);
        for (size_t k = 0; k < c->n_lags; k++) twice |= c->lag[k] == want[i];
        if (!twice) c->lag[c->n_lags++] = want[i];
    }
}

static size_t clamp(size_t v, size_t low, size_t high) { return v < low ? low : v > high ? high : v; }

/* es-rnn multiplies: values above 0, quantiles or a point, its own scale. */
static rc_status settle_smoothing(rc__fc_config *c, const rc_train_options *o, const rc__series *s, rc_error *e) {
    for (size_t g = 0; g < s->n_groups; g++)
        for (size_t i = 0; i < s->group[g].n * s->schema->n_targets; i++)
            if (s->group[g].y[i] <= 0)
                return rc_fail(e, RC_EINVAL,
                               "model: es-rnn multiplies by level and season: it is for values above 0, and "
                               "series \"%s\" has %g",
                               s->group[g].id, s->group[g].y[i]);
    if (c->likelihood != RC_FC_POINT && c->likelihood != RC_FC_QUANTILE)
        return rc_fail(e, RC_EINVAL, "likelihood: es-rnn tells of a point or of quantiles, found %s", o->likelihood);
    if (s->schema->n_covariates)
        return rc_fail(e, RC_EINVAL, "model: es-rnn reads no covariates; direct, segment and deepar do");
    c->normalize = RC_FC_SERIES;
    if (!o->lookback) c->lookback = clamp(6 * c->season, 24, 720);
    if (!o->segment) c->segment = c->season > 1 && c->season <= 64 ? c->season : 8;
    return RC_OK;
}

static rc_status settle(rc__forecast *m, const rc_train_options *o, const rc__series *s, const rc_train_hooks *hooks,
                        rc_error *e) {
    rc__fc_config *c = &m->c;
    lengths len = {0};
    rc_status st = measure(s, &len, e);
    if (st == RC_OK) st = settle_season(c, o, s->schema, e);
    if (st != RC_OK) return st;
    size_t S = s->n_groups * s->schema->n_targets;
    c->horizon = o->horizon ? (size_t)o->horizon : clamp(c->season > 1 ? c->season : 10, 1, len.most / 4 + 1);
    if (c->horizon > RC_FC_MAX_HORIZON) return rc_fail(e, RC_EINVAL, "horizon: expected at most %d", RC_FC_MAX_HORIZON);
    c->likelihood = find_name(o->likelihood, rc__fc_likelihoods, RC_FC_LIKELIHOODS);
    c->normalize = find_name(o->normalize, rc__fc_normalizes, RC_FC_NORMALIZES);
    c->kind = find_name(o->model, rc__fc_kinds, RC_FC_KINDS);
    if (c->likelihood < 0) return rc_fail(e, RC_EINVAL, "likelihood: unknown \"%s\"", o->likelihood);
    if (c->normalize < 0) return rc_fail(e, RC_EINVAL, "normalize: unknown \"%s\"", o->normalize);
    if (c->kind < 0) { /* auto */
        const char *why;
        bool smooths = c->season > 1 && len.above_0 && shows_season(s, c->season) && !s->schema->n_covariates &&
                       len.middle >= 3 * c->season && (c->likelihood == RC_FC_QUANTILE || c->likelihood == RC_FC_POINT);
        if (smooths && c->horizon <= 4 * c->season)
            c->kind = RC_FC_ESRNN, why = "values are above 0 and have a season: smoothing and a network together";
        else if (c->horizon >= 24 && strcmp(o->encoder, "transformer") != 0)
            c->kind = RC_FC_SEGMENT, why = "the horizon is long: segments instead of single steps";
        else
            c->kind = RC_FC_DIRECT, why = c->horizon >= 24 ? "a Transformer sees the lookback and forecasts all steps at once"
                                                           : "the horizon is short: all of its steps at once";
        rc__say(hooks, "model: %s, since %s", rc__fc_kinds[c->kind], why);
    }
    st = read_quantiles(c, o->quantiles, e);
    if (st != RC_OK) return st;
    if (c->likelihood == RC_FC_NEGATIVE_BINOMIAL && !len.counts && len.negative)
        return rc_fail(e, RC_EINVAL, "likelihood: negative-binomial is for counts, and the data have values below 0");
    size_t season = c->season, enough = len.most > 2 * c->horizon ? len.most - c->horizon : len.most / 2 + 1;
    c->lookback = o->lookback ? (size_t)o->lookback : clamp(2 * c->horizon, clamp(2 * season, 8, 400), 720);
    if (!o->lookback) c->lookback = clamp(c->lookback, 1, enough / 2 + 1);
    if (c->lookback > RC_FC_MAX_LOOKBACK)
        return rc_fail(e, RC_EINVAL, "lookback: expected at most %d", RC_FC_MAX_LOOKBACK);
    c->segment = o->segment                                            ? (size_t)o->segment
                 : season > 3 && season <= 48 && season <= c->lookback ? season
                                                                       : clamp(c->lookback / 4, 1, 48);
    if (c->kind == RC_FC_ESRNN) {
        st = settle_smoothing(c, o, s, e);
        if (st != RC_OK) return st;
    }
    if (c->kind == RC_FC_SEGMENT || c->kind == RC_FC_ESRNN)
        c->lookback = (c->lookback + c->segment - 1) / c->segment * c->segment;
    settle_lags(c, len.most);
    if (!rc__fc_steps(c)) c->n_lags = 0;
    c->calendar = c->kind != RC_FC_SEGMENT && c->kind != RC_FC_ESRNN;
    c->linear =
        o->linear && (c->kind == RC_FC_SEGMENT || c->kind == RC_FC_DIRECT) && c->likelihood != RC_FC_NEGATIVE_BINOMIAL;
    c->mask = s->missing > 0 || len.least < c->lookback + c->horizon;
    c->dropout = o->dropout;
    m->baseline_lookback = clamp(c->lookback, 1, 720);
    rc_train_options own = *o;
    own.cell = o->encoder;
    const rc_cell_info *cell = rc_cell_find(own.cell);
    if (!cell) return rc_fail(e, RC_EINVAL, "encoder: a forecaster has a recurrent cell, found \"%s\"", own.cell);
    if (c->kind == RC_FC_SEGMENT && !cell->recurrent)
        return rc_fail(e, RC_EINVAL, "encoder: --model segment steps on from the state of a recurrent cell, which %s has not; "
                                     "--model direct takes it", own.cell);
    st = rc__train_rnn_options(&own, &c->rnn, e);
    c->rnn.bidirectional = o->bidirectional;
    if (st == RC_OK && o->bidirectional && c->kind != RC_FC_DIRECT)
        st = rc_fail(e, RC_EINVAL, "bidirectional: for --model direct alone: the others go forward in time");
    (void)S;
    return st;
}

/* ---- a new model ------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of each series over the steps it is trained on; a stranger gets the middle of all. */
static rc_status take_stats(rc__forecast *m, const rc__series *s, const size_t *split, rc_error *e) {
    size_t T = s->schema->n_targets, S = s->n_groups * T, varying = s->schema->n_varying,
           columns = varying + s->schema->n_fixed;
    m->n_series = S;
    m->stats = rc__calloc(S + 1, sizeof *m->stats);
    m->id = rc__calloc(s->n_groups, sizeof *m->id);
    m->n_groups = m->id ? s->n_groups : 0;
    m->x_mean = rc__calloc(columns + 1, sizeof *m->x_mean);
    m->x_scale = rc__calloc(columns + 1, sizeof *m->x_scale);
    double *sorted = rc__alloc(S * sizeof *sorted);
    rc_status st = RC_OK;
    if (!m->stats || !m->id || !m->x_mean || !m->x_scale || !sorted) st = rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t g = 0; st == RC_OK && g < s->n_groups; g++) {
        if (!(m->id[g] = rc__strdup(s->group[g].id))) st = rc_fail(e, RC_ENOMEM, "train: out of memory");
        for (size_t k = 0; k < T; k++) {
            rc__fc_stats *to = &m->stats[g * T + k];
            rc__fc_stats_of(rc__series_y(s, g, k), split[g], to);
            to->mase = rc__mase_scale(split[g], rc__series_y(s, g, k), m->c.season);
        }
    }
    for (size_t f = 0; st == RC_OK && f < RC_FC_STATS; f++) {
        size_t n = 0;
        for (size_t i = 0; i < S; i++) {
            double v = ((const double *)&m->stats[i])[f];
            if (isfinite(v)) sorted[n++] = v;
        }
        qsort(sorted, n, sizeof *sorted, by_value);
        ((double *)&m->stats[S])[f] = n ? sorted[n / 2] : f == RC_FC_STATS - 1 ? NAN : 1;
    }
    rc__free(sorted, S * sizeof *sorted);
    for (size_t i = 0; st == RC_OK && i < columns; i++) m->x_scale[i] = 1;
    for (size_t i = 0; st == RC_OK && i < s->schema->n_covariates; i++) {
        const rc__covariate *c = &s->schema->covariate[i];
        bool fixed = c->role == RC_COVARIATE_FIXED;
        double sum = 0, square = 0, n = 0;
        for (size_t g = 0; !c->n_categories && g < s->n_groups; g++)
            for (size_t j = 0; j < (fixed ? 1 : split[g]); j++) {
                double v = fixed ? s->group[g].fixed[c->at] : s->group[g].x[j * varying + c->at];
                if (isnan(v)) continue;
                sum += v, square += v * v, n += 1;
            }
        if (n < 1) continue;
        double mean = sum / n, var = square / n - mean * mean;
        size_t at = c->at + (fixed ? varying : 0);
        m->x_mean[at] = mean;
        m->x_scale[at] = var > 1e-12 * (mean * mean + 1e-30) ? sqrt(var) : 1;
    }
    return st;
}

/* The end of what is known of each series of the model: all of it when that is little. */
static rc_status keep_history(rc__forecast *m, const rc__series *s, rc_error *e) {
    size_t needed = m->c.lookback + m->baseline_lookback + 3 * m->c.season, T = m->schema->n_targets;
    for (size_t i = 0; i < m->c.n_lags; i++)
        needed = needed > m->c.lookback + m->c.lag[i] ? needed : m->c.lookback + m->c.lag[i];
    size_t share = HISTORY / m->n_series, most = needed > share ? needed : share;
    rc__series *h = rc__calloc(1, sizeof *h);
    if (!h) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    rc_status st = rc__schema_copy(&h->schema, m->schema, e);
    if (st == RC_OK && !(h->group = rc__calloc(m->n_groups, sizeof *h->group)))
        st = rc_fail(e, RC_ENOMEM, "train: out of memory");
    if (st == RC_OK) h->n_groups = m->n_groups;
    for (size_t g = 0; st == RC_OK && g < m->n_groups; g++) {
        size_t k = rc__series_find(s, m->id[g], g), w = m->schema->n_varying, F = m->schema->n_fixed;
        rc__group *to = &h->group[g];
        const rc__group *from = k < s->n_groups ? &s->group[k] : NULL;
        if (!(to->id = rc__strdup(m->id[g]))) st = rc_fail(e, RC_ENOMEM, "train: out of memory");
        if (F && st == RC_OK && !(to->fixed = rc__calloc(F, sizeof *to->fixed)))
            st = rc_fail(e, RC_ENOMEM, "train: out of memory");
        for (size_t i = 0; st == RC_OK && i < F; i++) to->fixed[i] = from ? from->fixed[i] : NAN;
        if (!from || st != RC_OK) continue;
        size_t n = from->n < most ? from->n : most, cut = from->n - n;
        cut -= cut % m->c.season; /* the phases of the season stay what they are */
        n = from->n - cut;
        to->start = s->schema->has_time ? rc__time_step(from->start, &s->schema->frequency, (int64_t)cut)
                                        : from->start + (int64_t)cut;
        to->y = n ? rc__alloc(T * n * sizeof *to->y) : NULL;
        to->x = n && w ? rc__alloc(w * n * sizeof *to->x) : NULL;
        if (n && (!to->y || (w && !to->x))) st = rc_fail(e, RC_ENOMEM, "train: out of memory");
        to->n = n;
        for (size_t i = 0; st == RC_OK && i < T; i++)
            memcpy(to->y + i * n, from->y + i * from->n + cut, n * sizeof *to->y);
        if (st == RC_OK && to->x) memcpy(to->x, from->x + cut * w, n * w * sizeof *to->x);
    }
    if (st != RC_OK) return rc__series_free(h), st;
    rc__series_free(m->history);
    m->history = h;
    return RC_OK;
}

static rc_status new_model(rc__forecast **out, const rc_train_options *o, const rc__series *s,
                           const rc_train_hooks *hooks, rc_error *e) {
    rc__forecast *m = rc__fc_new(e);
    if (!m) return RC_ENOMEM;
    *out = m;
    rc_status st = rc__schema_copy(&m->schema, s->schema, e);
    return st == RC_OK ? settle(m, o, s, hooks, e) : st;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* From where on a series is forecast while training: a whole lookback when there is one. */
static size_t first_origin(const rc__fc_config *c, size_t n) {
    if (rc__fc_steps(c)) return 0; /* the beginning of a series is learnt too */
    if (n >= c->lookback + c->horizon) return c->lookback;
    return n > c->horizon ? 1 : n / 2;
}

static rc_status split_series(forecast_task *t, const rc_train_options *o, rc_error *e) {
    const rc__fc_config *c = &t->m->c;
    const rc__series *s = t->train;
    t->split = rc__alloc(s->n_groups * sizeof *t->split);
    if (!t->split) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t g = 0; g < s->n_groups; g++) {
        size_t n = s->group[g].n, part = (size_t)((double)n * o->valid_fraction);
        if (part < c->horizon) part = c->horizon;
        bool cut =
            !o->valid && o->valid_fraction > 0 && n >= part + c->horizon + (c->lookback < n / 4 ? c->lookback : n / 4);
        t->split[g] = cut ? n - part : n;
    }
    return RC_OK;
}

static rc_status train_windows(forecast_task *t, rc_error *e) {
    const rc__series *s = t->train;
    size_t *from = rc__alloc(s->n_groups * sizeof *from), total = 0, T = s->schema->n_targets, kept = 0;
    if (!from) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t g = 0; g < s->n_groups; g++) {
        from[g] = first_origin(&t->m->c, t->split[g]);
        total += (t->split[g] - from[g]) * T;
    }
    rc_status st = rc__fc_windows(t->m, s, from, t->split, total / MOST_WINDOWS + 1, true, &t->window, &t->n_window, e);
    rc__free(from, s->n_groups * sizeof *from);
    size_t room = t->n_window;
    for (size_t i = 0; st == RC_OK && i < t->n_window; i++) { /* those with something to learn */
        const rc__fc_window *w = &t->window[i];
        const double *y = rc__series_y(s, w->group, w->target);
        size_t end =
            w->origin + t->m->c.horizon < t->split[w->group] ? w->origin + t->m->c.horizon : t->split[w->group];
        bool some = false;
        for (size_t j = w->origin; j < end && !some; j++) some = !isnan(y[j]);
        if (some) t->window[kept++] = *w;
    }
    if (st == RC_OK && kept < room) {
        rc__fc_window *p = rc__realloc(t->window, room * sizeof *p, (kept ? kept : 1) * sizeof *p);
        if (!p) return rc_fail(e, RC_ENOMEM, "train: out of memory");
        t->window = p;
        t->n_window = kept;
        if (!kept) {
            rc__free(p, sizeof *p);
            t->window = NULL;
        }
    }
    if (st == RC_OK && kept == 0)
        st = rc_fail(e, RC_EDATA, "train: no series is long enough to forecast anything of it");
    return st;
}

/* At most `most` of n windows, evenly. */
static void thin(rc__fc_window **w, size_t *n, size_t most) {
    if (*n <= most) return;
    for (size_t i = 0; i < most; i++) (*w)[i] = (*w)[i * *n / most];
    rc__fc_window *p = rc__realloc(*w, *n * sizeof *p, most * sizeof *p);
    if (!p) return;
    *w = p;
    *n = most;
}

static rc_status valid_windows(forecast_task *t, const rc_train_options *o, const rc_train_hooks *hooks, rc_error *e) {
    const rc__fc_config *c = &t->m->c;
    rc_status st = RC_OK;
    bool joined = false;
    if (o->valid) {
        rc__series_options so;
        st = rc__fc_series_options(&o->data, &so, e);
        if (st == RC_OK) st = rc__series_read(&t->valid, o->valid, &so, t->m->schema, false, e);
        if (st == RC_OK) st = rc__fc_continue(t->m, t->train, &t->valid, &joined, e);
        if (st != RC_OK) return st;
        rc__say(hooks, "validation: %s %s", o->valid, joined ? "goes on from the training data" : "stands by itself");
    } else {
        t->valid = t->train;
    }
    size_t G = t->valid->n_groups, *from = rc__alloc(2 * G * sizeof *from), *to = from ? from + G : NULL;
    if (!from) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t g = 0; g < G; g++) {
        to[g] = t->valid->group[g].n;
        from[g] = !o->valid             ? t->split[g]
                  : joined              ? t->valid->group[g].first
                  : c->lookback < to[g] ? c->lookback
                                        : to[g];
    }
    st = rc__fc_windows(t->m, t->valid, from, to, 1, joined, &t->valid_window, &t->n_valid, e);
    rc__free(from, 2 * G * sizeof *from);
    thin(&t->valid_window, &t->n_valid, VALID_WINDOWS);
    if (st == RC_OK && o->valid && t->n_valid == 0)
        st = rc_fail(e, RC_EDATA, "%s: no series is long enough: a lookback of %zu and a horizon of %zu are needed",
                     o->valid, c->lookback, c->horizon);
    if (st == RC_OK && t->n_valid && !(t->valid_map = rc__fc_series_map(t->m, t->valid)))
        st = rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.validates = t->n_valid > 0;
    if (st != RC_OK || !t->n_valid || !t->m->bands) return st;
    t->n_band = t->n_valid < BAND_WINDOWS ? t->n_valid : BAND_WINDOWS;
    t->band_window = rc__alloc(t->n_band * sizeof *t->band_window);
    if (!t->band_window) {
        t->n_band = 0;
        return rc_fail(e, RC_ENOMEM, "train: out of memory");
    }
    for (size_t i = 0; i < t->n_band; i++) t->band_window[i] = t->valid_window[i * t->n_valid / t->n_band];
    return st;
}

static rc_status make_batches(forecast_task *t, const rc_train_options *o, rc_error *e) {
    /* few windows: smaller batches, and each several times an epoch, so that an epoch is something to learn from */
    t->batch = (size_t)o->batch < t->n_window / 8 + 16 ? (size_t)o->batch : t->n_window / 8 + 16;
    t->slots = t->n_window < EPOCH_WINDOWS ? t->n_window : EPOCH_WINDOWS;
    if (t->slots < EPOCH_STEPS * t->batch) t->slots = EPOCH_STEPS * t->batch;
    t->seed = (uint64_t)o->seed;
    uint32_t *length = rc__alloc(t->slots * sizeof *length);
    t->now = rc__alloc(t->batch * sizeof *t->now);
    rc_status st = length && t->now ? RC_OK : rc_fail(e, RC_ENOMEM, "train: out of memory");
    for (size_t i = 0; st == RC_OK && i < t->slots; i++) length[i] = (uint32_t)t->m->c.horizon;
    if (st == RC_OK) st = rc__epochs_new(&t->epochs, length, t->slots, t->batch, t->seed, false, e);
    rc__free(length, t->slots * sizeof *length);
    if (st == RC_OK) st = rc__fc_batch_new(&t->b, t->m, t->batch, t->m->c.horizon, e);
    if (st == RC_OK && t->n_valid)
        st = rc__fc_batch_new(&t->vb, t->m, t->batch < t->n_valid ? t->batch : t->n_valid, t->m->c.horizon, e);
    return st;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *fc_params(rc__task *base) { return ((forecast_task *)base)->m->base.params; }

static rc_var *fc_next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    forecast_task *t = (forecast_task *)base;
    rc_error why;
    rc_status s = rc__epochs_next(t->epochs, &t->last, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    uint64_t epoch = t->last.cursor.epoch;
    for (size_t i = 0; i < t->last.n; i++) { /* of many windows each epoch takes other ones */
        size_t slot = t->last.index[i], from = slot * t->n_window / t->slots, to = (slot + 1) * t->n_window / t->slots;
        rc_rng r = rc_rng_make(t->seed ^ UINT64_C(0x77696e646f7773), epoch * t->slots + slot);
        t->now[i] = t->window[to > from + 1 ? from + (size_t)rc_rng_below(&r, to - from) : from];
    }
    rc__fc_batch_fill(&t->b, t->m, t->train, t->map, t->now, t->last.n);
    for (size_t i = 0; i < t->last.n; i++) { /* what is kept for validation is not to be learnt */
        size_t left = t->split[t->now[i].group] - t->now[i].origin;
        for (size_t j = left; j < t->b.H; j++) {
            t->b.future[j * t->last.n + i] = (rc_real)NAN;
            if (rc__fc_steps(&t->m->c)) t->b.targets[(t->b.L + j) * t->last.n + i] = (rc_real)NAN;
        }
    }
    info->tokens = t->last.n * t->m->c.horizon;
    info->ends_epoch = t->last.ends_epoch;
    return rc__fc_loss(tape, t->m, &t->b, t->own);
}

static size_t places(const forecast_task *t, const rc__fc_batch *b) {
    bool steps = rc__fc_steps(&t->m->c);
    const rc_real *y = steps ? b->targets : b->future;
    size_t n = 0, all = (steps ? b->L + b->H : b->H) * b->B;
    for (size_t i = 0; i < all; i++)
        if (!isnan(y[i])) n++;
    return n;
}

static rc_status fc_validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    forecast_task *t = (forecast_task *)base;
    double sum = 0;
    size_t count = 0, room = t->batch < t->n_valid ? t->batch : t->n_valid;
    for (size_t at = 0; at < t->n_valid; at += room) {
        size_t n = t->n_valid - at < room ? t->n_valid - at : room;
        rc__fc_batch_fill(&t->vb, t->m, t->valid, t->valid_map, t->valid_window + at, n);
        rc_tape_begin(tape, (rc_tape_mode){0});
        rc_var *loss = rc__fc_loss(tape, t->m, &t->vb, 0);
        rc_status s = rc_tape_status(tape, e);
        if (s != RC_OK) return s;
        size_t here = places(t, &t->vb);
        sum += (double)loss->x[0] * (double)here;
        count += here;
    }
    score->loss = count ? sum / (double)count : NAN;
    size_t at = t->m->c.horizon * t->m->c.n_quantiles; /* bands are those of the best model, which is the one to keep */
    if (!t->m->bands || !(score->loss < (double)t->m->bands[at])) return RC_OK;
    return rc__fc_fit_bands(t->m, tape, t->valid, t->valid_map, t->band_window, t->n_band, score->loss, e);
}

static size_t fc_state(rc__task *base, rc__task_tensor out[RC_TASK_MAX_TENSORS]) {
    const rc__forecast *m = ((forecast_task *)base)->m;
    if (!m->bands) return 0;
    out[0] = (rc__task_tensor){"bands", m->bands, m->c.horizon * m->c.n_quantiles + 1};
    return 1;
}

static rc_status fc_save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    return rc__model_save(&((forecast_task *)base)->m->base, path, provenance, e);
}

static void fc_where(rc__task *base, char *out, size_t cap) {
    const forecast_task *t = (const forecast_task *)base;
    const rc__fc_window *w = &t->now[0];
    snprintf(out, cap, "epoch %llu, batch %llu, %zu windows, the first of series \"%.100s\" from step %u",
             (unsigned long long)t->last.cursor.epoch + 1, (unsigned long long)t->last.cursor.position + 1, t->last.n,
             t->train->group[w->group].id, w->origin + 1);
}

static double fc_epochs(rc__task *base) { return rc__epochs_done(((forecast_task *)base)->epochs); }
static double fc_batches(rc__task *base) { return (double)rc__epochs_batches(((forecast_task *)base)->epochs); }

static json_t *fc_cursor_get(rc__task *base) {
    const forecast_task *t = (const forecast_task *)base;
    return rc__epochs_to_json(t->epochs, t->hash);
}

static rc_status fc_cursor_set(rc__task *base, const json_t *cursor, const char *where, rc_error *e) {
    forecast_task *t = (forecast_task *)base;
    return rc__epochs_from_json(t->epochs, cursor, t->hash, "series", where, e);
}

static void fc_before_step(rc__task *base, double progress) {
    forecast_task *t = (forecast_task *)base;
    if (t->m->c.kind == RC_FC_RECURRENT) t->own = MOST_SAMPLED * progress;
}

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* The validation windows in the series' own units, beside the baselines. */
static rc_status fc_finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                           rc_error *e) {
    forecast_task *t = (forecast_task *)base;
    (void)o;
    if (!t->n_valid) return RC_OK;
    rc_tape *tape = NULL;
    json_t *out = json_object();
    if (rc__fc_steps(&t->m->c)) thin(&t->valid_window, &t->n_valid, SCORE_WINDOWS);
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK)
        s = rc__fc_score(t->m, tape, t->valid, t->valid_window, t->n_valid, 64, 100, 1, false, false, out, e);
    rc_tape_free(tape);
    if (s == RC_OK) {
        json_t *rows = json_object_get(out, "models");
        rc__say(hooks, "validation, %zu windows, season %zu:%10s %10s %8s %8s", t->n_valid, t->m->c.season, "MAE",
                "RMSE", "sMAPE", "MASE");
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            rc__say(hooks, "  %-30s %10.4g %10.4g %8.3f %8.4f", json_string_value(json_object_get(row, "model")),
                    number(row, "mae"), number(row, "rmse"), number(row, "smape"), number(row, "mase"));
        }
        r->accuracy = number(out, "mase");
        snprintf(r->measure, sizeof r->measure, "MASE");
    }
    json_decref(out);
    return s;
}

static void fc_plan(rc__task *base, rc_plan *plan, size_t *data_bytes) {
    const forecast_task *t = (const forecast_task *)base;
    plan->train_tokens = t->n_window * t->m->c.horizon;
    plan->valid_tokens = t->n_valid * t->m->c.horizon;
    plan->epoch_tokens = t->slots * t->m->c.horizon;
    plan->vocab_size = 0;
    *data_bytes = t->train->steps * sizeof(double) + (t->n_window + t->n_valid) * sizeof(rc__fc_window) + t->b.bytes +
                  t->vb.bytes;
}

static void fc_task_free(rc__task *base) {
    forecast_task *t = (forecast_task *)base;
    if (!t) return;
    size_t T = t->m && t->m->schema ? t->m->schema->n_targets : 0;
    if (t->map) rc__free(t->map, (t->train->n_groups * T + 1) * sizeof *t->map);
    if (t->valid_map) rc__free(t->valid_map, (t->valid->n_groups * T + 1) * sizeof *t->valid_map);
    if (t->split) rc__free(t->split, t->train->n_groups * sizeof *t->split);
    rc__free(t->window, t->n_window * sizeof *t->window);
    rc__free(t->valid_window, t->n_valid * sizeof *t->valid_window);
    rc__free(t->band_window, t->n_band * sizeof *t->band_window);
    rc__free(t->now, t->batch * sizeof *t->now);
    rc__epochs_free(t->epochs);
    rc__fc_batch_free(&t->b);
    rc__fc_batch_free(&t->vb);
    if (t->valid != t->train) rc__series_free(t->valid);
    rc__series_free(t->train);
    if (t->m) rc_model_free(&t->m->base);
    rc__free(t, sizeof *t);
}

static const rc__task_ops fc_ops = {.params = fc_params,
                                    .next_loss = fc_next_loss,
                                    .validate = fc_validate,
                                    .save = fc_save,
                                    .where = fc_where,
                                    .epochs = fc_epochs,
                                    .batches_per_epoch = fc_batches,
                                    .state = fc_state,
                                    .cursor_get = fc_cursor_get,
                                    .cursor_set = fc_cursor_set,
                                    .finish = fc_finish,
                                    .before_step = fc_before_step,
                                    .plan = fc_plan,
                                    .free = fc_task_free};

/* ---- making it --------------------------------------------------------------------------------------------------- */

static void describe_data(const rc__series *s, const rc_train_hooks *hooks) {
    char freq[48], a[64], b[64];
    const rc__schema *sc = s->schema;
    size_t S = s->n_groups * sc->n_targets;
    lengths len = {0};
    if (measure(s, &len, NULL) != RC_OK) return;
    static const char *const layouts[] = {"", "wide (a column a series)", "long (an id in each row)", "a row a series"};
    rc__say(hooks, "data: %s: %zu series, %zu values; steps of a series: %zu to %zu, %zu in the middle",
            layouts[sc->layout], S, s->steps, len.least, len.most, len.middle);
    if (sc->has_time)
        rc__say(hooks, "time: %s, %s, from %s to %s", sc->time, rc__frequency_text(&sc->frequency, freq),
                rc__series_time(s, 0, 0, a), rc__series_time(s, 0, s->group[0].n ? s->group[0].n - 1 : 0, b));
    if (s->missing || s->gaps)
        rc__say(hooks, "missing: %zu values of %zu (%.2f %%), %zu steps that the file leaves out", s->missing, s->steps,
                100.0 * (double)s->missing / (double)s->steps, s->gaps);
    for (size_t i = 0; i < sc->n_covariates; i++) {
        static const char *const roles[] = {"known ahead", "observed only", "fixed"};
        const rc__covariate *c = &sc->covariate[i];
        char kind[48] = "";
        if (c->n_categories) snprintf(kind, sizeof kind, ", %zu categories", c->n_categories);
        rc__say(hooks, "covariate: %s, %s%s", c->name, roles[c->role], kind);
    }
}

static void describe_model(const forecast_task *t, const rc_train_hooks *hooks) {
    const rc__fc_config *c = &t->m->c;
    rc__say(hooks, "windows: %zu to train on%s, %zu to validate; lookback %zu, horizon %zu, season %zu", t->n_window,
            t->slots < t->n_window ? ", a part of them each epoch" : "", t->n_valid, c->lookback, c->horizon,
            c->season);
    rc__say(hooks, "model: %s, %s, %d x %zu %s, scaled by %s%s, %zu parameters", rc__fc_kinds[c->kind],
            rc__fc_likelihoods[c->likelihood], c->rnn.num_layers, c->rnn.hidden_size, c->rnn.cell,
            rc__fc_normalizes[c->normalize], c->mask ? ", missing values are told" : "",
            rc_params_len(t->m->base.params));
}

static uint64_t hash_series(const rc__series *s) {
    uint64_t h = RC__FINGERPRINT;
    for (size_t g = 0; g < s->n_groups; g++)
        h = rc__fingerprint(h, s->group[g].y, s->group[g].n * s->schema->n_targets * sizeof *s->group[g].y);
    return h;
}

static rc_status load_model(rc__forecast **out, const char *path, rc_error *e) {
    rc_model *m;
    rc_status s = rc_model_load(&m, path, e);
    if (s != RC_OK) return s;
    if (m->kind != &rc__task_forecast) {
        s = rc_fail(e, RC_EMODEL, "%s: %s, not a forecaster", path, m->kind->title);
        rc_model_free(m);
        return s;
    }
    *out = (rc__forecast *)m;
    return RC_OK;
}

rc_status rc__fc_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e) {
    forecast_task *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.ops = &fc_ops;
    rc__series_options so;
    const char *from = initial ? initial : o->from && *o->from ? o->from : NULL;
    rc_status s = rc__fc_series_options(&o->data, &so, e);
    if (s == RC_OK && o->n_files != 1)
        s = rc_fail(e, RC_EINVAL, "train forecast: expected one FILE of series, found %zu", o->n_files);
    if (s == RC_OK && from) s = load_model(&t->m, from, e);
    if (s == RC_OK) s = rc__series_read(&t->train, o->files[0], &so, from ? t->m->schema : NULL, false, e);
    if (s == RC_OK) describe_data(t->train, hooks);
    if (s == RC_OK && !from) s = new_model(&t->m, o, t->train, hooks, e);
    if (s == RC_OK) s = split_series(t, o, e);
    if (s == RC_OK && !from) s = take_stats(t->m, t->train, t->split, e);
    if (s == RC_OK && !from) s = rc__fc_build(t->m, e);
    if (s == RC_OK && !from) s = rc_params_build(t->m->base.params, (uint64_t)o->seed, e);
    if (s == RC_OK && !from) s = rc__fc_start_smoothing(t->m, t->train, t->split, e);
    rc_precision precision = RC_FP32;
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK && !(t->map = rc__fc_series_map(t->m, t->train))) s = rc_fail(e, RC_ENOMEM, "train: out of memory");
    if (s == RC_OK) s = train_windows(t, e);
    if (s == RC_OK) s = valid_windows(t, o, hooks, e);
    if (s == RC_OK && !initial) s = rc__fc_fit_linear(t->m, t->train, t->map, t->window, t->n_window, e);
    if (s == RC_OK) s = keep_history(t->m, o->valid && t->valid != t->train ? t->train : t->train, e);
    if (s == RC_OK) s = make_batches(t, o, e);
    if (s != RC_OK) return fc_task_free(&t->base), s;
    t->hash = hash_series(t->train);
    describe_model(t, hooks);
    rc__say_precision(hooks, precision);
    *out = &t->base;
    return RC_OK;
}

static void fc_defaults(rc_train_options *o) {
    o->encoder = "gru";
    o->layers = 1;
    o->hidden = 128;
    o->likelihood = "quantile";
    o->normalize = "series";
    o->dropout = 0.1;
    o->init = "torch";
    o->forget_bias = 0;
    o->batch = 256;
    o->lr = 1e-3;
    o->beta2 = 0.999;
    o->weight_decay = 0;
    o->schedule = "cosine";
    o->epochs = 20;
    o->patience = 8;
}

const rc__task_kind rc__task_forecast = {
    .name = "forecast",
    .title = "a forecaster",
    .options = "encoder bidirectional normalize model horizon lookback season likelihood quantiles segment linear id "
               "time-column "
               "target inputs known-ahead fixed categorical format delimiter header missing",
    .defaults = fc_defaults,
    .make = rc__fc_make,
    .open = rc__fc_open,
    .model = {.document = rc__fc_document,
              .tensors = rc__fc_tensors,
              .eval = rc__fc_eval,
              .predict = rc__fc_predict,
              .explain = rc__fc_explain,
              .free = rc__fc_free}};
