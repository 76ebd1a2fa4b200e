/* Batching: every token once, rows that continue, exact resume, documents by length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "data/batches.h"

enum { N = 1003 };
static int32_t stream[N]; /* ids are places: what follows what is plain to see */

static int fill(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) stream[i] = i;
    return 0;
}

static void each_epoch_is_a_cut_of_the_stream(void **state) {
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {1, 5000}, {4, 16}, {7, 13}, {250, 3}, {1002, 1}, {5, 200}, {3, 334}};
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) {
        size_t B = shapes[c][0], L = (N - 1) / B;
        rc__batches_options o = {.batch = B, .seq_len = shapes[c][1], .seed = 5};
        rc__batches *b;
        assert_int_equal(rc__batches_stream(&b, stream, N, &o, NULL), RC_OK);
        assert_int_equal(rc__batches_tokens(b), L * B);
        uint64_t shifts[3];
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            size_t position = 0, count = 0;
            char seen[N] = {0};
            int32_t *next_of_row = calloc(B, sizeof *next_of_row);
            for (bool end = false; !end; count++) {
                rc__batch x;
                assert_int_equal(rc__batches_next(b, &x, NULL), RC_OK);
                assert_int_equal(x.batch, B);
                assert_int_equal(x.cursor.epoch, epoch);
                assert_int_equal(x.cursor.position, position);
                assert_true(x.starts_epoch == (position == 0) && x.reset_state == x.starts_epoch);
                assert_null(x.lengths);
                assert_true(x.seq_len <= rc__batches_max_seq_len(b) && x.seq_len > 0);
                shifts[epoch] = x.cursor.shift;
                size_t scored = 0;
                for (size_t t = 0; t < x.seq_len; t++)
                    for (size_t r = 0; r < B; r++) {
                        int32_t id = x.ids[t * B + r], target = x.targets[t * B + r];
                        size_t want = (size_t)((x.cursor.shift + r * L + position + t) % N);
                        assert_int_equal(id, want);
                        assert_false(seen[id]); /* no token twice in an epoch */
                        seen[id] = 1;
                        if (id == N - 1)
                            assert_int_equal(target, RC_NO_TARGET);
                        else
                            assert_int_equal(target, id + 1);
                        if (!x.starts_epoch && t == 0 && id) assert_int_equal(id, next_of_row[r]); /* the row goes on */
                        if (t + 1 == x.seq_len) next_of_row[r] = target;
                        scored += target != RC_NO_TARGET;
                    }
                assert_int_equal(x.tokens, scored);
                position += x.seq_len;
                end = x.ends_epoch;
                assert_true(end == (position == L));
            }
            assert_int_equal(count, rc__batches_per_epoch(b));
            free(next_of_row);
        }
        assert_true(shifts[0] != shifts[1] && shifts[1] != shifts[2]);
        rc__batches_free(b);
    }
}

static void without_rotation_nothing_is_masked(void **state) {
    (void)state;
    rc__batches_options o = {.batch = 2, .seq_len = 7, .no_shuffle = true};
    rc__batches *b;
    rc__batch x;
    assert_int_equal(rc__batches_stream(&b, stream, N, &o, NULL), RC_OK);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(rc__batches_next(b, &x, NULL), RC_OK);
        assert_int_equal(x.cursor.shift, 0);
        assert_int_equal(x.tokens, x.seq_len * 2);
    }
    rc__batches_free(b);
}

static bool same(const rc__batch *a, const rc__batch *b) {
    size_t n = a->seq_len * a->batch;
    return a->seq_len == b->seq_len && a->batch == b->batch && a->tokens == b->tokens &&
           a->starts_epoch == b->starts_epoch && memcmp(&a->cursor, &b->cursor, sizeof a->cursor) == 0 &&
           memcmp(a->ids, b->ids, n * sizeof *a->ids) == 0 &&
           memcmp(a->targets, b->targets, n * sizeof *a->targets) == 0 &&
           (!a->lengths || memcmp(a->lengths, b->lengths, a->batch * sizeof *a->lengths) == 0);
}

static rc__batches *make(bool documents, const size_t *starts, size_t n_docs, uint64_t seed) {
    rc__batches_options o = {.batch = 4, .seq_len = 33, .seed = seed};
    rc__batches *b = NULL;
    rc_status s = documents ? rc__batches_documents(&b, stream, starts, n_docs, &o, NULL)
                            : rc__batches_stream(&b, stream, N, &o, NULL);
    assert_int_equal(s, RC_OK);
    return b;
}

/* Stop anywhere, seek in a new object: the batches are those that would have come. */
static void resume_is_exact(void **state) {
    (void)state;
    size_t starts[60] = {0};
    for (size_t d = 1; d < 60; d++) starts[d] = starts[d - 1] + 2 + d * 7 % 23;
    for (int documents = 0; documents < 2; documents++)
        for (int stop = 0; stop < 40; stop += 3) {
            rc__batches *a = make(documents, starts, 59, 11), *b = make(documents, starts, 59, 11);
            rc__batch x, y;
            for (int i = 0; i < stop; i++) assert_int_equal(rc__batches_next(a, &x, NULL), RC_OK);
            assert_int_equal(rc__batches_next(b, &y, NULL), RC_OK); /* b was somewhere else */
            assert_int_equal(rc__batches_seek(b, rc__batches_cursor(a), NULL), RC_OK);
            for (int i = 0; i < 40; i++) {
                assert_int_equal(rc__batches_next(a, &x, NULL), RC_OK);
                assert_int_equal(rc__batches_next(b, &y, NULL), RC_OK);
                assert_true(same(&x, &y));
            }
            rc__batches_free(a);
            rc__batches_free(b);
        }
    rc__batches *a = make(false, NULL, 0, 1), *b = make(false, NULL, 0, 2);
    rc_error e;
    assert_int_equal(rc__batches_seek(b, rc__batches_cursor(a), &e), RC_EMODEL); /* another seed */
    assert_non_null(strstr(e.text, "seed"));
    rc__cursor c = rc__batches_cursor(a);
    c.position = 250;
    assert_int_equal(rc__batches_seek(a, c, &e), RC_EMODEL);
    c.position = UINT64_MAX;
    assert_int_equal(rc__batches_seek(a, c, &e), RC_EMODEL);
    rc__batches_free(a);
    rc__batches_free(b);
}

static void documents_once_each(void **state) {
    (void)state;
    enum { DOCS = 230 };
    static int32_t ids[20000];
    size_t starts[DOCS + 1] = {0};
    for (int i = 0; i < 20000; i++) ids[i] = i;
    rc_rng g = rc_rng_make(3, 0);
    for (int d = 0; d < DOCS; d++) starts[d + 1] = starts[d] + 2 + (size_t)rc_rng_below(&g, 80);
    rc__batches_options o = {.batch = 4, .seed = 9};
    rc__batches *b;
    assert_int_equal(rc__batches_documents(&b, ids, starts, DOCS, &o, NULL), RC_OK);
    assert_int_equal(rc__batches_per_epoch(b), 58);
    int32_t first_of_epoch[2] = {0};
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[DOCS] = {0};
        size_t steps = 0, padded = 0;
        for (int i = 0; i < 58; i++) {
            rc__batch x;
            assert_int_equal(rc__batches_next(b, &x, NULL), RC_OK);
            assert_true(x.reset_state && x.starts_epoch == (i == 0) && x.ends_epoch == (i == 57));
            if (i == 0) first_of_epoch[epoch] = x.ids[0];
            size_t tokens = 0;
            for (size_t r = 0; r < 4; r++) {
                size_t len = (size_t)x.lengths[r], d = 0;
                if (len) {
                    while (d < DOCS && starts[d] != (size_t)x.ids[r]) d++;
                    assert_true(d < DOCS);
                    seen[d]++;
                    assert_int_equal(len, starts[d + 1] - starts[d] - 1);
                }
                for (size_t t = 0; t < x.seq_len; t++) {
                    if (t < len)
                        assert_true(x.ids[t * 4 + r] == (int32_t)(starts[d] + t) &&
                                    x.targets[t * 4 + r] == (int32_t)(starts[d] + t + 1));
                    else
                        assert_int_equal(x.targets[t * 4 + r], RC_NO_TARGET);
                }
                tokens += len;
            }
            assert_int_equal(x.tokens, tokens);
            steps += tokens;
            padded += x.seq_len * 4;
        }
        for (int d = 0; d < DOCS; d++) assert_int_equal(seen[d], 1);
        assert_int_equal(steps, rc__batches_tokens(b));
        assert_true(padded < steps * 11 / 10); /* by length: little padding */
    }
    assert_int_not_equal(first_of_epoch[0], first_of_epoch[1]);
    rc__batches_free(b);
}

static void lines_as_documents(void **state) {
    (void)state;
    const char *text = "ab\n\nc\r\nabc";
    rc_vocab *v;
    rc__documents d;
    rc_error e;
    assert_int_equal(rc_vocab_train(&v, "char", "abc\n", 4, NULL), RC_OK);
    assert_int_equal(rc__documents_encode(&d, v, text, strlen(text), 0, &e), RC_OK);
    assert_int_equal(d.count, 3);
    static const int32_t want[] = {1, 2, 3, 1, 1, 4, 1, 1, 2, 3, 4, 1};
    assert_int_equal(d.n, 12);
    assert_memory_equal(d.ids, want, sizeof want);
    assert_true(d.starts[1] == 4 && d.starts[2] == 7 && d.starts[3] == 12 && d.unknown == 0);
    rc__documents_free(&d);
    assert_int_equal(rc__documents_encode(&d, v, text, strlen(text), 4, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 4 has 5 tokens"));
    assert_int_equal(rc__documents_encode(&d, v, "ab\na\xFF", 5, 0, &e), RC_EDATA);
    assert_non_null(strstr(e.text, "line 2"));
    assert_int_equal(rc__documents_encode(&d, v, "\n\n", 2, 0, &e), RC_EDATA);
    rc_vocab_free(v);
    assert_int_equal(rc_vocab_train(&v, "char", "abc", 3, NULL),
                     RC_OK); /* no newline: lines alone, those of one token not */
    assert_int_equal(rc__documents_encode(&d, v, text, strlen(text), 0, &e), RC_OK);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.n, 5);
    rc__documents_free(&d);
    rc_vocab_free(v);
}

static void refusals(void **state) {
    (void)state;
    rc__batches *b;
    rc_error e;
    rc__batches_options o = {.batch = 10, .seq_len = 5};
    assert_int_equal(rc__batches_stream(&b, stream, 10, &o, &e), RC_EDATA);
    assert_null(b);
    assert_non_null(strstr(e.text, "10 tokens"));
    assert_non_null(strstr(e.text, "at least 11"));
    assert_int_equal(rc__batches_stream(&b, stream, 0, &o, &e), RC_EDATA);
    assert_int_equal(rc__batches_stream(&b, stream, 11, &o, &e), RC_OK);
    rc__batches_free(b);
    o.seq_len = 0;
    assert_int_equal(rc__batches_stream(&b, stream, N, &o, &e), RC_EINVAL);
    o.batch = 0;
    assert_int_equal(rc__batches_documents(&b, stream, (size_t[]){0, 3}, 1, &o, &e), RC_EINVAL);
    o.batch = 1;
    assert_int_equal(rc__batches_documents(&b, stream, (size_t[]){0, 3, 4}, 2, &o, &e), RC_EDATA);
    assert_int_equal(rc__batches_documents(&b, stream, (size_t[]){0}, 0, &o, &e), RC_EDATA);
    rc__batches_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_epoch_is_a_cut_of_the_stream),
        cmocka_unit_test(without_rotation_nothing_is_masked),
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(documents_once_each),
        cmocka_unit_test(lines_as_documents),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
