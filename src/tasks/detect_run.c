/* detect_run.c - a detector at work: eval, predict and watch, which is predict on a stream without an end. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/string.h"
#include "metrics/anomaly.h"
#include "tasks/baselines.h"
#include "tasks/detect_data.h"
#include "tasks/detect_draw.h"
#include "tasks/detect_score.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void put_real(rc__string *t, double v) {
    if (isfinite(v)) rc__string_addf(t, "%.9g", v);
}

static void heading(rc__string *t, const rc__detect_model *m) {
    rc__string_add(t, m->time_column != SIZE_MAX ? "time" : "row");
    rc__string_add(t, ",score,alarm,tail,error,warm_up");
    static const char *const what[] = {"", " expected", " share"};
    for (size_t c = 0; c < m->net->o.channels; c++)
        for (int k = 0; k < 3; k++) {
            char name[300];
            snprintf(name, sizeof name, "%.250s%s", m->name[c], what[k]);
            rc__string_add(t, ",");
            rc__string_add_cell(t, name, strlen(name), ',');
        }
}

static void columns(rc__string *t, const rc__detect_model *m, const rc__detect_record *r, uint64_t row, const rc__detected *d,
                    bool csv) {
    const char *between = csv ? "," : "\t";
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)row);
    if (r->time_text.len)
        rc__string_add_cell(t, r->time_text.text, r->time_text.len, *between);
    else
        rc__string_add(t, number);
    rc__string_add(t, between);
    put_real(t, d->score);
    rc__string_add(t, between);
    rc__string_add(t, d->alarm ? "1" : "0");
    rc__string_add(t, between);
    put_real(t, d->tail);
    rc__string_add(t, between);
    put_real(t, d->error);
    rc__string_add(t, between);
    rc__string_add(t, d->settling ? "1" : "0");
    for (size_t c = 0; c < m->net->o.channels; c++) {
        const double v[3] = {r->x[c], d->expected[c], d->share[c]};
        for (int k = 0; k < 3; k++) {
            rc__string_add(t, between);
            put_real(t, v[k]);
        }
    }
}

static rc_status object(rc__string *t, const rc__detect_model *m, const rc__detect_record *r, uint64_t row,
                        const rc__detected *d, rc_error *e) {
    json_t *o = json_object(), *channels = json_object();
    char *line = NULL;
    size_t len = 0;
    json_object_set_new(o, "row", json_integer((json_int_t)row));
    if (r->time_text.len) json_object_set_new(o, "time", json_stringn(r->time_text.text, r->time_text.len));
    json_object_set_new(o, "score", rc__real_or_null(d->score));
    json_object_set_new(o, "alarm", json_boolean(d->alarm));
    json_object_set_new(o, "tail", rc__real_or_null(d->tail));
    json_object_set_new(o, "error", rc__real_or_null(d->error));
    json_object_set_new(o, "warm_up", json_boolean(d->settling));
    if (d->beyond) json_object_set_new(o, "beyond_range", json_true());
    for (size_t c = 0; c < m->net->o.channels; c++)
        json_object_set_new(channels, m->name[c],
                            json_pack("{so so so}", "value", rc__real_or_null(r->x[c]), "expected",
                                      rc__real_or_null(d->expected[c]), "share", rc__real_or_null(d->share[c])));
    if (r->unreadable) json_object_set_new(o, "unreadable", json_integer((json_int_t)r->unreadable));
    json_object_set_new(o, "channels", channels);
    rc_status s = rc__json_print(o, &line, &len, e);
    json_decref(o);
    if (s != RC_OK) return s;
    rc__string_add_bytes(t, line, len);
    rc__free(line, len + 1);
    return RC_OK;
}

/* ---- predict and watch ------------------------------------------------------------------------------------------- */

static rc_status open_detector(rc__detector **d, const rc__detect_model *m, bool online, const char *state,
                               rc_error *e) {
    rc_status s = rc__detector_new(d, m, online, e);
    if (s == RC_OK && state && *state && access(state, F_OK) == 0) s = rc__detector_load(*d, state, e);
    if (s != RC_OK) {
        rc__detector_free(*d);
        *d = NULL;
    }
    return s;
}

rc_status rc__detect_predict(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink,
                             rc_error *e) {
    rc__detect_model *m = (rc__detect_model *)base;
    rc__detector *d = NULL;
    rc__detect_reader *r = NULL;
    rc__detect_drawing drawing = {0};
    rc__string t = {0};
    bool more = true, keeps = o->state && *o->state, draws = o->svg && *o->svg;
    double trained = m->net->o.threshold; /* --threshold holds for this call */
    rc_status s = open_detector(&d, m, o->online, o->state, e);
    if (s == RC_OK) s = rc__detect_reader_open(&r, m, path, &o->data, o->lenient, o->stop, e);
    if (s == RC_OK && o->csv && !o->json) {
        heading(&t, m);
        s = rc__sink_text(sink, &t, e);
    }
    rc_status reading = s;
    while (s == RC_OK) {
        rc__detect_record rec;
        rc__detected out;
        s = reading = rc__detect_reader_next(r, &rec, &more, e);
        if (s != RC_OK || !more) break;
        s = rc__detector_row(d, rec.time, rec.x, &out, e);
        if (s != RC_OK) break;
        if (o->threshold >= 0) out.alarm = out.score > 0 && out.score >= o->threshold;
        uint64_t row = rc__detector_rows(d);
        if (draws) s = rc__detect_draw_row(&drawing, m->net->o.channels, rec.x, &out, rec.time_text, e);
        if (s == RC_OK && (!o->alarms || out.alarm)) {
            if (o->json)
                s = object(&t, m, &rec, row, &out, e);
            else
                columns(&t, m, &rec, row, &out, o->csv);
            if (s == RC_OK) s = rc__sink_text(sink, &t, e);
        }
        if (s == RC_OK && keeps && o->save_every > 0 && row % (uint64_t)o->save_every == 0)
            s = rc__detector_save(d, o->state, e);
    }
    /* What was read is kept also when a later line is bad or the reader of the results has gone. */
    rc_error why;
    if (d && keeps && (s == RC_OK || s == RC_ESTOP || s == reading)) {
        rc_status kept = rc__detector_save(d, o->state, &why);
        if (s == RC_OK && kept != RC_OK) s = rc_fail(e, kept, "%s", why.text);
    }
    if ((s == RC_OK || s == RC_ESTOP) && draws) {
        rc_status drawn = rc__detect_draw(&drawing, o->svg, m, o->threshold >= 0 ? o->threshold : trained, &why);
        if (drawn != RC_OK) s = rc_fail(e, drawn, "%s", why.text);
    }
    rc__detect_drawing_free(&drawing);
    rc__detect_reader_free(r);
    rc__detector_free(d);
    rc__string_free(&t);
    return s;
}

/* ---- eval -------------------------------------------------------------------------------------------------------- */

typedef struct results {
    size_t n, cap, settling, missing, alarms;
    double *score, *tail, *first; /* first: the values of channel 1, for the baseline */
    int64_t *time;
    uint8_t *truth, *alarm, *odd; /* odd: tail or range alone, before the quiet rule */
    bool labelled;
} results;

static void free_results(results *r) {
    rc__free(r->score, r->cap * sizeof *r->score);
    rc__free(r->tail, r->cap * sizeof *r->tail);
    rc__free(r->first, r->cap * sizeof *r->first);
    rc__free(r->time, r->cap * sizeof *r->time);
    rc__free(r->truth, r->cap);
    rc__free(r->alarm, r->cap);
    rc__free(r->odd, r->cap);
}

static bool grow(void *pp, size_t old, size_t cap, size_t size) {
    void *now;
    memcpy(&now, pp, sizeof now);
    now = rc__realloc(now, old * size, cap * size);
    if (now) memcpy(pp, &now, sizeof now);
    return now != NULL;
}

static rc_status add_result(results *r, const rc__detect_record *rec, const rc__detected *d, double threshold,
                            rc_error *e) {
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 4096;
        results old = *r;
        bool ok = grow(&r->score, old.cap, cap, sizeof *r->score) && grow(&r->tail, old.cap, cap, sizeof *r->tail) &&
                  grow(&r->first, old.cap, cap, sizeof *r->first) && grow(&r->time, old.cap, cap, sizeof *r->time) &&
                  grow(&r->truth, old.cap, cap, 1) && grow(&r->alarm, old.cap, cap, 1) &&
                  grow(&r->odd, old.cap, cap, 1);
        if (!ok) return rc_fail(e, RC_ENOMEM, "eval: out of memory for %zu rows", cap);
        r->cap = cap;
    }
    size_t i = r->n++;
    r->score[i] = d->score;
    r->tail[i] = d->tail;
    r->first[i] = rec->x[0];
    r->time[i] = rec->time;
    r->truth[i] = rec->label == 1;
    r->alarm[i] = d->alarm;
    r->odd[i] = !d->settling && (d->tail >= threshold || (d->beyond && RC__DETECT_BEYOND >= threshold));
    r->settling += d->settling;
    r->missing += d->missing;
    r->alarms += d->alarm;
    return RC_OK;
}

/* The windows of the file in a JSON of windows: an array of [first, last] time stamps, or an object of such arrays by
 * file names, which may be the end of path (numenta/NAB's labels/combined_windows.json). */
static const json_t *windows_of(const json_t *root, const char *path) {
    if (json_is_array(root)) return root;
    const char *key;
    json_t *v;
    size_t n = strlen(path);
    json_object_foreach((json_t *)(uintptr_t)root, key, v) {
        size_t k = strlen(key);
        if (k <= n && strcmp(path + n - k, key) == 0 && (k == n || path[n - k - 1] == '/') && json_is_array(v))
            return v;
    }
    return NULL;
}

static rc_status read_windows(const char *labels, const char *path, rc__range **out, size_t *n, results *r,
                              rc_error *e) {
    json_t *root = NULL;
    *out = NULL;
    *n = 0;
    rc_status s = rc__json_read(labels, (size_t)64 << 20, &root, e);
    if (s != RC_OK) return s;
    const json_t *list = windows_of(root, path);
    size_t count = json_array_size(list);
    if (!list) s = rc_fail(e, RC_EDATA, "%s: no windows for %s: expected a key that its path ends in", labels, path);
    rc__cell *cells = rc__calloc(2 * count + 1, sizeof *cells);
    int64_t *t = rc__calloc(2 * count + 1, sizeof *t);
    rc__range *windows = rc__calloc(count + 1, sizeof *windows);
    if (s == RC_OK && !(cells && t && windows)) s = rc_fail(e, RC_ENOMEM, "eval: out of memory");
    for (size_t i = 0; s == RC_OK && i < 2 * count; i++) {
        const char *stamp = json_string_value(json_array_get(json_array_get(list, i / 2), i % 2));
        if (!stamp) s = rc_fail(e, RC_EDATA, "%s: window %zu: expected two time stamps", labels, i / 2 + 1);
        if (s == RC_OK) cells[i] = (rc__cell){stamp, strlen(stamp)};
    }
    rc__time_style style;
    if (s == RC_OK && count) s = rc__time_column(cells, 1, 2 * count, NULL, labels, RC_DATE_YMD, &style, t, e);
    for (size_t w = 0; s == RC_OK && w < count; w++) {
        rc__range g = {SIZE_MAX, 0};
        for (size_t i = 0; i < r->n; i++) {
            if (r->time[i] < t[2 * w] || r->time[i] > t[2 * w + 1]) continue;
            if (g.start == SIZE_MAX) g.start = i;
            g.end = i + 1;
        }
        if (g.start == SIZE_MAX) continue; /* of rows that the file does not have */
        for (size_t i = g.start; i < g.end; i++) r->truth[i] = 1;
        windows[(*n)++] = g;
    }
    rc__free(cells, (2 * count + 1) * sizeof *cells);
    rc__free(t, (2 * count + 1) * sizeof *t);
    json_decref(root);
    if (s == RC_OK) {
        r->labelled = true;
        *out = rc__realloc(windows, (count + 1) * sizeof *windows, (*n + 1) * sizeof *windows);
        if (*out) return RC_OK;
        s = rc_fail(e, RC_ENOMEM, "eval: out of memory");
    }
    rc__free(windows, (count + 1) * sizeof *windows);
    return s;
}

static void put_prf(json_t *out, const char *name, rc__prf p) {
    char key[64];
    const struct {
        const char *what;
        double v;
    } values[] = {{"precision", p.precision}, {"recall", p.recall}, {"f1", p.f1}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s_%s", name, values[i].what);
        json_object_set_new(out, key, rc__real_or_null(values[i].v));
    }
}

static rc_status put_nab(json_t *out, const results *r, const rc__range *windows, size_t n, double threshold,
                         bool baseline, rc_error *e) {
    json_t *table = json_array();
    double *gaussian = baseline ? rc__alloc((r->n + 1) * sizeof *gaussian) : NULL;
    rc_status s = baseline && !gaussian ? rc_fail(e, RC_ENOMEM, "eval: out of memory") : RC_OK;
    if (s == RC_OK && baseline) s = rc__windowed_gaussian(r->n, r->first, 6400, 100, gaussian, e);
    for (size_t p = 0; s == RC_OK && p < RC_NAB_PROFILES; p++) {
        const rc__nab_profile *profile = &rc__nab_profiles[p];
        rc__nab_series series = {r->n, n, r->score, windows};
        rc__nab_result at, best, plain = {.normalised = NAN};
        s = rc__nab_score(profile, 1, &series, &threshold, &at, e);
        if (s == RC_OK) s = rc__nab_score(profile, 1, &series, NULL, &best, e);
        series.score = gaussian;
        if (s == RC_OK && baseline) s = rc__nab_score(profile, 1, &series, NULL, &plain, e);
        if (s != RC_OK) break;
        json_array_append_new(table, json_pack("{ss so so so si si so}", "profile", profile->name, "at_threshold",
                                               rc__real_or_null(at.normalised), "best", rc__real_or_null(best.normalised),
                                               "best_threshold", rc__real_or_null(best.threshold), "windows",
                                               (int)at.windows, "found", (int)at.found, "windowed_gaussian_best",
                                               rc__real_or_null(plain.normalised)));
        if (p == 0) json_object_set_new(out, "nab_standard", rc__real_or_null(at.normalised));
    }
    if (s == RC_OK) json_object_set(out, "nab", table);
    json_decref(table);
    rc__free(gaussian, (r->n + 1) * sizeof *gaussian);
    return s;
}

static rc_status put_metrics(json_t *out, const rc__detect_model *m, const results *r, const rc__range *windows,
                             size_t n, rc_error *e) {
    size_t room = r->n / 2 + 1;
    rc__range *truth = rc__alloc(room * sizeof *truth), *guess = rc__alloc(room * sizeof *guess);
    rc_status s = truth && guess ? RC_OK : rc_fail(e, RC_ENOMEM, "eval: out of memory");
    if (s == RC_OK) {
        size_t R = rc__ranges_of(r->n, r->truth, truth), P = rc__ranges_of(r->n, r->alarm, guess);
        json_object_set_new(out, "events", json_integer((json_int_t)R));
        put_prf(out, "event", rc__anomaly_events(R, truth, P, guess));
        put_prf(out, "point", rc__anomaly_points(r->n, r->truth, r->odd));
        json_object_set_new(out, "point_adjusted_f1",
                            json_real(rc__anomaly_points_adjusted(r->n, r->truth, r->odd).f1));
        P = rc__ranges_of(r->n, r->odd, guess);
        put_prf(out, "range", rc__anomaly_ranges(R, truth, P, guess, .5, RC_CARDINALITY_RECIPROCAL));
        const rc__range *of = windows ? windows : truth;
        s = put_nab(out, r, of, windows ? n : R, m->net->o.threshold, m->net->o.channels == 1, e);
    }
    rc__free(truth, room * sizeof *truth);
    rc__free(guess, room * sizeof *guess);
    return s;
}

rc_status rc__detect_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    rc__detect_model *m = (rc__detect_model *)base;
    rc__detector *d = NULL;
    rc__detect_reader *r = NULL;
    results res = {0};
    rc__range *windows = NULL;
    size_t n = 0;
    bool more = true;
    rc_status s = open_detector(&d, m, o->online, NULL, e);
    if (s == RC_OK) s = rc__detect_reader_open(&r, m, path, &o->data, false, NULL, e);
    while (s == RC_OK) {
        rc__detect_record rec;
        rc__detected det;
        s = rc__detect_reader_next(r, &rec, &more, e);
        if (s != RC_OK || !more) break;
        s = rc__detector_row(d, rec.time, rec.x, &det, e);
        if (s == RC_OK) s = add_result(&res, &rec, &det, m->net->o.threshold, e);
    }
    if (s == RC_OK) res.labelled = rc__detect_reader_labels(r);
    bool given = o->labels && *o->labels;
    if (s == RC_OK && given) s = read_windows(o->labels, path, &windows, &n, &res, e);
    if (s == RC_OK) {
        json_object_set_new(out, "rows", json_integer((json_int_t)res.n));
        json_object_set_new(out, "channels", json_integer((json_int_t)m->net->o.channels));
        json_object_set_new(out, "warm_up", json_integer((json_int_t)res.settling));
        json_object_set_new(out, "rows_without_a_value", json_integer((json_int_t)res.missing));
        json_object_set_new(out, "threshold", json_real(m->net->o.threshold));
        json_object_set_new(out, "alarms", json_integer((json_int_t)res.alarms));
        if (res.labelled)
            s = put_metrics(out, m, &res, given ? windows : NULL, n, e);
        else
            json_object_set_new(out, "labels", json_string("none: --labels FILE, or a column label of 0 and 1"));
    }
    rc__free(windows, (n + 1) * sizeof *windows);
    free_results(&res);
    rc__detect_reader_free(r);
    rc__detector_free(d);
    return s;
}
