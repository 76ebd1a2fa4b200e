/* Gradients of the networks that answer questions, whole, in double: all parameters of each kind and option, of several
 * members and stories of 1 to 4 sentences, one of them empty. */
#include <stdio.h>
#include "grad.h"
#include "tasks/answer.h"

enum { WORDS = 7, ANSWERS = 3, D = 4, MEMBERS = 2, QUESTIONS = 3, MEMORIES = 7, SENTENCES = 5, PLACES = 6 };

static const rc__answer_options variants[] = {
    {.kind = RC__ANSWER_MEMORY, .members = MEMBERS, .hops = 2, .position = true, .temporal = true},
    {.kind = RC__ANSWER_MEMORY, .members = MEMBERS, .hops = 3, .temporal = true, .layerwise = true},
    {.kind = RC__ANSWER_MEMORY, .members = 1, .hops = 1, .dropout = 0.3},
    {.kind = RC__ANSWER_QUERY, .members = MEMBERS, .hops = 2, .position = true, .keep = 1},
    {.kind = RC__ANSWER_QUERY, .members = 1, .hops = 3, .dropout = 0.3},
    {.kind = RC__ANSWER_ENTITY, .members = 1, .blocks = 3, .position = true},
    {.kind = RC__ANSWER_ENTITY, .members = 1, .blocks = 2, .dropout = 0.3},
};

/* Sentences of the words 0 1 2 | 3 4 | (none) | 5 | 6 0, as answer_data.c would give them. */
static uint32_t start[SENTENCES + 1] = {0, 3, 5, 5, 6, 8};
static int32_t ids[] = {0, 1, 2, 3, 4, 5, 6, 0}, place[] = {0, 1, 2, 3, 4, 5, 3, 4}, row[] = {0, 1, 3, 0, 2, 1, 0},
               when[] = {3, 2, 1, 0, 0, 1, 0}, lengths[QUESTIONS] = {4, 1, 2}, question[QUESTIONS] = {4, 3, 4},
               target[QUESTIONS] = {0, 2, 1};

/* Reading is not part of this program, and not called. */
void rc__answer_batch_free(rc__answer_batch *b) { (void)b; }
rc_status rc__answer_batch_make(rc__answer_batch *b, const rc__answerer *m, const rc__story_set *x, const uint32_t *index,
                                size_t n, rc_rng *rng, rc_error *e) {
    (void)b, (void)m, (void)x, (void)index, (void)n, (void)rng;
    return rc_fail(e, RC_EINVAL, "not in this program");
}
void rc__data_free(rc_data_options *o) { (void)o; }

typedef struct net {
    rc__answerer m;
    rc__answer_batch b;
    rc_real mask[PLACES * D * MEMBERS];
} net;

static rc_var *run(rc_tape *t, rc_var *const *in, void *ctx) {
    (void)in;
    net *n = ctx;
    return rc__answerer_forward(t, &n->m, &n->b, NULL);
}

static void check(const rc__answer_options *o, bool linear) {
    rc_error e = {0};
    net n = {.m = {.o = *o, .linear = linear}};
    n.m.o.embedding = D;
    n.m.o.memory = 4;
    n.b = (rc__answer_batch){.n = QUESTIONS, .rows = MEMORIES, .sentences = SENTENCES, .start = start, .ids = ids,
                             .place = place, .row = row, .when = when, .lengths = lengths, .question = question,
                             .target = target, .mask = n.mask, .places = PLACES, .longest = 4, .longest_sentence = 3};
    for (size_t i = 0; i < PLACES * D * MEMBERS; i++) n.mask[i] = 0.5 + 0.1 * (double)(i % 7);
    for (int i = 0; i < WORDS; i++) { /* an answer that is a word, and two that are none */
        char name[2] = {(char)('a' + i), 0};
        assert_int_equal(rc__strtab_add(&n.m.words, name, 1, &(uint32_t){0}, NULL, &e), RC_OK);
    }
    for (int i = 0; i < ANSWERS; i++) {
        char name[2] = {(char)('g' + i), 0};
        assert_int_equal(rc__strtab_add(&n.m.answers, name, 1, &(uint32_t){0}, NULL, &e), RC_OK);
    }
    if (rc__answerer_declare(&n.m, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc_params_build(n.m.base.params, 7, &e), RC_OK);
    rc_rng rng = rc_rng_make(9, 0);
    for (size_t i = 0; i < rc_params_count(n.m.base.params); i++) { /* nothing small, biases and slopes too */
        rc_param *p = rc_params_at(n.m.base.params, i);
        for (size_t k = 0; k < p->len; k++) p->w[k] = p->w[k] * 3 + 0.3 * rc_rng_normal(&rng);
    }
    rc_params_changed(n.m.base.params);
    rc__gradcheck c = {.build = run, .ctx = &n, .params = n.m.base.params, .training = true, .seed = 3, .step = 5};
    if (rc__gradcheck_run(&c, &e) != RC_OK) fail_msg("%s, %zu hops: %s", rc__answer_kinds[o->kind], o->hops, e.text);
    rc_params_free(n.m.base.params);
    rc__strtab_free(&n.m.words);
    rc__strtab_free(&n.m.answers);
    rc__free(n.m.answer_row, (n.m.n_answer_row + 1) * sizeof *n.m.answer_row);
}

static void every_network(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) check(&variants[i], false);
}

static void a_memory_network_without_softmax(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) check(&variants[i], true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_network), cmocka_unit_test(a_memory_network_without_softmax)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
