/* parallel.c - OpenMP threads over tiles. */
#include "base/parallel.h"
#include <errno.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "base/cpu.h"

/* Two threads break even at 5e5 operations of the fastest kind (134 GFLOP/s a thread, a region of two tiles costs 1.2 us:
 * AMD EPYC with AVX-512, libgomp of GCC 12), and at 3e4 of a kind ten times slower. */
double rc__parallel_threshold = 3e5;

static atomic_int threads; /* 0 = not asked for yet */

/* The first number of OMP_NUM_THREADS (a list names the levels of nesting), else the cores. Read from the environment
 * and not from omp_get_max_threads, which answers for the calling thread and is 1 while a product runs. */
static int default_threads(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    if (text) {
        char *end;
        errno = 0;
        long n = strtol(text, &end, 10);
        while (*end == ' ') end++;
        if (end != text && (*end == 0 || *end == ',') && errno == 0 && n >= 1)
            return n < RC_MAX_THREADS ? (int)n : RC_MAX_THREADS;
    }
    int n = rc__cpu_cores();
    return n < RC_MAX_THREADS ? n : RC_MAX_THREADS;
}

int rc_threads(void) {
    int n = atomic_load_explicit(&threads, memory_order_relaxed);
    if (n) return n;
    int fresh = default_threads();
    /* Another thread may have set or found a number meanwhile: that one holds. */
    return atomic_compare_exchange_strong(&threads, &n, fresh) ? fresh : n;
}

rc_status rc_set_threads(int n, rc_error *e) {
    if (n < 1 || n > RC_MAX_THREADS)
        return rc_fail(e, RC_EINVAL, "threads: expected a number from 1 to %d, found %d", RC_MAX_THREADS, n);
    atomic_store_explicit(&threads, n, memory_order_relaxed);
    return RC_OK;
}

int rc__workers(void) { return omp_in_parallel() ? 1 : rc_threads(); }

void rc__parallel(size_t tasks, double work, void (*fn)(void *ctx, size_t task, int worker), void *ctx) {
    int n = rc__workers();
    /* A library called from fn that uses OpenMP itself (oneDNN) must see one thread: its own choice of blocks depends on
     * that number, and with it the bits of the result. */
    if (n == 1 || tasks < 2 || work < rc__parallel_threshold) {
        int saved = omp_get_max_threads();
        if (saved != 1) omp_set_num_threads(1);
        for (size_t t = 0; t < tasks; t++) fn(ctx, t, 0);
        if (saved != 1) omp_set_num_threads(saved);
        return;
    }
    /* Always the full team, even for few tasks: a runtime that sees another size ends and starts threads, which costs more
     * than idle ones and throws away what they keep (primitives of products, warm caches). */
    if (tasks <= (size_t)n) {
#pragma omp parallel num_threads(n) default(none) shared(tasks, fn, ctx)
        {
            omp_set_num_threads(1);
#pragma omp for schedule(static, 1) nowait
            for (size_t t = 0; t < tasks; t++) fn(ctx, t, omp_get_thread_num());
        }
    } else {
#pragma omp parallel num_threads(n) default(none) shared(tasks, fn, ctx)
        {
            omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1) nowait
            for (size_t t = 0; t < tasks; t++) fn(ctx, t, omp_get_thread_num());
        }
    }
}
