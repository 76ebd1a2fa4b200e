/* source.c - see source.h. Outline: opening - bytes of a stream, plain and gzip - lines - pieces of text. */
#include "data/source.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/strtab.h"
#include "data/utf8.h"

enum { GZIP_IN = 1 << 14, GZIP_OUT = 1 << 16 };

typedef struct unpacker {
    z_stream z;
    unsigned char in[GZIP_IN];
    char out[GZIP_OUT];
    size_t at, len; /* in out */
    bool ended;     /* after a member: the file may end here */
} unpacker;

struct rc__source {
    char *name;
    /* whole */
    char *data;
    size_t len, at;
    bool owned;
    /* stream */
    FILE *f;
    char *buf;
    size_t buf_len, buf_cap, max_record;
    unpacker *gzip;
    int held; /* a byte that was read ahead, or -1 */
    bool begun, bytes;
    /* the record */
    char *record; /* NULL before the first and after the last */
    size_t record_len, line, lines;
    bool again;
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static rc_status source_new(rc__source **out, const char *name, rc_error *e) {
    *out = NULL;
    rc__source *s = rc__calloc(1, sizeof *s);
    if (s) s->name = rc__strdup(strcmp(name, "-") == 0 ? "standard input" : name);
    if (!s || !s->name) {
        rc__free(s, sizeof *s);
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
    }
    s->held = -1;
    *out = s;
    return RC_OK;
}

void rc__source_free(rc__source *s) {
    if (!s) return;
    if (s->owned) rc__free(s->data, s->len + 1);
    if (s->gzip) inflateEnd(&s->gzip->z);
    rc__free(s->gzip, sizeof *s->gzip);
    rc__free(s->buf, s->buf_cap);
    rc__strfree(s->name);
    rc__free(s, sizeof *s);
}

static rc_status refuse_utf16(const char *name, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: the file is UTF-16, expected UTF-8; convert it (iconv -f UTF-16 -t UTF-8)", name);
}
static bool is_utf16(const char *text, size_t len) {
    return len >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0);
}
static bool has_mark(const char *text, size_t len) { return len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0; }

static rc_status refuse_zero(const char *name, size_t line, size_t byte, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: line %zu, byte %zu: expected text, found a byte 0", name, line, byte);
}
static rc_status refuse_cr(const char *name, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: line 1: lines end with CR alone, expected LF or CR LF; convert the file", name);
}

static rc_status check_whole(const rc__source *s, rc_error *e) {
    if (is_utf16(s->data, s->len)) return refuse_utf16(s->name, e);
    rc_error why;
    rc_status status = rc__utf8_check(s->data, s->len, &why);
    if (status != RC_OK) return rc_fail(e, status, "%s: %s", s->name, why.text);
    const char *zero = memchr(s->data, 0, s->len);
    if (zero) {
        size_t line = 1;
        const char *start = s->data;
        for (const char *p; (p = memchr(start, '\n', (size_t)(zero - start))); line++) start = p + 1;
        return refuse_zero(s->name, line, (size_t)(zero - start) + 1, e);
    }
    const char *cr = memchr(s->data, '\r', s->len);
    if (cr && cr + 1 < s->data + s->len && !memchr(s->data, '\n', s->len)) return refuse_cr(s->name, e);
    return RC_OK;
}

rc_status rc__source_open(rc__source **out, const char *path, rc_error *e) {
    rc_status status = source_new(out, path, e);
    if (status != RC_OK) return status;
    rc__source *s = *out;
    status = rc__file_read(path, true, 0, &s->data, &s->len, e);
    if (status == RC_OK) {
        s->owned = true;
        status = check_whole(s, e);
    }
    if (status != RC_OK) {
        rc__source_free(s);
        *out = NULL;
        return status;
    }
    if (has_mark(s->data, s->len)) s->at = 3;
    return RC_OK;
}

rc_status rc__source_memory(rc__source **out, char *text, size_t len, const char *name, rc_error *e) {
    rc_status status = source_new(out, name, e);
    if (status != RC_OK) return status;
    (*out)->data = text;
    (*out)->len = len;
    (*out)->bytes = true;
    return RC_OK;
}

rc_status rc__source_stream(rc__source **out, FILE *f, const char *name, size_t max_record, rc_error *e) {
    rc_status status = source_new(out, name, e);
    if (status != RC_OK) return status;
    (*out)->f = f;
    (*out)->max_record = max_record ? max_record : RC_SOURCE_MAX_RECORD;
    return RC_OK;
}

void rc__source_take_bytes(rc__source *s) { s->bytes = true; }
size_t rc__source_line(const rc__source *s) { return s->line; }
const char *rc__source_name(const rc__source *s) { return s->name; }
bool rc__source_is_whole(const rc__source *s) { return !s->f; }

/* ---- bytes of a stream ------------------------------------------------------------------------------------------- */

static void *z_alloc(void *ctx, uInt items, uInt size) { /* zlib frees without the size: it is kept in front */
    (void)ctx;
    size_t bytes = (size_t)items * size + 64;
    char *p = rc__alloc(bytes);
    if (!p) return NULL;
    memcpy(p, &bytes, sizeof bytes);
    return p + 64;
}
static void z_free(void *ctx, void *at) {
    (void)ctx;
    if (!at) return;
    size_t bytes;
    memcpy(&bytes, (char *)at - 64, sizeof bytes);
    rc__free((char *)at - 64, bytes);
}

/* The first byte tells: 1F begins no text. */
static rc_status begin_stream(rc__source *s, rc_error *e) {
    s->begun = true;
    s->held = getc(s->f);
    if (s->held != 0x1f) return RC_OK;
    s->gzip = rc__calloc(1, sizeof *s->gzip);
    if (!s->gzip) return rc_fail(e, RC_ENOMEM, "%s: out of memory", s->name);
    s->gzip->z = (z_stream){.zalloc = z_alloc, .zfree = z_free, .next_in = s->gzip->in, .avail_in = 1};
    s->gzip->in[0] = 0x1f;
    s->held = -1;
    if (inflateInit2(&s->gzip->z, 15 + 16) == Z_OK) return RC_OK;
    rc__free(s->gzip, sizeof *s->gzip);
    s->gzip = NULL;
    return rc_fail(e, RC_ENOMEM, "%s: out of memory unpacking gzip", s->name);
}

/* More unpacked bytes; none at the end of the file. */
static rc_status unpack_more(rc__source *s, rc_error *e) {
    unpacker *u = s->gzip;
    u->at = u->len = 0;
    while (u->len == 0) {
        if (u->z.avail_in == 0) {
            u->z.next_in = u->in;
            u->z.avail_in = (uInt)fread(u->in, 1, sizeof u->in, s->f);
            if (ferror(s->f)) return rc_fail(e, RC_EIO, "%s: cannot be read: %s", s->name, strerror(errno));
            if (u->z.avail_in == 0) {
                if (u->ended) return RC_OK;
                return rc_fail(e, RC_EDATA, "%s: the gzip file ends in the middle", s->name);
            }
        }
        if (u->ended) { /* several members one after the other are one file; zeros behind the last are padding */
            while (u->z.avail_in && *u->z.next_in == 0) u->z.next_in++, u->z.avail_in--;
            if (u->z.avail_in == 0) continue;
            inflateReset(&u->z);
            u->ended = false;
        }
        u->z.next_out = (Bytef *)u->out;
        u->z.avail_out = sizeof u->out;
        int r = inflate(&u->z, Z_NO_FLUSH);
        u->len = sizeof u->out - u->z.avail_out;
        if (r == Z_STREAM_END)
            u->ended = true;
        else if (r == Z_MEM_ERROR)
            return rc_fail(e, RC_ENOMEM, "%s: out of memory unpacking gzip", s->name);
        else if (r != Z_OK && r != Z_BUF_ERROR)
            return rc_fail(e, RC_EDATA, "%s: damaged gzip data: %s", s->name, u->z.msg ? u->z.msg : "no reason given");
    }
    return RC_OK;
}

static rc_status next_byte(rc__source *s, int *c, rc_error *e) {
    if (s->gzip) {
        if (s->gzip->at == s->gzip->len) {
            rc_status status = unpack_more(s, e);
            if (status != RC_OK) return status;
        }
        *c = s->gzip->at < s->gzip->len ? (unsigned char)s->gzip->out[s->gzip->at++] : EOF;
        return RC_OK;
    }
    *c = s->held;
    s->held = -1;
    if (*c < 0) *c = getc(s->f);
    return RC_OK;
}

/* Adds one line, its end included, to buf; none at the end of the file. */
static rc_status add_line(rc__source *s, rc_error *e) {
    rc_status status = RC_OK;
    if (!s->begun) {
        status = begin_stream(s, e);
        if (status != RC_OK) return status;
    }
    size_t start = s->buf_len;
    for (int c = 0; c != '\n';) {
        status = next_byte(s, &c, e);
        if (status != RC_OK) return status;
        if (c == EOF) break;
        if (s->buf_len >= s->max_record)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected a record of at most %zu bytes, found a longer one",
                           s->name, s->line ? s->line : 1, s->max_record);
        if (s->buf_len + 1 >= s->buf_cap) {
            status = rc__grow((void **)&s->buf, &s->buf_cap, s->buf_len + 256, 1, e);
            if (status != RC_OK) return status;
        }
        s->buf[s->buf_len++] = (char)c;
    }
    if (!s->gzip && ferror(s->f)) return rc_fail(e, RC_EIO, "%s: cannot be read: %s", s->name, strerror(errno));
    if (s->buf_len == start) return RC_OK;
    const char *text = s->buf + start;
    size_t len = s->buf_len - start, line = s->lines + 1;
    if (line == 1 && is_utf16(text, len)) return refuse_utf16(s->name, e);
    if (line == 1 && has_mark(text, len)) {
        memmove(s->buf, s->buf + 3, len - 3);
        s->buf_len -= 3;
        len -= 3;
        if (len == 0) return add_line(s, e); /* nothing but the mark */
    }
    if (s->bytes) return RC_OK;
    size_t bad = rc__utf8_valid_prefix(text, len);
    if (bad < len)
        return rc_fail(e, RC_EDATA, "%s: line %zu, byte %zu: not UTF-8: %02X; convert the text", s->name, line, bad + 1,
                       (unsigned)(unsigned char)text[bad]);
    const char *zero = memchr(text, 0, len);
    if (zero) return refuse_zero(s->name, line, (size_t)(zero - text) + 1, e);
    if (line == 1 && text[len - 1] != '\n') {
        const char *cr = memchr(text, '\r', len);
        if (cr && cr + 1 < text + len) return refuse_cr(s->name, e);
    }
    return RC_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static size_t without_end(const char *text, size_t len) {
    if (len && text[len - 1] == '\n') len--;
    if (len && text[len - 1] == '\r') len--;
    return len;
}

/* One more line of whole text, its end included; 0 at the end. */
static size_t whole_line(const rc__source *s) {
    const char *from = s->data + s->at, *end = memchr(from, '\n', s->len - s->at);
    return end ? (size_t)(end - from) + 1 : s->len - s->at;
}

rc_status rc__source_next(rc__source *s, char **text, size_t *len, rc_error *e) {
    if (s->again) {
        s->again = false;
    } else {
        size_t n;
        s->line = s->lines + 1;
        s->record = NULL;
        s->record_len = 0;
        if (s->f) {
            s->buf_len = 0;
            rc_status status = add_line(s, e);
            if (status != RC_OK) return status;
            n = s->buf_len;
            s->record = n ? s->buf : NULL;
        } else {
            n = whole_line(s);
            s->record = n ? s->data + s->at : NULL;
            s->at += n;
        }
        if (n) {
            s->lines++;
            s->record_len = without_end(s->record, n);
        }
    }
    *text = s->record;
    *len = s->record_len;
    return RC_OK;
}

rc_status rc__source_extend(rc__source *s, char **text, size_t *len, bool *more, rc_error *e) {
    size_t n;
    if (s->f) {
        size_t had = s->buf_len;
        rc_status status = add_line(s, e);
        if (status != RC_OK) return status;
        n = s->buf_len - had;
        s->record = s->buf;
        if (n) s->record_len = without_end(s->buf, s->buf_len);
    } else {
        n = whole_line(s);
        s->at += n;
        if (n) s->record_len = without_end(s->record, (size_t)(s->data + s->at - s->record));
    }
    *more = n > 0;
    if (n) s->lines++;
    *text = s->record;
    *len = s->record_len;
    return RC_OK;
}

void rc__source_again(rc__source *s) { s->again = true; }

rc_status rc__source_peek(rc__source *s, const char **text, size_t *len, rc_error *e) {
    if (!s->f) {
        *text = s->again && s->record ? s->record : s->data + s->at;
        *len = (size_t)(s->data + s->len - *text);
        return RC_OK;
    }
    char *record;
    rc_status status = rc__source_next(s, &record, len, e);
    *text = record ? record : "";
    s->again = true;
    return status;
}

/* ---- pieces of text ---------------------------------------------------------------------------------------------- */

static bool blank(char c) { return c == ' ' || c == '\t'; }
static bool space(char c) { return blank(c) || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

rc__cell rc__cell_trim(rc__cell c) {
    while (c.len && blank(c.text[0])) c.text++, c.len--;
    while (c.len && blank(c.text[c.len - 1])) c.len--;
    return c;
}

bool rc__cell_is(rc__cell c, const char *text) { return strlen(text) == c.len && memcmp(c.text, text, c.len) == 0; }

rc__cell rc__cell_word(rc__cell *text) {
    while (text->len && space(text->text[0])) text->text++, text->len--;
    rc__cell word = {text->text, 0};
    while (word.len < text->len && !space(word.text[word.len])) word.len++;
    text->text += word.len;
    text->len -= word.len;
    return word;
}

/* What has more digits than fit here is taken by strtod alone, from a copy without '0's that say nothing. */
enum { NUMBER = 400 };

static double convert(const char *text) { /* in the locale of the program, where ',' may be the point */
    char *end;
    double x = strtod(text, &end);
    if (*end != '.') return x;
    char other[NUMBER];
    size_t n = strlen(text);
    const char *point = localeconv()->decimal_point;
    if (strlen(point) != 1 || n >= sizeof other) return NAN;
    memcpy(other, text, n + 1);
    other[end - text] = *point;
    return strtod(other, NULL);
}

bool rc__cell_number(rc__cell c, double *out) {
    c = rc__cell_trim(c);
    const char *p = c.text, *end = c.text + c.len;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '+' || *p == '-')) p++;
    uint64_t mantissa = 0;
    int digits = 0, significant = 0, scale = 0, exponent = 0;
    for (; p < end && digit(*p); p++, digits++) {
        if (significant || *p != '0') significant++;
        if (significant <= 19) mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    }
    if (p < end && *p == '.') {
        for (p++; p < end && digit(*p); p++, digits++) {
            if (significant || *p != '0') significant++;
            if (significant <= 19) mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            scale++;
        }
    }
    if (digits == 0 || digits > NUMBER - 32) return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        bool less = p < end && *p == '-';
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (p == end || !digit(*p)) return false;
        for (; p < end && digit(*p); p++)
            if (exponent < 10000) exponent = exponent * 10 + (*p - '0');
        if (less) exponent = -exponent;
    }
    if (p != end) return false;
    /* Both factors are exact, so that one rounding is all there is (Clinger 1990, the fast case). */
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int tens = exponent - scale;
    if (significant <= 19 && mantissa <= UINT64_C(1) << 53 && tens >= -22 && tens <= 22) {
        double x = tens < 0 ? (double)mantissa / power[-tens] : (double)mantissa * power[tens];
        *out = negative ? -x : x;
        return true;
    }
    if (c.len >= NUMBER) return false;
    char text[NUMBER];
    memcpy(text, c.text, c.len);
    text[c.len] = 0;
    double x = convert(text);
    if (!isfinite(x)) return false;
    *out = x;
    return true;
}

bool rc__cell_integer(rc__cell c, int64_t *out) {
    c = rc__cell_trim(c);
    size_t i = c.len && (c.text[0] == '-' || c.text[0] == '+');
    if (i == c.len || c.len - i > 18) return false;
    int64_t x = 0;
    for (; i < c.len; i++) {
        if (!digit(c.text[i])) return false;
        x = x * 10 + (c.text[i] - '0');
    }
    *out = c.text[0] == '-' ? -x : x;
    return true;
}

const char *rc__cell_show(rc__cell c, char buf[64]) {
    size_t n = c.len;
    if (n > 40) {
        n = 40;
        while (n && ((unsigned char)c.text[n] & 0xC0) == 0x80) n--; /* never half a character */
    }
    snprintf(buf, 64, "\"%.*s%s\"", (int)n, c.text ? c.text : "", n < c.len ? "..." : "");
    return buf;
}

size_t rc__edit_distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t row[33];
    if (na > 32 || nb > 32) return 99;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}
