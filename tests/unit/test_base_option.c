/* Values of options: good ones, hostile ones, messages, text and back, suggestions, locales. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "recur/option.h"

typedef struct opts {
    bool tied;
    int64_t hidden, any;
    double lr, loose, time;
    const char *name, *in, *out, *cell;
} opts;

#define FIELD(f) offsetof(opts, f)
static const rc_option table[] = {
    {"tied", 0, RC_OPT_BOOL, FIELD(tied), 0, 0, NULL, NULL, "model", "tie"},
    {"hidden", 'H', RC_OPT_INT, FIELD(hidden), 1, 65536, NULL, "N", "model", "units"},
    {"any", 0, RC_OPT_INT, FIELD(any), 0, 0, NULL, "N", "model", "any number"},
    {"lr", 0, RC_OPT_REAL, FIELD(lr), 0, 10, NULL, "X", "training", "learning rate"},
    {"loose", 0, RC_OPT_REAL, FIELD(loose), 0, 0, NULL, "X", "training", "any real"},
    {"time", 0, RC_OPT_TIME, FIELD(time), 0, 1e6, NULL, "T", "training", "budget"},
    {"name", 0, RC_OPT_STRING, FIELD(name), 0, 0, NULL, "TEXT", "model", "name"},
    {"in", 0, RC_OPT_PATH_IN, FIELD(in), 0, 0, NULL, "FILE", "data", "input"},
    {"output", 'o', RC_OPT_PATH_OUT, FIELD(out), 0, 0, NULL, "FILE", "data", "output"},
    {"cell", 0, RC_OPT_CHOICE, FIELD(cell), 0, 0, "rnn lstm gru", "NAME", "model", "cell"},
};
#define N (sizeof table / sizeof *table)

static rc_status set(opts *o, const char *name, const char *value, rc_error *e) {
    const rc_option *opt = rc_option_find(table, N, name);
    assert_non_null(opt);
    char where[40];
    snprintf(where, sizeof where, "--%s", name);
    return rc_option_set(opt, o, value, where, e);
}

static void good(opts *o, const char *name, const char *value) {
    rc_error e = {0};
    if (set(o, name, value, &e) != RC_OK) fail_msg("--%s %s: %s", name, value, e.text);
}

/* Refused, named, and nothing touched. */
static void bad(const char *name, const char *value) {
    opts o, before;
    memset(&o, 0x2A, sizeof o);
    memcpy(&before, &o, sizeof o);
    rc_error e = {0};
    if (set(&o, name, value, &e) != RC_EINVAL) fail_msg("--%s accepted \"%s\"", name, value ? value : "(null)");
    assert_memory_equal(&o, &before, sizeof o);
    assert_int_equal(e.code, RC_EINVAL);
    assert_ptr_equal(strstr(e.text, "--"), e.text);
    assert_non_null(strstr(e.text, "expected"));
    assert_non_null(strstr(e.text, "found"));
    assert_int_equal(set(&o, name, value, NULL), RC_EINVAL);
}

static void whole_numbers(void **state) {
    (void)state;
    opts o = {0};
    static const struct {
        const char *text;
        int64_t value;
    } v[] = {{"0", 0}, {"-0", 0}, {"+7", 7}, {"007", 7}, {"-5", -5}, {"10k", 10000}, {"10K", 10000}, {"2M", 2000000},
             {"1.5M", 1500000}, {"0.25k", 250}, {"3G", 3000000000}, {"9223372036854775807", INT64_MAX},
             {"-9223372036854775807", -INT64_MAX}, {"9007199254740993", 9007199254740993}, {"-2k", -2000}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        good(&o, "any", v[i].text);
        assert_true(o.any == v[i].value);
    }
    static const char *const wrong[] = {
        "", " ", "12abc", "abc", "1 ", " 1", "1\n", "0x10", "1e3", "1.5", "1.0", "1.", ".5k", "1.0001k", "1.23456789012k", "--1",
        "+-1", "-", "+", "k", "M", "10kk", "10 k", "10m", "9223372036854775808", "-9223372036854775809",
        "99999999999999999999999", "9223372036854776k", "9300000000G", "nan", "inf", "true", "1,000", "1_000", "\xEF\xBC\x91"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) bad("any", wrong[i]);
    bad("any", NULL);
    good(&o, "hidden", "1");
    good(&o, "hidden", "65536");
    bad("hidden", "0");
    bad("hidden", "-1");
    bad("hidden", "65537");
    bad("hidden", "66k");
}

static void real_numbers(void **state) {
    (void)state;
    opts o = {0};
    static const struct {
        const char *text;
        double value;
    } v[] = {{"0", 0}, {"1e-3", 1e-3}, {".5", .5}, {"5.", 5}, {"0.1", 0.1}, {"-2.5E+2", -250}, {"1e-400", 0}, {"+3", 3}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        good(&o, "loose", v[i].text);
        assert_true(o.loose == v[i].value);
    }
    static const char *const wrong[] = {"",    " 1",   "1 ",   "nan",  "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "-1e999",
                                        "0x1p3", "0X1", "1.2.3", "1,5",  "1e",  "e5",   ".",   "-",    "--5",      "1f",    "1%",
                                        "12abc", "\t1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) bad("loose", wrong[i]);
    good(&o, "lr", "10");
    bad("lr", "10.0000001");
    bad("lr", "-1e-9");
}

static void times(void **state) {
    (void)state;
    opts o = {0};
    static const struct {
        const char *text;
        double value;
    } v[] = {{"90", 90}, {"90s", 90}, {"3m", 180}, {"2h", 7200}, {"1d", 86400}, {"1h30m", 5400}, {"1.5h", 5400}, {"0.5", .5},
             {"0", 0}, {"1d2h3m4s", 93784}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        good(&o, "time", v[i].text);
        assert_true(o.time == v[i].value);
    }
    static const char *const wrong[] = {"", "s", "3x", "3mm", "3m2", "30m1h", "1h1h", "-3m", "+3m", "3 m", "nan", "inf",
                                        "1e999", "12abc", "3M", "1:30", "0x5m", "1e400d", "12d"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) bad("time", wrong[i]);
}

static void words(void **state) {
    (void)state;
    opts o = {0};
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        good(&o, "tied", yes[i]);
        assert_true(o.tied);
        good(&o, "tied", no[i]);
        assert_false(o.tied);
    }
    bad("tied", "");
    bad("tied", "maybe");
    bad("tied", "true yes");
    bad("tied", "2");
    good(&o, "cell", "gru");
    assert_string_equal(o.cell, "gru");
    bad("cell", "");
    bad("cell", "lst");
    bad("cell", "lstm gru");
    bad("cell", "LSTM");
    good(&o, "name", "");
    const char *any = "any text at all";
    good(&o, "name", any);
    assert_ptr_equal(o.name, any); /* not copied */
}

static void paths(void **state) {
    (void)state;
    opts o = {0};
    rc_error e = {0};
    good(&o, "in", "/dev/null");
    good(&o, "in", "-");
    good(&o, "output", "/no/such/folder/yet");
    bad("in", "");
    bad("output", "");
    assert_int_equal(set(&o, "in", "/no/such/file", &e), RC_EIO);
    assert_string_equal(e.text, "--in: /no/such/file: cannot be read: No such file or directory");
    assert_int_equal(set(&o, "in", "/tmp", &e), RC_EIO);
    assert_non_null(strstr(e.text, "found a folder"));
    assert_string_equal(o.in, "-");
}

static void messages(void **state) {
    (void)state;
    opts o = {0};
    rc_error e;
    set(&o, "hidden", "12abc", &e);
    assert_string_equal(e.text, "--hidden: expected a whole number from 1 to 65536, found \"12abc\"");
    set(&o, "any", "x\n\x1b[31m", &e);
    assert_string_equal(e.text, "--any: expected a whole number, found \"x\\x0a\\x1b[31m\"");
    set(&o, "lr", "fast", &e);
    assert_string_equal(e.text, "--lr: expected a number from 0 to 10, found \"fast\"");
    set(&o, "cell", "tcn", &e);
    assert_string_equal(e.text, "--cell: expected one of rnn, lstm, gru, found \"tcn\"");
    set(&o, "time", "soon", &e);
    assert_non_null(strstr(e.text, "such as 90s, 3m or 2h"));
    char huge[5000];
    for (size_t i = 0; i < sizeof huge; i++) huge[i] = "\xE2\x82\xAC"[i % 3];
    huge[4998] = 0;
    set(&o, "any", huge, &e);
    assert_true(strlen(e.text) < 250);
    assert_string_equal(e.text + strlen(e.text) - 5, "\xAC...\"");
    rc_option strange = table[0];
    strange.type = (rc_option_type)99;
    assert_int_equal(rc_option_set(&strange, &o, "1", "--tied", &e), RC_EINVAL);
}

static void text_and_back(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"hidden", "256"}, {"any", "-9223372036854775807"}, {"lr", "0.001"}, {"lr", "0.1"}, {"loose", "1e-08"}, {"loose", "-250"},
        {"loose", "0.3333333333333333"}, {"time", "3m"}, {"time", "90s"}, {"time", "2h"}, {"time", "1d"}, {"time", "0s"},
        {"time", "0.5s"}, {"tied", "true"}, {"tied", "false"}, {"cell", "lstm"}, {"name", "some text"}, {"output", "a/b"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        opts o = {0};
        good(&o, same[i][0], same[i][1]);
        char out[64];
        assert_int_equal(rc_option_get(rc_option_find(table, N, same[i][0]), &o, out, sizeof out), strlen(same[i][1]));
        assert_string_equal(out, same[i][1]);
    }
    opts o = {.lr = 1.0 / 3, .name = NULL};
    char out[64];
    assert_int_equal(rc_option_get(rc_option_find(table, N, "name"), &o, out, sizeof out), 0);
    assert_string_equal(out, "");
    rc_option_get(rc_option_find(table, N, "lr"), &o, out, sizeof out);
    opts back = {0};
    good(&back, "lr", out);
    assert_true(back.lr == o.lr); /* to the bit */
    o.name = "long enough";
    assert_int_equal(rc_option_get(rc_option_find(table, N, "name"), &o, out, 5), 11); /* as snprintf */
    assert_string_equal(out, "long");
}

static void every_locale_reads_a_point(void **state) {
    (void)state;
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "fr_FR"};
    const char *found = NULL;
    for (size_t i = 0; i < 6 && !found; i++) found = setlocale(LC_ALL, comma[i]);
    if (!found) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    opts o = {0};
    char out[32];
    good(&o, "lr", "0.25");
    bad("lr", "0,25");
    rc_option_get(rc_option_find(table, N, "lr"), &o, out, sizeof out);
    setlocale(LC_ALL, "C");
    assert_string_equal(out, "0.25");
}

static void suggestions(void **state) {
    (void)state;
    static const char *const v[][2] = {{"hiden", "hidden"}, {"hidden", "hidden"}, {"hiddne", "hidden"}, {"tme", "time"},
                                       {"lr1", "lr"},       {"outptu", "output"}, {"Cell", "cell"},     {"loos", "loose"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) assert_string_equal(rc_option_suggest(table, N, v[i][0]), v[i][1]);
    char huge[5000];
    memset(huge, 'h', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    static const char *const none[] = {"", "zzzzzz", "xy", "learning-rate", "hidden-size"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_null(rc_option_suggest(table, N, none[i]));
    assert_null(rc_option_suggest(table, N, huge));
    assert_null(rc_option_suggest(table, 0, "hidden"));
    assert_null(rc_option_find(table, N, "hiden"));
    assert_null(rc_option_find(table, N, ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers), cmocka_unit_test(real_numbers),  cmocka_unit_test(times),
        cmocka_unit_test(words),         cmocka_unit_test(paths),         cmocka_unit_test(messages),
        cmocka_unit_test(text_and_back), cmocka_unit_test(suggestions),   cmocka_unit_test(every_locale_reads_a_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
