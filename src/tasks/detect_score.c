/* detect_score.c - see detect_score.h. */
#include "tasks/detect_score.h"
#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "recur/optim.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- rows -------------------------------------------------------------------------------------------------------- */

rc_status rc__detect_rows_new(rc__detect_rows *r, size_t channels, bool clock, size_t cap, rc_error *e) {
    *r = (rc__detect_rows){.C = channels, .cap = cap};
    r->z = rc__calloc(cap, channels * sizeof *r->z);
    r->clock = clock ? rc__calloc(cap, RC__DETECT_CLOCK * sizeof *r->clock) : NULL;
    if (r->z && (r->clock || !clock)) return RC_OK;
    rc__detect_rows_free(r);
    return rc_fail(e, RC_ENOMEM, "out of memory for %zu rows of %zu channels", cap, channels);
}

void rc__detect_rows_free(rc__detect_rows *r) {
    rc__free(r->z, r->cap * r->C * sizeof *r->z);
    rc__free(r->clock, r->cap * RC__DETECT_CLOCK * sizeof *r->clock);
    *r = (rc__detect_rows){0};
}

static rc__detect_row row_at(const rc__detect_rows *r, uint64_t i) {
    size_t at = (size_t)(i % r->cap);
    return (rc__detect_row){r->z + at * r->C, r->clock ? r->clock + at * RC__DETECT_CLOCK : NULL};
}

rc__detect_row rc__detect_rows_next(rc__detect_rows *r, rc_real **z, rc_real **clock) {
    size_t at = (size_t)(r->n % r->cap);
    *z = r->z + at * r->C;
    *clock = r->clock ? r->clock + at * RC__DETECT_CLOCK : NULL;
    return row_at(r, r->n++);
}

/* The input at row i, whose predecessors must still be there. */
static void input_at(const rc__detect_net *n, const rc__detect_rows *r, uint64_t i, rc_real *x) {
    const rc_real *before[4096];
    rc__detect_row row = row_at(r, i);
    size_t lags = n->o.kind == RC__DETECT_FORECAST ? n->o.lags : 0;
    for (size_t k = 0; k < lags; k++) before[k] = i > k ? row_at(r, i - 1 - k).z : NULL;
    rc__detect_net_input(n, &row, before, x);
}

void rc__detect_window(const rc__detect_net *n, const rc__detect_rows *r, uint64_t start, size_t T, size_t B, size_t b,
                       rc_real *x, rc_real *targets) {
    bool reversed = n->o.kind == RC__DETECT_AUTOENCODER;
    for (size_t t = 0; t < T; t++) {
        input_at(n, r, start + t, x + (t * B + b) * n->inputs);
        memcpy(targets + ((reversed ? T - 1 - t : t) * B + b) * r->C, row_at(r, start + t).z, r->C * sizeof *targets);
    }
}

/* ---- the engine -------------------------------------------------------------------------------------------------- */

/* Mean and deviation of the last rows by sums over blocks: the window moves on by a block, and nothing that was added
 * is ever subtracted, so no digits are lost to a spike that has left. */
#define BLOCKS 80
typedef struct history {
    double sum[BLOCKS], squares[BLOCKS];
    uint64_t n;
} history;

struct rc__detector {
    const rc__detect_model *m;
    const rc__detect_net *net; /* the model's, or own */
    rc__detect_net *own;
    rc_optim *optim;
    rc_tape *tape;
    rc_state *state;
    rc__detect_rows rows;
    rc_real *x, *h, *p;     /* a row's input, the network's answer and what it means */
    rc_real *wx, *wtargets; /* windows: an autoencoder's, or those to learn from */
    size_t wx_len, wtargets_len;
    history past;
    double *recent, *scores; /* errors of the last rows, their scores before the quiet rule */
    double *parts;           /* (recent, C) what each channel had of those errors */
    double *usual;           /* (BLOCKS, C) sums of the same in the blocks of the past */
    double *low, *high;      /* (C) of all values so far */
    double *expected, *share;
    uint64_t errors; /* rows that had an error */
    uint64_t updates;
};

static size_t block_rows(const rc__detect_options *o) { return o->history / BLOCKS ? o->history / BLOCKS : 1; }

static void history_add(history *h, size_t block, double v) {
    size_t at = (size_t)(h->n / block % BLOCKS);
    if (h->n % block == 0) h->sum[at] = h->squares[at] = 0;
    h->sum[at] += v;
    h->squares[at] += v * v;
    h->n++;
}

static uint64_t history_rows(const history *h, size_t block) {
    uint64_t full = (uint64_t)BLOCKS * block, part = h->n % block;
    return h->n <= full ? h->n : full - (part ? block - part : 0);
}

static void history_moments(const history *h, size_t block, double *mean, double *deviation) {
    uint64_t n = history_rows(h, block);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        sum += h->sum[i];
        squares += h->squares[i];
    }
    *mean = n ? sum / (double)n : 0;
    *deviation = n ? sqrt(fmax(0, squares / (double)n - *mean * *mean)) : 0;
}

/* -log10 of the standard normal's tail beyond z. Past 30 the leading term of its asymptotic series, which is right to
 * 0.1 % there, as erfc ends at 38. */
static double log_tail(double z) {
    double v =
        z < 30 ? -log10(.5 * erfc(z / sqrt(2))) : (z * z / 2 + log(z * sqrt(2 * 3.14159265358979323846))) / log(10);
    return fmin(v, RC__DETECT_MAX_SCORE);
}

static double *reals(size_t n) { return rc__calloc(n ? n : 1, sizeof(double)); }
static void free_reals(double *p, size_t n) { rc__free(p, (n ? n : 1) * sizeof(double)); }

static rc_status own_net(rc__detector *d, rc_error *e) {
    rc_params *from = d->m->base.params;
    rc_optim_options oo = rc_optim_options_default();
    oo.weight_decay = 0;
    oo.clip_norm = 1;
    rc_status s = rc__detect_net_new(&d->own, &d->m->net->o, e);
    if (s == RC_OK) s = rc_params_build(d->own->ps, 0, e);
    if (s != RC_OK) return s;
    memcpy(rc_params_values(d->own->ps), rc_params_values(from), rc_params_block_len(from) * sizeof(rc_real));
    rc_params_changed(d->own->ps);
    d->net = d->own;
    return rc_optim_new(&d->optim, d->own->ps, &oo, e);
}

static size_t update_rows(const rc__detect_options *o) {
    return o->kind == RC__DETECT_AUTOENCODER ? o->window : o->online_rows;
}

rc_status rc__detector_new(rc__detector **out, const rc__detect_model *m, bool online, rc_error *e) {
    const rc__detect_options *o = &m->net->o;
    bool encodes = o->kind == RC__DETECT_AUTOENCODER;
    size_t C = o->channels, span = encodes ? o->window : o->lags, B = online ? o->online_batch : 1;
    *out = NULL;
    rc__detector *d = rc__calloc(1, sizeof *d);
    if (!d) return rc_fail(e, RC_ENOMEM, "detect: out of memory");
    d->m = m;
    d->net = m->net;
    size_t keep = online && o->online_keep < update_rows(o) ? update_rows(o) : online ? o->online_keep : 0;
    rc_status s = rc__detect_rows_new(&d->rows, C, o->clock, keep + span + 1, e);
    if (s == RC_OK && online) s = own_net(d, e);
    if (s == RC_OK && (online || encodes)) s = rc_tape_new(&d->tape, e);
    if (s == RC_OK && !encodes) s = rc_state_new(&d->state, d->net->rnn, 1, e);
    size_t T = online || encodes ? update_rows(o) : 0;
    d->wx_len = T * B * d->net->inputs;
    d->wtargets_len = T * B * C;
    d->x = rc__calloc(d->net->inputs, sizeof *d->x);
    d->h = rc__calloc(rc_rnn_output_size(d->net->rnn), sizeof *d->h);
    d->p = rc__calloc(C * d->net->P, sizeof *d->p);
    d->wx = T ? rc__calloc(d->wx_len, sizeof *d->wx) : NULL;
    d->wtargets = T ? rc__calloc(d->wtargets_len, sizeof *d->wtargets) : NULL;
    d->recent = reals(o->recent);
    d->parts = reals(o->recent * C);
    d->usual = reals(BLOCKS * C);
    d->scores = reals(o->quiet);
    d->low = reals(C);
    d->high = reals(C);
    d->expected = reals(C);
    d->share = reals(C);
    if (s == RC_OK && !(d->x && d->h && d->p && (!T || (d->wx && d->wtargets)) && d->recent && d->parts && d->usual &&
                        d->scores && d->low && d->high && d->expected && d->share))
        s = rc_fail(e, RC_ENOMEM, "detect: out of memory");
    if (s != RC_OK) return rc__detector_free(d), s;
    for (size_t c = 0; c < C; c++) {
        d->low[c] = INFINITY;
        d->high[c] = -INFINITY;
    }
    *out = d;
    return RC_OK;
}

void rc__detector_free(rc__detector *d) {
    if (!d) return;
    const rc__detect_options *o = &d->m->net->o;
    rc__free(d->x, d->net->inputs * sizeof *d->x);
    rc__free(d->h, rc_rnn_output_size(d->net->rnn) * sizeof *d->h);
    rc__free(d->p, o->channels * d->net->P * sizeof *d->p);
    rc__free(d->wx, d->wx_len * sizeof *d->wx);
    rc__free(d->wtargets, d->wtargets_len * sizeof *d->wtargets);
    free_reals(d->recent, o->recent);
    free_reals(d->parts, o->recent * o->channels);
    free_reals(d->usual, BLOCKS * o->channels);
    free_reals(d->scores, o->quiet);
    free_reals(d->low, o->channels);
    free_reals(d->high, o->channels);
    free_reals(d->expected, o->channels);
    free_reals(d->share, o->channels);
    rc_state_free(d->state);
    rc_tape_free(d->tape);
    rc_optim_free(d->optim);
    rc__detect_net_free(d->own);
    rc__detect_rows_free(&d->rows);
    rc__free(d, sizeof *d);
}

uint64_t rc__detector_rows(const rc__detector *d) { return d->rows.n; }

/* p of the newest row; false: the network cannot say yet. */
static rc_status forecast(rc__detector *d, bool *known, rc_error *e) {
    const rc__detect_options *o = &d->net->o;
    uint64_t now = d->rows.n - 1;
    if (o->kind == RC__DETECT_FORECAST) {
        input_at(d->net, &d->rows, now, d->x);
        rc_status s = rc_rnn_step(d->net->rnn, d->state, d->x, d->h, e);
        if (s == RC_OK) rc__detect_net_head(d->net, d->h, d->x, d->p);
        *known = now > 0;
        return s;
    }
    *known = d->rows.n >= o->window;
    if (!*known) return RC_OK;
    rc__detect_window(d->net, &d->rows, d->rows.n - o->window, o->window, 1, 0, d->wx, d->wtargets);
    return rc__detect_net_newest(d->tape, d->net, d->wx, d->p, e);
}

/* Sets error and expected, and notes the error's parts; false: no channel has both a value and a forecast. */
static bool judge(rc__detector *d, const rc_real *z, bool known, rc__detected *out) {
    const rc__detect_model *m = d->m;
    size_t C = d->net->o.channels, there = 0;
    double sum = 0, *parts = d->parts + (size_t)(d->errors % d->net->o.recent) * C;
    for (size_t c = 0; c < C; c++) {
        const rc_real *p = d->p + c * d->net->P;
        d->expected[c] = known ? m->mean[c] + m->scale[c] * (double)p[0] : NAN;
        d->share[c] = NAN;
        if (!known || isnan(z[c])) continue;
        double v = rc__detect_surprise(d->net, p, (double)z[c]);
        d->share[c] = isnan(v) ? 1e4 : fmin(v, 1e4); /* bounded, so that sums of squares keep their digits */
        sum += d->share[c];
        there++;
    }
    out->error = there ? sum / (double)there : NAN;
    for (size_t c = 0; c < C && there; c++) parts[c] = isnan(d->share[c]) ? 0 : d->share[c] / (double)there;
    return there > 0;
}

/* What a channel has more of in the errors of the last rows than in those of the past. */
static double excess(const rc__detector *d, size_t c) {
    const rc__detect_options *o = &d->net->o;
    size_t n = d->errors < o->recent ? (size_t)d->errors : o->recent, C = o->channels;
    uint64_t rows = history_rows(&d->past, block_rows(o));
    double now = 0, usual = 0;
    for (size_t i = 0; i < n; i++) now += d->parts[i * C + c];
    for (size_t i = 0; i < BLOCKS; i++) usual += d->usual[i * C + c];
    return n && rows ? fmax(0, now / (double)n - usual / (double)rows) : 0;
}

/* To which channels the score is due: those that left their range, or those whose error is more than usual. */
static void set_shares(rc__detector *d, const bool *left, bool by_range) {
    size_t C = d->net->o.channels;
    double sum = 0;
    for (size_t c = 0; c < C; c++) {
        d->share[c] = by_range ? (left[c] ? 1 : 0) : excess(d, c);
        sum += d->share[c];
    }
    for (size_t c = 0; c < C; c++) d->share[c] = sum > 0 ? d->share[c] / sum : 1 / (double)C;
}

/* The smallest deviation of errors: the square root of the .0003 that nupic's estimateNormal allows. */
#define LEAST_DEVIATION .0173

static double tail_of(rc__detector *d, double error) {
    const rc__detect_options *o = &d->net->o;
    size_t block = block_rows(o);
    double mean, deviation, sum = 0;
    d->recent[d->errors % o->recent] = error;
    d->errors++;
    size_t n = d->errors < o->recent ? (size_t)d->errors : o->recent;
    for (size_t i = 0; i < n; i++) sum += d->recent[i];
    history_moments(&d->past, block, &mean, &deviation);
    return log_tail((sum / (double)n - mean) / fmax(deviation, LEAST_DEVIATION));
}

/* Which values leave the range of those before, and whether one does; then the range grows. */
static bool beyond(rc__detector *d, const double *x, bool *left) {
    bool any = false;
    for (size_t c = 0; c < d->net->o.channels; c++) {
        left[c] = false;
        if (isnan(x[c])) continue;
        double margin = d->net->o.range * (d->high[c] - d->low[c]);
        left[c] = margin > 0 && (x[c] > d->high[c] + margin || x[c] < d->low[c] - margin);
        any = any || left[c];
        d->low[c] = fmin(d->low[c], x[c]);
        d->high[c] = fmax(d->high[c], x[c]);
    }
    return any;
}

/* The newest row joins the past: from the next row on it is usual. */
static void remember(rc__detector *d, double error) {
    size_t C = d->net->o.channels, block = block_rows(&d->net->o), at = (size_t)(d->past.n / block % BLOCKS);
    const double *parts = d->parts + (size_t)((d->errors - 1) % d->net->o.recent) * C;
    for (size_t c = 0; c < C; c++) d->usual[at * C + c] = (d->past.n % block ? d->usual[at * C + c] : 0) + parts[c];
    history_add(&d->past, block, error);
}

/* One of the last rows was as bad: the same event. */
static bool told(const rc__detector *d, double score) {
    for (size_t i = 0; i < d->net->o.quiet; i++)
        if (d->scores[i] >= score) return true;
    return false;
}

static rc_status learn(rc__detector *d, rc_error *e) {
    const rc__detect_options *o = &d->net->o;
    size_t T = update_rows(o), B = o->online_batch;
    uint64_t n = d->rows.n, first = n > o->online_keep ? n - o->online_keep : 0;
    if (n < T || n % o->online_every != 0) return RC_OK;
    rc_rng rng = rc_rng_make(1, d->updates++);
    for (size_t b = 0; b < B; b++) {
        uint64_t start = b == 0 || n - T <= first ? n - T : first + rc_rng_below(&rng, n - T - first + 1);
        rc__detect_window(d->net, &d->rows, start, T, B, b, d->wx, d->wtargets);
    }
    rc_tape_begin(d->tape, (rc_tape_mode){.grad = true});
    rc_var *loss = rc__detect_net_loss(d->tape, d->net, d->wx, d->wtargets, T, B);
    rc_status s = rc_backward(d->tape, loss, 1, e);
    if (s == RC_OK) s = rc_optim_step(d->optim, o->online_lr, NULL, e);
    if (s == RC_EDIVERGED) { /* values that no float holds: they are not learnt */
        rc_params_zero_grad(d->own->ps);
        s = RC_OK;
    }
    return s;
}

rc_status rc__detector_row(rc__detector *d, int64_t time, const double *x, rc__detected *out, rc_error *e) {
    const rc__detect_options *o = &d->net->o;
    rc_real *z, *clock;
    bool known = false, left[RC__DETECT_MAX_CHANNELS];
    *out = (rc__detected){.expected = d->expected, .share = d->share, .settling = d->rows.n < o->settle};
    rc__detect_rows_next(&d->rows, &z, &clock);
    rc__detect_normalise(d->m, x, z);
    if (clock) rc__detect_clock(time, d->m->style.offset, clock);
    rc_status s = forecast(d, &known, e);
    if (s != RC_OK) return s;
    bool judged = judge(d, z, known, out);
    out->missing = true;
    for (size_t c = 0; c < o->channels; c++) out->missing = out->missing && isnan(x[c]);
    out->beyond = beyond(d, x, left) && o->range >= 0 && !out->settling;
    double score = 0;
    if (judged) {
        double tail = tail_of(d, out->error);
        out->tail = out->settling ? 0 : tail;
        score = fmax(out->tail, out->beyond ? RC__DETECT_BEYOND : 0);
        set_shares(d, left, out->beyond && out->tail < RC__DETECT_BEYOND);
        remember(d, out->error);
    }
    out->score = told(d, score) ? 0 : score;
    if (o->quiet) d->scores[(d->rows.n - 1) % o->quiet] = score;
    out->alarm = out->score > 0 && out->score >= o->threshold;
    return d->own ? learn(d, e) : RC_OK;
}

/* ---- the state as a file ----------------------------------------------------------------------------------------- */

#define FORMAT 1

/* Of the model's weights and settings: a state belongs to one model. */
static rc_status fingerprint(const rc__detect_model *m, char out[17], rc_error *e) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    const unsigned char *w = (const unsigned char *)rc_params_values(m->base.params);
    for (size_t i = 0; i < rc_params_block_len(m->base.params) * sizeof(rc_real); i++)
        hash = (hash ^ w[i]) * 1099511628211u;
    json_t *doc = json_object();
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__detect_document(&m->base, doc, e);
    if (s == RC_OK) s = rc__json_print(doc, &text, &len, e);
    for (size_t i = 0; i < len; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    if (text) rc__free(text, len + 1);
    json_decref(doc);
    snprintf(out, 17, "%016" PRIx64, hash);
    return s;
}

typedef struct part {
    const char *name;
    void *data;
    size_t len;
    rc__st_dtype dtype;
    bool any; /* NaN and infinity are fine */
} part;
#define MAX_PARTS 16

static size_t parts_of(rc__detector *d, part out[MAX_PARTS]) {
    const rc__detect_options *o = &d->net->o;
    size_t n = 0, C = o->channels;
    if (d->state) out[n++] = (part){"h", rc_state_h(d->state), rc_state_h_len(d->state), RC_ST_REAL, false};
    if (d->state && rc_state_c(d->state))
        out[n++] = (part){"c", rc_state_c(d->state), rc_state_c_len(d->state), RC_ST_REAL, false};
    out[n++] = (part){"rows", d->rows.z, d->rows.cap * C, RC_ST_REAL, true};
    if (d->rows.clock) out[n++] = (part){"clock", d->rows.clock, d->rows.cap * RC__DETECT_CLOCK, RC_ST_REAL, false};
    out[n++] = (part){"history.sum", d->past.sum, BLOCKS, RC_ST_F64, false};
    out[n++] = (part){"history.squares", d->past.squares, BLOCKS, RC_ST_F64, false};
    out[n++] = (part){"recent", d->recent, o->recent, RC_ST_F64, false};
    out[n++] = (part){"parts", d->parts, o->recent * C, RC_ST_F64, false};
    out[n++] = (part){"usual", d->usual, BLOCKS * C, RC_ST_F64, false};
    if (o->quiet) out[n++] = (part){"scores", d->scores, o->quiet, RC_ST_F64, false};
    out[n++] = (part){"low", d->low, C, RC_ST_F64, true};
    out[n++] = (part){"high", d->high, C, RC_ST_F64, true};
    return n;
}

static const char prefix_weights[] = "weights.";

rc_status rc__detector_save(rc__detector *d, const char *path, rc_error *e) {
    part parts[MAX_PARTS];
    char print[17], *text = NULL;
    size_t n = parts_of(d, parts), len = 0;
    rc__st_list list = {0};
    rc_status s = fingerprint(d->m, print, e);
    for (size_t i = 0; s == RC_OK && i < n; i++)
        s = rc__st_list_add(&list, NULL, parts[i].name, parts[i].dtype, 1, &parts[i].len, parts[i].data, e);
    if (s == RC_OK && d->own) s = rc__params_list(&list, d->own->ps, NULL, prefix_weights, e);
    for (size_t i = 0; s == RC_OK && d->own && i < rc_optim_blocks(d->optim); i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "optimizer.%s.", rc_optim_block_name(d->optim, i));
        s = rc__params_list(&list, d->own->ps, rc_optim_block(d->optim, i), prefix, e);
    }
    json_t *doc = json_pack("{si ss ss sb sI sI sI sI sI}", "format", FORMAT, "content", "detector state", "model",
                            print, "online", d->own ? 1 : 0, "rows", (json_int_t)d->rows.n, "errors",
                            (json_int_t)d->errors, "history", (json_int_t)d->past.n, "updates", (json_int_t)d->updates,
                            "steps", (json_int_t)(d->optim ? rc_optim_steps(d->optim) : 0));
    if (s == RC_OK) s = rc__json_print(doc, &text, &len, e);
    if (s == RC_OK) s = rc__st_write(path, list.tensor, list.n, &(rc__st_meta){"recur", text}, 1, e);
    if (text) rc__free(text, len + 1);
    json_decref(doc);
    rc__st_list_free(&list);
    return s;
}

static rc_status read_part(const rc__st_file *f, const part *p, rc_error *e) {
    const rc__st_tensor *t;
    rc_status s = rc__st_expect(f, p->name, p->dtype, 1, &p->len, &t, e);
    if (s == RC_OK) s = rc__st_read(f, t, p->data, e);
    for (size_t i = 0; s == RC_OK && !p->any && i < p->len; i++) {
        double v = p->dtype == RC_ST_F64 ? ((double *)p->data)[i] : (double)((rc_real *)p->data)[i];
        if (!isfinite(v))
            s = rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": element %zu is not a finite number", rc__st_name(f), p->name,
                        i);
    }
    return s;
}

static rc_status read_counts(rc__detector *d, const rc__st_file *f, rc_error *e) {
    const char *text = rc__st_get_meta(f, "recur"), *content = NULL, *model = NULL;
    char where[600], print[17];
    json_t *doc = NULL;
    int64_t format = 0, count[5] = {0};
    bool online = false;
    static const char *const names[5] = {"rows", "errors", "history", "updates", "steps"};
    snprintf(where, sizeof where, "%.500s: metadata \"recur\"", rc__st_name(f));
    if (!text) return rc_fail(e, RC_EMODEL, "%s: no metadata \"recur\": not a state of a detector", rc__st_name(f));
    rc_status s = rc__json_parse(text, strlen(text), where, &doc, e);
    if (s == RC_OK) s = rc__json_get_int(doc, "format", RC_JSON_REQUIRED, 1, INT64_MAX, &format, where, e);
    if (s == RC_OK) s = rc__json_get_string(doc, "content", RC_JSON_REQUIRED, &content, where, e);
    if (s == RC_OK && strcmp(content, "detector state") != 0)
        s = rc_fail(e, RC_EMODEL, "%s: expected the state of a detector, found \"%.60s\"", rc__st_name(f), content);
    if (s == RC_OK && format > FORMAT)
        s = rc_fail(e, RC_EMODEL, "%s: format %" PRId64 " was made by a newer recur; this one (%s) reads up to %d",
                    rc__st_name(f), format, rc_version(), FORMAT);
    if (s == RC_OK) s = rc__json_get_string(doc, "model", RC_JSON_REQUIRED, &model, where, e);
    if (s == RC_OK) s = fingerprint(d->m, print, e);
    if (s == RC_OK && strcmp(print, model) != 0)
        s = rc_fail(e, RC_EMODEL, "%s: the state of another model (%.20s, this one is %s)", rc__st_name(f), model,
                    print);
    if (s == RC_OK) s = rc__json_get_bool(doc, "online", RC_JSON_REQUIRED, &online, where, e);
    if (s == RC_OK && online != (d->own != NULL))
        s = rc_fail(e, RC_EMODEL, "%s: this state is of a run %s --online", rc__st_name(f),
                    online ? "with" : "without");
    for (size_t i = 0; s == RC_OK && i < 5; i++)
        s = rc__json_get_int(doc, names[i], RC_JSON_REQUIRED, 0, (int64_t)1 << 60, &count[i], where, e);
    json_decref(doc);
    if (s != RC_OK) return s;
    d->rows.n = (uint64_t)count[0];
    d->errors = (uint64_t)count[1];
    d->past.n = (uint64_t)count[2];
    d->updates = (uint64_t)count[3];
    if (d->optim) rc_optim_set_steps(d->optim, (uint64_t)count[4]);
    return RC_OK;
}

rc_status rc__detector_load(rc__detector *d, const char *path, rc_error *e) {
    rc__st_file *f;
    part parts[MAX_PARTS];
    size_t n = parts_of(d, parts), want = n;
    rc_status s = rc__st_open(&f, path, e);
    if (s != RC_OK) return s;
    s = read_counts(d, f, e);
    for (size_t i = 0; s == RC_OK && i < n; i++) s = read_part(f, &parts[i], e);
    if (d->own) {
        if (s == RC_OK) s = rc__params_read(f, d->own->ps, NULL, prefix_weights, NULL, 0, e);
        for (size_t i = 0; s == RC_OK && i < rc_optim_blocks(d->optim); i++) {
            char prefix[64];
            snprintf(prefix, sizeof prefix, "optimizer.%s.", rc_optim_block_name(d->optim, i));
            s = rc__params_read(f, d->own->ps, rc_optim_block(d->optim, i), prefix, NULL, 0, e);
        }
        want += rc_params_count(d->own->ps) * (1 + rc_optim_blocks(d->optim));
    }
    if (s == RC_OK && rc__st_count(f) != want)
        s = rc_fail(e, RC_EMODEL, "%s: expected %zu tensors, found %zu", path, want, rc__st_count(f));
    rc__st_close(f);
    return s;
}
