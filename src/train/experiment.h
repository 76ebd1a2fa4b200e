/* experiment.h - sequence models on the synthetic sources: embedding or real inputs, recurrent layers, linear head. */
#ifndef RC_EXPERIMENT_H
#define RC_EXPERIMENT_H
#include "data/synthetic.h"
#include "train/loop.h"

typedef struct rc__experiment {
    rc__task base;
    rc__source source;
    const char *spec;
    rc_params *params;
    rc_rnn *rnn;
    rc_param *embedding; /* NULL for real inputs */
    rc_param *head_w, *head_b;
    uint64_t seed;
    size_t batch;
    uint64_t next;       /* index of the next training batch */
    rc_real *x, *values; /* buffers of one batch; those the source has not are NULL */
    int32_t *ids, *targets;
    bool stop_when_solved;
} rc__experiment;

rc_status rc__experiment_new(rc__experiment **out, const rc_train_options *o, rc_error *e);
void rc__experiment_free(rc__experiment *x);
/* Fills the buffers with training batch `index`, or a held-out one. */
void rc__experiment_batch(rc__experiment *x, bool held_out, uint64_t index);
rc_status rc__experiment_run(const rc_train_options *o, const rc_train_hooks *hooks, rc__run *run, bool resume,
                             rc_train_result *r, rc_error *e);
#endif
