/* Reading text; UTF-8 decoding, checking, cutting for streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/utf8.h"
#include "recur/text.h"
#include "temporary.h"

static char path[300];

static void put(const void *data, size_t len) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int make(void **state) {
    (void)state;
    TEMPORARY_NAME(path, temporary_root(), "text");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int drop(void **state) {
    (void)state;
    return unlink(path);
}

static void reads_plain_and_gzip(void **state) {
    (void)state;
    char *text;
    size_t len;
    put("one\ntwo\0x", 9);
    assert_int_equal(rc_text_read(path, &text, &len, NULL), RC_OK);
    assert_int_equal(len, 9);
    assert_memory_equal(text, "one\ntwo\0x", 10); /* with the NUL that is not counted */
    rc_text_free(text, len);
    gzFile z = gzopen(path, "wb");
    assert_int_equal(gzwrite(z, "zipped", 6), 6);
    assert_int_equal(gzclose(z), Z_OK);
    assert_int_equal(rc_text_read(path, &text, &len, NULL), RC_OK);
    assert_int_equal(len, 6);
    assert_string_equal(text, "zipped");
    rc_text_free(text, len);
    rc_text_free(NULL, 0);
}

static void refuses_by_name(void **state) {
    (void)state;
    char *text = (char *)1;
    size_t len = 9;
    rc_error e;
    put("", 0);
    assert_int_equal(rc_text_read(path, &text, &len, &e), RC_EDATA);
    assert_null(text);
    assert_int_equal(len, 0);
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.text, "empty"));
    gzFile z = gzopen(path, "wb"); /* a gzip file of nothing */
    assert_int_equal(gzclose(z), Z_OK);
    assert_int_equal(rc_text_read(path, &text, &len, &e), RC_EDATA);
    assert_int_equal(rc_text_read("/nowhere/at/all", &text, &len, &e), RC_EIO);
    assert_non_null(strstr(e.text, "/nowhere/at/all"));
    assert_int_not_equal(rc_text_read("/tmp", &text, &len, &e), RC_OK);
    assert_null(text);
}

/* The definition written as a loop over all scalar values; everything that is not such an encoding must be refused. */
static void utf8_is_exact(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        if (cp >= 0xD800 && cp < 0xE000) continue;
        char b[4];
        uint32_t back = 1;
        size_t n = rc__utf8_encode(cp, b);
        assert_int_equal(n, cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4);
        assert_int_equal(rc__utf8_decode(b, n, &back), n);
        assert_int_equal(back, cp);
        for (size_t k = 1; k < n; k++) assert_int_equal(rc__utf8_decode(b, k, &back), 0);
    }
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xC3(",
                                      "\xE2\x82(",
                                      "\xF0\x9F\x98("};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t cp;
        assert_int_equal(rc__utf8_decode(bad[i], strlen(bad[i]), &cp), 0);
    }
    /* all pairs and triples of bytes: the number of well-formed ones is known */
    size_t two = 0, three = 0;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            char s[3] = {(char)a, (char)b, 0};
            uint32_t cp;
            two += rc__utf8_decode(s, 2, &cp) == 2;
            for (unsigned c = 0; c < 256; c++) {
                s[2] = (char)c;
                three += rc__utf8_decode(s, 3, &cp) == 3;
            }
        }
    assert_int_equal(two, 0x800 - 0x80);
    assert_int_equal(three, 0x10000 - 0x800 - 0x800);
}

static void names_line_and_byte(void **state) {
    (void)state;
    rc_error e;
    const char text[] = "first line\nsecond \xE4 latin\n";
    assert_int_equal(rc__utf8_check(text, sizeof text - 1, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2, byte 8 (offset 18)"));
    assert_non_null(strstr(e.text, "E4 20 6C"));
    assert_int_equal(rc__utf8_check("gr\xC3\xBC\xC3\x9F", 6, &e), RC_OK);
    assert_int_equal(rc__utf8_check("gr\xC3\xBC\xC3", 5, &e), RC_EDATA); /* cut in the middle */
    assert_int_equal(rc__utf8_valid_prefix("12345678abcdefgh\xFF", 17), 16);
    assert_int_equal(rc__utf8_count("a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80", 10), 4);
}

/* Any text, streamed byte by byte through rc__utf8_whole, comes out in whole code points and complete. */
static void streams_whole_characters(void **state) {
    (void)state;
    const char text[] = "a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80z";
    char held[8];
    size_t n_held = 0, shown = 0;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        held[n_held++] = text[i];
        size_t n = rc__utf8_whole(held, n_held);
        assert_int_equal(rc__utf8_valid_prefix(held, n), n);
        assert_memory_equal(held, text + shown, n);
        shown += n;
        memmove(held, held + n, n_held - n);
        n_held -= n;
        assert_true(n_held <= 3);
    }
    assert_int_equal(shown, sizeof text - 1);
    assert_int_equal(rc__utf8_whole("", 0), 0);
    assert_int_equal(rc__utf8_whole("\x80\x80\x80\x80", 4), 4); /* can never become anything: not held back */
    assert_int_equal(rc__utf8_whole("ab\xFF", 3), 3);
    assert_int_equal(rc__utf8_whole("ab\xE2\x28", 4), 4);
    assert_int_equal(rc__utf8_whole("ab\xE2\x82", 4), 2);
    assert_int_equal(rc__utf8_whole("ab\xF0\x9F\x98", 5), 2);
    assert_int_equal(rc__utf8_whole("ab\xF0\x80\x80", 5), 5); /* overlong */
    assert_int_equal(rc__utf8_whole("\xC3\xBC\xC3", 3), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_plain_and_gzip, make, drop),
        cmocka_unit_test_setup_teardown(refuses_by_name, make, drop),
        cmocka_unit_test(utf8_is_exact),
        cmocka_unit_test(names_line_and_byte),
        cmocka_unit_test(streams_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
