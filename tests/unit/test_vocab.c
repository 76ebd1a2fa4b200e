/* The four vocabularies: what they hold, round trips, growth, messages, memory failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "recur/text.h"
#include "failing.h"

#define SAMPLE           \
    "der Fluss \xC3\xBC" \
    "ber die Br\xC3\xBC" \
    "cke\n\xE6\x88\xA6\xE5\xA0\xB4 \xF0\x9F\x98\x80 it's 42 don't\n\n  end\t."

static rc_vocab *train(const char *spec, const char *text, size_t len) {
    rc_vocab *v;
    rc_error e = {0};
    if (rc_vocab_train(&v, spec, text, len, &e) != RC_OK) fail_msg("%s: %s", spec, e.text);
    return v;
}

static void assert_entry(const rc_vocab *v, int32_t id, const char *want) {
    size_t n;
    const char *s = rc_vocab_entry(v, id, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(s, want, n);
}

static void assert_ids(const rc_vocab *v, const char *text, const int32_t *want, size_t n_want, size_t unknown_want) {
    int32_t *ids;
    size_t n, unknown;
    assert_int_equal(rc_vocab_encode(v, text, strlen(text), &ids, &n, &unknown, NULL), RC_OK);
    assert_int_equal(n, n_want);
    assert_int_equal(unknown, unknown_want);
    assert_memory_equal(ids, want, n * sizeof *want);
    rc_ids_free(ids, n);
}

static void assert_round_trip(const rc_vocab *v, const char *text, size_t len) {
    int32_t *ids;
    size_t n, m;
    char *back;
    assert_int_equal(rc_vocab_encode(v, text, len, &ids, &n, NULL, NULL), RC_OK);
    assert_int_equal(rc_vocab_decode(v, ids, n, &back, &m, NULL), RC_OK);
    assert_int_equal(m, len);
    assert_memory_equal(back, text, len);
    assert_int_equal(back[m], 0);
    rc_text_free(back, m);
    rc_ids_free(ids, n);
}

static void byte_takes_anything(void **state) {
    (void)state;
    rc_vocab *v = train("byte", "", 0);
    assert_int_equal(rc_vocab_get_kind(v), RC_VOCAB_BYTE);
    assert_int_equal(rc_vocab_size(v), 256);
    assert_int_equal(rc_vocab_unk(v), -1);
    assert_int_equal(rc_vocab_eos(v), -1);
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)(255 - i);
    assert_round_trip(v, all, 256);
    assert_round_trip(v, "", 0);
    assert_ids(v, "A\n", (int32_t[]){65, 10}, 2, 0);
    rc_vocab_free(v);
}

static void char_is_sorted_and_exact(void **state) {
    (void)state;
    rc_vocab *v = train("char",
                        "zb\xE2\x82\xAC"
                        "a\n\xC3\xBC"
                        "bb",
                        10);
    assert_int_equal(rc_vocab_size(v), 7);
    assert_entry(v, 0, "\xEF\xBF\xBD");
    assert_entry(v, 1, "\n");
    assert_entry(v, 2, "a");
    assert_entry(v, 3, "b");
    assert_entry(v, 4, "z");
    assert_entry(v, 5, "\xC3\xBC");
    assert_entry(v, 6, "\xE2\x82\xAC");
    assert_int_equal(rc_vocab_unk(v), 0);
    assert_ids(v, "a\xE2\x82\xACq\xC3\xA4", (int32_t[]){2, 6, 0, 0}, 4, 2);
    assert_int_equal(rc_vocab_entry(v, 7, NULL)[0], 0);
    assert_int_equal(rc_vocab_entry(v, -1, NULL)[0], 0);
    rc_vocab_free(v);
    v = train("char", SAMPLE, strlen(SAMPLE));
    assert_round_trip(v, SAMPLE, strlen(SAMPLE));
    rc_vocab_free(v);
    v = train("char", "a\0b\xEF\xBF\xBD", 6); /* U+0000 and U+FFFD are characters like others */
    assert_int_equal(rc_vocab_size(v), 5);
    assert_round_trip(v, "b\0a\xEF\xBF\xBD", 6);
    rc_vocab_free(v);
}

static void word_by_count(void **state) {
    (void)state;
    const char *text = "the cat <unk> the\ndog  the\tcat \n\n";
    rc_vocab *v = train("word", text, strlen(text));
    assert_int_equal(rc_vocab_size(v), 5);
    assert_int_equal(rc_vocab_unk(v), 0);
    assert_int_equal(rc_vocab_eos(v), 1);
    assert_entry(v, 0, "<unk>");
    assert_entry(v, 1, "\n");
    assert_entry(v, 2, "the");
    assert_entry(v, 3, "cat");
    assert_entry(v, 4, "dog");
    assert_ids(v, text, (int32_t[]){2, 3, 0, 2, 1, 4, 2, 3, 1, 1}, 10,
               0); /* a literal <unk> is not counted as unknown */
    assert_ids(v, "the bird\r\n", (int32_t[]){2, 0, 1}, 3, 1);
    assert_ids(v, " \t ", NULL, 0, 0);
    char *back;
    size_t len;
    assert_int_equal(rc_vocab_decode(v, (int32_t[]){2, 3, 1, 1, 4, 0}, 6, &back, &len, NULL), RC_OK);
    assert_string_equal(back, "the cat\n\ndog <unk>");
    rc_text_free(back, len);
    rc_vocab_free(v);
    v = train("word:4", text, strlen(text));
    assert_int_equal(rc_vocab_size(v), 4);
    assert_ids(v, "dog cat", (int32_t[]){0, 3}, 2, 1);
    rc_vocab_free(v);
}

static void growth(void **state) {
    (void)state;
    size_t added = 99;
    rc_error e;
    rc_vocab *v = train("char", "ac", 2);
    assert_int_equal(rc_vocab_grow(v,
                                   "cb\xC3\xBC"
                                   "d",
                                   5, &added, &e),
                     RC_OK);
    assert_int_equal(added, 3);
    assert_ids(v, "abcd\xC3\xBC", (int32_t[]){1, 3, 2, 4, 5}, 5, 0); /* old ids stay; the new ones are sorted */
    assert_int_equal(rc_vocab_grow(v, "abcd", 4, &added, &e), RC_OK);
    assert_int_equal(added, 0);
    assert_int_equal(rc_vocab_grow(v, "x\xFF", 2, &added, &e), RC_EDATA);
    assert_int_equal(rc_vocab_size(v), 6);
    rc_vocab_free(v);
    v = train("word", "a b", 3);
    assert_int_equal(rc_vocab_grow(v, "x y y\na", 7, &added, &e), RC_OK);
    assert_int_equal(added, 2);
    assert_entry(v, 4, "y");
    assert_entry(v, 5, "x");
    rc_vocab_free(v);
    v = train("byte", "a", 1);
    assert_int_equal(rc_vocab_grow(v, "b", 1, &added, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "byte"));
    rc_vocab_free(v);
}

static void bad_specs_and_texts(void **state) {
    (void)state;
    static const struct {
        const char *spec, *says;
    } bad[] = {{"", "expected char"},
               {"chr", "\"chr\""},
               {"char:5", "no size"},
               {"byte:256", "no size"},
               {"bpe", "bpe:8000"},
               {"bpe:", "not a whole number"},
               {"bpe:12x", "\"12x\""},
               {"bpe:-5", "\"-5\""},
               {"bpe:255", "256 to"},
               {"word:2", "3 to"},
               {"word:99999999999999999999", "not a whole number"},
               {"word:16777217", "3 to"},
               {"Char", "\"Char\""},
               {"wor", "\"wor\""}};
    rc_error e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc_vocab *v = (rc_vocab *)1;
        assert_int_equal(rc_vocab_train(&v, bad[i].spec, "text", 4, &e), RC_EINVAL);
        assert_null(v);
        if (!strstr(e.text, bad[i].says)) fail_msg("%s: %s", bad[i].spec, e.text);
    }
    static const char *const specs[] = {"char", "word", "bpe:300"};
    for (int i = 0; i < 3; i++) {
        rc_vocab *v;
        assert_int_equal(rc_vocab_train(&v, specs[i], "ok\nba\xE9 d", 8, &e), RC_EDATA);
        assert_non_null(strstr(e.text, "line 2, byte 3"));
        assert_int_equal(rc_vocab_train(&v, specs[i], "", 0, &e), RC_EDATA);
        assert_int_equal(rc_vocab_train(&v, specs[i], "text", 4, NULL), RC_OK);
        int32_t *ids, one = 1 << 20;
        size_t n;
        char *text;
        if (i < 2) assert_int_equal(rc_vocab_encode(v, "\xC3", 1, &ids, &n, NULL, &e), RC_EDATA);
        assert_int_equal(rc_vocab_decode(v, &one, 1, &text, &n, &e), RC_EINVAL);
        assert_null(text);
        assert_non_null(strstr(e.text, "1048576"));
        rc_vocab_free(v);
    }
    rc_vocab *v;
    assert_int_equal(rc_vocab_train(&v, "word", "a\0b", 3, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "NUL"));
    assert_string_equal(rc_vocab_kind_name((rc_vocab_kind)9), "?");
    rc_vocab_free(NULL);
}

/* Allocation number n fails, for every n: RC_ENOMEM, nothing lost, nothing kept. */
static rc_status everything(const char *spec) {
    rc_vocab *v;
    rc_status s = rc_vocab_train(&v, spec, SAMPLE, strlen(SAMPLE), NULL);
    if (s != RC_OK) return s;
    int32_t *ids;
    size_t n, len;
    char *text;
    s = rc_vocab_encode(v, SAMPLE, strlen(SAMPLE), &ids, &n, NULL, NULL);
    if (s == RC_OK) {
        s = rc_vocab_decode(v, ids, n, &text, &len, NULL);
        if (s == RC_OK) rc_text_free(text, len);
        rc_ids_free(ids, n);
    }
    if (s == RC_OK && rc_vocab_unk(v) >= 0) {
        size_t before = rc_vocab_size(v), added;
        s = rc_vocab_grow(v, "\xC3\x84 new words\xE2\x82\xAC", 15, &added, NULL);
        assert_int_equal(rc_vocab_size(v), s == RC_OK ? before + added : before);
    }
    rc_vocab_free(v);
    return s;
}

static void memory_failures(void **state) {
    (void)state;
    static const char *const specs[] = {"byte", "char", "word", "bpe:280"};
    for (int i = 0; i < 4; i++) {
        size_t before = rc_memory_used(), at = 0;
        failing f = {0};
        rc_set_allocator(failing_alloc, &f);
        for (rc_status s = RC_ENOMEM; s != RC_OK; at++) {
            f.left = (long)at;
            s = everything(specs[i]);
            if (s != RC_OK && s != RC_ENOMEM) fail_msg("%s, allocation %d: %s", specs[i], (int)at, rc_status_name(s));
            assert_int_equal(rc_memory_used(), before);
            assert_true(at < 5000);
        }
        rc_set_allocator(NULL, NULL);
        assert_true(at > 3);
    }
}

/* The counts printed in the paper that made the data set (Merity et al. 2017), and by everyone who used it since. */
static void wikitext2_counts(void **state) {
    (void)state;
    const char *data = getenv("RECUR_DATA");
    if (!data || !*data) {
        print_message("skipped: RECUR_DATA is not set\n");
        skip();
    }
    static const struct {
        const char *name;
        size_t tokens;
    } parts[] = {{"train", 2088628}, {"valid", 217646}, {"test", 245569}};
    rc_vocab *v = NULL;
    for (int i = 0; i < 3; i++) {
        char path[500], *text;
        size_t len, n, unknown;
        int32_t *ids;
        snprintf(path, sizeof path, "%s/wikitext2/%s.txt.gz", data, parts[i].name);
        rc_error e;
        if (rc_text_read(path, &text, &len, &e) != RC_OK) fail_msg("%s", e.text);
        if (i == 0) v = train("word", text, len);
        assert_int_equal(rc_vocab_size(v), 33278);
        assert_int_equal(rc_vocab_encode(v, text, len, &ids, &n, &unknown, NULL), RC_OK);
        assert_int_equal(n, parts[i].tokens);
        assert_int_equal(unknown, 0); /* validation and test have no word that training has not */
        rc_ids_free(ids, n);
        rc_text_free(text, len);
    }
    rc_vocab_free(v);
}

static void speed_of_characters(void **state) {
    (void)state;
    enum { N = 1 << 22 };
    char *text = malloc(N);
    for (size_t i = 0; i < N; i++) text[i] = (char)('a' + i * 7919 % 26);
    rc_vocab *v = train("char", text, N);
    int32_t *ids;
    size_t n;
    double start = rc__now();
    assert_int_equal(rc_vocab_encode(v, text, N, &ids, &n, NULL, NULL), RC_OK);
    print_message("char: %.1f ms a MB\n", (rc__now() - start) * 1e3 * 1e6 / N);
    assert_int_equal(n, N);
    rc_ids_free(ids, n);
    rc_vocab_free(v);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_takes_anything), cmocka_unit_test(char_is_sorted_and_exact),
        cmocka_unit_test(word_by_count),       cmocka_unit_test(growth),
        cmocka_unit_test(bad_specs_and_texts), cmocka_unit_test(memory_failures),
        cmocka_unit_test(wikitext2_counts),    cmocka_unit_test(speed_of_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
