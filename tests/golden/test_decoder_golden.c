/* Encoder-decoders with attention against numbers that make_decoder.py made: loss, all gradients, and the probabilities
 * of each step of a search. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "formats/safetensors.h"
#include "tasks/seq2seq.h"

enum { MAX = 4096, ROWS = 16 };
static rc__st_file *file;
static json_t *doc;

static size_t get(const char *test, const char *kind, const char *name, float *to) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s%s", test, kind, name);
    const rc__st_tensor *t = rc__st_find(file, full);
    if (!t) fail_msg("no tensor %s", full);
    assert_true(t->len <= MAX);
    assert_int_equal(rc__st_read_real(file, t, to, NULL), RC_OK);
    return t->len;
}

static size_t ids(const char *test, const char *name, int32_t *to) {
    static float x[MAX];
    size_t n = get(test, "", name, x);
    for (size_t i = 0; i < n; i++) to[i] = (int32_t)x[i];
    return n;
}

/* As in test_rnn_golden.c: torch's sums are in another order, and in double. */
static void close_to(const char *test, const char *what, const float *got, const float *want, size_t n) {
    double scale = 1e-3;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 2e-5 * scale))
            fail_msg("%s: %s[%zu] is %.8g, torch has %.8g", test, what, i, (double)got[i], (double)want[i]);
}

static size_t number(const json_t *o, const char *key) { return (size_t)json_integer_value(json_object_get(o, key)); }

static void declare(rc__seq2seq_net *net, rc_params *ps, const json_t *c, const char *name) {
    rc__seq2seq_options o = {.source_vocab = number(doc, "V"),
                             .target_vocab = number(doc, "V"),
                             .embedding = number(doc, "E"),
                             .encoder = {.rnn = rc_rnn_options_default()},
                             .decoder = {.rnn = rc_rnn_options_default()},
                             .coverage_weight = 1};
    o.encoder.rnn.cell = o.decoder.rnn.cell = json_string_value(json_object_get(c, "cell"));
    o.encoder.rnn.hidden_size = number(doc, "HE");
    o.encoder.rnn.bidirectional = true;
    o.decoder.rnn.hidden_size = number(doc, "H");
    o.decoder.rnn.num_layers = (int)number(c, "layers");
    const char *attention = json_string_value(json_object_get(c, "attention"));
    o.decoder.attention = !strcmp(attention, "general") ? RC__ATTENTION_GENERAL : RC__ATTENTION_ADDITIVE;
    o.decoder.input_feeding = json_is_true(json_object_get(c, "feeding"));
    o.decoder.coverage = json_is_true(json_object_get(c, "coverage"));
    o.copy = o.shared = json_is_true(json_object_get(c, "copy"));
    rc_error e = {0};
    if (rc__seq2seq_declare(net, ps, &o, &e) != RC_OK) fail_msg("%s: %s", name, e.text);
}

/* Every parameter from the file, and every one of the file's. */
static void load(rc_params *ps, const char *name) {
    static float x[MAX];
    size_t of_file = 0;
    char prefix[200];
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        rc_param *p = rc_params_at(ps, i);
        assert_int_equal(get(name, "w/", p->name, x), p->len);
        memcpy(p->w, x, p->len * sizeof *x);
    }
    rc_params_changed(ps);
    snprintf(prefix, sizeof prefix, "%s/w/", name);
    for (size_t i = 0; i < rc__st_count(file); i++)
        of_file += !strncmp(rc__st_at(file, i)->name, prefix, strlen(prefix));
    assert_int_equal(of_file, rc_params_count(ps));
}

static void lengths_of(const char *key, int32_t *to) {
    const json_t *list = json_object_get(doc, key);
    for (size_t i = 0; i < json_array_size(list); i++) to[i] = (int32_t)json_integer_value(json_array_get(list, i));
}

static void steps(const rc__seq2seq_net *net, const rc__seq2seq_batch *b, const char *name) {
    static float logp[MAX], want[MAX], got[MAX];
    rc__seq2seq_run *run;
    rc_error e = {0};
    if (rc__seq2seq_run_new(&run, &net, 1, b->n, b->source_len, b->source, b->source_lengths, b->n, &e) != RC_OK)
        fail_msg("%s", e.text);
    rc__beam_model m = rc__seq2seq_beam_model(run);
    uint32_t row[ROWS];
    for (size_t i = 0; i < b->n; i++) row[i] = (uint32_t)i;
    assert_int_equal(get(name, "", "logp", want), b->target_len * b->n * m.vocab);
    for (size_t s = 0; s < b->target_len; s++) {
        assert_int_equal(m.step(m.ctx, b->n, row, row, b->target_in + s * b->n, logp, NULL, 0, &e), RC_OK);
        for (size_t i = 0; i < b->n; i++) {
            size_t at = (s * b->n + i) * m.vocab;
            assert_true(logp[i * m.vocab + m.vocab - 2] == -INFINITY);
            for (size_t v = 0; v < m.vocab; v++)
                got[at + v] =
                    (int32_t)s < b->target_lengths[i] && v != m.vocab - 2 ? logp[i * m.vocab + v] : want[at + v];
        }
    }
    close_to(name, "logp", got, want, b->target_len * b->n * m.vocab);
    rc__seq2seq_run_free(run);
}

static void decoders(void **state) {
    (void)state;
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(doc, "cases"), i, c) {
        static int32_t source[MAX], in[MAX], out[MAX], source_lengths[ROWS], target_lengths[ROWS];
        static float want[MAX];
        const char *name = json_string_value(json_object_get(c, "name"));
        rc_params *ps;
        rc_tape *t;
        rc__seq2seq_net net;
        assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
        declare(&net, ps, c, name);
        assert_int_equal(rc_params_build(ps, 1, NULL), RC_OK);
        load(ps, name);
        lengths_of("source_lengths", source_lengths);
        lengths_of("target_lengths", target_lengths);
        size_t n = json_array_size(json_object_get(doc, "source_lengths"));
        rc__seq2seq_batch b = {.n = n,
                               .source = source,
                               .source_lengths = source_lengths,
                               .target_in = in,
                               .target_out = out,
                               .target_lengths = target_lengths};
        b.source_len = ids(name, "source", source) / n;
        b.target_len = ids(name, "target_in", in) / n;
        ids(name, "target_out", out);
        assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
        rc_var *loss = rc__seq2seq_loss(t, &net, &b, 0, NULL, NULL);
        assert_int_equal(rc_backward(t, loss, 1, NULL), RC_OK);
        assert_int_equal(get(name, "", "loss", want), 1);
        close_to(name, "loss", loss->x, want, 1);
        for (size_t p = 0; p < rc_params_count(ps); p++) {
            get(name, "g/", rc_params_at(ps, p)->name, want);
            close_to(name, rc_params_at(ps, p)->name, rc_params_at(ps, p)->g, want, rc_params_at(ps, p)->len);
        }
        steps(&net, &b, name);
        rc_tape_free(t);
        rc__seq2seq_net_free(&net);
        rc_params_free(ps);
    }
    assert_int_equal(i, 6);
}

static int setup(void **state) {
    (void)state;
    const char *dir = getenv("RECUR_TEST_DIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/decoder.safetensors", dir ? dir : "tests");
    rc_error e = {0};
    if (rc__st_open(&file, path, &e) != RC_OK) {
        print_error("%s\n", e.text);
        return -1;
    }
    doc = json_loads(rc__st_get_meta(file, "doc"), 0, NULL);
    return doc ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    rc__st_close(file);
    json_decref(doc);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(decoders)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
