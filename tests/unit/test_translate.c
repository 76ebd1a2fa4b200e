/* Translating, summarizing, chatting: texts to ids and back, batches, training on made-up pairs, the model file,
 * stopping and going on, what is refused. */
#include "train_helpers.h"

#include "base/mem.h"
#include "damaged_model.h"
#include "tasks/seq2seq.h"
#include "words_reversed.h"
#include <math.h>

static rc_error E;
#define OK(call)                                                \
    do {                                                        \
        if ((call) != RC_OK) fail_msg("%s: %s", #call, E.text); \
    } while (0)

/* ---- made-up data ------------------------------------------------------------------------------------------------ */

/* Words, and the same in capitals from the last to the first. */
static void write_pairs(const char *source, const char *target, size_t n, uint64_t seed) {
    FILE *a = fopen(source, "w"), *b = fopen(target, "w");
    assert_non_null(a);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++) {
        rc_rng r = rc_rng_make(seed, i);
        size_t len = 1 + (size_t)rc_rng_below(&r, 5);
        put_words(a, r, len, false);
        put_words(b, r, len, true);
        fputc('\n', a);
        fputc('\n', b);
    }
    fclose(a);
    fclose(b);
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int enter(void **state) {
    if (enter_work(state)) return -1;
    write_pairs("train.src", "train.tgt", 400, 1);
    write_pairs("valid.src", "valid.tgt", 60, 2);
    FILE *f = fopen("talk.txt", "w");
    if (!f) return -1;
    for (int i = 0; i < 60; i++) {
        rc_rng r = rc_rng_make(9, (uint64_t)i);
        put_words(f, r, 2, false);
        fputc('\n', f);
        put_words(f, r, 2, true);
        fputs("\nok\n\n", f);
    }
    fclose(f);
    return 0;
}

static const char *const pair_files[] = {"train.src", "train.tgt"};
static const char *const talk_files[] = {"talk.txt"};

static rc_train_options small(const char *task, const char *run) {
    rc_train_options o;
    OK(rc_train_options_for(task, &o, &E));
    bool chat = strcmp(task, "chat") == 0;
    o.files = chat ? talk_files : pair_files;
    o.n_files = chat ? 1 : 2;
    o.valid = chat ? NULL : "valid.src";
    o.valid_target = chat ? NULL : "valid.tgt";
    o.vocab = "word";
    o.hidden = 24;
    o.embedding = 16;
    o.layers = 1;
    o.dropout = o.dropout_input = o.word_dropout = 0;
    o.lr = 0.02;
    o.warmup = 5;
    o.average = "none";
    o.batch = 32;
    o.batch_tokens = 200;
    o.epochs = 0;
    o.steps = 40;
    o.sample_length = 0;
    o.run = run;
    o.threads = 1;
    o.out = "m.safetensors";
    return o;
}

static rc__seq2seq *load(const char *path) {
    rc_model *m;
    OK(rc_model_load(&m, path, &E));
    return (rc__seq2seq *)m;
}

static rc_status say_it(rc__seq2seq *m, const char *text, char *out, size_t cap, rc_error *e) {
    rc__id_pairs p = {0};
    rc__string answer = {0};
    rc__beam_options bo = m->beam;
    bo.beam = 1;
    rc_status s = rc__id_pairs_add(&p, m, (rc__cell){text, strlen(text)}, (rc__cell){"", 0}, 1, e);
    if (s == RC_OK) s = rc__seq2seq_translate(m, NULL, 0, &p, &bo, 4, &answer, e);
    snprintf(out, cap, "%.*s", (int)answer.len, answer.s ? answer.s : "");
    rc__string_free(&answer);
    rc__id_pairs_free(&p);
    return s;
}
static const char *says(rc__seq2seq *m, const char *text) {
    static char out[2000];
    OK(say_it(m, text, out, sizeof out, &E));
    return out;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

typedef struct heard {
    char text[20000];
    size_t n, validations, samples;
    double best;
} heard;
static void hear(void *ctx, const char *line) {
    heard *h = ctx;
    h->n += (size_t)snprintf(h->text + h->n, sizeof h->text - h->n, "%s\n", line);
}
static void see(void *ctx, const rc_train_progress *p, const rc_train_validation *v) {
    heard *h = ctx;
    (void)p;
    h->validations++;
    h->best = fmax(h->best, v->accuracy);
}
static void sampled(void *ctx, uint64_t step, const char *text, size_t len) {
    (void)step;
    assert_non_null(memmem(text, len, "\n  -> ", 6));
    ((heard *)ctx)->samples++;
}

static void learns_to_reverse(void **state) {
    (void)state;
    static heard h;
    rc_train_hooks hooks = {.ctx = &h, .on_message = hear, .on_validation = see, .on_sample = sampled};
    rc_train_options o = small("translate", "reverse");
    o.steps = 500;
    o.valid_every = 100;
    o.sample_length = 50;
    o.beam = 3;
    rc_train_result r = train_ok(&o, &hooks);
    assert_string_equal(r.measure, "BLEU");
    if (r.accuracy < 80 || r.accuracy > 100.001) fail_msg("BLEU %g\n%s", r.accuracy, h.text);
    assert_true(r.best_criterion < -0.8 && h.validations == 5 && h.samples == 5);
    assert_non_null(strstr(h.text, "training: 400 pairs"));
    assert_non_null(strstr(h.text, "validation: 60 pairs"));
    assert_non_null(strstr(h.text, "baseline, the source as it is: BLEU 0.00"));
    assert_non_null(strstr(h.text, "attention general"));
    rc__seq2seq *m = load("m.safetensors");
    assert_string_equal(says(m, "cat eats dog"), "DOG EATS CAT");
    assert_string_equal(says(m, "  cat\teats "), "EATS CAT");
    assert_string_equal(says(m, " \n"), "");
    says(m, "\xF0\x9F\x90\x88 nie gesehen");
    rc_model_free(&m->base);
    rename("m.safetensors", "reverse.safetensors");
}

static double loss_after(const char *task, void (*change)(rc_train_options *o), const char *run) {
    rc_train_options o = small(task, run);
    o.steps = 60;
    change(&o);
    return train_ok(&o, NULL).train_loss;
}
static void nothing(rc_train_options *o) { (void)o; }
static void without_attention(rc_train_options *o) { o->attention = "none"; }
static void copying(rc_train_options *o) { o->copy = o->coverage = true; }
static void sides_apart(rc_train_options *o) {
    o->shared = false;
    o->cell = "gru";
    o->encoder = "cnn";
    o->tied = false;
    o->input_feeding = true;
    o->attention = "additive";
}
static void pieces(rc_train_options *o) { o->vocab = "auto"; }
static void characters(rc_train_options *o) { o->vocab = "char"; }
static void bytes(rc_train_options *o) { o->vocab = "byte"; }
static void all_drops(rc_train_options *o) {
    o->dropout = o->dropout_input = 0.2;
    o->word_dropout = 0.2;
    o->scheduled_sampling = 0.5;
    o->label_smoothing = 0.1;
    o->average = "ema";
}

static void every_kind_trains(void **state) {
    (void)state;
    void (*const kinds[])(rc_train_options * o) = {nothing, without_attention, copying, sides_apart,
                                                   pieces,  characters,        bytes,   all_drops};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char run[32];
        snprintf(run, sizeof run, "kind%zu", i);
        double loss = loss_after("translate", kinds[i], run);
        if (!(loss < 2.6)) fail_msg("kind %zu: loss %g", i, loss);
        rc__seq2seq *m = load("m.safetensors");
        says(m, "cat eats dog");
        rc_model_free(&m->base);
    }
}

static void chats(void **state) {
    (void)state;
    rc_train_options o = small("chat", "chat");
    o.steps = 300;
    o.history = 2;
    rc_train_result r = train_ok(&o, NULL);
    assert_true(isnan(r.valid_loss) && r.measure[0] == 0);
    rc__seq2seq *m = load("m.safetensors");
    assert_int_equal(m->history, 2);
    assert_string_equal(m->separator, " | ");
    assert_string_equal(says(m, "cat dog"), "DOG CAT");
    assert_string_equal(says(m, "cat dog | DOG CAT"), "ok");
    rc_model_free(&m->base);
}

static void summarizes(void **state) {
    (void)state;
    FILE *f = fopen("train.jsonl", "w");
    for (int i = 0; i < 200; i++)
        fprintf(
            f,
            "{\"id\": %d, \"source\": [\"%s is here.\", \"We saw the %s too.\"], \"target\": [\"%s and %s\", \"x\"]}\n",
            i, words[i % 8], words[i / 8 % 8], words[i % 8], words[i / 8 % 8]);
    fclose(f);
    static const char *const files[] = {"train.jsonl"};
    static heard h;
    rc_train_hooks hooks = {.ctx = &h, .on_message = hear};
    rc_train_options o = small("summarize", "sum");
    o.files = files;
    o.n_files = 1;
    o.valid = o.valid_target = NULL;
    o.valid_fraction = 0.1;
    o.steps = 300;
    rc_train_result r = train_ok(&o, &hooks);
    assert_string_equal(r.measure, "ROUGE-L");
    if (!(r.accuracy > 80)) fail_msg("ROUGE-L %g\n%s", r.accuracy, h.text);
    assert_non_null(strstr(h.text, "baseline, the source's first sentence: ROUGE-L"));
    assert_non_null(strstr(h.text, "copying"));
    rc__seq2seq *m = load("m.safetensors");
    assert_string_equal(m->data.text, "source");
    assert_string_equal(m->data.target, "target");
    assert_string_equal(says(m, "cat is here. We saw the big too."), "cat and big");
    rc_model_free(&m->base);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

static void same_values(const char *a, const char *b) {
    rc__seq2seq *x = load(a), *y = load(b);
    size_t n = rc_params_block_len(x->base.params);
    assert_int_equal(n, rc_params_block_len(y->base.params));
    assert_memory_equal(rc_params_values(x->base.params), rc_params_values(y->base.params), n * sizeof(rc_real));
    rc_model_free(&x->base);
    rc_model_free(&y->base);
}

static void saved_and_loaded(void **state) {
    (void)state;
    rc_train_options o = small("translate", "saved");
    o.lowercase = o.coverage = true;
    o.shared = false;
    o.tied = false;
    o.max_source = 7;
    o.max_target = 9;
    o.source_lang = "en";
    o.coverage_weight = 0.25;
    train_ok(&o, NULL);
    rc__seq2seq *m = load("m.safetensors");
    assert_true(m->lowercase && m->max_source == 7 && m->max_target == 9 && m->net.o.decoder.coverage);
    assert_true(m->net.o.coverage_weight == 0.25 && !m->net.o.shared && m->beam.max_len == 9);
    assert_string_equal(m->source_language, "en");
    OK(rc_model_save(&m->base, "again.safetensors", NULL, &E));
    assert_same_file("m.safetensors", "again.safetensors");
    rc__seq2seq *n = load("again.safetensors");
    char first[2000];
    snprintf(first, sizeof first, "%s", says(m, "the big dog"));
    assert_string_equal(first, says(n, "the big dog"));
    rc_model_free(&n->base);
    rc_model_free(&m->base);
}

static void resumed_and_in_threads(void **state) {
    (void)state;
    rc_train_options o = small("translate", "one");
    all_drops(&o);
    o.steps = 30;
    o.schedule = "constant";
    o.warmup = 0;
    o.valid = o.valid_target = NULL;
    o.valid_fraction = 0;
    o.scheduled_sampling = 0; /* its share follows from the length of the run */
    train_ok(&o, NULL);
    o.run = "two";
    o.out = "two.safetensors";
    o.threads = 3;
    train_ok(&o, NULL);
    OK(rc_set_threads(1, &E));
    same_values("m.safetensors", "two.safetensors");
    o.run = "half";
    o.out = "half.safetensors";
    o.threads = 1;
    o.steps = 13;
    o.checkpoint_every = 13;
    train_ok(&o, NULL);
    rc_train_options on;
    OK(rc_train_options_for("translate", &on, &E));
    static const char *const given[] = {"steps"};
    on.resume = "half";
    on.steps = 30;
    on.given = given;
    on.n_given = 1;
    train_ok(&on, NULL);
    same_values("m.safetensors", "half.safetensors");
    /* other data are told */
    write_pairs("train.src", "train.tgt", 400, 77);
    on.steps = 40;
    rc_train_result r;
    assert_int_equal(rc_train(&on, NULL, &r, &E), RC_EDATA);
    assert_non_null(strstr(E.text, "the training pairs are not those"));
    write_pairs("train.src", "train.tgt", 400, 1);
}

static void goes_on_from_a_model(void **state) {
    (void)state;
    rc_train_options o = small("translate", "from");
    o.from = "reverse.safetensors";
    o.out = "from.safetensors";
    o.steps = 5;
    o.lr = 1e-5;
    rc_train_result r = train_ok(&o, NULL);
    assert_true(r.accuracy > 80);
    o = small("chat", "from-chat");
    o.from = "reverse.safetensors";
    assert_int_equal(rc_train(&o, NULL, &r, &E), RC_EMODEL);
    assert_non_null(strstr(E.text, "expected a chat model, found a translator"));
}

/* Summaries copy unless what was asked for leaves nothing to copy by. */
static void a_default_gives_way(void **state) {
    (void)state;
    rc_train_options o = small("summarize", "no-copy");
    o.steps = 1;
    o.shared = false;
    train_ok(&o, NULL);
    rc__seq2seq *m = load("m.safetensors");
    assert_false(m->net.o.copy);
    rc_model_free(&m->base);
}

static void plans(void **state) {
    (void)state;
    rc_plan p;
    rc_train_options o = small("translate", "plan");
    OK(rc_train_plan(&o, 0.2, &p, &E));
    assert_true(p.parameters > 1000 && p.epoch_tokens > 800 && p.steps_per_epoch > 2 && p.vocab_size == 18);
}

/* ---- texts and ids ----------------------------------------------------------------------------------------------- */

static rc__seq2seq *made(const char *spec, const char *text) {
    rc__seq2seq *m = rc__calloc(1, sizeof *m);
    m->max_source = m->max_target = 100;
    OK(rc_vocab_train(&m->source_vocab, spec, text, strlen(text), &E));
    m->target_vocab = m->source_vocab;
    return m;
}
static void unmade(rc__seq2seq *m) {
    rc_vocab_free(m->source_vocab);
    rc__free(m, sizeof *m);
}

static size_t encoded(const rc__seq2seq *m, bool target, const char *text, int32_t out[64], size_t *unknown) {
    rc__string scratch = {0};
    int32_t *ids;
    size_t n;
    OK(rc__seq2seq_encode(m, target, (rc__cell){text, strlen(text)}, &scratch, &ids, &n, unknown, &E));
    assert_true(n <= 64);
    if (n) memcpy(out, ids, n * sizeof *ids);
    rc_ids_free(ids, n);
    rc__string_free(&scratch);
    return n;
}

static const char *decoded(const rc__seq2seq *m, const int32_t *ids, size_t n, const rc__cell *replace) {
    static char text[400];
    rc__string out = {0};
    OK(rc__seq2seq_decode(m, ids, n, replace, true, &out, &E));
    snprintf(text, sizeof text, "%.*s", (int)out.len, out.s ? out.s : "");
    rc__string_free(&out);
    return text;
}

static void texts_to_ids_and_back(void **state) {
    (void)state;
    int32_t ids[64];
    size_t unknown;
    rc__seq2seq *m = made("word", "a a b c\n");
    /* <unk> 0, <eos> 1, a 2, b 3, c 4; begin 5, end 6 */
    assert_int_equal(encoded(m, false, " a\nc x ", ids, &unknown), 4);
    assert_memory_equal(ids, ((int32_t[]){2, 4, 0, 6}), 4 * sizeof *ids);
    assert_int_equal(unknown, 1);
    assert_int_equal(encoded(m, true, "a c", ids, &unknown), 2);
    assert_int_equal(encoded(m, false, "", ids, &unknown), 1);
    assert_int_equal(ids[0], 6);
    assert_int_equal(encoded(m, true, " ", ids, &unknown), 0);
    m->max_source = 2;
    assert_int_equal(encoded(m, false, "a b c", ids, &unknown), 3);
    assert_memory_equal(ids, ((int32_t[]){2, 3, 6}), 3 * sizeof *ids);
    assert_string_equal(decoded(m, (int32_t[]){2, 0, 4}, 3, NULL), "a <unk> c");
    const rc__cell from[] = {{NULL, 0}, {"Zoe", 3}, {"no", 2}};
    assert_string_equal(decoded(m, (int32_t[]){2, 0, 4}, 3, from), "a Zoe c");
    rc__string out = {0};
    assert_int_equal(rc__seq2seq_decode(m, (int32_t[]){5}, 1, NULL, true, &out, &E), RC_EINVAL);
    m->lowercase = true;
    assert_int_equal(encoded(m, false, "A B", ids, &unknown), 3);
    assert_memory_equal(ids, ((int32_t[]){2, 3, 6}), 3 * sizeof *ids);
    unmade(m);
    /* pieces: the first word is cut as the others are; bytes that make no character are shown as such */
    m = made("bpe:300", " the cat the cat the cat\n");
    size_t n = encoded(m, true, "the the cat", ids, &unknown);
    assert_int_equal(ids[0], ids[1]);
    assert_string_equal(decoded(m, ids, n, NULL), "the the cat");
    n = encoded(m, true, "\xC3\xA9", ids, &unknown);
    assert_string_equal(decoded(m, ids, n, NULL), "\xC3\xA9");
    assert_string_equal(decoded(m, ids, n - 1, NULL), "\xEF\xBF\xBD");
    unmade(m);
    /* Moses' words */
    m = made("word", "it is a dog , a dog .\n");
    m->moses = m->lowercase = true;
    m->source_language = m->target_language = (char[]){"en"};
    n = encoded(m, true, "It is a dog, a dog.", ids, &unknown);
    assert_int_equal(n, 8);
    assert_int_equal(unknown, 0);
    assert_string_equal(decoded(m, ids, n, NULL), "it is a dog, a dog.");
    unmade(m);
}

static void batches(void **state) {
    (void)state;
    rc__seq2seq *m = made("word", "a b c\n");
    rc__id_pairs p = {0};
    rc__pair_batch b = {0};
    const char *const sources[] = {"a b c", "", "c"}, *const targets[] = {"b", "c a", ""};
    for (size_t i = 0; i < 3; i++)
        OK(rc__id_pairs_add(&p, m, (rc__cell){sources[i], strlen(sources[i])},
                            (rc__cell){targets[i], strlen(targets[i])}, i + 1, &E));
    assert_int_equal(p.n, 3);
    OK(rc__pair_batch_make(&b, m, &p, (uint32_t[]){2, 0, 1}, 3, 0, NULL, &E));
    assert_true(b.b.n == 3 && b.b.source_len == 4 && b.b.target_len == 3);
    /* a 2, b 3, c 4; begin 5, end 6; by time */
    assert_memory_equal(b.source, ((int32_t[]){4, 2, 6, 6, 3, 6, 6, 4, 6, 6, 6, 6}), 12 * sizeof(int32_t));
    assert_memory_equal(b.source_lengths, ((int32_t[]){2, 4, 1}), 3 * sizeof(int32_t));
    assert_memory_equal(b.target_in, ((int32_t[]){5, 5, 5, 6, 3, 4, 6, 6, 2}), 9 * sizeof(int32_t));
    assert_memory_equal(b.target_out, ((int32_t[]){6, 3, 4, -100, 6, 2, -100, -100, 6}), 9 * sizeof(int32_t));
    assert_memory_equal(b.target_lengths, ((int32_t[]){1, 2, 3}), 3 * sizeof(int32_t));
    /* word dropout: never begin, end or what is to be written */
    rc_rng r = rc_rng_make(1, 1);
    OK(rc__pair_batch_make(&b, m, &p, (uint32_t[]){2, 0, 1}, 3, 0.999999, &r, &E));
    assert_memory_equal(b.source, ((int32_t[]){0, 0, 6, 6, 0, 6, 6, 0, 6, 6, 6, 6}), 12 * sizeof(int32_t));
    assert_memory_equal(b.target_in, ((int32_t[]){5, 5, 5, 6, 0, 0, 6, 6, 0}), 9 * sizeof(int32_t));
    assert_memory_equal(b.target_out, ((int32_t[]){6, 3, 4, -100, 6, 2, -100, -100, 6}), 9 * sizeof(int32_t));
    rc__pair_batch_free(&b);
    rc__id_pairs_free(&p);
    unmade(m);
}

static void answers_are_the_same_in_any_batch(void **state) {
    (void)state;
    rc__seq2seq *m = load("reverse.safetensors");
    rc__id_pairs p = {0};
    rc__string one[30] = {{0}}, many[30] = {{0}};
    rc__beam_options bo = m->beam;
    for (size_t i = 0; i < 30; i++) {
        const char *text = "cat eats the big red dog";
        OK(rc__id_pairs_add(&p, m, (rc__cell){text, i * 7 % 25}, (rc__cell){"", 0}, i, &E));
    }
    OK(rc__seq2seq_translate(m, NULL, 0, &p, &bo, 1, one, &E));
    OK(rc__seq2seq_translate(m, NULL, 0, &p, &bo, 8, many, &E));
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(one[i].len, many[i].len);
        if (one[i].len) assert_memory_equal(one[i].s, many[i].s, one[i].len);
        if (i * 7 % 25 == 0) assert_int_equal(one[i].len, 0);
        rc__string_free(&one[i]);
        rc__string_free(&many[i]);
    }
    rc__id_pairs_free(&p);
    rc_model_free(&m->base);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void refuse(rc_train_options *o, const char *word) {
    rc_train_result r;
    rc_status s = rc_train(o, NULL, &r, &E);
    if (s != RC_EDATA && s != RC_EINVAL && s != RC_EMODEL) fail_msg("%s: %s", rc_status_name(s), E.text);
    if (!strstr(E.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, E.text);
}

static void wrong_data(void **state) {
    (void)state;
    static const char *const three[] = {"train.src", "train.tgt", "valid.src"}, *const one[] = {"train.src"};
    static const char *const bad[] = {"bad.src", "bad.tgt"};
    rc_train_options o = small("translate", "wrong");
    o.files = three;
    o.n_files = 3;
    refuse(&o, "found 3");
    o.files = one;
    o.n_files = 1;
    refuse(&o, "plain lines");
    o = small("translate", "wrong");
    o.files = bad;
    put("bad.src", "a\nb\nc\n");
    put("bad.tgt", "x\ny\n");
    refuse(&o, "has 3 lines");
    put("bad.tgt", "x\nx\nx\n");
    refuse(&o, "every target is the same text (\"x\")");
    put("bad.tgt", "\n\n\n");
    refuse(&o, "every pair has an empty side");
    put("bad.tgt", "x\n\n\n");
    refuse(&o, "2 pairs of texts or more");
    put("bad.tgt", "x\ny\nz\n");
    o.vocab = "wordy";
    refuse(&o, "vocab");
    o.vocab = "word";
    o.attention = "none";
    o.coverage = true;
    refuse(&o, "coverage");
    o = small("translate", "wrong");
    o.shared = false;
    o.copy = true;
    refuse(&o, "one vocabulary");
    o = small("translate", "wrong");
    o.valid = NULL;
    refuse(&o, "valid-target");
    o = small("translate", "wrong");
    o.from = "train.src";
    refuse(&o, "train.src");
    static const char *const alone[] = {"alone.txt"};
    put("alone.txt", "hi\n\nho\n");
    o = small("chat", "wrong");
    o.files = alone;
    refuse(&o, "two turns or more");
}

/* A line of 100,000 words is cut, and told. */
static void a_long_line(void **state) {
    (void)state;
    static const char *const files[] = {"long.src", "long.tgt"};
    static heard h;
    rc_train_hooks hooks = {.ctx = &h, .on_message = hear};
    FILE *f = fopen("long.src", "w");
    for (int i = 0; i < 100000; i++) fputs("cat ", f);
    fputs("\ndog\n", f);
    fclose(f);
    put("long.tgt", "CAT\nDOG\n");
    rc_train_options o = small("translate", "long");
    o.files = files;
    o.valid = o.valid_target = NULL;
    o.valid_fraction = 0;
    o.steps = 2;
    h.n = 0;
    train_ok(&o, &hooks);
    assert_non_null(strstr(h.text, "1 cut to 256 and 256"));
}

static rc_status predict_all(rc_model *m, const char *test, rc_error *e) {
    char out[2000];
    (void)test;
    return say_it((rc__seq2seq *)m, "cat eats dog", out, sizeof out, e);
}

static void damaged_documents(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rc_train_options o = small(kind ? "chat" : "translate", kind ? "damaged1" : "damaged0");
        o.steps = 1;
        o.hidden = 4;
        o.embedding = 3;
        o.shared = kind == 0;
        o.tied = kind == 0;
        o.max_target = 5;
        o.out = "good.safetensors";
        train_ok(&o, NULL);
        parts all = take_apart("good.safetensors");
        json_object_set_new(all.doc, "provenance", json_object()); /* long, and only kept */
        assert_true(damage(&all, all.doc, 0, predict_all, NULL) > 300);
        leave_parts(&all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_to_reverse),
        cmocka_unit_test(every_kind_trains),
        cmocka_unit_test(chats),
        cmocka_unit_test(summarizes),
        cmocka_unit_test(saved_and_loaded),
        cmocka_unit_test(resumed_and_in_threads),
        cmocka_unit_test(goes_on_from_a_model),
        cmocka_unit_test(a_default_gives_way),
        cmocka_unit_test(plans),
        cmocka_unit_test(texts_to_ids_and_back),
        cmocka_unit_test(batches),
        cmocka_unit_test(answers_are_the_same_in_any_batch),
        cmocka_unit_test(wrong_data),
        cmocka_unit_test(a_long_line),
        cmocka_unit_test(damaged_documents),
    };
    return cmocka_run_group_tests(tests, enter, leave_work);
}
