/* help.h - what the help command prints from the tables of commands and options. */
#ifndef RECUR_CLI_HELP_H
#define RECUR_CLI_HELP_H

#include <stdio.h>

void cli_print_man(FILE *f);       /* recur.1 */
void cli_print_bash(FILE *f);      /* completion of bash */
void cli_print_options_json(void); /* all options of all commands, with types and limits */

#endif
