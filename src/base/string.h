/* string.h - text in one buffer that grows. Begin with {0}. */
#ifndef RC_STRING_H
#define RC_STRING_H
#include "recur/base.h"

typedef struct rc__string {
    char *s; /* not NUL-terminated; NULL while nothing was put */
    size_t len, cap;
    bool failed; /* of the rc__string_add family: memory ran out, what follows is dropped */
} rc__string;

rc_status rc__string_put(rc__string *b, const char *s, size_t len, rc_error *e);
/* Hands the text over in a block of len + 1 bytes, NUL-terminated; b is empty afterwards. */
rc_status rc__string_take(rc__string *b, char **out, size_t *len, rc_error *e);
void rc__string_free(rc__string *b);

/* Put without a status each: b->failed tells at the end. */
void rc__string_add(rc__string *b, const char *text);
void rc__string_add_bytes(rc__string *b, const char *s, size_t len);
void rc__string_addf(rc__string *b, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* A cell of a table whose columns have `between` between them. With ',' it is quoted when it has to be (RFC 4180); else
 * tabs and line ends in it become blanks. */
void rc__string_add_cell(rc__string *b, const char *s, size_t len, char between);
#endif
