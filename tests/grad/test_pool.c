/* Attention pooling: gradients, values, padding that must not matter, refusals. */
#include "grad.h"
#include <math.h>

enum { T = 5, B = 4, N = 3, F = 7 };
static const int32_t lengths[B] = {3, 0, 5, 1};

static rc_var *build_softmax(rc_tape *t, rc_var *const *in, void *ctx) { return rc_softmax_time(t, in[0], ctx); }
static rc_var *build_sum(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_weighted_sum_time(t, in[0], in[1]);
}
static rc_var *build_both(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_weighted_sum_time(t, in[0], rc_softmax_time(t, in[1], ctx));
}

static void test_gradients(void **state) {
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        void *ctx = cut ? (void *)(uintptr_t)lengths : NULL;
        rc__gradcheck c = {
            .build = build_softmax, .ctx = ctx, .n = 1, .in = {{.name = "scores", .ndim = 2, .dim = {T, B}}}};
        check_gradient(&c);
        c.in[0] = (rc__gradcheck_input){.name = "scores", .ndim = 3, .dim = {T, B, N}};
        check_gradient(&c);
        c = (rc__gradcheck){
            .build = build_both,
            .ctx = ctx,
            .n = 2,
            .in = {{.name = "x", .ndim = 3, .dim = {T, B, F}}, {.name = "scores", .ndim = 2, .dim = {T, B}}}};
        check_gradient(&c);
        c.build = build_sum;
        check_gradient(&c);
        c.in[0].no_grad = true;
        check_gradient(&c);
        c.in[0].no_grad = false, c.in[1].no_grad = true;
        check_gradient(&c);
    }
}

static void test_values(void **state) {
    (void)state;
    static double x[T * B * F], score[T * B];
    rc_rng r = rc_rng_make(3, 0);
    for (size_t i = 0; i < T * B * F; i++) x[i] = (int32_t)(i / F / B) < lengths[i / F % B] ? rc_rng_normal(&r) : NAN;
    for (size_t i = 0; i < T * B; i++) score[i] = (int32_t)(i / B) < lengths[i % B] ? 800 * rc_rng_normal(&r) : NAN;
    for (size_t i = 0; i < T; i++) score[i * B + 2] /= 800;
    rc_tape *t = training_tape(1);
    rc_var *s = rc_leaf(t, 2, (size_t[]){T, B}, score), *in = rc_leaf(t, 3, (size_t[]){T, B, F}, x);
    rc_var *a = rc_softmax_time(t, s, lengths), *y = rc_weighted_sum_time(t, in, a);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    for (int b = 0; b < B; b++) {
        double top = -INFINITY, sum = 0;
        for (int k = 0; k < lengths[b]; k++) top = fmax(top, score[k * B + b]);
        for (int k = 0; k < lengths[b]; k++) sum += exp(score[k * B + b] - top);
        for (int k = 0; k < T; k++) {
            double want = k < lengths[b] ? exp(score[k * B + b] - top) / sum : 0;
            assert_true(fabs(a->x[k * B + b] - want) < 1e-14);
            if (k >= lengths[b]) assert_true(s->dx[k * B + b] == 0);
        }
        for (int f = 0; f < F; f++) {
            double want = 0;
            for (int k = 0; k < lengths[b]; k++) want += a->x[k * B + b] * x[(k * B + b) * F + f];
            assert_true(fabs(y->x[b * F + f] - want) < 1e-14);
        }
    }
    for (size_t i = 0; i < in->len; i++) assert_true(isfinite(in->dx[i]));
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t bad[2] = {3, -1};
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        check_refused(t, call, text);                   \
    } while (0)
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
    REFUSE(rc_softmax_time(t, Z(3), NULL), "softmax_time: scores is (3), expected (T, B) or (T, B, N)");
    REFUSE(rc_softmax_time(t, Z(3, 2), bad), "softmax_time: length -1 of row 1 is outside 0..3");
    REFUSE(rc_weighted_sum_time(t, Z(3, 2, 5), Z(3, 5)),
           "weighted_sum_time: x is (3, 2, 5), weights are (3, 5); expected (T, B, F) and (T, B)");
    REFUSE(rc_weighted_sum_time(t, Z(3, 2, 5), NULL), "weighted_sum_time: input 2 of 2 is NULL");
#undef REFUSE
#undef Z
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
