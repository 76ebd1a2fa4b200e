/* lm_generate.c - text from a language model.
 *
 * The prompt is read once, by a state of one row, and its end copied to every sample's row. Then per token: one step of
 * all rows, one draw per row from the sample's own random stream.
 *
 * Rows go in blocks of ROWS, always whole: a product's bits depend on its shape (kernels/gemm.h), so with a fixed shape
 * sample i is the same text however many run beside it. Four rows take hardly longer than one (2 x 256 LSTM: 52 us and
 * 49): both wait for the weights.
 *
 * A sample's text is bytes that grow at the end:
 *
 *      |---- shown ----|-- held back: may begin a stop string --|-- up to 3 bytes of a character --|
 *
 * so that a piece given out is final and whole.
 */
#include "base/mem.h"
#include "data/utf8.h"
#include "kernels/kernels.h"
#include "tasks/lm.h"
#include <math.h>
#include <string.h>

#define ROWS 4

typedef struct sample {
    char *text;
    size_t len, cap, shown;
    int32_t *recent; /* 2 * window ids; the last n_recent tokens, moved to the front when full */
    size_t n_recent;
    rc_rng rng;
    bool newline, spaced; /* word models: the last token was a newline; the prompt ended in white space */
    bool done;
} sample;

typedef struct generation {
    const rc_lm *m;
    const rc_lm_generate_options *o;
    size_t window; /* tokens the repetition penalty looks back at */
    size_t longest_stop;
    sample *sample;
    rc_state **state; /* of each block */
    int32_t *ids;     /* (blocks * ROWS) the last token of each; 0 where there is no sample */
    rc_real *logits;  /* (ROWS, V) of the block at work */
    size_t blocks;
} generation;

rc_lm_generate_options rc_lm_generate_options_default(void) {
    return (rc_lm_generate_options){.sampler = rc_sampler_options_default(), .length = 500, .samples = 1};
}

static rc_status check_options(const rc_lm_generate_options *o, bool has_texts, rc_error *e) {
    const rc_sampler_options *s = &o->sampler;
    if (!(s->temperature >= 0 && isfinite(s->temperature)))
        return rc_fail(e, RC_EINVAL, "generate: temperature is %g, expected 0 (greedy) or more", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return rc_fail(e, RC_EINVAL, "generate: top_p is %g, expected (0, 1]", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return rc_fail(e, RC_EINVAL, "generate: min_p is %g, expected [0, 1]", s->min_p);
    if (!(s->repetition_penalty > 0 && isfinite(s->repetition_penalty)))
        return rc_fail(e, RC_EINVAL, "generate: repetition_penalty is %g, expected a positive number",
                       s->repetition_penalty);
    if (o->samples == 0) return rc_fail(e, RC_EINVAL, "generate: samples is 0, expected 1 or more");
    if (o->n_stop && !o->stop) return rc_fail(e, RC_EINVAL, "generate: n_stop is %zu and stop is NULL", o->n_stop);
    for (size_t i = 0; i < o->n_stop; i++)
        if (!o->stop[i] || !*o->stop[i]) return rc_fail(e, RC_EINVAL, "generate: stop string %zu is empty", i + 1);
    if (!has_texts && !o->on_text) return rc_fail(e, RC_EINVAL, "generate: neither texts nor on_text is given");
    return RC_OK;
}

/* ---- the text of one sample -------------------------------------------------------------------------------------- */

static bool append(sample *s, const char *bytes, size_t len) {
    size_t need = s->len + len + 1;
    if (need > s->cap) {
        size_t cap = s->cap ? s->cap : 256;
        while (cap < need) cap *= 2;
        char *p = rc__realloc(s->text, s->cap, cap);
        if (!p) return false;
        s->text = p;
        s->cap = cap;
    }
    memcpy(s->text + s->len, bytes, len);
    s->len += len;
    s->text[s->len] = 0;
    return true;
}

/* The bytes of token id at this place: word models put a space between two words. */
static bool append_token(const rc_vocab *v, sample *s, int32_t id) {
    size_t len = 0;
    const char *entry = rc_vocab_entry(v, id, &len);
    bool newline = id == rc_vocab_eos(v), words = rc_vocab_get_kind(v) == RC_VOCAB_WORD;
    bool ok = !words || newline || s->newline || s->spaced || append(s, " ", 1);
    s->newline = newline;
    s->spaced = false;
    return ok && append(s, entry, len);
}

/* Where the first stop string begins at or after `from`; s->len when there is none. */
static size_t find_stop(const rc_lm_generate_options *o, const sample *s, size_t from) {
    size_t at = s->len;
    for (size_t i = 0; i < o->n_stop; i++) {
        const char *hit = memmem(s->text + from, s->len - from, o->stop[i], strlen(o->stop[i]));
        if (hit && (size_t)(hit - s->text) < at) at = (size_t)(hit - s->text);
    }
    return at;
}

/* Length of the longest end of the text, not yet shown, that a stop string begins with. */
static size_t stop_begun(const generation *g, const sample *s) {
    size_t most = s->len - s->shown;
    if (most > g->longest_stop) most = g->longest_stop;
    for (size_t n = most; n > 0; n--)
        for (size_t i = 0; i < g->o->n_stop; i++)
            if (n < strlen(g->o->stop[i]) && memcmp(s->text + s->len - n, g->o->stop[i], n) == 0) return n;
    return 0;
}

static void show(const generation *g, sample *s, size_t end) {
    size_t len = end - s->shown;
    if (len == 0) return;
    const char *piece = s->text + s->shown;
    s->shown = end;
    if (g->o->on_text && !g->o->on_text(g->o->ctx, (size_t)(s - g->sample), piece, len)) s->done = true;
}

/* Ends a sample whose text is final up to its length, but for an unfinished character. */
static void finish(const generation *g, sample *s) {
    s->len = s->shown + rc__utf8_whole(s->text + s->shown, s->len - s->shown);
    show(g, s, s->len);
    s->done = true;
}

/* Takes in one token: what is certain is shown, a stop string ends the sample. */
static bool take(const generation *g, sample *s, int32_t id) {
    size_t before = s->len;
    if (!append_token(g->m->vocab, s, id)) return false;
    size_t overlap = g->longest_stop ? g->longest_stop - 1 : 0;
    size_t stop = find_stop(g->o, s, before > overlap ? before - overlap : 0);
    if (stop < s->len) {
        s->len = stop;
        finish(g, s);
        return true;
    }
    size_t sure = s->len - stop_begun(g, s);
    show(g, s, s->shown + rc__utf8_whole(s->text + s->shown, sure - s->shown));
    if (s->done) s->len = s->shown; /* the caller stopped it */
    return true;
}

static void remember(const generation *g, sample *s, int32_t id) {
    if (g->window == 0) return;
    if (s->n_recent == 2 * g->window) {
        memcpy(s->recent, s->recent + g->window, g->window * sizeof *s->recent);
        s->n_recent = g->window;
    }
    s->recent[s->n_recent++] = id;
}

/* ---- all samples ------------------------------------------------------------------------------------------------- */

static rc_status draw(const generation *g, size_t i, rc_real *logits, rc_error *e) {
    sample *s = &g->sample[i];
    size_t V = g->m->vocab_size, n = s->n_recent < g->window ? s->n_recent : g->window;
    if (!rc__k->pw.finite(V, logits))
        return rc_fail(e, RC_EDIVERGED, "generate: the model's output is not finite: its weights are out of range");
    const int32_t *recent = s->recent ? s->recent + s->n_recent - n : NULL;
    g->ids[i] = rc_sample(&g->o->sampler, logits, V, rc_vocab_unk(g->m->vocab), recent, n, &s->rng);
    remember(g, s, g->ids[i]);
    if (!take(g, s, g->ids[i])) return rc_fail(e, RC_ENOMEM, "generate: out of memory for the text of sample %zu", i);
    return RC_OK;
}

/* One token for the samples of block b that are not done; *live counts them. */
static rc_status step_block(const generation *g, size_t b, size_t *live, rc_error *e) {
    size_t first = b * ROWS, end = first + ROWS < g->o->samples ? first + ROWS : g->o->samples, before = *live;
    for (size_t i = first; i < end; i++) *live += !g->sample[i].done;
    if (*live == before) return RC_OK;
    rc_status s = rc_lm_step(g->m, g->state[b], g->ids + first, g->logits, e);
    for (size_t i = first; s == RC_OK && i < end; i++)
        if (!g->sample[i].done) s = draw(g, i, g->logits + (i - first) * g->m->vocab_size, e);
    return s;
}

static rc_status run(generation *g, rc_error *e) {
    size_t live = 1;
    rc_status s = RC_OK;
    for (size_t n = 0; s == RC_OK && n < g->o->length && live > 0; n++) {
        live = 0;
        for (size_t b = 0; s == RC_OK && b < g->blocks; b++) s = step_block(g, b, &live, e);
    }
    for (size_t i = 0; s == RC_OK && i < g->o->samples; i++)
        if (!g->sample[i].done) finish(g, &g->sample[i]);
    return s;
}

/* The id an empty prompt starts from. */
static rc_status start_id(const rc_vocab *v, int32_t *id, rc_error *e) {
    int32_t *ids = NULL;
    size_t n = 0, unknown = 0;
    *id = rc_vocab_eos(v);
    if (*id >= 0) return RC_OK;
    rc_status s = rc_vocab_encode(v, "\n", 1, &ids, &n, &unknown, e);
    if (s != RC_OK) return s;
    *id = n > 0 && unknown == 0 ? ids[n - 1] : 0;
    rc_ids_free(ids, n);
    return RC_OK;
}

/* Reads all but the last id of the prompt; the last is every sample's first input. */
static rc_status read_prompt(generation *g, const int32_t *ids, size_t n, rc_error *e) {
    rc_tape *tape = NULL;
    rc_state *one = NULL;
    rc_status s = rc_state_new(&one, g->m->rnn, 1, e);
    if (s == RC_OK && n > 1) s = rc_tape_new(&tape, e);
    if (s == RC_OK && n > 1) s = rc__lm_advance(g->m, tape, one, ids, n - 1, e);
    for (size_t i = 0; s == RC_OK && i < g->o->samples; i++)
        s = rc_state_copy_row(g->state[i / ROWS], i % ROWS, one, 0, e);
    rc_tape_free(tape);
    rc_state_free(one);
    return s;
}

static rc_status begin(generation *g, const char *prompt, size_t prompt_len, rc_error *e) {
    const rc_vocab *v = g->m->vocab;
    int32_t *ids = NULL, start = 0;
    size_t n = 0;
    rc_status s = start_id(v, &start, e);
    if (s == RC_OK && prompt_len) s = rc_vocab_encode(v, prompt, prompt_len, &ids, &n, NULL, e);
    if (s != RC_OK) return s;
    const int32_t *all = n ? ids : &start;
    size_t n_all = n ? n : 1;
    s = read_prompt(g, all, n_all, e);
    char last = 0;
    if (prompt_len) last = prompt[prompt_len - 1];
    for (size_t i = 0; s == RC_OK && i < g->o->samples; i++) {
        sample *sm = &g->sample[i];
        sm->rng = rc_rng_make(g->o->seed, i);
        sm->newline = all[n_all - 1] == rc_vocab_eos(v) || n == 0;
        sm->spaced = last == ' ' || (last >= '\t' && last <= '\r');
        for (size_t k = n > g->window ? n - g->window : 0; k < n; k++) remember(g, sm, ids[k]);
        g->ids[i] = all[n_all - 1];
        if (!append(sm, "", 0)) s = rc_fail(e, RC_ENOMEM, "generate: out of memory");
    }
    rc_ids_free(ids, n);
    return s;
}

static rc_status allocate(generation *g, rc_error *e) {
    size_t N = g->o->samples, V = g->m->vocab_size;
    rc_status s = RC_OK;
    g->sample = rc__calloc(N, sizeof *g->sample);
    if (g->sample) g->state = rc__calloc(g->blocks, sizeof *g->state);
    if (g->state) g->ids = rc__calloc(g->blocks * ROWS, sizeof *g->ids);
    if (g->ids) g->logits = rc__calloc(ROWS * V, sizeof *g->logits);
    bool ok = g->sample && g->state && g->ids && g->logits;
    for (size_t i = 0; ok && g->window && i < N; i++)
        ok = (g->sample[i].recent = rc__calloc(g->window, 2 * sizeof(int32_t))) != NULL;
    if (!ok) return rc_fail(e, RC_ENOMEM, "generate: out of memory for %zu samples", N);
    for (size_t b = 0; s == RC_OK && b < g->blocks; b++) s = rc_state_new(&g->state[b], g->m->rnn, ROWS, e);
    return s;
}

static void release(generation *g) {
    size_t N = g->o->samples;
    for (size_t i = 0; g->sample && i < N; i++) {
        rc__free(g->sample[i].text, g->sample[i].cap);
        rc__free(g->sample[i].recent, g->window * 2 * sizeof(int32_t));
    }
    for (size_t b = 0; g->state && b < g->blocks; b++) rc_state_free(g->state[b]);
    rc__free(g->sample, N * sizeof *g->sample);
    rc__free(g->state, g->blocks * sizeof(rc_state *));
    rc__free(g->ids, g->blocks * ROWS * sizeof *g->ids);
    rc__free(g->logits, ROWS * g->m->vocab_size * sizeof *g->logits);
}

/* Copies of just the right size, as rc_text_free expects. */
static rc_status give_texts(const generation *g, char **texts, size_t *lens, rc_error *e) {
    for (size_t i = 0; i < g->o->samples; i++) {
        const sample *s = &g->sample[i];
        texts[i] = rc__alloc(s->len + 1);
        if (!texts[i]) {
            while (i-- > 0) {
                rc_text_free(texts[i], lens[i]);
                texts[i] = NULL;
            }
            return rc_fail(e, RC_ENOMEM, "generate: out of memory for the texts");
        }
        memcpy(texts[i], s->text, s->len);
        texts[i][s->len] = 0;
        lens[i] = s->len;
    }
    return RC_OK;
}

rc_status rc_lm_generate(const rc_lm *m, const char *prompt, size_t prompt_len, const rc_lm_generate_options *opt,
                         char **texts, size_t *lens, rc_error *e) {
    rc_lm_generate_options defaults = rc_lm_generate_options_default();
    generation g = {.m = m, .o = opt ? opt : &defaults};
    bool has_texts = texts && lens;
    rc_status s = check_options(g.o, has_texts, e);
    if (s == RC_OK) s = rc__lm_check(m, e);
    if (s != RC_OK) return s;
    if (g.o->sampler.repetition_penalty != 1) g.window = g.o->sampler.repetition_window;
    for (size_t i = 0; i < g.o->n_stop; i++)
        if (strlen(g.o->stop[i]) > g.longest_stop) g.longest_stop = strlen(g.o->stop[i]);
    g.blocks = g.o->samples / ROWS + (g.o->samples % ROWS != 0);
    s = allocate(&g, e);
    if (s == RC_OK) s = begin(&g, prompt, prompt_len, e);
    if (s == RC_OK) s = run(&g, e);
    if (s == RC_OK && has_texts) s = give_texts(&g, texts, lens, e);
    release(&g);
    return s;
}
