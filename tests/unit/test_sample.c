/* Sampling: each filter against a plain sort, frequencies against probabilities, hostile logits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recur/text.h"

#define MAX_N 300

static rc_sampler_options plain(void) {
    rc_sampler_options o = rc_sampler_options_default();
    o.temperature = 1;
    return o;
}

static int32_t sample(const rc_sampler_options *o, const rc_real *logits, size_t n, int32_t unk, rc_rng *rng) {
    rc_real copy[MAX_N];
    memcpy(copy, logits, n * sizeof *copy);
    return rc_sample(o, copy, n, unk, NULL, 0, rng);
}

/* The definition: sort by logit (ties: lower id first), cut, normalise. */
static const rc_real *sort_key;
static int by_logit(const void *pa, const void *pb) {
    int a = *(const int *)pa, b = *(const int *)pb;
    if (sort_key[a] != sort_key[b]) return sort_key[a] < sort_key[b] ? 1 : -1;
    return a - b;
}

static void reference(const rc_sampler_options *o, const rc_real *logits, size_t n, double *p) {
    int order[MAX_N];
    double q[MAX_N], total = 0;
    for (size_t i = 0; i < n; i++) order[i] = (int)i;
    sort_key = logits;
    qsort(order, n, sizeof *order, by_logit);
    size_t keep = o->top_k && o->top_k < n ? o->top_k : n;
    for (size_t r = 0; r < keep; r++)
        total += q[r] = exp(((double)logits[order[r]] - (double)logits[order[0]]) / o->temperature);
    if (o->top_p < 1) {
        double sum = 0;
        size_t r = 0;
        while (r < keep) {
            sum += q[r++];
            if (sum >= o->top_p * total) break;
        }
        keep = r;
    }
    while (keep > 1 && q[keep - 1] < o->min_p) keep--;
    total = 0;
    for (size_t r = 0; r < keep; r++) total += q[r];
    for (size_t i = 0; i < n; i++) p[i] = 0;
    for (size_t r = 0; r < keep; r++) p[order[r]] = q[r] / total;
}

/* Frequencies of many draws against the reference: nothing outside the set, and chi-square below its 99.99 % point. */
static void check(const rc_sampler_options *o, const rc_real *logits, size_t n, uint64_t seed) {
    double p[MAX_N], chi2 = 0, rest = 0, rest_n = 0;
    size_t count[MAX_N] = {0}, draws = 40000;
    int df = -1;
    reference(o, logits, n, p);
    rc_rng rng = rc_rng_make(seed, 7);
    for (size_t i = 0; i < draws; i++) count[sample(o, logits, n, -1, &rng)]++;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0) assert_int_equal(count[i], 0);
        double want = p[i] * (double)draws, d = (double)count[i] - want;
        if (want < 10)
            rest += want, rest_n += (double)count[i]; /* pooled */
        else
            chi2 += d * d / want, df++;
    }
    if (rest >= 10) chi2 += (rest_n - rest) * (rest_n - rest) / rest, df++;
    if (df < 1) return;
    double z = 3.72, h = 2.0 / (9 * df), limit = df * pow(1 - h + z * sqrt(h), 3); /* Wilson-Hilferty */
    if (chi2 > limit) fail_msg("chi-square %g > %g (df %d, seed %d)", chi2, limit, df, (int)seed);
}

static void draws_follow_the_probabilities(void **state) {
    (void)state;
    rc_real logits[MAX_N];
    rc_rng r = rc_rng_make(1, 0);
    for (uint64_t round = 0; round < 24; round++) {
        size_t n = 2 + (size_t)rc_rng_below(&r, 60);
        for (size_t i = 0; i < n; i++) logits[i] = (rc_real)(2 * rc_rng_normal(&r));
        if (round % 3 == 0) /* ties */
            for (size_t i = 0; i < n; i++) logits[i] = (rc_real)floor((double)logits[i]);
        rc_sampler_options o = plain();
        o.temperature = round % 4 == 0 ? 1 : 0.3 + 2 * rc_rng_uniform(&r);
        if (round % 2) o.top_k = 1 + (size_t)rc_rng_below(&r, n + 2);
        if (round % 3 == 1) o.top_p = rc_rng_uniform(&r);
        if (round % 5 == 2) o.min_p = rc_rng_uniform(&r);
        check(&o, logits, n, round);
    }
}

static void ties_keep_the_lowest_ids(void **state) {
    (void)state;
    rc_real logits[8] = {1, 3, 3, 3, 3, -1, 3, 0};
    rc_sampler_options o = plain();
    o.top_k = 3;
    bool seen[8] = {false};
    rc_rng rng = rc_rng_make(3, 3);
    for (int i = 0; i < 500; i++) seen[sample(&o, logits, 8, -1, &rng)] = true;
    assert_true(!seen[0] && seen[1] && seen[2] && seen[3] && !seen[4] && !seen[5] && !seen[6] && !seen[7]);
    o = plain();
    o.top_p = 0.3; /* five equal ones share all but a little: two are enough */
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 500; i++) seen[sample(&o, logits, 8, -1, &rng)] = true;
    assert_true(seen[1] && seen[2] && !seen[3] && !seen[4] && !seen[6]);
    o.top_p = 0;
    for (int i = 0; i < 50; i++) assert_int_equal(sample(&o, logits, 8, -1, &rng), 1);
    o = plain();
    o.temperature = 0;
    uint64_t before = rng.position;
    assert_int_equal(sample(&o, logits, 8, -1, &rng), 1);
    assert_int_equal(rng.position, before); /* greedy takes no random number */
    rc_real zeros[3] = {(rc_real)-0.0, 0, (rc_real)-0.0};
    o = plain();
    o.top_k = 1;
    for (int i = 0; i < 50; i++) assert_int_equal(sample(&o, zeros, 3, -1, &rng), 0);
}

static void one_draw_each_and_reproducible(void **state) {
    (void)state;
    rc_real logits[50];
    rc_rng r = rc_rng_make(5, 0), a = rc_rng_make(9, 1), b = rc_rng_make(9, 1);
    rc_sampler_options o = plain(), narrow = plain();
    narrow.top_k = 4;
    narrow.top_p = 0.5;
    for (int i = 0; i < 50; i++) logits[i] = (rc_real)rc_rng_normal(&r);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sample(&o, logits, 50, -1, &a), sample(&o, logits, 50, -1, &b));
        sample(&narrow, logits, 50, -1, &a);
        sample(&o, logits, 50, 3, &b);
        assert_int_equal(a.position, b.position); /* whatever the options */
        assert_int_equal(a.position, 2 * (uint64_t)(i + 1));
    }
}

static void penalty_counts_each_id_once(void **state) {
    (void)state;
    rc_sampler_options o = plain();
    o.temperature = 0;
    o.repetition_penalty = 2;
    rc_rng rng = rc_rng_make(0, 0);
    int32_t recent[] = {0, 0, 0, 1, -5, 99};
    rc_real x[4] = {4, 1, (rc_real)1.9, 0};
    assert_int_equal(rc_sample(&o, x, 4, -1, recent, 6, &rng), 0); /* 4 / 2 = 2 > 1.9: divided once */
    assert_true(x[0] == 2 && x[1] == (rc_real)0.5);
    rc_real y[3] = {-1, -3, (rc_real)-1.5};
    assert_int_equal(rc_sample(&o, y, 3, -1, recent, 6, &rng), 2); /* negative ones are multiplied: -2 */
    rc_real z[4] = {4, 3, 0, 0};
    o.repetition_window = 3; /* looks at 1, -5, 99 only */
    assert_int_equal(rc_sample(&o, z, 4, -1, recent, 6, &rng), 0);
    assert_true(z[0] == 4 && z[1] == (rc_real)1.5);
    enum { MANY = 10000 };
    static int32_t history[MANY];
    static rc_real big[MANY];
    for (int i = 0; i < MANY; i++) history[i] = i, big[i] = 1;
    o.repetition_window = MANY;
    int32_t id = rc_sample(&o, big, MANY, -1, history, MANY, &rng);
    assert_true(id >= 0 && id < MANY && big[MANY - 1] == (rc_real)0.5);
}

static void unknown_is_never_drawn(void **state) {
    (void)state;
    rc_real logits[3] = {100, 1, 0};
    rc_sampler_options o = plain();
    rc_rng rng = rc_rng_make(2, 2);
    for (int i = 0; i < 200; i++) assert_int_not_equal(sample(&o, logits, 3, 0, &rng), 0);
    o.no_unk = false;
    assert_int_equal(sample(&o, logits, 3, 0, &rng), 0);
    o.no_unk = true;
    rc_real one[1] = {1};
    assert_int_equal(sample(&o, one, 1, 0, &rng), 0); /* nothing else there */
    rc_real none[2] = {5, (rc_real)-INFINITY};
    assert_int_equal(sample(&o, none, 2, 0, &rng), 1);
}

/* Every combination of strange logits and strange options gives a valid id. */
static void hostile_numbers(void **state) {
    (void)state;
    static const double values[] = {NAN,     INFINITY, -INFINITY, 0,  -0.0, FLT_MAX, -FLT_MAX,
                                    FLT_MIN, 1e-45,    1,         -1, 88,   -104,    1e30};
    static const double temps[] = {0, 1, 1e-300, 1e-30, 1e30, INFINITY, NAN, -1, 0.8};
    static const double ps[] = {1, 0, 0.5, -1, 2, NAN, 1e-9, 0.999999};
    static const size_t ks[] = {0, 1, 2, 5, (size_t)-1};
    rc_rng r = rc_rng_make(11, 0);
    rc_real logits[9];
    int32_t recent[4] = {0, 3, 8, -1};
    for (int round = 0; round < 200000; round++) {
        size_t n = 1 + (size_t)rc_rng_below(&r, 9);
        for (size_t i = 0; i < n; i++) logits[i] = (rc_real)values[rc_rng_below(&r, sizeof values / sizeof *values)];
        rc_sampler_options o = plain();
        o.temperature = temps[rc_rng_below(&r, 9)];
        o.top_p = ps[rc_rng_below(&r, 8)];
        o.min_p = ps[rc_rng_below(&r, 8)];
        o.top_k = ks[rc_rng_below(&r, 5)];
        o.repetition_penalty = values[rc_rng_below(&r, 14)];
        int32_t unk = (int32_t)rc_rng_below(&r, 11) - 1;
        bool any = false;
        for (size_t i = 0; i < n; i++) any |= !isnan(logits[i]) && logits[i] > (rc_real)-INFINITY && (int32_t)i != unk;
        rc_real first[9];
        memcpy(first, logits, sizeof first);
        int32_t id = rc_sample(&o, logits, n, unk, recent, 4, &r);
        assert_true(id >= 0 && (size_t)id < n);
        if (any)
            assert_true(!isnan(first[id]) && first[id] > (rc_real)-INFINITY && id != unk);
        else if (n > 1)
            assert_int_not_equal(id, unk);
    }
    rc_sampler_options o = plain();
    rc_real inf[3] = {1, (rc_real)INFINITY, 2}; /* an infinite logit takes all */
    for (int i = 0; i < 20; i++) assert_int_equal(sample(&o, inf, 3, -1, &r), 1);
}

static void large_vocabulary(void **state) {
    (void)state;
    enum { N = 200000 };
    rc_real *logits = malloc(N * sizeof *logits), *copy = malloc(N * sizeof *copy);
    rc_rng r = rc_rng_make(4, 4);
    for (int i = 0; i < N; i++) logits[i] = (rc_real)rc_rng_normal(&r);
    rc_sampler_options o = plain();
    o.top_k = 1000;
    o.top_p = 0.9;
    o.min_p = 0.01;
    size_t before = rc_memory_used();
    memcpy(copy, logits, N * sizeof *copy);
    int32_t id = rc_sample(&o, copy, N, 0, NULL, 0, &r);
    assert_int_equal(rc_memory_used(), before);
    size_t kept = 0, larger = 0;
    for (int i = 0; i < N; i++) kept += copy[i] > 0, larger += logits[i] > logits[id];
    assert_true(kept <= 1000 && kept > 500 && larger < 1000);
    free(logits);
    free(copy);
}

/* The ways for large k and flat distributions: the kept set is what the definition says. */
static void borders_in_large_vocabularies(void **state) {
    (void)state;
    enum { N = 6000 };
    static rc_real logits[N], p[N], x[N];
    rc_rng g = rc_rng_make(8, 0);
    for (int round = 0; round < 40; round++) {
        double spread = round % 4; /* 0: all alike */
        for (int i = 0; i < N; i++) logits[i] = (rc_real)(spread * rc_rng_normal(&g));
        rc_sampler_options o = plain();
        if (round % 2)
            o.top_k = 1025 + (size_t)rc_rng_below(&g, 4000);
        else
            o.top_p = 0.05 + 0.949 * rc_rng_uniform(&g);
        memcpy(p, logits, sizeof p);
        memcpy(x, logits, sizeof x);
        rc_sampler_options all = plain();
        rc_sample(&all, p, N, -1, NULL, 0, &g); /* leaves the probabilities */
        int32_t id = rc_sample(&o, x, N, -1, NULL, 0, &g);
        double kept_mass = 0, total = 0, least_kept = 2, most_dropped = 0;
        size_t kept = 0;
        for (int i = 0; i < N; i++) {
            total += (double)p[i];
            if (x[i] > 0)
                kept++, kept_mass += (double)p[i], least_kept = fmin(least_kept, (double)p[i]);
            else
                most_dropped = fmax(most_dropped, (double)p[i]);
        }
        assert_true(x[id] > 0 && least_kept >= most_dropped);
        if (o.top_k)
            assert_int_equal(kept, o.top_k);
        else {
            assert_true(kept_mass >= o.top_p * total * (1 - 1e-9));
            assert_true(kept_mass - least_kept < o.top_p * total * (1 + 1e-9));
        }
        if (spread == 0) assert_true(x[kept - 1] > 0 && (kept == N || x[kept] == 0)); /* the lowest ids */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(ties_keep_the_lowest_ids),
        cmocka_unit_test(one_draw_each_and_reproducible),
        cmocka_unit_test(penalty_counts_each_id_once),
        cmocka_unit_test(unknown_is_never_drawn),
        cmocka_unit_test(hostile_numbers),
        cmocka_unit_test(large_vocabulary),
        cmocka_unit_test(borders_in_large_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
