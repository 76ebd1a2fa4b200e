/* beam.h - from a model that scores the next token to whole sequences: greedy, beam search, diverse beams, sampling; of many
 * inputs at once, so that the hypotheses of all share one step of the model. Knows no network: it calls a step. */
#ifndef RC_BEAM_H
#define RC_BEAM_H
#include "recur/text.h"

/* What is searched. Rows are hypotheses; the caller of `step` says for each from which row of the call before it goes on. */
typedef struct rc__beam_model {
    void *ctx;
    size_t vocab;
    int32_t begin, end; /* the token before the first, and the one that ends a sequence */
    /* rows hypotheses go on: row i belongs to input sentence[i] (ascending), continues row parent[i] of the call before
     * (0 in the first call, which has one row per sentence with token `begin`) with token[i]. logp (rows, vocab) receives
     * log probabilities. attention (rows, stride): weights over the input's positions, when asked for; NULL = not wanted. */
    rc_status (*step)(void *ctx, size_t rows, const uint32_t *sentence, const uint32_t *parent, const int32_t *token,
                      rc_real *logp, rc_real *attention, size_t stride, rc_error *e);
} rc__beam_model;

typedef enum rc__length_norm {
    RC__LENGTH_NONE,    /* the sum of log probabilities */
    RC__LENGTH_AVERAGE, /* sum / len^alpha, the end counted (fairseq, Hugging Face, CTranslate2, OpenNMT "avg") */
    RC__LENGTH_WU       /* sum / ((5 + len)^alpha / 6^alpha) (Wu et al. 2016, arXiv 1609.08144, eq. 14) */
} rc__length_norm;

typedef struct rc__beam_options {
    size_t beam;            /* hypotheses of each input; 1 = greedy */
    size_t nbest;           /* results of each input, at most beam */
    size_t min_len;         /* tokens before the end may come */
    size_t max_len;         /* tokens at most, whatever the input: an endless output ends here */
    double max_ratio;       /* ... and at most max_ratio * input length + 10; 0 = no such bound */
    rc__length_norm norm;
    double alpha;
    double coverage;        /* beta of the coverage penalty: beta * sum over inputs of log(min(attention received, 1)) (Wu et
                               al. 2016, eq. 14, applied when a hypothesis finishes); 0 = none, no attention is asked for */
    size_t groups;          /* diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424): divides beam; 1 = none */
    double diversity;       /* its strength (Hamming diversity) */
    size_t no_repeat;       /* no n-gram of this many tokens twice; 0 = off */
    const rc_sampler_options *sampler; /* not NULL: each of `beam` hypotheses is drawn; no search */
    uint64_t seed;          /* sentence i, hypothesis j has a stream of its own: the same alone or in a batch */
    const uint64_t *stream; /* the numbers (n) of the inputs by which they draw, however they are batched; NULL = 0..n-1 */
    const int32_t *prefix;  /* every result begins with these (n_prefix) */
    size_t n_prefix;
    const int32_t *banned;  /* tokens that never come (n_banned), ascending */
    size_t n_banned;
    bool attention;         /* keep the weights of the results */
    double patience;        /* > 0: an input is done when patience * beam of its hypotheses have ended, as in fairseq and CTranslate2
                               (1): not exact, faster; 0 = when nothing better can come */
    bool exhaustive;        /* no early stop: the same results, later. For tests and timing */
} rc__beam_options;
rc__beam_options rc__beam_options_default(void); /* beam 5, nbest 1, max_len 200, AVERAGE with alpha 1 */

typedef struct rc__hypothesis {
    int32_t *token;     /* without begin and end */
    size_t n;
    double logp;        /* sum, the end included when it was reached */
    double score;       /* by which they are ranked */
    bool finished;      /* the end came; else max_len cut it */
    rc_real *attention; /* (n + 1, input_len), the last row of the end; NULL unless kept */
    size_t input_len;
} rc__hypothesis;

/* n inputs of input_length (n); out: n * nbest results (nbest of each, best first; fewer found leave n = 0, score -inf), to
 * be freed with rc__hypotheses_free.
 *
 * Each step keeps, of all continuations of the running hypotheses, the best `beam` that do not end; those that end are
 * finished when they are among the best `beam` of all (as in fairseq). With one hypothesis this is greedy: its first end is
 * the result. A result that max_len cut comes after all that ended. The search stops when no running hypothesis can beat the
 * nbest finished: exact for both norms (an unfinished one is bounded by its best case), so the result is that of a search to
 * max_len (unless patience ends it). Same results alone or in a batch, for any number of threads. Ties: the earlier hypothesis, then the lower token.
 * `begin` never comes, unless it is `end` too. RC_EDIVERGED: NaN from the model. RC_EINVAL: options that cannot be. */
rc_status rc__beam_search(const rc__beam_model *m, size_t n, const size_t *input_length, const rc__beam_options *o,
                          rc__hypothesis *out, rc_error *e);
void rc__hypotheses_free(rc__hypothesis *h, size_t n);
#endif
