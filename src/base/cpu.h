/* cpu.h - the machine: cores, name, features. */
#ifndef RC_CPU_H
#define RC_CPU_H
#include "recur/base.h"

/* Cores this process may use: the affinity mask, and no more than the CPU quota of its control group; at least 1. */
int rc__cpu_cores(void);
/* L2 of one core, as the system says; 1 MiB when it does not. */
size_t rc__cpu_l2_bytes(void);
/* Whether AVX512_BF16 is there (and the operating system saves its registers). */
bool rc__cpu_has_bf16(void);
/* Whether a VDPBF16PS multiplies faster than the FMAs that do the same. Told by the CPU's model, not by a clock: the build
 * that is picked decides bits. */
bool rc__cpu_bf16_pays(void);
/* "Intel(R) Xeon(R) ..." and "avx2 fma avx512f ...": for reports only. Never NULL; "" when unknown. */
const char *rc__cpu_name(void);
const char *rc__cpu_features(void);
#endif
