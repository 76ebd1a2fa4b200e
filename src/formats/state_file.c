/* state_file.c - a recurrent state as a safetensors file: "h" (layers * directions, batch, width of h) and, for cells
 * that have it, "c" (layers * directions, batch, hidden_size). The shapes are those of torch.nn's h_0 and c_0. */
#include "formats/safetensors.h"
#include "nn/rnn_internal.h"

#include "base/json.h"
#include "base/mem.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FORMAT 1

/* Describes h and, when there is one, c; returns how many. */
static size_t describe(const rc_state *s, rc__st_tensor t[2]) {
    t[0] = (rc__st_tensor){.name = "h", .dtype = RC_ST_REAL, .ndim = 3, .dim = {s->rows, s->batch, s->P}, .data = s->h};
    t[1] = (rc__st_tensor){.name = "c", .dtype = RC_ST_REAL, .ndim = 3, .dim = {s->rows, s->batch, s->H}, .data = s->c};
    return s->c ? 2 : 1;
}

rc_status rc_state_save(const rc_state *s, const char *path, rc_error *e) {
    static const rc__st_meta meta = {"recur", "{\"format\":1,\"content\":\"state\"}"};
    rc__st_tensor t[2];
    if (!s || !path) return rc_fail(e, RC_EINVAL, "saving a state needs a state and a path");
    return rc__st_write(path, t, describe(s, t), &meta, 1, e);
}

static rc_status check_names(const rc__st_file *f, const rc__st_tensor *expected, size_t n, rc_error *e) {
    for (size_t i = 0; i < rc__st_count(f); i++) {
        const char *name = rc__st_at(f, i)->name;
        size_t k = 0;
        while (k < n && strcmp(name, expected[k].name) != 0) k++;
        if (k == n)
            return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\" is not part of this model's state, expected %s",
                           rc__st_name(f), name, n == 2 ? "\"h\" and \"c\"" : "\"h\" alone");
    }
    return RC_OK;
}

/* A file without our metadata, made by another program, is taken as it is. */
static rc_status check_metadata(const rc__st_file *f, rc_error *e) {
    const char *text = rc__st_get_meta(f, "recur"), *content = "state";
    char where[600];
    json_t *doc = NULL;
    int64_t format = FORMAT;
    if (!text) return RC_OK;
    snprintf(where, sizeof where, "%.500s: metadata \"recur\"", rc__st_name(f));
    rc_status s = rc__json_parse(text, strlen(text), where, &doc, e);
    if (s == RC_OK) s = rc__json_get_int(doc, "format", RC_JSON_REQUIRED, 1, INT64_MAX, &format, where, e);
    if (s == RC_OK && format > FORMAT)
        s = rc_fail(e, RC_EMODEL, "%s: format %" PRId64 " was made by a newer recur; this one (%s) reads up to %d",
                    rc__st_name(f), format, rc_version(), FORMAT);
    if (s == RC_OK) s = rc__json_get_string(doc, "content", RC_JSON_OPTIONAL, &content, where, e);
    if (s == RC_OK && (strcmp(content, "state") != 0 || json_object_get(doc, "task")))
        s = rc_fail(e, RC_EMODEL, "%s: expected a state (\"content\": \"state\"), found another file of recur",
                    rc__st_name(f));
    json_decref(doc);
    return s;
}

/* Into fresh memory first: a state is changed whole or not at all. */
static rc_status read_all(const rc__st_file *f, rc_state *s, rc_real *h, rc_real *c, rc_error *e) {
    rc__st_tensor want[2];
    const rc__st_tensor *found[2];
    rc_real *to[2] = {h, c};
    size_t n = describe(s, want);
    rc_status status = RC_OK;
    for (size_t i = 0; status == RC_OK && i < n; i++)
        status = rc__st_expect(f, want[i].name, RC_ST_DTYPE_COUNT, 3, want[i].dim, &found[i], e);
    if (status == RC_OK) status = check_names(f, want, n, e);
    for (size_t i = 0; status == RC_OK && i < n; i++) {
        status = rc__st_read_real(f, found[i], to[i], e);
        for (size_t k = 0; status == RC_OK && k < found[i]->len; k++)
            if (!isfinite(to[i][k]))
                status = rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": element %zu is not a finite number", rc__st_name(f),
                                 found[i]->name, k);
    }
    if (status != RC_OK) return status;
    memcpy(s->h, h, s->h_len * sizeof *h);
    if (s->c) memcpy(s->c, c, s->c_len * sizeof *c);
    return RC_OK;
}

rc_status rc_state_load(rc_state *s, const char *path, rc_error *e) {
    if (!s || !path) return rc_fail(e, RC_EINVAL, "loading a state needs a state and a path");
    rc__st_file *f;
    rc_status status = rc__st_open(&f, path, e);
    if (status != RC_OK) return status;
    size_t bytes = (s->h_len + s->c_len) * sizeof(rc_real);
    rc_real *fresh = rc__alloc(bytes);
    status = check_metadata(f, e);
    if (status == RC_OK)
        status = fresh ? read_all(f, s, fresh, fresh + s->h_len, e)
                       : rc_fail(e, RC_ENOMEM, "%s: out of memory for a state of %zu bytes", path, bytes);
    rc__free(fresh, bytes);
    rc__st_close(f);
    return status;
}
