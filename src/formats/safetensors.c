/* safetensors.c - the file format of https://github.com/huggingface/safetensors (README, "Format"):
 *
 *   8 bytes    N, the length of the header, little-endian
 *   N bytes    a JSON object, begins with '{', may be padded with spaces
 *              "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}  from the end of the header
 *              "__metadata__": {"key": "text", ...}
 *   the rest   the elements, little-endian, row-major, without holes
 *
 * Outline: types - writing - opening (header, one tensor, layout) - looking up - reading elements. */
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Elements are little-endian in the file: copied as they are, or on a big-endian machine with their bytes reversed. */
#define REVERSED (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)

#define MAX_HEADER 100000000u /* the official library's limit */

/* ---- types ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t size;
} dtypes[RC_ST_DTYPE_COUNT] = {
    [RC_ST_F64] = {"F64", 8},   [RC_ST_I64] = {"I64", 8},         [RC_ST_U64] = {"U64", 8},
    [RC_ST_F32] = {"F32", 4},   [RC_ST_I32] = {"I32", 4},         [RC_ST_U32] = {"U32", 4},
    [RC_ST_F16] = {"F16", 2},   [RC_ST_BF16] = {"BF16", 2},       [RC_ST_I16] = {"I16", 2},
    [RC_ST_U16] = {"U16", 2},   [RC_ST_I8] = {"I8", 1},           [RC_ST_U8] = {"U8", 1},
    [RC_ST_BOOL] = {"BOOL", 1}, [RC_ST_F8_E4M3] = {"F8_E4M3", 1}, [RC_ST_F8_E5M2] = {"F8_E5M2", 1},
};

const char *rc__st_dtype_name(rc__st_dtype d) { return (unsigned)d < RC_ST_DTYPE_COUNT ? dtypes[d].name : "?"; }
size_t rc__st_dtype_size(rc__st_dtype d) { return (unsigned)d < RC_ST_DTYPE_COUNT ? dtypes[d].size : 0; }

const char *rc__st_shape_text(int ndim, const size_t *dim, char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "(");
    for (int i = 0; i < ndim && at < cap; i++) at += (size_t)snprintf(buf + at, cap - at, i ? ", %zu" : "%zu", dim[i]);
    if (at < cap) snprintf(buf + at, cap - at, ndim == 1 ? ",)" : ")");
    return buf;
}

/* Elements and bytes of a shape; false when they do not fit size_t. */
static bool measure(int ndim, const size_t *dim, rc__st_dtype d, size_t *len, size_t *bytes) {
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        if (!rc__size_mul(n, dim[i], &n)) return false;
    *len = n;
    return rc__size_mul(n, rc__st_dtype_size(d), bytes);
}

static void reverse_bytes(unsigned char *p, size_t n, size_t size) {
    for (; n--; p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char b = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = b;
        }
}

/* Names and keys travel into messages, terminals and shell commands. */
static bool has_control(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) return true;
    return false;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int by_size_then_name(const void *a, const void *b) {
    const rc__st_tensor *x = *(const rc__st_tensor *const *)a, *y = *(const rc__st_tensor *const *)b;
    size_t sx = rc__st_dtype_size(x->dtype), sy = rc__st_dtype_size(y->dtype);
    if (sx != sy) return sx > sy ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const rc__st_tensor *const *)a)->name, (*(const rc__st_tensor *const *)b)->name);
}

static rc_status check_written(const char *path, const rc__st_tensor **sorted, size_t n, rc_error *e) {
    for (size_t i = 0; i < n; i++) {
        const rc__st_tensor *t = sorted[i];
        size_t len, bytes;
        if (strcmp(t->name, "__metadata__") == 0 || has_control(t->name))
            return rc_fail(e, RC_EINVAL, "%s: \"%s\" cannot be the name of a tensor", path,
                           has_control(t->name) ? "?" : t->name);
        if ((unsigned)t->dtype >= RC_ST_DTYPE_COUNT)
            return rc_fail(e, RC_EINVAL, "%s: tensor \"%s\": unknown type %d", path, t->name, (int)t->dtype);
        if (t->ndim < 0 || t->ndim > RC_ST_MAX_DIMS)
            return rc_fail(e, RC_EINVAL, "%s: tensor \"%s\": expected 0 to %d dimensions, got %d", path, t->name,
                           RC_ST_MAX_DIMS, t->ndim);
        if (!measure(t->ndim, t->dim, t->dtype, &len, &bytes))
            return rc_fail(e, RC_EINVAL, "%s: tensor \"%s\": its size overflows", path, t->name);
        if (bytes && !t->data) return rc_fail(e, RC_EINVAL, "%s: tensor \"%s\" has no data", path, t->name);
        if (i && strcmp(sorted[i - 1]->name, t->name) == 0)
            return rc_fail(e, RC_EINVAL, "%s: tensor \"%s\" is given twice", path, t->name);
    }
    return RC_OK;
}

/* "F32" and the like; shape and offsets. NULL when out of memory or the numbers do not fit JSON's. */
static json_t *describe(const rc__st_tensor *t, size_t begin, size_t end) {
    json_t *shape = json_array();
    for (int i = 0; shape && i < t->ndim; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)t->dim[i])) != 0) {
            json_decref(shape);
            shape = NULL;
        }
    if (!shape) return NULL;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", rc__st_dtype_name(t->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

static rc_status make_header(const char *path, const rc__st_tensor **order, size_t n, const rc__st_meta *meta,
                             size_t n_meta, json_t **out, rc_error *e) {
    json_t *root = json_object(), *md = NULL;
    rc_status s = RC_ENOMEM;
    if (!root) goto fail;
    if (n_meta) {
        if (!(md = json_object()) || json_object_set_new(root, "__metadata__", md) != 0) goto fail;
        for (size_t i = 0; i < n_meta; i++) {
            if (json_object_get(md, meta[i].key)) {
                s = rc_fail(e, RC_EINVAL, "%s: metadata \"%s\" is given twice", path, meta[i].key);
                goto fail;
            }
            errno = 0; /* NULL means not UTF-8, or no memory: then malloc has set ENOMEM */
            json_t *v = json_string(meta[i].value);
            if (!v || json_object_set_new(md, meta[i].key, v) != 0) {
                if (errno != ENOMEM) s = rc_fail(e, RC_EINVAL, "%s: metadata \"%s\" is not UTF-8", path, meta[i].key);
                goto fail;
            }
        }
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len, bytes, end;
        if (!measure(order[i]->ndim, order[i]->dim, order[i]->dtype, &len, &bytes) || !rc__size_add(at, bytes, &end)) {
            s = rc_fail(e, RC_EINVAL, "%s: the size of all tensors overflows", path);
            goto fail;
        }
        json_t *d = describe(order[i], at, end);
        if (!d) goto fail;
        errno = 0;
        if (json_object_set_new(root, order[i]->name, d) != 0) {
            if (errno != ENOMEM) s = rc_fail(e, RC_EINVAL, "%s: the name of tensor %zu is not UTF-8", path, i);
            goto fail;
        }
        at = end;
    }
    *out = root;
    return RC_OK;
fail:
    json_decref(root);
    return s == RC_ENOMEM ? rc_fail(e, RC_ENOMEM, "%s: out of memory for the header", path) : s;
}

/* n elements of `size` bytes as the file has them. */
static rc_status put_elements(rc__writer *w, const void *data, size_t n, size_t size, rc_error *e) {
    if (!REVERSED || size == 1) return rc__writer_put(w, data, n * size, e);
    unsigned char block[16384];
    size_t per_block = sizeof block / size;
    for (size_t i = 0; i < n; i += per_block) {
        size_t m = n - i < per_block ? n - i : per_block;
        memcpy(block, (const unsigned char *)data + i * size, m * size);
        reverse_bytes(block, m, size);
        rc_status s = rc__writer_put(w, block, m * size, e);
        if (s != RC_OK) return s;
    }
    return RC_OK;
}

static rc_status put_file(const char *path, const char *header, size_t header_len, const rc__st_tensor **order,
                          size_t n, rc_error *e) {
    rc__writer w;
    rc_status s = rc__writer_open(&w, path, e);
    if (s != RC_OK) return s;
    size_t padded = (header_len + 7) & ~(size_t)7; /* elements start at a multiple of 8 */
    unsigned char start[8];
    for (int i = 0; i < 8; i++) start[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    s = rc__writer_put(&w, start, 8, e);
    if (s == RC_OK) s = rc__writer_put(&w, header, header_len, e);
    if (s == RC_OK) s = rc__writer_put(&w, "       ", padded - header_len, e);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        size_t len, bytes;
        measure(order[i]->ndim, order[i]->dim, order[i]->dtype, &len, &bytes);
        if (bytes) s = put_elements(&w, order[i]->data, len, rc__st_dtype_size(order[i]->dtype), e);
    }
    if (s == RC_OK) return rc__writer_commit(&w, e);
    rc__writer_abort(&w);
    return s;
}

rc_status rc__st_write(const char *path, const rc__st_tensor *tensors, size_t n, const rc__st_meta *meta, size_t n_meta,
                       rc_error *e) {
    const rc__st_tensor **order = rc__calloc(n ? n : 1, sizeof *order);
    if (!order) return rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu tensors", path, n);
    json_t *root = NULL;
    char *header = NULL;
    size_t header_len = 0;
    for (size_t i = 0; i < n; i++) order[i] = &tensors[i];
    qsort(order, n, sizeof *order, by_name);
    rc_status s = check_written(path, order, n, e);
    qsort(order, n, sizeof *order, by_size_then_name);
    if (s == RC_OK) s = make_header(path, order, n, meta, n_meta, &root, e);
    if (s == RC_OK) s = rc__json_print(root, &header, &header_len, e);
    json_decref(root);
    if (s == RC_OK && header_len > MAX_HEADER - 8)
        s = rc_fail(e, RC_EINVAL, "%s: the header has %zu bytes, at most %u are allowed", path, header_len, MAX_HEADER);
    if (s == RC_OK) s = put_file(path, header, header_len, order, n, e);
    if (header) rc__free(header, header_len + 1);
    rc__free(order, (n ? n : 1) * sizeof *order);
    return s;
}

rc_status rc__st_list_add(rc__st_list *l, const char *prefix, const char *name, rc__st_dtype dtype, int ndim,
                          const size_t *dim, const void *data, rc_error *e) {
    if (ndim < 0 || ndim > RC_ST_MAX_DIMS)
        return rc_fail(e, RC_EINVAL, "tensor \"%s\": expected 0 to %d dimensions, got %d", name, RC_ST_MAX_DIMS, ndim);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        rc__st_tensor *t = rc__realloc(l->tensor, l->cap * sizeof *t, cap * sizeof *t);
        if (!t) return rc_fail(e, RC_ENOMEM, "out of memory for a list of %zu tensors", cap);
        l->tensor = t;
        l->cap = cap;
    }
    size_t a = prefix ? strlen(prefix) : 0, b = strlen(name);
    char *full = rc__alloc(a + b + 1);
    if (!full) return rc_fail(e, RC_ENOMEM, "out of memory for the name of tensor \"%s\"", name);
    if (a) memcpy(full, prefix, a);
    memcpy(full + a, name, b + 1);
    rc__st_tensor *t = &l->tensor[l->n++];
    *t = (rc__st_tensor){.name = full, .dtype = dtype, .ndim = ndim, .data = data};
    for (int i = 0; i < ndim; i++) t->dim[i] = dim[i];
    return RC_OK;
}

void rc__st_list_free(rc__st_list *l) {
    for (size_t i = 0; i < l->n; i++) rc__free((void *)(uintptr_t)l->tensor[i].name, strlen(l->tensor[i].name) + 1);
    rc__free(l->tensor, l->cap * sizeof *l->tensor);
    *l = (rc__st_list){0};
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

struct rc__st_file {
    char *path;
    int fd; /* -1: bytes in memory */
    const unsigned char *mem;
    char *owned;                  /* what was read from a pipe: mem, size + 1 bytes */
    uint64_t size;                /* of the file */
    json_t *root;                 /* owns names and metadata texts */
    json_t *meta;                 /* borrowed from root; may be NULL */
    rc__st_tensor *tensor;        /* in file order */
    const rc__st_tensor **sorted; /* by name */
    size_t n;
};

void rc__st_close(rc__st_file *f) {
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    if (f->owned) rc__free(f->owned, (size_t)f->size + 1);
    rc__strfree(f->path);
    json_decref(f->root);
    rc__free(f->tensor, f->n * sizeof *f->tensor);
    rc__free(f->sorted, f->n * sizeof *f->sorted);
    rc__free(f, sizeof *f);
}

static rc_status read_at(const rc__st_file *f, uint64_t offset, void *out, size_t len, rc_error *e) {
    if (f->fd < 0) {
        memcpy(out, f->mem + offset, len); /* within size: the header was checked */
        return RC_OK;
    }
    char *to = out;
    while (len) {
        ssize_t got = pread(f->fd, to, len < (size_t)1 << 30 ? len : (size_t)1 << 30, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return rc_fail(e, RC_EIO, "%s: cannot read: %s", f->path, strerror(errno));
        if (got == 0) return rc_fail(e, RC_EIO, "%s: became shorter while it was read", f->path);
        to += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return RC_OK;
}

static rc_status tensor_error(const rc__st_file *f, const char *name, const char *what, rc_error *e) {
    return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": %s", f->path, name, what);
}

/* One entry of the header. offset is relative to the end of the header until check_layout. */
static rc_status parse_tensor(const rc__st_file *f, const char *name, json_t *v, uint64_t data_bytes, rc__st_tensor *t,
                              rc_error *e) {
    if (has_control(name)) return rc_fail(e, RC_EMODEL, "%s: the name of a tensor has a control character", f->path);
    json_t *dtype = json_object_get(v, "dtype"), *shape = json_object_get(v, "shape"),
           *span = json_object_get(v, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(span) || json_array_size(span) != 2)
        return tensor_error(f, name, "expected {\"dtype\": text, \"shape\": [...], \"data_offsets\": [begin, end]}", e);
    int d = 0;
    while (d < RC_ST_DTYPE_COUNT && strcmp(dtypes[d].name, json_string_value(dtype)) != 0) d++;
    if (d == RC_ST_DTYPE_COUNT) return tensor_error(f, name, "unknown dtype", e);
    /* NOLINTNEXTLINE(*NullDereference): there is a tensor for each member but the metadata */
    *t = (rc__st_tensor){.name = name, .dtype = (rc__st_dtype)d};

    if (json_array_size(shape) > RC_ST_MAX_DIMS)
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": expected at most %d dimensions, found %zu", f->path, name,
                       RC_ST_MAX_DIMS, json_array_size(shape));
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        json_t *x = json_array_get(shape, (size_t)i);
        if (!json_is_integer(x) || json_integer_value(x) < 0)
            return tensor_error(f, name, "a dimension is not a whole number >= 0", e);
        if ((uint64_t)json_integer_value(x) > SIZE_MAX) /* more than an address space of 32 bits has */
            return tensor_error(f, name, "a dimension is too large: it does not fill its bytes", e);
        t->dim[i] = (size_t)json_integer_value(x);
    }
    json_t *b = json_array_get(span, 0), *z = json_array_get(span, 1);
    if (!json_is_integer(b) || !json_is_integer(z) || json_integer_value(b) < 0 ||
        json_integer_value(z) < json_integer_value(b))
        return tensor_error(f, name, "data_offsets are not two whole numbers 0 <= begin <= end", e);
    uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(z);
    if (end > data_bytes)
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": ends at byte %llu of the data, the file has %llu (truncated?)",
                       f->path, name, (unsigned long long)end, (unsigned long long)data_bytes);
    size_t bytes;
    if (!measure(t->ndim, t->dim, t->dtype, &t->len, &bytes) || bytes != end - begin) {
        char text[200];
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": %s of shape %s does not fill its %llu bytes", f->path, name,
                       dtypes[d].name, rc__st_shape_text(t->ndim, t->dim, text, sizeof text),
                       (unsigned long long)(end - begin));
    }
    t->offset = begin;
    return RC_OK;
}

static int by_offset(const void *a, const void *b) {
    const rc__st_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if ((x->len == 0) != (y->len == 0)) return x->len == 0 ? -1 : 1; /* an empty one fits before, not after */
    return strcmp(x->name, y->name);
}

/* The data must be covered exactly: neither holes (room for hidden content) nor overlaps (two names for one memory). */
static rc_status check_layout(rc__st_file *f, uint64_t data_start, uint64_t data_bytes, rc_error *e) {
    qsort(f->tensor, f->n, sizeof *f->tensor, by_offset);
    uint64_t at = 0;
    for (size_t i = 0; i < f->n; i++) {
        rc__st_tensor *t = &f->tensor[i];
        if (t->offset != at)
            return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": begins at byte %llu of the data, expected %llu (%s)",
                           f->path, t->name, (unsigned long long)t->offset, (unsigned long long)at,
                           t->offset < at ? "tensors overlap" : "a hole");
        at += (uint64_t)t->len * rc__st_dtype_size(t->dtype); /* <= data_bytes: begin and size were checked */
        t->offset += data_start;
        f->sorted[i] = t;
    }
    if (at != data_bytes)
        return rc_fail(e, RC_EMODEL, "%s: tensors end at byte %llu of the data, the file has %llu", f->path,
                       (unsigned long long)at, (unsigned long long)data_bytes);
    qsort(f->sorted, f->n, sizeof *f->sorted, by_name);
    return RC_OK;
}

static rc_status parse_metadata(rc__st_file *f, json_t *v, rc_error *e) {
    if (!json_is_object(v)) return rc_fail(e, RC_EMODEL, "%s: __metadata__: expected an object", f->path);
    const char *key;
    json_t *text;
    json_object_foreach(v, key, text) {
        (void)key;
        if (!json_is_string(text)) return rc_fail(e, RC_EMODEL, "%s: __metadata__: expected texts only", f->path);
    }
    f->meta = v;
    return RC_OK;
}

static rc_status parse_header(rc__st_file *f, const char *text, size_t len, rc_error *e) {
    char where[512];
    snprintf(where, sizeof where, "%s: header", f->path);
    if (len == 0 || text[0] != '{')
        return rc_fail(e, RC_EMODEL, "%s: expected a JSON object (is this a safetensors file?)", where);
    rc_status s = rc__json_parse(text, len, where, &f->root, e);
    if (s != RC_OK) return s;
    json_t *md = json_object_get(f->root, "__metadata__");
    if (md && (s = parse_metadata(f, md, e)) != RC_OK) return s;

    size_t n = json_object_size(f->root) - (md ? 1 : 0);
    f->tensor = rc__calloc(n ? n : 1, sizeof *f->tensor);
    f->sorted = rc__calloc(n ? n : 1, sizeof *f->sorted);
    if (!f->tensor || !f->sorted) {
        rc__free(f->tensor, (n ? n : 1) * sizeof *f->tensor);
        rc__free(f->sorted, (n ? n : 1) * sizeof *f->sorted);
        f->tensor = NULL;
        f->sorted = NULL;
        return rc_fail(e, RC_ENOMEM, "%s: out of memory for %zu tensors", f->path, n);
    }
    if (n == 0) { /* rc__st_close frees n * size */
        rc__free(f->tensor, sizeof *f->tensor);
        rc__free(f->sorted, sizeof *f->sorted);
        f->tensor = NULL;
        f->sorted = NULL;
    }
    f->n = n;
    uint64_t data_bytes = f->size - 8 - len;
    size_t i = 0;
    const char *name;
    json_t *v;
    json_object_foreach(f->root, name, v) {
        if (v == md) continue;
        s = parse_tensor(f, name, v, data_bytes, &f->tensor[i++], e);
        if (s != RC_OK) return s;
    }
    return n            ? check_layout(f, 8 + (uint64_t)len, data_bytes, e)
           : data_bytes ? rc_fail(e, RC_EMODEL, "%s: no tensors, but %llu bytes of data", f->path,
                                  (unsigned long long)data_bytes)
                        : RC_OK;
}

static rc_status read_header(rc__st_file *f, rc_error *e) {
    unsigned char start[8];
    if (f->size < 8)
        return rc_fail(e, RC_EMODEL, "%s: %llu bytes are too few for a safetensors file", f->path,
                       (unsigned long long)f->size);
    rc_status s = read_at(f, 0, start, 8, e);
    if (s != RC_OK) return s;
    uint64_t len = 0;
    for (int i = 7; i >= 0; i--) len = len << 8 | start[i];
    if (len > MAX_HEADER || len > f->size - 8)
        return rc_fail(e, RC_EMODEL,
                       "%s: header of %llu bytes in a file of %llu (not a safetensors file, or truncated)", f->path,
                       (unsigned long long)len, (unsigned long long)f->size);
    char *text = rc__alloc((size_t)len + 1);
    if (!text)
        return rc_fail(e, RC_ENOMEM, "%s: out of memory for a header of %llu bytes", f->path, (unsigned long long)len);
    s = read_at(f, 8, text, (size_t)len, e);
    if (s == RC_OK) s = parse_header(f, text, (size_t)len, e);
    rc__free(text, (size_t)len + 1);
    return s;
}

static rc__st_file *file_new(const char *path) {
    rc__st_file *f = rc__calloc(1, sizeof *f);
    if (!f) return NULL;
    f->fd = -1;
    if ((f->path = rc__strdup(path))) return f;
    rc__free(f, sizeof *f);
    return NULL;
}

static rc_status open_source(rc__st_file *f, rc_error *e) {
    struct stat st;
    bool standard_input = strcmp(f->path, "-") == 0;
    if (!standard_input && stat(f->path, &st) != 0)
        return rc_fail(e, RC_EIO, "%s: cannot open: %s", f->path, strerror(errno));
    if (!standard_input && S_ISDIR(st.st_mode))
        return rc_fail(e, RC_EIO, "%s: is a folder, expected a safetensors file", f->path);
    if (standard_input || !S_ISREG(st.st_mode)) {
        size_t len;
        rc_status s = rc__file_read(f->path, false, 0, &f->owned, &len, e);
        if (s != RC_OK) {
            f->owned = NULL;
            return s;
        }
        f->mem = (const unsigned char *)f->owned;
        f->size = len;
        return RC_OK;
    }
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0) return rc_fail(e, RC_EIO, "%s: cannot open: %s", f->path, strerror(errno));
    f->size = (uint64_t)st.st_size;
    return RC_OK;
}

rc_status rc__st_open(rc__st_file **out, const char *path, rc_error *e) {
    *out = NULL;
    rc__st_file *f = file_new(path);
    if (!f) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = open_source(f, e);
    if (s == RC_OK) s = read_header(f, e);
    if (s != RC_OK)
        rc__st_close(f);
    else
        *out = f;
    return s;
}

rc_status rc__st_open_memory(rc__st_file **out, const void *data, size_t len, const char *name, rc_error *e) {
    *out = NULL;
    rc__st_file *f = file_new(name);
    if (!f) return rc_fail(e, RC_ENOMEM, "%s: out of memory", name);
    f->mem = data;
    f->size = len;
    rc_status s = read_header(f, e);
    if (s != RC_OK)
        rc__st_close(f);
    else
        *out = f;
    return s;
}

/* ---- looking up -------------------------------------------------------------------------------------------------- */

const char *rc__st_name(const rc__st_file *f) { return f->path; }
size_t rc__st_count(const rc__st_file *f) { return f->n; }
const rc__st_tensor *rc__st_at(const rc__st_file *f, size_t i) { return i < f->n ? &f->tensor[i] : NULL; }

const rc__st_tensor *rc__st_find(const rc__st_file *f, const char *name) {
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(name, f->sorted[mid]->name);
        if (c == 0) return f->sorted[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const char *rc__st_get_meta(const rc__st_file *f, const char *key) {
    return json_string_value(json_object_get(f->meta, key));
}

static bool is_float(rc__st_dtype d) { return d == RC_ST_F64 || d == RC_ST_F32 || d == RC_ST_F16 || d == RC_ST_BF16; }

rc_status rc__st_expect(const rc__st_file *f, const char *name, rc__st_dtype dtype, int ndim, const size_t *dim,
                        const rc__st_tensor **out, rc_error *e) {
    char want[200], found[200];
    rc__st_shape_text(ndim, dim, want, sizeof want);
    const rc__st_tensor *t = rc__st_find(f, name);
    if (!t) return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\" is missing, expected shape %s", f->path, name, want);
    if (t->ndim != ndim || (ndim && memcmp(t->dim, dim, (size_t)ndim * sizeof *dim) != 0))
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": expected shape %s, file has %s", f->path, name, want,
                       rc__st_shape_text(t->ndim, t->dim, found, sizeof found));
    if (dtype == RC_ST_DTYPE_COUNT ? !is_float(t->dtype) : t->dtype != dtype)
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": expected %s, file has %s", f->path, name,
                       dtype == RC_ST_DTYPE_COUNT ? "F32, F16, BF16 or F64" : rc__st_dtype_name(dtype),
                       rc__st_dtype_name(t->dtype));
    *out = t;
    return RC_OK;
}

/* ---- reading elements -------------------------------------------------------------------------------------------- */

static rc_status read_elements(const rc__st_file *f, uint64_t offset, void *out, size_t n, size_t size, rc_error *e) {
    rc_status s = read_at(f, offset, out, n * size, e);
    if (REVERSED && s == RC_OK) reverse_bytes(out, n, size);
    return s;
}

rc_status rc__st_read(const rc__st_file *f, const rc__st_tensor *t, void *out, rc_error *e) {
    if (t->len == 0) return RC_OK;
    return read_elements(f, t->offset, out, t->len, rc__st_dtype_size(t->dtype), e);
}

static float bits_float(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* IEEE 754 binary16. Subnormals are value * 2^-24, which float holds exactly. */
static float half_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return bits_float(sign | 0x7f800000u | fraction << 13);
    if (exponent) return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
    float x = (float)fraction * 0x1p-24f;
    return sign ? -x : x;
}

static void convert(rc__st_dtype d, const unsigned char *in, size_t n, rc_real *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        float x;
        double y;
        switch (d) {
        case RC_ST_F16:
            memcpy(&h, in + 2 * i, 2);
            out[i] = half_float(h);
            break;
        case RC_ST_BF16:
            memcpy(&h, in + 2 * i, 2);
            out[i] = bits_float((uint32_t)h << 16);
            break;
        case RC_ST_F32:
            memcpy(&x, in + 4 * i, 4);
            out[i] = (rc_real)x;
            break;
        default:
            memcpy(&y, in + 8 * i, 8);
            out[i] = (rc_real)y;
            break;
        }
    }
}

rc_status rc__st_read_real(const rc__st_file *f, const rc__st_tensor *t, rc_real *out, rc_error *e) {
    if (!is_float(t->dtype))
        return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": expected F32, F16, BF16 or F64, file has %s", f->path, t->name,
                       rc__st_dtype_name(t->dtype));
    if (t->dtype == RC_ST_REAL) return rc__st_read(f, t, out, e);
    unsigned char block[16384];
    size_t size = rc__st_dtype_size(t->dtype), per_block = sizeof block / size;
    for (size_t i = 0; i < t->len; i += per_block) {
        size_t n = t->len - i < per_block ? t->len - i : per_block;
        rc_status s = read_elements(f, t->offset + (uint64_t)i * size, block, n, size, e);
        if (s != RC_OK) return s;
        convert(t->dtype, block, n, out + i);
    }
    return RC_OK;
}
