/* classify_train.c - classifiers and regressors in training. */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "tasks/classify.h"
#include "tasks/lm.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_STREAM  0x776f7264u   /* of word dropout; mixed with the step */
#define BOW_BUCKETS  ((size_t)1 << 16)

/* Fine-tuning a language model (Howard & Ruder 2018, "Universal language model fine-tuning", sections 3.2, 3.3): each
 * layer below learns 2.6 times slower, and joins when a share of the run has gone. */
#define LAYER_FACTOR 2.6
#define THAW_SHARE   0.1

typedef struct classify_task {
    rc__task base;
    rc__classifier *m;
    rc__examples data, valid_data; /* valid_data: of a file of its own */
    uint32_t *train, *valid;       /* examples of data; of valid_data, or of data */
    size_t n_train, n_valid;
    rc__epochs *visits; /* of positions in train */
    uint32_t *index;    /* of a batch, into data */
    rc__example_batch batch;
    rc__visit last;
    rc_real *class_weights;
    double word_dropout, smoothing;
    uint64_t seed, steps, hash;
    size_t batch_size;
    double *out; /* of the validation examples */
    bool thaw;   /* gradual unfreezing */
} classify_task;

static const rc__examples *valid_set(const classify_task *t) { return t->valid_data.n ? &t->valid_data : &t->data; }

static rc_var *next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    classify_task *t = (classify_task *)base;
    rc_error why;
    rc_rng rng = rc_rng_make(t->seed ^ WORD_STREAM, t->steps++);
    rc_status s = rc__epochs_next(t->visits, &t->last, &why);
    for (size_t i = 0; s == RC_OK && i < t->last.n; i++) t->index[i] = t->train[t->last.index[i]];
    if (s == RC_OK)
        s = rc__example_batch_make(&t->batch, t->m, &t->data, t->index, t->last.n, t->word_dropout, &rng, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    info->tokens = t->last.total;
    info->ends_epoch = t->last.ends_epoch;
    return rc__classifier_loss(tape, t->m, rc__classifier_forward(tape, t->m, &t->batch), &t->batch, t->smoothing,
                               t->class_weights);
}

static rc_status validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    classify_task *t = (classify_task *)base;
    const rc__examples *x = valid_set(t);
    rc_status s = rc__classify_run(t->m, tape, x, t->valid, t->n_valid, t->batch_size, t->out, &score->loss, e);
    if (s != RC_OK) return s;
    score->accuracy = rc__classify_measure(t->m, x, t->valid, t->n_valid, t->out);
    /* A tie of the measure, which is common in small sets, is decided by the loss. */
    score->criterion = t->m->answer == RC__ANSWER_NUMBER ? score->accuracy : 1e-4 * score->loss - score->accuracy;
    return RC_OK;
}

/* ---- the other functions of a task ------------------------------------------------------------------------------- */

static rc_params *params(rc__task *base) { return ((classify_task *)base)->m->base.params; }

static rc_status save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    return rc__model_save(&((classify_task *)base)->m->base, path, provenance, e);
}

static void where(rc__task *base, char *out, size_t cap) {
    const classify_task *t = (const classify_task *)base;
    snprintf(out, cap, "epoch %llu, batch %llu of %zu examples", (unsigned long long)t->last.cursor.epoch + 1,
             (unsigned long long)t->last.cursor.position + 1, t->last.n);
}

static double epochs(rc__task *base) { return rc__epochs_done(((classify_task *)base)->visits); }
static double batches_per_epoch(rc__task *base) { return (double)rc__epochs_batches(((classify_task *)base)->visits); }

static json_t *cursor_get(rc__task *base) {
    const classify_task *t = (const classify_task *)base;
    rc__cursor c = rc__epochs_cursor(t->visits);
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->hash);
    return json_pack("{sI sI sI ss}", "epoch", (json_int_t)c.epoch, "position", (json_int_t)c.position, "steps",
                     (json_int_t)t->steps, "data", hash);
}

static rc_status cursor_set(rc__task *base, const json_t *cursor, const char *from, rc_error *e) {
    classify_task *t = (classify_task *)base;
    int64_t epoch = 0, position = 0, steps = 0;
    const char *data = NULL;
    rc_status s = rc__json_get_int(cursor, "epoch", RC_JSON_REQUIRED, 0, INT64_MAX, &epoch, from, e);
    if (s == RC_OK) s = rc__json_get_int(cursor, "position", RC_JSON_REQUIRED, 0, INT64_MAX, &position, from, e);
    if (s == RC_OK) s = rc__json_get_int(cursor, "steps", RC_JSON_REQUIRED, 0, INT64_MAX, &steps, from, e);
    if (s == RC_OK) s = rc__json_get_string(cursor, "data", RC_JSON_REQUIRED, &data, from, e);
    if (s != RC_OK) return s;
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->hash);
    if (strcmp(hash, data) != 0)
        return rc_fail(e, RC_EDATA, "the training data are not those this run began with (%zu examples now)", t->n_train);
    t->steps = (uint64_t)steps;
    return rc__epochs_seek(t->visits, (rc__cursor){(uint64_t)epoch, (uint64_t)position, 0}, e);
}

/* From the classifier down: the head is depth 0, the upper layer 1, ... the table of words last. */
static int depth_of(const classify_task *t, const char *name) {
    int layers = t->m->eo.kind == RC__ENCODER_RNN ? t->m->eo.rnn.num_layers : 1;
    const char *l = strstr(name, "_l");
    if (strncmp(name, "words.", 6) == 0) return layers + 1;
    if (strncmp(name, "encoder.", 8) == 0 && l) return layers - atoi(l + 2);
    return 0;
}

static void before_step(rc__task *base, double progress) {
    classify_task *t = (classify_task *)base;
    if (!t->thaw) return;
    for (size_t i = 0; i < rc_params_count(t->m->base.params); i++) {
        rc_param *p = rc_params_at(t->m->base.params, i);
        int depth = depth_of(t, p->name);
        p->lr_scale = progress >= THAW_SHARE * depth ? pow(LAYER_FACTOR, -depth) : 0;
    }
}

static void plan(rc__task *base, rc_plan *p, size_t *data_bytes) {
    const classify_task *t = (const classify_task *)base;
    const rc__examples *v = valid_set(t);
    p->train_tokens = p->epoch_tokens = rc__epochs_total(t->visits);
    for (size_t i = 0; i < t->n_valid; i++) p->valid_tokens += v->each[t->valid[i]].length;
    p->vocab_size = t->m->text ? rc_vocab_size(t->m->lexicon.tokens) : 0;
    *data_bytes = (t->data.n + t->valid_data.n) * sizeof(rc__example) +
                  (t->data.text.n_tokens + t->valid_data.text.n_tokens) * 2 * sizeof(int32_t) +
                  (t->data.series.steps + t->valid_data.series.steps) * t->data.series.channels * sizeof(rc_real);
}

static rc_status finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                        rc_error *e) {
    classify_task *t = (classify_task *)base;
    rc_tape *tape = NULL;
    rc__task_score score = {.loss = NAN};
    (void)o;
    (void)hooks;
    snprintf(r->measure, sizeof r->measure, "%s", rc__classify_measure_name(t->m));
    if (!t->base.validates) return RC_OK;
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = validate(base, tape, &score, e); /* of the weights that were kept */
    rc_tape_free(tape);
    r->valid_loss = score.loss;
    r->accuracy = score.accuracy;
    return s;
}

static void free_task(rc__task *base) {
    classify_task *t = (classify_task *)base;
    size_t outputs = t->m ? t->m->outputs : 0;
    rc__free(t->out, t->n_valid * outputs * sizeof *t->out);
    rc__free(t->class_weights, outputs * sizeof *t->class_weights);
    rc__free(t->train, (t->data.n + 1) * sizeof *t->train);
    rc__free(t->valid, (valid_set(t)->n + 1) * sizeof *t->valid);
    rc__free(t->index, t->batch_size * sizeof *t->index);
    rc__examples_free(&t->data);
    rc__examples_free(&t->valid_data);
    rc__epochs_free(t->visits);
    rc__example_batch_free(&t->batch);
    if (t->m) rc__classifier_free(&t->m->base);
    rc__free(t, sizeof *t);
}

static const rc__task_ops ops = {.params = params,
                                 .next_loss = next_loss,
                                 .validate = validate,
                                 .save = save,
                                 .where = where,
                                 .epochs = epochs,
                                 .batches_per_epoch = batches_per_epoch,
                                 .cursor_get = cursor_get,
                                 .cursor_set = cursor_set,
                                 .before_step = before_step,
                                 .finish = finish,
                                 .plan = plan,
                                 .free = free_task};

/* ---- making one -------------------------------------------------------------------------------------------------- */

static rc_status new_model(classify_task *t, const rc_train_options *o, bool regress, rc_error *e) {
    rc__classifier *m = t->m;
    bool bow = strcmp(o->encoder, "bow") == 0;
    m->text = !o->data.numeric && !regress;
    m->answer = regress ? RC__ANSWER_NUMBER : RC__ANSWER_CLASS;
    m->target_scale = 1;
    m->outputs = 1;
    m->threshold = 0.5;
    m->cap = o->target_cap;
    m->mask = o->mask || (!m->text && strcmp(o->encoder, "gru-d") == 0); /* what it is for */
    m->window = (size_t)o->window;
    m->max_len = (size_t)o->max_len;
    m->lexicon.lowercase = o->lowercase;
    m->lexicon.buckets = bow && strncmp(o->vocab, "word", 4) == 0 ? BOW_BUCKETS : 0;
    m->dropout_input = o->dropout_input;
    m->dropout_output = o->dropout_output < 0 ? o->dropout : o->dropout_output;
    rc__train_words_options(o, &m->wo);
    m->wo.deviation = bow ? 0.1 : 0;
    if (strncmp(o->vocab, "word", 4) != 0 && strcmp(o->chars, "none") != 0)
        return rc_fail(e, RC_EINVAL, "chars: are those of words; --vocab is %s", o->vocab);
    return rc__train_encoder_options(o, m->text ? "max+mean" : "last+mean", &m->eo, e);
}

/* An epoch's examples and those to validate on. */
static rc_status share_out(classify_task *t, rc_error *e) {
    const rc__examples *v = valid_set(t);
    t->train = rc__alloc((t->data.n + 1) * sizeof *t->train);
    t->valid = rc__alloc((v->n + 1) * sizeof *t->valid);
    if (!t->train || !t->valid) return rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", t->data.n);
    for (size_t i = 0; i < t->data.n; i++)
        if (!t->data.each[i].held) t->train[t->n_train++] = (uint32_t)i;
    for (size_t i = 0; i < v->n; i++)
        if (t->valid_data.n || v->each[i].held) t->valid[t->n_valid++] = (uint32_t)i;
    t->base.validates = t->n_valid > 0;
    uint32_t *lengths = rc__alloc((t->n_train + 1) * sizeof *lengths);
    size_t outputs = t->m->outputs;
    if (t->n_valid) t->out = rc__calloc(t->n_valid * outputs, sizeof *t->out);
    t->index = rc__alloc(t->batch_size * sizeof *t->index);
    rc_status s = lengths && t->index && (t->out || !t->n_valid)
                      ? RC_OK
                      : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", t->data.n);
    for (size_t i = 0; s == RC_OK && i < t->n_train; i++) lengths[i] = t->data.each[t->train[i]].length;
    if (s == RC_OK) s = rc__epochs_new(&t->visits, lengths, t->n_train, t->batch_size, t->seed, false, e);
    rc__free(lengths, (t->n_train + 1) * sizeof *lengths);
    return s;
}

static uint64_t mix(uint64_t h, const void *data, size_t n) { /* FNV-1a */
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static void fingerprint(classify_task *t) {
    const rc__examples *x = &t->data;
    uint64_t h = 14695981039346656037u;
    if (x->text.n_tokens) h = mix(h, x->text.id, x->text.n_tokens * sizeof *x->text.id);
    if (x->series.steps) h = mix(h, x->series.x, x->series.steps * x->series.channels * sizeof *x->series.x);
    for (size_t i = 0; i < x->n; i++) h = mix(h, &x->each[i].label, sizeof x->each[i].label);
    t->hash = h;
}

/* Weights n / (C n_c): their mean over the examples is 1. */
static rc_status balance(classify_task *t, const rc_train_options *o, rc_error *e) {
    size_t C = t->m->outputs;
    if (strcmp(o->class_weights, "balanced") != 0) return RC_OK;
    if (t->m->answer != RC__ANSWER_CLASS)
        return rc_fail(e, RC_EINVAL, "class-weights: balanced is for one label a sequence");
    double *n = rc__calloc(C, sizeof *n);
    t->class_weights = rc__calloc(C, sizeof *t->class_weights);
    if (!n || !t->class_weights) {
        rc__free(n, C * sizeof *n);
        return rc_fail(e, RC_ENOMEM, "out of memory (%zu classes)", C);
    }
    for (size_t i = 0; i < t->n_train; i++)
        if (t->data.each[t->train[i]].label >= 0) n[t->data.each[t->train[i]].label]++;
    for (size_t c = 0; c < C; c++) t->class_weights[c] = (rc_real)(n[c] > 0 ? (double)t->n_train / ((double)C * n[c]) : 0);
    rc__free(n, C * sizeof *n);
    return RC_OK;
}

/* ---- what was read ----------------------------------------------------------------------------------------------- */

static int by_length(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report_lengths(const classify_task *t, const rc_train_hooks *hooks) {
    uint32_t *len = rc__alloc((t->n_train + 1) * sizeof *len);
    if (!len) return;
    size_t empty = 0;
    for (size_t i = 0; i < t->n_train; i++) {
        len[i] = t->data.each[t->train[i]].length;
        empty += len[i] == 0;
    }
    qsort(len, t->n_train, sizeof *len, by_length);
    if (t->n_train)
        rc__say(hooks, "lengths: %u to %u steps, half of them up to %u, 95 %% up to %u%s", len[0], len[t->n_train - 1],
                len[t->n_train / 2], len[t->n_train * 95 / 100], empty ? "; some are empty" : "");
    rc__free(len, (t->n_train + 1) * sizeof *len);
}

static void report_classes(const classify_task *t, const rc_train_hooks *hooks) {
    const rc__classifier *m = t->m;
    char line[700];
    size_t at = 0, shown = m->outputs < 12 ? m->outputs : 12;
    for (size_t c = 0; c < shown && at + 80 < sizeof line; c++) {
        size_t n = 0, len;
        for (size_t i = 0; i < t->n_train; i++)
            n += m->answer == RC__ANSWER_CLASS ? t->data.each[t->train[i]].label == (int32_t)c
                                               : t->data.several[t->train[i] * m->outputs + c] > 0;
        const char *name = rc__strtab_get(&m->labels, c, &len);
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%.*s %zu", c ? ", " : "", (int)(len < 40 ? len : 40), name, n);
    }
    rc__say(hooks, "%s: %zu: %s%s", m->answer == RC__ANSWER_CLASS ? "classes" : "labels (a text may have several)",
            m->outputs, line, m->outputs > shown ? ", ..." : "");
}

/* Texts that are both trained and validated on make the validation look better than it is. */
static void report_repeats(const classify_task *t, const rc_train_hooks *hooks) {
    size_t both = 0;
    if (!t->m->text) return;
    for (size_t i = 0; i < t->valid_data.inputs.count; i++) {
        size_t len;
        const char *text = rc__strtab_get(&t->valid_data.inputs, i, &len);
        both += rc__strtab_find(&t->data.inputs, text, len) >= 0;
    }
    if (t->data.repeated) rc__say(hooks, "%zu texts come more than once", t->data.repeated);
    if (both) rc__say(hooks, "%zu validation texts are among the training texts too", both);
}

static void report(const classify_task *t, const rc_train_options *o, const char *how, const rc_train_hooks *hooks) {
    const rc__classifier *m = t->m;
    rc__say(hooks, "%s: %s", o->files[0], how);
    rc__say(hooks, "data: %zu to train on, %zu to validate%s", t->n_train, t->n_valid,
            t->valid_data.n ? "" : ", drawn from the same file");
    report_lengths(t, hooks);
    if (m->answer == RC__ANSWER_NUMBER)
        rc__say(hooks, "target: mean %g, deviation %g", m->target_mean, m->target_scale);
    else
        report_classes(t, hooks);
    report_repeats(t, hooks);
    if (t->valid_data.unknown_labels)
        rc__say(hooks, "%zu labels of the validation data do not occur in training: they count as wrong",
                t->valid_data.unknown_labels);
    if (m->text)
        rc__say(hooks, "vocabulary: %s, %zu entries; %zu of %zu tokens are not among them",
                rc_vocab_kind_name(rc_vocab_get_kind(m->lexicon.tokens)), rc_vocab_size(m->lexicon.tokens),
                t->data.text.unknown + t->valid_data.text.unknown, t->data.text.n_tokens + t->valid_data.text.n_tokens);
    rc__say(hooks, "model: %s%s%s, %zu parameters", o->encoder, m->eo.kind == RC__ENCODER_RNN && m->eo.rnn.bidirectional ? ", both directions" : "",
            strcmp(m->text ? m->wo.chars : "none", "none") ? ", characters" : "", rc_params_len(m->base.params));
    rc__say_precision(hooks, rc_params_get_precision(m->base.params));
}

static rc_status read_valid(classify_task *t, const rc_train_options *o, rc_error *e) {
    rc__classify_reading r = {0};
    return o->valid ? rc__classify_read(t->m, &t->valid_data, o->valid, &o->data, &r, e) : RC_OK;
}

static rc_status fill(classify_task *t, const rc_train_options *o, const char *initial, bool regress,
                      const rc_train_hooks *hooks, rc_error *e) {
    static const char *const scalings[] = {"zscore", "minmax", "series", "none"};
    rc__classify_reading r = {.training = true,
                              .learn = !initial,
                              .vocab = o->vocab,
                              .min_count = (size_t)o->min_count,
                              .hold_out = o->valid ? 0 : o->valid_fraction,
                              .seed = (uint64_t)o->seed};
    rc_status s = RC_OK;
    if (o->n_files != 1)
        return rc_fail(e, RC_EINVAL, "expected one file of training data, found %zu; --valid names another", o->n_files);
    while ((int)r.scaling < 3 && strcmp(o->normalize, scalings[r.scaling]) != 0) r.scaling++;
    if (initial) {
        rc_model *m = NULL;
        s = rc_model_load(&m, initial, e);
        t->m = (rc__classifier *)m;
    } else {
        t->m = rc__calloc(1, sizeof *t->m);
        if (!t->m) return rc_fail(e, RC_ENOMEM, "out of memory");
        t->m->base.kind = regress ? &rc__task_regress : &rc__task_classify;
        s = new_model(t, o, regress, e);
        if (s == RC_OK) s = rc__data_copy(&t->m->data, &o->data, e);
    }
    if (s == RC_OK) s = rc__classify_read(t->m, &t->data, o->files[0], &o->data, &r, e);
    if (s == RC_OK) s = read_valid(t, o, e);
    if (s == RC_OK && !initial) s = rc__classifier_declare(t->m, e);
    if (s == RC_OK && !initial) s = rc_params_build(t->m->base.params, (uint64_t)o->seed, e);
    rc_precision precision = RC_FP32;
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK) s = share_out(t, e);
    if (s == RC_OK) s = balance(t, o, e);
    if (s != RC_OK) return s;
    fingerprint(t);
    report(t, o, r.how, hooks);
    return RC_OK;
}

static rc_status make(rc__task **out, const rc_train_options *o, const char *initial, bool regress,
                      const rc_train_hooks *hooks, rc_error *e) {
    *out = NULL;
    classify_task *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.ops = &ops;
    t->seed = (uint64_t)o->seed;
    t->batch_size = (size_t)o->batch;
    t->word_dropout = o->word_dropout;
    t->smoothing = o->label_smoothing;
    rc_status s = fill(t, o, initial, regress, hooks, e);
    if (s != RC_OK) return free_task(&t->base), s;
    *out = &t->base;
    return RC_OK;
}

static rc_status make_classifier(rc__task **out, const rc_train_options *o, const char *initial,
                                 const rc_train_hooks *hooks, rc_error *e) {
    return make(out, o, initial, false, hooks, e);
}
static rc_status make_regressor(rc__task **out, const rc_train_options *o, const char *initial,
                                const rc_train_hooks *hooks, rc_error *e) {
    return make(out, o, initial, true, hooks, e);
}

/* For some thousand short texts, or series: what does well without being told anything (docs/results.md). */
static void defaults(rc_train_options *o) {
    o->vocab = "word";
    o->lowercase = true;
    o->min_count = 2;
    o->max_len = 400;
    o->encoder = "lstm";
    o->bidirectional = true;
    o->layers = 1;
    o->hidden = 128;
    o->embedding = 128;
    o->pool = "";
    o->dropout = 0.5;
    o->dropout_input = 0.3;
    o->word_dropout = 0.05;
    o->batch = 32;
    o->lr = 0.002;
    o->average = "ema";
    o->average_decay = 0.995;
    o->epochs = 12;
    o->sample_length = 0;
}

#define CLASSIFY_OPTIONS                                                                                              \
    "encoder bidirectional pool kernels filters embedding dropout-input dropout-output normalize mask window format "  \
    "delimiter header missing inputs "
#define MODEL                                                                                                         \
    {.document = rc__classify_document, .eval = rc__classify_eval, .predict = rc__classify_predict,                    \
     .reasons = rc__classify_reasons, .explain = rc__classify_explain, .free = rc__classifier_free}

const rc__task_kind rc__task_classify = {.name = "classify",
                                         .title = "a classifier",
                                         .options = CLASSIFY_OPTIONS
                                         "min-count max-len lowercase chars char-hidden char-embedding vectors "
                                         "freeze-vectors class-weights word-dropout text label label-separator numeric "
                                         "id time-column label-smoothing",
                                         .defaults = defaults,
                                         .make = make_classifier,
                                         .open = rc__classify_open,
                                         .model = MODEL};
const rc__task_kind rc__task_regress = {.name = "regress",
                                        .title = "a regressor",
                                        .options = CLASSIFY_OPTIONS "id time-column target target-cap",
                                        .defaults = defaults,
                                        .make = make_regressor,
                                        .open = rc__classify_open,
                                        .model = MODEL};
