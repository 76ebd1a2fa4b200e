/* Taggers: what a small one learns, how tags are written, its file, resuming, predictions in every form. */
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "data/lexicon.h"
#include "failing.h"
#include "formats/safetensors.h"
#include "tasks/tag.h"
#include "train_helpers.h"
#include <math.h>

static rc_error E;
#define OK(call)                                                \
    do {                                                        \
        if ((call) != RC_OK) fail_msg("%s: %s", #call, E.text); \
    } while (0)

/* ---- made-up data ------------------------------------------------------------------------------------------------ */

typedef enum form { BIO, IOB1, IOBES, POS, JOINT } form;

static const char *tag_of(form f, const char *type, size_t i, size_t n, char out[32]) {
    char part = f == IOB1 ? 'I' : i == 0 ? 'B' : 'I';
    if (f == IOBES) part = n == 1 ? 'S' : i == 0 ? 'B' : i + 1 == n ? 'E' : 'I';
    snprintf(out, 32, "%c-%s", part, type);
    return out;
}

/* "who of person sees place": persons of one to three names, which are new in part; places after "in". */
static void write_sentences(const char *path, form f, size_t count, uint64_t seed) {
    static const char *const verbs[] = {"sees", "calls", "asks"}, *const first[] = {"Anna", "Bert", "Cleo", "Dora"};
    static const char *const places[] = {"Rome", "Oslo", "Bonn"};
    rc_rng r = rc_rng_make(seed, 3);
    FILE *out = fopen(path, "w");
    char tag[32];
    assert_non_null(out);
    for (size_t s = 0; s < count; s++) {
        const char *words[12], *types[12];
        char own[3][16];
        size_t n = 0, names = 1 + (size_t)rc_rng_below(&r, 3), starts[12] = {0}, lens[12] = {0};
        for (size_t i = 0; i < names; i++) {
            snprintf(own[i], sizeof own[i], "%s%c", first[rc_rng_below(&r, 4)],
                     i ? (char)('a' + rc_rng_below(&r, 26)) : 's');
            words[n] = i ? own[i] : first[rc_rng_below(&r, 4)];
            types[n] = "PER";
            starts[n] = i;
            lens[n++] = names;
        }
        words[n] = verbs[rc_rng_below(&r, 3)];
        types[n++] = NULL;
        if (rc_rng_below(&r, 3)) {
            words[n] = "in";
            types[n++] = NULL;
            words[n] = places[rc_rng_below(&r, 3)];
            types[n] = "LOC";
            lens[n++] = 1;
        }
        const char *intent = strcmp(words[names], "asks") == 0 ? "question" : "fact";
        if (f == JOINT) fprintf(out, "{\"intent\": \"%s\", \"tokens\": [", intent);
        for (size_t i = 0; i < n; i++) {
            const char *t = types[i] ? tag_of(f, types[i], starts[i], lens[i], tag) : "O";
            if (f == JOINT) fprintf(out, "%s\"%s\"", i ? ", " : "", words[i]);
            if (f == POS && i == 1) fprintf(out, "2-3\txx\t_\t_\t_\t_\t_\t_\t_\t_\n");
            if (f == POS)
                fprintf(out, "%zu\t%s\t_\t%s\t_\t_\t_\t_\t_\t_\n", i + 1, words[i],
                        types[i]     ? "PROPN"
                        : i == names ? "VERB"
                                     : "ADP");
            else if (f != JOINT)
                fprintf(out, "%s %s\n", words[i], t);
        }
        if (f == JOINT) {
            fprintf(out, "], \"tags\": [");
            for (size_t i = 0; i < n; i++)
                fprintf(out, "%s\"%s\"", i ? ", " : "",
                        types[i] ? tag_of(BIO, types[i], starts[i], lens[i], tag) : "O");
            fprintf(out, "]}");
        }
        fprintf(out, "\n");
    }
    fclose(out);
}

static const char *const data_file[] = {"data"};

static rc_train_options small(const char *run) {
    rc_train_options o;
    OK(rc_train_options_for("tag", &o, &E));
    o.files = data_file;
    o.n_files = 1;
    o.hidden = 12;
    o.embedding = 8;
    o.char_embedding = 4;
    o.char_hidden = 6;
    o.affixes = 3;
    o.min_count = 1;
    o.batch = 8;
    o.lr = 0.02;
    o.dropout = o.dropout_input = 0.1;
    o.average_decay = 0.9;
    o.epochs = 0;
    o.steps = 120;
    o.warmup = 5;
    o.run = run;
    o.threads = 1;
    o.out = "m.safetensors";
    return o;
}

static void train(const rc_train_options *o) {
    rc_train_result r;
    OK(rc_train(o, NULL, &r, &E));
}

static rc_model *load(const char *path) {
    rc_model *m;
    OK(rc_model_load(&m, path, &E));
    return m;
}

static double score(rc_model *m, const char *path, const char *key) {
    char *json;
    size_t len;
    rc_eval_options o = rc_eval_options_default();
    json_t *doc = NULL;
    OK(rc_model_eval(m, path, &o, &json, &len, &E));
    OK(rc__json_parse(json, len, "eval", &doc, &E));
    json_t *v = json_object_get(doc, key);
    double x = v ? json_number_value(v) : NAN;
    json_decref(doc);
    rc_text_free(json, len);
    return x;
}

/* Lines of predictions, one after the other. */
typedef struct lines {
    char text[60000];
    size_t n, count;
} lines;
static rc_status take_line(void *ctx, const char *text, size_t len) {
    lines *l = ctx;
    assert_true(l->n + len + 2 < sizeof l->text);
    memcpy(l->text + l->n, text, len);
    l->n += len;
    l->text[l->n++] = '\n';
    l->text[l->n] = 0;
    l->count++;
    return RC_OK;
}
static const char *predict(rc_model *m, const char *path, bool json, int64_t batch) {
    static lines l;
    rc_predict_options o = rc_predict_options_default();
    rc_sink sink = {&l, take_line};
    o.json = json;
    o.batch = batch;
    l.n = l.count = 0;
    l.text[0] = 0;
    OK(rc_model_predict(m, path, &o, &sink, &E));
    return l.text;
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void learns_spans(void **state) {
    (void)state;
    write_sentences("data", BIO, 200, 1);
    write_sentences("test", BIO, 60, 2);
    rc_train_options o = small("spans");
    o.scheme = "iobes";
    train(&o);
    rc_model *m = load("m.safetensors");
    const rc__tagger *t = (const rc__tagger *)m;
    assert_true(t->spans && t->crf);
    assert_int_equal(t->written_scheme, RC_TAGS_IOB2);
    assert_int_equal(t->inside_scheme, RC_TAGS_IOBES);
    assert_int_equal(rc__tagset_size(t->tags), 9);
    assert_true(score(m, "test", "span_f1") > 0.97);
    assert_true(score(m, "test", "span_f1_strict") > 0.97);
    assert_true(score(m, "test", "accuracy") > 0.97);
    assert_true(isnan(score(m, "test", "intent_accuracy")));
    rc_model_free(m);
}

/* Each of the ways to write them comes out as it went in, whatever is inside. */
static void writes_as_the_data(void **state) {
    (void)state;
    static const struct {
        form f;
        rc__tag_scheme written;
        const char *inside, *first; /* of a person of one name after a name of three */
    } cases[] = {{BIO, RC_TAGS_IOB2, "bio", "B-PER"},
                 {IOB1, RC_TAGS_IOB1, "iobes", "I-PER"},
                 {IOBES, RC_TAGS_IOBES, "auto", "S-PER"},
                 {IOBES, RC_TAGS_IOBES, "bio", "S-PER"}};
    put("words", "Anna sees\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char run[32], expected[64];
        write_sentences("data", cases[i].f, 200, 1);
        write_sentences("test", cases[i].f, 60, 2);
        snprintf(run, sizeof run, "as%zu", i);
        rc_train_options o = small(run);
        o.scheme = cases[i].inside;
        o.crf = i != 0; /* without a field the moves that no sequence has are not made either */
        train(&o);
        rc_model *m = load("m.safetensors");
        assert_int_equal(((rc__tagger *)m)->written_scheme, cases[i].written);
        assert_true(score(m, "test", "span_f1") > 0.95);
        snprintf(expected, sizeof expected, "Anna\t%s\nsees\tO\n\n", cases[i].first);
        assert_string_equal(predict(m, "words", false, 64), expected);
        rc_model_free(m);
    }
}

/* "X" is a name two times of five: never the most likely, but worth it for F1 (2 x 0.4 / 1.4 = 0.57 against 0). */
static void write_doubtful(const char *path, size_t count, uint64_t seed) {
    rc_rng r = rc_rng_make(seed, 5);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < count; i++) fprintf(f, "mid O\nX %s\nend O\n\n", rc_rng_uniform(&r) < 0.4 ? "B-PER" : "O");
    fclose(f);
}

static void outside_is_chosen(void **state) {
    (void)state;
    write_doubtful("data", 300, 1);
    write_doubtful("test", 300, 2);
    rc_train_options o = small("doubt");
    o.dropout = o.dropout_input = o.word_dropout = 0;
    o.lr = 0.01;
    train(&o);
    rc_model *m = load("m.safetensors");
    rc_real *outside = ((rc__tagger *)m)->outside->w;
    assert_true(*outside > 0);
    assert_true(score(m, "test", "span_f1") > 0.5);
    *outside = 0;
    rc_params_changed(rc_model_params(m));
    assert_true(score(m, "test", "span_f1") < 0.1);
    rc_model_free(m);
    o.valid_fraction = 0; /* nothing to choose it by */
    o.run = "doubt2";
    train(&o);
    m = load("m.safetensors");
    assert_true(((rc__tagger *)m)->outside->w[0] == 0);
    rc_model_free(m);
}

static char said[4000];
static void listen(void *ctx, const char *line) {
    size_t n = strlen(said);
    (void)ctx;
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static void tells_what_was_read(void **state) {
    (void)state;
    rc_train_result r;
    rc_train_hooks hooks = {.on_message = listen};
    /* 10 sentences, the 4th and every further one of 10 * 0.25 = 3 validate; an I- that follows nothing is mended */
    FILE *f = fopen("data", "w");
    for (int i = 0; i < 10; i++) fprintf(f, "a B-x\nb %s\nw%d O\nc %s\n\n", i ? "I-x" : "B-x", i, i == 9 ? "I-y" : "O");
    fclose(f);
    rc_train_options o = small("told");
    o.valid_fraction = 0.25;
    o.steps = 2;
    said[0] = 0;
    OK(rc_train(&o, &hooks, &r, &E));
    assert_non_null(strstr(said, "training: 7 sentences, 28 words, at most 4 in one; unknown words 0.0 %"));
    assert_non_null(strstr(said, "validation: 3 sentences, 12 words, at most 4 in one; unknown words 25.0 %"));
    assert_non_null(strstr(said, "validation: 1 words have a tag that the training data lack"));
    assert_non_null(strstr(said, "baseline, the most frequent tag of each word: accuracy 0.9167, span F1 0.8571"));
    assert_non_null(strstr(said, "written as BIO, BIO inside"));
    assert_string_equal(r.measure, "span F1");
}

/* Each copy keeps what is around its spans, and a span of two words comes where one of one was. */
static void spans_are_exchanged(void **state) {
    (void)state;
    rc_train_result r;
    rc_train_hooks hooks = {.on_message = listen};
    put("data", "at B-y\nx O\n\np B-x\nq I-x\nx O\nr B-x\n\nnone O\n\n");
    rc_train_options o = small("exchanged");
    o.valid_fraction = 0;
    o.exchange = 3;
    o.steps = 2;
    said[0] = 0;
    OK(rc_train(&o, &hooks, &r, &E));
    assert_non_null(strstr(said, "exchanged spans: 6 sentences more, from 3 spans"));
    assert_non_null(strstr(said, "training: 9 sentences"));
    /* y has one mention alone, so its sentence comes as it is; x's have 1 + 1 to 2 + 2 words and one between */
    const char *words = strstr(said, "training: 9 sentences, ");
    int n = atoi(words + strlen("training: 9 sentences, "));
    assert_true(n >= 7 + 6 + 9 && n <= 7 + 6 + 15);
    assert_non_null(strstr(said, "B-x"));
    put("data", "a X\nb Y\n\na X\n");
    o.run = "exchanged2";
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EINVAL);
}

static void fine_tunes(void **state) {
    (void)state;
    rc_train_result r;
    write_sentences("data", BIO, 100, 1);
    rc_train_options o = small("base");
    train(&o);
    write_sentences("data", BIO, 40, 7);
    o.from = "m.safetensors";
    o.run = "tuned";
    o.out = "tuned.safetensors";
    o.steps = 3;
    train(&o);
    rc_model *m = load("tuned.safetensors");
    assert_true(score(m, "data", "span_f1") > 0.95); /* it began where the other ended */
    rc_model_free(m);
    put("data", "a B-NEW\nb O\n\nc O\n\nd O\n\ne O\n");
    o.run = "tuned2";
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "its tags are kept"));
}

static void plain_tags_and_unknown_ones(void **state) {
    (void)state;
    write_sentences("data", POS, 150, 1);
    rc_train_options o = small("pos");
    o.encoder = "gru";
    train(&o);
    rc_model *m = load("m.safetensors");
    assert_false(((rc__tagger *)m)->spans || ((rc__tagger *)m)->crf);
    assert_true(score(m, "data", "accuracy") > 0.98);
    assert_true(isnan(score(m, "data", "span_f1")));
    /* a tag that the training data lack is wrong, whatever is said */
    put("new", "1\tAnna\t_\tPROPN\t_\t_\t_\t_\t_\t_\n2\tsees\t_\tNEW\t_\t_\t_\t_\t_\t_\n");
    assert_true(fabs(score(m, "new", "accuracy") - 0.5) < 1e-9);
    assert_true(score(m, "new", "tags_unknown_to_the_model") == 1);
    rc_model_free(m);
    /* a field when it is asked for */
    static const char *const given[] = {"crf"};
    o.given = given;
    o.n_given = 1;
    o.run = "pos-crf";
    train(&o);
    m = load("m.safetensors");
    assert_true(((rc__tagger *)m)->crf && !((rc__tagger *)m)->allowed);
    assert_true(score(m, "data", "accuracy") > 0.98);
    assert_true(isnan(score(m, "new", "loss"))); /* no sentence whose tags are all known */
    rc_model_free(m);
}

static void joint_intents(void **state) {
    (void)state;
    write_sentences("data", JOINT, 200, 1);
    write_sentences("test", JOINT, 60, 2);
    rc_train_options o = small("joint");
    o.joint_intent = true;
    train(&o);
    rc_model *m = load("m.safetensors");
    assert_true(score(m, "test", "intent_accuracy") > 0.97);
    assert_true(score(m, "test", "span_f1") > 0.95);
    assert_true(score(m, "test", "sentence_accuracy") > 0.9);
    put("words", "Anna asks in Rome\n");
    assert_string_equal(predict(m, "words", false, 64),
                        "# intent = question\nAnna\tB-PER\nasks\tO\nin\tO\nRome\tB-LOC\n\n");
    json_t *doc;
    const char *line = predict(m, "words", true, 64);
    OK(rc__json_parse(line, strlen(line), "predict", &doc, &E));
    assert_string_equal(json_string_value(json_object_get(doc, "intent")), "question");
    json_t *spans = json_object_get(doc, "spans");
    assert_int_equal(json_array_size(spans), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(spans, 1), "text")), "Rome");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(spans, 1), "start")), 3);
    double p = json_number_value(json_object_get(doc, "probability"));
    assert_true(p > 0.5 && p <= 1 + 1e-9);
    json_decref(doc);
    rc_model_free(m);
    /* sentences without an intent */
    write_sentences("data", BIO, 20, 1);
    rc_train_result r;
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EINVAL); /* the run folder is taken */
    o.run = "joint2";
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "intent"));
}

static void refuses_what_is_no_data(void **state) {
    (void)state;
    rc_train_result r;
    rc_train_options o = small("bad");
    put("data", "a O\nb O\n\nc O\n");
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "every tag is the same"));
    put("data", "a NN\nb VB\n\nc VB\n");
    o.scheme = "iobes";
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "no spans"));
    put("data", "{\"text\": \"a b\", \"intent\": \"x\"}\n{\"text\": \"c\", \"intent\": \"y\"}\n");
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "classify"));
    put("data", "");
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EDATA);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

static char *whole(const char *path, size_t *len) {
    char *text;
    OK(rc_text_read(path, &text, len, &E));
    return text;
}

static void same_values(const char *a, const char *b) {
    rc_model *x = load(a), *y = load(b);
    size_t n = rc_params_block_len(rc_model_params(x));
    assert_int_equal(n, rc_params_block_len(rc_model_params(y)));
    assert_memory_equal(rc_params_values(rc_model_params(x)), rc_params_values(rc_model_params(y)),
                        n * sizeof(rc_real));
    rc_model_free(x);
    rc_model_free(y);
}

static void saved_and_loaded(void **state) {
    (void)state;
    write_sentences("data", JOINT, 60, 1);
    rc_train_options o = small("saved");
    o.joint_intent = true;
    o.steps = 12;
    o.chars = "lstm";
    o.layers = 2;
    train(&o);
    rc_model *m = load("m.safetensors");
    OK(rc_model_save(m, "again.safetensors", NULL, &E));
    size_t na, nb;
    char *a = whole("m.safetensors", &na), *b = whole("again.safetensors", &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    rc_text_free(a, na);
    rc_text_free(b, nb);
    rc_model_free(m);
}

static void resumed_and_in_threads(void **state) {
    (void)state;
    write_sentences("data", BIO, 80, 1);
    rc_train_options o = small("one");
    o.word_dropout = 0.3;
    o.steps = 30;
    o.valid_every = 10;
    o.schedule = "constant";
    o.valid_fraction = 0; /* a validation at the end of the shorter run would keep other weights */
    o.warmup = 0;
    train(&o);
    o.run = "two";
    o.out = "two.safetensors";
    o.threads = 3;
    train(&o);
    OK(rc_set_threads(1, &E));
    same_values("m.safetensors", "two.safetensors");
    /* stopped within an epoch, and on */
    o.run = "half";
    o.out = "half.safetensors";
    o.threads = 1;
    o.steps = 13;
    o.checkpoint_every = 13;
    train(&o);
    rc_train_options on;
    OK(rc_train_options_for("tag", &on, &E));
    static const char *const given[] = {"steps"};
    on.resume = "half";
    on.steps = 30;
    on.given = given;
    on.n_given = 1;
    train(&on);
    same_values("m.safetensors", "half.safetensors");
}

static void batches_change_nothing(void **state) {
    (void)state;
    write_sentences("data", BIO, 80, 1);
    rc_train_options o = small("batches");
    o.steps = 20;
    train(&o);
    rc_model *m = load("m.safetensors");
    FILE *f = fopen("in", "w");
    for (int i = 0; i < 40; i++) fprintf(f, "%.*s Rome\n", 1 + i % 7 * 5, "Anna Bert Cleo sees Dora in Bonn and calls");
    fclose(f);
    char *one = strdup(predict(m, "in", true, 1));
    assert_string_equal(one, predict(m, "in", true, 7));
    assert_string_equal(one, predict(m, "in", true, 64));
    free(one);
    rc_model_free(m);
}

/* ---- predictions ------------------------------------------------------------------------------------------------- */

static size_t count_of(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
    return n;
}

static void reads_every_form(void **state) {
    (void)state;
    write_sentences("data", BIO, 60, 1);
    rc_train_options o = small("forms");
    o.steps = 10;
    train(&o);
    rc_model *m = load("m.safetensors");
    put("in", "Anna, sees.\n\nBert\n");
    const char *out = predict(m, "in", false, 2);
    assert_int_equal(count_of(out, "\n"), 4 + 1 + 1 + 2); /* Anna , sees . - an empty line has no words - Bert */
    assert_non_null(strstr(out, "Anna\t"));
    assert_non_null(strstr(out, "\n,\t"));
    put("in", "Anna,\tO\nsees\tB-LOC\n\nBert\tO\n"); /* columns: words as they are, tags left alone */
    out = predict(m, "in", false, 64);
    assert_non_null(strstr(out, "Anna,\t"));
    assert_int_equal(count_of(out, "\n"), 2 + 1 + 1 + 1);
    put("in", "{\"tokens\": [\"a b\", \"c\\td\"]}\n{\"text\": \"x y z\"}\n");
    out = predict(m, "in", false, 64);
    assert_non_null(strstr(out, "a b\t"));
    assert_non_null(strstr(out, "c d\t")); /* a tab within a word would be another column */
    put("in", "");
    assert_string_equal(predict(m, "in", false, 64), "");
    /* a word of many bytes, and one that is no letter at all */
    FILE *f = fopen("in", "w");
    for (int i = 0; i < 5000; i++) fputs("\xC3\x89x", f);
    fputs(" \xE2\x98\x83\n", f);
    fclose(f);
    assert_int_equal(count_of(predict(m, "in", false, 64), "\n"), 3);
    rc_model_free(m);
}

static void text_of_words_cut_at_spaces(void **state) {
    (void)state;
    FILE *f = fopen("data", "w");
    for (int i = 0; i < 60; i++) fputs("play B-x\njazz, I-x\nplease O\n\nstop, O\nnow O\n\n", f);
    fclose(f);
    rc_train_options o = small("cut");
    o.steps = 5;
    train(&o);
    rc_model *m = load("m.safetensors");
    assert_true(((rc__tagger *)m)->cut_spaces);
    put("in", "play jazz, now\n");
    assert_non_null(strstr(predict(m, "in", false, 64), "jazz,\t"));
    rc_model_free(m);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* The model file with its document changed. */
static rc_status load_changed(void (*change)(json_t *doc)) {
    rc__st_file *f;
    json_t *doc;
    char *text;
    size_t len;
    OK(rc__st_open(&f, "m.safetensors", &E));
    const char *meta = rc__st_get_meta(f, "recur");
    OK(rc__json_parse(meta, strlen(meta), "meta", &doc, &E));
    change(doc);
    OK(rc__json_print(doc, &text, &len, &E));
    size_t n = rc__st_count(f);
    rc__st_tensor *t = calloc(n, sizeof *t);
    for (size_t i = 0; i < n; i++) {
        t[i] = *rc__st_at(f, i);
        size_t bytes = t[i].len * rc__st_dtype_size(t[i].dtype);
        void *data = malloc(bytes + 1);
        OK(rc__st_read(f, rc__st_at(f, i), data, &E));
        t[i].data = data;
    }
    OK(rc__st_write("changed.safetensors", t, n, &(rc__st_meta){"recur", text}, 1, &E));
    for (size_t i = 0; i < n; i++) free((void *)(uintptr_t)t[i].data);
    free(t);
    rc__free(text, len + 1);
    json_decref(doc);
    rc__st_close(f);
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, "changed.safetensors", &E);
    if (s == RC_OK) rc_model_free(m);
    return s;
}

static json_t *model_of(json_t *doc) { return json_object_get(doc, "model"); }
static void nothing(json_t *d) { (void)d; }
static void no_tags(json_t *d) { json_object_set_new(d, "tags", json_array()); }
static void tag_twice(json_t *d) {
    json_array_append(json_object_get(d, "tags"), json_array_get(json_object_get(d, "tags"), 1));
}
static void tag_number(json_t *d) { json_array_set_new(json_object_get(d, "tags"), 0, json_integer(3)); }
static void tag_empty(json_t *d) { json_array_set_new(json_object_get(d, "tags"), 1, json_string("")); }
static void tag_no_span(json_t *d) { json_array_set_new(json_object_get(d, "tags"), 1, json_string("NOUN")); }
static void tag_more(json_t *d) { json_array_append_new(json_object_get(d, "tags"), json_string("B-MORE")); }
static void scheme_unknown(json_t *d) { json_object_set_new(model_of(d), "scheme", json_string("xx")); }
static void scheme_half(json_t *d) { json_object_set_new(model_of(d), "scheme", json_string("none")); }
static void inside_iob1(json_t *d) { json_object_set_new(model_of(d), "inside", json_string("iob1")); }
static void crf_text(json_t *d) { json_object_set_new(model_of(d), "crf", json_string("yes")); }
static void crf_off(json_t *d) { json_object_set_new(model_of(d), "crf", json_false()); }
static void intents_come(json_t *d) { json_array_append_new(json_object_get(d, "intents"), json_string("x")); }
static void split_text(json_t *d) { json_object_set_new(json_object_get(d, "lexicon"), "split", json_string("words")); }
static void affixes_gone(json_t *d) { json_object_del(json_object_get(d, "lexicon"), "affixes"); }
static void affixes_wide(json_t *d) {
    json_object_set_new(json_object_get(model_of(d), "words"), "affix_embedding", json_integer(1 << 23));
}
static void affixes_many(json_t *d) {
    json_object_set_new(json_object_get(d, "lexicon"), "affixes", json_integer(1 << 24));
}
static void chars_gone(json_t *d) { json_object_del(json_object_get(d, "lexicon"), "chars"); }
static void layers_many(json_t *d) {
    json_object_set_new(json_object_get(model_of(d), "encoder"), "num_layers", json_integer(1000));
}
static void hidden_huge(json_t *d) {
    json_object_set_new(json_object_get(model_of(d), "encoder"), "hidden_size", json_integer(1 << 23));
}
static void key_more(json_t *d) { json_object_set_new(d, "surprise", json_true()); }
static void no_model(json_t *d) { json_object_del(d, "model"); }

static void hostile_documents(void **state) {
    (void)state;
    void (*const bad[])(json_t *) = {
        no_tags,      tag_twice,    tag_number, tag_empty,   tag_no_span,  tag_more,   scheme_unknown,
        scheme_half,  inside_iob1,  crf_text,   crf_off,     intents_come, split_text, affixes_gone,
        affixes_wide, affixes_many, chars_gone, layers_many, hidden_huge,  key_more,   no_model};
    write_sentences("data", BIO, 60, 1);
    rc_train_options o = small("hostile");
    o.steps = 4;
    train(&o);
    OK(load_changed(nothing));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc_status s = load_changed(bad[i]);
        if (s != RC_EMODEL) fail_msg("change %zu: status %d", i, (int)s);
        assert_non_null(strstr(E.text, "changed.safetensors"));
    }
}

/* Allocation n is refused, for every n: a status, nothing lost (the sanitizers look), and not a model. */
static void memory_runs_out(void **state) {
    (void)state;
    write_sentences("data", JOINT, 12, 1);
    write_sentences("test", JOINT, 3, 2);
    rc_train_options o = small("memory");
    o.joint_intent = true;
    o.steps = 2;
    train(&o);
    bool done = false;
    put("in", "Anna asks in Rome\n");
    for (long n = 0; !done; n += 1 + n / 40) {
        failing f = {.left = n};
        rc_model *m = NULL;
        static lines l;
        rc_sink sink = {&l, take_line};
        rc_predict_options po = rc_predict_options_default();
        rc_eval_options eo = rc_eval_options_default();
        char *json = NULL;
        size_t len = 0;
        po.json = true;
        l.n = l.count = 0;
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc_model_load(&m, "m.safetensors", &E);
        if (s == RC_OK) s = rc_model_predict(m, "in", &po, &sink, &E);
        if (s == RC_OK) s = rc_model_eval(m, "test", &eo, &json, &len, &E);
        if (s == RC_OK) rc_text_free(json, len);
        rc_model_free(m);
        rc_set_allocator(NULL, NULL);
        if (s != RC_OK && s != RC_ENOMEM) fail_msg("allocation %ld: %s", n, E.text);
        done = s == RC_OK;
    }
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static void affixes_of_words(void **state) {
    (void)state;
    rc__string b = {0};
    int32_t x[RC__AFFIXES], y[RC__AFFIXES];
    const size_t many = 1 << 20;
    enum { P2, P3, S1, S2, S3, S4, SHAPE, RUNS };
    OK(rc__affixes(many, &b, "Walking", 7, x, &E));
    OK(rc__affixes(many, &b, "talking", 7, y, &E));
    assert_true(x[S3] == y[S3] && x[S4] == y[S4] && x[P2] != y[P2] && x[P3] != y[P3] && x[SHAPE] != y[SHAPE]);
    OK(rc__affixes(many, &b, "WALKING", 7, y, &E)); /* the same word in lower case, another shape */
    assert_memory_equal(x, y, 6 * sizeof *x);
    assert_true(x[SHAPE] != y[SHAPE] && x[RUNS] != y[RUNS]);
    OK(rc__affixes(many, &b, "A12-b", 5, x, &E));
    OK(rc__affixes(many, &b, "B347-c", 6, y, &E));
    assert_true(x[RUNS] == y[RUNS] && x[SHAPE] != y[SHAPE]);
    OK(rc__affixes(many, &b, "ing", 3, x, &E)); /* a whole word is not an ending */
    OK(rc__affixes(many, &b, "king", 4, y, &E));
    assert_true(x[S3] != y[S3] && x[S2] == y[S2]);
    OK(rc__affixes(many, &b, "\xC3\x89t\xC3\xA9", 5, x, &E)); /* characters, not bytes */
    OK(rc__affixes(many, &b, "\xC3\xA9t\xC3\xA9", 5, y, &E));
    assert_true(x[S1] == y[S1] && x[S2] == y[S2] && x[P2] == y[P2] && x[SHAPE] != y[SHAPE]);
    OK(rc__affixes(7, &b, "", 0, x, &E));
    for (int i = 0; i < RC__AFFIXES; i++) assert_true(x[i] >= 0 && x[i] < 7);
    OK(rc__affixes(7, &b, "\xFF\xFE", 2, x, &E));
    rc__string_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_spans),
        cmocka_unit_test(writes_as_the_data),
        cmocka_unit_test(plain_tags_and_unknown_ones),
        cmocka_unit_test(joint_intents),
        cmocka_unit_test(refuses_what_is_no_data),
        cmocka_unit_test(saved_and_loaded),
        cmocka_unit_test(resumed_and_in_threads),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(text_of_words_cut_at_spaces),
        cmocka_unit_test(hostile_documents),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(affixes_of_words),
        cmocka_unit_test(outside_is_chosen),
        cmocka_unit_test(tells_what_was_read),
        cmocka_unit_test(fine_tunes),
        cmocka_unit_test(spans_are_exchanged),
    };
    return cmocka_run_group_tests(tests, enter_work, leave_work);
}
