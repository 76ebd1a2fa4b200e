/* Holt-Winters smoothing: gradients, values by hand, missing steps, refusals. */
#include "grad.h"
#include <math.h>
#include "autograd/smoothing.h"

enum { T = 9, B = 4, M = 3 };
static double y[T * B], observed[T * B];
static const int32_t phase[B] = {0, 2, 1, 0};

static void fill(void) {
    rc_rng r = rc_rng_make(5, 0);
    for (int i = 0; i < T * B; i++) {
        y[i] = 0.5 + 2 * rc_rng_uniform(&r);
        observed[i] = 1;
    }
    observed[0 * B + 1] = observed[1 * B + 1] = 0; /* begins later */
    observed[4 * B + 2] = observed[7 * B + 2] = 0;
    for (int t = 0; t < T; t++) observed[t * B + 3] = 0; /* nothing is known */
}

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    rc_var *a = rc_sigmoid(t, in[0]), *g = rc_sigmoid(t, in[1]);
    return ctx ? rc__holt_winters(t, T, B, y, observed, a, NULL, NULL, NULL)
               : rc__holt_winters(t, T, B, y, observed, a, g, in[2], phase);
}

static void test_gradients(void **state) {
    (void)state;
    fill();
    rc__gradcheck c = {.build = build,
                       .n = 3,
                       .in = {{.name = "alpha", .ndim = 1, .dim = {B}},
                              {.name = "gamma", .ndim = 1, .dim = {B}},
                              {.name = "season", .ndim = 2, .dim = {B, M}}}};
    check_gradient(&c);
    c.in[0].no_grad = true;
    check_gradient(&c);
    c.in[0].no_grad = false;
    c.ctx = &c;
    c.in[1].zero_ok = c.in[2].zero_ok = true;
    check_gradient(&c);
}

/* One row, written out. */
static void test_values(void **state) {
    (void)state;
    const double x[4] = {4, 3, 0, 6}, seen[4] = {1, 1, 0, 1}, a = 0.25, g = 0.5, s0[2] = {log(2), log(1.5)};
    const int32_t at = 1;
    rc_tape *t = training_tape(1);
    rc_var *alpha = rc_leaf(t, DIMS(1), &a), *gamma = rc_leaf(t, DIMS(1), &g), *s = rc_leaf(t, DIMS(1, 2), s0);
    rc_var *v = rc__holt_winters(t, 4, 1, x, seen, alpha, gamma, s, &at);
    assert_int_equal(v->dim[0], 10);
    double S[6] = {1.5, 2}, l[4];
    l[0] = 4 / S[0];
    S[2] = .5 * 4 / l[0] + .5 * S[0];
    l[1] = .25 * 3 / S[1] + .75 * l[0];
    S[3] = .5 * 3 / l[1] + .5 * S[1];
    l[2] = l[1];
    S[4] = S[2];
    l[3] = .25 * 6 / S[3] + .75 * l[2];
    S[5] = .5 * 6 / l[3] + .5 * S[3];
    for (int i = 0; i < 4; i++) assert_true(fabs(v->x[i] - log(l[i])) < 1e-14);
    for (int i = 0; i < 6; i++) assert_true(fabs(v->x[4 + i] - log(S[i])) < 1e-14);
    rc_tape_free(t);
}

static void test_refuses(void **state) {
    (void)state;
    const double x[3] = {1, 0, 1}, seen[2] = {1, 1}, a[2] = {.5, .5};
    rc_tape *t = training_tape(1);
    check_refused(t, rc__holt_winters(t, 2, 1, x, seen, rc_leaf(t, DIMS(1), a), NULL, NULL, NULL),
                  "holt_winters: step 1 of row 0: expected a value above 0, found 0");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc__holt_winters(t, 2, 1, x + 1, seen, rc_leaf(t, DIMS(1), a), NULL, NULL, NULL),
                  "holt_winters: step 0 of row 0: expected a value above 0, found 0");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc__holt_winters(t, 2, 1, x, seen, rc_leaf(t, DIMS(2), a), NULL, NULL, NULL),
                  "holt_winters: alpha and gamma have one number, the season one row for each of 1 rows");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
