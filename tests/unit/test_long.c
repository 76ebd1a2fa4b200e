/* Loops that run for long: ten thousand steps of changing shapes, in training, evaluation and streaming, take no more memory
 * than the first thousand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/parallel.h"
#include "recur/optim.h"
#include "recur/rnn.h"
#include "rnn_helper.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* else freed memory stays resident for a while */
#endif

enum { STEPS = 10000, WARM = 1000, MOST_T = 20, MOST_B = 18, I = 5, H = 9 };

static size_t resident(void) {
    size_t all, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%zu %zu", &all, &pages) != 2) pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* kind: bits of what it is like. */
static void a_step(net *n, rc_optim *optim, rc_rng *r, unsigned kind, size_t T, size_t B, const float *x) {
    int32_t len[MOST_B];
    size_t dims[3] = {T, B, I};
    rc_error e = {0};
    bool train = kind & 1, lengths = kind & 2, carried = kind & 4, longest = kind & 8;
    rc_state *s = NULL;
    for (size_t b = 0; b < B; b++) len[b] = (int32_t)(longest ? T - (b == 0) : rc_rng_below(r, T + 1));
    if (carried) assert_int_equal(rc_state_new(&s, n->rnn, B, NULL), RC_OK);
    rc_params_zero_grad(n->ps);
    rc_tape_begin(n->tape, (rc_tape_mode){.grad = train, .training = train, .seed = 1, .step = rc_rng_u32(r)});
    rc_var *y = rc_rnn_forward(n->tape, n->rnn, rc_input(n->tape, 3, dims, x), lengths ? len : NULL, s);
    if (train) {
        if (rc_backward(n->tape, rc_mean_all(n->tape, rc_mul(n->tape, y, y)), 1, &e)) fail_msg("%s", e.text);
        if (rc_optim_step(optim, 1e-4, NULL, &e)) fail_msg("%s", e.text);
    }
    if (rc_tape_status(n->tape, &e)) fail_msg("%s", e.text);
    rc_state_free(s);
}

static void a_stream(const rc_rnn *rnn, rc_rng *r, size_t B, const float *x) {
    float y[MOST_B * H];
    rc_state *s;
    assert_int_equal(rc_state_new(&s, rnn, B, NULL), RC_OK);
    for (uint64_t k = rc_rng_below(r, 6); k > 0; k--) assert_int_equal(rc_rnn_step(rnn, s, x, y, NULL), RC_OK);
    rc_state_free(s);
}

static void memory_stays(const char *cell, rc_precision precision) {
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = cell;
    o.input_size = I;
    o.hidden_size = H;
    o.num_layers = 2;
    o.dropout = 0.2;
    o.recurrent_dropout = 0.1;
    o.skip = RC_SKIP_HIGHWAY;
    size_t empty = rc_memory_used(), most = 0, most_resident = 0;
    net n = make(o, precision);
    rc_optim *optim;
    rc_optim_options oo = rc_optim_options_default();
    assert_int_equal(rc_optim_new(&optim, n.ps, &oo, NULL), RC_OK);
    float *x = numbers(MOST_T * MOST_B * I, 3);
    rc_rng r = rc_rng_make(8, 8);
    for (int i = 0; i < STEPS; i++) {
        bool largest = i < 8; /* of each kind first of all */
        size_t T = largest ? MOST_T : 1 + (size_t)rc_rng_below(&r, MOST_T);
        size_t B = largest ? MOST_B : 1 + (size_t)rc_rng_below(&r, MOST_B);
        if (largest) a_step(&n, optim, &r, (unsigned)i | 8, T, B, x);
        else if (rc_rng_below(&r, 4) == 0) a_stream(n.rnn, &r, B, x);
        else a_step(&n, optim, &r, rc_rng_u32(&r) & 7, T, B, x);
        size_t used = rc_memory_used(), pages = i % 100 == 0 ? resident() : 0;
        if (i < WARM) {
            if (used > most) most = used;
            if (pages > most_resident) most_resident = pages;
            continue;
        }
        if (used > most) fail_msg("%s: step %d uses %zu bytes, the first %d steps %zu at most", cell, i, used, WARM, most);
        /* a thread's stack and the C library's own may touch some more pages */
        if (!SANITIZED && pages > most_resident + (1 << 20))
            fail_msg("%s: %zu bytes are resident at step %d, at most %zu in the first %d", cell, pages, i, most_resident, WARM);
    }
    rc_optim_free(optim);
    drop(&n);
    free(x);
    assert_int_equal(rc_memory_used(), empty);
}

static void long_loops(void **state) {
    (void)state;
    int before = rc_threads();
    double saved = rc__parallel_threshold;
    memory_stays("lstm", RC_FP32);
    rc__parallel_threshold = 0; /* the pool and its scratch */
    assert_int_equal(rc_set_threads(3, NULL), RC_OK);
    memory_stays("gru", RC_BF16);
    rc_set_threads(1, NULL);
    memory_stays("rhn", RC_FP32);
    rc__parallel_threshold = saved;
    rc_set_threads(before, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
