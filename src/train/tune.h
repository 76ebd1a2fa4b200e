/* tune.h - the space of options that a search draws from. */
#ifndef RC_TUNE_H
#define RC_TUNE_H
#include "recur/train.h"

#define RC__SPACE_OPTIONS 32
#define RC__SPACE_VALUES  32
#define RC__SPACE_TEXT    2048

/* One option: a range of numbers, or values. */
typedef struct rc__dim {
    const rc_option *option;
    bool range, log; /* log: drawn evenly by its logarithm */
    double low, high;
    const char *value[RC__SPACE_VALUES];
    size_t n;
} rc__dim;

typedef struct rc__space {
    rc__dim dim[RC__SPACE_OPTIONS];
    size_t n;
    char text[RC__SPACE_TEXT];    /* in the grammar of --search */
    char strings[RC__SPACE_TEXT]; /* the values; options drawn point into it, so a space does not move */
} rc__space;

/* search NULL: the task's own space, without what o->given names. RC_EINVAL names option, expected, found. */
rc_status rc__space_make(rc__space *out, const rc_train_options *o, const char *search, rc_error *e);
/* Draws every option of the space into o; with keep what o has there stays where the space contains it. */
rc_status rc__space_draw(const rc__space *sp, rc_rng *rng, bool keep, rc_train_options *o, rc_error *e);
/* "lr=0.001 hidden=128" */
void rc__space_settings(const rc__space *sp, const rc_train_options *o, char *out, size_t cap);
#endif
