/* property.h - random cases: how many, with which seeds, and how one that failed is run again.
 *
 * A property is a function that draws all it needs from the generator it is given. It runs over seeds 1, 2, 3 ...; the
 * environment variable RECUR_TEST_EFFORT (a whole number, default 1) multiplies how many. Seeds that once failed are listed
 * beside the property and always run. What fails says its seed, what was drawn, and the command that runs it alone:
 *   RECUR_TEST_CASE=17 build/tests/test_properties */
#ifndef PROPERTY_H
#define PROPERTY_H
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* after what it needs */

#include "base/parallel.h"
#include "recur/base.h"
#include "test_effort.h"

static uint64_t property_case;        /* the seed that is running */
static char property_text[1024];      /* what was drawn, for the message */

/* A whole number of the environment; `otherwise` when it is not set. Anything else is a mistake that must not go unseen. */
static inline uint64_t property_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*end || errno || text[0] == '-') fail_msg("%s is \"%s\", expected a whole number", name, text);
    return n;
}

static inline size_t property_effort(void) { return (size_t)test_effort(); }

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static inline void
broken(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail_msg("%s\n  case %llu: %s\n  again: RECUR_TEST_CASE=%llu %s", text, (unsigned long long)property_case, property_text,
             (unsigned long long)property_case, program_invocation_name);
}

/* Calls the property for `count` seeds times the effort, and for those listed (0 ends the list; NULL: none). */
static inline void for_cases(size_t count, const uint64_t *listed, void (*property)(rc_rng *r)) {
    uint64_t only = property_number("RECUR_TEST_CASE", 0), last = (uint64_t)count * property_effort();
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : last) || (!only && listed && *listed); seed++) {
        property_case = seed > last && !only ? *listed++ : seed;
        property_text[0] = 0;
        rc_rng r = rc_rng_make(property_case, 77);
        property(&r);
    }
}

/* ---- draws ----------------------------------------------------------------------------------------------------------- */

static inline size_t between(rc_rng *r, size_t low, size_t high) {
    return low + (size_t)rc_rng_below(r, high - low + 1);
}
static inline bool chance(rc_rng *r, double p) { return rc_rng_uniform(r) < p; }

/* A size: 1, those around the widths of vectors and panels, or any up to most. */
static inline size_t any_size(rc_rng *r, size_t most) {
    static const size_t edges[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 96, 97, 127, 128, 129};
    size_t n = chance(r, 0.6) ? edges[rc_rng_below(r, sizeof edges / sizeof *edges)] : between(r, 1, most);
    return n <= most ? n : between(r, 1, most);
}

/* ---- comparisons ----------------------------------------------------------------------------------------------------- */

static inline void same_bits(const char *what, const rc_real *a, const rc_real *b, size_t n) {
    if (!n || !memcmp(a, b, n * sizeof *a)) return;
    size_t i = 0;
    while (!memcmp(a + i, b + i, sizeof *a)) i++;
    broken("%s: element %zu of %zu is %.9g and %.9g", what, i, n, (double)a[i], (double)b[i]);
}

/* Within `tolerance` of the largest element of b, or of 1 if that is smaller. */
static inline void close_by(const char *what, const rc_real *a, const rc_real *b, size_t n, double tolerance) {
    double most = 1;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * most))
            broken("%s: element %zu of %zu is %.9g and %.9g, the largest %.9g", what, i, n, (double)a[i], (double)b[i], most);
}

/* Before and after a test: threads, and from which amount of work on they share it, as at the start of the program. */
static inline int restore_threads(void **state) {
    (void)state;
    static double threshold;
    static int before;
    if (!before) {
        before = rc_threads();
        threshold = rc__parallel_threshold;
    }
    rc__parallel_threshold = threshold;
    return rc_set_threads(before, NULL) == RC_OK ? 0 : -1;
}

/* A test of `count` cases of a property, with the program's `listed` ones; OF_PROPERTY names it in main. */
#define PROPERTY(name, count)              \
    static void all_##name(void **state) { \
        (void)state;                       \
        for_cases(count, listed, name);    \
    }
#define OF_PROPERTY(name) cmocka_unit_test_setup_teardown(all_##name, restore_threads, restore_threads)
#endif
