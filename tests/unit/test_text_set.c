/* Texts as ids, forms and pairs, and batches of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/text_set.h"

static rc__lexicon lexicon_of(const char *text, bool chars) {
    rc__lexicon x = {.lowercase = true};
    rc__word_counts c = {0};
    assert_int_equal(rc__word_counts_text(&c, true, text, strlen(text), NULL), RC_OK);
    assert_int_equal(rc__lexicon_of_counts(&x, &c, 1, 0, chars, NULL), RC_OK);
    rc__word_counts_free(&c);
    return x;
}

static void add(rc__text_set *t, const char *text, size_t max_len) {
    rc_error e = {0};
    if (rc__text_set_add(t, text, strlen(text), max_len, &e) != RC_OK) fail_msg("%s: %s", text, e.text);
}

static void ids(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("the cat sat", false);
    rc__text_set t;
    rc__text_set_init(&t, &x);
    add(&t, "The cat, the dog!", 0);
    add(&t, "", 0);
    add(&t, "sat cat the", 2);
    assert_int_equal(t.n, 3);
    assert_int_equal(rc__text_set_len(&t, 0), 6);
    assert_int_equal(rc__text_set_len(&t, 1), 0);
    assert_int_equal(rc__text_set_len(&t, 2), 2);
    assert_int_equal(t.unknown, 3);
    assert_int_equal(t.id[0], t.id[3]);
    assert_int_equal(t.id[4], x.tokens->unk);
    assert_int_equal(t.id[7], t.id[1]); /* cat */
    size_t words = t.n_tokens;
    rc__text_set_clear(&t);
    assert_true(t.n == 0 && t.n_tokens == 0 && t.unknown == 0);
    add(&t, "The cat, the dog!", 0);
    assert_true(t.n == 1 && t.n_tokens == words - 2);
    rc__text_set_free(&t);
    rc__lexicon_free(&x);
}

static void pairs(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("the cat sat", false);
    x.buckets = 50;
    rc__text_set t;
    rc__text_set_init(&t, &x);
    add(&t, "the cat sat", 0);
    add(&t, "sat the cat", 0);
    add(&t, "sat", 0);
    add(&t, "", 0);
    assert_int_equal(rc__text_set_len(&t, 0), 5);
    assert_int_equal(rc__text_set_len(&t, 2), 1);
    assert_int_equal(rc__text_set_len(&t, 3), 0);
    int32_t entries = (int32_t)rc_vocab_size(x.tokens);
    for (size_t i = 0; i < t.n_tokens; i++) assert_in_range(t.id[i], 0, entries + 49);
    for (size_t i = 3; i < 5; i++) assert_in_range(t.id[i], entries, entries + 49);
    assert_int_equal(t.id[3], t.id[5 + 4]);     /* "the cat" in both */
    assert_int_not_equal(t.id[4], t.id[5 + 3]); /* "cat sat", "sat the" (by this hash) */
    rc__text_set_free(&t);
    rc__lexicon_free(&x);
}

/* Time first, padding 0, and each word's characters by its form. */
static void batches(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("the cat sat The on mats", true);
    rc__text_set t;
    rc__text_batch b = {0};
    rc__text_set_init(&t, &x);
    add(&t, "the cat", 0);
    add(&t, "", 0);
    add(&t, "The mats on the cat", 0);
    add(&t, "on", 0);
    for (int again = 0; again < 2; again++) {
        const uint32_t index[] = {2, 1, 0};
        assert_int_equal(rc__text_batch_make(&b, &t, index, 3, 0, NULL, NULL), RC_OK);
        const rc__words_batch *w = &b.words;
        assert_true(w->seq_len == 5 && w->batch == 3);
        assert_true(b.lengths[0] == 5 && b.lengths[1] == 0 && b.lengths[2] == 2);
        for (size_t r = 0; r < 3; r++)
            for (size_t i = 0; i < 5; i++) {
                bool in = i < rc__text_set_len(&t, index[r]);
                size_t at = t.start[index[r]] + i;
                assert_int_equal(w->ids[i * 3 + r], in ? t.id[at] : 0);
                if (!in) continue;
                int32_t f = w->form[i * 3 + r];
                assert_in_range(f, 0, w->n_forms - 1);
                size_t len;
                const char *word = rc__strtab_get(&t.forms, (size_t)t.form[at], &len);
                assert_int_equal(w->form_lengths[f], len);
                int32_t *chars = NULL;
                size_t n = 0;
                assert_int_equal(rc_vocab_encode(x.chars, word, len, &chars, &n, NULL, NULL), RC_OK);
                assert_int_equal(n, len);
                for (size_t k = 0; k < w->longest_form; k++)
                    assert_int_equal(w->chars[k * w->n_forms + (size_t)f], k < len ? chars[k] : 0);
                rc_ids_free(chars, n);
            }
        assert_int_equal(w->n_forms, 5); /* the, The, mats, on, cat */
        assert_int_equal(w->longest_form, 4);
        const uint32_t none[] = {1, 1}; /* empty texts alone: one step beyond every length */
        assert_int_equal(rc__text_batch_make(&b, &t, none, 2, 0, NULL, NULL), RC_OK);
        assert_true(b.words.seq_len == 1 && b.words.n_forms == 1 && b.words.form_lengths[0] == 0 && b.lengths[0] == 0);
    }
    rc__text_batch_free(&b);
    rc__text_set_free(&t);
    rc__lexicon_free(&x);
}

static void word_dropout(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("a b c d", false);
    rc__text_set t;
    rc__text_batch b = {0};
    rc__text_set_init(&t, &x);
    for (int i = 0; i < 500; i++) add(&t, "a b c d", 0);
    uint32_t index[500];
    for (uint32_t i = 0; i < 500; i++) index[i] = i;
    rc_rng r = rc_rng_make(3, 0);
    assert_int_equal(rc__text_batch_make(&b, &t, index, 500, 0.2, &r, NULL), RC_OK);
    size_t dropped = 0;
    for (size_t i = 0; i < 2000; i++) dropped += b.ids[i] == x.tokens->unk;
    assert_in_range(dropped, 330, 470); /* 400 +- 4 deviations */
    rc__text_batch_free(&b);
    rc__text_set_free(&t);
    rc__lexicon_free(&x);
}

/* Words that are long or no UTF-8 have their first characters, or none; never a crash. */
static void odd_words(void **state) {
    (void)state;
    rc__lexicon x = lexicon_of("a b ä", true);
    rc__text_set t;
    rc__text_batch b = {0};
    char word[400];
    rc__text_set_init(&t, &x);
    memset(word, 'a', sizeof word);
    for (size_t i = 0; i < 200; i++) memcpy(word + 2 * i, "ä", 2);
    assert_int_equal(rc__text_set_word(&t, word, 400, NULL), RC_OK);
    assert_int_equal(rc__text_set_word(&t, "a\xFF" "b", 3, NULL), RC_OK);
    assert_int_equal(rc__text_set_word(&t, "", 0, NULL), RC_OK);
    assert_int_equal(rc__text_set_end(&t, NULL), RC_OK);
    assert_int_equal(rc__text_batch_make(&b, &t, (const uint32_t[]){0}, 1, 0, NULL, NULL), RC_OK);
    assert_int_equal(b.words.longest_form, RC__MAX_FORM);
    assert_int_equal(b.form_lengths[0], RC__MAX_FORM);
    assert_int_equal(b.form_lengths[2], 0);
    rc__text_batch_free(&b);
    rc__text_set_free(&t);
    rc__lexicon_free(&x);
}

static void by_vocabulary(void **state) {
    (void)state;
    static const char *const specs[] = {"char", "byte", "bpe:300"};
    for (int k = 0; k < 3; k++) {
        rc__lexicon x = {.split = RC__SPLIT_VOCAB, .lowercase = k == 0};
        const char *text = "the cat sat on the mat and the cat";
        assert_int_equal(rc_vocab_train(&x.tokens, specs[k], text, strlen(text), NULL), RC_OK);
        rc__text_set t;
        rc__text_set_init(&t, &x);
        add(&t, "The cat", 0);
        add(&t, "the cat", 4);
        add(&t, "", 0);
        int32_t *id = NULL;
        size_t n = 0;
        const char *want = k == 0 ? "the cat" : "The cat";
        assert_int_equal(rc_vocab_encode(x.tokens, want, 7, &id, &n, NULL, NULL), RC_OK);
        assert_int_equal(rc__text_set_len(&t, 0), n);
        assert_memory_equal(t.id, id, n * sizeof *id);
        assert_true(rc__text_set_len(&t, 1) <= 4 && rc__text_set_len(&t, 2) == 0);
        rc_ids_free(id, n);
        rc__text_set_free(&t);
        rc__lexicon_free(&x);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids),          cmocka_unit_test(pairs),
                                       cmocka_unit_test(batches),      cmocka_unit_test(word_dropout),
                                       cmocka_unit_test(odd_words),    cmocka_unit_test(by_vocabulary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
