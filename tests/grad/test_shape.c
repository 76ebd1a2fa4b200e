/* reshape, transpose, concat, slice, split: values, gradients, refusals. */
#include "grad.h"

static rc_var *reshape(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_reshape(t, in[0], 2, (size_t[]){5, (size_t)-1});
}

static rc_var *transpose(rc_tape *t, rc_var *const *in, void *ctx) { return rc_transpose(t, in[0], ctx); }

static rc_var *concat(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_concat(t, 3, (rc_var *[]){in[0], in[1], in[0]}, *(int *)ctx);
}

static rc_var *slice(rc_tape *t, rc_var *const *in, void *ctx) { return rc_slice(t, in[0], *(int *)ctx, 1, 2); }

/* pieces of different weight, one of them unused */
static rc_var *split(rc_tape *t, rc_var *const *in, void *ctx) {
    rc_var *piece[3];
    if (!rc_split(t, in[0], *(int *)ctx, 3, piece)) return rc__dead(t);
    return rc_add(t, rc_scale(t, piece[2], 3, 0), piece[0]);
}

static void test_gradients(void **state) {
    (void)state;
    rc__gradcheck c = {.build = reshape, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {3, 2, 5}}}};
    check_gradient(&c);
    c.build = transpose;
    int perms[][3] = {{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {2, 0, 1}, {2, 1, 0}, {1, 2, 0}};
    for (size_t i = 0; i < 6; i++) {
        c.ctx = perms[i];
        check_gradient(&c);
    }
    c = (rc__gradcheck){.build = slice, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {3, 4, 5}}}};
    for (int axis = -3; axis < 3; axis++) {
        c.ctx = &axis;
        check_gradient(&c);
    }
    c = (rc__gradcheck){.build = split, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {3, 6, 9}}}};
    for (int axis = 0; axis < 3; axis++) {
        c.ctx = &axis;
        check_gradient(&c);
    }
    size_t shape[3][3] = {{3, 2, 5}, {3, 2, 5}, {3, 2, 5}};
    for (int axis = 0; axis < 3; axis++) {
        c = (rc__gradcheck){
            .build = concat,
            .ctx = &axis,
            .n = 2,
            .in = {{.name = "a", .ndim = 3, .dim = {3, 2, 5}}, {.name = "b", .ndim = 3, .dim = {3, 2, 5}}}};
        memcpy(c.in[1].dim, shape[axis], sizeof shape[axis]);
        c.in[1].dim[axis] = 4;
        check_gradient(&c);
    }
}

/* Against index arithmetic, on sizes that cross the 32 x 32 blocks and the tiles. */
static void check_transpose(int ndim, const size_t *dim, const int *perm) {
    rc_tape *t = training_tape(1);
    rc_var *x = rc_zeros(t, ndim, dim);
    for (size_t i = 0; i < x->len; i++) x->x[i] = (rc_real)i;
    rc_var *y = rc_transpose(t, x, perm);
    assert_int_equal(y->len, x->len);
    for (size_t i = 0; i < y->len; i++) {
        size_t index[RC_MAX_DIMS] = {0}, rest = i, at = 0;
        for (int d = ndim; d-- > 0; rest /= y->dim[d]) index[perm[d]] = rest % y->dim[d];
        for (int d = 0; d < ndim; d++) at = at * dim[d] + index[d];
        assert_true(y->x[i] == (rc_real)at);
    }
    rc_tape_free(t);
}

static void test_transpose_values(void **state) {
    (void)state;
    check_transpose(2, (size_t[]){70, 131}, (int[]){1, 0});
    check_transpose(3, (size_t[]){33, 5, 65}, (int[]){2, 1, 0});
    check_transpose(3, (size_t[]){33, 5, 65}, (int[]){2, 0, 1});
    check_transpose(3, (size_t[]){40, 70, 30}, (int[]){1, 0, 2});
    check_transpose(4, (size_t[]){3, 40, 1, 50}, (int[]){3, 2, 0, 1});
    check_transpose(5, (size_t[]){2, 3, 4, 5, 6}, (int[]){4, 1, 3, 0, 2});
    check_transpose(2, (size_t[]){1, 1}, (int[]){1, 0});
    check_transpose(1, (size_t[]){9}, (int[]){0});
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
#define REFUSE(call, text)                                                 \
    do {                                                                   \
        rc_tape_begin(t, (rc_tape_mode){.grad = true});                    \
        rc_var *x = rc_zeros(t, DIMS(3, 4)), *y = rc_zeros(t, DIMS(3, 5)); \
        (void)x;                                                           \
        (void)y;                                                           \
        check_refused(t, call, text);                                      \
    } while (0)
    REFUSE(rc_reshape(t, x, DIMS(5, (size_t)-1)), "reshape: x is (3, 4), 12 elements, which do not fill (5, -1)");
    REFUSE(rc_reshape(t, x, DIMS(7)), "reshape: x is (3, 4), 12 elements, which do not fill (7)");
    REFUSE(rc_reshape(t, x, DIMS((size_t)-1, (size_t)-1)),
           "reshape: x is (3, 4), 12 elements, which do not fill (-1, -1)");
    REFUSE(rc_reshape(t, NULL, DIMS(7)), "reshape: the input is NULL");
    REFUSE(rc_transpose(t, x, ((int[]){0, 0})), "transpose: entry 1 of the permutation is 0: not an order of 0 to 1");
    REFUSE(rc_transpose(t, x, ((int[]){0, 2})), "transpose: entry 1 of the permutation is 2: not an order of 0 to 1");
    REFUSE(rc_concat(t, 2, ((rc_var *[]){x, y}), 0),
           "concat: input 1 is (3, 4), input 2 is (3, 5): they may differ in axis 0 only");
    REFUSE(rc_concat(t, 2, ((rc_var *[]){x, NULL}), 0), "concat: input 2 of 2 is NULL");
    REFUSE(rc_concat(t, 0, ((rc_var *[]){x}), 0), "concat: 0 inputs, expected at least 1");
    REFUSE(rc_concat(t, 1, ((rc_var *[]){x}), 2), "concat: axis 2 of (3, 4), which has 2");
    REFUSE(rc_slice(t, x, 1, 3, 2), "slice: 2 from 3 on of axis 1 of (3, 4)");
    REFUSE(rc_slice(t, x, 1, 0, 0), "slice: 0 from 0 on of axis 1 of (3, 4)");
    REFUSE(rc_slice(t, x, -3, 0, 1), "slice: axis -3 of (3, 4), which has 2");
    rc_var *piece[3];
    REFUSE((rc_split(t, x, 1, 3, piece), piece[0]), "split: axis 1 of (3, 4) does not divide into 3 pieces");
#undef REFUSE
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_transpose_values),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
