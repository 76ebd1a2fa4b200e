/* words.h - vectors of words: a row of a table and, beside it, what a small network makes of the word's characters, and
 * rows of a table of its beginnings, endings and shape.
 * A batch names its words twice: by their ids, and by their place among the different words of the batch, so that the
 * characters of a word that comes ten times are read once.
 *
 *   chars = cnn   convolution, relu and the maximum over the characters (Ma & Hovy 2016, section 2.1)
 *   chars = a cell   the final states of a bidirectional layer (Lample et al. 2016, section 4.1)
 *   affixes   RC__AFFIXES strings of each word, hashed into the rows of one table, side by side (the features of Collobert
 *             et al. 2011, "Natural language processing (almost) from scratch", section 6: suffixes, capitals)
 */
#ifndef RC_WORDS_H
#define RC_WORDS_H
#include "recur/rnn.h"

#define RC__AFFIXES 8

typedef struct rc__words_options {
    size_t vocab_size, embedding_size; /* 0 entries: characters alone */
    const char *chars;                 /* NULL or "none", "cnn", or a cell */
    size_t n_chars, char_embedding, char_hidden;
    double char_dropout; /* on what is made of a word's form: characters and affixes */
    size_t affix_buckets, affix_embedding; /* rows of the table, 0 = no affixes; width of each */
    double deviation;    /* of the table's initial values; 0 = 1 / sqrt(embedding_size) */
} rc__words_options;

typedef struct rc__words rc__words;

/* One batch: T steps of B rows. Borrowed until the next rc_tape_begin. */
typedef struct rc__words_batch {
    size_t seq_len, batch;
    const int32_t *ids; /* (T, B); beyond a row's length anything in range */
    /* only with chars or affixes: */
    const int32_t *form; /* (T, B): which of the n_forms */
    size_t n_forms, longest_form;
    const int32_t *affixes;      /* (n_forms, RC__AFFIXES) */
    const int32_t *chars;        /* (longest_form, n_forms), time first */
    const int32_t *form_lengths; /* (n_forms) */
} rc__words_batch;

/* Names its parameters <prefix>embedding.weight, <prefix>chars.embedding.weight, <prefix>chars.conv0.weight ... */
rc_status rc__words_new(rc__words **out, rc_params *ps, const char *prefix, const rc__words_options *o, rc_error *e);
void rc__words_free(rc__words *w);
size_t rc__words_width(const rc__words *w);
rc_param *rc__words_table(const rc__words *w); /* NULL without */
/* -> (T, B, width) */
rc_var *rc__words_forward(rc_tape *t, const rc__words *w, const rc__words_batch *b);
#endif
