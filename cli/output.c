/* output.c - memory, checked standard output, numbers and words as people read them, tables, files checked early. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- memory --------------------------------------------------------------------------------------------------------- */

void *cli_alloc(size_t size) {
    bool too_large = size >= (size_t)64 << 20 && size > rc_memory_room(); /* calloc would lend it */
    void *p = too_large ? NULL : calloc(1, size ? size : 1);
    if (!p) {
        fprintf(stderr, "recur: out of memory: %zu bytes\n", size);
        exit(CLI_IO);
    }
    return p;
}

/* Capacity is the power of two above count (at least 8), so it need not be stored. */
void *cli_grow(void *p, size_t count, size_t size) {
    if (count != 0 && (count < 8 || (count & (count - 1)) != 0)) return p;
    size_t cap = count < 8 ? 8 : 2 * count;
    void *q = cap > SIZE_MAX / size ? NULL : realloc(p, cap * size);
    if (!q) {
        fprintf(stderr, "recur: out of memory: %zu elements of %zu bytes\n", cap, size);
        exit(CLI_IO);
    }
    return q;
}

/* ---- standard output -------------------------------------------------------------------------------------------------- */

static bool gone;       /* a write failed */
static int gone_reason; /* its errno */

bool cli_stdout_gone(void) {
    if (!gone && ferror(stdout)) {
        gone = true;
        gone_reason = errno;
    }
    return gone;
}

int cli_finish(int code) {
    errno = 0;
    bool failed = fflush(stdout) != 0;
    int reason = errno;
    if (ferror(stdout) && !failed) { /* an earlier write failed: its errno may be known, else ask the file once more */
        failed = true;
        reason = gone ? gone_reason : EIO;
    }
    errno = 0;
    if (fclose(stdout) != 0 && !failed) {
        failed = true;
        reason = errno;
    }
    if (!failed || reason == EPIPE || gone_reason == EPIPE) return code;
    fprintf(stderr, "recur: standard output: %s\n", strerror(reason));
    return code == CLI_DONE ? CLI_IO : code;
}

/* ---- numbers and words -------------------------------------------------------------------------------------------------- */

const char *cli_count_text(char *buf, size_t cap, double n) {
    if (n < 999.5)
        snprintf(buf, cap, "%.0f", n);
    else if (n < 999.5e3)
        snprintf(buf, cap, n < 99.95e3 ? "%.1fk" : "%.0fk", n / 1e3);
    else if (n < 999.5e6)
        snprintf(buf, cap, n < 9.995e6 ? "%.2fM" : "%.1fM", n / 1e6);
    else
        snprintf(buf, cap, "%.2fG", n / 1e9);
    return buf;
}

const char *cli_time_text(char *buf, size_t cap, double seconds) {
    if (!isfinite(seconds))
        snprintf(buf, cap, "?");
    else if (seconds < 9.95)
        snprintf(buf, cap, "%.1fs", seconds < 0 ? 0 : seconds);
    else if (seconds < 59.5)
        snprintf(buf, cap, "%.0fs", seconds);
    else if (seconds < 3599.5)
        snprintf(buf, cap, "%ldm%02lds", lround(seconds) / 60, lround(seconds) % 60);
    else
        snprintf(buf, cap, "%ldh%02ldm", lround(seconds / 60) / 60, lround(seconds / 60) % 60);
    return buf;
}

const char *cli_bytes_text(char *buf, size_t cap, double bytes) {
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;
    while (u + 1 < sizeof unit / sizeof *unit && bytes >= 1000) {
        bytes /= 1024;
        u++;
    }
    snprintf(buf, cap, u && bytes < 99.5 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
    return buf;
}

char *cli_shell_quote(const char *word) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%^";
    size_t len = strlen(word), quotes = 0;
    for (size_t i = 0; i < len; i++) quotes += word[i] == '\'';
    char *out = cli_alloc(len + 3 * quotes + 3), *p = out;
    if (len && strspn(word, safe) == len) return memcpy(out, word, len + 1);
    *p++ = '\'';
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '\'') {
            memcpy(p, "'\\''", 4);
            p += 4;
        } else {
            *p++ = word[i];
        }
    }
    *p++ = '\'';
    *p = 0;
    return out;
}

/* Length of the valid UTF-8 sequence at s, 0 when there is none (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_len(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) return 1;
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

char *cli_clean_text(const char *text, size_t len) {
    char *out = cli_alloc(3 * len + 1), *p = out;
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < len;) {
        size_t k = utf8_len(s + i, len - i);
        bool control = (s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') || s[i] == 0x7F ||
                       (k == 2 && s[i] == 0xC2 && s[i + 1] < 0xA0);
        if (k == 0 || control) {
            memcpy(p, "\xEF\xBF\xBD", 3);
            p += 3;
            i += k ? k : 1;
        } else {
            memcpy(p, s + i, k);
            p += k;
            i += k;
        }
    }
    *p = 0;
    return out;
}

/* ---- files ---------------------------------------------------------------------------------------------------------------- */

rc_status cli_check_input(const char *where, const char *path, rc_error *e) {
    struct stat st;
    if (strcmp(path, "-") == 0) return RC_OK;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        return rc_fail(e, RC_EIO, "%s: %s: %s", where, path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return rc_fail(e, RC_EIO, "%s: %s: is a directory, expected a file", where, path);
    return RC_OK;
}

rc_status cli_check_output(const char *where, const char *path, const char *const *inputs, size_t n_inputs,
                           rc_error *e) {
    struct stat st, in;
    if (!*path) return rc_fail(e, RC_EINVAL, "%s: expected the name of a file, found \"\"", where);
    char *dir = cli_alloc(strlen(path) + 2);
    strcpy(dir, path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        strcpy(dir, ".");
    else
        slash[slash == dir] = 0;
    rc_status s = RC_OK;
    if (stat(dir, &st) != 0)
        s = rc_fail(e, RC_EIO, "%s: %.200s: cannot be written: directory %.200s: %s", where, path, dir,
                    strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        s = rc_fail(e, RC_EIO, "%s: %s: cannot be written: %s is not a directory", where, path, dir);
    else if (access(dir, W_OK | X_OK) != 0) /* outputs are made beside their place and renamed */
        s = rc_fail(e, RC_EIO, "%s: %s: cannot be written: directory %s: %s", where, path, dir, strerror(errno));
    else if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            s = rc_fail(e, RC_EIO, "%s: %s: is a directory, expected a file to write", where, path);
        for (size_t i = 0; i < n_inputs && !s; i++)
            if (stat(inputs[i], &in) == 0 && in.st_dev == st.st_dev && in.st_ino == st.st_ino && S_ISREG(st.st_mode))
                s = rc_fail(e, RC_EINVAL, "%s: %s is also read; the output would overwrite it", where, path);
    } else if (errno != ENOENT) { /* a name that is too long, a link in a circle */
        s = rc_fail(e, RC_EIO, "%s: %.200s: cannot be written: %s", where, path, strerror(errno));
    }
    free(dir);
    return s;
}

rc_status cli_write_file(const char *path, const char *text, size_t len, rc_error *e) {
    struct stat st;
    char *real = realpath(path, NULL), *temporary = NULL; /* the file that a link names is replaced, the link stays */
    bool device = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    if (!device && asprintf(&temporary, "%s.tmp.%ld", real ? real : path, (long)getpid()) < 0) {
        free(real);
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    }
    errno = 0;
    int fd = open(device ? path : temporary, O_WRONLY | O_CLOEXEC | (device ? 0 : O_CREAT | O_EXCL), 0666);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f && fwrite(text, 1, len, f) == len && fflush(f) == 0 && (device || fsync(fileno(f)) == 0);
    int why = errno;
    if (f && fclose(f) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && !device && rename(temporary, real ? real : path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok && f && !device) unlink(temporary);
    free(temporary);
    free(real);
    return ok ? RC_OK : rc_fail(e, RC_EIO, "%s: cannot be written: %s", path, strerror(why ? why : EIO));
}

/* ---- tables --------------------------------------------------------------------------------------------------------------- */

cli_table cli_table_new(const char *align) { return (cli_table){.columns = strlen(align), .align = align}; }

void cli_table_add(cli_table *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *text = NULL;
    if (vasprintf(&text, format, ap) < 0) text = NULL;
    va_end(ap);
    for (char *p = text; p && *p; p++) /* cells quote files, and what a file says must not move the cursor */
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    t->cells = cli_grow(t->cells, t->n_cells, sizeof *t->cells);
    t->cells[t->n_cells++] = text ? text : cli_alloc(1);
}

static size_t text_width(const char *s) {
    size_t n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

void cli_table_print(const cli_table *t, FILE *f) {
    size_t *width = cli_alloc(t->columns * sizeof *width);
    for (size_t i = 0; i < t->n_cells; i++)
        if (text_width(t->cells[i]) > width[i % t->columns]) width[i % t->columns] = text_width(t->cells[i]);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t k = i % t->columns;
        int pad = (int)(width[k] - text_width(t->cells[i]));
        bool last = k + 1 == t->columns;
        if (t->align[k] == 'r')
            fprintf(f, "%*s%s", pad, "", t->cells[i]);
        else
            fprintf(f, "%s%*s", t->cells[i], last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", f);
    }
    free(width);
}

void cli_table_free(cli_table *t) {
    for (size_t i = 0; i < t->n_cells; i++) free(t->cells[i]);
    free(t->cells);
    *t = (cli_table){0};
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

json_t *cli_json_real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

void cli_print_json(json_t *o) {
    char *text = json_dumps(o, JSON_REAL_PRECISION(12));
    if (text) puts(text);
    free(text);
    json_decref(o);
}

double cli_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}
