/* lm_eval.c - how well a language model predicts a text (docs/evaluation.md defines every number).
 *
 *   stateful   one stream from the initial state through the whole text; cut into segments only to bound memory, the
 *              state goes from one to the next, so the result is that of the whole text at once
 *   windowed   windows of W tokens side by side as rows of a batch, each from the initial state
 *   dynamic    stateful, and after a segment was scored the model takes a step of gradient descent on it (Krause et al.
 *              2018, "Dynamic evaluation of neural sequence models", eq. 1 with plain SGD)
 *
 * In all three, token i is predicted once, from tokens before it alone; token 0 has none and is not scored.
 */
#include "base/file.h"
#include "base/mem.h"
#include "data/utf8.h"
#include "recur/optim.h"
#include "tasks/lm.h"
#include <math.h>
#include <string.h>

#define STREAM_TOKENS 256 /* tokens of a stateful segment: large enough for full speed of the softmax's product */
#define NO_TARGET     (-100)
#define DYNAMIC_LR    0.1
#define DYNAMIC_CLIP  1.0

rc_lm_eval_options rc_lm_eval_options_default(void) {
    return (rc_lm_eval_options){.batch = 64, .dynamic_lr = DYNAMIC_LR, .segment = 64};
}

/* One pass. */
typedef struct pass {
    rc_lm *m;
    const int32_t *ids;
    size_t n;
    const rc_lm_eval_options *opt;
    rc_tape *tape;
    rc_state *state;
    double nll;
    size_t tokens;
} pass;

/* Scores (T, B) inputs and adds to the sums; *loss is the variable of the mean. */
static rc_status score(pass *p, bool grad, const int32_t *ids, const int32_t *targets, size_t seq_len, size_t batch,
                       rc_var **loss, rc_error *e) {
    double nll = 0;
    size_t count = 0;
    rc_tape_begin(p->tape, (rc_tape_mode){.grad = grad});
    *loss = rc_lm_loss(p->tape, p->m, ids, targets, seq_len, batch, p->state, &nll, &count);
    rc_status s = rc_tape_status(p->tape, e);
    if (s != RC_OK) return s;
    if (!isfinite(nll))
        return rc_fail(e, RC_EDIVERGED,
                       "evaluation: the loss is %g near token %zu of %zu: the weights are out of range", nll, p->tokens,
                       p->n);
    p->nll += nll;
    p->tokens += count;
    return RC_OK;
}

static rc_status stateful(pass *p, rc_error *e) {
    rc_var *loss;
    rc_status s = rc_state_new(&p->state, p->m->rnn, 1, e);
    for (size_t i = 0; s == RC_OK && i + 1 < p->n; i += STREAM_TOKENS) {
        size_t left = p->n - 1 - i, len = left < STREAM_TOKENS ? left : STREAM_TOKENS;
        s = score(p, false, p->ids + i, p->ids + i + 1, len, 1, &loss, e);
    }
    return s;
}

static rc_status dynamic_segments(pass *p, rc_optim *optim, rc_error *e) {
    rc_var *loss;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i + 1 < p->n; i += p->opt->segment) {
        size_t left = p->n - 1 - i, len = left < p->opt->segment ? left : p->opt->segment;
        s = score(p, true, p->ids + i, p->ids + i + 1, len, 1, &loss, e);
        if (s == RC_OK && left > len) s = rc_backward(p->tape, loss, 1, e);
        if (s == RC_OK && left > len) s = rc_optim_step(optim, p->opt->dynamic_lr, NULL, e);
    }
    return s;
}

/* The weights come back bit for bit, whatever happened; gradients are left zero. */
static rc_status dynamic(pass *p, rc_error *e) {
    rc_params *ps = p->m->params;
    size_t bytes = rc_params_block_len(ps) * sizeof(rc_real);
    rc_real *kept = rc__alloc(bytes);
    if (!kept) return rc_fail(e, RC_ENOMEM, "evaluation: out of memory for a copy of the weights (%zu bytes)", bytes);
    memcpy(kept, rc_params_values(ps), bytes);
    rc_params_zero_grad(ps);
    rc_optim *optim = NULL;
    rc_optim_options oo = rc_optim_options_default();
    oo.kind = RC_OPTIM_SGD;
    oo.weight_decay = 0;
    oo.clip_norm = DYNAMIC_CLIP;
    rc_status s = rc_state_new(&p->state, p->m->rnn, 1, e);
    if (s == RC_OK) s = rc_optim_new(&optim, ps, &oo, e);
    if (s == RC_OK) s = dynamic_segments(p, optim, e);
    rc_optim_free(optim);
    rc_params_zero_grad(ps);
    memcpy(rc_params_values(ps), kept, bytes);
    rc_params_changed(ps);
    rc__free(kept, bytes);
    return s;
}

/* Inputs and targets of windows first .. first+B-1, time first; what lies beyond the text is not scored. */
static void fill_windows(const pass *p, size_t first, size_t B, int32_t *ids, int32_t *targets) {
    size_t W = p->opt->window;
    for (size_t b = 0; b < B; b++)
        for (size_t t = 0; t < W; t++) {
            size_t i = (first + b) * W + t;
            bool in = i + 1 < p->n;
            ids[t * B + b] = in ? p->ids[i] : 0;
            targets[t * B + b] = in ? p->ids[i + 1] : NO_TARGET;
        }
}

static rc_status windowed(pass *p, rc_error *e) {
    size_t W = p->opt->window, n_windows = (p->n - 1 + W - 1) / W;
    size_t batch = p->opt->batch < n_windows ? p->opt->batch : n_windows, cells;
    int32_t *ids = rc__size_mul(batch, W, &cells) ? rc__calloc(cells, 2 * sizeof *ids) : NULL;
    if (!ids) return rc_fail(e, RC_ENOMEM, "evaluation: out of memory for %zu windows of %zu tokens", batch, W);
    rc_var *loss;
    rc_status s = RC_OK;
    for (size_t first = 0; s == RC_OK && first < n_windows; first += batch) {
        size_t B = n_windows - first < batch ? n_windows - first : batch;
        fill_windows(p, first, B, ids, ids + cells);
        s = score(p, false, ids, ids + cells, W, B, &loss, e); /* no state: each from the initial one */
    }
    rc__free(ids, cells * 2 * sizeof *ids);
    return s;
}

static rc_status check_options(const rc_lm_eval_options *o, rc_error *e) {
    if (o->window && o->dynamic)
        return rc_fail(e, RC_EINVAL, "evaluation: dynamic evaluation is one stateful pass; it takes no window");
    if (o->window && o->batch == 0) return rc_fail(e, RC_EINVAL, "evaluation: batch is 0, expected 1 or more");
    if (o->dynamic && o->segment == 0) return rc_fail(e, RC_EINVAL, "evaluation: segment is 0, expected 1 or more");
    if (o->dynamic && !(o->dynamic_lr > 0 && isfinite(o->dynamic_lr)))
        return rc_fail(e, RC_EINVAL, "evaluation: dynamic_lr is %g, expected a positive number", o->dynamic_lr);
    return RC_OK;
}

rc_status rc__lm_eval_ids(rc_lm *m, const int32_t *ids, size_t n, const rc_lm_eval_options *opt, rc_lm_score *out,
                          rc_error *e) {
    rc_lm_eval_options defaults = rc_lm_eval_options_default();
    pass p = {.m = m, .ids = ids, .n = n, .opt = opt ? opt : &defaults};
    double start = rc__now();
    rc_status s = check_options(p.opt, e);
    if (s == RC_OK) s = rc__lm_check(m, e);
    if (s == RC_OK && n < 2)
        s = rc_fail(e, RC_EDATA, "evaluation: the text has %zu token%s, expected 2 or more (the first has no context)",
                    n, n == 1 ? "" : "s");
    if (s == RC_OK) s = rc_tape_new(&p.tape, e);
    if (s == RC_OK) s = p.opt->dynamic ? dynamic(&p, e) : p.opt->window ? windowed(&p, e) : stateful(&p, e);
    rc_state_free(p.state);
    rc_tape_free(p.tape);
    if (s != RC_OK) return s;
    out->nll = p.nll;
    out->tokens = p.tokens;
    out->seconds = rc__now() - start;
    return RC_OK;
}

/* ---- what was scored, in other units ----------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Words are separated, so that the first one ends where its text does; of an unknown one only the shape is known. */
static size_t first_word_bytes(const rc_vocab *v, int32_t id, const char *text, size_t len) {
    size_t n = 0;
    const char *word = rc_vocab_entry(v, id, &n);
    const char *hit = id == rc_vocab_unk(v) ? NULL : memmem(text, len, word, n);
    if (hit) return (size_t)(hit - text) + n;
    for (n = 0; n < len && is_space(text[n]);) n++;
    while (n < len && !is_space(text[n])) n++;
    return n;
}

/* Bytes of text that the first token, which is not scored, covers. */
static size_t first_token_bytes(const rc_vocab *v, int32_t id, const char *text, size_t len) {
    size_t n = 0;
    uint32_t cp;
    switch (rc_vocab_get_kind(v)) {
    case RC_VOCAB_CHAR: n = rc__utf8_decode(text, len, &cp); break;
    case RC_VOCAB_WORD: n = first_word_bytes(v, id, text, len); break;
    case RC_VOCAB_BYTE:
    case RC_VOCAB_BPE: (void)rc_vocab_entry(v, id, &n); break;
    }
    return n < len ? n : len;
}

static size_t count_words(const char *text, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += !is_space(text[i]) && (i + 1 == len || is_space(text[i + 1]));
    return n;
}

static void count_units(rc_lm_score *out, const rc_vocab *v, const int32_t *ids, size_t n, const char *text,
                        size_t len) {
    size_t skip = first_token_bytes(v, ids[0], text, len);
    text += skip;
    len -= skip;
    out->bytes = len;
    out->chars = rc__utf8_valid_prefix(text, len) == len ? rc__utf8_count(text, len) : 0;
    out->words = rc_vocab_get_kind(v) == RC_VOCAB_WORD ? out->tokens : count_words(text, len);
    out->unknown = 0;
    for (size_t i = 1; i < n; i++) out->unknown += ids[i] == rc_vocab_unk(v);
}

static double per(double x, size_t count) { return count ? x / (double)count : NAN; }

rc_status rc_lm_eval(rc_lm *m, const char *text, size_t len, const rc_lm_eval_options *opt, rc_lm_score *out,
                     rc_error *e) {
    int32_t *ids = NULL;
    size_t n = 0;
    double start = rc__now();
    rc_status s = rc_vocab_encode(m->vocab, text, len, &ids, &n, NULL, e);
    if (s != RC_OK) return s;
    rc_lm_score score_of = {0};
    s = rc__lm_eval_ids(m, ids, n, opt, &score_of, e);
    if (s == RC_OK) {
        count_units(&score_of, m->vocab, ids, n, text, len);
        score_of.nats_per_token = per(score_of.nll, score_of.tokens);
        score_of.bits_per_byte = per(score_of.nll / M_LN2, score_of.bytes);
        score_of.bits_per_char = per(score_of.nll / M_LN2, score_of.chars);
        score_of.perplexity = exp(score_of.nats_per_token);
        score_of.word_perplexity = exp(per(score_of.nll, score_of.words));
        score_of.seconds = rc__now() - start;
        *out = score_of;
    }
    rc_ids_free(ids, n);
    return s;
}
