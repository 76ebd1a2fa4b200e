/* dispatch.c - picks the build of the kernels before main: the best this CPU runs, or what RECUR_ISA names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "kernels/kernels.h"

extern const rc__kernels rc__kernels_ref;
#ifdef RC_HAVE_ISA_plain
extern const rc__kernels rc__kernels_plain;
#endif
#ifdef RC_HAVE_ISA_v2
extern const rc__kernels rc__kernels_v2;
#endif
#ifdef RC_HAVE_ISA_v3
extern const rc__kernels rc__kernels_v3;
#endif
#ifdef RC_HAVE_ISA_v4
extern const rc__kernels rc__kernels_v4;
#endif
#ifdef RC_HAVE_ISA_v4bf16
extern const rc__panel_kernels rc__panel_v4bf16;
static rc__kernels kernels_v4bf16; /* v4 with those; filled in before main */
#endif

const rc__kernels *rc__k = &rc__kernels_ref; /* until the constructor below has run */

static char note[160];
const char *rc__kernels_note(void) { return note; }

#define MOST   6 /* builds */
#define V4BF16 "x86-64-v4+bf16"

/* What decides between the x86-64 levels; every CPU that has these has the rest of its level, and reports them only when
 * the operating system saves the registers they need. */
static int cpu_level(void) {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) return 1;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2"))
        return 2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 3;
    return 4;
#else
    return 0;
#endif
}

size_t rc__kernels_available(const rc__kernels **out, size_t cap) {
    const rc__kernels *all[MOST];
    size_t n = 0;
    int level = cpu_level();
    (void)level;
    all[n++] = &rc__kernels_ref;
#ifdef RC_HAVE_ISA_plain
    all[n++] = &rc__kernels_plain;
#endif
#ifdef RC_HAVE_ISA_v2
    if (level >= 2) all[n++] = &rc__kernels_v2;
#endif
#ifdef RC_HAVE_ISA_v3
    if (level >= 3) all[n++] = &rc__kernels_v3;
#endif
#ifdef RC_HAVE_ISA_v4bf16
    if (level >= 4 && rc__cpu_has_bf16() && !rc__cpu_bf16_pays()) all[n++] = &kernels_v4bf16;
#endif
#ifdef RC_HAVE_ISA_v4
    if (level >= 4) all[n++] = &rc__kernels_v4;
#endif
#ifdef RC_HAVE_ISA_v4bf16
    if (level >= 4 && rc__cpu_bf16_pays()) all[n++] = &kernels_v4bf16;
#endif
    for (size_t i = 0; i < n && i < cap; i++) out[i] = all[i];
    return n;
}

const rc__kernels *rc__kernels_by_name(const char *isa) {
    const rc__kernels *all[MOST];
    size_t n = rc__kernels_available(all, MOST);
    for (size_t i = 0; i < n; i++) {
        const char *name = all[i]->isa, *dash = strrchr(name, '-'); /* "x86-64-v3" is also "v3" */
        if (strcmp(isa, name) == 0 || (dash && strcmp(isa, dash + 1) == 0)) return all[i];
        if (strcmp(name, V4BF16) == 0 && strcmp(isa, "v4bf16") == 0) return all[i];
    }
    return NULL;
}

#ifdef RC_HAVE_ISA_v4bf16
/* A small product against its definition, before these instructions are trusted: an odd K, rows and columns beyond a block.
 * The numbers are whole and below 256, so that bf16 holds them and every order of the sums gives the same. */
static bool bf16_holds(const rc__panel_kernels *p) {
    enum { M = 7, N = 70, K = 9 };
    static rc_real A[M * K], B[K * N], C[M * N], packed[16 * 256];
    if (p->bytes(RC_PANEL_BF16, K, N) > sizeof packed) return false;
    for (size_t i = 0; i < M * K; i++) A[i] = (rc_real)(i * 37 % 255) - 127;
    for (size_t i = 0; i < K * N; i++) B[i] = (rc_real)(i * 91 % 251) - 125;
    p->pack(RC_PANEL_BF16, K, N, B, N, false, 0, N, packed, NULL);
    rc__panel_rows rows = {A, C, M};
    p->product(&(rc__panel_product){.format = RC_PANEL_BF16, .K = K, .N = N, .last = N, .B = packed, .lda = K, .ldc = N,
                                    .rows = &rows, .segments = 1});
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            rc_real sum = 0;
            for (size_t k = 0; k < K; k++) sum += A[i * K + k] * B[k * N + j];
            if (C[i * N + j] != sum) return false;
        }
    return true;
}
#endif

__attribute__((constructor)) static void pick_kernels(void) {
#ifdef RC_HAVE_ISA_v4bf16
    kernels_v4bf16 = rc__kernels_v4;
    kernels_v4bf16.isa = V4BF16;
    kernels_v4bf16.panel = rc__panel_v4bf16;
#endif
    const rc__kernels *all[MOST];
    size_t n = rc__kernels_available(all, MOST);
    rc__k = all[n - 1];
    const char *want = getenv("RECUR_ISA");
    const rc__kernels *k = want && *want ? rc__kernels_by_name(want) : NULL;
    if (k) rc__k = k;
    else if (want && *want)
        snprintf(note, sizeof note, "RECUR_ISA=%.40s is not built in or not supported by this CPU; using %s", want,
                 rc__k->isa);
#ifdef RC_HAVE_ISA_v4bf16
    if (rc__k == &kernels_v4bf16 && !bf16_holds(&rc__k->panel)) {
        rc__k = &rc__kernels_v4;
        snprintf(note, sizeof note, "%s gives wrong products on this CPU; using %s", V4BF16, rc__k->isa);
    }
#endif
}
