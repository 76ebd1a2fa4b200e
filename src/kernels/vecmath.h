/* vecmath.h - elementary functions as straight-line code, for loops that the compiler vectorises.
 *
 * In the reference build (RC_VECMATH_LIBM, or rc_real = double) these are libm's. Elsewhere float polynomials and rationals;
 * the maximum errors stated here are checked by tests/unit/test_vecmath.c over all floats of the range.
 *
 *   rc_vexp      <= 2 ulp on [-87, 88]; 0 below, +inf above, NaN stays
 *   rc_vlog      <= 2 ulp for normal x > 0; -inf at 0, NaN below
 *   rc_vtanh     <= 4 ulp; exact +-1 beyond 9.02
 *   rc_vsigmoid  absolute error <= 1.5e-7; relative <= 4 ulp down to x = -87
 */
#ifndef RC_VECMATH_H
#define RC_VECMATH_H
#include <math.h>
#include <string.h>
#include "recur/base.h"

#if defined(RC_VECMATH_LIBM) || defined(RC_DOUBLE)

static inline rc_real rc_vexp(rc_real x) { return (rc_real)exp((double)x); }
static inline rc_real rc_vlog(rc_real x) { return (rc_real)log((double)x); }
static inline rc_real rc_vtanh(rc_real x) { return (rc_real)tanh((double)x); }
static inline rc_real rc_vsigmoid(rc_real x) { return (rc_real)(1.0 / (1.0 + exp(-(double)x))); }
#define RC_SIMD
#define RC_SIMD_SUM(...)

#else

#define RC_PRAGMA(x) _Pragma(#x)
#define RC_SIMD RC_PRAGMA(omp simd)
/* Sums in a fixed number of lanes: the order of additions depends on the instruction set and the length alone. */
#define RC_SIMD_SUM(...) RC_PRAGMA(omp simd reduction(+ : __VA_ARGS__))

static inline float rc__bits_float(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline int32_t rc__float_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln2/2, exp(r) by a polynomial of degree 6 (Taylor, last terms
 * adjusted by least squares on the interval). 2^n in two factors so that results near the limits do not overflow early. */
static inline float rc_vexp(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float n = c * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounds to nearest */
    n -= 12582912.0f;
    float r = c - n * 0.693359375f;
    r -= n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t i = (int32_t)n, a = i >> 1, b = i - a;
    float y = p * rc__bits_float((a + 127) << 23) * rc__bits_float((b + 127) << 23);
    return x != x ? x : y;
}

/* log(x): x = m 2^e with m in [sqrt(1/2), sqrt(2)), polynomial of degree 8 in m - 1 (Cephes logf coefficients). */
static inline float rc_vlog(float x) {
    int32_t bits = rc__float_bits(x);
    int32_t e = ((bits - 0x3f3504f3) >> 23);
    float m = rc__bits_float(bits - (e << 23)) - 1.0f, ef = (float)e;
    float z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    float y = m * z * p;
    y += ef * -2.12194440e-4f;
    y += -0.5f * z;
    y = m + y;
    y += ef * 0.693359375f;
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    y = x == INFINITY ? x : y;
    return x != x ? x : y;
}

/* tanh(x) = x P(x^2) / Q(x^2): the rational minimax of degree 13/6 that Eigen documents (ptanh_float). */
static inline float rc_vtanh(float x) {
    float c = x < -9.02f ? -9.02f : x;
    c = c > 9.02f ? 9.02f : c;
    float z = c * c;
    float p = -2.76076847742355e-16f;
    p = p * z + 2.00018790482477e-13f;
    p = p * z - 8.60467152213735e-11f;
    p = p * z + 5.12229709037114e-08f;
    p = p * z + 1.48572235717979e-05f;
    p = p * z + 6.37261928875436e-04f;
    p = p * z + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * z + 1.18534705686654e-04f;
    q = q * z + 2.26843463243900e-03f;
    q = q * z + 4.89352518554385e-03f;
    float y = c * p / q;
    y = y > 1.0f ? 1.0f : y;
    y = y < -1.0f ? -1.0f : y;
    return x != x ? x : y;
}

static inline float rc_vsigmoid(float x) {
    float c = x < -88.0f ? -88.0f : x;
    float y = 1.0f / (1.0f + rc_vexp(-c));
    return x != x ? x : y;
}
#endif
#endif
