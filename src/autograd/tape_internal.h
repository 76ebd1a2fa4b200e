/* tape_internal.h - what the author of an op needs. The pattern:
 *
 *   typedef struct scale_node { rc__node n; rc_var *x; rc_real a; } scale_node;
 *   static void scale_backward(rc_tape *t, rc__node *self) {
 *       scale_node *s = (scale_node *)self;
 *       rc_real *dx = rc__grad(t, s->x);              // NULL when nobody wants it
 *       if (dx) for (size_t i = 0; i < s->x->len; i++) dx[i] += s->a * self->out.dx[i];
 *   }
 *   rc_var *rc_scale(rc_tape *t, rc_var *x, ...) {
 *       if (!rc__alive(t, "scale", 1, x)) return rc__dead(t);
 *       scale_node *s = rc__node_new(t, sizeof *s, "scale", x->ndim, x->dim, x->needs_grad, scale_backward);
 *       if (!s) return rc__dead(t);
 *       ... fill s->n.out.x ...
 *       return &s->n.out;
 *   }
 * A backward is only called when out.dx is set (some gradient arrived) and needs_grad is true.
 */
#ifndef RC_TAPE_INTERNAL_H
#define RC_TAPE_INTERNAL_H
#include "base/mem.h"
#include "recur/tape.h"

typedef struct rc__node rc__node;
struct rc__node {
    rc_var out; /* first: a var of the tape is its node */
    rc__node *prev;
    void (*backward)(rc_tape *t, rc__node *self);
    const char *op;
    rc_param *param; /* of rc_param_var, else NULL */
    rc_precision precision; /* of products that have this as their weight: its rc_params', when it comes from one */
    bool owns_dx; /* its gradient's memory is the tape's and no other variable's */
    bool passing; /* rc__passing */
};

/* True when the tape has no error and none of the n variables is NULL or dead; else records what is wrong. */
bool rc__alive(rc_tape *t, const char *op, int n, ...);
rc_var *rc__dead(rc_tape *t); /* the dead variable; never NULL */
/* Records the first error ("op: message") and returns the dead variable. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
rc_var *
rc__op_fail(rc_tape *t, rc_status code, const char *op, const char *format, ...);

/* A node of `size` bytes (cleared) with an uninitialised output of the given shape; on the backward list when the tape
 * keeps gradients and needs_grad. NULL (tape marked) when out of memory. */
void *rc__node_new(rc_tape *t, size_t size, const char *op, int ndim, const size_t *dim, bool needs_grad,
                   void (*backward)(rc_tape *t, rc__node *self));
/* The same without memory for the value: the author sets out.x (a view of another variable's, borrowed memory ...). */
void *rc__node_view(rc_tape *t, size_t size, const char *op, int ndim, const size_t *dim, bool needs_grad,
                    void (*backward)(rc_tape *t, rc__node *self));
void *rc__tape_alloc(rc_tape *t, size_t bytes); /* lives until rc_tape_begin; NULL and tape marked when out of memory */
rc__arena *rc__tape_arena(rc_tape *t);          /* for scratch with marks */
bool rc__tape_keeps(const rc_tape *t, const rc_var *v); /* tape keeps gradients and v needs one */

/* The gradient of v to add into: allocated and zeroed on first use. NULL when v needs none (or memory is out). */
rc_real *rc__grad(rc_tape *t, rc_var *v);
/* The same for writers that can either set or add: when *add comes back false the memory is not initialised and every
 * element must be set. */
rc_real *rc__grad_to(rc_tape *t, rc_var *v, bool *add);
/* The same as rc__grad for writers that touch a few rows (embeddings): when v is a sparse parameter, the writer calls
 * rc_param_touch for each row. rc__grad and rc__grad_to note every row of a sparse parameter as used. */
rc_real *rc__grad_rows(rc_tape *t, rc_var *v);
/* Nobody looks at this variable's gradient after rc_backward: its memory serves others once its own backward has run. For
 * what is inside of something larger. Returns v. */
rc_var *rc__passing(rc_var *v);
/* In a backward, instead of copying out.dx of self to x: x, whose gradient nobody has touched yet, gets that memory. False:
 * x has some, or needs none, or is a parameter. The memory of out.dx may be shared by several so, when the backwards of all
 * but one (*keeps: that owns it) have read it before anything is added to it. */
bool rc__grad_hand_on(rc__node *self, rc_var *x, bool keeps);
/* The parameter behind a variable, or NULL. */
rc_param *rc__var_param(const rc_var *v);
/* The precision in which a product reads v as its weight, and op's way to hand it on to a view or to rows of v. */
static inline rc_precision rc__var_precision(const rc_var *v) { return ((const rc__node *)v)->precision; }
/* Random stream of this op: a function of (seed, step, number of random ops so far). Advances. */
rc_rng rc__tape_rng(rc_tape *t);
/* The earliest node of those that keep a gradient whose value holds a NaN or an infinity, or NULL: where a loss that is
 * not finite came from. */
const rc__node *rc__tape_first_bad(const rc_tape *t);
/* "(3, 4, 5)" into a static ring of buffers, for messages. */
const char *rc__shape_text(int ndim, const size_t *dim);
/* A packed copy of a parameter-like matrix, kept by the tape (autograd/packed.c) so that several products of a step
 * share it: w (N, K) row-major; trans false packs W^T (K x N) for y = x W^T, true packs W (N x K) for dx = dy W. In
 * the weight's precision (rc__var_precision); int8 is refused on a tape that keeps gradients. Valid
 * until the next rc_tape_begin. A parameter is packed anew when the version of its rc_params moved, anything else once
 * per rc_tape_begin; the memory is reused, so a steady loop allocates nothing. NULL (tape marked) when out of
 * memory. */
struct rc__packed;
const struct rc__packed *rc__tape_packed(rc_tape *t, const rc_var *w, bool trans);
/* rc__gemm_outer_mt with scratch of the tape. False (tape marked) when out of memory. */
struct rc__outer_side;
bool rc__tape_outer(rc_tape *t, rc_precision p, size_t M, size_t K, const rc_real *A, size_t lda,
                    const struct rc__outer_side *side, size_t sides, bool add);

/* ---- between tape.c and packed.c --------------------------------------------------------------------------------- */
typedef struct rc__packed_entry rc__packed_entry;
typedef struct rc__packed_cache {
    rc__packed_entry **entry;
    size_t n, cap;
    uint64_t run; /* number of rc_tape_begin calls */
} rc__packed_cache;
rc__packed_cache *rc__tape_packed_cache(rc_tape *t);
void rc__packed_cache_free(rc__packed_cache *c);
#endif
