/* seq2seq_search.c - from options to a search: what is not said is the model's. */
#include "base/mem.h"
#include "tasks/seq2seq.h"
#include <string.h>

bool rc__seq2seq_attends(const rc__seq2seq *m) {
    const rc__decoder_options *o = &m->net.o.decoder;
    return o->attention != RC__ATTENTION_NONE || (o->rnn.cell && strcmp(o->rnn.cell, "transformer") == 0);
}

/* ---- an ensemble ------------------------------------------------------------------------------------------------- */

static bool same_vocab(const rc_vocab *a, const rc_vocab *b) {
    if (rc_vocab_get_kind(a) != rc_vocab_get_kind(b) || rc_vocab_size(a) != rc_vocab_size(b)) return false;
    for (size_t i = 0; i < rc_vocab_size(a); i++) {
        size_t na, nb;
        const char *x = rc_vocab_entry(a, (int32_t)i, &na), *y = rc_vocab_entry(b, (int32_t)i, &nb);
        if (na != nb || memcmp(x, y, na) != 0) return false;
    }
    return true;
}

static rc_status add_model(rc__seq2seq_search *x, const rc__seq2seq *m, const char *path, rc_error *e) {
    rc_model *other = NULL;
    rc_status s = rc_model_load(&other, path, e);
    if (s != RC_OK) return s;
    const rc__seq2seq *o = (const rc__seq2seq *)other;
    const char *task = other->kind->name;
    if (other->kind != m->base.kind)
        s = rc_fail(e, RC_EMODEL, "%s: a model for %s cannot join one for %s", path, task, m->base.kind->name);
    else if (!same_vocab(o->source_vocab, m->source_vocab) || !same_vocab(o->target_vocab, m->target_vocab))
        s = rc_fail(e, RC_EMODEL, "%s: it has another vocabulary: only models with the same ones can join", path);
    if (s != RC_OK) {
        rc_model_free(other);
        return s;
    }
    x->others[x->n_nets - 1] = other;
    x->nets[x->n_nets++] = &o->net;
    return RC_OK;
}

static size_t count_paths(const char *list) {
    size_t n = *list != 0;
    for (; *list; list++) n += *list == ',';
    return n;
}

static rc_status add_models(rc__seq2seq_search *x, const rc__seq2seq *m, const char *list, rc_error *e) {
    rc_status s = RC_OK;
    size_t n = count_paths(list);
    x->cap_nets = n + 1;
    x->others = rc__calloc(n + 1, sizeof *x->others);
    x->nets = rc__calloc(n + 1, sizeof *x->nets);
    if (!x->others || !x->nets) return rc_fail(e, RC_ENOMEM, "out of memory for %zu models", n);
    x->nets[x->n_nets++] = &m->net;
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        char path[4096];
        size_t len = strcspn(list, ",");
        if (len == 0 || len >= sizeof path)
            return rc_fail(e, RC_EINVAL, "with: expected file names with commas between");
        memcpy(path, list, len);
        path[len] = 0;
        list += len + (list[len] == ',');
        s = add_model(x, m, path, e);
    }
    return s;
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

static rc_status take_norm(rc__beam_options *b, const char *name, rc_error *e) {
    static const char *const names[] = {"none", "average", "wu"};
    if (!name || !*name || strcmp(name, "model") == 0) return RC_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            b->norm = (rc__length_norm)i;
            return RC_OK;
        }
    return rc_fail(e, RC_EINVAL, "length-norm: expected model, none, average or wu, found \"%s\"", name);
}

static rc_status take_prefix(rc__seq2seq_search *x, const rc__seq2seq *m, const char *text, rc_error *e) {
    rc__string scratch = {0};
    if (!text || !*text) return RC_OK;
    rc_status s =
        rc__seq2seq_encode(m, true, (rc__cell){text, strlen(text)}, &scratch, &x->prefix, &x->n_prefix, NULL, e);
    rc__string_free(&scratch);
    x->o.prefix = x->prefix;
    x->o.n_prefix = x->n_prefix;
    return s;
}

static size_t at_least(int64_t v, int64_t least) { return (size_t)(v < least ? least : v); }

static rc_status take_numbers(rc__seq2seq_search *x, const rc_search_options *o, rc_error *e) {
    rc__beam_options *b = &x->o;
    if (o->beam > 0) b->beam = (size_t)o->beam;
    if (o->groups > 1) b->groups = (size_t)o->groups;
    b->nbest = at_least(o->nbest, 1);
    if (b->nbest > b->beam) {
        if (o->beam > 0)
            return rc_fail(e, RC_EINVAL, "nbest is %zu, the beam %zu: at most the beam", b->nbest, b->beam);
        b->beam = b->nbest;
    }
    if (o->beam <= 0 && b->groups > 1) b->beam = (b->beam + b->groups - 1) / b->groups * b->groups;
    if (b->beam % b->groups != 0)
        return rc_fail(e, RC_EINVAL, "groups: %zu do not divide a beam of %zu", b->groups, b->beam);
    if (o->min_length >= 0) b->min_len = (size_t)o->min_length;
    if (o->max_length > 0) b->max_len = (size_t)o->max_length;
    if (b->min_len > b->max_len)
        return rc_fail(e, RC_EINVAL, "min-length is %zu, at most %zu tokens may come", b->min_len, b->max_len);
    if (o->length_penalty >= 0) b->alpha = o->length_penalty;
    if (o->coverage_penalty >= 0) b->coverage = o->coverage_penalty;
    if (o->patience >= 0) b->patience = o->patience;
    if (o->no_repeat >= 0) b->no_repeat = (size_t)o->no_repeat;
    b->diversity = o->diversity;
    b->seed = (uint64_t)o->seed;
    return take_norm(b, o->length_norm, e);
}

static void take_sampler(rc__seq2seq_search *x, const rc_search_options *o) {
    x->sampler = (rc_sampler_options){.temperature = o->temperature,
                                      .top_k = at_least(o->top_k, 0),
                                      .top_p = o->top_p,
                                      .min_p = o->min_p,
                                      .repetition_penalty = o->repetition_penalty,
                                      .repetition_window = at_least(o->repetition_window, 0)};
    if (!o->sample) return;
    x->o.sampler = &x->sampler;
    x->o.groups = 1;
    if (o->beam <= 0) x->o.beam = x->o.nbest; /* as many draws as are wanted, not the model's beam */
}

/* Never the entry of a line end, which words have: a result is one line. */
static void ban(rc__seq2seq_search *x, const rc_vocab *v, bool unk) {
    int32_t unknown = rc_vocab_unk(v), eos = rc_vocab_eos(v);
    if (!unk && unknown >= 0) x->banned[x->o.n_banned++] = unknown;
    if (eos >= 0) x->banned[x->o.n_banned++] = eos;
    if (x->o.n_banned == rc_vocab_size(v)) x->o.n_banned = 0; /* something must be left */
    x->o.banned = x->banned;
}

rc_status rc__seq2seq_search_begin(rc__seq2seq_search *x, const rc__seq2seq *m, const rc_search_options *o,
                                   rc_error *e) {
    *x = (rc__seq2seq_search){.o = m->beam};
    x->o.groups = x->o.groups ? x->o.groups : 1;
    rc_status s = take_numbers(x, o, e);
    take_sampler(x, o);
    ban(x, m->target_vocab, o->unk);
    if (s == RC_OK && x->o.coverage > 0 && !rc__seq2seq_attends(m))
        s = rc_fail(e, RC_EINVAL, "coverage-penalty: this model has no attention");
    if (s == RC_OK) s = take_prefix(x, m, o->prefix, e);
    if (s == RC_OK && x->n_prefix > x->o.max_len)
        s = rc_fail(e, RC_EINVAL, "prefix: %zu tokens, at most %zu may come", x->n_prefix, x->o.max_len);
    if (s == RC_OK) s = add_models(x, m, o->with ? o->with : "", e);
    if (s != RC_OK) rc__seq2seq_search_end(x);
    return s;
}

void rc__seq2seq_search_end(rc__seq2seq_search *x) {
    for (size_t i = 0; x->others && x->others[i]; i++) rc_model_free(x->others[i]);
    rc_ids_free(x->prefix, x->n_prefix);
    rc__free(x->others, x->cap_nets * sizeof *x->others);
    rc__free(x->nets, x->cap_nets * sizeof *x->nets);
    *x = (rc__seq2seq_search){0};
}
