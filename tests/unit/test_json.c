/* JSON: limits, messages, printing, typed members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "temporary.h"

static json_t *parse(const char *text) {
    json_t *v = NULL;
    rc_error e = {0};
    if (rc__json_parse(text, strlen(text), "here", &v, &e) != RC_OK) fail_msg("%s", e.text);
    return v;
}

static void refuse(const char *text, size_t len, const char *why) {
    json_t *v = NULL;
    rc_error e = {0};
    assert_int_equal(rc__json_parse(text, len, "x.json", &v, &e), RC_EMODEL);
    assert_null(v);
    if (!strstr(e.text, why) || strncmp(e.text, "x.json: ", 8) != 0) fail_msg("expected \"%s\" in \"%s\"", why, e.text);
    for (const char *s = e.text; *s; s++) assert_true((unsigned char)*s >= 0x20);
}

#define REFUSE(text, why) refuse(text, sizeof(text) - 1, why)

static void test_refuses(void **state) {
    (void)state;
    REFUSE("", "line 1");
    REFUSE("{", "line 1");
    REFUSE("{}\n{}", "line 2");
    REFUSE("\"text\"", "line 1");
    REFUSE("{\"a\":1,\n \"a\":2}", "duplicate");
    REFUSE("{\"a\":1,}", "line 1");
    REFUSE("{\"a\":NaN}", "line 1");
    REFUSE("{\"a\":01}", "line 1");
    REFUSE("{\"a\":99999999999999999999}", "too big");
    REFUSE("{\"a\":1e999}", "real number overflow");
    REFUSE("{\"a\":\"\xff\"}", "decode byte 0xff");
    REFUSE("{\"a\":\"\xed\xa0\x80\"}", "decode byte 0xed");
    REFUSE("{\"a\":\"\\u0000\"}", "line 1");
    REFUSE("{\"a\":\"\x1b[2J\"}", "line 1");
    REFUSE("{\"a\":1}\0", "line 1");
}

static void test_depth(void **state) {
    (void)state;
    char text[2 * RC_JSON_MAX_DEPTH + 8];
    for (int depth = RC_JSON_MAX_DEPTH; depth <= RC_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        json_t *v = NULL;
        rc_error e = {0};
        rc_status s = rc__json_parse(text, 2 * (size_t)depth, "deep", &v, &e);
        assert_int_equal(s, depth <= RC_JSON_MAX_DEPTH ? RC_OK : RC_EMODEL);
        json_decref(v);
    }
    json_t *v = parse(
        "{\"brackets in text\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}");
    json_decref(v);
}

static void test_print(void **state) {
    (void)state;
    json_t *v = parse(" { \"z\" : [1, -2.5, true, null], \"a\": \"\\u00e4\\n\\\"\" , \"x\": 0.1}");
    char *text;
    size_t len;
    rc_error e = {0};
    assert_int_equal(rc__json_print(v, &text, &len, &e), RC_OK);
    assert_string_equal(text, "{\"z\":[1,-2.5,true,null],\"a\":\"\xc3\xa4\\n\\\"\",\"x\":0.10000000000000001}");
    assert_int_equal(strlen(text), len);
    json_t *again = parse(text);
    assert_true(json_equal(v, again));
    json_decref(again);
    rc__free(text, len + 1);
    assert_int_equal(rc__json_print(NULL, &text, &len, &e), RC_ENOMEM);

    char path[256];
    TEMPORARY_NAME(path, temporary_root(), "json");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(rc__json_write(v, path, &e), RC_OK);
    assert_int_equal(rc__file_read(path, false, 0, &text, &len, &e), RC_OK);
    assert_true(len > 2 && text[len - 1] == '\n' && text[len - 2] == '}');
    rc__free(text, len + 1);
    assert_int_equal(rc__json_read(path, 0, &again, &e), RC_OK);
    assert_true(json_equal(v, again));
    json_decref(again);
    assert_int_equal(rc__json_read(path, 10, &again, &e), RC_EDATA); /* over the limit */
    unlink(path);
    assert_int_equal(rc__json_read(path, 0, &again, &e), RC_EIO);
    json_decref(v);
}

static void test_members(void **state) {
    (void)state;
    json_t *v = parse("{\"n\":7,\"x\":0.5,\"t\":true,\"s\":\"text\",\"o\":{},\"a\":[],\"null\":null,\"neg\":-1}");
    rc_error e = {0};
    int64_t n = 3;
    size_t z = 3;
    double x = 3;
    bool t = false;
    const char *s = "kept";
    json_t *node = NULL;
    assert_int_equal(rc__json_get_int(v, "n", RC_JSON_REQUIRED, 0, 10, &n, "here", &e), RC_OK);
    assert_int_equal(n, 7);
    assert_int_equal(rc__json_get_size(v, "n", RC_JSON_REQUIRED, 1, SIZE_MAX, &z, "here", &e), RC_OK);
    assert_int_equal(z, 7);
    assert_int_equal(rc__json_get_real(v, "x", RC_JSON_REQUIRED, 0, 1, &x, "here", &e), RC_OK);
    assert_true(x == 0.5);
    assert_int_equal(rc__json_get_real(v, "n", RC_JSON_REQUIRED, 0, 0, &x, "here", &e), RC_OK);
    assert_true(x == 7);
    assert_int_equal(rc__json_get_bool(v, "t", RC_JSON_REQUIRED, &t, "here", &e), RC_OK);
    assert_true(t);
    assert_int_equal(rc__json_get_string(v, "s", RC_JSON_REQUIRED, &s, "here", &e), RC_OK);
    assert_string_equal(s, "text");
    assert_int_equal(rc__json_get_object(v, "o", RC_JSON_REQUIRED, &node, "here", &e), RC_OK);
    assert_int_equal(rc__json_get_array(v, "a", RC_JSON_REQUIRED, &node, "here", &e), RC_OK);

    /* absent: kept, or an error */
    n = 3;
    assert_int_equal(rc__json_get_int(v, "absent", RC_JSON_OPTIONAL, 0, 10, &n, "here", &e), RC_OK);
    assert_int_equal(n, 3);
    z = 4;
    assert_int_equal(rc__json_get_size(v, "absent", RC_JSON_OPTIONAL, 0, 10, &z, "here", &e), RC_OK);
    assert_int_equal(z, 4);
    assert_int_equal(rc__json_get_int(v, "absent", RC_JSON_REQUIRED, 0, 10, &n, "here", &e), RC_EMODEL);
    assert_string_equal(e.text, "here: \"absent\" is missing, expected a whole number");

    /* wrong type or range: named, and nothing written */
    assert_int_equal(rc__json_get_int(v, "n", RC_JSON_OPTIONAL, 8, 10, &n, "here", &e), RC_EMODEL);
    assert_string_equal(e.text, "here: \"n\": expected a whole number from 8 to 10, found 7");
    assert_int_equal(rc__json_get_int(v, "x", RC_JSON_OPTIONAL, 0, 10, &n, "here", &e), RC_EMODEL);
    assert_string_equal(e.text, "here: \"x\": expected a whole number, found a number with a fraction");
    assert_int_equal(rc__json_get_int(v, "null", RC_JSON_OPTIONAL, 0, 10, &n, "here", &e), RC_EMODEL);
    assert_int_equal(n, 3);
    assert_int_equal(rc__json_get_size(v, "neg", RC_JSON_OPTIONAL, 0, SIZE_MAX, &z, "here", &e), RC_EMODEL);
    assert_int_equal(z, 4);
    assert_int_equal(rc__json_get_real(v, "n", RC_JSON_OPTIONAL, 0, 1, &x, "here", &e), RC_EMODEL);
    assert_int_equal(rc__json_get_real(v, "s", RC_JSON_OPTIONAL, 0, 1, &x, "here", &e), RC_EMODEL);
    assert_int_equal(rc__json_get_bool(v, "n", RC_JSON_OPTIONAL, &t, "here", &e), RC_EMODEL);
    assert_int_equal(rc__json_get_string(v, "a", RC_JSON_OPTIONAL, &s, "here", &e), RC_EMODEL);
    assert_string_equal(e.text, "here: \"a\": expected a string, found an array");
    assert_int_equal(rc__json_get_object(v, "a", RC_JSON_OPTIONAL, &node, "here", &e), RC_EMODEL);
    assert_int_equal(rc__json_get_array(v, "o", RC_JSON_OPTIONAL, &node, "here", &e), RC_EMODEL);
    json_t *array = json_object_get(v, "a");
    assert_int_equal(rc__json_get_int(array, "n", RC_JSON_OPTIONAL, 0, 10, &n, "here", &e), RC_EMODEL);
    assert_int_equal(rc__json_get_int(NULL, "n", RC_JSON_OPTIONAL, 0, 10, &n, "here", &e), RC_EMODEL);

    static const char *const names[] = {"n", "x", "t", "s", "o", "a", "null", "neg"};
    assert_int_equal(rc__json_only(v, names, 8, "here", &e), RC_OK);
    assert_int_equal(rc__json_only(v, names, 7, "here", &e), RC_EMODEL);
    assert_string_equal(e.text, "here: unknown member \"neg\"");
    json_decref(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refuses), cmocka_unit_test(test_depth),
                                       cmocka_unit_test(test_print), cmocka_unit_test(test_members)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
