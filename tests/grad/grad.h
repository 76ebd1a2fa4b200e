/* grad.h - what the tests of gradients share. */
#ifndef TEST_GRAD_H
#define TEST_GRAD_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "autograd/gradcheck.h"
#include "autograd/tape_internal.h"

/* Fails the test with the checker's message when the gradient is wrong. */
static inline void check_gradient(const rc__gradcheck *c) {
    rc_error e = {0};
    if (rc__gradcheck_run(c, &e) != RC_OK) fail_msg("%s", e.text);
}

/* The op must refuse with this message. */
static inline void check_refused(rc_tape *t, const rc_var *v, const char *text) {
    rc_error e = {0};
    assert_non_null(v);
    assert_int_equal(v->len, 0);
    assert_int_not_equal(rc_tape_status(t, &e), RC_OK);
    assert_string_equal(e.text, text);
}

/* A tape begun for training. */
static inline rc_tape *training_tape(uint64_t seed) {
    rc_tape *t = NULL;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .seed = seed});
    return t;
}

/* A variable without gradient of the given shape, all elements 1. */
static inline rc_var *ones(rc_tape *t, int ndim, const size_t *dim) {
    rc_var *v = rc_zeros(t, ndim, dim);
    for (size_t i = 0; i < v->len; i++) v->x[i] = 1;
    return v;
}
#define DIMS(...) \
    (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (size_t[]) { __VA_ARGS__ }
#endif
