/* order.c - the order in which a layer stores its rows.
 *
 * A full batch (all lengths T) is in that order already, so x and y are used in place, and reversal is only another order of
 * the steps. Otherwise rows are sorted by length and gathered; the reverse direction starts at each row's own end. */
#include "nn/recurrence.h"

bool rc__order_make(rc_tape *t, rc__order *o, size_t T, size_t B, const int32_t *len, bool reverse) {
    *o = (rc__order){.T = T, .B = B, .S = T, .R = T * B, .direct = true};
    for (size_t b = 0; len && b < B; b++)
        if ((size_t)len[b] != T) o->direct = false;
    if (!o->direct) {
        o->S = 0;
        o->R = 0;
        for (size_t b = 0; b < B; b++) {
            if ((size_t)len[b] > o->S) o->S = (size_t)len[b];
            o->R += (size_t)len[b];
        }
    }
    size_t S = o->S;
    o->n = rc__tape_alloc(t, 2 * (S + 1) * sizeof(size_t));
    if (!o->n) return false;
    o->off = o->n + S + 1;
    if (o->direct) {
        for (size_t s = 0; s < S; s++) {
            o->n[s] = B;
            o->off[s] = (reverse ? T - 1 - s : s) * B;
        }
        return true;
    }
    o->perm = rc__tape_alloc(t, B * sizeof(int32_t));
    o->source = rc__tape_alloc(t, (o->R + 1) * sizeof(int32_t));
    if (!o->perm || !o->source) return false;
    /* stable sort by length, longest first; a look at every row per length costs no more than x has rows */
    size_t at = 0;
    for (size_t l = S + 1; l-- > 0;)
        for (size_t b = 0; b < B; b++)
            if ((size_t)len[b] == l) o->perm[at++] = (int32_t)b;
    at = 0;
    size_t running = B;
    for (size_t s = 0; s < S; s++) {
        while (running && (size_t)len[o->perm[running - 1]] <= s) running--;
        o->n[s] = running;
        o->off[s] = at;
        for (size_t r = 0; r < running; r++) {
            size_t b = (size_t)o->perm[r], step = reverse ? (size_t)len[b] - 1 - s : s;
            o->source[at++] = (int32_t)(step * B + b);
        }
    }
    return true;
}
