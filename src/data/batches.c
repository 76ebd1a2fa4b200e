/* batches.c - see batches.h. */
#include "data/batches.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/vocab_internal.h"

#define SHUFFLE_STREAM 0x6261746368657321u /* mixed into the seed: no other use of it draws these numbers */
#define POOL_BATCHES   50 /* documents are sorted by length within so many batches: little padding, much randomness */

struct rc__batches {
    const int32_t *ids;
    size_t n;
    rc__batches_options o;
    uint64_t epoch, shift;
    size_t position;
    int32_t *out_ids, *out_targets; /* (T, B) */
    size_t out_cap;                 /* of each */
    size_t row;                     /* stream: L */
    /* documents */
    const size_t *starts;
    size_t n_docs, n_batches, max_steps, total_steps;
    uint32_t *order;    /* the documents of this epoch, batch after batch */
    uint32_t *batch_of; /* the order of the batches */
    uint64_t order_epoch;
    int32_t *lengths;
};

static rc_status check_options(const rc__batches_options *o, bool stream, rc_error *e) {
    if (o->batch < 1) return rc_fail(e, RC_EINVAL, "batch: expected at least 1 row");
    if (stream && o->seq_len < 1) return rc_fail(e, RC_EINVAL, "seq_len: expected at least 1 step");
    return RC_OK;
}

void rc__batches_free(rc__batches *b) {
    if (!b) return;
    rc__free(b->out_ids, b->out_cap * sizeof *b->out_ids);
    rc__free(b->out_targets, b->out_cap * sizeof *b->out_targets);
    rc__free(b->order, b->n_docs * sizeof *b->order);
    rc__free(b->batch_of, b->n_batches * sizeof *b->batch_of);
    rc__free(b->lengths, b->o.batch * sizeof *b->lengths);
    rc__free(b, sizeof *b);
}

static rc_status alloc_out(rc__batches *b, size_t steps, rc_error *e) {
    size_t items, bytes;
    if (!rc__size_mul(steps, b->o.batch, &items) || !rc__size_mul(items, sizeof *b->out_ids, &bytes))
        return rc_fail(e, RC_EINVAL, "a batch of %zu rows of %zu steps is too large", b->o.batch, steps);
    b->out_ids = rc__alloc(bytes);
    b->out_targets = b->out_ids ? rc__alloc(bytes) : NULL;
    if (!b->out_targets) {
        rc__free(b->out_ids, bytes);
        b->out_ids = NULL;
        return rc_fail(e, RC_ENOMEM, "out of memory (a batch of %zu x %zu tokens)", b->o.batch, steps);
    }
    b->out_cap = items;
    return RC_OK;
}

/* ---- stream ------------------------------------------------------------------------------------------------------ */

static uint64_t shift_of(const rc__batches *b, uint64_t epoch) {
    if (b->o.no_shuffle || b->starts) return 0;
    rc_rng r = rc_rng_make(b->o.seed ^ SHUFFLE_STREAM, epoch);
    return rc_rng_below(&r, b->n);
}

rc_status rc__batches_stream(rc__batches **out, const int32_t *ids, size_t n, const rc__batches_options *o,
                             rc_error *e) {
    *out = NULL;
    rc_status s = check_options(o, true, e);
    if (s != RC_OK) return s;
    if (n < 2 || n - 1 < o->batch)
        return rc_fail(e, RC_EDATA, "the text has %zu tokens; a batch of %zu rows needs at least %zu", n, o->batch,
                       o->batch + 1);
    rc__batches *b = rc__calloc(1, sizeof *b);
    if (!b) return rc_fail(e, RC_ENOMEM, "out of memory (batches)");
    b->ids = ids;
    b->n = n;
    b->o = *o;
    b->row = (n - 1) / o->batch;
    if (b->o.seq_len > b->row) b->o.seq_len = b->row;
    b->shift = shift_of(b, 0);
    s = alloc_out(b, b->o.seq_len, e);
    if (s != RC_OK) {
        rc__batches_free(b);
        return s;
    }
    *out = b;
    return RC_OK;
}

static void next_of_stream(rc__batches *b, rc__batch *out) {
    size_t T = b->row - b->position < b->o.seq_len ? b->row - b->position : b->o.seq_len, B = b->o.batch;
    size_t unscored = 0;
    for (size_t r = 0; r < B; r++) {
        size_t at = (size_t)((b->shift + r * b->row + b->position) % b->n);
        for (size_t t = 0; t < T; t++) {
            size_t next = at + 1 == b->n ? 0 : at + 1;
            bool seam = next == 0 && b->shift != 0; /* the beginning does not follow the end */
            b->out_ids[t * B + r] = b->ids[at];
            b->out_targets[t * B + r] = seam ? RC_NO_TARGET : b->ids[next];
            unscored += seam;
            at = next;
        }
    }
    *out = (rc__batch){.seq_len = T,
                       .batch = B,
                       .ids = b->out_ids,
                       .targets = b->out_targets,
                       .tokens = T * B - unscored,
                       .starts_epoch = b->position == 0,
                       .reset_state = b->position == 0,
                       .ends_epoch = b->position + T == b->row,
                       .cursor = rc__batches_cursor(b)};
    b->position += T;
    if (b->position == b->row) {
        b->position = 0;
        b->shift = shift_of(b, ++b->epoch);
    }
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

static size_t steps_of(const rc__batches *b, size_t d) { return b->starts[d + 1] - b->starts[d] - 1; }

rc_status rc__batches_documents(rc__batches **out, const int32_t *ids, const size_t *starts, size_t n_docs,
                                const rc__batches_options *o, rc_error *e) {
    *out = NULL;
    rc_status s = check_options(o, false, e);
    if (s != RC_OK) return s;
    if (n_docs == 0) return rc_fail(e, RC_EDATA, "there are no documents: no line has anything to predict");
    if (n_docs > UINT32_MAX) return rc_fail(e, RC_EDATA, "%zu documents, the limit is %u", n_docs, UINT32_MAX);
    size_t longest = 0, total = 0;
    for (size_t d = 0; d < n_docs; d++) {
        if (starts[d + 1] < starts[d] + 2)
            return rc_fail(e, RC_EDATA, "document %zu has fewer than 2 tokens: nothing to predict", d + 1);
        size_t steps = starts[d + 1] - starts[d] - 1;
        if (steps > INT32_MAX)
            return rc_fail(e, RC_EDATA, "document %zu has %zu tokens, the limit is %d", d + 1, steps, INT32_MAX);
        longest = steps > longest ? steps : longest;
        total += steps;
    }
    rc__batches *b = rc__calloc(1, sizeof *b);
    if (!b) return rc_fail(e, RC_ENOMEM, "out of memory (batches)");
    b->ids = ids;
    b->starts = starts;
    b->o = *o;
    b->max_steps = longest;
    b->total_steps = total;
    b->order = rc__alloc(n_docs * sizeof *b->order);
    if (b->order) b->n_docs = n_docs;
    size_t n_batches = (n_docs - 1) / o->batch + 1;
    b->batch_of = rc__alloc(n_batches * sizeof *b->batch_of);
    if (b->batch_of) b->n_batches = n_batches;
    size_t bytes;
    b->lengths = rc__size_mul(o->batch, sizeof *b->lengths, &bytes) ? rc__alloc(bytes) : NULL;
    if (!b->order || !b->batch_of || !b->lengths) s = rc_fail(e, RC_ENOMEM, "out of memory (%zu documents)", n_docs);
    if (s == RC_OK) s = alloc_out(b, longest, e);
    if (s != RC_OK) {
        rc__batches_free(b);
        return s;
    }
    b->order_epoch = UINT64_MAX;
    *out = b;
    return RC_OK;
}

/* Longest first; equal lengths stay in their random order (heap sort would not keep it, so the place is part of the
 * key). */
typedef struct keyed {
    size_t steps;
    uint32_t place, doc;
} keyed;
static int longest_first(const void *pa, const void *pb) {
    const keyed *a = pa, *b = pb;
    if (a->steps != b->steps) return a->steps < b->steps ? 1 : -1;
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

/* The order of an epoch: all documents shuffled, sorted by length within pools, and the batches shuffled. The batch
 * that is not full may come anywhere. */
static rc_status order_documents(rc__batches *b, rc_error *e) {
    if (b->order_epoch == b->epoch) return RC_OK;
    for (size_t i = 0; i < b->n_docs; i++) b->order[i] = (uint32_t)i;
    for (size_t i = 0; i < b->n_batches; i++) b->batch_of[i] = (uint32_t)i;
    if (!b->o.no_shuffle) {
        size_t pool = b->o.batch <= b->n_docs / POOL_BATCHES ? b->o.batch * POOL_BATCHES : b->n_docs;
        keyed *k = rc__alloc(pool * sizeof *k);
        if (!k) return rc_fail(e, RC_ENOMEM, "out of memory (%zu documents)", pool);
        rc_rng r = rc_rng_make(b->o.seed ^ SHUFFLE_STREAM, b->epoch);
        shuffle(b->order, b->n_docs, &r);
        for (size_t from = 0; from < b->n_docs; from += pool) {
            size_t n = b->n_docs - from < pool ? b->n_docs - from : pool;
            for (size_t i = 0; i < n; i++)
                k[i] = (keyed){steps_of(b, b->order[from + i]), (uint32_t)i, b->order[from + i]};
            qsort(k, n, sizeof *k, longest_first);
            for (size_t i = 0; i < n; i++) b->order[from + i] = k[i].doc;
        }
        shuffle(b->batch_of, b->n_batches, &r);
        rc__free(k, pool * sizeof *k);
    }
    b->order_epoch = b->epoch;
    return RC_OK;
}

static rc_status next_of_documents(rc__batches *b, rc__batch *out, rc_error *e) {
    rc_status s = order_documents(b, e);
    if (s != RC_OK) return s;
    size_t B = b->o.batch, from = b->batch_of[b->position] * B, T = 0, tokens = 0;
    size_t rows = b->n_docs - from < B ? b->n_docs - from : B;
    for (size_t r = 0; r < B; r++) {
        size_t steps = r < rows ? steps_of(b, b->order[from + r]) : 0;
        b->lengths[r] = (int32_t)steps;
        T = steps > T ? steps : T;
        tokens += steps;
    }
    for (size_t r = 0; r < B; r++) {
        const int32_t *doc = r < rows ? b->ids + b->starts[b->order[from + r]] : NULL;
        size_t steps = (size_t)b->lengths[r];
        for (size_t t = 0; t < T; t++) {
            b->out_ids[t * B + r] = t < steps ? doc[t] : 0;
            b->out_targets[t * B + r] = t < steps ? doc[t + 1] : RC_NO_TARGET;
        }
    }
    *out = (rc__batch){.seq_len = T,
                       .batch = B,
                       .ids = b->out_ids,
                       .targets = b->out_targets,
                       .lengths = b->lengths,
                       .tokens = tokens,
                       .starts_epoch = b->position == 0,
                       .reset_state = true,
                       .ends_epoch = b->position + 1 == b->n_batches,
                       .cursor = rc__batches_cursor(b)};
    if (++b->position == b->n_batches) {
        b->position = 0;
        b->epoch++;
    }
    return RC_OK;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

rc_status rc__batches_next(rc__batches *b, rc__batch *out, rc_error *e) {
    if (b->starts) return next_of_documents(b, out, e);
    next_of_stream(b, out);
    return RC_OK;
}

size_t rc__batches_per_epoch(const rc__batches *b) {
    return b->starts ? b->n_batches : (b->row - 1) / b->o.seq_len + 1;
}

size_t rc__batches_tokens(const rc__batches *b) { return b->starts ? b->total_steps : b->row * b->o.batch; }

size_t rc__batches_max_seq_len(const rc__batches *b) { return b->starts ? b->max_steps : b->o.seq_len; }

rc__cursor rc__batches_cursor(const rc__batches *b) { return (rc__cursor){b->epoch, b->position, b->shift}; }

rc_status rc__batches_seek(rc__batches *b, rc__cursor c, rc_error *e) {
    size_t end = b->starts ? b->n_batches : b->row;
    if (c.position >= end)
        return rc_fail(e, RC_EMODEL,
                       "data cursor: position %llu, this data has 0..%zu: other data or another batch size",
                       (unsigned long long)c.position, end - 1);
    uint64_t shift = shift_of(b, c.epoch);
    if (c.shift != shift)
        return rc_fail(e, RC_EMODEL,
                       "data cursor: epoch %llu begins at token %llu with this data and seed, the checkpoint says %llu",
                       (unsigned long long)c.epoch, (unsigned long long)shift, (unsigned long long)c.shift);
    b->epoch = c.epoch;
    b->position = (size_t)c.position;
    b->shift = shift;
    return RC_OK;
}

/* ---- lines as documents ------------------------------------------------------------------------------------------ */

static bool has_newline(const rc_vocab *v) {
    if (v->kind == RC_VOCAB_WORD) return v->eos >= 0;
    return v->kind != RC_VOCAB_CHAR || rc__strtab_find(&v->entries, "\n", 1) >= 0;
}

static rc_status put_document(rc__documents *d, const int32_t *ids, size_t n, rc_error *e) {
    rc_status s = rc__grow((void **)&d->ids, &d->ids_cap, d->n + n, sizeof *d->ids, e);
    if (s == RC_OK) s = rc__grow((void **)&d->starts, &d->starts_cap, d->count + 2, sizeof *d->starts, e);
    if (s != RC_OK) return s;
    memcpy(d->ids + d->n, ids, n * sizeof *ids);
    d->starts[d->count] = d->n;
    d->n += n;
    d->starts[++d->count] = d->n;
    return RC_OK;
}

rc_status rc__documents_encode(rc__documents *out, const rc_vocab *v, const char *text, size_t len, size_t max_tokens,
                               rc_error *e) {
    memset(out, 0, sizeof *out);
    bool newline = has_newline(v);
    rc__string framed = {0}; /* newline + line + newline */
    rc_status s = RC_OK;
    size_t line = 1;
    for (size_t from = 0; from < len && s == RC_OK; line++) {
        const char *nl = memchr(text + from, '\n', len - from);
        size_t end = nl ? (size_t)(nl - text) : len, keep = end;
        if (keep > from && text[keep - 1] == '\r') keep--;
        if (keep > from) {
            int32_t *ids;
            size_t n, unknown;
            framed.len = 0;
            if (newline) s = rc__string_put(&framed, "\n", 1, e);
            if (s == RC_OK) s = rc__string_put(&framed, text + from, keep - from, e);
            if (s == RC_OK && newline) s = rc__string_put(&framed, "\n", 1, e);
            if (s != RC_OK) break;
            rc_error why = {0};
            s = rc_vocab_encode(v, framed.s, framed.len, &ids, &n, &unknown, &why);
            if (s != RC_OK) {
                s = rc_fail(e, s, "line %zu: %s", line, why.text);
                break;
            }
            if (max_tokens && n > max_tokens)
                s = rc_fail(e, RC_EDATA, "line %zu has %zu tokens, the limit is %zu", line, n, max_tokens);
            if (s == RC_OK && n >= 2) s = put_document(out, ids, n, e);
            out->unknown += unknown;
            rc_ids_free(ids, n);
        }
        from = end + 1;
    }
    rc__string_free(&framed);
    if (s == RC_OK && out->count == 0) s = rc_fail(e, RC_EDATA, "the text has no line with anything to predict");
    if (s != RC_OK) rc__documents_free(out);
    return s;
}

void rc__documents_free(rc__documents *d) {
    rc__free(d->ids, d->ids_cap * sizeof *d->ids);
    rc__free(d->starts, d->starts_cap * sizeof *d->starts);
    memset(d, 0, sizeof *d);
}
