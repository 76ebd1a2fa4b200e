/* words.c - see words.h. */
#include "nn/words.h"
#include "base/mem.h"
#include "nn/encoder.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPARSE_ROWS 1000 /* from so many on the table's gradient is kept by rows: a batch uses few of them */

struct rc__words {
    rc__words_options o;
    rc_param *table, *char_table, *affix_table;
    rc__encoder *chars;
};

static rc_param *add_table(rc_params *ps, const char *prefix, const char *name, size_t rows, size_t cols,
                           double deviation, rc_error *e) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    rc_init init = {.kind = RC_INIT_NORMAL, .value = deviation > 0 ? deviation : 1 / sqrt((double)cols)};
    rc_param *p = rc_params_add(ps, full, 2, (size_t[2]){rows, cols}, init, e);
    if (!p) return NULL;
    p->no_decay = true;
    p->sparse = rows > SPARSE_ROWS;
    return p;
}

static rc_status add_chars(rc__words *w, rc_params *ps, const char *prefix, rc_error *e) {
    char name[256];
    w->char_table = add_table(ps, prefix, "chars.embedding.weight", w->o.n_chars, w->o.char_embedding, 0, e);
    if (!w->char_table) return RC_ENOMEM;
    rc__encoder_options eo = {.input_size = w->o.char_embedding, .rnn = rc_rnn_options_default()};
    if (strcmp(w->o.chars, "cnn") == 0) {
        eo.kind = RC__ENCODER_CNN;
        eo.kernels[0] = 3;
        eo.n_kernels = 1;
        eo.filters = w->o.char_hidden;
        eo.pool = RC__POOL_MAX;
    } else {
        eo.kind = RC__ENCODER_RNN;
        eo.rnn.cell = w->o.chars;
        eo.rnn.hidden_size = w->o.char_hidden;
        eo.rnn.bidirectional = true;
        eo.pool = RC__POOL_LAST;
    }
    snprintf(name, sizeof name, "%schars.", prefix);
    return rc__encoder_new(&w->chars, ps, name, &eo, e);
}

rc_status rc__words_new(rc__words **out, rc_params *ps, const char *prefix, const rc__words_options *o, rc_error *e) {
    *out = NULL;
    rc_error local = {.code = RC_OK};
    if (!e) e = &local;
    bool chars = o->chars && strcmp(o->chars, "none") != 0;
    if (!chars && o->vocab_size == 0 && o->affix_buckets == 0)
        return rc_fail(e, RC_EINVAL, "words: neither a table nor characters nor affixes");
    rc__words *w = rc__calloc(1, sizeof *w);
    if (!w) return rc_fail(e, RC_ENOMEM, "words: out of memory");
    w->o = *o;
    e->code = RC_OK;
    rc_status s = RC_OK;
    if (o->vocab_size > 0) {
        w->table = add_table(ps, prefix, "embedding.weight", o->vocab_size, o->embedding_size, o->deviation, e);
        if (!w->table) s = RC_ENOMEM;
    }
    if (s == RC_OK && chars) s = add_chars(w, ps, prefix, e);
    if (s == RC_OK && o->affix_buckets > 0) {
        w->affix_table = add_table(ps, prefix, "affixes.weight", o->affix_buckets, o->affix_embedding, 0, e);
        if (!w->affix_table) s = RC_ENOMEM;
    }
    if (s != RC_OK) {
        rc__words_free(w);
        return e->code != RC_OK ? e->code : s;
    }
    *out = w;
    return RC_OK;
}

void rc__words_free(rc__words *w) {
    if (!w) return;
    rc__encoder_free(w->chars);
    rc__free(w, sizeof *w);
}

size_t rc__words_width(const rc__words *w) {
    return (w->table ? w->o.embedding_size : 0) + (w->chars ? rc__encoder_pooled(w->chars) : 0) +
           (w->affix_table ? RC__AFFIXES * w->o.affix_embedding : 0);
}
rc_param *rc__words_table(const rc__words *w) { return w->table; }

/* What is made of each different word of the batch: (n_forms, width). */
static rc_var *read_forms(rc_tape *t, const rc__words *w, const rc__words_batch *b) {
    rc_var *part[2];
    int n = 0;
    if (w->chars) {
        size_t forms[2] = {b->longest_form, b->n_forms};
        rc_var *c = rc_embedding(t, b->chars, 2, forms, rc_param_var(t, w->char_table));
        rc__encoder_forward(t, w->chars, c, b->form_lengths, &part[n++]);
    }
    if (w->affix_table) {
        size_t dim[2] = {b->n_forms, RC__AFFIXES}, flat[2] = {b->n_forms, RC__AFFIXES * w->o.affix_embedding};
        rc_var *a = rc_embedding(t, b->affixes, 2, dim, rc_param_var(t, w->affix_table));
        part[n++] = rc_reshape(t, a, 2, flat);
    }
    return rc_dropout(t, n > 1 ? rc_concat(t, n, part, -1) : part[0], w->o.char_dropout);
}

rc_var *rc__words_forward(rc_tape *t, const rc__words *w, const rc__words_batch *b) {
    size_t dim[2] = {b->seq_len, b->batch};
    rc_var *part[2];
    int n = 0;
    if (w->table) part[n++] = rc_embedding(t, b->ids, 2, dim, rc_param_var(t, w->table));
    if (w->chars || w->affix_table) part[n++] = rc_embedding(t, b->form, 2, dim, read_forms(t, w, b));
    return n > 1 ? rc_concat(t, n, part, -1) : part[0];
}
