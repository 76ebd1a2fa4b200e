/* fields.c - see fields.h. */
#include "tasks/fields.h"
#include "base/json.h"
#include <assert.h>
#include <string.h>

static json_t *field_to_json(const rc__field *f, const void *p) {
    switch (f->kind) {
    case RC__FIELD_SIZE: return json_integer((json_int_t) * (const size_t *)p);
    case RC__FIELD_INT: return json_integer(*(const int *)p);
    case RC__FIELD_REAL:
    case RC__FIELD_PROBABILITY: return json_real(*(const double *)p);
    case RC__FIELD_BOOL: return json_boolean(*(const bool *)p);
    case RC__FIELD_NAME: return json_string(f->names[*(const int *)p]);
    }
    return NULL;
}

bool rc__fields_put(const rc__field *f, size_t n, const void *base, json_t *obj) {
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(obj, f[i].key, field_to_json(&f[i], (const char *)base + f[i].offset)) != 0) return false;
    return true;
}

static rc_status name_from_json(const rc__field *f, const json_t *obj, int *out, const char *where, rc_error *e) {
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

static rc_status int_from_json(const rc__field *f, const json_t *obj, int *out, const char *where, rc_error *e) {
    int64_t value = *out;
    rc_status s = rc__json_get_int(obj, f->key, RC_JSON_OPTIONAL, 1, RC__MAX_LAYERS, &value, where, e);
    *out = (int)value;
    return s;
}

static rc_status field_from_json(const rc__field *f, const json_t *obj, void *p, const char *where, rc_error *e) {
    switch (f->kind) {
    case RC__FIELD_SIZE: return rc__json_get_size(obj, f->key, RC_JSON_OPTIONAL, 0, RC__MAX_WIDTH, p, where, e);
    case RC__FIELD_INT: return int_from_json(f, obj, p, where, e);
    case RC__FIELD_REAL: return rc__json_get_real(obj, f->key, RC_JSON_OPTIONAL, -1e6, 1e6, p, where, e);
    case RC__FIELD_PROBABILITY: return rc__json_get_real(obj, f->key, RC_JSON_OPTIONAL, 0, 1 - 1e-9, p, where, e);
    case RC__FIELD_BOOL: return rc__json_get_bool(obj, f->key, RC_JSON_OPTIONAL, p, where, e);
    case RC__FIELD_NAME: return name_from_json(f, obj, p, where, e);
    }
    return RC_OK;
}

rc_status rc__fields_get(const rc__field *f, size_t n, const json_t *obj, void *base, const char *where, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) s = field_from_json(&f[i], obj, (char *)base + f[i].offset, where, e);
    return s;
}

/* ---- recurrent layers -------------------------------------------------------------------------------------------- */

static const char *const skip_names[] = {"none", "residual", "highway"};
static const char *const init_names[] = {"zeros",         "constant",   "uniform",   "normal",     "xavier_uniform",
                                         "xavier_normal", "he_uniform", "he_normal", "orthogonal", "identity"};
static_assert(sizeof init_names / sizeof *init_names == RC_INIT_IDENTITY + 1, "one name for each rc_init_kind");
static_assert(sizeof(rc_skip) == sizeof(int) && sizeof(rc_init_kind) == sizeof(int), "RC__FIELD_NAME reads an int");

#define OFFSET(f) offsetof(rc_rnn_options, f)
const rc__field rc__rnn_fields[] = {
    /* "cell" is handled apart: a string that lives in the table of cells */
    {"num_layers", RC__FIELD_INT, OFFSET(num_layers), NULL, 0},
    {"hidden_size", RC__FIELD_SIZE, OFFSET(hidden_size), NULL, 0},
    {"proj_size", RC__FIELD_SIZE, OFFSET(proj_size), NULL, 0},
    {"depth", RC__FIELD_INT, OFFSET(depth), NULL, 0},
    {"bidirectional", RC__FIELD_BOOL, OFFSET(bidirectional), NULL, 0},
    {"no_bias", RC__FIELD_BOOL, OFFSET(no_bias), NULL, 0},
    {"skip", RC__FIELD_NAME, OFFSET(skip), skip_names, 3},
    {"learn_initial_state", RC__FIELD_BOOL, OFFSET(learn_initial_state), NULL, 0},
    {"dropout", RC__FIELD_PROBABILITY, OFFSET(dropout), NULL, 0},
    {"dropout_layers_sequence", RC__FIELD_BOOL, OFFSET(dropout_sequence), NULL, 0},
    {"recurrent_dropout", RC__FIELD_PROBABILITY, OFFSET(recurrent_dropout), NULL, 0},
    {"zoneout_h", RC__FIELD_PROBABILITY, OFFSET(zoneout_h), NULL, 0},
    {"zoneout_c", RC__FIELD_PROBABILITY, OFFSET(zoneout_c), NULL, 0},
    {"weight_drop", RC__FIELD_PROBABILITY, OFFSET(weight_drop), NULL, 0},
    {"init_ih", RC__FIELD_NAME, OFFSET(init_ih), init_names, RC_INIT_IDENTITY + 1},
    {"init_hh", RC__FIELD_NAME, OFFSET(init_hh), init_names, RC_INIT_IDENTITY + 1},
    {"init_torch", RC__FIELD_BOOL, OFFSET(init_torch), NULL, 0},
    {"forget_bias", RC__FIELD_REAL, OFFSET(forget_bias), NULL, 0},
};
const size_t rc__rnn_n_fields = sizeof rc__rnn_fields / sizeof *rc__rnn_fields;

bool rc__rnn_put(const rc_rnn_options *o, json_t *obj) {
    return json_object_set_new(obj, "cell", json_string(o->cell)) == 0 &&
           rc__fields_put(rc__rnn_fields, rc__rnn_n_fields, o, obj);
}

rc_status rc__rnn_get(rc_rnn_options *o, const json_t *obj, const char *where, rc_error *e) {
    const char *cell = o->cell;
    size_t hidden;
    rc_status s = rc__json_get_string(obj, "cell", RC_JSON_OPTIONAL, &cell, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "hidden_size", RC_JSON_REQUIRED, 1, RC__MAX_WIDTH, &hidden, where, e);
    if (s != RC_OK) return s;
    const rc_cell_info *info = rc_cell_find(cell);
    if (!info) return rc_fail(e, RC_EMODEL, "%s: \"cell\": \"%s\" is unknown", where, cell);
    o->cell = info->name;
    return rc__fields_get(rc__rnn_fields, rc__rnn_n_fields, obj, o, where, e);
}
