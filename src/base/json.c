/* json.c - see json.h. */
#include "base/json.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include <errno.h>
#include <string.h>

/* jansson recurses once per level up to a depth fixed when it was built (2048); ours is checked first, on the text. A
 * bracket inside a string does not count; whether the text is JSON at all is jansson's business. */
static bool too_deep(const char *s, size_t len) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (quoted) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '"')
                quoted = false;
        } else if (s[i] == '"') {
            quoted = true;
        } else if (s[i] == '[' || s[i] == '{') {
            if (++depth > RC_JSON_MAX_DEPTH) return true;
        } else if (s[i] == ']' || s[i] == '}') {
            depth--;
        }
    }
    return false;
}

/* *v, or NULL: jansson reports no memory as some syntax error, or as nothing; malloc leaves ENOMEM behind. */
static rc_status load(const char *text, size_t len, const char *where, json_t **v, json_error_t *err, rc_error *e) {
    errno = 0;
    *v = json_loadb(text, len, JSON_REJECT_DUPLICATES, err);
    if (*v || !(errno == ENOMEM || err->line < 0 || json_error_code(err) == json_error_out_of_memory)) return RC_OK;
    return rc_fail(e, RC_ENOMEM, "%s: out of memory for JSON", where);
}

rc_status rc__json_parse(const char *text, size_t len, const char *where, json_t **out, rc_error *e) {
    if (too_deep(text, len))
        return rc_fail(e, RC_EMODEL, "%s: JSON nested deeper than %d levels", where, RC_JSON_MAX_DEPTH);
    json_error_t err;
    json_t *v;
    rc_status s = load(text, len, where, &v, &err, e);
    if (s != RC_OK) return s;
    if (!v) return rc_fail(e, RC_EMODEL, "%s: line %d, column %d: %s", where, err.line, err.column, err.text);
    *out = v;
    return RC_OK;
}

rc_status rc__json_parse_line(const char *text, size_t len, const char *where, size_t line, json_t **out, rc_error *e) {
    if (too_deep(text, len))
        return rc_fail(e, RC_EDATA, "%s: line %zu: JSON nested deeper than %d levels", where, line, RC_JSON_MAX_DEPTH);
    json_error_t err;
    json_t *v;
    rc_status s = load(text, len, where, &v, &err, e);
    if (s != RC_OK) return s;
    if (!v) return rc_fail(e, RC_EDATA, "%s: line %zu, column %d: %s", where, line, err.column, err.text);
    if (!json_is_object(v)) {
        json_decref(v);
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected a JSON object, found an array", where, line);
    }
    *out = v;
    return RC_OK;
}

rc_status rc__json_read(const char *path, size_t limit, json_t **out, rc_error *e) {
    char *text;
    size_t len;
    rc_status s = rc__file_read(path, false, limit ? limit : (size_t)1 << 30, &text, &len, e);
    if (s != RC_OK) return s;
    s = rc__json_parse(text, len, path, out, e);
    rc__free(text, len + 1);
    return s;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

typedef struct sink {
    char *at;
    size_t len;
} sink; /* at == NULL: counts only */

static int sink_put(const char *text, size_t n, void *ctx) {
    sink *s = ctx;
    if (s->at) memcpy(s->at + s->len, text, n);
    s->len += n;
    return 0;
}

static rc_status print(const json_t *v, size_t flags, char **out, size_t *len, rc_error *e) {
    flags |= JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY;
    sink count = {0}, fill = {0};
    if (!v || json_dump_callback(v, sink_put, &count, flags) != 0)
        return rc_fail(e, RC_ENOMEM, "out of memory for JSON");
    fill.at = rc__alloc(count.len + 2);
    if (!fill.at) return rc_fail(e, RC_ENOMEM, "out of memory for %zu bytes of JSON", count.len);
    if (json_dump_callback(v, sink_put, &fill, flags) != 0 || fill.len != count.len) {
        rc__free(fill.at, count.len + 2);
        return rc_fail(e, RC_ENOMEM, "out of memory for JSON");
    }
    char *text = rc__realloc(fill.at, count.len + 2, count.len + 1); /* the caller frees len + 1 */
    if (!text) {
        rc__free(fill.at, count.len + 2);
        return rc_fail(e, RC_ENOMEM, "out of memory for %zu bytes of JSON", count.len);
    }
    text[count.len] = 0;
    *out = text;
    *len = count.len;
    return RC_OK;
}

rc_status rc__json_print(const json_t *v, char **out, size_t *len, rc_error *e) {
    return print(v, JSON_COMPACT, out, len, e);
}

rc_status rc__json_write(const json_t *v, const char *path, rc_error *e) {
    char *text;
    size_t len;
    rc_status s = print(v, JSON_INDENT(2), &text, &len, e);
    if (s != RC_OK) return s;
    text[len] = '\n'; /* in place of the final 0: the size is known */
    s = rc__file_write(path, text, len + 1, e);
    rc__free(text, len + 1);
    return s;
}

/* ---- typed members ----------------------------------------------------------------------------------------------- */

static const char *type_text(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    default: return "null";
    }
}

static rc_status wrong_type(const char *key, const char *expected, const json_t *v, const char *where, rc_error *e) {
    return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected %s, found %s", where, key, expected, type_text(v));
}

/* *v stays NULL for an absent optional member. */
static rc_status member(const json_t *obj, const char *key, rc__json_need need, const char *expected, json_t **v,
                        const char *where, rc_error *e) {
    *v = NULL;
    if (!json_is_object(obj))
        return rc_fail(e, RC_EMODEL, "%s: expected an object, found %s", where, obj ? type_text(obj) : "nothing");
    *v = json_object_get(obj, key);
    if (!*v && need == RC_JSON_REQUIRED)
        return rc_fail(e, RC_EMODEL, "%s: \"%s\" is missing, expected %s", where, key, expected);
    return RC_OK;
}

rc_status rc__json_get_int(const json_t *obj, const char *key, rc__json_need need, int64_t min, int64_t max,
                           int64_t *out, const char *where, rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "a whole number", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_integer(v)) return wrong_type(key, "a whole number", v, where, e);
    int64_t x = (int64_t)json_integer_value(v);
    if (x < min || x > max)
        return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected a whole number from %lld to %lld, found %lld", where, key,
                       (long long)min, (long long)max, (long long)x);
    *out = x;
    return RC_OK;
}

rc_status rc__json_get_size(const json_t *obj, const char *key, rc__json_need need, size_t min, size_t max, size_t *out,
                            const char *where, rc_error *e) {
    int64_t x = -1;
    int64_t high = max > (size_t)INT64_MAX ? INT64_MAX : (int64_t)max;
    rc_status s = rc__json_get_int(obj, key, need, (int64_t)min, high, &x, where, e);
    if (s == RC_OK && x >= 0) *out = (size_t)x;
    return s;
}

rc_status rc__json_get_real(const json_t *obj, const char *key, rc__json_need need, double min, double max, double *out,
                            const char *where, rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "a number", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_number(v)) return wrong_type(key, "a number", v, where, e);
    double x = json_number_value(v);
    if ((min != 0 || max != 0) && !(x >= min && x <= max))
        return rc_fail(e, RC_EMODEL, "%s: \"%s\": expected a number from %g to %g, found %g", where, key, min, max, x);
    *out = x;
    return RC_OK;
}

rc_status rc__json_get_bool(const json_t *obj, const char *key, rc__json_need need, bool *out, const char *where,
                            rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "true or false", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_boolean(v)) return wrong_type(key, "true or false", v, where, e);
    *out = json_is_true(v);
    return RC_OK;
}

rc_status rc__json_get_string(const json_t *obj, const char *key, rc__json_need need, const char **out,
                              const char *where, rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "a string", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_string(v)) return wrong_type(key, "a string", v, where, e);
    *out = json_string_value(v);
    return RC_OK;
}

rc_status rc__json_get_object(const json_t *obj, const char *key, rc__json_need need, json_t **out, const char *where,
                              rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "an object", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_object(v)) return wrong_type(key, "an object", v, where, e);
    *out = v;
    return RC_OK;
}

rc_status rc__json_get_array(const json_t *obj, const char *key, rc__json_need need, json_t **out, const char *where,
                             rc_error *e) {
    json_t *v;
    rc_status s = member(obj, key, need, "an array", &v, where, e);
    if (s != RC_OK || !v) return s;
    if (!json_is_array(v)) return wrong_type(key, "an array", v, where, e);
    *out = v;
    return RC_OK;
}

rc_status rc__json_only(const json_t *obj, const char *const *names, size_t n, const char *where, rc_error *e) {
    if (!json_is_object(obj))
        return rc_fail(e, RC_EMODEL, "%s: expected an object, found %s", where, obj ? type_text(obj) : "nothing");
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)obj, key, v) { /* the macro wants a mutable object; nothing is changed */
        size_t i = 0;
        while (i < n && strcmp(names[i], key) != 0) i++;
        if (i < n) continue;
        return rc_fail(e, RC_EMODEL, "%s: unknown member \"%.63s\"", where, key);
    }
    return RC_OK;
}

json_t *rc__real_or_null(double v) { return isfinite(v) ? json_real(v) : json_null(); }
