/* file.h - whole-file reading, atomic writing, gzip, directories. */
#ifndef RC_FILE_H
#define RC_FILE_H
#include <stdio.h>
#include "recur/base.h"

/* Reads all of path ("-" = standard input), unpacking gzip when allowed; at most limit bytes (RC_EDATA beyond; 0 = 64
 * GiB, or the machine's memory when that is less), of a terminal 64 MiB, of gzip 64 MiB and 200 times the packed size.
 * The block has len+1 bytes, the last 0; free with rc__free(data, len + 1). */
rc_status rc__file_read(const char *path, bool gunzip, size_t limit, char **data, size_t *len, rc_error *e);

/* Atomic writing: open makes path + ".tmp.<pid>" beside the target; commit flushes, fsyncs, renames and fsyncs the folder;
 * abort removes it. On any failure the old file is untouched and the temporary one is gone. The temporary file is locked
 * (flock) until then; what a killed process leaves is not, and rc__remove_leftovers removes it. */
typedef struct rc__writer { FILE *f; char *path, *tmp; } rc__writer;
rc_status rc__writer_open(rc__writer *w, const char *path, rc_error *e);
rc_status rc__writer_put(rc__writer *w, const void *data, size_t len, rc_error *e);
rc_status rc__writer_commit(rc__writer *w, rc_error *e);
void rc__writer_abort(rc__writer *w);
rc_status rc__file_write(const char *path, const void *data, size_t len, rc_error *e); /* the three in one */

/* Removes what killed processes left of writing the files in dir whose names `of` accepts, or of writing path. */
void rc__remove_leftovers(const char *dir, bool (*of)(const char *name, const void *ctx), const void *ctx);
void rc__remove_leftovers_of(const char *path);

rc_status rc__mkdirs(const char *path, rc_error *e);      /* as mkdir -p */
bool rc__exists(const char *path);
bool rc__is_regular(const char *path);                    /* no pipe, which may wait for ever; links are followed */
char *rc__path_join(const char *dir, const char *name);   /* rc__strfree */
/* Checks before hour one that path can be written (its folder exists and is writable, it is no directory). */
rc_status rc__check_writable(const char *path, rc_error *e);
double rc__now(void); /* seconds, monotonic */
#endif
