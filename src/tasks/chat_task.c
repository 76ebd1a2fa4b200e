/* chat_task.c - the task chat: a reply to the turns before it. */
#include "tasks/seq2seq.h"

static void defaults(rc_train_options *o) {
    rc__seq2seq_defaults(o);
    o->valid_fraction = 0; /* a small corpus is to be known by heart: what it says once it says nowhere else */
    o->max_source = 128;
    o->max_target = 64;
    o->dropout = 0.2;
    o->dropout_input = 0.1;
    o->epochs = 60;
}

static rc_status make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e) {
    return rc__seq2seq_make(out, &rc__task_chat, o, initial, hooks, e);
}
static rc_status open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    return rc__seq2seq_open(out, &rc__task_chat, file, doc, where, e);
}

const rc__task_kind rc__task_chat = {.name = "chat",
                                     .title = "a chat model",
                                     .options = RC__SEQ2SEQ_OPTIONS " history separator",
                                     .defaults = defaults,
                                     .make = make,
                                     .open = open,
                                     .model = RC__SEQ2SEQ_MODEL};
