/* Long loops do not grow: ten thousand steps whose shapes change all the time, training and not, sequences and streams.
 *
 * Memory of the library (rc_memory_used) must come back to the byte to what it was after the first round, in which each
 * loop met its largest shapes: arenas, packed weights, scratch of threads and states are all kept then, and nothing more is
 * taken. The resident memory of the process, which also holds what other libraries and malloc itself keep, may be SLACK
 * more than after the first tenth: a loss of 117 bytes in each of the remaining steps is beyond that. */
#include <stdio.h>

#include "lm_helper.h"
#include "property.h"
#include "rnn_helper.h"
#include "sanitized.h"

#include "base/parallel.h"

enum { STEPS = 10000, WARM = STEPS / 10, T = 10, B = 18, I = 5, H = 8 };
#define SLACK ((size_t)1 << 20)

static size_t resident(void) {
    unsigned long all, here;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0; /* no such system: rc_memory_used alone is looked at */
    if (fscanf(f, "%lu %lu", &all, &here) != 2) here = 0;
    fclose(f);
    return here * (size_t)sysconf(_SC_PAGESIZE);
}

typedef struct watch {
    size_t used, pages;
} watch;

/* After step i, with nothing alive but what the loop keeps. */
static void look(watch *w, size_t i) {
    if (i < WARM) {
        w->used = rc_memory_used();
        w->pages = resident();
        return;
    }
    if (rc_memory_used() != w->used)
        fail_msg("step %zu: %zu bytes in use, %zu after step %d", i, rc_memory_used(), w->used, WARM);
#if !SANITIZED /* their quarantine and shadow grow */
    if (resident() > w->pages + SLACK)
        fail_msg("step %zu: %zu bytes resident, %zu after step %d", i, resident(), w->pages, WARM);
#endif
}

static void check(rc_status s, const rc_error *e) {
    if (s) fail_msg("%s: %s", rc_status_name(s), e->text);
}

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

typedef struct stack {
    net n;
    rc_optim *optim;
    rc_state *carried, *stream; /* of B rows, of one */
} stack;

static stack stack_of(const char *cell, rc_precision p, int variant) {
    rc_error e = {0};
    rc_rnn_options o = layers_of(cell, 2, I, H);
    const rc_cell_info *info = rc_cell_find(cell);
    o.skip = (rc_skip)(variant % 3);
    o.dropout = o.recurrent_dropout = o.zoneout_h = 0.2;
    o.zoneout_c = info->has_c ? 0.2 : 0;
    o.weight_drop = strncmp(cell, "min", 3) && variant % 2 ? 0.2 : 0;
    stack s = {.n = make(o, p)};
    rc_optim_options oo = rc_optim_options_default();
    check(rc_optim_new(&s.optim, s.n.ps, &oo, &e), &e);
    check(rc_state_new(&s.carried, s.n.rnn, B, &e), &e);
    check(rc_state_new(&s.stream, s.n.rnn, 1, &e), &e);
    return s;
}

static void one_step(stack *s, const float *x, rc_rng *r, bool largest) {
    rc_error e = {0};
    size_t steps = largest ? T : between(r, 1, T), rows = largest ? B : between(r, 1, B);
    bool train = largest || chance(r, 0.5), carry = !largest && chance(r, 0.3);
    int32_t len[B];
    if (carry) rows = B;
    for (size_t b = 0; b < rows; b++) len[b] = (int32_t)(largest ? (b ? T : T - 1) : between(r, 0, steps));
    rc_tape *t = s->n.tape;
    rc_tape_begin(t, (rc_tape_mode){.grad = train, .training = train, .seed = 1, .step = rc_rng_u32(r)});
    rc_var *in = rc_leaf(t, 3, (size_t[]){steps, rows, I}, x);
    rc_var *y = rc_rnn_forward(t, s->n.rnn, in, largest || chance(r, 0.6) ? len : NULL, carry ? s->carried : NULL);
    rc_var *loss = rc_sum_all(t, rc_mul(t, y, y));
    check(rc_tape_status(t, &e), &e);
    if (train) {
        check(rc_backward(t, loss, 1e-3, &e), &e);
        check(rc_optim_step(s->optim, 1e-5, NULL, &e), &e);
    }
    float out[B * H];
    for (size_t k = between(r, 1, 4); k-- > 0;) {
        check(rc_rnn_step(s->n.rnn, s->stream, x + k * I, out, &e), &e);
        if (chance(r, 0.1)) check(rc_rnn_step(s->n.rnn, s->carried, x, out, &e), &e);
    }
    if (largest) check(rc_rnn_step(s->n.rnn, s->carried, x, out, &e), &e);
    rc_state *passing; /* one that comes and goes, with another batch each time */
    check(rc_state_new(&passing, s->n.rnn, between(r, 1, B), &e), &e);
    check(rc_rnn_step(s->n.rnn, passing, x, out, &e), &e);
    check(rc_state_copy_row(s->stream, 0, passing, 0, &e), &e);
    rc_state_free(passing);
}

static void layers(void **state) {
    (void)state;
    static const char *const cells[] = {"lstm", "gru", "rhn", "sru", "lstm-projection", "mingru"};
    enum { N = sizeof cells / sizeof *cells };
    int before = rc_threads();
    double threshold = rc__parallel_threshold;
    rc__parallel_threshold = 0; /* helpers and their scratch take part */
    rc_set_threads(3, NULL);
    stack s[N];
    float *x = numbers(T * B * I, 1);
    rc_rng r = rc_rng_make(5, 0);
    watch w = {0};
    for (int i = 0; i < N; i++) s[i] = stack_of(cells[i], i % 2 ? RC_BF16 : RC_FP32, i);
    for (size_t i = 0; i < STEPS; i++) {
        one_step(&s[i % N], x, &r, i < 3 * N);
        look(&w, i);
    }
    for (int i = 0; i < N; i++) {
        rc_optim_free(s[i].optim);
        rc_state_free(s[i].carried), rc_state_free(s[i].stream);
        drop(&s[i].n);
    }
    free(x);
    rc__parallel_threshold = threshold;
    rc_set_threads(before, NULL);
}

/* ---- language models ------------------------------------------------------------------------------------------------- */

#define TEXT "the cat sat on the mat and the dog ran\nand saw the cat on a mat and the dog\n"

static void language_model(void **state) {
    (void)state;
    rc_lm_options o = small_options("lstm");
    o.rnn.dropout = o.dropout_input = o.dropout_embedding = 0.1;
    rc_lm *m = model_of("word", TEXT, &o);
    rc_optim_options oo = rc_optim_options_default();
    rc_optim *optim;
    rc_tape *t;
    rc_state *s;
    int32_t *ids, in[T * B + 1];
    size_t n;
    rc_real logits[64];
    OK(rc_vocab_encode(rc_lm_vocab(m), TEXT, strlen(TEXT), &ids, &n, NULL, &E));
    for (size_t i = 0; i < T * B + 1; i++) in[i] = ids[i * 7 % n];
    OK(rc_optim_new(&optim, rc_lm_params(m), &oo, &E));
    OK(rc_tape_new(&t, &E));
    OK(rc_state_new(&s, rc_lm_rnn(m), 1, &E));
    rc_rng r = rc_rng_make(6, 0);
    watch w = {0};
    for (size_t i = 0; i < STEPS; i++) {
        bool largest = i < 4, train = largest || chance(&r, 0.5);
        size_t steps = largest ? T : between(&r, 1, T), rows = largest ? B : between(&r, 1, B);
        rc_tape_begin(t, (rc_tape_mode){.grad = train, .training = train, .seed = 1, .step = i});
        rc_var *loss = rc_lm_loss(t, m, in, in + 1, steps, rows, NULL, NULL, NULL);
        OK(rc_tape_status(t, &E));
        if (train) {
            OK(rc_backward(t, loss, 1, &E));
            OK(rc_optim_step(optim, 1e-4, NULL, &E));
        }
        OK(rc_lm_step(m, s, in + i % (T * B), logits, &E));
        if (i % 100 == 0) { /* whole calls, with all that they make and take down */
            rc_lm_score score;
            rc_lm_generate_options g = rc_lm_generate_options_default();
            rc_lm_eval_options eo = rc_lm_eval_options_default();
            char *text;
            size_t len;
            g.length = between(&r, 1, 20);
            eo.window = between(&r, 0, 12);
            OK(rc_lm_generate(m, "the cat", 7, &g, &text, &len, &E));
            rc_text_free(text, len);
            OK(rc_lm_eval(m, TEXT, strlen(TEXT), &eo, &score, &E));
        }
        look(&w, i);
    }
    rc_state_free(s);
    rc_tape_free(t);
    rc_optim_free(optim);
    rc_ids_free(ids, n);
    rc_lm_free(m);
}

/* ---- ops ------------------------------------------------------------------------------------------------------------- */

/* Products that another library makes, of ever new shapes. */
static void ever_new_products(void **state) {
    (void)state;
    enum { MOST = 40 };
    rc_tape *t;
    rc_error e = {0};
    check(rc_tape_new(&t, &e), &e);
    float *x = numbers(MOST * MOST, 2);
    rc_rng r = rc_rng_make(7, 0);
    watch w = {0};
    for (size_t i = 0; i < STEPS; i++) {
        size_t m = i < 2 ? MOST : between(&r, 1, MOST), n = i < 2 ? MOST : between(&r, 1, MOST),
               k = i < 2 ? MOST : between(&r, 1, MOST);
        rc_tape_begin(t, (rc_tape_mode){.grad = true});
        rc_var *a = rc_leaf(t, 2, (size_t[]){m, k}, x), *b = rc_leaf(t, 2, (size_t[]){k, n}, x);
        rc_var *y = rc_sum_all(t, rc_tanh(t, rc_matmul(t, a, false, b, false)));
        check(rc_backward(t, y, 1, &e), &e);
        look(&w, i);
    }
    rc_tape_free(t);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layers), cmocka_unit_test(language_model),
                                       cmocka_unit_test(ever_new_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
