/* make_state.c MODEL TEXT OUT: runs the first 40 tokens of TEXT through MODEL and saves the state. Built against the
 * version whose file is wanted: cc make_state.c -Iinclude librecur.a ... (the libraries of recur.pc). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recur/recur.h"

static void ok(rc_status s, const rc_error *e) {
    if (s == RC_OK) return;
    fprintf(stderr, "%s\n", e->text);
    exit(1);
}

int main(int argc, char **argv) {
    rc_error e;
    rc_lm *m;
    rc_state *s;
    char *text;
    int32_t *ids;
    size_t len, n;
    if (argc != 4) return 2;
    ok(rc_lm_load(&m, argv[1], &e), &e);
    ok(rc_text_read(argv[2], &text, &len, &e), &e);
    ok(rc_vocab_encode(rc_lm_vocab(m), text, len, &ids, &n, NULL, &e), &e);
    ok(rc_state_new(&s, rc_lm_rnn(m), 1, &e), &e);
    rc_real *logits = malloc(rc_vocab_size(rc_lm_vocab(m)) * sizeof *logits);
    for (size_t i = 0; i < 40; i++) ok(rc_lm_step(m, s, &ids[i], logits, &e), &e);
    ok(rc_state_save(s, argv[3], &e), &e);
    return 0;
}
