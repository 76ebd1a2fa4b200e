/* Classifiers and regressors: they learn, and what must not matter does not: saving, batches, padding, threads, a stop. */
#include "classify_helper.h"

#include <jansson.h>

#include "base/mem.h"
#include "damaged_model.h"
#include "tasks/classify.h"
#include "temporary.h"

static const char *const texts[] = {"texts.txt"}, *const several[] = {"several.txt"}, *const series[] = {"series.ts"},
                  *const slopes[] = {"slopes.ts"}, *const machines[] = {"machines.csv"};

static int enter(void **state) {
    (void)state; /* in memory where there is such a folder: hundreds of files are written and waited for */
    TEMPORARY_NAME(work, temporary_memory(), "classify");
    if (!mkdtemp(work) || chdir(work)) return -1;
    write_texts("texts.txt", 300, 1);
    write_texts("texts-test.txt", 100, 2);
    write_several("several.txt", 120, 1);
    write_several("several-test.txt", 60, 2);
    write_series("series.ts", 120, 1, false);
    write_series("series-test.ts", 60, 2, false);
    write_series("slopes.ts", 120, 1, true);
    write_series("slopes-test.ts", 60, 2, true);
    write_machines("machines.csv", 20, 1);
    write_machines("machines-test.csv", 10, 2);
    return 0;
}

/* The five kinds of model. */
enum { TEXT, SEVERAL, SERIES, SLOPES, MACHINES, KINDS };
static const char *const tests[] = {"texts-test.txt", "several-test.txt", "series-test.ts", "slopes-test.ts",
                                    "machines-test.csv"};

static rc_train_options options_of(int kind, const char *run) {
    const char *const *const files[] = {texts, several, series, slopes, machines};
    rc_train_options o = small(kind < SLOPES ? "classify" : "regress", files[kind], run);
    if (kind == SEVERAL) o.data.label_separator = "|";
    if (kind == SERIES) o.data.numeric = o.mask = true;
    if (kind == MACHINES) o.data.id = "machine", o.data.time = "hour", o.data.target = "left", o.window = 6, o.target_cap = 15;
    return o;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void learns(void **state) {
    (void)state;
    static const struct {
        int kind;
        double epochs;
        const char *key;
        double least, most;
    } cases[] = {{TEXT, 25, "accuracy", 0.9, 1},
                 {SEVERAL, 15, "micro_f1", 0.97, 1},
                 {SERIES, 15, "accuracy", 0.95, 1},
                 {SLOPES, 30, "rmse", 0, 0.4}, /* the deviation of slopes is 1.4 */
                 {MACHINES, 15, "rmse", 0, 2.2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char run[32];
        snprintf(run, sizeof run, "learn%zu", i);
        rc_train_options o = options_of(cases[i].kind, run);
        o.steps = 0;
        o.epochs = cases[i].epochs;
        o.out = "m.safetensors";
        if (cases[i].kind == MACHINES) o.target_cap = 0;
        rc_train_result r = train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        double v = scored(m, tests[cases[i].kind], cases[i].key);
        if (!(v >= cases[i].least && v <= cases[i].most)) fail_msg("case %zu: %s %g (validation %g)", i, cases[i].key, v, r.accuracy);
        assert_string_equal(r.measure, i < 1 || i == 2 ? "accuracy" : i == 1 ? "micro F1" : "RMSE");
        assert_true(isfinite(r.accuracy) && isfinite(r.valid_loss));
        rc_model_free(m);
    }
}

/* What is said of the result is what eval says of the same examples. */
static void tells_the_truth(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        char run[32];
        snprintf(run, sizeof run, "truth%d", kind);
        rc_train_options o = options_of(kind, run);
        static const char *const keys[] = {"accuracy", "micro_f1", "accuracy", "rmse", "rmse"};
        o.valid = tests[kind];
        o.out = "m.safetensors";
        rc_train_result r = train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        double v = scored(m, tests[kind], keys[kind]);
        if (fabs(v - r.accuracy) > 1e-9) fail_msg("kind %d: %.12g while training, %.12g after", kind, r.accuracy, v);
        if (kind == TEXT) assert_true(fabs(scored(m, tests[kind], "log_loss") - r.valid_loss) < 1e-5);
        rc_model_free(m);
    }
}

/* ---- files, batches, threads, stops ------------------------------------------------------------------------------- */

static void save_and_load(const rc_train_options *o, const char *test, const char *what) {
    train_ok(o, NULL);
    rc_model *m = load(o->out), *again;
    rc_predict_options po = exact();
    OK(rc_model_save(m, "again.safetensors", NULL, &E));
    assert_same_file(o->out, "again.safetensors");
    again = load("again.safetensors");
    lines a = predict(m, test, &po), b = predict(again, test, &po);
    same_lines(what, a, b);
    free(b.text);
    for (int64_t batch = 1; batch <= 7; batch += 3) { /* alone and among others: less and more padding */
        po.batch = batch;
        b = predict(m, test, &po);
        same_lines(what, a, b);
        free(b.text);
    }
    free(a.text);
    rc_model_free(m);
    rc_model_free(again);
}

static void every_encoder(void **state) {
    (void)state;
    static const char *const chars[] = {"none", "cnn", "lstm", "gru"}, *const pools[] = {"", "max", "last+attention", "mean+max"};
    size_t cells = rc_cell_count();
    for (size_t k = 0; k < cells + 2; k++) {
        const char *encoder = k < cells ? rc_cell_at(k)->name : k == cells ? "cnn" : "bow";
        char run[64], what[100];
        snprintf(run, sizeof run, "enc-%s", encoder);
        int kind = k % 3 == 1 ? SERIES : k % 3 == 2 ? SEVERAL : TEXT;
        rc_train_options o = options_of(k >= cells ? TEXT : kind, run);
        o.encoder = encoder;
        o.steps = 4;
        o.bidirectional = k % 2;
        o.layers = 1 + (int64_t)(k % 2);
        o.chars = o.data.numeric ? "none" : chars[k % 4];
        o.pool = k < cells ? pools[k % 4] : "";
        o.out = "m.safetensors";
        snprintf(what, sizeof what, "%s, chars %s, pool %s", encoder, o.chars, o.pool);
        save_and_load(&o, tests[k >= cells ? TEXT : kind], what);
    }
    for (int kind = SLOPES; kind < KINDS; kind++) {
        rc_train_options o = options_of(kind, kind == SLOPES ? "enc-slopes" : "enc-machines");
        o.out = "m.safetensors";
        save_and_load(&o, tests[kind], "regress");
    }
    rc_train_options pairs = options_of(TEXT, "bow-chars"); /* pairs of words have no characters */
    pairs.encoder = "bow";
    pairs.chars = "cnn";
    pairs.out = "m.safetensors";
    save_and_load(&pairs, tests[TEXT], "bow, chars cnn");
    for (int v = 0; v < 3; v++) {
        static const char *const vocabs[] = {"char", "bpe:270", "byte"}, *const runs[] = {"v-char", "v-bpe", "v-byte"};
        rc_train_options o = options_of(TEXT, runs[v]);
        o.vocab = vocabs[v];
        o.out = "m.safetensors";
        save_and_load(&o, tests[TEXT], vocabs[v]);
    }
}

static void threads(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind += 2)
        for (int64_t n = 1; n <= 4; n++) {
            char run[32], out[2][40];
            snprintf(run, sizeof run, "threads%d-%d", kind, (int)n);
            snprintf(out[0], sizeof out[0], "threads%d-1.safetensors", kind);
            snprintf(out[1], sizeof out[1], "threads%d-%d.safetensors", kind, (int)n);
            rc_train_options o = options_of(kind, run);
            o.threads = n;
            o.chars = kind == TEXT ? "lstm" : "none";
            o.out = out[1];
            train_ok(&o, NULL);
            rc_model *a = load(out[0]), *b = load(out[1]); /* the provenance tells the number of threads */
            rc_params *p = rc_model_params(a), *q = rc_model_params(b);
            assert_memory_equal(rc_params_values(p), rc_params_values(q), rc_params_block_len(p) * sizeof(rc_real));
            rc_model_free(a), rc_model_free(b);
        }
    OK(rc_set_threads(1, &E));
}

/* Stopped anywhere and resumed: the bits of a run that was not. */
static void resumes(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (uint64_t at = 3; at <= 20; at += 17) {
            char run[2][40];
            snprintf(run[0], sizeof run[0], "whole%d-%d", kind, (int)at);
            snprintf(run[1], sizeof run[1], "stopped%d-%d", kind, (int)at);
            rc_train_options o = options_of(kind, run[0]), go;
            o.chars = kind == TEXT ? "cnn" : "none";
            o.steps = 40;
            o.average = "ema";
            o.valid_every = 9;
            train_ok(&o, NULL);
            rc_train_hooks hooks = {.ctx = &at, .on_step = stop_at};
            rc_train_result r;
            o.run = run[1];
            FAILS(RC_EINTERRUPTED, "step", rc_train(&o, &hooks, &r, &E));
            OK(rc_train_options_for(o.task, &go, &E));
            go.resume = run[1];
            train_ok(&go, NULL);
            char model[2][100];
            for (int i = 0; i < 2; i++) snprintf(model[i], sizeof model[i], "%s/model.safetensors", run[i]);
            rc_model *a = load(model[0]), *b = load(model[1]);
            rc_params *p = rc_model_params(a), *q = rc_model_params(b);
            if (memcmp(rc_params_values(p), rc_params_values(q), rc_params_block_len(p) * sizeof(rc_real)) != 0)
                fail_msg("kind %d, stopped at %d: other weights", kind, (int)at);
            rc_model_free(a), rc_model_free(b);
        }
    /* other data under the same name are noticed */
    rc_train_options o = options_of(SLOPES, "changed"), go;
    const char *const copy[] = {"copy.ts"};
    uint64_t at = 5;
    rc_train_hooks hooks = {.ctx = &at, .on_step = stop_at};
    rc_train_result r;
    write_series("copy.ts", 120, 1, true);
    o.files = copy;
    FAILS(RC_EINTERRUPTED, "step", rc_train(&o, &hooks, &r, &E));
    write_series("copy.ts", 120, 3, true);
    OK(rc_train_options_for("regress", &go, &E));
    go.resume = "changed";
    FAILS(RC_EDATA, "training examples", rc_train(&go, NULL, &r, &E));
}

/* ---- damaged models ------------------------------------------------------------------------------------------------ */

static rc_status predict_all(rc_model *m, const char *test, rc_error *e) {
    lines l = {0};
    rc_sink sink = {&l, take_line};
    rc_status s = rc_model_predict(m, test, NULL, &sink, e);
    free(l.text);
    return s;
}

static void damaged_documents(void **state) {
    (void)state;
    static const char *const needed[KINDS][12] = {
        [TEXT] = {"model", "lexicon", "labels", "data", "encoder", "words", "input", "answer", "hidden_size", "max_len"},
        [SEVERAL] = {"threshold", "labels", "kind", "embedding_size"},
        [SERIES] = {"scaler", "mask", "window", "shift", "scale", "channels"},
        [SLOPES] = {"target_mean", "target_scale", "target_cap"},
        [MACHINES] = {"window"}};
    for (int kind = 0; kind < KINDS; kind++) {
        char run[32];
        snprintf(run, sizeof run, "damaged%d", kind);
        rc_train_options o = options_of(kind, run);
        o.out = "good.safetensors";
        o.steps = 2;
        o.encoder = kind == SEVERAL ? "cnn" : "lstm";
        o.chars = kind == TEXT ? "cnn" : "none";
        train_ok(&o, NULL);
        parts all = take_apart("good.safetensors"), *whole = &all;
        json_t *doc = all.doc;
        json_object_set_new(doc, "provenance", json_object()); /* long, and only kept */
        assert_true(damage(whole, doc, 0, predict_all, tests[kind]) > 300);
        /* what the network cannot do without */
        json_t *places[5] = {doc, json_object_get(doc, "model"), json_object_get(json_object_get(doc, "model"), "encoder"),
                             json_object_get(json_object_get(doc, "model"), "words"), json_object_get(doc, "scaler")};
        for (int k = 0; needed[kind][k]; k++) {
            json_t *in = NULL;
            for (int p = 0; p < 5 && !in; p++) in = json_object_get(places[p], needed[kind][k]) ? places[p] : NULL;
            assert_non_null(in);
            json_t *old = json_incref(json_object_get(in, needed[kind][k]));
            json_object_del(in, needed[kind][k]);
            put_together(whole, "damaged.safetensors");
            try_damaged("without what is needed", needed[kind][k], true, predict_all, tests[kind]);
            json_object_set_new(in, needed[kind][k], old);
        }
        leave_parts(whole);
    }
}

/* ---- data that is wrong -------------------------------------------------------------------------------------------- */

static void put(const char *path, const char *text) {
    FILE *f = open_to_write(path);
    fputs(text, f);
    fclose(f);
}

static void wrong_data(void **state) {
    (void)state;
    static const struct {
        const char *task, *text;
        bool numeric;
        const char *label, *id, *time, *target, *word;
    } cases[] = {
        {"classify", "a\tthe film was great\na\ta dull film\na\tnot so good\n", false, NULL, NULL, NULL, NULL, "every label is the same"},
        {"classify", "", false, NULL, NULL, NULL, NULL, "bad.txt"},
        {"classify", "a\tthe film was great\nb\ta dull film\na\tnot so good\tor\n", false, NULL, NULL, NULL, NULL, "line 3"},
        {"classify", "l,v\na,1\nb,2\n", true, NULL, NULL, NULL, NULL, "--label"},
        {"classify", "l,v\na,1\nb,x\n", true, "l", NULL, NULL, NULL, "no column of numbers"},
        {"classify", "l,v\na,1\na,2\n", true, "l", NULL, NULL, NULL, "every class is the same"},
        {"classify", "l,i,v\na,1,1\na,2,2\nb,1,3\n", true, "l", "i", NULL, NULL, "sort the file by series"},
        {"classify", "l,i,v\na,1,1\nb,1,2\na,2,3\n", true, "l", "i", NULL, NULL, "line 3: expected the label"},
        {"classify", "l,i,t,v\na,1,2,1\na,1,1,2\nb,2,1,3\n", true, "l", "i", "t", NULL, "comes after"},
        {"classify", "l,i,t,v\na,1,2020-01-02,1\na,1,2020-01-02,2\nb,2,2020-01-01,3\n", true, "l", "i", "t", NULL, "line 3"},
        {"classify", "l,i,t,v\na,1,2020-01-02,1\na,1,,2\nb,2,2020-01-01,3\n", true, "l", "i", "t", NULL, "without one"},
        {"classify", "l,i,t,v\na,1,x,1\na,1,y,2\nb,2,z,3\n", true, "l", "i", "t", NULL, "found texts"},
        {"classify", "l,v\na,1e39\nb,2\n", true, "l", NULL, NULL, NULL, "line 2"},
        {"regress", "v,y\n1,2\n3,4\n", true, NULL, NULL, NULL, NULL, "--target"},
        {"regress", "v,y\n1,2\n3,4\n", true, NULL, NULL, NULL, "z", "z"},
        {"regress", "v,y\n1,q\n3,4\n", true, NULL, NULL, NULL, "y", "line 2"},
    };
    static const char *const file[] = {"bad.txt"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("bad.txt", cases[i].text);
        rc_train_options o = small(cases[i].task, file, "wrong");
        rc_train_result r;
        o.data.numeric = cases[i].numeric;
        if (o.data.numeric) o.data.header = "yes";
        o.data.label = cases[i].label;
        o.data.id = cases[i].id;
        o.data.time = cases[i].time;
        o.data.target = cases[i].target;
        size_t before = rc_memory_used();
        rc_status s = rc_train(&o, NULL, &r, &E);
        if ((s != RC_EDATA && s != RC_EINVAL) || !strstr(E.text, cases[i].word))
            fail_msg("case %zu: %s: %s", i, rc_status_name(s), E.text);
        assert_int_equal(rc_memory_used(), before);
        assert_int_not_equal(access("wrong", F_OK), 0); /* no folder of a run that cannot be */
    }
    rc_train_options o = small("classify", texts, "wrong");
    rc_train_result r;
    o.pool = "last+";
    FAILS(RC_EINVAL, "pool", rc_train(&o, NULL, &r, &E));
    o.pool = "last", o.encoder = "cnn";
    FAILS(RC_EINVAL, "last", rc_train(&o, NULL, &r, &E));
    o.pool = "max", o.kernels = "3,x";
    FAILS(RC_EINVAL, "kernels", rc_train(&o, NULL, &r, &E));
    o = small("classify", texts, "wrong");
    o.vocab = "word:0";
    FAILS(RC_EINVAL, "word:0", rc_train(&o, NULL, &r, &E));
    o.vocab = "char", o.chars = "cnn";
    FAILS(RC_EINVAL, "chars", rc_train(&o, NULL, &r, &E));
    o = small("classify", several, "wrong");
    o.data.label_separator = "|", o.class_weights = "balanced";
    FAILS(RC_EINVAL, "balanced", rc_train(&o, NULL, &r, &E));
}

/* Labels that training did not have are wrong answers; a file with no other has nothing to compare. */
static void unknown_labels(void **state) {
    (void)state;
    rc_train_options o = options_of(TEXT, "unknown");
    char *json;
    size_t len;
    o.out = "m.safetensors";
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    put("half.txt", "good\tgreat film\nnew\tgreat film\n");
    double all = scored(m, "half.txt", "accuracy");
    assert_true(all == 0.5 || all == 0);
    assert_true(scored(m, "half.txt", "unknown_labels") == 1);
    put("none.txt", "new\tgreat film\nold\tgreat film\n");
    FAILS(RC_EDATA, "none of its 2 labels", rc_model_eval(m, "none.txt", NULL, &json, &len, &E));
    rc_model_free(m);
    o = options_of(MACHINES, "unknown2");
    o.out = "m.safetensors";
    train_ok(&o, NULL);
    m = load("m.safetensors");
    put("none.csv", "machine,hour,heat,noise,left\na,1,2,3,NA\n");
    FAILS(RC_EDATA, "target", rc_model_eval(m, "none.csv", NULL, &json, &len, &E));
    put("few.csv", "machine,hour,heat,left\na,1,2,3\n");
    FAILS(RC_EINVAL, "noise", rc_model_eval(m, "few.csv", NULL, &json, &len, &E));
    rc_model_free(m);
}

/* --missing names more words for what is not there. */
static void missing_words(void **state) {
    (void)state;
    static const char *const file[] = {"gaps.csv"};
    put("gaps.csv", "l,v,w\na,1,2\nb,gone,3\na,2,off\nb,4,5\na,1,1\nb,5,6\n");
    rc_train_options o = small("classify", file, "gaps");
    rc_train_result r;
    o.data.numeric = true;
    o.data.label = "l";
    o.data.header = "yes";
    o.data.inputs = "v,w";
    o.valid_fraction = 0;
    FAILS(RC_EDATA, "line", rc_train(&o, NULL, &r, &E));
    o.data.missing = "gone,off";
    train_ok(&o, NULL);
}

/* ---- what another model, or a file of vectors, knows ------------------------------------------------------------------ */

static bool same_values(const rc_params *a, const char *name_a, const rc_params *b, const char *name_b) {
    const rc_param *p = rc_params_find(a, name_a), *q = rc_params_find(b, name_b);
    if (!p || !q) fail_msg("%s or %s is missing", name_a, name_b);
    assert_int_equal(p->len, q->len);
    return memcmp(p->w, q->w, p->len * sizeof *p->w) == 0;
}

/* Layers join from the top, each a tenth of the run later; a stop in between changes nothing of that. */
static void from_a_language_model(void **state) {
    (void)state;
    static const char *const file[] = {"words.txt"}, *const names[][2] = {{"encoder.weight_hh_l1", "rnn.weight_hh_l1"},
                                                                          {"encoder.weight_hh_l0", "rnn.weight_hh_l0"},
                                                                          {"words.embedding.weight", "embedding.weight"}};
    write_text("words.txt", 3000, 4);
    rc_train_options lo = small_options("lm");
    lo.files = file;
    lo.vocab = "word";
    lo.layers = 2;
    lo.embedding = 5;
    lo.steps = 10;
    lo.quiet = true;
    lo.out = "lm.safetensors";
    train_ok(&lo, NULL);
    rc_lm *lm = NULL;
    OK(rc_lm_load(&lm, "lm.safetensors", &E));
    for (uint64_t stop = 0; stop <= 24; stop += 6) { /* of 40 steps: from 4, 8 and 12 on they learn */
        char run[32];
        snprintf(run, sizeof run, "from-lm%d", (int)stop);
        rc_train_options o = options_of(TEXT, run);
        o.from = "lm.safetensors";
        o.steps = stop ? (int64_t)stop : 1;
        if (stop) o.steps = 40;
        o.average = "none";
        o.valid_fraction = 0;
        o.out = "m.safetensors";
        rc_train_hooks hooks = {.ctx = &stop, .on_step = stop ? stop_at : NULL};
        rc_train_result r;
        rc_status s = rc_train(&o, &hooks, &r, &E);
        assert_int_equal(s, stop ? RC_EINTERRUPTED : RC_OK);
        if (stop) { /* the checkpoint's weights, by a run of no more steps */
            rc_train_options go;
            OK(rc_train_options_for("classify", &go, &E));
            go.resume = run;
            go.steps = (int64_t)stop;
            train_ok(&go, NULL);
        }
        rc_model *m = load("m.safetensors");
        for (int i = 0; i < 3; i++) {
            bool same = same_values(rc_model_params(m), names[i][0], rc_lm_params(lm), names[i][1]);
            if (same != (stop <= 4 * ((uint64_t)i + 1))) fail_msg("after %d steps %s is %s", (int)stop, names[i][0], same ? "as it was" : "another");
        }
        rc_model_free(m);
    }
    rc_lm_free(lm);
    rc_train_options o = options_of(SERIES, "from-lm-bad");
    rc_train_result r;
    o.from = "lm.safetensors";
    FAILS(RC_EINVAL, "not numbers", rc_train(&o, NULL, &r, &E));
    o = options_of(SLOPES, "from-lm-bad");
    o.from = "lm.safetensors";
    FAILS(RC_EINVAL, "", rc_train(&o, NULL, &r, &E));
}

/* A classifier goes on: at rate 0 it stays what it was; its labels are those of the new data. */
static void from_a_classifier(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        char run[2][32];
        snprintf(run[0], sizeof run[0], "first%d", kind);
        snprintf(run[1], sizeof run[1], "second%d", kind);
        rc_train_options o = options_of(kind, run[0]);
        o.out = "m.safetensors";
        train_ok(&o, NULL);
        const char *const more[] = {tests[kind]};
        o = options_of(kind, run[1]);
        o.files = more;
        o.from = "m.safetensors";
        o.lr_groups = "*=0";
        o.hidden = 20; /* the model's own are kept */
        o.out = "again.safetensors";
        train_ok(&o, NULL);
        rc_model *a = load("m.safetensors"), *b = load("again.safetensors");
        rc_predict_options po = exact();
        lines x = predict(a, tests[kind], &po), y = predict(b, tests[kind], &po);
        same_lines("goes on", x, y);
        free(x.text), free(y.text);
        rc_model_free(a), rc_model_free(b);
    }
    rc_train_options o = options_of(TEXT, "third");
    rc_train_result r;
    static const char *const other[] = {"other.txt"};
    put("other.txt", "fair\tthe film was there\ngood\tthe film was great\n");
    o.files = other;
    o.from = "m.safetensors"; /* a regressor */
    FAILS(RC_EINVAL, "a regressor", rc_train(&o, NULL, &r, &E));
    rc_train_options first = options_of(TEXT, "fourth");
    first.out = "m.safetensors";
    train_ok(&first, NULL);
    FAILS(RC_EDATA, "1 labels", rc_train(&o, NULL, &r, &E));
}

static const rc_real *row_of(const rc_model *m, const char *word) {
    const rc__classifier *c = (const rc__classifier *)m;
    int32_t id = rc__strtab_find(&c->lexicon.tokens->entries, word, strlen(word));
    assert_true(id >= 0);
    return rc_params_find(m->params, "words.embedding.weight")->w + 3 * (size_t)id;
}

static void word_vectors(void **state) {
    (void)state;
    put("v.txt", "great 1 2 3\nawful -1 -2 -3\nunheard 9 9 9\n");
    for (int frozen = 0; frozen < 2; frozen++) {
        rc_train_options o = options_of(TEXT, frozen ? "vectors1" : "vectors0");
        o.vectors = "v.txt";
        o.freeze_vectors = frozen;
        o.steps = 5;
        o.out = "m.safetensors";
        train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        assert_int_equal(rc_params_find(rc_model_params(m), "words.embedding.weight")->dim[1], 3);
        for (int k = 0; k < 3; k++) {
            double great = (double)row_of(m, "great")[k], awful = (double)row_of(m, "awful")[k];
            assert_true(fabs(great - (k + 1)) < 0.2 && fabs(awful + (k + 1)) < 0.2); /* near where they began ... */
            assert_true((great == k + 1 && awful == -(k + 1)) == frozen);          /* ... or there */
        }
        rc_model_free(m);
    }
    rc_train_options o = options_of(TEXT, "vectors2");
    rc_train_result r;
    o.freeze_vectors = true;
    FAILS(RC_EINVAL, "vectors", rc_train(&o, NULL, &r, &E));
    o.vectors = "v.txt", o.vocab = "char";
    FAILS(RC_EINVAL, "char", rc_train(&o, NULL, &r, &E));
    put("v.txt", "great 1 2 3\nawful -1 -2\n");
    o.vocab = "word";
    FAILS(RC_EDATA, "line 2", rc_train(&o, NULL, &r, &E));
}

/* ---- what is said ---------------------------------------------------------------------------------------------------- */

static char said[8000];
static void hear(void *ctx, const char *line) {
    (void)ctx;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static void reports(void **state) {
    (void)state;
    static const struct {
        int kind;
        const char *lines[5];
    } cases[] = {
        {TEXT, {"1 text is empty: line 8\n", "texts come more than once\n", "\nbaseline: bag of words and pairs, accuracy 0."}},
        {SERIES, {"\nmissing: ", " of ", "\nbaseline: nearest neighbour (DTW), accuracy "}},
        {SLOPES, {"--mask tells the model which", "\nbaseline: the mean, RMSE 1.", "\nbaseline: nearest neighbour (DTW), RMSE "}},
        {MACHINES, {"channels: 2\n", "to 6 steps", "\nbaseline: the mean, RMSE "}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char run[32];
        snprintf(run, sizeof run, "reports%zu", i);
        rc_train_options o = options_of(cases[i].kind, run);
        rc_train_hooks hooks = {.on_message = hear};
        o.quiet = false;
        said[0] = 0;
        train_ok(&o, &hooks);
        for (int k = 0; k < 5 && cases[i].lines[k]; k++)
            if (!strstr(said, cases[i].lines[k])) fail_msg("\"%s\" was not said:\n%s", cases[i].lines[k], said);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void answers(void **state) {
    (void)state;
    rc_train_options o = options_of(TEXT, "answers");
    o.out = "m.safetensors";
    o.epochs = 25, o.steps = 0;
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    put("in.txt", "a lovely film, we saw it\nawful\n\nnot great \"at, all\"\n");
    rc_predict_options po = rc_predict_options_default();
    lines l = predict(m, "in.txt", &po);
    assert_int_equal(l.n, 4); /* an empty line has an answer too */
    assert_int_equal(strncmp(l.text, "good\t", 5), 0);
    free(l.text);
    po.csv = true;
    po.top_k = 5; /* more than there are */
    l = predict(m, "in.txt", &po);
    assert_int_equal(l.n, 5);
    assert_int_equal(strncmp(l.text, "label,probability,label_2,probability_2\ngood,0.", 46), 0);
    free(l.text);
    po = rc_predict_options_default();
    po.batch = 0; /* taken for the usual one */
    l = predict(m, "in.txt", &po);
    assert_int_equal(l.n, 4);
    free(l.text);
    /* reasons: the word that tells weighs most, and each word of the input is there once */
    po.json = true;
    lines why = {0};
    rc_sink sink = {&why, take_line};
    OK(rc_model_reasons(m, "in.txt", &po, &sink, &E));
    assert_int_equal(why.n, 4);
    json_t *first = json_loads(strtok(why.text, "\n"), 0, NULL), *words = json_object_get(first, "words");
    assert_int_equal(json_array_size(words), 7);
    double most = -INFINITY;
    const char *best = "";
    for (size_t i = 0; i < 7; i++) {
        double w = json_real_value(json_object_get(json_array_get(words, i), "weight"));
        if (w > most) most = w, best = json_string_value(json_object_get(json_array_get(words, i), "word"));
    }
    assert_string_equal(best, "lovely");
    json_decref(first);
    free(why.text);
    /* a sink that has enough ends the work */
    rc_model_free(m);
    o = options_of(SEVERAL, "answers2");
    o.out = "m.safetensors";
    o.epochs = 15, o.steps = 0;
    train_ok(&o, NULL);
    m = load("m.safetensors");
    put("in.txt", "a red thing with blue dots\na plain thing and so on\n");
    po = rc_predict_options_default();
    po.csv = true;
    l = predict(m, "in.txt", &po);
    assert_int_equal(l.n, 3);
    assert_non_null(strstr(l.text, "labels,probabilities\n"));
    assert_true(strstr(l.text, "red|blue,0.") || strstr(l.text, "blue|red,0."));
    assert_non_null(strstr(l.text, "\n,\n"));
    free(l.text);
    po.threshold = 0.0;
    po.csv = false;
    l = predict(m, "in.txt", &po);
    assert_true(strstr(strchr(l.text, '\n'), "red") && strstr(strchr(l.text, '\n'), "blue"));
    free(l.text);
    rc_model_free(m);
}

/* Texts longer than max_len are cut, in training and in use alike. */
static void cut_texts(void **state) {
    (void)state;
    rc_train_options o = options_of(TEXT, "cut");
    o.max_len = 2;
    o.out = "m.safetensors";
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    rc_predict_options po = exact();
    put("in.txt", "great film\ngreat film was there, and awful\n");
    lines l = predict(m, "in.txt", &po);
    size_t half = (size_t)(strchr(l.text, '\n') - l.text) + 1;
    assert_true(l.len == 2 * half && memcmp(l.text, l.text + half, half) == 0);
    free(l.text);
    rc_model_free(m);
}

int main(void) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(learns),         cmocka_unit_test(tells_the_truth),   cmocka_unit_test(every_encoder),
        cmocka_unit_test(threads),        cmocka_unit_test(resumes),           cmocka_unit_test(damaged_documents),
        cmocka_unit_test(wrong_data),     cmocka_unit_test(unknown_labels),    cmocka_unit_test(missing_words),
        cmocka_unit_test(answers),        cmocka_unit_test(cut_texts),         cmocka_unit_test(from_a_language_model),
        cmocka_unit_test(from_a_classifier), cmocka_unit_test(word_vectors),   cmocka_unit_test(reports)};
    return cmocka_run_group_tests(all, enter, leave_work);
}
