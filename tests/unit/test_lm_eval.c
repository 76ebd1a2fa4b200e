/* Evaluation of language models: the definitions of docs/evaluation.md, and that its passes agree. */
#include "lm_helper.h"

static const char verse[] =
    "it was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity\n";

static rc_lm_score eval(rc_lm *m, const char *text, const rc_lm_eval_options *o) {
    rc_lm_score s;
    memset(&s, 0xff, sizeof s);
    OK(rc_lm_eval(m, text, strlen(text), o, &s, &E));
    return s;
}

/* All weights zero: every entry has probability 1/V, so that each number is known. */
static void uniform_model(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    const char *text = "\xC3\xA9t\xC3\xA9 in caf\xC3\xA9s\n"; /* 16 bytes, 13 characters */
    rc_lm *m = model_of("char", text, &o);
    double V = (double)rc_vocab_size(rc_lm_vocab(m));
    memset(rc_params_values(rc_lm_params(m)), 0, rc_params_block_len(rc_lm_params(m)) * sizeof(rc_real));
    rc_params_changed(rc_lm_params(m));
    rc_lm_score s = eval(m, text, NULL);
    assert_int_equal(s.tokens, 12);
    assert_int_equal(s.bytes, 14); /* the first character has two */
    assert_int_equal(s.chars, 12);
    assert_int_equal(s.words, 3);
    assert_int_equal(s.unknown, 0);
    assert_close(s.nll, 12 * log(V), 1e-6);
    assert_close(s.nats_per_token, log(V), 1e-6);
    assert_close(s.perplexity, V, 1e-6);
    assert_close(s.bits_per_char, log2(V), 1e-6);
    assert_close(s.bits_per_byte, log2(V) * 12 / 14, 1e-6);
    assert_close(s.word_perplexity, pow(V, 12.0 / 3), 1e-5);
    assert_true(s.seconds >= 0);
    s = eval(m, "caf? \xE2\x82\xAC", NULL); /* two that the vocabulary lacks */
    assert_int_equal(s.unknown, 2);
    assert_int_equal(s.tokens, 5);
    assert_int_equal(s.bytes, 7);
    rc_lm_free(m);

    m = model_of("byte", text, &o);
    s = eval(m, text, NULL);
    assert_int_equal(s.tokens, 15);
    assert_int_equal(s.bytes, 15);
    assert_int_equal(s.chars, 0); /* what is left begins inside a character: not UTF-8 */
    assert_true(isnan(s.bits_per_char));
    s = eval(m,
             "in "
             "caf\xC3\xA9s",
             NULL);
    assert_int_equal(s.bytes, 8);
    assert_int_equal(s.chars, 7);
    rc_lm_free(m);

    m = model_of("word", "the cat sat\non the mat\n", &o);
    s = eval(m, "the cat sat\non the hat\n", NULL);
    assert_int_equal(s.tokens, 7); /* eight with the newlines, the first not scored */
    assert_int_equal(s.words, 7);
    assert_int_equal(s.unknown, 1);
    assert_int_equal(s.bytes, 20);
    s = eval(m, " \n the cat\n", NULL);
    assert_int_equal(s.tokens, 3);
    assert_int_equal(s.bytes, 9); /* what the first newline's token covers is not scored */
    assert_close(s.word_perplexity, s.perplexity, 1e-12);
    s = eval(m, " dog the cat\n", NULL); /* an unknown first word is not scored either */
    assert_int_equal(s.unknown, 0);
    assert_int_equal(s.bytes, 9);
    rc_lm_free(m);
}

static void stateful_is_the_whole_text(void **unused) {
    (void)unused;
    char text[1200] = "";
    while (strlen(text) < 900) strcat(text, verse); /* more than three segments */
    rc_lm *m = trained_on("char", verse, 30);
    size_t n, V = rc_vocab_size(rc_lm_vocab(m));
    int32_t *ids;
    OK(rc_vocab_encode(rc_lm_vocab(m), text, strlen(text), &ids, &n, NULL, &E));
    rc_lm_score s = eval(m, text, NULL);
    assert_int_equal(s.tokens, n - 1);
    assert_close(s.nll, nll_of(m, ids, ids + 1, n - 1, 1, NULL, NULL), 1e-5);
    rc_state *state;
    OK(rc_state_new(&state, rc_lm_rnn(m), 1, &E));
    rc_real *logits = malloc(V * sizeof *logits);
    double steps = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        OK(rc_lm_step(m, state, &ids[i], logits, &E));
        steps += nll_of_logits(logits, V, ids[i + 1]);
    }
    assert_close(s.nll, steps, 1e-5);
    free(logits);
    rc_state_free(state);
    rc_ids_free(ids, n);
    rc_lm_free(m);
}

static void windows(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", verse, 30);
    rc_lm_score whole = eval(m, verse, NULL);
    rc_lm_eval_options o = rc_lm_eval_options_default();
    o.window = 10000; /* one window: the same as stateful */
    assert_close(eval(m, verse, &o).nll, whole.nll, 1e-5);
    size_t sizes[] = {1, 7, 16, strlen(verse) - 1, strlen(verse)};
    for (size_t k = 0; k < 5; k++) {
        o.window = sizes[k];
        o.batch = 64;
        rc_lm_score a = eval(m, verse, &o);
        o.batch = 1;
        rc_lm_score b = eval(m, verse, &o);
        o.batch = 3;
        rc_lm_score c = eval(m, verse, &o);
        assert_int_equal(a.tokens, whole.tokens); /* each token once, whatever the window */
        assert_int_equal(b.tokens, whole.tokens);
        assert_close(a.nll, b.nll, 1e-5);
        assert_close(a.nll, c.nll, 1e-5);
        assert_int_equal(a.bytes, whole.bytes);
    }
    o.window = 7; /* by hand: each window from the initial state */
    double nll = 0;
    int32_t *ids;
    size_t n;
    OK(rc_vocab_encode(rc_lm_vocab(m), verse, strlen(verse), &ids, &n, NULL, &E));
    for (size_t i = 0; i + 1 < n; i += 7)
        nll += nll_of(m, ids + i, ids + i + 1, i + 8 > n ? n - 1 - i : 7, 1, NULL, NULL);
    assert_close(eval(m, verse, &o).nll, nll, 1e-5);
    rc_ids_free(ids, n);
    rc_lm_free(m);
}

static void dynamic_evaluation(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", verse, 60);
    rc_params *ps = rc_lm_params(m);
    size_t bytes = rc_params_block_len(ps) * sizeof(rc_real);
    rc_real *before = malloc(bytes);
    memcpy(before, rc_params_values(ps), bytes);
    char text[2000] = ""; /* new to the model, and repetitive: adapting must help */
    while (strlen(text) < 1500) strcat(text, "foo tells sam: bats eat mist. ");
    rc_lm_eval_options o = rc_lm_eval_options_default();
    rc_lm_score fixed = eval(m, text, &o);
    o.dynamic = true;
    rc_lm_score adapted = eval(m, text, &o);
    assert_int_equal(adapted.tokens, fixed.tokens);
    assert_true(adapted.nll < 0.95 * fixed.nll);
    assert_memory_equal(before, rc_params_values(ps), bytes);
    assert_true(eval(m, text, &o).nll == adapted.nll); /* nothing is left over from the first time */
    assert_true(eval(m, text, NULL).nll == fixed.nll);

    o.segment = 10000; /* one segment: nothing to learn from before it ends */
    assert_close(eval(m, text, &o).nll, fixed.nll, 1e-5);
    o.segment = 64;
    o.dynamic_lr = 3e38; /* runs off to infinity: an error, and the model as it was */
    rc_lm_score s;
    FAILS(RC_EDIVERGED, "", rc_lm_eval(m, text, strlen(text), &o, &s, &E));
    assert_memory_equal(before, rc_params_values(ps), bytes);
    assert_true(eval(m, text, NULL).nll == fixed.nll);
    for (size_t i = 0; i < rc_params_block_len(ps); i++) assert_true(rc_params_grads(ps)[i] == 0);
    free(before);
    rc_lm_free(m);
}

static void wrong_input(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", verse, 0);
    rc_lm_score s;
    rc_lm_eval_options o = rc_lm_eval_options_default();
    FAILS(RC_EDATA, "1 token,", rc_lm_eval(m, "a", 1, NULL, &s, &E));
    FAILS(RC_EDATA, "", rc_lm_eval(m, "", 0, NULL, &s, &E));
    FAILS(RC_EDATA, "", rc_lm_eval(m, "ab\xFF", 3, NULL, &s, &E));
    o.dynamic = true;
    o.segment = 0;
    FAILS(RC_EINVAL, "segment", rc_lm_eval(m, verse, 20, &o, &s, &E));
    o.segment = 5;
    o.dynamic_lr = 0;
    FAILS(RC_EINVAL, "dynamic_lr", rc_lm_eval(m, verse, 20, &o, &s, &E));
    o.dynamic_lr = 0.1;
    o.window = 5;
    FAILS(RC_EINVAL, "window", rc_lm_eval(m, verse, 20, &o, &s, &E));
    o.dynamic = false;
    o.batch = 0;
    FAILS(RC_EINVAL, "batch", rc_lm_eval(m, verse, 20, &o, &s, &E));
    o.batch = 4;
    o.window = SIZE_MAX / 2;
    FAILS(RC_ENOMEM, "window", rc_lm_eval(m, verse, 20, &o, &s, &E));
    rc_params_values(rc_lm_params(m))[rc_params_find(rc_lm_params(m), "head.bias")->offset] = NAN;
    rc_params_changed(rc_lm_params(m));
    FAILS(RC_EDIVERGED, "token", rc_lm_eval(m, verse, 20, NULL, &s, &E));
    rc_lm_free(m);
}

static void threads_do_not_matter(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", verse, 20);
    rc_lm_eval_options o = rc_lm_eval_options_default();
    for (int k = 0; k < 3; k++) {
        o.window = k == 1 ? 16 : 0;
        o.dynamic = k == 2;
        int saved = rc_threads();
        OK(rc_set_threads(1, &E));
        double one = eval(m, verse, &o).nll;
        OK(rc_set_threads(3, &E));
        double three = eval(m, verse, &o).nll;
        OK(rc_set_threads(saved, &E));
        assert_true(one == three);
    }
    rc_lm_free(m);
}

static void memory_runs_out(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", verse, 5);
    rc_params *ps = rc_lm_params(m);
    size_t bytes = rc_params_block_len(ps) * sizeof(rc_real);
    rc_real *before = malloc(bytes);
    memcpy(before, rc_params_values(ps), bytes);
    for (int k = 0; k < 3; k++) {
        rc_lm_eval_options o = rc_lm_eval_options_default();
        o.window = k == 1 ? 16 : 0;
        o.dynamic = k == 2;
        rc_lm_score s;
        long n = 0;
        for (; n < 2000; n++) {
            failing f = {.left = n};
            rc_set_allocator(failing_alloc, &f);
            rc_status status = rc_lm_eval(m, verse, strlen(verse), &o, &s, NULL);
            rc_set_allocator(NULL, NULL);
            assert_memory_equal(before, rc_params_values(ps), bytes);
            if (status == RC_OK) break;
            assert_int_equal(status, RC_ENOMEM);
        }
        assert_true(n > 3 && n < 2000);
    }
    free(before);
    rc_lm_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_model),   cmocka_unit_test(stateful_is_the_whole_text),
        cmocka_unit_test(windows),         cmocka_unit_test(dynamic_evaluation),
        cmocka_unit_test(wrong_input),     cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
