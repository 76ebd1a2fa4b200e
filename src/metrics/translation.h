/* translation.h - how good generated text is, against references: BLEU and chrF as sacrebleu, ROUGE as rouge-score, and how
 * varied it is. All in double; texts are UTF-8 cells, not NUL-terminated. */
#ifndef RC_TRANSLATION_H
#define RC_TRANSLATION_H
#include "data/source.h"

typedef enum rc__bleu_tokenizer {
    RC__BLEU_13A,  /* mteval-v13a: sacrebleu's default */
    RC__BLEU_INTL, /* mteval-v14 international: needs classes of characters */
    RC__BLEU_CHAR, /* each character a token */
    RC__BLEU_NONE  /* white space: multi-bleu on text that was tokenised before */
} rc__bleu_tokenizer;
extern const char *const rc__bleu_tokenizers[4]; /* "13a", ... */

typedef struct rc__bleu {
    double score;         /* 0..100 */
    double precision[4];  /* percent */
    double brevity;
    uint64_t matches[4], totals[4], hypothesis_len, reference_len;
    char signature[128];  /* nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:recur-0.1.0, as sacrebleu prints it */
} rc__bleu;
/* Corpus BLEU-4 of n pairs, one reference each, smoothing exp (sacrebleu's default): equal to sacrebleu 2.x to the last
 * digit. */
rc_status rc__bleu_corpus(const rc__cell *hypothesis, const rc__cell *reference, size_t n, rc__bleu_tokenizer tok,
                          bool lowercase, rc__bleu *out, rc_error *e);
/* chrF2 (word_order 0) or chrF++ (2), beta 2, character order 6, whitespace left out: equal to sacrebleu 2.x. 0..100. */
rc_status rc__chrf_corpus(const rc__cell *hypothesis, const rc__cell *reference, size_t n, int word_order, bool lowercase,
                          double *score, char signature[128], rc_error *e);

typedef struct rc__rouge { double precision, recall, f; } rc__rouge; /* 0..1 */
enum { RC__ROUGE_1, RC__ROUGE_2, RC__ROUGE_L, RC__ROUGE_LSUM, RC__ROUGES };
/* Means over pairs of the scores of rouge-score 0.1 (lower case, letters and digits; stemmed: Porter's stemmer on words longer
 * than 3 letters). Of LSUM sentences are lines. */
rc_status rc__rouge_score(rc__cell hypothesis, rc__cell reference, bool stemmed, rc__rouge out[RC__ROUGES], rc_error *e);

/* Porter's stem of w (n bytes of a-z and 0-9, with room for one more), in place, as NLTK's default mode has it, which
 * rouge-score uses; returns its length. */
size_t rc__porter_stem(char *w, size_t n);

typedef struct rc__variety {
    double distinct_1, distinct_2; /* different n-grams / all n-grams over the corpus (Li et al. 2016, arXiv 1510.03055) */
    double repetition;             /* share of 4-grams that came before in the same text */
    double most_frequent;          /* share of the texts that are the most frequent one: dullness */
} rc__variety;
rc_status rc__variety_of(const rc__cell *texts, size_t n, rc__variety *out, rc_error *e);
/* Texts equal but for white space at both ends / n. */
double rc__exact_match(const rc__cell *hypothesis, const rc__cell *reference, size_t n);
#endif
