/* tag_use.c - a tagger on files: scores, predictions. */
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "tasks/tag.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- eval -------------------------------------------------------------------------------------------------------- */

static bool put_real(json_t *out, const char *key, double v) {
    return !isfinite(v) || json_object_set_new(out, key, json_real(v)) == 0;
}

static bool put_each(json_t *out, const rc__tagger *m, const rc__tag_scores *s) {
    json_t *list = json_array();
    for (size_t k = 0; k < s->n_each; k++) {
        rc__prf p = s->each[k];
        const char *name = m->spans ? rc__tagset_type(s->names, k) : rc__tagset_name(s->names, k);
        if (p.support == 0 && p.f1 == 0 && !m->spans) continue;
        json_t *row = json_pack("{ss sf sf sf sI}", m->spans ? "type" : "tag", name, "precision", p.precision, "recall",
                                p.recall, "f1", p.f1, "support", (json_int_t)p.support);
        if (m->spans) json_object_set_new(row, "f1_strict", json_real(s->strict_each[k].f1));
        json_array_append_new(list, row);
    }
    return json_object_set_new(out, m->spans ? "types" : "tags", list) == 0;
}

static rc_status report(json_t *out, const rc__tagger *m, const rc__tag_set *x, const rc__tag_scores *s, double loss,
                        bool details, rc_error *e) {
    bool ok = json_object_set_new(out, "sentences", json_integer((json_int_t)s->sentences)) == 0 &&
              json_object_set_new(out, "words", json_integer((json_int_t)s->words)) == 0 &&
              json_object_set_new(out, "unknown_words", json_integer((json_int_t)s->unknown_words)) == 0;
    ok = ok && put_real(out, "loss", loss) && put_real(out, "accuracy", s->accuracy) &&
         put_real(out, "accuracy_unknown", s->accuracy_unknown);
    if (ok && m->spans)
        ok = put_real(out, "span_f1", s->conlleval.all.f1) && put_real(out, "precision", s->conlleval.all.precision) &&
             put_real(out, "recall", s->conlleval.all.recall) &&
             put_real(out, "span_f1_macro", s->conlleval.macro.f1) &&
             put_real(out, "span_f1_strict", s->strict.all.f1) &&
             json_object_set_new(out, "spans", json_integer((json_int_t)s->conlleval.truth)) == 0 &&
             json_object_set_new(out, "spans_found", json_integer((json_int_t)s->conlleval.guessed)) == 0 &&
             json_object_set_new(out, "spans_right", json_integer((json_int_t)s->conlleval.right)) == 0;
    ok = ok && put_real(out, "intent_accuracy", s->intent_accuracy) &&
         put_real(out, "sentence_accuracy", s->sentence_accuracy);
    if (ok && x->unknown_tags)
        ok = json_object_set_new(out, "tags_unknown_to_the_model", json_integer((json_int_t)x->unknown_tags)) == 0;
    if (ok && details) ok = put_each(out, m, s);
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "eval: out of memory");
}

rc_status rc__tag_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    rc__tagger *m = (rc__tagger *)base;
    rc_data_options data = rc__data_merge(&o->data, &m->data);
    rc__conll_options ro = rc__tag_reader_options(&data, false);
    rc__sentences *l = NULL;
    rc__tag_set x;
    rc__tag_answers a = {0};
    rc__tag_scores scores = {0};
    rc_tape *t = NULL;
    rc__tag_set_init(&x, m);
    rc_status s = rc__conll_read(&l, path, &ro, e);
    if (s == RC_OK && !l->at[0].tags) s = rc_fail(e, RC_EDATA, "%s: the sentences have no tags to compare with", path);
    if (s == RC_OK) s = rc__tag_set_names(&x, m, e);
    for (size_t i = 0; s == RC_OK && i < l->n; i++) s = rc__tag_set_add(&x, m, &l->at[i], 0, e);
    if (s == RC_OK) s = rc_tape_new(&t, e);
    if (s == RC_OK) s = rc__tag_answers_new(&a, x.text.n_tokens, x.text.n, false, NULL, 1, e);
    if (s == RC_OK) s = rc__tagger_run(m, t, &x, (size_t)o->batch, &a, e);
    if (s == RC_OK) s = rc__tag_score(m, &x, &a, a.tag, &scores, e);
    if (s == RC_OK) s = report(out, m, &x, &scores, a.loss, o->details, e);
    rc__tag_scores_free(&scores);
    rc__tag_answers_free(&a);
    rc_tape_free(t);
    rc__tag_set_free(&x);
    rc__conll_free(l);
    return s;
}

/* ---- predict ----------------------------------------------------------------------------------------------------- */

/* Sentences that are read and not yet answered. */
typedef struct waiting {
    rc__tagger *m;
    const rc_predict_options *o;
    const rc_sink *sink;
    rc_tape *tape;
    rc__tag_set x;
    rc__string text; /* their words, one after the other */
    size_t *start;   /* words + 1 */
    rc__cell *cut;   /* words of a sentence that is cut by us */
    int32_t *written;
    rc__span *spans;
    rc__string line;
    size_t cap_start, cap_cut, cap_written, cap_spans;
} waiting;

static const char *word_at(const waiting *w, size_t i, size_t *len) {
    *len = w->start[i + 1] - w->start[i];
    return w->text.s + w->start[i];
}

static rc_status put_columns(waiting *w, size_t i, const rc__tag_answers *a, rc_error *e) {
    size_t from = w->x.text.start[i], n = rc__text_set_len(&w->x.text, i), len;
    rc_status s = RC_OK;
    w->line.len = 0;
    if (w->m->intents.count) {
        const char *name = rc__strtab_get(&w->m->intents, (size_t)a->intent[i], &len);
        rc__string_add(&w->line, "# intent = ");
        rc__string_add_cell(&w->line, name, len, '\t');
        s = rc__sink_text(w->sink, &w->line, e);
    }
    for (size_t k = 0; s == RC_OK && k < n; k++) {
        const char *word = word_at(w, from + k, &len), *tag = rc__tagset_name(w->m->written, (size_t)w->written[k]);
        rc__string_add_cell(&w->line, word, len, '\t'); /* what a word of JSON may have of tabs becomes a blank */
        rc__string_add(&w->line, "\t");
        rc__string_add_cell(&w->line, tag, strlen(tag), '\t');
        s = rc__sink_text(w->sink, &w->line, e);
    }
    return s == RC_OK ? rc__sink_text(w->sink, &w->line, e) : s;
}

static json_t *span_json(waiting *w, size_t from, const rc__span *span) {
    rc_error ignored;
    size_t len;
    w->line.len = 0;
    for (size_t k = span->start; k < span->end; k++) {
        const char *word = word_at(w, from + k, &len);
        if (k > span->start && rc__string_put(&w->line, " ", 1, &ignored) != RC_OK) return NULL;
        if (rc__string_put(&w->line, word, len, &ignored) != RC_OK) return NULL;
    }
    return json_pack("{ss sI sI so}", "type", rc__tagset_type(w->m->tags, (size_t)span->type), "start",
                     (json_int_t)span->start, "end", (json_int_t)span->end, "text",
                     json_stringn(w->line.s, w->line.len));
}

/* {"tokens": [...], "tags": [...], "probability": of all its tags, "spans": [...], "intent": ..., ...} */
static rc_status put_json(waiting *w, size_t i, const rc__tag_answers *a, rc_error *e) {
    size_t from = w->x.text.start[i], n = rc__text_set_len(&w->x.text, i), len;
    json_t *words = json_array(), *tags = json_array(), *spans = json_array();
    for (size_t k = 0; k < n; k++) {
        const char *word = word_at(w, from + k, &len);
        json_array_append_new(words, json_stringn(word, len));
        json_array_append_new(tags, json_string(rc__tagset_name(w->m->written, (size_t)w->written[k])));
    }
    json_t *out = json_pack("{so so sf}", "tokens", words, "tags", tags, "probability", a->probability[i]);
    if (w->m->spans) {
        rc_status s = rc__grow((void **)&w->spans, &w->cap_spans, n + 1, sizeof *w->spans, e);
        size_t count =
            s == RC_OK ? rc__spans(w->m->tags, RC_SPANS_SEQEVAL, w->m->inside_scheme, a->tag + from, n, w->spans) : 0;
        for (size_t k = 0; k < count; k++) json_array_append_new(spans, span_json(w, from, &w->spans[k]));
        json_object_set(out, "spans", spans);
    }
    json_decref(spans);
    if (out && w->m->intents.count) {
        const char *name = rc__strtab_get(&w->m->intents, (size_t)a->intent[i], &len);
        json_object_set_new(out, "intent", json_stringn(name, len));
        json_object_set_new(out, "intent_probability", json_real(a->intent_probability[i]));
    }
    return rc__sink_json(w->sink, out, e);
}

static rc_status answer(waiting *w, rc_error *e) {
    rc__tag_answers a = {0};
    if (w->x.text.n == 0) return RC_OK;
    rc_status s = rc__tag_answers_new(&a, w->x.text.n_tokens, w->x.text.n, w->o->json, NULL, 1, e);
    if (s == RC_OK) s = rc__tagger_run(w->m, w->tape, &w->x, (size_t)w->o->batch, &a, e);
    for (size_t i = 0; s == RC_OK && i < w->x.text.n; i++) {
        size_t from = w->x.text.start[i], n = rc__text_set_len(&w->x.text, i);
        s = rc__grow((void **)&w->written, &w->cap_written, n + 1, sizeof *w->written, e);
        if (s == RC_OK) s = rc__tagger_write(w->m, a.tag + from, w->written, n, e);
        if (s == RC_OK) s = w->o->json ? put_json(w, i, &a, e) : put_columns(w, i, &a, e);
    }
    rc__tag_answers_free(&a);
    rc__tag_set_clear(&w->x);
    w->text.len = 0;
    return s;
}

/* A line of plain text as words, unless those of the training data were cut at white space too. */
static rc_status cut_sentence(waiting *w, rc__sentence *in, rc_error *e) {
    size_t n = 0;
    rc_status s = RC_OK;
    for (size_t k = 0; s == RC_OK && k < in->n; k++) {
        size_t at = 0, from, to;
        while (s == RC_OK && rc__next_word(in->words[k].text, in->words[k].len, &at, &from, &to)) {
            s = rc__grow((void **)&w->cut, &w->cap_cut, n + 1, sizeof *w->cut, e);
            if (s == RC_OK) w->cut[n++] = (rc__cell){in->words[k].text + from, to - from};
        }
    }
    in->words = w->cut;
    in->n = n;
    return s;
}

static rc_status take(waiting *w, const rc__sentence *in, rc_error *e) {
    size_t before = w->x.text.n_tokens;
    rc_status s = rc__tag_set_add(&w->x, w->m, in, 0, e);
    if (s == RC_OK) s = rc__grow((void **)&w->start, &w->cap_start, before + in->n + 1, sizeof *w->start, e);
    for (size_t k = 0; s == RC_OK && k < in->n; k++) {
        w->start[before + k] = w->text.len;
        s = rc__string_put(&w->text, in->words[k].text, in->words[k].len, e);
    }
    if (s == RC_OK) w->start[before + in->n] = w->text.len;
    return s;
}

/* Who writes to a pipe sentence by sentence gets answers so. */
static bool must_wait(FILE *f) {
    struct pollfd p = {.fd = fileno(f), .events = POLLIN};
    return f == stdin && poll(&p, 1, 0) == 0;
}

/* What has neither tabs nor braces is a line of words; a file of columns with spaces needs --format columns. */
static rc_status plain_words(rc__source *src, rc__conll_options *ro, rc_error *e) {
    const char *text;
    size_t len;
    if (ro->format) return RC_OK;
    rc_status s = rc__source_peek(src, &text, &len, e);
    if (s != RC_OK || len == 0) return s;
    const char *end = memchr(text, '\n', len);
    size_t n = end ? (size_t)(end - text) : len;
    if (n && !memchr(text, '\t', n) && text[0] != '{' && text[0] != '#' && text[0] != '\r') ro->format = "words";
    return RC_OK;
}

static rc_status predict_stream(waiting *w, FILE *f, const char *name, rc_error *e) {
    rc_data_options data = rc__data_merge(&w->o->data, &w->m->data);
    rc__conll_options ro = rc__tag_reader_options(&data, true);
    rc__source *src = NULL;
    rc__conll_reader *r = NULL;
    bool more = true, plain = false;
    rc_status s = rc__source_stream(&src, f, name, 0, e);
    if (s == RC_OK) s = plain_words(src, &ro, e);
    if (s == RC_OK) s = rc__conll_open(&r, src, &ro, e);
    if (s == RC_OK) plain = strncmp(rc__conll_how(r), "plain words", 11) == 0;
    while (s == RC_OK && more) {
        rc__sentence in;
        if (w->x.text.n >= (size_t)w->o->batch || (w->x.text.n && must_wait(f))) s = answer(w, e);
        if (s == RC_OK) s = rc__conll_next(r, &in, &more, e);
        if (s != RC_OK || !more) break;
        if (plain && !w->m->cut_spaces) s = cut_sentence(w, &in, e);
        if (s == RC_OK) s = take(w, &in, e);
    }
    if (s == RC_OK) s = answer(w, e);
    rc__conll_close(r);
    rc__source_free(src);
    return s;
}

rc_status rc__tag_predict(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink,
                          rc_error *e) {
    waiting w = {.m = (rc__tagger *)base, .o = o, .sink = sink};
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rb");
    if (!f) return rc_fail(e, RC_EIO, "%s: %s", path, strerror(errno));
    rc__tag_set_init(&w.x, w.m);
    rc_status s = rc_tape_new(&w.tape, e);
    if (s == RC_OK) s = predict_stream(&w, f, standard ? "standard input" : path, e);
    rc_tape_free(w.tape);
    rc__tag_set_free(&w.x);
    rc__string_free(&w.text);
    rc__string_free(&w.line);
    rc__free(w.start, w.cap_start * sizeof *w.start);
    rc__free(w.cut, w.cap_cut * sizeof *w.cut);
    rc__free(w.written, w.cap_written * sizeof *w.written);
    rc__free(w.spans, w.cap_spans * sizeof *w.spans);
    if (!standard) fclose(f);
    return s;
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc__tag_explain(const rc_model *base, size_t batch, size_t seq_len, char *out, size_t cap) {
    return rc__encoder_explain(((const rc__tagger *)base)->encoder, batch, seq_len, out, cap);
}
