/* Tiles over threads: every task once, the same bits for any number of threads, nesting, several callers at once,
 * forks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/parallel.h"

enum { TASKS = 100 };

typedef struct job {
    int runs[TASKS];
    double value[TASKS];
    atomic_int bad, nested, inner_threads;
    int workers;
} job;

static void sum_task(void *ctx, size_t task, int worker) {
    job *j = ctx;
    if (worker < 0 || worker >= j->workers) atomic_fetch_add(&j->bad, 1);
    j->runs[task]++;
    double s = 0;
    for (int i = 1; i < 500; i++) s += sin((double)task + i) / i;
    j->value[task] = s;
}

static void the_same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    double first[TASKS];
    for (int n = 1; n <= 8; n++) {
        assert_int_equal(rc_set_threads(n, NULL), RC_OK);
        assert_int_equal(rc_threads(), n);
        assert_int_equal(rc__workers(), n);
        for (size_t tasks = 0; tasks <= TASKS; tasks = tasks < 10 ? tasks + 1 : tasks + 45) {
            job j = {.workers = n};
            rc__parallel(tasks, 1e9, sum_task, &j);
            assert_int_equal(atomic_load(&j.bad), 0);
            for (size_t t = 0; t < TASKS; t++) assert_int_equal(j.runs[t], t < tasks);
            if (n == 1 && tasks == TASKS) memcpy(first, j.value, sizeof first);
            if (n > 1) assert_memory_equal(j.value, first, tasks * sizeof *first);
        }
    }
}

static void thread_task(void *ctx, size_t task, int worker) {
    job *j = ctx;
    (void)task;
    if (worker != 0 || omp_in_parallel()) atomic_fetch_add(&j->bad, 1);
    if (omp_get_max_threads() != 1) atomic_fetch_add(&j->inner_threads, 1);
}

static void little_work_stays_on_the_caller(void **state) {
    (void)state;
    rc_set_threads(4, NULL);
    job j = {0};
    omp_set_num_threads(3);
    rc__parallel(TASKS, rc__parallel_threshold / 2, thread_task, &j);
    rc__parallel(1, 1e12, thread_task, &j);
    rc__parallel(0, 1e12, thread_task, &j);
    assert_int_equal(atomic_load(&j.bad), 0);
    assert_int_equal(atomic_load(&j.inner_threads), 0); /* libraries below see one thread */
    assert_int_equal(omp_get_max_threads(), 3);         /* and the caller's own setting is back */
}

static void inner_task(void *ctx, size_t task, int worker) {
    job *j = ctx;
    (void)task;
    if (worker != 0) atomic_fetch_add(&j->bad, 1);
    atomic_fetch_add(&j->nested, 1);
}

static void outer_task(void *ctx, size_t task, int worker) {
    job *j = ctx;
    (void)worker;
    (void)task;
    if (rc__workers() != 1) atomic_fetch_add(&j->bad, 1);
    if (omp_get_max_threads() != 1) atomic_fetch_add(&j->inner_threads, 1);
    rc__parallel(10, 1e9, inner_task, j);
}

static void a_nested_job_is_serial(void **state) {
    (void)state;
    rc_set_threads(4, NULL);
    for (size_t tasks = 2; tasks < 20; tasks += 9) {
        job j = {0};
        rc__parallel(tasks, 1e9, outer_task, &j);
        assert_int_equal(atomic_load(&j.bad), 0);
        assert_int_equal(atomic_load(&j.inner_threads), 0);
        assert_int_equal(atomic_load(&j.nested), 10 * tasks);
    }
}

static void *caller(void *ctx) {
    double *out = ctx;
    job j = {.workers = rc_threads()};
    for (int i = 0; i < 20; i++) rc__parallel(TASKS, 1e9, sum_task, &j);
    *out = 0;
    for (size_t t = 0; t < TASKS; t++) *out += j.value[t] + j.runs[t] - 20;
    *out += atomic_load(&j.bad);
    return NULL;
}

static void several_threads_may_call(void **state) {
    (void)state;
    rc_set_threads(2, NULL);
    pthread_t thread[4];
    double out[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, caller, &out[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    for (int i = 1; i < 4; i++) assert_memory_equal(&out[i], &out[0], sizeof *out);
}

typedef struct held {
    atomic_int begun, release, strays; /* strays: tasks that run in a process that did not ask for them */
    pid_t owner;
} held;

static void held_task(void *ctx, size_t task, int worker) {
    held *h = ctx;
    (void)task, (void)worker;
    if (getpid() != h->owner) {
        atomic_fetch_add(&h->strays, 1);
        return;
    }
    atomic_fetch_add(&h->begun, 1);
    while (!atomic_load(&h->release)) sched_yield();
}

static void *hold(void *ctx) {
    rc__parallel(TASKS, 1e9, held_task, ctx);
    return NULL;
}

/* A fork amid another thread's job: the child's pool is empty, and works. */
static void the_child_of_a_fork_starts_anew(void **state) {
    (void)state;
    rc_set_threads(8, NULL);
    held h = {.owner = getpid()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold, &h), 0);
    while (!atomic_load(&h.begun)) sched_yield();
    pid_t child = fork();
    if (child == 0) {
        rc_set_threads(100, NULL); /* long to start: the first of them are at work before the child's job is open */
        job j = {.workers = 100};
        for (int i = 0; i < 50; i++) rc__parallel(TASKS, 1e9, sum_task, &j);
        bool ok = atomic_load(&h.strays) == 0 && atomic_load(&j.bad) == 0;
        for (size_t t = 0; t < TASKS; t++) ok = ok && j.runs[t] == 50;
        _exit(ok ? 0 : 1);
    }
    atomic_store(&h.release, 1);
    pthread_join(thread, NULL);
    assert_true(child > 0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void numbers_of_threads_are_checked(void **state) {
    (void)state;
    rc_set_threads(3, NULL);
    static const int wrong[] = {0, -1, RC_MAX_THREADS + 1, -2147483647 - 1, 2147483647};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rc_error e = {0};
        assert_int_equal(rc_set_threads(wrong[i], &e), RC_EINVAL);
        assert_non_null(strstr(e.text, "from 1 to 1024"));
    }
    assert_int_equal(rc_threads(), 3);
}

static void the_default_is_sane(void **state) { /* runs first: nobody has set a number yet */
    (void)state;
    assert_in_range(rc_threads(), 1, RC_MAX_THREADS);
}

/* ---- teams ------------------------------------------------------------------------------------------------------- */

enum { PARTS = 2000, MEMBERS = 8 };
typedef struct team_job {
    int seen[MEMBERS], size;
    int64_t sum[MEMBERS][8]; /* a cache line each; what a rank added up so far */
    atomic_int bad;
} team_job;

/* Each part adds what the others had before it: wrong as soon as a wait lets somebody through too early. */
static void team_part(void *ctx, int rank, int size) {
    team_job *j = ctx;
    if (rank < 0 || rank >= size || size > MEMBERS) {
        atomic_fetch_add(&j->bad, 1);
        rank = 0; /* told at the end */
    }
    j->seen[rank]++;
    if (rank == 0) j->size = size;
    for (int part = 1; part <= PARTS; part++) {
        j->sum[rank][0] = part;
        rc__team_wait(size);
        for (int r = 0; r < size; r++)
            if (j->sum[r][0] != part) atomic_fetch_add(&j->bad, 1);
        rc__team_wait(size);
    }
}

static void teams_wait_for_each_other(void **state) {
    (void)state;
    int most = 0;
    for (int n = 1; n <= 4; n++) {
        rc_set_threads(n, NULL);
        for (int again = 0; again < 5; again++) {
            team_job j = {.size = 0};
            rc__team(1e9, team_part, &j);
            assert_int_equal(atomic_load(&j.bad), 0);
            assert_in_range(j.size, 1, n);
            for (int r = 0; r < MEMBERS; r++) assert_int_equal(j.seen[r], r < j.size);
            if (j.size > most) most = j.size;
        }
    }
    print_message("largest team: %d\n", most);
    team_job j = {.size = 0};
    rc__team(10, team_part, &j); /* too short for two */
    assert_int_equal(j.size, 1);
    rc_set_threads(2, NULL);
}

static void team_in_a_task(void *ctx, size_t task, int worker) {
    (void)worker;
    rc__team(1e9, team_part, (team_job *)ctx + task);
}

static void *team_caller(void *ctx) {
    rc__team(1e9, team_part, ctx);
    return NULL;
}

static void a_team_inside_a_job_is_one_thread(void **state) {
    (void)state;
    rc_set_threads(3, NULL);
    team_job inner[4] = {{.size = 0}};
    rc__parallel(4, 1e9, team_in_a_task, inner);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(atomic_load(&inner[i].bad), 0);
        assert_int_equal(inner[i].size, 1);
    }
    rc_set_threads(2, NULL);
}

static void two_callers_do_not_share_a_team(void **state) {
    (void)state;
    rc_set_threads(3, NULL);
    static team_job two[2];
    memset(two, 0, sizeof two);
    pthread_t a;
    pthread_create(&a, NULL, team_caller, &two[0]); /* both want the pool: one of them gets it */
    team_caller(&two[1]);
    pthread_join(a, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&two[i].bad), 0);
        assert_in_range(two[i].size, 1, 3);
    }
    rc_set_threads(2, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_sane),
        cmocka_unit_test(the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(little_work_stays_on_the_caller),
        cmocka_unit_test(a_nested_job_is_serial),
        cmocka_unit_test(several_threads_may_call),
        cmocka_unit_test(the_child_of_a_fork_starts_anew),
        cmocka_unit_test(numbers_of_threads_are_checked),
        cmocka_unit_test(teams_wait_for_each_other),
        cmocka_unit_test(a_team_inside_a_job_is_one_thread),
        cmocka_unit_test(two_callers_do_not_share_a_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
