/* task.c - the tasks there are, and what they share. */
#include "tasks/fields.h"
#include "tasks/task.h"
#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const rc__task_kind *const rc__task_kinds[] = {&rc__task_lm,       &rc__task_classify, &rc__task_regress, &rc__task_tag,
                                               &rc__task_forecast, &rc__task_detect,   &rc__task_translate, &rc__task_summarize,
                                               &rc__task_chat,     &rc__task_answer,    NULL};

const rc__task_kind *rc__task_find(const char *name) {
    for (const rc__task_kind *const *k = rc__task_kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0) return *k;
    return NULL;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

void rc__say(const rc_train_hooks *hooks, const char *format, ...) {
    if (!hooks || !hooks->on_message) return;
    char line[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    hooks->on_message(hooks->ctx, line);
}

uint64_t rc__fingerprint(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

json_t *rc__epochs_to_json(const rc__epochs *x, uint64_t data) {
    rc__cursor c = rc__epochs_cursor(x);
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)data);
    return json_pack("{sI sI ss}", "epoch", (json_int_t)c.epoch, "position", (json_int_t)c.position, "data", hash);
}

rc_status rc__epochs_from_json(rc__epochs *x, const json_t *cursor, uint64_t data, const char *what, const char *where,
                               rc_error *e) {
    int64_t epoch = 0, position = 0;
    const char *was = NULL;
    char hash[32];
    rc_status s = rc__json_get_int(cursor, "epoch", RC_JSON_REQUIRED, 0, INT64_MAX, &epoch, where, e);
    if (s == RC_OK) s = rc__json_get_int(cursor, "position", RC_JSON_REQUIRED, 0, INT64_MAX, &position, where, e);
    if (s == RC_OK) s = rc__json_get_string(cursor, "data", RC_JSON_REQUIRED, &was, where, e);
    if (s != RC_OK) return s;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)data);
    if (strcmp(hash, was) != 0)
        return rc_fail(e, RC_EDATA, "the training %s are not those this run began with; changed data are a new run: --from",
                       what);
    return rc__epochs_seek(x, (rc__cursor){(uint64_t)epoch, (uint64_t)position, 0}, e);
}

rc_status rc__train_precision(const rc_train_options *o, rc_precision *out, rc_error *e) {
    if (rc_precision_find(o->precision, out) && *out != RC_INT8) return RC_OK;
    return rc_fail(e, RC_EINVAL, "precision: expected fp32 or bf16, found \"%s\"%s", o->precision ? o->precision : "(null)",
                   *out == RC_INT8 ? ", which is for inference" : "");
}

void rc__say_precision(const rc_train_hooks *hooks, rc_precision p) {
    if (p == RC_FP32) return;
    rc__say(hooks, "precision: %s%s", rc__precision_text(p),
            p == RC_BF16 && !rc__k->panel.bf16_instruction ? "; it gains nothing here" : "");
}

static int place(const char *name, const char *const *names, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return i;
    return 0; /* the table of options lets no other through */
}

/* What is at the task's default there was meant for recurrent layers, and not asked for. */
static rc_status block_options(const rc_train_options *o, rc_rnn_options *r, rc_error *e) {
    rc_train_options plain;
    rc_rnn_options usual = rc_rnn_options_default();
    rc_status s = rc_train_options_for(o->task, &plain, e);
    if (s != RC_OK) return s;
    r->heads = (size_t)o->heads;
    r->kv_heads = (size_t)o->kv_heads;
    r->ffn = (size_t)o->ffn;
    r->context = (size_t)o->context;
    r->positions = (rc_positions)place(o->positions, rc__position_names, 5);
    r->rms_norm = strcmp(o->norm, "rms") == 0;
    r->post_norm = o->post_norm;
    r->ffn_kind = (rc_ffn_kind)place(o->activation, rc__ffn_names, 3);
    r->attention_dropout = o->attention_dropout;
    if (o->forget_bias == plain.forget_bias) r->forget_bias = usual.forget_bias;
    if (strcmp(o->init, plain.init) == 0) {
        r->init_torch = false;
        r->init_ih = usual.init_ih, r->init_hh = usual.init_hh;
    }
    /* a task's own dropout is one for what comes after its layers; the blocks have that of Vaswani et al. 2017, section 5.4 */
    if (o->dropout == plain.dropout && r->dropout > 0.1) r->dropout = 0.1;
    return RC_OK;
}

static rc_status layer_options(const rc_train_options *o, rc_rnn_options *r, rc_error *e);

rc_status rc__train_rnn_options(const rc_train_options *o, rc_rnn_options *r, rc_error *e) {
    rc_status s = layer_options(o, r, e);
    return s == RC_OK && strcmp(o->cell, "transformer") == 0 ? block_options(o, r, e) : s;
}

static rc_status layer_options(const rc_train_options *o, rc_rnn_options *r, rc_error *e) {
    *r = rc_rnn_options_default();
    r->cell = o->cell;
    r->hidden_size = (size_t)o->hidden;
    r->num_layers = (int)o->layers;
    r->proj_size = (size_t)o->proj;
    r->depth = (int)o->depth;
    r->no_bias = !o->bias;
    r->dropout = o->dropout;
    r->dropout_sequence = o->dropout_sequence;
    r->recurrent_dropout = o->recurrent_dropout;
    r->zoneout_h = o->zoneout;
    r->zoneout_c = o->zoneout_c;
    r->weight_drop = o->weight_drop;
    r->learn_initial_state = o->learn_initial_state;
    r->forget_bias = o->forget_bias;
    static const struct {
        const char *name;
        rc_skip skip;
    } skips[] = {{"none", RC_SKIP_NONE}, {"residual", RC_SKIP_RESIDUAL}, {"highway", RC_SKIP_HIGHWAY}};
    size_t i = 0;
    while (i < 3 && strcmp(skips[i].name, o->skip) != 0) i++;
    if (i == 3) return rc_fail(e, RC_EINVAL, "skip: expected none, residual or highway, found \"%s\"", o->skip);
    r->skip = skips[i].skip;
    if (!strcmp(o->init, "default")) return RC_OK;
    if (!strcmp(o->init, "torch"))
        r->init_torch = true;
    else if (!strcmp(o->init, "xavier"))
        r->init_ih = r->init_hh = RC_INIT_XAVIER_UNIFORM;
    else if (!strcmp(o->init, "he"))
        r->init_ih = r->init_hh = RC_INIT_HE_UNIFORM;
    else if (!strcmp(o->init, "orthogonal"))
        r->init_ih = r->init_hh = RC_INIT_ORTHOGONAL;
    else if (!strcmp(o->init, "uniform"))
        r->init_ih = r->init_hh = RC_INIT_UNIFORM;
    else if (!strcmp(o->init, "identity"))
        r->init_hh = RC_INIT_IDENTITY;
    else
        return rc_fail(e, RC_EINVAL,
                       "init: expected default, torch, xavier, he, orthogonal, uniform or identity, found \"%s\"",
                       o->init);
    return RC_OK;
}

/* ---- model files ------------------------------------------------------------------------------------------------- */

#define FORMAT 1

rc_status rc__model_document(const rc__st_file *file, json_t **doc, const char **task, char *where, size_t cap,
                             rc_error *e) {
    const char *path = rc__st_name(file), *text = rc__st_get_meta(file, "recur");
    const char *experiment = rc__st_get_meta(file, "recur_experiment");
    *doc = NULL;
    snprintf(where, cap, "%.500s: metadata \"recur\"", path);
    if (!text && experiment)
        return rc_fail(e, RC_EMODEL,
                       "%s: this is the net of an experiment on %s, not a language model: it has no vocabulary, and "
                       "eval, predict and explain do not run it",
                       path, experiment);
    if (!text)
        return rc_fail(e, RC_EMODEL,
                       "%s: no metadata \"recur\": these are tensors, not a model file of recur "
                       "(docs/format.md tells how to add what is missing)",
                       path);
    int64_t format = 0;
    json_t *root = NULL;
    rc_status s = rc__json_parse(text, strlen(text), where, &root, e);
    if (s == RC_OK && !json_is_object(root)) s = rc_fail(e, RC_EMODEL, "%s: expected a JSON object", where);
    if (s == RC_OK) s = rc__json_get_int(root, "format", RC_JSON_REQUIRED, 1, INT64_MAX, &format, where, e);
    if (s == RC_OK && format > FORMAT)
        s = rc_fail(e, RC_EMODEL, "%s: format %lld was made by a newer recur; this one (%s) reads up to %d", path,
                    (long long)format, rc_version(), FORMAT);
    if (s == RC_OK && json_is_string(json_object_get(root, "content")))
        s = rc_fail(e, RC_EMODEL, "%s: expected a model, found a %s", path,
                    json_string_value(json_object_get(root, "content")));
    if (s == RC_OK) s = rc__json_get_string(root, "task", RC_JSON_REQUIRED, task, where, e);
    if (s == RC_OK)
        *doc = root;
    else
        json_decref(root);
    return s;
}

rc_status rc__model_read_params(rc_params *ps, const rc__st_file *file, rc_error *e) {
    const rc__st_tensor *t;
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        rc_param *p = rc_params_at(ps, i);
        rc_status s = rc__st_expect(file, p->name, RC_ST_DTYPE_COUNT, p->ndim, p->dim, &t, e);
        if (s != RC_OK) return s;
        p->init = (rc_init){.kind = RC_INIT_ZEROS}; /* an orthogonal start would cost more than reading */
    }
    rc_status s = rc_params_build(ps, 0, e);
    return s == RC_OK ? rc__params_read(file, ps, NULL, NULL, NULL, 0, e) : s;
}

rc_status rc__model_save(const rc_model *m, const char *path, const char *provenance_json, rc_error *e) {
    json_t *doc = NULL, *provenance = NULL;
    rc__st_list list = {0};
    char *text = NULL;
    size_t len = 0;
    const char *from = provenance_json ? provenance_json : rc_model_provenance(m);
    rc_error inner;
    rc_status s = rc__json_parse(from, strlen(from), "provenance", &provenance, &inner);
    if (s != RC_OK) return rc_fail(e, s == RC_ENOMEM ? s : RC_EINVAL, "%s", inner.text);
    doc = json_pack("{si ss}", "format", FORMAT, "task", m->kind->name);
    if (!doc) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = m->kind->model.document(m, doc, e);
    if (s == RC_OK && json_object_set(doc, "provenance", provenance) != 0)
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = rc__json_print(doc, &text, &len, e);
    if (s == RC_OK) s = rc__params_list(&list, m->params, NULL, NULL, e);
    if (s == RC_OK && m->kind->model.tensors) s = m->kind->model.tensors(m, &list, e);
    if (s == RC_OK) s = rc__st_write(path, list.tensor, list.n, &(rc__st_meta){"recur", text}, 1, e);
    rc__st_list_free(&list);
    if (text) rc__free(text, len + 1);
    json_decref(doc);
    json_decref(provenance);
    return s;
}
