/* forecast_window.c - from series to what a network reads: scaling, features, batches of windows. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tasks/forecast.h"

#define LEAST 1e-10 /* of a scale, relative to the values */

size_t rc__fc_features(const rc__forecast *m) {
    double none[RC_CALENDAR_MAX];
    size_t n = m->schema->n_varying + m->schema->n_fixed;
    if (m->c.calendar) n += rc__calendar_features(m->schema, 0, none);
    return n + (rc__fc_steps(&m->c) ? 1 : 0); /* age */
}

int32_t rc__fc_series(const rc__forecast *m, const char *id, size_t target) {
    for (size_t i = 0; i < m->n_groups; i++)
        if (strcmp(m->id[i], id) == 0) return (int32_t)(i * m->schema->n_targets + target);
    return -1;
}

int32_t *rc__fc_series_map(const rc__forecast *m, const rc__series *s) {
    size_t T = s->schema->n_targets;
    int32_t *map = rc__alloc((s->n_groups * T + 1) * sizeof *map);
    for (size_t g = 0; map && g < s->n_groups; g++) {
        /* mostly the file that was trained on: the same order */
        bool same = g < m->n_groups && strcmp(m->id[g], s->group[g].id) == 0;
        int32_t at = same ? (int32_t)(g * T) : rc__fc_series(m, s->group[g].id, 0);
        for (size_t k = 0; k < T; k++) map[g * T + k] = at < 0 ? -1 : at + (int32_t)k;
    }
    return map;
}

void rc__fc_stats_of(const double *y, size_t n, rc__fc_stats *out) {
    double sum = 0, abs = 0, step = 0, low = INFINITY, high = -INFINITY, square = 0;
    size_t count = 0, steps = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) continue;
        sum += y[i];
        abs += fabs(y[i]);
        low = fmin(low, y[i]);
        high = fmax(high, y[i]);
        count++;
        if (i > 0 && !isnan(y[i - 1])) step += fabs(y[i] - y[i - 1]), steps++;
    }
    double mean = count ? sum / (double)count : 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(y[i])) square += (y[i] - mean) * (y[i] - mean);
    *out = (rc__fc_stats){.mean = mean,
                          .deviation = count ? sqrt(square / (double)count) : 0,
                          .low = count ? low : 0,
                          .high = count ? high : 0,
                          .mean_abs = count ? abs / (double)count : 0,
                          .step = steps ? step / (double)steps : 0};
    double least = LEAST * (out->mean_abs > 0 ? out->mean_abs : 1);
    if (out->mean_abs <= 0) out->mean_abs = 1;
    if (!(out->deviation > least)) out->deviation = out->mean_abs; /* a constant series: any unit will do */
    if (!(out->step > least)) out->step = out->deviation;
}

/* Steps: loc 0 and DeepAR's mean of |y| (section 3.3), or the training's. Windows: loc = the last value, as SegRNN's
 * section 3.4 has it, so that a shift of level shifts the forecast. */
void rc__fc_scaling(const rc__forecast *m, const double *y, size_t n, size_t origin, int32_t series, double *loc,
                    double *scale) {
    const rc__fc_config *c = &m->c;
    const rc__fc_stats *st = &m->stats[series < 0 ? m->n_series : (size_t)series];
    size_t end = origin < n ? origin : n, from = origin > c->lookback ? origin - c->lookback : 0;
    double sum = 0, abs = 0, step = 0, last = NAN;
    size_t count = 0, steps = 0;
    for (size_t i = from; i < end; i++) {
        if (isnan(y[i])) continue;
        if (!isnan(last)) step += fabs(y[i] - last), steps++;
        last = y[i];
        sum += last;
        abs += fabs(last);
        count++;
    }
    rc__fc_stats own;
    if (series < 0 && c->normalize != RC_FC_SERIES && end > 0) { /* a new series: by what is known of it */
        rc__fc_stats_of(y, end, &own);
        if (count > 1) st = &own;
    }
    switch (c->normalize) {
    case RC_FC_ZSCORE:
        *loc = st->mean;
        *scale = st->deviation;
        break;
    case RC_FC_MINMAX:
        *loc = st->low;
        *scale = st->high > st->low ? st->high - st->low : st->deviation;
        break;
    case RC_FC_NONE:
        *loc = 0;
        *scale = 1;
        break;
    default:
        *loc = 0;
        *scale = count && abs > 0 ? abs / (double)count : st->mean_abs;
        if (rc__fc_steps(c) || c->kind == RC_FC_ESRNN || c->likelihood == RC_FC_NEGATIVE_BINOMIAL) break;
        if (c->season > 1 && count > 1) { /* the size of the season's swing */
            double mean = sum / (double)count, spread = 0;
            for (size_t i = from; i < end; i++)
                if (!isnan(y[i])) spread += fabs(y[i] - mean);
            *scale = spread / (double)count;
        } else { /* what a walk of such steps makes of the horizon */
            *scale = steps ? step / (double)steps : 0;
            *scale = (*scale > 0 ? *scale : st->step) * sqrt((double)c->horizon);
        }
        if (!(*scale > LEAST * st->mean_abs)) *scale = st->deviation;
    }
    if (c->likelihood == RC_FC_NEGATIVE_BINOMIAL || c->kind == RC_FC_ESRNN)
        *loc = 0; /* only their unit may change */
    else if (!rc__fc_steps(c) && count)
        *loc = last;
    else if (!rc__fc_steps(c) && c->normalize == RC_FC_SERIES)
        *loc = st->mean;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

rc_status rc__fc_batch_new(rc__fc_batch *b, const rc__forecast *m, size_t B, size_t H, rc_error *e) {
    size_t L = m->c.lookback, F = rc__fc_features(m), lags = rc__fc_steps(&m->c) ? m->c.n_lags + 1 : 0, total = 0;
    bool steps = rc__fc_steps(&m->c), ok = true;
    const struct {
        size_t a, b;
    } sizes[] = {{L, B}, {L, B}, {H, B}, {(L + H) * F, B}, {(L + H) * lags, B}, {steps ? L + H : 0, B}, {L + H, B}};
    enum { ARRAYS = sizeof sizes / sizeof *sizes };
    size_t count[ARRAYS];
    for (size_t i = 0; i < ARRAYS; i++) {
        ok = ok && rc__size_mul(sizes[i].a, sizes[i].b, &count[i]);
        if (ok) count[i] = (count[i] + 15) / 16 * 16;
        ok = ok && rc__size_add(total, count[i] * sizeof(rc_real), &total) && total < SIZE_MAX / 4;
    }
    *b = (rc__fc_batch){.B = B, .L = L, .H = H, .F = F, .n_lags = m->c.n_lags};
    b->bytes = total + B * (2 * sizeof(double) + 2 * sizeof(int32_t));
    b->block = ok ? rc__calloc(b->bytes ? b->bytes : 1, 1) : NULL;
    if (!b->block) return rc_fail(e, RC_ENOMEM, "out of memory for a batch of %zu windows", B);
    rc_real *p = b->block;
    rc_real **to[ARRAYS] = {&b->past, &b->mask, &b->future, &b->features, &b->lags, &b->targets, &b->scales};
    for (size_t i = 0; i < ARRAYS; i++) {
        *to[i] = p;
        p += count[i];
    }
    b->loc = (double *)p;
    b->scale = b->loc + B;
    b->series = (int32_t *)(b->scale + B);
    b->phase = b->series + B;
    return RC_OK;
}

void rc__fc_batch_free(rc__fc_batch *b) {
    rc__free(b->block, b->bytes ? b->bytes : 1);
    *b = (rc__fc_batch){0};
}

/* Calendar, covariates, age at each step of a window. Observed covariates are unknown from the origin on; networks that
 * go step by step see those of the step before. */
static void fill_features(rc__fc_batch *b, const rc__forecast *m, const rc__group *g, size_t origin, size_t row,
                          size_t B) {
    const rc__schema *sc = m->schema;
    size_t L = b->L, T = L + b->H, known = g->n + g->ahead;
    bool steps = rc__fc_steps(&m->c);
    double part[RC_CALENDAR_MAX];
    for (size_t j = 0; j < T; j++) {
        rc_real *to = b->features + (j * B + row) * b->F;
        int64_t at = (int64_t)origin - (int64_t)L + (int64_t)j;
        size_t n = 0;
        if (m->c.calendar) {
            int64_t time = sc->has_time ? rc__time_step(g->start, &sc->frequency, at) : 0;
            n = rc__calendar_features(sc, time, part);
            for (size_t i = 0; i < n; i++) to[i] = (rc_real)part[i];
        }
        for (size_t i = 0; i < sc->n_covariates; i++) {
            const rc__covariate *c = &sc->covariate[i];
            if (c->role == RC_COVARIATE_FIXED) continue;
            bool observed = c->role == RC_COVARIATE_OBSERVED;
            int64_t from = observed && steps ? at - 1 : at;
            bool there = from >= 0 && (uint64_t)from < known && (!observed || from < (int64_t)origin);
            size_t w = c->n_categories ? c->n_categories : 1;
            for (size_t k = 0; k < w; k++) {
                double v = there ? g->x[(size_t)from * sc->n_varying + c->at + k] : NAN;
                to[n + c->at + k] = isnan(v) ? 0 : (rc_real)((v - m->x_mean[c->at + k]) / m->x_scale[c->at + k]);
            }
        }
        n += sc->n_varying;
        for (size_t k = 0; k < sc->n_fixed; k++) {
            double v = g->fixed[k];
            to[n + k] = isnan(v) ? 0 : (rc_real)((v - m->x_mean[sc->n_varying + k]) / m->x_scale[sc->n_varying + k]);
        }
        n += sc->n_fixed;
        if (steps) to[n] = at < 0 ? 0 : (rc_real)(log10(2.0 + (double)at) / 2); /* GluonTS's age */
    }
}

/* The history of a model begins a whole number of seasons after its training data. */
static int32_t phase_of(const rc__forecast *m, const rc__group *g, int32_t series, int64_t step) {
    int64_t season = (int64_t)m->c.season, at = step;
    if (series >= 0 && m->history && m->schema->has_time)
        at += rc__steps_between(&m->schema->frequency, m->history->group[(size_t)series / m->schema->n_targets].start,
                                g->start);
    return (int32_t)((at % season + season) % season);
}

static rc_real scaled(double v, double loc, double scale) { return (rc_real)((v - loc) / scale); }

void rc__fc_batch_fill(rc__fc_batch *b, const rc__forecast *m, const rc__series *s, const int32_t *map,
                       const rc__fc_window *w, size_t B) {
    size_t L = b->L, H = b->H;
    b->B = B;
    for (size_t r = 0; r < B; r++) {
        const rc__group *g = &s->group[w[r].group];
        const double *y = rc__series_y(s, w[r].group, w[r].target);
        size_t o = w[r].origin, n = g->n;
        int32_t id = map[w[r].group * s->schema->n_targets + w[r].target];
        double loc, scale, last = NAN;
        rc__fc_scaling(m, y, n, o, id, &loc, &scale);
        b->series[r] = id;
        if (m->c.kind == RC_FC_ESRNN) b->phase[r] = phase_of(m, g, id, (int64_t)o - (int64_t)L);
        b->loc[r] = loc;
        b->scale[r] = scale;
        for (size_t j = 0; j < L; j++) {
            int64_t at = (int64_t)o - (int64_t)L + (int64_t)j;
            double v = at >= 0 && (size_t)at < n ? y[at] : NAN;
            if (!isnan(v)) last = v;
            b->past[j * B + r] = isnan(last) ? 0 : scaled(last, loc, scale);
            b->mask[j * B + r] = (rc_real)(isnan(v) ? 0 : 1);
        }
        for (size_t j = 0; j < H; j++) b->future[j * B + r] = o + j < n ? scaled(y[o + j], loc, scale) : (rc_real)NAN;
        for (size_t j = 0; j < L + H; j++) b->scales[j * B + r] = (rc_real)scale;
        if (b->F) fill_features(b, m, g, o, r, B);
        if (!rc__fc_steps(&m->c)) continue;
        for (size_t j = 0; j < L + H; j++) {
            int64_t at = (int64_t)o - (int64_t)L + (int64_t)j;
            rc_real *to = b->lags + (j * B + r) * (b->n_lags + 1);
            b->targets[j * B + r] = at >= 0 && (size_t)at < n ? scaled(y[at], loc, scale) : (rc_real)NAN;
            if (m->c.likelihood == RC_FC_NEGATIVE_BINOMIAL && at >= 0 && (size_t)at < n)
                b->targets[j * B + r] = (rc_real)y[at]; /* counts as they are; the loss knows the scale */
            for (size_t k = 0; k <= b->n_lags; k++) {
                int64_t from = at - (int64_t)(k < b->n_lags ? m->c.lag[k] : 1);
                double v = from >= 0 && (size_t)from < n ? y[from] : NAN;
                to[k] = k == b->n_lags ? (rc_real)(isnan(v) ? 0 : 1) : isnan(v) ? 0 : scaled(v, loc, scale);
            }
        }
    }
}
