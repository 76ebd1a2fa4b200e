/* Sentences with tags and intents: every format, whole and as a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/conll.h"
#include "data_file.h"
#include "failing.h"

static size_t show(const rc__sentence *s, char *buf, size_t cap) {
    size_t n = 0;
    if (s->intent.text) n += (size_t)snprintf(buf + n, cap - n, "(%.*s)", (int)s->intent.len, s->intent.text);
    for (size_t i = 0; i < s->n; i++) {
        n += (size_t)snprintf(buf + n, cap - n, "%s%.*s", i ? " " : "", (int)s->words[i].len, s->words[i].text);
        if (s->tags) n += (size_t)snprintf(buf + n, cap - n, "/%.*s", (int)s->tags[i].len, s->tags[i].text);
    }
    return n + (size_t)snprintf(buf + n, cap - n, ";");
}

static void gives_with(const char *text, const rc__conll_options *o, bool stream, const char *expected,
                       const char *how) {
    rc__sentences *l;
    rc_error e = {0};
    char buf[4000];
    size_t n = 0, lines = 0;
    if (rc__conll_read(&l, data_put(text, ""), o, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
    for (size_t i = 0; i < l->n; i++) {
        n += show(&l->at[i], buf + n, sizeof buf - n);
        lines += l->at[i].line;
        for (size_t k = 0; k < l->at[i].n; k++) lines += l->at[i].lines[k];
    }
    assert_string_equal(buf, expected);
    if (how) assert_string_equal(l->how, how);
    rc__conll_free(l);
    if (stream) {
        FILE *f = fopen(data_path, "rb");
        rc__source *src;
        rc__conll_reader *r;
        rc__sentence s;
        n = 0;
        assert_int_equal(rc__source_stream(&src, f, data_path, 0, &e), RC_OK);
        if (rc__conll_open(&r, src, o, &e) != RC_OK) fail_msg("%s", e.text);
        for (bool more = true;;) {
            if (rc__conll_next(r, &s, &more, &e) != RC_OK) fail_msg("%s", e.text);
            if (!more) break;
            if (s.n) n += show(&s, buf + n, sizeof buf - n);
            lines -= s.n ? s.line : 0;
            for (size_t k = 0; k < s.n; k++) lines -= s.lines[k];
        }
        assert_string_equal(buf, expected);
        assert_int_equal(lines, 0);
        rc__conll_close(r);
        rc__source_free(src);
        fclose(f);
    }
    data_drop();
}

static void refused_with(const char *text, const rc__conll_options *o, const char *word) {
    rc__sentences *l;
    rc_error e = {0};
    rc_status s = rc__conll_read(&l, data_put(text, ""), o, &e);
    assert_null(l);
    assert_true(s == RC_EDATA || s == RC_EINVAL);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    assert_non_null(strstr(e.text, data_path));
    data_drop();
}

#define UD                                           \
    "# sent_id = 1\n# text = ca n't go\n"            \
    "1-2\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n"           \
    "1\tca\tcan\tAUX\tMD\tA=b\t3\taux\t3:aux\t_\r\n" \
    "2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n"    \
    "2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n"               \
    "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n\n\n"    \
    "1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_"

static void conllu(void **state) {
    (void)state;
    gives_with(UD, NULL, true, "ca/AUX n't/PART go/VERB;#/SYM;", "CoNLL-U, tags are upos");
    gives_with(UD, &(rc__conll_options){.tags = "lemma"}, true, "ca/can n't/not go/go;#/#;", NULL);
    gives_with(UD, &(rc__conll_options){.tags = "8"}, true, "ca/aux n't/advmod go/root;#/root;", NULL);
    gives_with(UD, &(rc__conll_options){.untagged = true}, true, "ca n't go;#;", "CoNLL-U, words alone");
    refused_with(UD, &(rc__conll_options){.tags = "pos"}, "expected form, lemma, upos");
    refused_with(UD, &(rc__conll_options){.tags = "11"}, "from 1 to 10");
    refused_with("1\ta\ta\tX\t_\t_\t0\t_\t_\t_\n3\tb\tb\tX\t_\t_\t0\t_\t_\t_\n", NULL,
                 "line 2: expected word 2 of the sentence, found \"3\"");
    refused_with("1\ta\ta\tX\t_\t_\t0\t_\t_\t_\n2\tb\n", NULL,
                 "line 2: expected 10 columns with tabs between, found 2");
    refused_with("1\t\ta\tX\t_\t_\t0\t_\t_\t_\n", NULL, "line 1: expected a word, found nothing");
    refused_with("1\ta\ta\t\t_\t_\t0\t_\t_\t_\n", NULL, "line 1: expected a tag in column 4");
}

static void columns(void **state) {
    (void)state;
    gives_with("@a\tO\n's\tB-x\n\n \n#tag\tO\n# b\tI-x\n", NULL, true, "@a/O 's/B-x;#tag/O # b/I-x;",
               "columns, words in column 1, tags in the last");
    gives_with("-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n", NULL, false,
               "EU/B-ORG rejects/O;Peter/B-PER;", NULL);
    gives_with("EU NNP B-NP B-ORG\n", &(rc__conll_options){.tags = "2"}, true, "EU/NNP;", NULL);
    gives_with("O\tEU\n", &(rc__conll_options){.tags = "1", .word = 2}, true, "EU/O;", NULL);
    gives_with("a\tO\n\nb\tO\n", &(rc__conll_options){.untagged = true, .format = "columns"}, true, "a;b;", NULL);
    gives_with("a\n\nb\n", &(rc__conll_options){.untagged = true, .format = "columns"}, true, "a;b;", NULL);
    refused_with("a\tO\nb\n", NULL, "line 2: expected 2 columns as before, found 1");
    refused_with("a\tO\nb\t\n", NULL, "line 2: expected a tag in column 2, found nothing");
    refused_with("a\tO\n\tO\n", NULL, "line 2: expected a word");
    refused_with("a\nb\n", NULL, "line 1: expected a word in column 1 and a tag in column 2, found 1 column");
    refused_with("a\tO\n", &(rc__conll_options){.tags = "3"}, "a tag in column 3");
    refused_with("a\tO\n", &(rc__conll_options){.tags = "ner"}, "expected the number of a column");
    refused_with("", NULL, "expected sentences, found none");
}

static void json_lines(void **state) {
    (void)state;
    gives_with(
        "{\"tokens\": [\"a\", \"b\\u00e4\"], \"tags\": [\"X\", 3]}\n\n{\"words\": [\"c\"], \"labels\": [\"Y\"]}\n",
        NULL, true, "a/X b\xC3\xA4/3;c/Y;", "JSON lines of words and tags");
    gives_with("{\"text\": \" book  it\", \"intent\": \"Book\", \"slots\": [\"O\", \"B-x\"]}\n", NULL, true,
               "(Book)book/O it/B-x;", NULL);
    gives_with("{\"text\": \"book it\", \"intent\": \"Book\"}\n", NULL, true, "(Book)book it;", NULL);
    gives_with("{\"text\": \"book it\"}\n{\"text\": \"b\", \"tags\": [1, 2]}\n", &(rc__conll_options){.untagged = true},
               true, "book it;b;", NULL);
    gives_with("{\"text\": \"a\", \"pos\": [\"X\"]}\n", &(rc__conll_options){.tags = "pos"}, true, "a/X;", NULL);
    refused_with("{\"tokens\": [\"a\"], \"tags\": [\"X\", \"Y\"]}\n", NULL,
                 "line 1: \"tags\": expected 1 tags, one for each word, found 2");
    refused_with("{\"tokens\": [\"a\"], \"tags\": [[]]}\n", NULL, "line 1: \"tags\": expected texts");
    refused_with("{\"tokens\": [\"\"], \"tags\": [\"X\"]}\n", NULL, "found an empty text");
    refused_with("{\"tokens\": [], \"tags\": []}\n", NULL, "line 1: expected words, found none");
    refused_with("{\"tokens\": [\"a\"]}\n", NULL, "line 1: expected tags or an intent");
    refused_with("{\"text\": \"a\", \"tags\": [\"X\"]}\n{\"text\": \"a\", \"intent\": \"I\"}\n", NULL,
                 "line 2: expected tags and intents in all");
    refused_with("{\"x\": 1}\n", NULL, "expected a key tokens, words or text");
    refused_with("{\"tokens\": [\"a\"], \"tags\": [\"X\"]}\n{\"tokens\"\n", NULL, "line 2, column");
}

/* The rule of conll.h for words that lie in several pieces. */
static void snips(void **state) {
    (void)state;
    gives_with("{\"Book\": [\n {\"data\": [{\"text\": \"at \"}, {\"text\": \"Halsey St\", \"entity\": \"poi\"}, "
               "{\"text\": \". Now\"}]},\n"
               " {\"data\": [{\"text\": \"(\"}, {\"text\": \"T-Rex\", \"entity\": \"r\"}, {\"text\": \"noon\", "
               "\"entity\": \"t\"},"
               "{\"text\": \" on\", \"entity\": \"d\"}, {\"text\": \"\"}]}],\n"
               "\"Play\": [{\"data\": [{\"text\": \"a b\", \"entity\": \"x\"}, {\"text\": \" \"}, {\"text\": \"c\", "
               "\"entity\": \"x\"}]}]}\n",
               NULL, false,
               "(Book)at/O Halsey/B-poi St./I-poi Now/O;(Book)(T-Rexnoon/B-r on/B-d;(Play)a/B-x b/I-x c/B-x;",
               "a snips file, intents and slots");
    gives_with("{\"A\": [{\"data\": [{\"text\": \"x\"}]}]}", NULL, false, "(A)x/O;", NULL);
    refused_with("{\"A\": [{\"data\": [{\"txt\": \"x\"}]}]}", NULL, "utterance 1: expected pieces with a \"text\"");
    refused_with("{\"A\": [{\"data\": [{\"text\": \"x\"}]}, {}]}", NULL, "utterance 2: expected an object with a list");
    refused_with("{\"A\": [{\"data\": []}]}", NULL, "utterance 1: expected words");
    refused_with("{\n\"A\": 3}", NULL, "\"A\": expected a list of utterances");
    refused_with("{\n\"A\": [}", NULL, "line 2");
}

static void plain_words(void **state) {
    (void)state;
    const rc__conll_options o = {.untagged = true};
    gives_with("I saw  her\n\nduck .\r\n", &o, true, "I saw her;duck .;", "plain words, a sentence in each line");
    gives_with("a\tO\n", &(rc__conll_options){.untagged = true, .format = "words"}, true, "a O;", NULL);
    refused_with("a b\n", &(rc__conll_options){.format = "words"}, "expected words with tags");
    refused_with("a b\n", &(rc__conll_options){.format = "xml"}, "\"xml\"");
}

static rc_status read_and_free(rc_error *e) {
    rc__sentences *l;
    rc_status s = rc__conll_read(&l, data_path, NULL, e);
    if (s == RC_OK) rc__conll_free(l);
    return s;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const texts[] = {UD, "{\"tokens\": [\"a\"], \"tags\": [\"X\"], \"intent\": \"I\"}\n",
                                        "{\"A\": [{\"data\": [{\"text\": \"x\", \"entity\": \"e\"}]}]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) data_refuse_each(texts[i], "", read_and_free);
}

static void real_files(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t sentences, words;
    } files[] = {{"ud-english-ewt/en_ewt-ud-train.conllu.gz", 12544, 204577},
                 {"ud-english-ewt/en_ewt-ud-dev.conllu.gz", 2001, 25147},
                 {"ud-english-ewt/en_ewt-ud-test.conllu.gz", 2077, 25094},
                 {"wnut17/wnut17train.conll", 3394, 0},
                 {"wnut17/emerging.dev.conll", 1009, 0},
                 {"wnut17/emerging.test.annotated", 1287, 0},
                 {"snips/validate_PlayMusic.json", 100, 0},
                 {"snips/validate_BookRestaurant.json", 100, 0},
                 {"snips/train_GetWeather_full.json", 2000, 0},
                 {"snips/train_AddToPlaylist_full.json", 1942, 0},
                 {"snips/train_PlayMusic_full.json", 2000, 0},
                 {"snips/train_SearchScreeningEvent_full.json", 1959, 0}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_real(files[i].file);
        if (!path) return;
        rc__sentences *l;
        rc_error e = {0};
        if (rc__conll_read(&l, path, NULL, &e) != RC_OK) fail_msg("%s", e.text);
        print_message("%s: read as %s, %zu sentences, %zu words\n", files[i].file, l->how, l->n, l->n_words);
        assert_int_equal(l->n, files[i].sentences);
        if (files[i].words) assert_int_equal(l->n_words, files[i].words);
        rc__conll_free(l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conllu),     cmocka_unit_test(columns),     cmocka_unit_test(json_lines),
        cmocka_unit_test(snips),      cmocka_unit_test(plain_words), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
