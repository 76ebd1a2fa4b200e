/* Forecasting on small made-up series: every kind learns; save and load give the same bits, so do resuming and any
 * number of threads; covariates are those of their own step; series without a history; what has come since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem.h"
#include "data_file.h"
#include "failing.h"
#include "recur/recur.h"
#include "tasks/baselines.h"
#include "tasks/forecast.h"
#include "temporary.h"

#define PI 3.14159265358979323846

static char folder[256], csv[300], model[300], run[300];

static int set_up(void **state) {
    (void)state;
    TEMPORARY_NAME(folder, temporary_root(), "forecast");
    if (!mkdtemp(folder)) return -1;
    snprintf(csv, sizeof csv, "%s/data.csv", folder);
    snprintf(model, sizeof model, "%s/m.safetensors", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* Three series of a weekly season with different levels, and promo, which is drawn anew each day and doubles y; the
 * last `future` rows have no y; rows before `from` are left out. */
static void write_sales(const char *path, size_t n, size_t future, size_t from) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("id,date,promo,y\n", f);
    rc_rng r = rc_rng_make(3, 0);
    for (int s = 0; s < 3; s++)
        for (size_t t = 0; t < n + future; t++) {
            rc__calendar c = rc__time_calendar((int64_t)(18262 + t) * 86400, 0);
            bool promo = rc_rng_uniform(&r) < 0.3;
            double y = (10 + 5 * s) * (1 + .3 * sin(2 * PI * (double)t / 7)) * (promo ? 2 : 1);
            if (t < from) continue;
            fprintf(f, "s%d,%04d-%02d-%02d,%d,", s, c.year, c.month, c.day, promo);
            if (t < n) fprintf(f, "%.5f", y);
            fputc('\n', f);
        }
    assert_int_equal(fclose(f), 0);
}

static rc_train_options options(const char *kind, int64_t steps) {
    static const char *files[1];
    rc_train_options o;
    assert_int_equal(rc_train_options_for("forecast", &o, NULL), RC_OK);
    files[0] = csv;
    o.files = files;
    o.n_files = 1;
    o.model = kind;
    o.horizon = 7;
    o.hidden = 24;
    o.batch = 64;
    o.lr = 5e-3;
    o.dropout = 0;
    o.steps = steps;
    o.epochs = 0;
    o.patience = 0;
    o.out = model;
    o.run = run;
    o.threads = 1;
    o.checkpoint_every = o.valid_every = 10;
    o.warmup = 0; /* it would follow from the length of the run */
    o.data.target = "y";
    o.data.known_ahead = "promo";
    return o;
}

static rc_train_result train(const rc_train_options *o) {
    rc_train_result r;
    rc_error e = {0};
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s", run);
    if (!o->resume) assert_int_equal(system(command), 0);
    if (rc_train(o, NULL, &r, &e) != RC_OK) fail_msg("%s: %s", o->model, e.text);
    return r;
}

static char told[200000];
static size_t told_len;
static rc_status keep(void *ctx, const char *text, size_t len) {
    (void)ctx;
    assert_true(told_len + len + 2 < sizeof told);
    memcpy(told + told_len, text, len);
    told_len += len;
    told[told_len++] = '\n';
    told[told_len] = 0;
    return RC_OK;
}
static char *predictions(const char *file, const char *input, const char *observe) {
    rc_model *m;
    rc_error e = {0};
    rc_sink sink = {NULL, keep};
    rc_predict_options o = rc_predict_options_default();
    o.observe = observe;
    told_len = 0;
    told[0] = 0;
    if (rc_model_load(&m, file, &e) != RC_OK) fail_msg("%s", e.text);
    if (rc_model_predict(m, input, &o, &sink, &e) != RC_OK) fail_msg("%s", e.text);
    rc_model_free(m);
    char *copy = strdup(told);
    assert_non_null(copy);
    return copy;
}

/* promo doubles the value and is new each day: who reads that of the day before or after cannot do this. */
static void learns_with_covariates(void **state) {
    (void)state;
    static const char *const kinds[] = {"segment", "direct", "deepar", "recurrent"};
    write_sales(csv, 200, 0, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        rc_train_options o = options(kinds[i], 500);
        if (i == 3) o.likelihood = "point";
        rc_train_result r = train(&o);
        assert_string_equal(r.measure, "MASE");
        if (!(r.accuracy < 0.35)) fail_msg("%s: MASE %g", kinds[i], r.accuracy);
    }
}

static void es_rnn_learns(void **state) {
    (void)state;
    FILE *f = fopen(csv, "w");
    assert_non_null(f);
    fputs("Month,y\n", f);
    for (int t = 0; t < 96; t++)
        fprintf(f, "%d-%02d,%.4f\n", 2000 + t / 12, t % 12 + 1, exp(.01 * t) * (5 + 2 * sin(PI * t / 6)));
    assert_int_equal(fclose(f), 0);
    rc_train_options o = options("es-rnn", 150);
    o.data.target = o.data.known_ahead = "";
    o.horizon = 12;
    rc_train_result r = train(&o);
    if (!(r.accuracy < 0.3)) fail_msg("MASE %g", r.accuracy);
    char *a = predictions(model, NULL, NULL);
    assert_non_null(strstr(a, "2008-12"));
    free(a);
}

static void same_bits(void **state) {
    (void)state;
    char second[300], future[300], new[300];
    snprintf(second, sizeof second, "%s/again.safetensors", folder);
    snprintf(future, sizeof future, "%s/future.csv", folder);
    snprintf(new, sizeof new, "%s/new.csv", folder);
    static const char *const kinds[] = {"segment", "segment", "deepar", "direct"};
    for (size_t i = 0; i < 4; i++) {
        write_sales(csv, 120, 0, 0);
        write_sales(future, 120, 7, 120); /* nothing but promo of the coming week */
        rc_train_options o = options(kinds[i], 30);
        o.schedule = "constant";
        o.dropout = 0.2;
        if (i == 0) o.likelihood = "point"; /* with bands from its errors */
        train(&o);
        char *a = predictions(model, NULL, future), *b;
        size_t tabs = 0;
        for (const char *p = a; *p != '\n'; p++) tabs += *p == '\t';
        assert_int_equal(tabs, 2 + 9); /* id, time, forecast, quantiles */
        rc_model *m;
        assert_int_equal(rc_model_load(&m, model, NULL), RC_OK);
        assert_int_equal(rc_model_save(m, second, NULL, NULL), RC_OK);
        rc_model_free(m);
        b = predictions(second, NULL, future);
        assert_string_equal(a, b);
        free(b);
        o.threads = 2;
        train(&o);
        b = predictions(model, NULL, future);
        assert_string_equal(a, b);
        free(b);
        o.threads = 1;
        o.steps = 20; /* and on to 30 */
        train(&o);
        rc_train_options more = options(kinds[i], 30);
        more.schedule = "constant";
        more.dropout = 0.2;
        more.likelihood = o.likelihood;
        more.resume = run;
        more.run = NULL;
        train(&more);
        b = predictions(model, NULL, future);
        assert_string_equal(a, b);
        free(b);
        free(a);
    }
    /* a series that nobody has seen, and that has no history */
    FILE *f = fopen(new, "w");
    assert_non_null(f);
    fputs("id,date,promo,y\n", f);
    for (int t = 1; t <= 7; t++) fprintf(f, "fresh,2021-01-%02d,%d,\n", t, t % 2);
    assert_int_equal(fclose(f), 0);
    char *a = predictions(model, new, NULL);
    assert_int_equal(strncmp(a, "fresh\t2021-01-01\t", 17), 0);
    assert_null(strstr(a, "nan"));
    free(a);
}

/* What came since, told by itself, is as good as a file with all of it. */
static void observes(void **state) {
    (void)state;
    char all[300], since[300];
    snprintf(all, sizeof all, "%s/all.csv", folder);
    snprintf(since, sizeof since, "%s/since.csv", folder);
    write_sales(csv, 120, 0, 0);
    rc_train_options o = options("direct", 20);
    train(&o);
    write_sales(all, 125, 7, 0);
    write_sales(since, 125, 7, 120);
    /* the numbers are drawn in order: only the first series is the same in files of other lengths */
    char *a = predictions(model, NULL, since), *b;
    assert_int_equal(strncmp(a, "s0\t2020-05-05\t", 14), 0);
    b = predictions(model, all, NULL);
    assert_int_equal(strncmp(a, b, 500), 0);
    free(a);
    free(b);
}

static void evaluates(void **state) {
    (void)state;
    write_sales(csv, 200, 0, 0);
    rc_train_options o = options("segment", 200);
    train(&o);
    rc_model *m;
    char *json;
    size_t len;
    rc_error e;
    rc_eval_options eo = rc_eval_options_default();
    assert_int_equal(rc_model_load(&m, model, NULL), RC_OK);
    eo.start = -21;
    eo.stride = 7;
    assert_int_equal(rc_model_eval(m, csv, &eo, &json, &len, &e), RC_OK);
    json_t *j = json_loadb(json, len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "windows")), 9); /* 3 series, 3 weeks */
    assert_int_equal(json_integer_value(json_object_get(j, "season")), 7);
    assert_int_equal(json_array_size(json_object_get(j, "models")), 4); /* linear, seasonal naive, naive 2 beside it */
    double coverage = json_number_value(json_object_get(j, "coverage"));
    assert_true(coverage > 0.2 && coverage <= 1);
    json_decref(j);
    rc_text_free(json, len);
    rc_model_free(m);
}

/* Allocation number n fails, for every n: making the task, saving, loading and forecasting say so and leave nothing. */
static void out_of_memory(void **state) {
    (void)state;
    static const char *const kinds[] = {"segment", "deepar", "es-rnn"};
    failing f = {.left = -1};
    write_sales(csv, 30, 0, 0);
    for (size_t k = 0; k < 3; k++) {
        rc_train_options o = options(kinds[k], 1);
        rc_predict_options po = rc_predict_options_default();
        rc_sink sink = {NULL, keep};
        if (k == 2) o.data.known_ahead = "", o.data.inputs = "none";
        o.hidden = 2;
        if (k < 2) o.data.known_ahead = "", o.data.inputs = "promo", o.likelihood = k ? "student-t" : "point";
        po.samples = 3;
        rc_status st = RC_ENOMEM;
        rc_set_allocator(failing_alloc, &f);
        size_t before = rc_memory_used();
        for (long n = 0; st != RC_OK && n < 20000; n += n < 40 ? 1 : 3) {
            rc__task *t = NULL;
            rc_model *m = NULL;
            f = (failing){.left = n, .once = n % 2};
            st = rc__task_find("forecast")->make(&t, &o, NULL, NULL, NULL);
            if (st == RC_OK) st = t->ops->save(t, model, NULL, NULL);
            if (t) t->ops->free(t);
            if (st == RC_OK) st = rc_model_load(&m, model, NULL);
            told_len = 0;
            if (st == RC_OK) st = rc_model_predict(m, NULL, &po, &sink, NULL);
            rc_model_free(m);
            f.left = -1;
            if (st != RC_OK && st != RC_ENOMEM) fail_msg("%s, allocation %ld: %s", kinds[k], n, rc_status_name(st));
            size_t now = rc_memory_used();
            if (now != before) fail_msg("%s, allocation %ld: %zu bytes left", kinds[k], n, now - before);
        }
        rc_set_allocator(NULL, NULL);
        assert_int_equal(st, RC_OK);
    }
}

static void seasonal_naive(void **state) {
    (void)state;
    const double y[] = {1, 2, NAN, 4, 5, NAN};
    double f[5];
    rc__seasonal_naive(6, y, 3, 5, f); /* the missing ones from a season earlier, if there is one */
    const double want[] = {4, 5, NAN, 4, 5};
    for (int i = 0; i < 5; i++)
        if (i != 2) assert_true(f[i] == want[i]);
    assert_true(f[2] == 5); /* no season knows it: the last value */
}

static void scaling(void **state) {
    (void)state;
    rc__fc_stats st[2] = {{.mean = 3, .deviation = 2, .mean_abs = 3, .step = 1},
                          {.mean = 0, .deviation = 1, .mean_abs = 1, .step = 1}};
    rc__forecast m = {.c = {.kind = RC_FC_DEEPAR, .normalize = RC_FC_SERIES, .lookback = 4, .horizon = 4, .season = 1},
                      .n_series = 1,
                      .stats = st};
    const double y[] = {100, 2, NAN, 4, 0, 9};
    double loc, scale;
    rc__fc_scaling(&m, y, 6, 5, 0, &loc, &scale);
    assert_true(loc == 0 && fabs(scale - 2) < 1e-12); /* of 2, 4, 0: missing is not zero, and zero is a value */
    m.c.kind = RC_FC_DIRECT;
    rc__fc_scaling(&m, y, 6, 5, 0, &loc, &scale);
    assert_true(loc == 0 && fabs(scale - 3 * 2) < 1e-12); /* steps of 2 and 4, times the root of the horizon */
    m.c.normalize = RC_FC_ZSCORE;
    rc__fc_scaling(&m, y, 6, 4, 0, &loc, &scale);
    assert_true(loc == 4 && scale == 2);
    rc__fc_scaling(&m, y, 0, 0, -1, &loc, &scale); /* nothing known of a stranger */
    assert_true(isfinite(loc) && scale > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(seasonal_naive), cmocka_unit_test(out_of_memory),
                                       cmocka_unit_test(scaling),        cmocka_unit_test(learns_with_covariates),
                                       cmocka_unit_test(es_rnn_learns),  cmocka_unit_test(same_bits),
                                       cmocka_unit_test(observes),       cmocka_unit_test(evaluates)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
