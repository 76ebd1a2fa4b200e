/* series.h - sets of series on a regular grid of time: targets, covariates with their roles, missing values as NaN.
 *
 * Three layouts of a table are read:
 *   wide   a row a step; the targets are columns that share one clock and its covariates
 *   long   a row a step of the series that its id column names
 *   rows   a row a series: its id, then its values, empty cells behind the last (as M4 has it); no time
 * Steps that the file leaves out are missing, and so are empty cells and the table's other words for that; 0 is an
 * observed zero. Rows behind the last value of any target tell of the future: there, covariates are known ahead. */
#ifndef RC_SERIES_H
#define RC_SERIES_H
#include "data/table.h"
#include "data/timestamp.h"
#include <jansson.h>

typedef enum rc__layout { RC_LAYOUT_AUTO, RC_LAYOUT_WIDE, RC_LAYOUT_LONG, RC_LAYOUT_ROWS } rc__layout;
typedef enum rc__covariate_role { RC_COVARIATE_KNOWN, RC_COVARIATE_OBSERVED, RC_COVARIATE_FIXED } rc__covariate_role;

typedef struct rc__covariate {
    char *name;
    rc__covariate_role role;
    size_t n_categories; /* 0 = a number; else one column of 0 and 1 for each */
    char **category;
    size_t at; /* its first column among those of its group of roles (fixed, or not) */
} rc__covariate;

/* What is known of the columns: asked for, then found out, then stored with a model. */
typedef struct rc__schema {
    rc__layout layout;
    char *id, *time; /* columns; NULL = none */
    size_t n_targets;
    char **target;
    size_t n_covariates;
    rc__covariate *covariate;
    size_t room_targets, room_covariates; /* of the two arrays */
    size_t n_varying, n_fixed;            /* columns of both kinds, categories as columns of their own */
    bool has_time;
    rc__frequency frequency;
    rc__time_style style;
} rc__schema;

#define RC_SERIES_MAX_CATEGORIES 256
#define RC_SERIES_MAX_COLUMNS    4096

/* Columns by name or number, lists with commas; NULL or "" = found out. known, observed, fixed: covariates.
 * observed "none": no column is read unless it is named. */
typedef struct rc__series_options {
    rc__table_options table;
    rc__layout layout;
    const char *id, *time, *target, *known, *observed, *fixed, *categorical;
} rc__series_options;

typedef struct rc__group { /* series that share a clock */
    char *id;              /* "" in a file without ids */
    int64_t start;         /* the time of step 0; an index when there is no time */
    size_t n, ahead;       /* steps up to the last value of a target; steps behind it */
    double *y;             /* (targets, n) */
    double *x;             /* (n + ahead, n_varying) */
    double *fixed;         /* (n_fixed) */
    size_t first;          /* rc__series_join: the first step that the later file told of */
} rc__group;

typedef struct rc__series {
    rc__schema *schema;
    size_t n_groups;
    rc__group *group;
    size_t steps, missing, gaps; /* values asked for; of them without one; steps that the file left out */
} rc__series;

/* schema NULL: found out, series own it. Else the columns of the file must be those (a target may be absent when
 * may_lack is set: all its values are missing), and options only say how the table is written. RC_EDATA names line and
 * column; RC_EINVAL: a column that is asked for and not there. */
rc_status rc__series_read(rc__series **out, const char *path, const rc__series_options *o, const rc__schema *schema,
                          bool may_lack, rc_error *e);
void rc__series_free(rc__series *s);
/* Every group of `later`, with the steps of `earlier` under the same id before its own; groups of `earlier` that have
 * no more are left out unless keep. Without time the steps of `later` come next; with time they come where their time
 * says, steps of both count as `later` has them, and `first` is the first step after those of `earlier`. */
rc_status rc__series_join(rc__series **out, const rc__series *earlier, const rc__series *later, bool keep, rc_error *e);
/* The group, or n_groups. hint: where it may well be, as in a file of the same order. */
size_t rc__series_find(const rc__series *s, const char *id, size_t hint);
static inline double *rc__series_y(const rc__series *s, size_t group, size_t target) {
    return s->group[group].y + target * s->group[group].n;
}
/* The time of a step as the file writes it; without time its number from 1. */
const char *rc__series_time(const rc__series *s, size_t group, size_t step, char buf[64]);

/* How many steps of this clock from `from` to `to`, which may be before it. */
int64_t rc__steps_between(const rc__frequency *f, int64_t from, int64_t to);

json_t *rc__schema_json(const rc__schema *s); /* NULL: out of memory */
rc_status rc__schema_read(rc__schema **out, const json_t *obj, const char *where, rc_error *e);
rc_status rc__schema_copy(rc__schema **out, const rc__schema *s, rc_error *e);
void rc__schema_free(rc__schema *s);

/* Positions in the cycles of the calendar that steps of this frequency pass through, as sine and cosine: the hour, day
 * of the week, of the year ... Returns how many numbers that is (at most RC_CALENDAR_MAX); 0 without time. out may be
 * NULL. */
#define RC_CALENDAR_MAX 8
size_t rc__calendar_features(const rc__schema *s, int64_t time, double *out);
#endif
