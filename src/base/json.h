/* json.h - jansson with limits, messages that name the place, and our own memory for texts.
 *
 * jansson's own nodes come from malloc: its allocator is one per process and belongs to the program, not to a library.
 */
#ifndef RC_JSON_H
#define RC_JSON_H
#include "recur/base.h"
#include <jansson.h>

#define RC_JSON_MAX_DEPTH 64

/* Parses one whole JSON object or array. `where` ("model.safetensors: metadata") starts every message. Refused with
 * RC_EMODEL, naming line and column: bad syntax, not UTF-8, a key twice in one object, \u0000, nesting beyond
 * RC_JSON_MAX_DEPTH, anything after the end. *out: json_decref. */
rc_status rc__json_parse(const char *text, size_t len, const char *where, json_t **out, rc_error *e);
/* The same from a file of at most limit bytes (0 = 1 GiB). */
rc_status rc__json_read(const char *path, size_t limit, json_t **out, rc_error *e);
/* One line of a file of JSON lines, which must be an object: RC_EDATA with the number of the line. */
rc_status rc__json_parse_line(const char *text, size_t len, const char *where, size_t line, json_t **out, rc_error *e);

/* One line, keys in the order they were set, numbers with 17 digits. *out has *len + 1 bytes, the last 0: rc__free(out,
 * len + 1). RC_ENOMEM when v is NULL too, so that a chain of json_pack needs one check. */
rc_status rc__json_print(const json_t *v, char **out, size_t *len, rc_error *e);
/* Atomically writes v, indented, with a newline at the end. */
rc_status rc__json_write(const json_t *v, const char *path, rc_error *e);

/* JSON has no NaN and no infinity: null. */
json_t *rc__real_or_null(double v);

/* Typed members of an object. Absent: RC_EMODEL when required, else *out stays. A wrong type or a value outside [min,
 * max] is RC_EMODEL: `where: "key": expected ..., found ...`. Strings and nodes are borrowed from obj. null counts as a
 * value. */
typedef enum rc__json_need { RC_JSON_OPTIONAL, RC_JSON_REQUIRED } rc__json_need;
rc_status rc__json_get_int(const json_t *obj, const char *key, rc__json_need need, int64_t min, int64_t max,
                           int64_t *out, const char *where, rc_error *e);
rc_status rc__json_get_size(const json_t *obj, const char *key, rc__json_need need, size_t min, size_t max, size_t *out,
                            const char *where, rc_error *e);
rc_status rc__json_get_real(const json_t *obj, const char *key, rc__json_need need, double min, double max, double *out,
                            const char *where, rc_error *e); /* takes whole numbers too; both limits 0 = none */
rc_status rc__json_get_bool(const json_t *obj, const char *key, rc__json_need need, bool *out, const char *where,
                            rc_error *e);
rc_status rc__json_get_string(const json_t *obj, const char *key, rc__json_need need, const char **out,
                              const char *where, rc_error *e);
rc_status rc__json_get_object(const json_t *obj, const char *key, rc__json_need need, json_t **out, const char *where,
                              rc_error *e);
rc_status rc__json_get_array(const json_t *obj, const char *key, rc__json_need need, json_t **out, const char *where,
                             rc_error *e);
/* Refuses members that are not among the n names, suggesting nothing: RC_EMODEL names the first. */
rc_status rc__json_only(const json_t *obj, const char *const *names, size_t n, const char *where, rc_error *e);
#endif
