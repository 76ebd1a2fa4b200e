/* Against Hugging Face's tokenizers: their files and ours give the same ids and texts, training gives the same merges.
 * golden/tokenizer/ is made by golden/make_tokenizer.py. With RECUR_HF_OUT=DIR our own tokenizers and what they do
 * with the same texts are written to DIR, for make_tokenizer.py --check DIR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recur/text.h"

static char *read_golden(const char *name, const char *suffix, size_t *len) {
    char path[600], *text;
    rc_error e;
    const char *dir = getenv("RECUR_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/tokenizer/%s%s", dir ? dir : "tests", name, suffix);
    if (rc_text_read(path, &text, len, &e) != RC_OK) fail_msg("%s", e.text);
    return text;
}

static json_t *read_cases(const char *name) {
    size_t len;
    char *text = read_golden(name, ".cases.json", &len);
    json_t *cases = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(cases);
    rc_text_free(text, len);
    return cases;
}

static rc_vocab *read_tokenizer(const char *name) {
    size_t len;
    char *json = read_golden(name, ".json", &len);
    rc_vocab *v;
    rc_error e;
    if (rc_vocab_from_hf(&v, json, len, name, &e) != RC_OK) fail_msg("%s", e.text);
    rc_text_free(json, len);
    return v;
}

static void check_case(const rc_vocab *v, const char *name, const json_t *c) {
    const char *text = json_string_value(json_object_get(c, "text")),
               *decoded = json_string_value(json_object_get(c, "decoded"));
    const json_t *want = json_object_get(c, "ids");
    int32_t *ids;
    size_t n, unknown, len;
    char *back;
    assert_int_equal(rc_vocab_encode(v, text, strlen(text), &ids, &n, &unknown, NULL), RC_OK);
    if (n != json_array_size(want)) fail_msg("%s: \"%s\": %zu ids, expected %zu", name, text, n, json_array_size(want));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: \"%s\": id %zu is %d, expected %d", name, text, i, (int)ids[i],
                     (int)json_integer_value(json_array_get(want, i)));
    assert_int_equal(rc_vocab_decode(v, ids, n, &back, &len, NULL), RC_OK);
    if (strcmp(back, decoded) != 0) fail_msg("%s: \"%s\" comes back as \"%s\"", name, decoded, back);
    rc_text_free(back, len);
    rc_ids_free(ids, n);
}

/* Their file; ours made from it; and our JSON form: all three do the same. */
static void reads_their_files(void **state) {
    (void)state;
    static const char *const names[] = {"trained", "special", "split", "ignore", "words"};
    for (int k = 0; k < 5; k++) {
        rc_vocab *v[3];
        char *json;
        size_t len;
        v[0] = read_tokenizer(names[k]);
        assert_int_equal(rc_vocab_to_hf(v[0], &json, &len, NULL), RC_OK);
        rc_error e;
        if (rc_vocab_from_hf(&v[1], json, len, "again", &e) != RC_OK) fail_msg("%s: %s", names[k], e.text);
        rc_text_free(json, len);
        assert_int_equal(rc_vocab_to_json(v[0], &json, &len, NULL), RC_OK);
        if (rc_vocab_from_json(&v[2], json, len, "ours", &e) != RC_OK) fail_msg("%s: %s", names[k], e.text);
        rc_text_free(json, len);
        json_t *cases = read_cases(names[k]);
        assert_true(json_array_size(cases) > 80);
        for (int i = 0; i < 3; i++) {
            for (size_t c = 0; c < json_array_size(cases); c++) check_case(v[i], names[k], json_array_get(cases, c));
            rc_vocab_free(v[i]);
        }
        json_decref(cases);
    }
}

/* The same text gives the same entries and merges as their trainer. */
static void trains_the_same(void **state) {
    (void)state;
    size_t len, n_json[2];
    char *text = read_golden("train", ".txt", &len), *json[2];
    rc_vocab *theirs = read_tokenizer("trained"), *ours;
    assert_int_equal(rc_vocab_train(&ours, "bpe:700", text, len, NULL), RC_OK);
    assert_int_equal(rc_vocab_size(ours), 700);
    assert_int_equal(rc_vocab_to_json(theirs, &json[0], &n_json[0], NULL), RC_OK);
    assert_int_equal(rc_vocab_to_json(ours, &json[1], &n_json[1], NULL), RC_OK);
    assert_string_equal(json[0], json[1]);
    for (int i = 0; i < 2; i++) rc_text_free(json[i], n_json[i]);
    rc_vocab_free(theirs);
    rc_vocab_free(ours);
    rc_text_free(text, len);
}

static void put(const char *dir, const char *name, const char *suffix, const char *text, size_t len) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void writes_ours(void **state) {
    (void)state;
    const char *dir = getenv("RECUR_HF_OUT");
    if (!dir) {
        print_message("skipped: RECUR_HF_OUT is not set\n");
        skip();
    }
    static const char *const specs[] = {"byte", "char", "word", "word:60", "bpe:600"};
    static const char *const theirs[] = {"special", "split", "ignore", "words"};
    size_t len, n;
    char *text = read_golden("train", ".txt", &len), *json;
    json_t *texts = read_cases("trained");
    for (int k = 0; k < 9; k++) {
        const char *name = k < 5 ? specs[k] : theirs[k - 5];
        rc_vocab *v;
        if (k < 5)
            assert_int_equal(rc_vocab_train(&v, name, text, len, NULL), RC_OK);
        else
            v = read_tokenizer(name);
        assert_int_equal(rc_vocab_to_hf(v, &json, &n, NULL), RC_OK);
        put(dir, name, ".json", json, n);
        rc_text_free(json, n);
        json_t *out = json_array();
        for (size_t c = 0; c < json_array_size(texts); c++) {
            const char *t = json_string_value(json_object_get(json_array_get(texts, c), "text"));
            int32_t *ids;
            size_t n_ids, n_back;
            char *back;
            assert_int_equal(rc_vocab_encode(v, t, strlen(t), &ids, &n_ids, NULL, NULL), RC_OK);
            assert_int_equal(rc_vocab_decode(v, ids, n_ids, &back, &n_back, NULL), RC_OK);
            json_t *list = json_array();
            for (size_t i = 0; i < n_ids; i++) json_array_append_new(list, json_integer(ids[i]));
            json_array_append_new(out, json_pack("{s:s, s:o, s:s%}", "text", t, "ids", list, "decoded", back, n_back));
            rc_ids_free(ids, n_ids);
            rc_text_free(back, n_back);
        }
        char *dump = json_dumps(out, JSON_COMPACT);
        assert_non_null(dump);
        put(dir, name, ".cases.json", dump, strlen(dump));
        free(dump);
        json_decref(out);
        rc_vocab_free(v);
    }
    json_decref(texts);
    rc_text_free(text, len);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_their_files),
        cmocka_unit_test(trains_the_same),
        cmocka_unit_test(writes_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
