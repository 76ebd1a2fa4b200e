/* tag.h - a tag for each word of a sentence, and where wanted a class for the sentence (its intent).
 *
 *   words (nn/words.h) -> dropout -> encoder (nn/encoder.h) -> dropout -> linear -> tags, by a conditional random field
 *   (Huang et al. 2015, arXiv 1508.01991; Lample et al. 2016, arXiv 1603.01360) or each by its softmax
 *                                    encoder's pooled steps -> dropout -> linear -> intent
 *
 * Two sets of tags. `written` is how the data have them; `tags` is what the network chooses from: for spans those of
 * the scheme inside (IOBES says more than BIO of where a span ends), else the same. Predictions are written as the
 * data are.
 *
 * The most likely tags are not those of the highest F1: where spans are rare too few are found. So the score of O is
 * lowered by a number, `outside`, which is chosen on the validation data (it is 0 without).
 *
 * The loss is the mean over the words of -log p(tags of its sentence), plus the mean over the sentences of -log
 * p(intent). */
#ifndef RC_TAG_H
#define RC_TAG_H
#include "data/conll.h"
#include "data/epochs.h"
#include "data/text_set.h"
#include "metrics/spans.h"
#include "tasks/fields.h"
#include "tasks/task.h"

#define RC__MAX_TAGS     16384 /* plain ones: looking for equal names takes their square */
#define RC__MAX_CRF_TAGS 2048  /* chosen together */

typedef struct rc__tagger {
    rc_model base;
    rc_data_options data; /* owned texts */
    rc__lexicon lexicon;
    rc__words_options wo;
    rc__words *words;
    rc__encoder_options eo;
    rc__encoder *encoder;
    double dropout_input, dropout_output;
    bool spans; /* tags are spans: else plain, and the schemes say nothing */
    rc__tag_scheme written_scheme, inside_scheme;
    rc__tagset *written, *tags;
    uint8_t *allowed; /* (K + 1, K + 1), see rc_crf_loss; NULL: every tag may follow every other */
    bool crf;
    bool
        cut_spaces; /* plain text is cut at white space, as the training data were, else by rc__next_word */
    rc__strtab intents; /* none: tags alone */
    rc_param *head_w, *head_b, *transitions, *start, *end, *intent_w, *intent_b;
    rc_param *outside; /* (1) spans; not trained, but a parameter, so that it goes where the weights of its time go */
} rc__tagger;

static inline size_t rc__tagger_size(const rc__tagger *m) { return rc__tagset_size(m->tags); }

/* Sentences with their tags, as numbers. */
typedef struct rc__tag_set {
    rc__text_set text;
    rc__strtab names;  /* tags as they are written: the model's, then others that came */
    int32_t *truth;    /* (words) by names; RC_NO_TARGET: without */
    int32_t *target;   /* (words) by the model's tags; RC_NO_TARGET: one that it does not know */
    int32_t *intent;   /* (sentences) RC_NO_TARGET: none; INTENT_UNKNOWN: one that the model does not know */
    uint32_t *lengths; /* (sentences) */
    size_t cap_truth, cap_target, cap_intent, cap_lengths;
    size_t unknown_tags, repaired; /* words */
    size_t unknown_intents, cut;   /* sentences */
} rc__tag_set;
#define INTENT_UNKNOWN (-1)
void rc__tag_set_free(rc__tag_set *x);

/* ---- tag.c: the network ------------------------------------------------------------------------------------------ */

/* Names and shapes every parameter; tags, lexicon and intents are there; rc_params_build or a file comes next. */
rc_status rc__tagger_declare(rc__tagger *m, rc_error *e);
void rc__tagger_free(rc_model *m);
/* Sets tags, written and allowed from the tags as they are written, which come as `from`; K of them have a limit. */
rc_status rc__tagger_set_tags(rc__tagger *m, const rc__tagset *from, rc_error *e);

typedef struct rc__tag_batch {
    rc__text_batch text;
    int32_t *target; /* (T, B) */
    int32_t *lengths, *intent;
    size_t cap_target, cap_lengths, cap_intent;
    size_t n, T, words, rows; /* words and rows whose target is known */
} rc__tag_batch;
void rc__tag_batch_free(rc__tag_batch *b);
/* Sentences index[0..n). drop, rng: as rc__text_batch_make. */
rc_status rc__tag_batch_make(rc__tag_batch *b, const rc__tagger *m, const rc__tag_set *x, const uint32_t *index,
                             size_t n, double drop, rc_rng *rng, rc_error *e);
/* Scores of the tags (T, B, K); *intent: (B, intents), NULL without. */
rc_var *rc__tagger_forward(rc_tape *t, const rc__tagger *m, const rc__tag_batch *b, rc_var **intent);
rc_var *rc__tagger_loss(rc_tape *t, const rc__tagger *m, const rc__tag_batch *b, double label_smoothing, rc_var *scores,
                        rc_var *intent);

/* Answers for all sentences of a set, in its order. */
typedef struct rc__tag_answers {
    int32_t *tag;        /* (words) by the model's tags; with tries (tries, words) */
    double *probability; /* (sentences) of all its tags together; NULL: not wanted */
    int32_t *intent;     /* (sentences) */
    double *intent_probability;
    double loss; /* as rc__tagger_loss */
    size_t words, n;
    const double *outside; /* tags for each of these in place of the model's; NULL: the model's, one try */
    size_t tries;
} rc__tag_answers;
/* outside (tries) is borrowed. */
rc_status rc__tag_answers_new(rc__tag_answers *a, size_t words, size_t n, bool probabilities, const double *outside,
                              size_t tries, rc_error *e);
void rc__tag_answers_free(rc__tag_answers *a);
rc_status rc__tagger_run(rc__tagger *m, rc_tape *t, const rc__tag_set *x, size_t batch, rc__tag_answers *a,
                         rc_error *e);
/* n tags of the model as they are written (by m->written). */
rc_status rc__tagger_write(const rc__tagger *m, const int32_t *tag, int32_t *out, size_t n, rc_error *e);

/* ---- tag_data.c: sentences as numbers ---------------------------------------------------------------------------- */

void rc__tag_set_init(rc__tag_set *x, const rc__tagger *m);
rc_status rc__tag_set_names(rc__tag_set *x, const rc__tagger *m, rc_error *e); /* the model's tags into names */
void rc__tag_set_clear(rc__tag_set *x);
/* max_len 0 = no limit. */
rc_status rc__tag_set_add(rc__tag_set *x, const rc__tagger *m, const rc__sentence *s, size_t max_len, rc_error *e);
rc__conll_options rc__tag_reader_options(const rc_data_options *d, bool untagged);

typedef struct rc__tag_scores {
    size_t sentences, words, unknown_words;
    double accuracy, accuracy_unknown, sentence_accuracy, intent_accuracy; /* NaN: there is none */
    rc__span_scores conlleval, strict;                                     /* of spans */
    rc__tagset *names;                                                     /* of the set */
    rc__prf *each, *strict_each; /* of spans by type; plain: each by tag of names, strict_each unused */
    size_t n_each;
} rc__tag_scores;
/* tag: those of a, or of one of its tries. */
rc_status rc__tag_score(const rc__tagger *m, const rc__tag_set *x, const rc__tag_answers *a, const int32_t *tag,
                        rc__tag_scores *out, rc_error *e);
void rc__tag_scores_free(rc__tag_scores *s);
/* The most frequent tag of each word of `train` given to the words of x; unknown words get that of words seen once. */
rc_status rc__tag_baseline(const rc__tagger *m, const rc__tag_set *train, const rc__tag_set *x, int32_t *tag,
                           rc_error *e);

/* ---- tag_file.c, tag_use.c --------------------------------------------------------------------------------------- */
rc_status rc__tag_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__tag_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
rc_status rc__tag_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__tag_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
size_t rc__tag_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);
#endif
