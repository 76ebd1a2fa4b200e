/* safetensors.h - reading and writing safetensors files (docs/format.md has the layout and our limits).
 *
 * Writing streams from the caller's arrays: no second copy of the weights. Reading opens the file, checks its whole
 * header before anything else is believed, and then copies one tensor at a time straight to where it belongs: no
 * mapping (a file that shrinks under a mapping kills the process) and no second copy either.
 * The files of untrusted strangers may be opened: every count is checked against the bytes that are there.
 */
#ifndef RC_SAFETENSORS_H
#define RC_SAFETENSORS_H
#include "recur/base.h"

#define RC_ST_MAX_DIMS 8

typedef enum rc__st_dtype {
    RC_ST_F64,
    RC_ST_I64,
    RC_ST_U64,
    RC_ST_F32,
    RC_ST_I32,
    RC_ST_U32,
    RC_ST_F16,
    RC_ST_BF16,
    RC_ST_I16,
    RC_ST_U16,
    RC_ST_I8,
    RC_ST_U8,
    RC_ST_BOOL,
    RC_ST_F8_E4M3,
    RC_ST_F8_E5M2,
    RC_ST_DTYPE_COUNT
} rc__st_dtype;
#ifdef RC_DOUBLE
#define RC_ST_REAL RC_ST_F64
#else
#define RC_ST_REAL RC_ST_F32
#endif
const char *rc__st_dtype_name(rc__st_dtype d); /* "F32" */
size_t rc__st_dtype_size(rc__st_dtype d);      /* 4     */

typedef struct rc__st_tensor {
    const char *name;
    rc__st_dtype dtype;
    int ndim; /* 0 = a scalar of one element */
    size_t dim[RC_ST_MAX_DIMS];
    const void *data; /* writing: the elements, row-major, host order. Reading: NULL */
    size_t len;       /* reading: elements, the product of dim. Writing: ignored */
    uint64_t offset;  /* reading: of the first byte in the file. Writing: ignored */
} rc__st_tensor;

typedef struct rc__st_meta {
    const char *key, *value;
} rc__st_meta; /* UTF-8 */

/* ---- writing -----------------------------------------------------------------------------------------------------
 * Atomic: a temporary name, fsync, rename; on failure the old file is untouched. The bytes are a function of the
 * arguments alone: tensors go out by element size (large first), then name, as the official library orders them;
 * metadata in the order given. RC_EINVAL: a name twice, not UTF-8, or "__metadata__". */
rc_status rc__st_write(const char *path, const rc__st_tensor *tensors, size_t n, const rc__st_meta *meta, size_t n_meta,
                       rc_error *e);

/* A growing list for rc__st_write; start from {0}. Names are copied, data is borrowed. */
typedef struct rc__st_list {
    rc__st_tensor *tensor;
    size_t n, cap;
} rc__st_list;
rc_status rc__st_list_add(rc__st_list *l, const char *prefix, const char *name, rc__st_dtype dtype, int ndim,
                          const size_t *dim, const void *data,
                          rc_error *e); /* stored as <prefix><name>; prefix may be NULL */
void rc__st_list_free(rc__st_list *l);

/* ---- reading ----------------------------------------------------------------------------------------------------- */
typedef struct rc__st_file rc__st_file;

/* Opens and checks the header: its length, JSON (depth, duplicates), types, offsets = product of dims * element size,
 * no overlap and no hole, the last tensor ends where the file does. RC_EIO: cannot be opened or read; RC_EMODEL:
 * malformed. A path that cannot seek (a pipe, "-") is read whole. */
rc_status rc__st_open(rc__st_file **out, const char *path, rc_error *e);
/* The same on bytes in memory, which must outlive the file; name is for messages. */
rc_status rc__st_open_memory(rc__st_file **out, const void *data, size_t len, const char *name, rc_error *e);
void rc__st_close(rc__st_file *f);

const char *rc__st_name(const rc__st_file *f); /* the path, for messages */
size_t rc__st_count(const rc__st_file *f);
const rc__st_tensor *rc__st_at(const rc__st_file *f, size_t i);           /* in file order */
const rc__st_tensor *rc__st_find(const rc__st_file *f, const char *name); /* NULL when absent; O(log n) */
const char *rc__st_get_meta(const rc__st_file *f, const char *key);       /* NULL when absent */

/* Finds a tensor that must be there with this shape; RC_EMODEL names file, tensor, expected and found.
 * dtype RC_ST_DTYPE_COUNT = any type that rc__st_read_real takes. */
rc_status rc__st_expect(const rc__st_file *f, const char *name, rc__st_dtype dtype, int ndim, const size_t *dim,
                        const rc__st_tensor **out, rc_error *e);
/* Copies elements as stored: out has len * element size bytes. */
rc_status rc__st_read(const rc__st_file *f, const rc__st_tensor *t, void *out, rc_error *e);
/* Converts F16, BF16, F32, F64 to rc_real (RC_EMODEL for other types): out has len elements. */
rc_status rc__st_read_real(const rc__st_file *f, const rc__st_tensor *t, rc_real *out, rc_error *e);

/* "(3, 4)" into buf, for messages; returns buf. */
const char *rc__st_shape_text(int ndim, const size_t *dim, char *buf, size_t cap);
#endif
