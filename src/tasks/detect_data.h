/* detect_data.h - rows of series for detect: whole files to learn from, and a stream of records in constant memory. */
#ifndef RC_DETECT_DATA_H
#define RC_DETECT_DATA_H
#include "tasks/detect.h"
#include <stdio.h>

/* rc_data_options as the readers of tables take them. */
typedef struct rc__detect_table_options {
    rc__table_options table;
    const char *missing[40];
    char words[400];
} rc__detect_table_options;
rc_status rc__detect_table(rc__detect_table_options *out, const rc_data_options *o, rc_error *e);

/* A file to learn from. */
typedef struct rc__detect_series {
    size_t n, C;
    double *x;      /* (n, C), NaN = missing */
    int64_t *time;  /* (n), NULL without */
    uint8_t *label; /* (n), NULL without: 1 = anomaly */
    size_t missing, labelled;
} rc__detect_series;
void rc__detect_series_free(rc__detect_series *s);
/* What the columns of the first file are; those of the others are taken to be the same. */
typedef struct rc__detect_columns {
    char **name;
    size_t *column;
    size_t channels, time_column, label_column; /* SIZE_MAX: none */
    char *time_name, *label;
    bool header;
} rc__detect_columns;
void rc__detect_columns_free(rc__detect_columns *c);
rc_status rc__detect_columns_find(rc__detect_columns *c, const rc__table *t, const rc_data_options *o, rc_error *e);
/* style: read from the first file when *has_style is false, else what the stamps must look like. */
rc_status rc__detect_series_read(rc__detect_series *s, const rc__table *t, const rc__detect_columns *c, bool *has_style,
                                 rc__time_style *style, rc_error *e);

/* ---- records one by one ------------------------------------------------------------------------------------------ */
typedef struct rc__detect_record {
    size_t line;
    rc__cell time_text; /* len 0: no time. Until the next record */
    int64_t time;
    double *x;         /* (C) */
    int label;         /* 0, 1; -1: none */
    size_t unreadable; /* cells that are no numbers and count as missing (lenient) */
} rc__detect_record;

typedef struct rc__detect_reader rc__detect_reader;
/* path "-" = standard input. A header is known by the names of the channels, wherever it comes; without one the columns
 * are where they were when the model was trained. lenient: what is no number counts as missing, lines of another length
 * are left out. stop (may be NULL): when it is set the records end. */
rc_status rc__detect_reader_open(rc__detect_reader **out, const rc__detect_model *m, const char *path,
                                 const rc_data_options *o, bool lenient, const volatile int *stop, rc_error *e);
void rc__detect_reader_free(rc__detect_reader *r);
rc_status rc__detect_reader_next(rc__detect_reader *r, rc__detect_record *out, bool *more, rc_error *e);
bool rc__detect_reader_labels(const rc__detect_reader *r); /* the file has a column of labels */
#endif
