/* The text buffer that grows: cells of tables, formats longer than its first guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/string.h"

static void check_cell(const char *text, size_t len, char between, const char *want) {
    rc__string b = {0};
    rc__string_add_cell(&b, text, len, between);
    assert_false(b.failed);
    assert_int_equal(b.len, strlen(want));
    if (b.len) assert_memory_equal(b.s, want, b.len);
    rc__string_free(&b);
}

static void test_cells(void **state) {
    (void)state;
    check_cell("", 0, ',', "");
    check_cell(NULL, 0, ',', "");
    check_cell("plain", 5, ',', "plain");
    check_cell("a,b", 3, ',', "\"a,b\"");
    check_cell("say \"x\"", 7, ',', "\"say \"\"x\"\"\"");
    check_cell("\"", 1, ',', "\"\"\"\"");
    check_cell("two\nlines", 9, ',', "\"two\nlines\"");
    check_cell("cr\r", 3, ',', "\"cr\r\"");
    check_cell("tab\there", 8, ',', "tab\there");
    check_cell("tab\there\n", 9, '\t', "tab here ");
    check_cell("a,\"b\"", 5, '\t', "a,\"b\"");
    check_cell("\n", 1, '\t', " ");
}

static void test_format(void **state) {
    (void)state;
    rc__string b = {0};
    char long_text[1000];
    memset(long_text, 'x', sizeof long_text);
    rc__string_addf(&b, "%d,%.3s", 12, "abcdef");
    rc__string_addf(&b, "[%.*s]", 999, long_text);
    rc__string_addf(&b, "%s", "");
    assert_false(b.failed);
    assert_int_equal(b.len, 6 + 1001);
    assert_memory_equal(b.s, "12,abc[xx", 9);
    assert_int_equal(b.s[b.len - 1], ']');
    rc__string_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells), cmocka_unit_test(test_format)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
