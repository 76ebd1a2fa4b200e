/* table.h - delimited text and JSON lines: row by row, and as a table.
 *
 * Delimited text: cells between commas, semicolons, tabs, any other character, or white space. Quotes are those of RFC
 * 4180: a cell that begins with '"' ends with '"', '""' is one quote, line ends inside are text; a quote inside other
 * cells is text. With tabs a quote is text too, unless all cells of the first line are quoted. Lines without a character
 * are skipped; '#' alone or before a blank begins a comment at the head of the file. JSON lines: flat objects; the keys
 * of the first are the columns, later ones may lack some and add none; null is an empty cell.
 *
 * Every row must have as many cells as the first: RC_EDATA names the line, what was expected and found. */
#ifndef RC_TABLE_H
#define RC_TABLE_H
#include "data/source.h"

typedef struct rc__table_options {
    const char *format;            /* NULL or "auto": found out; "csv", "tsv", "semicolon", "spaces", "jsonl" */
    char delimiter;                /* another one for delimited text; 0 = that of the format */
    rc__choice header, quotes;     /* whether the first row has the names; whether '"' quotes */
    rc__choice comments;           /* RC_AUTO: as above; RC_YES: '#' begins a comment in any line; RC_NO: never */
    bool padded;                   /* rows may have more or fewer cells than the first if those are empty */
    bool skip_ragged;              /* rows with another number of cells are left out, and counted */
    const char *const *missing;    /* texts that stand for no value; NULL: those of RC_TABLE_MISSING */
    size_t n_missing;
} rc__table_options;

#define RC_TABLE_MISSING "", "NA", "N/A", "NaN", "nan", "null", "?", "-"

/* ---- row by row -------------------------------------------------------------------------------------------------- */

typedef struct rc__rows rc__rows;
/* Looks at what rc__source_peek shows to find out what options leave open: the head of a whole file, the first line of
 * a stream (where a first row of text counts as header only if it has a name that readers know, such as text or label).
 * src stays the caller's and must outlive the rows. RC_EDATA: an empty file. RC_EINVAL: options that contradict. */
rc_status rc__rows_open(rc__rows **out, rc__source *src, const rc__table_options *o, rc_error *e);
void rc__rows_free(rc__rows *r);
/* The next row, rc__rows_columns() cells; NULL after the last. The array lasts until the next call, the texts as long as
 * the source says (a whole file: until both are freed). */
rc_status rc__rows_next(rc__rows *r, const rc__cell **cells, rc_error *e);
size_t rc__rows_line(const rc__rows *r); /* of the row that was given last */
size_t rc__rows_skipped(const rc__rows *r); /* by skip_ragged, so far */
size_t rc__rows_columns(const rc__rows *r);
rc__cell rc__rows_name(const rc__rows *r, size_t col); /* text NULL: the table has no header */
/* A column by its name, or by its number from 1; a name that is a number goes before. RC_EINVAL with the nearest name. */
rc_status rc__rows_find(const rc__rows *r, const char *name, size_t *col, rc_error *e);
/* "comma separated, header in line 1, 13 columns". */
#define RC_ROWS_HOW 128
const char *rc__rows_how(const rc__rows *r, char buf[RC_ROWS_HOW]);
/* The names by which readers know a column of texts or labels, header or not; any case. */
bool rc__is_text_name(rc__cell name);
bool rc__is_label_name(rc__cell name);

/* ---- whole tables ------------------------------------------------------------------------------------------------ */

typedef struct rc__table rc__table;
rc_status rc__table_read(rc__table **out, const char *path, const rc__table_options *o, rc_error *e);
/* From a source of a whole file, which the table takes over, also when it fails. */
rc_status rc__table_take(rc__table **out, rc__source *src, const rc__table_options *o, rc_error *e);
void rc__table_free(rc__table *t);
size_t rc__table_n_rows(const rc__table *t);
const rc__rows *rc__table_rows(const rc__table *t); /* for columns, names, rc__rows_find, rc__rows_how */
const char *rc__table_file(const rc__table *t);
const rc__cell *rc__table_row(const rc__table *t, size_t row); /* a column: &row(0)[col], stride = columns */
rc__cell rc__table_cell(const rc__table *t, size_t row, size_t col);
size_t rc__table_line(const rc__table *t, size_t row);
const size_t *rc__table_lines(const rc__table *t);
bool rc__table_missing(const rc__table *t, rc__cell c);
/* NaN for a missing one; RC_EDATA names line and column of what is no number. */
rc_status rc__table_real(const rc__table *t, size_t row, size_t col, double *out, rc_error *e);

typedef enum rc__column_kind { RC_COLUMN_NUMBER, RC_COLUMN_TIME, RC_COLUMN_TEXT } rc__column_kind;
/* What all values that are not missing are; a column without a value is of numbers. *missing (may be NULL): how many. */
rc__column_kind rc__table_column_kind(const rc__table *t, size_t col, size_t *missing);
/* Column for messages: `column 3 ("temp")`, or `column 3`; buf has room for 96. */
const char *rc__table_column_text(const rc__table *t, size_t col, char buf[96]);
#endif
