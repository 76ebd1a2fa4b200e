/* synthetic_train.c - experiments on memory as a task of the training loop. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "train/experiment.h"
#include "tasks/lm_task.h"

#define HELD_OUT_ROWS   1000 /* rows of a validation, at least */
#define CLOSE_ENOUGH    0.04 /* adding: |error| of a right answer (Hochreiter & Schmidhuber 1997, section 5.4) */
#define HELD_OUT_STREAM 0x9E3779B97F4A7C15u /* seed of held-out rows: seed xor this */

/* ---- the network ------------------------------------------------------------------------------------------------- */

static rc_param *add(rc__experiment *x, const char *name, int ndim, const size_t *dim, rc_init init, rc_error *e) {
    return rc_params_add(x->params, name, ndim, dim, init, e);
}

static rc_status build(rc__experiment *x, const rc_train_options *o, rc_error *e) {
    const rc__source *src = &x->source;
    rc_rnn_options ro;
    rc_status s = rc__train_rnn_options(o, &ro, e);
    if (s == RC_OK) s = rc_params_new(&x->params, e);
    if (s != RC_OK) return s;
    ro.input_size = src->input_size;
    if (src->vocab_size) {
        ro.input_size = (size_t)(o->embedding > 0 ? o->embedding : o->hidden);
        x->embedding = add(x, "embedding.weight", 2, (size_t[]){src->vocab_size, ro.input_size},
                           (rc_init){.kind = RC_INIT_NORMAL, .value = 1}, e);
        if (!x->embedding) return RC_ENOMEM;
        x->embedding->no_decay = true;
    }
    s = rc_rnn_new(&x->rnn, x->params, "rnn.", &ro, e);
    if (s != RC_OK) return s;
    size_t width = rc_rnn_output_size(x->rnn);
    rc_init init = {.kind = RC_INIT_UNIFORM, .value = 1 / sqrt((double)width)};
    x->head_w = add(x, "head.weight", 2, (size_t[]){src->output_size, width}, init, e);
    x->head_b = add(x, "head.bias", 1, &src->output_size, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (!x->head_w || !x->head_b) return RC_ENOMEM;
    x->head_b->no_decay = true;
    return rc_params_build(x->params, x->seed, e);
}

static size_t n_targets(const rc__experiment *x) {
    return x->source.target == RC__TARGET_TOKENS ? x->source.seq_len * x->batch : x->batch;
}

static rc_status buffers(rc__experiment *x, rc_error *e) {
    const rc__source *src = &x->source;
    size_t steps = src->seq_len * x->batch;
    bool ok = true;
    if (src->input_size) ok = ok && (x->x = rc__calloc(steps * src->input_size, sizeof *x->x));
    if (src->vocab_size) ok = ok && (x->ids = rc__calloc(steps, sizeof *x->ids));
    if (src->target == RC__TARGET_VALUE)
        ok = ok && (x->values = rc__calloc(x->batch, sizeof *x->values));
    else
        ok = ok && (x->targets = rc__calloc(n_targets(x), sizeof *x->targets));
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory for a batch of %zu rows", x->spec, x->batch);
}

void rc__experiment_batch(rc__experiment *x, bool held_out, uint64_t index) {
    rc__source_batch(&x->source, held_out ? x->seed ^ HELD_OUT_STREAM : x->seed, index, x->batch, x->x, x->ids,
                     x->values, x->targets);
}

/* Predictions: (B, O) after the last step, or (T, B, V). */
static rc_var *predict(rc__experiment *x, rc_tape *t) {
    const rc__source *src = &x->source;
    rc_var *in = x->embedding
                     ? rc_embedding(t, x->ids, 2, (size_t[]){src->seq_len, x->batch}, rc_param_var(t, x->embedding))
                     : rc_input(t, 3, (size_t[]){src->seq_len, x->batch, src->input_size}, x->x);
    rc_var *h = rc_rnn_forward(t, x->rnn, in, NULL, NULL);
    if (src->target != RC__TARGET_TOKENS) h = rc_last_time(t, h, NULL);
    return rc_linear(t, h, rc_param_var(t, x->head_w), rc_param_var(t, x->head_b));
}

static rc_var *loss_of(rc__experiment *x, rc_tape *t, rc_var *y) {
    return x->source.target == RC__TARGET_VALUE ? rc_mse(t, y, x->values, NULL)
                                                : rc_cross_entropy(t, y, x->targets, NULL);
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

static bool right(const rc_real *logits, size_t n, int32_t target) {
    size_t best = 0;
    for (size_t k = 1; k < n; k++)
        if (logits[k] > logits[best]) best = k;
    return (int32_t)best == target;
}

static void count_right(const rc__experiment *x, const rc_var *y, size_t *hits, size_t *count) {
    const rc__source *src = &x->source;
    if (src->target == RC__TARGET_VALUE) {
        for (size_t b = 0; b < x->batch; b++) *hits += fabs((double)y->x[b] - (double)x->values[b]) < CLOSE_ENOUGH;
        *count += x->batch;
        return;
    }
    size_t from = src->target == RC__TARGET_TOKENS ? src->score_from * x->batch : 0;
    for (size_t i = from; i < n_targets(x); i++) {
        if (x->targets[i] < 0) continue;
        *hits += right(y->x + i * src->output_size, src->output_size, x->targets[i]);
        ++*count;
    }
}

static rc_status validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    rc__experiment *x = (rc__experiment *)base;
    size_t batches = (HELD_OUT_ROWS + x->batch - 1) / x->batch, hits = 0, count = 0;
    double loss = 0;
    for (size_t i = 0; i < batches; i++) {
        rc__experiment_batch(x, true, i);
        rc_tape_begin(tape, (rc_tape_mode){0});
        rc_var *y = predict(x, tape), *l = loss_of(x, tape, y);
        rc_status s = rc_tape_status(tape, e);
        if (s != RC_OK) return s;
        loss += (double)l->x[0] / (double)batches;
        count_right(x, y, &hits, &count);
    }
    score->loss = loss;
    score->accuracy = count ? (double)hits / (double)count : NAN;
    score->solved = x->stop_when_solved &&
                    rc__source_solved(&x->source, x->source.target == RC__TARGET_VALUE ? loss : score->accuracy);
    return RC_OK;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *params(rc__task *base) { return ((rc__experiment *)base)->params; }

static rc_var *next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    rc__experiment *x = (rc__experiment *)base;
    rc__experiment_batch(x, false, x->next++);
    info->tokens = x->source.seq_len * x->batch;
    return loss_of(x, tape, predict(x, tape));
}

static void where(rc__task *base, char *out, size_t cap) {
    const rc__experiment *x = (const rc__experiment *)base;
    snprintf(out, cap, "%s, batch %llu of %zu rows", x->spec, (unsigned long long)x->next, x->batch);
}

static double no_epochs(rc__task *base) {
    (void)base;
    return 0;
}

static json_t *cursor_get(rc__task *base) {
    const rc__experiment *x = (const rc__experiment *)base;
    return json_pack("{ss sI}", "source", x->spec, "next", (json_int_t)x->next);
}

static rc_status cursor_set(rc__task *base, const json_t *cursor, const char *from, rc_error *e) {
    rc__experiment *x = (rc__experiment *)base;
    int64_t next = 0;
    const char *spec = NULL;
    rc_status s = rc__json_get_int(cursor, "next", RC_JSON_REQUIRED, 0, INT64_MAX, &next, from, e);
    if (s == RC_OK) s = rc__json_get_string(cursor, "source", RC_JSON_REQUIRED, &spec, from, e);
    if (s != RC_OK) return s;
    if (strcmp(spec, x->spec) != 0)
        return rc_fail(e, RC_EINVAL, "%s: the run was made on %s, not on %s", from, spec, x->spec);
    x->next = (uint64_t)next;
    return RC_OK;
}

/* The file of an experiment: its parameters, and the options that made it as metadata. It is no language model. */
static rc_status save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    rc__experiment *x = (rc__experiment *)base;
    rc__st_list list = {0};
    rc_status s = rc__params_list(&list, x->params, NULL, NULL, e);
    rc__st_meta meta[] = {{"recur_experiment", x->spec}, {"provenance", provenance ? provenance : "{}"}};
    if (s == RC_OK) s = rc__st_write(path, list.tensor, list.n, meta, 2, e);
    rc__st_list_free(&list);
    return s;
}

void rc__experiment_free(rc__experiment *x) {
    if (!x) return;
    size_t steps = x->source.seq_len * x->batch;
    rc__free(x->x, steps * x->source.input_size * sizeof *x->x);
    rc__free(x->ids, steps * sizeof *x->ids);
    rc__free(x->values, x->batch * sizeof *x->values);
    rc__free(x->targets, n_targets(x) * sizeof *x->targets);
    rc_rnn_free(x->rnn);
    rc_params_free(x->params);
    rc__free(x, sizeof *x);
}
static void free_task(rc__task *base) { rc__experiment_free((rc__experiment *)base); }

static const rc__task_ops ops = {.params = params,
                                 .next_loss = next_loss,
                                 .validate = validate,
                                 .save = save,
                                 .where = where,
                                 .epochs = no_epochs,
                                 .batches_per_epoch = no_epochs,
                                 .cursor_get = cursor_get,
                                 .cursor_set = cursor_set,
                                 .free = free_task};

rc_status rc__experiment_new(rc__experiment **out, const rc_train_options *o, rc_error *e) {
    *out = NULL;
    if (o->n_files != 1)
        return rc_fail(e, RC_EINVAL, "train: expected one source such as adding:T=200, found %zu names", o->n_files);
    rc__experiment *x = rc__calloc(1, sizeof *x);
    if (!x) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    x->base.ops = &ops;
    x->base.validates = true;
    x->spec = o->files[0];
    x->seed = (uint64_t)o->seed;
    x->batch = (size_t)o->batch;
    x->stop_when_solved = true;
    rc_error local = {.code = RC_OK};
    if (!e) e = &local;
    e->code = RC_OK;
    rc_status s = rc__source_parse(&x->source, x->spec, e);
    if (s == RC_OK) s = build(x, o, e);
    if (s == RC_ENOMEM && e->code != RC_OK) s = e->code;
    if (s == RC_OK) s = buffers(x, e);
    rc_precision precision = RC_FP32;
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(x->params, precision, e);
    if (s != RC_OK) return rc__experiment_free(x), s;
    *out = x;
    return RC_OK;
}

rc_status rc__experiment_run(const rc_train_options *o, const rc_train_hooks *hooks, rc__run *run, bool resume,
                             rc_train_result *r, rc_error *e) {
    if (o->from || o->valid || o->full_bptt || o->tied || o->label_smoothing > 0 || o->softmax_samples > 0)
        return rc_fail(e, RC_EINVAL, "%s: --%s is for text, not for a source", o->files[0],
                       o->from                  ? "from"
                       : o->valid               ? "valid"
                       : o->full_bptt           ? "full-bptt"
                       : o->tied                ? "tied"
                       : o->label_smoothing > 0 ? "label-smoothing"
                                                : "softmax-samples");
    rc_train_options local = *o;
    if (local.valid_every == 0) local.valid_every = 100; /* "solved" is looked for often */
    rc__experiment *x;
    rc_status s = rc__experiment_new(&x, o, e);
    if (s != RC_OK) return s;
    rc__say(hooks,
                  "source: %s, %zu steps; without memory the loss is %.4f; model: %s, %lld x %lld, %zu parameters",
                  x->spec, x->source.seq_len, x->source.baseline, o->cell, (long long)o->layers, (long long)o->hidden,
                  rc_params_len(x->params));
    rc__say_precision(hooks, rc_params_get_precision(x->params));
    s = rc__train_check_task(&x->base, o, e);
    if (s == RC_OK && run && !resume) {
        s = rc__run_create(run, o, e);
        if (s == RC_OK) snprintf(r->run, sizeof r->run, "%s", run->path);
    }
    if (s == RC_OK) s = rc__train_loop(&x->base, &local, hooks, run, resume, r, e);
    if (s == RC_OK) r->valid_loss = r->best_valid_loss;
    rc__experiment_free(x);
    return s;
}
