/* Nearest neighbours: warping against all paths, by hand, and the archive's published accuracies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "tasks/baselines.h"

/* The least sum over all paths from (i, j) to both ends. */
static double all_paths(size_t C, rc__steps a, rc__steps b, size_t i, size_t j) {
    double cost = 0, best = INFINITY;
    for (size_t c = 0; c < C; c++) cost += pow(a.x[i * C + c] - b.x[j * C + c], 2);
    if (i + 1 == a.n && j + 1 == b.n) return cost;
    if (i + 1 < a.n) best = fmin(best, all_paths(C, a, b, i + 1, j));
    if (j + 1 < b.n) best = fmin(best, all_paths(C, a, b, i, j + 1));
    if (i + 1 < a.n && j + 1 < b.n) best = fmin(best, all_paths(C, a, b, i + 1, j + 1));
    return cost + best;
}

static void warping_is_the_best_of_all_paths(void **state) {
    (void)state;
    double x[10][14];
    rc__steps train[9], test;
    rc_rng rng = rc_rng_make(9, 0);
    for (int round = 0; round < 20; round++) {
        for (size_t k = 0; k < 10; k++) {
            for (size_t i = 0; i < 14; i++) x[k][i] = rc_rng_normal(&rng);
            if (k < 9) train[k] = (rc__steps){x[k], 1 + rc_rng_below(&rng, 7)};
        }
        test = (rc__steps){x[9], 1 + rc_rng_below(&rng, 7)};
        size_t nearest, want = 0;
        double distance, best = INFINITY;
        assert_int_equal(rc__nearest(RC_NEAR_DTW, 2, 9, train, 1, &test, &nearest, &distance, NULL), RC_OK);
        for (size_t k = 0; k < 9; k++) {
            double d = all_paths(2, test, train[k], 0, 0);
            if (d < best) {
                best = d;
                want = k;
            }
        }
        assert_int_equal(nearest, want);
        assert_true(fabs(distance - sqrt(best)) < 1e-12);
    }
}

static void by_hand(void **state) {
    (void)state;
    const double a[] = {0, 1, 2, 3, 3, 3}, b[] = {0, 0, 1, 2, 3}, c[] = {5, 5, 5, 5, 5}, broken[] = {0, NAN, 2, 3, 4};
    const rc__steps train[] = {{c, 5}, {b, 5}, {b, 5}, {broken, 5}}, test[] = {{a, 6}, {a, 5}, {NULL, 0}};
    size_t nearest[3];
    double distance[3];
    rc_error e;
    assert_int_equal(rc__nearest(RC_NEAR_DTW, 1, 4, train, 3, test, nearest, distance, NULL), RC_OK);
    assert_true(nearest[0] == 1 && distance[0] == 0 && nearest[1] == 1 && isinf(distance[2]) && nearest[2] == 0);
    assert_int_equal(rc__nearest(RC_NEAR_EUCLID, 1, 4, train, 1, test + 1, nearest, distance, NULL), RC_OK);
    assert_true(nearest[0] == 1 && fabs(distance[0] - sqrt(3)) < 1e-15);
    assert_int_equal(rc__nearest(RC_NEAR_EUCLID, 1, 4, train, 1, test, nearest, distance, &e), RC_EINVAL);
    assert_string_equal(e.text, "Euclidean distance: series 0 has 6 steps, the training series 5");
    assert_int_equal(rc__nearest(RC_NEAR_DTW, 1, 0, train, 1, test, nearest, NULL, &e), RC_EINVAL);
    assert_int_equal(rc__nearest(RC_NEAR_DTW, 1, 1, train, 0, NULL, NULL, NULL, &e), RC_OK);
    assert_int_equal(rc__nearest(RC_NEAR_DTW, 1, 1, train + 3, 1, test, nearest, distance, NULL), RC_OK);
    assert_true(isinf(distance[0]));
}

/* ---- the archive ------------------------------------------------------------------------------------------------- */

typedef struct set {
    size_t n;
    rc__steps series[1100];
    char label[1100][16];
    double *all;
} set;

static void read_ts(const char *data, const char *name, size_t channels, set *s) {
    static char line[1 << 16];
    char path[500];
    snprintf(path, sizeof path, "%s/ucr-uea/%s.ts", data, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    s->all = malloc((1 << 18) * sizeof *s->all);
    double *at = s->all;
    s->n = 0;
    bool begun = false;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || line[0] == '@' || !begun) {
            begun = begun || strncmp(line, "@data", 5) == 0;
            continue;
        }
        char *p = line;
        size_t steps = 0;
        for (size_t c = 0; c < channels; c++, p++) { /* a channel is numbers, then ":" */
            for (steps = 0; c == 0 || *(p - 1) != ':' || steps == 0; steps++) {
                at[steps * channels + c] = strtod(p, &p);
                if (*p == ':') {
                    steps++;
                    break;
                }
                p++;
            }
        }
        s->series[s->n] = (rc__steps){at, steps};
        at += steps * channels;
        snprintf(s->label[s->n], sizeof s->label[0], "%.*s", (int)strcspn(p, "\r\n"), p);
        s->n++;
    }
    fclose(f);
}

static void published(void **state) {
    (void)state;
    const char *data = getenv("RECUR_DATA");
    if (!data || !*data) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    /* One channel: the UCR archive's tables. Several: DTW_D as in Bagnall 2018, arXiv 1811.00075; BasicMotions'
     * Euclidean accuracy computed apart with numpy (the paper has .675). */
    const struct {
        const char *name;
        size_t channels, n;
        double euclid, dtw;
    } want[] = {{"GunPoint", 1, 150, .9133, .9067},
                {"ItalyPowerDemand", 1, 1029, .9553, .9504},
                {"BasicMotions", 6, 40, .6, .975},
                {"JapaneseVowels", 12, 370, 0, .949}};
    static set train, test;
    static size_t nearest[1100];
    char name[40];
    for (size_t k = 0; k < 4; k++) {
        snprintf(name, sizeof name, "%s_TRAIN", want[k].name);
        read_ts(data, name, want[k].channels, &train);
        snprintf(name, sizeof name, "%s_TEST", want[k].name);
        read_ts(data, name, want[k].channels, &test);
        assert_int_equal(test.n, want[k].n);
        for (int how = RC_NEAR_EUCLID; how <= RC_NEAR_DTW; how++) {
            double accuracy = how == RC_NEAR_DTW ? want[k].dtw : want[k].euclid, right = 0;
            if (accuracy == 0) continue; /* lengths differ */
            assert_int_equal(rc__nearest((rc__near)how, want[k].channels, train.n, train.series, test.n, test.series,
                                         nearest, NULL, NULL),
                             RC_OK);
            for (size_t i = 0; i < test.n; i++) right += strcmp(test.label[i], train.label[nearest[i]]) == 0;
            print_message("%s %d: %.4f\n", want[k].name, how, right / (double)test.n);
            assert_true(fabs(right / (double)test.n - accuracy) < .0006);
        }
        free(train.all);
        free(test.all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warping_is_the_best_of_all_paths),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
