/* hf_tokenizer.c - Hugging Face's tokenizer.json, both ways. docs/tokenizers.md has the table of what maps to what.
 *
 * A tokenizer.json is a pipeline: added_tokens | normalizer | pre_tokenizer | model | post_processor, and a decoder.
 * We read those pipelines that one of our vocabularies does exactly, and refuse any other by the name of the field. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "data/utf8.h"
#include "data/vocab_json.h"

/* The splits that only we write: they say exactly what our char and word vocabularies do. */
static const char each_character[] = "[\\s\\S]";
static const char ascii_spaces[] = "[ \\t\\x0B\\f\\r]+", ascii_spaces_newline[] = "[ \\t\\n\\x0B\\f\\r]+";

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* {"token": id, ...} */
static json_t *vocab_object(const rc_vocab *v, bool byte_level) {
    json_t *o = json_object();
    for (size_t id = 0; o && id < v->entries.count; id++) {
        json_t *name = rc__entry_to_json(v, id, byte_level);
        int bad = !name || json_object_set_new_nocheck(o, json_string_value(name), json_integer((json_int_t)id));
        json_decref(name);
        if (bad) {
            json_decref(o);
            o = NULL;
        }
    }
    return o;
}

/* As "left right": every version of the package reads it; byte-level text has no space. */
static json_t *merges_array(const rc_vocab *v) {
    size_t n;
    const rc__merge *m = rc__bpe_merges(v, &n);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        json_t *l = rc__entry_to_json(v, (size_t)m[i].left, true), *r = rc__entry_to_json(v, (size_t)m[i].right, true);
        json_t *both = l && r ? json_sprintf("%s %s", json_string_value(l), json_string_value(r)) : NULL;
        json_decref(l);
        json_decref(r);
        if (json_array_append_new(list, both) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *added_tokens_array(const rc_vocab *v) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < v->n_specials; i++) {
        json_t *t = json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (int)v->specials[i], "content",
                              rc__entry_to_json(v, (size_t)v->specials[i], false), "single_word", 0, "lstrip", 0,
                              "rstrip", 0, "normalized", 0, "special", 1);
        if (json_array_append_new(list, t) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

#define BYTE_LEVEL(regex) \
    "{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", regex

static json_t *byte_level_pre(const rc_vocab *v) {
    const char *pattern = v->kind == RC_VOCAB_BPE ? rc__bpe_pattern(v) : rc__gpt2_pattern;
    if (strcmp(pattern, rc__gpt2_pattern) == 0) return json_pack(BYTE_LEVEL(1));
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                     "pattern", "Regex", pattern, "behavior", "Isolated", "invert", 0, json_pack(BYTE_LEVEL(0)));
}

/* Byte-level BPE; the byte vocabulary is one without merges whose ids are the bytes. */
static json_t *byte_level_file(const rc_vocab *v) {
    bool bpe = v->kind == RC_VOCAB_BPE;
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                              "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                              "byte_fallback", 0, "ignore_merges", bpe && rc__bpe_ignores_merges(v), "vocab",
                              vocab_object(v, true), "merges", bpe ? merges_array(v) : json_array());
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added_tokens_array(v), "normalizer", "pre_tokenizer", byte_level_pre(v),
                     "post_processor", "decoder", json_pack(BYTE_LEVEL(1)), "model", model);
}

static json_t *word_level_file(const rc_vocab *v, json_t *normalizer, json_t *pre_tokenizer, json_t *decoder) {
    json_t *unk = rc__entry_to_json(v, (size_t)v->unk, false);
    json_t *model =
        json_pack("{s:s, s:o, s:o}", "type", "WordLevel", "vocab", vocab_object(v, false), "unk_token", unk);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added_tokens_array(v), "normalizer", normalizer, "pre_tokenizer", pre_tokenizer,
                     "post_processor", "decoder", decoder, "model", model);
}

static json_t *split(const char *regex, const char *behavior) {
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", regex, "behavior", behavior,
                     "invert", 0);
}

static json_t *char_file(const rc_vocab *v) {
    json_t *decoder = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}]}", "type", "Sequence", "decoders", "type",
                                "Replace", "pattern", "String", "<unk>", "content", "\xEF\xBF\xBD", "type", "Fuse");
    return word_level_file(v, json_null(), split(each_character, "Isolated"), decoder);
}

/* Encoding: a newline becomes the word <eos>. Decoding: words joined by spaces (the WordPiece decoder with a prefix
 * that no word has), then <eos> and the spaces around it become a newline. */
static json_t *word_file(const rc_vocab *v) {
    json_t *pre = v->unicode_space ? json_pack("{s:s}", "type", "WhitespaceSplit")
                                   : split(v->eos < 0 ? ascii_spaces_newline : ascii_spaces, "Removed");
    if (v->eos < 0) return word_level_file(v, json_null(), pre, json_null());
    size_t n;
    const char *eos = rc__strtab_get(&v->entries, (size_t)v->eos, &n);
    rc__string escaped = {0}; /* every byte of the name that a pattern could read as its own */
    rc_status s = rc__string_put(&escaped, " ?(?<![^ ])", 11, NULL);
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        if (strchr("\\^$.[]|()?*+{}-#", eos[i])) s = rc__string_put(&escaped, "\\", 1, NULL);
        if (s == RC_OK) s = rc__string_put(&escaped, eos + i, 1, NULL);
    }
    if (s == RC_OK) s = rc__string_put(&escaped, "(?![^ ]) ?", 10, NULL);
    json_t *normalizer = json_pack("{s:s, s:{s:s}, s:o}", "type", "Replace", "pattern", "String", "\n", "content",
                                   json_sprintf(" %.*s ", (int)n, eos));
    json_t *pattern = s == RC_OK ? json_stringn(escaped.s, escaped.len) : NULL;
    json_t *decoder = json_pack("{s:s, s:[{s:s, s:s, s:b}, {s:s}, {s:s, s:{s:o}, s:s}]}", "type", "Sequence",
                                "decoders", "type", "WordPiece", "prefix", "\n", "cleanup", 0, "type", "Fuse", "type",
                                "Replace", "pattern", "Regex", pattern, "content", "\n");
    rc__string_free(&escaped);
    return word_level_file(v, normalizer, pre, decoder);
}

rc_status rc_vocab_to_hf(const rc_vocab *v, char **json, size_t *len, rc_error *e) {
    *json = NULL;
    *len = 0;
    if (v->kind == RC_VOCAB_CHAR && rc__strtab_find(&v->entries, "", 1) >= 0)
        return rc_fail(e, RC_EINVAL, "a tokenizer.json cannot hold the character U+0000 of this vocabulary");
    json_t *o = v->kind == RC_VOCAB_CHAR ? char_file(v) : v->kind == RC_VOCAB_WORD ? word_file(v) : byte_level_file(v);
    rc_status s = o ? rc__json_print(o, json, len, e) : rc_fail(e, RC_ENOMEM, "out of memory (tokenizer.json)");
    json_decref(o);
    return s;
}

/* ---- reading: small questions ------------------------------------------------------------------------------------ */

/* One file being read: where names it, every message adds the field. */
typedef struct reader {
    const json_t *root;
    const char *where;
    rc_error *e;
} reader;

#define REFUSE(r, ...) rc_fail((r)->e, RC_EMODEL, __VA_ARGS__)

static const char *type_of(const json_t *o) {
    const char *t = json_string_value(json_object_get(o, "type"));
    return t ? t : "?";
}

static bool absent(const json_t *v) { return !v || json_is_null(v); }

static bool has_type(const json_t *o, const char *type) { return json_is_object(o) && strcmp(type_of(o), type) == 0; }

/* A boolean member, or what counts when it is not there. */
static bool flag(const json_t *o, const char *key, bool otherwise) {
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static bool is_text(const json_t *v, const char *text) {
    return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

static rc_status must_be_absent(const reader *r, const json_t *o, const char *key, const char *path) {
    const json_t *v = json_object_get(o, key);
    if (absent(v) || (json_is_string(v) && json_string_length(v) == 0) ||
        (json_is_number(v) && json_number_value(v) == 0))
        return RC_OK;
    return REFUSE(r, "%s: %s%s: set, but recur's tokenizers have nothing like it", r->where, path, key);
}

/* ---- reading: entries -------------------------------------------------------------------------------------------- */

typedef struct token {
    const json_t *text; /* NULL: a hole */
    const char *name;   /* key of the vocab object, when it comes from there */
    bool added;
} token;

typedef struct tokens {
    token *at; /* by id */
    size_t n, cap;
} tokens;

/* most: how many tokens the file has, and so ids without a hole. */
static rc_status put_token(const reader *r, tokens *t, size_t most, json_int_t id, const char *name, const json_t *text,
                           bool added) {
    if (id < 0 || (size_t)id >= most) /* before memory for the ids below it is asked for */
        return REFUSE(r, "%s: \"%.80s\": id %lld is not in 0..%zu; there are %zu tokens, whose ids leave no hole",
                      r->where, name, (long long)id, most - 1, most);
    size_t need = (size_t)id + 1;
    rc_status s = rc__grow((void **)&t->at, &t->cap, need, sizeof *t->at, r->e);
    if (s != RC_OK) return s;
    while (t->n < need) t->at[t->n++] = (token){NULL, NULL, false};
    token *x = &t->at[id];
    if (x->name && strcmp(x->name, name) != 0)
        return REFUSE(r, "%s: \"%.80s\" and \"%.80s\" have the same id %lld", r->where, x->name, name, (long long)id);
    if (x->added && added) return REFUSE(r, "%s: added_tokens: \"%.80s\" is there twice", r->where, name);
    *x = (token){text, name, added || x->added};
    return RC_OK;
}

static rc_status collect_tokens(const reader *r, const json_t *vocab, tokens *t) {
    const char *name;
    json_t *id, *x;
    size_t i;
    rc_status s = RC_OK;
    if (!json_is_object(vocab)) return REFUSE(r, "%s: model.vocab: expected an object of tokens and ids", r->where);
    const json_t *list = json_object_get(r->root, "added_tokens");
    if (!absent(list) && !json_is_array(list)) return REFUSE(r, "%s: added_tokens: expected an array", r->where);
    size_t most = json_object_size(vocab) + json_array_size(list);
    if (most > RC_VOCAB_MAX) return REFUSE(r, "%s: %zu tokens, the limit is %zu", r->where, most, RC_VOCAB_MAX);
    json_object_foreach((json_t *)vocab, name, id) {
        if (!json_is_integer(id))
            return REFUSE(r, "%s: model.vocab: \"%.80s\" has no whole number as its id", r->where, name);
        s = put_token(r, t, most, json_integer_value(id), name, NULL, false);
        if (s != RC_OK) return s;
    }
    json_array_foreach(list, i, x) {
        const json_t *content = json_object_get(x, "content"), *number = json_object_get(x, "id");
        if (!json_is_string(content) || json_string_length(content) == 0 || !json_is_integer(number))
            return REFUSE(r, "%s: added_tokens[%zu]: expected an object with id and content", r->where, i);
        static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
        for (int k = 0; k < 3; k++)
            if (flag(x, flags[k], false))
                return REFUSE(r, "%s: added_tokens[%zu].%s: true cannot be represented", r->where, i, flags[k]);
        s = put_token(r, t, most, json_integer_value(number), json_string_value(content), content, true);
        if (s != RC_OK) return s;
    }
    if (t->n == 0) return REFUSE(r, "%s: model.vocab is empty", r->where);
    for (i = 0; i < t->n; i++)
        if (!t->at[i].name)
            return REFUSE(r, "%s: model.vocab: no token has id %zu, but there is an id %zu", r->where, i, t->n - 1);
    return RC_OK;
}

static rc_status add_entries(const reader *r, rc_vocab *v, const tokens *t, bool byte_level) {
    rc__string scratch = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; i < t->n && s == RC_OK; i++) {
        json_t *text = json_string_nocheck(t->at[i].name);
        if (!text)
            s = rc_fail(r->e, RC_ENOMEM, "out of memory (tokenizer.json)");
        else
            s = rc__at(rc__entry_from_json(v, text, byte_level && !t->at[i].added, &scratch, r->e), r->where, r->e);
        json_decref(text);
    }
    rc__string_free(&scratch);
    return s;
}

static rc_status add_specials(const reader *r, rc_vocab *v, const tokens *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) n += t->at[i].added;
    if (n == 0) return RC_OK;
    int32_t *ids = rc__alloc(n * sizeof *ids);
    if (!ids) return rc_fail(r->e, RC_ENOMEM, "out of memory (%zu added tokens)", n);
    size_t k = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i].added) ids[k++] = (int32_t)i;
    rc_status s = rc__at(rc__vocab_set_specials(v, ids, n, r->e), r->where, r->e);
    rc_ids_free(ids, n);
    return s;
}

/* ---- reading: byte-level BPE ------------------------------------------------------------------------------------- */

static rc_status split_pattern(const reader *r, const json_t *split_, const char **pattern) {
    const json_t *p = json_object_get(split_, "pattern");
    const char *regex = json_string_value(json_object_get(p, "Regex"));
    if (!regex) return REFUSE(r, "%s: pre_tokenizer: Split: expected pattern.Regex", r->where);
    if (!is_text(json_object_get(split_, "behavior"), "Isolated") || flag(split_, "invert", false))
        return REFUSE(r, "%s: pre_tokenizer: Split.behavior: only Isolated, not inverted, can be read before ByteLevel",
                      r->where);
    *pattern = regex;
    return RC_OK;
}

/* ByteLevel with its own pattern, or a Split and a ByteLevel without. */
static rc_status byte_level_pattern(const reader *r, const char **pattern) {
    const json_t *p = json_object_get(r->root, "pre_tokenizer"), *byte_level = p;
    *pattern = NULL;
    rc_status s = RC_OK;
    bool regex = true;
    if (has_type(p, "Sequence")) {
        const json_t *list = json_object_get(p, "pretokenizers");
        size_t n = json_array_size(list);
        byte_level = json_array_get(list, n ? n - 1 : 0);
        regex = n == 1;
        if (n == 2 && has_type(json_array_get(list, 0), "Split"))
            s = split_pattern(r, json_array_get(list, 0), pattern);
        else if (n != 1)
            return REFUSE(
                r, "%s: pre_tokenizer: a Sequence of %s...: only Split and ByteLevel, in this order, can be read",
                r->where, type_of(json_array_get(list, 0)));
    }
    if (s != RC_OK) return s;
    if (!has_type(byte_level, "ByteLevel"))
        return REFUSE(r, "%s: pre_tokenizer: expected ByteLevel for a BPE model, found %s", r->where,
                      absent(p) ? "null" : type_of(byte_level));
    if (flag(byte_level, "add_prefix_space", true))
        return REFUSE(r, "%s: pre_tokenizer.add_prefix_space: true cannot be represented (text would change)",
                      r->where);
    if (flag(byte_level, "use_regex", true) != regex)
        return REFUSE(r, "%s: pre_tokenizer.use_regex: %s cannot be represented", r->where,
                      regex ? "false without a Split" : "true beside a Split");
    return RC_OK;
}

static rc_status read_merge(const reader *r, rc_vocab *v, const json_t *x, size_t i, rc__merge *m,
                            rc__string *scratch) {
    char buffer[2][4096]; /* "left right", taken apart */
    const char *part[2] = {json_string_value(json_array_get(x, 0)), json_string_value(json_array_get(x, 1))};
    const char *both = json_string_value(x), *space = both ? strchr(both, ' ') : NULL;
    if (space && (size_t)(space - both) < sizeof buffer[0] && strlen(space + 1) < sizeof buffer[1]) {
        memcpy(buffer[0], both, (size_t)(space - both));
        buffer[0][space - both] = 0;
        strcpy(buffer[1], space + 1);
        part[0] = buffer[0];
        part[1] = buffer[1];
    }
    if ((json_is_array(x) && json_array_size(x) != 2) || !part[0] || !part[1])
        return REFUSE(r, "%s: model.merges[%zu]: expected \"left right\" or [left, right]", r->where, i);
    int32_t id[2];
    for (int k = 0; k < 2; k++) {
        scratch->len = 0;
        for (const char *s = part[k]; *s;) {
            uint32_t cp = 0;
            size_t n = rc__utf8_decode(s, strlen(s) < 4 ? strlen(s) : 4, &cp);
            int byte = n ? rc__unicode_to_byte(cp) : -1;
            char c = (char)byte;
            if (byte < 0)
                return REFUSE(r, "%s: model.merges[%zu]: \"%.80s\" is not byte-level text", r->where, i, part[k]);
            rc_status st = rc__string_put(scratch, &c, 1, r->e);
            if (st != RC_OK) return st;
            s += n;
        }
        id[k] = scratch->len ? rc__strtab_find(&v->entries, scratch->s, scratch->len) : -1;
        if (id[k] < 0) return REFUSE(r, "%s: model.merges[%zu]: \"%.80s\" is not in model.vocab", r->where, i, part[k]);
    }
    *m = (rc__merge){id[0], id[1], -1};
    rc_status s = rc__merge_result(v, m, scratch, r->e);
    if (s == RC_OK && m->result < 0)
        return REFUSE(r, "%s: model.merges[%zu]: \"%.80s%.80s\" is not in model.vocab", r->where, i, part[0], part[1]);
    return s;
}

static rc_status add_merges(const reader *r, rc_vocab *v, const json_t *model) {
    const json_t *list = json_object_get(model, "merges");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > RC_VOCAB_MAX)
        return REFUSE(r, "%s: model.merges: expected an array of at most %zu merges", r->where, RC_VOCAB_MAX);
    rc__merge *merges = rc__alloc(n * sizeof *merges);
    if (!merges) return rc_fail(r->e, RC_ENOMEM, "out of memory (%zu merges)", n);
    rc__string scratch = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && s == RC_OK; i++) s = read_merge(r, v, json_array_get(list, i), i, &merges[i], &scratch);
    if (s == RC_OK) s = rc__at(rc__bpe_build(v, merges, n, flag(model, "ignore_merges", false), r->e), r->where, r->e);
    rc__string_free(&scratch);
    rc__free(merges, n * sizeof *merges);
    return s;
}

/* Our own byte vocabulary, written by rc_vocab_to_hf. */
static bool is_byte_vocab(const rc_vocab *v) {
    size_t n;
    rc__bpe_merges(v, &n);
    if (n > 0 || v->entries.count != 256 || v->n_specials) return false;
    for (unsigned i = 0; i < 256; i++)
        if ((unsigned char)v->entries.pool[v->entries.start[i]] != i) return false;
    return true;
}

static rc_status read_bpe(const reader *r, rc_vocab **out) {
    static const char *const nothing_like_it[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *model = json_object_get(r->root, "model"), *post = json_object_get(r->root, "post_processor");
    const json_t *decoder = json_object_get(r->root, "decoder");
    rc_status s = must_be_absent(r, r->root, "normalizer", "");
    for (int i = 0; i < 3 && s == RC_OK; i++) s = must_be_absent(r, model, nothing_like_it[i], "model.");
    if (s != RC_OK) return s;
    if (flag(model, "byte_fallback", false))
        return REFUSE(r, "%s: model.byte_fallback: true cannot be represented", r->where);
    if (!absent(post) && !has_type(post, "ByteLevel"))
        return REFUSE(r, "%s: post_processor: %s cannot be represented (it adds tokens); only ByteLevel or null",
                      r->where, type_of(post));
    if (!has_type(decoder, "ByteLevel"))
        return REFUSE(r, "%s: decoder: expected ByteLevel for a BPE model, found %s", r->where,
                      absent(decoder) ? "null" : type_of(decoder));
    const char *pattern;
    s = byte_level_pattern(r, &pattern);
    if (s != RC_OK) return s;
    rc_vocab *v = rc__vocab_new(RC_VOCAB_BPE);
    if (!v) return rc_fail(r->e, RC_ENOMEM, "out of memory (vocabulary)");
    tokens t = {0};
    s = rc__at(rc__bpe_new(&v->bpe, pattern, r->e), r->where, r->e);
    if (s == RC_OK) s = collect_tokens(r, json_object_get(model, "vocab"), &t);
    if (s == RC_OK) s = add_entries(r, v, &t, true);
    if (s == RC_OK) s = add_merges(r, v, model);
    if (s == RC_OK) s = add_specials(r, v, &t);
    rc__free(t.at, t.cap * sizeof *t.at);
    if (s != RC_OK) {
        rc_vocab_free(v);
        return s;
    }
    if (is_byte_vocab(v)) {
        rc__bpe_free(v->bpe);
        v->bpe = NULL;
        v->kind = RC_VOCAB_BYTE;
    }
    *out = v;
    return RC_OK;
}

/* ---- reading: WordLevel ------------------------------------------------------------------------------------------ */

static bool is_split(const json_t *p, const char *regex, const char *behavior) {
    return has_type(p, "Split") && is_text(json_object_get(json_object_get(p, "pattern"), "Regex"), regex) &&
           is_text(json_object_get(p, "behavior"), behavior) && !flag(p, "invert", false);
}

/* The word that a newline becomes: Replace "\n" by " word ", as we write it. */
static rc_status read_newline(const reader *r, rc_vocab *v) {
    const json_t *n = json_object_get(r->root, "normalizer");
    if (absent(n)) return RC_OK;
    const char *content = json_string_value(json_object_get(n, "content"));
    size_t len = content ? strlen(content) : 0;
    bool ours = has_type(n, "Replace") && is_text(json_object_get(json_object_get(n, "pattern"), "String"), "\n") &&
                len > 2 && content[0] == ' ' && content[len - 1] == ' ';
    if (ours) v->eos = rc__strtab_find(&v->entries, content + 1, len - 2);
    if (v->eos < 0)
        return REFUSE(
            r, "%s: normalizer: %s: only a Replace of \"\\n\" by \" WORD \", with WORD in model.vocab, can be read",
            r->where, type_of(n));
    return RC_OK;
}

static rc_status add_characters(const reader *r, rc_vocab *v, const tokens *t, const char *unk) {
    rc_status s = rc__char_init(v, r->e);
    for (size_t i = 0; i < t->n && s == RC_OK; i++) {
        const char *name = t->at[i].name;
        size_t len = strlen(name);
        uint32_t cp = 0;
        if (strcmp(name, unk) == 0)
            s = rc__char_add_unk(v, r->e);
        else if (rc__utf8_decode(name, len, &cp) != len || len == 0)
            s = REFUSE(r, "%s: model.vocab: \"%.80s\" is not one character, as the Split of the pre_tokenizer asks",
                       r->where, name);
        else
            s = rc__at(rc__char_add(v, cp, r->e), r->where, r->e);
    }
    return s;
}

/* How ids become text: as we write it, or, for words, by default (we show the newline's word as a newline all the
 * same). */
static rc_status check_decoder(const reader *r, const rc_vocab *v) {
    const json_t *decoder = json_object_get(r->root, "decoder");
    if (absent(decoder) && v->kind == RC_VOCAB_WORD) return RC_OK;
    json_t *ours = v->kind == RC_VOCAB_CHAR ? char_file(v) : word_file(v);
    if (!ours) return rc_fail(r->e, RC_ENOMEM, "out of memory (tokenizer.json)");
    bool same = json_equal(decoder, json_object_get(ours, "decoder"));
    json_decref(ours);
    return same ? RC_OK
                : REFUSE(r, "%s: decoder: %s cannot be represented", r->where,
                         absent(decoder) ? "null" : type_of(decoder));
}

static rc_status read_word_level(const reader *r, rc_vocab **out) {
    const json_t *model = json_object_get(r->root, "model"), *pre = json_object_get(r->root, "pre_tokenizer");
    const char *unk = json_string_value(json_object_get(model, "unk_token"));
    bool chars = is_split(pre, each_character, "Isolated"), newline = is_split(pre, ascii_spaces, "Removed");
    bool ascii = newline || is_split(pre, ascii_spaces_newline, "Removed");
    rc_status s = must_be_absent(r, r->root, "post_processor", "");
    if (s != RC_OK) return s;
    if (!unk) return REFUSE(r, "%s: model.unk_token: expected a string", r->where);
    if (!chars && !ascii && !has_type(pre, "WhitespaceSplit"))
        return REFUSE(r, "%s: pre_tokenizer: expected WhitespaceSplit for a WordLevel model, found %s", r->where,
                      absent(pre) ? "null" : type_of(pre));
    if (chars) s = must_be_absent(r, r->root, "normalizer", "");
    if (s != RC_OK) return s;
    rc_vocab *v = rc__vocab_new(chars ? RC_VOCAB_CHAR : RC_VOCAB_WORD);
    if (!v) return rc_fail(r->e, RC_ENOMEM, "out of memory (vocabulary)");
    tokens t = {0};
    s = collect_tokens(r, json_object_get(model, "vocab"), &t);
    if (s == RC_OK) s = chars ? add_characters(r, v, &t, unk) : add_entries(r, v, &t, false);
    if (s == RC_OK && !chars) {
        v->unicode_space = !ascii;
        v->unk = rc__strtab_find(&v->entries, unk, strlen(unk));
        s = read_newline(r, v);
    }
    if (s == RC_OK && v->unk < 0) s = REFUSE(r, "%s: model.unk_token: \"%.80s\" is not in model.vocab", r->where, unk);
    if (s == RC_OK && v->unk == v->eos) s = REFUSE(r, "%s: normalizer: a newline would be the unknown word", r->where);
    if (s == RC_OK && ascii && newline != (v->eos >= 0))
        s = REFUSE(r, "%s: normalizer: does not go with this Split", r->where);
    if (s == RC_OK) s = check_decoder(r, v);
    if (s == RC_OK) s = add_specials(r, v, &t);
    rc__free(t.at, t.cap * sizeof *t.at);
    if (s != RC_OK) {
        rc_vocab_free(v);
        return s;
    }
    *out = v;
    return RC_OK;
}

rc_status rc_vocab_from_hf(rc_vocab **out, const char *json, size_t len, const char *where, rc_error *e) {
    *out = NULL;
    json_t *root = NULL;
    rc_status s = rc__json_parse(json, len, where, &root, e);
    if (s != RC_OK) return s;
    reader r = {root, where, e};
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model)) s = REFUSE(&r, "%s: not a tokenizer.json: no object \"model\"", where);
    if (s == RC_OK) s = must_be_absent(&r, root, "truncation", "");
    if (s == RC_OK) s = must_be_absent(&r, root, "padding", "");
    if (s == RC_OK) {
        bool typed = json_object_get(model, "type") != NULL; /* old files of BPE models have no type */
        if (has_type(model, "BPE") || (!typed && json_object_get(model, "merges")))
            s = read_bpe(&r, out);
        else if (has_type(model, "WordLevel"))
            s = read_word_level(&r, out);
        else
            s = REFUSE(&r, "%s: model.type: %s cannot be read; only byte-level BPE and WordLevel", where,
                       type_of(model));
    }
    json_decref(root);
    return s;
}
