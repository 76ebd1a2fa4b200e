/* What the machine can do: sane numbers from every build of the kernels, and wrong arguments. No bounds on speed: the
 * machine may be busy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "base/cpu.h"
#include "kernels/kernels.h"
#include "recur/bench.h"

static void a_peak_is_a_positive_number(void **state) {
    (void)state;
    const rc__kernels *was = rc__k, *all[8];
    size_t n = rc__kernels_available(all, 8);
    for (size_t i = 0; i < n; i++)
        for (int precision = RC_FP32; precision <= RC_INT8; precision++) {
            rc_machine_peak p = {0};
            rc__k = all[i];
            assert_int_equal(rc_machine_measure_peak((rc_precision)precision, 1, &p, NULL), RC_OK);
            assert_true(isfinite(p.gflops) && p.gflops > 0);
            assert_int_equal(p.threads, 1);
            assert_true(p.instruction && strlen(p.instruction) > 0);
        }
    rc__k = was;
}

/* On CPUs whose bf16 instruction is slower than FMAs the build of it is there, but not the best one. */
static void the_best_build_has_bf16_instructions_where_they_pay(void **state) {
    (void)state;
    const rc__kernels *all[8];
    size_t n = rc__kernels_available(all, 8), with = 0;
    for (size_t i = 0; i < n; i++) with += all[i]->panel.bf16_instruction != NULL;
    if (with == 0) skip();
    assert_int_equal(all[n - 1]->panel.bf16_instruction != NULL, rc__cpu_bf16_pays());
}

static void every_thread_takes_part(void **state) {
    (void)state;
    int was = rc_threads();
    rc_machine_peak p = {0};
    assert_int_equal(rc_set_threads(2, NULL), RC_OK);
    assert_int_equal(rc_machine_measure_peak(RC_FP32, 0, &p, NULL), RC_OK); /* 0: as many as the library has */
    assert_int_equal(p.threads, 2);
    assert_true(isfinite(p.gflops) && p.gflops > 0);
    assert_int_equal(rc_set_threads(was, NULL), RC_OK);
}

static void a_load_rate_is_a_positive_number(void **state) {
    (void)state;
    const rc__kernels *was = rc__k, *all[8];
    size_t n = rc__kernels_available(all, 8), before = rc_memory_used();
    const size_t bytes[] = {1, 512, 513, 16384, 3 << 20};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof bytes / sizeof *bytes; k++) {
            double rate = 0;
            rc__k = all[i];
            assert_int_equal(rc_machine_measure_load(bytes[k], &rate, NULL), RC_OK);
            assert_true(isfinite(rate) && rate > 0);
        }
    rc__k = was;
    assert_int_equal(rc_memory_used(), before);
}

/* A loop that skipped some of what it should read would look fast. */
static void every_byte_is_read(void **state) {
    (void)state;
    const rc__kernels *all[8];
    size_t n = rc__kernels_available(all, 8);
    _Alignas(64) static unsigned char block[3 * RC_LOAD_BLOCK];
    for (size_t i = 0; i < n; i++) {
        memset(block, 0, sizeof block);
        size_t seen = 0, lanes = 0;
        for (size_t at = 0; at < sizeof block; at += 8) {
            block[at] = 1;
            if (all[i]->peak.load(sizeof block, block)) seen++; /* what comes back is the first 8 bytes of a register */
            block[at] = 0;
        }
        assert_true(seen > 0);
        lanes = sizeof block / 8 / seen;
        assert_true(lanes >= 1 && lanes <= 8 && seen * lanes == sizeof block / 8);
    }
}

static void wrong_arguments_are_told(void **state) {
    (void)state;
    rc_machine_peak p = {.threads = 77};
    rc_error e = {RC_OK, ""};
    double rate = 5;
    assert_int_equal(rc_machine_measure_peak(RC_FP32, -1, &p, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "found -1"));
    assert_int_equal(rc_machine_measure_peak(RC_FP32, rc_threads() + 1, &p, NULL), RC_EINVAL);
    assert_int_equal(rc_machine_measure_peak((rc_precision)99, 1, &p, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "99"));
    assert_int_equal(p.threads, 77);
    assert_int_equal(rc_machine_measure_load(0, &rate, &e), RC_EINVAL);
    assert_true(rate == 5);
}

static void *no_memory(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx, (void)p, (void)old_size, (void)new_size;
    return NULL;
}

static void no_memory_is_told(void **state) {
    (void)state;
    double rate = 5;
    rc_set_allocator(no_memory, NULL);
    rc_status s = rc_machine_measure_load(4096, &rate, NULL);
    rc_set_allocator(NULL, NULL);
    assert_int_equal(s, RC_ENOMEM);
    assert_true(rate == 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peak_is_a_positive_number),      cmocka_unit_test(the_best_build_has_bf16_instructions_where_they_pay), cmocka_unit_test(every_thread_takes_part),
        cmocka_unit_test(a_load_rate_is_a_positive_number), cmocka_unit_test(every_byte_is_read),
        cmocka_unit_test(wrong_arguments_are_told),         cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
