/* Bags, heads, reading a memory, the gated scan: gradients, values, one sequence alone, refusals. */
#include "grad.h"
#include <math.h>

enum { B = 4, N = 9, H = 3, D = 4, F = H * D, O = 5 };
static const int32_t lengths[B] = {3, 0, 5, 1};

/* ---- bags -------------------------------------------------------------------------------------------------------- */

enum { V = 6, P = 4, BAGS = 5 };
static const uint32_t start[BAGS + 1] = {0, 3, 3, 4, 7, 9};
static const int32_t ids[] = {5, 0, 5, 2, 1, 1, 1, 0, 4}, place[] = {0, 1, 2, 0, 3, 2, 1, 0, 0};
static const rc_bags bags = {BAGS, start, ids, place};

static rc_var *build_bags(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_embedding_bags(t, &bags, in[0], in[1]);
}
static rc_var *build_plain_bags(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_embedding_bags(t, &bags, in[0], NULL);
}

static void test_bags(void **state) {
    (void)state;
    rc__gradcheck c = {.build = build_bags,
                       .n = 2,
                       .in = {{.name = "table", .ndim = 2, .dim = {V, 3}}, {.name = "mask", .ndim = 2, .dim = {P, 3}}}};
    check_gradient(&c);
    c.in[0].no_grad = true;
    check_gradient(&c);
    c.in[0].no_grad = false, c.in[1].no_grad = true;
    check_gradient(&c);
    c.build = build_plain_bags, c.n = 1;
    check_gradient(&c);
    c.in[0].dim[1] = 300; /* several stripes */
    check_gradient(&c);
    rc_tape *t = training_tape(1);
    double table[V], mask[P];
    for (int i = 0; i < V; i++) table[i] = pow(10, i);
    for (int i = 0; i < P; i++) mask[i] = i + 1;
    rc_var *y = rc_embedding_bags(t, &bags, rc_input(t, 2, (size_t[]){V, 1}, table), rc_input(t, 2, (size_t[]){P, 1}, mask));
    static const double want[BAGS] = {400002, 0, 100, 90, 10001};
    for (int i = 0; i < BAGS; i++) assert_true(fabs(y->x[i] - want[i]) < 1e-9);
    rc_tape_free(t);
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

static rc_var *build_heads(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_linear_heads(t, in[0], in[1], in[2], H);
}
static rc_var *build_heads_plain(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_linear_heads(t, in[0], in[1], NULL, H);
}

static void test_heads(void **state) {
    (void)state;
    rc__gradcheck c = {.build = build_heads,
                       .n = 3,
                       .in = {{.name = "x", .ndim = 2, .dim = {N, F}},
                              {.name = "w", .ndim = 2, .dim = {O, F}},
                              {.name = "b", .ndim = 1, .dim = {H * O}}}};
    check_gradient(&c);
    c.build = build_heads_plain, c.n = 2;
    check_gradient(&c);
    c.in[0].no_grad = true;
    check_gradient(&c);
    static double x[N * F], w[O * F], b[H * O];
    rc_rng r = rc_rng_make(5, 0);
    for (size_t i = 0; i < N * F; i++) x[i] = rc_rng_normal(&r);
    for (size_t i = 0; i < O * F; i++) w[i] = rc_rng_normal(&r);
    for (size_t i = 0; i < H * O; i++) b[i] = rc_rng_normal(&r);
    rc_tape *t = training_tape(1);
    rc_var *y = rc_linear_heads(t, rc_input(t, 2, (size_t[]){N, F}, x), rc_input(t, 2, (size_t[]){O, F}, w),
                                rc_input(t, 1, (size_t[]){H * O}, b), H);
    assert_int_equal(y->dim[1], H * O);
    for (size_t n = 0; n < N; n++)
        for (size_t h = 0; h < H; h++)
            for (size_t o = 0; o < O; o++) {
                double want = b[h * O + o];
                for (size_t k = 0; k < D; k++) want += x[n * F + h * D + k] * w[o * F + h * D + k];
                assert_true(fabs(y->x[(n * H + h) * O + o] - want) < 1e-12);
            }
    rc_tape_free(t);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_var *build_read(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_memory_read(t, in[0], in[1], in[2], lengths, H, *(bool *)ctx, NULL);
}

static void test_read(void **state) {
    (void)state;
    static double u[B * F], k[N * F], v[N * F];
    rc_rng r = rc_rng_make(7, 0);
    for (size_t i = 0; i < B * F; i++) u[i] = rc_rng_normal(&r);
    for (size_t i = 0; i < N * F; i++) k[i] = rc_rng_normal(&r), v[i] = rc_rng_normal(&r);
    for (int pass = 0; pass < 2; pass++) {
        bool softmax = pass == 1;
        rc__gradcheck c = {.build = build_read,
                           .ctx = &softmax,
                           .n = 3,
                           .in = {{.name = "u", .ndim = 2, .dim = {B, F}},
                                  {.name = "k", .ndim = 2, .dim = {N, F}},
                                  {.name = "v", .ndim = 2, .dim = {N, F}}}};
        check_gradient(&c);
        for (int i = 0; i < 3; i++) {
            c.in[i].no_grad = true;
            check_gradient(&c);
            c.in[i].no_grad = false;
        }
        rc_tape *t = training_tape(1);
        const rc_real *p = NULL;
        rc_var *y = rc_memory_read(t, rc_input(t, 2, (size_t[]){B, F}, u), rc_input(t, 2, (size_t[]){N, F}, k),
                                   rc_input(t, 2, (size_t[]){N, F}, v), lengths, H, softmax, &p);
        for (size_t b = 0, from = 0; b < B; from += (size_t)lengths[b++])
            for (size_t h = 0; h < H; h++) {
                double score[N], sum = 0;
                for (size_t i = 0; i < (size_t)lengths[b]; i++) {
                    score[i] = 0;
                    for (size_t d = 0; d < D; d++) score[i] += u[b * F + h * D + d] * k[(from + i) * F + h * D + d];
                    if (softmax) sum += score[i] = exp(score[i]);
                }
                for (size_t i = 0; i < (size_t)lengths[b]; i++) {
                    if (softmax) score[i] /= sum;
                    assert_true(fabs(p[(from + i) * H + h] - score[i]) < 1e-12);
                }
                for (size_t d = 0; d < D; d++) {
                    double want = 0;
                    for (size_t i = 0; i < (size_t)lengths[b]; i++) want += score[i] * v[(from + i) * F + h * D + d];
                    assert_true(fabs(y->x[b * F + h * D + d] - want) < 1e-12);
                }
            }
        /* the third sequence alone is the same bits */
        rc_var *one = rc_memory_read(t, rc_input(t, 2, (size_t[]){1, F}, u + 2 * F), rc_input(t, 2, (size_t[]){5, F}, k + 3 * F),
                                     rc_input(t, 2, (size_t[]){5, F}, v + 3 * F), lengths + 2, H, softmax, NULL);
        assert_memory_equal(one->x, y->x + 2 * F, F * sizeof *one->x);
        rc_tape_free(t);
    }
}

/* ---- the scan ---------------------------------------------------------------------------------------------------- */

static rc_var *build_scan(rc_tape *t, rc_var *const *in, void *ctx) {
    return rc_gated_scan(t, in[0], in[1], lengths, B, H, *(bool *)ctx);
}

static void test_scan(void **state) {
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        bool reverse = pass == 1;
        rc__gradcheck g = {.build = build_scan,
                           .ctx = &reverse,
                           .n = 2,
                           .in = {{.name = "c", .ndim = 2, .dim = {N, F}}, {.name = "z", .ndim = 2, .dim = {N, H}}}};
        check_gradient(&g);
        g.in[0].no_grad = true;
        check_gradient(&g);
        g.in[0].no_grad = false, g.in[1].no_grad = true;
        check_gradient(&g);
        rc_tape *t = training_tape(1);
        double c[3] = {1, 10, 100}, z[3] = {0.5, 0.25, 1};
        int32_t three = 3;
        rc_var *y = rc_gated_scan(t, rc_input(t, 2, (size_t[]){3, 1}, c), rc_input(t, 2, (size_t[]){3, 1}, z), &three, 1, 1, reverse);
        static const double forward[3] = {0.5, 2.875, 100}, backward[3] = {39.25, 77.5, 100};
        for (int i = 0; i < 3; i++) assert_true(fabs(y->x[i] - (reverse ? backward : forward)[i]) < 1e-12);
        rc_tape_free(t);
    }
}

/* ---- entities ---------------------------------------------------------------------------------------------------- */

enum { J = 3 };
static rc_var *build_entity(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_entity_memory(t, in[0], in[1], in[2], in[3], in[4], in[5], in[6], lengths, B, NULL);
}

static void test_entity(void **state) {
    (void)state;
    rc__gradcheck c = {.build = build_entity,
                       .n = 7,
                       .in = {{.name = "s", .ndim = 2, .dim = {N, D}},
                              {.name = "sw", .ndim = 2, .dim = {N, D}},
                              {.name = "sk", .ndim = 2, .dim = {N, J}},
                              {.name = "kv", .ndim = 2, .dim = {J, D}},
                              {.name = "keys", .ndim = 2, .dim = {J, D}},
                              {.name = "u", .ndim = 2, .dim = {D, D}},
                              {.name = "slope", .ndim = 1, .dim = {D}}}};
    check_gradient(&c);
    for (int i = 0; i < 7; i++) {
        c.in[i].no_grad = true;
        check_gradient(&c);
        c.in[i].no_grad = false;
    }
    /* the equations, on the first sequence */
    static double x[7][N * F];
    static const size_t dims[7][2] = {{N, D}, {N, D}, {N, J}, {J, D}, {J, D}, {D, D}, {D, 0}};
    rc_rng r = rc_rng_make(9, 0);
    rc_tape *t = training_tape(1);
    rc_var *in[7];
    for (int k = 0; k < 7; k++) {
        for (size_t i = 0; i < N * F; i++) x[k][i] = rc_rng_normal(&r);
        in[k] = rc_input(t, k < 6 ? 2 : 1, dims[k], x[k]);
    }
    const rc_real *gates = NULL;
    rc_var *y = rc_entity_memory(t, in[0], in[1], in[2], in[3], in[4], in[5], in[6], lengths, B, &gates);
    double h[J][D];
    for (size_t j = 0; j < J; j++)
        for (size_t d = 0; d < D; d++) h[j][d] = x[4][j * D + d];
    for (size_t n = 0; n < 3; n++)
        for (size_t j = 0; j < J; j++) {
            double score = x[2][n * J + j], next[D], norm = 0;
            for (size_t d = 0; d < D; d++) score += x[0][n * D + d] * h[j][d];
            double g = 1 / (1 + exp(-score));
            assert_true(fabs(gates[n * J + j] - g) < 1e-12);
            for (size_t d = 0; d < D; d++) {
                double a = x[3][j * D + d] + x[1][n * D + d];
                for (size_t k = 0; k < D; k++) a += x[5][d * D + k] * h[j][k];
                next[d] = h[j][d] + g * (a > 0 ? a : x[6][d] * a);
                norm += next[d] * next[d];
            }
            for (size_t d = 0; d < D; d++) h[j][d] = next[d] / sqrt(norm);
        }
    for (size_t j = 0; j < J; j++)
        for (size_t d = 0; d < D; d++) {
            assert_true(fabs(y->x[j * D + d] - h[j][d]) < 1e-10);
            assert_true(y->x[(J + j) * D + d] == x[4][j * D + d]); /* nothing was told */
        }
    rc_tape_free(t);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t bad[2] = {3, -1}, few[2] = {1, 1};
    static const uint32_t falls[3] = {0, 2, 1};
    rc_bags wrong = bags;
#define REFUSE(call, text)                              \
    do {                                                \
        rc_tape_begin(t, (rc_tape_mode){.grad = true}); \
        check_refused(t, call, text);                   \
    } while (0)
#define Z(...) rc_zeros(t, DIMS(__VA_ARGS__))
    REFUSE(rc_embedding_bags(t, &bags, Z(5, 2), NULL), "embedding_bags: id 5 at position 0, expected 0 to 4");
    REFUSE(rc_embedding_bags(t, &bags, Z(6, 2), Z(3, 2)), "embedding_bags: place 3 at position 4, expected 0 to 2");
    REFUSE(rc_embedding_bags(t, &bags, Z(6, 2), Z(4, 3)),
           "embedding_bags: the table is (6, 2), the mask (4, 3); expected (V, E) and (P, E)");
    wrong.bags = 0;
    REFUSE(rc_embedding_bags(t, &wrong, Z(6, 2), NULL), "embedding_bags: no bags, or ids or places are NULL");
    wrong.bags = 2, wrong.start = falls;
    REFUSE(rc_embedding_bags(t, &wrong, Z(6, 2), NULL), "embedding_bags: bag 1 ends before it begins");
    REFUSE(rc_linear_heads(t, Z(2, 6), Z(3, 6), NULL, 4),
           "linear_heads: x is (2, 6), w is (3, 6); expected (N, H K) and (O, H K) with 4 heads");
    REFUSE(rc_linear_heads(t, Z(2, 6), Z(3, 6), Z(8), 3), "linear_heads: bias is (8), expected (9)");
    REFUSE(rc_memory_read(t, Z(2, 6), Z(3, 6), Z(4, 6), few, 3, true, NULL),
           "memory_read: u is (2, 6), k is (3, 6), v is (4, 6); expected (B, H D), (N, H D), (N, H D) with 3 heads");
    REFUSE(rc_memory_read(t, Z(2, 6), Z(3, 6), Z(3, 6), bad, 3, true, NULL),
           "memory_read: length of sequence 1: expected 0 to 0 rows");
    REFUSE(rc_memory_read(t, Z(2, 6), Z(3, 6), Z(3, 6), few, 3, true, NULL),
           "memory_read: the lengths sum up to 2, expected 3 rows");
    REFUSE(rc_gated_scan(t, Z(2, 6), Z(2, 2), few, 2, 3, false),
           "gated_scan: c is (2, 6), z is (2, 2); expected (N, H D) and (N, H) with 3 heads");
    REFUSE(rc_gated_scan(t, Z(2, 6), Z(2, 3), NULL, 2, 3, false), "gated_scan: length of sequence 0: expected 0 to 2 rows");
#undef REFUSE
#undef Z
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bags), cmocka_unit_test(test_heads), cmocka_unit_test(test_read),
                                       cmocka_unit_test(test_scan), cmocka_unit_test(test_entity),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
