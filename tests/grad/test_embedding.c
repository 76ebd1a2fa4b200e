/* Embedding, with and without dropped rows; sparse tables. */
#include "grad.h"
#include <math.h>

static const int32_t ids[6] = {3, 0, 3, 5, 3, 1};

static rc_var *plain(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_embedding(t, ids, 2, (size_t[]){3, 2}, in[0]);
}
static rc_var *dropped(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)ctx;
    return rc_embedding_dropout(t, ids, 2, (size_t[]){3, 2}, in[0], 0.4);
}

static void test_gradients(void **state) {
    (void)state;
    static const size_t widths[] = {1, 4, 65, 130}; /* one stripe and several */
    for (size_t i = 0; i < 4; i++) {
        rc__gradcheck c = {
            .build = plain, .n = 1, .training = true, .in = {{"table", 2, {6, widths[i]}, RC__FILL_NORMAL}}};
        check_gradient(&c);
        c.build = dropped;
        c.seed = 2;
        check_gradient(&c);
    }
}

static void test_values(void **state) {
    (void)state;
    rc_tape *t = training_tape(7);
    double table[6][2];
    for (int i = 0; i < 12; i++) table[i / 2][i % 2] = i + 1;
    rc_var *w = rc_leaf(t, 2, (size_t[]){6, 2}, &table[0][0]);
    rc_var *y = rc_embedding(t, ids, 2, (size_t[]){3, 2}, w),
           *d = rc_embedding_dropout(t, ids, 2, (size_t[]){3, 2}, w, 0.5);
    assert_int_equal(y->ndim, 3);
    assert_int_equal(y->len, 12);
    double kept[6] = {-1, -1, -1, -1, -1, -1};
    for (int i = 0; i < 6; i++)
        for (int e = 0; e < 2; e++) {
            assert_true(y->x[i * 2 + e] == table[ids[i]][e]);
            double m = d->x[i * 2 + e] / table[ids[i]][e]; /* the whole row of an id, wherever it occurs: 0 or 2 */
            assert_true(m == 0 || m == 2);
            assert_true(kept[ids[i]] == -1 || kept[ids[i]] == m);
            kept[ids[i]] = m;
        }
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    w = rc_leaf(t, 2, (size_t[]){6, 2}, &table[0][0]);
    d = rc_embedding_dropout(t, ids, 2, (size_t[]){3, 2}, w, 0.5);
    for (int i = 0; i < 12; i++) assert_true(d->x[i] == table[ids[i / 2]][i % 2]); /* not training: as it is */
    rc_tape_free(t);
}

static void test_sparse_table(void **state) {
    (void)state;
    rc_params *ps;
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    rc_param *p =
        rc_params_add(ps, "embedding.weight", 2, (size_t[]){6, 3}, (rc_init){.kind = RC_INIT_NORMAL, .value = 1}, NULL);
    p->sparse = true;
    assert_int_equal(rc_params_build(ps, 1, NULL), RC_OK);
    rc_tape *t = training_tape(7);
    rc_var *y = rc_embedding(t, ids, 1, (size_t[]){6}, rc_param_var(t, p));
    assert_int_equal(rc_backward(t, rc_sum_all(t, y), 1, NULL), RC_OK);
    assert_int_equal(p->n_rows, 4);
    static const double times[6] = {1, 1, 0, 3, 0, 1};
    for (int r = 0; r < 6; r++) {
        assert_int_equal(p->row_used[r] != 0, times[r] > 0);
        for (int e = 0; e < 3; e++) assert_true(p->g[r * 3 + e] == times[r]);
    }
    rc_tape_free(t);
    rc_params_free(ps);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tape *t = training_tape(1);
    static const int32_t bad[4] = {0, 1, 6, 2}, negative[1] = {-1};
    check_refused(t, rc_embedding(t, bad, 2, (size_t[]){2, 2}, ones(t, DIMS(6, 3))),
                  "embedding: id 6 at position 2 of (2, 2), expected 0 to 5");
    assert_int_equal(rc_tape_status(t, NULL), RC_EDATA);
    rc_tape_begin(t, (rc_tape_mode){0});
    check_refused(t, rc_embedding(t, negative, 1, (size_t[]){1}, ones(t, DIMS(6, 3))),
                  "embedding: id -1 at position 0 of (1), expected 0 to 5");
    rc_tape_begin(t, (rc_tape_mode){0});
    check_refused(t, rc_embedding(t, bad, 1, (size_t[]){1}, ones(t, DIMS(6))),
                  "embedding: the table is (6), expected (V, E)");
    rc_tape_begin(t, (rc_tape_mode){0});
    check_refused(t, rc_embedding_dropout(t, bad, 1, (size_t[]){1}, ones(t, DIMS(6, 3)), 1),
                  "embedding_dropout: dropout 1 is outside [0, 1)");
    rc_tape_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_sparse_table),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
