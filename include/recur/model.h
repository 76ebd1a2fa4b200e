/* recur/model.h - a trained model of any task but the language model (recur/lm.h): classify, regress, tag, forecast,
 * detect. One file holds all of it: weights, vocabulary or scaling, labels, how its data is read.
 */
#ifndef RECUR_MODEL_H
#define RECUR_MODEL_H

#include "recur/option.h"
#include "recur/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a data file is read. Everything may be left at "" (or 0): it is inferred from the file when a model is trained,
 * said, and stored in the model file, whose values hold when it is used. Columns are named by their heading or, counted
 * from 1, by number; lists have commas between. */
typedef struct rc_data_options {
    const char *format;      /* the kind of file: docs/data.md lists those of each task */
    const char *delimiter;   /* one character, or tab, space */
    const char *header;      /* yes, no */
    const char *missing;     /* words for missing values beside the usual ones */
    const char *text, *label; /* columns of a classifier */
    const char *label_separator; /* several labels in one cell, with this between: multi-label */
    const char *column;      /* tagging: the column to predict */
    const char *id, *time, *target; /* columns of series */
    const char *inputs;      /* columns that are the sequence; "" = all numeric ones that have no other role */
    const char *known_ahead; /* covariates whose future is known */
    const char *fixed;       /* covariates of a whole series */
    const char *categorical; /* of the columns above, those that are names, not numbers */
    bool numeric;            /* classify: the data are numbers, not text */
    bool skip_bad_rows;      /* of tables: rows with another number of cells are left out; of this file, not stored */
} rc_data_options;

/* Entries for a table of options; offsets are those in rc_data_options. */
const rc_option *rc_data_option_table(size_t *n);

typedef struct rc_model rc_model;

/* Which task a model file is for, without reading its tensors: "lm", "classify" ... into task. RC_EMODEL as for loading. */
rc_status rc_model_task_of(const char *path, char *task, size_t cap, rc_error *e);
/* RC_EMODEL for damaged files and for language models, which rc_lm_load reads. */
rc_status rc_model_load(rc_model **out, const char *path, rc_error *e);
void rc_model_free(rc_model *m); /* NULL is fine */
const char *rc_model_task(const rc_model *m);
const char *rc_model_provenance(const rc_model *m); /* JSON, "{}" when none */
rc_params *rc_model_params(const rc_model *m);
/* provenance_json NULL keeps what was loaded. Atomic. */
rc_status rc_model_save(const rc_model *m, const char *path, const char *provenance_json, rc_error *e);

/* Lines of results as they are made; whatever it returns but RC_OK ends the work and is returned. */
typedef struct rc_sink {
    void *ctx;
    rc_status (*line)(void *ctx, const char *text, size_t len); /* without a newline */
} rc_sink;

/* ---- search: how translate, summarize and chat choose among all texts that they could write ------------------------ */
typedef struct rc_search_options {
    int64_t beam;            /* hypotheses of each input; 1 = greedy; 0 = the model's */
    int64_t nbest;           /* results of each input, at most beam; 1 */
    int64_t min_length, max_length; /* tokens; -1, 0 = the model's */
    const char *length_norm; /* none, average (sum / len^alpha), wu (sum / ((5 + len) / 6)^alpha), model */
    double length_penalty;   /* alpha; < 0 = the model's */
    double coverage_penalty; /* of source positions that were not looked at; < 0 = the model's */
    double patience;         /* > 0: done when patience * beam hypotheses have ended; 0 = when nothing better can come (exact);
                                < 0 = the model's */
    int64_t groups;          /* diverse beams: divides beam; 1 = none */
    double diversity;        /* how far the groups keep apart; 0.5 */
    int64_t no_repeat;       /* no run of so many tokens twice; 0 = off, -1 = the model's */
    bool sample;             /* draw `beam` texts instead of a search */
    double temperature;      /* 1; with the others as in rc_sampler_options */
    int64_t top_k;           /* 0 */
    double top_p, min_p, repetition_penalty;
    int64_t repetition_window;
    int64_t seed;            /* text i, hypothesis j draws the same alone or in a batch */
    bool unk;                /* <unk> may be written */
    const char *prefix;      /* every result begins with this text */
    const char *with;        /* further model files with the same vocabularies, commas between: probabilities are averaged */
} rc_search_options;
rc_search_options rc_search_options_default(void);
const rc_option *rc_search_option_table(size_t *n);

typedef struct rc_eval_options {
    rc_data_options data; /* replaces what the model file says where it is not "" */
    int64_t batch;        /* sequences at once; 64 */
    const char *const *more; /* answer: further files, each a task of its own; the mean is over all */
    size_t n_more;
    bool details;         /* tables of each class, type or series too; true */
    bool online;          /* detect: it goes on learning from the rows, each after it was scored */
    const char *labels;   /* detect: a JSON file of windows, as numenta/NAB has them */
    int64_t start;        /* forecast: the first step that is forecast: from 1 on, or < 0 counted from the end; 0 = the
                             first with a whole lookback before it, or the first of a file that goes on from the training */
    int64_t stride;       /* forecast: steps from one forecast to the next; 1 */
    /* translate, summarize, chat */
    const char *reference;      /* the targets, where they are a second file, line by line */
    const char *bleu_tokenizer; /* 13a, intl, char, none */
    bool lowercase_scores;      /* BLEU, chrF and exact match in lower case; always so when the model writes lower case */
    bool tokenized;             /* BLEU on lower-case text that was cut by Moses' rules, as multi-bleu is used */
    bool stemmer;               /* ROUGE on Porter's stems; true */
    const char *strategies;     /* "greedy,beam5,diverse5,sample": these side by side */
    rc_search_options search;
} rc_eval_options;
rc_eval_options rc_eval_options_default(void);
const rc_option *rc_eval_option_table(size_t *n); /* without those of data */

/* Scores a file. *json: one object, made of numbers, and of arrays of objects, which are tables (docs/evaluation.md has
 * the definitions); freed with rc_text_free. RC_EDATA: the file has no answers to compare with, and what else is wrong. */
rc_status rc_model_eval(rc_model *m, const char *path, const rc_eval_options *o, char **json, size_t *len, rc_error *e);

typedef struct rc_predict_options {
    rc_data_options data;
    int64_t batch;       /* 64 */
    bool json;           /* each line is one JSON object instead of columns with tabs between */
    bool csv;            /* lines of comma separated values, the first one a heading */
    int64_t top_k;       /* classify: so many labels with their probabilities; 1 */
    int64_t horizon;     /* forecast: steps; 0 = as trained */
    int64_t samples;     /* forecast: paths drawn when the model is probabilistic; 100 */
    int64_t seed;
    double threshold;    /* multi-label, detect; < 0 = the model's */
    const char *observe; /* forecast: a file of values that have come since */
    const char *svg;     /* forecast, detect: draw it */
    const char *state;   /* detect: file of the state, read when it is there and written at the end */
    bool online;         /* detect: it goes on learning from the rows, each after it was scored */
    bool alarms;         /* detect: lines of alarms alone */
    bool lenient;        /* detect: what is no number is missing, lines of another length are left out */
    int64_t save_every;  /* detect: the state is written every so many rows too; 0 = at the end alone */
    const volatile int *stop; /* detect: when not 0 (a signal handler may set it) the input counts as ended */
    /* translate, summarize, chat; with nbest > 1 a line is number of the input, score, text */
    rc_search_options search;
    bool replace_unknown;   /* <unk> becomes the word of the source that was looked at most (Luong et al. 2015) */
    const char *alignments; /* none; text: lines of target token, source token, weight; svg, html: drawn into the file svg */
    void (*message)(void *ctx, const char *text); /* what was noticed: lines that were cut; NULL = nobody listens */
    void *message_ctx;
} rc_predict_options;
rc_predict_options rc_predict_options_default(void);
const rc_option *rc_predict_option_table(size_t *n); /* without those of data */

/* Reads inputs from a file or "-" (NULL: a forecaster starts from the end of what it was trained on), gives results in order; memory does not grow with the input where the task allows. */
rc_status rc_model_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
/* The same with what mattered in each input: occlusion, each word or channel left out in turn. RC_EINVAL: the task has
 * no such thing. */
rc_status rc_model_reasons(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
/* ---- chat ---------------------------------------------------------------------------------------------------------- */
/* A conversation with a model for chat: it reads as many turns as in training. What it answered lately it does not say
 * again while it has another answer. */
typedef struct rc_chat rc_chat;
/* m is borrowed. RC_EMODEL: a model of another task. The search draws (o->sample) or searches as asked; NULL: the default
 * with sampling, four draws a reply. */
rc_status rc_chat_new(rc_chat **out, rc_model *m, const rc_search_options *o, rc_error *e);
void rc_chat_free(rc_chat *c); /* NULL is fine */
void rc_chat_reset(rc_chat *c); /* forgets all turns */
/* *reply (NUL-terminated, *reply_len bytes; rc_text_free) is the answer to the turns so far and text. An empty text has an
 * empty answer and is no turn. */
rc_status rc_chat_reply(rc_chat *c, const char *text, size_t len, char **reply, size_t *reply_len, rc_error *e);

/* Text for `recur explain`: kernels, precision, threads. Returns the length as snprintf does. */
size_t rc_model_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
