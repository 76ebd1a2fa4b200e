/* summarize.c - the task summarize: long sources, short targets that take words from them. */
#include "tasks/seq2seq.h"

static void defaults(rc_train_options *o) {
    rc__seq2seq_defaults(o);
    o->layers = 1; /* pairs are few as a rule, and each is long */
    o->attention = "additive";
    o->copy = true;
    o->max_source = 400; /* as See et al. 2017 (arXiv 1704.04368), section 5, cut articles */
    o->max_target = 100;
    o->batch = 64;
    o->batch_tokens = 8000;
}

static rc_status make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e) {
    return rc__seq2seq_make(out, &rc__task_summarize, o, initial, hooks, e);
}
static rc_status open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e) {
    return rc__seq2seq_open(out, &rc__task_summarize, file, doc, where, e);
}

const rc__task_kind rc__task_summarize = {.name = "summarize",
                                          .title = "a summarizer",
                                          .options = RC__SEQ2SEQ_OPTIONS " valid-target",
                                          .defaults = defaults,
                                          .make = make,
                                          .open = open,
                                          .model = RC__SEQ2SEQ_MODEL};
