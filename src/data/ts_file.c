/* ts_file.c - see ts_file.h. Outline: values - settings - series - the UCR form - reading. */
#include "data/ts_file.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "data/source.h"

typedef struct parser {
    rc__source *src;
    rc__ts_set *set;
    const char *name;
    size_t line;
    bool data; /* @data was there */
    rc__choice univariate, equal_length, missing, class_label, target_label, stamps;
    int64_t dimensions, series_length; /* 0: not said */
} parser;

/* ---- values ------------------------------------------------------------------------------------------------------ */

static bool is_missing(rc__cell c) {
    c = rc__cell_trim(c);
    return rc__cell_is(c, "?") || (c.len == 3 && strncasecmp(c.text, "nan", 3) == 0);
}

static rc_status value_of(const parser *p, rc__cell c, size_t channel, size_t number, float *out, rc_error *e) {
    double x;
    char shown[64];
    if (is_missing(c)) {
        *out = NAN;
        return RC_OK;
    }
    if (!rc__cell_number(c, &x) || fabs(x) > (double)FLT_MAX)
        return rc_fail(e, RC_EDATA, "%s: line %zu, channel %zu, value %zu: expected a number, found %s", p->name,
                       p->line, channel + 1, number + 1, rc__cell_trim(c).len ? rc__cell_show(c, shown) : "nothing");
    *out = (float)x;
    return RC_OK;
}

static size_t pieces(rc__cell c, char by) {
    size_t n = 1;
    for (const char *p; c.len && (p = memchr(c.text, by, c.len)); n++) {
        c.len -= (size_t)(p - c.text) + 1;
        c.text = p + 1;
    }
    return n;
}

/* The piece before the next `by`; takes it from *c. */
static rc__cell next_piece(rc__cell *c, char by) {
    const char *end = c->len ? memchr(c->text, by, c->len) : NULL;
    rc__cell one = {c->text, end ? (size_t)(end - c->text) : c->len};
    size_t used = one.len + (end != NULL);
    c->text += used;
    c->len -= used;
    return one;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static rc_status read_flag(const parser *p, rc__cell name, rc__cell *rest, rc__choice *out, rc_error *e) {
    rc__cell word = rc__cell_word(rest);
    char shown[64];
    if (word.len == 4 && strncasecmp(word.text, "true", 4) == 0)
        *out = RC_YES;
    else if (word.len == 5 && strncasecmp(word.text, "false", 5) == 0)
        *out = RC_NO;
    else
        return rc_fail(e, RC_EDATA, "%s: line %zu: %.*s: expected true or false, found %s", p->name, p->line,
                       (int)name.len, name.text, rc__cell_show(word, shown));
    return RC_OK;
}

static rc_status read_count(const parser *p, rc__cell name, rc__cell *rest, int64_t *out, rc_error *e) {
    rc__cell word = rc__cell_word(rest);
    char shown[64];
    if (rc__cell_integer(word, out) && *out >= 1) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: %.*s: expected a whole number from 1, found %s", p->name, p->line,
                   (int)name.len, name.text, rc__cell_show(word, shown));
}

static rc_status read_classes(parser *p, rc__cell *rest, rc_error *e) {
    char shown[64];
    for (rc__cell word; (word = rc__cell_word(rest)).len;) {
        uint32_t id;
        bool added;
        rc_status s = rc__strtab_add(&p->set->classes, word.text, word.len, &id, &added, e);
        if (s != RC_OK) return rc__source_blame(p->src, s, e);
        if (!added)
            return rc_fail(e, RC_EDATA, "%s: line %zu: @classLabel: expected each class once, found %s again", p->name,
                           p->line, rc__cell_show(word, shown));
    }
    if (p->set->classes.count) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: @classLabel true: expected the names of the classes, found none",
                   p->name, p->line);
}

static bool is_setting(rc__cell word, const char *name) {
    return word.len == strlen(name) && strncasecmp(word.text, name, word.len) == 0;
}

static rc_status setting(parser *p, rc__cell line, rc_error *e) {
    rc__cell rest = line, word = rc__cell_word(&rest);
    rc_status s = RC_OK;
    char shown[64];
    if (is_setting(word, "@problemName")) return RC_OK;
    if (is_setting(word, "@relation") || is_setting(word, "@attribute"))
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a .ts file, found an ARFF file; the archives have both",
                       p->name, p->line);
    if (is_setting(word, "@data")) {
        p->data = true;
        return RC_OK;
    }
    if (is_setting(word, "@timeStamps")) {
        s = read_flag(p, word, &rest, &p->stamps, e);
        if (s == RC_OK && p->stamps == RC_YES)
            s = rc_fail(e, RC_EDATA,
                        "%s: line %zu: @timeStamps true: expected values at equal distances in time; series with "
                        "time stamps are not read",
                        p->name, p->line);
        return s;
    }
    if (is_setting(word, "@missing")) return read_flag(p, word, &rest, &p->missing, e);
    if (is_setting(word, "@univariate")) return read_flag(p, word, &rest, &p->univariate, e);
    if (is_setting(word, "@equalLength")) return read_flag(p, word, &rest, &p->equal_length, e);
    if (is_setting(word, "@dimensions") || is_setting(word, "@dimension"))
        return read_count(p, word, &rest, &p->dimensions, e);
    if (is_setting(word, "@seriesLength")) return read_count(p, word, &rest, &p->series_length, e);
    if (is_setting(word, "@targetLabel")) return read_flag(p, word, &rest, &p->target_label, e);
    if (is_setting(word, "@classLabel")) {
        if (p->set->classes.count)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected one @classLabel, found another", p->name, p->line);
        s = read_flag(p, word, &rest, &p->class_label, e);
        return s == RC_OK && p->class_label == RC_YES ? read_classes(p, &rest, e) : s;
    }
    return rc_fail(
        e, RC_EDATA,
        "%s: line %zu: expected @problemName, @timeStamps, @missing, @univariate, @dimensions, @equalLength, "
        "@seriesLength, @classLabel, @targetLabel or @data, found %s",
        p->name, p->line, rc__cell_show(word, shown));
}

static rc_status check_settings(parser *p, rc_error *e) {
    if (p->class_label == RC_YES && p->target_label == RC_YES)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected @classLabel or @targetLabel, found both true", p->name,
                       p->line);
    if (p->univariate == RC_YES && p->dimensions > 1)
        return rc_fail(e, RC_EDATA, "%s: line %zu: @univariate true, but @dimensions is %lld", p->name, p->line,
                       (long long)p->dimensions);
    p->set->kind = p->class_label == RC_YES ? RC_TS_CLASSES : p->target_label == RC_YES ? RC_TS_TARGETS : RC_TS_PLAIN;
    return RC_OK;
}

/* ---- series ------------------------------------------------------------------------------------------------------ */

/* Room for one more series of this many values, as NaN. *values lasts until the next one. */
static rc_status add_series(parser *p, size_t len, size_t channels, rc__ts_series **series, float **values,
                            rc_error *e) {
    rc__ts_set *set = p->set;
    size_t n = len * channels;
    if (set->n && channels != set->n_channels)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %zu channels as in line %zu, found %zu", p->name, p->line,
                       set->n_channels, set->at[0].line, channels);
    rc_status s = rc__grow((void **)&set->at, &set->cap, set->n + 1, sizeof *set->at, e);
    if (s == RC_OK) s = rc__grow((void **)&set->block, &set->block_cap, set->block_len + n, sizeof *set->block, e);
    if (s != RC_OK) return s;
    set->n_channels = channels;
    *series = &set->at[set->n++];
    **series = (rc__ts_series){.len = len, .line = p->line, .target = NAN};
    *values = set->block + set->block_len;
    set->block_len += n;
    if (set->n == 1 || len < set->shortest) set->shortest = len;
    if (len > set->longest) set->longest = len;
    return RC_OK;
}

static rc_status check_length(const parser *p, size_t len, rc_error *e) {
    if (p->series_length && p->equal_length != RC_NO && len != (size_t)p->series_length)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %lld values as @seriesLength says, found %zu", p->name,
                       p->line, (long long)p->series_length, len);
    if (p->equal_length == RC_YES && p->set->n && len != p->set->at[0].len)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %zu values as in line %zu (@equalLength true), found %zu",
                       p->name, p->line, p->set->at[0].len, p->set->at[0].line, len);
    return RC_OK;
}

static rc_status series_label(parser *p, rc__cell c, rc__ts_series *series, rc_error *e) {
    c = rc__cell_trim(c);
    char shown[64];
    if (p->set->kind == RC_TS_TARGETS) {
        if (rc__cell_number(c, &series->target)) return RC_OK;
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a number to predict, found %s", p->name, p->line,
                       rc__cell_show(c, shown));
    }
    int32_t id = rc__strtab_find(&p->set->classes, c.text, c.len);
    if (id < 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected one of the %zu classes of @classLabel, found %s", p->name,
                       p->line, p->set->classes.count, rc__cell_show(c, shown));
    series->label = (uint32_t)id;
    return RC_OK;
}

static rc_status count_missing(parser *p, const float *values, size_t n, rc_error *e) {
    size_t missing = 0;
    for (size_t i = 0; i < n; i++) missing += isnan(values[i]) != 0;
    p->set->missing += missing;
    if (missing == 0 || p->missing != RC_NO) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected no missing value (@missing false), found %zu", p->name, p->line,
                   missing);
}

static rc_status ts_line(parser *p, rc__cell line, rc_error *e) {
    if (memchr(line.text, '(', line.len))
        return rc_fail(e, RC_EDATA,
                       "%s: line %zu: expected values with ',' between, found time stamps; they are not read", p->name,
                       p->line);
    bool labelled = p->set->kind != RC_TS_PLAIN;
    size_t channels = pieces(line, ':'), len = 0;
    if (labelled) channels--;
    if (channels == 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected values, ':' and %s, found no ':'", p->name, p->line,
                       p->set->kind == RC_TS_TARGETS ? "a target" : "a class");
    size_t want = p->univariate == RC_YES ? 1 : (size_t)p->dimensions;
    if (want && channels != want)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %zu channel%s as the head of the file says, found %zu",
                       p->name, p->line, want, want == 1 ? "" : "s", channels);
    rc__ts_series *series = NULL;
    float *values = NULL;
    for (size_t c = 0; c < channels; c++) {
        rc__cell channel = next_piece(&line, ':');
        size_t n = pieces(channel, ',');
        rc_status s = RC_OK;
        if (c == 0) {
            len = n;
            s = check_length(p, n, e);
            if (s == RC_OK) s = add_series(p, len, channels, &series, &values, e);
        } else if (n != len) {
            s = rc_fail(e, RC_EDATA,
                        "%s: line %zu, channel %zu: expected %zu values as in the first channel, found %zu", p->name,
                        p->line, c + 1, len, n);
        }
        for (size_t t = 0; s == RC_OK && t < n; t++)
            s = value_of(p, next_piece(&channel, ','), c, t, &values[t * channels + c], e);
        if (s != RC_OK) return s;
    }
    rc_status s = count_missing(p, values, len * channels, e);
    return s == RC_OK && labelled ? series_label(p, line, series, e) : s;
}

/* ---- the UCR form ------------------------------------------------------------------------------------------------ */

static rc__cell next_ucr(rc__cell *line, char by) { return by == ' ' ? rc__cell_word(line) : next_piece(line, by); }

static rc_status ucr_line(parser *p, rc__cell line, bool unlabelled, rc_error *e) {
    char by = memchr(line.text, '\t', line.len) ? '\t' : memchr(line.text, ',', line.len) ? ',' : ' ';
    rc__ts_series *series;
    float *values;
    rc__cell label = {0}, rest;
    if (!unlabelled) {
        label = rc__cell_trim(next_ucr(&line, by));
        if (label.len == 0)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected a class, found nothing", p->name, p->line);
        rest = line;
        if (rc__cell_trim(rest).len == 0)
            return rc_fail(e, RC_EDATA, "%s: line %zu: expected a class and values, found one cell", p->name, p->line);
    }
    size_t n = 0, len = 0;
    rest = line;
    if (by == ' ')
        while (rc__cell_word(&rest).len) n++;
    else
        n = pieces(line, by);
    rest = line;
    for (size_t i = 0; i < n; i++)
        if (!is_missing(next_ucr(&rest, by))) len = i + 1;
    if (len == 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected values, found missing ones alone", p->name, p->line);
    rc_status s = add_series(p, len, 1, &series, &values, e);
    for (size_t i = 0; s == RC_OK && i < len; i++) s = value_of(p, next_ucr(&line, by), 0, i, &values[i], e);
    if (s == RC_OK) s = count_missing(p, values, len, e);
    if (s != RC_OK || unlabelled) return s;
    s = rc__strtab_add(&p->set->classes, label.text, label.len, &series->label, NULL, e);
    return rc__source_blame(p->src, s, e);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status read_lines(parser *p, bool unlabelled, rc_error *e) {
    bool ucr = false;
    for (;;) {
        char *text;
        size_t len;
        rc_status s = rc__source_next(p->src, &text, &len, e);
        if (s != RC_OK) return s;
        if (!text) break;
        p->line = rc__source_line(p->src);
        rc__cell line = rc__cell_trim((rc__cell){text, len});
        if (line.len == 0 || line.text[0] == '#' || line.text[0] == '%') continue;
        if (p->data) {
            s = ts_line(p, line, e);
        } else if (line.text[0] == '@' && !ucr) {
            s = setting(p, line, e);
            if (s == RC_OK && p->data) s = check_settings(p, e);
        } else if (p->univariate || p->class_label || p->target_label || p->missing) {
            char shown[64];
            s = rc_fail(e, RC_EDATA, "%s: line %zu: expected a line with '@', or @data, found %s", p->name, p->line,
                        rc__cell_show(line, shown));
        } else {
            ucr = true;
            p->set->kind = unlabelled ? RC_TS_PLAIN : RC_TS_CLASSES;
            s = ucr_line(p, line, unlabelled, e);
        }
        if (s != RC_OK) return s;
    }
    if (p->set->n == 0)
        return rc_fail(e, RC_EDATA, "%s: expected series%s, found none", p->name, p->data ? " behind @data" : "");
    float *values = p->set->block;
    for (size_t i = 0; i < p->set->n; values += p->set->at[i++].len * p->set->n_channels) p->set->at[i].values = values;
    static const char *const kinds[] = {"without labels", "with classes", "with targets"};
    snprintf(p->set->how, sizeof p->set->how, "%s, %zu series of %zu channel%s %s", ucr ? "UCR lines" : "a .ts file",
             p->set->n, p->set->n_channels, p->set->n_channels == 1 ? "" : "s", kinds[p->set->kind]);
    return RC_OK;
}

rc_status rc__ts_read(rc__ts_set **out, const char *path, bool unlabelled, rc_error *e) {
    *out = NULL;
    parser p = {.set = rc__calloc(1, sizeof *p.set)};
    if (!p.set) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = rc__source_open(&p.src, path, e);
    if (s == RC_OK) {
        p.name = rc__source_name(p.src);
        s = read_lines(&p, unlabelled, e);
    }
    rc__source_free(p.src);
    if (s == RC_OK)
        *out = p.set;
    else
        rc__ts_free(p.set);
    return s;
}

void rc__ts_free(rc__ts_set *s) {
    if (!s) return;
    rc__free(s->at, s->cap * sizeof *s->at);
    rc__free(s->block, s->block_cap * sizeof *s->block);
    rc__strtab_free(&s->classes);
    rc__free(s, sizeof *s);
}
