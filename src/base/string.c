/* string.c - text in one buffer that grows. */
#include "base/string.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

rc_status rc__string_put(rc__string *b, const char *s, size_t len, rc_error *e) {
    size_t need;
    if (!rc__size_add(b->len, len, &need)) return rc_fail(e, RC_ENOMEM, "out of memory");
    rc_status st = need > b->cap ? rc__grow((void **)&b->s, &b->cap, need, 1, e) : RC_OK;
    if (st != RC_OK) return st;
    if (len) memcpy(b->s + b->len, s, len); /* NOLINT(*NonNullParamChecker): a cap above 0 has a block */
    b->len = need;
    return RC_OK;
}

rc_status rc__string_take(rc__string *b, char **out, size_t *len, rc_error *e) {
    char *s = rc__realloc(b->s, b->cap, b->len + 1);
    if (!s) {
        rc__string_free(b);
        return rc_fail(e, RC_ENOMEM, "out of memory (%zu bytes of text)", b->len);
    }
    s[b->len] = 0;
    *out = s;
    *len = b->len;
    memset(b, 0, sizeof *b);
    return RC_OK;
}

void rc__string_free(rc__string *b) {
    rc__free(b->s, b->cap);
    memset(b, 0, sizeof *b);
}

void rc__string_add_bytes(rc__string *b, const char *s, size_t len) {
    if (!b->failed && rc__string_put(b, s, len, NULL) != RC_OK) b->failed = true;
}

void rc__string_add(rc__string *b, const char *text) { rc__string_add_bytes(b, text, strlen(text)); }

void rc__string_addf(rc__string *b, const char *format, ...) {
    char some[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(some, sizeof some, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof some) {
        rc__string_add_bytes(b, some, (size_t)n);
    } else if (n >= 0) {
        char *more = rc__alloc((size_t)n + 1);
        if (more && vsnprintf(more, (size_t)n + 1, format, again) == n)
            rc__string_add_bytes(b, more, (size_t)n);
        else
            b->failed = true;
        rc__free(more, (size_t)n + 1);
    } else {
        b->failed = true;
    }
    va_end(again);
}

void rc__string_add_cell(rc__string *b, const char *s, size_t len, char between) {
    bool csv = between == ',', quote = false;
    for (size_t i = 0; i < len && csv; i++) quote = quote || s[i] == ',' || s[i] == '"' || s[i] == '\n' || s[i] == '\r';
    if (quote) rc__string_add(b, "\"");
    for (size_t i = 0, from = 0; i <= len; i++) {
        const char *instead = i == len                              ? ""
                              : quote && s[i] == '"'                ? "\"\""
                              : !csv && strchr("\t\n\r", s[i]) && s[i] ? " "
                                                                    : NULL;
        if (!instead) continue;
        rc__string_add_bytes(b, s + from, i - from);
        rc__string_add(b, instead);
        from = i + 1;
    }
    if (quote) rc__string_add(b, "\"");
}
