/* stories.c - see stories.h. */
#include "data/stories.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/strtab.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef enum form { UNKNOWN, BABI, JSON_LINES, PLAIN } form;
static const char *const form_names[] = {"", "babi", "jsonl", "plain"};

struct rc__stories_reader {
    rc__source *src;
    form form;
    bool answers;
    bool fresh;        /* plain: the next line begins a story */
    int64_t number;    /* babi: of the last line */
    int32_t *sentence; /* babi: of each line of the story, from 1: its place among the sentences; -1 a question */
    int32_t sentences;
    int32_t *support;
    size_t cap_sentence, cap_support;
    json_t *record; /* jsonl: the story that is being given */
    size_t at;      /* ... its next sentence */
    char *answer;   /* ... texts of a list, joined */
    size_t cap_answer;
};

static rc_status wrong(const rc__stories_reader *r, size_t column, rc_error *e, const char *expected, rc__cell found) {
    char shown[64];
    return rc_fail(e, RC_EDATA, "%s: line %zu, column %zu: expected %s, found %s", rc__source_name(r->src),
                   rc__source_line(r->src), column, expected, found.len ? rc__cell_show(found, shown) : "nothing");
}

static void find_form(rc__stories_reader *r, rc__cell line) {
    if (r->form != UNKNOWN) return;
    rc__cell c = rc__cell_trim(line);
    size_t digits = 0;
    while (digits < c.len && c.text[digits] >= '0' && c.text[digits] <= '9') digits++;
    r->form = c.text[0] == '{' ? JSON_LINES : digits && digits < c.len && c.text[digits] == ' ' ? BABI : PLAIN;
}

/* ---- babi and plain ---------------------------------------------------------------------------------------------- */

/* The number before the text: 1, or one more than the line before. */
static rc_status line_number(rc__stories_reader *r, rc__cell line, size_t *used, rc_error *e) {
    size_t digits = 0;
    int64_t n = 0;
    char expected[96];
    while (digits < line.len && line.text[digits] >= '0' && line.text[digits] <= '9') digits++;
    rc__cell first = {line.text, digits ? digits : line.len};
    bool number = digits > 0 && rc__cell_integer(first, &n);
    if (!number || (n != 1 && n != r->number + 1)) {
        if (r->number)
            snprintf(expected, sizeof expected, "line number %lld, or 1 for a new story", (long long)r->number + 1);
        else
            snprintf(expected, sizeof expected, "line number 1 and a space before the text");
        return wrong(r, 1, e, expected, first);
    }
    if (digits == line.len || line.text[digits] != ' ')
        return wrong(r, digits + 1, e, "a space after the number",
                     (rc__cell){line.text + digits, line.len > digits ? 1 : 0});
    if (n > INT32_MAX) return wrong(r, 1, e, "a story of at most 2^31 lines", first);
    *used = digits + 1;
    r->number = n;
    return RC_OK;
}

/* "2 10": lines of the story that are sentences and come before the question. */
static rc_status supporting(rc__stories_reader *r, rc__cell list, size_t column, rc__story_line *out, rc_error *e) {
    const char *start = list.text;
    for (rc__cell word; (word = rc__cell_word(&list)).len;) {
        size_t at = column + (size_t)(word.text - start);
        int64_t n;
        char expected[96];
        if (!rc__cell_integer(word, &n) || n < 1 || n >= r->number || r->sentence[n - 1] < 0) {
            snprintf(expected, sizeof expected, "the number of a sentence before this line (%lld)", (long long)r->number);
            return wrong(r, at, e, expected, word);
        }
        if (out->n_support == RC_STORY_MAX_WORDS) return wrong(r, at, e, "fewer supporting lines", word);
        rc_status s = rc__grow((void **)&r->support, &r->cap_support, out->n_support + 1, sizeof *r->support, e);
        if (s != RC_OK) return s;
        r->support[out->n_support++] = r->sentence[n - 1];
        out->support = r->support;
    }
    return RC_OK;
}

/* Sentence, or question with its cells after tabs; `from` is the column where it begins, from 0. */
static rc_status read_cells(rc__stories_reader *r, rc__cell line, size_t from, rc__story_line *out, rc_error *e) {
    rc__cell cell[3] = {{0}};
    size_t at[3] = {0}, n = 0;
    for (size_t start = from;;) {
        const char *tab = memchr(line.text + start, '\t', line.len - start);
        size_t end = tab ? (size_t)(tab - line.text) : line.len;
        rc__cell c = rc__cell_trim((rc__cell){line.text + start, end - start});
        if (n == 3) return wrong(r, start + 1, e, "at most 3 cells: question, answer, supporting lines", c);
        cell[n] = c;
        at[n++] = (c.len ? (size_t)(c.text - line.text) : start) + 1;
        if (!tab) break;
        start = end + 1;
    }
    out->text = cell[0];
    out->question = n > 1 || (cell[0].len && cell[0].text[cell[0].len - 1] == '?');
    if (cell[0].len == 0) return wrong(r, from + 1, e, out->question ? "a question" : "a sentence", cell[0]);
    if (!out->question) return RC_OK;
    if (n == 1 && r->answers)
        return wrong(r, line.len + 1, e, "a tab and the answer after the question", (rc__cell){0});
    if (n == 1) return RC_OK;
    if (cell[1].len == 0 && (r->answers || n > 2)) return wrong(r, at[1], e, "an answer", cell[1]);
    if (cell[1].len) out->answer = cell[1];
    if (n < 3) return RC_OK;
    if (r->form == PLAIN) return wrong(r, at[2], e, "nothing after the answer: lines without numbers support nothing", cell[2]);
    return supporting(r, cell[2], at[2], out, e);
}

static rc_status read_line(rc__stories_reader *r, rc__cell line, rc__story_line *out, rc_error *e) {
    size_t from = 0;
    if (r->form == PLAIN) {
        out->begins = r->fresh;
        r->fresh = false;
        return read_cells(r, line, 0, out, e);
    }
    rc_status s = line_number(r, line, &from, e);
    if (s != RC_OK) return s;
    out->begins = r->number == 1;
    if (out->begins) r->sentences = 0;
    s = rc__grow((void **)&r->sentence, &r->cap_sentence, (size_t)r->number, sizeof *r->sentence, e);
    if (s == RC_OK) s = read_cells(r, line, from, out, e);
    if (s == RC_OK) r->sentence[r->number - 1] = out->question ? -1 : r->sentences++;
    return s;
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

static rc_status wrong_value(const rc__stories_reader *r, const char *key, const char *expected, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: line %zu: \"%s\": expected %s", rc__source_name(r->src), rc__source_line(r->src),
                   key, expected);
}

/* A text on one line, not empty. */
static bool good_text(const json_t *v) {
    if (!json_is_string(v)) return false;
    rc__cell c = rc__cell_trim((rc__cell){json_string_value(v), json_string_length(v)});
    return c.len > 0 && !memchr(c.text, '\n', c.len) && !memchr(c.text, '\t', c.len);
}

static rc_status join_answers(rc__stories_reader *r, const json_t *list, rc_error *e) {
    size_t at = 0;
    if (json_array_size(list) == 0) return wrong_value(r, "answer", "a text or a list of texts, found an empty list", e);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!good_text(v)) return wrong_value(r, "answer", "texts of one line each that are not empty", e);
        size_t n = json_string_length(v);
        rc_status s = rc__grow((void **)&r->answer, &r->cap_answer, at + n + 1, 1, e);
        if (s != RC_OK) return s;
        if (at) r->answer[at++] = ',';
        memcpy(r->answer + at, json_string_value(v), n);
        at += n;
    }
    json_t *joined = json_stringn(r->answer, at);
    return json_object_set_new(r->record, "answer", joined) == 0 ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory");
}

static rc_status check_record(rc__stories_reader *r, rc_error *e) {
    static const char *const keys[] = {"story", "question", "answer"};
    const json_t *story = json_object_get(r->record, "story"), *answer = json_object_get(r->record, "answer");
    if (!json_is_array(story) && !good_text(story))
        return wrong_value(r, "story", "a list of texts, or a text, found something else or no such key", e);
    for (size_t i = 0; i < json_array_size(story); i++)
        if (!good_text(json_array_get(story, i)))
            return wrong_value(r, "story", "texts of one line each that are not empty", e);
    if (!good_text(json_object_get(r->record, "question")))
        return wrong_value(r, "question", "a text of one line that is not empty", e);
    const char *key;
    json_t *v;
    json_object_foreach(r->record, key, v) {
        bool known = false;
        for (int i = 0; i < 3; i++) known = known || strcmp(key, keys[i]) == 0;
        if (!known)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected keys story, question and answer, found \"%.60s\"",
                           rc__source_name(r->src), rc__source_line(r->src), key);
    }
    if (json_is_array(answer)) return join_answers(r, answer, e);
    bool none = !answer || json_is_null(answer);
    if (none ? r->answers : !good_text(answer))
        return wrong_value(r, "answer", "a text of one line that is not empty, or a list of them", e);
    return RC_OK;
}

static rc__cell text_of(const json_t *v) {
    return rc__cell_trim((rc__cell){json_string_value(v), json_string_length(v)});
}

static void from_record(rc__stories_reader *r, rc__story_line *out) {
    const json_t *story = json_object_get(r->record, "story"), *answer = json_object_get(r->record, "answer");
    size_t n = json_is_array(story) ? json_array_size(story) : 1;
    out->begins = r->at == 0;
    out->question = r->at == n;
    if (r->at < n)
        out->text = text_of(json_is_array(story) ? json_array_get(story, r->at) : story);
    else
        out->text = text_of(json_object_get(r->record, "question"));
    if (out->question && json_is_string(answer)) out->answer = text_of(answer);
    r->at = out->question ? SIZE_MAX : r->at + 1;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

rc_status rc__stories_open(rc__stories_reader **out, rc__source *src, const rc__stories_options *o, rc_error *e) {
    form f = UNKNOWN;
    *out = NULL;
    if (o->format && *o->format && strcmp(o->format, "auto") != 0) {
        for (f = BABI; f <= PLAIN && strcmp(form_names[f], o->format) != 0;) f++;
        if (f > PLAIN)
            return rc_fail(e, RC_EINVAL, "format: expected babi, jsonl or plain, found \"%.60s\"", o->format);
    }
    rc__stories_reader *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    r->src = src;
    r->form = f;
    r->answers = o->answers;
    r->fresh = true;
    *out = r;
    return RC_OK;
}

void rc__stories_close(rc__stories_reader *r) {
    if (!r) return;
    json_decref(r->record);
    rc__free(r->sentence, r->cap_sentence * sizeof *r->sentence);
    rc__free(r->support, r->cap_support * sizeof *r->support);
    rc__free(r->answer, r->cap_answer);
    rc__free(r, sizeof *r);
}

const char *rc__stories_how(const rc__stories_reader *r) { return form_names[r->form]; }

rc_status rc__stories_next(rc__stories_reader *r, rc__story_line *out, bool *more, rc_error *e) {
    *out = (rc__story_line){.line = rc__source_line(r->src)};
    *more = true;
    if (r->record && r->at != SIZE_MAX) return from_record(r, out), RC_OK;
    json_decref(r->record);
    r->record = NULL;
    rc__cell line = {0};
    for (;;) {
        char *text;
        rc_status s = rc__source_next(r->src, &text, &line.len, e);
        if (s != RC_OK) return s;
        if (!text) return *more = false, RC_OK;
        line.text = text;
        if (rc__cell_trim(line).len) break;
        r->fresh = true;
    }
    find_form(r, line);
    out->line = rc__source_line(r->src);
    if (r->form != JSON_LINES) return read_line(r, line, out, e);
    rc_status s = rc__json_parse_line(line.text, line.len, rc__source_name(r->src), out->line, &r->record, e);
    if (s == RC_OK) s = check_record(r, e);
    if (s != RC_OK) return s;
    r->at = 0;
    from_record(r, out);
    return RC_OK;
}
