/* Attention, root mean square norm, rotary positions and gated units against PyTorch (make_attention.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "attention_golden.h"
#include "recur/tape.h"

static rc_tape *tape;

/* Relative to the largest of the expected numbers: sums of up to 24 terms in float32. */
static void same(const char *what, size_t n, const float *got, const float *want) {
    float size = 0;
    for (size_t i = 0; i < n; i++) size = fmaxf(size, fabsf(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-6f * size + 1e-7f))
            fail_msg("%s[%zu]: %.9g, PyTorch %.9g", what, i, (double)got[i], (double)want[i]);
}

/* The first `cols` columns of g_dy times y, added up, and back. */
static void run(rc_var *y, size_t cols) {
    static float dy[G_NQ * G_H * G_D];
    size_t width = y->dim[1];
    for (size_t i = 0; i < y->len; i++) dy[i] = g_dy[i / width * G_H * G_E + (cols == 1 ? 0 : i % width)];
    rc_error e = {0};
    rc_var *loss = rc_sum_all(tape, rc_mul(tape, y, rc_input(tape, 2, y->dim, dy)));
    if (rc_backward(tape, loss, 1, &e) != RC_OK) fail_msg("%s", e.text);
}

static rc_var *leaf(size_t rows, size_t cols, const float *x) { return rc_leaf(tape, 2, (size_t[]){rows, cols}, x); }

static rc_attention_options options(void) {
    rc_attention_options o = rc_attention_options_default();
    o.batch = G_B, o.q_lengths = g_q_lengths, o.k_lengths = g_k_lengths, o.heads = G_H, o.kv_heads = G_G;
    return o;
}

static void test_attention(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool causal, alibi;
        size_t window;
        double scale;
        const float *y, *dq, *dk, *dv;
    } variant[] = {
        {"all", false, false, 0, 0, g_all, g_all_dq, g_all_dk, g_all_dv},
        {"causal", true, false, 0, 0, g_causal, g_causal_dq, g_causal_dk, g_causal_dv},
        {"window", true, false, 2, 0.3, g_window, g_window_dq, g_window_dk, g_window_dv},
        {"around", false, false, 3, 0, g_around, g_around_dq, g_around_dk, g_around_dv},
        {"alibi", true, true, 0, 0, g_alibi, g_alibi_dq, g_alibi_dk, g_alibi_dv},
    };
    for (size_t i = 0; i < sizeof variant / sizeof *variant; i++) {
        rc_attention_options o = options();
        o.causal = variant[i].causal, o.alibi = variant[i].alibi, o.window = variant[i].window,
        o.scale = variant[i].scale;
        rc_tape_begin(tape, (rc_tape_mode){.grad = true});
        rc_var *q = leaf(G_NQ, G_H * G_D, g_q), *k = leaf(G_NK, G_G * G_D, g_k), *v = leaf(G_NK, G_G * G_E, g_v);
        rc_var *y = rc_attention(tape, q, k, v, &o);
        run(y, G_H * G_E);
        same(variant[i].name, y->len, y->x, variant[i].y);
        same(variant[i].name, q->len, q->dx, variant[i].dq);
        same(variant[i].name, k->len, k->dx, variant[i].dk);
        same(variant[i].name, v->len, v->dx, variant[i].dv);
    }
}

static void first_columns(size_t rows, size_t from, size_t to, const float *x, float *y) {
    for (size_t i = 0; i < rows * to; i++) y[i] = x[i / to * from + i % to];
}

static void test_additive(void **state) {
    (void)state;
    static float k[G_NK * G_D], v[G_NK * G_E], weights[sizeof g_additive_weights / sizeof(float)];
    first_columns(G_NK, G_G * G_D, G_D, g_k, k);
    first_columns(G_NK, G_G * G_E, G_E, g_v, v);
    rc_attention_options o = options();
    o.weights = weights;
    rc_tape_begin(tape, (rc_tape_mode){.grad = true});
    rc_var *Q = leaf(G_NQ, G_D, g_a), *K = leaf(G_NK, G_D, k), *V = leaf(G_NK, G_E, v), *w = leaf(1, G_D, g_w);
    rc_var *y = rc_additive_attention(tape, Q, K, w, V, &o);
    run(y, G_E);
    same("additive", y->len, y->x, g_additive);
    same("additive weights", sizeof weights / sizeof *weights, weights, g_additive_weights);
    same("additive dq", Q->len, Q->dx, g_additive_da);
    same("additive dk", K->len, K->dx, g_additive_dk);
    same("additive dw", w->len, w->dx, g_additive_dw);
    same("additive dv", V->len, V->dx, g_additive_dv);
}

static void test_others(void **state) {
    (void)state;
    rc_tape_begin(tape, (rc_tape_mode){.grad = true});
    rc_var *q = leaf(G_NQ, G_H * G_D, g_q), *gain = rc_leaf(tape, 1, (size_t[]){G_H * G_D}, g_gain);
    rc_var *y = rc_rms_norm(tape, q, gain, 1e-5);
    run(y, 1);
    same("rms_norm", y->len, y->x, g_rms);
    same("rms_norm dx", q->len, q->dx, g_rms_dq);
    same("rms_norm dgain", gain->len, gain->dx, g_rms_dgain);
    rc_tape_begin(tape, (rc_tape_mode){.grad = true});
    y = rc_rotary(tape, leaf(G_NQ, G_H * G_D, g_q), G_H, g_positions, 10000);
    same("rotary", y->len, y->x, g_rotary);
    rc_tape_begin(tape, (rc_tape_mode){.grad = true});
    q = leaf(G_NQ, G_H * G_D, g_q);
    y = rc_swiglu(tape, q);
    run(y, G_H * G_D / 2);
    same("swiglu", y->len, y->x, g_swiglu);
    same("swiglu dx", q->len, q->dx, g_swiglu_dq);
}

int main(void) {
    if (rc_tape_new(&tape, NULL) != RC_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention), cmocka_unit_test(test_additive),
                                       cmocka_unit_test(test_others)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rc_tape_free(tape);
    return failed;
}
