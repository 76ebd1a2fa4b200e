/* Convolution over time and likelihoods against PyTorch (make_sequence_ops.py): values and gradients. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "recur/tape.h"
#include "sequence_ops_golden.h"

static rc_tape *tape;

/* Relative to the largest of the expected numbers: sums of up to 24 terms in float32. */
static void same(const char *what, size_t n, const float *got, const float *want) {
    float size = 0;
    for (size_t i = 0; i < n; i++) size = fmaxf(size, fabsf(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-6f * size + 1e-7f))
            fail_msg("%s[%zu]: %.9g, PyTorch %.9g", what, i, (double)got[i], (double)want[i]);
}

static void run(rc_var *loss) {
    rc_error e = {0};
    if (rc_backward(tape, loss, 1, &e) != RC_OK) fail_msg("%s", e.text);
}

static void test_convolution(void **state) {
    (void)state;
    const float *const want[G_K][4] = {{g_conv_0, g_conv_0_dx, g_conv_0_dw, g_conv_0_db},
                                       {g_conv_1, g_conv_1_dx, g_conv_1_dw, g_conv_1_db},
                                       {g_conv_2, g_conv_2_dx, g_conv_2_dw, g_conv_2_db},
                                       {g_conv_3, g_conv_3_dx, g_conv_3_dw, g_conv_3_db}};
    for (int pad = 0; pad < G_K; pad++) {
        rc_tape_begin(tape, (rc_tape_mode){.grad = true});
        rc_var *x = rc_leaf(tape, 3, (size_t[]){G_T, G_B, G_I}, g_x);
        rc_var *w = rc_leaf(tape, 3, (size_t[]){G_O, G_I, G_K}, g_w), *b = rc_leaf(tape, 1, (size_t[]){G_O}, g_b);
        rc_var *y = rc_conv1d(tape, x, g_lengths, w, b, pad);
        same("conv1d", G_T * G_B * G_O, y->x, want[pad][0]);
        run(rc_sum_all(tape, rc_mul(tape, y, rc_input(tape, 3, (size_t[]){G_T, G_B, G_O}, g_weight))));
        same("conv1d dx", x->len, x->dx, want[pad][1]);
        same("conv1d dw", w->len, w->dx, want[pad][2]);
        same("conv1d db", b->len, b->dx, want[pad][3]);
    }
}

static void check(const char *name, rc_var *params, rc_var *loss, const float *want, const float *dparams) {
    run(loss);
    same(name, 1, loss->x, want);
    same(name, params->len, params->dx, dparams);
}

static rc_var *parameters(size_t width) { /* the first columns */
    static float x[G_N * 3];
    for (size_t i = 0; i < G_N * width; i++) x[i] = g_params[i / width * 3 + i % width];
    rc_tape_begin(tape, (rc_tape_mode){.grad = true});
    return rc_leaf(tape, 2, (size_t[]){G_N, width}, x);
}

static void test_likelihoods(void **state) {
    (void)state;
    rc_var *p = parameters(2);
    check("gaussian", p, rc_gaussian_nll(tape, p, g_target, NULL), g_gaussian_loss, g_gaussian_dparams);
    p = parameters(3);
    check("student t", p, rc_student_t_nll(tape, p, g_target, NULL), g_student_loss, g_student_dparams);
    p = parameters(2);
    check("negative binomial", p, rc_negative_binomial_nll(tape, p, g_count, NULL, NULL), g_binomial_loss,
          g_binomial_dparams);
    p = parameters(2);
    check("negative binomial, scaled", p, rc_negative_binomial_nll(tape, p, g_count, g_scale, NULL), g_scaled_loss,
          g_scaled_dparams);
}

int main(void) {
    if (rc_tape_new(&tape, NULL) != RC_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_convolution), cmocka_unit_test(test_likelihoods)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rc_tape_free(tape);
    return failed;
}
