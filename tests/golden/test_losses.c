/* Losses, norms, softmax and embedding against PyTorch (make_losses.py): values and gradients. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "losses_golden.h"
#include "recur/tape.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
static rc_tape *tape;

static rc_tape *begin(bool training) {
    rc_tape_begin(tape, (rc_tape_mode){.grad = true, .training = training});
    return tape;
}

/* Relative to the largest of the expected numbers: sums of up to 84 terms in float32. */
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

static rc_loss_options class_options(int variant) {
    rc_loss_options o = rc_loss_options_default();
    o.lengths = variant & 1 ? g_lengths : NULL;
    o.sum = variant & 2;
    o.label_smoothing = variant & 4 ? 0.15 : 0;
    o.class_weights = variant & 8 ? g_weight : NULL;
    return o;
}

static void test_cross_entropy(void **state) {
    (void)state;
    for (int variant = 0; variant < 16; variant++) {
        rc_loss_options o = class_options(variant);
        rc_var *x = rc_leaf(begin(true), 3, (size_t[]){G_T, G_B, G_V}, g_logits);
        rc_var *loss = rc_cross_entropy(tape, x, g_target, &o);
        run(loss);
        same("cross_entropy", 1, loss->x, &g_ce_loss[2 * variant]);
        same("cross_entropy dlogits", COUNT(g_logits), x->dx, g_ce_dlogits[variant]);
    }
}

static void test_linear_cross_entropy(void **state) {
    (void)state;
    for (int variant = 0; variant < 16; variant++) {
        rc_loss_options o = class_options(variant);
        double nll;
        size_t count;
        rc_var *x = rc_leaf(begin(true), 3, (size_t[]){G_T, G_B, G_K}, g_x),
               *w = rc_leaf(tape, 2, (size_t[]){G_V, G_K}, g_w), *b = rc_leaf(tape, 1, (size_t[]){G_V}, g_b),
               *loss = rc_linear_cross_entropy(tape, x, w, b, g_target, &o, &nll, &count);
        run(loss);
        same("linear_cross_entropy", 1, loss->x, &g_ce_loss[2 * variant + 1]);
        assert_true(fabs(nll - (double)g_ce_loss[variant & 1 ? 7 : 5]) < 1e-5 * nll); /* the sum without options */
        assert_int_equal(count, variant & 1 ? 5 : 11);
        const float *want[3] = {variant == 0   ? g_fused_dx_0
                                : variant == 5 ? g_fused_dx_5
                                               : g_fused_dx_15,
                                variant == 0   ? g_fused_dw_0
                                : variant == 5 ? g_fused_dw_5
                                               : g_fused_dw_15,
                                variant == 0   ? g_fused_db_0
                                : variant == 5 ? g_fused_db_5
                                               : g_fused_db_15};
        if (variant != 0 && variant != 5 && variant != 15) continue;
        same("linear_cross_entropy dx", x->len, x->dx, want[0]);
        same("linear_cross_entropy dw", w->len, w->dx, want[1]);
        same("linear_cross_entropy db", b->len, b->dx, want[2]);
    }
}

typedef rc_var *loss_fn(rc_tape *t, rc_var *pred, const rc_real *targets, const rc_loss_options *opt);

static void element(const char *name, loss_fn *f, const float *target, const float *class_weights, const float *loss4,
                    const float *dpred) {
    for (int i = 0; i < 4; i++) { /* all: mean, sum; within lengths: mean, sum */
        rc_loss_options o = rc_loss_options_default();
        o.lengths = i >= 2 ? g_lengths : NULL;
        o.sum = i & 1;
        o.delta = 0.7;
        o.class_weights = class_weights;
        double q[G_E];
        for (int c = 0; c < G_E; c++) q[c] = (double)g_quantile[c];
        o.quantiles = q, o.n_quantiles = G_E;
        rc_var *p = rc_leaf(begin(true), 3, (size_t[]){G_T, G_B, G_E}, g_pred), *loss = f(tape, p, target, &o);
        run(loss);
        same(name, 1, loss->x, loss4 + i);
        if (i == 2) same(name, p->len, p->dx, dpred);
    }
}

static void test_elements(void **state) {
    (void)state;
    float first[G_T * G_B]; /* one target for all quantiles of a position */
    for (int i = 0; i < G_T * G_B; i++) first[i] = g_value[i * G_E];
    element("mse", rc_mse, g_value, NULL, g_mse_loss, g_mse_dpred);
    element("mae", rc_mae, g_value, NULL, g_mae_loss, g_mae_dpred);
    element("huber", rc_huber, g_value, NULL, g_huber_loss, g_huber_dpred);
    element("quantile", rc_quantile, first, NULL, g_quantile_loss, g_quantile_dpred);
    element("bce", rc_bce_logits, g_binary, NULL, g_bce_loss, g_bce_dpred);
    element("bce with weights", rc_bce_logits, g_binary, g_positive, g_bce_weighted_loss, g_bce_weighted_dpred);
}

static rc_var *pred, *gain, *bias;
static void leaves(bool training) {
    pred = rc_leaf(begin(training), 3, (size_t[]){G_T, G_B, G_E}, g_pred);
    gain = rc_leaf(tape, 1, (size_t[]){G_E}, g_gain);
    bias = rc_leaf(tape, 1, (size_t[]){G_E}, g_bias);
}
static void check_op(const char *name, rc_var *y, const float *want, const float *dx, const float *dg,
                     const float *db) {
    same(name, COUNT(g_pred), y->x, want);
    run(rc_sum_all(tape, rc_mul(tape, y, rc_input(tape, 3, (size_t[]){G_T, G_B, G_E}, g_value))));
    same(name, COUNT(g_pred), pred->dx, dx);
    if (dg) same(name, G_E, gain->dx, dg);
    if (db) same(name, G_E, bias->dx, db);
}

static void test_norms_and_softmax(void **state) {
    (void)state;
    leaves(true);
    check_op("layer_norm", rc_layer_norm(tape, pred, gain, bias, 1e-5), g_layer_norm, g_layer_norm_dx, g_layer_norm_dg,
             g_layer_norm_db);
    leaves(true);
    check_op("softmax", rc_softmax(tape, pred), g_softmax, g_softmax_dx, NULL, NULL);
    leaves(true);
    check_op("log_softmax", rc_log_softmax(tape, pred), g_log_softmax, g_log_softmax_dx, NULL, NULL);
    float mean[G_E], var[G_E];
    memcpy(mean, g_mean0, sizeof mean), memcpy(var, g_var0, sizeof var);
    leaves(false);
    check_op("batch_norm, running", rc_batch_norm(tape, pred, NULL, gain, bias, mean, var, 0.1, 1e-5),
             g_batch_norm_eval, g_batch_norm_eval_dx, g_batch_norm_eval_dg, g_batch_norm_eval_db);
    same("running mean", G_E, mean, g_mean0), same("running variance", G_E, var, g_var0);
    leaves(true);
    check_op("batch_norm", rc_batch_norm(tape, pred, NULL, gain, bias, mean, var, 0.1, 1e-5), g_batch_norm,
             g_batch_norm_dx, g_batch_norm_dg, g_batch_norm_db);
    same("running mean", G_E, mean, g_mean1), same("running variance", G_E, var, g_var1);
    leaves(true);
    check_op("batch_norm, padded", rc_batch_norm(tape, pred, g_lengths, gain, bias, mean, var, 0.1, 1e-5),
             g_batch_norm_padded, g_batch_norm_padded_dx, g_batch_norm_padded_dg, g_batch_norm_padded_db);
    same("running mean", G_E, mean, g_mean2), same("running variance", G_E, var, g_var2);
}

static void test_embedding(void **state) {
    (void)state;
    rc_var *table = rc_leaf(begin(true), 2, (size_t[]){G_V, G_E}, g_table);
    rc_var *y = rc_embedding(tape, g_ids, 1, (size_t[]){G_IDS}, table);
    for (int i = 0; i < G_IDS; i++) assert_memory_equal(y->x + i * G_E, g_table + g_ids[i] * G_E, G_E * sizeof(float));
    run(rc_sum_all(tape, rc_mul(tape, y, y)));
    same("embedding", table->len, table->dx, g_embedding_dtable);
}

int main(void) {
    if (rc_tape_new(&tape, NULL) != RC_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross_entropy), cmocka_unit_test(test_linear_cross_entropy),
        cmocka_unit_test(test_elements),      cmocka_unit_test(test_norms_and_softmax),
        cmocka_unit_test(test_embedding),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rc_tape_free(tape);
    return failed;
}
