/* vectors.h - word vectors in text: a word and its numbers in each line, with spaces between, as word2vec (-binary 0),
 * fastText (.vec) and GloVe write them. The first two begin with a line "how-many dimension", which is checked. */
#ifndef RC_VECTORS_H
#define RC_VECTORS_H
#include "recur/base.h"

/* The row of a word, or -1 when it is not wanted. */
typedef int64_t (*rc__vectors_lookup)(void *ctx, const char *word, size_t len);

typedef struct rc__vectors_report {
    size_t vectors;  /* in the file */
    size_t hits;     /* rows that got one */
    size_t twice;    /* words that came again: the first vector counts */
    size_t not_utf8; /* words that are no UTF-8, as some files have: no vocabulary has them either */
} rc__vectors_report;

/* Fills rows (n_rows, dim) of the words that `lookup` knows; others stay as they are. found (n_rows, may be NULL) is
 * set to whether a row got its vector. Reads line by line in constant memory; gzip and "-" too. Every line must have
 * dim numbers behind its word (which may have spaces, as in GloVe 840B); numbers themselves are read of the words that
 * are wanted. RC_EDATA with file and line: another dimension, binary word2vec, fewer or more vectors than the first
 * line says, a number that is none or not finite in a float. Rows that were filled before an error stay filled. */
rc_status rc__vectors_fill(const char *path, rc__vectors_lookup lookup, void *ctx, size_t n_rows, size_t dim,
                           rc_real *rows, bool *found, rc__vectors_report *report, rc_error *e);
/* The dimension of a file's vectors, from its first line or two: to make an embedding of that size. */
rc_status rc__vectors_dim(const char *path, size_t *dim, rc_error *e);
#endif
