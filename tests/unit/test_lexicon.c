/* How text is cut into words, lower case, counting, ids, and lexicons as JSON: both ways, and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "data/lexicon.h"

/* The words with | between. */
static const char *cut(const char *text, size_t len) {
    static char out[512];
    size_t at = 0, from = 0, to = 0, n = 0, last = 0;
    out[0] = 0;
    while (rc__next_word(text, len, &at, &from, &to)) {
        assert_true(from >= last && to > from && to <= len && at == to);
        last = to;
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s", n ? "|" : "", (int)(to - from), text + from);
    }
    return out;
}

static void cutting(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {" \t\n ", ""},
        {"The cat sat.", "The|cat|sat|."},
        {"don't can’t rock'n'roll", "don't|can’t|rock'n'roll"},
        {"dogs' 'tis 'n'", "dogs|'|'tis|'n|'"},
        {"a_b x1y 3.14 1,000", "a_b|x1y|3|.|14|1|,|000"},
        {"what?!... no!!!", "what|?|!|...|no|!!!"},
        {"e-mail@x.org", "e|-|mail|@|x|.|org"},
        {"日本語です。", "日|本|語|で|す|。"},
        {"カタカナ abc漢字def", "カ|タ|カ|ナ|abc|漢|字|def"},
        {"한국어 텍스트", "한국어|텍스트"},
        {"Füße naïve Ελληνικά русский", "Füße|naïve|Ελληνικά|русский"},
        {"e\xCC\x81te\xCC\x81", "e\xCC\x81te\xCC\x81"},          /* combining accents stay with their letters */
        {"हिन्दी भाषा", "हिन्दी|भाषा"},                              /* vowel signs too */
        {"a\xC2\xA0" "b\xE3\x80\x80" "c\xE2\x80\x8B" "d", "a|b|c|d"}, /* spaces of other kinds, zero width */
        {"😀😀 ok 👍", "😀😀|ok|👍"},
        {"5€ £3", "5|€|£|3"},
        {"\xF0\xA0\x80\x80\xF0\xA0\x80\x81", "\xF0\xA0\x80\x80|\xF0\xA0\x80\x81"}, /* beyond the basic plane */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = cut(cases[i][0], strlen(cases[i][0]));
        if (strcmp(found, cases[i][1]) != 0) fail_msg("\"%s\": %s, expected %s", cases[i][0], found, cases[i][1]);
    }
}

static void invalid_bytes(void **state) {
    (void)state;
    assert_string_equal(cut("a\xFF" "b", 3), "a|\xFF|b");
    assert_string_equal(cut("\xC3", 1), "\xC3");                /* cut off inside a character */
    assert_string_equal(cut("x\xE2\x80", 3), "x|\xE2\x80"); /* equal marks together: both stand for U+FFFD */
    assert_string_equal(cut("\xED\xA0\x80z", 4), "\xED\xA0\x80|z"); /* a surrogate */
    char zero[] = {'a', 0, 'b'};
    assert_string_equal(cut(zero, 3), "a|b");
    for (int a = 0; a < 256; a++) /* every byte pair ends, and nothing is read beyond */
        for (int b = 0; b < 256; b++) {
            char *two = rc__alloc(2);
            size_t at = 0, from, to, n = 0;
            two[0] = (char)a, two[1] = (char)b;
            while (rc__next_word(two, 2, &at, &from, &to)) n++;
            assert_true(n <= 2);
            rc__free(two, 2);
        }
}

static void lower_case(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"ABC", "abc"}, {"ÄÖÜ ΣΟΦ", "äöü σοφ"}, {"ПРИВЕТ", "привет"}, {"ß日1", "ß日1"}, {"A\xFF" "B", "a\xFF" "b"}};
    rc__string b = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(rc__lower(&b, cases[i][0], strlen(cases[i][0]), NULL), RC_OK);
        assert_int_equal(b.len, strlen(cases[i][1]));
        assert_memory_equal(b.s, cases[i][1], b.len);
    }
    rc__string_free(&b);
}

static rc__lexicon lexicon_of(const char *text, bool lowercase, size_t min_count, size_t most, bool chars) {
    rc__lexicon x = {.lowercase = lowercase};
    rc__word_counts c = {0};
    rc_error e = {0};
    assert_int_equal(rc__word_counts_text(&c, lowercase, text, strlen(text), &e), RC_OK);
    if (rc__lexicon_of_counts(&x, &c, min_count, most, chars, &e) != RC_OK) fail_msg("%s", e.text);
    rc__word_counts_free(&c);
    return x;
}

static int32_t id_of(const rc__lexicon *x, const char *word) {
    rc__string b = {0};
    int32_t id = -5;
    assert_int_equal(rc__lexicon_id(x, &b, word, strlen(word), &id, NULL), RC_OK);
    rc__string_free(&b);
    return id;
}

static void counting(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("the Cat the cat THE dog, a dog. the", true, 2, 0, false);
    int32_t unk = x.tokens->unk, the = id_of(&x, "the");
    assert_true(unk >= 0 && the != unk);
    assert_int_equal(id_of(&x, "ThE"), the);
    assert_int_equal(id_of(&x, "cat"), the + 1); /* as often as dog, but earlier */
    assert_int_equal(id_of(&x, "dog"), the + 2);
    assert_int_equal(id_of(&x, "a"), unk); /* once */
    assert_int_equal(id_of(&x, ""), unk);
    assert_int_equal(rc__lexicon_rows(&x), (size_t)the + 3);
    assert_null(x.chars);
    rc__lexicon_free(&x);
    x = lexicon_of("the Cat the cat THE dog, a dog. the", false, 1, 2, true);
    assert_int_equal(id_of(&x, "dog"), id_of(&x, "the") + 1);
    assert_int_equal(id_of(&x, "cat"), x.tokens->unk); /* two words only */
    assert_int_equal(id_of(&x, "THE"), x.tokens->unk);
    assert_non_null(x.chars);
    x.buckets = 10;
    assert_int_equal(rc__lexicon_rows(&x), rc_vocab_size(x.tokens) + 10);
    rc__lexicon_free(&x);
    x = lexicon_of("", true, 1, 0, true); /* of no text */
    assert_int_equal(id_of(&x, "a"), x.tokens->unk);
    rc__lexicon_free(&x);
}

static void as_json(void **state) {
    (void)state;
    rc_error e = {0};
    for (int chars = 0; chars < 2; chars++) {
        rc__lexicon x = lexicon_of("Das ist ein ist Text, ist es? 日本", true, 1, 0, chars), y;
        x.buckets = chars ? 0 : 64;
        json_t *a = NULL, *b = NULL;
        assert_int_equal(rc__lexicon_to_json(&x, &a, &e), RC_OK);
        if (rc__lexicon_from_json(&y, a, "here", &e) != RC_OK) fail_msg("%s", e.text);
        assert_int_equal(rc__lexicon_to_json(&y, &b, &e), RC_OK);
        assert_true(json_equal(a, b));
        assert_int_equal(id_of(&y, "IST"), id_of(&x, "ist"));
        assert_true(rc__lexicon_rows(&x) == rc__lexicon_rows(&y) && (y.chars != NULL) == chars);
        rc__lexicon_free(&x);
        rc__lexicon_free(&y);
        static const struct {
            const char *key, *value, *word;
        } bad[] = {{"split", "\"halves\"", "split"},       {"split", "3", "split"},        {"split", NULL, "split"},
                   {"lowercase", "1", "lowercase"},        {"lowercase", NULL, "lowercase"}, {"buckets", "-1", "buckets"},
                   {"buckets", "99999999999", "buckets"},  {"tokens", "{}", "tokens"},      {"tokens", NULL, "tokens"},
                   {"tokens", "[]", "tokens"},             {"chars", "{}", "chars"},        {"more", "1", "more"}};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            json_t *damaged = json_deep_copy(a), *v = bad[i].value ? json_loads(bad[i].value, JSON_DECODE_ANY, NULL) : NULL;
            if (v)
                json_object_set_new(damaged, bad[i].key, v);
            else
                json_object_del(damaged, bad[i].key);
            size_t before = rc_memory_used();
            assert_int_equal(rc__lexicon_from_json(&y, damaged, "here", &e), RC_EMODEL);
            if (!strstr(e.text, "here") || !strstr(e.text, bad[i].word)) fail_msg("%s: \"%s\"", bad[i].key, e.text);
            assert_int_equal(rc_memory_used(), before);
            json_decref(damaged);
        }
        /* a vocabulary of another kind in its place */
        json_t *other = json_deep_copy(a);
        if (chars) {
            json_object_set(other, "tokens", json_object_get(a, "chars"));
            assert_int_equal(rc__lexicon_from_json(&y, other, "here", &e), RC_EMODEL);
            assert_non_null(strstr(e.text, "expected a vocabulary of words"));
            json_object_set(other, "tokens", json_object_get(a, "tokens"));
            json_object_set(other, "chars", json_object_get(a, "tokens"));
            assert_int_equal(rc__lexicon_from_json(&y, other, "here", &e), RC_EMODEL);
            assert_non_null(strstr(e.text, "expected a vocabulary of characters"));
        }
        json_decref(other);
        json_decref(a);
        json_decref(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cutting), cmocka_unit_test(invalid_bytes),
                                       cmocka_unit_test(lower_case), cmocka_unit_test(counting), cmocka_unit_test(as_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
