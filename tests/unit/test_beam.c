/* Beam search over models that are tables in disguise: against all sequences one by one, alone and in batches, with and
 * without the early stop; greedy, groups, draws, prefixes, what is forbidden; endless, NaN, refused memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "decode/beam.h"
#include "failing.h"

enum { MOST_V = 200, MOST_ROWS = 4096, MOST_IN = 6, MOST_LEN = 64, MOST_N = 16 };

/* The numbers after a prefix follow from its hash. Row after row it checks how it is called. */
typedef struct table {
    size_t vocab, n;
    uint64_t seed, key[MOST_N]; /* what sentence i is */
    double sharp, end_bias;     /* spread of the scores; added to the end's */
    int32_t end, begin;
    int levels;    /* > 0: scores are rounded to so many, so that there are ties */
    double nan_at; /* >= 0: NaN in this step */
    bool endless;
    uint64_t state[MOST_ROWS], next[MOST_ROWS];
    uint32_t owner[MOST_ROWS];
    size_t rows, steps, most_rows;
    bool wrong;
} table;

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static void scores_of(const table *t, uint64_t state, float *out) {
    double x[MOST_V], most = -1e30, sum = 0;
    rc_rng r = rc_rng_make(t->seed, state);
    for (size_t v = 0; v < t->vocab; v++) {
        x[v] = t->sharp * rc_rng_normal(&r);
        if (t->levels) x[v] = round(x[v] * t->levels) / t->levels;
        if ((int32_t)v == t->end) x[v] += t->end_bias;
        if (x[v] > most) most = x[v];
    }
    for (size_t v = 0; v < t->vocab; v++) sum += exp(x[v] - most);
    for (size_t v = 0; v < t->vocab; v++) out[v] = (float)(x[v] - most - log(sum));
    if (t->endless) out[t->end] = -INFINITY;
}

static void attention_of(const table *t, uint64_t state, float *out, size_t len) {
    rc_rng r = rc_rng_make(t->seed + 1, state);
    double sum = 0, x[MOST_IN];
    for (size_t i = 0; i < len; i++) sum += x[i] = exp(2 * rc_rng_normal(&r));
    for (size_t i = 0; i < len; i++) out[i] = (float)(x[i] / sum);
}

static const size_t lengths[MOST_N] = {3, 1, 6, 2, 4, 5, 1, 6, 3, 2, 6, 4, 1, 2, 3, 5};

static rc_status table_step(void *ctx, size_t rows, const uint32_t *sentence, const uint32_t *parent,
                            const int32_t *token, rc_real *logp, rc_real *attention, size_t stride, rc_error *e) {
    table *t = ctx;
    (void)e;
    if (rows == 0 || rows > MOST_ROWS) t->wrong = true;
    for (size_t i = 0; i < rows && !t->wrong; i++) {
        if (sentence[i] >= t->n || (i && sentence[i] < sentence[i - 1])) t->wrong = true;
        if (t->steps == 0)
            t->next[i] = mix(17, t->key[sentence[i]]), t->wrong |= token[i] != t->begin || parent[i] != 0;
        else {
            if (parent[i] >= t->rows || t->owner[parent[i]] != sentence[i]) t->wrong = true;
            t->next[i] = mix(t->state[parent[i]], (uint64_t)token[i]);
        }
    }
    for (size_t i = 0; i < rows && !t->wrong; i++) {
        t->state[i] = t->next[i];
        t->owner[i] = sentence[i];
        scores_of(t, t->state[i], logp + i * t->vocab);
        if (attention) attention_of(t, t->state[i], attention + i * stride, lengths[t->key[sentence[i]] % MOST_N]);
        if (t->nan_at >= 0 && t->steps == (size_t)t->nan_at) logp[i * t->vocab + 1] = NAN;
    }
    t->rows = rows;
    t->steps++;
    if (rows > t->most_rows) t->most_rows = rows;
    return RC_OK;
}

static table table_new(size_t vocab, size_t n, uint64_t seed) {
    table t = {.vocab = vocab,
               .n = n,
               .seed = seed,
               .sharp = 1.5,
               .end = (int32_t)vocab - 1,
               .begin = (int32_t)vocab,
               .nan_at = -1};
    for (size_t i = 0; i < n; i++) t.key[i] = i;
    return t;
}

static rc__beam_model model_of(table *t) {
    t->steps = t->most_rows = 0;
    return (rc__beam_model){.ctx = t, .vocab = t->vocab, .begin = t->begin, .end = t->end, .step = table_step};
}

static void search(table *t, const rc__beam_options *o, rc__hypothesis *out) {
    rc_error e = {RC_OK, ""};
    rc__beam_model m = model_of(t);
    size_t len[MOST_N];
    for (size_t i = 0; i < t->n; i++) len[i] = lengths[t->key[i] % MOST_N];
    if (rc__beam_search(&m, t->n, len, o, out, &e) != RC_OK) fail_msg("%s", e.text);
    assert_false(t->wrong);
}

static void assert_same(const rc__hypothesis *a, const rc__hypothesis *b) {
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->finished, b->finished);
    if (a->n) assert_memory_equal(a->token, b->token, a->n * sizeof *a->token);
    assert_memory_equal(&a->logp, &b->logp, sizeof a->logp);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_int_equal(a->attention != NULL, b->attention != NULL);
    if (a->attention) {
        assert_int_equal(a->input_len, b->input_len);
        assert_memory_equal(a->attention, b->attention, (a->n + 1) * a->input_len * sizeof(rc_real));
    }
}

/* ---- all sequences ----------------------------------------------------------------------------------------------- */

typedef struct brute {
    const table *t;
    const rc__beam_options *o;
    size_t len, n_best;
    int32_t token[MOST_LEN];
    rc__hypothesis best[8];
    int32_t texts[8][MOST_LEN];
} brute;

static double norm_of(const rc__beam_options *o, double n) {
    return o->norm == RC__LENGTH_AVERAGE ? pow(n, o->alpha)
           : o->norm == RC__LENGTH_WU    ? pow(5 + n, o->alpha) / pow(6, o->alpha)
                                         : 1;
}

static bool repeats(const int32_t *token, size_t n, size_t gram) {
    for (size_t i = 0; gram && i + gram < n; i++)
        if (memcmp(token + i, token + n - gram, gram * sizeof *token) == 0) return true;
    return false;
}

static void all_sequences(brute *b, uint64_t state, size_t n, double logp, const double *covered) {
    float x[MOST_V], a[MOST_IN];
    double now[MOST_IN];
    scores_of(b->t, state, x);
    attention_of(b->t, state, a, b->len);
    for (size_t i = 0; i < b->len; i++) now[i] = covered[i] + (double)a[i];
    double end = logp + (double)x[b->t->end], score = end / norm_of(b->o, (double)n + 1);
    for (size_t i = 0; i < b->len; i++) score += b->o->coverage * log(now[i] < 1 ? now[i] : 1);
    if (n >= b->o->min_len && n >= b->o->n_prefix) {
        size_t place = b->n_best;
        while (place > 0 && score > b->best[place - 1].score) place--;
        if (place < b->o->nbest) {
            if (b->n_best < b->o->nbest) b->n_best++;
            for (size_t i = b->n_best - 1; i > place; i--) {
                b->best[i] = b->best[i - 1];
                memcpy(b->texts[i], b->texts[i - 1], sizeof b->texts[i]);
            }
            b->best[place] = (rc__hypothesis){.n = n, .logp = end, .score = score};
            memcpy(b->texts[place], b->token, n * sizeof *b->token);
        }
    }
    for (size_t v = 0; n < b->o->max_len && v < b->t->vocab; v++) {
        if ((int32_t)v == b->t->end) continue;
        b->token[n] = (int32_t)v;
        bool banned = false;
        for (size_t i = 0; i < b->o->n_banned; i++) banned |= b->o->banned[i] == (int32_t)v;
        if (banned || repeats(b->token, n + 1, b->o->no_repeat)) continue;
        if (n < b->o->n_prefix && b->o->prefix[n] != (int32_t)v) continue;
        all_sequences(b, mix(state, v), n + 1, logp + (double)x[v], now);
    }
}

static void equals_all_sequences(void **state) {
    (void)state;
    static const int32_t banned[] = {1}, prefix[] = {2, 0};
    for (int c = 0; c < 60; c++) {
        table t = table_new(3 + (size_t)c % 2, 4, (uint64_t)c);
        rc__beam_options o = rc__beam_options_default();
        o.beam = 256;
        o.nbest = 1 + (size_t)c % 8;
        o.max_len = 4;
        o.norm = (rc__length_norm)(c % 3);
        o.alpha = 0.3 * (c % 5);
        o.coverage = c % 4 == 3 ? 0.4 : 0;
        o.min_len = c % 7 == 1 ? 2 : 0;
        o.no_repeat = c % 5 == 2 ? 1 + (size_t)c % 3 : 0;
        if (c % 6 == 4) o.banned = banned, o.n_banned = 1;
        if (c % 6 == 5 && t.vocab == 4) o.prefix = prefix, o.n_prefix = 2;
        o.attention = c % 2;
        o.exhaustive = c % 3 == 0;
        rc__hypothesis out[4 * 8];
        search(&t, &o, out);
        for (size_t i = 0; i < t.n; i++) {
            double none[MOST_IN] = {0};
            brute b = {.t = &t, .o = &o, .len = lengths[i]};
            all_sequences(&b, mix(17, i), 0, 0, none);
            for (size_t k = 0; k < o.nbest; k++) {
                const rc__hypothesis *h = &out[i * o.nbest + k];
                if (k >= b.n_best) {
                    assert_true(h->n == 0 && h->score == -INFINITY);
                    continue;
                }
                assert_true(h->finished);
                assert_int_equal(h->n, b.best[k].n);
                assert_memory_equal(h->n ? h->token : b.texts[k], b.texts[k], h->n * sizeof *h->token);
                assert_true(fabs(h->score - b.best[k].score) <
                            (o.coverage > 0 ? 1e-5 : 1e-9)); /* what is received adds up in rc_real */
                assert_true(fabs(h->logp - b.best[k].logp) < 1e-9);
            }
        }
        rc__hypotheses_free(out, t.n * o.nbest);
    }
}

/* ---- the same whatever is beside it ------------------------------------------------------------------------------ */

/* Options of many kinds, by number. */
static rc__beam_options some_options(int c, rc_sampler_options *sampler) {
    rc__beam_options o = rc__beam_options_default();
    static const size_t beams[] = {1, 2, 4, 6};
    o.beam = beams[c % 4];
    o.nbest = c % 3 == 0 ? o.beam : 1;
    o.groups = o.beam > 1 && c % 5 == 1 ? 2 : o.beam == 4 && c % 5 == 2 ? 4 : 1;
    o.diversity = 0.7;
    o.max_len = 12;
    o.max_ratio = c % 4 == 1 ? 0.5 : 0;
    o.norm = (rc__length_norm)(c / 2 % 3);
    o.alpha = 0.25 * (c % 6);
    o.coverage = c % 7 == 3 ? 0.2 : 0;
    o.attention = c % 2;
    o.no_repeat = c % 9 == 4 ? 2 : 0;
    o.min_len = c % 8 == 5 ? 3 : 0;
    *sampler = rc_sampler_options_default();
    sampler->top_k = 3;
    if (c % 10 == 7) o.sampler = sampler;
    o.seed = 99;
    return o;
}

static void the_same_alone_and_in_a_batch(void **state) {
    (void)state;
    double threshold = rc__parallel_threshold;
    for (int c = 0; c < 120; c++) {
        rc_sampler_options sampler;
        rc__beam_options o = some_options(c, &sampler);
        table t = table_new(9, MOST_N, 1000 + (uint64_t)c);
        t.levels = c % 3 == 2 ? 2 : 0; /* ties */
        t.end_bias = -1 + c % 4;
        rc__hypothesis all[MOST_N * 6], threads[MOST_N * 6], one[6];
        search(&t, &o, all);
        rc__parallel_threshold = 0;
        search(&t, &o, threads);
        rc__parallel_threshold = threshold;
        for (size_t i = 0; i < MOST_N; i++) {
            table alone = t;
            uint64_t stream = i;
            alone.n = 1;
            alone.key[0] = i;
            o.stream = &stream;
            search(&alone, &o, one);
            for (size_t k = 0; k < o.nbest; k++) {
                assert_same(&one[k], &all[i * o.nbest + k]);
                assert_same(&one[k], &threads[i * o.nbest + k]);
            }
            o.stream = NULL;
            rc__hypotheses_free(one, o.nbest);
        }
        rc__hypotheses_free(all, MOST_N * o.nbest);
        rc__hypotheses_free(threads, MOST_N * o.nbest);
    }
}

static void the_early_stop_changes_nothing_but_time(void **state) {
    (void)state;
    size_t saved = 0, total = 0;
    for (int c = 0; c < 200; c++) {
        rc_sampler_options sampler;
        rc__beam_options o = some_options(c, &sampler), slow;
        table t = table_new(8, 6, 5000 + (uint64_t)c);
        t.levels = c % 3 == 2 ? 2 : 0;
        t.sharp = 0.5 + c % 5;
        o.max_len = 30;
        slow = o;
        slow.exhaustive = true;
        rc__hypothesis a[6 * 6], b[6 * 6];
        search(&t, &o, a);
        size_t steps = t.steps;
        search(&t, &slow, b);
        assert_true(steps <= t.steps);
        saved += t.steps - steps;
        total += t.steps;
        for (size_t i = 0; i < 6 * o.nbest; i++) assert_same(&a[i], &b[i]);
        rc__hypotheses_free(a, 6 * o.nbest);
        rc__hypotheses_free(b, 6 * o.nbest);
    }
    assert_true(saved > total / 10); /* it does stop early */
}

/* It takes fewer steps, gives results that end, and none that the exact search would not call worse or equal. */
static void patience_trades_exactness_for_time(void **state) {
    (void)state;
    size_t exact_steps = 0, steps = 0, same = 0;
    for (int c = 0; c < 60; c++) {
        table t = table_new(9, 4, 7000 + (uint64_t)c);
        t.end_bias = 2;
        rc__beam_options o = rc__beam_options_default(), quick = o;
        quick.patience = 1;
        o.max_len = quick.max_len = 30;
        rc__hypothesis a[4], b[4];
        search(&t, &o, a);
        exact_steps += t.steps;
        search(&t, &quick, b);
        steps += t.steps;
        for (size_t i = 0; i < 4; i++) {
            assert_true(b[i].score <= a[i].score);
            same += b[i].score == a[i].score;
        }
        rc__hypotheses_free(a, 4);
        rc__hypotheses_free(b, 4);
    }
    assert_true(steps < exact_steps);
    assert_true(same > 120);
}

static void inputs_that_are_finished_leave_the_batch(void **state) {
    (void)state;
    table t = table_new(6, MOST_N, 3);
    t.end_bias = 3;
    rc__beam_options o = rc__beam_options_default();
    rc__hypothesis out[MOST_N];
    search(&t, &o, out);
    assert_true(t.most_rows > 5);
    assert_true(t.rows < t.most_rows); /* those of the last call */
    rc__hypotheses_free(out, MOST_N);
}

/* ---- the definition, the slow way: all continuations sorted ------------------------------------------------------ */

typedef struct slow {
    double logp;
    uint64_t state;
    int32_t token[MOST_LEN];
    size_t n;
    size_t from;
    int32_t last;
} slow;

static int by_logp(const void *pa, const void *pb) {
    const slow *a = pa, *b = pb;
    if (a->logp != b->logp) return a->logp < b->logp ? 1 : -1;
    return a->from != b->from ? (a->from < b->from ? -1 : 1) : a->last - b->last;
}

static void as_by_sorting_all(void **state) {
    (void)state;
    enum { BEAM = 5 };
    bool any_done = false;
    for (int c = 0; c < 30; c++) {
        table t = table_new(c % 3 == 0 ? 150 : c % 3 == 1 ? 64 : 20, 1, 9000 + (uint64_t)c);
        t.levels = c % 4 == 1 ? 3 : 0;
        t.end_bias = c % 5;
        rc__beam_options o = rc__beam_options_default();
        o.nbest = 3;
        o.max_len = 10;
        rc__hypothesis out[3];
        search(&t, &o, out);
        static slow all[BEAM * MOST_V], now[BEAM];
        slow done[BEAM * 16] = {0};
        double score[BEAM * 16];
        size_t n_now = 1, n_done = 0;
        now[0] = (slow){.state = mix(17, 0)};
        for (size_t step = 0; step <= o.max_len; step++) {
            size_t n = 0, kept = 0;
            for (size_t k = 0; k < n_now; k++) {
                float x[MOST_V];
                scores_of(&t, now[k].state, x);
                for (size_t v = 0; v < t.vocab; v++) {
                    all[n] = now[k];
                    all[n].from = k;
                    all[n].last = (int32_t)v;
                    all[n++].logp += (double)x[v];
                }
            }
            qsort(all, n, sizeof *all, by_logp);
            for (size_t r = 0; r < n; r++) {
                if (all[r].last == t.end && r < BEAM) {
                    score[n_done] = all[r].logp / (double)(step + 1);
                    done[n_done++] = all[r];
                } else if (all[r].last != t.end && kept < BEAM && step < o.max_len) {
                    now[kept] = all[r];
                    now[kept].token[now[kept].n++] = all[r].last;
                    now[kept].state = mix(all[r].state, (uint64_t)all[r].last);
                    kept++;
                }
            }
            n_now = kept;
        }
        for (size_t k = 0; k < 3 && k < n_done; k++) {
            size_t best = 0;
            for (size_t i = 1; i < n_done; i++)
                if (score[i] > score[best]) best = i;
            assert_true(out[k].finished && out[k].score == score[best]);
            assert_int_equal(out[k].n, done[best].n);
            if (out[k].n) assert_memory_equal(out[k].token, done[best].token, out[k].n * 4);
            score[best] = -INFINITY;
        }
        assert_true(n_done > 0 || !out[0].finished);
        any_done |= n_done > 2;
        rc__hypotheses_free(out, 3);
    }
    assert_true(any_done);
}

/* ---- kinds of search --------------------------------------------------------------------------------------------- */

static void one_hypothesis_is_greedy(void **state) {
    (void)state;
    table t = table_new(7, 5, 11);
    rc__beam_options o = rc__beam_options_default();
    o.beam = 1;
    o.max_len = 9;
    o.attention = true;
    rc__hypothesis out[5];
    search(&t, &o, out);
    for (size_t i = 0; i < 5; i++) {
        uint64_t s = mix(17, i);
        size_t n = 0;
        bool finished = false;
        for (;; n++) {
            float x[MOST_V], a[MOST_IN];
            size_t best = 0;
            scores_of(&t, s, x);
            attention_of(&t, s, a, lengths[i]);
            assert_memory_equal(out[i].attention + n * lengths[i], a, lengths[i] * sizeof *a);
            for (size_t v = 1; v < 7; v++)
                if (x[v] > x[best]) best = v;
            finished = (int32_t)best == t.end;
            if (finished || n == o.max_len) break;
            assert_true(n < out[i].n);
            assert_int_equal(out[i].token[n], best);
            s = mix(s, best);
        }
        assert_int_equal(out[i].n, n);
        assert_int_equal(out[i].finished, finished);
    }
    rc__hypotheses_free(out, 5);
}

/* Four greedy groups: each takes the best after what those before chose in the same step is made worse. */
static void groups_keep_apart(void **state) {
    (void)state;
    enum { G = 4, V = 9 };
    table t = table_new(V, 1, 21);
    rc__beam_options o = rc__beam_options_default();
    o.beam = o.nbest = o.groups = G;
    o.diversity = 1.25;
    o.max_len = 8;
    o.exhaustive = true;
    rc__hypothesis out[G];
    search(&t, &o, out);
    uint64_t s[G];
    int32_t text[G][8];
    size_t n[G] = {0};
    bool over[G] = {0};
    for (size_t g = 0; g < G; g++) s[g] = mix(17, 0);
    for (size_t step = 0; step <= 8; step++) {
        int count[V] = {0};
        for (size_t g = 0; g < G; g++) {
            float x[MOST_V];
            size_t best = 0;
            if (over[g]) continue;
            scores_of(&t, s[g], x);
            for (size_t v = 1; v < V; v++)
                if ((double)x[v] - 1.25 * count[v] > (double)x[best] - 1.25 * count[best]) best = v;
            if ((int32_t)best == t.end || step == 8) {
                over[g] = true;
                continue;
            }
            count[best]++;
            text[g][n[g]++] = (int32_t)best;
            s[g] = mix(s[g], best);
        }
    }
    size_t found = 0, different = 0;
    for (size_t k = 0; k < G; k++) {
        if (out[k].score == -INFINITY) continue; /* two groups found the same */
        different++;
        for (size_t g = 0; g < G; g++)
            if (n[g] == out[k].n && (n[g] == 0 || memcmp(text[g], out[k].token, n[g] * sizeof **text) == 0)) {
                found++;
                break;
            }
    }
    assert_true(different >= 2);
    assert_int_equal(found, different);
    rc__hypotheses_free(out, G);
}

static void draws_follow_the_model(void **state) {
    (void)state;
    enum { V = 4, N = 16, BEAM = 200 };
    table t = table_new(V, N, 31);
    for (size_t i = 0; i < N; i++) t.key[i] = 0; /* the same input */
    rc_sampler_options sampler = rc_sampler_options_default();
    sampler.temperature = 1;
    rc__beam_options o = rc__beam_options_default();
    o.beam = o.nbest = BEAM;
    o.max_len = 3;
    o.sampler = &sampler;
    static rc__hypothesis out[N * BEAM];
    search(&t, &o, out);
    float x[V];
    int count[V] = {0}, n = N * BEAM;
    scores_of(&t, mix(17, 0), x);
    for (int i = 0; i < n; i++) count[out[i].n ? out[i].token[0] : t.end]++;
    for (int v = 0; v < V; v++) {
        double p = exp((double)x[v]), off = fabs(count[v] - n * p) / sqrt(n * p * (1 - p));
        assert_true(off < 4);
    }
    /* sums are those of the model, not of the sampler */
    for (int i = 0; i < 50; i++) {
        uint64_t s = mix(17, 0);
        double sum = 0;
        for (size_t k = 0; k <= out[i].n; k++) {
            scores_of(&t, s, x);
            int32_t v = k < out[i].n ? out[i].token[k] : t.end;
            if (k < out[i].n || out[i].finished) sum += (double)x[v];
            s = mix(s, (uint64_t)v);
        }
        assert_true(fabs(sum - out[i].logp) < 1e-9);
    }
    rc__hypothesis *again = calloc(N * BEAM, sizeof *again);
    search(&t, &o, again);
    for (int i = 0; i < n; i++) assert_same(&out[i], &again[i]);
    rc__hypotheses_free(again, N * BEAM);
    o.seed = 1;
    search(&t, &o, again);
    int other = 0;
    for (int i = 0; i < n; i++)
        other += again[i].n != out[i].n || (out[i].n > 0 && memcmp(again[i].token, out[i].token, out[i].n * 4) != 0);
    assert_true(other > 0);
    rc__hypotheses_free(again, N * BEAM);
    free(again);
    rc__hypotheses_free(out, N * BEAM);
}

static void nothing_forbidden_comes(void **state) {
    (void)state;
    static const int32_t banned[] = {0, 3}, prefix[] = {1, 1, 3};
    for (int c = 0; c < 40; c++) {
        rc_sampler_options sampler = rc_sampler_options_default();
        table t = table_new(8, 4, 700 + (uint64_t)c);
        t.begin = 2; /* an entry like others: it must not come */
        t.end_bias = -2;
        rc__beam_options o = rc__beam_options_default();
        o.beam = 4;
        o.nbest = 2;
        o.max_len = 20;
        o.min_len = 6;
        o.no_repeat = 3;
        o.banned = banned;
        o.n_banned = 2;
        o.prefix = prefix;
        o.n_prefix = 3;
        if (c % 3 == 1) o.sampler = &sampler;
        if (c % 3 == 2) o.groups = 2, o.diversity = 1;
        rc__hypothesis out[8];
        search(&t, &o, out);
        for (size_t i = 0; i < 8; i++) {
            const rc__hypothesis *h = &out[i];
            if (h->score == -INFINITY) continue;
            assert_true(h->n >= 6 && h->n <= 20);
            assert_memory_equal(h->token, prefix, sizeof prefix);
            for (size_t k = 3; k < h->n; k++) {
                assert_true(h->token[k] != 0 && h->token[k] != 3 && h->token[k] != 2 && h->token[k] != t.end);
                assert_false(repeats(h->token, k + 1, 3));
            }
        }
        assert_true(out[0].n > 0);
        rc__hypotheses_free(out, 8);
    }
}

/* ---- what may go wrong ------------------------------------------------------------------------------------------- */

static void an_endless_output_is_cut(void **state) {
    (void)state;
    table t = table_new(5, 3, 41);
    t.endless = true;
    rc__beam_options o = rc__beam_options_default();
    o.nbest = 5;
    o.max_len = 40;
    o.max_ratio = 2;
    rc__hypothesis out[15];
    search(&t, &o, out);
    for (size_t i = 0; i < 15; i++) {
        assert_false(out[i].finished);
        assert_int_equal(out[i].n, 2 * lengths[i / 5] + 10);
        assert_true(isfinite(out[i].score));
    }
    assert_true(t.steps <= 2 * 6 + 11);
    rc__hypotheses_free(out, 15);
}

/* All tokens but the end are impossible, then the end too. */
static rc_status only_end(void *ctx, size_t rows, const uint32_t *sentence, const uint32_t *parent,
                          const int32_t *token, rc_real *logp, rc_real *attention, size_t stride, rc_error *e) {
    (void)sentence, (void)parent, (void)token, (void)attention, (void)stride, (void)e;
    for (size_t i = 0; i < rows; i++)
        for (int v = 0; v < 3; v++) logp[i * 3 + (size_t)v] = v == 2 && *(bool *)ctx ? 1e-7f : -INFINITY;
    return RC_OK;
}

static void few_and_no_results(void **state) {
    (void)state;
    bool end = true;
    rc__beam_model m = {.ctx = &end, .vocab = 3, .begin = 0, .end = 2, .step = only_end};
    rc__beam_options o = rc__beam_options_default();
    o.nbest = 2;
    rc__hypothesis out[2];
    size_t len = 0;
    rc_error e;
    assert_int_equal(rc__beam_search(&m, 1, &len, &o, out, &e), RC_OK);
    assert_true(out[0].finished && out[0].n == 0 && out[0].score == 0); /* above 0 by rounding counts as 0 */
    assert_true(!out[1].finished && out[1].n == 0 && out[1].score == -INFINITY);
    rc__hypotheses_free(out, 2);
    end = false;
    assert_int_equal(rc__beam_search(&m, 1, &len, &o, out, &e), RC_OK);
    assert_true(out[0].score == -INFINITY);
    rc__hypotheses_free(out, 2);
    assert_int_equal(rc__beam_search(&m, 0, NULL, &o, out, &e), RC_OK);
}

static void nan_is_refused(void **state) {
    (void)state;
    table t = table_new(5, 3, 51);
    t.nan_at = 2;
    t.end_bias = -4;
    rc__beam_model m = model_of(&t);
    rc__beam_options o = rc__beam_options_default();
    rc__hypothesis out[3];
    rc_error e;
    assert_int_equal(rc__beam_search(&m, 3, lengths, &o, out, &e), RC_EDIVERGED);
    assert_non_null(strstr(e.text, "after 2 tokens"));
    assert_true(out[0].token == NULL);
}

static void impossible_options_are_refused(void **state) {
    (void)state;
    static const int32_t end[] = {4}, outside[] = {5};
    const rc__beam_options d = rc__beam_options_default();
    rc__beam_options bad[12];
    for (int i = 0; i < 12; i++) bad[i] = d;
    bad[0].beam = 0;
    bad[1].nbest = 6;
    bad[2].groups = 2;
    bad[3].max_len = 0;
    bad[4].min_len = 201;
    bad[5].alpha = -1;
    bad[6].alpha = NAN;
    bad[7].prefix = end, bad[7].n_prefix = 1;
    bad[8].banned = outside, bad[8].n_banned = 1;
    bad[9].coverage = INFINITY;
    bad[10].groups = 0;
    bad[11].beam = 1 << 20;
    for (int i = 0; i < 12; i++) {
        table t = table_new(5, 1, 1);
        rc__beam_model m = model_of(&t);
        rc__hypothesis out[1];
        rc_error e;
        assert_int_equal(rc__beam_search(&m, 1, lengths, &bad[i], out, &e), RC_EINVAL);
    }
}

static void refused_memory(void **state) {
    (void)state;
    rc_sampler_options sampler = rc_sampler_options_default();
    for (int kind = 0; kind < 3; kind++) {
        long refused = 0;
        for (long n = 0;; n++) {
            table t = table_new(5, 3, 61);
            rc__beam_model m = model_of(&t);
            rc__beam_options o = rc__beam_options_default();
            o.beam = 4;
            o.nbest = 2;
            o.attention = true;
            o.coverage = 0.1;
            if (kind == 1) o.groups = 2;
            if (kind == 2) o.sampler = &sampler;
            rc__hypothesis out[6];
            rc_error e = {RC_OK, ""};
            failing f = {.left = n};
            size_t before = rc_memory_used();
            rc_set_allocator(failing_alloc, &f);
            rc_status s = rc__beam_search(&m, 3, lengths, &o, out, &e);
            if (s == RC_OK) rc__hypotheses_free(out, 6);
            rc_set_allocator(NULL, NULL);
            assert_int_equal(rc_memory_used(), before);
            if (s == RC_OK) break;
            assert_int_equal(s, RC_ENOMEM);
            refused++;
        }
        assert_true(refused > 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_all_sequences),
        cmocka_unit_test(the_same_alone_and_in_a_batch),
        cmocka_unit_test(the_early_stop_changes_nothing_but_time),
        cmocka_unit_test(patience_trades_exactness_for_time),
        cmocka_unit_test(inputs_that_are_finished_leave_the_batch),
        cmocka_unit_test(as_by_sorting_all),
        cmocka_unit_test(one_hypothesis_is_greedy),
        cmocka_unit_test(groups_keep_apart),
        cmocka_unit_test(draws_follow_the_model),
        cmocka_unit_test(nothing_forbidden_comes),
        cmocka_unit_test(an_endless_output_is_cut),
        cmocka_unit_test(few_and_no_results),
        cmocka_unit_test(nan_is_refused),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
