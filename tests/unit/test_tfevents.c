/* Event files: checksums against published values, records against bytes that TensorBoard wrote
 * (tests/golden/make_tfevents.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "temporary.h"
#include "train/tfevents.h"

static void test_crc(void **state) {
    (void)state;
    assert_int_equal(rc__crc32c("", 0), 0);
    assert_int_equal(rc__crc32c("123456789", 9), 0xE3069283u);
    uint8_t zeros[32] = {0}, ones[32]; /* RFC 3720, B.4 */
    memset(ones, 0xFF, sizeof ones);
    assert_int_equal(rc__crc32c(zeros, 32), 0x8A9136AAu);
    assert_int_equal(rc__crc32c(ones, 32), 0x62A8AB43u);
    assert_int_equal(rc__crc32c_masked("123456789", 9), (0xE3069283u >> 15 | 0xE3069283u << 17) + 0xA282EAD8u);
}

static size_t unhex(const char *s, uint8_t *out) {
    size_t n = 0;
    for (; *s; s += 2, n++) {
        unsigned v;
        assert_int_equal(sscanf(s, "%2x", &v), 1);
        out[n] = (uint8_t)v;
    }
    return n;
}

static size_t slurp(const char *path, uint8_t *out, size_t cap) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

static void test_golden(void **state) {
    (void)state;
    static const char golden[] =
        "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110"
        "0f000000000000006d532b090900002040fc54d94110283a02080188d80308"
        "2100000000000000017becf60900005040fc54d94110ac022a130a110a0a747261696e2f6c6f7373150000803ed7758482"
        "34000000000000005e33175c0900008040fc54d94110ac022a260a240a0673616d706c65421008071204120208014206546f2062650a4a"
        "080a060a0474657874"
        "42fd713d";
    char dir[256];
    TEMPORARY_NAME(dir, temporary_root(), "test");
    assert_non_null(mkdtemp(dir));
    rc_error e = {0};
    rc__tfevents *w;
    assert_int_equal(rc__tfevents_open(&w, dir, 1700000000.5, 40, &e), RC_OK);
    rc__tfevents_scalar(w, 1700000001.25, 300, "train/loss", 0.25);
    rc__tfevents_text(w, 1700000002.0, 300, "sample", "To be\n", 6);
    assert_int_equal(rc__tfevents_flush(w, &e), RC_OK);
    char path[512];
    snprintf(path, sizeof path, "%s", rc__tfevents_path(w));
    assert_non_null(strstr(path, "/events.out.tfevents.1700000000."));
    rc__tfevents_close(w);
    uint8_t want[512], got[512];
    size_t n = unhex(golden, want);
    assert_int_equal(slurp(path, got, sizeof got), n);
    assert_memory_equal(got, want, n);
    unlink(path);
    rmdir(dir);
}

/* Long tags and texts take lengths of more than one byte; what is not flushed is not in the file. */
static void test_frames(void **state) {
    (void)state;
    char dir[256], tag[300], text[5000];
    TEMPORARY_NAME(dir, temporary_root(), "test");
    memset(tag, 't', sizeof tag - 1);
    tag[sizeof tag - 1] = 0;
    memset(text, 'x', sizeof text);
    assert_non_null(mkdtemp(dir));
    rc_error e = {0};
    rc__tfevents *w;
    assert_int_equal(rc__tfevents_open(&w, dir, 1, 0, &e), RC_OK);
    for (int i = 0; i < 100; i++) {
        rc__tfevents_scalar(w, 2, (uint64_t)1 << i % 60, tag, i);
        rc__tfevents_text(w, 2, (uint64_t)i, tag, text, sizeof text);
    }
    assert_int_equal(rc__tfevents_flush(w, &e), RC_OK);
    rc__tfevents_scalar(w, 2, 3, tag, 4);
    char path[512];
    snprintf(path, sizeof path, "%s", rc__tfevents_path(w));
    rc__tfevents_close(w);
    size_t cap = 1 << 20, records = 0, at = 0;
    uint8_t *data = malloc(cap);
    size_t n = slurp(path, data, cap);
    while (at < n) {
        size_t len = 0; /* of this test: far below 32 bits */
        uint32_t crc = 0;
        for (int i = 3; i >= 0; i--) len = len << 8 | data[at + (size_t)i];
        for (int i = 4; i < 8; i++) assert_int_equal(data[at + (size_t)i], 0);
        for (int i = 3; i >= 0; i--) crc = crc << 8 | data[at + 12 + len + (size_t)i];
        assert_int_equal(crc, rc__crc32c_masked(data + at + 12, len));
        at += 16 + len;
        records++;
    }
    assert_int_equal(at, n);
    assert_int_equal(records, 201);
    free(data);
    unlink(path);
    rmdir(dir);
}

static void test_no_folder(void **state) {
    (void)state;
    rc_error e = {0};
    rc__tfevents *w;
    assert_int_equal(rc__tfevents_open(&w, "/nonexistent/folder", 1, 0, &e), RC_EIO);
    assert_null(w);
    assert_non_null(strstr(e.text, "/nonexistent/folder"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crc), cmocka_unit_test(test_golden),
                                       cmocka_unit_test(test_frames), cmocka_unit_test(test_no_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
