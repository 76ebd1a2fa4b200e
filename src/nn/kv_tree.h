/* kv_tree.h - a Transformer decoder step by step over hypotheses: each is a path in a tree whose nodes hold the keys
 * and values of one step. Hypotheses share the nodes of what they have in common, no key is ever moved, and nodes that
 * no hypothesis leads through are used again. */
#ifndef RC_KV_TREE_H
#define RC_KV_TREE_H
#include "nn/transformer.h"

typedef struct rc__kv_tree rc__kv_tree;

/* memory (sum of lengths, memory_size): the steps of each of n sentences one after the other; their keys and values are
 * made here, once. rows: hypotheses at most. */
rc_status rc__kv_tree_new(rc__kv_tree **out, const rc__transformer *m, size_t rows, size_t n, const rc_real *memory,
                          const int32_t *lengths, rc_error *e);
void rc__kv_tree_free(rc__kv_tree *x);
/* As rc__decoding_step, whose checks have been made: x (n, I) -> y (n, H). weights (n, stride) or NULL. */
rc_status rc__kv_tree_step(rc__kv_tree *x, size_t n, const uint32_t *sentence, const uint32_t *parent,
                           const rc_real *in, rc_real *y, rc_real *weights, size_t stride, rc_error *e);
#endif
