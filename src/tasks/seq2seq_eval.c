/* seq2seq_eval.c - a model for sequences on pairs: loss, scores of what it writes, plain methods beside it, scores by length
 * of the source, ways to search side by side. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/lexicon.h"
#include "data/moses.h"
#include "metrics/translation.h"
#include "tasks/seq2seq.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One cell per pair; owned texts behind it where there are any. */
typedef struct texts {
    rc__string *own;
    rc__cell *cell;
    size_t n;
} texts;

typedef struct evaluation {
    rc__seq2seq *m;
    const rc_eval_options *o;
    rc__pairs *pairs;
    rc__id_pairs ids;
    size_t n;
    rc__bleu_tokenizer tokenizer;
    bool lowercase, summaries;
    rc__cell *source, *reference;
    texts cut_reference; /* lower case, by Moses' rules; none unless wanted */
} evaluation;

static rc_status no_memory(rc_error *e) { return rc_fail(e, RC_ENOMEM, "eval: out of memory"); }

static void free_texts(texts *t) {
    for (size_t i = 0; t->own && i < t->n; i++) rc__string_free(&t->own[i]);
    rc__free(t->own, t->n * sizeof *t->own);
    rc__free(t->cell, t->n * sizeof *t->cell);
    *t = (texts){0};
}

static rc_status new_texts(texts *t, size_t n, rc_error *e) {
    *t = (texts){.n = n ? n : 1};
    t->own = rc__calloc(t->n, sizeof *t->own);
    t->cell = rc__calloc(t->n, sizeof *t->cell);
    return t->own && t->cell ? RC_OK : no_memory(e);
}

static void show_texts(texts *t) {
    for (size_t i = 0; i < t->n; i++) t->cell[i] = (rc__cell){t->own[i].s ? t->own[i].s : "", t->own[i].len};
}

static bool put_real(json_t *out, const char *key, double v) {
    return json_object_set_new(out, key, rc__real_or_null(v)) == 0;
}
static bool put_size(json_t *out, const char *key, size_t v) {
    return json_object_set_new(out, key, json_integer((json_int_t)v)) == 0;
}
static bool put_text(json_t *out, const char *key, const char *v) {
    return json_object_set_new(out, key, json_string(v)) == 0;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static rc_status read_pairs(evaluation *v, const char *path, rc_error *e) {
    rc_data_options d = rc__data_merge(&v->o->data, &v->m->data);
    bool asked = v->o->data.format && *v->o->data.format, two = v->o->reference && *v->o->reference;
    rc__pairs_options po;
    if (!asked && two) d.format = "lines";
    if (!asked && !two && d.format && strcmp(d.format, "lines") == 0)
        d.format = ""; /* trained on two files, asked about one */
    rc_status s =
        rc__seq2seq_pairs_options(&d, v->m->base.kind == &rc__task_chat, v->m->history, v->m->separator, false, &po, e);
    if (s == RC_OK) s = rc__pairs_read(&v->pairs, path, two ? v->o->reference : NULL, &po, e);
    if (s != RC_OK) return s;
    v->n = v->pairs->n;
    if (v->n == 0) return rc_fail(e, RC_EDATA, "%s: there are no pairs", path);
    v->source = rc__calloc(v->n, sizeof *v->source);
    v->reference = rc__calloc(v->n, sizeof *v->reference);
    if (!v->source || !v->reference) return no_memory(e);
    for (size_t i = 0; i < v->n && s == RC_OK; i++) {
        const rc__pair *p = &v->pairs->pair[i];
        v->source[i] = p->source;
        v->reference[i] = p->target;
        s = rc__id_pairs_add(&v->ids, v->m, p->source, p->target, p->line, e);
    }
    return s;
}

/* Of the target's tokens, each with its end, given those before it. */
static rc_status teacher_forced(evaluation *v, double *nll, size_t *tokens, rc_error *e) {
    rc_tape *t = NULL;
    rc__pair_batch batch = {0};
    uint32_t index[256];
    size_t most = v->o->batch < 1 ? 1 : v->o->batch > 256 ? 256 : (size_t)v->o->batch;
    rc_status s = rc_tape_new(&t, e);
    *nll = 0;
    *tokens = 0;
    for (size_t from = 0; s == RC_OK && from < v->n; from += most) {
        size_t n = v->n - from < most ? v->n - from : most, count = 0;
        double sum = 0;
        for (size_t i = 0; i < n; i++) index[i] = (uint32_t)(from + i);
        s = rc__pair_batch_make(&batch, v->m, &v->ids, index, n, 0, NULL, e);
        if (s != RC_OK) break;
        rc_tape_begin(t, (rc_tape_mode){0});
        rc__seq2seq_loss(t, &v->m->net, &batch.b, 0, &sum, &count);
        s = rc_tape_status(t, e);
        *nll += sum;
        *tokens += count;
    }
    rc__pair_batch_free(&batch);
    rc_tape_free(t);
    return s;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* What a search found: the best of each, its words before they were put together, and all results. */
typedef struct found {
    const rc__seq2seq *m;
    texts best, cut, all; /* all: (n, nbest) */
    size_t nbest, taken, finished;
    bool want_cut;
    double seconds;
} found;

static rc_status take(void *ctx, size_t i, const rc__hypothesis *h, rc_error *e) {
    found *f = ctx;
    rc_status s = rc__seq2seq_decode(f->m, h->token, h->n, NULL, true, &f->best.own[i], e);
    f->taken++;
    f->finished += h->finished;
    if (s == RC_OK && f->want_cut) s = rc__seq2seq_decode(f->m, h->token, h->n, NULL, false, &f->cut.own[i], e);
    for (size_t k = 0; s == RC_OK && f->nbest > 1 && k < f->nbest; k++)
        s = rc__seq2seq_decode(f->m, h[k].token, h[k].n, NULL, true, &f->all.own[i * f->nbest + k], e);
    return s;
}

static void free_found(found *f) {
    free_texts(&f->best);
    free_texts(&f->cut);
    free_texts(&f->all);
}

/* Lower-case words and marks as Moses' scripts cut them. */
static rc_status cut_texts(const evaluation *v, const rc__cell *from, texts *out, rc_error *e) {
    const char *language = v->m->target_language && *v->m->target_language ? v->m->target_language : "en";
    const rc__moses_options mo = {.language = language, .normalize = true, .lowercase = true};
    rc_status s = new_texts(out, v->n, e);
    for (size_t i = 0; s == RC_OK && i < v->n; i++) s = rc__moses_tokenize(&out->own[i], from[i], &mo, e);
    if (s == RC_OK) show_texts(out);
    return s;
}

static bool wants_cut(const evaluation *v) { return v->o->tokenized || v->m->moses; }

static rc_status answer(const evaluation *v, const rc_search_options *o, found *f, rc_error *e) {
    rc__seq2seq_search x;
    rc_status s = rc__seq2seq_search_begin(&x, v->m, o, e);
    if (s != RC_OK) return s;
    *f = (found){.m = v->m, .nbest = x.o.nbest, .want_cut = wants_cut(v) && v->m->moses};
    s = new_texts(&f->best, v->n, e);
    if (s == RC_OK && f->want_cut) s = new_texts(&f->cut, v->n, e);
    if (s == RC_OK && f->nbest > 1) s = new_texts(&f->all, v->n * f->nbest, e);
    double begin = rc__now();
    if (s == RC_OK) s = rc__seq2seq_answers(v->m, x.nets, x.n_nets, &v->ids, &x.o, (size_t)v->o->batch, take, f, e);
    f->seconds = rc__now() - begin;
    rc__seq2seq_search_end(&x);
    if (s != RC_OK) return s;
    show_texts(&f->best);
    show_texts(&f->all);
    if (f->want_cut)
        show_texts(&f->cut);
    else if (wants_cut(v))
        s = cut_texts(v, f->best.cell, &f->cut, e);
    return s;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* Of several references each score takes the one that is best in it, as rouge-score's score_multi. */
static rc_status rouge_of(const evaluation *v, rc__cell text, size_t i, rc__rouge out[RC__ROUGES], rc_error *e) {
    const rc__pair *p = &v->pairs->pair[i];
    rc_status s = rc__rouge_score(text, v->reference[i], v->o->stemmer, out, e);
    for (size_t k = 0; s == RC_OK && k < p->n_others; k++) {
        rc__rouge other[RC__ROUGES];
        s = rc__rouge_score(text, p->others[k], v->o->stemmer, other, e);
        for (int r = 0; s == RC_OK && r < RC__ROUGES; r++)
            if (other[r].f > out[r].f) out[r] = other[r];
    }
    return s;
}

static rc_status mean_rouge(const evaluation *v, const rc__cell *text, rc__rouge mean[RC__ROUGES], rc_error *e) {
    rc_status s = RC_OK;
    memset(mean, 0, RC__ROUGES * sizeof *mean);
    for (size_t i = 0; i < v->n && s == RC_OK; i++) {
        rc__rouge one[RC__ROUGES];
        s = rouge_of(v, text[i], i, one, e);
        for (int k = 0; s == RC_OK && k < RC__ROUGES; k++) {
            mean[k].precision += one[k].precision / (double)v->n;
            mean[k].recall += one[k].recall / (double)v->n;
            mean[k].f += one[k].f / (double)v->n;
        }
    }
    return s;
}

static rc_status put_rouge(const evaluation *v, const rc__cell *text, json_t *out, rc_error *e) {
    static const char *const names[RC__ROUGES] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};
    rc__rouge mean[RC__ROUGES];
    if (!v->summaries) return RC_OK;
    rc_status s = mean_rouge(v, text, mean, e);
    for (int k = 0; s == RC_OK && k < RC__ROUGES; k++)
        if (!put_real(out, names[k], mean[k].f)) s = no_memory(e);
    return s;
}

/* BLEU as asked for: of the text, or of what Moses' rules make of it. */
static rc_status bleu_of(const evaluation *v, const rc__cell *text, const rc__cell *cut, rc__bleu *b, rc_error *e) {
    if (v->o->tokenized) return rc__bleu_corpus(cut, v->cut_reference.cell, v->n, RC__BLEU_NONE, true, b, e);
    return rc__bleu_corpus(text, v->reference, v->n, v->tokenizer, v->lowercase, b, e);
}

static rc_status lower(const evaluation *v, const rc__cell *text, texts *out, rc_error *e) {
    rc_status s = new_texts(out, v->n, e);
    for (size_t i = 0; s == RC_OK && i < v->n; i++) s = rc__lower(&out->own[i], text[i].text, text[i].len, e);
    if (s == RC_OK) show_texts(out);
    return s;
}

static rc_status exact(const evaluation *v, const rc__cell *text, double *share, rc_error *e) {
    texts a = {0}, b = {0};
    rc_status s = RC_OK;
    if (v->lowercase) {
        s = lower(v, text, &a, e);
        if (s == RC_OK) s = lower(v, v->reference, &b, e);
    }
    if (s == RC_OK)
        *share = v->lowercase ? rc__exact_match(a.cell, b.cell, v->n) : rc__exact_match(text, v->reference, v->n);
    free_texts(&a);
    free_texts(&b);
    return s;
}

/* The row of a table: the main scores of texts. */
static rc_status put_short(const evaluation *v, const rc__cell *text, const rc__cell *cut, json_t *out, rc_error *e) {
    rc__bleu b;
    rc__variety variety;
    double chrf = 0, same = 0;
    char signature[128];
    rc_status s = put_rouge(v, text, out, e);
    if (s == RC_OK) s = bleu_of(v, text, cut, &b, e);
    if (s == RC_OK) s = rc__chrf_corpus(text, v->reference, v->n, 0, v->lowercase, &chrf, signature, e);
    if (s == RC_OK) s = exact(v, text, &same, e);
    if (s == RC_OK) s = rc__variety_of(text, v->n, &variety, e);
    if (s != RC_OK) return s;
    bool ok = put_real(out, "bleu", b.score) && put_real(out, "chrf", chrf) && put_real(out, "exact_match", same) &&
              put_real(out, "distinct_1", variety.distinct_1) && put_real(out, "distinct_2", variety.distinct_2);
    return ok ? RC_OK : no_memory(e);
}

static rc_status put_scores(const evaluation *v, const found *f, json_t *out, rc_error *e) {
    rc__bleu b, cut = {0};
    rc__variety variety;
    double chrf = 0, chrf_words = 0, same = 0;
    char signature[128], words_signature[128], precisions[96];
    rc_status s = put_rouge(v, f->best.cell, out, e);
    if (s == RC_OK) s = bleu_of(v, f->best.cell, f->cut.cell, &b, e);
    if (s == RC_OK && wants_cut(v))
        s = rc__bleu_corpus(f->cut.cell, v->cut_reference.cell, v->n, RC__BLEU_NONE, true, &cut, e);
    if (s == RC_OK)
        s = rc__chrf_corpus(f->best.cell, v->reference, v->n, 2, v->lowercase, &chrf_words, words_signature, e);
    if (s == RC_OK) s = rc__chrf_corpus(f->best.cell, v->reference, v->n, 0, v->lowercase, &chrf, signature, e);
    if (s == RC_OK) s = exact(v, f->best.cell, &same, e);
    if (s == RC_OK) s = rc__variety_of(f->best.cell, v->n, &variety, e);
    if (s != RC_OK) return s;
    snprintf(precisions, sizeof precisions, "%.1f/%.1f/%.1f/%.1f", b.precision[0], b.precision[1], b.precision[2],
             b.precision[3]);
    bool ok = put_real(out, "bleu", b.score) && put_text(out, "bleu_precisions", precisions) &&
              put_real(out, "brevity", b.brevity) && put_size(out, "hypothesis_len", b.hypothesis_len) &&
              put_size(out, "reference_len", b.reference_len) && put_text(out, "bleu_signature", b.signature);
    if (ok && wants_cut(v)) ok = put_real(out, "bleu_tokenized", cut.score);
    ok = ok && put_real(out, "chrf", chrf) && put_text(out, "chrf_signature", signature) &&
         put_real(out, "chrf++", chrf_words) && put_real(out, "exact_match", same) &&
         put_real(out, "distinct_1", variety.distinct_1) && put_real(out, "distinct_2", variety.distinct_2) &&
         put_real(out, "repetition", variety.repetition) && put_real(out, "most_frequent", variety.most_frequent);
    return ok ? RC_OK : no_memory(e);
}

/* ---- plain methods ----------------------------------------------------------------------------------------------- */

/* The first sentence: up to a mark that ends one, before a blank and a capital, a digit or a quotation mark. */
static rc__cell next_sentence(rc__cell *rest) {
    while (rest->len && (unsigned char)rest->text[0] <= ' ') rest->text++, rest->len--;
    rc__cell c = {rest->text, rest->len};
    for (size_t i = 0; i + 2 < rest->len; i++) {
        char mark = rest->text[i], after = rest->text[i + 2];
        bool begins =
            (after >= 'A' && after <= 'Z') || (after >= '0' && after <= '9') || after == '"' || (after & 0x80);
        if (!strchr(".!?", mark) || !mark || rest->text[i + 1] != ' ' || !begins) continue;
        c.len = i + 1;
        break;
    }
    rest->text += c.len;
    rest->len -= c.len;
    return c;
}

/* The sentence of the source that is nearest to the reference, by ROUGE-1: no other single sentence could do better in it. */
static rc_status best_sentence(const evaluation *v, size_t i, rc__cell *out, rc_error *e) {
    rc__cell rest = v->source[i], sentence;
    double best = -1;
    rc_status s = RC_OK;
    *out = (rc__cell){"", 0};
    while (s == RC_OK && (sentence = next_sentence(&rest)).len) {
        rc__rouge r[RC__ROUGES];
        s = rouge_of(v, sentence, i, r, e);
        if (s != RC_OK || r[RC__ROUGE_1].f <= best) continue;
        best = r[RC__ROUGE_1].f;
        *out = sentence;
    }
    return s;
}

static rc_status add_baseline(const evaluation *v, const char *name, const rc__cell *text, json_t *list, rc_error *e) {
    texts cut = {0};
    json_t *row = json_pack("{ss}", "method", name);
    rc_status s = row ? RC_OK : no_memory(e);
    if (s == RC_OK && v->o->tokenized) s = cut_texts(v, text, &cut, e);
    if (s == RC_OK) s = put_short(v, text, cut.cell, row, e);
    free_texts(&cut);
    if (s == RC_OK) return json_array_append_new(list, row) == 0 ? RC_OK : no_memory(e);
    json_decref(row);
    return s;
}

static rc_status put_baselines(const evaluation *v, json_t *out, rc_error *e) {
    json_t *list = json_array();
    rc__cell *text = rc__calloc(v->n, sizeof *text);
    rc_status s = list && text ? RC_OK : no_memory(e);
    if (s == RC_OK) s = add_baseline(v, "copy the source", v->source, list, e);
    if (v->summaries) {
        for (size_t i = 0; s == RC_OK && i < v->n; i++) {
            rc__cell rest = v->source[i];
            text[i] = next_sentence(&rest);
        }
        if (s == RC_OK) s = add_baseline(v, "first sentence", text, list, e);
        for (size_t i = 0; s == RC_OK && i < v->n; i++) s = best_sentence(v, i, &text[i], e);
        if (s == RC_OK) s = add_baseline(v, "best single sentence, by ROUGE-1 (knows the reference)", text, list, e);
    }
    rc__free(text, v->n * sizeof *text);
    if (s == RC_OK) return json_object_set_new(out, "baselines", list) == 0 ? RC_OK : no_memory(e);
    json_decref(list);
    return s;
}

/* ---- by length --------------------------------------------------------------------------------------------------- */

static size_t count_words(rc__cell text) {
    size_t n = 0;
    while (rc__cell_word(&text).len) n++;
    return n;
}

/* Pairs whose source has from..to words. */
static rc_status add_bucket(const evaluation *v, const found *f, const size_t *words, size_t from, size_t to,
                            json_t *list, rc_error *e) {
    rc__cell *part = rc__calloc(2 * v->n, sizeof *part);
    char name[48];
    double mean = 0;
    size_t n = 0;
    rc__bleu b;
    if (!part) return no_memory(e);
    for (size_t i = 0; i < v->n; i++) {
        if (words[i] < from || words[i] > to) continue;
        part[n] = v->o->tokenized ? f->cut.cell[i] : f->best.cell[i];
        part[v->n + n++] = v->o->tokenized ? v->cut_reference.cell[i] : v->reference[i];
        mean += (double)words[i];
    }
    rc_status s = RC_OK;
    if (n > 0) {
        s = rc__bleu_corpus(part, part + v->n, n, v->o->tokenized ? RC__BLEU_NONE : v->tokenizer,
                            v->lowercase || v->o->tokenized, &b, e);
        if (to == SIZE_MAX)
            snprintf(name, sizeof name, "%zu-", from);
        else
            snprintf(name, sizeof name, "%zu-%zu", from, to);
        if (s == RC_OK &&
            json_array_append_new(list, json_pack("{ss sI sf sf sf sI}", "source_words", name, "pairs", (json_int_t)n,
                                                  "mean_words", mean / (double)n, "bleu", b.score, "brevity", b.brevity,
                                                  "reference_len", (json_int_t)b.reference_len)) != 0)
            s = no_memory(e);
    }
    rc__free(part, 2 * v->n * sizeof *part);
    return s;
}

static rc_status put_by_length(const evaluation *v, const found *f, json_t *out, rc_error *e) {
    static const size_t ends[] = {5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, SIZE_MAX};
    json_t *list = json_array();
    size_t *words = rc__calloc(v->n, sizeof *words);
    rc_status s = list && words ? RC_OK : no_memory(e);
    for (size_t i = 0; s == RC_OK && i < v->n; i++) words[i] = count_words(v->source[i]);
    for (size_t k = 0, from = 0; s == RC_OK && k < sizeof ends / sizeof *ends; from = ends[k++] + 1)
        s = add_bucket(v, f, words, from, ends[k], list, e);
    rc__free(words, v->n * sizeof *words);
    if (s == RC_OK) return json_object_set_new(out, "by_length", list) == 0 ? RC_OK : no_memory(e);
    json_decref(list);
    return s;
}

/* ---- strategies -------------------------------------------------------------------------------------------------- */

static const char strategy_names[] = "greedy, beamN, diverseN, sample, sampleN, top-kN, top-pX";

static bool numbered(const char *text, const char *name, double *number) {
    size_t len = strlen(name);
    char *end;
    if (strncmp(text, name, len) != 0) return false;
    if (!text[len]) return true;
    if (!strchr("0123456789.", text[len])) return false;
    double v = strtod(text + len, &end);
    if (*end || !(v > 0 && v <= 1000)) return false;
    *number = v;
    return true;
}

/* What --strategies names, over what the other options say. */
static rc_status strategy(const char *name, rc_search_options *o, rc_error *e) {
    double n = 5;
    bool ok = true;
    o->sample = false;
    o->groups = 1;
    o->nbest = 1;
    if (strcmp(name, "greedy") == 0) {
        o->beam = 1;
    } else if (numbered(name, "beam", &n)) {
        o->beam = o->nbest = (int64_t)n;
        ok = n == floor(n);
    } else if (numbered(name, "diverse", &n)) {
        o->beam = o->nbest = o->groups = (int64_t)n;
        ok = n == floor(n);
    } else if (n = 1, numbered(name, "sample", &n)) {
        o->sample = true;
        o->beam = o->nbest = (int64_t)n;
        ok = n == floor(n);
    } else if (n = 10, numbered(name, "top-k", &n)) {
        o->sample = true;
        o->beam = 1;
        o->top_k = (int64_t)n;
        ok = n == floor(n);
    } else if (n = 0.9, numbered(name, "top-p", &n)) {
        o->sample = true;
        o->beam = 1;
        o->top_p = n;
        ok = n <= 1;
    } else
        ok = false;
    return ok ? RC_OK : rc_fail(e, RC_EINVAL, "strategies: expected some of %s, found \"%s\"", strategy_names, name);
}

/* Mean over inputs of distinct-2 of the texts that were found for one. */
static rc_status spread(const found *f, size_t n, double *out, rc_error *e) {
    rc_status s = RC_OK;
    double sum = 0;
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        rc__variety v;
        s = rc__variety_of(f->all.cell + i * f->nbest, f->nbest, &v, e);
        sum += v.distinct_2;
    }
    *out = n ? sum / (double)n : 0;
    return s;
}

static rc_status add_strategy(const evaluation *v, const char *name, json_t *list, rc_error *e) {
    rc_search_options o = v->o->search;
    found f = {0};
    double distinct = NAN;
    json_t *row = json_pack("{ss}", "strategy", name);
    rc_status s = row ? strategy(name, &o, e) : no_memory(e);
    if (s == RC_OK) s = answer(v, &o, &f, e);
    if (s == RC_OK) s = put_short(v, f.best.cell, f.cut.cell, row, e);
    if (s == RC_OK && f.nbest > 1) s = spread(&f, v->n, &distinct, e);
    bool ok = s != RC_OK || (put_size(row, "results", f.nbest) && put_real(row, "distinct_2_of_results", distinct) &&
                             put_real(row, "seconds", f.seconds) &&
                             put_real(row, "sentences_per_second", f.seconds > 0 ? (double)v->n / f.seconds : NAN));
    free_found(&f);
    if (s == RC_OK && ok) return json_array_append_new(list, row) == 0 ? RC_OK : no_memory(e);
    json_decref(row);
    return s == RC_OK ? no_memory(e) : s;
}

static rc_status put_strategies(const evaluation *v, json_t *out, rc_error *e) {
    const char *at = v->o->strategies;
    if (!at || !*at) return RC_OK;
    json_t *list = json_array();
    rc_status s = list ? RC_OK : no_memory(e);
    for (;; at++) {
        char name[32];
        size_t len = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), at);
        if (s == RC_OK) s = add_strategy(v, name, list, e);
        at += len;
        if (s != RC_OK || !*at) break;
    }
    if (s == RC_OK) return json_object_set_new(out, "strategies", list) == 0 ? RC_OK : no_memory(e);
    json_decref(list);
    return s;
}

static rc_status check_strategies(const char *list, rc_error *e) {
    rc_status s = RC_OK;
    for (const char *at = list; at && *at && s == RC_OK;) {
        char name[32];
        rc_search_options o = rc_search_options_default();
        size_t len = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), at);
        s = strategy(name, &o, e);
        at += len + (at[len] == ',');
    }
    return s;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static rc_status prepare(evaluation *v, const char *path, rc_error *e) {
    size_t k = 0;
    const char *want = v->o->bleu_tokenizer && *v->o->bleu_tokenizer ? v->o->bleu_tokenizer : "13a";
    while (k < 4 && strcmp(rc__bleu_tokenizers[k], want) != 0) k++;
    if (k == 4) return rc_fail(e, RC_EINVAL, "bleu-tokenizer: expected 13a, intl, char or none, found \"%s\"", want);
    v->tokenizer = (rc__bleu_tokenizer)k;
    v->lowercase = v->o->lowercase_scores || v->m->lowercase;
    v->summaries = v->m->base.kind == &rc__task_summarize;
    if (v->o->batch < 1) return rc_fail(e, RC_EINVAL, "batch: expected 1 or more, found %lld", (long long)v->o->batch);
    rc_status s = check_strategies(v->o->strategies, e);
    if (s == RC_OK) s = read_pairs(v, path, e);
    if (s == RC_OK && wants_cut(v)) s = cut_texts(v, v->reference, &v->cut_reference, e);
    return s;
}

static rc_status put_counts(const evaluation *v, json_t *out, double nll, size_t tokens, rc_error *e) {
    double loss = tokens ? nll / (double)tokens : NAN;
    bool ok = put_size(out, "pairs", v->n) && put_real(out, "loss", loss) && put_real(out, "perplexity", exp(loss)) &&
              put_size(out, "target_tokens", tokens);
    size_t others = 0;
    for (size_t i = 0; i < v->n; i++) others += v->pairs->pair[i].n_others;
    if (ok && others) ok = put_size(out, "further_references", others); /* of ROUGE alone */
    if (ok && v->ids.unknown_source) ok = put_size(out, "unknown_in_sources", v->ids.unknown_source);
    if (ok && v->ids.unknown_target) ok = put_size(out, "unknown_in_targets", v->ids.unknown_target);
    if (ok && v->ids.cut) ok = put_size(out, "pairs_cut_to_the_models_length", v->ids.cut);
    return ok ? RC_OK : no_memory(e);
}

static rc_status report(evaluation *v, json_t *out, rc_error *e) {
    found f = {0};
    double nll;
    size_t tokens;
    rc_search_options search = v->o->search;
    search.nbest = 1;
    rc_status s = teacher_forced(v, &nll, &tokens, e);
    if (s == RC_OK) s = put_counts(v, out, nll, tokens, e);
    if (s == RC_OK) s = answer(v, &search, &f, e);
    if (s == RC_OK) s = put_scores(v, &f, out, e);
    bool ok =
        s != RC_OK || (put_size(out, "not_finished", f.taken - f.finished) && put_real(out, "seconds", f.seconds) &&
                       put_real(out, "sentences_per_second", f.seconds > 0 ? (double)v->n / f.seconds : NAN));
    if (!ok) s = no_memory(e);
    if (s == RC_OK) s = put_strategies(v, out, e);
    if (s == RC_OK && v->o->details) s = put_baselines(v, out, e);
    if (s == RC_OK && v->o->details) s = put_by_length(v, &f, out, e);
    free_found(&f);
    return s;
}

rc_status rc__seq2seq_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    evaluation v = {.m = (rc__seq2seq *)base, .o = o};
    rc_status s = prepare(&v, path, e);
    if (s == RC_OK) s = report(&v, out, e);
    free_texts(&v.cut_reference);
    rc__free(v.source, v.n * sizeof *v.source);
    rc__free(v.reference, v.n * sizeof *v.reference);
    rc__id_pairs_free(&v.ids);
    rc__pairs_free(v.pairs);
    return s;
}
