/* Models for sequences at work: results in every form, in any groups, what was looked at, ensembles, scores, conversations,
 * what is refused. On made-up pairs: words, and the same in capitals from the last to the first. */
#include "train_helpers.h"

#include "base/mem.h"
#include "failing.h"
#include "metrics/translation.h"
#include "tasks/seq2seq.h"
#include "words_reversed.h"
#include <math.h>

static rc_error E;
#define OK(call)                                                \
    do {                                                        \
        if ((call) != RC_OK) fail_msg("%s: %s", #call, E.text); \
    } while (0)

/* ---- made-up data and models ------------------------------------------------------------------------------------- */

static void write_pairs(const char *source, const char *target, size_t n, uint64_t seed) {
    FILE *a = fopen(source, "w"), *b = fopen(target, "w");
    for (size_t i = 0; i < n; i++) {
        rc_rng r = rc_rng_make(seed, i);
        size_t len = 1 + (size_t)rc_rng_below(&r, 5);
        put_words(a, r, len, false);
        fputc('\n', a);
        put_words(b, r, len, true);
        fputc('\n', b);
    }
    fclose(a);
    fclose(b);
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static const char *const pair_files[] = {"train.src", "train.tgt"};
static const char *const talk_files[] = {"talk.txt"};

static void train(const char *task, const char *out, const char *vocab, const char *attention, int64_t steps) {
    rc_train_options o;
    rc_train_result r;
    OK(rc_train_options_for(task, &o, &E));
    bool chat = strcmp(task, "chat") == 0;
    o.files = chat ? talk_files : pair_files;
    o.n_files = chat ? 1 : 2;
    o.vocab = vocab;
    o.attention = attention;
    o.shared = false;
    o.copy = false;
    o.tied = false;
    o.hidden = 32;
    o.embedding = 16;
    o.layers = 1;
    o.dropout = o.dropout_input = o.word_dropout = 0;
    o.lr = 0.02;
    o.warmup = 5;
    o.average = "none";
    o.batch = 32;
    o.batch_tokens = 0;
    o.epochs = 0;
    o.steps = steps;
    o.sample_length = 0;
    o.run = out + 2; /* "m-NAME..." */
    o.threads = 1;
    o.max_source = 20;
    o.out = out;
    OK(rc_train(&o, NULL, &r, &E));
}

static int enter(void **state) {
    if (enter_work(state)) return -1;
    write_pairs("train.src", "train.tgt", 500, 1);
    write_pairs("test.src", "test.tgt", 50, 2);
    FILE *f = fopen("talk.txt", "w");
    for (int i = 0; i < 80; i++)
        fprintf(f, "%s\n%s\n\n", i % 2 ? "hello there" : "who are you", i % 4 < 2 ? "good day" : "a friend");
    fclose(f);
    train("translate", "m-main.safetensors", "word", "general", 220);
    train("translate", "m-few.safetensors", "word:6", "general", 60);
    train("translate", "m-none.safetensors", "word", "none", 4);
    train("summarize", "m-sum.safetensors", "word", "general", 3);
    train("chat", "m-chat.safetensors", "word", "general", 60);
    return 0;
}

static rc_model *load(const char *path) {
    rc_model *m;
    OK(rc_model_load(&m, path, &E));
    return m;
}

/* ---- predict ----------------------------------------------------------------------------------------------------- */

typedef struct lines {
    char text[1 << 16];
    size_t len, n;
} lines;

static rc_status take_line(void *ctx, const char *text, size_t len) {
    lines *l = ctx;
    if (l->len + len + 2 > sizeof l->text) return RC_ENOMEM;
    memcpy(l->text + l->len, text, len);
    l->len += len;
    l->text[l->len++] = '\n';
    l->text[l->len] = 0;
    l->n++;
    return RC_OK;
}

static const char *predict(rc_model *m, const char *path, const rc_predict_options *o) {
    static lines l[4];
    static int turn;
    lines *out = &l[turn++ % 4];
    rc_sink sink = {out, take_line};
    out->len = out->n = 0;
    out->text[0] = 0;
    OK(rc_model_predict(m, path, o, &sink, &E));
    return out->text;
}

static rc_status predict_status(rc_model *m, const char *path, const rc_predict_options *o) {
    static lines l;
    rc_sink sink = {&l, take_line};
    l.len = 0;
    return rc_model_predict(m, path, o, &sink, &E);
}

static rc_predict_options plain(void) { return rc_predict_options_default(); }

static void it_has_learnt_to_turn_words_round(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    put("in", "red cat\n\nthe big dog runs\n");
    assert_string_equal(predict(m, "in", &o), "CAT RED\n\nRUNS DOG BIG THE\n");
    rc_model_free(m);
}

static void groups_do_not_matter(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    for (int kind = 0; kind < 6; kind++) {
        rc_predict_options o = plain();
        if (kind == 1) o.search.beam = o.search.nbest = 4;
        if (kind == 2) o.search.sample = true, o.search.temperature = 2;
        if (kind == 3) o.json = true, o.search.beam = o.search.nbest = 3, o.search.groups = 3;
        if (kind == 4) o.alignments = "text";
        if (kind == 5) o.search.sample = true, o.search.nbest = 3, o.csv = true;
        char first[1 << 16];
        snprintf(first, sizeof first, "%s", predict(m, "test.src", &o));
        for (int64_t batch = 1; batch < 60; batch += 13) {
            o.batch = batch;
            assert_string_equal(predict(m, "test.src", &o), first);
        }
        assert_true(strlen(first) > 200);
    }
    rc_model_free(m);
}

static void results_of_one_input(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    put("in", "red cat\n\n");
    o.search.beam = o.search.nbest = 4;
    const char *text = predict(m, "in", &o);
    double before = 1;
    int rows = 0;
    for (const char *at = text; *at; at = strchr(at, '\n') + 1, rows++) {
        int line;
        double score;
        assert_int_equal(sscanf(at, "%d\t%lf\t", &line, &score), 2);
        assert_int_equal(line, rows < 4 ? 1 : 2);
        if (rows < 4) assert_true(score <= before), before = score;
    }
    assert_int_equal(rows, 5);
    o.csv = true;
    text = predict(m, "in", &o);
    assert_memory_equal(text, "line,rank,score,text\n1,1,", 25);
    o.csv = false;
    o.json = true;
    o.alignments = "text";
    char *lines_of_json = strdup(predict(m, "in", &o));
    json_t *first = json_loads(strtok(lines_of_json, "\n"), 0, NULL);
    free(lines_of_json);
    assert_non_null(first);
    assert_string_equal(json_string_value(json_object_get(first, "text")), "CAT RED");
    assert_string_equal(json_string_value(json_object_get(first, "source")), "red cat");
    assert_int_equal(json_array_size(json_object_get(first, "nbest")), 4);
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "source_tokens"), 1)), "cat");
    json_t *attention = json_object_get(first, "attention");
    assert_int_equal(json_array_size(attention), 3); /* two words and the end */
    for (size_t t = 0; t < 3; t++) {
        const json_t *row = json_array_get(attention, t);
        double sum = 0;
        assert_int_equal(json_array_size(row), 3);
        for (size_t j = 0; j < 3; j++) sum += json_real_value(json_array_get(row, j));
        assert_true(fabs(sum - 1) < 1e-3);
    }
    json_decref(first);
    rc_model_free(m);
}

static void steering(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    put("in", "red cat\n");
    o.search.prefix = "BIG DOG";
    assert_memory_equal(predict(m, "in", &o), "BIG DOG", 7);
    o = plain();
    o.search.max_length = 1;
    assert_string_equal(predict(m, "in", &o), "CAT\n");
    o = plain();
    o.search.min_length = 5;
    const char *five = predict(m, "in", &o);
    if (strlen(five) < 5 * 4) fail_msg("\"%s\"", five);
    o = plain();
    o.search.temperature = 0;
    o.search.sample = true;
    assert_string_equal(predict(m, "in", &o), "CAT RED\n");
    o.search.temperature = 50;
    o.search.seed = 3;
    const char *drawn = predict(m, "in", &o);
    o.search.seed = 4;
    assert_string_not_equal(drawn, predict(m, "in", &o));
    put("in", "red cat\nred cat\n");
    const char *both = predict(m, "in", &o), *second = strchr(both, '\n') + 1;
    assert_true(strlen(second) != (size_t)(second - both) || memcmp(both, second, strlen(second)) != 0);
    rc_model_free(m);
}

static void unknown_words_are_replaced(void **state) {
    (void)state;
    rc_model *m = load("m-few.safetensors");
    rc_predict_options o = plain();
    o.search.unk = true;
    const char *with = predict(m, "test.src", &o);
    assert_non_null(strstr(with, "<unk>"));
    o.replace_unknown = true;
    const char *without = predict(m, "test.src", &o);
    assert_null(strstr(without, "<unk>"));
    assert_true(strstr(without, "red") || strstr(without, "cat") || strstr(without, "dog") || strstr(without, "runs"));
    o = plain();
    assert_null(strstr(predict(m, "test.src", &o), "<unk>"));
    rc_model_free(m);
}

static void an_ensemble(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    const char *alone = predict(m, "test.src", &o);
    o.search.with = "m-main.safetensors";
    assert_string_equal(alone, predict(m, "test.src", &o));
    o.search.with = "m-none.safetensors,m-main.safetensors"; /* the same vocabularies */
    assert_true(strlen(predict(m, "test.src", &o)) > 100);
    o.search.with = "m-few.safetensors";
    assert_int_equal(predict_status(m, "test.src", &o), RC_EMODEL);
    assert_non_null(strstr(E.text, "another vocabulary"));
    o.search.with = "m-chat.safetensors";
    assert_int_equal(predict_status(m, "test.src", &o), RC_EMODEL);
    assert_non_null(strstr(E.text, "a model for chat"));
    o.search.with = "m-main.safetensors,,";
    assert_int_equal(predict_status(m, "test.src", &o), RC_EINVAL);
    o.search.with = "absent";
    assert_int_equal(predict_status(m, "test.src", &o), RC_EIO);
    rc_model_free(m);
}

static char *read_text(const char *path) {
    char *text;
    size_t len;
    OK(rc_text_read(path, &text, &len, &E));
    return text;
}

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) n++;
    return n;
}

static void pictures(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    put("in", "red cat\nthe big dog runs\n\nred <&> \"cat\"\n");
    o.alignments = "svg";
    assert_int_equal(predict_status(m, "in", &o), RC_EINVAL);
    o.svg = "a.svg";
    assert_memory_equal(predict(m, "in", &o), "CAT RED\n", 8);
    char *svg = read_text("a.svg");
    assert_memory_equal(svg, "<svg ", 5);
    assert_int_equal(count(svg, "<g "), count(svg, "</g>"));
    assert_int_equal(count(svg, "<text"), count(svg, "</text>"));
    assert_int_equal(count(svg, "font-weight"), 3); /* not of the empty line */
    assert_non_null(strstr(svg, "&lt;&amp;&gt; &quot;cat&quot;"));
    assert_null(strstr(svg, "<&>"));
    o.alignments = "none";
    o.svg = "a.html";
    predict(m, "in", &o);
    char *html = read_text("a.html");
    assert_memory_equal(html, "<!DOCTYPE html>", 15);
    assert_int_equal(count(html, "<section>"), 3);
    o.svg = "no/where.svg";
    assert_int_equal(predict_status(m, "in", &o), RC_EIO);
    rc_model_free(m);
    rc_text_free(svg, strlen(svg));
    rc_text_free(html, strlen(html));
}

typedef struct heard {
    char text[4][256];
    size_t n;
} heard;

static void hear(void *ctx, const char *text) {
    heard *h = ctx;
    if (h->n < 4) snprintf(h->text[h->n++], 256, "%s", text);
}

static void hostile_lines(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    heard h = {.n = 0};
    o.message = hear;
    o.message_ctx = &h;
    FILE *f = fopen("in", "w");
    for (int i = 0; i < 100000; i++) fputs("red ", f);
    fputs("\nмир мир\nred cat\n\t \nred\tcat\n", f);
    fclose(f);
    const char *text = predict(m, "in", &o);
    assert_int_equal(count(text, "\n"), 5);
    assert_non_null(strstr(text, "\nCAT RED\n\nCAT RED\n"));
    assert_int_equal(h.n, 2);
    assert_string_equal(h.text[0], "line 1: more than 20 tokens: only the first 20 are read");
    assert_string_equal(h.text[1], "line 2: none of its 2 tokens is known to the model (2 unknown)");
    put("in", "");
    assert_true(predict_status(m, "in", &o) == RC_OK || E.code == RC_EDATA);
    put("in", "\xff\xfe\n");
    assert_int_equal(predict_status(m, "in", &o), RC_EDATA);
    rc_model_free(m);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors"), *blind = load("m-none.safetensors");
    rc_predict_options bad[8];
    for (int i = 0; i < 8; i++) bad[i] = plain();
    bad[0].search.beam = 2, bad[0].search.nbest = 3;
    bad[1].search.beam = 4, bad[1].search.groups = 3;
    bad[2].search.min_length = 100000;
    bad[3].search.length_norm = "long";
    bad[4].alignments = "pdf";
    bad[5].alignments = "text", bad[5].csv = true;
    bad[6].search.prefix = "BIG BIG", bad[6].search.max_length = 1;
    bad[7].batch = 0;
    for (int i = 0; i < 8; i++)
        if (predict_status(m, "test.src", &bad[i]) != RC_EINVAL) fail_msg("case %d: %s", i, E.text);
    rc_predict_options o = plain();
    o.alignments = "text";
    assert_int_equal(predict_status(blind, "test.src", &o), RC_EINVAL);
    assert_non_null(strstr(E.text, "no attention"));
    o = plain();
    o.search.coverage_penalty = 0.2;
    assert_int_equal(predict_status(blind, "test.src", &o), RC_EINVAL);
    assert_int_equal(predict_status(m, "absent", &o), RC_EIO);
    rc_model_free(m);
    rc_model_free(blind);
}

static void refused_memory(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_predict_options o = plain();
    put("in", "red cat\nthe big dog\n");
    o.search.beam = o.search.nbest = 2;
    o.json = true;
    o.svg = "a.svg";
    long refused = 0;
    for (long n = 0;; n += 1 + n / 40) {
        failing f = {.left = n};
        rc_set_allocator(failing_alloc, &f);
        rc_status s = predict_status(m, "in", &o);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        refused++;
    }
    assert_true(refused > 50);
    rc_model_free(m);
}

/* ---- eval -------------------------------------------------------------------------------------------------------- */

static json_t *eval(rc_model *m, const char *path, const rc_eval_options *o) {
    char *text;
    size_t len;
    OK(rc_model_eval(m, path, o, &text, &len, &E));
    json_t *j = json_loadb(text, len, 0, NULL);
    rc_text_free(text, len);
    assert_non_null(j);
    return j;
}

static double number(const json_t *j, const char *key) {
    const json_t *v = json_object_get(j, key);
    if (!json_is_number(v)) fail_msg("%s is not there", key);
    return json_number_value(v);
}

static size_t split(char *text, rc__cell *out) {
    size_t n = 0;
    for (char *at = text; *at;) {
        char *end = strchr(at, '\n');
        out[n++] = (rc__cell){at, (size_t)(end - at)};
        at = end + 1;
    }
    return n;
}

static void scores_are_those_of_the_predictions(void **state) {
    (void)state;
    rc_model *m = load("m-few.safetensors"); /* which is not always right */
    rc_predict_options po = plain();
    rc_eval_options o = rc_eval_options_default();
    o.reference = "test.tgt";
    o.search.beam = po.search.beam = 3;
    char *hypotheses = strdup(predict(m, "test.src", &po)), *references = read_text("test.tgt");
    rc__cell h[64], r[64];
    rc__bleu b;
    rc__variety v;
    double chrf;
    char signature[128];
    assert_int_equal(split(hypotheses, h), 50);
    size_t reference_bytes = strlen(references);
    assert_int_equal(split(references, r), 50);
    OK(rc__bleu_corpus(h, r, 50, RC__BLEU_13A, false, &b, &E));
    OK(rc__chrf_corpus(h, r, 50, 0, false, &chrf, signature, &E));
    OK(rc__variety_of(h, 50, &v, &E));
    json_t *j = eval(m, "test.src", &o);
    assert_true(number(j, "bleu") == b.score);
    assert_true(number(j, "chrf") == chrf);
    assert_true(number(j, "distinct_2") == v.distinct_2);
    assert_true(number(j, "exact_match") == rc__exact_match(h, r, 50));
    assert_true(number(j, "pairs") == 50);
    assert_true(number(j, "reference_len") == (double)b.reference_len);
    assert_string_equal(json_string_value(json_object_get(j, "bleu_signature")), b.signature);
    double pairs = 0;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(j, "by_length"), i, row) pairs += number(row, "pairs");
    assert_true(pairs == 50);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(j, "baselines"), 0), "method")),
        "copy the source");
    json_decref(j);
    free(hypotheses);
    rc_text_free(references, reference_bytes);
    rc_model_free(m);
}

/* The sum of -log p of the references, token by token, is what the search's own steps say of them. */
static void the_loss_is_that_of_the_steps(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    put("one.src", "red cat\n");
    put("one.tgt", "CAT RED\n");
    rc_eval_options o = rc_eval_options_default();
    o.reference = "one.tgt";
    json_t *j = eval(m, "one.src", &o);
    rc_predict_options po = plain();
    po.json = true;
    po.search.prefix = "CAT RED";
    po.search.max_length = 2;
    po.search.beam = 1;
    json_t *p = json_loads(predict(m, "one.src", &po), 0, NULL);
    assert_true(fabs(number(j, "loss") * 3 + number(p, "logp")) < 1e-4);
    assert_true(fabs(number(j, "perplexity") - exp(number(j, "loss"))) < 1e-9);
    json_decref(j);
    json_decref(p);
    rc_model_free(m);
}

static void strategies(void **state) {
    (void)state;
    rc_model *m = load("m-few.safetensors");
    rc_eval_options o = rc_eval_options_default(), greedy = o;
    o.reference = greedy.reference = "test.tgt";
    o.strategies = "greedy,beam4,diverse2,sample,sample3,top-k2,top-p0.5";
    greedy.search.beam = 1;
    json_t *j = eval(m, "test.src", &o), *g = eval(m, "test.src", &greedy), *rows = json_object_get(j, "strategies");
    assert_int_equal(json_array_size(rows), 7);
    assert_true(number(json_array_get(rows, 0), "bleu") == number(g, "bleu"));
    assert_true(number(json_array_get(rows, 1), "results") == 4);
    assert_true(number(json_array_get(rows, 1), "distinct_2_of_results") > 0);
    assert_true(number(json_array_get(rows, 4), "results") == 3);
    json_decref(j);
    json_decref(g);
    char *text;
    size_t len;
    static const char *const bad[] = {"", "beam0", "beam2.5", "fast", "greedy,", "top-p2", "beam5x", "greedy2"};
    for (size_t i = 1; i < 8; i++) {
        o.strategies = bad[i];
        rc_status s = rc_model_eval(m, "test.src", &o, &text, &len, &E);
        if (s != RC_EINVAL && i != 4) fail_msg("%s is taken", bad[i]);
        rc_text_free(text, len);
    }
    rc_model_free(m);
}

static void odd_pairs(void **state) {
    (void)state;
    rc_model *m = load("m-main.safetensors");
    rc_eval_options o = rc_eval_options_default();
    char *text;
    size_t len;
    put("a", "red cat\nbig\nthe\n");
    put("b", "CAT RED\nBIG\n");
    o.reference = "b";
    assert_int_equal(rc_model_eval(m, "a", &o, &text, &len, &E), RC_EDATA); /* of unequal length */
    put("b", "CAT RED\n\nTHE\n");
    json_t *j = eval(m, "a", &o);
    assert_true(number(j, "pairs") == 3);
    json_decref(j);
    o.reference = NULL;
    put("one.tsv", "source\ttarget\nred cat\tCAT RED\nbig dog\tDOG BIG\nthe cat runs\tRUNS CAT THE\n");
    o.tokenized = true;
    o.lowercase_scores = true;
    j = eval(m, "one.tsv", &o);
    assert_true(number(j, "pairs") == 3);
    assert_true(number(j, "exact_match") == 1);
    assert_non_null(strstr(json_string_value(json_object_get(j, "bleu_signature")), "case:lc|eff:no|tok:none"));
    json_decref(j);
    put("one.tsv", "source\ttarget\na a a a a\tA\na a a a a a\tA\na a a a a a a a a a\tA\na a a a a a a a a a a\tA\n");
    j = eval(m, "one.tsv", &o);
    const json_t *lengths_of = json_object_get(j, "by_length");
    assert_int_equal(json_array_size(lengths_of), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(lengths_of, 1), "source_words")), "6-10");
    assert_true(number(json_array_get(lengths_of, 1), "pairs") == 2 &&
                number(json_array_get(lengths_of, 1), "mean_words") == 8);
    json_decref(j);
    o.bleu_tokenizer = "14a";
    assert_int_equal(rc_model_eval(m, "one.tsv", &o, &text, &len, &E), RC_EINVAL);
    rc_model_free(m);
}

static void a_summary_may_be_like_any_of_its_references(void **state) {
    (void)state;
    rc_model *m = load("m-sum.safetensors");
    rc_eval_options o = rc_eval_options_default();
    put("one.jsonl",
        "{\"source\": [\"red cat runs.\", \"Big dog eats.\"], \"target\": [\"none of it\", \"big dog eats\"]}\n");
    json_t *j = eval(m, "one.jsonl", &o), *rows = json_object_get(j, "baselines");
    assert_true(number(j, "further_references") == 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "method")), "first sentence");
    assert_true(number(json_array_get(rows, 1), "rouge1") == 0);
    assert_true(number(json_array_get(rows, 2), "rouge1") == 1); /* the second sentence, the second reference */
    assert_true(fabs(number(json_array_get(rows, 0), "rouge2") - 2 * 2. / 5 * 1 / (2. / 5 + 1)) < 1e-12);
    assert_true(number(j, "rougeLsum") >= 0);
    json_decref(j);
    rc_model_free(m);
}

/* ---- chat -------------------------------------------------------------------------------------------------------- */

static const char *reply(rc_chat *c, const char *text) {
    static char out[4][256];
    static int turn;
    char *r;
    size_t len;
    OK(rc_chat_reply(c, text, strlen(text), &r, &len, &E));
    char *to = out[turn++ % 4];
    snprintf(to, 256, "%s", r);
    assert_int_equal(strlen(r), len);
    rc_text_free(r, len);
    return to;
}

static void a_conversation(void **state) {
    (void)state;
    rc_model *m = load("m-chat.safetensors"), *other = load("m-main.safetensors");
    rc_chat *c;
    rc_search_options o = rc_search_options_default();
    o.beam = 4;
    OK(rc_chat_new(&c, m, &o, &E));
    const char *first = reply(c, "hello there"), *second = reply(c, "hello there");
    assert_true(strcmp(first, "good day") == 0 || strcmp(first, "a friend") == 0);
    assert_string_not_equal(first, second); /* not the same again */
    assert_string_equal(reply(c, ""), "");
    assert_string_equal(reply(c, "  \t"), "");
    rc_chat_reset(c);
    assert_string_equal(reply(c, "hello there"), first);
    rc_chat_free(c);
    OK(rc_chat_new(&c, m, NULL, &E)); /* drawn */
    assert_true(strlen(reply(c, "who are you")) > 0);
    assert_true(strlen(reply(c, "мир")) > 0);
    rc_chat_free(c);
    /* a longer window: the source is its last turns with the separator between, as predict gets them in one line */
    ((rc__seq2seq *)m)->history = 3;
    o.beam = 1;
    OK(rc_chat_new(&c, m, &o, &E));
    char all[1024];
    const char *one = reply(c, "who are you");
    snprintf(all, sizeof all, "who are you | %s | hello there", one);
    rc_predict_options po = plain();
    po.search.beam = 1;
    char two[300];
    put("in", "who are you\n");
    snprintf(two, sizeof two, "%s\n", one);
    assert_string_equal(predict(m, "in", &po), two);
    put("in", all);
    snprintf(two, sizeof two, "%s\n", reply(c, "hello there"));
    assert_string_equal(predict(m, "in", &po), two);
    reply(c, "hello there"); /* the first turn leaves the window */
    rc_chat_free(c);
    assert_int_equal(rc_chat_new(&c, other, NULL, &E), RC_EMODEL);
    assert_null(c);
    rc_chat_free(NULL);
    rc_model_free(m);
    rc_model_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_learnt_to_turn_words_round),
        cmocka_unit_test(groups_do_not_matter),
        cmocka_unit_test(results_of_one_input),
        cmocka_unit_test(steering),
        cmocka_unit_test(unknown_words_are_replaced),
        cmocka_unit_test(an_ensemble),
        cmocka_unit_test(pictures),
        cmocka_unit_test(hostile_lines),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(refused_memory),
        cmocka_unit_test(scores_are_those_of_the_predictions),
        cmocka_unit_test(the_loss_is_that_of_the_steps),
        cmocka_unit_test(strategies),
        cmocka_unit_test(odd_pairs),
        cmocka_unit_test(a_summary_may_be_like_any_of_its_references),
        cmocka_unit_test(a_conversation),
    };
    return cmocka_run_group_tests(tests, enter, leave_work);
}
