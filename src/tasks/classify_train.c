/* classify_train.c - classifiers and regressors in training. */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "data/vectors.h"
#include "tasks/baselines.h"
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
    bool from_lm;
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
/* About as many steps as a set of a few thousand texts gets. */
static double enough_epochs(rc__task *base) {
    const classify_task *t = (const classify_task *)base;
    double steps = t->m->text ? 400 : 1000;
    return fmin(ceil(steps / (double)rc__epochs_batches(t->visits)), 300);
}
static double batches_per_epoch(rc__task *base) { return (double)rc__epochs_batches(((classify_task *)base)->visits); }

static json_t *cursor_get(rc__task *base) {
    const classify_task *t = (const classify_task *)base;
    json_t *v = rc__epochs_to_json(t->visits, t->hash);
    if (v) json_object_set_new(v, "steps", json_integer((json_int_t)t->steps));
    if (v) json_object_set_new(v, "thaw", json_boolean(t->thaw));
    return v;
}

static rc_status cursor_set(rc__task *base, const json_t *cursor, const char *from, rc_error *e) {
    classify_task *t = (classify_task *)base;
    int64_t steps = 0;
    rc_status s = rc__json_get_int(cursor, "steps", RC_JSON_REQUIRED, 0, INT64_MAX, &steps, from, e);
    if (s == RC_OK) s = rc__json_get_bool(cursor, "thaw", RC_JSON_REQUIRED, &t->thaw, from, e);
    if (s == RC_OK) t->steps = (uint64_t)steps;
    return s == RC_OK ? rc__epochs_from_json(t->visits, cursor, t->hash, "examples", from, e) : s;
}

/* From the head down: the head is depth 0, the upper layer 1, ... the table of words last. */
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
                  (t->data.series.steps + t->valid_data.series.steps) * t->data.series.channels * sizeof(double);
}

/* ---- plain methods beside it --------------------------------------------------------------------------------------- */

#define BASELINE_WORK  3e9             /* multiply-adds: some seconds; above there is none */
#define NGRAM_WEIGHTS  ((size_t)1 << 24)

static rc__text text_of(const rc__examples *x, uint32_t i) {
    size_t len;
    const char *text = rc__strtab_get(&x->inputs, x->each[i].input, &len);
    return (rc__text){text, len};
}

/* The share of the validation texts that a bag of words and pairs gets right; NaN: too much work. */
static rc_status bag_of_words(const classify_task *t, double *accuracy, rc_error *e) {
    const rc__examples *v = valid_set(t);
    size_t C = t->m->outputs, right = 0, bytes = 0;
    rc__ngram_options o = rc__ngram_options_default();
    while (o.bits > 12 && (C << o.bits) > NGRAM_WEIGHTS) o.bits--;
    *accuracy = NAN;
    rc__text *text = rc__alloc((t->n_train + 1) * sizeof *text);
    int32_t *label = rc__alloc((t->n_train + 1) * sizeof *label);
    double *p = rc__alloc(C * sizeof *p);
    rc__ngram *model = NULL;
    rc_status s = text && label && p ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory");
    for (size_t i = 0; s == RC_OK && i < t->n_train; i++) {
        text[i] = text_of(&t->data, t->train[i]);
        label[i] = t->data.each[t->train[i]].label < 0 ? -1 : t->data.each[t->train[i]].label;
        bytes += text[i].len;
    }
    bool small = (double)bytes / 3 * (double)C * (double)o.epochs < BASELINE_WORK; /* words of 5, and their pairs */
    if (s == RC_OK && small) s = rc__ngram_train(t->n_train, text, label, C, &o, &model, e);
    for (size_t i = 0; s == RC_OK && small && i < t->n_valid; i++) {
        size_t best = 0;
        rc__ngram_predict(model, text_of(v, t->valid[i]), p);
        for (size_t c = 1; c < C; c++)
            if (p[c] > p[best]) best = c;
        right += (int32_t)best == v->each[t->valid[i]].label;
    }
    if (s == RC_OK && small) *accuracy = (double)right / (double)t->n_valid;
    rc__ngram_free(model);
    rc__free(text, (t->n_train + 1) * sizeof *text);
    rc__free(label, (t->n_train + 1) * sizeof *label);
    rc__free(p, C * sizeof *p);
    return s;
}

/* Series as the model sees them, in double: each's own steps, one after the other in *block. */
static rc_status plain_series(const rc__classifier *m, const rc__examples *x, const uint32_t *index, size_t n,
                              rc__steps *out, double **block, size_t *block_len, rc_error *e) {
    size_t C = m->scaler.channels, at = 0, longest = 1;
    for (size_t i = 0; i < n; i++) {
        *block_len += x->each[index[i]].length * C;
        longest = x->each[index[i]].length > longest ? x->each[index[i]].length : longest;
    }
    *block = rc__alloc((*block_len + 1) * sizeof **block);
    rc_real *one = rc__alloc(longest * C * sizeof *one);
    rc_status s = *block && one ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory");
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        const rc__example *ex = &x->each[index[i]];
        const int32_t len = (int32_t)ex->length;
        if (len) rc__sequences_batch(&x->series, &m->scaler, false, &ex->series, &ex->from, &len, 1, ex->length, one);
        out[i] = (rc__steps){*block + at, ex->length};
        for (size_t k = 0; k < ex->length * C; k++) (*block)[at++] = (double)one[k];
    }
    rc__free(one, longest * C * sizeof *one);
    return s;
}

/* The answer of the nearest training series; *measure NaN: too much work. */
static rc_status nearest(const classify_task *t, double *measure, const char **how, rc_error *e) {
    const rc__examples *v = valid_set(t);
    const rc__classifier *m = t->m;
    size_t n = t->n_train, k = t->n_valid, a_len = 0, b_len = 0, length = t->n_train ? t->data.each[t->train[0]].length : 0;
    double train = 0, valid = 0, sum = 0;
    bool same = true;
    for (size_t i = 0; i < n; i++) {
        train += t->data.each[t->train[i]].length;
        same &= t->data.each[t->train[i]].length == length;
    }
    for (size_t i = 0; i < k; i++) {
        valid += v->each[t->valid[i]].length;
        same &= v->each[t->valid[i]].length == length;
    }
    double dtw = train * valid * (double)m->scaler.channels, euclid = dtw / (double)(length ? length : 1);
    bool warp = dtw < BASELINE_WORK;
    *how = warp ? "nearest neighbour (DTW)" : "nearest neighbour (Euclid)";
    *measure = NAN;
    if (!warp && !(same && euclid < BASELINE_WORK)) return RC_OK;
    rc__steps *a = rc__alloc((n + 1) * sizeof *a), *b = rc__alloc((k + 1) * sizeof *b);
    size_t *found = rc__alloc((k + 1) * sizeof *found);
    double *a_block = NULL, *b_block = NULL;
    rc_status s = a && b && found ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory");
    if (s == RC_OK) s = plain_series(m, &t->data, t->train, n, a, &a_block, &a_len, e);
    if (s == RC_OK) s = plain_series(m, v, t->valid, k, b, &b_block, &b_len, e);
    if (s == RC_OK)
        s = rc__nearest(warp ? RC_NEAR_DTW : RC_NEAR_EUCLID, m->scaler.channels, n, a, k, b, found, NULL, e);
    size_t count = 0;
    for (size_t i = 0; s == RC_OK && i < k; i++) {
        const rc__example *is = &v->each[t->valid[i]], *says = &t->data.each[t->train[found[i]]];
        if (m->answer == RC__ANSWER_CLASS) sum += says->label == is->label && is->label >= 0;
        if (m->answer == RC__ANSWER_NUMBER && (isnan(is->target) || isnan(says->target))) continue;
        if (m->answer == RC__ANSWER_NUMBER) sum += pow(says->target - is->target, 2);
        count++;
    }
    if (s == RC_OK && count) *measure = m->answer == RC__ANSWER_NUMBER ? sqrt(sum / (double)count) : sum / (double)count;
    rc__free(a, (n + 1) * sizeof *a);
    rc__free(b, (k + 1) * sizeof *b);
    rc__free(found, (k + 1) * sizeof *found);
    rc__free(a_block, (a_len + 1) * sizeof *a_block);
    rc__free(b_block, (b_len + 1) * sizeof *b_block);
    return s;
}

/* The deviation of the validation targets from the mean of the training targets. */
static double rmse_of_mean(const classify_task *t) {
    const rc__examples *v = valid_set(t);
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < t->n_valid; i++) {
        double y = v->each[t->valid[i]].target;
        if (isnan(y)) continue;
        sum += pow(y - t->m->target_mean, 2);
        n++;
    }
    return n ? sqrt(sum / (double)n) : NAN;
}

/* What a simple method gives on the same validation examples: a model that is not better is not worth its weights. */
static void say_baselines(const classify_task *t, const rc_train_hooks *hooks) {
    const rc__classifier *m = t->m;
    const char *how = "bag of words and pairs";
    double measure = NAN;
    rc_error why;
    rc_status s = RC_OK;
    if (!hooks || !hooks->on_message || m->answer == RC__ANSWER_CLASSES) return;
    if (m->answer == RC__ANSWER_NUMBER) rc__say(hooks, "baseline: the mean, RMSE %.4g", rmse_of_mean(t));
    s = m->text ? bag_of_words(t, &measure, &why) : nearest(t, &measure, &how, &why);
    if (s != RC_OK)
        rc__say(hooks, "baseline: not computed: %s", why.text);
    else if (!isnan(measure))
        rc__say(hooks, m->answer == RC__ANSWER_NUMBER ? "baseline: %s, %s %.4g" : "baseline: %s, %s %.4f", how,
                rc__classify_measure_name(m), measure);
}

static rc_status finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                        rc_error *e) {
    classify_task *t = (classify_task *)base;
    rc_tape *tape = NULL;
    rc__task_score score = {.loss = NAN};
    snprintf(r->measure, sizeof r->measure, "%s", rc__classify_measure_name(t->m));
    if (!t->base.validates) return RC_OK;
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = validate(base, tape, &score, e); /* of the weights that were kept */
    rc_tape_free(tape);
    r->valid_loss = score.loss;
    r->accuracy = score.accuracy;
    if (s == RC_OK && !o->quiet) say_baselines(t, hooks);
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
    if (t->m) rc_model_free(&t->m->base); /* one that was loaded has a provenance too */
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
                                 .enough_epochs = enough_epochs,
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

static void fingerprint(classify_task *t) {
    const rc__examples *x = &t->data;
    uint64_t h = RC__FINGERPRINT;
    if (x->text.n_tokens) h = rc__fingerprint(h, x->text.id, x->text.n_tokens * sizeof *x->text.id);
    if (x->series.steps) h = rc__fingerprint(h, x->series.x, x->series.steps * x->series.channels * sizeof *x->series.x);
    if (x->several) h = rc__fingerprint(h, x->several, x->n * t->m->outputs * sizeof *x->several);
    for (size_t i = 0; i < x->n; i++) {
        const rc__example *one = &x->each[i];
        double target = isnan(one->target) ? 0 : one->target; /* a NaN has several patterns of bits */
        h = rc__fingerprint(h, &one->label, sizeof one->label);
        h = rc__fingerprint(h, &target, sizeof target);
        h = rc__fingerprint(h, &one->length, sizeof one->length);
        h = rc__fingerprint(h, &one->held, sizeof one->held);
    }
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
    for (size_t i = 0; i < t->n_train; i++) len[i] = t->data.each[t->train[i]].length;
    qsort(len, t->n_train, sizeof *len, by_length);
    if (t->n_train)
        rc__say(hooks, "lengths: %u to %u steps, half of them up to %u, 95 %% up to %u", len[0], len[t->n_train - 1],
                len[t->n_train / 2], len[t->n_train * 95 / 100]);
    rc__free(len, (t->n_train + 1) * sizeof *len);
}

/* "3 texts are empty: lines 5, 80 and 1234" */
static void report_empty(const char *file, const rc__examples *x, bool text, const rc_train_hooks *hooks) {
    enum { SHOWN = 8 };
    char list[300];
    size_t at = 0, n = 0;
    for (size_t i = 0; i < x->n; i++) {
        if (x->each[i].length > 0) continue;
        if (++n > SHOWN) continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%zu", n > 1 ? ", " : "", text ? x->each[i].line : i + 1);
    }
    if (n)
        rc__say(hooks, "%s: %zu %s empty: %s %s%s", file, n, text ? (n > 1 ? "texts are" : "text is") : (n > 1 ? "series are" : "series is"),
                text ? "line" : "number", list, n > SHOWN ? ", ..." : "");
}

/* What a channel may hide: values that are missing, and that it never varies. */
static void report_channels(const classify_task *t, const rc_train_hooks *hooks) {
    const rc__sequences *q = &t->data.series;
    char constant[300] = "", missing[300] = "";
    size_t C = q->channels, n_constant = 0, n_missing = 0, total = 0, at = 0, to = 0;
    for (size_t c = 0; c < C; c++) {
        double low = INFINITY, high = -INFINITY;
        size_t gone = 0, len;
        for (size_t i = c; i < q->steps * C; i += C) {
            gone += isnan(q->x[i]) ? 1 : 0;
            low = fmin(low, q->x[i]);
            high = fmax(high, q->x[i]);
        }
        const char *name = rc__strtab_get(&t->m->channels, c, &len);
        if (len > 30) len = 30;
        total += gone;
        if (!(high > low) && n_constant++ < 8 && at + 40 < sizeof constant)
            at += (size_t)snprintf(constant + at, sizeof constant - at, "%s%.*s", at ? ", " : "", (int)len, name);
        if (gone && n_missing++ < 6 && to + 50 < sizeof missing)
            to += (size_t)snprintf(missing + to, sizeof missing - to, "%s%.*s %.1f %%", to ? ", " : "", (int)len, name,
                                   100 * (double)gone / (double)q->steps);
    }
    rc__say(hooks, "channels: %zu%s%s%s", C, n_constant ? "; these never vary, and say nothing: " : "", constant,
            n_constant > 8 ? ", ..." : "");
    if (total)
        rc__say(hooks, "missing: %zu of %zu values (%.1f %%): %s%s%s", total, q->steps * C,
                100 * (double)total / (double)(q->steps * C), missing, n_missing > 6 ? ", ..." : "",
                t->m->mask ? "" : "; --mask tells the model which");
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
    report_empty(o->files[0], &t->data, m->text, hooks);
    if (o->valid) report_empty(o->valid, &t->valid_data, m->text, hooks);
    if (!m->text) report_channels(t, hooks);
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
    bool rnn = m->eo.kind == RC__ENCODER_RNN;
    rc__say(hooks, "model: %s%s%s, %zu parameters", rnn ? m->eo.rnn.cell : m->eo.kind == RC__ENCODER_CNN ? "cnn" : "bow",
            rnn && m->eo.rnn.bidirectional ? ", both directions" : "",
            strcmp(m->text ? m->wo.chars : "none", "none") ? ", characters" : "", rc_params_len(m->base.params));
    rc__say_precision(hooks, rc_params_get_precision(m->base.params));
}

static rc_status read_valid(classify_task *t, const rc_train_options *o, rc_error *e) {
    rc__classify_reading r = {0};
    return o->valid ? rc__classify_read(t->m, &t->valid_data, o->valid, &o->data, &r, e) : RC_OK;
}

/* ---- where it begins: anew, from a model, from a language model, or where a run was -------------------------------- */

static rc_status load_model(classify_task *t, const char *path, bool regress, rc_error *e) {
    const rc__task_kind *kind = regress ? &rc__task_regress : &rc__task_classify;
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s == RC_OK && m->kind != kind) {
        s = rc_fail(e, RC_EINVAL, "from: %s is %s, expected %s%s", path, m->kind->title, kind->title,
                    regress ? "" : " or a language model");
        rc_model_free(m);
        m = NULL;
    }
    t->m = (rc__classifier *)m;
    return s;
}

static rc_status fresh_model(classify_task *t, const rc_train_options *o, bool regress, rc_error *e) {
    t->m = rc__calloc(1, sizeof *t->m);
    if (!t->m) return rc_fail(e, RC_ENOMEM, "out of memory");
    t->m->base.kind = regress ? &rc__task_regress : &rc__task_classify;
    rc_status s = new_model(t, o, regress, e);
    return s == RC_OK ? rc__data_copy(&t->m->data, &o->data, e) : s;
}

static rc_status copy_vocab(rc_vocab **out, const rc_vocab *v, rc_error *e) {
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc_vocab_to_json(v, &text, &len, e);
    if (s == RC_OK) s = rc_vocab_from_json(out, text, len, "vocabulary", e);
    rc_text_free(text, len);
    return s;
}

/* A language model's vocabulary, embedding and layers are the words and the encoder; the head is new. What drops out is
 * as the options say. */
static rc_status shape_of_lm(classify_task *t, const rc_lm *lm, const rc_train_options *o, rc_error *e) {
    rc__classifier *m = t->m;
    const rc_lm_options *lo = rc_lm_get_options(lm);
    if (!m->text) return rc_fail(e, RC_EINVAL, "from: %s is a language model, which reads text, not numbers", o->from);
    rc_rnn_options r = m->eo.rnn;
    m->eo = (rc__encoder_options){.kind = RC__ENCODER_RNN, .rnn = lo->rnn, .pool = m->eo.pool};
    m->eo.rnn.dropout = r.dropout;
    m->eo.rnn.dropout_sequence = r.dropout_sequence;
    m->eo.rnn.recurrent_dropout = r.recurrent_dropout;
    m->eo.rnn.zoneout_h = r.zoneout_h;
    m->eo.rnn.zoneout_c = r.zoneout_c;
    m->eo.rnn.weight_drop = r.weight_drop;
    m->wo = (rc__words_options){.embedding_size = lo->embedding_size, .chars = "none", .char_embedding = 1, .char_hidden = 1};
    m->lexicon.split = RC__SPLIT_VOCAB;
    m->lexicon.lowercase = false;
    m->lexicon.buckets = 0;
    return copy_vocab(&m->lexicon.tokens, rc_lm_vocab(lm), e);
}

static rc_status weights_of_lm(classify_task *t, const rc_lm *lm, rc_error *e) {
    static const struct {
        const char *here, *there; /* how names begin */
    } names[] = {{"words.", ""}, {"encoder.", "rnn."}};
    for (size_t i = 0; i < rc_params_count(t->m->base.params); i++) {
        rc_param *p = rc_params_at(t->m->base.params, i);
        for (size_t k = 0; k < 2; k++) {
            char name[256];
            size_t n = strlen(names[k].here);
            if (strncmp(p->name, names[k].here, n) != 0 || strncmp(p->name, "encoder.attention", 17) == 0) continue;
            snprintf(name, sizeof name, "%s%s", names[k].there, p->name + n);
            const rc_param *from = rc_params_find(rc_lm_params(lm), name);
            if (!from || from->len != p->len)
                return rc_fail(e, RC_EMODEL, "from: the language model's \"%s\" does not fit \"%s\"", name, p->name);
            memcpy(p->w, from->w, p->len * sizeof *p->w);
        }
    }
    rc_params_changed(t->m->base.params);
    return RC_OK;
}

/* ---- word vectors ------------------------------------------------------------------------------------------------ */

static int64_t row_of_word(void *ctx, const char *word, size_t len) {
    const rc__lexicon *x = ctx;
    return rc__strtab_find(&x->tokens->entries, word, len);
}

static rc_status check_vectors(const rc_train_options *o, rc_error *e) {
    bool given = o->vectors && *o->vectors;
    if (o->freeze_vectors && !given) return rc_fail(e, RC_EINVAL, "freeze-vectors: of which file? --vectors FILE");
    if (given && o->from && *o->from) return rc_fail(e, RC_EINVAL, "vectors: a model that goes on has its own; leave out --from");
    if (given && strncmp(o->vocab, "word", 4) != 0)
        return rc_fail(e, RC_EINVAL, "vectors: are those of words; --vocab is %s", o->vocab);
    if (given && o->data.numeric) return rc_fail(e, RC_EINVAL, "vectors: are those of words, and the data are numbers");
    return RC_OK;
}

/* Those that are found replace the first values of the table. */
static rc_status read_vectors(classify_task *t, const rc_train_options *o, const rc_train_hooks *hooks, rc_error *e) {
    rc_param *table = rc__words_table(t->m->words);
    rc__vectors_report r;
    size_t words = rc_vocab_size(t->m->lexicon.tokens);
    rc_status s = rc__vectors_fill(o->vectors, row_of_word, &t->m->lexicon, words, t->m->wo.embedding_size, table->w, NULL,
                                   &r, e);
    if (s != RC_OK) return s;
    rc_params_changed(t->m->base.params);
    rc__say(hooks, "vectors: %s: %zu of %zu numbers each; they cover %zu of the %zu words%s", o->vectors, r.vectors,
            t->m->wo.embedding_size, r.hits, words, o->freeze_vectors ? ", and stay as they are" : "");
    if (r.hits == 0) rc__say(hooks, "vectors: not one word is in the file: is it of this language, and lower case?");
    return RC_OK;
}

static rc_status fill(classify_task *t, const rc_train_options *o, const char *initial, bool regress,
                      const rc_train_hooks *hooks, rc_error *e) {
    static const char *const scalings[] = {"zscore", "minmax", "series", "none"};
    rc__classify_reading r = {.training = true,
                              .vocab = o->vocab,
                              .min_count = (size_t)o->min_count,
                              .hold_out = o->valid ? 0 : o->valid_fraction,
                              .seed = (uint64_t)o->seed};
    rc_status s = check_vectors(o, e);
    rc_lm *lm = NULL;
    char task[32] = "";
    bool from = o->from && *o->from, vectors = o->vectors && *o->vectors;
    if (s == RC_OK && o->n_files != 1)
        s = rc_fail(e, RC_EINVAL, "expected one file of training data, found %zu; --valid names another", o->n_files);
    while ((int)r.scaling < 3 && strcmp(o->normalize, scalings[r.scaling]) != 0) r.scaling++;
    if (s == RC_OK && from) { /* of a run that goes on the file may be gone: its checkpoints tell */
        rc_status known = rc_model_task_of(o->from, task, sizeof task, e);
        if (!initial) s = known;
        t->from_lm = known == RC_OK && strcmp(task, "lm") == 0;
        t->thaw = t->from_lm && !(o->lr_groups && *o->lr_groups); /* rates of one's own replace those of the layers */
    }
    if (s != RC_OK) return s;
    r.learn = !initial && (!from || t->from_lm);
    if (!r.learn) {
        s = load_model(t, initial ? initial : o->from, regress, e);
    } else {
        s = fresh_model(t, o, regress, e);
        if (s == RC_OK && from) s = rc_lm_load(&lm, o->from, e);
        if (s == RC_OK && lm) s = shape_of_lm(t, lm, o, e);
        if (lm) r.vocab = NULL; /* it is there */
        if (s == RC_OK && vectors) s = rc__vectors_dim(o->vectors, &t->m->wo.embedding_size, e);
    }
    if (s == RC_OK) s = rc__classify_read(t->m, &t->data, o->files[0], &o->data, &r, e);
    if (s == RC_OK && !r.learn && t->data.unknown_labels)
        s = rc_fail(e, RC_EDATA, "%s: %zu labels are none of the %zu that the model knows; --from goes on with the same ones",
                    o->files[0], t->data.unknown_labels, t->m->outputs);
    if (s == RC_OK) s = read_valid(t, o, e);
    if (s == RC_OK && r.learn) s = rc__classifier_declare(t->m, e);
    if (s == RC_OK && r.learn) s = rc_params_build(t->m->base.params, (uint64_t)o->seed, e);
    if (s == RC_OK && lm) s = weights_of_lm(t, lm, e);
    if (s == RC_OK && vectors && !initial) s = read_vectors(t, o, hooks, e);
    if (s == RC_OK && o->freeze_vectors) rc_params_freeze(t->m->base.params, "words.embedding.weight");
    rc_precision precision = RC_FP32;
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK) s = share_out(t, e);
    if (s == RC_OK) s = balance(t, o, e);
    rc_lm_free(lm);
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
    "encoder bidirectional dropout-sequence pool kernels filters embedding dropout-input dropout-output normalize mask window format "  \
    "delimiter header missing skip-bad-rows inputs "
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
