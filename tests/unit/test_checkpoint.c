/* Resuming: a run that was stopped ends with the same bits as one that was not. And checkpoints that are damaged. */
#include <math.h>

#include "formats/safetensors.h"
#include "train/runfolder.h"
#include "unit/train_helpers.h"

static int setup(void **state) {
    if (enter_work(state)) return -1;
    write_text("text.txt", 6000, 1);
    return 0;
}

/* Every tensor of two checkpoints: weights, moments, averages, best, carried state. */
static void assert_same_tensors(const char *a, const char *b) {
    rc_error e = {0};
    rc__st_file *f, *g;
    if (rc__st_open(&f, a, &e) != RC_OK || rc__st_open(&g, b, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc__st_count(f), rc__st_count(g));
    for (size_t i = 0; i < rc__st_count(f); i++) {
        const rc__st_tensor *t = rc__st_at(f, i), *u = rc__st_find(g, t->name);
        if (!u) fail_msg("%s lacks %s", b, t->name);
        assert_int_equal(t->len, u->len);
        float *x = malloc(t->len * sizeof *x), *y = malloc(t->len * sizeof *y);
        assert_int_equal(rc__st_read(f, t, x, &e), RC_OK);
        assert_int_equal(rc__st_read(g, u, y, &e), RC_OK);
        if (memcmp(x, y, t->len * sizeof *x) != 0) fail_msg("%s differs between %s and %s", t->name, a, b);
        free(x);
        free(y);
    }
    rc__st_close(f);
    rc__st_close(g);
}

static void compare_stopped(rc_train_options o, const char *name, uint64_t stop) {
    char whole[64], cut[64], a[128], b[128];
    rc_error e = {0};
    rc_train_result r;
    snprintf(whole, sizeof whole, "%s-whole", name);
    snprintf(cut, sizeof cut, "%s-cut", name);
    o.run = whole;
    train_ok(&o, NULL);
    o.run = cut;
    rc_train_hooks hooks = {.ctx = &stop, .on_step = stop_at};
    assert_int_equal(rc_train(&o, &hooks, &r, &e), RC_EINTERRUPTED);
    assert_int_equal(r.steps, stop);
    assert_true(r.interrupted);
    assert_string_equal(r.run, cut);
    assert_non_null(strstr(e.text, "--resume"));
    rc_train_options again = rc_train_options_default();
    again.resume = cut;
    r = train_ok(&again, NULL);
    assert_int_equal(r.steps, o.steps);
    snprintf(a, sizeof a, "%s/checkpoints/step-%08llu.safetensors", whole, (unsigned long long)o.steps);
    snprintf(b, sizeof b, "%s/checkpoints/step-%08llu.safetensors", cut, (unsigned long long)o.steps);
    assert_same_tensors(a, b);
    snprintf(a, sizeof a, "%s/model.safetensors", whole);
    snprintf(b, sizeof b, "%s/model.safetensors", cut);
    assert_same_file(a, b);
}

static void test_resume_plain(void **state) {
    (void)state;
    compare_stopped(small_options(NULL), "plain", 20);
}

static void test_resume_everything(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.dropout = 0.3;
    o.dropout_input = 0.1;
    o.dropout_embedding = 0.1;
    o.recurrent_dropout = 0.2;
    o.zoneout = 0.1;
    o.weight_drop = 0.1;
    o.accumulate = 2;
    o.average = "ema";
    compare_stopped(o, "all", 17);
}

static void test_resume_schedule(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.optimizer = "rmsprop";
    o.alpha = 0.9;
    o.schedule = "step";
    o.schedule_gamma = 0.3;
    o.schedule_every = 0.2;
    o.schedule_floor = 0.05;
    o.label_smoothing = 0.1;
    o.bias = false;
    compare_stopped(o, "schedule", 23);
    rc_train_options again = rc_train_options_default();
    again.resume = "schedule-cut";
    again.schedule_gamma = 0.7;
    rc_error e;
    assert_int_equal(rc_train(&again, NULL, NULL, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "--schedule-gamma cannot change"));
}

static void test_resume_swa_gru(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.cell = "gru";
    o.optimizer = "sgd";
    o.momentum = 0.9;
    o.nesterov = true;
    o.average = "swa";
    o.schedule = "plateau";
    o.clip_value = 0.5;
    compare_stopped(o, "swa", 35);
}

static void test_resume_bf16(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.precision = "bf16";
    o.tied = true;
    compare_stopped(o, "bf16", 21);
    size_t n;
    char *config = slurp("bf16-cut/config.json", &n), *model = slurp("bf16-cut/model.safetensors", &n);
    assert_non_null(strstr(config, "\"precision\": \"bf16\""));
    assert_non_null(memmem(model, n, "precision", 9)); /* what made it */
    free(config), free(model);
    rc_train_options again = rc_train_options_default();
    again.resume = "swa-cut"; /* in fp32 */
    again.precision = "bf16";
    rc_error e;
    assert_int_equal(rc_train(&again, NULL, NULL, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "--precision cannot change"));
}

static void test_resume_documents(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.full_bptt = true;
    o.tied = true;
    o.optimizer = "rmsprop";
    compare_stopped(o, "documents", 13);
}

static void test_resume_words(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL);
    o.vocab = "word";
    o.no_carry = true;
    o.steps = 0;
    o.epochs = 2.5;
    o.valid_every = 0;
    rc_train_result r = (o.run = "words-count", train_ok(&o, NULL));
    o.steps = (int64_t)r.steps; /* compare_stopped wants the number */
    compare_stopped(o, "words", r.steps / 2);
}

/* A table large enough that its gradient is kept by rows. */
static void test_resume_sparse(void **state) {
    (void)state;
    static const char *const many[] = {"many.txt"};
    rc_rng r = rc_rng_make(3, 0);
    FILE *f = fopen("many.txt", "w");
    for (int i = 0; i < 9000; i++)
        fprintf(f, "w%d%c", (int)(rc_rng_below(&r, 50) * rc_rng_below(&r, 60)), i % 9 ? ' ' : '\n');
    fclose(f);
    rc_train_options o = small_options(NULL);
    o.files = many;
    o.vocab = "word";
    o.dropout_embedding = 0.1;
    o.average = "ema";
    o.accumulate = 2;
    compare_stopped(o, "sparse", 22);
    rc_lm *m;
    assert_int_equal(rc_lm_load(&m, "sparse-cut/model.safetensors", NULL), RC_OK);
    assert_true(rc_params_find(rc_lm_params(m), "embedding.weight")->sparse);
    rc_lm_free(m);
}

static void test_resume_source(void **state) {
    (void)state;
    static const char *const source[] = {"copy:T=5,n=3,k=4"};
    rc_train_options o = small_options(NULL);
    o.files = source;
    compare_stopped(o, "source", 23);
}

/* A killed process leaves lines beyond its last checkpoint; they are taken out when the run goes on. */
static void test_metrics_trimmed(void **state) {
    (void)state;
    rc_train_options o = small_options("killed");
    uint64_t stop = 25;
    rc_error e = {0};
    rc_train_hooks hooks = {.ctx = &stop, .on_step = stop_at};
    assert_int_equal(rc_train(&o, &hooks, NULL, &e), RC_EINTERRUPTED);
    FILE *f = fopen("killed/metrics.jsonl", "a");
    fprintf(f, "{\"step\":30,\"loss\":99}\n{\"step\":3");
    fclose(f);
    rc_train_options again = rc_train_options_default();
    again.resume = "killed";
    train_ok(&again, NULL);
    size_t n;
    char *text = slurp("killed/metrics.jsonl", &n);
    assert_null(strstr(text, "\"loss\":99"));
    assert_non_null(strstr(text, "{\"step\":20,"));
    assert_non_null(strstr(text, "{\"step\":40,"));
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        assert_int_equal(*line, '{');
        assert_non_null(strchr(line, '\n'));
    }
    free(text);
}

static void test_longer_budget(void **state) {
    (void)state;
    rc_train_options o = small_options("longer");
    train_ok(&o, NULL);
    rc_train_options again = rc_train_options_default();
    again.resume = "longer";
    again.steps = 60;
    rc_train_result r = train_ok(&again, NULL);
    assert_int_equal(r.steps, 60);
}

/* A run that stopped early has ended, also when its process was killed before the model was written. */
static void test_stopped_early(void **state) {
    (void)state;
    rc_train_options o = small_options("early");
    o.lr = 1e-9; /* nothing improves after the first validations */
    o.average = "none";
    o.valid_every = 3;
    o.patience = 2;
    o.steps = 400;
    rc_train_result r = train_ok(&o, NULL);
    assert_true(r.stopped_early && r.steps < 400);
    assert_int_equal(rename("early/model.safetensors", "early.safetensors"), 0);
    rc_train_options again = rc_train_options_default();
    again.resume = "early";
    rc_train_result s = train_ok(&again, NULL);
    assert_true(s.stopped_early);
    assert_int_equal(s.steps, r.steps);
    assert_same_file("early.safetensors", "early/model.safetensors");
    again.patience = 4;
    assert_true(train_ok(&again, NULL).steps > r.steps);
}

/* Checkpoints of 0.1 do not say how long the logs were: lines go by their step then. And a log that somebody replaced. */
static void test_logs_of_unknown_length(void **state) {
    (void)state;
    rc__run r = {.path = "logs", .lock_fd = -1, .metrics_fd = -1, .samples_fd = -1};
    static const char lines[] = "{\"step\":10}\n{\"step\":20}\n{\"step\":30}\n";
    static const struct {
        rc__log_lengths logs;
        const char *kept;
    } cases[] = {{{-1, -1}, "{\"step\":10}\n{\"step\":20}\n"}, {{12, 0}, "{\"step\":10}\n"},
                 {{1000, 5}, "{\"step\":10}\n{\"step\":20}\n"}, {{11, 0}, "{\"step\":10}\n{\"step\":20}\n"}};
    rc_error e = {0};
    assert_int_equal(mkdir("logs", 0777), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *f = fopen("logs/metrics.jsonl", "w");
        fputs(lines, f);
        fclose(f);
        if (rc__run_open_logs(&r, &cases[i].logs, 20, &e) != RC_OK) fail_msg("%s", e.text);
        rc__run_close(&r);
        size_t n;
        char *text = slurp("logs/metrics.jsonl", &n);
        assert_string_equal(text, cases[i].kept);
        free(text);
    }
}

static void refuse(const rc_train_options *o, rc_status want, const char *part) {
    rc_error e = {0};
    rc_train_result r;
    rc_status s = rc_train(o, NULL, &r, &e);
    if (s != want || !strstr(e.text, part))
        fail_msg("expected %s with \"%s\", got %s: %s", rc_status_name(want), part, rc_status_name(s), e.text);
}

static void test_refusals(void **state) {
    (void)state;
    write_text("other.txt", 6000, 1);
    static const char *const other[] = {"other.txt"};
    rc_train_options o = small_options("first"), again = rc_train_options_default();
    o.files = other;
    o.keep = 2;
    train_ok(&o, NULL);
    refuse(&o, RC_EINVAL, "--resume first");
    again.resume = "nothing";
    refuse(&again, RC_EIO, "nothing: no such run folder");
    again.resume = "first";
    again.hidden = 99;
    refuse(&again, RC_EINVAL, "--hidden cannot change");
    again = rc_train_options_default();
    again.resume = "first";
    again.steps = 50;
    again.files = one_text;
    again.n_files = 1;
    refuse(&again, RC_EINVAL, "text cannot change");
    again.files = NULL;
    again.n_files = 0;
    write_text("other.txt", 6000, 2);
    refuse(&again, RC_EDATA, "not the one this run began with");
    write_text("other.txt", 6000, 1);

    /* keep 2: of 10, 20, 30 and 40 the last two are there */
    uint64_t steps[8];
    size_t n;
    assert_int_equal(rc__run_checkpoints("first", steps, 8, &n, NULL), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(steps[0], 40);
    assert_int_equal(steps[1], 30);

    /* Every kind of cut of the last checkpoint is told by name, and nothing else is harmed. */
    const char *last = "first/checkpoints/step-00000040.safetensors";
    size_t len;
    char *data = slurp(last, &len);
    size_t cuts[] = {0, 7, 8, 100, len / 2, len - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        FILE *f = fopen(last, "wb");
        fwrite(data, 1, cuts[i], f);
        fclose(f);
        refuse(&again, RC_EMODEL, "step-00000040.safetensors");
    }
    unlink(last); /* what a message would advise: the one before it goes on */
    rc_train_result r = train_ok(&again, NULL);
    assert_int_equal(r.steps, 50);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_plain),   cmocka_unit_test(test_resume_everything),
        cmocka_unit_test(test_resume_swa_gru),
        cmocka_unit_test(test_resume_schedule), cmocka_unit_test(test_resume_bf16), cmocka_unit_test(test_resume_documents),
        cmocka_unit_test(test_resume_words),   cmocka_unit_test(test_resume_source),
        cmocka_unit_test(test_resume_sparse),  cmocka_unit_test(test_metrics_trimmed),
        cmocka_unit_test(test_longer_budget),  cmocka_unit_test(test_stopped_early),
        cmocka_unit_test(test_logs_of_unknown_length),  cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, leave_work);
}
