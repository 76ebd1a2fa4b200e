/* lm_helper.h - small language models for tests: made, trained for a moment, compared. */
#ifndef LM_HELPER_H
#define LM_HELPER_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* after what it needs */

#include "recur/recur.h"

#include "failing.h"
#include "temporary.h"

#define OK(call)                                                                              \
    do {                                                                                      \
        rc_status status_ = (call);                                                           \
        if (status_ != RC_OK) fail_msg("%s: %s: %s", #call, rc_status_name(status_), E.text); \
    } while (0)
static rc_error E; /* where the calls of a test leave their message */

#define FAILS(status, word, call)                                                                                      \
    do {                                                                                                               \
        E.text[0] = 0;                                                                                                 \
        rc_status status_ = (call);                                                                                    \
        if (status_ != (status)) fail_msg("%s: %s, expected %s: %s", #call, rc_status_name(status_), #status, E.text); \
        if (!strstr(E.text, (word))) fail_msg("%s: \"%s\" does not mention \"%s\"", #call, E.text, (word));            \
    } while (0)

static inline rc_vocab *vocab_of(const char *spec, const char *text) {
    rc_vocab *v = NULL;
    OK(rc_vocab_train(&v, spec, text, strlen(text), &E));
    return v;
}

static inline rc_lm_options small_options(const char *cell) {
    rc_lm_options o = rc_lm_options_default();
    o.rnn.cell = cell;
    o.rnn.hidden_size = 12;
    o.rnn.num_layers = 2;
    o.embedding_size = 9;
    return o;
}

static inline rc_lm *model_of(const char *spec, const char *text, const rc_lm_options *o) {
    rc_lm *m = NULL;
    OK(rc_lm_new(&m, vocab_of(spec, text), o, 7, &E));
    return m;
}

/* A 1 x 24 LSTM after `steps` Adam steps on text, as 4 rows of 16 tokens. */
static inline rc_lm *trained_on(const char *spec, const char *text, int steps) {
    rc_lm_options o = rc_lm_options_default();
    o.rnn.hidden_size = 24;
    rc_lm *m = model_of(spec, text, &o);
    int32_t *ids, in[64], out[64];
    size_t n;
    OK(rc_vocab_encode(rc_lm_vocab(m), text, strlen(text), &ids, &n, NULL, &E));
    assert_true(n >= 2);
    rc_tape *t;
    rc_optim *optim;
    rc_optim_options oo = rc_optim_options_default();
    OK(rc_tape_new(&t, &E));
    OK(rc_optim_new(&optim, rc_lm_params(m), &oo, &E));
    for (int s = 0; s < steps; s++) {
        for (size_t b = 0; b < 4; b++)
            for (size_t i = 0; i < 16; i++) {
                size_t at = (b * 37 + (size_t)s * 5 + i) % (n - 1);
                in[i * 4 + b] = ids[at];
                out[i * 4 + b] = ids[at + 1];
            }
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .step = (uint64_t)s});
        rc_var *loss = rc_lm_loss(t, m, in, out, 16, 4, NULL, NULL, NULL);
        OK(rc_backward(t, loss, 1, &E));
        OK(rc_optim_step(optim, 0.02, NULL, &E));
    }
    rc_optim_free(optim);
    rc_tape_free(t);
    rc_ids_free(ids, n);
    return m;
}

/* Sum of -ln p over targets of (T, B) from the initial state or `state`. */
static inline double nll_of(const rc_lm *m, const int32_t *ids, const int32_t *targets, size_t T, size_t B,
                            rc_state *state, size_t *count) {
    rc_tape *t;
    double nll = -1;
    size_t n = 0;
    OK(rc_tape_new(&t, &E));
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_lm_loss(t, m, ids, targets, T, B, state, &nll, &n);
    OK(rc_tape_status(t, &E));
    rc_tape_free(t);
    if (count) *count = n;
    return nll;
}

/* -ln softmax(logits)[target], in double. */
static inline double nll_of_logits(const rc_real *logits, size_t n, int32_t target) {
    double max = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) sum += exp(logits[i] - max);
    return log(sum) + max - logits[target];
}

static inline void assert_close(double a, double b, double relative) {
    if (!(fabs(a - b) <= relative * fmax(1, fmax(fabs(a), fabs(b))))) fail_msg("%.17g and %.17g differ", a, b);
}

static inline char *temp_path(const char *name) { /* static buffer; unique to the process */
    static char path[4][300];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%.200s/recur-%ld-%s", temporary_root(), (long)getpid(), name);
    return out;
}
#endif
