/* vectors.c - see vectors.h. */
#include "data/vectors.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/source.h"
#include "data/utf8.h"

enum { MAX_DIM = 1 << 16, MAX_LINE = 4 << 20 };

typedef struct reader {
    FILE *f;
    rc__source *src;
    const char *name;
    size_t line, dim; /* dim 0: to be seen from the file */
    int64_t count;    /* from the first line; -1: there is none */
} reader;

static rc_status open_file(reader *r, const char *path, rc_error *e) {
    bool standard = strcmp(path, "-") == 0;
    r->f = standard ? stdin : fopen(path, "rbe");
    if (!r->f) return rc_fail(e, RC_EIO, "%s: cannot be opened: %s", path, strerror(errno));
    rc_status s = rc__source_stream(&r->src, r->f, path, MAX_LINE, e);
    if (s != RC_OK) return s;
    rc__source_take_bytes(r->src); /* single words of known files are no UTF-8 */
    r->name = rc__source_name(r->src);
    r->count = -1;
    return RC_OK;
}

static void close_file(reader *r) {
    rc__source_free(r->src);
    if (r->f && r->f != stdin) fclose(r->f);
}

/* The last cell of a line, which is taken off; blanks at the end do not count. */
static rc__cell last_cell(rc__cell *line) {
    *line = rc__cell_trim(*line);
    size_t n = line->len;
    while (n && line->text[n - 1] != ' ' && line->text[n - 1] != '\t') n--;
    rc__cell cell = {line->text + n, line->len - n};
    line->len = n;
    return cell;
}

static size_t count_cells(rc__cell line) {
    size_t n = 0;
    while (last_cell(&line).len) n++;
    return n;
}

static bool has_controls(rc__cell c) {
    for (size_t i = 0; i < c.len; i++)
        if ((unsigned char)c.text[i] < 0x20 && c.text[i] != '\t') return true;
    return false;
}

static rc_status refuse_binary(const reader *r, rc_error *e) {
    return rc_fail(
        e, RC_EDATA,
        "%s: line %zu: expected a word and %zu numbers in text, found bytes: binary word2vec is not read; write "
        "the text format (word2vec -binary 0, gensim save_word2vec_format(..., binary=False))",
        r->name, r->line, r->dim);
}

/* The next line that is not empty; text NULL at the end. */
static rc_status next_line(reader *r, rc__cell *line, rc_error *e) {
    char *text;
    size_t len;
    do {
        rc_status s = rc__source_next(r->src, &text, &len, e);
        if (s != RC_OK) return s;
        r->line = rc__source_line(r->src);
        *line = (rc__cell){text, len};
    } while (text && rc__cell_trim(*line).len == 0);
    return RC_OK;
}

/* "N D" of word2vec and fastText, or the first vector, which is then given again; sets dim when it is 0. */
static rc_status read_head(reader *r, rc_error *e) {
    rc__cell line;
    rc_status s = next_line(r, &line, e);
    if (s != RC_OK) return s;
    if (!line.text) return rc_fail(e, RC_EDATA, "%s: expected vectors, found an empty file", r->name);
    size_t n = count_cells(line), dim;
    rc__cell rest = line, count = rc__cell_word(&rest), width = rc__cell_word(&rest);
    int64_t d;
    if (n == 2 && rc__cell_integer(count, &r->count) && rc__cell_integer(width, &d)) {
        if (r->count < 0 || d < 1 || d > MAX_DIM)
            return rc_fail(e, RC_EDATA,
                           "%s: line %zu: expected a number of vectors and a dimension from 1 to %d, found %lld "
                           "and %lld",
                           r->name, r->line, MAX_DIM, (long long)r->count, (long long)d);
        dim = (size_t)d;
    } else {
        r->count = -1;
        size_t numbers = 0; /* at the end of the line */
        double x;
        rc__cell left = line;
        while (numbers + 1 < n && rc__cell_number(last_cell(&left), &x)) numbers++;
        /* Less than all is a word with spaces, or a number that is none, of which its line says more later. */
        dim = numbers + 1 == n || !r->dim ? numbers : n > r->dim ? r->dim : n - 1;
        if (has_controls(line)) {
            r->dim = dim;
            return refuse_binary(r, e);
        }
        rc__source_again(r->src);
    }
    if (dim == 0 || dim > MAX_DIM)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a word and its numbers, found %zu cells", r->name, r->line,
                       n);
    if (r->dim && dim != r->dim)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected vectors of dimension %zu, found %zu", r->name, r->line,
                       r->dim, dim);
    r->dim = dim;
    return RC_OK;
}

/* Takes the numbers off the end of a line: what is left is the word. */
static rc_status find_word(const reader *r, rc__cell line, rc__cell *word, const char **numbers, rc_error *e) {
    rc__cell rest = line;
    double x;
    char shown[64];
    for (size_t i = 0; i < r->dim; i++) {
        rc__cell cell = last_cell(&rest);
        if (cell.len == 0 || rc__cell_trim(rest).len == 0) {
            if (has_controls(line)) return refuse_binary(r, e);
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected a word and %zu numbers, found %zu cells", r->name,
                           r->line, r->dim, count_cells(line));
        }
        *numbers = cell.text;
    }
    *word = rc__cell_trim(rest);
    /* A word with a space is rare; a line with a number too many is a mistake. */
    rc__cell before = *word, last = last_cell(&before);
    if (before.len && rc__cell_number(last, &x) && memchr(last.text, '.', last.len))
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a word and %zu numbers, found one number more: %s", r->name,
                       r->line, r->dim, rc__cell_show(last, shown));
    return RC_OK;
}

static rc_status read_numbers(const reader *r, const char *at, const char *end, rc_real *out, rc_error *e) {
    rc__cell rest = {at, (size_t)(end - at)};
    char shown[64];
    for (size_t i = 0; i < r->dim; i++) {
        double x;
        rc__cell cell = rc__cell_word(&rest);
        if (!rc__cell_number(cell, &x) || fabs(x) > (double)FLT_MAX)
            return rc_fail(e, RC_EDATA, "%s: line %zu, number %zu: expected a number, found %s", r->name, r->line,
                           i + 1, rc__cell_show(cell, shown));
        out[i] = (rc_real)x;
    }
    return RC_OK;
}

static rc_status fill(reader *r, rc__vectors_lookup lookup, void *ctx, size_t n_rows, rc_real *rows, bool *found,
                      rc_real *vector, rc__vectors_report *report, rc_error *e) {
    rc_status s = read_head(r, e);
    while (s == RC_OK) {
        rc__cell line, word;
        const char *numbers = NULL;
        s = next_line(r, &line, e);
        if (s != RC_OK || !line.text) break;
        if (r->count >= 0 && report->vectors >= (size_t)r->count) {
            if (has_controls(line)) return refuse_binary(r, e);
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected %lld vectors as the first line says, found more",
                           r->name, r->line, (long long)r->count);
        }
        s = find_word(r, line, &word, &numbers, e);
        if (s != RC_OK) break;
        if (report->vectors == 0 && has_controls(line)) return refuse_binary(r, e);
        report->vectors++;
        if (rc__utf8_valid_prefix(word.text, word.len) != word.len) {
            report->not_utf8++;
            continue;
        }
        int64_t row = lookup(ctx, word.text, word.len);
        if (row < 0 || (uint64_t)row >= n_rows) continue;
        if (found[row]) {
            report->twice++;
            continue;
        }
        s = read_numbers(r, numbers, line.text + line.len, vector, e);
        if (s != RC_OK) break;
        memcpy(rows + (size_t)row * r->dim, vector, r->dim * sizeof *vector);
        found[row] = true;
        report->hits++;
    }
    if (s == RC_OK && r->count >= 0 && report->vectors != (size_t)r->count)
        return rc_fail(e, RC_EDATA, "%s: expected %lld vectors as the first line says, found %zu", r->name,
                       (long long)r->count, report->vectors);
    return s;
}

rc_status rc__vectors_fill(const char *path, rc__vectors_lookup lookup, void *ctx, size_t n_rows, size_t dim,
                           rc_real *rows, bool *found, rc__vectors_report *report, rc_error *e) {
    *report = (rc__vectors_report){0};
    if (dim < 1 || dim > MAX_DIM)
        return rc_fail(e, RC_EINVAL, "%s: dimension %zu: expected 1 to %d", path, dim, MAX_DIM);
    reader r = {.dim = dim};
    rc_real *vector = rc__alloc(dim * sizeof *vector);
    bool *seen = found ? found : rc__alloc(n_rows);
    rc_status s = vector && seen ? open_file(&r, path, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (seen) memset(seen, 0, n_rows * sizeof *seen);
    if (s == RC_OK) s = fill(&r, lookup, ctx, n_rows, rows, seen, vector, report, e);
    close_file(&r);
    if (!found) rc__free(seen, n_rows);
    rc__free(vector, dim * sizeof *vector);
    return s;
}

rc_status rc__vectors_dim(const char *path, size_t *dim, rc_error *e) {
    reader r = {0};
    rc_status s = open_file(&r, path, e);
    if (s == RC_OK) s = read_head(&r, e);
    if (s == RC_OK) *dim = r.dim;
    close_file(&r);
    return s;
}
