/* training.h - what train, plan and compare share. */
#ifndef RECUR_CLI_TRAINING_H
#define RECUR_CLI_TRAINING_H

#include "cli.h"

bool cli_is_source(const char *word); /* "adding:T=200" and the like: needs no file */
/* Every file can be read; a misspelt source is told as such. */
rc_status cli_check_data(const rc_train_options *o, rc_error *e);
rc_status cli_check_task(const cli_args *a, rc_error *e);
/* Applies the preset and points o->files at the words after the task. */
rc_status cli_settle_training(cli_args *a, rc_train_options *o, rc_error *e);
/* An option given on the command line, with another value than its default, that the chosen optimizer, schedule, average
 * or none of the cells reads: RC_EINVAL says whose it is. */
rc_status cli_check_effect(const cli_args *a, const rc_train_options *o, const char *const *cells, size_t n_cells,
                           rc_error *e);
/* What reads the sequences: the cell, or the encoder of tasks that have that option. */
bool cli_has_encoder(const rc_train_options *o);
const char *cli_network(const rc_train_options *o);
/* With --from: the options given that the model's own settings replace, as "--hidden, --layers"; "" when none. */
const char *cli_replaced_by_model(const cli_args *a, const rc_train_options *o, char *out, size_t cap);
json_t *cli_result_json(const rc_train_result *r);
/* An unknown cell is an error that names the nearest one, or all. */
rc_status cli_check_cell(const char *where, const char *cell, rc_error *e);

#endif
