/* beam.c - beam search over the rows of many inputs at once.
 *
 * A hypothesis is a node of its input's tree: a token and the node before it. Per step: one call of the model over all
 * running hypotheses of all inputs; then each input on its own (in parallel) chooses its best continuations, group after
 * group. Greedy search is a beam of one; drawing is `beam` groups of one hypothesis each, whose choice is a draw. */
#include "decode/beam.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/parallel.h"
#include "data/strtab.h"

#define MAX_BEAM ((size_t)4096)
#define MAX_LEN  ((size_t)1 << 20)
#define NO_NODE  UINT32_MAX
#define NOTHING  ((rc_real)-INFINITY)

typedef struct node {
    uint32_t parent; /* NO_NODE: begin */
    int32_t token;
} node;

typedef struct running {
    double logp;
    uint32_t node; /* its last token; NO_NODE: none yet */
    uint32_t row;  /* of the last call */
    bool ended;    /* its end was accepted in this step */
} running;

typedef struct candidate {
    double score; /* by which it is chosen: logp less the penalty for what other groups chose */
    double logp;
    uint32_t from; /* which running hypothesis */
    int32_t token;
} candidate;

typedef struct done {
    double logp, score;
    uint32_t node;
    size_t n, slot; /* tokens; row of end_attention */
    bool finished;
} done;

typedef struct sentence {
    size_t limit, len; /* tokens at most; of its input */
    bool active;
    node *nodes;
    size_t n_nodes, cap_nodes;
    rc_real *attention; /* (nodes, len), when kept */
    size_t cap_attention;
    running *now, *next;             /* (groups, width) */
    size_t *n_now;                   /* (groups) */
    rc_real *covered, *covered_next; /* (groups, width, len): attention received, when it counts */
    done *best;                      /* (nbest) sorted */
    size_t n_best, n_ended;
    rc_real *end_attention; /* (nbest, len) */
    rc_rng *rng;            /* (groups), of draws */
    candidate *candidates;  /* (2 width) */
    int32_t *chosen;        /* (beam): tokens of the groups before, this step */
    size_t n_chosen;
    const char *bad; /* what the model gave, when it is no log probability */
} sentence;

typedef struct search {
    const rc__beam_model *m;
    const rc__beam_options *o;
    size_t n, groups, width, stride, t, rows;
    bool weights; /* attention is asked for */
    sentence *sentence;
    rc_real *logp, *attention;
    uint32_t *row_sentence, *row_parent;
    int32_t *row_token;
    char *scratch; /* of each worker: tokens (longest), a row to draw from */
    size_t scratch_size, longest;
    rc__arena *arena;
} search;

rc__beam_options rc__beam_options_default(void) {
    return (rc__beam_options){
        .beam = 5, .nbest = 1, .max_len = 200, .norm = RC__LENGTH_AVERAGE, .alpha = 1, .groups = 1};
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static double divisor(const rc__beam_options *o, size_t len) {
    if (o->norm == RC__LENGTH_AVERAGE) return pow((double)len, o->alpha);
    if (o->norm == RC__LENGTH_WU) return pow((5 + (double)len) / 6, o->alpha);
    return 1;
}

/* The best score that any continuation of a running hypothesis of t tokens may finish with.
 *
 * Let s <= 0 be its sum now. A log probability is at most 0 (larger ones count as 0), and rounding is monotone, so the sum S
 * of any continuation is at most s. Its length L, the end counted, is in t + 1 .. limit + 1, and the divisor d(L) grows with
 * L (alpha >= 0) and is positive. Then S / d(L) <= s / d(L) <= s / d(limit + 1), since s is not positive; the coverage
 * penalty adds at most 0. What is not better than the nbest-th finished result now can therefore not be better later, and of
 * equal scores the earlier finished is first. */
static double best_case(const rc__beam_options *o, double sum, size_t limit) { return sum / divisor(o, limit + 1); }

/* Wu et al. 2016, eq. 14: beta * sum over inputs of log(min(attention received, 1)); what was never looked at counts as
 * 1e-10, so that one position cannot make all results equally bad. */
static double coverage_penalty(double beta, const rc_real *covered, const rc_real *last, size_t len) {
    double sum = 0;
    for (size_t i = 0; i < len; i++) {
        double a = (double)covered[i] + (double)last[i];
        sum += log(a < 1e-10 ? 1e-10 : a < 1 ? a : 1);
    }
    return beta * sum;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static bool same_tokens(const sentence *s, uint32_t a, uint32_t b) {
    while (a != NO_NODE && b != NO_NODE && a != b) {
        if (s->nodes[a].token != s->nodes[b].token) return false;
        a = s->nodes[a].parent;
        b = s->nodes[b].parent;
    }
    return a == b;
}

static bool better(const done *a, const done *b) {
    return a->finished != b->finished ? a->finished : a->score > b->score;
}

/* Takes a result of the hypothesis h (of group and place `at`) into the list, if it is among the best; equal ones stay in
 * the order they came. */
static void take_result(const search *x, sentence *s, const running *h, size_t at, double logp, bool finished) {
    const rc__beam_options *o = x->o;
    const rc_real *last = x->weights ? x->attention + (size_t)h->row * x->stride : NULL;
    done d = {.logp = logp, .node = h->node, .n = x->t, .finished = finished};
    d.score = logp / divisor(o, x->t + finished);
    if (o->coverage > 0) d.score += coverage_penalty(o->coverage, s->covered + at * s->len, last, s->len);
    if (x->groups > 1 && !o->sampler) /* groups may find the same */
        for (size_t i = 0; i < s->n_best; i++)
            if (s->best[i].n == d.n && s->best[i].finished == finished && same_tokens(s, s->best[i].node, d.node))
                return;
    size_t place = s->n_best;
    while (place > 0 && better(&d, &s->best[place - 1])) place--;
    if (place == o->nbest) return;
    d.slot = s->n_best < o->nbest ? s->n_best++ : s->best[o->nbest - 1].slot;
    memmove(s->best + place + 1, s->best + place, (s->n_best - 1 - place) * sizeof *s->best);
    s->best[place] = d;
    if (o->attention) memcpy(s->end_attention + d.slot * s->len, last, s->len * sizeof *last);
}

/* ---- what may come ----------------------------------------------------------------------------------------------- */

/* The tokens of a hypothesis, first to last; returns them. */
static const int32_t *tokens_of(const sentence *s, uint32_t at, size_t n, int32_t *out) {
    for (; n > 0; at = s->nodes[at].parent) out[--n] = s->nodes[at].token;
    return out;
}

/* The tokens that would repeat an n-gram of the n tokens so far. */
static void forbid_repeats(rc_real *x, const int32_t *token, size_t n, size_t gram) {
    if (n + 1 < gram) return;
    const int32_t *tail = token + n - (gram - 1);
    for (size_t i = 0; i + gram <= n; i++)
        if (memcmp(token + i, tail, (gram - 1) * sizeof *tail) == 0) x[token[i + gram - 1]] = NOTHING;
}

/* Checks a row of the model; numbers above 0, as rounding may leave them, become 0. */
static const char *check_row(rc_real *x, size_t n) {
    int strange = 0;
    for (size_t i = 0; i < n; i++) strange |= !(x[i] <= 0);
    if (!strange) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) return "NaN";
        if (isinf(x[i]) && x[i] > 0) return "infinity";
        if (x[i] > 0) x[i] = 0;
    }
    return NULL;
}

/* Sets what may not come next to -infinity. */
static void forbid(const search *x, const sentence *s, const running *h, rc_real *row, int32_t *scratch) {
    const rc__beam_options *o = x->o;
    const rc__beam_model *m = x->m;
    if (x->t < o->n_prefix) {
        rc_real kept = row[o->prefix[x->t]];
        for (size_t i = 0; i < m->vocab; i++) row[i] = NOTHING;
        row[o->prefix[x->t]] = kept;
        return;
    }
    for (size_t i = 0; i < o->n_banned; i++) row[o->banned[i]] = NOTHING;
    if (m->begin != m->end && m->begin >= 0 && (size_t)m->begin < m->vocab) row[m->begin] = NOTHING;
    rc_real end = x->t < o->min_len ? NOTHING : row[m->end];
    if (o->no_repeat) forbid_repeats(row, tokens_of(s, h->node, x->t, scratch), x->t, o->no_repeat);
    row[m->end] = end;
}

/* ---- the best continuations of a group --------------------------------------------------------------------------- */

/* Puts c among the `cap` best (*n of them, best first); of equal ones that which came first stays first. */
static void offer(candidate *best, size_t *n, size_t cap, candidate c) {
    if (*n == cap && !(c.score > best[cap - 1].score)) return;
    size_t place = *n < cap ? (*n)++ : cap - 1;
    for (; place > 0 && c.score > best[place - 1].score; place--) best[place] = best[place - 1];
    best[place] = c;
}

/* As offer, for one that was held back: among equal scores it goes where its hypothesis and token belong. */
static void offer_late(candidate *best, size_t *n, size_t cap, candidate c) {
    size_t place = *n;
    for (; place > 0; place--) {
        const candidate *b = &best[place - 1];
        bool first = c.score > b->score ||
                     (c.score == b->score && (c.from < b->from || (c.from == b->from && c.token < b->token)));
        if (!first) break;
    }
    if (place == cap) return;
    if (*n < cap) (*n)++;
    memmove(best + place + 1, best + place, (*n - 1 - place) * sizeof *best);
    best[place] = c;
}

enum { BLOCK = 64 };

/* All tokens of one row. Most blocks have nothing above the worst that is kept: one comparison each, in vectors. The cut is
 * a little low, since it is rounded; `offer` compares exactly. */
static void offer_row(candidate *best, size_t *n, size_t cap, const rc_real *row, size_t vocab, double base,
                      uint32_t from) {
    for (size_t i = 0; i < vocab; i += BLOCK) {
        size_t end = vocab - i < BLOCK ? vocab : i + BLOCK;
        rc_real cut = NOTHING;
        if (*n == cap) {
            double d = best[cap - 1].score - base;
            cut = (rc_real)(d - 1e-6 * fabs(d) - 1e-12 * (1 + fabs(base)));
        }
        int any = 0;
        for (size_t k = i; k < end; k++) any |= row[k] > cut;
        if (!any) continue;
        for (size_t k = i; k < end; k++) {
            if (!(row[k] > cut)) continue;
            double logp = base + (double)row[k];
            offer(best, n, cap, (candidate){.score = logp, .logp = logp, .from = from, .token = (int32_t)k});
        }
    }
}

/* The tokens that groups before have chosen are held back and offered with their penalty. */
static void offer_diverse(const search *x, sentence *s, size_t *n, rc_real *row, double base, uint32_t from,
                          rc_real *held) {
    size_t cap = 2 * x->width;
    for (size_t i = 0; i < s->n_chosen; i++) {
        held[i] = row[s->chosen[i]]; /* the second time -infinity */
        row[s->chosen[i]] = NOTHING;
    }
    offer_row(s->candidates, n, cap, row, x->m->vocab, base, from);
    for (size_t i = 0; i < s->n_chosen; i++) {
        if (!(held[i] > NOTHING)) continue;
        size_t times = 0;
        for (size_t k = 0; k < s->n_chosen; k++) times += s->chosen[k] == s->chosen[i];
        double logp = base + (double)held[i];
        offer_late(
            s->candidates, n, cap,
            (candidate){
                .score = logp - x->o->diversity * (double)times, .logp = logp, .from = from, .token = s->chosen[i]});
        row[s->chosen[i]] = held[i];
    }
}

/* One draw instead of a search. */
static void draw(const search *x, sentence *s, size_t g, size_t *n, const rc_real *row, uint32_t from, char *scratch) {
    const running *h = &s->now[from];
    int32_t *tokens = (int32_t *)(void *)scratch;
    rc_real *copy = (rc_real *)(void *)(scratch + x->longest * sizeof *tokens);
    bool any = false;
    for (size_t i = 0; i < x->m->vocab; i++) any |= row[i] > NOTHING;
    if (!any) return;
    memcpy(copy, row, x->m->vocab * sizeof *row);
    int32_t token =
        rc_sample(x->o->sampler, copy, x->m->vocab, -1, tokens_of(s, h->node, x->t, tokens), x->t, &s->rng[g]);
    double logp = h->logp + (double)row[token];
    s->candidates[(*n)++] = (candidate){.score = logp, .logp = logp, .from = from, .token = token};
}

/* candidates: the best continuations of group g, best first. */
static size_t choose(const search *x, sentence *s, size_t g, char *scratch) {
    size_t n = 0;
    for (size_t k = 0; k < s->n_now[g]; k++) {
        uint32_t from = (uint32_t)(g * x->width + k);
        const running *h = &s->now[from];
        rc_real *row = x->logp + (size_t)h->row * x->m->vocab;
        s->bad = check_row(row, x->m->vocab);
        if (s->bad) return 0;
        forbid(x, s, h, row, (int32_t *)(void *)scratch);
        if (x->o->sampler)
            draw(x, s, g, &n, row, from, scratch);
        else if (s->n_chosen)
            offer_diverse(x, s, &n, row, h->logp, from, (rc_real *)(void *)(scratch + x->longest * sizeof(int32_t)));
        else
            offer_row(s->candidates, &n, 2 * x->width, row, x->m->vocab, h->logp, from);
    }
    return n;
}

/* ---- one step of one input --------------------------------------------------------------------------------------- */

static void go_on(const search *x, sentence *s, size_t g, size_t kept, const candidate *c) {
    const running *h = &s->now[c->from];
    size_t at = g * x->width + kept, len = s->len, new = s->n_nodes++;
    const rc_real *weights = x->weights ? x->attention + (size_t)h->row * x->stride : NULL;
    s->nodes[new] = (node){h->node, c->token};
    if (x->o->attention) memcpy(s->attention + new *len, weights, len * sizeof *weights);
    if (x->o->coverage > 0)
        for (size_t i = 0; i < len; i++) s->covered_next[at * len + i] = s->covered[c->from * len + i] + weights[i];
    s->next[at] = (running){.logp = c->logp, .node = (uint32_t) new, .row = h->row};
    s->chosen[s->n_chosen++] = c->token;
}

/* Finishes and continues hypotheses of group g; returns how many go on. */
static size_t advance_group(const search *x, sentence *s, size_t g, size_t n) {
    size_t kept = 0;
    bool last = x->t == s->limit, ended = false;
    for (size_t r = 0; r < n; r++) {
        const candidate *c = &s->candidates[r];
        if (c->token == x->m->end) {
            if (r >= x->width) continue;
            take_result(x, s, &s->now[c->from], c->from, c->logp, true);
            s->now[c->from].ended = ended = true;
            s->n_ended++;
        } else if (!last && kept < x->width && !(x->width == 1 && ended))
            go_on(x, s, g, kept++, c);
    }
    for (size_t k = 0; last && k < s->n_now[g]; k++) {
        const running *h = &s->now[g * x->width + k];
        if (!h->ended) take_result(x, s, h, g * x->width + k, h->logp, false);
    }
    return kept;
}

static bool may_stop(const search *x, const sentence *s) {
    if (x->o->exhaustive || x->o->sampler || s->n_best < x->o->nbest) return false;
    if (x->o->patience > 0 && (double)s->n_ended >= x->o->patience * (double)x->o->beam) return true;
    for (size_t g = 0; g < x->groups; g++)
        for (size_t k = 0; k < s->n_now[g]; k++)
            if (best_case(x->o, s->now[g * x->width + k].logp, s->limit) > s->best[x->o->nbest - 1].score) return false;
    return true;
}

static void advance(void *ctx, size_t i, int worker) {
    search *x = ctx;
    sentence *s = &x->sentence[i];
    if (!s->active) return;
    char *scratch = x->scratch + (size_t)worker * x->scratch_size;
    size_t left = 0;
    s->n_chosen = 0;
    for (size_t g = 0; g < x->groups && !s->bad; g++) {
        size_t n = choose(x, s, g, scratch);
        s->n_now[g] = advance_group(x, s, g, n);
        left += s->n_now[g];
    }
    running *swap = s->now;
    s->now = s->next, s->next = swap;
    rc_real *covered = s->covered;
    s->covered = s->covered_next, s->covered_next = covered;
    s->active = left > 0 && !may_stop(x, s);
}

/* ---- all inputs -------------------------------------------------------------------------------------------------- */

/* Room for this step's nodes: the parallel part allocates nothing. */
static rc_status reserve(search *x, rc_error *e) {
    for (size_t i = 0; i < x->n; i++) {
        sentence *s = &x->sentence[i];
        if (!s->active) continue;
        size_t need = s->n_nodes + x->o->beam, numbers;
        if (need >= NO_NODE || !rc__size_mul(need, s->len ? s->len : 1, &numbers))
            return rc_fail(e, RC_ENOMEM, "out of memory: the results are too long");
        rc_status r = rc__grow((void **)&s->nodes, &s->cap_nodes, need, sizeof *s->nodes, e);
        if (r == RC_OK && x->o->attention)
            r = rc__grow((void **)&s->attention, &s->cap_attention, numbers, sizeof *s->attention, e);
        if (r != RC_OK) return r;
    }
    return RC_OK;
}

/* The rows of the next call; hypotheses learn theirs. Groups begin on one row. */
static void make_rows(search *x) {
    x->rows = 0;
    for (size_t i = 0; i < x->n; i++) {
        sentence *s = &x->sentence[i];
        if (!s->active) continue;
        for (size_t g = 0; g < x->groups; g++)
            for (size_t k = 0; k < s->n_now[g]; k++) {
                running *h = &s->now[g * x->width + k];
                if (x->t > 0 || g == 0) {
                    x->row_sentence[x->rows] = (uint32_t)i;
                    x->row_parent[x->rows] = h->row;
                    x->row_token[x->rows] = h->node == NO_NODE ? x->m->begin : s->nodes[h->node].token;
                    x->rows++;
                }
                h->row = (uint32_t)(x->rows - 1);
            }
    }
}

static rc_status step(search *x, rc_error *e) {
    rc_status r = x->m->step(x->m->ctx, x->rows, x->row_sentence, x->row_parent, x->row_token, x->logp,
                             x->weights ? x->attention : NULL, x->stride, e);
    if (r != RC_OK) return r;
    rc__parallel(x->n, (double)x->rows * (double)x->m->vocab, advance, x);
    for (size_t i = 0; i < x->n; i++)
        if (x->sentence[i].bad)
            return rc_fail(e, RC_EDIVERGED, "input %zu: after %zu tokens the model gives %s as a log probability",
                           i + 1, x->t, x->sentence[i].bad);
    return RC_OK;
}

static bool any_active(const search *x) {
    for (size_t i = 0; i < x->n; i++)
        if (x->sentence[i].active) return true;
    return false;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static rc_status check_tokens(const char *what, const int32_t *token, size_t n, const rc__beam_model *m, rc_error *e) {
    for (size_t i = 0; i < n; i++)
        if (token[i] < 0 || (size_t)token[i] >= m->vocab)
            return rc_fail(e, RC_EINVAL, "%s: token %d is not in 0..%zu", what, (int)token[i], m->vocab - 1);
    return RC_OK;
}

static rc_status check_options(const rc__beam_model *m, const rc__beam_options *o, rc_error *e) {
    if (m->vocab == 0 || m->end < 0 || (size_t)m->end >= m->vocab)
        return rc_fail(e, RC_EINVAL, "beam search: the end is token %d of %zu", (int)m->end, m->vocab);
    if (o->beam == 0 || o->beam > MAX_BEAM)
        return rc_fail(e, RC_EINVAL, "a beam of %zu: expected 1 to %zu", o->beam, MAX_BEAM);
    if (o->nbest == 0 || o->nbest > o->beam)
        return rc_fail(e, RC_EINVAL, "%zu results of a beam of %zu: expected 1 to the beam", o->nbest, o->beam);
    if (o->groups == 0 || o->beam % o->groups != 0)
        return rc_fail(e, RC_EINVAL, "%zu groups do not divide a beam of %zu", o->groups, o->beam);
    if (o->max_len == 0 || o->max_len > MAX_LEN)
        return rc_fail(e, RC_EINVAL, "at most %zu tokens: expected 1 to %zu", o->max_len, MAX_LEN);
    if (o->min_len > o->max_len || o->n_prefix > o->max_len)
        return rc_fail(e, RC_EINVAL, "%s of %zu tokens, but at most %zu may come",
                       o->min_len > o->max_len ? "a minimum" : "a prefix",
                       o->min_len > o->max_len ? o->min_len : o->n_prefix, o->max_len);
    if (!(o->alpha >= 0 && o->alpha <= 10))
        return rc_fail(e, RC_EINVAL, "length penalty %g: expected 0 to 10", o->alpha);
    if (!(o->coverage >= 0 && o->coverage <= 1e6))
        return rc_fail(e, RC_EINVAL, "coverage penalty %g: expected 0 to 1e6", o->coverage);
    if (!(o->diversity >= 0 && o->diversity <= 1e6))
        return rc_fail(e, RC_EINVAL, "diversity %g: expected 0 to 1e6", o->diversity);
    if (!(o->max_ratio >= 0 && o->max_ratio <= 1e6))
        return rc_fail(e, RC_EINVAL, "length ratio %g: expected 0 to 1e6", o->max_ratio);
    if (!(o->patience >= 0 && o->patience <= 1e6))
        return rc_fail(e, RC_EINVAL, "patience %g: expected 0 to 1e6", o->patience);
    rc_status s = check_tokens("prefix", o->prefix, o->n_prefix, m, e);
    for (size_t i = 0; s == RC_OK && i < o->n_prefix; i++)
        if (o->prefix[i] == m->end) s = rc_fail(e, RC_EINVAL, "prefix: token %zu of it is the end", i + 1);
    return s == RC_OK ? check_tokens("banned", o->banned, o->n_banned, m, e) : s;
}

/* count * size bytes of the arena, zeroed; NULL into *failed. */
static void *room(search *x, size_t count, size_t size, bool *failed) {
    size_t bytes;
    void *p = rc__size_mul(count, size, &bytes) ? rc__arena_alloc(x->arena, bytes ? bytes : 1) : NULL;
    if (p)
        memset(p, 0, bytes);
    else
        *failed = true;
    return p;
}

/* The same for numbers that a call of the model writes: not zeroed. */
static rc_real *big(search *x, size_t count, bool *failed) {
    size_t bytes;
    rc_real *p = rc__size_mul(count, sizeof *p, &bytes) ? rc__arena_alloc(x->arena, bytes ? bytes : 1) : NULL;
    if (!p) *failed = true;
    return p;
}

static bool begin_sentence(search *x, sentence *s, size_t i, size_t len) {
    const rc__beam_options *o = x->o;
    bool failed = false;
    size_t numbers = 0, floor = o->min_len > o->n_prefix ? o->min_len : o->n_prefix;
    if (!rc__size_mul(o->beam, len, &numbers)) return false;
    s->len = len;
    s->limit = o->max_len;
    double most = o->max_ratio * (double)len + 10;
    if (o->max_ratio > 0 && most < (double)s->limit) s->limit = (size_t)most;
    if (s->limit < floor) s->limit = floor;
    s->now = room(x, o->beam, sizeof *s->now, &failed);
    s->next = room(x, o->beam, sizeof *s->next, &failed);
    s->n_now = room(x, x->groups, sizeof *s->n_now, &failed);
    s->best = room(x, o->nbest, sizeof *s->best, &failed);
    s->candidates = room(x, 2 * x->width, sizeof *s->candidates, &failed);
    s->chosen = room(x, o->beam, sizeof *s->chosen, &failed);
    if (o->coverage > 0) {
        s->covered = room(x, numbers, sizeof *s->covered, &failed);
        s->covered_next = room(x, numbers, sizeof *s->covered, &failed);
    }
    if (o->attention) s->end_attention = room(x, numbers, sizeof *s->end_attention, &failed);
    if (o->sampler) s->rng = room(x, x->groups, sizeof *s->rng, &failed);
    if (failed) return false;
    for (size_t g = 0; g < x->groups; g++) {
        s->now[g * x->width] = (running){.node = NO_NODE, .row = 0};
        s->n_now[g] = 1;
        uint64_t number = o->stream ? o->stream[i] : i;
        if (o->sampler) s->rng[g] = rc_rng_make(o->seed, number * MAX_BEAM + g);
    }
    s->active = true;
    return true;
}

static rc_status begin(search *x, const size_t *input_length, rc_error *e) {
    const rc__beam_options *o = x->o;
    bool failed = false;
    size_t rows, numbers = 0, weights = 0, draws;
    x->groups = o->sampler ? o->beam : o->groups;
    x->width = o->beam / x->groups;
    x->weights = o->attention || o->coverage > 0;
    for (size_t i = 0; i < x->n; i++)
        if (input_length[i] > x->stride) x->stride = input_length[i];
    x->arena = rc__arena_new();
    bool fits = x->arena && rc__size_mul(x->n, o->beam, &rows) && rows < NO_NODE &&
                rc__size_mul(rows, x->m->vocab, &numbers) && rc__size_mul(rows, x->stride, &weights);
    if (!fits) return rc_fail(e, RC_ENOMEM, "out of memory for the beams of %zu inputs", x->n);
    x->sentence = room(x, x->n, sizeof *x->sentence, &failed);
    for (size_t i = 0; i < x->n && !failed; i++) {
        failed = !begin_sentence(x, &x->sentence[i], i, input_length[i]);
        if (x->sentence[i].limit > x->longest) x->longest = x->sentence[i].limit;
    }
    draws = x->m->vocab > o->beam ? x->m->vocab : o->beam; /* a row to draw from, or what is held back */
    x->longest = (x->longest + 1) / 2 * 2;                 /* so that what follows is aligned for a double */
    x->scratch_size = (x->longest * sizeof(int32_t) + draws * sizeof(rc_real) + 63) / 64 * 64;
    x->scratch = room(x, (size_t)rc__workers(), x->scratch_size, &failed);
    x->logp = big(x, numbers, &failed);
    x->attention = big(x, x->weights ? weights : 0, &failed);
    x->row_sentence = room(x, rows, sizeof *x->row_sentence, &failed);
    x->row_parent = room(x, rows, sizeof *x->row_parent, &failed);
    x->row_token = room(x, rows, sizeof *x->row_token, &failed);
    return failed ? rc_fail(e, RC_ENOMEM, "out of memory for the beams of %zu inputs", x->n) : RC_OK;
}

static rc_status fill(const search *x, const sentence *s, const done *d, rc__hypothesis *h, rc_error *e) {
    h->n = d->n;
    h->logp = d->logp;
    h->score = d->score;
    h->finished = d->finished;
    h->input_len = s->len;
    if (d->n && !(h->token = rc__alloc(d->n * sizeof *h->token)))
        return rc_fail(e, RC_ENOMEM, "out of memory for a result");
    tokens_of(s, d->node, d->n, h->token);
    if (!x->o->attention || s->len == 0) return RC_OK;
    size_t row = s->len * sizeof *h->attention;
    h->attention = rc__alloc((d->n + 1) * row);
    if (!h->attention) return rc_fail(e, RC_ENOMEM, "out of memory for a result");
    size_t at = d->n;
    for (uint32_t k = d->node; at-- > 0; k = s->nodes[k].parent)
        memcpy(h->attention + at * s->len, s->attention + (size_t)k * s->len, row);
    memcpy(h->attention + d->n * s->len, s->end_attention + d->slot * s->len, row);
    return RC_OK;
}

static void end(search *x) {
    for (size_t i = 0; x->sentence && i < x->n; i++) {
        sentence *s = &x->sentence[i];
        rc__free(s->nodes, s->cap_nodes * sizeof *s->nodes);
        rc__free(s->attention, s->cap_attention * sizeof *s->attention);
    }
    rc__arena_free(x->arena);
}

rc_status rc__beam_search(const rc__beam_model *m, size_t n, const size_t *input_length, const rc__beam_options *o,
                          rc__hypothesis *out, rc_error *e) {
    search x = {.m = m, .o = o, .n = n};
    rc_status r = check_options(m, o, e);
    if (r != RC_OK) return r;
    size_t results = n * o->nbest;
    for (size_t i = 0; i < results; i++) out[i] = (rc__hypothesis){.logp = -INFINITY, .score = -INFINITY};
    if (n == 0) return RC_OK;
    r = begin(&x, input_length, e);
    for (; r == RC_OK && any_active(&x); x.t++) {
        make_rows(&x);
        r = reserve(&x, e);
        if (r == RC_OK) r = step(&x, e);
    }
    for (size_t i = 0; i < n && r == RC_OK; i++)
        for (size_t k = 0; k < x.sentence[i].n_best && r == RC_OK; k++)
            r = fill(&x, &x.sentence[i], &x.sentence[i].best[k], &out[i * o->nbest + k], e);
    end(&x);
    if (r != RC_OK) rc__hypotheses_free(out, results);
    return r;
}

void rc__hypotheses_free(rc__hypothesis *h, size_t n) {
    for (size_t i = 0; i < n; i++) {
        rc__free(h[i].token, h[i].n * sizeof *h[i].token);
        if (h[i].attention) rc__free(h[i].attention, (h[i].n + 1) * h[i].input_len * sizeof *h[i].attention);
        h[i] = (rc__hypothesis){.logp = -INFINITY, .score = -INFINITY};
    }
}
