/* cmd_watch.c - recur watch MODEL [FILE]: alarms as rows come in. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "models.h"

struct watch_options {
    rc_predict_options model;
    bool all, json;
    int64_t threads;
};

#define AT(field) offsetof(struct watch_options, field)
static const rc_option entries[] = {
    {"all", 0, RC_OPT_BOOL, AT(all), 0, 0, NULL, NULL, "Results", "a line for every row, not for alarms alone"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Run", "each line is a JSON object"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Run", "0: all the cores the process may use"},
};

/* Those of predict that have a meaning here. */
static bool of_watch(const char *name) {
    static const char *const names[] = {"csv", "threshold", "state", "online", "save-every"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static const rc_option *table(size_t *n) {
    static rc_option all[64];
    static size_t count;
    size_t more;
    const rc_option *t;
    if (count == 0) {
        cli_append_options(all, &count, 64, entries, sizeof entries / sizeof *entries, 0);
        t = rc_data_option_table(&more);
        cli_append_options(all, &count, 64, t, more, AT(model.data));
        t = rc_predict_option_table(&more);
        for (size_t i = 0; i < more; i++)
            if (of_watch(t[i].name)) cli_append_options(all, &count, 64, &t[i], 1, AT(model));
    }
    *n = count;
    return all;
}

static void defaults(void *options) {
    struct watch_options *o = options;
    *o = (struct watch_options){.model = rc_predict_options_default(), .threads = 1};
    o->model.save_every = 1000;
    o->model.lenient = true;
}

static rc_status settle(cli_args *a, rc_error *e) {
    rc_status s;
    if (a->help) return RC_OK;
    if (a->n_words == 0) return rc_fail(e, RC_EINVAL, "expected MODEL: a file that recur train detect wrote");
    if (a->n_words > 2) return rc_fail(e, RC_EINVAL, "expected one FILE, found also \"%s\"", a->words[2]);
    if ((s = cli_check_input("model", a->words[0], e))) return s;
    return a->n_words == 2 ? cli_check_input("data", a->words[1], e) : RC_OK;
}

static volatile int stopped;
static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

/* Without SA_RESTART: a read that waits for the next row comes back. A second signal ends the program. */
static void catch_signals(void) {
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = stop;
    sa.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static int run(cli_args *a) {
    struct watch_options *o = a->options;
    rc_error e = {RC_OK, ""};
    char task[32] = "";
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    if (!s) s = rc_model_task_of(a->words[0], task, sizeof task, &e);
    if (!s && strcmp(task, "detect") != 0)
        s = rc_fail(&e, RC_EINVAL, "%s is a model for %s; watch takes those of recur train detect", a->words[0], task);
    if (s) return cli_fail(a->command, &e);
    o->model.json = o->json;
    o->model.alarms = !o->all;
    o->model.stop = &stopped;
    catch_signals();
    return cli_predict_model(a, a->words[0], a->n_words == 2 ? a->words[1] : NULL, NULL, &o->model, false, "fp32");
}

const cli_command cmd_watch = {
    .name = "watch",
    .usage = "watch MODEL [FILE] [OPTIONS]",
    .summary = "alarms of a detector as rows come in",
    .text =
        "Reads rows from standard input (or FILE), one line each, and writes a line for each alarm at once: time, "
        "score, 1, "
        "tail, error, 0, then for each channel value, expected value and share of the error. The score of a row "
        "depends on it and on rows before it alone: the lines are those that predict gives for the whole file. A "
        "header is known by the names of the channels; without one the columns are those of the training file. A "
        "cell that is no number is missing, a line of another length is left out.\n\n"
        "With --state FILE the state is read at the start, when it is there, and written every 1000 rows, at the end "
        "and at Ctrl-C: a stream that was cut goes on as if it had not been.",
    .examples = "watch sensors.safetensors < live.csv\n"
                "watch sensors.safetensors live.csv --all --csv > scores.csv\n"
                "watch sensors.safetensors --state sensors.state --online < live.csv",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct watch_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
