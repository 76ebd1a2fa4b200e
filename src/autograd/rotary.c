/* rotary.c - rotary positions (Su et al. 2021, arXiv 2104.09864, eq. 34): the pair (j, j + D/2) of a head at position p
 * turns by p base^(-2j/D).
 *
 * Angles are in double. p = 64 a + b, so cosine and sine of all p follow from those of the few a and b there are, by the
 * theorem of addition: no function is called per row. */
#include <math.h>
#include <string.h>
#include "autograd/bulk.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

#define LOW 64 /* values of b */

typedef struct rotary_node {
    rc__node n;
    rc_var *x;
    const int32_t *positions;
    size_t N, heads, D, tile;
    double base;
} rotary_node;

typedef struct rotary_job {
    const rotary_node *s;
    const rc_real *from;
    rc_real *to;
    bool add;
    double sign;        /* -1: backward, the transpose of a rotation turns the other way */
    int32_t least;      /* the smallest a */
    double *low, *high; /* (values, D): D/2 cosines, then D/2 sines */
    rc_real *room;      /* D a worker */
} rotary_job;

static int32_t high_of(int32_t p) { return p >= 0 ? p / LOW : -1 - (-1 - p) / LOW; }

static void angles(size_t half, double base, double p, double *to) {
    for (size_t j = 0; j < half; j++) {
        double angle = p * pow(base, -(double)j / (double)half);
        to[j] = cos(angle), to[half + j] = sin(angle);
    }
}

static void rotary_task(void *ctx, size_t task, int worker) {
    const rotary_job *j = ctx;
    const rotary_node *s = j->s;
    size_t D = s->D, F = s->heads * D;
    rc_real *turn = j->room + (size_t)worker * D;
    for (size_t r = task * s->tile, end = rc__min_size(r + s->tile, s->N); r < end; r++) {
        int32_t p = s->positions[r], a = high_of(p);
        const double *low = j->low + (size_t)(p - a * LOW) * D, *high = j->high + (size_t)(a - j->least) * D;
        rc__k->row.turn(D / 2, high, low, j->sign, turn);
        rc__k->row.rotate(s->heads, D, j->from + r * F, turn, j->to + r * F, j->add);
    }
}

static bool rotate(rc_tape *t, rotary_job *j) {
    const rotary_node *s = j->s;
    int32_t most = j->least = high_of(s->positions[0]);
    for (size_t i = 0; i < s->N; i++) {
        int32_t a = high_of(s->positions[i]);
        most = a > most ? a : most, j->least = a < j->least ? a : j->least;
    }
    rc__arena_mark mark = rc__arena_get_mark(rc__tape_arena(t));
    size_t values = (size_t)((int64_t)most - j->least + 1);
    if (values > s->N + LOW) { /* far apart: not worth a table, nor the memory */
        rc__op_fail(t, RC_EINVAL, "rotary", "positions lie too far apart: %d to %d for %zu rows", j->least * LOW,
                    most * LOW, s->N);
        return false;
    }
    j->low = rc__tape_alloc(t, LOW * s->D * sizeof *j->low);
    j->high = rc__tape_alloc(t, values * s->D * sizeof *j->high);
    j->room = rc__tape_alloc(t, (size_t)rc__workers() * s->D * sizeof *j->room);
    bool ok = j->low && j->high && j->room;
    if (ok) {
        for (size_t b = 0; b < LOW; b++) angles(s->D / 2, s->base, (double)b, j->low + b * s->D);
        for (size_t a = 0; a < values; a++)
            angles(s->D / 2, s->base, LOW * ((double)j->least + (double)a), j->high + a * s->D);
        rc__parallel(rc__tiles(s->N, s->tile), RC__WORK(s->n.out.len), rotary_task, j);
    }
    rc__arena_rewind(rc__tape_arena(t), mark);
    return ok;
}

static void rotary_backward(rc_tape *t, rc__node *self) {
    rotary_job j = {.s = (rotary_node *)self, .from = self->out.dx, .sign = -1};
    j.to = rc__grad_to(t, j.s->x, &j.add);
    if (j.to) rotate(t, &j);
}

rc_var *rc_rotary(rc_tape *t, rc_var *x, size_t heads, const int32_t *positions, double base) {
    const char *op = "rotary";
    if (!rc__alive(t, op, 1, x)) return rc__dead(t);
    if (x->ndim != 2 || heads == 0 || x->dim[1] % heads || x->dim[1] / heads % 2)
        return rc__op_fail(t, RC_EINVAL, op, "x is %s, expected (N, %zu heads of an even number)",
                           rc__shape_text(x->ndim, x->dim), heads);
    if (!positions) return rc__op_fail(t, RC_EINVAL, op, "positions is NULL");
    if (!(base > 0 && isfinite(base))) return rc__op_fail(t, RC_EINVAL, op, "base is %g, expected above 0", base);
    rotary_node *s = rc__node_new(t, sizeof *s, op, 2, x->dim, x->needs_grad, rotary_backward);
    if (!s) return rc__dead(t);
    s->x = x, s->N = x->dim[0], s->heads = heads, s->D = x->dim[1] / heads, s->base = base;
    s->tile = 1 + RC__TILE / x->dim[1], s->positions = positions;
    return rotate(t, &(rotary_job){.s = s, .from = x->x, .to = s->n.out.x, .sign = 1}) ? &s->n.out : rc__dead(t);
}
