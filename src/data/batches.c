/* batches.c - see batches.h. */
#include "data/batches.h"

#include <string.h>

#include "base/mem.h"
#include "data/vocab_internal.h"

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
    rc__epochs *visits;
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
    rc__epochs_free(b->visits);
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
    if (b->o.no_shuffle) return 0;
    rc_rng r = rc__epochs_rng(b->o.seed, epoch);
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

static uint32_t steps_of(const rc__batches *b, size_t d) { return (uint32_t)(b->starts[d + 1] - b->starts[d] - 1); }

static rc_status check_documents(const size_t *starts, size_t n_docs, rc_error *e) {
    if (n_docs == 0) return rc_fail(e, RC_EDATA, "there are no documents: no line has anything to predict");
    for (size_t d = 0; d < n_docs; d++) {
        if (starts[d + 1] < starts[d] + 2)
            return rc_fail(e, RC_EDATA, "document %zu has fewer than 2 tokens: nothing to predict", d + 1);
        if (starts[d + 1] - starts[d] - 1 > INT32_MAX)
            return rc_fail(e, RC_EDATA, "document %zu has %zu tokens, the limit is %d", d + 1,
                           starts[d + 1] - starts[d] - 1, INT32_MAX);
    }
    return RC_OK;
}

rc_status rc__batches_documents(rc__batches **out, const int32_t *ids, const size_t *starts, size_t n_docs,
                                const rc__batches_options *o, rc_error *e) {
    *out = NULL;
    rc_status s = check_options(o, false, e);
    if (s == RC_OK) s = check_documents(starts, n_docs, e);
    if (s != RC_OK) return s;
    rc__batches *b = rc__calloc(1, sizeof *b);
    if (!b) return rc_fail(e, RC_ENOMEM, "out of memory (batches)");
    b->ids = ids;
    b->starts = starts;
    b->o = *o;
    size_t bytes;
    b->lengths = rc__size_mul(o->batch, sizeof *b->lengths, &bytes) ? rc__alloc(bytes) : NULL;
    uint32_t *steps = rc__calloc(n_docs, sizeof *steps);
    if (!b->lengths || !steps) s = rc_fail(e, RC_ENOMEM, "out of memory (%zu documents)", n_docs);
    for (size_t d = 0; s == RC_OK && d < n_docs; d++) steps[d] = steps_of(b, d);
    if (s == RC_OK) s = rc__epochs_new(&b->visits, steps, n_docs, o->batch, o->seed, o->no_shuffle, e);
    if (s == RC_OK) s = alloc_out(b, rc__epochs_longest(b->visits), e);
    rc__free(steps, n_docs * sizeof *steps);
    if (s != RC_OK) {
        rc__batches_free(b);
        return s;
    }
    *out = b;
    return RC_OK;
}

static rc_status next_of_documents(rc__batches *b, rc__batch *out, rc_error *e) {
    rc__visit v;
    rc_status s = rc__epochs_next(b->visits, &v, e);
    if (s != RC_OK) return s;
    size_t B = b->o.batch, T = v.longest;
    for (size_t r = 0; r < B; r++) {
        const int32_t *doc = r < v.n ? b->ids + b->starts[v.index[r]] : NULL;
        size_t steps = r < v.n ? steps_of(b, v.index[r]) : 0;
        b->lengths[r] = (int32_t)steps;
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
                       .tokens = v.total,
                       .starts_epoch = v.starts_epoch,
                       .reset_state = true,
                       .ends_epoch = v.ends_epoch,
                       .cursor = v.cursor};
    return RC_OK;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

rc_status rc__batches_next(rc__batches *b, rc__batch *out, rc_error *e) {
    if (b->starts) return next_of_documents(b, out, e);
    next_of_stream(b, out);
    return RC_OK;
}

size_t rc__batches_per_epoch(const rc__batches *b) {
    return b->starts ? rc__epochs_batches(b->visits) : (b->row - 1) / b->o.seq_len + 1;
}

size_t rc__batches_tokens(const rc__batches *b) {
    return b->starts ? rc__epochs_total(b->visits) : b->row * b->o.batch;
}

size_t rc__batches_max_seq_len(const rc__batches *b) {
    return b->starts ? rc__epochs_longest(b->visits) : b->o.seq_len;
}

rc__cursor rc__batches_cursor(const rc__batches *b) {
    return b->starts ? rc__epochs_cursor(b->visits) : (rc__cursor){b->epoch, b->position, b->shift};
}

rc_status rc__batches_seek(rc__batches *b, rc__cursor c, rc_error *e) {
    if (b->starts) return rc__epochs_seek(b->visits, c, e);
    if (c.position >= b->row)
        return rc_fail(e, RC_EMODEL,
                       "data cursor: position %llu, this data has 0..%zu: other data or another batch size",
                       (unsigned long long)c.position, b->row - 1);
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
