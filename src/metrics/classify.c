/* classify.c - the confusion matrix and what follows from it; scores of probabilities. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "metrics/classify.h"

static double quotient(double a, double b) { return b > 0 ? a / b : 0; }

rc__prf rc__prf_of(double right, double guessed, double support) {
    return (rc__prf){quotient(right, guessed), quotient(right, support), quotient(2 * right, guessed + support),
                     support};
}

static void add_prf(rc__prf *sum, const rc__prf *x, double weight) {
    sum->precision += weight * x->precision;
    sum->recall += weight * x->recall;
    sum->f1 += weight * x->f1;
}

static void scale_prf(rc__prf *sum, double total, double support) {
    sum->precision = quotient(sum->precision, total);
    sum->recall = quotient(sum->recall, total);
    sum->f1 = quotient(sum->f1, total);
    sum->support = support;
}

static rc_status bad_class(const char *what, size_t row, int32_t label, size_t C, rc_error *e) {
    return rc_fail(e, RC_EINVAL, "row %zu: %s is class %d, expected 0 to %zu", row, what, (int)label, C - 1);
}

static bool in_range(int32_t label, size_t C) { return label >= 0 && (size_t)label < C; }

rc_status rc__confusion(size_t n, const int32_t *truth, const int32_t *guess, size_t C, uint64_t *confusion,
                        size_t *missing, rc_error *e) {
    size_t out = 0;
    memset(confusion, 0, C * C * sizeof *confusion);
    for (size_t i = 0; i < n; i++) {
        if (truth[i] < 0) {
            out++;
            continue;
        }
        if (!in_range(truth[i], C)) return bad_class("the truth", i, truth[i], C, e);
        if (!in_range(guess[i], C)) return bad_class("the guess", i, guess[i], C, e);
        confusion[(size_t)truth[i] * C + (size_t)guess[i]]++;
    }
    if (missing) *missing = out;
    return RC_OK;
}

/* How often class c is the truth, and the guess. */
static void margins(size_t C, const uint64_t *confusion, size_t c, double *support, double *guessed) {
    *support = *guessed = 0;
    for (size_t k = 0; k < C; k++) {
        *support += (double)confusion[c * C + k];
        *guessed += (double)confusion[k * C + c];
    }
}

void rc__class_scores_of(size_t C, const uint64_t *confusion, rc__class_scores *out, rc__prf *each) {
    double rows = 0, right = 0, with_support = 0, cross = 0, squared_support = 0, squared_guessed = 0, recalls = 0;
    memset(out, 0, sizeof *out);
    for (size_t c = 0; c < C; c++) {
        double support, guessed, hit = (double)confusion[c * C + c];
        margins(C, confusion, c, &support, &guessed);
        rc__prf s = rc__prf_of(hit, guessed, support);
        if (each) each[c] = s;
        rows += support;
        right += hit;
        cross += support * guessed;
        squared_support += support * support;
        squared_guessed += guessed * guessed;
        if (support + guessed > 0) {
            out->present++;
            add_prf(&out->macro, &s, 1);
            add_prf(&out->weighted, &s, support);
        }
        if (support > 0) {
            with_support++;
            recalls += s.recall;
        }
    }
    out->rows = (size_t)rows;
    scale_prf(&out->macro, (double)out->present, rows);
    scale_prf(&out->weighted, rows, rows);
    out->micro = rc__prf_of(right, rows, rows);
    out->accuracy = rows > 0 ? right / rows : NAN;
    out->balanced = with_support > 0 ? recalls / with_support : NAN;
    double chance = rows > 0 ? cross / (rows * rows) : 1;
    out->kappa = chance < 1 ? (right / rows - chance) / (1 - chance) : NAN;
    double spread = (rows * rows - squared_support) * (rows * rows - squared_guessed);
    out->mcc = spread > 0 ? (right * rows - cross) / sqrt(spread) : 0;
}

rc_status rc__multilabel(size_t n, size_t L, const uint8_t *truth, const uint8_t *guess, rc__multilabel_scores *out,
                         rc__prf *each, rc_error *e) {
    double *count = rc__calloc(L ? L : 1, 3 * sizeof *count); /* per label: right, guessed, support */
    if (!count) return rc_fail(e, RC_ENOMEM, "no memory for the counts of %zu labels", L);
    double exact = 0, wrong = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        double right = 0, guessed = 0, support = 0, differ = 0;
        for (size_t l = 0; l < L; l++) {
            bool t = truth[i * L + l] != 0, g = guess[i * L + l] != 0;
            count[3 * l] += t && g;
            count[3 * l + 1] += g;
            count[3 * l + 2] += t;
            right += t && g;
            guessed += g;
            support += t;
            differ += t != g;
        }
        rc__prf row = rc__prf_of(right, guessed, support);
        add_prf(&out->samples, &row, 1);
        exact += differ == 0;
        wrong += differ;
    }
    double right = 0, guessed = 0, support = 0;
    for (size_t l = 0; l < L; l++) {
        const double *c = count + 3 * l;
        rc__prf s = rc__prf_of(c[0], c[1], c[2]);
        if (each) each[l] = s;
        add_prf(&out->macro, &s, 1);
        add_prf(&out->weighted, &s, c[2]);
        right += c[0];
        guessed += c[1];
        support += c[2];
    }
    scale_prf(&out->macro, (double)L, support);
    scale_prf(&out->weighted, support, support);
    scale_prf(&out->samples, (double)n, support);
    out->micro = rc__prf_of(right, guessed, support);
    out->subset_accuracy = n ? exact / (double)n : NAN;
    out->hamming = n && L ? wrong / ((double)n * (double)L) : NAN;
    rc__free(count, (L ? L : 1) * 3 * sizeof *count);
    return RC_OK;
}

/* ---- scores and probabilities: the mean over rows of a function of one row --------------------------------------- */

typedef double row_score(const double *p, size_t C, size_t truth, size_t k);

static rc_status mean_of_rows(size_t n, size_t C, const double *p, const int32_t *truth, row_score *f, size_t k,
                              double *out, rc_error *e) {
    double sum = 0, rows = 0;
    for (size_t i = 0; i < n; i++) {
        if (truth[i] < 0) continue;
        if (!in_range(truth[i], C)) return bad_class("the truth", i, truth[i], C, e);
        sum += f(p + i * C, C, (size_t)truth[i], k);
        rows++;
    }
    *out = rows > 0 ? sum / rows : NAN;
    return RC_OK;
}

static double among_best(const double *score, size_t C, size_t truth, size_t k) {
    size_t before = 0;
    for (size_t c = 0; c < C; c++) before += score[c] > score[truth] || (score[c] == score[truth] && c < truth);
    return !isnan(score[truth]) && before < k;
}

static double minus_log(const double *p, size_t C, size_t truth, size_t k) {
    (void)C, (void)k;
    double q = p[truth];
    if (isnan(q)) return NAN;
    return -log(fmin(fmax(q, DBL_EPSILON), 1 - DBL_EPSILON));
}

static double squared_distance(const double *p, size_t C, size_t truth, size_t k) {
    (void)k;
    double sum = 0;
    for (size_t c = 0; c < C; c++) {
        double d = p[c] - (c == truth);
        sum += d * d;
    }
    return sum;
}

rc_status rc__top_k_accuracy(size_t n, size_t C, const double *score, const int32_t *truth, size_t k, double *out,
                             rc_error *e) {
    return mean_of_rows(n, C, score, truth, among_best, k, out, e);
}

rc_status rc__log_loss(size_t n, size_t C, const double *p, const int32_t *truth, double *out, rc_error *e) {
    return mean_of_rows(n, C, p, truth, minus_log, 0, out, e);
}

rc_status rc__brier(size_t n, size_t C, const double *p, const int32_t *truth, double *out, rc_error *e) {
    return mean_of_rows(n, C, p, truth, squared_distance, 0, out, e);
}

/* (m/bins, (m+1)/bins] */
static size_t bin_of(double confidence, size_t bins) {
    double at = ceil(confidence * (double)bins) - 1;
    return at > 0 ? (size_t)fmin(at, (double)bins - 1) : 0;
}

rc_status rc__calibration_error(size_t n, size_t C, const double *p, const int32_t *truth, size_t bins, double *out,
                                rc_error *e) {
    if (!bins) return rc_fail(e, RC_EINVAL, "a calibration error needs at least 1 bin, found 0");
    double *gap = rc__calloc(bins, sizeof *gap); /* rows that are right minus the sum of their confidences */
    if (!gap) return rc_fail(e, RC_ENOMEM, "no memory for %zu bins", bins);
    double rows = 0, sum = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        if (truth[i] < 0) continue;
        if (!in_range(truth[i], C)) {
            s = bad_class("the truth", i, truth[i], C, e);
            break;
        }
        const double *row = p + i * C;
        size_t best = 0;
        for (size_t c = 1; c < C; c++) {
            if (row[c] > row[best]) best = c;
        }
        gap[bin_of(row[best], bins)] += (best == (size_t)truth[i]) - row[best];
        rows++;
    }
    for (size_t b = 0; b < bins; b++) sum += fabs(gap[b]);
    if (s == RC_OK) *out = rows > 0 ? sum / rows : NAN;
    rc__free(gap, bins * sizeof *gap);
    return s;
}
