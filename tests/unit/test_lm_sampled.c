/* The sampled softmax: with everything drawn it is the full one; with less it has the same optimum, and only the rows of the
 * set get a gradient. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "recur/lm.h"

enum { V = 60, T = 4, B = 3 };

static rc_lm *model(bool tied, int32_t *ids) {
    char text[4 * V + 1] = "";
    rc_vocab *v;
    rc_lm *m;
    rc_error e = {0};
    for (int i = 0; i < V - 2; i++) snprintf(text + strlen(text), 5, "w%02d ", i); /* and <unk>, <eos> */
    if (rc_vocab_train(&v, "word", text, strlen(text), &e)) fail_msg("%s", e.text);
    assert_int_equal(rc_vocab_size(v), V);
    rc_lm_options o = rc_lm_options_default();
    o.rnn.hidden_size = o.embedding_size = 8;
    o.tied = tied;
    if (rc_lm_new(&m, v, &o, 3, &e)) fail_msg("%s", e.text);
    rc_rng rng = rc_rng_make(5, 0);
    for (int i = 0; i < 1000; i++) ids[i] = (int32_t)(rc_rng_uniform(&rng) * rc_rng_uniform(&rng) * V);
    return m;
}

static double loss(rc_tape *t, rc_lm *m, const int32_t *ids, uint64_t step, bool training) {
    rc_error e = {0};
    rc_params_zero_grad(rc_lm_params(m));
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = training, .seed = 1, .step = step});
    rc_var *l = rc_lm_loss(t, m, ids, ids + 1, T, B, NULL, NULL, NULL);
    if (rc_backward(t, l, 1, &e)) fail_msg("%s", e.text);
    return (double)l->x[0];
}

static void everything_drawn(void **state) {
    for (int tied = 0; tied < 2; tied++) {
        int32_t ids[1000];
        rc_lm *m = model(tied, ids);
        rc_tape *t;
        assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
        double full = loss(t, m, ids, 0, true);
        rc_param *w = rc_params_find(rc_lm_params(m), tied ? "embedding.weight" : "head.weight");
        double sum = 0;
        for (size_t i = 0; i < w->len; i++) sum += fabs((double)w->g[i]);
        assert_int_equal(rc_lm_sample_softmax(m, 200000, ids, 1000, NULL), RC_OK);
        double all = loss(t, m, ids, 0, true);
        if (!(fabs(all - full) < 1e-5)) fail_msg("full %.9g, all drawn %.9g", full, all);
        double sampled = 0;
        for (size_t i = 0; i < w->len; i++) sampled += fabs((double)w->g[i]);
        assert_true(fabs(sampled - sum) < 1e-4 * sum);
        assert_int_equal(rc_lm_sample_softmax(m, 0, NULL, 0, NULL), RC_OK);
        assert_true(loss(t, m, ids, 0, true) == full);
        rc_tape_free(t);
        rc_lm_free(m);
    }
    (void)state;
}

/* Where the model is right (all logits are the log of the unigram) the mean gradient must vanish: the correction makes the
 * sampled problem have the same optimum. Its loss is another number and is not compared. */
static void a_part_drawn(void **state) {
    enum { STEPS = 3000 };
    int32_t ids[1000], fresh[T * B];
    rc_lm *m = model(true, ids);
    rc_tape *t;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_param *w = rc_params_find(rc_lm_params(m), "embedding.weight"), *bias = rc_params_find(rc_lm_params(m), "head.bias");
    double count[V] = {0}, mean[V] = {0}, largest = 0, off = 0;
    for (int i = 0; i < 1000; i++) count[ids[i]]++;
    memset(w->w, 0, w->len * sizeof *w->w);
    for (int j = 0; j < V; j++) bias->w[j] = (rc_real)log((count[j] > 0 ? count[j] : 0.5) / 1000);
    rc_params_changed(rc_lm_params(m));
    assert_int_equal(rc_lm_sample_softmax(m, 20, ids, 1000, NULL), RC_OK);
    rc_rng rng = rc_rng_make(8, 1);
    size_t rows = 0;
    for (uint64_t step = 0; step < STEPS; step++) {
        rc_error e = {0};
        for (int i = 0; i < T * B; i++) fresh[i] = ids[rc_rng_below(&rng, 1000)];
        rc_params_zero_grad(rc_lm_params(m));
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .seed = 1, .step = step});
        if (rc_backward(t, rc_lm_loss(t, m, fresh, fresh, T, B, NULL, NULL, NULL), 1, &e)) fail_msg("%s", e.text);
        for (int j = 0; j < V; j++) mean[j] += (double)bias->g[j] / STEPS;
        rows += w->n_rows;
        assert_true(w->n_rows < V);
        for (size_t r = 0; r < V; r++)
            for (size_t c = 0; c < 8 && !w->row_used[r]; c++) assert_true(w->g[r * 8 + c] == 0);
    }
    assert_true(rows == 20 * STEPS); /* the inputs are targets here */
    for (int j = 0; j < V; j++) {
        largest = fmax(largest, count[j] / 1000);
        off = fmax(off, fabs(mean[j]));
    }
    /* noise: sqrt(p / (STEPS T B)), about 0.001; a logit that is off by 10 % would show p / 10 */
    if (off > 0.05 * largest) fail_msg("mean gradient %g, probabilities up to %g", off, largest);
    double plain = loss(t, m, ids, 0, false);
    rc_lm_sample_softmax(m, 0, NULL, 0, NULL);
    assert_true(loss(t, m, ids, 0, false) == plain); /* evaluation is always the whole softmax */
    rc_tape_free(t);
    rc_lm_free(m);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_drawn), cmocka_unit_test(a_part_drawn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
