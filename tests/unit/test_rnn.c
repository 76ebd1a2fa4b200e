/* Invariants of recurrent layers, for every cell: chunks, steps, padding, threads, rows, directions, state; and
 * messages. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "rnn_helper.h"

enum { T = 7, B = 5, I = 6, H = 9 };
static const int32_t lengths[B] = {3, 0, 7, 1, 5};

static rc_rnn_options options(const char *cell, int layers) {
    rc_rnn_options o = layers_of(cell, layers, I, H);
    o.zoneout_h = 0.1; /* the mean at inference: steps, chunks and whole must agree on it */
    return o;
}

/* Forward without gradients; the result is copied out. */
static float *forward(net *n, const float *x, size_t steps, size_t batch, const int32_t *len, rc_state *s) {
    size_t dims[3] = {steps, batch, I};
    rc_error e = {0};
    rc_tape_begin(n->tape, (rc_tape_mode){0});
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, rc_input(n->tape, 3, dims, x), len, s);
    if (rc_tape_status(n->tape, &e)) fail_msg("%s", e.text);
    float *out = malloc(y->len * sizeof *out);
    memcpy(out, y->x, y->len * sizeof *out);
    return out;
}

static void same(const char *cell, const char *what, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a))
            fail_msg("%s, %s: [%zu] %.9g and %.9g", cell, what, i, (double)a[i], (double)b[i]);
}

/* The same bits: an element of a product is one sum in one order, whatever rows are beside it. */
static void chunks_and_steps(void **state) {
    for (size_t c = 0; c < recurrent_cells(); c++) {
        const char *cell = rc_cell_at(c)->name;
        net n = make(options(cell, 1), RC_FP32);
        float *x = numbers(T * B * I, 5), *whole, *part, *y = malloc(B * n.O * sizeof *y);
        rc_state *s, *s2;
        assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
        assert_int_equal(rc_state_new(&s2, n.rnn, B, NULL), RC_OK);
        whole = forward(&n, x, T, B, NULL, s);
        for (size_t t = 0; t < T; t += 3) {
            size_t steps = T - t < 3 ? T - t : 3;
            part = forward(&n, x + t * B * I, steps, B, NULL, s2);
            same(cell, "chunk", part, whole + t * B * n.O, steps * B * n.O);
            free(part);
        }
        same(cell, "state after chunks", rc_state_h(s2), rc_state_h(s), rc_state_h_len(s));
        if (rc_state_c(s)) same(cell, "c after chunks", rc_state_c(s2), rc_state_c(s), rc_state_c_len(s));
        rc_state_reset(s2, n.rnn);
        for (size_t t = 0; t < T; t++) {
            assert_int_equal(rc_rnn_step(n.rnn, s2, x + t * B * I, y, NULL), RC_OK);
            same(cell, "step", y, whole + t * B * n.O, B * n.O);
        }
        same(cell, "state after steps", rc_state_h(s2), rc_state_h(s), rc_state_h_len(s));
        size_t before = rc_memory_used();
        assert_int_equal(rc_rnn_step(n.rnn, s2, x, y, NULL), RC_OK);
        assert_int_equal(rc_memory_used(), before);
        rc_state_free(s), rc_state_free(s2);
        free(x), free(whole), free(y);
        drop(&n);
    }
    (void)state;
}

/* More padding, and NaN in all of it, changes nothing; a row alone is the row of the batch; empty rows keep their
 * state. */
static void padding_and_rows(void **state) {
    for (size_t c = 0; c < recurrent_cells(); c++) {
        const char *cell = rc_cell_at(c)->name;
        rc_rnn_options o = options(cell, 1);
        o.bidirectional = true;
        net n = make(o, RC_FP32);
        enum { MORE = 4 };
        float *x = numbers((T + MORE) * B * I, 6);
        for (size_t t = 0; t < T + MORE; t++)
            for (size_t b = 0; b < B; b++)
                for (size_t i = 0; t >= (size_t)lengths[b] && i < I; i++) x[(t * B + b) * I + i] = NAN;
        float *y = forward(&n, x, T, B, lengths, NULL), *more = forward(&n, x, T + MORE, B, lengths, NULL);
        assert_memory_equal(y, more, T * B * n.O * sizeof *y);
        for (size_t b = 0; b < B; b++) {
            size_t len = (size_t)lengths[b];
            float *row = malloc((len * I + 1) * sizeof *row), *alone;
            for (size_t t = 0; t < T + MORE; t++)
                for (size_t k = 0; t >= len && k < n.O; k++) assert_true(more[(t * B + b) * n.O + k] == 0);
            for (size_t t = 0; t < len; t++) memcpy(row + t * I, x + (t * B + b) * I, I * sizeof *row);
            if (len) {
                alone = forward(&n, row, len, 1, NULL, NULL);
                for (size_t t = 0; t < len; t++) same(cell, "row alone", y + (t * B + b) * n.O, alone + t * n.O, n.O);
                free(alone);
            }
            free(row);
        }
        rc_state *s;
        assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
        size_t width = rc_rnn_state_size(n.rnn);
        for (size_t i = 0; i < rc_state_h_len(s); i++) rc_state_h(s)[i] = 0.25f;
        free(forward(&n, x, T, B, lengths, s));
        for (size_t d = 0; d < 2; d++)
            for (size_t k = 0; k < width; k++) assert_true(rc_state_h(s)[(d * B + 1) * width + k] == 0.25f);
        assert_true(rc_state_h(s)[0] == rc_state_h(s)[0]); /* not NaN */
        rc_state_free(s);
        free(x), free(y), free(more);
        drop(&n);
    }
    (void)state;
}

/* y (T, B, O) of the reverse layer is the mirror of the forward layer on the mirrored input; a bidirectional layer is
 * both. */
static void directions(void **state) {
    for (size_t c = 0; c < recurrent_cells(); c++) {
        rc_rnn_options o = options(rc_cell_at(c)->name, 1);
        net f = make(o, RC_FP32);
        o.reverse = true;
        net r = make(o, RC_FP32);
        o.reverse = false;
        o.bidirectional = true;
        net bi = make(o, RC_FP32);
        size_t half = rc_params_count(f.ps);
        for (size_t i = 0; i < 2 * half; i++)
            memcpy(rc_params_at(bi.ps, i)->w, rc_params_at(f.ps, i % half)->w,
                   rc_params_at(f.ps, i % half)->len * sizeof(float));
        rc_params_changed(bi.ps);
        float *x = numbers(T * B * I, 8), *mirror = malloc(T * B * I * sizeof *x);
        for (size_t t = 0; t < T; t++) memcpy(mirror + t * B * I, x + (T - 1 - t) * B * I, B * I * sizeof *x);
        float *a = forward(&f, x, T, B, NULL, NULL), *m = forward(&f, mirror, T, B, NULL, NULL);
        float *b = forward(&r, x, T, B, NULL, NULL), *both = forward(&bi, x, T, B, NULL, NULL);
        size_t O = f.O;
        for (size_t t = 0; t < T; t++) {
            same(o.cell, "reverse", b + t * B * O, m + (T - 1 - t) * B * O, B * O);
            for (size_t k = 0; k < B; k++) {
                same(o.cell, "first half", both + (t * B + k) * 2 * O, a + (t * B + k) * O, O);
                same(o.cell, "second half", both + (t * B + k) * 2 * O + O, b + (t * B + k) * O, O);
            }
        }
        free(x), free(mirror), free(a), free(m), free(b), free(both);
        drop(&f), drop(&r), drop(&bi);
    }
    (void)state;
}

/* Outputs and gradients are the same bits for any number of threads, masks and all: batches whose rows are shared out, and
 * batches so small that products are cut by columns. */
static void threads_of(rc_rnn_options o, size_t batch) {
    float *x = numbers(T * batch * I, 9), *first = NULL, *grad = NULL;
    int32_t len[64];
    for (size_t b = 0; b < batch; b++) len[b] = batch > 1 ? (int32_t)(b % (T + 1)) : T;
    for (int k = 1; k <= 4; k++) {
        assert_int_equal(rc_set_threads(k, NULL), RC_OK);
        net n = make(o, RC_FP32);
        rc_error e = {0};
        size_t dims[3] = {T, batch, I};
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true, .training = true, .seed = 4, .step = 2});
        rc_var *y = rc_rnn_forward(n.tape, n.rnn, rc_leaf(n.tape, 3, dims, x), len, NULL);
        rc_var *loss = rc_sum_all(n.tape, rc_mul(n.tape, y, y));
        if (rc_backward(n.tape, loss, 1, &e)) fail_msg("%s", e.text);
        size_t g = rc_params_block_len(n.ps);
        if (!first) {
            first = malloc(y->len * sizeof *first);
            grad = malloc(g * sizeof *grad);
            memcpy(first, y->x, y->len * sizeof *first);
            memcpy(grad, rc_params_grads(n.ps), g * sizeof *grad);
        }
        if (memcmp(first, y->x, y->len * sizeof *first))
            fail_msg("%s, batch %zu: outputs differ with %d threads", o.cell, batch, k);
        if (memcmp(grad, rc_params_grads(n.ps), g * sizeof *grad))
            fail_msg("%s, batch %zu: gradients differ with %d threads", o.cell, batch, k);
        drop(&n);
    }
    free(x), free(first), free(grad);
}

/* And steps: their outputs are those of one thread. */
static void threads_of_steps(rc_rnn_options o) {
    float *x = numbers(T * 3 * I, 9), first[T][3 * 70], y[3 * 70];
    for (int k = 1; k <= 4; k++) {
        assert_int_equal(rc_set_threads(k, NULL), RC_OK);
        net n = make(o, RC_FP32);
        rc_state *s;
        assert_int_equal(rc_state_new(&s, n.rnn, 3, NULL), RC_OK);
        for (int t = 0; t < T; t++) {
            assert_int_equal(rc_rnn_step(n.rnn, s, x + (size_t)t * 3 * I, y, NULL), RC_OK);
            size_t bytes = 3 * rc_rnn_output_size(n.rnn) * sizeof *y;
            if (k == 1) memcpy(first[t], y, bytes);
            else if (memcmp(first[t], y, bytes)) fail_msg("%s: step %d differs with %d threads", o.cell, t, k);
        }
        rc_state_free(s);
        drop(&n);
    }
    free(x);
}

static void threads(void **state) {
    int before = rc_threads();
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (size_t c = 0; c < recurrent_cells(); c++) {
        rc_rnn_options o = options(rc_cell_at(c)->name, 2);
        o.dropout = 0.3;
        o.recurrent_dropout = 0.2;
        o.bidirectional = true;
        threads_of(o, 37);
        o.hidden_size = 70; /* more than one panel of columns, the last one not full */
        threads_of(o, 3);
        o.bidirectional = false;
        threads_of(o, 1);
        o.skip = RC_SKIP_HIGHWAY;
        threads_of_steps(o);
    }
    rc__parallel_threshold = saved;
    rc_set_threads(before, NULL);
    (void)state;
}

/* Every SIMD build of the cells against the reference build: outputs and gradients of a layer. */
static void instruction_sets(void **state) {
    const rc__kernels *all[8], *saved = rc__k;
    size_t count = rc__kernels_available(all, 8);
    assert_true(count >= 2);
    for (size_t c = 0; c < recurrent_cells(); c++)
        for (size_t width = 1; width <= 33; width += width < 10 ? 4 : 8) {
            rc_rnn_options o = options(rc_cell_at(c)->name, 1);
            o.hidden_size = width;
            float *x = numbers(T * B * I, 12), *want = NULL, *grad = NULL;
            for (size_t k = 0; k < count; k++) {
                rc__k = all[k];
                net n = make(o, RC_FP32); /* packed weights belong to the build that packed them */
                size_t dims[3] = {T, B, I}, g = rc_params_block_len(n.ps);
                rc_params_zero_grad(n.ps);
                rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
                rc_var *y = rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, dims, x), lengths, NULL);
                assert_int_equal(rc_backward(n.tape, rc_sum_all(n.tape, rc_mul(n.tape, y, y)), 1, NULL), RC_OK);
                if (k == 0) {
                    assert_string_equal(rc__k->isa, "ref");
                    want = malloc(y->len * sizeof *want);
                    grad = malloc(g * sizeof *grad);
                    memcpy(want, y->x, y->len * sizeof *want);
                    memcpy(grad, rc_params_grads(n.ps), g * sizeof *grad);
                }
                for (size_t i = 0; i < y->len; i++)
                    if (!(fabs((double)(y->x[i] - want[i])) <= 1e-5))
                        fail_msg("%s %s: output %zu", rc__k->isa, o.cell, i);
                for (size_t i = 0; i < g; i++)
                    if (!(fabs((double)(rc_params_grads(n.ps)[i] - grad[i])) <= 2e-4 * fmax(1, fabs((double)grad[i]))))
                        fail_msg("%s %s: gradient %zu: %g, reference %g", rc__k->isa, o.cell, i,
                                 (double)rc_params_grads(n.ps)[i], (double)grad[i]);
                drop(&n);
            }
            rc__k = saved;
            free(x), free(want), free(grad);
        }
    (void)state;
}

/* The gradient block after a backward. Parameter k is frozen, or all others are; SIZE_MAX: none is. */
static float *gradients(const char *cell, const float *x, size_t k, bool others, net *n) {
    *n = make(options(cell, 1), RC_FP32);
    for (size_t i = 0; k != SIZE_MAX && i < rc_params_count(n->ps); i++) rc_params_at(n->ps, i)->frozen = (i == k) != others;
    size_t dims[3] = {T, B, I};
    rc_error e = {0};
    rc_tape_begin(n->tape, (rc_tape_mode){.grad = true});
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, rc_input(n->tape, 3, dims, x), lengths, NULL);
    if (rc_backward(n->tape, rc_sum_all(n->tape, rc_mul(n->tape, y, y)), 1, &e)) fail_msg("%s: %s", cell, e.text);
    return rc_params_grads(n->ps);
}

/* Freezing one parameter, whichever, or all others takes their gradients away and leaves what is trained as it is. */
static void frozen_parameters(void **state) {
    float *x = numbers(T * B * I, 21);
    for (size_t c = 0; c < recurrent_cells(); c++) {
        const char *cell = rc_cell_at(c)->name;
        net all, part;
        gradients(cell, x, SIZE_MAX, false, &all);
        for (size_t k = 0; k < 2 * rc_params_count(all.ps); k++) {
            bool others = k % 2;
            if (rc_params_count(all.ps) == 1 && !others) continue; /* nothing would be trained */
            gradients(cell, x, k / 2, others, &part);
            for (size_t i = 0; i < rc_params_count(all.ps); i++) {
                const rc_param *p = rc_params_at(part.ps, i), *want = rc_params_at(all.ps, i);
                for (size_t j = 0; j < p->len; j++)
                    if (p->g[j] != ((i == k / 2) != others ? 0 : want->g[j]))
                        fail_msg("%s: %s %s, gradient of %s", cell, rc_params_at(part.ps, k / 2)->name,
                                 others ? "alone is trained" : "is frozen", p->name);
            }
            drop(&part);
        }
        drop(&all);
    }
    free(x);
    (void)state;
}

/* A model may run twice on one tape, under two masks of weight drop, with an inference between: each backward meets the
 * weights of its own forward. So the gradient of x is that of a tape with this forward alone (and its place in the
 * draws). */
static void weight_drop_twice(void **state) {
    static const char *const cells[] = {"lstm", "gru", "indrnn", "sru"};
    float *x = numbers(T * B * I, 22), *want = malloc(2 * T * B * I * sizeof *want);
    size_t dims[3] = {T, B, I};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
        rc_rnn_options o = options(cells[c], 2);
        o.weight_drop = 0.5;
        o.zoneout_h = 0;
        net n = make(o, RC_FP32);
        rc_state *s;
        rc_error e = {0};
        float step[B * H];
        assert_int_equal(rc_state_new(&s, n.rnn, B, &e), RC_OK);
        for (int run = 0; run < 3; run++) { /* the loss of the first forward, of the second, of both */
            rc_tape_begin(n.tape, (rc_tape_mode){.grad = true, .training = true, .seed = 4, .step = 2});
            rc_var *in[2] = {rc_leaf(n.tape, 3, dims, x), rc_leaf(n.tape, 3, dims, x)}, *y[2], *loss[2];
            for (int k = 0; k < 2; k++) {
                y[k] = rc_rnn_forward(n.tape, n.rnn, in[k], NULL, NULL);
                loss[k] = rc_sum_all(n.tape, rc_mul(n.tape, y[k], y[k]));
                if (run == k) { /* its backward follows at once */
                    assert_int_equal(rc_backward(n.tape, loss[k], 1, &e), RC_OK);
                    memcpy(want + k * T * B * I, in[k]->dx, T * B * I * sizeof *want);
                    break;
                }
            }
            if (run < 2) continue;
            assert_true(memcmp(y[0]->x, y[1]->x, y[0]->len * sizeof(float)) != 0);
            assert_int_equal(rc_rnn_step(n.rnn, s, x, step, &e), RC_OK);
            assert_int_equal(rc_backward(n.tape, rc_add(n.tape, loss[0], loss[1]), 1, &e), RC_OK);
            for (int k = 0; k < 2; k++) same(cells[c], "dx under a mask", in[k]->dx, want + k * T * B * I, T * B * I);
        }
        rc_state_free(s);
        drop(&n);
    }
    free(x), free(want);
    (void)state;
}

/* Steps through a stack with skips and zoneout of c are the whole sequence too. */
static void steps_through_stacks(void **state) {
    static const rc_skip skips[] = {RC_SKIP_NONE, RC_SKIP_RESIDUAL, RC_SKIP_HIGHWAY};
    float *x = numbers(T * B * I, 23), y[B * H];
    for (size_t c = 0; c < recurrent_cells(); c++)
        for (size_t k = 0; k < sizeof skips / sizeof *skips; k++) {
            rc_rnn_options o = options(rc_cell_at(c)->name, 3);
            o.skip = skips[k];
            o.zoneout_c = rc_cell_at(c)->has_c ? 0.2 : 0;
            net n = make(o, RC_FP32);
            rc_state *s;
            assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
            float *whole = forward(&n, x, T, B, NULL, NULL);
            for (size_t t = 0; t < T; t++) {
                assert_int_equal(rc_rnn_step(n.rnn, s, x + t * B * I, y, NULL), RC_OK);
                same(o.cell, "step of a stack", y, whole + t * B * n.O, B * n.O);
            }
            rc_state_free(s);
            free(whole);
            drop(&n);
        }
    free(x);
    (void)state;
}

/* Rows without a step: outputs and gradients of the weights are 0, not what the memory held. */
static void no_steps_at_all(void **state) {
    static const int32_t none[B];
    float *x = numbers(T * B * I, 24);
    size_t dims[3] = {T, B, I};
    for (size_t c = 0; c < recurrent_cells(); c++) {
        net n = make(options(rc_cell_at(c)->name, 2), RC_FP32);
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
        rc_var *in = rc_leaf(n.tape, 3, dims, x), *y = rc_rnn_forward(n.tape, n.rnn, in, none, NULL);
        assert_int_equal(rc_backward(n.tape, rc_sum_all(n.tape, y), 1, NULL), RC_OK);
        for (size_t i = 0; i < y->len; i++) assert_true(y->x[i] == 0);
        for (size_t i = 0; i < in->len; i++) assert_true(in->dx[i] == 0);
        for (size_t i = 0; i < rc_params_block_len(n.ps); i++) assert_true(rc_params_grads(n.ps)[i] == 0);
        drop(&n);
    }
    free(x);
    (void)state;
}

/* What explain says of threads: a scan is no less work for having no product. */
static void explain(void **state) {
    (void)state;
    char text[1024], part[16];
    rc_set_threads(2, NULL);
    for (size_t c = 0; c < recurrent_cells(); c++) {
        net n = make(options(rc_cell_at(c)->name, 2), RC_FP32);
        size_t len = rc_rnn_explain(n.rnn, 64, 1000, text, sizeof text);
        assert_int_equal(len, strlen(text));
        assert_non_null(strstr(text, "4 groups of 16 rows, 2 threads"));
        assert_null(strstr(text, "too little work"));
        assert_int_equal(rc_rnn_explain(n.rnn, 64, 1000, part, sizeof part), len);
        assert_memory_equal(part, text, sizeof part - 1);
        rc_rnn_explain(n.rnn, 1, 1, text, sizeof text);
        assert_non_null(strstr(text, "1 group of 1 row, 1 thread: too little work for a second thread"));
        drop(&n);
    }
}

/* A mask that met the state of a scan cell at each step would multiply it by 1/(1-p) each time. */
static void recurrent_dropout_of_scans_stays_bounded(void **state) {
    enum { LONG = 500 };
    for (size_t c = 0; c < recurrent_cells(); c++) {
        if (rc_cell_at(c)->recurrent_product) continue;
        rc_rnn_options o = options(rc_cell_at(c)->name, 1);
        o.recurrent_dropout = 0.5;
        net n = make(o, RC_FP32);
        rc_error e = {0};
        size_t dims[3] = {LONG, B, I};
        float *x = numbers(LONG * B * I, 21);
        rc_param *u = rc_params_find(n.ps, "weight_hh_l0");
        for (size_t i = 0; u && i < u->len && !strcmp(o.cell, "indrnn"); i++) u->w[i] = 0.9f;
        rc_params_changed(n.ps);
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true, .training = true, .seed = 2, .step = 3});
        rc_var *y = rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, dims, x), NULL, NULL);
        if (rc_backward(n.tape, rc_sum_all(n.tape, y), 1, &e)) fail_msg("%s: %s", o.cell, e.text);
        for (size_t i = 0; i < y->len; i++)
            if (!(fabs((double)y->x[i]) < 1000)) fail_msg("%s: output %zu is %g", o.cell, i, (double)y->x[i]);
        free(x);
        drop(&n);
    }
    (void)state;
}

static void states(void **state) {
    rc_rnn_options o = options("lstm", 2);
    o.learn_initial_state = true;
    net n = make(o, RC_FP32);
    rc_param *h0 = rc_params_find(n.ps, "initial_h");
    assert_non_null(h0);
    for (size_t i = 0; i < h0->len; i++) h0->w[i] = (float)i;
    rc_params_changed(n.ps);
    rc_state *a, *b;
    rc_error e = {0};
    assert_int_equal(rc_state_new(&a, n.rnn, 3, &e), RC_OK);
    assert_int_equal(rc_state_new(&b, n.rnn, 2, &e), RC_OK);
    assert_true(rc_state_h(a)[(1 * 3 + 2) * H + 4] == (float)(H + 4));
    float *x = numbers(3 * I, 3), *y = malloc(3 * H * sizeof *y), *y2 = malloc(3 * H * sizeof *y);
    assert_int_equal(rc_rnn_step(n.rnn, a, x, y, &e), RC_OK);
    rc_state *copy;
    assert_int_equal(rc_state_new(&copy, n.rnn, 3, &e), RC_OK);
    assert_int_equal(rc_state_copy(copy, a, &e), RC_OK);
    assert_int_equal(rc_rnn_step(n.rnn, a, x, y, &e), RC_OK); /* fork: both continue alike */
    assert_int_equal(rc_rnn_step(n.rnn, copy, x, y2, &e), RC_OK);
    assert_memory_equal(y, y2, 3 * H * sizeof *y);
    assert_int_equal(rc_state_copy_row(b, 1, a, 2, &e), RC_OK);
    assert_memory_equal(rc_state_c(b) + (1 * 2 + 1) * H, rc_state_c(a) + (1 * 3 + 2) * H, H * sizeof(float));
    assert_int_equal(rc_state_reset_row(a, n.rnn, 2, &e), RC_OK);
    assert_true(rc_state_h(a)[(1 * 3 + 2) * H + 4] == (float)(H + 4));
    assert_true(rc_state_h(a)[(1 * 3 + 1) * H + 4] != (float)(H + 4));
    assert_int_equal(rc_state_reset_row(a, n.rnn, 3, &e), RC_EINVAL);
    assert_string_equal(e.text, "state: row 3, expected 0 to 2");
    assert_int_equal(rc_state_copy(a, b, &e), RC_EINVAL);
    assert_int_equal(rc_state_copy_row(a, 0, b, 2, &e), RC_EINVAL);
    rc_state_free(copy);
    assert_int_equal(rc_state_new(&copy, n.rnn, 0, &e), RC_EINVAL);
    assert_null(copy);
    rc_state_free(a), rc_state_free(b);
    free(x), free(y), free(y2);
    drop(&n);
    (void)state;
}

static void refuse(rc_rnn_options o, const char *want) {
    rc_params *ps;
    rc_rnn *r;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    assert_int_equal(rc_rnn_new(&r, ps, "", &o, &e), RC_EINVAL);
    assert_null(r);
    assert_string_equal(e.text, want);
    rc_params_free(ps);
}

static void messages(void **state) {
    rc_rnn_options o = options("lsmt", 1);
    refuse(o, "rnn: unknown cell \"lsmt\"");
    o = options("gru", 1), o.hidden_size = 0;
    refuse(o, "rnn: hidden_size is 0, expected 1 to 16777216");
    o = options("gru", 1), o.dropout = 1;
    refuse(o, "rnn: dropout is 1, expected a probability in [0, 1)");
    o = options("gru", 1), o.zoneout_c = 0.5;
    refuse(o, "rnn: zoneout_c is 0.5, but cell gru has no cell state");
    o = options("lstm", 1), o.proj_size = 4;
    refuse(o, "rnn: proj_size is 4, but cell lstm has no projection");
    o = options("mingru", 1), o.weight_drop = 0.5;
    refuse(o, "rnn: weight_drop is 0.5, but cell mingru has no recurrent weights");
    o = options("rhn", 1), o.depth = 9;
    refuse(o, "rnn: depth is 9, expected 1 to 8");
    net n = make(options("gru", 1), RC_FP32);
    float x[2 * 2 * I] = {0};
    rc_error e = {0};
    size_t bad[3] = {2, 2, I - 1}, good[3] = {2, 2, I};
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, bad, x), NULL, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: x is (2, 2, 5), expected (T, B, 6)");
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, good, x), (int32_t[]){1, 3}, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: lengths[1] is 3, expected 0 to T = 2");
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, good, x), (int32_t[]){-1, 1}, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: lengths[0] is -1, expected 0 to T = 2");
    drop(&n);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_and_steps), cmocka_unit_test(padding_and_rows), cmocka_unit_test(directions),
        cmocka_unit_test(threads),          cmocka_unit_test(instruction_sets), cmocka_unit_test(recurrent_dropout_of_scans_stays_bounded), cmocka_unit_test(states),
        cmocka_unit_test(messages),         cmocka_unit_test(frozen_parameters),
        cmocka_unit_test(weight_drop_twice), cmocka_unit_test(steps_through_stacks), cmocka_unit_test(explain),
        cmocka_unit_test(no_steps_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
