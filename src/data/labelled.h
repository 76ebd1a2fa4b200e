/* labelled.h - texts with labels, record by record and whole: tables, JSON lines, fastText lines, `label text` lines, a
 * folder with one folder of text files for each class, and plain lines without labels. */
#ifndef RC_LABELLED_H
#define RC_LABELLED_H
#include "base/mem.h"
#include "data/strtab.h"
#include "data/table.h"

typedef struct rc__labelled_options {
    /* NULL or "auto": found out, told by rc__labelled_how. "table" and the formats of table.h; "jsonl"; "fasttext":
     * `__label__a __label__b text`; "label-first": a label, one space, the text; "lines": a text in each line, without
     * label; "folder" (rc__labelled_read alone). */
    const char *format;
    /* Columns or JSON keys, by name or number; text may be several, "title+description", which are joined by a space.
     * NULL: those whose names say it (text, sentence, message, review ...; label, class, category, sentiment ...);
     * else, of two or three columns of a whole file, the one with the fewest different values is the label. */
    const char *text, *label;
    const char *separator; /* of several labels in one cell, as "," (none is fine then); NULL: a cell is a label */
    bool unlabelled;       /* only texts are wanted, as for predictions: labels may be absent and are not given */
    rc__table_options table;
} rc__labelled_options;

typedef struct rc__record {
    rc__cell text;
    const rc__cell *labels;
    size_t n_labels;
    size_t line; /* where the record begins, from 1 */
} rc__record;

/* ---- record by record -------------------------------------------------------------------------------------------- */

typedef struct rc__labelled_reader rc__labelled_reader;
/* src stays the caller's and must outlive the reader. RC_EDATA, RC_EINVAL with a message that names the file. */
rc_status rc__labelled_open(rc__labelled_reader **out, rc__source *src, const rc__labelled_options *o, rc_error *e);
/* The next record; *more = false after the last. It lasts until the next call, its text as long as the source says (a
 * whole file: until both are freed). Of plain lines an empty one is an empty text, so that answers match lines. */
rc_status rc__labelled_next(rc__labelled_reader *r, rc__record *record, bool *more, rc_error *e);
void rc__labelled_close(rc__labelled_reader *r);
/* "tab separated, no header, 2 columns; label in column 1, text in column 2" */
const char *rc__labelled_how(const rc__labelled_reader *r);
/* The columns or keys that are read, as rc__labelled_options would name them: "title+description", "2"; "" for forms
 * without columns, and where a name is too long. */
void rc__labelled_columns(const rc__labelled_reader *r, char text[256], char label[128]);

/* ---- whole files ------------------------------------------------------------------------------------------------- */

typedef struct rc__labelled_row {
    rc__cell text;
    size_t line; /* of a folder: which of its files, from 1 */
    size_t first, n_labels; /* in labels */
} rc__labelled_row;

typedef struct rc__labelled {
    rc__labelled_row *rows;
    uint32_t *labels; /* numbers in names, none twice for one row */
    size_t n_rows, n_labels, rows_cap, labels_cap;
    rc__strtab names; /* of labels, as they came */
    char how[320];
    rc__source *src;
    rc__labelled_reader *reader;
    rc__arena *texts;
} rc__labelled;

/* RC_EDATA: no record, or a record without a label (unless unlabelled, or separator is given). */
rc_status rc__labelled_read(rc__labelled **out, const char *path, const rc__labelled_options *o, rc_error *e);
void rc__labelled_free(rc__labelled *l);
#endif
