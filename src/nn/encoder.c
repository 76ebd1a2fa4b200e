/* encoder.c - see encoder.h. */
#include "nn/encoder.h"
#include "nn/declare.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>

struct rc__encoder {
    rc__encoder_options o;
    rc_rnn *rnn;
    rc_param *conv_w[RC__ENCODER_MAX_KERNELS], *conv_b[RC__ENCODER_MAX_KERNELS];
    rc_param *att_w, *att_b, *att_v;
    size_t width, pooled;
};

static rc_status declare_cnn(rc__encoder *x, rc_params *ps, const char *prefix, rc_error *e) {
    char name[64];
    for (int k = 0; k < x->o.n_kernels; k++) {
        size_t width = x->o.kernels[k], dim[3] = {x->o.filters, x->o.input_size, width};
        if (width < 1) return rc_fail(e, RC_EINVAL, "encoder: a kernel of width 0");
        double fan_in = (double)(x->o.input_size * width);
        snprintf(name, sizeof name, "conv%d.weight", k);
        /* as He et al. 2015 for relu; rc_init's own rule would take the last dimension for the inputs */
        x->conv_w[k] =
            rc__declare(ps, prefix, name, 3, dim, (rc_init){.kind = RC_INIT_UNIFORM, .value = sqrt(6 / fan_in)}, e);
        snprintf(name, sizeof name, "conv%d.bias", k);
        if (x->conv_w[k]) x->conv_b[k] = rc__declare(ps, prefix, name, 1, dim, (rc_init){.kind = RC_INIT_ZEROS}, e);
        if (!x->conv_b[k]) return RC_ENOMEM;
    }
    x->width = x->o.filters * (size_t)x->o.n_kernels;
    return RC_OK;
}

static rc_status declare_attention(rc__encoder *x, rc_params *ps, const char *prefix, rc_error *e) {
    size_t width = x->width, square[2] = {width, width}, row[2] = {1, width};
    rc_init xavier = {.kind = RC_INIT_XAVIER_UNIFORM};
    x->att_w = rc__declare(ps, prefix, "attention.weight", 2, square, xavier, e);
    if (x->att_w) x->att_b = rc__declare(ps, prefix, "attention.bias", 1, &width, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (x->att_b) x->att_v = rc__declare(ps, prefix, "attention.vector", 2, row, xavier, e);
    return x->att_v ? RC_OK : RC_ENOMEM;
}

static size_t count_pools(unsigned pool) {
    size_t n = 0;
    for (unsigned bit = 1; bit <= RC__POOL_ALL; bit <<= 1) n += (pool & bit) != 0;
    return n;
}

static rc_status declare(rc__encoder *x, rc_params *ps, const char *prefix, rc_error *e) {
    rc_status s = RC_OK;
    if (x->o.kind == RC__ENCODER_RNN) {
        x->o.rnn.input_size = x->o.input_size;
        s = rc_rnn_new(&x->rnn, ps, prefix, &x->o.rnn, e);
        if (s != RC_OK) return s;
        x->o.rnn = *rc_rnn_get_options(x->rnn);
        x->o.rnn.cell = rc_cell_find(x->o.rnn.cell)->name;
        x->width = rc_rnn_output_size(x->rnn);
    } else if (x->o.pool & RC__POOL_LAST) {
        return rc_fail(e, RC_EINVAL, "encoder: pool \"last\" is for recurrent layers: the last step of %s says nothing of "
                                     "those before; take max, mean or attention",
                       x->o.kind == RC__ENCODER_CNN ? "cnn" : "bow");
    } else if (x->o.kind == RC__ENCODER_CNN) {
        s = declare_cnn(x, ps, prefix, e);
    } else {
        x->width = x->o.input_size;
    }
    if (s == RC_OK && x->o.pool & RC__POOL_ATTENTION) s = declare_attention(x, ps, prefix, e);
    x->pooled = x->width * count_pools(x->o.pool);
    return s;
}

rc_status rc__encoder_new(rc__encoder **out, rc_params *ps, const char *prefix, const rc__encoder_options *o,
                          rc_error *e) {
    *out = NULL;
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    if (o->kind == RC__ENCODER_CNN && (o->n_kernels < 1 || o->n_kernels > RC__ENCODER_MAX_KERNELS || o->filters < 1))
        return rc_fail(e, RC_EINVAL, "encoder: expected 1 to %d kernels of 1 filter or more, found %d of %zu",
                       RC__ENCODER_MAX_KERNELS, o->n_kernels, o->filters);
    if (o->input_size < 1) return rc_fail(e, RC_EINVAL, "encoder: input_size is 0");
    rc__encoder *x = rc__calloc(1, sizeof *x);
    if (!x) return rc_fail(e, RC_ENOMEM, "encoder: out of memory");
    x->o = *o;
    e->code = RC_OK;
    rc_status s = declare(x, ps, prefix, e);
    if (s != RC_OK) {
        rc__encoder_free(x);
        return e->code != RC_OK ? e->code : s;
    }
    *out = x;
    return RC_OK;
}

void rc__encoder_free(rc__encoder *x) {
    if (!x) return;
    rc_rnn_free(x->rnn);
    rc__free(x, sizeof *x);
}

const rc__encoder_options *rc__encoder_get_options(const rc__encoder *x) { return &x->o; }
size_t rc__encoder_width(const rc__encoder *x) { return x->width; }
size_t rc__encoder_pooled(const rc__encoder *x) { return x->pooled; }

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* The final states of the top layer: (layers * directions, B, W) -> (B, directions * W). */
static rc_var *top_states(rc_tape *t, const rc__encoder *x, rc_var *hn) {
    size_t dirs = x->o.rnn.bidirectional ? 2 : 1, B = hn->dim[1], W = hn->dim[2];
    rc_var *part[2];
    for (size_t d = 0; d < dirs; d++) {
        rc_var *one = rc_slice(t, hn, 0, hn->dim[0] - dirs + d, 1);
        part[d] = rc_reshape(t, one, 2, (size_t[2]){B, W});
    }
    return dirs == 2 ? rc_concat(t, 2, part, -1) : part[0];
}

static rc_var *attend(rc_tape *t, const rc__encoder *x, rc_var *steps, const int32_t *lengths) {
    rc_var *u = rc_tanh(t, rc_linear(t, steps, rc_param_var(t, x->att_w), rc_param_var(t, x->att_b)));
    rc_var *scores = rc_linear(t, u, rc_param_var(t, x->att_v), NULL);
    scores = rc_reshape(t, scores, 2, (size_t[2]){steps->dim[0], steps->dim[1]});
    return rc_weighted_sum_time(t, steps, rc_softmax_time(t, scores, lengths));
}

static rc_var *convolve(rc_tape *t, const rc__encoder *x, rc_var *in, const int32_t *lengths) {
    rc_var *part[RC__ENCODER_MAX_KERNELS];
    for (int k = 0; k < x->o.n_kernels; k++) {
        int left = (int)(x->o.kernels[k] - 1) / 2;
        part[k] = rc_conv1d(t, in, lengths, rc_param_var(t, x->conv_w[k]), rc_param_var(t, x->conv_b[k]), left);
    }
    return rc_relu(t, x->o.n_kernels > 1 ? rc_concat(t, x->o.n_kernels, part, -1) : part[0]);
}

rc_var *rc__encoder_forward(rc_tape *t, const rc__encoder *x, rc_var *in, const int32_t *lengths, rc_var **pooled) {
    rc_var *hn = NULL, *steps = in, *part[4];
    unsigned pool = x->o.pool;
    int n = 0;
    bool states = x->rnn && rc_cell_find(x->o.rnn.cell)->recurrent;
    if (x->rnn)
        steps = pool & RC__POOL_LAST && states ? rc_rnn_forward_vars(t, x->rnn, in, lengths, NULL, NULL, &hn, NULL)
                                     : rc_rnn_forward(t, x->rnn, in, lengths, NULL);
    else if (x->o.kind == RC__ENCODER_CNN)
        steps = convolve(t, x, in, lengths);
    if (!pool || !pooled) return steps;
    if (rc_tape_status(t, NULL) != RC_OK) return *pooled = steps, steps;
    if (pool & RC__POOL_LAST) part[n++] = states ? top_states(t, x, hn) : rc_last_time(t, steps, lengths);
    if (pool & RC__POOL_MEAN) part[n++] = rc_mean_time(t, steps, lengths);
    if (pool & RC__POOL_MAX) part[n++] = rc_max_time(t, steps, lengths);
    if (pool & RC__POOL_ATTENTION) part[n++] = attend(t, x, steps, lengths);
    *pooled = n > 1 ? rc_concat(t, n, part, -1) : part[0];
    return steps;
}

size_t rc__encoder_explain(const rc__encoder *x, size_t batch, size_t seq_len, char *out, size_t cap) {
    if (x->rnn) return rc_rnn_explain(x->rnn, batch, seq_len, out, cap);
    int n = snprintf(out, cap, x->o.kind == RC__ENCODER_CNN ? "cnn: %d widths x %zu filters over %zu inputs\n"
                                                           : "bow: the steps themselves\n",
                     x->o.n_kernels, x->o.filters, x->o.input_size);
    return n < 0 ? 0 : (size_t)n;
}
