/* rnn_internal.h - the parts of a stack of recurrent layers. Letters as in kernels/cell.h. */
#ifndef RC_RNN_INTERNAL_H
#define RC_RNN_INTERNAL_H
#include <pthread.h>
#include "autograd/tape_internal.h"
#include "kernels/cell.h"
#include "kernels/gemm.h"
#include "recur/rnn.h"

#define RC__MAX_LAYER_WIDTH ((size_t)1 << 24) /* of inputs and layers: keeps every product of sizes far from overflow */

/* One layer in one direction: its parameters, and copies of them in the form the kernels want. */
typedef struct rc__dir {
    rc_param *w_ih, *w_hh, *b_ih, *b_hh, *w_hr; /* NULL where the cell has none */
    rc_param *vec[RC_MAX_VECS];
    size_t I, G, GH;             /* input width; blocks of H in w_ih, and their columns */
    size_t A, W;                 /* columns of g aside (R's alone), and all: W = G*H + A */
    bool sees_x;                 /* the cell gets x itself (sru of equal widths) */
    size_t every;                /* gru-d: the decay reads the last of each so many columns of x; 0 = all */
    /* per stage: rows of the recurrent matrix, its width, where it starts in w_hh, blocks of g it adds to; those aside are
     * the rows of w_hh after stage 0's */
    size_t N[RC_MAX_STAGES], K[RC_MAX_STAGES], row[RC_MAX_STAGES], col[RC_MAX_STAGES];
    rc__stage_kind kind[RC_MAX_STAGES];
    size_t max_n, max_k;         /* over the stages */
    /* packed for x W^T, a R^T, and for the backward products dg W, du R */
    rc__packed ih, hh[RC_MAX_STAGES], ih_back, hh_back[RC_MAX_STAGES], aside, aside_back;
    rc__packed gate;             /* of a highway skip, for steps; the tape packs its own */
    rc_real *bias;               /* (W): b_ih plus the b_hh that stages add into g, and the b_hh aside */
    rc_real *vecs;               /* the vector parameters one after the other */
    size_t vecs_len;
    uint64_t version, version_back; /* of the parameters that the copies were made of; 0 = none */
    uint64_t drop_back;          /* the weight drop that hh_back was made under; 0 = none */
} rc__dir;

struct rc_rnn {
    rc_rnn_options opt;
    const rc__cell_entry *cell;
    rc_params *ps;
    size_t H, P, L, D, stages, save_width;
    rc__dir *dirs;               /* L * D, layer-major, forward before reverse */
    rc_param **gate_w, **gate_b; /* highway skips: per layer, NULL where none */
    rc_param *h0, *c0;           /* learnt initial state (L*D, P), (L*D, H) */
    pthread_mutex_t lock;        /* over the making of copies */
    uint64_t drops;              /* weight drops so far: numbers them */
    struct rc__transformer *blocks; /* cell "transformer": what all is; L, H, P (of the state) and D = 1 are set, no dirs */
};

struct rc_state {
    size_t batch, rows /* layers * directions */, P, H;
    rc_real *h, *c;
    size_t h_len, c_len;
    rc_real *step;               /* scratch of rc_rnn_step */
    size_t step_len;
    rc_real *caller;             /* rc__state_scratch */
    size_t caller_len;
};

static inline rc__dir *rc__rnn_dir(const rc_rnn *r, size_t layer, size_t d) { return &r->dirs[layer * r->D + d]; }

/* The weight drop of one forward. Per dir (L*D): the mask of weight_hh (or, for cells without, of their recurrent
 * vectors), and their product, which lives as long as the forward's tape. */
typedef struct rc__drop {
    const rc_real **mask;
    rc_real **masked;            /* room for the products; rc__rnn_prepare fills it */
    uint64_t id;                 /* set by rc__rnn_prepare; 0 = no drop */
} rc__drop;

/* Makes the copies current: for forward alone, or for backward too; under a drop when it is not NULL. */
rc_status rc__rnn_prepare(const rc_rnn *rnn, bool backward, rc__drop *drop, rc_error *e);
/* Before a backward: another forward may have packed hh_back under another drop since. id and masked (NULL = none): of
 * the forward whose backward it is. */
rc_status rc__rnn_prepare_back(const rc_rnn *rnn, rc__dir *d, uint64_t id, const rc_real *masked, rc_error *e);
/* Elements that weight drop masks of one dir: weight_hh, or the vectors of a scan cell; 0 when it has neither. */
size_t rc__dir_drop_len(const rc__dir *d);

/* One layer as one node of the tape (recurrence.c). h0 (D, B, P) and c0 (D, B, H) are offsets `first` rows into
 * variables, or NULL; with both NULL the start is init_h/init_c (D, B, .) plain arrays (NULL = zero). end_h/end_c
 * receive the final state (D, B, .) when not NULL; hn, cn likewise as variables. */
typedef struct rc__layer_io {
    const int32_t *lengths;
    rc_var *h0, *c0;
    size_t first;
    const rc_real *init_h, *init_c;
    rc_real *end_h, *end_c;
    rc_var **hn, **cn;
    /* weight drop (its id, 0 = none): of each direction the mask of weight_hh or of the vectors, and the product, or
     * NULL */
    uint64_t drop_id;
    const rc_real *drop_mask[2], *drop_masked[2];
} rc__layer_io;
/* How a layer's rows are shared out (recurrence.h). tile and tiles depend on the batch alone. rows: of a step, on average. */
typedef struct rc__plan {
    size_t tile, tiles;   /* rows of a tile, tiles of the batch */
    size_t group, groups; /* tiles of a group, groups of a direction */
    bool by_columns;      /* one group, its products cut by columns over a team of threads */
} rc__plan;
void rc__layer_plan(const rc_rnn *rnn, const rc__dir *d, size_t B, double rows, size_t threads, rc__plan *plan);
/* Operations of the recurrence of one direction over so many rows of all steps together, for rc__parallel. */
double rc__layer_work(const rc_rnn *rnn, const rc__dir *d, size_t rows);
rc_var *rc__rnn_layer(rc_tape *t, const rc_rnn *rnn, size_t layer, rc_var *x, rc__layer_io io);

/* Whether rc_rnn_step of so many rows is done by a team of threads. */
bool rc__rnn_step_shared(const rc_rnn *r, size_t batch, size_t threads);
#endif
