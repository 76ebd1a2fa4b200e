/* recur/bench.h - what this machine can do at most: how fast it multiplies, and how fast it reads memory.
 *
 * A speed in GFLOP/s says little on a machine whose clock moves; a share of the peak measured beside it does. Both calls
 * are measurements: they keep the cores busy for a few milliseconds and tell the median of several short runs (of reading
 * the best). They use
 * the kernels in use (RECUR_ISA), so RECUR_ISA=v3 measures what AVX2 can do. Nothing else should compute meanwhile.
 */
#ifndef RECUR_BENCH_H
#define RECUR_BENCH_H

#include "recur/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rc_machine_peak {
    int threads;             /* that computed together */
    double gflops;           /* 1e9 multiplications and additions a second, all threads together; each counts as one */
    const char *instruction; /* that was timed: "fma", "multiply and add", "vdpbf16ps", "vpdpbusd"; static */
} rc_machine_peak;

/* Times a loop of independent multiply-adds in registers on `threads` threads of the library at once.
 *   RC_FP32   the widest FMA of the build in use
 *   RC_BF16   dot products of bf16 pairs with fp32 sums, where the CPU has them (AVX512_BF16) and they are faster than
 *             the fp32 FMA or the build in use is made of them; else the fp32 FMA
 *   RC_INT8   dot products of four 8-bit numbers with 32-bit sums (AVX512_VNNI), else the fp32 FMA
 * out->instruction tells which. Matrix tiles (AMX) are not measured: a product that uses them may exceed this peak.
 * threads: 1..rc_threads(), or 0 = rc_threads(). RC_EINVAL otherwise, and for a precision that is none.
 * Takes about 10 ms. Allocates nothing; not from within a call of the library. */
rc_status rc_machine_measure_peak(rc_precision precision, int threads, rc_machine_peak *out, rc_error *e);

/* Reads `bytes` bytes of memory over and over on the calling thread; *bytes_per_second is the best pass. A set that fits a
 * cache is read from there. Rounded up to 512 bytes; of a set beyond 64 MiB only so much is read, which no cache of one
 * core holds; whether a cache that cores share holds it stays open.
 * RC_EINVAL: bytes is 0; RC_ENOMEM. Takes about 5 ms up to 4 MiB, and at most some 50 ms. */
rc_status rc_machine_measure_load(size_t bytes, double *bytes_per_second, rc_error *e);

#ifdef __cplusplus
}
#endif
#endif
