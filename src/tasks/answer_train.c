/* answer_train.c - networks that answer questions in training: reading and splitting stories, words and answers, batches,
 * validation. */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "tasks/answer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NOISE_STREAM 0x616E737765726E6Fu /* mixed into the seed: no other use of it draws these numbers */
#define RUN_BATCH    256                 /* questions at once where nothing is learnt */

typedef struct answer_task {
    rc__task base;
    rc__answerer *m;
    rc__story_set set; /* training and validation */
    uint32_t *train, *valid;
    size_t n_train, n_valid;
    rc__epochs *epochs;
    rc__visit last;
    rc__answer_batch batch;
    rc_tape *own; /* to score the training data when a model is saved */
    uint64_t seed, hash, scored; /* version of the parameters that were */
    double linear_start;
} answer_task;

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct raw_line {
    rc__story_line line; /* texts in the arena */
    uint32_t task;
    bool validates;
} raw_line;

typedef struct corpus {
    raw_line *at;
    size_t n, cap;
    rc__arena *texts;
} corpus;

static void corpus_free(corpus *c) {
    rc__free(c->at, c->cap * sizeof *c->at);
    rc__arena_free(c->texts);
    *c = (corpus){0};
}

static rc_status keep(corpus *c, rc__cell *x, rc_error *e) {
    if (!x->text) return RC_OK;
    char *at = rc__arena_alloc(c->texts, x->len + 1);
    if (!at) return rc_fail(e, RC_ENOMEM, "out of memory for the stories");
    memcpy(at, x->text, x->len);
    x->text = at;
    return RC_OK;
}

static rc_status read_file(corpus *c, const char *path, const rc_data_options *d, uint32_t task, const rc_train_hooks *hooks,
                           rc_error *e) {
    rc__stories_options o = {.format = d->format, .answers = true};
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    bool more = true;
    size_t from = c->n, questions = 0, stories = 0;
    rc_status s = rc__source_open(&src, path, e);
    if (s == RC_OK) s = rc__stories_open(&r, src, &o, e);
    while (s == RC_OK) {
        rc__story_line line;
        s = rc__stories_next(r, &line, &more, e);
        if (s != RC_OK || !more) break;
        s = keep(c, &line.text, e);
        if (s == RC_OK) s = keep(c, &line.answer, e);
        if (s == RC_OK) s = rc__grow((void **)&c->at, &c->cap, c->n + 1, sizeof *c->at, e);
        if (s != RC_OK) break;
        line.support = NULL;
        questions += line.question;
        stories += line.begins;
        c->at[c->n++] = (raw_line){.line = line, .task = task};
    }
    if (s == RC_OK && questions == 0)
        s = rc_fail(e, RC_EDATA, "%s: no question: expected lines such as \"3 Where is Mary?<TAB>office\"", path);
    if (s == RC_OK)
        rc__say(hooks, "%s: %s, %zu stories, %zu lines, %zu questions", path, rc__stories_how(r), stories, c->n - from, questions);
    rc__stories_close(r);
    rc__source_free(src);
    return s;
}

/* Every so-and-so-many-th story of each file validates, whole: of n stories with questions, story i (from 1) does when
 * floor(i k / n) > floor((i - 1) k / n), k = n * fraction rounded. Nothing is drawn, so the rule can be told. */
static void split(corpus *c, double fraction) {
    for (size_t from = 0, end; from < c->n; from = end) {
        size_t n = 0, i = 0;
        for (end = from; end < c->n && c->at[end].task == c->at[from].task; end++) n += c->at[end].line.begins;
        size_t k = (size_t)((double)n * fraction + 0.5);
        if (k >= n) k = n - 1;
        bool validates = false;
        for (size_t at = from; at < end; at++) {
            if (c->at[at].line.begins) {
                i++;
                validates = i * k / n > (i - 1) * k / n;
            }
            c->at[at].validates = validates;
        }
    }
}

/* ---- what is learnt of the data before training ------------------------------------------------------------------ */

static rc_status learn_words(rc__answerer *m, const corpus *c, rc_error *e) {
    rc__string scratch = {0};
    rc_status s = RC_OK;
    uint32_t id;
    for (size_t i = 0; s == RC_OK && i < c->n; i++) {
        const rc__story_line *line = &c->at[i].line;
        if (c->at[i].validates) continue;
        for (size_t at = 0; rc__story_word(m, line->text, &at, &scratch, &s, e);) {
            s = rc__strtab_add(&m->words, scratch.s, scratch.len, &id, NULL, e);
            if (s != RC_OK) break;
        }
        if (s == RC_OK && line->question) s = rc__strtab_add(&m->answers, line->answer.text, line->answer.len, &id, NULL, e);
        if (s == RC_OK && m->answers.count > RC__ANSWER_MAX_CLASSES)
            s = rc_fail(e, RC_EDATA, "more than %d different answers: each is a class of its own here, and such answers are texts",
                        RC__ANSWER_MAX_CLASSES);
    }
    rc__string_free(&scratch);
    if (s == RC_OK && m->answers.count < 2)
        s = rc_fail(e, RC_EDATA, "expected 2 or more different answers, found %zu: nothing to learn", m->answers.count);
    if (s == RC_OK && m->words.count == 0) s = rc_fail(e, RC_EDATA, "the stories and questions have no words");
    return s;
}

static size_t longest_story(const corpus *c) {
    size_t longest = 1, n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->at[i].line.begins) n = 0;
        n += !c->at[i].line.question;
        if (c->at[i].line.question && n > longest) longest = n;
    }
    return longest;
}

static rc_status read_options(rc__answerer *m, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc__answer_options *x = &m->o;
    while (x->kind < 4 && strcmp(rc__answer_kinds[x->kind], o->model) != 0) x->kind++;
    if (x->kind == 4) {
        x->kind = 0;
        return rc_fail(e, RC_EINVAL, "model: expected memory, query, entity or recurrent, found \"%s\"", o->model);
    }
    bool many = x->kind == RC__ANSWER_MEMORY || x->kind == RC__ANSWER_QUERY;
    x->embedding = (size_t)(o->embedding ? o->embedding : 20);
    x->members = many ? (size_t)o->restarts : 1;
    x->ensemble = o->ensemble < (int64_t)x->members ? (size_t)o->ensemble : x->members;
    x->hops = (size_t)o->hops;
    x->position = strcmp(o->encoding, "position") == 0;
    x->temporal = o->temporal && x->kind == RC__ANSWER_MEMORY;
    x->layerwise = strcmp(o->tying, "layer") == 0;
    x->noise = x->temporal ? o->noise : 0;
    x->blocks = (size_t)o->blocks;
    x->dropout = o->dropout;
    size_t longest = longest_story(c);
    x->memory = o->memory && (size_t)o->memory < longest ? (size_t)o->memory
                : x->kind == RC__ANSWER_MEMORY            ? longest
                : o->memory                               ? (size_t)o->memory
                                                          : RC__ANSWER_NO_MEMORY;
    if (x->kind != RC__ANSWER_RECURRENT) return RC_OK;
    x->reader.kind = RC__ENCODER_RNN;
    x->reader.pool = RC__POOL_LAST;
    return rc__train_rnn_options(o, &x->reader.rnn, e);
}

static rc_status name_tasks(rc__answerer *m, const rc_train_options *o, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t f = 0; s == RC_OK && f < o->n_files; f++) {
        char name[256];
        uint32_t id;
        rc__answer_task_name(o->files[f], name, sizeof name);
        s = rc__strtab_add(&m->tasks, name, strlen(name), &id, NULL, e);
    }
    return s;
}

static rc_status new_model(rc__answerer **out, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc__answerer *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    m->base.kind = &rc__task_answer;
    m->lowercase = o->lowercase;
    rc_status s = rc__data_copy(&m->data, &o->data, e);
    if (s == RC_OK) s = name_tasks(m, o, e);
    if (s == RC_OK) s = learn_words(m, c, e);
    if (s == RC_OK) s = read_options(m, o, c, e);
    if (s == RC_OK) s = rc__answerer_declare(m, e);
    if (s == RC_OK) s = rc_params_build(m->base.params, (uint64_t)o->seed, e);
    if (s != RC_OK) return rc_model_free(&m->base), s;
    *out = m;
    return RC_OK;
}

static rc_status old_model(rc__answerer **out, const char *path, rc_error *e) {
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s == RC_OK && m->kind != &rc__task_answer)
        s = rc_fail(e, RC_EMODEL, "%s: expected a model that answers questions, found %s", path, m->kind->title);
    if (s != RC_OK) return rc_model_free(m), s;
    *out = (rc__answerer *)m;
    return RC_OK;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

/* The most frequent answer of the training questions, given to all. */
static void say_baseline(const answer_task *t, const rc_train_hooks *hooks, size_t *counts) {
    const uint32_t *index = t->n_valid ? t->valid : t->train;
    size_t n = t->n_valid ? t->n_valid : t->n_train, best = 0, right = 0, len, at = 0;
    size_t A = t->m->answers.count;
    char line[900] = "";
    for (size_t i = 0; i < t->n_train; i++) counts[t->set.at[t->train[i]].answer]++;
    for (size_t a = 0; a < A; a++)
        if (counts[a] > counts[best]) best = a;
    for (size_t i = 0; i < n; i++) right += t->set.at[index[i]].answer == (int32_t)best;
    for (size_t a = 0; a < A && a < 20 && at < sizeof line - 80; a++) {
        const char *name = rc__strtab_get(&t->m->answers, a, &len);
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%.*s %zu", at ? ", " : "", (int)(len < 40 ? len : 40), name, counts[a]);
    }
    rc__say(hooks, "answers: %zu: %s%s", A, line, A > 20 ? " ..." : "");
    const char *name = rc__strtab_get(&t->m->answers, best, &len);
    rc__say(hooks, "baseline, always the most frequent answer (%.*s): accuracy %.4f", (int)(len < 60 ? len : 60), name,
            (double)right / (double)n);
}

/* Questions of the validation whose sentences, question and answer are among the training ones. */
static size_t repeated(const answer_task *t, rc_error *e) {
    rc__strtab seen = {0};
    size_t twice = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < (pass ? t->n_valid : t->n_train); i++) {
            const rc__question *q = &t->set.at[pass ? t->valid[i] : t->train[i]];
            uint64_t h[2] = {RC__FINGERPRINT, 0};
            uint32_t id;
            h[0] = rc__fingerprint(h[0], t->set.told + q->first, q->n * sizeof *t->set.told);
            h[1] = rc__fingerprint(h[0], &q->text, sizeof q->text);
            if (pass)
                twice += rc__strtab_find(&seen, (const char *)h, sizeof h) >= 0;
            else if (rc__strtab_add(&seen, (const char *)h, sizeof h, &id, NULL, e) != RC_OK)
                break;
        }
    rc__strtab_free(&seen);
    return twice;
}

static void say_set(const answer_task *t, const char *what, const uint32_t *index, size_t n, const rc_train_hooks *hooks) {
    size_t longest = 0, total = 0, unknown = 0, none = 0;
    for (size_t i = 0; i < n; i++) {
        const rc__question *q = &t->set.at[index[i]];
        longest = q->n > longest ? q->n : longest;
        total += q->n;
        unknown += q->answer < 0;
        none += q->n == 0;
    }
    rc__say(hooks, "%s: %zu questions, after %.1f sentences in the mean, %zu at most", what, n, (double)total / (double)n, longest);
    if (none) rc__say(hooks, "%s: %zu questions come before any sentence", what, none);
    if (unknown) rc__say(hooks, "%s: the answers of %zu questions are none of the training's: they are counted as wrong", what, unknown);
}

static void say_model(const answer_task *t, const rc_train_hooks *hooks) {
    const rc__answerer *m = t->m;
    char text[400];
    rc__answer_explain(&m->base, 0, 0, text, sizeof text);
    size_t n = strcspn(text, "\n");
    rc__say(hooks, "model: %.*s; %zu parameters", (int)n, text, rc_params_len(m->base.params));
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *answer_params(rc__task *base) { return ((answer_task *)base)->m->base.params; }

static rc_var *answer_next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    answer_task *t = (answer_task *)base;
    rc_error why;
    rc_status s = rc__epochs_next(t->epochs, &t->last, &why);
    rc_rng noise = rc_rng_make(t->seed ^ NOISE_STREAM,
                               t->last.cursor.epoch * rc__epochs_batches(t->epochs) + t->last.cursor.position);
    uint32_t index[4096];
    size_t n = t->last.n < 4096 ? t->last.n : 4096;
    for (size_t i = 0; s == RC_OK && i < n; i++) index[i] = t->train[t->last.index[i]];
    if (s == RC_OK) s = rc__answer_batch_make(&t->batch, t->m, &t->set, index, n, &noise, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    info->tokens = t->last.n;
    info->ends_epoch = t->last.ends_epoch;
    return rc__answerer_loss(tape, t->m, &t->batch, rc__answerer_forward(tape, t->m, &t->batch, NULL));
}

static void answer_before_step(rc__task *base, double progress) {
    answer_task *t = (answer_task *)base;
    t->m->linear = t->m->o.kind == RC__ANSWER_MEMORY && progress < t->linear_start;
}

/* Each member's error into its parameter, by which members are chosen: on the validation data where there are some, else on
 * the training data. */
static rc_status score_members(answer_task *t, rc_error *e) {
    rc__answer_result r = {0};
    const uint32_t *index = t->n_valid ? t->valid : t->train;
    size_t n = t->n_valid ? t->n_valid : t->n_train;
    uint64_t version = rc_params_version(t->m->base.params);
    if (t->m->o.members == 1 || t->scored == version) return RC_OK;
    rc_status s = t->own ? RC_OK : rc_tape_new(&t->own, e);
    if (s == RC_OK) s = rc__answer_result_new(&r, t->m, n, false, e);
    if (s == RC_OK) s = rc__answerer_run(t->m, t->own, &t->set, index, n, RUN_BATCH, &r, e);
    for (size_t k = 0; s == RC_OK && k < t->m->o.members; k++) t->m->error->w[k] = (rc_real)r.wrong[k];
    rc_params_changed(t->m->base.params);
    t->scored = rc_params_version(t->m->base.params);
    rc__answer_result_free(&r, t->m, n);
    return s;
}

/* Without the linear start: that is how it will be used. */
static rc_status judge(answer_task *t, rc_tape *tape, rc__answer_result *r, rc_error *e) {
    bool linear = t->m->linear;
    t->m->linear = false;
    rc_status s = score_members(t, e);
    if (s == RC_OK) s = rc__answer_result_new(r, t->m, t->n_valid, false, e);
    if (s == RC_OK) s = rc__answerer_run(t->m, tape, &t->set, t->valid, t->n_valid, RUN_BATCH, r, e);
    t->m->linear = linear;
    return s;
}

static rc_status answer_validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    answer_task *t = (answer_task *)base;
    rc__answer_result r = {0};
    rc_status s = judge(t, tape, &r, e);
    if (s == RC_OK) {
        score->loss = r.loss;
        score->accuracy = (double)r.right / (double)t->n_valid;
        score->criterion = 1e-2 * r.loss - score->accuracy; /* a tie is decided by the loss */
    }
    rc__answer_result_free(&r, t->m, t->n_valid);
    return s;
}

static rc_status answer_save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    answer_task *t = (answer_task *)base;
    bool linear = t->m->linear;
    t->m->linear = false;
    rc_status s = score_members(t, e);
    t->m->linear = linear;
    return s == RC_OK ? rc__model_save(&t->m->base, path, provenance, e) : s;
}

static void answer_where(rc__task *base, char *out, size_t cap) {
    const answer_task *t = (const answer_task *)base;
    snprintf(out, cap, "epoch %llu, batch %llu of %zu questions", (unsigned long long)t->last.cursor.epoch + 1,
             (unsigned long long)t->last.cursor.position + 1, t->last.n);
}

static double answer_epochs(rc__task *base) { return rc__epochs_done(((answer_task *)base)->epochs); }
static double answer_batches(rc__task *base) { return (double)rc__epochs_batches(((answer_task *)base)->epochs); }

static json_t *answer_cursor_get(rc__task *base) {
    const answer_task *t = (const answer_task *)base;
    return rc__epochs_to_json(t->epochs, t->hash);
}

static rc_status answer_cursor_set(rc__task *base, const json_t *cursor, const char *where, rc_error *e) {
    answer_task *t = (answer_task *)base;
    return rc__epochs_from_json(t->epochs, cursor, t->hash, "stories", where, e);
}

static void say_members(const answer_task *t, const size_t *chosen, size_t n, const rc_train_hooks *hooks) {
    char line[400] = "";
    size_t at = 0, H = t->m->o.members;
    if (H == 1) return;
    for (size_t k = 0; k < H && at < sizeof line - 40; k++)
        at += (size_t)snprintf(line + at, sizeof line - at, " %.3f", (double)t->m->error->w[chosen[k]]);
    rc__say(hooks, "members: the first %zu of %zu answer, by their errors on the %s data:%s", n, H, t->n_valid ? "validation" : "training",
            line);
}

static rc_status answer_finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                               rc_error *e) {
    answer_task *t = (answer_task *)base;
    rc__answer_result result = {0};
    rc_tape *tape = NULL;
    size_t chosen[RC__ANSWER_MAX_MEMBERS];
    (void)o;
    t->m->linear = false;
    rc_status s = score_members(t, e);
    if (s != RC_OK) return s;
    size_t n = rc__answerer_chosen(t->m, chosen);
    say_members(t, chosen, n, hooks);
    if (!t->base.validates) return RC_OK;
    s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = judge(t, tape, &result, e);
    if (s == RC_OK) {
        r->valid_loss = result.loss;
        r->accuracy = (double)result.right / (double)t->n_valid;
        rc__say(hooks, "validation: accuracy %.4f (%zu of %zu)", r->accuracy, result.right, t->n_valid);
    }
    rc__answer_result_free(&result, t->m, t->n_valid);
    rc_tape_free(tape);
    return s;
}

static void answer_plan(rc__task *base, rc_plan *plan, size_t *data_bytes) {
    const answer_task *t = (const answer_task *)base;
    plan->train_tokens = plan->epoch_tokens = t->n_train;
    plan->valid_tokens = t->n_valid;
    plan->vocab_size = t->m->words.count;
    *data_bytes = t->set.n * sizeof *t->set.at + t->set.n_told * sizeof *t->set.told + t->set.sentences.pool_cap;
}

static void answer_free(rc__task *base) {
    answer_task *t = (answer_task *)base;
    size_t n = t->n_train + t->n_valid + 1;
    rc__free(t->train, n * sizeof *t->train);
    rc__free(t->valid, n * sizeof *t->valid);
    rc__story_set_free(&t->set);
    rc__answer_batch_free(&t->batch);
    rc__epochs_free(t->epochs);
    rc_tape_free(t->own);
    if (t->m) rc_model_free(&t->m->base);
    rc__free(t, sizeof *t);
}

static const rc__task_ops answer_ops = {.params = answer_params,
                                        .next_loss = answer_next_loss,
                                        .validate = answer_validate,
                                        .save = answer_save,
                                        .where = answer_where,
                                        .epochs = answer_epochs,
                                        .batches_per_epoch = answer_batches,
                                        .cursor_get = answer_cursor_get,
                                        .cursor_set = answer_cursor_set,
                                        .finish = answer_finish,
                                        .before_step = answer_before_step,
                                        .plan = answer_plan,
                                        .free = answer_free};

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static rc_status make_sets(answer_task *t, const rc_train_options *o, const corpus *c, const char *from, rc_error *e) {
    rc_status s = RC_OK;
    size_t questions = 0;
    for (size_t i = 0; s == RC_OK && i < c->n; i++) s = rc__story_set_add(&t->set, t->m, &c->at[i].line, c->at[i].task, e);
    if (s != RC_OK) return s;
    size_t n = t->set.n + 1;
    t->train = rc__alloc(n * sizeof *t->train);
    t->valid = rc__alloc(n * sizeof *t->valid);
    uint32_t *lengths = rc__alloc(n * sizeof *lengths);
    if (!t->train || !t->valid || !lengths) s = rc_fail(e, RC_ENOMEM, "no memory for %zu questions", n - 1);
    t->hash = RC__FINGERPRINT;
    for (size_t i = 0; s == RC_OK && i < c->n; i++) {
        if (!c->at[i].line.question) continue;
        const rc__question *q = &t->set.at[questions];
        if (c->at[i].validates) {
            t->valid[t->n_valid++] = (uint32_t)questions;
        } else {
            if (q->answer < 0)
                s = rc_fail(e, RC_EDATA, "line %zu: the answer is none of those of %s: its answers are kept", q->line, from ? from : "the model");
            lengths[t->n_train] = (uint32_t)q->n + 1;
            t->train[t->n_train++] = (uint32_t)questions;
            t->hash = rc__fingerprint(t->hash, t->set.told + q->first, q->n * sizeof *t->set.told);
            int32_t pair[2] = {q->text, q->answer};
            t->hash = rc__fingerprint(t->hash, pair, sizeof pair);
        }
        questions++;
    }
    if (s == RC_OK && t->n_train == 0) s = rc_fail(e, RC_EDATA, "no question is left to learn from: a smaller --valid-fraction");
    if (s == RC_OK) s = rc__epochs_new(&t->epochs, lengths, t->n_train, (size_t)o->batch, t->seed, false, e);
    rc__free(lengths, n * sizeof *lengths);
    t->base.validates = t->n_valid > 0;
    return s;
}

static rc_status report(answer_task *t, const rc_train_hooks *hooks, bool fresh, rc_error *e) {
    say_set(t, "training", t->train, t->n_train, hooks);
    if (t->n_valid) say_set(t, "validation", t->valid, t->n_valid, hooks);
    size_t twice = t->n_valid ? repeated(t, e) : 0;
    if (twice)
        rc__say(hooks, "validation: %zu of its questions (%.1f %%) are asked of the same sentences in the training data too", twice,
                100.0 * (double)twice / (double)t->n_valid);
    say_model(t, hooks);
    if (!fresh) return RC_OK;
    size_t *counts = rc__calloc(t->m->answers.count, sizeof *counts);
    if (!counts) return rc_fail(e, RC_ENOMEM, "no memory for %zu answers", t->m->answers.count);
    say_baseline(t, hooks, counts);
    rc__free(counts, t->m->answers.count * sizeof *counts);
    return RC_OK;
}

static rc_status answer_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                             rc_error *e) {
    const char *old = initial ? initial : o->from;
    corpus c = {.texts = rc__arena_new()};
    answer_task *t = rc__calloc(1, sizeof *t);
    if (!t || !c.texts) {
        rc__free(t, sizeof *t);
        rc__arena_free(c.texts);
        return rc_fail(e, RC_ENOMEM, "train: out of memory");
    }
    t->base.ops = &answer_ops;
    t->seed = (uint64_t)o->seed;
    t->linear_start = o->linear_start;
    rc_status s = o->batch > 4096 ? rc_fail(e, RC_EINVAL, "batch: expected at most 4096 questions, found %lld", (long long)o->batch) : RC_OK;
    if (s == RC_OK && strcmp(o->precision, "fp32") != 0)
        s = rc_fail(e, RC_EINVAL, "precision: these networks are small and compute in fp32, found %s", o->precision);
    if (s == RC_OK && old) s = old_model(&t->m, old, e); /* a bad model is told before data are read */
    rc_data_options data = t->m ? rc__data_merge(&o->data, &t->m->data) : o->data;
    for (size_t f = 0; s == RC_OK && f < o->n_files; f++) s = read_file(&c, o->files[f], &data, (uint32_t)f, hooks, e);
    size_t n = c.n;
    if (s == RC_OK && o->valid) s = read_file(&c, o->valid, &data, UINT32_MAX, hooks, e);
    for (size_t i = n; i < c.n; i++) c.at[i].validates = true;
    if (s == RC_OK && !o->valid && o->valid_fraction > 0) split(&c, o->valid_fraction);
    if (s == RC_OK && !t->m) s = new_model(&t->m, o, &c, e);
    if (s == RC_OK) s = make_sets(t, o, &c, o->from, e);
    if (s == RC_OK) s = report(t, hooks, !initial, e);
    corpus_free(&c);
    if (s != RC_OK) return answer_free(&t->base), s;
    *out = &t->base;
    return RC_OK;
}

static void answer_defaults(rc_train_options *o) {
    o->model = "memory";
    o->hops = 3;
    o->embedding = 20;
    o->layers = 1;
    o->hidden = 64;
    o->dropout = 0;
    o->lowercase = true;
    o->optimizer = "adam";
    o->lr = 0.01;
    o->weight_decay = 0;
    o->clip = 40;
    o->schedule = "step";
    o->schedule_every = 0.25;
    o->warmup = 0;
    o->batch = 32;
    o->epochs = 100;
}

const rc__task_kind rc__task_answer = {
    .name = "answer",
    .title = "a model that answers questions about stories",
    .options = "model hops embedding encoding temporal noise linear-start tying restarts ensemble blocks memory cell layers hidden "
               "lowercase format",
    .defaults = answer_defaults,
    .make = answer_make,
    .open = rc__answer_open,
    .model = {.document = rc__answer_document,
              .eval = rc__answer_eval,
              .predict = rc__answer_predict,
              .reasons = rc__answer_reasons,
              .explain = rc__answer_explain,
              .free = rc__answerer_free}};
