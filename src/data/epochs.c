/* epochs.c - see epochs.h. */
#include "data/epochs.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define SHUFFLE_STREAM 0x6261746368657321u /* mixed into the seed: no other use of it draws these numbers */
#define POOL_BATCHES   50 /* examples are sorted by length within so many batches: little padding, much randomness */

struct rc__epochs {
    uint32_t *lengths;
    size_t n, batch, budget, n_batches, most_batches, longest, total;
    uint64_t seed, epoch;
    size_t position;
    bool no_shuffle;
    uint32_t *order;    /* the examples of this epoch, batch after batch */
    uint32_t *batch_of; /* the order of the batches ... */
    uint32_t *start;    /* ... and where each begins in `order`; n_batches + 1 */
    uint64_t order_epoch;
};

rc_rng rc__epochs_rng(uint64_t seed, uint64_t epoch) { return rc_rng_make(seed ^ SHUFFLE_STREAM, epoch); }

void rc__epochs_free(rc__epochs *x) {
    if (!x) return;
    rc__free(x->lengths, x->n * sizeof *x->lengths);
    rc__free(x->order, x->n * sizeof *x->order);
    rc__free(x->batch_of, x->most_batches * sizeof *x->batch_of);
    rc__free(x->start, (x->most_batches + 1) * sizeof *x->start);
    rc__free(x, sizeof *x);
}

static rc_status put_in_order(rc__epochs *x, rc_error *e);

rc_status rc__epochs_new(rc__epochs **out, const uint32_t *lengths, size_t n, size_t batch, uint64_t seed,
                         bool no_shuffle, rc_error *e) {
    return rc__epochs_new_budget(out, lengths, n, batch, 0, seed, no_shuffle, e);
}

rc_status rc__epochs_new_budget(rc__epochs **out, const uint32_t *lengths, size_t n, size_t batch, size_t budget,
                                uint64_t seed, bool no_shuffle, rc_error *e) {
    *out = NULL;
    if (batch < 1) return rc_fail(e, RC_EINVAL, "batch: expected at least 1 row");
    if (n == 0) return rc_fail(e, RC_EDATA, "there are no examples");
    if (n > UINT32_MAX) return rc_fail(e, RC_EDATA, "%zu examples, the limit is %u", n, UINT32_MAX);
    rc__epochs *x = rc__calloc(1, sizeof *x);
    if (!x) return rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
    *x = (rc__epochs){.n = n,
                      .batch = batch,
                      .budget = budget,
                      .n_batches = (n - 1) / batch + 1,
                      .most_batches = budget ? n : (n - 1) / batch + 1,
                      .seed = seed,
                      .no_shuffle = no_shuffle,
                      .order_epoch = UINT64_MAX};
    x->lengths = rc__alloc(n * sizeof *x->lengths);
    x->order = rc__alloc(n * sizeof *x->order);
    x->batch_of = rc__alloc(x->most_batches * sizeof *x->batch_of);
    x->start = rc__alloc((x->most_batches + 1) * sizeof *x->start);
    if (!x->lengths || !x->order || !x->batch_of || !x->start) {
        rc__epochs_free(x);
        return rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
    }
    memcpy(x->lengths, lengths, n * sizeof *lengths);
    for (size_t i = 0; i < n; i++) {
        x->longest = lengths[i] > x->longest ? lengths[i] : x->longest;
        x->total += lengths[i];
    }
    rc_status s = budget ? put_in_order(x, e) : RC_OK; /* how many batches there are follows from it */
    if (s != RC_OK) {
        rc__epochs_free(x);
        return s;
    }
    *out = x;
    return RC_OK;
}

/* Longest first; equal lengths stay in their random order (heap sort would not keep it, so the place is part of the
 * key). */
typedef struct keyed {
    uint32_t length, place, example;
} keyed;
static int longest_first(const void *pa, const void *pb) {
    const keyed *a = pa, *b = pb;
    if (a->length != b->length) return a->length < b->length ? 1 : -1;
    return (a->place > b->place) - (a->place < b->place);
}

static void shuffle(uint32_t *x, size_t n, rc_rng *r) {
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)rc_rng_below(r, i);
        uint32_t t = x[i - 1];
        x[i - 1] = x[k];
        x[k] = t;
    }
}

/* Cuts the order into batches. */
static void cut(rc__epochs *x) {
    size_t at = 0, k = 0;
    while (at < x->n) {
        size_t longest = 0, from = at;
        for (; at < x->n && at - from < x->batch; at++) {
            size_t length = x->lengths[x->order[at]] > longest ? x->lengths[x->order[at]] : longest;
            if (x->budget && at > from && length > x->budget / (at - from + 1)) break;
            longest = length;
        }
        x->start[k++] = (uint32_t)from;
    }
    x->start[k] = (uint32_t)x->n;
    x->n_batches = k;
}

/* Examples of about POOL_BATCHES batches. */
static size_t pool_size(const rc__epochs *x) {
    size_t batch = x->batch, mean = x->total / x->n ? x->total / x->n : 1;
    if (x->budget && x->budget / mean < batch) batch = x->budget / mean ? x->budget / mean : 1;
    return batch <= x->n / POOL_BATCHES ? batch * POOL_BATCHES : x->n;
}

/* The order of an epoch: all examples shuffled, sorted by length within pools, and the batches shuffled. The batch that
 * is not full may come anywhere. */
static rc_status put_in_order(rc__epochs *x, rc_error *e) {
    if (x->order_epoch == x->epoch) return RC_OK;
    x->order_epoch = UINT64_MAX;
    for (size_t i = 0; i < x->n; i++) x->order[i] = (uint32_t)i;
    rc_rng r = rc__epochs_rng(x->seed, x->epoch);
    if (!x->no_shuffle) {
        size_t pool = pool_size(x);
        keyed *k = rc__alloc(pool * sizeof *k);
        if (!k) return rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", pool);
        shuffle(x->order, x->n, &r);
        for (size_t from = 0; from < x->n; from += pool) {
            size_t n = x->n - from < pool ? x->n - from : pool;
            for (size_t i = 0; i < n; i++)
                k[i] = (keyed){x->lengths[x->order[from + i]], (uint32_t)i, x->order[from + i]};
            qsort(k, n, sizeof *k, longest_first);
            for (size_t i = 0; i < n; i++) x->order[from + i] = k[i].example;
        }
        rc__free(k, pool * sizeof *k);
    }
    cut(x);
    for (size_t i = 0; i < x->n_batches; i++) x->batch_of[i] = (uint32_t)i;
    if (!x->no_shuffle) shuffle(x->batch_of, x->n_batches, &r);
    x->order_epoch = x->epoch;
    return RC_OK;
}

rc_status rc__epochs_next(rc__epochs *x, rc__visit *out, rc_error *e) {
    rc_status s = put_in_order(x, e);
    if (s != RC_OK) return s;
    size_t k = x->batch_of[x->position], from = x->start[k];
    *out = (rc__visit){.index = x->order + from,
                       .n = x->start[k + 1] - from,
                       .starts_epoch = x->position == 0,
                       .ends_epoch = x->position + 1 == x->n_batches,
                       .cursor = rc__epochs_cursor(x)};
    for (size_t i = 0; i < out->n; i++) {
        uint32_t length = x->lengths[out->index[i]];
        out->longest = length > out->longest ? length : out->longest;
        out->total += length;
    }
    if (++x->position == x->n_batches) {
        x->position = 0;
        x->epoch++;
    }
    return RC_OK;
}

size_t rc__epochs_batches(const rc__epochs *x) { return x->n_batches; }
size_t rc__epochs_longest(const rc__epochs *x) { return x->longest; }
size_t rc__epochs_total(const rc__epochs *x) { return x->total; }
rc__cursor rc__epochs_cursor(const rc__epochs *x) { return (rc__cursor){x->epoch, x->position, 0}; }
/* position > 0: the present epoch has been put in order. */
double rc__epochs_done(const rc__epochs *x) { return (double)x->epoch + (double)x->position / (double)x->n_batches; }

rc_status rc__epochs_seek(rc__epochs *x, rc__cursor c, rc_error *e) {
    uint64_t before = x->epoch;
    x->epoch = c.epoch;
    rc_status s = x->budget ? put_in_order(x, e) : RC_OK;
    if (s == RC_OK && (c.position >= x->n_batches || c.shift != 0))
        s = rc_fail(e, RC_EMODEL, "data cursor: position %llu, this data has 0..%zu: other data or another batch size",
                    (unsigned long long)c.position, x->n_batches - 1);
    if (s != RC_OK) return x->epoch = before, s;
    x->position = (size_t)c.position;
    return RC_OK;
}
