/* pairs.c - see pairs.h. Outline: names - the format - columns and keys - YAML - JSON - opening - records - whole
 * files. */
#include "data/pairs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#ifdef RC_HAVE_YAML
#include <yaml.h>
#endif

#include "base/json.h"

typedef enum form { LINES, TABLE, JSON_LINES, YAML, JSON, JSON_TURNS, TURNS, DIALOGUES } form;
static const char *const form_names[] = {"lines", "table", "jsonl", "yaml", "json", "jsonl", "turns", "dialogues"};

enum { MAX_DEPTH = 16, LOOK_LINES = 500, LOOK_BYTES = 1 << 20 };

struct rc__pairs_reader {
    rc__source *src, *target;
    form form;
    bool unlabelled, has_target;
    rc__rows *rows; /* TABLE */
    size_t source_col, target_col;
    char *source_key, *target_key; /* JSON_LINES; JSON_TURNS: the list */
    rc__arena *texts;
    /* conversations: turns[first[k]] .. turns[first[k + 1]] are one; a stream has one at a time */
    size_t history, conversation, turn;
    char *separator;
    rc__cell *turns;
    size_t *lines, *first;
    size_t n_turns, n_first, turns_cap, lines_cap, first_cap;
    size_t left_out, left_out_line; /* conversations that are none, the line of the first */
    char how[320];
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const char *const source_names[] = {"source",   "src",     "text",     "document", "article", "input",
                                           "question", "context", "sentence", "body",     NULL};
static const char *const target_names[] = {"target",   "tgt",    "summary",  "reply",       "response",
                                           "answer",   "output", "label",    "translation", "highlights",
                                           "headline", "title",  "abstract", "answers",     NULL};
static const char *const turn_names[] = {"turns", "conversation", "messages", "dialog", "dialogue", "utterances", NULL};

static bool among(const char *text, size_t len, const char *const *names) {
    for (; *names; names++)
        if (strlen(*names) == len && strncasecmp(*names, text, len) == 0) return true;
    return false;
}

static bool name_ends(const char *name, const char *ending) {
    size_t n = strlen(name), k = strlen(ending);
    if (n > 3 && strcasecmp(name + n - 3, ".gz") == 0) n -= 3;
    return n >= k && strncasecmp(name + n - k, ending, k) == 0;
}

static const char *const endings[] = {".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".yml", ".yaml", ".json", NULL};

bool rc__pairs_named(const char *path) {
    for (const char *const *x = endings; *x; x++)
        if (name_ends(path, *x)) return true;
    return false;
}

static bool named_yaml(const char *name) { return name_ends(name, ".yml") || name_ends(name, ".yaml"); }
static bool named_json_lines(const char *name) { return name_ends(name, ".jsonl") || name_ends(name, ".ndjson"); }

bool rc__pair_empty(rc__cell c) {
    rc__cell rest = c;
    return rc__cell_word(&rest).len == 0;
}

static rc_status no_memory(const rc__pairs_reader *r, rc_error *e) {
    return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
}

/* ---- the format -------------------------------------------------------------------------------------------------- */

typedef struct head {
    size_t lines, braces, tabs, empty;
    char first; /* character that is not white space */
} head;

static void look_at_lines(rc__cell text, head *h) {
    *h = (head){0};
    if (text.len > LOOK_BYTES) text.len = LOOK_BYTES;
    while (text.len && h->lines < LOOK_LINES) {
        const char *end = memchr(text.text, '\n', text.len);
        size_t n = end ? (size_t)(end - text.text) : text.len;
        rc__cell line = rc__cell_trim((rc__cell){text.text, n && text.text[n - 1] == '\r' ? n - 1 : n});
        text.text += n + (end != NULL);
        text.len -= n + (end != NULL);
        if (!line.len) {
            h->empty += h->lines > 0;
            continue;
        }
        if (!h->first) h->first = line.text[0];
        h->lines++;
        h->braces += line.text[0] == '{';
        h->tabs += memchr(line.text, '\t', line.len) != NULL;
    }
}

/* An object of JSON lines that holds a whole conversation has a list under a name that says so. */
static const char *turns_key(const json_t *object) {
    for (const char *const *k = turn_names; *k; k++)
        if (json_is_array(json_object_get(object, *k))) return *k;
    return NULL;
}

/* The first line that is not empty, parsed; NULL: none, or no object. The next record is that line again. */
static rc_status first_object(rc__pairs_reader *r, json_t **object, rc_error *e) {
    char *text;
    size_t len;
    rc_status s;
    *object = NULL;
    do s = rc__source_next(r->src, &text, &len, e);
    while (s == RC_OK && text && rc__pair_empty((rc__cell){text, len}));
    if (s != RC_OK) return s;
    if (!text) return rc_fail(e, RC_EDATA, "%s: expected JSON lines, found an empty file", rc__source_name(r->src));
    rc__source_again(r->src);
    return rc__json_parse_line(text, len, rc__source_name(r->src), rc__source_line(r->src), object, e);
}

/* A whole file of conversations in one line. */
static bool is_conversations(const char *text, size_t len) {
    json_t *root = NULL;
    rc_error ignored;
    bool is = rc__json_parse(text, len, "", &root, &ignored) == RC_OK && json_object_get(root, "conversations");
    json_decref(root);
    return is;
}

/* Of one file, whose kind nobody said. */
static rc_status guess_form(rc__pairs_reader *r, const rc__pairs_options *o, rc_error *e) {
    const char *text, *name = rc__source_name(r->src);
    size_t len;
    head h;
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    look_at_lines((rc__cell){text, len}, &h);
    /* columns alone say nothing of plain lines: a model names those of its training file whatever it is asked */
    bool columns = (o->source || o->target) && (!o->unlabelled || (h.lines && h.tabs == h.lines));
    bool wanted = columns || o->table.delimiter || o->table.format || o->table.header == RC_YES;
    bool talk = o->conversations, named_tabs = name_ends(name, ".tsv") || name_ends(name, ".tab");
    r->form = talk && !o->unlabelled ? DIALOGUES : LINES;
    if (named_yaml(name))
        r->form = YAML;
    else if (talk && h.first == '{' && h.lines == 1 && rc__source_is_whole(r->src) && is_conversations(text, len))
        r->form = JSON;
    else if (h.lines && (named_json_lines(name) || (h.braces == h.lines && !name_ends(name, ".json"))))
        r->form = JSON_LINES;
    else if (h.first == '[' || (h.first == '{' && rc__source_is_whole(r->src)))
        r->form = JSON;
    else if (name_ends(name, ".csv") || (wanted && !talk))
        r->form = TABLE;
    else if (named_tabs || (h.lines && h.tabs == h.lines && !o->unlabelled))
        r->form = talk && !o->unlabelled ? TURNS : TABLE;
    if (r->form != LINES || o->unlabelled || h.lines == 0) return RC_OK;
    return rc_fail(
        e, RC_EDATA,
        "%s: expected pairs of texts, found plain lines; readable are two files of as many lines each (source "
        "and target), tab or comma separated columns, and JSON lines",
        name);
}

static rc_status set_form(rc__pairs_reader *r, const rc__pairs_options *o, rc__table_options *table, rc_error *e) {
    static const struct {
        const char *name;
        form form;
        bool table;
    } forms[] = {{"lines", LINES, false},      {"table", TABLE, false},        {"csv", TABLE, true},
                 {"tsv", TABLE, true},         {"semicolon", TABLE, true},     {"spaces", TABLE, true},
                 {"jsonl", JSON_LINES, false}, {"yaml", YAML, false},          {"json", JSON, false},
                 {"turns", TURNS, false},      {"dialogues", DIALOGUES, false}};
    size_t n = sizeof forms / sizeof *forms, i = 0;
    const char *name = rc__source_name(r->src);
    rc__pairs_options talk = *o;
    rc_status s = RC_OK;
    talk.conversations = true;
    if (!o->format || strcmp(o->format, "auto") == 0) {
        if (r->target)
            r->form = LINES;
        else
            s = guess_form(r, o, e);
    } else if (strcmp(o->format, "conversations") == 0) {
        s = guess_form(r, &talk, e);
    } else {
        while (i < n && strcmp(forms[i].name, o->format) != 0) i++;
        if (i == n)
            return rc_fail(
                e, RC_EINVAL,
                "%s: format \"%.40s\": expected auto, lines, table, csv, tsv, semicolon, jsonl, conversations, "
                "yaml, json, turns or dialogues",
                name, o->format);
        r->form = forms[i].form;
        if (forms[i].table) table->format = forms[i].name;
    }
    if (s != RC_OK) return s;
    if (r->target && r->form != LINES)
        return rc_fail(e, RC_EINVAL,
                       "%s: format \"%.40s\" is of files that hold both sides; a second file, %s, was given", name,
                       o->format, rc__source_name(r->target));
    if (r->form == LINES && !r->target && !o->unlabelled)
        return rc_fail(e, RC_EINVAL, "%s: lines of sources: the file of their targets is missing", name);
    return RC_OK;
}

/* ---- columns and keys -------------------------------------------------------------------------------------------- */

#define NONE SIZE_MAX

static size_t named_column(const rc__pairs_reader *r, const char *const *names, size_t but) {
    for (const char *const *one = names; *one; one++)
        for (size_t i = 0; i < rc__rows_columns(r->rows); i++) {
            const char *list[] = {*one, NULL};
            rc__cell name = rc__rows_name(r->rows, i);
            if (i != but && name.text && among(name.text, name.len, list)) return i;
        }
    return NONE;
}

static rc_status set_columns(rc__pairs_reader *r, const rc__pairs_options *o, rc_error *e) {
    size_t n = rc__rows_columns(r->rows), source = NONE, target = NONE;
    rc_status s = RC_OK;
    if (o->source) s = rc__rows_find(r->rows, o->source, &source, e);
    if (s == RC_OK && o->target && !o->unlabelled) s = rc__rows_find(r->rows, o->target, &target, e);
    if (s != RC_OK) return s;
    if (source == NONE) source = named_column(r, source_names, target);
    if (target == NONE) target = named_column(r, target_names, source);
    if (source == NONE) source = target == 0 && n > 1 ? 1 : 0;
    if (target == NONE && n > 1) target = source == 0 ? 1 : 0;
    if (!r->unlabelled && target == NONE)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected two columns, a text and its target, found one",
                       rc__source_name(r->src), rc__rows_line(r->rows) ? rc__rows_line(r->rows) : 1);
    if (!r->unlabelled && source == target)
        return rc_fail(e, RC_EINVAL, "%s: column %zu is both source and target", rc__source_name(r->src), source + 1);
    r->source_col = source;
    r->target_col = target;
    r->has_target = target != NONE && !r->unlabelled;
    return RC_OK;
}

static bool is_text(const json_t *v) { return json_is_string(v) || json_is_array(v); }

static const char *named_key(const json_t *object, const char *const *names, const char *but) {
    for (; *names; names++)
        if ((!but || strcmp(*names, but) != 0) &&
            (is_text(json_object_get(object, *names)) || json_is_null(json_object_get(object, *names))))
            return *names;
    return NULL;
}

static rc_status set_keys(rc__pairs_reader *r, const rc__pairs_options *o, rc_error *e) {
    const char *source = o->source, *target = o->target, *name = rc__source_name(r->src), *key;
    json_t *object, *v;
    rc_status s = first_object(r, &object, e);
    if (s != RC_OK) return s;
    const char *turns = source || target ? NULL : turns_key(object);
    if (turns && !named_key(object, target_names, NULL)) {
        r->form = JSON_TURNS;
        source = turns;
    } else {
        if (!source) source = named_key(object, source_names, target);
        if (!target) target = named_key(object, target_names, source);
        json_object_foreach(object, key, v) {
            if (!is_text(v)) continue;
            if (!source && !(target && strcmp(key, target) == 0))
                source = key;
            else if (!target && strcmp(key, source) != 0)
                target = key;
        }
        if (r->unlabelled) target = NULL;
        if (!source || (!target && !r->unlabelled))
            s = rc_fail(e, RC_EDATA,
                        "%s: line %zu: expected two keys with texts, source and target, or their names as options",
                        name, rc__source_line(r->src));
        else if (target && strcmp(source, target) == 0)
            s = rc_fail(e, RC_EINVAL, "%s: \"%.60s\" is both source and target", name, source);
    }
    if (s == RC_OK && !(r->source_key = rc__strdup(source))) s = no_memory(r, e);
    if (s == RC_OK && target && r->form == JSON_LINES && !(r->target_key = rc__strdup(target))) s = no_memory(r, e);
    r->has_target = r->target_key != NULL;
    json_decref(object);
    return s;
}

/* ---- conversations ----------------------------------------------------------------------------------------------- */

static rc_status keep(rc__pairs_reader *r, rc__cell *c, rc_error *e) {
    char *at = rc__arena_alloc(r->texts, c->len + 1);
    if (!at) return no_memory(r, e);
    if (c->len) memcpy(at, c->text, c->len);
    *c = (rc__cell){at, c->len};
    return RC_OK;
}

static rc_status begin_conversation(rc__pairs_reader *r, rc_error *e) {
    rc_status s = rc__grow((void **)&r->first, &r->first_cap, r->n_first + 2, sizeof *r->first, e);
    if (s != RC_OK) return s;
    r->first[r->n_first++] = r->n_turns;
    r->first[r->n_first] = r->n_turns;
    return RC_OK;
}

/* A turn is one line: what ends lines inside it becomes a blank. */
static rc_status add_turn(rc__pairs_reader *r, rc__cell text, size_t line, rc_error *e) {
    bool stays = r->form >= TURNS && rc__source_is_whole(r->src); /* a piece of a line of the file */
    rc_status s = rc__grow((void **)&r->turns, &r->turns_cap, r->n_turns + 1, sizeof *r->turns, e);
    if (s == RC_OK) s = rc__grow((void **)&r->lines, &r->lines_cap, r->n_turns + 1, sizeof *r->lines, e);
    char *at = s == RC_OK && !stays ? rc__arena_alloc(r->texts, text.len + 1) : NULL;
    if (s == RC_OK && !stays && !at) s = no_memory(r, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; at && i < text.len; i++)
        at[i] = text.text[i] == '\n' || text.text[i] == '\r' || text.text[i] == '\t' ? ' ' : text.text[i];
    r->turns[r->n_turns] = rc__cell_trim((rc__cell){at ? at : text.text, text.len});
    r->lines[r->n_turns++] = line;
    r->first[r->n_first] = r->n_turns;
    return RC_OK;
}

static void leave_out(rc__pairs_reader *r, size_t line) {
    if (r->left_out++ == 0) r->left_out_line = line;
    r->n_turns = r->first && r->n_first ? r->first[r->n_first] : r->n_turns;
}

/* The conversation that was begun last is none. */
static void take_back(rc__pairs_reader *r, size_t line) {
    r->n_turns = r->first[--r->n_first];
    leave_out(r, line);
}

/* ---- YAML -------------------------------------------------------------------------------------------------------- */

#ifdef RC_HAVE_YAML
/* Event by event, so that no tree is built; an alias, by which a small file can stand for a huge one, is refused. */
typedef struct yaml_reader {
    rc__pairs_reader *r;
    yaml_parser_t parser;
    yaml_event_t event;
    size_t depth, line; /* line: of the event, from 1 */
    bool there;         /* an event that is to be deleted */
} yaml_reader;

static rc_status yaml_next(yaml_reader *y, rc_error *e) {
    const char *name = rc__source_name(y->r->src);
    if (y->there) yaml_event_delete(&y->event);
    y->there = yaml_parser_parse(&y->parser, &y->event) == 1;
    if (!y->there) {
        if (y->parser.error == YAML_MEMORY_ERROR) return rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
        return rc_fail(e, RC_EDATA, "%s: line %zu: not YAML: %s%s%s", name, y->parser.problem_mark.line + 1,
                       y->parser.problem ? y->parser.problem : "bad syntax", y->parser.context ? " " : "",
                       y->parser.context ? y->parser.context : "");
    }
    y->line = y->event.start_mark.line + 1;
    switch (y->event.type) {
    case YAML_ALIAS_EVENT:
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected texts, found an alias (*%.40s), which is refused", name,
                       y->line, (const char *)y->event.data.alias.anchor);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (++y->depth > MAX_DEPTH)
            return rc_fail(e, RC_EDATA, "%s: line %zu: nested deeper than %d levels", name, y->line, MAX_DEPTH);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: y->depth--; break;
    default: break;
    }
    return RC_OK;
}

/* Past the node whose first event is the present one. */
static rc_status yaml_skip(yaml_reader *y, rc_error *e) {
    bool opens = y->event.type == YAML_SEQUENCE_START_EVENT || y->event.type == YAML_MAPPING_START_EVENT;
    size_t level = y->depth - opens;
    rc_status s = RC_OK;
    while (s == RC_OK && y->depth > level) s = yaml_next(y, e);
    return s;
}

static rc__cell yaml_text(const yaml_reader *y) {
    return (rc__cell){(const char *)y->event.data.scalar.value, y->event.data.scalar.length};
}

static rc_status yaml_conversation(yaml_reader *y, rc_error *e) {
    size_t line = y->line;
    bool good = true;
    rc_status s = begin_conversation(y->r, e);
    while (s == RC_OK && (s = yaml_next(y, e)) == RC_OK && y->event.type != YAML_SEQUENCE_END_EVENT) {
        if (y->event.type == YAML_SCALAR_EVENT && good) {
            s = add_turn(y->r, yaml_text(y), y->line, e);
        } else if (y->event.type != YAML_SCALAR_EVENT) { /* most often a text with ": " in it that lacks its quotes */
            good = false;
            s = yaml_skip(y, e);
        }
    }
    if (s == RC_OK && !good) take_back(y->r, line);
    return s;
}

static rc_status yaml_conversations(yaml_reader *y, rc_error *e) {
    rc_status s = RC_OK;
    while (s == RC_OK && (s = yaml_next(y, e)) == RC_OK && y->event.type != YAML_SEQUENCE_END_EVENT) {
        if (y->event.type == YAML_SEQUENCE_START_EVENT) {
            s = yaml_conversation(y, e);
        } else {
            leave_out(y->r, y->line);
            s = yaml_skip(y, e);
        }
    }
    return s;
}

static rc_status yaml_root(yaml_reader *y, rc_error *e) {
    const char *name = rc__source_name(y->r->src);
    bool found = false;
    rc_status s = RC_OK;
    if (y->event.type == YAML_SEQUENCE_START_EVENT) return yaml_conversations(y, e);
    if (y->event.type != YAML_MAPPING_START_EVENT)
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: expected the key conversations, or a list of conversations, found a text", name,
                       y->line);
    while (s == RC_OK && (s = yaml_next(y, e)) == RC_OK && y->event.type != YAML_MAPPING_END_EVENT) {
        bool wanted = y->event.type == YAML_SCALAR_EVENT && rc__cell_is(yaml_text(y), "conversations");
        if (wanted && found)
            return rc_fail(e, RC_EDATA, "%s: line %zu: the key conversations comes twice", name, y->line);
        s = yaml_skip(y, e);
        if (s == RC_OK) s = yaml_next(y, e); /* the value */
        if (s != RC_OK) break;
        found = found || wanted;
        if (!wanted)
            s = yaml_skip(y, e);
        else if (y->event.type == YAML_SEQUENCE_START_EVENT)
            s = yaml_conversations(y, e);
        else
            return rc_fail(e, RC_EDATA, "%s: line %zu: conversations: expected a list, found something else", name,
                           y->line);
    }
    if (s == RC_OK && !found) s = rc_fail(e, RC_EDATA, "%s: expected the key conversations, found none", name);
    return s;
}

static rc_status read_yaml(rc__pairs_reader *r, rc_error *e) {
    const char *text;
    size_t len;
    yaml_reader y = {.r = r};
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    if (!yaml_parser_initialize(&y.parser)) return no_memory(r, e);
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
    do {
        s = yaml_next(&y, e);
        if (s == RC_OK && y.event.type >= YAML_ALIAS_EVENT) s = yaml_root(&y, e);
    } while (s == RC_OK && y.event.type != YAML_STREAM_END_EVENT);
    if (y.there) yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    return s;
}
#else
static rc_status read_yaml(rc__pairs_reader *r, rc_error *e) {
    return rc_fail(
        e, RC_EINVAL,
        "%s: this recur was built without libyaml and reads no YAML; conversations may be JSON, lines of turns "
        "with tabs between, or text with empty lines between",
        rc__source_name(r->src));
}
#endif

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* A turn is a text, or an object with one, as "text", "content" or "value". */
static bool json_turn(const json_t *v, rc__cell *out) {
    static const char *const keys[] = {"text", "content", "value", "utterance"};
    for (size_t i = 0; i < 4 && json_is_object(v); i++)
        if (json_is_string(json_object_get(v, keys[i]))) v = json_object_get(v, keys[i]);
    if (!json_is_string(v)) return false;
    *out = (rc__cell){json_string_value(v), json_string_length(v)};
    return true;
}

static rc_status json_conversation(rc__pairs_reader *r, const json_t *list, size_t line, rc_error *e) {
    rc__cell text;
    if (json_is_object(list) && turns_key(list)) list = json_object_get(list, turns_key(list));
    if (!json_is_array(list)) return leave_out(r, line), RC_OK;
    rc_status s = begin_conversation(r, e);
    for (size_t i = 0; s == RC_OK && i < json_array_size(list); i++) {
        if (!json_turn(json_array_get(list, i), &text)) return take_back(r, line), RC_OK;
        s = add_turn(r, text, line, e);
    }
    return s;
}

static rc_status read_json(rc__pairs_reader *r, rc_error *e) {
    const char *text, *name = rc__source_name(r->src);
    size_t len;
    json_t *root = NULL;
    rc_error why;
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    if (s != RC_OK) return s;
    s = rc__json_parse(text, len, name, &root, &why);
    if (s != RC_OK) return rc_fail(e, s == RC_EMODEL ? RC_EDATA : s, "%s", why.text);
    const json_t *list = json_is_object(root) ? json_object_get(root, "conversations") : root;
    if (!json_is_array(list))
        s = rc_fail(e, RC_EDATA, "%s: expected a list of conversations, or an object with the key conversations", name);
    for (size_t i = 0; s == RC_OK && i < json_array_size(list); i++)
        s = json_conversation(r, json_array_get(list, i), i + 1, e);
    json_decref(root);
    return s;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool talks(const rc__pairs_reader *r) { return r->form >= YAML; }

static void tell_how(rc__pairs_reader *r) {
    char rows[RC_ROWS_HOW] = "", *buf = r->how;
    size_t cap = sizeof r->how;
    int n = 0;
    switch (r->form) {
    case LINES: n = snprintf(buf, cap, r->target ? "two files, line by line" : "plain lines, a text in each"); break;
    case TABLE:
        n = snprintf(buf, cap, "%s; source in column %zu", rc__rows_how(r->rows, rows), r->source_col + 1);
        if (r->has_target) n += snprintf(buf + n, cap - (size_t)n, ", target in column %zu", r->target_col + 1);
        break;
    case JSON_LINES:
        n = snprintf(buf, cap, "JSON lines; source is \"%.40s\"", r->source_key);
        if (r->has_target) n += snprintf(buf + n, cap - (size_t)n, ", target is \"%.40s\"", r->target_key);
        break;
    case YAML: n = snprintf(buf, cap, "conversations, YAML"); break;
    case JSON: n = snprintf(buf, cap, "conversations, JSON"); break;
    case JSON_TURNS: n = snprintf(buf, cap, "conversations, JSON lines; turns are \"%.40s\"", r->source_key); break;
    case TURNS: n = snprintf(buf, cap, "conversations, one a line, tabs between turns"); break;
    case DIALOGUES: n = snprintf(buf, cap, "conversations, one turn a line, empty lines between"); break;
    }
    if (talks(r) && n > 0)
        snprintf(buf + n, cap - (size_t)n, "; %zu turn%s before a reply", r->history, r->history == 1 ? "" : "s");
}

rc_status rc__pairs_open(rc__pairs_reader **out, rc__source *src, rc__source *target, const rc__pairs_options *o,
                         rc_error *e) {
    static const rc__pairs_options defaults = {0};
    *out = NULL;
    if (!o) o = &defaults;
    rc__pairs_reader *r = rc__calloc(1, sizeof *r);
    rc__table_options table = o->table;
    if (!r) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    r->src = src;
    r->target = target;
    r->unlabelled = o->unlabelled;
    r->has_target = target != NULL;
    r->history = o->history ? o->history : 1;
    r->texts = rc__arena_new();
    r->separator = rc__strdup(o->separator ? o->separator : " | ");
    rc_status s = r->texts && r->separator ? set_form(r, o, &table, e) : no_memory(r, e);
    if (s == RC_OK && (r->form == YAML || r->form == JSON) && !rc__source_is_whole(src))
        s = rc_fail(e, RC_EDATA, "%s: conversations in %s are read as a whole, not as a stream", rc__source_name(src),
                    r->form == YAML ? "YAML" : "JSON");
    if (s == RC_OK && r->form == TABLE) {
        if (table.comments == RC_AUTO) table.comments = RC_NO; /* a text may begin with '#' */
        s = rc__rows_open(&r->rows, src, &table, e);
        if (s == RC_OK) s = set_columns(r, o, e);
    }
    if (s == RC_OK && r->form == JSON_LINES) s = set_keys(r, o, e);
    if (s == RC_OK && r->form == YAML) s = read_yaml(r, e);
    if (s == RC_OK && r->form == JSON) s = read_json(r, e);
    if (s != RC_OK) {
        rc__pairs_close(r);
        return s;
    }
    if (r->n_first) r->turn = r->first[0];
    tell_how(r);
    *out = r;
    return RC_OK;
}

void rc__pairs_close(rc__pairs_reader *r) {
    if (!r) return;
    rc__rows_free(r->rows);
    rc__strfree(r->source_key);
    rc__strfree(r->target_key);
    rc__strfree(r->separator);
    rc__arena_free(r->texts);
    rc__free(r->turns, r->turns_cap * sizeof *r->turns);
    rc__free(r->lines, r->lines_cap * sizeof *r->lines);
    rc__free(r->first, r->first_cap * sizeof *r->first);
    rc__free(r, sizeof *r);
}

/* By name where that is unambiguous, else by number. */
static void name_column(const rc__pairs_reader *r, size_t col, char out[128]) {
    rc__cell name = rc__rows_name(r->rows, col);
    int64_t number;
    if (!name.text || name.len == 0 || name.len >= 64 || rc__cell_integer(name, &number))
        snprintf(out, 128, "%zu", col + 1);
    else
        snprintf(out, 128, "%.*s", (int)name.len, name.text);
}

void rc__pairs_form(const rc__pairs_reader *r, char format[16], char source[128], char target[128]) {
    snprintf(format, 16, "%s", form_names[r->form]);
    source[0] = target[0] = 0;
    if (r->form == TABLE) {
        name_column(r, r->source_col, source);
        if (r->has_target) name_column(r, r->target_col, target);
    } else if (r->form == JSON_LINES) {
        snprintf(source, 128, "%.127s", r->source_key);
        if (r->has_target) snprintf(target, 128, "%.127s", r->target_key);
    }
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static rc_status count_rest(rc__source *s, size_t *lines, bool *all_empty, rc_error *e) {
    char *text = NULL;
    size_t len;
    *all_empty = true;
    for (rc_status status;;) {
        status = rc__source_next(s, &text, &len, e);
        if (status != RC_OK || !text) return status;
        ++*lines;
        *all_empty = *all_empty && rc__pair_empty((rc__cell){text, len});
    }
}

/* One file has ended with `lines` lines, the other goes on with `text`. */
static rc_status unequal(rc__source *ended, rc__source *longer, size_t lines, rc__cell text, rc_error *e) {
    char shown[64], quoted[64];
    bool empty = rc__pair_empty(text), rest;
    size_t more = lines + 1;
    rc__cell_show(text, shown); /* the text of a stream goes with the next line */
    snprintf(quoted, sizeof quoted, "%s", shown);
    rc_status s = count_rest(longer, &more, &rest, e);
    if (s != RC_OK) return s;
    return rc_fail(
        e, RC_EDATA,
        "%s has %zu line%s and %s has %zu: they belong together line by line, and line %zu of %s (%s) has no "
        "partner%s",
        rc__source_name(longer), more, more == 1 ? "" : "s", rc__source_name(ended), lines, lines + 1,
        rc__source_name(longer), quoted,
        empty && rest ? "; what is too many is empty, so it may be enough to remove it"
                      : "; a line that was lost or cut in two is before it");
}

static rc_status two_lines(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e) {
    char *source, *target = NULL;
    size_t n, m = 0, before = rc__source_line(r->src);
    rc_status s = rc__source_next(r->src, &source, &n, e);
    if (s == RC_OK && r->target) s = rc__source_next(r->target, &target, &m, e);
    if (s != RC_OK) return s;
    *more = source != NULL;
    if (r->target && !source != !target)
        return source ? unequal(r->target, r->src, before, (rc__cell){source, n}, e)
                      : unequal(r->src, r->target, before, (rc__cell){target, m}, e);
    if (!source) return RC_OK;
    pair->line = rc__source_line(r->src);
    pair->source = (rc__cell){source, n};
    pair->target = r->target ? (rc__cell){target, m} : (rc__cell){"", 0};
    return RC_OK;
}

static rc_status join(rc__pairs_reader *r, const rc__cell *parts, size_t n, const char *between, rc__cell *out,
                      rc_error *e) {
    size_t total = 0, k = strlen(between);
    *out = n ? parts[0] : (rc__cell){"", 0};
    if (n < 2) return RC_OK;
    for (size_t i = 0; i < n; i++)
        if (!rc__size_add(total, parts[i].len + k, &total)) return no_memory(r, e);
    char *at = rc__arena_alloc(r->texts, total + 1);
    if (!at) return no_memory(r, e);
    *out = (rc__cell){at, total - k};
    for (size_t i = 0; i < n; i++) {
        if (i) memcpy(at, between, k);
        at += i ? k : 0;
        if (parts[i].len) memcpy(at, parts[i].text, parts[i].len);
        at += parts[i].len;
    }
    return RC_OK;
}

/* A text or a list of texts, copied; parts: at most one where only the first is wanted. */
static rc_status json_texts(rc__pairs_reader *r, const json_t *object, const char *key, size_t line, rc__cell **parts,
                            size_t *n, rc_error *e) {
    const char *name = rc__source_name(r->src);
    const json_t *v = json_object_get(object, key);
    bool list = json_is_array(v);
    *n = list ? json_array_size(v) : v && !json_is_null(v);
    *parts = rc__arena_alloc(r->texts, (*n + 1) * sizeof **parts);
    if (!*parts) return no_memory(r, e);
    if (!v) return rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected a text, found no such key", name, line, key);
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < *n; i++) {
        const json_t *x = list ? json_array_get(v, i) : v;
        if (!json_is_string(x))
            return rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected a text or a list of texts, found %s", name,
                           line, key, list ? "another value in the list" : "another value");
        (*parts)[i] = (rc__cell){json_string_value(x), json_string_length(x)};
        s = keep(r, &(*parts)[i], e);
    }
    return s;
}

static rc_status next_line(rc__pairs_reader *r, rc__cell *line, bool *more, rc_error *e) {
    char *text;
    size_t len;
    rc_status s = rc__source_next(r->src, &text, &len, e);
    *more = s == RC_OK && text;
    *line = *more ? (rc__cell){text, len} : (rc__cell){"", 0};
    return s;
}

static rc_status next_object(rc__pairs_reader *r, json_t **object, bool *more, rc_error *e) {
    rc__cell line;
    rc_status s;
    *object = NULL;
    do s = next_line(r, &line, more, e);
    while (s == RC_OK && *more && rc__pair_empty(line));
    if (s != RC_OK || !*more) return s;
    return rc__json_parse_line(line.text, line.len, rc__source_name(r->src), rc__source_line(r->src), object, e);
}

static rc_status json_pair(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e) {
    json_t *object;
    rc__cell *parts;
    size_t n;
    rc_status s = next_object(r, &object, more, e);
    if (s != RC_OK || !*more) return s;
    pair->line = rc__source_line(r->src);
    s = json_texts(r, object, r->source_key, pair->line, &parts, &n, e);
    if (s == RC_OK) s = join(r, parts, n, " ", &pair->source, e);
    if (s == RC_OK && r->has_target) {
        s = json_texts(r, object, r->target_key, pair->line, &parts, &n, e);
        if (s == RC_OK && n) pair->target = parts[0];
        if (s == RC_OK && n > 1) pair->others = parts + 1, pair->n_others = n - 1;
    }
    json_decref(object);
    return s;
}

static rc_status table_pair(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e) {
    const rc__cell *row;
    rc_status s = rc__rows_next(r->rows, &row, e);
    *more = s == RC_OK && row;
    if (!*more) return s;
    pair->line = rc__rows_line(r->rows);
    pair->source = row[r->source_col];
    if (r->has_target) pair->target = row[r->target_col];
    return RC_OK;
}

/* The next conversation of those that come one by one. */
static rc_status next_conversation(rc__pairs_reader *r, bool *more, rc_error *e) {
    rc__cell line;
    rc_status s = RC_OK;
    *more = false;
    r->n_turns = r->n_first = r->conversation = r->turn = 0;
    if (!rc__source_is_whole(r->src)) rc__arena_reset(r->texts);
    if (r->form == JSON_TURNS) {
        json_t *object;
        s = next_object(r, &object, more, e);
        if (s == RC_OK && *more)
            s = json_conversation(r, json_object_get(object, r->source_key), rc__source_line(r->src), e);
        json_decref(object);
        return s;
    }
    for (bool there = true; s == RC_OK;) {
        s = next_line(r, &line, &there, e);
        if (s != RC_OK || !there) return s;
        if (rc__pair_empty(line)) {
            if (r->n_turns) return RC_OK;
            continue;
        }
        if (!r->n_first) s = begin_conversation(r, e);
        *more = true;
        if (r->form == DIALOGUES) {
            if (s == RC_OK) s = add_turn(r, line, rc__source_line(r->src), e);
            continue;
        }
        for (size_t at = 0; s == RC_OK && at <= line.len;) {
            const char *tab = at < line.len ? memchr(line.text + at, '\t', line.len - at) : NULL;
            size_t n = tab ? (size_t)(tab - line.text) - at : line.len - at;
            s = add_turn(r, (rc__cell){line.text + at, n}, rc__source_line(r->src), e);
            at += n + 1;
        }
        return s;
    }
    return s;
}

static rc_status turn_pair(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e) {
    bool one_by_one = r->form >= JSON_TURNS;
    for (;;) {
        if (r->conversation < r->n_first) {
            size_t first = r->first[r->conversation], end = r->first[r->conversation + 1];
            if (r->turn < first) r->turn = first;
            if (++r->turn < end) {
                size_t from = r->turn - first > r->history ? r->turn - r->history : first;
                *more = true;
                pair->line = r->lines[r->turn];
                if (!r->unlabelled) pair->target = r->turns[r->turn];
                return join(r, r->turns + from, r->turn - from, r->separator, &pair->source, e);
            }
            r->conversation++;
            if (r->conversation < r->n_first) r->turn = r->first[r->conversation];
            continue;
        }
        bool another = false;
        rc_status s = one_by_one ? next_conversation(r, &another, e) : RC_OK;
        if (s != RC_OK || !another) return s;
    }
}

rc_status rc__pairs_next(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e) {
    *pair = (rc__pair){.source = {"", 0}, .target = {"", 0}};
    *more = false;
    if (!rc__source_is_whole(r->src) && !talks(r)) rc__arena_reset(r->texts);
    switch (r->form) {
    case LINES: return two_lines(r, pair, more, e);
    case TABLE: return table_pair(r, pair, more, e);
    case JSON_LINES: return json_pair(r, pair, more, e);
    default: return turn_pair(r, pair, more, e);
    }
}

/* ---- whole files ------------------------------------------------------------------------------------------------- */

static uint64_t hash_bytes(uint64_t h, rc__cell c) { /* FNV-1a, and what ends a text */
    for (size_t i = 0; i < c.len; i++) h = (h ^ (unsigned char)c.text[i]) * UINT64_C(1099511628211);
    return (h ^ 0xFF) * UINT64_C(1099511628211);
}
static uint64_t hash_pair(const rc__pair *p) {
    return hash_bytes(hash_bytes(UINT64_C(14695981039346656037), p->source), p->target);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static rc_status sorted_hashes(const rc__pair *p, size_t n, uint64_t **out, rc_error *e) {
    *out = rc__alloc((n + 1) * sizeof **out);
    if (!*out) return rc_fail(e, RC_ENOMEM, "out of memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) (*out)[i] = hash_pair(&p[i]);
    qsort(*out, n, sizeof **out, by_value);
    return RC_OK;
}

rc_status rc__pairs_common(const rc__pair *a, size_t n_a, const rc__pair *b, size_t n_b, size_t *common, rc_error *e) {
    uint64_t *of_a;
    *common = 0;
    rc_status s = sorted_hashes(a, n_a, &of_a, e);
    for (size_t i = 0; s == RC_OK && i < n_b; i++) {
        uint64_t h = hash_pair(&b[i]);
        *common += bsearch(&h, of_a, n_a, sizeof h, by_value) != NULL;
    }
    rc__free(of_a, (n_a + 1) * sizeof *of_a);
    return s;
}

static rc_status count(rc__pairs *p, rc_error *e) {
    uint64_t *h;
    rc_status s = sorted_hashes(p->pair, p->n, &h, e);
    if (s != RC_OK) return s;
    for (size_t i = 1; i < p->n; i++) p->repeated += h[i] == h[i - 1];
    for (size_t i = 0; i < p->n; i++) {
        rc__cell a = rc__cell_trim(p->pair[i].source), b = rc__cell_trim(p->pair[i].target);
        bool no_source = rc__pair_empty(a), no_target = rc__pair_empty(b);
        p->empty_sources += no_source;
        p->empty_targets += no_target;
        p->equal += !no_source && a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
    }
    rc__free(h, (p->n + 1) * sizeof *h);
    return RC_OK;
}

static void tell_rest(rc__pairs *p) {
    const rc__pairs_reader *r = p->reader;
    size_t skipped = r->rows ? rc__rows_skipped(r->rows) : 0, cap = sizeof p->how;
    size_t n = (size_t)snprintf(p->how, cap, "%s", r->how);
    if (skipped && n < cap) n += (size_t)snprintf(p->how + n, cap - n, "; %zu rows left out", skipped);
    if (r->left_out && n < cap)
        snprintf(p->how + n, cap - n, "; %zu left out: no list of texts (%s %zu)", r->left_out,
                 r->form == JSON ? "entry" : "line", r->left_out_line);
}

rc_status rc__pairs_read(rc__pairs **out, const char *source_path, const char *target_path, const rc__pairs_options *o,
                         rc_error *e) {
    *out = NULL;
    rc__pairs *p = rc__calloc(1, sizeof *p);
    if (!p) return rc_fail(e, RC_ENOMEM, "%s: out of memory", source_path);
    rc_status s = rc__source_open(&p->source_file, source_path, e);
    if (s == RC_OK && target_path) s = rc__source_open(&p->target_file, target_path, e);
    if (s == RC_OK) s = rc__pairs_open(&p->reader, p->source_file, p->target_file, o, e);
    for (bool more = true; s == RC_OK && more;) {
        rc__pair pair;
        s = rc__pairs_next(p->reader, &pair, &more, e);
        if (s == RC_OK && more) s = rc__grow((void **)&p->pair, &p->cap, p->n + 1, sizeof *p->pair, e);
        if (s == RC_OK && more) p->pair[p->n++] = pair;
    }
    if (s == RC_OK && p->n == 0)
        s = rc_fail(e, RC_EDATA, "%s: expected %s, found none", rc__source_name(p->source_file),
                    p->reader->unlabelled ? "texts"
                    : talks(p->reader)    ? "conversations of two turns or more"
                                          : "pairs of texts");
    if (s == RC_OK) s = count(p, e);
    if (s != RC_OK) {
        rc__pairs_free(p);
        return s;
    }
    tell_rest(p);
    *out = p;
    return RC_OK;
}

void rc__pairs_free(rc__pairs *p) {
    if (!p) return;
    rc__pairs_close(p->reader);
    rc__source_free(p->source_file);
    rc__source_free(p->target_file);
    rc__free(p->pair, p->cap * sizeof *p->pair);
    rc__free(p, sizeof *p);
}
