/* Best paths and probabilities of tags against all paths one by one; masks, ties, NaN, threads, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "decode/viterbi.h"

enum { T = 5, B = 4, K = 4 };
typedef struct chain {
    int K, T;
    float x[T * B * K], move[K * K], start[K], end[K];
    uint8_t allowed[(K + 1) * (K + 1)];
    int32_t lengths[B];
} chain;

static rc__crf crf_of(const chain *c, bool masked) {
    return (rc__crf){.K = (size_t)c->K,
                     .transitions = c->move,
                     .start = c->start,
                     .end = c->end,
                     .allowed = masked ? c->allowed : NULL};
}

static void fill(float *x, size_t n, rc_rng *r, double size) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(size * rc_rng_normal(r));
}

typedef struct answer {
    int paths;
    double best, log_z, prob[T * K];
    int32_t path[T];
} answer;

static answer brute(const chain *c, int b, bool masked) {
    answer a = {.best = -INFINITY};
    int L = c->lengths[b], codes = 1;
    double sum = 0;
    for (int t = 0; t < L; t++) codes *= c->K;
    for (int pass = 0; pass < 2; pass++) /* the best first: sums are relative to it */
        for (int code = 0; code < codes; code++) {
            int before = c->K, rest = code;
            int32_t path[T];
            bool may = true;
            double s = 0;
            for (int t = 0; t < L; t++, rest /= c->K) {
                int tag = path[t] = rest % c->K;
                may = may && (!masked || c->allowed[before * (c->K + 1) + tag]);
                s +=
                    (double)c->x[(t * B + b) * c->K + tag] + (double)(t ? c->move[before * c->K + tag] : c->start[tag]);
                before = tag;
            }
            if (!may || (masked && !c->allowed[before * (c->K + 1) + c->K])) continue;
            s += (double)c->end[before];
            if (pass == 0) {
                a.paths++;
                if (s > a.best) a.best = s, memcpy(a.path, path, sizeof path);
                continue;
            }
            sum += exp(s - a.best);
            for (int t = 0; t < L; t++) a.prob[t * c->K + path[t]] += exp(s - a.best);
        }
    for (int i = 0; i < L * c->K; i++) a.prob[i] /= sum;
    a.log_z = a.best + log(sum);
    return a;
}

static chain draw(rc_rng *r, int round) {
    static const double sizes[] = {1, 20, 500};
    chain c = {.K = 3 + round % 2, .T = 1 + round % T};
    double size = sizes[round % 3];
    fill(c.x, T * B * K, r, size), fill(c.move, K * K, r, size), fill(c.start, K, r, size), fill(c.end, K, r, size);
    for (size_t i = 0; i < sizeof c.allowed; i++) c.allowed[i] = rc_rng_uniform(r) < 0.6;
    for (int b = 0; b < B; b++) c.lengths[b] = (int32_t)rc_rng_below(r, (uint64_t)c.T + 1);
    return c;
}

static void test_all_paths(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(2, 0);
    int refused = 0, decoded = 0;
    for (int round = 0; round < 300; round++) {
        chain c = draw(&r, round);
        bool masked = round / 2 % 2;
        rc__crf crf = crf_of(&c, masked);
        int32_t path[T * B];
        double score[B], log_z[B];
        float prob[T * B * K];
        rc_error e = {0};
        int none = -1;
        for (int b = B; b-- > 0;)
            if (c.lengths[b] > 0 && brute(&c, b, masked).paths == 0) none = b;
        rc_status s = rc__viterbi(&crf, (size_t)c.T, B, c.x, c.lengths, path, score, &e);
        rc_status m = rc__crf_marginals(&crf, (size_t)c.T, B, c.x, c.lengths, prob, log_z, none < 0 ? &e : NULL);
        if (none >= 0) {
            char text[100];
            snprintf(text, sizeof text, "row %d: no path of %d steps is allowed", none, (int)c.lengths[none]);
            assert_int_equal(s, RC_EDATA);
            assert_int_equal(m, RC_EDATA);
            assert_string_equal(e.text, text);
            refused++;
            continue;
        }
        if (s != RC_OK || m != RC_OK) fail_msg("round %d: %s", round, e.text);
        decoded++;
        for (int b = 0; b < B; b++) {
            int L = c.lengths[b];
            for (int t = L; t < c.T; t++) {
                assert_int_equal(path[t * B + b], -1);
                for (int k = 0; k < c.K; k++) assert_true(prob[(t * B + b) * c.K + k] == 0);
            }
            if (L == 0) {
                assert_true(score[b] == 0 && log_z[b] == 0);
                continue;
            }
            answer a = brute(&c, b, masked);
            assert_true(fabs(score[b] - a.best) <= 1e-12 * (1 + fabs(a.best)));
            assert_true(fabs(log_z[b] - a.log_z) <= 1e-12 * (1 + fabs(a.log_z)));
            for (int t = 0; t < L; t++) {
                assert_int_equal(path[t * B + b], a.path[t]);
                for (int k = 0; k < c.K; k++)
                    assert_true(fabs((double)prob[(t * B + b) * c.K + k] - a.prob[t * c.K + k]) < 1e-6);
            }
        }
    }
    assert_true(refused > 10 && decoded > 100);
}

/* Equal scores: the lowest tags, from the last step back; NaN and infinities: some path in range. */
static void test_ties_and_nan(void **state) {
    (void)state;
    static chain c = {.K = K, .T = T, .lengths = {T, T, 2, 1}};
    rc__crf crf = crf_of(&c, false);
    int32_t path[T * B];
    assert_int_equal(rc__viterbi(&crf, T, B, c.x, NULL, path, NULL, NULL), RC_OK);
    for (int i = 0; i < T * B; i++) assert_int_equal(path[i], 0);
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    rc_rng r = rc_rng_make(6, 0);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < T * B * K; i++) c.x[i] = rc_rng_uniform(&r) < 0.5 ? 0.5f : odd[rc_rng_below(&r, 3)];
        for (int i = 0; i < K * K; i++) c.move[i] = rc_rng_uniform(&r) < 0.8 ? 0.5f : odd[rc_rng_below(&r, 3)];
        float prob[T * B * K];
        assert_int_equal(rc__viterbi(&crf, T, B, c.x, c.lengths, path, NULL, NULL), RC_OK);
        for (int i = 0; i < T * B; i++)
            assert_true(i / B < c.lengths[i % B] ? path[i] >= 0 && path[i] < K : path[i] == -1);
        rc__crf_marginals(&crf, T, B, c.x, c.lengths, prob, NULL, NULL);
    }
}

static void test_threads(void **state) {
    (void)state;
    enum { LONG = 31, ROWS = 23, TAGS = 17 };
    static float x[LONG * ROWS * TAGS], w[TAGS * TAGS + 2 * TAGS], prob[2][LONG * ROWS * TAGS];
    static int32_t path[2][LONG * ROWS], lengths[ROWS];
    rc_rng r = rc_rng_make(3, 0);
    fill(x, LONG * ROWS * TAGS, &r, 1), fill(w, TAGS * TAGS + 2 * TAGS, &r, 1);
    for (int b = 0; b < ROWS; b++) lengths[b] = (int32_t)rc_rng_below(&r, LONG + 1);
    rc__crf c = {.K = TAGS, .transitions = w, .start = w + TAGS * TAGS, .end = w + TAGS * TAGS + TAGS};
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (int n = 1; n <= 4; n++) {
        int to = n > 1;
        assert_int_equal(rc_set_threads(n, NULL), RC_OK);
        assert_int_equal(rc__viterbi(&c, LONG, ROWS, x, lengths, path[to], NULL, NULL), RC_OK);
        assert_int_equal(rc__crf_marginals(&c, LONG, ROWS, x, lengths, prob[to], NULL, NULL), RC_OK);
        assert_memory_equal(path[to], path[0], sizeof path[0]);
        assert_memory_equal(prob[to], prob[0], sizeof prob[0]);
    }
    rc__parallel_threshold = saved;
    assert_int_equal(rc_set_threads(1, NULL), RC_OK);
    static const int32_t bad[ROWS] = {[4] = -1};
    rc_error e = {0};
    assert_int_equal(rc__viterbi(&c, LONG, ROWS, x, bad, path[0], NULL, &e), RC_EINVAL);
    assert_string_equal(e.text, "length of row 4 is -1, expected 0 to 31");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_paths), cmocka_unit_test(test_ties_and_nan),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
