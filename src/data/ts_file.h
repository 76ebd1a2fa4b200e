/* ts_file.h - sets of series with a class or a target each: UEA/UCR .ts files, and the tab separated form of the UCR
 * archive.
 *
 *   .ts   lines of '@' settings, @data, then a series in each line: values with ',' between, channels with ':' between,
 *         the class or the target last. '?' and NaN are missing values. What the settings say is checked: @univariate,
 *         @dimensions, @equalLength, @seriesLength, @missing, @classLabel true and the classes, @targetLabel. Refused
 *         by name: @timeStamps true. (The format: timeseriesclassification.com.)
 *   UCR   a class, then the values, with tabs, commas or white space between; NaN at the end is padding, elsewhere a
 *         missing value (UCR archive of 2018) */
#ifndef RC_TS_FILE_H
#define RC_TS_FILE_H
#include "data/strtab.h"

typedef struct rc__ts_series {
    const float *values; /* (len, n_channels), NaN = missing */
    size_t len, line;
    uint32_t label;      /* a number in classes */
    double target;       /* regression */
} rc__ts_series;

typedef enum rc__ts_kind { RC_TS_PLAIN, RC_TS_CLASSES, RC_TS_TARGETS } rc__ts_kind;

typedef struct rc__ts_set {
    rc__ts_kind kind; /* whether series have classes or targets */
    rc__ts_series *at;
    size_t n, n_channels, shortest, longest, missing; /* missing: values, in all series */
    rc__strtab classes; /* .ts: in the order of @classLabel; UCR: as they came */
    float *block;
    size_t cap, block_len, block_cap;
    char how[96];
} rc__ts_set;

/* unlabelled: of the UCR form, lines have no class; a .ts file says so itself. RC_EDATA: line, expected, found. */
rc_status rc__ts_read(rc__ts_set **out, const char *path, bool unlabelled, rc_error *e);
void rc__ts_free(rc__ts_set *s);
#endif
