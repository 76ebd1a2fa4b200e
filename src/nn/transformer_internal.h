/* transformer_internal.h - the parts of blocks of attention. Letters as in transformer.h; D: width of a head. */
#ifndef RC_TRANSFORMER_INTERNAL_H
#define RC_TRANSFORMER_INTERNAL_H
#include <pthread.h>
#include "nn/rnn_internal.h"
#include "nn/transformer.h"

#define RC__TF_EPS    1e-5    /* of norms */
#define RC__TF_ROTARY 10000.0 /* base of rotary and sinusoidal positions */
/* Keys in a state are turned as if the steps had been counted from the last multiple of this: angles stay small, so
 * that they are exact for ever; when the count passes one, the keys that are kept are turned back by as much. */
#define RC__TF_ERA    4096

typedef struct rc__tf_norm {
    rc_param *w, *b; /* b: NULL with RMSNorm or without biases */
} rc__tf_norm;

typedef struct rc__tf_attention {
    rc_param *in_w, *in_b;     /* (H + 2 KV, H): q, k, v */
    rc_param *q_w, *k_w, *v_w; /* instead of in_w, for a memory of another width */
    rc_param *out_w, *out_b;
    rc__packed in, out; /* for steps. in: of all three; with a memory of q alone */
    rc__packed k, v;    /* with a memory */
} rc__tf_attention;

typedef struct rc__tf_block {
    rc__tf_attention self, cross;
    rc_param *w1, *b1, *w2, *b2;
    rc__tf_norm norm[3]; /* self, cross where there is a memory, feed-forward */
    rc__packed ffn1, ffn2;
} rc__tf_block;

struct rc__transformer {
    rc_rnn_options opt;                        /* completed */
    size_t memory_size, I, H, KV, D, L, F, F1; /* F1: rows of linear1, 2F with swiglu */
    rc_param *in_w, *in_b, *positions;
    rc__tf_norm norm; /* after the last block */
    rc__tf_block *blocks;
    rc__packed in;
    rc_params *ps;
    pthread_mutex_t lock; /* over the making of packed copies */
    uint64_t version;     /* of the parameters that they were made of; 0 = none */
    size_t norms;         /* of a block: 2, or 3 with a memory */
    double *speed;        /* angle per step of each pair of columns: of a head (rotary), of all (sinusoidal) */
    size_t speeds;
};

/* One row and block of a state. */
static inline uint64_t rc__tf_seen(const rc_real *h) {
    double low = (double)h[0], high = (double)h[1]; /* what a file says is not to be trusted */
    if (!(low >= 0 && low < 1048576)) low = 0;
    if (!(high >= 0 && high < 16777216)) high = 0;
    return (uint64_t)high << 20 | (uint64_t)low;
}
static inline void rc__tf_set_seen(rc_real *h, uint64_t n) {
    h[0] = (rc_real)(n & 1048575);
    h[1] = (rc_real)(n >> 20 & 16777215);
}
static inline rc_real *rc__tf_row(const rc__transformer *m, const rc_state *s, size_t layer, size_t row) {
    return s->h + (layer * s->batch + row) * rc__transformer_state_width(m);
}
/* Turns n rows of keys, KV wide, by so many positions. */
void rc__tf_turn(const rc__transformer *m, size_t n, rc_real *k, int64_t positions);
/* Where step `from` + n begins another era than `from`: the keys kept of a row are turned back. */
void rc__tf_rebase(const rc__transformer *m, rc_real *row, uint64_t from, uint64_t to);
/* The vector of a sinusoidal position (Vaswani et al. 2017, section 3.5): (H). */
void rc__tf_sinusoid(const rc__transformer *m, uint64_t position, rc_real *to);
void rc__tf_packed_free(rc__transformer *m);
#endif
