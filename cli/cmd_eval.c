/* cmd_eval.c - recur eval MODEL FILE */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "models.h"

struct eval_options {
    int64_t window, batch, segment, threads;
    bool dynamic, json;
    double dynamic_lr;
    const char *precision;
    rc_eval_options model; /* of other tasks */
};

#define AT(field) offsetof(struct eval_options, field)
static const rc_option entries[] = {
    {"window", 0, RC_OPT_INT, AT(window), 0, 1e9, NULL, "N", "Evaluation",
     "0: one pass over the whole text that carries the state; N: windows of N tokens, each from the initial state"},
    {"batch", 0, RC_OPT_INT, AT(batch), 1, 65536, NULL, "N", "Run", "windows or sequences at once"},
    {"dynamic", 0, RC_OPT_BOOL, AT(dynamic), 0, 0, NULL, NULL, "Evaluation",
     "also dynamic evaluation: the model goes on learning from each segment after it was scored"},
    {"dynamic-lr", 0, RC_OPT_REAL, AT(dynamic_lr), 0, 100, NULL, "X", "Evaluation", "its learning rate"},
    {"segment", 0, RC_OPT_INT, AT(segment), 1, 1e6, NULL, "N", "Evaluation", "its segments, in tokens"},
    {"precision", 0, RC_OPT_CHOICE, AT(precision), 0, 0, "fp32 bf16 int8", "KIND", "Run",
     "of the products; another than fp32 is scored beside it"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Run", "0: all the cores the process may use"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Run", "one JSON object on standard output"},
};

static const rc_option *table(size_t *n) {
    static rc_option all[96];
    static size_t count;
    size_t more;
    const rc_option *t;
    if (count == 0) {
        cli_append_options(all, &count, 96, entries, sizeof entries / sizeof *entries, 0);
        t = rc_data_option_table(&more);
        cli_append_options(all, &count, 96, t, more, AT(model.data));
        t = rc_eval_option_table(&more);
        cli_append_options(all, &count, 96, t, more, AT(model));
    }
    *n = count;
    return all;
}

static void defaults(void *options) {
    rc_lm_eval_options d = rc_lm_eval_options_default();
    *(struct eval_options *)options = (struct eval_options){.window = (int64_t)d.window,
                                                            .batch = (int64_t)d.batch,
                                                            .segment = (int64_t)d.segment,
                                                            .dynamic_lr = d.dynamic_lr,
                                                            .precision = "fp32",
                                                            .model = rc_eval_options_default()};
}

static rc_status settle(cli_args *a, rc_error *e) {
    struct eval_options *o = a->options;
    rc_status s;
    if (a->help) return RC_OK;
    if (a->n_words < 2)
        return rc_fail(e, RC_EINVAL,
                       a->n_words ? "expected FILE: the text to score (- is standard input)"
                                  : "expected MODEL and FILE: a trained model and the text to score");
    if (a->n_words == 3 && o->model.reference)
        return rc_fail(e, RC_EINVAL, "expected one file of references, found %s and --reference %s", a->words[2],
                       o->model.reference);
    if (o->dynamic && strcmp(o->precision, "int8") == 0)
        return rc_fail(e, RC_EINVAL, "--dynamic goes on learning, and int8 weights are for inference");
    if ((s = cli_check_input("model", a->words[0], e))) return s;
    for (size_t i = 1; i < a->n_words; i++)
        if ((s = cli_check_input("data", a->words[i], e))) return s;
    return RC_OK;
}

/* What one scored position is, in words. */
static const char *unit_of(const rc_lm *m) {
    switch (rc_vocab_get_kind(rc_lm_vocab(m))) {
    case RC_VOCAB_BYTE: return "byte";
    case RC_VOCAB_CHAR: return "char";
    case RC_VOCAB_WORD: return "word";
    default: return "token";
    }
}

static json_t *score_json(const rc_lm *m, const rc_lm_score *s) {
    json_t *j = json_pack(
        "{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",                                  //
        "nats", cli_json_real(s->nats_per_token), "perplexity", cli_json_real(s->perplexity),            //
        "unit", unit_of(m), "count", (json_int_t)s->tokens, "bytes", (json_int_t)s->bytes,               //
        "chars", (json_int_t)s->chars, "words", (json_int_t)s->words, "unknown", (json_int_t)s->unknown, //
        "bits_per_byte", cli_json_real(s->bits_per_byte), "word_perplexity",                             //
        cli_json_real(s->word_perplexity), "nll", cli_json_real(s->nll), "seconds", cli_json_real(s->seconds));
    if (j && rc_vocab_get_kind(rc_lm_vocab(m)) != RC_VOCAB_BYTE)
        json_object_set_new(j, "bpc", cli_json_real(s->bits_per_char));
    return j;
}

static void add_score(cli_table *t, const char *pass, const rc_lm *m, const rc_lm_score *s) {
    cli_table_add(t, "%s", pass);
    cli_table_add(t, "%.4f", s->nats_per_token);
    cli_table_add(t, "%.3f", s->perplexity);
    cli_table_add(t, "%.4f", s->bits_per_byte);
    if (rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_BYTE)
        cli_table_add(t, "-");
    else
        cli_table_add(t, "%.4f", s->bits_per_char);
    cli_table_add(t, "%.2f", s->word_perplexity);
}

static void add_change(cli_table *t, const rc_lm *m, const rc_lm_score *from, const rc_lm_score *to) {
    cli_table_add(t, "change");
    cli_table_add(t, "%+.4f", to->nats_per_token - from->nats_per_token);
    cli_table_add(t, "%+.3f", to->perplexity - from->perplexity);
    cli_table_add(t, "%+.4f", to->bits_per_byte - from->bits_per_byte);
    if (rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_BYTE)
        cli_table_add(t, "-");
    else
        cli_table_add(t, "%+.4f", to->bits_per_char - from->bits_per_char);
    cli_table_add(t, "%+.2f", to->word_perplexity - from->word_perplexity);
}

/* fp32: the score in that precision, when plain is in another, else NULL. */
static void print_scores(const rc_lm *m, const struct eval_options *o, const rc_lm_score *fp32,
                         const rc_lm_score *plain, const rc_lm_score *dynamic) {
    char pass[64], in[96], time[24];
    const char *unit = unit_of(m);
    snprintf(pass, sizeof pass, o->window ? "windows of %lld" : "one pass, state carried", (long long)o->window);
    cli_table t = cli_table_new("lrrrrr");
    cli_table_add(&t, " ");
    cli_table_add(&t, "nats/%s", unit);
    cli_table_add(&t, "perplexity/%s", unit);
    cli_table_add(&t, "bits/byte");
    cli_table_add(&t, "bits/char");
    cli_table_add(&t, "perplexity/word by spaces");
    if (fp32) {
        snprintf(in, sizeof in, "%s, fp32", pass);
        add_score(&t, in, m, fp32);
        snprintf(in, sizeof in, "%s, %s", pass, o->precision);
        add_score(&t, in, m, plain);
        add_change(&t, m, fp32, plain);
    } else {
        add_score(&t, pass, m, plain);
    }
    if (dynamic) add_score(&t, "dynamic evaluation", m, dynamic);
    cli_table_print(&t, stdout);
    cli_table_free(&t);
    printf("%zu %ss scored (%zu bytes, %zu characters, %zu words", plain->tokens, unit, plain->bytes, plain->chars,
           plain->words);
    if (plain->unknown)
        printf("; %zu unknown to the vocabulary, %.2f %%", plain->unknown,
               100.0 * (double)plain->unknown / (double)plain->tokens);
    printf(") in %s\n", cli_time_text(time, sizeof time, plain->seconds));
}

static int run(cli_args *a) {
    const struct eval_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_lm *m = NULL;
    char *text = NULL;
    size_t len = 0;
    rc_lm_score fp32, plain, dynamic;
    rc_precision precision = RC_FP32;
    rc_precision_find(o->precision, &precision);
    rc_lm_eval_options eo = rc_lm_eval_options_default();
    eo.window = (size_t)o->window;
    eo.batch = (size_t)o->batch;
    eo.segment = (size_t)o->segment;
    eo.dynamic_lr = o->dynamic_lr;
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    char task[32] = "lm";
    if (!s) s = rc_model_task_of(a->words[0], task, sizeof task, &e);
    bool lm = strcmp(task, "lm") == 0;
    bool writes = cli_task_writes(task);
    const char *const of_lm[] = {"Evaluation", "Search"}, *const of_others[] = {"Data", "Results", "Search"};
    if (!s) s = cli_check_groups(a, lm ? of_others : of_lm, lm ? 3 : writes ? 1 : 2, false, a->words[0], task, &e);
    if (!s && !lm) s = cli_check_tasks(a, a->words[0], task, &e);
    bool several = strcmp(task, "answer") == 0;
    size_t most = several ? a->n_words : writes ? 3 : 2; /* of a model that writes the third word is its references */
    if (!s && a->n_words > most)
        s = rc_fail(&e, RC_EINVAL, "expected %s, found also \"%s\": %s is a model for %s",
                    writes ? "FILE and REFERENCE" : "one FILE", a->words[most], a->words[0], task);
    if (!s && !lm) {
        rc_eval_options mo = o->model;
        mo.batch = o->batch;
        if (several) mo.more = (const char *const *)a->words + 2;
        if (several) mo.n_more = a->n_words - 2;
        if (writes && a->n_words == 3) mo.reference = a->words[2];
        return cli_eval_model(a, a->words[0], a->words[1], &mo, o->json, o->precision);
    }
    if (!s) s = rc_lm_load(&m, a->words[0], &e);
    if (!s) s = rc_text_read(a->words[1], &text, &len, &e);
    if (!s &&
        (rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_CHAR || rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_WORD))
        s = rc_text_check_utf8(a->words[1], text, len, &e);
    if (!s && len > 100000 && isatty(STDERR_FILENO)) fprintf(stderr, "scoring %zu bytes ...\n", len);
    if (!s && precision != RC_FP32) s = rc_lm_eval(m, text, len, &eo, &fp32, &e);
    if (!s) s = rc_params_set_precision(rc_lm_params(m), precision, &e);
    if (!s) s = rc_lm_eval(m, text, len, &eo, &plain, &e);
    if (!s && o->dynamic) {
        eo.dynamic = true;
        eo.window = 0;
        s = rc_lm_eval(m, text, len, &eo, &dynamic, &e);
    }
    if (!s && o->json) {
        json_t *j = score_json(m, &plain);
        json_object_set_new(j, "window", json_integer(o->window));
        json_object_set_new(j, "precision", json_string(o->precision));
        if (precision != RC_FP32) {
            json_object_set_new(j, "fp32", score_json(m, &fp32));
            json_object_set_new(j, "change", cli_json_real(plain.nats_per_token - fp32.nats_per_token));
        }
        if (o->dynamic) json_object_set_new(j, "dynamic", score_json(m, &dynamic));
        cli_print_json(j);
    } else if (!s) {
        print_scores(m, o, precision != RC_FP32 ? &fp32 : NULL, &plain, o->dynamic ? &dynamic : NULL);
    }
    rc_text_free(text, len);
    rc_lm_free(m);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_eval = {
    .name = "eval",
    .usage = "eval MODEL FILE [REFERENCE] [OPTIONS]\neval MODEL FILE... [OPTIONS]",
    .summary = "score a model on data",
    .text =
        "A classifier: accuracy, F1 and more, each class and the confusion matrix (--no-details: not). A regressor: "
        "RMSE, "
        "MAE, R2. docs/evaluation.md has the definitions; data are read as in training, and options say otherwise.\n\n"
        "Scores text with a language model. nats: mean -ln p of a unit (byte, char, word or token, as the model's "
        "vocabulary has it); perplexity = exp(nats); bits per byte and per character compare models of different "
        "vocabularies; perplexity per word counts words by white space. The first unit has no context and is not "
        "scored. FILE may be gzip; - is standard input. --precision int8 (weights in 8 bits, a scale per row) or bf16 "
        "scores twice, in fp32 and so, and prints the change.\n\n"
        "Models of other tasks score a file of their kind. A forecaster forecasts every window of FILE that has a "
        "whole "
        "lookback before it (--start, --stride), or what comes after its training data when FILE goes on from them, "
        "and "
        "stands beside a linear model and the seasonal naive one.\n\n"
        "A model that writes (translate, summarize, chat) reads pairs, of one file or of FILE and REFERENCE line by "
        "line: loss "
        "of the references, BLEU and chrF as sacrebleu has them with their signatures, ROUGE of summaries, exact "
        "matches, how "
        "varied the texts are, copying the source beside it, BLEU by length of the source. --strategies compares ways "
        "to "
        "search: their scores, how much their results differ, their time.",
    .examples = "eval reviews.safetensors test.csv\n"
                "eval book.safetensors chapter.txt\n"
                "eval book.safetensors chapter.txt --dynamic\n"
                "eval book.safetensors chapter.txt --precision int8\n"
                "eval book.safetensors - --json < chapter.txt\n"
                "eval sales.safetensors sales.csv --start -84 --stride 28\n"
                "eval ende.safetensors test.en test.de --beam 5 --tokenized\n"
                "eval ende.safetensors test.en test.de --strategies greedy,beam5,diverse5,sample",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct eval_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
