/* tune.c - random search with successive halving over ordinary runs.
 *
 *     FOLDER/config.json    what all trials have in common; "time" is that of one trial
 *            tune.json      the search: space, trials, rungs, time
 *            trials.jsonl   a line for each trial and rung
 *            status.json    how far it is
 *            trial-NNN/     run folders
 *
 * All that decides which trials there are is in the first two, and all that was found out in the third: a search that
 * goes on draws the trials again, takes their scores from there, and trains what is missing. A trial has its whole
 * budget from the start and pauses at the end of its rung, so that its schedule is that of the run it will be. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "train/loop.h"
#include "train/options.h"
#include "train/tune.h"

#define ETA         3
#define MOST_TRIALS 1000
#define MOST_RUNGS  4
#define REDRAWS     200         /* of a trial like an earlier one: then the space is as good as used up */
#define STREAM      0x74756e65u /* of the draws; mixed with the seed */
#define NEAR_SHARE  0.85        /* a rung ends at a validation: at one a little before it rather than far behind */
#define TIME_SHARE  0.9         /* of the time that trials get; reading data and the like take the rest */
#define JSON_LIMIT  ((size_t)1 << 20)

typedef struct trial {
    rc_train_options o;
    rc_tune_trial last;       /* of its last rung */
    double score[MOST_RUNGS]; /* by rung */
    int rungs;                /* that it has behind it */
} trial;

typedef struct tune {
    const rc_tune_hooks *hooks;
    rc_tune_result *result;
    rc__run run;
    rc__space space;
    rc_train_config *config; /* of a search that goes on: strings of its options */
    json_t *search;          /* its tune.json */
    rc_train_options base;   /* of every trial, but what is drawn */
    const char *out;
    char model[600];
    double time; /* of the search; 0 = no limit */
    int rungs;
    trial *trials;
    size_t n, cap;
    double seconds_before, started, budget_done; /* budget: in whole runs */
    char measure[32];
    bool said; /* what the data are */

    /* the trial that runs */
    size_t current;
    int rung;
    double share; /* of its budget, where it pauses */
    rc_tune_progress progress;
    bool paused, out_of_time;
    double last_status;
} tune;

rc_tune_options rc_tune_options_default(void) {
    return (rc_tune_options){.train = rc_train_options_default(), .trials = 30};
}

/* ---- arithmetic of rungs ----------------------------------------------------------------------------------------- */

/* Share of a whole run that rung k ends at. */
static double share_of(int k, int rungs) { return pow(ETA, k - (rungs - 1)); }

/* Algorithm 1, line 4: n_i = floor(n eta^-i). */
static size_t width_of(size_t n, int k) {
    for (; k > 0; k--) n /= ETA;
    return n ? n : 1;
}

static double step_of(int k, int rungs) { return share_of(k, rungs) - (k ? share_of(k - 1, rungs) : 0); }

/* What the search trains in all, in whole runs. */
static double whole_runs(size_t n, int rungs) {
    double sum = 0;
    for (int k = 0; k < rungs; k++) sum += (double)width_of(n, k) * step_of(k, rungs);
    return sum;
}

static int most_rungs(size_t n) {
    int k = 1;
    for (; n >= ETA && k < MOST_RUNGS; n /= ETA) k++;
    return k;
}

static double elapsed(const tune *t) { return t->seconds_before + (rc__now() - t->started); }

/* ---- options ----------------------------------------------------------------------------------------------------- */

static bool given(const rc_train_options *o, const char *name) {
    for (size_t i = 0; o->given && i < o->n_given; i++)
        if (strcmp(o->given[i], name) == 0) return true;
    return false;
}

static rc_status check_search(const rc_tune_options *o, rc_error *e) {
    const rc_train_options *t = &o->train;
    if (o->trials < 1 || o->trials > MOST_TRIALS)
        return rc_fail(e, RC_EINVAL, "trials: expected 1 to %d, found %lld", MOST_TRIALS, (long long)o->trials);
    if (o->rungs < 0 || o->rungs > MOST_RUNGS)
        return rc_fail(e, RC_EINVAL, "rungs: expected 0 to %d, found %lld", MOST_RUNGS, (long long)o->rungs);
    if (o->rungs > most_rungs((size_t)o->trials)) {
        int need = 1;
        for (int64_t k = 1; k < o->rungs; k++) need *= ETA;
        return rc_fail(e, RC_EINVAL, "rungs: %lld of them need at least %d trials, found %lld", (long long)o->rungs,
                       need, (long long)o->trials);
    }
    if (!t->valid && t->valid_fraction == 0)
        return rc_fail(e, RC_EINVAL, "a search needs validation data: give --valid FILE or a --valid-fraction above 0");
    for (size_t i = 0; i < t->n_files; i++)
        if (strcmp(t->files[i], "-") == 0)
            return rc_fail(e, RC_EINVAL,
                           "-: standard input can be read once, and each trial reads the data: give a file");
    if (t->valid && strcmp(t->valid, "-") == 0)
        return rc_fail(e, RC_EINVAL,
                       "valid: standard input can be read once, and each trial reads the data: give a file");
    return rc_train_check(t, e);
}

rc_status rc_tune_space(const rc_tune_options *o, char *out, size_t cap, size_t *len, rc_error *e) {
    rc__space *sp = rc__calloc(1, sizeof *sp);
    if (!sp) return rc_fail(e, RC_ENOMEM, "search: out of memory");
    rc_status s = rc__space_make(sp, &o->train, o->search, e);
    if (s == RC_OK) {
        int n = snprintf(out, cap, "%s", sp->text);
        if (len) *len = (size_t)n;
    }
    rc__free(sp, sizeof *sp);
    return s;
}

/* What each trial has: its budget, and no more of a run folder than it needs. */
static void settle_base(tune *t, const rc_tune_options *o) {
    t->base = o->train;
    t->base.out = NULL;
    t->base.resume = NULL;
    t->base.given = NULL;
    t->base.n_given = 0;
    t->base.keep = 1;
    t->base.sample_length = 0;
    t->base.time = 0;
    rc_train_options plain;
    bool known = rc_train_options_for(o->train.task, &plain, NULL) == RC_OK;
    bool whole = given(&o->train, "steps") || given(&o->train, "epochs") || o->train.steps > 0 ||
                 (known && o->train.epochs != plain.epochs);
    if (t->time > 0 && !whole) {
        double time = TIME_SHARE * t->time / whole_runs((size_t)o->trials, t->rungs);
        t->base.time = time < 10 ? ceil(time * 100) / 100 : floor(time); /* short on a command line */
    }
}

/* ---- which trials there are -------------------------------------------------------------------------------------- */

static bool is_new(const tune *t, const char *settings) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->trials[i].last.settings, settings) == 0) return false;
    return true;
}

static rc_status draw_trials(tune *t, rc_error *e) {
    t->trials = rc__calloc(t->cap, sizeof *t->trials);
    if (!t->trials) return rc_fail(e, RC_ENOMEM, "tune: out of memory (%zu trials)", t->cap);
    rc_status s = RC_OK;
    for (size_t k = 0; s == RC_OK && t->n < t->cap && k == t->n; k++) {
        trial *x = &t->trials[k];
        rc_rng rng = rc_rng_make((uint64_t)t->base.seed ^ STREAM, k);
        for (int again = 0; s == RC_OK && t->n == k && again < REDRAWS; again++) {
            x->o = t->base;
            s = rc__space_draw(&t->space, &rng, k == 0, &x->o, e);
            rc__space_settings(&t->space, &x->o, x->last.settings, sizeof x->last.settings);
            if (s == RC_OK && is_new(t, x->last.settings)) t->n++;
        }
        x->last.trial = k;
        x->last.score = x->last.accuracy = x->last.loss = NAN;
        if (s == RC_OK && t->n > k) {
            rc_error why = {RC_OK, ""};
            s = rc_train_check(&x->o, &why);
            if (s != RC_OK) s = rc_fail(e, s, "search: trial %zu (%.300s): %.500s", k, x->last.settings, why.text);
        }
    }
    return s;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static rc_status trial_folder(const tune *t, size_t i, char *out, size_t cap, rc_error *e) {
    char name[32];
    snprintf(name, sizeof name, "trial-%03zu", i);
    return rc__run_file(&t->run, name, out, cap, e);
}

static rc_status write_status(tune *t, const char *state, const char *why, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(&t->run, "status.json", path, sizeof path, e);
    if (s != RC_OK) return s;
    json_t *v =
        json_pack("{ss sI sI sI si si so so sf so sf sf}", "state", state, "pid", (json_int_t)getpid(), "trials",
                  (json_int_t)t->n, "trial", (json_int_t)t->current, "rung", t->rung, "rungs", t->rungs, "progress",
                  rc__real_or_null(t->progress.progress), "best_score", rc__real_or_null(t->progress.best), "seconds",
                  elapsed(t), "seconds_left", rc__real_or_null(t->progress.seconds_left), "created", t->run.created,
                  "updated", rc__wall_time());
    if (v && why) json_object_set_new(v, "error", json_string(why));
    s = v ? rc__json_write(v, path, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    json_decref(v);
    t->last_status = elapsed(t);
    return s;
}

static json_t *settings_json(const tune *t, const trial *x) {
    json_t *v = json_object();
    for (size_t i = 0; v && i < t->space.n; i++)
        json_object_set_new(v, t->space.dim[i].option->name, rc__train_option_json(t->space.dim[i].option, &x->o));
    return v;
}

static rc_status append_line(tune *t, const trial *x, rc_error *e) {
    char path[600], *text = NULL;
    size_t len = 0;
    const rc_tune_trial *r = &x->last;
    rc_status s = rc__run_file(&t->run, "trials.jsonl", path, sizeof path, e);
    if (s != RC_OK) return s;
    json_t *error = json_string(r->error); /* it may have been cut inside a character */
    json_t *v = json_pack("{sI si sf so so so so ss sI sf sf sI sb so}", "trial", (json_int_t)r->trial, "rung", r->rung,
                          "share", share_of(r->rung, t->rungs), "settings", settings_json(t, x), "score",
                          rc__real_or_null(r->score), "accuracy", rc__real_or_null(r->accuracy), "loss",
                          rc__real_or_null(r->loss), "measure", r->measure, "steps", (json_int_t)r->steps, "epochs",
                          r->epochs, "seconds", r->seconds, "parameters", (json_int_t)r->parameters, "done",
                          (int)r->done, "error", error ? error : json_string("a message that is not UTF-8"));
    s = rc__json_print(v, &text, &len, e);
    json_decref(v);
    if (s != RC_OK) return s;
    text[len] = '\n'; /* instead of the 0 */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    s = fd < 0 ? rc_fail(e, RC_EIO, "%s: cannot create: %s", path, strerror(errno))
               : rc__append_whole(fd, path, text, len + 1, e);
    if (s == RC_OK && fsync(fd) != 0 && errno != EINVAL)
        s = rc_fail(e, RC_EIO, "%s: cannot be written to disk: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    rc__free(text, len + 1);
    return s;
}

static void account(tune *t, trial *x) {
    const rc_tune_trial *r = &x->last;
    for (int k = x->rungs; k < MOST_RUNGS; k++) x->score[k] = r->score; /* a run that has ended keeps it */
    x->rungs = r->done ? MOST_RUNGS : r->rung + 1;
    if (*r->measure) memcpy(t->measure, r->measure, sizeof t->measure);
    t->budget_done += step_of(r->rung, t->rungs);
    if (isfinite(r->score) && !(r->score >= t->progress.best)) t->progress.best = r->score;
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

static rc_status real_or_nan(const json_t *v, const char *key, double *out, const char *where, rc_error *e) {
    *out = NAN;
    return json_is_null(json_object_get(v, key)) ? RC_OK
                                                 : rc__json_get_real(v, key, RC_JSON_REQUIRED, 0, 0, out, where, e);
}

static rc_status take_line(tune *t, const json_t *v, const char *where, rc_error *e) {
    const rc__json_need must = RC_JSON_REQUIRED;
    const char *measure = "", *error = "";
    size_t i = 0;
    int64_t rung = 0, steps = 0;
    json_t *settings = NULL;
    rc_tune_trial r = {.done = false};
    rc_status s = rc__json_get_size(v, "trial", must, 0, t->n - 1, &i, where, e);
    if (s == RC_OK) s = rc__json_get_int(v, "rung", must, 0, t->rungs - 1, &rung, where, e);
    if (s == RC_OK) s = rc__json_get_int(v, "steps", must, 0, INT64_MAX, &steps, where, e);
    if (s == RC_OK) s = rc__json_get_size(v, "parameters", must, 0, SIZE_MAX / 2, &r.parameters, where, e);
    if (s == RC_OK) s = rc__json_get_real(v, "epochs", must, 0, 1e12, &r.epochs, where, e);
    if (s == RC_OK) s = rc__json_get_real(v, "seconds", must, 0, 1e12, &r.seconds, where, e);
    if (s == RC_OK) s = rc__json_get_bool(v, "done", must, &r.done, where, e);
    if (s == RC_OK) s = rc__json_get_string(v, "measure", must, &measure, where, e);
    if (s == RC_OK) s = rc__json_get_string(v, "error", must, &error, where, e);
    if (s == RC_OK) s = rc__json_get_object(v, "settings", must, &settings, where, e);
    if (s == RC_OK) s = real_or_nan(v, "score", &r.score, where, e);
    if (s == RC_OK) s = real_or_nan(v, "accuracy", &r.accuracy, where, e);
    if (s == RC_OK) s = real_or_nan(v, "loss", &r.loss, where, e);
    if (s != RC_OK) return s;
    trial *x = &t->trials[i];
    if (x->rungs != rung || (rung > 0 && isnan(x->score[rung - 1])))
        return rc_fail(e, RC_EMODEL, "%s: trial %zu has %d rungs behind it, found rung %lld", where, i, x->rungs,
                       (long long)rung);
    json_t *drawn = settings_json(t, x);
    bool same = drawn && json_equal(drawn, settings);
    json_decref(drawn);
    if (!same)
        return rc_fail(e, RC_EMODEL, "%s: trial %zu has other settings than config.json and tune.json make", where, i);
    memcpy(r.settings, x->last.settings, sizeof r.settings);
    snprintf(r.measure, sizeof r.measure, "%s", measure);
    snprintf(r.error, sizeof r.error, "%s", error);
    r.trial = i;
    r.rung = (int)rung;
    r.steps = (uint64_t)steps;
    x->last = r;
    account(t, x);
    return RC_OK;
}

/* What was found out. Half a line is what a killed process leaves. */
static rc_status read_lines(tune *t, rc_error *e) {
    char path[600], *data = NULL;
    size_t len = 0;
    rc_status s = rc__run_file(&t->run, "trials.jsonl", path, sizeof path, e);
    if (s != RC_OK || !rc__exists(path)) return s;
    if (!rc__is_regular(path)) return rc_fail(e, RC_EIO, "%s: expected a file", path);
    s = rc__file_read(path, false, 64 * JSON_LIMIT, &data, &len, e);
    if (s != RC_OK) return s;
    size_t at = 0, line = 0;
    for (char *end; s == RC_OK && (end = memchr(data + at, '\n', len - at)); at = (size_t)(end - data) + 1) {
        char where[640];
        json_t *v = NULL;
        snprintf(where, sizeof where, "%s: line %zu", path, ++line);
        s = rc__json_parse_line(data + at, (size_t)(end - (data + at)), path, line, &v, e);
        if (s == RC_OK) s = take_line(t, v, where, e);
        json_decref(v);
    }
    if (s == RC_OK && at < len && truncate(path, (off_t)at) != 0)
        s = rc_fail(e, RC_EIO, "%s: cannot be cut to its whole lines: %s", path, strerror(errno));
    rc__free(data, len + 1);
    return s;
}

/* ---- one rung of one trial --------------------------------------------------------------------------------------- */

static void say(const tune *t, const char *line) {
    if (t->hooks->on_message) t->hooks->on_message(t->hooks->ctx, line);
}

static void on_message(void *ctx, const char *line) {
    tune *t = ctx;
    if (!t->said && strncmp(line, "run folder:", 11) != 0) say(t, line);
}

/* share: of a whole run that the current trial has trained. */
static void measure_progress(tune *t, double share) {
    rc_tune_progress *p = &t->progress;
    double before = t->rung ? share_of(t->rung - 1, t->rungs) : 0;
    double done = t->budget_done + fmin(fmax(share - before, 0), step_of(t->rung, t->rungs));
    p->seconds = elapsed(t);
    p->progress = fmin(done / whole_runs(t->n, t->rungs), 1);
    p->seconds_left = p->progress > 0 ? p->seconds * (1 - p->progress) / p->progress : NAN;
    if (t->time > 0 && !(p->seconds_left < t->time - p->seconds)) p->seconds_left = fmax(t->time - p->seconds, 0);
}

static void on_step(void *ctx, const rc_train_progress *p) {
    tune *t = ctx;
    measure_progress(t, p->progress);
    if (elapsed(t) - t->last_status > 5) write_status(t, "running", NULL, NULL);
    if (t->hooks->on_step) t->hooks->on_step(t->hooks->ctx, &t->progress, p);
}

static bool time_is_over(const tune *t) { return t->time > 0 && elapsed(t) >= t->time; }

static bool on_pause(void *ctx, const rc_train_progress *p, bool validated) {
    tune *t = ctx;
    t->paused = validated && t->rung < t->rungs - 1 && p->progress >= NEAR_SHARE * t->share;
    t->out_of_time = !t->paused && time_is_over(t);
    return t->paused || t->out_of_time;
}

static void take_result(const tune *t, rc_tune_trial *x, const rc_train_result *r, rc_status s, const rc_error *why) {
    x->rung = t->rung;
    x->score = s == RC_OK || s == RC_EINTERRUPTED ? r->best_criterion : NAN;
    x->accuracy = r->best_accuracy;
    x->loss = r->best_valid_loss;
    x->epochs = r->epochs;
    x->seconds = r->seconds;
    x->steps = r->steps;
    if (r->parameters) x->parameters = r->parameters;
    x->done = s == RC_OK;
    snprintf(x->measure, sizeof x->measure, "%s", r->measure);
    snprintf(x->error, sizeof x->error, "%.255s", s == RC_OK || s == RC_EINTERRUPTED ? "" : why->text);
    if (!*x->error && !isfinite(x->score)) snprintf(x->error, sizeof x->error, "no validation gave a finite score");
}

/* A run that has its settings already goes on; they are those that were drawn, and the budget's alone might differ. */
static rc_status train_trial(tune *t, trial *x, rc_train_result *r, rc_error *e) {
    char run[600], config[700];
    rc_train_hooks hooks = {.ctx = t, .on_message = on_message, .on_step = on_step, .pause = on_pause};
    rc_train_options o = x->o;
    rc_status s = trial_folder(t, x->last.trial, run, sizeof run, e);
    if (s != RC_OK) return s;
    snprintf(config, sizeof config, "%s/config.json", run);
    if (rc__exists(config)) {
        s = rc_train_options_for(t->base.task, &o, e);
        if (s != RC_OK) return s;
        o.threads = t->base.threads;
        o.resume = run;
    } else {
        o.run = run;
    }
    t->paused = t->out_of_time = false;
    return rc__train_go_on(&o, &hooks, r, e);
}

static rc_status run_rung(tune *t, size_t i, rc_error *e) {
    trial *x = &t->trials[i];
    rc_train_result r;
    rc_error why = {RC_OK, ""};
    t->current = i;
    t->progress.trial = i;
    measure_progress(t, 0);
    rc_status s = write_status(t, "running", NULL, e);
    if (s != RC_OK) return s;
    s = train_trial(t, x, &r, &why);
    t->said = true;
    bool failed = s == RC_EDIVERGED || s == RC_ENOMEM;
    bool ended = s == RC_OK || (s == RC_EINTERRUPTED && (t->paused || (t->out_of_time && isfinite(r.best_criterion))));
    if (s == RC_EINTERRUPTED && t->out_of_time && !ended) return RC_OK;
    if (s == RC_EINTERRUPTED && !ended) return rc_fail(e, s, "interrupted; go on with --resume %s", t->run.path);
    if (!failed && !ended) return rc_fail(e, s, "trial-%03zu (%.200s): %.700s", i, x->last.settings, why.text);
    take_result(t, &x->last, &r, s, &why);
    if (t->out_of_time && ended && s != RC_OK) { /* told, but no line: it has not ended its rung */
        if (!(x->last.score >= t->progress.best)) t->progress.best = x->last.score;
        x->rungs = x->rungs ? x->rungs : 1;
    } else {
        s = append_line(t, x, e);
        if (s != RC_OK) return s;
        account(t, x);
    }
    measure_progress(t, 0);
    if (t->hooks->on_trial) t->hooks->on_trial(t->hooks->ctx, &t->progress, &x->last);
    return RC_OK;
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

typedef struct entrant {
    double score;
    size_t trial;
} entrant;

static int by_score(const void *a, const void *b) {
    const entrant *x = a, *y = b;
    bool nan_x = isnan(x->score), nan_y = isnan(y->score);
    if (nan_x != nan_y) return nan_x - nan_y;
    if (!nan_x && x->score != y->score) return x->score < y->score ? -1 : 1;
    return (x->trial > y->trial) - (x->trial < y->trial);
}

static int by_number(const void *a, const void *b) {
    const entrant *x = a, *y = b;
    return (x->trial > y->trial) - (x->trial < y->trial);
}

/* Those that train in rung k: all, or the best of the rung before. */
static size_t choose(const tune *t, int k, entrant *list) {
    size_t n = 0, most = width_of(t->n, k);
    for (size_t i = 0; i < t->n; i++) {
        const trial *x = &t->trials[i];
        if (x->rungs >= k) list[n++] = (entrant){k ? x->score[k - 1] : 0, i};
    }
    qsort(list, n, sizeof *list, by_score);
    while (k && n && isnan(list[n - 1].score)) n--;
    if (n > most) n = most;
    qsort(list, n, sizeof *list, by_number);
    return n;
}

/* A trial that does not go on keeps its best model and its logs; its checkpoints are several times as large. */
static void drop_checkpoints(const tune *t, int k, const entrant *list, size_t n) {
    char run[600];
    size_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (at < n && list[at].trial == i)
            at++;
        else if (t->trials[i].rungs == k && trial_folder(t, i, run, sizeof run, NULL) == RC_OK)
            rc__run_prune(run, 0);
    }
}

static rc_status search(tune *t, rc_error *e) {
    entrant *list = rc__calloc(t->n, sizeof *list);
    rc_status s = list ? RC_OK : rc_fail(e, RC_ENOMEM, "tune: out of memory (%zu trials)", t->n);
    bool over = false;
    for (int k = 0; s == RC_OK && !over && k < t->rungs; k++) {
        size_t n = choose(t, k, list);
        if (k > 0) drop_checkpoints(t, k, list, n);
        t->rung = t->progress.rung = k;
        t->share = share_of(k, t->rungs);
        t->progress.of = n;
        for (size_t i = 0; s == RC_OK && !over && i < n; i++) {
            trial *x = &t->trials[list[i].trial];
            t->progress.at = i + 1;
            if (x->rungs > k && x->last.rung < k)
                t->budget_done += step_of(k, t->rungs); /* its run has ended already */
            if (x->rungs > k)
                continue;
            else if (rc__train_interrupted())
                s = rc_fail(e, RC_EINTERRUPTED, "interrupted; go on with --resume %s", t->run.path);
            else if (time_is_over(t))
                t->out_of_time = true;
            else
                s = run_rung(t, list[i].trial, e);
            over = t->out_of_time;
        }
    }
    t->result->out_of_time = over;
    rc__free(list, t->n * sizeof *list);
    return s;
}

static int best_first(const void *a, const void *b) {
    const rc_tune_trial *x = a, *y = b;
    return by_score(&(entrant){x->score, x->trial}, &(entrant){y->score, y->trial});
}

/* All that has been found out so far, whatever became of the search. */
static rc_status fill_result(tune *t, rc_error *e) {
    rc_tune_result *r = t->result;
    r->seconds = elapsed(t);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) n += t->trials[i].rungs > 0;
    if (n == 0) return RC_OK;
    r->trials = rc__calloc(n, sizeof *r->trials);
    if (!r->trials) return rc_fail(e, RC_ENOMEM, "tune: out of memory (%zu trials)", t->n);
    for (size_t i = 0; i < t->n; i++)
        if (t->trials[i].rungs > 0) r->trials[r->n++] = t->trials[i].last;
    for (size_t i = 0; i < r->n; i++) memcpy(r->trials[i].measure, t->measure, sizeof t->measure);
    qsort(r->trials, r->n, sizeof *r->trials, best_first);
    if (r->n && isfinite(r->trials[0].score)) return trial_folder(t, r->trials[0].trial, r->best, sizeof r->best, e);
    return RC_OK;
}

static rc_status copy_model(tune *t, rc_error *e) {
    rc_tune_result *r = t->result;
    char from[700], *data = NULL;
    size_t len = 0;
    if (r->n == 0) return rc_fail(e, RC_EINVAL, "time: was over before a trial had been validated; give more");
    if (!*r->best)
        return rc_fail(e, RC_EDIVERGED, "every trial failed; trial-%03zu (%.200s): %.500s", r->trials[0].trial,
                       r->trials[0].settings, r->trials[0].error);
    snprintf(from, sizeof from, "%s/%s", r->best,
             r->trials[0].done ? "model.safetensors" : "checkpoints/best.safetensors");
    rc_status s = rc__file_read(from, false, 0, &data, &len, e);
    if (s != RC_OK) return s;
    s = rc__file_write(t->out, data, len, e);
    rc__free(data, len + 1);
    if (s == RC_OK) snprintf(r->model, sizeof r->model, "%s", t->out);
    return s;
}

/* ---- beginning and going on -------------------------------------------------------------------------------------- */

static rc_status write_search(const tune *t, const rc_tune_options *o, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(&t->run, "config.json", path, sizeof path, e);
    if (s == RC_OK) s = rc_train_config_write(&t->base, path, e);
    if (s == RC_OK) s = rc__run_file(&t->run, "tune.json", path, sizeof path, e);
    if (s != RC_OK) return s;
    json_t *v = json_pack("{ss ss sI si sf ss so}", "recur", RC_VERSION, "task", t->base.task, "trials",
                          (json_int_t)o->trials, "rungs", t->rungs, "time", t->time, "search", t->space.text, "out",
                          o->train.out ? json_string(o->train.out) : json_null());
    s = v ? rc__json_write(v, path, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    json_decref(v);
    return s;
}

static rc_status begin(tune *t, const rc_tune_options *o, rc_error *e) {
    char path[600];
    rc_status s = check_search(o, e);
    if (s != RC_OK) return s;
    t->cap = (size_t)o->trials;
    t->rungs = o->rungs ? (int)o->rungs : most_rungs(t->cap) < 3 ? most_rungs(t->cap) : 3;
    t->time = o->train.time;
    t->out = o->train.out;
    settle_base(t, o);
    s = rc__space_make(&t->space, &o->train, o->search, e);
    if (s == RC_OK) s = draw_trials(t, e);
    if (s == RC_OK && t->out) s = rc__check_writable(t->out, e);
    if (s == RC_OK && o->train.run && *o->train.run) { /* for the message, before it is locked */
        int n = snprintf(path, sizeof path, "%s/tune.json", o->train.run);
        if (n > 0 && (size_t)n < sizeof path && rc__exists(path))
            s = rc_fail(e, RC_EINVAL,
                        "%s: holds an earlier search; go on with --resume %s, delete it, or give another --run",
                        o->train.run, o->train.run);
    }
    if (s == RC_OK) s = rc__run_claim(&t->run, &o->train, e);
    if (s != RC_OK) return s;
    snprintf(t->result->run, sizeof t->result->run, "%s", t->run.path);
    return write_search(t, o, e);
}

/* With a search that goes on, what it is stays. */
static rc_status check_resumed(const rc_tune_options *o, const rc_train_options *config, rc_error *e) {
    static const char *const may[] = {"time", "out", "threads", "quiet", "json", "resume"};
    const char *folder = o->train.resume;
    if (strcmp(o->train.task, config->task) != 0)
        return rc_fail(e, RC_EINVAL, "%s: is a search of task %s, not of %s", folder, config->task, o->train.task);
    for (size_t i = 0; o->train.given && i < o->train.n_given; i++) {
        bool fine = false;
        for (size_t k = 0; k < sizeof may / sizeof *may; k++) fine |= strcmp(o->train.given[i], may[k]) == 0;
        if (!fine)
            return rc_fail(e, RC_EINVAL, "%s: --%s cannot change when a search goes on; leave it out, or start another",
                           folder, o->train.given[i]);
    }
    bool same = o->train.n_files == config->n_files || o->train.n_files == 0;
    for (size_t i = 0; same && i < o->train.n_files; i++) same = strcmp(o->train.files[i], config->files[i]) == 0;
    return same
               ? RC_OK
               : rc_fail(e, RC_EINVAL, "%s: the data cannot change when a search goes on; leave the files out", folder);
}

static rc_status go_on(tune *t, const rc_tune_options *o, rc_error *e) {
    char path[600];
    int64_t trials = 1, rungs = 1;
    const char *text = "", *out = NULL;
    rc_status s = rc__run_reopen(&t->run, o->train.resume, e);
    if (s == RC_OK) s = rc__run_file(&t->run, "tune.json", path, sizeof path, e);
    if (s == RC_OK && !rc__is_regular(path))
        s = rc_fail(e, RC_EINVAL, "%s: no folder of a search (it has no tune.json)", o->train.resume);
    if (s == RC_OK) s = rc__json_read(path, JSON_LIMIT, &t->search, e);
    if (s == RC_OK) s = rc__json_get_int(t->search, "trials", RC_JSON_REQUIRED, 1, MOST_TRIALS, &trials, path, e);
    if (s == RC_OK)
        s = rc__json_get_int(t->search, "rungs", RC_JSON_REQUIRED, 1, most_rungs((size_t)trials), &rungs, path, e);
    if (s == RC_OK) s = rc__json_get_real(t->search, "time", RC_JSON_REQUIRED, 0, 1e9, &t->time, path, e);
    if (s == RC_OK) s = rc__json_get_string(t->search, "search", RC_JSON_REQUIRED, &text, path, e);
    const json_t *named = json_object_get(t->search, "out");
    if (s == RC_OK && named && !json_is_null(named))
        s = rc__json_get_string(t->search, "out", RC_JSON_REQUIRED, &out, path, e);
    if (s == RC_OK) s = rc__run_file(&t->run, "config.json", path, sizeof path, e);
    if (s == RC_OK) s = rc_train_config_read(&t->config, path, e);
    if (s == RC_OK) s = check_resumed(o, rc_train_config_options(t->config), e);
    if (s != RC_OK) return s;
    snprintf(t->result->run, sizeof t->result->run, "%s", t->run.path);
    t->base = *rc_train_config_options(t->config);
    t->base.run = t->base.resume = t->base.out = NULL;
    t->base.threads = o->train.threads ? o->train.threads : t->base.threads;
    t->out = o->train.out ? o->train.out : out;
    if (o->train.time > 0) t->time = o->train.time;
    t->cap = (size_t)trials;
    t->rungs = (int)rungs;
    t->said = true;
    if (t->out) s = rc__check_writable(t->out, e);
    if (s == RC_OK) s = rc__space_make(&t->space, &t->base, text, e);
    if (s == RC_OK) s = draw_trials(t, e);
    if (s == RC_OK) s = read_lines(t, e);
    json_t *status = NULL;
    if (s == RC_OK && rc__run_file(&t->run, "status.json", path, sizeof path, NULL) == RC_OK && rc__is_regular(path) &&
        rc__json_read(path, JSON_LIMIT, &status, NULL) == RC_OK)
        rc__json_get_real(status, "seconds", RC_JSON_OPTIONAL, 0, 1e12, &t->seconds_before, path, NULL);
    json_decref(status);
    return s;
}

static void say_plan(const tune *t) {
    char line[RC__SPACE_TEXT + 64];
    snprintf(line, sizeof line, "space: %s", t->space.text);
    say(t, line);
    int n = snprintf(line, sizeof line, "%zu trial%s%s:", t->n, t->n == 1 ? "" : "s",
                     t->n < t->cap ? " (the space has no more)" : "");
    for (int k = 0; k < t->rungs; k++)
        n += snprintf(line + n, sizeof line - (size_t)n,
                      k + 1 < t->rungs ? " %zu for 1/%.0f of a run," : " %zu to the end", width_of(t->n, k),
                      1 / share_of(k, t->rungs));
    if (t->base.time > 0) snprintf(line + n, sizeof line - (size_t)n, "; a whole run has %.3g s", t->base.time);
    say(t, line);
    snprintf(line, sizeof line, "folder: %s", t->run.path);
    say(t, line);
}

static rc_status run_search(tune *t, const rc_tune_options *o, rc_error *e) {
    rc_status s = o->train.resume && *o->train.resume ? go_on(t, o, e) : begin(t, o, e);
    if (s != RC_OK) return s;
    if (!t->out) {
        s = rc__run_file(&t->run, "model.safetensors", t->model, sizeof t->model, e);
        if (s != RC_OK) return s;
        t->out = t->model;
    }
    t->progress.rungs = t->rungs;
    say_plan(t);
    s = search(t, e);
    rc_status told = fill_result(t, s == RC_OK ? e : NULL);
    if (s == RC_OK) s = told;
    if (s == RC_OK) s = copy_model(t, e);
    t->progress.progress = s == RC_OK ? 1 : t->progress.progress;
    t->progress.seconds_left = s == RC_OK ? 0 : t->progress.seconds_left;
    told = write_status(t,
                        s == RC_OK             ? "done"
                        : s == RC_EINTERRUPTED ? "interrupted"
                                               : "failed",
                        s == RC_OK || s == RC_EINTERRUPTED ? NULL : e->text, s == RC_OK ? e : NULL);
    return s == RC_OK ? told : s;
}

rc_status rc_tune(const rc_tune_options *o, const rc_tune_hooks *hooks, rc_tune_result *result, rc_error *e) {
    static const rc_tune_hooks none = {0};
    rc_error local;
    if (!e) e = &local;
    *result = (rc_tune_result){.n = 0};
    rc__train_interrupt_clear();
    tune *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "tune: out of memory");
    t->hooks = hooks ? hooks : &none;
    t->result = result;
    t->run = (rc__run){.lock_fd = -1, .metrics_fd = -1, .samples_fd = -1};
    t->started = rc__now();
    t->progress.best = t->progress.seconds_left = NAN;
    rc_status s = run_search(t, o, e);
    rc__run_close(&t->run);
    rc__free(t->trials, t->cap * sizeof *t->trials);
    rc_train_config_free(t->config);
    json_decref(t->search);
    rc__free(t, sizeof *t);
    return s;
}

void rc_tune_result_free(rc_tune_result *r) {
    if (!r) return;
    rc__free(r->trials, r->n * sizeof *r->trials);
    *r = (rc_tune_result){.n = 0};
}
