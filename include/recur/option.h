/* recur/option.h - one table describes each option: the command line, --help, the manual page, shell completion,
 * config.json and the tests of hostile values are all made from it.
 */
#ifndef RECUR_OPTION_H
#define RECUR_OPTION_H

#include "recur/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rc_option_type {
    RC_OPT_BOOL,     /* bool        --name / --no-name                              */
    RC_OPT_INT,      /* int64_t     whole number in [min, max]; 10k, 2M understood  */
    RC_OPT_REAL,     /* double      finite, in [min, max]                           */
    RC_OPT_TIME,     /* double      seconds; 90, 90s, 3m, 2h                        */
    RC_OPT_STRING,   /* const char *  any text; owned by the caller's argv or arena */
    RC_OPT_PATH_IN,  /* const char *  a file that must be readable                  */
    RC_OPT_PATH_OUT, /* const char *  a file that will be written                   */
    RC_OPT_CHOICE    /* const char *  one of `choices`, space separated             */
} rc_option_type;

typedef struct rc_option {
    const char *name;     /* "hidden"; the command line takes --hidden */
    char letter;          /* 'o' for -o; 0 = none */
    rc_option_type type;
    size_t offset;        /* of the field in the options struct */
    double min, max;      /* INT, REAL, TIME; both 0 = no limits */
    const char *choices;  /* CHOICE */
    const char *arg;      /* shown in help: "N", "FILE" */
    const char *group;    /* heading in help */
    const char *help;     /* one line */
} rc_option;

/* Parses one value into the struct at base. where names the source in messages ("--hidden", "config.json: hidden").
 * Numbers are parsed whole: "12abc", "", "nan" are errors. Strings are not copied. */
rc_status rc_option_set(const rc_option *o, void *base, const char *value, const char *where, rc_error *e);
const rc_option *rc_option_find(const rc_option *table, size_t n, const char *name);
/* The nearest name by edit distance (<= 3), or NULL. */
const char *rc_option_suggest(const rc_option *table, size_t n, const char *name);
/* The current value as text ("256", "3m", "true", "" for a NULL string); returns as snprintf. */
size_t rc_option_get(const rc_option *o, const void *base, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
