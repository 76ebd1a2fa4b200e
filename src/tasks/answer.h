/* answer.h - answers to questions about stories, each of a fixed set, by networks that look the sentences up:
 *
 *   memory     end-to-end memory network (Sukhbaatar et al. 2015, arXiv 1503.08895): hops over the sentences
 *   query      query-reduction network (Seo et al. 2017, arXiv 1606.04582): layers that rewrite the question sentence by sentence
 *   entity     recurrent entity network (Henaff et al. 2017, arXiv 1612.03969): blocks of memory with gates
 *   recurrent  story and question as one sequence of words through a recurrent layer, to compare with
 *
 * Of the first two, several networks (members) are trained side by side on the same batches, each from its own start, as heads
 * of one computation (rc_linear_heads and the ops beside it). The probabilities of the `ensemble` best of them are averaged, by
 * their error on the validation data, or where there are none on the training data, the rule of Sukhbaatar et al. (their section
 * 4.2). That error is a parameter that is not trained, so that it goes where the weights of its time go.
 *
 * Words that the training data do not have are left out. Each sentence that a batch has is made a vector once, however often
 * it comes in the stories of the batch. */
#ifndef RC_ANSWER_H
#define RC_ANSWER_H
#include "data/epochs.h"
#include "data/stories.h"
#include "data/strtab.h"
#include "data/vocab_internal.h"
#include "tasks/fields.h"
#include "tasks/task.h"

typedef enum rc__answer_kind { RC__ANSWER_MEMORY, RC__ANSWER_QUERY, RC__ANSWER_ENTITY, RC__ANSWER_RECURRENT } rc__answer_kind;
extern const char *const rc__answer_kinds[4];

#define RC__ANSWER_MAX_HOPS    16
#define RC__ANSWER_MAX_MEMBERS 256
#define RC__ANSWER_MAX_CLASSES 65536
#define RC__ANSWER_NO_MEMORY   ((size_t)1 << 20) /* sentences, where no limit is asked for */

typedef struct rc__answer_options {
    int kind;
    size_t embedding;  /* columns of a member */
    size_t members, ensemble;
    size_t hops;       /* memory: hops; query: layers */
    bool position;     /* words weigh by their place (position encoding), else bags */
    bool temporal;     /* memory: how long ago a sentence came is an input */
    bool layerwise;    /* memory: all hops share their tables, else neighbours do */
    size_t memory;     /* the last so many sentences of a story; up to RC__ANSWER_NO_MEMORY */
    double noise;      /* memory: up to this share of empty memories between the others while training */
    size_t blocks;     /* entity */
    double dropout;
    rc__encoder_options reader; /* recurrent */
} rc__answer_options;

typedef struct rc__answerer {
    rc_model base;
    rc_data_options data; /* owned texts */
    rc__answer_options o;
    rc__strtab words, answers;
    rc__strtab tasks; /* names of the training files */
    bool lowercase;
    bool linear;      /* memory, while it begins to learn: no softmax in the hops */
    rc_param *table[RC__ANSWER_MAX_HOPS + 1], *time[RC__ANSWER_MAX_HOPS + 1]; /* rows of words, then of answers that are none */
    size_t n_tables;
    rc_param *hop, *out_w, *out_b;
    rc_param *gate_w[RC__ANSWER_MAX_HOPS], *gate_b[RC__ANSWER_MAX_HOPS], *in_w[RC__ANSWER_MAX_HOPS],
        *query_w[RC__ANSWER_MAX_HOPS], *in_b[RC__ANSWER_MAX_HOPS];
    rc_param *places, *keys, *entity_u, *entity_v, *entity_w, *slope, *entity_h; /* entity */
    rc__encoder *reader;
    rc_param *error;     /* (members), see above; what was not measured is 0 */
    int32_t *answer_row; /* memory, neighbours tied: the row of the last table that stands for each answer */
    size_t n_answer_row, table_rows;
} rc__answerer;

/* ---- answer_data.c: stories as numbers --------------------------------------------------------------------------- */

typedef struct rc__question {
    size_t first, n;        /* sentences told before it: told[first] .. */
    int32_t text;           /* a sentence */
    int32_t answer;         /* RC__ANSWER_NONE, RC__ANSWER_UNKNOWN, or a class */
    uint32_t story, task;   /* counted over all */
    size_t line;
} rc__question;
#define RC__ANSWER_NONE    (-2) /* none is given */
#define RC__ANSWER_UNKNOWN (-1) /* one that the training data do not have */

typedef struct rc__story_set {
    rc__strtab sentences; /* different ones: their word ids, as bytes */
    int32_t *told;        /* the stories' sentences, one after the other */
    rc__question *at;
    size_t n, n_told, n_stories, n_words, unknown_words, unknown_answers, cap_at, cap_told;
    size_t story_first; /* of the story that is being read */
    rc__string scratch;
    int32_t *ids;
    size_t cap_ids;
} rc__story_set;
void rc__story_set_free(rc__story_set *x);
/* Adds a line; answers and words are looked up in m's. */
rc_status rc__story_set_add(rc__story_set *x, const rc__answerer *m, const rc__story_line *line, uint32_t task, rc_error *e);
/* Cuts a sentence into words as all readers here do; each in scratch until the next; false after the last. */
bool rc__story_word(const rc__answerer *m, rc__cell text, size_t *at, rc__string *scratch, rc_status *s, rc_error *e);

typedef struct rc__answer_batch {
    size_t n, rows, sentences; /* questions, memories in all, different sentences */
    uint32_t *start;           /* (sentences + 1) of ids */
    int32_t *ids, *place;      /* words of the sentences; rows of the mask */
    int32_t *row, *when;       /* (rows) sentence of each memory, and how long ago it came, from 0 */
    int32_t *lengths, *question, *target; /* (n); lengths are 1 or more: an empty story is an empty sentence */
    rc_real *mask;             /* (places, embedding * members) position encoding */
    size_t places, longest, longest_sentence;
    uint32_t *seen;            /* place of a sentence of the set in the batch, + 1 */
    int32_t *mask_of;          /* first row of the mask of sentences of so many words, + 1 */
    int32_t *words, *word_lengths; /* recurrent: (words_T, n) */
    size_t words_T;
    int32_t *targets;          /* (n * members) */
    size_t cap[16];
} rc__answer_batch;
void rc__answer_batch_free(rc__answer_batch *b);
/* Questions index[0..n). rng: of the noise; NULL: none. */
rc_status rc__answer_batch_make(rc__answer_batch *b, const rc__answerer *m, const rc__story_set *x, const uint32_t *index,
                                size_t n, rc_rng *rng, rc_error *e);

/* ---- answer.c: the networks -------------------------------------------------------------------------------------- */

/* Names and shapes every parameter; words and answers are there; rc_params_build or a file comes next. */
rc_status rc__answerer_declare(rc__answerer *m, rc_error *e);
void rc__answerer_free(rc_model *m);
/* What was looked at, of each hop or layer: (rows, members), NULL where the network has no such thing. */
typedef struct rc__answer_looks {
    const rc_real *p[RC__ANSWER_MAX_HOPS];
    size_t n;
} rc__answer_looks;
/* Scores (n, members * answers); looks may be NULL. */
rc_var *rc__answerer_forward(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc__answer_looks *looks);
rc_var *rc__answerer_loss(rc_tape *t, const rc__answerer *m, const rc__answer_batch *b, rc_var *scores);
/* The members that answer: the best, at most o.ensemble of them; returns how many. */
size_t rc__answerer_chosen(const rc__answerer *m, size_t chosen[RC__ANSWER_MAX_MEMBERS]);

typedef struct rc__answer_result {
    int32_t *answer;      /* (n) */
    double *probability;  /* (n, answers), NULL: not wanted */
    double loss;          /* of the averaged probabilities, over questions whose answer is known */
    size_t right, known;  /* of those with an answer */
    double *wrong;        /* (members) share of wrong answers of each alone, plus a hundredth of its loss */
} rc__answer_result;
rc_status rc__answer_result_new(rc__answer_result *r, const rc__answerer *m, size_t n, bool probabilities, rc_error *e);
void rc__answer_result_free(rc__answer_result *r, const rc__answerer *m, size_t n);
/* Answers questions index[0..n) (NULL: all of the set) in batches; r is of n. */
rc_status rc__answerer_run(const rc__answerer *m, rc_tape *t, const rc__story_set *x, const uint32_t *index, size_t n,
                           size_t batch, rc__answer_result *r, rc_error *e);

/* ---- answer_file.c, answer_use.c --------------------------------------------------------------------------------- */
rc_status rc__answer_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__answer_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
rc_status rc__answer_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__answer_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
rc_status rc__answer_reasons(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
size_t rc__answer_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);
/* "qa1_single-supporting-fact_train.txt" -> "qa1_single-supporting-fact": what a file is called in reports. */
void rc__answer_task_name(const char *path, char *out, size_t cap);
#endif
