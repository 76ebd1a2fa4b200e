/* gradcheck.h - checks the gradient of an op against signed central differences. Built in double only (RC_DOUBLE).
 *
 *   static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) { return rc_linear(t, in[0], in[1], in[2]); }
 *   ...
 *   rc__gradcheck c = {.build = build, .n = 3, .in = {
 *       {.name = "x", .ndim = 3, .dim = {3, 2, 5}}, {.name = "w", .ndim = 2, .dim = {4, 5}}, ...}};
 *   assert_int_equal(rc__gradcheck_run(&c, &e), RC_OK);     // e.text names input, index, expected and found
 *
 * What `build` returns need not be a scalar: it is reduced with fixed random weights. The check
 *   - compares every element of every input's gradient with (L(x + h) - L(x - h)) / 2h, sign included;
 *   - refuses NaN and infinity, in values and in gradients;
 *   - refuses an input whose gradient is 0 everywhere (it would prove nothing) unless zero_ok;
 *   - repeats the backward pass with gradients already present in the inputs, so that an op that sets where it should
 *     add (+=) is found;
 *   - sees to it that the op did not write to its inputs.
 * Masks are the same in every evaluation: the tape is begun with one seed and step. `build` is called many times and
 * must do the same each time (reset what it changes outside, such as running statistics).
 */
#ifndef RC_GRADCHECK_H
#define RC_GRADCHECK_H
#include "recur/tape.h"

#define RC__GRADCHECK_INPUTS 16

typedef enum rc__fill {
    RC__FILL_NORMAL,   /* N(0, 1)                                                                  */
    RC__FILL_POSITIVE, /* U(0.5, 2)                                                                */
    RC__FILL_APART,    /* distinct values at least 0.05 apart and from 0, shuffled: for max, relu, abs */
    RC__FILL_DATA      /* from x                                                                   */
} rc__fill;

typedef struct rc__gradcheck_input {
    const char *name;
    int ndim;
    size_t dim[RC_MAX_DIMS];
    rc__fill fill;
    const rc_real *x; /* RC__FILL_DATA */
    bool no_grad;     /* an rc_input: not checked */
    bool zero_ok;     /* a gradient of 0 everywhere is no failure */
} rc__gradcheck_input;

typedef struct rc__gradcheck {
    rc_var *(*build)(rc_tape *t, rc_var *const *in, void *ctx);
    void *ctx;
    int n;
    rc__gradcheck_input in[RC__GRADCHECK_INPUTS];
    rc_params *params;   /* built; every parameter that is not frozen is checked too (NULL: none) */
    bool params_zero_ok; /* for all of them */
    bool training;       /* mode of the tape */
    uint64_t seed, step; /* of masks, of the filled inputs and of the weights of the reduction */
    double h;            /* step of the difference; 0 means 1e-5 */
    double tolerance;    /* of |found - expected| / max(|found|, |expected|, floor); 0 means 1e-6 */
    double floor;        /* 0 means 1e-2 */
} rc__gradcheck;

/* RC_OK; RC_ENO: a wrong gradient; else what the op or the tape reported. Values of parameters come back unchanged,
 * their gradients cleared. */
rc_status rc__gradcheck_run(const rc__gradcheck *c, rc_error *e);
#endif
