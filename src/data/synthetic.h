/* synthetic.h - data sources that need no file: experiments on memory.
 *
 *  adding:T=200         Hochreiter & Schmidhuber 1997 task 4, in the form of Le et al. 2015. Inputs (T, B, 2): a value
 *                       uniform in [0, 1) and a marker; one marker in each half. Target: the sum of the two marked
 *                       values, after the last step. Always answering 1 has a mean squared error of 1/6 (0.1767,
 *                       often printed, is a slip). Solved below 0.01.
 *  copy:T=50,n=10,k=8   recall as in Arjovsky et al. 2016. n symbols of k kinds, T - 1 blanks, a delimiter, n blanks;
 *                       the target is blank for T + n steps and then the n symbols: T + 2n steps in all, V = k + 2.
 *                       Without memory the mean loss is n ln k / (T + 2n). Solved: 99 % of the last n symbols right.
 *  temporal-order:T=50  Hochreiter & Schmidhuber 1997 task 6a with fixed length. Symbols a b c d at random, E first, B
 *                       last; X or Y at one place in [T/10, 2T/10) and one in [5T/10, 6T/10). Class at the last step:
 *                       XX XY YX YY. Chance: ln 4. Solved: 99 % right.
 *  count:T=50           a^n b^n as in Gers & Schmidhuber 2001: S a^n b^n S, n uniform in 1..N, N = (T - 1) / 2, padded
 *                       with S. Scored are the symbols that counting decides: what follows each b (another b, or S
 *                       after the n-th). Without counting the loss is the entropy of a coin with p = 2 / (N + 1).
 *                       Solved: 99.5 % right. */
#ifndef RC_SYNTHETIC_H
#define RC_SYNTHETIC_H
#include "recur/base.h"

typedef enum rc__source_kind { RC__ADDING, RC__COPY, RC__TEMPORAL_ORDER, RC__COUNT } rc__source_kind;
typedef enum rc__source_target {
    RC__TARGET_VALUE,  /* one real per row, after the last step; loss: mean squared error */
    RC__TARGET_TOKENS, /* (T, B) ids, -100 = not scored; loss: cross-entropy                */
    RC__TARGET_CLASS   /* one class per row, after the last step; loss: cross-entropy      */
} rc__source_target;

typedef struct rc__source {
    rc__source_kind kind;
    const char *name;  /* "adding" */
    size_t T, n, k;    /* the parameters; those that the source has not are 0 */
    size_t seq_len;    /* steps of one row, the same for all */
    size_t input_size; /* real inputs: columns, else 0 */
    size_t vocab_size; /* token inputs: V, else 0 */
    rc__source_target target;
    size_t output_size; /* 1 (value), V (tokens), classes */
    size_t score_from;  /* accuracy counts steps >= score_from that have a target */
    double baseline;    /* loss of the best answer without memory */
    double solved_at;   /* value: mean squared error below it; else accuracy at least this */
} rc__source;

/* Is spec meant as a source rather than a file? True for "adding", "adding:...", and for near misses such as
 * "ading:T=9", so that they get a message with a suggestion. */
bool rc__source_named(const char *spec);
/* Strict: unknown names and parameters, numbers with a tail and values out of range are RC_EINVAL. */
rc_status rc__source_parse(rc__source *out, const char *spec, rc_error *e);
/* Batch `index` of `batch` rows; a pure function of (source, seed, index, batch). Only the arrays of this source are
 * written, the others may be NULL.
 *   x        (T, B, input_size)   real inputs           ids      (T, B)   token inputs
 *   values   (B)                  RC__TARGET_VALUE      targets  (T, B) for RC__TARGET_TOKENS, (B) for
 *   RC__TARGET_CLASS */
void rc__source_batch(const rc__source *s, uint64_t seed, uint64_t index, size_t batch, rc_real *x, int32_t *ids,
                      rc_real *values, int32_t *targets);
/* score: mean squared error, or accuracy over the scored steps of enough held-out rows. */
bool rc__source_solved(const rc__source *s, double score);
#endif
