/* batches.h - cuts a stream of ids, or documents, into batches for training.
 *
 * Stream: n ids are cut into B rows of L = (n - 1) / B ids; row r continues from one batch to the next inside an
 * epoch, so a carried state is right for it. Each epoch starts at another place of the text (a rotation drawn from
 * (seed, epoch)): row boundaries differ and the dropped tail is another one. Where the rotation joins the end of the
 * text to its beginning the target is -100.
 *
 *     ids:      [shift ........ n) [0 ... shift)            rotated, then cut
 *     row 0:    |--T--|--T--|--T--|-|                       the last segment of an epoch may be shorter
 *     row 1:                        |--T--|--T--|--T--|-|
 *
 * Documents: each document is one row; batches hold B documents of similar length, in a random order per epoch.
 * A batch is a pure function of (data, options, epoch, position). */
#ifndef RC_BATCHES_H
#define RC_BATCHES_H
#include "data/epochs.h"
#include "recur/text.h"

#define RC_NO_TARGET (-100) /* targets that are not scored */

typedef struct rc__batches rc__batches;

typedef struct rc__batch {
    size_t seq_len, batch;  /* T, B */
    const int32_t *ids;     /* (T, B), time first; owned by rc__batches, valid until the next call on it */
    const int32_t *targets; /* (T, B): the next id, or RC_NO_TARGET */
    const int32_t *lengths; /* (B), or NULL when every row has T steps (stream) */
    size_t tokens;          /* targets scored */
    bool starts_epoch;      /* the first batch of its epoch */
    bool reset_state;       /* rows do not continue the previous batch: start from the initial state */
    bool ends_epoch;        /* the last one of its epoch */
    rc__cursor cursor;      /* of this batch */
} rc__batch;

typedef struct rc__batches_options {
    size_t batch, seq_len; /* B, T; seq_len is ignored for documents */
    uint64_t seed;
    bool no_shuffle; /* stream: no rotation; documents: the order of the text (still cut by B, not sorted) */
} rc__batches_options;

/* ids (n) is borrowed and must outlive the result. RC_EDATA when there are fewer than batch + 1 ids. */
rc_status rc__batches_stream(rc__batches **out, const int32_t *ids, size_t n, const rc__batches_options *o,
                             rc_error *e);
/* Document d is ids[starts[d] .. starts[d+1]), starts has n_docs + 1 entries; both are borrowed. A document of k ids
 * gives k - 1 steps (at least 2 ids: RC_EDATA otherwise). The last batch is filled up with rows of length 0. */
rc_status rc__batches_documents(rc__batches **out, const int32_t *ids, const size_t *starts, size_t n_docs,
                                const rc__batches_options *o, rc_error *e);
void rc__batches_free(rc__batches *b);
size_t rc__batches_per_epoch(const rc__batches *b);
size_t rc__batches_tokens(const rc__batches *b);      /* steps of one epoch over all rows (the seam counted) */
size_t rc__batches_max_seq_len(const rc__batches *b); /* the longest T that next will give */
/* Fills out; goes on into the next epoch for ever. Allocates nothing for a stream. */
rc_status rc__batches_next(rc__batches *b, rc__batch *out, rc_error *e);
rc__cursor rc__batches_cursor(const rc__batches *b); /* where the next batch comes from */
/* The following batches are those that followed when rc__batches_cursor gave c. RC_EMODEL when c does not belong to
 * this data, batch size or seed. */
rc_status rc__batches_seek(rc__batches *b, rc__cursor c, rc_error *e);

/* Splits text into its non-empty lines and encodes each as newline + line + newline, so that the first token is
 * predicted and the end too; without the newlines where the vocabulary has none (then lines of one token are left
 * out). A line of more than max_tokens tokens is RC_EDATA naming it (0 = no limit). Free with rc__documents_free. */
typedef struct rc__documents {
    int32_t *ids;
    size_t n;
    size_t *starts; /* count + 1 */
    size_t count, unknown;
    size_t ids_cap, starts_cap;
} rc__documents;
rc_status rc__documents_encode(rc__documents *out, const rc_vocab *v, const char *text, size_t len, size_t max_tokens,
                               rc_error *e);
void rc__documents_free(rc__documents *d);
#endif
