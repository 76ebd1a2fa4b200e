/* The error bounds stated in kernels/vecmath.h, over the floats of each function's range. By default every 4099th bit
 * pattern; RECUR_TEST_STRIDE=1 takes each one (minutes). Measured through the table for each build that this CPU runs
 * (with and without fused multiply-add), and on the header itself as this file's compiler flags build it. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernels/kernels.h"
#include "kernels/vecmath.h"

static uint32_t stride = 4099;

static double ulp(double y) { /* spacing of floats at |y| */
    y = fabs(y);
    if (y < (double)FLT_MIN) return 0x1p-149;
    int e;
    frexp(y, &e);
    return ldexp(1.0, e - 24);
}

static double error_ulps(float got, double want) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isinf(want)) return (double)got == want ? 0 : INFINITY;
    if (isinf(got) && fabs(want) >= (double)FLT_MAX) return (got > 0) == (want > 0) ? 0 : INFINITY;
    return fabs((double)got - want) / ulp(want);
}

static double true_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double true_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double true_elu(double x) { return x > 0 ? x : expm1(x); }

/* Worst error of f over the floats of [low, high] */
typedef void array_fn(size_t n, const float *x, float *y);
static double sweep(array_fn *f, double (*truth)(double), float low, float high, float *where) {
    static float x[4096], y[4096];
    double worst = 0;
    size_t n = 0;
    for (uint64_t bits = 0;; bits += stride) {
        bool last = bits > UINT32_MAX;
        if (!last) {
            uint32_t b = (uint32_t)bits;
            float v;
            memcpy(&v, &b, 4);
            if (v >= low && v <= high) x[n++] = v;
        }
        if (n == 4096 || (last && n)) {
            f(n, x, y);
            for (size_t i = 0; i < n; i++) {
                double e = error_ulps(y[i], truth((double)x[i]));
                if (e > worst) worst = e, *where = x[i];
            }
            n = 0;
        }
        if (last) return worst;
    }
}

static void check(const char *isa, const char *name, array_fn *f, double (*truth)(double), float low, float high, double bound) {
    float where = 0;
    double worst = sweep(f, truth, low, high, &where);
    print_message("%-10s %-9s %.3f ulp (bound %.2f) at %.9g\n", isa, name, worst, bound, (double)where);
    assert_true(worst <= bound);
}

static void through_the_table(void **state) {
    (void)state;
    const rc__kernels *k[8];
    size_t n = rc__kernels_available(k, 8);
    for (size_t i = 0; i < n; i++) {
        const char *isa = k[i]->isa;
        check(isa, "exp", k[i]->pw.act[RC_ACT_EXP], exp, -INFINITY, INFINITY, RC_VEXP_ULP);
        check(isa, "log", k[i]->pw.act[RC_ACT_LOG], log, 0, INFINITY, RC_VLOG_ULP);
        check(isa, "tanh", k[i]->pw.act[RC_ACT_TANH], tanh, -INFINITY, INFINITY, RC_VTANH_ULP);
        check(isa, "sigmoid", k[i]->pw.act[RC_ACT_SIGMOID], true_sigmoid, -87, INFINITY, RC_VSIGMOID_ULP);
        check(isa, "elu", k[i]->pw.act[RC_ACT_ELU], true_elu, -INFINITY, INFINITY, RC_VEXPM1_ULP);
        check(isa, "softplus", k[i]->pw.act[RC_ACT_SOFTPLUS], true_softplus, -87, INFINITY, RC_VEXP_ULP + RC_VLOG1P_ULP);
    }
}

#define MAP(name)                                                                                                    \
    static void map_##name(size_t n, const float *x, float *y) {                                                     \
        for (size_t i = 0; i < n; i++) y[i] = rc_v##name(x[i]);                                                      \
    }
MAP(exp)
MAP(expm1)
MAP(log)
MAP(log1p)
MAP(tanh)
MAP(sigmoid)
MAP(erf)

static void on_the_header(void **state) {
    (void)state;
    check("header", "exp", map_exp, exp, -INFINITY, INFINITY, RC_VEXP_ULP);
    check("header", "expm1", map_expm1, expm1, -INFINITY, INFINITY, RC_VEXPM1_ULP);
    check("header", "log", map_log, log, 0, INFINITY, RC_VLOG_ULP);
    check("header", "log1p", map_log1p, log1p, 0, 1, RC_VLOG1P_ULP);
    check("header", "tanh", map_tanh, tanh, -INFINITY, INFINITY, RC_VTANH_ULP);
    check("header", "sigmoid", map_sigmoid, true_sigmoid, -87, INFINITY, RC_VSIGMOID_ULP);
    check("header", "erf", map_erf, erf, -INFINITY, INFINITY, RC_VERF_ULP);
}

static void at_the_ends(void **state) {
    (void)state;
    assert_true(rc_vexp(-INFINITY) == 0 && rc_vexp(INFINITY) == INFINITY && rc_vexp(0) == 1);
    assert_true(rc_vexpm1(-INFINITY) == -1 && rc_vexpm1(INFINITY) == INFINITY && rc_vexpm1(0) == 0);
    assert_true(rc_vlog(0) == -INFINITY && rc_vlog(INFINITY) == INFINITY && rc_vlog(1) == 0);
    assert_true(isnan(rc_vlog(-1)) && isnan(rc_vlog(-INFINITY)));
    assert_true(rc_vtanh(INFINITY) == 1 && rc_vtanh(-INFINITY) == -1 && rc_vtanh(0) == 0);
    assert_true(rc_vtanh(10) == 1 && rc_vtanh(-10) == -1 && rc_verf(5) == 1 && rc_verf(-5) == -1);
    assert_true(rc_vsigmoid(0) == 0.5f && rc_vsigmoid(INFINITY) == 1 && rc_vsigmoid(-INFINITY) < 2e-38f);
    assert_true(isnan(rc_vexp(NAN)) && isnan(rc_vexpm1(NAN)) && isnan(rc_vlog(NAN)) && isnan(rc_vlog1p(NAN)));
    assert_true(isnan(rc_vtanh(NAN)) && isnan(rc_vsigmoid(NAN)) && isnan(rc_verf(NAN)) && isnan(rc_vsqrt(NAN)));
}

int main(void) {
    const char *s = getenv("RECUR_TEST_STRIDE");
    if (s && atoi(s) > 0) stride = (uint32_t)atoi(s);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_the_table),
        cmocka_unit_test(on_the_header),
        cmocka_unit_test(at_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
