/* option.c - values of options from text and back. Numbers look the same in every locale: '.' is the decimal point. */
#include "recur/option.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static locale_t c_locale; /* (locale_t)0 when out of memory: then the program's own */
static void c_locale_init(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static locale_t enter_c(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, c_locale_init);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}
static void leave_c(locale_t old) {
    if (old) uselocale(old);
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* ---- numbers ------------------------------------------------------------------------------------------------------ */

/* A plain decimal number at s (no hexadecimal, no nan or inf, no blanks before it); NULL when there is none, else where
 * it ends. */
static const char *scan_real(const char *s, double *out) {
    const char *p = s;
    if (*p == '+' || *p == '-') p++;
    if (!digit(*p) && !(*p == '.' && digit(p[1]))) return NULL;
    if (*p == '0' && (p[1] == 'x' || p[1] == 'X')) return NULL;
    char *end;
    locale_t old = enter_c();
    *out = strtod(s, &end);
    leave_c(old);
    return end;
}

static bool parse_real(const char *s, double *out) {
    const char *end = scan_real(s, out);
    return end && *end == 0 && isfinite(*out);
}

static int64_t suffix_scale(char c) {
    switch (c) {
    case 'k':
    case 'K': return 1000;
    case 'M': return 1000000;
    case 'G': return 1000000000;
    default: return 0;
    }
}

/* 64, -3, 10k, 2M, 1.5M: exact, so that no large number is rounded. */
static bool parse_int(const char *s, int64_t *out) {
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (!digit(*s)) return false;
    int64_t v = 0, fraction = 0, unit = 1;
    for (; digit(*s); s++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v)) return false;
    if (*s == '.') {
        if (!digit(s[1])) return false;
        for (s++; digit(*s); s++) {
            if (unit >= 1000000000) return false;
            fraction = fraction * 10 + (*s - '0');
            unit *= 10;
        }
    }
    int64_t scale = 1;
    if (*s) {
        scale = suffix_scale(*s++);
        if (scale == 0 || *s) return false;
    } else if (unit > 1) {
        return false; /* "2.0" is no whole number as it is written */
    }
    if (__builtin_mul_overflow(v, scale, &v)) return false;
    if (fraction * scale % unit != 0) return false; /* below 10^18: cannot overflow */
    if (__builtin_add_overflow(v, fraction * scale / unit, &v)) return false;
    *out = negative ? -v : v;
    return true;
}

/* 90, 1.5, 90s, 3m, 2h, 1h30m, 1d. Units in falling order, each once. */
static bool parse_time(const char *s, double *out) {
    static const char units[] = "dhms";
    static const double seconds[] = {86400, 3600, 60, 1};
    double total = 0;
    size_t next = 0;
    if (!*s) return false;
    while (*s) {
        double v;
        if (!digit(*s) && *s != '.') return false; /* no signs: time is never negative */
        const char *end = scan_real(s, &v);
        if (!end) return false;
        if (*end == 0) {
            if (next > 0) return false;
            total = v;
            break;
        }
        const char *u = strchr(units + next, *end);
        if (!u) return false;
        total += v * seconds[u - units];
        next = (size_t)(u - units) + 1;
        s = end + 1;
    }
    if (!isfinite(total)) return false;
    *out = total;
    return true;
}

/* ---- setting ------------------------------------------------------------------------------------------------------ */

/* A value as a message shows it: short, in quotes, without control characters. */
static const char *quoted(const char *value, char *out, size_t cap) {
    size_t n = 0;
    out[n++] = '"';
    for (const char *p = value; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (n + 8 >= cap && (c & 0xC0) != 0x80) { /* cut before a character, not inside one */
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (n + 5 >= cap) break;
        if (c < 32 || c == 127)
            n += (size_t)snprintf(out + n, cap - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    out[n++] = '"';
    out[n] = 0;
    return out;
}

static void number_text(double v, char *out, size_t cap) {
    locale_t old = enter_c();
    if (fabs(v) < 1e15 && v == floor(v))
        snprintf(out, cap, "%.0f", v);
    else
        for (int digits = 6; digits <= 17; digits++) { /* as few as name this very number */
            snprintf(out, cap, "%.*g", digits, v);
            if (strtod(out, NULL) == v) break;
        }
    leave_c(old);
}

static void time_text(double v, char *out, size_t cap) {
    static const struct {
        double seconds;
        char unit;
    } u[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 3;
    for (size_t k = 0; k < 4; k++)
        if (v > 0 && v == u[k].seconds * floor(v / u[k].seconds)) {
            i = k;
            break;
        }
    char number[40];
    number_text(v / u[i].seconds, number, sizeof number);
    snprintf(out, cap, "%s%c", number, u[i].unit);
}

/* " from 1 to 512", " of at least 1", "" */
static void range_text(const rc_option *o, char *out, size_t cap) {
    out[0] = 0;
    if (o->min == 0 && o->max == 0) return;
    char a[40], b[40];
    void (*text)(double, char *, size_t) = o->type == RC_OPT_TIME ? time_text : number_text;
    text(o->min, a, sizeof a);
    text(o->max, b, sizeof b);
    if (o->max >= 1e15 || isinf(o->max))
        snprintf(out, cap, " of at least %s", a);
    else
        snprintf(out, cap, " from %s to %s", a, b);
}

static bool in_range(const rc_option *o, double v) {
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static rc_status wrong(const rc_option *o, const char *what, const char *value, const char *where, rc_error *e) {
    char q[120], range[100];
    range_text(o, range, sizeof range);
    return rc_fail(e, RC_EINVAL, "%s: expected %s%s, found %s", where, what, range, quoted(value, q, sizeof q));
}

static bool word_in(const char *list, const char *word) {
    size_t n = strlen(word);
    if (n == 0 || strchr(word, ' ')) return false;
    for (const char *p = list; p && *p;) {
        while (*p == ' ') p++;
        size_t len = strcspn(p, " ");
        if (len == n && memcmp(p, word, n) == 0) return true;
        p += len;
    }
    return false;
}

static rc_status set_choice(const rc_option *o, const char **field, const char *value, const char *where, rc_error *e) {
    if (word_in(o->choices, value)) {
        *field = value;
        return RC_OK;
    }
    char list[512], q[120];
    size_t n = 0;
    for (const char *p = o->choices; p && *p;) {
        while (*p == ' ') p++;
        size_t len = strcspn(p, " ");
        if (n + len + 3 < sizeof list) n += (size_t)snprintf(list + n, sizeof list - n, n ? ", %.*s" : "%.*s", (int)len, p);
        p += len;
    }
    list[n] = 0;
    return rc_fail(e, RC_EINVAL, "%s: expected one of %s, found %s", where, list, quoted(value, q, sizeof q));
}

static rc_status check_path(const char *value, rc_option_type type, const char *where, rc_error *e) {
    if (!*value) return rc_fail(e, RC_EINVAL, "%s: expected the name of a file, found \"\"", where);
    if (type == RC_OPT_PATH_OUT || strcmp(value, "-") == 0) return RC_OK;
    struct stat st;
    if (stat(value, &st) != 0) return rc_fail(e, RC_EIO, "%s: %s: cannot be read: %s", where, value, strerror(errno));
    if (S_ISDIR(st.st_mode)) return rc_fail(e, RC_EIO, "%s: %s: expected a file, found a folder", where, value);
    if (access(value, R_OK) != 0) return rc_fail(e, RC_EIO, "%s: %s: cannot be read: %s", where, value, strerror(errno));
    return RC_OK;
}

rc_status rc_option_set(const rc_option *o, void *base, const char *value, const char *where, rc_error *e) {
    if (!where) where = o->name;
    if (!value) return rc_fail(e, RC_EINVAL, "%s: expected a value, found none", where);
    void *field = (char *)base + o->offset;
    int64_t whole;
    double real;
    rc_status s;
    switch (o->type) {
    case RC_OPT_BOOL:
        if (word_in("true yes on 1", value))
            *(bool *)field = true;
        else if (word_in("false no off 0", value))
            *(bool *)field = false;
        else
            return wrong(o, "true or false", value, where, e);
        return RC_OK;
    case RC_OPT_INT:
        if (!parse_int(value, &whole) || !in_range(o, (double)whole)) return wrong(o, "a whole number", value, where, e);
        *(int64_t *)field = whole;
        return RC_OK;
    case RC_OPT_REAL:
        if (!parse_real(value, &real) || !in_range(o, real)) return wrong(o, "a number", value, where, e);
        *(double *)field = real;
        return RC_OK;
    case RC_OPT_TIME:
        if (!parse_time(value, &real) || !in_range(o, real))
            return wrong(o, "a time such as 90s, 3m or 2h", value, where, e);
        *(double *)field = real;
        return RC_OK;
    case RC_OPT_PATH_IN:
    case RC_OPT_PATH_OUT:
        s = check_path(value, o->type, where, e);
        if (s != RC_OK) return s;
        *(const char **)field = value;
        return RC_OK;
    case RC_OPT_CHOICE: return set_choice(o, field, value, where, e);
    case RC_OPT_STRING: *(const char **)field = value; return RC_OK;
    }
    return rc_fail(e, RC_EINVAL, "%s: an option of unknown type %d", where, (int)o->type);
}

size_t rc_option_get(const rc_option *o, const void *base, char *out, size_t cap) {
    const void *field = (const char *)base + o->offset;
    char number[48];
    const char *text = number;
    switch (o->type) {
    case RC_OPT_BOOL: text = *(const bool *)field ? "true" : "false"; break;
    case RC_OPT_INT: snprintf(number, sizeof number, "%lld", (long long)*(const int64_t *)field); break;
    case RC_OPT_REAL: number_text(*(const double *)field, number, sizeof number); break;
    case RC_OPT_TIME: time_text(*(const double *)field, number, sizeof number); break;
    default: text = *(const char *const *)field ? *(const char *const *)field : "";
    }
    int n = snprintf(out, cap, "%s", text);
    return n > 0 ? (size_t)n : 0;
}

/* ---- names -------------------------------------------------------------------------------------------------------- */

const rc_option *rc_option_find(const rc_option *table, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

#define NAME_LIMIT 63

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string alignment), three rows
 * at a time. */
static size_t distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_LIMIT || m > NAME_LIMIT) return SIZE_MAX;
    size_t row[3][NAME_LIMIT + 1];
    for (size_t j = 0; j <= m; j++) row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *rc_option_suggest(const rc_option *table, size_t n, const char *name) {
    const char *best = NULL;
    size_t least = 4, len = strlen(name);
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(name, table[i].name);
        /* Three changes make anything of a short name: some letters must remain. */
        if (d < least && d < (len > 2 ? len - 1 : 2)) {
            least = d;
            best = table[i].name;
        }
    }
    return best;
}
