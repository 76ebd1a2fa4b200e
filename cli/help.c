/* help.c - --help, the manual page, the completion of bash and a dump for tests, all from the tables of commands and
 * options: nothing is written twice.
 */
#include "help.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { WIDTH = 80, COLUMN = 28 };

static const char *const exit_codes[][2] = {
    {"0", "done"},
    {"1", "ran, but the answer is no"},
    {"2", "wrong command line"},
    {"3", "bad model or data, or training that stopped being finite"},
    {"4", "a file cannot be read or written, disk or memory full"},
    {"5", "interrupted (Ctrl-C, SIGTERM); a training run saved its checkpoint"},
};

static const char *const environment[][2] = {
    {"OMP_NUM_THREADS", "threads when --threads is not given"},
    {"RECUR_ISA", "force an instruction set of those recur --version lists"},
};

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

/* Words of text from column `at` on, wrapped at WIDTH with the given indent; ends the line. */
static void wrap(FILE *f, const char *text, int indent, int at) {
    for (const char *p = text; *p;) {
        while (*p == ' ') p++;
        int n = (int)strcspn(p, " ");
        if (n == 0) break;
        if (at > indent && at + 1 + n > WIDTH) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', f);
            at++;
        }
        fwrite(p, 1, (size_t)n, f);
        at += n;
        p += n;
    }
    fputc('\n', f);
}

/* Calls `line` for each line of a text. */
static void each_line(FILE *f, const char *text, void (*line)(FILE *f, const char *line, size_t len)) {
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        line(f, text, n);
        text += n + (text[n] == '\n');
    }
}

static void plain_line(FILE *f, const char *line, size_t len) { fprintf(f, "  recur %.*s\n", (int)len, line); }

static void usage_lines(FILE *f, const char *text) {
    const char *head = "usage: recur ";
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        fprintf(f, "%s%.*s\n", head, (int)n, text);
        head = "       recur ";
        text += n + (text[n] == '\n');
    }
}

void cli_usage_lines(FILE *f, const cli_command *c) {
    if (c)
        usage_lines(f, c->usage);
    else
        fputs("usage: recur COMMAND [ARGUMENTS] [OPTIONS]\n", f);
}

/* Of the task in the words, or NULL. */
static const cli_task_help *task_help(const cli_args *a) {
    for (const cli_task_help *h = a->command->of_tasks; h && h->task; h++)
        if (a->n_words && strcmp(h->task, a->words[0]) == 0) return h;
    return NULL;
}

static void paragraphs(FILE *f, const char *text) {
    char *copy = strdup(text ? text : "");
    for (char *p = copy; p && *p;) {
        char *end = strstr(p, "\n\n");
        if (end) *end = 0;
        for (char *q = p; *q; q++)
            if (*q == '\n') *q = ' ';
        wrap(f, p, 0, 0);
        fputc('\n', f);
        p = end ? end + 2 : NULL;
    }
    free(copy);
}

/* "--hidden N", "-o, --out FILE", "--[no-]tied" */
static void option_name(char *out, size_t cap, const rc_option *o, const char *value) {
    char letter[8] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    bool negated = o->type == RC_OPT_BOOL && value && strcmp(value, "true") == 0;
    snprintf(out, cap, "%s--%s%s%s%s", letter, negated ? "no-" : "", o->name,
             o->arg && o->type != RC_OPT_BOOL ? " " : "", o->arg && o->type != RC_OPT_BOOL ? o->arg : "");
}

/* The help text, then the choices, then the value in force. */
static char *option_text(const rc_option *o, const char *value) {
    char *text = NULL;
    bool on = o->type == RC_OPT_BOOL && value && strcmp(value, "true") == 0;
    const char *choices = o->type == RC_OPT_CHOICE && o->choices ? o->choices : NULL;
    bool show = value && *value && o->type != RC_OPT_BOOL;
    if (asprintf(&text, "%s%s%s%s%s%s%s%s", on ? "not: " : "", o->help ? o->help : "", choices ? " (" : "",
                 choices ? choices : "", choices ? ")" : "", show ? " [" : "", show ? value : "", show ? "]" : "") < 0)
        return NULL;
    return text;
}

static void option_line(FILE *f, const rc_option *o, const char *value) {
    char name[128];
    option_name(name, sizeof name, o, value);
    int at = fprintf(f, "  %s%s", o->letter ? "" : "    ", name);
    if (at + 1 > COLUMN)
        fprintf(f, "\n%*s", COLUMN, "");
    else
        fprintf(f, "%*s", COLUMN - at, "");
    char *text = option_text(o, value);
    wrap(f, text ? text : "", COLUMN, COLUMN);
    free(text);
}

/* Of a command with tasks, those that the task in its words reads (lm without one). */
static bool is_shown(const cli_args *a, const rc_option *o) {
    return !a->command->tasks || rc_train_option_is_for(o->name, a->n_words ? a->words[0] : "lm");
}

/* Groups in the order in which the table first names them, each once even when its options are scattered. */
static bool first_of_group(const rc_option *table, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(table[k].group, table[i].group) == 0) return false;
    return true;
}

static const char *value_text(const cli_args *a, const rc_option *o, char *buf, size_t cap) {
    buf[0] = 0;
    if (a->options) rc_option_get(o, a->options, buf, cap);
    return buf;
}

/* ---- --help ---------------------------------------------------------------------------------------------------------- */

void cli_help_overview(FILE *f) {
    cli_usage_lines(f, NULL);
    fputs("\nTrains, evaluates, runs and explains recurrent sequence models.\n\nCommands\n", f);
    for (const cli_command *const *c = cli_commands; *c; c++) fprintf(f, "  %-10s %s\n", (*c)->name, (*c)->summary);
    fputs("\n  recur COMMAND --help    its options, their values in force, examples\n"
          "  recur --version         version and what is built in\n"
          "\nFirst steps\n"
          "  recur train lm book.txt -o book.safetensors --preset quick\n"
          "  recur predict book.safetensors --prompt \"Once \"\n"
          "\nExit codes\n",
          f);
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        fprintf(f, "  %s  %s\n", exit_codes[i][0], exit_codes[i][1]);
    fputs("\nEnvironment\n", f);
    for (size_t i = 0; i < sizeof environment / sizeof *environment; i++)
        fprintf(f, "  %-16s %s\n", environment[i][0], environment[i][1]);
}

void cli_help_command(FILE *f, const cli_args *a) {
    const cli_command *c = a->command;
    char value[256];
    const cli_task_help *h = task_help(a);
    const char *examples = h ? h->examples : c->examples;
    usage_lines(f, h ? h->usage : c->usage);
    fputc('\n', f);
    paragraphs(f, h ? h->text : c->text ? c->text : c->summary);
    for (size_t i = 0; i < a->n_table; i++) {
        if (!first_of_group(a->table, i)) continue;
        size_t shown = 0;
        for (size_t k = i; k < a->n_table; k++)
            shown += strcmp(a->table[k].group, a->table[i].group) == 0 && is_shown(a, &a->table[k]);
        if (!shown) continue;
        fprintf(f, "%s\n", a->table[i].group);
        for (size_t k = i; k < a->n_table; k++)
            if (strcmp(a->table[k].group, a->table[i].group) == 0 && is_shown(a, &a->table[k]))
                option_line(f, &a->table[k], value_text(a, &a->table[k], value, sizeof value));
        fputc('\n', f);
    }
    fputs("General\n", f);
    for (size_t i = 0; i < cli_common_count; i++) option_line(f, &cli_common_options[i], NULL);
    if (examples) {
        fputs("\nExamples\n", f);
        each_line(f, examples, plain_line);
    }
    fputs("\nExit codes: 0 done, 1 the answer is no, 2 usage, 3 bad model or data,\n"
          "4 input/output or memory, 5 interrupted\n",
          f);
}

/* ---- manual page -------------------------------------------------------------------------------------------------------- */

static void roff(FILE *f, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\')
            fputs("\\e", f);
        else if (text[i] == '-')
            fputs("\\-", f);
        else if ((text[i] == '.' || text[i] == '\'') && (i == 0 || text[i - 1] == '\n'))
            fprintf(f, "\\&%c", text[i]);
        else
            fputc(text[i], f);
    }
}

static void roff_line(FILE *f, const char *line, size_t len) {
    fputs(".br\nrecur ", f);
    roff(f, line, len);
    fputc('\n', f);
}

static void roff_example(FILE *f, const char *line, size_t len) {
    fputs("recur ", f);
    roff(f, line, len);
    fputc('\n', f);
}

/* An empty line separates paragraphs. */
static void roff_paragraphs(FILE *f, const char *text) {
    for (const char *p = text; *p;) {
        const char *end = strstr(p, "\n\n");
        size_t n = end ? (size_t)(end - p) : strlen(p);
        fputs(".PP\n", f);
        roff(f, p, n);
        fputc('\n', f);
        p += n + (end ? 2 : 0);
    }
}

static void roff_option(FILE *f, const rc_option *o, const char *value) {
    char name[128];
    option_name(name, sizeof name, o, value);
    char *text = option_text(o, value);
    fputs(".TP\n.B ", f);
    roff(f, name, strlen(name));
    fputc('\n', f);
    roff(f, text ? text : "", text ? strlen(text) : 0);
    fputc('\n', f);
    free(text);
}

/* plan and compare take train's options too: the page says so once instead of listing them three times. */
static void man_drop_train(cli_args *a) {
    static rc_option own[16];
    size_t n_train, n = 0;
    const rc_option *train = rc_train_option_table(&n_train);
    if (a->table == train || !a->command->tasks) return;
    for (size_t i = 0; i < a->n_table && n < sizeof own / sizeof *own; i++)
        if (!rc_option_find(train, n_train, a->table[i].name)) own[n++] = a->table[i];
    a->table = own;
    a->n_table = n;
}

void cli_print_man(FILE *f) {
    fprintf(f, ".TH RECUR 1 \"\" \"recur %s\" \"User Commands\"\n", RC_VERSION);
    fputs(".SH NAME\nrecur \\- train, evaluate, run and explain recurrent sequence models\n.SH SYNOPSIS\n", f);
    for (const cli_command *const *c = cli_commands; *c; c++) each_line(f, (*c)->usage, roff_line);
    fputs(".SH DESCRIPTION\n"
          "Results go to standard output; progress, messages and errors go to standard error.\n"
          "A file named \\- is standard input. Values in brackets are the defaults. Numbers are read whole; whole "
          "numbers\n"
          "may end in k or M, times in s, m or h.\n",
          f);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        cli_args a;
        char value[256], help[] = "--help", *argv[] = {help, NULL};
        cli_parse(&a, *c, 1, argv);
        fprintf(f, ".SH \"RECUR %s\"\n", (*c)->name);
        roff_paragraphs(f, (*c)->text ? (*c)->text : (*c)->summary);
        for (const cli_task_help *h = (*c)->of_tasks; h && h->task; h++) {
            fprintf(f, ".SS \"%s %s\"\n", (*c)->name, h->task);
            roff_paragraphs(f, h->text);
            fputs(".nf\n", f);
            each_line(f, h->examples, roff_example);
            fputs(".fi\n", f);
        }
        man_drop_train(&a);
        for (size_t i = 0; i < a.n_table; i++) {
            if (!first_of_group(a.table, i)) continue;
            fprintf(f, ".SS \"%s\"\n", a.table[i].group);
            for (size_t k = i; k < a.n_table; k++)
                if (strcmp(a.table[k].group, a.table[i].group) == 0)
                    roff_option(f, &a.table[k], value_text(&a, &a.table[k], value, sizeof value));
        }
        if ((*c)->examples) {
            fputs(".SS \"Examples\"\n.nf\n", f);
            each_line(f, (*c)->examples, roff_example);
            fputs(".fi\n", f);
        }
        cli_args_free(&a);
    }
    fputs(".SH \"OPTIONS OF EVERY COMMAND\"\n", f);
    for (size_t i = 0; i < cli_common_count; i++) roff_option(f, &cli_common_options[i], NULL);
    fputs(".SH \"EXIT STATUS\"\n", f);
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        fprintf(f, ".TP\n.B %s\n", exit_codes[i][0]);
        roff(f, exit_codes[i][1], strlen(exit_codes[i][1]));
        fputc('\n', f);
    }
    fputs(".SH ENVIRONMENT\n", f);
    for (size_t i = 0; i < sizeof environment / sizeof *environment; i++) {
        fprintf(f, ".TP\n.B %s\n", environment[i][0]);
        roff(f, environment[i][1], strlen(environment[i][1]));
        fputc('\n', f);
    }
}

/* ---- bash --------------------------------------------------------------------------------------------------------------- */

static void print_cells(FILE *f) {
    for (size_t i = 0; i < rc_cell_count(); i++) fprintf(f, "%s%s", i ? " " : "", rc_cell_at(i)->name);
}

/* What follows an option: files, choices, cells, a number (nothing to offer). */
static void bash_value(FILE *f, const cli_command *c, const rc_option *o) {
    bool names_cell = strcmp(o->name, "cell") == 0 || strcmp(o->name, "cells") == 0;
    if (o->type == RC_OPT_BOOL) return;
    fprintf(f, "    %s:--%s", c->name, o->name);
    if (o->letter) fprintf(f, "|%s:-%c", c->name, o->letter);
    fputs(") ", f);
    if (o->type == RC_OPT_CHOICE) {
        fprintf(f, "_recur_words \"%s\"", o->choices);
    } else if (names_cell) {
        fputs(strcmp(o->name, "cells") == 0 ? "_recur_list \"" : "_recur_words \"", f);
        print_cells(f);
        fputc('"', f);
    } else if (strcmp(o->name, "vocab") == 0) {
        fputs("_recur_words \"char byte word bpe:1000\"; _recur_files", f);
    } else if (o->arg && strstr(o->arg, "DIR")) {
        fputs("_recur_dirs", f);
    } else if (o->type == RC_OPT_PATH_IN || o->type == RC_OPT_PATH_OUT || strcmp(o->name, "valid") == 0 ||
               strcmp(o->name, "from") == 0) {
        fputs("_recur_files", f);
    } else {
        fputs(":", f);
    }
    fputs(" ;;\n", f);
}

void cli_print_bash(FILE *f) {
    fputs("# bash completion of recur; made by `recur help --bash-completion`\n"
          "_recur_words() { COMPREPLY+=($(compgen -W \"$1\" -- \"$cur\")); }\n"
          "_recur_files() { compopt -o filenames; COMPREPLY+=($(compgen -f -- \"$cur\")); }\n"
          "_recur_dirs() { compopt -o filenames; COMPREPLY+=($(compgen -d -- \"$cur\")); }\n"
          "# the last of a list with commas\n"
          "_recur_list() {\n"
          "    local head=\"\"\n"
          "    [[ $cur == *,* ]] && head=\"${cur%,*},\"\n"
          "    COMPREPLY+=($(compgen -P \"$head\" -W \"$1\" -- \"${cur##*,}\"))\n"
          "    compopt -o nospace\n"
          "}\n"
          "_recur() {\n"
          "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" "
          "command=\"${COMP_WORDS[1]}\"\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        _recur_words \"",
          f);
    for (const cli_command *const *c = cli_commands; *c; c++) fprintf(f, "%s ", (*c)->name);
    fputs("--help --version\"\n"
          "        return\n"
          "    fi\n"
          "    case \"$command:$prev\" in\n",
          f);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        size_t n = 0;
        const rc_option *table = (*c)->table ? (*c)->table(&n) : NULL;
        for (size_t i = 0; i < n; i++) bash_value(f, *c, &table[i]);
        fprintf(f, "    %s:--config) _recur_files ;;\n", (*c)->name);
    }
    fputs("    esac\n"
          "    ((${#COMPREPLY[@]})) && return\n"
          "    case \"$command:$cur\" in\n",
          f);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        size_t n = 0;
        const rc_option *table = (*c)->table ? (*c)->table(&n) : NULL;
        fprintf(f, "    %s:-*) _recur_words \"", (*c)->name);
        for (size_t i = 0; i < n; i++)
            fprintf(f, "--%s %s%s%s", table[i].name, table[i].type == RC_OPT_BOOL ? "--no-" : "",
                    table[i].type == RC_OPT_BOOL ? table[i].name : "", table[i].type == RC_OPT_BOOL ? " " : "");
        fputs("--config --help\" ;;\n", f);
    }
    for (const cli_command *const *c = cli_commands; *c; c++) {
        const char *first = (*c)->tasks ? (*c)->tasks : (*c)->actions, *words = (*c)->words;
        const char *rest = strcmp(words, "folder") == 0 ? "_recur_dirs" : "_recur_files";
        if (strcmp(words, "command") == 0)
            fprintf(f, "    %s:*) _recur_words \"${recur_commands[*]}\" ;;\n", (*c)->name);
        else if (first)
            fprintf(f, "    %s:*) if ((COMP_CWORD == 2)); then _recur_words \"%s\"; else %s; fi ;;\n", (*c)->name,
                    first, *words ? rest : ":");
        else if (*words)
            fprintf(f, "    %s:*) %s ;;\n", (*c)->name, rest);
    }
    fputs("    esac\n"
          "}\n"
          "recur_commands=(",
          f);
    for (const cli_command *const *c = cli_commands; *c; c++)
        fprintf(f, "%s%s", c == cli_commands ? "" : " ", (*c)->name);
    fputs(")\ncomplete -F _recur recur\n", f);
}

/* ---- for tests ---------------------------------------------------------------------------------------------------------- */

void cli_print_options_json(void) {
    static const char *const types[] = {"bool", "int", "real", "time", "string", "path_in", "path_out", "choice"};
    json_t *root = json_object();
    for (const cli_command *const *c = cli_commands; *c; c++) {
        cli_args a;
        char value[256], help[] = "--help", *argv[] = {help, NULL};
        cli_parse(&a, *c, 1, argv);
        json_t *list = json_array();
        for (size_t i = 0; i < a.n_table; i++) {
            const rc_option *o = &a.table[i];
            json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", o->name, "type", types[o->type], "group",
                                  o->group, "help", o->help, "default", value_text(&a, o, value, sizeof value));
            if (o->letter) json_object_set_new(j, "letter", json_stringn(&o->letter, 1));
            if (o->min != 0 || o->max != 0) {
                json_object_set_new(j, "min", cli_json_real(o->min));
                json_object_set_new(j, "max", cli_json_real(o->max));
            }
            if (o->choices) json_object_set_new(j, "choices", json_string(o->choices));
            json_array_append_new(list, j);
        }
        json_object_set_new(root, (*c)->name, list);
        cli_args_free(&a);
    }
    cli_print_json(root);
}
