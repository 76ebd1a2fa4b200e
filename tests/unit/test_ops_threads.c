/* Norms, softmax, embedding, convolution and losses give the same bits for any number of threads, and a batch of one row
 * those of the row in a batch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "recur/tape.h"

enum { T = 37, B = 9, F = 150, V = 301, N = T * B };
static float data[N * F], table[V * F], vector[2][V], target[N * F];
static int32_t ids[N], classes[N], tags[N], lengths[B], positions[N];

typedef enum op {
    LAYER_NORM, BATCH_NORM, SOFTMAX, LOG_SOFTMAX, EMBEDDING, EMBEDDING_DROPOUT, CROSS_ENTROPY, FUSED, FUSED_ALL, BCE, MSE, CONV, CONV_ALL,
    ATTENTION, CRF, STUDENT_T, PACK, ATTEND, ADDITIVE, ROTARY, RMS_NORM, SWIGLU, OPS
} op;

static rc_var *apply(rc_tape *t, op o, rc_var *x, rc_var *w, rc_var *g, rc_var *b) {
    rc_loss_options l = rc_loss_options_default();
    l.lengths = lengths, l.label_smoothing = 0.1;
    static float mean[F], var[F];
    memset(mean, 0, sizeof mean), memset(var, 0, sizeof var);
    switch (o) {
    case LAYER_NORM: return rc_layer_norm(t, x, rc_slice(t, g, 0, 0, F), rc_slice(t, b, 0, 0, F), 1e-5);
    case BATCH_NORM: return rc_batch_norm(t, x, lengths, rc_slice(t, g, 0, 0, F), rc_slice(t, b, 0, 0, F), mean, var, 0.1, 1e-5);
    case SOFTMAX: return rc_softmax(t, x);
    case LOG_SOFTMAX: return rc_log_softmax(t, x);
    case EMBEDDING: return rc_embedding(t, ids, 2, (size_t[]){T, B}, w);
    case EMBEDDING_DROPOUT: return rc_embedding_dropout(t, ids, 2, (size_t[]){T, B}, w, 0.2);
    case CROSS_ENTROPY: return rc_cross_entropy(t, rc_linear(t, x, w, b), classes, &l);
    case FUSED: return rc_linear_cross_entropy(t, x, w, b, classes, &l, NULL, NULL);
    case FUSED_ALL: return rc_linear_cross_entropy(t, x, w, b, classes, NULL, NULL, NULL);
    case BCE: l.class_weights = vector[0]; return rc_bce_logits(t, x, target, &l);
    case MSE: return rc_mse(t, x, target, &l);
    case CONV: return rc_conv1d(t, x, lengths, rc_reshape(t, rc_slice(t, w, 0, 0, 300), 3, (size_t[]){60, F, 5}), rc_slice(t, b, 0, 0, 60), 2);
    case CONV_ALL: return rc_conv1d(t, x, NULL, rc_reshape(t, rc_slice(t, w, 0, 0, 300), 3, (size_t[]){100, F, 3}), NULL, 2);
    case ATTENTION: {
        rc_var *score = rc_reshape(t, rc_linear(t, x, rc_slice(t, w, 0, 0, 1), NULL), 2, (size_t[]){T, B});
        return rc_weighted_sum_time(t, x, rc_softmax_time(t, score, lengths));
    }
    case CRF:
        return rc_crf_loss(t, x, rc_slice(t, w, 0, 0, F), rc_slice(t, g, 0, 0, F), rc_slice(t, b, 0, 0, F), tags, lengths, NULL, NULL);
    case STUDENT_T: return rc_student_t_nll(t, rc_reshape(t, x, 4, (size_t[]){T, B, F / 3, 3}), target, &l);
    case PACK: return rc_unpack_rows(t, rc_pack_rows(t, x, lengths), lengths, T, B);
    case ATTEND:
    case ADDITIVE: {
        rc_var *rows = rc_pack_rows(t, x, lengths);
        rc_attention_options a = rc_attention_options_default();
        a.batch = B, a.q_lengths = lengths, a.heads = 3, a.causal = true, a.dropout = 0.1, a.alibi = true;
        if (o == ATTEND) return rc_attention(t, rows, rows, rows, &a);
        return rc_additive_attention(t, rows, rows, rc_slice(t, b, 0, 0, F), rows, &a);
    }
    case ROTARY: return rc_rotary(t, rc_reshape(t, x, 2, (size_t[]){N, F}), 3, positions, 1e4);
    case RMS_NORM: return rc_rms_norm(t, x, rc_slice(t, g, 0, 0, F), 1e-5);
    case SWIGLU: return rc_swiglu(t, x);
    case OPS: break;
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    double saved = rc__parallel_threshold;
    rc__parallel_threshold = 0;
    for (op o = 0; o < OPS; o++) {
        rc_tape *t[4];
        rc_var *v[4][5];
        for (int n = 0; n < 4; n++) {
            static const int threads[4] = {1, 2, 3, 7};
            assert_int_equal(rc_set_threads(threads[n], NULL), RC_OK);
            assert_int_equal(rc_tape_new(&t[n], NULL), RC_OK);
            rc_tape_begin(t[n], (rc_tape_mode){.grad = true, .training = true, .seed = 5});
            v[n][0] = rc_leaf(t[n], 3, (size_t[]){T, B, F}, data);
            v[n][1] = rc_leaf(t[n], 2, (size_t[]){V, F}, table);
            v[n][2] = rc_leaf(t[n], 1, (size_t[]){V}, vector[0]);
            v[n][3] = rc_leaf(t[n], 1, (size_t[]){V}, vector[1]);
            v[n][4] = apply(t[n], o, v[n][0], v[n][1], v[n][2], v[n][3]);
            rc_error e = {0};
            rc_var *loss = v[n][4]->len == 1 ? v[n][4] : rc_sum_all(t[n], rc_mul(t[n], v[n][4], v[n][4]));
            if (rc_backward(t[n], loss, 0.7, &e) != RC_OK) fail_msg("%s", e.text);
            for (int i = 0; i < 5; i++) {
                assert_int_equal(v[n][i]->dx != NULL, v[0][i]->dx != NULL);
                if (memcmp(v[n][i]->x, v[0][i]->x, v[0][i]->len * sizeof(float)) != 0)
                    fail_msg("op %d, value %d: other bits with %d threads", (int)o, i, threads[n]);
                if (v[0][i]->dx && memcmp(v[n][i]->dx, v[0][i]->dx, v[0][i]->len * sizeof(float)) != 0)
                    fail_msg("op %d, gradient %d: other bits with %d threads", (int)o, i, threads[n]);
            }
        }
        for (int n = 0; n < 4; n++) rc_tape_free(t[n]);
    }
    rc__parallel_threshold = saved;
    assert_int_equal(rc_set_threads(1, NULL), RC_OK);
}

static void test_row_alone(void **state) {
    (void)state;
    rc_tape *t;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    rc_tape_begin(t, (rc_tape_mode){0});
    rc_var *x = rc_input(t, 2, (size_t[]){N, F}, data), *all[3] = {rc_softmax(t, x), rc_log_softmax(t, x), rc_layer_norm(t, x, NULL, NULL, 1e-5)};
    for (size_t r = 0; r < N; r += 41) {
        rc_var *y = rc_input(t, 2, (size_t[]){1, F}, data + r * F);
        rc_var *one[3] = {rc_softmax(t, y), rc_log_softmax(t, y), rc_layer_norm(t, y, NULL, NULL, 1e-5)};
        for (int i = 0; i < 3; i++) assert_memory_equal(one[i]->x, all[i]->x + r * F, F * sizeof(float));
    }
    rc_tape_free(t);
}

/* A steady loop asks for no memory after its first rounds. */
static void test_steady_memory(void **state) {
    (void)state;
    rc_tape *t;
    assert_int_equal(rc_tape_new(&t, NULL), RC_OK);
    size_t used[6];
    for (int step = 0; step < 6; step++) {
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .step = (uint64_t)step});
        rc_var *x = rc_leaf(t, 3, (size_t[]){T, B, F}, data), *w = rc_leaf(t, 2, (size_t[]){V, F}, table);
        rc_var *b = rc_leaf(t, 1, (size_t[]){V}, vector[0]);
        rc_var *y = rc_layer_norm(t, rc_add(t, x, rc_embedding(t, ids, 2, (size_t[]){T, B}, w)), NULL, NULL, 1e-5);
        assert_int_equal(rc_backward(t, rc_linear_cross_entropy(t, y, w, b, classes, NULL, NULL, NULL), 1, NULL), RC_OK);
        used[step] = rc_memory_used();
    }
    assert_int_equal(used[3], used[5]);
    rc_tape_free(t);
}

int main(void) {
    rc_rng r = rc_rng_make(1, 1);
    for (size_t i = 0; i < N * F; i++) data[i] = (float)rc_rng_normal(&r), target[i] = (float)rc_rng_uniform(&r);
    for (size_t i = 0; i < V * F; i++) table[i] = (float)(0.1 * rc_rng_normal(&r));
    for (size_t i = 0; i < V; i++) vector[0][i] = 1 + (float)rc_rng_uniform(&r), vector[1][i] = (float)rc_rng_normal(&r);
    for (size_t i = 0; i < N; i++) ids[i] = (int32_t)rc_rng_below(&r, V), classes[i] = (int32_t)rc_rng_below(&r, V), tags[i] = classes[i] % F, positions[i] = (int32_t)(i % 100);
    for (size_t b = 0; b < B; b++) lengths[b] = (int32_t)rc_rng_below(&r, T + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_row_alone),
        cmocka_unit_test(test_steady_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
