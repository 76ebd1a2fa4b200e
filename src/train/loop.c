/* loop.c - the training loop.
 *
 * A step:    accumulate times: next batch -> loss on the tape -> backward;  then one update, and the average follows.
 * An event:  every so often, after the update: validate, sample, keep the best, write a checkpoint. In this order, so
 *            that a checkpoint tells all that was known at its step and a resumed run repeats nothing.
 *
 * Nothing that decides the weights depends on the clock unless the budget is one of time: with --steps or --epochs the
 * same seed gives the same bits, stopped and resumed or not. */
#include "train/loop.h"
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "autograd/tape_internal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernels/gemm.h"
#include "train/options.h"

#define LOSS_MEMORY      0.98 /* smoothed training loss: about 50 steps */
#define LOG_EVERY        10   /* steps between lines of metrics.jsonl, or a multiple of it ... */
#define LOG_LINES        1000 /* ... so that a run in steps or epochs has about as many */
#define LOG_SECONDS      0.25 /* with a budget of time: at least this long between them */
#define STATUS_SECONDS   5.0
#define VALIDATIONS      20   /* in a run, when --valid-every is 0 */
#define VALIDATION_SHARE 0.05 /* of a time budget that validations may take */
#define WARMUP_SHARE     0.1  /* of the run that --warmup may take */
#define SWA_START        0.75 /* share of the run before SWA begins: the mean is taken where the loss is flat */

/* ---- small parts ------------------------------------------------------------------------------------------------- */

rc_status rc__train_optim_options(const rc_train_options *o, rc_optim_options *out, rc_error *e) {
    *out = rc_optim_options_default();
    if (!rc_optim_from_name(o->optimizer, &out->kind))
        return rc_fail(e, RC_EINVAL, "optimizer: expected sgd, rmsprop, adagrad, adam or adamw, found \"%s\"",
                       o->optimizer);
    out->momentum = o->momentum;
    out->nesterov = o->nesterov;
    out->alpha = o->alpha;
    out->beta1 = o->beta1;
    out->beta2 = o->beta2;
    out->eps = o->eps;
    out->weight_decay = o->weight_decay;
    out->clip_norm = o->clip;
    out->clip_value = o->clip_value;
    return RC_OK;
}

rc_status rc__train_schedule(const rc_train_options *o, rc_schedule *out, rc_error *e) {
    rc_schedule_kind kind;
    if (!rc_schedule_from_name(o->schedule, &kind))
        return rc_fail(
            e, RC_EINVAL,
            "schedule: expected constant, step, exponential, cosine, one-cycle, inverse-sqrt or plateau, found \"%s\"",
            o->schedule);
    *out = rc_schedule_default(kind);
    out->warmup = (uint64_t)o->warmup;
    if (o->schedule_gamma > 0) out->gamma = o->schedule_gamma;
    if (o->schedule_floor >= 0) out->floor = o->schedule_floor;
    out->every = o->schedule_every;
    out->peak_at = o->schedule_peak;
    out->patience = (int)o->schedule_patience;
    return RC_OK;
}

rc_status rc__train_average_kind(const rc_train_options *o, rc_average_kind *out, rc_error *e) {
    static const char *const names[] = {"none", "ema", "swa"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(o->average, names[i])) return *out = (rc_average_kind)i, RC_OK;
    return rc_fail(e, RC_EINVAL, "average: expected none, ema or swa, found \"%s\"", o->average);
}

rc_status rc__train_check_task(rc__task *task, const rc_train_options *o, rc_error *e) {
    rc_schedule schedule;
    rc_status s = rc__train_schedule(o, &schedule, e);
    if (s == RC_OK && !task->validates && (o->patience > 0 || schedule.kind == RC_SCHEDULE_PLATEAU))
        s = rc_fail(e, RC_EINVAL, "%s needs validation data: give --valid FILE or a --valid-fraction above 0",
                    o->patience > 0 ? "--patience" : "--schedule plateau");
    return s == RC_OK ? rc__train_param_groups(o, task->ops->params(task), e) : s;
}

/* The next entry of a comma separated list, without blanks around it; false at the end. */
static bool next_entry(const char **list, char *out, size_t cap, bool *fits) {
    const char *p = *list;
    while (*p == ',' || *p == ' ') p++;
    if (!*p) return false;
    size_t n = strcspn(p, ",");
    *list = p + n;
    while (n > 0 && p[n - 1] == ' ') n--;
    *fits = n < cap;
    snprintf(out, cap, "%.*s", (int)(*fits ? n : cap - 1), p);
    return true;
}

rc_status rc__train_param_groups(const rc_train_options *o, rc_params *ps, rc_error *e) {
    char entry[256];
    bool fits = true;
    for (const char *list = o->freeze ? o->freeze : ""; next_entry(&list, entry, sizeof entry, &fits);) {
        if (!fits) return rc_fail(e, RC_EINVAL, "freeze: the pattern \"%s...\" is too long", entry);
        if (rc_params_freeze(ps, entry) == 0)
            return rc_fail(e, RC_EINVAL, "freeze: no parameter matches \"%s\" (the first is called \"%s\")", entry,
                           rc_params_count(ps) ? rc_params_at(ps, 0)->name : "");
    }
    for (const char *list = o->lr_groups ? o->lr_groups : ""; next_entry(&list, entry, sizeof entry, &fits);) {
        char *equals = strrchr(entry, '='), *end = NULL;
        double factor = equals ? strtod(equals + 1, &end) : NAN;
        if (!fits || !equals || end == equals + 1 || *end || !isfinite(factor) || factor < 0)
            return rc_fail(e, RC_EINVAL, "lr-groups: expected PATTERN=FACTOR with a factor of 0 or more, found \"%s\"",
                           entry);
        *equals = 0;
        size_t hits = 0;
        for (size_t i = 0; i < rc_params_count(ps); i++) {
            rc_param *p = rc_params_at(ps, i);
            if (fnmatch(entry, p->name, 0) != 0) continue;
            p->lr_scale = factor;
            hits++;
        }
        if (hits == 0) return rc_fail(e, RC_EINVAL, "lr-groups: no parameter matches \"%s\"", entry);
    }
    bool any = false;
    for (size_t i = 0; i < rc_params_count(ps); i++) any = any || !rc_params_at(ps, i)->frozen;
    return any ? RC_OK : rc_fail(e, RC_EINVAL, "freeze: every parameter is frozen, nothing is left to train");
}

static double norm_of(const rc_real *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static size_t resident_bytes(void) {
    struct rusage r;
    return getrusage(RUSAGE_SELF, &r) == 0 ? (size_t)r.ru_maxrss * 1024 : 0;
}

/* ---- where in the run -------------------------------------------------------------------------------------------- */

static double elapsed(const rc__trainer *t) { return t->seconds_before + (rc__now() - t->started); }
static double epochs_done(const rc__trainer *t) { return t->task->ops->epochs(t->task); }
static double smoothed_loss(const rc__trainer *t) {
    return t->at.loss_weight > 0 ? t->at.loss_sum / t->at.loss_weight : NAN;
}

/* The share of the budget that is spent, 0..1: that of the limit which will be hit first. The last validation comes out
 * of a time budget too. */
static double progress(const rc__trainer *t) {
    const rc_train_options *o = t->o;
    double p = 0;
    if (o->steps > 0) p = fmax(p, (double)t->at.step / (double)o->steps);
    if (o->epochs > 0) p = fmax(p, epochs_done(t) / o->epochs);
    if (o->time > 0) p = fmax(p, elapsed(t) / fmax(o->time - t->valid_cost, 0.5 * o->time));
    return fmin(p, 1);
}

static bool finished(const rc__trainer *t) {
    const rc_train_options *o = t->o;
    if (t->stopped_early || t->at.solved) return true;
    if (o->steps > 0 && t->at.step >= (uint64_t)o->steps) return true;
    if (o->epochs > 0 && epochs_done(t) >= o->epochs - 1e-9) return true;
    return o->time > 0 && elapsed(t) >= fmax(o->time - t->valid_cost, 0.5 * o->time);
}

static rc_train_progress report(const rc__trainer *t) {
    double p = progress(t), seconds = elapsed(t);
    double left = t->o->time > 0 && t->o->steps == 0 && t->o->epochs == 0 ? t->o->time - seconds
                  : p > 0                                                 ? seconds * (1 - p) / p
                                                                          : NAN;
    return (rc_train_progress){.step = t->at.step,
                               .steps = t->steps_limit,
                               .epoch = epochs_done(t),
                               .progress = p,
                               .seconds = seconds,
                               .seconds_left = fmax(left, 0),
                               .loss = smoothed_loss(t),
                               .lr = t->lr_now,
                               .grad_norm = t->grad_norm,
                               .tokens_per_second = t->rate,
                               .tokens = t->at.tokens};
}

/* Steps between validations, from what is known without the clock; 0 = only by time. */
static uint64_t validation_interval(const rc__trainer *t) {
    const rc_train_options *o = t->o;
    if (o->valid_every > 0) return (uint64_t)o->valid_every;
    double steps = (double)t->steps_limit;
    if (steps <= 0) return 0;
    return (uint64_t)fmax(1, floor(steps / VALIDATIONS));
}

/* Of all limits in steps; 0 = none. */
static uint64_t limit_in_steps(const rc__trainer *t) {
    const rc_train_options *o = t->o;
    double n = o->steps > 0 ? (double)o->steps : INFINITY;
    double per_epoch = t->task->ops->batches_per_epoch(t->task) / (double)o->accumulate;
    if (o->epochs > 0 && per_epoch > 0) n = fmin(n, ceil(o->epochs * per_epoch));
    return isfinite(n) ? (uint64_t)fmax(1, n) : 0;
}

/* Is a validation due once the coming step is done? */
static bool validation_due(const rc__trainer *t) {
    if (t->valid_interval && (t->at.step + 1) % t->valid_interval == 0) return true;
    if (t->o->valid_every > 0 || t->o->time <= 0) return false;
    double every = fmax(t->o->time / VALIDATIONS, t->valid_cost / VALIDATION_SHARE);
    return elapsed(t) - t->last_valid_at >= every;
}

static bool checkpoint_due(const rc__trainer *t) {
    return t->o->checkpoint_every > 0 && t->at.step % (uint64_t)t->o->checkpoint_every == 0;
}

/* With a budget of steps or epochs the lines of a run are a function of its options, stopped and resumed or not. */
static bool log_due(const rc__trainer *t, double seconds) {
    uint64_t every = LOG_EVERY;
    if (t->o->time <= 0) every *= 1 + (t->steps_limit ? (t->steps_limit - 1) / ((uint64_t)LOG_EVERY * LOG_LINES) : 0);
    if (t->at.step % every != 0) return false;
    return t->o->time <= 0 || seconds - t->last_log_at >= LOG_SECONDS;
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

static json_t *status_json(const rc__trainer *t, const char *state, const char *why) {
    json_t *v =
        json_pack("{ss sI sI sf sf so so so sI so sI so sf sI sf sf}", "state", state, "pid", (json_int_t)getpid(),
                  "step", (json_int_t)t->at.step, "epochs", epochs_done(t), "seconds", elapsed(t), "progress",
                  rc__real_or_null(progress(t)), "train_loss", rc__real_or_null(smoothed_loss(t)), "best_valid_loss",
                  rc__real_or_null(t->at.best), "best_step", (json_int_t)t->at.best_step, "last_valid_loss",
                  rc__real_or_null(t->at.last_valid), "tokens", (json_int_t)t->at.tokens, "accuracy",
                  rc__real_or_null(t->at.accuracy), "tokens_per_second",
                  t->at.train_seconds > 0 ? (double)t->at.tokens / t->at.train_seconds : 0.0, "parameters",
                  (json_int_t)rc_params_len(t->ps), "created", t->run->created, "updated", rc__wall_time());
    if (v && why) json_object_set_new(v, "error", json_string(why));
    return v;
}

/* A run outlives its folder. */
static rc_status hold_folder(rc__trainer *t, rc_error *e) {
    bool remade = false;
    rc_status s = t->run ? rc__run_hold(t->run, &remade, e) : RC_OK;
    if (s != RC_OK || !remade) return s;
    t->owes_checkpoint = true;
    rc__say(t->hooks, "%s: the run folder was deleted or moved while training; it is made anew, without what had "
                            "been logged and saved", t->run->path);
    return RC_OK;
}

static rc_status write_status(rc__trainer *t, const char *state, const char *why, rc_error *e) {
    if (!t->run) return RC_OK;
    char path[600];
    rc_status s = rc__run_file(t->run, "status.json", path, sizeof path, e);
    if (s != RC_OK) return s;
    json_t *v = status_json(t, state, why);
    s = v ? rc__json_write(v, path, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    json_decref(v);
    t->last_status_at = elapsed(t);
    return s;
}

static rc_status log_step(rc__trainer *t, const rc_train_progress *p, rc_error *e) {
    if (!t->run) return RC_OK;
    json_t *v = json_pack("{sI sf sf so sf so sf sI sI}", "step", (json_int_t)p->step, "epoch", p->epoch, "seconds",
                          p->seconds, "loss", rc__real_or_null(p->loss), "lr", p->lr, "grad_norm",
                          rc__real_or_null(p->grad_norm), "tokens_per_second", p->tokens_per_second, "memory",
                          (json_int_t)rc_memory_used(), "memory_resident", (json_int_t)resident_bytes());
    rc_status s = rc__run_metrics(t->run, v, e);
    json_decref(v);
    double now = rc__wall_time();
    rc__tfevents *w = t->run->events;
    rc__tfevents_scalar(w, now, p->step, "train/loss", p->loss);
    rc__tfevents_scalar(w, now, p->step, "train/learning_rate", p->lr);
    rc__tfevents_scalar(w, now, p->step, "train/grad_norm", p->grad_norm);
    rc__tfevents_scalar(w, now, p->step, "train/tokens_per_second", p->tokens_per_second);
    rc__tfevents_scalar(w, now, p->step, "train/memory_bytes", (double)rc_memory_used());
    if (s == RC_OK) s = rc__tfevents_flush(w, e);
    t->last_log_at = p->seconds;
    if (s != RC_OK || p->seconds - t->last_status_at < STATUS_SECONDS) return s;
    s = hold_folder(t, e);
    return s == RC_OK ? write_status(t, "running", NULL, e) : s;
}

/* Norms of every parameter and of its gradient: where learning stalls or blows up shows here first. */
static rc_status log_validation(rc__trainer *t, const rc__task_score *score, bool improved, rc_error *e) {
    if (!t->run) return RC_OK;
    json_t *weights = json_object(), *grads = json_object();
    double now = rc__wall_time();
    rc__tfevents *w = t->run->events;
    char tag[300];
    for (size_t i = 0; i < rc_params_count(t->ps); i++) {
        const rc_param *p = rc_params_at(t->ps, i);
        double norm = norm_of(p->w, p->len);
        json_object_set_new(weights, p->name, rc__real_or_null(norm));
        snprintf(tag, sizeof tag, "weight_norm/%s", p->name);
        rc__tfevents_scalar(w, now, t->at.step, tag, norm);
        if (t->norms_step != t->at.step) continue; /* the end of a budget of time is not known before the step */
        json_object_set_new(grads, p->name, rc__real_or_null(t->param_norms[i]));
        snprintf(tag, sizeof tag, "grad_norm/%s", p->name);
        rc__tfevents_scalar(w, now, t->at.step, tag, t->param_norms[i]);
    }
    json_t *v = json_pack("{sI sf sf so so sb so so so}", "step", (json_int_t)t->at.step, "epoch", epochs_done(t),
                          "seconds", elapsed(t), "valid_loss", rc__real_or_null(score->loss), "best_valid_loss",
                          rc__real_or_null(t->at.best), "improved", (int)improved, "accuracy",
                          rc__real_or_null(score->accuracy), "grad_norms", grads, "weight_norms", weights);
    rc_status s = rc__run_metrics(t->run, v, e);
    json_decref(v);
    rc__tfevents_scalar(w, now, t->at.step, "valid/loss", score->loss);
    if (isfinite(score->accuracy)) rc__tfevents_scalar(w, now, t->at.step, "valid/accuracy", score->accuracy);
    if (s == RC_OK) s = rc__tfevents_flush(w, e);
    return s;
}

/* ---- model files ------------------------------------------------------------------------------------------------- */

/* What made the model. Nothing here depends on clock, machine or folder: same run, same file. */
static char *provenance(const rc__trainer *t, double valid_loss, uint64_t step, double epochs, size_t *len) {
    json_t *options = rc__train_config_json(t->o);
    static const char *const local[] = {
        "recur",   "task",  "files", "valid", "valid-fraction",   "out",          "run",           "resume",
        "threads", "quiet", "json",  "keep",  "checkpoint-every", "sample-every", "sample-length", "sample-prompt"};
    for (size_t i = 0; options && i < sizeof local / sizeof *local; i++) json_object_del(options, local[i]);
    json_t *files = json_array();
    for (size_t i = 0; files && i < t->o->n_files; i++) json_array_append_new(files, json_string(t->o->files[i]));
    json_t *v =
        json_pack("{ss so so sf sI sf so so}", "recur", RC_VERSION, "files", files, "valid",
                  t->o->valid ? json_string(t->o->valid) : json_null(), "valid_fraction", t->o->valid_fraction, "steps",
                  (json_int_t)step, "epochs", epochs, "valid_loss", rc__real_or_null(valid_loss), "options", options);
    char *text = NULL;
    if (v && rc__json_print(v, &text, len, NULL) != RC_OK) text = NULL;
    json_decref(v);
    return text;
}

static rc_status save_model(rc__trainer *t, const char *path, bool best, rc_error *e) {
    const rc__position *p = &t->at;
    size_t len = 0;
    char *text = best ? provenance(t, p->best, p->best_step, p->best_epoch, &len)
                      : provenance(t, p->last_valid, p->step, epochs_done(t), &len);
    if (!text) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = t->task->ops->save(t->task, path, text, e);
    rc__free(text, len + 1);
    return s;
}

static rc_status save_checkpoint(rc__trainer *t, rc_error *e) {
    if (!t->run) return RC_OK;
    char path[600];
    t->at.seconds = elapsed(t);
    rc_status s = hold_folder(t, e);
    if (s == RC_OK) s = rc__run_sync_logs(t->run, &t->at.logs, e);
    if (s == RC_OK) s = rc__run_checkpoint_path(t->run->path, t->at.step, path, sizeof path, e);
    if (s == RC_OK) s = rc__checkpoint_save(t, path, e);
    if (s != RC_OK) return s;
    rc__run_prune(t->run->path, (size_t)t->o->keep);
    t->owes_checkpoint = false;
    return RC_OK;
}

/* ---- validation -------------------------------------------------------------------------------------------------- */

static rc_status show_sample(rc__trainer *t, rc_error *e) {
    if (!t->task->ops->sample || t->o->sample_length <= 0) return RC_OK;
    char *text = NULL;
    size_t len = 0;
    rc_status s = t->task->ops->sample(t->task, t->o, t->at.step, &text, &len, e);
    if (s == RC_OK && t->hooks->on_sample) t->hooks->on_sample(t->hooks->ctx, t->at.step, text, len);
    if (s == RC_OK && t->run) {
        s = rc__run_sample(t->run, t->at.step, text, len, e);
        rc__tfevents_text(t->run->events, rc__wall_time(), t->at.step, "sample", text, len);
        if (s == RC_OK) s = rc__tfevents_flush(t->run->events, e);
    }
    rc_text_free(text, len);
    return s;
}

static bool average_ready(const rc__trainer *t) { return t->average && rc_average_count(t->average) > 0; }

/* With the weights to keep (averaged ones when averaging) in place. */
static rc_status judge(rc__trainer *t, bool sample, rc__task_score *score, bool *improved, rc_error *e) {
    *score = (rc__task_score){.loss = NAN, .accuracy = NAN, .criterion = NAN};
    *improved = false;
    rc_status s = RC_OK;
    t->at.last_valid_step = t->at.step;
    if (t->task->validates) {
        s = t->task->ops->validate(t->task, t->tape, score, e);
        if (s != RC_OK) return s;
        t->at.last_valid = score->loss;
        t->at.accuracy = score->accuracy;
        double criterion = isnan(score->criterion) ? score->loss : score->criterion;
        if (isfinite(criterion) && isfinite(score->loss) && !(criterion >= t->at.best_criterion)) { /* NaN at first */
            *improved = true;
            t->at.best = score->loss;
            t->at.best_criterion = criterion;
            t->at.best_accuracy = score->accuracy;
            t->at.best_step = t->at.step;
            t->at.best_epoch = epochs_done(t);
            t->at.bad_validations = 0;
            memcpy(t->best_values, rc_params_values(t->ps), rc_params_block_len(t->ps) * sizeof(rc_real));
            char path[600];
            if (t->run) s = rc__run_file(t->run, "checkpoints/best.safetensors", path, sizeof path, e);
            if (t->run && s == RC_OK) s = save_model(t, path, true, e);
        } else {
            t->at.bad_validations++;
        }
        rc_schedule_observe(&t->schedule, criterion);
    }
    if (s == RC_OK && sample) s = show_sample(t, e);
    return s;
}

static rc_status event(rc__trainer *t, bool sample, rc_error *e) {
    double began = elapsed(t);
    rc__task_score score;
    bool improved, swapped = average_ready(t);
    rc_status s = hold_folder(t, e);
    if (s != RC_OK) return s;
    if (swapped) rc_average_swap(t->average);
    s = judge(t, sample, &score, &improved, e);
    if (swapped) rc_average_swap(t->average);
    if (s != RC_OK) return s;
    if (t->task->validates) {
        s = log_validation(t, &score, improved, e);
        rc_train_progress p = report(t);
        rc_train_validation v = {t->at.step, score.loss, t->at.best, score.accuracy, improved};
        if (s == RC_OK && t->hooks->on_validation) t->hooks->on_validation(t->hooks->ctx, &p, &v);
        if (t->o->patience > 0 && t->at.bad_validations >= t->o->patience) t->stopped_early = true;
        if (score.solved) t->at.solved = true;
    }
    if (s == RC_OK) s = save_checkpoint(t, e);
    if (s == RC_OK && t->run) s = write_status(t, "running", NULL, e);
    t->last_valid_at = elapsed(t);
    t->valid_cost = t->last_valid_at - began;
    return s;
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* Says what is not finite, and where the data and the last good checkpoint are. */
static rc_status diverged(rc__trainer *t, const char *what, rc_error *e) {
    char where[256] = "", last[700] = "";
    t->task->ops->where(t->task, where, sizeof where);
    uint64_t step;
    size_t n = 0;
    char path[600];
    if (t->run && rc__run_checkpoints(t->run->path, &step, 1, &n, NULL) == RC_OK && n > 0 &&
        rc__run_checkpoint_path(t->run->path, step, path, sizeof path, NULL) == RC_OK)
        snprintf(last, sizeof last, "; the last good checkpoint is %s", path);
    return rc_fail(e, RC_EDIVERGED, "step %llu: %s, in the batch at %s%s; a lower --lr or --clip may help",
                   (unsigned long long)t->at.step + 1, what, where, last);
}

static const char *not_finite(double v) {
    return isnan(v) ? "nan" : "inf";
} /* a sign says nothing, and printf gives one */

static rc_status bad_loss(rc__trainer *t, double loss, rc_error *e) {
    char what[400];
    const rc_param *largest = NULL;
    double most = -1;
    for (size_t i = 0; i < rc_params_count(t->ps); i++) {
        const rc_param *p = rc_params_at(t->ps, i);
        for (size_t k = 0; k < p->len; k++) {
            double w = fabs((double)p->w[k]);
            if (!isfinite(w)) {
                snprintf(what, sizeof what, "the loss is %s because \"%s\" holds %s", not_finite(loss), p->name,
                         not_finite(w));
                return diverged(t, what, e);
            }
            if (w > most) most = w, largest = p;
        }
    }
    const rc__node *bad = rc__tape_first_bad(t->tape);
    snprintf(what, sizeof what,
             "the loss is %s with finite weights: the first tensor that is not finite is the output of %s %s; the "
             "largest weight is %.3g, in \"%s\"",
             not_finite(loss), bad ? bad->op : "the loss", bad ? rc__shape_text(bad->out.ndim, bad->out.dim) : "", most,
             largest ? largest->name : "?");
    return diverged(t, what, e);
}

static rc_status accumulate_gradients(rc__trainer *t, double *loss, size_t *tokens, rc_error *e) {
    const rc_train_options *o = t->o;
    *loss = 0;
    *tokens = 0;
    for (int64_t i = 0; i < o->accumulate; i++) {
        rc__task_step info = {0};
        rc_tape_begin(t->tape, (rc_tape_mode){.grad = true,
                                              .training = true,
                                              .seed = (uint64_t)o->seed,
                                              .step = t->at.step * (uint64_t)o->accumulate + (uint64_t)i});
        rc_var *l = t->task->ops->next_loss(t->task, t->tape, &info);
        rc_status s = rc_tape_status(t->tape, e);
        if (s != RC_OK) return s;
        if (!isfinite(l->x[0])) return bad_loss(t, (double)l->x[0], e);
        s = rc_backward(t->tape, l, 1.0 / (double)o->accumulate, e);
        if (s != RC_OK) return s;
        *loss += (double)l->x[0] / (double)o->accumulate;
        *tokens += info.tokens;
    }
    return RC_OK;
}

/* Under a time budget the number of steps is known only from the rate so far; a warm-up takes a tenth of it
 * at most. */
static double scheduled_factor(const rc__trainer *t, double p) {
    rc_schedule sch = t->schedule;
    if (!t->steps_limit && t->at.step > 0 && p > 0) {
        double most = WARMUP_SHARE * (double)t->at.step / p;
        if ((double)sch.warmup > most) sch.warmup = (uint64_t)most;
    }
    return rc_schedule_factor(&sch, t->at.step, p);
}

static rc_status one_step(rc__trainer *t, bool norms, rc_error *e) {
    double loss;
    size_t tokens;
    if (t->task->ops->before_step) t->task->ops->before_step(t->task, progress(t));
    rc_status s = accumulate_gradients(t, &loss, &tokens, e);
    if (s != RC_OK) return s;
    if (norms) t->norms_step = t->at.step + 1;
    if (norms)
        for (size_t i = 0; i < rc_params_count(t->ps); i++)
            t->param_norms[i] = norm_of(rc_params_at(t->ps, i)->g, rc_params_at(t->ps, i)->len);
    double p = progress(t);
    t->lr_now = t->lr * scheduled_factor(t, p);
    rc_optim_report r = {0};
    s = rc_optim_step(t->optim, t->lr_now, &r, e);
    if (s == RC_EDIVERGED) {
        char what[400];
        snprintf(what, sizeof what, "the gradient of \"%s\" is not finite (loss %g)", r.bad ? r.bad->name : "?", loss);
        return diverged(t, what, e);
    }
    if (s != RC_OK) return s;
    bool swa = t->average && !strcmp(t->o->average, "swa");
    if (t->average && (!swa || p >= SWA_START)) rc_average_update(t->average);
    t->grad_norm = r.grad_norm;
    t->at.step++;
    t->at.tokens += tokens;
    t->at.loss_sum = LOSS_MEMORY * t->at.loss_sum + (1 - LOSS_MEMORY) * loss;
    t->at.loss_weight = LOSS_MEMORY * t->at.loss_weight + (1 - LOSS_MEMORY);
    return RC_OK;
}

static void measure_rate(rc__trainer *t, double seconds, uint64_t tokens) {
    t->at.train_seconds += seconds;
    if (seconds <= 0) return;
    double now = (double)tokens / seconds, keep = exp(-seconds / 2); /* about the last two seconds */
    t->rate = t->rate > 0 ? keep * t->rate + (1 - keep) * now : now;
}

static bool pause_asked(const rc__trainer *t) {
    if (!t->hooks->pause) return false;
    rc_train_progress p = report(t);
    return t->hooks->pause(t->hooks->ctx, &p, t->at.step > 0 && t->at.last_valid_step == t->at.step);
}

static rc_status run_steps(rc__trainer *t, rc_error *e) {
    rc_status s = RC_OK;
    bool sampled_event = t->o->sample_every == 0;
    while (!finished(t)) {
        if (rc__train_interrupted() || pause_asked(t)) {
            t->interrupted = true;
            return save_checkpoint(t, e);
        }
        bool validate = validation_due(t);
        double began = rc__now();
        uint64_t before = t->at.tokens;
        s = one_step(t, validate || t->at.step + 1 == t->steps_limit, e); /* norms: the end is an event too */
        if (s != RC_OK) return s;
        measure_rate(t, rc__now() - began, t->at.tokens - before);
        rc_train_progress p = report(t);
        if (t->at.step == 1 || validate || log_due(t, p.seconds)) s = log_step(t, &p, e);
        if (s == RC_OK && t->hooks->on_step) t->hooks->on_step(t->hooks->ctx, &p);
        bool sample = !sampled_event && t->at.step % (uint64_t)t->o->sample_every == 0;
        if (s == RC_OK && validate)
            s = event(t, sampled_event || sample, e);
        else if (s == RC_OK && sample) {
            bool swapped = average_ready(t);
            if (swapped) rc_average_swap(t->average);
            s = show_sample(t, e);
            if (swapped) rc_average_swap(t->average);
        }
        if (s == RC_OK && !validate && (checkpoint_due(t) || t->owes_checkpoint)) s = save_checkpoint(t, e);
        if (s != RC_OK) return s;
    }
    /* The end of the run is an event too, unless the last step was one. */
    if (t->at.last_valid_step != t->at.step || t->at.step == 0) s = event(t, sampled_event, e);
    return s;
}

/* ---- setting up and the end -------------------------------------------------------------------------------------- */

static rc_status set_up(rc__trainer *t, rc_error *e) {
    const rc_train_options *o = t->o;
    rc_optim_options oo;
    rc_average_kind average = RC_AVERAGE_NONE;
    rc_status s = rc__train_check_task(t->task, o, e);
    if (s == RC_OK) s = rc__train_optim_options(o, &oo, e);
    if (s == RC_OK) s = rc__train_schedule(o, &t->schedule, e);
    if (s == RC_OK) s = rc__train_average_kind(o, &average, e);
    if (s == RC_OK) s = rc_tape_new(&t->tape, e);
    if (s == RC_OK) s = rc_optim_new(&t->optim, t->ps, &oo, e);
    if (s == RC_OK) s = rc_average_new(&t->average, t->ps, average, o->average_decay, e);
    if (s != RC_OK) return s;
    t->lr = rc__train_lr(o);
    size_t n = rc_params_block_len(t->ps);
    t->param_norms = rc__calloc(rc_params_count(t->ps), sizeof *t->param_norms);
    if (t->task->validates) t->best_values = rc__calloc(n, sizeof *t->best_values);
    if (!t->param_norms || (t->task->validates && !t->best_values))
        return rc_fail(e, RC_ENOMEM, "train: out of memory");
    rc_params_zero_grad(t->ps);
    t->at.best = t->at.best_criterion = t->at.best_accuracy = t->at.last_valid = t->at.accuracy = NAN;
    t->steps_limit = limit_in_steps(t);
    /* A warm-up as long as the run would never reach the rate. */
    uint64_t most = (uint64_t)(WARMUP_SHARE * (double)t->steps_limit);
    if (t->steps_limit && t->schedule.warmup > most) t->schedule.warmup = most;
    t->valid_interval = validation_interval(t);
    return RC_OK;
}

/* *found: false when the run was stopped before its first checkpoint; then it begins. */
static rc_status load_last_checkpoint(rc__trainer *t, bool *found, rc_error *e) {
    uint64_t step;
    size_t n;
    char path[600];
    *found = false;
    rc_status s = rc__run_checkpoints(t->run->path, &step, 1, &n, e);
    if (s == RC_OK && n == 0)
        return rc__say(t->hooks, "resuming %s from the beginning: it has no checkpoint yet", t->run->path), RC_OK;
    if (s == RC_OK) s = rc__run_checkpoint_path(t->run->path, step, path, sizeof path, e);
    if (s == RC_OK) s = rc__checkpoint_load(t, path, e);
    if (s == RC_OK && t->at.step != step)
        s = rc_fail(e, RC_EMODEL, "%s: is the checkpoint of step %llu, not of the step in its name", path,
                    (unsigned long long)t->at.step);
    if (s != RC_OK) return s;
    *found = true;
    rc__say(t->hooks, "resuming %s from step %llu", t->run->path, (unsigned long long)step);
    if (t->o->patience > 0 && t->at.bad_validations >= t->o->patience) {
        t->stopped_early = true; /* its process ended before it could say so */
        rc__say(t->hooks, "it had stopped early at that step; a larger --patience goes on");
    }
    return RC_OK;
}

/* Leaves in the parameters what is to be kept, and the last weights in final.safetensors when those are others. */
static rc_status keep_best(rc__trainer *t, rc_error *e) {
    bool has_best = t->best_values && isfinite(t->at.best);
    if (average_ready(t)) rc_average_swap(t->average);
    if (!has_best || t->at.best_step == t->at.step) return RC_OK; /* the (averaged) weights in place are those */
    rc_status s = RC_OK;
    char path[600];
    if (t->run) s = rc__run_file(t->run, "checkpoints/final.safetensors", path, sizeof path, e);
    if (t->run && s == RC_OK) s = save_model(t, path, false, e);
    if (s != RC_OK) return s;
    memcpy(rc_params_values(t->ps), t->best_values, rc_params_block_len(t->ps) * sizeof(rc_real));
    rc_params_changed(t->ps);
    return RC_OK;
}

static rc_status save_result(rc__trainer *t, rc_train_result *r, rc_error *e) {
    const rc_train_options *o = t->o;
    if (!t->run && !o->out) return RC_OK;
    rc_status s = RC_OK;
    if (o->out)
        snprintf(r->model, sizeof r->model, "%s", o->out);
    else
        s = rc__run_file(t->run, "model.safetensors", r->model, sizeof r->model, e);
    bool has_best = t->best_values && isfinite(t->at.best);
    if (s == RC_OK) s = save_model(t, r->model, has_best, e);
    if (s != RC_OK) r->model[0] = 0;
    return s;
}

static void fill_result(const rc__trainer *t, rc_train_result *r) {
    r->steps = t->at.step;
    r->epochs = epochs_done(t);
    r->seconds = elapsed(t);
    r->train_loss = smoothed_loss(t);
    r->best_valid_loss = t->at.best;
    r->best_step = t->at.best_step;
    r->best_criterion = t->at.best_criterion;
    r->best_accuracy = t->at.best_accuracy;
    r->tokens = t->at.tokens;
    r->tokens_per_second = t->at.train_seconds > 0 ? (double)t->at.tokens / t->at.train_seconds : 0;
    r->parameters = rc_params_len(t->ps);
    r->accuracy = t->at.accuracy;
    r->solved = t->at.solved;
    r->stopped_early = t->stopped_early;
    r->interrupted = t->interrupted;
}

rc_status rc__train_loop(rc__task *task, const rc_train_options *o, const rc_train_hooks *hooks, rc__run *run,
                         bool resume, rc_train_result *result, rc_error *e) {
    static const rc_train_hooks none = {0};
    rc_error local;
    if (!e) e = &local;
    rc__trainer t = {.o = o, .hooks = hooks ? hooks : &none, .task = task, .run = run, .ps = task->ops->params(task)};
    t.started = rc__now();
    rc_status s = set_up(&t, e);
    bool goes_on = false;
    if (s == RC_OK && resume) s = load_last_checkpoint(&t, &goes_on, e);
    if (s == RC_OK && goes_on) rc__run_prune(run->path, (size_t)o->keep); /* its process may not have come to it */
    t.started = rc__now();
    t.seconds_before = t.at.seconds;
    t.last_valid_at = t.last_log_at = t.seconds_before;
    t.last_log_at -= LOG_SECONDS;
    bool logs = false;
    if (s == RC_OK && run) {
        s = rc__run_open_logs(run, goes_on ? &t.at.logs : NULL, t.at.step, e);
        if (s == RC_OK) s = write_status(&t, "running", NULL, e);
        logs = s == RC_OK;
    }
    if (s == RC_OK) s = run_steps(&t, e);
    if (t.ps && t.optim) fill_result(&t, result);
    if (s == RC_OK && t.interrupted) {
        s = rc_fail(e, RC_EINTERRUPTED, "interrupted after step %llu%s%s", (unsigned long long)t.at.step,
                    run ? "; go on with --resume " : "", run ? run->path : "");
    } else if (s == RC_OK) {
        s = hold_folder(&t, e);
        if (s == RC_OK && t.owes_checkpoint) s = save_checkpoint(&t, e);
        if (s == RC_OK) s = keep_best(&t, e);
        if (s == RC_OK) s = save_result(&t, result, e);
    }
    /* The status is all that is written after a failure; when that fails too the first message is the one to tell. */
    if (run && run->lost) {
        result->run[0] = 0; /* what is there is another's */
    } else if (logs || (run && s != RC_OK && (t.optim || !resume))) { /* a new folder always tells what became of it */
        rc_status told = write_status(&t,
                                      s == RC_OK             ? "done"
                                      : s == RC_EINTERRUPTED ? "interrupted"
                                                             : "failed",
                                      s == RC_OK || s == RC_EINTERRUPTED ? NULL : e->text, s == RC_OK ? e : NULL);
        if (s == RC_OK) s = told;
    }
    rc__free(t.best_values, rc_params_block_len(t.ps) * sizeof *t.best_values);
    rc__free(t.param_norms, rc_params_count(t.ps) * sizeof *t.param_norms);
    rc_average_free(t.average);
    rc_optim_free(t.optim);
    rc_tape_free(t.tape);
    return s;
}
