/* Attention whose weights are wanted (autograd/align.h), the attention on a token's places and the mixed loss
 * (autograd/copy.h): gradients of every kind and option with empty and single rows, numbers by the formulas written
 * out, == rc_attention and rc_additive_attention where they do the same. */
#include "grad.h"
#include "autograd/align.h"
#include "autograd/copy.h"
#include <math.h>

enum { BATCH = 4, A = 3, D = 2, L = 6, NQ = 7, NK = 10, FILTERS = 2, TAPS = 3 };
static const int32_t q_lengths[BATCH] = {3, 0, 1, 3}, k_lengths[BATCH] = {5, 2, 0, 3};
static const uint32_t k_start[BATCH] = {5, 3, 0, 0}; /* the same rows in another order */

typedef struct subject {
    rc__align_kind kind;
    bool additive, coverage, location, offset, past, starts;
    const double *noise;
} subject;

static rc__align_options options_of(rc_tape *t, rc_var *const *in, const subject *s) {
    (void)t;
    return (rc__align_options){.batch = BATCH,
                               .q_lengths = q_lengths,
                               .k_lengths = k_lengths,
                               .longest = L,
                               .kind = s->kind,
                               .scale = 0.7,
                               .coverage = s->coverage,
                               .filters = s->location ? in[3] : NULL,
                               .mix = s->coverage || s->location ? in[4] : NULL,
                               .offset = s->offset ? in[5] : NULL,
                               .last = s->past ? in[6] : NULL,
                               .sum = s->past && s->coverage ? in[7] : NULL,
                               .noise = s->noise,
                               .k_start = s->starts ? k_start : NULL};
}

static rc_var *run_align(rc_tape *t, rc_var *const *in, void *ctx) {
    const subject *s = ctx;
    rc__align_options o = options_of(t, in, s);
    rc_var *w = rc__align(t, in[0], in[1], s->additive ? in[2] : NULL, &o);
    rc_var *both[2] = {rc_reshape(t, w, 1, (size_t[]){(size_t)-1}),
                       rc_reshape(t, rc__mix_rows(t, w, in[8], &o), 1, (size_t[]){(size_t)-1})};
    return rc_concat(t, 2, both, 0);
}

static void test_gradients(void **state) {
    (void)state;
    static double noise[NQ * L];
    rc_rng r = rc_rng_make(3, 3);
    for (size_t i = 0; i < NQ * L; i++) noise[i] = rc_rng_normal(&r);
    for (unsigned way = 0; way < 256; way++) {
        subject s = {.kind = way & 1 ? RC__ALIGN_MONOTONIC : RC__ALIGN_SOFTMAX,
                     .additive = way & 2,
                     .coverage = way & 4,
                     .location = way & 8,
                     .offset = way & 16,
                     .past = way & 32,
                     .starts = way & 64,
                     .noise = way & 128 ? noise : NULL};
        size_t C = (s.coverage ? 1u : 0u) + (s.location ? (size_t)FILTERS : 0u);
        if ((C && !s.additive) || (s.coverage && s.kind != RC__ALIGN_SOFTMAX)) continue;
        rc_error e = {0};
        bool monotonic = s.kind == RC__ALIGN_MONOTONIC;
        rc__gradcheck c = {.build = run_align,
                           .ctx = &s,
                           .n = 9,
                           .seed = 4,
                           .in = {{.name = "q", .ndim = 2, .dim = {NQ, A}},
                                  {.name = "k", .ndim = 2, .dim = {NK, A}},
                                  {.name = "w", .ndim = 1, .dim = {A}, .zero_ok = !s.additive},
                                  {.name = "filters", .ndim = 2, .dim = {FILTERS, TAPS}, .zero_ok = !s.location},
                                  {.name = "mix", .ndim = 2, .dim = {A, C ? C : 1}, .zero_ok = !C},
                                  {.name = "offset", .ndim = 1, .dim = {1}, .zero_ok = true},
                                  {.name = "last",
                                   .ndim = 2,
                                   .dim = {BATCH, L},
                                   .fill = RC__FILL_POSITIVE,
                                   .zero_ok = !(s.past && (s.location || monotonic))},
                                  {.name = "sum",
                                   .ndim = 2,
                                   .dim = {BATCH, L},
                                   .fill = RC__FILL_POSITIVE,
                                   .zero_ok = !(s.past && s.coverage)},
                                  {.name = "v", .ndim = 2, .dim = {NK, D}}}};
        if (rc__gradcheck_run(&c, &e) != RC_OK) fail_msg("way %u: %s", way, e.text);
    }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static double data[9][64];
static rc_var *in[9];
static const struct {
    int ndim;
    size_t dim[2];
} shape[9] = {{2, {NQ, A}}, {2, {NK, A}},    {1, {A}},        {2, {FILTERS, TAPS}}, {2, {A, 1 + FILTERS}},
              {1, {1}},     {2, {BATCH, L}}, {2, {BATCH, L}}, {2, {NK, D}}};

static rc_tape *begin(void) {
    rc_tape *t = training_tape(1);
    rc_rng r = rc_rng_make(7, 7);
    for (int i = 0; i < 9; i++) {
        for (size_t k = 0; k < 64; k++) data[i][k] = i == 6 || i == 7 ? rc_rng_uniform(&r) : rc_rng_normal(&r);
        in[i] = rc_leaf(t, shape[i].ndim, shape[i].dim, data[i]);
    }
    return t;
}

/* Scores by the formula: with the sum of the weights before (c) and those of the query before (a). */
static double score(const subject *s, size_t i, size_t k0, size_t j, size_t m, const double *c, const double *a) {
    double e = 0;
    for (size_t x = 0; x < A; x++) {
        double u = data[0][i * A + x] + data[1][(k0 + j) * A + x];
        size_t features = (s->coverage ? 1u : 0u) + (s->location ? (size_t)FILTERS : 0u), at = 0;
        if (s->coverage) u += data[4][x * features + at++] * c[j];
        for (size_t f = 0; s->location && f < FILTERS; f++)
            for (int d = -1; d <= 1; d++)
                if ((int)j + d >= 0 && (int)j + d < (int)m)
                    u += data[4][x * features + at + f] * data[3][f * TAPS + (size_t)(d + 1)] * a[(int)j + d];
        e += s->additive ? data[2][x] * tanh(u) : 0.7 * data[0][i * A + x] * data[1][(k0 + j) * A + x];
    }
    return s->offset ? e + data[5][0] : e;
}

static void expected(const subject *s, double *w) {
    size_t i = 0, k0 = 0;
    memset(w, 0, NQ * L * sizeof *w);
    for (size_t b = 0; b < BATCH; k0 += (size_t)k_lengths[b], b++) {
        double c[L] = {0}, a[L] = {0}, e[L], sum;
        size_t m = (size_t)k_lengths[b];
        if (s->past)
            memcpy(c, data[7] + b * L, sizeof c), memcpy(a, data[6] + b * L, sizeof a);
        else if (s->kind != RC__ALIGN_SOFTMAX)
            a[0] = 1;
        for (int32_t q = 0; q < q_lengths[b]; q++, i++) {
            sum = 0;
            for (size_t j = 0; j < m; j++) sum += exp(e[j] = score(s, i, k0, j, m, c, a));
            for (size_t j = 0; j < m; j++) {
                double v = exp(e[j]) / sum;
                if (s->kind !=
                    RC__ALIGN_SOFTMAX) { /* came from k <= j and stopped at none between: eq. 8, written out */
                    v = 0;
                    for (size_t k = 0; k <= j; k++) {
                        double way = a[k];
                        for (size_t l = k; l < j; l++) way *= 1 - 1 / (1 + exp(-e[l]));
                        v += way / (1 + exp(-e[j]));
                    }
                }
                w[i * L + j] = v;
            }
            for (size_t j = 0; j < m; j++) a[j] = w[i * L + j], c[j] += a[j];
        }
    }
}

static void test_numbers(void **state) {
    (void)state;
    static double want[NQ * L];
    for (unsigned way = 0; way < 64; way++) {
        subject s = {.kind = way & 1 ? RC__ALIGN_MONOTONIC : RC__ALIGN_SOFTMAX,
                     .additive = way & 2,
                     .coverage = way & 4,
                     .location = way & 8,
                     .offset = way & 16,
                     .past = way & 32};
        size_t C = (s.coverage ? 1u : 0u) + (s.location ? (size_t)FILTERS : 0u);
        if ((C && !s.additive) || (s.coverage && s.kind != RC__ALIGN_SOFTMAX)) continue;
        rc_tape *t = begin();
        if (C) in[4] = rc_leaf(t, 2, (size_t[]){A, C}, data[4]);
        rc__align_options o = options_of(t, in, &s);
        rc_var *w = rc__align(t, in[0], in[1], s.additive ? in[2] : NULL, &o);
        assert_int_equal(rc_tape_status(t, NULL), RC_OK);
        expected(&s, want);
        for (size_t i = 0; i < NQ * L; i++)
            if (!(fabs(w->x[i] - want[i]) < 1e-12))
                fail_msg("way %u: weight %zu is %.15g, expected %.15g", way, i, w->x[i], want[i]);
        rc_tape_free(t);
    }
}

static void test_same_as_fused(void **state) {
    (void)state;
    for (int additive = 0; additive < 2; additive++)
        for (int starts = 0; starts < 2; starts++) {
            rc_tape *t = begin();
            subject s = {.additive = additive, .starts = starts};
            rc__align_options o = options_of(t, in, &s);
            static double blocks[64];
            rc_attention_options f = rc_attention_options_default();
            f.batch = BATCH, f.q_lengths = q_lengths, f.k_lengths = k_lengths, f.k_start = o.k_start, f.scale = 0.7,
            f.weights = blocks;
            rc_var *w = rc__align(t, in[0], in[1], additive ? in[2] : NULL, &o), *c = rc__mix_rows(t, w, in[8], &o);
            rc_var *g = additive ? rc_additive_attention(t, in[0], in[1], in[2], in[8], &f)
                                 : rc_attention(t, in[0], in[1], in[8], &f);
            assert_int_equal(rc_tape_status(t, NULL), RC_OK);
            for (size_t i = 0; i < c->len; i++) assert_true(fabs(c->x[i] - g->x[i]) < 1e-12);
            const double *from = blocks;
            for (size_t b = 0, i = 0; b < BATCH; b++)
                for (int32_t q = 0; q < q_lengths[b]; q++, i++)
                    for (int32_t j = 0; j < k_lengths[b]; j++)
                        assert_true(fabs(w->x[i * L + (size_t)j] - *from++) < 1e-12);
            rc_tape_free(t);
        }
}

/* Hard attention: the first key from the last one on whose p is at least 1/2; where all p are sharp, what is
 * expected. */
static void test_hard(void **state) {
    (void)state;
    rc_tape *t = begin();
    for (size_t i = 0; i < 64; i++) data[2][i % 3] *= i < 3 ? 300 : 1;
    subject s = {.kind = RC__ALIGN_HARD, .additive = true}, soft = {.kind = RC__ALIGN_MONOTONIC, .additive = true};
    rc__align_options o = options_of(t, in, &s), e = options_of(t, in, &soft);
    rc_var *h = rc__align(t, in[0], in[1], in[2], &o), *x = rc__align(t, in[0], in[1], in[2], &e);
    assert_int_equal(rc_tape_status(t, NULL), RC_OK);
    size_t chosen = 0, place = 0;
    for (size_t i = 0; i < NQ * L; i++) {
        assert_true(h->x[i] == 0 || h->x[i] == 1);
        assert_true(fabs(h->x[i] - x->x[i]) < 1e-3);
        if (h->x[i] == 1) {
            assert_true(i / L == 0 || i / L > 2 || i % L >= place); /* of the first sequence: never back */
            place = i % L;
            chosen++;
        }
    }
    assert_true(chosen > 0 && chosen < NQ);
    assert_false(h->needs_grad);
    rc_tape_free(t);
}

/* What comes step by step is what came at once. */
static void test_history(void **state) {
    (void)state;
    static const int32_t one[BATCH] = {1, 1, 1, 1}, three[BATCH] = {3, 3, 3, 3};
    for (int kind = 0; kind < 3; kind++) {
        rc_tape *t = begin();
        rc_var *q = rc_leaf(t, 2, (size_t[]){12, A}, data[0]), *last = NULL, *sum = NULL,
               *mix = kind == 1 ? in[4] : NULL;
        rc__align_options o = {.batch = BATCH,
                               .q_lengths = three,
                               .k_lengths = k_lengths,
                               .longest = L,
                               .coverage = kind == 1,
                               .kind =
                                   (rc__align_kind[]){RC__ALIGN_SOFTMAX, RC__ALIGN_SOFTMAX, RC__ALIGN_MONOTONIC}[kind],
                               .filters = kind == 1 ? in[3] : NULL,
                               .mix = mix};
        rc_var *whole = rc__align(t, q, in[1], in[2], &o);
        o.q_lengths = one;
        for (size_t i = 0; i < 3; i++) {
            rc_var *row[BATCH];
            for (size_t b = 0; b < BATCH; b++) row[b] = rc_slice(t, q, 0, b * 3 + i, 1);
            o.last = last, o.sum = kind == 1 ? sum : NULL;
            last = rc__align(t, rc_concat(t, BATCH, row, 0), in[1], in[2], &o);
            sum = sum ? rc_add(t, sum, last) : last;
            assert_int_equal(rc_tape_status(t, NULL), RC_OK);
            for (size_t x = 0; x < BATCH * L; x++)
                assert_true(fabs(last->x[x] - whole->x[(x / L * 3 + i) * L + x % L]) < 1e-14);
        }
        rc_tape_free(t);
    }
}

static void test_align_refusals(void **state) {
    (void)state;
    static const int32_t negative[BATCH] = {3, 0, -1, 5}, many[BATCH] = {7, 2, 0, 1};
    static const char *const text[] = {"align: %s",  "lengths add up", "keys of a sequence",      "expected (Nq, A)",
                                       "do not fit", "last is",        "coverage is for softmax", "expected 0 or more"};
    for (int i = 1; i < 8; i++) {
        rc_tape *t = begin();
        rc_error e = {0};
        subject s = {.additive = true, .past = i == 5, .coverage = i == 4};
        rc__align_options o = options_of(t, in, &s);
        if (i == 1) o.batch = 3;
        if (i == 2) o.k_lengths = many;
        if (i == 4) o.mix = NULL;
        if (i == 5) o.longest = L + 1;
        if (i == 6) o.coverage = true, o.mix = in[8], o.kind = RC__ALIGN_MONOTONIC;
        if (i == 7) o.q_lengths = negative;
        rc_var *v = rc__align(t, in[0], i == 3 ? in[8] : in[1], in[2], &o);
        assert_int_equal(v->len, 0);
        assert_int_equal(rc_tape_status(t, &e), RC_EINVAL);
        if (!strstr(e.text, text[i])) fail_msg("\"%s\" does not mention %s", e.text, text[i]);
        rc_tape_free(t);
    }
}

/* ---- coverage ---------------------------------------------------------------------------------------------------- */

static rc_var *run_coverage(rc_tape *t, rc_var *const *v, void *ctx) {
    (void)ctx;
    return rc__coverage_loss(t, v[0], q_lengths, BATCH);
}

static void test_coverage(void **state) {
    (void)state;
    rc__gradcheck c = {.build = run_coverage,
                       .n = 1,
                       .in = {{.name = "weights", .ndim = 2, .dim = {NQ, L}, .fill = RC__FILL_APART}},
                       .seed = 4};
    check_gradient(&c);
    static const double w[NQ * L] = {
        0.5, 0.5, 0, 0, 0, 0, 0.2, 0.3, 0.5, 0, 0, 0, 0.9, 0, 0, 0.1, 0, 0, /* of the next sentence */ 1};
    rc_tape *t = training_tape(1);
    rc_var *loss = rc__coverage_loss(t, rc_leaf(t, 2, (size_t[]){NQ, L}, w), q_lengths, BATCH);
    assert_true(fabs(loss->x[0] - (0.2 + 0.3 + 0.7) / NQ) < 1e-12);
    rc_tape_free(t);
}

/* ---- copying ----------------------------------------------------------------------------------------------------- */

enum { V = 5, K = 3 };
static const int32_t source[L * BATCH] = {1, 4, 0, 2, 3, 3, 0, 2, 1, 0, 0, 4, 4, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9};
static const int32_t target[NQ] = {1, 2, 4, 3, 2, -100, 4};

typedef struct mixed {
    double smoothing;
    bool sum, ignore;
} mixed;

static rc_var *run_mixed(rc_tape *t, rc_var *const *v, void *ctx) {
    const mixed *m = ctx;
    static const int32_t plain[NQ] = {1, 2, 4, 3, 2, 0, 4};
    const int32_t *y = m->ignore ? target : plain;
    rc_loss_options o = rc_loss_options_default();
    o.label_smoothing = m->smoothing, o.sum = m->sum;
    rc_var *copied = rc__copied(t, v[4], q_lengths, BATCH, source, k_lengths, y);
    return rc__mixed_cross_entropy(t, v[0], v[1], v[2], v[3], copied, y, &o, NULL, NULL);
}

static void test_mixed_gradients(void **state) {
    (void)state;
    for (int way = 0; way < 8; way++) {
        mixed m = {way & 1 ? 0.1 : 0, way & 2, way & 4};
        rc__gradcheck c = {.build = run_mixed,
                           .ctx = &m,
                           .n = 5,
                           .seed = 4,
                           .in = {{.name = "x", .ndim = 2, .dim = {NQ, K}},
                                  {.name = "w", .ndim = 2, .dim = {V, K}},
                                  {.name = "b", .ndim = 1, .dim = {V}},
                                  {.name = "gate", .ndim = 2, .dim = {NQ, 1}},
                                  {.name = "weights", .ndim = 2, .dim = {NQ, L}, .fill = RC__FILL_POSITIVE}}};
        check_gradient(&c);
    }
}

/* By eq. 9 written out, and where either side of it is nothing. */
static void test_mixed_numbers(void **state) {
    (void)state;
    rc_rng r = rc_rng_make(2, 9);
    static double x[NQ * K], w[V * K], b[V], gate[NQ], a[NQ * L];
    for (int extreme = 0; extreme < 3; extreme++) {
        for (size_t i = 0; i < NQ * K; i++) x[i] = rc_rng_normal(&r);
        for (size_t i = 0; i < V * K; i++) w[i] = rc_rng_normal(&r);
        for (size_t i = 0; i < V; i++)
            b[i] = extreme == 1 ? (i == 0 ? 800 : 0) : rc_rng_normal(&r); /* P of all others: e^-800 */
        for (size_t i = 0; i < NQ; i++) gate[i] = extreme == 2 ? -900 : rc_rng_normal(&r);
        for (size_t i = 0; i < NQ * L; i++) a[i] = rc_rng_uniform(&r) / 6;
        rc_tape *t = training_tape(1);
        rc_var *v[5] = {rc_leaf(t, 2, (size_t[]){NQ, K}, x), rc_leaf(t, 2, (size_t[]){V, K}, w),
                        rc_leaf(t, 1, (size_t[]){V}, b), rc_leaf(t, 1, (size_t[]){NQ}, gate),
                        rc_leaf(t, 2, (size_t[]){NQ, L}, a)};
        double nll = 0, want = 0;
        size_t count = 0, row = 0;
        rc_loss_options o = rc_loss_options_default();
        rc_var *copied = rc__copied(t, v[4], q_lengths, BATCH, source, k_lengths, target);
        rc_var *loss = rc__mixed_cross_entropy(t, v[0], v[1], v[2], v[3], copied, target, &o, &nll, &count);
        assert_int_equal(rc_tape_status(t, NULL), RC_OK);
        assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
        for (size_t s = 0; s < BATCH; s++)
            for (int32_t q = 0; q < q_lengths[s]; q++, row++) {
                if (target[row] < 0) continue;
                double z[V], total = 0, mass = 0, most = -INFINITY;
                for (size_t c = 0; c < V; c++) {
                    z[c] = b[c];
                    for (size_t k = 0; k < K; k++) z[c] += w[c * K + k] * x[row * K + k];
                    most = fmax(most, z[c]);
                }
                for (size_t c = 0; c < V; c++) total += exp(z[c] - most);
                double logp = z[target[row]] - most - log(total);
                for (size_t j = 0; j < (size_t)k_lengths[s]; j++)
                    mass += source[j * BATCH + s] == target[row] ? a[row * L + j] : 0;
                assert_true(fabs(copied->x[row] - mass) < 1e-15);
                double on = gate[row] - log1p(exp(gate[row])), off = -log1p(exp(gate[row]));
                want -= mass == 0                     ? on + logp
                        : on + logp > off + log(mass) ? on + logp + log1p(exp(off + log(mass) - on - logp))
                                                      : off + log(mass) + log1p(exp(on + logp - off - log(mass)));
            }
        assert_int_equal(count, NQ - 1);
        assert_true(isfinite(nll) && fabs(nll - want) < 1e-9 * fabs(want));
        for (int i = 0; i < 5; i++)
            for (size_t k = 0; k < v[i]->len; k++) assert_true(isfinite(v[i]->dx[k]));
        rc_tape_free(t);
    }
}

static void test_mixed_refusals(void **state) {
    (void)state;
    static const double x[NQ * K] = {0}, weights[V] = {1, 1, 1, 1, 1};
    for (int i = 0; i < 3; i++) {
        rc_tape *t = training_tape(1);
        rc_error e = {0};
        rc_var *a = rc_leaf(t, 2, (size_t[]){NQ, K}, x), *w = rc_leaf(t, 2, (size_t[]){V, K}, x),
               *g = rc_leaf(t, 1, (size_t[]){NQ}, x);
        rc_loss_options o = rc_loss_options_default();
        if (i == 0) o.class_weights = weights;
        rc_var *c = i == 2 ? rc__copied(t, a, k_lengths, BATCH, source, k_lengths, target) : g;
        rc__mixed_cross_entropy(t, a, w, NULL, i == 1 ? rc_leaf(t, 1, (size_t[]){3}, x) : g, c, target, &o, NULL, NULL);
        assert_int_equal(rc_tape_status(t, &e), RC_EINVAL);
        static const char *const words[3] = {"class weights", "one for each of 7 rows", "lengths add up to 10"};
        if (!strstr(e.text, words[i])) fail_msg("%s", e.text);
        rc_tape_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients),     cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_same_as_fused), cmocka_unit_test(test_hard),
                                       cmocka_unit_test(test_history),       cmocka_unit_test(test_align_refusals),
                                       cmocka_unit_test(test_coverage),      cmocka_unit_test(test_mixed_gradients),
                                       cmocka_unit_test(test_mixed_numbers), cmocka_unit_test(test_mixed_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
