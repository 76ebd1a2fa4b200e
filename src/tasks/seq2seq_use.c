/* seq2seq_use.c - a trained sequence-to-sequence model at work: what is least needed, until the search's options and the
 * metrics come here. */
#include "base/json.h"
#include "metrics/translation.h"
#include "tasks/seq2seq.h"

static bool is_chat(const rc__seq2seq *m) { return m->base.kind == &rc__task_chat; }

static rc_status read_pairs(const rc__seq2seq *m, const rc_data_options *over, const char *path, bool unlabelled, rc__pairs **out,
                            rc__id_pairs *ids, rc_error *e) {
    rc_data_options d = rc__data_merge(over, &m->data);
    rc__pairs_options po;
    *out = NULL;
    rc_status s = rc__seq2seq_pairs_options(&d, is_chat(m) && !unlabelled, m->history, m->separator, unlabelled, &po, e);
    if (s == RC_OK) s = rc__pairs_read(out, path, NULL, &po, e);
    for (size_t i = 0; s == RC_OK && i < (*out)->n; i++)
        s = rc__id_pairs_add(ids, m, (*out)->pair[i].source, (*out)->pair[i].target, (*out)->pair[i].line, e);
    return s;
}

static rc_status answer_all(const rc__seq2seq *m, const rc__id_pairs *ids, size_t batch, rc__string **text, rc_error *e) {
    *text = rc__calloc(ids->n + 1, sizeof **text);
    return *text ? rc__seq2seq_translate(m, NULL, 0, ids, &m->beam, batch, *text, e) : rc_fail(e, RC_ENOMEM, "out of memory");
}

static void drop(rc__string *text, size_t n) {
    for (size_t i = 0; text && i < n; i++) rc__string_free(&text[i]);
    rc__free(text, (n + 1) * sizeof *text);
}

rc_status rc__seq2seq_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    const rc__seq2seq *m = (const rc__seq2seq *)base;
    rc__pairs *p = NULL;
    rc__id_pairs ids = {0};
    rc__string *text = NULL;
    rc__bleu bleu = {0};
    rc_status s = read_pairs(m, &o->data, path, false, &p, &ids, e);
    if (s == RC_OK) s = answer_all(m, &ids, (size_t)o->batch, &text, e);
    rc__cell *cells = s == RC_OK ? rc__calloc(2 * ids.n + 1, sizeof *cells) : NULL;
    if (s == RC_OK && !cells) s = rc_fail(e, RC_ENOMEM, "out of memory");
    for (size_t i = 0; s == RC_OK && i < ids.n; i++) {
        cells[i] = (rc__cell){text[i].s ? text[i].s : "", text[i].len};
        cells[ids.n + i] = p->pair[i].target;
    }
    if (s == RC_OK) s = rc__bleu_corpus(cells, cells + ids.n, ids.n, RC__BLEU_13A, m->lowercase, &bleu, e);
    if (s == RC_OK && json_object_set_new(out, "bleu", json_real(bleu.score)) != 0) s = rc_fail(e, RC_ENOMEM, "out of memory");
    rc__free(cells, (2 * ids.n + 1) * sizeof *cells);
    drop(text, ids.n);
    rc__id_pairs_free(&ids);
    rc__pairs_free(p);
    return s;
}

rc_status rc__seq2seq_predict(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e) {
    const rc__seq2seq *m = (const rc__seq2seq *)base;
    rc__pairs *p = NULL;
    rc__id_pairs ids = {0};
    rc__string *text = NULL;
    rc_status s = read_pairs(m, &o->data, path, true, &p, &ids, e);
    if (s == RC_OK) s = answer_all(m, &ids, (size_t)o->batch, &text, e);
    for (size_t i = 0; s == RC_OK && i < ids.n; i++) s = sink->line(sink->ctx, text[i].s ? text[i].s : "", text[i].len);
    drop(text, ids.n);
    rc__id_pairs_free(&ids);
    rc__pairs_free(p);
    return s;
}

size_t rc__seq2seq_model_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap) {
    return rc__seq2seq_explain(&((const rc__seq2seq *)m)->net, batch, seq_len, out, cap);
}
