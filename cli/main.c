/* main.c - the commands of recur, and which one runs. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "help.h"

extern const cli_command cmd_train, cmd_eval, cmd_predict, cmd_chat, cmd_compare, cmd_tune, cmd_plan, cmd_explain,
    cmd_export, cmd_runs, cmd_bench, cmd_watch;

/* ---- help ------------------------------------------------------------------------------------------------------------ */

struct help_options {
    bool man, bash_completion, options_json;
};

static const rc_option help_table_entries[] = {
    {"man", 0, RC_OPT_BOOL, offsetof(struct help_options, man), 0, 0, NULL, NULL, "Output", "the manual page, recur.1"},
    {"bash-completion", 0, RC_OPT_BOOL, offsetof(struct help_options, bash_completion), 0, 0, NULL, NULL, "Output",
     "the completion for bash"},
    {"options-json", 0, RC_OPT_BOOL, offsetof(struct help_options, options_json), 0, 0, NULL, NULL, "Output",
     "every option with type, limits and default"},
};

static const rc_option *help_table(size_t *n) {
    *n = sizeof help_table_entries / sizeof *help_table_entries;
    return help_table_entries;
}

static int unknown_command(const char *name) {
    const char *names[32], *near;
    size_t n = 0;
    for (const cli_command *const *c = cli_commands; *c && n < 32; c++) names[n++] = (*c)->name;
    near = cli_suggest(names, n, name);
    if (near) return cli_usage_error(NULL, "unknown command \"%s\"; did you mean %s?", name, near);
    return cli_usage_error(NULL, "unknown command \"%s\"", name);
}

static int run_help(cli_args *a) {
    const struct help_options *o = a->options;
    if (o->man)
        cli_print_man(stdout);
    else if (o->bash_completion)
        cli_print_bash(stdout);
    else if (o->options_json)
        cli_print_options_json();
    else if (a->n_words == 0)
        cli_help_overview(stdout);
    else {
        const cli_command *c = cli_command_find(a->words[0]);
        char help[] = "--help", *argv[] = {help, NULL};
        cli_args of;
        if (!c) return unknown_command(a->words[0]);
        cli_parse(&of, c, 1, argv);
        cli_help_command(stdout, &of);
        cli_args_free(&of);
    }
    return CLI_DONE;
}

static const cli_command cmd_help = {
    .name = "help",
    .usage = "help [COMMAND]\nhelp --man | --bash-completion",
    .summary = "this help, of a command, or as manual page and completion",
    .examples = "help train\nhelp --bash-completion > ~/.local/share/bash-completion/completions/recur",
    .words = "command",
    .table = help_table,
    .options_size = sizeof(struct help_options),
    .run = run_help,
};

/* ---- commands --------------------------------------------------------------------------------------------------------- */

const cli_command *const cli_commands[] = {&cmd_train, &cmd_eval,  &cmd_predict, &cmd_chat,  &cmd_compare,
                                           &cmd_tune,  &cmd_plan,  &cmd_explain, &cmd_watch, &cmd_export,
                                           &cmd_runs,  &cmd_bench, &cmd_help,    NULL};
const char *cli_program = "recur";

const cli_command *cli_command_find(const char *name) {
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (strcmp((*c)->name, name) == 0) return *c;
    return NULL;
}

const char *cli_suggest(const char *const *names, size_t n, const char *name) {
    rc_option *table = cli_alloc(n * sizeof *table);
    for (size_t i = 0; i < n; i++) table[i].name = names[i];
    const char *near = rc_option_suggest(table, n, name);
    for (size_t i = 0; i < n && near; i++)
        if (strcmp(names[i], near) == 0) near = names[i]; /* outlives the table */
    free(table);
    return near;
}

static int print_version(void) {
    printf("recur %s\n%s", rc_version(), rc_build_info());
    size_t n = strlen(rc_build_info());
    if (n && rc_build_info()[n - 1] != '\n') putchar('\n');
    return CLI_DONE;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) return print_version();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_help_overview(stdout);
        return CLI_DONE;
    }
    if (name[0] == '-') return cli_usage_error(NULL, "expected a command before %s", name);
    const cli_command *c = cli_command_find(name);
    if (!c) return unknown_command(name);
    cli_args a;
    int code = cli_parse(&a, c, argc - 2, argv + 2);
    if (code == CLI_DONE && a.help)
        cli_help_command(stdout, &a);
    else if (code == CLI_DONE)
        code = c->run(&a);
    cli_args_free(&a);
    return code;
}

int main(int argc, char **argv) {
    /* A reader that leaves must not kill a training run; writes report it instead (cli_finish). */
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    if (argc > 0 && argv[0] && strchr(argv[0], '/')) cli_program = argv[0];
    return cli_finish(dispatch(argc, argv));
}
