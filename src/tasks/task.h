/* task.h - what a model is for, as two tables: how it is trained (rc__task_ops, which the training loop runs) and what
 * is done with it afterwards (rc__model_ops, which eval, predict and explain run). A new task is one file with the two
 * tables, and its name here and in task.c. */
#ifndef RC_TASK_H
#define RC_TASK_H
#include "base/string.h"
#include "data/epochs.h"
#include "formats/safetensors.h"
#include "recur/model.h"
#include "recur/train.h"
#include <jansson.h>

/* ---- training ---------------------------------------------------------------------------------------------------- */
typedef struct rc__task rc__task;

typedef struct rc__task_step {
    size_t tokens; /* what the loss is the mean of; for rates and totals */
    bool ends_epoch;
} rc__task_step;

typedef struct rc__task_score {
    double loss;
    double accuracy;  /* NaN when the task has none */
    double criterion; /* lower is better: what "best" compares; NaN = the loss */
    bool solved;      /* the task knows it need not go on */
} rc__task_score;

/* Memory that is carried from step to step beside the parameters. */
typedef struct rc__task_tensor {
    const char *name;
    rc_real *data;
    size_t len;
} rc__task_tensor;
#define RC_TASK_MAX_TENSORS 8

typedef struct rc__task_ops {
    rc_params *(*params)(rc__task *t);
    /* Moves to the next batch and builds its mean loss; the tape has begun. A dead variable when something is wrong. */
    rc_var *(*next_loss)(rc__task *t, rc_tape *tape, rc__task_step *info);
    rc_status (*validate)(rc__task *t, rc_tape *tape, rc__task_score *score, rc_error *e);
    /* Text that shows what the model can do; *text is freed with rc_text_free. NULL: the task has nothing to show. */
    rc_status (*sample)(rc__task *t, const rc_train_options *o, uint64_t step, char **text, size_t *len, rc_error *e);
    rc_status (*save)(rc__task *t, const char *path, const char *provenance, rc_error *e); /* the model file */
    void (*where)(rc__task *t, char *out, size_t cap); /* the last batch in words, for messages */
    double (*epochs)(rc__task *t);                     /* passes over the data so far */
    double (*batches_per_epoch)(rc__task *t);          /* 0: the data has no end */
    size_t (*state)(rc__task *t, rc__task_tensor out[RC_TASK_MAX_TENSORS]); /* NULL: none */
    json_t *(*cursor_get)(rc__task *t);
    rc_status (*cursor_set)(rc__task *t, const json_t *cursor, const char *where, rc_error *e);
    /* Around the loop; NULL: nothing to do. finish has the model to keep in place and may fill in r. */
    rc_status (*begin)(rc__task *t, const rc_train_options *o, const rc_train_hooks *h, rc_train_result *r, rc_error *e);
    rc_status (*finish)(rc__task *t, const rc_train_options *o, const rc_train_hooks *h, rc_train_result *r, rc_error *e);
    double (*enough_epochs)(rc__task *t); /* for small data, when the default budget is asked for; NULL: that is enough */
    void (*before_step)(rc__task *t, double progress); /* gradual unfreezing, teacher forcing; NULL: nothing */
    void (*plan)(rc__task *t, rc_plan *plan, size_t *data_bytes); /* tokens, vocabulary, tokens of an epoch */
    void (*free)(rc__task *t);
} rc__task_ops;

/* First member of every task. */
struct rc__task {
    const rc__task_ops *ops;
    bool validates; /* there is validation data */
};

/* ---- trained models ---------------------------------------------------------------------------------------------- */
typedef struct rc__model_ops {
    /* The document's keys beside "format", "task" and "provenance", into doc. */
    rc_status (*document)(const rc_model *m, json_t *doc, rc_error *e);
    /* Tensors beside the parameters; their data must live as long as the model. NULL: none. */
    rc_status (*tensors)(const rc_model *m, rc__st_list *list, rc_error *e);
    rc_status (*eval)(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
    rc_status (*predict)(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
    /* Why: what mattered in each input, as lines of predict. NULL: the task cannot tell. */
    rc_status (*reasons)(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
    size_t (*explain)(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap); /* as snprintf */
    void (*free)(rc_model *m);
} rc__model_ops;

typedef struct rc__task_kind rc__task_kind;

/* First member of every trained model. */
struct rc_model {
    const rc__task_kind *kind;
    rc_params *params;
    char *provenance; /* JSON object, rc__strdup; NULL = "{}" */
};

struct rc__task_kind {
    const char *name;        /* "classify": the word after `recur train`, and "task" of a model file */
    const char *title;       /* "a classifier" */
    const char *options;     /* names of training options that this task reads and not every task does, with blanks */
    void (*defaults)(rc_train_options *o); /* over the common ones; NULL: none */
    /* Reads the data and makes the model, or loads it: o->from, or `initial`, the model file of a run that goes on. */
    rc_status (*make)(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e);
    /* A model of a file whose document says it is of this task. NULL: rc_lm_load reads it. */
    rc_status (*open)(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
    rc__model_ops model;
};

const rc__task_kind *rc__task_find(const char *name); /* NULL when unknown */
extern const rc__task_kind *const rc__task_kinds[];   /* ends in NULL; task.c */
extern const rc__task_kind rc__task_lm, rc__task_classify, rc__task_regress, rc__task_tag, rc__task_forecast, rc__task_detect,
    rc__task_translate, rc__task_summarize, rc__task_chat, rc__task_answer;

/* ---- model files ------------------------------------------------------------------------------------------------- */
/* The document of a model file whatever its task: parsed, "format" and "task" checked. *doc: json_decref. where receives
 * "PATH: metadata "recur"" for messages. */
rc_status rc__model_document(const rc__st_file *file, json_t **doc, const char **task, char *where, size_t cap,
                             rc_error *e);
/* Writes document, provenance (NULL: the model's own) and parameters. */
rc_status rc__model_save(const rc_model *m, const char *path, const char *provenance, rc_error *e);
/* After `open` has declared the parameters: checks every tensor's name and shape against the file, builds, reads. */
rc_status rc__model_read_params(rc_params *ps, const rc__st_file *file, rc_error *e);

/* One JSON object as a line of results; v is given away, NULL is RC_ENOMEM. RC_ESTOP: the reader wants no more. */
rc_status rc__sink_json(const rc_sink *sink, json_t *v, rc_error *e);
/* The text as a line of results; b is empty afterwards and keeps its memory. RC_ENOMEM when it failed. */
rc_status rc__sink_text(const rc_sink *sink, rc__string *b, rc_error *e);

/* ---- what tasks share -------------------------------------------------------------------------------------------- */
void rc__say(const rc_train_hooks *hooks, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* FNV-1a over bytes, for fingerprints of training data; begins with RC__FINGERPRINT. */
#define RC__FINGERPRINT UINT64_C(14695981039346656037)
uint64_t rc__fingerprint(uint64_t h, const void *data, size_t bytes);
/* A task's place in the order of its examples, with the fingerprint of its training data, both ways. RC_EDATA: the data
 * are others. `what` are its examples, for that message: "sentences". */
json_t *rc__epochs_to_json(const rc__epochs *x, uint64_t data);
rc_status rc__epochs_from_json(rc__epochs *x, const json_t *cursor, uint64_t data, const char *what, const char *where,
                               rc_error *e);
rc_status rc__train_precision(const rc_train_options *o, rc_precision *out, rc_error *e);
/* One line about products that are not fp32: how they are made here, and whether that gains anything. */
void rc__say_precision(const rc_train_hooks *hooks, rc_precision p);
/* cell, sizes, dropouts, initialisation */
rc_status rc__train_rnn_options(const rc_train_options *o, rc_rnn_options *r, rc_error *e);
#endif
