/* loop.h - one training loop for every task.
 *
 * A task is its data, a network and a loss behind rc__task_ops; the loop owns the tape, optimizer, schedule, averaging,
 * validations, checkpoints and logs. A new task is one file with one table. */
#ifndef RC_LOOP_H
#define RC_LOOP_H
#include "tasks/task.h"
#include "train/runfolder.h"

/* What a checkpoint holds beside the blocks. */
typedef struct rc__position {
    uint64_t step, tokens;
    double seconds, train_seconds; /* of wall clock; of it in training steps */
    double loss_sum, loss_weight;  /* smoothed training loss = loss_sum / loss_weight */
    double best;                   /* validation loss; NaN = none yet */
    double best_criterion;         /* what it was chosen by; the loss unless the task has another */
    double best_accuracy;
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
/* What the loop would refuse, for before a run folder is made: options, --freeze, --lr-groups, missing validation. */
rc_status rc__train_check_task(rc__task *task, const rc_train_options *o, rc_error *e);
/* --freeze and --lr-groups. */
rc_status rc__train_param_groups(const rc_train_options *o, rc_params *ps, rc_error *e);

/* rc_train, but an interruption that was asked for before still holds. */
rc_status rc__train_go_on(const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r, rc_error *e);

/* checkpoint.c. Saved atomically; loading checks everything that has a shape before it is used. */
rc_status rc__checkpoint_save(rc__trainer *t, const char *path, rc_error *e);
rc_status rc__checkpoint_load(rc__trainer *t, const char *path, rc_error *e);

/* interrupt.c */
bool rc__train_interrupted(void);
void rc__train_interrupt_clear(void);
#endif
