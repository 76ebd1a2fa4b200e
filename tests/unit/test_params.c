#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "recur/tape.h"

static const rc_init normal = {.kind = RC_INIT_NORMAL, .value = 1};

static rc_params *three(void) {
    rc_params *ps = NULL;
    assert_int_equal(rc_params_new(&ps, NULL), RC_OK);
    assert_non_null(rc_params_add(ps, "encoder.weight", 2, (size_t[]){3, 5}, normal, NULL));
    assert_non_null(rc_params_add(ps, "encoder.bias", 1, (size_t[]){17}, normal, NULL));
    assert_non_null(rc_params_add(ps, "head.weight", 2, (size_t[]){4, 4}, normal, NULL));
    return ps;
}

static void test_layout(void **state) {
    (void)state;
    rc_params *ps = three();
    assert_null(rc_params_values(ps));
    assert_int_equal(rc_params_len(ps), 15 + 17 + 16);
    assert_int_equal(rc_params_build(ps, 1, NULL), RC_OK);
    assert_int_equal(rc_params_count(ps), 3);
    assert_int_equal(rc_params_block_len(ps), 16 + 32 + 16);
    assert_int_equal((uintptr_t)rc_params_values(ps) % 64, 0);
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) {
        rc_param *p = rc_params_at(ps, i);
        assert_int_equal(p->offset % 16, 0);
        assert_true(p->w == rc_params_values(ps) + p->offset && p->g == rc_params_grads(ps) + p->offset);
        assert_true(p->lr_scale == 1);
        used += p->len;
        size_t end = i < 2 ? rc_params_at(ps, i + 1)->offset : rc_params_block_len(ps);
        for (size_t k = p->offset + p->len; k < end; k++) assert_true(rc_params_values(ps)[k] == 0);
    }
    assert_int_equal(used, rc_params_len(ps));
    assert_ptr_equal(rc_params_find(ps, "head.weight"), rc_params_at(ps, 2));
    assert_null(rc_params_find(ps, "head"));
    assert_null(rc_params_at(ps, 3));
    rc_params_free(ps);
    rc_params_free(NULL);
}

static void refused(rc_params *ps, const char *name, int ndim, const size_t *dim, rc_init init, const char *text) {
    rc_error e = {0};
    assert_null(rc_params_add(ps, name, ndim, dim, init, &e));
    assert_int_equal(e.code, RC_EINVAL);
    assert_string_equal(e.text, text);
}

static void test_refusals(void **state) {
    (void)state;
    rc_params *ps = three();
    size_t d[] = {4, 4}, zero[] = {4, 0}, huge[] = {SIZE_MAX / 2, 4};
    refused(ps, "head.weight", 2, d, normal, "parameter head.weight: there is one of that name");
    refused(ps, "a", 6, d, normal, "parameter a: 6 dimensions, expected 1 to 5");
    refused(ps, "a", 0, d, normal, "parameter a: 0 dimensions, expected 1 to 5");
    refused(ps, "a", 2, zero, normal, "parameter a: shape (4, 0) has no elements");
    refused(ps, NULL, 2, d, normal, "a parameter needs a set to go to and a name");
    refused(ps, "a", 2, d, (rc_init){.kind = (rc_init_kind)99}, "parameter a: unknown kind of initialisation 99");
    refused(ps, "a", 2, d, (rc_init){.kind = RC_INIT_ORTHOGONAL, .blocks = 3},
            "parameter a: 4 rows do not divide into 3 blocks");
    refused(ps, "a", 2, d, (rc_init){.kind = RC_INIT_CONSTANT, .blocks = 2, .only_block = 3},
            "parameter a: only block 3 of 2");
    refused(ps, "a", 1, d, (rc_init){.kind = RC_INIT_ORTHOGONAL},
            "parameter a: orthogonal initialisation needs a matrix, not shape (4)");
    rc_error e = {0};
    assert_null(rc_params_add(ps, "a", 2, huge, normal, &e));
    assert_non_null(strstr(e.text, "is too large"));
    assert_int_equal(rc_params_build(ps, 1, NULL), RC_OK);
    refused(ps, "a", 2, d, normal, "parameter a: added after rc_params_build");
    assert_int_equal(rc_params_build(ps, 1, &e), RC_EINVAL);
    assert_string_equal(e.text, "rc_params_build was called before");
    rc_params_free(ps);
}

static void test_seed_and_streams(void **state) {
    (void)state;
    rc_params *a = three(), *b = three(), *c = three();
    rc_params_build(a, 1, NULL);
    rc_params_build(b, 1, NULL);
    rc_params_build(c, 2, NULL);
    size_t bytes = rc_params_block_len(a) * sizeof(rc_real);
    assert_memory_equal(rc_params_values(a), rc_params_values(b), bytes);
    assert_memory_not_equal(rc_params_values(a), rc_params_values(c), bytes);
    /* parameter i draws from stream i, whatever the shapes before it */
    rc_params *d = NULL;
    rc_params_new(&d, NULL);
    rc_params_add(d, "x", 1, (size_t[]){1}, normal, NULL);
    rc_params_add(d, "y", 1, (size_t[]){17}, normal, NULL);
    rc_params_build(d, 1, NULL);
    assert_memory_equal(rc_params_at(d, 1)->w, rc_params_at(a, 1)->w, 17 * sizeof(rc_real));
    assert_true(rc_params_at(a, 0)->w[0] != rc_params_at(a, 1)->w[0]);
    rc_params_free(a);
    rc_params_free(b);
    rc_params_free(c);
    rc_params_free(d);
}

static void test_zero_grad_of_sparse(void **state) {
    (void)state;
    rc_params *ps = three();
    rc_params_find(ps, "head.weight")->sparse = true;
    rc_params_find(ps, "encoder.weight")->sparse = true;
    rc_params_build(ps, 1, NULL);
    rc_param *p = rc_params_find(ps, "head.weight"), *q = rc_params_find(ps, "encoder.weight");
    for (size_t i = 0; i < rc_params_block_len(ps); i++) rc_params_grads(ps)[i] = 1;
    rc_param_touch(p, 2);
    rc_param_touch(p, 0);
    rc_param_touch(p, 2);
    rc_param_touch(p, 99);
    assert_int_equal(p->n_rows, 2);
    assert_true(p->rows[0] == 2 && p->rows[1] == 0 && p->row_used[2] && !p->row_used[1]);
    rc_params_zero_grad(ps);
    assert_int_equal(p->n_rows, 0);
    for (size_t r = 0; r < 4; r++)
        for (size_t i = 0; i < 4; i++) assert_true(p->g[r * 4 + i] == (r == 0 || r == 2 ? 0 : 1));
    for (size_t i = 0; i < 15; i++) assert_true(q->g[i] == 1);
    for (size_t i = 0; i < 17; i++) assert_true(rc_params_find(ps, "encoder.bias")->g[i] == 0);
    for (size_t i = 0; i < 4; i++) assert_int_equal(p->row_used[i], 0);
    rc_params_free(ps);
}

static void test_freeze_and_version(void **state) {
    (void)state;
    rc_params *ps = three(), *other = three();
    assert_int_equal(rc_params_freeze(ps, "encoder.*"), 2);
    assert_int_equal(rc_params_freeze(ps, "decoder.*"), 0);
    assert_true(rc_params_at(ps, 0)->frozen && rc_params_at(ps, 1)->frozen && !rc_params_at(ps, 2)->frozen);
    uint64_t v = rc_params_version(ps);
    rc_params_build(ps, 1, NULL);
    assert_true(rc_params_version(ps) > v);
    assert_true(*rc_params_at(ps, 0)->version == rc_params_version(ps));
    v = rc_params_version(ps);
    rc_params_changed(other);
    assert_true(rc_params_version(ps) == v && rc_params_version(other) != v);
    rc_params_free(ps);
    rc_params_free(other);
}

/* Allocation number n fails, for every n until all succeed; nothing may leak. */
static size_t countdown;
static size_t held;
static void *failing(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    if (new_size == 0) {
        held -= old_size;
        free(p);
        return NULL;
    }
    if (countdown == 0) return NULL;
    countdown--;
    void *q = NULL;
    if (posix_memalign(&q, 64, new_size) != 0) return NULL;
    if (p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    held += new_size;
    if (p) {
        held -= old_size;
        free(p);
    }
    return q;
}

static bool attempt(void) {
    rc_params *ps = NULL;
    rc_error e = {0};
    bool ok = false;
    if (rc_params_new(&ps, &e) != RC_OK) goto done;
    rc_param *p = rc_params_add(ps, "a", 2, (size_t[]){6, 4}, (rc_init){.kind = RC_INIT_ORTHOGONAL}, &e);
    if (!p) goto done;
    p->sparse = true;
    if (!rc_params_add(ps, "b", 1, (size_t[]){3}, normal, &e)) goto done;
    rc_param *c = rc_params_add(ps, "c", 2, (size_t[]){6, 4}, normal, &e);
    if (!c) goto done;
    ok = rc_params_build(ps, 5, &e) == RC_OK;
    if (!ok) assert_true(rc_params_values(ps) == NULL && p->w == NULL && p->rows == NULL);
    if (ok) ok = rc_param_set_sparse(c, true, &e) == RC_OK;
    assert_int_equal(c->sparse, ok); /* what could not be had is not claimed */
    assert_int_equal(c->rows != NULL, ok);
done:
    if (!ok) assert_int_equal(e.code, RC_ENOMEM);
    rc_params_free(ps);
    return ok;
}

static void test_out_of_memory(void **state) {
    (void)state;
    rc_set_allocator(failing, NULL);
    size_t n = 0;
    for (bool ok = false; !ok; n++) {
        countdown = n;
        ok = attempt();
        assert_int_equal(held, 0);
        assert_in_range(n, 0, 100);
    }
    rc_set_allocator(NULL, NULL);
    assert_in_range(n, 8, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_seed_and_streams), cmocka_unit_test(test_zero_grad_of_sparse),
        cmocka_unit_test(test_freeze_and_version), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
