/* classify.h - what a classification is worth. Plain arrays, sums in double.
 *
 * Labels are classes 0..C-1 of int32_t. A truth below 0 is missing: the row is left out and counted. Any other value
 * outside 0..C-1 is RC_EINVAL and the message names the row. Definitions are those of scikit-learn 1.9 where it has the
 * measure, with zero_division = 0: a quotient whose denominator is 0 counts as 0. Probabilities are rows of C, used as
 * they are. A mean over no rows is NaN. */
#ifndef RC_CLASSIFY_H
#define RC_CLASSIFY_H
#include "recur/base.h"

/* precision = right / guessed, recall = right / support, f1 = 2 right / (guessed + support) */
typedef struct rc__prf {
    double precision, recall, f1;
    double support; /* how often the class is the truth */
} rc__prf;
rc__prf rc__prf_of(double right, double guessed, double support);

/* confusion (C, C): row = truth, column = guess. Cleared, then counted. *missing (may be NULL): rows without truth. */
rc_status rc__confusion(size_t n, const int32_t *truth, const int32_t *guess, size_t C, uint64_t *confusion,
                        size_t *missing, rc_error *e);

typedef struct rc__class_scores {
    size_t rows;                    /* with a truth                                                                  */
    size_t present;                 /* classes that are a truth or a guess somewhere: those that macro averages over */
    double accuracy;                /* trace / rows = micro precision = micro recall = micro F1, with one label each */
    rc__prf macro, micro, weighted; /* plain mean; of the summed counts; mean weighted by support                    */
    double balanced;                /* mean recall of the classes with support                                       */
    double kappa;                   /* Cohen 1960: (p_o - p_e) / (1 - p_e); NaN when p_e = 1                         */
    double mcc;                     /* Gorodkin 2004, R_K of C classes = Matthews for 2; 0 when a factor below is 0  */
} rc__class_scores;
/* each (C), or NULL: the classes. macro's F1 is the mean of the classes' F1, as in scikit-learn. */
void rc__class_scores_of(size_t C, const uint64_t *confusion, rc__class_scores *out, rc__prf *each);

/* Several labels a row: truth and guess (n, L) of 0 and not 0. macro averages over all L labels, micro over all n * L
 * decisions, weighted by support, samples over the rows (each row's own F1). A row is right when all of it is. */
typedef struct rc__multilabel_scores {
    rc__prf macro, micro, weighted, samples;
    double subset_accuracy; /* rows that are right in all labels / n */
    double hamming;         /* wrong decisions / (n * L)             */
} rc__multilabel_scores;
rc_status rc__multilabel(size_t n, size_t L, const uint8_t *truth, const uint8_t *guess, rc__multilabel_scores *out,
                         rc__prf *each, rc_error *e);

/* Share of the rows whose truth is among the k best scores (n, C). Among equal scores the lower class goes first, as in
 * the first maximum; a NaN is never among the best. */
rc_status rc__top_k_accuracy(size_t n, size_t C, const double *score, const int32_t *truth, size_t k, double *out,
                             rc_error *e);
/* Mean of -ln p[truth], p clipped to [2^-52, 1 - 2^-52] (scikit-learn's for double). Nats. */
rc_status rc__log_loss(size_t n, size_t C, const double *p, const int32_t *truth, double *out, rc_error *e);
/* Brier 1950: mean over rows of the sum over classes of (p - [class is the truth])^2, 0..2. For two classes twice the
 * one-column form (scikit-learn's brier_score_loss with scale_by_half). */
rc_status rc__brier(size_t n, size_t C, const double *p, const int32_t *truth, double *out, rc_error *e);
/* Expected calibration error (Naeini 2015; Guo 2017, arXiv 1706.04599, equation 3): the largest probability of each row
 * falls in one of `bins` equal bins (m/bins, (m+1)/bins], 0 in the first; the sum over bins of rows in it / n times
 * |accuracy - mean confidence|. Guo's figures have 15 bins. */
rc_status rc__calibration_error(size_t n, size_t C, const double *p, const int32_t *truth, size_t bins, double *out,
                                rc_error *e);
#endif
