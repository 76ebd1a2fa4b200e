/* Decoders in double: gradients of every attention and option, with rows of length 0 and 1; step by step == all at
 * once, with hypotheses that part and share a sentence; padding of either side and other rows change nothing. */
#include "grad.h"
#include "nn/decoder.h"
#include <math.h>
#include <stdlib.h>

enum { T = 5, S = 4, B = 4, E = 3, M = 6, H = 6, G = 5, MAX = 512 };
static const int32_t source_lengths[B] = {3, 5, 1, 4}, some_empty[B] = {3, 0, 1, 5}, target_lengths[B] = {2, 4, 0, 1};

typedef struct kind {
    const char *name, *cell;
    rc__attention_kind attention;
    int layers;
    bool feeding, coverage, monotonic, no_bridge;
    rc_skip skip;
    rc_positions positions; /* a Transformer's */
    size_t kv_heads, window;
    double dropout; /* between layers, and of attention */
} kind;

static const kind kinds[] = {
    {"none", "lstm", RC__ATTENTION_NONE, 2, .skip = RC_SKIP_NONE},
    {"none, gru", "gru", RC__ATTENTION_NONE, 1, .skip = RC_SKIP_NONE},
    {"additive", "gru", RC__ATTENTION_ADDITIVE, 2, .skip = RC_SKIP_NONE},
    {"additive, one layer, no bridge", "lstm", RC__ATTENTION_ADDITIVE, 1, .no_bridge = true, .skip = RC_SKIP_NONE},
    {"dot", "lstm", RC__ATTENTION_DOT, 2, .skip = RC_SKIP_NONE},
    {"general", "lstm", RC__ATTENTION_GENERAL, 3, .skip = RC_SKIP_RESIDUAL},
    {"concat", "mgu", RC__ATTENTION_CONCAT, 2, .skip = RC_SKIP_HIGHWAY},
    {"multihead", "lstm", RC__ATTENTION_MULTIHEAD, 2, .skip = RC_SKIP_NONE},
    {"projection", "lstm-projection", RC__ATTENTION_GENERAL, 2, .no_bridge = false, .skip = RC_SKIP_NONE},
    {"general, input feeding", "lstm", RC__ATTENTION_GENERAL, 2, .feeding = true, .skip = RC_SKIP_NONE},
    {"coverage", "lstm", RC__ATTENTION_ADDITIVE, 2, .coverage = true, .skip = RC_SKIP_NONE},
    {"coverage, input feeding", "gru", RC__ATTENTION_CONCAT, 1, .coverage = true, .feeding = true,
     .skip = RC_SKIP_NONE},
    {"location", "gru", RC__ATTENTION_LOCATION, 2, .skip = RC_SKIP_NONE},
    {"location, coverage, input feeding", "lstm", RC__ATTENTION_LOCATION, 2, .coverage = true, .feeding = true},
    {"monotonic", "lstm", RC__ATTENTION_ADDITIVE, 2, .monotonic = true, .skip = RC_SKIP_NONE},
    {"monotonic, input feeding", "gru", RC__ATTENTION_ADDITIVE, 1, .monotonic = true, .feeding = true},
    {"dropout", "lstm", RC__ATTENTION_ADDITIVE, 3, .dropout = 0.3},
    {"dropout, coverage", "gru", RC__ATTENTION_CONCAT, 2, .coverage = true, .dropout = 0.3},
    {"dropout, input feeding", "gru", RC__ATTENTION_MULTIHEAD, 2, .feeding = true, .dropout = 0.3},
    {"transformer, dropout", "transformer", RC__ATTENTION_MULTIHEAD, 2, .no_bridge = true, .dropout = 0.3},
    {"transformer, rotary", "transformer", RC__ATTENTION_MULTIHEAD, 2, .no_bridge = true},
    {"transformer, alibi, short window", "transformer", RC__ATTENTION_MULTIHEAD, 1, .no_bridge = true,
     .positions = RC_POSITIONS_ALIBI, .kv_heads = 1, .window = 2},
    {"transformer, sinusoidal", "transformer", RC__ATTENTION_GENERAL, 2, .no_bridge = true,
     .positions = RC_POSITIONS_SINUSOIDAL, .kv_heads = 1},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct subject {
    const kind *k;
    rc_params *ps;
    rc__decoder *d;
    const int32_t *source, *target;
    bool weights;
} subject;

static subject make(const kind *k) {
    subject s = {.k = k, .source = source_lengths, .target = target_lengths};
    rc_error e = {0};
    rc__decoder_options o = {.rnn = rc_rnn_options_default(),
                             .input_size = E,
                             .memory_size = M,
                             .bridge_size = k->no_bridge ? 0 : G,
                             .attention = k->attention,
                             .heads = k->attention == RC__ATTENTION_MULTIHEAD ? 3 : 0,
                             .input_feeding = k->feeding,
                             .coverage = k->coverage,
                             .monotonic = k->monotonic};
    o.rnn.cell = k->cell;
    o.rnn.hidden_size = H;
    o.rnn.num_layers = k->layers;
    o.rnn.skip = k->skip;
    o.rnn.dropout = o.attention_dropout = k->dropout;
    bool blocks = !strcmp(k->cell, "transformer");
    o.rnn.learn_initial_state = k->no_bridge && !blocks;
    o.rnn.heads = blocks ? 3 : 0;
    o.rnn.positions = k->positions;
    o.rnn.kv_heads = k->kv_heads;
    o.rnn.context = k->window;
    assert_int_equal(rc_params_new(&s.ps, NULL), RC_OK);
    if (rc__decoder_new(&s.d, s.ps, "decoder.", &o, &e) != RC_OK) fail_msg("%s: %s", k->name, e.text);
    assert_int_equal(rc_params_build(s.ps, 5, NULL), RC_OK);
    rc_rng r = rc_rng_make(8, 0);
    for (size_t i = 0; i < rc_params_count(s.ps); i++) {
        rc_param *p = rc_params_at(s.ps, i);
        for (size_t x = 0; x < p->len; x++) p->w[x] = 1.2 * p->w[x] + 0.3 * rc_rng_normal(&r);
    }
    rc_params_changed(s.ps);
    return s;
}

static void drop(subject *s) {
    rc__decoder_free(s->d);
    rc_params_free(s->ps);
}

static rc_var *flat(rc_tape *t, rc_var *v) { return rc_reshape(t, v, 1, (size_t[]){(size_t)-1}); }

static rc_var *run(rc_tape *t, rc_var *const *in, void *ctx) {
    const subject *s = ctx;
    rc__memory m = {.steps = in[1], .lengths = s->source, .bridge = s->k->no_bridge ? NULL : in[2]};
    rc__decoder_more more = {.want_weights = s->weights};
    rc_var *out[4] = {rc__decoder_forward(t, s->d, in[0], s->target, &m, s->weights ? &more : NULL)};
    int n = 1;
    if (!s->weights) return out[0];
    if (more.context) out[n++] = more.context;
    if (more.weights) out[n++] = more.weights;
    if (more.coverage_loss) out[n++] = more.coverage_loss;
    for (int i = 0; i < n; i++) out[i] = flat(t, out[i]);
    return n > 1 ? rc_concat(t, n, out, 0) : out[0];
}

static void test_gradients(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (int way = 0; way < 4; way++) {
            bool none = kinds[k].attention == RC__ATTENTION_NONE;
            subject s = make(&kinds[k]);
            s.weights = way % 2;
            s.source = way < 2 ? source_lengths : way == 2 ? some_empty : NULL;
            s.target = way == 3 ? NULL : target_lengths;
            rc_error e = {0};
            rc__gradcheck c = {.build = run,
                               .ctx = &s,
                               .n = 3,
                               .params = s.ps,
                               .params_zero_ok = true,
                               .training = true,
                               .seed = 4,
                               .in = {{.name = "y", .ndim = 3, .dim = {S, B, E}},
                                      {.name = "memory", .ndim = 3, .dim = {T, B, M}, .zero_ok = none},
                                      {.name = "bridge", .ndim = 2, .dim = {B, G}, .zero_ok = kinds[k].no_bridge}}};
            if (rc__gradcheck_run(&c, &e) != RC_OK) fail_msg("%s, way %d: %s", kinds[k].name, way, e.text);
            drop(&s);
        }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static double y_data[(S + 3) * B * E], memory_data[(T + 3) * B * M], bridge_data[B * G];

static void make_data(void) {
    rc_rng r = rc_rng_make(2, 0);
    for (size_t i = 0; i < sizeof y_data / sizeof *y_data; i++) y_data[i] = rc_rng_normal(&r);
    for (size_t i = 0; i < sizeof memory_data / sizeof *memory_data; i++) memory_data[i] = rc_rng_normal(&r);
    for (size_t i = 0; i < B * G; i++) bridge_data[i] = rc_rng_normal(&r);
}

typedef struct result {
    double out[MAX], context[MAX], weights[MAX], dmemory[MAX];
    size_t n;
} result;

/* Rows [first, first + n) of the batch, in a space of so many steps whose padding is NaN. */
static rc_tape *forward(const subject *s, size_t first, size_t n, size_t steps, size_t memory_steps, bool grad,
                        result *r) {
    static double y[MAX], memory[MAX];
    for (size_t i = 0; i < steps * n * E; i++) {
        size_t t = i / E / n, b = i / E % n + first;
        y[i] = (int32_t)t < target_lengths[b] ? y_data[(t * B + b) * E + i % E] : NAN;
    }
    for (size_t i = 0; i < memory_steps * n * M; i++) {
        size_t t = i / M / n, b = i / M % n + first;
        memory[i] = (int32_t)t < source_lengths[b] ? memory_data[(t * B + b) * M + i % M] : NAN;
    }
    rc_tape *t = NULL;
    rc_error e = {0};
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_tape_begin(t, (rc_tape_mode){.grad = grad, .training = grad}); /* nothing drops; monotonic is soft then */
    rc__memory m = {.steps = rc_leaf(t, 3, (size_t[]){memory_steps, n, M}, memory),
                    .lengths = source_lengths + first,
                    .bridge = s->k->no_bridge ? NULL : rc_input(t, 2, (size_t[]){n, G}, bridge_data + first * G)};
    rc__decoder_more more = {.want_weights = s->weights};
    rc_var *out =
        rc__decoder_forward(t, s->d, rc_input(t, 3, (size_t[]){steps, n, E}, y), target_lengths + first, &m, &more);
    if (rc_tape_status(t, &e) != RC_OK) fail_msg("%s: %s", s->k->name, e.text);
    memset(r, 0, sizeof *r);
    r->n = out->dim[0];
    assert_true(out->len <= MAX && (!more.context || more.context->len <= MAX) &&
                (!more.weights || more.weights->len <= MAX));
    memcpy(r->out, out->x, out->len * sizeof *out->x);
    if (more.context) memcpy(r->context, more.context->x, more.context->len * sizeof *out->x);
    size_t cols = more.weights ? more.weights->dim[1] : 0;
    for (size_t i = 0; i < r->n; i++)
        if (cols) memcpy(r->weights + i * T, more.weights->x + i * cols, cols * sizeof *out->x);
    if (!grad) return t;
    rc_var *loss = rc_sum_all(t, rc_mul(t, out, out));
    assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0; m.steps->dx && i < (size_t)source_lengths[first + b]; i++)
            memcpy(r->dmemory + (b * T + i) * M, m.steps->dx + (i * n + b) * M, M * sizeof *out->x);
    return t;
}

static void same(const char *name, const char *what, const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(a[i] == b[i])) fail_msg("%s: %s[%zu] is %.17g and %.17g", name, what, i, a[i], b[i]);
}

static void test_padding(void **state) {
    (void)state;
    static result few, many;
    make_data();
    for (size_t k = 0; k < KINDS; k++)
        for (int weights = 0; weights < 2; weights++) {
            subject s = make(&kinds[k]);
            static double grads[2][20000];
            s.weights = weights;
            rc_tape_free(forward(&s, 0, B, S, T, true, &few));
            memcpy(grads[0], rc_params_grads(s.ps), rc_params_block_len(s.ps) * sizeof(double));
            rc_params_zero_grad(s.ps);
            rc_tape_free(forward(&s, 0, B, S + 2, T + 3, true, &many));
            memcpy(grads[1], rc_params_grads(s.ps), rc_params_block_len(s.ps) * sizeof(double));
            assert_int_equal(few.n, 7);
            same(kinds[k].name, "out", few.out, many.out, MAX);
            same(kinds[k].name, "context", few.context, many.context, MAX);
            same(kinds[k].name, "weights", few.weights, many.weights, MAX);
            same(kinds[k].name, "memory's gradient", few.dmemory, many.dmemory, MAX);
            same(kinds[k].name, "parameters' gradient", grads[0], grads[1], rc_params_block_len(s.ps));
            drop(&s);
        }
}

static void test_rows_alone(void **state) {
    (void)state;
    static result all, one;
    make_data();
    for (size_t k = 0; k < KINDS; k++) {
        subject s = make(&kinds[k]);
        s.weights = true;
        rc_tape_free(forward(&s, 0, B, S, T, false, &all));
        size_t W = rc__decoder_width(s.d), at = 0;
        for (size_t b = 0; b < B; b++) {
            if (target_lengths[b] == 0) continue;
            rc_tape_free(forward(&s, b, 1, S, T, false, &one));
            assert_int_equal(one.n, target_lengths[b]);
            same(kinds[k].name, "out", all.out + at * W, one.out, one.n * W);
            same(kinds[k].name, "weights", all.weights + at * T, one.weights, one.n * T);
            at += one.n;
        }
        drop(&s);
    }
}

/* The weights of each step add up to 1 (monotonic: at most), and lie on the sentence's own steps. */
static void test_weights(void **state) {
    (void)state;
    static result r;
    make_data();
    for (size_t k = 0; k < KINDS; k++) {
        if (kinds[k].attention == RC__ATTENTION_NONE) continue;
        subject s = make(&kinds[k]);
        s.weights = true;
        rc_tape_free(forward(&s, 0, B, S, T, true, &r));
        size_t row = 0;
        for (size_t b = 0; b < B; b++)
            for (int32_t i = 0; i < target_lengths[b]; i++, row++) {
                double sum = 0;
                for (size_t j = 0; j < T; j++) {
                    double w = r.weights[row * T + j];
                    assert_true(w >= 0 && ((int32_t)j < source_lengths[b] || w == 0));
                    sum += w;
                }
                if (kinds[k].monotonic)
                    assert_true(sum > 0 && sum < 1 + 1e-9);
                else
                    assert_true(fabs(sum - 1) < 1e-12);
            }
        drop(&s);
    }
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

static void near(const char *name, const char *what, const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) < 1e-12))
            fail_msg("%s: %s[%zu] is %.17g step by step and %.17g at once", name, what, i, a[i], b[i]);
}

/* Every row of the batch as two hypotheses, in reverse order of their numbers, that change places at each step; the
 * third sentence, whose target is empty, has one more. */
static void test_step_by_step(void **state) {
    (void)state;
    static result all;
    static double y[2 * B * E], out[2 * B * H], context[2 * B * H], weights[2 * B * (T + 2)];
    make_data();
    for (size_t k = 0; k < KINDS; k++)
        for (int want = 0; want < 2; want++) {
            subject s = make(&kinds[k]);
            s.weights = want;
            rc_tape *t = forward(&s, 0, B, S, T, false, &all);
            rc_tape_begin(t, (rc_tape_mode){0});
            rc__memory m = {.steps = rc_input(t, 3, (size_t[]){T, B, M}, memory_data),
                            .lengths = source_lengths,
                            .bridge = kinds[k].no_bridge ? NULL : rc_input(t, 2, (size_t[]){B, G}, bridge_data)};
            rc__decoding *g = NULL;
            rc_error e = {0};
            if (rc__decoding_new(&g, s.d, t, &m, 2 * B, &e) != RC_OK) fail_msg("%s: %s", kinds[k].name, e.text);
            rc_tape_free(t);
            size_t W = rc__decoder_width(s.d), C = rc__decoder_context(s.d), ld = T + 2;
            for (size_t step = 0; step < 4; step++) {
                uint32_t sentence[2 * B], parent[2 * B], n = 0, old = 0, where[B][2];
                for (size_t b = 0; b < B; b++) { /* rows of the step before: one of each sentence at first, then two */
                    bool goes_on = step < (size_t)target_lengths[b] || b == 2;
                    uint32_t had = step == 0 ? 1 : step <= (size_t)target_lengths[b] || b == 2 ? step == 1 ? 1 : 2 : 0;
                    for (uint32_t h = 0; goes_on && h < (step ? 2 : 1); h++) {
                        sentence[n] = (uint32_t)b;
                        parent[n] = old + (had == 2 ? 1 - h : 0);
                        where[b][h] = n;
                        memcpy(y + n * E, y_data + (step * B + b) * E, E * sizeof *y);
                        n++;
                    }
                    old += step == 1 && had ? 1 : had;
                }
                if (step == 0) memset(parent, 0xff, sizeof parent); /* is not read */
                if (rc__decoding_step(g, n, sentence, parent, y, out, C ? context : NULL, want ? weights : NULL, ld,
                                      &e) != RC_OK)
                    fail_msg("%s: %s", kinds[k].name, e.text);
                size_t row = 0;
                for (size_t b = 0; b < B; row += (size_t)target_lengths[b], b++)
                    for (int h = 0; h < (step ? 2 : 1) && step < (size_t)target_lengths[b]; h++) {
                        near(kinds[k].name, "out", out + where[b][h] * W, all.out + (row + step) * W, W);
                        near(kinds[k].name, "context", context + where[b][h] * C, all.context + (row + step) * C, C);
                        if (!want || kinds[k].attention == RC__ATTENTION_NONE) continue;
                        near(kinds[k].name, "weights", weights + where[b][h] * ld, all.weights + (row + step) * T, T);
                        assert_true(weights[where[b][h] * ld + T] == 0 && weights[where[b][h] * ld + T + 1] == 0);
                    }
            }
            rc__decoding_free(g);
            drop(&s);
        }
}

/* A hypothesis takes the past of its parent, not of its place. */
static void test_parents(void **state) {
    (void)state;
    static double y[4 * E], out[4 * H], swapped[4 * H], other[4 * H];
    static const uint32_t sentence[4] = {1, 1, 1, 1}, start[1] = {1}, straight[3] = {0, 1, 2}, turned[3] = {2, 0, 1},
                          zero[4] = {0};
    make_data();
    for (size_t k = 0; k < KINDS; k++) {
        subject s = make(&kinds[k]);
        for (int turn = 0; turn < 2; turn++) {
            rc_tape *t = training_tape(1);
            rc_tape_begin(t, (rc_tape_mode){0});
            rc__memory m = {.steps = rc_input(t, 3, (size_t[]){T, B, M}, memory_data),
                            .lengths = source_lengths,
                            .bridge = kinds[k].no_bridge ? NULL : rc_input(t, 2, (size_t[]){B, G}, bridge_data)};
            rc__decoding *g = NULL;
            assert_int_equal(rc__decoding_new(&g, s.d, t, &m, 3, NULL), RC_OK);
            assert_int_equal(rc__decoding_step(g, 1, start, NULL, y_data, other, NULL, NULL, 0, NULL), RC_OK);
            assert_int_equal(rc__decoding_step(g, 3, sentence, zero, y_data + E, other, NULL, NULL, 0, NULL), RC_OK);
            for (size_t i = 0; i < 3; i++) memcpy(y + i * E, y_data + 8 * E, E * sizeof *y);
            assert_int_equal(rc__decoding_step(g, 3, sentence, turn ? turned : straight, y, turn ? swapped : out, NULL,
                                               NULL, 0, NULL),
                             RC_OK);
            rc__decoding_free(g);
            rc_tape_free(t);
        }
        size_t W = rc__decoder_width(s.d);
        for (size_t i = 0; i < 3; i++) same(kinds[k].name, "out", swapped + i * W, out + turned[i] * W, W);
        assert_true(memcmp(out, out + W, W * sizeof *out) != 0);
        drop(&s);
    }
}

/* Hypotheses that die and branch at random, over more steps than any room begins with: each is what it is alone,
 * whole. */
static void test_long_search(void **state) {
    (void)state;
    enum { STEPS = 75, ROWS = 5, N = 2 };
    static double past[2][ROWS][STEPS * E], y[ROWS * E], out[ROWS * H], weights[ROWS * T];
    make_data();
    for (size_t k = 0; k < KINDS; k++) {
        subject s = make(&kinds[k]);
        rc_rng r = rc_rng_make(6, k);
        size_t W = rc__decoder_width(s.d), n = N;
        uint32_t of[2][ROWS] = {{0, 1}};
        rc_tape *t = training_tape(1);
        rc_tape_begin(t, (rc_tape_mode){0});
        rc__memory m = {.steps = rc_input(t, 3, (size_t[]){T, N, M}, memory_data),
                        .lengths = source_lengths,
                        .bridge = kinds[k].no_bridge ? NULL : rc_input(t, 2, (size_t[]){N, G}, bridge_data)};
        rc__decoding *g = NULL;
        assert_int_equal(rc__decoding_new(&g, s.d, t, &m, ROWS, NULL), RC_OK);
        for (size_t step = 0; step < STEPS; step++) {
            uint32_t parent[ROWS], sentence[ROWS];
            size_t now = step ? 1 + rc_rng_below(&r, ROWS) : N;
            for (size_t i = 0; i < now; i++) {
                parent[i] = step ? (uint32_t)rc_rng_below(&r, n) : (uint32_t)i;
                sentence[i] = of[step % 2][parent[i]];
                of[1 - step % 2][i] = sentence[i];
                memcpy(past[1 - step % 2][i], past[step % 2][parent[i]], step * E * sizeof *y);
                for (size_t x = 0; x < E; x++) past[1 - step % 2][i][step * E + x] = y[i * E + x] = rc_rng_normal(&r);
            }
            n = now;
            assert_int_equal(rc__decoding_step(g, n, sentence, parent, y, out, NULL, weights, T, NULL), RC_OK);
            if (step % 37 != 36) continue;
            for (size_t i = 0; i < n; i++) {
                uint32_t b = sentence[i];
                rc_tape_begin(t, (rc_tape_mode){0});
                static double alone[T * M];
                for (size_t x = 0; x < T * M; x++) alone[x] = memory_data[(x / M * N + b) * M + x % M];
                rc__memory one = {.steps = rc_input(t, 3, (size_t[]){T, 1, M}, alone),
                                  .lengths = source_lengths + b,
                                  .bridge = kinds[k].no_bridge ? NULL
                                                               : rc_input(t, 2, (size_t[]){1, G}, bridge_data + b * G)};
                rc__decoder_more more = {.want_weights = true};
                rc_var *v = rc__decoder_forward(
                    t, s.d, rc_input(t, 3, (size_t[]){step + 1, 1, E}, past[1 - step % 2][i]), NULL, &one, &more);
                assert_int_equal(rc_tape_status(t, NULL), RC_OK);
                for (size_t x = 0; x < W; x++)
                    if (!(fabs(v->x[step * W + x] - out[i * W + x]) < 1e-10))
                        fail_msg("%s, step %zu: out differs", kinds[k].name, step);
                size_t cols = more.weights ? more.weights->dim[1] : 0;
                for (size_t x = 0; x < cols; x++)
                    if (!(fabs(more.weights->x[step * cols + x] - weights[i * T + x]) < 1e-10))
                        fail_msg("%s: weights differ", kinds[k].name);
            }
        }
        rc__decoding_free(g);
        rc_tape_free(t);
        drop(&s);
    }
}

static void test_refusals(void **state) {
    (void)state;
    rc__decoder_options base = {.rnn = rc_rnn_options_default(),
                                .input_size = E,
                                .memory_size = M,
                                .bridge_size = G,
                                .attention = RC__ATTENTION_GENERAL};
    base.rnn.hidden_size = H;
    static const char *const words[] = {
        "input_size",  "bidirectional",      "unknown attention", "input feeding is of attention",
        "memory_size", "attention_dropout",  "recurrent_dropout", "dot multiplies",
        "heads",       "coverage is a term", "monotonic",         "unknown cell"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        rc__decoder_options o = base;
        rc__decoder *d = NULL;
        rc_params *ps = NULL;
        rc_error e = {0};
        if (i == 0) o.input_size = 0;
        if (i == 1) o.rnn.bidirectional = true;
        if (i == 2) o.attention = (rc__attention_kind)9;
        if (i == 3) o.attention = RC__ATTENTION_NONE, o.input_feeding = true;
        if (i == 4) o.memory_size = 0;
        if (i == 5) o.attention_dropout = 1;
        if (i == 6) o.input_feeding = true, o.rnn.recurrent_dropout = 0.1;
        if (i == 7) o.attention = RC__ATTENTION_DOT, o.memory_size = M + 1;
        if (i == 8) o.attention = RC__ATTENTION_MULTIHEAD, o.heads = 4;
        if (i == 9) o.coverage = true;
        if (i == 10) o.attention = RC__ATTENTION_LOCATION, o.monotonic = true;
        if (i == 11) o.rnn.cell = "lsdm";
        assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
        assert_int_equal(rc__decoder_new(&d, ps, "", &o, &e), RC_EINVAL);
        assert_null(d);
        if (!strstr(e.text, words[i])) fail_msg("\"%s\" does not mention %s", e.text, words[i]);
        rc_params_free(ps);
    }
}

static void test_step_refusals(void **state) {
    (void)state;
    make_data();
    subject s = make(&kinds[2]);
    rc_tape *t = training_tape(1);
    rc__memory m = {.steps = rc_input(t, 3, (size_t[]){T, B, M}, memory_data),
                    .lengths = source_lengths,
                    .bridge = rc_input(t, 2, (size_t[]){B, G}, bridge_data)};
    static double out[4 * H];
    static const uint32_t good[4] = {0, 1, 2, 3}, bad[4] = {0, 4, 2, 3};
    rc__decoding *g = NULL;
    assert_int_equal(rc__decoding_new(&g, s.d, t, &m, 0, NULL), RC_EINVAL);
    assert_int_equal(rc__decoding_new(&g, s.d, t, &m, 3, NULL), RC_OK);
    assert_int_equal(rc__decoding_step(g, 4, good, good, y_data, out, NULL, NULL, 0, NULL), RC_EINVAL);
    assert_int_equal(rc__decoding_step(g, 0, good, good, y_data, out, NULL, NULL, 0, NULL), RC_EINVAL);
    assert_int_equal(rc__decoding_step(g, 2, bad, good, y_data, out, NULL, NULL, 0, NULL), RC_EINVAL);
    assert_int_equal(rc__decoding_step(g, 2, good, good, y_data, out, NULL, out, T - 1, NULL), RC_EINVAL);
    assert_int_equal(rc__decoding_step(g, 2, good, bad, y_data, out, NULL, NULL, 0, NULL), RC_OK);
    assert_int_equal(rc__decoding_step(g, 2, good, bad, y_data, out, NULL, NULL, 0, NULL), RC_EINVAL);
    rc__decoding_free(g);
    m.bridge = NULL;
    check_refused(t, rc__decoder_forward(t, s.d, rc_input(t, 3, (size_t[]){S, B, E}, y_data), NULL, &m, NULL),
                  "decoder: a bridge of 5 is missing");
    rc_tape_free(t);
    drop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),   cmocka_unit_test(test_padding),      cmocka_unit_test(test_rows_alone),
        cmocka_unit_test(test_weights),     cmocka_unit_test(test_step_by_step), cmocka_unit_test(test_parents),
        cmocka_unit_test(test_long_search), cmocka_unit_test(test_refusals),     cmocka_unit_test(test_step_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
