/* Layer and batch normalisation. */
#include "grad.h"
#include <math.h>

static rc_var *layer(rc_tape *t, rc_var *const *in, void *ctx) {
    const int *use = ctx;
    return rc_layer_norm(t, in[0], use[0] ? in[1] : NULL, use[1] ? in[2] : NULL, 1e-5);
}

static void test_layer_norm(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        int use[2] = {variant & 1, variant >> 1};
        rc__gradcheck c = {.build = layer,
                           .ctx = use,
                           .n = 3,
                           .seed = 3,
                           .in = {{"x", 3, {3, 2, 7}, RC__FILL_NORMAL},
                                  {"gain", 1, {7}, RC__FILL_POSITIVE},
                                  {"bias", 1, {7}, RC__FILL_NORMAL}}};
        c.in[1].zero_ok = !use[0];
        c.in[2].zero_ok = !use[1];
        check_gradient(&c);
    }
}

static void
test_layer_norm_of_many_rows(void **state) { /* several tiles: their sums for gain and bias are put together */
    (void)state;
    int use[2] = {1, 1};
    rc__gradcheck c = {.build = layer,
                       .ctx = use,
                       .n = 3,
                       .seed = 4,
                       .in = {{"x", 2, {40, 1030}, RC__FILL_NORMAL, .no_grad = true},
                              {"gain", 1, {1030}, RC__FILL_POSITIVE},
                              {"bias", 1, {1030}, RC__FILL_NORMAL}}};
    check_gradient(&c);
}

typedef struct batch {
    const int32_t *lengths;
    bool gain, bias;
    double mean[4], var[4];
} batch;

static rc_var *batch_op(rc_tape *t, rc_var *const *in, void *ctx) {
    batch *b = ctx;
    double mean[4], var[4]; /* copies: the running statistics move at each call */
    memcpy(mean, b->mean, sizeof mean);
    memcpy(var, b->var, sizeof var);
    return rc_batch_norm(t, in[0], b->lengths, b->gain ? in[1] : NULL, b->bias ? in[2] : NULL, mean, var, 0.1, 1e-5);
}

static void test_batch_norm(void **state) {
    (void)state;
    static const int32_t lengths[5] = {2, 0, 3, 1, 3};
    for (int variant = 0; variant < 16; variant++) {
        batch b = {.lengths = variant & 4 ? lengths : NULL,
                   .gain = variant & 1,
                   .bias = variant & 2,
                   .mean = {0.3, -0.2, 1, 0},
                   .var = {0.5, 2, 1, 0.7}};
        rc__gradcheck c = {.build = batch_op,
                           .ctx = &b,
                           .n = 3,
                           .training = variant & 8,
                           .seed = 5,
                           .in = {{"x", 3, {3, 5, 4}, RC__FILL_NORMAL},
                                  {"gain", 1, {4}, RC__FILL_POSITIVE},
                                  {"bias", 1, {4}, RC__FILL_NORMAL}}};
        c.in[1].zero_ok = !b.gain;
        c.in[2].zero_ok = !b.bias;
        check_gradient(&c);
    }
}

/* Padding, even NaN, changes nothing; running statistics as in torch: biased for the output, unbiased in the
 * average. */
static void test_batch_norm_numbers(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t lengths[2] = {2, 1};
    double x[2][2][1] = {{{1}, {4}}, {{7}, {NAN}}}, mean[1] = {10}, var[1] = {2};
    rc_var *v = rc_leaf(t, 3, (size_t[]){2, 2, 1}, &x[0][0][0]);
    rc_var *y = rc_batch_norm(t, v, lengths, NULL, NULL, mean, var, 0.1, 0);
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    double s = sqrt(6.0); /* biased variance of 1, 4, 7 */
    assert_true(fabs(y->x[0] + 3 / s) < 1e-12 && fabs(y->x[1]) < 1e-12 && fabs(y->x[2] - 3 / s) < 1e-12 &&
                y->x[3] == 0);
    assert_true(fabs(mean[0] - 9.4) < 1e-12 && fabs(var[0] - (1.8 + 0.9)) < 1e-12); /* unbiased: 9 */
    assert_true(v->dx[3] == 0);
    static const int32_t none[2] = {0, 0};
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
    y = rc_batch_norm(t, rc_leaf(t, 3, (size_t[]){2, 2, 1}, &x[0][0][0]), none, NULL, NULL, mean, var, 0.1, 0);
    for (int i = 0; i < 4; i++) assert_true(y->x[i] == 0);
    assert_true(fabs(mean[0] - 9.4) < 1e-12);
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_var *x = ones(t, DIMS(3, 2, 4));
    check_refused(t, rc_layer_norm(t, x, ones(t, DIMS(5)), NULL, 1e-5), "layer_norm: gain is (5), expected (4)");
    rc_tape_begin(t, (rc_tape_mode){.training = true});
    check_refused(t, rc_layer_norm(t, ones(t, DIMS(2, 4)), NULL, NULL, -1),
                  "layer_norm: eps is -1, expected 0 or more");
    rc_tape_begin(t, (rc_tape_mode){.training = true});
    check_refused(t, rc_batch_norm(t, ones(t, DIMS(3, 2, 4)), NULL, NULL, ones(t, DIMS(3)), NULL, NULL, 0.1, 1e-5),
                  "batch_norm: bias is (3), expected (4)");
    rc_tape_begin(t, (rc_tape_mode){.training = true});
    static const int32_t lengths[2] = {3, 4};
    check_refused(t, rc_batch_norm(t, ones(t, DIMS(3, 2, 4)), lengths, NULL, NULL, NULL, NULL, 0.1, 1e-5),
                  "batch_norm: length 4 of row 1 is outside 0..3");
    rc_tape_begin(t, (rc_tape_mode){.training = true});
    check_refused(t, rc_batch_norm(t, ones(t, DIMS(1, 4)), NULL, NULL, NULL, NULL, NULL, 0.1, 1e-5),
                  "batch_norm: one value per feature in (1, 4) has no variance; training needs two or more");
    rc_tape_begin(t, (rc_tape_mode){.training = false});
    check_refused(t, rc_batch_norm(t, ones(t, DIMS(2, 4)), NULL, NULL, NULL, NULL, NULL, 0.1, 1e-5),
                  "batch_norm: needs running_mean and running_var when not training");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_layer_norm_of_many_rows),
        cmocka_unit_test(test_batch_norm), cmocka_unit_test(test_batch_norm_numbers),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
