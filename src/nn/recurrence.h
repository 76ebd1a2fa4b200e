/* recurrence.h - one layer in one forward: the order of its rows, what it keeps, who does what. Between recurrence.c (the
 * node of the tape) and steps.c (its time steps). Letters as in kernels/cell.h. */
#ifndef RC_RECURRENCE_H
#define RC_RECURRENCE_H
#include "kernels/kernels.h"
#include "nn/rnn_internal.h"

/* Rows are stored step after step. A step holds the rows still running, tile after tile, the longest of a tile first; so the
 * rows of a tile at one step are a prefix of those at the step before. The rows of a batch are dealt to the tiles in the order
 * of their lengths, so that all tiles have about as much to do. */
typedef struct rc__order {
    size_t B, S, R;       /* S steps (longest row), R rows in all */
    size_t tiles;
    bool direct;          /* all rows are equally long: the order of x and y already */
    size_t *off;          /* (S) where step s starts */
    size_t *n, *at;       /* (S, tiles) rows of a tile at a step, and where they start; NULL when direct */
    int32_t *perm, *len;  /* (B) sorted row -> row of the batch, and its length; NULL when direct */
    int32_t *source;      /* (R) packed row -> t * B + b; NULL when direct */
} rc__order;

/* One direction of one layer in one forward. Letters as in cell.h. */
typedef struct rc__run {
    const rc__dir *d;
    rc__order ord;
    const rc_real *x;     /* (R, I) */
    rc_real *g;           /* (R, W) */
    rc_real *h;           /* (R, P), stride ldh: the output itself when direct */
    size_t ldh;
    rc_real *fresh_h;     /* (R, P) h before zoneout; NULL without */
    rc_real *c, *fresh_c; /* (R, H); fresh_c is c without zoneout */
    rc_real *save;        /* (R, save_width) */
    rc_real *a[RC_MAX_STAGES];  /* (R, K_s) operands; a[0] only when masked */
    rc_real *h0, *c0;     /* (B, P), (B, H) sorted */
    rc_real *mask;        /* (B, P) recurrent dropout, sorted; NULL without */
    const rc_real *drop_mask, *drop_masked; /* weight drop, as in rc__layer_io; NULL without */
    const rc_real *vec;   /* the vector parameters, dropped or not */
    rc_real *zone_h, *zone_c; /* (R, P), (R, H) zoneout masks; NULL without or at inference */
    /* backward */
    const rc_real *dy;    /* (R, P), stride lddy; NULL when no output gradient */
    size_t lddy;
    const rc_real *dhn, *dcn; /* (B, .) in batch order; NULL */
    rc_real *dg;          /* (R, W), g's own memory when the cell allows */
    rc_real *du[RC_MAX_STAGES]; /* (R, N_s) of the stages kept apart */
    rc_real *dx;          /* (R, I) for cells that see x; NULL */
    rc_real *dh0, *dc0;   /* (B, .) sorted */
    rc_real *part;        /* (tiles, part_len): bias and vector gradients of a tile */
} rc__run;

/* The layer as a node of the tape. The rows of a batch are cut into tiles of a size that depends on the batch alone: sums over
 * rows (biases, vectors) are kept per tile and added in the order of tiles. Neighbouring tiles form a group; a group runs all
 * its steps without meeting another. Either the groups of both directions are the tasks of one job, or all tiles are one
 * group whose products are cut by columns over a team of threads. Neither choice changes a bit of any result. */
typedef struct rc__layer {
    rc__node n;
    const rc_rnn *rnn;
    rc_var *x, *h0, *c0;
    size_t first, layer, part_len, worker_len;
    rc__plan plan;
    double zone_h, zone_c;
    rc_var *hn, *cn;      /* their nodes write nothing: we read their dx */
    uint64_t drop_id;
    rc__run run[2];
    rc_real *worker_scratch; /* of the job now running */
} rc__layer;

bool rc__order_make(rc_tape *t, rc__order *o, size_t T, size_t B, const int32_t *len, bool reverse, size_t tiles);
/* The first (sorted) row of a tile; of tile `tiles`: B. */
static inline size_t rc__order_first(const rc__order *o, size_t tile) {
    size_t more = o->B % o->tiles;
    return tile * (o->B / o->tiles) + (tile < more ? tile : more);
}
/* Rows of a tile that run at step s, and where the first of them is. */
static inline size_t rc__order_rows(const rc__order *o, size_t tile, size_t s) {
    return o->direct ? rc__order_first(o, tile + 1) - rc__order_first(o, tile) : o->n[s * o->tiles + tile];
}
static inline size_t rc__order_at(const rc__order *o, size_t tile, size_t s) {
    return o->direct ? o->off[s] + rc__order_first(o, tile) : o->at[s * o->tiles + tile];
}
static inline size_t rc__order_row(const rc__order *o, size_t sorted) {
    return o->direct ? sorted : (size_t)o->perm[sorted];
}
/* Where packed row p is in x and y: t * B + b. */
static inline size_t rc__order_source(const rc__order *o, size_t p) { return o->direct ? p : (size_t)o->source[p]; }

/* All steps of a group (number g), forward: the input product too; and backward: dg and du of all rows, dh0 and dc0, sums of
 * each tile. `rank` of `size` threads that do this together; scratch is theirs in common, rc__steps_scratch elements. */
size_t rc__steps_scratch(const rc_rnn *rnn, const rc__dir *d, size_t rows);
void rc__steps_forward(const rc__layer *ln, const rc__run *r, size_t g, int rank, int size, rc_real *scratch);
void rc__steps_backward(const rc__layer *ln, const rc__run *r, size_t g, int rank, int size, rc_real *scratch);
#endif
