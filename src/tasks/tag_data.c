/* tag_data.c - sentences as numbers, and what answers to them are worth. */
#include "base/mem.h"
#include "data/batches.h"
#include "tasks/tag.h"
#include <math.h>
#include <string.h>

/* ---- sets of sentences ------------------------------------------------------------------------------------------- */

rc__conll_options rc__tag_reader_options(const rc_data_options *d, bool untagged) {
    return (rc__conll_options){.format = d->format && *d->format ? d->format : NULL,
                               .tags = d->column && *d->column ? d->column : NULL,
                               .untagged = untagged};
}

void rc__tag_set_init(rc__tag_set *x, const rc__tagger *m) {
    *x = (rc__tag_set){0};
    rc__text_set_init(&x->text, &m->lexicon);
}

rc_status rc__tag_set_names(rc__tag_set *x, const rc__tagger *m, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t k = 0; s == RC_OK && k < rc__tagset_size(m->written); k++) {
        const char *name = rc__tagset_name(m->written, k);
        uint32_t id;
        s = rc__strtab_add(&x->names, name, strlen(name), &id, NULL, e);
    }
    return s;
}

void rc__tag_set_free(rc__tag_set *x) {
    rc__text_set_free(&x->text);
    rc__strtab_free(&x->names);
    rc__free(x->truth, x->cap_truth * sizeof *x->truth);
    rc__free(x->target, x->cap_target * sizeof *x->target);
    rc__free(x->intent, x->cap_intent * sizeof *x->intent);
    rc__free(x->lengths, x->cap_lengths * sizeof *x->lengths);
    *x = (rc__tag_set){0};
}

void rc__tag_set_clear(rc__tag_set *x) {
    rc__text_set_clear(&x->text);
    x->unknown_tags = x->repaired = x->unknown_intents = x->cut = 0;
}

/* The model's tags for n tags as they are written; of spans those whose type it knows, the rest is outside. */
static rc_status make_targets(rc__tag_set *x, const rc__tagger *m, size_t from, size_t n, rc_error *e) {
    int32_t *truth = x->truth + from, *target = x->target + from;
    int32_t known = (int32_t)rc__tagset_size(m->written);
    for (size_t i = 0; i < n; i++) {
        target[i] = truth[i] < known ? truth[i] : RC_NO_TARGET;
        x->unknown_tags += truth[i] >= known;
    }
    if (!m->spans) return RC_OK;
    size_t bytes = (n + 1) * (sizeof(rc__span) + sizeof(int32_t)), changed = 0;
    rc__span *spans = rc__alloc(bytes);
    if (!spans) return rc_fail(e, RC_ENOMEM, "out of memory for the spans of %zu words", n);
    int32_t *written = (int32_t *)(spans + n + 1);
    memcpy(written, target, n * sizeof *written);
    rc_status s = rc__tags_repair(m->written, m->written_scheme, RC_REPAIR_BEGIN, written, n, &changed, e);
    for (size_t i = 0; i < n; i++) x->repaired += target[i] >= 0 && written[i] != target[i];
    size_t count = rc__spans(m->written, RC_SPANS_SEQEVAL, m->written_scheme, written, n, spans);
    if (s == RC_OK) s = rc__tags_of_spans(m->written, spans, count, m->tags, m->inside_scheme, target, n, e);
    rc__free(spans, bytes);
    return s;
}

rc_status rc__tag_set_add(rc__tag_set *x, const rc__tagger *m, const rc__sentence *in, size_t max_len, rc_error *e) {
    size_t n = max_len && in->n > max_len ? max_len : in->n, from = x->text.n_tokens, i = x->text.n;
    rc_status s = rc__grow((void **)&x->truth, &x->cap_truth, from + n, sizeof *x->truth, e);
    if (s == RC_OK) s = rc__grow((void **)&x->target, &x->cap_target, from + n, sizeof *x->target, e);
    if (s == RC_OK) s = rc__grow((void **)&x->intent, &x->cap_intent, i + 1, sizeof *x->intent, e);
    if (s == RC_OK) s = rc__grow((void **)&x->lengths, &x->cap_lengths, i + 1, sizeof *x->lengths, e);
    for (size_t k = 0; s == RC_OK && k < n; k++) {
        uint32_t id = 0;
        s = rc__text_set_word(&x->text, in->words[k].text, in->words[k].len, e);
        if (s == RC_OK && in->tags) s = rc__strtab_add(&x->names, in->tags[k].text, in->tags[k].len, &id, NULL, e);
        x->truth[from + k] = in->tags ? (int32_t)id : RC_NO_TARGET;
        x->target[from + k] = RC_NO_TARGET;
    }
    if (s == RC_OK && in->tags) s = make_targets(x, m, from, n, e);
    if (s == RC_OK) s = rc__text_set_end(&x->text, e);
    if (s != RC_OK) return s;
    x->lengths[i] = (uint32_t)n;
    x->cut += n < in->n;
    x->intent[i] = RC_NO_TARGET;
    if (in->intent.text && m->intents.count) {
        int32_t id = rc__strtab_find(&m->intents, in->intent.text, in->intent.len);
        x->intent[i] = id < 0 ? INTENT_UNKNOWN : id;
        x->unknown_intents += id < 0;
    }
    return RC_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

void rc__tag_scores_free(rc__tag_scores *s) {
    rc__free(s->each, (s->n_each + 1) * sizeof *s->each);
    rc__free(s->strict_each, (s->n_each + 1) * sizeof *s->strict_each);
    rc__tagset_free(s->names);
    *s = (rc__tag_scores){0};
}

static rc_status names_of(const rc__tag_set *x, rc__tagset **out, rc_error *e) {
    size_t K = x->names.count, room = x->names.pool_len + K, at = 0;
    const char **names = rc__alloc((K + 1) * sizeof *names);
    char *text = rc__alloc(room + 1);
    rc_status s = names && text ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
    for (size_t k = 0; s == RC_OK && k < K; k++) {
        size_t len;
        const char *name = rc__strtab_get(&x->names, k, &len);
        memcpy(text + at, name, len);
        text[at + len] = 0;
        names[k] = text + at;
        at += len + 1;
    }
    if (s == RC_OK) s = rc__tagset_new(names, K, out, e);
    rc__free(names, (K + 1) * sizeof *names);
    rc__free(text, room + 1);
    return s;
}

static rc_status room_for_each(rc__tag_scores *out, size_t n, rc_error *e) {
    out->n_each = n;
    out->each = rc__calloc(n + 1, sizeof *out->each);
    out->strict_each = rc__calloc(n + 1, sizeof *out->strict_each);
    return out->each && out->strict_each ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for the scores of %zu tags", n);
}

/* Of spans by each type; conlleval's rules know no E and S, so such data are read as seqeval reads them. */
static rc_status score_spans(const rc__tagger *m, const rc__tag_set *x, const int32_t *guess, rc__tag_scores *out,
                             rc_error *e) {
    bool bio = m->written_scheme == RC_TAGS_IOB1 || m->written_scheme == RC_TAGS_IOB2;
    rc__span_counts *loose = NULL, *strict = NULL;
    rc_status s = room_for_each(out, rc__tagset_types(out->names), e);
    if (s == RC_OK)
        s = rc__span_counts_new(out->names, bio ? RC_SPANS_CONLLEVAL : RC_SPANS_SEQEVAL, m->written_scheme, &loose, e);
    if (s == RC_OK) s = rc__span_counts_new(out->names, RC_SPANS_STRICT, m->written_scheme, &strict, e);
    for (size_t i = 0; s == RC_OK && i < x->text.n; i++) {
        size_t from = x->text.start[i], n = rc__text_set_len(&x->text, i);
        s = rc__span_counts_add(loose, x->truth + from, guess + from, n, e);
        if (s == RC_OK) s = rc__span_counts_add(strict, x->truth + from, guess + from, n, e);
    }
    if (s == RC_OK) {
        rc__span_counts_read(loose, &out->conlleval, out->each);
        rc__span_counts_read(strict, &out->strict, out->strict_each);
    }
    rc__span_counts_free(loose);
    rc__span_counts_free(strict);
    return s;
}

static rc_status score_plain(const rc__tag_set *x, const int32_t *guess, rc__tag_scores *out, rc_error *e) {
    size_t K = x->names.count;
    rc_status s = room_for_each(out, K, e);
    if (s != RC_OK) return s;
    rc__prf *each = out->each; /* first as counts: precision = guessed, recall = right */
    for (size_t i = 0; i < x->text.n_tokens; i++) {
        if (x->truth[i] < 0) continue;
        each[guess[i]].precision++;
        each[x->truth[i]].support++;
        each[guess[i]].recall += guess[i] == x->truth[i];
    }
    for (size_t k = 0; k < K; k++) each[k] = rc__prf_of(each[k].recall, each[k].precision, each[k].support);
    return RC_OK;
}

rc_status rc__tag_score(const rc__tagger *m, const rc__tag_set *x, const rc__tag_answers *a, const int32_t *tag,
                        rc__tag_scores *out, rc_error *e) {
    size_t words = x->text.n_tokens, right = 0, unknown_right = 0, whole = 0, intents = 0, intents_right = 0;
    int32_t *guess = rc__alloc((words + 1) * sizeof *guess), unk = x->text.lexicon->tokens->unk;
    *out = (rc__tag_scores){.sentences = x->text.n, .words = words};
    rc_status s = guess ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory for the tags of %zu words", words);
    for (size_t i = 0; s == RC_OK && i < x->text.n; i++) {
        size_t from = x->text.start[i], n = rc__text_set_len(&x->text, i), good = 0;
        s = rc__tagger_write(m, tag + from, guess + from, n, e);
        for (size_t k = from; s == RC_OK && k < from + n; k++) {
            bool unknown = x->text.id[k] == unk, ok = guess[k] == x->truth[k];
            good += ok;
            out->unknown_words += unknown;
            unknown_right += unknown && ok;
        }
        right += good;
        bool intent_ok = a->intent[i] == x->intent[i];
        if (m->intents.count && x->intent[i] != RC_NO_TARGET) {
            intents++;
            intents_right += intent_ok;
        }
        whole += good == n && (!m->intents.count || intent_ok);
    }
    if (s == RC_OK) s = names_of(x, &out->names, e);
    if (s == RC_OK) s = m->spans ? score_spans(m, x, guess, out, e) : score_plain(x, guess, out, e);
    rc__free(guess, (words + 1) * sizeof *guess);
    if (s != RC_OK) {
        rc__tag_scores_free(out);
        return s;
    }
    out->accuracy = words ? (double)right / (double)words : NAN;
    out->accuracy_unknown = out->unknown_words ? (double)unknown_right / (double)out->unknown_words : NAN;
    out->sentence_accuracy = x->text.n ? (double)whole / (double)x->text.n : NAN;
    out->intent_accuracy = intents ? (double)intents_right / (double)intents : NAN;
    return RC_OK;
}

/* ---- the baseline ------------------------------------------------------------------------------------------------ */

static size_t most(const uint32_t *count, size_t K) {
    size_t best = 0;
    for (size_t k = 1; k < K; k++)
        if (count[k] > count[best]) best = k;
    return best;
}

/* Counts of (word, tag) in one table; too large ones are not made: then *tag is that of the words seen once. */
rc_status rc__tag_baseline(const rc__tagger *m, const rc__tag_set *train, const rc__tag_set *x, int32_t *tag,
                           rc_error *e) {
    size_t V = rc_vocab_size(m->lexicon.tokens), K = rc__tagger_size(m), cells;
    int32_t unk = m->lexicon.tokens->unk;
    if (!rc__size_mul(V, K, &cells) || cells > (size_t)1 << 28)
        return rc_fail(e, RC_ENOMEM, "baseline: %zu words and %zu tags", V, K);
    uint32_t *count = rc__calloc(cells + 1, sizeof *count), *rare = rc__calloc(K + 1, sizeof *rare);
    rc_status s = count && rare ? RC_OK : rc_fail(e, RC_ENOMEM, "baseline: out of memory");
    for (size_t i = 0; s == RC_OK && i < train->text.n_tokens; i++)
        if (train->target[i] >= 0) count[(size_t)train->text.id[i] * K + (size_t)train->target[i]]++;
    for (size_t v = 0; s == RC_OK && v < V; v++) { /* of words seen once, and of those that min-count makes unknown */
        size_t best = most(count + v * K, K), sum = 0;
        for (size_t k = 0; k < K; k++) sum += count[v * K + k];
        if (sum == 1) rare[best]++;
        for (size_t k = 0; (int32_t)v == unk && k < K; k++) rare[k] += count[v * K + k];
    }
    size_t other = s == RC_OK ? most(rare, K) : 0;
    for (size_t i = 0; s == RC_OK && i < x->text.n_tokens; i++) {
        int32_t id = x->text.id[i];
        tag[i] = id == unk ? (int32_t)other : (int32_t)most(count + (size_t)id * K, K);
    }
    rc__free(count, (cells + 1) * sizeof *count);
    rc__free(rare, (K + 1) * sizeof *rare);
    return s;
}
