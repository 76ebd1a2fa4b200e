/* The loss of a conditional random field: against all paths one by one, gradients, scores far apart, refusals. */
#include "grad.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_T = 5, MOST_K = 4 };

/* log of the sum over all allowed paths of exp(score), path by path; *count: how many are allowed. */
static double all_paths(int K, int L, const double *x, size_t stride, const double *move, const double *start,
                        const double *end, const uint8_t *allowed, int *count) {
    double scores[1024], top = -INFINITY, sum = 0;
    int paths = 1, n = 0;
    for (int t = 0; t < L; t++) paths *= K;
    for (int code = 0; code < paths; code++) {
        int before = K, rest = code;
        bool may = true;
        double s = 0;
        for (int t = 0; t < L; t++, rest /= K) {
            int tag = rest % K;
            may = may && (!allowed || allowed[before * (K + 1) + tag]);
            s += x[(size_t)t * stride + (size_t)tag] + (t ? move[before * K + tag] : start[tag]);
            before = tag;
        }
        may = may && (!allowed || allowed[before * (K + 1) + K]);
        if (may) scores[n++] = s + end[before];
    }
    for (int i = 0; i < n; i++) top = fmax(top, scores[i]);
    for (int i = 0; i < n; i++) sum += exp(scores[i] - top);
    *count = n;
    return top + log(sum);
}

static void fill(double *x, size_t n, rc_rng *r, double size) {
    for (size_t i = 0; i < n; i++) x[i] = size * rc_rng_normal(r);
}

/* A random path for every row, and a mask that allows these and about half of the other moves. */
static void draw_paths(rc_rng *r, int T, int B, int K, const int32_t *lengths, int32_t *y, uint8_t *allowed) {
    for (int i = 0; i < T * B; i++) y[i] = i / B < lengths[i % B] ? (int32_t)rc_rng_below(r, (uint64_t)K) : -9;
    for (int i = 0; i < (K + 1) * (K + 1); i++) allowed[i] = rc_rng_uniform(r) < 0.5;
    for (int b = 0; b < B; b++)
        for (int t = 0, before = K; t <= lengths[b] && lengths[b] > 0; t++) {
            int tag = t < lengths[b] ? y[t * B + b] : K;
            allowed[before * (K + 1) + tag] = 1;
            before = tag;
        }
}

static void test_values(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(4, 0);
    static const double sizes[] = {1, 30, 900}; /* 900: terms that no double holds beside each other */
    for (int round = 0; round < 120; round++) {
        int K = 3 + round % 2, T = 1 + round % MOST_T, masked = round / 2 % 2;
        enum { B = 3 };
        double size = sizes[round % 3], x[MOST_T * B * MOST_K], move[MOST_K * MOST_K], ends[2][MOST_K], want = 0;
        int32_t y[MOST_T * B], lengths[B] = {T, 0, 1 + (int32_t)rc_rng_below(&r, (uint64_t)T)};
        uint8_t allowed[(MOST_K + 1) * (MOST_K + 1)];
        fill(x, MOST_T * B * MOST_K, &r, size), fill(move, MOST_K * MOST_K, &r, size),
            fill(ends[0], 2 * MOST_K, &r, size);
        draw_paths(&r, T, B, K, lengths, y, allowed);
        for (int b = 0; b < B; b++) {
            int count, L = lengths[b];
            if (L == 0) continue;
            want +=
                all_paths(K, L, x + b * K, (size_t)(B * K), move, ends[0], ends[1], masked ? allowed : NULL, &count);
            assert_true(count > 0);
            for (int t = 0; t < L; t++) {
                int tag = y[t * B + b];
                want -= x[(t * B + b) * K + tag] + (t ? move[y[(t - 1) * B + b] * K + tag] : ends[0][tag]);
                if (t == L - 1) want -= ends[1][tag];
            }
        }
        rc_tape *t = training_tape(1);
        size_t k = (size_t)K;
        rc_var *in[4] = {rc_leaf(t, 3, (size_t[]){(size_t)T, B, k}, x), rc_leaf(t, 2, (size_t[]){k, k}, move),
                         rc_leaf(t, 1, &k, ends[0]), rc_leaf(t, 1, &k, ends[1])};
        for (int sum = 0; sum < 2; sum++) {
            rc_loss_options o = rc_loss_options_default();
            o.sum = sum;
            rc_var *loss = rc_crf_loss(t, in[0], in[1], in[2], in[3], y, lengths, masked ? allowed : NULL, &o);
            double expected = sum ? want : want / 2;
            rc_error e = {0};
            if (rc_tape_status(t, &e) != RC_OK) fail_msg("%s", e.text);
            if (!(fabs(loss->x[0] - expected) <= 1e-11 * (size + fabs(expected))))
                fail_msg("round %d: %.15g, expected %.15g", round, loss->x[0], expected);
            if (sum) assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
        }
        for (int i = 0; i < 4; i++) {
            double total = 0; /* expected and observed counts are of as many moves */
            for (size_t n = 0; n < in[i]->len; n++) {
                assert_true(isfinite(in[i]->dx[n]));
                total += in[i]->dx[n];
            }
            assert_true(fabs(total) < 1e-9);
        }
        for (int i = 0; masked && i < K * K; i++)
            if (!allowed[i / K * (K + 1) + i % K]) assert_true(in[1]->dx[i] == 0);
        rc_tape_free(t);
    }
}

typedef struct setup {
    const int32_t *y, *lengths;
    const uint8_t *allowed;
    rc_loss_options o;
} setup;

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) {
    const setup *s = ctx;
    return rc_crf_loss(t, in[0], in[1], in[2], in[3], s->y, s->lengths, s->allowed, &s->o);
}

static void test_gradients(void **state) {
    (void)state;
    enum { T = 5, B = 4, K = 3 };
    static const int32_t lengths[B] = {5, 0, 3, 1}, full[B] = {T, T, T, T};
    static double far[T * B * K], far_moves[K * K];
    rc_rng r = rc_rng_make(8, 0);
    for (int variant = 0; variant < 16; variant++) {
        int32_t y[T * B];
        uint8_t allowed[(K + 1) * (K + 1)];
        draw_paths(&r, T, B, K, variant & 1 ? lengths : full, y, allowed);
        setup s = {y, variant & 1 ? lengths : NULL, variant & 2 ? allowed : NULL, rc_loss_options_default()};
        s.o.sum = variant & 4;
        rc__gradcheck c = {.build = build,
                           .ctx = &s,
                           .n = 4,
                           .seed = (uint64_t)variant + 1,
                           .in = {{.name = "emissions", .ndim = 3, .dim = {T, B, K}},
                                  {.name = "transitions", .ndim = 2, .dim = {K, K}},
                                  {.name = "start", .ndim = 1, .dim = {K}},
                                  {.name = "end", .ndim = 1, .dim = {K}}}};
        if (variant & 8) { /* two tags whose scores cancel out: only the term by term sums see the second */
            for (int i = 0; i < T * B * K; i++)
                far[i] = rc_rng_normal(&r) + (i % K == 1 ? 2000 : i % K == 2 ? -900 : 0);
            for (int i = 0; i < K * K; i++)
                far_moves[i] = rc_rng_normal(&r) - (i % K == 1 ? 2000 : i % K == 2 ? -900 : 0);
            c.in[0].fill = c.in[1].fill = RC__FILL_DATA;
            c.in[0].x = far, c.in[1].x = far_moves;
            c.tolerance = 1e-4; /* of differences of numbers of the size of 1e4 */
        }
        for (int i = 0; i < 4; i++) c.in[i].zero_ok = variant & 10;
        check_gradient(&c);
        for (int i = 0; i < 4; i++) {
            c.in[i].no_grad = true;
            if (!(variant & 8)) check_gradient(&c);
            c.in[i].no_grad = false;
        }
    }
}

/* Padding may hold anything; no row with a step gives 0. */
static void test_padding(void **state) {
    (void)state;
    enum { T = 4, B = 3, K = 3 };
    static const int32_t lengths[B] = {2, 0, 4}, none[B] = {0, 0, 0},
                         y[T * B] = {0, 9, 1, 2, -9, 0, 77, 5, 2, -1, 8, 2};
    static double x[T * B * K], w[K * K + 2 * K];
    rc_rng r = rc_rng_make(1, 0);
    fill(x, T * B * K, &r, 1), fill(w, K * K + 2 * K, &r, 1);
    rc_tape *t = training_tape(1);
    for (int i = 0; i < T * B * K; i++)
        if (i / K / B >= lengths[i / K % B]) x[i] = NAN;
    rc_var *in[4] = {rc_leaf(t, 3, (size_t[]){T, B, K}, x), rc_leaf(t, 2, (size_t[]){K, K}, w),
                     rc_leaf(t, 1, (size_t[]){K}, w + K * K), rc_leaf(t, 1, (size_t[]){K}, w + K * K + K)};
    rc_var *zero = rc_crf_loss(t, in[0], in[1], in[2], in[3], y, none, NULL, NULL);
    assert_true(zero->x[0] == 0);
    rc_var *loss = rc_add(t, zero, rc_crf_loss(t, in[0], in[1], in[2], in[3], y, lengths, NULL, NULL));
    assert_true(loss->x[0] > 0);
    assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
    for (int i = 0; i < T * B * K; i++)
        assert_true(i / K / B >= lengths[i / K % B] ? in[0]->dx[i] == 0 : isfinite(in[0]->dx[i]));
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    enum { K = 3 };
    uint8_t allowed[16];
    int32_t y[4] = {0, 1, 2, 1}, bad[2] = {2, 3};
#define BEGIN              rc_tape_begin(t, (rc_tape_mode){.grad = true})
#define CRF(...)           (BEGIN, rc_crf_loss(t, __VA_ARGS__, y, NULL, allowed, NULL))
#define REFUSE(call, text) check_refused(t, call, text)
#define Z(...)             rc_zeros(t, DIMS(__VA_ARGS__))
    memset(allowed, 1, sizeof allowed);
    REFUSE(CRF(Z(2, 2), Z(K, K), Z(K), Z(K)), "crf_loss: emissions is (2, 2), expected (T, B, K)");
    REFUSE(CRF(Z(2, 2, K), Z(K, 4), Z(K), Z(K)), "crf_loss: transitions is (3, 4), emissions (2, 2, 3) expect (3, 3)");
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(4), Z(K)), "crf_loss: start is (4), emissions (2, 2, 3) expect (3)");
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(1, K)), "crf_loss: end is (1, 3), emissions (2, 2, 3) expect (3)");
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), NULL), "crf_loss: input 4 of 4 is NULL");
    y[3] = 3;
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(K)), "crf_loss: row 1, step 1: target 3, expected 0 to 2");
    y[3] = -1;
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(K)), "crf_loss: row 1, step 1: target -1, expected 0 to 2");
    y[3] = 1;
    allowed[0 * 4 + 2] = 0;
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(K)), "crf_loss: row 0, step 1: target 2 is not allowed after 0");
    allowed[0 * 4 + 2] = 1, allowed[K * 4 + 1] = 0;
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(K)), "crf_loss: row 1, step 0: target 1 is not allowed at the start");
    allowed[K * 4 + 1] = 1, allowed[1 * 4 + K] = 0;
    REFUSE(CRF(Z(2, 2, K), Z(K, K), Z(K), Z(K)), "crf_loss: row 1, step 1: target 1 is not allowed at the end");
    BEGIN;
    REFUSE(rc_crf_loss(t, Z(2, 2, K), Z(K, K), Z(K), Z(K), y, bad, NULL, NULL),
           "crf_loss: length of row 1 is 3, expected 0 to 2");
    BEGIN;
    REFUSE(rc_crf_loss(t, Z(2, 2, K), Z(K, K), Z(K), Z(K), NULL, NULL, NULL, NULL), "crf_loss: targets is NULL");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_padding), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
