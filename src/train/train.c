/* train.c - the entry: settles the options, finds what is to be trained, and runs it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/utf8.h"
#include "train/experiment.h"
#include "train/loop.h"
#include "train/options.h"

#define DEFAULT_EPOCHS 10
#define DEFAULT_STEPS  5000 /* sources have no epochs */

static bool is_source(const rc_train_options *o) {
    return !strcmp(o->task, "lm") && o->n_files == 1 && strcmp(o->files[0], "-") != 0 && rc__source_named(o->files[0]) &&
           !rc__exists(o->files[0]);
}

static bool is_utf8(const char *text) { return !text || rc__utf8_valid_prefix(text, strlen(text)) == strlen(text); }

/* What the option table cannot know: values that reach the library through the API, and options that contradict. */
static rc_status check_options(const rc_train_options *o, rc_error *e) {
    size_t n;
    const rc_option *table = rc_train_option_table(&n);
    if (!rc__task_find(o->task))
        return rc_fail(e, RC_EINVAL, "unknown task \"%s\"; tasks: %s", o->task, rc_train_tasks());
    if (o->n_files == 0)
        return rc_fail(e, RC_EINVAL,
                       "train: no data: give a file, - for standard input, or a source such as adding:T=200");
    for (size_t i = 0; i < o->n_files; i++)
        if (!is_utf8(o->files[i]))
            return rc_fail(e, RC_EINVAL, "the name of file %zu is not UTF-8: the run's config.json cannot hold it", i + 1);
    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)o + table[i].offset;
        double v = 0;
        if (table[i].type >= RC_OPT_STRING && !is_utf8(*(const char *const *)at))
            return rc_fail(e, RC_EINVAL, "%s: not UTF-8: the run's config.json cannot hold it", table[i].name);
        if (table[i].type == RC_OPT_INT)
            v = (double)*(const int64_t *)at;
        else if (table[i].type == RC_OPT_REAL || table[i].type == RC_OPT_TIME)
            v = *(const double *)at;
        else
            continue;
        if (!isfinite(v) || ((table[i].min != 0 || table[i].max != 0) && (v < table[i].min || v > table[i].max)))
            return rc_fail(e, RC_EINVAL, "%s: expected %g to %g, found %g", table[i].name, table[i].min, table[i].max,
                           v);
    }
    if (o->grow_vocab && !o->from) return rc_fail(e, RC_EINVAL, "grow-vocab: only for fine-tuning, with --from MODEL");
    if (o->label_smoothing > 0 && o->softmax_samples > 0)
        return rc_fail(e, RC_EINVAL,
                       "label-smoothing: not with --softmax-samples, which sees a part of the vocabulary");
    if (o->nesterov && strcmp(o->optimizer, "sgd") != 0)
        return rc_fail(e, RC_EINVAL, "nesterov: is for --optimizer sgd, found %s", o->optimizer);
    if (o->nesterov && o->momentum <= 0) return rc_fail(e, RC_EINVAL, "nesterov: needs a --momentum above 0");
    return RC_OK;
}

/* The layers that the options describe, named and shaped but not built: what the cell does not have is refused here. */
static rc_status check_layers(const rc_train_options *o, rc_error *e) {
    rc_rnn_options r;
    rc_params *ps = NULL;
    rc_rnn *rnn = NULL;
    rc_status s = rc__train_rnn_options(o, &r, e);
    if (s == RC_OK && !o->bias && !strcmp(o->cell, "lstm-layernorm"))
        s = rc_fail(e, RC_EINVAL,
                    "bias: the biases of lstm-layernorm are those of its norms and stay; leave out --no-bias");
    r.input_size = (size_t)(o->embedding > 0 ? o->embedding : o->hidden);
    if (s == RC_OK) s = rc_params_new(&ps, e);
    if (s == RC_OK) s = rc_rnn_new(&rnn, ps, "rnn.", &r, e);
    rc_rnn_free(rnn);
    rc_params_free(ps);
    return s;
}

rc_status rc_train_check(const rc_train_options *o, rc_error *e) {
    rc_optim_options oo;
    rc_schedule schedule;
    rc_average_kind average;
    rc_precision precision = RC_FP32;
    rc_status s = check_options(o, e);
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc__train_optim_options(o, &oo, e);
    if (s == RC_OK) s = rc__train_schedule(o, &schedule, e);
    if (s == RC_OK) s = rc__train_average_kind(o, &average, e);
    bool lm = !strcmp(o->task, "lm"); /* other tasks say what their networks are, and check it as they read their data */
    if (s == RC_OK && lm && !(o->from && *o->from)) s = check_layers(o, e); /* fine-tuning keeps the model's layers */
    return s;
}

/* Everything that can be refused is refused before data is read and hours are spent. */
static rc_status check_outputs(const rc_train_options *o, rc_error *e) {
    if (o->out) {
        if (strlen(o->out) >= sizeof((rc_train_result *)0)->model)
            return rc_fail(e, RC_EINVAL, "%.100s...: the path of the model has at most %zu bytes", o->out,
                           sizeof((rc_train_result *)0)->model - 1);
        rc_status s = rc__check_writable(o->out, e);
        if (s != RC_OK) return s;
        rc__remove_leftovers_of(o->out);
    }
    if (!o->run || !*o->run || o->resume) return RC_OK;
    size_t n = 0;
    if (rc__run_is_live(o->run))
        return rc_fail(e, RC_EINVAL,
                       "%s: another training is writing to this run folder; wait for it, or give another --run",
                       o->run);
    rc_status s = rc__run_checkpoints(o->run, NULL, 0, &n, e);
    if (s == RC_OK && n > 0)
        s = rc_fail(
            e, RC_EINVAL,
            "%s: holds the checkpoints of an earlier run; go on with --resume %s, delete it, or give another --run",
            o->run, o->run);
    return s;
}

/* The task's own number of epochs would be a few dozen steps on a few dozen examples: nothing is learnt in that. Only what
 * nobody asked for is changed. */
static void lengthen_default(rc_train_options *o, rc__task *t, const rc_train_hooks *hooks) {
    rc_train_options plain;
    bool asked = o->steps > 0 || o->time > 0;
    for (size_t i = 0; i < o->n_given; i++) asked = asked || !strcmp(o->given[i], "epochs");
    if (asked || !t->ops->enough_epochs || rc_train_options_for(o->task, &plain, NULL) != RC_OK) return;
    double enough = t->ops->enough_epochs(t);
    if (o->epochs != plain.epochs || enough <= o->epochs) return;
    o->epochs = enough;
    rc__say(hooks, "little data: %g epochs (--epochs, --steps, --time)", enough);
}

/* A run of any task; creates its folder, or goes on with one (run is open then). */
static rc_status run_task(rc_train_options *o, const rc_train_hooks *hooks, rc__run *run, bool resume,
                          rc_train_result *r, rc_error *e) {
    char initial[600];
    rc__task *t = NULL;
    rc_status s = RC_OK;
    if (resume) s = rc__run_file(run, "checkpoints/initial.safetensors", initial, sizeof initial, e);
    bool begun = s == RC_OK && resume && rc__exists(initial); /* a run may be killed before it is there: then as if new */
    if (s == RC_OK) s = rc__task_find(o->task)->make(&t, o, begun ? initial : NULL, hooks, e);
    if (s == RC_OK && !resume) lengthen_default(o, t, hooks);
    if (s == RC_OK) s = rc__train_check_task(t, o, e); /* a folder of a run that cannot be helps nobody */
    if (s == RC_OK && !resume) {
        s = rc__run_create(run, o, e);
        if (s == RC_OK) snprintf(r->run, sizeof r->run, "%s", run->path);
        if (s == RC_OK) s = rc__run_file(run, "checkpoints/initial.safetensors", initial, sizeof initial, e);
        if (s == RC_OK) rc__say(hooks, "run folder: %s", run->path);
    }
    if (s == RC_OK && !begun) s = t->ops->save(t, initial, NULL, e);
    if (s == RC_OK && t->ops->begin) s = t->ops->begin(t, o, hooks, r, e);
    if (s == RC_OK) s = rc__train_loop(t, o, hooks, run, resume, r, e);
    if (s == RC_OK && t->ops->finish) s = t->ops->finish(t, o, hooks, r, e);
    if (t) t->ops->free(t);
    return s;
}

static rc_status run_it(rc_train_options *o, const rc_train_hooks *hooks, rc__run *run, bool resume, rc_train_result *r,
                        rc_error *e) {
    bool source = is_source(o);
    rc_status s = rc_train_check(o, e);
    if (s == RC_OK) s = check_outputs(o, e);
    if (s == RC_OK && o->threads > 0) s = rc_set_threads((int)o->threads, e);
    if (s != RC_OK) return s;
    if (source && o->epochs > 0)
        return rc_fail(e, RC_EINVAL, "%s: a source has no epochs; give --steps or --time", o->files[0]);
    if (o->steps == 0 && o->epochs <= 0 && o->time <= 0) {
        if (source)
            o->steps = DEFAULT_STEPS;
        else
            o->epochs = DEFAULT_EPOCHS;
        rc__say(hooks,
                      source ? "no budget given: %d steps at most (--steps, --time)"
                             : "no budget given: %d epochs (--epochs, --steps, --time)",
                      source ? DEFAULT_STEPS : DEFAULT_EPOCHS);
    }
    return source ? rc__experiment_run(o, hooks, run, resume, r, e) : run_task(o, hooks, run, resume, r, e);
}

static rc_status resume_it(const rc_train_options *given, const rc_train_hooks *hooks, rc__run *run, rc_train_result *r,
                           rc_error *e) {
    rc_train_config *config = NULL;
    char path[600];
    rc_status s = rc__run_reopen(run, given->resume, e);
    if (s != RC_OK) return s;
    snprintf(r->run, sizeof r->run, "%s", run->path);
    s = rc__run_file(run, "config.json", path, sizeof path, e);
    if (s == RC_OK) s = rc_train_config_read(&config, path, e);
    rc_train_options o;
    if (s == RC_OK) {
        o = *rc_train_config_options(config);
        s = rc__train_merge_resume(&o, given, e);
        if (s == RC_OK) s = run_it(&o, hooks, run, true, r, e);
    }
    rc_train_config_free(config);
    return s;
}

rc_status rc__train_go_on(const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *result,
                          rc_error *e) {
    rc_train_result local;
    rc_train_result *r = result ? result : &local;
    *r = (rc_train_result){.train_loss = NAN,
                           .valid_loss = NAN,
                           .best_valid_loss = NAN,
                           .new_valid_loss_before = NAN,
                           .old_valid_loss_before = NAN,
                           .old_valid_loss_after = NAN,
                           .accuracy = NAN,
                           .best_criterion = NAN,
                           .best_accuracy = NAN};
    rc__run run = {.lock_fd = -1, .metrics_fd = -1, .samples_fd = -1};
    rc_train_options own = *o;
    rc_status s =
        o->resume && *o->resume ? resume_it(o, hooks, &run, r, e) : run_it(&own, hooks, &run, false, r, e);
    rc__run_close(&run);
    return s;
}

rc_status rc_train(const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *result, rc_error *e) {
    rc__train_interrupt_clear();
    return rc__train_go_on(o, hooks, result, e);
}
