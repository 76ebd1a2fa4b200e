/* classify_file.c - a classifier or regressor as a model file: beside the tensors, in the document (docs/format.md),
 *
 *   "model": {"input": "text" | "numbers", "answer": "class" | "classes" | "number", "words": {...}, "encoder": {...}, ...},
 *   "lexicon": {...}, "labels": [...], "scaler": {...}, "data": {...}
 */
#include "base/json.h"
#include "base/mem.h"
#include "tasks/classify.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const answers[] = {"class", "classes", "number"};
static const char *const scalings[] = {"zscore", "minmax", "series", "none"};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *scaler_to_json(const rc__classifier *m) {
    json_t *shift = json_array(), *scale = json_array();
    for (size_t i = 0; i < m->scaler.channels; i++) {
        json_array_append_new(shift, json_real(m->scaler.shift[i]));
        json_array_append_new(scale, json_real(m->scaler.scale[i]));
    }
    return json_pack("{ss so so so}", "kind", scalings[m->scaler.kind], "channels", rc__names_to_json(&m->channels), "shift",
                     shift, "scale", scale);
}

rc_status rc__classify_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__classifier *m = (const rc__classifier *)base;
    json_t *model = json_pack("{ss ss sf sf so}", "input", m->text ? "text" : "numbers", "answer", answers[m->answer],
                              "dropout_input", m->dropout_input, "dropout_output", m->dropout_output, "encoder",
                              rc__encoder_to_json(&m->eo));
    bool ok = model != NULL;
    rc_status s = RC_OK;
    if (ok && m->text) {
        json_t *lexicon = NULL;
        ok = json_object_set_new(model, "words", rc__words_to_json(&m->wo)) == 0 &&
             json_object_set_new(model, "max_len", json_integer((json_int_t)m->max_len)) == 0;
        if (ok) s = rc__lexicon_to_json(&m->lexicon, &lexicon, e);
        if (ok && s == RC_OK) ok = json_object_set_new(doc, "lexicon", lexicon) == 0;
    } else if (ok) {
        ok = json_object_set_new(model, "mask", json_boolean(m->mask)) == 0 &&
             json_object_set_new(model, "window", json_integer((json_int_t)m->window)) == 0 &&
             json_object_set_new(doc, "scaler", scaler_to_json(m)) == 0;
    }
    if (ok && m->answer == RC__ANSWER_CLASSES)
        ok = json_object_set_new(model, "threshold", json_real(m->threshold)) == 0;
    if (ok && m->answer == RC__ANSWER_NUMBER)
        ok = json_object_set_new(model, "target_mean", json_real(m->target_mean)) == 0 &&
             json_object_set_new(model, "target_scale", json_real(m->target_scale)) == 0 &&
             json_object_set_new(model, "target_cap", json_real(m->cap)) == 0;
    else if (ok)
        ok = json_object_set_new(doc, "labels", rc__names_to_json(&m->labels)) == 0;
    ok = ok && json_object_set_new(doc, "model", json_incref(model)) == 0 &&
         json_object_set_new(doc, "data", rc__data_to_json(&m->data)) == 0;
    json_decref(model);
    if (s != RC_OK) return s;
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "model: out of memory, or a label is not UTF-8");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status reals_from_json(double *out, size_t n, const json_t *obj, const char *key, bool positive,
                                 const char *where, rc_error *e) {
    json_t *list = NULL;
    rc_status s = rc__json_get_array(obj, key, RC_JSON_REQUIRED, &list, where, e);
    if (s != RC_OK) return s;
    if (json_array_size(list) != n)
        return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected %zu numbers, found %zu", where, key, n, json_array_size(list));
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        out[i] = json_number_value(v);
        if (!json_is_number(v) || !isfinite(out[i]) || (positive && !(out[i] > 0)))
            return rc_fail(e, RC_EMODEL, "%s: \"%s\": entry %zu: expected a %snumber", where, key, i + 1,
                           positive ? "positive " : "");
    }
    return RC_OK;
}

static rc_status scaler_from_json(rc__classifier *m, const json_t *doc, const char *where, rc_error *e) {
    static const char *const keys[] = {"kind", "channels", "shift", "scale"};
    json_t *obj = NULL;
    size_t kind = 0;
    rc_status s = rc__json_get_object(doc, "scaler", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__json_only(obj, keys, 4, where, e);
    if (s == RC_OK) s = rc__choice_from_json(obj, "kind", scalings, 4, &kind, where, e);
    if (s == RC_OK) s = rc__names_from_json(&m->channels, obj, "channels", 1, where, e);
    if (s != RC_OK) return s;
    size_t n = m->channels.count;
    m->scaler.kind = (rc__scaling)kind;
    m->scaler.shift = rc__calloc(n, sizeof(double));
    m->scaler.scale = rc__calloc(n, sizeof(double));
    m->scaler.channels = n;
    if (!m->scaler.shift || !m->scaler.scale) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    s = reals_from_json(m->scaler.shift, n, obj, "shift", false, where, e);
    return s == RC_OK ? reals_from_json(m->scaler.scale, n, obj, "scale", true, where, e) : s;
}

static rc_status text_from_json(rc__classifier *m, const json_t *doc, const json_t *model, const char *where,
                                rc_error *e) {
    json_t *obj = NULL;
    rc_status s = rc__json_get_object(doc, "lexicon", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__lexicon_from_json(&m->lexicon, obj, where, e);
    if (s == RC_OK) s = rc__json_get_object(model, "words", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__words_from_json(&m->wo, obj, where, e);
    if (s == RC_OK && (strcmp(m->wo.chars, "none") != 0) != (m->lexicon.chars != NULL))
        s = rc_fail(e, RC_EMODEL, "%s: \"words\" and \"lexicon\" disagree about characters", where);
    if (s == RC_OK && m->lexicon.chars && m->lexicon.split == RC__SPLIT_VOCAB)
        s = rc_fail(e, RC_EMODEL, "%s: characters of tokens that are no words", where);
    if (s == RC_OK)
        s = rc__json_get_size(model, "max_len", RC_JSON_REQUIRED, 0, (size_t)1 << 30, &m->max_len, where, e);
    return s;
}

static rc_status answer_from_json(rc__classifier *m, const json_t *doc, const json_t *model, const char *where,
                                  rc_error *e) {
    const rc__json_need must = RC_JSON_REQUIRED;
    rc_status s = RC_OK;
    if (m->answer == RC__ANSWER_NUMBER) {
        m->outputs = 1;
        s = rc__json_get_real(model, "target_mean", must, 0, 0, &m->target_mean, where, e);
        if (s == RC_OK) s = rc__json_get_real(model, "target_scale", must, 1e-300, 1e300, &m->target_scale, where, e);
        if (s == RC_OK) s = rc__json_get_real(model, "target_cap", must, 0, 1e300, &m->cap, where, e);
        return s;
    }
    s = rc__names_from_json(&m->labels, doc, "labels", m->answer == RC__ANSWER_CLASS ? 2 : 1, where, e);
    m->outputs = m->labels.count;
    if (s == RC_OK && m->answer == RC__ANSWER_CLASSES)
        s = rc__json_get_real(model, "threshold", must, 0, 1, &m->threshold, where, e);
    return s;
}

static rc_status read_model(rc__classifier *m, const rc__st_file *file, const json_t *doc, const char *where,
                            rc_error *e) {
    static const char *const doc_keys[] = {"format", "task", "model", "lexicon", "labels", "scaler", "data", "provenance"};
    static const char *const keys[] = {"input",          "answer", "dropout_input", "dropout_output", "encoder",
                                       "words",          "mask",   "window",        "max_len",        "threshold",
                                       "target_mean", "target_scale", "target_cap"};
    static const char *const inputs[] = {"text", "numbers"};
    json_t *model = NULL, *obj = NULL;
    size_t input = 0, answer = 0;
    rc_status s = rc__json_only(doc, doc_keys, 8, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "model", RC_JSON_REQUIRED, &model, where, e);
    if (s == RC_OK) s = rc__json_only(model, keys, sizeof keys / sizeof *keys, where, e);
    if (s == RC_OK) s = rc__choice_from_json(model, "input", inputs, 2, &input, where, e);
    if (s == RC_OK) s = rc__choice_from_json(model, "answer", answers, 3, &answer, where, e);
    if (s == RC_OK) s = rc__json_get_object(model, "encoder", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__encoder_from_json(&m->eo, obj, where, e);
    if (s == RC_OK && m->eo.pool == 0) s = rc_fail(e, RC_EMODEL, "%s: \"pool\" is empty", where);
    m->text = input == 0;
    m->answer = (rc__answer)answer;
    double p = 1 - 1e-9;
    if (s == RC_OK) s = rc__json_get_real(model, "dropout_input", RC_JSON_OPTIONAL, 0, p, &m->dropout_input, where, e);
    if (s == RC_OK) s = rc__json_get_real(model, "dropout_output", RC_JSON_OPTIONAL, 0, p, &m->dropout_output, where, e);
    if (s == RC_OK) s = answer_from_json(m, doc, model, where, e);
    if (s == RC_OK && m->text) s = text_from_json(m, doc, model, where, e);
    if (s == RC_OK && !m->text) {
        s = rc__json_get_bool(model, "mask", RC_JSON_REQUIRED, &m->mask, where, e);
        if (s == RC_OK)
            s = rc__json_get_size(model, "window", RC_JSON_REQUIRED, 0, (size_t)1 << 30, &m->window, where, e);
        if (s == RC_OK) s = scaler_from_json(m, doc, where, e);
    }
    if (s == RC_OK) s = rc__json_get_object(doc, "data", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__data_from_json(&m->data, obj, where, e);
    if (s != RC_OK) return s;
    return rc__check_encoder(file, &m->eo, m->text ? &m->wo : NULL, where, e);
}

rc_status rc__classify_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    rc__classifier *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    rc_status s = read_model(m, file, doc, where, e);
    rc_error inner = {.code = RC_OK};
    if (s == RC_OK) {
        s = rc__classifier_declare(m, &inner);
        if (s != RC_OK) s = rc_fail(e, s == RC_EINVAL ? RC_EMODEL : s, "%s: %s", where, inner.text);
    }
    if (s == RC_OK) s = rc__model_read_params(m->base.params, file, e);
    if (s != RC_OK) {
        rc__classifier_free(&m->base);
        return s;
    }
    *out = &m->base;
    return RC_OK;
}
