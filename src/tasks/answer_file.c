/* answer_file.c - a model that answers questions as a model file: beside the tensors, in the document (docs/format.md),
 *
 *   "model": {"kind": "memory" | "query" | "entity" | "recurrent", "embedding": 20, "members": 10, "ensemble": 1, ...,
 *             "reader": {...}}, "words": [...], "answers": [...], "tasks": [names of the training files], "data": {...}
 */
#include "base/json.h"
#include "base/mem.h"
#include "tasks/answer.h"
#include <string.h>

#define F(key, kind, field) {key, kind, offsetof(rc__answer_options, field), NULL, 0}
static const rc__field fields[] = {{"kind", RC__FIELD_NAME, offsetof(rc__answer_options, kind), rc__answer_kinds, 4},
                                   F("embedding", RC__FIELD_SIZE, embedding),
                                   F("members", RC__FIELD_SIZE, members),
                                   F("ensemble", RC__FIELD_SIZE, ensemble),
                                   F("hops", RC__FIELD_SIZE, hops),
                                   F("position", RC__FIELD_BOOL, position),
                                   F("temporal", RC__FIELD_BOOL, temporal),
                                   F("layerwise", RC__FIELD_BOOL, layerwise),
                                   F("memory", RC__FIELD_SIZE, memory),
                                   F("noise", RC__FIELD_REAL, noise),
                                   F("blocks", RC__FIELD_SIZE, blocks),
                                   F("dropout", RC__FIELD_PROBABILITY, dropout)};
enum { N_FIELDS = sizeof fields / sizeof *fields };

rc_status rc__answer_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__answerer *m = (const rc__answerer *)base;
    json_t *model = json_object();
    bool ok = model && rc__fields_put(fields, N_FIELDS, &m->o, model);
    ok = ok && json_object_set_new(model, "lowercase", json_boolean(m->lowercase)) == 0;
    if (ok && m->o.kind == RC__ANSWER_RECURRENT) ok = json_object_set_new(model, "reader", rc__encoder_to_json(&m->o.reader)) == 0;
    ok &= json_object_set_new(doc, "model", model) == 0;
    ok = ok && json_object_set_new(doc, "words", rc__names_to_json(&m->words)) == 0;
    ok = ok && json_object_set_new(doc, "answers", rc__names_to_json(&m->answers)) == 0;
    ok = ok && json_object_set_new(doc, "tasks", rc__names_to_json(&m->tasks)) == 0;
    ok = ok && json_object_set_new(doc, "data", rc__data_to_json(&m->data)) == 0;
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "model: out of memory, or a word is not UTF-8");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status between(const char *key, size_t v, size_t least, size_t most, const char *where, rc_error *e) {
    if (v >= least && v <= most) return RC_OK;
    return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected %zu to %zu, found %zu", where, key, least, most, v);
}

static rc_status check_options(const rc__answerer *m, const rc__st_file *file, const char *where, rc_error *e) {
    const rc__answer_options *o = &m->o;
    bool many = o->kind == RC__ANSWER_MEMORY || o->kind == RC__ANSWER_QUERY;
    rc_status s = between("embedding", o->embedding, 1, 65536, where, e);
    if (s == RC_OK) s = between("members", o->members, 1, many ? RC__ANSWER_MAX_MEMBERS : 1, where, e);
    if (s == RC_OK) s = between("ensemble", o->ensemble, 1, o->members, where, e);
    if (s == RC_OK) s = between("hops", o->hops, 1, RC__ANSWER_MAX_HOPS, where, e);
    if (s == RC_OK) s = between("blocks", o->blocks, 1, 65536, where, e);
    if (s == RC_OK) s = between("memory", o->memory, 1, RC__ANSWER_NO_MEMORY, where, e);
    if (s == RC_OK && !(o->noise >= 0 && o->noise <= 1))
        s = rc_fail(e, RC_EMODEL, "%s: \"noise\": expected 0 to 1, found %g", where, o->noise);
    if (s == RC_OK && o->kind != RC__ANSWER_MEMORY && (o->temporal || o->layerwise))
        s = rc_fail(e, RC_EMODEL, "%s: \"temporal\" and \"layerwise\" are for kind memory", where);
    if (s == RC_OK) s = between("answers", m->answers.count, 2, RC__ANSWER_MAX_CLASSES, where, e);
    size_t widths[2] = {o->embedding * o->members, m->words.count};
    return s == RC_OK ? rc__check_widths(file, many ? o->hops : 1, widths, 2, where, e) : s;
}

static rc_status read_model(rc__answerer *m, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    static const char *const doc_keys[] = {"format", "task", "model", "words", "answers", "tasks", "data", "provenance"};
    const char *keys[N_FIELDS + 2];
    json_t *model = NULL, *obj = NULL;
    for (size_t i = 0; i < N_FIELDS; i++) keys[i] = fields[i].key;
    keys[N_FIELDS] = "lowercase";
    keys[N_FIELDS + 1] = "reader";
    rc_status s = rc__json_only(doc, doc_keys, 8, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "model", RC_JSON_REQUIRED, &model, where, e);
    if (s == RC_OK) s = rc__json_only(model, keys, N_FIELDS + 2, where, e);
    if (s == RC_OK) s = rc__fields_get(fields, N_FIELDS, model, &m->o, where, e);
    if (s == RC_OK) s = rc__json_get_bool(model, "lowercase", RC_JSON_REQUIRED, &m->lowercase, where, e);
    if (s == RC_OK) s = rc__names_from_json(&m->words, doc, "words", 1, where, e);
    if (s == RC_OK) s = rc__names_from_json(&m->answers, doc, "answers", 2, where, e);
    if (s == RC_OK) s = rc__names_from_json(&m->tasks, doc, "tasks", 0, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "data", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__data_from_json(&m->data, obj, where, e);
    if (s == RC_OK) s = check_options(m, file, where, e);
    bool reads = m->o.kind == RC__ANSWER_RECURRENT;
    if (s == RC_OK) s = rc__json_get_object(model, "reader", reads ? RC_JSON_REQUIRED : RC_JSON_OPTIONAL, &obj, where, e);
    if (s != RC_OK || !reads) return s;
    s = rc__encoder_from_json(&m->o.reader, obj, where, e);
    if (s == RC_OK && (m->o.reader.kind != RC__ENCODER_RNN || m->o.reader.pool != RC__POOL_LAST))
        s = rc_fail(e, RC_EMODEL, "%s: \"reader\": expected recurrent layers and their last step", where);
    return s == RC_OK ? rc__check_encoder(file, &m->o.reader, NULL, where, e) : s;
}

rc_status rc__answer_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    rc__answerer *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    m->o = (rc__answer_options){.embedding = 1, .members = 1, .ensemble = 1, .hops = 1, .memory = 1, .blocks = 1};
    rc_status s = read_model(m, file, doc, where, e);
    rc_error inner = {.code = RC_OK};
    if (s == RC_OK) {
        s = rc__answerer_declare(m, &inner);
        if (s != RC_OK) s = rc_fail(e, s == RC_EINVAL ? RC_EMODEL : s, "%s: %s", where, inner.text);
    }
    if (s == RC_OK) s = rc__model_read_params(m->base.params, file, e);
    if (s != RC_OK) return rc__answerer_free(&m->base), s;
    *out = &m->base;
    return RC_OK;
}
