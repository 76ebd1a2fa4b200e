/* parallel.h - threads over tiles. The tiles of a job never depend on the number of threads: only who does which
 * does. */
#ifndef RC_PARALLEL_H
#define RC_PARALLEL_H
#include "recur/base.h"

#define RC_MAX_THREADS 1024

/* Calls fn(ctx, task, worker) for task 0..tasks-1. worker is 0..rc_threads()-1, for private scratch. `work` is a rough
 * count of floating-point operations of the whole job: below rc__parallel_threshold one thread does it all. Inside a
 * parallel job a nested call runs serially. */
void rc__parallel(size_t tasks, double work, void (*fn)(void *ctx, size_t task, int worker), void *ctx);
extern double rc__parallel_threshold; /* measured: parallel.c; tests set it to 0 */
/* Calls fn(ctx, rank, size) in `size` threads at once, 0 <= rank < size <= rc_threads(); rank 0 is the caller. For work
 * whose parts wait for each other (rc__team_wait). The team is whoever is there: fn must give the same result for any size.
 * ns: about how long one thread would need. Inside a parallel job, when that is too short (100 operations a ns against
 * rc__parallel_threshold), or when another thread's job has the pool, size is 1. */
void rc__team(double ns, void (*fn)(void *ctx, int rank, int size), void *ctx);
/* Returns when all of the team have called it; what they wrote before is then seen by all. */
void rc__team_wait(int size);
/* Number of workers rc__parallel may use at most now (1 inside a job). */
int rc__workers(void);
#endif
