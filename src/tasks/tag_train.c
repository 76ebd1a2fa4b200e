/* tag_train.c - taggers in training: reading and splitting sentences, what is learnt of them first, batches, validation.
 */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "tasks/tag.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROP_STREAM     0x7461672D64726F70u /* mixed into the seed: no other use of it draws these numbers */
#define EXCHANGE_STREAM 0x657863680000u
#define AFFIX_ROWS      16384
#define FEW_SPANS \
    5000 /* below, BIO inside: IOBES shares the examples of a type out among more tags (WNUT17, 1,975 spans,
                             * dev F1 0.355 and 0.359 against 0.327; snips, 34,000 spans, 0.905 against 0.909) */
#define CUT_SHARE \
    0.003 /* words with a mark at their end, as text has that was cut at white space (snips 0.019, EWT 0.00004) */
#define BASELINE_CELLS ((size_t)1 << 28)

typedef struct tag_task {
    rc__task base;
    rc__tagger *m;
    rc__tag_set train, valid;
    rc__epochs *epochs;
    rc__visit last;
    rc__tag_batch batch;
    size_t valid_batch;
    double word_dropout, label_smoothing;
    uint64_t seed, hash;
} tag_task;

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Sentences of all files, borrowed from them. */
typedef struct corpus {
    rc__sentences **files;
    rc__sentence *at;
    size_t n_files, n, cap, words;
    rc__arena *made; /* of sentences that are in no file; NULL: none */
} corpus;

static void corpus_free(corpus *c) {
    for (size_t i = 0; i < c->n_files; i++) rc__conll_free(c->files[i]);
    rc__free(c->files, (c->n_files + 1) * sizeof *c->files);
    rc__free(c->at, c->cap * sizeof *c->at);
    rc__arena_free(c->made);
    *c = (corpus){0};
}

static rc_status check_sentences(const rc__sentences *l, const char *path, bool intents, rc_error *e) {
    for (size_t i = 0; i < l->n; i++) {
        if (!l->at[i].tags)
            return rc_fail(
                e, RC_EDATA,
                "%s: line %zu: a sentence without tags, only an intent: that is a task for recur train classify", path,
                l->at[i].line);
        if (intents && !l->at[i].intent.text)
            return rc_fail(e, RC_EDATA, "%s: line %zu: --joint-intent: the sentence has no intent", path,
                           l->at[i].line);
    }
    return RC_OK;
}

static rc_status read_files(corpus *c, const char *const *paths, size_t n, const rc_data_options *d, bool intents,
                            const rc_train_hooks *hooks, rc_error *e) {
    rc__conll_options o = rc__tag_reader_options(d, false);
    char last[96] = "";
    c->files = rc__calloc(n + 1, sizeof *c->files);
    if (!c->files) return rc_fail(e, RC_ENOMEM, "out of memory for %zu files", n);
    c->n_files = n;
    for (size_t f = 0; f < n; f++) {
        rc_status s = rc__conll_read(&c->files[f], paths[f], &o, e);
        if (s == RC_OK) s = check_sentences(c->files[f], paths[f], intents, e);
        if (s == RC_OK) s = rc__grow((void **)&c->at, &c->cap, c->n + c->files[f]->n, sizeof *c->at, e);
        if (s != RC_OK) return s;
        memcpy(c->at + c->n, c->files[f]->at, c->files[f]->n * sizeof *c->at);
        c->n += c->files[f]->n;
        c->words += c->files[f]->n_words;
        if (strcmp(last, c->files[f]->how) != 0) rc__say(hooks, "%s: %s", paths[f], c->files[f]->how);
        snprintf(last, sizeof last, "%s", c->files[f]->how);
    }
    return RC_OK;
}

/* Every so-and-so-many-th sentence validates, spread evenly over the files in their order: sentence i (from 1) of n
 * does when floor(i k / n) > floor((i - 1) k / n), with k = n * fraction rounded. Nothing is drawn, so the rule can be
 * told. */
static rc_status split(corpus *train, corpus *valid, double fraction, rc_error *e) {
    size_t n = train->n, k = (size_t)((double)n * fraction + 0.5), kept = 0;
    if (k == 0 || k >= n) return RC_OK;
    rc_status s = rc__grow((void **)&valid->at, &valid->cap, k, sizeof *valid->at, e);
    if (s != RC_OK) return s;
    train->words = 0;
    for (size_t i = 0; i < n; i++) {
        bool validates = (i + 1) * k / n > i * k / n;
        corpus *to = validates ? valid : train;
        to->words += train->at[i].n;
        if (validates)
            valid->at[valid->n++] = train->at[i];
        else
            train->at[kept++] = train->at[i];
    }
    train->n = kept;
    return RC_OK;
}

/* ---- what is learnt of the training data before training --------------------------------------------------------- */

static rc_status collect_tags(const corpus *c, rc__tagset **out, rc_error *e) {
    rc__strtab names = {0};
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < c->n; i++)
        for (size_t k = 0; s == RC_OK && k < c->at[i].n; k++) {
            uint32_t id;
            s = rc__strtab_add(&names, c->at[i].tags[k].text, c->at[i].tags[k].len, &id, NULL, e);
            if (s == RC_OK && names.count > RC__MAX_TAGS)
                s = rc_fail(e, RC_EDATA, "more than %d different tags; --column names the column of the tags",
                            RC__MAX_TAGS);
        }
    const char **list = rc__alloc((names.count + 1) * sizeof *list);
    char *text = rc__alloc(names.pool_len + names.count + 1);
    if (s == RC_OK && (!list || !text)) s = rc_fail(e, RC_ENOMEM, "out of memory for %zu tags", names.count);
    for (size_t k = 0, at = 0; s == RC_OK && k < names.count; k++) {
        size_t len;
        const char *name = rc__strtab_get(&names, k, &len);
        memcpy(text + at, name, len);
        text[at + len] = 0;
        list[k] = text + at;
        at += len + 1;
    }
    if (s == RC_OK && names.count < 2)
        s = rc_fail(e, RC_EDATA, "every tag is the same: nothing to learn; --column names the column of the tags");
    if (s == RC_OK) s = rc__tagset_new(list, names.count, out, e);
    rc__free(list, (names.count + 1) * sizeof *list);
    rc__free(text, names.pool_len + names.count + 1);
    rc__strtab_free(&names);
    return s;
}

static bool same_type(rc__cell a, rc__cell b) {
    return a.len == b.len && memcmp(a.text + 1, b.text + 1, a.len - 1) == 0;
}

/* IOB1 has B- only between spans of one type that touch; one B- elsewhere is enough to say that it is not. */
static bool is_iob1(const corpus *c) {
    size_t inside_first = 0, begin_first = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->at[i].n; k++) {
            rc__cell tag = c->at[i].tags[k], before = k ? c->at[i].tags[k - 1] : (rc__cell){"O", 1};
            bool touches = before.text[0] != 'O' && same_type(tag, before);
            inside_first += tag.text[0] == 'I' && !touches;
            begin_first += tag.text[0] == 'B' && !touches;
        }
    return inside_first > 0 && begin_first == 0;
}

/* The span of a sentence that begins at k, as its tags say: its length; 0: none does. */
static size_t span_at(const rc__sentence *s, size_t k) {
    size_t end = k + 1;
    if (s->tags[k].text[0] == 'O') return 0;
    while (end < s->n && strchr("IEL", s->tags[end].text[0]) && same_type(s->tags[end], s->tags[k])) end++;
    return end - k;
}

static size_t count_spans(const corpus *c) {
    size_t count = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0, len; k < c->at[i].n; k += len ? len : 1) {
            len = span_at(&c->at[i], k);
            count += len > 0;
        }
    return count;
}

static bool given(const rc_train_options *o, const char *name) {
    for (size_t i = 0; i < o->n_given; i++)
        if (strcmp(o->given[i], name) == 0) return true;
    return false;
}

static rc_status learn_tags(rc__tagger *m, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc__tagset *from = NULL;
    rc__tag_scheme scheme = RC_TAGS_IOB2;
    rc_status s = collect_tags(c, &from, e);
    if (s != RC_OK) return s;
    bool spans = rc__tagset_scheme(from, &scheme);
    if (!spans && (!strcmp(o->scheme, "bio") || !strcmp(o->scheme, "iobes")))
        s = rc_fail(e, RC_EDATA, "--scheme %s: the tags are no spans: expected O, and B-, I- before types", o->scheme);
    m->spans = spans && strcmp(o->scheme, "none") != 0;
    if (m->spans && scheme == RC_TAGS_IOB2 && is_iob1(c)) scheme = RC_TAGS_IOB1;
    m->written_scheme = scheme;
    bool bio = !strcmp(o->scheme, "bio") || (!strcmp(o->scheme, "auto") && m->spans && count_spans(c) < FEW_SPANS);
    m->inside_scheme = bio ? RC_TAGS_IOB2 : RC_TAGS_IOBES;
    m->crf = o->crf && (m->spans || given(o, "crf")); /* it gains for spans; for parts of speech it costs time */
    if (s == RC_OK) s = rc__tagger_set_tags(m, from, e);
    rc__tagset_free(from);
    return s;
}

static rc_status learn_words(rc__tagger *m, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc__word_counts counts = {0};
    size_t marked = 0;
    rc_status s = RC_OK;
    m->lexicon.split = RC__SPLIT_GIVEN;
    m->lexicon.lowercase = o->lowercase;
    m->lexicon.affixes = o->affixes ? AFFIX_ROWS : 0;
    for (size_t i = 0; s == RC_OK && i < c->n; i++)
        for (size_t k = 0; s == RC_OK && k < c->at[i].n; k++) {
            rc__cell w = c->at[i].words[k];
            s = rc__word_counts_word(&counts, m->lexicon.lowercase, w.text, w.len, e);
            marked += w.len > 1 && strchr(",?!;:", w.text[w.len - 1]) && !strchr(",?!;:.-()'\"", w.text[0]);
        }
    m->cut_spaces = (double)marked > CUT_SHARE * (double)c->words;
    if (s == RC_OK)
        s = rc__lexicon_of_counts(&m->lexicon, &counts, (size_t)o->min_count, 0, strcmp(o->chars, "none") != 0, e);
    rc__word_counts_free(&counts);
    return s;
}

static rc_status learn_intents(rc__tagger *m, const corpus *c, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < c->n; i++) {
        uint32_t id;
        s = rc__strtab_add(&m->intents, c->at[i].intent.text, c->at[i].intent.len, &id, NULL, e);
    }
    if (s == RC_OK && (m->intents.count < 2 || m->intents.count > RC__MAX_TAGS))
        s = rc_fail(e, RC_EDATA, "--joint-intent: expected 2 to %d different intents, found %zu", RC__MAX_TAGS,
                    m->intents.count);
    return s;
}

static rc_status new_model(rc__tagger **out, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc__tagger *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    m->base.kind = &rc__task_tag;
    rc_status s = rc__train_encoder_options(o, "max", &m->eo, e);
    if (!o->joint_intent) m->eo.pool = 0;
    rc__train_words_options(o, &m->wo);
    m->dropout_input = o->dropout_input;
    m->dropout_output = o->dropout_output < 0 ? o->dropout : o->dropout_output;
    if (s == RC_OK) s = rc__data_copy(&m->data, &o->data, e);
    if (s == RC_OK) s = learn_tags(m, o, c, e);
    if (s == RC_OK) s = learn_words(m, o, c, e);
    if (s == RC_OK && o->joint_intent) s = learn_intents(m, c, e);
    if (s == RC_OK) s = rc__tagger_declare(m, e);
    if (s == RC_OK) s = rc_params_build(m->base.params, (uint64_t)o->seed, e);
    if (s != RC_OK) return rc_model_free(&m->base), s;
    *out = m;
    return RC_OK;
}

static rc_status old_model(rc__tagger **out, const rc_train_options *o, const char *path, rc_error *e) {
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s == RC_OK && m->kind != &rc__task_tag)
        s = rc_fail(e, RC_EMODEL, "%s: expected a tagger, found %s", path, m->kind->title);
    if (s == RC_OK && o->joint_intent && ((rc__tagger *)m)->intents.count == 0)
        s = rc_fail(e, RC_EINVAL, "%s: --joint-intent: the model has no intents", path);
    if (s != RC_OK) return rc_model_free(m), s;
    *out = (rc__tagger *)m;
    return RC_OK;
}

/* ---- exchanged spans --------------------------------------------------------------------------------------------- */

/* A name in the place of another one of its type: what is around a span, and what is in it, are learnt apart (mention
 * replacement, Dai & Adel 2020, "An analysis of simple data augmentation for named entity recognition", section 3). */
typedef struct mention {
    uint32_t sentence, start, len, type;
} mention;

typedef struct mentions {
    mention *at; /* in the order of their types */
    size_t n, cap;
    rc__strtab types;
    size_t *first; /* types + 1 */
} mentions;

static int by_type(const void *pa, const void *pb) {
    const mention *a = pa, *b = pb;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->sentence != b->sentence) return a->sentence < b->sentence ? -1 : 1;
    return (a->start > b->start) - (a->start < b->start);
}

static void mentions_free(mentions *x) {
    rc__free(x->at, x->cap * sizeof *x->at);
    rc__free(x->first, (x->types.count + 2) * sizeof *x->first);
    rc__strtab_free(&x->types);
}

static rc_status find_mentions(mentions *x, const corpus *c, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < c->n; i++)
        for (size_t k = 0, len; s == RC_OK && k < c->at[i].n; k += len ? len : 1) {
            rc__cell tag = c->at[i].tags[k];
            uint32_t type;
            len = span_at(&c->at[i], k);
            if (!len) continue;
            s = rc__strtab_add(&x->types, tag.text + 1, tag.len - 1, &type, NULL, e);
            if (s == RC_OK) s = rc__grow((void **)&x->at, &x->cap, x->n + 1, sizeof *x->at, e);
            if (s == RC_OK) x->at[x->n++] = (mention){(uint32_t)i, (uint32_t)k, (uint32_t)len, type};
        }
    if (s != RC_OK) return s;
    x->first = rc__calloc(x->types.count + 2, sizeof *x->first);
    if (!x->first) return rc_fail(e, RC_ENOMEM, "out of memory for %zu spans", x->n);
    if (x->n) qsort(x->at, x->n, sizeof *x->at, by_type);
    for (size_t i = 0; i < x->n; i++) x->first[x->at[i].type + 1]++;
    for (size_t t = 0; t < x->types.count; t++) x->first[t + 1] += x->first[t];
    return RC_OK;
}

static rc_status exchanged(corpus *c, const mentions *x, size_t i, rc_rng *rng, rc_error *e) {
    size_t room = 0, n = 0;
    const rc__sentence *from = &c->at[i];
    rc_rng again = *rng; /* the same draws: first how long, then what */
    for (int pass = 0; pass < 2; pass++) {
        rc__cell *words = NULL, *tags = NULL;
        if (pass == 1) {
            words = rc__arena_alloc(c->made, (room + 1) * sizeof *words);
            tags = rc__arena_alloc(c->made, (room + 1) * sizeof *tags);
            if (!words || !tags) return rc_fail(e, RC_ENOMEM, "out of memory for sentences of %zu words", room);
            *rng = again;
        }
        n = 0;
        for (size_t k = 0; k < from->n;) {
            size_t len = span_at(from, k), take = 1;
            const rc__sentence *source = from;
            size_t start = k;
            if (len) {
                uint32_t type = (uint32_t)rc__strtab_find(&x->types, from->tags[k].text + 1, from->tags[k].len - 1);
                size_t many = x->first[type + 1] - x->first[type];
                const mention *other = &x->at[x->first[type] + (size_t)rc_rng_below(rng, many)];
                source = &c->at[other->sentence];
                start = other->start;
                take = other->len;
            }
            if (pass == 1) memcpy(words + n, source->words + start, take * sizeof *words);
            if (pass == 1) memcpy(tags + n, source->tags + start, take * sizeof *tags);
            n += take;
            k += len ? len : 1;
        }
        room = n;
        if (pass == 0) continue;
        rc_status s = rc__grow((void **)&c->at, &c->cap, c->n + 1, sizeof *c->at, e);
        if (s != RC_OK) return s;
        c->at[c->n] = c->at[i];
        c->at[c->n].words = words;
        c->at[c->n].tags = tags;
        c->at[c->n++].n = n;
        c->words += n;
    }
    return RC_OK;
}

static rc_status exchange(corpus *c, size_t copies, uint64_t seed, const rc_train_hooks *hooks, rc_error *e) {
    mentions x = {0};
    rc_rng rng = rc_rng_make(seed ^ EXCHANGE_STREAM, 0);
    size_t n = c->n;
    c->made = rc__arena_new();
    rc_status s = c->made ? find_mentions(&x, c, e) : rc_fail(e, RC_ENOMEM, "out of memory");
    for (size_t copy = 0; s == RC_OK && copy < copies; copy++)
        for (size_t i = 0; s == RC_OK && i < n; i++) {
            bool any = false;
            for (size_t k = 0; k < c->at[i].n && !any; k++) any = span_at(&c->at[i], k) > 0;
            if (any) s = exchanged(c, &x, i, &rng, e);
        }
    if (s == RC_OK) rc__say(hooks, "exchanged spans: %zu sentences more, from %zu spans", c->n - n, x.n);
    mentions_free(&x);
    return s;
}

/* ---- numbers of it ----------------------------------------------------------------------------------------------- */

static rc_status fill(rc__tag_set *x, const rc__tagger *m, const corpus *c, size_t max_len, rc_error *e) {
    rc__tag_set_init(x, m);
    rc_status s = rc__tag_set_names(x, m, e);
    for (size_t i = 0; s == RC_OK && i < c->n; i++) s = rc__tag_set_add(x, m, &c->at[i], max_len, e);
    return s;
}

/* Sentences of b that a has too, word for word. */
static rc_status repeated(const corpus *a, const corpus *b, size_t *out, rc_error *e) {
    rc__strtab seen = {0};
    rc__string line = {0};
    rc_status s = RC_OK;
    *out = 0;
    for (size_t i = 0; s == RC_OK && i < a->n + b->n; i++) {
        const rc__sentence *x = i < a->n ? &a->at[i] : &b->at[i - a->n];
        line.len = 0;
        for (size_t k = 0; s == RC_OK && k < x->n; k++) {
            s = rc__string_put(&line, x->words[k].text, x->words[k].len, e);
            if (s == RC_OK) s = rc__string_put(&line, " ", 1, e);
        }
        uint32_t id;
        if (s == RC_OK && i < a->n)
            s = rc__strtab_add(&seen, line.s, line.len, &id, NULL, e);
        else if (s == RC_OK)
            *out += rc__strtab_find(&seen, line.s, line.len) >= 0;
    }
    rc__strtab_free(&seen);
    rc__string_free(&line);
    return s;
}

static uint64_t hash_set(const rc__tag_set *x) {
    uint64_t h = rc__fingerprint(RC__FINGERPRINT, x->text.id, x->text.n_tokens * sizeof *x->text.id);
    h = rc__fingerprint(h, x->target, x->text.n_tokens * sizeof *x->target);
    h = rc__fingerprint(h, x->lengths, x->text.n * sizeof *x->lengths);
    return rc__fingerprint(h, x->intent, x->text.n * sizeof *x->intent);
}

static void say_set(const rc_train_hooks *hooks, const char *name, const rc__tagger *m, const rc__tag_set *x) {
    size_t unk = 0, longest = 0;
    for (size_t i = 0; i < x->text.n_tokens; i++) unk += x->text.id[i] == m->lexicon.tokens->unk;
    for (size_t i = 0; i < x->text.n; i++) longest = x->lengths[i] > longest ? x->lengths[i] : longest;
    rc__say(hooks, "%s: %zu sentences, %zu words, at most %zu in one; unknown words %.1f %%", name, x->text.n,
            x->text.n_tokens, longest, x->text.n_tokens ? 100.0 * (double)unk / (double)x->text.n_tokens : 0);
    if (x->repaired) rc__say(hooks, "%s: %zu tags mended: an I- that follows nothing opens a span", name, x->repaired);
    if (x->unknown_tags) rc__say(hooks, "%s: %zu words have a tag that the training data lack", name, x->unknown_tags);
    if (x->unknown_intents) rc__say(hooks, "%s: %zu intents that the training data lack", name, x->unknown_intents);
    if (x->cut) rc__say(hooks, "%s: %zu sentences cut by --max-len", name, x->cut);
}

/* Rarest first or not, the eye wants the numbers: how many spans or words of each. */
static void say_balance(const rc_train_hooks *hooks, const rc__tagger *m, const rc__tag_set *x) {
    size_t K = rc__tagger_size(m), shown = K < 40 ? K : 40, at = 0;
    char line[1000] = "";
    for (size_t k = 0; k < shown && at < sizeof line - 100; k++) {
        const char *name = rc__tagset_name(m->tags, k);
        bool first = !m->spans || name[0] == 'O' || strchr("BSU", name[0]);
        if (!first) continue;
        size_t n = 0;
        for (size_t i = 0; i < x->text.n_tokens; i++) n += x->target[i] == (int32_t)k;
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%.40s %zu", at ? ", " : "", name, n);
    }
    rc__say(hooks, "tags: %zu%s: %s%s", K, m->spans ? ", inside the model" : "", line, shown < K ? " ..." : "");
}

static rc_status say_baseline(const tag_task *t, const rc_train_hooks *hooks, rc_error *e) {
    rc__tag_answers a = {0};
    rc__tag_scores sc = {0};
    const rc__tag_set *x = t->base.validates ? &t->valid : &t->train;
    if (rc_vocab_size(t->m->lexicon.tokens) > BASELINE_CELLS / rc__tagger_size(t->m)) return RC_OK;
    rc_status s = rc__tag_answers_new(&a, x->text.n_tokens, x->text.n, false, NULL, 1, e);
    if (s == RC_OK) s = rc__tag_baseline(t->m, &t->train, x, a.tag, e);
    if (s == RC_OK) s = rc__tag_score(t->m, x, &a, a.tag, &sc, e);
    if (s == RC_OK && t->m->spans)
        rc__say(hooks, "baseline, the most frequent tag of each word: accuracy %.4f, span F1 %.4f", sc.accuracy,
                sc.conlleval.all.f1);
    else if (s == RC_OK)
        rc__say(hooks, "baseline, the most frequent tag of each word: accuracy %.4f", sc.accuracy);
    rc__tag_scores_free(&sc);
    rc__tag_answers_free(&a);
    return s;
}

static void say_model(const tag_task *t, const rc_train_hooks *hooks) {
    static const char *const names[] = {"IOB1", "BIO", "IOBES", "BILOU"};
    const rc__tagger *m = t->m;
    char chars[64] = "", affixes[64] = "", layers[96];
    if (m->lexicon.chars) snprintf(chars, sizeof chars, " + characters (%s, %zu)", m->wo.chars, m->wo.char_hidden);
    if (m->lexicon.affixes)
        snprintf(affixes, sizeof affixes, " + affixes (%d x %zu)", RC__AFFIXES, m->wo.affix_embedding);
    if (m->eo.kind == RC__ENCODER_RNN)
        snprintf(layers, sizeof layers, "%s%s %d x %zu", m->eo.rnn.bidirectional ? "bidirectional " : "",
                 m->eo.rnn.cell, m->eo.rnn.num_layers, m->eo.rnn.hidden_size);
    else
        snprintf(layers, sizeof layers, "%s", m->eo.kind == RC__ENCODER_CNN ? "cnn" : "the words alone");
    rc__say(hooks, "model: %zu words (%zu)%s%s, %s, %s; %zu parameters", rc_vocab_size(m->lexicon.tokens),
            m->wo.embedding_size, chars, affixes, layers, m->crf ? "conditional random field" : "softmax",
            rc_params_len(m->base.params));
    if (m->spans)
        rc__say(hooks, "spans: written as %s, %s inside the model", names[m->written_scheme], names[m->inside_scheme]);
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *tag_params(rc__task *base) { return ((tag_task *)base)->m->base.params; }

static rc_var *tag_next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    tag_task *t = (tag_task *)base;
    rc_error why;
    rc_status s = rc__epochs_next(t->epochs, &t->last, &why);
    rc_rng drop = rc_rng_make(t->seed ^ DROP_STREAM,
                              t->last.cursor.epoch * rc__epochs_batches(t->epochs) + t->last.cursor.position);
    if (s == RC_OK)
        s = rc__tag_batch_make(&t->batch, t->m, &t->train, t->last.index, t->last.n, t->word_dropout, &drop, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    info->tokens = t->last.total;
    info->ends_epoch = t->last.ends_epoch;
    rc_var *intent, *scores = rc__tagger_forward(tape, t->m, &t->batch, &intent);
    return rc__tagger_loss(tape, t->m, &t->batch, t->label_smoothing, scores, intent);
}

static double measure(const rc__tagger *m, const rc__tag_scores *sc) {
    return m->spans ? sc->conlleval.all.f1 : sc->accuracy;
}

/* Scores the validation data. choose: by each of some numbers for m->outside, of which the best is kept; what was best
 * before is not among them, so that a run that goes on needs to know nothing. */
static rc_status judge(tag_task *t, rc_tape *tape, bool choose, rc__tag_scores *sc, double *loss, rc_error *e) {
    static const double outside[] = {0, 0.5, 1, 1.5, 2, 2.5};
    size_t tries = !choose || !t->m->spans       ? 1
                   : rc__tagger_size(t->m) <= 64 ? 6
                                                 : 3; /* many tags are slow to choose from */
    rc__tag_answers a = {0};
    rc__tag_scores other;
    rc_status s =
        rc__tag_answers_new(&a, t->valid.text.n_tokens, t->valid.text.n, false, tries > 1 ? outside : NULL, tries, e);
    if (s == RC_OK) s = rc__tagger_run(t->m, tape, &t->valid, t->valid_batch, &a, e);
    if (s == RC_OK) s = rc__tag_score(t->m, &t->valid, &a, a.tag, sc, e);
    if (s == RC_OK && tries > 1) t->m->outside->w[0] = 0;
    for (size_t k = 1; s == RC_OK && k < tries; k++) {
        s = rc__tag_score(t->m, &t->valid, &a, a.tag + k * a.words, &other, e);
        if (s != RC_OK) break;
        if (measure(t->m, &other) > measure(t->m, sc)) {
            rc__tag_scores swap = *sc;
            *sc = other;
            other = swap;
            t->m->outside->w[0] = (rc_real)outside[k];
        }
        rc__tag_scores_free(&other);
    }
    if (tries > 1) rc_params_changed(t->m->base.params);
    *loss = a.loss;
    rc__tag_answers_free(&a);
    return s;
}

/* The best is that of the measure; of tags and intents together that of their mean. */
static rc_status tag_validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    tag_task *t = (tag_task *)base;
    rc__tag_scores sc = {0};
    rc_status s = judge(t, tape, true, &sc, &score->loss, e);
    if (s != RC_OK) return s;
    score->accuracy = measure(t->m, &sc);
    double both = t->m->intents.count && isfinite(sc.intent_accuracy) ? (score->accuracy + sc.intent_accuracy) / 2
                                                                      : score->accuracy;
    score->criterion = 1e-4 * score->loss - both; /* a tie is decided by the loss */
    rc__tag_scores_free(&sc);
    return RC_OK;
}

static rc_status tag_save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    return rc__model_save(&((tag_task *)base)->m->base, path, provenance, e);
}

static void tag_where(rc__task *base, char *out, size_t cap) {
    const tag_task *t = (const tag_task *)base;
    snprintf(out, cap, "epoch %llu, batch %llu of %zu sentences", (unsigned long long)t->last.cursor.epoch + 1,
             (unsigned long long)t->last.cursor.position + 1, t->last.n);
}

static double tag_epochs(rc__task *base) { return rc__epochs_done(((tag_task *)base)->epochs); }
static double tag_batches_per_epoch(rc__task *base) { return (double)rc__epochs_batches(((tag_task *)base)->epochs); }

static json_t *tag_cursor_get(rc__task *base) {
    const tag_task *t = (const tag_task *)base;
    return rc__epochs_to_json(t->epochs, t->hash);
}

static rc_status tag_cursor_set(rc__task *base, const json_t *cursor, const char *where, rc_error *e) {
    tag_task *t = (tag_task *)base;
    return rc__epochs_from_json(t->epochs, cursor, t->hash, "sentences", where, e);
}

static rc_status tag_finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                            rc_error *e) {
    tag_task *t = (tag_task *)base;
    rc__tag_scores sc = {0};
    rc_tape *tape = NULL;
    (void)o;
    snprintf(r->measure, sizeof r->measure, "%s", t->m->spans ? "span F1" : "accuracy");
    if (!t->base.validates) return RC_OK;
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = judge(t, tape, false, &sc, &r->valid_loss, e);
    if (s == RC_OK) {
        char intent[64] = "", spans[96] = "", unknown[64] = "";
        r->accuracy = measure(t->m, &sc);
        if (t->m->spans)
            snprintf(spans, sizeof spans, ", span F1 %.4f (precision %.4f, recall %.4f)", sc.conlleval.all.f1,
                     sc.conlleval.all.precision, sc.conlleval.all.recall);
        if (t->m->intents.count) snprintf(intent, sizeof intent, ", intent accuracy %.4f", sc.intent_accuracy);
        if (isfinite(sc.accuracy_unknown))
            snprintf(unknown, sizeof unknown, " (unknown words %.4f)", sc.accuracy_unknown);
        rc__say(hooks, "validation: accuracy %.4f%s%s%s", sc.accuracy, unknown, spans, intent);
    }
    rc__tag_scores_free(&sc);
    rc_tape_free(tape);
    return s;
}

static void tag_plan(rc__task *base, rc_plan *plan, size_t *data_bytes) {
    const tag_task *t = (const tag_task *)base;
    plan->train_tokens = plan->epoch_tokens = t->train.text.n_tokens;
    plan->valid_tokens = t->valid.text.n_tokens;
    plan->vocab_size = rc_vocab_size(t->m->lexicon.tokens);
    *data_bytes = (t->train.text.n_tokens + t->valid.text.n_tokens) * 4 * sizeof(int32_t);
}

static void tag_free(rc__task *base) {
    tag_task *t = (tag_task *)base;
    rc__tag_set_free(&t->train);
    rc__tag_set_free(&t->valid);
    rc__tag_batch_free(&t->batch);
    rc__epochs_free(t->epochs);
    if (t->m) rc_model_free(&t->m->base);
    rc__free(t, sizeof *t);
}

static const rc__task_ops tag_ops = {.params = tag_params,
                                     .next_loss = tag_next_loss,
                                     .validate = tag_validate,
                                     .save = tag_save,
                                     .where = tag_where,
                                     .epochs = tag_epochs,
                                     .batches_per_epoch = tag_batches_per_epoch,
                                     .cursor_get = tag_cursor_get,
                                     .cursor_set = tag_cursor_set,
                                     .finish = tag_finish,
                                     .plan = tag_plan,
                                     .free = tag_free};

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static rc_status no_unknown_tags(const rc__tag_set *x, const char *from, rc_error *e) {
    if (!from || x->unknown_tags + x->unknown_intents == 0) return RC_OK;
    return rc_fail(e, RC_EDATA,
                   "%zu words and %zu intents of the training data are not among those of %s: its tags are kept",
                   x->unknown_tags, x->unknown_intents, from);
}

static rc_status make_sets(tag_task *t, const rc_train_options *o, const corpus *train, const corpus *valid,
                           size_t twice, const rc_train_hooks *hooks, rc_error *e) {
    size_t max_len = (size_t)o->max_len;
    rc_status s = fill(&t->train, t->m, train, max_len, e);
    if (s == RC_OK) s = no_unknown_tags(&t->train, o->from, e);
    if (s == RC_OK) s = fill(&t->valid, t->m, valid, 0, e);
    if (s == RC_OK)
        s = rc__epochs_new(&t->epochs, t->train.lengths, t->train.text.n, (size_t)o->batch, t->seed, false, e);
    if (s != RC_OK) return s;
    t->base.validates = t->valid.text.n > 0;
    t->valid_batch = 64;
    t->hash = hash_set(&t->train);
    say_set(hooks, "training", t->m, &t->train);
    if (valid->n) say_set(hooks, "validation", t->m, &t->valid);
    if (twice)
        rc__say(hooks, "validation: %zu of its sentences (%.1f %%) are in the training data too, word for word", twice,
                100.0 * (double)twice / (double)valid->n);
    say_balance(hooks, t->m, &t->train);
    return RC_OK;
}

static rc_status tag_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                          rc_error *e) {
    const char *old = initial ? initial : o->from;
    corpus train = {0}, valid = {0};
    rc_precision precision = RC_FP32;
    size_t twice = 0;
    tag_task *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.ops = &tag_ops;
    t->seed = (uint64_t)o->seed;
    t->word_dropout = o->word_dropout;
    t->label_smoothing = o->label_smoothing;
    rc_status s = old ? old_model(&t->m, o, old, e) : RC_OK; /* a bad model is told before data are read */
    rc_data_options data = t->m ? rc__data_merge(&o->data, &t->m->data) : o->data;
    bool intents = t->m ? t->m->intents.count > 0 : o->joint_intent;
    if (s == RC_OK) s = read_files(&train, o->files, o->n_files, &data, intents, hooks, e);
    if (s == RC_OK && o->valid) s = read_files(&valid, &o->valid, 1, &data, intents, hooks, e);
    if (s == RC_OK && !o->valid) s = split(&train, &valid, o->valid_fraction, e);
    if (s == RC_OK && !t->m) s = new_model(&t->m, o, &train, e);
    if (s == RC_OK && valid.n) s = repeated(&train, &valid, &twice, e);
    if (s == RC_OK && o->exchange && !t->m->spans) s = rc_fail(e, RC_EINVAL, "exchange: the tags are no spans");
    if (s == RC_OK && o->exchange) s = exchange(&train, (size_t)o->exchange, t->seed, hooks, e);
    if (s == RC_OK) s = make_sets(t, o, &train, &valid, twice, hooks, e);
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK) say_model(t, hooks);
    if (s == RC_OK) rc__say_precision(hooks, precision);
    if (s == RC_OK && !initial) s = say_baseline(t, hooks, e);
    corpus_free(&train);
    corpus_free(&valid);
    if (s != RC_OK) return tag_free(&t->base), s;
    *out = &t->base;
    return RC_OK;
}

/* What did well on the validation parts of snips, English-EWT and WNUT17 (docs/results.md). */
static void tag_defaults(rc_train_options *o) {
    o->encoder = "lstm";
    o->bidirectional = true;
    o->pool = "";
    o->layers = 1;
    o->hidden = 200;
    o->embedding = 100;
    o->lowercase = true;
    o->min_count = 2; /* a word seen once teaches what the unknown one is */
    o->chars = "lstm";
    o->char_embedding = 30;
    o->char_hidden = 30;
    o->affixes = 24;
    o->dropout = 0.5;
    o->dropout_input = 0.33;
    o->word_dropout = 0.1;
    o->optimizer = "adamw";
    o->lr = 0.002;
    o->weight_decay = 0.01;
    o->clip = 1;
    o->schedule = "cosine";
    o->average = "ema";
    o->average_decay = 0.998;
    o->batch = 32;
    o->epochs = 30;
}

const rc__task_kind rc__task_tag = {
    .name = "tag",
    .title = "a tagger",
    .options =
        "encoder bidirectional pool kernels filters embedding chars char-hidden char-embedding affixes lowercase "
        "min-count max-len word-dropout dropout-input dropout-output crf scheme joint-intent exchange format column",
    .defaults = tag_defaults,
    .make = tag_make,
    .open = rc__tag_open,
    .model = {.document = rc__tag_document,
              .eval = rc__tag_eval,
              .predict = rc__tag_predict,
              .explain = rc__tag_explain,
              .free = rc__tagger_free}};
