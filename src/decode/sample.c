/* sample.c - draws an id from logits: penalty, temperature, top-k, top-p, min-p, in this order.
 *
 * Nothing is sorted and nothing is allocated: the k-th largest value, and the value at which the largest
 * probabilities add up to p, are found digit by digit (most significant byte first) with a histogram of 256 bins per
 * pass over the array. Ties at the border keep the lowest ids. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recur/text.h"

#ifdef RC_DOUBLE
typedef uint64_t key_type;
#define REAL_LOWEST  (-DBL_MAX)
#define REAL_HIGHEST DBL_MAX
#define real_exp     exp
#else
typedef uint32_t key_type;
#define REAL_LOWEST  (-FLT_MAX)
#define REAL_HIGHEST FLT_MAX
#define real_exp     expf
#endif
#define KEY_BITS (8 * (int)sizeof(key_type))
#define NOTHING  ((rc_real)-INFINITY)

rc_sampler_options rc_sampler_options_default(void) {
    return (rc_sampler_options){.temperature = 0.8,
                                .top_k = 0,
                                .top_p = 1,
                                .min_p = 0,
                                .repetition_penalty = 1,
                                .repetition_window = 64,
                                .no_unk = true};
}

/* An unsigned number in the order of x: negative numbers are flipped whole, positive ones get the sign bit. */
static key_type key_of(rc_real x) {
    key_type k;
    x += 0; /* -0 and 0 are one value */
    memcpy(&k, &x, sizeof k);
    key_type sign = (key_type)1 << (KEY_BITS - 1);
    return k ^ (sign | (key_type)(0 - (k >> (KEY_BITS - 1))));
}

/* ---- repetition penalty ------------------------------------------------------------------------------------------ */

#define SEEN_SLOTS 4096 /* on the stack; windows up to half of it are taken whole */

/* Each recent id counts once, however often it appeared. */
static void penalize(rc_real *logits, size_t n, const int32_t *recent, size_t n_recent, double penalty, size_t window) {
    if (window > SEEN_SLOTS / 2) window = SEEN_SLOTS / 2;
    if (n_recent > window) {
        recent += n_recent - window;
        n_recent = window;
    }
    int32_t seen[SEEN_SLOTS];
    memset(seen, 0xFF, sizeof seen); /* -1 = free */
    for (size_t i = 0; i < n_recent; i++) {
        int32_t id = recent[i];
        if (id < 0 || (size_t)id >= n) continue;
        size_t slot = ((uint32_t)id * 2654435761u) >> 20;
        while (seen[slot] >= 0 && seen[slot] != id) slot = (slot + 1) & (SEEN_SLOTS - 1);
        if (seen[slot] == id) continue;
        seen[slot] = id;
        double l = (double)logits[id];
        if (!isfinite(l)) continue;
        l = l > 0 ? l / penalty : l * penalty;
        logits[id] = l < (double)REAL_LOWEST ? REAL_LOWEST : (rc_real)l;
    }
}

/* ---- selection by digits ----------------------------------------------------------------------------------------- */

#define SMALL_HEAP 1024

/* The k-th largest key of x through a heap of the k largest so far, the smallest on top: most of x needs one compare.
 * *equal: how many of that key belong to the k largest. False when x has fewer than k values above NOTHING. */
static bool border_by_heap(const rc_real *x, size_t n, size_t k, key_type *border, size_t *equal) {
    key_type heap[SMALL_HEAP], floor_key = key_of(NOTHING);
    heap[0] = 0;
    size_t filled = 0;
    for (size_t i = 0; i < n; i++) {
        key_type key = key_of(x[i]);
        if (key == floor_key) continue;
        if (filled < k) {
            size_t at = filled++;
            for (; at > 0 && key < heap[(at - 1) / 2]; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
            heap[at] = key;
        } else if (key > heap[0]) {
            size_t at = 0;
            for (size_t child; (child = 2 * at + 1) < k; at = child) {
                if (child + 1 < k && heap[child + 1] < heap[child]) child++;
                if (heap[child] >= key) break;
                heap[at] = heap[child];
            }
            heap[at] = key;
        }
    }
    if (filled < k) return false;
    *border = heap[0];
    *equal = 0;
    for (size_t i = 0; i < k; i++) *equal += heap[i] == heap[0];
    return true;
}

/* The same by digits, for any k. */
static bool border_by_count(const rc_real *x, size_t n, size_t k, key_type *border, size_t *equal) {
    key_type prefix = 0, mask = 0, floor_key = key_of(NOTHING);
    size_t need = k; /* how many of those that agree with prefix are kept */
    for (int shift = KEY_BITS - 8; shift >= 0; shift -= 8) {
        size_t count[256] = {0};
        for (size_t i = 0; i < n; i++) {
            key_type key = key_of(x[i]);
            if ((key & mask) == prefix && key != floor_key) count[key >> shift & 255]++;
        }
        int bin = 255;
        while (bin > 0 && count[bin] < need) need -= count[bin--];
        if (count[bin] < need) return false;
        prefix |= (key_type)bin << shift;
        mask |= (key_type)255 << shift;
    }
    *border = prefix;
    *equal = need;
    return true;
}

/* Keeps the k largest of x that are above NOTHING. */
static void keep_top_k(rc_real *x, size_t n, size_t k) {
    key_type border;
    size_t equal;
    bool found = k <= SMALL_HEAP ? border_by_heap(x, n, k, &border, &equal) : border_by_count(x, n, k, &border, &equal);
    if (!found) return; /* fewer than k in all */
    for (size_t i = 0; i < n; i++) {
        key_type key = key_of(x[i]);
        if (key > border) continue;
        if (key == border && equal > 0)
            equal--;
        else
            x[i] = NOTHING;
    }
}

/* The key at which the sum of p, from the largest down, reaches *need; *need becomes what is wanted of that key. */
static key_type border_by_mass(const rc_real *p, size_t n, double *need) {
    key_type prefix = 0, mask = 0;
    for (int shift = KEY_BITS - 8; shift >= 0; shift -= 8) {
        double mass[256] = {0};
        for (size_t i = 0; i < n; i++) {
            key_type key = key_of(p[i]);
            if ((key & mask) == prefix) mass[key >> shift & 255] += (double)p[i];
        }
        int bin = 255, last = 0; /* rounding may leave need above the sum: then the smallest bin with any mass */
        for (; bin >= 0; bin--) {
            if (mass[bin] <= 0) continue;
            last = bin;
            if (mass[bin] >= *need) break;
            *need -= mass[bin];
        }
        if (bin < 0) {
            bin = last;
            *need += mass[bin];
        }
        prefix |= (key_type)bin << shift;
        mask |= (key_type)255 << shift;
    }
    return prefix;
}

/* Four sums at once: one alone waits for each addition. */
static double sum_of(const rc_real *p, size_t n) {
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) s[k] += (double)p[i + k];
    for (; i < n; i++) s[0] += (double)p[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

#define SMALL_COPY 2048

/* Keeps the fewest largest probabilities whose sum reaches `share` of the total; sets the others to 0. */
static void keep_top_p(rc_real *p, size_t n, double share) {
    double total = sum_of(p, n);
    /* All values below (1 - share) * total / n together are less than what may be left out (half of it, to be above
     * rounding). What remains is often little: it fits on the stack, and the passes are over that. */
    rc_real copy[SMALL_COPY], least = (rc_real)((1 - share) * total / (double)n / 2);
    size_t copied = 0;
    copy[0] = 0;
    for (size_t i = 0; i < n && copied <= SMALL_COPY; i++) {
        if (p[i] < least) continue;
        if (copied < SMALL_COPY) copy[copied] = p[i];
        copied++;
    }
    double need = share * total;
    key_type border = copied <= SMALL_COPY ? border_by_mass(copy, copied, &need) : border_by_mass(p, n, &need);
    bool crossed = false; /* of the equal ones at the border, the first until the mass is there */
    for (size_t i = 0; i < n; i++) {
        key_type key = key_of(p[i]);
        if (key > border) continue;
        if (key == border && !crossed) {
            need -= (double)p[i];
            crossed = need <= 0;
        } else
            p[i] = 0;
    }
}

/* ---- the draw ---------------------------------------------------------------------------------------------------- */

/* The first of the largest; -1 when everything is NOTHING. NaN becomes NOTHING, +inf the largest number. */
static int64_t clean_and_find_best(rc_real *x, size_t n) {
    int64_t best = -1;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            x[i] = NOTHING;
        else if (x[i] > REAL_HIGHEST)
            x[i] = REAL_HIGHEST;
        if (x[i] > NOTHING && (best < 0 || x[i] > x[best])) best = (int64_t)i;
    }
    return best;
}

static int32_t draw(const rc_real *p, size_t n, double u) {
    double total = sum_of(p, n), sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] <= 0) continue;
        last = i;
        sum += (double)p[i];
        if (sum > u * total) break;
    }
    return (int32_t)last;
}

int32_t rc_sample(const rc_sampler_options *o, rc_real *logits, size_t n, int32_t unk, const int32_t *recent,
                  size_t n_recent, rc_rng *rng) {
    if (n == 0) return 0;
    bool skip_unk = o->no_unk && unk >= 0 && (size_t)unk < n && n > 1;
    if (skip_unk) logits[unk] = NOTHING;
    double penalty = o->repetition_penalty;
    if (isfinite(penalty) && penalty > 0 && penalty != 1 && recent && o->repetition_window > 0)
        penalize(logits, n, recent, n_recent, penalty, o->repetition_window);
    int64_t best = clean_and_find_best(logits, n);
    if (best < 0) return skip_unk && unk == 0 ? 1 : 0; /* no logit is usable: the first id that may be drawn */
    if (!(o->temperature > 0)) return (int32_t)best;
    if (o->top_k > 0 && o->top_k < n) keep_top_k(logits, n, o->top_k);

    double max = (double)logits[best], scale = 1 / o->temperature; /* 0 for an infinite one: all alike */
    if (!(scale <= DBL_MAX)) scale = DBL_MAX;
    for (size_t i = 0; i < n; i++) {
        double below = (double)logits[i] - max;
        logits[i] = logits[i] == NOTHING ? 0 : below == 0 ? 1 : real_exp((rc_real)(below * scale));
    }
    if (o->top_p < 1) keep_top_p(logits, n, o->top_p > 0 ? o->top_p : 0);
    if (o->min_p > 0) { /* the largest is 1 here */
        rc_real least = (rc_real)(o->min_p < 1 ? o->min_p : 1);
        for (size_t i = 0; i < n; i++)
            if (logits[i] < least) logits[i] = 0;
    }
    return draw(logits, n, rc_rng_uniform(rng));
}
