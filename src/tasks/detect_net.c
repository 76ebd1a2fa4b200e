/* detect_net.c - the networks of detect.h. */
#include "tasks/detect.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

const char *const rc__detect_kinds[2] = {"forecast", "autoencoder"};
const char *const rc__detect_likelihoods[3] = {"point", "gaussian", "student-t"};

rc__detect_options rc__detect_options_default(void) {
    rc__detect_options o = {
        .rnn = rc_rnn_options_default(),
        .likelihood = RC__DETECT_STUDENT_T,
        .lags = 12,
        .window = 32,
        .history = 8000, /* W, W' and the threshold 1e-5 of Ahmad 2017 (Neurocomputing 262) */
        .recent = 10,
        .threshold = 5,
        .quiet = 50,
        .range = .05, /* SPATIAL_TOLERANCE of numenta/NAB's numenta_detector.py */
        .online_every = 8,
        .online_rows = 32,
        .online_batch = 8,
        .online_keep = 8000,
        .online_lr = 2e-3,
    };
    return o;
}

static size_t input_size(const rc__detect_options *o) {
    size_t rows = o->kind == RC__DETECT_AUTOENCODER ? 1 : o->lags;
    return o->channels * (rows + 1) + (o->clock ? RC__DETECT_CLOCK : 0);
}

static rc_status add_linear(rc_params *ps, const char *name, size_t rows, size_t cols, rc_param **w, rc_param **b,
                            rc_error *e) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    *w = rc_params_add(ps, full, 2, (size_t[]){rows, cols}, (rc_init){.kind = RC_INIT_XAVIER_UNIFORM}, e);
    snprintf(full, sizeof full, "%s.bias", name);
    *b = *w ? rc_params_add(ps, full, 1, (size_t[]){rows}, (rc_init){.kind = RC_INIT_ZEROS}, e) : NULL;
    if (*b) (*b)->no_decay = true;
    return *b ? RC_OK : e ? e->code : RC_ENOMEM;
}

rc_status rc__detect_net_new(rc__detect_net **out, const rc__detect_options *o, rc_error *e) {
    *out = NULL;
    bool encodes = o->kind == RC__DETECT_AUTOENCODER;
    rc_error own;
    if (!e) e = &own;
    if (o->channels < 1 || o->channels > RC__DETECT_MAX_CHANNELS || (!encodes && (o->lags < 1 || o->lags > 4096)) ||
        (encodes && (o->window < 2 || o->window > 4096 || o->code < 1)) || o->rnn.hidden_size > 65536)
        return rc_fail(e, RC_EINVAL, "a detector with %zu channels, %zu lags, windows of %zu: beyond what is sensible",
                       o->channels, o->lags, o->window);
    rc__detect_net *n = rc__calloc(1, sizeof *n);
    if (!n) return rc_fail(e, RC_ENOMEM, "detect: out of memory");
    n->o = *o;
    n->inputs = n->o.rnn.input_size = input_size(o);
    n->P = (size_t)o->likelihood + 1;
    rc_status s = rc_params_new(&n->ps, e);
    if (s == RC_OK) s = rc_rnn_new(&n->rnn, n->ps, "rnn.", &n->o.rnn, e);
    size_t from = n->rnn ? rc_rnn_output_size(n->rnn) + n->inputs : 0;
    if (s == RC_OK && encodes) {
        rc_rnn_options d = n->o.rnn;
        d.input_size = o->code;
        s = add_linear(n->ps, "code", o->code, rc_rnn_output_size(n->rnn), &n->code_w, &n->code_b, e);
        if (s == RC_OK) s = rc_rnn_new(&n->decoder, n->ps, "decoder.", &d, e);
        from = rc_rnn_output_size(n->rnn);
    }
    if (s == RC_OK) s = add_linear(n->ps, "out", o->channels * n->P, from, &n->w, &n->b, e);
    if (s != RC_OK) return rc__detect_net_free(n), s;
    *out = n;
    return RC_OK;
}

void rc__detect_net_free(rc__detect_net *n) {
    if (!n) return;
    rc_rnn_free(n->rnn);
    rc_rnn_free(n->decoder);
    rc_params_free(n->ps);
    rc__free(n, sizeof *n);
}

/* What the inputs see of a value: like z near the mean, like ln |2 z| far away, so that one spike does not blind the
 * network for as long as it is among the lags. */
static rc_real squash(rc_real z) { return isnan(z) ? 0 : (rc_real)asinh((double)z); }

void rc__detect_net_input(const rc__detect_net *n, const rc__detect_row *row, const rc_real *const *before,
                          rc_real *x) {
    size_t C = n->o.channels, at = 0;
    if (n->o.kind == RC__DETECT_AUTOENCODER) {
        for (size_t c = 0; c < C; c++) x[at++] = squash(row->z[c]);
        for (size_t c = 0; c < C; c++) x[at++] = (rc_real)!isnan(row->z[c]);
    } else {
        for (size_t k = 0; k < n->o.lags; k++)
            for (size_t c = 0; c < C; c++) x[at++] = before[k] ? squash(before[k][c]) : 0;
        for (size_t c = 0; c < C; c++) x[at++] = (rc_real)(before[0] && !isnan(before[0][c]));
    }
    if (!n->o.clock) return;
    if (row->clock)
        memcpy(x + at, row->clock, RC__DETECT_CLOCK * sizeof *x);
    else
        memset(x + at, 0, RC__DETECT_CLOCK * sizeof *x);
}

static rc_var *likelihood_loss(rc_tape *t, const rc__detect_net *n, rc_var *p, const rc_real *targets) {
    switch (n->o.likelihood) {
    case RC__DETECT_GAUSSIAN: return rc_gaussian_nll(t, p, targets, NULL);
    case RC__DETECT_STUDENT_T: return rc_student_t_nll(t, p, targets, NULL);
    default: return rc_huber(t, p, targets, NULL); /* Huber's delta is 1: one deviation */
    }
}

static rc_var *shape4(rc_tape *t, const rc__detect_net *n, rc_var *p, size_t T, size_t B) {
    bool point = n->P == 1;
    return rc_reshape(t, p, point ? 3 : 4, (size_t[]){T, B, n->o.channels, n->P});
}

/* (T, B, C P), newest row first. */
static rc_var *decode(rc_tape *t, const rc__detect_net *n, rc_var *x, size_t T, size_t B) {
    rc_var *h = rc_last_time(t, rc_rnn_forward(t, n->rnn, x, NULL, NULL), NULL);
    rc_var *code = rc_tanh(t, rc_linear(t, h, rc_param_var(t, n->code_w), rc_param_var(t, n->code_b)));
    code = rc_reshape(t, code, 3, (size_t[]){1, B, n->o.code});
    code = rc_add(t, rc_zeros(t, 3, (size_t[]){T, B, n->o.code}), code);
    rc_var *y = rc_rnn_forward(t, n->decoder, code, NULL, NULL);
    return rc_linear(t, y, rc_param_var(t, n->w), rc_param_var(t, n->b));
}

rc_var *rc__detect_net_loss(rc_tape *t, const rc__detect_net *n, const rc_real *x, const rc_real *targets, size_t T,
                            size_t B) {
    rc_var *in = rc_input(t, 3, (size_t[]){T, B, n->inputs}, x);
    if (n->o.kind == RC__DETECT_AUTOENCODER)
        return likelihood_loss(t, n, shape4(t, n, decode(t, n, in, T, B), T, B), targets);
    rc_var *h = rc_rnn_forward(t, n->rnn, in, NULL, NULL);
    rc_var *both = rc_concat(t, 2, (rc_var *[]){h, in}, -1);
    rc_var *p = rc_linear(t, both, rc_param_var(t, n->w), rc_param_var(t, n->b));
    return likelihood_loss(t, n, shape4(t, n, p, T, B), targets);
}

rc_status rc__detect_net_newest(rc_tape *t, const rc__detect_net *n, const rc_real *x, rc_real *out, rc_error *e) {
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *in = rc_input(t, 3, (size_t[]){n->o.window, 1, n->inputs}, x);
    rc_var *p = decode(t, n, in, n->o.window, 1);
    rc_status s = rc_tape_status(t, e);
    if (s == RC_OK) memcpy(out, p->x, n->o.channels * n->P * sizeof *out);
    return s;
}

void rc__detect_net_head(const rc__detect_net *n, const rc_real *h, const rc_real *x, rc_real *out) {
    size_t H = rc_rnn_output_size(n->rnn), cols = H + n->inputs;
    for (size_t k = 0; k < n->o.channels * n->P; k++) {
        const rc_real *w = n->w->w + k * cols;
        double sum = (double)n->b->w[k]; /* in double: one row at a time costs little, and nothing rounds differently */
        for (size_t i = 0; i < H; i++) sum += (double)w[i] * (double)h[i];
        for (size_t i = 0; i < n->inputs; i++) sum += (double)w[H + i] * (double)x[i];
        out[k] = (rc_real)sum;
    }
}

static double softplus(double x) { return x > 30 ? x : log1p(exp(x)); }

double rc__detect_surprise(const rc__detect_net *n, const rc_real *p, double z) {
    double d = fabs(z - (double)p[0]);
    if (n->o.likelihood == RC__DETECT_POINT) return d;
    d /= softplus((double)p[1]) + 1e-4; /* as rc_gaussian_nll and rc_student_t_nll read them */
    if (n->o.likelihood == RC__DETECT_GAUSSIAN) return d * d / 2;
    double nu = 2 + softplus((double)p[2]);
    return (nu + 1) / 2 * log1p(d * d / nu);
}
