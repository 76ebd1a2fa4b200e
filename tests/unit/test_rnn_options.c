/* Masks of dropout, recurrent dropout, zoneout and weight drop. They are random, so no file has their numbers; here the
 * weights are such that the outputs are the masks: a relu layer whose products are the identity. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "rnn_helper.h"

enum { T = 5, B = 64, H = 32, RUNS = 24, STEP = B * H, ALL = T * STEP };

static rc_rnn_options options(const char *cell, int layers) {
    rc_rnn_options o = layers_of(cell, layers, H, H);
    o.no_bias = true;
    return o;
}

static rc_param *param(net *n, const char *name) {
    rc_param *p = rc_params_find(n->ps, name);
    if (!p) fail_msg("no parameter %s", name);
    return p;
}

static void fill(net *n, const char *name, float value) {
    rc_param *p = param(n, name);
    for (size_t i = 0; i < p->len; i++) p->w[i] = value;
    rc_params_changed(n->ps);
}

/* Sets H rows, from the given one on, to value times the identity. */
static void identity(net *n, const char *name, size_t row, float value) {
    rc_param *p = param(n, name);
    for (size_t i = 0; i < H; i++)
        for (size_t k = 0; k < H; k++) p->w[(row + i) * H + k] = i == k ? value : 0;
    rc_params_changed(n->ps);
}

typedef struct result {
    float y[ALL], c[STEP];
} result;

/* One forward of T steps; h0 (NULL: zero) and c0 are of one layer. */
static void forward(net *n, rc_tape_mode mode, const float *x, const float *h0, const float *c0, const int32_t *lengths,
                    result *r) {
    rc_error e = {0};
    rc_tape *t = n->tape;
    rc_tape_begin(t, mode);
    size_t dims[3] = {T, B, H}, state[3] = {1, B, H};
    rc_var *hn, *cn;
    rc_var *y = rc_rnn_forward_vars(t, n->rnn, rc_input(t, 3, dims, x), lengths, h0 ? rc_input(t, 3, state, h0) : NULL,
                                    c0 ? rc_input(t, 3, state, c0) : NULL, &hn, &cn);
    if (rc_tape_status(t, &e)) fail_msg("%s", e.text);
    assert_int_equal(y->len, ALL);
    memcpy(r->y, y->x, sizeof r->y);
    if (c0) memcpy(r->c, cn->x, sizeof r->c);
}

static rc_tape_mode training(uint64_t seed, uint64_t step) {
    return (rc_tape_mode){.grad = true, .training = true, .seed = seed, .step = step};
}

static void constant(float *x, size_t n, float value) {
    for (size_t i = 0; i < n; i++) x[i] = value;
}

static void close_to(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s is %.6g, expected %.6g within %.2g", what, got, want, tolerance);
}

/* A share of n draws: five standard deviations, with fixed seeds. */
static void share(const char *what, size_t hits, size_t n, double p) {
    close_to(what, (double)hits / (double)n, p, 5 * sqrt(p * (1 - p) / (double)n));
}

/* Counts zeros; all else must be 1 / (1 - p), which keeps the mean. */
static size_t zeros(const char *what, const float *mask, size_t n, double p) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (mask[i] == 0)
            count++;
        else
            close_to(what, (double)mask[i], 1 / (1 - p), 1e-5);
    return count;
}

static bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

static void rows_differ(const char *what, const float *mask) {
    for (size_t b = 1; b < B; b++)
        if (same(mask, mask + b * H, H)) fail_msg("%s: row %zu has the mask of row 0", what, b);
}

/* Masks are a function of seed and step, and of nothing else. */
static void forwards_differ(const char *what, net *n, const float *x, const float *h0) {
    result *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    forward(n, training(3, 7), x, h0, NULL, NULL, a);
    forward(n, training(3, 7), x, h0, NULL, NULL, b);
    if (!same(a->y, b->y, ALL)) fail_msg("%s: the same seed and step give another mask", what);
    forward(n, training(3, 8), x, h0, NULL, NULL, b);
    if (same(a->y, b->y, ALL)) fail_msg("%s: another step has the same mask", what);
    forward(n, training(4, 7), x, h0, NULL, NULL, b);
    if (same(a->y, b->y, ALL)) fail_msg("%s: another seed has the same mask", what);
    free(a), free(b);
}

/* Two layers that copy 1: the output is the mask between them. */
static void dropout_between_layers(void **state) {
    (void)state;
    static const double ps[] = {0.1, 0.5, 0.8};
    float *x = malloc(ALL * sizeof *x);
    result *r = malloc(sizeof *r);
    constant(x, ALL, 1);
    for (size_t k = 0; k < 6; k++) {
        rc_rnn_options o = options("rnn-relu", 2);
        double p = o.dropout = ps[k % 3];
        o.dropout_sequence = k >= 3;
        const char *what = o.dropout_sequence ? "dropout of sequences" : "dropout";
        net n = make(o, RC_FP32);
        identity(&n, "weight_ih_l0", 0, 1), identity(&n, "weight_ih_l1", 0, 1);
        fill(&n, "weight_hh_l0", 0), fill(&n, "weight_hh_l1", 0);
        size_t off = 0, drawn = o.dropout_sequence ? STEP : ALL;
        for (size_t run = 0; run < RUNS; run++) {
            forward(&n, training(1, run), x, NULL, NULL, NULL, r);
            off += zeros(what, r->y, drawn, p);
            rows_differ(what, r->y);
            for (size_t t = 1; t < T; t++)
                if (same(r->y, r->y + t * STEP, STEP) != o.dropout_sequence)
                    fail_msg("%s: step %zu and the first have %s mask", what, t,
                             o.dropout_sequence ? "not one" : "one");
        }
        share(what, off, RUNS * drawn, p);
        forwards_differ(what, &n, x, NULL);
        drop(&n);
    }
    /* none behind the last layer */
    rc_rnn_options o = options("rnn-relu", 1);
    o.dropout = 0.5;
    net n = make(o, RC_FP32);
    identity(&n, "weight_ih_l0", 0, 1), fill(&n, "weight_hh_l0", 0);
    forward(&n, training(1, 1), x, NULL, NULL, NULL, r);
    assert_true(same(r->y, x, ALL));
    drop(&n);
    free(x), free(r);
}

/* rnn-relu: h(t) = m h(t-1) from h0 = 1: the first output is the mask, the others its powers if it stays. indrnn, which
 * has no product: the mask is on what a step adds, h(t) = m x(t) + h(t-1) with x = 1: the others are its multiples. */
static void recurrent_dropout(void **state) {
    (void)state;
    static const char *const cells[] = {"rnn-relu", "indrnn"};
    float *x = malloc(ALL * sizeof *x), *h0 = malloc(STEP * sizeof *h0);
    result *r = malloc(sizeof *r), *shorter = malloc(sizeof *shorter);
    int32_t lengths[B];
    constant(x, ALL, 1);
    for (size_t b = 0; b < B; b++) lengths[b] = (int32_t)(b * 7 % (T + 1));
    for (size_t k = 0; k < 4; k++) {
        rc_rnn_options o = options(cells[k / 2], 1);
        double p = o.recurrent_dropout = k % 2 ? 0.5 : 0.2;
        net n = make(o, RC_FP32);
        bool adds = k / 2 == 1;
        constant(h0, STEP, adds ? 0 : 1);
        if (adds) {
            identity(&n, "weight_ih_l0", 0, 1);
            fill(&n, "weight_hh_l0", 1);
        } else {
            fill(&n, "weight_ih_l0", 0);
            identity(&n, "weight_hh_l0", 0, 1);
        }
        size_t off = 0;
        for (size_t run = 0; run < RUNS; run++) {
            forward(&n, training(1, run), x, h0, NULL, NULL, r);
            off += zeros(cells[k / 2], r->y, STEP, p);
            rows_differ("recurrent dropout", r->y);
            for (size_t i = STEP; i < ALL; i++) {
                double m = (double)r->y[i % STEP], before = (double)r->y[i - STEP];
                close_to("recurrent dropout at a later step", (double)r->y[i], adds ? before + m : before * m,
                         1e-5 * fmax(1, (double)r->y[i]));
            }
        }
        share("recurrent dropout", off, RUNS * STEP, p);
        forwards_differ("recurrent dropout", &n, x, h0);
        /* a row's mask does not depend on how long the rows are */
        forward(&n, training(1, RUNS - 1), x, h0, NULL, lengths, shorter);
        for (size_t t = 0; t < T; t++)
            for (size_t b = 0; b < B; b++)
                for (size_t j = 0; j < H; j++) {
                    size_t i = (t * B + b) * H + j;
                    assert_true(shorter->y[i] == ((int32_t)t < lengths[b] ? r->y[i] : 0));
                }
        drop(&n);
    }
    free(x), free(h0), free(r), free(shorter);
}

/* h_new(t) = t + 1: each unit has that or its former value; the mean over many draws is the output at inference. */
static void zoneout_of_h(void **state) {
    (void)state;
    static const char *const cells[] = {"rnn-relu", "indrnn"};
    float *x = malloc(ALL * sizeof *x);
    double mean[T];
    result *r = malloc(sizeof *r);
    for (size_t i = 0; i < ALL; i++) x[i] = (float)(i / STEP + 1);
    for (size_t k = 0; k < 4; k++) {
        rc_rnn_options o = options(cells[k / 2], 1);
        double p = o.zoneout_h = k % 2 ? 0.5 : 0.15;
        net n = make(o, RC_FP32);
        identity(&n, "weight_ih_l0", 0, 1), fill(&n, "weight_hh_l0", 0);
        size_t kept = 0;
        memset(mean, 0, sizeof mean);
        for (size_t run = 0; run < RUNS; run++) {
            forward(&n, training(2, run), x, NULL, NULL, NULL, r);
            bool moved = false;
            for (size_t i = 0; i < ALL; i++) {
                float before = i < STEP ? 0 : r->y[i - STEP];
                assert_true(r->y[i] == before || r->y[i] == x[i]); /* no scale */
                kept += r->y[i] == before;
                mean[i / STEP] += (double)r->y[i] / (RUNS * STEP);
                /* whether it is kept changes from step to step */
                if (i >= 2 * STEP) moved |= (r->y[i] == before) != (before == r->y[i - 2 * STEP]);
            }
            assert_true(moved);
            rows_differ("zoneout", r->y);
        }
        share("zoneout of h", kept, RUNS * ALL, p);
        forwards_differ("zoneout", &n, x, NULL);
        forward(&n, (rc_tape_mode){0}, x, NULL, NULL, NULL, r);
        double want = 0;
        for (size_t t = 0; t < T; t++) {
            want = p * want + (1 - p) * (double)(t + 1);
            close_to("zoneout at inference", (double)r->y[t * STEP + t], want, 1e-5);
            /* values lie in 0 .. t + 1: their deviation is at most half of that */
            close_to("mean over draws", mean[t], want, 5 * (double)(t + 1) / 2 / sqrt(RUNS * STEP));
        }
        drop(&n);
    }
    free(x), free(r);
}

/* An lstm with i = o = 1 and f = 0: c_new(t) = tanh(x(t)). The last c is that of the last step that was not kept; h
 * comes from c_new and shows nothing of it. */
static void zoneout_of_c(void **state) {
    (void)state;
    rc_rnn_options o = options("lstm", 1);
    double p = o.zoneout_c = 0.3;
    o.no_bias = false;
    net n = make(o, RC_FP32);
    fill(&n, "weight_ih_l0", 0), fill(&n, "weight_hh_l0", 0), fill(&n, "bias_ih_l0", 0), fill(&n, "bias_hh_l0", 0);
    identity(&n, "weight_ih_l0", 2 * H, 1); /* i f g o */
    rc_param *bias = param(&n, "bias_ih_l0");
    for (size_t j = 0; j < H; j++) bias->w[j] = bias->w[3 * H + j] = 30, bias->w[H + j] = -30;
    rc_params_changed(n.ps);
    float *x = malloc(ALL * sizeof *x), *h0 = calloc(STEP, sizeof *h0), *c0 = malloc(STEP * sizeof *c0);
    for (size_t i = 0; i < ALL; i++) x[i] = 0.25f * (float)(i / STEP + 1);
    constant(c0, STEP, -0.5f);
    result *r = malloc(sizeof *r), *still = malloc(sizeof *still);
    size_t from[T + 1] = {0}; /* 0: c0, t + 1: step t */
    double mean = 0, want = -0.5;
    for (size_t run = 0; run < RUNS; run++) {
        forward(&n, training(5, run), x, h0, c0, NULL, r);
        for (size_t i = 0; i < STEP; i++) {
            size_t t = T;
            while (t > 0 && fabs((double)r->c[i] - tanh(0.25 * (double)t)) > 1e-5) t--;
            if (t == 0) close_to("c that was always kept", (double)r->c[i], -0.5, 1e-6);
            from[t]++;
            mean += (double)r->c[i] / (RUNS * STEP);
        }
        rows_differ("zoneout of c", r->c);
        for (size_t i = 0; i < ALL; i++)
            close_to("h under zoneout of c", (double)r->y[i], tanh(tanh((double)x[i])), 1e-5);
    }
    for (size_t t = T; t > 0; t--) share("zoneout of c", from[t], RUNS * STEP, (1 - p) * pow(p, (double)(T - t)));
    for (size_t t = 0; t < T; t++) want = p * want + (1 - p) * tanh(0.25 * (double)(t + 1));
    forward(&n, (rc_tape_mode){0}, x, h0, c0, NULL, still);
    for (size_t i = 0; i < STEP; i++) close_to("zoneout of c at inference", (double)still->c[i], want, 1e-5);
    close_to("mean of c over draws", mean, want, 5 * 0.7 / sqrt(RUNS * STEP));
    drop(&n);
    free(x), free(h0), free(c0), free(r), free(still);
}

/* weight_hh all ones, row b starting at unit vector b % H: the first output is the masked matrix, twice; the later ones
 * are its powers if one mask serves the whole forward. */
static void weight_drop(void **state) {
    (void)state;
    float *x = calloc(ALL, sizeof *x), *h0 = calloc(STEP, sizeof *h0);
    double *mean = calloc(H * H, sizeof *mean);
    for (size_t b = 0; b < B; b++) h0[b * H + b % H] = 1;
    result *r = malloc(sizeof *r);
    rc_rnn_options o = options("rnn-relu", 1);
    double p = o.weight_drop = 0.4;
    net n = make(o, RC_FP32);
    fill(&n, "weight_ih_l0", 0), fill(&n, "weight_hh_l0", 1);
    size_t off = 0;
    for (size_t run = 0; run < RUNS; run++) {
        forward(&n, training(6, run), x, h0, NULL, NULL, r);
        off += zeros("weight drop", r->y, H * H, p);
        assert_true(same(r->y, r->y + H * H, H * H)); /* rows share the weights */
        for (size_t i = 0; i < H * H; i++) mean[i] += (double)r->y[i] / RUNS;
        for (size_t t = 1; t < T; t++)
            for (size_t b = 0; b < H; b++)
                for (size_t j = 0; j < H; j++) { /* row k of the first output is column k of the weights */
                    double want = 0;
                    for (size_t k = 0; k < H; k++)
                        want += (double)r->y[((t - 1) * B + b) * H + k] * (double)r->y[k * H + j];
                    close_to("weight drop at a later step", (double)r->y[(t * B + b) * H + j], want,
                             1e-5 * fmax(1, want));
                }
    }
    share("weight drop", off, RUNS * H * H, p);
    for (size_t i = 0; i < H * H; i++) /* of each weight, over the forwards: what inference has */
        close_to("mean of a weight", mean[i], 1, 5 * sqrt(p / (1 - p) / RUNS));
    rc_param *w = param(&n, "weight_hh_l0");
    for (size_t i = 0; i < w->len; i++) assert_true(w->w[i] == 1); /* the weights themselves are whole */
    forwards_differ("weight drop", &n, x, h0);
    drop(&n);

    o.cell = "indrnn"; /* a vector of weights: one mask for all rows */
    n = make(o, RC_FP32);
    fill(&n, "weight_ih_l0", 0), fill(&n, "weight_hh_l0", 1);
    constant(h0, STEP, 1);
    off = 0;
    for (size_t run = 0; run < 10 * RUNS; run++) {
        forward(&n, training(6, run), x, h0, NULL, NULL, r);
        off += zeros("weight drop of indrnn", r->y, H, p);
        for (size_t i = H; i < STEP; i++) assert_true(r->y[i] == r->y[i % H]);
    }
    share("weight drop of indrnn", off, 10 * RUNS * H, p);
    drop(&n);
    free(x), free(h0), free(mean), free(r);
}

/* At inference no option but zoneout's mean changes a bit, and seed and step mean nothing. */
static void inference(void **state) {
    (void)state;
    float *x = malloc(ALL * sizeof *x);
    rc_rng rng = rc_rng_make(9, 0);
    for (size_t i = 0; i < ALL; i++) x[i] = (float)rc_rng_normal(&rng);
    result *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    for (size_t c = 0; c < recurrent_cells(); c++) {
        rc_rnn_options plain = options(rc_cell_at(c)->name, 2), o;
        plain.no_bias = false;
        if (rc_cell_at(c)->projects) plain.proj_size = H; /* outputs of H, as the others' */
        o = plain;
        o.dropout = o.recurrent_dropout = 0.5;
        if (strncmp(plain.cell, "min", 3) != 0) o.weight_drop = 0.5; /* mingru and minlstm have no recurrent weights */
        for (int zone = 0; zone < 2; zone++) {
            if (zone) o.zoneout_h = 0.2, o.zoneout_c = rc_cell_at(c)->has_c ? 0.3 : 0;
            net n = make(o, RC_FP32), m = make(plain, RC_FP32);
            forward(&n, (rc_tape_mode){.seed = 1, .step = 2}, x, NULL, NULL, NULL, a);
            forward(&n, training(1, 3), x, NULL, NULL, NULL, b); /* its masked weights must not stay */
            if (same(a->y, b->y, ALL)) fail_msg("%s: training changes nothing", plain.cell);
            forward(&n, (rc_tape_mode){.grad = true, .seed = 5, .step = 6}, x, NULL, NULL, NULL, b);
            if (!same(a->y, b->y, ALL)) fail_msg("%s: inference differs from itself", plain.cell);
            forward(&m, (rc_tape_mode){0}, x, NULL, NULL, NULL, b);
            if (same(a->y, b->y, ALL) != !zone)
                fail_msg("%s: inference %s", plain.cell, zone ? "without zoneout" : "masks");
            drop(&n), drop(&m);
        }
    }
    free(x), free(a), free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropout_between_layers), cmocka_unit_test(recurrent_dropout), cmocka_unit_test(zoneout_of_h),
        cmocka_unit_test(zoneout_of_c),           cmocka_unit_test(weight_drop),       cmocka_unit_test(inference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
