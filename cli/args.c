/* args.c - reads a command line by the command's table of options.
 *
 *  1. split: words, and pairs (option, value), without applying them; --help is noted
 *  2. the file of --config is applied, then the pairs, so that the command line wins
 *  3. files to be read and written are checked
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct common {
    const char *config;
    bool help;
};

const rc_option cli_common_options[] = {
    {"config", 0, RC_OPT_PATH_IN, offsetof(struct common, config), 0, 0, NULL, "FILE.json", "General",
     "read options from a JSON object of the same names; the command line wins"},
    {"help", 'h', RC_OPT_BOOL, offsetof(struct common, help), 0, 0, NULL, NULL, "General", "show this help"},
};
const size_t cli_common_count = sizeof cli_common_options / sizeof *cli_common_options;

int cli_usage_error(const cli_command *c, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, c ? "recur %s: " : "recur: ", c ? c->name : "");
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    cli_usage_lines(stderr, c);
    fprintf(stderr, c ? "recur %s --help tells more.\n" : "recur --help tells more.\n", c ? c->name : "");
    return CLI_USAGE;
}

int cli_fail(const cli_command *c, const rc_error *e) {
    static const char *const sizes[] = {"hidden", "layers", "batch", "seq-len", "length", "samples"};
    fprintf(stderr, c ? "recur %s: %s" : "recur: %s", c ? c->name : e->text, e->text);
    size_t n_table = 0, n = 0;
    const rc_option *table = c && c->table && e->code == RC_ENOMEM ? c->table(&n_table) : NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) /* what makes it large */
        if (rc_option_find(table, n_table, sizes[i])) fprintf(stderr, n++ ? ", --%s" : "; smaller values may fit: --%s", sizes[i]);
    fputc('\n', stderr);
    int code = rc_status_exit_code(e->code);
    return code ? code : CLI_NO;
}

static void give(cli_args *a, const rc_option *o, const char *value, bool from_config) {
    a->given = cli_grow(a->given, a->n_given, sizeof *a->given);
    a->names = cli_grow(a->names, a->n_given, sizeof *a->names);
    a->names[a->n_given] = o->name;
    a->given[a->n_given++] = (cli_given){o, value, from_config};
}

static void add_word(cli_args *a, const char *word) {
    a->words = cli_grow(a->words, a->n_words, sizeof *a->words);
    a->words[a->n_words++] = word;
}

bool cli_is_given(const cli_args *a, const char *name) {
    for (size_t i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, name) == 0) return true;
    return false;
}

static bool is_common(const rc_option *o) {
    return o >= cli_common_options && o < cli_common_options + cli_common_count;
}

static const rc_option *find_long(const cli_args *a, const char *name) {
    const rc_option *o = rc_option_find(a->table, a->n_table, name);
    return o ? o : rc_option_find(cli_common_options, cli_common_count, name);
}

static const rc_option *find_letter(const cli_args *a, char letter) {
    for (size_t i = 0; i < a->n_table; i++)
        if (a->table[i].letter == letter) return &a->table[i];
    for (size_t i = 0; i < cli_common_count; i++)
        if (cli_common_options[i].letter == letter) return &cli_common_options[i];
    return NULL;
}

static int unknown_option(const cli_args *a, const char *name) {
    const char *near = rc_option_suggest(a->table, a->n_table, name);
    if (!near) near = rc_option_suggest(cli_common_options, cli_common_count, name);
    if (near) return cli_usage_error(a->command, "unknown option --%s; did you mean --%s?", name, near);
    return cli_usage_error(a->command, "unknown option --%s", name);
}

/* The argument after an option, when it can be its value: "-o --hidden 3" forgot one. NULL: the message was printed. */
static const char *next_value(const cli_args *a, const rc_option *o, const char *name, int argc, char **argv, int i) {
    const char *expects = o->arg ? o->arg : "a value", *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (!value)
        cli_usage_error(a->command, "%s expects %s", name, expects);
    else if (strncmp(value, "--", 2) == 0 && value[2] && find_long(a, value + 2)) {
        cli_usage_error(a->command, "%s expects %s, found the option %s (write --%s=%s if that is the value)", name,
                        expects, value, o->name, value);
        return NULL;
    }
    return value;
}

/* --name, --name=value, --name value, --no-name. Returns how many arguments were used, 0 when the message was printed. */
static int take_long(cli_args *a, int argc, char **argv, int i, const char **config) {
    const char *text = argv[i] + 2, *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    char name[64];
    if (len >= sizeof name) {
        unknown_option(a, text);
        return 0;
    }
    memcpy(name, text, len);
    name[len] = 0;
    const rc_option *o = find_long(a, name);
    if (!o && strncmp(name, "no-", 3) == 0) {
        const rc_option *positive = find_long(a, name + 3);
        if (positive && positive->type == RC_OPT_BOOL && !is_common(positive)) {
            if (equals) {
                cli_usage_error(a->command, "--%s takes no value, found \"%s\"", name, equals + 1);
                return 0;
            }
            give(a, positive, "false", false);
            return 1;
        }
    }
    if (!o) {
        unknown_option(a, name);
        return 0;
    }
    const char *value = equals ? equals + 1 : NULL;
    int used = 1;
    if (o->type == RC_OPT_BOOL) {
        value = value ? value : "true";
    } else if (!value) {
        if (!(value = next_value(a, o, argv[i], argc, argv, i))) return 0;
        used = 2;
    }
    if (o == &cli_common_options[0])
        *config = value;
    else if (!is_common(o))
        give(a, o, value, false);
    return used;
}

/* -o value, -ovalue. */
static int take_short(cli_args *a, int argc, char **argv, int i) {
    const char *text = argv[i] + 1;
    const rc_option *o = find_letter(a, *text);
    if (text[1] && (!o || o->type == RC_OPT_BOOL) && find_long(a, text)) {
        cli_usage_error(a->command, "unknown option -%s; long options have two dashes: --%s", text, text);
        return 0;
    }
    if (!o) {
        cli_usage_error(a->command, "unknown option -%c", *text);
        return 0;
    }
    if (o->type == RC_OPT_BOOL) {
        if (text[1]) {
            cli_usage_error(a->command, "-%c takes no value, found \"%s\"", *text, text + 1);
            return 0;
        }
        if (!is_common(o)) give(a, o, "true", false);
        return 1;
    }
    const char *value = text[1] ? text + 1 : NULL;
    if (!value && !(value = next_value(a, o, argv[i], argc, argv, i))) return 0;
    give(a, o, value, false);
    return text[1] ? 1 : 2;
}

/* rc_option_set, and for a wrong choice the nearest one. */
static rc_status set_option(const cli_args *a, const rc_option *o, const char *value, const char *where, rc_error *e) {
    rc_status s = rc_option_set(o, a->options, value, where, e);
    if (s != RC_EINVAL || o->type != RC_OPT_CHOICE || !e) return s;
    const char *names[64], *near;
    size_t n = 0;
    char *list = strdup(o->choices), *at = NULL;
    for (char *w = list ? strtok_r(list, " ", &at) : NULL; w && n < 64; w = strtok_r(NULL, " ", &at)) names[n++] = w;
    near = cli_suggest(names, n, value);
    if (near) snprintf(e->text + strlen(e->text), sizeof e->text - strlen(e->text), "; did you mean %s?", near);
    free(list);
    return s;
}

/* ---- --config ------------------------------------------------------------------------------------------------------ */

/* A JSON value as the text an option reads. Returns NULL for what no option takes; buf serves numbers. */
static const char *json_text(cli_args *a, json_t *v) {
    if (json_is_string(v)) return json_string_value(v);
    if (json_is_boolean(v)) return json_is_true(v) ? "true" : "false";
    if (!json_is_number(v)) return NULL;
    char buf[48];
    if (json_is_integer(v))
        snprintf(buf, sizeof buf, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        snprintf(buf, sizeof buf, "%.17g", json_real_value(v));
    json_t *s = json_string(buf);
    json_array_append_new(json_object_get(a->config, " texts"), s); /* lives as long as the options */
    return json_string_value(s);
}

static rc_status take_config_value(cli_args *a, const char *path, const char *key, json_t *value, rc_error *e) {
    const rc_option *o = rc_option_find(a->table, a->n_table, key);
    if (!o) {
        const char *near = rc_option_suggest(a->table, a->n_table, key);
        return rc_fail(e, RC_EINVAL,
                       near ? "%s: unknown option \"%s\"; did you mean \"%s\"?" : "%s: unknown option \"%s\"", path,
                       key, near);
    }
    const char *text = json_text(a, value);
    if (!text) return rc_fail(e, RC_EINVAL, "%s: \"%s\": expected a string, a number, true or false", path, key);
    char where[512];
    snprintf(where, sizeof where, "%s: \"%s\"", path, key);
    rc_status s = set_option(a, o, text, where, e);
    if (s == RC_OK) give(a, o, text, true);
    return s;
}

/* A file of options is small; JSON takes a hundred times its size in memory. No more is read. */
enum { MOST_CONFIG = 1 << 20 };

static rc_status read_small(const char *path, char *text, size_t *len, rc_error *e) {
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!f) return rc_fail(e, RC_EIO, "%s: %s", path, strerror(errno));
    *len = fread(text, 1, MOST_CONFIG + 1, f);
    bool failed = ferror(f) != 0;
    if (f != stdin) fclose(f);
    if (failed) return rc_fail(e, RC_EIO, "%s: cannot be read", path);
    if (*len == 0) return rc_fail(e, RC_EDATA, "%s: the file is empty", path);
    if (*len <= MOST_CONFIG) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: a file of options has at most %d bytes, this one has more", path, MOST_CONFIG);
}

static rc_status load_config(const char *path, json_t **root, rc_error *e) {
    size_t len = 0;
    json_error_t je;
    rc_status s = cli_check_input("--config", path, e);
    if (s != RC_OK) return s;
    char *text = cli_alloc(MOST_CONFIG + 2);
    s = read_small(path, text, &len, e);
    *root = s == RC_OK ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &je) : NULL;
    free(text);
    if (s != RC_OK) return s;
    if (!*root) return rc_fail(e, RC_EDATA, "%s: line %d, column %d: %s", path, je.line, je.column, je.text);
    if (json_is_object(*root)) return RC_OK;
    json_decref(*root);
    return rc_fail(e, RC_EDATA, "%s: expected a JSON object of options", path);
}

static rc_status read_config(cli_args *a, const char *path, rc_error *e) {
    json_t *root;
    rc_status s = load_config(path, &root, e);
    if (s) return s;
    a->config = root;
    json_t *files = json_object_get(root, "files");
    bool take_files = a->n_words <= (a->command->tasks ? 1 : 0);
    if (json_is_array(files)) {
        for (size_t i = 0; i < json_array_size(files); i++) {
            if (!json_is_string(json_array_get(files, i)))
                return rc_fail(e, RC_EINVAL, "%s: \"files\": expected strings", path);
            if (take_files) add_word(a, json_string_value(json_array_get(files, i)));
        }
    }
    json_object_set_new(root, " texts", json_array());
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        bool note = strcmp(key, " texts") == 0 || strcmp(key, "recur") == 0 || strcmp(key, "task") == 0;
        bool unset = json_is_null(value) || (json_is_string(value) && !*json_string_value(value));
        if (note || unset || (value == files && json_is_array(value)))
            continue;               /* a run's config.json says more than its options */
        if (json_is_array(value)) { /* an option that may be repeated */
            for (size_t i = 0; i < json_array_size(value); i++)
                if ((s = take_config_value(a, path, key, json_array_get(value, i), e))) return s;
        } else if ((s = take_config_value(a, path, key, value, e))) {
            return s;
        }
    }
    return RC_OK;
}

/* ---- everything ------------------------------------------------------------------------------------------------------ */

static rc_status check_files(const cli_args *a, rc_error *e) {
    const char **inputs = NULL;
    size_t n = 0;
    rc_status s = RC_OK;
    char where[80];
    for (size_t i = 0; i < a->n_words; i++) {
        inputs = cli_grow(inputs, n, sizeof *inputs);
        inputs[n++] = a->words[i];
    }
    for (size_t i = 0; i < a->n_given && !s; i++) {
        const rc_option *o = a->given[i].option;
        const char *path = a->given[i].value;
        snprintf(where, sizeof where, "--%s", o->name);
        if (o->type == RC_OPT_PATH_IN) {
            s = cli_check_input(where, path, e);
            inputs = cli_grow(inputs, n, sizeof *inputs);
            inputs[n++] = path;
        }
    }
    for (size_t i = 0; i < a->n_given && !s; i++) {
        const rc_option *o = a->given[i].option;
        snprintf(where, sizeof where, "--%s", o->name);
        if (o->type == RC_OPT_PATH_OUT) s = cli_check_output(where, a->given[i].value, inputs, n, e);
    }
    free(inputs);
    return s;
}

/* "classify, tag": the tasks that read an option. */
static void of_tasks(const char *option, char *out, size_t cap) {
    size_t at = 0;
    char names[256], *save = NULL;
    snprintf(names, sizeof names, "%s", rc_train_tasks());
    out[0] = 0;
    for (char *t = strtok_r(names, " ", &save); t; t = strtok_r(NULL, " ", &save))
        if (rc_train_option_is_for(option, t) && at < cap)
            at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? ", " : "", t);
}

/* The words before the data say which task it is: its defaults come before the options that were given, and those must be
 * its own. --time is a budget for all, and for series, as users write it, also the column of the time: what is no time but
 * a name is that. */
static int settle_task(cli_args *a) {
    const char *task = a->command->tasks && a->n_words ? a->words[0] : NULL;
    if (!task) return CLI_DONE;
    if (strcmp(task, "lm") != 0 && rc_train_options_for(task, a->options, NULL) != RC_OK) return CLI_DONE; /* told later */
    const rc_option *column = rc_option_find(a->table, a->n_table, "time-column");
    for (size_t i = 0; i < a->n_given; i++) {
        cli_given *g = &a->given[i];
        double seconds[1];
        rc_option as_time = *g->option;
        as_time.offset = 0;
        if (strcmp(g->option->name, "time") == 0 && column && rc_train_option_is_for("time-column", task) &&
            rc_option_set(&as_time, seconds, g->value, "time", NULL) != RC_OK) {
            g->option = column;
            a->names[i] = column->name;
        }
        if (!rc_train_option_is_for(g->option->name, task)) {
            char tasks[256] = "";
            of_tasks(g->option->name, tasks, sizeof tasks);
            return cli_usage_error(a->command, "--%s is for %s, not for %s", g->option->name, tasks, task);
        }
    }
    return CLI_DONE;
}

/* Is argument i the one that follows --name VALUE or --name=VALUE? */
static bool after_value(const cli_args *a, char **argv, int i, const char *name) {
    const cli_given *last = &a->given[a->n_given - 1];
    size_t n = strlen(name);
    if (strcmp(last->option->name, name) != 0) return false;
    if (last->value == argv[i - 1]) return true;
    return strncmp(argv[i - 1], "--", 2) == 0 && strncmp(argv[i - 1] + 2, name, n) == 0 && argv[i - 1][2 + n] == '=';
}

static int parse(cli_args *a, int argc, char **argv) {
    const cli_command *c = a->command;
    const char *config = NULL;
    for (int i = 0; i < argc;) {
        int used = 1;
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc) add_word(a, argv[i]);
            break;
        }
        if (strncmp(argv[i], "--", 2) == 0)
            used = take_long(a, argc, argv, i, &config);
        else if (argv[i][0] == '-' && argv[i][1])
            used = take_short(a, argc, argv, i);
        else {
            if (i >= 1 && a->n_given && after_value(a, argv, i, "valid")) a->behind_valid = a->n_words + 1;
            add_word(a, argv[i]);
        }
        if (!used) return CLI_USAGE;
        i += used;
    }
    rc_error e = {RC_OK, ""};
    size_t on_line = a->n_given;
    int code = settle_task(a);
    if (code) return code;
    if (config && read_config(a, config, &e)) return cli_fail(c, &e);
    for (size_t i = 0; i < on_line; i++) {
        char where[80];
        snprintf(where, sizeof where, "--%s", a->given[i].option->name);
        rc_status s = set_option(a, a->given[i].option, a->given[i].value, where, &e);
        if (s) return cli_fail(c, &e);
    }
    if (check_files(a, &e)) return cli_fail(c, &e);
    if (c->settle && c->settle(a, &e)) return e.code == RC_EINVAL ? cli_usage_error(c, "%s", e.text) : cli_fail(c, &e);
    return CLI_DONE;
}

/* For help: sets what can be set, so that `recur train --preset good --help` shows that preset's values. */
static void parse_for_help(cli_args *a, int argc, char **argv) {
    if (argc > 0 && argv[0][0] != '-') add_word(a, argv[0]);
    settle_task(a);
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0) continue;
        char name[64];
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i] - 2) : strlen(argv[i] + 2);
        if (len >= sizeof name) continue;
        memcpy(name, argv[i] + 2, len);
        name[len] = 0;
        const rc_option *o = rc_option_find(a->table, a->n_table, name);
        const char *value = equals                        ? equals + 1
                            : o && o->type == RC_OPT_BOOL ? "true"
                            : i + 1 < argc                ? argv[i + 1]
                                                          : "";
        if (o && rc_option_set(o, a->options, value, name, NULL) == RC_OK) give(a, o, value, false);
    }
    if (a->command->settle) a->command->settle(a, NULL);
}

int cli_parse(cli_args *a, const cli_command *c, int argc, char **argv) {
    *a = (cli_args){.command = c};
    if (c->table) a->table = c->table(&a->n_table);
    a->options = cli_alloc(c->options_size ? c->options_size : 1);
    if (c->defaults) c->defaults(a->options);
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) a->help = true;
    if (!a->help) return parse(a, argc, argv);
    parse_for_help(a, argc, argv);
    return CLI_DONE;
}

void cli_args_free(cli_args *a) {
    free(a->options);
    free(a->words);
    free(a->given);
    free(a->names);
    json_decref(a->config);
    *a = (cli_args){0};
}

void cli_temporary(char *out, size_t cap, const char *what) {
    const char *tmp = getenv("TMPDIR");
    snprintf(out, cap, "%s/recur-%s-XXXXXX", tmp && *tmp ? tmp : "/tmp", what);
}
