/* cmd_explain.c - recur explain MODEL: what the model is and which kernels run it. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct explain_options {
    int64_t batch, seq_len, threads;
    bool tensors, json;
    const char *precision;
};

#define AT(field) offsetof(struct explain_options, field)
static const rc_option entries[] = {
    {"batch", 0, RC_OPT_INT, AT(batch), 1, 1e6, NULL, "N", "Explain", "rows at once"},
    {"seq-len", 0, RC_OPT_INT, AT(seq_len), 1, 1e7, NULL, "N", "Explain", "time steps at once"},
    {"precision", 0, RC_OPT_CHOICE, AT(precision), 0, 0, "fp32 bf16 int8", "KIND", "Explain", "of the products"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Explain", "0: all the cores the process may use"},
    {"tensors", 0, RC_OPT_BOOL, AT(tensors), 0, 0, NULL, NULL, "Explain", "list the tensors with their shapes"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Explain", "one JSON object on standard output"},
};

static const rc_option *table(size_t *n) {
    *n = sizeof entries / sizeof *entries;
    return entries;
}

static void defaults(void *options) {
    *(struct explain_options *)options = (struct explain_options){.batch = 64, .seq_len = 64, .precision = "fp32"};
}

static rc_status settle(cli_args *a, rc_error *e) {
    if (a->help) return RC_OK;
    if (a->n_words == 0) return rc_fail(e, RC_EINVAL, "expected MODEL: a file that recur train wrote");
    if (a->n_words > 1) return rc_fail(e, RC_EINVAL, "expected one MODEL, found also \"%s\"", a->words[1]);
    return cli_check_input("model", a->words[0], e);
}

/* Allocated. */
static char *layers_text(const rc_lm *m, size_t batch, size_t seq_len) {
    size_t need = rc_lm_explain(m, batch, seq_len, NULL, 0);
    char *out = cli_alloc(need + 1);
    rc_lm_explain(m, batch, seq_len, out, need + 1);
    return out;
}

static json_t *lines_json(char *text) {
    json_t *list = json_array();
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        json_array_append_new(list, json_string(line));
    return list;
}

static void indent(const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        printf("  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void shape_text(const rc_param *p, char *out, size_t cap) {
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < p->ndim && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%zu", i ? " x " : "", p->dim[i]);
}

static void print_tensors(const rc_params *ps) {
    char shape[128];
    cli_table t = cli_table_new("lrrl");
    static const char *const head[] = {"  tensor", "shape", "parameters", ""};
    for (size_t i = 0; i < 4; i++) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        const rc_param *p = rc_params_at(ps, i);
        shape_text(p, shape, sizeof shape);
        cli_table_add(&t, "  %s", p->name);
        cli_table_add(&t, "%s", shape);
        cli_table_add(&t, "%zu", p->len);
        cli_table_add(&t, "%s", p->frozen ? "frozen" : "");
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static void print_model(const char *path, const rc_lm *m) {
    const rc_lm_options *o = rc_lm_get_options(m);
    const rc_cell_info *cell = rc_cell_find(o->rnn.cell);
    printf("%s\n", path);
    printf("  vocabulary  %s, %zu entries\n", rc_vocab_kind_name(rc_vocab_get_kind(rc_lm_vocab(m))),
           rc_vocab_size(rc_lm_vocab(m)));
    printf("  cell        %s%s%s\n", o->rnn.cell, cell ? ": " : "", cell ? cell->text : "");
    printf("  shape       embedding %zu, %d x %zu%s%s\n", o->embedding_size, o->rnn.num_layers, o->rnn.hidden_size,
           o->rnn.skip == RC_SKIP_RESIDUAL  ? ", residual"
           : o->rnn.skip == RC_SKIP_HIGHWAY ? ", highway"
                                            : "",
           o->tied ? ", tied softmax" : "");
    printf("  parameters  %zu\n", rc_params_len(rc_lm_params(m)));
}

static json_t *tensors_json(const rc_params *ps) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        const rc_param *p = rc_params_at(ps, i);
        json_t *shape = json_array();
        for (int k = 0; k < p->ndim; k++) json_array_append_new(shape, json_integer((json_int_t)p->dim[k]));
        json_array_append_new(tensors, json_pack("{s:s, s:o}", "name", p->name, "shape", shape));
    }
    return tensors;
}

static void print_json(const struct explain_options *o, const char *path, const rc_lm *m, char *many, char *one) {
    const rc_lm_options *mo = rc_lm_get_options(m);
    char *build = strdup(rc_build_info());
    cli_print_json(json_pack(
        "{s:s, s:s, s:I, s:s, s:I, s:I, s:i, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:i, s:o}", "model", path, "vocabulary",
        rc_vocab_kind_name(rc_vocab_get_kind(rc_lm_vocab(m))), "vocab_size", (json_int_t)rc_vocab_size(rc_lm_vocab(m)),
        "cell", mo->rnn.cell, "embedding", (json_int_t)mo->embedding_size, "hidden", (json_int_t)mo->rnn.hidden_size,
        "layers", mo->rnn.num_layers, "parameters", (json_int_t)rc_params_len(rc_lm_params(m)), "batch",
        (json_int_t)o->batch, "seq_len", (json_int_t)o->seq_len, "precision", o->precision, "sequence",
        lines_json(many), "step", lines_json(one),
        "tensors", tensors_json(rc_lm_params(m)), "threads", rc_threads(), "build", lines_json(build)));
    free(build);
}

/* A model of another task than lm: what it says of itself. */
static int explain_model(const cli_args *a, rc_precision precision) {
    const struct explain_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, a->words[0], &e);
    if (!s) s = rc_params_set_precision(rc_model_params(m), precision, &e);
    if (s) {
        rc_model_free(m);
        return cli_fail(a->command, &e);
    }
    size_t need = rc_model_explain(m, (size_t)o->batch, (size_t)o->seq_len, NULL, 0);
    char *text = cli_alloc(need + 1), *build = strdup(rc_build_info());
    rc_model_explain(m, (size_t)o->batch, (size_t)o->seq_len, text, need + 1);
    if (o->json) {
        cli_print_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:o, s:o, s:i, s:o}", "model", a->words[0], "task",
                                 rc_model_task(m), "parameters", (json_int_t)rc_params_len(rc_model_params(m)), "batch",
                                 (json_int_t)o->batch, "seq_len", (json_int_t)o->seq_len, "precision", o->precision,
                                 "sequence", lines_json(text), "tensors", tensors_json(rc_model_params(m)), "threads",
                                 rc_threads(), "build", lines_json(build)));
    } else {
        printf("%s\n  task        %s\n  parameters  %zu\n", a->words[0], rc_model_task(m), rc_params_len(rc_model_params(m)));
        if (o->tensors) print_tensors(rc_model_params(m));
        printf("\nbatch %lld, %lld steps, %d thread%s\n", (long long)o->batch, (long long)o->seq_len, rc_threads(),
               rc_threads() == 1 ? "" : "s");
        indent(text);
        printf("\nbuilt in\n");
        indent(rc_build_info());
    }
    free(text);
    free(build);
    rc_model_free(m);
    return CLI_DONE;
}

static int run(cli_args *a) {
    const struct explain_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_lm *m = NULL;
    char task[32] = "lm";
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    rc_precision precision = RC_FP32;
    rc_precision_find(o->precision, &precision);
    if (!s) s = rc_model_task_of(a->words[0], task, sizeof task, &e);
    if (!s && strcmp(task, "lm") != 0) return explain_model(a, precision);
    if (!s) s = rc_lm_load(&m, a->words[0], &e);
    if (!s) s = rc_params_set_precision(rc_lm_params(m), precision, &e);
    if (s) {
        rc_lm_free(m);
        return cli_fail(a->command, &e);
    }
    char *many = layers_text(m, (size_t)o->batch, (size_t)o->seq_len);
    char *one = layers_text(m, 1, 1);
    if (o->json) {
        print_json(o, a->words[0], m, many, one);
    } else {
        print_model(a->words[0], m);
        if (o->tensors) print_tensors(rc_lm_params(m));
        printf("\nbatch %lld, %lld steps, %d thread%s\n", (long long)o->batch, (long long)o->seq_len, rc_threads(),
               rc_threads() == 1 ? "" : "s");
        indent(many);
        printf("\none step of one row, as predict does\n");
        indent(one);
        printf("\nbuilt in\n");
        indent(rc_build_info());
    }
    free(many);
    free(one);
    rc_lm_free(m);
    return CLI_DONE;
}

const cli_command cmd_explain = {
    .name = "explain",
    .usage = "explain MODEL [OPTIONS]",
    .summary = "what a model is, and which kernels run it and why",
    .text =
        "Prints the model's settings and, per layer, the kernel, precision and threads that would run it at a batch "
        "and length, and why those.",
    .examples = "explain book.safetensors\nexplain book.safetensors --batch 1 --seq-len 1000 --tensors",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct explain_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
