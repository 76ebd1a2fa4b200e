/* train.c - a training loop written out:   train TEXT MODEL.safetensors
 *
 * A character model of one LSTM layer: 16 places of the text side by side, 32 characters a step, AdamW, gradients
 * clipped. rc_train (recur/train.h) does this and all that a real run wants; this is for those who want their own
 * loop. */
#include <recur/recur.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 200, BATCH = 16, SEQ_LEN = 32 };

/* The next SEQ_LEN ids of each row, time first; row b reads its own part of the text, again and again. */
static void fill(const int32_t *ids, size_t part, size_t at, int32_t *in, int32_t *next) {
    for (size_t t = 0; t < SEQ_LEN; t++)
        for (size_t b = 0; b < BATCH; b++) {
            const int32_t *x = ids + b * part + (at + t) % part;
            in[t * BATCH + b] = x[0];
            next[t * BATCH + b] = x[1];
        }
}

static rc_status train(rc_lm *model, const int32_t *ids, size_t n, rc_error *e) {
    rc_tape *tape = NULL;
    rc_optim *optim = NULL;
    rc_state *state = NULL;
    rc_optim_options how = rc_optim_options_default();
    how.clip_norm = 1;
    int32_t in[SEQ_LEN * BATCH], next[SEQ_LEN * BATCH];
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = rc_optim_new(&optim, rc_lm_params(model), &how, e);
    if (s == RC_OK) s = rc_state_new(&state, rc_lm_rnn(model), BATCH, e); /* carried from step to step */
    for (size_t i = 0; s == RC_OK && i < STEPS; i++) {
        fill(ids, (n - 1) / BATCH, i * SEQ_LEN, in, next);
        rc_tape_begin(tape, (rc_tape_mode){.grad = true, .training = true, .seed = 1, .step = i});
        rc_var *loss = rc_lm_loss(tape, model, in, next, SEQ_LEN, BATCH, state, NULL, NULL);
        s = rc_backward(tape, loss, 1, e); /* an error of any op above is found here */
        if (s == RC_OK) s = rc_optim_step(optim, 3e-3, NULL, e);
        if (s == RC_OK && (i + 1) % 50 == 0) printf("step %zu  loss %.3f nats\n", i + 1, (double)loss->x[0]);
    }
    rc_state_free(state);
    rc_optim_free(optim);
    rc_tape_free(tape);
    return s;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: train TEXT MODEL.safetensors\n"), 2;
    rc_error e;
    char *text = NULL;
    rc_vocab *vocab = NULL;
    rc_lm *model = NULL;
    int32_t *ids = NULL;
    size_t len = 0, n = 0;
    rc_lm_options options = rc_lm_options_default();
    options.rnn.hidden_size = 64;
    rc_status s = rc_text_read(argv[1], &text, &len, &e);
    if (s == RC_OK) s = rc_vocab_train(&vocab, "char", text, len, &e);
    if (s == RC_OK) s = rc_lm_new(&model, vocab, &options, 1, &e);
    if (s != RC_OK) rc_vocab_free(vocab); /* otherwise the model's */
    if (s == RC_OK) s = rc_vocab_encode(vocab, text, len, &ids, &n, NULL, &e);
    if (s == RC_OK && n <= BATCH) s = rc_fail(&e, RC_EDATA, "%s: too short", argv[1]);
    if (s == RC_OK) s = train(model, ids, n, &e);
    if (s == RC_OK) s = rc_lm_save(model, argv[2], "{\"made_by\": \"examples/train.c\"}", &e);
    if (s != RC_OK) fprintf(stderr, "train: %s\n", e.text);
    rc_ids_free(ids, n);
    rc_lm_free(model);
    rc_text_free(text, len);
    return rc_status_exit_code(s);
}
