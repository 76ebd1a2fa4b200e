/* strtab.h - a table of distinct byte strings, numbered in the order they were added. */
#ifndef RC_STRTAB_H
#define RC_STRTAB_H
#include "base/mem.h"

typedef struct rc__strtab {
    char *pool; /* all strings, one after the other */
    size_t pool_len, pool_cap;
    size_t *start; /* count + 1 offsets into pool */
    uint32_t *hash;
    size_t count, start_cap, hash_cap;
    uint32_t *slots; /* open addressing, id + 1; 0 = free */
    size_t n_slots;  /* a power of two, at most half full */
} rc__strtab;

uint32_t rc__hash_bytes(const char *s, size_t len);
/* Finds or adds s; *id gets its number, *added (may be NULL) whether it is new. RC_ENOMEM, or RC_EDATA past 2^31 - 1
 * strings, or where strings were chosen so that their hashes collide; the table is unchanged then. */
rc_status rc__strtab_add(rc__strtab *t, const char *s, size_t len, uint32_t *id, bool *added, rc_error *e);
int32_t rc__strtab_find(const rc__strtab *t, const char *s, size_t len); /* -1 when absent */
void rc__strtab_truncate(rc__strtab *t, size_t count);                   /* forgets the last ones */
void rc__strtab_free(rc__strtab *t);

static inline const char *rc__strtab_get(const rc__strtab *t, size_t id, size_t *len) {
    *len = t->start[id + 1] - t->start[id];
    return t->pool + t->start[id];
}

#endif
