/* The checker itself: it must accept a right gradient and refuse every wrong one. The op under test is
 * y = x^2 w + x, dx = (2 x w + 1) dy, dw = x^2 dy. */
#include <math.h>
#include <stdio.h>
#include "grad.h"

typedef enum fault { RIGHT, SIGN, TERM, FACTOR, ZERO, NOT_A_NUMBER, SETS, WRITES, ONE_ELEMENT, SWAPPED } fault;

typedef struct op_node {
    rc__node n;
    rc_var *x, *w;
    fault f;
} op_node;

static void op_backward(rc_tape *t, rc__node *self) {
    op_node *o = (op_node *)self;
    rc_real *dx = rc__grad(t, o->x), *dw = rc__grad(t, o->w);
    const rc_real *dy = self->out.dx;
    for (size_t i = 0; i < self->out.len; i++) {
        double x = o->x->x[i], w = o->w->x[i], gx = 2 * x * w * dy[i] + dy[i], gw = x * x * dy[i];
        if (o->f == SIGN) gx = -gx;
        if (o->f == TERM) gx -= dy[i];
        if (o->f == FACTOR) gx *= 1.01;
        if (o->f == ZERO) gx = 0;
        if (o->f == NOT_A_NUMBER && i == 2) gx = NAN;
        if (o->f == ONE_ELEMENT && i == 5) gx += 1e-4;
        if (o->f == SWAPPED) {
            double s = gx;
            gx = gw;
            gw = s;
        }
        if (dx) dx[i] = o->f == SETS ? gx : dx[i] + gx;
        if (dw) dw[i] += gw;
    }
    if (o->f == WRITES) o->x->x[0] += 1;
}

static rc_var *op(rc_tape *t, rc_var *x, rc_var *w, fault f) {
    if (!rc__alive(t, "op", 2, x, w)) return rc__dead(t);
    op_node *o = rc__node_new(t, sizeof *o, "op", x->ndim, x->dim, x->needs_grad || w->needs_grad, op_backward);
    if (!o) return rc__dead(t);
    o->x = x;
    o->w = w;
    o->f = f;
    for (size_t i = 0; i < x->len; i++) o->n.out.x[i] = x->x[i] * x->x[i] * w->x[i] + x->x[i];
    return &o->n.out;
}

static rc_var *build(rc_tape *t, rc_var *const *in, void *ctx) { return op(t, in[0], in[1], *(fault *)ctx); }

static rc_status run(fault f, rc_error *e) {
    rc__gradcheck c = {.build = build,
                       .ctx = &f,
                       .seed = 7,
                       .n = 2,
                       .in = {{.name = "x", .ndim = 2, .dim = {3, 5}}, {.name = "w", .ndim = 2, .dim = {3, 5}}}};
    return rc__gradcheck_run(&c, e);
}

static void test_accepts_the_right_gradient(void **state) {
    (void)state;
    rc_error e = {0};
    if (run(RIGHT, &e) != RC_OK) fail_msg("%s", e.text);
}

static void refuse(fault f, const char *part) {
    rc_error e = {0};
    assert_int_equal(run(f, &e), RC_ENO);
    if (!strstr(e.text, part)) fail_msg("\"%s\" does not say \"%s\"", e.text, part);
}

static void test_refuses_wrong_gradients(void **state) {
    (void)state;
    refuse(SIGN, "input x, element 0 of shape (3, 5): expected ");
    refuse(TERM, "input x, element 0");
    refuse(FACTOR, "(relative error 0.0099)");
    refuse(ZERO, "found 0 ");
    refuse(ONE_ELEMENT, "input x, element 5");
    refuse(SWAPPED, "input x");
}

static void test_refuses_nan(void **state) {
    (void)state;
    refuse(NOT_A_NUMBER, "element 2 of shape (3, 5)");
    refuse(NOT_A_NUMBER, "nan");
}

static void test_refuses_setting_where_it_should_add(void **state) {
    (void)state;
    refuse(SETS, "already present");
}

static void test_refuses_writing_to_an_input(void **state) {
    (void)state;
    refuse(WRITES, "input x was written to");
}

static rc_var *ignores_w(rc_tape *t, rc_var *const *in, void *ctx) { return op(t, in[0], in[0], *(fault *)ctx); }

static void test_refuses_a_gradient_of_zero(void **state) {
    (void)state;
    fault f = ZERO;
    rc_real zero[4] = {0};
    /* dw is rightly 0 where x is 0, so a backward that forgot it would pass: the checker asks for better inputs */
    rc__gradcheck c = {.build = build,
                       .ctx = &f,
                       .n = 2,
                       .in = {{.name = "x", .ndim = 1, .dim = {4}, .fill = RC__FILL_DATA, .x = zero, .no_grad = true},
                              {.name = "w", .ndim = 1, .dim = {4}}}};
    rc_error e = {0};
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_ENO);
    assert_string_equal(e.text, "gradcheck: input w: every gradient is 0, which proves nothing");
    c.in[1].zero_ok = true;
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_OK);
    f = RIGHT;
    rc__gradcheck twice = {.build = ignores_w, .ctx = &f, .n = 1, .in = {{.name = "x", .ndim = 1, .dim = {4}}}};
    check_gradient(&twice); /* one variable as both inputs: the two parts add up */
}

static rc_var *param_build(rc_tape *t, rc_var *const *in, void *ctx) {
    rc_param **p = ctx;
    return op(t, op(t, in[0], rc_param_var(t, p[0]), RIGHT), rc_param_var(t, p[1]), p[2] ? SIGN : RIGHT);
}

static void test_checks_parameters(void **state) {
    (void)state;
    rc_params *ps = NULL;
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    size_t dim[1] = {6};
    rc_param *p[3] = {0};
    p[0] = rc_params_add(ps, "first", 1, dim, (rc_init){.kind = RC_INIT_NORMAL, .value = 1}, NULL);
    p[1] = rc_params_add(ps, "second", 1, dim, (rc_init){.kind = RC_INIT_NORMAL, .value = 1}, NULL);
    assert_int_equal(rc_params_build(ps, 3, NULL), RC_OK);
    rc__gradcheck c = {
        .build = param_build, .ctx = p, .params = ps, .n = 1, .in = {{.name = "x", .ndim = 1, .dim = {6}}}};
    check_gradient(&c);
    for (size_t i = 0; i < rc_params_block_len(ps); i++) assert_true(rc_params_grads(ps)[i] == 0);
    p[2] = p[0];
    rc_error e = {0};
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_ENO);
    p[1]->frozen = true;
    c.in[0].no_grad = true;
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_ENO);
    assert_non_null(strstr(e.text, "parameter first, element"));
    rc_params_free(ps);
}

static rc_var *no_build(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc__op_fail(t, RC_EDATA, "op", "no such thing as %s", in[0]->len == 2 ? "two" : "many");
}

static void test_reports_the_ops_own_error(void **state) {
    (void)state;
    rc__gradcheck c = {.build = no_build, .n = 1, .in = {{.name = "x", .ndim = 1, .dim = {2}}}};
    rc_error e = {0};
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_EDATA);
    assert_string_equal(e.text, "op: no such thing as two");
    c.n = 0;
    assert_int_equal(rc__gradcheck_run(&c, &e), RC_EINVAL);
}

/* Gives one element less at one of the evaluations alone. */
typedef struct shrinks {
    size_t times, at;
} shrinks;

static rc_var *shrinking(rc_tape *t, rc_var *const *in, void *ctx) {
    shrinks *s = ctx;
    return rc_slice(t, in[0], 0, 0, in[0]->len - (s->times++ == s->at));
}

static void test_refuses_a_shape_that_changes(void **state) {
    (void)state;
    for (size_t at = 1; at < 8; at++) { /* backward passes and differences alike */
        shrinks s = {.at = at};
        rc__gradcheck c = {.build = shrinking, .ctx = &s, .n = 1, .in = {{.name = "x", .ndim = 1, .dim = {3}}}};
        rc_error e = {0};
        assert_int_equal(rc__gradcheck_run(&c, &e), RC_EINVAL);
        assert_string_equal(e.text, "gradcheck: the shape of the output changed");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_the_right_gradient),
        cmocka_unit_test(test_refuses_wrong_gradients),
        cmocka_unit_test(test_refuses_nan),
        cmocka_unit_test(test_refuses_setting_where_it_should_add),
        cmocka_unit_test(test_refuses_writing_to_an_input),
        cmocka_unit_test(test_refuses_a_gradient_of_zero),
        cmocka_unit_test(test_checks_parameters),
        cmocka_unit_test(test_reports_the_ops_own_error),
        cmocka_unit_test(test_refuses_a_shape_that_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
