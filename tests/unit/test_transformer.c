/* Invariants of blocks of attention (cell "transformer"): chunks, steps and the whole sequence, padding, rows, threads,
 * states, counts beyond what a float holds, precision; and messages. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/parallel.h"
#include "rnn_helper.h"

enum { T = 11, B = 4, I = 6, H = 8 };
static const int32_t lengths[B] = {5, 0, 11, 1};

/* Whatever changes how a step sees others, all of it with two layers. */
static const struct variant {
    const char *name;
    size_t context, kv_heads;
    rc_positions positions;
    bool post, rms, no_bias;
    rc_ffn_kind ffn;
} variants[] = {
    {"rotary", 0, 0, RC_POSITIONS_ROTARY, false, false, false, RC_FFN_GELU},
    {"rotary window", 4, 0, RC_POSITIONS_ROTARY, false, true, false, RC_FFN_SWIGLU},
    {"alibi", 0, 1, RC_POSITIONS_ALIBI, true, false, false, RC_FFN_RELU},
    {"alibi window", 3, 1, RC_POSITIONS_ALIBI, false, false, true, RC_FFN_GELU},
    {"sinusoidal window", 5, 0, RC_POSITIONS_SINUSOIDAL, true, true, false, RC_FFN_GELU},
    {"learned window", 5, 2, RC_POSITIONS_LEARNED, false, false, false, RC_FFN_GELU},
    {"no positions, a step alone", 1, 0, RC_POSITIONS_NONE, false, false, false, RC_FFN_SWIGLU},
};
#define N_VARIANTS (sizeof variants / sizeof *variants)

static rc_rnn_options options(size_t v) {
    rc_rnn_options o = layers_of("transformer", 2, I, H);
    o.heads = 2;
    o.kv_heads = variants[v].kv_heads;
    o.context = variants[v].context;
    o.positions = variants[v].positions;
    o.post_norm = variants[v].post;
    o.rms_norm = variants[v].rms;
    o.no_bias = variants[v].no_bias;
    o.ffn_kind = variants[v].ffn;
    return o;
}

static net made(rc_rnn_options o, rc_precision p) {
    net n = make(o, p);
    rc_rng r = rc_rng_make(3, 1);
    for (size_t i = 0; i < rc_params_count(n.ps); i++) { /* attention that is not even, biases that are not 0 */
        rc_param *w = rc_params_at(n.ps, i);
        for (size_t k = 0; k < w->len; k++) w->w[k] = 2 * w->w[k] + 0.1f * (float)rc_rng_normal(&r);
    }
    rc_params_changed(n.ps);
    return n;
}

static float *forward(net *n, const float *x, size_t steps, size_t batch, const int32_t *len, rc_state *s) {
    size_t dims[3] = {steps, batch, I};
    rc_error e = {0};
    rc_tape_begin(n->tape, (rc_tape_mode){0});
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, rc_input(n->tape, 3, dims, x), len, s);
    if (rc_tape_status(n->tape, &e)) fail_msg("%s", e.text);
    float *out = malloc(y->len * sizeof *out);
    memcpy(out, y->x, y->len * sizeof *out);
    return out;
}

/* The same sums in another order. */
static void near(const char *name, const char *what, const float *a, const float *b, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * fmax(1, fabs((double)b[i]))))
            fail_msg("%s, %s: [%zu] %.9g and %.9g", name, what, i, (double)a[i], (double)b[i]);
}

static void chunks_and_steps(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 5), y[B * H];
    for (size_t v = 0; v < N_VARIANTS; v++)
        for (size_t size = 1; size <= 7; size += 2) {
            const char *name = variants[v].name;
            net n = made(options(v), RC_FP32);
            rc_state *s, *s2;
            assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
            assert_int_equal(rc_state_new(&s2, n.rnn, B, NULL), RC_OK);
            assert_int_equal(rc_state_h_len(s), 2 * B * rc_rnn_state_size(n.rnn));
            float *whole = forward(&n, x, T, B, NULL, s), *alone = forward(&n, x, T, B, NULL, NULL);
            assert_memory_equal(whole, alone, T * B * H * sizeof *whole); /* a state at its start is none */
            for (size_t t = 0; t < T; t += size) {
                size_t steps = T - t < size ? T - t : size;
                float *part = forward(&n, x + t * B * I, steps, B, NULL, s2);
                near(name, "chunk", part, whole + t * B * H, steps * B * H, 1e-5);
                free(part);
            }
            near(name, "state after chunks", rc_state_h(s2), rc_state_h(s), rc_state_h_len(s), 1e-5);
            rc_state_reset(s2, n.rnn);
            for (size_t t = 0; t < T; t++) {
                assert_int_equal(rc_rnn_step(n.rnn, s2, x + t * B * I, y, NULL), RC_OK);
                near(name, "step", y, whole + t * B * H, B * H, 1e-5);
            }
            near(name, "state after steps", rc_state_h(s2), rc_state_h(s), rc_state_h_len(s), 1e-5);
            size_t before = rc_memory_used();
            assert_int_equal(rc_rnn_step(n.rnn, s2, x, y, NULL), RC_OK);
            assert_int_equal(rc_memory_used(), before);
            float *after = forward(&n, x, 1, B, NULL, s); /* steps, then a chunk: they keep the same state */
            near(name, "after steps and after the whole", y, after, B * H, 1e-5);
            rc_state_free(s), rc_state_free(s2);
            free(whole), free(alone), free(after);
            drop(&n);
        }
    free(x);
}

/* What is outside the window has no part, what is inside has. */
static void window(void **state) {
    (void)state;
    float *x = numbers(T * I, 6);
    rc_rnn_options o = options(1);
    o.num_layers = 1;
    for (int both = 0; both < 2; both++) {
        o.bidirectional = both;
        net n = made(o, RC_FP32);
        float *y = forward(&n, x, T, 1, NULL, NULL);
        x[5 * I] += 1;
        float *z = forward(&n, x, T, 1, NULL, NULL);
        x[5 * I] -= 1;
        for (size_t t = 0; t < T; t++) {
            bool sees = t >= 5 ? t - 5 < 4 : both && 5 - t < 4;
            assert_int_equal(memcmp(y + t * H, z + t * H, H * sizeof *y) != 0, sees);
        }
        free(y), free(z);
        drop(&n);
    }
    free(x);
}

static void padding_and_rows(void **state) {
    (void)state;
    enum { MORE = 4 };
    for (size_t v = 0; v < 2 * N_VARIANTS; v++) {
        rc_rnn_options o = options(v / 2);
        o.bidirectional = v % 2;
        if (o.bidirectional && o.positions != RC_POSITIONS_LEARNED) o.context = 0;
        net n = made(o, RC_FP32);
        float *x = numbers((T + MORE) * B * I, 6);
        for (size_t t = 0; t < T + MORE; t++)
            for (size_t b = 0; b < B; b++)
                for (size_t i = 0; t >= (size_t)lengths[b] && i < I; i++) x[(t * B + b) * I + i] = NAN;
        float *y = forward(&n, x, T, B, lengths, NULL), *more = forward(&n, x, T + MORE, B, lengths, NULL);
        assert_memory_equal(y, more, T * B * H * sizeof *y);
        for (size_t b = 0; b < B; b++) {
            size_t len = (size_t)lengths[b];
            float *row = malloc((len * I + 1) * sizeof *row);
            for (size_t t = len; t < T + MORE; t++)
                for (size_t k = 0; k < H; k++) assert_true(more[(t * B + b) * H + k] == 0);
            for (size_t t = 0; t < len; t++) memcpy(row + t * I, x + (t * B + b) * I, I * sizeof *row);
            if (len) {
                float *alone = forward(&n, row, len, 1, NULL, NULL);
                for (size_t t = 0; t < len; t++) assert_memory_equal(y + (t * B + b) * H, alone + t * H, H * sizeof *y);
                free(alone);
            }
            free(row);
        }
        rc_state *s;
        rc_error e = {0};
        if (o.bidirectional) {
            assert_int_equal(rc_state_new(&s, n.rnn, B, &e), RC_EINVAL);
            assert_string_equal(e.text, "state: a Transformer that sees both sides has none");
        } else { /* a row without steps keeps its state, another has seen as many as it is long */
            assert_int_equal(rc_state_new(&s, n.rnn, B, &e), RC_OK);
            free(forward(&n, x, T, B, lengths, s));
            size_t width = rc_rnn_state_size(n.rnn);
            for (size_t b = 0; b < B; b++) assert_true(rc_state_h(s)[b * width] == (float)lengths[b]);
            for (size_t k = 0; k < width; k++) assert_true(rc_state_h(s)[width + k] == 0);
            /* rows of different ages go on as if alone */
            float *on = numbers(2 * B * I, 9), *all = forward(&n, on, 2, B, NULL, s),
                  *row = malloc((T + 2) * I * sizeof *row);
            for (size_t b = 0; b < B; b++) {
                size_t len = (size_t)lengths[b];
                for (size_t t = 0; t < len; t++) memcpy(row + t * I, x + (t * B + b) * I, I * sizeof *row);
                for (size_t t = 0; t < 2; t++) memcpy(row + (len + t) * I, on + (t * B + b) * I, I * sizeof *row);
                float *alone = forward(&n, row, len + 2, 1, NULL, NULL);
                for (size_t t = 0; t < 2; t++)
                    near(variants[v / 2].name, "a row goes on", all + (t * B + b) * H, alone + (len + t) * H, H, 1e-5);
                free(alone);
            }
            rc_state_free(s);
            free(on), free(all), free(row);
        }
        free(x), free(y), free(more);
        drop(&n);
    }
}

/* One set of weights for both directions, and as wide an output. */
static void both_sides(void **state) {
    (void)state;
    rc_rnn_options o = options(0);
    net one = made(o, RC_FP32);
    o.bidirectional = true;
    net both = made(o, RC_FP32);
    assert_int_equal(rc_params_len(one.ps), rc_params_len(both.ps));
    assert_int_equal(rc_rnn_output_size(both.rnn), H);
    float *x = numbers(T * B * I, 7), *a = forward(&one, x, T, B, NULL, NULL), *b = forward(&both, x, T, B, NULL, NULL);
    assert_memory_not_equal(a, b, B * H * sizeof *a); /* the first sees more */
    float y[B * H];
    rc_state *s;
    rc_error e = {0};
    assert_int_equal(rc_state_new(&s, one.rnn, B, &e), RC_OK);
    assert_int_equal(rc_rnn_step(both.rnn, s, x, y, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn step: layers that read backwards cannot go step by step");
    rc_state_free(s);
    free(x), free(a), free(b);
    drop(&one), drop(&both);
}

static float *trained(net *n, const float *x, int threads) {
    size_t dims[3] = {T, B, I}, len = rc_params_block_len(n->ps);
    rc_error e = {0};
    rc_set_threads(threads, NULL);
    rc_params_zero_grad(n->ps);
    rc_tape_begin(n->tape, (rc_tape_mode){.grad = true, .training = true, .seed = 3, .step = 1});
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, rc_input(n->tape, 3, dims, x), lengths, NULL);
    if (rc_backward(n->tape, rc_sum_all(n->tape, rc_mul(n->tape, y, y)), 1, &e)) fail_msg("%s", e.text);
    float *g = malloc((len + y->len) * sizeof *g);
    memcpy(g, rc_params_grads(n->ps), len * sizeof *g);
    memcpy(g + len, y->x, y->len * sizeof *g);
    return g;
}

static void threads(void **state) {
    (void)state;
    int before = rc_threads();
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    float *x = numbers(T * B * I, 8), y1[B * H], y3[B * H];
    for (size_t v = 0; v < N_VARIANTS; v++) {
        rc_rnn_options o = options(v);
        o.dropout = 0.2, o.attention_dropout = 0.3;
        net n = made(o, RC_FP32);
        float *a = trained(&n, x, 1), *b = trained(&n, x, 3);
        assert_memory_equal(a, b, (rc_params_block_len(n.ps) + T * B * H) * sizeof *a);
        rc_state *s, *s3;
        assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
        assert_int_equal(rc_state_new(&s3, n.rnn, B, NULL), RC_OK);
        for (size_t t = 0; t < T; t++) {
            rc_set_threads(1, NULL);
            assert_int_equal(rc_rnn_step(n.rnn, s, x + t * B * I, y1, NULL), RC_OK);
            rc_set_threads(3, NULL);
            assert_int_equal(rc_rnn_step(n.rnn, s3, x + t * B * I, y3, NULL), RC_OK);
            assert_memory_equal(y1, y3, sizeof y1);
        }
        rc_state_free(s), rc_state_free(s3);
        free(a), free(b);
        drop(&n);
    }
    free(x);
    rc__parallel_threshold = saved;
    rc_set_threads(before, NULL);
}

static void dropout(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 8);
    size_t dims[3] = {T, B, I};
    for (int kind = 0; kind < 2; kind++) {
        rc_rnn_options o = options(0);
        *(kind ? &o.attention_dropout : &o.dropout) = 0.5;
        net n = made(o, RC_FP32);
        float *plain = forward(&n, x, T, B, NULL, NULL);
        for (int training = 0; training < 2; training++) {
            rc_tape_begin(n.tape, (rc_tape_mode){.training = training, .seed = 1, .step = 4});
            rc_var *y = rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, dims, x), NULL, NULL);
            assert_int_equal(memcmp(y->x, plain, y->len * sizeof *plain) != 0, training);
        }
        free(plain);
        drop(&n);
    }
    free(x);
}

static void states(void **state) {
    (void)state;
    net n = made(options(1), RC_FP32);
    rc_error e = {0};
    rc_state *a, *b, *c;
    assert_int_equal(rc_state_new(&a, n.rnn, 3, &e), RC_OK);
    assert_int_equal(rc_state_new(&b, n.rnn, 2, &e), RC_OK);
    assert_int_equal(rc_state_new(&c, n.rnn, 3, &e), RC_OK);
    assert_null(rc_state_c(a));
    float *x = numbers(9 * 3 * I, 3), y[3 * H], z[3 * H];
    for (size_t t = 0; t < 6; t++) assert_int_equal(rc_rnn_step(n.rnn, a, x + t * 3 * I, y, &e), RC_OK);
    const char *path = "transformer_state.safetensors";
    assert_int_equal(rc_state_save(a, path, &e), RC_OK);
    assert_int_equal(rc_state_load(c, path, &e), RC_OK);
    remove(path);
    assert_memory_equal(rc_state_h(a), rc_state_h(c), rc_state_h_len(a) * sizeof(float));
    assert_int_equal(rc_state_copy_row(b, 1, a, 2, &e), RC_OK);
    assert_int_equal(rc_state_reset_row(a, n.rnn, 1, &e), RC_OK);
    assert_int_equal(rc_rnn_step(n.rnn, c, x + 18 * I, z, &e), RC_OK);
    assert_int_equal(rc_rnn_step(n.rnn, a, x + 18 * I, y, &e), RC_OK);
    assert_memory_equal(y, z, H * sizeof *y); /* rows 0 and 2 go on alike */
    assert_memory_equal(y + 2 * H, z + 2 * H, H * sizeof *y);
    assert_memory_not_equal(y + H, z + H, H * sizeof *y);
    rc_state_reset(c, n.rnn);
    float first[3 * H], two[2 * I];
    assert_int_equal(rc_rnn_step(n.rnn, c, x + 18 * I, first, &e), RC_OK);
    assert_memory_equal(y + H, first + H, H * sizeof *y); /* row 1 has begun anew */
    memcpy(two, x + 18 * I, I * sizeof *two), memcpy(two + I, x + 20 * I, I * sizeof *two);
    assert_int_equal(rc_rnn_step(n.rnn, b, two, first, &e), RC_OK);
    assert_memory_equal(first + H, y + 2 * H, H * sizeof *y); /* and row 2 goes on in another batch */
    /* what a file may say: no number of steps is a crash */
    static const float counts[] = {NAN, -1, INFINITY, 1e30f, 0.5f, 3e9f};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t k = 0; k < 2; k++) {
            rc_state_reset(a, n.rnn);
            for (size_t r = 0; r < 6; r++) rc_state_h(a)[r * rc_rnn_state_size(n.rnn) + k] = counts[i];
            assert_int_equal(rc_rnn_step(n.rnn, a, x, y, &e), RC_OK);
            free(forward(&n, x, 3, 3, NULL, a));
        }
    x[0] = NAN; /* in a row: NaN there, not in others */
    rc_state_reset(a, n.rnn);
    assert_int_equal(rc_rnn_step(n.rnn, a, x, y, &e), RC_OK);
    assert_true(isnan(y[0]) && !isnan(y[H]));
    rc_state_free(a), rc_state_free(b), rc_state_free(c);
    free(x);
    drop(&n);
}

/* A stream may go on for ever: a net that has seen 2^24 (or 2^40) steps says of the last `context` ones what it says
 * of a new stream, where positions are relative, and counts on. So it does across the borders where keys are turned
 * back. */
static void long_streams(void **state) {
    (void)state;
    static const uint64_t starts[] = {65536 - 20, (UINT64_C(1) << 24) - 20, (UINT64_C(1) << 40) - 20, 3 * 65536 + 7};
    enum { STEPS = 40, SETTLE = 8 };
    float *x = numbers(STEPS * I, 12);
    for (size_t v = 0; v < N_VARIANTS; v++) {
        rc_rnn_options o = options(v);
        if (o.positions == RC_POSITIONS_SINUSOIDAL || o.positions == RC_POSITIONS_LEARNED) continue;
        if (o.context == 0) o.context = 4;
        net n = made(o, RC_FP32);
        size_t width = rc_rnn_state_size(n.rnn);
        float *want = forward(&n, x, STEPS, 1, NULL, NULL), y[H];
        for (size_t k = 0; k < 2 * sizeof starts / sizeof *starts; k++) {
            uint64_t at = starts[k / 2];
            rc_state *s;
            assert_int_equal(rc_state_new(&s, n.rnn, 1, NULL), RC_OK);
            for (size_t l = 0; l < 2; l++) {
                rc_state_h(s)[l * width] = (float)(at & 1048575);
                rc_state_h(s)[l * width + 1] = (float)(at >> 20);
            }
            for (size_t t = 0; t < STEPS;) { /* by steps, or by chunks of 5 */
                size_t now = k % 2 ? 5 : 1;
                float *part = k % 2 ? forward(&n, x + t * I, now, 1, NULL, s) : NULL;
                if (!part) assert_int_equal(rc_rnn_step(n.rnn, s, x + t * I, y, NULL), RC_OK);
                if (t >= SETTLE) near(variants[v].name, "late", part ? part : y, want + t * H, now * H, 3e-5);
                free(part);
                t += now;
            }
            at += STEPS;
            for (size_t l = 0; l < 2; l++) {
                assert_true(rc_state_h(s)[l * width] == (float)(at & 1048575));
                assert_true(rc_state_h(s)[l * width + 1] == (float)(at >> 20));
            }
            rc_state_free(s);
        }
        free(want);
        drop(&n);
    }
    free(x);
}

/* Rows of one batch may be of any age: each goes on as if it were alone. */
static void rows_of_any_age(void **state) {
    (void)state;
    static const uint64_t ages[] = {0, 4090, 17, (UINT64_C(1) << 30) + 4095};
    float *x = numbers(T * B * I, 13), *row = malloc(T * I * sizeof *row);
    for (size_t v = 0; v < N_VARIANTS; v++) {
        net n = made(options(v), RC_FP32);
        size_t width = rc_rnn_state_size(n.rnn);
        rc_state *all, *one;
        assert_int_equal(rc_state_new(&all, n.rnn, B, NULL), RC_OK);
        assert_int_equal(rc_state_new(&one, n.rnn, 1, NULL), RC_OK);
        for (size_t l = 0; l < 2; l++)
            for (size_t b = 0; b < B; b++) {
                rc_state_h(all)[(l * B + b) * width] = (float)(ages[b] & 1048575);
                rc_state_h(all)[(l * B + b) * width + 1] = (float)(ages[b] >> 20);
            }
        for (int round = 0; round < 2; round++) {
            rc_state *before;
            assert_int_equal(rc_state_new(&before, n.rnn, B, NULL), RC_OK);
            assert_int_equal(rc_state_copy(before, all, NULL), RC_OK);
            float *y = forward(&n, x, T, B, NULL, all);
            for (size_t b = 0; b < B; b++) {
                assert_int_equal(rc_state_copy_row(one, 0, before, b, NULL), RC_OK);
                for (size_t t = 0; t < T; t++) memcpy(row + t * I, x + (t * B + b) * I, I * sizeof *row);
                float *alone = forward(&n, row, T, 1, NULL, one);
                for (size_t t = 0; t < T; t++)
                    near(variants[v].name, "of any age", y + (t * B + b) * H, alone + t * H, H, 1e-5);
                free(alone);
            }
            rc_state_free(before);
            free(y);
        }
        rc_state_free(all), rc_state_free(one);
        drop(&n);
    }
    free(x), free(row);
}

/* Deviations of the matrices: those that add to the stream are smaller by sqrt(2 layers). */
static void beginnings(void **state) {
    (void)state;
    rc_rnn_options o = layers_of("transformer", 3, 100, 128);
    net n = make(o, RC_FP32);
    static const struct {
        const char *name;
        double fan_in, less;
    } all[] = {{"input_proj.weight", 100, 1},
               {"layers.1.self_attn.in_proj_weight", 128, 1},
               {"layers.2.self_attn.out_proj.weight", 128, 6},
               {"layers.0.linear1.weight", 128, 1},
               {"layers.1.linear2.weight", 512, 6}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const rc_param *p = rc_params_find(n.ps, all[i].name);
        double sum = 0, want = sqrt(1 / (3 * all[i].fan_in * all[i].less));
        for (size_t k = 0; k < p->len; k++) sum += (double)p->w[k] * (double)p->w[k];
        if (fabs(sqrt(sum / (double)p->len) / want - 1) > 0.05)
            fail_msg("%s: deviation %g, expected %g", all[i].name, sqrt(sum / (double)p->len), want);
        assert_false(p->no_decay);
    }
    assert_true(rc_params_find(n.ps, "layers.0.norm1.weight")->w[5] == 1);
    assert_true(rc_params_find(n.ps, "layers.0.norm1.weight")->no_decay);
    drop(&n);
}

static void precision(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 8), y[B * H];
    net exact = made(options(0), RC_FP32);
    float *want = forward(&exact, x, T, B, NULL, NULL);
    for (int p = RC_BF16; p <= RC_INT8; p++) {
        net n = made(options(0), (rc_precision)p);
        float *whole = forward(&n, x, T, B, NULL, NULL);
        near("precision", "whole", whole, want, T * B * H, 0.2);
        assert_memory_not_equal(whole, want, T * B * H * sizeof *want);
        rc_state *s;
        assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
        for (size_t t = 0; t < T; t++) {
            assert_int_equal(rc_rnn_step(n.rnn, s, x + t * B * I, y, NULL), RC_OK);
            near("precision", "step", y, whole + t * B * H, B * H, p == RC_BF16 ? 0.05 : 1e-4);
        }
        size_t dims[3] = {T, B, I};
        rc_error e = {0};
        rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
        rc_var *z = rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, dims, x), NULL, NULL);
        assert_int_equal(rc_backward(n.tape, rc_sum_all(n.tape, z), 1, &e), p == RC_INT8 ? RC_EINVAL : RC_OK);
        rc_state_free(s);
        free(whole);
        drop(&n);
    }
    free(x), free(want);
    drop(&exact);
}

/* Freezing one parameter, whichever, takes its gradient away and leaves those of all others as they are. */
static void one_frozen_parameter(void **state) {
    (void)state;
    float *x = numbers(T * B * I, 21);
    net all = made(options(0), RC_FP32);
    float *want = trained(&all, x, 1);
    for (size_t k = 0; k < rc_params_count(all.ps); k++) {
        net part = made(options(0), RC_FP32);
        rc_params_at(part.ps, k)->frozen = true;
        float *got = trained(&part, x, 1);
        for (size_t i = 0; i < rc_params_count(all.ps); i++) {
            const rc_param *p = rc_params_at(part.ps, i);
            for (size_t j = 0; j < p->len; j++)
                if (got[p->offset + j] != (i == k ? 0 : want[p->offset + j]))
                    fail_msg("%s frozen, gradient of %s", rc_params_at(part.ps, k)->name, p->name);
        }
        free(got);
        drop(&part);
    }
    free(x), free(want);
    drop(&all);
}

static void no_steps_at_all(void **state) {
    (void)state;
    static const int32_t none[B];
    float *x = numbers(T * B * I, 24);
    size_t dims[3] = {T, B, I};
    net n = made(options(0), RC_FP32);
    rc_state *s;
    assert_int_equal(rc_state_new(&s, n.rnn, B, NULL), RC_OK);
    rc_tape_begin(n.tape, (rc_tape_mode){.grad = true});
    rc_var *in = rc_leaf(n.tape, 3, dims, x), *y = rc_rnn_forward(n.tape, n.rnn, in, none, s);
    assert_int_equal(rc_backward(n.tape, rc_sum_all(n.tape, y), 1, NULL), RC_OK);
    for (size_t i = 0; i < y->len; i++) assert_true(y->x[i] == 0);
    for (size_t i = 0; i < in->len; i++) assert_true(in->dx[i] == 0);
    for (size_t i = 0; i < rc_params_block_len(n.ps); i++) assert_true(rc_params_grads(n.ps)[i] == 0);
    for (size_t i = 0; i < rc_state_h_len(s); i++) assert_true(rc_state_h(s)[i] == 0);
    rc_state_free(s);
    free(x);
    drop(&n);
}

/* What the options leave open is filled in, and said. */
static void completed(void **state) {
    (void)state;
    rc_rnn_options o = layers_of("transformer", 1, I, 192);
    net n = make(o, RC_FP32);
    const rc_rnn_options *full = rc_rnn_get_options(n.rnn);
    assert_int_equal(full->heads, 3);
    assert_int_equal(full->kv_heads, 3);
    assert_int_equal(full->ffn, 768);
    assert_int_equal(full->context, 256);
    char text[512], part[16];
    size_t len = rc_rnn_explain(n.rnn, 2, 10, text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_non_null(
        strstr(text, "block 0: 3 heads of 64 over 256 steps, rotary positions, gelu 768, LayerNorm before"));
    assert_int_equal(rc_rnn_explain(n.rnn, 2, 10, part, sizeof part), len);
    drop(&n);
    o.hidden_size = 200; /* 3 does not divide it */
    o.ffn_kind = RC_FFN_SWIGLU;
    n = make(o, RC_FP32);
    assert_int_equal(rc_rnn_get_options(n.rnn)->heads, 2);
    assert_int_equal(rc_rnn_get_options(n.rnn)->ffn, 544); /* 533.3, to whole vectors */
    assert_int_equal(rc_params_find(n.ps, "layers.0.linear1.weight")->dim[0], 2 * 544);
    drop(&n);
}

static void refuse(rc_rnn_options o, const char *want) {
    rc_params *ps;
    rc_rnn *r;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    assert_int_equal(rc_rnn_new(&r, ps, "", &o, &e), RC_EINVAL);
    assert_null(r);
    assert_string_equal(e.text, want);
    rc_params_free(ps);
}

static void messages(void **state) {
    (void)state;
    const rc_rnn_options plain = options(0);
    rc_rnn_options o;
#define FOREIGN(field, value) \
    o = plain, o.field = value, refuse(o, "rnn: " #field " is for recurrent layers, cell transformer has none")
    FOREIGN(proj_size, 4);
    FOREIGN(reverse, true);
    FOREIGN(decay_every, 3);
    FOREIGN(skip, RC_SKIP_RESIDUAL);
    FOREIGN(dropout_sequence, true);
    FOREIGN(recurrent_dropout, 0.1);
    FOREIGN(zoneout_h, 0.1);
    FOREIGN(zoneout_c, 0.1);
    FOREIGN(weight_drop, 0.1);
    FOREIGN(learn_initial_state, true);
    FOREIGN(depth, 4);
    FOREIGN(init_ih, RC_INIT_ZEROS);
    FOREIGN(init_hh, RC_INIT_ZEROS);
    FOREIGN(forget_bias, 0);
    o = plain, o.input_size = 0, refuse(o, "rnn: input_size is 0, expected 1 to 16777216");
    o = plain, o.hidden_size = 0, refuse(o, "rnn: hidden_size is 0, expected 1 to 16777216");
    o = plain, o.num_layers = 0, refuse(o, "rnn: num_layers is 0, expected 1 to 1000");
    o = plain, o.heads = 3, refuse(o, "rnn: heads is 3, which does not divide hidden_size 8");
    o = plain, o.heads = 8,
    refuse(o, "rnn: 8 heads of 1 columns each: rotary positions turn pairs of columns; take an even "
              "width, or other positions");
    o = plain, o.heads = 4, o.kv_heads = 3, refuse(o, "rnn: kv_heads is 3, which does not divide heads 4");
    o = plain, o.context = 65537, refuse(o, "rnn: context is 65537, expected 1 to 65536");
    o = plain, o.dropout = 1, refuse(o, "rnn: dropout is 1, expected a probability in [0, 1)");
    o = plain, o.attention_dropout = NAN, refuse(o, "rnn: attention_dropout is nan, expected a probability in [0, 1)");
    o = plain, o.positions = (rc_positions)5, refuse(o, "rnn: unknown positions 5");
    o = plain, o.ffn_kind = (rc_ffn_kind)-1, refuse(o, "rnn: unknown ffn_kind -1");
    o = plain, o.ffn = (size_t)1 << 26, refuse(o, "rnn: ffn is 67108864, expected 1 to 33554432");

#define NATIVE(field, value)                        \
    o = layers_of("gru", 1, I, H), o.field = value, \
    refuse(o, "rnn: " #field " is for cell transformer, the cell is gru")
    NATIVE(heads, 2);
    NATIVE(kv_heads, 2);
    NATIVE(ffn, 8);
    NATIVE(context, 8);
    NATIVE(positions, RC_POSITIONS_NONE);
    NATIVE(post_norm, true);
    NATIVE(rms_norm, true);
    NATIVE(ffn_kind, RC_FFN_RELU);
    NATIVE(attention_dropout, 0.1);

    net n = made(plain, RC_FP32), other = made(options(1), RC_FP32);
    float x[2 * 2 * I] = {0}, y[2 * H];
    rc_error e = {0};
    size_t bad[3] = {2, 2, I - 1}, good[3] = {2, 2, I};
    rc_state *s;
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, bad, x), NULL, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: x is (2, 2, 5), expected (T, B, 6)");
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, good, x), (int32_t[]){1, 3}, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: lengths[1] is 3, expected 0 to T = 2");
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_var *hn;
    rc_rnn_forward_vars(n.tape, n.rnn, rc_input(n.tape, 3, good, x), NULL, NULL, NULL, &hn, NULL);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: the state of cell transformer, its keys and values, is no variable");
    assert_int_equal(rc_state_new(&s, other.rnn, 2, &e), RC_OK); /* of another context */
    rc_tape_begin(n.tape, (rc_tape_mode){0});
    rc_rnn_forward(n.tape, n.rnn, rc_input(n.tape, 3, good, x), NULL, s);
    assert_int_equal(rc_tape_status(n.tape, &e), RC_EINVAL);
    assert_string_equal(e.text, "rnn: the state is for 2 rows of 2 x 80, expected 2 rows of 2 x 4112");
    assert_int_equal(rc_rnn_step(n.rnn, s, x, y, &e), RC_EINVAL);
    rc_state_free(s);
    drop(&n), drop(&other);
    assert_false(rc_cell_find("transformer")->recurrent);
    assert_true(rc_cell_at(rc_cell_count() - 1) == rc_cell_find("transformer"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_and_steps),
        cmocka_unit_test(window),
        cmocka_unit_test(padding_and_rows),
        cmocka_unit_test(both_sides),
        cmocka_unit_test(threads),
        cmocka_unit_test(dropout),
        cmocka_unit_test(states),
        cmocka_unit_test(long_streams),
        cmocka_unit_test(precision),
        cmocka_unit_test(no_steps_at_all),
        cmocka_unit_test(one_frozen_parameter),
        cmocka_unit_test(completed),
        cmocka_unit_test(messages),
        cmocka_unit_test(rows_of_any_age),
        cmocka_unit_test(beginnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
