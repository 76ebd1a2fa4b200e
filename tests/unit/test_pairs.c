/* Pairs of texts: two files, tables, JSON lines, conversations; whole and as a stream; what is refused, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/pairs.h"
#include "data_file.h"

/* All pairs as source>target[/other]@line; */
static size_t show(char *buf, size_t cap, size_t n, const rc__pair *p) {
    n += (size_t)snprintf(buf + n, cap - n, "%.*s>%.*s", (int)p->source.len, p->source.text, (int)p->target.len,
                          p->target.text);
    for (size_t k = 0; k < p->n_others; k++)
        n += (size_t)snprintf(buf + n, cap - n, "/%.*s", (int)p->others[k].len, p->others[k].text);
    return n + (size_t)snprintf(buf + n, cap - n, "@%zu;", p->line);
}

static char second_path[320];
static const char *second(const char *text) {
    data_put(text, ".second");
    snprintf(second_path, sizeof second_path, "%s", data_path);
    return second_path;
}

static void gives(const char *text, const char *ending, const char *target, const rc__pairs_options *o, bool stream,
                  const char *expected, const char *how) {
    char got[4000] = "";
    size_t n = 0;
    rc__pairs *p;
    rc_error e = {0};
    const char *other = target ? second(target) : NULL;
    data_put(text, ending);
    if (rc__pairs_read(&p, data_path, other, o, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    for (size_t i = 0; i < p->n; i++) n = show(got, sizeof got, n, &p->pair[i]);
    assert_string_equal(got, expected);
    if (how && !strstr(p->how, how)) fail_msg("%s: read as %s", text, p->how);
    rc__pairs_free(p);
    if (stream) { /* the same records, one after the other */
        FILE *f = fopen(data_path, "rb");
        rc__source *src;
        rc__pairs_reader *r;
        rc__pair pair;
        bool more = true;
        n = 0;
        assert_int_equal(rc__source_stream(&src, f, data_path, 0, &e), RC_OK);
        if (rc__pairs_open(&r, src, NULL, o, &e) != RC_OK) fail_msg("%s", e.text);
        for (got[0] = 0;;) {
            if (rc__pairs_next(r, &pair, &more, &e) != RC_OK) fail_msg("%s", e.text);
            if (!more) break;
            n = show(got, sizeof got, n, &pair);
        }
        assert_string_equal(got, expected);
        rc__pairs_close(r);
        rc__source_free(src);
        fclose(f);
    }
    data_drop();
    if (other) assert_int_equal(unlink(second_path), 0);
}

static void refused(const char *text, const char *ending, const char *target, const rc__pairs_options *o,
                    const char *const *words) {
    rc__pairs *p;
    rc_error e = {0};
    const char *other = target ? second(target) : NULL;
    data_put(text, ending);
    rc_status s = rc__pairs_read(&p, data_path, other, o, &e);
    assert_null(p);
    if (s != RC_EDATA && s != RC_EINVAL) fail_msg("%s: %d %s", text, s, e.text);
    assert_non_null(strstr(e.text, data_path));
    for (; *words; words++)
        if (!strstr(e.text, *words)) fail_msg("expected \"%s\" in \"%s\"", *words, e.text);
    data_drop();
    if (other) assert_int_equal(unlink(second_path), 0);
}
#define REFUSED(text, ending, target, o, ...) refused(text, ending, target, o, (const char *const[]){__VA_ARGS__, NULL})

static void two_files_go_line_by_line(void **state) {
    (void)state;
    gives("a b\nc\r\n\n", ".en", "x\n\nz\n", NULL, false, "a b>x@1;c>@2;>z@3;", "two files");
    gives("a\nb", ".en", "x\ny\n", NULL, false, "a>x@1;b>y@2;", NULL);           /* the last line end says nothing */
    gives("{\"a\": 1}\n", ".en", "{}\n", NULL, false, "{\"a\": 1}>{}@1;", NULL); /* lines are lines */
}

static void unequal_files_are_told(void **state) {
    (void)state;
    REFUSED("a\nb\nlost one\nd\n", ".en", "x\ny\n", NULL, "has 4 lines", ".second has 2", "line 3 of", "\"lost one\"",
            "before it");
    REFUSED("a\n", ".en", "x\n\n \n", NULL, "has 3 lines", "has 1", "line 2 of", ".second", "is empty");
}

static void counts_what_is_odd(void **state) {
    (void)state;
    rc__pairs *p, *q;
    rc_error e;
    size_t common;
    second("x\n\nsame\nx\nx\n\n");
    data_put("a\nb\nsame \n \na\na\n", ".src");
    if (rc__pairs_read(&p, data_path, second_path, NULL, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(p->n, 6);
    assert_int_equal(p->empty_sources, 1);
    assert_int_equal(p->empty_targets, 2);
    assert_int_equal(p->equal, 1);
    assert_int_equal(p->repeated, 1); /* a>x */
    data_drop();
    data_put("z\tx\na\tx\n", ".tsv");
    if (rc__pairs_read(&q, data_path, NULL, NULL, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc__pairs_common(p->pair, p->n, q->pair, q->n, &common, &e), RC_OK);
    assert_int_equal(common, 1);
    rc__pairs_free(p);
    rc__pairs_free(q);
    data_drop();
    unlink(second_path);
}

static void tables_have_two_columns(void **state) {
    (void)state;
    gives("a b\tx\nc\ty\n", ".txt", NULL, NULL, true, "a b>x@1;c>y@2;", "target in column 2");
    gives("a\tx\tnote\nc\ty\tnote\n", ".tsv", NULL, NULL, true, "a>x@1;c>y@2;", NULL);
    gives("# a\tx\nc\ty\n", ".tsv", NULL, NULL, true, "# a>x@1;c>y@2;", NULL); /* no comment */
    gives("target,source\nx,\"a, b\"\n", ".csv", NULL, NULL, false, "a, b>x@2;", "source in column 2");
    gives("id,question,answer\n1,a,x\n", ".csv", NULL, NULL, false, "a>x@2;", NULL);
    gives("de,en\nx,a\n", ".csv", NULL,
          &(rc__pairs_options){.source = "en", .target = "de", .table = {.header = RC_YES}}, false, "a>x@2;", NULL);
    gives("q,1,x\nr,2,y\n", ".csv", NULL, &(rc__pairs_options){.source = "1", .target = "3"}, false, "q>x@1;r>y@2;",
          NULL);
    REFUSED("a\tx\nb\n", ".tsv", NULL, NULL, "line 2", "expected 2");
    REFUSED("a\nb\n", ".csv", NULL, NULL, "expected two columns");
    const rc__pairs_options same = {.source = "1", .target = "1"}, unknown = {.format = "tex"};
    REFUSED("a,x\nb,y\n", ".csv", NULL, &same, "both source and target");
    REFUSED("a b\nc d\n", ".txt", NULL, NULL, "plain lines", "two files");
    REFUSED("a\xFF\tx\n", ".tsv", NULL, NULL, "line 1", "byte 2");
    REFUSED("a\n", ".txt", NULL, &unknown, "expected auto");
}

static void json_lines_have_two_keys(void **state) {
    (void)state;
    gives("{\"target\": \"x\", \"source\": \"a\"}\n\n{\"source\": \"b\", \"target\": \"\"}\n", ".jsonl", NULL, NULL,
          true, "a>x@1;b>@3;", "source is \"source\"");
    gives("{\"id\": 7, \"source\": [\"A.\", \"B.\"], \"rest\": {}, \"target\": [\"x\", \"y\", \"z\"]}\n", ".jsonl",
          NULL, NULL, true, "A. B.>x/y/z@1;", NULL);
    gives("{\"en\": \"a\", \"de\": \"x\"}\n", ".jsonl", NULL, NULL, true, "a>x@1;", NULL);
    gives("{\"en\": \"a\", \"de\": \"x\"}\n", ".jsonl", NULL, &(rc__pairs_options){.source = "de", .target = "en"},
          true, "x>a@1;", NULL);
    gives("{\"source\": null, \"target\": []}\n", ".jsonl", NULL, NULL, true, ">@1;", NULL);
    REFUSED("{\"source\": \"a\", \"target\": \"x\"}\n{\"source\": \"b\"}\n", ".jsonl", NULL, NULL, "line 2",
            "\"target\"", "no such key");
    REFUSED("{\"source\": \"a\", \"target\": \"x\"}\n{\"source\": 5, \"target\": \"x\"}\n", ".jsonl", NULL, NULL,
            "line 2", "another value");
    REFUSED("{\"source\": [\"a\", 1], \"target\": \"x\"}\n", ".jsonl", NULL, NULL, "line 1", "in the list");
    REFUSED("{\"source\": \"a\"}\n", ".jsonl", NULL, NULL, "line 1", "two keys");
    REFUSED("{\"source\": \"a\", \n", ".jsonl", NULL, NULL, "line 1");
}

static void sources_alone(void **state) {
    (void)state;
    const rc__pairs_options o = {.unlabelled = true};
    gives("a\tb\n\nc\n", ".txt", NULL, &o, true, "a\tb>@1;>@2;c>@3;", "plain lines");
    gives("{\"document\": [\"A\", \"B\"]}\n", ".jsonl", NULL, &o, true, "A B>@1;", NULL);
    gives("{\"source\": \"a\", \"target\": 5}\n", ".jsonl", NULL, &o, true, "a>@1;", NULL);
    gives("a,x\nb,y\n", ".csv", NULL, &o, true, "a>@1;b>@2;", NULL);
}

static const rc__pairs_options talk = {.conversations = true};

static void conversations_give_replies(void **state) {
    (void)state;
    const rc__pairs_options two = {.conversations = true, .history = 2, .separator = " || "};
    gives("hi\nhello\nhow are you\n\n\nbye\nciao\n", ".txt", NULL, &talk, true,
          "hi>hello@2;hello>how are you@3;bye>ciao@7;", "1 turn before");
    gives("hi\nhello\nhow are you\nfine\n", ".txt", NULL, &two, true,
          "hi>hello@2;hi || hello>how are you@3;hello || how are you>fine@4;", "2 turns");
    gives("hi\thello\thow\nalone\t\n", ".tsv", NULL, &talk, true, "hi>hello@1;hello>how@1;alone>@2;", "tabs");
    gives("{\"conversations\": [[\"a\", \"b\"], [\"alone\"], [{\"role\": \"user\", \"content\": \"c\"}, {\"content\": "
          "\"d\"}], \"none\"]}",
          ".json", NULL, &talk, false, "a>b@1;c>d@3;", "1 left out: no list of texts (entry 4)");
    gives("{\"conversations\": [[\"a\", \"b\"]]}", ".txt", NULL, &talk, false, "a>b@1;", "JSON");
    gives("[[\"a\",\n\"b\"]]", ".json", NULL, &talk, false, "a>b@1;", NULL);
    gives("{\"turns\": [\"a\", \"b\", \"c\"]}\n{\"turns\": [\"d\"]}\n{\"turns\": [\"e\", 5]}\n{\"turns\": [\"f\", "
          "\"g\"]}\n",
          ".jsonl", NULL, &talk, true, "a>b@1;b>c@1;f>g@4;", "turns are");
    gives("{\"source\": \"a\", \"target\": \"b\"}\n", ".jsonl", NULL, &talk, true, "a>b@1;", NULL);
    gives("a\nb\n", ".txt", NULL, &(rc__pairs_options){.format = "dialogues"}, true, "a>b@2;", NULL);
    REFUSED("only\n\none\n", ".txt", NULL, &talk, "two turns or more");
    REFUSED("{\"x\": 1}", ".json", NULL, &talk, "list of conversations");
}

static bool has_yaml(void) {
    bool has = strstr(rc_build_info(), "libyaml") != NULL;
    if (!has) print_message("skipped: built without libyaml\n");
    return has;
}

static void yaml_has_conversations(void **state) {
    (void)state;
    if (!has_yaml()) return;
    gives("categories:\n- x\nconversations:\n- - Hi\n  - \"He: llo\"\n- - a\n  - |\n    b\n      c\n  - 22\n", ".yml",
          NULL, &talk, false, "Hi>He: llo@5;a>b   c@7;b   c>22@10;", "YAML");
    gives("- [a, b]\n- [c, d]\n", ".yaml", NULL, &talk, false, "a>b@1;c>d@2;", NULL);
    gives("conversations:\n- In a game - '22'\n- - a\n  - b: c\n- - d\n  - e\n", ".yml", NULL, &talk, false, "d>e@6;",
          "2 left out: no list of texts (line 2)");
    REFUSED("conversations:\n- &x [a, b]\n- *x\n", ".yml", NULL, &talk, "line 3", "alias (*x)");
    REFUSED("[[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]]\n", ".yml", NULL, &talk, "line 1", "deeper than 16");
    REFUSED("conversations:\n- - a\n - b\n", ".yml", NULL, &talk, "line 3", "not YAML");
    REFUSED("conversations: 5\n", ".yml", NULL, &talk, "line 1", "expected a list");
    REFUSED("other:\n- - a\n  - b\n", ".yml", NULL, &talk, "key conversations");
    REFUSED("text\n", ".yml", NULL, &talk, "found a text");
    REFUSED("conversations:\n- - a\n  - b\nconversations:\n- - a\n  - b\n", ".yml", NULL, &talk, "line 4", "twice");
}

static void a_form_reads_alike(void **state) {
    (void)state;
    rc__pairs *p;
    char format[16], source[128], target[128];
    data_put("summary,id,document\nx,1,a\n", ".csv");
    assert_int_equal(rc__pairs_read(&p, data_path, NULL, NULL, NULL), RC_OK);
    rc__pairs_form(p->reader, format, source, target);
    assert_string_equal(format, "table");
    assert_string_equal(source, "document");
    assert_string_equal(target, "summary");
    rc__pairs_free(p);
    data_drop();
    assert_true(rc__pairs_named("a.jsonl.gz") && rc__pairs_named("b.YML") && !rc__pairs_named("train.en.gz"));
}

static rc_status read_lines(rc_error *e) {
    rc__pairs *p;
    rc_status s = rc__pairs_read(&p, data_path, data_path, NULL, e);
    rc__pairs_free(p);
    return s;
}
static rc_status read_talk(rc_error *e) {
    rc__pairs *p;
    rc_status s = rc__pairs_read(&p, data_path, NULL, &talk, e);
    rc__pairs_free(p);
    return s;
}

static void refused_memory_leaves_nothing(void **state) {
    (void)state;
    data_refuse_each("a\nb\n", ".en", read_lines);
    data_refuse_each("hi\nhello\nhow\n\na\nb\n", ".txt", read_talk);
    data_refuse_each("{\"source\": [\"a\", \"b\"], \"target\": [\"x\", \"y\"]}\n", ".jsonl", read_talk);
    if (has_yaml()) data_refuse_each("conversations:\n- - a\n  - b\n- 5\n", ".yml", read_talk);
}

typedef struct real_file {
    const char *source, *target;
    size_t n;
    bool talk;
} real_file;

static void real_files(void **state) {
    (void)state;
    static const real_file files[] = {
        {"multi30k-en-de/train.en.gz", "multi30k-en-de/train.de.gz", 29000, false},
        {"multi30k-en-de/val.en.gz", "multi30k-en-de/val.de.gz", 1014, false},
        {"tanaka-en-ja/train.en.gz", "tanaka-en-ja/train.ja.gz", 50000, false},
        {"code-java-cs/train.java.txt.gz", "code-java-cs/train.cs.txt.gz", 10295, false},
        {"scitldr/train.jsonl.gz", NULL, 1992, false},
        {"scitldr/dev.jsonl", NULL, 619, false},
        {"chatterbot/english/trivia.yml", NULL, 0, true},
        {"chatterbot/english/ai.yml", NULL, 0, true},
        {"chatterbot/japanese/food.yml", NULL, 0, true},
        {"chatterbot/hebrew/conversations.yml", NULL, 0, true},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        rc__pairs *p;
        rc_error e;
        const char *source = data_real(files[i].source);
        if (!source) return;
        if (files[i].talk && !has_yaml()) return;
        snprintf(path, sizeof path, "%s", source);
        const char *target = files[i].target ? data_real(files[i].target) : NULL;
        if (rc__pairs_read(&p, path, target, files[i].talk ? &talk : NULL, &e) != RC_OK) fail_msg("%s", e.text);
        if (files[i].n) assert_int_equal(p->n, files[i].n);
        print_message("%s: %s; %zu pairs, empty %zu and %zu, equal %zu, repeated %zu\n", files[i].source, p->how, p->n,
                      p->empty_sources, p->empty_targets, p->equal, p->repeated);
        rc__pairs_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_files_go_line_by_line),
        cmocka_unit_test(unequal_files_are_told),
        cmocka_unit_test(counts_what_is_odd),
        cmocka_unit_test(tables_have_two_columns),
        cmocka_unit_test(json_lines_have_two_keys),
        cmocka_unit_test(sources_alone),
        cmocka_unit_test(conversations_give_replies),
        cmocka_unit_test(yaml_has_conversations),
        cmocka_unit_test(a_form_reads_alike),
        cmocka_unit_test(refused_memory_leaves_nothing),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
