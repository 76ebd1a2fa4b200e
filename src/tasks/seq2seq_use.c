/* seq2seq_use.c - a model for sequences at work on texts that come line by line or in a file: results in every form, with what
 * was looked at. Inputs are taken in groups, so that the search has many at once; a pipe that is fed line by line is answered
 * line by line. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tasks/seq2seq.h"
#include "tasks/seq2seq_draw.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

typedef enum show { SHOW_NONE, SHOW_TEXT, SHOW_SVG, SHOW_HTML } show;

/* One input that waits for its answer, and then the answer until those before it are out. */
typedef struct waiting {
    rc__string text;  /* as it came */
    rc__string out;   /* the answer's lines, each with a newline */
    rc__string title; /* of its picture: the best result */
    rc__heatmap_svg map;
    size_t line;
} waiting;

typedef struct predicting {
    const rc__seq2seq *m;
    const rc_predict_options *o;
    const rc_sink *sink;
    rc__seq2seq_search x;
    show show;
    waiting *w;
    size_t n, most;
    rc__id_pairs ids;
    uint64_t *stream; /* the inputs' numbers: what is drawn does not depend on how they come in groups */
    uint64_t count;
    rc__page page;
    rc__string prepared, result;
    rc__cell *pieces, *chosen, *written; /* tokens of a source; of a source for each written one; written ones */
    size_t cap_pieces, cap_chosen, cap_written;
    size_t cut, unknown; /* lines noticed so far */
} predicting;

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void say(const predicting *p, const char *format, size_t line, size_t a, size_t b) {
    char text[256];
    if (!p->o->message) return;
    snprintf(text, sizeof text, format, line, a, b);
    p->o->message(p->o->message_ctx, text);
}

static void notice(predicting *p, size_t line, bool was_cut, size_t tokens, size_t unknown) {
    if (was_cut && p->cut++ == 0)
        say(p, "line %zu: more than %zu tokens: only the first %zu are read", line, p->m->max_source, p->m->max_source);
    if (tokens > 0 && unknown == tokens && p->unknown++ == 0)
        say(p, "line %zu: none of its %zu tokens is known to the model (%zu unknown)", line, tokens, unknown);
}

static void notice_more(const predicting *p) {
    if (p->cut > 1) say(p, "%zu lines in all were cut to %zu tokens", p->cut, p->m->max_source, 0);
    if (p->unknown > 1) say(p, "%zu lines in all have no token that is known", p->unknown, 0, 0);
}

/* ---- tokens to look at ------------------------------------------------------------------------------------------- */

static bool is_words(const rc_vocab *v) { return rc_vocab_get_kind(v) == RC_VOCAB_WORD; }

/* The text's own words when the vocabulary is of words (an entry would say <unk>), else the vocabulary's entries; then the
 * end. */
static rc_status source_pieces(predicting *p, size_t i, size_t *n, rc_error *e) {
    const rc_vocab *v = p->m->source_vocab;
    const int32_t *id = p->ids.source + p->ids.source_start[i];
    *n = p->ids.source_start[i + 1] - p->ids.source_start[i];
    rc_status s = rc__grow((void **)&p->pieces, &p->cap_pieces, *n + 1, sizeof *p->pieces, e);
    if (s != RC_OK) return s;
    for (size_t k = 0; k + 1 < *n; k++) p->pieces[k].text = rc_vocab_entry(v, id[k], &p->pieces[k].len);
    if (*n) p->pieces[*n - 1] = (rc__cell){"</s>", 4};
    if (!is_words(v)) return RC_OK;
    s = rc__seq2seq_prepare(p->m, false, (rc__cell){p->w[i].text.s, p->w[i].text.len}, &p->prepared, e);
    rc__cell rest = {p->prepared.s, p->prepared.len}, word;
    for (size_t k = 0; s == RC_OK && k + 1 < *n && (word = rc__cell_word(&rest)).len; k++) p->pieces[k] = word;
    return s;
}

static size_t most_looked_at(const rc__hypothesis *h, size_t row) {
    size_t best = 0;
    const rc_real *a = h->attention + row * h->input_len;
    for (size_t j = 1; j < h->input_len; j++)
        if (a[j] > a[best]) best = j;
    return best;
}

/* The source's word for each token that was written: of the last one, the end, there is none. */
static rc_status looked_at(predicting *p, const rc__hypothesis *h, size_t n_pieces, rc_error *e) {
    rc_status s = rc__grow((void **)&p->chosen, &p->cap_chosen, h->n + 1, sizeof *p->chosen, e);
    for (size_t t = 0; s == RC_OK && t < h->n; t++) {
        size_t j = most_looked_at(h, t);
        p->chosen[t] = j + 1 < n_pieces ? p->pieces[j] : (rc__cell){NULL, 0};
    }
    return s;
}

static rc_status written_pieces(predicting *p, const rc__hypothesis *h, rc_error *e) {
    rc_status s = rc__grow((void **)&p->written, &p->cap_written, h->n + 1, sizeof *p->written, e);
    if (s != RC_OK) return s;
    for (size_t t = 0; t < h->n; t++)
        p->written[t].text = rc_vocab_entry(p->m->target_vocab, h->token[t], &p->written[t].len);
    p->written[h->n] = (rc__cell){"</s>", 4};
    return RC_OK;
}

/* ---- forms of results -------------------------------------------------------------------------------------------- */

static json_t *cells_json(const rc__cell *c, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *text = json_stringn(c[i].text, c[i].len);
        json_array_append_new(list, text ? text : json_string("\xEF\xBF\xBD")); /* a piece of a character */
    }
    return list;
}

static json_t *attention_json(const rc__hypothesis *h) {
    json_t *rows = json_array();
    for (size_t t = 0; t <= h->n; t++) {
        json_t *row = json_array();
        for (size_t j = 0; j < h->input_len; j++)
            json_array_append_new(row, json_real(round(1e4 * (double)h->attention[t * h->input_len + j]) / 1e4));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *result_json(const predicting *p, const rc__hypothesis *h) {
    return json_pack("{so so so sb}", "text", json_stringn(p->result.s ? p->result.s : "", p->result.len), "score",
                     rc__real_or_null(h->score), "logp", rc__real_or_null(h->logp), "finished", h->finished);
}

/* {"source": ..., "text": ..., "score": ..., "nbest": [...]} */
static rc_status add_json(predicting *p, waiting *w, const rc__hypothesis *h, size_t n_pieces, json_t **all,
                          rc_error *e) {
    json_t *one = result_json(p, h);
    if (one && p->show != SHOW_NONE && h->attention) {
        json_object_set_new(one, "tokens", cells_json(p->written, h->n + 1));
        json_object_set_new(one, "attention", attention_json(h));
    }
    if (!*all) {
        *all = json_pack("{so}", "source", json_stringn(w->text.s ? w->text.s : "", w->text.len));
        if (*all && one) json_object_update(*all, one);
        if (*all && p->show != SHOW_NONE && h->attention)
            json_object_set_new(*all, "source_tokens", cells_json(p->pieces, n_pieces));
        if (*all && p->x.o.nbest > 1) json_object_set_new(*all, "nbest", json_array());
    }
    json_t *list = *all ? json_object_get(*all, "nbest") : NULL;
    if (list) json_array_append(list, one);
    bool ok = *all && one;
    json_decref(one);
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "predict: out of memory");
}

static void add_line(predicting *p, waiting *w, const rc__hypothesis *h, size_t rank) {
    rc__string *b = &w->out;
    if (p->o->csv) {
        rc__string_addf(b, "%zu,%zu,%.6g,", w->line, rank + 1, h->score);
        rc__string_add_cell(b, p->result.s ? p->result.s : "", p->result.len, ',');
    } else {
        if (p->x.o.nbest > 1) rc__string_addf(b, "%zu\t%.4f\t", w->line, h->score);
        rc__string_add_bytes(b, p->result.s ? p->result.s : "", p->result.len);
    }
    rc__string_add(b, "\n");
}

/* Lines: what was written, what was looked at most, how much. */
static void add_alignment(predicting *p, waiting *w, const rc__hypothesis *h) {
    for (size_t t = 0; t <= h->n; t++) {
        size_t j = most_looked_at(h, t);
        rc__string_add(&w->out, "\t");
        rc__string_add_cell(&w->out, p->written[t].text, p->written[t].len, '\t');
        rc__string_add(&w->out, "\t");
        rc__string_add_cell(&w->out, p->pieces[j].text, p->pieces[j].len, '\t');
        rc__string_addf(&w->out, "\t%.3f\n", (double)h->attention[t * h->input_len + j]);
    }
}

static void draw(predicting *p, waiting *w, const rc__hypothesis *h, size_t n_pieces) {
    const rc__heatmap map = {p->pieces, p->written, n_pieces, h->n + 1, h->attention, h->input_len};
    rc__heatmap_draw(&w->map, &map);
    rc__string_add_bytes(&w->title, p->result.s ? p->result.s : "", p->result.len);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static rc_status take_one(predicting *p, size_t i, size_t rank, const rc__hypothesis *h, size_t n_pieces, json_t **all,
                          rc_error *e) {
    waiting *w = &p->w[i];
    bool replace = p->o->replace_unknown && h->attention;
    rc_status s = h->attention ? written_pieces(p, h, e) : RC_OK;
    if (s == RC_OK && replace) s = looked_at(p, h, n_pieces, e);
    if (s == RC_OK) s = rc__seq2seq_decode(p->m, h->token, h->n, replace ? p->chosen : NULL, true, &p->result, e);
    if (s != RC_OK) return s;
    if (p->o->json) return add_json(p, w, h, n_pieces, all, e);
    add_line(p, w, h, rank);
    if (p->show == SHOW_TEXT && h->attention) add_alignment(p, w, h);
    return RC_OK;
}

static rc_status put_json_line(rc__string *out, json_t *v, rc_error *e) {
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__json_print(v, &text, &len, e);
    if (s != RC_OK) return s;
    rc__string_add_bytes(out, text, len);
    rc__string_add(out, "\n");
    rc__free(text, len + 1);
    return RC_OK;
}

static rc_status take(void *ctx, size_t i, const rc__hypothesis *h, rc_error *e) {
    predicting *p = ctx;
    json_t *all = NULL;
    size_t n_pieces = 0;
    rc_status s = p->x.o.attention ? source_pieces(p, i, &n_pieces, e) : RC_OK;
    for (size_t k = 0; s == RC_OK && k < p->x.o.nbest; k++) {
        if (k > 0 && h[k].score == -INFINITY) break; /* there are no more */
        s = take_one(p, i, k, &h[k], n_pieces, &all, e);
        if (s == RC_OK && k == 0 && h->attention && (p->show == SHOW_SVG || p->show == SHOW_HTML))
            draw(p, &p->w[i], h, n_pieces);
    }
    if (s == RC_OK && all) s = put_json_line(&p->w[i].out, all, e);
    json_decref(all);
    if (s == RC_OK && p->w[i].out.failed) s = rc_fail(e, RC_ENOMEM, "predict: out of memory");
    return s;
}

/* An empty line has an empty answer. */
static rc_status take_empty(predicting *p, waiting *w, rc_error *e) {
    rc__hypothesis none = {.finished = true};
    p->result.len = 0;
    if (!p->o->json) {
        add_line(p, w, &none, 0);
        return RC_OK;
    }
    json_t *all = NULL;
    rc_status s = add_json(p, w, &none, 0, &all, e);
    if (s == RC_OK) s = put_json_line(&w->out, all, e);
    json_decref(all);
    return s;
}

static rc_status put_lines(const predicting *p, const rc__string *out, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < out->len;) {
        const char *end = memchr(out->s + i, '\n', out->len - i);
        size_t len = (size_t)(end - out->s) - i;
        s = p->sink->line(p->sink->ctx, out->s + i, len);
        i += len + 1;
    }
    return s == RC_OK || s == RC_ESTOP ? s : rc_fail(e, s, "predict: the results cannot be written");
}

static rc_status answer(predicting *p, rc_error *e) {
    if (p->n == 0) return RC_OK;
    p->x.o.stream = p->stream;
    rc_status s = rc__seq2seq_answers(p->m, p->x.nets, p->x.n_nets, &p->ids, &p->x.o, p->n, take, p, e);
    for (size_t i = 0; i < p->n; i++) {
        waiting *w = &p->w[i];
        if (s == RC_OK && w->out.len == 0) s = take_empty(p, w, e);
        if (s == RC_OK && w->out.failed) s = rc_fail(e, RC_ENOMEM, "predict: out of memory");
        if (s == RC_OK) s = put_lines(p, &w->out, e);
        if (w->map.body.len)
            rc__page_add(&p->page, (rc__cell){w->text.s, w->text.len}, (rc__cell){w->title.s, w->title.len}, &w->map);
        w->text.len = w->out.len = w->title.len = w->map.body.len = 0;
    }
    p->n = 0;
    p->ids.n = p->ids.cut = p->ids.unknown_source = 0;
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status add_input(predicting *p, const rc__pair *pair, rc_error *e) {
    waiting *w = &p->w[p->n];
    size_t cut = p->ids.cut, unknown = p->ids.unknown_source;
    w->line = pair->line;
    w->text.len = 0;
    rc_status s = rc__string_put(&w->text, pair->source.text, pair->source.len, e);
    if (s == RC_OK) s = rc__id_pairs_add(&p->ids, p->m, pair->source, (rc__cell){"", 0}, pair->line, e);
    if (s != RC_OK) return s;
    size_t tokens = p->ids.source_start[p->n + 1] - p->ids.source_start[p->n] - 1;
    notice(p, pair->line, p->ids.cut > cut, tokens, p->ids.unknown_source - unknown);
    p->stream[p->n++] = p->count++;
    return RC_OK;
}

/* Who writes to a pipe line by line gets answers so. */
static bool must_wait(bool standard) {
    struct pollfd f = {.fd = 0, .events = POLLIN};
    return standard && poll(&f, 1, 0) == 0;
}

static rc_status predict_all(predicting *p, rc__pairs_reader *r, bool standard, rc_error *e) {
    rc_status s = RC_OK;
    bool more = true;
    while (s == RC_OK && more) {
        rc__pair pair;
        if (p->n == p->most || (p->n && must_wait(standard))) s = answer(p, e);
        if (s == RC_OK) s = rc__pairs_next(r, &pair, &more, e);
        if (s == RC_OK && more) s = add_input(p, &pair, e);
    }
    return s == RC_OK ? answer(p, e) : s;
}

/* Plain lines, unless the options or the file's name say otherwise; a model that learnt from records knows JSON lines when it sees
 * them. */
static rc_status choose_format(const predicting *p, const char *path, rc__source *src, rc_data_options *d,
                               rc_error *e) {
    const char *text = NULL, *own = d->format ? d->format : "";
    size_t len = 0;
    if (p->o->data.format && *p->o->data.format) return RC_OK;
    if (rc__pairs_named(path)) {
        if (strcmp(own, "lines") == 0) d->format = "";
        return RC_OK;
    }
    rc_status s = rc__source_peek(src, &text, &len, e);
    bool json = s == RC_OK && len && text[0] == '{' && d->text && *d->text;
    if (!json) d->format = "lines";
    return s;
}

static rc_status predict_path(predicting *p, const char *path, rc_error *e) {
    rc_data_options d = rc__data_merge(&p->o->data, &p->m->data);
    bool standard = strcmp(path, "-") == 0;
    rc__pairs_options po;
    rc__source *src = NULL;
    rc__pairs_reader *r = NULL;
    rc_status s = standard ? rc__source_stream(&src, stdin, "standard input", 0, e) : rc__source_open(&src, path, e);
    if (s == RC_OK) s = choose_format(p, path, src, &d, e);
    if (s == RC_OK) s = rc__seq2seq_pairs_options(&d, false, p->m->history, p->m->separator, true, &po, e);
    if (s == RC_OK) s = rc__pairs_open(&r, src, NULL, &po, e);
    if (s == RC_OK && p->o->csv) s = p->sink->line(p->sink->ctx, "line,rank,score,text", 20);
    if (s == RC_OK) s = predict_all(p, r, standard, e);
    rc__pairs_close(r);
    rc__source_free(src);
    return s;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static rc_status choose_show(predicting *p, rc_error *e) {
    static const char *const names[] = {"none", "text", "svg", "html"};
    const char *want = p->o->alignments && *p->o->alignments ? p->o->alignments : "none", *file = p->o->svg;
    size_t k = 0;
    while (k < 4 && strcmp(names[k], want) != 0) k++;
    if (k == 4) return rc_fail(e, RC_EINVAL, "alignments: expected none, text, svg or html, found \"%s\"", want);
    p->show = (show)k;
    if (p->show == SHOW_NONE && file && *file)
        p->show = ends_with(file, ".html") || ends_with(file, ".htm") ? SHOW_HTML : SHOW_SVG;
    bool drawn = p->show == SHOW_SVG || p->show == SHOW_HTML;
    if (drawn && !(file && *file)) return rc_fail(e, RC_EINVAL, "alignments: %s goes to a file: --svg FILE", want);
    if (p->show == SHOW_TEXT && p->o->csv) return rc_fail(e, RC_EINVAL, "alignments: text does not fit into csv");
    p->page.html = p->show == SHOW_HTML;
    if (p->show == SHOW_NONE && !p->o->replace_unknown) return RC_OK;
    if (!rc__seq2seq_attends(p->m))
        return rc_fail(e, RC_EINVAL, "%s: this model has no attention",
                       p->show == SHOW_NONE ? "replace-unknown" : "alignments");
    p->x.o.attention = true;
    return RC_OK;
}

static rc_status begin(predicting *p, rc_error *e) {
    rc_search_options so = p->o->search;
    if (p->o->batch < 1) return rc_fail(e, RC_EINVAL, "batch: expected 1 or more, found %lld", (long long)p->o->batch);
    if (p->o->replace_unknown) so.unk = true; /* it must come to be replaced */
    rc_status s = rc__seq2seq_search_begin(&p->x, p->m, &so, e);
    if (s == RC_OK) s = choose_show(p, e);
    if (s != RC_OK) return s;
    p->most = (size_t)p->o->batch;
    p->w = rc__calloc(p->most, sizeof *p->w);
    p->stream = rc__calloc(p->most, sizeof *p->stream);
    return p->w && p->stream ? RC_OK : rc_fail(e, RC_ENOMEM, "predict: out of memory");
}

static void end(predicting *p) {
    for (size_t i = 0; p->w && i < p->most; i++) {
        rc__string_free(&p->w[i].text);
        rc__string_free(&p->w[i].out);
        rc__string_free(&p->w[i].title);
        rc__string_free(&p->w[i].map.body);
    }
    rc__free(p->w, p->most * sizeof *p->w);
    rc__free(p->stream, p->most * sizeof *p->stream);
    rc__free(p->pieces, p->cap_pieces * sizeof *p->pieces);
    rc__free(p->chosen, p->cap_chosen * sizeof *p->chosen);
    rc__free(p->written, p->cap_written * sizeof *p->written);
    rc__string_free(&p->prepared);
    rc__string_free(&p->result);
    rc__string_free(&p->page.body);
    rc__id_pairs_free(&p->ids);
    rc__seq2seq_search_end(&p->x);
}

rc_status rc__seq2seq_predict(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink,
                              rc_error *e) {
    predicting p = {.m = (const rc__seq2seq *)base, .o = o, .sink = sink};
    rc_status s = begin(&p, e);
    if (s == RC_OK) s = predict_path(&p, path, e);
    if (s == RC_OK || s == RC_ESTOP) notice_more(&p);
    if ((s == RC_OK || s == RC_ESTOP) && (p.show == SHOW_SVG || p.show == SHOW_HTML)) {
        rc_status drawn = rc__page_write(&p.page, o->svg, e); /* whatever became of the reader of the lines */
        if (drawn != RC_OK) s = drawn;
        if (p.page.left_out)
            say(&p, "%zu inputs are not drawn: a picture has at most %zu", p.page.left_out, RC__PAGE_MOST, 0);
    }
    end(&p);
    return s;
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc__seq2seq_model_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap) {
    return rc__seq2seq_explain(&((const rc__seq2seq *)m)->net, batch, seq_len, out, cap);
}
