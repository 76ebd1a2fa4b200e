/* Packed rows, rotary positions, root mean square norm, gated units: gradients, values, refusals. */
#include "grad.h"
#include <math.h>

enum { T = 5, B = 4, F = 3 };
static const int32_t lengths[B] = {3, 0, 5, 1};
enum { N = 9 };

static rc_var *build_pack(rc_tape *t, rc_var *const *in, void *ctx) { return rc_pack_rows(t, in[0], ctx); }
static rc_var *build_unpack(rc_tape *t, rc_var *const *in, void *ctx) { return rc_unpack_rows(t, in[0], ctx, T, B); }

static void test_rows(void **state) {
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        void *ctx = cut ? (void *)(uintptr_t)lengths : NULL;
        rc__gradcheck c = {.build = build_pack, .ctx = ctx, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {T, B, F}}}};
        check_gradient(&c);
        c = (rc__gradcheck){
            .build = build_unpack, .ctx = ctx, .n = 1, .in = {{.name = "x", .ndim = 2, .dim = {cut ? N : T * B, F}}}};
        check_gradient(&c);
    }
    static double x[T][B][F];
    for (size_t i = 0; i < T * B * F; i++)
        (&x[0][0][0])[i] = (int32_t)(i / F / B) < lengths[i / F % B] ? (double)i : NAN;
    rc_tape *t = training_tape(1);
    rc_var *p = rc_pack_rows(t, rc_leaf(t, 3, (size_t[]){T, B, F}, &x[0][0][0]), lengths);
    assert_int_equal(p->dim[0], N);
    size_t at = 0;
    for (int b = 0; b < B; b++)
        for (int k = 0; k < lengths[b]; k++, at++) assert_memory_equal(p->x + at * F, x[k][b], sizeof x[k][b]);
    rc_var *y = rc_unpack_rows(t, p, lengths, T, B);
    for (size_t i = 0; i < T * B * F; i++) assert_true(y->x[i] == (isnan((&x[0][0][0])[i]) ? 0 : (double)i));
    rc_tape_free(t);
}

typedef struct turn {
    size_t heads;
    const int32_t *positions;
    double base;
} turn;
static rc_var *build_rotary(rc_tape *t, rc_var *const *in, void *ctx) {
    const turn *o = ctx;
    return rc_rotary(t, in[0], o->heads, o->positions, o->base);
}

static void test_rotary(void **state) {
    (void)state;
    static const int32_t positions[6] = {0, 5, -3, 64, 127, -64};
    turn o = {3, positions, 10000};
    rc__gradcheck c = {.build = build_rotary, .ctx = &o, .n = 1, .in = {{.name = "x", .ndim = 2, .dim = {6, 3 * 10}}}};
    check_gradient(&c);
    double x[6][30];
    rc_rng r = rc_rng_make(3, 0);
    for (int i = 0; i < 180; i++) (&x[0][0])[i] = rc_rng_normal(&r);
    rc_tape *t = training_tape(1);
    rc_var *y = rc_rotary(t, rc_input(t, 2, (size_t[]){6, 30}, &x[0][0]), 3, positions, 10000);
    for (int i = 0; i < 6; i++)
        for (int h = 0; h < 3; h++)
            for (int j = 0; j < 5; j++) {
                double angle = positions[i] * pow(10000, -2.0 * j / 10), a = x[i][h * 10 + j], b = x[i][h * 10 + 5 + j];
                assert_true(fabs(y->x[i * 30 + h * 10 + j] - (a * cos(angle) - b * sin(angle))) < 1e-13);
                assert_true(fabs(y->x[i * 30 + h * 10 + 5 + j] - (a * sin(angle) + b * cos(angle))) < 1e-13);
            }
    rc_tape_free(t);
}

static rc_var *build_rms(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_rms_norm(t, in[0], ctx ? in[1] : NULL, 1e-5);
}
static rc_var *build_swiglu(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_swiglu(t, in[0]);
}

static void test_rms_norm(void **state) {
    (void)state;
    int yes = 1;
    for (int gain = 0; gain < 2; gain++) {
        rc__gradcheck c = {.build = build_rms,
                           .ctx = gain ? &yes : NULL,
                           .n = 2,
                           .in = {{.name = "x", .ndim = 3, .dim = {3, 2, 7}},
                                  {.name = "gain", .ndim = 1, .dim = {7}, .zero_ok = !gain}}};
        check_gradient(&c);
        c.in[0].no_grad = gain;
        check_gradient(&c);
    }
    rc__gradcheck c = {.build = build_rms, /* several tiles */
                       .ctx = &yes,
                       .n = 2,
                       .in = {{.name = "x", .ndim = 2, .dim = {40, 1030}, .no_grad = true},
                              {.name = "gain", .ndim = 1, .dim = {1030}}}};
    check_gradient(&c);
}

static void test_swiglu(void **state) {
    (void)state;
    rc__gradcheck c = {.build = build_swiglu, .n = 1, .in = {{.name = "x", .ndim = 3, .dim = {3, 2, 14}}}};
    check_gradient(&c);
    rc_tape *t = training_tape(1);
    double x[4] = {2, -1, 3, 5};
    rc_var *y = rc_swiglu(t, rc_input(t, 2, (size_t[]){1, 4}, x));
    assert_true(fabs(y->x[0] - 2 / (1 + exp(-2.0)) * 3) < 1e-14 && fabs(y->x[1] + 1 / (1 + exp(1.0)) * 5) < 1e-14);
    rc_tape_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t bad[2] = {3, -1}, none[2] = {0, 0}, some[2] = {3, 1}, far[2] = {0, 1 << 30};
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        check_refused(t, call, text);                   \
    } while (0)
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
    REFUSE(rc_pack_rows(t, Z(3, 2), NULL), "pack_rows: x is (3, 2), expected (T, B, F)");
    REFUSE(rc_pack_rows(t, Z(3, 2, 5), bad), "pack_rows: length -1 of row 1 is outside 0..3");
    REFUSE(rc_pack_rows(t, Z(3, 2, 5), none), "pack_rows: all 2 lengths are 0");
    REFUSE(rc_unpack_rows(t, Z(3, 2, 5), some, 3, 2), "unpack_rows: x is (3, 2, 5), expected (N, F)");
    REFUSE(rc_unpack_rows(t, Z(3, 2), some, 3, 2), "unpack_rows: lengths add up to 4 rows, x has 3");
    REFUSE(rc_unpack_rows(t, Z(4, 2), some, 2, 2), "unpack_rows: length 3 of row 0 is outside 0..2");
    REFUSE(rc_unpack_rows(t, Z(4, 2), some, 0, 2), "unpack_rows: 0 steps of 2 rows, expected at least 1 of each");
    REFUSE(rc_unpack_rows(t, Z(4, 2), NULL, SIZE_MAX / 2, 3),
           "unpack_rows: 9223372036854775807 steps of 3 rows, expected at least 1 of each");
    REFUSE(rc_rotary(t, Z(4, 6), 2, some, 1e4), "rotary: x is (4, 6), expected (N, 2 heads of an even number)");
    REFUSE(rc_rotary(t, Z(4, 6), 0, some, 1e4), "rotary: x is (4, 6), expected (N, 0 heads of an even number)");
    REFUSE(rc_rotary(t, Z(2, 4), 2, NULL, 1e4), "rotary: positions is NULL");
    REFUSE(rc_rotary(t, Z(2, 4), 2, some, 0), "rotary: base is 0, expected above 0");
    REFUSE(rc_rotary(t, Z(2, 4), 2, far, 1e4), "rotary: positions lie too far apart: 0 to 1073741824 for 2 rows");
    REFUSE(rc_rms_norm(t, Z(2, 4), Z(3), 1e-5), "rms_norm: gain is (3), expected (4)");
    REFUSE(rc_rms_norm(t, Z(2, 4), NULL, -1), "rms_norm: eps is -1, expected 0 or more");
    REFUSE(rc_swiglu(t, Z(2, 3)), "swiglu: x is (2, 3), expected (..., 2F)");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_rotary),
                                       cmocka_unit_test(test_rms_norm), cmocka_unit_test(test_swiglu),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
