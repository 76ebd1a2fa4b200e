/* cmd_plan.c - recur plan TASK DATA...: parameters, memory and time before a run. */
#include <string.h>

#include "training.h"

struct plan_options {
    rc_train_options train; /* first: its table's offsets hold */
    double probe;
};

static const rc_option probe_option = {
    "probe", 0,      RC_OPT_TIME, offsetof(struct plan_options, probe),        0.1, 600,
    NULL,    "TIME", "Plan",      "how long the probe trains to measure speed"};

/* The options of train but those of its outputs: plan writes nothing. */
static const rc_option *table(size_t *n) {
    static rc_option entries[256];
    static size_t count;
    static const char *const not_here[] = {"out", "run", "resume", "keep"};
    size_t n_train;
    const rc_option *train = rc_train_option_table(&n_train);
    if (count == 0) {
        entries[count++] = probe_option;
        for (size_t i = 0; i < n_train && count < sizeof entries / sizeof *entries; i++) {
            bool skip = false;
            for (size_t k = 0; k < sizeof not_here / sizeof *not_here; k++)
                skip |= strcmp(train[i].name, not_here[k]) == 0;
            if (skip) continue;
            entries[count] = train[i];
            if (strcmp(train[i].name, "quiet") == 0) entries[count].help = "as for train; plan prints its answer alone";
            count++;
        }
    }
    *n = count;
    return entries;
}

static void defaults(void *options) {
    struct plan_options *o = options;
    o->train = rc_train_options_default();
    o->probe = 3;
}

static rc_status settle(cli_args *a, rc_error *e) {
    struct plan_options *o = a->options;
    rc_status s = cli_settle_training(a, &o->train, e);
    if (s || a->help || (s = cli_check_task(a, e))) return s;
    if (o->train.n_files == 0) return rc_fail(e, RC_EINVAL, "expected FILE...: the text that training would read");
    if ((s = cli_check_data(&o->train, e))) return s;
    const char *network = cli_network(&o->train);
    return cli_check_effect(a, &o->train, &network, 1, e);
}

/* "lstm, 2 x 256", "gru, both directions, 1 x 128", "cnn, widths 3,4,5, 100 filters each", "bow" */
static void network_text(const rc_train_options *o, char *out, size_t cap) {
    const char *name = cli_network(o);
    bool encoder = cli_has_encoder(o);
    if (rc_train_option_is_for("hops", o->task) && strcmp(o->model, "recurrent") != 0)
        snprintf(out, cap, "%s", o->model);
    else if (encoder && strcmp(name, "cnn") == 0)
        snprintf(out, cap, "cnn, widths %.60s, %lld filters each", o->kernels, (long long)o->filters);
    else if (encoder && strcmp(name, "bow") == 0)
        snprintf(out, cap, "bow");
    else
        snprintf(out, cap, "%s%s, %lld x %lld", name, encoder && o->bidirectional ? ", both directions" : "",
                 (long long)o->layers, (long long)o->hidden);
}

static void print_plan(const rc_plan *p, const rc_train_options *o) {
    char text[32], other[32], network[160];
    bool writes = rc_train_option_is_for("attention", o->task);
    bool words = strcmp(o->task, "lm") == 0 || writes || (rc_train_option_is_for("chars", o->task) && !o->data.numeric);
    const char *unit = words                                        ? "tokens"
                       : rc_train_option_is_for("hops", o->task) ? "questions"
                                                                 : "steps",
               *updates = strcmp(o->task, "lm") == 0 ? "steps" : "updates";
    if (p->vocab_size) printf("vocabulary   %zu entries\n", p->vocab_size);
    if (p->train_tokens)
        printf("data         %zu %s to train on, %zu to validate\n", p->train_tokens, unit, p->valid_tokens);
    network_text(o, network, sizeof network);
    printf("model        %s: %zu parameters\n", network, p->parameters);
    printf("precision    %s\n", p->precision);
    printf("memory       %s:", cli_bytes_text(text, sizeof text, (double)p->bytes_total));
    printf(" parameters and gradients %s,", cli_bytes_text(text, sizeof text, (double)p->bytes_parameters));
    printf(" optimizer and averages %s,", cli_bytes_text(text, sizeof text, (double)p->bytes_optimizer));
    printf(" activations %s\n", cli_bytes_text(text, sizeof text, (double)p->bytes_activations));
    printf("speed        %s %s/s, measured\n", cli_count_text(text, sizeof text, p->tokens_per_second), unit);
    if (p->seconds_per_epoch <= 0 || p->steps_per_epoch == 0) return; /* a source has no end */
    printf("epoch        %zu %s, %s\n", p->steps_per_epoch, updates,
           cli_time_text(text, sizeof text, p->seconds_per_epoch));
    if (o->time > 0)
        printf("--time %s: %.2f epochs, about %s %s\n", cli_time_text(text, sizeof text, o->time),
               o->time / p->seconds_per_epoch,
               cli_count_text(other, sizeof other, o->time / p->seconds_per_epoch * (double)p->steps_per_epoch),
               updates);
    if (o->epochs > 0)
        printf("--epochs %g: %s\n", o->epochs, cli_time_text(text, sizeof text, o->epochs * p->seconds_per_epoch));
    if (o->steps > 0)
        printf("--steps %lld: %s\n", (long long)o->steps,
               cli_time_text(text, sizeof text, (double)o->steps / (double)p->steps_per_epoch * p->seconds_per_epoch));
}

static int run(cli_args *a) {
    struct plan_options *o = a->options;
    rc_plan p;
    rc_error e = {RC_OK, ""};
    memset(&p, 0, sizeof p);
    char ignored[1024];
    if (!o->train.quiet && *cli_replaced_by_model(a, &o->train, ignored, sizeof ignored))
        fprintf(stderr, "no effect with --from, the model's own are kept: %s\n", ignored);
    if (rc_train_plan(&o->train, o->probe, &p, &e)) return cli_fail(a->command, &e);
    if (!o->train.json) {
        print_plan(&p, &o->train);
        return CLI_DONE;
    }
    cli_print_json(
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s}", "parameters", (json_int_t)p.parameters,
                  "train_tokens", (json_int_t)p.train_tokens, "valid_tokens", (json_int_t)p.valid_tokens, "vocab_size",
                  (json_int_t)p.vocab_size, "steps_per_epoch", (json_int_t)p.steps_per_epoch, "bytes_parameters",
                  (json_int_t)p.bytes_parameters, "bytes_optimizer", (json_int_t)p.bytes_optimizer, "bytes_activations",
                  (json_int_t)p.bytes_activations, "bytes_total", (json_int_t)p.bytes_total, "tokens_per_second",
                  cli_json_real(p.tokens_per_second), "seconds_per_epoch", cli_json_real(p.seconds_per_epoch),
                  "precision", p.precision));
    return CLI_DONE;
}

const cli_command cmd_plan = {
    .name = "plan",
    .tasks = "lm classify regress tag forecast detect translate summarize chat answer",
    .usage = "plan TASK FILE... [OPTIONS OF train]",
    .summary = "parameters, memory and time of a training run, before it",
    .text =
        "Takes the options of train, reads the data, builds the model and trains it for a moment to measure its speed; "
        "nothing is written.",
    .examples = "plan lm book.txt --hidden 512 --layers 2\nplan lm book.txt --preset good --json\n"
                "plan classify reviews.csv --encoder cnn",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct plan_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
