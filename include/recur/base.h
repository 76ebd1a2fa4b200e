/* recur/base.h - status and messages, allocator, random numbers, threads, version.
 *
 * Every fallible call returns an rc_status and takes a nullable rc_error that receives a message naming the thing
 * that was wrong, what was expected and what was found. On failure out-parameters are NULL or untouched and everything
 * the call had acquired is released. Bad input never aborts the process.
 */
#ifndef RECUR_BASE_H
#define RECUR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RC_VERSION "0.1.0"

/* The number type of tensors. The library is built with float; the gradient checker builds the same sources with
 * RC_DOUBLE and links that build alone. Programs that use librecur see float. */
#ifdef RC_DOUBLE
typedef double rc_real;
#else
typedef float rc_real;
#endif

/* In which precision a product reads its inputs; it adds up in fp32 whatever it reads (rc_params_set_precision).
 *   RC_BF16   both inputs rounded to bf16 (to nearest, ties to even): for training and inference
 *   RC_INT8   weights in 8 bits with one scale per row of the matrix, the other input fp32: for inference */
typedef enum rc_precision { RC_FP32, RC_BF16, RC_INT8 } rc_precision;
const char *rc_precision_name(rc_precision p); /* "fp32", "bf16", "int8"; "?" for an unknown number */
bool rc_precision_find(const char *name, rc_precision *out); /* false, *out untouched: none of that name */

/* name, exit code of the command line, text */
#define RC_STATUS_LIST(X)                                                                                            \
    X(OK, 0, "ok")                                                                                                   \
    X(ENO, 1, "the answer is no")                        /* ran, but a check, comparison or test said no      */      \
    X(EINVAL, 2, "invalid argument")                     /* the caller or an option is wrong                   */     \
    X(EDATA, 3, "bad data")                              /* a data file is malformed, too short, not UTF-8 ... */     \
    X(EMODEL, 3, "bad model")                            /* a model, checkpoint or tokenizer file is wrong     */     \
    X(EDIVERGED, 3, "not a finite number")               /* NaN or infinity during training                    */     \
    X(EIO, 4, "input or output failed")                  /* open, read, write, rename; disk full               */     \
    X(ENOMEM, 4, "out of memory")                                                                                     \
    X(EINTERRUPTED, 5, "interrupted")                    /* stopped by a signal, state saved                   */     \
    X(ESTOP, 0, "stopped by the caller")                 /* a callback asked to stop                           */

typedef enum rc_status {
#define X(name, exit_code, text) RC_##name,
    RC_STATUS_LIST(X)
#undef X
} rc_status;

const char *rc_status_name(rc_status s); /* "RC_EINVAL"; never NULL, "RC_?" for an unknown number */
const char *rc_status_text(rc_status s); /* "invalid argument" */
int rc_status_exit_code(rc_status s);    /* what the command line exits with */

typedef struct rc_error {
    rc_status code;
    char text[1024]; /* NUL-terminated; truncated with "..." when longer */
} rc_error;

/* Fills e (may be NULL) and returns code, so that `return rc_fail(e, RC_EDATA, "%s: ...", path)` reads well. Control
 * characters of what is quoted become '?'. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
rc_status
rc_fail(rc_error *e, rc_status code, const char *format, ...);
#ifdef __clang_analyzer__ /* which sees one file at a time: the result is the code */
#define rc_fail(e, code, ...) (rc_fail(e, code, __VA_ARGS__), (code))
#endif

/* ---- version ---------------------------------------------------------------------------------------------------- */

const char *rc_version(void); /* "0.1.0" */
/* One line per built-in: compiler, matrix backend and its version, thread runtime, ISA in use and ISAs built in. */
const char *rc_build_info(void);

/* ---- memory ------------------------------------------------------------------------------------------------------
 * All memory of the library comes from one function, told the old size as in Lua:
 *   f(ctx, NULL, 0, n)   allocate n bytes, aligned to 64      f(ctx, p, n, 0)  free
 *   f(ctx, p, n, m)      resize, keeping min(n,m) bytes; NULL on failure leaves p valid
 * Replace it before the first other call, from one thread. */
typedef void *(*rc_allocator)(void *ctx, void *p, size_t old_size, size_t new_size);
void rc_set_allocator(rc_allocator f, void *ctx); /* f == NULL restores the default */
size_t rc_memory_used(void);                      /* bytes now allocated through it, by all threads */
size_t rc_memory_peak(void);
/* Bytes that this process could still fill: what the system says is available, with swap, and no more than its control
 * group has left; SIZE_MAX when nobody says. The default allocator refuses a large block beyond it: the system would lend
 * it, and end the process that fills it. Reads files in /proc and /sys. */
size_t rc_memory_room(void);

/* ---- threads -----------------------------------------------------------------------------------------------------
 * Work is cut into tiles that do not depend on the number of threads, so results are the same bits for any number. */
int rc_threads(void);                                 /* default: OMP_NUM_THREADS, else the cores the process may use */
rc_status rc_set_threads(int n, rc_error *e);         /* 1..1024; RC_EINVAL otherwise; not while others compute */

/* ---- random numbers ----------------------------------------------------------------------------------------------
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): number i of stream (seed, stream)
 * is a function of (seed, stream, i) alone, so that masks can be made by any thread in any order, and a position is
 * two integers in a checkpoint. */
typedef struct rc_rng {
    uint64_t seed, stream, position; /* position counts 32-bit draws */
} rc_rng;

rc_rng rc_rng_make(uint64_t seed, uint64_t stream);
uint32_t rc_rng_u32(rc_rng *r);
double rc_rng_uniform(rc_rng *r);              /* [0, 1), 32 bits; one draw */
double rc_rng_normal(rc_rng *r);               /* mean 0, variance 1; two draws */
uint64_t rc_rng_below(rc_rng *r, uint64_t n);  /* 0..n-1 without bias worth naming (two draws); n >= 1 */

#ifdef __cplusplus
}
#endif
#endif
