/* The tape: errors that stick, gradients on demand, memory that settles, packed copies that follow their weights. In
 * float, through the kernels and the matrix backend that ship. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "autograd/tape_internal.h"
#include "base/parallel.h"
#include "kernels/gemm.h"

#define DIMS(...) (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (size_t[]){__VA_ARGS__}
static const rc_tape_mode training = {.grad = true, .training = true, .seed = 1};

static rc_tape *new_tape(void) {
    rc_tape *t = NULL;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_tape_begin(t, training);
    return t;
}

static void says(const rc_tape *t, rc_status code, const char *text) {
    rc_error e = {0};
    assert_int_equal(rc_tape_status(t, &e), code);
    assert_string_equal(e.text, text);
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

static void test_errors_stick(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    assert_int_equal(rc_tape_status(t, NULL), RC_OK);
    rc_var *x = rc_zeros(t, DIMS(2, 3)), *bad = rc_slice(t, x, 0, 5, 1);
    assert_int_equal(bad->len, 0);
    const char *first = "slice: 1 from 5 on of axis 0 of (2, 3)";
    says(t, RC_EINVAL, first);
    rc_var *after = rc_sigmoid(t, rc_add(t, bad, x)), *unrelated = rc_relu(t, x);
    assert_true(after->len == 0 && unrelated->len == 0);
    assert_int_equal(rc_zeros(t, DIMS(2))->len, 0);
    says(t, RC_EINVAL, first);
    rc_error e = {0};
    assert_int_equal(rc_backward(t, after, 1, &e), RC_EINVAL);
    assert_string_equal(e.text, first);
    rc_tape_begin(t, training);
    assert_int_equal(rc_tape_status(t, NULL), RC_OK);
    assert_int_equal(rc_relu(t, rc_zeros(t, DIMS(2)))->len, 2);
    rc_tape_free(t);
    rc_tape_free(NULL);
}

static void test_null_dead_and_bad_shapes(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    rc_var *v;
#define CASE(call, message)                                                                                          \
    do {                                                                                                             \
        rc_tape_begin(t, training);                                                                                  \
        v = (call);                                                                                                  \
        assert_int_equal(v->len, 0);                                                                                 \
        says(t, RC_EINVAL, message);                                                                                 \
    } while (0)
    CASE(rc_relu(t, NULL), "relu: the input is NULL");
    CASE(rc_relu(t, rc__dead(t)), "relu: the input is a dead variable");
    CASE(rc_mul(t, rc_zeros(t, DIMS(1)), NULL), "mul: input 2 of 2 is NULL");
    CASE(rc_zeros(t, DIMS(2, 0)), "zeros: shape (2, 0) has no elements");
    CASE(rc_zeros(t, 6, NULL), "zeros: 6 dimensions, expected 0 to 5");
    CASE(rc_zeros(t, 2, NULL), "zeros: 2 dimensions, expected 0 to 5");
    CASE(rc_input(t, DIMS(2), NULL), "input: the array is NULL");
    CASE(rc_leaf(t, DIMS(2), NULL), "leaf: the array is NULL");
    CASE(rc_param_var(t, NULL), "parameter: it is NULL");
    CASE(rc_concat(t, 1, NULL, 0), "concat: 1 inputs, expected at least 1");
#undef CASE
    rc_tape_begin(t, training);
    assert_int_equal(rc_zeros(t, DIMS(SIZE_MAX / 2, 4))->len, 0);
    rc_error e = {0};
    assert_int_equal(rc_tape_status(t, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "is too large"));
    assert_int_equal(rc_relu(NULL, NULL)->len, 0);
    assert_int_equal(rc_zeros(NULL, DIMS(2))->len, 0);
    assert_int_equal(rc_tape_status(NULL, NULL), RC_EINVAL);
    rc_tape_free(t);
}

static void test_backward_refusals(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    rc_real one[2] = {1, 1};
    rc_error e = {0};
    assert_int_equal(rc_backward(t, rc_leaf(t, DIMS(2), one), 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "backward: the loss is (2), expected a scalar");
    assert_int_equal(rc_backward(t, rc_sum_all(t, rc_input(t, DIMS(2), one)), 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "backward: nothing that the loss depends on takes a gradient");
    rc_var *loss = rc_sum_all(t, rc_leaf(t, DIMS(2), one));
    assert_int_equal(rc_backward(t, loss, 1, &e), RC_OK);
    assert_int_equal(rc_backward(t, loss, 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "backward: already called since rc_tape_begin");
    rc_tape_begin(t, (rc_tape_mode){.grad = false});
    loss = rc_sum_all(t, rc_leaf(t, DIMS(2), one));
    assert_false(loss->needs_grad);
    assert_int_equal(rc_backward(t, loss, 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "backward: the tape was begun without grad");
    rc_tape_begin(t, training);
    assert_int_equal(rc_backward(t, NULL, 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "backward: the input is NULL");
    rc_tape_free(t);
}

static void test_shape_text(void **state) {
    (void)state;
    assert_string_equal(rc__shape_text(0, NULL), "()");
    const char *a = rc__shape_text(DIMS(7)), *b = rc__shape_text(DIMS(SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX));
    assert_string_equal(a, "(7)");
    assert_int_equal(strlen(b), 5 * (sizeof(size_t) > 4 ? 20 : 10) + 4 * 2 + 2);
}

/* ---- gradients ------------------------------------------------------------------------------------------------------- */

static void test_gradients_of_leaves(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    rc_real x[3] = {1, 2, 3}, c[3] = {4, 5, 6};
    rc_var *a = rc_leaf(t, DIMS(3), x), *b = rc_input(t, DIMS(3), c), *unused = rc_leaf(t, DIMS(3), x);
    rc_var *stray = rc_mul(t, unused, a); /* the loss does not depend on it */
    rc_var *y = rc_add(t, rc_mul(t, a, b), rc_mul(t, a, a));
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 0.5, NULL), RC_OK);
    for (int i = 0; i < 3; i++) assert_true(a->dx[i] == 0.5f * (c[i] + 2 * x[i]));
    assert_true(b->dx == NULL && unused->dx == NULL && stray->dx == NULL && y->dx != NULL);
    /* a loss that is a leaf itself */
    rc_tape_begin(t, training);
    a = rc_leaf(t, 0, NULL, x);
    assert_int_equal(rc_backward(t, a, 3, NULL), RC_OK);
    assert_true(a->dx[0] == 3);
    rc_tape_free(t);
}

static rc_params *two(bool sparse) {
    rc_params *ps = NULL;
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    rc_init normal = {.kind = RC_INIT_NORMAL, .value = 1};
    rc_param *w = rc_params_add(ps, "w", 2, (size_t[]){4, 3}, normal, NULL);
    rc_params_add(ps, "b", 1, (size_t[]){4}, normal, NULL);
    w->sparse = sparse;
    assert_int_equal(rc_params_build(ps, 1, NULL), RC_OK);
    return ps;
}

static void test_parameters_accumulate(void **state) {
    (void)state;
    rc_params *ps = two(false);
    rc_param *w = rc_params_at(ps, 0), *b = rc_params_at(ps, 1);
    rc_tape *t = new_tape();
    rc_real x[3] = {1, 2, 3};
    for (int pass = 1; pass <= 3; pass++) { /* micro-batches of one step */
        rc_tape_begin(t, training);
        rc_var *v = rc_param_var(t, w), *again = rc_param_var(t, w);
        assert_true(v->x == w->w && rc__var_param(v) == w);
        rc_var *y = rc_add(t, rc_linear(t, rc_input(t, DIMS(1, 3), x), v, rc_param_var(t, b)),
                           rc_linear(t, rc_input(t, DIMS(1, 3), x), again, NULL));
        assert_int_equal(rc_backward(t, rc_sum_all(t, y), 0.5, NULL), RC_OK);
        assert_ptr_equal(v->dx, w->g);
        for (size_t i = 0; i < 12; i++) assert_true(w->g[i] == (float)pass * x[i % 3]);
        for (size_t i = 0; i < 4; i++) assert_true(b->g[i] == 0.5f * (float)pass);
    }
    rc_params_zero_grad(ps);
    rc_params_freeze(ps, "w");
    rc_tape_begin(t, training);
    rc_var *v = rc_param_var(t, w);
    assert_false(v->needs_grad);
    rc_var *y = rc_linear(t, rc_input(t, DIMS(1, 3), x), v, rc_param_var(t, b));
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    for (size_t i = 0; i < 12; i++) assert_true(w->g[i] == 0);
    for (size_t i = 0; i < 4; i++) assert_true(b->g[i] == 1);
    rc_tape_free(t);
    rc_params_free(ps);
    rc_params_new(&ps, NULL);
    w = rc_params_add(ps, "early", 1, (size_t[]){2}, (rc_init){0}, NULL);
    t = new_tape();
    rc_param_var(t, w);
    says(t, RC_EINVAL, "early: has no value before rc_params_build");
    rc_tape_free(t);
    rc_params_free(ps);
}

static void test_gradient_memory(void **state) {
    (void)state;
    rc_params *ps = two(true);
    rc_param *w = rc_params_at(ps, 0);
    rc_tape *t = new_tape();
    rc_real x[3] = {0};
    bool add = true;
    rc_var *leaf = rc_leaf(t, DIMS(3), x), *input = rc_input(t, DIMS(3), x);
    assert_null(rc__grad(t, input));
    assert_null(rc__grad_to(t, input, &add));
    assert_null(rc__grad(t, NULL));
    rc_real *g = rc__grad_to(t, leaf, &add);
    assert_true(g && !add && leaf->dx == g);
    assert_true(rc__grad_to(t, leaf, &add) == g && add);
    rc_var *v = rc_param_var(t, w);
    assert_true(rc__grad_rows(t, v) == w->g && w->n_rows == 0);
    assert_true(rc__grad_to(t, v, &add) == w->g && add && w->n_rows == 4);
    assert_true(rc__tape_keeps(t, leaf) && !rc__tape_keeps(t, input) && !rc__tape_keeps(t, NULL));
    rc_tape_free(t);
    rc_params_free(ps);
}

static void test_random_streams(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    rc_rng a = rc__tape_rng(t), b = rc__tape_rng(t);
    assert_true(a.seed == 1 && a.stream != b.stream);
    rc_tape_begin(t, training);
    rc_rng c = rc__tape_rng(t);
    assert_true(c.stream == a.stream && c.position == a.position);
    rc_tape_begin(t, (rc_tape_mode){.seed = 1, .step = 1});
    rc_rng d = rc__tape_rng(t);
    assert_true(d.stream != a.stream && d.stream != b.stream);
    assert_true(rc_tape_get_mode(t).step == 1);
    rc_tape_free(t);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

static size_t calls, countdown = SIZE_MAX;
static void *counting(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    calls++;
    if (countdown == 0) return NULL;
    countdown--;
    void *q = NULL;
    if (posix_memalign(&q, 64, new_size) != 0) return NULL;
    if (p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    free(p);
    return q;
}

/* Most ops of this room in one step; T changes so that the steady state is not one single size. */
static rc_status step(rc_tape *t, rc_params *ps, size_t T, const rc_real *x, rc_error *e) {
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .seed = 1, .step = T});
    rc_var *w = rc_param_var(t, rc_params_at(ps, 0)), *b = rc_param_var(t, rc_params_at(ps, 1));
    rc_var *in = rc_leaf(t, DIMS(T, 2, 3), x);
    rc_var *y = rc_linear(t, rc_dropout(t, in, 0.2), w, b), *half[2];
    y = rc_transpose(t, rc_tanh(t, y), (int[]){1, 0, 2});
    rc_split(t, y, -1, 2, half);
    y = rc_concat(t, 2, (rc_var *[]){half[1], rc_mul(t, half[0], half[1])}, 2);
    y = rc_matmul(t, y, false, w, false);
    y = rc_sub(t, rc_transpose(t, y, (int[]){1, 0, 2}), rc_dropout_sequence(t, in, 0.1));
    y = rc_add(t, rc_max_time(t, y, (int32_t[]){1, 0}), rc_add(t, rc_mean_time(t, y, NULL), rc_last_time(t, y, NULL)));
    y = rc_reshape(t, rc_scale(t, y, 2, 1), 1, (size_t[]){(size_t)-1});
    y = rc_add(t, rc_max(t, y, 0), rc_mean(t, y, 0));
    return rc_backward(t, rc_sum_all(t, y), 1, e);
}

static void test_steady_loop_allocates_nothing(void **state) {
    (void)state;
    rc_real x[10 * 6];
    for (size_t i = 0; i < 60; i++) x[i] = (float)sin((double)i);
    rc_set_allocator(counting, NULL);
    size_t before = rc_memory_used();
    rc_params *ps = two(false);
    rc_tape *t = NULL;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(step(t, ps, 10, x, NULL), RC_OK);
        rc_params_changed(ps);
    }
    assert_true(rc_tape_bytes(t) > 0);
    size_t settled = calls, used = rc_memory_used();
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(step(t, ps, 1 + i % 10, x, NULL), RC_OK);
        rc_params_changed(ps);
        rc_params_zero_grad(ps);
    }
    assert_int_equal(calls, settled);
    assert_int_equal(rc_memory_used(), used);
    rc_tape_free(t);
    rc_params_free(ps);
    assert_int_equal(rc_memory_used(), before);
    rc_set_allocator(NULL, NULL);
}

/* Allocation n fails, for every n: a status, no leak, and the tape can be used again. */
static void test_out_of_memory(void **state) {
    (void)state;
    static rc_real x[2000 * 6];
    for (size_t i = 0; i < 2000 * 6; i++) x[i] = (float)sin((double)i);
    rc_params *ps = two(false);
    size_t before = rc_memory_used(), n = 0;
    rc_set_allocator(counting, NULL);
    for (bool done = false; !done; n++) {
        rc_tape *t = NULL;
        rc_error e = {0};
        countdown = n;
        rc_status s = rc_tape_new(&t, &e);
        if (s == RC_OK) s = step(t, ps, 2000, x, &e);
        done = s == RC_OK;
        if (!done) {
            assert_int_equal(s, RC_ENOMEM);
            assert_true(e.text[0] != 0);
            countdown = SIZE_MAX;
            if (t) assert_int_equal(step(t, ps, 2000, x, &e), RC_OK);
        }
        rc_tape_free(t);
        assert_int_equal(rc_memory_used(), before);
        assert_in_range(n, 0, 200);
    }
    countdown = SIZE_MAX;
    rc_set_allocator(NULL, NULL);
    assert_true(n > 5);
    rc_params_free(ps);
}

/* ---- packed weights --------------------------------------------------------------------------------------------------- */

/* y = x W^T against a double sum, so that a stale copy shows. */
static bool multiplies_by(rc_tape *t, const rc_var *v) {
    size_t N = v->dim[0], K = v->dim[1];
    rc_real x[64], y[64];
    for (int trans = 0; trans < 2; trans++) {
        const rc__packed *p = rc__tape_packed(t, v, trans);
        assert_non_null(p);
        size_t in = trans ? N : K, out = trans ? K : N;
        for (size_t k = 0; k < in; k++) x[k] = 1 + (float)(k % 3);
        rc__gemm_packed(1, x, in, p, NULL, false, y, out);
        for (size_t n = 0; n < out; n++) {
            double want = 0;
            for (size_t k = 0; k < in; k++) want += x[k] * v->x[trans ? k * K + n : n * K + k];
            if (!(fabs(y[n] - want) < 1e-4)) return false;
        }
    }
    return true;
}

static void test_packed_copies(void **state) {
    (void)state;
    rc_params *ps = two(false);
    rc_param *w = rc_params_at(ps, 0);
    rc_tape *t = new_tape();
    rc_var *v = rc_param_var(t, w);
    const rc__packed *first = rc__tape_packed(t, v, false);
    assert_ptr_equal(rc__tape_packed(t, v, false), first);
    assert_ptr_not_equal(rc__tape_packed(t, v, true), first);
    assert_true(multiplies_by(t, v));
    /* unchanged: the same copy over steps; a value changed behind our back goes unseen, which shows that it is not remade */
    rc_tape_begin(t, training);
    v = rc_param_var(t, w);
    assert_ptr_equal(rc__tape_packed(t, v, false), first);
    w->w[0] += 1;
    assert_false(multiplies_by(t, v));
    rc_params_changed(ps);
    assert_true(multiplies_by(t, v));
    /* another variable: packed anew in each run */
    rc_real m[6] = {1, 2, 3, 4, 5, 6};
    for (int run = 0; run < 3; run++) {
        rc_tape_begin(t, training);
        m[0] += 1;
        assert_true(multiplies_by(t, rc_leaf(t, DIMS(2, 3), m)));
        m[0] += 1;
        assert_false(multiplies_by(t, rc_leaf(t, DIMS(2, 3), m)));
    }
    assert_null(rc__tape_packed(t, rc_zeros(t, DIMS(3)), false));
    says(t, RC_EINVAL, "pack: a weight is (3), expected 2 dimensions");
    /* a new set at an old one's address */
    for (int i = 0; i < 20; i++) {
        rc_params_free(ps);
        ps = two(false);
        rc_params_at(ps, 0)->w[0] = (float)i;
        rc_params_changed(ps);
        rc_tape_begin(t, training);
        assert_true(multiplies_by(t, rc_param_var(t, rc_params_at(ps, 0))));
    }
    rc_tape_free(t);
    rc_params_free(ps);
}

/* Weights of many shapes in turn: copies that nobody uses go away. */
static void test_packed_copies_are_bounded(void **state) {
    (void)state;
    rc_tape *t = new_tape();
    static rc_real w[171 * 64];
    size_t after_first = 0;
    for (size_t round = 0; round < 6; round++) {
        for (size_t i = 1; i <= 100; i++) {
            rc_tape_begin(t, training);
            size_t n = 1 + (i + round * 100) % 170; /* more sizes than an unused copy is kept for */
            assert_non_null(rc__tape_packed(t, rc_leaf(t, DIMS(n, 64), w), false));
        }
        if (round == 1) after_first = rc_memory_used();
    }
    assert_true(rc_memory_used() <= 2 * after_first);
    rc_tape_free(t);
}

/* ---- through the kernels that ship -------------------------------------------------------------------------------------- */

static void check_linear(size_t M, size_t K, size_t N, rc_real *keep, bool compare) {
    rc_real *x = malloc(M * K * sizeof *x), *w = malloc(N * K * sizeof *w), *b = malloc(N * sizeof *b);
    rc_rng r = rc_rng_make(M, K);
    for (size_t i = 0; i < M * K; i++) x[i] = (float)rc_rng_normal(&r);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)rc_rng_normal(&r);
    for (size_t i = 0; i < N; i++) b[i] = (float)rc_rng_normal(&r);
    rc_tape *t = new_tape();
    rc_var *vx = rc_leaf(t, DIMS(M, K), x), *vw = rc_leaf(t, DIMS(N, K), w), *vb = rc_leaf(t, DIMS(N), b);
    rc_var *y = rc_linear(t, vx, vw, vb), *loss = rc_sum_all(t, rc_mul(t, y, y)); /* dy = 2 y */
    rc_error e = {0};
    if (rc_backward(t, loss, 0.5, &e) != RC_OK) fail_msg("%s", e.text);
    double tolerance = 1e-5 * (double)(M + N + K);
    for (size_t m = 0; m < M; m += 1 + M / 20)
        for (size_t n = 0; n < N; n++) {
            double want = b[n];
            for (size_t k = 0; k < K; k++) want += (double)x[m * K + k] * w[n * K + k];
            assert_true(fabs(y->x[m * N + n] - want) < tolerance);
        }
    for (size_t m = 0; m < M; m += 1 + M / 20)
        for (size_t k = 0; k < K; k++) {
            double want = 0;
            for (size_t n = 0; n < N; n++) want += (double)y->x[m * N + n] * w[n * K + k];
            assert_true(fabs(vx->dx[m * K + k] - want) < tolerance * 10);
        }
    for (size_t n = 0; n < N; n += 1 + N / 20) {
        double sum = 0;
        for (size_t m = 0; m < M; m++) sum += y->x[m * N + n];
        assert_true(fabs(vb->dx[n] - sum) < 1e-4 * (1 + fabs(sum)));
        for (size_t k = 0; k < K; k++) {
            double want = 0;
            for (size_t m = 0; m < M; m++) want += (double)y->x[m * N + n] * x[m * K + k];
            assert_true(fabs(vw->dx[n * K + k] - want) < tolerance * 10);
        }
    }
    size_t at = 0;
    const struct { const rc_real *p; size_t n; } parts[] = {{y->x, M * N}, {vx->dx, M * K}, {vw->dx, N * K}, {vb->dx, N}};
    for (int i = 0; i < 4; at += parts[i++].n) {
        if (compare) assert_memory_equal(keep + at, parts[i].p, parts[i].n * sizeof *keep);
        else memcpy(keep + at, parts[i].p, parts[i].n * sizeof *keep);
    }
    rc_tape_free(t);
    free(x);
    free(w);
    free(b);
}

static void test_linear_in_float(void **state) {
    (void)state;
    size_t sizes[][3] = {{1, 1, 1}, {1, 17, 5}, {7, 33, 65}, {64, 50, 40}, {1300, 24, 31}};
    int saved = rc_threads();
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t M = sizes[i][0], K = sizes[i][1], N = sizes[i][2];
        rc_real *keep = malloc((M * N + M * K + N * K + N) * sizeof *keep);
        for (int threads = 1; threads <= 3; threads++) { /* the same bits for any number of threads */
            rc_set_threads(threads, NULL);
            check_linear(M, K, N, keep, threads > 1);
        }
        free(keep);
    }
    rc__parallel_threshold = threshold;
    rc_set_threads(saved, NULL);
}

/* A chain of passing variables has two gradients at a time, whatever its length, and the same numbers. */
static void test_passing_gradients(void **state) {
    (void)state;
    enum { N = 1000, LINKS = 20 };
    static rc_real x[N];
    rc_tape *t;
    size_t bytes[2];
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    for (int passing = 0; passing < 2; passing++) {
        rc_tape_begin(t, (rc_tape_mode){.grad = true});
        size_t dim = N;
        rc_var *leaf = rc_leaf(t, 1, &dim, x), *v = leaf, *inner = NULL;
        for (int i = 0; i < LINKS; i++) {
            v = rc_scale(t, v, 2, 1);
            if (passing) rc__passing(v);
            if (i == 3) inner = v;
        }
        rc_var *loss = rc_sum_all(t, v);
        bytes[passing] = rc_tape_bytes(t);
        assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
        bytes[passing] = rc_tape_bytes(t) - bytes[passing];
        for (int i = 0; i < N; i++) assert_true(leaf->dx[i] == (rc_real)(1 << LINKS));
        assert_int_equal(inner->dx == NULL, passing);
    }
    assert_true(bytes[0] >= LINKS * N * sizeof(rc_real));
    assert_true(bytes[1] < 4 * N * sizeof(rc_real));
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_null_dead_and_bad_shapes),
        cmocka_unit_test(test_backward_refusals),
        cmocka_unit_test(test_shape_text),
        cmocka_unit_test(test_gradients_of_leaves),
        cmocka_unit_test(test_parameters_accumulate),
        cmocka_unit_test(test_gradient_memory),
        cmocka_unit_test(test_passing_gradients),
        cmocka_unit_test(test_random_streams),
        cmocka_unit_test(test_steady_loop_allocates_nothing),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_packed_copies),
        cmocka_unit_test(test_packed_copies_are_bounded),
        cmocka_unit_test(test_linear_in_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
