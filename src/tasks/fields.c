/* fields.c - see fields.h. */
#include "tasks/fields.h"
#include "tasks/task.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/table.h"
#include <assert.h>
#include <stdlib.h>
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

/* ---- names ------------------------------------------------------------------------------------------------------- */

json_t *rc__names_to_json(const rc__strtab *t) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < t->count; i++) {
        size_t len;
        const char *s = rc__strtab_get(t, i, &len);
        if (json_array_append_new(list, json_stringn(s, len)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

rc_status rc__names_from_json(rc__strtab *t, const json_t *obj, const char *key, size_t least, const char *where,
                              rc_error *e) {
    json_t *list = NULL;
    rc_status s = rc__json_get_array(obj, key, RC_JSON_REQUIRED, &list, where, e);
    if (s != RC_OK) return s;
    if (json_array_size(list) < least)
        return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected %zu or more, found %zu", where, key, least,
                       json_array_size(list));
    for (size_t i = 0; s == RC_OK && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        uint32_t id;
        bool added = false;
        if (!json_is_string(v)) return rc_fail(e, RC_EMODEL, "%s: \"%s\": entry %zu is no string", where, key, i + 1);
        s = rc__strtab_add(t, json_string_value(v), json_string_length(v), &id, &added, e);
        if (s == RC_OK && !added)
            s = rc_fail(e, RC_EMODEL, "%s: \"%s\": \"%.60s\" comes twice", where, key, json_string_value(v));
    }
    return s;
}

rc_status rc__choice_from_json(const json_t *obj, const char *key, const char *const *names, size_t n, size_t *out,
                               const char *where, rc_error *e) {
    const char *name = NULL;
    rc_status s = rc__json_get_string(obj, key, RC_JSON_REQUIRED, &name, where, e);
    for (*out = 0; s == RC_OK && *out < n; ++*out)
        if (strcmp(name, names[*out]) == 0) return RC_OK;
    return s == RC_OK ? rc_fail(e, RC_EMODEL, "%s: \"%s\": \"%.60s\" is unknown", where, key, name) : s;
}

/* ---- recurrent layers -------------------------------------------------------------------------------------------- */

static const char *const skip_names[] = {"none", "residual", "highway"};
static const char *const init_names[] = {"zeros",         "constant",   "uniform",   "normal",     "xavier_uniform",
                                         "xavier_normal", "he_uniform", "he_normal", "orthogonal", "identity"};
static_assert(sizeof init_names / sizeof *init_names == RC_INIT_IDENTITY + 1, "one name for each rc_init_kind");
static_assert(sizeof(rc_skip) == sizeof(int) && sizeof(rc_init_kind) == sizeof(int), "RC__FIELD_NAME reads an int");

#define OFFSET(f) offsetof(rc_rnn_options, f)
static const rc__field rnn_fields[] = {
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
const char *const rc__position_names[5] = {"rotary", "alibi", "sinusoidal", "learned", "none"};
const char *const rc__ffn_names[3] = {"gelu", "relu", "swiglu"};
static_assert(sizeof(rc_positions) == sizeof(int) && sizeof(rc_ffn_kind) == sizeof(int), "RC__FIELD_NAME reads an int");
static const rc__field block_fields[] = {
    {"heads", RC__FIELD_SIZE, OFFSET(heads), NULL, 0},
    {"kv_heads", RC__FIELD_SIZE, OFFSET(kv_heads), NULL, 0},
    {"ffn", RC__FIELD_SIZE, OFFSET(ffn), NULL, 0},
    {"context", RC__FIELD_SIZE, OFFSET(context), NULL, 0},
    {"positions", RC__FIELD_NAME, OFFSET(positions), rc__position_names, 5},
    {"post_norm", RC__FIELD_BOOL, OFFSET(post_norm), NULL, 0},
    {"rms_norm", RC__FIELD_BOOL, OFFSET(rms_norm), NULL, 0},
    {"ffn_kind", RC__FIELD_NAME, OFFSET(ffn_kind), rc__ffn_names, 3},
    {"attention_dropout", RC__FIELD_PROBABILITY, OFFSET(attention_dropout), NULL, 0},
};
#define N_RNN   (sizeof rnn_fields / sizeof *rnn_fields)
#define N_BLOCK (sizeof block_fields / sizeof *block_fields)
static_assert(1 + N_RNN + N_BLOCK <= RC__RNN_KEYS, "room for all keys");

size_t rc__rnn_keys(const char *keys[RC__RNN_KEYS]) {
    size_t n = 0;
    keys[n++] = "cell";
    for (size_t i = 0; i < N_RNN; i++) keys[n++] = rnn_fields[i].key;
    for (size_t i = 0; i < N_BLOCK; i++) keys[n++] = block_fields[i].key;
    return n;
}

static bool has_blocks(const rc_rnn_options *o) { return strcmp(o->cell, "transformer") == 0; }

bool rc__rnn_put(const rc_rnn_options *o, json_t *obj) {
    return json_object_set_new(obj, "cell", json_string(o->cell)) == 0 && rc__fields_put(rnn_fields, N_RNN, o, obj) &&
           (!has_blocks(o) || rc__fields_put(block_fields, N_BLOCK, o, obj));
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
    s = rc__fields_get(rnn_fields, N_RNN, obj, o, where, e);
    if (s == RC_OK && has_blocks(o)) return rc__fields_get(block_fields, N_BLOCK, obj, o, where, e);
    for (size_t i = 0; s == RC_OK && i < N_BLOCK; i++)
        if (json_object_get(obj, block_fields[i].key))
            s = rc_fail(e, RC_EMODEL, "%s: \"%s\" is for cell transformer, the cell is %s", where, block_fields[i].key,
                        o->cell);
    return s;
}

/* ---- encoders and words ------------------------------------------------------------------------------------------ */

static const char *const encoder_names[] = {"rnn", "cnn", "bow"};
static const char *const pool_names[] = {"last", "mean", "max", "attention"};

rc_status rc__pool_from_text(const char *text, unsigned *pool, rc_error *e) {
    *pool = 0;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "+"), i = 0;
        while (i < 4 && (strlen(pool_names[i]) != n || strncmp(pool_names[i], p, n) != 0)) i++;
        if (i == 4)
            return rc_fail(e, RC_EINVAL, "pool: expected last, mean, max, attention or several with + between, found \"%s\"",
                           text);
        *pool |= 1u << i;
        p += n + (p[n] == '+' && p[n + 1]);
        if (*p == '+') return rc_fail(e, RC_EINVAL, "pool: \"%s\" ends in +", text);
    }
    return *pool ? RC_OK : rc_fail(e, RC_EINVAL, "pool: expected last, mean, max or attention, found nothing");
}

static void pool_to_text(unsigned pool, char out[64]) {
    out[0] = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (!(pool & 1u << i)) continue;
        if (out[0]) strcat(out, "+");
        strcat(out, pool_names[i]);
    }
}

rc_status rc__kernels_from_text(const char *text, rc__encoder_options *o, rc_error *e) {
    o->n_kernels = 0;
    for (const char *p = text;;) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v < 1 || v > 1000 || (*end && *end != ',') || o->n_kernels == RC__ENCODER_MAX_KERNELS)
            return rc_fail(e, RC_EINVAL, "kernels: expected up to %d widths of 1 to 1000 with commas between, found \"%s\"",
                           RC__ENCODER_MAX_KERNELS, text);
        o->kernels[o->n_kernels++] = (size_t)v;
        if (!*end) return RC_OK;
        p = end + 1;
    }
}

json_t *rc__encoder_to_json(const rc__encoder_options *o) {
    char pool[64];
    json_t *obj = json_object(), *kernels = json_array();
    pool_to_text(o->pool, pool);
    bool ok = obj && kernels && json_object_set_new(obj, "kind", json_string(encoder_names[o->kind])) == 0 &&
              json_object_set_new(obj, "pool", json_string(pool)) == 0;
    if (ok && o->kind == RC__ENCODER_RNN) ok = rc__rnn_put(&o->rnn, obj);
    if (ok && o->kind == RC__ENCODER_CNN) {
        for (int i = 0; ok && i < o->n_kernels; i++)
            ok = json_array_append_new(kernels, json_integer((json_int_t)o->kernels[i])) == 0;
        ok = ok && json_object_set(obj, "kernels", kernels) == 0 &&
             json_object_set_new(obj, "filters", json_integer((json_int_t)o->filters)) == 0;
    }
    json_decref(kernels);
    if (ok) return obj;
    json_decref(obj);
    return NULL;
}

rc_status rc__encoder_from_json(rc__encoder_options *o, const json_t *obj, const char *where, rc_error *e) {
    const char *kind = NULL, *pool = "";
    const char *keys[4 + RC__RNN_KEYS] = {"kind", "pool", "kernels", "filters"};
    size_t n = 4 + rc__rnn_keys(keys + 4), k = 0;
    *o = (rc__encoder_options){.rnn = rc_rnn_options_default()};
    rc_status s = rc__json_only(obj, keys, n, where, e);
    if (s == RC_OK) s = rc__json_get_string(obj, "kind", RC_JSON_REQUIRED, &kind, where, e);
    if (s == RC_OK) s = rc__json_get_string(obj, "pool", RC_JSON_OPTIONAL, &pool, where, e);
    if (s != RC_OK) return s;
    while (k < 3 && strcmp(kind, encoder_names[k]) != 0) k++;
    if (k == 3) return rc_fail(e, RC_EMODEL, "%s: \"kind\": \"%s\" is unknown", where, kind);
    o->kind = (rc__encoder_kind)k;
    rc_error inner;
    if (*pool && rc__pool_from_text(pool, &o->pool, &inner) != RC_OK)
        return rc_fail(e, RC_EMODEL, "%s: %s", where, inner.text);
    if (o->kind == RC__ENCODER_RNN) return rc__rnn_get(&o->rnn, obj, where, e);
    if (o->kind == RC__ENCODER_BOW) return RC_OK;
    json_t *kernels = NULL;
    s = rc__json_get_array(obj, "kernels", RC_JSON_REQUIRED, &kernels, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "filters", RC_JSON_REQUIRED, 1, RC__MAX_WIDTH, &o->filters, where, e);
    if (s != RC_OK) return s;
    if (json_array_size(kernels) < 1 || json_array_size(kernels) > RC__ENCODER_MAX_KERNELS)
        return rc_fail(e, RC_EMODEL, "%s: \"kernels\": expected 1 to %d of them", where, RC__ENCODER_MAX_KERNELS);
    for (size_t i = 0; i < json_array_size(kernels); i++) {
        json_int_t v = json_integer_value(json_array_get(kernels, i));
        if (v < 1 || v > 1000) return rc_fail(e, RC_EMODEL, "%s: \"kernels\": expected widths of 1 to 1000", where);
        o->kernels[o->n_kernels++] = (size_t)v;
    }
    return RC_OK;
}

json_t *rc__words_to_json(const rc__words_options *o) {
    return json_pack("{sI ss sI sI sf sI}", "embedding_size", (json_int_t)o->embedding_size, "chars",
                     o->chars ? o->chars : "none", "char_embedding", (json_int_t)o->char_embedding, "char_hidden",
                     (json_int_t)o->char_hidden, "char_dropout", o->char_dropout, "affix_embedding",
                     (json_int_t)o->affix_embedding);
}

rc_status rc__words_from_json(rc__words_options *o, const json_t *obj, const char *where, rc_error *e) {
    static const char *const keys[] = {"embedding_size", "chars",        "char_embedding",
                                       "char_hidden",    "char_dropout", "affix_embedding"};
    const rc__json_need must = RC_JSON_REQUIRED;
    const char *chars = "none";
    *o = (rc__words_options){0};
    rc_status s = rc__json_only(obj, keys, 6, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "embedding_size", must, 1, RC__MAX_WIDTH, &o->embedding_size, where, e);
    if (s == RC_OK) s = rc__json_get_string(obj, "chars", RC_JSON_OPTIONAL, &chars, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "char_embedding", must, 1, RC__MAX_WIDTH, &o->char_embedding, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "char_hidden", must, 1, RC__MAX_WIDTH, &o->char_hidden, where, e);
    if (s == RC_OK)
        s = rc__json_get_real(obj, "char_dropout", RC_JSON_OPTIONAL, 0, 1 - 1e-9, &o->char_dropout, where, e);
    if (s == RC_OK)
        s = rc__json_get_size(obj, "affix_embedding", RC_JSON_OPTIONAL, 0, RC__MAX_WIDTH, &o->affix_embedding, where, e);
    if (s != RC_OK) return s;
    const rc_cell_info *cell = rc_cell_find(chars);
    o->chars = strcmp(chars, "none") == 0 ? "none" : strcmp(chars, "cnn") == 0 ? "cnn" : cell ? cell->name : NULL;
    return o->chars ? RC_OK : rc_fail(e, RC_EMODEL, "%s: \"chars\": \"%s\" is unknown", where, chars);
}

rc_status rc__check_widths(const rc__st_file *file, size_t layers, const size_t *widths, size_t n, const char *where,
                           rc_error *e) {
    size_t tensors = rc__st_count(file), numbers = 0;
    for (size_t i = 0; i < tensors; i++) numbers += rc__st_at(file, i)->len; /* <= the bytes of the file */
    if (layers > tensors)
        return rc_fail(e, RC_EMODEL, "%s: describes %zu layers, the file has %zu tensors", where, layers, tensors);
    for (size_t i = 0; i < n; i++)
        if (widths[i] > numbers / (layers ? layers : 1))
            return rc_fail(e, RC_EMODEL, "%s: describes %zu layers of width %zu, the file has %zu numbers in all", where,
                           layers, widths[i], numbers);
    return RC_OK;
}

rc_status rc__check_encoder(const rc__st_file *file, const rc__encoder_options *eo, const rc__words_options *wo,
                            const char *where, rc_error *e) {
    bool rnn = eo->kind == RC__ENCODER_RNN, chars = wo && strcmp(wo->chars, "none") != 0;
    size_t layers = rnn ? (size_t)eo->rnn.num_layers : 1, n = 2;
    if (rnn && strcmp(eo->rnn.cell, "rhn") == 0) layers *= (size_t)eo->rnn.depth;
    size_t widths[6] = {rnn ? eo->rnn.hidden_size : eo->filters, rnn ? eo->rnn.proj_size : 0};
    if (wo) widths[n++] = wo->embedding_size;
    if (wo) widths[n++] = wo->affix_embedding;
    if (chars) widths[n++] = wo->char_embedding;
    if (chars) widths[n++] = wo->char_hidden;
    return rc__check_widths(file, layers, widths, n, where, e);
}

/* ---- from the training options ----------------------------------------------------------------------------------- */

rc_status rc__train_encoder_options(const rc_train_options *o, const char *rnn_pool, rc__encoder_options *x, rc_error *e) {
    *x = (rc__encoder_options){.kind = RC__ENCODER_RNN, .rnn = rc_rnn_options_default()};
    if (!strcmp(o->encoder, "cnn")) x->kind = RC__ENCODER_CNN;
    if (!strcmp(o->encoder, "bow")) x->kind = RC__ENCODER_BOW;
    const char *pool = *o->pool ? o->pool : x->kind == RC__ENCODER_RNN ? rnn_pool : x->kind == RC__ENCODER_CNN ? "max" : "mean";
    rc_status s = rc__pool_from_text(pool, &x->pool, e);
    if (s == RC_OK && x->kind == RC__ENCODER_CNN) {
        x->filters = (size_t)o->filters;
        s = rc__kernels_from_text(o->kernels, x, e);
    }
    if (s != RC_OK || x->kind != RC__ENCODER_RNN) return s;
    const rc_cell_info *cell = rc_cell_find(o->encoder);
    if (!cell) return rc_fail(e, RC_EINVAL, "encoder: expected a cell, cnn or bow, found \"%s\"", o->encoder);
    rc_train_options own = *o;
    own.cell = cell->name;
    s = rc__train_rnn_options(&own, &x->rnn, e);
    if (s != RC_OK) return s;
    x->rnn.bidirectional = o->bidirectional;
    return RC_OK;
}

void rc__train_words_options(const rc_train_options *o, rc__words_options *w) {
    *w = (rc__words_options){.embedding_size = (size_t)(o->embedding > 0 ? o->embedding : o->hidden),
                             .chars = o->chars,
                             .char_embedding = (size_t)o->char_embedding,
                             .char_hidden = (size_t)o->char_hidden,
                             .affix_embedding = (size_t)o->affixes};
}

/* ---- how data are read ------------------------------------------------------------------------------------------- */

#define TEXTS(X)                                                                                                     \
    X(format) X(delimiter) X(header) X(missing) X(text) X(label) X(label_separator) X(column) X(id) X(time) X(target) \
    X(inputs) X(known_ahead) X(fixed) X(categorical)

json_t *rc__data_to_json(const rc_data_options *o) {
    json_t *obj = json_object();
    bool ok = obj && json_object_set_new(obj, "numeric", json_boolean(o->numeric)) == 0;
#define X(f)                                                                                                         \
    if (ok && o->f && *o->f) ok = json_object_set_new(obj, #f, json_string(o->f)) == 0;
    TEXTS(X)
#undef X
    if (ok) return obj;
    json_decref(obj);
    return NULL;
}

static rc_status own(const char **to, const char *from, rc_error *e) {
    if (!from || !*from) return RC_OK;
    *to = rc__strdup(from);
    return *to ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory for options");
}

rc_status rc__data_from_json(rc_data_options *o, const json_t *obj, const char *where, rc_error *e) {
    static const char *const keys[] = {
#define X(f) #f,
        TEXTS(X)
#undef X
            "numeric"};
    rc_data_options read = {0};
    *o = (rc_data_options){0};
    rc_status s = rc__json_only(obj, keys, sizeof keys / sizeof *keys, where, e);
#define X(f)                                                                                                         \
    if (s == RC_OK) s = rc__json_get_string(obj, #f, RC_JSON_OPTIONAL, &read.f, where, e);
    TEXTS(X)
#undef X
    if (s == RC_OK) s = rc__json_get_bool(obj, "numeric", RC_JSON_OPTIONAL, &read.numeric, where, e);
    return s == RC_OK ? rc__data_copy(o, &read, e) : s;
}

rc_status rc__data_copy(rc_data_options *to, const rc_data_options *from, rc_error *e) {
    rc_status s = RC_OK;
    *to = (rc_data_options){.numeric = from->numeric};
#define X(f)                                                                                                         \
    if (s == RC_OK) s = own(&to->f, from->f, e);
    TEXTS(X)
#undef X
    if (s != RC_OK) rc__data_free(to);
    return s;
}

void rc__data_free(rc_data_options *o) {
#define X(f) rc__strfree((char *)(uintptr_t)o->f);
    TEXTS(X)
#undef X
    *o = (rc_data_options){0};
}

rc_data_options rc__data_merge(const rc_data_options *over, const rc_data_options *under) {
    rc_data_options m = *under;
#define X(f)                                                                                                         \
    if (over->f && *over->f) m.f = over->f;
    TEXTS(X)
#undef X
    m.numeric = over->numeric || under->numeric;
    m.skip_bad_rows = over->skip_bad_rows;
    return m;
}

static rc_status yes_or_no(const char *name, const char *value, rc__choice *out, rc_error *e) {
    *out = RC_AUTO;
    if (!value || !*value) return RC_OK;
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return rc_fail(e, RC_EINVAL, "%s: expected yes or no, found \"%s\"", name, value);
    *out = *value == 'y' ? RC_YES : RC_NO;
    return RC_OK;
}

rc_status rc__data_table_options(const rc_data_options *d, rc__table_options *out, rc_error *e) {
    *out = (rc__table_options){.skip_ragged = d->skip_bad_rows};
    if (d->delimiter && *d->delimiter) {
        out->delimiter = strcmp(d->delimiter, "tab") == 0     ? '\t'
                         : strcmp(d->delimiter, "space") == 0 ? ' '
                                                              : d->delimiter[0];
        if (out->delimiter == d->delimiter[0] && d->delimiter[1])
            return rc_fail(e, RC_EINVAL, "delimiter: expected one character, tab or space, found \"%s\"", d->delimiter);
    }
    return yes_or_no("header", d->header, &out->header, e);
}

rc_status rc__data_missing(const rc_data_options *d, rc__missing_words *own, rc__table_options *out, rc_error *e) {
    static const char *const usual[] = {RC_TABLE_MISSING};
    size_t n = 0, most = sizeof own->list / sizeof *own->list;
    if (!d->missing || !*d->missing) return RC_OK;
    if (strlen(d->missing) >= sizeof own->text)
        return rc_fail(e, RC_EINVAL, "missing: expected at most %zu characters", sizeof own->text - 1);
    for (; n < sizeof usual / sizeof *usual; n++) own->list[n] = usual[n];
    memcpy(own->text, d->missing, strlen(d->missing) + 1);
    for (char *word = own->text, *end; word; word = end) {
        end = strchr(word, ',');
        if (end) *end++ = 0;
        if (n == most) return rc_fail(e, RC_EINVAL, "missing: expected at most %zu words",
                           most - sizeof usual / sizeof *usual);
        own->list[n++] = word;
    }
    out->missing = own->list;
    out->n_missing = n;
    return RC_OK;
}
