/* The allocator and its accounting, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define aligned(p) ((uintptr_t)(p) % 64 == 0)

/* An allocator that checks what it is told and can fail from call number n on. */
typedef struct counter {
    size_t live, calls, allocations, fail_from; /* fail_from 0 = never */
    bool bad;
} counter;

static void *counting(void *ctx, void *p, size_t old_size, size_t new_size) {
    counter *c = ctx;
    if (!p && old_size != 0) c->bad = true;
    if (p) { /* the true size stands in front of the block */
        size_t known = *(size_t *)(void *)((char *)p - 64);
        if (known != old_size) c->bad = true;
    }
    if (new_size == 0) {
        if (p) {
            c->live -= old_size;
            free((char *)p - 64);
        } else {
            c->bad = true;
        }
        return NULL;
    }
    c->calls++;
    if (c->fail_from && c->calls >= c->fail_from) return NULL;
    c->allocations++;
    char *q = aligned_alloc(64, (new_size + 127) / 64 * 64);
    if (!q) return NULL;
    *(size_t *)(void *)q = new_size;
    if (p) {
        memcpy(q + 64, p, old_size < new_size ? old_size : new_size);
        free((char *)p - 64);
    }
    c->live += new_size - old_size;
    return q + 64;
}

static void blocks_are_aligned_and_counted(void **state) {
    (void)state;
    size_t before = rc_memory_used();
    char *a = rc__alloc(1), *b = rc__alloc(1000), *zero = rc__alloc(0);
    assert_true(a && b && zero && aligned(a) && aligned(b) && aligned(zero));
    assert_true(rc_memory_used() >= before + 1001);
    assert_true(rc_memory_peak() >= rc_memory_used());
    memset(b, 7, 1000);
    b = rc__realloc(b, 1000, 5000);
    assert_true(b && aligned(b));
    for (size_t i = 0; i < 1000; i++) assert_int_equal(b[i], 7);
    size_t peak = rc_memory_peak();
    b = rc__realloc(b, 5000, 10);
    for (size_t i = 0; i < 10; i++) assert_int_equal(b[i], 7);
    assert_int_equal(rc_memory_peak(), peak);
    rc__free(a, 1);
    rc__free(b, 10);
    rc__free(zero, 0);
    rc__free(NULL, 99);
    rc__strfree(NULL);
    char *s = rc__strdup("words");
    assert_string_equal(s, "words");
    rc__strfree(s);
    int *z = rc__calloc(100, sizeof *z);
    for (size_t i = 0; i < 100; i++) assert_int_equal(z[i], 0);
    rc__free(z, 100 * sizeof *z);
    z = rc__realloc(NULL, 0, 16);
    assert_non_null(z);
    rc__free(z, 16);
    assert_int_equal(rc_memory_used(), before);
}

static void impossible_sizes_give_null(void **state) {
    (void)state;
    size_t before = rc_memory_used();
    assert_null(rc__alloc(SIZE_MAX));
    assert_null(rc__alloc(SIZE_MAX - 63));
    assert_null(rc__alloc((size_t)PTRDIFF_MAX));
    assert_null(rc__calloc(SIZE_MAX / 2, 3));
    assert_null(rc__calloc(3, SIZE_MAX / 2));
    char *p = rc__alloc(10);
    strcpy(p, "still");
    assert_null(rc__realloc(p, 10, SIZE_MAX - 100)); /* and p stays */
    assert_string_equal(p, "still");
    rc__free(p, 10);
    size_t r = 0;
    assert_true(rc__size_mul(1u << 12, 1u << 13, &r) && r == (size_t)1 << 25);
    assert_true(rc__size_mul(SIZE_MAX / 3, 3, &r) && r == SIZE_MAX); /* 3 divides all of 2^(2n) - 1 */
    assert_false(rc__size_mul(SIZE_MAX, 2, &r));
    assert_true(rc__size_mul(0, SIZE_MAX, &r) && r == 0);
    assert_true(rc__size_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    assert_false(rc__size_add(SIZE_MAX, 1, &r));
    assert_int_equal(rc_memory_used(), before);
}

static void a_custom_allocator_is_told_every_size(void **state) {
    (void)state;
    counter c = {0};
    size_t before = rc_memory_used();
    rc_set_allocator(counting, &c);
    char *a = rc__alloc(0), *b = rc__alloc(77), *s = rc__strdup("text");
    b = rc__realloc(b, 77, 0);
    b = rc__realloc(b, 0, 100);
    assert_int_equal(rc_memory_used() - before, c.live);
    c.fail_from = c.calls + 1;
    assert_null(rc__alloc(5));
    assert_null(rc__realloc(b, 100, 200));
    assert_null(rc__strdup("more"));
    assert_null(rc__calloc(1, 1));
    assert_null(rc__arena_new());
    rc__free(a, 0);
    rc__free(b, 100);
    rc__strfree(s);
    rc_set_allocator(NULL, NULL);
    assert_false(c.bad);
    assert_int_equal(c.live, 0);
    assert_int_equal(rc_memory_used(), before);
}

static void a_steady_loop_allocates_nothing(void **state) {
    (void)state;
    counter c = {0};
    rc_set_allocator(counting, &c);
    rc__arena *a = rc__arena_new();
    assert_non_null(a);
    size_t after_two = 0;
    for (int step = 0; step < 10; step++) {
        rc__arena_reset(a);
        assert_int_equal(rc__arena_used(a), 0);
        for (size_t i = 0; i < 200; i++) {
            size_t n = i * 1117 % 50000;
            unsigned char *p = rc__arena_alloc(a, n);
            assert_true(p && aligned(p));
            memset(p, (int)i, n);
            rc__arena_mark m = rc__arena_get_mark(a); /* scratch larger than a block */
            char *scratch = rc__arena_alloc(a, 300000);
            assert_non_null(scratch);
            memset(scratch, 1, 300000);
            rc__arena_rewind(a, m);
            assert_true(n == 0 || p[n - 1] == (unsigned char)i);
        }
        if (step == 1) after_two = c.allocations;
    }
    assert_int_equal(c.allocations, after_two);
    rc__arena_free(a);
    rc__arena_free(NULL);
    rc_set_allocator(NULL, NULL);
    assert_false(c.bad);
    assert_int_equal(c.live, 0);
}

static void the_first_round_reuses_scratch(void **state) {
    (void)state;
    counter c = {0};
    rc_set_allocator(counting, &c);
    rc__arena *a = rc__arena_new();
    rc__arena_alloc(a, 100);
    rc__arena_mark m = rc__arena_get_mark(a);
    for (int i = 0; i < 50; i++) {
        assert_non_null(rc__arena_alloc(a, 1 << 20));
        rc__arena_rewind(a, m);
    }
    assert_int_equal(c.allocations, 3); /* the arena, its first block, one for the scratch */
    rc__arena_free(a);
    rc_set_allocator(NULL, NULL);
    assert_int_equal(c.live, 0);
}

static void marks_nest_and_rewind(void **state) {
    (void)state;
    rc__arena *a = rc__arena_new();
    rc__arena_mark empty = rc__arena_get_mark(a);
    char *p = rc__arena_alloc(a, 64);
    strcpy(p, "kept");
    size_t used = rc__arena_used(a);
    rc__arena_mark outer = rc__arena_get_mark(a);
    char *q = rc__arena_alloc(a, 1 << 20);
    rc__arena_mark inner = rc__arena_get_mark(a);
    rc__arena_alloc(a, 1 << 22);
    rc__arena_rewind(a, inner);
    assert_true(rc__arena_used(a) > used);
    rc__arena_rewind(a, outer);
    assert_int_equal(rc__arena_used(a), used);
    assert_ptr_equal(rc__arena_alloc(a, 1 << 20), q); /* the same place again */
    assert_string_equal(p, "kept");
    assert_true(rc__arena_capacity(a) >= rc__arena_used(a));
    rc__arena_rewind(a, empty); /* a mark from before the first block */
    assert_int_equal(rc__arena_used(a), 0);
    assert_ptr_equal(rc__arena_alloc(a, 64), p);
    rc__arena_free(a);
}

static void blocks_never_overlap(void **state) {
    (void)state;
    rc__arena *a = rc__arena_new();
    struct {
        unsigned char *p;
        size_t n;
    } kept[300];
    uint32_t r = 1;
    for (size_t i = 0; i < 300; i++) {
        r = r * 1664525u + 1013904223u;
        kept[i].n = (r >> 8) % (i % 50 == 0 ? 700000 : 3000);
        kept[i].p = rc__arena_alloc(a, kept[i].n);
        memset(kept[i].p, (int)(i & 255), kept[i].n);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t j = 0; j < kept[i].n; j++)
            if (kept[i].p[j] != (i & 255)) fail_msg("block %zu was overwritten at %zu", i, j);
    rc__arena_free(a);
}

static void an_arena_survives_failure(void **state) {
    (void)state;
    for (size_t n = 2; n < 8; n++) { /* call 1 makes the arena itself */
        counter c = {.fail_from = n};
        rc_set_allocator(counting, &c);
        rc__arena *a = rc__arena_new();
        assert_non_null(a);
        char *first = rc__arena_alloc(a, 1000);
        if (first) strcpy(first, "x");
        rc__arena_alloc(a, 1 << 19);
        rc__arena_alloc(a, 1 << 20);
        assert_null(rc__arena_alloc(a, SIZE_MAX));
        assert_null(rc__arena_alloc(a, SIZE_MAX - 100));
        if (first) assert_string_equal(first, "x");
        rc__arena_reset(a);
        rc__arena_alloc(a, 1 << 20);
        c.fail_from = 0; /* memory is there again: so is the arena */
        assert_non_null(rc__arena_alloc(a, 1 << 20));
        rc__arena_reset(a);
        assert_non_null(rc__arena_alloc(a, 100));
        rc__arena_free(a);
        rc_set_allocator(NULL, NULL);
        assert_false(c.bad);
        assert_int_equal(c.live, 0);
    }
}

/* More than the machine can fill is refused, where the system alone would lend it (and end who fills it). */
static void a_block_beyond_the_room_is_refused(void **state) {
    (void)state;
    size_t room = rc_memory_room(), used = rc_memory_used();
    assert_true(room > (size_t)1 << 20);
    if (room > PTRDIFF_MAX / 2) skip(); /* the system does not say */
    assert_null(rc__alloc(room + ((size_t)1 << 30)));
    assert_null(rc__calloc(room / 1024 + ((size_t)1 << 20), 1024));
    assert_int_equal(rc_memory_used(), used);
    void *p = rc__alloc((size_t)64 << 20); /* asks, and there is room */
    assert_non_null(p);
    assert_null(rc__realloc(p, (size_t)64 << 20, room + ((size_t)1 << 30)));
    rc__free(p, (size_t)64 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_counted),
        cmocka_unit_test(impossible_sizes_give_null),
        cmocka_unit_test(a_block_beyond_the_room_is_refused),
        cmocka_unit_test(a_custom_allocator_is_told_every_size),
        cmocka_unit_test(a_steady_loop_allocates_nothing),
        cmocka_unit_test(the_first_round_reuses_scratch),
        cmocka_unit_test(marks_nest_and_rewind),
        cmocka_unit_test(blocks_never_overlap),
        cmocka_unit_test(an_arena_survives_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
