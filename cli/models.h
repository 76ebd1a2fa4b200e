/* models.h - eval and predict of models that are no language models. */
#ifndef RECUR_CLI_MODELS_H
#define RECUR_CLI_MODELS_H
#include "cli.h"

/* Appends to entries (cap, *n in use) the options of a table whose struct lies at `base` of the command's; those whose
 * name is there already are left out. */
void cli_append_options(rc_option *entries, size_t *n, size_t cap, const rc_option *table, size_t n_table, size_t base);
/* RC_EINVAL: an option was given whose group is (not: others) among the n groups, which a model of this task does not
 * read. */
rc_status cli_check_groups(const cli_args *a, const char *const *groups, size_t n, bool only_these, const char *path,
                           const char *task, rc_error *e);
/* RC_EINVAL: an option of results was given whose help begins with the names of other tasks. */
rc_status cli_check_tasks(const cli_args *a, const char *path, const char *task, rc_error *e);
/* Does a model for this task write texts: translate, summarize, chat? Options of the group Search are for those alone. */
bool cli_task_writes(const char *task);
/* An object of numbers, texts and arrays of objects: numbers as a list, arrays as tables. */
void cli_print_report(const json_t *report);

int cli_eval_model(cli_args *a, const char *path, const char *data, const rc_eval_options *o, bool json,
                   const char *precision);
int cli_predict_model(cli_args *a, const char *path, const char *input, const char *text, const rc_predict_options *o,
                      bool why, const char *precision);
#endif
