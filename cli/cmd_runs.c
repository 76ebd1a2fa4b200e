/* cmd_runs.c - recur runs: lists, compares and deletes run folders. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli.h"

struct runs_options {
    const char *dir;
    bool json, quiet;
};

#define AT(field) offsetof(struct runs_options, field)
static const rc_option entries[] = {
    {"dir", 0, RC_OPT_STRING, AT(dir), 0, 0, NULL, "DIR", "Runs", "the folder that holds the runs"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Runs", "one JSON object on standard output"},
    {"quiet", 'q', RC_OPT_BOOL, AT(quiet), 0, 0, NULL, NULL, "Runs", "delete without a word"},
};

static const char *const verbs[] = {"list", "compare", "delete"};

static const rc_option *table(size_t *n) {
    *n = sizeof entries / sizeof *entries;
    return entries;
}

static void defaults(void *options) { *(struct runs_options *)options = (struct runs_options){.dir = "runs"}; }

static rc_status settle(cli_args *a, rc_error *e) {
    if (a->help || a->n_words == 0) return RC_OK;
    const char *verb = a->words[0];
    for (size_t i = 0; i < 3; i++)
        if (strcmp(verb, verbs[i]) == 0) {
            if (i > 0 && a->n_words < 2 + (i == 1))
                return rc_fail(e, RC_EINVAL,
                               i == 1 ? "compare: expected two runs or more"
                                      : "delete: expected RUN...: the runs to delete");
            if (i == 0 && a->n_words > 1)
                return rc_fail(e, RC_EINVAL, "list takes no run, found \"%s\"; another folder is --dir DIR",
                               a->words[1]);
            return RC_OK;
        }
    const char *near = cli_suggest(verbs, 3, verb);
    if (near) return rc_fail(e, RC_EINVAL, "unknown action \"%s\"; did you mean %s?", verb, near);
    return rc_fail(e, RC_EINVAL, "unknown action \"%s\"; expected list, compare or delete", verb);
}

/* A run is named by its path or, inside --dir, by its name. Allocated. */
static char *run_path(const struct runs_options *o, const char *name) {
    struct stat st;
    char *path = NULL;
    if (!strchr(name, '/') && stat(name, &st) != 0 && asprintf(&path, "%s/%s", o->dir, name) >= 0) {
        if (stat(path, &st) == 0) return path;
        free(path);
    }
    return strdup(name);
}

static const char *date_text(char *buf, size_t cap, double created) {
    time_t t = (time_t)created;
    struct tm tm;
    if (created <= 0) return "-"; /* no status.json told it */
    if (!localtime_r(&t, &tm) || strftime(buf, cap, "%Y-%m-%d %H:%M", &tm) == 0) snprintf(buf, cap, "?");
    return buf;
}

static json_t *run_json(const rc_run_info *r) {
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "path", r->path, "name", r->name,
                     "cell", r->cell, "state", r->state, "steps", (json_int_t)r->steps, "seconds",
                     cli_json_real(r->seconds), "best_valid_loss", cli_json_real(r->best_valid_loss),
                     "tokens_per_second", cli_json_real(r->tokens_per_second), "created", cli_json_real(r->created > 0 ? r->created : NAN),
                     "parameters", (json_int_t)r->parameters, "bytes", (json_int_t)r->bytes);
}

static void print_runs(const rc_run_info *runs, size_t n) {
    static const char *const head[] = {"run",        "state",    "cell", "parameters", "steps",
                                       "valid loss", "tokens/s", "time", "size",       "started"};
    cli_table t = cli_table_new("lllrrrrrrl");
    char buf[64];
    for (size_t i = 0; i < 10; i++) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < n; i++) {
        const rc_run_info *r = &runs[i];
        cli_table_add(&t, "%s", r->path);
        cli_table_add(&t, "%s", r->state);
        cli_table_add(&t, "%s", r->cell);
        cli_table_add(&t, "%s", r->parameters ? cli_count_text(buf, sizeof buf, (double)r->parameters) : "-");
        cli_table_add(&t, "%llu", (unsigned long long)r->steps);
        if (isfinite(r->best_valid_loss))
            cli_table_add(&t, "%.4f", r->best_valid_loss);
        else
            cli_table_add(&t, "-");
        cli_table_add(&t, "%s", cli_count_text(buf, sizeof buf, r->tokens_per_second));
        cli_table_add(&t, "%s", cli_time_text(buf, sizeof buf, r->seconds));
        cli_table_add(&t, "%s", cli_bytes_text(buf, sizeof buf, (double)r->bytes));
        cli_table_add(&t, "%s", date_text(buf, sizeof buf, r->created));
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static int list(cli_args *a) {
    const struct runs_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_run_info *runs = NULL;
    size_t n = 0;
    struct stat st;
    bool absent = !cli_is_given(a, "dir") && stat(o->dir, &st) != 0 && errno == ENOENT;
    if (!absent && rc_runs_list(o->dir, &runs, &n, &e)) return cli_fail(a->command, &e);
    if (o->json) {
        json_t *l = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(l, run_json(&runs[i]));
        cli_print_json(json_pack("{s:o}", "runs", l));
    } else if (n) {
        print_runs(runs, n);
    } else {
        fprintf(stderr, "recur runs: no runs in %s\n", o->dir);
    }
    rc_runs_free(runs, n);
    return CLI_DONE;
}

/* ---- compare ----------------------------------------------------------------------------------------------------------- */

/* config.json of a run, {} when it has none. */
static json_t *run_config(const char *path) {
    char *name = NULL;
    json_t *j = NULL;
    if (asprintf(&name, "%s/config.json", path) >= 0) {
        j = json_load_file(name, 0, NULL);
        free(name);
    }
    if (j && json_is_object(json_object_get(j, "options"))) {
        json_t *inner = json_incref(json_object_get(j, "options"));
        json_decref(j);
        j = inner;
    }
    return json_is_object(j) ? j : json_object();
}

static char *value_text(json_t *config, const char *key) {
    json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v)) return strdup("-");
    if (json_is_string(v)) return strdup(*json_string_value(v) ? json_string_value(v) : "-");
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    return text ? text : strdup("?");
}

/* Rows for the settings in which the runs differ. */
static void add_differences(cli_table *t, json_t **config, size_t n) {
    json_t *keys = json_object();
    for (size_t i = 0; i < n; i++) {
        const char *key;
        json_t *v;
        json_object_foreach(config[i], key, v) json_object_set_new(keys, key, json_true());
    }
    const char *key;
    json_t *v;
    json_object_foreach(keys, key, v) {
        json_t *first = json_object_get(config[0], key);
        bool same = true, own_name = strstr(" run out quiet json ", key) != NULL;
        for (size_t i = 1; i < n && same; i++) {
            json_t *other = json_object_get(config[i], key);
            same = first == other || (first && other && json_equal(first, other));
        }
        if (same || own_name) continue;
        cli_table_add(t, "%s", key);
        for (size_t i = 0; i < n; i++) {
            char *text = value_text(config[i], key);
            cli_table_add(t, "%.40s", text);
            free(text);
        }
    }
    json_decref(keys);
}

static void print_comparison(const rc_run_info *r, size_t n, json_t **config) {
    char align[66] = "l", buf[64];
    memset(align + 1, 'r', n);
    align[n + 1] = 0;
    cli_table t = cli_table_new(align);
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (isfinite(r[i].best_valid_loss) && (best == n || r[i].best_valid_loss < r[best].best_valid_loss)) best = i;
    cli_table_add(&t, "run");
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s", r[i].name);
    cli_table_add(&t, "state");
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s", r[i].state);
    cli_table_add(&t, "valid loss");
    for (size_t i = 0; i < n; i++)
        isfinite(r[i].best_valid_loss) ? cli_table_add(&t, "%s%.4f", i == best ? "best " : "", r[i].best_valid_loss)
                                       : cli_table_add(&t, "-");
    cli_table_add(&t, "parameters");
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s", cli_count_text(buf, sizeof buf, (double)r[i].parameters));
    cli_table_add(&t, "steps done"); /* "steps" is the setting */
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%llu", (unsigned long long)r[i].steps);
    cli_table_add(&t, "tokens/s");
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s", cli_count_text(buf, sizeof buf, r[i].tokens_per_second));
    cli_table_add(&t, "time spent");
    for (size_t i = 0; i < n; i++) cli_table_add(&t, "%s", cli_time_text(buf, sizeof buf, r[i].seconds));
    add_differences(&t, config, n);
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static int compare(cli_args *a) {
    enum { MOST = 64 };
    const struct runs_options *o = a->options;
    size_t n = a->n_words - 1;
    if (n > MOST) return cli_usage_error(a->command, "compare: expected at most %d runs, found %zu", MOST, n);
    rc_error e = {RC_OK, ""};
    rc_run_info *info = cli_alloc(n * sizeof *info);
    json_t **config = cli_alloc(n * sizeof *config);
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && !s; i++) {
        char *path = run_path(o, a->words[i + 1]);
        s = rc_run_read(path, &info[i], &e);
        config[i] = s ? json_object() : run_config(path);
        free(path);
    }
    if (!s && o->json) {
        json_t *l = json_array();
        for (size_t i = 0; i < n; i++) {
            json_t *j = run_json(&info[i]);
            json_object_set(j, "config", config[i]);
            json_array_append_new(l, j);
        }
        cli_print_json(json_pack("{s:o}", "runs", l));
    } else if (!s) {
        print_comparison(info, n, config);
    }
    for (size_t i = 0; i < n; i++) json_decref(config[i]);
    free(config);
    free(info);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

static int delete_runs(cli_args *a) {
    const struct runs_options *o = a->options;
    json_t *done = json_array();
    rc_error e = {RC_OK, ""};
    int code = CLI_DONE;
    for (size_t i = 1; i < a->n_words; i++) {
        char *path = run_path(o, a->words[i]);
        if (rc_run_delete(path, &e)) {
            code = cli_fail(a->command, &e); /* the others are still deleted */
        } else {
            json_array_append_new(done, json_string(path));
            if (!o->quiet && !o->json) printf("deleted %s\n", path);
        }
        free(path);
    }
    if (o->json) cli_print_json(json_pack("{s:O}", "deleted", done));
    json_decref(done);
    return code;
}

static int run(cli_args *a) {
    if (a->n_words == 0 || strcmp(a->words[0], "list") == 0) return list(a);
    return strcmp(a->words[0], "compare") == 0 ? compare(a) : delete_runs(a);
}

const cli_command cmd_runs = {
    .name = "runs",
    .actions = "list compare delete",
    .usage = "runs [list] [--dir DIR]\nruns compare RUN RUN...\nruns delete RUN...",
    .summary = "list, compare and delete run folders",
    .text = "Every training run leaves a folder. list shows those of a folder, newest first; compare sets runs side by "
            "side with the settings in which they differ; delete removes run folders, and refuses what does not look "
            "like one or is running. RUN is a path, or a name inside --dir.",
    .examples = "runs\nruns compare runs/a runs/b\nruns delete runs/a",
    .words = "folder",
    .table = table,
    .options_size = sizeof(struct runs_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
