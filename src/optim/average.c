/* average.c - averages of the weights over the run: exponential (Polyak & Juditsky 1992, with TensorFlow's warm-up of
 * the decay) and plain (SWA: Izmailov et al. 2018). They start as a copy of the weights and cover frozen and sparse
 * parameters as well, so that the average is always a whole model. */
#include "base/mem.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "recur/optim.h"
#include <math.h>
#include <string.h>

#define TILE 16384

struct rc_average {
    rc_params *ps;
    rc_average_kind kind;
    double decay;
    uint64_t count;
    size_t len; /* of the block */
    rc_real *block;
    rc_real rate; /* of the update under way */
    bool swapped;
};

rc_status rc_average_new(rc_average **out, rc_params *ps, rc_average_kind kind, double decay, rc_error *e) {
    *out = NULL;
    if (kind == RC_AVERAGE_NONE) return RC_OK;
    if (kind != RC_AVERAGE_EMA && kind != RC_AVERAGE_SWA)
        return rc_fail(e, RC_EINVAL, "average: unknown kind %d", (int)kind);
    if (kind == RC_AVERAGE_EMA && !(decay >= 0 && decay < 1))
        return rc_fail(e, RC_EINVAL, "average: decay: expected a number in [0, 1), found %g", decay);
    if (!rc_params_values(ps)) return rc_fail(e, RC_EINVAL, "average: the parameters are not built yet");
    rc_average *a = rc__calloc(1, sizeof *a);
    if (!a) return rc_fail(e, RC_ENOMEM, "out of memory for an average of the weights");
    *a = (rc_average){.ps = ps, .kind = kind, .decay = decay, .len = rc_params_block_len(ps)};
    a->block = rc__alloc(a->len * sizeof *a->block);
    if (!a->block) {
        rc__free(a, sizeof *a);
        return rc_fail(e, RC_ENOMEM, "out of memory for an average of %zu weights", rc_params_len(ps));
    }
    memcpy(a->block, rc_params_values(ps), a->len * sizeof *a->block);
    *out = a;
    return RC_OK;
}

void rc_average_free(rc_average *a) {
    if (!a) return;
    rc__free(a->block, a->len * sizeof *a->block);
    rc__free(a, sizeof *a);
}

static size_t tile_len(const rc_average *a, size_t task) {
    size_t left = a->len - task * TILE;
    return left < TILE ? left : TILE;
}

static void update_tile(void *ctx, size_t task, int worker) {
    const rc_average *a = ctx;
    (void)worker;
    rc__k->opt.lerp(tile_len(a, task), a->rate, rc_params_values(a->ps) + task * TILE, a->block + task * TILE);
}

static void swap_tile(void *ctx, size_t task, int worker) {
    const rc_average *a = ctx;
    rc_real *x = rc_params_values(a->ps) + task * TILE, *y = a->block + task * TILE;
    (void)worker;
    for (size_t i = 0, n = tile_len(a, task); i < n; i++) {
        rc_real keep = x[i];
        x[i] = y[i];
        y[i] = keep;
    }
}

void rc_average_update(rc_average *a) {
    if (!a) return;
    RC_ASSERT(!a->swapped); /* would mix the average into itself */
    double n = (double)a->count++;
    if (a->kind == RC_AVERAGE_SWA && n == 0) { /* exactly the weights: avg + (w - avg) rounds */
        memcpy(a->block, rc_params_values(a->ps), a->len * sizeof *a->block);
        return;
    }
    double d = (1 + n) / (10 + n);
    a->rate = (rc_real)(a->kind == RC_AVERAGE_SWA ? 1 / (n + 1) : 1 - (d < a->decay ? d : a->decay));
    rc__parallel((a->len + TILE - 1) / TILE, 4.0 * (double)a->len, update_tile, a);
}

void rc_average_swap(rc_average *a) {
    if (!a) return;
    rc__parallel((a->len + TILE - 1) / TILE, 2.0 * (double)a->len, swap_tile, a);
    a->swapped = !a->swapped;
    rc_params_changed(a->ps);
}

rc_real *rc_average_block(rc_average *a) { return a ? a->block : NULL; }
uint64_t rc_average_count(const rc_average *a) { return a ? a->count : 0; }
void rc_average_set_count(rc_average *a, uint64_t n) {
    if (a) a->count = n;
}
