/* gradflow.c - how far back in time the gradient of the last step's loss reaches (Bengio et al. 1994; Pascanu et al.
 * 2013).
 *
 * The layers run one time step at a time, so that the state between two steps is a variable of the tape with a gradient
 * of its own. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/experiment.h"

typedef struct flow {
    rc_var **h, **c;
    size_t T;
} flow;

static rc_var *input_at(rc__experiment *x, rc_tape *t, size_t step) {
    size_t B = x->batch, I = x->source.input_size;
    if (x->embedding) return rc_embedding(t, x->ids + step * B, 2, (size_t[]){1, B}, rc_param_var(t, x->embedding));
    return rc_input(t, 3, (size_t[]){1, B, I}, x->x + step * B * I);
}

/* The last step whose answer is scored: for padded sources it lies before the end. */
static size_t last_scored(const rc__experiment *x) {
    size_t T = x->source.seq_len, B = x->batch;
    if (x->source.target != RC__TARGET_TOKENS) return T - 1;
    for (size_t step = T; step-- > 0;)
        for (size_t b = 0; b < B; b++)
            if (x->targets[step * B + b] >= 0) return step;
    return T - 1;
}

static rc_var *last_loss(rc__experiment *x, rc_tape *t, rc_var *y, size_t step) {
    rc_var *flat = rc_reshape(t, y, 2, (size_t[]){x->batch, rc_rnn_output_size(x->rnn)});
    rc_var *out = rc_linear(t, flat, rc_param_var(t, x->head_w), rc_param_var(t, x->head_b));
    if (x->source.target == RC__TARGET_VALUE) return rc_mse(t, out, x->values, NULL);
    const int32_t *targets = x->source.target == RC__TARGET_TOKENS ? x->targets + step * x->batch : x->targets;
    return rc_cross_entropy(t, out, targets, NULL);
}

/* sum of squares of row b of a (layers, B, W) gradient */
static double row_square(const rc_var *v, size_t b) {
    if (!v || !v->dx) return 0;
    size_t L = v->dim[0], B = v->dim[1], W = v->dim[2];
    double sum = 0;
    for (size_t l = 0; l < L; l++)
        for (size_t k = 0; k < W; k++) {
            double g = (double)v->dx[(l * B + b) * W + k];
            sum += g * g;
        }
    return sum;
}

static rc_status measure(rc__experiment *x, rc_tape *t, const flow *f, double *norms, size_t n, rc_error *e) {
    rc_tape_begin(t, (rc_tape_mode){.grad = true});
    rc_var *h = NULL, *c = NULL, *y = NULL;
    size_t last = f->T - 1;
    for (size_t step = 0; step < f->T; step++) {
        y = rc_rnn_forward_vars(t, x->rnn, input_at(x, t, step), NULL, h, c, &h, &c);
        f->h[step] = h;
        f->c[step] = c;
    }
    rc_status s = rc_backward(t, last_loss(x, t, y, last), 1, e);
    if (s != RC_OK) return s;
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        for (size_t b = 0; b < x->batch; b++) {
            double square = row_square(f->h[last - k], b) + row_square(f->c[last - k], b);
            if (k == 0) square += row_square(y, b); /* the loss reads the last output, not the last state */
            sum += sqrt(square);
        }
        norms[k] = sum / (double)x->batch;
    }
    return RC_OK;
}

static rc_status run_flow(rc__experiment *x, double *norms, size_t cap, size_t *n, rc_error *e) {
    rc__experiment_batch(x, true, 0);
    flow f = {.T = last_scored(x) + 1};
    rc_tape *t = NULL;
    f.h = rc__calloc(f.T, sizeof(rc_var *));
    f.c = rc__calloc(f.T, sizeof(rc_var *));
    rc_status s = f.h && f.c ? rc_tape_new(&t, e) : rc_fail(e, RC_ENOMEM, "gradient flow: out of memory");
    *n = f.T < cap ? f.T : cap;
    if (s == RC_OK) s = measure(x, t, &f, norms, *n, e);
    rc_tape_free(t);
    rc__free(f.h, f.T * sizeof(rc_var *));
    rc__free(f.c, f.T * sizeof(rc_var *));
    return s;
}

rc_status rc_gradient_flow(const rc_train_options *o, bool trained, double *norms, size_t cap, size_t *n, rc_error *e) {
    *n = 0;
    const rc_cell_info *cell = rc_cell_find(o->cell);
    if (cell && !cell->recurrent)
        return rc_fail(e, RC_EINVAL, "gradient flow: %s has no state that a gradient goes back through", cell->name);
    rc_train_options local = *o;
    if (local.valid_every == 0) local.valid_every = 100;
    local.out = NULL;
    if (trained && local.steps == 0 && local.time <= 0) local.steps = 1000;
    rc__experiment *x;
    rc_train_result r;
    rc_status s = rc__experiment_new(&x, &local, e);
    if (s != RC_OK) return s;
    if (trained) s = rc__train_loop(&x->base, &local, NULL, NULL, false, &r, e);
    if (s == RC_OK) s = run_flow(x, norms, cap, n, e);
    if (s != RC_OK) *n = 0;
    rc__experiment_free(x);
    return s;
}
