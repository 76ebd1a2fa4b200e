/* Likelihoods: gradients, masks, the ends of the range of parameters, refusals. Values are compared with PyTorch's in
 * golden/test_sequence_ops.c. */
#include "grad.h"
#include <math.h>
#include "autograd/likelihood.h"

enum { T = 4, B = 3, F = 2, N = T * B * F };
static const int32_t lengths[B] = {3, 0, 4};
static double value[N], some_values[N], count[N], some_counts[N], scale[N];

typedef enum kind { GAUSSIAN, STUDENT_T, BINOMIAL, SCALED, KINDS } kind;
typedef struct setup {
    kind kind;
    rc_loss_options o;
    bool missing;
} setup;

static size_t width_of(kind k) { return k == STUDENT_T ? 3 : 2; }

static rc_var *loss_of(rc_tape *t, kind k, rc_var *params, const double *y, const rc_loss_options *o) {
    switch (k) {
    case GAUSSIAN: return rc_gaussian_nll(t, params, y, o);
    case STUDENT_T: return rc_student_t_nll(t, params, y, o);
    case BINOMIAL: return rc_negative_binomial_nll(t, params, y, NULL, o);
    default: return rc_negative_binomial_nll(t, params, y, scale, o);
    }
}

static const double *targets_of(const setup *s) {
    return s->kind < BINOMIAL ? s->missing ? some_values : value : s->missing ? some_counts : count;
}

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    const setup *s = ctx;
    return loss_of(t, s->kind, in[0], targets_of(s), &s->o);
}

static void test_gradients(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++)
        for (int variant = 0; variant < 8; variant++) {
            setup s = {.kind = (kind)k, .o = rc_loss_options_default(), .missing = variant & 4};
            s.o.lengths = variant & 1 ? lengths : NULL;
            s.o.sum = variant & 2;
            rc__gradcheck c = {.build = build,
                               .ctx = &s,
                               .n = 1,
                               .seed = (uint64_t)variant + 1,
                               .in = {{.name = "params", .ndim = 4, .dim = {T, B, F, width_of((kind)k)}}}};
            check_gradient(&c);
        }
}

/* Raw parameters far out: sharp and flat, alpha at its floor and large (both sides of the two ways to take it), t that
 * is nearly normal. One position each; the derivative is asked relative to itself. */
static void test_range(void **state) {
    (void)state;
    static const double raw[] = {-30, -9, -2.5, -2.2, 3, 12, 30}, counts[] = {0, 1, 9, 300};
    for (int k = 0; k < KINDS; k++)
        for (size_t a = 0; a < 7; a++)
            for (size_t b = 0; b < 7; b++)
                for (size_t y = 0; y < 4; y++) {
                    double params[3] = {k < BINOMIAL ? 0.5 : raw[b], raw[a], raw[b]};
                    double target = k < BINOMIAL ? (counts[y] - 9) / 10 : counts[y], h = 1e-4;
                    rc_tape *t = training_tape(1);
                    size_t width = width_of((kind)k);
                    rc_var *p = rc_leaf(t, 1, &width, params), *loss = loss_of(t, (kind)k, p, &target, NULL);
                    assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
                    for (size_t i = 0; i < width; i++) {
                        double at[2];
                        for (int side = 0; side < 2; side++) {
                            double moved[3];
                            memcpy(moved, params, sizeof moved);
                            moved[i] += side ? h : -h;
                            at[side] = loss_of(t, (kind)k, rc_input(t, 1, &width, moved), &target, NULL)->x[0];
                        }
                        double want = (at[1] - at[0]) / (2 * h), size = fmax(fabs(at[0]), fabs(at[1]));
                        if (!(fabs(p->dx[i] - want) <= 1e-6 * fabs(want) + 1e-10 * (1 + size)))
                            fail_msg("kind %d, raw %g %g, target %g, derivative %zu: %.12g, expected %.12g", k, raw[a],
                                     raw[b], target, i, p->dx[i], want);
                    }
                    rc_tape_free(t);
                }
}

static void test_gamma(void **state) {
    (void)state;
    for (double x = 1e-7; x < 1e9; x *= 1.37) {
        double want = lgamma(x);
        if (!(fabs(rc__log_gamma(x) - want) <= 2e-14 * (1 + fabs(want))))
            fail_msg("log Gamma(%g): %.17g, libm %.17g", x, rc__log_gamma(x), want);
    }
}

/* Probabilities add up to one: over counts, and over a fine grid. */
static void test_normalised(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_loss_options o = rc_loss_options_default();
    for (int k = 0; k < KINDS; k++) {
        double params[3] = {0.7, -0.4, 1.5}, sum = 0, step = k < BINOMIAL ? 0.01 : 1;
        scale[0] = 2.5;
        for (int i = 0; i < (k < BINOMIAL ? 40000 : 400); i++) {
            double y = k < BINOMIAL ? step * (i - 20000) : i;
            rc_tape_begin(t, (rc_tape_mode){0});
            size_t width = width_of((kind)k);
            sum += step * exp(-loss_of(t, (kind)k, rc_input(t, 1, &width, params), &y, &o)->x[0]);
        }
        if (!(fabs(sum - 1) < 1e-4)) fail_msg("kind %d adds up to %.9g", k, sum);
    }
    rc_tape_free(t);
}

/* What is masked or missing may hold anything; nothing counting gives 0. */
static void test_masks(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        setup s = {.kind = (kind)k, .o = rc_loss_options_default(), .missing = true};
        s.o.lengths = lengths;
        size_t width = width_of((kind)k);
        static double x[N * 3], y[N];
        rc_rng r = rc_rng_make(5, 0);
        double want = 0, n = 0;
        rc_tape *t = training_tape(1);
        memcpy(y, targets_of(&s), sizeof y);
        for (size_t i = 0; i < N; i++) {
            bool in = (int32_t)(i / F / B) < lengths[i / F % B];
            if (!in) y[i] = -5;
            for (size_t c = 0; c < width; c++) x[i * width + c] = in && !isnan(y[i]) ? rc_rng_normal(&r) : NAN;
            if (!in || isnan(y[i])) continue;
            rc_var *one = rc_input(t, 1, &width, x + i * width);
            want += (k == SCALED ? rc_negative_binomial_nll(t, one, y + i, scale + i, NULL)
                                 : loss_of(t, (kind)k, one, y + i, NULL))
                        ->x[0];
            n++;
        }
        rc_var *p = rc_leaf(t, 4, (size_t[]){T, B, F, width}, x), *loss = loss_of(t, (kind)k, p, y, &s.o);
        assert_true(n > 3 && fabs(loss->x[0] - want / n) < 1e-13 * fabs(want));
        assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
        for (size_t i = 0; i < p->len; i++) assert_true(isnan(x[i]) ? p->dx[i] == 0 : p->dx[i] != 0);
        for (size_t i = 0; i < N; i++) y[i] = NAN;
        assert_true(loss_of(t, (kind)k, p, y, NULL)->x[0] == 0);
        rc_tape_free(t);
    }
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    double y[6] = {1, 2, 3, 4, -1, 0}, by[6] = {1, 1, 0, 1, 1, 1};
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        check_refused(t, call, text);                   \
    } while (0)
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
    REFUSE(rc_gaussian_nll(t, Z(3, 3), y, NULL), "gaussian_nll: params is (3, 3), expected a last axis of 2");
    REFUSE(rc_student_t_nll(t, Z(3, 2), y, NULL), "student_t_nll: params is (3, 2), expected a last axis of 3");
    REFUSE(rc_student_t_nll(t, Z(3, 3), NULL, NULL), "student_t_nll: targets is NULL");
    REFUSE(rc_negative_binomial_nll(t, Z(3, 2, 2), y, NULL, NULL),
           "negative_binomial_nll: target -1 at position 4 of (3, 2), expected a count");
    REFUSE(rc_negative_binomial_nll(t, Z(3, 2), y, by, NULL),
           "negative_binomial_nll: scale 0 at position 2 of (3), expected more than 0");
#undef REFUSE
#undef Z
    rc_tape_free(t);
}

int main(void) {
    rc_rng r = rc_rng_make(7, 0);
    for (int i = 0; i < N; i++) {
        bool gone = i % 5 == 2 || i / F == 7;
        value[i] = 2 * rc_rng_normal(&r), count[i] = (double)rc_rng_below(&r, 30),
        scale[i] = 0.3 + 5 * rc_rng_uniform(&r);
        some_values[i] = gone ? NAN : value[i], some_counts[i] = gone ? NAN : count[i];
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_range),
                                       cmocka_unit_test(test_gamma),     cmocka_unit_test(test_masks),
                                       cmocka_unit_test(test_refusals),  cmocka_unit_test(test_normalised)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
