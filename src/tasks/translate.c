/* translate.c - the task translate, and what the three sequence-to-sequence tasks have for defaults. */
#include "tasks/seq2seq.h"

void rc__seq2seq_defaults(rc_train_options *o) {
    o->vocab = "auto";
    o->cell = "lstm";
    o->encoder = ""; /* as the cell */
    o->bidirectional = true;
    o->layers = 2;
    o->hidden = 256;
    o->embedding = 256;
    o->tied = true;
    o->shared = true;
    o->attention = "general";
    o->dropout = 0.3;
    o->dropout_input = 0.2;
    o->word_dropout = 0.1;
    o->label_smoothing = 0.1;
    o->history = 1;
    o->optimizer = "adamw";
    o->weight_decay = 0.01;
    o->clip = 1;
    o->schedule = "cosine";
    o->warmup = 300;
    o->average = "ema";
    o->average_decay = 0.998;
    o->batch = 256;
    /* updates count for more than their size: multi30k, 4 minutes, 3 epochs: BLEU 22.6 with 3000 and 8,000 pieces, 27.7 with
     * 1000 and 5,000 (validation, greedy) */
    o->batch_tokens = 1000;
    o->epochs = 30;
}

static rc_status make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e) {
    return rc__seq2seq_make(out, &rc__task_translate, o, initial, hooks, e);
}
static rc_status open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    return rc__seq2seq_open(out, &rc__task_translate, file, doc, where, e);
}

const rc__task_kind rc__task_translate = {.name = "translate",
                                          .title = "a translator",
                                          .options = RC__SEQ2SEQ_OPTIONS " valid-target",
                                          .defaults = rc__seq2seq_defaults,
                                          .make = make,
                                          .open = open,
                                          .model = RC__SEQ2SEQ_MODEL};
