/* The language model: parameters, loss, single steps, growth. */
#include "lm_helper.h"
#include <pthread.h>

static const char text[] = "the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs.";

static int32_t *ids_of(const rc_lm *m, size_t *n) {
    int32_t *ids;
    OK(rc_vocab_encode(rc_lm_vocab(m), text, strlen(text), &ids, n, NULL, &E));
    return ids;
}

static void assert_shape(const rc_lm *m, const char *name, size_t rows, size_t cols) {
    const rc_param *p = rc_params_find(rc_lm_params(m), name);
    assert_non_null(p);
    assert_int_equal(p->dim[0], rows);
    assert_int_equal(p->ndim, cols ? 2 : 1);
    if (cols) assert_int_equal(p->dim[1], cols);
}

static void parameters(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o);
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    assert_shape(m, "embedding.weight", V, 9);
    assert_shape(m, "rnn.weight_ih_l0", 48, 9);
    assert_shape(m, "rnn.weight_hh_l1", 48, 12);
    assert_shape(m, "head.weight", V, 12);
    assert_shape(m, "head.bias", V, 0);
    assert_null(rc_params_find(rc_lm_params(m), "adapter.weight"));
    assert_true(rc_params_find(rc_lm_params(m), "embedding.weight")->no_decay);
    assert_true(rc_params_find(rc_lm_params(m), "head.bias")->no_decay);
    assert_false(rc_params_find(rc_lm_params(m), "head.weight")->no_decay);
    assert_string_equal(rc_lm_provenance(m), "{}");
    rc_lm_free(m);

    o.tied = true; /* widths differ: an adapter, and the matrix once */
    m = model_of("char", text, &o);
    assert_shape(m, "adapter.weight", 9, 12);
    assert_null(rc_params_find(rc_lm_params(m), "head.weight"));
    rc_lm_free(m);

    o.embedding_size = 0; /* as wide as the layers */
    m = model_of("char", text, &o);
    assert_int_equal(rc_lm_get_options(m)->embedding_size, 12);
    assert_null(rc_params_find(rc_lm_params(m), "adapter.weight"));
    rc_lm_free(m);
}

static void large_embeddings_are_sparse(void **unused) {
    (void)unused;
    char *many = malloc(1200 * 8), *p = many;
    for (int i = 0; i < 1200; i++) p += sprintf(p, "w%d ", i);
    rc_lm_options o = small_options("gru");
    rc_lm *m = model_of("word", many, &o);
    assert_true(rc_params_find(rc_lm_params(m), "embedding.weight")->sparse);
    rc_lm_free(m);
    o.tied = true;
    m = model_of("word", many, &o);
    assert_false(rc_params_find(rc_lm_params(m), "embedding.weight")->sparse);
    rc_lm_free(m);
    free(many);
}

static void wrong_options(void **unused) {
    (void)unused;
    rc_vocab *v = vocab_of("char", text);
    rc_lm *m = NULL;
    rc_lm_options o = small_options("lstm");
    o.rnn.bidirectional = true;
    FAILS(RC_EINVAL, "bidirectional", rc_lm_new(&m, v, &o, 1, &E));
    o = small_options("lstm");
    o.rnn.reverse = true;
    FAILS(RC_EINVAL, "reversed", rc_lm_new(&m, v, &o, 1, &E));
    o = small_options("lstm");
    o.dropout_output = 1;
    FAILS(RC_EINVAL, "dropout_output", rc_lm_new(&m, v, &o, 1, &E));
    o.dropout_output = NAN;
    FAILS(RC_EINVAL, "dropout_output", rc_lm_new(&m, v, &o, 1, &E));
    o = small_options("lstm");
    o.rnn.hidden_size = 0;
    FAILS(RC_EINVAL, "hidden_size", rc_lm_new(&m, v, &o, 1, &E));
    o = small_options("ltsm");
    FAILS(RC_EINVAL, "ltsm", rc_lm_new(&m, v, &o, 1, &E));
    assert_null(m);
    assert_int_equal(rc_lm_new(&m, v, &o, 1, NULL), RC_EINVAL);
    rc_vocab_free(v); /* still ours */
}

static void loss_counts_and_skips(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o);
    size_t n, all, some;
    int32_t *ids = ids_of(m, &n), targets[40];
    memcpy(targets, ids + 1, sizeof targets);
    double whole = nll_of(m, ids, targets, 10, 4, NULL, &all);
    assert_int_equal(all, 40);
    double parts = 0;
    for (int odd = 0; odd < 2; odd++) {
        for (int i = 0; i < 40; i++) targets[i] = i % 2 == odd ? ids[i + 1] : -100;
        parts += nll_of(m, ids, targets, 10, 4, NULL, &some);
        assert_int_equal(some, 20);
    }
    assert_close(parts, whole, 1e-5);
    for (int i = 0; i < 40; i++) targets[i] = -100;
    assert_true(nll_of(m, ids, targets, 10, 4, NULL, &some) == 0);
    assert_int_equal(some, 0);

    rc_tape *t;
    OK(rc_tape_new(&t, &E));
    rc_tape_begin(t, (rc_tape_mode){0});
    ids[3] = 9999;
    rc_lm_loss(t, m, ids, targets, 10, 4, NULL, NULL, NULL);
    FAILS(RC_EDATA, "9999", rc_tape_status(t, &E));
    rc_tape_free(t);
    rc_ids_free(ids, n);
    rc_lm_free(m);
}

/* PyTorch's label smoothing: (1 - e) nll + e / V sum over all classes; only while training, and nll stays plain. */
static void smoothed_labels(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o);
    size_t n, count, V = rc_vocab_size(rc_lm_vocab(m));
    int32_t *ids = ids_of(m, &n), other[40];
    rc_tape *t;
    OK(rc_tape_new(&t, &E));
    double mean[2][2], all = 0, nll; /* [smoothed][training] */
    for (int smooth = 0; smooth < 2; smooth++) {
        OK(rc_lm_smooth_labels(m, smooth ? 0.2 : 0, &E));
        for (int training = 0; training < 2; training++) {
            rc_tape_begin(t, (rc_tape_mode){.training = training});
            rc_var *l = rc_lm_loss(t, m, ids, ids + 1, 10, 4, NULL, &nll, &count);
            OK(rc_tape_status(t, &E));
            mean[smooth][training] = (double)l->x[0];
            assert_close(nll / (double)count, mean[0][0], 1e-5);
        }
    }
    for (size_t v = 0; v < V; v++) { /* mean over the classes of -log p */
        for (int i = 0; i < 40; i++) other[i] = (int32_t)v;
        rc_tape_begin(t, (rc_tape_mode){0});
        rc_lm_loss(t, m, ids, other, 10, 4, NULL, &nll, &count);
        all += nll / (double)count / (double)V;
    }
    assert_close(mean[0][1], mean[0][0], 1e-6);
    assert_close(mean[1][0], mean[0][0], 1e-6);
    assert_close(mean[1][1], 0.8 * mean[0][0] + 0.2 * all, 1e-5);
    FAILS(RC_EINVAL, "label smoothing", rc_lm_smooth_labels(m, 1, &E));
    rc_tape_free(t);
    rc_ids_free(ids, n);
    rc_lm_free(m);
}

static void fixed_seeds(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *a = model_of("char", text, &o), *b = model_of("char", text, &o), *c = NULL;
    OK(rc_lm_new(&c, vocab_of("char", text), &o, 8, &E));
    size_t bytes = rc_params_block_len(rc_lm_params(a)) * sizeof(rc_real);
    assert_memory_equal(rc_params_values(rc_lm_params(a)), rc_params_values(rc_lm_params(b)), bytes);
    assert_memory_not_equal(rc_params_values(rc_lm_params(a)), rc_params_values(rc_lm_params(c)), bytes);
    rc_lm_free(a);
    rc_lm_free(b);
    rc_lm_free(c);
}

/* whole == chunks == one step at a time, for every cell, tied with an adapter, in every precision. */
static void whole_chunks_steps(void **unused) {
    (void)unused;
    double first = 0;
    for (size_t k = 0; k < 3 * rc_cell_count(); k++) {
        rc_lm_options o = small_options(rc_cell_at(k / 3)->name);
        o.tied = k / 3 % 2 == 1;
        rc_lm *m = model_of("char", text, &o);
        OK(rc_params_set_precision(rc_lm_params(m), (rc_precision)(k % 3), &E));
        size_t n, V = rc_vocab_size(rc_lm_vocab(m));
        int32_t *ids = ids_of(m, &n);
        double whole = nll_of(m, ids, ids + 1, 24, 1, NULL, NULL), chunks = 0, steps = 0;
        rc_state *s;
        OK(rc_state_new(&s, rc_lm_rnn(m), 1, &E));
        for (size_t i = 0; i < 24; i += 7)
            chunks += nll_of(m, ids + i, ids + i + 1, i + 7 > 24 ? 24 - i : 7, 1, s, NULL);
        rc_state_reset(s, rc_lm_rnn(m));
        rc_real *logits = malloc(V * sizeof *logits);
        for (size_t i = 0; i < 24; i++) {
            OK(rc_lm_step(m, s, &ids[i], logits, &E));
            steps += nll_of_logits(logits, V, ids[i + 1]);
        }
        assert_close(chunks, whole, 1e-5);
        assert_close(steps, whole, 1e-5);
        if (k % 3 == 0) first = whole;
        else assert_true(whole != first && fabs(whole - first) < 0.02 * first); /* another, but hardly */
        free(logits);
        rc_state_free(s);
        rc_ids_free(ids, n);
        rc_lm_free(m);
    }
}

static void rows_of_a_step_are_independent(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("gru");
    rc_lm *m = model_of("char", text, &o);
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    rc_state *one, *five;
    OK(rc_state_new(&one, rc_lm_rnn(m), 1, &E));
    OK(rc_state_new(&five, rc_lm_rnn(m), 5, &E));
    rc_real *a = malloc(V * sizeof *a), *b = malloc(5 * V * sizeof *b);
    for (int32_t i = 0; i < 20; i++) {
        int32_t row[5] = {3, (i * 7) % (int32_t)V, 1, (i * 3) % (int32_t)V, 0};
        OK(rc_lm_step(m, five, row, b, &E));
        OK(rc_lm_step(m, one, &row[3], a, &E));
        for (size_t v = 0; v < V; v++) assert_close(a[v], b[3 * V + v], 1e-5);
    }
    free(a);
    free(b);
    rc_state_free(one);
    rc_state_free(five);
    rc_lm_free(m);
}

static void steps_allocate_nothing(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    o.tied = true;
    rc_lm *m = model_of("char", text, &o);
    rc_state *s;
    OK(rc_state_new(&s, rc_lm_rnn(m), 3, &E));
    int32_t ids[3] = {1, 2, 3};
    rc_real *logits = malloc(3 * rc_vocab_size(rc_lm_vocab(m)) * sizeof *logits);
    OK(rc_lm_step(m, s, ids, logits, &E));
    failing f = {.left = 0};
    rc_set_allocator(failing_alloc, &f);
    rc_status status = RC_OK;
    for (int i = 0; i < 10 && status == RC_OK; i++) status = rc_lm_step(m, s, ids, logits, &E);
    rc_set_allocator(NULL, NULL);
    OK(status);
    assert_int_equal(f.calls, 0);

    ids[1] = -1;
    FAILS(RC_EINVAL, "row 1", rc_lm_step(m, s, ids, logits, &E));
    ids[1] = 9999;
    FAILS(RC_EINVAL, "9999", rc_lm_step(m, s, ids, logits, &E));
    free(logits);
    rc_state_free(s);
    rc_lm_free(m);
}

/* Four streams on one model, each in a thread of its own, from the first step on. */
typedef struct stream {
    const rc_lm *m;
    rc_state *s;
    rc_real *logits;
    int32_t first;
    rc_status status;
} stream;
static void *run_stream(void *ctx) {
    stream *x = ctx;
    size_t V = rc_vocab_size(rc_lm_vocab(x->m));
    for (int32_t i = 0; i < 50 && x->status == RC_OK; i++) {
        int32_t id = (x->first + i * 3) % (int32_t)V;
        x->status = rc_lm_step(x->m, x->s, &id, x->logits, NULL);
    }
    return NULL;
}
static void streams_run_at_once(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    o.rnn.skip = RC_SKIP_HIGHWAY;
    rc_lm *m = model_of("char", text, &o);
    OK(rc_params_set_precision(rc_lm_params(m), RC_INT8, &E));
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    stream x[8] = {0};
    pthread_t thread[4];
    for (int i = 0; i < 8; i++) {
        x[i] = (stream){.m = m, .first = i % 4, .logits = malloc(V * sizeof(rc_real))};
        OK(rc_state_new(&x[i].s, rc_lm_rnn(m), 1, &E));
    }
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, run_stream, &x[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    for (int i = 4; i < 8; i++) run_stream(&x[i]);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(x[i].status, RC_OK);
        assert_memory_equal(x[i].logits, x[i + 4].logits, V * sizeof(rc_real));
    }
    for (int i = 0; i < 8; i++) {
        rc_state_free(x[i].s);
        free(x[i].logits);
    }
    rc_lm_free(m);
}

static void growth(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o);
    rc_params_freeze(rc_lm_params(m), "rnn.*");
    size_t n, added = 0, V = rc_vocab_size(rc_lm_vocab(m));
    int32_t *ids = ids_of(m, &n);
    double before = nll_of(m, ids, ids + 1, 30, 1, NULL, NULL);
    rc_param *p = rc_params_find(rc_lm_params(m), "head.weight");
    rc_real *head = malloc(p->len * sizeof *head), mean = 0;
    memcpy(head, p->w, p->len * sizeof *head);
    for (size_t v = 0; v < V; v++) mean += head[v * 12] / (rc_real)V;
    OK(rc_lm_grow(&m, 1, &E)); /* nothing to do */
    OK(rc_vocab_grow(rc_lm_vocab(m), "THE", 3, &added, &E));
    assert_int_equal(added, 3);
    FAILS(RC_EINVAL, "rc_lm_grow", rc_lm_save(m, temp_path("grow"), NULL, &E));
    OK(rc_lm_grow(&m, 1, &E));
    p = rc_params_find(rc_lm_params(m), "head.weight");
    assert_int_equal(p->dim[0], V + 3);
    assert_memory_equal(p->w, head, V * 12 * sizeof *head);
    assert_close(p->w[V * 12], mean, 0.02);
    assert_true(p->w[V * 12] != p->w[(V + 1) * 12]);
    assert_true(rc_params_find(rc_lm_params(m), "rnn.weight_hh_l0")->frozen);
    assert_false(p->frozen);
    assert_shape(m, "embedding.weight", V + 3, 9);
    assert_shape(m, "head.bias", V + 3, 0);
    /* Each new entry takes at most the mean mass of an old one: the old text costs little more. */
    double after = nll_of(m, ids, ids + 1, 30, 1, NULL, NULL);
    assert_true(after > before && (after - before) / 30 < log(1 + 3.5 / (double)V));
    rc_ids_free(ids, n);
    free(head);
    rc_lm_free(m);
}

static void memory_runs_out(void **unused) {
    (void)unused;
    rc_vocab *v = vocab_of("char", text);
    rc_lm_options o = small_options("lstm");
    o.tied = true;
    rc_lm *m = NULL;
    for (long n = 0; n < 500; n++) {
        failing f = {.left = n};
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc_lm_new(&m, v, &o, 1, &E);
        if (s == RC_OK) { /* the vocabulary is the model's now */
            rc_lm_free(m);
            rc_set_allocator(NULL, NULL);
            assert_true(n > 10);
            return;
        }
        rc_set_allocator(NULL, NULL);
        assert_int_equal(s, RC_ENOMEM);
        assert_null(m);
    }
    fail_msg("rc_lm_new never succeeds");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(smoothed_labels),
        cmocka_unit_test(large_embeddings_are_sparse),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(loss_counts_and_skips),
        cmocka_unit_test(fixed_seeds),
        cmocka_unit_test(whole_chunks_steps),
        cmocka_unit_test(rows_of_a_step_are_independent),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(streams_run_at_once),
        cmocka_unit_test(growth),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
