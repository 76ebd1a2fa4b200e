/* vecmath.h - elementary functions as straight-line code, for loops that the compiler vectorises.
 *
 * In the reference build (RC_VECMATH_LIBM, or rc_real = double) these are libm's. Elsewhere float polynomials and rationals,
 * fitted by tools/vecmath_fit.py. NaN in gives NaN out. The greatest errors, in units of the last place of the true result,
 * with and without fused multiply-add; tests/unit/test_vecmath.c measures them over a sweep of all floats:
 *
 *   rc_vexp      1.2   0 below -103.98, +inf above 88.73
 *   rc_vexpm1    1.7   -1 below -17.4, +inf above 88.73
 *   rc_vlog      1.0   -inf at 0, NaN below
 *   rc_vlog1p    1.4   for 0 <= x <= 1, as softplus needs it
 *   rc_vtanh     3.0   exactly +-1 beyond 9.02
 *   rc_vsigmoid  2.6   for x >= -87; from there on it stays at 1.6e-38
 *   rc_verf      7.5   (4.5e-7); exactly +-1 beyond 3.92
 */
#ifndef RC_VECMATH_H
#define RC_VECMATH_H
#include <math.h>
#include <string.h>
#include "recur/base.h"

#define RC_VEXP_ULP 1.2
#define RC_VEXPM1_ULP 1.7
#define RC_VLOG_ULP 1.0
#define RC_VLOG1P_ULP 1.4
#define RC_VTANH_ULP 3.0
#define RC_VSIGMOID_ULP 2.6
#define RC_VERF_ULP 7.5

#if defined(RC_VECMATH_LIBM) || defined(RC_DOUBLE)

static inline rc_real rc_vexp(rc_real x) { return (rc_real)exp((double)x); }
static inline rc_real rc_vexpm1(rc_real x) { return (rc_real)expm1((double)x); }
static inline rc_real rc_vlog(rc_real x) { return (rc_real)log((double)x); }
static inline rc_real rc_vlog1p(rc_real x) { return (rc_real)log1p((double)x); }
static inline rc_real rc_vtanh(rc_real x) { return (rc_real)tanh((double)x); }
static inline rc_real rc_vsigmoid(rc_real x) { return (rc_real)(1.0 / (1.0 + exp(-(double)x))); }
static inline rc_real rc_verf(rc_real x) { return (rc_real)erf((double)x); }
static inline rc_real rc_vsqrt(rc_real x) { return (rc_real)sqrt((double)x); }
#define RC_SIMD
#define RC_SIMD_SUM(...)
#define RC_SIMD_MAX_SUM(...)

#else

#define RC_PRAGMA(text) _Pragma(#text)
/* Iterations do not need each other. */
#define RC_SIMD RC_PRAGMA(omp simd)
/* Sums in a fixed number of lanes: the order of additions depends on the instruction set and the length alone. */
#define RC_SIMD_SUM(...) RC_PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#ifdef __clang__ /* 14 does not vectorise it for 4 lanes, and warns of what it was asked to */
#define RC_SIMD_MAX_SUM(most, sum)
#else
#define RC_SIMD_MAX_SUM(most, sum) RC_PRAGMA(omp simd reduction(max : most) reduction(+ : sum))
#endif

static inline float rc__bits_float(uint32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline uint32_t rc__float_bits(float f) { uint32_t i; memcpy(&i, &f, 4); return i; }
static inline float rc_vsqrt(float x) { return sqrtf(x); }

/* Written so that NaN stays NaN: a comparison with it is false. */
static inline float rc__clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* x = n ln2 + r, |r| <= ln2 / 2 (ln2 in two parts, the first with 15 bits so that n * hi is exact). Adding 1.5 * 2^23
 * rounds to the nearest integer and leaves it in the low bits. Returns exp(r) - 1 = r + r^2 q(r), error 3e-9. */
static inline float rc__exp_reduce(float x, uint32_t *n) {
    const float magic = 12582912.0f;
    float t = x * 1.44269504f + magic, k = t - magic;
    *n = rc__float_bits(t) - 0x4B400000u;
    float r = x - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    float q = 0.00138145406f;
    q = q * r + 0.00836874545f;
    q = q * r + 0.041668389f;
    q = q * r + 0.166665211f;
    q = q * r + 0.49999994f;
    return r + r * r * q;
}

/* 2^n for -126 <= n <= 127 */
static inline float rc__exp2i(uint32_t n) { return rc__bits_float((n + 127u) << 23); }

/* 2^n is multiplied in as two factors, so that results near both ends are right. */
static inline float rc_vexp(float x) {
    uint32_t n;
    float p = 1.0f + rc__exp_reduce(rc__clamp(x, -104.0f, 89.0f), &n);
    uint32_t a = (uint32_t)((int32_t)n >> 1);
    return p * rc__exp2i(a) * rc__exp2i(n - a);
}

/* exp where the result is neither subnormal nor infinite: for -87.3 <= x <= 88.3 */
static inline float rc__exp_inside(float x) {
    uint32_t n;
    float p = 1.0f + rc__exp_reduce(x, &n);
    return p * rc__exp2i(n);
}

/* 2^n (e + 1) - 1 = 2^n e + (2^n - 1), both parts exact in 2^n */
static inline float rc_vexpm1(float x) {
    uint32_t n;
    float e = rc__exp_reduce(rc__clamp(x, -25.0f, 89.0f), &n);
    uint32_t a = (uint32_t)((int32_t)n >> 1);
    float s = rc__exp2i(a), u = rc__exp2i(n - a), y = (e * s + (s - rc__exp2i(a - n))) * u;
    return x > -1.0e-7f && x < 1.0e-7f ? x : y;
}

/* x = (1 + m) 2^e with 1 + m in [sqrt(1/2), sqrt(2)); log(1 + m) = m - m^2 / 2 + m^3 q(m), error 7e-10. Subnormal x is
 * first multiplied by 2^23. */
static inline float rc_vlog(float x) {
    float big = x < 1.17549435e-38f ? x * 8388608.0f : x, shift = x < 1.17549435e-38f ? -23.0f : 0.0f;
    uint32_t bits = rc__float_bits(big);
    int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23;
    float m = rc__bits_float(bits - ((uint32_t)e << 23)) - 1.0f, ef = (float)e + shift;
    float z = m * m;
    float q = 0.0674664378f;
    q = q * m - 0.116756566f;
    q = q * m + 0.118881635f;
    q = q * m - 0.124055885f;
    q = q * m + 0.142195523f;
    q = q * m - 0.166679963f;
    q = q * m + 0.200021192f;
    q = q * m - 0.250000089f;
    q = q * m + 0.333333135f;
    float y = m * z * q;
    y = y + ef * -2.12194440e-4f;
    y = y - 0.5f * z;
    y = m + y;
    y = y + ef * 0.693359375f;
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x - x == 0.0f ? y : x > 0.0f ? x : NAN; /* +inf; NaN for NaN and -inf */
}

/* log(w) of the rounded w = 1 + x, plus what the rounding lost */
static inline float rc_vlog1p(float x) {
    float w = 1.0f + x;
    return rc_vlog(w) + (x - (w - 1.0f)) / w;
}

/* tanh|x| = t / (t + 2), t = exp(2|x|) - 1. From 9.02 on t + 2 rounds to t and the quotient is 1. */
static inline float rc_vtanh(float x) {
    uint32_t n, sign = rc__float_bits(x) & 0x80000000u;
    float d = fabsf(x) * 2.0f;
    float e = rc__exp_reduce(d > 20.0f ? 20.0f : d, &n), s = rc__exp2i(n);
    float t = e * s + (s - 1.0f);
    return rc__bits_float(rc__float_bits(t / (t + 2.0f)) | sign);
}

static inline float rc_vsigmoid(float x) { return 1.0f / (1.0f + rc__exp_inside(rc__clamp(-x, -87.0f, 87.0f))); }

/* x P(x^2) / Q(x^2), error 1.8e-8 on [-3.92, 3.92] */
static inline float rc_verf(float x) {
    float c = rc__clamp(x, -3.92f, 3.92f), z = c * c;
    float p = 2.06647428e-06f;
    p = p * z + 0.000285061309f;
    p = p * z + 0.00373831717f;
    p = p * z + 0.0526679903f;
    p = p * z + 0.189666182f;
    p = p * z + 1.12837911f;
    float q = 3.82699873e-05f;
    q = q * z + 0.00115736877f;
    q = q * z + 0.0149142183f;
    q = q * z + 0.11381869f;
    q = q * z + 0.501420081f;
    q = q * z + 1.0f;
    float y = c * (p / q);
    y = x >= 3.92f ? 1.0f : y;
    return x <= -3.92f ? -1.0f : y;
}
#endif
#endif
