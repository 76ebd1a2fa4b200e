/* detect_data.c - see detect_data.h. */
#include "tasks/detect_data.h"
#include "base/mem.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

static const char *const usual_missing[] = {RC_TABLE_MISSING};
enum { USUAL = sizeof usual_missing / sizeof *usual_missing };

static bool given(const char *text) { return text && *text; }

static rc__choice choice_of(const char *text) { return !given(text) ? RC_AUTO : !strcmp(text, "yes") ? RC_YES : RC_NO; }

rc_status rc__detect_table(rc__detect_table_options *out, const rc_data_options *o, rc_error *e) {
    memset(out, 0, sizeof *out);
    rc__table_options *t = &out->table;
    t->format = given(o->format) ? o->format : NULL;
    if (given(o->header) && strcmp(o->header, "yes") != 0 && strcmp(o->header, "no") != 0)
        return rc_fail(e, RC_EINVAL, "header: expected yes or no, found \"%.40s\"", o->header);
    t->header = choice_of(o->header);
    if (given(o->delimiter)) {
        t->delimiter = !strcmp(o->delimiter, "tab") ? '\t' : !strcmp(o->delimiter, "space") ? ' ' : o->delimiter[0];
        if (strlen(o->delimiter) > 1 && t->delimiter != '\t' && t->delimiter != ' ')
            return rc_fail(e, RC_EINVAL, "delimiter: expected one character, tab or space, found \"%.40s\"",
                           o->delimiter);
    }
    t->missing = out->missing;
    for (size_t i = 0; i < USUAL; i++) out->missing[t->n_missing++] = usual_missing[i];
    if (!given(o->missing)) return RC_OK;
    if (strlen(o->missing) >= sizeof out->words) return rc_fail(e, RC_EINVAL, "missing: at most 399 characters");
    strcpy(out->words, o->missing);
    char *save = NULL;
    for (char *w = strtok_r(out->words, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        if (t->n_missing == sizeof out->missing / sizeof *out->missing)
            return rc_fail(e, RC_EINVAL, "missing: too many words");
        out->missing[t->n_missing++] = w;
    }
    return RC_OK;
}

/* ---- files to learn from ----------------------------------------------------------------------------------------- */

void rc__detect_series_free(rc__detect_series *s) {
    rc__free(s->x, s->n * s->C * sizeof *s->x);
    rc__free(s->time, s->n * sizeof *s->time);
    rc__free(s->label, s->n);
    *s = (rc__detect_series){0};
}

void rc__detect_columns_free(rc__detect_columns *c) {
    for (size_t i = 0; c->name && i < c->channels; i++) rc__strfree(c->name[i]);
    rc__free(c->name, c->channels * sizeof *c->name);
    rc__free(c->column, c->channels * sizeof *c->column);
    rc__strfree(c->time_name);
    rc__strfree(c->label);
    *c = (rc__detect_columns){0};
}

static bool is_anomaly_name(rc__cell c) {
    static const char *const names[] = {"label", "labels", "anomaly", "is_anomaly", "anomalous", "outlier"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (c.len == strlen(names[i]) && strncasecmp(c.text, names[i], c.len) == 0) return true;
    return false;
}

static char *copy_cell(rc__cell c) {
    char *p = rc__alloc(c.len + 1);
    if (!p) return NULL;
    memcpy(p, c.text, c.len);
    p[c.len] = 0;
    char *out = strlen(p) == c.len ? rc__strdup(p) : rc__strdup("");
    rc__free(p, c.len + 1);
    return out;
}

static rc_status add_channel(rc__detect_columns *c, const rc__table *t, size_t col, rc_error *e) {
    char number[32];
    if (c->channels == RC__DETECT_MAX_CHANNELS)
        return rc_fail(e, RC_EDATA, "%s: more than %d columns of numbers", rc__table_file(t), RC__DETECT_MAX_CHANNELS);
    rc__cell name = rc__rows_name(rc__table_rows(t), col);
    snprintf(number, sizeof number, "column %zu", col + 1);
    c->column[c->channels] = col;
    c->name[c->channels] = name.text && name.len ? copy_cell(name) : rc__strdup(number);
    return c->name[c->channels++] ? RC_OK : rc_fail(e, RC_ENOMEM, "detect: out of memory");
}

static rc_status named_channels(rc__detect_columns *c, const rc__table *t, const char *list, rc_error *e) {
    rc_status s = RC_OK;
    char name[256];
    for (const char *p = list; s == RC_OK && *p;) {
        size_t n = strcspn(p, ","), col = 0;
        if (n >= sizeof name) return rc_fail(e, RC_EINVAL, "inputs: a name of %zu characters", n);
        memcpy(name, p, n);
        name[n] = 0;
        p += p[n] ? n + 1 : n;
        if (!n) continue;
        s = rc__rows_find(rc__table_rows(t), name, &col, e);
        char buf[96];
        if (s == RC_OK && rc__table_column_kind(t, col, NULL) != RC_COLUMN_NUMBER)
            s = rc_fail(e, RC_EDATA, "%s: %s: expected numbers", rc__table_file(t), rc__table_column_text(t, col, buf));
        if (s == RC_OK) s = add_channel(c, t, col, e);
    }
    return s;
}

rc_status rc__detect_columns_find(rc__detect_columns *c, const rc__table *t, const rc_data_options *o, rc_error *e) {
    const rc__rows *rows = rc__table_rows(t);
    size_t cols = rc__rows_columns(rows), room = cols < RC__DETECT_MAX_CHANNELS ? cols : RC__DETECT_MAX_CHANNELS;
    *c = (rc__detect_columns){.time_column = SIZE_MAX, .label_column = SIZE_MAX};
    char **names = rc__calloc(room, sizeof *names);
    size_t *column = rc__calloc(room, sizeof *column);
    c->name = names;
    c->column = column;
    c->header = cols > 0 && rc__rows_name(rows, 0).text != NULL;
    rc_status s = names && column ? RC_OK : rc_fail(e, RC_ENOMEM, "detect: out of memory");
    if (s == RC_OK && given(o->time)) s = rc__rows_find(rows, o->time, &c->time_column, e);
    if (s == RC_OK && given(o->label)) s = rc__rows_find(rows, o->label, &c->label_column, e);
    for (size_t k = 0; s == RC_OK && k < cols; k++) {
        if (c->time_column == SIZE_MAX && !given(o->time) && rc__table_column_kind(t, k, NULL) == RC_COLUMN_TIME)
            c->time_column = k;
        if (c->label_column == SIZE_MAX && !given(o->label) && c->header && is_anomaly_name(rc__rows_name(rows, k)))
            c->label_column = k;
    }
    if (s == RC_OK && given(o->inputs)) s = named_channels(c, t, o->inputs, e);
    for (size_t k = 0; s == RC_OK && !given(o->inputs) && k < cols; k++)
        if (k != c->time_column && k != c->label_column && rc__table_column_kind(t, k, NULL) == RC_COLUMN_NUMBER)
            s = add_channel(c, t, k, e);
    if (s == RC_OK && !c->channels)
        s = rc_fail(e, RC_EDATA, "%s: expected a column of numbers to watch, found none", rc__table_file(t));
    if (s == RC_OK && c->header && c->time_column != SIZE_MAX)
        c->time_name = copy_cell(rc__rows_name(rows, c->time_column));
    if (s == RC_OK && c->header && c->label_column != SIZE_MAX)
        c->label = copy_cell(rc__rows_name(rows, c->label_column));
    char **kept = s == RC_OK ? rc__realloc(names, room * sizeof *names, c->channels * sizeof *names) : NULL;
    size_t *kept_column = kept ? rc__realloc(column, room * sizeof *column, c->channels * sizeof *column) : NULL;
    if (kept) c->name = kept;
    if (kept_column) {
        c->column = kept_column;
        return RC_OK;
    }
    if (s == RC_OK) s = rc_fail(e, RC_ENOMEM, "detect: out of memory");
    for (size_t i = 0; i < c->channels; i++) rc__strfree(c->name[i]);
    rc__free(c->name, (kept ? c->channels : room) * sizeof *names);
    rc__free(column, room * sizeof *column);
    c->name = NULL;
    c->column = NULL;
    c->channels = 0;
    rc__detect_columns_free(c);
    return s;
}

static rc_status label_of(const rc__table *t, size_t row, size_t col, uint8_t *out, rc_error *e) {
    rc__cell c = rc__cell_trim(rc__table_cell(t, row, col));
    double v = 0;
    if (rc__table_missing(t, c) || (rc__cell_number(c, &v) && v == 0)) {
        *out = 0;
        return RC_OK;
    }
    *out = 1;
    if (v == 1) return RC_OK;
    char buf[64], name[96];
    return rc_fail(e, RC_EDATA, "%s: line %zu: %s: expected a label of 0 or 1, found %s", rc__table_file(t),
                   rc__table_line(t, row), rc__table_column_text(t, col, name), rc__cell_show(c, buf));
}

static rc_status read_times(rc__detect_series *s, const rc__table *t, size_t col, bool *has_style,
                            rc__time_style *style, rc_error *e) {
    char where[700], name[96];
    rc__time_style found;
    snprintf(where, sizeof where, "%.500s: %s", rc__table_file(t), rc__table_column_text(t, col, name));
    const rc__cell *first = &rc__table_row(t, 0)[col];
    size_t stride = rc__rows_columns(rc__table_rows(t));
    rc__date_form order = *has_style ? style->form : RC_DATE_YMD;
    rc_status st = rc__time_column(first, stride, s->n, rc__table_lines(t), where, order, &found, s->time, e);
    if (st == RC_OK && !*has_style) {
        *style = found;
        *has_style = true;
    }
    return st;
}

rc_status rc__detect_series_read(rc__detect_series *s, const rc__table *t, const rc__detect_columns *c, bool *has_style,
                                 rc__time_style *style, rc_error *e) {
    bool timed = c->time_column != SIZE_MAX, labelled = c->label_column != SIZE_MAX;
    *s = (rc__detect_series){.n = rc__table_n_rows(t), .C = c->channels};
    size_t cols = rc__rows_columns(rc__table_rows(t)), last = 0;
    for (size_t k = 0; k < c->channels; k++) last = c->column[k] > last ? c->column[k] : last;
    if (cols <= last || (timed && cols <= c->time_column) || (labelled && cols <= c->label_column)) {
        s->n = 0;
        return rc_fail(e, RC_EDATA, "%s: expected the columns of the first file, found %zu", rc__table_file(t), cols);
    }
    s->x = rc__calloc(s->n, s->C * sizeof *s->x);
    s->time = timed ? rc__calloc(s->n, sizeof *s->time) : NULL;
    s->label = labelled ? rc__calloc(s->n, 1) : NULL;
    rc_status st = s->x && (s->time || !timed) && (s->label || !labelled)
                       ? RC_OK
                       : rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu rows", rc__table_file(t), s->n);
    for (size_t i = 0; st == RC_OK && i < s->n; i++) {
        for (size_t k = 0; st == RC_OK && k < s->C; k++) {
            st = rc__table_real(t, i, c->column[k], &s->x[i * s->C + k], e);
            s->missing += st == RC_OK && isnan(s->x[i * s->C + k]);
        }
        if (st == RC_OK && labelled) st = label_of(t, i, c->label_column, &s->label[i], e);
        if (st == RC_OK && labelled) s->labelled += s->label[i];
    }
    if (st == RC_OK && timed) st = read_times(s, t, c->time_column, has_style, style, e);
    if (st != RC_OK) rc__detect_series_free(s);
    return st;
}

/* ---- records one by one ------------------------------------------------------------------------------------------ */

struct rc__detect_reader {
    const rc__detect_model *m;
    rc__detect_table_options options;
    FILE *own;
    rc__source *src;
    rc__rows *rows;
    bool lenient, json;
    const volatile int *stop;
    double *x;
    size_t *column; /* (C) */
    size_t time_column, label_column;
    int64_t last_time;
    const char *label; /* heading that was asked for, or the model's */
};

static rc_status by_names(rc__detect_reader *r, rc_error *e) { /* JSON lines */
    const rc__detect_model *m = r->m;
    rc_status s = RC_OK;
    for (size_t c = 0; s == RC_OK && c < m->net->o.channels; c++)
        s = rc__rows_find(r->rows, m->name[c], &r->column[c], e);
    if (s == RC_OK && m->time_name) s = rc__rows_find(r->rows, m->time_name, &r->time_column, e);
    if (s == RC_OK && r->label && rc__rows_find(r->rows, r->label, &r->label_column, NULL) != RC_OK)
        r->label_column = SIZE_MAX;
    return s;
}

static bool cell_is_name(rc__cell c, const char *name) {
    return name && c.len == strlen(name) && memcmp(c.text, name, c.len) == 0;
}

/* A header has the name of every channel; then it says where the columns are. */
static bool take_header(rc__detect_reader *r, const rc__cell *cells) {
    const rc__detect_model *m = r->m;
    size_t C = m->net->o.channels, cols = rc__rows_columns(r->rows), found = 0, time = SIZE_MAX, label = SIZE_MAX;
    if (!m->header) return false;
    for (size_t c = 0; c < C; c++)
        for (size_t k = 0; k < cols; k++)
            if (cell_is_name(rc__cell_trim(cells[k]), m->name[c])) {
                found++;
                break;
            }
    if (found < C) return false;
    for (size_t k = cols; k-- > 0;) {
        rc__cell cell = rc__cell_trim(cells[k]);
        for (size_t c = 0; c < C; c++)
            if (cell_is_name(cell, m->name[c])) r->column[c] = k;
        if (cell_is_name(cell, m->time_name)) time = k;
        if (cell_is_name(cell, r->label) || (!r->label && is_anomaly_name(cell))) label = k;
    }
    r->time_column = time;
    r->label_column = label;
    return true;
}

static rc_status open_rows(rc__detect_reader *r, const char *path, rc_error *e) {
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rb");
    if (!f) return rc_fail(e, RC_EIO, "%s: %s", path, strerror(errno));
    if (!standard) r->own = f;
    rc_status s = rc__source_stream(&r->src, f, standard ? "standard input" : path, 0, e);
    const char *text = NULL;
    size_t len = 0;
    if (s == RC_OK) s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    size_t i = 0;
    while (i < len && (text[i] == ' ' || text[i] == '\t')) i++;
    r->json = i < len && text[i] == '{';
    if (!r->json && !r->options.table.format && !r->options.table.delimiter)
        r->options.table.delimiter = r->m->delimiter;
    r->options.table.header = r->json ? RC_AUTO : RC_NO;
    r->options.table.skip_ragged = r->lenient;
    s = rc__rows_open(&r->rows, r->src, &r->options.table, e);
    return s == RC_OK && r->json ? by_names(r, e) : s;
}

rc_status rc__detect_reader_open(rc__detect_reader **out, const rc__detect_model *m, const char *path,
                                 const rc_data_options *o, bool lenient, const volatile int *stop, rc_error *e) {
    size_t C = m->net->o.channels;
    *out = NULL;
    rc__detect_reader *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "detect: out of memory");
    r->m = m;
    r->lenient = lenient;
    r->stop = stop;
    r->label = given(o->label) ? o->label : m->label;
    r->x = rc__calloc(C, sizeof *r->x);
    r->column = rc__calloc(C, sizeof *r->column);
    rc_status s =
        r->x && r->column ? rc__detect_table(&r->options, o, e) : rc_fail(e, RC_ENOMEM, "detect: out of memory");
    if (s == RC_OK) {
        memcpy(r->column, m->column, C * sizeof *r->column);
        r->time_column = m->time_column;
        r->label_column = SIZE_MAX;
        s = open_rows(r, path, e);
    }
    if (s != RC_OK) return rc__detect_reader_free(r), s;
    *out = r;
    return RC_OK;
}

void rc__detect_reader_free(rc__detect_reader *r) {
    if (!r) return;
    size_t C = r->m->net->o.channels;
    rc__rows_free(r->rows);
    rc__source_free(r->src);
    if (r->own) fclose(r->own);
    rc__free(r->x, C * sizeof *r->x);
    rc__free(r->column, C * sizeof *r->column);
    rc__free(r, sizeof *r);
}

bool rc__detect_reader_labels(const rc__detect_reader *r) { return r->label_column != SIZE_MAX; }

static bool is_missing(const rc__detect_reader *r, rc__cell c) {
    for (size_t i = 0; i < r->options.table.n_missing; i++)
        if (rc__cell_is(c, r->options.table.missing[i])) return true;
    return false;
}

static rc_status bad_cell(const rc__detect_reader *r, rc__cell c, size_t col, const char *expected, rc_error *e) {
    char buf[64];
    return rc_fail(e, RC_EDATA, "%s: line %zu, column %zu: expected %s, found %s", rc__source_name(r->src),
                   rc__rows_line(r->rows), col + 1, expected, rc__cell_show(c, buf));
}

static rc_status read_value(rc__detect_reader *r, const rc__cell *cells, size_t c, rc__detect_record *out,
                            rc_error *e) {
    rc__cell cell = rc__cell_trim(cells[r->column[c]]);
    double v = NAN;
    if (!is_missing(r, cell) && !rc__cell_number(cell, &v)) {
        if (!r->lenient) return bad_cell(r, cell, r->column[c], "a number", e);
        out->unreadable++;
        v = NAN;
    }
    r->x[c] = v;
    return RC_OK;
}

static rc_status read_time(rc__detect_reader *r, const rc__cell *cells, rc__detect_record *out, rc_error *e) {
    out->time = r->last_time;
    if (r->time_column == SIZE_MAX) return RC_OK;
    out->time_text = rc__cell_trim(cells[r->time_column]);
    if (!r->m->has_style) return RC_OK;
    if (rc__time_parse(out->time_text, &r->m->style, &out->time)) {
        r->last_time = out->time;
        return RC_OK;
    }
    out->time = r->last_time; /* lenient: it is as late as the row before */
    out->unreadable++;
    char like[64];
    rc_error expected;
    rc_fail(&expected, RC_EDATA, "a time such as %s", rc__time_text(1467331200, &r->m->style, like));
    return r->lenient ? RC_OK : bad_cell(r, out->time_text, r->time_column, expected.text, e);
}

static rc_status read_label(rc__detect_reader *r, const rc__cell *cells, rc__detect_record *out, rc_error *e) {
    if (r->label_column == SIZE_MAX) return RC_OK;
    rc__cell cell = rc__cell_trim(cells[r->label_column]);
    double v = 0;
    if (!is_missing(r, cell) && (!rc__cell_number(cell, &v) || (v != 0 && v != 1)))
        return r->lenient ? RC_OK : bad_cell(r, cell, r->label_column, "a label of 0 or 1", e);
    out->label = v == 1;
    return RC_OK;
}

rc_status rc__detect_reader_next(rc__detect_reader *r, rc__detect_record *out, bool *more, rc_error *e) {
    const rc__detect_model *m = r->m;
    const rc__cell *cells = NULL;
    *out = (rc__detect_record){.x = r->x, .label = -1};
    *more = false;
    rc_status s;
    do {
        if (r->stop && *r->stop) return RC_OK;
        s = rc__rows_next(r->rows, &cells, e);
        if (r->stop && *r->stop) return RC_OK; /* the signal broke off the reading */
        if (s != RC_OK || !cells) return s;
    } while (!r->json && take_header(r, cells));
    size_t C = m->net->o.channels, cols = rc__rows_columns(r->rows), last = 0;
    for (size_t c = 0; c < C; c++) last = r->column[c] > last ? r->column[c] : last;
    if (r->time_column != SIZE_MAX && r->time_column > last) last = r->time_column;
    if (cols <= last)
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: expected the columns that the model was trained on, %zu at least, found %zu",
                       rc__source_name(r->src), rc__rows_line(r->rows), last + 1, cols);
    out->line = rc__rows_line(r->rows);
    s = read_time(r, cells, out, e);
    for (size_t c = 0; s == RC_OK && c < C; c++) s = read_value(r, cells, c, out, e);
    if (s == RC_OK) s = read_label(r, cells, out, e);
    *more = s == RC_OK;
    return s;
}
