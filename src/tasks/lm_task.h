/* lm_task.h - the language model as a task of the training loop. */
#ifndef RC_LM_TASK_H
#define RC_LM_TASK_H
#include "data/batches.h"
#include "tasks/task.h"

typedef struct rc__lm_task {
    rc__task base;
    rc_lm *m;
    char *valid_text; /* for the exact pass at the end; NULL = none */
    size_t valid_len;
    int32_t *train_ids, *valid_ids;
    size_t n_train, n_valid;
    rc__documents train_docs, valid_docs; /* full_bptt */
    rc__batches *train, *valid;
    rc_state *state, *valid_state; /* NULL: every segment starts from the initial state */
    rc__batch last;                /* the batch of the last loss, for messages */
    double per_epoch;              /* batches */
    uint64_t hash;                 /* of the training ids: a resumed run must see the same text */
    size_t unknown;                /* validation tokens outside the vocabulary */
    char *old_text;                /* fine-tuning: the model's earlier validation text, or NULL */
    size_t old_len;
    bool exact_says_more; /* validation rows start afresh, the exact pass carries state */
} rc__lm_task;

/* Reads text, splits it, makes or takes the vocabulary, and builds (or loads: o->from, initial) the model.
 * initial: the model file of a run that is to go on, or NULL. */
rc_status rc__lm_task_new(rc__lm_task **out, const rc_train_options *o, const char *initial,
                          const rc_train_hooks *hooks, rc_error *e);
void rc__lm_task_free(rc__lm_task *t);

/* Where the validation part begins: at the given share of the bytes, moved forward to a whole character, or for word
 * models to the start of a line. */
size_t rc__lm_split(const char *text, size_t len, double valid_fraction, bool whole_lines);
/* All files one after the other, with a newline where one does not end in it. Freed with rc_text_free. utf8: RC_EDATA
 * for one that is not, with its name and the place in it. */
rc_status rc__lm_read_files(const char *const *files, size_t n, bool utf8, char **text, size_t *len, rc_error *e);

/* Before data is read: a vocabulary that comes from a file (else *out is NULL: it is trained), and whether the texts
 * must be UTF-8. RC_EINVAL: spec is neither a kind nor a file. */
rc_status rc__ready_vocab(rc_vocab **out, const char *spec, bool *utf8, rc_error *e);
/* A vocabulary of ours or a tokenizer.json. */
rc_status rc__vocab_from_file(rc_vocab **out, const char *path, rc_error *e);

#endif
