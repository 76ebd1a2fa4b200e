/* Answers about stories: what each network learns of a made-up world, its file, resuming, threads, batches,
 * predictions. */
#include "classify_helper.h"

#include "base/json.h"
#include "failing.h"
#include "formats/params_file.h"
#include "formats/safetensors.h"
#include "tasks/answer.h"

static const char *const files[] = {"data_train.txt", "two_train.txt"};

/* ---- a world ----------------------------------------------------------------------------------------------------- */

/* People go to places; where somebody is, is where they went last. who: their names are in the questions of the first
 * world; the second asks whether somebody is at a place. */
static void write_world(const char *path, int stories, uint64_t seed, bool yes_no, const char *form) {
    static const char *const people[] = {"Ann", "Bert", "Cleo"}, *const places[] = {"park", "attic", "shop", "river"};
    static const char *const verbs[] = {"went to", "walked to", "is now in"};
    FILE *f = open_to_write(path);
    rc_rng r = rc_rng_make(seed, 7);
    for (int s = 0; s < stories; s++) {
        int at[3] = {-1, -1, -1}, number = 1, told = 2 + (int)rc_rng_below(&r, 4);
        if (!strcmp(form, "jsonl")) fputs("{\"story\": [", f);
        for (int i = 0; i < told; i++) {
            size_t who = (size_t)rc_rng_below(&r, 3), where = (size_t)rc_rng_below(&r, 4);
            const char *verb = verbs[rc_rng_below(&r, 3)];
            at[who] = (int)where;
            if (!strcmp(form, "jsonl"))
                fprintf(f, "%s\"%s %s the %s.\"", i ? ", " : "", people[who], verb, places[where]);
            else if (!strcmp(form, "plain"))
                fprintf(f, "%s %s the %s.\n", people[who], verb, places[where]);
            else
                fprintf(f, "%d %s %s the %s.\n", number++, people[who], verb, places[where]);
        }
        size_t who = 0;
        do who = (size_t)rc_rng_below(&r, 3);
        while (at[who] < 0);
        char question[80];
        const char *answer = places[at[who]];
        snprintf(question, sizeof question, "Where is %s?", people[who]);
        if (yes_no) {
            size_t where = rc_rng_below(&r, 2) ? (size_t)at[who] : (size_t)rc_rng_below(&r, 4);
            snprintf(question, sizeof question, "Is %s in the %s?", people[who], places[where]);
            answer = (int)where == at[who] ? "yes" : "no";
        }
        if (!strcmp(form, "jsonl"))
            fprintf(f, "], \"question\": \"%s\", \"answer\": \"%s\"}\n", question, answer);
        else if (!strcmp(form, "plain"))
            fprintf(f, "%s\t%s\n\n", question, answer);
        else
            fprintf(f, "%d %s\t%s\n", number, question, answer);
    }
    fclose(f);
}

static rc_train_options world(const char *model, const char *run) {
    rc_train_options o;
    OK(rc_train_options_for("answer", &o, &E));
    o.files = files;
    o.n_files = 1;
    o.model = model;
    o.run = run;
    o.out = "m.safetensors";
    o.embedding = 12;
    o.restarts = 3;
    o.ensemble = 1;
    o.hops = 3;
    o.blocks = 4;
    o.hidden = 16;
    o.lr = 0.01;
    o.epochs = 60;
    o.batch = 8;
    o.threads = 1;
    o.quiet = true;
    return o;
}

static const char *const models[] = {"memory", "query", "entity", "recurrent"};

static void learns(void **state) {
    (void)state;
    write_world("data_train.txt", 250, 1, false, "babi");
    write_world("data_test.txt", 100, 2, false, "babi");
    static const double most[] = {5, 5, 15, 65}; /* the last is there to compare with: guessing is wrong in 75 */
    for (int k = 0; k < 4; k++) {
        char run[16];
        snprintf(run, sizeof run, "learn%d", k);
        rc_train_options o = world(models[k], run);
        if (k == 2) o.embedding = 32, o.epochs = 120;
        train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        double error = scored(m, "data_test.txt", "mean_error");
        if (!(error <= most[k])) fail_msg("%s: error %g %%", models[k], error);
        rc_model_free(m);
    }
}

static void options_make_networks(void **state) {
    (void)state;
    write_world("data_train.txt", 150, 1, false, "jsonl");
    write_world("data_test.txt", 60, 2, false, "plain");
    static const double most[] = {40, 45, 25, 5}; /* guessing is wrong in 75; the second knows no order */
    for (int k = 0; k < 4; k++) {
        char run[16];
        snprintf(run, sizeof run, "kind%d", k);
        rc_train_options o = world("memory", run);
        if (k == 0) o.tying = "layer";
        if (k == 1) o.encoding = "bow", o.temporal = false, o.hops = 1, o.linear_start = 0;
        if (k == 2) o.memory = 3, o.ensemble = 3, o.valid_fraction = 0;
        if (k == 3) o.model = "query", o.encoding = "bow", o.hops = 1, o.dropout = 0.1;
        train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        double error = scored(m, "data_test.txt", "mean_error");
        if (!(error <= most[k])) fail_msg("%d: error %g %%", k, error);
        char text[800];
        assert_true(rc_model_explain(m, 4, 9, text, sizeof text) > 20);
        rc_model_free(m);
    }
}

static void several_files(void **state) {
    (void)state;
    write_world("data_train.txt", 250, 1, false, "babi");
    write_world("two_train.txt", 400, 2, true, "babi");
    write_world("data_test.txt", 80, 3, false, "babi");
    write_world("two_test.txt", 80, 4, true, "babi");
    rc_train_options o = world("memory", "several");
    o.n_files = 2;
    o.embedding = 20;
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    rc_eval_options eo = rc_eval_options_default();
    static const char *const more[] = {"two_test.txt"};
    char *json = NULL;
    size_t len = 0;
    json_t *doc = NULL;
    eo.more = more;
    eo.n_more = 1;
    OK(rc_model_eval(m, "data_test.txt", &eo, &json, &len, &E));
    OK(rc__json_parse(json, len, "eval", &doc, &E));
    json_t *tasks = json_object_get(doc, "tasks"), *a = json_array_get(tasks, 0), *b = json_array_get(tasks, 1);
    assert_int_equal(json_array_size(tasks), 2);
    assert_string_equal(json_string_value(json_object_get(a, "task")), "data");
    assert_string_equal(json_string_value(json_object_get(b, "task")), "two");
    double ea = json_real_value(json_object_get(a, "error")), eb = json_real_value(json_object_get(b, "error"));
    assert_true(ea <= 10 && eb <= 35);
    assert_true(fabs(json_real_value(json_object_get(doc, "mean_error")) - (ea + eb) / 2) < 1e-12);
    assert_int_equal(json_integer_value(json_object_get(doc, "failed_tasks")), (ea > 5) + (eb > 5));
    assert_int_equal(json_integer_value(json_object_get(doc, "questions")), 160);
    json_decref(doc);
    rc_text_free(json, len);
    rc_model_free(m);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

static rc_train_options short_run(const char *model, const char *run) {
    rc_train_options o = world(model, run);
    o.epochs = 0;
    o.steps = 24;
    o.batch = 8;
    o.valid_fraction = 0;
    o.schedule = "constant";
    return o;
}

static void same_weights(const char *a, const char *b) {
    rc_model *x = load(a), *y = load(b);
    rc_params *p = rc_model_params(x), *q = rc_model_params(y);
    assert_int_equal(rc_params_block_len(p), rc_params_block_len(q));
    assert_memory_equal(rc_params_values(p), rc_params_values(q), rc_params_block_len(p) * sizeof(rc_real));
    rc_model_free(x);
    rc_model_free(y);
}

static void resumed_and_in_threads(void **state) {
    (void)state;
    write_world("data_train.txt", 60, 1, false, "babi");
    for (int k = 0; k < 4; k++) {
        char run[4][16];
        for (int i = 0; i < 4; i++) snprintf(run[i], sizeof run[i], "bits%d-%d", k, i);
        rc_train_options o = short_run(models[k], run[0]);
        o.dropout = 0.1;
        train_ok(&o, NULL);
        o.run = run[1];
        o.out = "two.safetensors";
        o.threads = 3;
        train_ok(&o, NULL);
        OK(rc_set_threads(1, &E));
        same_weights("m.safetensors", "two.safetensors");
        o.run = run[2];
        o.threads = 1;
        o.out = "half.safetensors";
        uint64_t stop = 11; /* within an epoch, after the linear start */
        rc_train_hooks hooks = {.ctx = &stop, .on_step = stop_at};
        rc_train_result r;
        assert_int_equal(rc_train(&o, &hooks, &r, &E), RC_EINTERRUPTED);
        rc_train_options on;
        OK(rc_train_options_for("answer", &on, &E));
        on.resume = run[2];
        train_ok(&on, NULL);
        same_weights("m.safetensors", "half.safetensors");
    }
}

/* A question alone and among others, in any batch, after saving and loading: the same bits. */
static void batches_change_nothing(void **state) {
    (void)state;
    write_world("data_train.txt", 40, 1, false, "babi");
    FILE *f = fopen("data_train.txt", "a");
    fprintf(f, "1 Where is Ann?\tpark\n"); /* nothing was told */
    fclose(f);
    for (int k = 0; k < 4; k++) {
        char run[16];
        snprintf(run, sizeof run, "batch%d", k);
        rc_train_options o = short_run(models[k], run);
        train_ok(&o, NULL);
        rc_model *m = load("m.safetensors");
        const rc__answerer *a = (const rc__answerer *)m;
        rc_predict_options po = exact();
        lines alone = predict(m, "data_train.txt", &po), loaded;
        assert_int_equal(alone.n, 41);
        OK(rc_model_save(m, "again.safetensors", NULL, &E));
        rc_model *again = load("again.safetensors");
        loaded = predict(again, "data_train.txt", &po);
        same_lines("saved and loaded", alone, loaded);
        /* all in one batch, by hand */
        rc__story_set x = {0};
        rc__source *src = NULL;
        rc__stories_reader *r = NULL;
        bool more = true;
        OK(rc__source_open(&src, "data_train.txt", &E));
        OK(rc__stories_open(&r, src, &(rc__stories_options){0}, &E));
        for (;;) {
            rc__story_line l;
            OK(rc__stories_next(r, &l, &more, &E));
            if (!more) break;
            OK(rc__story_set_add(&x, a, &l, 0, &E));
        }
        rc_tape *t = NULL;
        rc__answer_result whole, one;
        size_t A = a->answers.count;
        OK(rc_tape_new(&t, &E));
        OK(rc__answer_result_new(&whole, a, x.n, true, &E));
        OK(rc__answer_result_new(&one, a, x.n, true, &E));
        OK(rc__answerer_run(a, t, &x, NULL, x.n, 64, &whole, &E));
        OK(rc__answerer_run(a, t, &x, NULL, x.n, 1, &one, &E));
        assert_memory_equal(whole.probability, one.probability, x.n * A * sizeof(double));
        assert_memory_equal(whole.answer, one.answer, x.n * sizeof(int32_t));
        rc__answer_result_free(&whole, a, x.n);
        rc__answer_result_free(&one, a, x.n);
        rc_tape_free(t);
        rc__story_set_free(&x);
        rc__stories_close(r);
        rc__source_free(src);
        rc_model_free(again);
        rc_model_free(m);
        free(alone.text);
        free(loaded.text);
    }
}

/* Of a story without an end only what is remembered is kept, and the answers are those of its last sentences. */
static void long_stories_are_forgotten(void **state) {
    (void)state;
    static const char *const people[] = {"Ann", "Bert", "Cleo"}, *const places[] = {"park", "attic", "shop", "river"};
    write_world("data_train.txt", 60, 1, false, "babi");
    rc_train_options o = short_run("memory", "forget");
    o.memory = 4;
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    rc_predict_options po = exact();
    for (int whole = 0; whole < 2; whole++) {
        FILE *f = open_to_write(whole ? "whole.txt" : "last.txt");
        for (int i = 0; i < 5000; i++)
            if (whole || i >= 4996) fprintf(f, "%s went to the %s.\n", people[i * 7 % 3], places[i * 5 % 4]);
        fprintf(f, "Where is Bert?\nAnn went to the shop.\nWhere is Ann?\n");
        fclose(f);
    }
    lines a = predict(m, "whole.txt", &po), b = predict(m, "last.txt", &po);
    same_lines("a long story and its end", a, b);
    free(a.text);
    free(b.text);
    rc_model_free(m);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* The members that answer are those with the lowest error, and the error is that of each on the training data. */
static void members_are_chosen(void **state) {
    (void)state;
    write_world("data_train.txt", 60, 1, false, "babi");
    rc_train_options o = short_run("memory", "members");
    o.restarts = 5;
    o.ensemble = 2;
    o.steps = 60;
    train_ok(&o, NULL);
    rc_model *m = load("m.safetensors");
    rc__answerer *a = (rc__answerer *)m;
    size_t chosen[RC__ANSWER_MAX_MEMBERS];
    assert_int_equal(rc__answerer_chosen(a, chosen), 2);
    for (size_t k = 2; k < 5; k++) assert_true(a->error->w[chosen[k]] >= a->error->w[chosen[1]]);
    assert_true(a->error->w[chosen[1]] >= a->error->w[chosen[0]] && a->error->w[chosen[0]] > 0);
    double together = scored(m, "data_train.txt", "loss");
    a->o.ensemble = 1;
    double best = scored(m, "data_train.txt", "mean_error") / 100;
    assert_true(fabs(best - (double)a->error->w[chosen[0]]) < 0.03); /* and a hundredth of the loss */
    a->o.ensemble = 2;
    rc_real swap = a->error->w[chosen[0]];
    a->error->w[chosen[0]] = 9; /* others answer then */
    assert_true(scored(m, "data_train.txt", "loss") != together);
    a->error->w[chosen[0]] = swap;
    assert_true(scored(m, "data_train.txt", "loss") == together);
    rc_model_free(m);
}

static void position_encoding(void **state) {
    (void)state;
    rc__answerer m = {
        .o = {.kind = RC__ANSWER_MEMORY, .embedding = 4, .members = 2, .position = true, .memory = 5, .noise = 0.5}};
    rc__story_set x = {0};
    uint32_t id;
    for (const char *w = "abcde"; *w; w++) OK(rc__strtab_add(&m.words, w, 1, &id, NULL, &E));
    OK(rc__strtab_add(&m.answers, "a", 1, &id, NULL, &E));
    rc__story_line line = {.begins = true, .text = {"a zz b, c.", 10}};
    OK(rc__story_set_add(&x, &m, &line, 0, &E));
    line.begins = false;
    for (int i = 0; i < 7; i++) OK(rc__story_set_add(&x, &m, &line, 0, &E));
    line = (rc__story_line){.question = true, .text = {"d?", 2}, .answer = {"a", 1}};
    OK(rc__story_set_add(&x, &m, &line, 0, &E));
    assert_int_equal(x.unknown_words, 8);
    assert_int_equal(x.sentences.count, 2);
    rc__answer_batch b = {0};
    OK(rc__answer_batch_make(&b, &m, &x, NULL, 1, NULL, &E));
    assert_int_equal(b.rows, 5);
    assert_int_equal(b.sentences, 2);
    for (int i = 0; i < 5; i++) assert_int_equal(b.when[i], 4 - i);
    for (size_t j = 1; j <= 3; j++) /* twice section 4.1's, for "a b c" */
        for (size_t k = 1; k <= 4; k++) {
            double l = (1 - (double)j / 3) - (double)k / 4 * (1 - 2 * (double)j / 3);
            size_t row = (size_t)b.place[j - 1];
            assert_true(fabs((double)b.mask[row * 8 + k - 1] - 2 * l) < 1e-6);
            assert_true(b.mask[row * 8 + k - 1] == b.mask[row * 8 + 4 + k - 1]);
        }
    /* gaps: the order stays, and no time is beyond the number of memories and half of it */
    bool gap = false;
    for (uint64_t n = 0; n < 50; n++) {
        rc_rng r = rc_rng_make(n, 1);
        OK(rc__answer_batch_make(&b, &m, &x, NULL, 1, &r, &E));
        for (int i = 0; i < 5; i++) {
            assert_in_range(b.when[i], 0, 7);
            if (i) assert_true(b.when[i] < b.when[i - 1]);
        }
        gap = gap || b.when[0] > 4;
    }
    assert_true(gap);
    rc__answer_batch_free(&b);
    rc__story_set_free(&x);
    rc__strtab_free(&m.words);
    rc__strtab_free(&m.answers);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void refuses(const char *text, const char *word, rc_status status) {
    FILE *f = open_to_write("bad_train.txt");
    fputs(text, f);
    fclose(f);
    static const char *const bad[] = {"bad_train.txt"};
    rc_train_options o = short_run("memory", NULL);
    o.files = bad;
    o.run = "bad";
    rc_train_result r;
    FAILS(status, word, rc_train(&o, NULL, &r, &E));
}

static void refuses_what_is_no_data(void **state) {
    (void)state;
    refuses("1 a b.\n", "no question", RC_EDATA);
    refuses("1 a b.\n2 c?\td\n", "2 or more different answers", RC_EDATA);
    refuses("1 ?\ta\n1 ?\tb\n", "no words", RC_EDATA);
    refuses("1 a b.\n3 c?\td\n", "line 2, column 1", RC_EDATA);
    write_world("data_train.txt", 20, 1, false, "babi");
    rc_train_options o = short_run("segment", "bad2");
    rc_train_result r;
    FAILS(RC_EINVAL, "model: expected memory, query, entity or recurrent", rc_train(&o, NULL, &r, &E));
    o = short_run("memory", "from");
    train_ok(&o, NULL);
    write_world("data_train.txt", 20, 1, true, "babi");
    o.from = "m.safetensors";
    o.run = "bad3";
    FAILS(RC_EDATA, "its answers are kept", rc_train(&o, NULL, &r, &E));
}

static rc_status load_changed(void (*change)(json_t *)) {
    rc__st_file *file = NULL;
    rc__st_list list = {0};
    json_t *doc = NULL;
    char *text = NULL;
    size_t len = 0;
    OK(rc__st_open(&file, "m.safetensors", &E));
    const char *old = rc__st_get_meta(file, "recur");
    OK(rc__json_parse(old, strlen(old), "document", &doc, &E));
    change(doc);
    OK(rc__json_print(doc, &text, &len, &E));
    rc_model *m = load("m.safetensors"), *changed = NULL;
    OK(rc__params_list(&list, rc_model_params(m), NULL, NULL, &E));
    OK(rc__st_write("changed.safetensors", list.tensor, list.n, &(rc__st_meta){"recur", text}, 1, &E));
    rc_status s = rc_model_load(&changed, "changed.safetensors", &E);
    assert_true((s == RC_OK) == (changed != NULL));
    rc_model_free(changed);
    rc_model_free(m);
    rc__st_list_free(&list);
    rc_text_free(text, len);
    json_decref(doc);
    rc__st_close(file);
    return s;
}

static json_t *model_of(json_t *d) { return json_object_get(d, "model"); }
static void set(json_t *d, const char *key, json_t *v) { json_object_set_new(model_of(d), key, v); }
static void nothing(json_t *d) { (void)d; }
static void kind_other(json_t *d) { set(d, "kind", json_string("query")); }
static void kind_none(json_t *d) { set(d, "kind", json_string("recurrent")); }
static void kind_text(json_t *d) { set(d, "kind", json_string("x")); }
static void members_many(json_t *d) { set(d, "members", json_integer(200)); }
static void members_none(json_t *d) { set(d, "members", json_integer(0)); }
static void ensemble_more(json_t *d) { set(d, "ensemble", json_integer(4)); }
static void hops_more(json_t *d) { set(d, "hops", json_integer(4)); }
static void hops_none(json_t *d) { set(d, "hops", json_integer(0)); }
static void hops_many(json_t *d) { set(d, "hops", json_integer(17)); }
static void wide(json_t *d) { set(d, "embedding", json_integer(65536)); }
static void wider(json_t *d) { set(d, "embedding", json_integer(1 << 23)); }
static void memory_long(json_t *d) { set(d, "memory", json_integer(1 << 20)); }
static void memory_none(json_t *d) { set(d, "memory", json_integer(0)); }
static void noisy(json_t *d) { set(d, "noise", json_real(1e9)); }
static void layerwise(json_t *d) { set(d, "layerwise", json_true()); }
static void timeless(json_t *d) { set(d, "temporal", json_false()); }
static void words_more(json_t *d) { json_array_append_new(json_object_get(d, "words"), json_string("zzz")); }
static void words_none(json_t *d) { json_object_set_new(d, "words", json_array()); }
static void word_twice(json_t *d) {
    json_array_set(json_object_get(d, "words"), 1, json_array_get(json_object_get(d, "words"), 0));
}
static void answers_one(json_t *d) { json_object_set_new(d, "answers", json_pack("[s]", "a")); }
static void answer_number(json_t *d) { json_array_set_new(json_object_get(d, "answers"), 0, json_integer(3)); }
static void no_model(json_t *d) { json_object_del(d, "model"); }
static void key_more(json_t *d) { json_object_set_new(d, "surprise", json_true()); }

static void hostile_documents(void **state) {
    (void)state;
    void (*const bad[])(json_t *) = {kind_other,  kind_none,     kind_text, members_many, members_none, ensemble_more,
                                     hops_more,   hops_many,     wide,      wider,        memory_long,  memory_none,
                                     noisy,       layerwise,     timeless,  words_more,   words_none,   word_twice,
                                     answers_one, answer_number, no_model,  key_more,     hops_none};
    write_world("data_train.txt", 30, 1, false, "babi");
    rc_train_options o = short_run("memory", "hostile");
    o.steps = 3;
    train_ok(&o, NULL);
    OK(load_changed(nothing));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc_status s = load_changed(bad[i]);
        if (s != RC_EMODEL) fail_msg("change %zu: status %d", i, (int)s);
        assert_non_null(strstr(E.text, "changed.safetensors"));
    }
}

static void memory_runs_out(void **state) {
    (void)state;
    write_world("data_train.txt", 12, 1, false, "babi");
    for (int k = 0; k < 4; k++) {
        char run[16];
        snprintf(run, sizeof run, "room%d", k);
        rc_train_options o = short_run(models[k], run);
        o.steps = 2;
        train_ok(&o, NULL);
        bool done = false;
        for (long n = 0; !done; n += 1 + n / 20) {
            failing f = {.left = n};
            rc_model *m = NULL;
            lines l = {0};
            rc_sink sink = {&l, take_line};
            rc_predict_options po = exact();
            char *json = NULL;
            size_t len = 0;
            rc_set_allocator(failing_alloc, &f);
            rc_status s = rc_model_load(&m, "m.safetensors", &E);
            if (s == RC_OK) s = rc_model_predict(m, "data_train.txt", &po, &sink, &E);
            if (s == RC_OK) s = rc_model_eval(m, "data_train.txt", NULL, &json, &len, &E);
            if (s == RC_OK) rc_text_free(json, len);
            rc_model_free(m);
            rc_set_allocator(NULL, NULL);
            free(l.text);
            if (s != RC_OK && s != RC_ENOMEM) fail_msg("allocation %ld: %s", n, E.text);
            done = s == RC_OK;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns),
        cmocka_unit_test(options_make_networks),
        cmocka_unit_test(several_files),
        cmocka_unit_test(resumed_and_in_threads),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(long_stories_are_forgotten),
        cmocka_unit_test(members_are_chosen),
        cmocka_unit_test(position_encoding),
        cmocka_unit_test(refuses_what_is_no_data),
        cmocka_unit_test(hostile_documents),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, enter_work, leave_work);
}
