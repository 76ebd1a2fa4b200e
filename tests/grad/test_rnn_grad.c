/* Gradients of every cell under every option, in double: x, initial states and all parameters, through outputs and
 * final states. T = 4, odd sizes, lengths with a 0, three rows in a tile of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "autograd/gradcheck.h"
#include "recur/rnn.h"

enum { T = 4, B = 5, I = 3, H = 5 };

typedef struct variant {
    const char *name;
    bool lengths, no_bias, bidirectional, reverse, sequence, learn, state_vars;
    int layers;
    rc_skip skip;
    double dropout, recurrent, zoneout_h, zoneout_c, drop;
} variant;

static const variant variants[] = {
    {.name = "plain", .layers = 1, .state_vars = true},
    {.name = "lengths", .layers = 1, .state_vars = true, .lengths = true},
    {.name = "reverse", .layers = 1, .state_vars = true, .reverse = true},
    {.name = "reverse lengths", .layers = 1, .state_vars = true, .reverse = true, .lengths = true},
    {.name = "bidirectional", .layers = 2, .state_vars = true, .bidirectional = true},
    {.name = "bidirectional lengths", .layers = 2, .state_vars = true, .bidirectional = true, .lengths = true},
    {.name = "no bias", .layers = 1, .no_bias = true},
    {.name = "residual dropout", .layers = 3, .skip = RC_SKIP_RESIDUAL, .dropout = 0.3},
    {.name = "highway dropout sequence", .layers = 2, .skip = RC_SKIP_HIGHWAY, .dropout = 0.3, .sequence = true},
    {.name = "recurrent dropout", .layers = 1, .recurrent = 0.4, .state_vars = true},
    {.name = "recurrent dropout lengths", .layers = 1, .recurrent = 0.4, .state_vars = true, .lengths = true},
    {.name = "zoneout", .layers = 1, .zoneout_h = 0.3, .zoneout_c = 0.2, .state_vars = true},
    {.name = "zoneout lengths", .layers = 1, .zoneout_h = 0.3, .zoneout_c = 0.2, .state_vars = true, .lengths = true},
    {.name = "weight drop", .layers = 1, .drop = 0.3},
    {.name = "learnt initial state", .layers = 2, .learn = true, .lengths = true},
    {.name = "all at once",
     .layers = 2,
     .bidirectional = true,
     .lengths = true,
     .skip = RC_SKIP_RESIDUAL,
     .dropout = 0.2,
     .recurrent = 0.3,
     .zoneout_h = 0.2,
     .zoneout_c = 0.3,
     .drop = 0.3,
     .learn = true},
};

typedef struct net {
    rc_rnn *rnn;
    const int32_t *lengths;
    bool state_vars, has_c;
} net;

static rc_var *flat(rc_tape *t, rc_var *v) { return rc_reshape(t, v, 1, (size_t[]){(size_t)-1}); }

static rc_var *run(rc_tape *t, rc_var *const *in, void *ctx) {
    const net *n = ctx;
    rc_var *hn, *cn, *h0 = n->state_vars ? in[1] : NULL, *c0 = n->state_vars && n->has_c ? in[2] : NULL;
    rc_var *y = rc_rnn_forward_vars(t, n->rnn, in[0], n->lengths, h0, c0, &hn, &cn);
    rc_var *all[3] = {flat(t, y), flat(t, hn), cn ? flat(t, cn) : NULL};
    return rc_concat(t, cn ? 3 : 2, all, 0);
}

static void check(const char *cell, const variant *v) {
    const rc_cell_info *info = rc_cell_find(cell);
    if (v->drop > 0 && (!strcmp(cell, "mingru") || !strcmp(cell, "minlstm"))) return; /* no recurrent weights to drop */
    static const int32_t lengths[B] = {2, 0, 4, 1, 3};
    rc_error e = {0};
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = cell;
    o.input_size = I;
    o.hidden_size = H;
    o.proj_size = info->projects ? 3 : 0;
    o.num_layers = v->layers;
    o.bidirectional = v->bidirectional;
    o.reverse = v->reverse;
    o.no_bias = v->no_bias;
    o.skip = v->skip;
    o.dropout = v->dropout;
    o.dropout_sequence = v->sequence;
    o.recurrent_dropout = v->recurrent;
    o.zoneout_h = v->zoneout_h;
    o.zoneout_c = info->has_c ? v->zoneout_c : 0;
    o.weight_drop = v->drop;
    o.learn_initial_state = v->learn;
    o.init_torch = true;
    rc_params *ps;
    net n = {.lengths = v->lengths ? lengths : NULL, .state_vars = v->state_vars, .has_c = info->has_c};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    if (rc_rnn_new(&n.rnn, ps, "", &o, &e)) fail_msg("%s, %s: %s", cell, v->name, e.text);
    assert_int_equal(rc_params_build(ps, 7, &e), RC_OK);
    rc_rng rng = rc_rng_make(9, 0);
    for (size_t i = 0; i < rc_params_count(ps); i++) { /* away from relu's corner, zero states, vanishing gradients */
        rc_param *p = rc_params_at(ps, i);
        for (size_t k = 0; k < p->len; k++)
            p->w[k] = strncmp(p->name, "initial", 7) ? 1.7 * p->w[k] : rc_rng_normal(&rng);
    }
    rc_params_changed(ps);
    size_t rows = (size_t)v->layers * (v->bidirectional ? 2 : 1);
    rc__gradcheck c = {
        .build = run, .ctx = &n, .n = 1, .params = ps, .training = true, .seed = 3, .step = 5, .params_zero_ok = true};
    /* The cell's own layer norm: values of c that lie close together make 1/std a hundred, its third derivative a
     * million; a step of 1e-5 would measure that. A smaller one leaves 1e-8 of rounding, hence the floor. */
    if (!strcmp(cell, "lstm-layernorm")) {
        c.h = 4e-7;
        c.floor = 0.1;
    }
    c.in[0] = (rc__gradcheck_input){.name = "x", .ndim = 3, .dim = {T, B, I}, .fill = RC__FILL_NORMAL};
    if (v->state_vars) {
        c.n = info->has_c ? 3 : 2;
        c.in[1] = (rc__gradcheck_input){.name = "h0",
                                        .ndim = 3,
                                        .dim = {rows, B, rc_rnn_state_size(n.rnn)},
                                        .fill = RC__FILL_NORMAL,
                                        .zero_ok = !strcmp(cell, "sru")};
        c.in[2] = (rc__gradcheck_input){.name = "c0", .ndim = 3, .dim = {rows, B, H}, .fill = RC__FILL_NORMAL};
    }
    if (rc__gradcheck_run(&c, &e)) fail_msg("%s, %s: %s", cell, v->name, e.text);
    rc_rnn_free(n.rnn);
    rc_params_free(ps);
}

static void all_variants(void **state) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) check(*state, &variants[i]);
}

int main(void) {
    struct CMUnitTest tests[32];
    size_t n = rc_cell_count() - 1; /* transformer: test_transformer_grad.c */
    for (size_t i = 0; i < n; i++) {
        const char *name = rc_cell_at(i)->name;
        tests[i] =
            (struct CMUnitTest){.name = name, .test_func = all_variants, .initial_state = (void *)(uintptr_t)name};
    }
    return _cmocka_run_group_tests("rnn gradients", tests, n, NULL, NULL);
}
