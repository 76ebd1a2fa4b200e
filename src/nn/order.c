/* order.c - the order in which a layer stores its rows.
 *
 * A batch whose rows are equally long is in that order already, so x and y are used in place, and reversal is only another
 * order of the steps. Otherwise rows are sorted by length, dealt to the tiles and gathered; the reverse direction starts at
 * each row's own end. Which of the two it is follows from the lengths alone and not from T, so padding changes the order of
 * no sum. */
#include "nn/recurrence.h"

/* perm and len: rows by length, longest first and stable, dealt out like cards. A look at every row per length costs no more
 * than x has rows. */
static void deal(rc__order *o, const int32_t *len) {
    size_t i = 0;
    for (size_t l = o->S + 1; l-- > 0;)
        for (size_t b = 0; b < o->B; b++)
            if ((size_t)len[b] == l) { /* NOLINT(*NullDereference): without lengths the order is direct */
                size_t at = rc__order_first(o, i % o->tiles) + i / o->tiles;
                o->perm[at] = (int32_t)b;
                o->len[at] = len[b];
                i++;
            }
}

bool rc__order_make(rc_tape *t, rc__order *o, size_t T, size_t B, const int32_t *len, bool reverse, size_t tiles) {
    *o = (rc__order){.B = B, .S = len ? 0 : T, .R = len ? 0 : T * B, .tiles = tiles, .direct = true};
    for (size_t b = 0; len && b < B; b++) {
        if (len[b] != len[0]) o->direct = false;
        if ((size_t)len[b] > o->S) o->S = (size_t)len[b];
        o->R += (size_t)len[b];
    }
    size_t S = o->S;
    if (!(o->off = rc__tape_alloc(t, (S + 1) * sizeof *o->off))) return false;
    if (o->direct) {
        for (size_t s = 0; s < S; s++) o->off[s] = (reverse ? S - 1 - s : s) * B;
        return true;
    }
    o->n = rc__tape_alloc(t, 2 * (S * tiles + 1) * sizeof *o->n);
    o->perm = rc__tape_alloc(t, 2 * B * sizeof *o->perm);
    o->source = rc__tape_alloc(t, (o->R + 1) * sizeof *o->source);
    if (!o->n || !o->perm || !o->source) return false;
    o->at = o->n + S * tiles + 1;
    o->len = o->perm + B;
    deal(o, len);
    size_t at = 0;
    for (size_t s = 0; s < S; s++) {
        o->off[s] = at;
        for (size_t tile = 0; tile < tiles; tile++) {
            size_t row = rc__order_first(o, tile), end = rc__order_first(o, tile + 1);
            o->at[s * tiles + tile] = at;
            for (; row < end && (size_t)o->len[row] > s; row++) {
                size_t b = (size_t)o->perm[row], step = reverse ? (size_t)o->len[row] - 1 - s : s;
                o->source[at++] = (int32_t)(step * B + b);
            }
            o->n[s * tiles + tile] = at - o->at[s * tiles + tile];
        }
    }
    return true;
}
