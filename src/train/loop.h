/* loop.h - one training loop for every task.
 *
 * A task is its data, a network and a loss behind rc__task_ops; the loop owns the tape, optimizer, schedule, averaging,
 * validations, checkpoints and logs. A new task is one file with one table. */
#ifndef RC_LOOP_H
#define RC_LOOP_H
#include "recur/train.h"
#include "train/runfolder.h"
#include <jansson.h>

typedef struct rc__task rc__task;

typedef struct rc__task_step {
    size_t tokens; /* what the loss is the mean of; for rates and totals */
    bool ends_epoch;
} rc__task_step;

typedef struct rc__task_score {
    double loss;
    double accuracy; /* NaN when the task has none */
    bool solved;     /* the task knows it need not go on */
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
    size_t (*state)(rc__task *t, rc__task_tensor out[RC_TASK_MAX_TENSORS]);
    json_t *(*cursor_get)(rc__task *t);
    rc_status (*cursor_set)(rc__task *t, const json_t *cursor, const char *where, rc_error *e);
    void (*free)(rc__task *t);
} rc__task_ops;

/* First member of every task. */
struct rc__task {
    const rc__task_ops *ops;
    bool validates; /* there is validation data */
};

/* What a checkpoint holds beside the blocks. */
typedef struct rc__position {
    uint64_t step, tokens;
    double seconds, train_seconds; /* of wall clock; of it in training steps */
    double loss_sum, loss_weight;  /* smoothed training loss = loss_sum / loss_weight */
    double best;                   /* validation loss; NaN = none yet */
    uint64_t best_step;
    double best_epoch;
    double last_valid;
    uint64_t last_valid_step; /* of the last event, with or without validation data */
    int64_t bad_validations;
    double accuracy;
    bool solved;
    rc__log_lengths logs;
} rc__position;

typedef struct rc__trainer {
    const rc_train_options *o;
    const rc_train_hooks *hooks; /* never NULL here */
    rc__task *task;
    rc__run *run; /* NULL: no run folder */
    rc_params *ps;
    rc_tape *tape;
    rc_optim *optim;
    rc_average *average; /* NULL = off */
    rc_schedule schedule;
    double lr;
    rc_real *best_values; /* parameters of the best validation (averaged when averaging); NULL = no validation */
    rc__position at;

    /* this process only */
    double started, seconds_before;
    double valid_cost; /* seconds of the last validation with all that comes with it */
    double last_valid_at, last_log_at, last_status_at;
    double rate; /* tokens per second, smoothed */
    double lr_now, grad_norm;
    uint64_t valid_interval, steps_limit;
    double *param_norms; /* gradient norm of each parameter, at validations ... */
    uint64_t norms_step; /* ... as of this step */
    bool stopped_early, interrupted;
    bool owes_checkpoint; /* the folder was made anew and has none */
} rc__trainer;

/* Trains until a budget is spent. After it, the task's parameters are those to keep: the best ones when there is
 * validation data. resume: take the run's last checkpoint, or begin when it has none yet. Fills result but for paths
 * and exact validation losses. */
rc_status rc__train_loop(rc__task *task, const rc_train_options *o, const rc_train_hooks *hooks, rc__run *run,
                         bool resume, rc_train_result *result, rc_error *e);
/* Optimizer, schedule and averaging options as the loop understands them. */
rc_status rc__train_optim_options(const rc_train_options *o, rc_optim_options *out, rc_error *e);
rc_status rc__train_schedule(const rc_train_options *o, rc_schedule *out, rc_error *e);
rc_status rc__train_average_kind(const rc_train_options *o, rc_average_kind *out, rc_error *e);
rc_status rc__train_precision(const rc_train_options *o, rc_precision *out, rc_error *e);
/* One line about products that are not fp32: how they are made here, and whether that gains anything. */
void rc__train_say_precision(const rc_train_hooks *hooks, rc_precision p);
/* What the loop would refuse, for before a run folder is made: options, --freeze, --lr-groups, missing validation. */
rc_status rc__train_check_task(rc__task *task, const rc_train_options *o, rc_error *e);
/* --freeze and --lr-groups. */
rc_status rc__train_param_groups(const rc_train_options *o, rc_params *ps, rc_error *e);
void rc__train_say(const rc_train_hooks *hooks, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
json_t *rc__real_or_null(double v);

/* checkpoint.c. Saved atomically; loading checks everything that has a shape before it is used. */
rc_status rc__checkpoint_save(rc__trainer *t, const char *path, rc_error *e);
rc_status rc__checkpoint_load(rc__trainer *t, const char *path, rc_error *e);

/* interrupt.c */
bool rc__train_interrupted(void);
void rc__train_interrupt_clear(void);
#endif
