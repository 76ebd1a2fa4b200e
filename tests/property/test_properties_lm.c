/* Properties of language models, and of losses and other ops that take lengths, over random models, texts and shapes.
 *
 *   property                                        how equal
 *   ops with lengths: padding and what is in it     the same bits, gradients too
 *   a model: positions without a target             the loss and its count to SUM; gradients up to the order of sums
 *   text whole == in chunks == token by token       states: the same bits; the loss to SUM, token by token to SOFTMAX
 *   evaluation in windows, any batch                to SUM
 *   samples together or fewer of them               the same text
 *   saved and loaded                                the same bits: parameters, losses, steps, text
 *   1, 2, 3, 4 threads                              the same bits, gradients, steps and text too */
#include "lm_helper.h"
#include "property.h"

#include "base/parallel.h"

#define SUM 1e-12    /* sums in double of the same terms in other groups */
#define SOFTMAX 1e-6 /* of terms that float made of the same logits, and double here */
#define ORDER 1e-4 /* of float sums over positions, through layers and back: relative to the largest gradient */

static void check(rc_status status) {
    if (status) broken("%s: %s", rc_status_name(status), E.text);
}
static void close_loss(const char *what, double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance * fmax(1, fabs(b)))) broken("%s: %.12g and %.12g", what, a, b);
}

/* ---- ops with lengths ------------------------------------------------------------------------------------------------ */

enum { LOSSES = 7, TIME_OPS = 3, KINDS = LOSSES + TIME_OPS + 1 };
static const char *const kinds[KINDS] = {"cross-entropy", "linear cross-entropy", "bce", "mse", "mae", "huber", "quantile",
                                         "mean over time", "max over time", "last step", "batch norm"};

typedef struct op_case {
    int kind;
    size_t T, B, F, V; /* V: classes of the linear cross-entropy */
    int32_t len[70];
    rc_loss_options o;
    const float *w, *bias;
} op_case;

typedef struct op_data { /* (T, B, .) */
    float *x, *targets;
    int32_t *classes;
} op_data;

static rc_var *op_of(rc_tape *t, const op_case *c, const op_data *d, rc_var *x, rc_var *w, rc_var *b, float *stat) {
    switch (c->kind) {
    case 0: return rc_cross_entropy(t, x, d->classes, &c->o);
    case 1: return rc_linear_cross_entropy(t, x, w, b, d->classes, &c->o, NULL, NULL);
    case 2: return rc_bce_logits(t, x, d->targets, &c->o);
    case 3: return rc_mse(t, x, d->targets, &c->o);
    case 4: return rc_mae(t, x, d->targets, &c->o);
    case 5: return rc_huber(t, x, d->targets, &c->o);
    case 6: return rc_quantile(t, x, d->targets, &c->o);
    case 7: return rc_mean_time(t, x, c->len);
    case 8: return rc_max_time(t, x, c->len);
    case 9: return rc_last_time(t, x, c->len);
    default: return rc_batch_norm(t, x, c->len, NULL, NULL, stat, stat + c->F, 0.1, 1e-3);
    }
}

typedef struct op_result {
    float *y, *dx, *dw, *db, stat[2 * 80];
    size_t len;
} op_result;

static float *copied(const float *x, size_t n) {
    float *to = calloc(n + 1, sizeof *to);
    if (x) memcpy(to, x, n * sizeof *to);
    return to;
}

static op_result op_run(const op_case *c, const op_data *d) {
    rc_tape *t;
    op_result r = {0};
    for (size_t i = 0; i < c->F; i++) r.stat[c->F + i] = 1;
    check(rc_tape_new(&t, &E));
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
    rc_var *x = rc_leaf(t, 3, (size_t[]){c->T, c->B, c->F}, d->x);
    rc_var *w = rc_leaf(t, 2, (size_t[]){c->V, c->F}, c->w), *b = rc_leaf(t, 1, &c->V, c->bias);
    rc_var *y = op_of(t, c, d, x, w, b, r.stat), *z = y;
    if (y->len > 1 && c->kind == KINDS - 1) { /* of valid steps alone: what is beyond is not said to be anything */
        rc_loss_options o = rc_loss_options_default();
        o.lengths = c->len;
        z = rc_mse(t, y, d->targets, &o);
    } else if (y->len > 1) {
        z = rc_sum_all(t, rc_mul(t, y, y));
    }
    check(rc_backward(t, z, 1, &E));
    r.y = copied(c->kind == KINDS - 1 ? z->x : y->x, r.len = c->kind == KINDS - 1 ? 1 : y->len);
    r.dx = copied(x->dx, x->len);
    r.dw = copied(w->dx, w->len);
    r.db = copied(b->dx, b->len);
    rc_tape_free(t);
    return r;
}

static op_data op_padded(rc_rng *r, const op_case *c, const op_data *from, size_t T) {
    static const float junk[] = {NAN, INFINITY, -INFINITY, 1e30f, 0};
    size_t B = c->B, F = c->F, width = c->kind == 6 ? 1 : F;
    op_data d = {malloc(T * B * F * sizeof(float)), malloc(T * B * width * sizeof(float)), malloc(T * B * sizeof(int32_t))};
    for (size_t t = 0; t < T; t++)
        for (size_t b = 0; b < B; b++) {
            size_t i = t * B + b;
            bool inside = t < (size_t)c->len[b];
            d.classes[i] = inside ? from->classes[i] : (int32_t)between(r, 0, 99) * 1000 - 50000;
            for (size_t k = 0; k < F; k++) d.x[i * F + k] = inside ? from->x[i * F + k] : junk[between(r, 0, 4)];
            for (size_t k = 0; k < width; k++)
                d.targets[i * width + k] = inside ? from->targets[i * width + k] : junk[between(r, 0, 4)];
        }
    return d;
}
static void op_free(op_data *d) { free(d->x), free(d->targets), free(d->classes); }
static void op_result_free(op_result *r) { free(r->y), free(r->dx), free(r->dw), free(r->db); }

static float *normal(rc_rng *r, size_t n) {
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)rc_rng_normal(r);
    return x;
}

static void ops_with_lengths(rc_rng *r) {
    static const double quantiles[] = {0.1, 0.5, 0.9};
    op_case c = {.kind = (int)between(r, 0, KINDS - 1), .T = between(r, 1, 20), .B = any_size(r, 70), .F = any_size(r, 80),
                 .o = rc_loss_options_default()};
    if (c.kind == 6) c.F = 3, c.o.quantiles = quantiles, c.o.n_quantiles = 3;
    if (c.kind == 0 && c.F < 2) c.F = 2;
    c.V = c.kind == 1 ? 1 + any_size(r, 200) : 2;
    size_t classes = c.kind == 1 ? c.V : c.F, n = c.T * c.B, same = between(r, 0, c.T);
    bool equal = chance(r, 0.2);
    for (size_t b = 0; b < c.B; b++) c.len[b] = (int32_t)(equal ? same : between(r, 0, c.T));
    size_t valid = 0;
    for (size_t b = 0; b < c.B; b++) valid += (size_t)c.len[b];
    if (c.kind == KINDS - 1 && valid < 2) return; /* a batch norm of one value is refused */
    float *weights = normal(r, classes), *w = normal(r, c.V * c.F), *bias = normal(r, c.V);
    for (size_t i = 0; i < classes; i++) weights[i] = fabsf(weights[i]) + 0.1f;
    c.w = w, c.bias = bias;
    c.o.lengths = c.len;
    c.o.sum = chance(r, 0.5);
    c.o.label_smoothing = c.kind <= 1 && chance(r, 0.5) ? 0.2 : 0;
    if (c.kind <= 2 && chance(r, 0.5)) c.o.class_weights = weights;
    op_data d = {normal(r, n * c.F), normal(r, n * c.F), malloc(n * sizeof(int32_t))};
    for (size_t i = 0; i < n; i++) d.classes[i] = chance(r, 0.1) ? -100 : (int32_t)between(r, 0, classes - 1);
    for (size_t i = 0; c.kind == 2 && i < n * c.F; i++) d.targets[i] = d.targets[i] > 0;
    size_t more = between(r, 0, 9);
    snprintf(property_text, sizeof property_text, "%s of (%zu, %zu, %zu), %zu classes, %zu steps more, lengths %s", kinds[c.kind],
             c.T, c.B, c.F, c.V, more, equal ? "all the same" : "any");
    op_data e = op_padded(r, &c, &d, c.T + more);
    op_case longer = c;
    longer.T += more;
    op_result a = op_run(&c, &d), b = op_run(&longer, &e);
    same_bits("value", a.y, b.y, a.len < b.len ? a.len : b.len);
    same_bits("gradient of w", a.dw, b.dw, c.V * c.F), same_bits("gradient of b", a.db, b.db, c.V);
    same_bits("running mean and variance", a.stat, b.stat, 2 * c.F);
    for (size_t i = 0; i < longer.T * c.B * c.F; i++) {
        size_t row = i / c.F;
        bool inside = row / c.B < (size_t)c.len[row % c.B];
        if (!inside && b.dx[i] != 0) broken("gradient %zu in the padding is %g", i, (double)b.dx[i]);
        if (inside) same_bits("gradient of x", a.dx + i, b.dx + i, 1);
    }
    op_result_free(&a), op_result_free(&b);
    op_free(&d), op_free(&e);
    free(weights), free(w), free(bias);
}

/* ---- models ---------------------------------------------------------------------------------------------------------- */

static char *draw_text(rc_rng *r, size_t words, size_t *len) {
    static const char *const all[] = {"the", "cat", "sat", "on", "a", "mat", "\xc3\xa4rger", "and", "saw", "dog", "\xe2\x82\xac", "x"};
    char *text = malloc(words * 8 + 1);
    size_t n = 0;
    for (size_t i = 0; i < words; i++)
        n += (size_t)sprintf(text + n, "%s%c", all[between(r, 0, 11)], chance(r, 0.1) ? '\n' : ' ');
    *len = n;
    return text;
}

typedef struct lm_case {
    rc_lm *m;
    char *text;
    size_t len, n, V;
    int32_t *ids;
    rc_precision precision;
} lm_case;

static double probability(rc_rng *r) { return chance(r, 0.4) ? 0.1 + 0.5 * rc_rng_uniform(r) : 0; }

static lm_case lm_draw(rc_rng *r, bool learns) {
    static const char *const specs[] = {"char", "byte", "word", "word:7", "bpe:270"};
    const rc_cell_info *cell = rc_cell_at(between(r, 0, rc_cell_count() - 1));
    rc_lm_options o = rc_lm_options_default();
    o.rnn.cell = cell->name;
    o.rnn.hidden_size = any_size(r, 50);
    o.rnn.num_layers = (int)between(r, 1, 2);
    if (cell->projects) o.rnn.proj_size = between(r, 1, o.rnn.hidden_size);
    o.rnn.no_bias = chance(r, 0.2);
    o.rnn.dropout = probability(r);
    if (cell->recurrent) {
        o.rnn.skip = (rc_skip)between(r, 0, 2);
        o.rnn.recurrent_dropout = probability(r), o.rnn.zoneout_h = probability(r);
        o.rnn.zoneout_c = cell->has_c ? probability(r) : 0;
        o.rnn.weight_drop = strncmp(cell->name, "min", 3) ? probability(r) : 0;
        o.rnn.learn_initial_state = chance(r, 0.3);
    } else {
        o.rnn.positions = (rc_positions)between(r, 1, 4); /* rotary needs even widths */
        o.rnn.context = between(r, 0, 20);
        o.rnn.ffn_kind = (rc_ffn_kind)between(r, 0, 2);
        o.rnn.rms_norm = chance(r, 0.5), o.rnn.post_norm = chance(r, 0.5);
        o.rnn.attention_dropout = probability(r);
    }
    o.embedding_size = any_size(r, 50);
    o.tied = chance(r, 0.5);
    o.dropout_input = probability(r), o.dropout_output = probability(r), o.dropout_embedding = probability(r);
    o.dropout_sequence = chance(r, 0.5);
    lm_case c = {.precision = (rc_precision)between(r, RC_FP32, learns ? RC_BF16 : RC_INT8)};
    const char *spec = specs[between(r, 0, 4)];
    c.text = draw_text(r, between(r, 20, 200), &c.len);
    snprintf(property_text, sizeof property_text,
             "%s %s, %s %d x %zu, embedding %zu%s, skip %d, masks %.2f %.2f %.2f %.2f %.2f, %.2f %.2f %.2f, %zu bytes",
             rc_precision_name(c.precision), spec, cell->name, o.rnn.num_layers, o.rnn.hidden_size, o.embedding_size,
             o.tied ? " tied" : "", (int)o.rnn.skip, o.rnn.dropout, o.rnn.recurrent_dropout, o.rnn.zoneout_h, o.rnn.zoneout_c,
             o.rnn.weight_drop, o.dropout_input, o.dropout_output, o.dropout_embedding, c.len);
    rc_vocab *v = NULL;
    check(rc_vocab_train(&v, spec, c.text, c.len, &E));
    check(rc_lm_new(&c.m, v, &o, rc_rng_u32(r), &E));
    rc_params *ps = rc_lm_params(c.m);
    for (size_t i = 0; i < rc_params_count(ps); i++) {
        rc_param *p = rc_params_at(ps, i);
        for (size_t k = 0; k < p->len; k++) p->w[k] += (float)(0.1 * rc_rng_normal(r));
    }
    rc_params_changed(ps);
    check(rc_params_set_precision(ps, c.precision, &E));
    check(rc_vocab_encode(v, c.text, c.len, &c.ids, &c.n, NULL, &E));
    c.V = rc_vocab_size(v);
    return c;
}
static void lm_free(lm_case *c) {
    rc_ids_free(c->ids, c->n);
    rc_lm_free(c->m);
    free(c->text);
}

typedef struct loss {
    double nll;
    size_t count;
    float *grads; /* NULL at inference */
    float *h;     /* the state afterwards */
} loss;

static loss loss_of(const lm_case *c, rc_tape_mode mode, const int32_t *ids, const int32_t *targets, size_t T, size_t B,
                    rc_state *state) {
    rc_tape *t;
    loss l = {0};
    rc_params *ps = rc_lm_params(c->m);
    check(rc_tape_new(&t, &E));
    rc_params_zero_grad(ps);
    rc_tape_begin(t, mode);
    rc_var *v = rc_lm_loss(t, c->m, ids, targets, T, B, state, &l.nll, &l.count);
    check(rc_tape_status(t, &E));
    if (mode.grad) {
        check(rc_backward(t, v, 1, &E));
        l.grads = copied(rc_params_grads(ps), rc_params_block_len(ps));
    }
    if (state) l.h = copied(rc_state_h(state), rc_state_h_len(state));
    rc_tape_free(t);
    return l;
}

/* (T, B) tokens and what follows them; some without a target. */
static void batch_of(rc_rng *r, const lm_case *c, size_t T, size_t B, int32_t *ids, int32_t *targets) {
    for (size_t b = 0; b < B; b++) {
        size_t at = between(r, 0, c->n - 2);
        for (size_t t = 0; t < T; t++, at++) {
            ids[t * B + b] = c->ids[at % (c->n - 1)];
            targets[t * B + b] = chance(r, 0.1) ? -100 : c->ids[at % (c->n - 1) + 1];
        }
    }
}

/* Steps at the end and rows at the end without a target, whatever tokens are there. No masks: they are drawn for all rows. */
static void without_targets(rc_rng *r) {
    lm_case c = lm_draw(r, true);
    enum { MOST = 30 * 30 };
    size_t T = between(r, 1, 20), B = between(r, 1, 20), more = between(r, 0, 9), rows = between(r, 0, 9), W = B + rows;
    int32_t ids[MOST], targets[MOST], longer_ids[MOST], longer_targets[MOST];
    batch_of(r, &c, T, B, ids, targets);
    for (size_t t = 0; t < T + more; t++)
        for (size_t b = 0; b < W; b++) {
            bool inside = t < T && b < B;
            longer_ids[t * W + b] = inside ? ids[t * B + b] : (int32_t)between(r, 0, c.V - 1);
            longer_targets[t * W + b] = inside ? targets[t * B + b] : -100;
        }
    rc_tape_mode mode = {.grad = true};
    loss a = loss_of(&c, mode, ids, targets, T, B, NULL), b = loss_of(&c, mode, longer_ids, longer_targets, T + more, W, NULL);
    close_loss("loss", b.nll, a.nll, SUM);
    if (a.count != b.count) broken("%zu and %zu scored", a.count, b.count);
    double most = 1e-3;
    size_t n = rc_params_block_len(rc_lm_params(c.m));
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a.grads[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a.grads[i] - (double)b.grads[i]) <= ORDER * most))
            broken("gradient %zu is %g and %g, the largest %g", i, (double)a.grads[i], (double)b.grads[i], most);
    free(a.grads), free(b.grads);
    lm_free(&c);
}

static bool recurrent(const lm_case *c) { return rc_cell_find(rc_lm_get_options(c->m)->rnn.cell)->recurrent; }
/* Attention adds up the keys of a state and those of the same call in other pieces than those of one call. */
static double pieces(const lm_case *c) { return recurrent(c) ? SUM : 1e-5; }

/* The same bits; keys and values of blocks to rounding. */
static void same_state(const lm_case *c, const char *what, const float *a, const float *b, size_t n) {
    if (recurrent(c)) {
        same_bits(what, a, b, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= 1e-4 * fmax(1, fabs((double)b[i]))))
            broken("%s: element %zu is %g and %g", what, i, (double)a[i], (double)b[i]);
}

static void chunks_and_tokens(rc_rng *r) {
    lm_case c = lm_draw(r, false);
    size_t n = c.n - 1 < 60 ? c.n - 1 : 60;
    rc_state *s;
    check(rc_state_new(&s, rc_lm_rnn(c.m), 1, &E));
    loss whole = loss_of(&c, (rc_tape_mode){0}, c.ids, c.ids + 1, n, 1, s);
    rc_state_reset(s, rc_lm_rnn(c.m));
    double sum = 0;
    for (size_t first = 0, steps; first < n; first += steps) {
        steps = between(r, 1, n - first);
        loss part = loss_of(&c, (rc_tape_mode){0}, c.ids + first, c.ids + first + 1, steps, 1, s);
        sum += part.nll;
        free(part.h);
    }
    close_loss("chunks", sum, whole.nll, pieces(&c));
    same_state(&c, "state after chunks", rc_state_h(s), whole.h, rc_state_h_len(s));
    rc_state_reset(s, rc_lm_rnn(c.m));
    rc_real *logits = malloc(c.V * sizeof *logits);
    sum = 0;
    for (size_t i = 0; i < n; i++) {
        check(rc_lm_step(c.m, s, c.ids + i, logits, &E));
        sum += nll_of_logits(logits, c.V, c.ids[i + 1]);
    }
    close_loss("token by token", sum, whole.nll, recurrent(&c) ? SOFTMAX : pieces(&c));
    same_state(&c, "state after tokens", rc_state_h(s), whole.h, rc_state_h_len(s));
    free(logits), free(whole.h);
    rc_state_free(s);
    lm_free(&c);
}

static void evaluation(rc_rng *r) {
    lm_case c = lm_draw(r, false);
    rc_lm_eval_options o = rc_lm_eval_options_default();
    rc_lm_score a, b;
    o.window = between(r, 1, 30);
    o.batch = 1;
    check(rc_lm_eval(c.m, c.text, c.len, &o, &a, &E));
    o.batch = between(r, 2, 70);
    check(rc_lm_eval(c.m, c.text, c.len, &o, &b, &E));
    close_loss("windows, another batch", b.nll, a.nll, SUM);
    if (a.tokens != b.tokens || a.bytes != b.bytes || a.words != b.words || a.chars != b.chars || a.unknown != b.unknown)
        broken("units of the text differ");
    o.window = c.n; /* one window is the whole text in one pass */
    check(rc_lm_eval(c.m, c.text, c.len, &o, &a, &E));
    check(rc_lm_eval(c.m, c.text, c.len, NULL, &b, &E));
    close_loss("one window and one pass", a.nll, b.nll, pieces(&c));
    lm_free(&c);
}

static void generate(const lm_case *c, size_t samples, uint64_t seed, char **texts, size_t *lens) {
    rc_lm_generate_options o = rc_lm_generate_options_default();
    o.length = 30;
    o.samples = samples;
    o.seed = seed;
    o.sampler.top_p = 0.9;
    o.sampler.repetition_penalty = 1.2;
    size_t prompt = c->len < 40 ? c->len : 40;
    while (c->text[prompt - 1] != ' ' && c->text[prompt - 1] != '\n') prompt--; /* no part of a character */
    check(rc_lm_generate(c->m, c->text, prompt, &o, texts, lens, &E));
}
static void same_texts(const char *what, char **a, const size_t *na, char **b, const size_t *nb, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (na[i] != nb[i] || memcmp(a[i], b[i], na[i])) broken("%s: text %zu is \"%s\" and \"%s\"", what, i, a[i], b[i]);
}
static void free_texts(char **texts, const size_t *lens, size_t n) {
    for (size_t i = 0; i < n; i++) rc_text_free(texts[i], lens[i]);
}

static void samples(rc_rng *r) {
    lm_case c = lm_draw(r, false);
    char *all[9], *few[9];
    size_t n_all[9], n_few[9], many = between(r, 2, 9), some = between(r, 1, many - 1);
    uint64_t seed = rc_rng_u32(r);
    generate(&c, many, seed, all, n_all);
    generate(&c, some, seed, few, n_few);
    same_texts("fewer samples", few, n_few, all, n_all, some);
    free_texts(all, n_all, many), free_texts(few, n_few, some);
    lm_free(&c);
}

static void files(rc_rng *r) {
    lm_case c = lm_draw(r, true), d = c;
    const char *path = temp_path("property.safetensors");
    check(rc_lm_save(c.m, path, "{\"n\": 1}", &E));
    check(rc_lm_load(&d.m, path, &E));
    unlink(path);
    check(rc_params_set_precision(rc_lm_params(d.m), c.precision, &E));
    rc_params *a = rc_lm_params(c.m), *b = rc_lm_params(d.m);
    if (rc_params_block_len(a) != rc_params_block_len(b)) broken("other sizes");
    same_bits("parameters", rc_params_values(b), rc_params_values(a), rc_params_block_len(a));
    size_t T = c.n - 1 < 20 ? c.n - 1 : 20;
    rc_tape_mode mode = {.grad = true, .training = true, .seed = 1, .step = 2}; /* the masks too */
    loss x = loss_of(&c, mode, c.ids, c.ids + 1, T, 1, NULL), y = loss_of(&d, mode, c.ids, c.ids + 1, T, 1, NULL);
    if (x.nll != y.nll) broken("loss %.12g and %.12g", x.nll, y.nll);
    same_bits("gradients", y.grads, x.grads, rc_params_block_len(a));
    char *s[2], *t[2];
    size_t ns[2], nt[2];
    generate(&c, 2, 3, s, ns), generate(&d, 2, 3, t, nt);
    same_texts("loaded", t, nt, s, ns, 2);
    free_texts(s, ns, 2), free_texts(t, nt, 2);
    free(x.grads), free(y.grads);
    rc_lm_free(d.m);
    lm_free(&c);
}

static void threads(rc_rng *r) {
    lm_case c = lm_draw(r, true);
    size_t T = between(r, 1, 20), B = between(r, 1, 30);
    int32_t ids[600], targets[600];
    batch_of(r, &c, T, B, ids, targets);
    rc_tape_mode mode = {.grad = true, .training = true, .seed = rc_rng_u32(r)};
    if (chance(r, 0.3)) check(rc_lm_sample_softmax(c.m, between(r, 1, c.V), c.ids, c.n, &E));
    rc__parallel_threshold = 0;
    loss first = {0};
    char *texts[2], *now[2];
    size_t lens[2], n[2];
    for (int k = 1; k <= 4; k++) {
        check(rc_set_threads(k, &E));
        rc_params_changed(rc_lm_params(c.m));
        loss l = loss_of(&c, mode, ids, targets, T, B, NULL);
        generate(&c, 2, 5, k == 1 ? texts : now, k == 1 ? lens : n);
        if (k == 1) {
            first = l;
            continue;
        }
        if (l.nll != first.nll || l.count != first.count) broken("%d threads: loss %.12g and %.12g", k, l.nll, first.nll);
        same_bits("gradients by threads", l.grads, first.grads, rc_params_block_len(rc_lm_params(c.m)));
        same_texts("by threads", now, n, texts, lens, 2);
        free_texts(now, n, 2);
        free(l.grads);
    }
    free_texts(texts, lens, 2);
    free(first.grads);
    lm_free(&c);
}

/* ---- all of them ----------------------------------------------------------------------------------------------------- */

/* Seeds that failed once, beyond the first ones. */
static const uint64_t listed[] = {0};

PROPERTY(ops_with_lengths, 300)
PROPERTY(without_targets, 100)
PROPERTY(chunks_and_tokens, 100)
PROPERTY(evaluation, 60)
PROPERTY(samples, 60)
PROPERTY(files, 60)
PROPERTY(threads, 60)

int main(void) {
    const struct CMUnitTest tests[] = {
        OF_PROPERTY(ops_with_lengths), OF_PROPERTY(without_targets), OF_PROPERTY(chunks_and_tokens),
        OF_PROPERTY(evaluation), OF_PROPERTY(samples), OF_PROPERTY(files),
        OF_PROPERTY(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
