/* labelled.c - see labelled.h. Outline: names of columns - the format - columns of a table - opening - records - whole
 * files - folders. */
#include "data/labelled.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/utf8.h"

typedef enum form { TABLE, JSON_LINES, FASTTEXT, LABEL_FIRST, LINES } form;

enum { MAX_TEXTS = 8, NONE = -1 };

struct rc__labelled_reader {
    rc__source *src;
    form form;
    bool unlabelled;
    char *separator; /* NULL: one label */
    rc__rows *rows;  /* TABLE */
    size_t text_col[MAX_TEXTS], label_col;
    char *text_key[MAX_TEXTS], *label_key; /* JSON_LINES */
    size_t n_texts;
    bool has_label;
    rc__arena *texts;
    rc__cell *labels;
    size_t n_labels, labels_cap;
    char how[320];
};

#define PREFIX "__label__"

/* ---- looking at the head of a file ------------------------------------------------------------------------------- */

enum { LOOK_BYTES = 1 << 20, LOOK_LINES = 500 };

static bool begins(rc__cell c, const char *with) {
    return c.len >= strlen(with) && memcmp(c.text, with, strlen(with)) == 0;
}

/* The next line that is not empty. */
static bool next_line(rc__cell *rest, rc__cell *line) {
    while (rest->len) {
        const char *end = memchr(rest->text, '\n', rest->len);
        size_t n = end ? (size_t)(end - rest->text) : rest->len;
        *line = rc__cell_trim((rc__cell){rest->text, n && rest->text[n - 1] == '\r' ? n - 1 : n});
        rest->text += n + (end != NULL);
        rest->len -= n + (end != NULL);
        if (line->len) return true;
    }
    return false;
}

typedef struct head {
    size_t lines, braces, prefixes, tabs, words, numbers, different;
} head;

/* `words`: lines of a word, a space, and more; `numbers`: such whose word is a number. */
static rc_status look_at_lines(rc__cell text, head *h, rc_error *e) {
    rc__strtab first = {0};
    rc_status s = RC_OK;
    *h = (head){0};
    for (rc__cell line; s == RC_OK && h->lines < LOOK_LINES && next_line(&text, &line); h->lines++) {
        int64_t x;
        uint32_t id;
        const char *blank = memchr(line.text, ' ', line.len);
        h->braces += line.text[0] == '{';
        h->prefixes += begins(line, PREFIX);
        h->tabs += memchr(line.text, '\t', line.len) != NULL;
        if (!blank) continue;
        rc__cell word = {line.text, (size_t)(blank - line.text)};
        h->words += !memchr(word.text, '\t', word.len);
        h->numbers += rc__cell_integer(word, &x);
        s = rc__strtab_add(&first, word.text, word.len, &id, NULL, e);
    }
    h->different = first.count;
    rc__strtab_free(&first);
    return s;
}

static bool name_ends(const char *name, const char *ending) {
    size_t n = strlen(name), k = strlen(ending);
    if (n > 3 && strcasecmp(name + n - 3, ".gz") == 0) n -= 3;
    return n >= k && strncasecmp(name + n - k, ending, k) == 0;
}

static size_t whole_lines(const char *text, size_t len) {
    if (len <= LOOK_BYTES) return len;
    len = LOOK_BYTES;
    while (len && text[len - 1] != '\n') len--;
    return len ? len : LOOK_BYTES;
}

/* The table of the head of a file; NULL when it is none, as for a quoted cell that does not end there. */
static rc_status sample_table(const rc__labelled_reader *r, const rc__labelled_options *o, rc__cell text, char **copy,
                              rc__table **t, rc_error *e) {
    rc__source *src;
    rc_error ignored;
    *t = NULL;
    *copy = rc__alloc(text.len + 1);
    if (!*copy) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    memcpy(*copy, text.text, text.len);
    rc_status s = rc__source_memory(&src, *copy, text.len, rc__source_name(r->src), &ignored);
    if (s == RC_OK) s = rc__table_take(t, src, &o->table, &ignored);
    return s == RC_ENOMEM ? rc_fail(e, s, "%s: out of memory", rc__source_name(r->src)) : RC_OK;
}

/* How many columns the head of a file has when it is read as a table (0: it is none, or words of a text), and whether
 * one has a name of texts. */
static rc_status look_at_rows(const rc__labelled_reader *r, const rc__labelled_options *o, rc__cell text, size_t *cols,
                              bool *known, rc_error *e) {
    rc__source *src = NULL;
    rc__rows *rows = NULL;
    const rc__cell *row;
    rc_error ignored;
    char how[RC_ROWS_HOW], *copy = rc__alloc(text.len + 1);
    *cols = 0;
    *known = false;
    if (!copy) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    memcpy(copy, text.text, text.len);
    rc_status s = rc__source_memory(&src, copy, text.len, rc__source_name(r->src), &ignored);
    if (s == RC_OK) s = rc__rows_open(&rows, src, &o->table, &ignored);
    bool words = s == RC_OK && strncmp(rc__rows_how(rows, how), "white", 5) == 0;
    do row = NULL;
    while (s == RC_OK && (s = rc__rows_next(rows, &row, &ignored)) == RC_OK && row);
    if (s == RC_OK && !words) {
        *cols = rc__rows_columns(rows);
        for (size_t i = 0; i < *cols; i++) {
            rc__cell name = rc__rows_name(rows, i);
            *known = *known || (name.text && rc__is_text_name(name));
        }
    }
    rc__rows_free(rows);
    rc__source_free(src);
    rc__free(copy, text.len + 1);
    return s == RC_ENOMEM ? rc_fail(e, s, "%s: out of memory", rc__source_name(r->src)) : RC_OK;
}

/* ---- the format -------------------------------------------------------------------------------------------------- */

static rc_status guess_form(rc__labelled_reader *r, const rc__labelled_options *o, rc_error *e) {
    const char *text, *name = rc__source_name(r->src);
    size_t len;
    head h;
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    len = s == RC_OK ? whole_lines(text, len) : 0;
    if (s == RC_OK) s = look_at_lines((rc__cell){text, len}, &h, e);
    if (s != RC_OK) return s;
    bool named = name_ends(name, ".csv") || name_ends(name, ".tsv") || name_ends(name, ".tab");
    bool wanted = o->text || o->label || o->table.delimiter || o->table.format || o->table.header == RC_YES;
    r->form = LINES;
    if (h.lines && (h.braces == h.lines || name_ends(name, ".jsonl")))
        r->form = JSON_LINES;
    else if (h.lines && h.prefixes == h.lines)
        r->form = FASTTEXT;
    else if (named || wanted)
        r->form = TABLE;
    else if (!o->unlabelled && h.lines && h.tabs * 10 >= h.lines * 9)
        r->form = TABLE;
    else if (!o->unlabelled && h.lines && h.words == h.lines && h.numbers == h.lines)
        r->form = LABEL_FIRST;
    if (r->form != LINES || h.lines == 0) return RC_OK;
    size_t cols;
    bool known;
    s = look_at_rows(r, o, (rc__cell){text, len}, &cols, &known, e);
    if (s != RC_OK) return s;
    if (known || (!o->unlabelled && cols >= 2)) r->form = TABLE;
    if (r->form == LINES && !o->unlabelled && h.words == h.lines && h.lines >= 4 && h.different * 2 <= h.lines)
        r->form = LABEL_FIRST;
    return RC_OK;
}

static rc_status set_form(rc__labelled_reader *r, const rc__labelled_options *o, rc__table_options *table,
                          rc_error *e) {
    static const struct {
        const char *name;
        form form;
        bool table;
    } forms[] = {{"table", TABLE, false},       {"csv", TABLE, true},
                 {"tsv", TABLE, true},          {"semicolon", TABLE, true},
                 {"spaces", TABLE, true},       {"jsonl", JSON_LINES, false},
                 {"fasttext", FASTTEXT, false}, {"label-first", LABEL_FIRST, false},
                 {"lines", LINES, false}};
    size_t n = sizeof forms / sizeof *forms, i = 0;
    if (o->format && strcmp(o->format, "auto") != 0) {
        while (i < n && strcmp(forms[i].name, o->format) != 0) i++;
        if (i == n)
            return rc_fail(e, RC_EINVAL,
                           "%s: format \"%.40s\": expected auto, table, csv, tsv, semicolon, spaces, jsonl, fasttext, "
                           "label-first, lines or folder",
                           rc__source_name(r->src), o->format);
        r->form = forms[i].form;
        if (forms[i].table) table->format = forms[i].name;
    } else {
        rc_status s = guess_form(r, o, e);
        if (s != RC_OK) return s;
    }
    if (r->form == LINES && !o->unlabelled)
        return rc_fail(
            e, RC_EDATA,
            "%s: line 1: expected texts with labels, found plain lines; readable are tables (a column label and "
            "a column text), JSON lines, __label__x text, label text, and a folder with one folder per class",
            rc__source_name(r->src));
    return RC_OK;
}

/* ---- columns of a table ------------------------------------------------------------------------------------------ */

/* One name of "title+description" after the other. */
static bool next_name(const char **names, char one[128]) {
    if (!*names || !**names) return false;
    size_t n = strcspn(*names, "+"), k = n < 127 ? n : 127;
    memcpy(one, *names, k);
    one[k] = 0;
    *names += n + ((*names)[n] == '+');
    return true;
}

static rc_status too_many(const rc__labelled_reader *r, rc_error *e) {
    return rc_fail(e, RC_EINVAL, "%s: expected at most %d columns of text", rc__source_name(r->src), MAX_TEXTS);
}

typedef struct column_look {
    size_t different, bytes, longest;
} column_look;

static rc_status look_at_column(const rc__table *t, size_t col, column_look *l, rc_error *e) {
    rc__strtab values = {0};
    rc_status s = RC_OK;
    *l = (column_look){0};
    for (size_t i = 0; s == RC_OK && i < rc__table_n_rows(t); i++) {
        rc__cell c = rc__table_cell(t, i, col);
        uint32_t id;
        s = rc__strtab_add(&values, c.text, c.len, &id, NULL, e);
        l->bytes += c.len;
        if (c.len > l->longest) l->longest = c.len;
    }
    l->different = values.count;
    rc__strtab_free(&values);
    return s;
}

/* Of two or three columns, the one with the fewest different short values, of several the shorter one; NONE: none. */
static rc_status guess_label(rc__labelled_reader *r, const rc__labelled_options *o, int *label, rc_error *e) {
    const char *text;
    size_t len, n = rc__rows_columns(r->rows);
    column_look l[3];
    char *copy;
    rc__table *t;
    *label = NONE;
    if (n < 2 || n > 3 || !rc__source_is_whole(r->src)) return RC_OK;
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    len = whole_lines(text, len);
    rc__labelled_options sample = *o;
    char how[RC_ROWS_HOW];
    rc__rows_how(r->rows, how); /* the sample begins behind the first row: it is read as that was found to be */
    sample.table.header = RC_NO;
    sample.table.skip_ragged = true;
    if (!sample.table.delimiter && !sample.table.format)
        sample.table.format = strncmp(how, "tab", 3) == 0     ? "tsv"
                              : strncmp(how, "semi", 4) == 0  ? "semicolon"
                              : strncmp(how, "comma", 5) == 0 ? "csv"
                              : strncmp(how, "white", 5) == 0 ? "spaces"
                                                              : NULL;
    s = sample_table(r, &sample, (rc__cell){text, len}, &copy, &t, e);
    bool told = false;
    if (s == RC_OK && t && rc__rows_columns(rc__table_rows(t)) == n) {
        for (size_t i = 0; s == RC_OK && i < n; i++) s = look_at_column(t, i, &l[i], e);
        size_t best = 0;
        for (size_t i = 1; s == RC_OK && i < n; i++)
            if (l[i].different < l[best].different ||
                (l[i].different == l[best].different && l[i].bytes < l[best].bytes))
                best = i;
        for (size_t i = 0; s == RC_OK && i < n; i++)
            told = told || (i != best && (l[best].different < l[i].different || l[best].bytes < l[i].bytes));
        if (s == RC_OK && told && l[best].longest <= 64) *label = (int)best;
    }
    rc__table_free(t);
    rc__free(copy, len + 1);
    return s;
}

static int named_column(const rc__rows *rows, bool (*is)(rc__cell), const char *exactly) {
    for (size_t i = 0; i < rc__rows_columns(rows); i++) {
        rc__cell name = rc__rows_name(rows, i);
        if (!name.text) return NONE;
        if (exactly ? name.len == strlen(exactly) && strncasecmp(name.text, exactly, name.len) == 0 : is(name))
            return (int)i;
    }
    return NONE;
}

static rc_status set_columns(rc__labelled_reader *r, const rc__labelled_options *o, rc_error *e) {
    size_t n = rc__rows_columns(r->rows);
    int label = NONE, title;
    rc_status s = RC_OK;
    if (o->label) {
        s = rc__rows_find(r->rows, o->label, &r->label_col, e);
        if (s != RC_OK) return s;
        label = (int)r->label_col;
    } else {
        label = named_column(r->rows, rc__is_label_name, NULL);
    }
    const char *names = o->text;
    for (char one[128]; next_name(&names, one);) {
        if (r->n_texts == MAX_TEXTS) return too_many(r, e);
        s = rc__rows_find(r->rows, one, &r->text_col[r->n_texts++], e);
        if (s != RC_OK) return s;
    }
    if (r->n_texts == 0) {
        int body = named_column(r->rows, NULL, "description");
        title = named_column(r->rows, NULL, "title");
        int text = named_column(r->rows, rc__is_text_name, NULL);
        if (title != NONE && body != NONE) {
            r->text_col[r->n_texts++] = (size_t)title;
            r->text_col[r->n_texts++] = (size_t)body;
        } else if (text != NONE && text != label) {
            r->text_col[r->n_texts++] = (size_t)text;
        }
    }
    if (label == NONE && r->n_texts == 1 && n == 2) label = r->text_col[0] == 0; /* the other one */
    if (label == NONE && n > 1 && r->n_texts == 0) s = guess_label(r, o, &label, e);
    if (s != RC_OK) return s;
    if (r->n_texts == 0 && (label != NONE || n == 1) && n <= 3) /* all others */
        for (size_t i = 0; i < n; i++)
            if ((int)i != label) r->text_col[r->n_texts++] = i;
    r->has_label = label != NONE;
    r->label_col = label != NONE ? (size_t)label : 0;
    if (r->n_texts == 0)
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: which of the %zu columns is the text? expected one called text, sentence, "
                       "message, review or title and description, or its number or name as an option",
                       rc__source_name(r->src), rc__rows_line(r->rows), n);
    if (!r->has_label && !r->unlabelled)
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: which of the %zu columns is the label? expected one called label, class, "
                       "category, sentiment or target, or its number or name as an option",
                       rc__source_name(r->src), rc__rows_line(r->rows), n);
    for (size_t i = 0; r->has_label && i < r->n_texts; i++)
        if (r->text_col[i] == r->label_col)
            return rc_fail(e, RC_EINVAL, "%s: column %zu is both text and label", rc__source_name(r->src),
                           r->label_col + 1);
    return RC_OK;
}

/* The keys of the first object. */
static rc_status set_keys(rc__labelled_reader *r, const rc__labelled_options *o, rc_error *e) {
    char *text;
    size_t len;
    json_t *object, *v;
    const char *key, *name = rc__source_name(r->src);
    rc_status s;
    do s = rc__source_next(r->src, &text, &len, e);
    while (s == RC_OK && text && rc__cell_trim((rc__cell){text, len}).len == 0);
    if (s != RC_OK) return s;
    if (!text) return rc_fail(e, RC_EDATA, "%s: expected JSON lines, found an empty file", name);
    rc__source_again(r->src);
    s = rc__json_parse_line(text, len, name, rc__source_line(r->src), &object, e);
    if (s != RC_OK) return s;
    const char *texts[MAX_TEXTS] = {0}, *label = o->label;
    char names[MAX_TEXTS][128];
    const char *wanted = o->text;
    for (char one[128]; next_name(&wanted, one);) {
        if (r->n_texts == MAX_TEXTS) {
            json_decref(object);
            return too_many(r, e);
        }
        memcpy(names[r->n_texts], one, sizeof one);
        texts[r->n_texts] = names[r->n_texts];
        r->n_texts++;
    }
    bool given = r->n_texts > 0;
    if (!given && json_is_string(json_object_get(object, "title")) &&
        json_is_string(json_object_get(object, "description"))) {
        texts[r->n_texts++] = "title";
        texts[r->n_texts++] = "description";
    }
    json_object_foreach(object, key, v) {
        rc__cell k = {key, strlen(key)};
        if (!r->n_texts && rc__is_text_name(k) && json_is_string(v)) texts[r->n_texts++] = key;
        if (!label && rc__is_label_name(k)) label = key;
    }
    if (!r->n_texts)
        s = rc_fail(e, RC_EDATA,
                    "%s: line %zu: expected a key text, sentence, message, review or title and description, or "
                    "the name of another as an option",
                    name, rc__source_line(r->src));
    else if (!label && !r->unlabelled)
        s = rc_fail(e, RC_EDATA,
                    "%s: line %zu: expected a key label, labels, class, category, sentiment or target, or the "
                    "name of another as an option",
                    name, rc__source_line(r->src));
    r->has_label = label != NULL;
    for (size_t i = 0; s == RC_OK && i < r->n_texts; i++)
        if (!(r->text_key[i] = rc__strdup(texts[i]))) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
    if (s == RC_OK && label && !(r->label_key = rc__strdup(label)))
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
    json_decref(object);
    return s;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void tell_how(rc__labelled_reader *r) {
    char rows[RC_ROWS_HOW] = "", *buf = r->how;
    size_t cap = sizeof r->how, n = 0;
    switch (r->form) {
    case FASTTEXT: snprintf(buf, cap, "fastText lines: " PREFIX "x and so on, then the text"); return;
    case LABEL_FIRST: snprintf(buf, cap, "lines of a label, a space, and the text"); return;
    case LINES: snprintf(buf, cap, "plain lines, a text in each"); return;
    case TABLE:
        n = (size_t)snprintf(buf, cap, "%s; ", rc__rows_how(r->rows, rows));
        if (r->has_label && !r->unlabelled)
            n += (size_t)snprintf(buf + n, cap - n, "label in column %zu, ", r->label_col + 1);
        n += (size_t)snprintf(buf + n, cap - n, "text in column");
        for (size_t i = 0; i < r->n_texts && n < cap; i++)
            n += (size_t)snprintf(buf + n, cap - n, "%s%zu", i ? " and " : " ", r->text_col[i] + 1);
        return;
    case JSON_LINES:
        n = (size_t)snprintf(buf, cap, "JSON lines; ");
        if (r->label_key && !r->unlabelled)
            n += (size_t)snprintf(buf + n, cap - n, "label is \"%.40s\", ", r->label_key);
        n += (size_t)snprintf(buf + n, cap - n, "text is");
        for (size_t i = 0; i < r->n_texts && n + 60 < cap; i++)
            n += (size_t)snprintf(buf + n, cap - n, "%s\"%.40s\"", i ? " and " : " ", r->text_key[i]);
    }
}

rc_status rc__labelled_open(rc__labelled_reader **out, rc__source *src, const rc__labelled_options *o, rc_error *e) {
    static const rc__labelled_options defaults = {0};
    *out = NULL;
    if (!o) o = &defaults;
    rc__labelled_reader *r = rc__calloc(1, sizeof *r);
    rc__table_options table = o->table;
    if (!r) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    r->src = src;
    r->unlabelled = o->unlabelled;
    r->texts = rc__arena_new();
    if (o->separator && *o->separator) r->separator = rc__strdup(o->separator);
    rc_status s = RC_OK;
    if (!r->texts || (o->separator && *o->separator && !r->separator))
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    if (s == RC_OK) s = set_form(r, o, &table, e);
    if (s == RC_OK && r->form == TABLE) {
        s = rc__rows_open(&r->rows, src, &table, e);
        if (s == RC_OK) s = set_columns(r, o, e);
    }
    if (s == RC_OK && r->form == JSON_LINES) s = set_keys(r, o, e);
    if (s != RC_OK) {
        rc__labelled_close(r);
        return s;
    }
    tell_how(r);
    *out = r;
    return RC_OK;
}

void rc__labelled_close(rc__labelled_reader *r) {
    if (!r) return;
    rc__rows_free(r->rows);
    for (size_t i = 0; i < MAX_TEXTS; i++) rc__strfree(r->text_key[i]);
    rc__strfree(r->label_key);
    rc__strfree(r->separator);
    rc__arena_free(r->texts);
    rc__free(r->labels, r->labels_cap * sizeof *r->labels);
    rc__free(r, sizeof *r);
}

const char *rc__labelled_how(const rc__labelled_reader *r) { return r->how; }

/* By name where that is unambiguous, else by number. */
static void name_column(const rc__labelled_reader *r, size_t col, char *out, size_t cap) {
    rc__cell name = rc__rows_name(r->rows, col);
    size_t digits = 0;
    while (name.text && digits < name.len && name.text[digits] >= '0' && name.text[digits] <= '9') digits++;
    if (!name.text || name.len >= 64 || digits == name.len || memchr(name.text, '+', name.len) || memchr(name.text, ',', name.len))
        snprintf(out, cap, "%zu", col + 1);
    else
        snprintf(out, cap, "%.*s", (int)name.len, name.text);
}

void rc__labelled_columns(const rc__labelled_reader *r, char text[256], char label[128]) {
    size_t n = 0;
    text[0] = label[0] = 0;
    for (size_t i = 0; i < r->n_texts && (r->form == TABLE || r->form == JSON_LINES); i++) {
        char one[128];
        if (r->form == TABLE)
            name_column(r, r->text_col[i], one, sizeof one);
        else
            snprintf(one, sizeof one, "%.127s", r->text_key[i]);
        if (n < 256) n += (size_t)snprintf(text + n, 256 - n, "%s%s", i ? "+" : "", one);
    }
    if (n >= 256) text[0] = 0;
    if (r->has_label && r->form == TABLE) name_column(r, r->label_col, label, 128);
    if (r->has_label && r->form == JSON_LINES) snprintf(label, 128, "%.127s", r->label_key);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static rc_status add_label(rc__labelled_reader *r, rc__cell label, rc_error *e) {
    rc_status s = rc__grow((void **)&r->labels, &r->labels_cap, r->n_labels + 1, sizeof *r->labels, e);
    if (s == RC_OK) r->labels[r->n_labels++] = label;
    return s;
}

/* The labels of a cell. */
static rc_status add_labels(rc__labelled_reader *r, rc__cell c, rc_error *e) {
    rc_status s = RC_OK;
    if (!r->separator) {
        c = rc__cell_trim(c);
        return c.len ? add_label(r, c, e) : RC_OK;
    }
    size_t k = strlen(r->separator);
    while (s == RC_OK && c.len) {
        size_t n = 0;
        while (n < c.len && !(c.len - n >= k && memcmp(c.text + n, r->separator, k) == 0)) n++;
        rc__cell one = rc__cell_trim((rc__cell){c.text, n});
        if (one.len) s = add_label(r, one, e);
        n = n + k < c.len ? n + k : c.len;
        c = (rc__cell){c.text + n, c.len - n};
    }
    return s;
}

static rc_status join(rc__labelled_reader *r, const rc__cell *parts, size_t n, rc__cell *out, rc_error *e) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += parts[i].len + 1;
    char *at = rc__arena_alloc(r->texts, total);
    if (!at) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    *out = (rc__cell){at, total - 1};
    for (size_t i = 0; i < n; i++) {
        if (i) *at++ = ' ';
        if (parts[i].len) memcpy(at, parts[i].text, parts[i].len);
        at += parts[i].len;
    }
    return RC_OK;
}

static rc_status table_record(rc__labelled_reader *r, rc__record *record, bool *more, rc_error *e) {
    const rc__cell *row;
    rc__cell parts[MAX_TEXTS];
    rc_status s = rc__rows_next(r->rows, &row, e);
    *more = row != NULL;
    if (s != RC_OK || !row) return s;
    record->line = rc__rows_line(r->rows);
    for (size_t i = 0; i < r->n_texts; i++) parts[i] = row[r->text_col[i]];
    if (r->n_texts == 1)
        record->text = parts[0];
    else
        s = join(r, parts, r->n_texts, &record->text, e);
    if (s == RC_OK && r->has_label && !r->unlabelled) s = add_labels(r, row[r->label_col], e);
    return s;
}

static rc_status json_label(rc__labelled_reader *r, const json_t *v, size_t line, rc_error *e) {
    char number[32];
    rc__cell c, kept;
    if (json_is_string(v))
        c = (rc__cell){json_string_value(v), json_string_length(v)};
    else if (json_is_integer(v))
        c = (rc__cell){number, (size_t)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v))};
    else if (json_is_boolean(v))
        c = json_is_true(v) ? (rc__cell){"true", 4} : (rc__cell){"false", 5};
    else
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: \"%.63s\": expected a label (a text or a whole number) or a list of them",
                       rc__source_name(r->src), line, r->label_key);
    rc_status s = join(r, &c, 1, &kept, e);
    return s == RC_OK ? add_labels(r, kept, e) : s;
}

static rc_status json_record(rc__labelled_reader *r, const char *text, size_t len, rc__record *record, rc_error *e) {
    const char *name = rc__source_name(r->src);
    json_t *object, *item;
    rc__cell parts[MAX_TEXTS];
    rc_status s = rc__json_parse_line(text, len, name, record->line, &object, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; s == RC_OK && i < r->n_texts; i++) {
        const json_t *v = json_object_get(object, r->text_key[i]);
        if (json_is_string(v))
            parts[i] = (rc__cell){json_string_value(v), json_string_length(v)};
        else
            s = rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected a text, found %s", name, record->line,
                        r->text_key[i], v ? "another value" : "no such key");
    }
    if (s == RC_OK) s = join(r, parts, r->n_texts, &record->text, e);
    const json_t *label = s == RC_OK && r->label_key && !r->unlabelled ? json_object_get(object, r->label_key) : NULL;
    if (json_is_array(label)) {
        size_t i;
        json_array_foreach((json_t *)(uintptr_t)label, i, item) {
            s = json_label(r, item, record->line, e);
            if (s != RC_OK) break;
        }
    } else if (label && !json_is_null(label)) {
        s = json_label(r, label, record->line, e);
    }
    json_decref(object);
    return s;
}

static rc_status fasttext_record(rc__labelled_reader *r, rc__cell text, rc__record *record, rc_error *e) {
    rc_status s = RC_OK;
    for (rc__cell word; s == RC_OK;) {
        rc__cell rest = text;
        word = rc__cell_word(&rest);
        if (!begins(word, PREFIX)) break;
        if (word.len == sizeof PREFIX - 1)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected a label behind " PREFIX ", found nothing",
                           rc__source_name(r->src), record->line);
        if (!r->unlabelled)
            s = add_label(r, (rc__cell){word.text + sizeof PREFIX - 1, word.len - (sizeof PREFIX - 1)}, e);
        text = rest;
    }
    record->text = rc__cell_trim(text);
    return s;
}

static rc_status label_first_record(rc__labelled_reader *r, rc__cell text, rc__record *record, rc_error *e) {
    const char *blank = memchr(text.text, ' ', text.len);
    char shown[64];
    if (!blank || blank == text.text)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a label, a space and a text, found %s",
                       rc__source_name(r->src), record->line, rc__cell_show(text, shown));
    rc__cell label = {text.text, (size_t)(blank - text.text)};
    record->text = (rc__cell){blank + 1, text.len - label.len - 1};
    return r->unlabelled ? RC_OK : add_label(r, label, e);
}

rc_status rc__labelled_next(rc__labelled_reader *r, rc__record *record, bool *more, rc_error *e) {
    char *text;
    size_t len;
    rc_status s = RC_OK;
    *record = (rc__record){0};
    *more = false;
    r->n_labels = 0;
    if (!rc__source_is_whole(r->src)) rc__arena_reset(r->texts);
    if (r->form == TABLE) {
        s = table_record(r, record, more, e);
        if (s != RC_OK || !*more) return s;
    } else {
        do s = rc__source_next(r->src, &text, &len, e);
        while (s == RC_OK && text && r->form != LINES && rc__cell_trim((rc__cell){text, len}).len == 0);
        if (s != RC_OK || !text) return s;
        record->line = rc__source_line(r->src);
        rc__cell line = {text, len};
        if (r->form == JSON_LINES) s = json_record(r, text, len, record, e);
        if (r->form == FASTTEXT) s = fasttext_record(r, line, record, e);
        if (r->form == LABEL_FIRST) s = label_first_record(r, line, record, e);
        if (r->form == LINES) record->text = line;
        if (s != RC_OK) return s;
    }
    record->labels = r->labels;
    record->n_labels = r->n_labels;
    *more = true;
    if (r->n_labels || r->unlabelled || (r->separator && (r->form == TABLE || r->form == JSON_LINES))) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected a label, found none", rc__source_name(r->src), record->line);
}

/* ---- whole files ------------------------------------------------------------------------------------------------- */

static rc_status keep(rc__labelled *l, const rc__record *record, rc_error *e) {
    rc_status s = rc__grow((void **)&l->rows, &l->rows_cap, l->n_rows + 1, sizeof *l->rows, e);
    if (s != RC_OK) return s;
    rc__labelled_row row = {.text = record->text, .line = record->line, .first = l->n_labels};
    for (size_t i = 0; i < record->n_labels; i++) {
        uint32_t id;
        s = rc__strtab_add(&l->names, record->labels[i].text, record->labels[i].len, &id, NULL, e);
        if (s == RC_OK) s = rc__grow((void **)&l->labels, &l->labels_cap, l->n_labels + 1, sizeof *l->labels, e);
        if (s != RC_OK) return l->src ? rc__source_blame(l->src, s, e) : s;
        size_t k = row.first;
        while (k < l->n_labels && l->labels[k] != id) k++;
        if (k == l->n_labels) l->labels[l->n_labels++] = id;
    }
    row.n_labels = l->n_labels - row.first;
    l->rows[l->n_rows++] = row;
    return RC_OK;
}

static rc_status read_file(rc__labelled *l, const char *path, const rc__labelled_options *o, rc_error *e) {
    rc_status s = rc__source_open(&l->src, path, e);
    if (s == RC_OK) s = rc__labelled_open(&l->reader, l->src, o, e);
    for (bool more = true; s == RC_OK && more;) {
        rc__record record;
        s = rc__labelled_next(l->reader, &record, &more, e);
        if (s == RC_OK && more) s = keep(l, &record, e);
    }
    if (s != RC_OK) return s;
    if (l->n_rows == 0) return rc_fail(e, RC_EDATA, "%s: expected texts, found none", rc__source_name(l->src));
    int n = snprintf(l->how, sizeof l->how, "%s", rc__labelled_how(l->reader));
    size_t skipped = l->reader->rows ? rc__rows_skipped(l->reader->rows) : 0;
    if (skipped) snprintf(l->how + n, sizeof l->how - (size_t)n, "; %zu rows left out", skipped);
    return RC_OK;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

typedef struct names {
    char **at;
    size_t n, cap;
} names;

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void names_free(names *f) {
    for (size_t i = 0; i < f->n; i++) rc__strfree(f->at[i]);
    rc__free(f->at, f->cap * sizeof *f->at);
}

/* What is in a folder, by name, without what begins with '.'. */
static rc_status list(const char *folder, names *f, rc_error *e) {
    *f = (names){0};
    DIR *d = opendir(folder);
    if (!d) return rc_fail(e, RC_EIO, "%s: cannot be opened: %s", folder, strerror(errno));
    rc_status s = RC_OK;
    for (struct dirent *entry; s == RC_OK && (entry = readdir(d));) {
        if (entry->d_name[0] == '.') continue;
        s = rc__grow((void **)&f->at, &f->cap, f->n + 1, sizeof *f->at, e);
        if (s != RC_OK) break;
        f->at[f->n] = rc__strdup(entry->d_name);
        if (!f->at[f->n]) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", folder);
        if (s == RC_OK) f->n++;
    }
    closedir(d);
    if (f->n) qsort(f->at, f->n, sizeof *f->at, by_name);
    if (s != RC_OK) {
        names_free(f);
        *f = (names){0};
    }
    return s;
}

static rc_status keep_file(rc__labelled *l, const char *path, const char *label, rc_error *e) {
    char *text;
    size_t len;
    if (!rc__is_regular(path))
        return rc_fail(e, RC_EDATA, "%s: expected a text file in the folder of a class, found something else", path);
    rc_status s = rc__file_read(path, true, 0, &text, &len, e);
    if (s != RC_OK) return s;
    rc_error why;
    s = rc__utf8_check(text, len, &why);
    if (s != RC_OK) rc_fail(e, s, "%s: %s", path, why.text);
    if (s == RC_OK && memchr(text, 0, len)) s = rc_fail(e, RC_EDATA, "%s: expected text, found a byte 0", path);
    size_t from = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0, to = len;
    while (to > from && (text[to - 1] == '\n' || text[to - 1] == '\r')) to--;
    char *kept = s == RC_OK ? rc__arena_alloc(l->texts, to - from + 1) : NULL;
    if (s == RC_OK && !kept) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) {
        memcpy(kept, text + from, to - from);
        rc__cell name = {label, strlen(label)};
        s = keep(l, &(rc__record){.text = {kept, to - from}, .labels = &name, .n_labels = 1, .line = l->n_rows + 1}, e);
    }
    rc__free(text, len + 1);
    return s;
}

static rc_status read_class(rc__labelled *l, const char *folder, const char *label, rc_error *e) {
    names files = {0};
    char *path = rc__path_join(folder, label);
    if (!path) return rc_fail(e, RC_ENOMEM, "%s: out of memory", folder);
    struct stat st;
    rc_status s = RC_OK;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) { /* a readme beside the classes */
        rc__strfree(path);
        return RC_OK;
    }
    if (rc__utf8_valid_prefix(label, strlen(label)) != strlen(label))
        s = rc_fail(e, RC_EDATA, "%s: expected the name of a class in UTF-8", path);
    if (s == RC_OK) s = list(path, &files, e);
    for (size_t i = 0; s == RC_OK && i < files.n; i++) {
        char *file = rc__path_join(path, files.at[i]);
        s = file ? keep_file(l, file, label, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
        rc__strfree(file);
    }
    names_free(&files);
    rc__strfree(path);
    return s;
}

static rc_status read_folder(rc__labelled *l, const char *path, rc_error *e) {
    names classes;
    rc_status s = list(path, &classes, e);
    for (size_t i = 0; s == RC_OK && i < classes.n; i++) s = read_class(l, path, classes.at[i], e);
    names_free(&classes);
    if (s != RC_OK) return s;
    if (l->n_rows == 0)
        return rc_fail(e, RC_EDATA, "%s: expected a folder for each class with text files in it, found none", path);
    snprintf(l->how, sizeof l->how, "a folder of text files for each of %zu classes", l->names.count);
    return RC_OK;
}

rc_status rc__labelled_read(rc__labelled **out, const char *path, const rc__labelled_options *o, rc_error *e) {
    *out = NULL;
    rc__labelled *l = rc__calloc(1, sizeof *l);
    if (!l) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    l->texts = rc__arena_new();
    struct stat st;
    bool folder = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode), wanted = false;
    if (o && o->format) wanted = strcmp(o->format, "folder") == 0;
    rc_status s;
    if (!l->texts)
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    else if (wanted && !folder)
        s = rc_fail(e, RC_EDATA, "%s: expected a folder", path);
    else
        s = folder ? read_folder(l, path, e) : read_file(l, path, o, e);
    if (s == RC_OK)
        *out = l;
    else
        rc__labelled_free(l);
    return s;
}

void rc__labelled_free(rc__labelled *l) {
    if (!l) return;
    rc__labelled_close(l->reader);
    rc__source_free(l->src);
    rc__arena_free(l->texts);
    rc__strtab_free(&l->names);
    rc__free(l->rows, l->rows_cap * sizeof *l->rows);
    rc__free(l->labels, l->labels_cap * sizeof *l->labels);
    rc__free(l, sizeof *l);
}
