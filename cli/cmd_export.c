/* cmd_export.c - recur export MODEL FILE.json: the vocabulary of a model for other programs. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static rc_status settle(cli_args *a, rc_error *e) {
    if (a->help) return RC_OK;
    if (a->n_words < 2)
        return rc_fail(e, RC_EINVAL,
                       a->n_words ? "expected FILE.json: the tokenizer.json to write"
                                  : "expected MODEL and FILE.json: a trained model and the tokenizer.json to write");
    if (a->n_words > 2) return rc_fail(e, RC_EINVAL, "expected one FILE.json, found also \"%s\"", a->words[2]);
    if (!ends_in(a->words[1], ".json"))
        return rc_fail(e, RC_EINVAL, "%s: expected a name that ends in .json: the tokenizer is what is exported",
                       a->words[1]);
    rc_status s = cli_check_input("model", a->words[0], e);
    return s ? s : cli_check_output("tokenizer", a->words[1], a->words, 1, e);
}

static int run(cli_args *a) {
    const char *path = a->words[1];
    rc_error e = {RC_OK, ""};
    rc_lm *m = NULL;
    char *json = NULL;
    size_t len = 0;
    rc_status s = rc_lm_load(&m, a->words[0], &e);
    if (!s) s = rc_vocab_to_hf(rc_lm_vocab(m), &json, &len, &e);
    cli_file out;
    if (!s) s = cli_file_open(&out, path, &e);
    if (!s) {
        fwrite(json, 1, len, out.f); /* cli_file_close tells */
        s = cli_file_close(&out, &e);
    }
    if (!s)
        printf("%s: %s, %zu entries\n", path, rc_vocab_kind_name(rc_vocab_get_kind(rc_lm_vocab(m))),
               rc_vocab_size(rc_lm_vocab(m)));
    rc_text_free(json, len);
    rc_lm_free(m);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_export = {
    .name = "export",
    .usage = "export MODEL FILE.json",
    .summary = "write a model's vocabulary as a tokenizer.json",
    .text =
        "Writes the vocabulary of a model in the format of Hugging Face's tokenizers, with which their library makes "
        "the same ids of a text. train --vocab FILE.json reads it again. The weights are in MODEL itself, which is a "
        "safetensors file with PyTorch's names.",
    .examples =
        "export book.safetensors tokenizer.json\ntrain lm other.txt --vocab tokenizer.json -o other.safetensors",
    .words = "file",
    .settle = settle,
    .run = run,
};
