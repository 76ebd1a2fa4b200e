/* test_effort.h - RECUR_TEST_EFFORT: how much longer than usual a test may look. 1 in `make test`, more in check-all. */
#ifndef TEST_EFFORT_H
#define TEST_EFFORT_H
#include <stdlib.h>

static inline int test_effort(void) {
    const char *text = getenv("RECUR_TEST_EFFORT");
    int n = text ? atoi(text) : 1;
    return n < 1 ? 1 : n > 1000 ? 1000 : n;
}
#endif
