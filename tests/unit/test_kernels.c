/* Every build of the kernels against the reference one: lengths around the vector widths, unaligned arrays, guards on both
 * sides; NaN and infinity; results that do not depend on place or neighbours. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernels/kernels.h"

static const size_t lengths[] = {0, 1, 7, 8, 9, 31, 33, 1000, 2500};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)
#define CAP 2600
#define GUARD 24
#define MARK 12345.5f

static const rc__kernels *ref, *kernels[8];
static size_t n_kernels;

/* An array of n floats at a given distance from a 64-byte boundary, with marks on both sides. */
typedef struct box {
    float *v;
    size_t n;
    float room[CAP + 3 * GUARD + 16];
} box;

static void box_init(box *b, size_t n, size_t offset) {
    uintptr_t a = ((uintptr_t)(b->room + GUARD) + 63) / 64 * 64;
    b->v = (float *)a + offset;
    b->n = n;
    for (size_t i = 0; i < sizeof b->room / sizeof *b->room; i++) b->room[i] = MARK;
}

static void box_check(const box *b) {
    for (const float *p = b->room; p < b->v; p++) assert_true(*p == MARK);
    for (const float *p = b->v + b->n; p < b->room + sizeof b->room / sizeof *b->room; p++) assert_true(*p == MARK);
}

static uint32_t noise = 1;
static float draw(float low, float high) {
    noise = noise * 1664525u + 1013904223u;
    return low + (high - low) * (float)(noise >> 8) / 16777216.0f;
}

static void fill(box *b, float low, float high) {
    for (size_t i = 0; i < b->n; i++) b->v[i] = draw(low, high);
}

static void copy(box *to, const box *from) { memcpy(to->v, from->v, from->n * sizeof(float)); }

/* |a - b| <= relative |b| + absolute, NaN equals NaN */
static void near(const char *what, const rc__kernels *k, const box *a, const box *b, double relative, double absolute) {
    for (size_t i = 0; i < a->n; i++) {
        double x = (double)a->v[i], y = (double)b->v[i];
        if ((isnan(x) && isnan(y)) || x == y) continue;
        if (!(fabs(x - y) <= relative * fabs(y) + absolute)) {
            print_error("%s, %s: n %zu, element %zu: %.9g, reference %.9g\n", what, k->isa, a->n, i, x, y);
            fail();
        }
    }
    box_check(a);
    box_check(b);
}

#define FOR_ALL(k, n, offset)                                                                                        \
    for (size_t ik_ = 0; ik_ < n_kernels; ik_++)                                                                     \
        for (size_t il_ = 0; il_ < N_LENGTHS; il_++)                                                                 \
            for (size_t offset = 0; offset < 4; offset++)                                                            \
                for (const rc__kernels *k = kernels[ik_], *once_ = k; once_; once_ = NULL)                           \
                    for (size_t n = lengths[il_], go_ = 1; go_; go_ = 0)

static box A, B, C, D, E, F, G, H;

static void test_activations(void **state) {
    (void)state;
    static const char *names[RC_ACT_COUNT] = {"sigmoid", "tanh", "relu", "leaky", "elu", "gelu", "silu",
                                              "softplus", "exp", "log", "sqrt", "square", "abs"};
    for (int act = 0; act < RC_ACT_COUNT; act++) {
        bool positive = act == RC_ACT_LOG || act == RC_ACT_SQRT;
        FOR_ALL(k, n, offset) {
            box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, 0);
            fill(&A, positive ? 0.01f : -12, 12);
            k->pw.act[act](n, A.v, B.v);
            ref->pw.act[act](n, A.v, C.v);
            near(names[act], k, &B, &C, 1e-6, act == RC_ACT_GELU ? 3e-6 : 1e-7); /* gelu: 1 + erf cancels */
            box_init(&D, n, offset), box_init(&E, n, offset), box_init(&F, n, offset + 2);
            fill(&D, -2, 2), fill(&E, -1, 1), copy(&F, &E);
            k->pw.act_back[act](n, A.v, C.v, D.v, E.v);
            ref->pw.act_back[act](n, A.v, C.v, D.v, F.v);
            near(names[act], k, &E, &F, 4e-6, 1e-6);
            k->pw.act[act](n, A.v, A.v); /* in place */
            near(names[act], k, &A, &B, 0, 0);
        }
    }
}

static void test_nan_and_infinity(void **state) {
    (void)state;
    for (size_t i = 0; i < n_kernels; i++) {
        const rc__kernels *k = kernels[i];
        for (int act = 0; act < RC_ACT_COUNT; act++)
            for (size_t at = 0; at < 40; at++) {
                box_init(&A, 40, 1), box_init(&B, 40, 1);
                fill(&A, 0.5f, 1);
                A.v[at] = NAN;
                k->pw.act[act](40, A.v, B.v);
                for (size_t j = 0; j < 40; j++) assert_int_equal(isnan(B.v[j]) != 0, j == at);
            }
        const float inf[2] = {INFINITY, -INFINITY};
        float y[2];
        k->pw.act[RC_ACT_SIGMOID](2, inf, y);
        assert_true(y[0] == 1 && y[1] < 2e-38f);
        k->pw.act[RC_ACT_TANH](2, inf, y);
        assert_true(y[0] == 1 && y[1] == -1);
        k->pw.act[RC_ACT_EXP](2, inf, y);
        assert_true(y[0] == INFINITY && y[1] == 0);
        k->pw.act[RC_ACT_SOFTPLUS](2, inf, y);
        assert_true(y[0] == INFINITY && y[1] == 0);
        k->pw.act[RC_ACT_ELU](2, inf, y);
        assert_true(y[0] == INFINITY && y[1] == -1);
        for (size_t n = 1; n < 100; n++)
            for (size_t at = 0; at < n; at++) {
                box_init(&A, n, n % 5);
                fill(&A, -1, 1);
                A.v[at] = 3;
                assert_true(k->pw.max(n, A.v) == 3 && k->pw.finite(n, A.v));
                A.v[at] = -INFINITY;
                assert_true(!k->pw.finite(n, A.v) && k->pw.max(n, A.v) == ref->pw.max(n, A.v));
                A.v[at] = INFINITY;
                assert_true(k->pw.max(n, A.v) == INFINITY && !k->pw.finite(n, A.v));
                A.v[at] = NAN;
                assert_true(isnan(k->pw.max(n, A.v)) && !k->pw.finite(n, A.v));
            }
        float rows[2][3] = {{1, -INFINITY, 1}, {NAN, 1, 1}}, out[2][3];
        k->row.softmax(2, 3, rows[0], out[0]);
        assert_true(out[0][0] == 0.5f && out[0][1] == 0 && isnan(out[1][0]) && isnan(out[1][1]) && isnan(out[1][2]));
        float lse[2];
        k->row.logsumexp(2, 3, rows[0], lse);
        assert_true(fabsf(lse[0] - 1.6931472f) < 1e-6f && isnan(lse[1]));
    }
}

static void test_arithmetic(void **state) {
    (void)state;
    FOR_ALL(k, n, offset) {
        box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, offset), box_init(&D, n, 0);
        fill(&A, -2, 2), fill(&B, -2, 2);
        k->pw.add(n, A.v, B.v, C.v), ref->pw.add(n, A.v, B.v, D.v);
        near("add", k, &C, &D, 0, 0);
        k->pw.mul(n, A.v, B.v, C.v), ref->pw.mul(n, A.v, B.v, D.v);
        near("mul", k, &C, &D, 0, 0);
        k->pw.axpy(n, 0.3f, A.v, C.v), ref->pw.axpy(n, 0.3f, A.v, D.v);
        near("axpy", k, &C, &D, 0, 1e-6);
        k->pw.mul_add(n, A.v, B.v, C.v), ref->pw.mul_add(n, A.v, B.v, D.v);
        near("mul_add", k, &C, &D, 0, 2e-6);
        k->pw.scale(n, 2, 0.5f, C.v, C.v), ref->pw.scale(n, 2, 0.5f, D.v, D.v);
        near("scale", k, &C, &D, 0, 4e-6);
        assert_true(fabs(k->pw.sum(n, A.v) - ref->pw.sum(n, A.v)) <= 1e-10);
        assert_true(fabs(k->pw.sum_sq(n, A.v) - ref->pw.sum_sq(n, A.v)) <= 1e-10);
        assert_true(fabs(k->pw.dot(n, A.v, B.v) - ref->pw.dot(n, A.v, B.v)) <= 1e-10);
        if (n) assert_true(k->pw.max(n, A.v) == ref->pw.max(n, A.v));
        box_check(&A), box_check(&B);
    }
}

static void test_dropout_mask(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(0x123456789abcdefu, 0xfedcba9876543210u);
    for (size_t i = 0; i < n_kernels; i++)
        for (size_t l = 0; l < N_LENGTHS; l++)
            for (uint64_t first = 0; first < 9; first++) {
                size_t n = lengths[l];
                double p = first == 8 ? 0 : 0.3;
                uint64_t from = first == 7 ? ((uint64_t)1 << 34) - 6 : first; /* the block number grows past 32 bits */
                box_init(&A, n, 1);
                kernels[i]->pw.dropout_mask(n, r, from, p, A.v);
                box_check(&A);
                rc_rng s = r;
                s.position = from;
                for (size_t j = 0; j < n; j++)
                    assert_true(A.v[j] == (rc_rng_uniform(&s) >= p ? (float)(1 / (1 - p)) : 0.0f));
            }
}

static void test_rows(void **state) {
    (void)state;
    static const size_t widths[] = {1, 2, 3, 7, 16, 33, 65, 400, 2500};
    for (size_t i = 0; i < n_kernels; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (size_t offset = 0; offset < 3; offset++) {
                const rc__kernels *k = kernels[i];
                size_t cols = widths[w], rows = cols > 800 ? 1 : 3, n = rows * cols;
                float one[3], two[3], mean[2][3], rstd[2][3];
                box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, 0);
                fill(&A, -6, 6);
                k->row.softmax(rows, cols, A.v, B.v), ref->row.softmax(rows, cols, A.v, C.v);
                near("softmax", k, &B, &C, 4e-6, 1e-9);
                box_init(&D, n, 0), box_init(&E, n, offset), box_init(&F, n, 0);
                fill(&D, -1, 1), fill(&E, -1, 1), copy(&F, &E);
                k->row.softmax_back(rows, cols, C.v, D.v, E.v), ref->row.softmax_back(rows, cols, C.v, D.v, F.v);
                near("softmax_back", k, &E, &F, 0, 1e-6);
                for (size_t r = 0; r < rows; r++) {
                    one[r] = (float)k->row.softmax_lse(cols, A.v + r * cols, 0.25f, B.v + r * cols);
                    two[r] = (float)ref->row.softmax_lse(cols, A.v + r * cols, 0.25f, C.v + r * cols);
                    assert_true((float)k->row.softmax_lse(cols, A.v + r * cols, 1, NULL) == one[r]);
                    assert_true(fabsf(one[r] - two[r]) <= 2e-6f);
                }
                near("softmax_lse", k, &B, &C, 4e-6, 1e-9);
                k->row.logsumexp(rows, cols, A.v, one);
                for (size_t r = 0; r < rows; r++) assert_true(fabsf(one[r] - two[r]) <= 2e-6f);
                k->row.log_softmax(rows, cols, A.v, B.v), ref->row.log_softmax(rows, cols, A.v, C.v);
                near("log_softmax", k, &B, &C, 1e-6, 1e-6);
                copy(&F, &E);
                k->row.log_softmax_back(rows, cols, C.v, D.v, E.v), ref->row.log_softmax_back(rows, cols, C.v, D.v, F.v);
                near("log_softmax_back", k, &E, &F, 1e-5, 1e-5);

                for (int affine = 0; affine < 4; affine++) {
                    box_init(&G, cols, 2), box_init(&H, cols, 1);
                    fill(&G, 0.5f, 1.5f), fill(&H, -1, 1);
                    const float *gain = affine & 1 ? G.v : NULL, *bias = affine & 2 ? H.v : NULL;
                    k->row.layer_norm(rows, cols, A.v, gain, bias, 1e-5, B.v, mean[0], rstd[0]);
                    ref->row.layer_norm(rows, cols, A.v, gain, bias, 1e-5, C.v, mean[1], rstd[1]);
                    near("layer_norm", k, &B, &C, 3e-5, 3e-6);
                    static box dg[2], db[2];
                    for (int s = 0; s < 2; s++) {
                        box_init(&dg[s], cols, offset), box_init(&db[s], cols, offset + 1);
                        for (size_t c = 0; c < cols; c++) dg[s].v[c] = db[s].v[c] = 1;
                    }
                    copy(&F, &E);
                    k->row.layer_norm_back(rows, cols, A.v, gain, mean[1], rstd[1], D.v, E.v, dg[0].v, db[0].v);
                    ref->row.layer_norm_back(rows, cols, A.v, gain, mean[1], rstd[1], D.v, F.v, dg[1].v, db[1].v);
                    near("layer_norm_back dx", k, &E, &F, 1e-5, cols == 1 ? 1e-3 : 1e-5);
                    near("layer_norm_back dgain", k, &dg[0], &dg[1], 1e-5, 1e-5);
                    near("layer_norm_back dbias", k, &db[0], &db[1], 1e-6, 1e-6);
                    k->row.layer_norm_back(rows, cols, A.v, gain, mean[1], rstd[1], D.v, NULL, NULL, NULL);
                }
            }
}

/* What Transformers are made of, beside products. */
static void test_units(void **state) {
    (void)state;
    FOR_ALL(k, n, offset) {
        box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, 0), box_init(&D, n, 0);
        fill(&A, -6, 6), fill(&B, -2, 2);
        k->pw.swiglu(n, A.v, B.v, C.v), ref->pw.swiglu(n, A.v, B.v, D.v);
        near("swiglu", k, &C, &D, 1e-6, 1e-7);
        box_init(&E, n, offset), box_init(&F, n, 0), box_init(&G, n, offset), box_init(&H, n, 0);
        fill(&E, -1, 1), copy(&F, &E), fill(&G, -1, 1), copy(&H, &G);
        k->pw.swiglu_back(n, A.v, B.v, D.v, E.v, G.v), ref->pw.swiglu_back(n, A.v, B.v, D.v, F.v, H.v);
        near("swiglu_back da", k, &E, &F, 1e-5, 1e-5), near("swiglu_back db", k, &G, &H, 1e-5, 1e-5);
        box_check(&C), box_check(&E), box_check(&G);
        if (!n) continue;
        float r[2];
        copy(&G, &B), copy(&H, &B);
        k->row.rms_norm(1, n, A.v, B.v, 1e-5, C.v, r), ref->row.rms_norm(1, n, A.v, B.v, 1e-5, D.v, r + 1);
        near("rms_norm", k, &C, &D, 1e-6, 1e-7);
        for (int gain = 0; gain < 2; gain++) {
            const float *by = gain ? B.v : NULL;
            k->row.rms_norm_back(1, n, A.v, by, r + 1, D.v, E.v, G.v);
            ref->row.rms_norm_back(1, n, A.v, by, r + 1, D.v, F.v, H.v);
            near("rms_norm_back dx", k, &E, &F, 1e-5, 1e-5), near("rms_norm_back dgain", k, &G, &H, 1e-5, 1e-5);
            k->row.rms_norm(1, n, A.v, by, 1e-5, C.v, r);
        }
        box_check(&C), box_check(&E), box_check(&G);
        for (int add = 0; add < 2 && n % 2 == 0; add++) { /* one head; any numbers will do for cosines and sines */
            copy(&C, &B), copy(&D, &B);
            k->row.rotate(1, n, A.v, B.v, C.v, add), ref->row.rotate(1, n, A.v, B.v, D.v, add);
            near("rotate", k, &C, &D, 1e-5, 1e-5);
            box_check(&C);
        }
    }
}

/* One update of each optimizer, written out once more in double from the text of torch.optim. */
static void true_update(int kind, const rc__optim_args *a, double *w, double g, double *s1, double *s2) {
    if (a->clip_value > 0) g = g > a->clip_value ? a->clip_value : g < -a->clip_value ? -a->clip_value : g;
    g *= a->grad_scale;
    if (kind == 4) *w *= 1 - a->lr * a->weight_decay;
    else
        g += a->weight_decay * *w;
    if (kind == 0) {
        if (a->momentum != 0) {
            *s1 = a->first ? g : a->momentum * *s1 + g;
            g = a->nesterov ? g + a->momentum * *s1 : *s1;
        }
        *w -= a->lr * g;
    } else if (kind == 1) {
        *s1 = a->alpha * *s1 + (1 - a->alpha) * g * g;
        double u = g / (sqrt(*s1) + a->eps);
        if (a->momentum > 0) u = *s2 = a->momentum * *s2 + u;
        *w -= a->lr * u;
    } else if (kind == 2) {
        *s1 += g * g;
        *w -= a->lr * g / (sqrt(*s1) + a->eps);
    } else {
        *s1 = a->beta1 * *s1 + (1 - a->beta1) * g;
        *s2 = a->beta2 * *s2 + (1 - a->beta2) * g * g;
        *w -= a->lr / a->bias1 * *s1 / (sqrt(*s2) / sqrt(a->bias2) + a->eps);
    }
}

static void test_optimizers(void **state) {
    (void)state;
    static const char *names[] = {"sgd", "rmsprop", "adagrad", "adam", "adamw"};
    for (int kind = 0; kind < 5; kind++)
        for (int variant = 0; variant < 4; variant++) {
            FOR_ALL(k, n, offset) {
                rc__optim_args a = {.lr = 0.01, .weight_decay = variant & 1 ? 0.1 : 0, .momentum = variant ? 0.9 : 0,
                                    .alpha = 0.99, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                                    .grad_scale = variant & 1 ? 0.5 : 1, .clip_value = variant & 2 ? 0.7 : 0,
                                    .nesterov = variant == 3};
                box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, offset), box_init(&D, n, 0);
                fill(&A, -1, 1);
                static double w[CAP], s1[CAP], s2[CAP];
                for (size_t i = 0; i < n; i++) w[i] = (double)A.v[i], s1[i] = s2[i] = 0, C.v[i] = D.v[i] = 0;
                if (kind == 0)
                    for (size_t i = 0; i < n; i++) C.v[i] = NAN; /* the first step must not read it */
                for (int step = 1; step <= 3; step++) {
                    fill(&B, 0.3f, 1); /* away from 0, where rounding, divided by the gradient's size, would show */
                    for (size_t i = 0; i < n; i++) B.v[i] = draw(-1, 1) < 0 ? -B.v[i] : B.v[i];
                    a.first = step == 1;
                    a.bias1 = 1 - pow(a.beta1, step), a.bias2 = 1 - pow(a.beta2, step);
                    for (size_t i = 0; i < n; i++) true_update(kind, &a, &w[i], (double)B.v[i], &s1[i], &s2[i]);
                    if (kind == 0) k->opt.sgd(n, &a, A.v, B.v, a.momentum != 0 ? C.v : NULL);
                    if (kind == 1) k->opt.rmsprop(n, &a, A.v, B.v, C.v, a.momentum > 0 ? D.v : NULL);
                    if (kind == 2) k->opt.adagrad(n, &a, A.v, B.v, C.v);
                    if (kind == 3) k->opt.adam(n, &a, A.v, B.v, C.v, D.v);
                    if (kind == 4) k->opt.adamw(n, &a, A.v, B.v, C.v, D.v);
                }
                box_init(&E, n, 0);
                for (size_t i = 0; i < n; i++) E.v[i] = (float)w[i];
                near(names[kind], k, &A, &E, 1e-6, 2e-6);
                box_check(&B), box_check(&C), box_check(&D);
            }
        }
    FOR_ALL(k, n, offset) {
        box_init(&A, n, offset), box_init(&B, n, offset + 1), box_init(&C, n, 0);
        fill(&A, -1, 1), fill(&B, -1, 1), copy(&C, &B);
        k->opt.lerp(n, 0.1f, A.v, B.v), ref->opt.lerp(n, 0.1f, A.v, C.v);
        near("lerp", k, &B, &C, 1e-6, 1e-7);
    }
}

/* A NaN gradient must reach the weights: a clip that turned it into a number would hide divergence. */
static void test_optimizer_keeps_nan(void **state) {
    (void)state;
    for (size_t i = 0; i < n_kernels; i++) {
        rc__optim_args a = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .bias1 = 0.1, .bias2 = 0.001,
                            .grad_scale = 1, .clip_value = 1};
        float w[20] = {0}, g[20] = {0}, m[20] = {0}, v[20] = {0};
        g[13] = NAN, g[19] = NAN;
        kernels[i]->opt.adam(20, &a, w, g, m, v);
        for (int j = 0; j < 20; j++) assert_int_equal(isnan(w[j]) != 0, j == 13 || j == 19);
    }
}

/* The same numbers give the same bits wherever they lie: each element alone, each row alone, at any alignment. */
static void test_same_bits_anywhere(void **state) {
    (void)state;
    for (size_t i = 0; i < n_kernels; i++) {
        const rc__kernels *k = kernels[i];
        box_init(&A, 333, 0), box_init(&B, 333, 0);
        fill(&A, -9, 9);
        for (int act = 0; act < RC_ACT_COUNT; act++) {
            k->pw.act[act](333, A.v, B.v);
            for (size_t j = 0; j < 333; j++) {
                float y;
                k->pw.act[act](1, A.v + j, &y);
                if (memcmp(&y, B.v + j, 4) != 0 && !(isnan(y) && isnan(B.v[j]))) {
                    print_error("%s: activation %d of %.9g: alone %.9g, among others %.9g\n", k->isa, act,
                                (double)A.v[j], (double)y, (double)B.v[j]);
                    fail();
                }
            }
        }
        double sum = k->pw.sum_sq(333, A.v);
        float mean, rstd, lse;
        k->row.layer_norm(1, 333, A.v, NULL, NULL, 1e-5, B.v, &mean, &rstd);
        k->row.logsumexp(1, 333, A.v, &lse);
        for (size_t offset = 1; offset < 16; offset++) {
            box_init(&C, 333, offset), box_init(&D, 333, 16 - offset);
            copy(&C, &A);
            float mean2, rstd2, lse2;
            k->row.layer_norm(1, 333, C.v, NULL, NULL, 1e-5, D.v, &mean2, &rstd2);
            k->row.logsumexp(1, 333, C.v, &lse2);
            assert_true(sum == k->pw.sum_sq(333, C.v) && mean == mean2 && rstd == rstd2 && lse == lse2);
            near("layer_norm moved", k, &D, &B, 0, 0);
        }
    }
}

static void test_names(void **state) {
    (void)state;
    assert_non_null(rc__k);
    assert_string_equal(ref->isa, "ref");
    for (size_t i = 0; i < n_kernels; i++) assert_ptr_equal(rc__kernels_by_name(kernels[i]->isa), kernels[i]);
    const rc__kernels *v3 = rc__kernels_by_name("x86-64-v3");
    assert_ptr_equal(rc__kernels_by_name("v3"), v3);
    assert_null(rc__kernels_by_name("v9"));
    assert_null(rc__kernels_by_name(""));
    assert_non_null(rc__kernels_note());
}

/* RECUR_ISA is read before main: this program starts itself, and prints what was picked. */
static const char *program;
static void picked(const char *value, char *text, size_t cap) {
    char command[1024];
    snprintf(command, sizeof command, "RECUR_ISA='%s' '%s' --picked", value, program);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(text, 1, cap - 1, p);
    text[n] = 0;
    assert_int_equal(pclose(p), 0);
}

static void test_environment(void **state) {
    (void)state;
    char text[512], want[512];
    for (size_t i = 0; i < n_kernels; i++) {
        picked(kernels[i]->isa, text, sizeof text);
        snprintf(want, sizeof want, "%s|", kernels[i]->isa);
        assert_string_equal(text, want);
    }
    const char *best = kernels[n_kernels - 1]->isa;
    picked("sse9", text, sizeof text);
    snprintf(want, sizeof want, "%s|RECUR_ISA=sse9 is not built in or not supported by this CPU; using %s", best, best);
    assert_string_equal(text, want);
    picked("", text, sizeof text);
    snprintf(want, sizeof want, "%s|", best);
    assert_string_equal(text, want);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--picked") == 0) return printf("%s|%s", rc__k->isa, rc__kernels_note()) < 0;
    program = argv[0];
    n_kernels = rc__kernels_available(kernels, 8);
    ref = rc__kernels_by_name("ref");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_nan_and_infinity),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_dropout_mask),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_optimizers),
        cmocka_unit_test(test_optimizer_keeps_nan),
        cmocka_unit_test(test_same_bits_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
