/* detect_file.c - a detector as a model file. */
#include "tasks/detect.h"
#include "base/json.h"
#include "base/mem.h"
#include "tasks/fields.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(rc__detect_options, field)
static const rc__field fields[] = {
    {"kind", RC__FIELD_NAME, AT(kind), rc__detect_kinds, 2},
    {"likelihood", RC__FIELD_NAME, AT(likelihood), rc__detect_likelihoods, 3},
    {"lags", RC__FIELD_SIZE, AT(lags), NULL, 0},
    {"window", RC__FIELD_SIZE, AT(window), NULL, 0},
    {"code", RC__FIELD_SIZE, AT(code), NULL, 0},
    {"clock", RC__FIELD_BOOL, AT(clock), NULL, 0},
    {"history", RC__FIELD_SIZE, AT(history), NULL, 0},
    {"recent", RC__FIELD_SIZE, AT(recent), NULL, 0},
    {"quiet", RC__FIELD_SIZE, AT(quiet), NULL, 0},
    {"settle", RC__FIELD_SIZE, AT(settle), NULL, 0},
    {"range", RC__FIELD_REAL, AT(range), NULL, 0},
    {"threshold", RC__FIELD_REAL, AT(threshold), NULL, 0},
    {"online_every", RC__FIELD_SIZE, AT(online_every), NULL, 0},
    {"online_rows", RC__FIELD_SIZE, AT(online_rows), NULL, 0},
    {"online_batch", RC__FIELD_SIZE, AT(online_batch), NULL, 0},
    {"online_keep", RC__FIELD_SIZE, AT(online_keep), NULL, 0},
    {"online_lr", RC__FIELD_REAL, AT(online_lr), NULL, 0},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

#define STYLE(field) offsetof(rc__time_style, field)

rc_status rc__detect_model_new(rc__detect_model **out, const rc__detect_options *o, rc_error *e) {
    *out = NULL;
    rc__detect_model *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "detect: out of memory");
    m->base.kind = &rc__task_detect;
    m->time_column = SIZE_MAX;
    size_t C = o->channels;
    rc_status s = rc__detect_net_new(&m->net, o, e);
    if (s != RC_OK) return rc__free(m, sizeof *m), s;
    m->base.params = m->net->ps;
    m->name = rc__calloc(C, sizeof *m->name);
    m->column = rc__calloc(C, sizeof *m->column);
    m->mean = rc__calloc(C, sizeof *m->mean);
    m->scale = rc__calloc(C, sizeof *m->scale);
    if (!m->name || !m->column || !m->mean || !m->scale) {
        rc__detect_model_free(m);
        return rc_fail(e, RC_ENOMEM, "detect: out of memory");
    }
    *out = m;
    return RC_OK;
}

void rc__detect_model_free(rc__detect_model *m) {
    if (!m) return;
    size_t C = m->net->o.channels;
    for (size_t c = 0; m->name && c < C; c++) rc__strfree(m->name[c]);
    rc__free(m->name, C * sizeof *m->name);
    rc__free(m->column, C * sizeof *m->column);
    rc__free(m->mean, C * sizeof *m->mean);
    rc__free(m->scale, C * sizeof *m->scale);
    rc__strfree(m->time_name);
    rc__strfree(m->label);
    rc__detect_net_free(m->net);
    rc__free(m, sizeof *m);
}

static void model_free(rc_model *m) { rc__detect_model_free((rc__detect_model *)m); }

void rc__detect_clock(int64_t time, int offset, rc_real clock[RC__DETECT_CLOCK]) {
    rc__calendar c = rc__time_calendar(time, offset);
    double day = (c.hour * 3600 + c.minute * 60 + c.second) / 86400.0, week = (c.weekday + day) / 7;
    const double turn = 2 * 3.14159265358979323846;
    size_t at = 0;
    for (int k = 1; k <= 4; k++) {
        clock[at++] = (rc_real)sin(turn * k * day);
        clock[at++] = (rc_real)cos(turn * k * day);
    }
    for (int k = 1; k <= 2; k++) {
        clock[at++] = (rc_real)sin(turn * k * week);
        clock[at++] = (rc_real)cos(turn * k * week);
    }
}

void rc__detect_normalise(const rc__detect_model *m, const double *x, rc_real *z) {
    for (size_t c = 0; c < m->net->o.channels; c++) {
        double v = (x[c] - m->mean[c]) / m->scale[c];
        z[c] = (rc_real)(v > 1e6 ? 1e6 : v < -1e6 ? -1e6 : v); /* NaN stays */
    }
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static json_t *style_json(const rc__time_style *s) {
    char separator[2] = {s->separator, 0}, between[2] = {s->between, 0};
    return json_pack("{si ss sb ss si si sb sb sb si}", "form", (int)s->form, "separator", separator, "padded",
                     s->padded, "between", between, "fields", s->fields, "fraction", s->fraction, "zulu", s->zulu,
                     "has_offset", s->has_offset, "colon", s->colon, "offset", s->offset);
}

static rc_status style_get(rc__time_style *s, const json_t *obj, const char *where, rc_error *e) {
    int64_t form = 0, count = 0, fraction = 0, offset = 0;
    const char *separator = "", *between = "";
    rc_status st = rc__json_get_int(obj, "form", RC_JSON_REQUIRED, 0, RC_DATE_INDEX, &form, where, e);
    if (st == RC_OK) st = rc__json_get_string(obj, "separator", RC_JSON_REQUIRED, &separator, where, e);
    if (st == RC_OK) st = rc__json_get_string(obj, "between", RC_JSON_REQUIRED, &between, where, e);
    if (st == RC_OK) st = rc__json_get_bool(obj, "padded", RC_JSON_REQUIRED, &s->padded, where, e);
    if (st == RC_OK) st = rc__json_get_int(obj, "fields", RC_JSON_REQUIRED, 0, 3, &count, where, e);
    if (st == RC_OK) st = rc__json_get_int(obj, "fraction", RC_JSON_REQUIRED, 0, 30, &fraction, where, e);
    if (st == RC_OK) st = rc__json_get_bool(obj, "zulu", RC_JSON_REQUIRED, &s->zulu, where, e);
    if (st == RC_OK) st = rc__json_get_bool(obj, "has_offset", RC_JSON_REQUIRED, &s->has_offset, where, e);
    if (st == RC_OK) st = rc__json_get_bool(obj, "colon", RC_JSON_REQUIRED, &s->colon, where, e);
    if (st == RC_OK) st = rc__json_get_int(obj, "offset", RC_JSON_REQUIRED, -86400, 86400, &offset, where, e);
    if (st == RC_OK && (strlen(separator) > 1 || strlen(between) > 1))
        st = rc_fail(e, RC_EMODEL, "%s: \"separator\" and \"between\": expected one character at most", where);
    if (st != RC_OK) return st;
    s->form = (rc__date_form)form;
    s->separator = separator[0];
    s->between = between[0];
    s->fields = (int)count;
    s->fraction = (int)fraction;
    s->offset = (int)offset;
    return RC_OK;
}

rc_status rc__detect_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__detect_model *m = (const rc__detect_model *)base;
    json_t *o = json_object(), *channels = json_array(), *rnn = json_object();
    bool ok = doc && o && channels && rnn && rc__fields_put(fields, N_FIELDS, &m->net->o, o) &&
              rc__rnn_put(&m->net->o.rnn, rnn);
    for (size_t c = 0; ok && c < m->net->o.channels; c++)
        ok = json_array_append_new(channels,
                                   json_pack("{ss sI sf sf}", "name", m->name[c], "column", (json_int_t)m->column[c],
                                             "mean", m->mean[c], "scale", m->scale[c])) == 0;
    ok = ok && json_object_set(doc, "options", o) == 0 && json_object_set(doc, "rnn", rnn) == 0 &&
         json_object_set(doc, "channels", channels) == 0 &&
         json_object_set_new(doc, "header", json_boolean(m->header)) == 0;
    if (ok && m->time_column != SIZE_MAX)
        ok = json_object_set_new(doc, "time_column", json_integer((json_int_t)m->time_column)) == 0;
    if (ok && m->time_name) ok = json_object_set_new(doc, "time_name", json_string(m->time_name)) == 0;
    if (ok && m->label) ok = json_object_set_new(doc, "label", json_string(m->label)) == 0;
    if (ok && m->delimiter) ok = json_object_set_new(doc, "delimiter", json_pack("s#", &m->delimiter, 1)) == 0;
    if (ok && m->has_style) ok = json_object_set_new(doc, "time_style", style_json(&m->style)) == 0;
    json_decref(o);
    json_decref(channels);
    json_decref(rnn);
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "detect: out of memory");
}

static rc_status check_options(const rc__detect_options *o, const char *where, rc_error *e) {
    const struct {
        const char *key;
        size_t value, least, most;
    } limits[] = {
        {"history", o->history, 2, 10000000},
        {"recent", o->recent, 1, 100000},
        {"quiet", o->quiet, 0, 100000},
        {"settle", o->settle, 0, 1 << 24},
        {"online_every", o->online_every, 1, 100000},
        {"online_rows", o->online_rows, 1, 4096},
        {"online_batch", o->online_batch, 1, 256},
        {"online_keep", o->online_keep, 1, 1000000},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
            return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected %zu to %zu, found %zu", where, limits[i].key,
                           limits[i].least, limits[i].most, limits[i].value);
    if (o->rnn.bidirectional || o->rnn.reverse)
        return rc_fail(e, RC_EMODEL, "%s: \"rnn\": a detector reads forward alone", where);
    if (!(o->online_lr >= 0 && o->online_lr <= 1000) || isnan(o->threshold) || isnan(o->range))
        return rc_fail(e, RC_EMODEL, "%s: \"online_lr\", \"threshold\", \"range\": expected numbers", where);
    return RC_OK;
}

static rc_status read_name(char **out, const json_t *obj, const char *key, rc__json_need need, const char *where,
                           rc_error *e) {
    const char *text = NULL;
    rc_status s = rc__json_get_string(obj, key, need, &text, where, e);
    if (s != RC_OK || !text) return s;
    *out = rc__strdup(text);
    return *out ? RC_OK : rc_fail(e, RC_ENOMEM, "detect: out of memory");
}

static rc_status read_channels(rc__detect_model *m, const json_t *list, const char *where, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t c = 0; s == RC_OK && c < m->net->o.channels; c++) {
        const json_t *ch = json_array_get(list, c);
        if (!json_is_object(ch)) return rc_fail(e, RC_EMODEL, "%s: \"channels\": expected objects", where);
        s = read_name(&m->name[c], ch, "name", RC_JSON_REQUIRED, where, e);
        if (s == RC_OK) s = rc__json_get_size(ch, "column", RC_JSON_REQUIRED, 0, 1 << 24, &m->column[c], where, e);
        if (s == RC_OK) s = rc__json_get_real(ch, "mean", RC_JSON_REQUIRED, -1e300, 1e300, &m->mean[c], where, e);
        if (s == RC_OK) s = rc__json_get_real(ch, "scale", RC_JSON_REQUIRED, 1e-300, 1e300, &m->scale[c], where, e);
    }
    return s;
}

static rc_status read_columns(rc__detect_model *m, const json_t *doc, const char *where, rc_error *e) {
    json_t *style = NULL;
    const char *delimiter = NULL;
    rc_status s = rc__json_get_bool(doc, "header", RC_JSON_REQUIRED, &m->header, where, e);
    if (s == RC_OK && json_object_get(doc, "time_column"))
        s = rc__json_get_size(doc, "time_column", RC_JSON_REQUIRED, 0, 1 << 24, &m->time_column, where, e);
    if (s == RC_OK) s = read_name(&m->time_name, doc, "time_name", RC_JSON_OPTIONAL, where, e);
    if (s == RC_OK) s = read_name(&m->label, doc, "label", RC_JSON_OPTIONAL, where, e);
    if (s == RC_OK) s = rc__json_get_string(doc, "delimiter", RC_JSON_OPTIONAL, &delimiter, where, e);
    if (s == RC_OK && delimiter) m->delimiter = delimiter[0];
    if (s == RC_OK) s = rc__json_get_object(doc, "time_style", RC_JSON_OPTIONAL, &style, where, e);
    if (s == RC_OK && style) {
        s = style_get(&m->style, style, where, e);
        m->has_style = true;
    }
    if (s == RC_OK && m->net->o.clock && (!m->has_style || m->time_column == SIZE_MAX))
        s = rc_fail(e, RC_EMODEL, "%s: a clock without \"time_column\" and \"time_style\"", where);
    return s;
}

rc_status rc__detect_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    rc__detect_options o = rc__detect_options_default();
    json_t *options = NULL, *channels = NULL, *rnn = NULL;
    rc__detect_model *m = NULL;
    *out = NULL;
    static const char *const members[] = {"format",   "task",      "options",     "rnn",
                                          "channels", "header",    "time_column", "time_name",
                                          "label",    "delimiter", "time_style",  "provenance"};
    const char *names[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) names[i] = fields[i].key;
    rc_status s = rc__json_only(doc, members, sizeof members / sizeof *members, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "options", RC_JSON_REQUIRED, &options, where, e);
    if (s == RC_OK) s = rc__json_only(options, names, N_FIELDS, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "rnn", RC_JSON_REQUIRED, &rnn, where, e);
    if (s == RC_OK) s = rc__json_get_array(doc, "channels", RC_JSON_REQUIRED, &channels, where, e);
    if (s == RC_OK) s = rc__fields_get(fields, N_FIELDS, options, &o, where, e);
    if (s == RC_OK) s = rc__rnn_get(&o.rnn, rnn, where, e);
    if (s != RC_OK) return s;
    o.channels = json_array_size(channels);
    s = check_options(&o, where, e);
    rc_error why;
    rc_status made = s == RC_OK ? rc__detect_model_new(&m, &o, &why) : RC_OK;
    if (made != RC_OK) s = rc_fail(e, made == RC_ENOMEM ? made : RC_EMODEL, "%s: %s", where, why.text);
    if (s == RC_OK) s = read_channels(m, channels, where, e);
    if (s == RC_OK) s = read_columns(m, doc, where, e);
    if (s == RC_OK) s = rc__model_read_params(m->net->ps, file, e);
    if (s != RC_OK) return rc__detect_model_free(m), s;
    *out = &m->base;
    return RC_OK;
}

static size_t model_explain(const rc_model *base, size_t batch, size_t seq_len, char *out, size_t cap) {
    return rc_rnn_explain(((const rc__detect_model *)base)->net->rnn, batch, seq_len, out, cap);
}

static void defaults(rc_train_options *o) {
    o->cell = "gru";
    o->layers = 1;
    o->hidden = 32;
    o->dropout = 0;
    o->likelihood = "student-t";
    o->seq_len = 32;
    o->batch = 16;
    o->lr = 3e-3;
    o->epochs = 60;
    o->patience = 10;
    o->weight_decay = 0.001;
    o->threshold = 0;
    o->sample_length = 0;
}

const rc__task_kind rc__task_detect = {.name = "detect",
                                       .title = "a detector of anomalies",
                                       .options =
                                           "cell seq-len model likelihood window lookback threshold history recent "
                                           "repeat settle range clock embedding time-column label inputs format "
                                           "delimiter header missing",
                                       .defaults = defaults,
                                       .make = rc__detect_make,
                                       .open = rc__detect_open,
                                       .model = {.document = rc__detect_document,
                                                 .eval = rc__detect_eval,
                                                 .predict = rc__detect_predict,
                                                 .explain = model_explain,
                                                 .free = model_free}};
