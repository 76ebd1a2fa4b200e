/* cmd_tune.c - recur tune TASK DATA...: good options, by random search with successive halving. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "training.h"

enum { ROWS = 10 }; /* of the table */

struct tune_options {
    rc_train_options train; /* first: its table's offsets hold */
    const char *search;
    int64_t trials, rungs;
};

#define AT(field) offsetof(struct tune_options, field)
static const rc_option own[] = {
    {"trials", 0, RC_OPT_INT, AT(trials), 1, 1000, NULL, "N", "Search", "settings that are tried"},
    {"search", 0, RC_OPT_STRING, AT(search), 0, 0, NULL, "SPACE", "Search",
     "what is tried instead of the task's own: NAME=A..B or NAME=V,V,... with blanks between"},
    {"rungs", 0, RC_OPT_INT, AT(rungs), 0, 4, NULL, "N", "Search",
     "after each but the last the best third goes on; 1 = all train to the end, 0 = by the trials, 3 at most"},
};

static const struct {
    const char *name, *help;
} here[] = {
    {"steps", "updates of a whole run; 0 = no limit"},
    {"epochs", "passes over the data of a whole run; 0 = no limit"},
    {"time", "of the whole search; without --steps and --epochs it is shared out among the trials"},
    {"out", "the best model (default: model.safetensors in the folder)"},
    {"run", "folder of the search, with a run folder of each trial in it (default: runs/DATE-TIME-NAME)"},
    {"resume", "go on with the search in this folder"},
};

/* The options of train, but of its samples; some mean the search. */
static const rc_option *table(size_t *n) {
    static rc_option entries[256];
    static size_t count;
    static const char *const not_here[] = {"sample-every", "sample-length", "sample-prompt", "keep"};
    size_t n_train;
    const rc_option *train = rc_train_option_table(&n_train);
    if (count == 0) {
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) entries[count++] = own[i];
        for (size_t i = 0; i < n_train && count < sizeof entries / sizeof *entries; i++) {
            bool skip = false;
            for (size_t k = 0; k < sizeof not_here / sizeof *not_here; k++)
                skip |= strcmp(train[i].name, not_here[k]) == 0;
            if (skip) continue;
            entries[count] = train[i];
            for (size_t k = 0; k < sizeof here / sizeof *here; k++)
                if (strcmp(train[i].name, here[k].name) == 0) entries[count].help = here[k].help;
            count++;
        }
    }
    *n = count;
    return entries;
}

static void defaults(void *options) {
    rc_tune_options o = rc_tune_options_default();
    *(struct tune_options *)options = (struct tune_options){.train = o.train, .trials = o.trials, .rungs = o.rungs};
}

/* The names of options on the command line itself: those of a file of options may be searched. */
static void keep_given(cli_args *a, rc_train_options *o) {
    size_t n = 0;
    for (size_t i = 0; i < a->n_given; i++)
        if (!a->given[i].from_config) a->names[n++] = a->names[i];
    o->given = a->names;
    o->n_given = n;
}

static rc_tune_options for_library(const struct tune_options *o) {
    return (rc_tune_options){.train = o->train, .search = o->search, .trials = o->trials, .rungs = o->rungs};
}

static rc_status settle(cli_args *a, rc_error *e) {
    struct tune_options *o = a->options;
    rc_status s = cli_settle_training(a, &o->train, e);
    if (s || a->help || (s = cli_check_task(a, e))) return s;
    keep_given(a, &o->train);
    if (o->train.resume) return RC_OK;
    if (o->train.n_files == 0) return rc_fail(e, RC_EINVAL, "expected FILE...: the data that training would read");
    if ((s = cli_check_data(&o->train, e))) return s;
    const char *cell = cli_network(&o->train);
    if ((s = cli_check_effect(a, &o->train, &cell, 1, e))) return s;
    rc_tune_options t = for_library(o);
    return rc_tune_space(&t, NULL, 0, NULL, e);
}

/* ---- while it runs ----------------------------------------------------------------------------------------------- */

static void on_message(void *ctx, const char *line) { cli_progress_line(ctx, "%s", line); }

/* The bar and the time left are those of the search, the rest is the trial's. */
static void on_step(void *ctx, const rc_tune_progress *p, const rc_train_progress *t) {
    rc_train_progress all = *t;
    char label[96];
    snprintf(label, sizeof label, "rung %d/%d  %zu/%zu  trial %zu", p->rung + 1, p->rungs, p->at, p->of, p->trial);
    all.progress = p->progress;
    all.seconds_left = p->seconds_left;
    cli_progress_training(ctx, label, &all);
}

static const char *score_text(char *out, size_t cap, const rc_tune_trial *t) {
    if (*t->error)
        snprintf(out, cap, "failed: %s", t->error);
    else if (isfinite(t->accuracy))
        snprintf(out, cap, "%s %.4f  loss %.4f", *t->measure ? t->measure : "score", t->accuracy, t->loss);
    else
        snprintf(out, cap, "loss %.4f", t->loss);
    return out;
}

static void on_trial(void *ctx, const rc_tune_progress *p, const rc_tune_trial *t) {
    char score[400], time[24], left[24];
    cli_progress *progress = ctx;
    bool best = isfinite(t->score) && t->score <= p->best;
    cli_progress_line(progress, "rung %d/%d  %zu/%zu  trial %zu  %s  %s  %s%s  %s left", p->rung + 1, p->rungs, p->at,
                      p->of, t->trial, score_text(score, sizeof score, t), cli_time_text(time, sizeof time, t->seconds),
                      t->settings, best ? "  best" : "", cli_time_text(left, sizeof left, p->seconds_left));
    progress->last_progress = p->progress;
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

static void print_resume(const char *task, const char *run) {
    char *program = cli_shell_quote(cli_program), *folder = cli_shell_quote(run);
    fprintf(stderr, "to go on:\n  %s tune %s --resume %s\n", program, task, folder);
    free(program);
    free(folder);
}

struct text {
    char *bytes;
    size_t len;
};

static void put(struct text *t, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i <= n; i++) {
        t->bytes = cli_grow(t->bytes, t->len, 1);
        t->bytes[t->len++] = word[i];
    }
    t->len--; /* the 0 goes with what follows */
}

/* " --name value", quoted; of a switch " --name" or " --no-name". */
static void put_option(struct text *t, const rc_option *o, const char *value) {
    bool on = strcmp(value, "true") == 0;
    put(t, o->type == RC_OPT_BOOL && !on ? " --no-" : " --");
    put(t, o->name);
    if (o->type == RC_OPT_BOOL) return;
    char *quoted = cli_shell_quote(value);
    put(t, " ");
    put(t, quoted);
    free(quoted);
}

/* The command that trains the best trial again: what its config.json has beside the task's defaults. free(). */
static char *command_of(const char *run, const char *out) {
    static const char *const not_these[] = {"preset",        "out",          "run",          "resume",
                                            "keep",          "threads",      "quiet",        "json",
                                            "sample-length", "sample-every", "sample-prompt"};
    char path[700], now[1024], then[1024];
    rc_train_config *config;
    rc_train_options plain;
    struct text t = {0};
    size_t n;
    const rc_option *table_of = rc_train_option_table(&n);
    snprintf(path, sizeof path, "%s/config.json", run);
    if (rc_train_config_read(&config, path, NULL) != RC_OK) return NULL;
    const rc_train_options *o = rc_train_config_options(config);
    rc_status s = rc_train_options_for(o->task, &plain, NULL);
    char *program = cli_shell_quote(cli_program);
    put(&t, program);
    put(&t, " train ");
    put(&t, o->task);
    free(program);
    for (size_t i = 0; i < o->n_files; i++) {
        char *file = cli_shell_quote(o->files[i]);
        put(&t, " ");
        put(&t, file);
        free(file);
    }
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        bool skip = !rc_train_option_is_for(table_of[i].name, o->task);
        for (size_t k = 0; k < sizeof not_these / sizeof *not_these; k++)
            skip |= strcmp(table_of[i].name, not_these[k]) == 0;
        rc_option_get(&table_of[i], o, now, sizeof now);
        rc_option_get(&table_of[i], &plain, then, sizeof then);
        if (!skip && strcmp(now, then) != 0) put_option(&t, &table_of[i], now);
    }
    rc_train_config_free(config);
    char *model = cli_shell_quote(out);
    put(&t, " -o ");
    put(&t, model);
    free(model);
    return t.bytes;
}

/* "lr=0.001 hidden=64": name k of it, and its value. */
static bool setting(const char *settings, size_t k, char *name, char *value, size_t cap) {
    const char *p = settings;
    for (; k > 0 && p; k--) p = (p = strchr(p, ' ')) ? p + 1 : NULL;
    if (!p || !*p) return false;
    size_t n = strcspn(p, "="), m = strcspn(p + n + 1, " ");
    snprintf(name, cap, "%.*s", (int)n, p);
    snprintf(value, cap, "%.*s", (int)m, p + n + 1);
    return true;
}

static void print_table(const rc_tune_result *r) {
    char align[64] = "rrrr", name[128], value[128], text[24];
    size_t settings = 0, at = 4;
    bool measured = false, in_epochs = false;
    for (size_t k = 0; k < r->n; k++) {
        measured |= isfinite(r->trials[k].accuracy);
        in_epochs |= r->trials[k].epochs > 0;
    }
    while (settings < 32 && setting(r->trials[0].settings, settings, name, value, sizeof name)) settings++;
    if (measured) align[at++] = 'r';
    memset(align + at, 'r', settings);
    strcpy(align + at + settings, "l");
    cli_table t = cli_table_new(align);
    const char *measure = *r->trials[0].measure ? r->trials[0].measure : "score";
    const char *head[] = {"trial", in_epochs ? "epochs" : "steps", measure, "loss", "time"};
    for (size_t i = 0; i < 5; i++)
        if (i != 2 || measured) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < settings && setting(r->trials[0].settings, i, name, value, sizeof name); i++)
        cli_table_add(&t, "%s", name);
    cli_table_add(&t, "%s", "");
    for (size_t k = 0; k < r->n && k < ROWS; k++) {
        const rc_tune_trial *x = &r->trials[k];
        cli_table_add(&t, "%zu", x->trial);
        in_epochs ? cli_table_add(&t, "%.2f", x->epochs) : cli_table_add(&t, "%llu", (unsigned long long)x->steps);
        if (measured) isfinite(x->accuracy) ? cli_table_add(&t, "%.4f", x->accuracy) : cli_table_add(&t, "-");
        isfinite(x->loss) ? cli_table_add(&t, "%.4f", x->loss) : cli_table_add(&t, "-");
        cli_table_add(&t, "%s", cli_time_text(text, sizeof text, x->seconds));
        for (size_t i = 0; i < settings; i++)
            cli_table_add(&t, "%s", setting(x->settings, i, name, value, sizeof name) ? value : "");
        cli_table_add(&t, "%s", *x->error ? "failed" : k == 0 ? "best" : x->done ? "" : "stopped");
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
    if (r->n > ROWS) printf("and %zu more in trials.jsonl\n", r->n - ROWS);
}

static json_t *trial_json(const rc_tune_trial *x) {
    char name[128], value[128];
    json_t *settings = json_object();
    for (size_t i = 0; setting(x->settings, i, name, value, sizeof name); i++) {
        char *end;
        double number = strtod(value, &end); /* the program is in the C locale */
        json_t *v = *end || end == value ? NULL : json_real(number);
        if (v && strspn(value, "-0123456789") == strlen(value)) {
            json_decref(v);
            v = json_integer((json_int_t)strtoll(value, NULL, 10));
        }
        bool truth = strcmp(value, "true") == 0;
        if (!v) v = truth || strcmp(value, "false") == 0 ? json_boolean(truth) : json_string(value);
        json_object_set_new(settings, name, v);
    }
    return json_pack("{s:I, s:i, s:o, s:o, s:o, s:o, s:s, s:I, s:o, s:o, s:I, s:b, s:s}", "trial", (json_int_t)x->trial,
                     "rung", x->rung, "settings", settings, "score", cli_json_real(x->score), "accuracy",
                     cli_json_real(x->accuracy), "loss", cli_json_real(x->loss), "measure", x->measure, "steps",
                     (json_int_t)x->steps, "epochs", cli_json_real(x->epochs), "seconds", cli_json_real(x->seconds),
                     "parameters", (json_int_t)x->parameters, "done", (int)x->done, "error", x->error);
}

static json_t *result_json(const rc_tune_result *r, const char *command, bool interrupted) {
    json_t *trials = json_array();
    for (size_t i = 0; i < r->n; i++) json_array_append_new(trials, trial_json(&r->trials[i]));
    return json_pack("{s:o, s:o, s:b, s:b, s:s, s:s, s:s, s:o}", "trials", trials, "seconds", cli_json_real(r->seconds),
                     "out_of_time", (int)r->out_of_time, "interrupted", (int)interrupted, "run", r->run, "model",
                     r->model, "best", r->best, "command", command ? json_string(command) : json_null());
}

static int run(cli_args *a) {
    const struct tune_options *o = a->options;
    rc_tune_options t = for_library(o);
    rc_tune_result r;
    rc_error e = {RC_OK, ""};
    cli_progress p = cli_progress_new(o->train.quiet);
    rc_tune_hooks hooks = {.ctx = &p, .on_message = on_message, .on_step = on_step, .on_trial = on_trial};
    char text[24];
    cli_catch_interrupts();
    rc_status s = rc_tune(&t, &hooks, &r, &e);
    cli_progress_done(&p);
    char *command = *r.best ? command_of(r.best, *r.model ? r.model : "MODEL") : NULL;
    if (o->train.json && (s == RC_OK || (s == RC_EINTERRUPTED && *r.run))) {
        cli_print_json(result_json(&r, command, s == RC_EINTERRUPTED));
    } else if (!o->train.quiet && r.n && (s == RC_OK || s == RC_EINTERRUPTED)) {
        print_table(&r);
        printf("search      %s%s, in %s\n", cli_time_text(text, sizeof text, r.seconds),
               r.out_of_time ? ", until the time was over" : "", r.run);
        if (*r.model) printf("model       %s, of %s\n", r.model, r.best);
        if (command && *r.model) printf("again with  %s\n", command);
    }
    free(command);
    if (s == RC_EINTERRUPTED && *r.run) print_resume(o->train.task, r.run);
    rc_tune_result_free(&r);
    if (s == RC_EINTERRUPTED) return CLI_INTERRUPTED;
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_tune = {
    .name = "tune",
    .tasks = "lm classify regress tag forecast detect translate summarize chat answer",
    .usage = "tune TASK FILE... [--trials N] [--search SPACE] [OPTIONS OF train]\ntune TASK --resume DIR",
    .summary = "good options for data, by trying",
    .text =
        "Trains many models with options drawn at random, each for a small part of a run, goes on with the best third "
        "of them "
        "for three times as long, and again, and prints the best with the command that trains it anew. Chosen is by "
        "the "
        "validation data, by what train keeps the best model by. --time is that of the whole search; --steps and "
        "--epochs are "
        "those of a whole run.\n\n"
        "Each option on the command line holds for all trials. The first trial has the other options as train would; "
        "without --search the learning rate, sizes and dropout are tried around those. In SPACE, NAME=A..B is a range "
        "and "
        "NAME=V,V,... are values; rates and whole numbers of a range that begins above 0 are drawn by their "
        "logarithm.\n\n"
        "Each trial is a run folder in the folder of the search. Ctrl-C stops, --resume goes on, also after the "
        "process "
        "was killed, with the same trials.",
    .examples =
        "tune classify reviews.csv --trials 30 --time 1h -o reviews.safetensors\n"
        "tune regress series.csv --trials 20 --epochs 30 --search \"lr=1e-4..1e-2 hidden=64,128,256 dropout=0..0.6\"\n"
        "tune lm book.txt --cell gru --time 2h -o book.safetensors\n"
        "tune classify --resume runs/20260101-120000-reviews",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct tune_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
