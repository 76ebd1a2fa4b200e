/* mem.h - allocation and arenas. Everything goes through the one allocator of recur/base.h. */
#ifndef RC_MEM_H
#define RC_MEM_H
#include "recur/base.h"

void *rc__alloc(size_t size);                              /* 64-byte aligned, not cleared; NULL when out of memory */
void *rc__calloc(size_t count, size_t size);               /* cleared; NULL on overflow too */
void *rc__realloc(void *p, size_t old_size, size_t size);
void rc__free(void *p, size_t size);                       /* NULL is fine */
char *rc__strdup(const char *s);                           /* free with rc__strfree */
void rc__strfree(char *s);
bool rc__size_mul(size_t a, size_t b, size_t *out);        /* false on overflow */
bool rc__size_add(size_t a, size_t b, size_t *out);
/* Grows *p of *cap items of `size` bytes to hold at least need; by half more each time. RC_ENOMEM leaves it as it was. */
rc_status rc__grow(void **p, size_t *cap, size_t need, size_t size, rc_error *e);

/* An arena of chained blocks. Reset keeps the memory; after a reset that followed growth, the blocks are merged into one
 * of the largest total seen, so a steady loop allocates nothing. */
typedef struct rc__arena rc__arena;
rc__arena *rc__arena_new(void);
void rc__arena_free(rc__arena *a);
void *rc__arena_alloc(rc__arena *a, size_t size);          /* 64-byte aligned, not cleared; NULL when out of memory */
void rc__arena_reset(rc__arena *a);
size_t rc__arena_used(const rc__arena *a);
size_t rc__arena_capacity(const rc__arena *a);
/* Rewinding to a mark frees what came after it (scratch inside an op). */
typedef struct rc__arena_mark { void *block; size_t used; size_t total; } rc__arena_mark;
rc__arena_mark rc__arena_get_mark(const rc__arena *a);
void rc__arena_rewind(rc__arena *a, rc__arena_mark m);

#ifdef RC_DEBUG
#include <stdlib.h>
#include <stdio.h>
#define RC_ASSERT(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #c), abort()))
#else
#define RC_ASSERT(c) ((void)0)
#endif
#endif
