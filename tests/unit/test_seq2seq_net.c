/* The network of sequence to sequence: it learns to reverse and to copy, step by step is what it was trained on,
 * ensembles, scheduled sampling, copying, what padding, neighbours and threads must not change. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "recur/optim.h"
#include "tasks/seq2seq.h"

static rc_error E;
#define OK(call)                                     \
    do {                                             \
        if ((call) != RC_OK) fail_msg("%s", E.text); \
    } while (0)

enum { V = 12, LONG = 8, ROWS = 32 };

typedef struct model {
    rc_params *ps;
    rc__seq2seq_net net;
    rc_tape *tape;
} model;

static rc__seq2seq_options options(const char *cell, rc__attention_kind attention, size_t vocab) {
    rc__seq2seq_options o = {.source_vocab = vocab,
                             .target_vocab = vocab,
                             .embedding = 24,
                             .encoder = {.rnn = rc_rnn_options_default()},
                             .decoder = {.rnn = rc_rnn_options_default()},
                             .coverage_weight = 1};
    o.encoder.rnn.cell = o.decoder.rnn.cell = cell;
    o.encoder.rnn.hidden_size = 16;
    o.encoder.rnn.bidirectional = true;
    o.decoder.rnn.hidden_size = 32;
    o.decoder.rnn.num_layers = 2;
    o.decoder.attention = attention;
    return o;
}

static model make(const rc__seq2seq_options *o, uint64_t seed) {
    model m;
    OK(rc_params_new(&m.ps, &E));
    OK(rc__seq2seq_declare(&m.net, m.ps, o, &E));
    OK(rc_params_build(m.ps, seed, &E));
    OK(rc_tape_new(&m.tape, &E));
    return m;
}

static void drop(model *m) {
    rc__seq2seq_net_free(&m->net);
    rc_params_free(m->ps);
    rc_tape_free(m->tape);
}

/* n sources of tokens; the targets are the same, backwards or as they are. In a space of more steps when pad > 0. */
typedef struct data {
    rc__seq2seq_batch b;
    int32_t source[(LONG + 4) * ROWS], in[(LONG + 4) * ROWS], out[(LONG + 4) * ROWS], source_len[ROWS],
        target_len[ROWS];
} data;

static void make_data(data *d, size_t n, size_t first, size_t vocab, bool reversed, size_t pad, uint64_t seed) {
    size_t T = LONG + 1 + pad;
    memset(d, 0, sizeof *d);
    for (size_t i = 0; i < T * n; i++) d->out[i] = -100, d->source[i] = d->in[i] = pad ? 3 : 0;
    for (size_t b = 0; b < n; b++) {
        rc_rng r = rc_rng_make(seed, first + b);
        size_t len = 1 + rc_rng_below(&r, LONG);
        for (size_t t = 0; t < len; t++) d->source[t * n + b] = (int32_t)rc_rng_below(&r, vocab);
        d->source[len * n + b] = (int32_t)vocab + 1;
        d->in[b] = (int32_t)vocab;
        for (size_t t = 0; t < len; t++) {
            int32_t id = d->source[(reversed ? len - 1 - t : t) * n + b];
            d->out[t * n + b] = d->in[(t + 1) * n + b] = id;
        }
        d->out[len * n + b] = (int32_t)vocab + 1;
        d->source_len[b] = d->target_len[b] = (int32_t)len + 1;
    }
    d->b = (rc__seq2seq_batch){n, T, T, d->source, d->source_len, d->in, d->out, d->target_len};
}

static double loss_of(model *m, const data *d, rc_tape_mode mode, size_t *count) {
    double nll = 0;
    rc_tape_begin(m->tape, mode);
    rc_var *loss = rc__seq2seq_loss(m->tape, &m->net, &d->b, 0, &nll, count);
    OK(rc_tape_status(m->tape, &E));
    if (mode.grad) OK(rc_backward(m->tape, loss, 1, &E));
    return nll;
}

static double train(model *m, int steps, double lr, bool reversed, double sampling) {
    rc_optim *opt;
    rc_optim_options oo = rc_optim_options_default();
    oo.clip_norm = 1;
    OK(rc_optim_new(&opt, m->ps, &oo, &E));
    static data d;
    size_t count;
    double nll = 0;
    rc_rng rng = rc_rng_make(5, 5);
    for (int s = 0; s < steps; s++) {
        make_data(&d, ROWS, (size_t)s * ROWS, m->net.o.source_vocab, reversed, 0, 1);
        if (sampling > 0) OK(rc__seq2seq_sample_inputs(m->tape, &m->net, &d.b, d.in, sampling * s / steps, &rng, &E));
        nll = loss_of(m, &d, (rc_tape_mode){.grad = true, .training = true, .seed = 1, .step = (uint64_t)s}, &count) /
              (double)count;
        OK(rc_optim_step(opt, lr * (1 - (double)s / steps), NULL, &E));
    }
    rc_optim_free(opt);
    return nll;
}

/* Greedy; how many of n sentences come out right. */
static size_t right(model *m, const rc__seq2seq_net *const *nets, size_t n_nets, size_t n, bool reversed) {
    static data d;
    static float logp[ROWS * (400 + 2)], attention[ROWS * (LONG + 1)];
    size_t vocab = m->net.o.source_vocab, good = 0;
    make_data(&d, n, 1000000, vocab, reversed, 0, 1);
    rc__seq2seq_run *run;
    OK(rc__seq2seq_run_new(&run, nets, n_nets, n, d.b.source_len, d.source, d.source_len, n, &E));
    rc__beam_model beam = rc__seq2seq_beam_model(run);
    assert_int_equal(beam.vocab, vocab + 2);
    assert_int_equal(beam.begin, vocab);
    assert_int_equal(beam.end, vocab + 1);
    int32_t token[ROWS];
    uint32_t row[ROWS];
    bool ok[ROWS];
    for (size_t i = 0; i < n; i++) token[i] = beam.begin, row[i] = (uint32_t)i, ok[i] = true;
    for (size_t t = 0; t <= LONG; t++) {
        OK(beam.step(beam.ctx, n, row, row, token, logp, attention, LONG + 1, &E));
        for (size_t i = 0; i < n; i++) {
            const float *p = logp + i * beam.vocab;
            size_t best = 0;
            for (size_t v = 1; v < beam.vocab; v++)
                if (p[v] > p[best]) best = v;
            if (t < (size_t)d.target_len[i] && (int32_t)best != d.out[t * n + i]) ok[i] = false;
            token[i] = (int32_t)best;
            double sum = 0, seen = 0;
            for (size_t v = 0; v < beam.vocab; v++) sum += exp((double)p[v]);
            assert_true(sum > 0.9 && sum < 1.0001); /* begin, which never comes, has lost its share */
            for (size_t j = 0; j < LONG + 1; j++) {
                seen += (double)attention[i * (LONG + 1) + j];
                assert_true(j < (size_t)d.source_len[i] || attention[i * (LONG + 1) + j] == 0);
            }
            if (m->net.o.decoder.attention != RC__ATTENTION_NONE) assert_true(fabs(seen - 1) < 1e-5);
        }
    }
    for (size_t i = 0; i < n; i++) good += ok[i];
    rc__seq2seq_run_free(run);
    return good;
}

static void learns(const rc__seq2seq_options *o, const char *name, bool reversed, int steps) {
    model m = make(o, 1);
    double nll = train(&m, steps, 0.01, reversed, 0);
    const rc__seq2seq_net *net = &m.net;
    size_t good = right(&m, &net, 1, ROWS, reversed);
    if (good < ROWS * 9 / 10) fail_msg("%s: %zu of %d right, loss %g", name, good, ROWS, nll);
    if (getenv("SHOW")) print_message("%s: loss %g, %zu right\n", name, nll, good);
    drop(&m);
}

static void reverses(void **unused) {
    (void)unused;
    for (int k = 1; k < 7; k++) {
        rc__seq2seq_options o = options(k % 2 ? "lstm" : "gru", (rc__attention_kind)k, V);
        learns(&o, rc__attention_kinds[k], true, 400);
    }
}

static rc__seq2seq_options transformer_options(bool encoder, bool decoder) {
    rc__seq2seq_options o = options("lstm", RC__ATTENTION_GENERAL, V);
    rc_rnn_options *side[2] = {encoder ? &o.encoder.rnn : NULL, decoder ? &o.decoder.rnn : NULL};
    for (int i = 0; i < 2; i++) {
        if (!side[i]) continue;
        side[i]->cell = "transformer";
        side[i]->hidden_size = 32;
        side[i]->num_layers = 2;
        side[i]->heads = 4;
    }
    o.embedding = 32;
    return o;
}

static void transformers(void **unused) {
    (void)unused;
    for (int way = 1; way < 4; way++) {
        rc__seq2seq_options o = transformer_options(way & 1, way & 2);
        o.shared = o.tied = way == 3;
        o.decoder.rnn.positions = way == 3 ? RC_POSITIONS_SINUSOIDAL : RC_POSITIONS_ROTARY;
        learns(&o, way == 1 ? "transformer encoder" : way == 2 ? "transformer decoder" : "transformer", true, 500);
    }
}

static void convolutions(void **unused) {
    (void)unused;
    rc__seq2seq_options o = options("gru", RC__ATTENTION_LOCATION, V);
    o.encoder = (rc__encoder_options){
        .kind = RC__ENCODER_CNN, .rnn = rc_rnn_options_default(), .n_kernels = 2, .kernels = {1, 3}, .filters = 16};
    learns(&o, "cnn encoder", false, 400);
}

static void copies(void **unused) {
    (void)unused;
    rc__seq2seq_options o = options("lstm", RC__ATTENTION_GENERAL, V);
    o.shared = o.tied = true;
    learns(&o, "copies", false, 400);
}

/* ---- what it must not depend on ---------------------------------------------------------------------------------- */

typedef struct variant {
    const char *name;
    rc__attention_kind attention;
    bool shared, tied, copy, coverage, feeding, blocks;
} variant;
static const variant variants[] = {
    {"none", RC__ATTENTION_NONE, .tied = true},
    {"additive", RC__ATTENTION_ADDITIVE, .shared = true},
    {"general", RC__ATTENTION_GENERAL, .shared = true, .tied = true},
    {"multihead", RC__ATTENTION_MULTIHEAD, .tied = false},
    {"feeding", RC__ATTENTION_GENERAL, .feeding = true},
    {"copy", RC__ATTENTION_ADDITIVE, .shared = true, .copy = true, .coverage = true},
    {"copy by heads", RC__ATTENTION_MULTIHEAD, .shared = true, .copy = true},
    {"transformer", RC__ATTENTION_MULTIHEAD, .tied = true, .blocks = true},
    {"transformer, copy", RC__ATTENTION_MULTIHEAD, .shared = true, .copy = true, .blocks = true}};
enum { VARIANTS = sizeof variants / sizeof *variants };

static rc__seq2seq_options variant_options(const variant *v) {
    rc__seq2seq_options o = v->blocks ? transformer_options(true, true) : options("lstm", v->attention, V);
    o.shared = v->shared, o.tied = v->tied, o.copy = v->copy;
    o.decoder.coverage = v->coverage, o.decoder.input_feeding = v->feeding;
    if (!v->blocks) o.decoder.heads = v->attention == RC__ATTENTION_MULTIHEAD ? 4 : 0;
    return o;
}

static void padding_and_threads(void **unused) {
    (void)unused;
    static data few, many;
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    make_data(&few, 7, 0, V, true, 0, 3);
    make_data(&many, 7, 0, V, true, 3, 3);
    for (size_t i = 0; i < VARIANTS; i++) {
        rc__seq2seq_options o = variant_options(&variants[i]);
        model m = make(&o, 2);
        size_t len = rc_params_block_len(m.ps), count[5];
        float *grads = malloc(5 * len * sizeof *grads);
        double nll[5];
        for (int way = 0; way < 5; way++) {
            OK(rc_set_threads(way ? way : 1, &E));
            rc_params_zero_grad(m.ps);
            nll[way] = loss_of(&m, way ? &many : &few, (rc_tape_mode){.grad = true, .training = true}, &count[way]);
            memcpy(grads + (size_t)way * len, rc_params_grads(m.ps), len * sizeof *grads);
            if (nll[way] != nll[0] || count[way] != count[0])
                fail_msg("%s, way %d: %.17g and %.17g", variants[i].name, way, nll[0], nll[way]);
            if (memcmp(grads + (size_t)way * len, grads, len * sizeof *grads) != 0)
                fail_msg("%s, way %d: gradients", variants[i].name, way);
        }
        assert_true(nll[0] > 0);
        free(grads);
        drop(&m);
    }
    rc__parallel_threshold = saved;
}

/* The probabilities of the steps are those of the loss; a batch is its rows. */
static void steps_are_the_loss(void **unused) {
    (void)unused;
    static data d, one;
    static float logp[ROWS * (V + 2)];
    for (size_t i = 0; i < VARIANTS; i++) {
        rc__seq2seq_options o = variant_options(&variants[i]);
        model m = make(&o, 2);
        const rc__seq2seq_net *net = &m.net;
        size_t n = 7, count;
        make_data(&d, n, 0, V, true, 2, 3);
        double whole = loss_of(&m, &d, (rc_tape_mode){0}, &count), rows = 0, steps = 0;
        for (size_t b = 0; b < n; b++) {
            make_data(&one, 1, b, V, true, 0, 3);
            rows += loss_of(&m, &one, (rc_tape_mode){0}, NULL);
        }
        rc__seq2seq_run *run;
        OK(rc__seq2seq_run_new(&run, &net, 1, n, d.b.source_len, d.source, d.source_len, 3 * n, &E));
        rc__beam_model beam = rc__seq2seq_beam_model(run);
        uint32_t sentence[ROWS], parent[ROWS], at[ROWS] = {0};
        for (size_t t = 0; t < LONG + 1; t++) {
            int32_t token[ROWS];
            size_t k = 0;
            for (size_t b = 0; b < n; b++)
                if (t < (size_t)d.target_len[b]) {
                    sentence[k] = (uint32_t)b, parent[k] = at[b], at[b] = (uint32_t)k;
                    token[k++] = d.in[t * n + b];
                }
            if (!k) break;
            OK(beam.step(beam.ctx, k, sentence, parent, token, logp, NULL, 0, &E));
            for (size_t r = 0; r < k; r++) steps -= (double)logp[r * beam.vocab + (size_t)d.out[t * n + sentence[r]]];
        }
        rc__seq2seq_run_free(run);
        if (fabs(whole - steps) > 1e-4 * whole || fabs(whole - rows) > 1e-6 * whole)
            fail_msg("%s: %.9g at once, %.9g row by row, %.9g step by step", variants[i].name, whole, rows, steps);
        drop(&m);
    }
}

static void ensembles(void **unused) {
    (void)unused;
    rc__seq2seq_options o = options("gru", RC__ATTENTION_GENERAL, V), p = options("lstm", RC__ATTENTION_ADDITIVE, V);
    p.embedding = 10;
    p.decoder.rnn.hidden_size = 20;
    model a = make(&o, 1), b = make(&p, 2);
    const rc__seq2seq_net *nets[3] = {&a.net, &b.net, &a.net};
    static data d;
    static float logp[4][3 * (V + 2)], attention[4][3 * (LONG + 1)];
    make_data(&d, 3, 0, V, true, 0, 1);
    static const struct { size_t first, n; } ways[4] = {{0, 1}, {1, 1}, {0, 2}, {2, 1}};
    for (int w = 0; w < 4; w++) {
        rc__seq2seq_run *run;
        OK(rc__seq2seq_run_new(&run, nets + ways[w].first, ways[w].n, 3, d.b.source_len, d.source, d.source_len, 3,
                               &E));
        rc__beam_model beam = rc__seq2seq_beam_model(run);
        static const uint32_t rows[3] = {0, 1, 2};
        static const int32_t begin[3] = {V, V, V}, next[3] = {1, 2, 3};
        OK(beam.step(beam.ctx, 3, rows, rows, begin, logp[w], NULL, 0, &E));
        OK(beam.step(beam.ctx, 3, rows, rows, next, logp[w], attention[w], LONG + 1, &E));
        rc__seq2seq_run_free(run);
    }
    assert_memory_equal(logp[0], logp[3], sizeof logp[0]);
    for (size_t i = 0; i < 3 * (V + 2); i++) {
        if (i % (V + 2) == V) continue;
        double mean = (exp((double)logp[0][i]) + exp((double)logp[1][i])) / 2;
        assert_true(fabs(exp((double)logp[2][i]) - mean) < 1e-6);
    }
    for (size_t i = 0; i < 3 * (LONG + 1); i++)
        assert_true(fabsf(attention[2][i] - (attention[0][i] + attention[1][i]) / 2) < 1e-6F);
    drop(&a);
    drop(&b);
}

static void scheduled_sampling(void **unused) {
    (void)unused;
    static data d, before;
    for (int copy = 0; copy < 2; copy++) {
        rc__seq2seq_options o = options("gru", RC__ATTENTION_ADDITIVE, V);
        o.shared = o.copy = copy;
        model m = make(&o, 1);
        rc_rng rng = rc_rng_make(1, 1);
        make_data(&d, ROWS, 0, V, true, 0, 1);
        before = d;
        OK(rc__seq2seq_sample_inputs(m.tape, &m.net, &d.b, d.in, 0, &rng, &E));
        assert_memory_equal(d.in, before.in, sizeof d.in);
        OK(rc__seq2seq_sample_inputs(m.tape, &m.net, &d.b, d.in, 0.5, &rng, &E));
        size_t changed = 0, tokens = 0;
        for (size_t b = 0; b < ROWS; b++)
            for (size_t t = 0; t < LONG + 1; t++) {
                size_t at = t * ROWS + b;
                bool in = t > 0 && t < (size_t)d.target_len[b];
                tokens += in;
                changed += in && d.in[at] != before.in[at];
                if (!in) assert_int_equal(d.in[at], before.in[at]);
                assert_true(t == 0 || (d.in[at] >= 0 && d.in[at] < V));
            }
        assert_true(changed > tokens / 4 &&
                    changed < tokens * 3 / 4); /* an untrained network is right one time in twelve */
        drop(&m);
    }
    rc__seq2seq_options o = options("gru", RC__ATTENTION_GENERAL, V);
    model m = make(&o, 1);
    train(&m, 400, 0.01, true, 0.5);
    const rc__seq2seq_net *net = &m.net;
    assert_true(right(&m, &net, 1, ROWS, true) > ROWS * 8 / 10);
    make_data(&d, ROWS, 2000000, V, true, 0, 1); /* what a good network says is what it was given */
    before = d;
    rc_rng rng = rc_rng_make(1, 1);
    OK(rc__seq2seq_sample_inputs(m.tape, &m.net, &d.b, d.in, 1, &rng, &E));
    size_t other = 0;
    for (size_t i = 0; i < (LONG + 1) * ROWS; i++) other += d.in[i] != before.in[i];
    assert_true(other < ROWS / 2);
    drop(&m);
}

static void smoothing(void **unused) {
    (void)unused;
    static data d;
    make_data(&d, 5, 0, V, true, 0, 1);
    for (int copy = 0; copy < 2; copy++) {
        rc__seq2seq_options o = options("gru", RC__ATTENTION_GENERAL, V);
        o.shared = o.copy = copy;
        model m = make(&o, 1);
        for (int training = 0; training < 2; training++) {
            double nll;
            size_t count;
            rc_tape_begin(m.tape, (rc_tape_mode){.training = training});
            rc_var *loss = rc__seq2seq_loss(m.tape, &m.net, &d.b, 0.3, &nll, &count);
            OK(rc_tape_status(m.tape, &E));
            bool plain = fabs((double)loss->x[0] - nll / (double)count) < 1e-5;
            assert_true(plain == !training);
        }
        drop(&m);
    }
}

/* Tokens that were not in training: attention alone cannot write them, copying can. */
static void copying(void **unused) {
    (void)unused;
    size_t good[2];
    for (int copy = 0; copy < 2; copy++) {
        rc__seq2seq_options o = options("lstm", RC__ATTENTION_ADDITIVE, 400);
        o.shared = true;
        o.copy = copy;
        o.decoder.coverage = copy;
        model m = make(&o, 1);
        train(&m, 200, 0.01, false, 0);
        const rc__seq2seq_net *net = &m.net;
        good[copy] = right(&m, &net, 1, ROWS, false);
        drop(&m);
    }
    if (getenv("SHOW")) print_message("copying: %zu right without, %zu with\n", good[0], good[1]);
    assert_true(good[1] > ROWS / 2 && good[0] < ROWS / 4);
}

static void refusals(void **unused) {
    (void)unused;
    static const char *const words[] = {"vocabularies of 0",
                                        "one vocabulary",
                                        "embedding is 0",
                                        "dropout_input",
                                        "copying takes one vocabulary",
                                        "copying takes attention",
                                        "coverage_weight",
                                        "unknown cell",
                                        "dot multiplies",
                                        "dropout_output"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        rc__seq2seq_options o = options("lstm", RC__ATTENTION_GENERAL, V);
        if (i == 0) o.source_vocab = 0;
        if (i == 1) o.shared = true, o.target_vocab = V + 1;
        if (i == 2) o.embedding = 0;
        if (i == 3) o.dropout_input = 1;
        if (i == 4) o.copy = true;
        if (i == 5) o.copy = o.shared = true, o.decoder.attention = RC__ATTENTION_NONE;
        if (i == 6) o.coverage_weight = NAN;
        if (i == 7) o.decoder.rnn.cell = "lsdm";
        if (i == 8) o.decoder.attention = RC__ATTENTION_DOT, o.decoder.rnn.hidden_size = 31;
        if (i == 9) o.dropout_output = -1;
        rc_params *ps;
        rc__seq2seq_net net;
        OK(rc_params_new(&ps, &E));
        assert_int_equal(rc__seq2seq_declare(&net, ps, &o, &E), RC_EINVAL);
        if (!strstr(E.text, words[i])) fail_msg("\"%s\" does not mention %s", E.text, words[i]);
        rc_params_free(ps);
    }
    rc__seq2seq_options o = options("lstm", RC__ATTENTION_GENERAL, V),
                        p = options("lstm", RC__ATTENTION_GENERAL, V + 1);
    model m = make(&o, 1), other = make(&p, 1);
    const rc__seq2seq_net *nets[2] = {&m.net, &other.net};
    rc__seq2seq_run *run = NULL;
    static const int32_t source[2] = {1, V + 1}, wrong[2] = {1, V + 2}, length[1] = {2}, none[1] = {0},
                         token[1] = {V + 2};
    static const uint32_t zero[1] = {0};
    float logp[V + 2];
    assert_int_equal(rc__seq2seq_run_new(&run, nets, 1, 1, 2, wrong, length, 1, &E), RC_EINVAL);
    assert_int_equal(rc__seq2seq_run_new(&run, nets, 1, 1, 2, source, none, 1, &E), RC_EINVAL);
    assert_int_equal(rc__seq2seq_run_new(&run, nets, 2, 1, 2, source, length, 1, &E), RC_EINVAL);
    assert_non_null(strstr(E.text, "an ensemble takes the same ones"));
    assert_null(run);
    OK(rc__seq2seq_run_new(&run, nets, 1, 1, 2, source, length, 1, &E));
    rc__beam_model beam = rc__seq2seq_beam_model(run);
    assert_int_equal(beam.step(beam.ctx, 1, zero, zero, token, logp, NULL, 0, &E), RC_EINVAL);
    rc__seq2seq_run_free(run);
    drop(&m);
    drop(&other);
}

static void explains(void **unused) {
    (void)unused;
    static char text[8192], cut[64];
    for (size_t i = 0; i < VARIANTS; i++) {
        rc__seq2seq_options o = variant_options(&variants[i]);
        model m = make(&o, 1);
        size_t n = rc__seq2seq_explain(&m.net, 8, 20, text, sizeof text);
        assert_int_equal(n, strlen(text));
        assert_int_equal(rc__seq2seq_explain(&m.net, 8, 20, cut, sizeof cut), n);
        assert_memory_equal(cut, text, sizeof cut - 1);
        assert_int_equal(rc__seq2seq_explain(&m.net, 8, 20, NULL, 0), n);
        assert_true((strstr(text, "step by step on the tape") != NULL) == variants[i].feeding);
        assert_true((strstr(text, "inside one op") != NULL) == variants[i].coverage);
        if (getenv("SHOW")) print_message("%s\n", text);
        drop(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reverses),
                                       cmocka_unit_test(copies),
                                       cmocka_unit_test(transformers),
                                       cmocka_unit_test(convolutions),
                                       cmocka_unit_test(padding_and_threads),
                                       cmocka_unit_test(steps_are_the_loss),
                                       cmocka_unit_test(ensembles),
                                       cmocka_unit_test(scheduled_sampling),
                                       cmocka_unit_test(copying),
                                       cmocka_unit_test(smoothing),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(explains)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
