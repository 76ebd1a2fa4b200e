/* vocab_json.c - our JSON form of a vocabulary, as model files hold it (docs/tokenizers.md). Reading trusts nothing. */
#include "data/vocab_json.h"

#include <string.h>

#include "base/mem.h"
#include "data/utf8.h"

rc_status rc__at(rc_status s, const char *where, rc_error *e) {
    if (s == RC_OK || !e) return s;
    char text[sizeof e->text];
    memcpy(text, e->text, sizeof text);
    return rc_fail(e, s, "%s: %s", where, text);
}

json_t *rc__entry_to_json(const rc_vocab *v, size_t id, bool byte_level) {
    size_t n;
    const char *s = rc__strtab_get(&v->entries, id, &n);
    if (!byte_level) return json_stringn_nocheck(s, n);
    rc__string out = {0};
    rc_status st = RC_OK;
    for (size_t i = 0; i < n && st == RC_OK; i++) {
        char c[4];
        st = rc__string_put(&out, c, rc__utf8_encode(rc__byte_to_unicode((unsigned char)s[i]), c), NULL);
    }
    json_t *j = st == RC_OK ? json_stringn_nocheck(out.s ? out.s : "", out.len) : NULL;
    rc__string_free(&out);
    return j;
}

/* GPT-2's printable characters back to bytes, into out. False when a character stands for no byte. */
static rc_status bytes_of(const char *s, size_t len, rc__string *out, rc_error *e) {
    out->len = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t n = rc__utf8_decode(s + i, len - i, &cp);
        int byte = n ? rc__unicode_to_byte(cp) : -1;
        if (byte < 0)
            return rc_fail(e, RC_EMODEL, "entry \"%.80s\" is not byte-level text (U+%04X stands for no byte)", s,
                           (unsigned)cp);
        char c = (char)byte;
        rc_status st = rc__string_put(out, &c, 1, e);
        if (st != RC_OK) return st;
        i += n;
    }
    return RC_OK;
}

rc_status rc__entry_from_json(rc_vocab *v, const json_t *string, bool byte_level, rc__string *scratch, rc_error *e) {
    if (!json_is_string(string)) return rc_fail(e, RC_EMODEL, "entry %zu is not a string", v->entries.count);
    const char *s = json_string_value(string), *bytes = s;
    size_t len = json_string_length(string);
    if (byte_level) {
        rc_status st = bytes_of(s, len, scratch, e);
        if (st != RC_OK) return st;
        bytes = scratch->len ? scratch->s : "";
        len = scratch->len;
    }
    if (len == 0) return rc_fail(e, RC_EMODEL, "entry %zu is empty", v->entries.count);
    uint32_t id;
    bool added;
    rc_status st = rc__strtab_add(&v->entries, bytes, len, &id, &added, e);
    if (st == RC_EDATA) { /* the table's word for it; here the file is a model's */
        if (e) e->code = RC_EMODEL;
        return RC_EMODEL;
    }
    if (st == RC_OK && !added)
        return rc_fail(e, RC_EMODEL, "entry %zu, \"%.80s\", is the same as entry %u", v->entries.count, s, id);
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *codepoints_to_json(const rc_vocab *v) {
    json_t *list = json_array();
    for (size_t id = 0; list && id < v->entries.count; id++) {
        size_t n;
        uint32_t cp = 0;
        const char *s = rc__strtab_get(&v->entries, id, &n);
        rc__utf8_decode(s, n, &cp);
        if (json_array_append_new(list, json_integer((int32_t)id == v->unk ? -1 : (json_int_t)cp)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *entries_to_json(const rc_vocab *v, bool byte_level) {
    json_t *list = json_array();
    for (size_t id = 0; list && id < v->entries.count; id++)
        if (json_array_append_new(list, rc__entry_to_json(v, id, byte_level)) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *ids_to_json(const int32_t *ids, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_integer(ids[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

/* Flat: left, right, left, right ... */
static json_t *merges_to_json(const rc_vocab *v) {
    size_t n;
    const rc__merge *m = rc__bpe_merges(v, &n);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_integer(m[i].left)) != 0 ||
            json_array_append_new(list, json_integer(m[i].right)) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

rc_status rc_vocab_to_json(const rc_vocab *v, char **json, size_t *len, rc_error *e) {
    *json = NULL;
    *len = 0;
    json_t *o = json_object();
    int bad = !o || json_object_set_new(o, "kind", json_string(rc_vocab_kind_name(v->kind)));
    if (v->kind == RC_VOCAB_CHAR && !bad) bad = json_object_set_new(o, "codepoints", codepoints_to_json(v));
    if (v->kind == RC_VOCAB_WORD && !bad) {
        bad = json_object_set_new(o, "unk", json_integer(v->unk));
        if (!bad && v->eos >= 0) bad = json_object_set_new(o, "eos", json_integer(v->eos));
        if (!bad && v->unicode_space) bad = json_object_set_new(o, "unicode_space", json_true());
        if (!bad) bad = json_object_set_new(o, "words", entries_to_json(v, false));
    }
    if (v->kind == RC_VOCAB_BPE && !bad) {
        bad = json_object_set_new(o, "pattern", json_string(rc__bpe_pattern(v)));
        if (!bad && rc__bpe_ignores_merges(v)) bad = json_object_set_new(o, "ignore_merges", json_true());
        if (!bad) bad = json_object_set_new(o, "entries", entries_to_json(v, true));
        if (!bad) bad = json_object_set_new(o, "merges", merges_to_json(v));
    }
    if (!bad && v->n_specials) bad = json_object_set_new(o, "specials", ids_to_json(v->specials, v->n_specials));
    rc_status s = bad ? rc_fail(e, RC_ENOMEM, "out of memory (vocabulary as JSON)") : rc__json_print(o, json, len, e);
    json_decref(o);
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status get_list(const json_t *o, const char *key, const char *where, json_t **list, rc_error *e) {
    rc_status s = rc__json_get_array(o, key, RC_JSON_REQUIRED, list, where, e);
    if (s == RC_OK && json_array_size(*list) > RC_VOCAB_MAX)
        s = rc_fail(e, RC_EMODEL, "%s: \"%s\": %zu items, the limit is %zu", where, key, json_array_size(*list),
                    RC_VOCAB_MAX);
    return s;
}

/* A list of whole numbers in [0, below); *out is freed with rc_ids_free. */
static rc_status get_ids(const json_t *list, const char *key, const char *where, size_t below, int32_t **out,
                         rc_error *e) {
    size_t n = json_array_size(list);
    int32_t *ids = rc__alloc(n * sizeof *ids);
    if (!ids) return rc_fail(e, RC_ENOMEM, "out of memory (%zu numbers)", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, i);
        json_int_t id = json_is_integer(x) ? json_integer_value(x) : -1;
        if (id < 0 || (size_t)id >= below) {
            rc_ids_free(ids, n);
            return rc_fail(e, RC_EMODEL, "%s: \"%s\": item %zu is not the number of an entry (0 to %zu)", where, key, i,
                           below - 1);
        }
        ids[i] = (int32_t)id;
    }
    *out = ids;
    return RC_OK;
}

static rc_status read_char(rc_vocab *v, const json_t *o, const char *where, rc_error *e) {
    json_t *list;
    rc_status s = get_list(o, "codepoints", where, &list, e);
    if (s == RC_OK) s = rc__char_init(v, e);
    for (size_t i = 0; s == RC_OK && i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i);
        json_int_t cp = json_is_integer(x) ? json_integer_value(x) : -2;
        if (cp == -1 && v->unk < 0)
            s = rc__char_add_unk(v, e);
        else if (cp < 0 || cp > 0x10FFFF)
            s = rc_fail(e, RC_EMODEL, "%s: \"codepoints\": item %zu is no code point (-1, once, is <unk>)", where, i);
        else
            s = rc__at(rc__char_add(v, (uint32_t)cp, e), where, e);
    }
    if (s == RC_OK && v->unk < 0)
        s = rc_fail(e, RC_EMODEL, "%s: \"codepoints\": -1, the place of <unk>, is missing", where);
    return s;
}

static rc_status read_entries(rc_vocab *v, const json_t *o, const char *key, bool byte_level, const char *where,
                              rc_error *e) {
    json_t *list;
    rc__string scratch = {0};
    rc_status s = get_list(o, key, where, &list, e);
    for (size_t i = 0; s == RC_OK && i < json_array_size(list); i++)
        s = rc__at(rc__entry_from_json(v, json_array_get(list, i), byte_level, &scratch, e), where, e);
    rc__string_free(&scratch);
    if (s == RC_OK && v->entries.count == 0) s = rc_fail(e, RC_EMODEL, "%s: \"%s\" is empty", where, key);
    return s;
}

static rc_status read_word(rc_vocab *v, const json_t *o, const char *where, rc_error *e) {
    rc_status s = read_entries(v, o, "words", false, where, e);
    if (s != RC_OK) return s;
    int64_t unk = -1, eos = -1, last = (int64_t)v->entries.count - 1;
    s = rc__json_get_int(o, "unk", RC_JSON_REQUIRED, 0, last, &unk, where, e);
    if (s == RC_OK) s = rc__json_get_int(o, "eos", RC_JSON_OPTIONAL, 0, last, &eos, where, e);
    if (s == RC_OK) s = rc__json_get_bool(o, "unicode_space", RC_JSON_OPTIONAL, &v->unicode_space, where, e);
    if (s == RC_OK && unk == eos) s = rc_fail(e, RC_EMODEL, "%s: \"eos\": %d is <unk> already", where, (int)eos);
    v->unk = (int32_t)unk;
    v->eos = (int32_t)eos;
    return s;
}

static rc_status read_bpe(rc_vocab *v, const json_t *o, const char *where, rc_error *e) {
    const char *pattern = NULL;
    bool ignore_merges = false;
    json_t *list = NULL;
    rc__merge *merges = NULL;
    int32_t *ids = NULL;
    size_t n = 0, bytes = 0;
    rc_status s = rc__json_get_string(o, "pattern", RC_JSON_OPTIONAL, &pattern, where, e);
    if (s == RC_OK) s = rc__json_get_bool(o, "ignore_merges", RC_JSON_OPTIONAL, &ignore_merges, where, e);
    if (s == RC_OK) s = rc__at(rc__bpe_new(&v->bpe, pattern, e), where, e);
    if (s == RC_OK) s = read_entries(v, o, "entries", true, where, e);
    if (s == RC_OK) s = rc__json_get_array(o, "merges", RC_JSON_REQUIRED, &list, where, e);
    if (s == RC_OK && (json_array_size(list) % 2 || json_array_size(list) / 2 > RC_VOCAB_MAX))
        s = rc_fail(e, RC_EMODEL, "%s: \"merges\": %zu numbers, expected pairs, at most %zu", where,
                    json_array_size(list), RC_VOCAB_MAX);
    if (s == RC_OK) s = get_ids(list, "merges", where, v->entries.count, &ids, e);
    if (s == RC_OK) {
        n = json_array_size(list) / 2;
        bytes = n * sizeof *merges;
        merges = rc__alloc(bytes);
        if (!merges) s = rc_fail(e, RC_ENOMEM, "out of memory (%zu merges)", n);
    }
    for (size_t i = 0; s == RC_OK && i < n; i++) merges[i] = (rc__merge){ids[2 * i], ids[2 * i + 1], -1};
    if (s == RC_OK) s = rc__at(rc__bpe_build(v, merges, n, ignore_merges, e), where, e);
    rc__free(merges, bytes);
    rc_ids_free(ids, list ? json_array_size(list) : 0);
    return s;
}

static rc_status read_specials(rc_vocab *v, const json_t *o, const char *where, rc_error *e) {
    json_t *list = NULL;
    rc_status s = rc__json_get_array(o, "specials", RC_JSON_OPTIONAL, &list, where, e);
    if (s != RC_OK || !list) return s;
    int32_t *ids;
    s = get_ids(list, "specials", where, v->entries.count, &ids, e);
    if (s != RC_OK) return s;
    s = rc__at(rc__vocab_set_specials(v, ids, json_array_size(list), e), where, e);
    rc_ids_free(ids, json_array_size(list));
    return s;
}

rc_status rc_vocab_from_json(rc_vocab **out, const char *json, size_t len, const char *where, rc_error *e) {
    static const char *const members[4][7] = {{"kind", "specials"},
                                              {"kind", "specials", "codepoints"},
                                              {"kind", "specials", "words", "unk", "eos", "unicode_space"},
                                              {"kind", "specials", "pattern", "ignore_merges", "entries", "merges"}};
    static const size_t n_members[4] = {2, 3, 6, 6};
    *out = NULL;
    json_t *o = NULL;
    const char *name = "";
    rc_vocab *v = NULL;
    rc_status s = rc__json_parse(json, len, where, &o, e);
    if (s != RC_OK) return s;
    if (!json_is_object(o)) s = rc_fail(e, RC_EMODEL, "%s: expected a JSON object", where);
    if (s == RC_OK) s = rc__json_get_string(o, "kind", RC_JSON_REQUIRED, &name, where, e);
    int k = 0;
    while (s == RC_OK && k < 4 && strcmp(name, rc_vocab_kind_name((rc_vocab_kind)k)) != 0) k++;
    if (s == RC_OK && k == 4)
        s = rc_fail(e, RC_EMODEL, "%s: \"kind\": \"%.80s\" is not byte, char, word or bpe", where, name);
    if (s == RC_OK) s = rc__json_only(o, members[k], n_members[k], where, e);
    if (s == RC_OK && !(v = rc__vocab_new((rc_vocab_kind)k))) s = rc_fail(e, RC_ENOMEM, "out of memory (vocabulary)");
    if (s == RC_OK) switch (v->kind) {
        case RC_VOCAB_BYTE: s = rc__byte_init(v, e); break;
        case RC_VOCAB_CHAR: s = read_char(v, o, where, e); break;
        case RC_VOCAB_WORD: s = read_word(v, o, where, e); break;
        case RC_VOCAB_BPE: s = read_bpe(v, o, where, e); break;
        }
    if (s == RC_OK) s = read_specials(v, o, where, e);
    json_decref(o);
    if (s != RC_OK) {
        rc_vocab_free(v);
        return s;
    }
    *out = v;
    return RC_OK;
}

/* ---- inside other documents ------------------------------------------------------------------------------------- */

rc_status rc__vocab_put(const rc_vocab *v, json_t *obj, const char *key, rc_error *e) {
    char *text = NULL;
    size_t len = 0;
    json_t *node = NULL;
    rc_status s = rc_vocab_to_json(v, &text, &len, e);
    if (s != RC_OK) return s;
    s = rc__json_parse(text, len, key, &node, e);
    rc_text_free(text, len);
    if (s == RC_OK && json_object_set_new(obj, key, node) != 0) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", key);
    return s;
}

rc_status rc__vocab_get(rc_vocab **out, const json_t *obj, const char *key, rc__json_need need,
                        const char *where, rc_error *e) {
    json_t *node = NULL;
    char *text = NULL, place[700];
    size_t len = 0;
    rc_status s = rc__json_get_object(obj, key, need, &node, where, e);
    if (s != RC_OK || !node) return s;
    s = rc__json_print(node, &text, &len, e);
    if (s != RC_OK) return s;
    snprintf(place, sizeof place, "%s: \"%s\"", where, key);
    s = rc_vocab_from_json(out, text, len, place, e);
    rc__free(text, len + 1);
    return s;
}
