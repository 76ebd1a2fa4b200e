/* Statuses, messages, version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "recur/base.h"

static void names_and_exit_codes(void **state) {
    (void)state;
    assert_string_equal(rc_status_name(RC_OK), "RC_OK");
    assert_string_equal(rc_status_name(RC_EINVAL), "RC_EINVAL");
    assert_string_equal(rc_status_text(RC_EINVAL), "invalid argument");
    assert_int_equal(rc_status_exit_code(RC_OK), 0);
    assert_int_equal(rc_status_exit_code(RC_ENO), 1);
    assert_int_equal(rc_status_exit_code(RC_EINVAL), 2);
    assert_int_equal(rc_status_exit_code(RC_EMODEL), 3);
    assert_int_equal(rc_status_exit_code(RC_EIO), 4);
    assert_int_equal(rc_status_exit_code(RC_ENOMEM), 4);
    const int strange[] = {-1, 1000, 0x7fffffff};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(rc_status_name((rc_status)strange[i]), "RC_?");
        assert_non_null(rc_status_text((rc_status)strange[i]));
        assert_int_not_equal(rc_status_exit_code((rc_status)strange[i]), 0);
    }
}

static void fail_fills_the_message(void **state) {
    (void)state;
    rc_error e = {0};
    assert_int_equal(rc_fail(&e, RC_EDATA, "%s: line %d", "a.txt", 7), RC_EDATA);
    assert_int_equal(e.code, RC_EDATA);
    assert_string_equal(e.text, "a.txt: line 7");
    assert_int_equal(rc_fail(NULL, RC_EIO, "nobody listens"), RC_EIO);
    rc_fail(&e, e.code, "b: %s", e.text); /* may quote itself */
    assert_string_equal(e.text, "b: a.txt: line 7");
}

static void long_messages_are_cut(void **state) {
    (void)state;
    rc_error e;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    rc_fail(&e, RC_EDATA, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_string_equal(e.text + sizeof e.text - 4, "...");
    text[sizeof e.text - 1] = 0; /* fits to the byte */
    rc_fail(&e, RC_EDATA, "%s", text);
    assert_string_equal(e.text, text);
    /* never half a character, wherever the cut falls in a run of three-byte ones */
    for (size_t shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i < 2000; i++) text[i] = i < shift ? 'x' : "\xE2\x82\xAC"[(i - shift) % 3];
        text[2000] = 0;
        rc_fail(&e, RC_EDATA, "%s", text);
        size_t n = strlen(e.text);
        assert_string_equal(e.text + n - 3, "...");
        assert_int_equal((unsigned char)e.text[n - 4], 0xAC);
    }
}

static void build_info_says_what_is_in(void **state) {
    (void)state;
    assert_string_equal(rc_version(), RC_VERSION);
    const char *text = rc_build_info();
    assert_ptr_equal(text, rc_build_info());
    const char *words[] = {"compiler:", "matrices:", "threads:", "OpenMP", "kernels:", "ref", "plain", "zlib", "jansson"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) assert_non_null(strstr(text, words[i]));
    assert_int_equal(text[strlen(text) - 1], '\n');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_exit_codes),
        cmocka_unit_test(fail_fills_the_message),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(build_info_says_what_is_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
