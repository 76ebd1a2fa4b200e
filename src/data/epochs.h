/* epochs.h - in which order examples are visited: each epoch all of them once, in batches of similar length, in a
 * random order. A batch is a pure function of (lengths, options, epoch, position). */
#ifndef RC_EPOCHS_H
#define RC_EPOCHS_H
#include "recur/base.h"

/* Where the next batch comes from; three integers in a checkpoint. */
typedef struct rc__cursor {
    uint64_t epoch;
    uint64_t position; /* stream: offset in each row; examples: index of the batch in its epoch */
    uint64_t shift;    /* stream: the rotation of this epoch (examples: 0); checked on seek */
} rc__cursor;

typedef struct rc__epochs rc__epochs;

typedef struct rc__visit {
    const uint32_t *index; /* the examples of the batch; owned by rc__epochs, valid until the next call on it */
    size_t n;              /* at most `batch`; the last of an epoch's batches may have fewer */
    size_t longest, total; /* of their lengths */
    bool starts_epoch, ends_epoch;
    rc__cursor cursor; /* of this batch */
} rc__visit;

/* lengths (n) is copied. no_shuffle: the order of the data, cut by `batch`. RC_EDATA: no examples, or too many. */
rc_status rc__epochs_new(rc__epochs **out, const uint32_t *lengths, size_t n, size_t batch, uint64_t seed,
                         bool no_shuffle, rc_error *e);
/* The same with batches that are also limited by what they are padded to: longest * n <= budget (an example that is
 * longer than that is a batch of its own). How many batches an epoch has then differs a little from one to the next.
 * budget 0 = no such limit, the same as rc__epochs_new. */
rc_status rc__epochs_new_budget(rc__epochs **out, const uint32_t *lengths, size_t n, size_t batch, size_t budget,
                                uint64_t seed, bool no_shuffle, rc_error *e);
void rc__epochs_free(rc__epochs *x);
size_t rc__epochs_batches(const rc__epochs *x); /* of one epoch; with a budget, of the one that was put in order last */
size_t rc__epochs_longest(const rc__epochs *x);
size_t rc__epochs_total(const rc__epochs *x); /* of all lengths */
/* Goes on into the next epoch for ever. */
rc_status rc__epochs_next(rc__epochs *x, rc__visit *out, rc_error *e);
rc__cursor rc__epochs_cursor(const rc__epochs *x); /* where the next batch comes from */
double rc__epochs_done(const rc__epochs *x);       /* passes over the data */
/* The following batches are those that followed when rc__epochs_cursor gave c. RC_EMODEL when c does not belong to this
 * data or batch size. */
rc_status rc__epochs_seek(rc__epochs *x, rc__cursor c, rc_error *e);

/* The generator of a shuffle of epoch `epoch`: no other use of the seed draws its numbers. */
rc_rng rc__epochs_rng(uint64_t seed, uint64_t epoch);
#endif
