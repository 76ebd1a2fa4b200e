/* table.c - see table.h. Outline: records - cells of a record - JSON lines - finding out - opening - rows - tables. */
#include "data/table.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "data/strtab.h"
#include "data/timestamp.h"

struct rc__rows {
    rc__source *src;
    bool json, spaces, quotes, padded, skip_ragged;
    size_t skipped;
    char delimiter;
    rc__choice comments;
    bool header;
    size_t first_line, line, n_rows;
    size_t n_cols; /* 0: not known yet, any number will do */
    rc__strtab names;
    rc__cell *cells;
    size_t n_cells, cells_cap;
    bool held;        /* the first row was read and is still to be given */
    rc__arena *texts; /* of JSON lines */
};

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Line and byte of a place in the record. */
static void place(const rc__rows *r, const char *text, size_t at, size_t *line, size_t *byte) {
    size_t start = 0;
    *line = r->line;
    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    *byte = at - start + 1;
}

/* Where the scan for quotes stopped: a record may grow by a line and the scan goes on. */
typedef struct quote_scan {
    size_t at, open;
    bool quoted, start; /* inside quotes; where a cell begins */
} quote_scan;

static void scan_quotes(const rc__rows *r, const char *text, size_t len, quote_scan *q) {
    while (q->at < len) {
        char c = text[q->at];
        if (q->quoted) {
            const char *p = memchr(text + q->at, '"', len - q->at);
            if (!p) {
                q->at = len;
                return;
            }
            q->at = (size_t)(p - text) + 1;
            if (q->at < len && text[q->at] == '"')
                q->at++;
            else
                q->quoted = false;
            continue;
        }
        if (q->start && c == '"') {
            q->quoted = true;
            q->open = q->at;
        }
        q->start = c == r->delimiter;
        q->at++;
    }
}

/* The next record that is a row; *text NULL at the end. */
static rc_status next_record(rc__rows *r, char **text, size_t *len, rc_error *e) {
    for (;;) {
        rc_status s = rc__source_next(r->src, text, len, e);
        if (s != RC_OK || !*text) return s;
        rc__cell inside = rc__cell_trim((rc__cell){*text, *len});
        if (*len == 0 || (inside.len == 0 && r->delimiter != '\t')) continue;
        bool comment = inside.len && inside.text[0] == '#' && (inside.len == 1 || inside.text[1] == ' ');
        if (r->comments == RC_YES && inside.len && inside.text[0] == '#') continue;
        if (r->comments == RC_AUTO && comment && r->n_rows == 0) continue;
        break;
    }
    r->line = rc__source_line(r->src);
    r->n_rows++;
    if (!r->quotes) return RC_OK;
    quote_scan q = {.start = true};
    for (;;) {
        scan_quotes(r, *text, *len, &q);
        if (!q.quoted) return RC_OK;
        bool more;
        rc_status s = rc__source_extend(r->src, text, len, &more, e);
        if (s != RC_OK) return s;
        if (more) continue;
        size_t line, byte;
        place(r, *text, q.open, &line, &byte);
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu, byte %zu: expected the end of a quoted cell, found the end of the file",
                       rc__source_name(r->src), line, byte);
    }
}

/* ---- cells of a record ------------------------------------------------------------------------------------------- */

enum { MAX_COLUMNS = 1 << 20 }; /* a line of commas is no table */

static rc_status add_cell(rc__rows *r, const char *text, size_t len, rc_error *e) {
    if (r->n_cells >= MAX_COLUMNS)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected at most %d cells, found more", rc__source_name(r->src),
                       r->line, MAX_COLUMNS);
    rc_status s = rc__grow((void **)&r->cells, &r->cells_cap, r->n_cells + 1, sizeof *r->cells, e);
    if (s == RC_OK) r->cells[r->n_cells++] = (rc__cell){text, len};
    return s;
}

static rc_status split_spaces(rc__rows *r, char *text, size_t len, rc_error *e) {
    rc__cell rest = {text, len};
    rc_status s = RC_OK;
    while (s == RC_OK) {
        rc__cell word = rc__cell_word(&rest);
        if (word.len == 0) break;
        s = add_cell(r, word.text, word.len, e);
    }
    return s;
}

/* A quoted cell from text[at], its quotes taken away in place; *end = behind it. */
static rc_status split_quoted(rc__rows *r, char *text, size_t len, size_t at, size_t *end, rc_error *e) {
    size_t from = at + 1, to = from, i = from;
    for (;; i++) {
        if (text[i] == '"') {
            if (i + 1 >= len || text[i + 1] != '"') break;
            i++;
        }
        text[to++] = text[i];
    }
    for (i++; i < len && text[i] == ' ' && r->delimiter != ' ';) i++;
    if (i < len && text[i] != r->delimiter) {
        size_t line, byte;
        char shown[64];
        place(r, text, i, &line, &byte);
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu, byte %zu: expected '%s' behind a quoted cell, found %s (a quote in a "
                       "quoted cell is written twice)",
                       rc__source_name(r->src), line, byte, r->delimiter == '\t' ? "tab" : (char[]){r->delimiter, 0},
                       rc__cell_show((rc__cell){text + i, len - i < 12 ? len - i : 12}, shown));
    }
    *end = i;
    return add_cell(r, text + from, to - from, e);
}

static rc_status split(rc__rows *r, char *text, size_t len, rc_error *e) {
    r->n_cells = 0;
    if (r->spaces) return split_spaces(r, text, len, e);
    for (size_t at = 0;; at++) {
        rc_status s;
        size_t end = len;
        if (r->quotes && at < len && text[at] == '"') {
            s = split_quoted(r, text, len, at, &end, e);
        } else {
            const char *p = memchr(text + at, r->delimiter, len - at);
            end = p ? (size_t)(p - text) : len;
            s = add_cell(r, text + at, end - at, e);
        }
        if (s != RC_OK) return s;
        if (end >= len) return RC_OK;
        at = end;
    }
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

/* The text of a value; false for one that holds others. */
static bool value_text(const json_t *v, char buf[40], const char **text, size_t *len) {
    *text = buf;
    switch (json_typeof(v)) {
    case JSON_STRING:
        *text = json_string_value(v);
        *len = json_string_length(v);
        return true;
    case JSON_INTEGER: *len = (size_t)snprintf(buf, 40, "%lld", (long long)json_integer_value(v)); return true;
    case JSON_REAL:
        for (int digits = 15; digits <= 17; digits++) {
            double back;
            *len = (size_t)snprintf(buf, 40, "%.*g", digits, json_real_value(v));
            for (size_t i = 0; i < *len; i++)
                if (buf[i] == ',') buf[i] = '.'; /* as some locales print it */
            if (rc__cell_number((rc__cell){buf, *len}, &back) && back == json_real_value(v)) break;
        }
        return true;
    case JSON_TRUE:
        *text = "true";
        *len = 4;
        return true;
    case JSON_FALSE:
        *text = "false";
        *len = 5;
        return true;
    case JSON_NULL:
        *text = "";
        *len = 0;
        return true;
    default: return false;
    }
}

static rc_status set_names(rc__rows *r, const json_t *object, rc_error *e) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) { /* nothing is changed */
        uint32_t id;
        rc_status s = rc__strtab_add(&r->names, key, strlen(key), &id, NULL, e);
        if (s != RC_OK) return rc__source_blame(r->src, s, e);
    }
    r->n_cols = r->names.count;
    if (r->n_cols) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected an object with keys, found none", rc__source_name(r->src),
                   r->line);
}

static rc_status json_cells(rc__rows *r, const json_t *object, rc_error *e) {
    const char *key, *text;
    json_t *v;
    char buf[40];
    size_t total = 0, len;
    rc_status s = RC_OK;
    for (r->n_cells = 0; s == RC_OK && r->n_cells < r->n_cols;) s = add_cell(r, "", 0, e);
    if (s != RC_OK) return s;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        if (rc__strtab_find(&r->names, key, strlen(key)) < 0)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected the keys of line %zu, found \"%.63s\" besides",
                           rc__source_name(r->src), r->line, r->first_line, key);
        if (!value_text(v, buf, &text, &len))
            return rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected a text or a number, found a nested value",
                           rc__source_name(r->src), r->line, key);
        total += len;
    }
    char *at = rc__arena_alloc(r->texts, total + 1);
    if (!at) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        value_text(v, buf, &text, &len);
        if (len) memcpy(at, text, len);
        r->cells[rc__strtab_find(&r->names, key, strlen(key))] = (rc__cell){at, len};
        at += len;
    }
    return RC_OK;
}

static rc_status next_json(rc__rows *r, bool *end, rc_error *e) {
    char *text;
    size_t len;
    json_t *object;
    rc_status s = next_record(r, &text, &len, e);
    *end = s == RC_OK && !text;
    if (s != RC_OK || *end) return s;
    s = rc__json_parse_line(text, len, rc__source_name(r->src), r->line, &object, e);
    if (s != RC_OK) return s;
    if (!rc__source_is_whole(r->src)) rc__arena_reset(r->texts);
    if (r->n_cols == 0) {
        r->first_line = r->line;
        s = set_names(r, object, e);
    }
    if (s == RC_OK) s = json_cells(r, object, e);
    json_decref(object);
    return s;
}

/* ---- finding out ------------------------------------------------------------------------------------------------- */

static bool among(rc__cell name, const char *const *names) {
    for (; *names; names++)
        if (strlen(*names) == name.len && strncasecmp(*names, name.text, name.len) == 0) return true;
    return false;
}
bool rc__is_text_name(rc__cell name) {
    static const char *const names[] = {"text",    "sentence", "message",   "review", "content",  "body", "tweet",
                                        "comment", "title",    "utterance", "query",  "question", NULL};
    return among(name, names);
}
bool rc__is_label_name(rc__cell name) {
    static const char *const names[] = {"label",  "labels", "class",  "category", "sentiment",
                                        "target", "y",      "intent", "topic",    NULL};
    return among(name, names);
}
static bool is_other_name(rc__cell name) {
    static const char *const names[] = {"date", "time", "timestamp", "datetime", "value", "id", "description", NULL};
    return among(name, names);
}

enum { SAMPLE_ROWS = 64, SAMPLE_BYTES = 1 << 16 };

typedef struct look {
    size_t cells, same, rows; /* of the first row; rows with as many; rows looked at */
    bool header, all_quoted;
} look;

static bool is_value(rc__cell c) {
    double x;
    return rc__cell_number(c, &x) || rc__time_is(c);
}

/* What tells a header: no number in it, and numbers below, or a name that readers know which does not come again. */
typedef struct header_look {
    rc__cell *first;
    unsigned char *below; /* 1: values, 2: texts, 4: the same text again */
    size_t n;
} header_look;

static void header_row(header_look *h, const rc__cell *cells, size_t n) {
    for (size_t i = 0; i < n && i < h->n; i++) {
        rc__cell c = rc__cell_trim(cells[i]);
        if (c.len == 0 || rc__cell_is(c, "NA") || rc__cell_is(c, "nan") || rc__cell_is(c, "NaN")) continue;
        h->below[i] |= is_value(c) ? 1 : 2;
        if (c.len == h->first[i].len && memcmp(c.text, h->first[i].text, c.len) == 0) h->below[i] |= 4;
    }
}

static bool is_header(const header_look *h) {
    bool words = true, known = false, numbers = false;
    for (size_t i = 0; i < h->n; i++) {
        rc__cell c = rc__cell_trim(h->first[i]);
        if (is_value(c) || (c.len == 0 && i > 0)) return false;
        if (c.len > 40 || memchr(c.text, ' ', c.len)) words = false;
        if (!(h->below[i] & 4) && (rc__is_text_name(c) || rc__is_label_name(c) || is_other_name(c))) known = true;
        if (h->below[i] == 1) numbers = true;
    }
    return numbers || (known && words);
}

/* Reads a copy of the head of the file as it would be with these settings. */
static rc_status look_at(const rc__rows *like, const char *text, size_t len, look *out, rc_error *e) {
    *out = (look){.all_quoted = true};
    rc__rows r = {
        .quotes = like->quotes, .delimiter = like->delimiter, .spaces = like->spaces, .comments = like->comments};
    header_look h = {0};
    char *copy = rc__alloc(len + 1);
    rc_status s = copy ? rc__source_memory(&r.src, copy, len, "sample", e) : rc_fail(e, RC_ENOMEM, "out of memory");
    if (copy) memcpy(copy, text, len);
    while (s == RC_OK && out->rows < SAMPLE_ROWS) {
        char *record;
        size_t n;
        rc_error ignored;
        s = next_record(&r, &record, &n, &ignored);
        if (s == RC_OK && !record) break;
        if (s == RC_OK) s = split(&r, record, n, &ignored);
        if (s != RC_OK) { /* what is wrong there is said when the row itself is read */
            s = s == RC_ENOMEM ? rc_fail(e, s, "out of memory") : RC_OK;
            break;
        }
        if (out->rows++ == 0) {
            out->cells = h.n = r.n_cells;
            h.first = rc__calloc(h.n, sizeof *h.first);
            h.below = rc__calloc(h.n, 1);
            if (!h.first || !h.below) {
                s = rc_fail(e, RC_ENOMEM, "out of memory");
                break;
            }
            memcpy(h.first, r.cells, h.n * sizeof *h.first);
            for (size_t i = 0; i < h.n; i++) {
                rc__cell c = h.first[i];
                if (c.len < 2 || c.text[0] != '"' || c.text[c.len - 1] != '"') out->all_quoted = false;
            }
        } else {
            header_row(&h, r.cells, r.n_cells);
        }
        out->same += r.n_cells == out->cells;
    }
    if (s == RC_OK && out->rows) out->header = is_header(&h);
    rc__free(h.first, h.n * sizeof *h.first);
    rc__free(h.below, h.n);
    rc__free(r.cells, r.cells_cap * sizeof *r.cells);
    rc__source_free(r.src);
    rc__free(copy, len + 1);
    return s;
}

static bool name_ends(const char *name, const char *ending) {
    size_t n = strlen(name), k = strlen(ending);
    if (n > 3 && strcasecmp(name + n - 3, ".gz") == 0) n -= 3;
    return n >= k && strncasecmp(name + n - k, ending, k) == 0;
}

/* The first of these by which most rows have as many cells, two or more, as the first row. */
static rc_status find_delimiter(rc__rows *r, const rc__table_options *o, const char *text, size_t len, rc_error *e) {
    static const char candidates[] = "\t;,| ";
    double best = 0;
    char found = ',';
    if (name_ends(rc__source_name(r->src), ".tsv") || name_ends(rc__source_name(r->src), ".tab")) {
        r->delimiter = '\t';
        return RC_OK;
    }
    for (const char *c = candidates; *c; c++) {
        look l;
        r->delimiter = *c;
        r->spaces = *c == ' ';
        r->quotes = *c == '\t' || *c == ' ' ? o->quotes == RC_YES : o->quotes != RC_NO;
        rc_status s = look_at(r, text, len, &l, e);
        if (s != RC_OK) return s;
        if (l.cells < 2) continue;
        double share = (double)l.same / (double)l.rows;
        if (*c == ' ' && share < 1) share = 0; /* words of a text */
        if (share > best) {
            best = share;
            found = *c;
        }
    }
    r->delimiter = found;
    r->spaces = found == ' ';
    return RC_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* The lines that are looked at: whole ones. */
static size_t sample_length(const char *text, size_t len) {
    if (len <= SAMPLE_BYTES) return len;
    size_t n = SAMPLE_BYTES;
    while (n && text[n - 1] != '\n') n--;
    if (n) return n;
    const char *end = memchr(text, '\n', len);
    return end ? (size_t)(end - text) + 1 : len;
}

static rc_status set_format(rc__rows *r, const rc__table_options *o, rc_error *e) {
    static const struct {
        const char *name;
        char delimiter;
    } formats[] = {{"csv", ','}, {"tsv", '\t'}, {"semicolon", ';'}, {"spaces", ' '}, {"jsonl", 0}};
    const char *text, *name = o->format && strcmp(o->format, "auto") != 0 ? o->format : NULL;
    size_t len;
    char *first; /* lines before it say nothing */
    rc_status s = next_record(r, &first, &len, e);
    if (s == RC_OK && !first)
        return rc_fail(e, RC_EDATA, "%s: expected rows, found an empty file", rc__source_name(r->src));
    r->n_rows = 0;
    rc__source_again(r->src);
    if (s == RC_OK) s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    len = sample_length(text, len);
    size_t k = 0, n = sizeof formats / sizeof *formats;
    while (name && k < n && strcmp(name, formats[k].name) != 0) k++;
    if (k == n)
        return rc_fail(e, RC_EINVAL, "table format \"%.40s\": expected auto, csv, tsv, semicolon, spaces or jsonl",
                       name);
    if (o->delimiter == '"' || o->delimiter == '\n' || o->delimiter == '\r')
        return rc_fail(e, RC_EINVAL, "delimiter: expected a character that is no quote and no line end");
    rc__cell head = {text, len};
    bool brace = len && rc__cell_word(&head).text[0] == '{';
    r->json = name ? formats[k].delimiter == 0 : !o->delimiter && brace;
    if (r->json) return RC_OK;
    r->delimiter = o->delimiter ? o->delimiter : name ? formats[k].delimiter : 0;
    r->spaces = r->delimiter == ' ';
    look l;
    if (!r->delimiter) s = find_delimiter(r, o, text, len, e);
    r->quotes = r->delimiter == '\t' || r->spaces ? o->quotes == RC_YES : o->quotes != RC_NO;
    if (s == RC_OK) s = look_at(r, text, len, &l, e);
    if (s == RC_OK && r->delimiter == '\t' && o->quotes == RC_AUTO && l.all_quoted && l.cells) {
        r->quotes = true;
        s = look_at(r, text, len, &l, e);
    }
    if (s != RC_OK) return s;
    r->header = o->header == RC_AUTO ? l.header : o->header == RC_YES;
    return RC_OK;
}

static rc_status header_names(rc__rows *r, rc_error *e) {
    for (size_t i = 0; i < r->n_cells; i++) {
        char number[32];
        uint32_t id;
        bool added;
        rc__cell name = rc__cell_trim(r->cells[i]);
        if (name.len == 0) name = (rc__cell){number, (size_t)snprintf(number, sizeof number, "column %zu", i + 1)};
        rc_status s = rc__strtab_add(&r->names, name.text, name.len, &id, &added, e);
        if (s != RC_OK) return rc__source_blame(r->src, s, e);
        char shown[64];
        if (!added)
            return rc_fail(e, RC_EDATA,
                           "%s: line %zu: expected different names of columns, found %s in columns %zu and %zu",
                           rc__source_name(r->src), r->line, rc__cell_show(name, shown), (size_t)id + 1, i + 1);
    }
    return RC_OK;
}

static rc_status first_row(rc__rows *r, rc_error *e) {
    char *text = NULL;
    size_t len;
    bool end;
    rc_status s;
    if (r->json) {
        s = next_json(r, &end, e);
        r->header = r->held = true;
    } else {
        s = next_record(r, &text, &len, e);
        end = !text;
        if (s == RC_OK && text) s = split(r, text, len, e);
        r->held = !r->header;
    }
    if (s != RC_OK) return s;
    if (end) return rc_fail(e, RC_EDATA, "%s: expected rows, found an empty file", rc__source_name(r->src));
    r->n_cols = r->n_cells;
    r->first_line = r->line;
    return r->header && !r->json ? header_names(r, e) : RC_OK;
}

rc_status rc__rows_open(rc__rows **out, rc__source *src, const rc__table_options *o, rc_error *e) {
    static const rc__table_options defaults = {0};
    *out = NULL;
    if (!o) o = &defaults;
    rc__rows *r = rc__calloc(1, sizeof *r);
    rc__arena *texts = rc__arena_new();
    if (!r || !texts) {
        rc__free(r, sizeof *r);
        rc__arena_free(texts);
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    }
    r->src = src;
    r->texts = texts;
    r->padded = o->padded;
    r->skip_ragged = o->skip_ragged;
    r->comments = o->comments;
    rc_status s = set_format(r, o, e);
    if (s == RC_OK) s = first_row(r, e);
    if (s != RC_OK) {
        rc__rows_free(r);
        return s;
    }
    *out = r;
    return RC_OK;
}

void rc__rows_free(rc__rows *r) {
    if (!r) return;
    rc__strtab_free(&r->names);
    rc__free(r->cells, r->cells_cap * sizeof *r->cells);
    rc__arena_free(r->texts);
    rc__free(r, sizeof *r);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static rc_status fit(rc__rows *r, bool *skip, rc_error *e) {
    size_t n = r->n_cells;
    *skip = false;
    if (n == r->n_cols) return RC_OK;
    bool fits = r->padded;
    for (size_t i = r->n_cols; fits && i < n; i++) fits = rc__cell_trim(r->cells[i]).len == 0;
    *skip = !fits && r->skip_ragged;
    if (*skip) r->skipped++;
    if (*skip) return RC_OK;
    if (!fits)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %zu %s as in line %zu, found %zu; --skip-bad-rows leaves such rows out", rc__source_name(r->src),
                       r->line, r->n_cols, r->n_cols == 1 ? "cell" : "cells", r->first_line, n);
    rc_status s = RC_OK;
    while (s == RC_OK && r->n_cells < r->n_cols) s = add_cell(r, "", 0, e);
    return s;
}

rc_status rc__rows_next(rc__rows *r, const rc__cell **cells, rc_error *e) {
    *cells = NULL;
    bool end = false;
    rc_status s = RC_OK;
    if (r->held) {
        r->held = false;
    } else if (r->json) {
        s = next_json(r, &end, e);
    } else {
        char *text;
        size_t len;
        for (bool skip = true; s == RC_OK && skip && !end;) {
            s = next_record(r, &text, &len, e);
            end = s == RC_OK && !text;
            if (s == RC_OK && !end) s = split(r, text, len, e);
            if (s == RC_OK && !end) s = fit(r, &skip, e);
        }
    }
    if (s == RC_OK && !end) *cells = r->cells;
    return s;
}

size_t rc__rows_line(const rc__rows *r) { return r->line; }
size_t rc__rows_skipped(const rc__rows *r) { return r->skipped; }
size_t rc__rows_columns(const rc__rows *r) { return r->n_cols; }

rc__cell rc__rows_name(const rc__rows *r, size_t col) {
    rc__cell name = {0};
    if (r->header && col < r->names.count) name.text = rc__strtab_get(&r->names, col, &name.len);
    return name;
}

rc_status rc__rows_find(const rc__rows *r, const char *name, size_t *col, rc_error *e) {
    size_t n = strlen(name), best = 0, near = 99;
    for (size_t i = 0; r->header && i < r->n_cols; i++) {
        rc__cell have = rc__rows_name(r, i);
        if (rc__cell_is(have, name)) {
            *col = i;
            return RC_OK;
        }
        size_t d = rc__edit_distance(have.text, have.len, name, n);
        if (have.len == n && strncasecmp(have.text, name, n) == 0) d = 0;
        if (d < near) {
            near = d;
            best = i;
        }
    }
    int64_t number;
    const char *file = rc__source_name(r->src);
    if (rc__cell_integer((rc__cell){name, n}, &number)) {
        if (number >= 1 && (uint64_t)number <= r->n_cols) {
            *col = (size_t)number - 1;
            return RC_OK;
        }
        return rc_fail(e, RC_EINVAL, "%s: column %.40s: expected a column from 1 to %zu", file, name, r->n_cols);
    }
    if (!r->header)
        return rc_fail(e, RC_EINVAL, "%s: column \"%.40s\": there is no header, expected a number from 1 to %zu", file,
                       name, r->n_cols);
    char shown[64], all[400] = "";
    if (near <= 3 && near < n)
        return rc_fail(e, RC_EINVAL, "%s: no column is called \"%.40s\"; did you mean %s?", file, name,
                       rc__cell_show(rc__rows_name(r, best), shown));
    for (size_t i = 0, at = 0; i < r->n_cols && at + 80 < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "",
                               rc__cell_show(rc__rows_name(r, i), shown));
    return rc_fail(e, RC_EINVAL, "%s: no column is called \"%.40s\"; there are %s", file, name, all);
}

const char *rc__rows_how(const rc__rows *r, char buf[RC_ROWS_HOW]) {
    char by[16], header[40] = "no header";
    if (r->json) {
        snprintf(buf, RC_ROWS_HOW, "JSON lines, %zu keys", r->n_cols);
        return buf;
    }
    if (r->spaces || r->delimiter == '\t' || r->delimiter == ',' || r->delimiter == ';')
        snprintf(by, sizeof by, "%s",
                 r->spaces              ? "white space"
                 : r->delimiter == '\t' ? "tab"
                 : r->delimiter == ','  ? "comma"
                                        : "semicolon");
    else
        snprintf(by, sizeof by, "'%c'", r->delimiter);
    if (r->header) snprintf(header, sizeof header, "header in line %zu", r->first_line);
    snprintf(buf, RC_ROWS_HOW, "%s separated, %s, %zu column%s", by, header, r->n_cols, r->n_cols == 1 ? "" : "s");
    return buf;
}

/* ---- whole tables ------------------------------------------------------------------------------------------------ */

struct rc__table {
    rc__source *src;
    rc__rows *rows;
    rc__cell *cells; /* row after row */
    size_t *lines;
    size_t n_rows, cells_cap, lines_cap;
    char *markers; /* the texts for missing values, each ended by 0 */
    size_t markers_len, n_markers;
};

void rc__table_free(rc__table *t) {
    if (!t) return;
    rc__free(t->cells, t->cells_cap * sizeof *t->cells);
    rc__free(t->lines, t->lines_cap * sizeof *t->lines);
    rc__free(t->markers, t->markers_len);
    rc__rows_free(t->rows);
    rc__source_free(t->src);
    rc__free(t, sizeof *t);
}

static rc_status copy_markers(rc__table *t, const rc__table_options *o, rc_error *e) {
    static const char *const usual[] = {RC_TABLE_MISSING};
    const char *const *m = o && o->missing ? o->missing : usual;
    t->n_markers = o && o->missing ? o->n_missing : sizeof usual / sizeof *usual;
    for (size_t i = 0; i < t->n_markers; i++) t->markers_len += strlen(m[i]) + 1;
    t->markers = rc__alloc(t->markers_len);
    if (!t->markers) return rc_fail(e, RC_ENOMEM, "out of memory");
    char *at = t->markers;
    for (size_t i = 0; i < t->n_markers; i++) {
        memcpy(at, m[i], strlen(m[i]) + 1);
        at += strlen(m[i]) + 1;
    }
    return RC_OK;
}

/* What is filled up with empty cells may be larger than any file: at most two for each of its bytes. */
static bool too_sparse(const rc__table *t, size_t bytes) {
    size_t most = bytes / 2 > SIZE_MAX / 8 ? SIZE_MAX : 65536 + 2 * bytes;
    return t->n_rows >= most / rc__rows_columns(t->rows);
}

static rc_status fill(rc__table *t, const rc__table_options *o, rc_error *e) {
    const char *text;
    size_t bytes;
    rc_status s = copy_markers(t, o, e);
    if (s == RC_OK) s = rc__source_peek(t->src, &text, &bytes, e);
    if (s == RC_OK) s = rc__rows_open(&t->rows, t->src, o, e);
    while (s == RC_OK) {
        const rc__cell *row;
        s = rc__rows_next(t->rows, &row, e);
        if (s != RC_OK || !row) break;
        size_t n = rc__rows_columns(t->rows);
        if (too_sparse(t, bytes))
            return rc_fail(e, RC_EDATA,
                           "%s: line %zu: expected a value in every other cell or so, found a table that is "
                           "nearly empty",
                           rc__source_name(t->src), rc__rows_line(t->rows));
        s = rc__grow((void **)&t->cells, &t->cells_cap, (t->n_rows + 1) * n, sizeof *t->cells, e);
        if (s == RC_OK) s = rc__grow((void **)&t->lines, &t->lines_cap, t->n_rows + 1, sizeof *t->lines, e);
        if (s != RC_OK) break;
        memcpy(t->cells + t->n_rows * n, row, n * sizeof *row);
        t->lines[t->n_rows++] = rc__rows_line(t->rows);
    }
    if (s == RC_OK && t->n_rows == 0)
        return rc_fail(e, RC_EDATA, "%s: expected rows behind the header, found none", rc__source_name(t->src));
    return s;
}

rc_status rc__table_take(rc__table **out, rc__source *src, const rc__table_options *o, rc_error *e) {
    *out = NULL;
    rc__table *t = rc__calloc(1, sizeof *t);
    if (!t) {
        rc__source_free(src);
        return rc_fail(e, RC_ENOMEM, "out of memory");
    }
    t->src = src;
    rc_status s = fill(t, o, e);
    if (s == RC_OK)
        *out = t;
    else
        rc__table_free(t);
    return s;
}

rc_status rc__table_read(rc__table **out, const char *path, const rc__table_options *o, rc_error *e) {
    rc__source *src;
    *out = NULL;
    rc_status s = rc__source_open(&src, path, e);
    return s == RC_OK ? rc__table_take(out, src, o, e) : s;
}

size_t rc__table_n_rows(const rc__table *t) { return t->n_rows; }
const rc__rows *rc__table_rows(const rc__table *t) { return t->rows; }
const char *rc__table_file(const rc__table *t) { return rc__source_name(t->src); }
const rc__cell *rc__table_row(const rc__table *t, size_t row) { return t->cells + row * rc__rows_columns(t->rows); }
rc__cell rc__table_cell(const rc__table *t, size_t row, size_t col) { return rc__table_row(t, row)[col]; }
size_t rc__table_line(const rc__table *t, size_t row) { return t->lines[row]; }
const size_t *rc__table_lines(const rc__table *t) { return t->lines; }

bool rc__table_missing(const rc__table *t, rc__cell c) {
    c = rc__cell_trim(c);
    const char *m = t->markers;
    for (size_t i = 0; i < t->n_markers; i++, m += strlen(m) + 1)
        if (rc__cell_is(c, m)) return true;
    return false;
}

const char *rc__table_column_text(const rc__table *t, size_t col, char buf[96]) {
    char shown[64];
    rc__cell name = rc__rows_name(t->rows, col);
    if (name.text)
        snprintf(buf, 96, "column %zu (%s)", col + 1, rc__cell_show(name, shown));
    else
        snprintf(buf, 96, "column %zu", col + 1);
    return buf;
}

rc_status rc__table_real(const rc__table *t, size_t row, size_t col, double *out, rc_error *e) {
    rc__cell c = rc__table_cell(t, row, col);
    if (rc__table_missing(t, c)) {
        *out = NAN;
        return RC_OK;
    }
    if (rc__cell_number(c, out)) return RC_OK;
    char where[96], shown[64];
    const char *comma = c.len ? memchr(c.text, ',', c.len) : NULL;
    return rc_fail(e, RC_EDATA, "%s: line %zu, %s: expected a number, found %s%s", rc__table_file(t), t->lines[row],
                   rc__table_column_text(t, col, where), rc__cell_show(c, shown),
                   comma ? " (the decimal point is '.', and thousands are not separated)" : "");
}

rc__column_kind rc__table_column_kind(const rc__table *t, size_t col, size_t *missing) {
    bool numbers = true, times = true, any = false;
    size_t without = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        double x;
        rc__cell c = rc__table_cell(t, i, col);
        if (rc__table_missing(t, c)) {
            without++;
            continue;
        }
        any = true;
        numbers = numbers && rc__cell_number(c, &x);
        times = times && rc__time_is(c);
        if (!numbers && !times && !missing) break;
    }
    if (missing) *missing = without;
    return numbers ? RC_COLUMN_NUMBER : times && any ? RC_COLUMN_TIME : RC_COLUMN_TEXT;
}
