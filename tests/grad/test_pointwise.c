/* Activations: values against libm, gradients on both sides of every corner. */
#include <math.h>
#include <stdlib.h>
#include "base/parallel.h"
#include "grad.h"

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) { return rc_activate(t, in[0], *(rc_act *)ctx); }

static double reference(rc_act act, double x) {
    switch (act) {
    case RC_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case RC_ACT_TANH: return tanh(x);
    case RC_ACT_RELU: return x > 0 ? x : 0;
    case RC_ACT_LEAKY_RELU: return x > 0 ? x : 0.01 * x;
    case RC_ACT_ELU: return x > 0 ? x : exp(x) - 1;
    case RC_ACT_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case RC_ACT_SILU: return x / (1 + exp(-x));
    case RC_ACT_SOFTPLUS: return log(1 + exp(x));
    case RC_ACT_EXP: return exp(x);
    case RC_ACT_LOG: return log(x);
    case RC_ACT_SQRT: return sqrt(x);
    case RC_ACT_SQUARE: return x * x;
    case RC_ACT_ABS: return fabs(x);
    case RC_ACT_COUNT: break;
    }
    return NAN;
}

static void test_gradients(void **state) {
    (void)state;
    for (rc_act act = 0; act < RC_ACT_COUNT; act++) {
        rc__fill fill = act == RC_ACT_LOG || act == RC_ACT_SQRT ? RC__FILL_POSITIVE : RC__FILL_APART;
        rc__gradcheck c = {
            .build = build, .ctx = &act, .n = 1, .in = {{.name = "x", .ndim = 2, .dim = {3, 21}, .fill = fill}}};
        check_gradient(&c);
    }
}

static void test_values(void **state) {
    (void)state;
    enum { N = 40000 }; /* more than two tiles */
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (rc_act act = 0; act < RC_ACT_COUNT; act++) {
        rc_tape *t = training_tape(1);
        rc_var *x = rc_zeros(t, DIMS(N));
        bool positive = act == RC_ACT_LOG || act == RC_ACT_SQRT;
        for (size_t i = 0; i < N; i++) x->x[i] = 20.0 * (double)i / N - (positive ? -0.01 : 10);
        rc_var *y = rc_activate(t, x, act);
        for (size_t i = 0; i < N; i++) {
            double want = reference(act, x->x[i]);
            assert_true(fabs(y->x[i] - want) <= 1e-12 * fmax(1, fabs(want)));
        }
        rc_tape_free(t);
    }
    rc__parallel_threshold = threshold;
}

static void test_names(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_var *x = ones(t, DIMS(3));
    assert_true(rc_sigmoid(t, x)->x[0] == rc_activate(t, x, RC_ACT_SIGMOID)->x[0]);
    assert_true(rc_tanh(t, x)->x[0] == rc_activate(t, x, RC_ACT_TANH)->x[0]);
    assert_true(rc_relu(t, x)->x[0] == 1);
    check_refused(t, rc_activate(t, x, RC_ACT_COUNT), "activate: unknown activation 13");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_activate(t, NULL, RC_ACT_GELU), "gelu: the input is NULL");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
