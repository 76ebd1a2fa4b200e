/* Stories with questions: each format, whole and as a stream, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/stories.h"
#include "data_file.h"

/* "+a sentence; question? = answer (0 2);": + begins a story, then the sentences that support the answer. */
static rc_status show(const char *path, const rc__stories_options *o, bool stream, char *out, size_t cap, rc_error *e) {
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    FILE *f = stream ? fopen(path, "rb") : NULL;
    bool more = true;
    size_t n = 0;
    rc_status s = stream ? rc__source_stream(&src, f, path, 0, e) : rc__source_open(&src, path, e);
    if (s == RC_OK) s = rc__stories_open(&r, src, o, e);
    out[0] = 0;
    while (s == RC_OK) {
        rc__story_line l;
        s = rc__stories_next(r, &l, &more, e);
        if (s != RC_OK || !more) break;
        n += (size_t)snprintf(out + n, cap - n, "%s%.*s", l.begins ? "+" : "", (int)l.text.len, l.text.text);
        if (l.question && l.answer.text) n += (size_t)snprintf(out + n, cap - n, " = %.*s", (int)l.answer.len, l.answer.text);
        for (size_t i = 0; i < l.n_support; i++) n += (size_t)snprintf(out + n, cap - n, " %d", l.support[i]);
        n += (size_t)snprintf(out + n, cap - n, "%s@%zu;", l.question ? "?" : "", l.line);
    }
    rc__stories_close(r);
    rc__source_free(src);
    if (f) fclose(f);
    return s;
}

static void gives(const char *text, const char *format, const char *expected) {
    char got[4000];
    rc_error e = {0};
    for (int stream = 0; stream < 2; stream++) {
        rc__stories_options o = {.format = format};
        if (show(data_put(text, ".txt"), &o, stream, got, sizeof got, &e) != RC_OK) fail_msg("%s", e.text);
        assert_string_equal(got, expected);
        data_drop();
    }
}

static void refuses(const char *text, bool answers, const char *message) {
    char got[4000], want[600];
    rc_error e = {0};
    for (int stream = 0; stream < 2; stream++) {
        rc__stories_options o = {.answers = answers};
        assert_int_equal(show(data_put(text, ".txt"), &o, stream, got, sizeof got, &e), RC_EDATA);
        snprintf(want, sizeof want, "%s: %s", data_path, message);
        assert_string_equal(e.text, want);
        data_drop();
    }
}

static void test_babi(void **state) {
    (void)state;
    gives("1 Ann went home.\n2 Bob slept.\n3 Where is Ann? \thome\t1\n4 Ann left.\r\n5 Who left?\tann,bob\t4 2\n1 So?\tyes\n", NULL,
          "+Ann went home.@1;Bob slept.@2;Where is Ann? = home 0?@3;Ann left.@4;Who left? = ann,bob 2 1?@5;+So? = yes?@6;");
    gives("1 a b\n\n2 c?\n", "babi", "+a b@1;c??@3;"); /* an empty line is none */
    gives("1 Tell me\tyes\t\n", NULL, "+Tell me = yes?@1;"); /* what has an answer is a question */
    char real[1 << 10];
    const char *path = data_real("babi-en-1k/qa1_single-supporting-fact_train.txt");
    if (!path) return;
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    rc_error e = {0};
    bool more = true;
    size_t questions = 0, stories = 0, support = 0;
    assert_int_equal(rc__source_open(&src, path, &e), RC_OK);
    assert_int_equal(rc__stories_open(&r, src, &(rc__stories_options){.answers = true}, &e), RC_OK);
    for (;;) {
        rc__story_line l;
        if (rc__stories_next(r, &l, &more, &e) != RC_OK) fail_msg("%s", e.text);
        if (!more) break;
        questions += l.question;
        stories += l.begins;
        support += l.n_support;
    }
    assert_int_equal(questions, 1000);
    assert_int_equal(stories, 200);
    assert_int_equal(support, 1000);
    snprintf(real, sizeof real, "%s", rc__stories_how(r));
    assert_string_equal(real, "babi");
    rc__stories_close(r);
    rc__source_free(src);
}

static void test_others(void **state) {
    (void)state;
    gives("Ann went home.\nWhere is Ann?\n\nBob left.\nWho left?\tbob\n", NULL,
          "+Ann went home.@1;Where is Ann??@2;+Bob left.@4;Who left? = bob?@5;");
    gives("{\"story\": [\"a b.\", \"c.\"], \"question\": \"d?\", \"answer\": \"e\"}\n\n"
          "{\"question\": \"g\", \"story\": [], \"answer\": [\"x\", \"y z\"]}\n{\"story\": \"one\", \"question\": \"two\"}\n",
          NULL, "+a b.@1;c.@1;d? = e?@1;+g = x,y z?@3;+one@4;two?@4;");
    gives("1 is one\nis it?\n", "plain", "+1 is one@1;is it??@2;");
}

static void test_refusals(void **state) {
    (void)state;
    refuses("1 a.\n3 b.\n", false, "line 2, column 1: expected line number 2, or 1 for a new story, found \"3\"");
    refuses("2 a.\n", false, "line 1, column 1: expected line number 1 and a space before the text, found \"2\"");
    refuses("1 a.\nb c.\n", false, "line 2, column 1: expected line number 2, or 1 for a new story, found \"b c.\"");
    refuses("1 a.\n2\tb\n", false, "line 2, column 2: expected a space after the number, found \"?\"");
    refuses("1 a.\n2 \n", false, "line 2, column 3: expected a sentence, found nothing");
    refuses("1 a.\n2 \tb\n", false, "line 2, column 3: expected a question, found nothing");
    refuses("1 a.\n2 b?\n", true, "line 2, column 5: expected a tab and the answer after the question, found nothing");
    refuses("1 a.\n2 b?\t\t1\n", false, "line 2, column 6: expected an answer, found nothing");
    refuses("1 a.\n2 b?\tc\t1\td\n", false,
            "line 2, column 10: expected at most 3 cells: question, answer, supporting lines, found \"d\"");
    refuses("1 a.\n2 b?\tc\t1 2\n", false,
            "line 2, column 10: expected the number of a sentence before this line (2), found \"2\"");
    refuses("1 a?\tb\n2 c?\td\t1\n", false,
            "line 2, column 8: expected the number of a sentence before this line (2), found \"1\"");
    refuses("a.\nb?\tc\t1\n", false,
            "line 2, column 6: expected nothing after the answer: lines without numbers support nothing, found \"1\"");
    refuses("{\"story\": [3], \"question\": \"q\"}\n", false, "line 1: \"story\": expected texts of one line each that are not empty");
    refuses("{\"story\": [], \"question\": \"\"}\n", false, "line 1: \"question\": expected a text of one line that is not empty");
    refuses("{\"story\": [], \"question\": \"q\"}\n", true,
            "line 1: \"answer\": expected a text of one line that is not empty, or a list of them");
    refuses("{\"story\": [], \"question\": \"q\", \"answer\": []}\n", true,
            "line 1: \"answer\": expected a text or a list of texts, found an empty list");
    refuses("{\"story\": [], \"question\": \"q\", \"answers\": \"x\"}\n", false,
            "line 1: expected keys story, question and answer, found \"answers\"");
    refuses("{\"question\": \"q\"}\n", false, "line 1: \"story\": expected a list of texts, or a text, found something else or no such key");
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    rc_error e = {0};
    char text[] = "a";
    assert_int_equal(rc__source_memory(&src, text, 1, "x", &e), RC_OK);
    assert_int_equal(rc__stories_open(&r, src, &(rc__stories_options){.format = "csv"}, &e), RC_EINVAL);
    assert_string_equal(e.text, "format: expected babi, jsonl or plain, found \"csv\"");
    rc__source_free(src);
}

static rc_status read_all(rc_error *e) {
    char got[4000];
    return show(data_path, &(rc__stories_options){0}, false, got, sizeof got, e);
}

static void test_memory(void **state) {
    (void)state;
    data_refuse_each("1 a.\n2 b?\tc\t1\n", ".txt", read_all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_babi), cmocka_unit_test(test_others), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
