/* The task detect: it learns a periodic series and finds what was put into it; scores are what detect_score.h says, by
 * numbers computed here; nothing depends on later rows, on where a stream is cut, or on whether it is read from a file;
 * saved and resumed it is the same to the bit; hostile models and states are refused. */
#include "train_helpers.h"

#include <math.h>

#include "tasks/detect_score.h"

enum { ROWS = 900, ODD = 700 };

/* Two channels of period 24, an hour apart; in row ODD channel b does what it never did at that hour. */
static void write_series(const char *path, size_t rows, const char *header, bool label) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    rc_rng r = rc_rng_make(5, 0);
    if (header) fprintf(f, "%s\n", header);
    for (size_t i = 0; i < rows; i++) {
        double a = 10 + 3 * sin(.2617994 * (double)i) + .1 * rc_rng_normal(&r);
        double b = 5 + 2 * cos(.2617994 * (double)i) + .1 * rc_rng_normal(&r);
        if (i >= ODD && i < ODD + 6) b = 5 - 2 * cos(.2617994 * (double)i);
        fprintf(f, "2024-01-%02zu %02zu:00:00,", i / 24 % 28 + 1, i % 24);
        if (i % 97 == 13)
            fputs(",", f); /* missing */
        else
            fprintf(f, "%.4f,", a);
        fprintf(f, "%.4f", b);
        if (label) fprintf(f, ",%d", i >= ODD && i < ODD + 6);
        fputc('\n', f);
    }
    fclose(f);
}

/* The same file with one value far beyond all others, for the range rule. */
static void write_beyond(void) {
    FILE *from = fopen("all.csv", "r"), *to = fopen("beyond.csv", "w");
    char line[256];
    assert_non_null(from);
    assert_non_null(to);
    for (size_t row = 0; fgets(line, sizeof line, from); row++) {
        char *comma = strchr(line, ',');
        if (row == ROWS - 20)
            fprintf(to, "%.*s,99%s", (int)(comma - line), line, strchr(comma + 1, ','));
        else
            fputs(line, to);
    }
    fclose(from);
    fclose(to);
}

static const char *const first_rows[] = {"first.csv"};

static rc_train_options detect_options(const char *run, const char *model) {
    rc_train_options o;
    assert_int_equal(rc_train_options_for("detect", &o, NULL), RC_OK);
    o.files = first_rows;
    o.n_files = 1;
    o.run = run;
    o.out = model;
    o.threads = 1;
    o.steps = 400;
    o.lookback = 4;
    return o;
}

static int setup(void **state) {
    if (enter_work(state)) return -1;
    write_series("first.csv", 600, "time,a,b", false);
    write_series("all.csv", ROWS, "time,a,b", false);
    write_series("labelled.csv", ROWS, "time,a,b,label", true);
    write_beyond();
    rc_train_options o = detect_options("run", "m.safetensors");
    rc_error e = {0};
    if (rc_train(&o, NULL, NULL, &e) != RC_OK) return fprintf(stderr, "%s\n", e.text), -1;
    o = detect_options("run-ae", "ae.safetensors");
    o.model = "autoencoder";
    o.window = 12;
    if (rc_train(&o, NULL, NULL, &e) != RC_OK) return fprintf(stderr, "%s\n", e.text), -1;
    return 0;
}

/* ---- lines of predict -------------------------------------------------------------------------------------------- */

typedef struct lines {
    char *line[4096];
    size_t n;
} lines;

static rc_status keep(void *ctx, const char *text, size_t len) {
    lines *l = ctx;
    assert_true(l->n < 4096);
    l->line[l->n] = malloc(len + 1);
    memcpy(l->line[l->n], text, len);
    l->line[l->n++][len] = 0;
    return RC_OK;
}

static void drop(lines *l) {
    for (size_t i = 0; i < l->n; i++) free(l->line[i]);
    l->n = 0;
}

static rc_status predict(const char *model, const char *file, const rc_predict_options *o, lines *out, rc_error *e) {
    rc_model *m;
    rc_status s = rc_model_load(&m, model, e);
    if (s != RC_OK) return s;
    s = rc_model_predict(m, file, o, &(rc_sink){out, keep}, e);
    rc_model_free(m);
    return s;
}

static void predict_ok(const char *model, const char *file, const rc_predict_options *o, lines *out) {
    rc_error e = {0};
    if (predict(model, file, o, out, &e) != RC_OK) fail_msg("%s", e.text);
}

/* Column k of a line with tabs; NaN for an empty one. */
static double column(const char *line, size_t k) {
    for (; k > 0; k--) line = strchr(line, '\t') + 1;
    return *line == '\t' || !*line ? NAN : strtod(line, NULL);
}
enum { SCORE = 1, ALARM, TAIL, ERROR, WARM, A_VALUE, A_EXPECTED, A_SHARE, B_VALUE, B_EXPECTED, B_SHARE };

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_finds(void **state) {
    (void)state;
    rc_predict_options o = rc_predict_options_default();
    lines l = {0};
    predict_ok("m.safetensors", "all.csv", &o, &l);
    assert_int_equal(l.n, ROWS);
    size_t alarms = 0, at = 0;
    double error = 0;
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(column(l.line[i], WARM) == (i < 100));
        if (i < 100) assert_true(column(l.line[i], SCORE) == 0);
        if (column(l.line[i], ALARM) != 1) continue;
        if (!alarms++) at = i;
    }
    assert_true(alarms >= 1 && alarms <= 8);
    assert_in_range(at, ODD, ODD + 9);
    assert_true(column(l.line[ODD + 6], B_SHARE) > .6); /* later rows of b mislead the forecast of a too */
    assert_true(fabs(column(l.line[at], B_SHARE) + column(l.line[at], A_SHARE) - 1) < 1e-6);
    for (size_t i = 600; i < ODD; i++) error += fabs(column(l.line[i], B_VALUE) - column(l.line[i], B_EXPECTED)) / 100;
    assert_true(error < .3); /* noise has a mean of .08, the series a deviation of 1.4 */
    assert_true(isnan(column(l.line[110], A_VALUE)) && !isnan(column(l.line[110], ERROR)));
    drop(&l);
}

/* tail, quiet rule and range rule by the equations of detect_score.h from the errors and values that are printed. */
static void check_scores(const char *model, size_t history, size_t recent_rows) {
    rc_predict_options o = rc_predict_options_default();
    lines l = {0};
    predict_ok(model, "beyond.csv", &o, &l);
    double e[ROWS], raw[ROWS], low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    size_t n = 0, checked = 0, suppressed = 0, ranges = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double tail = column(l.line[i], TAIL), mean = 0, squares = 0, recent = 0;
        bool beyond = false;
        for (int c = 0; c < 2; c++) {
            double v = column(l.line[i], (size_t)(A_VALUE + 3 * c)), margin = .05 * (high[c] - low[c]);
            if (isnan(v)) continue;
            if (margin > 0 && (v > high[c] + margin || v < low[c] - margin)) beyond = true;
            low[c] = fmin(low[c], v);
            high[c] = fmax(high[c], v);
        }
        double error = column(l.line[i], ERROR);
        raw[i] = 0;
        if (isnan(error)) {
            assert_int_equal(i, 0);
            continue;
        }
        e[n++] = error;
        if (i < 100) continue;
        /* of the rows before this one the last `history`, less what is missing to a whole block at the old end */
        size_t before = n - 1, block = history / 80, from = 0;
        if (before > history) from = (before + block - 1) / block * block - history;
        double rows = (double)(before - from);
        for (size_t k = from; k < before; k++) mean += e[k] / rows;
        for (size_t k = from; k < before; k++) squares += (e[k] - mean) * (e[k] - mean) / rows;
        for (size_t k = n - recent_rows; k < n; k++) recent += e[k] / (double)recent_rows;
        double z = (recent - mean) / sqrt(squares);
        if (z < 30) {
            double expected = -log10(.5 * erfc(z / sqrt(2)));
            assert_true(fabs(tail - expected) <= 1e-5 * (1 + fabs(expected)));
            checked++;
        }
        raw[i] = fmax(tail, beyond ? 10 : 0);
        ranges += beyond;
        double most = 0;
        for (size_t k = i >= 50 ? i - 50 : 0; k < i; k++) most = fmax(most, raw[k]);
        double score = column(l.line[i], SCORE);
        if (most >= raw[i]) {
            assert_true(score == 0);
            suppressed++;
        } else {
            assert_true(fabs(score - raw[i]) <= 1e-7 * raw[i]);
        }
        assert_true(column(l.line[i], ALARM) == (score >= 5));
    }
    assert_true(checked > 700 && suppressed > 500 && ranges > 0);
    drop(&l);
}

static void test_scores(void **state) {
    (void)state;
    check_scores("m.safetensors", 8000, 10);
}

static void test_scores_of_a_short_history(void **state) {
    (void)state;
    rc_train_options o = detect_options("short", "short.safetensors");
    o.history = 240;
    o.recent = 3;
    o.steps = 100;
    train_ok(&o, NULL);
    check_scores("short.safetensors", 240, 3);
}

/* --threshold: a share of the training rows. */
static void test_share_of_alarms(void **state) {
    (void)state;
    rc_train_options o = detect_options("share", "share.safetensors");
    o.threshold = .02;
    o.repeat = 0;
    o.steps = 100;
    train_ok(&o, NULL);
    rc_predict_options p = rc_predict_options_default();
    lines l = {0};
    size_t alarms = 0;
    predict_ok("share.safetensors", "first.csv", &p, &l);
    for (size_t i = 0; i < l.n; i++) alarms += column(l.line[i], ALARM) == 1;
    assert_in_range(alarms, 8, 12);
    drop(&l);
}

/* The rows from..to of a file with its header, or without. */
static void cut(const char *from, const char *to, size_t start, size_t end, bool header) {
    char command[256];
    snprintf(command, sizeof command, "(%s; sed -n '%zu,%zup' %s) > %s", header ? "head -n 1 all.csv" : "true",
             start + 2, end + 1, from, to);
    assert_int_equal(system(command), 0);
}

static void check_cuts(const char *model, bool online) {
    rc_predict_options o = rc_predict_options_default();
    lines whole = {0}, pieces = {0};
    o.online = online;
    predict_ok(model, "all.csv", &o, &whole);
    assert_int_equal(whole.n, ROWS);
    /* the beginning alone: nothing looks ahead */
    cut("all.csv", "part.csv", 0, 333, true);
    predict_ok(model, "part.csv", &o, &pieces);
    assert_int_equal(pieces.n, 333);
    for (size_t i = 0; i < 333; i++) assert_string_equal(pieces.line[i], whole.line[i]);
    drop(&pieces);
    /* in pieces with the state between them; later ones have no header */
    const size_t at[] = {0, 1, 50, 333, 701, ROWS};
    unlink("s.state");
    o.state = "s.state";
    for (size_t k = 0; k + 1 < sizeof at / sizeof *at; k++) {
        cut("all.csv", "part.csv", at[k], at[k + 1], k == 0);
        predict_ok(model, "part.csv", &o, &pieces);
    }
    assert_int_equal(pieces.n, ROWS);
    for (size_t i = 0; i < ROWS; i++) assert_string_equal(pieces.line[i], whole.line[i]);
    drop(&pieces);
    drop(&whole);
    /* that state is of this model and kind alone */
    rc_error e;
    o.online = !online;
    assert_int_equal(predict(model, "part.csv", &o, &pieces, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "--online"));
    o.online = online;
    assert_int_equal(
        predict(strcmp(model, "m.safetensors") ? "m.safetensors" : "ae.safetensors", "part.csv", &o, &pieces, &e),
        RC_EMODEL);
    assert_non_null(strstr(e.text, "another model"));
}

static void test_cuts(void **state) {
    (void)state;
    check_cuts("m.safetensors", false);
}
static void test_cuts_online(void **state) {
    (void)state;
    check_cuts("m.safetensors", true);
}
static void test_cuts_autoencoder(void **state) {
    (void)state;
    check_cuts("ae.safetensors", false);
    check_cuts("ae.safetensors", true);
}

/* It learns while it runs: after the second channel has turned for good, errors fall again. */
static void test_online_learns(void **state) {
    (void)state;
    FILE *f = fopen("turned.csv", "w");
    fputs("time,a,b\n", f);
    for (size_t i = 0; i < 2400; i++)
        fprintf(f, "2024-%02zu-%02zu %02zu:00:00,%.4f,%.4f\n", i / 672 + 1, i / 24 % 28 + 1, i % 24,
                10 + 3 * sin(.2617994 * (double)i), 5 + (i < 800 ? 2 : -2) * cos(.2617994 * (double)i));
    fclose(f);
    double after[2] = {0, 0};
    for (int online = 0; online < 2; online++) {
        rc_predict_options o = rc_predict_options_default();
        lines l = {0};
        o.online = online;
        predict_ok("m.safetensors", "turned.csv", &o, &l);
        for (size_t i = 2200; i < 2400; i++)
            after[online] += fabs(column(l.line[i], B_VALUE) - column(l.line[i], B_EXPECTED));
        drop(&l);
    }
    assert_true(after[1] < .5 * after[0]);
}

static void test_save_and_load(void **state) {
    (void)state;
    rc_model *m;
    rc_error e = {0};
    assert_int_equal(rc_model_load(&m, "m.safetensors", &e), RC_OK);
    assert_string_equal(rc_model_task(m), "detect");
    assert_int_equal(rc_model_save(m, "again.safetensors", NULL, &e), RC_OK);
    rc_model_free(m);
    assert_same_file("m.safetensors", "again.safetensors");
}

/* Stopped after step 130 and gone on with, the model is the same file. */
static void test_resume(void **state) {
    (void)state;
    uint64_t at = 130;
    rc_train_hooks stop = {.ctx = &at, .on_step = stop_at};
    rc_train_options o = detect_options("cut", "cut.safetensors");
    rc_error e;
    assert_int_equal(rc_train(&o, &stop, NULL, &e), RC_EINTERRUPTED);
    rc_train_options again;
    assert_int_equal(rc_train_options_for("detect", &again, NULL), RC_OK);
    again.resume = "cut";
    again.threads = 1;
    train_ok(&again, NULL);
    lines a = {0}, b = {0};
    rc_predict_options p = rc_predict_options_default();
    predict_ok("m.safetensors", "all.csv", &p, &a);
    predict_ok("cut.safetensors", "all.csv", &p, &b);
    for (size_t i = 0; i < ROWS; i++) assert_string_equal(a.line[i], b.line[i]);
    drop(&a);
    drop(&b);
}

/* Columns in another order, found by the heading; a heading in the middle; JSON lines. */
static void test_columns(void **state) {
    (void)state;
    rc_predict_options o = rc_predict_options_default();
    lines whole = {0}, l = {0};
    predict_ok("m.safetensors", "all.csv", &o, &whole);
    assert_int_equal(
        system("awk -F, -v OFS=, '{ print $3, $1, \"x\", $2 }' all.csv > turned.csv; sed -n '1p' turned.csv > h;"
               "sed -i '400r h' turned.csv;"
               "awk -F, 'NR > 1 { print \"{\\\"b\\\":\" $3 \",\\\"time\\\":\\\"\" $1 \"\\\",\\\"a\\\":\" "
               "($2 == \"\" ? \"null\" : $2) \"}\" }' all.csv > all.jsonl"),
        0);
    for (int k = 0; k < 2; k++) {
        predict_ok("m.safetensors", k ? "all.jsonl" : "turned.csv", &o, &l);
        assert_int_equal(l.n, ROWS);
        for (size_t i = 0; i < ROWS; i++) assert_string_equal(l.line[i], whole.line[i]);
        drop(&l);
    }
    drop(&whole);
}

/* A cell that is no number ends predict, with the place; lenient takes it as missing. */
static void test_bad_cells(void **state) {
    (void)state;
    rc_predict_options o = rc_predict_options_default();
    lines l = {0};
    rc_error e;
    assert_int_equal(system("sed '30s/[^,]*$/oops/; 40s/$/,7/' all.csv > bad.csv"), 0);
    assert_int_equal(predict("m.safetensors", "bad.csv", &o, &l, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 30, column 3"));
    assert_non_null(strstr(e.text, "oops"));
    assert_int_equal(l.n, 28);
    drop(&l);
    o.lenient = true;
    predict_ok("m.safetensors", "bad.csv", &o, &l);
    assert_int_equal(l.n, ROWS - 1);
    assert_true(isnan(column(l.line[28], B_VALUE)));
    drop(&l);
}

static double number(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    if (!at) fail_msg("no %s in %s", key, json);
    return strtod(at + strlen(quoted), NULL);
}

static void test_eval(void **state) {
    (void)state;
    rc_model *m;
    rc_error e = {0};
    char *json;
    size_t len;
    rc_eval_options o = rc_eval_options_default();
    assert_int_equal(rc_model_load(&m, "m.safetensors", &e), RC_OK);
    if (rc_model_eval(m, "labelled.csv", &o, &json, &len, &e) != RC_OK) fail_msg("%s", e.text);
    assert_true(number(json, "rows") == ROWS);
    assert_true(number(json, "events") == 1);
    assert_true(number(json, "event_recall") == 1);
    assert_true(number(json, "nab_standard") > 50);
    rc_text_free(json, len);
    /* the same window as time stamps */
    FILE *f = fopen("windows.json", "w");
    fputs("{\"other/all.csv\": [], \"all.csv\": [[\"2024-01-02 04:00:00.000000\", \"2024-01-02 09:00:00.000000\"]]}",
          f);
    fclose(f);
    assert_int_equal(system("awk 'NR == 1 { print; next } { print }' all.csv | awk -F, 'NR < 600' > short.csv"), 0);
    o.labels = "windows.json";
    if (rc_model_eval(m, "all.csv", &o, &json, &len, &e) != RC_OK) fail_msg("%s", e.text);
    assert_true(number(json, "events") >= 1);
    rc_text_free(json, len);
    assert_int_equal(rc_model_eval(m, "short.csv", &o, &json, &len, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "short.csv"));
    rc_model_free(m);
}

/* Rows that are labelled are not learnt: with the labels, the reversed week has no part in the loss. */
static void test_labels_are_not_learnt(void **state) {
    (void)state;
    FILE *f = fopen("odd.csv", "w"), *g = fopen("odd-labelled.csv", "w");
    fputs("a\n", f);
    fputs("a,anomaly\n", g);
    for (int i = 0; i < 400; i++) {
        fprintf(f, "%d\n", i % 3 == 2 ? 50 : 1);
        fprintf(g, "%d,%d\n", i % 3 == 2 ? 50 : 1, i % 3 == 2);
    }
    fclose(f);
    fclose(g);
    double expected[2];
    for (int k = 0; k < 2; k++) {
        const char *const file[] = {k ? "odd-labelled.csv" : "odd.csv"};
        rc_train_options o = detect_options(k ? "odd1" : "odd0", "odd.safetensors");
        o.files = file;
        o.steps = 300;
        train_ok(&o, NULL);
        rc_predict_options p = rc_predict_options_default();
        lines l = {0};
        predict_ok("odd.safetensors", "odd.csv", &p, &l);
        expected[k] = column(l.line[398], A_EXPECTED);
        drop(&l);
    }
    assert_true(fabs(expected[0] - 50) < 10);
    assert_true(fabs(expected[1] - 1) < 10);
}

/* A channel that stands still, and then moves. */
static void test_constant(void **state) {
    (void)state;
    FILE *f = fopen("flat.csv", "w"), *g = fopen("moves.csv", "w");
    for (int i = 0; i < 300; i++) fputs("7\n", f);
    for (int i = 0; i < 300; i++) fprintf(g, "%d\n", i < 250 ? 7 : 9);
    fclose(f);
    fclose(g);
    const char *const file[] = {"flat.csv"};
    rc_train_options o = detect_options("flat", "flat.safetensors");
    o.files = file;
    o.steps = 60;
    train_ok(&o, NULL);
    rc_predict_options p = rc_predict_options_default();
    lines l = {0};
    predict_ok("flat.safetensors", "moves.csv", &p, &l);
    for (size_t i = 0; i < 250; i++) assert_true(column(l.line[i], ALARM) == 0);
    assert_true(column(l.line[250], ALARM) == 1);
    drop(&l);
}

/* ---- hostile files ----------------------------------------------------------------------------------------------- */

/* Puts `to` for `from` (as long) in a file. */
static bool changed(const char *path, const char *out, const char *from, const char *to) {
    size_t len, n = strlen(from);
    char *data = slurp(path, &len);
    assert_int_equal(n, strlen(to));
    bool found = false;
    for (size_t i = 0; i + n <= len && !found; i++)
        if (memcmp(data + i, from, n) == 0) {
            memcpy(data + i, to, n);
            found = true;
        }
    FILE *f = fopen(out, "wb");
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
    free(data);
    return found;
}

static void test_hostile_models(void **state) {
    (void)state;
    static const char *const changes[][2] = {
        {"\\\"lags\\\":4,", "\\\"lags\\\":0,"},
        {"\\\"lags\\\":4,", "\\\"lags\\\":5,"},
        {"\\\"history\\\":8000", "\\\"history\\\":0   "},
        {"\\\"quiet\\\":50,", "\\\"quiet\\\":-1,"},
        {"\\\"recent\\\":10", "\\\"recent\\\":0 "},
        {"\\\"kind\\\":\\\"forecast\\\"", "\\\"kind\\\":\\\"forecasu\\\""},
        {"\\\"clock\\\":true,", "\\\"clock\\\":17,  "},
        {"\\\"time_style\\\"", "\\\"time_stylo\\\""},
        {"\\\"online_every\\\":8", "\\\"online_every\\\":0"},
        {"\\\"threshold\\\":5.0", "\\\"threshold\\\":nul"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        rc_model *m = NULL;
        rc_error e = {0};
        if (!changed("m.safetensors", "bad.safetensors", changes[i][0], changes[i][1]))
            fail_msg("no %s", changes[i][0]);
        rc_status s = rc_model_load(&m, "bad.safetensors", &e);
        if (s != RC_EMODEL) fail_msg("%s: %s: %s", changes[i][1], rc_status_name(s), e.text);
        assert_null(m);
    }
}

static void test_hostile_states(void **state) {
    (void)state;
    rc_predict_options o = rc_predict_options_default();
    lines l = {0};
    rc_error e;
    size_t len;
    unlink("h.state");
    o.state = "h.state";
    o.online = true;
    predict_ok("m.safetensors", "first.csv", &o, &l);
    drop(&l);
    char *data = slurp("h.state", &len);
    for (size_t n = 0; n < len; n += n < 4000 ? 7 : 4001) { /* prefixes */
        FILE *f = fopen("h.state", "wb");
        fwrite(data, 1, n, f);
        fclose(f);
        rc_status s = predict("m.safetensors", "part.csv", &o, &l, &e);
        if (s != RC_EMODEL && s != RC_EIO) fail_msg("%zu bytes: %s", n, rc_status_name(s));
    }
    free(data);
    unlink("h.state");
    assert_int_equal(predict("m.safetensors", "m.safetensors", &o, &l, &e), RC_EDATA);
    FILE *f = fopen("h.state", "wb");
    fclose(f);
    assert_int_equal(rename("m.safetensors", "h.state"), 0); /* a model is no state */
    assert_int_equal(predict("again.safetensors", "part.csv", &o, &l, &e), RC_EMODEL);
    assert_int_equal(rename("h.state", "m.safetensors"), 0);
    drop(&l);
}

/* Rows in a ring as the network is told them: the newest lag first, squashed, then whether it was there. */
static void test_rows_ring(void **state) {
    (void)state;
    rc__detect_rows r;
    assert_int_equal(rc__detect_rows_new(&r, 1, false, 5, NULL), RC_OK);
    rc__detect_options o = rc__detect_options_default();
    o.channels = 1;
    o.lags = 2;
    o.rnn.hidden_size = 3;
    rc__detect_net *net;
    assert_int_equal(rc__detect_net_new(&net, &o, NULL), RC_OK);
    for (int i = 0; i < 12; i++) {
        rc_real *z, *clock;
        rc__detect_rows_next(&r, &z, &clock);
        *z = (rc_real)sinh((double)i);
    }
    rc_real x[2 * 3], target[2];
    assert_int_equal(net->inputs, 3);
    rc__detect_window(net, &r, 10, 2, 1, 0, x, target);
    assert_true(fabs((double)x[0] - 9) < 1e-4 && fabs((double)x[1] - 8) < 1e-4 && x[2] == 1);
    assert_true(fabs((double)x[3] - 10) < 1e-4 && fabs((double)x[4] - 9) < 1e-4);
    assert_true(fabs((double)target[1] / sinh(11) - 1) < 1e-6);
    rc__detect_net_free(net);
    rc__detect_rows_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_scores_of_a_short_history),
        cmocka_unit_test(test_share_of_alarms),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_cuts_online),
        cmocka_unit_test(test_cuts_autoencoder),
        cmocka_unit_test(test_online_learns),
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_bad_cells),
        cmocka_unit_test(test_eval),
        cmocka_unit_test(test_labels_are_not_learnt),
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_hostile_models),
        cmocka_unit_test(test_hostile_states),
        cmocka_unit_test(test_rows_ring),
    };
    return cmocka_run_group_tests(tests, setup, leave_work);
}
