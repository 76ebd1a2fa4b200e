/* tag_file.c - a tagger as a model file: beside the tensors, in the document (docs/format.md),
 *
 *   "model": {"scheme": "none" | "iob1" | "bio" | "iobes" | "bilou", "inside": the same, "crf": true, "words": {...},
 *             "encoder": {...}, "cut": "words" | "spaces", ...},
 *   "lexicon": {...}, "tags": [as they are written], "intents": [...], "data": {...}
 */
#include "base/json.h"
#include "base/mem.h"
#include "tasks/tag.h"
#include <assert.h>
#include <string.h>

static const char *const schemes[] = {"iob1", "bio", "iobes", "bilou", "none"};
enum { PLAIN = 4 };
static const char *const cuts[] = {"words", "spaces"};
static_assert(RC_TAGS_IOB1 == 0 && RC_TAGS_IOB2 == 1 && RC_TAGS_IOBES == 2 && RC_TAGS_BILOU == 3, "order of schemes");

static json_t *tags_to_json(const rc__tagset *t) {
    json_t *list = json_array();
    for (size_t k = 0; list && k < rc__tagset_size(t); k++)
        if (json_array_append_new(list, json_string(rc__tagset_name(t, k))) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

rc_status rc__tag_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__tagger *m = (const rc__tagger *)base;
    json_t *lexicon = NULL;
    rc_status s = rc__lexicon_to_json(&m->lexicon, &lexicon, e);
    if (s != RC_OK) return s;
    json_t *model =
        json_pack("{ss ss sb ss sf sf so so}", "scheme", schemes[m->spans ? (int)m->written_scheme : PLAIN], "inside",
                  schemes[m->spans ? (int)m->inside_scheme : PLAIN], "crf", (int)m->crf, "cut", cuts[m->cut_spaces],
                  "dropout_input", m->dropout_input, "dropout_output", m->dropout_output, "words",
                  rc__words_to_json(&m->wo), "encoder", rc__encoder_to_json(&m->eo));
    bool ok = json_object_set_new(doc, "model", model) == 0;
    ok &= json_object_set_new(doc, "lexicon", lexicon) == 0;
    ok &= json_object_set_new(doc, "tags", tags_to_json(m->written)) == 0;
    ok &= json_object_set_new(doc, "intents", rc__names_to_json(&m->intents)) == 0;
    ok &= json_object_set_new(doc, "data", rc__data_to_json(&m->data)) == 0;
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "model: out of memory, or a tag is not UTF-8");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status tags_from_json(rc__tagger *m, const json_t *doc, const char *where, rc_error *e) {
    json_t *list = NULL;
    rc__tagset *from = NULL;
    rc_error inner;
    rc_status s = rc__json_get_array(doc, "tags", RC_JSON_REQUIRED, &list, where, e);
    if (s != RC_OK) return s;
    size_t K = json_array_size(list), most = m->spans || m->crf ? RC__MAX_CRF_TAGS : RC__MAX_TAGS;
    if (K < 2 || K > most) return rc_fail(e, RC_EMODEL, "%s: \"tags\": expected 2 to %zu, found %zu", where, most, K);
    const char **names = rc__alloc(K * sizeof *names);
    if (!names) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    for (size_t k = 0; s == RC_OK && k < K; k++) {
        names[k] = json_string_value(json_array_get(list, k));
        if (!names[k]) s = rc_fail(e, RC_EMODEL, "%s: \"tags\": entry %zu is no string", where, k + 1);
    }
    if (s == RC_OK) {
        rc__tag_scheme any;
        s = rc__tagset_new(names, K, &from, &inner);
        if (s == RC_OK && m->spans && !rc__tagset_scheme(from, &any))
            s = rc_fail(&inner, RC_EINVAL, "they are no spans");
        if (s == RC_OK) s = rc__tagger_set_tags(m, from, &inner);
        if (s != RC_OK) s = rc_fail(e, s == RC_EINVAL ? RC_EMODEL : s, "%s: \"tags\": %s", where, inner.text);
    }
    rc__tagset_free(from);
    rc__free(names, K * sizeof *names);
    return s;
}

static rc_status network_from_json(rc__tagger *m, const json_t *doc, const json_t *model, const char *where,
                                   rc_error *e) {
    const double p = 1 - 1e-9;
    json_t *obj = NULL;
    rc_status s = rc__json_get_object(doc, "lexicon", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__lexicon_from_json(&m->lexicon, obj, where, e);
    if (s == RC_OK && (m->lexicon.split != RC__SPLIT_GIVEN || m->lexicon.buckets))
        s = rc_fail(e, RC_EMODEL, "%s: \"lexicon\": expected words that are given, without pairs", where);
    if (s == RC_OK) s = rc__json_get_object(model, "words", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__words_from_json(&m->wo, obj, where, e);
    if (s == RC_OK && ((strcmp(m->wo.chars, "none") != 0) != (m->lexicon.chars != NULL) ||
                       (m->wo.affix_embedding != 0) != (m->lexicon.affixes != 0)))
        s = rc_fail(e, RC_EMODEL, "%s: \"words\" and \"lexicon\" disagree about characters or affixes", where);
    if (s == RC_OK) s = rc__json_get_object(model, "encoder", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__encoder_from_json(&m->eo, obj, where, e);
    if (s == RC_OK) s = rc__json_get_real(model, "dropout_input", RC_JSON_OPTIONAL, 0, p, &m->dropout_input, where, e);
    if (s == RC_OK)
        s = rc__json_get_real(model, "dropout_output", RC_JSON_OPTIONAL, 0, p, &m->dropout_output, where, e);
    return s;
}

static rc_status read_model(rc__tagger *m, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    static const char *const doc_keys[] = {"format", "task",    "model", "lexicon",
                                           "tags",   "intents", "data",  "provenance"};
    static const char *const keys[] = {"scheme",        "inside",         "crf",   "cut",
                                       "dropout_input", "dropout_output", "words", "encoder"};
    json_t *model = NULL, *obj = NULL;
    size_t scheme = 0, inside = 0, cut = 0;
    rc_status s = rc__json_only(doc, doc_keys, 8, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "model", RC_JSON_REQUIRED, &model, where, e);
    if (s == RC_OK) s = rc__json_only(model, keys, 8, where, e);
    if (s == RC_OK) s = rc__choice_from_json(model, "scheme", schemes, 5, &scheme, where, e);
    if (s == RC_OK) s = rc__choice_from_json(model, "inside", schemes, 5, &inside, where, e);
    if (s == RC_OK) s = rc__choice_from_json(model, "cut", cuts, 2, &cut, where, e);
    if (s == RC_OK) s = rc__json_get_bool(model, "crf", RC_JSON_REQUIRED, &m->crf, where, e);
    if (s == RC_OK && (scheme == PLAIN) != (inside == PLAIN))
        s = rc_fail(e, RC_EMODEL, "%s: \"scheme\" and \"inside\" disagree: both are none, or neither", where);
    if (s == RC_OK && inside == (size_t)RC_TAGS_IOB1)
        s = rc_fail(e, RC_EMODEL, "%s: \"inside\": expected bio, iobes, bilou or none", where);
    if (s != RC_OK) return s;
    m->spans = scheme != PLAIN;
    m->written_scheme = m->spans ? (rc__tag_scheme)scheme : RC_TAGS_IOB2;
    m->inside_scheme = m->spans ? (rc__tag_scheme)inside : RC_TAGS_IOB2;
    m->cut_spaces = cut == 1;
    s = tags_from_json(m, doc, where, e);
    if (s == RC_OK) s = rc__names_from_json(&m->intents, doc, "intents", 0, where, e);
    if (s == RC_OK) s = network_from_json(m, doc, model, where, e);
    if (s == RC_OK && m->intents.count && m->eo.pool == 0)
        s = rc_fail(e, RC_EMODEL, "%s: \"pool\" is empty, and there are intents", where);
    if (s == RC_OK) s = rc__json_get_object(doc, "data", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__data_from_json(&m->data, obj, where, e);
    return s == RC_OK ? rc__check_encoder(file, &m->eo, &m->wo, where, e) : s;
}

rc_status rc__tag_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    rc__tagger *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    rc_status s = read_model(m, file, doc, where, e);
    rc_error inner = {.code = RC_OK};
    if (s == RC_OK) {
        s = rc__tagger_declare(m, &inner);
        if (s != RC_OK) s = rc_fail(e, s == RC_EINVAL ? RC_EMODEL : s, "%s: %s", where, inner.text);
    }
    if (s == RC_OK) s = rc__model_read_params(m->base.params, file, e);
    if (s != RC_OK) {
        rc__tagger_free(&m->base);
        return s;
    }
    *out = &m->base;
    return RC_OK;
}
