/* bpe_internal.h - shared by bpe.c (encoding) and bpe_train.c (learning). */
#ifndef RC_BPE_INTERNAL_H
#define RC_BPE_INTERNAL_H
#include "data/bpe.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct rc__bpe {
    char *pattern; /* NULL = GPT-2's */
    pcre2_general_context *memory;
    pcre2_code *code;
    rc__merge *merges; /* in order of rank */
    size_t n_merges;
    uint32_t *slots; /* open addressing over pairs: rank + 1, 0 = free */
    size_t n_slots;
    int32_t byte_id[256];
    bool ignore_merges; /* a piece that is an entry is taken whole */
};

/* Walks over the pieces of texts. */
typedef struct rc__pieces {
    const rc__bpe *bpe;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    const char *text;
    size_t len, at;
    size_t run_start, run_end; /* the run of valid UTF-8 around at */
    size_t match_start, match_end;
    bool matched; /* match_* holds a match that was not given out yet */
} rc__pieces;
rc_status rc__pieces_open(rc__pieces *p, const rc__bpe *b, rc_error *e);
void rc__pieces_close(rc__pieces *p);
void rc__pieces_start(rc__pieces *p, const char *text, size_t len);
/* *n = 0 at the end. */
rc_status rc__pieces_next(rc__pieces *p, const char **piece, size_t *n, rc_error *e);
#endif
