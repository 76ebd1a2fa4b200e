/* lm_file.c - a language model as one safetensors file: the tensors under their parameter names, and one JSON document
 * under the metadata key "recur" (docs/format.md):
 *
 *   {"format": 1, "task": "lm", "model": {options}, "vocab": {...}, "provenance": {...}}
 *
 * Reading believes nothing before it is checked: the document's keys and ranges, then every tensor's name and shape
 * against the network those options describe, and only then is memory for the weights allocated.
 */
#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "tasks/fields.h"
#include "tasks/lm.h"
#include "tasks/task.h"
#include <stdio.h>
#include <string.h>

#define FORMAT 1

/* ---- the options as JSON ------------------------------------------------------------------------------------------ */

#define OFFSET(f) offsetof(rc_lm_options, f)
static const rc__field fields[] = {
    {"embedding_size", RC__FIELD_SIZE, OFFSET(embedding_size), NULL, 0},
    {"tied", RC__FIELD_BOOL, OFFSET(tied), NULL, 0},
    {"dropout_input", RC__FIELD_PROBABILITY, OFFSET(dropout_input), NULL, 0},
    {"dropout_output", RC__FIELD_PROBABILITY, OFFSET(dropout_output), NULL, 0},
    {"dropout_embedding", RC__FIELD_PROBABILITY, OFFSET(dropout_embedding), NULL, 0},
    {"dropout_sequence", RC__FIELD_BOOL, OFFSET(dropout_sequence), NULL, 0},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static json_t *options_to_json(const rc_lm_options *o) {
    json_t *obj = json_object();
    if (obj && rc__rnn_put(&o->rnn, obj) && rc__fields_put(fields, N_FIELDS, o, obj)) return obj;
    json_decref(obj);
    return NULL;
}

/* hidden_size must be there; what is absent has its default, so that a document written by hand is short. */
static rc_status options_from_json(rc_lm_options *o, const json_t *obj, const char *where, rc_error *e) {
    const char *names[N_FIELDS + RC__RNN_KEYS];
    size_t n = rc__rnn_keys(names);
    for (size_t i = 0; i < N_FIELDS; i++) names[n++] = fields[i].key;
    *o = rc_lm_options_default();
    rc_status s = rc__json_only(obj, names, n, where, e);
    if (s == RC_OK) s = rc__rnn_get(&o->rnn, obj, where, e);
    if (s == RC_OK) s = rc__fields_get(fields, N_FIELDS, obj, o, where, e);
    return s;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static rc_status parse_object(const char *text, const char *what, json_t **out, rc_error *e) {
    rc_error inner;
    *out = NULL;
    rc_status s = rc__json_parse(text, strlen(text), what, out, &inner);
    if (s != RC_OK) return rc_fail(e, s == RC_ENOMEM ? s : RC_EINVAL, "%s", inner.text);
    if (json_is_object(*out)) return RC_OK;
    json_decref(*out);
    *out = NULL;
    return rc_fail(e, RC_EINVAL, "%s: expected a JSON object", what);
}

static rc_status vocab_to_json(const rc_vocab *v, json_t **out, rc_error *e) {
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc_vocab_to_json(v, &text, &len, e);
    if (s != RC_OK) return s;
    s = rc__json_parse(text, len, "vocabulary", out, e);
    rc_text_free(text, len);
    return s;
}

static rc_status document(const rc_lm *m, const char *provenance_json, char **text, size_t *len, rc_error *e) {
    json_t *vocab = NULL, *provenance = NULL, *doc = NULL;
    rc_status s = parse_object(provenance_json ? provenance_json : rc_lm_provenance(m), "provenance", &provenance, e);
    if (s == RC_OK) s = vocab_to_json(m->vocab, &vocab, e);
    if (s == RC_OK) {
        doc = json_pack("{s:i, s:s, s:o, s:O, s:O}", "format", FORMAT, "task", "lm", "model", options_to_json(&m->opt),
                        "vocab", vocab, "provenance", provenance);
        s = rc__json_print(doc, text, len, e);
    }
    json_decref(doc);
    json_decref(vocab);
    json_decref(provenance);
    return s;
}

rc_status rc_lm_save(const rc_lm *m, const char *path, const char *provenance_json, rc_error *e) {
    rc__st_list list = {0};
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__lm_check(m, e);
    if (s == RC_OK) s = document(m, provenance_json, &text, &len, e);
    if (s == RC_OK) s = rc__params_list(&list, m->params, NULL, NULL, e);
    if (s == RC_OK) s = rc__st_write(path, list.tensor, list.n, &(rc__st_meta){"recur", text}, 1, e);
    rc__st_list_free(&list);
    if (text) rc__free(text, len + 1);
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const rc__st_file *file;
    json_t *doc;     /* owned */
    char where[600]; /* "PATH: metadata" */
    rc_lm_options opt;
    rc_vocab *vocab; /* owned until it is the model's */
    rc_lm *model;    /* owned until returned */
} reader;

static rc_status read_document(reader *r, rc_error *e) {
    static const char *const names[] = {"format", "task", "model", "vocab", "provenance"};
    const char *task = NULL;
    rc_status s = rc__model_document(r->file, &r->doc, &task, r->where, sizeof r->where, e);
    if (s == RC_OK && strcmp(task, "lm") != 0)
        s = rc_fail(e, RC_EMODEL, "%s: a model for \"%s\", expected a language model (\"lm\")", rc__st_name(r->file), task);
    return s == RC_OK ? rc__json_only(r->doc, names, 5, r->where, e) : s;
}

static rc_status read_vocab(reader *r, rc_error *e) {
    json_t *obj = NULL;
    char *text = NULL, where[sizeof r->where + 16];
    size_t len = 0;
    snprintf(where, sizeof where, "%s: \"vocab\"", r->where);
    rc_status s = rc__json_get_object(r->doc, "vocab", RC_JSON_REQUIRED, &obj, r->where, e);
    if (s == RC_OK) s = rc__json_print(obj, &text, &len, e);
    if (s != RC_OK) return s;
    s = rc_vocab_from_json(&r->vocab, text, len, where, e);
    rc__free(text, len + 1);
    return s;
}

static rc_status read_options(reader *r, rc_error *e) {
    json_t *obj = NULL;
    char where[sizeof r->where + 16];
    snprintf(where, sizeof where, "%s: \"model\"", r->where);
    rc_status s = rc__json_get_object(r->doc, "model", RC_JSON_REQUIRED, &obj, r->where, e);
    if (s == RC_OK) s = options_from_json(&r->opt, obj, where, e);
    if (s != RC_OK) return s;
    /* Each layer, and each micro-step of rhn, has tensors of its own, each with a number or more for each unit: bounds
     * before anything is declared, since a network takes memory for its biases at once. */
    const rc_rnn_options *o = &r->opt.rnn;
    size_t layers = (size_t)o->num_layers, tensors = rc__st_count(r->file), numbers = 0;
    if (strcmp(o->cell, "rhn") == 0) layers *= (size_t)o->depth;
    for (size_t i = 0; i < tensors; i++) numbers += rc__st_at(r->file, i)->len; /* <= the bytes of the file */
    if (layers > tensors)
        return rc_fail(e, RC_EMODEL, "%s: describes %zu layers, the file has %zu tensors", where, layers, tensors);
    /* NOLINTNEXTLINE(*DivideZero): both factors were read as 1 or more */
    if (o->hidden_size > numbers / layers || r->opt.embedding_size > numbers || o->proj_size > numbers)
        return rc_fail(
            e, RC_EMODEL,
            "%s: describes %zu layers of hidden_size %zu (embedding_size %zu, proj_size %zu), the file has %zu "
            "numbers in all",
            where, layers, o->hidden_size, r->opt.embedding_size, o->proj_size, numbers);
    return RC_OK;
}

/* Options that the network refuses are the file's fault, not the caller's. */
static rc_status declare(reader *r, rc_error *e) {
    rc_error inner;
    rc_status s = rc__lm_declare(&r->model, rc_vocab_size(r->vocab), &r->opt, &inner);
    if (s == RC_EINVAL) return rc_fail(e, RC_EMODEL, "%s: \"model\": %s", r->where, inner.text);
    return s == RC_OK ? s : rc_fail(e, s, "%s: %s", rc__st_name(r->file), inner.text);
}

static rc_status read_params(reader *r, rc_error *e) {
    const rc__st_tensor *t = rc__st_find(r->file, "embedding.weight");
    if (t && t->ndim == 2 && t->dim[0] != r->model->vocab_size)
        return rc_fail(e, RC_EMODEL, "%s: the vocabulary has %zu entries, tensor \"embedding.weight\" has %zu rows",
                       rc__st_name(r->file), r->model->vocab_size, t->dim[0]);
    return rc__model_read_params(r->model->params, r->file, e);
}

static rc_status read_provenance(reader *r, rc_error *e) {
    json_t *obj = NULL;
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__json_get_object(r->doc, "provenance", RC_JSON_OPTIONAL, &obj, r->where, e);
    if (s != RC_OK || !obj) return s;
    s = rc__json_print(obj, &text, &len, e);
    if (s != RC_OK) return s;
    r->model->provenance = rc__strdup(text);
    rc__free(text, len + 1);
    return r->model->provenance ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", rc__st_name(r->file));
}

static rc_status read_model(reader *r, rc_error *e) {
    rc_status s = read_document(r, e);
    if (s == RC_OK) s = read_options(r, e);
    if (s == RC_OK) s = read_vocab(r, e);
    if (s == RC_OK) s = declare(r, e);
    if (s == RC_OK) s = read_params(r, e);
    if (s == RC_OK) s = read_provenance(r, e);
    return s;
}

rc_status rc_lm_load(rc_lm **out, const char *path, rc_error *e) {
    rc__st_file *file = NULL;
    *out = NULL;
    rc_status s = rc__st_open(&file, path, e);
    if (s != RC_OK) return s;
    reader r = {.file = file};
    s = read_model(&r, e);
    if (s == RC_OK) {
        r.model->vocab = r.vocab;
        *out = r.model;
    } else {
        rc_lm_free(r.model);
        rc_vocab_free(r.vocab);
    }
    json_decref(r.doc);
    rc__st_close(file);
    return s;
}
