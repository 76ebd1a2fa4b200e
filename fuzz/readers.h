/* readers.h - everything that reads a file which a stranger may have made, in one table: the test of damaged files
 * (tests/unit/test_hostile_files.c), the replay of kept inputs (replay.c) and the libFuzzer targets (target.c) run over
 * it. A new file format is one line of the table in readers.c. */
#ifndef READERS_H
#define READERS_H
#include "recur/base.h"

typedef struct reader {
    const char *name; /* of the libFuzzer target, of corpus/NAME and crashers/NAME */
    const char *seed; /* which valid file this line begins with; a reader may have several */
    const char *file; /* what the file is called while it is read */
    rc_status (*write)(const char *path, rc_error *e); /* makes the seed: small, the same bytes each time */
    rc_status (*read)(const char *path, rc_error *e);  /* reads the file and uses what it got; frees all */
    /* Prefixes of first..len - spare - 1 bytes must be refused: shorter ones may be another format's, the spare bytes
     * at the end are space. first = SIZE_MAX: a prefix is as good as the whole (text). */
    size_t first, spare;
    size_t grows; /* how many times its size a file may unpack to */
} reader;

extern const reader readers[];
extern const size_t n_readers;

/* The most memory that reading `len` bytes may take at one time, JSON nodes included. A JSON parser needs 80 bytes for
 * the two of "{}"; tables of characters come in pages. */
#define READER_MEMORY(r, len) (((size_t)6 << 20) + 100 * (len) * (r)->grows)

/* Gives the bytes to a reader, as a file, and looks at what it does: NULL when all is well, else what is wrong - a
 * status that is none for a bad file, a message that does not name the file, memory left behind or beyond
 * READER_MEMORY. The status and message of the reader come back in s and e. */
const char *reader_run(const reader *r, const void *data, size_t len, rc_status *s, rc_error *e);
/* The seed's bytes, freed with free(). NULL and a message on standard error when it cannot be made. */
unsigned char *reader_seed(const reader *r, size_t *len);
/* The largest share of READER_MEMORY that any run took so far, and the bytes it was. */
double reader_memory_share(size_t *bytes);
#endif
