/* Initial values: distributions by their moments, orthogonality by the product with the transpose. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "recur/tape.h"

static rc_params *build(int ndim, const size_t *dim, rc_init init) {
    rc_params *ps = NULL;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    if (!rc_params_add(ps, "p", ndim, dim, init, &e)) fail_msg("%s", e.text);
    assert_int_equal(rc_params_build(ps, 11, &e), RC_OK);
    return ps;
}

typedef struct moments { double mean, deviation, least, most; } moments;

static moments measure(const rc_real *w, size_t n) {
    moments m = {0, 0, w[0], w[0]};
    for (size_t i = 0; i < n; i++) {
        m.mean += w[i] / (double)n;
        m.least = fmin(m.least, w[i]);
        m.most = fmax(m.most, w[i]);
    }
    for (size_t i = 0; i < n; i++) m.deviation += (w[i] - m.mean) * (w[i] - m.mean) / (double)n;
    m.deviation = sqrt(m.deviation);
    return m;
}

static void check_uniform(rc_init init, double bound) {
    rc_params *ps = build(2, (size_t[]){128, 96}, init);
    moments m = measure(rc_params_at(ps, 0)->w, 128 * 96);
    assert_true(m.least >= -bound * 1.000001 && m.most <= bound * 1.000001);
    assert_true(m.least < -0.99 * bound && m.most > 0.99 * bound);
    assert_true(fabs(m.mean) < 0.03 * bound && fabs(m.deviation - bound / sqrt(3)) < 0.02 * bound);
    rc_params_free(ps);
}

static void check_normal(rc_init init, double deviation) {
    rc_params *ps = build(2, (size_t[]){128, 96}, init);
    moments m = measure(rc_params_at(ps, 0)->w, 128 * 96);
    assert_true(fabs(m.mean) < 0.04 * deviation && fabs(m.deviation - deviation) < 0.03 * deviation);
    assert_true(m.most > 3 * deviation && m.least < -3 * deviation);
    rc_params_free(ps);
}

static void test_distributions(void **state) {
    (void)state;
    check_uniform((rc_init){.kind = RC_INIT_UNIFORM, .value = 0.3}, 0.3);
    check_uniform((rc_init){.kind = RC_INIT_XAVIER_UNIFORM}, sqrt(6.0 / (128 + 96)));
    check_uniform((rc_init){.kind = RC_INIT_XAVIER_UNIFORM, .blocks = 4}, sqrt(6.0 / (32 + 96)));
    check_uniform((rc_init){.kind = RC_INIT_XAVIER_UNIFORM, .gain = 2}, 2 * sqrt(6.0 / (128 + 96)));
    check_uniform((rc_init){.kind = RC_INIT_HE_UNIFORM}, sqrt(6.0 / 96));
    check_normal((rc_init){.kind = RC_INIT_NORMAL, .value = 0.02}, 0.02);
    check_normal((rc_init){.kind = RC_INIT_XAVIER_NORMAL, .blocks = 2}, sqrt(2.0 / (64 + 96)));
    check_normal((rc_init){.kind = RC_INIT_HE_NORMAL}, sqrt(2.0 / 96));
}

static void test_constants(void **state) {
    (void)state;
    rc_params *ps = build(1, (size_t[]){7}, (rc_init){.kind = RC_INIT_CONSTANT, .value = 1.5});
    for (size_t i = 0; i < 7; i++) assert_true(rc_params_at(ps, 0)->w[i] == 1.5f);
    rc_params_free(ps);
    ps = build(1, (size_t[]){8}, (rc_init){.kind = RC_INIT_CONSTANT, .value = 1.5, .blocks = 4, .only_block = 2});
    for (size_t i = 0; i < 8; i++) assert_true(rc_params_at(ps, 0)->w[i] == (i / 2 == 1 ? 1.5f : 0));
    rc_params_free(ps);
    ps = build(2, (size_t[]){6, 2}, (rc_init){.kind = RC_INIT_IDENTITY, .gain = 0.5, .blocks = 3});
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 2; j++) assert_true(rc_params_at(ps, 0)->w[i * 2 + j] == (i % 2 == j ? 0.5f : 0));
    rc_params_free(ps);
    ps = build(3, (size_t[]){2, 3, 4}, (rc_init){.kind = RC_INIT_ZEROS});
    for (size_t i = 0; i < 24; i++) assert_true(rc_params_at(ps, 0)->w[i] == 0);
    rc_params_free(ps);
}

/* The shorter side's vectors are orthonormal times gain, in every block. */
static void check_orthogonal(size_t rows, size_t cols, size_t blocks, double gain) {
    rc_params *ps = build(2, (size_t[]){rows * blocks, cols},
                          (rc_init){.kind = RC_INIT_ORTHOGONAL, .blocks = blocks, .gain = gain});
    size_t m = rows < cols ? rows : cols, n = rows < cols ? cols : rows;
    size_t step = rows < cols ? cols : 1, inner = rows < cols ? 1 : cols;
    for (size_t b = 0; b < blocks; b++) {
        const rc_real *w = rc_params_at(ps, 0)->w + b * rows * cols;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++) {
                double s = 0;
                for (size_t k = 0; k < n; k++) s += (double)w[i * step + k * inner] * (double)w[j * step + k * inner];
                assert_true(fabs(s - (i == j ? gain * gain : 0)) < 2e-6 * gain * gain);
            }
        if (b) assert_memory_not_equal(w, w - rows * cols, rows * cols * sizeof *w);
    }
    rc_params_free(ps);
}

static void test_orthogonal(void **state) {
    (void)state;
    check_orthogonal(64, 64, 4, 1);
    check_orthogonal(33, 20, 3, 1.5);
    check_orthogonal(20, 33, 1, 1);
    check_orthogonal(1, 5, 1, 1);
    check_orthogonal(5, 1, 2, 1);
    check_orthogonal(1, 1, 1, 2);
}

/* Signs are free: an orthogonal 1 x 1 matrix is +1 or -1 about as often. A QR without the sign fix gives one of them. */
static void test_orthogonal_signs(void **state) {
    (void)state;
    rc_params *ps = build(2, (size_t[]){400, 1}, (rc_init){.kind = RC_INIT_ORTHOGONAL, .blocks = 400});
    int plus = 0;
    for (size_t i = 0; i < 400; i++) plus += rc_params_at(ps, 0)->w[i] > 0;
    assert_in_range(plus, 160, 240);
    rc_params_free(ps);
}

/* One block of a matrix reads every third column; all other elements are those of the matrix without it. */
static void test_thin_block(void **state) {
    (void)state;
    rc_init init = {.kind = RC_INIT_XAVIER_UNIFORM, .blocks = 4};
    rc_params *all = build(2, (size_t[]){8, 6}, init);
    init.thin_block = 3, init.thin_every = 3;
    rc_params *thin = build(2, (size_t[]){8, 6}, init);
    for (size_t i = 0; i < 48; i++) {
        bool kept = i < 24 || i >= 36 || i % 3 == 2;
        rc_real w = rc_params_at(all, 0)->w[i];
        assert_true(w != 0 && rc_params_at(thin, 0)->w[i] == (kept ? w : 0));
    }
    rc_params_free(thin);
    rc_error e = {0};
    init.thin_every = 4;
    rc_params *ps;
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    assert_null(rc_params_add(ps, "p", 2, (size_t[]){8, 6}, init, &e));
    assert_string_equal(e.text, "parameter p: columns of block 3 of 4 cannot be thinned to every 4th");
    rc_params_free(ps);
    rc_params_free(all);
}

static void test_threads_do_not_matter(void **state) {
    (void)state;
    int threads = rc_threads();
    rc_init init = {.kind = RC_INIT_ORTHOGONAL};
    assert_int_equal(rc_set_threads(1, NULL), RC_OK);
    rc_params *a = build(2, (size_t[]){150, 150}, init);
    assert_int_equal(rc_set_threads(4, NULL), RC_OK);
    rc_params *b = build(2, (size_t[]){150, 150}, init);
    assert_memory_equal(rc_params_values(a), rc_params_values(b), 150 * 150 * sizeof(rc_real));
    rc_set_threads(threads, NULL);
    rc_params_free(a);
    rc_params_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),    cmocka_unit_test(test_constants),
        cmocka_unit_test(test_orthogonal),       cmocka_unit_test(test_orthogonal_signs),
        cmocka_unit_test(test_thin_block),       cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
