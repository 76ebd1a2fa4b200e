/* models.c - see models.h. */
#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cli_append_options(rc_option *entries, size_t *n, size_t cap, const rc_option *table, size_t n_table,
                        size_t base) {
    size_t before = *n;
    for (size_t i = 0; i < n_table && *n < cap; i++) {
        if (rc_option_find(entries, before, table[i].name)) continue;
        entries[*n] = table[i];
        entries[(*n)++].offset += base;
    }
}

rc_status cli_check_groups(const cli_args *a, const char *const *groups, size_t n, bool only_these, const char *path,
                           const char *task, rc_error *e) {
    for (size_t i = 0; i < a->n_given; i++) {
        bool among = false;
        for (size_t k = 0; k < n; k++) among |= strcmp(a->given[i].option->group, groups[k]) == 0;
        if (among != only_these)
            return rc_fail(e, RC_EINVAL, "--%s has no effect: %s is a model for %s", a->given[i].option->name, path,
                           task);
    }
    return RC_OK;
}

/* "forecast, detect: draw it": is the option for other tasks than this one alone? */
static bool for_others(const char *help, const char *task) {
    char words[64];
    const char *colon = strchr(help, ':');
    if (!colon || (size_t)(colon - help) >= sizeof words) return false;
    snprintf(words, sizeof words, "%.*s", (int)(colon - help), help);
    char *save = NULL;
    bool ours = false;
    for (char *w = strtok_r(words, ", ", &save); w; w = strtok_r(NULL, ", ", &save)) {
        rc_train_options o;
        if (strcmp(w, "forecast") != 0 && rc_train_options_for(w, &o, NULL) != RC_OK)
            return false; /* no name of a task */
        ours |= strcmp(w, task) == 0;
    }
    return !ours;
}

rc_status cli_check_tasks(const cli_args *a, const char *path, const char *task, rc_error *e) {
    for (size_t i = 0; i < a->n_given; i++) {
        const rc_option *o = a->given[i].option;
        if (strcmp(o->group, "Results") == 0 && for_others(o->help, task))
            return rc_fail(e, RC_EINVAL, "--%s %.40s has no effect: %s is a model for %s", o->name, a->given[i].value,
                           path, task);
    }
    return RC_OK;
}

bool cli_task_writes(const char *task) {
    return strcmp(task, "translate") == 0 || strcmp(task, "summarize") == 0 || strcmp(task, "chat") == 0;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static void print_cell(cli_table *t, const json_t *v) {
    if (json_is_string(v))
        cli_table_add(t, "%s", json_string_value(v));
    else if (json_is_integer(v))
        cli_table_add(t, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        cli_table_add(t, "%.4f", json_real_value(v));
    else if (json_is_boolean(v))
        cli_table_add(t, "%s", json_is_true(v) ? "yes" : "no");
    else
        cli_table_add(t, "-");
}

/* Rows are objects with the same keys. */
static void print_rows(const char *name, const json_t *rows) {
    enum { MOST = 64 };
    char align[MOST + 1];
    const char *keys[MOST], *key;
    json_t *first = json_array_get(rows, 0), *v;
    size_t n = 0;
    if (!json_is_object(first)) return;
    json_object_foreach(first, key, v) {
        if (n == MOST) break;
        keys[n] = key;
        align[n++] = json_is_string(v) ? 'l' : 'r';
    }
    align[n] = 0;
    printf("\n%s\n", name);
    cli_table t = cli_table_new(align);
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s%s", i ? "" : "  ", keys[i]);
    for (size_t r = 0; r < json_array_size(rows); r++)
        for (size_t i = 0; i < n; i++) {
            v = json_object_get(json_array_get(rows, r), keys[i]);
            if (i == 0 && json_is_string(v))
                cli_table_add(&t, "  %s", json_string_value(v));
            else
                print_cell(&t, v);
        }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

void cli_print_report(const json_t *report) {
    const char *key;
    json_t *v;
    size_t widest = 0;
    json_t *r = (json_t *)(uintptr_t)report; /* the macro below takes no const */
    json_object_foreach(r, key, v) {
        if (!json_is_array(v) && !json_is_object(v) && strlen(key) > widest) widest = strlen(key);
    }
    json_object_foreach(r, key, v) {
        if (json_is_array(v) || json_is_object(v)) continue;
        printf("%-*s  ", (int)widest, key);
        if (json_is_string(v))
            printf("%s\n", json_string_value(v));
        else if (json_is_integer(v))
            printf("%lld\n", (long long)json_integer_value(v));
        else if (json_is_real(v))
            printf("%.4f\n", json_real_value(v));
        else
            printf("%s\n", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
    }
    json_object_foreach(r, key, v) {
        if (json_is_array(v)) print_rows(key, v);
    }
}

/* ---- the commands ------------------------------------------------------------------------------------------------ */

static rc_status load(rc_model **m, const char *path, const char *precision, rc_error *e) {
    rc_precision p = RC_FP32;
    rc_precision_find(precision, &p);
    rc_status s = rc_model_load(m, path, e);
    return s == RC_OK ? rc_params_set_precision(rc_model_params(*m), p, e) : s;
}

int cli_eval_model(cli_args *a, const char *path, const char *data, const rc_eval_options *o, bool json,
                   const char *precision) {
    rc_error e = {RC_OK, ""};
    rc_model *m = NULL;
    char *text = NULL;
    size_t len = 0;
    rc_status s = load(&m, path, precision, &e);
    if (!s) s = rc_model_eval(m, data, o, &text, &len, &e);
    if (!s && json) {
        fwrite(text, 1, len, stdout);
        putchar('\n');
    } else if (!s) {
        json_t *report = json_loadb(text, len, 0, NULL);
        if (report) cli_print_report(report);
        json_decref(report);
    }
    rc_text_free(text, len);
    rc_model_free(m);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

static rc_status put_line(void *ctx, const char *text, size_t len) {
    fwrite(text, 1, len, stdout);
    putchar('\n');
    if (*(const bool *)ctx) fflush(stdout); /* somebody waits for it: a terminal, a pipe that is fed line by line */
    return cli_stdout_gone() ? RC_ESTOP : RC_OK;
}

/* The text of --prompt as a file of one line, for a task that reads files. */
static rc_status text_file(const char *text, char *path, size_t cap, rc_error *e) {
    cli_temporary(path, cap, "input");
    int fd = mkstemp(path);
    size_t n = strlen(text);
    char *line = cli_alloc(n + 1);
    for (size_t i = 0; i < n; i++) line[i] = (char)(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
    line[n] = '\n';
    bool ok = fd >= 0 && write(fd, line, n + 1) == (ssize_t)(n + 1);
    free(line);
    if (fd >= 0 && close(fd) != 0) ok = false;
    return ok ? RC_OK : rc_fail(e, RC_EIO, "%s: a temporary file cannot be written (TMPDIR sets its place)", path);
}

static void on_message(void *ctx, const char *text) {
    const cli_args *a = ctx;
    fprintf(stderr, "recur %s: %s\n", a->command->name, text);
}

int cli_predict_model(cli_args *a, const char *path, const char *input, const char *text, const rc_predict_options *o,
                      bool why, const char *precision) {
    rc_error e = {RC_OK, ""};
    rc_model *m = NULL;
    char own[512] = "";
    bool flush = !input || strcmp(input, "-") == 0;
    rc_sink sink = {&flush, put_line};
    rc_status s = load(&m, path, precision, &e);
    if (!s && text) s = text_file(text, own, sizeof own, &e);
    /* a forecaster knows where its data ended */
    bool knows = !s && !text && !input && strcmp(rc_model_task(m), "forecast") == 0;
    const char *from = text ? own : input ? input : knows ? NULL : "-";
    rc_predict_options mine = *o;
    bool of_text = m && (strcmp(rc_model_task(m), "classify") == 0 || strcmp(rc_model_task(m), "regress") == 0);
    if (text && (of_text || (m && cli_task_writes(rc_model_task(m)))))
        mine.data.format = "lines"; /* whatever it looks like */
    mine.message = on_message;
    mine.message_ctx = a;
    if (!s && why)
        s = rc_model_reasons(m, from, &mine, &sink, &e);
    else if (!s)
        s = rc_model_predict(m, from, &mine, &sink, &e);
    if (*own) unlink(own);
    rc_model_free(m);
    return s && s != RC_ESTOP ? cli_fail(a->command, &e) : CLI_DONE;
}
