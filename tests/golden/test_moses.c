/* Cutting and joining text by Moses' rules against sacremoses: moses.json is made by make_moses.py. With RECUR_DATA, the German
 * test reference of multi30k has the published number of tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "data/moses.h"
#include "failing.h"
#include "recur/text.h"

static void check(const char *what, const json_t *c, const rc__string *got, const json_t *want) {
    if (got->len == json_string_length(want) &&
        (got->len == 0 || memcmp(got->s, json_string_value(want), got->len) == 0))
        return;
    fail_msg("%s (%s) of \"%s\": \"%.*s\", expected \"%s\"", what, json_string_value(json_array_get(c, 0)),
             json_string_value(json_array_get(c, 1)), (int)got->len, got->s ? got->s : "", json_string_value(want));
}

static rc__cell cell(const json_t *v) { return (rc__cell){json_string_value(v), json_string_length(v)}; }

static void as_sacremoses(void **state) {
    (void)state;
    char path[600];
    const char *dir = getenv("RECUR_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/moses.json", dir ? dir : "tests");
    json_t *cases = json_load_file(path, 0, NULL), *c;
    size_t i;
    rc__string out = {0};
    rc_error e;
    assert_true(json_array_size(cases) > 700);
    json_array_foreach(cases, i, c) {
        const json_t *text = json_array_get(c, 1);
        rc__moses_options o = {.language = json_string_value(json_array_get(c, 0))};
        out.len = 0;
        assert_int_equal(rc__moses_tokenize(&out, cell(text), &o, &e), RC_OK);
        check("tokens", c, &out, json_array_get(c, 2));
        o.normalize = true;
        out.len = 0;
        assert_int_equal(rc__moses_tokenize(&out, cell(text), &o, &e), RC_OK);
        check("normalised tokens", c, &out, json_array_get(c, 3));
        out.len = 0;
        assert_int_equal(rc__moses_detokenize(&out, cell(json_array_get(c, 3)), o.language, &e), RC_OK);
        check("text", c, &out, json_array_get(c, 4));
    }
    rc__string_free(&out);
    json_decref(cases);
}

static void lower_case_comes_first(void **state) {
    (void)state;
    rc__string out = {0};
    rc_error e;
    const rc__moses_options o = {.language = "en", .normalize = true, .lowercase = true};
    static const char text[] = "„Dr. Smith isn’t HERE…“ ΟΔΟΣ.";
    assert_int_equal(rc__moses_tokenize(&out, (rc__cell){text, strlen(text)}, &o, &e), RC_OK);
    assert_int_equal(rc__string_put(&out, "", 1, &e), RC_OK);
    assert_string_equal(out.s, "\" dr. smith isn 't here ... \" οδος .");
    rc__string_free(&out);
}

static void odd_text_and_refused_memory(void **state) {
    (void)state;
    static const char text[] = "\xff a, b's... (x) \"y.\" 5\xC2\xA0"
                               "000 Mr. \xc3";
    for (long n = 0;; n++) {
        rc__string out = {0};
        rc_error e;
        const rc__moses_options o = {.language = NULL, .normalize = true, .lowercase = true};
        failing f = {.left = n};
        size_t before = rc_memory_used();
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc__moses_tokenize(&out, (rc__cell){text, sizeof text - 1}, &o, &e);
        if (s == RC_OK) s = rc__moses_detokenize(&out, (rc__cell){text, sizeof text - 1}, NULL, &e);
        rc__string_free(&out);
        rc_set_allocator(NULL, NULL);
        assert_int_equal(rc_memory_used(), before);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        assert_true(n < 1000);
    }
}

static void the_german_reference_of_multi30k(void **state) {
    (void)state;
    char path[600], *text;
    size_t len, tokens = 0, lines = 0;
    rc_error e;
    const char *data = getenv("RECUR_DATA");
    if (!data) {
        puts("RECUR_DATA is not set: multi30k is not read");
        skip();
    }
    snprintf(path, sizeof path, "%s/multi30k-en-de/test_2016_flickr.de.gz", data);
    if (rc_text_read(path, &text, &len, &e) != RC_OK) fail_msg("%s", e.text);
    rc__string out = {0};
    const rc__moses_options o = {.language = "de", .normalize = true, .lowercase = true};
    for (size_t i = 0; i < len; lines++) {
        size_t end = i;
        while (end < len && text[end] != '\n') end++;
        out.len = 0;
        assert_int_equal(rc__moses_tokenize(&out, (rc__cell){text + i, end - i}, &o, &e), RC_OK);
        for (size_t k = 0; k < out.len; k++) tokens += out.s[k] == ' ';
        tokens += out.len > 0;
        i = end + 1;
    }
    assert_int_equal(lines, 1000);
    assert_int_equal(tokens, 12103);
    rc__string_free(&out);
    rc_text_free(text, len);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_sacremoses),
        cmocka_unit_test(lower_case_comes_first),
        cmocka_unit_test(odd_text_and_refused_memory),
        cmocka_unit_test(the_german_reference_of_multi30k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
