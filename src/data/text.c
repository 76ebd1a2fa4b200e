/* text.c - reading whole text files. */
#include "recur/text.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/utf8.h"

rc_status rc_text_read(const char *path, char **data, size_t *len, rc_error *e) {
    *data = NULL;
    *len = 0;
    char *text;
    size_t n;
    rc_status s = rc__file_read(path, true, 0, &text, &n, e);
    if (s != RC_OK) return s;
    if (n == 0) {
        rc_text_free(text, n);
        if (strcmp(path, "-") == 0) return rc_fail(e, RC_EDATA, "standard input: nothing came, expected text");
        return rc_fail(e, RC_EDATA, "%s: the file is empty, expected text", path);
    }
    *data = text;
    *len = n;
    return RC_OK;
}

void rc_text_free(char *data, size_t len) {
    if (data) rc__free(data, len + 1);
}

rc_status rc_text_check_utf8(const char *path, const char *text, size_t len, rc_error *e) {
    rc_error why;
    rc_status s = rc__utf8_check(text, len, &why);
    if (s == RC_OK) return s;
    return rc_fail(e, s, "%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, why.text);
}
