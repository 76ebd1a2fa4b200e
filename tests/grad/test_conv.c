/* Convolution over time: gradients, the definition written out once more, padding that must not matter, refusals. */
#include "grad.h"
#include <math.h>

enum { T = 5, B = 4, I = 3, O = 2 };
static const int32_t lengths[B] = {3, 0, 5, 1};

typedef struct setup {
    const int32_t *lengths;
    int pad;
    bool bias;
} setup;

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    const setup *s = ctx;
    return rc_conv1d(t, in[0], s->lengths, in[1], s->bias ? in[2] : NULL, s->pad);
}

/* x through two layers of one weight, and the weight used beside them: gradients that are added to */
static rc_var *twice(rc_tape *t, rc_var *const *in, void *ctx) {
    const setup *s = ctx;
    rc_var *y =
        rc_conv1d(t, rc_tanh(t, rc_conv1d(t, in[0], s->lengths, in[1], in[2], s->pad)), s->lengths, in[1], in[2], 0);
    return rc_add(t, y, in[0]);
}

static rc__gradcheck check_of(setup *s, size_t K) {
    return (rc__gradcheck){.build = build,
                           .ctx = s,
                           .n = s->bias ? 3 : 2,
                           .in = {{.name = "x", .ndim = 3, .dim = {T, B, I}},
                                  {.name = "w", .ndim = 3, .dim = {O, I, K}},
                                  {.name = "b", .ndim = 1, .dim = {O}}}};
}

static void test_gradients(void **state) {
    (void)state;
    for (size_t K = 1; K <= 7; K += 2) /* 7: longer than any row */
        for (int pad = 0; pad < (int)K; pad++)
            for (int variant = 0; variant < 4; variant++) {
                setup s = {variant & 1 ? lengths : NULL, pad, variant & 2};
                rc__gradcheck c = check_of(&s, K);
                check_gradient(&c);
            }
    setup s = {lengths, 2, true};
    rc__gradcheck c = check_of(&s, 4);
    for (int fixed = 0; fixed < 3; fixed++) { /* each input a constant */
        c.in[fixed].no_grad = true;
        check_gradient(&c);
        c.in[fixed].no_grad = false;
    }
    c.build = twice;
    c.in[1].dim[0] = c.in[2].dim[0] = I;
    check_gradient(&c);
}

static void fill(double *x, size_t n, uint64_t seed) {
    rc_rng r = rc_rng_make(seed, 0);
    for (size_t i = 0; i < n; i++) x[i] = rc_rng_normal(&r);
}

/* Larger than a task's rows, a piece of the product, and with all the NaN that padding may hold. */
static void test_definition(void **state) {
    (void)state;
    enum { LONG = 203, ROWS = 3, IN = 7, OUT = 19, K = 5 };
    static double x[LONG * ROWS * IN], w[OUT * IN * K], b[OUT];
    static const int32_t len[ROWS] = {LONG, 97, 0};
    fill(w, OUT * IN * K, 2), fill(b, OUT, 3);
    for (int pad = 0; pad < K; pad++)
        for (int padded = 0; padded < 2; padded++) {
            fill(x, LONG * ROWS * IN, 1);
            for (size_t i = 0; padded && i < LONG * ROWS * IN; i++)
                if ((int32_t)(i / IN / ROWS) >= len[i / IN % ROWS]) x[i] = NAN;
            rc_tape *t = training_tape(1);
            rc_var *in = rc_leaf(t, 3, (size_t[]){LONG, ROWS, IN}, x),
                   *weight = rc_leaf(t, 3, (size_t[]){OUT, IN, K}, w);
            rc_var *y = rc_conv1d(t, in, padded ? len : NULL, weight, rc_leaf(t, 1, (size_t[]){OUT}, b), pad);
            for (int s = 0; s < LONG; s++)
                for (int r = 0; r < ROWS; r++)
                    for (int o = 0; o < OUT; o++) {
                        int end = padded ? len[r] : LONG;
                        double want = s < end ? b[o] : 0;
                        for (int k = 0; s < end && k < K; k++)
                            for (int i = 0; i < IN && s + k - pad >= 0 && s + k - pad < end; i++)
                                want += w[(o * IN + i) * K + k] * x[((s + k - pad) * ROWS + r) * IN + i];
                        double got = y->x[(s * ROWS + r) * OUT + o];
                        if (!(fabs(got - want) < 1e-12)) fail_msg("y[%d,%d,%d] is %g, expected %g", s, r, o, got, want);
                    }
            assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
            for (size_t i = 0; i < in->len; i++) {
                assert_true(isfinite(in->dx[i]));
                if (padded && (int32_t)(i / IN / ROWS) >= len[i / IN % ROWS]) assert_true(in->dx[i] == 0);
            }
            for (size_t i = 0; i < weight->len; i++) assert_true(isfinite(weight->dx[i]));
            rc_tape_free(t);
        }
}

/* Rows of length 0 alone: zeros, and no gradient. */
static void test_empty(void **state) {
    (void)state;
    static const int32_t none[2] = {0, 0};
    static double x[3 * 2 * I], w[O * I * 3];
    fill(w, O * I * 3, 1);
    rc_tape *t = training_tape(1);
    rc_var *in = rc_leaf(t, 3, (size_t[]){3, 2, I}, x), *weight = rc_leaf(t, 3, (size_t[]){O, I, 3}, w);
    rc_var *y = rc_conv1d(t, in, none, weight, NULL, 1);
    for (size_t i = 0; i < y->len; i++) assert_true(y->x[i] == 0);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    for (size_t i = 0; weight->dx && i < weight->len; i++) assert_true(weight->dx[i] == 0);
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        check_refused(t, call, text);                   \
    } while (0)
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
    static const int32_t bad[2] = {3, 4};
    REFUSE(rc_conv1d(t, Z(3, 2, 5), NULL, Z(4, 6, 3), NULL, 1),
           "conv1d: x is (3, 2, 5), weight (4, 6, 3) expects (T, B, 6)");
    REFUSE(rc_conv1d(t, Z(3, 5), NULL, Z(4, 5, 3), NULL, 1), "conv1d: x is (3, 5), weight (4, 5, 3) expects (T, B, 5)");
    REFUSE(rc_conv1d(t, Z(3, 2, 5), NULL, Z(4, 5), NULL, 1), "conv1d: weight is (4, 5), expected (O, I, K)");
    REFUSE(rc_conv1d(t, Z(3, 2, 5), NULL, Z(4, 5, 3), Z(5), 1), "conv1d: bias is (5), weight (4, 5, 3) expects (4)");
    REFUSE(rc_conv1d(t, Z(3, 2, 5), NULL, Z(4, 5, 3), NULL, 3), "conv1d: pad_left is 3, expected 0 to 2");
    REFUSE(rc_conv1d(t, Z(3, 2, 5), NULL, Z(4, 5, 3), NULL, -1), "conv1d: pad_left is -1, expected 0 to 2");
    REFUSE(rc_conv1d(t, Z(3, 2, 5), bad, Z(4, 5, 3), NULL, 1), "conv1d: length of row 1 is 4, expected 0 to 3");
    REFUSE(rc_conv1d(t, NULL, NULL, Z(4, 5, 3), NULL, 1), "conv1d: input 1 of 2 is NULL");
#undef REFUSE
#undef Z
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_definition),
                                       cmocka_unit_test(test_empty), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
