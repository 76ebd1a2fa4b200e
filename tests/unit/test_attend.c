/* Attention in float: every build of the kernels against the reference one, and what must not change a bit: threads, the
 * other sequences of a batch, how many queries come at a time, beams that share their keys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "failing.h"
#include "kernels/kernels.h"
#include "recur/tape.h"

enum { ROWS = 900, COLS = 160, MOST = ROWS * COLS };
static float noise[4][MOST], weights[2][ROWS * ROWS];
static rc_tape *tape;

typedef struct shape {
    size_t batch, heads, kv_heads, D, E;
    int32_t q[8], k[8];
    bool causal, alibi, additive;
    size_t window;
    double scale, dropout, by; /* by: 0, or what q and k are multiplied by */
} shape;

/* Around the edges of vectors, panels, and blocks of queries and keys. */
static const shape shapes[] = {
    {.batch = 3, .heads = 1, .D = 1, .E = 1, .q = {1, 0, 3}, .k = {1, 2, 2}},
    {.batch = 4, .heads = 2, .D = 7, .E = 9, .q = {5, 13, 2, 40}, .k = {5, 13, 2, 40}, .causal = true},
    {.batch = 2,
     .heads = 4,
     .kv_heads = 2,
     .D = 32,
     .E = 16,
     .q = {97, 49},
     .k = {130, 49},
     .causal = true,
     .alibi = true},
    {.batch = 2, .heads = 1, .D = 64, .E = 64, .q = {193, 6}, .k = {193, 300}},
    {.batch = 1, .heads = 2, .D = 64, .E = 64, .q = {300}, .k = {300}, .causal = true, .dropout = 0.1},
    {.batch = 2, .heads = 2, .D = 64, .E = 65, .q = {150, 20}, .k = {290, 20}, .causal = true, .window = 70},
    {.batch = 2, .heads = 1, .D = 80, .E = 100, .q = {129, 33}, .k = {257, 1}, .window = 50, .dropout = 0.3},
    {.batch = 8,
     .heads = 2,
     .kv_heads = 1,
     .D = 64,
     .E = 64,
     .q = {1, 1, 1, 1, 1, 1, 1, 1},
     .k = {17, 128, 1, 129, 0, 64, 256, 5}},
    {.batch = 2, .heads = 1, .D = 17, .E = 15, .q = {60, 128}, .k = {60, 128}, .alibi = true, .scale = -0.3},
    {.batch = 3, .heads = 1, .D = 70, .E = 33, .q = {5, 0, 30}, .k = {9, 3, 50}, .additive = true, .dropout = 0.2},
    {.batch = 1, .heads = 1, .D = 64, .E = 33, .q = {30}, .k = {30}, .additive = true, .causal = true, .window = 7},
    {.batch = 2, .heads = 1, .D = 100, .E = 20, .q = {140, 3}, .k = {140, 200}, .additive = true, .by = 9},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static size_t total(const int32_t *n, size_t batch) {
    size_t s = 0;
    for (size_t b = 0; b < batch; b++) s += (size_t)n[b];
    return s;
}

typedef struct result {
    size_t len[5];
    float *x[5]; /* y, dq, dk, dv, and of additive attention dw */
} result;

static void drop(result *r) {
    for (int i = 0; i < 5; i++) free(r->x[i]);
}

static float *copy_of(const float *x, size_t n) {
    float *y = malloc((n + 1) * sizeof *y);
    assert_non_null(y);
    if (x) memcpy(y, x, n * sizeof *y);
    return y;
}

static result run(const shape *s, bool grad, float *w) {
    size_t G = s->kv_heads ? s->kv_heads : s->heads, Nq = total(s->q, s->batch), Nk = total(s->k, s->batch);
    rc_attention_options o = rc_attention_options_default();
    o.batch = s->batch, o.q_lengths = s->q, o.k_lengths = s->k, o.heads = s->heads, o.kv_heads = s->kv_heads;
    o.causal = s->causal, o.window = s->window, o.alibi = s->alibi, o.scale = s->scale, o.dropout = s->dropout;
    o.weights = w;
    rc_tape_begin(tape, (rc_tape_mode){.grad = grad, .training = true, .seed = 8});
    rc_var *v[5], *y;
    v[1] = rc_leaf(tape, 2, (size_t[]){Nq, s->heads * s->D}, noise[0]);
    v[2] = rc_leaf(tape, 2, (size_t[]){Nk, G * s->D}, noise[1]);
    v[3] = rc_leaf(tape, 2, (size_t[]){Nk, G * s->E}, noise[2]);
    v[4] = rc_leaf(tape, 1, (size_t[]){s->D}, noise[3]);
    rc_var *q = s->by != 0 ? rc_scale(tape, v[1], s->by, 0) : v[1],
           *k = s->by != 0 ? rc_scale(tape, v[2], s->by, 0) : v[2];
    if (s->additive)
        y = rc_additive_attention(tape, q, k, v[4], v[3], &o);
    else
        y = rc_attention(tape, q, k, v[3], &o);
    v[0] = y;
    rc_error e = {0};
    if (rc_tape_status(tape, &e)) fail_msg("%s", e.text);
    if (grad) {
        rc_var *by = rc_input(tape, 2, y->dim, noise[3]);
        if (rc_backward(tape, rc_sum_all(tape, rc_mul(tape, y, by)), 1, &e)) fail_msg("%s", e.text);
    }
    result r = {0};
    for (int i = 0; i < (grad ? s->additive ? 5 : 4 : 1); i++) {
        r.len[i] = v[i]->len;
        r.x[i] = copy_of(i ? v[i]->dx : v[i]->x, v[i]->len);
    }
    return r;
}

static void same_bits(const char *what, size_t n, const float *a, const float *b) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a))
            fail_msg("%s: element %zu is %.9g and %.9g", what, i, (double)a[i], (double)b[i]);
}

/* Relative to the largest of an array: sums of up to some hundred terms in float, weights off by a few units. */
static void near(const char *what, size_t number, const rc__kernels *k, size_t n, const float *a, const float *b) {
    float size = 0;
    for (size_t i = 0; i < n; i++) size = fmaxf(size, fabsf(b[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 4e-6f * size))
            fail_msg("%s of shape %zu, %s: element %zu is %.9g, reference %.9g", what, number, k->isa, i, (double)a[i],
                     (double)b[i]);
}

static void test_builds(void **state) {
    (void)state;
    const rc__kernels *saved = rc__k, *build[8];
    size_t n = rc__kernels_available(build, 8);
    static const char *const name[5] = {"y", "dq", "dk", "dv", "dw"};
    for (size_t s = 0; s < SHAPES; s++) {
        size_t pairs = 0;
        for (size_t b = 0; b < shapes[s].batch; b++) pairs += (size_t)(shapes[s].q[b] * shapes[s].k[b]);
        rc__k = build[0];
        result want = run(&shapes[s], true, weights[0]);
        for (size_t i = 1; i < n; i++) {
            rc__k = build[i];
            result got = run(&shapes[s], true, weights[1]);
            for (int a = 0; a < 5; a++) near(name[a], s, rc__k, got.len[a], got.x[a], want.x[a]);
            near("weights", s, rc__k, pairs, weights[1], weights[0]);
            drop(&got);
        }
        drop(&want);
    }
    rc__k = saved;
}

static void test_threads(void **state) {
    (void)state;
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (size_t s = 0; s < SHAPES; s++) {
        assert_int_equal(rc_set_threads(1, NULL), RC_OK);
        result want = run(&shapes[s], true, weights[0]);
        for (int n = 2; n < 5; n++) {
            assert_int_equal(rc_set_threads(n, NULL), RC_OK);
            result got = run(&shapes[s], true, weights[1]);
            for (int a = 0; a < 5; a++) same_bits("threads", got.len[a], got.x[a], want.x[a]);
            drop(&got);
        }
        drop(&want);
    }
    rc__parallel_threshold = saved;
    assert_int_equal(rc_set_threads(1, NULL), RC_OK);
}

/* Each sequence of a batch alone; noise is read from where its rows begin. */
static void test_alone(void **state) {
    (void)state;
    for (size_t n = 0; n < SHAPES; n++) {
        shape s = shapes[n];
        s.dropout = 0; /* masks are numbered by row */
        result all = run(&s, true, NULL);
        size_t G = s.kv_heads ? s.kv_heads : s.heads, q = 0, k = 0;
        for (size_t b = 0; b < s.batch; b++) {
            size_t nq = (size_t)s.q[b], nk = (size_t)s.k[b];
            if (nq && nk) {
                shape one = s;
                one.batch = 1, one.q[0] = s.q[b], one.k[0] = s.k[b];
                static float kept[4][MOST];
                memcpy(kept, noise, sizeof kept);
                size_t from[4] = {q * s.heads * s.D, k * G * s.D, k * G * s.E, s.additive ? 0 : q * s.heads * s.E};
                for (int i = 0; i < 4; i++) memcpy(noise[i], kept[i] + from[i], (MOST - from[i]) * sizeof(float));
                if (!s.additive || b == 0) {
                    result r = run(&one, true, NULL);
                    same_bits("y alone", r.len[0], r.x[0], all.x[0] + q * s.heads * s.E);
                    same_bits("dq alone", r.len[1], r.x[1], all.x[1] + from[0]);
                    same_bits("dk alone", r.len[2], r.x[2], all.x[2] + from[1]);
                    same_bits("dv alone", r.len[3], r.x[3], all.x[3] + from[2]);
                    drop(&r);
                }
                memcpy(noise, kept, sizeof kept);
            }
            q += nq, k += nk;
        }
        drop(&all);
    }
}

/* The same queries a few at a time, with the keys up to theirs: a cache. */
static void test_chunks(void **state) {
    (void)state;
    enum { T = 300, G = 1, D = 48 };
    static const int32_t chunk[] = {1, 1, 5, 60, 1, 128, 7, 97};
    for (int variant = 0; variant < 4; variant++) {
        size_t H = variant == 3 ? 1 : 2;
        shape s = {.batch = 1,
                   .additive = variant == 3,
                   .heads = H,
                   .kv_heads = G,
                   .D = D,
                   .E = D,
                   .q = {T},
                   .k = {T},
                   .causal = true,
                   .alibi = variant == 1,
                   .window = variant == 2 ? 90 : 0};
        result whole = run(&s, false, NULL);
        static float kept[MOST];
        memcpy(kept, noise[0], sizeof kept);
        size_t at = 0;
        for (size_t i = 0; i < sizeof chunk / sizeof *chunk; i++) {
            s.q[0] = chunk[i], s.k[0] = (int32_t)at + chunk[i];
            memcpy(noise[0], kept + at * H * D, (size_t)chunk[i] * H * D * sizeof(float));
            result part = run(&s, false, NULL);
            same_bits("chunk", part.len[0], part.x[0], whole.x[0] + at * H * D);
            drop(&part);
            at += (size_t)chunk[i];
        }
        assert_int_equal(at, T);
        memcpy(noise[0], kept, sizeof kept);
        drop(&whole);
    }
}

/* Five beams of each of two sentences, by k_start, and with the keys written out for each. */
static void test_beams(void **state) {
    (void)state;
    enum { BEAMS = 10, H = 2, D = 24 };
    static const int32_t q[BEAMS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                         k[BEAMS] = {30, 30, 30, 30, 30, 140, 140, 140, 140, 140};
    static const uint32_t start[BEAMS] = {2, 2, 2, 2, 2, 40, 40, 40, 40, 40};
    rc_attention_options o = rc_attention_options_default();
    o.batch = BEAMS, o.q_lengths = q, o.k_lengths = k, o.heads = H;
    static float K[ROWS * H * D], V[ROWS * H * D];
    size_t at = 0;
    for (int b = 0; b < BEAMS; b++)
        for (int i = 0; i < k[b]; i++, at++) {
            memcpy(K + at * H * D, noise[1] + (start[b] + (size_t)i) * H * D, H * D * sizeof(float));
            memcpy(V + at * H * D, noise[2] + (start[b] + (size_t)i) * H * D, H * D * sizeof(float));
        }
    for (int causal = 0; causal < 2; causal++) {
        rc_tape_begin(tape, (rc_tape_mode){0});
        o.causal = causal, o.k_start = NULL, o.weights = weights[0];
        rc_var *Q = rc_input(tape, 2, (size_t[]){BEAMS, H * D}, noise[0]);
        rc_var *a = rc_attention(tape, Q, rc_input(tape, 2, (size_t[]){at, H * D}, K),
                                 rc_input(tape, 2, (size_t[]){at, H * D}, V), &o);
        o.k_start = start, o.weights = weights[1];
        rc_var *b = rc_attention(tape, Q, rc_input(tape, 2, (size_t[]){200, H * D}, noise[1]),
                                 rc_input(tape, 2, (size_t[]){200, H * D}, noise[2]), &o);
        assert_int_equal(rc_tape_status(tape, NULL), RC_OK);
        same_bits("beams", a->len, b->x, a->x);
        same_bits("weights of beams", at, weights[1], weights[0]);
    }
}

/* About that share of the weights is dropped, what stays makes up for it, and other seeds drop others. */
static void test_dropout(void **state) {
    (void)state;
    enum { T = 400 };
    static float one[T * T], y[2][T * T];
    static const int32_t length[1] = {T};
    for (int i = 0; i < T * T; i++) one[i] = i / T == i % T;
    rc_attention_options o = rc_attention_options_default();
    o.batch = 1, o.q_lengths = length, o.dropout = 0.25;
    for (int seed = 0; seed < 2; seed++) {
        rc_tape_begin(tape, (rc_tape_mode){.training = true, .seed = (uint64_t)seed});
        rc_var *zero = rc_zeros(tape, 2, (size_t[]){T, 8}); /* equal weights; v = 1 shows them */
        rc_var *got = rc_attention(tape, zero, zero, rc_input(tape, 2, (size_t[]){T, T}, one), &o);
        assert_int_equal(rc_tape_status(tape, NULL), RC_OK);
        memcpy(y[seed], got->x, sizeof y[seed]);
    }
    size_t dropped = 0, both = 0, same_as_next = 0;
    for (int i = 0; i < T * T; i++) {
        if (y[0][i] != 0) assert_true(fabsf(y[0][i] * T - 1 / 0.75f) < 1e-5f);
        dropped += y[0][i] == 0;
        both += y[0][i] == 0 && y[1][i] == 0;
        same_as_next += y[0][i] == 0 && y[0][(i + 1) % (T * T)] == 0;
    }
    double n = T * T; /* four standard deviations */
    assert_true(fabs((double)dropped - n / 4) < 4 * sqrt(n * 3 / 16));
    assert_true(fabs((double)both - n / 16) < 4 * sqrt(n * 15 / 256));
    assert_true(fabs((double)same_as_next - n / 16) < 5 * sqrt(n * 15 / 256));
    size_t worst = 0; /* no row or column is dropped much more than others */
    for (int i = 0; i < T; i++) {
        size_t row = 0, column = 0;
        for (int j = 0; j < T; j++) row += y[0][i * T + j] == 0, column += y[0][j * T + i] == 0;
        worst = row > worst ? row : worst, worst = column > worst ? column : worst;
    }
    assert_true((double)worst < T / 4 + 5 * sqrt(T * 3 / 16.0));
}

/* Scores far from 0, of both signs, and equal: no overflow, weights add up to 1. */
static void test_large_scores(void **state) {
    (void)state;
    enum { T = 150, D = 16 };
    static float q[T * D], k[T * D], one[T];
    static const int32_t length[1] = {T};
    for (int size = 0; size < 3; size++) {
        float by = size == 0 ? 30 : size == 1 ? 3000 : 1e-30f;
        for (int i = 0; i < T * D; i++) q[i] = by * noise[0][i], k[i] = by * noise[1][i];
        for (int i = 0; i < T; i++) one[i] = 1;
        rc_attention_options o = rc_attention_options_default();
        o.batch = 1, o.q_lengths = length, o.weights = weights[0];
        rc_tape_begin(tape, (rc_tape_mode){.grad = true});
        rc_var *Q = rc_leaf(tape, 2, (size_t[]){T, D}, q), *K = rc_leaf(tape, 2, (size_t[]){T, D}, k);
        rc_var *y = rc_attention(tape, Q, K, rc_input(tape, 2, (size_t[]){T, 1}, one), &o);
        assert_int_equal(rc_backward(tape, rc_sum_all(tape, y), 1, NULL), RC_OK);
        for (int i = 0; i < T; i++) {
            float sum = 0;
            for (int j = 0; j < T; j++) sum += weights[0][i * T + j];
            assert_true(fabsf(sum - 1) < 1e-5f && fabsf(y->x[i] - 1) < 1e-5f);
        }
        for (int i = 0; i < T * D; i++) assert_true(isfinite(Q->dx[i]) && isfinite(K->dx[i]));
    }
}

/* Allocation n refused, for every n: out of memory is said, nothing is lost, the next run is as ever. */
static void test_memory(void **state) {
    (void)state;
    long refused = 0;
    for (size_t s = 0; s < SHAPES; s++)
        for (int once = 0; once < 2; once++)
            for (long n = 0;; n++) {
                size_t before = rc_memory_used();
                rc_tape *t = NULL;
                failing f = {.left = n, .once = once};
                const shape *h = &shapes[s];
                size_t G = h->kv_heads ? h->kv_heads : h->heads, Nq = total(h->q, h->batch), Nk = total(h->k, h->batch);
                rc_attention_options o = rc_attention_options_default();
                o.batch = h->batch, o.q_lengths = h->q, o.k_lengths = h->k, o.heads = h->heads,
                o.kv_heads = h->kv_heads;
                o.alibi = h->alibi, o.dropout = h->dropout, o.weights = weights[0];
                assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
                rc_set_allocator(failing_alloc, &f);
                rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
                rc_var *q = rc_leaf(t, 2, (size_t[]){Nq, h->heads * h->D}, noise[0]), *y;
                rc_var *k = rc_leaf(t, 2, (size_t[]){Nk, G * h->D}, noise[1]),
                       *v = rc_leaf(t, 2, (size_t[]){Nk, G * h->E}, noise[2]);
                if (h->additive)
                    y = rc_additive_attention(t, q, k, rc_leaf(t, 1, &h->D, noise[3]), v, &o);
                else
                    y = rc_attention(t, q, k, v, &o);
                rc_error e = {0};
                rc_status status = rc_backward(t, rc_sum_all(t, y), 1, &e);
                rc_set_allocator(NULL, NULL);
                rc_tape_free(t);
                assert_int_equal(rc_memory_used(), before);
                if (f.calls <= n) {
                    if (status) fail_msg("%s", e.text);
                    refused += n;
                    break;
                }
                if (status != RC_ENOMEM && !(once && status == RC_OK))
                    fail_msg("%s: %s", rc_status_name(status), e.text);
            }
    assert_true(refused > 4 * SHAPES);
}

int main(void) {
    if (rc_tape_new(&tape, NULL) != RC_OK) return 1;
    rc_rng r = rc_rng_make(2, 0);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < MOST; j++) noise[i][j] = (float)rc_rng_normal(&r);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds), cmocka_unit_test(test_threads),      cmocka_unit_test(test_alone),
        cmocka_unit_test(test_chunks), cmocka_unit_test(test_beams),        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_large_scores),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rc_tape_free(tape);
    return failed;
}
