/* text_set.c - see text_set.h. */
#include "data/text_set.h"
#include "base/mem.h"
#include "data/utf8.h"
#include <string.h>

void rc__text_set_init(rc__text_set *t, const rc__lexicon *lexicon) { *t = (rc__text_set){.lexicon = lexicon}; }

static bool has_forms(const rc__text_set *t) { return t->lexicon->chars || t->lexicon->affixes; }

void rc__text_set_free(rc__text_set *t) {
    rc__free(t->start, t->cap_start * sizeof *t->start);
    rc__free(t->id, t->cap_id * sizeof *t->id);
    rc__free(t->form, t->cap_form * sizeof *t->form);
    rc__strtab_free(&t->forms);
    rc__free(t->form_start, t->cap_form_start * sizeof *t->form_start);
    rc__free(t->form_char, t->cap_form_char * sizeof *t->form_char);
    rc__free(t->form_affix, t->cap_form_affix * sizeof *t->form_affix);
    rc__string_free(&t->scratch);
    rc__free(t->ids.id, t->ids.cap * sizeof *t->ids.id);
    *t = (rc__text_set){0};
}

void rc__text_set_clear(rc__text_set *t) {
    t->n = t->n_tokens = t->unknown = t->n_form_char = 0;
    rc__strtab_truncate(&t->forms, 0);
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* The characters and affixes of a form that is new. */
static rc_status add_form(rc__text_set *t, const char *word, size_t len, uint32_t *form, rc_error *e) {
    bool added;
    rc_status s = rc__strtab_add(&t->forms, word, len, form, &added, e);
    if (s != RC_OK || !added) return s;
    size_t unknown = 0, cut = 0;
    for (size_t chars = 0; cut < len && chars < RC__MAX_FORM; chars++) {
        uint32_t cp;
        size_t n = rc__utf8_decode(word + cut, len - cut, &cp);
        cut += n ? n : 1;
    }
    t->ids.n = 0;
    if (t->lexicon->chars && cut > 0 && rc__utf8_valid_prefix(word, cut) == cut)
        s = rc__char_encode(t->lexicon->chars, word, cut, &t->ids, &unknown, e);
    if (s == RC_OK) s = rc__grow((void **)&t->form_start, &t->cap_form_start, t->forms.count + 1, sizeof(size_t), e);
    if (s == RC_OK)
        s = rc__grow((void **)&t->form_char, &t->cap_form_char, t->n_form_char + t->ids.n, sizeof(int32_t), e);
    size_t affixes = t->lexicon->affixes, at = *form * RC__AFFIXES;
    if (s == RC_OK && affixes)
        s = rc__grow((void **)&t->form_affix, &t->cap_form_affix, at + RC__AFFIXES, sizeof(int32_t), e);
    if (s == RC_OK && affixes) s = rc__affixes(affixes, &t->scratch, word, len, t->form_affix + at, e);
    if (s != RC_OK) {
        rc__strtab_truncate(&t->forms, t->forms.count - 1);
        return s;
    }
    if (*form == 0) t->form_start[0] = 0;
    if (t->ids.n) memcpy(t->form_char + t->n_form_char, t->ids.id, t->ids.n * sizeof(int32_t));
    t->n_form_char += t->ids.n;
    t->form_start[*form + 1] = t->n_form_char;
    return RC_OK;
}

static rc_status put_id(rc__text_set *t, int32_t id, rc_error *e) {
    rc_status s = rc__grow((void **)&t->id, &t->cap_id, t->n_tokens + 1, sizeof *t->id, e);
    if (s == RC_OK && has_forms(t))
        s = rc__grow((void **)&t->form, &t->cap_form, t->n_tokens + 1, sizeof *t->form, e);
    if (s != RC_OK) return s;
    t->id[t->n_tokens++] = id;
    return RC_OK;
}

rc_status rc__text_set_word(rc__text_set *t, const char *word, size_t len, rc_error *e) {
    int32_t id;
    uint32_t form = 0;
    rc_status s = rc__lexicon_id(t->lexicon, &t->scratch, word, len, &id, e);
    if (s == RC_OK && has_forms(t)) s = add_form(t, word, len, &form, e);
    if (s == RC_OK) s = put_id(t, id, e);
    if (s != RC_OK) return s;
    t->unknown += id == t->lexicon->tokens->unk;
    if (has_forms(t)) t->form[t->n_tokens - 1] = (int32_t)form;
    return RC_OK;
}

/* Pairs of neighbours, after the words themselves. They have no characters: the form of an empty word. */
static rc_status add_pairs(rc__text_set *t, size_t from, rc_error *e) {
    size_t to = t->n_tokens, entries = rc_vocab_size(t->lexicon->tokens);
    uint32_t form = 0;
    rc_status s = has_forms(t) && from + 1 < to ? add_form(t, "", 0, &form, e) : RC_OK;
    for (size_t i = from; s == RC_OK && i + 1 < to; i++) {
        int32_t pair[2] = {t->id[i], t->id[i + 1]};
        uint32_t h = rc__hash_bytes((const char *)pair, sizeof pair);
        s = put_id(t, (int32_t)(entries + h % t->lexicon->buckets), e);
        if (s == RC_OK && has_forms(t)) t->form[t->n_tokens - 1] = (int32_t)form;
    }
    return s;
}

rc_status rc__text_set_end(rc__text_set *t, rc_error *e) {
    rc_status s = rc__grow((void **)&t->start, &t->cap_start, t->n + 2, sizeof *t->start, e);
    if (s != RC_OK) return s;
    if (t->n == 0) t->start[0] = 0;
    if (t->lexicon->buckets) s = add_pairs(t, t->start[t->n], e);
    t->start[++t->n] = t->n_tokens;
    return s;
}

static rc_status add_by_vocab(rc__text_set *t, const char *text, size_t len, size_t max_len, rc_error *e) {
    int32_t *ids = NULL;
    size_t n = 0, unknown = 0;
    if (len == 0) return RC_OK;
    rc_status s = RC_OK;
    if (t->lexicon->lowercase) {
        s = rc__lower(&t->scratch, text, len, e);
        text = t->scratch.s;
        len = t->scratch.len;
    }
    if (s == RC_OK) s = rc_vocab_encode(t->lexicon->tokens, text, len, &ids, &n, &unknown, e);
    size_t keep = max_len && n > max_len ? max_len : n;
    for (size_t i = 0; s == RC_OK && i < keep; i++) s = put_id(t, ids[i], e);
    t->unknown += unknown;
    rc_ids_free(ids, n);
    return s;
}

rc_status rc__text_set_add(rc__text_set *t, const char *text, size_t len, size_t max_len, rc_error *e) {
    size_t at = 0, from, to, n = 0;
    rc_status s = RC_OK;
    if (t->lexicon->split == RC__SPLIT_VOCAB) {
        s = add_by_vocab(t, text, len, max_len, e);
    } else {
        while (s == RC_OK && (max_len == 0 || n < max_len) && rc__next_word(text, len, &at, &from, &to)) {
            s = rc__text_set_word(t, text + from, to - from, e);
            n++;
        }
    }
    return s == RC_OK ? rc__text_set_end(t, e) : s;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

void rc__text_batch_free(rc__text_batch *b) {
    rc__free(b->lengths, b->cap_lengths * sizeof(int32_t));
    rc__free(b->ids, b->cap_ids * sizeof(int32_t));
    rc__free(b->form, b->cap_form * sizeof(int32_t));
    rc__free(b->chars, b->cap_chars * sizeof(int32_t));
    rc__free(b->form_lengths, b->cap_form_lengths * sizeof(int32_t));
    rc__free(b->affixes, b->cap_affixes * sizeof(int32_t));
    rc__free(b->local, b->cap_local * sizeof(int32_t));
    rc__free(b->used, b->cap_used * sizeof(uint32_t));
    *b = (rc__text_batch){0};
}

/* Numbers the forms of the batch in the order in which they come, and lays out their characters. */
static rc_status make_forms(rc__text_batch *b, const rc__text_set *t, const uint32_t *index, size_t n, size_t T,
                            rc_error *e) {
    size_t old = b->cap_local, n_forms = 0, longest = 1;
    rc_status s = rc__grow((void **)&b->local, &b->cap_local, t->forms.count + 1, sizeof(int32_t), e);
    if (b->cap_local > old) memset(b->local, 0, b->cap_local * sizeof *b->local); /* at once: the next may fail */
    if (s == RC_OK) s = rc__grow((void **)&b->form, &b->cap_form, T * n, sizeof(int32_t), e);
    if (s == RC_OK) s = rc__grow((void **)&b->used, &b->cap_used, T * n + 1, sizeof(uint32_t), e);
    if (s != RC_OK) return s;
    memset(b->form, 0, T * n * sizeof *b->form);
    for (size_t r = 0; r < n; r++) {
        const int32_t *form = t->form + t->start[index[r]];
        for (size_t i = 0; i < rc__text_set_len(t, index[r]); i++) {
            int32_t *place = &b->local[form[i]];
            if (*place == 0) {
                b->used[n_forms++] = (uint32_t)form[i];
                *place = (int32_t)n_forms;
                size_t chars = t->form_start[form[i] + 1] - t->form_start[form[i]];
                longest = chars > longest ? chars : longest;
            }
            b->form[i * n + r] = *place - 1;
        }
    }
    if (n_forms == 0) b->used[n_forms++] = UINT32_MAX; /* a batch of empty texts: one form without characters */
    s = rc__grow((void **)&b->form_lengths, &b->cap_form_lengths, n_forms, sizeof(int32_t), e);
    if (s == RC_OK) s = rc__grow((void **)&b->chars, &b->cap_chars, longest * n_forms, sizeof(int32_t), e);
    if (s == RC_OK && t->form_affix)
        s = rc__grow((void **)&b->affixes, &b->cap_affixes, n_forms * RC__AFFIXES, sizeof(int32_t), e);
    for (size_t f = 0; s == RC_OK && t->form_affix && f < n_forms; f++) {
        int32_t *to = b->affixes + f * RC__AFFIXES;
        if (b->used[f] == UINT32_MAX)
            memset(to, 0, RC__AFFIXES * sizeof *to);
        else
            memcpy(to, t->form_affix + b->used[f] * RC__AFFIXES, RC__AFFIXES * sizeof *to);
    }
    for (size_t f = 0; s == RC_OK && f < n_forms; f++) {
        size_t from = b->used[f] == UINT32_MAX ? 0 : t->form_start[b->used[f]];
        size_t chars = b->used[f] == UINT32_MAX ? 0 : t->form_start[b->used[f] + 1] - from;
        b->form_lengths[f] = (int32_t)chars;
        for (size_t k = 0; k < longest; k++) b->chars[k * n_forms + f] = k < chars ? t->form_char[from + k] : 0;
    }
    for (size_t f = 0; f < n_forms; f++)
        if (b->used[f] != UINT32_MAX) b->local[b->used[f]] = 0; /* as it was, for the next batch */
    b->words.form = b->form;
    b->words.n_forms = n_forms;
    b->words.longest_form = longest;
    b->words.chars = b->chars;
    b->words.form_lengths = b->form_lengths;
    b->words.affixes = b->affixes;
    return s;
}

rc_status rc__text_batch_make(rc__text_batch *b, const rc__text_set *t, const uint32_t *index, size_t n, double drop,
                              rc_rng *rng, rc_error *e) {
    size_t T = 1; /* a batch of empty texts has one step, beyond every length */
    for (size_t r = 0; r < n; r++) T = rc__text_set_len(t, index[r]) > T ? rc__text_set_len(t, index[r]) : T;
    rc_status s = rc__grow((void **)&b->lengths, &b->cap_lengths, n, sizeof(int32_t), e);
    if (s == RC_OK) s = rc__grow((void **)&b->ids, &b->cap_ids, T * n, sizeof(int32_t), e);
    if (s != RC_OK) return s;
    memset(b->ids, 0, T * n * sizeof *b->ids);
    int32_t unk = t->lexicon->tokens->unk < 0 ? 0 : t->lexicon->tokens->unk;
    for (size_t r = 0; r < n; r++) {
        size_t len = rc__text_set_len(t, index[r]);
        const int32_t *id = t->id + t->start[index[r]];
        b->lengths[r] = (int32_t)len;
        for (size_t i = 0; i < len; i++) b->ids[i * n + r] = rng && drop > 0 && rc_rng_uniform(rng) < drop ? unk : id[i];
    }
    b->words = (rc__words_batch){.seq_len = T, .batch = n, .ids = b->ids};
    return has_forms(t) ? make_forms(b, t, index, n, T, e) : RC_OK;
}
