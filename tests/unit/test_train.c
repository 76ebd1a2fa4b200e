/* The training loop: it learns, repeats itself, notices what is wrong, and leaves the folder it promises. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "tasks/lm_task.h"
#include "unit/train_helpers.h"

/* ---- an allocator that counts ------------------------------------------------------------------------------------ */

static size_t allocations, fail_at; /* fail_at: the allocation that is refused, 0 = none */

static void *counting(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    if (new_size == 0) return free(p), NULL;
    if (++allocations == fail_at) return NULL;
    void *q = aligned_alloc(64, (new_size + 63) / 64 * 64);
    if (q && p) {
        memcpy(q, p, old_size < new_size ? old_size : new_size);
        free(p);
    }
    return q;
}

static int setup(void **state) {
    rc_set_allocator(counting, NULL);
    if (enter_work(state)) return -1;
    write_text("text.txt", 6000, 1);
    return 0;
}

static bool has(const char *path, const char *part) {
    size_t n;
    char *text = slurp(path, &n);
    bool found = strstr(text, part) != NULL;
    free(text);
    return found;
}

static void refuse(const rc_train_options *o, rc_status want, const char *part) {
    rc_error e = {0};
    rc_train_result r;
    rc_status s = rc_train(o, NULL, &r, &e);
    if (s != want || !strstr(e.text, part))
        fail_msg("expected %s with \"%s\", got %s: %s", rc_status_name(want), part, rc_status_name(s), e.text);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void test_table(void **state) {
    (void)state;
    size_t n;
    const rc_option *t = rc_train_option_table(&n);
    rc_train_options o = rc_train_options_default();
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(rc_option_find(t, n, t[i].name), &t[i]); /* names are unique */
        assert_non_null(t[i].help);
        assert_non_null(t[i].group);
        const char *at = (const char *)&o + t[i].offset;
        double v = t[i].type == RC_OPT_INT                                ? (double)*(const int64_t *)at
                   : t[i].type == RC_OPT_REAL || t[i].type == RC_OPT_TIME ? *(const double *)at
                                                                          : 0;
        if (t[i].min != 0 || t[i].max != 0) assert_true(v >= t[i].min && v <= t[i].max);
        if (t[i].type == RC_OPT_CHOICE && **(const char *const *)at)
            assert_int_equal(rc_option_set(&t[i], &o, *(const char *const *)at, t[i].name, NULL), RC_OK);
    }
    const rc_option *cell = rc_option_find(t, n, "cell"); /* the choices are the cells there are */
    char all[512] = "";
    for (size_t i = 0; i < rc_cell_count(); i++) {
        if (i) strcat(all, " ");
        strcat(all, rc_cell_at(i)->name);
        assert_int_equal(rc_option_set(cell, &o, rc_cell_at(i)->name, "cell", NULL), RC_OK);
    }
    assert_int_equal(strlen(all), strlen(cell->choices));
}

static void test_presets(void **state) {
    (void)state;
    rc_error e = {0};
    rc_train_options o = rc_train_options_default();
    const char *set[] = {"hidden", "steps"};
    o.preset = "quick";
    o.hidden = 77;
    o.steps = 5;
    assert_int_equal(rc_train_apply_preset(&o, set, 2, &e), RC_OK);
    assert_int_equal(o.hidden, 77);
    assert_true(o.time == 0); /* the user's budget stands alone */
    o = rc_train_options_default();
    o.preset = "good";
    assert_int_equal(rc_train_apply_preset(&o, NULL, 0, &e), RC_OK);
    assert_true(o.time == 1200);
    o.preset = "best";
    assert_int_equal(rc_train_apply_preset(&o, NULL, 0, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "best"));
}

static void test_config(void **state) {
    (void)state;
    rc_error e = {0};
    size_t n;
    const rc_option *t = rc_train_option_table(&n);
    rc_train_options o = small_options("a folder");
    o.lr = 0.1 + 0.2; /* needs all 17 digits */
    o.time = 1.0 / 3;
    o.tied = true;
    o.sample_prompt = "a \"quoted\"\nline";
    o.seed = 9007199254740991;
    assert_int_equal(rc_train_config_write(&o, "config.json", &e), RC_OK);
    rc_train_config *c;
    assert_int_equal(rc_train_config_read(&c, "config.json", &e), RC_OK);
    const rc_train_options *b = rc_train_config_options(c);
    for (size_t i = 0; i < n; i++) {
        char x[256], y[256];
        rc_option_get(&t[i], &o, x, sizeof x);
        rc_option_get(&t[i], b, y, sizeof y);
        assert_string_equal(x, y);
        assert_true(rc_train_config_has(c, t[i].name));
    }
    assert_true(b->lr == o.lr && b->time == o.time && b->seed == o.seed);
    assert_int_equal(b->n_files, 1);
    assert_string_equal(b->files[0], "text.txt");
    rc_train_config_free(c);

    static const struct {
        const char *text, *part;
        rc_status status;
    } bad[] = {
        {"{\"hiden\": 3}", "did you mean \"hidden\"", RC_EINVAL},
        {"{\"hidden\": \"many\"}", "hidden", RC_EINVAL},
        {"{\"hidden\": 0}", "hidden", RC_EINVAL},
        {"{\"hidden\": 1.5}", "hidden", RC_EINVAL},
        {"{\"dropout\": 1.5}", "dropout", RC_EINVAL},
        {"{\"tied\": 1}", "tied", RC_EINVAL},
        {"{\"cell\": \"lstn\"}", "cell", RC_EINVAL},
        {"{\"files\": [1]}", "files", RC_EINVAL},
        {"[1, 2]", "object", RC_EINVAL},
        {"{\"hidden\": 3", "bad.json", RC_EMODEL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen("bad.json", "w");
        fputs(bad[i].text, f);
        fclose(f);
        rc_status s = rc_train_config_read(&c, "bad.json", &e);
        if (s != bad[i].status || !strstr(e.text, bad[i].part))
            fail_msg("%s: %s: %s", bad[i].text, rc_status_name(s), e.text);
        assert_null(c);
    }
    FILE *f = fopen("time.json", "w");
    fputs("{\"time\": \"3m\"}", f);
    fclose(f);
    assert_int_equal(rc_train_config_read(&c, "time.json", &e), RC_OK);
    assert_true(rc_train_config_options(c)->time == 180);
    assert_false(rc_train_config_has(c, "steps"));
    rc_train_config_free(c);
}

static void test_refused_options(void **state) {
    (void)state;
    static const char *const missing[] = {"no such file.txt"};
    rc_train_options o = small_options("refused"), plain = o;
    o.n_files = 0;
    refuse(&o, RC_EINVAL, "no data");
    o = plain, o.files = missing;
    refuse(&o, RC_EIO, "no such file.txt");
    o = plain, o.hidden = 0;
    refuse(&o, RC_EINVAL, "hidden");
    o = plain, o.lr = NAN;
    refuse(&o, RC_EINVAL, "lr");
    o = plain, o.cell = "lstn";
    refuse(&o, RC_EINVAL, "lstn");
    o = plain, o.schedule = "cosin";
    refuse(&o, RC_EINVAL, "cosin");
    o = plain, o.average = "mean";
    refuse(&o, RC_EINVAL, "mean");
    o = plain, o.optimizer = "adan";
    refuse(&o, RC_EINVAL, "adan");
    o = plain, o.vocab = "letters";
    refuse(&o, RC_EINVAL, "letters");
    o = plain, o.precision = "fp16";
    refuse(&o, RC_EINVAL, "expected fp32 or bf16, found \"fp16\"");
    o = plain, o.precision = "int8";
    refuse(&o, RC_EINVAL, "found \"int8\", which is for inference");
    o = plain, o.freeze = "nothing.*";
    refuse(&o, RC_EINVAL, "nothing.*");
    o = plain, o.freeze = "*";
    refuse(&o, RC_EINVAL, "every parameter");
    o = plain, o.lr_groups = "rnn.*";
    refuse(&o, RC_EINVAL, "PATTERN=FACTOR");
    o = plain, o.grow_vocab = true;
    refuse(&o, RC_EINVAL, "grow-vocab");
    o = plain, o.out = "no/such/folder/m.safetensors";
    refuse(&o, RC_EIO, "no/such/folder");
    o = plain, o.valid_fraction = 0, o.patience = 3;
    refuse(&o, RC_EINVAL, "--patience needs validation");
    o = plain, o.from = "text.txt";
    refuse(&o, RC_EMODEL, "text.txt");
    o = plain, o.nesterov = true, o.momentum = 0.9;
    refuse(&o, RC_EINVAL, "--optimizer sgd");
    o = plain, o.cell = "mingru", o.weight_drop = 0.2;
    refuse(&o, RC_EINVAL, "weight_drop");
    assert_int_equal(access("refused", F_OK), -1); /* none of them left a folder */
    rc_error e;
    assert_int_equal(rc_train_check(&o, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "mingru"));
    assert_int_equal(rc_train_check(&plain, &e), RC_OK);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void test_split(void **state) {
    (void)state;
    assert_int_equal(rc__lm_split("0123456789", 10, 0.1, false), 9);
    assert_int_equal(rc__lm_split("0123456789", 10, 0.5, false), 5);
    assert_int_equal(rc__lm_split("abc\xc3\xa9z", 6, 0.34, false), 3);
    assert_int_equal(rc__lm_split("abc\xc3\xa9z", 6, 0.3, false), 5); /* moved over the second byte of e acute */
    assert_int_equal(rc__lm_split("one two\nthree\nfour\n", 19, 0.9, true), 8);
    assert_int_equal(rc__lm_split("no newline", 10, 0.5, true), 10);
    assert_int_equal(rc__lm_split("", 0, 0.5, false), 0);
}

static void test_files_are_joined(void **state) {
    (void)state;
    FILE *f = fopen("a.txt", "w");
    fputs("one", f);
    fclose(f);
    f = fopen("b.txt", "w");
    fputs("two\n", f);
    fclose(f);
    const char *files[] = {"a.txt", "b.txt", "a.txt"};
    char *text;
    size_t len;
    rc_error e = {0};
    assert_int_equal(rc__lm_read_files(files, 3, true, &text, &len, &e), RC_OK);
    assert_string_equal(text, "one\ntwo\none");
    assert_int_equal(len, 11);
    rc_text_free(text, len);
    files[1] = "absent.txt";
    assert_int_equal(rc__lm_read_files(files, 3, true, &text, &len, &e), RC_EIO);
    assert_null(text);
}

static void write_lines(const char *path, int lines, int bad_line, const char *bad) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 1; i <= lines; i++) fputs(i == bad_line ? bad : "a line of text that is good\n", f);
    fclose(f);
}

/* Lines and offsets are the file's own, whichever part of the data the file becomes. */
static void test_not_utf8(void **state) {
    (void)state;
    static const char *const one[] = {"late.txt"}, *const two[] = {"good.txt", "late.txt"},
                             *const good[] = {"good.txt"};
    write_lines("good.txt", 300, 0, NULL);
    write_lines("late.txt", 201, 201, "abc \xff\n"); /* offset 200 * 28 + 4, in the validation part */
    static const char place[] = "late.txt: line 201, byte 5 (offset 5604): not UTF-8: FF 0A";
    static const char *const vocabs[] = {"char", "word", "bpe:300"};
    for (size_t i = 0; i < 3; i++) {
        rc_train_options o = small_options("latin");
        o.vocab = vocabs[i];
        o.files = one, o.n_files = 1;
        refuse(&o, RC_EDATA, place);
        o.files = two, o.n_files = 2;
        refuse(&o, RC_EDATA, place);
        o.files = good, o.n_files = 1, o.valid = "late.txt";
        refuse(&o, RC_EDATA, place);
    }
    assert_int_not_equal(access("latin", F_OK), 0);
    rc_train_options o = small_options("bytes");
    o.vocab = "byte";
    o.files = two, o.n_files = 2;
    o.steps = 2;
    rc_error e = {0};
    if (rc_train(&o, NULL, NULL, &e)) fail_msg("%s", e.text);
    /* a model's vocabulary asks the same of its texts as a new one */
    o = small_options("letters");
    o.steps = 2;
    o.out = "letters.safetensors";
    if (rc_train(&o, NULL, NULL, &e)) fail_msg("%s", e.text);
    o = small_options("letters2");
    o.from = "letters.safetensors";
    o.files = one, o.n_files = 1;
    refuse(&o, RC_EDATA, place);
}

/* A file that was asked for and cannot be used is an error, not a run without validation. */
static void test_short_validation_file(void **state) {
    (void)state;
    FILE *f = fopen("short.txt", "w");
    fputs("\n", f); /* one token, and no document */
    fclose(f);
    rc_train_options o = small_options("short");
    o.valid = "short.txt";
    refuse(&o, RC_EDATA, "short.txt: too short to validate on: 1 tokens, expected at least 2");
    assert_int_not_equal(access("short", F_OK), 0);
    o.full_bptt = true;
    refuse(&o, RC_EDATA, "short.txt: the text has no line");
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

typedef struct seen {
    size_t steps, validations, samples, messages, at20, at39;
    double first, last, best;
    bool finite;
} seen;

static void see_step(void *ctx, const rc_train_progress *p) {
    seen *s = ctx;
    if (s->steps == 0) s->first = p->loss;
    s->last = p->loss;
    s->steps++;
    s->finite = s->finite && isfinite(p->lr) && isfinite(p->grad_norm) && p->progress >= 0 && p->progress <= 1;
    if (p->step == 20) s->at20 = allocations;
    if (p->step == 39) s->at39 = allocations;
}
static void see_validation(void *ctx, const rc_train_progress *p, const rc_train_validation *v) {
    seen *s = ctx;
    (void)p;
    s->validations++;
    s->best = v->best;
}
static void see_sample(void *ctx, uint64_t step, const char *text, size_t len) {
    seen *s = ctx;
    (void)step;
    s->samples++;
    assert_int_equal(strlen(text), len);
    assert_int_equal(strncmp(text, "the ", 4), 0);
}
static void see_message(void *ctx, const char *line) {
    assert_true(strlen(line) > 0);
    ((seen *)ctx)->messages++;
}
static rc_train_hooks hooks_for(seen *s) {
    *s = (seen){.finite = true};
    return (rc_train_hooks){.ctx = s,
                            .on_message = see_message,
                            .on_step = see_step,
                            .on_validation = see_validation,
                            .on_sample = see_sample};
}

static void test_learns_and_leaves_a_folder(void **state) {
    (void)state;
    rc_train_options o = small_options("learn");
    o.steps = 150;
    o.valid_every = 50;
    o.hidden = 24;
    o.lr = 0.01;
    o.sample_length = 30;
    o.sample_prompt = "the ";
    o.out = "learn.safetensors";
    seen s;
    rc_train_hooks hooks = hooks_for(&s);
    rc_train_result r = train_ok(&o, &hooks);
    assert_int_equal(s.steps, 150);
    assert_int_equal(s.validations, 3);
    assert_int_equal(s.samples, 3);
    assert_true(s.messages >= 2);
    assert_true(s.finite);
    assert_true(s.last < 0.7 * s.first);
    assert_true(r.best_valid_loss == s.best && r.best_valid_loss < 1.8);
    assert_true(fabs(r.valid_loss - r.best_valid_loss) < 0.1); /* parallel rows against one pass */
    assert_string_equal(r.model, "learn.safetensors");
    assert_true(isnan(r.accuracy) && isnan(r.old_valid_loss_before) && isnan(r.new_valid_loss_before));

    rc_lm *m;
    rc_error e = {0};
    assert_int_equal(rc_lm_load(&m, r.model, &e), RC_OK);
    assert_non_null(strstr(rc_lm_provenance(m), "text.txt"));
    rc_lm_free(m);
    assert_true(has("learn/config.json", "\"hidden\": 24"));
    assert_true(has("learn/status.json", "\"done\""));
    assert_true(has("learn/samples.txt", "=== step 150\nthe "));
    assert_true(has("learn/metrics.jsonl", "\"valid_loss\""));
    assert_true(has("learn/metrics.jsonl", "\"grad_norms\""));
    assert_true(has("learn/metrics.jsonl", "rnn.weight_hh_l0"));
    assert_int_equal(access("learn/checkpoints/step-00000150.safetensors", F_OK), 0);
    assert_int_equal(access("learn/checkpoints/best.safetensors", F_OK), 0);

    /* The folder's own config makes the same model again. */
    rc_train_config *c;
    assert_int_equal(rc_train_config_read(&c, "learn/config.json", &e), RC_OK);
    rc_train_options again = *rc_train_config_options(c);
    again.run = "again";
    again.out = "again.safetensors";
    train_ok(&again, NULL);
    rc_train_config_free(c);
    assert_same_file("learn.safetensors", "again.safetensors");
}

static void test_threads_and_seeds(void **state) {
    (void)state;
    rc_train_options o = small_options("threads1");
    o.out = "t1.safetensors";
    train_ok(&o, NULL);
    o.threads = 3;
    o.run = "threads3";
    o.out = "t3.safetensors";
    train_ok(&o, NULL);
    assert_same_file("t1.safetensors", "t3.safetensors");
    o.threads = 1;
    o.seed = 2;
    o.run = "seed2";
    o.out = "s2.safetensors";
    train_ok(&o, NULL);
    o.precision = "bf16";
    for (o.threads = 1; o.threads <= 4; o.threads += 3) {
        o.run = o.threads == 1 ? "bf16-threads1" : "bf16-threads4";
        o.out = o.threads == 1 ? "b1.safetensors" : "b4.safetensors";
        train_ok(&o, NULL);
    }
    assert_same_file("b1.safetensors", "b4.safetensors");
    size_t n, m;
    char *a = slurp("t1.safetensors", &n), *b = slurp("s2.safetensors", &m);
    assert_true(n != m || memcmp(a, b, n) != 0);
    free(a);
    free(b);
}

static void test_steady_loop_allocates_nothing(void **state) {
    (void)state;
    const char *cells[] = {"lstm", "gru", "mingru"};
    for (size_t i = 0; i < 3; i++) {
        char run[32];
        snprintf(run, sizeof run, "steady%zu", i);
        rc_train_options o = small_options(run);
        o.cell = cells[i];
        o.precision = i == 1 ? "bf16" : "fp32";
        o.valid_every = 1000;
        o.dropout = 0.2;
        o.average = "ema";
        o.accumulate = 2;
        seen s;
        rc_train_hooks hooks = hooks_for(&s);
        train_ok(&o, &hooks);
        assert_int_equal(s.at39 - s.at20, 0);
    }
}

/* bf16 learns as well as fp32: over three seeds the mean losses differ by no more than the seeds do. The loss at the end is
 * that of the model in fp32; the validations on the way were bf16, close to it. */
static void test_bf16_learns_as_well(void **state) {
    (void)state;
    double sum[2] = {0}, least = 1e9, most = 0;
    for (int64_t seed = 1; seed <= 3; seed++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            rc_train_options o = small_options(NULL);
            char run[32];
            snprintf(run, sizeof run, "bf16-%d-%d", (int)seed, bf16);
            o.run = run;
            o.seed = seed;
            o.steps = 120;
            o.precision = bf16 ? "bf16" : "fp32";
            rc_train_result r = train_ok(&o, NULL);
            assert_true(fabs(r.best_valid_loss - r.valid_loss) < 0.3);
            sum[bf16] += r.valid_loss / 3;
            least = fmin(least, r.valid_loss), most = fmax(most, r.valid_loss);
        }
    if (!(fabs(sum[1] - sum[0]) <= most - least)) fail_msg("fp32 %g, bf16 %g, seeds %g to %g", sum[0], sum[1], least, most);
    assert_true(sum[0] != sum[1]);
}

static void test_accumulation_is_a_larger_batch(void **state) {
    (void)state;
    /* The same mean gradient either way, were the rows the same; here it is enough that both learn alike. */
    rc_train_options o = small_options("batch8");
    o.steps = 60;
    rc_train_result a = train_ok(&o, NULL);
    o.run = "batch4x2";
    o.batch = 4;
    o.accumulate = 2;
    rc_train_result b = train_ok(&o, NULL);
    assert_true(fabs(a.best_valid_loss - b.best_valid_loss) < 0.3);
    assert_true(fabs((double)a.tokens - (double)b.tokens) < 0.05 * (double)a.tokens); /* short ends of epochs differ */
}

static void test_early_stopping_restores_the_best(void **state) {
    (void)state;
    rc_train_options o = small_options("early");
    o.steps = 400;
    o.valid_every = 5;
    o.patience = 3;
    o.lr = 0.3; /* much too high: it gets worse before long */
    o.schedule = "constant";
    o.optimizer = "adam";
    rc_train_result r = train_ok(&o, NULL);
    assert_true(r.stopped_early);
    assert_true(r.steps < 400);
    assert_int_equal(r.best_step + 15, r.steps);
    assert_same_file("early/model.safetensors", "early/checkpoints/best.safetensors");
    assert_int_equal(access("early/checkpoints/final.safetensors", F_OK), 0);
}

static void test_divergence(void **state) {
    (void)state;
    rc_train_options o = small_options("diverged");
    o.optimizer = "sgd";
    o.lr = 1000;
    o.clip = 0;
    o.schedule = "constant";
    o.warmup = 30;
    o.cell = "rnn-relu";
    o.steps = 200;
    o.valid_every = 1;
    rc_error e = {0};
    rc_train_result r;
    rc_status s = rc_train(&o, NULL, &r, &e);
    assert_int_equal(s, RC_EDIVERGED);
    assert_non_null(strstr(e.text, "step "));
    assert_non_null(strstr(e.text, "epoch 1"));
    assert_non_null(strstr(e.text, "the last good checkpoint is diverged/checkpoints/step-"));
    assert_true(has("diverged/status.json", "\"failed\""));
    char *path = strstr(e.text, "diverged/checkpoints/step-");
    path[strcspn(path, ";")] = 0;
    assert_int_equal(access(path, F_OK), 0);
}

/* Weights that are finite and a product of them that is not: the message names the tensor that it came from. */
static void test_overflow_is_named(void **state) {
    (void)state;
    rc_train_options o = small_options("overflow");
    o.optimizer = "sgd";
    o.lr = 1000;
    o.clip = 1e9;
    o.schedule = "constant";
    o.warmup = 0;
    o.cell = "rnn-relu";
    o.steps = 200;
    rc_error e = {0};
    assert_int_equal(rc_train(&o, NULL, NULL, &e), RC_EDIVERGED);
    assert_null(strstr(e.text, "-nan"));
    if (!strstr(e.text, "\"rnn.") && !strstr(e.text, "\"head.") && !strstr(e.text, "\"embedding."))
        fail_msg("no tensor is named: %s", e.text);
    assert_non_null(strstr(e.text, "in the batch at epoch 1"));
}

static double lr_at(const char *run, int which) { /* of the which-th line about steps; < 0: from the end */
    char path[64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    size_t n;
    char *text = slurp(path, &n);
    double lr = NAN;
    int i = 0;
    for (char *p = text; (p = strstr(p, "\"lr\":")); p++) {
        double v = strtod(p + 5, NULL);
        if (which < 0 || i++ == which) lr = v;
    }
    free(text);
    return lr;
}

/* The parameters of a schedule reach it: the rate of the last step is what they say. */
static void test_schedule_options(void **state) {
    (void)state;
    static const struct {
        const char *name, *schedule;
        double gamma, every, floor, peak, first, last;
    } cases[] = {
        {"sch-step", "step", 0.1, 0.5, -1, 0.3, 1, 0.1},
        {"sch-floor", "step", 0.1, 0.25, 0.2, 0.3, 1, 0.2},
        {"sch-exp", "exponential", 0.5, 0.25, -1, 0.3, 1, 0.508745},        /* 0.5^(39/40) */
        {"sch-cos", "cosine", 0, 0.25, 0.5, 0.3, 1, 0.500771},              /* progress 39/40 */
        {"sch-peak", "one-cycle", 0, 0.25, -1, 1, 0.04, 0.998521},          /* still rising */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rc_train_options o = small_options(cases[i].name);
        o.lr = 1e-3;
        o.warmup = 0;
        o.schedule = cases[i].schedule;
        o.schedule_gamma = cases[i].gamma;
        o.schedule_every = cases[i].every;
        o.schedule_floor = cases[i].floor;
        o.schedule_peak = cases[i].peak;
        train_ok(&o, NULL);
        double first = lr_at(o.run, 0) / o.lr, last = lr_at(o.run, -1) / o.lr;
        if (fabs(first - cases[i].first) > 1e-3 || fabs(last - cases[i].last) > 1e-3)
            fail_msg("%s: the rate went from %g to %g of the base, expected %g to %g", o.run, first, last,
                     cases[i].first, cases[i].last);
    }
    rc_train_options o = small_options("sch-plateau");
    o.schedule = "plateau";
    o.lr = 1e-9; /* nothing improves */
    o.warmup = 0;
    o.valid_every = 2;
    o.schedule_gamma = 0.5;
    o.schedule_patience = 1000;
    train_ok(&o, NULL);
    assert_true(fabs(lr_at(o.run, -1) / o.lr - 1) < 1e-9);
    o.run = "sch-plateau-0";
    o.schedule_patience = 0;
    train_ok(&o, NULL);
    assert_true(lr_at(o.run, -1) / o.lr < 0.1);
}

static void test_new_options(void **state) {
    (void)state;
    rc_train_options o = small_options("nobias");
    o.bias = false;
    o.steps = 2;
    train_ok(&o, NULL);
    assert_true(has("nobias/config.json", "\"bias\": false"));
    assert_false(has("nobias/model.safetensors", "rnn.bias_ih_l0"));
    o.cell = "lstm-layernorm";
    refuse(&o, RC_EINVAL, "--no-bias");
    rc_train_options a = small_options("alpha-a"), b = small_options("alpha-b");
    a.optimizer = b.optimizer = "rmsprop";
    b.alpha = 0.5;
    assert_true(train_ok(&a, NULL).train_loss != train_ok(&b, NULL).train_loss);
    o = small_options("smooth");
    o.label_smoothing = 0.3;
    rc_train_result smooth = train_ok(&o, NULL);
    assert_true(smooth.train_loss > smooth.valid_loss);
    o.softmax_samples = 5;
    refuse(&o, RC_EINVAL, "label-smoothing");
}

static void test_time_budget(void **state) {
    (void)state;
    rc_train_options o = small_options("time");
    o.steps = 0;
    o.valid_every = 0;
    o.time = 1;
    rc_train_result r = train_ok(&o, NULL);
    assert_true(r.seconds > 0.4 && r.seconds < 2.5);
    assert_true(r.steps > 5);
    size_t n; /* the cosine came down inside the budget */
    char *text = slurp("time/metrics.jsonl", &n), *last = NULL;
    for (char *p = text; (p = strstr(p, "\"lr\":")); p++) last = p;
    assert_true(strtod(last + 5, NULL) < 0.0012);
    free(text);
}

static void fill_disk(void *ctx, const rc_train_progress *p) {
    if (p->step != *(const uint64_t *)ctx) return;
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = 2000; /* longer files cannot grow now: as on a full disk */
    setrlimit(RLIMIT_FSIZE, &l);
}

static void test_full_disk(void **state) {
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    rc_train_options o = small_options("full");
    uint64_t at = 15;
    rc_train_hooks hooks = {.ctx = &at, .on_step = fill_disk};
    rc_error e = {0};
    rc_train_result r;
    rc_status s = rc_train(&o, &hooks, &r, &e);
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_FSIZE, &l);
    assert_int_equal(s, RC_EIO);
    assert_non_null(strstr(e.text, "full/"));
    assert_int_equal(access("full/checkpoints/step-00000010.safetensors", F_OK), 0);
    assert_int_not_equal(access("full/checkpoints/step-00000020.safetensors", F_OK), 0);
    assert_int_equal(system("ls full/checkpoints full | grep -q tmp"), 256); /* nothing half-written */
    size_t n;
    char *text = slurp("full/metrics.jsonl", &n);
    assert_true(n > 0 && text[n - 1] == '\n');
    free(text);
    rc_train_options again = rc_train_options_default();
    again.resume = "full";
    assert_int_equal(train_ok(&again, NULL).steps, 40); /* with room again it goes on */
}

/* `prepare`, then a run of o, with each allocation refused in turn: a status, nothing kept, and the same run works after. */
static void refuse_allocations(const char *prepare, const rc_train_options *o) {
    size_t used = rc_memory_used(), failed = 0;
    assert_int_equal(system(prepare), 0);
    size_t before = allocations;
    train_ok(o, NULL);
    size_t all = allocations - before;
    assert_int_equal(rc_memory_used(), used);
    for (size_t n = 1; n <= all; n += n < 60 ? 1 : 1 + all / 60) {
        assert_int_equal(system(prepare), 0);
        rc_error e = {0};
        rc_train_result r;
        allocations = 0;
        fail_at = n;
        rc_status s = rc_train(o, NULL, &r, &e);
        fail_at = 0;
        if (s != RC_OK && (s != RC_ENOMEM || !e.text[0])) fail_msg("allocation %zu: %s: %s", n, rc_status_name(s), e.text);
        failed += s != RC_OK;
        if (rc_memory_used() != used) fail_msg("allocation %zu: %zu bytes are left", n, rc_memory_used() - used);
    }
    assert_true(failed > 60);
}

static void test_out_of_memory(void **state) {
    (void)state;
    rc_train_options o = small_options("memory"), again = rc_train_options_default();
    o.steps = 2;
    o.valid_every = 1;
    o.average = "ema";
    o.sample_length = 3;
    refuse_allocations("rm -rf memory", &o);
    again.resume = "memory";
    again.steps = 3;
    refuse_allocations("[ -d whole ] || cp -r memory whole; rm -rf memory; cp -r whole memory", &again);
}

static void test_no_validation(void **state) {
    (void)state;
    rc_train_options o = small_options("blind");
    o.valid_fraction = 0;
    rc_train_result r = train_ok(&o, NULL);
    assert_true(isnan(r.valid_loss) && isnan(r.best_valid_loss));
    assert_int_equal(access("blind/model.safetensors", F_OK), 0);
    assert_int_equal(access("blind/checkpoints/step-00000040.safetensors", F_OK), 0);
}

static void test_tiny_texts(void **state) {
    (void)state;
    static const char *const tiny[] = {"tiny.txt"};
    FILE *f = fopen("tiny.txt", "w");
    fputs("abcabcabcabcabcabcabc", f);
    fclose(f);
    rc_train_options o = small_options("tiny");
    o.files = tiny;
    o.batch = 64;
    o.steps = 5;
    train_ok(&o, NULL);
    f = fopen("tiny.txt", "w");
    fputs("a", f);
    fclose(f);
    o.run = "tiny1";
    rc_error e = {0};
    assert_int_not_equal(rc_train(&o, NULL, NULL, &e), RC_OK);
    f = fopen("tiny.txt", "w");
    fclose(f);
    assert_int_not_equal(rc_train(&o, NULL, NULL, &e), RC_OK);
    assert_non_null(strstr(e.text, "tiny.txt"));
    assert_int_not_equal(access("tiny1", F_OK), 0); /* refused before a folder was made */
}

/* ---- fine-tuning ------------------------------------------------------------------------------------------------- */

static void test_fine_tuning(void **state) {
    (void)state;
    static const char *const fresh[] = {"new.txt"};
    rc_train_options o = small_options("base");
    o.out = "base.safetensors";
    o.steps = 80;
    o.lr = 0.01;
    train_ok(&o, NULL);
    FILE *f = fopen("new.txt", "w");
    for (int i = 0; i < 400; i++) fprintf(f, "XYZ the QXZ\n");
    fclose(f);
    rc_train_options t = small_options("tuned");
    t.files = fresh;
    t.from = "base.safetensors";
    t.out = "tuned.safetensors";
    t.grow_vocab = true;
    t.freeze = "rnn.*_l0";
    t.lr_groups = "head.*=2";
    t.hidden = 99; /* sizes are the model's */
    t.lr = 0.01;
    rc_train_result r = train_ok(&t, NULL);
    assert_true(r.valid_loss < r.new_valid_loss_before);
    assert_true(isfinite(r.old_valid_loss_before) && isfinite(r.old_valid_loss_after));
    rc_error e = {0};
    rc_lm *a, *b;
    assert_int_equal(rc_lm_load(&a, "base.safetensors", &e), RC_OK);
    assert_int_equal(rc_lm_load(&b, "tuned.safetensors", &e), RC_OK);
    assert_int_equal(rc_vocab_size(rc_lm_vocab(b)), rc_vocab_size(rc_lm_vocab(a)) + 4); /* Q X Y Z */
    rc_param *p = rc_params_find(rc_lm_params(a), "rnn.weight_hh_l0"),
             *q = rc_params_find(rc_lm_params(b), "rnn.weight_hh_l0");
    assert_memory_equal(p->w, q->w, p->len * sizeof *p->w);
    p = rc_params_find(rc_lm_params(a), "rnn.weight_hh_l1"), q = rc_params_find(rc_lm_params(b), "rnn.weight_hh_l1");
    assert_memory_not_equal(p->w, q->w, p->len * sizeof *p->w);
    rc_lm_free(a);
    rc_lm_free(b);

    /* Stopped and resumed it is the same too; the grown vocabulary is in the run folder. */
    t.run = "tuned-cut";
    t.out = "tuned-cut.safetensors";
    uint64_t stop = 15;
    rc_train_hooks hooks = {.ctx = &stop, .on_step = stop_at};
    assert_int_equal(rc_train(&t, &hooks, &r, &e), RC_EINTERRUPTED);
    rc_train_options again = rc_train_options_default();
    again.resume = "tuned-cut";
    train_ok(&again, NULL);
    assert_same_file("tuned.safetensors", "tuned-cut.safetensors");
}

/* ---- experiments, plans, gradients ------------------------------------------------------------------------------- */

static void test_source_is_solved(void **state) {
    (void)state;
    static const char *const source[] = {"temporal-order:T=20"};
    rc_train_options o = small_options("order");
    o.files = source;
    o.layers = 1;
    o.hidden = 32;
    o.batch = 32;
    o.lr = 0.01;
    o.steps = 1500;
    o.valid_every = 50;
    o.schedule = "constant";
    rc_train_result r = train_ok(&o, NULL);
    assert_true(r.solved);
    assert_true(r.accuracy >= 0.99);
    assert_true(r.steps < 1500);
    assert_int_equal(r.steps % 50, 0);
    static const char *const bad[] = {"adding:T=x"};
    o.files = bad;
    o.run = NULL;
    refuse(&o, RC_EINVAL, "adding");
    o.files = source;
    o.epochs = 2;
    refuse(&o, RC_EINVAL, "epochs");
}

static void test_gradient_flow(void **state) {
    (void)state;
    const char *sources[] = {"adding:T=30", "copy:T=10,n=3,k=4", "temporal-order:T=30", "count:T=21"};
    rc_error e = {0};
    for (size_t i = 0; i < 4; i++) {
        const char *const files[] = {sources[i]};
        rc_train_options o = small_options(NULL);
        o.files = files;
        o.cell = i % 2 ? "lstm" : "rnn";
        double norms[64];
        size_t n = 0;
        assert_int_equal(rc_gradient_flow(&o, false, norms, 64, &n, &e), RC_OK);
        assert_true(n >= 15 && n <= 30);
        for (size_t k = 0; k < n; k++) assert_true(isfinite(norms[k]) && norms[k] > 0);
        if (!strcmp(o.cell, "rnn")) assert_true(norms[n - 1] < norms[0]); /* tanh loses some at every step */
        size_t m = 0;
        double part[5];
        assert_int_equal(rc_gradient_flow(&o, false, part, 5, &m, &e), RC_OK);
        assert_int_equal(m, 5);
        assert_memory_equal(part, norms, sizeof part);
        if (i) continue;
        o.steps = 10;
        assert_int_equal(rc_gradient_flow(&o, true, norms, 64, &n, &e), RC_OK);
        assert_int_equal(n, 30);
    }
}

static void test_plan(void **state) {
    (void)state;
    rc_error e = {0};
    rc_plan p;
    rc_train_options o = small_options(NULL);
    assert_int_equal(rc_train_plan(&o, 0.05, &p, &e), RC_OK);
    assert_true(p.parameters > 1000 && p.train_tokens > 5000 && p.valid_tokens > 500);
    assert_true(p.vocab_size > 10 && p.steps_per_epoch > 40 && p.steps_per_epoch < 70);
    assert_true(p.bytes_parameters >= 2 * p.parameters * sizeof(float));
    assert_true(p.bytes_optimizer >= 2 * p.parameters * sizeof(float));
    assert_true(p.bytes_activations > 1000 && p.bytes_total > p.bytes_activations);
    assert_true(p.tokens_per_second > 0 && p.seconds_per_epoch > 0);
    static const char *const source[] = {"adding:T=20"};
    o.files = source;
    assert_int_equal(rc_train_plan(&o, 0.02, &p, &e), RC_OK);
    assert_true(p.parameters > 0 && p.tokens_per_second > 0);
    assert_int_not_equal(access("runs", F_OK), 0); /* a plan leaves nothing behind */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_files_are_joined),
        cmocka_unit_test(test_learns_and_leaves_a_folder),
        cmocka_unit_test(test_threads_and_seeds),
        cmocka_unit_test(test_steady_loop_allocates_nothing),
        cmocka_unit_test(test_bf16_learns_as_well),
        cmocka_unit_test(test_accumulation_is_a_larger_batch),
        cmocka_unit_test(test_early_stopping_restores_the_best),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_overflow_is_named),
        cmocka_unit_test(test_schedule_options),
        cmocka_unit_test(test_new_options),
        cmocka_unit_test(test_time_budget),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_no_validation),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_short_validation_file),
        cmocka_unit_test(test_tiny_texts),
        cmocka_unit_test(test_fine_tuning),
        cmocka_unit_test(test_source_is_solved),
        cmocka_unit_test(test_gradient_flow),
    };
    return cmocka_run_group_tests(tests, setup, leave_work);
}
