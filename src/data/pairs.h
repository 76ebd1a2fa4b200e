/* pairs.h - texts with the text that belongs to them: translations, summaries, replies. Record by record and whole.
 *   two files, line by line        TSV / CSV with two columns        JSON lines with two keys
 *   conversations: YAML (chatterbot's), JSON, JSON lines, lines of turns with tabs between, or a turn a line with
 *   empty lines between: each turn after the first is a target, the turns before it its source
 * A value of JSON may be a list of texts: of a source they are its sentences, which are joined by spaces; of a target
 * they are alternatives, of which the first is the target. */
#ifndef RC_PAIRS_H
#define RC_PAIRS_H
#include "base/mem.h"
#include "data/strtab.h"
#include "data/table.h"

typedef struct rc__pairs_options {
    /* NULL or "auto": found out. "lines" (two files; sources alone: one), "table" and the formats of table.h, "jsonl",
     * "conversations" (which kind: by the file's name and look), "yaml", "json", "turns" (tabs), "dialogues" (text) */
    const char *format;
    /* columns or keys; NULL: by their names (source, text, document, article / target, summary, reply ...), else the
     * first and the second */
    const char *source, *target;
    bool unlabelled;       /* sources alone: targets may be missing and are not given */
    bool conversations;    /* what "auto" means: conversations, unless the name says jsonl, csv or tsv with two keys */
    size_t history;        /* conversations: turns before the reply that are its source; 0 = 1 */
    const char *separator; /* between them; NULL = " | " */
    rc__table_options table;
} rc__pairs_options;

typedef struct rc__pair {
    rc__cell source, target;
    const rc__cell *others; /* further right targets (n_others) */
    size_t n_others;
    size_t line; /* where it begins, from 1; two files: of both */
} rc__pair;

/* ---- record by record -------------------------------------------------------------------------------------------- */

typedef struct rc__pairs_reader rc__pairs_reader;
/* target NULL: pairs, or sources alone, from one source. Both stay the caller's and must outlive the reader. A
 * stream gives a record as soon as its line is there (YAML and JSON are read whole, and refused of a stream).
 * RC_EDATA, RC_EINVAL with a message that names the file. */
rc_status rc__pairs_open(rc__pairs_reader **out, rc__source *src, rc__source *target, const rc__pairs_options *o,
                         rc_error *e);
/* The next pair; *more = false after the last. It lasts until the next call, of whole files until all are freed. Of
 * plain lines an empty one is an empty text, so that answers match lines. */
rc_status rc__pairs_next(rc__pairs_reader *r, rc__pair *pair, bool *more, rc_error *e);
void rc__pairs_close(rc__pairs_reader *r);
/* What rc__pairs_options.format, source and target would have to be to read a file alike; "" = none. */
void rc__pairs_form(const rc__pairs_reader *r, char format[16], char source[128], char target[128]);

/* ---- whole files ------------------------------------------------------------------------------------------------- */

typedef struct rc__pairs {
    rc__pair *pair;
    size_t n, cap;
    char how[320];     /* what was read, in words */
    /* for the data report */
    size_t empty_sources, empty_targets, equal, repeated; /* equal: source == target; repeated: pairs seen before */
    rc__source *source_file, *target_file;
    rc__pairs_reader *reader;
} rc__pairs;

/* target_path NULL: pairs from one file. RC_EDATA: files of unequal length (both counts, and the first line without
 * a partner), a record without target. Pairs with an empty side are kept and counted: the caller leaves them out of
 * training and answers them with an empty line. */
rc_status rc__pairs_read(rc__pairs **out, const char *source_path, const char *target_path, const rc__pairs_options *o,
                         rc_error *e);
void rc__pairs_free(rc__pairs *p);
/* How many of b's pairs are among a's, byte for byte (by 64-bit hashes). */
rc_status rc__pairs_common(const rc__pair *a, size_t n_a, const rc__pair *b, size_t n_b, size_t *common, rc_error *e);
/* Does the name say that a file holds both sides (jsonl, csv, tsv, yml, ...; .gz behind it is fine)? */
bool rc__pairs_named(const char *path);
bool rc__pair_empty(rc__cell c); /* nothing but white space */
#endif
