/* utf8.h - decoding, checking and cutting UTF-8. */
#ifndef RC_UTF8_H
#define RC_UTF8_H
#include "recur/base.h"

#define RC_UTF8_REPLACEMENT 0xFFFDu

/* Reads one code point at s[0..len). Returns its length 1..4 and sets *cp, or 0 when the bytes are not (the whole of) a
 * well-formed sequence: truncated, overlong, a surrogate, beyond U+10FFFF (Unicode 15, table 3-7). */
size_t rc__utf8_decode(const char *s, size_t len, uint32_t *cp);
/* Writes cp (a scalar value) to out[0..4); returns the number of bytes. */
size_t rc__utf8_encode(uint32_t cp, char out[4]);
/* RC_EDATA names line, byte of the line and offset (all but the offset counted from 1) of the first bad sequence. */
rc_status rc__utf8_check(const char *text, size_t len, rc_error *e);
/* Offset of the first bad sequence, or len. */
size_t rc__utf8_valid_prefix(const char *text, size_t len);
/* Code points of valid UTF-8 (bytes that do not continue one). */
size_t rc__utf8_count(const char *text, size_t len);
/* For streaming: how many bytes at the front can be shown now. The rest (0..3 bytes) begins a code point whose other
 * bytes may still come; bytes that can never become one count as shown. */
size_t rc__utf8_whole(const char *s, size_t len);
#endif
