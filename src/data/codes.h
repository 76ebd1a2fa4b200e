/* codes.h - text as code points, with the classes and the lower case that rules about text are written in. */
#ifndef RC_CODES_H
#define RC_CODES_H
#include "data/source.h"
#include "data/vocab_internal.h"

/* Grows; begin with {0}. */
typedef struct rc__codes {
    uint32_t *c;
    size_t n, cap;
} rc__codes;
void rc__codes_free(rc__codes *t);
rc_status rc__codes_put(rc__codes *t, uint32_t c, rc_error *e);
/* text in place of what t had; a byte that is no UTF-8 becomes U+FFFD. */
rc_status rc__codes_read(rc__codes *t, rc__cell text, rc_error *e);
rc_status rc__codes_write(rc__string *out, const uint32_t *c, size_t n, rc_error *e); /* appends */
/* Lower case in place, by Unicode's full mapping without regard to language (as Python's str.lower): capital sigma at the end
 * of a word is final, I with a dot becomes two. */
rc_status rc__codes_lower(rc__codes *t, rc_error *e);

/* A text on its way through rules, which go back and forth between two buffers. */
typedef struct rc__rewrite {
    rc__codes now, next;
} rc__rewrite;
void rc__rewrite_free(rc__rewrite *t);
void rc__rewrite_swap(rc__rewrite *t);
/* Where `first` and `second` match two neighbours, a space comes between them, and where marked; both are used up, as in
 * s/(a)(b)/ $1 $2/g. */
typedef struct rc__space_rule {
    bool (*first)(uint32_t);
    bool (*second)(uint32_t); /* NULL: a rule about single characters */
    bool before, after;
} rc__space_rule;
rc_status rc__rewrite_spaces(rc__rewrite *t, const rc__space_rule *r, rc_error *e);

/* By general category (Unicode): N*, P*, S*, Z* and controls that are white space (Python's str.isspace). */
bool rc__code_is_number(uint32_t c);
bool rc__code_is_punctuation(uint32_t c);
bool rc__code_is_symbol(uint32_t c);
bool rc__code_is_currency(uint32_t c);
bool rc__code_is_space(uint32_t c);
bool rc__code_is_alpha(uint32_t c); /* Perl's \p{IsAlpha}: letters, letter numbers and Other_Alphabetic: marks of vowels */
bool rc__code_is_alnum(uint32_t c); /* ... and decimal digits */
bool rc__code_is_lower(uint32_t c); /* Ll and Other_Lowercase */
#endif
