/* Synthetic sources: specs, rows that are what they claim, baselines by measurement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/synthetic.h"

static rc__source parse(const char *spec) {
    rc__source s;
    rc_error e;
    if (rc__source_parse(&s, spec, &e) != RC_OK) fail_msg("%s", e.text);
    return s;
}

static void specs(void **state) {
    (void)state;
    static const struct {
        const char *spec, *says;
    } bad[] = {{"ading:T=5", "did you mean adding"},
               {"counting", "did you mean"},
               {"temporal_order:T=50", "temporal-order"},
               {"adding:t=5", "adding takes T"},
               {"adding:", "adding takes T"},
               {"adding:T", "adding takes T"},
               {"adding:T=", "whole number"},
               {"adding:T=5x", "\"5x\""},
               {"adding:T=-5", "\"-5\""},
               {"adding:T=5,", "adding takes"},
               {"adding:T=5,T=6", "twice"},
               {"adding:T=1", "2 to"},
               {"copy:k=1", "k must be 2"},
               {"copy:T=5,m=2", "\"m=2\""},
               {"copy:n=0", "n must be"},
               {"adding:T=99999999999999999999999", "whole number"},
               {"adding:T=1000001", "1000000"},
               {"xyz", "expected adding, copy"},
               {"", "expected adding"},
               {"count:T=4", "5 to"},
               {"temporal-order:T=9", "10 to"}};
    rc_error e;
    rc__source s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rc__source_parse(&s, bad[i].spec, &e), RC_EINVAL);
        if (!strstr(e.text, bad[i].says)) fail_msg("%s: %s", bad[i].spec, e.text);
    }
    s = parse("copy:k=3,T=7,n=2");
    assert_true(s.T == 7 && s.n == 2 && s.k == 3 && s.seq_len == 11 && s.vocab_size == 5 && s.score_from == 9);
    assert_int_equal(parse("adding").T, 200);
    assert_true(rc__source_named("adding") && rc__source_named("copy:T=5") && rc__source_named("ading:T=9"));
    assert_false(rc__source_named("input.txt"));
    assert_false(rc__source_named("/data/copy"));
    assert_false(rc__source_named("addin"));
    assert_false(rc__source_named("data:x=1"));
}

enum { B = 7 };

static void adding(void **state) {
    (void)state;
    static const size_t lengths[] = {2, 3, 10, 201};
    for (int c = 0; c < 4; c++) {
        rc__source s = parse("adding");
        s.T = s.seq_len = lengths[c];
        rc_real *x = malloc(s.T * B * 2 * sizeof *x), y[B];
        double var = 0;
        int rounds = 400;
        for (int i = 0; i < rounds; i++) {
            rc__source_batch(&s, 1, (uint64_t)i, B, x, NULL, y, NULL);
            for (size_t r = 0; r < B; r++) {
                double sum = 0;
                size_t marks[2] = {0, 0};
                for (size_t t = 0; t < s.T; t++) {
                    double v = (double)x[(t * B + r) * 2], m = (double)x[(t * B + r) * 2 + 1];
                    assert_true(v >= 0 && v < 1 && (m == 0 || m == 1));
                    if (m == 1) marks[t >= s.T / 2]++, sum += v;
                }
                assert_true(marks[0] == 1 && marks[1] == 1);
                assert_true(fabs(sum - (double)y[r]) < 1e-6);
                var += ((double)y[r] - 1) * ((double)y[r] - 1);
            }
        }
        assert_true(fabs(var / rounds / B - s.baseline) < 0.02);
        free(x);
    }
}

static void copy(void **state) {
    (void)state;
    rc__source s = parse("copy:T=20,n=5,k=4");
    int32_t ids[30 * B], y[30 * B];
    size_t kinds[4] = {0};
    for (uint64_t i = 0; i < 200; i++) {
        rc__source_batch(&s, 1, i, B, NULL, ids, NULL, y);
        for (size_t r = 0; r < B; r++)
            for (size_t t = 0; t < 30; t++) {
                int32_t id = ids[t * B + r], target = y[t * B + r];
                if (t < 5)
                    assert_in_range(id, 0, 3), kinds[id]++;
                else
                    assert_int_equal(id, t == 24 ? 5 : 4);
                assert_int_equal(target, t < 25 ? 4 : ids[(t - 25) * B + r]);
            }
    }
    for (int k = 0; k < 4; k++) assert_in_range(kinds[k], 1600, 1900);
    assert_true(fabs(s.baseline - 5 * log(4) / 30) < 1e-12);
}

static void temporal_order(void **state) {
    (void)state;
    rc__source s = parse("temporal-order:T=60");
    int32_t ids[60 * B], y[B];
    size_t classes[4] = {0};
    for (uint64_t i = 0; i < 200; i++) {
        rc__source_batch(&s, 1, i, B, NULL, ids, NULL, y);
        for (size_t r = 0; r < B; r++) {
            int32_t found[2] = {0}, n = 0;
            for (size_t t = 0; t < 60; t++) {
                int32_t id = ids[t * B + r];
                if (t == 0)
                    assert_int_equal(id, 6);
                else if (t == 59)
                    assert_int_equal(id, 7);
                else if (id >= 4) {
                    assert_true(n < 2 && id <= 5 && (n == 0 ? t >= 6 && t < 12 : t >= 30 && t < 36));
                    found[n++] = id - 4;
                }
            }
            assert_int_equal(n, 2);
            assert_int_equal(y[r], 2 * found[0] + found[1]);
            classes[y[r]]++;
        }
    }
    for (int k = 0; k < 4; k++) assert_in_range(classes[k], 290, 410);
    s = parse("temporal-order:T=10");
    rc__source_batch(&s, 1, 0, B, NULL, ids, NULL, y);
}

static void count(void **state) {
    (void)state;
    rc__source s = parse("count:T=12"); /* N = 5 */
    int32_t ids[12 * B], y[12 * B];
    double ends = 0, scored = 0, sizes[6] = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        rc__source_batch(&s, 1, i, B, NULL, ids, NULL, y);
        for (size_t r = 0; r < B; r++) {
            size_t a = 0, b = 0;
            assert_int_equal(ids[r], 0);
            for (size_t t = 0; t < 12; t++) {
                int32_t id = ids[t * B + r], next = t + 1 < 12 ? ids[(t + 1) * B + r] : 0, target = y[t * B + r];
                a += id == 1;
                b += id == 2;
                if (id == 2) {
                    assert_int_equal(target, next); /* the next symbol, and counting tells which */
                    assert_int_equal(target, b == a ? 0 : 2);
                    scored++;
                    ends += target == 0;
                } else
                    assert_int_equal(target, -100);
            }
            assert_true(a == b && a >= 1 && a <= 5);
            sizes[a]++;
        }
    }
    for (int n = 1; n <= 5; n++) assert_true(sizes[n] > 1200 && sizes[n] < 1600);
    double p = ends / scored;
    assert_true(fabs(-p * log(p) - (1 - p) * log(1 - p) - s.baseline) < 0.01);
}

static void pure_function(void **state) {
    (void)state;
    rc__source s = parse("count:T=50");
    int32_t a[50 * B], b[50 * B], c[50 * B], y[50 * B];
    rc__source_batch(&s, 1, 5, B, NULL, a, NULL, y);
    rc__source_batch(&s, 1, 6, B, NULL, b, NULL, y);
    assert_memory_not_equal(a, b, sizeof a);
    rc__source_batch(&s, 2, 5, B, NULL, b, NULL, y);
    assert_memory_not_equal(a, b, sizeof a);
    rc__source_batch(&s, 1, 5, B, NULL, c, NULL, y);
    assert_memory_equal(a, c, sizeof a);
    s = parse("adding");
    assert_true(rc__source_solved(&s, 0.009) && !rc__source_solved(&s, 0.01) && !rc__source_solved(&s, NAN));
    s = parse("copy");
    assert_true(rc__source_solved(&s, 0.99) && !rc__source_solved(&s, 0.98) && !rc__source_solved(&s, NAN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs),          cmocka_unit_test(adding), cmocka_unit_test(copy),
        cmocka_unit_test(temporal_order), cmocka_unit_test(count),  cmocka_unit_test(pure_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
