/* Tags and spans: against seqeval in both modes, against a plain reading of conlleval's loop, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/spans.h"
#include "golden/spans_data.h"

#define NEAR(a, b)  assert_true(fabs((a) - (b)) < 1e-12)
#define COUNT(list) (sizeof(list) / sizeof *(list))

static rc__tagset *tagset(const char *const *names, size_t K) {
    rc__tagset *t;
    assert_int_equal(rc__tagset_new(names, K, &t, NULL), RC_OK);
    return t;
}

typedef struct corpus {
    const char *const *names;
    size_t K, sequences;
    const size_t *lengths;
    const int32_t *truth, *guess;
    double accuracy;
} corpus;
#define CORPUS(name)                                                                                          \
    (corpus) {                                                                                                \
        name##_names, COUNT(name##_names), COUNT(name##_lengths), name##_lengths, name##_truth, name##_guess, \
            name##_accuracy[0]                                                                                \
    }

static void as_seqeval(corpus c, rc__span_rule rule, rc__tag_scheme scheme, const int32_t *counts, const double *prf) {
    rc__tagset *t = tagset(c.names, c.K);
    rc__span_counts *n;
    rc__span_scores s;
    rc__prf each[3];
    assert_int_equal(rc__span_counts_new(t, rule, scheme, &n, NULL), RC_OK);
    size_t at = 0;
    for (size_t i = 0; i < c.sequences; i++) {
        assert_int_equal(rc__span_counts_add(n, c.truth + at, c.guess + at, c.lengths[i], NULL), RC_OK);
        at += c.lengths[i];
    }
    rc__span_counts_read(n, &s, each);
    NEAR(s.all.precision, prf[0]);
    NEAR(s.all.recall, prf[1]);
    NEAR(s.all.f1, prf[2]);
    NEAR(s.macro.precision, prf[3]);
    NEAR(s.macro.recall, prf[4]);
    NEAR(s.macro.f1, prf[5]);
    NEAR(s.accuracy, c.accuracy);
    assert_int_equal(s.tokens, at);
    assert_int_equal(s.right, counts[0] + counts[3] + counts[6]);
    for (size_t k = 0; k < 3; k++) {
        NEAR(each[k].support, counts[3 * k + 2]);
        NEAR(each[k].precision, (double)counts[3 * k] / counts[3 * k + 1]);
        NEAR(each[k].recall, (double)counts[3 * k] / counts[3 * k + 2]);
    }
    rc__span_counts_free(n);
    rc__tagset_free(t);
}

static void scores_as_seqeval(void **state) {
    (void)state;
    as_seqeval(CORPUS(iob2), RC_SPANS_SEQEVAL, RC_TAGS_IOB2, iob2_loose, iob2_loose_prf);
    as_seqeval(CORPUS(iob2), RC_SPANS_CONLLEVAL, RC_TAGS_IOB2, iob2_loose, iob2_loose_prf); /* no E, no S: the same */
    as_seqeval(CORPUS(iob2), RC_SPANS_STRICT, RC_TAGS_IOB2, iob2_strict, iob2_strict_prf);
    as_seqeval(CORPUS(iobes), RC_SPANS_SEQEVAL, RC_TAGS_IOBES, iobes_loose, iobes_loose_prf);
    as_seqeval(CORPUS(iobes), RC_SPANS_STRICT, RC_TAGS_IOBES, iobes_strict, iobes_strict_prf);
    as_seqeval(CORPUS(bilou), RC_SPANS_STRICT, RC_TAGS_BILOU, bilou_strict, bilou_strict_prf);
}

static void same_spans(corpus c, const int32_t *want, size_t count) {
    rc__tagset *t = tagset(c.names, c.K);
    size_t at = 0, k = 0;
    for (size_t i = 0; i < c.sequences; i++) {
        rc__span got[16];
        size_t n = rc__spans(t, RC_SPANS_SEQEVAL, RC_TAGS_IOB2, c.truth + at, c.lengths[i], got);
        for (size_t j = 0; j < n; j++, k++) {
            assert_true(k < count);
            assert_true(want[4 * k] == (int32_t)i && want[4 * k + 3] == got[j].type);
            assert_true((size_t)want[4 * k + 1] == got[j].start && (size_t)want[4 * k + 2] == got[j].end);
        }
        at += c.lengths[i];
    }
    assert_int_equal(k, count);
    rc__tagset_free(t);
}

static void spans_as_seqeval(void **state) {
    (void)state;
    same_spans(CORPUS(iob2), iob2_loose_spans, COUNT(iob2_loose_spans) / 4);
    same_spans(CORPUS(iobes), iobes_loose_spans, COUNT(iobes_loose_spans) / 4);
}

/* ---- conlleval, statement by statement on strings ---------------------------------------------------------------- */

typedef struct word {
    char tag[8], type[16];
} word;

static word split(const char *name) {
    word w = {"", ""};
    const char *dash = strchr(name, '-');
    snprintf(w.tag, sizeof w.tag, "%.*s", dash ? (int)(dash - name) : (int)strlen(name), name);
    snprintf(w.type, sizeof w.type, "%s", dash ? dash + 1 : "");
    return w;
}

static bool both(const word *a, const word *b, const char *x, const char *y) {
    return strcmp(a->tag, x) == 0 && strcmp(b->tag, y) == 0;
}

static bool perl_end(const word *p, const word *w) {
    bool end = false;
    if (both(p, w, "B", "B")) end = true;
    if (both(p, w, "B", "O")) end = true;
    if (both(p, w, "I", "B")) end = true;
    if (both(p, w, "I", "O")) end = true;
    if (both(p, w, "E", "E")) end = true;
    if (both(p, w, "E", "I")) end = true;
    if (both(p, w, "E", "O")) end = true;
    if (strcmp(p->tag, "O") != 0 && strcmp(p->tag, ".") != 0 && strcmp(p->type, w->type) != 0) end = true;
    return end;
}

static bool perl_start(const word *p, const word *w) {
    bool start = false;
    if (both(p, w, "B", "B")) start = true;
    if (both(p, w, "I", "B")) start = true;
    if (both(p, w, "O", "B")) start = true;
    if (both(p, w, "O", "I")) start = true;
    if (both(p, w, "E", "E")) start = true;
    if (both(p, w, "E", "I")) start = true;
    if (both(p, w, "O", "E")) start = true;
    if (strcmp(w->tag, "O") != 0 && strcmp(w->tag, ".") != 0 && strcmp(p->type, w->type) != 0) start = true;
    return start;
}

static void as_conlleval(corpus c) {
    size_t right = 0, in_truth = 0, in_guess = 0, equal = 0, tokens = 0, at = 0;
    bool in_right = false;
    word last_truth = split("O"), last_guess = split("O");
    for (size_t s = 0; s < c.sequences; s++) {
        for (size_t i = 0; i <= c.lengths[s]; i++) { /* the last: the line between sentences */
            bool boundary = i == c.lengths[s];
            word truth = split(boundary ? "O" : c.names[c.truth[at + i]]);
            word guess = split(boundary ? "O" : c.names[c.guess[at + i]]);
            bool end_truth = perl_end(&last_truth, &truth), end_guess = perl_end(&last_guess, &guess);
            if (in_right) {
                if (end_truth && end_guess && strcmp(last_guess.type, last_truth.type) == 0) {
                    in_right = false;
                    right++;
                } else if (end_truth != end_guess || strcmp(guess.type, truth.type) != 0) {
                    in_right = false;
                }
            }
            bool start_truth = perl_start(&last_truth, &truth), start_guess = perl_start(&last_guess, &guess);
            if (start_truth && start_guess && strcmp(guess.type, truth.type) == 0) in_right = true;
            in_truth += start_truth;
            in_guess += start_guess;
            if (!boundary) {
                equal += strcmp(truth.tag, guess.tag) == 0 && strcmp(truth.type, guess.type) == 0;
                tokens++;
            }
            last_truth = truth;
            last_guess = guess;
        }
        at += c.lengths[s];
    }
    right += in_right;
    rc__tagset *t = tagset(c.names, c.K);
    rc__span_counts *n;
    rc__span_scores s;
    assert_int_equal(rc__span_counts_new(t, RC_SPANS_CONLLEVAL, RC_TAGS_IOB2, &n, NULL), RC_OK);
    at = 0;
    for (size_t i = 0; i < c.sequences; i++) {
        assert_int_equal(rc__span_counts_add(n, c.truth + at, c.guess + at, c.lengths[i], NULL), RC_OK);
        at += c.lengths[i];
    }
    rc__span_counts_read(n, &s, NULL);
    assert_true(right > 5);
    assert_int_equal(s.right, right);
    assert_int_equal(s.guessed, in_guess);
    assert_int_equal(s.truth, in_truth);
    assert_int_equal(s.tokens, tokens);
    NEAR(s.accuracy, (double)equal / (double)tokens);
    rc__span_counts_free(n);
    rc__tagset_free(t);
}

static void scores_as_conlleval(void **state) {
    (void)state;
    as_conlleval(CORPUS(iob2));
    as_conlleval(CORPUS(iobes));
    as_conlleval(CORPUS(bilou));
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

/* One letter a tag: o = O, b i e s of type X, B I E S of type Y. Reads, and returns "start-end:type ..." */
static const char *const both_types[] = {"O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"};
static size_t letters(const char *text, int32_t *tags) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) tags[i] = (int32_t)(strchr("obiesBIES", text[i]) - "obiesBIES");
    return n;
}

static const char *read_as(const char *text, rc__span_rule rule, rc__tag_scheme scheme) {
    static char out[200];
    int32_t tags[32];
    rc__span spans[32];
    rc__tagset *t = tagset(both_types, COUNT(both_types));
    size_t n = rc__spans(t, rule, scheme, tags, letters(text, tags), spans), len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%zu-%zu%s", i ? " " : "", spans[i].start, spans[i].end,
                                rc__tagset_type(t, (size_t)spans[i].type));
    }
    rc__tagset_free(t);
    return out;
}

static void rules_by_hand(void **state) {
    (void)state;
    assert_string_equal(read_as("oiibio", RC_SPANS_CONLLEVAL, RC_TAGS_IOB2), "1-3X 3-5X");
    assert_string_equal(read_as("oiibio", RC_SPANS_STRICT, RC_TAGS_IOB2), "3-5X");
    assert_string_equal(read_as("biI", RC_SPANS_CONLLEVAL, RC_TAGS_IOB2), "0-2X 2-3Y");
    assert_string_equal(read_as("biI", RC_SPANS_STRICT, RC_TAGS_IOB2), "0-2X");
    /* E- then B- of one type: one span to conlleval, two to seqeval */
    assert_string_equal(read_as("bebe", RC_SPANS_CONLLEVAL, RC_TAGS_IOBES), "0-4X");
    assert_string_equal(read_as("bebe", RC_SPANS_SEQEVAL, RC_TAGS_IOBES), "0-2X 2-4X");
    assert_string_equal(read_as("ssS", RC_SPANS_CONLLEVAL, RC_TAGS_IOBES), "0-2X 2-3Y");
    assert_string_equal(read_as("ssS", RC_SPANS_SEQEVAL, RC_TAGS_IOBES), "0-1X 1-2X 2-3Y");
    assert_string_equal(read_as("biobieEsi", RC_SPANS_STRICT, RC_TAGS_IOBES), "3-6X 7-8X");
    assert_string_equal(read_as("", RC_SPANS_STRICT, RC_TAGS_IOBES), "");
    assert_string_equal(read_as("", RC_SPANS_SEQEVAL, RC_TAGS_IOBES), "");
}

static const char *repaired(const char *text, rc__tag_scheme scheme, rc__repair how, size_t *changed) {
    static char out[32];
    int32_t tags[32];
    rc__tagset *t = tagset(both_types, COUNT(both_types));
    size_t n = letters(text, tags);
    assert_int_equal(rc__tags_repair(t, scheme, how, tags, n, changed, NULL), RC_OK);
    for (size_t i = 0; i < n; i++) out[i] = "obiesBIES"[tags[i]];
    out[n] = '\0';
    rc__tagset_free(t);
    return out;
}

static void repairs_by_hand(void **state) {
    (void)state;
    size_t changed;
    assert_string_equal(repaired("oiibiIi", RC_TAGS_IOB2, RC_REPAIR_BEGIN, &changed), "obibiBb");
    assert_int_equal(changed, 3);
    assert_string_equal(repaired("oiibiIi", RC_TAGS_IOB2, RC_REPAIR_DROP, &changed), "ooobioo");
    assert_int_equal(changed, 4);
    assert_string_equal(repaired("biobieEs", RC_TAGS_IOBES, RC_REPAIR_BEGIN, &changed), "beobieSs");
    assert_int_equal(changed, 2);
    assert_string_equal(repaired("biobieEs", RC_TAGS_IOBES, RC_REPAIR_DROP, &changed), "ooobieos");
    assert_int_equal(changed, 3);
    assert_string_equal(repaired("bioB", RC_TAGS_IOB2, RC_REPAIR_BEGIN, &changed), "bioB");
    assert_int_equal(changed, 0);
}

/* A round of schemes: written in each, read back, the same spans; IOB1 needs B only between neighbours of one type. */
static void conversions_go_round(void **state) {
    (void)state;
    const char *const names[] = {"B-X", "I-X", "O", "B-a-b", "I-a-b", "B", "I"};
    const int32_t tags[] = {0, 0, 1, 2, 3, 3, 4, 0, 2, 5, 6, 5};
    rc__tagset *from = tagset(names, COUNT(names)), *to;
    rc__span spans[12], back[12];
    size_t n = rc__spans(from, RC_SPANS_SEQEVAL, RC_TAGS_IOB2, tags, 12, spans);
    assert_int_equal(n, 7);
    const char *const want[4][12] = {
        {"I-X", "B-X", "I-X", "O", "I-a-b", "B-a-b", "I-a-b", "I-X", "O", "I", "I", "B"},
        {"B-X", "B-X", "I-X", "O", "B-a-b", "B-a-b", "I-a-b", "B-X", "O", "B", "I", "B"},
        {"S-X", "B-X", "E-X", "O", "S-a-b", "B-a-b", "E-a-b", "S-X", "O", "B", "E", "S"},
        {"U-X", "B-X", "L-X", "O", "U-a-b", "B-a-b", "L-a-b", "U-X", "O", "B", "L", "U"},
    };
    for (int scheme = RC_TAGS_IOB1; scheme <= RC_TAGS_BILOU; scheme++) {
        int32_t made[12];
        rc__tag_scheme found;
        assert_int_equal(rc__tagset_convert(from, (rc__tag_scheme)scheme, &to, NULL), RC_OK);
        assert_int_equal(rc__tagset_size(to), scheme <= RC_TAGS_IOB2 ? 7 : 13);
        assert_string_equal(rc__tagset_name(to, 0), "O");
        assert_true(rc__tagset_scheme(to, &found));
        if (scheme > RC_TAGS_IOB1) assert_int_equal(found, scheme);
        assert_int_equal(rc__tags_of_spans(from, spans, n, to, (rc__tag_scheme)scheme, made, 12, NULL), RC_OK);
        for (size_t i = 0; i < 12; i++) {
            assert_string_equal(rc__tagset_name(to, (size_t)made[i]), want[scheme][i]);
        }
        assert_int_equal(rc__spans(to, RC_SPANS_STRICT, (rc__tag_scheme)scheme, made, 12, back), n);
        for (size_t i = 0; i < n; i++) {
            assert_true(back[i].start == spans[i].start && back[i].end == spans[i].end &&
                        back[i].type == spans[i].type);
        }
        rc__tagset_free(to);
    }
    rc__tagset_free(from);
}

/* allowed[from][to] for all pairs, rows and columns O b i [e s] B I [E S] and the ends. */
static void transitions_by_hand(void **state) {
    (void)state;
    const char *const bio[] = {"O", "B-X", "I-X", "B-Y", "I-Y"};
    const char *const iob2[] = {"110101", "111101", "111101", "110111", "110111", "110101"};
    const char *const iob1[] = {"101011", "111011", "111011", "101111", "101111", "101011"};
    const char *const iobes[] = {"1100110011", "0011000000", "0011000000", "1100110011", "1100110011",
                                 "0000001100", "0000001100", "1100110011", "1100110011", "1100110011"};
    uint8_t got[100];
    rc_error e;
    assert_int_equal(rc__tags_allowed(bio, 5, RC_TAGS_IOB2, got, NULL), RC_OK);
    for (size_t i = 0; i < 36; i++) assert_int_equal(got[i], iob2[i / 6][i % 6] - '0');
    assert_int_equal(rc__tags_allowed(bio, 5, RC_TAGS_IOB1, got, NULL), RC_OK);
    for (size_t i = 0; i < 36; i++) assert_int_equal(got[i], iob1[i / 6][i % 6] - '0');
    assert_int_equal(rc__tags_allowed(both_types, 9, RC_TAGS_IOBES, got, NULL), RC_OK);
    for (size_t i = 0; i < 100; i++) assert_int_equal(got[i], iobes[i / 10][i % 10] - '0');
    assert_int_equal(rc__tags_allowed(both_types, 9, RC_TAGS_IOB2, got, &e), RC_EINVAL);
    assert_string_equal(e.text, "the tag \"E-X\" does not begin with one of BI or O");
}

/* A path through allowed tags is a sequence that no repair changes, and the other way round: all of length up to 4. */
static void allowed_is_what_needs_no_repair(void **state) {
    (void)state;
    uint8_t allowed[100];
    rc__tagset *t = tagset(both_types, 9);
    assert_int_equal(rc__tags_allowed(both_types, 9, RC_TAGS_IOBES, allowed, NULL), RC_OK);
    for (int32_t code = 0; code < 9 * 9 * 9 * 9; code++) {
        int32_t tags[4], begun[4], rest = code;
        size_t changed, dropped, before = 9;
        bool ok = true;
        for (size_t i = 0; i < 4; i++, rest /= 9) {
            begun[i] = tags[i] = rest % 9;
            ok = ok && allowed[before * 10 + (size_t)tags[i]];
            before = (size_t)tags[i];
        }
        ok = ok && allowed[before * 10 + 9];
        assert_int_equal(rc__tags_repair(t, RC_TAGS_IOBES, RC_REPAIR_BEGIN, begun, 4, &changed, NULL), RC_OK);
        assert_int_equal(rc__tags_repair(t, RC_TAGS_IOBES, RC_REPAIR_DROP, tags, 4, &dropped, NULL), RC_OK);
        assert_int_equal(changed == 0, ok);
        assert_int_equal(dropped == 0, ok);
    }
    rc__tagset_free(t);
}

static void nothing_and_wrong(void **state) {
    (void)state;
    const char *const twice[] = {"O", "B-X", "O"}, *const empty[] = {"O", ""}, *const pos[] = {"NOUN", "VERB"};
    const char *const no_o[] = {"B-X", "I-X"};
    rc__tagset *t, *to;
    rc__tag_scheme scheme;
    rc__span_counts *n;
    rc__span_scores s;
    rc_error e;
    int32_t tags[3] = {0, 0, 0};
    assert_int_equal(rc__tagset_new(twice, 3, &t, &e), RC_EINVAL);
    assert_string_equal(e.text, "the tag \"O\" is there twice");
    assert_null(t);
    assert_int_equal(rc__tagset_new(empty, 2, &t, &e), RC_EINVAL);
    t = tagset(pos, 2);
    assert_false(rc__tagset_scheme(t, &scheme));
    rc__tagset_free(t);
    t = tagset(NULL, 0);
    assert_int_equal(rc__span_counts_new(t, RC_SPANS_CONLLEVAL, RC_TAGS_IOB2, &n, NULL), RC_OK);
    rc__span_counts_read(n, &s, NULL);
    assert_true(isnan(s.accuracy) && s.all.f1 == 0 && s.macro.f1 == 0);
    assert_int_equal(rc__span_counts_add(n, tags, tags, 3, NULL), RC_OK); /* tags that do not exist are outside */
    rc__span_counts_read(n, &s, NULL);
    assert_true(s.accuracy == 1 && s.truth == 0);
    rc__span_counts_free(n);
    rc__tagset_free(t);
    t = tagset(no_o, 2);
    to = tagset(twice, 2); /* O and B-X: no I-X */
    const rc__span late = {1, 3, 0}, beyond = {2, 4, 0}, two[] = {{0, 2, 0}, {1, 3, 0}}, stranger = {0, 1, 1};
    assert_int_equal(rc__tags_of_spans(t, &late, 1, t, RC_TAGS_IOB2, tags, 3, &e), RC_EINVAL);
    assert_string_equal(e.text, "the tags lack \"O\"");
    assert_int_equal(rc__tags_of_spans(t, &late, 1, to, RC_TAGS_IOB2, tags, 3, &e), RC_EINVAL);
    assert_string_equal(e.text, "the tags lack \"I-X\"");
    assert_int_equal(rc__tags_of_spans(t, &beyond, 1, t, RC_TAGS_IOB2, tags, 3, &e), RC_EINVAL);
    assert_int_equal(rc__tags_of_spans(t, two, 2, t, RC_TAGS_IOB2, tags, 3, &e), RC_EINVAL);
    assert_int_equal(rc__tags_of_spans(t, &stranger, 1, t, RC_TAGS_IOB2, tags, 3, &e), RC_EINVAL);
    rc__tagset_free(to);
    rc__tagset_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_as_seqeval),   cmocka_unit_test(spans_as_seqeval),
        cmocka_unit_test(scores_as_conlleval), cmocka_unit_test(rules_by_hand),
        cmocka_unit_test(repairs_by_hand),     cmocka_unit_test(conversions_go_round),
        cmocka_unit_test(transitions_by_hand), cmocka_unit_test(allowed_is_what_needs_no_repair),
        cmocka_unit_test(nothing_and_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
