/* add, sub, mul with every kind of broadcasting; scale. */
#include <math.h>
#include <stdlib.h>
#include "base/parallel.h"
#include "grad.h"

typedef rc_var *(*binary)(rc_tape *t, rc_var *a, rc_var *b);
static const binary op[] = {rc_add, rc_sub, rc_mul};

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) { return op[*(int *)ctx](t, in[0], in[1]); }

static rc_var *with_itself(rc_tape *t, rc_var *const *in, void *ctx) { return op[*(int *)ctx](t, in[0], in[0]); }

typedef struct pair {
    int n[2];
    size_t dim[2][RC_MAX_DIMS];
} pair;
static const pair pairs[] = {
    {{3, 3}, {{3, 2, 5}, {3, 2, 5}}},    /* equal */
    {{3, 1}, {{3, 2, 5}, {5}}},          /* bias */
    {{3, 2}, {{3, 2, 5}, {2, 5}}},       /* suffix */
    {{3, 1}, {{3, 2, 5}, {1}}},          /* scalar */
    {{3, 0}, {{3, 2, 5}, {0}}},          /* scalar without axes */
    {{3, 3}, {{3, 2, 5}, {3, 2, 1}}},    /* one value per row */
    {{3, 3}, {{3, 2, 5}, {3, 1, 5}}},    /* repeated in the middle */
    {{3, 3}, {{3, 2, 5}, {1, 2, 1}}},    /* repeated at both ends */
    {{3, 3}, {{3, 2, 5}, {3, 1, 1}}},    /* the first axis only */
    {{2, 2}, {{4, 1}, {1, 5}}},          /* outer product */
    {{4, 3}, {{2, 1, 3, 1}, {4, 1, 5}}}, /* both ways at once */
    {{5, 5}, {{2, 1, 3, 1, 2}, {1, 2, 1, 3, 2}}},
    {{0, 0}, {{0}, {0}}},
};

static void test_gradients(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int k = 0; k < 3; k++)
            for (int swap = 0; swap < 2; swap++) {
                rc__gradcheck c = {.build = build, .ctx = &k, .n = 2, .seed = i, .in = {{.name = "a"}, {.name = "b"}}};
                for (int side = 0; side < 2; side++) {
                    c.in[side].ndim = pairs[i].n[side ^ swap];
                    memcpy(c.in[side].dim, pairs[i].dim[side ^ swap], sizeof c.in[side].dim);
                }
                check_gradient(&c);
            }
    for (int k = 0; k < 3; k++) {
        rc__gradcheck c = {.build = with_itself,
                           .ctx = &k,
                           .n = 1,
                           .in = {{.name = "a", .ndim = 2, .dim = {3, 5}, .zero_ok = k == 1}}};
        check_gradient(&c);
    }
}

/* NumPy's rule, element by element, against what the runs made. */
static void test_values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int k = 0; k < 3; k++) {
            rc_tape *t = training_tape(1);
            rc_var *a = rc_zeros(t, pairs[i].n[0], pairs[i].dim[0]), *b = rc_zeros(t, pairs[i].n[1], pairs[i].dim[1]);
            for (size_t e = 0; e < a->len; e++) a->x[e] = 1 + 0.5 * (double)e;
            for (size_t e = 0; e < b->len; e++) b->x[e] = 3 - 0.25 * (double)e;
            rc_var *y = op[k](t, a, b);
            assert_int_equal(y->ndim, a->ndim > b->ndim ? a->ndim : b->ndim);
            for (size_t e = 0; e < y->len; e++) {
                size_t at[2] = {0, 0}, step[2] = {1, 1}, rest = e;
                for (int d = 1; d <= y->ndim; rest /= y->dim[y->ndim - d], d++) {
                    const rc_var *v[2] = {a, b};
                    for (int s = 0; s < 2; s++) {
                        size_t n = d <= v[s]->ndim ? v[s]->dim[v[s]->ndim - d] : 1;
                        if (n > 1) at[s] += rest % n * step[s];
                        step[s] *= n;
                    }
                }
                double p = a->x[at[0]], q = b->x[at[1]], want = k == 0 ? p + q : k == 1 ? p - q : p * q;
                assert_true(fabs(y->x[e] - want) < 1e-12);
            }
            rc_tape_free(t);
        }
}

/* Arrays larger than a tile and a block of rows; the same bits with 1 and 3 threads. */
static void test_large(void **state) {
    (void)state;
    enum { R = 2500, C = 300 };
    size_t n = (size_t)R * C;
    rc_real *x = malloc(n * sizeof *x), *w = malloc(n * sizeof *w), *first = NULL;
    rc_rng r = rc_rng_make(5, 0);
    for (size_t i = 0; i < n; i++) {
        x[i] = rc_rng_normal(&r);
        w[i] = rc_rng_normal(&r);
    }
    int saved = rc_threads();
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (int threads = 1; threads <= 3; threads += 2) {
        assert_int_equal(rc_set_threads(threads, NULL), RC_OK);
        rc_tape *t = training_tape(1);
        rc_var *a = rc_leaf(t, DIMS(R, C), x), *b = rc_leaf(t, DIMS(C), w), *c = rc_leaf(t, DIMS(R, 1), w),
               *s = rc_leaf(t, DIMS(1), w);
        rc_var *weight = rc_input(t, DIMS(R, C), w);
        rc_var *y = rc_mul(t, rc_sub(t, rc_mul(t, rc_mul(t, a, b), c), s), weight);
        rc_error e = {0};
        if (rc_backward(t, rc_sum_all(t, y), 1, &e) != RC_OK) fail_msg("%s", e.text);
        for (size_t j = 0; j < C; j += 7) {
            double want = 0;
            for (size_t i = 0; i < R; i++) want += w[i * C + j] * x[i * C + j] * w[i];
            assert_true(fabs(b->dx[j] - want) < 1e-9);
        }
        for (size_t i = 0; i < R; i += 101) {
            double want = 0;
            for (size_t j = 0; j < C; j++) want += w[i * C + j] * x[i * C + j] * w[j];
            assert_true(fabs(c->dx[i] - want) < 1e-9);
        }
        double want = 0;
        for (size_t i = 0; i < n; i++) want -= w[i];
        assert_true(fabs(s->dx[0] - want) < 1e-8);
        for (size_t i = 0; i < n; i += 997) assert_true(fabs(a->dx[i] - w[i] * w[i % C] * w[i / C]) < 1e-12);
        if (!first) {
            first = malloc((n + C + R + 1) * sizeof *first);
            memcpy(first, a->dx, n * sizeof *first);
            memcpy(first + n, b->dx, C * sizeof *first);
            memcpy(first + n + C, c->dx, R * sizeof *first);
            first[n + C + R] = s->dx[0];
        } else {
            assert_memory_equal(first, a->dx, n * sizeof *first);
            assert_memory_equal(first + n, b->dx, C * sizeof *first);
            assert_memory_equal(first + n + C, c->dx, R * sizeof *first);
            assert_true(first[n + C + R] == s->dx[0]);
        }
        rc_tape_free(t);
    }
    rc__parallel_threshold = threshold;
    rc_set_threads(saved, NULL);
    free(x);
    free(w);
    free(first);
}

static rc_var *scale(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_scale(t, in[0], -2.5, 3);
}

static void test_scale(void **state) {
    (void)state;
    rc__gradcheck c = {.build = scale, .n = 1, .in = {{.name = "x", .ndim = 2, .dim = {3, 5}}}};
    check_gradient(&c);
    rc_tape *t = training_tape(1);
    rc_var *y = rc_scale(t, ones(t, DIMS(3)), -2.5, 3);
    for (size_t i = 0; i < 3; i++) assert_true(y->x[i] == 0.5);
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    check_refused(t, rc_add(t, rc_zeros(t, DIMS(3, 4)), rc_zeros(t, DIMS(3))),
                  "add: shapes (3, 4) and (3) do not broadcast");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_mul(t, rc_zeros(t, DIMS(2, 3, 4)), rc_zeros(t, DIMS(2, 2, 4))),
                  "mul: shapes (2, 3, 4) and (2, 2, 4) do not broadcast");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_sub(t, NULL, rc_zeros(t, DIMS(2))), "sub: input 1 of 2 is NULL");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_scale(t, NULL, 1, 0), "scale: the input is NULL");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_large), cmocka_unit_test(test_scale),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
