/* The order of examples: each once in an epoch, similar lengths together, a function of seed and epoch, seekable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/epochs.h"

static uint32_t *lengths_of(size_t n) {
    uint32_t *len = malloc(n * sizeof *len);
    rc_rng r = rc_rng_make(6, 0);
    for (size_t i = 0; i < n; i++) len[i] = (uint32_t)rc_rng_below(&r, 100);
    return len;
}

static rc__epochs *epochs_of(const uint32_t *len, size_t n, size_t batch, uint64_t seed, bool no_shuffle) {
    rc__epochs *x = NULL;
    assert_int_equal(rc__epochs_new(&x, len, n, batch, seed, no_shuffle, NULL), RC_OK);
    return x;
}

/* One epoch into order (n); checks the batches as they come. The steps that padding adds. */
static size_t one_epoch(rc__epochs *x, const uint32_t *len, size_t n, size_t batch, uint64_t epoch, uint32_t *order) {
    size_t got = 0, padding = 0, batches = rc__epochs_batches(x);
    char *seen = calloc(n, 1);
    for (size_t b = 0; b < batches; b++) {
        rc__visit v;
        assert_int_equal(rc__epochs_next(x, &v, NULL), RC_OK);
        assert_true(v.n >= 1 && v.n <= batch);
        assert_int_equal(v.starts_epoch, b == 0);
        assert_int_equal(v.ends_epoch, b + 1 == batches);
        assert_true(v.cursor.epoch == epoch && v.cursor.position == b);
        size_t longest = 0, total = 0;
        for (size_t i = 0; i < v.n; i++) {
            assert_true(v.index[i] < n && !seen[v.index[i]]);
            seen[v.index[i]] = 1;
            order[got++] = v.index[i];
            longest = len[v.index[i]] > longest ? len[v.index[i]] : longest;
            total += len[v.index[i]];
        }
        assert_true(v.longest == longest && v.total == total);
        padding += longest * v.n - total;
    }
    assert_int_equal(got, n);
    free(seen);
    return padding;
}

static void each_once(void **state) {
    (void)state;
    static const size_t sizes[][2] = {{1, 1}, {1, 8}, {7, 3}, {8, 8}, {100, 7}, {1000, 4}, {1003, 5}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k][0], batch = sizes[k][1], total = 0, longest = 0;
        uint32_t *len = lengths_of(n), *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
        for (size_t i = 0; i < n; i++) {
            total += len[i];
            longest = len[i] > longest ? len[i] : longest;
        }
        rc__epochs *x = epochs_of(len, n, batch, 3, false);
        assert_int_equal(rc__epochs_batches(x), (n + batch - 1) / batch);
        assert_true(rc__epochs_total(x) == total && rc__epochs_longest(x) == longest);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            assert_true(rc__epochs_done(x) == (double)epoch);
            one_epoch(x, len, n, batch, epoch, epoch % 2 ? b : a);
            if (epoch && n >= 100) assert_memory_not_equal(a, b, n * sizeof *a); /* another order */
        }
        rc__epochs_free(x);
        free(len), free(a), free(b);
    }
}

static void similar_lengths(void **state) {
    (void)state;
    enum { N = 4000, BATCH = 10 };
    uint32_t *len = lengths_of(N), *order = malloc(N * sizeof *order);
    rc__epochs *x = epochs_of(len, N, BATCH, 3, false), *plain = epochs_of(len, N, BATCH, 3, true);
    size_t sorted = one_epoch(x, len, N, BATCH, 0, order), unsorted = one_epoch(plain, len, N, BATCH, 0, order);
    for (size_t i = 0; i < N; i++) assert_int_equal(order[i], i); /* no_shuffle: as they came */
    if (sorted * 8 > unsorted) fail_msg("%zu steps of padding, without sorting %zu", sorted, unsorted);
    /* batches do not come longest first, and examples of one length are not always together */
    rc__visit v;
    size_t falls = 0, last = 1000;
    for (int i = 0; i < N / BATCH; i++) {
        assert_int_equal(rc__epochs_next(x, &v, NULL), RC_OK);
        falls += v.longest < last;
        last = v.longest;
    }
    assert_true(falls > N / BATCH / 3 && falls < N / BATCH * 2 / 3);
    rc__epochs_free(x);
    rc__epochs_free(plain);
    free(len), free(order);
}

static void seeds_and_places(void **state) {
    (void)state;
    enum { N = 203, BATCH = 10 };
    uint32_t *len = lengths_of(N), a[N], b[N];
    rc__epochs *x = epochs_of(len, N, BATCH, 3, false), *y = epochs_of(len, N, BATCH, 3, false),
               *z = epochs_of(len, N, BATCH, 4, false);
    one_epoch(x, len, N, BATCH, 0, a);
    one_epoch(y, len, N, BATCH, 0, b);
    assert_memory_equal(a, b, sizeof a);
    one_epoch(z, len, N, BATCH, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    /* from any place on the same batches follow: y goes there at once, x step by step */
    for (int at = 0; at < 50; at++) {
        rc__cursor c = rc__epochs_cursor(x);
        rc__visit v, w;
        assert_int_equal(rc__epochs_seek(y, c, NULL), RC_OK);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(rc__epochs_next(y, &w, NULL), RC_OK);
            if (k == 0) assert_int_equal(rc__epochs_next(x, &v, NULL), RC_OK);
            if (k == 0) assert_true(v.n == w.n && memcmp(v.index, w.index, v.n * sizeof *v.index) == 0);
        }
    }
    rc_error e = {0};
    assert_int_equal(rc__epochs_seek(x, (rc__cursor){0, 21, 0}, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "0..20"));
    assert_int_equal(rc__epochs_seek(x, (rc__cursor){0, 2, 1}, &e), RC_EMODEL);
    rc__epochs_free(x), rc__epochs_free(y), rc__epochs_free(z);
    free(len);
}

/* Batches of so many padded steps, and the old order where there is no budget or it never bites. */
static void budgets(void **state) {
    (void)state;
    enum { N = 3001, BATCH = 50, BUDGET = 700 };
    uint32_t *len = lengths_of(N), *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    rc__epochs *x = NULL, *y = NULL, *plain = epochs_of(len, N, BATCH, 3, false);
    rc__visit v, w;
    len[17] = 5000; /* alone */
    for (size_t budget = 0; budget <= 1000000; budget += 1000000) {
        assert_int_equal(rc__epochs_new_budget(&x, len, N, BATCH, budget, 3, false, NULL), RC_OK);
        rc__epochs_free(plain);
        plain = epochs_of(len, N, BATCH, 3, false);
        for (size_t epoch = 0; epoch < 2; epoch++) {
            one_epoch(x, len, N, BATCH, epoch, a);
            one_epoch(plain, len, N, BATCH, epoch, b);
            assert_memory_equal(a, b, N * sizeof *a);
        }
        rc__epochs_free(x);
    }
    assert_int_equal(rc__epochs_new_budget(&x, len, N, BATCH, BUDGET, 3, false, NULL), RC_OK);
    assert_int_equal(rc__epochs_new_budget(&y, len, N, BATCH, BUDGET, 3, false, NULL), RC_OK);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        char seen[N] = {0};
        size_t n = 0, loose = 0, batches = 0;
        for (bool more = true; more; batches++) {
            rc__cursor c = rc__epochs_cursor(x);
            assert_true(rc__epochs_done(x) >= (double)epoch && rc__epochs_done(x) < (double)epoch + 1);
            assert_int_equal(rc__epochs_next(x, &v, NULL), RC_OK);
            assert_true(v.n >= 1 && v.n <= BATCH && (v.longest * v.n <= BUDGET || (v.n == 1 && v.index[0] == 17)));
            loose += v.n < BATCH && v.longest * (v.n + 1) <= BUDGET; /* one more had fitted */
            for (size_t i = 0; i < v.n; i++) {
                assert_false(seen[v.index[i]]);
                seen[v.index[i]] = 1;
            }
            n += v.n;
            more = !v.ends_epoch;
            assert_int_equal(v.starts_epoch, batches == 0);
            if (batches % 7 == 0) { /* from any place on the same follow */
                assert_int_equal(rc__epochs_seek(y, c, NULL), RC_OK);
                assert_int_equal(rc__epochs_next(y, &w, NULL), RC_OK);
                assert_true(v.n == w.n && memcmp(v.index, w.index, v.n * sizeof *v.index) == 0);
            }
        }
        assert_int_equal(n, N);
        assert_true(loose * 20 < batches && batches == rc__epochs_batches(x));
    }
    assert_int_equal(rc__epochs_seek(x, (rc__cursor){1, N, 0}, NULL), RC_EMODEL);
    rc__epochs_free(x), rc__epochs_free(y), rc__epochs_free(plain);
    free(len), free(a), free(b);
}

static void refusals(void **state) {
    (void)state;
    rc__epochs *x;
    rc_error e = {0};
    uint32_t len[1] = {3};
    assert_int_equal(rc__epochs_new(&x, len, 0, 4, 1, false, &e), RC_EDATA);
    assert_null(x);
    assert_int_equal(rc__epochs_new(&x, len, 1, 0, 1, false, &e), RC_EINVAL);
    assert_null(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_once), cmocka_unit_test(similar_lengths),
                                       cmocka_unit_test(budgets), cmocka_unit_test(seeds_and_places),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
