/* utf8.c - the well-formed sequences of Unicode 15, table 3-7:
 *   00..7F | C2..DF 80..BF | E0 A0..BF 80..BF | E1..EC,EE,EF 80..BF x2 | ED 80..9F 80..BF
 *   F0 90..BF 80..BF x2 | F1..F3 80..BF x3 | F4 80..8F 80..BF x2 */
#include "data/utf8.h"

#include <string.h>

/* Length of the sequence a lead byte promises, 0 if it cannot lead. */
static size_t lead_length(unsigned char c) {
    if (c < 0x80) return 1;
    if (c >= 0xC2 && c <= 0xDF) return 2;
    if (c >= 0xE0 && c <= 0xEF) return 3;
    if (c >= 0xF0 && c <= 0xF4) return 4;
    return 0;
}

/* The second byte has a narrower range after E0, ED, F0 and F4: no overlong forms, no surrogates, nothing past
 * U+10FFFF. */
static bool second_ok(unsigned char lead, unsigned char c) {
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return c >= low && c <= high;
}

/* How many of the bytes at s agree with one well-formed sequence; *want is its full length (0: no lead byte). */
static size_t matching(const unsigned char *s, size_t len, size_t *want) {
    *want = len ? lead_length(s[0]) : 0;
    if (*want == 0) return 0;
    size_t have = 1;
    while (have < *want && have < len) {
        bool ok = have == 1 ? second_ok(s[0], s[1]) : (s[have] & 0xC0) == 0x80;
        if (!ok) break;
        have++;
    }
    return have;
}

size_t rc__utf8_decode(const char *s, size_t len, uint32_t *cp) {
    const unsigned char *u = (const unsigned char *)s;
    if (len > 0 && u[0] < 0x80) {
        *cp = u[0];
        return 1;
    }
    size_t want, have = matching(u, len, &want);
    if (want == 0 || have < want) return 0;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = u[0] & lead_mask[want];
    for (size_t i = 1; i < want; i++) value = value << 6 | (u[i] & 0x3Fu);
    *cp = value;
    return want;
}

size_t rc__utf8_encode(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t rc__utf8_valid_prefix(const char *text, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint64_t word; /* eight ASCII bytes at once: most text is */
        while (i + 8 <= len && (memcpy(&word, text + i, 8), (word & 0x8080808080808080u) == 0)) i += 8;
        if (i == len) break;
        uint32_t cp;
        size_t n = rc__utf8_decode(text + i, len - i, &cp);
        if (n == 0) break;
        i += n;
    }
    return i;
}

rc_status rc__utf8_check(const char *text, size_t len, rc_error *e) {
    size_t at = rc__utf8_valid_prefix(text, len);
    if (at == len) return RC_OK;
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    char bytes[4 * 3 + 1] = "";
    size_t shown = len - at < 4 ? len - at : 4;
    for (size_t i = 0; i < shown; i++) {
        static const char hex[] = "0123456789ABCDEF";
        unsigned char c = (unsigned char)text[at + i];
        bytes[3 * i] = ' ';
        bytes[3 * i + 1] = hex[c >> 4];
        bytes[3 * i + 2] = hex[c & 15];
        bytes[3 * i + 3] = 0;
    }
    return rc_fail(e, RC_EDATA,
                   "line %zu, byte %zu (offset %zu): not UTF-8:%s; convert the text, or use the byte vocabulary", line,
                   at - line_start + 1, at, bytes);
}

size_t rc__utf8_count(const char *text, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

size_t rc__utf8_whole(const char *s, size_t len) {
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const unsigned char *u = (const unsigned char *)s + (len - back);
        if ((*u & 0xC0) == 0x80) continue; /* a continuation: its lead is further back */
        size_t want, have = matching(u, back, &want);
        return want > back && have == back ? len - back : len;
    }
    return len;
}
