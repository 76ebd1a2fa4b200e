/* text_set.h - texts as ids of tokens, and batches of them as nn/words.h takes them. */
#ifndef RC_TEXT_SET_H
#define RC_TEXT_SET_H
#include "data/lexicon.h"
#include "nn/words.h"

#define RC__MAX_FORM 48 /* characters of a word that are read; the first ones */

typedef struct rc__text_set {
    const rc__lexicon *lexicon; /* borrowed */
    size_t n;                   /* texts */
    size_t *start;              /* n + 1: of each text's tokens */
    int32_t *id, *form;         /* form: only when the lexicon has characters or affixes; an index into forms */
    size_t n_tokens, unknown;
    rc__strtab forms;           /* different words as they were written */
    size_t *form_start;         /* their characters: forms.count + 1 */
    int32_t *form_char, *form_affix; /* form_affix: (forms, RC__AFFIXES) */
    size_t cap_start, cap_id, cap_form, cap_form_start, cap_form_char, n_form_char, cap_form_affix;
    rc__string scratch;
    rc__ids ids;
} rc__text_set;

void rc__text_set_init(rc__text_set *t, const rc__lexicon *lexicon);
void rc__text_set_free(rc__text_set *t);
void rc__text_set_clear(rc__text_set *t); /* no texts; memory is kept */
/* Cuts a text and adds it; at most max_len tokens (0 = all). A text may be empty. */
rc_status rc__text_set_add(rc__text_set *t, const char *text, size_t len, size_t max_len, rc_error *e);
/* Adds a text of words that were cut before: begin, words, end. */
rc_status rc__text_set_word(rc__text_set *t, const char *word, size_t len, rc_error *e);
rc_status rc__text_set_end(rc__text_set *t, rc_error *e);
static inline size_t rc__text_set_len(const rc__text_set *t, size_t i) { return t->start[i + 1] - t->start[i]; }

/* Buffers of a batch; begin with {0}. */
typedef struct rc__text_batch {
    rc__words_batch words; /* views into the following */
    int32_t *lengths;      /* (batch) */
    int32_t *ids, *form, *chars, *form_lengths, *affixes, *local; /* local: a form of the set -> its place here + 1 */
    size_t cap_lengths, cap_ids, cap_form, cap_chars, cap_form_lengths, cap_affixes, cap_local;
    uint32_t *used;
    size_t cap_used;
} rc__text_batch;
void rc__text_batch_free(rc__text_batch *b);
/* Texts index[0..n) side by side. drop: the share of tokens that become the unknown one, drawn from rng (NULL: none). */
rc_status rc__text_batch_make(rc__text_batch *b, const rc__text_set *t, const uint32_t *index, size_t n, double drop,
                              rc_rng *rng, rc_error *e);
#endif
