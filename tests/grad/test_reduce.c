/* Reductions over an axis, over all, and over the valid steps of sequences. */
#include <math.h>
#include <stdlib.h>
#include "base/parallel.h"
#include "grad.h"

typedef rc_var *(*axis_op)(rc_tape *t, rc_var *x, int axis);
typedef rc_var *(*all_op)(rc_tape *t, rc_var *x);
typedef rc_var *(*time_op)(rc_tape *t, rc_var *x, const int32_t *lengths);
typedef struct context {
    axis_op axis_f;
    all_op all_f;
    time_op time_f;
    int axis;
    const int32_t *lengths;
} context;

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    const context *c = ctx;
    if (c->axis_f) return c->axis_f(t, in[0], c->axis);
    if (c->all_f) return c->all_f(t, in[0]);
    return c->time_f(t, in[0], c->lengths);
}

static void test_gradients(void **state) {
    (void)state;
    context k = {0};
    rc__gradcheck c = {
        .build = build, .ctx = &k, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {3, 4, 5}, .fill = RC__FILL_APART}}};
    axis_op axis_ops[] = {rc_sum, rc_mean, rc_max};
    for (int f = 0; f < 3; f++)
        for (k.axis = -3; k.axis < 3; k.axis++) {
            k.axis_f = axis_ops[f];
            check_gradient(&c);
        }
    k = (context){.all_f = rc_sum_all};
    check_gradient(&c);
    k = (context){.all_f = rc_mean_all};
    check_gradient(&c);
    c.in[0] = (rc__gradcheck_input){.name = "x", .ndim = 1, .dim = {6}, .fill = RC__FILL_APART};
    k = (context){.axis_f = rc_max};
    check_gradient(&c);
    k = (context){.axis_f = rc_mean};
    check_gradient(&c);
}

static const int32_t some[5] = {2, 0, 4, 1, 3}, none[5] = {0};

static void test_time_gradients(void **state) {
    (void)state;
    time_op ops[] = {rc_mean_time, rc_max_time, rc_last_time};
    const int32_t *lengths[] = {NULL, some, none};
    for (int f = 0; f < 3; f++)
        for (int l = 0; l < 3; l++) {
            context k = {.time_f = ops[f], .lengths = lengths[l]};
            rc__gradcheck c = {
                .build = build,
                .ctx = &k,
                .n = 1,
                .in = {{.name = "x", .ndim = 3, .dim = {4, 5, 3}, .fill = RC__FILL_APART, .zero_ok = l == 2}}};
            check_gradient(&c);
        }
}

static void test_time_values(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_var *x = rc_zeros(t, DIMS(4, 5, 3));
    for (size_t i = 0; i < x->len; i++) x->x[i] = sin(3.7 * (double)i) - 2;
    for (int l = 0; l < 2; l++) {
        const int32_t *lengths = l ? some : NULL;
        rc_var *mean = rc_mean_time(t, x, lengths), *most = rc_max_time(t, x, lengths),
               *last = rc_last_time(t, x, lengths);
        assert_true(mean->ndim == 2 && mean->dim[0] == 5 && mean->dim[1] == 3);
        for (size_t b = 0; b < 5; b++)
            for (size_t f = 0; f < 3; f++) {
                int n = lengths ? lengths[b] : 4;
                double sum = 0, max = n ? -1e9 : 0, end = 0;
                for (int s = 0; s < n; s++) {
                    end = x->x[((size_t)s * 5 + b) * 3 + f];
                    sum += end;
                    max = fmax(max, end);
                }
                assert_true(fabs(mean->x[b * 3 + f] - (n ? sum / n : 0)) < 1e-12);
                assert_true(most->x[b * 3 + f] == max && last->x[b * 3 + f] == end);
            }
    }
    rc_tape_free(t);
}

/* Padding never changes a result: not the values, not even NaN in it. */
static void test_padding_is_never_read(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_var *x = rc_zeros(t, DIMS(4, 5, 3));
    for (size_t s = 0; s < 4; s++)
        for (size_t b = 0; b < 5; b++)
            for (size_t f = 0; f < 3; f++) x->x[(s * 5 + b) * 3 + f] = (int32_t)s < some[b] ? 1 : NAN;
    rc_var *y[] = {rc_mean_time(t, x, some), rc_max_time(t, x, some), rc_last_time(t, x, some)};
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < 15; i++) assert_true(y[k]->x[i] == (some[i / 3] ? 1 : 0));
    rc_tape_free(t);
}

static void test_max_of_equal_and_nan(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_real equal[] = {1, 4, 4, 0, 2, 2}, bad[] = {1, NAN, 9, 3};
    rc_var *x = rc_leaf(t, DIMS(2, 3), equal);
    rc_var *y = rc_max(t, x, 1);
    assert_true(y->x[0] == 4 && y->x[1] == 2);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    rc_real want[] = {0, 1, 0, 0, 1, 0};
    assert_memory_equal(x->dx, want, sizeof want);
    rc_var *n = rc_max(t, rc_input(t, DIMS(4), bad), 0);
    assert_true(n->x[0] != n->x[0]);
    rc_tape_free(t);
}

/* Sums in double: a million of ones and tenths, long and wide, the same bits for any number of threads. */
static void test_large(void **state) {
    (void)state;
    enum { R = 5000, C = 300 };
    rc_real *x = malloc(sizeof *x * R * C), *first = malloc(sizeof *first * C);
    for (size_t i = 0; i < (size_t)R * C; i++) x[i] = 0.1 + (double)(i % 7);
    int saved = rc_threads();
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (int threads = 1; threads < 4; threads++) {
        rc_set_threads(threads, NULL);
        rc_tape *t = training_tape(1);
        rc_var *v = rc_leaf(t, DIMS(R, C), x), *cols = rc_sum(t, v, 0), *rows = rc_sum(t, v, 1),
               *all = rc_sum_all(t, v);
        double total = 0, want = 0;
        for (size_t i = 0; i < (size_t)R * C; i++) want += x[i];
        for (size_t i = 0; i < C; i++) total += cols->x[i];
        assert_true(fabs(total - want) < 1e-9 * want && fabs(all->x[0] - want) < 1e-9 * want);
        total = 0;
        for (size_t i = 0; i < R; i++) total += rows->x[i];
        assert_true(fabs(total - want) < 1e-9 * want);
        if (threads == 1)
            memcpy(first, cols->x, C * sizeof *first);
        else
            assert_memory_equal(first, cols->x, C * sizeof *first);
        assert_int_equal(rc_backward(t, rc_mean_all(t, rows), 1, NULL), RC_OK);
        for (size_t i = 0; i < (size_t)R * C; i += 1001) assert_true(fabs(v->dx[i] - 1.0 / R) < 1e-15);
        rc_tape_free(t);
    }
    rc__parallel_threshold = threshold;
    rc_set_threads(saved, NULL);
    free(x);
    free(first);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        rc_var *x = rc_zeros(t, DIMS(3, 2, 4));         \
        (void)x;                                        \
        check_refused(t, call, text);                   \
    } while (0)
    REFUSE(rc_sum(t, x, 3), "sum: axis 3 of (3, 2, 4), which has 3");
    REFUSE(rc_mean(t, rc_zeros(t, 0, NULL), 0), "mean: axis 0 of (), which has 0");
    REFUSE(rc_max(t, x, -4), "max: axis -4 of (3, 2, 4), which has 3");
    REFUSE(rc_sum_all(t, NULL), "sum_all: the input is NULL");
    REFUSE(rc_mean_time(t, rc_zeros(t, DIMS(3, 2)), NULL), "mean_time: x is (3, 2), expected (T, B, features)");
    REFUSE(rc_last_time(t, x, ((int32_t[]){3, 4})), "last_time: length of row 1 is 4, expected 0 to 3");
    REFUSE(rc_max_time(t, x, ((int32_t[]){-1, 2})), "max_time: length of row 0 is -1, expected 0 to 3");
#undef REFUSE
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_time_gradients),
                                       cmocka_unit_test(test_time_values),
                                       cmocka_unit_test(test_padding_is_never_read),
                                       cmocka_unit_test(test_max_of_equal_and_nan),
                                       cmocka_unit_test(test_large),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
