/* classify_data.c - files into examples. */
#include "base/file.h"
#include "base/mem.h"
#include "data/batches.h"
#include "data/labelled.h"
#include "tasks/classify.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LABELS   65536
#define SPLIT_STREAM 0x73706c6974u /* of the draw of validation examples */

static bool given(const char *s) { return s && *s; }

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void labelled_options(const rc_data_options *d, bool unlabelled, rc__labelled_options *o) {
    o->format = given(d->format) ? d->format : NULL;
    o->text = given(d->text) ? d->text : NULL;
    o->label = given(d->label) ? d->label : NULL;
    o->separator = given(d->label_separator) ? d->label_separator : NULL;
    o->unlabelled = unlabelled;
}

static rc_status learn_labels(rc__classifier *m, const rc__labelled *l, const char *path, rc_error *e) {
    bool several = given(m->data.label_separator);
    for (size_t i = 0; i < l->n_rows; i++) several |= l->rows[i].n_labels > 1;
    m->answer = several ? RC__ANSWER_CLASSES : RC__ANSWER_CLASS;
    if (l->names.count > MAX_LABELS)
        return rc_fail(e, RC_EDATA, "%s: %zu different labels, the limit is %d; --label names the column", path,
                       l->names.count, MAX_LABELS);
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < l->names.count; i++) {
        size_t len;
        uint32_t id;
        const char *name = rc__strtab_get(&l->names, i, &len);
        s = rc__strtab_add(&m->labels, name, len, &id, NULL, e);
    }
    m->outputs = m->labels.count;
    if (s == RC_OK && m->outputs < 2 && !several)
        s = rc_fail(e, RC_EDATA, "%s: every label is the same: nothing to learn; --label names the column", path);
    return s;
}

/* Which of n units are kept for validation: of each kind (key 0..n_keys-1) the share, drawn by seed. */
static rc_status hold_out(bool *held, const uint32_t *key, size_t n, size_t n_keys, double share, uint64_t seed,
                          rc_error *e) {
    rc_rng rng = rc_rng_make(seed ^ SPLIT_STREAM, 0);
    uint32_t *unit = rc__alloc((n + 1) * sizeof *unit);
    size_t *left = rc__calloc(n_keys + 1, sizeof *left);
    if (unit && left) {
        for (size_t i = 0; i < n; i++) {
            unit[i] = (uint32_t)i;
            left[key[i]]++;
        }
        for (size_t k = 0; k < n_keys; k++) left[k] = (size_t)lround(share * (double)left[k]);
        for (size_t i = n; i > 1; i--) {
            size_t k = (size_t)rc_rng_below(&rng, i);
            uint32_t u = unit[i - 1];
            unit[i - 1] = unit[k];
            unit[k] = u;
        }
        for (size_t i = 0; i < n; i++)
            if (left[key[unit[i]]] > 0) {
                held[unit[i]] = true;
                left[key[unit[i]]]--;
            }
    }
    bool ok = unit && left;
    rc__free(unit, (n + 1) * sizeof *unit);
    rc__free(left, (n_keys + 1) * sizeof *left);
    return ok ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
}

static rc_status learn_words(rc__classifier *m, const rc__labelled *l, const bool *held, size_t min_count,
                             size_t max_words, rc_error *e) {
    rc__word_counts counts = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < l->n_rows; i++)
        if (!held[i])
            s = rc__word_counts_text(&counts, m->lexicon.lowercase, l->rows[i].text.text, l->rows[i].text.len, e);
    if (s == RC_OK)
        s = rc__lexicon_of_counts(&m->lexicon, &counts, min_count, max_words, strcmp(m->wo.chars, "none") != 0, e);
    rc__word_counts_free(&counts);
    return s;
}

/* Tokens that are no words: the vocabulary is trained on all texts joined by newlines. */
static rc_status learn_vocab(rc__classifier *m, const rc__labelled *l, const bool *held, const char *spec, rc_error *e) {
    rc__string all = {0}, low = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < l->n_rows; i++) {
        if (held[i]) continue;
        rc__cell text = l->rows[i].text;
        if (m->lexicon.lowercase) {
            s = rc__lower(&low, text.text, text.len, e);
            text = (rc__cell){low.s ? low.s : "", low.len};
        }
        if (s == RC_OK) s = rc__string_put(&all, text.text, text.len, e);
        if (s == RC_OK) s = rc__string_put(&all, "\n", 1, e);
    }
    if (s == RC_OK) s = rc_vocab_train(&m->lexicon.tokens, spec, all.len ? all.s : "\n", all.len ? all.len : 1, e);
    rc__string_free(&all);
    rc__string_free(&low);
    return s;
}

static rc_status add_text(rc__classifier *m, rc__examples *x, const rc__labelled *l, const rc__labelled_row *row,
                          bool held, rc_error *e) {
    rc_status s = rc__text_set_add(&x->text, row->text.text, row->text.len, m->max_len, e);
    if (s != RC_OK) return s;
    size_t outputs = m->answer == RC__ANSWER_CLASSES ? m->outputs : 0, unknown = 0;
    uint32_t length = (uint32_t)rc__text_set_len(&x->text, x->text.n - 1), id_of_text;
    bool added;
    s = rc__examples_add(x, outputs, (rc__example){.length = length, .label = RC_NO_TARGET, .target = NAN, .held = held}, e);
    if (s == RC_OK) s = rc__strtab_add(&x->inputs, row->text.text, row->text.len, &id_of_text, &added, e);
    if (s == RC_OK) x->repeated += !added;
    for (size_t k = 0; s == RC_OK && k < row->n_labels; k++) {
        size_t len;
        const char *name = rc__strtab_get(&l->names, l->labels[row->first + k], &len);
        int32_t id = rc__strtab_find(&m->labels, name, len);
        if (id < 0)
            unknown++;
        else if (m->answer == RC__ANSWER_CLASSES)
            x->several[(x->n - 1) * m->outputs + (size_t)id] = 1;
        else
            x->each[x->n - 1].label = id;
    }
    x->unknown_labels += unknown;
    x->unlabelled += m->answer == RC__ANSWER_CLASS && s == RC_OK && x->each[x->n - 1].label == RC_NO_TARGET;
    return s;
}

static rc_status learn_lexicon(rc__classifier *m, const rc__labelled *l, const bool *held,
                               const rc__classify_reading *r, rc_error *e) {
    if (!r->vocab) return RC_OK;
    if (strncmp(r->vocab, "word", 4) != 0 || (r->vocab[4] && r->vocab[4] != ':')) {
        m->lexicon.split = RC__SPLIT_VOCAB;
        return learn_vocab(m, l, held, r->vocab, e);
    }
    char *end = NULL;
    size_t most = r->vocab[4] ? strtoul(r->vocab + 5, &end, 10) : 0;
    if (r->vocab[4] && (!r->vocab[5] || *end || most == 0))
        return rc_fail(e, RC_EINVAL, "vocab: expected word, word:N, char, byte or bpe:N, found \"%s\"", r->vocab);
    return learn_words(m, l, held, r->min_count, most, e);
}

static rc_status hold_texts(const rc__labelled *l, bool *held, const rc__classify_reading *r, rc_error *e) {
    if (r->hold_out <= 0) return RC_OK;
    uint32_t *key = rc__calloc(l->n_rows + 1, sizeof *key);
    if (!key) return rc_fail(e, RC_ENOMEM, "out of memory (%zu texts)", l->n_rows);
    for (size_t i = 0; i < l->n_rows; i++) key[i] = l->rows[i].n_labels ? 1 + l->labels[l->rows[i].first] : 0;
    rc_status s = hold_out(held, key, l->n_rows, l->names.count + 1, r->hold_out, r->seed, e);
    rc__free(key, (l->n_rows + 1) * sizeof *key);
    return s;
}

static rc_status read_text(rc__classifier *m, rc__examples *x, const char *path, const rc_data_options *d,
                           rc__classify_reading *r, rc_error *e) {
    rc__labelled_options o = {0};
    rc__labelled *l = NULL;
    labelled_options(d, r->unlabelled, &o);
    rc_status s = rc__data_table_options(d, &o.table, e);
    if (s == RC_OK) s = rc__labelled_read(&l, path, &o, e);
    if (s != RC_OK) return s;
    snprintf(r->how, sizeof r->how, "%s", l->how);
    bool *held = rc__calloc(l->n_rows + 1, sizeof *held);
    if (!held) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK && r->learn) s = learn_labels(m, l, path, e);
    if (s == RC_OK && r->learn) s = hold_texts(l, held, r, e);
    if (s == RC_OK && r->learn) s = learn_lexicon(m, l, held, r, e);
    rc__text_set_init(&x->text, &m->lexicon);
    for (size_t i = 0; s == RC_OK && i < l->n_rows; i++) s = add_text(m, x, l, &l->rows[i], held[i], e);
    rc__free(held, (l->n_rows + 1) * sizeof *held);
    rc__labelled_free(l);
    return s;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

rc_status rc__classify_read(rc__classifier *m, rc__examples *x, const char *path, const rc_data_options *data,
                            rc__classify_reading *r, rc_error *e) {
    *x = (rc__examples){0};
    rc_data_options d = rc__data_merge(data, &m->data);
    rc_status s = m->text ? read_text(m, x, path, &d, r, e)
                          : rc_fail(e, RC_EINVAL, "numbers are not read yet");
    if (s == RC_OK && x->n == 0) s = rc_fail(e, RC_EDATA, "%s: there is nothing in it", path);
    if (s != RC_OK) rc__examples_free(x);
    return s;
}
