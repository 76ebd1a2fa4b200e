/* pairs.h - texts with the text that belongs to them: translations, summaries, replies. Record by record and whole.
 *   two files, line by line        TSV / CSV with two columns        JSON lines with two keys (a value may be a list of
 *   strings: sentences)            conversations: YAML (chatterbot's), JSON, TSV or plain text with empty lines between:
 *                                  each turn after the first is a target, the turns before it its source */
#ifndef RC_PAIRS_H
#define RC_PAIRS_H
#include "base/mem.h"
#include "data/strtab.h"
#include "data/table.h"

typedef struct rc__pairs_options {
    /* NULL or "auto": found out. "lines" (two files), "tsv", "csv", "jsonl", "conversations" (yaml, json, tsv, text by the
     * file's name and look) */
    const char *format;
    const char *source, *target; /* columns or keys; NULL: by their names (source, text, document, article / target, summary,
                                    reply ...), else the first and the second */
    bool unlabelled;             /* sources alone */
    size_t history;              /* conversations: turns before the reply that are its source; 1 */
    const char *separator;       /* between them; " | " */
    rc__table_options table;
} rc__pairs_options;

typedef struct rc__pair { rc__cell source, target; size_t line; } rc__pair;

typedef struct rc__pairs {
    rc__pair *pair;
    size_t n, cap;
    char how[320];     /* what was read, in words */
    /* for the data report */
    size_t empty_sources, empty_targets, equal, repeated; /* equal: source == target; repeated: pairs seen before */
    rc__source *source_file, *target_file;
    rc__arena *texts;
} rc__pairs;

/* target_path NULL: pairs from one file. RC_EDATA: files of unequal length (both counts, and the first line without a
 * partner), a record without target. Pairs with an empty side are kept and counted: the caller leaves them out of training
 * and answers them with an empty line. */
rc_status rc__pairs_read(rc__pairs **out, const char *source_path, const char *target_path, const rc__pairs_options *o,
                         rc_error *e);
void rc__pairs_free(rc__pairs *p);
#endif
