/* A test that must fail: CTest runs it and expects so. If it ever "passes", no other result of the suite can be trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void two_is_not_three(void **state) {
    (void)state;
    assert_int_equal(2, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_is_not_three)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
