/* isa.c - one build of all kernels. Compiled once per instruction set (CMakeLists.txt) with RC_ISA = ref, plain, v2, v3 or
 * v4; everything is static but the table at the end, rc__kernels_<RC_ISA>.
 *
 * Loops say RC_SIMD where no iteration needs another, RC_SIMD_SUM etc. where a sum may be kept in several lanes. The
 * lanes depend on the instruction set alone, not on alignment (peeling is switched off in CMakeLists.txt), so the bits of
 * a result depend on the values, n and the build, nothing else.
 */
#ifdef RC_ISA_v4bf16 /* the products alone, made as v4 makes them but for those of bf16 (dispatch.c) */
#define RC_ISA_v4
#ifndef __AVX512BF16__
#error "kernels v4bf16 need -mavx512bf16"
#endif
#endif
#include "kernels/kernels.h"
#include "kernels/vecmath.h"
#include <string.h>

#if defined(RC_ISA_v4) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "kernels v4 need -march=x86-64-v4"
#elif defined(RC_ISA_v3) && !(defined(__AVX2__) && defined(__FMA__))
#error "kernels v3 need -march=x86-64-v3"
#elif defined(RC_ISA_v2) && !defined(__SSE4_2__)
#error "kernels v2 need -march=x86-64-v2"
#endif

#if defined(RC_ISA_v4)
#define ISA_NAME "x86-64-v4"
#elif defined(RC_ISA_v3)
#define ISA_NAME "x86-64-v3"
#elif defined(RC_ISA_v2)
#define ISA_NAME "x86-64-v2"
#elif defined(RC_ISA_plain)
#define ISA_NAME "plain"
#elif defined(RC_ISA_ref)
#define ISA_NAME "ref"
#else
#error "RC_ISA is not set"
#endif

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

#ifdef RC_ISA_v4bf16
#include "kernels/panel.inc"

extern const rc__panel_kernels rc__panel_v4bf16;
const rc__panel_kernels rc__panel_v4bf16 = PANEL_TABLE;
#else
#include "kernels/pointwise.inc"
#include "kernels/rows.inc"
#include "kernels/attend_step.inc"
#include "kernels/optim.inc"
#include "kernels/panel.inc"
#include "kernels/attention.inc"
#include "kernels/peak.inc"
#if __has_include("kernels/cells.inc")
#include "kernels/cells.inc"
#endif

extern const rc__kernels JOIN(rc__kernels_, RC_ISA);
const rc__kernels JOIN(rc__kernels_, RC_ISA) = {
    .isa = ISA_NAME,
    .pw = POINTWISE_TABLE,
    .row = ROW_TABLE,
    .opt = OPTIM_TABLE,
#ifdef RC_CELL_TABLE
    .cell = RC_CELL_TABLE,
    .zone = RC_ZONEOUT_TABLE,
#endif
    .attend_step = attend_step,
    .panel = PANEL_TABLE,
    .attention = ATTENTION_TABLE,
    .peak = PEAK_TABLE, /* NOLINT(bugprone-integer-division): whole lanes */
};
#endif
