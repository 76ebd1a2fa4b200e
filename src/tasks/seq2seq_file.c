/* seq2seq_file.c - a sequence-to-sequence model as a model file: beside the tensors, in the document (docs/format.md),
 *
 *   "model": {"embedding": 256, "tied": true, "copy": false, ..., "encoder": {...},
 *             "decoder": {"attention": "general", ..., "layers": {...}}},
 *   "vocab": {...} of both sides, or "source_vocab" and "target_vocab",
 *   "text": {how texts are cut, how long they may be}, "search": {...}, "data": {...}
 */
#include "base/json.h"
#include "base/mem.h"
#include "data/vocab_json.h"
#include "tasks/seq2seq.h"
#include <assert.h>
#include <string.h>

#define MAX_TOKENS  1000000
#define MAX_HISTORY 10000000
#define MAX_TEXT    1000 /* bytes of a language's name or of a separator */

static const char *const norms[] = {"none", "average", "wu"};

#define MODEL(f) offsetof(rc__seq2seq_options, f)
static const rc__field model_fields[] = {
    {"embedding", RC__FIELD_SIZE, MODEL(embedding), NULL, 0},
    {"tied", RC__FIELD_BOOL, MODEL(tied), NULL, 0},
    {"copy", RC__FIELD_BOOL, MODEL(copy), NULL, 0},
    {"dropout_input", RC__FIELD_PROBABILITY, MODEL(dropout_input), NULL, 0},
    {"dropout_output", RC__FIELD_PROBABILITY, MODEL(dropout_output), NULL, 0},
    {"coverage_weight", RC__FIELD_REAL, MODEL(coverage_weight), NULL, 0},
};
#define DECODER(f) offsetof(rc__decoder_options, f)
static const rc__field decoder_fields[] = {
    {"attention", RC__FIELD_NAME, DECODER(attention), rc__attention_kinds, 7},
    {"heads", RC__FIELD_SIZE, DECODER(heads), NULL, 0},
    {"input_feeding", RC__FIELD_BOOL, DECODER(input_feeding), NULL, 0},
    {"coverage", RC__FIELD_BOOL, DECODER(coverage), NULL, 0},
    {"monotonic", RC__FIELD_BOOL, DECODER(monotonic), NULL, 0},
    {"attention_dropout", RC__FIELD_PROBABILITY, DECODER(attention_dropout), NULL, 0},
};
#define SEARCH(f) offsetof(rc__beam_options, f)
static const rc__field search_fields[] = {
    {"beam", RC__FIELD_SIZE, SEARCH(beam), NULL, 0},           {"min_len", RC__FIELD_SIZE, SEARCH(min_len), NULL, 0},
    {"max_ratio", RC__FIELD_REAL, SEARCH(max_ratio), NULL, 0}, {"norm", RC__FIELD_NAME, SEARCH(norm), norms, 3},
    {"alpha", RC__FIELD_REAL, SEARCH(alpha), NULL, 0},         {"coverage", RC__FIELD_REAL, SEARCH(coverage), NULL, 0},
    {"no_repeat", RC__FIELD_SIZE, SEARCH(no_repeat), NULL, 0},
};
static_assert(sizeof(rc__attention_kind) == sizeof(int) && sizeof(rc__length_norm) == sizeof(int),
              "RC__FIELD_NAME reads an int");
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- freeing ----------------------------------------------------------------------------------------------------- */

void rc__seq2seq_free(rc_model *base) {
    rc__seq2seq *m = (rc__seq2seq *)base;
    if (!m) return;
    rc__seq2seq_net_free(&m->net);
    rc_params_free(m->base.params);
    rc__strfree(m->base.provenance);
    if (m->target_vocab != m->source_vocab) rc_vocab_free(m->target_vocab);
    rc_vocab_free(m->source_vocab);
    rc__strfree(m->source_language);
    rc__strfree(m->target_language);
    rc__strfree(m->separator);
    rc__data_free(&m->data);
    rc__free(m, sizeof *m);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *fields_to_json(const rc__field *f, size_t n, const void *base) {
    json_t *obj = json_object();
    if (obj && rc__fields_put(f, n, base, obj)) return obj;
    json_decref(obj);
    return NULL;
}

static json_t *layers_to_json(const rc_rnn_options *o) {
    json_t *obj = json_object();
    if (obj && rc__rnn_put(o, obj)) return obj;
    json_decref(obj);
    return NULL;
}

static bool put(json_t *obj, const char *key, json_t *v) { return json_object_set_new(obj, key, v) == 0; }

rc_status rc__seq2seq_document(const rc_model *base, json_t *doc, rc_error *e) {
    const rc__seq2seq *m = (const rc__seq2seq *)base;
    const rc__seq2seq_options *o = &m->net.o;
    rc__encoder_options eo = o->encoder;
    eo.pool = 0; /* follows from the decoder */
    json_t *model = fields_to_json(model_fields, COUNT(model_fields), o);
    json_t *decoder = fields_to_json(decoder_fields, COUNT(decoder_fields), &o->decoder);
    bool ok = put(model, "encoder", rc__encoder_to_json(&eo));
    ok = put(decoder, "layers", layers_to_json(&o->decoder.rnn)) && ok;
    ok = put(model, "decoder", decoder) && ok;
    ok = put(doc, "model", model) && ok;
    json_t *text = json_pack("{sb sb ss ss sI sI sI ss}", "moses", (int)m->moses, "lowercase", (int)m->lowercase,
                             "source_language", m->source_language, "target_language", m->target_language, "max_source",
                             (json_int_t)m->max_source, "max_target", (json_int_t)m->max_target, "history",
                             (json_int_t)m->history, "separator", m->separator);
    ok = put(doc, "text", text) && ok;
    ok = put(doc, "search", fields_to_json(search_fields, COUNT(search_fields), &m->beam)) && ok;
    ok = put(doc, "data", rc__data_to_json(&m->data)) && ok;
    if (!ok) return rc_fail(e, RC_ENOMEM, "model: out of memory, or an option is not UTF-8");
    rc_status s = rc__vocab_put(m->source_vocab, doc, o->shared ? "vocab" : "source_vocab", e);
    return s == RC_OK && !o->shared ? rc__vocab_put(m->target_vocab, doc, "target_vocab", e) : s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status only_fields(const json_t *obj, const rc__field *f, size_t n, const char *const *more, size_t n_more,
                             const char *where, rc_error *e) {
    const char *keys[32];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) keys[k++] = f[i].key;
    for (size_t i = 0; i < n_more; i++) keys[k++] = more[i];
    return rc__json_only(obj, keys, k, where, e);
}

/* Layers may only be as many and as wide as the file has numbers for. */
static rc_status check_layers(const rc__st_file *file, const rc_rnn_options *o, const char *where, rc_error *e) {
    size_t layers = (size_t)o->num_layers;
    if (strcmp(o->cell, "rhn") == 0) layers *= (size_t)o->depth;
    size_t widths[] = {o->hidden_size, o->proj_size, o->ffn, o->heads, o->kv_heads};
    return rc__check_widths(file, layers, widths, COUNT(widths), where, e);
}

static rc_status decoder_from_json(rc__decoder_options *d, const rc__st_file *file, const json_t *obj,
                                   const char *where, rc_error *e) {
    static const char *const more[] = {"layers"};
    const char *keys[RC__RNN_KEYS];
    json_t *layers = NULL;
    size_t attention;
    *d = (rc__decoder_options){.rnn = rc_rnn_options_default()};
    rc_status s = only_fields(obj, decoder_fields, COUNT(decoder_fields), more, 1, where, e);
    if (s == RC_OK) s = rc__choice_from_json(obj, "attention", rc__attention_kinds, 7, &attention, where, e);
    if (s == RC_OK) s = rc__fields_get(decoder_fields, COUNT(decoder_fields), obj, d, where, e);
    if (s == RC_OK) s = rc__json_get_object(obj, "layers", RC_JSON_REQUIRED, &layers, where, e);
    if (s == RC_OK) s = rc__json_only(layers, keys, rc__rnn_keys(keys), where, e);
    if (s == RC_OK) s = rc__rnn_get(&d->rnn, layers, where, e);
    if (s == RC_OK) s = check_layers(file, &d->rnn, where, e);
    return s == RC_OK ? rc__check_widths(file, 1, &d->heads, 1, where, e) : s;
}

static rc_status network_from_json(rc__seq2seq_options *o, const rc__st_file *file, const json_t *doc,
                                   const char *where, rc_error *e) {
    static const char *const more[] = {"encoder", "decoder"};
    json_t *model = NULL, *obj = NULL;
    rc_status s = rc__json_get_object(doc, "model", RC_JSON_REQUIRED, &model, where, e);
    if (s == RC_OK) s = only_fields(model, model_fields, COUNT(model_fields), more, 2, where, e);
    if (s == RC_OK)
        s = rc__json_get_size(model, "embedding", RC_JSON_REQUIRED, 1, RC__MAX_WIDTH, &o->embedding, where, e);
    if (s == RC_OK) s = rc__fields_get(model_fields, COUNT(model_fields), model, o, where, e);
    if (s == RC_OK) s = rc__json_get_object(model, "encoder", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = rc__encoder_from_json(&o->encoder, obj, where, e);
    if (s == RC_OK) s = rc__check_encoder(file, &o->encoder, NULL, where, e);
    if (s == RC_OK && o->encoder.kind == RC__ENCODER_RNN) s = check_layers(file, &o->encoder.rnn, where, e);
    if (s == RC_OK) s = rc__json_get_object(model, "decoder", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = decoder_from_json(&o->decoder, file, obj, where, e);
    return s == RC_OK ? rc__check_widths(file, 1, &o->embedding, 1, where, e) : s;
}

static rc_status vocabs_from_json(rc__seq2seq *m, const json_t *doc, const char *where, rc_error *e) {
    rc__seq2seq_options *o = &m->net.o;
    o->shared = json_object_get(doc, "vocab") != NULL;
    if (o->shared && (json_object_get(doc, "source_vocab") || json_object_get(doc, "target_vocab")))
        return rc_fail(e, RC_EMODEL, "%s: expected \"vocab\", or \"source_vocab\" and \"target_vocab\", found both",
                       where);
    rc_status s =
        rc__vocab_get(&m->source_vocab, doc, o->shared ? "vocab" : "source_vocab", RC_JSON_REQUIRED, where, e);
    if (s == RC_OK && o->shared)
        m->target_vocab = m->source_vocab;
    else if (s == RC_OK)
        s = rc__vocab_get(&m->target_vocab, doc, "target_vocab", RC_JSON_REQUIRED, where, e);
    if (s != RC_OK) return s;
    o->source_vocab = rc_vocab_size(m->source_vocab);
    o->target_vocab = rc_vocab_size(m->target_vocab);
    if (o->source_vocab < 1 || o->target_vocab < 1) return rc_fail(e, RC_EMODEL, "%s: a vocabulary of nothing", where);
    return RC_OK;
}

static rc_status own_text(char **out, const json_t *obj, const char *key, const char *where, rc_error *e) {
    const char *text = NULL;
    rc_status s = rc__json_get_string(obj, key, RC_JSON_REQUIRED, &text, where, e);
    if (s != RC_OK) return s;
    if (strlen(text) > MAX_TEXT)
        return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected at most %d bytes, found %zu", where, key, MAX_TEXT,
                       strlen(text));
    *out = rc__strdup(text);
    return *out ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
}

static rc_status text_from_json(rc__seq2seq *m, const json_t *doc, const char *where, rc_error *e) {
    static const char *const keys[] = {"moses",      "lowercase",  "source_language", "target_language",
                                       "max_source", "max_target", "history",         "separator"};
    const rc__json_need must = RC_JSON_REQUIRED;
    json_t *obj = NULL;
    rc_status s = rc__json_get_object(doc, "text", must, &obj, where, e);
    if (s == RC_OK) s = rc__json_only(obj, keys, 8, where, e);
    if (s == RC_OK) s = rc__json_get_bool(obj, "moses", must, &m->moses, where, e);
    if (s == RC_OK) s = rc__json_get_bool(obj, "lowercase", must, &m->lowercase, where, e);
    if (s == RC_OK) s = own_text(&m->source_language, obj, "source_language", where, e);
    if (s == RC_OK) s = own_text(&m->target_language, obj, "target_language", where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "max_source", must, 1, MAX_TOKENS, &m->max_source, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "max_target", must, 1, MAX_TOKENS, &m->max_target, where, e);
    if (s == RC_OK) s = rc__json_get_size(obj, "history", must, 1, MAX_HISTORY, &m->history, where, e);
    return s == RC_OK ? own_text(&m->separator, obj, "separator", where, e) : s;
}

static rc_status search_from_json(rc__seq2seq *m, const json_t *doc, const char *where, rc_error *e) {
    rc__beam_options *o = &m->beam;
    json_t *obj = NULL;
    *o = rc__beam_options_default();
    o->max_len = m->max_target;
    rc_status s = rc__json_get_object(doc, "search", RC_JSON_REQUIRED, &obj, where, e);
    if (s == RC_OK) s = only_fields(obj, search_fields, COUNT(search_fields), NULL, 0, where, e);
    if (s == RC_OK) s = rc__fields_get(search_fields, COUNT(search_fields), obj, o, where, e);
    if (s == RC_OK && (o->beam < 1 || o->beam > 1000 || o->max_ratio < 0 || o->alpha < 0 || o->coverage < 0 ||
                       o->no_repeat > 1000 || o->min_len > o->max_len))
        s = rc_fail(
            e, RC_EMODEL,
            "%s: \"search\": expected a beam of 1 to 1000, no_repeat up to 1000, min_len up to max_target, and other "
            "numbers of 0 or more",
            where);
    return s;
}

static rc_status read_model(rc__seq2seq *m, const rc__st_file *file, const json_t *doc, const char *where,
                            rc_error *e) {
    static const char *const keys[] = {"format",       "task", "model",  "vocab", "source_vocab",
                                       "target_vocab", "text", "search", "data",  "provenance"};
    json_t *obj = NULL;
    rc_status s = rc__json_only(doc, keys, COUNT(keys), where, e);
    if (s == RC_OK) s = network_from_json(&m->net.o, file, doc, where, e);
    if (s == RC_OK) s = vocabs_from_json(m, doc, where, e);
    if (s == RC_OK) s = text_from_json(m, doc, where, e);
    if (s == RC_OK) s = search_from_json(m, doc, where, e);
    if (s == RC_OK) s = rc__json_get_object(doc, "data", RC_JSON_REQUIRED, &obj, where, e);
    return s == RC_OK ? rc__data_from_json(&m->data, obj, where, e) : s;
}

rc_status rc__seq2seq_open(rc_model **out, const rc__task_kind *kind, const rc__st_file *file, const json_t *doc,
                           const char *where, rc_error *e) {
    rc__seq2seq *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    m->base.kind = kind;
    rc_status s = read_model(m, file, doc, where, e);
    rc_error inner = {.code = RC_OK};
    if (s == RC_OK) s = rc_params_new(&m->base.params, e);
    if (s == RC_OK) {
        const rc__seq2seq_options o = m->net.o;
        s = rc__seq2seq_declare(&m->net, m->base.params, &o, &inner);
        if (s != RC_OK) s = rc_fail(e, s == RC_EINVAL ? RC_EMODEL : s, "%s: \"model\": %s", where, inner.text);
    }
    if (s == RC_OK) s = rc__model_read_params(m->base.params, file, e);
    if (s != RC_OK) {
        rc__seq2seq_free(&m->base);
        return s;
    }
    *out = &m->base;
    return RC_OK;
}
