/* Attention on packed rows, by products and additive: gradients with every option, values against the plain equation. */
#include "grad.h"
#include <math.h>
#include <stdlib.h>

/* self-attention, cross-attention, a cache longer than the queries, queries without keys, keys without queries */
static const int32_t self_q[4] = {5, 0, 3, 7};
static const int32_t cross_q[4] = {3, 4, 0, 2}, cross_k[4] = {6, 0, 2, 1};
static const int32_t tail_q[3] = {2, 1, 4}, tail_k[3] = {7, 5, 4};

static size_t total(const int32_t *n, size_t batch) {
    size_t s = 0;
    for (size_t b = 0; b < batch; b++) s += (size_t)n[b];
    return s;
}

static rc_var *build_attention(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_attention(t, in[0], in[1], in[2], ctx);
}
static rc_var *build_additive(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_additive_attention(t, in[0], in[1], in[2], in[3], ctx);
}

static rc__gradcheck attention_check(rc_attention_options *o, size_t D, size_t E) {
    size_t G = o->kv_heads ? o->kv_heads : o->heads, Nq = total(o->q_lengths, o->batch);
    size_t Nk = o->k_lengths ? total(o->k_lengths, o->batch) : Nq;
    return (rc__gradcheck){.build = build_attention,
                           .ctx = o,
                           .n = 3,
                           .seed = 5,
                           .training = true,
                           .in = {{.name = "q", .ndim = 2, .dim = {Nq, o->heads * D}},
                                  {.name = "k", .ndim = 2, .dim = {Nk, G * D}},
                                  {.name = "v", .ndim = 2, .dim = {Nk, G * E}}}};
}

static void lengths_of(rc_attention_options *o, int kind) {
    o->batch = kind == 2 ? 3 : 4;
    o->q_lengths = kind == 0 ? self_q : kind == 1 ? cross_q : tail_q;
    o->k_lengths = kind == 0 ? NULL : kind == 1 ? cross_k : tail_k;
}

static void test_gradients(void **state) {
    (void)state;
    static const size_t window[] = {0, 1, 3};
    for (int kind = 0; kind < 3; kind++)
        for (int causal = 0; causal < 2; causal++)
            for (int w = 0; w < 3; w++)
                for (int more = 0; more < 4; more++) {
                    rc_attention_options o = rc_attention_options_default();
                    lengths_of(&o, kind);
                    o.causal = causal, o.window = window[w];
                    o.heads = more == 0 ? 1 : more == 3 ? 6 : 2;
                    o.kv_heads = more == 3 ? 2 : 0;
                    o.alibi = more == 1 || more == 3;
                    o.scale = more == 2 ? 0.7 : 0;
                    o.dropout = more > 1 ? 0.3 : 0;
                    rc__gradcheck c = attention_check(&o, more == 2 ? 4 : 3, more == 1 ? 5 : 3);
                    c.in[0].zero_ok = c.in[1].zero_ok = o.window == 1; /* one key: its weight is 1 whatever q and k */
                    check_gradient(&c);
                }
}

/* Several blocks of queries and of keys, whatever their sizes are. */
static void test_gradients_of_long_sequences(void **state) {
    (void)state;
    static const int32_t q[2] = {150, 20}, k[2] = {150, 170};
    for (int kind = 0; kind < 3; kind++) {
        rc_attention_options o = rc_attention_options_default();
        o.batch = 2, o.q_lengths = q, o.k_lengths = k, o.causal = kind > 0, o.window = kind == 2 ? 70 : 0;
        o.alibi = kind == 2;
        o.dropout = 0.2;
        rc__gradcheck c = attention_check(&o, 1, 1);
        c.floor = 0.05;
        check_gradient(&c);
    }
}

static void test_gradients_of_some(void **state) {
    (void)state;
    for (int which = 1; which < 7; which++) {
        rc_attention_options o = rc_attention_options_default();
        lengths_of(&o, 0);
        o.heads = 2, o.causal = true;
        rc__gradcheck c = attention_check(&o, 3, 2);
        for (int i = 0; i < 3; i++) c.in[i].no_grad = which >> i & 1;
        check_gradient(&c);
    }
}

/* Rows of k and v in another order, with rows that nobody reads; shared by two sequences. */
static void test_starts(void **state) {
    (void)state;
    static const uint32_t start[3] = {9, 0, 5}, shared[3] = {3, 3, 0};
    rc_attention_options o = rc_attention_options_default();
    lengths_of(&o, 2);
    o.heads = 2, o.causal = true, o.k_start = start;
    rc__gradcheck c = attention_check(&o, 3, 2);
    c.in[1].dim[0] = c.in[2].dim[0] = 17;
    check_gradient(&c);
    rc__gradcheck a = {.build = build_additive,
                       .ctx = &o,
                       .n = 4,
                       .in = {{.name = "q", .ndim = 2, .dim = {7, 5}},
                              {.name = "k", .ndim = 2, .dim = {17, 5}},
                              {.name = "w", .ndim = 1, .dim = {5}},
                              {.name = "v", .ndim = 2, .dim = {17, 3}}}};
    check_gradient(&a);
    o.k_start = shared;
    for (int i = 1; i < 4; i++) c.in[i].no_grad = a.in[i].no_grad = true;
    a.in[2].no_grad = false;
    check_gradient(&c);
    check_gradient(&a);
    a.in[3].no_grad = false;
    rc_error e = {0};
    assert_int_equal(rc__gradcheck_run(&a, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "sequence 1 shares rows of k with another"));
}

static void test_additive_gradients(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (int more = 0; more < 4; more++) {
            rc_attention_options o = rc_attention_options_default();
            lengths_of(&o, kind);
            o.causal = more == 1, o.window = more == 2 ? 2 : 0, o.dropout = more == 3 ? 0.3 : 0;
            size_t Nq = total(o.q_lengths, o.batch), Nk = o.k_lengths ? total(o.k_lengths, o.batch) : Nq;
            rc__gradcheck c = {.build = build_additive,
                               .ctx = &o,
                               .n = 4,
                               .seed = 6,
                               .training = true,
                               .in = {{.name = "q", .ndim = 2, .dim = {Nq, more == 1 ? 67 : 4}},
                                      {.name = "k", .ndim = 2, .dim = {Nk, more == 1 ? 67 : 4}},
                                      {.name = "w", .ndim = 1, .dim = {more == 1 ? 67 : 4}},
                                      {.name = "v", .ndim = 2, .dim = {Nk, 3}}}};
            check_gradient(&c);
            for (int i = 0; i < 4; i++) {
                c.in[i].no_grad = true;
                check_gradient(&c);
                c.in[i].no_grad = false;
            }
        }
}

/* q and k beyond what exponentials are made of, all or only q, but their sums where tanh still moves. */
static rc_var *build_far(rc_tape *t, rc_var *const *in, void *ctx) {
    rc_var *k = rc_scale(t, in[1], 1, -25), *q = rc_scale(t, in[0], 1, 25);
    if (((rc_attention_options *)ctx)->heads == 2)
        k = rc_scale(t, in[1], 1.5, -19.6), q = rc_scale(t, in[0], 1.5, 19.6);
    return rc_additive_attention(t, q, k, in[2], in[3], ctx);
}

static void test_additive_far(void **state) {
    (void)state;
    for (size_t some = 1; some < 3; some++) {
        rc_attention_options o = rc_attention_options_default();
        lengths_of(&o, 1);
        o.heads = some, o.dropout = 0.2; /* heads is not read */
        rc__gradcheck c = {.build = build_far,
                           .ctx = &o,
                           .n = 4,
                           .seed = 2,
                           .training = true,
                           .in = {{.name = "q", .ndim = 2, .dim = {9, 3}},
                                  {.name = "k", .ndim = 2, .dim = {9, 3}},
                                  {.name = "w", .ndim = 1, .dim = {3}},
                                  {.name = "v", .ndim = 2, .dim = {9, 3}}}};
        check_gradient(&c);
        c.in[0].no_grad = true;
        check_gradient(&c);
        c.in[0].no_grad = false, c.in[1].no_grad = c.in[2].no_grad = true;
        check_gradient(&c);
    }
}

/* The equation itself, with a full matrix of scores. */
static void expected(const rc_attention_options *o, size_t D, size_t E, const double *q, const double *k,
                     const double *v, const double *w, double *y, double *weights) {
    size_t q0 = 0, k0 = 0, H = o->heads, G = o->kv_heads ? o->kv_heads : H;
    for (size_t b = 0; b < o->batch; b++) {
        size_t nq = (size_t)o->q_lengths[b], nk = o->k_lengths ? (size_t)o->k_lengths[b] : nq;
        for (size_t i = 0; i < nq * nk; i++) weights[i] = 0;
        for (size_t i = 0; i < nq; i++)
            for (size_t h = 0; h < H; h++) {
                double p[32], sum = 0, top = -INFINITY;
                size_t g = h * G / H;
                for (size_t j = 0; j < nk; j++) {
                    long at = (long)(i + nk) - (long)nq, far = labs(at - (long)j);
                    bool seen = !(o->causal && (long)j > at) && !(o->window && far >= (long)o->window);
                    p[j] = 0;
                    for (size_t d = 0; d < D; d++) {
                        double a = q[((q0 + i) * H + h) * D + d], c = k[((k0 + j) * G + g) * D + d];
                        p[j] += w ? w[d] * tanh(a + c) : a * c * (o->scale != 0 ? o->scale : 1 / sqrt((double)D));
                    }
                    if (o->alibi) p[j] -= pow(2, -8.0 * (double)(h + 1) / (double)H) * (double)far;
                    if (!seen) p[j] = -INFINITY;
                    top = fmax(top, p[j]);
                }
                for (size_t j = 0; j < nk; j++) sum += p[j] = top > -INFINITY ? exp(p[j] - top) : 0;
                for (size_t e = 0; e < E; e++) y[((q0 + i) * H + h) * E + e] = 0;
                for (size_t j = 0; j < nk && sum > 0; j++) {
                    weights[i * nk + j] += p[j] / sum / (double)H;
                    for (size_t e = 0; e < E; e++)
                        y[((q0 + i) * H + h) * E + e] += p[j] / sum * v[((k0 + j) * G + g) * E + e];
                }
            }
        q0 += nq, k0 += nk, weights += nq * nk;
    }
}

static void test_values(void **state) {
    (void)state;
    enum { MOST = 20 * 6 * 8 };
    static double q[MOST], k[MOST], v[MOST], w[8], y[MOST], weights[400], got[400];
    rc_rng r = rc_rng_make(4, 0);
    for (int i = 0; i < MOST; i++) q[i] = rc_rng_normal(&r), k[i] = rc_rng_normal(&r), v[i] = rc_rng_normal(&r);
    for (int i = 0; i < 8; i++) w[i] = rc_rng_normal(&r);
    rc_tape *t = training_tape(1);
    for (int i = 0; i < 3 * 2 * 3 * 4; i++) {
        rc_attention_options o = rc_attention_options_default();
        lengths_of(&o, i % 3);
        o.causal = i / 3 % 2, o.window = (size_t)(i / 6 % 3) * 2;
        int more = i / 18;
        o.heads = more == 1 ? 3 : more == 2 ? 6 : 1, o.kv_heads = more == 2 ? 2 : 0, o.alibi = more > 1;
        if (more == 3) o.alibi = false;
        size_t D = more == 3 ? 8 : 5, E = more == 3 ? 5 : 7, G = o.kv_heads ? o.kv_heads : o.heads;
        size_t Nq = total(o.q_lengths, o.batch), Nk = o.k_lengths ? total(o.k_lengths, o.batch) : Nq, pairs = 0;
        for (size_t b = 0; b < o.batch; b++)
            pairs += (size_t)(o.q_lengths[b] * (o.k_lengths ? o.k_lengths : o.q_lengths)[b]);
        rc_tape_begin(t, (rc_tape_mode){.grad = i % 2});
        o.weights = got;
        expected(&o, D, E, q, k, v, more == 3 ? w : NULL, y, weights);
        rc_var *Q = rc_leaf(t, 2, (size_t[]){Nq, o.heads * D}, q), *K = rc_leaf(t, 2, (size_t[]){Nk, G * D}, k),
               *V = rc_leaf(t, 2, (size_t[]){Nk, G * E}, v), *W = rc_leaf(t, 1, (size_t[]){D}, w), *out;
        out = more == 3 ? rc_additive_attention(t, Q, K, W, V, &o) : rc_attention(t, Q, K, V, &o);
        assert_int_equal(rc_tape_status(t, NULL), RC_OK);
        assert_int_equal(out->len, Nq * o.heads * E);
        for (size_t e = 0; e < out->len; e++) assert_true(fabs(out->x[e] - y[e]) < 1e-13);
        for (size_t e = 0; e < pairs; e++) assert_true(fabs(got[e] - weights[e]) < 1e-13);
    }
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t three[2] = {2, 1}, bad[2] = {2, -1}, five[2] = {3, 2};
    static const uint32_t far[2] = {0, 4};
    rc_attention_options o;
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
#define REFUSE(call, text, ...)                                                 \
    do {                                                                        \
        rc_tape_begin(t, (rc_tape_mode){.grad = true});                         \
        o = (rc_attention_options){.batch = 2, .q_lengths = three, .heads = 1}; \
        __VA_ARGS__;                                                            \
        check_refused(t, call, text);                                           \
    } while (0)
#define SHAPES \
    "attention: q is (3, 4), k (3, 4), v (3, 4); expected (Nq, heads D), (Nk, kv_heads D), (Nk, kv_heads E), "
#define CALL rc_attention(t, Z(3, 4), Z(3, 4), Z(3, 4), &o)
    REFUSE(rc_attention(t, Z(3, 4), Z(3, 4), Z(3, 4), NULL), "attention: the options are NULL", (void)0);
    REFUSE(rc_attention(t, Z(3, 4), NULL, Z(3, 4), &o), "attention: input 2 of 3 is NULL", (void)0);
    REFUSE(CALL, SHAPES "3 and 3 heads", o.heads = 3);
    REFUSE(CALL, SHAPES "0 and 0 heads", o.heads = 0);
    REFUSE(CALL, SHAPES "4 and 3 heads", o.heads = 4, o.kv_heads = 3);
    REFUSE(CALL, SHAPES "4 and 2 heads", o.heads = 4, o.kv_heads = 2);
    REFUSE(CALL, "attention: dropout is 1, expected 0 <= p < 1", o.dropout = 1);
    REFUSE(CALL, "attention: scale is nan", o.scale = NAN);
    REFUSE(CALL, "attention: options without batch and q_lengths", o.batch = 0);
    REFUSE(CALL, "attention: options without batch and q_lengths", o.q_lengths = NULL);
    REFUSE(CALL, "attention: sequence 1 has -1 queries and -1 keys, expected 0 or more", o.q_lengths = bad,
           o.k_lengths = NULL);
    REFUSE(CALL, "attention: sequence 1 has 1 queries and -1 keys, expected 0 or more",
           o.k_lengths = (int32_t[]){3, -1});
    REFUSE(CALL, "attention: lengths add up to 5 queries and 3 keys, q has 3 rows and k 3", o.q_lengths = five,
           o.k_lengths = three);
    REFUSE(CALL, "attention: sequence 1 has keys 3 to 5, k has 3 rows", o.k_lengths = five);
    REFUSE(CALL, "attention: sequence 1 has keys 4 to 5, k has 3 rows", o.k_start = far);
    REFUSE(CALL, "attention: lengths add up to 3 queries and 2 keys, q has 3 rows and k 3",
           o.k_lengths = (int32_t[]){1, 1});
    REFUSE(CALL, "attention: batch 18446744073709551615 or window 0 is too large", o.batch = SIZE_MAX);
    REFUSE(rc_additive_attention(t, Z(3, 4), Z(3, 4), Z(5), Z(3, 2), &o),
           "additive_attention: q is (3, 4), k (3, 4), w (5), v (3, 2); expected (Nq, A), (Nk, A), (A), (Nk, E)",
           (void)0);
    REFUSE(rc_additive_attention(t, Z(3, 4), Z(3, 4), Z(4), Z(3, 2), &o),
           "additive_attention: dropout is -1, expected 0 <= p < 1", o.dropout = -1);
    REFUSE(rc_additive_attention(t, Z(3, 4), Z(3, 4), Z(4), Z(3, 2), NULL), "additive_attention: the options are NULL",
           (void)0);
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradients_of_long_sequences),
        cmocka_unit_test(test_gradients_of_some),
        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_additive_gradients),
        cmocka_unit_test(test_additive_far),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
