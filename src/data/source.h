/* source.h - lines of a text file: the whole of it in one block, or a stream in constant memory. All readers of data
 * files stand on this, so that what is read at once and what is read record by record goes through the same parser. */
#ifndef RC_SOURCE_H
#define RC_SOURCE_H
#include <stdio.h>

#include "recur/base.h"

/* A piece of text; not ended by a 0. */
typedef struct rc__cell { const char *text; size_t len; } rc__cell;

/* What an option leaves to the reader. */
typedef enum rc__choice { RC_AUTO, RC_NO, RC_YES } rc__choice;

#define RC_SOURCE_MAX_RECORD ((size_t)64 << 20) /* of a stream; a whole file has the limits of rc__file_read */

typedef struct rc__source rc__source;
/* Reads the file into one block ("-" = standard input; gzip is unpacked). Its lines may be changed in place and stay
 * where they are until it is freed. The first open checks: RC_EDATA for UTF-16, bytes that are no UTF-8 or 0 (line and
 * byte), and lines that end with CR alone. A byte order mark of UTF-8 is left out. */
rc_status rc__source_open(rc__source **out, const char *path, rc_error *e);
/* Reads from f as it goes; f stays the caller's and must outlive the source. A line is read only when it is asked for,
 * so a pipe answers line by line. gzip is unpacked too. The text of a record is there until the next one; checks are
 * those of rc__source_open, made line by line. max_record: bytes of the longest record, 0 = RC_SOURCE_MAX_RECORD. */
rc_status rc__source_stream(rc__source **out, FILE *f, const char *name, size_t max_record, rc_error *e);
/* Over text in memory, which may be changed and must outlive the source; nothing is checked. */
rc_status rc__source_memory(rc__source **out, char *text, size_t len, const char *name, rc_error *e);
/* Bytes as they are: no check of UTF-8 and 0, for files that are known to break the rule here and there. */
void rc__source_take_bytes(rc__source *s);
void rc__source_free(rc__source *s);

/* The next line without its end (LF or CRLF). *text = NULL after the last. */
rc_status rc__source_next(rc__source *s, char **text, size_t *len, rc_error *e);
/* One more line at the end of the record that rc__source_next gave, line end between them included: for quoted cells
 * with a line end in them. *text may have moved (stream). *more = false at the end of the file: nothing was added. */
rc_status rc__source_extend(rc__source *s, char **text, size_t *len, bool *more, rc_error *e);
void rc__source_again(rc__source *s); /* the next call of rc__source_next gives the last record once more */
/* What can be seen ahead without waiting: all the rest of a whole file, one line of a stream. Not to be changed. */
rc_status rc__source_peek(rc__source *s, const char **text, size_t *len, rc_error *e);
size_t rc__source_line(const rc__source *s); /* on which line, from 1, the last record began */
const char *rc__source_name(const rc__source *s);
bool rc__source_is_whole(const rc__source *s); /* texts stay until it is freed */

/* ---- pieces of text ---------------------------------------------------------------------------------------------- */

rc__cell rc__cell_trim(rc__cell c); /* without blanks and tabs at both ends */
bool rc__cell_is(rc__cell c, const char *text);
/* A decimal number, blanks around it allowed: digits, '.', e; no hexadecimal, nan or inf; the same in every locale.
 * False for anything else, and for what no double holds. */
bool rc__cell_number(rc__cell c, double *out);
bool rc__cell_integer(rc__cell c, int64_t *out);
/* The next word of white-space separated text, and the rest in *text; len 0 when there is none. */
rc__cell rc__cell_word(rc__cell *text);
/* For messages: at most 40 bytes of it, quoted, "..." where it was cut; `buf` has room for 64. */
const char *rc__cell_show(rc__cell c, char buf[64]);
/* Edit distance (Levenshtein) of two names, for suggestions; 99 for names of more than 32 bytes. */
size_t rc__edit_distance(const char *a, size_t na, const char *b, size_t nb);
#endif
