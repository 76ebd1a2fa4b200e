/* cmd_bench.c - recur bench: how fast the recurrent layers run here.
 *
 * Operations are counted as 2 * tokens * (elements of the weight matrices): for a cell with G gates that is
 * 2*B*T*G*H*(I+H) a layer; training counts three times that, one forward and two products backward. Pointwise work is
 * not counted. Times are medians.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "training.h"

struct bench_options {
    const char *cell, *lengths;
    int64_t batch, seq_len, hidden, input, layers, proj, depth, threads, seed;
    double time;
    bool train, bidirectional, json;
};

#define AT(field) offsetof(struct bench_options, field)
static const rc_option entries[] = {
    {"cell", 0, RC_OPT_STRING, AT(cell), 0, 0, NULL, "NAME", "Layers", "which cell"},
    {"hidden", 0, RC_OPT_INT, AT(hidden), 1, 1e6, NULL, "N", "Layers", "width of each layer"},
    {"input", 0, RC_OPT_INT, AT(input), 0, 1e6, NULL, "N", "Layers", "width of the input; 0: as hidden"},
    {"layers", 0, RC_OPT_INT, AT(layers), 1, 1000, NULL, "N", "Layers", "layers"},
    {"proj", 0, RC_OPT_INT, AT(proj), 0, 1e6, NULL, "N", "Layers", "lstm-projection: width of h; 0: half of hidden"},
    {"depth", 0, RC_OPT_INT, AT(depth), 0, 100, NULL, "N", "Layers", "rhn: micro-steps; 0: the default"},
    {"bidirectional", 0, RC_OPT_BOOL, AT(bidirectional), 0, 0, NULL, NULL, "Layers", "both directions (rnn)"},
    {"batch", 0, RC_OPT_INT, AT(batch), 1, 1e6, NULL, "N", "Work", "rows"},
    {"seq-len", 0, RC_OPT_INT, AT(seq_len), 1, 1e6, NULL, "N", "Work", "time steps (rnn)"},
    {"lengths", 0, RC_OPT_CHOICE, AT(lengths), 0, 0, "full random", "WHICH", "Work",
     "rows of full length, or of 1 to seq-len steps"},
    {"train", 0, RC_OPT_BOOL, AT(train), 0, 0, NULL, NULL, "Work", "forward and backward (rnn)"},
    {"time", 0, RC_OPT_TIME, AT(time), 0.01, 600, NULL, "TIME", "Work", "how long to measure"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Work", "0: all the cores the process may use"},
    {"seed", 0, RC_OPT_INT, AT(seed), 0, 9.2e18, NULL, "N", "Work", "of weights, input and lengths"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Work", "one JSON object on standard output"},
};

static const rc_option *table(size_t *n) {
    *n = sizeof entries / sizeof *entries;
    return entries;
}

static void defaults(void *options) {
    *(struct bench_options *)options = (struct bench_options){.cell = "lstm",
                                                              .lengths = "full",
                                                              .batch = 32,
                                                              .seq_len = 64,
                                                              .hidden = 256,
                                                              .layers = 1,
                                                              .time = 2,
                                                              .seed = 1};
}

/* An unknown cell with the nearest one, or all. */
rc_status cli_check_cell(const char *where, const char *cell, rc_error *e) {
    const char *names[64];
    char all[1024] = "";
    size_t n = 0, len = 0;
    if (rc_cell_find(cell)) return RC_OK;
    for (; n < rc_cell_count() && n < 64; n++) {
        names[n] = rc_cell_at(n)->name;
        len += (size_t)snprintf(all + len, len < sizeof all ? sizeof all - len : 0, "%s%s", n ? " " : "", names[n]);
    }
    const char *near = cli_suggest(names, n, cell);
    if (near) return rc_fail(e, RC_EINVAL, "%s: unknown cell \"%s\"; did you mean %s?", where, cell, near);
    return rc_fail(e, RC_EINVAL, "%s: unknown cell \"%s\"; cells: %s", where, cell, all);
}

static rc_status settle(cli_args *a, rc_error *e) {
    static const char *const kinds[] = {"rnn", "step"};
    const struct bench_options *o = a->options;
    if (a->help) return RC_OK;
    if (a->n_words == 0) {
        for (size_t i = 0; i < a->n_given; i++)
            if (!strstr(" seq-len time threads seed json ", a->given[i].option->name))
                return rc_fail(e, RC_EINVAL,
                               "--%s: expected what to measure first: rnn (sequences) or step (streaming)",
                               a->given[i].option->name);
        return RC_OK;
    }
    if (a->n_words > 1) return rc_fail(e, RC_EINVAL, "unexpected argument \"%s\"", a->words[1]);
    if (strcmp(a->words[0], "rnn") != 0 && strcmp(a->words[0], "step") != 0) {
        const char *near = cli_suggest(kinds, 2, a->words[0]);
        return rc_fail(e, RC_EINVAL,
                       near ? "unknown benchmark \"%s\"; did you mean %s?"
                            : "unknown benchmark \"%s\"; expected rnn or step",
                       a->words[0], near);
    }
    if (strcmp(a->words[0], "step") == 0)
        for (size_t i = 0; i < a->n_given; i++)
            for (const char *const *p = (const char *const[]){"train", "seq-len", "lengths", "bidirectional", NULL}; *p;
                 p++)
                if (strcmp(a->given[i].option->name, *p) == 0)
                    return rc_fail(e, RC_EINVAL, "--%s is of bench rnn; bench step runs one time step at a time", *p);
    return cli_check_cell("--cell", o->cell, e);
}

/* ---- the net ----------------------------------------------------------------------------------------------------------- */

struct net {
    rc_params *params;
    rc_rnn *rnn;
    size_t input, matrix_elements;
};

static rc_status net_new(struct net *net, const struct bench_options *o, rc_error *e) {
    rc_rnn_options ro = rc_rnn_options_default();
    ro.cell = o->cell;
    ro.hidden_size = (size_t)o->hidden;
    ro.input_size = net->input = (size_t)(o->input ? o->input : o->hidden);
    ro.num_layers = (int)o->layers;
    ro.bidirectional = o->bidirectional;
    ro.proj_size = (size_t)o->proj;
    if (o->depth) ro.depth = (int)o->depth;
    rc_status s = rc_params_new(&net->params, e);
    if (!s) s = rc_rnn_new(&net->rnn, net->params, "", &ro, e);
    if (!s) s = rc_params_build(net->params, (uint64_t)o->seed, e);
    for (size_t i = 0; !s && i < rc_params_count(net->params); i++)
        if (rc_params_at(net->params, i)->ndim == 2) net->matrix_elements += rc_params_at(net->params, i)->len;
    return s;
}

static void net_free(struct net *net) {
    rc_rnn_free(net->rnn);
    rc_params_free(net->params);
}

static rc_real *random_values(size_t n, uint64_t seed) {
    rc_rng r = rc_rng_make(seed, 1000);
    rc_real *x = cli_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (rc_real)rc_rng_normal(&r);
    return x;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- sequences ----------------------------------------------------------------------------------------------------------- */

static rc_status one_pass(const struct net *net, rc_tape *t, const struct bench_options *o, const rc_real *x,
                          const int32_t *lengths, rc_error *e) {
    size_t dim[3] = {(size_t)o->seq_len, (size_t)o->batch, net->input};
    rc_tape_begin(t, (rc_tape_mode){.grad = o->train, .training = o->train, .seed = 1});
    rc_var *y = rc_rnn_forward(t, net->rnn, o->train ? rc_leaf(t, 3, dim, x) : rc_input(t, 3, dim, x), lengths, NULL);
    if (!o->train) return rc_tape_status(t, e);
    rc_params_zero_grad(net->params);
    rc_params_changed(net->params); /* as after an optimizer's step: weights are packed anew */
    return rc_backward(t, rc_sum_all(t, y), 1, e);
}

struct measured {
    double median, least, p99, mean; /* rnn: ms a pass; step: us a step */
    double tokens;                   /* of a pass or step */
    double rate, gflops;             /* tokens a second */
    size_t n, input;
};

static void summarize(struct measured *m, double *times, double per_second, const struct net *net, double passes) {
    double sum = 0;
    for (size_t i = 0; i < m->n; i++) sum += times[i];
    qsort(times, m->n, sizeof *times, by_value);
    m->median = times[m->n / 2];
    m->least = times[0];
    m->p99 = times[m->n * 99 / 100];
    m->mean = sum / (double)m->n;
    m->rate = m->tokens / m->median * per_second;
    m->gflops = 2 * m->rate * (double)net->matrix_elements * passes / 1e9;
    m->input = net->input;
}

static rc_status measure_rnn(const struct bench_options *o, struct measured *m, rc_error *e) {
    enum { MOST = 100000, WARM = 3 };
    struct net net = {0};
    rc_tape *t = NULL;
    rc_real *x = NULL;
    double *ms = NULL;
    int32_t *lengths = NULL;
    *m = (struct measured){.tokens = (double)o->batch * (double)o->seq_len};
    rc_status s = net_new(&net, o, e);
    if (!s) s = rc_tape_new(&t, e);
    if (!s) {
        x = random_values((size_t)o->batch * (size_t)o->seq_len * net.input, (uint64_t)o->seed);
        ms = cli_alloc(MOST * sizeof *ms);
    }
    if (!s && strcmp(o->lengths, "random") == 0) {
        rc_rng r = rc_rng_make((uint64_t)o->seed, 1001);
        lengths = cli_alloc((size_t)o->batch * sizeof *lengths);
        m->tokens = 0;
        for (int64_t b = 0; b < o->batch; b++) {
            lengths[b] = 1 + (int32_t)rc_rng_below(&r, (uint64_t)o->seq_len);
            m->tokens += lengths[b];
        }
    }
    for (int i = 0; i < WARM && !s; i++) s = one_pass(&net, t, o, x, lengths, e);
    double start = cli_now();
    while (!s && m->n < MOST && (m->n < 5 || cli_now() - start < o->time)) {
        double before = cli_now();
        s = one_pass(&net, t, o, x, lengths, e);
        ms[m->n++] = 1e3 * (cli_now() - before);
    }
    if (!s) summarize(m, ms, 1e3, &net, o->train ? 3 : 1);
    free(x);
    free(ms);
    free(lengths);
    rc_tape_free(t);
    net_free(&net);
    return s;
}

/* One step at a time, as a stream would. */
static rc_status measure_step(const struct bench_options *o, struct measured *m, rc_error *e) {
    enum { MOST = 1000000, WARM = 100 };
    struct net net = {0};
    rc_state *state = NULL;
    rc_real *x = NULL, *y = NULL;
    double *us = NULL;
    size_t batch = (size_t)o->batch;
    *m = (struct measured){.tokens = (double)batch};
    rc_status s = net_new(&net, o, e);
    if (!s) s = rc_state_new(&state, net.rnn, batch, e);
    if (!s) {
        x = random_values(batch * net.input, (uint64_t)o->seed);
        y = cli_alloc(batch * rc_rnn_output_size(net.rnn) * sizeof *y);
        us = cli_alloc(MOST * sizeof *us);
    }
    for (int i = 0; i < WARM && !s; i++) s = rc_rnn_step(net.rnn, state, x, y, e);
    double start = cli_now(), before = start;
    while (!s && m->n < MOST && (m->n < 100 || before - start < o->time)) {
        before = cli_now();
        s = rc_rnn_step(net.rnn, state, x, y, e);
        us[m->n++] = 1e6 * (cli_now() - before);
    }
    if (!s) summarize(m, us, 1e6, &net, 1);
    free(x);
    free(y);
    free(us);
    rc_state_free(state);
    net_free(&net);
    return s;
}

/* ---- telling ------------------------------------------------------------------------------------------------------- */

static json_t *measured_json(const struct bench_options *o, const struct measured *m, bool step) {
    json_t *j =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:I, s:f, s:f}", "bench", step ? "step" : "rnn", "cell", o->cell,
                  "batch", (json_int_t)o->batch, "input", (json_int_t)m->input, "hidden", (json_int_t)o->hidden,
                  "layers", (json_int_t)o->layers, "threads", rc_threads(), step ? "steps" : "passes", (json_int_t)m->n,
                  "tokens_per_second", m->rate, "gflops", m->gflops);
    json_t *more = step ? json_pack("{s:f, s:f, s:f, s:f}", "us_median", m->median, "us_p99", m->p99, "us_mean",
                                    m->mean, "us_min", m->least)
                        : json_pack("{s:I, s:b, s:s, s:f, s:f}", "seq_len", (json_int_t)o->seq_len, "train",
                                    (int)o->train, "lengths", o->lengths, "ms", m->median, "ms_min", m->least);
    json_object_update(j, more);
    json_decref(more);
    return j;
}

static void print_measured(const struct bench_options *o, const struct measured *m, bool step) {
    char rate[24], work[64] = "one step at a time";
    const char *plural = rc_threads() == 1 ? "" : "s";
    if (!step)
        snprintf(work, sizeof work, "%s%lld steps, %s", strcmp(o->lengths, "random") == 0 ? "1 to " : "",
                 (long long)o->seq_len, o->train ? "forward and backward" : "forward");
    printf("%s %lld x %lld, batch %lld, %s, %d thread%s\n", o->cell, (long long)o->layers, (long long)o->hidden,
           (long long)o->batch, work, rc_threads(), plural);
    cli_count_text(rate, sizeof rate, m->rate);
    if (step)
        printf("%.2f us a step (median of %zu), 99 %% within %.2f us, least %.2f us, %s steps/s, %.1f GFLOP/s\n",
               m->median, m->n, m->p99, m->least, rate, m->gflops);
    else
        printf("%.3f ms a pass (median of %zu), least %.3f ms, %s tokens/s, %.1f GFLOP/s\n", m->median, m->n, m->least,
               rate, m->gflops);
}

/* What `recur bench` alone measures: the sizes of the presets, and streaming. */
static const struct {
    const char *cell;
    int hidden, batch;
    bool train, step;
} suite[] = {
    {"lstm", 256, 64, false, false}, {"lstm", 256, 64, true, false}, {"gru", 256, 64, false, false},
    {"gru", 256, 64, true, false},   {"rnn", 256, 64, true, false},  {"mingru", 256, 64, true, false},
    {"gru", 128, 64, true, false},   {"lstm", 512, 64, true, false}, {"lstm", 64, 1, false, true},
    {"lstm", 256, 1, false, true},   {"gru", 64, 1, false, true},
};

static rc_status run_suite(const cli_args *a, rc_error *e) {
    static const char *const head[] = {"cell", "hidden", "batch", "steps", "work", "time", "tokens/s", "GFLOP/s"};
    const struct bench_options *given = a->options;
    cli_table t = cli_table_new("lrrrlrrr");
    json_t *list = json_array();
    rc_status s = RC_OK;
    char text[24];
    for (size_t i = 0; i < 8; i++) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < sizeof suite / sizeof *suite && !s; i++) {
        struct bench_options o = *given;
        struct measured m;
        o.cell = suite[i].cell;
        o.hidden = suite[i].hidden;
        o.batch = suite[i].batch;
        o.train = suite[i].train;
        if (!cli_is_given(a, "time")) o.time = 0.5;
        s = suite[i].step ? measure_step(&o, &m, e) : measure_rnn(&o, &m, e);
        if (s) break;
        json_array_append_new(list, measured_json(&o, &m, suite[i].step));
        cli_table_add(&t, "%s", o.cell);
        cli_table_add(&t, "%lld", (long long)o.hidden);
        cli_table_add(&t, "%lld", (long long)o.batch);
        cli_table_add(&t, "%lld", suite[i].step ? 1LL : (long long)o.seq_len);
        cli_table_add(&t, "%s", suite[i].step ? "one step" : o.train ? "forward, backward" : "forward");
        cli_table_add(&t, suite[i].step ? "%.2f us" : "%.2f ms", m.median);
        cli_table_add(&t, "%s", cli_count_text(text, sizeof text, m.rate));
        cli_table_add(&t, "%.1f", m.gflops);
    }
    if (!s && given->json)
        cli_print_json(json_pack("{s:O, s:i}", "results", list, "threads", rc_threads()));
    else if (!s)
        cli_table_print(&t, stdout);
    json_decref(list);
    cli_table_free(&t);
    return s;
}

static int run(cli_args *a) {
    struct bench_options *o = a->options;
    struct measured m;
    rc_error e = {RC_OK, ""};
    bool step = a->n_words && strcmp(a->words[0], "step") == 0;
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    if (!s && a->n_words == 0) s = run_suite(a, &e);
    if (!s && a->n_words) {
        if (step && !cli_is_given(a, "batch")) o->batch = 1; /* streaming serves one row */
        s = step ? measure_step(o, &m, &e) : measure_rnn(o, &m, &e);
        if (!s && o->json) cli_print_json(measured_json(o, &m, step));
        if (!s && !o->json) print_measured(o, &m, step);
    }
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_bench = {
    .name = "bench",
    .actions = "rnn step",
    .usage = "bench\nbench rnn [OPTIONS]\nbench step [OPTIONS]",
    .summary = "speed of the recurrent layers on this machine",
    .text = "rnn runs whole sequences, forward or forward and backward; step runs one time step at a time, as a stream "
            "would (batch 1 unless given); alone it measures a table of usual sizes. Times are medians. GFLOP/s counts "
            "the matrix products alone: 2 * tokens * "
            "elements of the weight matrices, three times that for training.",
    .examples = "bench rnn --cell gru --batch 32 --seq-len 64 --hidden 256 --train --threads 2\n"
                "bench rnn --cell lstm --lengths random --json\n"
                "bench step --cell lstm --hidden 64",
    .words = "",
    .table = table,
    .options_size = sizeof(struct bench_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
