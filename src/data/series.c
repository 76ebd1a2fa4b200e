/* series.c - see series.h. Outline: names and schemas - roles of columns - one reader for each layout - the grid of
 * time - joining - the calendar. */
#include "data/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "data/strtab.h"

#define GRID_SLACK 20000 /* a grid may have so many steps beside 64 for each row: stamps far apart are a mistake */
#define PI         3.14159265358979323846

static char *copy_text(const char *text, size_t len) {
    char *p = rc__alloc(len + 1);
    if (!p) return NULL;
    memcpy(p, text, len);
    p[len] = 0;
    char *own = strlen(p) == len ? rc__strdup(p) : rc__strdup(""); /* rc__strfree goes by strlen */
    rc__free(p, len + 1);
    return own;
}

/* ---- schemas ----------------------------------------------------------------------------------------------------- */

static void free_names(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++) rc__strfree(names[i]);
    rc__free(names, n * sizeof *names);
}

void rc__schema_free(rc__schema *s) {
    if (!s) return;
    rc__strfree(s->id);
    rc__strfree(s->time);
    for (size_t i = 0; s->target && i < s->n_targets; i++) rc__strfree(s->target[i]);
    rc__free(s->target, s->room_targets * sizeof *s->target);
    for (size_t i = 0; s->covariate && i < s->n_covariates; i++) {
        rc__strfree(s->covariate[i].name);
        free_names(s->covariate[i].category, s->covariate[i].n_categories);
    }
    rc__free(s->covariate, s->room_covariates * sizeof *s->covariate);
    rc__free(s, sizeof *s);
}

/* Where the columns of each covariate begin. */
static rc_status place_columns(rc__schema *s, rc_error *e) {
    s->n_varying = s->n_fixed = 0;
    for (size_t i = 0; i < s->n_covariates; i++) {
        rc__covariate *c = &s->covariate[i];
        size_t *n = c->role == RC_COVARIATE_FIXED ? &s->n_fixed : &s->n_varying;
        c->at = *n;
        *n += c->n_categories ? c->n_categories : 1;
        if (*n > RC_SERIES_MAX_COLUMNS)
            return rc_fail(e, RC_EDATA, "covariates: more than %d columns, categories counted", RC_SERIES_MAX_COLUMNS);
    }
    return RC_OK;
}

static const char *const layouts[] = {"auto", "wide", "long", "rows"}, *const roles[] = {"known", "observed", "fixed"},
                         *const units[] = {"index", "second", "business-day", "month"};

static json_t *names_json(char *const *names, size_t n) {
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(a, json_string(names[i]));
    return a;
}

json_t *rc__schema_json(const rc__schema *s) {
    json_t *o = json_pack("{ss so}", "layout", layouts[s->layout], "targets", names_json(s->target, s->n_targets));
    if (!o) return NULL;
    if (s->id) json_object_set_new(o, "id", json_string(s->id));
    if (s->time) json_object_set_new(o, "time", json_string(s->time));
    if (s->has_time) {
        const rc__frequency *f = &s->frequency;
        const rc__time_style *t = &s->style;
        char separator[2] = {t->separator, 0}, between[2] = {t->between, 0};
        json_object_set_new(o, "frequency",
                            json_pack("{ss sI si si}", "unit", units[f->unit], "count", (json_int_t)f->count,
                                      "month_day", f->month_day, "offset", f->offset));
        json_object_set_new(o, "style",
                            json_pack("{si ss sb ss si si sb sb sb si}", "form", (int)t->form, "separator", separator,
                                      "padded", t->padded, "between", between, "fields", t->fields, "fraction",
                                      t->fraction, "zulu", t->zulu, "has_offset", t->has_offset, "colon", t->colon,
                                      "offset", t->offset));
    }
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_covariates; i++) {
        const rc__covariate *c = &s->covariate[i];
        json_t *v = json_pack("{ss ss}", "name", c->name, "role", roles[c->role]);
        if (v && c->n_categories) json_object_set_new(v, "categories", names_json(c->category, c->n_categories));
        json_array_append_new(list, v);
    }
    if (json_array_size(list) != s->n_covariates || json_object_set_new(o, "covariates", list) != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static rc_status read_names(char ***out, size_t *n, const json_t *a, size_t most, const char *what, const char *where,
                            rc_error *e) {
    size_t count = json_array_size(a);
    if (count > most) return rc_fail(e, RC_EMODEL, "%s: %zu %s, the limit is %zu", where, count, what, most);
    *out = rc__calloc(count ? count : 1, sizeof **out);
    if (!*out) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    *n = count;
    if (!count) {
        rc__free(*out, sizeof **out);
        *out = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(a, i));
        if (!name) return rc_fail(e, RC_EMODEL, "%s: %s %zu: expected a text", where, what, i + 1);
        (*out)[i] = rc__strdup(name);
        if (!(*out)[i]) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    }
    return RC_OK;
}

static rc_status find_word(const json_t *obj, const char *key, const char *const *words, int n, int *out,
                           const char *where, rc_error *e) {
    const char *word = NULL;
    rc_status s = rc__json_get_string(obj, key, RC_JSON_REQUIRED, &word, where, e);
    for (int i = 0; s == RC_OK && i < n; i++)
        if (strcmp(word, words[i]) == 0) return *out = i, RC_OK;
    return s == RC_OK ? rc_fail(e, RC_EMODEL, "%s: \"%s\": unknown value \"%.40s\"", where, key, word) : s;
}

static rc_status read_clock(rc__schema *s, const json_t *frequency, const json_t *style, const char *where,
                            rc_error *e) {
    int unit = 0;
    int64_t count = 1, month_day = 0, offset = 0, form = 0, fields = 0, fraction = 0, style_offset = 0;
    const char *separator = "", *between = "";
    rc__time_style *t = &s->style;
    rc_status st = find_word(frequency, "unit", units, 4, &unit, where, e);
    if (st == RC_OK) st = rc__json_get_int(frequency, "count", RC_JSON_REQUIRED, 1, INT64_C(1) << 40, &count, where, e);
    if (st == RC_OK) st = rc__json_get_int(frequency, "month_day", RC_JSON_REQUIRED, 0, 31, &month_day, where, e);
    if (st == RC_OK) st = rc__json_get_int(frequency, "offset", RC_JSON_REQUIRED, -86400, 86400, &offset, where, e);
    if (st == RC_OK) st = rc__json_get_int(style, "form", RC_JSON_REQUIRED, 0, RC_DATE_INDEX, &form, where, e);
    if (st == RC_OK) st = rc__json_get_string(style, "separator", RC_JSON_REQUIRED, &separator, where, e);
    if (st == RC_OK) st = rc__json_get_bool(style, "padded", RC_JSON_REQUIRED, &t->padded, where, e);
    if (st == RC_OK) st = rc__json_get_string(style, "between", RC_JSON_REQUIRED, &between, where, e);
    if (st == RC_OK) st = rc__json_get_int(style, "fields", RC_JSON_REQUIRED, 0, 3, &fields, where, e);
    if (st == RC_OK) st = rc__json_get_int(style, "fraction", RC_JSON_REQUIRED, 0, 18, &fraction, where, e);
    if (st == RC_OK) st = rc__json_get_bool(style, "zulu", RC_JSON_REQUIRED, &t->zulu, where, e);
    if (st == RC_OK) st = rc__json_get_bool(style, "has_offset", RC_JSON_REQUIRED, &t->has_offset, where, e);
    if (st == RC_OK) st = rc__json_get_bool(style, "colon", RC_JSON_REQUIRED, &t->colon, where, e);
    if (st == RC_OK) st = rc__json_get_int(style, "offset", RC_JSON_REQUIRED, -86400, 86400, &style_offset, where, e);
    if (st != RC_OK) return st;
    t->form = (rc__date_form)form;
    t->separator = separator[0];
    t->between = between[0];
    t->fields = (int)fields;
    t->fraction = (int)fraction;
    t->offset = (int)style_offset;
    s->frequency = (rc__frequency){
        .unit = (rc__time_unit)unit, .count = count, .month_day = (int)month_day, .offset = (int)offset};
    s->has_time = true;
    return RC_OK;
}

static rc_status read_covariate(rc__covariate *c, const json_t *v, const char *where, rc_error *e) {
    const char *name = NULL;
    json_t *categories = NULL;
    int role = 0;
    rc_status st = rc__json_get_string(v, "name", RC_JSON_REQUIRED, &name, where, e);
    if (st == RC_OK) st = find_word(v, "role", roles, 3, &role, where, e);
    if (st == RC_OK) st = rc__json_get_array(v, "categories", RC_JSON_OPTIONAL, &categories, where, e);
    if (st != RC_OK) return st;
    c->role = (rc__covariate_role)role;
    c->name = rc__strdup(name);
    if (!c->name) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    return categories ? read_names(&c->category, &c->n_categories, categories, RC_SERIES_MAX_CATEGORIES, "categories",
                                   where, e)
                      : RC_OK;
}

rc_status rc__schema_read(rc__schema **out, const json_t *obj, const char *where, rc_error *e) {
    *out = NULL;
    if (!json_is_object(obj)) return rc_fail(e, RC_EMODEL, "%s: expected an object of columns", where);
    rc__schema *s = rc__calloc(1, sizeof *s);
    if (!s) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    json_t *targets = NULL, *covariates = NULL, *frequency = NULL, *style = NULL;
    const char *id = NULL, *time = NULL;
    int layout = 0;
    rc_status st = find_word(obj, "layout", layouts, 4, &layout, where, e);
    if (st == RC_OK && layout == RC_LAYOUT_AUTO) st = rc_fail(e, RC_EMODEL, "%s: \"layout\": none", where);
    if (st == RC_OK) st = rc__json_get_string(obj, "id", RC_JSON_OPTIONAL, &id, where, e);
    if (st == RC_OK) st = rc__json_get_string(obj, "time", RC_JSON_OPTIONAL, &time, where, e);
    if (st == RC_OK) st = rc__json_get_array(obj, "targets", RC_JSON_REQUIRED, &targets, where, e);
    if (st == RC_OK) st = rc__json_get_array(obj, "covariates", RC_JSON_REQUIRED, &covariates, where, e);
    if (st == RC_OK) st = rc__json_get_object(obj, "frequency", RC_JSON_OPTIONAL, &frequency, where, e);
    if (st == RC_OK && frequency) st = rc__json_get_object(obj, "style", RC_JSON_REQUIRED, &style, where, e);
    if (st == RC_OK && frequency) st = read_clock(s, frequency, style, where, e);
    if (st == RC_OK) st = read_names(&s->target, &s->n_targets, targets, RC_SERIES_MAX_COLUMNS, "targets", where, e);
    s->room_targets = s->n_targets;
    if (st == RC_OK && s->n_targets == 0) st = rc_fail(e, RC_EMODEL, "%s: no target", where);
    size_t n = json_array_size(covariates);
    if (st == RC_OK && n > RC_SERIES_MAX_COLUMNS) st = rc_fail(e, RC_EMODEL, "%s: %zu covariates", where, n);
    if (st == RC_OK && n > 0) {
        s->covariate = rc__calloc(n, sizeof *s->covariate);
        s->n_covariates = s->room_covariates = s->covariate ? n : 0;
        if (!s->covariate) st = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    }
    for (size_t i = 0; st == RC_OK && i < n; i++)
        st = read_covariate(&s->covariate[i], json_array_get(covariates, i), where, e);
    if (st == RC_OK) st = place_columns(s, e);
    s->layout = (rc__layout)layout;
    if (st == RC_OK && id && !(s->id = rc__strdup(id))) st = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    if (st == RC_OK && time && !(s->time = rc__strdup(time))) st = rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    if (st != RC_OK) return rc__schema_free(s), st;
    *out = s;
    return RC_OK;
}

rc_status rc__schema_copy(rc__schema **out, const rc__schema *s, rc_error *e) {
    *out = NULL;
    json_t *j = rc__schema_json(s);
    rc_status st = j ? rc__schema_read(out, j, "columns", e) : rc_fail(e, RC_ENOMEM, "columns: out of memory");
    json_decref(j);
    return st;
}

/* ---- the reader -------------------------------------------------------------------------------------------------- */

enum { ROLE_NONE, ROLE_ID, ROLE_TIME, ROLE_TARGET, ROLE_COVARIATE };

typedef struct reading {
    rc__table *t;
    const rc__rows *rows;
    const char *path;
    size_t n_cols, n_rows;
    uint8_t *role;     /* (n_cols) */
    size_t id, time;   /* columns, or n_cols */
    size_t *target;    /* (schema's n_targets) columns; n_cols = the file lacks it */
    size_t *covariate; /* (schema's n_covariates) */
    rc__schema *schema;
    bool given; /* the schema was */
    rc__series *out;
} reading;

static char *column_name(const reading *r, size_t col) {
    rc__cell name = rc__rows_name(r->rows, col);
    char number[32];
    if (name.text && name.len) return copy_text(name.text, name.len);
    snprintf(number, sizeof number, "%zu", col + 1);
    return rc__strdup(number);
}

static bool is_named(const reading *r, size_t col, const char *const *names) {
    rc__cell name = rc__rows_name(r->rows, col);
    for (; name.text && *names; names++) {
        size_t i = 0;
        while (i < name.len && (*names)[i] && (name.text[i] | 0x20) == (*names)[i]) i++;
        if (i == name.len && !(*names)[i]) return true;
    }
    return false;
}

/* Columns of a list with commas get a role; *n counts them. */
static rc_status take_list(reading *r, const char *list, uint8_t role, rc__covariate_role as, bool categorical,
                           rc_error *e) {
    for (const char *p = list; p && *p;) {
        const char *end = strchr(p, ',');
        size_t len = end ? (size_t)(end - p) : strlen(p), col;
        char name[256];
        rc__cell cell = rc__cell_trim((rc__cell){p, len});
        if (cell.len == 0 || cell.len >= sizeof name)
            return rc_fail(e, RC_EINVAL, "%s: expected names of columns with commas between, found \"%.60s\"", r->path,
                           list);
        snprintf(name, sizeof name, "%.*s", (int)cell.len, cell.text);
        rc_status s = rc__rows_find(r->rows, name, &col, e);
        if (s != RC_OK) return s;
        if (!categorical) {
            if (r->role[col] != ROLE_NONE)
                return rc_fail(e, RC_EINVAL, "%s: column \"%s\" is given two roles", r->path, name);
            r->role[col] = role;
            if (role == ROLE_ID) r->id = col;
            if (role == ROLE_TIME) r->time = col;
        }
        rc__schema *sc = r->schema;
        if (role == ROLE_TARGET && !categorical) {
            r->target[sc->n_targets] = col;
            if (!(sc->target[sc->n_targets++] = column_name(r, col))) return rc_fail(e, RC_ENOMEM, "out of memory");
        } else if (role == ROLE_COVARIATE && !categorical) {
            r->covariate[sc->n_covariates] = col;
            sc->covariate[sc->n_covariates].role = as;
            if (!(sc->covariate[sc->n_covariates++].name = column_name(r, col)))
                return rc_fail(e, RC_ENOMEM, "out of memory");
        } else if (categorical) {
            size_t i = 0;
            while (i < sc->n_covariates && r->covariate[i] != col) i++;
            if (i == sc->n_covariates)
                return rc_fail(e, RC_EINVAL,
                               "%s: categorical: column \"%s\" is no covariate: name it in --known-ahead, "
                               "--inputs or --fixed too",
                               r->path, name);
            sc->covariate[i].n_categories = 1; /* counted below */
        }
        p = end ? end + 1 : NULL;
    }
    return RC_OK;
}

static rc_status add_column(reading *r, size_t col, uint8_t role, rc_error *e) {
    char number[32];
    if (r->role[col] != ROLE_NONE) return RC_OK;
    snprintf(number, sizeof number, "%zu", col + 1);
    rc__schema *sc = r->schema;
    r->role[col] = role;
    char *name = column_name(r, col);
    if (!name) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    if (role == ROLE_TARGET) {
        r->target[sc->n_targets] = col;
        sc->target[sc->n_targets++] = name;
    } else {
        r->covariate[sc->n_covariates] = col;
        sc->covariate[sc->n_covariates].role = RC_COVARIATE_OBSERVED;
        sc->covariate[sc->n_covariates++].name = name;
    }
    return RC_OK;
}

/* Names that are texts of a covariate, in order of appearance. */
static rc_status count_categories(reading *r, size_t i, rc_error *e) {
    rc__covariate *c = &r->schema->covariate[i];
    char what[96];
    bool text = rc__table_column_kind(r->t, r->covariate[i], NULL) != RC_COLUMN_NUMBER;
    if (!text && !c->n_categories) return RC_OK;
    c->n_categories = 0;
    rc__strtab seen = {0};
    rc_status s = RC_OK;
    for (size_t row = 0; s == RC_OK && row < r->n_rows; row++) {
        rc__cell cell = rc__table_cell(r->t, row, r->covariate[i]);
        uint32_t id;
        if (rc__table_missing(r->t, cell)) continue;
        s = rc__strtab_add(&seen, cell.text, cell.len, &id, NULL, e);
        if (s == RC_OK && seen.count > RC_SERIES_MAX_CATEGORIES)
            s = rc_fail(e, RC_EDATA, "%s: line %zu: %s has more than %d categories", r->path, rc__table_line(r->t, row),
                        rc__table_column_text(r->t, r->covariate[i], what), RC_SERIES_MAX_CATEGORIES);
    }
    if (s == RC_OK && seen.count) {
        c->category = rc__calloc(seen.count, sizeof *c->category);
        if (!c->category) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
        c->n_categories = c->category ? seen.count : 0;
    }
    for (size_t k = 0; s == RC_OK && k < c->n_categories; k++) {
        size_t len;
        const char *text_of = rc__strtab_get(&seen, k, &len);
        if (!(c->category[k] = copy_text(text_of, len))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    }
    rc__strtab_free(&seen);
    return s;
}

/* A row a series: names first, all different, nothing but numbers behind. */
static bool looks_like_rows(const reading *r) {
    if (r->n_cols < 4 || rc__table_column_kind(r->t, 0, NULL) != RC_COLUMN_TEXT) return false;
    for (size_t c = 1; c < r->n_cols; c++)
        if (rc__table_column_kind(r->t, c, NULL) != RC_COLUMN_NUMBER) return false;
    rc__strtab seen = {0};
    bool distinct = true;
    for (size_t row = 0; distinct && row < r->n_rows; row++) {
        rc__cell cell = rc__table_cell(r->t, row, 0);
        uint32_t id;
        if (rc__strtab_add(&seen, cell.text, cell.len, &id, &distinct, NULL) != RC_OK) distinct = false;
    }
    rc__strtab_free(&seen);
    return distinct;
}

static rc_status new_schema(reading *r, const rc__series_options *o, rc_error *e) {
    static const char *const id_names[] = {"id", "unique_id", "item_id", "series_id", "series", NULL},
                             *const time_names[] = {"date", "time", "timestamp", "datetime", "ds", NULL},
                             *const target_names[] = {"y", "value", "target", NULL};
    rc__schema *sc = r->schema = rc__calloc(1, sizeof *sc);
    if (!sc) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    sc->layout = o->layout;
    bool named = (o->id && *o->id) || (o->time && *o->time) || (o->target && *o->target);
    if (sc->layout == RC_LAYOUT_AUTO && !named && looks_like_rows(r)) sc->layout = RC_LAYOUT_ROWS;
    sc->target = rc__calloc(r->n_cols, sizeof *sc->target);
    sc->covariate = rc__calloc(r->n_cols, sizeof *sc->covariate);
    sc->room_targets = sc->target ? r->n_cols : 0;
    sc->room_covariates = sc->covariate ? r->n_cols : 0;
    if (!sc->target || !sc->covariate) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    if (sc->layout == RC_LAYOUT_ROWS) {
        if (!(sc->target[0] = rc__strdup("value"))) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
        sc->n_targets = 1;
        return RC_OK;
    }
    bool all = o->observed && strcmp(o->observed, "none") == 0;
    rc_status s = take_list(r, o->id, ROLE_ID, 0, false, e);
    if (s == RC_OK) s = take_list(r, o->time, ROLE_TIME, 0, false, e);
    if (s == RC_OK) s = take_list(r, o->target, ROLE_TARGET, 0, false, e);
    if (s == RC_OK) s = take_list(r, o->known, ROLE_COVARIATE, RC_COVARIATE_KNOWN, false, e);
    if (s == RC_OK && !all) s = take_list(r, o->observed, ROLE_COVARIATE, RC_COVARIATE_OBSERVED, false, e);
    if (s == RC_OK) s = take_list(r, o->fixed, ROLE_COVARIATE, RC_COVARIATE_FIXED, false, e);
    for (size_t c = 0; s == RC_OK && c < r->n_cols && r->id == r->n_cols && sc->layout != RC_LAYOUT_WIDE; c++)
        if (r->role[c] == ROLE_NONE && is_named(r, c, id_names)) {
            r->role[c] = ROLE_ID;
            r->id = c;
        }
    for (int by = 0; by < 2 && s == RC_OK && r->time == r->n_cols; by++)
        for (size_t c = 0; c < r->n_cols && r->time == r->n_cols; c++)
            if (r->role[c] == ROLE_NONE &&
                (by ? is_named(r, c, time_names) : rc__table_column_kind(r->t, c, NULL) == RC_COLUMN_TIME)) {
                r->role[c] = ROLE_TIME;
                r->time = c;
            }
    bool is_long = r->id < r->n_cols, asked = sc->n_targets > 0;
    for (size_t c = 0; s == RC_OK && is_long && !asked && c < r->n_cols && sc->n_targets == 0; c++)
        if (r->role[c] == ROLE_NONE && is_named(r, c, target_names)) s = add_column(r, c, ROLE_TARGET, e);
    asked = sc->n_targets > 0;
    for (size_t c = 0; s == RC_OK && c < r->n_cols; c++) {
        if (r->role[c] != ROLE_NONE || rc__table_column_kind(r->t, c, NULL) != RC_COLUMN_NUMBER) continue;
        if (!asked)
            s = add_column(r, c, ROLE_TARGET, e);
        else if (!all && !(o->observed && *o->observed))
            s = add_column(r, c, ROLE_COVARIATE, e);
    }
    if (s == RC_OK) s = take_list(r, o->categorical, ROLE_COVARIATE, 0, true, e);
    if (s == RC_OK && sc->n_targets == 0)
        s = rc_fail(e, RC_EDATA, "%s: no column of numbers to forecast; name it with --target", r->path);
    for (size_t i = 0; s == RC_OK && i < sc->n_covariates; i++) s = count_categories(r, i, e);
    if (s != RC_OK) return s;
    if (sc->layout == RC_LAYOUT_LONG && !is_long)
        return rc_fail(e, RC_EINVAL, "%s: a long table needs a column that tells series apart: --id", r->path);
    sc->layout = is_long ? RC_LAYOUT_LONG : RC_LAYOUT_WIDE;
    if (is_long && !(sc->id = column_name(r, r->id))) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    if (r->time < r->n_cols && !(sc->time = column_name(r, r->time)))
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    sc->has_time = sc->time != NULL;
    return place_columns(sc, e);
}

/* The columns of a schema in this file. */
static rc_status match_schema(reading *r, const rc__schema *schema, bool may_lack, rc_error *e) {
    rc__schema *sc;
    rc_status s = rc__schema_copy(&r->schema, schema, e);
    if (s != RC_OK) return s;
    sc = r->schema;
    if (sc->layout == RC_LAYOUT_ROWS) return RC_OK;
    if (sc->id) s = rc__rows_find(r->rows, sc->id, &r->id, e);
    if (s == RC_OK && sc->time) s = rc__rows_find(r->rows, sc->time, &r->time, e);
    for (size_t i = 0; s == RC_OK && i < sc->n_targets; i++) {
        s = rc__rows_find(r->rows, sc->target[i], &r->target[i], e);
        if (s == RC_EINVAL && may_lack) {
            r->target[i] = r->n_cols;
            s = RC_OK;
        }
    }
    for (size_t i = 0; s == RC_OK && i < sc->n_covariates; i++)
        s = rc__rows_find(r->rows, sc->covariate[i].name, &r->covariate[i], e);
    return s == RC_EINVAL ? RC_EDATA : s;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static rc_status new_groups(reading *r, size_t n, rc_error *e) {
    if (n == 0) return rc_fail(e, RC_EDATA, "%s: no rows", r->path);
    r->out->group = rc__calloc(n, sizeof *r->out->group);
    if (!r->out->group) return rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu series", r->path, n);
    r->out->n_groups = n;
    return RC_OK;
}

static rc_status alloc_group(rc__group *g, const rc__schema *sc, size_t n, size_t ahead, const char *path,
                             rc_error *e) {
    size_t ny, nx;
    g->n = n;
    g->ahead = ahead;
    bool ok = rc__size_mul(n + ahead, sc->n_varying, &nx) && rc__size_mul(n, sc->n_targets, &ny);
    g->y = ok && ny ? rc__calloc(ny, sizeof *g->y) : NULL;
    g->x = ok && nx ? rc__calloc(nx, sizeof *g->x) : NULL;
    g->fixed = sc->n_fixed ? rc__calloc(sc->n_fixed, sizeof *g->fixed) : NULL;
    if (!ok || (ny && !g->y) || (nx && !g->x) || (sc->n_fixed && !g->fixed))
        return rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu steps of a series", path, n + ahead);
    for (size_t i = 0; i < ny; i++) g->y[i] = NAN;
    for (size_t i = 0; i < nx; i++) g->x[i] = NAN;
    for (size_t i = 0; i < sc->n_fixed; i++) g->fixed[i] = NAN;
    return RC_OK;
}

static rc_status read_rows_layout(reading *r, rc_error *e) {
    if (r->n_cols < 2) return rc_fail(e, RC_EDATA, "%s: a row a series: expected a name and values", r->path);
    rc_status s = new_groups(r, r->n_rows, e);
    for (size_t row = 0; s == RC_OK && row < r->n_rows; row++) {
        rc__group *g = &r->out->group[row];
        size_t n = r->n_cols - 1;
        rc__cell id = rc__table_cell(r->t, row, 0);
        while (n > 0 && rc__table_missing(r->t, rc__table_cell(r->t, row, n))) n--; /* the padding of short series */
        if (!(g->id = copy_text(id.text, id.len))) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
        s = alloc_group(g, r->schema, n, 0, r->path, e);
        for (size_t i = 0; s == RC_OK && i < n; i++) s = rc__table_real(r->t, row, i + 1, &g->y[i], e);
    }
    return s;
}

/* Which group each row belongs to. */
static rc_status group_rows(reading *r, uint32_t *group, rc_error *e) {
    if (r->id == r->n_cols) {
        memset(group, 0, r->n_rows * sizeof *group);
        rc_status s = new_groups(r, r->n_rows ? 1 : 0, e);
        if (s != RC_OK) return s;
        r->out->group[0].id = rc__strdup("");
        return r->out->group[0].id ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    }
    rc__strtab ids = {0};
    rc_status s = RC_OK;
    for (size_t row = 0; s == RC_OK && row < r->n_rows; row++) {
        rc__cell c = rc__table_cell(r->t, row, r->id);
        if (rc__table_missing(r->t, c))
            s = rc_fail(e, RC_EDATA, "%s: line %zu: no id", r->path, rc__table_line(r->t, row));
        else
            s = rc__strtab_add(&ids, c.text, c.len, &group[row], NULL, e);
    }
    if (s == RC_OK) s = new_groups(r, ids.count, e);
    for (size_t i = 0; s == RC_OK && i < ids.count; i++) {
        size_t len;
        const char *text = rc__strtab_get(&ids, i, &len);
        if (!(r->out->group[i].id = copy_text(text, len))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    }
    rc__strtab_free(&ids);
    return s;
}

/* The step of each stamp of one group (n of them, in order); *steps: of the grid. */
static rc_status place_on_grid(const reading *r, const int64_t *t, const size_t *line, size_t n, size_t *step,
                               size_t *steps, rc_error *e) {
    const rc__frequency *f = &r->schema->frequency;
    char buf[64], freq[48];
    size_t limit = 64 * n + GRID_SLACK, k = 0;
    int64_t now = t[0];
    for (size_t i = 0; i < n; i++) {
        if (f->unit == RC_UNIT_MONTH || f->unit == RC_UNIT_BUSINESS_DAY) {
            while (now < t[i] && k <= limit) now = rc__time_step(t[0], f, (int64_t)++k);
        } else {
            uint64_t far = (uint64_t)t[i] - (uint64_t)t[0]; /* in order, so no less than 0 */
            k = far / (uint64_t)f->count <= limit ? (size_t)(far / (uint64_t)f->count) : limit + 1;
            now = k <= limit ? t[0] + (int64_t)k * f->count : t[i];
        }
        if (k > limit)
            return rc_fail(e, RC_EDATA, "%s: line %zu: %s is more than %zu steps (%s) after the first time stamp",
                           r->path, line[i], rc__time_text(t[i], &r->schema->style, buf), limit,
                           rc__frequency_text(f, freq));
        if (now != t[i])
            return rc_fail(e, RC_EDATA, "%s: line %zu: %s is between two steps of a %s series", r->path, line[i],
                           rc__time_text(t[i], &r->schema->style, buf), rc__frequency_text(f, freq));
        step[i] = k;
    }
    *steps = k + 1;
    return RC_OK;
}

static rc_status fill_row(reading *r, rc__group *g, size_t step, size_t row, rc_error *e) {
    const rc__schema *sc = r->schema;
    rc_status s = RC_OK;
    for (size_t k = 0; s == RC_OK && k < sc->n_targets && step < g->n; k++)
        if (r->target[k] < r->n_cols) s = rc__table_real(r->t, row, r->target[k], &g->y[k * g->n + step], e);
    for (size_t i = 0; s == RC_OK && i < sc->n_covariates; i++) {
        const rc__covariate *c = &sc->covariate[i];
        bool fixed = c->role == RC_COVARIATE_FIXED;
        double *to = fixed ? g->fixed + c->at : g->x + step * sc->n_varying + c->at;
        rc__cell cell = rc__table_cell(r->t, row, r->covariate[i]);
        if (rc__table_missing(r->t, cell)) continue;
        if (!c->n_categories) {
            double old = *to;
            s = rc__table_real(r->t, row, r->covariate[i], to, e);
            if (s == RC_OK && fixed && !isnan(old) && old != *to)
                s = rc_fail(e, RC_EDATA, "%s: line %zu: \"%s\" is fixed for a series, but changes within %s", r->path,
                            rc__table_line(r->t, row), c->name, *g->id ? g->id : "it");
            continue;
        }
        for (size_t j = 0; j < c->n_categories; j++) to[j] = rc__cell_is(cell, c->category[j]); /* a new one: none */
    }
    return s;
}

/* One group: its rows (n of them) of the file. */
static rc_status build_group(reading *r, rc__group *g, const size_t *row, size_t n, const int64_t *time, rc_error *e) {
    size_t steps = n, history = 0, bytes = n * (sizeof(size_t) * 2 + sizeof(int64_t));
    char where[600];
    size_t *step = rc__alloc(bytes), *line = step ? step + n : NULL;
    int64_t *t = step ? (int64_t *)(line + n) : NULL;
    if (!step) return rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    snprintf(where, sizeof where, "%.400s: %s%.100s", r->path, *g->id ? "series " : "", *g->id ? g->id : "time");
    rc_status s = RC_OK;
    for (size_t i = 0; i < n; i++) {
        line[i] = rc__table_line(r->t, row[i]);
        step[i] = i;
        t[i] = time ? time[row[i]] : (int64_t)i;
    }
    if (time) s = rc__time_check_order(t, n, line, &r->schema->style, where, e);
    if (s == RC_OK && time) s = place_on_grid(r, t, line, n, step, &steps, e);
    for (size_t i = 0; s == RC_OK && i < n; i++)
        for (size_t k = 0; k < r->schema->n_targets; k++)
            if (r->target[k] < r->n_cols && !rc__table_missing(r->t, rc__table_cell(r->t, row[i], r->target[k])))
                history = step[i] + 1;
    if (s == RC_OK) s = alloc_group(g, r->schema, history, steps - history, r->path, e);
    g->start = t[0];
    for (size_t i = 0; s == RC_OK && i < n; i++) s = fill_row(r, g, step[i], row[i], e);
    r->out->gaps += steps - n;
    rc__free(step, bytes);
    return s;
}

/* The clock of all groups, from the one with the most rows. */
static rc_status find_frequency(reading *r, const size_t *order, const size_t *from, const int64_t *time, rc_error *e) {
    size_t best = 0;
    for (size_t g = 1; g < r->out->n_groups; g++)
        if (from[g + 1] - from[g] > from[best + 1] - from[best]) best = g;
    size_t n = from[best + 1] - from[best];
    int64_t *t = rc__alloc(n * sizeof *t);
    size_t *line = rc__alloc(n * sizeof *line);
    char where[600];
    rc_status s = t && line ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        t[i] = time[order[from[best] + i]];
        line[i] = rc__table_line(r->t, order[from[best] + i]);
    }
    snprintf(where, sizeof where, "%.500s: column \"%.60s\"", r->path, r->schema->time);
    if (s == RC_OK) s = rc__time_check_order(t, n, line, &r->schema->style, where, e);
    if (s == RC_OK) s = rc__time_frequency(t, n, &r->schema->style, where, &r->schema->frequency, e);
    rc__free(t, n * sizeof *t);
    rc__free(line, n * sizeof *line);
    return s;
}

static rc_status read_step_rows(reading *r, rc_error *e) {
    size_t n = r->n_rows;
    rc_status s = RC_OK;
    uint32_t *group = rc__alloc((n + 1) * sizeof *group);
    size_t *order = rc__alloc((n + 1) * sizeof *order), *from = NULL, groups = 0;
    int64_t *time = r->time < r->n_cols ? rc__alloc((n + 1) * sizeof *time) : NULL;
    char where[600];
    if (!group || !order || (r->time < r->n_cols && !time)) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    if (s == RC_OK) s = group_rows(r, group, e);
    if (s == RC_OK) {
        groups = r->out->n_groups;
        from = rc__calloc(groups + 2, sizeof *from);
        if (!from) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", r->path);
    }
    if (s == RC_OK) { /* rows sorted by group, in their order within it */
        for (size_t i = 0; i < n; i++) from[group[i] + 2]++;
        for (size_t g = 2; g < groups + 2; g++) from[g] += from[g - 1];
        for (size_t i = 0; i < n; i++) order[from[group[i] + 1]++] = i;
    }
    if (s == RC_OK && time) {
        rc__time_style style;
        snprintf(where, sizeof where, "%.500s: column \"%.60s\"", r->path, r->schema->time);
        s = rc__time_column(&rc__table_row(r->t, 0)[r->time], r->n_cols, n, rc__table_lines(r->t), where,
                            r->given ? r->schema->style.form : RC_DATE_YMD, &style, time, e);
        if (s == RC_OK && !r->given) {
            r->schema->style = style;
            s = find_frequency(r, order, from, time, e);
        }
    }
    for (size_t g = 0; s == RC_OK && g < groups; g++)
        s = build_group(r, &r->out->group[g], order + from[g], from[g + 1] - from[g], time, e);
    rc__free(group, (n + 1) * sizeof *group);
    rc__free(order, (n + 1) * sizeof *order);
    rc__free(from, (groups + 2) * sizeof *from);
    rc__free(time, (n + 1) * sizeof *time);
    return s;
}

static void count_values(rc__series *s) {
    for (size_t g = 0; g < s->n_groups; g++)
        for (size_t i = 0; i < s->schema->n_targets * s->group[g].n; i++) {
            s->steps++;
            if (isnan(s->group[g].y[i])) s->missing++;
        }
}

void rc__series_free(rc__series *s) {
    if (!s) return;
    const rc__schema *sc = s->schema;
    for (size_t i = 0; s->group && i < s->n_groups; i++) {
        rc__group *g = &s->group[i];
        rc__strfree(g->id);
        if (g->y) rc__free(g->y, g->n * sc->n_targets * sizeof *g->y);
        if (g->x) rc__free(g->x, (g->n + g->ahead) * sc->n_varying * sizeof *g->x);
        if (g->fixed) rc__free(g->fixed, sc->n_fixed * sizeof *g->fixed);
    }
    if (s->group) rc__free(s->group, s->n_groups * sizeof *s->group);
    rc__schema_free(s->schema);
    rc__free(s, sizeof *s);
}

rc_status rc__series_read(rc__series **out, const char *path, const rc__series_options *o, const rc__schema *schema,
                          bool may_lack, rc_error *e) {
    reading r = {.path = path, .given = schema != NULL};
    rc__table_options to = o->table;
    to.padded = true;
    *out = NULL;
    rc_status s = rc__table_read(&r.t, path, &to, e);
    if (s != RC_OK) return s;
    r.rows = rc__table_rows(r.t);
    r.path = rc__table_file(r.t);
    r.n_rows = rc__table_n_rows(r.t);
    r.n_cols = r.id = r.time = rc__rows_columns(r.rows);
    size_t n_target = schema && schema->n_targets > r.n_cols ? schema->n_targets : r.n_cols,
           n_cov = schema && schema->n_covariates > r.n_cols ? schema->n_covariates : r.n_cols;
    r.role = rc__calloc(r.n_cols, 1);
    r.target = rc__calloc(n_target, sizeof *r.target);
    r.covariate = rc__calloc(n_cov, sizeof *r.covariate);
    r.out = rc__calloc(1, sizeof *r.out);
    if (!r.role || !r.target || !r.covariate || !r.out) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = schema ? match_schema(&r, schema, may_lack, e) : new_schema(&r, o, e);
    if (r.out) r.out->schema = r.schema;
    if (s == RC_OK) s = r.schema->layout == RC_LAYOUT_ROWS ? read_rows_layout(&r, e) : read_step_rows(&r, e);
    rc__free(r.role, r.n_cols);
    rc__free(r.target, n_target * sizeof *r.target);
    rc__free(r.covariate, n_cov * sizeof *r.covariate);
    rc__table_free(r.t);
    if (s != RC_OK) return rc__series_free(r.out), s;
    count_values(r.out);
    *out = r.out;
    return RC_OK;
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

size_t rc__series_find(const rc__series *s, const char *id, size_t hint) {
    if (hint < s->n_groups && strcmp(s->group[hint].id, id) == 0) return hint;
    size_t i = 0;
    while (i < s->n_groups && strcmp(s->group[i].id, id) != 0) i++;
    return i;
}

int64_t rc__steps_between(const rc__frequency *f, int64_t from, int64_t to) {
    if (f->unit == RC_UNIT_INDEX || f->unit == RC_UNIT_SECOND) {
        int64_t d = to - from;
        return d >= 0 ? d / f->count : -((-d + f->count - 1) / f->count);
    }
    /* the first k with step(from, k) >= to; about where it must be, within the years that there are */
    double unit = f->unit == RC_UNIT_MONTH ? 30.436875 * 86400 : 1.4 * 86400;
    int64_t guess = (int64_t)((double)(to - from) / (unit * (double)f->count)),
            room = 8 + (guess < 0 ? -guess : guess) / 50;
    int64_t low = guess - room, high = guess + room;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (rc__time_step(from, f, mid) < to)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void copy_steps(rc__group *to, const rc__group *from, const rc__schema *sc, size_t at) {
    for (size_t k = 0; k < sc->n_targets; k++)
        for (size_t i = 0; i < from->n; i++) to->y[k * to->n + at + i] = from->y[k * from->n + i];
    size_t w = sc->n_varying, steps = from->n + from->ahead;
    for (size_t i = 0; w && i < steps && at + i < to->n + to->ahead;
         i++) /* of columns that both have, the later wins */
        for (size_t j = 0; j < w; j++)
            if (!isnan(from->x[i * w + j])) to->x[(at + i) * w + j] = from->x[i * w + j];
    for (size_t j = 0; j < sc->n_fixed; j++)
        if (!isnan(from->fixed[j])) to->fixed[j] = from->fixed[j];
}

static rc_status join_group(rc__group *to, const rc__group *a, const rc__group *b, const rc__schema *sc, rc_error *e) {
    int64_t at = a ? (int64_t)a->n : 0;
    if (a && sc->has_time) at = b ? rc__steps_between(&sc->frequency, a->start, b->start) : 0;
    size_t na = a ? a->n : 0, nb = b ? b->n : 0, limit = 64 * (na + nb + 1) + GRID_SLACK;
    if (at < 0 || (b && (uint64_t)at > limit))
        return rc_fail(e, RC_EDATA, "series \"%s\": the new values begin %lld steps %s the history", b->id,
                       (long long)(at < 0 ? -at : at), at < 0 ? "before" : "after the beginning of");
    if (a && b && sc->has_time && rc__time_step(a->start, &sc->frequency, at) != b->start)
        return rc_fail(e, RC_EDATA, "series \"%s\": the new values begin between two steps of the history", b->id);
    size_t shift = b ? (size_t)at : 0, end_a = na + (a ? a->ahead : 0), end_b = b ? shift + nb + b->ahead : 0;
    size_t n = b && nb && shift + nb > na ? shift + nb : na, end = end_a > end_b ? end_a : end_b;
    rc_status s = alloc_group(to, sc, n, end > n ? end - n : 0, "series", e);
    if (s != RC_OK) return s;
    to->id = rc__strdup((b ? b : a)->id);
    to->start = (a ? a : b)->start;
    if (!to->id) return rc_fail(e, RC_ENOMEM, "series: out of memory");
    if (a) copy_steps(to, a, sc, 0);
    if (b) copy_steps(to, b, sc, shift);
    to->first = b ? (shift > na ? shift : na) : n;
    return RC_OK;
}

rc_status rc__series_join(rc__series **out, const rc__series *earlier, const rc__series *later, bool keep,
                          rc_error *e) {
    *out = NULL;
    rc__series *s = rc__calloc(1, sizeof *s);
    if (!s) return rc_fail(e, RC_ENOMEM, "series: out of memory");
    size_t n = later->n_groups, at = 0;
    for (size_t i = 0; keep && i < earlier->n_groups; i++)
        if (rc__series_find(later, earlier->group[i].id, i) == later->n_groups) n++;
    rc_status st = rc__schema_copy(&s->schema, later->schema, e);
    if (st == RC_OK && !(s->group = rc__calloc(n, sizeof *s->group)))
        st = rc_fail(e, RC_ENOMEM, "series: out of memory");
    if (st == RC_OK) s->n_groups = n;
    for (size_t i = 0; st == RC_OK && keep && i < earlier->n_groups; i++)
        if (rc__series_find(later, earlier->group[i].id, i) == later->n_groups)
            st = join_group(&s->group[at++], &earlier->group[i], NULL, s->schema, e);
    for (size_t i = 0; st == RC_OK && i < later->n_groups; i++) {
        size_t k = rc__series_find(earlier, later->group[i].id, i);
        st = join_group(&s->group[at++], k < earlier->n_groups ? &earlier->group[k] : NULL, &later->group[i], s->schema,
                        e);
    }
    if (st != RC_OK) return rc__series_free(s), st;
    count_values(s);
    *out = s;
    return RC_OK;
}

/* ---- the calendar ------------------------------------------------------------------------------------------------ */

const char *rc__series_time(const rc__series *s, size_t group, size_t step, char buf[64]) {
    const rc__group *g = &s->group[group];
    if (!s->schema->has_time) {
        snprintf(buf, 64, "%lld", (long long)g->start + (long long)step + 1);
        return buf;
    }
    return rc__time_text(rc__time_step(g->start, &s->schema->frequency, (int64_t)step), &s->schema->style, buf);
}

size_t rc__calendar_features(const rc__schema *s, int64_t time, double *out) {
    if (!s->has_time || s->frequency.unit == RC_UNIT_INDEX || s->style.form == RC_DATE_INDEX) return 0;
    rc__calendar c = rc__time_calendar(time, s->frequency.offset);
    int64_t step = s->frequency.unit == RC_UNIT_MONTH          ? s->frequency.count * 30 * 86400
                   : s->frequency.unit == RC_UNIT_BUSINESS_DAY ? 86400
                                                               : s->frequency.count;
    double part[RC_CALENDAR_MAX / 2];
    size_t n = 0;
    double hour = (c.hour + c.minute / 60.0 + c.second / 3600.0) / 24, day = (c.weekday + hour) / 7;
    if (step < 3600) part[n++] = (c.minute + c.second / 60.0) / 60;
    if (step < 86400) part[n++] = hour;
    if (step < 7 * 86400) part[n++] = day;
    if (step >= 86400 && step < 365 * 86400) part[n++] = (c.year_day + hour) / 365.2425;
    for (size_t i = 0; out && i < n; i++) {
        out[2 * i] = sin(2 * PI * part[i]);
        out[2 * i + 1] = cos(2 * PI * part[i]);
    }
    return 2 * n;
}
