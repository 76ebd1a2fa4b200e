/* answer_use.c - a model that answers questions on files: scores, answers with what was looked at. */
#include "base/json.h"
#include "base/mem.h"
#include "tasks/answer.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void rc__answer_task_name(const char *path, char *out, size_t cap) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    static const char *const endings[] = {".gz", ".txt", ".jsonl", "_train", "_test", "_valid"};
    size_t n = strlen(name);
    for (size_t i = 0; i < 6; i++) {
        size_t len = strlen(endings[i]);
        if (n > len && strncmp(name + n - len, endings[i], len) == 0) n -= len;
    }
    snprintf(out, cap, "%.*s", (int)n, name);
}

/* ---- eval -------------------------------------------------------------------------------------------------------- */

#define FAILED 5.0 /* per cent of wrong answers above which a task counts as failed (Weston et al. 2015, section 3) */

typedef struct totals {
    size_t questions, right, files, failed, unknown_words, unknown_answers, known;
    double loss, error;
    json_t *tasks;
} totals;

static rc_status read_set(rc__story_set *x, const rc__answerer *m, const char *path, const rc_data_options *d, rc_error *e) {
    rc__stories_options o = {.format = d->format, .answers = true};
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    bool more = true;
    rc_error inner;
    rc_status s = rc__source_open(&src, path, e);
    if (s == RC_OK) s = rc__stories_open(&r, src, &o, e);
    while (s == RC_OK) {
        rc__story_line line;
        s = rc__stories_next(r, &line, &more, e);
        if (s != RC_OK || !more) break;
        s = rc__story_set_add(x, m, &line, 0, &inner);
        if (s != RC_OK) s = rc_fail(e, s, "%s: %s", path, inner.text);
    }
    if (s == RC_OK && x->n == 0) s = rc_fail(e, RC_EDATA, "%s: no question", path);
    rc__stories_close(r);
    rc__source_free(src);
    return s;
}

static rc_status eval_file(const rc__answerer *m, rc_tape *t, const char *path, const rc_eval_options *o, totals *sum, rc_error *e) {
    rc_data_options data = rc__data_merge(&o->data, &m->data);
    rc__story_set x = {0};
    rc__answer_result r = {0};
    char name[256];
    rc_status s = read_set(&x, m, path, &data, e);
    if (s == RC_OK) s = rc__answer_result_new(&r, m, x.n, false, e);
    if (s == RC_OK) s = rc__answerer_run(m, t, &x, NULL, x.n, (size_t)o->batch, &r, e);
    if (s == RC_OK) {
        double error = 100.0 * (double)(x.n - r.right) / (double)x.n;
        rc__answer_task_name(path, name, sizeof name);
        sum->files++;
        sum->questions += x.n;
        sum->right += r.right;
        sum->known += r.known;
        sum->loss += r.loss * (double)r.known;
        sum->error += error;
        sum->failed += error > FAILED;
        sum->unknown_words += x.unknown_words;
        sum->unknown_answers += x.unknown_answers;
        json_t *row = json_pack("{ss sI sI sf}", "task", name, "questions", (json_int_t)x.n, "right", (json_int_t)r.right, "error", error);
        if (json_array_append_new(sum->tasks, row) != 0) s = rc_fail(e, RC_ENOMEM, "eval: out of memory, or a file's name is not UTF-8");
    }
    rc__answer_result_free(&r, m, x.n);
    rc__story_set_free(&x);
    return s;
}

rc_status rc__answer_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    const rc__answerer *m = (const rc__answerer *)base;
    totals sum = {.tasks = json_array()};
    rc_tape *t = NULL;
    rc_status s = rc_tape_new(&t, e);
    if (s == RC_OK) s = eval_file(m, t, path, o, &sum, e);
    for (size_t i = 0; s == RC_OK && i < o->n_more; i++) s = eval_file(m, t, o->more[i], o, &sum, e);
    rc_tape_free(t);
    bool ok = s != RC_OK ||
              (json_object_set_new(out, "questions", json_integer((json_int_t)sum.questions)) == 0 &&
               json_object_set_new(out, "right", json_integer((json_int_t)sum.right)) == 0 &&
               json_object_set_new(out, "accuracy", json_real((double)sum.right / (double)sum.questions)) == 0 &&
               json_object_set_new(out, "mean_error", json_real(sum.error / (double)sum.files)) == 0 &&
               json_object_set_new(out, "failed_tasks", json_integer((json_int_t)sum.failed)) == 0 &&
               json_object_set_new(out, "loss", rc__real_or_null(sum.known ? sum.loss / (double)sum.known : NAN)) == 0 &&
               json_object_set_new(out, "unknown_words", json_integer((json_int_t)sum.unknown_words)) == 0 &&
               json_object_set_new(out, "unknown_answers", json_integer((json_int_t)sum.unknown_answers)) == 0);
    if (ok && s == RC_OK && (o->details || sum.files > 1)) ok = json_object_set(out, "tasks", sum.tasks) == 0;
    json_decref(sum.tasks);
    return ok ? s : rc_fail(e, RC_ENOMEM, "eval: out of memory");
}

/* ---- predict ----------------------------------------------------------------------------------------------------- */

/* The story that is being told, and its sentences as they were written. */
typedef struct telling {
    const rc__answerer *m;
    const rc_predict_options *o;
    const rc_sink *sink;
    bool why;
    rc_tape *tape;
    rc__story_set x;
    rc__answer_batch batch;
    rc__string *text; /* of told sentence i */
    size_t n_text, cap_text;
    rc__string line;
    double *p;     /* (answers) */
    size_t *order; /* (answers) */
} telling;

static rc_status put(rc__string *b, const char *s, rc_error *e) { return rc__string_put(b, s, strlen(s), e); }

static rc_status put_line(telling *w, rc_error *e) {
    rc_status s = w->sink->line(w->sink->ctx, w->line.s ? w->line.s : "", w->line.len);
    w->line.len = 0;
    return s == RC_OK || s == RC_ESTOP ? s : rc_fail(e, s, "predict: the results cannot be written");
}

static rc_status put_cell(telling *w, const char *text, size_t len, rc_error *e) {
    bool quote = w->o->csv && (memchr(text, ',', len) || memchr(text, '"', len));
    rc_status s = quote ? put(&w->line, "\"", e) : RC_OK;
    for (size_t i = 0; s == RC_OK && i < len; i++) {
        if (text[i] == '"' && quote) s = put(&w->line, "\"", e);
        if (s == RC_OK) s = rc__string_put(&w->line, text + i, 1, e);
    }
    return s == RC_OK && quote ? put(&w->line, "\"", e) : s;
}

/* The mean over the members that answer of what hop k looked at, for memory r of the only question. */
static double look(const telling *w, const rc__answer_looks *l, const size_t *chosen, size_t n, size_t k, size_t r) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)l->p[k][r * w->m->o.members + chosen[i]];
    return sum / (double)n;
}

/* Sentences that the model could look at: the last ones told; their first number. */
static size_t first_row(const telling *w) {
    size_t n = w->x.n_told - w->x.story_first;
    return n < w->m->o.memory ? 0 : n - w->m->o.memory;
}

static json_t *looks_json(const telling *w, const rc__answer_looks *l, const size_t *chosen, size_t n) {
    json_t *list = json_array();
    size_t first = first_row(w), told = w->x.n_told - w->x.story_first;
    for (size_t r = first; r < told; r++) {
        json_t *hops = json_array();
        for (size_t k = 0; k < l->n; k++) json_array_append_new(hops, json_real(look(w, l, chosen, n, k, r - first)));
        json_array_append_new(list, json_pack("{so so}", "sentence", json_stringn(w->text[r].s ? w->text[r].s : "", w->text[r].len),
                                              l->n ? "hops" : "seen", l->n ? hops : json_true()));
        if (!l->n) json_decref(hops);
    }
    return list;
}

/* {"question", "answer", "probability", "answers": the best top_k, "story": sentences with their weights} */
static rc_status answer_json(telling *w, rc__cell question, size_t k, const rc__answer_looks *l, const size_t *chosen, size_t n,
                             rc_error *e) {
    size_t len;
    json_t *top = json_array();
    for (size_t i = 0; i < k; i++) {
        const char *name = rc__strtab_get(&w->m->answers, w->order[i], &len);
        json_array_append_new(top, json_pack("{so sf}", "answer", json_stringn(name, len), "probability", w->p[w->order[i]]));
    }
    const char *name = rc__strtab_get(&w->m->answers, w->order[0], &len);
    json_t *out = json_pack("{so so sf so so}", "question", json_stringn(question.text, question.len), "answer", json_stringn(name, len),
                            "probability", w->p[w->order[0]], "answers", top, "story", looks_json(w, l, chosen, n));
    return rc__sink_json(w->sink, out, e);
}

/* "  hop 1  0.983  Mary went to the office." for what each looked at with a tenth or more. */
static rc_status why_lines(telling *w, const rc__answer_looks *l, const size_t *chosen, size_t n, rc_error *e) {
    size_t first = first_row(w), told = w->x.n_told - w->x.story_first;
    rc_status s = RC_OK;
    for (size_t k = 0; k < l->n; k++)
        for (size_t r = first; s == RC_OK && r < told; r++) {
            double p = look(w, l, chosen, n, k, r - first);
            char head[64];
            if (p < 0.1) continue;
            snprintf(head, sizeof head, "  %s %zu  %.3f  ", w->m->o.kind == RC__ANSWER_QUERY ? "layer" : "hop", k + 1, p);
            s = put(&w->line, head, e);
            if (s == RC_OK && w->text[r].len) s = rc__string_put(&w->line, w->text[r].s, w->text[r].len, e);
            if (s == RC_OK) s = put_line(w, e);
        }
    return s;
}

static rc_status answer_text(telling *w, size_t k, rc_error *e) {
    rc_status s = RC_OK;
    const char *between = w->o->csv ? "," : "\t";
    for (size_t i = 0; s == RC_OK && i < k; i++) {
        char number[32];
        size_t len;
        const char *name = rc__strtab_get(&w->m->answers, w->order[i], &len);
        snprintf(number, sizeof number, "%s%.4f", between, w->p[w->order[i]]);
        if (i) s = put(&w->line, between, e);
        if (s == RC_OK) s = put_cell(w, name, len, e);
        if (s == RC_OK) s = put(&w->line, number, e);
    }
    return s == RC_OK ? put_line(w, e) : s;
}

static void rank(const double *p, size_t A, size_t *order, size_t k) {
    for (size_t i = 0; i < k; i++) {
        size_t best = SIZE_MAX;
        for (size_t a = 0; a < A; a++) {
            bool taken = false;
            for (size_t j = 0; j < i; j++) taken = taken || order[j] == a;
            if (!taken && (best == SIZE_MAX || p[a] > p[best])) best = a;
        }
        order[i] = best;
    }
}

static rc_status answer_question(telling *w, rc__cell question, rc_error *e) {
    const rc__answerer *m = w->m;
    size_t A = m->answers.count, H = m->o.members, chosen[RC__ANSWER_MAX_MEMBERS], n = rc__answerer_chosen(m, chosen);
    size_t k = w->o->top_k < 1 ? 1 : (size_t)w->o->top_k;
    uint32_t last = (uint32_t)(w->x.n - 1);
    rc__answer_looks looks = {0};
    if (k > A) k = A;
    rc_status s = rc__answer_batch_make(&w->batch, m, &w->x, &last, 1, NULL, e);
    if (s != RC_OK) return s;
    rc_tape_begin(w->tape, (rc_tape_mode){0});
    rc_var *scores = rc__answerer_forward(w->tape, m, &w->batch, &looks);
    rc_var *p = rc_softmax(w->tape, rc_reshape(w->tape, scores, 2, (size_t[]){H, A}));
    s = rc_tape_status(w->tape, e);
    if (s != RC_OK) return s;
    for (size_t a = 0; a < A; a++) {
        w->p[a] = 0;
        for (size_t i = 0; i < n; i++) w->p[a] += (double)p->x[chosen[i] * A + a] / (double)n;
    }
    rank(w->p, A, w->order, k);
    if (w->o->json) return answer_json(w, question, k, &looks, chosen, n, e);
    s = answer_text(w, k, e);
    return s == RC_OK && w->why ? why_lines(w, &looks, chosen, n, e) : s;
}

/* A stream of any length: what is told, and forgotten again, is let go of from time to time. */
static rc_status forget(telling *w, rc_error *e) {
    size_t memory = w->m->o.memory, drop = w->x.n_told > memory ? w->x.n_told - memory : 0;
    if (w->x.story_first || drop < 1000 + memory) return RC_OK;
    rc__story_set old = w->x;
    w->x = (rc__story_set){.n_stories = 1};
    rc_status s = RC_OK;
    for (size_t i = drop; s == RC_OK && i < old.n_told; i++) {
        rc__string kept = w->text[i];
        w->text[i] = w->text[i - drop];
        w->text[i - drop] = kept;
        rc__cell text = {kept.s ? kept.s : "", kept.len};
        s = rc__story_set_add(&w->x, w->m, &(rc__story_line){.text = text}, 0, e);
    }
    rc__story_set_free(&old);
    return s;
}

static rc_status take_line(telling *w, const rc__story_line *line, rc_error *e) {
    if (line->begins) {
        w->x.n = w->x.n_told = w->x.n_stories = 0;
        rc__strtab_truncate(&w->x.sentences, 0);
    }
    rc_status s = forget(w, e);
    if (s == RC_OK) s = rc__story_set_add(&w->x, w->m, line, 0, e);
    if (s != RC_OK) return s;
    if (line->question) {
        s = answer_question(w, line->text, e);
        w->x.n = 0;
        return s;
    }
    size_t i = w->x.n_told - 1, before = w->cap_text;
    s = rc__grow((void **)&w->text, &w->cap_text, i + 1, sizeof *w->text, e);
    if (s != RC_OK) return s;
    if (w->cap_text > before) memset(w->text + before, 0, (w->cap_text - before) * sizeof *w->text);
    w->text[i].len = 0;
    return rc__string_put(&w->text[i], line->text.text, line->text.len, e);
}

static rc_status tell(telling *w, FILE *f, const char *name, rc_error *e) {
    rc_data_options data = rc__data_merge(&w->o->data, &w->m->data);
    rc__stories_options ro = {.format = data.format};
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    bool more = true;
    rc_error inner;
    rc_status s = rc__source_stream(&src, f, name, 0, e);
    if (s == RC_OK) s = rc__stories_open(&r, src, &ro, e);
    if (s == RC_OK && w->o->csv && !w->o->json) {
        size_t k = w->o->top_k < 1 ? 1 : (size_t)w->o->top_k;
        s = put(&w->line, "answer,probability", e);
        for (size_t i = 2; s == RC_OK && i <= k && i <= w->m->answers.count; i++) {
            char head[64];
            snprintf(head, sizeof head, ",answer_%zu,probability_%zu", i, i);
            s = put(&w->line, head, e);
        }
        if (s == RC_OK) s = put_line(w, e);
    }
    while (s == RC_OK) {
        rc__story_line line;
        s = rc__stories_next(r, &line, &more, e);
        if (s != RC_OK || !more) break;
        s = take_line(w, &line, &inner);
        if (s != RC_OK && s != RC_ESTOP) s = rc_fail(e, s, "%s: %s", name, inner.text);
    }
    rc__stories_close(r);
    rc__source_free(src);
    return s;
}

static rc_status predict(rc_model *base, const char *path, const rc_predict_options *o, bool why, const rc_sink *sink, rc_error *e) {
    telling w = {.m = (const rc__answerer *)base, .o = o, .sink = sink, .why = why};
    bool standard = strcmp(path, "-") == 0;
    size_t A = w.m->answers.count;
    FILE *f = standard ? stdin : fopen(path, "rb");
    if (!f) return rc_fail(e, RC_EIO, "%s: %s", path, strerror(errno));
    w.p = rc__alloc(A * sizeof *w.p);
    w.order = rc__alloc(A * sizeof *w.order);
    rc_status s = w.p && w.order ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for %zu answers", A);
    if (s == RC_OK) s = rc_tape_new(&w.tape, e);
    if (s == RC_OK) s = tell(&w, f, standard ? "standard input" : path, e);
    rc_tape_free(w.tape);
    rc__story_set_free(&w.x);
    rc__answer_batch_free(&w.batch);
    for (size_t i = 0; i < w.cap_text; i++) rc__string_free(&w.text[i]);
    rc__free(w.text, w.cap_text * sizeof *w.text);
    rc__string_free(&w.line);
    rc__free(w.p, A * sizeof *w.p);
    rc__free(w.order, A * sizeof *w.order);
    if (!standard) fclose(f);
    return s;
}

rc_status rc__answer_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e) {
    return predict(m, path, o, false, sink, e);
}
rc_status rc__answer_reasons(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e) {
    return predict(m, path, o, true, sink, e);
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc__answer_explain(const rc_model *base, size_t batch, size_t seq_len, char *out, size_t cap) {
    const rc__answerer *m = (const rc__answerer *)base;
    const rc__answer_options *o = &m->o;
    char members[96] = "", memory[48] = "the whole story", text[400];
    if (o->members > 1) snprintf(members, sizeof members, "%zu side by side, the best %zu answer; ", o->members, o->ensemble);
    if (o->memory < RC__ANSWER_NO_MEMORY) snprintf(memory, sizeof memory, "the last %zu sentences", o->memory);
    const char *encoding = o->position ? "position encoding" : "bags of words";
    switch ((rc__answer_kind)o->kind) {
    case RC__ANSWER_MEMORY:
        snprintf(text, sizeof text, "memory network, %zu hops, %s%s, %s tables, %zu columns; %s%s", o->hops, encoding,
                 o->temporal ? " and times" : "", o->layerwise ? "one set of" : "neighbouring hops share", o->embedding, members, memory);
        break;
    case RC__ANSWER_QUERY:
        snprintf(text, sizeof text, "query-reduction network, %zu layers, %s, %zu columns; %s%s", o->hops, encoding, o->embedding, members,
                 memory);
        break;
    case RC__ANSWER_ENTITY:
        snprintf(text, sizeof text, "recurrent entity network, %zu blocks of %zu, %s; %s", o->blocks, o->embedding,
                 o->position ? "learnt weights of places" : "bags of words", memory);
        break;
    case RC__ANSWER_RECURRENT:
        snprintf(text, sizeof text, "recurrent reader, %s %d x %zu, words of %zu columns; %s", o->reader.rnn.cell, o->reader.rnn.num_layers,
                 o->reader.rnn.hidden_size, o->embedding, memory);
        break;
    }
    int n = snprintf(out, cap, "%s\n%zu words, %zu answers\n", text, m->words.count, m->answers.count);
    size_t at = n < 0 ? 0 : (size_t)n;
    if (m->reader && batch) at += rc__encoder_explain(m->reader, batch, seq_len, at < cap ? out + at : NULL, at < cap ? cap - at : 0);
    return at;
}
