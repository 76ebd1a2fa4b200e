/* cmd_bench.c - recur bench: how fast the recurrent layers run here, and how fast they could.
 *
 * It runs the calls that training and streaming use, and nothing else. Times are medians; the first call, which packs
 * weights and makes room, is told apart.
 *
 * Operations are counted as 2 * tokens * (elements of the weight matrices): for a cell with G gates that is
 * 2*B*T*G*H*(I+H) a layer; training counts three times that, one forward and two products backward. Pointwise work is
 * not counted. The attention of a Transformer's blocks (rnn) counts with 4 H operations for each step and step that it sees,
 * in training three times that too, though the weights are made again.
 *
 * The peak is measured in the same run (recur/bench.h): before, a few times between the passes, and after. Like the times it
 * is a median: the clock moves by 10 %, and the best reading of a millisecond would be a clock that no longer run gets. The
 * floor is the longer of two times below which no run with these weights gets:
 *   flops  operations / peak
 *   bytes  bytes of weights that have to be read / (threads * load rate of one core)
 * In a sequence (rnn) the recurrent matrices are read once per time step and the others once, in training twice that,
 * forward and backward; the load rate is that of a working set of one layer's recurrent matrices (all its matrices
 * where it has no recurrent ones), cut over the threads. In a stream (step) every matrix is read once per step, and the
 * working set is all of them, cut over the threads. A weight has 4, 2 or 1 bytes: fp32, bf16, int8. What the
 * activations and gradients move is not counted; weights so few that they stay in registers may beat the floor.
 *
 * A clock takes some 25 ns to read and a small step 200, so a stream is timed twice by turns: blocks of up to 64 steps
 * give median, mean and least, single steps give the 99th percentile.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "training.h"

struct bench_options {
    const char *cell, *lengths, *skip, *precision;
    int64_t batch, seq_len, hidden, input, layers, proj, depth, threads, seed, heads, kv_heads, dim, context;
    double time, dropout, recurrent_dropout, zoneout, zoneout_c, weight_drop;
    bool train, bidirectional, dropout_sequence, learn_initial_state, json, causal;
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
    {"skip", 0, RC_OPT_CHOICE, AT(skip), 0, 0, "none residual highway", "KIND", "Layers", "connections around layers"},
    {"learn-initial-state", 0, RC_OPT_BOOL, AT(learn_initial_state), 0, 0, NULL, NULL, "Layers",
     "the initial state is a parameter"},
    {"precision", 0, RC_OPT_CHOICE, AT(precision), 0, 0, "fp32 bf16 int8", "KIND", "Layers",
     "of the products; int8 without --train"},
    {"dropout", 0, RC_OPT_REAL, AT(dropout), 0, 0.99, NULL, "P", "Layers",
     "between layers (rnn --train), of weights (attention --train)"},
    {"dropout-sequence", 0, RC_OPT_BOOL, AT(dropout_sequence), 0, 0, NULL, NULL, "Layers",
     "one dropout mask per sequence instead of one per step"},
    {"recurrent-dropout", 0, RC_OPT_REAL, AT(recurrent_dropout), 0, 0.99, NULL, "P", "Layers",
     "on h before the recurrent product (rnn --train)"},
    {"zoneout", 0, RC_OPT_REAL, AT(zoneout), 0, 0.99, NULL, "P", "Layers", "units of h that keep their last value"},
    {"zoneout-c", 0, RC_OPT_REAL, AT(zoneout_c), 0, 0.99, NULL, "P", "Layers", "units of c that keep their last value"},
    {"weight-drop", 0, RC_OPT_REAL, AT(weight_drop), 0, 0.99, NULL, "P", "Layers",
     "on the recurrent weights (rnn --train)"},
    {"heads", 0, RC_OPT_INT, AT(heads), 0, 1000, NULL, "N", "Attention",
     "heads of queries; 0: 4, of a transformer one for each 64 columns"},
    {"kv-heads", 0, RC_OPT_INT, AT(kv_heads), 0, 1000, NULL, "N", "Attention", "heads of keys and values; 0: as heads"},
    {"dim", 0, RC_OPT_INT, AT(dim), 1, 10000, NULL, "N", "Attention", "numbers of a head"},
    {"context", 0, RC_OPT_INT, AT(context), 0, 65536, NULL, "N", "Attention",
     "transformer: steps that a step sees; 0: the default"},
    {"causal", 0, RC_OPT_BOOL, AT(causal), 0, 0, NULL, NULL, "Attention", "no step sees a later one"},
    {"batch", 0, RC_OPT_INT, AT(batch), 1, 1e6, NULL, "N", "Work", "rows"},
    {"seq-len", 0, RC_OPT_INT, AT(seq_len), 1, 1e6, NULL, "N", "Work", "time steps (rnn, attention)"},
    {"lengths", 0, RC_OPT_CHOICE, AT(lengths), 0, 0, "full random", "WHICH", "Work",
     "rows of full length, or of 1 to seq-len steps"},
    {"train", 0, RC_OPT_BOOL, AT(train), 0, 0, NULL, NULL, "Work", "forward and backward (rnn, attention)"},
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
                                                              .skip = "none",
                                                              .precision = "fp32",
                                                              .batch = 32,
                                                              .seq_len = 64,
                                                              .hidden = 256,
                                                              .layers = 1,
                                                              .dim = 64,
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

/* Which options belong to which measurement; those that stand nowhere belong to rnn and step. */
static bool belongs(const char *kind, const char *option) {
    char word[40];
    snprintf(word, sizeof word, " %s ", option);
    if (strstr(" batch threads time seed json ", word)) return true;
    if (strcmp(kind, "attention") == 0) return strstr(" heads kv-heads dim causal seq-len train dropout ", word);
    if (strstr(" dim causal ", word)) return false;
    return strcmp(kind, "rnn") == 0 ||
           !strstr(" train seq-len lengths bidirectional dropout dropout-sequence recurrent-dropout weight-drop ",
                   word);
}

static rc_status settle(cli_args *a, rc_error *e) {
    static const char *const kinds[] = {"rnn", "step", "attention"};
    struct bench_options *o = a->options;
    if (a->help) return RC_OK;
    if (a->n_words == 0) {
        for (size_t i = 0; i < a->n_given; i++)
            if (!strstr(" seq-len time threads seed json ", a->given[i].option->name))
                return rc_fail(e, RC_EINVAL,
                               "--%s: expected what to measure first: rnn (sequences), step (streaming) or attention",
                               a->given[i].option->name);
        return RC_OK;
    }
    if (a->n_words > 1) return rc_fail(e, RC_EINVAL, "unexpected argument \"%s\"", a->words[1]);
    const char *kind = a->words[0];
    if (strcmp(kind, "rnn") != 0 && strcmp(kind, "step") != 0 && strcmp(kind, "attention") != 0) {
        const char *near = cli_suggest(kinds, 3, kind);
        return rc_fail(e, RC_EINVAL,
                       near ? "unknown benchmark \"%s\"; did you mean %s?"
                            : "unknown benchmark \"%s\"; expected rnn, step or attention",
                       kind, near);
    }
    for (size_t i = 0; i < a->n_given; i++)
        if (!belongs(kind, a->given[i].option->name)) {
            const char *of = belongs("rnn", a->given[i].option->name) ? "rnn" : "attention";
            return rc_fail(e, RC_EINVAL, "--%s is of bench %s%s", a->given[i].option->name, of,
                           strcmp(kind, "step") == 0 ? "; bench step runs one time step at a time" : "");
        }
    if (strcmp(kind, "attention") == 0) {
        if (!o->heads) o->heads = 4;
        if (o->kv_heads && o->heads % o->kv_heads)
            return rc_fail(e, RC_EINVAL, "--kv-heads %lld does not divide --heads %lld", (long long)o->kv_heads,
                           (long long)o->heads);
        return RC_OK;
    }
    if (o->train && strcmp(o->precision, "int8") == 0)
        return rc_fail(e, RC_EINVAL, "--precision int8 is for inference, --train computes gradients");
    return cli_check_cell("--cell", o->cell, e);
}

/* ---- the net ------------------------------------------------------------------------------------------------- */

struct net {
    rc_params *params;
    rc_rnn *rnn;
    size_t input, matrix_elements, recurrent_elements;
};

static rc_precision precision_of(const struct bench_options *o) {
    return strcmp(o->precision, "bf16") == 0 ? RC_BF16 : strcmp(o->precision, "int8") == 0 ? RC_INT8 : RC_FP32;
}

static bool is_recurrent(const rc_param *p) { return strstr(p->name, "weight_hh") || strstr(p->name, "weight_hr"); }

static rc_status net_new(struct net *net, const struct bench_options *o, rc_error *e) {
    rc_rnn_options ro = rc_rnn_options_default();
    ro.cell = o->cell;
    ro.hidden_size = (size_t)o->hidden;
    ro.input_size = net->input = (size_t)(o->input ? o->input : o->hidden);
    ro.num_layers = (int)o->layers;
    ro.bidirectional = o->bidirectional;
    ro.proj_size = (size_t)o->proj;
    if (o->depth) ro.depth = (int)o->depth;
    ro.heads = (size_t)o->heads;
    ro.kv_heads = (size_t)o->kv_heads;
    ro.context = (size_t)o->context;
    ro.skip = strcmp(o->skip, "residual") == 0  ? RC_SKIP_RESIDUAL
              : strcmp(o->skip, "highway") == 0 ? RC_SKIP_HIGHWAY
                                                : RC_SKIP_NONE;
    ro.dropout = o->dropout;
    ro.dropout_sequence = o->dropout_sequence;
    ro.recurrent_dropout = o->recurrent_dropout;
    ro.zoneout_h = o->zoneout;
    ro.zoneout_c = o->zoneout_c;
    ro.weight_drop = o->weight_drop;
    ro.learn_initial_state = o->learn_initial_state;
    rc_status s = rc_params_new(&net->params, e);
    if (!s) s = rc_rnn_new(&net->rnn, net->params, "", &ro, e);
    if (!s) s = rc_params_build(net->params, (uint64_t)o->seed, e);
    if (!s) s = rc_params_set_precision(net->params, precision_of(o), e);
    for (size_t i = 0; !s && i < rc_params_count(net->params); i++) {
        const rc_param *p = rc_params_at(net->params, i);
        if (p->ndim != 2) continue; /* vectors, and initial states */
        net->matrix_elements += p->len;
        if (is_recurrent(p)) net->recurrent_elements += p->len;
    }
    return s;
}

static void net_free(struct net *net) {
    rc_rnn_free(net->rnn);
    rc_params_free(net->params);
}

/* The input is the first thing that grows with batch and length: NULL and a message when it is too large. */
static rc_real *random_values(size_t n, uint64_t seed, rc_error *e) {
    double bytes = (double)n * sizeof(rc_real);
    if (bytes > 64e6 && bytes > (double)rc_memory_room()) {
        rc_fail(e, RC_ENOMEM, "out of memory for an input of %.1f GiB", bytes / (1 << 30));
        return NULL;
    }
    rc_rng r = rc_rng_make(seed, 1000);
    rc_real *x = cli_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (rc_real)rc_rng_normal(&r);
    return x;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- sequences and streams ----------------------------------------------------------------------------------- */

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

enum { MOST_READINGS = 32 };

struct measured {
    double first, median, least, p99, mean; /* rnn: ms a pass; step: us a step */
    double tokens;                          /* of a pass or step */
    double rate, gflops;                    /* tokens a second */
    rc_machine_peak peak;                   /* the median of: */
    double readings[MOST_READINGS];
    size_t n_readings;
    double load; /* bytes a second of one core, for a set of so many bytes: */
    size_t working_set;
    double floor_flops, floor_bytes; /* as the times */
    size_t memory, resident;         /* bytes: most that the library held; growth of the process */
    size_t n, input;
    int32_t *lengths; /* (batch) when random */
};

/* One more reading of the peak. */
static rc_status read_peak(struct measured *m, const struct bench_options *o, rc_error *e) {
    rc_status s = m->n_readings < MOST_READINGS ? rc_machine_measure_peak(precision_of(o), 0, &m->peak, e) : RC_OK;
    if (!s && m->n_readings < MOST_READINGS) m->readings[m->n_readings++] = m->peak.gflops;
    return s;
}

/* A line of /proc/self/status in bytes: "VmRSS" what the process has in memory, "VmHWM" the most it had. 0: unknown.
 * (ru_maxrss will not do: a child starts with what its parent had.) */
static size_t process_bytes(const char *name) {
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0) kib = strtoull(line + strlen(name) + 1, NULL, 10);
    if (f) fclose(f);
    return (size_t)kib << 10;
}

static void note_memory(struct measured *m, size_t resident_before) {
    size_t most = process_bytes("VmHWM");
    m->memory = rc_memory_peak();
    m->resident = resident_before && most > resident_before ? most - resident_before : 0;
}

/* Medians, rates, and the floors: `operations` and `bytes` of weights are those of one pass or step. */
static rc_status summarize(struct measured *m, double *times, size_t n_times, double per_second, double operations,
                           double bytes, rc_error *e) {
    double sum = 0;
    for (size_t i = 0; i < n_times; i++) sum += times[i];
    qsort(times, n_times, sizeof *times, by_value);
    m->median = times[n_times / 2];
    m->least = times[0];
    m->p99 = times[n_times * 99 / 100];
    m->mean = sum / (double)n_times;
    m->rate = m->tokens / m->median * per_second;
    m->gflops = operations / m->median * per_second / 1e9;
    qsort(m->readings, m->n_readings, sizeof *m->readings, by_value);
    m->peak.gflops = m->readings[m->n_readings / 2];
    rc_status s = rc_machine_measure_load(m->working_set, &m->load, e);
    if (s) return s;
    m->floor_flops = operations / (m->peak.gflops * 1e9) * per_second;
    m->floor_bytes = bytes / (m->load * m->peak.threads) * per_second;
    return RC_OK;
}

static double element_bytes(const struct bench_options *o) {
    return strcmp(o->precision, "int8") == 0 ? 1 : strcmp(o->precision, "bf16") == 0 ? 2 : 4;
}

static size_t set_bytes(double elements, const struct bench_options *o) {
    double bytes = elements * element_bytes(o) / rc_threads();
    return bytes < 1 ? 1 : (size_t)bytes;
}

/* Returns the longest. */
static int32_t draw_lengths(struct measured *m, const struct bench_options *o) {
    rc_rng r = rc_rng_make((uint64_t)o->seed, 1001);
    m->lengths = cli_alloc((size_t)o->batch * sizeof *m->lengths);
    int32_t longest = 0;
    m->tokens = 0;
    for (int64_t b = 0; b < o->batch; b++) {
        m->lengths[b] = 1 + (int32_t)rc_rng_below(&r, (uint64_t)o->seq_len);
        m->tokens += m->lengths[b];
        if (m->lengths[b] > longest) longest = m->lengths[b];
    }
    return longest;
}

/* Of a sequence of so many steps, in a block of attention; 0 in recurrent layers. */
static double pairs_seen(const struct net *net, double steps) {
    const rc_rnn_options *o = rc_rnn_get_options(net->rnn);
    if (rc_cell_find(o->cell)->recurrent) return 0;
    double sees = o->context && (double)o->context < steps ? (double)o->context : steps;
    double causal = sees * (sees + 1) / 2 + sees * (steps - sees);
    return o->bidirectional ? 2 * causal - steps : causal;
}

static rc_status timed_pass(const struct net *net, rc_tape *t, const struct bench_options *o, const rc_real *x,
                            const int32_t *lengths, double *ms, rc_error *e) {
    double before = cli_now();
    rc_status s = one_pass(net, t, o, x, lengths, e);
    *ms = 1e3 * (cli_now() - before);
    return s;
}

enum { PEAK_READINGS = 4 }; /* while measuring, beside the first and the last */

static rc_status measure_rnn(const struct bench_options *o, struct measured *m, rc_error *e) {
    enum { MOST = 100000, WARM = 3 };
    struct net net = {0};
    rc_tape *t = NULL;
    rc_real *x = NULL;
    double *ms = NULL, warm, spent = 0, next = o->time / PEAK_READINGS;
    int32_t steps = (int32_t)o->seq_len;
    double seen = 0; /* pairs of steps of which one sees the other */
    size_t resident = process_bytes("VmRSS");
    *m = (struct measured){.tokens = (double)o->batch * (double)o->seq_len};
    rc_status s = net_new(&net, o, e);
    if (!s) s = rc_tape_new(&t, e);
    if (!s) {
        m->input = net.input;
        x = random_values((size_t)o->batch * (size_t)o->seq_len * net.input, (uint64_t)o->seed, e);
        if (!x) s = RC_ENOMEM;
        ms = cli_alloc(MOST * sizeof *ms);
        if (strcmp(o->lengths, "random") == 0) steps = draw_lengths(m, o);
    }
    if (!s) s = timed_pass(&net, t, o, x, m->lengths, &m->first, e);
    for (int i = 0; i < WARM && !s; i++) s = timed_pass(&net, t, o, x, m->lengths, &warm, e);
    if (!s) s = read_peak(m, o, e);
    while (!s && m->n < MOST && (m->n < 5 || spent < o->time)) {
        s = timed_pass(&net, t, o, x, m->lengths, &ms[m->n], e);
        spent += 1e-3 * ms[m->n++];
        if (!s && spent >= next) {
            s = read_peak(m, o, e);
            next += o->time / PEAK_READINGS;
        }
    }
    note_memory(m, resident);
    double all = (double)net.matrix_elements, recurrent = (double)net.recurrent_elements, passes = o->train ? 2 : 1;
    for (size_t b = 0; !s && b < (size_t)o->batch; b++)
        seen += pairs_seen(&net, m->lengths ? (double)m->lengths[b] : (double)o->seq_len);
    m->working_set = set_bytes((recurrent > 0 ? recurrent : all) / (double)o->layers, o);
    if (!s)
        s = summarize(m, ms, m->n, 1e3,
                      (2 * m->tokens * all + 4 * (double)(o->hidden * o->layers) * seen) * (o->train ? 3 : 1),
                      passes * element_bytes(o) * (all + recurrent * (steps - 1)), e);
    free(x);
    free(ms);
    rc_tape_free(t);
    net_free(&net);
    return s;
}

struct stream {
    const struct net *net;
    rc_state *state;
    rc_real *x, *y;
};

/* The time of `count` steps in a row, in us. */
static rc_status timed_steps(struct stream *w, int count, double *us, rc_error *e) {
    rc_status s = RC_OK;
    double before = cli_now();
    for (int i = 0; i < count && !s; i++) s = rc_rnn_step(w->net->rnn, w->state, w->x, w->y, e);
    *us = 1e6 * (cli_now() - before);
    return s;
}

/* One step at a time, as a stream would: blocks of steps and single ones by turns. */
static rc_status measure_step(const struct bench_options *o, struct measured *m, rc_error *e) {
    enum { MOST = 500000, WARM = 100, BLOCK = 64 };
    struct net net = {0};
    struct stream w = {.net = &net};
    double *mean = NULL, *single = NULL, warm = 0, spent = 0, next = o->time / PEAK_READINGS;
    size_t batch = (size_t)o->batch, n_blocks = 0, n_single = 0, resident = process_bytes("VmRSS");
    *m = (struct measured){.tokens = (double)batch};
    rc_status s = net_new(&net, o, e);
    if (!s) s = rc_state_new(&w.state, net.rnn, batch, e);
    if (!s) {
        m->input = net.input;
        w.x = random_values(batch * net.input, (uint64_t)o->seed, e);
        if (!w.x) s = RC_ENOMEM;
        w.y = cli_alloc(batch * rc_rnn_output_size(net.rnn) * sizeof *w.y);
        mean = cli_alloc(MOST * sizeof *mean);
        single = cli_alloc(MOST * sizeof *single);
    }
    if (!s) s = timed_steps(&w, 1, &m->first, e);
    if (!s) s = timed_steps(&w, WARM, &warm, e);
    if (!s) s = read_peak(m, o, e);
    /* A block takes about 10 us, which makes the clock's 25 ns nothing; a step that long is a block of its own. */
    int block = warm / WARM > 10 ? 1 : warm / WARM * BLOCK < 10 ? BLOCK : (int)(10 / (warm / WARM)) + 1;
    while (!s && n_single + BLOCK <= MOST && (n_single < 100 || spent < 1e6 * o->time)) {
        double us = 0;
        s = timed_steps(&w, block, &us, e);
        mean[n_blocks++] = us / block;
        spent += us;
        for (int i = 0; i < block && !s; i++) {
            s = timed_steps(&w, 1, &single[n_single], e);
            spent += single[n_single++];
        }
        if (!s && spent >= 1e6 * next) {
            s = read_peak(m, o, e);
            next += o->time / PEAK_READINGS;
        }
    }
    note_memory(m, resident);
    double all = (double)net.matrix_elements;
    m->working_set = set_bytes(all, o);
    if (!s) s = summarize(m, mean, n_blocks, 1e6, 2 * m->tokens * all, element_bytes(o) * all, e);
    if (!s) {
        qsort(single, n_single, sizeof *single, by_value);
        m->p99 = single[n_single * 99 / 100];
        m->n = n_blocks * (size_t)block + n_single;
    }
    free(w.x);
    free(w.y);
    free(mean);
    free(single);
    rc_state_free(w.state);
    net_free(&net);
    return s;
}

/* ---- attention ----------------------------------------------------------------------------------------------- */

/* Self-attention of sequences of equal length on packed rows. Two products over the pairs that are seen, in training five
 * more: 2 * 2 * pairs * heads * dim operations, times 3.5. Read and written at least: q, k, v and the result, in training
 * q, k, v, result and its gradient again, and the three gradients. */
static rc_status measure_attention(const struct bench_options *o, struct measured *m, rc_error *e) {
    enum { MOST = 100000, WARM = 3 };
    size_t T = (size_t)o->seq_len, B = (size_t)o->batch, H = (size_t)o->heads, D = (size_t)o->dim;
    size_t G = o->kv_heads ? (size_t)o->kv_heads : H, resident = process_bytes("VmRSS");
    rc_tape *t = NULL;
    *m = (struct measured){.tokens = (double)B * (double)T};
    if (m->tokens * (double)((H + 2 * G) * D) > 1e15)
        return rc_fail(e, RC_ENOMEM, "out of memory for so many queries and keys");
    rc_status s = rc_tape_new(&t, e);
    rc_real *x = s ? NULL : random_values(T * B * (H + 2 * G) * D, (uint64_t)o->seed, e);
    if (!s && !x) s = RC_ENOMEM;
    int32_t *lengths = cli_alloc(B * sizeof *lengths);
    for (size_t b = 0; b < B; b++) lengths[b] = (int32_t)T;
    rc_attention_options a = rc_attention_options_default();
    a.batch = B, a.q_lengths = lengths, a.heads = H, a.kv_heads = G, a.causal = o->causal, a.dropout = o->dropout;
    double *ms = cli_alloc(MOST * sizeof *ms), spent = 0, next = o->time / PEAK_READINGS;
    for (int warm = -WARM; !s && m->n < MOST && (warm < 0 || m->n < 5 || spent < o->time); warm += warm < 0) {
        double before = cli_now(), after;
        rc_tape_begin(t, (rc_tape_mode){.grad = o->train, .training = o->train, .seed = 1, .step = m->n});
        rc_real *k = x + T * B * H * D, *v = k + T * B * G * D;
        rc_var *y =
            rc_attention(t, rc_leaf(t, 2, (size_t[]){T * B, H * D}, x), rc_leaf(t, 2, (size_t[]){T * B, G * D}, k),
                         rc_leaf(t, 2, (size_t[]){T * B, G * D}, v), &a);
        s = o->train ? rc_backward(t, rc_sum_all(t, y), 1, e) : rc_tape_status(t, e);
        after = 1e3 * (cli_now() - before);
        if (warm == -WARM) m->first = after;
        if (warm < 0) {
            if (!s && warm == -1) s = read_peak(m, o, e);
            continue;
        }
        ms[m->n++] = after;
        spent += 1e-3 * after;
        if (!s && spent >= next) {
            s = read_peak(m, o, e);
            next += o->time / PEAK_READINGS;
        }
    }
    note_memory(m, resident);
    double pairs = m->tokens * (o->causal ? ((double)T + 1) / 2 : (double)T), row = 4 * m->tokens * (double)D;
    double bytes = row * (double)((H + G) * (o->train ? 6 : 2));
    m->working_set = (size_t)(bytes / rc_threads()) + 1;
    if (!s) s = summarize(m, ms, m->n, 1e3, 4 * pairs * (double)(H * D) * (o->train ? 3.5 : 1), bytes, e);
    free(x);
    free(ms);
    free(lengths);
    rc_tape_free(t);
    return s;
}

/* ---- telling ------------------------------------------------------------------------------------------------- */

static double of_peak(const struct measured *m) { return 100 * m->gflops / m->peak.gflops; }
static const char *bound(const struct measured *m) { return m->floor_flops >= m->floor_bytes ? "flops" : "bytes"; }

/* The limits of a measurement: peak and floor. */
static void add_limits(json_t *j, const struct measured *m, bool step) {
    json_t *limits =
        json_pack("{s:f, s:s, s:f, s:f, s:f, s:f, s:s, s:f, s:I}", "peak_gflops", m->peak.gflops, "peak_of",
                  m->peak.instruction, "percent_of_peak", of_peak(m), step ? "floor_us" : "floor_ms",
                  fmax(m->floor_flops, m->floor_bytes), step ? "floor_flops_us" : "floor_flops_ms", m->floor_flops,
                  step ? "floor_bytes_us" : "floor_bytes_ms", m->floor_bytes, "bound", bound(m), "load_gb_per_second",
                  m->load / 1e9, "working_set_bytes", (json_int_t)m->working_set);
    json_object_update(j, limits);
    json_decref(limits);
}

static json_t *attention_json(const struct bench_options *o, const struct measured *m) {
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:f, s:i, s:I, s:f, s:f, s:f, s:f, s:f}", "bench",
                          "attention", "batch", (json_int_t)o->batch, "seq_len", (json_int_t)o->seq_len, "heads",
                          (json_int_t)o->heads, "kv_heads", (json_int_t)(o->kv_heads ? o->kv_heads : o->heads), "dim",
                          (json_int_t)o->dim, "causal", (int)o->causal, "train", (int)o->train, "dropout", o->dropout,
                          "threads", rc_threads(), "passes", (json_int_t)m->n, "tokens_per_second", m->rate, "gflops",
                          m->gflops, "ms", m->median, "ms_min", m->least, "first_ms", m->first);
    add_limits(j, m, false);
    return j;
}

static json_t *measured_json(const struct bench_options *o, const struct measured *m, bool step) {
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:i, s:I, s:f, s:f}", "bench", step ? "step" : "rnn",
                          "cell", o->cell, "batch", (json_int_t)o->batch, "input", (json_int_t)m->input, "hidden",
                          (json_int_t)o->hidden, "layers", (json_int_t)o->layers, "precision", o->precision, "threads",
                          rc_threads(), step ? "steps" : "passes", (json_int_t)m->n, "tokens_per_second", m->rate,
                          "gflops", m->gflops);
    json_t *more = step ? json_pack("{s:f, s:f, s:f, s:f, s:f}", "us_median", m->median, "us_p99", m->p99, "us_mean",
                                    m->mean, "us_min", m->least, "first_us", m->first)
                        : json_pack("{s:I, s:b, s:s, s:b, s:f, s:f, s:f}", "seq_len", (json_int_t)o->seq_len, "train",
                                    (int)o->train, "lengths", o->lengths, "bidirectional", (int)o->bidirectional, "ms",
                                    m->median, "ms_min", m->least, "first_ms", m->first);
    json_object_update(j, more);
    json_decref(more);
    add_limits(j, m, step);
    return j;
}

/* What holds for a process that measured one point alone. */
static void add_alone(json_t *j, const struct bench_options *o, const struct measured *m) {
    json_object_set_new(j, "peak_bytes", json_integer((json_int_t)m->memory));
    json_object_set_new(j, "rss_growth_bytes", m->resident ? json_integer((json_int_t)m->resident) : json_null());
    if (!m->lengths) return;
    json_t *rows = json_array();
    for (int64_t b = 0; b < o->batch; b++) json_array_append_new(rows, json_integer(m->lengths[b]));
    json_object_set_new(j, "row_lengths", rows);
}

static void print_limits(const struct measured *m, const char *unit, const char *what) {
    char memory[24], process[24];
    const char *plural = rc_threads() == 1 ? "" : "s";
    printf("first call %.3f %s; memory at most %s", m->first, unit,
           cli_bytes_text(memory, sizeof memory, (double)m->memory));
    if (m->resident) printf(", the process grew by %s", cli_bytes_text(process, sizeof process, (double)m->resident));
    printf("\n%.1f %% of the peak of %.0f GFLOP/s (%s, %d thread%s)\n", of_peak(m), m->peak.gflops, m->peak.instruction,
           m->peak.threads, plural);
    printf("floor: %.3f %s for the operations, %.3f %s for %s (%s at %.0f GB/s a thread)\n", m->floor_flops, unit,
           m->floor_bytes, unit, what, cli_bytes_text(memory, sizeof memory, (double)m->working_set), m->load / 1e9);
}

static void print_measured(const struct bench_options *o, const struct measured *m, bool step) {
    char rate[24], work[64] = "one step at a time";
    const char *plural = rc_threads() == 1 ? "" : "s", *unit = step ? "us" : "ms";
    if (!step)
        snprintf(work, sizeof work, "%s%lld steps, %s", strcmp(o->lengths, "random") == 0 ? "1 to " : "",
                 (long long)o->seq_len, o->train ? "forward and backward" : "forward");
    printf("%s %lld x %lld, batch %lld, %s, %s, %d thread%s\n", o->cell, (long long)o->layers, (long long)o->hidden,
           (long long)o->batch, work, o->precision, rc_threads(), plural);
    cli_count_text(rate, sizeof rate, m->rate);
    if (step)
        printf("%.2f us a step (median of %zu), 99 %% within %.2f us, least %.2f us, %s steps/s, %.1f GFLOP/s\n",
               m->median, m->n, m->p99, m->least, rate, m->gflops);
    else
        printf("%.3f ms a pass (median of %zu), least %.3f ms, %s tokens/s, %.1f GFLOP/s\n", m->median, m->n, m->least,
               rate, m->gflops);
    print_limits(m, unit, "reading the weights");
}

static void print_attention(const struct bench_options *o, const struct measured *m) {
    char rate[24];
    printf("attention %lld x %lld, batch %lld, %lld steps, %s%s, %d thread%s\n", (long long)o->heads, (long long)o->dim,
           (long long)o->batch, (long long)o->seq_len, o->causal ? "causal, " : "",
           o->train ? "forward and backward" : "forward", rc_threads(), rc_threads() == 1 ? "" : "s");
    printf("%.3f ms a pass (median of %zu), least %.3f ms, %s tokens/s, %.1f GFLOP/s\n", m->median, m->n, m->least,
           cli_count_text(rate, sizeof rate, m->rate), m->gflops);
    print_limits(m, "ms", "reading and writing");
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
    static const char *const head[] = {"cell", "hidden",   "batch",   "steps",   "work",
                                       "time", "tokens/s", "GFLOP/s", "of peak", "floor"};
    const struct bench_options *given = a->options;
    cli_table t = cli_table_new("lrrrlrrrrr");
    json_t *list = json_array();
    rc_status s = RC_OK;
    char text[24];
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < sizeof suite / sizeof *suite && !s; i++) {
        struct bench_options o = *given;
        struct measured m;
        o.cell = suite[i].cell;
        o.hidden = suite[i].hidden;
        o.batch = suite[i].batch;
        o.train = suite[i].train;
        if (!cli_is_given(a, "time")) o.time = 0.5;
        s = suite[i].step ? measure_step(&o, &m, e) : measure_rnn(&o, &m, e);
        free(m.lengths);
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
        cli_table_add(&t, "%.0f %%", of_peak(&m));
        cli_table_add(&t, suite[i].step ? "%.2f us" : "%.2f ms", fmax(m.floor_flops, m.floor_bytes));
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
    struct measured m = {0};
    rc_error e = {RC_OK, ""};
    bool step = a->n_words && strcmp(a->words[0], "step") == 0;
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    if (!s && a->n_words == 0) s = run_suite(a, &e);
    if (!s && a->n_words && strcmp(a->words[0], "attention") == 0) {
        s = measure_attention(o, &m, &e);
        if (!s && o->json) {
            json_t *j = attention_json(o, &m);
            add_alone(j, o, &m);
            cli_print_json(j);
        } else if (!s) {
            print_attention(o, &m);
        }
    } else if (!s && a->n_words) {
        if (step && !cli_is_given(a, "batch")) o->batch = 1; /* streaming serves one row */
        s = step ? measure_step(o, &m, &e) : measure_rnn(o, &m, &e);
        if (!s && o->json) {
            json_t *j = measured_json(o, &m, step);
            add_alone(j, o, &m);
            cli_print_json(j);
        } else if (!s) {
            print_measured(o, &m, step);
        }
        free(m.lengths);
    }
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_bench = {
    .name = "bench",
    .actions = "rnn step attention",
    .usage = "bench\nbench rnn [OPTIONS]\nbench step [OPTIONS]\nbench attention [OPTIONS]",
    .summary = "speed of the recurrent layers and of attention on this machine",
    .text =
        "rnn runs whole sequences, forward or forward and backward; step runs one time step at a time, as a stream "
        "would (batch 1 unless given); attention runs self-attention of sequences; alone it measures a table of usual "
        "sizes. "
        "Times are medians, the first call "
        "apart. GFLOP/s counts the matrix products alone: 2 * tokens * "
        "elements of the weight matrices, three times that for training. "
        "The peak is how fast the same number of threads can multiply and add, measured between the passes: the median "
        "of the readings. No run is shorter than the floor: the longer of operations / peak and bytes of weights / "
        "(threads * load rate), where the load rate is measured for as many bytes as one thread has to go through "
        "again and again. rnn reads the recurrent matrices once per time step and the others once, in training "
        "twice that; step reads all once per step. A weight has 4 bytes, 2 in bf16, 1 in int8. "
        "step times blocks of up to 64 steps for the median, and single steps for the 99th percentile. "
        "attention counts 4 * pairs of a query and a key that it sees * heads * dim, 3.5 times that for training, and "
        "reads "
        "and writes queries, keys, values, results and their gradients.",
    .examples = "bench rnn --cell gru --batch 32 --seq-len 64 --hidden 256 --train --threads 2\n"
                "bench rnn --cell lstm --lengths random --json\n"
                "bench rnn --cell lstm-layernorm --train --recurrent-dropout 0.2 --precision bf16\n"
                "bench step --cell lstm --hidden 64\n"
                "bench attention --heads 4 --dim 64 --seq-len 256 --causal --train",
    .words = "",
    .table = table,
    .options_size = sizeof(struct bench_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
