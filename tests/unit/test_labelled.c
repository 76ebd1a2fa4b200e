/* Texts with labels: every format, found out or told; whole and as a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "data/labelled.h"
#include "data_file.h"
#include "failing.h"
#include "temporary.h"

/* All rows as label,label>text; */
static const char *shown(const rc__labelled *l) {
    static char buf[4000];
    size_t n = 0;
    buf[0] = 0;
    for (size_t i = 0; i < l->n_rows; i++) {
        const rc__labelled_row *r = &l->rows[i];
        for (size_t k = 0; k < r->n_labels; k++) {
            size_t len;
            const char *name = rc__strtab_get(&l->names, l->labels[r->first + k], &len);
            n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%.*s", k ? "," : "", (int)len, name);
        }
        n += (size_t)snprintf(buf + n, sizeof buf - n, ">%.*s;", (int)r->text.len, r->text.text);
    }
    return buf;
}

/* The same records as a stream, with the labels as they come. */
static void check_stream(const rc__labelled *l, const rc__labelled_options *o) {
    FILE *f = fopen(data_path, "rb");
    rc__source *src;
    rc__labelled_reader *r;
    rc__record record;
    rc_error e = {0};
    bool more = true;
    size_t n = 0;
    assert_int_equal(rc__source_stream(&src, f, data_path, 0, &e), RC_OK);
    if (rc__labelled_open(&r, src, o, &e) != RC_OK) fail_msg("%s", e.text);
    for (;; n++) {
        if (rc__labelled_next(r, &record, &more, &e) != RC_OK) fail_msg("%s", e.text);
        if (!more) break;
        assert_true(n < l->n_rows);
        assert_int_equal(record.line, l->rows[n].line);
        assert_int_equal(record.text.len, l->rows[n].text.len);
        assert_memory_equal(record.text.text, l->rows[n].text.text, record.text.len);
    }
    assert_int_equal(n, l->n_rows);
    rc__labelled_close(r);
    rc__source_free(src);
    fclose(f);
}

static void gives_with(const char *text, const rc__labelled_options *o, bool stream, const char *expected,
                       const char *how) {
    rc__labelled *l;
    rc_error e = {0};
    if (rc__labelled_read(&l, data_put(text, ""), o, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    assert_string_equal(shown(l), expected);
    if (how && !strstr(l->how, how)) fail_msg("%s: read as %s", text, l->how);
    if (stream) check_stream(l, o);
    rc__labelled_free(l);
    data_drop();
}

static void refused_with(const char *text, const rc__labelled_options *o, const char *word) {
    rc__labelled *l;
    rc_error e = {0};
    rc_status s = rc__labelled_read(&l, data_put(text, ""), o, &e);
    assert_null(l);
    assert_true(s == RC_EDATA || s == RC_EINVAL);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    assert_non_null(strstr(e.text, data_path));
    data_drop();
}

static void finds_out_what_it_is(void **state) {
    (void)state;
    gives_with("ham\tOk, \"lar\nspam\tFree; entry\nham\tU dun\n", NULL, false,
               "ham>Ok, \"lar;spam>Free; entry;ham>U dun;",
               "tab separated, no header, 2 columns; label in column 1, text in column 2");
    gives_with("text,category\nWhere?,card\n\"Why, \"\"it\"\"\nnot\",cash\n", NULL, true,
               "card>Where?;cash>Why, \"it\"\nnot;",
               "header in line 1, 2 columns; label in column 2, text in column 1");
    gives_with("\"3\",\"Fears\",\"Unions\"\n\"4\",\"Race, on\",\"SPACE\"\n\"4\",\"Ky\",\"AP\"\n", NULL, false,
               "3>Fears Unions;4>Race, on SPACE;4>Ky AP;", "label in column 1, text in column 2 and 3");
    gives_with("id,title,description,class\n1,a,b,x\n2,c,d,y\n", NULL, true, "x>a b;y>c d;", "text in column 2 and 3");
    gives_with("1 a stirring , funny film\n0 dull , dull\n", NULL, true, "1>a stirring , funny film;0>dull , dull;",
               "lines of a label");
    gives_with("pos so good\nneg so bad\npos oh yes\nneg no\n", NULL, false,
               "pos>so good;neg>so bad;pos>oh yes;neg>no;", "lines of a label");
    gives_with("__label__a __label__b how to\n__label__c  fry it \n", NULL, true, "a,b>how to;c>fry it;", "fastText");
    gives_with("{\"text\": \"a\\nb\", \"label\": \"x\"}\n\n{\"label\": 3, \"text\": \"c\"}\n", NULL, true,
               "x>a\nb;3>c;", "label is \"label\", text is \"text\"");
    gives_with("{\"sentence\": \"a\", \"labels\": [\"x\", \"y\", \"x\"]}\n", NULL, true, "x,y>a;", NULL);
}

static void as_it_is_told(void **state) {
    (void)state;
    gives_with("a\tb\tc\nd\te\tf\n", &(rc__labelled_options){.text = "3+1", .label = "2"}, true, "b>c a;e>f d;", NULL);
    gives_with("u,v\na,b\nc,d\n", &(rc__labelled_options){.text = "v", .label = "u", .table = {.header = RC_YES}}, true,
               "a>b;c>d;", NULL);
    gives_with("text,label\na,\"x, y\"\nb,\nc,z\n", &(rc__labelled_options){.separator = ","}, true, "x,y>a;>b;z>c;",
               NULL);
    gives_with("text,label\na,x||y|z||\n", &(rc__labelled_options){.separator = "||"}, true, "x,y|z>a;", NULL);
    gives_with("x y z\nx w\n", &(rc__labelled_options){.format = "label-first"}, true, "x>y z;x>w;", NULL);
    gives_with("{\"q\": \"a\", \"k\": \"x|y\"}\n", &(rc__labelled_options){.text = "q", .label = "k", .separator = "|"},
               true, "x,y>a;", NULL);
    refused_with("a,b\n", &(rc__labelled_options){.format = "xml"}, "\"xml\"");
    refused_with("text,label\na,b\n", &(rc__labelled_options){.label = "lable"}, "did you mean \"label\"?");
    refused_with("text,label\na,b\n", &(rc__labelled_options){.text = "1", .label = "text"}, "column 1 is both");
}

static void texts_without_labels(void **state) {
    (void)state;
    const rc__labelled_options o = {.unlabelled = true};
    gives_with("one, two\n\n three\r\n", &o, true, ">one, two;>;> three;", "plain lines");
    gives_with("1 good\n", &o, true, ">1 good;", "plain lines");
    gives_with("1 good\n", &(rc__labelled_options){.format = "label-first", .unlabelled = true}, true, ">good;", NULL);
    gives_with("__label__a b c\n", &o, true, ">b c;", NULL);
    gives_with("{\"text\": \"a\"}\n{\"text\": \"b\", \"label\": 1}\n", &o, true, ">a;>b;", NULL);
    gives_with("id,text\n1,\"a\nb\"\n2,c\n", &o, true, ">a\nb;>c;", "text in column 2");
    gives_with("id,x\n1,a\n", &(rc__labelled_options){.text = "x", .unlabelled = true}, true, ">a;", NULL);
}

static void refuses_by_name(void **state) {
    (void)state;
    refused_with("", NULL, "");
    refused_with("some words\nof no kind at all\n", NULL, "expected texts with labels, found plain lines");
    refused_with("text,label\na,x\nb,\n", NULL, "line 3: expected a label, found none");
    refused_with("1 a\n0\n", &(rc__labelled_options){.format = "label-first"},
                 "line 2: expected a label, a space and a text");
    refused_with("__label__ a\n", NULL, "behind __label__");
    refused_with("__label__x a\nb\n", &(rc__labelled_options){.format = "fasttext"}, "line 2: expected a label");
    refused_with("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": 3, \"label\": \"x\"}\n", NULL,
                 "line 2: \"text\": expected a text");
    refused_with("{\"text\": \"a\", \"label\": {\"x\": 1}}\n", NULL, "line 1: \"label\": expected a label");
    refused_with("{\"a\": 1}\n", NULL, "expected a key text");
    refused_with("{\"text\": \"\"}\n", NULL, "expected a key label");
    refused_with("a,b,c,d\ne,f,g,h\n", NULL, "which of the 4 columns is the text?");
    refused_with("id,text,x\n1,a,b\n", NULL, "which of the 3 columns is the label?");
    refused_with("a\tx\nb\ty\nc\n", NULL, "expected texts with labels"); /* too few lines with a tab */
}

static void put_file(const char *folder, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void folders(void **state) {
    (void)state;
    char folder[256], path[512], command[300];
    rc__labelled *l;
    rc_error e = {0};
    TEMPORARY_NAME(folder, temporary_root(), "classes");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(rc__labelled_read(&l, folder, NULL, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "expected a folder for each class"));
    snprintf(path, sizeof path, "%s/pos", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/neg", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(folder, "README", "not a class");
    put_file(folder, "pos/2.txt", "good\nfilm\n");
    put_file(folder, "pos/1.txt", "fine\r\n");
    put_file(folder, "neg/.hidden", "x");
    put_file(folder, "neg/a.txt",
             "\xEF\xBB\xBF"
             "bad");
    if (rc__labelled_read(&l, folder, NULL, &e) != RC_OK) fail_msg("%s", e.text);
    assert_string_equal(shown(l), "neg>bad;pos>fine;pos>good\nfilm;");
    assert_non_null(strstr(l->how, "2 classes"));
    rc__labelled_free(l);
    put_file(folder, "neg/b.txt", "line\n\xE4");
    assert_int_equal(rc__labelled_read(&l, folder, NULL, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "neg/b.txt: line 2, byte 1"));
    put_file(folder, "neg/b.txt", "");
    snprintf(path, sizeof path, "%s/neg/deep", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(rc__labelled_read(&l, folder, NULL, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "neg/deep: expected a text file"));
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static rc_status read_and_free(rc_error *e) {
    rc__labelled *l;
    rc_status s = rc__labelled_read(&l, data_path, NULL, e);
    if (s == RC_OK) rc__labelled_free(l);
    return s;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const texts[] = {"a\tsome text\nb\tother\na\tthird\n",
                                        "{\"text\": \"a\", \"labels\": [\"x\", \"y\"]}\n", "1 a , b\n0 c , d\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) data_refuse_each(texts[i], "", read_and_free);
}

static void real_files(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t rows, classes;
        const char *how;
    } files[] = {{"sst/stsa.binary.train", 6920, 2, "lines of a label"},
                 {"sst/stsa.binary.test", 1821, 2, "lines of a label"},
                 {"sst/stsa.fine.train", 8544, 5, "lines of a label"},
                 {"sst/stsa.fine.dev", 1101, 5, "lines of a label"},
                 {"banking77/train.csv", 10003, 77, "label in column 2, text in column 1"},
                 {"banking77/test.csv", 3080, 77, "label in column 2, text in column 1"},
                 {"agnews-7600/test.csv", 7600, 4, "label in column 1, text in column 2 and 3"},
                 {"sms-spam/SMSSpamCollection", 5574, 2, "label in column 1, text in column 2; 1 rows left out"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_real(files[i].file);
        if (!path) return;
        rc__labelled *l;
        rc_error e = {0};
        const rc__labelled_options o = {.table = {.skip_ragged = strstr(path, "sms-spam") != NULL}};
        if (rc__labelled_read(&l, path, &o, &e) != RC_OK) fail_msg("%s", e.text);
        print_message("%s: read as %s\n", files[i].file, l->how);
        assert_int_equal(l->n_rows, files[i].rows);
        assert_int_equal(l->names.count, files[i].classes);
        assert_non_null(strstr(l->how, files[i].how));
        rc__labelled_free(l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_out_what_it_is),
        cmocka_unit_test(as_it_is_told),
        cmocka_unit_test(texts_without_labels),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(folders),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
