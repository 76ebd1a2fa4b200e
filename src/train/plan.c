/* plan.c - what a run will take: counted where it can be counted, and a few steps on the clock for the rest. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/gemm.h"
#include "train/experiment.h"
#include "train/loop.h"

#define WARM_STEPS 2 /* the first steps pack, allocate and touch pages: not timed */

static rc_status probe(rc__task *task, const rc_train_options *o, double seconds, rc_plan *plan, rc_error *e) {
    rc_tape *tape = NULL;
    rc_optim *optim = NULL;
    rc_params *ps = task->ops->params(task);
    rc_optim_options oo;
    rc_status s = rc__train_optim_options(o, &oo, e);
    if (s == RC_OK) s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = rc_optim_new(&optim, ps, &oo, e);
    double began = rc__now(), timed = 0;
    size_t tokens = 0;
    for (uint64_t step = 0; s == RC_OK; step++) {
        double start = rc__now();
        rc__task_step info = {0};
        rc_tape_begin(tape, (rc_tape_mode){.grad = true, .training = true, .step = step});
        rc_var *l = task->ops->next_loss(task, tape, &info);
        s = rc_tape_status(tape, e);
        if (s == RC_OK) s = rc_backward(tape, l, 1, e);
        if (s == RC_OK && rc_tape_bytes(tape) > plan->bytes_activations) plan->bytes_activations = rc_tape_bytes(tape);
        if (s == RC_OK) s = rc_optim_step(optim, 1e-6, NULL, e); /* hardly moves: only the time counts */
        double now = rc__now();
        if (step >= WARM_STEPS) {
            timed += now - start;
            tokens += info.tokens;
        }
        if (now - began >= seconds && step >= WARM_STEPS) break;
    }
    if (s == RC_OK) {
        size_t block = rc_params_block_len(ps) * sizeof(rc_real);
        size_t average = o->average && strcmp(o->average, "none") != 0;
        plan->precision = rc__precision_text(rc_params_get_precision(ps));
        plan->parameters = rc_params_len(ps);
        plan->bytes_parameters = 2 * block; /* values and gradients */
        plan->bytes_optimizer = rc_optim_blocks(optim) * block + average * block + (task->validates ? block : 0);
        plan->tokens_per_second = timed > 0 ? (double)tokens / timed : 0;
    }
    rc_optim_free(optim);
    rc_tape_free(tape);
    return s;
}

static rc_status plan_source(const rc_train_options *o, double seconds, rc_plan *plan, rc_error *e) {
    rc__experiment *x;
    rc_status s = rc__experiment_new(&x, o, e);
    if (s != RC_OK) return s;
    s = probe(&x->base, o, seconds, plan, e);
    plan->vocab_size = x->source.vocab_size;
    plan->bytes_total = plan->bytes_parameters + plan->bytes_optimizer + plan->bytes_activations;
    rc__experiment_free(x);
    return s;
}

static rc_status plan_task(const rc_train_options *o, double seconds, rc_plan *plan, rc_error *e) {
    rc__task *t;
    size_t data = 0;
    rc_status s = rc__task_find(o->task)->make(&t, o, NULL, NULL, e);
    if (s != RC_OK) return s;
    s = rc__train_param_groups(o, t->ops->params(t), e);
    if (s == RC_OK) s = probe(t, o, seconds, plan, e);
    if (t->ops->plan) t->ops->plan(t, plan, &data);
    plan->steps_per_epoch = (size_t)ceil(t->ops->batches_per_epoch(t) / (double)o->accumulate);
    plan->seconds_per_epoch =
        plan->tokens_per_second > 0 ? (double)plan->epoch_tokens / plan->tokens_per_second : NAN;
    plan->bytes_total = plan->bytes_parameters + plan->bytes_optimizer + plan->bytes_activations + data;
    t->ops->free(t);
    return s;
}

rc_status rc_train_plan(const rc_train_options *o, double probe_seconds, rc_plan *plan, rc_error *e) {
    *plan = (rc_plan){0};
    if (o->n_files == 0)
        return rc_fail(e, RC_EINVAL,
                       "plan: no data: give a file, - for standard input, or a source such as adding:T=200");
    rc_status bad = rc_train_check(o, e);
    if (bad != RC_OK) return bad;
    if (o->threads > 0) {
        rc_status s = rc_set_threads((int)o->threads, e);
        if (s != RC_OK) return s;
    }
    bool source = !strcmp(o->task, "lm") && o->n_files == 1 && rc__source_named(o->files[0]) && !rc__exists(o->files[0]);
    return source ? plan_source(o, probe_seconds, plan, e) : plan_task(o, probe_seconds, plan, e);
}
