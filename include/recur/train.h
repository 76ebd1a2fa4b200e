/* recur/train.h - the training loop: data in, model file and run folder out.
 */
#ifndef RECUR_TRAIN_H
#define RECUR_TRAIN_H

#include "recur/lm.h"
#include "recur/model.h"
#include "recur/optim.h"
#include "recur/option.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every option of `recur train`; rc_train_option_table describes them, rc_train_option_is_for says which of them a task
 * reads. Plain values and borrowed strings, so that one struct is the command line, config.json and the API. */
typedef struct rc_train_options {
    const char *task;         /* lm, classify, ... (rc_train_tasks) */
    /* data */
    const char *const *files; /* paths, "-", or a source: adding:T=200, copy:T=50, temporal-order:T=50, count:T=50 */
    size_t n_files;
    const char *valid;        /* a validation file, or NULL: the last valid_fraction of the text */
    double valid_fraction;    /* 0.1 */
    rc_data_options data;     /* all tasks but lm */
    const char *vocab;        /* char | byte | word[:N] | bpe:N | FILE.json (tokenizer.json) */
    int64_t min_count;        /* classify, tag: rarer words are unknown ones */
    int64_t max_len;          /* classify, tag: longer sequences are cut; 0 = none */
    bool lowercase;
    /* model */
    const char *preset;       /* "", "quick", "good": a name only; rc_train_apply_preset puts its values in */
    const char *cell;
    int64_t layers, hidden, embedding /* 0 = hidden */, proj, depth;
    bool tied;
    const char *skip;         /* none | residual | highway */
    double dropout, dropout_input, dropout_output /* < 0: as dropout */, dropout_embedding;
    double recurrent_dropout, zoneout, zoneout_c, weight_drop;
    bool dropout_sequence, learn_initial_state;
    bool bias;                /* true: the recurrent layers have bias vectors */
    /* cell transformer, as in rc_rnn_options; 0 = its default */
    int64_t heads, kv_heads, ffn, context;
    const char *positions;    /* rotary | alibi | sinusoidal | learned | none */
    const char *norm;         /* layer | rms */
    bool post_norm;
    const char *activation;   /* gelu | relu | swiglu */
    double attention_dropout;
    double label_smoothing;   /* while training; the loss reported then is the smoothed one */
    double word_dropout;      /* classify, tag: share of the words that become the unknown one */
    /* classify, regress, tag, forecast, detect; each says in its help what it reads */
    const char *encoder;      /* a cell, cnn or bow */
    bool bidirectional;
    const char *pool;         /* last | mean | max | attention, or several with + between */
    const char *kernels;      /* cnn: widths, "3,4,5" */
    int64_t filters;          /* cnn: outputs of each width */
    const char *chars;        /* none | cnn | a cell: a second view of each word, by its characters */
    int64_t char_hidden, char_embedding;
    int64_t affixes;          /* width of each of a word's beginnings, endings and shapes as inputs; 0 = none */
    const char *vectors;      /* word vectors in text form */
    bool freeze_vectors;
    const char *class_weights; /* none | balanced */
    const char *normalize;    /* numbers: zscore | minmax | series | none */
    bool mask;                /* numbers: which values are missing, and for how long, are inputs too; gru-d: always */
    double target_cap;        /* regress: targets above it count as it; 0 = none */
    int64_t window;           /* regress, detect: steps of a window; 0 = whole sequences */
    bool crf;                 /* tag */
    const char *scheme;       /* tag: auto | none | bio | iobes */
    bool joint_intent;        /* tag: and a class for the whole sentence */
    int64_t exchange;         /* tag: copies of each training sentence whose spans are exchanged for others of their type */
    const char *model;        /* forecast: which kind */
    int64_t horizon, lookback;
    const char *season;       /* forecast: steps of a season, or auto */
    const char *likelihood;   /* forecast: point | quantile | gaussian | student-t | negative-binomial */
    const char *quantiles;    /* forecast: "0.1,0.5,0.9" */
    int64_t segment;          /* forecast: steps of a segment */
    double threshold;         /* detect: share of alarms; 0 = a score of 5 */
    int64_t history, recent;  /* detect: rows of the normal errors (2 or more), and of those that are compared with them;
                                 chat: history: turns before a reply that are its source */
    int64_t repeat;           /* detect: rows within which an alarm is repeated only when it rises */
    int64_t settle;           /* detect: warm-up rows */
    double range;             /* detect: share of the range so far that a value may leave it by; < 0 = any */
    bool clock;               /* detect: the time of day and week are inputs */
    bool linear;              /* forecast: a linear part beside the network; true */
    /* translate, summarize, chat */
    const char *valid_target; /* the targets of valid, where they are in a second file */
    const char *source_lang, *target_lang; /* "en" ...: how moses cuts words; "" = no rules of a language */
    bool moses;               /* texts are cut into words and marks as the Moses scripts do it */
    int64_t max_source, max_target; /* tokens; longer texts are cut */
    const char *separator;    /* chat: between turns */
    const char *attention;    /* additive | dot | general | concat | multihead | location | none */
    bool input_feeding, coverage, copy, monotonic;
    bool shared;              /* one vocabulary and table for both sides */
    double coverage_weight;
    double scheduled_sampling; /* share of the target's tokens, at the end of the run, that are what the model says */
    int64_t beam;             /* of the last validation; 1 = greedy */
    int64_t batch_tokens;     /* longest text of a batch times its texts; 0 = no such limit */
    int64_t hops;             /* answer: looks at the story; query: layers; 0 = memory 3, query 2 */
    const char *encoding;     /* answer: bow | position: whether words weigh by their place in the sentence */
    bool temporal;            /* answer, memory: how long ago a sentence was told is an input; true */
    double noise;             /* answer, memory: share of empty memories between the others while training */
    double linear_start;      /* answer, memory: share of the run in which the hops have no softmax */
    const char *tying;        /* answer, memory: adjacent | layer: which hops share their tables */
    int64_t restarts;         /* answer, memory and query: networks trained side by side, each from its own start; 0 = 10, 5 */
    int64_t ensemble;         /* answer: so many of them answer together, the best on the validation (else training) data; 3 */
    int64_t blocks;           /* answer, entity: blocks of memory */
    int64_t memory;           /* answer: the last sentences of a story that are remembered; 0 = all */
    const char *init;         /* default | torch | xavier | he | orthogonal | uniform | identity */
    double forget_bias;
    /* optimisation */
    const char *optimizer;    /* adamw ... */
    double lr;                /* 0 = the optimizer's default */
    double momentum, alpha, beta1, beta2, eps, weight_decay, clip, clip_value;
    bool nesterov;
    const char *schedule;     /* constant | step | exponential | cosine | one-cycle | inverse-sqrt | plateau */
    int64_t warmup;
    /* rc_schedule's fields; gamma 0 and floor < 0 are that schedule's own */
    double schedule_gamma, schedule_every, schedule_floor, schedule_peak;
    int64_t schedule_patience;
    const char *average;      /* none | ema | swa */
    double average_decay;
    int64_t batch, seq_len, accumulate;
    int64_t softmax_samples;  /* 0 = the whole vocabulary */
    const char *precision;    /* of products while training: fp32 | bf16 */
    bool full_bptt;           /* each row is one document (line); no truncation */
    bool no_carry;            /* state is reset for each segment */
    /* budget */
    int64_t steps;            /* 0 = no limit */
    double epochs;            /* 0 = no limit */
    double time;              /* seconds, 0 = no limit; schedules end inside it */
    int64_t patience;         /* validations without improvement; 0 = off */
    int64_t valid_every;      /* steps; 0 = about 20 times a run and at each epoch */
    int64_t sample_every, sample_length; /* samples into the run folder and the progress */
    const char *sample_prompt;
    /* run */
    const char *out;          /* model file */
    const char *run;          /* run folder; NULL = runs/DATE-TIME-NAME */
    const char *resume;       /* run folder to go on with */
    const char *const *given; /* with resume: names of options that were asked for though they may be at their default ... */
    size_t n_given;           /* ... so many; others count as asked for where they differ from it */
    const char *from;         /* model to fine-tune */
    bool grow_vocab;
    const char *freeze;       /* name patterns, comma separated */
    const char *lr_groups;    /* PATTERN=FACTOR,... */
    int64_t keep;             /* checkpoints kept beside the best one; 3 */
    int64_t checkpoint_every; /* steps; 0 = at each validation */
    int64_t seed, threads;    /* threads 0 = all */
    bool quiet, json;
} rc_train_options;

rc_train_options rc_train_options_default(void); /* of task lm */
/* RC_EINVAL: no such task; the message lists them. */
rc_status rc_train_options_for(const char *task, rc_train_options *out, rc_error *e);
const char *rc_train_tasks(void); /* their names with a blank between */
const rc_option *rc_train_option_table(size_t *n);
bool rc_train_option_is_for(const char *option, const char *task);
/* Fills in what o->preset says, for every option but those named in set (n names), which the user gave. */
rc_status rc_train_apply_preset(rc_train_options *o, const char *const *set, size_t n, rc_error *e);
/* The learning rate that lr = 0 stands for. */
double rc_train_default_lr(const char *optimizer);

/* config.json of a run folder, or one written by hand: an object of option names and values, "files": [...], and notes
 * ("recur", "task") that are not options. Absent options keep their defaults. Strings of the options belong to the
 * config. Unknown names are RC_EINVAL with a suggestion. Without "task" the file is for lm. */
typedef struct rc_train_config rc_train_config;
rc_status rc_train_config_read(rc_train_config **out, const char *path, rc_error *e);
const rc_train_options *rc_train_config_options(const rc_train_config *c);
bool rc_train_config_has(const rc_train_config *c, const char *name); /* was it in the file? */
void rc_train_config_free(rc_train_config *c);
rc_status rc_train_config_write(const rc_train_options *o, const char *path, rc_error *e);

/* What happens, as it happens. Any of these may be NULL. */
typedef struct rc_train_progress {
    uint64_t step, steps;      /* steps 0 = unknown */
    double epoch, progress;    /* progress 0..1 of the budget */
    double seconds, seconds_left;
    double loss;               /* smoothed training loss, nats per token */
    double lr, grad_norm;
    double tokens_per_second;
    uint64_t tokens;
} rc_train_progress;
typedef struct rc_train_validation {
    uint64_t step;
    double loss, best;
    double accuracy; /* what the task calls its measure (rc_train_result.measure), NaN when it has none */
    bool improved;
} rc_train_validation;
typedef struct rc_train_hooks {
    void *ctx;
    void (*on_message)(void *ctx, const char *line);      /* data, vocabulary, model size, warnings */
    void (*on_step)(void *ctx, const rc_train_progress *p);
    void (*on_validation)(void *ctx, const rc_train_progress *p, const rc_train_validation *v);
    void (*on_sample)(void *ctx, uint64_t step, const char *text, size_t len);
    /* Asked before each step, and after a resume once before the first; validated: p->step has just been validated.
     * true: the run stops there as if interrupted, with a checkpoint, and can go on with o->resume. */
    bool (*pause)(void *ctx, const rc_train_progress *p, bool validated);
} rc_train_hooks;

typedef struct rc_train_result {
    uint64_t steps;
    double epochs, seconds, train_loss;
    double best_valid_loss; /* the lowest of the validations while training: parallel rows, docs/training.md */
    double valid_loss;      /* of the model written, one stateful pass over the validation text (rc_lm_eval) */
    uint64_t best_step;
    /* By which it was chosen, lower is better: the loss, or what the task has for it; and its accuracy (the measure).
     * NaN: there was no validation, or no measure. */
    double best_criterion, best_accuracy;
    double tokens_per_second;
    size_t parameters;
    uint64_t tokens;
    /* Fine-tuning, stateful passes; NaN otherwise. new_: on the new validation text (after = valid_loss). old_: on the
     * validation text that the model file's provenance names, when it still exists. */
    double new_valid_loss_before, old_valid_loss_before, old_valid_loss_after;
    double accuracy;        /* of the task's measure, at the last validation; NaN for lm */
    char measure[32];       /* what that is: "accuracy", "span F1" ...; "" = accuracy */
    bool solved;
    bool stopped_early, interrupted;
    char run[512], model[512];
} rc_train_result;

/* What can be refused without reading data: values outside their limits, options that contradict each other, options
 * that the cell does not have. RC_EINVAL names the option. rc_train begins with it. */
rc_status rc_train_check(const rc_train_options *o, rc_error *e);

/* Trains a model for o->task (for a source, the sequence model of that experiment). RC_EINTERRUPTED after
 * rc_train_interrupt: the step was finished and a checkpoint saved. RC_EDIVERGED: the message names tensor and batch.
 * result (may be NULL) is filled as far as the run came, result->run before anything can fail for hours. RC_EIO: a file
 * could not be read or written; when result->run is a run folder (rc_run_read), o->resume goes on with it from the last
 * checkpoint.
 * o->resume: options come from the run's config.json; fields of o that differ from rc_train_options_default(), or are
 * named in o->given, replace them, which only the budget, logging and output options may do (RC_EINVAL names another).
 * One training per
 * process. */
rc_status rc_train(const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *result, rc_error *e);
/* Asks the running training to stop after its step; safe in a signal handler. */
void rc_train_interrupt(void);

/* ---- search for good options ------------------------------------------------------------------------------------- */
/* Random search (Bergstra and Bengio 2012) with successive halving (Jamieson and Talwalkar 2016; one bracket of
 * Hyperband, Li et al. 2018, arXiv 1603.06560, Algorithm 1 with eta = 3): trials train for 3^-(rungs-1) of their
 * budget, the best third goes on to three times as much, and so on; the last rung is whole runs. A trial is an ordinary
 * run that pauses between rungs, so rc_train with its options, which its config.json holds, ends in the same bits
 * (given a budget of steps or epochs). The first trial has the options as they were given, as far as they lie in the
 * space; the others are drawn from it by (seed, number). */
typedef struct rc_tune_options {
    /* What all trials have in common. steps, epochs: of a whole run. time: of the whole search; without steps or epochs
     * of its own it is shared out as budgets of the trials. run: the folder of the search. resume: such a folder; then
     * only time, out, threads, quiet and json of these options count, and others in given are refused. given: names of
     * options that stay as they are though the task's own space has them. */
    rc_train_options train;
    const char *search; /* NAME=A..B or NAME=V,V,... with blanks between; NULL: the task's own space */
    int64_t trials;     /* 1..1000; 30 */
    int64_t rungs;      /* 1..4; 0 = 3, or as many as trials allow: 3 trials make 2, 9 make 3 */
} rc_tune_options;
rc_tune_options rc_tune_options_default(void);
/* The space that will be searched, in the grammar of `search`, cut to cap bytes; *len (may be NULL): its whole length.
 * RC_EINVAL names the option that cannot be searched or the value that it does not take. */
rc_status rc_tune_space(const rc_tune_options *o, char *out, size_t cap, size_t *len, rc_error *e);

/* A trial as of its last rung. */
typedef struct rc_tune_trial {
    size_t trial;
    int rung;            /* from 0 */
    char settings[1024]; /* "lr=0.001 hidden=128" */
    double score; /* by which trials are chosen, lower is better: rc_train_result.best_criterion; NaN: it failed */
    double accuracy, loss;  /* of the best validation */
    double epochs, seconds; /* trained so far */
    uint64_t steps;
    size_t parameters;
    char measure[32]; /* what accuracy is, once a run is done; "" = accuracy */
    bool done;        /* its run has ended by itself */
    char error[256];  /* why it failed; "" */
} rc_tune_trial;

typedef struct rc_tune_progress {
    size_t trial;
    int rung, rungs;
    size_t at, of;                /* the trial is the at-th (from 1) of this rung */
    double progress;              /* 0..1 of the search */
    double seconds, seconds_left; /* of the search; left NaN = not known yet */
    double best;                  /* lowest score so far; NaN */
} rc_tune_progress;
/* Any of these may be NULL. */
typedef struct rc_tune_hooks {
    void *ctx;
    void (*on_message)(void *ctx, const char *line); /* the space, the rungs; what the first trial says of the data */
    void (*on_step)(void *ctx, const rc_tune_progress *p, const rc_train_progress *t);
    void (*on_trial)(void *ctx, const rc_tune_progress *p, const rc_tune_trial *t); /* it has ended its rung */
} rc_tune_hooks;

typedef struct rc_tune_result {
    rc_tune_trial *trials; /* best first, those that failed last; rc_tune_result_free */
    size_t n;
    double seconds;            /* of the search, all processes that worked on it */
    bool out_of_time;          /* some rungs were not trained */
    char run[512], model[512]; /* model: of the best trial, a copy */
    char best[512];            /* that trial's run folder */
} rc_tune_result;
/* RC_EINTERRUPTED after rc_train_interrupt: o->train.resume = result->run goes on, after the end of the process too,
 * and makes the trials that would have been made. RC_EINVAL: options; RC_EDATA ...: as rc_train. Trials that diverge or
 * do not fit in memory are counted as failed; RC_EDIVERGED when all did. result is to be freed whatever is returned. */
rc_status rc_tune(const rc_tune_options *o, const rc_tune_hooks *hooks, rc_tune_result *result, rc_error *e);
void rc_tune_result_free(rc_tune_result *r);

/* ---- before a run ------------------------------------------------------------------------------------------------ */
typedef struct rc_plan {
    size_t parameters, train_tokens, valid_tokens, epoch_tokens, vocab_size, steps_per_epoch;
    size_t bytes_parameters, bytes_optimizer, bytes_activations, bytes_total;
    double tokens_per_second, seconds_per_epoch; /* from a short probe */
    const char *precision;                       /* how products are made: "fp32", "bf16 by widening: ..."; static */
} rc_plan;
rc_status rc_train_plan(const rc_train_options *o, double probe_seconds, rc_plan *plan, rc_error *e);

/* ---- gradient norm against distance in time (the vanishing-gradient experiment) ---------------------------------*/
/* norms[k]: norm of dLoss/dstate(T - k), mean over a batch, for k = 0..n-1, of an untrained or trained net on the data
 * of the source o->files[0]; the loss is that of the last step alone. The state is h of all layers and, for cells that
 * have it, c. trained: o's budget is spent on training first (no run folder). */
rc_status rc_gradient_flow(const rc_train_options *o, bool trained, double *norms, size_t cap, size_t *n, rc_error *e);

/* ---- run folders ------------------------------------------------------------------------------------------------- */
typedef struct rc_run_info {
    char path[512], name[256], cell[32], state[32]; /* state: running, done, interrupted, failed, damaged */
    uint64_t steps;
    double seconds, best_valid_loss, tokens_per_second, created; /* created: Unix time */
    size_t parameters;
    uint64_t bytes;
} rc_run_info;
/* RC_EMODEL: its status.json cannot be read. */
rc_status rc_run_read(const char *path, rc_run_info *out, rc_error *e);
/* Runs under dir, newest first; allocated, freed with rc_runs_free. One whose status.json cannot be read is
 * "damaged". */
rc_status rc_runs_list(const char *dir, rc_run_info **out, size_t *n, rc_error *e);
void rc_runs_free(rc_run_info *runs, size_t n);
/* Refuses (RC_EINVAL) what does not look like a run folder or is running. */
rc_status rc_run_delete(const char *path, rc_error *e);

#ifdef __cplusplus
}
#endif
#endif
