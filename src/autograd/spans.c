/* spans.c - which rows of q attend to which rows of k and v. */
#include "autograd/spans.h"
#include <string.h>

/* Each row of k in one sequence at most. */
static bool apart(rc_tape *t, const char *op, const rc__span *at, size_t batch, size_t Nk) {
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    uint8_t *used = rc__tape_alloc(t, Nk);
    if (!used) return false;
    memset(used, 0, Nk);
    bool ok = true;
    for (size_t b = 0; b < batch && ok; b++) {
        if (at[b].nk && memchr(used + at[b].k, 1, at[b].nk)) {
            rc__op_fail(t, RC_EINVAL, op, "sequence %zu shares rows of k with another; such k and v take no gradient",
                        b);
            ok = false;
        }
        memset(used + at[b].k, 1, at[b].nk);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return ok;
}

static bool fill(rc__spans *s, rc_tape *t, const char *op, const rc_attention_options *o, rc__span *at, size_t Nq,
                 size_t Nk, bool join) {
    const int32_t *k_lengths = o->k_lengths ? o->k_lengths : o->q_lengths;
    size_t q = 0, k = 0, pairs = 0;
    for (size_t b = 0; b < o->batch; b++) {
        if (o->q_lengths[b] < 0 || k_lengths[b] < 0) {
            rc__op_fail(t, RC_EINVAL, op, "sequence %zu has %d queries and %d keys, expected 0 or more", b,
                        (int)o->q_lengths[b], (int)k_lengths[b]);
            return false;
        }
        if (o->k_start) k = o->k_start[b];
        size_t nq = (size_t)o->q_lengths[b], nk = (size_t)k_lengths[b];
        if (nk > Nk || k > Nk - nk) {
            rc__op_fail(t, RC_EINVAL, op, "sequence %zu has keys %zu to %zu, k has %zu rows", b, k, k + nk, Nk);
            return false;
        }
        rc__span *last = s->batch ? &at[s->batch - 1] : NULL;
        if (join && last && last->k == k && last->nk == nk)
            last->nq += nq;
        else
            at[s->batch++] = (rc__span){.q = q, .nq = nq, .k = k, .nk = nk, .pairs = pairs};
        q += nq, k += nk;
        if (nk > s->longest) s->longest = nk;
        pairs += nq * nk; /* at most Nq * Nk once q is checked */
        if (q > Nq) break;
        if (nk > s->longest) s->longest = nk;
    }
    if (q != Nq || (!o->k_start && k != Nk)) {
        rc__op_fail(t, RC_EINVAL, op, "lengths add up to %zu queries and %zu keys, q has %zu rows and k %zu", q, k, Nq,
                    Nk);
        return false;
    }
    s->pairs = pairs;
    return true;
}

bool rc__spans_init(rc__spans *s, rc_tape *t, const char *op, const rc_attention_options *o, size_t Nq, size_t Nk,
                    bool kv_grad) {
    if (!o || o->batch == 0 || !o->q_lengths) {
        rc__op_fail(t, RC_EINVAL, op, "options without batch and q_lengths");
        return false;
    }
    size_t bytes;
    if (!rc__size_mul(o->batch, sizeof(rc__span), &bytes) || o->window > PTRDIFF_MAX) {
        rc__op_fail(t, RC_EINVAL, op, "batch %zu or window %zu is too large", o->batch, o->window);
        return false;
    }
    rc__span *at = rc__tape_alloc(t, bytes);
    if (!at) return false;
    *s = (rc__spans){.at = at, .causal = o->causal, .window = o->window};
    bool join = o->k_start && !kv_grad && !o->causal && !o->window && !o->alibi;
    if (!fill(s, t, op, o, at, Nq, Nk, join)) return false;
    return !(o->k_start && kv_grad) || apart(t, op, at, s->batch, Nk);
}
