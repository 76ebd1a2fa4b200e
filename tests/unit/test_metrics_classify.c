/* Measures of classification, against scikit-learn and by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "metrics/classify.h"

#include "golden/metrics_data.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)
#define N          60

static void same_prf(const rc__prf *got, const double *want) {
    NEAR(got->precision, want[0]);
    NEAR(got->recall, want[1]);
    NEAR(got->f1, want[2]);
}

static void classes_as_scikit_learn(void **state) {
    (void)state;
    uint64_t confusion[36];
    rc__class_scores s;
    rc__prf each[6];
    size_t missing = 99;
    assert_int_equal(rc__confusion(N, class_truth, class_guess, 6, confusion, &missing, NULL), RC_OK);
    assert_int_equal(missing, 0);
    assert_memory_equal(confusion, class_confusion, sizeof confusion);
    rc__class_scores_of(6, confusion, &s, each);
    assert_int_equal(s.rows, N);
    assert_int_equal(s.present, 5); /* class 5 is nowhere */
    same_prf(&s.macro, class_macro);
    same_prf(&s.micro, class_micro);
    same_prf(&s.weighted, class_weighted);
    for (size_t c = 0; c < 6; c++) {
        same_prf(&each[c], class_each + 4 * c);
        NEAR(each[c].support, class_each[4 * c + 3]);
    }
    NEAR(s.accuracy, class_single[0]);
    NEAR(s.balanced, class_single[1]);
    NEAR(s.kappa, class_single[2]);
    NEAR(s.mcc, class_single[3]);
}

static void several_labels_as_scikit_learn(void **state) {
    (void)state;
    rc__multilabel_scores s;
    rc__prf each[5];
    assert_int_equal(rc__multilabel(N, 5, multi_truth, multi_guess, &s, each, NULL), RC_OK);
    same_prf(&s.macro, multi_macro);
    same_prf(&s.micro, multi_micro);
    same_prf(&s.weighted, multi_weighted);
    same_prf(&s.samples, multi_samples);
    NEAR(s.subset_accuracy, multi_single[0]);
    NEAR(s.hamming, multi_single[1]);
    assert_true(each[4].f1 == 0 && each[4].support == 0);
}

static void probabilities_as_scikit_learn(void **state) {
    (void)state;
    double x;
    int32_t binary[N];
    assert_int_equal(rc__log_loss(N, 4, class_prob, class_truth, &x, NULL), RC_OK);
    NEAR(x, class_prob_single[0]);
    assert_int_equal(rc__brier(N, 4, class_prob, class_truth, &x, NULL), RC_OK);
    NEAR(x, class_prob_single[1]);
    assert_int_equal(rc__top_k_accuracy(N, 4, class_prob, class_truth, 2, &x, NULL), RC_OK);
    NEAR(x, class_prob_single[2]);
    for (size_t i = 0; i < N; i++) binary[i] = class_truth[i] > 0;
    assert_int_equal(rc__brier(N, 2, binary_prob, binary, &x, NULL), RC_OK);
    NEAR(x, 2 * binary_brier[0]);
}

static void top_k_with_ties_and_nan(void **state) {
    (void)state;
    const double score[] = {1, 1, 0, /* ties: class 0 before class 1 */ NAN, 2, 1, 3, 2, 1};
    const int32_t truth[] = {1, 0, -1};
    double x;
    assert_int_equal(rc__top_k_accuracy(3, 3, score, truth, 1, &x, NULL), RC_OK);
    NEAR(x, 0);
    assert_int_equal(rc__top_k_accuracy(3, 3, score, truth, 2, &x, NULL), RC_OK);
    NEAR(x, .5); /* NaN never */
}

static void certain_and_wrong_is_finite(void **state) {
    (void)state;
    const double p[] = {1, 0};
    const int32_t truth[] = {1};
    double x;
    assert_int_equal(rc__log_loss(1, 2, p, truth, &x, NULL), RC_OK);
    NEAR(x, 52 * log(2));
    assert_int_equal(rc__brier(1, 2, p, truth, &x, NULL), RC_OK);
    NEAR(x, 2);
}

/* Five rows, bins (0, .5], (.5, 1]. First: confidence .5 twice, one right: |1 - 1.0|. Second: .6 right, .8 wrong, 1
 * right: |2 - 2.4|. Over 5. */
static void calibration_by_hand(void **state) {
    (void)state;
    const double p[] = {.5, .5, .5, .5, .4, .6, .8, .2, 1, 0};
    const int32_t truth[] = {0, 1, 1, 1, 0};
    double x;
    assert_int_equal(rc__calibration_error(5, 2, p, truth, 2, &x, NULL), RC_OK);
    NEAR(x, .4 / 5);
    assert_int_equal(rc__calibration_error(5, 2, p, truth, 1, &x, NULL), RC_OK);
    NEAR(x, fabs(3 - 3.4) / 5);
    assert_int_equal(rc__calibration_error(5, 2, p, truth, 0, &x, NULL), RC_EINVAL);
}

static void nothing_and_one_class(void **state) {
    (void)state;
    uint64_t confusion[4];
    rc__class_scores s;
    rc__multilabel_scores m;
    const int32_t missing_truth[] = {-1, -1}, zeros[] = {0, 0};
    size_t missing;
    double x = 5;
    assert_int_equal(rc__confusion(2, missing_truth, zeros, 2, confusion, &missing, NULL), RC_OK);
    assert_int_equal(missing, 2);
    rc__class_scores_of(2, confusion, &s, NULL);
    assert_true(s.rows == 0 && s.present == 0 && isnan(s.accuracy) && isnan(s.kappa) && isnan(s.balanced));
    assert_true(s.mcc == 0 && s.macro.f1 == 0 && s.weighted.f1 == 0);
    assert_int_equal(rc__confusion(2, zeros, zeros, 2, confusion, NULL, NULL), RC_OK);
    rc__class_scores_of(2, confusion, &s, NULL);
    assert_true(s.accuracy == 1 && s.macro.f1 == 1 && isnan(s.kappa) && s.mcc == 0);
    assert_int_equal(rc__log_loss(0, 2, NULL, NULL, &x, NULL), RC_OK);
    assert_true(isnan(x));
    assert_int_equal(rc__multilabel(0, 0, NULL, NULL, &m, NULL, NULL), RC_OK);
    assert_true(isnan(m.subset_accuracy) && m.micro.f1 == 0);
}

static void wrong_classes_are_named(void **state) {
    (void)state;
    uint64_t confusion[4];
    rc_error e;
    const int32_t good[] = {0, 1}, bad[] = {0, 2}, negative[] = {-1, 0};
    double x;
    assert_int_equal(rc__confusion(2, bad, good, 2, confusion, NULL, &e), RC_EINVAL);
    assert_string_equal(e.text, "row 1: the truth is class 2, expected 0 to 1");
    assert_int_equal(rc__confusion(2, good, negative, 2, confusion, NULL, &e), RC_EINVAL);
    assert_string_equal(e.text, "row 0: the guess is class -1, expected 0 to 1");
    assert_int_equal(rc__log_loss(2, 2, class_prob, bad, &x, &e), RC_EINVAL);
    assert_int_equal(rc__calibration_error(2, 2, class_prob, bad, 3, &x, &e), RC_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_as_scikit_learn),       cmocka_unit_test(several_labels_as_scikit_learn),
        cmocka_unit_test(probabilities_as_scikit_learn), cmocka_unit_test(top_k_with_ties_and_nan),
        cmocka_unit_test(certain_and_wrong_is_finite),   cmocka_unit_test(calibration_by_hand),
        cmocka_unit_test(nothing_and_one_class),         cmocka_unit_test(wrong_classes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
