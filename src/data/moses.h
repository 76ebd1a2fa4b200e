/* moses.h - cutting text into words and marks as the scripts of the Moses toolkit do (normalize-punctuation, tokenizer,
 * lowercase, detokenizer), for word and BPE vocabularies and for scores that are published on such text. */
#ifndef RC_MOSES_H
#define RC_MOSES_H
#include "data/source.h"
#include "data/vocab_internal.h"

typedef struct rc__moses_options {
    const char *language; /* "en", "de", ...: which abbreviations keep their full stop, how apostrophes are cut; others: none */
    bool normalize;       /* punctuation first */
    bool lowercase;
} rc__moses_options;
/* Appends to out the words of text with single spaces between them. No HTML escapes (-no-escape). */
rc_status rc__moses_tokenize(rc__string *out, rc__cell text, const rc__moses_options *o, rc_error *e);
/* Back to ordinary spacing. */
rc_status rc__moses_detokenize(rc__string *out, rc__cell text, const char *language, rc_error *e);
#endif
