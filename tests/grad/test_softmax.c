/* Softmax and log-softmax over the last axis. */
#include "grad.h"
#include <math.h>

static rc_var *soft(rc_tape *t, rc_var *const *in, void *ctx) {
    return *(bool *)ctx ? rc_log_softmax(t, in[0]) : rc_softmax(t, in[0]);
}

static void test_gradients(void **state) {
    (void)state;
    static const size_t shapes[][4] = {{3, 3, 2, 5}, {1, 7}, {2, 4, 2}, {2, 2, 1100}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int log = 0; log < 2; log++) {
            bool flag = log;
            rc__gradcheck c = {.build = soft,
                               .ctx = &flag,
                               .n = 1,
                               .seed = i + 1,
                               .in = {{"x", (int)shapes[i][0], {0}, RC__FILL_NORMAL}}};
            memcpy(c.in[0].dim, shapes[i] + 1, shapes[i][0] * sizeof(size_t));
            check_gradient(&c);
        }
}

static void test_values(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    double x[2][3] = {{1000, 1001, 1002}, {-INFINITY, 0, 0}};
    rc_var *v = rc_input(t, 2, (size_t[]){2, 3}, &x[0][0]), *p = rc_softmax(t, v), *l = rc_log_softmax(t, v);
    double s = 1 + exp(1) + exp(2);
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(p->x[i] - exp(i) / s) < 1e-15);
        assert_true(fabs(l->x[i] - (i - log(s))) < 1e-12);
    }
    assert_true(p->x[3] == 0 && p->x[4] == 0.5 && l->x[3] == -INFINITY);
    rc_tape_free(t);
}

static void test_one_class(void **state) { /* a constant 1, or 0: no gradient */
    (void)state;
    for (int log = 0; log < 2; log++) {
        bool flag = log;
        rc__gradcheck c = {
            .build = soft, .ctx = &flag, .n = 1, .in = {{"x", 2, {3, 1}, RC__FILL_NORMAL, .zero_ok = true}}};
        check_gradient(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_one_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
