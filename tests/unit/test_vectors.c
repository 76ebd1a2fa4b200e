/* Word vectors in text: word2vec, fastText, GloVe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/vectors.h"
#include "data_file.h"
#include "failing.h"

static const char *const vocabulary[] = {"<unk>", "the", "cat", ". .", "\xC3\xA4"};
enum { ROWS = 5, DIM = 3 };

static int64_t lookup(void *ctx, const char *word, size_t len) {
    ++*(size_t *)ctx;
    for (int64_t i = 0; i < ROWS; i++)
        if (strlen(vocabulary[i]) == len && memcmp(vocabulary[i], word, len) == 0) return i;
    return -1;
}

static rc_real rows[ROWS * DIM];
static bool found[ROWS];
static rc__vectors_report report;

static rc_status fill(const char *text, size_t len, rc_error *e) {
    size_t asked = 0;
    *e = (rc_error){0};
    for (size_t i = 0; i < ROWS * DIM; i++) rows[i] = 9;
    rc_status s =
        rc__vectors_fill(data_put_bytes(text, len, ".vec"), lookup, &asked, ROWS, DIM, rows, found, &report, e);
    data_drop();
    return s;
}

static void refused(const char *text, const char *word) {
    rc_error e;
    assert_int_equal(fill(text, strlen(text), &e), RC_EDATA);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    assert_non_null(strstr(e.text, data_path));
}

static void fills_the_rows_of_words(void **state) {
    (void)state;
    static const char *const texts[] = {"4 3\nthe 1 2 3.5 \nzebra 7 7 7\n. . 0 -1 1e-2\nthe 4 4 4\n", /* with a head, */
                                        "the 1 2 3.5\nzebra 7 7 7\r\n. . 0 -1 1e-2\n\nthe 4 4 4"};    /* without */
    for (int i = 0; i < 2; i++) {
        rc_error e;
        if (fill(texts[i], strlen(texts[i]), &e) != RC_OK) fail_msg("%s", e.text);
        assert_int_equal(report.vectors, 4);
        assert_int_equal(report.hits, 2);
        assert_int_equal(report.twice, 1);
        static const rc_real expected[ROWS * DIM] = {9, 9, 9, 1, 2, 3.5f, 9, 9, 9, 0, -1, 1e-2f, 9, 9, 9};
        assert_memory_equal(rows, expected, sizeof rows);
        assert_true(!found[0] && found[1] && !found[2] && found[3] && !found[4]);
    }
    rc_error e;
    assert_int_equal(fill("\xE4 1 2 3\n\xC3\xA4 4 5 6\n", 17, &e), RC_OK);
    assert_int_equal(report.not_utf8, 1);
    assert_true(rows[12] == 4 && rows[14] == 6);
    data_put("", ".gz");
    gzFile z = gzopen(data_path, "wb");
    for (int i = 0; i < 20000; i++) gzprintf(z, "word%d %d 0 0\n", i, i);
    gzprintf(z, "cat 1 2 3\n");
    assert_int_equal(gzclose(z), Z_OK);
    size_t asked = 0, dim;
    assert_int_equal(rc__vectors_fill(data_path, lookup, &asked, ROWS, DIM, rows, NULL, &report, &e), RC_OK);
    assert_int_equal(asked, 20001);
    assert_int_equal(report.hits, 1);
    assert_true(rows[6] == 1 && rows[8] == 3);
    assert_int_equal(rc__vectors_dim(data_path, &dim, &e), RC_OK);
    assert_int_equal(dim, 3);
    data_drop();
    assert_int_equal(rc__vectors_dim(data_put("10 300\n", ""), &dim, &e), RC_OK);
    assert_int_equal(dim, 300);
    data_drop();
}

static void refuses_by_name(void **state) {
    (void)state;
    refused("", "empty file");
    refused("1 4\nthe 1 2 3 4\n", "line 1: expected vectors of dimension 3, found 4");
    refused("the 1 2 3 4\n", "line 1: expected vectors of dimension 3, found 4");
    refused("the 1 2\n", "line 1: expected vectors of dimension 3, found 2");
    refused("the 1 2 3\ncat 1 2\n", "line 2: expected a word and 3 numbers, found 3 cells");
    refused("the 1 2 3\ncat 1.5 1 2 3\n", "line 2: expected a word and 3 numbers, found one number more: \"1.5\"");
    refused("zebra 1 2 3\nthe 1 x 3\n", "line 2, number 2: expected a number, found \"x\"");
    refused("the 1 1e39 3\n", "number 2: expected a number, found \"1e39\"");
    refused("the 1 nan 3\n", "number 2: expected a number");
    refused("3 3\nthe 1 2 3\n", "expected 3 vectors as the first line says, found 1");
    refused("1 3\nthe 1 2 3\ncat 1 2 3\n", "line 3: expected 1 vectors as the first line says, found more");
    refused("1 0\n", "a dimension from 1");
    rc_error e;
    static const char binary[] = "2 3\nthe \x01\x00\x80\x3f\x11\x12\x13\x14\x00\x00\x80\x3f\ncat \x01\x00\x80\x3f";
    assert_int_equal(fill(binary, sizeof binary - 1, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "binary word2vec is not read"));
    size_t dim, asked = 0;
    assert_int_equal(rc__vectors_dim("/nowhere", &dim, &e), RC_EIO);
    assert_int_equal(rc__vectors_fill("x", lookup, &asked, ROWS, 0, rows, NULL, &report, &e), RC_EINVAL);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    data_put("1 3\nthe 1 2 3\n", ".vec");
    for (long n = 0;; n++) {
        failing f = {.left = n};
        size_t asked = 0;
        rc_error e;
        rc_set_allocator(failing_alloc, &f);
        size_t before = rc_memory_used();
        rc_status s = rc__vectors_fill(data_path, lookup, &asked, ROWS, DIM, rows, NULL, &report, &e);
        assert_int_equal(rc_memory_used(), before);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        assert_true(n < 100);
    }
    data_drop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_the_rows_of_words),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
