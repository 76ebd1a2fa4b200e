/* classify_data.c - files into examples. */
#include "base/file.h"
#include "base/mem.h"
#include "data/batches.h"
#include "data/labelled.h"
#include "data/timestamp.h"
#include "data/ts_file.h"
#include "tasks/classify.h"
#include "tasks/lm_task.h"
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

/* What was found out holds when the model is used. */
static rc_status learn_columns(rc__classifier *m, const rc__labelled *l, rc_error *e) {
    char text[256] = "", label[128] = "";
    if (l->reader) rc__labelled_columns(l->reader, text, label);
    const struct {
        const char **to, *from;
    } both[] = {{&m->data.text, text}, {&m->data.label, label}};
    for (size_t i = 0; i < 2; i++) {
        if (given(*both[i].to) || !*both[i].from) continue;
        rc__strfree((char *)(uintptr_t)*both[i].to);
        *both[i].to = rc__strdup(both[i].from);
        if (!*both[i].to) return rc_fail(e, RC_ENOMEM, "out of memory (names of columns)");
    }
    return RC_OK;
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
    rc__example one = {.label = RC_NO_TARGET, .target = NAN, .held = held, .line = row->line};
    size_t outputs = m->answer == RC__ANSWER_CLASSES ? m->outputs : 0, unknown = 0;
    bool added;
    rc_status s = rc__text_set_add(&x->text, row->text.text, row->text.len, m->max_len, e);
    if (s == RC_OK) s = rc__strtab_add(&x->inputs, row->text.text, row->text.len, &one.input, &added, e);
    if (s != RC_OK) return s;
    x->repeated += !added;
    one.length = (uint32_t)rc__text_set_len(&x->text, x->text.n - 1);
    s = rc__examples_add(x, outputs, one, e);
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
        size_t n = strlen(r->vocab);
        m->lexicon.split = RC__SPLIT_VOCAB;
        if (n > 5 && strcmp(r->vocab + n - 5, ".json") == 0) return rc__vocab_from_file(&m->lexicon.tokens, r->vocab, e);
        return learn_vocab(m, l, held, r->vocab, e);
    }
    char *end = NULL;
    size_t most = r->vocab[4] ? strtoul(r->vocab + 5, &end, 10) : 0;
    if (r->vocab[4] && (!r->vocab[5] || *end || most == 0))
        return rc_fail(e, RC_EINVAL, "vocab: expected word, word:N, char, byte, bpe:N or a tokenizer.json, found \"%s\"", r->vocab);
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
    if (s == RC_OK && r->learn) s = learn_columns(m, l, e);
    if (s == RC_OK && r->training) s = hold_texts(l, held, r, e);
    if (s == RC_OK && r->learn) s = learn_lexicon(m, l, held, r, e);
    rc__text_set_init(&x->text, &m->lexicon);
    for (size_t i = 0; s == RC_OK && i < l->n_rows; i++) s = add_text(m, x, l, &l->rows[i], held[i], e);
    rc__free(held, (l->n_rows + 1) * sizeof *held);
    rc__labelled_free(l);
    return s;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static rc_status add_name(rc__strtab *t, const char *name, size_t len, rc_error *e) {
    uint32_t id;
    bool added;
    rc_status s = rc__strtab_add(t, name, len, &id, &added, e);
    return s == RC_OK && !added ? rc_fail(e, RC_EDATA, "the channel \"%.*s\" comes twice", (int)(len < 60 ? len : 60), name) : s;
}

/* Channel names "1", "2", ...: of files that have no names. */
static rc_status number_channels(rc__classifier *m, size_t n, const char *path, bool learn, rc_error *e) {
    rc_status s = RC_OK;
    if (!learn && n != m->channels.count)
        return rc_fail(e, RC_EDATA, "%s: expected %zu channels, as in the training data, found %zu", path,
                       m->channels.count, n);
    for (size_t c = 0; learn && s == RC_OK && c < n; c++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", c + 1);
        s = add_name(&m->channels, name, strlen(name), e);
    }
    return s;
}

/* Examples of a whole series, its last `window` steps, or, with a target at each step, a window that ends at each. */
static rc_status add_series(rc__classifier *m, rc__examples *x, int32_t label, const double *targets, bool each_step,
                            bool held, rc_error *e) {
    size_t series = x->series.n - 1, len = rc__sequences_len(&x->series, series), first = len;
    rc_status s = RC_OK;
    if (each_step) first = m->window && m->window < len ? m->window : 1;
    for (size_t end = first; s == RC_OK && end <= len; end++) {
        size_t take = m->window && m->window < end ? m->window : end;
        double target = targets ? targets[each_step ? end - 1 : 0] : NAN;
        if (each_step && isnan(target)) continue;
        s = rc__examples_add(x, 0, (rc__example){.from = end - take, .series = (uint32_t)series, .length = (uint32_t)take,
                                                 .label = label, .target = target, .held = held}, e);
        if (end == 0) break;
    }
    return s;
}

static rc_status learn_scaling(rc__classifier *m, const rc__examples *x, const bool *held, const rc__classify_reading *r,
                               rc_error *e) {
    rc__sequences part = {.channels = x->series.channels};
    double *row = rc__alloc(x->series.channels * sizeof *row);
    rc_status s = row ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory");
    for (size_t i = 0; s == RC_OK && i < x->series.n; i++) {
        if (held[i]) continue;
        for (size_t t = x->series.start[i]; s == RC_OK && t < x->series.start[i + 1]; t++) {
            for (size_t c = 0; c < part.channels; c++) row[c] = x->series.x[t * part.channels + c];
            s = rc__sequences_step(&part, row, e);
        }
    }
    if (s == RC_OK) s = rc__scaler_fit(&m->scaler, r->scaling, &part, e);
    rc__free(row, x->series.channels * sizeof *row);
    rc__sequences_free(&part);
    return s;
}

/* Mean and deviation of the capped targets of what is not held. */
static void learn_target(rc__classifier *m, const rc__examples *x) {
    double sum = 0, squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        if (!x->each[i].held && !isnan(x->each[i].target)) {
            sum += x->each[i].target;
            n++;
        }
    m->target_mean = n ? sum / (double)n : 0;
    for (size_t i = 0; i < x->n; i++)
        if (!x->each[i].held && !isnan(x->each[i].target)) squares += pow(x->each[i].target - m->target_mean, 2);
    m->target_scale = n && squares > 0 ? sqrt(squares / (double)n) : 1;
}

static rc_status learn_classes(rc__classifier *m, const rc__strtab *names, const char *path, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < names->count; i++) {
        size_t len;
        uint32_t id;
        const char *name = rc__strtab_get(names, i, &len);
        s = rc__strtab_add(&m->labels, name, len, &id, NULL, e);
    }
    m->outputs = m->labels.count;
    if (s == RC_OK && m->outputs < 2) s = rc_fail(e, RC_EDATA, "%s: every class is the same: nothing to learn", path);
    return s;
}

/* What the two forms of files give: series in x->series, and for each a class (of names) or targets. */
typedef struct numbers {
    rc__strtab names;
    int32_t *label; /* (series), in names; -1 none */
    double *target; /* (series) or (steps) */
    size_t cap_label, cap_target;
    bool has_target, each_step;
} numbers;

static void numbers_free(numbers *w) {
    rc__strtab_free(&w->names);
    rc__free(w->label, w->cap_label * sizeof *w->label);
    rc__free(w->target, w->cap_target * sizeof *w->target);
}

static rc_status put_label(numbers *w, size_t i, const char *name, size_t len, rc_error *e) {
    uint32_t id;
    rc_status s = rc__grow((void **)&w->label, &w->cap_label, i + 1, sizeof *w->label, e);
    if (s == RC_OK && name) s = rc__strtab_add(&w->names, name, len, &id, NULL, e);
    if (s == RC_OK) w->label[i] = name ? (int32_t)id : -1;
    return s;
}

static rc_status put_target(numbers *w, size_t i, double v, rc_error *e) {
    rc_status s = rc__grow((void **)&w->target, &w->cap_target, i + 1, sizeof *w->target, e);
    if (s == RC_OK) w->target[i] = v;
    return s;
}

static rc_status finish_numbers(rc__classifier *m, rc__examples *x, numbers *w, const char *path,
                                const rc__classify_reading *r, rc_error *e) {
    size_t n = x->series.n;
    bool *held = rc__calloc(n + 1, sizeof *held);
    uint32_t *key = rc__calloc(n + 1, sizeof *key);
    rc_status s = held && key ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory (%zu series)", path, n);
    bool classes = m->answer == RC__ANSWER_CLASS;
    for (size_t i = 0; s == RC_OK && classes && i < n; i++) key[i] = w->label[i] < 0 ? 0 : (uint32_t)w->label[i] + 1;
    if (s == RC_OK && r->training && r->hold_out > 0)
        s = hold_out(held, key, n, w->names.count + 1, r->hold_out, r->seed, e);
    if (s == RC_OK && r->learn && classes) s = learn_classes(m, &w->names, path, e);
    if (s == RC_OK && r->learn) s = learn_scaling(m, x, held, r, e);
    /* One series at a time; x->series has them all already. */
    size_t all = x->series.n;
    for (size_t i = 0; s == RC_OK && i < all; i++) {
        int32_t label = RC_NO_TARGET;
        if (classes && w->label[i] >= 0) {
            size_t len;
            const char *name = rc__strtab_get(&w->names, (size_t)w->label[i], &len);
            label = rc__strtab_find(&m->labels, name, len);
            if (label < 0) {
                x->unknown_labels++;
                label = RC_NO_TARGET;
            }
        }
        x->unlabelled += classes && label == RC_NO_TARGET;
        const double *target = !w->has_target ? NULL : w->each_step ? w->target + x->series.start[i] : w->target + i;
        x->series.n = i + 1;
        /* Only training takes a window at every step: elsewhere the last one is the question. */
        bool each = w->each_step && r->training;
        double last = w->each_step && !each && rc__sequences_len(&x->series, i)
                          ? w->target[x->series.start[i + 1] - 1] : NAN;
        s = add_series(m, x, label, w->each_step && !each ? &last : target, each, held[i], e);
    }
    x->series.n = all;
    for (size_t i = 0; i < x->n; i++)
        if (r->training && m->cap > 0 && x->each[i].target > m->cap) x->each[i].target = m->cap;
    if (s == RC_OK && r->learn && m->answer == RC__ANSWER_NUMBER) learn_target(m, x);
    rc__free(held, (n + 1) * sizeof *held);
    rc__free(key, (n + 1) * sizeof *key);
    return s;
}

static rc_status take_ts(rc__classifier *m, rc__examples *x, numbers *w, const rc__ts_set *f, const char *path,
                         const rc__classify_reading *r, rc_error *e) {
    double *row = rc__alloc((f->n_channels + 1) * sizeof *row);
    rc_status s = row ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = number_channels(m, f->n_channels, path, r->learn, e);
    x->series.channels = f->n_channels;
    bool regress = m->answer == RC__ANSWER_NUMBER;
    if (s == RC_OK && !r->unlabelled && f->kind != (regress ? RC_TS_TARGETS : RC_TS_CLASSES))
        s = rc_fail(e, RC_EDATA, "%s: its series have %s; %s", path,
                    f->kind == RC_TS_PLAIN ? "neither classes nor targets" : regress ? "classes" : "targets, no classes",
                    regress ? "expected targets (recur train classify learns classes)"
                            : "expected classes (recur train regress learns targets)");
    w->has_target = f->kind == RC_TS_TARGETS;
    for (size_t i = 0; s == RC_OK && i < f->n; i++) {
        const rc__ts_series *one = &f->at[i];
        for (size_t t = 0; s == RC_OK && t < one->len; t++) {
            for (size_t c = 0; c < f->n_channels; c++) row[c] = (double)one->values[t * f->n_channels + c];
            s = rc__sequences_step(&x->series, row, e);
        }
        if (s == RC_OK) s = rc__sequences_end(&x->series, e);
        size_t len = 0;
        const char *name = f->kind == RC_TS_CLASSES ? rc__strtab_get(&f->classes, one->label, &len) : NULL;
        if (s == RC_OK) s = put_label(w, i, name, len, e);
        if (s == RC_OK) s = put_target(w, i, one->target, e);
    }
    rc__free(row, (f->n_channels + 1) * sizeof *row);
    return s;
}

/* ---- a long table: id, time, channels, and a label or target in each row ------------------------------------------- */

#define NONE SIZE_MAX

typedef struct columns {
    size_t id, time, answer, n;
    size_t *channel; /* n */
} columns;

static rc_status optional_column(const rc__table *t, const char *name, size_t *col, rc_error *e) {
    *col = NONE;
    return name && *name ? rc__rows_find(rc__table_rows(t), name, col, e) : RC_OK;
}

static rc_status named_channels(const rc__table *t, const char *list, columns *c, rc_error *e) {
    rc_status s = RC_OK;
    for (const char *p = list; s == RC_OK && *p;) {
        char name[256];
        size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < 255 ? n : 255), p);
        s = rc__rows_find(rc__table_rows(t), name, &c->channel[c->n++], e);
        p += n + (p[n] == ',');
        if (c->n >= rc__rows_columns(rc__table_rows(t)) && *p)
            return rc_fail(e, RC_EINVAL, "inputs: more columns than the file has");
    }
    return s;
}

/* In training: those that were named, or all numeric ones without another role. Later: those of the model. */
static rc_status find_channels(rc__classifier *m, const rc__table *t, const rc_data_options *d, bool learn, columns *c,
                               rc_error *e) {
    size_t all = rc__rows_columns(rc__table_rows(t));
    rc_status s = RC_OK;
    c->channel = rc__alloc((all + 1) * sizeof *c->channel);
    if (!c->channel) return rc_fail(e, RC_ENOMEM, "out of memory (%zu columns)", all);
    if (!learn) {
        for (size_t i = 0; s == RC_OK && i < m->channels.count; i++) {
            size_t len;
            char name[256];
            const char *text = rc__strtab_get(&m->channels, i, &len);
            snprintf(name, sizeof name, "%.*s", (int)(len < 255 ? len : 255), text);
            if (c->n == all) return rc_fail(e, RC_EDATA, "%s: expected %zu channels, found %zu columns", rc__table_file(t),
                                            m->channels.count, all);
            s = rc__rows_find(rc__table_rows(t), name, &c->channel[c->n++], e);
        }
        return s;
    }
    if (d->inputs && *d->inputs)
        s = named_channels(t, d->inputs, c, e);
    else
        for (size_t i = 0; i < all; i++)
            if (i != c->id && i != c->time && i != c->answer && rc__table_column_kind(t, i, NULL) == RC_COLUMN_NUMBER)
                c->channel[c->n++] = i;
    if (s == RC_OK && c->n == 0)
        s = rc_fail(e, RC_EDATA, "%s: no column of numbers is left as input; --inputs names them", rc__table_file(t));
    for (size_t i = 0; s == RC_OK && i < c->n; i++) {
        char number[32];
        rc__cell name = rc__rows_name(rc__table_rows(t), c->channel[i]);
        snprintf(number, sizeof number, "%zu", c->channel[i] + 1);
        s = name.text ? add_name(&m->channels, name.text, name.len, e) : add_name(&m->channels, number, strlen(number), e);
    }
    return s;
}

static bool same(rc__cell a, rc__cell b) { return a.len == b.len && memcmp(a.text, b.text, a.len) == 0; }

/* A row of the table into the series that is being added. */
static rc_status take_row(rc__examples *x, numbers *w, const rc__table *t, size_t row, const columns *c, bool classes,
                          double *values, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t k = 0; s == RC_OK && k < c->n; k++) s = rc__table_real(t, row, c->channel[k], &values[k], e);
    double target = NAN;
    if (s == RC_OK && c->answer != NONE && !classes) s = rc__table_real(t, row, c->answer, &target, e);
    if (s == RC_OK && !classes) s = put_target(w, x->series.steps, target, e);
    if (s != RC_OK) return s;
    rc_error inner;
    s = rc__sequences_step(&x->series, values, &inner);
    return s == RC_OK ? s : rc_fail(e, s, "%s: line %zu: %s", rc__table_file(t), rc__table_line(t, row), inner.text);
}

static rc_status end_series(rc__examples *x, numbers *w, const rc__table *t, size_t row, const columns *c, bool classes,
                            rc_error *e) {
    rc__cell label = {0};
    if (classes && c->answer != NONE) label = rc__cell_trim(rc__table_cell(t, row, c->answer));
    rc_status s = put_label(w, x->series.n, label.len ? label.text : NULL, label.len, e);
    return s == RC_OK ? rc__sequences_end(&x->series, e) : s;
}

/* One label a series: as in the row before. */
static rc_status same_label(const rc__table *t, size_t row, size_t col, rc_error *e) {
    char a[64], b[64];
    rc__cell now = rc__cell_trim(rc__table_cell(t, row, col)), then = rc__cell_trim(rc__table_cell(t, row - 1, col));
    if (same(now, then)) return RC_OK;
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected the label %s, as in the rows of this series before, found %s",
                   rc__table_file(t), rc__table_line(t, row), rc__cell_show(then, b), rc__cell_show(now, a));
}

/* A series whose rows are not together would silently become two. */
static rc_status new_series(rc__strtab *ids, const rc__table *t, size_t row, size_t col, rc_error *e) {
    uint32_t id;
    bool added;
    char show[64];
    rc__cell name = rc__table_cell(t, row, col);
    rc_status s = rc__strtab_add(ids, name.text ? name.text : "", name.len, &id, &added, e);
    return s == RC_OK && !added ? rc_fail(e, RC_EDATA, "%s: line %zu: the series %s goes on here after another one; sort the file by series",
                                          rc__table_file(t), rc__table_line(t, row), rc__cell_show(name, show)) : s;
}

/* Numbers, or stamps as seconds; *at has a place for each row, and one more. */
static rc_status read_times(const rc__table *t, size_t col, double **at, rc_error *e) {
    size_t rows = rc__table_n_rows(t), missing = 0;
    char where[400], name[96];
    rc__column_kind kind = rc__table_column_kind(t, col, &missing);
    snprintf(where, sizeof where, "%.250s: %s", rc__table_file(t), rc__table_column_text(t, col, name));
    if (kind == RC_COLUMN_TEXT || missing)
        return rc_fail(e, RC_EDATA, "%s: expected a time in every row, found %s", where,
                       missing ? "rows without one" : "texts");
    *at = rc__alloc((rows + 1) * sizeof **at);
    int64_t *stamp = kind == RC_COLUMN_TIME ? rc__alloc((rows + 1) * sizeof *stamp) : NULL;
    rc_status s = *at && (stamp || kind != RC_COLUMN_TIME) ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    rc__time_style style;
    if (s == RC_OK && stamp)
        s = rc__time_column(rc__table_row(t, 0) + col, rc__rows_columns(rc__table_rows(t)), rows, rc__table_lines(t), where,
                            RC_DATE_INDEX, &style, stamp, e);
    for (size_t i = 0; s == RC_OK && i < rows; i++) {
        if (stamp)
            (*at)[i] = (double)stamp[i];
        else
            s = rc__table_real(t, i, col, &(*at)[i], e);
    }
    if (stamp) rc__free(stamp, (rows + 1) * sizeof *stamp);
    if (s != RC_OK && *at) {
        rc__free(*at, (rows + 1) * sizeof **at);
        *at = NULL;
    }
    return s;
}

static rc_status not_later(const rc__table *t, size_t row, size_t col, rc_error *e) {
    char now[64], then[64];
    return rc_fail(e, RC_EDATA, "%s: line %zu: the time %s comes after %s of the same series; sort the file by series and time",
                   rc__table_file(t), rc__table_line(t, row), rc__cell_show(rc__table_cell(t, row, col), now),
                   rc__cell_show(rc__table_cell(t, row - 1, col), then));
}

static rc_status take_table(rc__classifier *m, rc__examples *x, numbers *w, const rc__table *t, const rc_data_options *d,
                            const rc__classify_reading *r, rc_error *e) {
    bool classes = m->answer == RC__ANSWER_CLASS;
    columns c = {0};
    size_t rows = rc__table_n_rows(t);
    const char *answer = classes ? d->label : d->target;
    rc_status s = optional_column(t, d->id, &c.id, e);
    if (s == RC_OK) s = optional_column(t, d->time, &c.time, e);
    if (s == RC_OK && r->unlabelled) c.answer = NONE;
    if (s == RC_OK && !r->unlabelled) s = optional_column(t, answer, &c.answer, e);
    if (s == RC_OK && !r->unlabelled && c.answer == NONE)
        s = rc_fail(e, RC_EINVAL, "%s: which column of the numeric data is the answer? --%s COLUMN", rc__table_file(t),
                    classes ? "label" : "target");
    if (s == RC_OK) s = find_channels(m, t, d, r->learn, &c, e);
    double *values = s == RC_OK ? rc__alloc((c.n + 1) * sizeof *values) : NULL;
    if (s == RC_OK && !values) s = rc_fail(e, RC_ENOMEM, "out of memory");
    x->series.channels = c.n;
    w->has_target = w->each_step = !classes;
    double *at = NULL;
    if (s == RC_OK && c.time != NONE) s = read_times(t, c.time, &at, e);
    rc__strtab ids = {0};
    for (size_t row = 0; s == RC_OK && row < rows; row++) {
        /* without a column that tells series apart: one series in the order of its times, or a row is an example */
        bool begins = row == 0 || (c.id == NONE ? c.time == NONE
                                                : !same(rc__table_cell(t, row, c.id), rc__table_cell(t, row - 1, c.id)));
        if (begins && row > 0) s = end_series(x, w, t, row - 1, &c, classes, e);
        if (s == RC_OK && begins && c.id != NONE) s = new_series(&ids, t, row, c.id, e);
        if (s == RC_OK && !begins && at && !(at[row] > at[row - 1])) s = not_later(t, row, c.time, e);
        if (s == RC_OK && classes && !begins && c.answer != NONE) s = same_label(t, row, c.answer, e);
        if (s == RC_OK) s = take_row(x, w, t, row, &c, classes, values, e);
    }
    if (s == RC_OK && rows > 0) s = end_series(x, w, t, rows - 1, &c, classes, e);
    rc__strtab_free(&ids);
    if (at) rc__free(at, (rows + 1) * sizeof *at);
    rc__free(values, (c.n + 1) * sizeof *values);
    rc__free(c.channel, (rc__rows_columns(rc__table_rows(t)) + 1) * sizeof *c.channel);
    return s;
}

/* .ts, and the tab separated form of the UCR archive when it is asked for; everything else is a table. */
static bool is_ts(const char *path, const rc_data_options *d) {
    if (given(d->format)) return strcmp(d->format, "ts") == 0 || strcmp(d->format, "ucr") == 0;
    size_t n = strlen(path);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    return n > 3 && strncmp(path + n - 3, ".ts", 3) == 0;
}

static rc_status read_numbers(rc__classifier *m, rc__examples *x, const char *path, const rc_data_options *d,
                              rc__classify_reading *r, rc_error *e) {
    numbers w = {0};
    rc_status s;
    if (is_ts(path, d)) {
        rc__ts_set *f = NULL;
        s = rc__ts_read(&f, path, r->unlabelled, e);
        if (s == RC_OK) {
            snprintf(r->how, sizeof r->how, "%s", f->how);
            s = take_ts(m, x, &w, f, path, r, e);
        }
        rc__ts_free(f);
    } else {
        rc__table_options o = {0};
        rc__missing_words words;
        rc__table *t = NULL;
        s = rc__data_table_options(d, &o, e);
        if (s == RC_OK) s = rc__data_missing(d, &words, &o, e);
        if (given(d->format)) o.format = d->format;
        o.padded = true;
        if (s == RC_OK) s = rc__table_read(&t, path, &o, e);
        if (s == RC_OK) {
            char how[128];
            snprintf(r->how, sizeof r->how, "%s", rc__rows_how(rc__table_rows(t), how));
            s = take_table(m, x, &w, t, d, r, e);
        }
        rc__table_free(t);
    }
    if (s == RC_OK) s = finish_numbers(m, x, &w, path, r, e);
    numbers_free(&w);
    return s;
}

rc_status rc__classify_read(rc__classifier *m, rc__examples *x, const char *path, const rc_data_options *data,
                            rc__classify_reading *r, rc_error *e) {
    *x = (rc__examples){0};
    rc_data_options d = rc__data_merge(data, &m->data);
    rc_status s = m->text ? read_text(m, x, path, &d, r, e)
                          : read_numbers(m, x, path, &d, r, e);
    if (s == RC_OK && x->n == 0) s = rc_fail(e, RC_EDATA, "%s: there is nothing in it", path);
    if (s != RC_OK) rc__examples_free(x);
    return s;
}
