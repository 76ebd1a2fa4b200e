/* Averages of the weights: closed forms, exchanging, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "recur/optim.h"

static rc_params *make(void) {
    rc_params *ps;
    rc_error e = {0};
    size_t big[2] = {203, 211}, emb[2] = {50, 9}, bias = 7;
    rc_init init = {.kind = RC_INIT_NORMAL, .value = 1};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    rc_params_add(ps, "big", 2, big, init, &e);
    rc_params_add(ps, "emb", 2, emb, init, &e)->sparse = true;
    rc_params_add(ps, "bias", 1, &bias, init, &e)->frozen = true;
    assert_int_equal(rc_params_build(ps, 1, &e), RC_OK);
    return ps;
}

/* Weight i after update t: moves on for all but the frozen one. */
static void move(rc_params *ps, int t) {
    for (size_t k = 0; k < 2; k++) {
        rc_param *p = rc_params_at(ps, k);
        for (size_t i = 0; i < p->len; i++) p->w[i] = (rc_real)sin((double)(i % 1000) + 0.3 * t);
    }
}

static rc_average *average(rc_params *ps, rc_average_kind kind, double decay) {
    rc_average *a;
    rc_error e = {0};
    if (rc_average_new(&a, ps, kind, decay, &e) != RC_OK) fail_msg("%s", e.text);
    return a;
}

static void test_closed_forms(void **state) {
    (void)state;
    rc__parallel_threshold = 0;
    for (int kind = RC_AVERAGE_EMA; kind <= RC_AVERAGE_SWA; kind++) {
        rc_params *ps = make();
        rc_param *p = rc_params_at(ps, 0), *frozen = rc_params_at(ps, 2);
        double w0[300], ema[300], sum[300] = {0};
        for (size_t i = 0; i < 300; i++) ema[i] = w0[i] = (double)p->w[i];
        rc_average *a = average(ps, (rc_average_kind)kind, 0.6);
        assert_memory_equal(rc_average_block(a), rc_params_values(ps), rc_params_block_len(ps) * sizeof(rc_real));
        for (int n = 0; n < 30; n++) {
            move(ps, n);
            rc_average_update(a);
            double d = fmin(0.6, (1.0 + n) / (10.0 + n));
            for (size_t i = 0; i < 300; i++) {
                ema[i] = d * ema[i] + (1 - d) * (double)p->w[i];
                sum[i] += (double)p->w[i];
                double want = kind == RC_AVERAGE_EMA ? ema[i] : sum[i] / (n + 1);
                assert_true(fabs((double)rc_average_block(a)[p->offset + i] - want) < 2e-6);
            }
            if (n == 0 && kind == RC_AVERAGE_SWA)
                assert_memory_equal(rc_average_block(a) + p->offset, p->w, p->len * sizeof(rc_real));
        }
        assert_int_equal(rc_average_count(a), 30);
        assert_memory_equal(rc_average_block(a) + frozen->offset, frozen->w, frozen->len * sizeof(rc_real));
        rc_average_free(a);
        rc_params_free(ps);
    }
}

static void test_swap(void **state) {
    (void)state;
    rc_params *ps = make();
    rc_average *a = average(ps, RC_AVERAGE_EMA, 0.9);
    for (int n = 0; n < 3; n++) {
        move(ps, n);
        rc_average_update(a);
    }
    size_t bytes = rc_params_block_len(ps) * sizeof(rc_real);
    rc_real *w = rc__alloc(bytes), *avg = rc__alloc(bytes);
    rc_params_values(ps)[3] = -0.0f;
    memcpy(w, rc_params_values(ps), bytes);
    memcpy(avg, rc_average_block(a), bytes);
    uint64_t version = rc_params_version(ps);
    rc_average_swap(a);
    assert_true(rc_params_version(ps) != version);
    assert_memory_equal(rc_params_values(ps), avg, bytes);
    assert_memory_equal(rc_average_block(a), w, bytes);
    rc_average_swap(a);
    assert_memory_equal(rc_params_values(ps), w, bytes);
    assert_memory_equal(rc_average_block(a), avg, bytes);
    rc__free(w, bytes);
    rc__free(avg, bytes);
    rc_average_free(a);
    rc_params_free(ps);
}

static void test_resume_and_threads(void **state) {
    (void)state;
    for (int kind = RC_AVERAGE_EMA; kind <= RC_AVERAGE_SWA; kind++) {
        rc_params *ps = make();
        rc_error e = {0};
        rc_average *a = average(ps, (rc_average_kind)kind, 0.99), *b = average(ps, (rc_average_kind)kind, 0.99);
        size_t bytes = rc_params_block_len(ps) * sizeof(rc_real);
        for (int n = 0; n < 5; n++) {
            move(ps, n);
            rc_average_update(a);
        }
        memcpy(rc_average_block(b), rc_average_block(a), bytes);
        rc_average_set_count(b, rc_average_count(a));
        move(ps, 9);
        assert_int_equal(rc_set_threads(1, &e), RC_OK);
        rc_average_update(a);
        assert_int_equal(rc_set_threads(3, &e), RC_OK);
        rc_average_update(b);
        assert_memory_equal(rc_average_block(b), rc_average_block(a), bytes);
        rc_average_free(a);
        rc_average_free(b);
        rc_params_free(ps);
    }
}

static void test_options(void **state) {
    (void)state;
    rc_params *ps = make(), *unbuilt;
    rc_error e = {0};
    rc_average *a;
    assert_int_equal(rc_params_new(&unbuilt, &e), RC_OK);
    assert_int_equal(rc_average_new(&a, ps, RC_AVERAGE_EMA, 1, &e), RC_EINVAL);
    assert_int_equal(rc_average_new(&a, ps, RC_AVERAGE_EMA, NAN, &e), RC_EINVAL);
    assert_int_equal(rc_average_new(&a, ps, (rc_average_kind)9, 0.5, &e), RC_EINVAL);
    assert_int_equal(rc_average_new(&a, unbuilt, RC_AVERAGE_SWA, 0, &e), RC_EINVAL);
    assert_null(a);
    /* none: nothing, and nothing to do */
    assert_int_equal(rc_average_new(&a, ps, RC_AVERAGE_NONE, 0, &e), RC_OK);
    assert_null(a);
    rc_average_update(a);
    rc_average_swap(a);
    rc_average_set_count(a, 3);
    assert_int_equal(rc_average_count(a), 0);
    assert_null(rc_average_block(a));
    rc_average_free(a);
    rc_params_free(ps);
    rc_params_free(unbuilt);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed_forms), cmocka_unit_test(test_swap),
                                       cmocka_unit_test(test_resume_and_threads), cmocka_unit_test(test_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
