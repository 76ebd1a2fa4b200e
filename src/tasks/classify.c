/* classify.c - the network, and batches for it; see classify.h. */
#include "tasks/classify.h"
#include "base/mem.h"
#include "data/batches.h"
#include <math.h>
#include <string.h>

rc_status rc__classifier_declare(rc__classifier *m, rc_error *e) {
    rc_error local = {.code = RC_OK};
    if (!e) e = &local; /* rc_params_add tells which error it was through e alone */
    rc_status s = rc_params_new(&m->base.params, e);
    if (s == RC_OK && m->text) {
        m->wo.vocab_size = rc__lexicon_rows(&m->lexicon);
        m->wo.n_chars = m->lexicon.chars ? rc_vocab_size(m->lexicon.chars) : 0;
        s = rc__words_new(&m->words, m->base.params, "words.", &m->wo, e);
        if (s == RC_OK) m->eo.input_size = rc__words_width(m->words);
    } else if (s == RC_OK) {
        m->eo.input_size = m->scaler.channels * (m->mask ? 3 : 1);
        bool decays = m->mask && m->eo.kind == RC__ENCODER_RNN && strcmp(m->eo.rnn.cell, "gru-d") == 0;
        m->eo.rnn.decay_every = decays ? 3 : 0;
        if (decays) s = rc__decay_declare(&m->decay, m->base.params, "decay.", m->scaler.channels, e);
    }
    if (s == RC_OK) s = rc__encoder_new(&m->encoder, m->base.params, "encoder.", &m->eo, e);
    if (s != RC_OK) return s;
    m->eo = *rc__encoder_get_options(m->encoder);
    size_t width = rc__encoder_pooled(m->encoder), dim[2] = {m->outputs, width};
    if (width == 0) return rc_fail(e, RC_EINVAL, "classifier: no pooling");
    e->code = RC_OK;
    /* 0 would do too, but for regression on few steps a start that depends on the input learns sooner */
    rc_init init = {.kind = RC_INIT_XAVIER_UNIFORM};
    m->head_w = rc_params_add(m->base.params, "head.weight", 2, dim, init, e);
    if (m->head_w) m->head_b = rc_params_add(m->base.params, "head.bias", 1, dim, (rc_init){.kind = RC_INIT_ZEROS}, e);
    if (!m->head_b) return e->code != RC_OK ? e->code : RC_ENOMEM;
    m->head_b->no_decay = true;
    return RC_OK;
}

void rc__classifier_free(rc_model *base) {
    if (!base) return;
    rc__classifier *m = (rc__classifier *)base;
    rc__words_free(m->words);
    rc__encoder_free(m->encoder);
    rc_params_free(m->base.params);
    rc__lexicon_free(&m->lexicon);
    rc__scaler_free(&m->scaler);
    rc__strtab_free(&m->channels);
    rc__strtab_free(&m->labels);
    rc__data_free(&m->data);
    rc__free(m, sizeof *m);
}

rc_var *rc__classifier_forward(rc_tape *t, const rc__classifier *m, const rc__example_batch *b) {
    rc_var *x, *pooled = NULL;
    if (m->text) {
        x = rc__words_forward(t, m->words, &b->text.words);
    } else {
        size_t dim[3] = {b->T, b->n, m->eo.input_size};
        x = rc_input(t, 3, dim, b->x);
        if (m->decay.w) x = rc__decay_forward(t, &m->decay, x);
    }
    x = rc_dropout(t, x, m->dropout_input);
    rc__encoder_forward(t, m->encoder, x, b->lengths, &pooled);
    pooled = rc_dropout(t, pooled, m->dropout_output);
    return rc_linear(t, pooled, rc_param_var(t, m->head_w), rc_param_var(t, m->head_b));
}

/* ---- examples and batches ---------------------------------------------------------------------------------------- */

void rc__examples_free(rc__examples *x) {
    rc__text_set_free(&x->text);
    rc__sequences_free(&x->series);
    rc__free(x->each, x->cap * sizeof *x->each);
    rc__free(x->several, x->cap_several * sizeof *x->several);
    rc__strtab_free(&x->inputs);
    *x = (rc__examples){0};
}

void rc__example_batch_free(rc__example_batch *b) {
    rc__text_batch_free(&b->text);
    rc__free(b->x, b->cap_x * sizeof *b->x);
    rc__free(b->lengths, b->cap_lengths * sizeof *b->lengths);
    rc__free(b->label, b->cap_label * sizeof *b->label);
    rc__free(b->index, b->cap_index * sizeof *b->index);
    rc__free(b->from, b->cap_from * sizeof *b->from);
    rc__free(b->several, b->cap_several * sizeof *b->several);
    rc__free(b->target, b->cap_target * sizeof *b->target);
    *b = (rc__example_batch){0};
}

rc_status rc__examples_add(rc__examples *x, size_t outputs, rc__example one, rc_error *e) {
    rc_status s = rc__grow((void **)&x->each, &x->cap, x->n + 1, sizeof *x->each, e);
    if (s == RC_OK && outputs > 0)
        s = rc__grow((void **)&x->several, &x->cap_several, (x->n + 1) * outputs, sizeof *x->several, e);
    if (s != RC_OK) return s;
    if (outputs > 0) memset(x->several + x->n * outputs, 0, outputs * sizeof *x->several);
    x->each[x->n++] = one;
    return RC_OK;
}

static rc_status make_numbers(rc__example_batch *b, const rc__classifier *m, const rc__examples *x,
                              const uint32_t *index, size_t n, rc_error *e) {
    size_t width = m->scaler.channels * (m->mask ? 3 : 1), items;
    rc_status s = rc__grow((void **)&b->index, &b->cap_index, n, sizeof *b->index, e);
    if (s == RC_OK) s = rc__grow((void **)&b->from, &b->cap_from, n, sizeof *b->from, e);
    if (s != RC_OK) return s;
    b->T = 1;
    for (size_t r = 0; r < n; r++) {
        const rc__example *one = &x->each[index[r]];
        b->index[r] = one->series;
        b->from[r] = one->from;
        b->lengths[r] = (int32_t)one->length;
        b->T = one->length > b->T ? one->length : b->T;
    }
    if (!rc__size_mul(b->T * n, width, &items))
        return rc_fail(e, RC_ENOMEM, "a batch of %zu sequences of %zu steps is too large", n, b->T);
    s = rc__grow((void **)&b->x, &b->cap_x, items, sizeof *b->x, e);
    if (s == RC_OK) rc__sequences_batch(&x->series, &m->scaler, m->mask, b->index, b->from, b->lengths, n, b->T, b->x);
    return s;
}

rc_status rc__example_batch_make(rc__example_batch *b, const rc__classifier *m, const rc__examples *x,
                                 const uint32_t *index, size_t n, double drop, rc_rng *rng, rc_error *e) {
    rc_status s = rc__grow((void **)&b->lengths, &b->cap_lengths, n, sizeof *b->lengths, e);
    if (s == RC_OK) s = rc__grow((void **)&b->label, &b->cap_label, n, sizeof *b->label, e);
    if (s == RC_OK) s = rc__grow((void **)&b->target, &b->cap_target, n, sizeof *b->target, e);
    if (s == RC_OK && x->several)
        s = rc__grow((void **)&b->several, &b->cap_several, n * m->outputs, sizeof *b->several, e);
    if (s == RC_OK && m->text)
        s = rc__text_batch_make(&b->text, &x->text, index, n, drop, rng, e);
    else if (s == RC_OK)
        s = make_numbers(b, m, x, index, n, e);
    if (s != RC_OK) return s;
    b->n = n;
    if (m->text) b->T = b->text.words.seq_len;
    for (size_t r = 0; r < n; r++) {
        size_t i = index[r];
        if (m->text) b->lengths[r] = b->text.lengths[r];
        b->label[r] = x->each[i].label;
        b->target[r] = (rc_real)((x->each[i].target - m->target_mean) / m->target_scale);
        if (x->several)
            memcpy(b->several + r * m->outputs, x->several + i * m->outputs, m->outputs * sizeof *b->several);
    }
    return RC_OK;
}
