/* Measures of detection: by hand, NAB's also against a plain reading of its rules at every threshold, and on its
 * labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "metrics/anomaly.h"
#include "nab_helper.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-11)

static void flags(const char *text, uint8_t *out) {
    for (size_t i = 0; text[i]; i++) out[i] = text[i] == '1';
}

static void points_and_adjusted(void **state) {
    (void)state;
    uint8_t truth[12], guess[12];
    flags("001111001100", truth);
    flags("100100000010", guess);
    rc__prf s = rc__anomaly_points(12, truth, guess);
    NEAR(s.precision, 1 / 3.);
    NEAR(s.recall, 1 / 6.);
    NEAR(s.f1, 2 / 9.);
    s = rc__anomaly_points_adjusted(12, truth, guess); /* the first range is all found: 4 of 6, 2 false */
    NEAR(s.precision, 4 / 6.);
    NEAR(s.recall, 4 / 6.);
    assert_true(s.support == 6);
    s = rc__anomaly_points(0, truth, guess);
    assert_true(s.f1 == 0 && s.precision == 0);
    const double score[] = {.5, NAN, .4, INFINITY};
    rc__detect_at(4, score, .5, guess);
    assert_true(guess[0] == 1 && guess[1] == 0 && guess[2] == 0 && guess[3] == 1);
}

static void events_by_hand(void **state) {
    (void)state;
    uint8_t truth[14], guess[14];
    rc__range t[8], g[8];
    flags("01110011000111", truth);
    flags("10101000100010", guess);
    size_t R = rc__ranges_of(14, truth, t), P = rc__ranges_of(14, guess, g);
    assert_true(R == 3 && P == 5 && t[2].start == 11 && t[2].end == 14 && g[0].start == 0 && g[0].end == 1);
    rc__prf s = rc__anomaly_events(R, t, P, g);
    NEAR(s.recall, 2 / 3.);
    NEAR(s.precision, 2 / 5.);
    NEAR(s.f1, .5);
    s = rc__anomaly_events(0, t, P, g);
    assert_true(s.precision == 0 && s.recall == 0 && s.f1 == 0);
}

/* True 0-10 and 20-24; guessed 2-4, 6-9, 12-14, 22-30. */
static void ranges_by_hand(void **state) {
    (void)state;
    const rc__range t[] = {{0, 10}, {20, 24}}, g[] = {{2, 4}, {6, 9}, {12, 14}, {22, 30}};
    rc__prf s = rc__anomaly_ranges(2, t, 4, g, 0, RC_CARDINALITY_ONE);
    NEAR(s.recall, (.5 + .5) / 2);
    NEAR(s.precision, (1 + 1 + 0 + .25) / 4);
    s = rc__anomaly_ranges(2, t, 4, g, 0, RC_CARDINALITY_RECIPROCAL);
    NEAR(s.recall, (.25 + .5) / 2);
    NEAR(s.precision, (1 + 1 + 0 + .25) / 4);
    s = rc__anomaly_ranges(2, t, 4, g, .3, RC_CARDINALITY_RECIPROCAL);
    NEAR(s.recall, .3 + .7 * (.25 + .5) / 2);
    NEAR(s.f1, 2 * s.precision * s.recall / (s.precision + s.recall));
    const rc__range wide[] = {{0, 30}};
    s = rc__anomaly_ranges(2, t, 1, wide, 0, RC_CARDINALITY_RECIPROCAL);
    NEAR(s.recall, 1.);
    NEAR(s.precision, 14 / 30. / 2);
    s = rc__anomaly_ranges(2, t, 0, g, .5, RC_CARDINALITY_ONE);
    assert_true(s.recall == 0 && s.precision == 0 && s.f1 == 0);
}

/* ---- NAB --------------------------------------------------------------------------------------------------------- */

static double sigma(double x) { return 2 / (1 + exp(5 * x)) - 1; }

static void probation(void **state) {
    (void)state;
    assert_int_equal(rc__nab_probation(0), 0);
    assert_int_equal(rc__nab_probation(100), 15);
    assert_int_equal(rc__nab_probation(4032), 604);
    assert_int_equal(rc__nab_probation(5000), 750);
    assert_int_equal(rc__nab_probation(22695), 750);
}

/* 100 rows, 15 unscored, one window of rows 40..49. */
static void nab_by_hand(void **state) {
    (void)state;
    double score[100] = {0};
    const rc__range window = {40, 50};
    const rc__nab_series series = {100, 1, score, &window};
    rc__nab_result r;
    score[10] = 1;  /* on probation: nothing */
    score[43] = .9; /* 7 rows before the end of 10 */
    score[45] = .9; /* later: nothing more */
    score[20] = .8; /* before any window: -1 */
    score[52] = .7; /* 3 rows past the last of 10: 3 / 9 of a width */
    score[90] = .6; /* more than 3 widths */
    const double at[] = {.95, .9, .8, .75, .6, 0};
    const double hit = sigma(-.7) / sigma(-1), near = .11 * sigma(3 / 9.);
    const double want[] = {-1, hit, hit - .11, hit - .11, hit - .11 + near - .11};
    for (size_t k = 0; k < 5; k++) {
        assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, &at[k], &r, NULL), RC_OK);
        NEAR(r.score, want[k]);
        NEAR(r.normalised, 100 * (want[k] + 1) / 2);
        assert_true(r.threshold == at[k]);
    }
    assert_true(r.tp == 2 && r.fn == 8 && r.fp == 3 && r.tn == 72 && r.windows == 1 && r.found == 1);
    assert_int_equal(rc__nab_score(&rc__nab_profiles[2], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(r.threshold == .9 && r.null == -2 && r.perfect == 1);
    NEAR(r.score, hit);
    NEAR(r.normalised, 100 * (hit + 2) / 3);
    score[40] = .85; /* the first row: all of tp, but 20 and 30 come first */
    score[30] = .86;
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(r.threshold == .9); /* hit > 1 - .11 */
    score[30] = 0;
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(r.threshold == .85);
    NEAR(r.normalised, 100.);
}

static void nab_corners(void **state) {
    (void)state;
    double score[40];
    const rc__range one_row = {20, 21}, early[] = {{0, 4}, {30, 40}}, wrong[] = {{5, 9}, {8, 12}}, beyond = {39, 41};
    rc__nab_series series = {40, 1, score, &one_row};
    rc__nab_result r;
    rc_error e;
    const double half = .5;
    for (size_t i = 0; i < 40; i++) score[i] = NAN;
    assert_int_equal(rc__nab_score(&rc__nab_profiles[1], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(isinf(r.threshold) && r.score == -1 && r.normalised == 0 && r.fn == 1 && r.tn == 33);
    score[25] = 1; /* after a window of one row: beyond */
    assert_int_equal(rc__nab_score(&rc__nab_profiles[1], 1, &series, &half, &r, NULL), RC_OK);
    NEAR(r.score, -1 - .22);
    series = (rc__nab_series){40, 2, score, early}; /* a window on probation: not missed, but a perfect one has it */
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(r.null == -1 && r.perfect == 2 && r.windows == 1);
    series.windows = 0;
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, NULL), RC_OK);
    assert_true(isnan(r.normalised) && r.score == 0);
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 0, NULL, NULL, &r, NULL), RC_OK);
    series = (rc__nab_series){40, 2, score, wrong};
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, &e), RC_EINVAL);
    assert_string_equal(e.text, "series 0: window 1, rows 8 to 12, is not one after the last within 40 rows");
    series = (rc__nab_series){40, 1, score, &beyond};
    assert_int_equal(rc__nab_score(&rc__nab_profiles[0], 1, &series, NULL, &r, &e), RC_EINVAL);
}

/* The score of one series at one threshold, row by row as the rules are told. */
static double plain_nab(const rc__nab_profile *p, const rc__nab_series *s, double threshold) {
    double total = 0;
    for (size_t w = 0; w < s->windows; w++) {
        double best = -p->fn;
        bool scored = false;
        size_t first = s->window[w].start, right = s->window[w].end - 1;
        for (size_t i = first; i <= right; i++) {
            if (i < rc__nab_probation(s->rows)) continue;
            scored = true;
            if (s->score[i] < threshold) continue;
            double position = -((double)right - (double)i + 1) / (double)(right - first + 1);
            best = fmax(best, p->tp * sigma(position) / sigma(-1));
        }
        if (scored) total += best;
    }
    for (size_t i = rc__nab_probation(s->rows); i < s->rows; i++) {
        double past = 99;
        bool inside = false;
        for (size_t w = 0; w < s->windows; w++) {
            inside = inside || (i >= s->window[w].start && i < s->window[w].end);
            if (i < s->window[w].end) continue;
            past = (double)(i - (s->window[w].end - 1)) / (double)(s->window[w].end - 1 - s->window[w].start);
        }
        if (!inside && s->score[i] >= threshold) total += p->fp * (past > 3 ? -1 : sigma(past));
    }
    return total;
}

static void nab_at_every_threshold(void **state) {
    (void)state;
    enum { ROWS = 120 };
    double score[3][ROWS];
    const rc__range a[] = {{30, 37}, {37, 60}, {90, 94}}, b[] = {{10, 25}, {110, 120}};
    const rc__nab_series series[] = {{ROWS, 3, score[0], a}, {ROWS, 2, score[1], b}, {ROWS - 50, 0, score[2], NULL}};
    rc_rng rng = rc_rng_make(3, 0);
    for (size_t i = 0; i < 3 * ROWS; i++)
        score[i / ROWS][i % ROWS] = (double)rc_rng_below(&rng, 50) / 50; /* many ties */
    for (size_t p = 0; p < RC_NAB_PROFILES; p++) {
        double best = -INFINITY, best_at = 0;
        rc__nab_result r;
        for (size_t k = 51; k-- > 0;) {
            double threshold = (double)k / 50, want = 0;
            for (size_t s = 0; s < 3; s++) want += plain_nab(&rc__nab_profiles[p], &series[s], threshold);
            assert_int_equal(rc__nab_score(&rc__nab_profiles[p], 3, series, &threshold, &r, NULL), RC_OK);
            assert_true(fabs(r.score - want) < 1e-9);
            if (want > best + 1e-9) {
                best = want;
                best_at = threshold;
            }
        }
        assert_int_equal(rc__nab_score(&rc__nab_profiles[p], 3, series, NULL, &r, NULL), RC_OK);
        assert_true(fabs(r.score - best) < 1e-9);
        assert_true(r.threshold == best_at || (isinf(r.threshold) && best_at == 1));
    }
}

static void null_and_perfect_on_real_labels(void **state) {
    (void)state;
    static nab_corpus c;
    if (!nab_open(&c)) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    static double score[NAB_SERIES][30000];
    rc__nab_series series[NAB_SERIES];
    rc__nab_result r;
    size_t windows = 0;
    for (size_t k = 0; k < c.n; k++) {
        for (size_t i = 0; i < c.file[k].rows; i++) score[k][i] = .5;
        series[k] = (rc__nab_series){c.file[k].rows, c.file[k].windows, score[k], c.file[k].window};
        windows += c.file[k].windows;
    }
    assert_int_equal(c.n, 23);
    for (size_t p = 0; p < RC_NAB_PROFILES; p++) { /* NAB's null detector: .5 everywhere */
        assert_int_equal(rc__nab_score(&rc__nab_profiles[p], c.n, series, NULL, &r, NULL), RC_OK);
        assert_true(r.normalised == 0 && r.windows == windows && r.found == 0 && isinf(r.threshold));
    }
    for (size_t k = 0; k < c.n; k++) {
        for (size_t w = 0; w < series[k].windows; w++) score[k][series[k].window[w].start] = 1;
    }
    for (size_t p = 0; p < RC_NAB_PROFILES; p++) {
        assert_int_equal(rc__nab_score(&rc__nab_profiles[p], c.n, series, NULL, &r, NULL), RC_OK);
        NEAR(r.normalised, 100.);
        assert_true(r.found == windows && r.fp == 0);
    }
    nab_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_and_adjusted),
        cmocka_unit_test(events_by_hand),
        cmocka_unit_test(ranges_by_hand),
        cmocka_unit_test(probation),
        cmocka_unit_test(nab_by_hand),
        cmocka_unit_test(nab_corners),
        cmocka_unit_test(nab_at_every_threshold),
        cmocka_unit_test(null_and_perfect_on_real_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
