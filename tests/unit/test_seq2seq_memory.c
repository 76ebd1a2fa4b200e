/* Sequence to sequence with memory refused: allocation n of making a network, of its loss and gradients, of a search's
 * start and of its steps, for every n. The call says RC_ENOMEM with a message, nothing is lost, and again with memory
 * it gives its bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "failing.h"
#include "tasks/seq2seq.h"

enum { V = 9, N = 3, T = 5, S = 4, ROWS = 6, KINDS = 4 };
static failing refusing = {.left = -1};
static const int32_t source[T * N] = {1, 2, 3, 4, 10, 5, 6, 0, 10, 10, 0, 0, 0, 0, 0}, source_lengths[N] = {4, 2, 3};
static const int32_t in[S * N] = {9, 9, 9, 1, 2, 0, 3, 0, 0, 4, 0, 0},
                            out[S * N] = {1, 2, 10, 3, 10, -100, 4, -100, -100, 10, -100, -100};
static const int32_t target_lengths[N] = {4, 2, 1};
static const rc__seq2seq_batch batch = {N, T, S, source, source_lengths, in, out, target_lengths};

static rc__seq2seq_options options_of(int kind) {
    rc__seq2seq_options o = {.source_vocab = V,
                             .target_vocab = V,
                             .embedding = 6,
                             .shared = true,
                             .coverage_weight = 1,
                             .encoder = {.rnn = rc_rnn_options_default()},
                             .decoder = {.rnn = rc_rnn_options_default()}};
    o.encoder.rnn.cell = o.decoder.rnn.cell = kind == 3 ? "transformer" : kind == 2 ? "gru" : "lstm";
    o.encoder.rnn.hidden_size = kind == 3 ? 8 : 4;
    o.encoder.rnn.bidirectional = true;
    o.decoder.rnn.hidden_size = 8;
    o.decoder.rnn.num_layers = 2;
    o.decoder.attention = kind == 0 ? RC__ATTENTION_MULTIHEAD : RC__ATTENTION_ADDITIVE;
    o.tied = kind == 0;
    o.copy = kind > 0;
    o.decoder.coverage = kind == 1;
    o.decoder.input_feeding = kind == 2;
    return o;
}

typedef struct model {
    rc_params *ps;
    rc__seq2seq_net net;
    rc_tape *tape;
    rc__seq2seq_run *run;
    float *result;
} model;

static rc_status make(model *m, int kind, rc_error *e) {
    rc__seq2seq_options o = options_of(kind);
    *m = (model){0};
    rc_status s = rc_params_new(&m->ps, e);
    if (s == RC_OK) s = rc__seq2seq_declare(&m->net, m->ps, &o, e);
    if (s == RC_OK) s = rc_params_build(m->ps, 1, e);
    return s == RC_OK ? rc_tape_new(&m->tape, e) : s;
}

static void drop(model *m) {
    rc__seq2seq_run_free(m->run);
    rc_tape_free(m->tape);
    rc__seq2seq_net_free(&m->net);
    rc_params_free(m->ps);
}

static rc_status loss(model *m, rc_error *e) {
    rc_params_zero_grad(m->ps);
    rc_tape_begin(m->tape, (rc_tape_mode){.grad = true, .training = true});
    rc_var *l = rc__seq2seq_loss(m->tape, &m->net, &batch, 0.1, NULL, NULL);
    rc_status s = rc_backward(m->tape, l, 1, e);
    if (s == RC_OK) m->result = rc_params_grads(m->ps);
    return s;
}

static rc_status search(model *m, rc_error *e) {
    static float logp[ROWS * (V + 2)], attention[ROWS * T];
    static const uint32_t first[ROWS] = {0, 1, 2}, sentence[ROWS] = {0, 0, 1, 1, 2, 2},
                          parent[ROWS] = {0, 0, 1, 1, 2, 2}, turned[ROWS] = {1, 0, 3, 3, 5, 4};
    static const int32_t begin[ROWS] = {V, V, V}, token[ROWS] = {1, 2, 3, 4, 5, 6};
    const rc__seq2seq_net *net = &m->net;
    rc__seq2seq_run_free(m->run);
    rc_status s = rc__seq2seq_run_new(&m->run, &net, 1, N, T, source, source_lengths, ROWS, e);
    if (s != RC_OK) return s;
    rc__beam_model b = rc__seq2seq_beam_model(m->run);
    s = b.step(b.ctx, N, first, first, begin, logp, NULL, 0, e);
    if (s == RC_OK) s = b.step(b.ctx, ROWS, sentence, parent, token, logp, attention, T, e);
    if (s == RC_OK) s = b.step(b.ctx, ROWS, sentence, turned, token, logp, attention, T, e);
    m->result = logp;
    return s;
}

static void never_lost(void **unused) {
    (void)unused;
    rc_error e;
    for (int kind = 0; kind < KINDS; kind++)
        for (int once = 0; once < 2; once++) {
            long n = 0;
            for (rc_status s = RC_ENOMEM; s != RC_OK; n++) { /* making */
                size_t before = rc_memory_used();
                model m;
                e.text[0] = 0;
                refusing = (failing){.left = n, .once = once};
                s = make(&m, kind, &e);
                refusing.left = -1;
                if (s != RC_OK && (s != RC_ENOMEM || !e.text[0]))
                    fail_msg("making %d, allocation %ld: %d \"%s\"", kind, n, s, e.text);
                drop(&m);
                if (rc_memory_used() != before)
                    fail_msg("making %d, allocation %ld: %zu bytes lost", kind, n, rc_memory_used() - before);
            }
            assert_true(n > 20);
        }
}

static void same_afterwards(void **unused) {
    (void)unused;
    rc_error e;
    static rc_status (*const calls[2])(model *, rc_error *) = {loss, search};
    static float want[20000];
    for (int kind = 0; kind < KINDS; kind++)
        for (int c = 0; c < 2; c++)
            for (int once = 0; once < 2; once++) {
                model m;
                assert_int_equal(make(&m, kind, &e), RC_OK);
                assert_int_equal(calls[c](&m, &e), RC_OK);
                size_t len = c ? ROWS * (V + 2) : rc_params_block_len(m.ps);
                memcpy(want, m.result, len * sizeof *want);
                drop(&m);
                bool through = false;
                for (long n = 0; !through; n++) {
                    size_t before = rc_memory_used();
                    assert_int_equal(make(&m, kind, &e), RC_OK);
                    e.text[0] = 0;
                    refusing = (failing){.left = n, .once = once};
                    rc_status s = calls[c](&m, &e);
                    through = refusing.calls <= n; /* none was refused */
                    refusing.left = -1;
                    if (s != RC_OK && (s != RC_ENOMEM || !e.text[0]))
                        fail_msg("%d, call %d, allocation %ld: %d \"%s\"", kind, c, n, s, e.text);
                    if (s == RC_OK) assert_memory_equal(want, m.result, len * sizeof *want);
                    assert_int_equal(calls[c](&m, &e), RC_OK);
                    assert_memory_equal(want, m.result, len * sizeof *want);
                    drop(&m);
                    if (rc_memory_used() != before) fail_msg("%d, call %d, allocation %ld: bytes lost", kind, c, n);
                }
            }
}

int main(void) {
    rc_set_allocator(failing_alloc, &refusing);
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_lost), cmocka_unit_test(same_afterwards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
