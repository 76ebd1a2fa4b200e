/* parallel.c - a pool of threads over tiles.
 *
 * Tasks are taken one by one from a counter, by the caller and by whichever helpers are there; the caller waits for
 * tasks that were begun, never for helpers that did not come. An OpenMP region waits for its whole team at each
 * end, and on a machine with another busy process that can cost a time slice of the scheduler per region. Seen on 2 cores,
 * training 2 x 256: 13 to 17 thousand tokens/s with libgomp beside other runs and builds; 53 with this pool beside one
 * niced busy loop. The loads were not the same, so the two are no comparison; alone libgomp read 64 and the pool 60.
 *
 * The counter is one word, generation | helpers allowed | tasks | next, so that a helper that slept through a job
 * cannot take a task of another by what it remembers: its compare-and-swap fails. (Should the generation come round to
 * the same word, the swap takes the task that is open now: what a task is gets read after the swap.) Helpers spin for a
 * short while after a job, then sleep.
 */
#include "base/parallel.h"
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include "base/cpu.h"
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define relax() _mm_pause()
#else
#define relax() ((void)0)
#endif

/* Two threads break even at 5e5 operations of the fastest kind (134 GFLOP/s a thread, a region of two tiles costs 1.2
 * us: AMD EPYC with AVX-512, measured with libgomp), and at 3e4 of a kind ten times slower. */
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

#define TASK_BITS 15 /* of next, and of tasks: longer jobs go in batches */
#define TASK_MASK (((uint64_t)1 << TASK_BITS) - 1)
#define ALLOWED_BITS 11
#define ALLOWED(ticket) ((int)((ticket) >> 2 * TASK_BITS & (((uint64_t)1 << ALLOWED_BITS) - 1)))
#define GENERATION(ticket) ((ticket) >> (2 * TASK_BITS + ALLOWED_BITS))
#define TICKET(generation, allowed, tasks)                                                             \
    ((uint64_t)(generation) << (2 * TASK_BITS + ALLOWED_BITS) | (uint64_t)(allowed) << 2 * TASK_BITS | \
     (uint64_t)(tasks) << TASK_BITS)
#define SPINS 20000 /* of relax(), some 200 us: longer than the serial parts between the jobs of a training step */

static struct {
    _Atomic uint64_t ticket;
    atomic_size_t done;         /* tasks finished */
    void (*fn)(void *ctx, size_t task, int worker);
    void *ctx;
    size_t first;               /* of this batch of tasks */
    atomic_int sleepers;
    int started;                /* helpers that exist; under busy */
    pthread_mutex_t busy;       /* held by the caller whose job is running */
    pthread_mutex_t lock;       /* of wake */
    pthread_cond_t wake;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool in_job;

int rc__workers(void) { return in_job || omp_in_parallel() ? 1 : rc_threads(); }

/* Runs tasks of the job that is open, while there are any. */
static void take_tasks(int worker) {
    uint64_t t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
    while ((t & TASK_MASK) < (t >> TASK_BITS & TASK_MASK) && worker < ALLOWED(t)) {
        if (!atomic_compare_exchange_weak_explicit(&pool.ticket, &t, t + 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        /* The task is ours, so its job cannot end before we count it as done: fn and ctx hold still. */
        pool.fn(pool.ctx, pool.first + (size_t)(t & TASK_MASK), worker);
        atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
        t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
    }
}

static void *helper(void *number) {
    int me = (int)(intptr_t)number;
    in_job = true;
    omp_set_num_threads(1); /* for libraries called from tasks (oneDNN): their bits depend on that number */
    uint64_t seen = 0;
    for (;;) {
        take_tasks(me);
        int spins = 0;
        while (spins < SPINS && GENERATION(atomic_load_explicit(&pool.ticket, memory_order_acquire)) == seen) {
            relax();
            spins++;
        }
        if (spins < SPINS) {
            seen = GENERATION(atomic_load(&pool.ticket));
            continue;
        }
        pthread_mutex_lock(&pool.lock);
        atomic_fetch_add(&pool.sleepers, 1);
        while (GENERATION(atomic_load(&pool.ticket)) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
        atomic_fetch_sub(&pool.sleepers, 1);
        pthread_mutex_unlock(&pool.lock);
        seen = GENERATION(atomic_load(&pool.ticket));
    }
    return NULL;
}

/* The child of a fork has no helpers, and of a job that another thread was running then only the ticket: it is void. */
static void after_fork(void) {
    uint64_t generation = GENERATION(atomic_load(&pool.ticket)) + 1;
    atomic_store(&pool.ticket, TICKET(generation, 0, 0));
    pool.started = 0;
    atomic_store(&pool.sleepers, 0);
    pthread_mutex_init(&pool.busy, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
}

static void start_helpers(int n) {
    static bool registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, after_fork) == 0;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigset_t all, old; /* signals belong to the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    while (pool.started < n - 1) {
        if (pthread_create(&thread, &attr, helper, (void *)(intptr_t)(pool.started + 1)) != 0)
            break; /* fewer will do */
        pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

static void open_batch(size_t tasks, int workers) {
    atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
    uint64_t generation = GENERATION(atomic_load_explicit(&pool.ticket, memory_order_relaxed)) + 1;
    atomic_store(&pool.ticket, TICKET(generation, workers, tasks));
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
}

static void close_batch(size_t tasks) {
    take_tasks(0);
    for (int spins = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < tasks; spins++)
        if (spins < SPINS) relax();
        else sched_yield(); /* a helper was put aside in the middle of a task: let it run */
}

void rc__parallel(size_t tasks, double work, void (*fn)(void *ctx, size_t task, int worker), void *ctx) {
    int n = rc__workers();
    bool alone = n == 1 || tasks < 2 || work < rc__parallel_threshold;
    /* A job of another thread of the program holds the pool: do not wait for it. */
    if (!alone && pthread_mutex_trylock(&pool.busy) != 0) alone = true;
    int saved = omp_get_max_threads();
    if (saved != 1) omp_set_num_threads(1);
    if (alone) {
        for (size_t t = 0; t < tasks; t++) fn(ctx, t, 0);
    } else {
        if (pool.started < n - 1) start_helpers(n);
        pool.fn = fn;
        pool.ctx = ctx;
        in_job = true;
        for (pool.first = 0; pool.first < tasks; pool.first += TASK_MASK) {
            size_t here = tasks - pool.first < TASK_MASK ? tasks - pool.first : TASK_MASK;
            open_batch(here, n);
            close_batch(here);
        }
        in_job = false;
        pthread_mutex_unlock(&pool.busy);
    }
    if (saved != 1) omp_set_num_threads(saved);
}

/* ---- teams --------------------------------------------------------------------------------------------------------------- */

#define CLOSED (1 << 20)

/* Each word on a cache line of its own: they are what the team spins on. */
static struct {
    _Alignas(64) atomic_int joined; /* helpers that came, and CLOSED when no more may */
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint phase;
    _Alignas(64) atomic_bool late;  /* somebody waited for LATE_NS */
    void (*fn)(void *ctx, int rank, int size);
    void *ctx;
    int64_t alone_until, alone_for; /* of the caller, under busy */
} team;

/* Parts between two waits are cut alike. Who comes this much later was put aside by the system for another program,
 * for milliseconds, and that will happen again at every wait: the next teams are of one, for twice as long each time. Seen
 * on 2 cores, one of them half taken by another program, LSTM 512, batch 1: a step of training 8 ms undisturbed, 67 to 77
 * disturbed, 29 alone. */
#define LATE_NS 1500000
#define ALONE_NS 10000000
#define ALONE_MOST_NS 1000000000

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void spin(int *spins) {
    if (++*spins < SPINS) relax();
    else sched_yield();
}

void rc__team_wait(int size) {
    if (size < 2) return;
    unsigned phase = atomic_load_explicit(&team.phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team.arrived, 1, memory_order_acq_rel) + 1 == size) {
        atomic_store_explicit(&team.arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team.phase, phase + 1, memory_order_release);
        return;
    }
    int spins = 0;
    int64_t start = 0;
    while (atomic_load_explicit(&team.phase, memory_order_acquire) == phase) {
        spin(&spins);
        if (spins % 512) continue;
        int64_t now = now_ns();
        if (!start) start = now;
        else if (now - start > LATE_NS) atomic_store_explicit(&team.late, true, memory_order_relaxed);
    }
}

/* A helper's task: to join, unless the team is closed. */
static void join_task(void *ctx, size_t task, int worker) {
    (void)ctx, (void)task, (void)worker;
    int n = atomic_load(&team.joined), spins = 0;
    do
        if (n & CLOSED) return;
    while (!atomic_compare_exchange_weak(&team.joined, &n, n + 1));
    int rank = n + 1;
    while (!((n = atomic_load_explicit(&team.joined, memory_order_acquire)) & CLOSED)) spin(&spins);
    team.fn(team.ctx, rank, (n & ~CLOSED) + 1);
}

/* How long to wait for helpers that sleep: a part of the time that one thread would take. */
static int64_t patience_ns(double ns) { return ns < 8e3 ? 2000 : ns > 2e6 ? 500000 : (int64_t)(ns / 4); }

void rc__team(double ns, void (*fn)(void *ctx, int rank, int size), void *ctx) {
    int n = rc__workers();
    if (n == 1 || ns * 100 < rc__parallel_threshold || pthread_mutex_trylock(&pool.busy) != 0) {
        fn(ctx, 0, 1);
        return;
    }
    int64_t start = now_ns();
    if (start < team.alone_until) {
        pthread_mutex_unlock(&pool.busy);
        fn(ctx, 0, 1);
        return;
    }
    if (pool.started < n - 1) start_helpers(n);
    int wanted = pool.started < n - 1 ? pool.started : n - 1;
    team.fn = fn;
    team.ctx = ctx;
    atomic_store(&team.joined, 0);
    pool.fn = join_task;
    pool.first = 0;
    in_job = true;
    open_batch((size_t)wanted, n);
    int64_t patience = patience_ns(ns);
    while (atomic_load_explicit(&team.joined, memory_order_relaxed) < wanted && now_ns() - start < patience) relax();
    int size = 1 + atomic_fetch_or(&team.joined, CLOSED);
    atomic_store_explicit(&team.late, false, memory_order_relaxed);
    fn(ctx, 0, size);
    close_batch((size_t)wanted);
    if (atomic_load_explicit(&team.late, memory_order_relaxed)) {
        team.alone_for = team.alone_for ? team.alone_for * 2 : ALONE_NS;
        if (team.alone_for > ALONE_MOST_NS) team.alone_for = ALONE_MOST_NS;
        team.alone_until = now_ns() + team.alone_for;
    } else if (size > 1) {
        team.alone_for = 0;
    }
    in_job = false;
    pthread_mutex_unlock(&pool.busy);
}
