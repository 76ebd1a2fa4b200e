/* Vocabularies as JSON and as tokenizer.json: round trips, refusals that name the field, hostile bytes, memory
 * failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recur/text.h"
#include "failing.h"

#define SAMPLE "it's the cat, the c\xC3\xA4t\nand <unk> the\tend 42 \xE6\x88\xA6\n"
static const char *const specs[] = {"byte", "char", "word", "bpe:262"};

static rc_vocab *train(int k) {
    rc_vocab *v;
    assert_int_equal(rc_vocab_train(&v, specs[k], SAMPLE, strlen(SAMPLE), NULL), RC_OK);
    return v;
}

typedef rc_status (*writer)(const rc_vocab *, char **, size_t *, rc_error *);
typedef rc_status (*reader)(rc_vocab **, const char *, size_t, const char *, rc_error *);
static const writer writers[] = {rc_vocab_to_json, rc_vocab_to_hf};
static const reader readers[] = {rc_vocab_from_json, rc_vocab_from_hf};

static void assert_same(const rc_vocab *a, const rc_vocab *b) {
    assert_int_equal(rc_vocab_get_kind(a), rc_vocab_get_kind(b));
    assert_int_equal(rc_vocab_size(a), rc_vocab_size(b));
    assert_int_equal(rc_vocab_unk(a), rc_vocab_unk(b));
    assert_int_equal(rc_vocab_eos(a), rc_vocab_eos(b));
    for (size_t id = 0; id < rc_vocab_size(a); id++) {
        size_t n, m;
        const char *x = rc_vocab_entry(a, (int32_t)id, &n), *y = rc_vocab_entry(b, (int32_t)id, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
    }
    const char *text = SAMPLE "more of the c\xC3\xA4t's\n\n unseen \xC3\xBC";
    int32_t *i, *j;
    size_t n, m, u, w;
    assert_int_equal(rc_vocab_encode(a, text, strlen(text), &i, &n, &u, NULL), RC_OK);
    assert_int_equal(rc_vocab_encode(b, text, strlen(text), &j, &m, &w, NULL), RC_OK);
    assert_true(n == m && u == w);
    assert_memory_equal(i, j, n * sizeof *i);
    rc_ids_free(i, n);
    rc_ids_free(j, m);
}

static void round_trips(void **state) {
    (void)state;
    for (int form = 0; form < 2; form++)
        for (int k = 0; k < 4; k++) {
            rc_vocab *v = train(k), *w;
            char *json, *again;
            size_t n, m;
            rc_error e;
            assert_int_equal(writers[form](v, &json, &n, NULL), RC_OK);
            if (readers[form](&w, json, n, "there", &e) != RC_OK) fail_msg("%s: %s", specs[k], e.text);
            assert_same(v, w);
            assert_int_equal(writers[form](w, &again, &m, NULL), RC_OK);
            assert_string_equal(json, again);
            rc_text_free(json, n);
            rc_text_free(again, m);
            rc_vocab_free(w);
            if (k == 1 || k == 2) { /* grown ones keep their order */
                assert_int_equal(rc_vocab_grow(v, "zoo \xC3\x84", 6, NULL, NULL), RC_OK);
                assert_int_equal(writers[form](v, &json, &n, NULL), RC_OK);
                assert_int_equal(readers[form](&w, json, n, "there", NULL), RC_OK);
                assert_same(v, w);
                rc_text_free(json, n);
                rc_vocab_free(w);
            }
            rc_vocab_free(v);
        }
}

static void nul_characters(void **state) {
    (void)state;
    rc_vocab *v, *w;
    char *json;
    size_t n;
    rc_error e;
    assert_int_equal(rc_vocab_train(&v, "char", "a\0b", 3, NULL), RC_OK);
    assert_int_equal(rc_vocab_to_json(v, &json, &n, NULL), RC_OK);
    assert_int_equal(rc_vocab_from_json(&w, json, n, "x", NULL), RC_OK);
    assert_same(v, w);
    rc_text_free(json, n);
    assert_int_equal(rc_vocab_to_hf(v, &json, &n, &e), RC_EINVAL);
    assert_null(json);
    assert_non_null(strstr(e.text, "U+0000"));
    rc_vocab_free(v);
    rc_vocab_free(w);
}

static void must_refuse(reader read, const char *json, const char *says) {
    rc_vocab *v = (rc_vocab *)1;
    rc_error e = {0};
    rc_status s = read(&v, json, strlen(json), "model.safetensors: vocab", &e);
    if (s != RC_EMODEL) fail_msg("%s: %.300s", rc_status_name(s), json);
    assert_null(v);
    if (!strstr(e.text, says) || !strstr(e.text, "model.safetensors: vocab")) fail_msg("%s\nsays: %s", json, e.text);
}

static void hostile_json(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } bad[] = {{"", "line"},
               {"[]", "object"},
               {"{", "line"},
               {"{}", "kind"},
               {"{\"kind\":5}", "kind"},
               {"{\"kind\":\"chars\"}", "\"chars\""},
               {"{\"kind\":\"byte\",\"kind\":\"byte\"}", "line"},
               {"{\"kind\":\"byte\",\"extra\":1}", "extra"},
               {"{\"kind\":\"char\"}", "codepoints"},
               {"{\"kind\":\"char\",\"codepoints\":{}}", "codepoints"},
               {"{\"kind\":\"char\",\"codepoints\":[]}", "-1"},
               {"{\"kind\":\"char\",\"codepoints\":[65]}", "-1"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,65,65]}", "U+0041"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,-1]}", "item 1"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,1114112]}", "item 1"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,55296]}", "U+D800"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,\"a\"]}", "item 1"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,1.5]}", "item 1"},
               {"{\"kind\":\"char\",\"codepoints\":[-1,99999999999999999999]}", "line"},
               {"{\"kind\":\"word\",\"words\":[]}", "empty"},
               {"{\"kind\":\"word\",\"words\":[\"a\"]}", "unk"},
               {"{\"kind\":\"word\",\"unk\":1,\"words\":[\"a\"]}", "unk"},
               {"{\"kind\":\"word\",\"unk\":-1,\"words\":[\"a\"]}", "unk"},
               {"{\"kind\":\"word\",\"unk\":0,\"eos\":0,\"words\":[\"a\"]}", "eos"},
               {"{\"kind\":\"word\",\"unk\":0,\"eos\":7,\"words\":[\"a\"]}", "eos"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",\"b\",\"a\"]}", "same"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",\"\"]}", "empty"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",5]}", "not a string"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":\"a\"}", "words"},
               {"{\"kind\":\"word\",\"unk\":\"0\",\"words\":[\"a\"]}", "unk"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\\u0000\"]}", "line"},
               {"{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\"],\"specials\":[1]}", "specials"},
               {"{\"kind\":\"bpe\"}", "entries"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a\"]}", "merges"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a\"],\"merges\":[]}", "byte 0x00"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a b\"],\"merges\":[]}", "U+0020"},
               {"{\"kind\":\"bpe\",\"pattern\":\"(\",\"entries\":[\"a\"],\"merges\":[]}", "pattern"},
               {"{\"kind\":\"bpe\",\"pattern\":7,\"entries\":[\"a\"],\"merges\":[]}", "pattern"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a\"],\"merges\":[0]}", "pairs"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a\"],\"merges\":[0,9]}", "item 1"},
               {"{\"kind\":\"bpe\",\"entries\":[\"a\"],\"merges\":[0,null]}", "item 1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) must_refuse(rc_vocab_from_json, bad[i].json, bad[i].says);
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP + 1);
    memset(deep, '[', DEEP);
    deep[DEEP] = 0;
    must_refuse(rc_vocab_from_json, deep, "nested");
    must_refuse(rc_vocab_from_hf, deep, "nested");
    free(deep);
}

/* text with the first occurrence of from replaced */
static char *edited(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) fail_msg("no %s in %s", from, text);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    memcpy(out, text, (size_t)(at - text));
    strcpy(out + (at - text), to);
    strcat(out, at + strlen(from));
    return out;
}

static void refusals_of_hf(void **state) {
    (void)state;
    static const struct {
        int k;
        const char *from, *to, *says;
    } bad[] = {
        {3, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer"},
        {3, "\"truncation\":null", "\"truncation\":{\"max_length\":5}", "truncation"},
        {3, "\"padding\":null", "\"padding\":{\"length\":5}", "padding"},
        {3, "\"post_processor\":null", "\"post_processor\":{\"type\":\"TemplateProcessing\"}",
         "post_processor: TemplateProcessing"},
        {3, "\"add_prefix_space\":false", "\"add_prefix_space\":true", "add_prefix_space"},
        {3, "\"use_regex\":true", "\"use_regex\":false", "use_regex"},
        {3, "\"pre_tokenizer\":{", "\"pre_tokenizer\":null,\"x\":{", "pre_tokenizer: expected ByteLevel"},
        {3, "\"type\":\"ByteLevel\"", "\"type\":\"Metaspace\"", "found Metaspace"},
        {3, "\"decoder\":{", "\"decoder\":null,\"x\":{", "decoder"},
        {3, "\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model.type: Unigram"},
        {3, "\"model\":{", "\"modell\":{", "no object \"model\""},
        {3, "\"dropout\":null", "\"dropout\":0.1", "model.dropout"},
        {3, "\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"##\"",
         "model.continuing_subword_prefix"},
        {3, "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", "model.end_of_word_suffix"},
        {3, "\"byte_fallback\":false", "\"byte_fallback\":true", "model.byte_fallback"},
        {3, "\"vocab\":{", "\"vocab\":[],\"x\":{", "model.vocab"},
        {3, "\"!\":0,", "", "leave no hole"},
        {3, "\"!\":0,", "\"!\":1,", "same id 1"},
        {3, "\"!\":0,", "\"!\":\"0\",", "model.vocab"},
        {3, "\"!\":0,", "\"!\":-4,", "-4"},
        {3, "\"!\":0,", "\"!\":99999999,", "99999999"},
        {3, "\"!\":0,", "\"! \":0,", "U+0020"},
        {3, "\"!\":0,", "\"!!!\":0,", "byte 0x21"},
        {3, "\"merges\":[", "\"merges\":[5,", "model.merges[0]"},
        {3, "\"merges\":[", "\"merges\":[\"zz\",", "model.merges[0]"},
        {3, "\"merges\":[", "\"merges\":[\"q x\",", "\"qx\" is not in model.vocab"},
        {3, "\"merges\":[", "\"merges\":[[\"q\",\"x\",\"y\"],", "model.merges[0]"},
        {3, "\"merges\":[", "\"merges\":[\"nope x\",", "\"nope\" is not in model.vocab"},
        {3, "\"merges\":[", "\"merges\":{},\"x\":[", "model.merges"},
        {3, "\"added_tokens\":[]", "\"added_tokens\":[{\"id\":262}]", "added_tokens[0]"},
        {3, "\"added_tokens\":[]", "\"added_tokens\":[{\"id\":262,\"content\":\"<s>\",\"lstrip\":true}]",
         "added_tokens[0].lstrip"},
        {3, "\"added_tokens\":[]",
         "\"added_tokens\":[{\"id\":262,\"content\":\"<s>\"},{\"id\":262,\"content\":\"<s>\"}]", "twice"},
        {3, "\"added_tokens\":[]", "\"added_tokens\":7", "added_tokens"},
        {2, "\"unk_token\":\"<unk>\"", "\"unk_token\":\"[UNK]\"", "model.unk_token"},
        {2, "\"unk_token\":\"<unk>\"", "\"unk_token\":null", "model.unk_token"},
        {2, "\"pre_tokenizer\":{\"type\":\"Split\"", "\"pre_tokenizer\":{\"type\":\"Whitespace\"", "found Whitespace"},
        {2, "\"content\":\" <eos> \"", "\"content\":\" <s> \"", "normalizer"},
        {2, "\"type\":\"Replace\"", "\"type\":\"Lowercase\"", "normalizer: Lowercase"},
        {2, "\"normalizer\":{", "\"normalizer\":null,\"x\":{", "normalizer"},
        {2, "\"prefix\":\"\\n\"", "\"prefix\":\"##\"", "decoder"},
        {1, "\"decoder\":{", "\"decoder\":null,\"x\":{", "decoder"},
        {1, "\"<unk>\":0", "\"<unk>\":0,\"ab\":1", "same id 1"},
        {1, "\"<unk>\":0", "\"[UNK]\":0", "not one character"},
        {1, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rc_vocab *v = train(bad[i].k);
        char *json;
        size_t n;
        assert_int_equal(rc_vocab_to_hf(v, &json, &n, NULL), RC_OK);
        char *changed = edited(json, bad[i].from, bad[i].to);
        must_refuse(rc_vocab_from_hf, changed, bad[i].says);
        free(changed);
        rc_text_free(json, n);
        rc_vocab_free(v);
    }
}

static rc_status there_and_back(int form, const rc_vocab *v) {
    char *json;
    size_t n;
    rc_vocab *w;
    rc_status s = writers[form](v, &json, &n, NULL);
    if (s != RC_OK) return s;
    s = readers[form](&w, json, n, "w", NULL);
    rc_text_free(json, n);
    if (s == RC_OK) rc_vocab_free(w);
    return s;
}

static void memory_failures(void **state) {
    (void)state;
    for (int form = 0; form < 2; form++)
        for (int k = 0; k < 4; k++) {
            rc_vocab *v = train(k);
            size_t before = rc_memory_used(), at = 0;
            failing f = {0};
            rc_set_allocator(failing_alloc, &f);
            for (rc_status s = RC_ENOMEM; s != RC_OK; at++) {
                f.left = (long)at;
                s = there_and_back(form, v);
                if (s != RC_OK && s != RC_ENOMEM)
                    fail_msg("%s, allocation %d: %s", specs[k], (int)at, rc_status_name(s));
                assert_int_equal(rc_memory_used(), before);
                assert_true(at < 5000);
            }
            rc_set_allocator(NULL, NULL);
            assert_true(at > 3);
            rc_vocab_free(v);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(nul_characters),
        cmocka_unit_test(hostile_json),
        cmocka_unit_test(refusals_of_hf),
        cmocka_unit_test(memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
