/* rnn_helper.h - recurrent layers for tests: made with their parameters and a tape, fed with random numbers. */
#ifndef RNN_HELPER_H
#define RNN_HELPER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* after what it needs */

#include "recur/rnn.h"

typedef struct net {
    rc_params *ps;
    rc_rnn *rnn;
    rc_tape *tape;
    size_t O; /* output size */
} net;

/* The cells; "transformer", which is none, comes last in the list. */
static inline size_t recurrent_cells(void) {
    size_t n = 0;
    while (n < rc_cell_count() && rc_cell_at(n)->recurrent) n++;
    return n;
}

static inline net make(rc_rnn_options o, rc_precision p) {
    net n = {0};
    rc_error e = {0};
    assert_int_equal(rc_params_new(&n.ps, &e), RC_OK);
    if (rc_rnn_new(&n.rnn, n.ps, "", &o, &e)) fail_msg("%s", e.text);
    assert_int_equal(rc_params_build(n.ps, 11, &e), RC_OK);
    assert_int_equal(rc_params_set_precision(n.ps, p, &e), RC_OK);
    assert_int_equal(rc_tape_new(&n.tape, &e), RC_OK);
    n.O = rc_rnn_output_size(n.rnn);
    return n;
}

static inline void drop(net *n) {
    rc_tape_free(n->tape);
    rc_rnn_free(n->rnn);
    rc_params_free(n->ps);
}

static inline rc_rnn_options layers_of(const char *cell, int layers, size_t input, size_t hidden) {
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = cell;
    o.input_size = input;
    o.hidden_size = hidden;
    o.num_layers = layers;
    return o;
}

static inline float *numbers(size_t n, uint64_t seed) {
    float *x = malloc((n + 1) * sizeof *x);
    rc_rng r = rc_rng_make(seed, 0);
    for (size_t i = 0; i < n; i++) x[i] = (float)rc_rng_normal(&r);
    return x;
}
#endif
