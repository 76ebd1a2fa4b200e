/* classify.h - one answer for a whole sequence: a class, several classes, or a number; of a text or of numbers.
 *
 *   text      words (nn/words.h) -> dropout -> encoder (nn/encoder.h) -> pooled -> dropout -> linear
 *   numbers   scaled channels               -> encoder                -> pooled -> dropout -> linear
 *
 * The losses: cross-entropy over classes, binary cross-entropy of each class where a text may have several, and the mean
 * squared error of the target scaled to mean 0 and deviation 1. A sequence of one step is a vector: then this is a
 * feed-forward network. */
#ifndef RC_CLASSIFY_TASK_H
#define RC_CLASSIFY_TASK_H
#include "data/epochs.h"
#include "data/sequences.h"
#include "data/text_set.h"
#include "nn/decay.h"
#include "tasks/fields.h"
#include "tasks/task.h"

typedef enum rc__answer { RC__ANSWER_CLASS, RC__ANSWER_CLASSES, RC__ANSWER_NUMBER } rc__answer;

typedef struct rc__classifier {
    rc_model base;
    bool text; /* else numbers */
    rc__answer answer;
    rc_data_options data; /* owned texts */
    /* text */
    rc__lexicon lexicon;
    rc__words_options wo;
    rc__words *words;
    size_t max_len;
    /* numbers */
    rc__scaler scaler;
    rc__strtab channels; /* their names */
    bool mask;
    rc__decay decay; /* of missing values, before the layers, where they are gru-d and have the mask; else none */
    size_t window; /* the last steps that are read; 0 = all */
    /* both */
    rc__encoder_options eo;
    rc__encoder *encoder;
    double dropout_input, dropout_output;
    size_t outputs;
    rc__strtab labels;
    double threshold;                        /* CLASSES: a probability above it is a yes */
    double target_mean, target_scale, cap;   /* NUMBER */
    rc_param *head_w, *head_b;
} rc__classifier;

typedef struct rc__example {
    size_t from;     /* numbers: the step of its series at which it begins */
    uint32_t series; /* numbers: which */
    uint32_t length;
    int32_t label;   /* RC_NO_TARGET: none, or one that the model does not know */
    double target;   /* NUMBER, in its own units; NaN: none */
    uint32_t input;  /* text: which of rc__examples.inputs */
    size_t line;     /* text: where it begins in its file */
    bool held;       /* kept for validation */
} rc__example;

/* Sequences with their answers. */
typedef struct rc__examples {
    rc__example *each;
    size_t n, cap;
    rc__text_set text;
    rc__sequences series;
    rc_real *several; /* (n, outputs), CLASSES: 0 or 1 */
    size_t cap_several;
    size_t unlabelled; /* without an answer, or with one that the model does not know */
    size_t unknown_labels;
    rc__strtab inputs; /* text: the different ones, as they were read */
    size_t repeated;
} rc__examples;
void rc__examples_free(rc__examples *x);

/* The buffers of a batch. */
typedef struct rc__example_batch {
    rc__text_batch text;
    rc_real *x;
    int32_t *lengths, *label;
    uint32_t *index;
    size_t *from;
    rc_real *several, *target;
    size_t cap_x, cap_lengths, cap_label, cap_index, cap_from, cap_several, cap_target;
    size_t n, T;
} rc__example_batch;
void rc__example_batch_free(rc__example_batch *b);
rc_status rc__example_batch_make(rc__example_batch *b, const rc__classifier *m, const rc__examples *x,
                                 const uint32_t *index, size_t n, double drop, rc_rng *rng, rc_error *e);

/* Names and shapes every parameter; rc_params_build or a file comes next. */
rc_status rc__classifier_declare(rc__classifier *m, rc_error *e);
void rc__classifier_free(rc_model *m);
/* Logits (n, outputs) of a batch. */
rc_var *rc__classifier_forward(rc_tape *t, const rc__classifier *m, const rc__example_batch *b);

/* classify_data.c */
typedef struct rc__classify_reading {
    bool training;   /* some are held out, and numbers with a target at each step are cut into windows */
    bool learn;      /* labels, words and scaling are taken from it, else they are there */
    bool unlabelled; /* answers are not wanted */
    const char *vocab; /* learn, text: "word", "word:N", "char", "byte", "bpe:N", FILE.json; NULL: the lexicon is there */
    size_t min_count;
    rc__scaling scaling; /* learn, numbers */
    double hold_out;     /* training: share of each class (of the series, for numbers without) that is kept for validation */
    uint64_t seed;       /* of that draw */
    char how[320];   /* what was read, in words */
} rc__classify_reading;
rc_status rc__classify_read(rc__classifier *m, rc__examples *out, const char *path, const rc_data_options *data,
                            rc__classify_reading *r, rc_error *e);
/* Example i of x, without its input. */
rc_status rc__examples_add(rc__examples *x, size_t outputs, rc__example one, rc_error *e);
/* classify_file.c */
rc_status rc__classify_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__classify_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
/* classify_use.c */
rc_status rc__classify_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__classify_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                               rc_error *e);
rc_status rc__classify_reasons(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                               rc_error *e);
size_t rc__classify_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);
/* Runs the model over the examples index[0..n) of x, `batch` at once: probabilities (n, outputs), or the number in its
 * units (n, 1), and the mean loss of those that have an answer. */
rc_status rc__classify_run(const rc__classifier *m, rc_tape *t, const rc__examples *x, const uint32_t *index, size_t n,
                           size_t batch, double *out, double *loss, rc_error *e);
rc_var *rc__classifier_loss(rc_tape *t, const rc__classifier *m, rc_var *logits, const rc__example_batch *b,
                            double smoothing, const rc_real *class_weights);
/* The measure by which models are compared: accuracy, micro F1, RMSE; of what rc__classify_run gave. */
double rc__classify_measure(const rc__classifier *m, const rc__examples *x, const uint32_t *index, size_t n,
                            const double *out);
const char *rc__classify_measure_name(const rc__classifier *m);

#endif
