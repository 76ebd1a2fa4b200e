/* seq2seq_train.c - translate, summarize and chat in training: reading pairs, what is said of them, vocabularies,
 * batches, validation by loss and by what the answers are worth. Outline: files - vocabularies - the model - reports
 * - sets - answers and their score - the task. */
#include "autograd/tape_internal.h"
#include "base/json.h"
#include "metrics/translation.h"
#include "tasks/lm_task.h"
#include "tasks/seq2seq.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DROP_STREAM    0x7332732D64726F70u /* mixed into the seed: no other use of it draws these numbers */
#define SAMPLE_STREAM  0x7332732D73616D70u
#define PROBE_TEXTS    500 /* whose answers are scored at each validation, evenly spread over the validation data ... */
#define FINAL_TEXTS    5000 /* ... and at the end */
#define ENOUGH_TEXTS   50   /* with fewer the best weights are those of the lowest loss: the score is too rough */
#define ANSWER_BATCH   64
#define SHOWN_TEXTS    3
#define AUTO_PIECES    8000 /* entries of a vocabulary that nobody asked for ... */
#define AUTO_LEAST    1000
#define AUTO_WORDS    140   /* ... one for each so many words of the training data */
#define LITTLE_BATCHES 100  /* of an epoch, where that leaves each ... */
#define LEAST_TOKENS   400  /* ... so many tokens */
#define LITTLE_STEPS   3000 /* updates that little data get by default */

typedef enum measure { MEASURE_BLEU, MEASURE_ROUGE_L, MEASURE_NONE } measure;
static const char *const measure_names[] = {"BLEU", "ROUGE-L", ""};

typedef struct pairs_task {
    rc__task base;
    rc__seq2seq *m;
    rc__id_pairs train, valid, probe;      /* probe: those of valid whose answers are scored */
    rc__cell *reference, *probe_reference; /* (valid.n), (probe.n): targets, in the files */
    rc__cell *valid_source;
    rc__pairs **files;
    size_t n_files, valid_room;
    rc__epochs *epochs, *valid_visits;
    rc__visit last;
    rc__pair_batch batch, valid_batch;
    rc_tape *sampler; /* NULL: no scheduled sampling */
    measure measure;
    double word_dropout, label_smoothing, sampling, progress;
    uint64_t seed, hash;
} pairs_task;

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Pairs of all files, borrowed from them. */
typedef struct corpus {
    rc__pair *at;
    size_t n, cap, empty, equal, repeated;
} corpus;

static void corpus_free(corpus *c) { rc__free(c->at, c->cap * sizeof *c->at); }

rc_status rc__seq2seq_pairs_options(const rc_data_options *d, bool conversations, size_t history, const char *separator,
                                    bool unlabelled, rc__pairs_options *out, rc_error *e) {
    *out = (rc__pairs_options){.format = d->format && *d->format ? d->format : NULL,
                               .source = d->text && *d->text ? d->text : NULL,
                               .target = d->target && *d->target ? d->target : NULL,
                               .unlabelled = unlabelled,
                               .conversations = conversations,
                               .history = history,
                               .separator = separator};
    return rc__data_table_options(d, &out->table, e);
}

static rc_status read_one(pairs_task *t, corpus *c, const char *source, const char *target, const rc__pairs_options *po,
                          const rc_train_hooks *hooks, rc_error *e) {
    size_t bytes = t->n_files * sizeof *t->files;
    rc__pairs **files = rc__realloc(t->files, bytes, bytes + sizeof *files), *p;
    if (!files) return rc_fail(e, RC_ENOMEM, "%s: out of memory", source);
    t->files = files;
    rc_status s = rc__pairs_read(&p, source, target, po, e);
    t->files[t->n_files++] = s == RC_OK ? p : NULL;
    if (s == RC_OK) s = rc__grow((void **)&c->at, &c->cap, c->n + p->n, sizeof *c->at, e);
    if (s != RC_OK) return s;
    rc__say(hooks, "%s%s%s: %s; %zu pairs", source, target ? " and " : "", target ? target : "", p->how, p->n);
    for (size_t i = 0; i < p->n; i++)
        if (!rc__pair_empty(p->pair[i].source) && !rc__pair_empty(p->pair[i].target))
            c->at[c->n++] = p->pair[i];
        else
            c->empty++;
    c->equal += p->equal;
    c->repeated += p->repeated;
    return RC_OK;
}

/* Two files belong together line by line unless their names or --format say that each holds both sides. */
static bool line_by_line(const char *const *files, size_t n, const rc__pairs_options *po) {
    if (po->format && strcmp(po->format, "auto") != 0) return strcmp(po->format, "lines") == 0;
    if (po->conversations || n < 2) return false;
    for (size_t i = 0; i < n; i++)
        if (rc__pairs_named(files[i])) return false;
    return true;
}

static rc_status read_files(pairs_task *t, corpus *c, const char *const *files, size_t n, const rc__pairs_options *po,
                            const rc_train_hooks *hooks, rc_error *e) {
    bool two = line_by_line(files, n, po);
    rc_status s = RC_OK;
    if (two && n % 2)
        return rc_fail(
            e, RC_EINVAL,
            n == 1 ? "%s: lines of sources: the file of their targets is missing"
                   : "%s ...: expected two files that belong together line by line, sources and targets, found %zu",
            files[0], n);
    for (size_t i = 0; s == RC_OK && i < n; i += 1 + two)
        s = read_one(t, c, files[i], two ? files[i + 1] : NULL, po, hooks, e);
    return s;
}

/* Every so-and-so-many-th pair validates, spread evenly over the files in their order. Nothing is drawn, so the rule
 * can be told. */
static rc_status split(corpus *train, corpus *valid, double fraction, rc_error *e) {
    size_t n = train->n, k = (size_t)((double)n * fraction + 0.5), kept = 0;
    if (k == 0 || k >= n) return RC_OK;
    rc_status s = rc__grow((void **)&valid->at, &valid->cap, k, sizeof *valid->at, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; i < n; i++)
        if ((i + 1) * k / n > i * k / n)
            valid->at[valid->n++] = train->at[i];
        else
            train->at[kept++] = train->at[i];
    train->n = kept;
    return RC_OK;
}

/* ---- vocabularies ------------------------------------------------------------------------------------------------ */

static rc_status check_targets(const corpus *c, rc_error *e) {
    char shown[64];
    for (size_t i = 1; i < c->n; i++) {
        rc__cell a = rc__cell_trim(c->at[0].target), b = rc__cell_trim(c->at[i].target);
        if (a.len != b.len || memcmp(a.text, b.text, a.len) != 0) return RC_OK;
    }
    if (c->n < 2) return rc_fail(e, RC_EDATA, "expected 2 pairs of texts or more to learn from, found %zu", c->n);
    return rc_fail(e, RC_EDATA, "every target is the same text (%s): nothing to learn",
                   rc__cell_show(rc__cell_trim(c->at[0].target), shown));
}

/* Text to learn a vocabulary from: a line each. *words: those between white space, of scripts without any a fifth of
 * the characters. */
static rc_status gather(const rc__seq2seq *m, const corpus *c, bool source, bool target, rc__string *out, size_t *words,
                        rc_error *e) {
    rc__string one = {0};
    rc_status s = RC_OK;
    const char *between = rc_vocab_get_kind(m->source_vocab) == RC_VOCAB_CHAR ? " " : "\n";
    *words = 0;
    for (size_t i = 0; s == RC_OK && i < c->n; i++)
        for (int k = 0; s == RC_OK && k < 2; k++) {
            if (!(k ? target : source)) continue;
            s = rc__seq2seq_prepare(m, k, k ? c->at[i].target : c->at[i].source, &one, e);
            size_t blanks = 0;
            for (size_t j = 0; j < one.len; j++) blanks += one.s[j] == ' ';
            *words += blanks + 1 > one.len / 15 ? blanks + 1 : one.len / 15;
            if (s == RC_OK) s = rc__string_put(out, one.s, one.len, e);
            if (s == RC_OK) s = rc__string_put(out, between, 1, e);
        }
    rc__string_free(&one);
    return s;
}

static rc_vocab_kind kind_of(const char *spec) {
    return strncmp(spec, "word", 4) == 0 ? RC_VOCAB_WORD
           : strcmp(spec, "char") == 0   ? RC_VOCAB_CHAR
           : strcmp(spec, "byte") == 0   ? RC_VOCAB_BYTE
                                         : RC_VOCAB_BPE;
}

static rc_status learn_vocab(rc_vocab **out, rc__seq2seq *m, const char *spec, const corpus *c, bool source,
                             bool target, rc_error *e) {
    rc_vocab like = {.kind = kind_of(spec)}; /* tells rc__seq2seq_prepare what its texts are for */
    rc__string text = {0};
    char own[32];
    size_t words;
    m->source_vocab = m->target_vocab = &like;
    rc_status s = gather(m, c, source, target, &text, &words, e);
    m->source_vocab = m->target_vocab = NULL;
    if (strcmp(spec, "auto") == 0) {
        size_t n = words / AUTO_WORDS;
        snprintf(own, sizeof own, "bpe:%zu", n < AUTO_LEAST ? AUTO_LEAST : n > AUTO_PIECES ? (size_t)AUTO_PIECES : n);
        spec = own;
    }
    if (s == RC_OK) s = rc_vocab_train(out, spec, text.s ? text.s : "", text.len, e);
    rc__string_free(&text);
    return s;
}

static rc_status learn_vocabs(rc__seq2seq *m, const rc_train_options *o, const corpus *c, rc_error *e) {
    rc_vocab *source = NULL, *target = NULL;
    bool utf8;
    rc_status s = strcmp(o->vocab, "auto") == 0 ? RC_OK : rc__ready_vocab(&source, o->vocab, &utf8, e);
    if (s != RC_OK) return s;
    bool ready = source != NULL; /* one from a file is of both sides */
    if (!ready) s = learn_vocab(&source, m, o->vocab, c, true, o->shared, e);
    if (s == RC_OK && !ready && !o->shared) s = learn_vocab(&target, m, o->vocab, c, false, true, e);
    if (s == RC_OK && ready && !o->shared)
        s = rc_fail(e, RC_EINVAL, "no-shared: a vocabulary from a file is one for both sides");
    if (s != RC_OK) {
        rc_vocab_free(source);
        rc_vocab_free(target);
        return s;
    }
    m->source_vocab = source;
    m->target_vocab = target ? target : source;
    m->net.o.shared = o->shared;
    m->net.o.source_vocab = rc_vocab_size(m->source_vocab);
    m->net.o.target_vocab = rc_vocab_size(m->target_vocab);
    return RC_OK;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static bool blocks(const char *cell) { return strcmp(cell, "transformer") == 0; }

static bool given(const rc_train_options *o, const char *name) {
    for (size_t i = 0; i < o->n_given; i++)
        if (strcmp(o->given[i], name) == 0) return true;
    return false;
}

static rc_status network_options(const rc_train_options *o, rc__seq2seq_options *n, rc_error *e) {
    rc_train_options own = *o, plain;
    rc_status s = rc_train_options_for(o->task, &plain, e);
    if (s != RC_OK) return s;
    int k = 0;
    while (k < 7 && strcmp(rc__attention_kinds[k], o->attention) != 0) k++;
    if (k == 7) return rc_fail(e, RC_EINVAL, "attention: \"%s\" is unknown", o->attention);
    if ((o->coverage || o->monotonic) && k == RC__ATTENTION_GENERAL && !given(o, "attention"))
        k = RC__ATTENTION_ADDITIVE;
    if (!*o->encoder) own.encoder = o->cell;
    own.pool = ""; /* the decoder says how it begins */
    s = rc__train_encoder_options(&own, "last", &n->encoder, e);
    if (s == RC_OK) s = rc__train_rnn_options(o, &n->decoder.rnn, e);
    if (s != RC_OK) return s;
    n->encoder.pool = 0;
    /* a Transformer's blocks get the dropout that was asked for: the data are small */
    n->encoder.rnn.dropout = n->decoder.rnn.dropout = o->dropout;
    if (n->encoder.kind == RC__ENCODER_RNN && o->skip && n->encoder.rnn.bidirectional && n->encoder.rnn.num_layers == 1)
        n->encoder.rnn.skip = RC_SKIP_NONE;
    n->embedding = (size_t)(o->embedding > 0 ? o->embedding : o->hidden);
    n->decoder.attention = blocks(o->cell) ? RC__ATTENTION_MULTIHEAD : (rc__attention_kind)k;
    n->decoder.heads = blocks(o->cell) ? 0 : (size_t)o->heads;
    n->decoder.attention_dropout = o->attention_dropout;
    n->decoder.input_feeding = o->input_feeding;
    n->decoder.coverage = o->coverage;
    n->decoder.monotonic = o->monotonic;
    n->tied = o->tied;
    bool can_copy = o->shared && (blocks(o->cell) || k != RC__ATTENTION_NONE);
    n->copy = o->copy && (can_copy || given(o, "copy") || !plain.copy); /* a default gives way to what was asked for */
    n->coverage_weight = o->coverage_weight;
    n->dropout_input = o->dropout_input;
    n->dropout_output = o->dropout_output < 0 ? o->dropout : o->dropout_output;
    return RC_OK;
}

/* What a later file is read by: the columns that were found. */
static rc_status keep_data(rc__seq2seq *m, const rc_train_options *o, const rc__pairs *first, rc_error *e) {
    char format[16], source[128], target[128];
    rc_data_options d = {.format = o->data.format, .delimiter = o->data.delimiter, .header = o->data.header};
    rc__pairs_form(first->reader, format, source, target);
    d.text = source;
    d.target = target;
    return rc__data_copy(&m->data, &d, e);
}

static double longest_ratio(const pairs_task *t) {
    double most = 1;
    for (size_t i = 0; i < t->train.n; i++) {
        double from = (double)(t->train.source_start[i + 1] - t->train.source_start[i]);
        double to = (double)(t->train.target_start[i + 1] - t->train.target_start[i]);
        most = fmax(most, (to - 10) / from);
    }
    return most;
}

static rc_status new_model(pairs_task *t, const rc__task_kind *kind, const rc_train_options *o, const corpus *c,
                           rc_error *e) {
    rc__seq2seq *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->m = m;
    m->base.kind = kind;
    m->moses = o->moses;
    m->lowercase = o->lowercase;
    m->max_source = (size_t)o->max_source;
    m->max_target = (size_t)o->max_target;
    m->history = t->measure == MEASURE_NONE ? (size_t)o->history : 1;
    m->beam = rc__beam_options_default();
    m->beam.max_len = m->max_target;
    m->source_language = rc__strdup(o->source_lang);
    m->target_language = rc__strdup(o->target_lang);
    m->separator = rc__strdup(o->separator);
    rc_status s = RC_OK;
    if (!m->source_language || !m->target_language || !m->separator) s = rc_fail(e, RC_ENOMEM, "train: out of memory");
    if (s == RC_OK) s = check_targets(c, e);
    if (s == RC_OK) s = keep_data(m, o, t->files[0], e);
    if (s == RC_OK) s = network_options(o, &m->net.o, e);
    if (s == RC_OK) s = learn_vocabs(m, o, c, e);
    if (s == RC_OK) s = rc_params_new(&m->base.params, e);
    const rc__seq2seq_options no = m->net.o;
    if (s == RC_OK) s = rc__seq2seq_declare(&m->net, m->base.params, &no, e);
    return s == RC_OK ? rc_params_build(m->base.params, (uint64_t)o->seed, e) : s;
}

static rc_status old_model(pairs_task *t, const rc__task_kind *kind, const char *path, rc_error *e) {
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s == RC_OK && m->kind != kind)
        s = rc_fail(e, RC_EMODEL, "%s: expected %s, found %s", path, kind->title, m->kind->title);
    if (s != RC_OK) return rc_model_free(m), s;
    t->m = (rc__seq2seq *)m;
    return RC_OK;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static void say_corpus(const rc_train_hooks *hooks, const char *name, const corpus *c) {
    if (c->empty) rc__say(hooks, "%s: %zu pairs with an empty side are left out", name, c->empty);
    if (c->equal) rc__say(hooks, "%s: %zu pairs with source and target the same", name, c->equal);
    if (c->repeated) rc__say(hooks, "%s: %zu pairs came before", name, c->repeated);
}

static size_t longest(const size_t *start, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++) most = start[i + 1] - start[i] > most ? start[i + 1] - start[i] : most;
    return most;
}

static void say_set(const rc_train_hooks *hooks, const char *name, const rc__seq2seq *m, const rc__id_pairs *p) {
    char unknown[96] = "", cut[64] = "";
    double n = (double)p->n, source = (double)(p->source_start[p->n] - p->n), target = (double)p->target_start[p->n];
    if (rc_vocab_unk(m->source_vocab) >= 0 || rc_vocab_unk(m->target_vocab) >= 0)
        snprintf(unknown, sizeof unknown, "; unknown %.2f %% and %.2f %%",
                 source > 0 ? 100 * (double)p->unknown_source / source : 0.0,
                 target > 0 ? 100 * (double)p->unknown_target / target : 0.0);
    if (p->cut) snprintf(cut, sizeof cut, "; %zu cut to %zu and %zu", p->cut, m->max_source, m->max_target);
    rc__say(hooks, "%s: %zu pairs; sources of %.1f tokens, at most %zu, targets of %.1f, at most %zu%s%s", name, p->n,
            source / n, longest(p->source_start, p->n) - 1, target / n, longest(p->target_start, p->n), unknown, cut);
}

static void layers_text(const rc_rnn_options *r, char *out, size_t cap) {
    snprintf(out, cap, "%s%s %d x %zu", r->bidirectional && !blocks(r->cell) ? "bidirectional " : "", r->cell,
             r->num_layers, r->hidden_size);
}

static void say_model(const pairs_task *t, const rc_train_hooks *hooks) {
    const rc__seq2seq_options *o = &t->m->net.o;
    char encoder[96] = "cnn", decoder[96], vocab[96];
    if (o->encoder.kind == RC__ENCODER_RNN) layers_text(&o->encoder.rnn, encoder, sizeof encoder);
    if (o->encoder.kind == RC__ENCODER_BOW) snprintf(encoder, sizeof encoder, "the words alone");
    layers_text(&o->decoder.rnn, decoder, sizeof decoder);
    if (o->shared)
        snprintf(vocab, sizeof vocab, "%s, %zu entries for both sides",
                 rc_vocab_kind_name(rc_vocab_get_kind(t->m->source_vocab)), o->source_vocab);
    else
        snprintf(vocab, sizeof vocab, "%s, %zu and %zu entries",
                 rc_vocab_kind_name(rc_vocab_get_kind(t->m->source_vocab)), o->source_vocab, o->target_vocab);
    rc__say(hooks, "model: %s; encoder %s, decoder %s, attention %s%s%s%s%s; embedding %zu%s; %zu parameters", vocab,
            encoder, decoder, blocks(o->decoder.rnn.cell) ? "in each block" : rc__attention_kinds[o->decoder.attention],
            o->decoder.input_feeding ? ", input feeding" : "", o->decoder.coverage ? ", coverage" : "",
            o->decoder.monotonic ? ", monotonic" : "", o->copy ? ", copying" : "", o->embedding,
            o->tied ? " (tied)" : "", rc_params_len(t->m->base.params));
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static rc_status fill(rc__id_pairs *p, const rc__seq2seq *m, const corpus *c, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < c->n; i++)
        s = rc__id_pairs_add(p, m, c->at[i].source, c->at[i].target, c->at[i].line, e);
    return s;
}

static rc_status visits(rc__epochs **out, const rc__id_pairs *p, size_t batch, size_t budget, uint64_t seed,
                        rc_error *e) {
    uint32_t *lengths = rc__alloc((p->n + 1) * sizeof *lengths);
    if (!lengths) return rc_fail(e, RC_ENOMEM, "out of memory for %zu pairs", p->n);
    for (size_t i = 0; i < p->n; i++) {
        size_t source = p->source_start[i + 1] - p->source_start[i],
               target = p->target_start[i + 1] - p->target_start[i] + 1;
        lengths[i] = (uint32_t)(source > target ? source : target);
    }
    rc_status s = rc__epochs_new_budget(out, lengths, p->n, batch, budget, seed, false, e);
    rc__free(lengths, (p->n + 1) * sizeof *lengths);
    return s;
}

static uint64_t hash_pairs(const rc__id_pairs *p) {
    uint64_t h = rc__fingerprint(RC__FINGERPRINT, p->source_start, (p->n + 1) * sizeof *p->source_start);
    h = rc__fingerprint(h, p->target_start, (p->n + 1) * sizeof *p->target_start);
    h = rc__fingerprint(h, p->source, p->source_start[p->n] * sizeof *p->source);
    return rc__fingerprint(h, p->target, p->target_start[p->n] * sizeof *p->target);
}

/* Pairs whose answers are scored, evenly spread. */
static rc_status make_probe(pairs_task *t, const corpus *valid, rc_error *e) {
    size_t n = valid->n < PROBE_TEXTS ? valid->n : PROBE_TEXTS;
    t->valid_room = valid->n + 1;
    t->reference = rc__alloc((valid->n + 1) * sizeof *t->reference);
    t->valid_source = rc__alloc((valid->n + 1) * sizeof *t->valid_source);
    t->probe_reference = rc__alloc((PROBE_TEXTS + 1) * sizeof *t->probe_reference);
    if (!t->reference || !t->valid_source || !t->probe_reference)
        return rc_fail(e, RC_ENOMEM, "out of memory for %zu pairs", valid->n);
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < valid->n; i++) {
        t->reference[i] = valid->at[i].target;
        t->valid_source[i] = valid->at[i].source;
        if ((i + 1) * n / valid->n == i * n / valid->n) continue;
        t->probe_reference[t->probe.n] = valid->at[i].target;
        s = rc__id_pairs_add(&t->probe, t->m, valid->at[i].source, valid->at[i].target, valid->at[i].line, e);
    }
    return s;
}

/* Tokens of a batch: what was asked for; else on little data less, so that an epoch has some updates. */
static size_t batch_tokens(const pairs_task *t, const rc_train_options *o) {
    rc_train_options plain;
    size_t share = (t->train.source_start[t->train.n] + t->train.target_start[t->train.n]) / (2 * LITTLE_BATCHES);
    if (rc_train_options_for(o->task, &plain, NULL) != RC_OK || o->batch_tokens != plain.batch_tokens ||
        share >= (size_t)o->batch_tokens)
        return (size_t)o->batch_tokens;
    return share < LEAST_TOKENS ? LEAST_TOKENS : share;
}

static rc_status make_sets(pairs_task *t, const rc_train_options *o, const corpus *train, const corpus *valid,
                           const rc_train_hooks *hooks, rc_error *e) {
    size_t common = 0;
    rc_status s = fill(&t->train, t->m, train, e);
    if (s == RC_OK) s = fill(&t->valid, t->m, valid, e);
    size_t tokens = s == RC_OK ? batch_tokens(t, o) : 1;
    if (s == RC_OK) s = visits(&t->epochs, &t->train, (size_t)o->batch, tokens, t->seed, e);
    if (s == RC_OK && valid->n)
        s = visits(&t->valid_visits, &t->valid, (size_t)o->batch, (size_t)o->batch_tokens, 1, e);
    if (s == RC_OK && valid->n) s = make_probe(t, valid, e);
    if (s == RC_OK && valid->n) s = rc__pairs_common(train->at, train->n, valid->at, valid->n, &common, e);
    if (s != RC_OK) return s;
    t->base.validates = valid->n > 0;
    t->hash = hash_pairs(&t->train);
    say_set(hooks, "training", t->m, &t->train);
    rc__say(hooks, "batches: about %zu, of %zu pairs and %zu tokens at most", rc__epochs_batches(t->epochs),
            (size_t)o->batch, tokens);
    if (valid->n) say_set(hooks, "validation", t->m, &t->valid);
    if (common)
        rc__say(hooks, "validation: %zu of its pairs (%.1f %%) are in the training data too, word for word", common,
                100.0 * (double)common / (double)valid->n);
    return RC_OK;
}

/* ---- answers and their score ------------------------------------------------------------------------------------- */

/* Of scripts that write no blanks between words characters are counted. */
static rc__bleu_tokenizer tokenizer_for(const rc__cell *reference, size_t n) {
    size_t blanks = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < reference[i].len; k++) blanks += reference[i].text[k] == ' ';
        bytes += reference[i].len;
    }
    return bytes > 200 && blanks * 40 < bytes ? RC__BLEU_CHAR : RC__BLEU_13A;
}

static rc_status score_texts(const pairs_task *t, const rc__cell *text, const rc__cell *reference, size_t n,
                             double *score, rc_error *e) {
    rc__bleu bleu;
    rc__rouge rouge[RC__ROUGES];
    rc_status s = RC_OK;
    *score = 0;
    if (t->measure == MEASURE_BLEU) {
        s = rc__bleu_corpus(text, reference, n, tokenizer_for(reference, n), t->m->lowercase, &bleu, e);
        if (s == RC_OK) *score = bleu.score;
        return s;
    }
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        s = rc__rouge_score(text[i], reference[i], true, rouge, e);
        *score += 100 * rouge[RC__ROUGE_L].f / (double)n;
    }
    return s;
}

static rc_status answers(const pairs_task *t, const rc__id_pairs *p, size_t beam, rc__string *text, rc__cell *cell,
                         rc_error *e) {
    rc__beam_options bo = t->m->beam;
    bo.beam = beam;
    bo.nbest = 1;
    rc_status s = rc__seq2seq_translate(t->m, NULL, 0, p, &bo, ANSWER_BATCH, text, e);
    for (size_t i = 0; i < p->n; i++) cell[i] = (rc__cell){text[i].s ? text[i].s : "", text[i].len};
    return s;
}

/* The score of what the model answers to p. */
static rc_status score_answers(const pairs_task *t, const rc__id_pairs *p, const rc__cell *reference, size_t beam,
                               double *score, rc_error *e) {
    rc__string *text = rc__calloc(p->n + 1, sizeof *text);
    rc__cell *cell = rc__calloc(p->n + 1, sizeof *cell);
    rc_status s =
        text && cell ? answers(t, p, beam, text, cell, e) : rc_fail(e, RC_ENOMEM, "out of memory for %zu texts", p->n);
    if (s == RC_OK) s = score_texts(t, cell, reference, p->n, score, e);
    for (size_t i = 0; text && i < p->n; i++) rc__string_free(&text[i]);
    rc__free(text, (p->n + 1) * sizeof *text);
    rc__free(cell, (p->n + 1) * sizeof *cell);
    return s;
}

/* A text up to the end of its first sentence. */
static rc__cell first_sentence(rc__cell c) {
    for (size_t i = 0; i + 1 < c.len; i++)
        if (strchr(".!?", c.text[i]) && c.text[i + 1] == ' ') return (rc__cell){c.text, i + 1};
    return c;
}

static rc_status say_baseline(pairs_task *t, const rc_train_hooks *hooks, rc_error *e) {
    size_t n = t->valid.n;
    double score;
    if (!t->base.validates || t->measure == MEASURE_NONE) return RC_OK;
    rc__cell *copy = rc__alloc((n + 1) * sizeof *copy);
    if (!copy) return rc_fail(e, RC_ENOMEM, "out of memory for %zu texts", n);
    bool summary = t->measure == MEASURE_ROUGE_L;
    for (size_t i = 0; i < n; i++) copy[i] = summary ? first_sentence(t->valid_source[i]) : t->valid_source[i];
    rc_status s = score_texts(t, copy, t->reference, n, &score, e);
    if (s == RC_OK)
        rc__say(hooks, "baseline, the source%s: %s %.2f", summary ? "'s first sentence" : " as it is",
                measure_names[t->measure], score);
    rc__free(copy, (n + 1) * sizeof *copy);
    return s;
}

static rc_status valid_loss(pairs_task *t, rc_tape *tape, double *loss, rc_error *e) {
    double sum = 0;
    size_t count = 0;
    rc__visit v = {0};
    rc_status s = rc__epochs_seek(t->valid_visits, (rc__cursor){0}, e);
    while (s == RC_OK && !v.ends_epoch) {
        double nll = 0;
        size_t n = 0;
        s = rc__epochs_next(t->valid_visits, &v, e);
        if (s == RC_OK) s = rc__pair_batch_make(&t->valid_batch, t->m, &t->valid, v.index, v.n, 0, NULL, e);
        if (s != RC_OK) break;
        rc_tape_begin(tape, (rc_tape_mode){0});
        rc__seq2seq_loss(tape, &t->m->net, &t->valid_batch.b, 0, &nll, &n);
        s = rc_tape_status(tape, e);
        sum += nll;
        count += n;
    }
    *loss = count ? sum / (double)count : NAN;
    return s;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *s2s_params(rc__task *base) { return ((pairs_task *)base)->m->base.params; }

static rc_var *s2s_next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    pairs_task *t = (pairs_task *)base;
    rc_error why;
    rc_status s = rc__epochs_next(t->epochs, &t->last, &why);
    uint64_t place = t->last.cursor.epoch << 32 | t->last.cursor.position; /* an epoch has less than 2^32 batches */
    rc_rng drop = rc_rng_make(t->seed ^ DROP_STREAM, place), draw = rc_rng_make(t->seed ^ SAMPLE_STREAM, place);
    if (s == RC_OK)
        s = rc__pair_batch_make(&t->batch, t->m, &t->train, t->last.index, t->last.n, t->word_dropout, &drop, &why);
    if (s == RC_OK && t->sampler)
        s = rc__seq2seq_sample_inputs(t->sampler, &t->m->net, &t->batch.b, t->batch.target_in,
                                      t->sampling * t->progress, &draw, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    info->tokens = 0;
    for (size_t i = 0; i < t->last.n; i++) info->tokens += (size_t)t->batch.target_lengths[i];
    info->ends_epoch = t->last.ends_epoch;
    return rc__seq2seq_loss(tape, &t->m->net, &t->batch.b, t->label_smoothing, NULL, NULL);
}

static void s2s_before_step(rc__task *base, double progress) { ((pairs_task *)base)->progress = progress; }

/* The best weights are those of the best answers; with few texts or no measure, those of the lowest loss. */
static rc_status s2s_validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    pairs_task *t = (pairs_task *)base;
    rc_status s = valid_loss(t, tape, &score->loss, e);
    score->accuracy = NAN;
    if (s != RC_OK || t->measure == MEASURE_NONE) return s;
    s = score_answers(t, &t->probe, t->probe_reference, 1, &score->accuracy, e);
    if (t->probe.n >= ENOUGH_TEXTS)
        score->criterion = 1e-4 * score->loss - score->accuracy / 100; /* a tie: by the loss */
    return s;
}

/* Bytes of its first `most` characters. */
static size_t shown(rc__cell c, size_t most) {
    size_t n = 0;
    while (n < c.len && (most > 0 || ((unsigned char)c.text[n] & 0xC0) == 0x80)) {
        n++;
        if (n < c.len && ((unsigned char)c.text[n] & 0xC0) != 0x80) most--;
    }
    return n;
}

/* A few sources with what the model answers. */
static rc_status s2s_sample(rc__task *base, const rc_train_options *o, uint64_t step, char **text, size_t *len,
                            rc_error *e) {
    pairs_task *t = (pairs_task *)base;
    const rc__id_pairs *from = t->probe.n ? &t->probe : &t->train;
    rc__id_pairs few = {0};
    rc__string out = {0}, answer[SHOWN_TEXTS] = {{0}}, source[SHOWN_TEXTS] = {{0}};
    rc__cell cell[SHOWN_TEXTS];
    bool asked = o->sample_prompt && *o->sample_prompt;
    size_t n = asked ? 1 : from->n < SHOWN_TEXTS ? from->n : SHOWN_TEXTS, limit = (size_t)o->sample_length;
    rc_status s = RC_OK;
    (void)step;
    for (size_t k = 0; s == RC_OK && k < n; k++) {
        size_t i = k * from->n / n, first = from->source_start[i], count = from->source_start[i + 1] - first - 1;
        if (asked) {
            s = rc__string_put(&source[k], o->sample_prompt, strlen(o->sample_prompt), e);
        } else { /* as the model sees it: its ids stand for themselves */
            char *words = NULL;
            size_t bytes = 0;
            s = rc_vocab_decode(t->m->source_vocab, from->source + first, count, &words, &bytes, e);
            if (s == RC_OK) s = rc__string_put(&source[k], words, bytes, e);
            rc_text_free(words, bytes);
        }
        if (s == RC_OK)
            s = rc__id_pairs_add(&few, t->m, (rc__cell){source[k].s, source[k].len}, (rc__cell){"", 0}, 0, e);
    }
    if (s == RC_OK) s = answers(t, &few, 1, answer, cell, e);
    for (size_t k = 0; s == RC_OK && k < n; k++) {
        rc__cell src = rc__cell_trim((rc__cell){source[k].s, source[k].len}), ans = cell[k];
        src.len = shown(src, limit);
        ans.len = shown(ans, limit);
        s = rc__string_put(&out, src.text, src.len, e);
        if (s == RC_OK) s = rc__string_put(&out, "\n  -> ", 6, e);
        if (s == RC_OK) s = rc__string_put(&out, ans.text, ans.len, e);
        if (s == RC_OK) s = rc__string_put(&out, "\n", 1, e);
    }
    if (s == RC_OK) s = rc__string_take(&out, text, len, e);
    for (size_t k = 0; k < SHOWN_TEXTS; k++) rc__string_free(&answer[k]), rc__string_free(&source[k]);
    rc__string_free(&out);
    rc__id_pairs_free(&few);
    return s;
}

static rc_status s2s_save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    return rc__model_save(&((pairs_task *)base)->m->base, path, provenance, e);
}

static void s2s_where(rc__task *base, char *out, size_t cap) {
    const pairs_task *t = (const pairs_task *)base;
    snprintf(out, cap, "epoch %llu, batch %llu of %zu pairs, the first from line %u",
             (unsigned long long)t->last.cursor.epoch + 1, (unsigned long long)t->last.cursor.position + 1, t->last.n,
             t->last.n ? t->train.line[t->last.index[0]] : 0);
}

static double s2s_epochs(rc__task *base) { return rc__epochs_done(((pairs_task *)base)->epochs); }
static double s2s_batches_per_epoch(rc__task *base) { return (double)rc__epochs_batches(((pairs_task *)base)->epochs); }
static double s2s_enough_epochs(rc__task *base) {
    return fmin(ceil(LITTLE_STEPS / (double)rc__epochs_batches(((pairs_task *)base)->epochs)), 300);
}

static json_t *s2s_cursor_get(rc__task *base) {
    const pairs_task *t = (const pairs_task *)base;
    return rc__epochs_to_json(t->epochs, t->hash);
}

static rc_status s2s_cursor_set(rc__task *base, const json_t *cursor, const char *where, rc_error *e) {
    pairs_task *t = (pairs_task *)base;
    return rc__epochs_from_json(t->epochs, cursor, t->hash, "pairs", where, e);
}

static rc_status s2s_finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                            rc_error *e) {
    pairs_task *t = (pairs_task *)base;
    rc_tape *tape = NULL;
    snprintf(r->measure, sizeof r->measure, "%s", measure_names[t->measure]);
    if (!t->base.validates) return RC_OK;
    rc_status s = rc_tape_new(&tape, e);
    if (s == RC_OK) s = valid_loss(t, tape, &r->valid_loss, e);
    rc_tape_free(tape);
    if (s != RC_OK || t->measure == MEASURE_NONE) return s;
    bool all = t->valid.n <= FINAL_TEXTS;
    s = score_answers(t, all ? &t->valid : &t->probe, all ? t->reference : t->probe_reference, (size_t)o->beam,
                      &r->accuracy, e);
    if (s == RC_OK)
        rc__say(hooks, "validation: %s %.2f on %zu texts, %s", measure_names[t->measure], r->accuracy,
                all ? t->valid.n : t->probe.n, o->beam > 1 ? "beam search" : "greedy");
    return s;
}

static void s2s_plan(rc__task *base, rc_plan *plan, size_t *data_bytes) {
    const pairs_task *t = (const pairs_task *)base;
    plan->train_tokens = plan->epoch_tokens = t->train.n ? t->train.target_start[t->train.n] + t->train.n : 0;
    plan->valid_tokens = t->valid.n ? t->valid.target_start[t->valid.n] + t->valid.n : 0;
    plan->vocab_size = rc_vocab_size(t->m->target_vocab);
    *data_bytes =
        (t->train.cap_source + t->train.cap_target + t->valid.cap_source + t->valid.cap_target) * sizeof(int32_t);
}

static void s2s_free(rc__task *base) {
    pairs_task *t = (pairs_task *)base;
    rc__free(t->probe_reference, (PROBE_TEXTS + 1) * sizeof *t->probe_reference);
    rc__free(t->reference, t->valid_room * sizeof *t->reference);
    rc__free(t->valid_source, t->valid_room * sizeof *t->valid_source);
    rc__id_pairs_free(&t->train);
    rc__id_pairs_free(&t->valid);
    rc__id_pairs_free(&t->probe);
    rc__pair_batch_free(&t->batch);
    rc__pair_batch_free(&t->valid_batch);
    rc__epochs_free(t->epochs);
    rc__epochs_free(t->valid_visits);
    rc_tape_free(t->sampler);
    for (size_t i = 0; i < t->n_files; i++) rc__pairs_free(t->files[i]);
    rc__free(t->files, t->n_files * sizeof *t->files);
    if (t->m) rc_model_free(&t->m->base);
    rc__free(t, sizeof *t);
}

static const rc__task_ops s2s_ops = {.params = s2s_params,
                                     .next_loss = s2s_next_loss,
                                     .validate = s2s_validate,
                                     .sample = s2s_sample,
                                     .save = s2s_save,
                                     .where = s2s_where,
                                     .epochs = s2s_epochs,
                                     .batches_per_epoch = s2s_batches_per_epoch,
                                     .enough_epochs = s2s_enough_epochs,
                                     .before_step = s2s_before_step,
                                     .cursor_get = s2s_cursor_get,
                                     .cursor_set = s2s_cursor_set,
                                     .finish = s2s_finish,
                                     .plan = s2s_plan,
                                     .free = s2s_free};

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static measure measure_of(const rc__task_kind *kind) {
    return kind == &rc__task_translate ? MEASURE_BLEU : kind == &rc__task_summarize ? MEASURE_ROUGE_L : MEASURE_NONE;
}

static rc_status read_all(pairs_task *t, const rc_train_options *o, corpus *train, corpus *valid,
                          const rc_train_hooks *hooks, rc_error *e) {
    const char *valid_files[2] = {o->valid, o->valid_target};
    rc_data_options data = t->m ? rc__data_merge(&o->data, &t->m->data) : o->data;
    rc__pairs_options po;
    if (o->valid_target && !o->valid)
        return rc_fail(e, RC_EINVAL, "valid-target: only with --valid, the file of its sources");
    rc_status s =
        rc__seq2seq_pairs_options(&data, t->measure == MEASURE_NONE, t->m ? t->m->history : (size_t)o->history,
                                  t->m ? t->m->separator : o->separator, false, &po, e);
    if (s == RC_OK) s = read_files(t, train, o->files, o->n_files, &po, hooks, e);
    if (s == RC_OK && o->valid) s = read_files(t, valid, valid_files, o->valid_target ? 2 : 1, &po, hooks, e);
    if (s == RC_OK && train->n == 0) s = rc_fail(e, RC_EDATA, "%s: every pair has an empty side", o->files[0]);
    if (s != RC_OK) return s;
    say_corpus(hooks, "training", train);
    if (o->valid) say_corpus(hooks, "validation", valid);
    return o->valid ? RC_OK : split(train, valid, o->valid_fraction, e);
}

rc_status rc__seq2seq_make(rc__task **out, const rc__task_kind *kind, const rc_train_options *o, const char *initial,
                           const rc_train_hooks *hooks, rc_error *e) {
    const char *old = initial ? initial : o->from;
    corpus train = {0}, valid = {0};
    rc_precision precision = RC_FP32;
    pairs_task *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.ops = &s2s_ops;
    t->measure = measure_of(kind);
    t->seed = (uint64_t)o->seed;
    t->word_dropout = o->word_dropout;
    t->label_smoothing = o->label_smoothing;
    t->sampling = o->scheduled_sampling;
    rc_status s = old ? old_model(t, kind, old, e) : RC_OK; /* a bad model is told before data are read */
    bool fresh = !t->m;
    if (s == RC_OK) s = read_all(t, o, &train, &valid, hooks, e);
    if (s == RC_OK && fresh) s = new_model(t, kind, o, &train, e);
    if (s == RC_OK) s = make_sets(t, o, &train, &valid, hooks, e);
    if (s == RC_OK && fresh && t->measure == MEASURE_BLEU) t->m->beam.max_ratio = fmin(ceil(longest_ratio(t)), 10);
    if (s == RC_OK && t->sampling > 0) s = rc_tape_new(&t->sampler, e);
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(t->m->base.params, precision, e);
    if (s == RC_OK) say_model(t, hooks);
    if (s == RC_OK) rc__say_precision(hooks, precision);
    if (s == RC_OK && !initial) s = say_baseline(t, hooks, e);
    corpus_free(&train);
    corpus_free(&valid);
    if (s != RC_OK) return s2s_free(&t->base), s;
    *out = &t->base;
    return RC_OK;
}
