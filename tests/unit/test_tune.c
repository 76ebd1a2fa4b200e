/* A search: its space and draws, which trials go on, that it goes on after any stop, and that the best can be trained
 * anew. */
#include <math.h>

#include "train/tune.h"
#include "unit/train_helpers.h"

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
    write_text("text.txt", 3000, 1);
    return 0;
}

static rc_tune_options small(const char *folder) {
    rc_tune_options o = rc_tune_options_default();
    o.train = small_options(folder);
    o.train.valid_every = 0;
    o.train.warmup = 0;
    o.trials = 9;
    o.search = "lr=1e-4..3e-2 hidden=4,6,8 dropout=0..0.5";
    return o;
}

static rc_tune_result tune_ok(const rc_tune_options *o, const rc_tune_hooks *hooks) {
    rc_tune_result r;
    rc_error e = {0};
    rc_status s = rc_tune(o, hooks, &r, &e);
    if (s != RC_OK) fail_msg("%s: %s", rc_status_name(s), e.text);
    return r;
}

/* ---- the space --------------------------------------------------------------------------------------------------- */

static void refuse_space(const rc_train_options *o, const char *search, const char *part) {
    static rc__space sp;
    rc_error e = {0};
    rc_status s = rc__space_make(&sp, o, search, &e);
    if (s != RC_EINVAL || !strstr(e.text, part))
        fail_msg("\"%s\": expected \"%s\", got %s: %s", search, part, rc_status_name(s), e.text);
}

static void test_space_is_read(void **state) {
    (void)state;
    static rc__space sp;
    rc_error e = {0};
    rc_train_options o = rc_train_options_default();
    assert_int_equal(rc__space_make(&sp, &o,
                                    " lr=1e-4..1e-2\thidden=64,128  tied=true,false cell=lstm,gru dropout=0..0.6 "
                                    "zoneout=.1 layers=1..4",
                                    &e),
                     RC_OK);
    assert_int_equal(sp.n, 7);
    assert_true(sp.dim[0].range && sp.dim[0].log && sp.dim[0].low == 1e-4 && sp.dim[0].high == 1e-2);
    assert_true(!sp.dim[1].range && sp.dim[1].n == 2);
    assert_string_equal(sp.dim[3].value[1], "gru");
    assert_true(sp.dim[4].range && !sp.dim[4].log && sp.dim[4].high == 0.6);
    assert_true(sp.dim[5].n == 1 && sp.dim[6].log);

    refuse_space(&o, "lr", "expected entries such as");
    refuse_space(&o, "=3", "expected entries such as");
    refuse_space(&o, "lr=", "lr: expected a value, found none");
    refuse_space(&o, "lr=1..", "lr: expected a value, found none");
    refuse_space(&o, "lr=..1", "lr: expected a value, found none");
    refuse_space(&o, "lr=2..1", "from a smaller to a larger number, found 2..1");
    refuse_space(&o, "lr=1..1", "from a smaller to a larger number");
    refuse_space(&o, "lr=0..x", "lr: expected a number from 0 to 1000, found \"x\"");
    refuse_space(&o, "lr=0..1e9", "lr: expected a number from 0 to 1000, found \"1e9\"");
    refuse_space(&o, "hidden=1.5", "hidden: expected a whole number");
    refuse_space(&o, "hidden=1,,2", "hidden: expected a value, found none");
    refuse_space(&o, "hidden=1,2,1", "hidden: 1 is named twice");
    refuse_space(&o, "cell=lstm..gru", "cell: expected one of");
    refuse_space(&o, "lr=1 hidden=2 lr=2", "lr is named twice");
    refuse_space(&o, "hiden=3", "did you mean hidden?");
    refuse_space(&o, "encoder=lstm", "encoder is not read by task lm");
    static const char *const fixed[] = {
        "epochs=1,2", "time=1m,2m", "seed=1,2", "out=a,b", "vocab=char,byte", "preset=quick", "valid-fraction=0.1,0.2",
        "threads=1,2"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) refuse_space(&o, fixed[i], "cannot be searched");
    refuse_space(&o, "", "nothing is left to search");
    const char *given[] = {"hidden"};
    o.given = given;
    o.n_given = 1;
    refuse_space(&o, "hidden=1,2", "hidden is also given");
    o.from = "model";
    refuse_space(&o, "layers=1,2", "no effect with --from");
    char many[4000] = "hidden=1";
    for (int i = 2; i < 40; i++) snprintf(many + strlen(many), sizeof many - strlen(many), ",%d", i);
    o = rc_train_options_default();
    refuse_space(&o, many, "at most 32 values");
    memset(many, ' ', sizeof many - 1);
    many[sizeof many - 1] = 0;
    refuse_space(&o, many, "at most 2047 bytes");
}

/* Options of the task, around its defaults, without what was given. */
static void test_own_space(void **state) {
    (void)state;
    static rc__space sp;
    rc_error e = {0};
    char names[256], *save = NULL;
    snprintf(names, sizeof names, "%s", rc_train_tasks());
    for (char *task = strtok_r(names, " ", &save); task; task = strtok_r(NULL, " ", &save)) {
        rc_train_options o;
        assert_int_equal(rc_train_options_for(task, &o, &e), RC_OK);
        rc_status s = rc__space_make(&sp, &o, NULL, &e);
        if (s) fail_msg("%s: %s", task, e.text);
        assert_true(sp.n >= 4);
        for (size_t i = 0; i < sp.n; i++) assert_true(rc_train_option_is_for(sp.dim[i].option->name, task));
        char first[1024], kept[1024];
        rc_rng rng = rc_rng_make(1, 0);
        rc_train_options drawn = o; /* the defaults lie in it */
        drawn.lr = o.lr > 0 ? o.lr : rc_train_default_lr(o.optimizer);
        rc__space_settings(&sp, &drawn, first, sizeof first);
        assert_int_equal(rc__space_draw(&sp, &rng, true, &o, &e), RC_OK);
        rc__space_settings(&sp, &o, kept, sizeof kept);
        assert_string_equal(first, kept);
    }
    rc_train_options o;
    assert_int_equal(rc_train_options_for("classify", &o, &e), RC_OK);
    const char *given[] = {"lr", "dropout"};
    o.given = given;
    o.n_given = 2;
    assert_int_equal(rc__space_make(&sp, &o, NULL, &e), RC_OK);
    assert_non_null(strstr(sp.text, "hidden=64,128,256"));
    assert_null(strstr(sp.text, "lr="));
    assert_null(strstr(sp.text, "dropout=0..0.6"));
    o.encoder = "cnn";
    assert_int_equal(rc__space_make(&sp, &o, NULL, &e), RC_OK);
    assert_non_null(strstr(sp.text, "filters=50,100,200"));
    assert_null(strstr(sp.text, "hidden="));
}

/* Everything drawn lies in the space, rates by their logarithm, and depends on (seed, trial) alone. */
static void test_draws(void **state) {
    (void)state;
    static rc__space sp;
    rc_error e = {0};
    enum { N = 2000 };
    int below_middle = 0, below_log = 0, units[5] = {0}, cells[2] = {0};
    rc_train_options plain = rc_train_options_default();
    assert_int_equal(rc__space_make(&sp, &plain, "lr=1e-4..1e-2 dropout=0..0.6 layers=1..4 cell=lstm,gru", &e), RC_OK);
    for (uint64_t k = 0; k < N; k++) {
        rc_train_options a = plain, b = plain;
        rc_rng x = rc_rng_make(5, k), y = rc_rng_make(5, k);
        assert_int_equal(rc__space_draw(&sp, &x, false, &a, &e), RC_OK);
        assert_int_equal(rc__space_draw(&sp, &y, false, &b, &e), RC_OK);
        assert_true(a.lr == b.lr && a.dropout == b.dropout && a.layers == b.layers && a.cell == b.cell);
        assert_true(a.lr >= 1e-4 && a.lr <= 1e-2 && a.dropout >= 0 && a.dropout <= 0.6 && a.layers >= 1 &&
                    a.layers <= 4);
        below_log += a.lr < 1e-3;
        below_middle += a.dropout < 0.3;
        units[a.layers]++;
        cells[strcmp(a.cell, "gru") == 0]++;
        char text[32];
        size_t digits = 0;
        rc_option_get(sp.dim[0].option, &a, text, sizeof text);
        for (char *p = text; *p && *p != 'e'; p++) digits += *p >= '1' && *p <= '9';
        assert_true(digits <= 3);
    }
    assert_true(abs(below_log - N / 2) < 120); /* 5 standard deviations */
    assert_true(abs(below_middle - N / 2) < 120);
    assert_true(abs(cells[0] - N / 2) < 120);
    for (int i = 1; i <= 4; i++) assert_true(units[i] > 100); /* 1 has the most: log 2 / log 5 of them */
    assert_true(units[1] > units[2] && units[2] > units[3]);
    rc_rng zero = rc_rng_make(1, 0);
    rc_train_options o = plain;
    o.layers = 9; /* outside: drawn all the same */
    assert_int_equal(rc__space_draw(&sp, &zero, true, &o, &e), RC_OK);
    assert_true(o.layers <= 4 && o.dropout == plain.dropout && o.lr == rc_train_default_lr("adamw"));
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

/* trials.jsonl without what the clock says. */
static char *lines_of(const char *folder) {
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "%s/trials.jsonl", folder);
    char *text = slurp(path, &n);
    for (char *p = text; (p = strstr(p, "\"seconds\":"));) {
        char *end = strchr(p, ',');
        memmove(p, end, strlen(end) + 1);
    }
    return text;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (; (text = strstr(text, part)); text++) n++;
    return n;
}

/* Rung k has the best third of rung k - 1, by score, then by number. */
static void assert_best_go_on(const char *text, int rungs) {
    double score[4][64];
    bool in[4][64] = {{false}};
    for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
        size_t trial, rung;
        double value;
        assert_int_equal(sscanf(p, "{\"trial\":%zu,\"rung\":%zu", &trial, &rung), 2);
        assert_int_equal(sscanf(strstr(p, "\"score\":"), "\"score\":%lf", &value), 1);
        assert_true(trial < 64 && rung < 4);
        in[rung][trial] = true;
        score[rung][trial] = value;
    }
    for (int k = 1; k < rungs; k++)
        for (size_t a = 0; a < 64; a++)
            for (size_t b = 0; b < 64; b++)
                if (in[k][a] && in[k - 1][b] && !in[k][b]) assert_true(score[k - 1][a] <= score[k - 1][b]);
}

/* The model in `file` is what rc_train makes of the settings in the best trial's config.json. */
static void assert_trains_anew(const rc_tune_result *r) {
    char path[600];
    rc_error e = {0};
    rc_train_config *c;
    snprintf(path, sizeof path, "%s/config.json", r->best);
    assert_int_equal(rc_train_config_read(&c, path, &e), RC_OK);
    rc_train_options o = *rc_train_config_options(c);
    o.run = "anew";
    o.out = "anew.safetensors";
    assert_int_equal(system("rm -rf anew"), 0);
    train_ok(&o, NULL);
    assert_same_file("anew.safetensors", r->model);
    rc_train_config_free(c);
}

static void test_search(void **state) {
    (void)state;
    rc_tune_options o = small("search");
    o.train.out = "best.safetensors";
    rc_tune_result r = tune_ok(&o, NULL);
    char *lines = lines_of("search");
    assert_int_equal(r.n, 9);
    assert_int_equal(count(lines, "\"rung\":0"), 9);
    assert_int_equal(count(lines, "\"rung\":1"), 3);
    assert_int_equal(count(lines, "\"rung\":2"), 1);
    assert_int_equal(count(lines, "\"done\":true"), 1);
    assert_int_equal(count(lines, "\"steps\":4,"), 9); /* of 40, validated every other: 1/9, 1/3, all */
    assert_int_equal(count(lines, "\"steps\":12,"), 3);
    assert_int_equal(count(lines, "\"steps\":40,"), 1);
    assert_best_go_on(lines, 3);
    assert_non_null(strstr(lines, "\"settings\":{\"lr\":0.002,\"hidden\":")); /* the first trial has the default rate */
    free(lines);
    assert_true(r.trials[0].done && r.trials[0].rung == 2 && r.trials[0].steps == 40);
    assert_string_equal(r.model, "best.safetensors");
    for (size_t i = 1; i < r.n; i++) {
        char best[300], last[300]; /* who does not go on keeps the model, and no checkpoint */
        snprintf(best, sizeof best, "search/trial-%03zu/checkpoints/best.safetensors", r.trials[i].trial);
        snprintf(last, sizeof last, "search/trial-%03zu/checkpoints/step-%08d.safetensors", r.trials[i].trial,
                 (int)r.trials[i].steps);
        assert_int_equal(access(best, F_OK), 0);
        assert_int_not_equal(access(last, F_OK), 0);
        assert_true(r.trials[i - 1].score <= r.trials[i].score);
        assert_true(r.trials[i].steps < 20 && !r.trials[i].done);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(r.trials[i].settings, r.trials[k].settings);
    }
    assert_trains_anew(&r);
    rc_run_info info;
    rc_error e = {0};
    assert_int_equal(rc_run_read(r.best, &info, &e), RC_OK);
    assert_string_equal(info.state, "done");
    /* Once more: the same trials. A search that is done says so again. */
    o.train.run = "again";
    o.train.out = NULL;
    rc_tune_result b = tune_ok(&o, NULL);
    char *x = lines_of("search"), *y = lines_of("again");
    assert_string_equal(x, y);
    assert_string_equal(b.model, "again/model.safetensors");
    assert_same_file("best.safetensors", b.model);
    o.train.resume = "again";
    rc_tune_result c = tune_ok(&o, NULL);
    assert_int_equal(c.n, 9);
    assert_string_equal(c.best, b.best);
    free(x);
    free(y);
    /* Another seed draws others. */
    o = small("seed");
    o.train.seed = 2;
    o.trials = 3;
    rc_tune_result d = tune_ok(&o, NULL);
    assert_string_not_equal(d.trials[0].settings, r.trials[0].settings);
    rc_tune_result_free(&r);
    rc_tune_result_free(&b);
    rc_tune_result_free(&c);
    rc_tune_result_free(&d);
}

static size_t steps_seen, stop_after;
static void stop_soon(void *ctx, const rc_tune_progress *p, const rc_train_progress *t) {
    (void)ctx;
    assert_true(p->progress >= 0 && p->progress <= 1 && t->step > 0);
    assert_true(p->at >= 1 && p->at <= p->of && p->rung < p->rungs);
    if (++steps_seen == stop_after) rc_train_interrupt();
}
static void stop_between(void *ctx, const rc_tune_progress *p, const rc_tune_trial *t) {
    (void)p;
    (void)t;
    if (++*(size_t *)ctx == stop_after) rc_train_interrupt();
}

/* Stopped anywhere, within trials and between them, with half a line as a killed process leaves it: the same in the
 * end. */
static void test_goes_on(void **state) {
    (void)state;
    rc_tune_options o = small("straight");
    rc_tune_result whole = tune_ok(&o, NULL), r;
    char *want = lines_of("straight");
    size_t between = 0;
    rc_tune_hooks in_trial = {.on_step = stop_soon}, after = {.ctx = &between, .on_trial = stop_between};
    o.train.run = "stopped";
    rc_status s = RC_EINTERRUPTED;
    int stops = 0;
    for (; s == RC_EINTERRUPTED && stops < 100; stops++) {
        rc_error e = {0};
        steps_seen = between = 0;
        stop_after = stops % 3 == 2 ? 1 : 11;
        s = rc_tune(&o, stops % 3 == 2 ? &after : &in_trial, &r, &e);
        if (s != RC_OK && s != RC_EINTERRUPTED) fail_msg("%s", e.text);
        assert_string_equal(r.run, "stopped");
        if (s == RC_EINTERRUPTED) {
            FILE *f = fopen("stopped/trials.jsonl", "a");
            assert_true(f && fputs("{\"trial\":3,\"ru", f) >= 0 && fclose(f) == 0);
            rc_tune_result_free(&r);
        }
        o.train.resume = "stopped";
    }
    assert_int_equal(s, RC_OK);
    assert_true(stops > 5);
    char *have = lines_of("stopped");
    assert_string_equal(have, want);
    assert_same_file(r.model, whole.model);
    free(have);
    free(want);
    rc_tune_result_free(&r);
    rc_tune_result_free(&whole);
}

/* A trial whose run has ended goes on to no other rung, but keeps its place. */
static void test_early_stopping(void **state) {
    (void)state;
    rc_tune_options o = small("early");
    o.train.patience = 1;
    o.search = "lr=1e-30,1e-31,1e-32"; /* no validation is better than the first */
    o.trials = 3;
    o.rungs = 2;
    rc_tune_result r = tune_ok(&o, NULL);
    char *lines = lines_of("early");
    assert_int_equal(count(lines, "\n"), 3);
    assert_int_equal(count(lines, "\"done\":true"), 3);
    assert_true(*r.model);
    free(lines);
    rc_tune_result_free(&r);
}

static void test_failed_trials(void **state) {
    (void)state;
    rc_error e = {0};
    rc_tune_options o = small("failing");
    o.search = "hidden=8,65536"; /* 300 GB */
    o.train.layers = 2;
    rc_tune_result r = tune_ok(&o, NULL);
    assert_int_equal(r.n, 2);
    assert_true(isfinite(r.trials[0].score) && r.trials[0].done && !*r.trials[0].error);
    assert_true(isnan(r.trials[1].score) && strstr(r.trials[1].error, "out of memory"));
    rc_tune_result_free(&r);
    o.train.resume = "failing"; /* it is not tried again */
    r = tune_ok(&o, NULL);
    assert_non_null(strstr(r.trials[1].error, "out of memory"));
    rc_tune_result_free(&r);
    o = small("all fail");
    o.search = "hidden=65535,65536";
    assert_int_equal(rc_tune(&o, NULL, &r, &e), RC_EDIVERGED);
    assert_non_null(strstr(e.text, "every trial failed"));
    rc_tune_result_free(&r);
}

static void test_time(void **state) {
    (void)state;
    rc_error e = {0};
    rc_tune_options o = small("time"); /* a limit: whole runs are far longer */
    o.train.steps = 1000000;
    o.train.time = 3;
    o.train.valid_every = 5;
    o.trials = 2;
    o.rungs = 1;
    rc_tune_result r = tune_ok(&o, NULL);
    assert_true(r.out_of_time && r.n == 1 && r.seconds < 60);
    assert_true(*r.model);
    rc_tune_result_free(&r);
    o.train.resume = "time";
    o.train.time = 0.01; /* over already; what was trained is found by no line, so there is nothing to show */
    assert_int_equal(rc_tune(&o, NULL, &r, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "time"));
    rc_tune_result_free(&r);
    o = small("shared"); /* a budget, shared out */
    o.train.steps = 0;
    o.train.time = 5;
    o.trials = 3;
    r = tune_ok(&o, NULL);
    assert_true(r.n >= 1 && r.seconds < 60);
    rc_train_config *c;
    assert_int_equal(rc_train_config_read(&c, "shared/config.json", &e), RC_OK);
    assert_true(rc_train_config_options(c)->time == 2.7); /* 0.9 x 5 / (3 x 1/3 + 1 x 2/3) */
    rc_train_config_free(c);
    rc_tune_result_free(&r);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void refuse(const rc_tune_options *o, rc_status want, const char *part) {
    rc_error e = {0};
    rc_tune_result r;
    rc_status s = rc_tune(o, NULL, &r, &e);
    rc_tune_result_free(&r);
    if (s != want || !strstr(e.text, part))
        fail_msg("expected %s with \"%s\", got %s: %s", rc_status_name(want), part, rc_status_name(s), e.text);
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void test_refusals(void **state) {
    (void)state;
    rc_tune_options o = small("no");
    o.trials = 0;
    refuse(&o, RC_EINVAL, "trials: expected 1 to 1000, found 0");
    o.trials = 9;
    o.rungs = 4;
    refuse(&o, RC_EINVAL, "rungs: 4 of them need at least 27 trials, found 9");
    o.rungs = 5;
    refuse(&o, RC_EINVAL, "rungs: expected 0 to 4");
    o = small("no");
    o.train.valid_fraction = 0;
    refuse(&o, RC_EINVAL, "needs validation data");
    const char *in[] = {"-"};
    o = small("no");
    o.train.files = in;
    refuse(&o, RC_EINVAL, "standard input");
    o.train.n_files = 0;
    refuse(&o, RC_EINVAL, "no data");
    o = small("no");
    o.train.out = "missing/model";
    refuse(&o, RC_EIO, "missing");
    o = small("no");
    o.search = "dropout=0,1";
    refuse(&o, RC_EINVAL, "dropout");
    assert_int_not_equal(access("no", F_OK), 0);
    const char *none[] = {"none.txt"};
    o = small("no");
    o.train.files = none;
    refuse(&o, RC_EIO, "none.txt");
    o.train.run = "text.txt";
    refuse(&o, RC_EIO, "text.txt");
    o = small("search");
    refuse(&o, RC_EINVAL, "holds an earlier search");
    o.train.resume = "missing";
    refuse(&o, RC_EIO, "no such");
    o.train.resume = "anew"; /* a run */
    refuse(&o, RC_EINVAL, "tune.json");
    const char *given[] = {"resume", "hidden"};
    o.train.resume = "search";
    o.train.given = given;
    o.train.n_given = 2;
    refuse(&o, RC_EINVAL, "--hidden cannot change");
    o.train.n_given = 1;
    o.train.files = none;
    refuse(&o, RC_EINVAL, "the data cannot change");
    o.train.n_files = 0;
    o.train.task = "classify";
    refuse(&o, RC_EINVAL, "is a search of task lm, not of classify");
}

/* What others may have done to the files. */
static void test_damaged_folders(void **state) {
    (void)state;
    rc_tune_options o = small("search");
    o.train.resume = "search";
    size_t n, m;
    char *tune = slurp("search/tune.json", &n), *lines = slurp("search/trials.jsonl", &m);
    static const struct {
        const char *file, *text, *part;
        rc_status status;
    } bad[] = {
        {"search/tune.json", "", "", RC_EMODEL},
        {"search/tune.json", "[]", "", RC_EMODEL},
        {"search/tune.json", "{}", "trials", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 1e9}", "trials", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 1000000}", "trials", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 9, \"rungs\": 4}", "rungs", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 9, \"rungs\": 3, \"time\": -1}", "time", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 9, \"rungs\": 3, \"time\": 0, \"search\": 3}", "search", RC_EMODEL},
        {"search/tune.json", "{\"trials\": 9, \"rungs\": 3, \"time\": 0, \"search\": \"lr=x\"}", "lr", RC_EINVAL},
        {"search/tune.json", "{\"trials\": 9, \"rungs\": 3, \"time\": 0, \"search\": \"lr=1..2\"}", "other settings",
         RC_EMODEL},
        {"search/trials.jsonl", "x\n", "line 1", RC_EDATA},
        {"search/trials.jsonl", "[]\n", "line 1", RC_EDATA},
        {"search/trials.jsonl", "{}\n", "line 1", RC_EMODEL},
        {"search/trials.jsonl", "{\"trial\": 9}\n", "trial", RC_EMODEL},
        {"search/trials.jsonl", "{\"trial\": -1}\n", "trial", RC_EMODEL},
        {"search/trials.jsonl", "{\"trial\": 1, \"rung\": 3}\n", "rung", RC_EMODEL},
        {"search/trials.jsonl",
         "{\"trial\":1,\"rung\":1,\"steps\":1,\"parameters\":1,\"epochs\":0,\"seconds\":0,\"done\":false,\"measure\":"
         "\"\","
         "\"error\":\"\",\"settings\":{},\"score\":1,\"accuracy\":null,\"loss\":1}\n",
         "has 0 rungs behind it, found rung 1", RC_EMODEL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("search/tune.json", tune);
        put("search/trials.jsonl", lines);
        put(bad[i].file, bad[i].text);
        refuse(&o, bad[i].status, bad[i].part);
    }
    put("search/tune.json", tune);
    put("search/trials.jsonl", lines);
    /* Each line twice, and without its first: the rungs of a trial come one after the other. */
    FILE *f = fopen("search/trials.jsonl", "a");
    assert_true(f && fputs(lines, f) >= 0 && fclose(f) == 0);
    refuse(&o, RC_EMODEL, "rungs behind it");
    put("search/trials.jsonl", lines);
    free(tune);
    free(lines);
}

/* Each allocation may fail: it is told, or the trial counts as failed, and nothing is lost. */
static void test_out_of_memory(void **state) {
    (void)state;
    rc_tune_options o = small("memory");
    o.trials = 3;
    o.train.steps = 6;
    o.search = "hidden=4,5,6";
    rc_tune_result r = tune_ok(&o, NULL);
    rc_tune_result_free(&r);
    size_t before = rc_memory_used();
    for (size_t at = 1; at < 4000; at += 1 + at / 7) {
        assert_int_equal(system("rm -rf memory"), 0);
        rc_error e = {0};
        allocations = 0;
        fail_at = at;
        rc_status s = rc_tune(&o, NULL, &r, &e);
        fail_at = 0;
        if (s != RC_OK && s != RC_ENOMEM && s != RC_EDIVERGED) fail_msg("allocation %zu: %s", at, e.text);
        rc_tune_result_free(&r);
        assert_int_equal(rc_memory_used(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space_is_read), cmocka_unit_test(test_own_space),
        cmocka_unit_test(test_draws),         cmocka_unit_test(test_search),
        cmocka_unit_test(test_goes_on),       cmocka_unit_test(test_early_stopping),
        cmocka_unit_test(test_failed_trials), cmocka_unit_test(test_time),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_damaged_folders),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("tune", tests, setup, leave_work);
}
