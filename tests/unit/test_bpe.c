/* Byte-pair encoding against the plain definitions: learning by recounting everything, encoding by searching
 * everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/bpe.h"
#include "recur/text.h"

static rc_vocab *train(const char *spec, const char *text, size_t len) {
    rc_vocab *v;
    rc_error e;
    if (rc_vocab_train(&v, spec, text, len, &e) != RC_OK) fail_msg("%s: %s", spec, e.text);
    return v;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

/* Words of letters with one space between: each piece is " word" (the first: "word"). Counts all pairs anew each
 * round. */
enum { MAX = 4000 };
static size_t naive_train(const rc_vocab *v, const char *text, size_t len, size_t size, rc__merge *out) {
    static int32_t x[MAX];
    static bool starts[MAX]; /* a piece begins here: no pair across */
    size_t n = len, merges = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = rc__strtab_find(&v->entries, text + i, 1);
        starts[i] = i == 0 || text[i] == ' ';
    }
    for (size_t entries = 256; entries < size; entries++) {
        static uint32_t count[700][700];
        memset(count, 0, sizeof count);
        int32_t bl = -1, br = -1;
        for (size_t i = 0; i + 1 < n; i++)
            if (!starts[i + 1]) count[x[i]][x[i + 1]]++;
        for (int32_t l = 0; l < 700; l++)
            for (int32_t r = 0; r < 700; r++)
                if (count[l][r] && (bl < 0 || count[l][r] > count[bl][br])) bl = l, br = r;
        if (bl < 0) break;
        out[merges++] = (rc__merge){bl, br, (int32_t)entries};
        size_t to = 0;
        for (size_t i = 0; i < n; to++) {
            bool both = x[i] == bl && i + 1 < n && x[i + 1] == br && !starts[i + 1];
            x[to] = both ? (int32_t)entries : x[i];
            starts[to] = starts[i];
            i += both ? 2 : 1;
        }
        n = to;
    }
    return merges;
}

static void learns_what_recounting_learns(void **state) {
    (void)state;
    rc_rng g = rc_rng_make(1, 0);
    for (int round = 0; round < 12; round++) {
        char text[MAX];
        memset(text, 'a', sizeof text);
        size_t last = 49 + (size_t)rc_rng_below(&g, 1500), len = last + 1, letters = 1 + (size_t)rc_rng_below(&g, 5);
        for (size_t i = 0; i < last; i++)
            text[i] =
                i && text[i - 1] != ' ' && rc_rng_below(&g, 6) == 0 ? ' ' : (char)('a' + rc_rng_below(&g, letters));
        size_t size = 256 + (size_t)rc_rng_below(&g, 60), n;
        char spec[32];
        snprintf(spec, sizeof spec, "bpe:%zu", size);
        rc_vocab *v = train(spec, text, len);
        static rc__merge want[1000];
        size_t n_want = naive_train(v, text, len, size, want);
        const rc__merge *have = rc__bpe_merges(v, &n);
        assert_int_equal(n, n_want);
        assert_int_equal(rc_vocab_size(v), 256 + n);
        for (size_t i = 0; i < n; i++)
            if (memcmp(&have[i], &want[i], sizeof *have) != 0)
                fail_msg("round %d, merge %zu: %d %d -> %d, expected %d %d -> %d", round, i, have[i].left,
                         have[i].right, have[i].result, want[i].left, want[i].right, want[i].result);
        rc_vocab_free(v);
    }
}

static void stops_when_no_pair_is_left(void **state) {
    (void)state;
    rc_vocab *v = train("bpe:5000", "abc abc", 7);
    assert_int_equal(rc_vocab_size(v), 259); /* ab, abc, _abc */
    rc_vocab_free(v);
    v = train("bpe:256", "abc abc", 7);
    assert_int_equal(rc_vocab_size(v), 256);
    rc_vocab_free(v);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static size_t naive_encode(const rc_vocab *v, const char *text, size_t len, int32_t *x) {
    size_t n_merges, n = len;
    const rc__merge *m = rc__bpe_merges(v, &n_merges);
    for (size_t i = 0; i < n; i++) x[i] = rc__strtab_find(&v->entries, text + i, 1);
    for (;;) {
        size_t best = n_merges, at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t k = 0; k < best; k++)
                if (m[k].left == x[i] && m[k].right == x[i + 1]) best = k, at = i;
        if (best == n_merges) return n;
        x[at] = m[best].result;
        memmove(x + at + 1, x + at + 2, (n - at - 2) * sizeof *x);
        n--;
    }
}

static void encodes_what_searching_encodes(void **state) {
    (void)state;
    rc_rng g = rc_rng_make(2, 0);
    char text[MAX];
    for (int i = 0; i < MAX; i++) text[i] = i % 9 == 8 ? ' ' : (char)('a' + rc_rng_below(&g, 3));
    rc_vocab *v = train("bpe:330", text, MAX);
    for (int round = 0; round < 300; round++) {
        char piece[400];
        int32_t want[400], *ids;
        size_t len = 1 + (size_t)rc_rng_below(&g, round < 200 ? 60 : 399), n;
        for (size_t i = 0; i < len; i++)
            piece[i] = (char)('a' + rc_rng_below(&g, 3)); /* letters: one piece, short or long */
        size_t n_want = naive_encode(v, piece, len, want);
        assert_int_equal(rc_vocab_encode(v, piece, len, &ids, &n, NULL, NULL), RC_OK);
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof *ids);
        rc_ids_free(ids, n);
    }
    rc_vocab_free(v);
}

/* Any bytes, whole text or repeated (through the cache), come back exactly. */
static void round_trip_of_anything(void **state) {
    (void)state;
    rc_rng g = rc_rng_make(3, 0);
    const char sample[] = "It's the \xC3\xBC"
                          "ber-r\xC3\xA4tsel, isn't it?  \xE6\x88\xA6\xE5\xA0\xB4 \xF0\x9F\x98\x80 1234\n\n\tdon't";
    rc_vocab *v = train("bpe:300", sample, sizeof sample - 1);
    for (int round = 0; round < 400; round++) {
        char text[3000], *back;
        size_t len = (size_t)rc_rng_below(&g, sizeof text), n, m;
        for (size_t i = 0; i < len; i++)
            text[i] =
                round % 2
                    ? (char)rc_rng_u32(&g)
                    : sample[rc_rng_below(&g, 8) == 0 ? rc_rng_below(&g, sizeof sample - 1) : i % (sizeof sample - 1)];
        int32_t *ids;
        assert_int_equal(rc_vocab_encode(v, text, len, &ids, &n, NULL, NULL), RC_OK);
        assert_int_equal(rc_vocab_decode(v, ids, n, &back, &m, NULL), RC_OK);
        assert_int_equal(m, len);
        assert_memory_equal(back, text, len);
        rc_text_free(back, m);
        rc_ids_free(ids, n);
    }
    rc_vocab_free(v);
}

/* Megabytes without a break must not take quadratic time. */
static void endless_pieces(void **state) {
    (void)state;
    enum { N = 1000000 };
    char *text = malloc(N + 4000);
    double start = rc__now();
    static const char *const kinds[] = {"a", "ab", " ", "7", "\n", ".", "\xC3\xBC", "\xFF"};
    rc_vocab *v = train("bpe:300", "aaaaaaa abababab aaaa bb", 24);
    for (int k = 0; k < 8; k++) {
        size_t unit = strlen(kinds[k]), n;
        int32_t *ids;
        for (size_t i = 0; i + unit <= N; i += unit) memcpy(text + i, kinds[k], unit);
        assert_int_equal(rc_vocab_encode(v, text, N, &ids, &n, NULL, NULL), RC_OK);
        rc_ids_free(ids, n);
    }
    rc_vocab_free(v);
    for (int i = 0; i < N; i++) text[i] = (char)('a' + i % 2);
    v = train("bpe:270", text, N); /* one word of a million symbols */
    rc_vocab_free(v);
    if (rc__now() - start > 60) fail_msg("%.1f s", rc__now() - start);
    free(text);
}

static void bytes_as_characters(void **state) {
    (void)state;
    bool used[0x144] = {false};
    for (unsigned b = 0; b < 256; b++) {
        uint32_t cp = rc__byte_to_unicode((unsigned char)b);
        assert_true(cp < 0x144 && cp > 32 && cp != 127 && cp != 0xAD && !used[cp]);
        used[cp] = true;
        assert_int_equal(rc__unicode_to_byte(cp), b);
    }
    assert_int_equal(rc__byte_to_unicode(' '), 0x120);
    assert_int_equal(rc__byte_to_unicode('\n'), 0x10A);
    assert_int_equal(rc__byte_to_unicode(0xAD), 0x143);
    assert_int_equal(rc__unicode_to_byte(' '), -1);
    assert_int_equal(rc__unicode_to_byte(0x144), -1);
    assert_int_equal(rc__unicode_to_byte(0x10FFFF), -1);
    unsigned char order[256];
    rc__byte_alphabet(order);
    for (int i = 1; i < 256; i++) assert_true(rc__byte_to_unicode(order[i]) > rc__byte_to_unicode(order[i - 1]));
}

static void patterns(void **state) {
    (void)state;
    rc__bpe *b;
    rc_error e;
    assert_int_equal(rc__bpe_new(&b, "(", &e), RC_EMODEL);
    assert_null(b);
    assert_non_null(strstr(e.text, "pattern \"(\""));
    assert_int_equal(rc__bpe_new(&b, "\\C", &e), RC_EMODEL); /* single bytes of a character */
    /* A pattern that explodes gives up with a message instead of running for ever. */
    const char *json = "{\"kind\":\"bpe\",\"pattern\":\"(a+)+[0-9]\",\"entries\":[";
    char *text = malloc(8000);
    size_t at = (size_t)sprintf(text, "%s", json);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t cp = rc__byte_to_unicode((unsigned char)i);
        at += (size_t)sprintf(text + at, "%s\"\\u%04X\"", i ? "," : "", (unsigned)cp);
    }
    at += (size_t)sprintf(text + at, "],\"merges\":[]}");
    rc_vocab *v;
    assert_int_equal(rc_vocab_from_json(&v, text, at, "x", &e), RC_OK);
    int32_t *ids;
    size_t n;
    double start = rc__now();
    assert_int_equal(
        rc_vocab_encode(v, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 54, &ids, &n, NULL, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "pattern failed"));
    assert_true(rc__now() - start < 20);
    assert_int_equal(rc_vocab_encode(v, "xaa7 aa7", 8, &ids, &n, NULL, &e), RC_OK); /* what no match covers is kept */
    assert_int_equal(n, 8);
    rc_ids_free(ids, n);
    rc_vocab_free(v);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_what_recounting_learns),
        cmocka_unit_test(stops_when_no_pair_is_left),
        cmocka_unit_test(encodes_what_searching_encodes),
        cmocka_unit_test(round_trip_of_anything),
        cmocka_unit_test(endless_pieces),
        cmocka_unit_test(bytes_as_characters),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
