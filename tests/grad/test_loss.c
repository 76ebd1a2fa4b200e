/* Losses: gradients for every option, known values, padding that must not matter, the fused cross-entropy against the
 * plain one. */
#include "grad.h"
#include <math.h>
#include <stdlib.h>

enum { T = 4, B = 3, V = 5, K = 6, F = 2 };
static const int32_t lengths[B] = {3, 0, 4};
static const int32_t classes[T * B] = {1, 4, 0, -100, 2, 3, 4, 0, 0, 1, 3, 2}; /* -100: ignored */
static const int32_t padded[T * B] = {1, -7, 0, -100, 99, 3,
                                      4, -1, 0, -5,   7,  2}; /* what lies beyond lengths is garbage */
static const double weights[V] = {0.5, 2, 1, 0, 2.2}, positive[F] = {3, 0.5}, quantiles[3] = {0.1, 0.5, 0.9};
static double values[T * B * F], zero_one[T * B * F];
static double some_values[T * B * F], some_zero_one[T * B * F]; /* with NaN in some places */

typedef enum kind { CE, FUSED, FUSED_NO_BIAS, BCE, MSE, MAE, HUBER, QUANTILE } kind;
typedef struct setup {
    kind kind;
    rc_loss_options o;
    const int32_t *classes;
    bool missing;
} setup;

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    const setup *s = ctx;
    switch (s->kind) {
    case CE: return rc_cross_entropy(t, in[0], s->classes, &s->o);
    case FUSED: return rc_linear_cross_entropy(t, in[0], in[1], in[2], s->classes, &s->o, NULL, NULL);
    case FUSED_NO_BIAS: return rc_linear_cross_entropy(t, in[0], in[1], NULL, s->classes, &s->o, NULL, NULL);
    case BCE: return rc_bce_logits(t, in[0], s->missing ? some_zero_one : zero_one, &s->o);
    case MSE: return rc_mse(t, in[0], s->missing ? some_values : values, &s->o);
    case MAE: return rc_mae(t, in[0], s->missing ? some_values : values, &s->o);
    case HUBER: return rc_huber(t, in[0], s->missing ? some_values : values, &s->o);
    case QUANTILE: return rc_quantile(t, in[0], s->missing ? some_values : values, &s->o);
    }
    return NULL;
}

static setup class_setup(kind k, int variant) {
    setup s = {.kind = k, .o = rc_loss_options_default(), .classes = variant & 1 ? padded : classes};
    s.o.lengths = variant & 1 ? lengths : NULL;
    s.o.sum = variant & 2;
    s.o.label_smoothing = variant & 4 ? 0.3 : 0;
    s.o.class_weights = variant & 8 ? weights : NULL;
    return s;
}

static void test_class_gradients(void **state) {
    (void)state;
    for (int k = CE; k <= FUSED_NO_BIAS; k++)
        for (int variant = 0; variant < 16; variant++) {
            setup s = class_setup((kind)k, variant);
            rc__gradcheck c = {.build = build,
                               .ctx = &s,
                               .n = 1,
                               .seed = (uint64_t)variant + 1,
                               .in = {{"logits", 3, {T, B, V}, RC__FILL_NORMAL}}};
            if (k != CE) {
                c.n = k == FUSED ? 3 : 2;
                c.in[0] = (rc__gradcheck_input){.name = "x", .ndim = 3, .dim = {T, B, K}, .fill = RC__FILL_NORMAL};
                c.in[1] = (rc__gradcheck_input){.name = "w", .ndim = 2, .dim = {V, K}, .fill = RC__FILL_NORMAL};
                c.in[2] = (rc__gradcheck_input){.name = "b", .ndim = 1, .dim = {V}, .fill = RC__FILL_NORMAL};
            }
            check_gradient(&c);
        }
}

static void test_element_gradients(void **state) {
    (void)state;
    for (int k = BCE; k <= QUANTILE; k++)
        for (int variant = 0; variant < 16; variant++) {
            setup s = {.kind = (kind)k, .o = rc_loss_options_default(), .missing = variant & 8};
            s.o.lengths = variant & 1 ? lengths : NULL;
            s.o.sum = variant & 2;
            if (k == BCE && variant & 4) s.o.class_weights = positive;
            if (k == HUBER) s.o.delta = variant & 4 ? 0.4 : 1;
            s.o.quantiles = quantiles;
            s.o.n_quantiles = 3;
            rc__gradcheck c = {.build = build,
                               .ctx = &s,
                               .n = 1,
                               .seed = (uint64_t)variant + 1,
                               .in = {{"pred", 3, {T, B, F}, RC__FILL_NORMAL}}};
            if (k == QUANTILE)
                c.in[0] =
                    (rc__gradcheck_input){.name = "pred", .ndim = 4, .dim = {T, B, F, 3}, .fill = RC__FILL_NORMAL};
            check_gradient(&c);
        }
}

static void fill(double *x, size_t n, uint64_t seed) {
    rc_rng r = rc_rng_make(seed, 0);
    for (size_t i = 0; i < n; i++) x[i] = rc_rng_normal(&r);
}

static double value_of(rc_tape *t, rc_var *loss) {
    rc_error e = {0};
    if (rc_tape_status(t, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(loss->ndim, 0);
    return loss->x[0];
}

/* The definitions, written out once more. */
static void test_class_values(void **state) {
    (void)state;
    double x[T * B * V];
    fill(x, T * B * V, 3);
    for (int variant = 0; variant < 16; variant++) {
        setup s = class_setup(CE, variant);
        double total = 0, count = 0, e = s.o.label_smoothing;
        for (int r = 0; r < T * B; r++) {
            int y = s.classes[r];
            if ((variant & 1 && r / B >= lengths[r % B]) || y == -100) continue;
            double sum = 0, wy = variant & 8 ? weights[y] : 1;
            for (int c = 0; c < V; c++) sum += exp(x[r * V + c]);
            total += (1 - e) * wy * (log(sum) - x[r * V + y]);
            for (int c = 0; c < V; c++) total += e / V * (variant & 8 ? weights[c] : 1) * (log(sum) - x[r * V + c]);
            count += wy;
        }
        if (!s.o.sum) total /= count;
        rc_tape *t = training_tape(1);
        double got = value_of(t, rc_cross_entropy(t, rc_input(t, 3, (size_t[]){T, B, V}, x), s.classes, &s.o));
        if (!(fabs(got - total) < 1e-12)) fail_msg("variant %d: %.15g, expected %.15g", variant, got, total);
        rc_tape_free(t);
    }
}

static void test_element_values(void **state) {
    (void)state;
    static const double p[3] = {0.5, -2, 3}, y[3] = {1, -2, 0}, q[2] = {0.25, 0.75}, t01[3] = {1, 0, 0.5};
    rc_tape *t = training_tape(1);
    rc_var *v = rc_input(t, 1, (size_t[]){3}, p);
    assert_true(fabs(value_of(t, rc_mse(t, v, y, NULL)) - (0.25 + 9) / 3) < 1e-15);
    assert_true(fabs(value_of(t, rc_mae(t, v, y, NULL)) - 3.5 / 3) < 1e-15);
    assert_true(fabs(value_of(t, rc_huber(t, v, y, NULL)) - (0.125 + 2.5) / 3) < 1e-15);
    rc_loss_options o = rc_loss_options_default();
    o.delta = 2, o.sum = true;
    assert_true(fabs(value_of(t, rc_huber(t, v, y, &o)) - (0.125 + 4)) < 1e-15);
    double b = log1p(exp(-0.5)) + log1p(exp(-2)) + (3 * 0.5 + log1p(exp(-3)));
    assert_true(fabs(value_of(t, rc_bce_logits(t, v, t01, &o)) - b) < 1e-14);
    o.quantiles = q, o.n_quantiles = 2;
    static const double two[2][2] = {{1, 2}, {3, 1}}, truth[2] = {2, 1};
    double pinball = 0.25 * 1 + 0 + 0.75 * 2 + 0;
    assert_true(fabs(value_of(t, rc_quantile(t, rc_input(t, 2, (size_t[]){2, 2}, &two[0][0]), truth, &o)) - pinball) <
                1e-15);
    rc_tape_free(t);
}

/* NaN and garbage targets beyond a row's length change neither loss nor gradient; nothing counting gives 0. */
static void test_padding(void **state) {
    (void)state;
    for (int k = CE; k <= QUANTILE; k++)
        for (int none = 0; none < 2; none++) {
            static const int32_t empty[B] = {0, 0, 0};
            setup s = class_setup((kind)k, 1);
            s.o.quantiles = quantiles, s.o.n_quantiles = 3;
            if (none) s.o.lengths = empty;
            size_t width = k == CE ? V : k <= FUSED_NO_BIAS ? K : k == QUANTILE ? F * 3 : F;
            double x[2][T * B * K], w[V * K], bias[V], loss[2];
            fill(x[0], T * B * K, 3), fill(w, V * K, 4), fill(bias, V, 5);
            memcpy(x[1], x[0], sizeof x[0]);
            for (size_t r = 0; r < T * B; r++)
                for (size_t i = 0; i < width; i++)
                    if ((int32_t)(r / B) >= s.o.lengths[r % B]) x[1][r * width + i] = NAN;
            rc_tape *t[2];
            rc_var *in[2][3];
            for (int n = 0; n < 2; n++) {
                t[n] = training_tape(1);
                in[n][0] = rc_leaf(t[n], k == QUANTILE ? 4 : 3, (size_t[]){T, B, k == QUANTILE ? F : width, 3}, x[n]);
                in[n][1] = rc_leaf(t[n], 2, (size_t[]){V, K}, w);
                in[n][2] = rc_leaf(t[n], 1, (size_t[]){V}, bias);
                rc_var *l = build(t[n], in[n], &s);
                loss[n] = value_of(t[n], l);
                assert_int_equal(rc_backward(t[n], l, 1, NULL), RC_OK);
            }
            assert_true(loss[0] == loss[1]);
            assert_true(none ? loss[0] == 0 : loss[0] != 0);
            for (int i = 0; i < 3; i++) {
                if (!in[0][i]->dx) continue;
                assert_memory_equal(in[0][i]->dx, in[1][i]->dx, in[0][i]->len * sizeof(double));
                for (size_t j = 0; none && j < in[0][i]->len; j++) assert_true(in[0][i]->dx[j] == 0);
            }
            rc_tape_free(t[0]), rc_tape_free(t[1]);
        }
}

/* Missing targets: the loss of those that are there, whatever is predicted for the others; all missing gives 0. */
static void test_missing(void **state) {
    (void)state;
    for (int k = BCE; k <= QUANTILE; k++)
        for (int variant = 0; variant < 4; variant++) {
            setup s = {.kind = (kind)k, .o = rc_loss_options_default(), .missing = true};
            s.o.quantiles = quantiles, s.o.n_quantiles = 3;
            s.o.sum = variant & 1;
            s.o.lengths = variant & 2 ? lengths : NULL;
            size_t cols = k == QUANTILE ? 3 : 1, n = 0;
            static double x[T * B * F * 3], there[T * B * F * 3], target[T * B * F];
            const double *some = k == BCE ? some_zero_one : some_values;
            fill(x, T * B * F * 3, 3);
            for (size_t i = 0; i < T * B * F; i++) {
                bool in = !s.o.lengths || (int32_t)(i / F / B) < lengths[i / F % B];
                if (in && isfinite(some[i])) {
                    target[n] = some[i];
                    memcpy(there + cols * n++, x + cols * i, cols * sizeof *x);
                } else
                    for (size_t c = 0; c < cols; c++) x[cols * i + c] = NAN;
            }
            assert_true(n > 3 && n < T * B * F - 3);
            rc_tape *t = training_tape(1);
            rc_var *in = rc_leaf(t, k == QUANTILE ? 4 : 3, (size_t[]){T, B, F, cols}, x);
            rc_var *rest = rc_input(t, 2, (size_t[]){n, cols}, there), *loss = build(t, &in, &s);
            setup plain = s;
            plain.o.lengths = NULL;
            rc_var *want = k == BCE     ? rc_bce_logits(t, rest, target, &plain.o)
                           : k == MSE   ? rc_mse(t, rest, target, &plain.o)
                           : k == MAE   ? rc_mae(t, rest, target, &plain.o)
                           : k == HUBER ? rc_huber(t, rest, target, &plain.o)
                                        : rc_quantile(t, rest, target, &plain.o);
            assert_true(fabs(value_of(t, loss) - value_of(t, want)) < 1e-14 * fabs(want->x[0]));
            assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
            for (size_t i = 0; i < in->len; i++) assert_true(isnan(x[i]) ? in->dx[i] == 0 : in->dx[i] != 0);
            for (size_t i = 0; i < T * B * F; i++) target[i] = NAN;
            assert_true(value_of(t, rc_mse(t, rc_input(t, 3, (size_t[]){T, B, F}, x), target, &plain.o)) == 0);
            rc_tape_free(t);
        }
}

static double random_of(size_t n, double **x, uint64_t seed) {
    *x = malloc(n * sizeof **x);
    assert_non_null(*x);
    fill(*x, n, seed);
    return (double)n;
}

/* Loss and gradients of the fused op against linear and cross-entropy one after the other: one tile, several tiles, and
 * several groups (V large); rows left out; w of a tied table. */
static void fused_against_plain(size_t N, size_t k, size_t v, bool left_out) {
    double *x, *w, *b;
    random_of(N * k, &x, 1), random_of(v * k, &w, 2), random_of(v, &b, 3);
    int32_t *y = malloc(N * sizeof *y);
    rc_rng r = rc_rng_make(9, 9);
    size_t counted = 0;
    for (size_t i = 0; i < N; i++) {
        y[i] = left_out && i % 3 == 1 ? -100 : (int32_t)rc_rng_below(&r, v);
        counted += y[i] >= 0;
    }
    rc_loss_options o = rc_loss_options_default();
    o.label_smoothing = 0.1;
    rc_tape *t[2];
    rc_var *in[2][3], *loss[2];
    double nll, plain_nll;
    size_t count;
    for (int n = 0; n < 2; n++) {
        t[n] = training_tape(1);
        in[n][0] = rc_leaf(t[n], 2, (size_t[]){N, k}, x);
        in[n][1] = rc_leaf(t[n], 2, (size_t[]){v, k}, w);
        in[n][2] = rc_leaf(t[n], 1, (size_t[]){v}, b);
        loss[n] = n ? rc_linear_cross_entropy(t[n], in[n][0], in[n][1], in[n][2], y, &o, &nll, &count)
                    : rc_cross_entropy(t[n], rc_linear(t[n], in[n][0], in[n][1], in[n][2]), y, &o);
        value_of(t[n], loss[n]);
        assert_int_equal(rc_backward(t[n], loss[n], 0.5, NULL), RC_OK);
    }
    assert_true(fabs(loss[0]->x[0] - loss[1]->x[0]) < 1e-12 * fabs(loss[0]->x[0]));
    assert_int_equal(count, counted);
    for (int i = 0; i < 3; i++) {
        double worst = 0, size = 0;
        for (size_t j = 0; j < in[0][i]->len; j++) {
            double d = fabs(in[0][i]->dx[j] - in[1][i]->dx[j]), a = fabs(in[0][i]->dx[j]);
            worst = d > worst ? d : worst, size = a > size ? a : size;
        }
        assert_true(size > 0 && worst < 1e-12 * size);
    }
    rc_tape_begin(t[0], (rc_tape_mode){0}); /* without gradients: the same loss */
    o.label_smoothing = 0, o.sum = true;
    rc_var *xi = rc_input(t[0], 2, (size_t[]){N, k}, x), *wi = rc_input(t[0], 2, (size_t[]){v, k}, w),
           *bi = rc_input(t[0], 1, &v, b);
    plain_nll = value_of(t[0], rc_linear_cross_entropy(t[0], xi, wi, bi, y, &o, NULL, NULL));
    assert_true(fabs(plain_nll - nll) < 1e-10 * nll);
    rc_tape_free(t[0]), rc_tape_free(t[1]);
    free(x), free(w), free(b), free(y);
}

static void test_fused(void **state) {
    (void)state;
    for (int left_out = 0; left_out < 2; left_out++) {
        fused_against_plain(7, 3, 5, left_out);
        fused_against_plain(64, 9, 33, left_out);
        fused_against_plain(333, 17, 65, left_out);
        fused_against_plain(300, 2, 70001, left_out);
    }
}

/* A tied matrix gets the embedding's gradient and the softmax's. */
static rc_var *tied(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    static const int32_t ids[4] = {2, 0, 2, 4}, next[4] = {0, 2, 4, 1};
    return rc_linear_cross_entropy(t, rc_embedding(t, ids, 1, (size_t[]){4}, in[0]), in[0], NULL, next, NULL, NULL,
                                   NULL);
}

static void test_tied(void **state) {
    (void)state;
    rc__gradcheck c = {.build = tied, .n = 1, .in = {{"table", 2, {V, K}, RC__FILL_NORMAL}}};
    check_gradient(&c);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    rc_loss_options o = rc_loss_options_default();
    static const int32_t y[4] = {0, 1, 5, 0}, long_row[2] = {2, 3};
    static const double bad_weights[3] = {1, -1, 1}, bad_quantile[1] = {1};
#define REFUSED(call, text) \
    check_refused(t, (call), text), rc_tape_begin(t, (rc_tape_mode){.grad = true}), o = rc_loss_options_default()
    REFUSED(rc_cross_entropy(t, ones(t, DIMS(2, 2, 5)), y, &o),
            "cross_entropy: target 5 at position 2 of (2, 2), expected 0 to 4");
    REFUSED(rc_linear_cross_entropy(t, ones(t, DIMS(2, 2, 3)), ones(t, DIMS(5, 4)), NULL, y, &o, NULL, NULL),
            "linear_cross_entropy: x is (2, 2, 3), weight expects 4");
    REFUSED(
        rc_linear_cross_entropy(t, ones(t, DIMS(2, 2, 3)), ones(t, DIMS(5, 3)), ones(t, DIMS(4)), y, &o, NULL, NULL),
        "linear_cross_entropy: the bias is (4), expected (5)");
    o.lengths = long_row;
    REFUSED(rc_mse(t, ones(t, DIMS(2, 2, 3)), values, &o), "mse: length 3 of row 1 is outside 0..2");
    o.lengths = long_row;
    REFUSED(rc_mse(t, ones(t, DIMS(4)), values, &o), "mse: lengths need (T, B, ...), found (4)");
    o.label_smoothing = 1.5;
    REFUSED(rc_cross_entropy(t, ones(t, DIMS(2, 3)), y, &o), "cross_entropy: label_smoothing is 1.5, expected 0 to 1");
    o.class_weights = bad_weights;
    REFUSED(rc_cross_entropy(t, ones(t, DIMS(2, 3)), y, &o),
            "cross_entropy: weight of class 1 is -1, expected 0 or more");
    o.delta = 0;
    REFUSED(rc_huber(t, ones(t, DIMS(4)), values, &o), "huber: delta is 0, expected more than 0");
    REFUSED(rc_quantile(t, ones(t, DIMS(4, 1)), values, &o), "quantile: no quantiles are given");
    o.quantiles = bad_quantile, o.n_quantiles = 1;
    REFUSED(rc_quantile(t, ones(t, DIMS(4, 1)), values, &o), "quantile: quantile 0 is 1, expected inside (0, 1)");
    o.quantiles = quantiles, o.n_quantiles = 3;
    REFUSED(rc_quantile(t, ones(t, DIMS(4, 2)), values, &o),
            "quantile: pred is (4, 2), expected a last axis of 3 quantiles");
    REFUSED(rc_mae(t, ones(t, DIMS(4)), NULL, &o), "mae: targets is NULL");
    rc_tape_free(t);
}

int main(void) {
    fill(values, T * B * F, 77);
    for (int i = 0; i < T * B * F; i++) zero_one[i] = i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : 0.3;
    for (int i = 0; i < T * B * F; i++) {
        bool gone = i % 5 == 2 || i / F == 7; /* one element, and a whole position */
        some_values[i] = gone ? NAN : values[i];
        some_zero_one[i] = gone ? NAN : zero_one[i];
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class_gradients), cmocka_unit_test(test_element_gradients),
        cmocka_unit_test(test_class_values),    cmocka_unit_test(test_element_values),
        cmocka_unit_test(test_padding),         cmocka_unit_test(test_missing),
        cmocka_unit_test(test_fused),           cmocka_unit_test(test_tied),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
