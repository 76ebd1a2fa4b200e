/* Allocation number n is refused, for every n that there is: once alone, and with all that follow. Whatever was running
 * says RC_ENOMEM with a message, or did without (then with the result it always has); nothing is lost; and what it ran on is
 * as good as before: the same call, with memory again, gives the bits that it always gives. */
#include <ftw.h>
#include <math.h>
#include <sys/stat.h>

#include "lm_helper.h"
#include "property.h"
#include "rnn_helper.h"
#include "temporary.h"

#define TEXT                                                                                                         \
    "the cat sat on the mat and the dog ran\nand saw the cat on a mat and\nthe cat saw the dog run on the mat and " \
    "sat\non a mat the dog sat and the cat ran and\nsaw the dog and the mat\n"

/* ---- results in one number ------------------------------------------------------------------------------------------- */

static const uint64_t empty = 14695981039346656037u; /* FNV-1a */
static uint64_t digest;
static void add(const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) digest = (digest ^ p[i]) * 1099511628211u;
}
static void add_reals(const rc_real *x, size_t n) { add(x, n * sizeof *x); }

/* ---- what is tried --------------------------------------------------------------------------------------------------- */

/* make: the objects that a call runs on, with memory; run: the call; it adds its results to `digest` when it is through. */
typedef struct scene {
    const char *name;
    void *(*make)(int variant);
    rc_status (*run)(void *on, rc_error *e);
    void (*drop)(void *on);
    int variant;
    size_t stride; /* of slow scenes: only each so manieth n unless RECUR_TEST_EFFORT is as large */
} scene;

static uint64_t undisturbed(const scene *s, void *on) {
    rc_error e = {0};
    digest = empty;
    rc_status status = s->run(on, &e);
    if (status) fail_msg("%s, with memory: %s: %s", s->name, rc_status_name(status), e.text);
    return digest;
}

/* One run with refusals; returns whether there was one. */
static bool refused_at(const scene *s, long n, bool once, uint64_t want) {
    size_t before = rc_memory_used();
    void *on = s->make(s->variant);
    failing f = {.left = n, .once = once};
    rc_error e = {0};
    digest = empty;
    rc_set_allocator(failing_alloc, &f);
    rc_status status = s->run(on, &e);
    rc_set_allocator(NULL, NULL);
    bool refused = f.calls > n;
    if (status != RC_OK && (status != RC_ENOMEM || !refused || !e.text[0]))
        fail_msg("%s, allocation %ld%s: %s: %s", s->name, n, once ? " alone" : "", rc_status_name(status), e.text);
    if (status == RC_OK && digest != want) fail_msg("%s, allocation %ld%s: another result", s->name, n, once ? " alone" : "");
    if (refused && undisturbed(s, on) != want)
        fail_msg("%s, after allocation %ld%s: another result", s->name, n, once ? " alone" : "");
    s->drop(on);
    if (rc_memory_used() != before)
        fail_msg("%s, allocation %ld%s: %zd bytes are lost", s->name, n, once ? " alone" : "",
                 (ptrdiff_t)(rc_memory_used() - before));
    return refused;
}

static void try_all(const scene *s) {
    void *on = s->make(s->variant);
    uint64_t want = undisturbed(s, on);
    if (undisturbed(s, on) != want) fail_msg("%s: a second run has another result", s->name);
    s->drop(on);
    size_t effort = property_effort(), stride = s->stride > effort ? (s->stride + effort - 1) / effort : 1;
    for (int once = 0; once < 2; once++) {
        long first = once ? (long)stride / 2 : 0, n = first;
        while (refused_at(s, n, once, want)) n += (long)stride;
        if (n == first) fail_msg("%s allocates nothing: it proves nothing here", s->name);
    }
}

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

enum { T = 5, B = 5, I = 6, H = 7 };
static const int32_t lengths[B] = {3, 0, 5, 1, 5};

typedef struct layers {
    net n;
    float *x;
    rc_tape_mode mode;
    rc_state *state;
} layers;

/* Variants: 0.. all cells, every option on. */
static void *make_layers(int variant) {
    layers *on = calloc(1, sizeof *on);
    rc_rnn_options o = layers_of(rc_cell_at((size_t)variant)->name, 2, I, H);
    o.dropout = 0.2;
    if (rc_cell_at((size_t)variant)->recurrent) {
        o.skip = variant % 2 ? RC_SKIP_HIGHWAY : RC_SKIP_RESIDUAL;
        o.bidirectional = variant % 3 == 0;
        o.recurrent_dropout = o.zoneout_h = 0.2;
        o.zoneout_c = rc_cell_at((size_t)variant)->has_c ? 0.2 : 0;
        o.weight_drop = strncmp(o.cell, "min", 3) ? 0.2 : 0;
        o.learn_initial_state = true;
    } else {
        o.positions = RC_POSITIONS_SINUSOIDAL;
        o.attention_dropout = 0.2;
    }
    on->n = make(o, variant % 2 ? RC_BF16 : RC_FP32);
    on->x = numbers(T * B * I, 3);
    on->mode = (rc_tape_mode){.grad = true, .training = true, .seed = 4, .step = 1};
    return on;
}
static void drop_layers(void *ctx) {
    layers *on = ctx;
    rc_state_free(on->state);
    drop(&on->n);
    free(on->x);
    free(on);
}

static rc_status train_layers(void *ctx, rc_error *e) {
    layers *on = ctx;
    size_t dims[3] = {T, B, I};
    rc_tape *t = on->n.tape;
    rc_params_zero_grad(on->n.ps);
    rc_tape_begin(t, on->mode);
    rc_var *x = rc_leaf(t, 3, dims, on->x), *hn = NULL, *cn;
    bool recurrent = rc_cell_find(rc_rnn_get_options(on->n.rnn)->cell)->recurrent;
    rc_var *y = recurrent ? rc_rnn_forward_vars(t, on->n.rnn, x, lengths, NULL, NULL, &hn, &cn)
                          : rc_rnn_forward(t, on->n.rnn, x, lengths, NULL);
    rc_var *loss = rc_add(t, rc_sum_all(t, rc_mul(t, y, y)), rc_sum_all(t, hn ? hn : y));
    rc_status s = rc_backward(t, loss, 1, e);
    if (s) return s;
    add_reals(y->x, y->len), add_reals(x->dx, x->len);
    add_reals(rc_params_grads(on->n.ps), rc_params_block_len(on->n.ps));
    return RC_OK;
}

static rc_status stateful_layers(void *ctx, rc_error *e) {
    layers *on = ctx;
    size_t dims[3] = {T, B, I};
    if (!on->state) {
        rc_status s = rc_state_new(&on->state, on->n.rnn, B, e);
        if (s) return s;
    }
    rc_tape_begin(on->n.tape, (rc_tape_mode){0});
    rc_state *state = on->state; /* as the last call left it: after a failure as before it */
    rc_var *y = rc_rnn_forward(on->n.tape, on->n.rnn, rc_input(on->n.tape, 3, dims, on->x), lengths, state);
    rc_status s = rc_tape_status(on->n.tape, e);
    if (s) return s;
    add_reals(y->x, y->len), add_reals(rc_state_h(state), rc_state_h_len(state));
    rc_state_reset(state, on->n.rnn);
    return RC_OK;
}

static void layers_train(void **unused) {
    (void)unused;
    for (int c = 0; c < (int)rc_cell_count(); c++) {
        try_all(&(scene){rc_cell_at((size_t)c)->name, make_layers, train_layers, drop_layers, c, 1});
        try_all(&(scene){rc_cell_at((size_t)c)->name, make_layers, stateful_layers, drop_layers, c, 1});
    }
}

static void *make_steps(int variant) {
    layers *on = calloc(1, sizeof *on);
    rc_rnn_options o = layers_of(rc_cell_at((size_t)variant)->name, 2, I, H);
    if (rc_cell_at((size_t)variant)->recurrent) o.skip = RC_SKIP_HIGHWAY;
    else o.positions = RC_POSITIONS_ALIBI;
    on->n = make(o, (rc_precision)(variant % 3));
    on->x = numbers(T * B * I, 3);
    return on;
}
static rc_status run_steps(void *ctx, rc_error *e) {
    layers *on = ctx;
    float y[B * H];
    rc_status s = RC_OK;
    if (!on->state) s = rc_state_new(&on->state, on->n.rnn, B, e);
    if (!s) rc_state_reset(on->state, on->n.rnn);
    for (size_t t = 0; !s && t < T; t++) {
        s = rc_rnn_step(on->n.rnn, on->state, on->x + t * B * I, y, e);
        if (!s) add_reals(y, B * on->n.O);
    }
    return s;
}
static void layers_step(void **unused) {
    (void)unused;
    for (int c = 0; c < (int)rc_cell_count(); c++)
        try_all(&(scene){rc_cell_at((size_t)c)->name, make_steps, run_steps, drop_layers, c, 1});
}

/* A state that cannot be read stays what it was. */
static rc_status state_files(void *ctx, rc_error *e) {
    layers *on = ctx;
    rc_status s = RC_OK;
    const char *path = temp_path("state");
    if (!on->state) {
        s = rc_state_new(&on->state, on->n.rnn, B, e);
        if (s) return s;
        for (size_t i = 0; i < rc_state_h_len(on->state); i++) rc_state_h(on->state)[i] = (float)i;
    }
    float first = rc_state_h(on->state)[3];
    s = rc_state_save(on->state, path, e);
    if (!s) {
        rc_state_h(on->state)[3] = -1;
        s = rc_state_load(on->state, path, e);
        assert_true(rc_state_h(on->state)[3] == (s ? -1 : first));
        rc_state_h(on->state)[3] = first;
    }
    unlink(path);
    if (!s) add_reals(rc_state_h(on->state), rc_state_h_len(on->state));
    return s;
}
static void states(void **unused) {
    (void)unused;
    try_all(&(scene){"state files", make_steps, state_files, drop_layers, 2, 1});
}

/* ---- language models ------------------------------------------------------------------------------------------------- */

typedef struct model {
    rc_lm *m;
    rc_tape *tape;
    rc_optim *optim;
    int32_t *ids;
    size_t n;
    int variant;
} model;

/* 0: plain; 1: tied, with an adapter; 2: a sampled softmax; 3: int8. */
static void *make_model(int variant) {
    model *on = calloc(1, sizeof *on);
    rc_lm_options o = small_options(variant == 1 ? "gru" : "lstm");
    o.tied = variant == 1;
    o.dropout_input = o.dropout_output = o.dropout_embedding = 0.1;
    on->variant = variant;
    on->m = model_of(variant == 2 ? "word" : "char", TEXT, &o);
    rc_optim_options oo = rc_optim_options_default();
    OK(rc_vocab_encode(rc_lm_vocab(on->m), TEXT, strlen(TEXT), &on->ids, &on->n, NULL, &E));
    if (variant == 2) OK(rc_lm_sample_softmax(on->m, 6, on->ids, on->n, &E));
    if (variant == 3) OK(rc_params_set_precision(rc_lm_params(on->m), RC_INT8, &E));
    OK(rc_tape_new(&on->tape, &E));
    OK(rc_optim_new(&on->optim, rc_lm_params(on->m), &oo, &E));
    return on;
}
static void drop_model(void *ctx) {
    model *on = ctx;
    rc_optim_free(on->optim);
    rc_tape_free(on->tape);
    rc_ids_free(on->ids, on->n);
    rc_lm_free(on->m);
    free(on);
}

/* A step of training with rate 0, so that it can be run again. */
static rc_status train_model(void *ctx, rc_error *e) {
    model *on = ctx;
    double nll;
    rc_params_zero_grad(rc_lm_params(on->m));
    rc_tape_begin(on->tape, (rc_tape_mode){.grad = true, .training = true, .seed = 1, .step = 2});
    rc_var *loss = rc_lm_loss(on->tape, on->m, on->ids, on->ids + 1, 8, 3, NULL, &nll, NULL);
    rc_status s = rc_backward(on->tape, loss, 1, e);
    if (s) return s;
    add(&nll, sizeof nll), add_reals(loss->x, 1);
    add_reals(rc_params_grads(rc_lm_params(on->m)), rc_params_block_len(rc_lm_params(on->m)));
    return rc_optim_step(on->optim, 0, NULL, e);
}

static rc_status step_model(void *ctx, rc_error *e) {
    model *on = ctx;
    rc_state *state;
    rc_real logits[3 * 64];
    rc_status s = rc_state_new(&state, rc_lm_rnn(on->m), 3, e);
    for (size_t i = 0; !s && i < 4; i++) {
        s = rc_lm_step(on->m, state, on->ids + i, logits, e);
        if (!s) add_reals(logits, 3 * rc_vocab_size(rc_lm_vocab(on->m)));
    }
    rc_state_free(state);
    return s;
}

static rc_status eval_model(void *ctx, rc_error *e) {
    model *on = ctx;
    for (int kind = 0; kind < 3; kind++) {
        rc_lm_eval_options o = rc_lm_eval_options_default();
        rc_lm_score score;
        o.window = kind == 1 ? 16 : 0;
        o.dynamic = kind == 2 && on->variant != 3;
        rc_status s = rc_lm_eval(on->m, TEXT, strlen(TEXT), &o, &score, e);
        if (s) return s;
        add(&score.nll, sizeof score.nll);
    }
    return RC_OK;
}

static rc_status generate(void *ctx, rc_error *e) {
    model *on = ctx;
    char *text[2];
    size_t len[2];
    rc_lm_generate_options o = rc_lm_generate_options_default();
    o.length = 30;
    o.samples = 2;
    o.stop = (const char *const[]){"zz"};
    o.n_stop = 1;
    rc_status s = rc_lm_generate(on->m, "the cat", 7, &o, text, len, e);
    for (int i = 0; !s && i < 2; i++) {
        add(text[i], len[i]);
        rc_text_free(text[i], len[i]);
    }
    return s;
}

static rc_status file_of_model(void *ctx, rc_error *e) {
    model *on = ctx;
    rc_lm *back = NULL;
    const char *path = temp_path("memory.safetensors");
    rc_status s = rc_lm_save(on->m, path, "{\"n\": 1}", e);
    if (!s) s = rc_lm_load(&back, path, e);
    if (!s) add_reals(rc_params_values(rc_lm_params(back)), rc_params_block_len(rc_lm_params(back)));
    rc_lm_free(back);
    unlink(path);
    return s;
}

/* Sampling begun, replaced and ended; a call that fails leaves what was. The loss tells which. */
static rc_status sampling(void *ctx, rc_error *e) {
    model *on = ctx;
    rc_status s = rc_lm_sample_softmax(on->m, 4, on->ids, on->n, e);
    if (!s) s = train_model(on, e);
    if (s) return s;
    uint64_t of_four = digest;
    s = rc_lm_sample_softmax(on->m, 6, on->ids, on->n, e);
    if (s) { /* still four words */
        rc_set_allocator(NULL, NULL);
        digest = empty;
        assert_int_equal(train_model(on, NULL), RC_OK);
        assert_true(digest == of_four);
        return s;
    }
    s = train_model(on, e);
    if (!s) s = rc_lm_sample_softmax(on->m, 0, NULL, 0, e);
    if (!s) s = train_model(on, e);
    return s;
}

static rc_status precisions(void *ctx, rc_error *e) {
    model *on = ctx;
    rc_status s = RC_OK;
    for (int p = RC_INT8; !s && p >= RC_FP32; p--) {
        s = rc_params_set_precision(rc_lm_params(on->m), (rc_precision)p, e);
        if (!s) s = step_model(on, e);
        if (!s) s = eval_model(&(model){.m = on->m, .variant = 3}, e);
    }
    return s;
}

/* On a copy from a file: it can only grow once. */
static rc_status growth(void *ctx, rc_error *e) {
    model *on = ctx;
    rc_lm *copy = NULL;
    size_t added;
    const char *path = temp_path("growth.safetensors");
    rc_status s = rc_lm_save(on->m, path, NULL, e);
    if (!s) s = rc_lm_load(&copy, path, e);
    if (!s) s = rc_vocab_grow(rc_lm_vocab(copy), "XYZ", 3, &added, e);
    if (!s) s = rc_lm_grow(&copy, 3, e);
    if (!s) add_reals(rc_params_values(rc_lm_params(copy)), rc_params_block_len(rc_lm_params(copy)));
    rc_lm_free(copy);
    unlink(path);
    return s;
}

static void language_models(void **unused) {
    (void)unused;
    for (int v = 0; v < 4; v++) {
        if (v != 3) try_all(&(scene){"a training step", make_model, train_model, drop_model, v, 1});
        try_all(&(scene){"steps", make_model, step_model, drop_model, v, 1});
        try_all(&(scene){"evaluation", make_model, eval_model, drop_model, v, 1});
        try_all(&(scene){"generation", make_model, generate, drop_model, v, 1});
    }
    try_all(&(scene){"a model file", make_model, file_of_model, drop_model, 0, 1});
    try_all(&(scene){"a sampled softmax", make_model, sampling, drop_model, 0, 1});
    try_all(&(scene){"other precisions", make_model, precisions, drop_model, 1, 1});
    try_all(&(scene){"growth", make_model, growth, drop_model, 0, 1});
}

/* ---- text ------------------------------------------------------------------------------------------------------------ */

static void *make_nothing(int variant) {
    int *on = malloc(sizeof *on);
    *on = variant;
    return on;
}

static rc_status texts(void *ctx, rc_error *e) {
    (void)ctx;
    char *text;
    size_t len;
    const char *path = temp_path("text");
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 3000; i++) fputs("some words on a line\n", f);
    fclose(f);
    rc_status s = rc_text_read(path, &text, &len, e);
    if (!s) {
        s = rc_text_check_utf8(path, text, len, e);
        add(text, len);
        rc_text_free(text, len);
    }
    unlink(path);
    return s;
}

static void text_files(void **unused) {
    (void)unused;
    try_all(&(scene){"a text file", make_nothing, texts, free, 0, 1});
}

/* ---- whole trainings ------------------------------------------------------------------------------------------------- */

static char folder[300];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}
static void remove_all(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static const char *copy_from, *copy_to;
static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)at;
    char to[400], block[4096];
    snprintf(to, sizeof to, "%s%s", copy_to, path + strlen(copy_from));
    if (type == FTW_D) return mkdir(to, 0700);
    FILE *in = fopen(path, "rb"), *out = fopen(to, "wb");
    assert_true(in && out && st->st_size >= 0);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) fwrite(block, 1, n, out);
    fclose(in);
    return fclose(out);
}
static void copy_run(const char *from, const char *to) {
    copy_from = from;
    copy_to = to;
    assert_int_equal(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

/* In memory where there is such a folder: thousands of runs write files and wait until they are on the disk. */
static int enter(void **unused) {
    (void)unused;
    TEMPORARY_NAME(folder, temporary_memory(), "memory");
    if (!mkdtemp(folder) || chdir(folder) || setenv("TMPDIR", folder, 1)) return -1;
    FILE *f = fopen("text.txt", "w");
    for (int i = 0; i < 4; i++) fputs(TEXT, f);
    return fclose(f);
}
static int leave(void **unused) {
    (void)unused;
    if (chdir("/")) return -1;
    remove_all(folder);
    return 0;
}
/* A test that failed may have left memory refused. */
static int restore(void **unused) {
    (void)unused;
    rc_set_allocator(NULL, NULL);
    return 0;
}

enum { CHARS, WORDS, DOCUMENTS, SOURCE, TUNE, CLASSIFY, SEVERAL, FROM_LM, NUMBERS, REGRESS, TRANSLATE, SUMMARIZE, RESUME, PLAN, PLAN_SOURCE, FLOW, CONFIG, RUNS };

static void write_file(const char *path, const char *text, int times) {
    FILE *f = fopen(path, "w");
    for (int i = 0; i < times; i++) fputs(text, f);
    fclose(f);
}

/* What classifiers and regressors learn from. */
static void write_labelled(void) {
    write_file("labelled.txt", "good\tthe cat sat on the mat\nbad\tthe dog ran, and\ngood\ta cat\nbad\t\n", 4);
    write_file("several.txt", "red|blue\tthe cat and the dog\n\ta mat\nblue\tthe dog\n", 4);
    write_file("numbers.csv", "id,label,y,v,w\na,x,1,1,\na,x,2,2,3\nb,y,3,1,1\nc,x,4,5,5\nd,y,5,1,2\nd,y,6,7,8\n", 1);
    write_file("pairs.src", "a cat\n\nthe dog ran\na dog\n", 2);
    write_file("pairs.tgt", "A\nB\nC D\nA D\n", 2);
    write_file("pairs.jsonl", "{\"source\": [\"ab\", \"c\"], \"target\": [\"b\", \"c\"]}\n{\"source\": \"ca\", \"target\": \"ac\"}\n", 3);
    write_file("words.vec", "3 5\nthe 1 2 3 4 5\ncat 1 0 0 0 1\nnone 0 0 0 0 0\n", 1);
}

static rc_train_options labelled_training(int variant) {
    static const char *const text[] = {"labelled.txt"}, *const several[] = {"several.txt"}, *const numbers[] = {"numbers.csv"};
    rc_train_options o;
    OK(rc_train_options_for(variant == REGRESS ? "regress" : "classify", &o, &E));
    o.files = variant >= NUMBERS ? numbers : variant == SEVERAL ? several : text;
    o.n_files = 1;
    o.hidden = 4;
    o.embedding = 3;
    o.char_hidden = 2;
    o.char_embedding = 2;
    o.batch = 3;
    o.epochs = 0;
    o.steps = 3;
    o.valid_every = 2;
    o.valid_fraction = 0.3;
    o.run = "run";
    o.out = "model.safetensors";
    o.threads = 1;
    o.average = "none";
    if (variant == CLASSIFY) o.chars = "cnn", o.vectors = "words.vec", o.freeze_vectors = true, o.class_weights = "balanced";
    if (variant == SEVERAL) o.data.label_separator = "|", o.encoder = "bow", o.vocab = "word:3";
    if (variant == FROM_LM) o.from = "old.safetensors";
    if (variant >= NUMBERS) o.data.id = "id";
    if (variant == NUMBERS) o.data.numeric = o.mask = true, o.data.label = "label", o.encoder = "gru";
    if (variant == REGRESS) o.data.target = "y", o.data.inputs = "v,w", o.window = 2, o.encoder = "cnn", o.kernels = "2";
    return o;
}

/* Pairs: two files by words, their answers scored; and JSON lines, copied from by characters. */
static rc_train_options writing(int variant) {
    static const char *const two[] = {"pairs.src", "pairs.tgt"}, *const one[] = {"pairs.jsonl"};
    rc_train_options o;
    OK(rc_train_options_for(variant == TRANSLATE ? "translate" : "summarize", &o, &E));
    o.files = variant == TRANSLATE ? two : one;
    o.n_files = variant == TRANSLATE ? 2 : 1;
    o.vocab = variant == TRANSLATE ? "word" : "char";
    o.hidden = 4;
    o.embedding = 3;
    o.layers = variant == TRANSLATE ? 2 : 1;
    o.batch = 3;
    o.max_target = 6;
    o.scheduled_sampling = variant == TRANSLATE ? 0.5 : 0;
    o.shared = o.tied = variant == SUMMARIZE;
    o.epochs = 0;
    o.steps = 3;
    o.valid_every = 2;
    o.valid_fraction = 0.3;
    o.sample_length = 5;
    o.run = "run";
    o.out = "model.safetensors";
    o.threads = 1;
    o.average = "none";
    return o;
}

static rc_train_options training(int variant) {
    if (variant == TRANSLATE || variant == SUMMARIZE) return writing(variant);
    if (variant >= CLASSIFY && variant <= REGRESS) return labelled_training(variant);
    static const char *const text[] = {"text.txt"}, *const more[] = {"more.txt"}, *const source[] = {"adding:T=6"};
    rc_train_options o = rc_train_options_default();
    bool of_source = variant == SOURCE || variant == PLAN_SOURCE || variant == FLOW;
    o.files = of_source ? source : variant == TUNE ? more : text;
    o.n_files = 1;
    o.hidden = 6;
    o.batch = 3;
    o.seq_len = 7;
    o.steps = 3;
    o.valid_every = 2;
    o.sample_length = 5;
    o.run = "run";
    o.out = "model.safetensors";
    o.threads = 1;
    if (of_source) o.batch = 50; /* its validation has 1000 rows */
    o.average = variant == WORDS ? "ema" : "none";
    if (variant == WORDS) o.vocab = "word", o.softmax_samples = 5, o.optimizer = "sgd", o.momentum = 0.5;
    if (variant == DOCUMENTS) o.full_bptt = true, o.vocab = "byte", o.tied = true, o.embedding = 5;
    if (variant == TUNE) o.from = "old.safetensors", o.grow_vocab = true;
    return o;
}

static void watch(void *ctx, const char *line) {
    if (strstr(line, "out of memory")) *(bool *)ctx = true;
}

/* The report's last evaluation comes when the model is written: that it had no memory is told, and no failure of the run. */
static rc_status train(void *ctx, rc_error *e) {
    int variant = *(const int *)ctx;
    rc_train_options o = training(variant);
    rc_train_result r = {0};
    bool told = false;
    rc_train_hooks hooks = {.ctx = &told, .on_message = watch};
    remove_all("run");
    unlink("model.safetensors");
    if (variant == RESUME) {
        copy_run("begun", "run");
        o = rc_train_options_default();
        o.resume = "run";
        o.steps = 5;
    }
    rc_status s = rc_train(&o, &hooks, &r, e);
    if (s) return s;
    add(&r.best_valid_loss, sizeof r.best_valid_loss);
    add(&r.train_loss, sizeof r.train_loss);
    bool known = isfinite(r.valid_loss) && (variant != TUNE || isfinite(r.old_valid_loss_before + r.old_valid_loss_after));
    if (!known && !told) fail_msg("variant %d: losses are missing and nothing was said", variant);
    return RC_OK;
}

static rc_status other_calls(void *ctx, rc_error *e) {
    int variant = *(const int *)ctx;
    rc_train_options o = training(variant);
    rc_status s = RC_OK;
    if (variant == PLAN || variant == PLAN_SOURCE) {
        rc_plan plan;
        s = rc_train_plan(&o, 0, &plan, e);
        if (!s) add(&plan.parameters, sizeof plan.parameters), add(&plan.bytes_activations, sizeof plan.bytes_activations);
    } else if (variant == FLOW) {
        double norms[6];
        size_t n = 0;
        s = rc_gradient_flow(&o, true, norms, 6, &n, e);
        if (!s) add(norms, n * sizeof *norms);
    } else if (variant == CONFIG) {
        rc_train_config *c = NULL;
        s = rc_train_config_write(&o, "config.json", e);
        if (!s) s = rc_train_config_read(&c, "config.json", e);
        if (!s) add(&rc_train_config_options(c)->hidden, sizeof(int64_t));
        rc_train_config_free(c);
    } else if (variant == RUNS) {
        rc_run_info info, *all = NULL;
        size_t n = 0;
        s = rc_run_read("begun", &info, e);
        if (!s) s = rc_runs_list(".", &all, &n, e);
        if (!s) add(&info.steps, sizeof info.steps), add(&n, sizeof n);
        rc_runs_free(all, n);
    }
    return s;
}

static void begin(const char *run, const char *out) {
    rc_train_options o = training(CHARS);
    remove_all(run);
    o.run = run;
    o.out = out;
    OK(rc_train(&o, NULL, NULL, &E));
}

static void trainings(void **unused) {
    (void)unused;
    static const char *const names[] = {"train: characters",  "train: words, sampled, averaged",
                                        "train: documents",   "train: a source",
                                        "train: fine-tune",   "train: classify texts, vectors",
                                        "train: several labels", "train: classify, from a language model",
                                        "train: classify numbers", "train: regress",
                                        "train: translate",     "train: summarize"};
    write_labelled();
    begin("begun", "old.safetensors");
    FILE *f = fopen("more.txt", "w");
    for (int i = 0; i < 4; i++) fputs(TEXT "XYZ\n", f); /* for a vocabulary to grow by */
    fclose(f);
    for (int v = CHARS; v <= SUMMARIZE; v++) try_all(&(scene){names[v], make_nothing, train, free, v, 5});
}

/* ---- trained classifiers and regressors ------------------------------------------------------------------------------ */

static rc_status keep_line(void *ctx, const char *text, size_t len) {
    (void)ctx;
    add(text, len);
    return RC_OK;
}

/* The model is loaded, scores, answers and, for words, tells its reasons. */
static rc_status use_model(void *ctx, rc_error *e) {
    int variant = *(const int *)ctx;
    rc_train_options o = labelled_training(variant);
    rc_model *m = NULL;
    char *json = NULL;
    size_t len = 0;
    rc_sink sink = {NULL, keep_line};
    rc_predict_options po = rc_predict_options_default();
    po.json = true;
    po.batch = 3;
    rc_status s = rc_model_load(&m, variant == CLASSIFY ? "texts.safetensors" : "numbers.safetensors", e);
    if (!s) s = rc_model_eval(m, o.files[0], NULL, &json, &len, e);
    rc_text_free(json, len); /* it tells seconds */
    if (!s) s = rc_model_predict(m, variant == CLASSIFY ? "more.txt" : o.files[0], &po, &sink, e);
    if (!s && variant == CLASSIFY) s = rc_model_reasons(m, "more.txt", &po, &sink, e);
    if (!s) s = rc_model_save(m, "again.safetensors", NULL, e);
    rc_model_free(m);
    return s;
}

static void models(void **unused) {
    (void)unused;
    write_labelled();
    write_file("more.txt", "the cat saw\n\na dog, and a mat on it\n", 1);
    for (int v = CLASSIFY; v <= NUMBERS; v += NUMBERS - CLASSIFY) {
        rc_train_options o = labelled_training(v);
        remove_all("run");
        o.out = v == CLASSIFY ? "texts.safetensors" : "numbers.safetensors";
        OK(rc_train(&o, NULL, NULL, &E));
        try_all(&(scene){v == CLASSIFY ? "a classifier of texts" : "a classifier of numbers", make_nothing, use_model, free, v, 1});
    }
}

static void resumed(void **unused) {
    (void)unused;
    begin("begun", NULL);
    try_all(&(scene){"train: resumed", make_nothing, train, free, RESUME, 5});
}

static void around_training(void **unused) {
    (void)unused;
    static const char *const names[] = {"plan", "plan of a source", "gradient flow", "configuration", "run folders"};
    for (int v = PLAN; v <= RUNS; v++) try_all(&(scene){names[v - PLAN], make_nothing, other_calls, free, v, 1});
}

#define TEST(name) cmocka_unit_test_teardown(name, restore)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(layers_train), TEST(layers_step), TEST(states),  TEST(language_models),
                                       TEST(text_files),   TEST(trainings),   TEST(models),  TEST(resumed), TEST(around_training)};
    return cmocka_run_group_tests(tests, enter, leave);
}
