/* onednn_rnn.c - oneDNN's own RNN primitives as a peer (README.md): vanilla RNN, LSTM, GRU with reset after the product
 * (lbr) and before it, called directly; forward, or forward for training and backward.
 *
 * Weights lie in the format that the library asks for, one copy for each direction of the work; making those copies is
 * not timed. Gradients of weights are cleared in each pass, since the primitives add to them. Each point runs in a
 * child, so that a crash inside the library is an answer like any other.
 */
#include <dnnl.h>
#include <jansson.h>
#include <omp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct point {
    const char *cell, *precision;
    int64_t batch, seq_len, hidden, layers, threads, rounds;
    double seconds;
    bool train, bidirectional, step, memory, lengths;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

static void answer(json_t *j) {
    json_dumpf(j, stdout, JSON_REAL_PRECISION(12));
    putchar('\n');
    fflush(stdout);
    json_decref(j);
}

_Noreturn static void skip(const char *why) {
    answer(json_pack("{s:s}", "skip", why));
    _exit(0);
}

static void must(dnnl_status_t s, const char *what) {
    char text[128];
    if (s == dnnl_success) return;
    snprintf(text, sizeof text, "%s: %s", what,
             s == dnnl_unimplemented   ? "not implemented"
             : s == dnnl_out_of_memory ? "out of memory"
                                       : "refused");
    skip(text);
}

/* ---- one point ------------------------------------------------------------------------------------------------- */

static dnnl_engine_t engine;
static dnnl_stream_t stream;

/* Arguments of a primitive: memory by the number oneDNN gives it. */
struct call {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[24];
    int n;
};

static dnnl_memory_t find(const struct call *c, int arg) {
    for (int i = 0; i < c->n; i++)
        if (c->args[i].arg == arg) return c->args[i].memory;
    return NULL;
}

static dnnl_memory_desc_t described(int n, const dnnl_dim_t *dim, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t md;
    dnnl_dims_t dims;
    memcpy(dims, dim, (size_t)n * sizeof *dim);
    must(dnnl_memory_desc_init_by_tag(&md, n, dims, type, tag), "memory");
    return md;
}

/* Small values everywhere, through a plain copy in fp32. */
static void fill(dnnl_memory_t m, const dnnl_memory_desc_t *md, float size) {
    dnnl_format_tag_t tag = md->ndims == 5 ? dnnl_ldigo : md->ndims == 4 ? dnnl_abcd : dnnl_tnc;
    dnnl_memory_desc_t plain = described(md->ndims, md->dims, dnnl_f32, tag);
    dnnl_memory_t from;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    float *x;
    size_t n = dnnl_memory_desc_get_size(&plain) / sizeof *x;
    must(dnnl_memory_create(&from, &plain, engine, DNNL_MEMORY_ALLOCATE), "memory");
    must(dnnl_memory_get_data_handle(from, (void **)&x), "memory");
    for (size_t i = 0; i < n; i++) x[i] = size * (float)((double)rand() / RAND_MAX - 0.5);
    must(dnnl_reorder_primitive_desc_create(&pd, &plain, engine, md, engine, NULL), "reorder");
    must(dnnl_primitive_create(&reorder, pd), "reorder");
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, m}};
    must(dnnl_primitive_execute(reorder, stream, 2, args), "reorder");
    must(dnnl_stream_wait(stream), "reorder");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(from);
}

/* Memory for each argument the primitive has. What the forward primitive has too, in the same format, is shared. */
static void make_args(struct call *c, const struct call *forward, float weight) {
    static const int all[] = {DNNL_ARG_SRC_LAYER,         DNNL_ARG_SRC_ITER,       DNNL_ARG_SRC_ITER_C,
                              DNNL_ARG_WEIGHTS_LAYER,     DNNL_ARG_WEIGHTS_ITER,   DNNL_ARG_BIAS,
                              DNNL_ARG_DST_LAYER,         DNNL_ARG_DST_ITER,       DNNL_ARG_DST_ITER_C,
                              DNNL_ARG_WORKSPACE,         DNNL_ARG_DIFF_SRC_LAYER, DNNL_ARG_DIFF_WEIGHTS_LAYER,
                              DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS,      DNNL_ARG_DIFF_DST_LAYER};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(c->pd, dnnl_query_exec_arg_md, all[i]);
        const dnnl_memory_desc_t *other;
        dnnl_memory_t m = forward ? find(forward, all[i]) : NULL;
        if (!md || md->ndims == 0) continue;
        if (m && (dnnl_memory_get_memory_desc(m, &other), !dnnl_memory_desc_equal(md, other))) m = NULL;
        if (!m) {
            void *p;
            must(dnnl_memory_create(&m, md, engine, DNNL_MEMORY_ALLOCATE), "memory");
            must(dnnl_memory_get_data_handle(m, &p), "memory");
            memset(p, 0, dnnl_memory_desc_get_size(md));
            if (all[i] == DNNL_ARG_WEIGHTS_LAYER || all[i] == DNNL_ARG_WEIGHTS_ITER || all[i] == DNNL_ARG_BIAS)
                fill(m, md, weight);
            if (all[i] == DNNL_ARG_SRC_LAYER || all[i] == DNNL_ARG_DIFF_DST_LAYER) fill(m, md, 1);
        }
        c->args[c->n++] = (dnnl_exec_arg_t){all[i], m};
    }
    must(dnnl_primitive_create(&c->primitive, c->pd), "primitive");
}

static void swap_args(struct call *c, int a, int b) {
    for (int i = 0; i < c->n; i++)
        if (c->args[i].arg == a)
            c->args[i].arg = b;
        else if (c->args[i].arg == b)
            c->args[i].arg = a;
}

static void clear(const struct call *c, int arg) {
    dnnl_memory_t m = find(c, arg);
    const dnnl_memory_desc_t *md;
    void *p;
    if (!m) return;
    must(dnnl_memory_get_memory_desc(m, &md), "memory");
    must(dnnl_memory_get_data_handle(m, &p), "memory");
    memset(p, 0, dnnl_memory_desc_get_size(md));
}

struct work {
    struct call forward, backward;
    bool train, step;
};

static void build(struct work *w, const struct point *p) {
    bool lstm = strcmp(p->cell, "lstm") == 0, gru = strcmp(p->cell, "gru") == 0,
         gru_v1 = strcmp(p->cell, "gru-v1") == 0;
    bool relu = strcmp(p->cell, "rnn-relu") == 0;
    if (!lstm && !gru && !gru_v1 && !relu && strcmp(p->cell, "rnn") != 0) skip("no such primitive");
    if (p->lengths) skip("no lengths");
    if (p->bidirectional && p->layers > 1) skip("both directions of one layer alone");
    if (strcmp(p->precision, "int8") == 0) skip("int8 is not tried here");
    dnnl_data_type_t type = strcmp(p->precision, "bf16") == 0 ? dnnl_bf16 : dnnl_f32;
    dnnl_dim_t T = p->step ? 1 : p->seq_len, B = p->batch, H = p->hidden, L = p->layers, D = p->bidirectional ? 2 : 1;
    dnnl_dim_t G = lstm ? 4 : gru || gru_v1 ? 3 : 1;
    dnnl_memory_desc_t x = described(3, (dnnl_dim_t[]){T, B, H}, type, dnnl_tnc),
                       y = described(3, (dnnl_dim_t[]){T, B, D * H}, type, dnnl_tnc),
                       weights = described(5, (dnnl_dim_t[]){L, D, H, G, H}, type, dnnl_format_tag_any),
                       bias = described(4, (dnnl_dim_t[]){L, D, gru ? 4 : G, H}, dnnl_f32, dnnl_ldgo),
                       state = described(4, (dnnl_dim_t[]){L, D, B, H}, type, dnnl_ldnc),
                       cell = described(4, (dnnl_dim_t[]){L, D, B, H}, dnnl_f32, dnnl_ldnc),
                       dx = described(3, (dnnl_dim_t[]){T, B, H}, dnnl_f32, dnnl_tnc),
                       dy = described(3, (dnnl_dim_t[]){T, B, D * H}, dnnl_f32, dnnl_tnc),
                       dw = described(5, (dnnl_dim_t[]){L, D, H, G, H}, dnnl_f32, dnnl_format_tag_any);
    const dnnl_memory_desc_t *h = p->step ? &state : NULL, *c = p->step ? &cell : NULL;
    dnnl_rnn_direction_t direction = D == 2 ? dnnl_bidirectional_concat : dnnl_unidirectional_left2right;
    dnnl_prop_kind_t kind = p->train ? dnnl_forward_training : dnnl_forward_inference, back = dnnl_backward;
    dnnl_alg_kind_t act = relu ? dnnl_eltwise_relu : dnnl_eltwise_tanh;
    dnnl_rnn_desc_t desc;
    if (lstm)
        must(dnnl_lstm_forward_desc_init(&desc, kind, direction, &x, h, c, &weights, &weights, &bias, &y, h, c, 0),
             "forward");
    else if (gru)
        must(dnnl_lbr_gru_forward_desc_init(&desc, kind, direction, &x, h, &weights, &weights, &bias, &y, h, 0),
             "forward");
    else if (gru_v1)
        must(dnnl_gru_forward_desc_init(&desc, kind, direction, &x, h, &weights, &weights, &bias, &y, h, 0), "forward");
    else
        must(dnnl_vanilla_rnn_forward_desc_init(&desc, kind, act, direction, &x, h, &weights, &weights, &bias, &y, h, 0,
                                                0, 0),
             "forward");
    must(dnnl_primitive_desc_create(&w->forward.pd, &desc, NULL, engine, NULL), "forward");
    make_args(&w->forward, NULL, 1);
    w->step = p->step;
    w->train = p->train;
    if (!p->train) return;
    if (lstm)
        must(dnnl_lstm_backward_desc_init(&desc, back, direction, &x, NULL, NULL, &weights, &weights, &bias, &y, NULL,
                                          NULL, &dx, NULL, NULL, &dw, &dw, &bias, &dy, NULL, NULL, 0),
             "backward");
    else if (gru)
        must(dnnl_lbr_gru_backward_desc_init(&desc, back, direction, &x, NULL, &weights, &weights, &bias, &y, NULL, &dx,
                                             NULL, &dw, &dw, &bias, &dy, NULL, 0),
             "backward");
    else if (gru_v1)
        must(dnnl_gru_backward_desc_init(&desc, back, direction, &x, NULL, &weights, &weights, &bias, &y, NULL, &dx,
                                         NULL, &dw, &dw, &bias, &dy, NULL, 0),
             "backward");
    else
        must(dnnl_vanilla_rnn_backward_desc_init(&desc, back, act, direction, &x, NULL, &weights, &weights, &bias, &y,
                                                 NULL, &dx, NULL, &dw, &dw, &bias, &dy, NULL, 0, 0, 0),
             "backward");
    must(dnnl_primitive_desc_create(&w->backward.pd, &desc, NULL, engine, w->forward.pd), "backward");
    make_args(&w->backward, &w->forward, 1);
}

static void run(struct work *w) {
    must(dnnl_primitive_execute(w->forward.primitive, stream, w->forward.n, w->forward.args), "forward");
    if (w->train) {
        clear(&w->backward, DNNL_ARG_DIFF_WEIGHTS_LAYER);
        clear(&w->backward, DNNL_ARG_DIFF_WEIGHTS_ITER);
        clear(&w->backward, DNNL_ARG_DIFF_BIAS);
        must(dnnl_primitive_execute(w->backward.primitive, stream, w->backward.n, w->backward.args), "backward");
    }
    must(dnnl_stream_wait(stream), "stream");
    if (w->step) { /* the state that came out goes in */
        swap_args(&w->forward, DNNL_ARG_SRC_ITER, DNNL_ARG_DST_ITER);
        swap_args(&w->forward, DNNL_ARG_SRC_ITER_C, DNNL_ARG_DST_ITER_C);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* VmRSS or VmHWM of this process in bytes; 0 when unknown. */
static long long process_bytes(const char *name) {
    char line[256];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0) kib = atoll(line + strlen(name) + 1);
    if (f) fclose(f);
    return kib << 10;
}

_Noreturn static void child(const struct point *p) {
    enum { MOST = 1000000, WARM = 3, WARM_STEPS = 100 };
    struct work w = {0};
    long long resident = process_bytes("VmRSS");
    size_t n = 0;
    double *time = malloc(MOST * sizeof *time);
    if (!time) skip("out of memory");
    omp_set_num_threads((int)p->threads);
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    build(&w, p);
    double start = now();
    run(&w);
    double first = now() - start;
    if (p->rounds == 0) {
        answer(json_pack("{s:f}", p->step ? "first_us" : "first_ms", (p->step ? 1e6 : 1e3) * first));
        _exit(0);
    }
    for (int i = 0; i < (p->step ? WARM_STEPS : WARM) && now() - start < 1 + 2 * first; i++) run(&w);
    if (p->memory) {
        answer(json_pack("{s:I}", "rss_growth_bytes", (json_int_t)(process_bytes("VmHWM") - resident)));
        _exit(0);
    }
    double end = now() + p->seconds;
    while (n < MOST && (int64_t)n < p->rounds && (n < 3 || now() < end)) {
        start = now();
        run(&w);
        time[n++] = now() - start;
    }
    qsort(time, n, sizeof *time, by_value);
    if (p->step)
        answer(json_pack("{s:f, s:f, s:f, s:f, s:I}", "us_median", 1e6 * time[n / 2], "us_p99",
                         1e6 * time[n * 99 / 100], "us_min", 1e6 * time[0], "first_us", 1e6 * first, "steps",
                         (json_int_t)n));
    else
        answer(json_pack("{s:f, s:f, s:f, s:I}", "ms", 1e3 * time[n / 2], "ms_min", 1e3 * time[0], "first_ms",
                         1e3 * first, "passes", (json_int_t)n));
    _exit(0);
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static void one_request(const char *line) {
    json_error_t error;
    json_t *j = json_loads(line, 0, &error), *lengths = json_object_get(j, "lengths");
    struct point p = {.cell = "lstm",
                      .precision = "fp32",
                      .batch = 32,
                      .seq_len = 64,
                      .hidden = 256,
                      .layers = 1,
                      .threads = 1,
                      .rounds = 1000,
                      .seconds = 0.3};
    int train = 0, bidirectional = 0, step = 0, memory = 0, status = 0;
    json_int_t size[6] = {p.batch, p.seq_len, p.hidden, p.layers, p.threads, p.rounds};
    if (!j ||
        json_unpack_ex(j, &error, 0, "{s?s, s?s, s?I, s?I, s?I, s?I, s?I, s?I, s?F, s?b, s?b, s?b, s?b}", "cell",
                       &p.cell, "precision", &p.precision, "batch", &size[0], "seq_len", &size[1], "hidden", &size[2],
                       "layers", &size[3], "threads", &size[4], "rounds", &size[5], "seconds", &p.seconds, "train",
                       &train, "bidirectional", &bidirectional, "step", &step, "memory", &memory) != 0) {
        answer(json_pack("{s:s}", "skip", error.text));
        json_decref(j);
        return;
    }
    p.batch = size[0], p.seq_len = size[1], p.hidden = size[2], p.layers = size[3], p.threads = size[4],
    p.rounds = size[5];
    p.train = train, p.bidirectional = bidirectional, p.step = step, p.memory = memory;
    p.lengths = lengths && !json_is_null(lengths);
    pid_t pid = fork();
    if (pid == 0) child(&p);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        answer(json_pack("{s:s}", "skip", "cannot start a process"));
    else if (WIFSIGNALED(status)) {
        char text[64];
        const char *name = WTERMSIG(status) == SIGFPE ? "SIGFPE" : WTERMSIG(status) == SIGSEGV ? "SIGSEGV" : "a signal";
        snprintf(text, sizeof text, "died of %s (%d)", name, WTERMSIG(status));
        answer(json_pack("{s:s}", "skip", text));
    }
    json_decref(j);
}

int main(void) {
    char *line = NULL, version[32];
    size_t cap = 0;
    const dnnl_version_t *v = dnnl_version();
    snprintf(version, sizeof version, "%d.%d.%d", v->major, v->minor, v->patch);
    answer(json_pack("{s:s, s:s}", "peer", "oneDNN", "version", version));
    while (getline(&line, &cap, stdin) > 0) one_request(line);
    free(line);
    return 0;
}
