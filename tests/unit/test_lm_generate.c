/* Text from language models: prompts, seeds, samples side by side, stop strings, whole characters. */
#include "lm_helper.h"

static const char abc[] = "abcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\n";

/* What on_text was given, per sample. */
typedef struct heard {
    char text[8][4000];
    size_t len[8], pieces, stop_after; /* stop_after: pieces of sample 0 it wants; 0 = all */
    bool whole;                        /* every piece was UTF-8 */
} heard;
static bool hear(void *ctx, size_t i, const char *piece, size_t len) {
    heard *h = ctx;
    assert_true(i < 8 && len > 0 && h->len[i] + len < sizeof h->text[i]);
    memcpy(h->text[i] + h->len[i], piece, len);
    h->len[i] += len;
    h->pieces++;
    int32_t left = 0; /* bytes that must continue a character */
    for (size_t k = 0; k < len; k++) {
        unsigned char c = (unsigned char)piece[k];
        if ((c & 0xC0) == 0x80 ? left-- == 0 : left != 0) h->whole = false;
        if (c >= 0xC0) left = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    }
    if (left != 0) h->whole = false;
    return h->stop_after == 0 || i != 0 || h->pieces < h->stop_after;
}

static void free_texts(char **texts, size_t *lens, size_t n) {
    for (size_t i = 0; i < n; i++) rc_text_free(texts[i], lens[i]);
}

static rc_lm_generate_options greedy(size_t length) {
    rc_lm_generate_options o = rc_lm_generate_options_default();
    o.sampler.temperature = 0;
    o.length = length;
    return o;
}

/* The text of one sample, in a static buffer. */
static const char *one(const rc_lm *m, const char *prompt, const rc_lm_generate_options *o) {
    static char out[4][4000];
    static int next;
    char *text = NULL, *copy = out[next++ % 4];
    size_t len = 0;
    OK(rc_lm_generate(m, prompt, strlen(prompt), o, &text, &len, &E));
    assert_int_equal(strlen(text), len);
    assert_true(len < sizeof out[0]);
    memcpy(copy, text, len + 1);
    rc_text_free(text, len);
    return copy;
}

static void continues_a_prompt(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", abc, 200);
    rc_lm_generate_options o = greedy(12);
    assert_string_equal(one(m, "abc", &o), "defgh\nabcdef");
    assert_string_equal(one(m, "abcdefgh\nabcdefgh\nab", &o), "cdefgh\nabcde");
    assert_string_equal(one(m, "", &o), "abcdefgh\nabc"); /* an empty prompt is a newline */
    assert_int_equal(strlen(one(m, "ab?cd", &o)), 12);    /* '?' is unknown: read as <unk>, never drawn */
    o.length = 0;
    assert_string_equal(one(m, "abc", &o), "");
    o.length = 300;
    char prompt[600] = "";
    while (strlen(prompt) < 580) strcat(prompt, "abcdefgh\n"); /* longer than what is read at once */
    assert_memory_equal(one(m, prompt, &o), "abcdefgh\nabcdefgh\n", 18);
    rc_lm_free(m);
}

static void seeds(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", abc, 20);
    rc_lm_generate_options o = rc_lm_generate_options_default();
    o.length = 200;
    o.sampler.temperature = 1;
    const char *a = one(m, "ab", &o), *b = one(m, "ab", &o);
    assert_string_equal(a, b);
    o.seed = 1;
    assert_string_not_equal(a, one(m, "ab", &o));
    rc_lm_free(m);
}

/* Sample i is the same text whatever runs beside it, and whatever the others end on. */
static void samples_side_by_side(void **unused) {
    (void)unused;
    const char *cells[] = {"lstm", "gru", "mingru"};
    for (int k = 0; k < 3; k++) {
        rc_lm_options lo = small_options(cells[k]);
        rc_lm *m = model_of("char", abc, &lo);
        rc_lm_generate_options o = rc_lm_generate_options_default();
        char *few[2], *many[7];
        size_t few_len[2], many_len[7];
        o.length = 300;
        o.sampler.temperature = 1;
        const char *alone = one(m, "abc", &o);
        o.samples = 2;
        OK(rc_lm_generate(m, "abc", 3, &o, few, few_len, &E));
        o.samples = 7;
        OK(rc_lm_generate(m, "abc", 3, &o, many, many_len, &E));
        assert_string_equal(alone, few[0]);
        assert_string_equal(alone, many[0]);
        assert_string_equal(few[1], many[1]);
        assert_string_not_equal(few[0], few[1]);
        free_texts(few, few_len, 2);
        free_texts(many, many_len, 7);
        rc_lm_free(m);
    }
}

static void stop_strings(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", abc, 200);
    rc_lm_generate_options o = greedy(50);
    const char *stops[] = {"gx", "fgh\na", "zzz"};
    o.stop = stops;
    o.n_stop = 3;
    assert_string_equal(one(m, "abc", &o), "de"); /* across five tokens, and kept out */
    heard h = {.whole = true};
    o.on_text = hear;
    o.ctx = &h;
    assert_string_equal(one(m, "abc", &o), "de");
    assert_string_equal(h.text[0], "de"); /* and never shown */
    stops[0] = "c";                       /* at once; the prompt's own c does not count */
    o.on_text = NULL;
    assert_string_equal(one(m, "ab", &o), "");
    assert_string_equal(one(m, "abc", &o), "de");
    stops[0] = "efgz"; /* begun, not met: what was held back is given out in the end */
    o.n_stop = 1;
    o.length = 4;
    assert_string_equal(one(m, "abc", &o), "defg");
    o.length = 3;
    assert_string_equal(one(m, "abcd", &o), "efg");
    stops[0] = "";
    char *text;
    size_t len;
    FAILS(RC_EINVAL, "stop", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    rc_lm_free(m);
}

static void streaming(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", abc, 200);
    rc_lm_generate_options o = rc_lm_generate_options_default();
    heard h = {.whole = true};
    char *texts[3];
    size_t lens[3];
    o.on_text = hear;
    o.ctx = &h;
    o.samples = 3;
    o.length = 100;
    OK(rc_lm_generate(m, "ab", 2, &o, texts, lens, &E));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(h.len[i], lens[i]);
        assert_memory_equal(h.text[i], texts[i], lens[i]);
        assert_int_equal(lens[i], 100);
    }
    assert_int_equal(h.pieces, 300);
    free_texts(texts, lens, 3);
    h = (heard){.whole = true, .stop_after = 5};
    o.samples = 1;
    OK(rc_lm_generate(m, "ab", 2, &o, NULL, NULL, &E)); /* streaming alone */
    assert_int_equal(h.len[0], 5);
    h = (heard){.whole = true, .stop_after = 5};
    assert_int_equal(strlen(one(m, "ab", &o)), 5);
    rc_lm_free(m);
}

/* A byte model gives out whole characters, and drops one that the length cuts. */
static void whole_characters(void **unused) {
    (void)unused;
    rc_lm *m =
        trained_on("byte", "\xE2\x82\xAC\xC3\xA9x\xE2\x82\xAC\xC3\xA9x\xE2\x82\xAC\xC3\xA9x\xE2\x82\xAC\xC3\xA9x", 250);
    heard h = {.whole = true};
    rc_lm_generate_options o = greedy(13);
    o.on_text = hear;
    o.ctx = &h;
    assert_string_equal(one(m, "x", &o), "\xE2\x82\xAC\xC3\xA9x\xE2\x82\xAC\xC3\xA9x");
    assert_true(h.whole);
    assert_int_equal(h.pieces, 6);
    rc_lm_free(m);
}

static void words_have_spaces(void **unused) {
    (void)unused;
    rc_lm *m =
        trained_on("word", "one two three\nfour five\none two three\nfour five\none two three\nfour five\n", 200);
    rc_lm_generate_options o = greedy(7);
    assert_string_equal(one(m, "one two", &o), " three\nfour five\none two");
    assert_string_equal(one(m, "one two ", &o), "three\nfour five\none two");
    assert_string_equal(one(m, "one two three\n", &o), "four five\none two three\n");
    rc_lm_free(m);
}

static void repetition_penalty(void **unused) {
    (void)unused;
    rc_lm_options lo = small_options("lstm");
    rc_lm *m = model_of("char", abc, &lo);
    rc_param *bias = rc_params_find(rc_lm_params(m), "head.bias");
    memset(rc_params_values(rc_lm_params(m)), 0, rc_params_block_len(rc_lm_params(m)) * sizeof(rc_real));
    for (size_t v = 0; v < bias->len; v++) bias->w[v] = (rc_real)(1 + 0.01 * (double)v);
    rc_params_changed(rc_lm_params(m));
    rc_lm_generate_options o = greedy(9);
    assert_string_equal(one(m, "", &o), "hhhhhhhhh");
    o.sampler.repetition_penalty = 2;
    o.sampler.repetition_window = 3;
    assert_string_equal(one(m, "", &o), "hgfehgfeh"); /* the three before it are out of favour, the prompt's too */
    assert_string_equal(one(m, "gh", &o), "fegh"
                                          "fegh"
                                          "f");
    rc_lm_free(m);
}

static void wrong_input(void **unused) {
    (void)unused;
    rc_lm *m = trained_on("char", abc, 0);
    rc_lm_generate_options o = rc_lm_generate_options_default();
    char *text = NULL;
    size_t len = 0;
    o.samples = 0;
    FAILS(RC_EINVAL, "samples", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.samples = 1;
    o.sampler.temperature = -1;
    FAILS(RC_EINVAL, "temperature", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.sampler.temperature = NAN;
    FAILS(RC_EINVAL, "temperature", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.sampler.temperature = 1;
    o.sampler.top_p = 0;
    FAILS(RC_EINVAL, "top_p", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.sampler.top_p = 1;
    o.sampler.min_p = 2;
    FAILS(RC_EINVAL, "min_p", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.sampler.min_p = 0;
    o.sampler.repetition_penalty = 0;
    FAILS(RC_EINVAL, "repetition_penalty", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    o.sampler.repetition_penalty = 1;
    FAILS(RC_EINVAL, "on_text", rc_lm_generate(m, "a", 1, &o, NULL, NULL, &E));
    FAILS(RC_EDATA, "", rc_lm_generate(m, "a\xFF", 2, &o, &text, &len, &E));
    o.samples = SIZE_MAX / 4;
    assert_int_not_equal(rc_lm_generate(m, "a", 1, &o, &text, &len, NULL), RC_OK);
    o.samples = 1;
    rc_params_find(rc_lm_params(m), "head.bias")->w[2] = NAN;
    rc_params_changed(rc_lm_params(m));
    FAILS(RC_EDIVERGED, "finite", rc_lm_generate(m, "a", 1, &o, &text, &len, &E));
    assert_null(text);
    rc_lm_free(m);
}

/* Allocation n fails, for every n until all succeed. The first time the model makes packed copies, which it keeps. */
static void generate_without_memory(rc_lm *m, bool keeps) {
    rc_lm_generate_options o = rc_lm_generate_options_default();
    o.length = 600; /* the text grows past its first block */
    o.samples = 2;
    o.sampler.repetition_penalty = 1.1;
    for (long n = 0; n < 500; n++) {
        char *texts[2] = {NULL, NULL};
        size_t lens[2] = {0, 0}, before = rc_memory_used();
        failing f = {.left = n};
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc_lm_generate(m, "abc", 3, &o, texts, lens, NULL);
        if (s == RC_OK) free_texts(texts, lens, 2);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) {
            assert_true(n > 8);
            return;
        }
        assert_int_equal(s, RC_ENOMEM);
        assert_null(texts[0]);
        assert_null(texts[1]);
        if (!keeps) assert_int_equal(rc_memory_used(), before);
    }
    fail_msg("rc_lm_generate never succeeds");
}

static void memory_runs_out(void **unused) {
    (void)unused;
    size_t before = rc_memory_used();
    rc_lm *m = trained_on("char", abc, 3);
    for (int p = RC_FP32; p <= RC_INT8; p++) {
        assert_int_equal(rc_params_set_precision(rc_lm_params(m), (rc_precision)p, NULL), RC_OK);
        generate_without_memory(m, true);
        generate_without_memory(m, false);
    }
    rc_lm_free(m);
    assert_int_equal(rc_memory_used(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(continues_a_prompt),
        cmocka_unit_test(seeds),
        cmocka_unit_test(samples_side_by_side),
        cmocka_unit_test(stop_strings),
        cmocka_unit_test(streaming),
        cmocka_unit_test(whole_characters),
        cmocka_unit_test(words_have_spaces),
        cmocka_unit_test(repetition_penalty),
        cmocka_unit_test(wrong_input),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
