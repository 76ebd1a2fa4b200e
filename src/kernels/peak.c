/* peak.c - times the loops of peak.inc. */
#include <string.h>
#include <time.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "recur/bench.h"

#define LOAD_LIMIT ((size_t)64 << 20)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct peak_job {
    const rc__peak_loop *loop;
    size_t rounds;
};

static volatile double peak_sink; /* what is computed goes here, so that it must be */

static void peak_task(void *ctx, size_t task, int worker) {
    const struct peak_job *job = ctx;
    double value = job->loop->run(job->rounds);
    if (task == 0 && worker == 0) peak_sink = value;
}

static double time_peak(struct peak_job *job, size_t threads) {
    double start = now();
    rc__parallel(threads, 1e30, peak_task, job); /* worth every thread */
    return now() - start;
}

static const rc__peak_loop *pick(rc_precision precision) {
    const rc__peak_kernels *k = &rc__k->peak;
    /* the faster way to multiply bf16 that this CPU has, or the one in use */
    if (precision == RC_BF16 && k->has_bf16 && k->has_bf16() && (rc__k->panel.bf16_instruction || rc__cpu_bf16_pays()))
        return &k->bf16;
    if (precision == RC_INT8 && k->has_int8 && k->has_int8()) return &k->int8;
    return &k->fma;
}

rc_status rc_machine_measure_peak(rc_precision precision, int threads, rc_machine_peak *out, rc_error *e) {
    /* Runs of about a millisecond: long beside the start of a job. */
    enum { RUNS = 9 };
    if (precision != RC_FP32 && precision != RC_BF16 && precision != RC_INT8)
        return rc_fail(e, RC_EINVAL, "peak: unknown precision %d", (int)precision);
    if (threads < 0 || threads > rc_threads())
        return rc_fail(e, RC_EINVAL, "peak: expected 0 to %d threads, found %d", rc_threads(), threads);
    if (threads == 0) threads = rc_threads();
    struct peak_job job = {pick(precision), 1000};
    const double want = 1e-3;
    double seconds = 0, run[RUNS];
    while ((seconds = time_peak(&job, 1)) < want / 4) job.rounds *= 2;
    job.rounds = (size_t)((double)job.rounds * want / seconds) + 1;
    for (int i = 0; i < RUNS; i++) {
        seconds = time_peak(&job, (size_t)threads);
        int at = i; /* in order: the median is in the middle */
        for (; at > 0 && run[at - 1] > seconds; at--) run[at] = run[at - 1];
        run[at] = seconds;
    }
    *out = (rc_machine_peak){threads, (double)threads * (double)job.rounds * job.loop->operations / run[RUNS / 2] / 1e9,
                             job.loop->instruction};
    return RC_OK;
}

static volatile uint64_t load_sink;

rc_status rc_machine_measure_load(size_t bytes, double *bytes_per_second, rc_error *e) {
    enum { RUNS = 5 };
    if (bytes == 0) return rc_fail(e, RC_EINVAL, "load: expected at least one byte");
    size_t len = bytes < LOAD_LIMIT ? (bytes + RC_LOAD_BLOCK - 1) / RC_LOAD_BLOCK * RC_LOAD_BLOCK : LOAD_LIMIT;
    char *p = rc__alloc(len);
    if (!p) return rc_fail(e, RC_ENOMEM, "load: out of memory (%zu bytes)", len);
    memset(p, 1, len);
    /* Of a small set one run is many passes, about a millisecond. */
    double best = 0, seconds = 0;
    size_t passes = (100000 + len - 1) / len;
    for (int i = -1; i < RUNS; i++) { /* run -1 warms up, and tells how many passes are a millisecond */
        double start = now();
        for (size_t k = 0; k < passes; k++) load_sink = rc__k->peak.load(len, p);
        seconds = now() - start;
        if (i < 0) {
            double want = seconds > 0 ? 1e-3 / seconds * (double)passes : (double)passes;
            passes = want < 1 ? 1 : want > 1e9 ? (size_t)1e9 : (size_t)want;
        } else if (i == 0 || seconds < best) {
            best = seconds;
        }
    }
    *bytes_per_second = (double)passes * (double)len / best;
    rc__free(p, len);
    return RC_OK;
}
