/* The step of an optimizer beyond its formula: threads, sparse rows, frozen parameters, divergence, options,
 * allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "recur/optim.h"
#include "failing.h"

#define ROWS  300
#define WIDTH 70

/* big spans several tiles and ends inside one; emb is row-sparse; bias is small. */
static rc_params *make(bool sparse) {
    rc_params *ps;
    rc_error e = {0};
    size_t big[2] = {301, 233}, emb[2] = {ROWS, WIDTH}, bias = 7;
    rc_init init = {.kind = RC_INIT_NORMAL, .value = 1};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    rc_params_add(ps, "big", 2, big, init, &e);
    rc_params_add(ps, "emb", 2, emb, init, &e)->sparse = sparse;
    rc_params_add(ps, "bias", 1, &bias, init, &e);
    assert_int_equal(rc_params_build(ps, 1, &e), RC_OK);
    return ps;
}

static void set_gradients(rc_params *ps, uint64_t step) {
    rc_rng r = rc_rng_make(7, step);
    for (size_t k = 0; k < 3; k++) {
        rc_param *p = rc_params_at(ps, k);
        if (k != 1) {
            for (size_t i = 0; i < p->len; i++) p->g[i] = (rc_real)rc_rng_normal(&r);
            continue;
        }
        for (int j = 0; j < 40; j++) {
            size_t row = (size_t)rc_rng_below(&r, ROWS);
            rc_param_touch(p, row);
            for (size_t i = 0; i < WIDTH; i++) p->g[row * WIDTH + i] = (rc_real)rc_rng_normal(&r);
        }
    }
}

static rc_optim *optimizer(rc_params *ps, rc_optim_options opt) {
    rc_optim *o;
    rc_error e = {0};
    if (rc_optim_new(&o, ps, &opt, &e) != RC_OK) fail_msg("%s", e.text);
    return o;
}

static void step(rc_optim *o, double lr, rc_optim_report *report) {
    rc_error e = {0};
    if (rc_optim_step(o, lr, report, &e) != RC_OK) fail_msg("%s", e.text);
}

static rc_optim_options some_options(rc_optim_kind kind) {
    rc_optim_options o = rc_optim_options_default();
    o.kind = kind;
    o.weight_decay = 0.01;
    o.clip_norm = 20;
    o.clip_value = 2;
    if (kind == RC_OPTIM_SGD || kind == RC_OPTIM_RMSPROP) o.momentum = 0.9;
    o.nesterov = kind == RC_OPTIM_SGD;
    return o;
}

static void assert_gradients_zero(const rc_params *ps) {
    for (size_t i = 0; i < rc_params_block_len(ps); i++) assert_true(rc_params_grads(ps)[i] == 0);
    for (size_t k = 0; k < rc_params_count(ps); k++) {
        const rc_param *p = rc_params_at(ps, k);
        assert_int_equal(p->n_rows, 0);
        for (size_t r = 0; p->row_used && r < p->dim[0]; r++) assert_int_equal(p->row_used[r], 0);
    }
}

static void test_threads_do_not_matter(void **state) {
    (void)state;
    rc__parallel_threshold = 0;
    for (int kind = RC_OPTIM_SGD; kind <= RC_OPTIM_ADAMW; kind++) {
        rc_params *ps[3];
        double norm[3] = {0};
        for (int k = 0; k < 3; k++) {
            static const int threads[3] = {1, 2, 7};
            rc_error e = {0};
            assert_int_equal(rc_set_threads(threads[k], &e), RC_OK);
            ps[k] = make(true);
            rc_optim *o = optimizer(ps[k], some_options((rc_optim_kind)kind));
            for (uint64_t t = 0; t < 4; t++) {
                rc_optim_report report;
                set_gradients(ps[k], t);
                step(o, 0.01, &report);
                norm[k] += report.grad_norm;
                assert_true(report.clipped && !report.bad);
            }
            assert_gradients_zero(ps[k]);
            rc_optim_free(o);
            assert_memory_equal(rc_params_values(ps[0]), rc_params_values(ps[k]),
                                rc_params_block_len(ps[0]) * sizeof(rc_real));
            assert_true(norm[k] == norm[0]);
        }
        for (int k = 0; k < 3; k++) rc_params_free(ps[k]);
    }
    rc_error e = {0};
    assert_int_equal(rc_set_threads(2, &e), RC_OK);
}

static void test_norm_and_clipping(void **state) {
    (void)state;
    rc_params *ps = make(false);
    rc_optim_options opt = rc_optim_options_default();
    opt.kind = RC_OPTIM_SGD;
    rc_optim *o = optimizer(ps, opt);
    set_gradients(ps, 3);
    double sum = 0;
    for (size_t i = 0; i < rc_params_block_len(ps); i++)
        sum += (double)rc_params_grads(ps)[i] * (double)rc_params_grads(ps)[i];
    rc_optim_report report;
    step(o, 0, &report);
    assert_true(fabs(report.grad_norm - sqrt(sum)) < 1e-9 * sqrt(sum));
    assert_false(report.clipped);
    rc_optim_free(o);

    /* An update of sgd at rate 1 is the clipped gradient: value first, then norm. */
    opt.clip_value = 0.5;
    opt.clip_norm = 3;
    o = optimizer(ps, opt);
    size_t n = rc_params_block_len(ps), bytes = n * sizeof(rc_real);
    rc_real *before = rc__alloc(bytes);
    memset(rc_params_values(ps), 0, bytes);
    set_gradients(ps, 3);
    memcpy(before, rc_params_grads(ps), bytes);
    step(o, 1, &report);
    assert_true(report.clipped && fabs(report.grad_norm - sqrt(sum)) < 1e-9 * sqrt(sum));
    double clipped = 0, after = 0;
    for (size_t i = 0; i < n; i++) {
        double g = fmin(0.5, fmax(-0.5, (double)before[i]));
        clipped += g * g;
    }
    for (size_t i = 0; i < n; i++) {
        double g = fmin(0.5, fmax(-0.5, (double)before[i])), w = (double)rc_params_values(ps)[i];
        assert_true(fabs(w + g * 3 / sqrt(clipped)) < 1e-7);
        after += w * w;
    }
    assert_true(fabs(sqrt(after) - 3) < 1e-4);
    rc__free(before, bytes);
    rc_optim_free(o);
    rc_params_free(ps);
}

/* Rows that were not used keep weight and moments bit for bit; used ones move as a dense parameter's would. */
static void test_sparse_rows(void **state) {
    (void)state;
    for (int kind = RC_OPTIM_SGD; kind <= RC_OPTIM_ADAMW; kind++) {
        rc_params *a = make(true), *b = make(false), *start = make(false);
        rc_optim *oa = optimizer(a, some_options((rc_optim_kind)kind)),
                 *ob = optimizer(b, some_options((rc_optim_kind)kind));
        set_gradients(a, 5);
        set_gradients(b, 5);
        bool used[ROWS];
        for (size_t r = 0; r < ROWS; r++) used[r] = rc_params_at(a, 1)->row_used[r];
        rc_optim_report ra, rb;
        step(oa, 0.01, &ra);
        step(ob, 0.01, &rb);
        assert_true(fabs(ra.grad_norm - rb.grad_norm) < 1e-9 * rb.grad_norm);
        const rc_param *pa = rc_params_at(a, 1), *pb = rc_params_at(b, 1), *p0 = rc_params_at(start, 1);
        size_t n_used = 0;
        for (size_t r = 0; r < ROWS; r++) {
            const rc_param *like = used[r] ? pb : p0;
            for (size_t i = r * WIDTH; i < (r + 1) * WIDTH; i++) {
                assert_true(fabs((double)(pa->w[i] - like->w[i])) <=
                            (used[r] ? 2e-7 * (1 + fabs((double)pb->w[i])) : 0));
                for (size_t m = 0; !used[r] && m < rc_optim_blocks(oa); m++)
                    assert_true(rc_optim_block(oa, m)[pa->offset + i] == 0);
            }
            n_used += used[r];
        }
        assert_true(n_used > 20 && n_used <= 40);
        assert_gradients_zero(a);
        rc_optim_free(oa);
        rc_optim_free(ob);
        rc_params_free(a);
        rc_params_free(b);
        rc_params_free(start);
    }
}

static void test_frozen_and_groups(void **state) {
    (void)state;
    rc_params *ps = make(true), *start = make(true);
    rc_optim_options opt = some_options(RC_OPTIM_ADAMW);
    rc_optim *o = optimizer(ps, opt);
    rc_params_at(ps, 0)->frozen = true;
    rc_params_at(ps, 2)->lr_scale = 0;
    set_gradients(ps, 1);
    rc_optim_report report;
    rc_params_at(ps, 0)->g[5] = (rc_real)NAN; /* of before it was frozen: neither seen nor kept */
    uint64_t version = rc_params_version(ps);
    step(o, 0.1, &report);
    assert_true(rc_params_version(ps) != version);
    double sum = 0;
    rc_params *again = make(true);
    set_gradients(again, 1);
    for (size_t k = 1; k < 3; k++)
        for (size_t i = 0; i < rc_params_at(again, k)->len; i++) {
            double g = (double)rc_params_at(again, k)->g[i];
            sum += g * g;
        }
    assert_true(fabs(report.grad_norm - sqrt(sum)) < 1e-9 * sqrt(sum));
    for (size_t k = 0; k < 3; k += 2)
        assert_memory_equal(rc_params_at(ps, k)->w, rc_params_at(start, k)->w,
                            rc_params_at(ps, k)->len * sizeof(rc_real));
    assert_true(memcmp(rc_params_at(ps, 1)->w, rc_params_at(start, 1)->w, rc_params_at(ps, 1)->len * sizeof(rc_real)) !=
                0);
    assert_gradients_zero(ps);
    rc_optim_free(o);
    rc_params_free(ps);
    rc_params_free(start);
    rc_params_free(again);
}

static void test_divergence(void **state) {
    (void)state;
    static const rc_real poison[2] = {(rc_real)NAN, (rc_real)-INFINITY};
    for (int k = 0; k < 2; k++)
        for (size_t where = 0; where < 3; where++) {
            rc_params *ps = make(true), *start = make(true);
            rc_optim *o = optimizer(ps, some_options(RC_OPTIM_ADAM));
            set_gradients(ps, 2);
            rc_param *p = rc_params_at(ps, where);
            size_t at = where == 1 ? (size_t)p->rows[p->n_rows - 1] * WIDTH + 3 : p->len - 1;
            rc_real old = p->g[at];
            p->g[at] = poison[k];
            rc_optim_report report;
            rc_error e = {0};
            assert_int_equal(rc_optim_step(o, 0.1, &report, &e), RC_EDIVERGED);
            assert_ptr_equal(report.bad, p);
            assert_non_null(strstr(e.text, p->name));
            assert_non_null(strstr(e.text, k ? "infinite" : "not a number"));
            assert_int_equal(rc_optim_steps(o), 0);
            assert_memory_equal(rc_params_values(ps), rc_params_values(start),
                                rc_params_block_len(ps) * sizeof(rc_real));
            for (size_t i = 0; i < rc_params_block_len(ps); i++) assert_true(rc_optim_block(o, 0)[i] == 0);
            p->g[at] = old; /* gradients are kept: the step can be done after all */
            step(o, 0.1, &report);
            assert_null(report.bad);
            rc_optim_free(o);
            rc_params_free(ps);
            rc_params_free(start);
        }
    rc_params *ps = make(true);
    rc_optim *o = optimizer(ps, some_options(RC_OPTIM_ADAM));
    rc_error e = {0};
    assert_int_equal(rc_optim_step(o, NAN, NULL, &e), RC_EINVAL);
    assert_int_equal(rc_optim_step(o, -1, NULL, &e), RC_EINVAL);
    assert_int_equal(rc_optim_step(o, INFINITY, NULL, &e), RC_EINVAL);
    rc_optim_free(o);
    rc_params_free(ps);
}

/* Its blocks and its count of steps are all of its state: a second one that gets them goes on with the same bits. */
static void test_resume(void **state) {
    (void)state;
    static const char *const names[5][2] = {{"momentum_buffer"},
                                            {"square_avg", "momentum_buffer"},
                                            {"sum"},
                                            {"exp_avg", "exp_avg_sq"},
                                            {"exp_avg", "exp_avg_sq"}};
    for (int kind = RC_OPTIM_SGD; kind <= RC_OPTIM_ADAMW; kind++) {
        rc_params *a = make(true), *b = make(true);
        rc_optim *oa = optimizer(a, some_options((rc_optim_kind)kind)),
                 *ob = optimizer(b, some_options((rc_optim_kind)kind));
        for (uint64_t t = 0; t < 3; t++) {
            set_gradients(a, t);
            step(oa, 0.01, NULL);
        }
        size_t bytes = rc_params_block_len(a) * sizeof(rc_real);
        memcpy(rc_params_values(b), rc_params_values(a), bytes);
        size_t n = 0;
        for (; n < rc_optim_blocks(oa); n++) {
            assert_string_equal(rc_optim_block_name(oa, n), names[kind][n]);
            memcpy(rc_optim_block(ob, n), rc_optim_block(oa, n), bytes);
        }
        assert_int_equal(n, names[kind][1] ? 2 : 1);
        assert_null(rc_optim_block(oa, n));
        assert_null(rc_optim_block_name(oa, n));
        rc_optim_set_steps(ob, rc_optim_steps(oa));
        set_gradients(a, 9);
        set_gradients(b, 9);
        size_t used = rc_memory_used(), peak = rc_memory_peak();
        step(oa, 0.01, NULL);
        assert_int_equal(rc_memory_used(), used);
        assert_int_equal(rc_memory_peak(), peak); /* a step allocates nothing */
        step(ob, 0.01, NULL);
        assert_memory_equal(rc_params_values(a), rc_params_values(b), bytes);
        rc_optim_free(oa);
        rc_optim_free(ob);
        rc_params_free(a);
        rc_params_free(b);
    }
}

static void refuse(rc_params *ps, rc_optim_options opt, const char *why) {
    rc_optim *o;
    rc_error e = {0};
    assert_int_equal(rc_optim_new(&o, ps, &opt, &e), RC_EINVAL);
    assert_null(o);
    if (!strstr(e.text, why)) fail_msg("expected \"%s\" in \"%s\"", why, e.text);
}

static void test_options(void **state) {
    (void)state;
    rc_params *ps = make(false), *unbuilt;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&unbuilt, &e), RC_OK);
    rc_optim_options o = rc_optim_options_default();
    assert_int_equal(o.kind, RC_OPTIM_ADAMW);
    refuse(unbuilt, o, "not built");
    o.momentum = 1, refuse(ps, o, "momentum"), o.momentum = 0;
    o.beta1 = -0.1, refuse(ps, o, "beta1"), o.beta1 = 0.9;
    o.beta2 = NAN, refuse(ps, o, "beta2"), o.beta2 = 0.99;
    o.alpha = 2, refuse(ps, o, "alpha"), o.alpha = 0.9;
    o.eps = -1, refuse(ps, o, "eps"), o.eps = 0;
    o.weight_decay = INFINITY, refuse(ps, o, "weight_decay"), o.weight_decay = 0;
    o.clip_norm = -1, refuse(ps, o, "clip_norm"), o.clip_norm = 0;
    o.clip_value = -1, refuse(ps, o, "clip_value"), o.clip_value = 0;
    o.nesterov = true, refuse(ps, o, "nesterov"), o.nesterov = false;
    o.kind = (rc_optim_kind)17, refuse(ps, o, "kind");
    for (int k = RC_OPTIM_SGD; k <= RC_OPTIM_ADAMW; k++) {
        rc_optim_kind found;
        assert_true(rc_optim_from_name(rc_optim_name((rc_optim_kind)k), &found));
        assert_int_equal(found, k);
    }
    rc_optim_kind kind = RC_OPTIM_SGD;
    assert_false(rc_optim_from_name("adamax", &kind));
    assert_false(rc_optim_from_name(NULL, &kind));
    rc_optim_free(NULL);
    rc_params_free(ps);
    rc_params_free(unbuilt);
}

static void test_out_of_memory(void **state) {
    (void)state;
    rc_params *ps = make(true);
    rc_optim_options opt = some_options(RC_OPTIM_RMSPROP);
    size_t used = rc_memory_used();
    long n = 0;
    for (rc_status s = RC_ENOMEM; s != RC_OK; n++) {
        rc_optim *o;
        rc_average *a = NULL;
        rc_error e = {0};
        failing f = {.left = n};
        rc_set_allocator(failing_alloc, &f);
        s = rc_optim_new(&o, ps, &opt, &e);
        assert_true(s == RC_OK ? o != NULL : o == NULL && s == RC_ENOMEM && e.text[0]);
        if (s == RC_OK) s = rc_average_new(&a, ps, RC_AVERAGE_EMA, 0.9, &e);
        assert_true(s == RC_OK || (s == RC_ENOMEM && !a));
        rc_optim_free(o);
        rc_average_free(a);
        rc_set_allocator(NULL, NULL);
        assert_int_equal(rc_memory_used(), used);
    }
    assert_true(n > 5);
    rc_params_free(ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_norm_and_clipping),
        cmocka_unit_test(test_sparse_rows),
        cmocka_unit_test(test_frozen_and_groups),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
