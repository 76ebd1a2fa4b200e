/* lexicon.h - what a model knows of words: how text is cut into tokens, their ids, and the characters of words.
 *
 * Ids of tokens are those of an rc_vocab. With buckets, ids beyond it stand for pairs of neighbours: entries + hash of the
 * pair modulo buckets (Joulin et al. 2017, "Bag of tricks for efficient text classification", section 2.2); the table of
 * such a model has entries + buckets rows. */
#ifndef RC_LEXICON_H
#define RC_LEXICON_H
#include "data/vocab_internal.h"
#include "nn/words.h"
#include "recur/text.h"
#include <jansson.h>

typedef enum rc__split {
    RC__SPLIT_WORDS,  /* runs of letters and digits, with apostrophes inside; ideographs and other marks one by one, equal
                         marks in a row together */
    RC__SPLIT_VOCAB,  /* as the vocabulary itself cuts text: characters, bytes, bpe, words at spaces */
    RC__SPLIT_GIVEN   /* the words come one by one (tagging) */
} rc__split;

typedef struct rc__lexicon {
    rc__split split;
    bool lowercase;   /* ids are of the word in lower case; characters are of the word as it is */
    rc_vocab *tokens; /* owned */
    rc_vocab *chars;  /* owned; kind char; NULL = none */
    size_t buckets;
    size_t affixes; /* rows that the beginnings, endings and shapes of words are hashed into (rc__affixes); 0 = none */
} rc__lexicon;

/* A growing list of texts with the number of times each comes, to train on. */
typedef struct rc__word_counts {
    rc__strtab words;
    uint32_t *count;
    size_t cap;
    rc__string chars; /* different words once, for the vocabulary of characters */
} rc__word_counts;
/* Cuts text by WORDS and counts; or counts one word. */
rc_status rc__word_counts_text(rc__word_counts *c, bool lowercase, const char *text, size_t len, rc_error *e);
rc_status rc__word_counts_word(rc__word_counts *c, bool lowercase, const char *word, size_t len, rc_error *e);
void rc__word_counts_free(rc__word_counts *c);
/* Words seen at least min_count times, at most max_words of them (0 = all), the most frequent first. */
rc_status rc__lexicon_of_counts(rc__lexicon *x, const rc__word_counts *c, size_t min_count, size_t max_words, bool chars,
                                rc_error *e);
void rc__lexicon_free(rc__lexicon *x); /* what it owns; all zero afterwards */
size_t rc__lexicon_rows(const rc__lexicon *x); /* of the table: entries and buckets */

/* Where the next token of text (by WORDS) begins and ends; false after the last. */
bool rc__next_word(const char *text, size_t len, size_t *at, size_t *from, size_t *to);
/* The word in lower case (Unicode's simple mapping) into b, which is emptied first. */
rc_status rc__lower(rc__string *b, const char *word, size_t len, rc_error *e);
/* The beginnings, endings and shape of a word as `buckets` rows: of the word in lower case its first 2 and 3 and its
 * last 1, 2, 3 and 4 characters (all of it, marked so, when it has no more); of the word as it is its shape, X for
 * capitals, x for small letters, d for digits, others themselves, and the same with runs as one. b is scratch. */
rc_status rc__affixes(size_t buckets, rc__string *b, const char *word, size_t len, int32_t id[RC__AFFIXES],
                      rc_error *e);
/* The id of a word as `split` says; unk when it is not known. b is scratch. */
rc_status rc__lexicon_id(const rc__lexicon *x, rc__string *b, const char *word, size_t len, int32_t *id, rc_error *e);

/* As a JSON object, both ways. RC_EMODEL names where. */
rc_status rc__lexicon_to_json(const rc__lexicon *x, json_t **out, rc_error *e);
rc_status rc__lexicon_from_json(rc__lexicon *x, const json_t *obj, const char *where, rc_error *e);
#endif
