/* kernels.h - the table of arithmetic on plain arrays.
 *
 * kernels/isa.c is compiled once per instruction set with RC_ISA set to ref, plain, v2, v3 or v4; each build includes the
 * same *.inc sources and fills one rc__kernels. v4bf16 is v4 with other products of bf16.
 * `ref` is the definition: scalar loops and libm, no relaxed maths. The others
 * are the same equations over vecmath.h, which the compiler vectorises. rc__k points to the build picked at run time:
 * the best the CPU has, or RECUR_ISA = ref | plain | v2 | v3 | v4 | v4bf16.
 *
 * All kernels run on the calling thread; callers cut work into tiles. n is a count of elements; arrays may be unaligned
 * and of any length; outputs may alias an input only where said ("in place").
 */
#ifndef RC_KERNELS_H
#define RC_KERNELS_H
#include "kernels/attention.h"
#include "kernels/cell.h"
#include "recur/base.h"
#include "recur/tape.h" /* rc_act */

typedef struct rc__pointwise_kernels {
    void (*act[RC_ACT_COUNT])(size_t n, const rc_real *x, rc_real *y); /* in place */
    /* dx += dy * f'(x), with y = f(x) at hand; dx may not alias dy */
    void (*act_back[RC_ACT_COUNT])(size_t n, const rc_real *x, const rc_real *y, const rc_real *dy, rc_real *dx);
    void (*add)(size_t n, const rc_real *a, const rc_real *b, rc_real *y); /* in place */
    void (*mul)(size_t n, const rc_real *a, const rc_real *b, rc_real *y); /* in place */
    void (*axpy)(size_t n, rc_real a, const rc_real *x, rc_real *y);       /* y += a x */
    void (*mul_add)(size_t n, const rc_real *a, const rc_real *b, rc_real *y); /* y += a b */
    void (*scale)(size_t n, rc_real a, rc_real shift, const rc_real *x, rc_real *y); /* y = a x + shift; in place */
    void (*swiglu)(size_t n, const rc_real *a, const rc_real *b, rc_real *y); /* y = silu(a) b */
    void (*swiglu_back)(size_t n, const rc_real *a, const rc_real *b, const rc_real *dy, rc_real *da, rc_real *db); /* += */
    double (*sum)(size_t n, const rc_real *x);    /* added up in double, fixed order */
    double (*sum_sq)(size_t n, const rc_real *x);
    double (*dot)(size_t n, const rc_real *a, const rc_real *b);
    rc_real (*max)(size_t n, const rc_real *x);   /* NaN if any is NaN; n >= 1 */
    bool (*finite)(size_t n, const rc_real *x);   /* no NaN, no infinity */
    /* mask[i] = 0 or 1/(1-p): number first+i of the stream, kept when draw >= p */
    void (*dropout_mask)(size_t n, rc_rng stream, uint64_t first, double p, rc_real *mask);
} rc__pointwise_kernels;

typedef struct rc__row_kernels { /* rows of a matrix, contiguous, `cols` wide; one call a block of rows */
    void (*softmax)(size_t rows, size_t cols, const rc_real *x, rc_real *y);     /* in place */
    void (*log_softmax)(size_t rows, size_t cols, const rc_real *x, rc_real *y); /* in place */
    void (*softmax_back)(size_t rows, size_t cols, const rc_real *y, const rc_real *dy, rc_real *dx);     /* += */
    void (*log_softmax_back)(size_t rows, size_t cols, const rc_real *y, const rc_real *dy, rc_real *dx); /* += */
    /* log-sum-exp of each row */
    void (*logsumexp)(size_t rows, size_t cols, const rc_real *x, rc_real *lse);
    /* one row: y = scale softmax(x), in place, unless y is NULL; returns the log-sum-exp */
    double (*softmax_lse)(size_t cols, const rc_real *x, rc_real scale, rc_real *y);
    /* y = (x - mean) * rstd * gain + bias; gain, bias may be NULL; mean and rstd (rows) are kept for backward */
    void (*layer_norm)(size_t rows, size_t cols, const rc_real *x, const rc_real *gain, const rc_real *bias, double eps,
                       rc_real *y, rc_real *mean, rc_real *rstd);
    /* dx +=, dgain +=, dbias += (cols); each may be NULL */
    void (*layer_norm_back)(size_t rows, size_t cols, const rc_real *x, const rc_real *gain, const rc_real *mean,
                            const rc_real *rstd, const rc_real *dy, rc_real *dx, rc_real *dgain, rc_real *dbias);
    /* y = x * r * gain, r = 1 / sqrt(mean(x^2) + eps) is kept for backward; gain may be NULL */
    void (*rms_norm)(size_t rows, size_t cols, const rc_real *x, const rc_real *gain, double eps, rc_real *y, rc_real *r);
    /* dx +=, dgain += (cols); each may be NULL */
    void (*rms_norm_back)(size_t rows, size_t cols, const rc_real *x, const rc_real *gain, const rc_real *r,
                          const rc_real *dy, rc_real *dx, rc_real *dgain);
    /* Cosines and then sign times the sines of angles a + b, whose cosines and then sines are a and b, `half` of each */
    void (*turn)(size_t half, const double *a, const double *b, double sign, rc_real *turn);
    /* Each of `heads` pieces of D: the pair (j, j + D/2) turned; turn: D/2 cosines, then D/2 sines. =, in place, or
     * += */
    void (*rotate)(size_t heads, size_t D, const rc_real *x, const rc_real *turn, rc_real *y, bool add);
} rc__row_kernels;

/* One query of all heads over n keys: out = softmax(scale q k^T - slope age) v, a head at a time. Key j is row index[j] of k
 * (j where index is NULL), `ld` elements apart, and (newest - j) mod n steps old. No key: out = 0. */
typedef struct rc__attend_step {
    size_t n, heads, kv_heads, D, ld;
    const rc_real *q;     /* (heads * D) */
    const rc_real *k, *v; /* rows of kv_heads * D */
    const uint32_t *index;
    rc_real scale;
    const rc_real *slope; /* (heads), or NULL */
    size_t newest;
    rc_real *score;       /* room: heads * n */
    rc_real *weights;     /* (n) += the mean over heads, or NULL */
    rc_real *out;         /* (heads * D) */
} rc__attend_step;

/* In double: 1 - beta2 in float would be off by 1e-5; kernels round the coefficients they form once. */
typedef struct rc__optim_args {
    double lr, weight_decay, momentum, alpha, beta1, beta2, eps, bias1, bias2 /* 1 - beta^t */;
    double grad_scale; /* g' = clamp(g, -clip_value, clip_value) * grad_scale; 1 = as it is */
    double clip_value; /* 0 = off */
    bool nesterov, first /* SGD: buf is not initialised yet and becomes g' */;
} rc__optim_args;
typedef struct rc__optim_kernels { /* one fused pass over n elements of a parameter: clip, decay, moments, update */
    void (*sgd)(size_t n, const rc__optim_args *a, rc_real *w, const rc_real *g, rc_real *buf);
    void (*rmsprop)(size_t n, const rc__optim_args *a, rc_real *w, const rc_real *g, rc_real *sq, rc_real *buf);
    void (*adagrad)(size_t n, const rc__optim_args *a, rc_real *w, const rc_real *g, rc_real *sum);
    void (*adam)(size_t n, const rc__optim_args *a, rc_real *w, const rc_real *g, rc_real *m, rc_real *v);
    void (*adamw)(size_t n, const rc__optim_args *a, rc_real *w, const rc_real *g, rc_real *m, rc_real *v);
    void (*lerp)(size_t n, rc_real a, const rc_real *w, rc_real *avg); /* avg += a (w - avg) */
} rc__optim_kernels;

/* Products with a packed matrix (panel.inc says how it lies). */
typedef enum rc__panel_format { RC_PANEL_REAL, RC_PANEL_BF16, RC_PANEL_INT8 } rc__panel_format;
typedef struct rc__panel_rows { /* n rows of A and of C, one after the other */
    const rc_real *A;
    rc_real *C;
    size_t n;
} rc__panel_rows;
/* C = A B, C + A B (add), or bias + A B, for columns [first, last) of B (K, N). bf16: of A as bf16 would hold it. */
typedef struct rc__panel_product {
    rc__panel_format format;
    size_t K, N, first, last; /* first is a multiple of the panel's width; last is one too, or N */
    const void *B;
    const rc_real *scale;     /* int8: (N) */
    const rc_real *bias;      /* (N) or NULL; not together with add */
    bool add;
    size_t lda, ldc;
    const rc__panel_rows *rows;
    size_t segments;
} rc__panel_product;
typedef struct rc__outer_side { /* C (M, N) += A^T B */
    size_t N, ldb, ldc;
    const rc_real *B;         /* row k is B[(k + shift) * ldb], but for k in [from, to) other[(k - from) * ld_other]: */
    ptrdiff_t shift;          /* h(t-1) of a sequence is h a step further on, and the initial state */
    const rc_real *other;
    size_t ld_other, from, to;
    rc_real *C;
} rc__outer_side;
typedef struct rc__outer_product { /* over K rows of A (K, M), for one or two B: gradients of weights with the same dy */
    size_t M, K, lda;
    const rc_real *A;
    rc__outer_side side[2];
    size_t sides;
    rc__panel_format format; /* real, or bf16: of A and B as bf16 would hold them */
    rc_real *room; /* outer_room(M, N of all sides) elements */
} rc__outer_product;
typedef struct rc__panel_kernels {
    size_t width; /* columns of a panel */
    size_t (*bytes)(rc__panel_format format, size_t K, size_t N);
    /* columns [first, last) of B, element (k, n) at B[k * ldb + n], or B[n * ldb + k] when trans */
    void (*pack)(rc__panel_format format, size_t K, size_t N, const rc_real *B, size_t ldb, bool trans, size_t first,
                 size_t last, void *to, rc_real *scale);
    void (*product)(const rc__panel_product *p);
    size_t (*outer_room)(size_t M, size_t N);
    void (*outer)(const rc__outer_product *p);
    void (*bf16_round)(size_t n, const rc_real *x, rc_real *y); /* y = x as bf16 would hold it; in place */
    const char *bf16_instruction; /* that multiplies bf16; NULL: they are widened to float */
} rc__panel_kernels;
/* Loops that do nothing but keep the arithmetic units, or the load units, of one core busy (peak.inc). A round is a fixed
 * number of operations in registers; the value returned only keeps the compiler from leaving them out. */
typedef struct rc__peak_loop {
    double (*run)(size_t rounds); /* NULL: this build has no such instruction, or this CPU has not */
    double operations;            /* of a round: a multiplication and an addition are two */
    const char *instruction;
} rc__peak_loop;
#define RC_LOAD_BLOCK 512 /* bytes */
typedef struct rc__peak_kernels {
    rc__peak_loop fma, bf16, int8;
    uint64_t (*load)(size_t bytes, const void *p); /* reads all; p aligned to 64, bytes a multiple of RC_LOAD_BLOCK */
    bool (*has_bf16)(void), (*has_int8)(void);     /* whether this CPU has what the build has; NULL: the build has not */
} rc__peak_kernels;

typedef struct rc__kernels {
    const char *isa; /* "ref", "plain", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+bf16" */
    rc__pointwise_kernels pw;
    rc__row_kernels row;
    rc__optim_kernels opt;
    rc__cell_kernels cell[RC_CELL_COUNT];
    rc__zoneout_kernels zone;
    void (*attend_step)(const rc__attend_step *a);
    rc__panel_kernels panel;
    rc__attention_kernels attention;
    rc__peak_kernels peak;
} rc__kernels;

extern const rc__kernels *rc__k; /* never NULL; set before main by kernels/dispatch.c */
const rc__kernels *rc__kernels_by_name(const char *isa); /* NULL: not built in or not supported by this CPU */
/* The builds this CPU runs, ref first, best last; returns how many. */
size_t rc__kernels_available(const rc__kernels **out, size_t cap);
const char *rc__kernels_note(void); /* "", or why RECUR_ISA or the best build was not followed */
#endif
