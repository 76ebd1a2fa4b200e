/* cmd_predict.c - recur predict MODEL [INPUT]: continues a text. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models.h"

struct predict_options {
    const char *prompt, *stop, *precision;
    int64_t length, samples, top_k, repetition_window, seed, threads;
    double temperature, top_p, min_p, repetition_penalty;
    bool echo, unk, json;
    bool why;
    rc_predict_options model; /* of other tasks */
};

#define AT(field) offsetof(struct predict_options, field)
static const rc_option entries[] = {
    {"prompt", 'p', RC_OPT_STRING, AT(prompt), 0, 0, NULL, "TEXT", "Run",
     "the text to continue, or to classify or tag"},
    {"length", 'n', RC_OPT_INT, AT(length), 0, 1e9, NULL, "N", "Text", "tokens to write at most"},
    {"samples", 0, RC_OPT_INT, AT(samples), 1, 65536, NULL, "N", "Run",
     "text: continuations at once; forecast: paths drawn"},
    {"stop", 0, RC_OPT_STRING, AT(stop), 0, 0, NULL, "TEXT", "Text",
     "stop before this text; may be repeated; \\n is a newline"},
    {"echo", 0, RC_OPT_BOOL, AT(echo), 0, 0, NULL, NULL, "Text", "the prompt before the continuation"},
    {"temperature", 't', RC_OPT_REAL, AT(temperature), 0, 1000, NULL, "X", "Sampling",
     "0: always the most likely; 1: as the model says; more: bolder"},
    {"top-k", 0, RC_OPT_INT, AT(top_k), 0, 1e9, NULL, "K", "Run",
     "text: draw from the K most likely, 0: off; classify: so many labels"},
    {"top-p", 0, RC_OPT_REAL, AT(top_p), 1e-6, 1, NULL, "P", "Sampling",
     "draw from the most likely that add up to P; 1: off"},
    {"min-p", 0, RC_OPT_REAL, AT(min_p), 0, 1, NULL, "P", "Sampling",
     "drop what is less likely than P times the best; 0: off"},
    {"repetition-penalty", 0, RC_OPT_REAL, AT(repetition_penalty), 0.01, 100, NULL, "X", "Sampling",
     "make recent tokens less likely; 1: off"},
    {"repetition-window", 0, RC_OPT_INT, AT(repetition_window), 0, 1e6, NULL, "N", "Sampling",
     "how many tokens are recent"},
    {"unk", 0, RC_OPT_BOOL, AT(unk), 0, 0, NULL, NULL, "Sampling", "<unk> may be drawn"},
    {"why", 0, RC_OPT_BOOL, AT(why), 0, 0, NULL, NULL, "Results", "what mattered in each input, by leaving it out"},
    {"seed", 0, RC_OPT_INT, AT(seed), 0, 9.2e18, NULL, "N", "Run", "same seed, same text"},
    {"precision", 0, RC_OPT_CHOICE, AT(precision), 0, 0, "fp32 bf16 int8", "KIND", "Run",
     "of the products; int8: weights in 8 bits, a scale per row"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Run", "0: all the cores the process may use"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Run", "one JSON object on standard output"},
};

static const rc_option *table(size_t *n) {
    static rc_option all[128];
    static size_t count;
    size_t more;
    const rc_option *t;
    if (count == 0) {
        cli_append_options(all, &count, 128, entries, sizeof entries / sizeof *entries, 0);
        t = rc_data_option_table(&more);
        cli_append_options(all, &count, 128, t, more, AT(model.data));
        t = rc_predict_option_table(&more);
        cli_append_options(all, &count, 128, t, more, AT(model));
    }
    *n = count;
    return all;
}

static void defaults(void *options) {
    rc_lm_generate_options g = rc_lm_generate_options_default();
    *(struct predict_options *)options =
        (struct predict_options){.length = (int64_t)g.length,
                                 .samples = (int64_t)g.samples,
                                 .seed = (int64_t)g.seed,
                                 .top_k = (int64_t)g.sampler.top_k,
                                 .repetition_window = (int64_t)g.sampler.repetition_window,
                                 .temperature = g.sampler.temperature,
                                 .top_p = g.sampler.top_p,
                                 .min_p = g.sampler.min_p,
                                 .repetition_penalty = g.sampler.repetition_penalty,
                                 .unk = !g.sampler.no_unk,
                                 .precision = "fp32",
                                 .echo = true,
                                 .model = rc_predict_options_default()};
}

static rc_status settle(cli_args *a, rc_error *e) {
    struct predict_options *o = a->options;
    rc_status s;
    if (a->help) return RC_OK;
    if (a->n_words == 0) return rc_fail(e, RC_EINVAL, "expected MODEL: a file that recur train wrote");
    if (a->n_words > 2)
        return rc_fail(e, RC_EINVAL, "expected one INPUT, found also \"%s\"; a prompt of several words needs quotes",
                       a->words[2]);
    if (a->n_words == 2 && o->prompt)
        return rc_fail(e, RC_EINVAL,
                       "expected --prompt or INPUT, found both (\"%s\"); a prompt of several words needs quotes",
                       a->words[1]);
    if ((s = cli_check_input("model", a->words[0], e))) return s;
    if (a->n_words == 2 && strcmp(a->words[1], "-") != 0 && access(a->words[1], F_OK) != 0)
        return rc_fail(e, RC_EIO, "input: %s: no such file; a prompt is given as --prompt TEXT", a->words[1]);
    return a->n_words == 2 ? cli_check_input("input", a->words[1], e) : RC_OK;
}

/* "a\nb\t\\" -> the characters, so that a shell can name a newline. */
static char *unescape(const char *text) {
    char *out = cli_alloc(strlen(text) + 1), *p = out;
    for (; *text; text++) {
        if (*text != '\\' || !text[1] || !strchr("nt\\", text[1])) {
            *p++ = *text;
            continue;
        }
        text++;
        *p++ = (char)(*text == 'n' ? '\n' : *text == 't' ? '\t' : '\\');
    }
    return out;
}

struct out {
    bool terminal, last_newline;
};

/* A model of bytes may write anything: a terminal gets no control characters. */
static void put(struct out *out, const char *text, size_t len) {
    if (len) out->last_newline = text[len - 1] == '\n';
    if (!out->terminal) {
        fwrite(text, 1, len, stdout);
        return;
    }
    char *clean = cli_clean_text(text, len);
    fputs(clean, stdout);
    free(clean);
}

static bool on_text(void *ctx, size_t i, const char *piece, size_t len) {
    (void)i;
    put(ctx, piece, len);
    fflush(stdout);
    return !cli_stdout_gone();
}

static json_t *text_json(const char *text, size_t len) {
    json_t *j = json_stringn(text, len);
    if (j) return j;
    char *clean = cli_clean_text(text, len); /* bytes that are no UTF-8 */
    j = json_string(clean);
    free(clean);
    return j;
}

static void print_samples(const struct predict_options *o, const char *prompt, size_t prompt_len, char **texts,
                          const size_t *lens) {
    struct out out = {.terminal = isatty(STDOUT_FILENO) != 0};
    json_t *list = json_array();
    for (int64_t i = 0; i < o->samples; i++) {
        if (o->json) {
            json_array_append_new(list, text_json(texts[i], lens[i]));
            continue;
        }
        printf("--- %lld of %lld ---\n", (long long)i + 1, (long long)o->samples);
        if (o->echo) put(&out, prompt, prompt_len);
        put(&out, texts[i], lens[i]);
        if (!out.last_newline) putchar('\n');
    }
    if (o->json)
        cli_print_json(json_pack("{s:o, s:o, s:I}", "prompt", text_json(prompt, prompt_len), "samples", list, "seed",
                                 (json_int_t)o->seed));
    else
        json_decref(list);
}

static rc_status generate(const cli_args *a, const rc_lm *m, const char *prompt, size_t prompt_len, rc_error *e) {
    const struct predict_options *o = a->options;
    struct out out = {.terminal = isatty(STDOUT_FILENO) != 0};
    rc_lm_generate_options g = rc_lm_generate_options_default();
    g.sampler.temperature = o->temperature;
    g.sampler.top_k = (size_t)o->top_k;
    g.sampler.top_p = o->top_p;
    g.sampler.min_p = o->min_p;
    g.sampler.repetition_penalty = o->repetition_penalty;
    g.sampler.repetition_window = (size_t)o->repetition_window;
    g.sampler.no_unk = !o->unk;
    g.length = (size_t)o->length;
    g.samples = (size_t)o->samples;
    g.seed = (uint64_t)o->seed;
    char **stop = cli_alloc((a->n_given + 1) * sizeof *stop);
    for (size_t i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, "stop") == 0) stop[g.n_stop++] = unescape(a->given[i].value);
    g.stop = (const char *const *)stop;
    rc_status s;
    if (o->samples == 1 && !o->json) {
        g.on_text = on_text;
        g.ctx = &out;
        if (o->echo) put(&out, prompt, prompt_len);
        fflush(stdout);
        s = rc_lm_generate(m, prompt, prompt_len, &g, NULL, NULL, e);
        if ((!s || s == RC_ESTOP) && !out.last_newline) putchar('\n');
    } else {
        char **texts = cli_alloc((size_t)o->samples * sizeof *texts);
        size_t *lens = cli_alloc((size_t)o->samples * sizeof *lens);
        s = rc_lm_generate(m, prompt, prompt_len, &g, texts, lens, e);
        if (!s) {
            print_samples(o, prompt, prompt_len, texts, lens);
            for (int64_t i = 0; i < o->samples; i++) rc_text_free(texts[i], lens[i]);
        }
        free(texts);
        free(lens);
    }
    for (size_t i = 0; i < g.n_stop; i++) free(stop[i]);
    free(stop);
    return s == RC_ESTOP ? RC_OK : s;
}

/* What the model cannot read in a prompt becomes <unk>: better said than wondered about. */
static rc_status note_unknown(const rc_lm *m, const char *prompt, size_t len, rc_error *e) {
    int32_t *ids = NULL;
    size_t n = 0, unknown = 0;
    rc_status s = len ? rc_vocab_encode(rc_lm_vocab(m), prompt, len, &ids, &n, &unknown, e) : RC_OK;
    if (!s && unknown)
        fprintf(stderr, "recur predict: %zu of %zu %ss of the prompt are unknown to the model\n", unknown, n,
                rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_WORD ? "word" : "character");
    rc_ids_free(ids, n);
    return s;
}

/* The options of sampling that language models have too. Who gives one wants a draw. */
static void take_sampling(const cli_args *a, const struct predict_options *o, rc_search_options *s) {
    static const char *const names[] = {"temperature",      "top-k", "top-p", "min-p", "repetition-penalty",
                                        "repetition-window"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) any |= cli_is_given(a, names[i]);
    if (any && !cli_is_given(a, "sample")) s->sample = true;
    if (cli_is_given(a, "temperature")) s->temperature = o->temperature;
    if (cli_is_given(a, "top-k")) s->top_k = o->top_k;
    if (cli_is_given(a, "top-p")) s->top_p = o->top_p;
    if (cli_is_given(a, "min-p")) s->min_p = o->min_p;
    if (cli_is_given(a, "repetition-penalty")) s->repetition_penalty = o->repetition_penalty;
    if (cli_is_given(a, "repetition-window")) s->repetition_window = o->repetition_window;
    s->unk = o->unk;
    s->seed = o->seed;
}

static int run(cli_args *a) {
    const struct predict_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_lm *m = NULL;
    char *text = NULL;
    size_t len = 0;
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    rc_precision precision = RC_FP32;
    rc_precision_find(o->precision, &precision);
    char task[32] = "lm";
    if (!s) s = rc_model_task_of(a->words[0], task, sizeof task, &e);
    bool lm = strcmp(task, "lm") == 0;
    bool writes = cli_task_writes(task);
    const char *const of_lm[] = {"Text", "Sampling", "Search"}, *const of_others[] = {"Data", "Results", "Search"};
    if (!s) s = cli_check_groups(a, lm ? of_others : of_lm, writes ? 1 : 3, false, a->words[0], task, &e);
    if (!s && writes && cli_is_given(a, "samples"))
        s = rc_fail(&e, RC_EINVAL, "--samples has no effect: a model for %s gives --nbest N results", task);
    if (!s && !lm) s = cli_check_tasks(a, a->words[0], task, &e);
    if (!s && !lm) {
        rc_predict_options mo = o->model;
        mo.json = o->json;
        mo.seed = o->seed;
        if (cli_is_given(a, "top-k")) mo.top_k = o->top_k;
        if (cli_is_given(a, "samples")) mo.samples = o->samples;
        if (writes) take_sampling(a, o, &mo.search);
        return cli_predict_model(a, a->words[0], a->n_words == 2 ? a->words[1] : NULL, o->prompt, &mo, o->why,
                                 o->precision);
    }
    if (!s) s = rc_lm_load(&m, a->words[0], &e);
    if (!s) s = rc_params_set_precision(rc_lm_params(m), precision, &e);
    if (!s && a->n_words == 2) s = rc_text_read(a->words[1], &text, &len, &e);
    const char *prompt = text ? text : o->prompt ? o->prompt : "";
    size_t prompt_len = text ? len : strlen(prompt);
    if (!s) s = note_unknown(m, prompt, prompt_len, &e);
    if (!s) s = generate(a, m, prompt, prompt_len, &e);
    rc_text_free(text, len);
    rc_lm_free(m);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_predict = {
    .name = "predict",
    .usage = "predict MODEL [--prompt TEXT | INPUT] [OPTIONS]",
    .summary = "run a model: continue a text, give answers",
    .text =
        "Of a classifier or regressor: an answer for each text or series of INPUT, in its order. Texts are lines, or "
        "the "
        "column of the training data in a table; - is standard input, answered line by line. --top-k K gives K labels, "
        "--json and --csv other forms, --why what each word adds.\n\n"
        "Continues a text with a language model, as it is written. INPUT is a file with the prompt, - is standard "
        "input. Without a prompt the text starts at the beginning of a line. The filters apply in this order: "
        "repetition penalty, temperature, top-k, top-p, min-p. Sample i of a seed is the same text alone or among "
        "others.\n\n"
        "A forecaster goes on from INPUT, or without it from the end of its training data; --observe FILE has what "
        "came "
        "since. Rows without a target tell it what is known ahead.\n\n"
        "A translator, summarizer or chat model answers line by line, an empty line with an empty one; --nbest N gives "
        "N "
        "results as number of the line, score, text. --alignments text, svg or html shows what it looked at; --prefix, "
        "--no-repeat, --groups and others steer the search; any option of sampling draws instead.",
    .examples = "predict book.safetensors --prompt \"Once \"\n"
                "predict book.safetensors --prompt \"Once \" --length 200 --temperature 0.7 --seed 3\n"
                "predict book.safetensors --prompt \"Q: \" --stop \"\\n\" --samples 4 --json\n"
                "predict book.safetensors - < start.txt\n"
                "predict reviews.safetensors --prompt \"not bad at all\" --why\n"
                "predict reviews.safetensors new.csv --csv > answers.csv\n"
                "predict sales.safetensors --observe june.csv --csv --svg june.svg\n"
                "predict ende.safetensors --prompt \"A man sleeps.\" --beam 5 --nbest 5\n"
                "predict ende.safetensors new.en --alignments html --svg looked.html",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct predict_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
