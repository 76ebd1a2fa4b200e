/* cell.h - what a recurrent cell is: a table entry. The driver (nn/recurrence.c) owns time, products, lengths,
 * directions, zoneout, dropout; a cell owns its equations. A new cell is one file kernels/cell_NAME.inc and one line in
 * RC_CELL_LIST.
 *
 * Letters: B batch (rows of a tile), H hidden_size, P width of h (= H unless projected), G gates, I input_size.
 *
 * One time step of a cell:
 *   g  (B, G*H)  = x W^T + bias                                     by the driver, all steps at once
 *   for stage s = 0 .. stages-1:
 *     u_s (B, N_s) = a_s R_s^T                                      by the driver; a_0 = h(t-1), masked; a_s the cell's
 *       (stage flag ADD: u_s is added into columns [first, first + N_s) of g instead, and u is not used; where the input has
 *       no part in the last blocks of u_0, they are blocks of g of their own, behind the G of x)
 *     forward(stage s)                                              by the cell: activations, next a, finally h and c
 * A stage 0 without a product runs on g, and element-wise on h(t-1) or c(t-1). A scan cell has no other.
 *
 * Backward of a step, in reverse: backward(stage s) turns dh, dc (and da_{s+1} = the gradient of the operand of the
 * next stage) into du_s and dg; the driver then makes da_s = du_s R_s and so on; da_0 is added to dh(t-1). What forward
 * must keep: g (activated in place), a_s, and `save` (B, save_width). Cells never read their own h or c output in
 * backward except c_new (B, H), which is kept: with zoneout the outputs change after forward.
 */
#ifndef RC_CELL_H
#define RC_CELL_H
#include "recur/base.h"

#define RC_CELL_LIST(X)                                                                                        \
    X(rnn_tanh) X(rnn_relu) X(lstm) X(lstm_peephole) X(lstm_projection) X(lstm_layernorm) X(lstm_coupled) X(gru) \
    X(gru_v1) X(gru_d) X(mgu) X(rhn) X(indrnn) X(mingru) X(minlstm) X(sru)
enum {
#define X(name) RC_CELL_##name,
    RC_CELL_LIST(X)
#undef X
    RC_CELL_COUNT
};

#define RC_MAX_STAGES 8
#define RC_MAX_VECS 5

/* ---- what the driver must know of a cell; each cell_NAME.inc holds one under RC_CELL_INFO ------------------------ */
typedef enum rc__stage_kind {
    RC_STAGE_NONE,   /* no product: the driver leaves the state to the cell; stage 0 alone */
    RC_STAGE_ADD,    /* u_s is added into g, columns [first*H, (first+gates)*H)           */
    RC_STAGE_APART,  /* u_s (B, gates*H) is kept apart, its bias_hh added                 */
    RC_STAGE_PROJECT /* u_s (B, P) = a_s weight_hr^T, no bias; K is H                     */
} rc__stage_kind;

typedef struct rc__stage {
    rc__stage_kind kind;
    int first, gates;
    int aside; /* stage 0, ADD: so many further blocks of R; bias_hh + u_0 of them stands behind the G blocks of x in g */
} rc__stage;

typedef struct rc__vec { /* a vector parameter: blocks * H long */
    const char *name;    /* "weight_peephole"; the layer's suffix is appended */
    int blocks;
    rc_real init;        /* constant, or half-width of U(-init, init) when spread */
    bool spread;
} rc__vec;

typedef struct rc__cell_entry {
    const char *name, *text;
    int id;              /* RC_CELL_x */
    int gates;
    bool has_c, projects, sees_x;
    int stages;          /* rhn: the first of `depth` equal ones after stage[0] */
    rc__stage stage[3];
    int save;            /* kept values per unit and step beyond g, a_s and c_new ... */
    int save_per_stage;  /* ... and for each stage after the first */
    int save_scalars;    /* and so many numbers per row and step */
    rc__vec vec[RC_MAX_VECS];
    int candidate;       /* scan cells: block of g that recurrent dropout masks */
    int forget_gate;     /* block of the forget gate, -1 if none: its bias starts at forget_bias */
    int decay;           /* block of g that decays h, 0 if none: rc_rnn_options.decay_every is about it */
    bool own_bias;       /* the biases are among vec, not added by the driver */
    bool keep_g;         /* backward reads g after it wrote dg: they may not share memory */
} rc__cell_entry;
extern const rc__cell_entry rc__cells[RC_CELL_COUNT];

/* A scan cell: no stage has a product. */
static inline bool rc__cell_scans(const rc__cell_entry *c) { return c->stages == 1 && c->stage[0].kind == RC_STAGE_NONE; }

/* One tile of one step. Pointers with a row stride ld*; all others are (rows, width) contiguous. */
typedef struct rc__cell_step {
    size_t rows, H, P;
    int stage, stages;
    rc_real *g; size_t ldg;              /* (B, (G + aside)*H) pre-activations in, activations out */
    const rc_real *u;                    /* (B, N_s) recurrent product of this stage, when the stage keeps it apart */
    rc_real *a_next;                     /* (B, K_{s+1}) operand of the next stage, written */
    const rc_real *h_prev; size_t ldhp;  /* (B, P) */
    const rc_real *c_prev;               /* (B, H) */
    rc_real *h; size_t ldh;              /* (B, P) written by the last stage */
    rc_real *c;                          /* (B, H) c_new */
    rc_real *save;                       /* (B, (save + save_per_stage * (stages-1)) * H + save_scalars) */
    const rc_real *vec;                  /* the cell's vector parameters, one after the other */
    const rc_real *x; size_t ldx;        /* (B, I) the input, for cells that look at it (sru) */
} rc__cell_step;

typedef struct rc__cell_grad {
    rc__cell_step f;                     /* forward values, as kept */
    const rc_real *dh; size_t lddh;      /* (B, P) total gradient of h */
    const rc_real *da_next;              /* (B, K_{s+1}) */
    rc_real *dg; size_t lddg;            /* as g: gradient of g (pre-activations), set by the last backward call */
    rc_real *du;                         /* (B, N_s) gradient of u_s; aliases dg where the stage is ADD */
    rc_real *dh_prev;                    /* (B, P) +=, direct paths only */
    rc_real *dc;                         /* (B, H) in: gradient of c_new; out: gradient of c_prev */
    rc_real *dvec;                       /* += , private to the tile */
    rc_real *dx; size_t lddx;            /* (B, I) += (sru) */
    rc_real *scratch;                    /* (B, 4H) private; kept between the stages of one step */
} rc__cell_grad;

typedef struct rc__cell_kernels {
    void (*forward)(const rc__cell_step *s);  /* switches on s->stage */
    void (*backward)(const rc__cell_grad *d); /* switches on d->f.stage */
} rc__cell_kernels;

typedef struct rc__zoneout_kernels {
    /* y = m prev + (1-m) new; m from the mask (kept: 1 = keep the old) or the constant p when mask is NULL */
    void (*forward)(size_t n, const rc_real *mask, rc_real p, const rc_real *prev, const rc_real *fresh, rc_real *y);
    /* d_prev += m dy; d_new = (1-m) dy */
    void (*backward)(size_t n, const rc_real *mask, rc_real p, const rc_real *dy, rc_real *d_prev, rc_real *d_new);
} rc__zoneout_kernels;
#endif
