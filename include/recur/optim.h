/* recur/optim.h - optimizers, learning-rate schedules, clipping, weight averaging.
 */
#ifndef RECUR_OPTIM_H
#define RECUR_OPTIM_H

#include "recur/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row-sparse parameters (rc_param.sparse): norm, update, moments, decay and zeroing touch the rows in use only; moments
 * of the other rows stand still, bias correction counts all steps (torch.optim.SparseAdam). */
typedef enum rc_optim_kind {
    RC_OPTIM_SGD,
    RC_OPTIM_RMSPROP,
    RC_OPTIM_ADAGRAD,
    RC_OPTIM_ADAM,
    RC_OPTIM_ADAMW
} rc_optim_kind;
const char *rc_optim_name(rc_optim_kind k);                /* "adamw" */
bool rc_optim_from_name(const char *name, rc_optim_kind *k);

/* Update rules are torch.optim's, in its letters. */
typedef struct rc_optim_options {
    rc_optim_kind kind;      /* default ADAMW */
    double momentum;         /* SGD, RMSProp; default 0 */
    bool nesterov;           /* SGD */
    double alpha;            /* RMSProp; default 0.99 */
    double beta1, beta2;     /* Adam(W); 0.9, 0.999 */
    double eps;              /* 0, the default, is torch's: 1e-8, Adagrad 1e-10 */
    double weight_decay;     /* L2 in the gradient for all but AdamW (decoupled there); not on no_decay parameters */
    double clip_norm;        /* global norm of all gradients (after clip_value), 0 = off; torch's clip_grad_norm_ */
    double clip_value;       /* each element, before the norm, 0 = off */
} rc_optim_options;
rc_optim_options rc_optim_options_default(void);

typedef struct rc_optim rc_optim;
typedef struct rc_optim_report {
    double grad_norm;          /* before any clipping, over all unfrozen parameters */
    bool clipped;
    const rc_param *bad;       /* first parameter with a NaN or infinite gradient; then nothing was updated */
} rc_optim_report;

rc_status rc_optim_new(rc_optim **out, rc_params *ps, const rc_optim_options *opt, rc_error *e);
void rc_optim_free(rc_optim *o);
/* One update with learning rate lr; then zeroes the gradients. RC_EDIVERGED: see report->bad; nothing was updated,
 * gradients are kept. report may be NULL. The same bits for any number of threads; allocates nothing. */
rc_status rc_optim_step(rc_optim *o, double lr, rc_optim_report *report, rc_error *e);
uint64_t rc_optim_steps(const rc_optim *o);
void rc_optim_set_steps(rc_optim *o, uint64_t n);
/* Its state for checkpoints: n blocks, each rc_params_block_len long, laid out as the values; names as torch's
 * ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg", "sum"). */
size_t rc_optim_blocks(const rc_optim *o);
const char *rc_optim_block_name(const rc_optim *o, size_t i);
rc_real *rc_optim_block(rc_optim *o, size_t i);

/* ---- schedules: the factor in [0, 1] on the base rate ------------------------------------------------------------ */
typedef enum rc_schedule_kind {
    RC_SCHEDULE_CONSTANT, RC_SCHEDULE_STEP, RC_SCHEDULE_EXPONENTIAL, RC_SCHEDULE_COSINE, RC_SCHEDULE_ONE_CYCLE,
    RC_SCHEDULE_INVERSE_SQRT, RC_SCHEDULE_PLATEAU
} rc_schedule_kind;
const char *rc_schedule_name(rc_schedule_kind k);
bool rc_schedule_from_name(const char *name, rc_schedule_kind *k);

typedef struct rc_schedule {
    rc_schedule_kind kind;
    uint64_t warmup;        /* steps of linear warm-up: update k of them (from 1) has k / warmup of the rate */
    double gamma;           /* STEP: factor at each drop (0.5); EXPONENTIAL: total factor at the end (0.01) ;
                               PLATEAU: factor (0.25) */
    double every;           /* STEP: a drop each time this fraction of the run has passed (0.25) */
    double floor;           /* never below this factor, warm-up apart (COSINE and ONE_CYCLE end there; 0.02 for
                               COSINE, else 0) */
    double peak_at;         /* ONE_CYCLE: fraction of the run at the peak (0.3) */
    int patience;           /* PLATEAU: validations without improvement (by 1e-4 of the best) that are let pass (1) */
    /* PLATEAU's state, in checkpoints */
    double best, factor;
    int bad;
} rc_schedule;
rc_schedule rc_schedule_default(rc_schedule_kind kind);
/* step: updates done so far; progress: fraction of the run done, 0..1, of steps or of the time budget. */
double rc_schedule_factor(const rc_schedule *s, uint64_t step, double progress);
void rc_schedule_observe(rc_schedule *s, double validation_loss); /* PLATEAU */

/* ---- averaging of weights ---------------------------------------------------------------------------------------- */
typedef struct rc_average rc_average;
typedef enum rc_average_kind { RC_AVERAGE_NONE, RC_AVERAGE_EMA, RC_AVERAGE_SWA } rc_average_kind;
/* EMA: a = d a + (1-d) w with d = min(decay, (1+n)/(10+n)), n updates before. SWA: the plain mean of what it was shown.
 * Starts as a copy of the weights. NONE gives RC_OK and NULL, which the functions below take for "nothing to do". ps
 * must outlive it. */
rc_status rc_average_new(rc_average **out, rc_params *ps, rc_average_kind kind, double decay, rc_error *e);
void rc_average_free(rc_average *a);
void rc_average_update(rc_average *a);
/* Exchanges the parameters' values with the average (call again to go back). No update while exchanged. */
void rc_average_swap(rc_average *a);
rc_real *rc_average_block(rc_average *a);
uint64_t rc_average_count(const rc_average *a);
void rc_average_set_count(rc_average *a, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
