/* dispatch.c - picks the build of the kernels before main: the best this CPU runs, or what RECUR_ISA names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

const rc__kernels *rc__k = &rc__kernels_ref; /* until the constructor below has run */

static char note[160];
const char *rc__kernels_note(void) { return note; }

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
    const rc__kernels *all[5];
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
#ifdef RC_HAVE_ISA_v4
    if (level >= 4) all[n++] = &rc__kernels_v4;
#endif
    for (size_t i = 0; i < n && i < cap; i++) out[i] = all[i];
    return n;
}

const rc__kernels *rc__kernels_by_name(const char *isa) {
    const rc__kernels *all[5];
    size_t n = rc__kernels_available(all, 5);
    for (size_t i = 0; i < n; i++) {
        const char *name = all[i]->isa, *dash = strrchr(name, '-'); /* "x86-64-v3" is also "v3" */
        if (strcmp(isa, name) == 0 || (dash && strcmp(isa, dash + 1) == 0)) return all[i];
    }
    return NULL;
}

__attribute__((constructor)) static void pick_kernels(void) {
    const rc__kernels *all[5];
    size_t n = rc__kernels_available(all, 5);
    rc__k = all[n - 1];
    const char *want = getenv("RECUR_ISA");
    if (!want || !*want) return;
    const rc__kernels *k = rc__kernels_by_name(want);
    if (k) rc__k = k;
    else
        snprintf(note, sizeof note, "RECUR_ISA=%.40s is not built in or not supported by this CPU; using %s", want,
                 rc__k->isa);
}
