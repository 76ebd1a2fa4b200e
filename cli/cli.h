/* cli.h - what the subcommands of the command line share: the table of commands, parsing, output, errors.
 *
 * The command line uses include/recur alone, like any other program. Results go to standard output; progress, messages
 * and errors go to standard error. Exit codes are rc_status_exit_code's: 0 done, 1 ran but the answer is no, 2 usage,
 * 3 bad model or data, 4 input/output or memory, 5 interrupted.
 */
#ifndef RECUR_CLI_H
#define RECUR_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "recur/recur.h"

enum { CLI_DONE = 0, CLI_NO = 1, CLI_USAGE = 2, CLI_DATA = 3, CLI_IO = 4, CLI_INTERRUPTED = 5 };

/* ---- commands ---------------------------------------------------------------------------------------------------- */
typedef struct cli_args cli_args;

/* One entry makes parsing, --help, the manual page and the completion of a command. */
/* What --help says of a command with one of its tasks, in place of the command's own. */
typedef struct cli_task_help {
    const char *task, *usage, *text, *examples;
} cli_task_help;

typedef struct cli_command {
    const char *name;                              /* "train"                                                      */
    const char *tasks;                             /* space separated words that must come first: "lm"; or NULL    */
    const char *actions;                           /* the same, but optional: "rnn step"; or NULL                 */
    const char *usage;                             /* lines, without "recur "                                      */
    const char *summary;                           /* one line                                                     */
    const char *text;                              /* paragraphs for --help and the manual, or NULL                */
    const char *examples;                          /* lines "command" or "command  # remark"; '\n' between         */
    const cli_task_help *of_tasks;                 /* help of single tasks, ends in one without a name; or NULL    */
    const char *words;                             /* what words complete to: "file", "folder", "command" or ""    */
    const rc_option *(*table)(size_t *n);          /* NULL: no options but the common ones                          */
    size_t options_size;                           /* of the struct that table describes                           */
    void (*defaults)(void *options);               /* fills that struct                                            */
    rc_status (*settle)(cli_args *a, rc_error *e); /* after all options are read: presets, checks; may be NULL      */
    int (*run)(cli_args *a);                       /* returns the exit code                                        */
} cli_command;

extern const cli_command *const cli_commands[]; /* ends in NULL; main.c */
const cli_command *cli_command_find(const char *name);
/* The nearest of `n` names (edit distance <= 3), or NULL. */
const char *cli_suggest(const char *const *names, size_t n, const char *name);
/* A name for mkstemp or mkdtemp in TMPDIR, else /tmp. */
void cli_temporary(char *out, size_t cap, const char *what);

/* ---- a parsed command line --------------------------------------------------------------------------------------- */
typedef struct cli_given {
    const rc_option *option;
    const char *value; /* for a BOOL "true" or "false" */
    bool from_config;
} cli_given;

struct cli_args {
    const cli_command *command;
    const rc_option *table; /* of the command, and n_table entries */
    size_t n_table;
    void *options;
    const char **words; /* arguments that are no options */
    size_t n_words;
    size_t behind_valid; /* the word that follows --valid FILE directly, counted from 1; 0 = none does */
    cli_given *given; /* options that were set, config file first, in order */
    size_t n_given;
    const char **names; /* their names, for rc_train_apply_preset */
    bool help;
    json_t *config; /* owns strings that options point to */
};

/* Reads argv[0..argc), which come after the command's name. On failure the message was printed; returns the exit code.
 * With a->help set the rest was read as far as it goes, so that help shows the values in force. */
int cli_parse(cli_args *a, const cli_command *c, int argc, char **argv);
void cli_args_free(cli_args *a);
bool cli_is_given(const cli_args *a, const char *name);

/* Options that every command takes: --config, --help. */
extern const rc_option cli_common_options[];
extern const size_t cli_common_count;

/* ---- messages ----------------------------------------------------------------------------------------------------- */
extern const char *cli_program; /* as it was called, for commands to be repeated: "recur" or "build/recur" */
/* "recur train: <message>" on standard error; returns the exit code of e. */
int cli_fail(const cli_command *c, const rc_error *e);
/* The same for a wrong command line, with the usage; returns CLI_USAGE. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
int cli_usage_error(const cli_command *c, const char *format, ...);

/* ---- help.c -------------------------------------------------------------------------------------------------------- */
void cli_help_overview(FILE *f);
void cli_help_command(FILE *f, const cli_args *a);
void cli_usage_lines(FILE *f, const cli_command *c);

/* ---- output.c ------------------------------------------------------------------------------------------------------ */
void *cli_alloc(size_t size);                       /* zeroed; leaves with exit code 4 when there is none */
void *cli_grow(void *p, size_t count, size_t size); /* room for one more than count; doubles */
/* Closes standard output; a write that failed (disk full) becomes exit code 4 with a message. A reader that went away
 * (recur predict | head) is no error. */
int cli_finish(int code);
bool cli_stdout_gone(void); /* a write to standard output failed */

const char *cli_count_text(char *buf, size_t cap, double n);      /* 950, 43.9k, 1.20M */
const char *cli_time_text(char *buf, size_t cap, double seconds); /* 0.4s, 45s, 1m02s, 2h03m */
const char *cli_bytes_text(char *buf, size_t cap, double bytes);  /* 340 KiB, 1.2 MiB */
/* A word as the shell reads it: quoted when it must be. Allocated; free(). */
char *cli_shell_quote(const char *word);
/* Text for a terminal or JSON: UTF-8 with invalid bytes as U+FFFD, and with controls (but \n \t) too. free(). */
char *cli_clean_text(const char *text, size_t len);

/* Checks before work starts. where is "--valid" or what the word is for. */
rc_status cli_check_input(const char *where, const char *path, rc_error *e);
rc_status cli_check_output(const char *where, const char *path, const char *const *inputs, size_t n_inputs,
                           rc_error *e);

/* A whole file or none: a temporary name beside it, fsync, rename. A device or pipe is written as it is. */
rc_status cli_write_file(const char *path, const char *text, size_t len, rc_error *e);

typedef struct cli_table {
    size_t columns, n_cells, cap;
    char **cells;      /* rows of `columns`; the first row is the heading */
    const char *align; /* 'l' or 'r' per column */
} cli_table;
cli_table cli_table_new(const char *align);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cli_table_add(cli_table *t, const char *format, ...);
void cli_table_print(const cli_table *t, FILE *f);
void cli_table_free(cli_table *t);

/* One line of JSON on standard output; takes ownership. */
void cli_print_json(json_t *o);
json_t *cli_json_real(double x); /* null when not finite */

double cli_now(void); /* seconds, monotonic */

/* ---- progress.c ---------------------------------------------------------------------------------------------------- */
/* On a terminal one line that is rewritten; in a pipe a plain line every 5 % or 10 seconds. */
typedef struct cli_progress {
    bool terminal, quiet, open; /* open: an unfinished line is on the screen */
    double last_time, last_progress;
    int width;
} cli_progress;
cli_progress cli_progress_new(bool quiet);
/* A line that stays. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cli_progress_line(cli_progress *p, const char *format, ...);
void cli_progress_training(cli_progress *p, const char *label, const rc_train_progress *t);
void cli_progress_sample(cli_progress *p, uint64_t step, const char *text, size_t len);
void cli_progress_done(cli_progress *p);

/* SIGINT and SIGTERM ask the training to stop after its step; the second one leaves at once. */
void cli_catch_interrupts(void);
bool cli_interrupted(void);

#endif
