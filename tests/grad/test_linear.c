/* linear and matmul: values, gradients, refusals. */
#include <math.h>
#include "grad.h"

static rc_var *linear(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_linear(t, in[0], in[1], *(int *)ctx ? in[2] : NULL);
}

/* the same weights twice, as in a tied or stacked layer */
static rc_var *linear_twice(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_linear(t, rc_tanh(t, rc_linear(t, in[0], in[1], in[2])), in[1], in[2]);
}

static void test_linear_gradients(void **state) {
    (void)state;
    for (int bias = 0; bias < 2; bias++) {
        rc__gradcheck c = {.build = linear,
                           .ctx = &bias,
                           .n = 2 + bias,
                           .in = {{.name = "x", .ndim = 3, .dim = {3, 2, 5}},
                                  {.name = "w", .ndim = 2, .dim = {4, 5}},
                                  {.name = "b", .ndim = 1, .dim = {4}}}};
        check_gradient(&c);
        c.in[0] = (rc__gradcheck_input){.name = "x", .ndim = 1, .dim = {5}};
        check_gradient(&c);
        c.in[0].no_grad = true;
        check_gradient(&c);
        c.in[1].no_grad = true;
        if (bias) check_gradient(&c);
    }
    rc__gradcheck c = {.build = linear_twice,
                       .n = 3,
                       .in = {{.name = "x", .ndim = 2, .dim = {3, 5}},
                              {.name = "w", .ndim = 2, .dim = {5, 5}},
                              {.name = "b", .ndim = 1, .dim = {5}}}};
    check_gradient(&c);
}

static rc_var *linear_param(rc_tape *t, rc_var *const *in, void *ctx) {
    rc_params *ps = ctx;
    rc_param *w = rc_params_at(ps, 0), *b = rc_params_at(ps, 1);
    return rc_linear(t, rc_tanh(t, rc_linear(t, in[0], rc_param_var(t, w), rc_param_var(t, b))), rc_param_var(t, w),
                     NULL);
}

/* Weights as parameters: packed copies follow the values; a sparse one notes all its rows. */
static void test_linear_of_parameters(void **state) {
    (void)state;
    rc_params *ps = NULL;
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    rc_init normal = {.kind = RC_INIT_NORMAL, .value = 0.5};
    rc_param *w = rc_params_add(ps, "w", 2, (size_t[]){5, 5}, normal, NULL);
    rc_param *b = rc_params_add(ps, "b", 1, (size_t[]){5}, normal, NULL);
    w->sparse = true;
    assert_int_equal(rc_params_build(ps, 2, NULL), RC_OK);
    rc__gradcheck c = {
        .build = linear_param, .ctx = ps, .params = ps, .n = 1, .in = {{.name = "x", .ndim = 2, .dim = {3, 5}}}};
    check_gradient(&c);
    rc_tape *t = training_tape(1);
    rc_var *y = linear_param(t, (rc_var *[]){ones(t, DIMS(3, 5))}, ps);
    assert_int_equal(w->n_rows, 0);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    assert_int_equal(w->n_rows, 5);
    b->frozen = true;
    rc_params_zero_grad(ps);
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    y = linear_param(t, (rc_var *[]){ones(t, DIMS(3, 5))}, ps);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    for (size_t i = 0; i < 5; i++) assert_true(b->g[i] == 0);
    double sum = 0;
    for (size_t i = 0; i < 25; i++) sum += fabs(w->g[i]);
    assert_true(sum > 0);
    c.params = ps;
    check_gradient(&c);
    rc_tape_free(t);
    rc_params_free(ps);
}

typedef struct shape_case {
    bool ta, tb;
    int na, nb;
    size_t a[RC_MAX_DIMS], b[RC_MAX_DIMS];
} shape_case;

static rc_var *matmul(rc_tape *t, rc_var *const *in, void *ctx) {
    const shape_case *s = ctx;
    return rc_matmul(t, in[0], s->ta, in[1], s->tb);
}

static void test_matmul(void **state) {
    (void)state;
    shape_case cases[] = {
        {false, false, 2, 2, {3, 5}, {5, 4}},
        {true, false, 2, 2, {5, 3}, {5, 4}},
        {false, true, 2, 2, {3, 5}, {4, 5}},
        {true, true, 2, 2, {5, 3}, {4, 5}},
        {false, false, 3, 3, {2, 3, 5}, {2, 5, 4}},
        {true, false, 3, 3, {2, 5, 3}, {2, 5, 4}},
        {false, true, 3, 3, {2, 3, 5}, {2, 4, 5}},
        {true, true, 3, 3, {2, 5, 3}, {2, 4, 5}},
        {false, false, 3, 2, {2, 3, 5}, {5, 4}},
        {true, false, 3, 2, {2, 5, 3}, {5, 4}},
        {false, true, 3, 2, {2, 3, 5}, {4, 5}},
        {true, true, 3, 2, {2, 5, 3}, {4, 5}},
        {false, true, 4, 4, {2, 3, 2, 5}, {2, 3, 4, 5}},
        {false, false, 4, 2, {2, 3, 2, 5}, {5, 1}},
        {false, false, 2, 2, {1, 1}, {1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shape_case *s = &cases[i];
        rc__gradcheck c = {
            .build = matmul, .ctx = s, .n = 2, .in = {{.name = "a", .ndim = s->na}, {.name = "b", .ndim = s->nb}}};
        memcpy(c.in[0].dim, s->a, sizeof s->a);
        memcpy(c.in[1].dim, s->b, sizeof s->b);
        check_gradient(&c);
        rc_tape *t = training_tape(1);
        rc_var *a = rc_zeros(t, s->na, s->a), *b = rc_zeros(t, s->nb, s->b);
        for (size_t k = 0; k < a->len; k++) a->x[k] = sin((double)k);
        for (size_t k = 0; k < b->len; k++) b->x[k] = cos(2 * (double)k);
        rc_var *y = rc_matmul(t, a, s->ta, b, s->tb);
        size_t M = y->dim[y->ndim - 2], N = y->dim[y->ndim - 1], K = s->a[s->na - (s->ta ? 2 : 1)];
        for (size_t k = 0; k < y->len; k++) {
            size_t n = k % N, m = k / N % M, item = k / N / M;
            double want = 0;
            for (size_t j = 0; j < K; j++) {
                double p = a->x[item * M * K + (s->ta ? j * M + m : m * K + j)];
                want += p * b->x[(s->nb == 2 ? 0 : item * K * N) + (s->tb ? n * K + j : j * N + n)];
            }
            assert_true(fabs(y->x[k] - want) < 1e-12);
        }
        rc_tape_free(t);
    }
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
    REFUSE(rc_linear(t, Z(32, 64, 100), Z(512, 128), NULL),
           "linear: x is (32, 64, 100), weight (512, 128) expects 128");
    REFUSE(rc_linear(t, Z(3, 4), Z(4), NULL), "linear: weight is (4), expected 2 dimensions");
    REFUSE(rc_linear(t, Z(3, 4), Z(2, 4), Z(4)), "linear: bias is (4), weight (2, 4) expects (2)");
    REFUSE(rc_linear(t, Z(3, 4), NULL, NULL), "linear: input 2 of 2 is NULL");
    REFUSE(rc_linear(t, rc_zeros(t, 0, NULL), Z(3, 1), NULL), "linear: x is (), weight (3, 1) expects 1");
    REFUSE(rc_linear(t, Z(3, 4), Z(2, 4), rc__dead(t)), "linear bias: the input is a dead variable");
    REFUSE(rc_matmul(t, Z(3, 4), false, Z(3, 4), false), "matmul: (3, 4) times (3, 4) do not fit");
    REFUSE(rc_matmul(t, Z(2, 3, 4), true, Z(3, 4, 5), false),
           "matmul: (2, 3, 4) transposed times (3, 4, 5) do not fit");
    REFUSE(rc_matmul(t, Z(3, 4), false, Z(2, 4, 5), false), "matmul: (3, 4) times (2, 4, 5) do not fit");
    REFUSE(rc_matmul(t, Z(4), false, Z(4, 5), false), "matmul: (4) times (4, 5): both need 2 dimensions or more");
#undef REFUSE
#undef Z
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear_gradients),
                                       cmocka_unit_test(test_linear_of_parameters), cmocka_unit_test(test_matmul),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
