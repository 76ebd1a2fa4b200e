/* detect_train.c - a detector as a task of the training loop: windows of the series of all files, in a random order. */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/epochs.h"
#include "tasks/detect_data.h"
#include "tasks/detect_score.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct window {
    uint32_t series, start;
} window;

typedef struct detect_task {
    rc__task base;
    rc__detect_model *m;
    size_t n_series;
    rc__detect_series *series;
    rc__detect_rows *rows; /* of each series, all of them */
    size_t *train_rows;    /* of each: those before are learnt, the others judge */
    size_t T, max_batch;
    window *train, *valid;
    size_t n_train, n_valid, cap_train, cap_valid;
    rc__epochs *epochs;
    rc__visit last;
    window last_window;
    rc_real *x, *targets;
    size_t x_len, targets_len;
    uint64_t hash;
    double share; /* of the rows that may be alarms; 0 = by the tail alone */
} detect_task;

static rc_status no_memory(rc_error *e) { return rc_fail(e, RC_ENOMEM, "detect: out of memory"); }

static void task_free(rc__task *base) {
    detect_task *t = (detect_task *)base;
    if (!t) return;
    for (size_t i = 0; i < t->n_series; i++) {
        if (t->series) rc__detect_series_free(&t->series[i]);
        if (t->rows) rc__detect_rows_free(&t->rows[i]);
    }
    rc__free(t->series, t->n_series * sizeof *t->series);
    rc__free(t->rows, t->n_series * sizeof *t->rows);
    rc__free(t->train_rows, t->n_series * sizeof *t->train_rows);
    rc__free(t->train, t->cap_train * sizeof *t->train);
    rc__free(t->valid, t->cap_valid * sizeof *t->valid);
    rc__epochs_free(t->epochs);
    rc__free(t->x, t->x_len * sizeof *t->x);
    rc__free(t->targets, t->targets_len * sizeof *t->targets);
    if (t->m) rc_model_free(&t->m->base);
    rc__free(t, sizeof *t);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Rows that are no targets: those labelled as anomalies, and in a window to judge by those that were learnt. */
static void mask_targets(const detect_task *t, window w, size_t B, size_t b, bool judges) {
    const rc__detect_series *s = &t->series[w.series];
    bool reversed = t->m->net->o.kind == RC__DETECT_AUTOENCODER;
    for (size_t k = 0; k < t->T; k++) {
        size_t i = w.start + k;
        if (!(s->label && s->label[i]) && !(judges && i < t->train_rows[w.series])) continue;
        rc_real *to = t->targets + ((reversed ? t->T - 1 - k : k) * B + b) * s->C;
        for (size_t c = 0; c < s->C; c++) to[c] = NAN;
    }
}

static rc_var *loss_of(detect_task *t, rc_tape *tape, const window *of, const uint32_t *index, size_t B, bool judges) {
    for (size_t b = 0; b < B; b++) {
        window w = of[index ? index[b] : b];
        rc__detect_window(t->m->net, &t->rows[w.series], w.start, t->T, B, b, t->x, t->targets);
        mask_targets(t, w, B, b, judges);
        if (b == 0) t->last_window = w;
    }
    return rc__detect_net_loss(tape, t->m->net, t->x, t->targets, t->T, B);
}

static rc_params *task_params(rc__task *base) { return ((detect_task *)base)->m->base.params; }

static rc_var *next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    detect_task *t = (detect_task *)base;
    rc_error why;
    rc_status s = rc__epochs_next(t->epochs, &t->last, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    info->tokens = t->last.n * t->T;
    info->ends_epoch = t->last.ends_epoch;
    return loss_of(t, tape, t->train, t->last.index, t->last.n, false);
}

static rc_status validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    detect_task *t = (detect_task *)base;
    double sum = 0, count = 0;
    for (size_t at = 0; at < t->n_valid; at += t->max_batch) {
        size_t B = t->n_valid - at < t->max_batch ? t->n_valid - at : t->max_batch, there = 0;
        rc_tape_begin(tape, (rc_tape_mode){0});
        rc_var *loss = loss_of(t, tape, t->valid + at, NULL, B, true);
        rc_status s = rc_tape_status(tape, e);
        if (s != RC_OK) return s;
        for (size_t i = 0; i < t->T * B * t->m->net->o.channels; i++) there += isnan(t->targets[i]) ? 0 : 1;
        sum += (double)loss->x[0] * (double)there;
        count += (double)there;
    }
    score->loss = count > 0 ? sum / count : NAN;
    return RC_OK;
}

static void where(rc__task *base, char *out, size_t cap) {
    const detect_task *t = (const detect_task *)base;
    snprintf(out, cap, "epoch %" PRIu64 ", batch %" PRIu64 " of %zu windows, the first at row %u of file %u",
             t->last.cursor.epoch + 1, t->last.cursor.position + 1, t->last.n, t->last_window.start + 1,
             t->last_window.series + 1);
}

static double epochs(rc__task *base) { return rc__epochs_done(((detect_task *)base)->epochs); }
static double batches_per_epoch(rc__task *base) { return (double)rc__epochs_batches(((detect_task *)base)->epochs); }

static json_t *cursor_get(rc__task *base) {
    const detect_task *t = (const detect_task *)base;
    return rc__epochs_to_json(t->epochs, t->hash);
}

static rc_status cursor_set(rc__task *base, const json_t *cursor, const char *at, rc_error *e) {
    detect_task *t = (detect_task *)base;
    return rc__epochs_from_json(t->epochs, cursor, t->hash, "series", at, e);
}

/* ---- the threshold ----------------------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Mean distance from forecasts, in deviations, on the rows that judge; and of the value before from each. */
typedef struct distances {
    double model, last;
    size_t n;
} distances;

static void measure(distances *m, const detect_task *t, const rc__detect_series *r, size_t k, const double *expected) {
    for (size_t c = 0; c < r->C; c++) {
        double now = r->x[k * r->C + c], before = r->x[(k - 1) * r->C + c], scale = t->m->scale[c];
        if (isnan(now) || isnan(before) || isnan(expected[c])) continue;
        m->model += fabs(now - expected[c]) / scale;
        m->last += fabs(now - before) / scale;
        m->n++;
    }
}

/* The scores of all rows of all series, each a stream of its own. */
static rc_status score_all(detect_task *t, double *scores, distances *m, rc_error *e) {
    size_t at = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < t->n_series; i++) {
        const rc__detect_series *r = &t->series[i];
        rc__detector *d = NULL;
        s = rc__detector_new(&d, t->m, false, e);
        for (size_t k = 0; s == RC_OK && k < r->n; k++) {
            rc__detected out;
            s = rc__detector_row(d, r->time ? r->time[k] : 0, r->x + k * r->C, &out, e);
            if (s != RC_OK) break;
            scores[at++] = out.score;
            if (k > 0 && k >= t->train_rows[i]) measure(m, t, r, k, out.expected);
        }
        rc__detector_free(d);
    }
    return s;
}

/* Scores all rows; with a share of alarms given, sets the threshold by it. */
static rc_status calibrate(detect_task *t, size_t *rows, size_t *alarms, distances *m, rc_error *e) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_series; i++) n += t->series[i].n;
    double *scores = rc__alloc(n * sizeof *scores), *threshold = &t->m->net->o.threshold;
    if (!scores) return no_memory(e);
    rc_status s = score_all(t, scores, m, e);
    if (s == RC_OK) {
        qsort(scores, n, sizeof *scores, falling);
        size_t k = (size_t)(t->share * (double)n);
        if (t->share > 0) *threshold = k < n && scores[k] > 0 ? nextafter(scores[k], INFINITY) : 5;
        *rows = n;
        *alarms = 0;
        while (*alarms < n && scores[*alarms] >= *threshold) ++*alarms;
    }
    rc__free(scores, n * sizeof *scores);
    return s;
}

/* A model file has the threshold of its own weights. */
static rc_status save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    detect_task *t = (detect_task *)base;
    size_t rows, alarms;
    distances m = {0, 0, 0};
    rc_status s = t->share > 0 ? calibrate(t, &rows, &alarms, &m, e) : RC_OK;
    return s == RC_OK ? rc_model_save(&t->m->base, path, provenance, e) : s;
}

static rc_status finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                        rc_error *e) {
    detect_task *t = (detect_task *)base;
    size_t rows = 0, alarms = 0;
    distances m = {0, 0, 0};
    (void)o;
    rc_status s = calibrate(t, &rows, &alarms, &m, e);
    if (s != RC_OK) return s;
    if (m.n)
        rc__say(hooks, "rows to validate are %.4g deviations from what is expected; from the value before, %.4g",
                m.model / (double)m.n, m.last / (double)m.n);
    rc__say(hooks, "threshold %.4g (%s): %zu alarms in the %zu rows of the training files", t->m->net->o.threshold,
            t->share > 0 ? "by the share that may be alarms" : "a tail of 10^-5", alarms, rows);
    r->valid_loss = r->best_valid_loss;
    return RC_OK;
}

static void plan(rc__task *base, rc_plan *p, size_t *data_bytes) {
    const detect_task *t = (const detect_task *)base;
    size_t rows = 0;
    for (size_t i = 0; i < t->n_series; i++) rows += t->series[i].n;
    p->train_tokens = t->n_train * t->T;
    p->valid_tokens = t->n_valid * t->T;
    p->epoch_tokens = t->n_train * t->T;
    *data_bytes = rows * t->m->net->o.channels * (sizeof(double) + sizeof(rc_real));
}

static const rc__task_ops task_ops = {.params = task_params,
                                      .next_loss = next_loss,
                                      .validate = validate,
                                      .save = save,
                                      .where = where,
                                      .epochs = epochs,
                                      .batches_per_epoch = batches_per_epoch,
                                      .cursor_get = cursor_get,
                                      .cursor_set = cursor_set,
                                      .finish = finish,
                                      .plan = plan,
                                      .free = task_free};

/* ---- making it --------------------------------------------------------------------------------------------------- */

static rc_status options_of(const rc_train_options *o, size_t channels, bool timed, rc__detect_options *out,
                            rc_error *e) {
    *out = rc__detect_options_default();
    rc_status s = rc__train_rnn_options(o, &out->rnn, e);
    if (s != RC_OK) return s;
    out->channels = channels;
    bool encodes = !strcmp(o->model, "autoencoder");
    if (!encodes && strcmp(o->model, "auto") != 0 && strcmp(o->model, "recurrent") != 0)
        return rc_fail(e, RC_EINVAL, "model: expected recurrent (a forecaster) or autoencoder, found \"%s\"", o->model);
    out->kind = encodes ? RC__DETECT_AUTOENCODER : RC__DETECT_FORECAST;
    int k = 0;
    while (k < 3 && strcmp(rc__detect_likelihoods[k], o->likelihood) != 0) k++;
    if (k == 3)
        return rc_fail(e, RC_EINVAL, "likelihood: expected point, gaussian or student-t, found \"%s\"", o->likelihood);
    out->likelihood = k;
    if (o->lookback) out->lags = (size_t)o->lookback;
    if (o->window) out->window = (size_t)o->window;
    out->code = o->embedding ? (size_t)o->embedding : (size_t)o->hidden / 4 + 1;
    out->clock = timed && o->clock;
    if (o->history < 2)
        return rc_fail(e, RC_EINVAL, "history: expected 2 rows or more, found %lld", (long long)o->history);
    out->history = (size_t)o->history;
    out->recent = (size_t)o->recent;
    out->quiet = (size_t)o->repeat;
    out->settle = (size_t)o->settle;
    out->range = o->range;
    return RC_OK;
}

/* Mean and deviation of the rows that are learnt. A channel that stands still gets a deviation of 1 % of its value. */
static void scale_channels(detect_task *t) {
    rc__detect_model *m = t->m;
    size_t C = m->net->o.channels;
    for (size_t c = 0; c < C; c++) {
        double n = 0, sum = 0, squares = 0;
        for (int pass = 0; pass < 2; pass++) {
            double mean = n > 0 ? sum / n : 0;
            for (size_t i = 0; i < t->n_series; i++)
                for (size_t k = 0; k < t->train_rows[i]; k++) {
                    double v = t->series[i].x[k * C + c];
                    if (isnan(v)) continue;
                    if (pass == 0) {
                        n++;
                        sum += v;
                    } else {
                        squares += (v - mean) * (v - mean);
                    }
                }
        }
        m->mean[c] = n > 0 ? sum / n : 0;
        double deviation = n > 0 ? sqrt(squares / n) : 0, least = 1e-9 * fabs(m->mean[c]);
        if (!(deviation > least && deviation > 1e-280))
            deviation = fabs(m->mean[c]) > 1e-280 ? fabs(m->mean[c]) / 100 : 1;
        m->scale[c] = isfinite(deviation) ? deviation : 1e300;
        if (!isfinite(m->mean[c])) m->mean[c] = 0;
    }
}

static rc_status fill_rows(detect_task *t, rc_error *e) {
    const rc__detect_model *m = t->m;
    t->hash = RC__FINGERPRINT;
    for (size_t i = 0; i < t->n_series; i++) {
        const rc__detect_series *s = &t->series[i];
        rc_status st = rc__detect_rows_new(&t->rows[i], s->C, m->net->o.clock, s->n, e);
        if (st != RC_OK) return st;
        for (size_t k = 0; k < s->n; k++) {
            rc_real *z, *clock;
            rc__detect_rows_next(&t->rows[i], &z, &clock);
            rc__detect_normalise(m, s->x + k * s->C, z);
            if (clock) rc__detect_clock(s->time[k], m->style.offset, clock);
            t->hash = rc__fingerprint(t->hash, z, s->C * sizeof *z);
        }
    }
    return RC_OK;
}

static rc_status add_window(window **list, size_t *n, size_t *cap, window w, rc_error *e) {
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 256;
        window *p = rc__realloc(*list, *cap * sizeof w, more * sizeof w);
        if (!p) return no_memory(e);
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = w;
    return RC_OK;
}

static rc_status cut_windows(detect_task *t, const rc_train_options *o, rc_error *e) {
    const rc__detect_options *d = &t->m->net->o;
    bool encodes = d->kind == RC__DETECT_AUTOENCODER;
    size_t longest = 0;
    for (size_t i = 0; i < t->n_series; i++) longest = t->train_rows[i] > longest ? t->train_rows[i] : longest;
    t->T = encodes ? d->window : (size_t)o->seq_len < longest ? (size_t)o->seq_len : longest;
    size_t step = t->T / 4 ? t->T / 4 : 1;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < t->n_series; i++) {
        size_t n = t->series[i].n, learnt = t->train_rows[i];
        if (n > UINT32_MAX) return rc_fail(e, RC_EDATA, "file %zu: more than %u rows", i + 1, UINT32_MAX);
        for (size_t k = 0; s == RC_OK && k + t->T <= learnt; k += step)
            s = add_window(&t->train, &t->n_train, &t->cap_train, (window){(uint32_t)i, (uint32_t)k}, e);
        if (n == learnt || n < t->T) continue;
        size_t k = encodes || learnt + t->T > n ? (n - t->T < learnt ? n - t->T : learnt) : learnt;
        for (; s == RC_OK && k + t->T <= n; k += t->T)
            s = add_window(&t->valid, &t->n_valid, &t->cap_valid, (window){(uint32_t)i, (uint32_t)k}, e);
    }
    if (s == RC_OK && !t->n_train)
        s = rc_fail(e, RC_EDATA, "too few rows to learn from: expected %zu at least in one file, found %zu", t->T,
                    longest);
    return s;
}

static rc_status make_batches(detect_task *t, const rc_train_options *o, rc_error *e) {
    rc_status s = cut_windows(t, o, e);
    if (s != RC_OK) return s;
    uint32_t *lengths = rc__alloc(t->n_train * sizeof *lengths);
    if (!lengths) return no_memory(e);
    for (size_t i = 0; i < t->n_train; i++) lengths[i] = (uint32_t)t->T;
    t->max_batch = (size_t)o->batch;
    s = rc__epochs_new(&t->epochs, lengths, t->n_train, t->max_batch, (uint64_t)o->seed, false, e);
    rc__free(lengths, t->n_train * sizeof *lengths);
    if (s != RC_OK) return s;
    size_t cells = 0;
    if (!rc__size_mul(t->T * t->max_batch, t->m->net->inputs, &cells)) return no_memory(e);
    t->x = rc__calloc(cells, sizeof *t->x);
    t->x_len = t->x ? cells : 0;
    t->targets_len = t->T * t->max_batch * t->m->net->o.channels;
    t->targets = rc__calloc(t->targets_len, sizeof *t->targets);
    t->base.validates = t->n_valid > 0;
    return t->x && t->targets ? RC_OK : no_memory(e);
}

/* Reads all files; the first says what the columns are. */
static rc_status read_files(detect_task *t, const rc_train_options *o, rc__detect_columns *columns, bool *has_style,
                            rc__time_style *style, const rc_train_hooks *hooks, rc_error *e) {
    rc__detect_table_options to;
    rc_status s = rc__detect_table(&to, &o->data, e);
    size_t files = o->n_files + (o->valid ? 1 : 0);
    t->series = s == RC_OK ? rc__calloc(files, sizeof *t->series) : NULL;
    t->rows = s == RC_OK ? rc__calloc(files, sizeof *t->rows) : NULL;
    t->train_rows = s == RC_OK ? rc__calloc(files, sizeof *t->train_rows) : NULL;
    t->n_series = files;
    if (s == RC_OK && (!t->series || !t->rows || !t->train_rows)) return no_memory(e);
    for (size_t i = 0; s == RC_OK && i < files; i++) {
        rc__table *table = NULL;
        bool judges = i == o->n_files;
        s = rc__table_read(&table, judges ? o->valid : o->files[i], &to.table, e);
        if (s == RC_OK && !columns->name) {
            char how[RC_ROWS_HOW];
            s = rc__detect_columns_find(columns, table, &o->data, e);
            if (s == RC_OK) rc__say(hooks, "data: %s", rc__rows_how(rc__table_rows(table), how));
        }
        if (s == RC_OK) s = rc__detect_series_read(&t->series[i], table, columns, has_style, style, e);
        rc__table_free(table);
        if (s != RC_OK) break;
        size_t n = t->series[i].n, judged = o->valid ? 0 : (size_t)(o->valid_fraction * (double)n);
        if (!judged && !o->valid && o->valid_fraction > 0 && n > 1) judged = 1;
        t->train_rows[i] = judges ? 0 : n - judged;
    }
    return s;
}

static void report(const detect_task *t, const rc__detect_columns *columns, const rc_train_hooks *hooks) {
    const rc__detect_model *m = t->m;
    size_t rows = 0, learnt = 0, missing = 0, labelled = 0, C = m->net->o.channels;
    bool labels = false;
    for (size_t i = 0; i < t->n_series; i++) {
        rows += t->series[i].n;
        learnt += t->train_rows[i];
        missing += t->series[i].missing;
        labelled += t->series[i].labelled;
        labels = labels || t->series[i].label;
    }
    rc__say(hooks,
            "data: %zu series, %zu rows of %zu channel%s, %zu rows to learn from, %zu to validate; %zu missing values",
            t->n_series, rows, C, C == 1 ? "" : "s", learnt, rows - learnt, missing);
    if (columns->time_column != SIZE_MAX && t->series[0].n > 1) {
        rc__frequency f;
        char text[48];
        rc_error why;
        if (rc__time_frequency(t->series[0].time, t->series[0].n, &m->style, "time", &f, &why) == RC_OK)
            rc__say(hooks, "data: %s, %zu gaps (%zu rows missing in all); rows are taken as they come",
                    rc__frequency_text(&f, text), f.gaps, f.missing);
        else
            rc__say(hooks, "data: no regular frequency; rows are taken as they come");
    }
    if (labels) rc__say(hooks, "data: %zu rows are labelled as anomalies; they are not learnt", labelled);
    for (size_t c = 0; c < C && c < 12; c++)
        rc__say(hooks, "channel %s: mean %.6g, deviation %.6g", m->name[c], m->mean[c], m->scale[c]);
    if (C > 12) rc__say(hooks, "... and %zu more channels", C - 12);
}

static void describe(const detect_task *t, const rc_train_hooks *hooks) {
    const rc__detect_options *o = &t->m->net->o;
    if (o->kind == RC__DETECT_AUTOENCODER)
        rc__say(hooks, "model: autoencoder, %s %d x %zu, windows of %zu rows through %zu numbers, %s, %zu parameters",
                o->rnn.cell, o->rnn.num_layers, o->rnn.hidden_size, o->window, o->code,
                rc__detect_likelihoods[o->likelihood], rc_params_len(t->m->base.params));
    else
        rc__say(hooks, "model: forecaster, %s %d x %zu, %zu lags%s, %s, %zu parameters", o->rnn.cell, o->rnn.num_layers,
                o->rnn.hidden_size, o->lags, o->clock ? ", clock" : "", rc__detect_likelihoods[o->likelihood],
                rc_params_len(t->m->base.params));
    rc__say(hooks,
            "scores: errors of the last %zu rows against the last %zu; the first %zu rows are warm-up and score 0; an "
            "alarm is repeated within %zu rows only when it rises",
            o->recent, o->history, o->settle, o->quiet);
}

static rc_status new_model(detect_task *t, const rc_train_options *o, rc__detect_columns *columns, bool has_style,
                           const rc__time_style *style, rc_error *e) {
    rc__detect_options d;
    bool timed = columns->time_column != SIZE_MAX;
    bool clock = has_style && style->form != RC_DATE_INDEX && style->form != RC_DATE_YM;
    rc_status s = options_of(o, columns->channels, clock, &d, e);
    if (s == RC_OK) s = rc__detect_model_new(&t->m, &d, e);
    if (s == RC_OK) s = rc_params_build(t->m->base.params, (uint64_t)o->seed, e);
    if (s != RC_OK) return s;
    rc__detect_model *m = t->m;
    for (size_t c = 0; c < columns->channels; c++) {
        m->name[c] = rc__strdup(columns->name[c]);
        m->column[c] = columns->column[c];
        if (!m->name[c]) return no_memory(e);
    }
    m->time_column = columns->time_column;
    m->header = columns->header;
    m->has_style = timed && has_style;
    m->style = *style;
    if (columns->time_name && !(m->time_name = rc__strdup(columns->time_name))) return no_memory(e);
    if (columns->label && !(m->label = rc__strdup(columns->label))) return no_memory(e);
    if (o->data.delimiter && o->data.delimiter[0])
        m->delimiter = !strcmp(o->data.delimiter, "tab")     ? '\t'
                       : !strcmp(o->data.delimiter, "space") ? ' '
                                                             : o->data.delimiter[0];
    scale_channels(t);
    return RC_OK;
}

static rc_status old_model(detect_task *t, const rc_train_options *o, const char *path,
                           const rc__detect_columns *columns, bool has_style, rc_error *e) {
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s == RC_OK && m->kind != &rc__task_detect) {
        s = rc_fail(e, RC_EMODEL, "%s: %s, expected a detector", path, m->kind->title);
        rc_model_free(m);
    }
    if (s != RC_OK) return s;
    t->m = (rc__detect_model *)m;
    if (t->m->net->o.channels != columns->channels)
        return rc_fail(e, RC_EDATA, "%s watches %zu channels, the data have %zu", path, t->m->net->o.channels,
                       columns->channels);
    if (t->m->net->o.clock && (!has_style || columns->time_column == SIZE_MAX))
        return rc_fail(e, RC_EDATA, "%s reads the time, and the data have none", path);
    (void)o;
    return RC_OK;
}

rc_status rc__detect_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                          rc_error *e) {
    rc__detect_columns columns = {0};
    rc__time_style style = {0};
    bool has_style = false;
    *out = NULL;
    detect_task *t = rc__calloc(1, sizeof *t);
    if (!t) return no_memory(e);
    t->base.ops = &task_ops;
    t->share = o->threshold;
    rc_precision precision = RC_FP32;
    rc_status s = read_files(t, o, &columns, &has_style, &style, hooks, e);
    const char *old = initial ? initial : o->from;
    if (s == RC_OK && old) s = old_model(t, o, old, &columns, has_style, e);
    if (s == RC_OK && !old) s = new_model(t, o, &columns, has_style, &style, e);
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK) s = fill_rows(t, e);
    if (s == RC_OK) s = make_batches(t, o, e);
    if (s == RC_OK) {
        report(t, &columns, hooks);
        describe(t, hooks);
        rc__say_precision(hooks, precision);
    }
    rc__detect_columns_free(&columns);
    if (s != RC_OK) return task_free(&t->base), s;
    *out = &t->base;
    return RC_OK;
}
