/* mem.c - the one allocator, with accounting. */
#include "base/mem.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20)
/* Systems lend more memory than they have and kill who fills it; a block of this size is asked for only when there is
 * room. Smaller ones together are as dangerous, but the question costs more than they do. */
#define ASK_FIRST ((size_t)64 << 20)

/* Resizing always moves: realloc keeps 16 bytes of alignment only, and once it has moved a block there is no way back
 * when the aligned copy cannot be had. */
static void *default_allocator(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    if (new_size > PTRDIFF_MAX - ALIGN) return NULL;
    if (new_size >= ASK_FIRST && new_size > rc_memory_room()) return NULL;
    /* Large blocks on large pages where the system has them: a training step walks through all of its memory, and with
     * pages of 4 KiB it waits for their addresses (3 % of LSTM 256, batch 32). */
    bool large = new_size >= LARGE_PAGE;
    size_t align = large ? LARGE_PAGE : ALIGN, size = (new_size + ALIGN - 1) / ALIGN * ALIGN;
    void *q = NULL;
    if (posix_memalign(&q, align, size) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (large) madvise(q, size / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* advice: without it pages stay small */
#endif
    if (q && p) {
        memcpy(q, p, old_size < new_size ? old_size : new_size);
        free(p);
    }
    return q;
}

static rc_allocator allocator = default_allocator;
static void *allocator_ctx;
static atomic_size_t used, peak;

void rc_set_allocator(rc_allocator f, void *ctx) {
    allocator = f ? f : default_allocator;
    allocator_ctx = f ? ctx : NULL;
}

size_t rc_memory_used(void) { return atomic_load_explicit(&used, memory_order_relaxed); }
size_t rc_memory_peak(void) { return atomic_load_explicit(&peak, memory_order_relaxed); }

static void account(size_t old_size, size_t new_size) {
    /* Unsigned wrap-around makes one addition of the difference, in either direction. */
    size_t now = atomic_fetch_add_explicit(&used, new_size - old_size, memory_order_relaxed) + (new_size - old_size);
    if (new_size <= old_size) return;
    size_t top = atomic_load_explicit(&peak, memory_order_relaxed);
    while (now > top && !atomic_compare_exchange_weak_explicit(&peak, &top, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* The allocator reads (NULL, 0, 0) as nothing at all, so an empty block is one byte to it. */
static size_t real_size(size_t size) { return size ? size : 1; }

void *rc__alloc(size_t size) {
    size = real_size(size);
    void *p = allocator(allocator_ctx, NULL, 0, size);
    if (p) account(0, size);
    return p;
}

void *rc__calloc(size_t count, size_t size) {
    size_t bytes;
    if (!rc__size_mul(count, size, &bytes)) return NULL;
    void *p = rc__alloc(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *rc__realloc(void *p, size_t old_size, size_t size) {
    if (!p) return rc__alloc(size);
    old_size = real_size(old_size);
    size = real_size(size);
    void *q = allocator(allocator_ctx, p, old_size, size);
    if (q) account(old_size, size);
    return q;
}

void rc__free(void *p, size_t size) {
    if (!p) return;
    size = real_size(size);
    allocator(allocator_ctx, p, size, 0);
    account(size, 0);
}

char *rc__strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = rc__alloc(n);
    if (p) memcpy(p, s, n);
    return p;
}

void rc__strfree(char *s) {
    if (s) rc__free(s, strlen(s) + 1);
}

bool rc__size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool rc__size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

rc_status rc__grow(void **p, size_t *cap, size_t need, size_t size, rc_error *e) {
    if (need <= *cap) return RC_OK;
    size_t want = *cap < 16 ? 16 : *cap + *cap / 2, bytes, old = *cap * size;
    if (want < need) want = need;
    void *q = rc__size_mul(want, size, &bytes) ? rc__realloc(*p, old, bytes) : NULL;
    if (!q) return rc_fail(e, RC_ENOMEM, "out of memory (%zu items of %zu bytes)", want, size);
    *p = q;
    *cap = want;
    return RC_OK;
}
