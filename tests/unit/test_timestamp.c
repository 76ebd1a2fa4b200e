/* Time stamps: reading in every form, columns, order, frequencies, steps ahead, printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/table.h"
#include "data/timestamp.h"
#include "data_file.h"

enum { MOST = 64 };

static size_t split(const char *text, rc__cell cells[MOST]) {
    size_t n = 0;
    for (const char *p = text; *p && n < MOST; n++) {
        size_t len = strcspn(p, "|");
        cells[n] = (rc__cell){p, len};
        p += len + (p[len] != 0);
    }
    return n;
}

static rc_status column(const char *text, rc__date_form order, rc__time_style *style, int64_t *out, rc_error *e) {
    rc__cell cells[MOST];
    size_t n = split(text, cells);
    *e = (rc_error){0};
    return rc__time_column(cells, 1, n, NULL, "f: column t", order, style, out, e);
}

static int64_t one(const char *text, rc__time_style *style) {
    int64_t t[MOST];
    rc_error e;
    if (column(text, RC_DATE_INDEX, style, t, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    return t[0];
}

static void refused(const char *text, const char *word) {
    int64_t t[MOST];
    rc_error e;
    rc__time_style style;
    assert_int_equal(column(text, RC_DATE_INDEX, &style, t, &e), RC_EDATA);
    if (!strstr(e.text, word)) fail_msg("%s: expected \"%s\" in \"%s\"", text, word, e.text);
}

/* Against the C library, for a day of each fortnight of 10,000 years. */
static void calendar_is_that_of_the_c_library(void **state) {
    (void)state;
    for (int64_t t = INT64_C(-62135596800); t < INT64_C(253402300800); t += 14 * 86400 + 3723) {
        time_t clock = (time_t)t;
        struct tm tm;
        assert_non_null(gmtime_r(&clock, &tm));
        rc__calendar c = rc__time_calendar(t, 0);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_int_equal(c.weekday, (tm.tm_wday + 6) % 7);
        assert_int_equal(c.year_day, tm.tm_yday);
        assert_int_equal(rc__time_of(&c), t);
    }
    assert_int_equal(rc__time_calendar(INT64_MAX, 0).year, 9999);
    assert_int_equal(rc__time_calendar(INT64_MIN, 0).year, 1);
    assert_int_equal(rc__time_calendar(1435708800, 7200).hour, 2);
}

static void reads_every_form(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"2016-07-01", 1467331200},
                {" 2016-07-01 12:30 ", 1467376200},
                {"2016-07-01 12:30:45", 1467376245},
                {"2016-07-01T12:30:45.125", 1467376245},
                {"2016-07-01T12:30:45Z", 1467376245},
                {"2016-07-01T12:30:45+02:00", 1467369045},
                {"2016-07-01T12:30:45-0530", 1467396045},
                {"2016-07", 1467331200},
                {"2016/7/1", 1467331200},
                {"7/31/2016", 1469923200},
                {"31.7.2016", 1469923200},
                {"1.7.2016", 1467331200},
                {"31/7/2016 1:05", 1469927100},
                {"20160701", 1467331200},
                {"20160701T0:30", 1467333000},
                {"1467331200", 1467331200},
                {"1990", 1990},
                {"-3", -3},
                {"2000-02-29", 951782400},
                {"0001-01-01", INT64_C(-62135596800)},
                {"1969-12-31 23:59:59", -1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        rc__time_style style;
        int64_t t = one(good[i].text, &style), again = 0;
        if (t != good[i].seconds) fail_msg("%s: %lld", good[i].text, (long long)t);
        char text[64];
        rc__time_text(t, &style, text);
        assert_true(rc__time_parse((rc__cell){text, strlen(text)}, &style, &again)); /* prints what it reads */
        assert_int_equal(again, t);
    }
    static const char *const bad[] = {"",
                                      "x",
                                      "2016-13-01",
                                      "2016-02-30",
                                      "1900-02-29",
                                      "2016-7-1",
                                      "2016-07-01 24:00",
                                      "2016-07-01 12:60",
                                      "2016-07-01 12:30:60",
                                      "2016-07-01 12",
                                      "2016-07-01T",
                                      "2016-07-01 12:30:45Zx",
                                      "2016-07-01 12:30:45Z+01:00",
                                      "32.1.2016",
                                      "13/13/2016",
                                      "0/1/2016",
                                      "1/1/16",
                                      "2016.07.01",
                                      "2016-07-01 12:30:45.",
                                      "2016-07-01 12:30+2",
                                      "0000-01-01",
                                      "1-01",
                                      "12:30"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc__cell c = {bad[i], strlen(bad[i])};
        rc__time_style style;
        int64_t t;
        rc_error e;
        if (rc__time_is(c) || rc__time_column(&c, 1, 1, NULL, "f", RC_DATE_INDEX, &style, &t, &e) != RC_EDATA)
            fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(e.text, "f: line 1: expected a time stamp"));
    }
    assert_false(rc__time_is((rc__cell){"20160701", 8})); /* a number to a table */
    assert_true(rc__time_is((rc__cell){"1/2/2016", 8}));
}

static void columns_have_one_style(void **state) {
    (void)state;
    rc__time_style style;
    rc_error e;
    int64_t t[MOST];
    refused("2016-07-01|2016-07-02 00:00", "line 2: expected a date such as 2016-07-01, found \"2016-07-02 00:00\"");
    refused("2016-07-01||2016-07-03", "line 2: expected a date such as 2016-07-01, found nothing");
    refused("1/2/2016|3/4/2016", "may be month/day/year or day/month/year");
    refused("13/2/2016|3/14/2016", "line 1 cannot be month/day/year and line 2 cannot be day/month/year");
    refused("1|2|x", "line 3: expected a whole number");
    refused("1297054935000", "milliseconds");
    refused("2016-07-01T00:00:00+19:00", "line 1: expected");
    refused("2016-07-01T00:00:00+02:60", "line 1: expected");
    assert_int_equal(column("1/2/2016|2/2/2016|13/2/2016", RC_DATE_INDEX, &style, t, &e), RC_OK);
    assert_int_equal(style.form, RC_DATE_DMY);
    assert_int_equal(t[1] - t[0], 86400);
    assert_int_equal(column("1/2/2016|2/14/2016", RC_DATE_INDEX, &style, t, &e), RC_OK);
    assert_int_equal(style.form, RC_DATE_MDY);
    assert_int_equal(t[0], 1451692800);
    assert_int_equal(column("1/2/2016|2/3/2016", RC_DATE_DMY, &style, t, &e), RC_OK);
    assert_int_equal(t[0], 1454284800);
    assert_int_equal(column("1/2/2016|2/14/2016", RC_DATE_DMY, &style, t, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2: expected day/month/year"));
    assert_int_equal(column("0|1|2", RC_DATE_INDEX, &style, t, &e), RC_OK);
    assert_int_equal(style.form, RC_DATE_INDEX);
    assert_int_equal(column("20160701|20160702", RC_DATE_INDEX, &style, t, &e), RC_OK);
    assert_int_equal(t[1] - t[0], 86400);
    assert_int_equal(column("20160701|20160799", RC_DATE_INDEX, &style, t, &e), RC_OK); /* no dates: an index */
    assert_int_equal(t[1] - t[0], 98);
}

static void order_is_checked(void **state) {
    (void)state;
    rc_error e;
    rc__time_style style = {.form = RC_DATE_YMD, .separator = '-', .padded = true};
    const size_t lines[] = {2, 3, 5, 6};
    assert_int_equal(rc__time_check_order((int64_t[]){0, 86400, 172800}, 3, lines, &style, "f", &e), RC_OK);
    assert_int_equal(rc__time_check_order((int64_t[]){0, 86400, 86400, 0}, 4, lines, &style, "f", &e), RC_EDATA);
    assert_non_null(strstr(e.text, "f: line 5: expected a time after that of line 3, found 1970-01-02 again"));
    assert_non_null(strstr(e.text, "1 twice, 1 steps back"));
    assert_int_equal(rc__time_check_order((int64_t[]){86400, 0}, 2, lines, &style, "f", &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 3: expected a time after 1970-01-02 of line 2, found 1970-01-01"));
}

/* The frequency of a column, then k stamps after its last as text. */
static void steps(const char *text, const char *expected, size_t missing, const char *after) {
    rc__time_style style;
    rc__frequency f;
    rc_error e = {0};
    int64_t t[MOST];
    rc__cell cells[MOST];
    size_t n = split(text, cells);
    assert_int_equal(rc__time_column(cells, 1, n, NULL, "f", RC_DATE_INDEX, &style, t, &e), RC_OK);
    if (rc__time_frequency(t, n, &style, "f", &f, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    char name[48], stamp[64];
    assert_string_equal(rc__frequency_text(&f, name), expected);
    assert_int_equal(f.missing, missing);
    assert_int_equal(f.irregular, 0);
    size_t k = split(after, cells);
    for (size_t i = 0; i < k; i++) {
        rc__time_text(rc__time_step(t[n - 1], &f, (int64_t)i + 1), &style, stamp);
        if (!rc__cell_is(cells[i], stamp)) fail_msg("%s, step %zu: %s", text, i + 1, stamp);
        assert_int_equal(rc__time_step(rc__time_step(t[n - 1], &f, (int64_t)i + 1), &f, -(int64_t)i - 1), t[n - 1]);
    }
}

static void frequencies_and_steps(void **state) {
    (void)state;
    steps("2016-07-01 00:00:00|2016-07-01 01:00:00|2016-07-01 02:00:00", "hourly", 0,
          "2016-07-01 03:00:00|2016-07-01 04:00:00");
    steps("2014-04-01 23:45|2014-04-01 23:50|2014-04-02 00:05|2014-04-02 00:10", "every 5 minutes", 2,
          "2014-04-02 00:15");
    steps("1981-01-01|1981-01-02|1981-01-03|1981-01-05", "daily", 1, "1981-01-06|1981-01-07");
    /* Monday to Wednesday, Friday, Monday */
    steps("2000-01-03|2000-01-04|2000-01-05|2000-01-07|2000-01-10|2000-01-11", "business-daily", 1,
          "2000-01-12|2000-01-13|2000-01-14|2000-01-17");
    steps("2000-01-07|2000-01-10|2000-01-11|2000-01-12|2000-01-13|2000-01-14", "business-daily", 0, "2000-01-17");
    steps("2016-01-04|2016-01-11|2016-01-18|2016-02-01", "weekly", 1, "2016-02-08");
    steps("1949-01|1949-02|1949-03", "monthly", 0, "1949-04|1949-05");
    steps("1949-11|1949-12|1950-03", "monthly", 2, "1950-04"); /* as common as three: the smaller */
    steps("2015-10-31|2015-11-30|2015-12-31", "monthly", 0, "2016-01-31|2016-02-29|2016-03-31|2016-04-30");
    steps("2015-11-30|2015-12-30|2016-01-30", "monthly", 0, "2016-02-29|2016-03-30");
    steps("2015-06-30|2015-09-30", "quarterly", 0, "2015-12-31|2016-03-31");
    steps("2011-02-28|2012-02-29|2013-02-28", "yearly", 0, "2014-02-28|2015-02-28|2016-02-29");
    steps("2011-01-15|2011-07-15|2012-01-15", "every 6 months", 0, "2012-07-15");
    steps("0|2|4|8", "step 2", 1, "10|12");
    steps("1467331200|1467331210|1467331220", "every 10 seconds", 0, "1467331230");
    steps("7/1/2016|7/2/2016|7/13/2016|7/14/2016", "daily", 10, "7/15/2016");
    steps("2016/12/30|2016/12/31|2017/01/01", "daily", 0, "2017/01/02"); /* one has told the zeros */
    steps("30/12/2016|31/12/2016|01/01/2017", "daily", 0, "02/01/2017");
    steps("01.07.2016|02.07.2016", "daily", 0, "03.07.2016");
    /* midnight on the wall, in an offset, is day's begin there; months count by that clock too */
    steps("2016-01-01T00:00:00+02:00|2016-02-01T00:00:00+02:00", "monthly", 0, "2016-03-01T00:00:00+02:00");

    rc__time_style style = {.form = RC_DATE_YMD};
    rc__frequency f;
    rc_error e;
    assert_int_equal(rc__time_frequency((int64_t[]){5}, 1, &style, "f", &f, &e), RC_EDATA);
    assert_int_equal(rc__time_frequency((int64_t[]){0, 1, 3, 7, 15}, 5, &style, "f", &f, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "commonest distance"));
    assert_int_equal(rc__time_frequency((int64_t[]){0, 60, 120, 180, 200, 260}, 6, &style, "f", &f, &e), RC_OK);
    assert_int_equal(f.irregular, 1);
    assert_int_equal(f.first_irregular, 4);
    assert_int_equal(rc__time_step(INT64_MAX - 5, &f, 3), INT64_MAX - 5); /* no way round the end */
}

static void real_files(void **state) {
    (void)state;
    static const struct {
        const char *file, *frequency, *next;
        size_t missing;
        bool ordered;
    } files[] = {{"etth1/ETTh1.csv.gz", "hourly", "2018-06-26 20:00:00", 0, true},
                 {"small-series/monthly-sunspots.csv", "monthly", "1984-01", 0, true},
                 {"small-series/airline-passengers.csv", "monthly", "1961-01", 0, true},
                 {"small-series/daily-min-temperatures.csv", "daily", "1991-01-01", 2, true},
                 {"weather-co2/seattle-weather.csv", "daily", "2016-01-01", 0, true},
                 {"sp500-daily/sp500-2000.csv", "business-daily", NULL, 0, true},
                 {"nab/realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv", "every 5 minutes", NULL, 0, true},
                 {"nab/realKnownCause/nyc_taxi.csv", "every 30 minutes", "2015-02-01 00:00:00", 0, true},
                 {"nab/realAdExchange/exchange-2_cpc_results.csv", "hourly", NULL, 0, false}}; /* has an hour twice */
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_real(files[i].file);
        if (!path) return;
        rc__table *t;
        rc__time_style style;
        rc__frequency f;
        rc_error e = {0};
        if (rc__table_read(&t, path, NULL, &e) != RC_OK) fail_msg("%s", e.text);
        size_t n = rc__table_n_rows(t), cols = rc__rows_columns(rc__table_rows(t));
        int64_t *at = calloc(n, sizeof *at);
        assert_non_null(at);
        rc_status s =
            rc__time_column(rc__table_row(t, 0), cols, n, rc__table_lines(t), path, RC_DATE_INDEX, &style, at, &e);
        if (s != RC_OK) fail_msg("%s", e.text);
        s = rc__time_check_order(at, n, rc__table_lines(t), &style, path, &e);
        assert_int_equal(s, files[i].ordered ? RC_OK : RC_EDATA);
        if (s != RC_OK) print_message("%s\n", e.text);
        if (rc__time_frequency(at, n, &style, path, &f, &e) != RC_OK) fail_msg("%s", e.text);
        char name[48], next[64];
        rc__time_text(rc__time_step(at[n - 1], &f, 1), &style, next);
        rc__frequency_text(&f, name);
        print_message("%s: %s, then %s; %zu gaps of %zu steps, %zu irregular\n", files[i].file, name, next, f.gaps,
                      f.missing, f.irregular);
        assert_string_equal(name, files[i].frequency);
        if (files[i].next) assert_string_equal(next, files[i].next);
        if (files[i].next) assert_int_equal(f.missing, files[i].missing);
        for (size_t k = 0; k < n; k++) { /* printed as it was written */
            rc__cell c = rc__table_cell(t, k, 0);
            if (!rc__cell_is(c, rc__time_text(at[k], &style, next))) fail_msg("%.*s: %s", (int)c.len, c.text, next);
        }
        free(at);
        rc__table_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_is_that_of_the_c_library),
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(columns_have_one_style),
        cmocka_unit_test(order_is_checked),
        cmocka_unit_test(frequencies_and_steps),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
