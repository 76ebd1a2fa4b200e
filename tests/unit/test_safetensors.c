/* safetensors files: round trips, the bytes, hostile files, and the official Python library on both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "formats/safetensors.h"
#include "failing.h"
#include "temporary.h"

static char folder[256];

static const char *in_folder(const char *name) {
    static char path[4][512];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

/* The first 8 bytes of a file: the length of its header, little-endian on any machine. */
static size_t header_length(const char *file) {
    size_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)file[i];
    return n;
}
static void put_header_length(char *file, size_t n) {
    for (int i = 0; i < 8; i++, n >>= 8) file[i] = (char)(n & 255);
}

static int setup(void **state) {
    (void)state;
    TEMPORARY_NAME(folder, temporary_root(), "st");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* ---- a small file of everything ---------------------------------------------------------------------------------- */

static const float w[6] = {1, -2, 3.5f, 0, -0.0f, 1e-30f};
static const double d[2] = {1.0 / 3, -1e300};
static const int32_t ids[3] = {-1, 0, INT32_MAX};
static const int64_t steps[1] = {-(INT64_C(1) << 62)};
static const uint8_t bytes[5] = {0, 1, 127, 128, 255};
static const rc__st_tensor small[] = {
    {.name = "rnn.weight_ih_l0", .dtype = RC_ST_F32, .ndim = 2, .dim = {2, 3}, .data = w},
    {.name = "bytes", .dtype = RC_ST_U8, .ndim = 1, .dim = {5}, .data = bytes},
    {.name = "d", .dtype = RC_ST_F64, .ndim = 1, .dim = {2}, .data = d},
    {.name = "steps", .dtype = RC_ST_I64, .ndim = 0, .data = steps},
    {.name = "ids \"\xc3\xa4\"", .dtype = RC_ST_I32, .ndim = 1, .dim = {3}, .data = ids},
    {.name = "empty", .dtype = RC_ST_F32, .ndim = 2, .dim = {0, 7}, .data = NULL},
};
#define N_SMALL (sizeof small / sizeof *small)
static const rc__st_meta meta[] = {{"recur", "{\"format\": 1, \"x\": \"\\u00e4\\n\"}"},
                                   {"note", "line 1\nline 2 \xe2\x82\xac"}};

static void write_small(const char *path) {
    rc_error e = {0};
    if (rc__st_write(path, small, N_SMALL, meta, 2, &e) != RC_OK) fail_msg("%s", e.text);
}

static void read_all(const char *path, char **data, size_t *len) {
    rc_error e = {0};
    if (rc__file_read(path, false, 0, data, len, &e) != RC_OK) fail_msg("%s", e.text);
}

static void check_small(const rc__st_file *f) {
    assert_int_equal(rc__st_count(f), N_SMALL);
    for (size_t i = 0; i < N_SMALL; i++) {
        const rc__st_tensor *t;
        rc_error e = {0};
        if (rc__st_expect(f, small[i].name, small[i].dtype, small[i].ndim, small[i].dim, &t, &e) != RC_OK)
            fail_msg("%s", e.text);
        unsigned char out[64];
        assert_int_equal(rc__st_read(f, t, out, &e), RC_OK);
        if (t->len) assert_memory_equal(out, small[i].data, t->len * rc__st_dtype_size(t->dtype));
    }
    for (size_t i = 0; i < 2; i++) assert_string_equal(rc__st_get_meta(f, meta[i].key), meta[i].value);
    assert_null(rc__st_get_meta(f, "other"));
    assert_null(rc__st_find(f, "other"));
    assert_null(rc__st_find(f, "__metadata__"));
}

static void test_round_trip(void **state) {
    (void)state;
    const char *path = in_folder("a.safetensors");
    write_small(path);
    rc__st_file *f;
    rc_error e = {0};
    if (rc__st_open(&f, path, &e) != RC_OK) fail_msg("%s", e.text);
    check_small(f);
    assert_string_equal(rc__st_name(f), path);
    rc__st_close(f);
    char *data;
    size_t len;
    read_all(path, &data, &len);
    assert_int_equal(rc__st_open_memory(&f, data, len, "memory", &e), RC_OK);
    check_small(f);
    rc__st_close(f);
    rc__free(data, len + 1);
}

/* Large elements first, then names; elements begin at a multiple of 8; padding is spaces; the order given does not
 * matter. */
static void test_bytes(void **state) {
    (void)state;
    write_small(in_folder("a"));
    rc__st_tensor turned[N_SMALL];
    for (size_t i = 0; i < N_SMALL; i++) turned[i] = small[N_SMALL - 1 - i];
    rc_error e = {0};
    assert_int_equal(rc__st_write(in_folder("b"), turned, N_SMALL, meta, 2, &e), RC_OK);
    char *a, *b;
    size_t na, nb;
    read_all(in_folder("a"), &a, &na);
    read_all(in_folder("b"), &b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    size_t header = header_length(a);
    assert_int_equal(header % 8, 0);
    assert_int_equal(na, 8 + header + sizeof w + sizeof d + sizeof ids + sizeof steps + sizeof bytes);
    static const char *const order[] = {"d", "steps", "empty", "ids \"\xc3\xa4\"", "rnn.weight_ih_l0", "bytes"};
    rc__st_file *f;
    assert_int_equal(rc__st_open_memory(&f, a, na, "a", &e), RC_OK);
    for (size_t i = 0; i < N_SMALL; i++) assert_string_equal(rc__st_at(f, i)->name, order[i]);
    assert_null(rc__st_at(f, N_SMALL));
    rc__st_close(f);
    rc__free(a, na + 1);
    rc__free(b, nb + 1);
}

static void test_nothing_inside(void **state) {
    (void)state;
    rc_error e = {0};
    rc__st_file *f;
    assert_int_equal(rc__st_write(in_folder("none"), NULL, 0, NULL, 0, &e), RC_OK);
    if (rc__st_open(&f, in_folder("none"), &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc__st_count(f), 0);
    assert_null(rc__st_find(f, "x"));
    assert_null(rc__st_get_meta(f, "recur"));
    rc__st_close(f);
}

static void test_writer_refuses(void **state) {
    (void)state;
    const char *path = in_folder("never");
    rc_error e = {0};
    float x = 0;
    rc__st_tensor t[2] = {{.name = "a", .dtype = RC_ST_F32, .ndim = 1, .dim = {1}, .data = &x},
                          {.name = "a", .dtype = RC_ST_F64, .ndim = 1, .dim = {0}, .data = &x}};
    assert_int_equal(rc__st_write(path, t, 2, NULL, 0, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "\"a\" is given twice"));
    t[0].name = "__metadata__";
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    t[0].name = "bad \xff";
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    t[0].name = "bad \x1b[2J";
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    t[0] = (rc__st_tensor){.name = "huge", .dtype = RC_ST_F32, .ndim = 2, .dim = {SIZE_MAX / 2, 3}, .data = &x};
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    t[0] = (rc__st_tensor){.name = "dims", .dtype = RC_ST_F32, .ndim = RC_ST_MAX_DIMS + 1, .data = &x};
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    t[0] = (rc__st_tensor){.name = "no data", .dtype = RC_ST_F32, .ndim = 0};
    assert_int_equal(rc__st_write(path, t, 1, NULL, 0, &e), RC_EINVAL);
    rc__st_meta twice[2] = {{"k", "1"}, {"k", "2"}}, latin = {"k", "\xe4"};
    t[0].data = &x;
    assert_int_equal(rc__st_write(path, t, 1, twice, 2, &e), RC_EINVAL);
    assert_int_equal(rc__st_write(path, t, 1, &latin, 1, &e), RC_EINVAL);
    assert_false(rc__exists(path));
    assert_int_equal(rc__st_write("/nonexistent/x", t, 1, NULL, 0, &e), RC_EIO);
}

/* ---- hostile files ----------------------------------------------------------------------------------------------- */

static void refuse_header(const char *json, const char *data, size_t data_len, const char *why) {
    char file[4096];
    size_t n = strlen(json);
    put_header_length(file, n);
    memcpy(file + 8, json, n);
    memcpy(file + 8 + n, data, data_len);
    rc_error e = {0};
    rc__st_file *f;
    rc_status s = rc__st_open_memory(&f, file, 8 + n + data_len, "bad.safetensors", &e);
    if (!why) {
        if (s != RC_OK) fail_msg("%s", e.text);
        rc__st_close(f);
        return;
    }
    assert_int_equal(s, RC_EMODEL);
    if (!strstr(e.text, why)) fail_msg("expected \"%s\" in \"%s\"", why, e.text);
}

static void test_known_bad(void **state) {
    (void)state;
    char z[64] = {0};
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8, NULL);
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}   ", z, 8, NULL);
    refuse_header(" {\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8, "expected a JSON object");
    refuse_header("[]", z, 0, "expected a JSON object");
    refuse_header("{}", z, 8, "no tensors");
    refuse_header("{} x", z, 0, "header: line 1");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 12, "end at byte 8");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 4, "truncated");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", z, 12, "a hole");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", z, 8, "does not fill");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", z, 8, "dimension");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", z, 8, "dimension");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", z, 8, "data_offsets");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", z, 8, "data_offsets");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", z, 8, "expected {");
    refuse_header("{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8, "unknown dtype");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", z, 8,
                  "dimensions");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", z, 8, "expected {");
    refuse_header("{\"a\":7}", z, 0, "expected {");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776,1099511627776],\"data_offsets\":[0,8]}}", z, 8,
                  "does not fill");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", z, 0,
                  "does not fill");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", z, 8,
                  "header");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", z, 8,
                  "truncated");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":["
                  "2],\"data_offsets\":[4,12]}}",
                  z, 12, "overlap");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":["
                  "2],\"data_offsets\":[0,8]}}",
                  z, 8, "overlap");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":["
                  "2],\"data_offsets\":[8,16]}}",
                  z, 16, "duplicate");
    refuse_header("{\"__metadata__\":{\"a\":1}}", z, 0, "texts only");
    refuse_header("{\"__metadata__\":[]}", z, 0, "expected an object");
    refuse_header("{\"\\u001b[2J\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8,
                  "control character");
    refuse_header("{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8, "header");
    refuse_header("{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", z, 8, "header");
    char deep[1024];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    deep[1023] = 0;
    refuse_header(deep, z, 0, "nested deeper");
    rc_error e = {0};
    rc__st_file *f;
    uint64_t huge[2] = {UINT64_MAX - 7, 0};
    assert_int_equal(rc__st_open_memory(&f, huge, 16, "x", &e), RC_EMODEL);
    huge[0] = (uint64_t)1 << 40;
    assert_int_equal(rc__st_open_memory(&f, huge, 16, "x", &e), RC_EMODEL);
}

static void test_ordinary_mistakes(void **state) {
    (void)state;
    rc_error e = {0};
    rc__st_file *f;
    assert_int_equal(rc__st_open(&f, in_folder("missing"), &e), RC_EIO);
    assert_non_null(strstr(e.text, "missing"));
    assert_int_equal(rc__st_open(&f, folder, &e), RC_EIO);
    assert_non_null(strstr(e.text, "folder"));
    assert_int_equal(
        rc__file_write(in_folder("text"), "First Citizen: before we proceed any further, hear me speak.", 60, &e),
        RC_OK);
    assert_int_equal(rc__st_open(&f, in_folder("text"), &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "not a safetensors file"));
    write_small(in_folder("a"));
    assert_int_equal(rc__st_open(&f, in_folder("a"), &e), RC_OK);
    const rc__st_tensor *t;
    size_t dim[2] = {2, 4};
    assert_int_equal(rc__st_expect(f, "rnn.weight_ih_l0", RC_ST_F32, 2, dim, &t, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "a: tensor \"rnn.weight_ih_l0\": expected shape (2, 4), file has (2, 3)"));
    dim[1] = 3;
    assert_int_equal(rc__st_expect(f, "rnn.weight_ih_l0", RC_ST_I32, 2, dim, &t, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "expected I32, file has F32"));
    assert_int_equal(rc__st_expect(f, "nowhere", RC_ST_I32, 2, dim, &t, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "\"nowhere\" is missing"));
    rc_real x[8];
    assert_int_equal(rc__st_read_real(f, rc__st_find(f, "bytes"), x, &e), RC_EMODEL);
    rc__st_close(f);
    /* A file that shrinks after it was opened is an error, not a signal. */
    assert_int_equal(rc__st_open(&f, in_folder("a"), &e), RC_OK);
    assert_int_equal(truncate(in_folder("a"), 100), 0);
    assert_int_equal(rc__st_read_real(f, rc__st_find(f, "rnn.weight_ih_l0"), x, &e), RC_EIO);
    rc__st_close(f);
}

static void test_pipe(void **state) {
    (void)state;
    const char *pipe_name = in_folder("pipe"), *path = in_folder("a");
    write_small(path);
    assert_int_equal(mkfifo(pipe_name, 0600), 0);
    char command[600];
    snprintf(command, sizeof command, "cat %s > %s &", path, pipe_name);
    assert_int_equal(system(command), 0);
    rc_error e = {0};
    rc__st_file *f;
    if (rc__st_open(&f, pipe_name, &e) != RC_OK) fail_msg("%s", e.text);
    check_small(f);
    rc__st_close(f);
}

/* ---- memory runs out --------------------------------------------------------------------------------------------- */

static void test_out_of_memory(void **state) {
    (void)state;
    failing f = {0};
    rc_set_allocator(failing_alloc, &f);
    rc_error e = {0};
    rc_status s = RC_ENOMEM;
    size_t used = rc_memory_used();
    for (long n = 0; s != RC_OK && n < 100; n++) {
        f.left = n;
        s = rc__st_write(in_folder("m"), small, N_SMALL, meta, 2, &e);
        assert_true(s == RC_OK || s == RC_ENOMEM);
        assert_int_equal(rc_memory_used(), used);
    }
    assert_int_equal(s, RC_OK);
    s = RC_ENOMEM;
    for (long n = 0; s != RC_OK && n < 100; n++) {
        f.left = n;
        rc__st_file *file;
        s = rc__st_open(&file, in_folder("m"), &e);
        assert_true(s == RC_OK || s == RC_ENOMEM);
        rc__st_close(file);
        assert_int_equal(rc_memory_used(), used);
    }
    assert_int_equal(s, RC_OK);
    rc_set_allocator(NULL, NULL);
}

/* The same for the memory of JSON nodes, which comes from jansson. */
static long left;
static void *failing_malloc(size_t size) {
    if (left-- > 0) return malloc(size);
    errno = ENOMEM; /* as malloc does */
    return NULL;
}

static void test_out_of_json_memory(void **state) {
    (void)state;
    rc_error e = {0};
    json_set_alloc_funcs(failing_malloc, free);
    size_t used = rc_memory_used();
    rc_status s = RC_ENOMEM;
    long n = 0;
    for (; s != RC_OK && n < 1000; n++) {
        left = n;
        s = rc__st_write(in_folder("j"), small, N_SMALL, meta, 2, &e);
        assert_true(s == RC_OK || s == RC_ENOMEM ||
                    s == RC_EINVAL); /* jansson does not tell no memory from not UTF-8 */
        assert_int_equal(rc_memory_used(), used);
        assert_true(rc__exists(in_folder("j")) == (s == RC_OK));
    }
    assert_true(s == RC_OK && n > 20);
    s = RC_ENOMEM;
    for (n = 0; s != RC_OK && n < 1000; n++) {
        left = n;
        rc__st_file *f;
        s = rc__st_open(&f, in_folder("j"), &e);
        if (s != RC_OK && s != RC_ENOMEM) fail_msg("allocation %ld: %s", n, e.text);
        rc__st_close(f);
        assert_int_equal(rc_memory_used(), used);
    }
    assert_true(s == RC_OK && n > 20);
    json_set_alloc_funcs(malloc, free);
}

/* ---- other types ------------------------------------------------------------------------------------------------- */

static void test_half_types(void **state) {
    (void)state;
    /* 1, -2, the largest, the smallest normal, the smallest subnormal, -0, inf, NaN */
    const uint16_t half[8] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000, 0x7c00, 0x7e00};
    const float half_is[6] = {1, -2, 65504, 0x1p-14f, 0x1p-24f, -0.0f};
    const uint16_t brain[8] = {0x3f80, 0xc000, 0x7f7f, 0x0080, 0x0001, 0x8000, 0xff80, 0x7fc0};
    const float brain_is[6] = {1, -2, 0x1.fep127f, 0x1p-126f, 0x1p-133f, -0.0f};
    double many[5000];
    for (int i = 0; i < 5000; i++) many[i] = i / 3.0;
    rc__st_tensor t[3] = {{.name = "half", .dtype = RC_ST_F16, .ndim = 1, .dim = {8}, .data = half},
                          {.name = "brain", .dtype = RC_ST_BF16, .ndim = 1, .dim = {8}, .data = brain},
                          {.name = "many", .dtype = RC_ST_F64, .ndim = 2, .dim = {50, 100}, .data = many}};
    rc_error e = {0};
    rc__st_file *f;
    assert_int_equal(rc__st_write(in_folder("types"), t, 3, NULL, 0, &e), RC_OK);
    assert_int_equal(rc__st_open(&f, in_folder("types"), &e), RC_OK);
    rc_real x[5000];
    assert_int_equal(rc__st_read_real(f, rc__st_find(f, "half"), x, &e), RC_OK);
    for (int i = 0; i < 6; i++) assert_true(x[i] == half_is[i] && signbit(x[i]) == signbit(half_is[i]));
    assert_true(isinf(x[6]) && x[6] > 0 && isnan(x[7]));
    assert_int_equal(rc__st_read_real(f, rc__st_find(f, "brain"), x, &e), RC_OK);
    for (int i = 0; i < 6; i++) assert_true(x[i] == brain_is[i] && signbit(x[i]) == signbit(brain_is[i]));
    assert_true(isinf(x[6]) && x[6] < 0 && isnan(x[7]));
    assert_int_equal(rc__st_read_real(f, rc__st_find(f, "many"), x, &e), RC_OK);
    for (int i = 0; i < 5000; i++) assert_true(x[i] == (rc_real)many[i]);
    rc__st_close(f);
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static rc_params *two_params(uint64_t seed, size_t width) {
    rc_params *ps;
    rc_error e = {0};
    assert_int_equal(rc_params_new(&ps, &e), RC_OK);
    size_t dim[2] = {3, width};
    rc_init init = {.kind = RC_INIT_NORMAL, .value = 1};
    assert_non_null(rc_params_add(ps, "rnn.weight_hh_l0", 2, dim, init, &e));
    assert_non_null(rc_params_add(ps, "bias", 1, dim, init, &e));
    assert_int_equal(rc_params_build(ps, seed, &e), RC_OK);
    return ps;
}

static void save_params(const char *path, rc_params *ps, const char *extra) {
    rc_error e = {0};
    rc__st_list l = {0};
    assert_int_equal(rc__params_list(&l, ps, NULL, NULL, &e), RC_OK);
    assert_int_equal(rc__params_list(&l, ps, rc_params_grads(ps), "exp_avg.", &e), RC_OK);
    size_t none = 0;
    if (extra) assert_int_equal(rc__st_list_add(&l, NULL, extra, RC_ST_F32, 1, &none, NULL, &e), RC_OK);
    assert_int_equal(rc__st_write(path, l.tensor, l.n, NULL, 0, &e), RC_OK);
    rc__st_list_free(&l);
}

static void test_params(void **state) {
    (void)state;
    static const char *const other[] = {"exp_avg."};
    rc_params *a = two_params(1, 4), *b = two_params(2, 4), *narrow = two_params(3, 5);
    for (size_t i = 0; i < 3 * 4; i++) rc_params_at(a, 0)->g[i] = (rc_real)i;
    save_params(in_folder("p"), a, NULL);
    rc_error e = {0};
    rc__st_file *f;
    assert_int_equal(rc__st_open(&f, in_folder("p"), &e), RC_OK);
    uint64_t version = rc_params_version(b);
    if (rc__params_read(f, b, NULL, NULL, other, 1, &e) != RC_OK) fail_msg("%s", e.text);
    assert_true(rc_params_version(b) != version);
    assert_memory_equal(rc_params_values(a), rc_params_values(b), rc_params_block_len(a) * sizeof(rc_real));
    assert_int_equal(rc__params_read(f, b, rc_params_grads(b), "exp_avg.", NULL, 0, &e), RC_OK);
    assert_memory_equal(rc_params_grads(a), rc_params_grads(b), rc_params_block_len(a) * sizeof(rc_real));

    assert_int_equal(rc__params_read(f, b, NULL, NULL, NULL, 0, &e), RC_EMODEL); /* moments are not expected */
    assert_non_null(strstr(e.text, "exp_avg."));
    rc_real before = rc_params_at(narrow, 1)->w[0];
    assert_int_equal(rc__params_read(f, narrow, NULL, NULL, other, 1, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "tensor \"rnn.weight_hh_l0\": expected shape (3, 5), file has (3, 4)"));
    assert_true(rc_params_at(narrow, 1)->w[0] == before);
    assert_int_equal(rc__params_read(f, b, NULL, "model.", other, 1, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "\"model.rnn.weight_hh_l0\" is missing"));
    rc__st_close(f);

    save_params(in_folder("p"), a, "left over");
    assert_int_equal(rc__st_open(&f, in_folder("p"), &e), RC_OK);
    assert_int_equal(rc__params_read(f, b, NULL, NULL, other, 1, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "\"left over\" of shape (0,) is not expected"));
    rc__st_close(f);

    rc_params_at(a, 1)->w[2] = (rc_real)NAN;
    save_params(in_folder("p"), a, NULL);
    assert_int_equal(rc__st_open(&f, in_folder("p"), &e), RC_OK);
    assert_int_equal(rc__params_read(f, b, NULL, NULL, other, 1, &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "tensor \"bias\": element 2 is not a finite number"));
    rc__st_close(f);
    rc_params_free(a);
    rc_params_free(b);
    rc_params_free(narrow);
}

/* ---- the official library ---------------------------------------------------------------------------------------- */

static void test_file_from_python(void **state) {
    (void)state;
    const char *dir = getenv("RECUR_TEST_DIR");
    if (!dir) {
        print_message("RECUR_TEST_DIR is not set: skipped\n");
        skip();
    }
    char path[512];
    snprintf(path, sizeof path, "%s/golden/python.safetensors", dir);
    rc_error e = {0};
    rc__st_file *f;
    if (rc__st_open(&f, path, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc__st_count(f), 13);
    assert_string_equal(rc__st_get_meta(f, "recur"), "{\"format\": 1, \"text\": \"\xc3\xa4 \\n\"}");
    static const struct {
        const char *name;
        size_t len;
    } floats[] = {{"f64", 3},
                  {"f32", 6},
                  {"f16", 5},
                  {"bf16", 7},
                  {"gr\xc3\xb6\xc3\x9f"
                   "e \xe7\xa9\xba",
                   2}};
    rc_real x[8];
    for (size_t k = 0; k < 5; k++) {
        const rc__st_tensor *t = rc__st_find(f, floats[k].name);
        assert_non_null(t);
        assert_int_equal(t->len, floats[k].len);
        assert_int_equal(rc__st_read_real(f, t, x, &e), RC_OK);
        for (size_t i = 0; i < t->len; i++) assert_true(x[i] == ((rc_real)i - 2) / 4);
    }
    int64_t i64[4];
    int32_t i32[3];
    uint8_t u8[3], yes[3];
    size_t dim[3] = {2, 1, 2}, three = 3, empty[2] = {0, 4};
    const rc__st_tensor *t;
    assert_int_equal(rc__st_expect(f, "i64", RC_ST_I64, 3, dim, &t, &e), RC_OK);
    assert_int_equal(rc__st_read(f, t, i64, &e), RC_OK);
    assert_int_equal(rc__st_expect(f, "i32", RC_ST_I32, 1, &three, &t, &e), RC_OK);
    assert_int_equal(rc__st_read(f, t, i32, &e), RC_OK);
    assert_int_equal(rc__st_expect(f, "u8", RC_ST_U8, 1, &three, &t, &e), RC_OK);
    assert_int_equal(rc__st_read(f, t, u8, &e), RC_OK);
    assert_int_equal(rc__st_expect(f, "bool", RC_ST_BOOL, 1, &three, &t, &e), RC_OK);
    assert_int_equal(rc__st_read(f, t, yes, &e), RC_OK);
    for (int i = 0; i < 3; i++) assert_true(i64[i] == i - 2 && i32[i] == i - 2 && u8[i] == i && yes[i] == i % 2);
    assert_int_equal(rc__st_expect(f, "scalar", RC_ST_DTYPE_COUNT, 0, NULL, &t, &e), RC_OK);
    assert_int_equal(rc__st_read_real(f, t, x, &e), RC_OK);
    assert_true(x[0] == 0.5f);
    assert_int_equal(rc__st_expect(f, "empty", RC_ST_F32, 2, empty, &t, &e), RC_OK);
    rc__st_close(f);
}

static void test_python_reads_ours(void **state) {
    (void)state;
    const char *python = getenv("RECUR_PYTHON");
    char command[1200];
    if (!python) python = "python3";
    snprintf(command, sizeof command, "%s -c 'import numpy, safetensors.numpy' 2>/dev/null", python);
    if (system(command) != 0) {
        print_message("%s (RECUR_PYTHON) lacks numpy or safetensors: skipped\n", python);
        skip();
    }
    write_small(in_folder("a"));
    char script[] =
        "import sys, numpy as np\n"
        "from safetensors import safe_open\n"
        "f = safe_open(sys.argv[1], 'np')\n"
        "t = {k: f.get_tensor(k) for k in f.keys()}\n"
        "assert len(t) == 6, t\n"
        "w = t['rnn.weight_ih_l0']\n"
        "assert w.dtype == np.float32 and (w == np.array([[1, -2, 3.5], [0, 0, 1e-30]], np.float32)).all()\n"
        "assert (t['bytes'] == np.array([0, 1, 127, 128, 255], np.uint8)).all() and t['bytes'].dtype == np.uint8\n"
        "assert t['d'][0] == 1 / 3 and t['d'][1] == -1e300\n"
        "assert t['steps'].shape == () and int(t['steps']) == -2**62\n"
        "assert (t['ids \"\\u00e4\"'] == np.array([-1, 0, 2**31 - 1])).all() and t['ids \"\\u00e4\"'].dtype == "
        "np.int32\n"
        "assert t['empty'].shape == (0, 7)\n"
        "m = f.metadata()\n"
        "assert m['note'] == 'line 1\\nline 2 \\u20ac' and '\\\\u00e4' in m['recur'], m\n";
    rc_error e = {0};
    assert_int_equal(rc__file_write(in_folder("check.py"), script, sizeof script - 1, &e), RC_OK);
    snprintf(command, sizeof command, "%s %s %s", python, in_folder("check.py"), in_folder("a"));
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_nothing_inside),    cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_known_bad),         
        cmocka_unit_test(test_ordinary_mistakes), cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_out_of_memory),     cmocka_unit_test(test_out_of_json_memory),
        cmocka_unit_test(test_half_types),        cmocka_unit_test(test_params),
        cmocka_unit_test(test_file_from_python),  cmocka_unit_test(test_python_reads_ours),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
