/* status.c - statuses, their names, and messages. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "recur/base.h"
#undef rc_fail /* the analyser's view of it */

static const struct {
    const char *name;
    int exit_code;
    const char *text;
} list[] = {
#define X(name, exit_code, text) {"RC_" #name, exit_code, text},
    RC_STATUS_LIST(X)
#undef X
};
#define COUNT (sizeof list / sizeof *list)

/* Through size_t, so that a negative number is out of range too. */
const char *rc_status_name(rc_status s) { return (size_t)s < COUNT ? list[(size_t)s].name : "RC_?"; }
const char *rc_status_text(rc_status s) { return (size_t)s < COUNT ? list[(size_t)s].text : "unknown status"; }
int rc_status_exit_code(rc_status s) { return (size_t)s < COUNT ? list[(size_t)s].exit_code : 4; }

/* Messages quote files and reach terminals: what a stranger wrote must not move the cursor there. U+0080..U+009F, C2 80
 * to C2 9F in UTF-8, are control characters too. */
static void make_printable(char *s) {
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7F) *p = '?';
        if (*p == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F) p[0] = p[1] = '?';
    }
}

rc_status rc_fail(rc_error *e, rc_status code, const char *format, ...) {
    if (!e) return code;
    va_list args;
    /* The message may quote the old one: rc_fail(e, e->code, "%s: %s", path, e->text). Hence the second buffer. */
    char text[sizeof e->text];
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) {
        snprintf(text, sizeof text, "%s", rc_status_text(code));
    } else if ((size_t)n >= sizeof text) {
        size_t cut = sizeof text - 4;
        while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80) cut--; /* never half a UTF-8 character */
        memcpy(text + cut, "...", 4);
    }
    make_printable(text);
    memcpy(e->text, text, strlen(text) + 1);
    e->code = code;
    return code;
}
