/* The input decay of GRU-D (nn/decay.h), and the weights that a gru-d layer's own decay does not use. */
#include <math.h>
#include "grad.h"
#include "nn/decay.h"
#include "recur/rnn.h"

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc__input_decay(t, in[0], in[1], in[2]);
}

/* Masks of any value: the formula holds for all, and so do its slopes. Some w d + b are above 0, some below. */
static void gradients(void **state) {
    (void)state;
    rc__gradcheck c = {
        .build = build,
        .n = 3,
        .seed = 2,
        .in = {{"x", 3, {4, 5, 9}, RC__FILL_NORMAL}, {"w", 1, {3}, RC__FILL_NORMAL}, {"b", 1, {3}, RC__FILL_NORMAL}}};
    check_gradient(&c);
    c.in[0].no_grad = true;
    check_gradient(&c);
    /* several tiles; all w d + b above 0: of 21000, some would lie within a step of the corner */
    c.in[0] = (rc__gradcheck_input){"x", 2, {700, 90}, RC__FILL_POSITIVE, .no_grad = true};
    for (int i = 1; i < 3; i++) c.in[i].dim[0] = 30, c.in[i].fill = RC__FILL_POSITIVE;
    check_gradient(&c);
}

/* Masks of 0 and 1, as data has them: what is seen stays as it is, what is missing goes to 0. */
static void numbers(void **state) {
    (void)state;
    double data[4][6] = {{2, 1, 0.1, -1, 0, 0.5}, {2, 0, 0.1, -1, 0, 0}, {2, 0, 0.2, -1, 1, 0}, {0, 0, 0, 0, 0, 0}};
    double weight[2] = {3, -2}, bias[2] = {0.25, 0.5};
    double g1 = exp(-0.55), g2 = exp(-0.85), dp1 = -2 * g1, dp2 = -2 * g2;
    double want[4][2] = {{2, -1}, {2 * g1, -exp(-0.5)}, {2 * g2, -1}, {0, 0}}; /* -2 * 0.5 + 0.5 < 0: no decay */
    for (int leaf = 0; leaf < 2; leaf++) {
        rc_tape *t = training_tape(1);
        size_t dim[2] = {4, 6};
        rc_var *x = leaf ? rc_leaf(t, 2, dim, &data[0][0]) : rc_input(t, 2, dim, &data[0][0]);
        rc_var *w = rc_leaf(t, 1, (size_t[]){2}, weight), *b = rc_leaf(t, 1, (size_t[]){2}, bias);
        rc_var *y = rc__input_decay(t, x, w, b);
        for (size_t r = 0; r < 4; r++)
            for (size_t k = 0; k < 6; k++)
                assert_true(fabs(y->x[6 * r + k] - (k % 3 ? data[r][k] : want[r][k / 3])) < 1e-15);
        assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
        assert_true(fabs(w->dx[0] - (dp1 * 0.1 + dp2 * 0.2)) < 1e-15 && w->dx[1] == 0);
        assert_true(fabs(b->dx[0] - (dp1 + dp2)) < 1e-15 && fabs(b->dx[1] - exp(-0.5)) < 1e-15);
        if (leaf) assert_true(fabs(x->dx[6] - g1) < 1e-15 && x->dx[0] == 1);
        rc_tape_free(t);
    }
}

static void refused(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_var *x = ones(t, DIMS(2, 7)), *w = ones(t, DIMS(2));
    check_refused(t, rc__input_decay(t, x, w, w),
                  "input_decay: x is (2, 7), w (2) and b (2), expected (..., 3 C) and twice (C)");
    rc_tape_free(t);
}

/* decay_every: the first layer's decay reads the last of each 3 inputs; weights of the others are 0 and stay so. All else
 * is as without it: outputs with the same weights, and the other gradients. */
static void of_every_third_input(void **state) {
    (void)state;
    enum { T = 4, B = 3, C = 2, I = 3 * C, H = 5 };
    rc_error e = {0};
    rc_params *ps[2];
    rc_rnn *rnn[2];
    rc_tape *t[2];
    double x[T * B * I], *y[2];
    rc_rng rng = rc_rng_make(4, 0);
    for (size_t i = 0; i < T * B * I; i++) x[i] = rc_rng_normal(&rng);
    for (size_t k = 0; k < 2; k++) {
        rc_rnn_options o = rc_rnn_options_default();
        o.cell = "gru-d", o.input_size = I, o.hidden_size = H, o.num_layers = 2, o.bidirectional = true;
        o.decay_every = k ? 3 : 0;
        assert_int_equal(rc_params_new(&ps[k], &e), RC_OK);
        if (rc_rnn_new(&rnn[k], ps[k], "", &o, &e)) fail_msg("%s", e.text);
        assert_int_equal(rc_params_build(ps[k], 7, &e), RC_OK);
        if (k == 0) /* the same weights in both */
            for (size_t p = 0; p < 2; p++) {
                rc_param *w = rc_params_find(ps[0], p ? "weight_ih_l0_reverse" : "weight_ih_l0");
                for (size_t i = 3 * H * I; i < w->len; i++) w->w[i] = i % 3 == 2 ? w->w[i] : 0;
            }
        t[k] = training_tape(1);
        rc_var *out = rc_rnn_forward(t[k], rnn[k], rc_input(t[k], 3, (size_t[]){T, B, I}, x), NULL, NULL);
        assert_int_equal(rc_backward(t[k], rc_sum_all(t[k], rc_mul(t[k], out, out)), 1, &e), RC_OK);
        y[k] = out->x;
    }
    assert_memory_equal(y[0], y[1], T * B * 2 * H * sizeof *y[0]);
    size_t held = 0;
    for (size_t p = 0; p < rc_params_count(ps[0]); p++) {
        const rc_param *a = rc_params_at(ps[0], p), *b = rc_params_at(ps[1], p);
        bool first = !strncmp(a->name, "weight_ih_l0", 12);
        assert_string_equal(a->name, b->name);
        for (size_t i = 0; i < a->len; i++) {
            bool unused = first && i >= 3 * H * I && i % 3 != 2;
            assert_true(a->w[i] == b->w[i] && b->g[i] == (unused ? 0 : a->g[i]));
            if (unused) held += a->g[i] != 0;
        }
    }
    assert_true(held > 2 * H);
    for (size_t k = 0; k < 2; k++) {
        rc_tape_free(t[k]);
        rc_rnn_free(rnn[k]);
        rc_params_free(ps[k]);
    }
}

static void decay_every_refused(void **state) {
    (void)state;
    rc_error e = {0};
    rc_rnn *rnn;
    rc_params *ps;
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = "gru", o.input_size = 6, o.hidden_size = 4, o.decay_every = 3;
    assert_int_equal(rc_rnn_new(&rnn, ps, "", &o, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: decay_every is 3, but cell gru has no decay");
    o.cell = "gru-d", o.input_size = 7;
    assert_int_equal(rc_rnn_new(&rnn, ps, "", &o, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: decay_every is 3, which does not divide input_size 7");
    rc_params_free(ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(numbers),
                                       cmocka_unit_test(refused), cmocka_unit_test(of_every_third_input),
                                       cmocka_unit_test(decay_every_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
