/* Gradients of blocks of attention under every option, in double: x, the memory and all parameters. T = 5, odd sizes,
 * lengths with a 0 and a memory of none. */
#include <math.h>
#include <stdio.h>
#include "grad.h"
#include "nn/transformer.h"
#include "recur/rnn.h"

enum { T = 5, B = 4, I = 3, S = 4 };

typedef struct variant {
    const char *name;
    size_t hidden, heads, kv_heads, ffn, context, memory;
    bool lengths, both, no_bias, post, rms, past;
    rc_positions positions;
    rc_ffn_kind kind;
    double dropout, attention;
} variant;

static const variant variants[] = {
    {.name = "plain"},
    {.name = "lengths", .lengths = true},
    {.name = "post-norm relu", .post = true, .kind = RC_FFN_RELU},
    {.name = "rms swiglu", .rms = true, .kind = RC_FFN_SWIGLU, .lengths = true},
    {.name = "alibi window", .positions = RC_POSITIONS_ALIBI, .context = 2, .lengths = true},
    {.name = "sinusoidal", .positions = RC_POSITIONS_SINUSOIDAL, .hidden = 9, .heads = 3},
    {.name = "learned", .positions = RC_POSITIONS_LEARNED, .context = 3, .lengths = true},
    {.name = "no positions, no biases", .positions = RC_POSITIONS_NONE, .no_bias = true},
    {.name = "shared keys", .heads = 4, .kv_heads = 2, .lengths = true},
    {.name = "both sides", .both = true, .lengths = true},
    {.name = "both sides, window", .both = true, .context = 2, .positions = RC_POSITIONS_NONE},
    {.name = "no input projection", .hidden = I, .heads = 1, .positions = RC_POSITIONS_ALIBI, .ffn = 5},
    {.name = "dropout", .dropout = 0.3, .attention = 0.3, .lengths = true},
    {.name = "after a state", .past = true, .context = 4, .lengths = true},
    {.name = "after a state, alibi", .past = true, .context = 16, .positions = RC_POSITIONS_ALIBI},
    {.name = "memory", .memory = 8, .lengths = true},
    {.name = "memory of another width", .memory = 5, .post = true, .no_bias = true},
    {.name = "all at once",
     .memory = 6,
     .heads = 4,
     .kv_heads = 2,
     .rms = true,
     .kind = RC_FFN_SWIGLU,
     .dropout = 0.2,
     .attention = 0.2,
     .context = 3,
     .lengths = true},
};

typedef struct net {
    rc__transformer *m;
    const int32_t *lengths, *memory_lengths;
    rc_rnn *rnn; /* with a state, and without a memory: the way of whoever has a cell */
    rc_state *state, *start;
    bool memory;
} net;

static rc_var *run(rc_tape *t, rc_var *const *in, void *ctx) {
    net *n = ctx;
    if (n->rnn) {
        if (n->state) assert_int_equal(rc_state_copy(n->state, n->start, NULL), RC_OK);
        return rc_rnn_forward(t, n->rnn, in[0], n->lengths, n->state);
    }
    rc__transformer_memory memory = {.steps = in[1], .lengths = n->memory_lengths};
    return rc__transformer_forward(t, n->m, in[0], n->lengths, &memory, NULL);
}

static void check(const variant *v) {
    static const int32_t lengths[B] = {3, 0, 5, 1}, memory_lengths[B] = {2, 3, 4, 0};
    rc_error e = {0};
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = "transformer";
    o.input_size = I;
    o.hidden_size = v->hidden ? v->hidden : 8;
    o.num_layers = 2;
    o.heads = v->heads ? v->heads : 2;
    o.kv_heads = v->kv_heads;
    o.ffn = v->ffn ? v->ffn : 6;
    o.context = v->context;
    o.bidirectional = v->both;
    o.no_bias = v->no_bias;
    o.post_norm = v->post;
    o.rms_norm = v->rms;
    o.positions = v->positions;
    o.ffn_kind = v->kind;
    o.dropout = v->dropout;
    o.attention_dropout = v->attention;
    rc_params *ps;
    net n = {.lengths = v->lengths ? lengths : NULL,
             .memory_lengths = v->lengths ? memory_lengths : NULL,
             .memory = v->memory > 0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    rc_status s = v->memory ? rc__transformer_new(&n.m, ps, "", &o, v->memory, &e) : rc_rnn_new(&n.rnn, ps, "", &o, &e);
    if (s != RC_OK) fail_msg("%s: %s", v->name, e.text);
    assert_int_equal(rc_params_build(ps, 7, &e), RC_OK);
    rc_rng rng = rc_rng_make(9, 0);
    for (size_t i = 0; i < rc_params_count(ps); i++) { /* biases and norms too, and attention that is not even */
        rc_param *p = rc_params_at(ps, i);
        for (size_t k = 0; k < p->len; k++) p->w[k] = p->w[k] * 2 + 0.3 * rc_rng_normal(&rng);
    }
    rc_params_changed(ps);
    if (v->past) { /* 6 steps before: more than a context of 4, less than one of 16 */
        rc_tape *t;
        rc_real x[6 * B * I];
        for (size_t i = 0; i < 6 * B * I; i++) x[i] = rc_rng_normal(&rng);
        assert_int_equal(rc_state_new(&n.state, n.rnn, B, &e), RC_OK);
        assert_int_equal(rc_state_new(&n.start, n.rnn, B, &e), RC_OK);
        assert_int_equal(rc_tape_new(&t, &e), RC_OK);
        rc_tape_begin(t, (rc_tape_mode){0});
        rc_rnn_forward(t, n.rnn, rc_input(t, 3, (size_t[]){6, B, I}, x), (int32_t[]){6, 5, 2, 0}, n.start);
        assert_int_equal(rc_tape_status(t, &e), RC_OK);
        rc_tape_free(t);
    }
    rc__gradcheck c = {
        .build = run, .ctx = &n, .n = v->memory ? 2 : 1, .params = ps, .training = true, .seed = 3, .step = 5};
    /* without lengths or dropout nothing may be 0; a bias of keys moves all scores of a query alike */
    c.params_zero_ok = true;
    c.h = 3e-6; /* norms of a few numbers have large third derivatives */
    c.floor = 0.1;
    c.in[0] = (rc__gradcheck_input){.name = "x", .ndim = 3, .dim = {T, B, I}, .fill = RC__FILL_NORMAL};
    c.in[1] = (rc__gradcheck_input){.name = "memory", .ndim = 3, .dim = {S, B, v->memory}, .fill = RC__FILL_NORMAL};
    if (rc__gradcheck_run(&c, &e) != RC_OK) fail_msg("%s: %s", v->name, e.text);
    rc_state_free(n.state), rc_state_free(n.start);
    rc_rnn_free(n.rnn);
    rc__transformer_free(n.m);
    rc_params_free(ps);
}

static void one(void **state) { check(*state); }

int main(void) {
    enum { N = sizeof variants / sizeof *variants };
    struct CMUnitTest tests[N];
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){
            .name = variants[i].name, .test_func = one, .initial_state = (void *)(uintptr_t)&variants[i]};
    return _cmocka_run_group_tests("transformer gradients", tests, N, NULL, NULL);
}
