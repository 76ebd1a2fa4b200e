/* cmd_train.c - recur train TASK DATA... -o MODEL */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "training.h"

static const char *const sources[] = {"adding", "copy", "temporal-order", "count"};
enum { SOURCES = sizeof sources / sizeof *sources };

/* Sources that need no file, such as adding:T=200. */
bool cli_is_source(const char *word) {
    for (size_t i = 0; i < SOURCES; i++) {
        size_t n = strlen(sources[i]);
        if (strncmp(word, sources[i], n) == 0 && (word[n] == ':' || word[n] == 0)) return true;
    }
    return false;
}

/* Some data are a folder of files. */
static rc_status cli_check_folder_or_input(bool folder, const char *path, rc_error *e) {
    struct stat st;
    if (folder && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return RC_OK;
    return cli_check_input("data", path, e);
}

/* Files of text that can be read, or sources. */
rc_status cli_check_data(const rc_train_options *o, rc_error *e) {
    bool lm = strcmp(o->task, "lm") == 0;
    for (size_t i = 0; i < o->n_files; i++) {
        const char *word = o->files[i], *colon = lm ? strchr(word, ':') : NULL;
        if (lm && cli_is_source(word)) continue;
        rc_status s = cli_check_folder_or_input(!lm, word, e);
        if (s && colon && access(word, F_OK) != 0) { /* meant as a source? */
            char name[32];
            snprintf(name, sizeof name, "%.*s", (int)(colon - word < 31 ? colon - word : 31), word);
            const char *near = cli_suggest(sources, SOURCES, name);
            return rc_fail(e, RC_EIO,
                           near ? "data: %s: no such file; did you mean the source %s%s?"
                                : "data: %s: no such file, and no such source (adding, copy, temporal-order, count)",
                           word, near, colon);
        }
        if (s) return s;
    }
    return RC_OK;
}

/* Of sequences to sequences the encoder is as the cell. */
bool cli_has_encoder(const rc_train_options *o) {
    return rc_train_option_is_for("encoder", o->task) && !rc_train_option_is_for("attention", o->task);
}

const char *cli_network(const rc_train_options *o) { return cli_has_encoder(o) ? o->encoder : o->cell; }

/* The first word of `train`, `plan` and `compare` is a task. Fails with what exists. */
rc_status cli_check_task(const cli_args *a, rc_error *e) {
    const char *task = a->n_words ? a->words[0] : NULL, *tasks[16];
    char list[256], *save = NULL;
    size_t n = 0;
    if (!task) return rc_fail(e, RC_EINVAL, "expected a task, then its data; tasks: %s", a->command->tasks);
    snprintf(list, sizeof list, "%s", a->command->tasks);
    for (char *t = strtok_r(list, " ", &save); t && n < 16; t = strtok_r(NULL, " ", &save)) {
        tasks[n++] = t;
        if (strcmp(task, t) == 0) return RC_OK;
    }
    const char *near = cli_suggest(tasks, n, task);
    if (near) return rc_fail(e, RC_EINVAL, "unknown task \"%s\"; did you mean %s?", task, near);
    return rc_fail(e, RC_EINVAL, "unknown task \"%s\"; tasks: %s", task, a->command->tasks);
}

static bool holds_both_sides(const char *path) {
    static const char *const endings[] = {".jsonl", ".ndjson", ".csv", ".tsv", ".tab", NULL};
    size_t n = strlen(path);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    for (const char *const *x = endings; *x; x++)
        if (n >= strlen(*x) && strncmp(path + n - strlen(*x), *x, strlen(*x)) == 0) return true;
    return false;
}

/* train.en train.de --valid v.en v.de: of an odd number of words, which leave one without a partner, the one right behind
 * --valid's file is its second. */
static void take_valid_target(cli_args *a, rc_train_options *o) {
    size_t k = a->behind_valid;
    if (k < 2 || a->n_words < 4 || a->n_words % 2 || (o->valid_target && *o->valid_target) || !o->valid) return;
    if (!rc_train_option_is_for("valid-target", a->words[0]) || holds_both_sides(a->words[k - 1])) return;
    o->valid_target = a->words[k - 1];
    memmove(a->words + k - 1, a->words + k, (a->n_words - k) * sizeof *a->words);
    a->n_words--;
    a->behind_valid = 0;
}

rc_status cli_settle_training(cli_args *a, rc_train_options *o, rc_error *e) {
    rc_status s = rc_train_apply_preset(o, a->names, a->n_given, e);
    if (s) return s;
    take_valid_target(a, o);
    if (a->n_words) o->task = a->words[0];
    if (a->n_words > 1) {
        o->files = a->words + 1;
        o->n_files = a->n_words - 1;
    }
    return RC_OK;
}

/* On the command line itself (a run's config.json has every option), and not merely its default. */
static bool chosen(const cli_args *a, const rc_train_options *o, const char *name) {
    rc_train_options plain = rc_train_options_default();
    if (rc_train_options_for(o->task, &plain, NULL) != RC_OK) return false;
    const rc_option *option = NULL;
    char now[256], then[256];
    for (size_t i = 0; i < a->n_given; i++)
        if (!a->given[i].from_config && strcmp(a->given[i].option->name, name) == 0) option = a->given[i].option;
    if (!option) return false;
    rc_option_get(option, o, now, sizeof now);
    rc_option_get(option, &plain, then, sizeof then);
    return strcmp(now, then) != 0;
}

static bool listed(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

rc_status cli_check_effect(const cli_args *a, const rc_train_options *o, const char *const *cells, size_t n_cells,
                           rc_error *e) {
    static const struct {
        const char *name, *of, *those; /* --name is read by --of THOSE alone */
    } rules[] = {
        {"momentum", "optimizer", "sgd rmsprop"},
        {"alpha", "optimizer", "rmsprop"},
        {"beta1", "optimizer", "adam adamw"},
        {"beta2", "optimizer", "adam adamw"},
        {"eps", "optimizer", "rmsprop adagrad adam adamw"},
        {"nesterov", "optimizer", "sgd"},
        {"average-decay", "average", "ema"},
        {"schedule-gamma", "schedule", "step exponential plateau"},
        {"schedule-every", "schedule", "step"},
        {"schedule-floor", "schedule", "step exponential cosine one-cycle inverse-sqrt plateau"},
        {"schedule-peak", "schedule", "one-cycle"},
        {"schedule-patience", "schedule", "plateau"},
        {"depth", "cell", "rhn"},
    };
    if (o->resume) return RC_OK; /* the run's own settings decide */
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        bool of_cell = strcmp(rules[i].of, "cell") == 0, read = of_cell && o->from; /* told by cli_replaced_by_model */
        const char *value = strcmp(rules[i].of, "optimizer") == 0  ? o->optimizer
                            : strcmp(rules[i].of, "average") == 0  ? o->average
                            : strcmp(rules[i].of, "schedule") == 0 ? o->schedule
                                                                   : cells[0];
        for (size_t k = 0; k < (of_cell ? n_cells : 1) && !read; k++)
            read = listed(rules[i].those, of_cell ? cells[k] : value);
        if (!read && chosen(a, o, rules[i].name))
            return rc_fail(e, RC_EINVAL, "--%s has no effect with %s %s%s; it is for %s", rules[i].name, rules[i].of,
                           value, of_cell && n_cells > 1 ? " and the others" : "", rules[i].those);
    }
    return RC_OK;
}

const char *cli_replaced_by_model(const cli_args *a, const rc_train_options *o, char *out, size_t cap) {
    size_t n = 0;
    char of[32] = "";
    out[0] = 0;
    if (!o->from) return out;
    /* What a model's document fixes; a classifier out of a language model has a head and dropouts of its own. */
    bool begins = rc_model_task_of(o->from, of, sizeof of, NULL) == RC_OK && strcmp(of, o->task) != 0;
    for (size_t i = 0; i < a->n_table; i++) {
        const rc_option *t = &a->table[i];
        bool model = strcmp(t->group, "Model") == 0 && !listed("preset class-weights", t->name);
        bool drops = strcmp(t->group, "Regularization") == 0 &&
                     !listed("weight-decay label-smoothing word-dropout", t->name);
        if (begins) model = model && strcmp(t->name, "pool") != 0;
        bool words = listed("vocab min-count lowercase", t->name);
        if (!(model || (drops && !begins) || words) || !chosen(a, o, t->name)) continue;
        if (n < cap) n += (size_t)snprintf(out + n, cap - n, "%s--%s", n ? ", " : "", t->name);
    }
    return out;
}

static void defaults(void *options) { *(rc_train_options *)options = rc_train_options_default(); }

static rc_status settle(cli_args *a, rc_error *e) {
    rc_train_options *o = a->options;
    o->given = a->names;
    o->n_given = a->n_given;
    rc_status s = cli_settle_training(a, o, e);
    if (s || a->help || (s = cli_check_task(a, e))) return s;
    if (o->resume && o->from)
        return rc_fail(e, RC_EINVAL, "--resume goes on with a run and --from starts a new one: give one of them");
    if (o->n_files == 0 && !o->resume && strcmp(o->task, "lm") != 0)
        return rc_fail(e, RC_EINVAL, "expected FILE: the data to learn from (recur train %s --help)", o->task);
    if (o->n_files == 0 && !o->resume)
        return rc_fail(e, RC_EINVAL,
                       "expected FILE...: text to learn from (- is standard input), or a source such as adding:T=100");
    if ((s = cli_check_data(o, e))) return s;
    const char *network = cli_network(o);
    return cli_check_effect(a, o, &network, 1, e);
}

/* ---- while it runs ----------------------------------------------------------------------------------------------------- */

static void on_message(void *ctx, const char *line) { cli_progress_line(ctx, "%s", line); }

static void on_step(void *ctx, const rc_train_progress *t) { cli_progress_training(ctx, NULL, t); }

static void on_validation(void *ctx, const rc_train_progress *t, const rc_train_validation *v) {
    char rate[24], time[24];
    char measure[48] = "";
    if (isfinite(v->accuracy)) snprintf(measure, sizeof measure, "  score %.4f", v->accuracy);
    cli_progress_line(ctx, "step %llu  epoch %.2f  train %.4f  valid %.4f%s%s  %s tokens/s  %s",
                      (unsigned long long)v->step, t->epoch, t->loss, v->loss, measure, v->improved ? "  best" : "",
                      cli_count_text(rate, sizeof rate, t->tokens_per_second),
                      cli_time_text(time, sizeof time, t->seconds));
}

static void on_sample(void *ctx, uint64_t step, const char *text, size_t len) {
    cli_progress_sample(ctx, step, text, len);
}

/* ---- afterwards ---------------------------------------------------------------------------------------------------------- */

static void print_command(const char *task, const rc_train_result *r) {
    char *program = cli_shell_quote(cli_program), *run = cli_shell_quote(r->run);
    fprintf(stderr, "  %s train %s --resume %s\n", program, task, run);
    free(program);
    free(run);
}

static void print_resume(const char *task, const rc_train_result *r) {
    fprintf(stderr, "interrupted after step %llu; the checkpoint is in %s. To go on:\n", (unsigned long long)r->steps,
            r->run);
    print_command(task, r);
}

/* A full disk, a folder that cannot be written: the run is as it was at its last checkpoint. */
static void print_mend(const char *task, const rc_train_result *r) {
    rc_run_info info;
    if (!*r->run || rc_run_read(r->run, &info, NULL)) return;
    fprintf(stderr, "what was saved before is in %s. When this is mended, go on with:\n", r->run);
    print_command(task, r);
}

static void print_result(const char *task, const rc_train_result *r) {
    char count[24], time[24], rate[24];
    bool lm = strcmp(task, "lm") == 0;
    if (!lm && isfinite(r->accuracy))
        printf("validation  %s %.4f, loss %.4f\n", *r->measure ? r->measure : "accuracy", r->accuracy, r->best_valid_loss);
    else if (!lm && isfinite(r->best_valid_loss))
        printf("validation  loss %.4f\n", r->best_valid_loss);
    else if (isfinite(r->accuracy))
        printf("result      %s: loss %.4f, accuracy %.2f %%\n", r->solved ? "solved" : "not solved", r->best_valid_loss,
               100 * r->accuracy);
    else if (isfinite(r->valid_loss))
        printf("validation  %.4f nats a token, perplexity %.3f: one pass of the model over the validation text\n",
               r->valid_loss, exp(r->valid_loss));
    if (isfinite(r->new_valid_loss_before))
        printf("new data    %.4f nats a token before, %.4f now\n", r->new_valid_loss_before, r->valid_loss);
    if (isfinite(r->old_valid_loss_before))
        printf("old data    %.4f nats a token before, %.4f now\n", r->old_valid_loss_before, r->old_valid_loss_after);
    printf("training    %llu steps, %.2f epochs in %s, %s tokens/s%s\n", (unsigned long long)r->steps, r->epochs,
           cli_time_text(time, sizeof time, r->seconds), cli_count_text(rate, sizeof rate, r->tokens_per_second),
           r->stopped_early ? "; stopped early, no improvement" : "");
    if (*r->run) printf("run         %s\n", r->run);
    if (*r->model) {
        char *program = cli_shell_quote(cli_program), *model = cli_shell_quote(r->model);
        printf("model       %s, %s parameters\n", r->model, cli_count_text(count, sizeof count, (double)r->parameters));
        if (!lm)
            printf("go on with  %s eval %s FILE, or %s predict %s FILE\n", program, model, program, model);
        else if (!isfinite(r->accuracy))
            printf("go on with  %s predict %s --prompt \"The \"\n", program, model);
        free(program);
        free(model);
    }
}

json_t *cli_result_json(const rc_train_result *r) {
    const struct {
        const char *key;
        double value;
    } reals[] = {
        {"epochs", r->epochs},
        {"seconds", r->seconds},
        {"tokens_per_second", r->tokens_per_second},
        {"train_loss", r->train_loss},
        {"valid_loss", r->valid_loss},
        {"best_valid_loss", r->best_valid_loss},
        {"new_valid_loss_before", r->new_valid_loss_before},
        {"old_valid_loss_before", r->old_valid_loss_before},
        {"old_valid_loss_after", r->old_valid_loss_after},
        {"accuracy", r->accuracy},
    };
    json_t *j = json_pack("{s:I, s:I, s:I, s:I}", "steps", (json_int_t)r->steps, "best_step", (json_int_t)r->best_step,
                          "tokens", (json_int_t)r->tokens, "parameters", (json_int_t)r->parameters);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(j, reals[i].key, cli_json_real(reals[i].value));
    if (*r->measure) { /* accuracy is what it is called */
        json_object_set_new(j, "measure", json_string(r->measure));
        json_object_set_new(j, "score", cli_json_real(r->accuracy));
        if (strcmp(r->measure, "accuracy") != 0) json_object_set_new(j, "accuracy", json_null());
    }
    json_object_set_new(j, "solved", isfinite(r->accuracy) && !*r->measure ? json_boolean(r->solved) : json_null());
    json_object_set_new(j, "stopped_early", json_boolean(r->stopped_early));
    json_object_set_new(j, "interrupted", json_boolean(r->interrupted));
    json_object_set_new(j, "run", json_string(r->run));
    json_object_set_new(j, "model", json_string(r->model));
    return j;
}

static int run(cli_args *a) {
    rc_train_options *o = a->options;
    cli_progress p = cli_progress_new(o->quiet);
    rc_train_hooks hooks = {.ctx = &p,
                            .on_message = on_message,
                            .on_step = on_step,
                            .on_validation = on_validation,
                            .on_sample = on_sample};
    rc_train_result r;
    rc_error e = {RC_OK, ""};
    memset(&r, 0, sizeof r);
    char ignored[1024];
    if (*cli_replaced_by_model(a, o, ignored, sizeof ignored))
        cli_progress_line(&p, "no effect with --from, the model's own are kept: %s", ignored);
    cli_catch_interrupts();
    rc_status s = rc_train(o, &hooks, &r, &e);
    cli_progress_done(&p);
    if (s == RC_EINTERRUPTED && *r.run) {
        if (o->json) {
            json_t *j = cli_result_json(&r);
            json_object_set_new(j, "interrupted", json_true());
            cli_print_json(j);
        }
        print_resume(o->task, &r);
        return CLI_INTERRUPTED;
    }
    if (s && s != RC_ESTOP) {
        int code = cli_fail(a->command, &e);
        if (s == RC_EIO) print_mend(o->task, &r);
        return code;
    }
    if (o->json)
        cli_print_json(cli_result_json(&r));
    else if (!o->quiet)
        print_result(o->task, &r);
    return CLI_DONE;
}

#define RUNS                                                                                                            \
    "Ctrl-C finishes the step, saves a checkpoint and prints the command that goes on from there. A run folder "      \
    "(runs/DATE-TIME-NAME, or --run) keeps settings, metrics, samples and checkpoints."

static const cli_task_help of_tasks[] = {
    {"lm", "train lm FILE... [-o MODEL] [OPTIONS]\ntrain lm --resume RUN [OPTIONS]",
     "Trains a language model on text and writes one file that holds all of it: weights, vocabulary, settings. "
     "FILE is text or gzip, - is standard input; several files are one text. The last tenth is kept for "
     "validation unless --valid names a file. Sources that need no file: adding:T=200, copy:T=50, "
     "temporal-order:T=50, count:T=50.\n\n" RUNS,
     "train lm book.txt -o book.safetensors --preset quick\n"
     "train lm book.txt -o book.safetensors --cell gru --layers 2 --hidden 256 --time 3m\n"
     "train lm wiki.train --valid wiki.valid --vocab word -o wiki.safetensors\n"
     "train lm mine.txt --from book.safetensors -o mine.safetensors --steps 500\n"
     "train lm adding:T=100 --cell lstm --time 60s"},
    {"classify", "train classify FILE [-o MODEL] [OPTIONS]\ntrain classify --resume RUN [OPTIONS]",
     "Learns to give a text, or a series of numbers (--numeric), its class, or several labels (--label-separator). FILE is a "
     "table, JSON lines, lines of a label and a text, a folder with one folder of texts for each class, or a .ts file; what it "
     "is and which columns count is found out and said, and options say otherwise. The model file holds all that is needed to "
     "use it. A tenth of the examples, drawn for each class, is kept for validation unless --valid names a file; the weights "
     "that were best on it are written.\n\n"
     "Beside the result stands what a simple method makes of the same validation examples: a bag of words and pairs, or the "
     "nearest neighbour.\n\n" RUNS,
     "train classify reviews.csv -o reviews.safetensors\n"
     "train classify mail.tsv --label 1 --text 2 --encoder bow -o mail.safetensors\n"
     "train classify topics.jsonl --label-separator \",\" -o topics.safetensors\n"
     "train classify names.csv --chars lstm --vectors glove.txt -o names.safetensors\n"
     "train classify reviews.csv --from book.safetensors -o reviews.safetensors\n"
     "train classify gestures_TRAIN.ts --numeric --valid gestures_TEST.ts -o gestures.safetensors\n"
     "train classify sensors.csv --numeric --id machine --time-column t --label state -o sensors.safetensors"},
    {"regress", "train regress FILE [-o MODEL] [OPTIONS]\ntrain regress --resume RUN [OPTIONS]",
     "Learns a number from a series of numbers. FILE is a .ts file with a target for each series, or a table of a row for each "
     "step: --id tells series apart, --target is the column to learn. With --window N each step is an example, the N steps up to "
     "it its input, as for the remaining life of machines; eval and predict answer for the last window of each series. A table "
     "without --id and --time-column is an example in each row. A tenth of the series is kept for validation unless --valid "
     "names a file.\n\n" RUNS,
     "train regress months_TRAIN.ts -o months.safetensors\n"
     "train regress engines.csv --id unit --time-column cycle --target rul --window 30 -o engines.safetensors\n"
     "train regress houses.csv --target price -o houses.safetensors"},
    {"tag", "train tag FILE [-o MODEL] [OPTIONS]\ntrain tag --resume RUN [OPTIONS]",
     "Learns a tag for each word: parts of speech, names, slots. FILE is CoNLL-U, columns of words and tags with an empty line "
     "between sentences, or JSON lines of tokens and tags; --column chooses the tags. Spans (B-, I- ...) are chosen together by a "
     "conditional random field, plain tags one by one; --crf and --no-crf say otherwise. With --joint-intent a class for the whole "
     "sentence is learnt too. A tenth of the sentences is kept for validation unless --valid names a file.\n\n" RUNS,
     "train tag train.conllu --valid dev.conllu -o tagger.safetensors\n"
     "train tag names.conll -o names.safetensors --chars lstm\n"
     "train tag --joint-intent utterances.jsonl -o assistant.safetensors"},
    {"forecast", "train forecast FILE --horizon N [-o MODEL] [OPTIONS]\ntrain forecast --resume RUN [OPTIONS]",
     "Learns how series go on, all of them with one network. FILE is a table: a column a series, an id in each row (--id), or a "
     "row a series. Times and their frequency are found out; gaps and empty cells are missing values. Covariates have roles: "
     "--known-ahead, --inputs, --fixed. A linear model and the seasonal naive forecast stand beside the result.\n\n" RUNS,
     "train forecast sales.csv --target sold --horizon 28 -o sales.safetensors\n"
     "train forecast sales.csv --id shop --target sold --known-ahead promo --horizon 28 -o sales.safetensors\n"
     "train forecast load.csv --horizon 96 --model segment --lookback 336 -o load.safetensors"},
    {"detect", "train detect FILE [-o MODEL] [OPTIONS]\ntrain detect --resume RUN [OPTIONS]",
     "Learns what is usual in rows of numbers, to tell what is not: FILE is a table of a row for each moment, with or without "
     "times. The model forecasts the next row (--model forecast) or puts the last ones together again (--model autoencoder); how "
     "unlikely its error is, against the errors before it, is the score. Nothing that comes later is looked at. recur watch runs "
     "the model on rows as they come.\n\n" RUNS,
     "train detect sensors.csv -o sensors.safetensors\n"
     "train detect sensors.csv --time-column when --inputs heat,load -o sensors.safetensors"},
    {"translate", "train translate SOURCE TARGET [--valid SOURCE TARGET] [-o MODEL] [OPTIONS]\n"
                  "train translate PAIRS [--valid PAIRS] [-o MODEL] [OPTIONS]\ntrain translate --resume RUN [OPTIONS]",
     "Learns to write one text for another: a translation, code in another language, a spelling. SOURCE and TARGET are two files "
     "that belong together line by line; PAIRS holds both sides, as columns (tabs, commas) or JSON lines, whose names --text and "
     "--target give where they are not found. Files may be gzip.\n\n"
     "An encoder reads the source, a decoder with attention writes the target; both sides share one vocabulary of pieces of "
     "words, learnt from the data. --cell chooses the layers of both (lstm, gru, transformer ...), --encoder other ones for the "
     "encoder, --attention none is the bottleneck. Batches are cut by --batch-tokens. The weights kept are those with the best "
     "BLEU on validation texts, answered greedily. A tenth of the pairs is kept for validation unless --valid names files.\n\n"
     RUNS,
     "train translate train.en train.de --valid v.en v.de -o en-de.safetensors\n"
     "train translate train.en train.de --cell transformer --layers 3 -o en-de.safetensors\n"
     "train translate pairs.tsv --vocab word:8000 --moses --source-lang en --target-lang de --lowercase -o en-de.safetensors\n"
     "train translate java.txt cs.txt --no-shared --max-source 400 --max-target 400 -o code.safetensors"},
    {"summarize", "train summarize PAIRS [--valid PAIRS] [-o MODEL] [OPTIONS]\n"
                  "train summarize SOURCE TARGET [--valid SOURCE TARGET] [-o MODEL] [OPTIONS]\n"
                  "train summarize --resume RUN [OPTIONS]",
     "Learns to write a short text for a long one. PAIRS is JSON lines (a source may be a list of sentences; of a list of targets "
     "the first is learnt) or columns; two files belong together line by line. Words of the source may be copied (--copy), "
     "--coverage keeps attention from going back. Longer sources are cut to --max-source tokens. The weights kept are those with "
     "the best ROUGE-L on validation texts; the source's first sentence stands beside it.\n\n" RUNS,
     "train summarize train.jsonl --valid dev.jsonl -o short.safetensors\n"
     "train summarize papers.csv --text abstract --target title --coverage -o titles.safetensors"},
    {"chat", "train chat FILE... [--valid FILE] [-o MODEL] [OPTIONS]\ntrain chat --resume RUN [OPTIONS]",
     "Learns to reply. FILE holds conversations: YAML as chatterbot has it, JSON, JSON lines, a conversation a line with tabs "
     "between its turns, or a turn a line with empty lines between conversations; pairs as for translate are fine too. Each turn "
     "is a reply to the --history turns before it. All of the data are learnt from unless --valid or --valid-fraction keeps "
     "some.\n\n" RUNS,
     "train chat greetings.yml food.yml -o bot.safetensors\n"
     "train chat talk.txt --history 3 -o bot.safetensors"},
    {"answer", "train answer FILE... [-o MODEL] [OPTIONS]\ntrain answer --resume RUN [OPTIONS]",
     "Learns to answer questions about stories, each with one of the answers of the training data. FILE is a file of the bAbI tasks "
     "(numbered lines; a question, a tab, the answer, a tab, the numbers of supporting lines), or JSON lines of story, question and "
     "answer; several files are learnt together. --model memory is an end-to-end memory network, query a query-reduction network, "
     "entity a recurrent entity network, recurrent a plain reader to compare with (--cell). Of the first two --restarts networks are "
     "trained side by side, and the --ensemble of them that do best on the training data answer. A tenth of the stories is kept for "
     "validation unless --valid names a file.\n\n" RUNS,
     "train answer qa1_train.txt -o where.safetensors\n"
     "train answer qa*_train.txt -o all.safetensors --embedding 50\n"
     "train answer questions.jsonl -o ours.safetensors --model query"},
    {NULL, NULL, NULL, NULL}};

const cli_command cmd_train = {
    .name = "train",
    .tasks = "lm classify regress tag forecast detect translate summarize chat answer",
    .usage = "train TASK FILE... [-o MODEL] [OPTIONS]\ntrain TASK --resume RUN [OPTIONS]\ntrain TASK --help",
    .summary = "learn a model from data: train TASK FILE... -o MODEL",
    .text = "Learns a model from data and writes one file that holds all of it. TASK is lm (a language model), classify (a "
            "class of a text or series), regress (a number), tag (a tag for each word), forecast (how series go on), detect "
            "(what is unusual), translate (a text for a text), summarize (a short text for a long one), chat (a reply) or answer "
            "(questions about stories); recur train TASK --help tells about it and lists its options. "
            "The options below are those of lm.\n\n" RUNS,
    .examples = "train lm book.txt -o book.safetensors --preset quick\n"
                "train classify reviews.csv -o reviews.safetensors\n"
                "train regress engines.csv --id unit --target rul --window 30 -o engines.safetensors",
    .of_tasks = of_tasks,
    .words = "file",
    .table = rc_train_option_table,
    .options_size = sizeof(rc_train_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
