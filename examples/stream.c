/* stream.c - a language model, one token at a time:   stream MODEL.safetensors PROMPT
 *
 * The model is only read; everything that moves is in the state, so a program may run any number of streams on one
 * model, each in its own thread. After the first step nothing is allocated. */
#include <recur/recur.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: stream MODEL.safetensors PROMPT\n"), 2;
    rc_error e;
    rc_lm *model = NULL;
    rc_state *state = NULL;
    int32_t *ids = NULL;
    size_t n = 0, len;
    if (rc_lm_load(&model, argv[1], &e) || rc_state_new(&state, rc_lm_rnn(model), 1, &e) ||
        rc_vocab_encode(rc_lm_vocab(model), argv[2], strlen(argv[2]), &ids, &n, NULL, &e))
        return fprintf(stderr, "stream: %s\n", e.text), rc_status_exit_code(e.code);
    rc_vocab *vocab = rc_lm_vocab(model);
    size_t size = rc_vocab_size(vocab);
    rc_real *logits = calloc(size, sizeof *logits); /* of the next token */
    rc_sampler_options how = rc_sampler_options_default();
    rc_rng rng = rc_rng_make(1, 0);
    for (size_t i = 0; logits && i < n + 200; i++) { /* the prompt, then 200 drawn tokens */
        int32_t id = i < n ? ids[i] : rc_sample(&how, logits, size, rc_vocab_unk(vocab), NULL, 0, &rng);
        const char *text = rc_vocab_entry(vocab, id, &len);
        fwrite(text, 1, len, stdout);
        fflush(stdout);
        if (rc_lm_step(model, state, &id, logits, &e)) return fprintf(stderr, "stream: %s\n", e.text), 1;
    }
    free(logits);
    rc_ids_free(ids, n);
    rc_state_free(state);
    rc_lm_free(model);
    return putchar('\n') == EOF;
}
