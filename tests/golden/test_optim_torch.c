/* Every optimizer and option against torch.optim: the weights after steps 1, 2, 5 and 12 (make_optim.py says of what).
 * Built twice: against the library, and against the same sources in double (tests/grad/test_optim_torch64.c), where the
 * agreement must be nearly exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "recur/optim.h"
#include <math.h>

#define STEPS 12
typedef struct golden_case {
    const char *name;
    rc_optim_options opt;
    double lr, bias_scale;
    bool bias_no_decay, sparse;
    double w[4][22];
} golden_case;
#include "golden/optim_data.h"
#define N_CASES (sizeof golden_cases / sizeof *golden_cases)

static rc_params *make(const golden_case *c) {
    rc_params *ps;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    size_t a[2] = {5, 3}, bias = 7, emb[2] = {6, 3}, first = 0;
    rc_init zero = {.kind = RC_INIT_ZEROS};
    if (c->sparse) {
        rc_params_add(ps, "emb", 2, emb, zero, &e)->sparse = true;
    } else {
        rc_params_add(ps, "a", 2, a, zero, &e);
        rc_param *b = rc_params_add(ps, "bias", 1, &bias, zero, &e);
        b->lr_scale = c->bias_scale;
        b->no_decay = c->bias_no_decay;
    }
    assert_int_equal(rc_params_build(ps, 1, &e), RC_OK);
    for (size_t k = 0; k < rc_params_count(ps); k++) {
        rc_param *p = rc_params_at(ps, k);
        for (size_t i = 0; i < p->len; i++) p->w[i] = (rc_real)cos((double)(first + i + 1));
        first += p->len;
    }
    return ps;
}

static void set_gradients(rc_params *ps, bool sparse, int t) {
    size_t first = 0;
    if (sparse) {
        rc_param_touch(rc_params_at(ps, 0), (size_t)t % 6);
        rc_param_touch(rc_params_at(ps, 0), (size_t)(2 * t + 1) % 6);
    }
    for (size_t k = 0; k < rc_params_count(ps); k++) {
        rc_param *p = rc_params_at(ps, k);
        for (size_t i = 0; i < p->len; i++) {
            if (sparse && !p->row_used[i / 3]) continue;
            double w = (double)p->w[i];
            p->g[i] = (rc_real)((t % 4 == 0 ? 3 : 0.5) * (sin(3 * w + (double)(first + i)) + w / 2));
        }
        first += p->len;
    }
}

/* A step rounds w, g and the moments a handful of times, and none of these problems amplifies an error much: 12 steps
 * stay within 20 eps (5 were seen). SparseAdam adds eps before the bias correction of v, torch.optim.Adam - whose rule
 * ours is - after it; that case has eps = 1e-14. */
static double tolerance(const golden_case *c) {
    double eps = sizeof(rc_real) == 4 ? 1.2e-7 : 2.3e-16;
    return c->sparse ? 20 * eps + 1e-12 : 20 * eps;
}

/* The largest error over all weights kept, relative to the greater of 1 and the weight. */
static double largest_error(const golden_case *c, rc_optim_options opt) {
    static const int keep[4] = {1, 2, 5, 12};
    rc_params *ps = make(c);
    rc_optim *o;
    rc_error e = {0};
    if (rc_optim_new(&o, ps, &opt, &e) != RC_OK) fail_msg("%s: %s", c->name, e.text);
    double worst = 0, moved = 0;
    for (int t = 1, row = 0; t <= STEPS; t++) {
        set_gradients(ps, c->sparse, t);
        if (rc_optim_step(o, c->lr * (1 - t / 20.0), NULL, &e) != RC_OK) fail_msg("%s: %s", c->name, e.text);
        if (t != keep[row]) continue;
        size_t at = 0;
        for (size_t k = 0; k < rc_params_count(ps); k++) {
            const rc_param *p = rc_params_at(ps, k);
            for (size_t i = 0; i < p->len; i++, at++) {
                double want = c->w[row][at], error = fabs((double)p->w[i] - want) / fmax(1, fabs(want));
                worst = error > worst || isnan(error) ? error : worst;
                moved += fabs(want - cos((double)(at + 1)));
                assert_true(p->g[i] == 0);
            }
        }
        row++;
    }
    assert_true(moved > 0.1);
    assert_int_equal(rc_optim_steps(o), STEPS);
    rc_optim_free(o);
    rc_params_free(ps);
    return worst;
}

static void test_against_torch(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const golden_case *c = &golden_cases[i];
        double error = largest_error(c, c->opt);
        print_message("%-26s largest error %.1e, allowed %.1e\n", c->name, error, tolerance(c));
        assert_true(error <= tolerance(c));
    }
}

/* The comparison must see each option: with one changed a little it has to fail. */
static void test_refuses_a_wrong_option(void **state) {
    (void)state;
    size_t tried = 0;
    for (size_t i = 0; i < N_CASES; i++) {
        const golden_case *c = &golden_cases[i];
        size_t offsets[] = {offsetof(rc_optim_options, momentum),     offsetof(rc_optim_options, alpha),
                            offsetof(rc_optim_options, beta1),        offsetof(rc_optim_options, beta2),
                            offsetof(rc_optim_options, weight_decay), offsetof(rc_optim_options, clip_norm),
                            offsetof(rc_optim_options, clip_value)};
        bool adam = c->opt.kind == RC_OPTIM_ADAM || c->opt.kind == RC_OPTIM_ADAMW;
        for (size_t k = 0; k < sizeof offsets / sizeof *offsets; k++) {
            rc_optim_options wrong = c->opt;
            double *field = (double *)(void *)((char *)&wrong + offsets[k]);
            if (*field == 0 || ((field == &wrong.beta1 || field == &wrong.beta2) && !adam)) continue;
            *field *= 0.98;
            if (!(largest_error(c, wrong) > tolerance(c))) fail_msg("%s: option %zu made no difference", c->name, k);
            tried++;
        }
        if (c->bias_no_decay) { /* groups */
            golden_case other = *c;
            other.bias_no_decay = false;
            assert_true(largest_error(&other, c->opt) > tolerance(c));
            other = *c;
            other.bias_scale *= 1.001;
            assert_true(largest_error(&other, c->opt) > tolerance(c));
        }
        if (c->opt.nesterov) {
            rc_optim_options wrong = c->opt;
            wrong.nesterov = false;
            assert_true(largest_error(c, wrong) > tolerance(c));
        }
    }
    assert_true(tried >= 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_torch),
                                       cmocka_unit_test(test_refuses_a_wrong_option)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
