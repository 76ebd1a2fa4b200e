/* Schedules: torch.optim.lr_scheduler where the definitions coincide, closed forms and properties elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "golden/schedule_data.h"
#include "recur/optim.h"

#define N                 40
#define assert_near(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void test_against_torch(void **state) {
    (void)state;
    rc_schedule step = rc_schedule_default(RC_SCHEDULE_STEP),
                exponential = rc_schedule_default(RC_SCHEDULE_EXPONENTIAL);
    rc_schedule cosine = rc_schedule_default(RC_SCHEDULE_COSINE), warm = rc_schedule_default(RC_SCHEDULE_CONSTANT);
    rc_schedule cycle = rc_schedule_default(RC_SCHEDULE_ONE_CYCLE);
    warm.warmup = 8;
    cycle.floor = 0.01;
    for (uint64_t k = 0; k <= N; k++) {
        double p = (double)k / N;
        assert_near(rc_schedule_factor(&step, k, p), torch_step[k]);
        assert_near(rc_schedule_factor(&exponential, k, p), torch_exponential[k]);
        assert_near(rc_schedule_factor(&cosine, k, p), torch_cosine[k]);
        assert_near(rc_schedule_factor(&warm, k, p), torch_warmup[k]);
    }
    for (uint64_t k = 0; k <= 30; k++) assert_near(rc_schedule_factor(&cycle, k, (double)k / 30), torch_one_cycle[k]);
}

static void test_plateau(void **state) {
    (void)state;
    rc_schedule s = rc_schedule_default(RC_SCHEDULE_PLATEAU);
    s.floor = 0.01;
    size_t n = sizeof plateau_losses / sizeof *plateau_losses;
    for (size_t i = 0; i < n; i++) {
        rc_schedule_observe(&s, plateau_losses[i]);
        assert_near(rc_schedule_factor(&s, 100, 0.5), torch_plateau[i]);
    }
    assert_true(torch_plateau[n - 1] < 0.05);
    rc_schedule other = rc_schedule_default(RC_SCHEDULE_COSINE), before = other;
    for (int i = 0; i < 9; i++) rc_schedule_observe(&other, 5);
    assert_true(rc_schedule_factor(&other, 3, 0.25) == rc_schedule_factor(&before, 3, 0.25));
    /* A negative loss (a density's) improves downwards too. */
    s = rc_schedule_default(RC_SCHEDULE_PLATEAU);
    static const double falling[] = {1, 0.5, 0, -1, -2, -3, -10};
    for (size_t i = 0; i < 7; i++) rc_schedule_observe(&s, falling[i]);
    assert_near(s.factor, 1);
    for (size_t i = 0; i < 2; i++) rc_schedule_observe(&s, -10);
    assert_near(s.factor, 0.25);
}

/* For all: in [0, 1], never above before the end of warm-up, defined for any progress, the last factor is the floor or
 * greater. */
static void test_limits(void **state) {
    (void)state;
    for (int kind = RC_SCHEDULE_CONSTANT; kind <= RC_SCHEDULE_PLATEAU; kind++) {
        rc_schedule s = rc_schedule_default((rc_schedule_kind)kind);
        for (uint64_t warmup = 0; warmup <= 100; warmup += 50) {
            s.warmup = warmup;
            double last = 2;
            for (uint64_t k = 0; k <= 1000; k++) {
                double p = (double)k / 1000, f = rc_schedule_factor(&s, k, p);
                assert_true(f >= 0 && f <= 1);
                if (k < warmup)
                    assert_true(f <= (double)(k + 1) / (double)warmup);
                else
                    assert_true(f >= s.floor);
                bool falling = kind != RC_SCHEDULE_ONE_CYCLE || p > s.peak_at;
                if (k > warmup && falling) assert_true(f <= last);
                last = f;
            }
            assert_true(rc_schedule_factor(&s, 0, 0) > (kind == RC_SCHEDULE_ONE_CYCLE ? 0 : 0.005));
            /* A clock may run over the budget, or fail. */
            assert_true(rc_schedule_factor(&s, 1000, 1.5) == rc_schedule_factor(&s, 1000, 1));
            assert_true(rc_schedule_factor(&s, 1000, -1) == rc_schedule_factor(&s, 1000, 0));
            assert_true(rc_schedule_factor(&s, 1000, NAN) == rc_schedule_factor(&s, 1000, 0));
            assert_true(isfinite(rc_schedule_factor(&s, UINT64_MAX, 1)));
        }
    }
}

/* What decays does so by the fraction of the run, whatever number of steps it took. */
static void test_ends_with_the_budget(void **state) {
    (void)state;
    static const double at_end[] = {1, 0.0625, 0.01, 0.02, 0};
    for (int kind = RC_SCHEDULE_CONSTANT; kind <= RC_SCHEDULE_ONE_CYCLE; kind++) {
        rc_schedule s = rc_schedule_default((rc_schedule_kind)kind);
        s.warmup = 5;
        assert_near(rc_schedule_factor(&s, 7, 1), at_end[kind]);
        assert_near(rc_schedule_factor(&s, 1000000, 1), at_end[kind]);
    }
    rc_schedule s = rc_schedule_default(RC_SCHEDULE_EXPONENTIAL);
    s.floor = 0.1;
    assert_near(rc_schedule_factor(&s, 7, 1), 0.1);
    s = rc_schedule_default(RC_SCHEDULE_STEP); /* the drops come at the fractions, in spite of rounding */
    s.every = 0.1;
    s.gamma = 0.1;
    assert_near(rc_schedule_factor(&s, 0, 0.3), 1e-3);
    assert_near(rc_schedule_factor(&s, 0, 0.29), 1e-2);
    s.every = 0;
    assert_near(rc_schedule_factor(&s, 0, 0.5), 1);
    s = rc_schedule_default(RC_SCHEDULE_ONE_CYCLE);
    assert_near(rc_schedule_factor(&s, 0, 0), 0.04);
    assert_near(rc_schedule_factor(&s, 0, 0.3), 1);
    s.peak_at = 0;
    assert_near(rc_schedule_factor(&s, 0, 0), 1);
    s.peak_at = 1;
    assert_near(rc_schedule_factor(&s, 0, 1), 1);
}

static void test_inverse_sqrt(void **state) {
    (void)state;
    rc_schedule s = rc_schedule_default(RC_SCHEDULE_INVERSE_SQRT);
    s.warmup = 10;
    /* Vaswani et al. 2017, equation 3: min(n^-1/2, n w^-3/2), over its peak w^-1/2 */
    for (uint64_t k = 0; k < 500; k++) {
        double n = (double)k + 1, noam = fmin(pow(n, -0.5), n * pow(10, -1.5)) * sqrt(10);
        assert_near(rc_schedule_factor(&s, k, 0.9), noam);
    }
    s.warmup = 0;
    assert_near(rc_schedule_factor(&s, 0, 0), 1);
    assert_near(rc_schedule_factor(&s, 99, 0), 0.1);
}

static void test_names(void **state) {
    (void)state;
    rc_schedule_kind k;
    for (int i = RC_SCHEDULE_CONSTANT; i <= RC_SCHEDULE_PLATEAU; i++) {
        assert_true(rc_schedule_from_name(rc_schedule_name((rc_schedule_kind)i), &k));
        assert_int_equal(k, i);
    }
    assert_false(rc_schedule_from_name("cosin", &k));
    assert_false(rc_schedule_from_name(NULL, &k));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_torch),        cmocka_unit_test(test_plateau),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_ends_with_the_budget), cmocka_unit_test(test_inverse_sqrt), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
