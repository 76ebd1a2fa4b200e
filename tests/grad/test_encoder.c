/* Gradients of encoders (rnn, cnn, bow, every pooling) and of words with characters, in double: T = 5, odd sizes, lengths
 * with a 0 - and what must not matter: more padding, and what stands in it. */
#include "grad.h"
#include "nn/encoder.h"
#include "nn/words.h"
#include <math.h>
#include <stdlib.h>

enum { T = 5, B = 4, I = 3, H = 3 };
static const int32_t lengths[B] = {3, 0, 5, 1};

static const char *const kinds[] = {"lstm", "gru", "lstm, both directions", "cnn", "cnn of 2", "bow"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static rc__encoder_options options_of(int kind, unsigned pool) {
    rc__encoder_options o = {.rnn = rc_rnn_options_default(), .input_size = I, .pool = pool, .filters = 2};
    o.rnn.hidden_size = H;
    o.rnn.num_layers = kind == 2 ? 2 : 1;
    o.rnn.cell = kind == 1 ? "gru" : "lstm";
    o.rnn.bidirectional = kind == 2;
    o.kind = kind < 3 ? RC__ENCODER_RNN : kind < 5 ? RC__ENCODER_CNN : RC__ENCODER_BOW;
    o.n_kernels = kind == 4 ? 2 : 1;
    o.kernels[0] = kind == 4 ? 2 : 3;
    o.kernels[1] = 4;
    return o;
}

typedef struct subject {
    rc_params *ps;
    rc__encoder *x;
    rc__words *words;
    const int32_t *lengths;
    const rc__words_batch *batch;
    bool steps; /* of an encoder: its steps beside the pooled vector */
} subject;

static void build_params(rc_params *ps) {
    if (rc_params_count(ps) == 0) return; /* bow */
    assert_int_equal(rc_params_build(ps, 5, NULL), RC_OK);
    rc_rng r = rc_rng_make(8, 0);
    for (size_t i = 0; i < rc_params_count(ps); i++) { /* biases too, so that relu and max are away from their corners */
        rc_param *p = rc_params_at(ps, i);
        for (size_t k = 0; k < p->len; k++) p->w[k] = 1.3 * p->w[k] + 0.3 * rc_rng_normal(&r);
    }
    rc_params_changed(ps);
}

static subject make_encoder(const rc__encoder_options *o) {
    subject s = {0};
    rc_error e = {0};
    assert_int_equal(rc_params_new(&s.ps, NULL), RC_OK);
    if (rc__encoder_new(&s.x, s.ps, "encoder.", o, &e) != RC_OK) fail_msg("%s", e.text);
    build_params(s.ps);
    return s;
}

static void drop(subject *s) {
    rc__encoder_free(s->x);
    rc__words_free(s->words);
    rc_params_free(s->ps);
}

static rc_var *flat(rc_tape *t, rc_var *v) { return rc_reshape(t, v, 1, (size_t[]){(size_t)-1}); }

static rc_var *run_encoder(rc_tape *t, rc_var *const *in, void *ctx) {
    const subject *s = ctx;
    rc_var *pooled = NULL, *steps = rc__encoder_forward(t, s->x, in[0], s->lengths, &pooled);
    if (!pooled) return steps;
    if (!s->steps) return pooled;
    rc_var *both[2] = {flat(t, steps), flat(t, pooled)};
    return rc_concat(t, 2, both, 0);
}

static void test_encoders(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (unsigned pool = 0; pool <= RC__POOL_ALL; pool++)
            for (int cut = 0; cut < 2; cut++) {
                if (kind >= 3 && pool & RC__POOL_LAST) continue;
                rc__encoder_options o = options_of(kind, pool);
                subject s = make_encoder(&o);
                rc_error e = {0};
                s.lengths = cut ? lengths : NULL;
                s.steps = pool % 2;
                rc__gradcheck c = {.build = run_encoder,
                                   .ctx = &s,
                                   .n = 1,
                                   .in = {{.name = "x", .ndim = 3, .dim = {T, B, I}, .fill = RC__FILL_APART}},
                                   .params = rc_params_count(s.ps) ? s.ps : NULL,
                                   .params_zero_ok = true,
                                   .seed = 4};
                if (!(kind == 5 && pool == 0) && rc__gradcheck_run(&c, &e) != RC_OK)
                    fail_msg("%s, pool %u%s: %s", kinds[kind], pool, cut ? ", lengths" : "", e.text);
                size_t pools = 0;
                for (unsigned bit = 1; bit <= RC__POOL_ALL; bit <<= 1) pools += (pool & bit) != 0;
                size_t width = kind == 2 ? 2 * H : kind < 2 ? H : kind == 5 ? I : kind == 4 ? 4 : 2;
                assert_int_equal(rc__encoder_width(s.x), width);
                assert_int_equal(rc__encoder_pooled(s.x), width * pools);
                drop(&s);
            }
}

/* The same rows with `more` steps of NaN behind each. */
static void pooled_of(const subject *s, const double *x, size_t steps, double *out) {
    rc_tape *t = NULL;
    double *padded = calloc(steps * B * I, sizeof *padded);
    for (size_t i = 0; i < steps * B * I; i++)
        padded[i] = (int32_t)(i / I / B) < lengths[i / I % B] ? x[i] : NAN;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *pooled = NULL;
    rc__encoder_forward(t, s->x, rc_input(t, 3, (size_t[]){steps, B, I}, padded), lengths, &pooled);
    assert_int_equal(rc_tape_status(t, NULL), RC_OK);
    memcpy(out, pooled->x, pooled->len * sizeof *out);
    rc_tape_free(t);
    free(padded);
}

static void test_padding(void **state) {
    (void)state;
    static double x[(T + 3) * B * I], few[B * 64], many[B * 64];
    rc_rng r = rc_rng_make(2, 0);
    for (size_t i = 0; i < (T + 3) * B * I; i++) x[i] = rc_rng_normal(&r);
    for (int kind = 0; kind < KINDS; kind++) {
        rc__encoder_options o = options_of(kind, kind < 3 ? RC__POOL_ALL : RC__POOL_ALL & ~(unsigned)RC__POOL_LAST);
        subject s = make_encoder(&o);
        size_t width = rc__encoder_pooled(s.x);
        pooled_of(&s, x, T, few);
        pooled_of(&s, x, T + 3, many);
        for (size_t i = 0; i < B * width; i++) {
            if (few[i] != many[i]) fail_msg("%s: padding changes pooled[%zu]: %.17g, %.17g", kinds[kind], i, few[i], many[i]);
            if (i / width == 1 && few[i] != 0) fail_msg("%s: a row of length 0 gives %g", kinds[kind], few[i]);
        }
        double sum = 0;
        for (size_t i = 0; i < B * width; i++) sum += fabs(few[i]);
        assert_true(sum > 0);
        drop(&s);
    }
}

/* "last" of both directions: the forward layer at the last valid step, the reverse one at the first. */
static void test_last(void **state) {
    (void)state;
    rc__encoder_options o = options_of(2, RC__POOL_LAST);
    subject s = make_encoder(&o);
    static double x[T * B * I];
    rc_rng r = rc_rng_make(2, 0);
    for (size_t i = 0; i < T * B * I; i++) x[i] = rc_rng_normal(&r);
    rc_tape *t = training_tape(1);
    rc_var *pooled, *steps = rc__encoder_forward(t, s.x, rc_input(t, 3, (size_t[]){T, B, I}, x), lengths, &pooled);
    for (size_t b = 0; b < B; b++)
        for (size_t k = 0; k < 2 * H && lengths[b]; k++) {
            size_t at = k < H ? (size_t)lengths[b] - 1 : 0;
            assert_true(pooled->x[b * 2 * H + k] == steps->x[(at * B + b) * 2 * H + k]);
        }
    rc_tape_free(t);
    drop(&s);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

enum { FORMS = 4, LONGEST = 4 };
static const int32_t ids[T * B] = {1, 0, 5, 2, 1, 0, 4, 0, 6, 0, 2, 0, 0, 0, 1, 0, 0, 0, 5, 0};
static const int32_t form[T * B] = {1, 0, 0, 2, 1, 0, 3, 0, 2, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0};
static const int32_t chars[LONGEST * FORMS] = {1, 2, 3, 0, 2, 2, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0};
static const int32_t form_lengths[FORMS] = {4, 2, 1, 0};
static const rc__words_batch one_batch = {.seq_len = T, .batch = B, .ids = ids, .form = form, .n_forms = FORMS,
                                          .longest_form = LONGEST, .chars = chars, .form_lengths = form_lengths};

static rc_var *run_words(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)in;
    const subject *s = ctx;
    return rc__words_forward(t, s->words, s->batch);
}

static void test_words(void **state) {
    (void)state;
    static const char *const readers[] = {"none", "cnn", "lstm", "gru"};
    for (int k = 0; k < 8; k++) {
        const char *reader = readers[k / 2];
        rc__words_options o = {.vocab_size = k % 2 ? 7 : 0,
                               .embedding_size = 3,
                               .chars = reader,
                               .n_chars = 5,
                               .char_embedding = 2,
                               .char_hidden = 3};
        subject s = {.batch = &one_batch};
        rc_error e = {0};
        assert_int_equal(rc_params_new(&s.ps, NULL), RC_OK);
        rc_status status = rc__words_new(&s.words, s.ps, "words.", &o, &e);
        if (k == 0) { /* neither a table nor characters */
            assert_int_equal(status, RC_EINVAL);
            assert_null(s.words);
            drop(&s);
            continue;
        }
        if (status != RC_OK) fail_msg("%s: %s", reader, e.text);
        build_params(s.ps);
        size_t of_chars = k < 2 ? 0 : k < 4 ? 3 : 6;
        assert_int_equal(rc__words_width(s.words), (k % 2 ? 3 : 0) + of_chars);
        rc__gradcheck c = {.build = run_words, .ctx = &s, .params = s.ps, .seed = 4};
        if (rc__gradcheck_run(&c, &e) != RC_OK) fail_msg("%s, %zu entries: %s", reader, o.vocab_size, e.text);
        drop(&s);
    }
}

/* A word is read the same wherever it stands: by its id and its characters alone. */
static void test_same_word(void **state) {
    (void)state;
    rc__words_options o = {.vocab_size = 7, .embedding_size = 3, .chars = "lstm", .n_chars = 5, .char_embedding = 2, .char_hidden = 3};
    subject s = {.batch = &one_batch};
    assert_int_equal(rc_params_new(&s.ps, NULL), RC_OK);
    assert_int_equal(rc__words_new(&s.words, s.ps, "words.", &o, NULL), RC_OK);
    build_params(s.ps);
    rc_tape *t = training_tape(1);
    rc_var *y = rc__words_forward(t, s.words, &one_batch);
    size_t W = rc__words_width(s.words);
    for (size_t a = 0; a < T * B; a++)
        for (size_t b = 0; b < T * B; b++) {
            bool same = memcmp(y->x + a * W, y->x + b * W, W * sizeof *y->x) == 0;
            assert_true(same == (ids[a] == ids[b] && form[a] == form[b]));
        }
    rc_tape_free(t);
    drop(&s);
}

static void test_refusals(void **state) {
    (void)state;
    rc_error e = {0};
    rc_params *ps = NULL;
    rc__encoder *x = NULL;
    static const struct {
        int kind;
        unsigned pool;
        size_t kernel, filters, input;
        const char *word;
    } bad[] = {{3, RC__POOL_LAST, 3, 2, I, "last"},
               {5, RC__POOL_LAST, 3, 2, I, "last"},
               {3, RC__POOL_MAX, 0, 2, I, "width 0"},
               {3, RC__POOL_MAX, 3, 0, I, "filter"},
               {0, RC__POOL_MAX, 3, 2, 0, "input_size"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc__encoder_options o = options_of(bad[i].kind, bad[i].pool);
        o.kernels[0] = bad[i].kernel;
        o.filters = bad[i].filters;
        o.input_size = bad[i].input;
        assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
        assert_int_equal(rc__encoder_new(&x, ps, "", &o, &e), RC_EINVAL);
        assert_null(x);
        if (!strstr(e.text, bad[i].word)) fail_msg("\"%s\" does not mention %s", e.text, bad[i].word);
        rc_params_free(ps);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_encoders), cmocka_unit_test(test_padding),
                                       cmocka_unit_test(test_last),     cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_same_word), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
