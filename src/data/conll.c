/* conll.c - see conll.h. Outline: words of a sentence - columns - JSON lines - snips - the format - reading. */
#include "data/conll.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "data/strtab.h"

typedef enum form { CONLLU, COLUMNS, JSON_LINES, SNIPS, WORDS } form;

struct rc__conll_reader {
    rc__source *src;
    form form;
    bool untagged, tabs, begun; /* tabs, n_cols: of the first line with a word */
    size_t word, tag, n_cols;   /* columns from 0; tag SIZE_MAX: the last one */
    char *tag_key;              /* JSON lines: the key that was asked for */
    rc__cell *words, *tags;
    size_t *lines;
    size_t n, words_cap, tags_cap, lines_cap;
    rc__arena *texts;
    /* snips */
    json_t *file;
    void *intent_at; /* iterator; NULL after the last */
    size_t utterance, total;
    char how[96];
};

enum { CONLLU_COLUMNS = 10 };
static const char *const conllu_names[CONLLU_COLUMNS] = {"id",    "form", "lemma",  "upos", "xpos",
                                                         "feats", "head", "deprel", "deps", "misc"};

/* ---- words of a sentence ----------------------------------------------------------------------------------------- */

static rc_status add_word(rc__conll_reader *r, rc__cell word, rc__cell tag, size_t line, rc_error *e) {
    rc_status s = rc__grow((void **)&r->words, &r->words_cap, r->n + 1, sizeof *r->words, e);
    if (s == RC_OK) s = rc__grow((void **)&r->tags, &r->tags_cap, r->n + 1, sizeof *r->tags, e);
    if (s == RC_OK) s = rc__grow((void **)&r->lines, &r->lines_cap, r->n + 1, sizeof *r->lines, e);
    if (s != RC_OK) return s;
    r->words[r->n] = word;
    r->tags[r->n] = tag;
    r->lines[r->n++] = line;
    return RC_OK;
}

/* Text that outlives its line: a whole file keeps what it has, a stream needs a copy, JSON always. */
static rc_status keep(rc__conll_reader *r, rc__cell *c, rc_error *e) {
    char *at = rc__arena_alloc(r->texts, c->len + 1);
    if (!at) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    if (c->len) memcpy(at, c->text, c->len);
    c->text = at;
    return RC_OK;
}

static rc_status cut_words(rc__conll_reader *r, rc__cell text, size_t line, rc_error *e) {
    rc_status s = RC_OK;
    for (rc__cell word; s == RC_OK && (word = rc__cell_word(&text)).len;) s = add_word(r, word, (rc__cell){0}, line, e);
    return s;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

enum { MAX_COLUMNS = 64 };

/* The cells of a line; more than MAX_COLUMNS are counted and not kept. */
static size_t cut_columns(rc__cell line, bool tabs, rc__cell cells[MAX_COLUMNS]) {
    size_t n = 0;
    if (!tabs) {
        for (rc__cell word; (word = rc__cell_word(&line)).len; n++)
            if (n < MAX_COLUMNS) cells[n] = word;
        return n;
    }
    for (size_t at = 0;; n++) {
        const char *tab = memchr(line.text + at, '\t', line.len - at);
        size_t end = tab ? (size_t)(tab - line.text) : line.len;
        if (n < MAX_COLUMNS) cells[n] = (rc__cell){line.text + at, end - at};
        if (!tab) return n + 1;
        at = end + 1;
    }
}

/* 3-4 and 5.1 are no words of the sentence; others count from 1. */
static rc_status conllu_id(rc__conll_reader *r, rc__cell id, size_t line, bool *skip, rc_error *e) {
    int64_t number;
    char shown[64];
    size_t digits = 0;
    *skip = false;
    while (digits < id.len && id.text[digits] >= '0' && id.text[digits] <= '9') digits++;
    if (digits && digits + 1 < id.len && (id.text[digits] == '-' || id.text[digits] == '.') &&
        rc__cell_integer((rc__cell){id.text + digits + 1, id.len - digits - 1}, &number)) {
        *skip = true;
        return RC_OK;
    }
    if (rc__cell_integer(id, &number) && number >= 1 && (uint64_t)number == r->n + 1) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected word %zu of the sentence, found %s", rc__source_name(r->src),
                   line, r->n + 1, rc__cell_show(id, shown));
}

static rc_status column_word(rc__conll_reader *r, rc__cell line, size_t number, rc_error *e) {
    rc__cell cells[MAX_COLUMNS] = {{0}};
    const char *name = rc__source_name(r->src);
    if (!r->begun && r->form == COLUMNS) r->tabs = memchr(line.text, '\t', line.len) != NULL;
    size_t n = cut_columns(line, r->tabs, cells);
    if (!r->begun) {
        r->begun = true;
        r->n_cols = r->form == CONLLU ? CONLLU_COLUMNS : n;
        if (r->n_cols > MAX_COLUMNS)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected at most %d columns, found %zu", name, number,
                           MAX_COLUMNS, n);
    }
    if (n != r->n_cols)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %zu columns %s, found %zu", name, number, r->n_cols,
                       r->form == CONLLU ? "with tabs between" : "as before", n);
    size_t tag = r->tag == SIZE_MAX ? n - 1 : r->tag;
    bool skip = false;
    if (r->form == CONLLU) {
        rc_status s = conllu_id(r, cells[0], number, &skip, e);
        if (s != RC_OK || skip) return s;
    }
    if (r->word >= n || (!r->untagged && (tag >= n || n < 2)))
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: expected a word in column %zu and a tag in column %zu, found %zu column%s", name,
                       number, r->word + 1, n < 2 ? 2 : tag + 1, n, n == 1 ? "" : "s");
    if (cells[r->word].len == 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a word, found nothing", name, number);
    rc__cell word = cells[r->word], label = r->untagged ? (rc__cell){0} : cells[tag];
    if (!r->untagged && label.len == 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a tag in column %zu, found nothing", name, number, tag + 1);
    rc_status s = RC_OK;
    if (!rc__source_is_whole(r->src)) {
        s = keep(r, &word, e);
        if (s == RC_OK && !r->untagged) s = keep(r, &label, e);
    }
    return s == RC_OK ? add_word(r, word, label, number, e) : s;
}

static rc_status column_sentence(rc__conll_reader *r, rc__sentence *out, bool *more, rc_error *e) {
    for (;;) {
        char *text;
        size_t len;
        rc_status s = rc__source_next(r->src, &text, &len, e);
        if (s != RC_OK) return s;
        *more = r->n > 0;
        if (!text) return RC_OK;
        rc__cell line = {text, len};
        size_t number = rc__source_line(r->src);
        if (rc__cell_trim(line).len == 0) {
            if (r->n) return RC_OK;
            continue;
        }
        /* In columns '#' may be a word; a comment has a blank behind it and no tab. */
        if (r->form == CONLLU && text[0] == '#') continue;
        rc__cell rest = line, cells[MAX_COLUMNS];
        if (r->form == COLUMNS && len > 1 && text[0] == '#' && text[1] == ' ' && r->n == 0 &&
            !memchr(text, '\t', len) && (r->tabs || (!r->begun && cut_columns(line, false, cells) > 4)))
            continue;
        if (rc__cell_is(rc__cell_word(&rest), "-DOCSTART-")) continue;
        if (r->n == 0) out->line = number;
        s = column_word(r, line, number, e);
        if (s != RC_OK) return s;
    }
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

static rc_status wrong_value(const rc__conll_reader *r, size_t line, const char *key, const char *expected,
                             rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected %s", rc__source_name(r->src), line, key, expected);
}

static rc_status text_of(rc__conll_reader *r, const json_t *v, size_t line, const char *key, rc__cell *out,
                         rc_error *e) {
    char number[32];
    if (json_is_string(v))
        *out = (rc__cell){json_string_value(v), json_string_length(v)};
    else if (json_is_integer(v))
        *out = (rc__cell){number, (size_t)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v))};
    else
        return wrong_value(r, line, key, "texts", e);
    return keep(r, out, e);
}

static const char *first_key(const json_t *object, const char *const *names) {
    for (; *names; names++)
        if (json_object_get(object, *names)) return *names;
    return NULL;
}

static rc_status json_tags(rc__conll_reader *r, const json_t *object, size_t line, bool *tagged, rc_error *e) {
    static const char *const names[] = {"tags", "labels", "slots", NULL};
    const char *key = r->tag_key ? r->tag_key : first_key(object, names);
    const json_t *tags = key ? json_object_get(object, key) : NULL;
    *tagged = false;
    if (!tags) {
        if (!r->tag_key || r->untagged) return RC_OK;
        return wrong_value(r, line, r->tag_key, "a list of tags, found no such key", e);
    }
    if (!json_is_array(tags)) return wrong_value(r, line, key, "a list of tags", e);
    if (json_array_size(tags) != r->n)
        return rc_fail(e, RC_EDATA, "%s: line %zu: \"%.63s\": expected %zu tags, one for each word, found %zu",
                       rc__source_name(r->src), line, key, r->n, json_array_size(tags));
    for (size_t i = 0; i < r->n; i++) {
        rc_status s = text_of(r, json_array_get(tags, i), line, key, &r->tags[i], e);
        if (s != RC_OK) return s;
        if (r->tags[i].len == 0) return wrong_value(r, line, key, "tags, found an empty text", e);
    }
    *tagged = true;
    return RC_OK;
}

static rc_status json_words(rc__conll_reader *r, const json_t *object, size_t line, rc_error *e) {
    static const char *const names[] = {"tokens", "words", "text", NULL};
    const char *key = first_key(object, names);
    const json_t *words = key ? json_object_get(object, key) : NULL;
    rc__cell text;
    if (!words)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a key tokens, words or text", rc__source_name(r->src),
                       line);
    if (json_is_string(words)) {
        rc_status s = text_of(r, words, line, key, &text, e);
        return s == RC_OK ? cut_words(r, text, line, e) : s;
    }
    if (!json_is_array(words)) return wrong_value(r, line, key, "a text or a list of words", e);
    for (size_t i = 0; i < json_array_size(words); i++) {
        rc_status s = text_of(r, json_array_get(words, i), line, key, &text, e);
        if (s == RC_OK && text.len == 0) s = wrong_value(r, line, key, "words, found an empty text", e);
        if (s == RC_OK) s = add_word(r, text, (rc__cell){0}, line, e);
        if (s != RC_OK) return s;
    }
    return RC_OK;
}

static rc_status json_sentence(rc__conll_reader *r, rc__sentence *out, bool *tagged, bool *more, rc_error *e) {
    char *text;
    size_t len;
    json_t *object;
    rc_status s;
    do s = rc__source_next(r->src, &text, &len, e);
    while (s == RC_OK && text && rc__cell_trim((rc__cell){text, len}).len == 0);
    *more = s == RC_OK && text;
    if (!*more) return s;
    out->line = rc__source_line(r->src);
    s = rc__json_parse_line(text, len, rc__source_name(r->src), out->line, &object, e);
    if (s != RC_OK) return s;
    s = json_words(r, object, out->line, e);
    if (s == RC_OK && !r->untagged) s = json_tags(r, object, out->line, tagged, e);
    const json_t *intent = json_object_get(object, "intent");
    if (s == RC_OK && intent && !json_is_null(intent) && !r->untagged) {
        s = text_of(r, intent, out->line, "intent", &out->intent, e);
        if (s == RC_OK && out->intent.len == 0)
            s = wrong_value(r, out->line, "intent", "a name, found an empty text", e);
    }
    json_decref(object);
    return s;
}

/* ---- snips ------------------------------------------------------------------------------------------------------- */

static rc_status wrong_snips(const rc__conll_reader *r, const char *expected, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: utterance %zu: expected %s", rc__source_name(r->src), r->total, expected);
}

typedef struct piece {
    rc__cell text;
    const char *entity; /* NULL: outside of slots */
} piece;

static rc_status read_piece(const rc__conll_reader *r, const json_t *v, piece *p, rc_error *e) {
    const json_t *text = json_object_get(v, "text"), *entity = json_object_get(v, "entity");
    if (!json_is_string(text) || (entity && !json_is_string(entity)))
        return wrong_snips(r, "pieces with a \"text\", and for slots an \"entity\"", e);
    *p = (piece){{json_string_value(text), json_string_length(text)}, entity ? json_string_value(entity) : NULL};
    return p->entity && !*p->entity ? wrong_snips(r, "the name of an entity, found an empty text", e) : RC_OK;
}

static rc_status slot_tag(rc__conll_reader *r, bool first, const char *entity, rc__cell *tag, rc_error *e) {
    size_t n = strlen(entity);
    char *at = rc__arena_alloc(r->texts, n + 2);
    if (!at) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    memcpy(at, first ? "B-" : "I-", 2);
    memcpy(at + 2, entity, n);
    *tag = (rc__cell){at, n + 2};
    return RC_OK;
}

static rc_status snips_utterance(rc__conll_reader *r, const json_t *pieces, rc_error *e) {
    size_t total = 0, n = json_array_size(pieces);
    piece p;
    rc_status s = RC_OK;
    for (size_t i = 0; i < n; i++) {
        s = read_piece(r, json_array_get(pieces, i), &p, e);
        if (s != RC_OK) return s;
        total += p.text.len;
    }
    char *text = rc__arena_alloc(r->texts, total + 1);
    if (!text) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(r->src));
    for (size_t i = 0, at = 0; i < n; i++) {
        read_piece(r, json_array_get(pieces, i), &p, e);
        if (p.text.len) memcpy(text + at, p.text.text, p.text.len);
        at += p.text.len;
    }
    s = cut_words(r, (rc__cell){text, total}, r->total, e);
    /* Words and pieces side by side: piece i covers from..to. */
    size_t i = 0, from = 0, to = 0;
    bool used = false; /* the piece has given its B- */
    if (n && s == RC_OK) {
        read_piece(r, json_array_get(pieces, 0), &p, e);
        to = p.text.len;
    }
    for (size_t k = 0; s == RC_OK && k < r->n; k++) {
        size_t start = (size_t)(r->words[k].text - text), end = start + r->words[k].len;
        r->tags[k] = (rc__cell){"O", 1};
        if (r->untagged) continue;
        for (;;) { /* the first piece with a slot that the word touches */
            size_t low = from > start ? from : start, high = to < end ? to : end;
            if (p.entity && low < high) break;
            if (to >= end || i + 1 >= n) break;
            from = to;
            read_piece(r, json_array_get(pieces, ++i), &p, e);
            to += p.text.len;
            used = false;
        }
        size_t low = from > start ? from : start, high = to < end ? to : end;
        if (!p.entity || low >= high) continue;
        s = slot_tag(r, !used, p.entity, &r->tags[k], e);
        used = true;
    }
    return s;
}

static rc_status snips_sentence(rc__conll_reader *r, rc__sentence *out, bool *more, rc_error *e) {
    const json_t *list = NULL;
    while (r->intent_at) {
        list = json_object_iter_value(r->intent_at);
        if (!json_is_array(list))
            return rc_fail(e, RC_EDATA, "%s: \"%.63s\": expected a list of utterances", rc__source_name(r->src),
                           json_object_iter_key(r->intent_at));
        if (r->utterance < json_array_size(list)) break;
        r->intent_at = json_object_iter_next(r->file, r->intent_at);
        r->utterance = 0;
    }
    *more = r->intent_at != NULL;
    if (!*more) return RC_OK;
    const char *intent = json_object_iter_key(r->intent_at);
    const json_t *pieces = json_object_get(json_array_get(list, r->utterance++), "data");
    out->line = ++r->total;
    if (!*intent) return wrong_snips(r, "the name of an intent, found an empty text", e);
    if (!json_is_array(pieces)) return wrong_snips(r, "an object with a list \"data\"", e);
    if (!r->untagged) out->intent = (rc__cell){intent, strlen(intent)}; /* of the file, which stays */
    return snips_utterance(r, pieces, e);
}

static rc_status open_snips(rc__conll_reader *r, rc_error *e) {
    const char *text, *name = rc__source_name(r->src);
    size_t len;
    if (!rc__source_is_whole(r->src))
        return rc_fail(e, RC_EDATA,
                       "%s: line 1: a snips file is read as a whole, not as a stream; expected JSON lines or "
                       "plain words",
                       name);
    rc_status s = rc__source_peek(r->src, &text, &len, e);
    if (s == RC_OK) s = rc__json_parse(text, len, name, &r->file, e);
    if (s == RC_EMODEL) return rc_fail(e, RC_EDATA, "%s", e ? e->text : "");
    if (s != RC_OK) return s;
    if (!json_is_object(r->file)) return rc_fail(e, RC_EDATA, "%s: expected an object of intents, found a list", name);
    r->intent_at = json_object_iter(r->file);
    return RC_OK;
}

/* ---- the format -------------------------------------------------------------------------------------------------- */

static rc_status first_line(rc__source *src, rc__cell *line, rc_error *e) {
    const char *text;
    size_t len;
    rc_status s = rc__source_peek(src, &text, &len, e);
    *line = (rc__cell){"", 0};
    while (s == RC_OK && len) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        *line = rc__cell_trim((rc__cell){text, n && text[n - 1] == '\r' ? n - 1 : n});
        rc__cell rest = *line;
        if (line->len && line->text[0] != '#' && !rc__cell_is(rc__cell_word(&rest), "-DOCSTART-")) return RC_OK;
        text += n + (end != NULL);
        len -= n + (end != NULL);
    }
    return s;
}

/* A stream shows one line: a comment there is CoNLL-U, which begins with them; a line of words is that if no tags are
 * wanted. */
static rc_status guess_form(rc__conll_reader *r, rc_error *e) {
    rc__cell line, cells[MAX_COLUMNS];
    rc_status s = first_line(r->src, &line, e);
    if (s != RC_OK) return s;
    size_t tabs = line.len ? cut_columns(line, true, cells) : 0, words = line.len ? cut_columns(line, false, cells) : 0;
    int64_t id;
    if (line.len && line.text[0] == '{') {
        json_t *object;
        rc_error why;
        s = rc__json_parse_line(line.text, line.len, rc__source_name(r->src), 1, &object, &why);
        if (s == RC_ENOMEM) return rc_fail(e, s, "%s", why.text);
        r->form = SNIPS; /* which goes on over lines, or has lists */
        bool list = true;
        if (s == RC_OK) {
            const char *key;
            json_t *v;
            json_object_foreach(object, key, v) list = list && json_is_array(v) && json_is_object(json_array_get(v, 0));
            if (!list || json_object_size(object) == 0) r->form = JSON_LINES;
            json_decref(object);
        } else if (!rc__source_is_whole(r->src) || (line.len > 1 && line.text[line.len - 1] == '}')) {
            r->form = JSON_LINES; /* a damaged line */
        }
        return RC_OK;
    }
    cut_columns(line, true, cells);
    if (tabs == CONLLU_COLUMNS && (rc__cell_integer(cells[0], &id) || memchr(cells[0].text, '-', cells[0].len)))
        r->form = CONLLU;
    else if (line.len && line.text[0] == '#' && tabs == 1 && !rc__source_is_whole(r->src))
        r->form = CONLLU;
    else
        r->form = r->untagged && tabs == 1 && words != 2 ? WORDS : COLUMNS;
    return RC_OK;
}

static rc_status set_tag(rc__conll_reader *r, const rc__conll_options *o, rc_error *e) {
    const char *name = rc__source_name(r->src);
    int64_t number;
    r->tag = r->form == CONLLU ? 3 : SIZE_MAX;
    r->word = r->form == CONLLU ? 1 : o->word ? o->word - 1 : 0;
    r->tabs = r->form == CONLLU;
    if (!o->tags) return RC_OK;
    if (r->form == JSON_LINES) {
        r->tag_key = rc__strdup(o->tags);
        return r->tag_key ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
    }
    if (rc__cell_integer((rc__cell){o->tags, strlen(o->tags)}, &number)) {
        if (number < 1 || number > (r->form == CONLLU ? CONLLU_COLUMNS : MAX_COLUMNS))
            return rc_fail(e, RC_EINVAL, "%s: tags in column %.20s: expected a column from 1 to %d", name, o->tags,
                           r->form == CONLLU ? CONLLU_COLUMNS : MAX_COLUMNS);
        r->tag = (size_t)number - 1;
        return RC_OK;
    }
    if (r->form != CONLLU)
        return rc_fail(e, RC_EINVAL, "%s: tags in \"%.40s\": expected the number of a column", name, o->tags);
    for (r->tag = 0; r->tag < CONLLU_COLUMNS; r->tag++)
        if (strcasecmp(o->tags, conllu_names[r->tag]) == 0) return RC_OK;
    return rc_fail(e, RC_EINVAL,
                   "%s: tags in \"%.40s\": expected form, lemma, upos, xpos, feats, head, deprel, deps or misc", name,
                   o->tags);
}

static void tell_how(rc__conll_reader *r) {
    char *buf = r->how;
    size_t cap = sizeof r->how;
    switch (r->form) {
    case CONLLU:
        snprintf(buf, cap, r->untagged ? "CoNLL-U, words alone" : "CoNLL-U, tags are %s", conllu_names[r->tag]);
        break;
    case COLUMNS:
        if (r->untagged)
            snprintf(buf, cap, "columns, words in column %zu", r->word + 1);
        else if (r->tag == SIZE_MAX)
            snprintf(buf, cap, "columns, words in column %zu, tags in the last", r->word + 1);
        else
            snprintf(buf, cap, "columns, words in column %zu, tags in column %zu", r->word + 1, r->tag + 1);
        break;
    case JSON_LINES: snprintf(buf, cap, "JSON lines of words%s", r->untagged ? "" : " and tags"); break;
    case SNIPS: snprintf(buf, cap, "a snips file, intents and slots"); break;
    default: snprintf(buf, cap, "plain words, a sentence in each line");
    }
}

static rc_status set_form(rc__conll_reader *r, const rc__conll_options *o, rc_error *e) {
    static const char *const names[] = {"conllu", "columns", "jsonl", "snips", "words"};
    const char *name = rc__source_name(r->src);
    rc_status s = RC_OK;
    if (o->format && strcmp(o->format, "auto") != 0) {
        int i = 0;
        while (i < 5 && strcmp(o->format, names[i]) != 0) i++;
        if (i == 5)
            return rc_fail(e, RC_EINVAL, "%s: format \"%.40s\": expected auto, conllu, columns, jsonl, snips or words",
                           name, o->format);
        r->form = (form)i;
    } else {
        s = guess_form(r, e);
    }
    if (s == RC_OK && r->form == WORDS && !r->untagged)
        return rc_fail(e, RC_EDATA, "%s: line 1: expected words with tags, found plain words", name);
    if (s == RC_OK) s = set_tag(r, o, e);
    if (s == RC_OK && r->form == SNIPS) s = open_snips(r, e);
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

rc_status rc__conll_open(rc__conll_reader **out, rc__source *src, const rc__conll_options *o, rc_error *e) {
    static const rc__conll_options defaults = {0};
    *out = NULL;
    if (!o) o = &defaults;
    rc__conll_reader *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    r->src = src;
    r->untagged = o->untagged;
    r->texts = rc__arena_new();
    rc_status s = r->texts ? set_form(r, o, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(src));
    if (s != RC_OK) {
        rc__conll_close(r);
        return s;
    }
    tell_how(r);
    *out = r;
    return RC_OK;
}

void rc__conll_close(rc__conll_reader *r) {
    if (!r) return;
    rc__free(r->words, r->words_cap * sizeof *r->words);
    rc__free(r->tags, r->tags_cap * sizeof *r->tags);
    rc__free(r->lines, r->lines_cap * sizeof *r->lines);
    rc__strfree(r->tag_key);
    rc__arena_free(r->texts);
    json_decref(r->file);
    rc__free(r, sizeof *r);
}

const char *rc__conll_how(const rc__conll_reader *r) { return r->how; }

rc_status rc__conll_next(rc__conll_reader *r, rc__sentence *out, bool *more, rc_error *e) {
    *out = (rc__sentence){0};
    *more = false;
    r->n = 0;
    if (!rc__source_is_whole(r->src)) rc__arena_reset(r->texts);
    bool tagged = !r->untagged;
    rc_status s = RC_OK;
    if (r->form == JSON_LINES) {
        s = json_sentence(r, out, &tagged, more, e);
        if (r->untagged) tagged = false;
    } else if (r->form == SNIPS) {
        s = snips_sentence(r, out, more, e);
    } else if (r->form == WORDS) {
        char *text;
        size_t len;
        s = rc__source_next(r->src, &text, &len, e);
        *more = s == RC_OK && text;
        out->line = rc__source_line(r->src);
        if (*more) s = cut_words(r, (rc__cell){text, len}, out->line, e);
    } else {
        s = column_sentence(r, out, more, e);
    }
    if (s != RC_OK) *more = false;
    out->n = r->n;
    out->words = r->words;
    out->lines = r->lines;
    out->tags = tagged ? r->tags : NULL;
    return s;
}

/* ---- whole files ------------------------------------------------------------------------------------------------- */

static rc_status copy(rc__sentences *l, const void **array, size_t bytes, rc_error *e) {
    void *to = rc__arena_alloc(l->arrays, bytes + 1);
    if (!to) return rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__source_name(l->src));
    if (bytes) memcpy(to, *array, bytes);
    *array = to;
    return RC_OK;
}

static rc_status keep_sentence(rc__sentences *l, rc__sentence s, bool untagged, rc_error *e) {
    const char *name = rc__source_name(l->src);
    const char *unit = l->reader->form == SNIPS ? "utterance" : "line";
    if (s.n == 0 && l->reader->form == WORDS) return RC_OK;
    if (s.n == 0) return rc_fail(e, RC_EDATA, "%s: %s %zu: expected words, found none", name, unit, s.line);
    if (!untagged && !s.tags && !s.intent.text)
        return rc_fail(e, RC_EDATA, "%s: %s %zu: expected tags or an intent, found neither", name, unit, s.line);
    if (!untagged && l->n && (!s.tags != !l->at[0].tags || !s.intent.text != !l->at[0].intent.text))
        return rc_fail(e, RC_EDATA, "%s: %s %zu: expected tags and intents in all sentences or in none", name, unit,
                       s.line);
    rc_status status = rc__grow((void **)&l->at, &l->cap, l->n + 1, sizeof *l->at, e);
    const void *words = s.words, *tags = s.tags, *lines = s.lines;
    if (status == RC_OK) status = copy(l, &words, s.n * sizeof *s.words, e);
    if (status == RC_OK && tags) status = copy(l, &tags, s.n * sizeof *s.tags, e);
    if (status == RC_OK) status = copy(l, &lines, s.n * sizeof *s.lines, e);
    if (status != RC_OK) return status;
    s.words = words;
    s.tags = tags;
    s.lines = lines;
    l->at[l->n++] = s;
    l->n_words += s.n;
    return RC_OK;
}

rc_status rc__conll_read(rc__sentences **out, const char *path, const rc__conll_options *o, rc_error *e) {
    *out = NULL;
    rc__sentences *l = rc__calloc(1, sizeof *l);
    if (!l) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    l->arrays = rc__arena_new();
    rc_status s = l->arrays ? rc__source_open(&l->src, path, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = rc__conll_open(&l->reader, l->src, o, e);
    for (bool more = true; s == RC_OK && more;) {
        rc__sentence sentence;
        s = rc__conll_next(l->reader, &sentence, &more, e);
        if (s == RC_OK && more) s = keep_sentence(l, sentence, o && o->untagged, e);
    }
    if (s == RC_OK && l->n == 0)
        s = rc_fail(e, RC_EDATA, "%s: expected sentences, found none", rc__source_name(l->src));
    if (s != RC_OK) {
        rc__conll_free(l);
        return s;
    }
    memcpy(l->how, l->reader->how, sizeof l->how);
    *out = l;
    return RC_OK;
}

void rc__conll_free(rc__sentences *l) {
    if (!l) return;
    rc__conll_close(l->reader);
    rc__source_free(l->src);
    rc__arena_free(l->arrays);
    rc__free(l->at, l->cap * sizeof *l->at);
    rc__free(l, sizeof *l);
}
