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
#include "tasks/lm.h"
#include "tasks/task.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FORMAT     1
#define MAX_WIDTH  ((size_t)1 << 24)
#define MAX_LAYERS 1000

/* ---- the options as JSON, both ways through one table ------------------------------------------------------------ */

typedef enum field_kind { FIELD_SIZE, FIELD_INT, FIELD_REAL, FIELD_PROBABILITY, FIELD_BOOL, FIELD_NAME } field_kind;
typedef struct field {
    const char *key;
    field_kind kind;
    size_t offset;            /* in rc_lm_options */
    const char *const *names; /* FIELD_NAME: an enum's values */
    int n_names;
} field;

static const char *const skip_names[] = {"none", "residual", "highway"};
static const char *const init_names[] = {"zeros",         "constant",   "uniform",   "normal",     "xavier_uniform",
                                         "xavier_normal", "he_uniform", "he_normal", "orthogonal", "identity"};
static_assert(sizeof init_names / sizeof *init_names == RC_INIT_IDENTITY + 1, "one name for each rc_init_kind");
static_assert(sizeof(rc_skip) == sizeof(int) && sizeof(rc_init_kind) == sizeof(int), "FIELD_NAME reads an int");

#define OFFSET(f) offsetof(rc_lm_options, f)
static const field fields[] = {
    /* "cell" is handled apart: a string that lives in the cell table */
    {"num_layers", FIELD_INT, OFFSET(rnn.num_layers), NULL, 0},
    {"hidden_size", FIELD_SIZE, OFFSET(rnn.hidden_size), NULL, 0},
    {"embedding_size", FIELD_SIZE, OFFSET(embedding_size), NULL, 0},
    {"proj_size", FIELD_SIZE, OFFSET(rnn.proj_size), NULL, 0},
    {"depth", FIELD_INT, OFFSET(rnn.depth), NULL, 0},
    {"tied", FIELD_BOOL, OFFSET(tied), NULL, 0},
    {"no_bias", FIELD_BOOL, OFFSET(rnn.no_bias), NULL, 0},
    {"skip", FIELD_NAME, OFFSET(rnn.skip), skip_names, 3},
    {"learn_initial_state", FIELD_BOOL, OFFSET(rnn.learn_initial_state), NULL, 0},
    {"dropout", FIELD_PROBABILITY, OFFSET(rnn.dropout), NULL, 0},
    {"dropout_layers_sequence", FIELD_BOOL, OFFSET(rnn.dropout_sequence), NULL, 0},
    {"recurrent_dropout", FIELD_PROBABILITY, OFFSET(rnn.recurrent_dropout), NULL, 0},
    {"zoneout_h", FIELD_PROBABILITY, OFFSET(rnn.zoneout_h), NULL, 0},
    {"zoneout_c", FIELD_PROBABILITY, OFFSET(rnn.zoneout_c), NULL, 0},
    {"weight_drop", FIELD_PROBABILITY, OFFSET(rnn.weight_drop), NULL, 0},
    {"dropout_input", FIELD_PROBABILITY, OFFSET(dropout_input), NULL, 0},
    {"dropout_output", FIELD_PROBABILITY, OFFSET(dropout_output), NULL, 0},
    {"dropout_embedding", FIELD_PROBABILITY, OFFSET(dropout_embedding), NULL, 0},
    {"dropout_sequence", FIELD_BOOL, OFFSET(dropout_sequence), NULL, 0},
    {"init_ih", FIELD_NAME, OFFSET(rnn.init_ih), init_names, RC_INIT_IDENTITY + 1},
    {"init_hh", FIELD_NAME, OFFSET(rnn.init_hh), init_names, RC_INIT_IDENTITY + 1},
    {"init_torch", FIELD_BOOL, OFFSET(rnn.init_torch), NULL, 0},
    {"forget_bias", FIELD_REAL, OFFSET(rnn.forget_bias), NULL, 0},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static json_t *field_to_json(const field *f, const void *p) {
    switch (f->kind) {
    case FIELD_SIZE: return json_integer((json_int_t) * (const size_t *)p);
    case FIELD_INT: return json_integer(*(const int *)p);
    case FIELD_REAL:
    case FIELD_PROBABILITY: return json_real(*(const double *)p);
    case FIELD_BOOL: return json_boolean(*(const bool *)p);
    case FIELD_NAME: return json_string(f->names[*(const int *)p]);
    }
    return NULL;
}

static json_t *options_to_json(const rc_lm_options *o) {
    json_t *obj = json_object();
    bool ok = obj && json_object_set_new(obj, "cell", json_string(o->rnn.cell)) == 0;
    for (size_t i = 0; ok && i < N_FIELDS; i++) {
        const field *f = &fields[i];
        ok = json_object_set_new(obj, f->key, field_to_json(f, (const char *)o + f->offset)) == 0;
    }
    if (ok) return obj;
    json_decref(obj);
    return NULL;
}

static rc_status name_from_json(const field *f, const json_t *obj, int *out, const char *where, rc_error *e) {
    const char *name = NULL;
    rc_status s = rc__json_get_string(obj, f->key, RC_JSON_OPTIONAL, &name, where, e);
    if (s != RC_OK || !name) return s;
    for (int i = 0; i < f->n_names; i++)
        if (strcmp(name, f->names[i]) == 0) {
            *out = i;
            return RC_OK;
        }
    return rc_fail(e, RC_EMODEL, "%s: \"%s\": \"%s\" is unknown", where, f->key, name);
}

static rc_status int_from_json(const field *f, const json_t *obj, int *out, const char *where, rc_error *e) {
    int64_t value = *out;
    rc_status s = rc__json_get_int(obj, f->key, RC_JSON_OPTIONAL, 1, MAX_LAYERS, &value, where, e);
    *out = (int)value;
    return s;
}

static rc_status field_from_json(const field *f, const json_t *obj, void *p, const char *where, rc_error *e) {
    switch (f->kind) {
    case FIELD_SIZE: return rc__json_get_size(obj, f->key, RC_JSON_OPTIONAL, 0, MAX_WIDTH, p, where, e);
    case FIELD_INT: return int_from_json(f, obj, p, where, e);
    case FIELD_REAL: return rc__json_get_real(obj, f->key, RC_JSON_OPTIONAL, -1e6, 1e6, p, where, e);
    case FIELD_PROBABILITY: return rc__json_get_real(obj, f->key, RC_JSON_OPTIONAL, 0, 1 - 1e-9, p, where, e);
    case FIELD_BOOL: return rc__json_get_bool(obj, f->key, RC_JSON_OPTIONAL, p, where, e);
    case FIELD_NAME: return name_from_json(f, obj, p, where, e);
    }
    return RC_OK;
}

/* hidden_size must be there; what is absent has its default, so that a document written by hand is short. */
static rc_status options_from_json(rc_lm_options *o, const json_t *obj, const char *where, rc_error *e) {
    const char *names[N_FIELDS + 1] = {"cell"};
    for (size_t i = 0; i < N_FIELDS; i++) names[i + 1] = fields[i].key;
    *o = rc_lm_options_default();
    const char *cell = o->rnn.cell;
    size_t hidden;
    rc_status s = rc__json_only(obj, names, N_FIELDS + 1, where, e);
    if (s == RC_OK) s = rc__json_get_string(obj, "cell", RC_JSON_OPTIONAL, &cell, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "hidden_size", RC_JSON_REQUIRED, 1, MAX_WIDTH, &hidden, where, e);
    if (s != RC_OK) return s;
    const rc_cell_info *info = rc_cell_find(cell);
    if (!info) return rc_fail(e, RC_EMODEL, "%s: \"cell\": \"%s\" is unknown", where, cell);
    o->rnn.cell = info->name;
    for (size_t i = 0; s == RC_OK && i < N_FIELDS; i++)
        s = field_from_json(&fields[i], obj, (char *)o + fields[i].offset, where, e);
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
