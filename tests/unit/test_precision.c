/* Products in other precisions than fp32, from layers to language models: how far results may move, that whole sequences,
 * steps and any number of threads agree, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "recur/lm.h"
#include "rnn_helper.h"

enum { T = 7, B = 5, I = 6, H = 33 };
static const int32_t lengths[B] = {3, 0, 7, 1, 5};

static rc_rnn_options options(const char *cell, int layers) { return layers_of(cell, layers, I, H); }

static rc_var *forward(net *n, rc_tape_mode mode, const float *x, size_t steps, const int32_t *len, rc_state *s) {
    size_t dims[3] = {steps, B, I};
    rc_error e = {0};
    rc_tape_begin(n->tape, mode);
    rc_var *in = mode.grad ? rc_leaf(n->tape, 3, dims, x) : rc_input(n->tape, 3, dims, x);
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, in, len, s);
    if (rc_tape_status(n->tape, &e)) fail_msg("%s", e.text);
    return y;
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static void names(void **state) {
    (void)state;
    rc_precision p = RC_INT8;
    assert_string_equal(rc_precision_name(RC_FP32), "fp32");
    assert_string_equal(rc_precision_name(RC_BF16), "bf16");
    assert_string_equal(rc_precision_name(RC_INT8), "int8");
    assert_string_equal(rc_precision_name((rc_precision)-1), "?");
    assert_string_equal(rc_precision_name((rc_precision)3), "?");
    assert_true(rc_precision_find("bf16", &p) && p == RC_BF16);
    assert_false(rc_precision_find("bf", &p) || rc_precision_find(NULL, &p));
    assert_int_equal(p, RC_BF16);
    rc_params *ps;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    assert_int_equal(rc_params_get_precision(ps), RC_FP32);
    uint64_t version = rc_params_version(ps);
    assert_int_equal(rc_params_set_precision(ps, (rc_precision)3, &e), RC_EINVAL);
    assert_string_equal(e.text, "parameters: unknown precision 3");
    assert_int_equal(rc_params_set_precision(ps, RC_FP32, &e), RC_OK);
    assert_int_equal(rc_params_version(ps), version); /* nothing changed */
    assert_int_equal(rc_params_set_precision(ps, RC_INT8, &e), RC_OK);
    assert_int_equal(rc_params_get_precision(ps), RC_INT8);
    assert_true(rc_params_version(ps) != version);
    rc_params_free(ps);
}

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

/* Each matrix moved by what int8 or bf16 may move it, in fp32: the same weights as the packed ones, up to roundings.
 * int8: to the nearest of 255 numbers of a row. */
static void round_weights(net *n) {
    for (size_t i = 0; i < rc_params_count(n->ps); i++) {
        rc_param *p = rc_params_at(n->ps, i);
        if (p->ndim != 2) continue;
        for (size_t r = 0; r < p->dim[0]; r++) {
            float *w = p->w + r * p->dim[1], most = 0;
            for (size_t k = 0; k < p->dim[1]; k++) most = fmaxf(most, fabsf(w[k]));
            for (size_t k = 0; most > 0 && k < p->dim[1]; k++) w[k] = most / 127 * roundf(w[k] * (127 / most));
        }
    }
    rc_params_changed(n->ps);
}

static double distance(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* int8 is fp32 with other weights: a net whose matrices were rounded row by row gives the same outputs up to roundings of
 * sums. And those of the net itself are as near as its quantisation step allows: a weight moves by at most half a step,
 * max|row| / 254, a pre-activation of K inputs below 1 in size by at most K times that - as independent errors, sqrt(K / 3)
 * times. T steps of it add up, at worst. */
static void int8_of_every_cell(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 5);
    for (size_t c = 0; c < recurrent_cells(); c++) {
        const char *cell = rc_cell_at(c)->name;
        rc_rnn_options o = options(cell, 2);
        o.bidirectional = true;
        net a = make(o, RC_INT8), b = make(o, RC_FP32), exact = make(o, RC_FP32);
        round_weights(&b);
        rc_tape_mode plain = {0};
        rc_var *y = forward(&a, plain, x, T, lengths, NULL), *z = forward(&b, plain, x, T, lengths, NULL),
               *w = forward(&exact, plain, x, T, lengths, NULL);
        double step = 0, largest = 0;
        for (size_t i = 0; i < rc_params_count(exact.ps); i++) {
            const rc_param *p = rc_params_at(exact.ps, i);
            for (size_t k = 0; p->ndim == 2 && k < p->len; k++) step = fmax(step, fabs((double)p->w[k]) / 254);
        }
        for (size_t i = 0; i < w->len; i++) largest = fmax(largest, fabs((double)w->x[i]));
        double near = distance(y->x, z->x, y->len), far = distance(y->x, w->x, y->len);
        double sizes = sqrt(I + H) + 2 * sqrt(2.0 * H + H); /* of the inputs of both layers, normal and below `largest` */
        double bound = step * sizes * T * fmax(1, largest);
        if (!(near <= 2e-5 * fmax(1, largest))) fail_msg("%s: %g from its rounded weights in fp32", cell, near);
        if (!(far <= bound)) fail_msg("%s: %g from fp32, expected at most %g", cell, far, bound);
        if (!(far > 0)) fail_msg("%s: int8 changes nothing", cell);
        drop(&a), drop(&b), drop(&exact);
    }
    free(x);
}

static void refused(net *n, const char *want) {
    rc_error e = {0};
    assert_int_equal(rc_tape_status(n->tape, &e), RC_EINVAL);
    assert_string_equal(e.text, want);
}

static void int8_takes_no_gradient(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 6);
    for (size_t c = 0; c < recurrent_cells(); c++) {
        rc_rnn_options o = options(rc_cell_at(c)->name, 1);
        net n = make(o, RC_INT8);
        size_t dims[3] = {T, B, I};
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
        rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, dims, x), NULL, NULL);
        refused(&n, "rnn: int8 weights are for inference; this tape keeps gradients");
        drop(&n);
    }
    rc_rnn_options o = options("lstm", 1);
    net n = make(o, RC_INT8);
    rc_param *w = rc_params_find(n.ps, "weight_ih_l0");
    size_t two[2] = {3, I}, flat[2] = {2 * H, 2 * I};
    int32_t ids[2] = {1, 2};
    for (int k = 0; k < 4; k++) {
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
        rc_var *in = rc_input(n.tape, 2, two, x), *p = rc_param_var(n.tape, w);
        if (k == 0) rc_linear(n.tape, in, p, NULL);
        if (k == 1) rc_linear_cross_entropy(n.tape, in, p, NULL, (int32_t[]){1, 2, 3}, NULL, NULL, NULL);
        if (k == 2) rc_linear(n.tape, in, rc_embedding(n.tape, ids, 1, (size_t[]){2}, p), NULL);
        if (k == 3)
            rc_linear(n.tape, rc_input(n.tape, 1, (size_t[]){2 * I}, x), rc_reshape(n.tape, p, 2, flat), NULL);
        refused(&n, "product: int8 weights are for inference; this tape keeps gradients");
    }
    drop(&n);
    free(x);
}

/* Whole sequences and single steps: the same bits, in each precision. */
static void whole_and_steps(void **state) {
    (void)state;
    static const rc_skip skips[] = {RC_SKIP_NONE, RC_SKIP_HIGHWAY};
    float *x = numbers(T * B * I, 7), y[B * H];
    for (int p = RC_FP32; p <= RC_INT8; p++)
        for (size_t c = 0; c < recurrent_cells(); c++)
            for (size_t k = 0; k < 2; k++) {
                rc_rnn_options o = options(rc_cell_at(c)->name, 2);
                o.skip = skips[k];
                net n = make(o, (rc_precision)p);
                rc_state *s;
                assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
                rc_var *whole = forward(&n, (rc_tape_mode){0}, x, T, NULL, NULL);
                for (size_t t = 0; t < T; t++) {
                    assert_int_equal(rc_rnn_step(n.rnn, s, x + t * B * I, y, NULL), RC_OK);
                    double d = distance(y, whole->x + t * B * n.O, B * n.O);
                    if (!(d == 0))
                        fail_msg("%s, %s: step %zu is %g away", o.cell, rc_precision_name((rc_precision)p), t, d);
                }
                size_t before = rc_memory_used();
                assert_int_equal(rc_rnn_step(n.rnn, s, x, y, NULL), RC_OK);
                assert_int_equal(rc_memory_used(), before);
                rc_state_free(s);
                drop(&n);
            }
    free(x);
}

static double norm(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* A factor of a product is off by at most half of bf16's last place, 2^-9 of it, so a product by 2^-8, in norm. From an
 * input to its gradient lead T steps forward and T back, with a product in each stage of a step: roundings that know
 * nothing of each other make sqrt(2 T stages) 2^-8 of that; the bound is twice as much. Of a parameter whose gradient is
 * small beside the others', a hundredth of theirs counts: it is a difference of larger parts. */
static void bf16_gradients_of_every_cell(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 12);
    const rc__kernels *all[8], *saved = rc__k;
    size_t count = rc__kernels_available(all, 8), dims[3] = {T, B, I};
    for (size_t isa = 0; isa < count; isa++)
        for (size_t c = 0; c < recurrent_cells(); c++) {
            rc__k = all[isa];
            rc_rnn_options o = options(rc_cell_at(c)->name, 1);
            net n[2] = {make(o, RC_FP32), make(o, RC_BF16)};
            rc_var *in[2], *y[2];
            for (int k = 0; k < 2; k++) {
                rc_error e = {0};
                rc_tape_begin(n[k].tape, (rc_tape_mode){.grad = true});
                in[k] = rc_leaf(n[k].tape, 3, dims, x);
                y[k] = rc_rnn_forward(n[k].tape, n[k].rnn, in[k], lengths, NULL);
                rc_var *loss = rc_sum_all(n[k].tape, rc_mul(n[k].tape, y[k], y[k]));
                if (rc_backward(n[k].tape, loss, 1, &e)) fail_msg("%s", e.text);
            }
            double stages = strcmp(o.cell, "rhn") == 0 ? 3 : 2, bound = 2 * sqrt(2 * T * stages) / 256;
            size_t len = rc_params_block_len(n[0].ps);
            double whole = norm(rc_params_grads(n[0].ps), len);
            for (size_t i = 0; i <= rc_params_count(n[0].ps); i++) { /* the last: of x */
                bool of_x = i == rc_params_count(n[0].ps);
                const rc_param *p = of_x ? NULL : rc_params_at(n[0].ps, i), *q = of_x ? NULL : rc_params_at(n[1].ps, i);
                const float *want = of_x ? in[0]->dx : p->g, *got = of_x ? in[1]->dx : q->g;
                size_t g = of_x ? T * B * I : p->len;
                float *d = malloc(g * sizeof *d);
                for (size_t k = 0; k < g; k++) d[k] = got[k] - want[k];
                double off = norm(d, g), size = norm(want, g) + 0.01 * whole;
                if (!(off <= bound * size))
                    fail_msg("%s, %s, %s: gradient off by %g of %g", rc__k->isa, o.cell, of_x ? "x" : p->name, off, size);
                if (of_x && !(off > 0)) fail_msg("%s, %s: bf16 changes nothing", rc__k->isa, o.cell);
                free(d);
            }
            drop(&n[0]), drop(&n[1]);
        }
    rc__k = saved;
    free(x);
}

/* A change of precision makes the copies anew, in either direction, and gives back what it took. */
static void precision_may_change(void **state) {
    (void)state;
    size_t before = rc_memory_used();
    float *x = numbers(T * B * I, 8), *first[3] = {NULL};
    rc_rnn_options o = options("gru", 2);
    net n = make(o, RC_FP32);
    for (int round = 0; round < 7; round++) {
        rc_precision p = (rc_precision)(round % 3);
        assert_int_equal(rc_params_set_precision(n.ps, p, NULL), RC_OK);
        rc_var *y = forward(&n, (rc_tape_mode){0}, x, T, lengths, NULL);
        if (round < 3) {
            first[p] = malloc(y->len * sizeof(float));
            memcpy(first[p], y->x, y->len * sizeof(float));
            for (int q = 0; q < round; q++) assert_true(memcmp(first[q], first[p], y->len * sizeof(float)) != 0);
        }
        assert_memory_equal(first[p], y->x, y->len * sizeof(float));
    }
    drop(&n);
    for (int p = 0; p < 3; p++) free(first[p]);
    free(x);
    assert_int_equal(rc_memory_used(), before);
}

/* Outputs are the same bits for any number of threads, by rows and by columns. */
static void threads(void **state) {
    (void)state;
    enum { BIG = 37 };
    int before = rc_threads();
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (int p = RC_FP32; p <= RC_INT8; p++)
        for (size_t c = 0; c < recurrent_cells(); c++)
            for (int rows = 1; rows <= BIG; rows += BIG - 1) {
                rc_rnn_options o = options(rc_cell_at(c)->name, 2);
                o.bidirectional = true;
                o.dropout = 0.3;
                float *x = numbers(T * BIG * I, 9), *first = NULL, *grad = NULL;
                int32_t len[BIG];
                for (int b = 0; b < BIG; b++) len[b] = rows == 1 ? T : b % (T + 1);
                for (int k = 1; k <= 4; k++) {
                    assert_int_equal(rc_set_threads(k, NULL), RC_OK);
                    net n = make(o, (rc_precision)p);
                    rc_error e = {0};
                    size_t dims[3] = {T, (size_t)rows, I};
                    bool learns = p != RC_INT8;
                    rc_tape_begin(n.tape, (rc_tape_mode){.grad = learns, .training = true, .seed = 4, .step = 2});
                    rc_var *in = learns ? rc_leaf(n.tape, 3, dims, x) : rc_input(n.tape, 3, dims, x);
                    rc_var *y = rc_rnn_forward(n.tape, n.rnn, in, len, NULL);
                    if (learns && rc_backward(n.tape, rc_sum_all(n.tape, rc_mul(n.tape, y, y)), 1, &e))
                        fail_msg("%s", e.text);
                    if (rc_tape_status(n.tape, &e)) fail_msg("%s", e.text);
                    size_t g = rc_params_block_len(n.ps), y_len = y->len;
                    if (!first) {
                        first = malloc(y_len * sizeof *first);
                        grad = malloc((g + in->len) * sizeof *grad);
                        memcpy(first, y->x, y_len * sizeof *first);
                        memcpy(grad, rc_params_grads(n.ps), g * sizeof *grad);
                        if (learns) memcpy(grad + g, in->dx, in->len * sizeof *grad);
                    }
                    const char *name = rc_precision_name((rc_precision)p);
                    if (memcmp(first, y->x, y_len * sizeof *first)) fail_msg("%s, %s: outputs, %d threads", o.cell, name, k);
                    if (memcmp(grad, rc_params_grads(n.ps), g * sizeof *grad) ||
                        (learns && memcmp(grad + g, in->dx, in->len * sizeof *grad)))
                        fail_msg("%s, %s: gradients, %d threads", o.cell, name, k);
                    drop(&n);
                }
                free(x), free(first), free(grad);
            }
    rc__parallel_threshold = saved;
    rc_set_threads(before, NULL);
}

/* A convolution reads its weight in the weight's precision: with one tap it is the linear layer, to the bit, gradients too;
 * with more, bf16 and int8 move it, by little. */
static void convolution(void **state) {
    (void)state;
    enum { O = 33, K = 3 };
    for (int p = RC_FP32; p <= RC_INT8; p++) {
        bool learns = p != RC_INT8;
        rc_error e = {0};
        rc_params *ps;
        rc_tape *t;
        float *x = numbers(T * B * I, 3), exact[T * B * O];
        assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
        assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
        rc_init normal = {.kind = RC_INIT_NORMAL, .value = 0.5};
        rc_param *one = rc_params_add(ps, "one", 2, (size_t[]){O, I}, normal, NULL);
        rc_param *taps = rc_params_add(ps, "taps", 3, (size_t[]){O, I, K}, normal, NULL);
        rc_param *bias = rc_params_add(ps, "bias", 1, (size_t[]){O}, normal, NULL);
        assert_int_equal(rc_params_build(ps, 3, NULL), RC_OK);
        for (int q = 0; q < 2; q++) { /* in fp32 first */
            assert_int_equal(rc_params_set_precision(ps, q ? (rc_precision)p : RC_FP32, NULL), RC_OK);
            rc_tape_begin(t, (rc_tape_mode){0});
            rc_var *in = rc_input(t, 3, (size_t[]){T, B, I}, x);
            rc_var *y = rc_conv1d(t, in, NULL, rc_param_var(t, taps), rc_param_var(t, bias), 1);
            assert_int_equal(rc_tape_status(t, NULL), RC_OK);
            if (!q) memcpy(exact, y->x, sizeof exact);
            double off = 0, norm = 0;
            for (size_t i = 0; i < y->len; i++) off += pow((double)(y->x[i] - exact[i]), 2), norm += pow((double)exact[i], 2);
            assert_true(p == RC_FP32 || !q ? off == 0 : off > 0 && sqrt(off / norm) < 0.01);
        }
        rc_var *in[2], *y[2];
        rc_tape_begin(t, (rc_tape_mode){.grad = learns});
        for (int q = 0; q < 2; q++) {
            rc_var *w = rc_param_var(t, one);
            in[q] = rc_leaf(t, 3, (size_t[]){T, B, I}, x);
            y[q] = q ? rc_conv1d(t, in[q], NULL, rc_reshape(t, w, 3, (size_t[]){O, I, 1}), rc_param_var(t, bias), 0)
                     : rc_linear(t, in[q], w, rc_param_var(t, bias));
            if (rc_tape_status(t, &e)) fail_msg("%s", e.text);
        }
        assert_memory_equal(y[0]->x, y[1]->x, T * B * O * sizeof(float));
        if (learns) {
            if (rc_backward(t, rc_sum_all(t, rc_mul(t, y[0], y[1])), 1, &e)) fail_msg("%s", e.text);
            assert_memory_equal(in[0]->dx, in[1]->dx, T * B * I * sizeof(float));
        } else {
            rc_tape_begin(t, (rc_tape_mode){.grad = true});
            rc_conv1d(t, rc_leaf(t, 3, (size_t[]){T, B, I}, x), NULL, rc_param_var(t, taps), NULL, 1);
            assert_int_equal(rc_tape_status(t, &e), RC_EINVAL);
            assert_string_equal(e.text, "product: int8 weights are for inference; this tape keeps gradients");
        }
        free(x);
        rc_tape_free(t);
        rc_params_free(ps);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution),
        cmocka_unit_test(names),
        cmocka_unit_test(int8_of_every_cell),
        cmocka_unit_test(int8_takes_no_gradient),
        cmocka_unit_test(bf16_gradients_of_every_cell),
        cmocka_unit_test(whole_and_steps),
        cmocka_unit_test(precision_may_change),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
