/* Sets of series: .ts files and UCR lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem.h"
#include "data/ts_file.h"
#include "data_file.h"
#include "failing.h"

static rc__ts_set *read_text(const char *text, bool unlabelled) {
    rc__ts_set *s;
    rc_error e = {0};
    if (rc__ts_read(&s, data_put(text, ".ts"), unlabelled, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    data_drop();
    return s;
}

static void refused(const char *text, const char *word) {
    rc__ts_set *s;
    rc_error e = {0};
    assert_int_equal(rc__ts_read(&s, data_put(text, ".ts"), false, &e), RC_EDATA);
    assert_null(s);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    assert_non_null(strstr(e.text, data_path));
    data_drop();
}

static void class_is(const rc__ts_set *s, size_t i, const char *name) {
    size_t len;
    const char *have = rc__strtab_get(&s->classes, s->at[i].label, &len);
    assert_int_equal(len, strlen(name));
    assert_memory_equal(have, name, len);
}

static void reads_ts(void **state) {
    (void)state;
    rc__ts_set *s =
        read_text("# about\n@problemName x y\n@timeStamps false\n@missing true\n@univariate false\n@dimensions 2\n"
                  "@equalLength false\n@classLabel true a b\n@data\n1,2,?:4,5,6e-1:b\r\n\n-7:NaN:a\n",
                  false);
    assert_int_equal(s->kind, RC_TS_CLASSES);
    assert_int_equal(s->n, 2);
    assert_int_equal(s->n_channels, 2);
    assert_int_equal(s->shortest, 1);
    assert_int_equal(s->longest, 3);
    assert_int_equal(s->missing, 2);
    const float *v = s->at[0].values; /* a step after the other */
    assert_true(v[0] == 1 && v[1] == 4 && v[2] == 2 && v[3] == 5 && isnan(v[4]) && v[5] == 0.6f);
    assert_true(s->at[1].values[0] == -7 && isnan(s->at[1].values[1]));
    assert_int_equal(s->at[1].line, 12);
    class_is(s, 0, "b");
    class_is(s, 1, "a");
    assert_string_equal(s->how, "a .ts file, 2 series of 2 channels with classes");
    rc__ts_free(s);
    s = read_text("@univariate true\n@targetlabel true\n@data\n1,2:-0.5\n", false);
    assert_int_equal(s->kind, RC_TS_TARGETS);
    assert_true(s->at[0].target == -0.5);
    rc__ts_free(s);
    s = read_text("@univariate true\n@classlabel false\n@data\n1,2\n3\n", false);
    assert_int_equal(s->kind, RC_TS_PLAIN);
    assert_int_equal(s->at[1].len, 1);
    rc__ts_free(s);
}

static void reads_ucr(void **state) {
    (void)state;
    rc__ts_set *s = read_text("2\t1.5\t-2\tNaN\n1\t3\tNaN\t4\n2\t1\tNaN\tNaN\n", false);
    assert_int_equal(s->n, 3);
    assert_int_equal(s->classes.count, 2);
    assert_int_equal(s->at[0].len, 2);
    assert_int_equal(s->at[1].len, 3);
    assert_int_equal(s->at[2].len, 1);
    assert_int_equal(s->missing, 1);
    assert_true(s->at[1].values[0] == 3 && isnan(s->at[1].values[1]) && s->at[1].values[2] == 4);
    class_is(s, 2, "2");
    rc__ts_free(s);
    s = read_text("  1 2.5 3\n  0 4 5  \n", false);
    assert_int_equal(s->at[1].len, 2);
    class_is(s, 1, "0");
    rc__ts_free(s);
    s = read_text("1,2.5,3\n", true);
    assert_int_equal(s->kind, RC_TS_PLAIN);
    assert_int_equal(s->at[0].len, 3);
    rc__ts_free(s);
}

#define HEAD "@univariate true\n@classLabel true a b\n"

static void refuses_by_name(void **state) {
    (void)state;
    refused("", "expected series, found none");
    refused(HEAD "@data\n", "expected series behind @data");
    refused("@timeStamps true\n", "line 1: @timeStamps true");
    refused(HEAD "@data\n(0,1),(1,2):a\n", "line 4: expected values with ',' between, found time stamps");
    refused("@relation x\n", "ARFF");
    refused("@univariat true\n", "found \"@univariat\"");
    refused("@univariate perhaps\n", "expected true or false, found \"perhaps\"");
    refused("@dimensions 0\n", "expected a whole number from 1");
    refused("@classLabel true\n", "expected the names of the classes");
    refused("@classLabel true a a\n", "found \"a\" again");
    refused(HEAD "@dimensions 2\n@data\n", "@univariate true, but @dimensions is 2");
    refused(HEAD "@targetLabel true\n@data\n", "found both");
    refused(HEAD "1,2:a\n", "line 3: expected a line with '@'");
    refused(HEAD "@data\n1,2\n", "line 4: expected values, ':' and a class");
    refused(HEAD "@data\n1,2:c\n", "line 4: expected one of the 2 classes of @classLabel, found \"c\"");
    refused(HEAD "@data\n1,2:3,4:a\n", "line 4: expected 1 channel as the head of the file says, found 2");
    refused(HEAD "@data\n1,,2:a\n", "line 4, channel 1, value 2: expected a number, found nothing");
    refused(HEAD "@data\n1,x:a\n", "line 4, channel 1, value 2: expected a number, found \"x\"");
    refused(HEAD "@data\n1,1e39:a\n", "expected a number, found \"1e39\"");
    refused(HEAD "@missing false\n@data\n1,?:a\n", "line 5: expected no missing value");
    refused(HEAD "@equalLength true\n@data\n1,2:a\n1:b\n", "line 6: expected 2 values as in line 5");
    refused(HEAD "@seriesLength 3\n@data\n1,2:a\n", "line 5: expected 3 values as @seriesLength says, found 2");
    refused("@classLabel true a\n@data\n1,2:3:a\n",
            "line 3, channel 2: expected 2 values as in the first channel, found 1");
    refused("@classLabel true a\n@data\n1:2:a\n1:a\n", "line 4: expected 2 channels as in line 3, found 1");
    refused("@targetLabel true\n@data\n1:a\n", "line 3: expected a number to predict");
    refused("1\n", "line 1: expected a class and values");
    refused("1\tNaN\n", "line 1: expected values, found missing ones alone");
    refused("1\tx\n", "line 1, channel 1, value 1: expected a number, found \"x\"");
    refused("1\t\t2\n", "value 1: expected a number, found nothing");
}

static rc_status read_and_free(rc_error *e) {
    rc__ts_set *l;
    rc_status s = rc__ts_read(&l, data_path, false, e);
    if (s == RC_OK) rc__ts_free(l);
    return s;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    data_refuse_each(HEAD "@data\n1,2:a\n3:b\n", ".ts", read_and_free);
}

static void real_files(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t n, channels, shortest, longest, classes;
    } files[] = {{"ucr-uea/BasicMotions_TRAIN.ts", 40, 6, 100, 100, 4},
                 {"ucr-uea/BasicMotions_TEST.ts", 40, 6, 100, 100, 4},
                 {"ucr-uea/JapaneseVowels_TRAIN.ts", 270, 12, 7, 26, 9},
                 {"ucr-uea/JapaneseVowels_TEST.ts", 370, 12, 7, 29, 9},
                 {"ucr-uea/GunPoint_TRAIN.ts", 50, 1, 150, 150, 2},
                 {"ucr-uea/GunPoint_TEST.ts", 150, 1, 150, 150, 2},
                 {"ucr-uea/GunPoint_TRAIN.tsv", 50, 1, 150, 150, 2},
                 {"ucr-uea/ItalyPowerDemand_TRAIN.ts", 67, 1, 24, 24, 2},
                 {"ucr-uea/ItalyPowerDemand_TEST.ts", 1029, 1, 24, 24, 2},
                 {"ucr-uea/Covid3Month_TRAIN.ts", 140, 1, 84, 84, 0},
                 {"ucr-uea/Covid3Month_TEST.ts", 61, 1, 84, 84, 0}};
    rc__ts_set *gun = NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_real(files[i].file);
        if (!path) return;
        rc__ts_set *s;
        rc_error e = {0};
        if (rc__ts_read(&s, path, false, &e) != RC_OK) fail_msg("%s", e.text);
        print_message("%s: read as %s, lengths %zu to %zu\n", files[i].file, s->how, s->shortest, s->longest);
        assert_int_equal(s->n, files[i].n);
        assert_int_equal(s->n_channels, files[i].channels);
        assert_int_equal(s->shortest, files[i].shortest);
        assert_int_equal(s->longest, files[i].longest);
        assert_int_equal(s->classes.count, files[i].classes);
        assert_int_equal(s->kind, files[i].classes ? RC_TS_CLASSES : RC_TS_TARGETS);
        assert_int_equal(s->missing, 0);
        if (strstr(path, "GunPoint_TRAIN.tsv")) { /* the same series in both forms */
            assert_memory_equal(s->block, gun->block, s->n * 150 * sizeof(float));
            for (size_t k = 0; k < s->n; k++) {
                size_t len;
                const char *name = rc__strtab_get(&s->classes, s->at[k].label, &len);
                assert_int_equal(rc__strtab_find(&gun->classes, name, len), gun->at[k].label);
            }
        }
        if (strstr(path, "GunPoint_TRAIN.ts") && !gun)
            gun = s;
        else
            rc__ts_free(s);
    }
    rc__ts_free(gun);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ts),        cmocka_unit_test(reads_ucr),
        cmocka_unit_test(refuses_by_name), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
