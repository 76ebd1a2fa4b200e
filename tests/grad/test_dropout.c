/* Dropout: gradients through fixed masks, rates, streams, one mask per sequence, identity when not training. */
#include <math.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "grad.h"

static rc_var *plain(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_dropout(t, rc_dropout(t, in[0], 0.3), 0.5);
}

static rc_var *sequence(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_dropout_sequence(t, in[0], 0.4);
}

static void test_gradients(void **state) {
    (void)state;
    for (int training = 0; training < 2; training++) {
        rc__gradcheck c = {.build = plain,
                           .training = training,
                           .seed = 3,
                           .step = 7,
                           .n = 1,
                           .in = {{.name = "x", .ndim = 3, .dim = {3, 2, 5}}}};
        check_gradient(&c);
        c.build = sequence;
        check_gradient(&c);
    }
}

static void test_rate_and_scale(void **state) {
    (void)state;
    enum { N = 100000 };
    double ps[] = {0.1, 0.5, 0.9};
    for (int k = 0; k < 3; k++) {
        rc_tape *t = training_tape(11);
        rc_var *y = rc_dropout(t, ones(t, DIMS(N)), ps[k]);
        size_t kept = 0;
        for (size_t i = 0; i < N; i++) {
            assert_true(y->x[i] == 0 || fabs(y->x[i] - 1 / (1 - ps[k])) < 1e-12);
            kept += y->x[i] != 0;
        }
        assert_true(fabs((double)kept / N - (1 - ps[k])) < 5 * sqrt(ps[k] * (1 - ps[k]) / N));
        rc_tape_free(t);
    }
}

/* The mask is a function of (seed, step, number of the op), for any number of threads. */
static void mask(rc_tape *t, uint64_t seed, uint64_t step, int skip, rc_real *out, size_t n) {
    rc_tape_begin(t, (rc_tape_mode){.training = true, .seed = seed, .step = step});
    rc_var *x = ones(t, DIMS(n));
    for (int i = 0; i < skip; i++) rc_dropout(t, x, 0);
    memcpy(out, rc_dropout(t, x, 0.5)->x, n * sizeof *out);
}

static void test_streams(void **state) {
    (void)state;
    enum { N = 40000 };
    static rc_real a[N], b[N];
    rc_tape *t = training_tape(1);
    int saved = rc_threads();
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    rc_set_threads(1, NULL);
    mask(t, 1, 2, 0, a, N);
    assert_memory_not_equal(a, a + RC__TILE, RC__TILE * sizeof *a); /* tiles go on in the stream */
    rc_set_threads(3, NULL);
    mask(t, 1, 2, 0, b, N);
    assert_memory_equal(a, b, sizeof a);
    mask(t, 2, 2, 0, b, N);
    assert_memory_not_equal(a, b, sizeof a);
    mask(t, 1, 3, 0, b, N);
    assert_memory_not_equal(a, b, sizeof a);
    mask(t, 1, 2, 1, b, N);
    assert_memory_not_equal(a, b, sizeof a);
    rc__parallel_threshold = threshold;
    rc_set_threads(saved, NULL);
    rc_tape_free(t);
}

static void test_sequence_repeats_its_mask(void **state) {
    (void)state;
    rc_tape *t = training_tape(5);
    rc_var *y = rc_dropout_sequence(t, ones(t, DIMS(7, 30, 10)), 0.5);
    for (size_t s = 1; s < 7; s++) assert_memory_equal(y->x, y->x + s * 300, 300 * sizeof *y->x);
    assert_memory_not_equal(y->x, y->x + 10, 10 * sizeof *y->x); /* rows of the batch differ */
    rc_tape_free(t);
}

static void test_identity(void **state) {
    (void)state;
    rc_tape *t = training_tape(5);
    rc_var *x = ones(t, DIMS(2, 3, 4));
    assert_ptr_equal(rc_dropout(t, x, 0), x);
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = false});
    x = ones(t, DIMS(2, 3, 4));
    assert_ptr_equal(rc_dropout(t, x, 0.5), x);
    assert_ptr_equal(rc_dropout_sequence(t, x, 0.5), x);
    check_refused(t, rc_dropout(t, x, 1), "dropout: p is 1, expected 0 <= p < 1");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_dropout_sequence(t, ones(t, DIMS(2, 3, 4)), NAN),
                  "dropout_sequence: p is nan, expected 0 <= p < 1");
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    check_refused(t, rc_dropout_sequence(t, ones(t, DIMS(2, 3)), 0.5),
                  "dropout_sequence: x is (2, 3), expected (T, B, features)");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_rate_and_scale),
                                       cmocka_unit_test(test_streams), cmocka_unit_test(test_sequence_repeats_its_mask),
                                       cmocka_unit_test(test_identity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
