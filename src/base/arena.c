/* arena.c - memory that is given back all at once.
 *
 *   first -> [block] -> [block] -> ... -> [current] -> [spare] -> ...
 *
 * Blocks before `current` are full, those after it are empty (left there by a rewind). `total` counts the bytes handed
 * out now and `peak` its maximum, so that a reset after growth can merge all blocks into one that is certain to hold the
 * next round: a single block loses no tails.
 */
#include <string.h>
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define GUARD ((size_t)64) /* poisoned bytes behind every allocation, so that an overrun is seen */
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#define GUARD ((size_t)0)
#endif

#define ALIGN ((size_t)64)
#define MIN_BLOCK ((size_t)256 << 10)
#define MAX_STEP ((size_t)64 << 20) /* blocks double up to here; beyond, only what is asked for is added */

typedef struct block {
    struct block *next;
    size_t size, used; /* of the bytes at data() */
} block;
#define HEADER ALIGN
_Static_assert(sizeof(block) <= HEADER, "the header must keep the data aligned");

struct rc__arena {
    block *first, *current;
    size_t total, peak, capacity;
    bool grown; /* a block was added since the last reset */
};

static char *data(block *b) { return (char *)b + HEADER; }

static block *block_new(rc__arena *a, size_t size) {
    size_t bytes;
    if (!rc__size_add(size, HEADER, &bytes)) return NULL;
    block *b = rc__alloc(bytes);
    if (!b) return NULL;
    *b = (block){.size = size};
    POISON(data(b), size);
    a->capacity += size;
    return b;
}

static void blocks_free(rc__arena *a) {
    for (block *b = a->first, *next; b; b = next) {
        next = b->next;
        UNPOISON(data(b), b->size);
        rc__free(b, b->size + HEADER);
    }
    a->first = a->current = NULL;
    a->capacity = 0;
}

rc__arena *rc__arena_new(void) { return rc__calloc(1, sizeof(rc__arena)); }

void rc__arena_free(rc__arena *a) {
    if (!a) return;
    blocks_free(a);
    rc__free(a, sizeof *a);
}

/* Makes `current` a block with room for need bytes: the next spare one if it is large enough, else a new one before it. */
static bool grow(rc__arena *a, size_t need) {
    block *next = a->current ? a->current->next : a->first;
    if (!next || next->size < need) {
        size_t size = a->capacity < MAX_STEP ? a->capacity : MAX_STEP;
        if (size < MIN_BLOCK) size = MIN_BLOCK;
        if (size < need) size = need;
        block *b = block_new(a, size);
        if (!b && size > need) b = block_new(a, need); /* little memory left: take no more than asked */
        if (!b) return false;
        b->next = next;
        if (a->current)
            a->current->next = b;
        else
            a->first = b;
        a->grown = true;
        next = b;
    }
    next->used = 0;
    a->current = next;
    return true;
}

void *rc__arena_alloc(rc__arena *a, size_t size) {
    size_t need;
    if (!rc__size_add(size, ALIGN - 1 + GUARD, &need)) return NULL;
    need = need / ALIGN * ALIGN;
    if (need == 0) need = ALIGN; /* distinct addresses for empty arrays */
    if (!a->current || a->current->size - a->current->used < need)
        if (!grow(a, need)) return NULL;
    char *p = data(a->current) + a->current->used;
    a->current->used += need;
    a->total += need;
    if (a->total > a->peak) a->peak = a->total;
    UNPOISON(p, size);
#ifdef RC_DEBUG
    memset(p, 0xFF, size); /* NaN in both float formats: reading what was never written shows */
#endif
    return p;
}

void rc__arena_reset(rc__arena *a) {
    a->total = 0;
    if (a->grown && a->first && a->first->next) {
        blocks_free(a); /* before taking the new one: the old and the merged block need not fit together */
        a->first = block_new(a, a->peak);
        /* Out of memory leaves an empty arena, which grows again when asked. */
    }
    a->grown = false;
    for (block *b = a->first; b; b = b->next) {
        b->used = 0;
        POISON(data(b), b->size);
    }
    a->current = a->first;
}

size_t rc__arena_used(const rc__arena *a) { return a->total; }
size_t rc__arena_capacity(const rc__arena *a) { return a->capacity; }

rc__arena_mark rc__arena_get_mark(const rc__arena *a) {
    return (rc__arena_mark){a->current, a->current ? a->current->used : 0, a->total};
}

void rc__arena_rewind(rc__arena *a, rc__arena_mark m) {
    RC_ASSERT(m.total <= a->total);
    block *b = m.block;
    if (!b) { /* taken when the arena had no block */
        b = a->first;
        m.used = 0;
    }
    if (b) {
        RC_ASSERT(m.used <= b->used);
        POISON(data(b) + m.used, b->size - m.used);
        b->used = m.used;
#ifdef ARENA_ASAN
        for (block *s = b->next; s; s = s->next) POISON(data(s), s->size);
#endif
    }
    a->current = b;
    a->total = m.total;
}
