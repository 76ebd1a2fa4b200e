/* Tables: delimited text and JSON lines, whole and as a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <zlib.h>

#include "data/table.h"
#include "data_file.h"
#include "failing.h"

static rc__table *read_with(const char *text, const char *ending, const rc__table_options *o) {
    rc__table *t;
    rc_error e = {0};
    if (rc__table_read(&t, data_put(text, ending), o, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    data_drop();
    return t;
}

static void refused_with(const char *text, const char *ending, const rc__table_options *o, const char *word) {
    rc__table *t;
    rc_error e = {0};
    rc_status s = rc__table_read(&t, data_put(text, ending), o, &e);
    assert_null(t);
    assert_true(s == RC_EDATA || s == RC_EINVAL);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    if (s == RC_EDATA) assert_non_null(strstr(e.text, data_path));
    data_drop();
}

/* All rows as a|b|c;..., names first in brackets. */
static const char *shown(const rc__table *t) {
    static char buf[4000];
    size_t n = 0, cols = rc__rows_columns(rc__table_rows(t));
    buf[0] = 0;
    rc__cell name = rc__rows_name(rc__table_rows(t), 0);
    for (size_t i = 0; name.text && i < cols; i++) {
        name = rc__rows_name(rc__table_rows(t), i);
        n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%.*s%s", i ? "|" : "[", (int)name.len, name.text,
                              i + 1 == cols ? "]" : "");
    }
    for (size_t r = 0; r < rc__table_n_rows(t); r++)
        for (size_t i = 0; i < cols; i++) {
            rc__cell c = rc__table_cell(t, r, i);
            n += (size_t)snprintf(buf + n, sizeof buf - n, "%.*s%s", (int)c.len, c.text, i + 1 == cols ? ";" : "|");
        }
    return buf;
}

static void gives_with(const char *text, const char *ending, const rc__table_options *o, const char *expected) {
    rc__table *t = read_with(text, ending, o);
    assert_string_equal(shown(t), expected);
    rc__table_free(t);
}
static void gives(const char *text, const char *expected) { gives_with(text, ".csv", NULL, expected); }

static void finds_out_what_it_is(void **state) {
    (void)state;
    gives("a,b\n1,2\n3,4\n", "[a|b]1|2;3|4;");
    gives("1,2\n3,4", "1|2;3|4;");
    gives("\xEF\xBB\xBF"
          "a;b\r\n1,5;2\r\n\r\n3;4\r\n",
          "[a|b]1,5|2;3|4;");
    gives("date time\tv\n2016-07-01 00:00\t3\n", "[date time|v]2016-07-01 00:00|3;");
    gives("1 2  3 \n 4\t5 6  \n", "1|2|3;4|5|6;");
    gives("112 \n98 \n", "112 ;98 ;");
    gives("text,category\nwhat?,card\nhow,card\n", "[text|category]what?|card;how|card;");
    gives("card,what?\ncard,how\n", "card|what?;card|how;");
    gives("question,How are you\nanswer,Well\nquestion,Why so\n", "question|How are you;answer|Well;question|Why so;");
    gives(",x\n1,2\n", "[column 1|x]1|2;");
    gives("a,b\n1,x\xED\xA0\xBC\xED\xBE\xB5y\n", "[a|b]1|x\xF0\x9F\x8E\xB5y;"); /* CESU-8 */
    gives("# a comment\n#\n#tag,1\nb,2\n", "#tag|1;b|2;");
    gives("a,b\n1,2\n# c,3\n", "[a|b]1|2;# c|3;");
    gives_with("a,b\n#x\n1,2\n#c,3\n", "", &(rc__table_options){.comments = RC_YES}, "[a|b]1|2;");
    gives_with("# a,b\n1,2\n", "", &(rc__table_options){.comments = RC_NO}, "[# a|b]1|2;");
    gives_with("x,y\n1,2\n", "", &(rc__table_options){.header = RC_NO}, "x|y;1|2;");
    gives_with("5,6\n1,2\n", "", &(rc__table_options){.header = RC_YES}, "[5|6]1|2;");
    gives_with("a,b\n", ".tsv", NULL, "a,b;");
    gives_with("a|b\n1|2\n", "", NULL, "[a|b]1|2;");
    gives_with("a:b\nc:d\n", "", &(rc__table_options){.delimiter = ':'}, "a|b;c|d;");
    gives_with("a b,c\n", "", &(rc__table_options){.format = "spaces"}, "a|b,c;");
}

static void quotes_are_those_of_rfc_4180(void **state) {
    (void)state;
    gives("n,t\n1,\"a, \"\"b\"\"\nc\"\r\n2,\"\"\n3,x\"y\n4,\"d\"  \n", "[n|t]1|a, \"b\"\nc;2|;3|x\"y;4|d;");
    refused_with("n,t\n1,\"a\nb\n", ".csv", NULL, "line 2, byte 3: expected the end of a quoted cell");
    refused_with("n,t\n1,\"a\nb\"c\n", ".csv", NULL, "line 3, byte 3: expected ',' behind a quoted cell, found \"c\"");
    /* a quote in a tab separated file is text, unless all of the first line is quoted */
    gives_with("ham\t\"hi\nspam\t5\" \"go\"\n", "", NULL, "ham|\"hi;spam|5\" \"go\";");
    gives_with("\"a\"\t\"b\"\n\"1\t2\"\t3\n", "", NULL, "[a|b]1\t2|3;");
    gives_with("\"a\",b\n", "", &(rc__table_options){.quotes = RC_NO}, "\"a\"|b;");
    gives_with("x\t\"a\tb\"\n", "", &(rc__table_options){.quotes = RC_YES}, "x|a\tb;");
    gives_with("a,b\n1,2\n3\n4,5,6\n7,8", "", &(rc__table_options){.skip_ragged = true}, "[a|b]1|2;7|8;");
    rc__table *t = read_with("a,b\n1,2\n3\n4,5,6\n7,8", "", &(rc__table_options){.skip_ragged = true});
    assert_int_equal(rc__rows_skipped(rc__table_rows(t)), 2);
    rc__table_free(t);
    t = read_with("n,t\n1,\"a\n\n\nb\"\n2,c\n", ".csv", NULL);
    assert_int_equal(rc__table_line(t, 0), 2);
    assert_int_equal(rc__table_line(t, 1), 6);
    rc__table_free(t);
}

static void refuses_by_name(void **state) {
    (void)state;
    refused_with("", ".csv", NULL, "empty file");
    refused_with("\n\n", ".csv", NULL, "empty file");
    refused_with("a,text\n", ".csv", &(rc__table_options){.header = RC_YES}, "expected rows behind the header");
    refused_with("a,b\n1,2\n3,4,5\n", ".csv", NULL, "line 3: expected 2 cells as in line 1, found 3");
    refused_with("a,b\n1,2\n3\n", ".csv", NULL, "line 3: expected 2 cells as in line 1, found 1");
    refused_with("a,b,a\n1,2,3\n", ".csv", NULL, "found \"a\" in columns 1 and 3");
    refused_with("a,b\n1,\xE4\n", ".csv", NULL, "line 2, byte 3");
    refused_with("a,b\n1,\xED\xA0\xBC\n", ".csv", NULL, "line 2, byte 3"); /* half a pair */
    refused_with("a,b\r1,2\r", ".csv", NULL, "CR alone");
    refused_with("\xFF\xFE"
                 "a\n",
                 ".csv", NULL, "UTF-16");
    refused_with("a\n", "", &(rc__table_options){.format = "xls"}, "\"xls\"");
    refused_with("a\n", "", &(rc__table_options){.delimiter = '"'}, "delimiter");
    rc__table *t;
    rc_error e;
    assert_int_equal(rc__table_read(&t, data_put_bytes("a,b\n1,\0\n", 8, ""), NULL, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2, byte 3: expected text, found a byte 0"));
    data_drop();
    assert_int_equal(rc__table_read(&t, "/nowhere/a.csv", NULL, &e), RC_EIO);
}

static void padded_rows(void **state) {
    (void)state;
    const rc__table_options padded = {.padded = true};
    gives_with("id,a,b\nx,1\ny,1,2,, \nz,1,\n", "", &padded, "[id|a|b]x|1|;y|1|2;z|1|;");
    refused_with("id,a,b\nx,1,2,3\n", "", &padded, "line 2: expected 3 cells");
    size_t many = (size_t)3 << 20;
    char *commas = malloc(many + 1);
    assert_non_null(commas);
    memset(commas, ',', many);
    commas[many] = 0;
    refused_with(commas, ".csv", NULL, "line 1: expected at most 1048576 cells");
    free(commas);
    /* 20,000 cells in the first line, then rows that have one: refused before they fill the memory */
    size_t n = 20000;
    char *text = malloc(4 * n + 1);
    assert_non_null(text);
    memset(text, ',', n);
    for (size_t i = n; i < 4 * n; i += 2) memcpy(text + i, "\nx", 2);
    text[4 * n] = 0;
    refused_with(text, ".csv", &padded, "nearly empty");
    free(text);
}

static void json_lines(void **state) {
    (void)state;
    gives_with(
        "{\"t\": \"a\\n\\u00e4\\\"\", \"n\": 0.1, \"k\": 7, \"z\": null, \"b\": true}\n\n {\"k\": -1, \"n\": 1e22}\n",
        "", NULL, "[t|n|k|z|b]a\n\xC3\xA4\"|0.1|7||true;|1e+22|-1||;");
    refused_with("{\"a\": 1}\n{\"b\": 1}\n", "", NULL, "line 2: expected the keys of line 1, found \"b\"");
    refused_with("{\"a\": [1]}\n", "", NULL, "line 1: \"a\": expected a text or a number");
    refused_with("{\"a\": 1}\n{\"a\": 1\n", "", NULL, "line 2, column");
    refused_with("{\"a\": 1, \"a\": 2}\n", "", NULL, "line 1, column");
    refused_with("{}\n", "", NULL, "with keys");
    refused_with("[1]\n", "", &(rc__table_options){.format = "jsonl"}, "expected a JSON object");
}

static void columns_and_values(void **state) {
    (void)state;
    rc__table *t = read_with("date,temp,weather,miss\n2012-01-01,1.5,rain,\n2012-01-02,NA,sun,?\n2012-01-03,-2e-3, ,\n",
                             ".csv", NULL);
    const rc__rows *r = rc__table_rows(t);
    size_t col, missing;
    rc_error e;
    assert_int_equal(rc__rows_find(r, "temp", &col, &e), RC_OK);
    assert_int_equal(col, 1);
    assert_int_equal(rc__rows_find(r, "4", &col, &e), RC_OK);
    assert_int_equal(col, 3);
    assert_int_equal(rc__rows_find(r, "5", &col, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "from 1 to 4"));
    assert_int_equal(rc__rows_find(r, "tempp", &col, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "did you mean \"temp\"?"));
    assert_int_equal(rc__rows_find(r, "Weather", &col, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "did you mean \"weather\"?"));
    assert_int_equal(rc__rows_find(r, "pressure", &col, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "there are \"date\", \"temp\", \"weather\", \"miss\""));
    assert_int_equal(rc__table_column_kind(t, 0, NULL), RC_COLUMN_TIME);
    assert_int_equal(rc__table_column_kind(t, 1, &missing), RC_COLUMN_NUMBER);
    assert_int_equal(missing, 1);
    assert_int_equal(rc__table_column_kind(t, 2, &missing), RC_COLUMN_TEXT);
    assert_int_equal(missing, 1);
    assert_int_equal(rc__table_column_kind(t, 3, &missing), RC_COLUMN_NUMBER);
    assert_int_equal(missing, 3);
    double x;
    assert_int_equal(rc__table_real(t, 1, 1, &x, &e), RC_OK);
    assert_true(isnan(x));
    assert_int_equal(rc__table_real(t, 2, 1, &x, &e), RC_OK);
    assert_true(x == -2e-3);
    assert_int_equal(rc__table_real(t, 0, 2, &x, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2, column 3 (\"weather\"): expected a number, found \"rain\""));
    char how[RC_ROWS_HOW];
    assert_string_equal(rc__rows_how(r, how), "comma separated, header in line 1, 4 columns");
    rc__table_free(t);
    const char *const none[] = {"-99"};
    t = read_with("-99\n?\n", ".csv", &(rc__table_options){.missing = none, .n_missing = 1});
    assert_int_equal(rc__table_real(t, 0, 0, &x, &e), RC_OK);
    assert_true(isnan(x));
    assert_int_equal(rc__table_real(t, 1, 0, &x, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2, column 1: expected"));
    rc__table_free(t);
}

static void numbers_are_exact(void **state) {
    (void)state;
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "+1.",
                                       ".5",
                                       "1e5",
                                       "1E-5",
                                       "123456789012345678",
                                       "0.1",
                                       "5.827000141143799",
                                       "1.7976931348623157e308",
                                       "4.9e-324",
                                       "9007199254740993",
                                       "8.41e21",
                                       "1e-400",
                                       "31.41592653589793238462643383279502884",
                                       "000000000000000000000000000001",
                                       " 7\t"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double x;
        if (!rc__cell_number((rc__cell){good[i], strlen(good[i])}, &x)) fail_msg("%s", good[i]);
        if (x != strtod(good[i], NULL)) fail_msg("%s: %.17g", good[i], x);
    }
    static const char *const bad[] = {"",    " ",   ".",   "-",     "1e",  "1e+",   "0x1",
                                      "nan", "inf", "1,5", "12abc", "1 2", "1e999", "e5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double x = 7;
        if (rc__cell_number((rc__cell){bad[i], strlen(bad[i])}, &x)) fail_msg("%s", bad[i]);
        assert_true(x == 7);
    }
    srand(1);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        double y = (double)rand() / (1 + rand() % 100000), x;
        int n = snprintf(text, sizeof text, "%.*g", 1 + rand() % 17, y);
        assert_true(rc__cell_number((rc__cell){text, (size_t)n}, &x));
        if (x != strtod(text, NULL)) fail_msg("%s", text);
    }
}

/* A stream gives the rows of the whole file, whatever is in them, and gzip as well. */
static void streams_give_the_same(void **state) {
    (void)state;
    static const char *const texts[] = {"text,label\n\"a\n\"\"b\"\"\",x\r\nc,y\n", "1\t\"2\n3\t4",
                                        "{\"a\": \"x\"}\n{\"a\": 1}\n",
                                        ("\xEF\xBB\xBF" /* or the escape would go on */
                                         "# c\n1 2 \n 3 4\n")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int gz = 0; gz < 2; gz++) {
            rc__table *t = read_with(texts[i], "", NULL);
            data_put("", "");
            if (gz) {
                gzFile z = gzopen(data_path, "wb");
                assert_int_equal(gzwrite(z, texts[i], (unsigned)strlen(texts[i])), (int)strlen(texts[i]));
                assert_int_equal(gzclose(z), Z_OK);
            } else {
                data_drop();
                data_put(texts[i], "");
            }
            FILE *f = fopen(data_path, "rb");
            rc__source *src;
            rc__rows *rows;
            const rc__cell *row;
            rc_error e = {0};
            assert_int_equal(rc__source_stream(&src, f, data_path, 0, &e), RC_OK);
            if (rc__rows_open(&rows, src, NULL, &e) != RC_OK) fail_msg("%s", e.text);
            size_t n = 0, cols = rc__rows_columns(rows);
            assert_int_equal(cols, rc__rows_columns(rc__table_rows(t)));
            for (; rc__rows_next(rows, &row, &e) == RC_OK && row; n++) {
                assert_int_equal(rc__rows_line(rows), rc__table_line(t, n));
                for (size_t c = 0; c < cols; c++) {
                    rc__cell have = rc__table_cell(t, n, c);
                    assert_int_equal(row[c].len, have.len);
                    assert_memory_equal(row[c].text, have.text, have.len);
                }
            }
            assert_int_equal(n, rc__table_n_rows(t));
            rc__rows_free(rows);
            rc__source_free(src);
            fclose(f);
            rc__table_free(t);
            data_drop();
        }
    /* a long line, a cut gzip file */
    FILE *f = fopen(data_put("abcdefghijklmnop\n", ""), "rb");
    rc__source *src;
    rc_error e;
    char *text;
    size_t len;
    assert_int_equal(rc__source_stream(&src, f, data_path, 8, &e), RC_OK);
    assert_int_equal(rc__source_next(src, &text, &len, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 1: expected a record of at most 8 bytes"));
    rc__source_free(src);
    fclose(f);
    data_drop();
    f = fopen(data_put_bytes("\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c", 12, ""), "rb");
    assert_int_equal(rc__source_stream(&src, f, data_path, 0, &e), RC_OK);
    assert_int_equal(rc__source_next(src, &text, &len, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "ends in the middle"));
    rc__source_free(src);
    fclose(f);
    data_drop();
}

static rc_status read_and_free(rc_error *e) {
    rc__table *l;
    rc_status s = rc__table_read(&l, data_path, NULL, e);
    if (s == RC_OK) rc__table_free(l);
    return s;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const texts[] = {"a,b\n1,\"x\ny\"\n3,4\n", "{\"a\": 1}\n{\"a\": 2}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) data_refuse_each(texts[i], ".csv", read_and_free);
}

static void real_files(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t rows, cols;
        bool header;
        const char *kinds; /* n, t or x of the first columns */
    } files[] = {{"etth1/ETTh1.csv.gz", 17420, 8, true, "tn"},
                 {"exchange-rate/exchange_rate.txt.gz", 7588, 8, false, "nn"},
                 {"m4-hourly/Hourly-train.csv.gz", 414, 961, true, "xn"},
                 {"m4-hourly/Hourly-test.csv", 414, 49, true, "xn"},
                 {"small-series/monthly-sunspots.csv", 2820, 2, true, "tn"},
                 {"small-series/airline-passengers.csv", 144, 2, true, "tn"},
                 {"small-series/daily-min-temperatures.csv", 3650, 2, true, "tn"},
                 {"small-series/shampoo.csv", 36, 2, true, "xn"},
                 {"beijing-pm25/pollution.csv.gz", 43824, 13, true, "nnnnnnnnnx"},
                 {"weather-co2/seattle-weather.csv", 1461, 6, true, "tnnnnx"},
                 {"weather-co2/co2-concentration.csv", 741, 3, true, "tnn"},
                 {"sp500-daily/sp500-2000.csv", 5105, 7, true, "tn"},
                 {"cmapss-fd001/train_FD001.txt.gz", 20631, 26, false, "nn"},
                 {"cmapss-fd001/test_FD001.txt.gz", 13096, 26, false, "nn"},
                 {"cmapss-fd001/RUL_FD001.txt", 100, 1, false, "n"},
                 {"banking77/train.csv", 10003, 2, true, "xx"},
                 {"banking77/test.csv", 3080, 2, true, "xx"},
                 {"agnews-7600/test.csv", 7600, 3, false, "nxx"},
                 {"sms-spam/SMSSpamCollection", 5574, 2, false, "xx"}, /* and one line that is broken in two */
                 {"wikispeedia-clicks/paths_unfinished.tsv.gz", 20000, 6, false, "xnnxxx"},
                 {"nab/realTraffic/speed_7578.csv", 1127, 2, true, "tn"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_real(files[i].file);
        if (!path) return;
        rc__table *t;
        rc_error e = {0};
        const rc__table_options o = {.skip_ragged = strstr(path, "sms-spam") != NULL};
        if (rc__table_read(&t, path, &o, &e) != RC_OK) fail_msg("%s", e.text);
        assert_int_equal(rc__rows_skipped(rc__table_rows(t)), o.skip_ragged);
        char how[RC_ROWS_HOW];
        print_message("%s: %s\n", files[i].file, rc__rows_how(rc__table_rows(t), how));
        assert_int_equal(rc__table_n_rows(t), files[i].rows);
        assert_int_equal(rc__rows_columns(rc__table_rows(t)), files[i].cols);
        assert_int_equal(rc__rows_name(rc__table_rows(t), 0).text != NULL, files[i].header);
        for (size_t c = 0; files[i].kinds[c]; c++) {
            size_t missing;
            int kind = "ntx"[rc__table_column_kind(t, c, &missing)];
            if (kind != files[i].kinds[c]) fail_msg("column %zu: %c", c + 1, kind);
            if (strstr(files[i].file, "pollution") && c == 5) assert_int_equal(missing, 2067);
        }
        rc__table_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_out_what_it_is),
        cmocka_unit_test(quotes_are_those_of_rfc_4180),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(padded_rows),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(columns_and_values),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(streams_give_the_same),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
