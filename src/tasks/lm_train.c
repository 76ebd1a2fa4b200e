/* lm_train.c - language models: reading and splitting text, vocabulary, batches, validation. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/tape_internal.h"
#include "base/file.h"

#include "base/json.h"
#include "base/mem.h"
#include "tasks/lm_task.h"

#define VALID_ROWS    64  /* parallel rows of a validation while training */
#define VALID_ROW_MIN 512 /* ... each at least this long: a row starts without context */
#define VALID_SEQ_LEN 64
#define VALID_MAX     1000000           /* tokens of such a validation; the exact pass reads all */
#define EXACT_MAX     ((size_t)8 << 20) /* bytes of the exact pass at the end: it runs at batch 1 */

/* ---- text -------------------------------------------------------------------------------------------------------- */

static rc_status append(char **text, size_t *len, char *more, size_t n, rc_error *e) {
    bool newline = *len > 0 && (*text)[*len - 1] != '\n';
    size_t total = *len + newline + n;
    char *p = rc__realloc(*text, *text ? *len + 1 : 0, total + 1);
    if (!p) return rc_fail(e, RC_ENOMEM, "train: out of memory for %zu bytes of text", total);
    if (newline) p[(*len)++] = '\n';
    memcpy(p + *len, more, n);
    p[total] = 0;
    *text = p;
    *len = total;
    return RC_OK;
}

/* One file; checked here where its name, lines and offsets are known: later it is part of a joined text. */
static rc_status read_file(const char *path, bool utf8, char **data, size_t *size, rc_error *e) {
    rc_status s = rc_text_read(path, data, size, e);
    if (s == RC_OK && utf8 && (s = rc_text_check_utf8(path, *data, *size, e)) != RC_OK) {
        rc_text_free(*data, *size);
        *data = NULL;
        *size = 0;
    }
    return s;
}

rc_status rc__lm_read_files(const char *const *files, size_t n, bool utf8, char **text, size_t *len, rc_error *e) {
    *text = NULL;
    *len = 0;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        char *data;
        size_t size;
        s = read_file(files[i], utf8, &data, &size, e);
        if (s != RC_OK) break;
        if (i == 0 && n == 1) { /* one file is taken as it is */
            *text = data;
            *len = size;
            return RC_OK;
        }
        s = append(text, len, data, size, e);
        rc_text_free(data, size);
    }
    if (s != RC_OK) {
        rc_text_free(*text, *len);
        *text = NULL;
    }
    return s;
}

size_t rc__lm_split(const char *text, size_t len, double valid_fraction, bool whole_lines) {
    size_t at = (size_t)((double)len * (1 - valid_fraction));
    if (at >= len) return len;
    if (whole_lines) {
        const char *end = memchr(text + at, '\n', len - at);
        return end ? (size_t)(end - text) + 1 : len;
    }
    while (at < len && ((unsigned char)text[at] & 0xC0) == 0x80) at++;
    return at;
}

/* Training and validation text; *valid is NULL when there is none. Both are freed with rc_text_free. */
static rc_status read_data(const char *const *files, size_t n, const char *valid_path, double fraction,
                           bool whole_lines, bool utf8, char **train, size_t *n_train, char **valid, size_t *n_valid,
                           rc_error *e) {
    char *text;
    size_t len;
    *train = *valid = NULL;
    *n_train = *n_valid = 0;
    rc_status s = rc__lm_read_files(files, n, utf8, &text, &len, e);
    if (s != RC_OK) return s;
    size_t at = valid_path || fraction <= 0 ? len : rc__lm_split(text, len, fraction, whole_lines);
    if (valid_path) s = read_file(valid_path, utf8, valid, n_valid, e);
    if (s == RC_OK && at > 0 && at < len) {
        *valid = rc__alloc(len - at + 1);
        char *head = rc__alloc(at + 1);
        if (*valid && head) {
            memcpy(*valid, text + at, len - at + 1);
            memcpy(head, text, at);
            head[at] = 0;
            rc_text_free(text, len);
            *n_valid = len - at;
            text = head;
            len = at;
        } else {
            s = rc_fail(e, RC_ENOMEM, "train: out of memory for %zu bytes of text", len);
            rc__free(*valid, len - at + 1);
            rc__free(head, at + 1);
            *valid = NULL;
        }
    }
    if (s != RC_OK) {
        rc_text_free(text, len);
        return s;
    }
    *train = text;
    *n_train = len;
    return RC_OK;
}

/* ---- vocabulary and model ---------------------------------------------------------------------------------------- */

static bool is_kind(const char *spec) {
    return !strcmp(spec, "char") || !strcmp(spec, "byte") || !strcmp(spec, "word") || !strncmp(spec, "word:", 5) ||
           !strncmp(spec, "bpe:", 4);
}

/* A file: Hugging Face's tokenizer.json has an object "model"; ours has not. */
rc_status rc__vocab_from_file(rc_vocab **out, const char *path, rc_error *e) {
    char *data;
    size_t len;
    rc_status s = rc__file_read(path, true, (size_t)256 << 20, &data, &len, e);
    if (s != RC_OK) return s;
    json_t *root = NULL;
    s = rc__json_parse(data, len, path, &root, e);
    bool hf = s == RC_OK && json_is_object(json_object_get(root, "model"));
    json_decref(root);
    if (s == RC_OK) s = hf ? rc_vocab_from_hf(out, data, len, path, e) : rc_vocab_from_json(out, data, len, path, e);
    rc__free(data, len + 1);
    return s;
}

/* Vocabularies that refuse what is not UTF-8; a finished bpe one encodes any bytes. */
static bool needs_utf8(const rc_vocab *v) {
    rc_vocab_kind kind = rc_vocab_get_kind(v);
    return kind == RC_VOCAB_CHAR || kind == RC_VOCAB_WORD;
}

rc_status rc__ready_vocab(rc_vocab **out, const char *spec, bool *utf8, rc_error *e) {
    *out = NULL;
    if (is_kind(spec)) {
        *utf8 = strcmp(spec, "byte") != 0;
        return RC_OK;
    }
    if (strchr(spec, '.') || strchr(spec, '/')) {
        rc_status s = rc__vocab_from_file(out, spec, e);
        if (s == RC_OK) *utf8 = needs_utf8(*out);
        return s;
    }
    return rc_fail(e, RC_EINVAL, "vocab: expected char, byte, word, word:N, bpe:N or a tokenizer.json, found \"%s\"",
                   spec);
}

/* Takes over a vocabulary that was ready, else trains one. */
static rc_status new_model(rc__lm_task *t, const rc_train_options *o, rc_vocab *vocab, const char *text, size_t len,
                           rc_error *e) {
    rc_lm_options lo = rc_lm_options_default();
    rc_status s = rc__train_rnn_options(o, &lo.rnn, e);
    lo.embedding_size = (size_t)o->embedding;
    lo.tied = o->tied;
    lo.dropout_input = o->dropout_input;
    lo.dropout_output = o->dropout_output < 0 ? o->dropout : o->dropout_output;
    lo.dropout_embedding = o->dropout_embedding;
    lo.dropout_sequence = o->dropout_sequence;
    if (s == RC_OK && !vocab) s = rc_vocab_train(&vocab, o->vocab, text, len, e);
    if (s == RC_OK) s = rc_lm_new(&t->m, vocab, &lo, (uint64_t)o->seed, e);
    if (s != RC_OK) rc_vocab_free(vocab);
    return s;
}

/* The validation text of the model's earlier training, from its provenance; quietly none when it cannot be had. */
static void read_old_text(rc__lm_task *t, const rc_train_options *o, const rc_train_hooks *hooks) {
    json_t *p = NULL;
    const char *json = rc_lm_provenance(t->m);
    if (rc__json_parse(json, strlen(json), "provenance", &p, NULL) != RC_OK) return;
    const json_t *files = json_object_get(p, "files");
    const char *valid = json_string_value(json_object_get(p, "valid"));
    double fraction = json_number_value(json_object_get(p, "valid_fraction"));
    size_t n = json_array_size(files), len = 0;
    const char *paths[64];
    bool usable = n > 0 && n <= 64 && (valid ? rc__is_regular(valid) : fraction > 0 && fraction < 1),
         same = n == o->n_files && !o->valid && !valid && fraction == o->valid_fraction;
    for (size_t i = 0; usable && i < n; i++) {
        paths[i] = json_string_value(json_array_get(files, i));
        usable = paths[i] && rc__is_regular(paths[i]); /* a stranger's file may name a pipe that never ends */
        same = same && usable && !strcmp(paths[i], o->files[i]);
    }
    if (valid && o->valid) same = !strcmp(valid, o->valid);
    char *train = NULL;
    if (usable && !same) {
        bool words = rc_vocab_get_kind(rc_lm_vocab(t->m)) == RC_VOCAB_WORD;
        bool utf8 = needs_utf8(rc_lm_vocab(t->m));
        rc_error why;
        rc_status s =
            valid ? read_file(valid, utf8, &t->old_text, &t->old_len, &why)
                  : read_data(paths, n, NULL, fraction, words, utf8, &train, &len, &t->old_text, &t->old_len, &why);
        if (s != RC_OK) rc__say(hooks, "old validation text: not compared (%s)", why.text);
        rc_text_free(train, len);
    }
    json_decref(p);
}

static rc_status loaded_model(rc__lm_task *t, const rc_train_options *o, const char *path, bool grow, const char *text,
                              size_t len, const rc_train_hooks *hooks, rc_error *e) {
    rc_status s = rc_lm_load(&t->m, path, e);
    size_t added = 0;
    if (s == RC_OK && grow) s = rc_vocab_grow(rc_lm_vocab(t->m), text, len, &added, e);
    if (s == RC_OK && added) s = rc_lm_grow(&t->m, (uint64_t)o->seed, e);
    if (s == RC_OK && grow)
        rc__say(hooks, "vocabulary: %zu entries added, %zu in all", added, rc_vocab_size(rc_lm_vocab(t->m)));
    if (s == RC_OK && o->from) read_old_text(t, o, hooks);
    return s;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static uint64_t hash_ids(const int32_t *ids, size_t n) { /* FNV-1a, a word at a time */
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint32_t)ids[i]) * 1099511628211u;
    return h ^ n;
}

static rc_status train_batches(rc__lm_task *t, const rc_train_options *o, const char *text, size_t len,
                               const rc_train_hooks *hooks, rc_error *e) {
    rc__batches_options bo = {.batch = (size_t)o->batch, .seq_len = (size_t)o->seq_len, .seed = (uint64_t)o->seed};
    const rc_vocab *v = rc_lm_vocab(t->m);
    size_t unknown = 0;
    rc_status s;
    if (o->full_bptt) {
        s = rc__documents_encode(&t->train_docs, v, text, len, 0, e);
        if (s != RC_OK) return s;
        if (t->train_docs.count < bo.batch) bo.batch = t->train_docs.count ? t->train_docs.count : 1;
        unknown = t->train_docs.unknown;
        t->n_train = t->train_docs.n;
        t->hash = hash_ids(t->train_docs.ids, t->train_docs.n);
        s = rc__batches_documents(&t->train, t->train_docs.ids, t->train_docs.starts, t->train_docs.count, &bo, e);
    } else {
        s = rc_vocab_encode(v, text, len, &t->train_ids, &t->n_train, &unknown, e);
        if (s != RC_OK) return s;
        size_t steps = t->n_train > 0 ? t->n_train - 1 : 0;
        if (steps > 0 && steps / bo.batch < bo.seq_len) { /* rows shorter than a segment: fewer, longer rows */
            size_t rows = steps / bo.seq_len;
            bo.batch = rows ? rows : 1;
        }
        t->hash = hash_ids(t->train_ids, t->n_train);
        s = rc__batches_stream(&t->train, t->train_ids, t->n_train, &bo, e);
    }
    if (s != RC_OK) return s;
    if (bo.batch < (size_t)o->batch)
        rc__say(hooks, "the text is short: %zu rows at once instead of %lld", bo.batch, (long long)o->batch);
    if (unknown)
        rc__say(hooks, "training text: %zu of %zu tokens are not in the vocabulary", unknown, t->n_train);
    if (o->label_smoothing > 0) {
        s = rc_lm_smooth_labels(t->m, o->label_smoothing, e);
        if (s != RC_OK) return s;
        rc__say(hooks, "label smoothing: the training loss is the smoothed one, validation is without");
    }
    if (o->softmax_samples) {
        const int32_t *ids = o->full_bptt ? t->train_docs.ids : t->train_ids;
        s = rc_lm_sample_softmax(t->m, (size_t)o->softmax_samples, ids, t->n_train, e);
        if (s != RC_OK) return s;
        rc__say(hooks,
                      "softmax: trained on %lld of %zu words, the batch's and drawn ones; its loss is over those",
                      (long long)o->softmax_samples, rc_vocab_size(v));
    }
    t->per_epoch = (double)rc__batches_per_epoch(t->train);
    if (rc_lm_get_options(t->m)->rnn.learn_initial_state && !o->no_carry && !o->full_bptt)
        rc__say(
            hooks, "learn-initial-state: learns only with --no-carry or --full-bptt; a carried state has no gradient");
    if (!o->no_carry && !o->full_bptt) s = rc_state_new(&t->state, rc_lm_rnn(t->m), bo.batch, e);
    return s;
}

static const char *valid_name(const rc_train_options *o) {
    return !o->valid ? "validation part" : strcmp(o->valid, "-") == 0 ? "standard input" : o->valid;
}

static rc_status valid_batches(rc__lm_task *t, const rc_train_options *o, const rc_train_hooks *hooks, rc_error *e) {
    if (!t->valid_text) return RC_OK;
    const rc_vocab *v = rc_lm_vocab(t->m);
    rc__batches_options bo = {.seq_len = VALID_SEQ_LEN, .seed = 1, .no_shuffle = true};
    rc_status s;
    if (o->full_bptt) {
        rc_error why;
        s = rc__documents_encode(&t->valid_docs, v, t->valid_text, t->valid_len, 0, &why);
        if (s != RC_OK) return rc_fail(e, s, "%s: %s", valid_name(o), why.text);
        t->n_valid = t->valid_docs.n;
        t->unknown = t->valid_docs.unknown;
        size_t docs = t->valid_docs.count;
        while (docs > 1 && t->valid_docs.starts[docs] > VALID_MAX) docs--;
        bo.batch = docs < VALID_ROWS ? docs : VALID_ROWS;
        if (docs > 0) s = rc__batches_documents(&t->valid, t->valid_docs.ids, t->valid_docs.starts, docs, &bo, e);
    } else {
        s = rc_vocab_encode(v, t->valid_text, t->valid_len, &t->valid_ids, &t->n_valid, &t->unknown, e);
        if (s != RC_OK) return s;
        size_t n = t->n_valid < VALID_MAX ? t->n_valid : VALID_MAX, rows = n / VALID_ROW_MIN;
        bo.batch = rows < 1 ? 1 : rows > VALID_ROWS ? VALID_ROWS : rows;
        if (o->no_carry) bo.seq_len = (size_t)o->seq_len; /* judged as it is trained */
        if (n >= 2) s = rc__batches_stream(&t->valid, t->valid_ids, n, &bo, e);
        if (s == RC_OK && n >= 2 && !o->no_carry) s = rc_state_new(&t->valid_state, rc_lm_rnn(t->m), bo.batch, e);
    }
    t->base.validates = s == RC_OK && t->valid;
    if (s == RC_OK && !t->valid && o->valid)
        return rc_fail(e, RC_EDATA, "%s: too short to validate on: %zu tokens, expected at least 2", valid_name(o),
                       t->n_valid);
    if (s == RC_OK && !t->valid) rc__say(hooks, "the validation text is too short: there will be no validation");
    if (t->unknown)
        rc__say(hooks, "validation text: %zu of %zu tokens are not in the vocabulary", t->unknown, t->n_valid);
    t->exact_says_more = !t->valid_state;
    return s;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static rc_params *lm_params(rc__task *base) { return rc_lm_params(((rc__lm_task *)base)->m); }

static rc_var *lm_next_loss(rc__task *base, rc_tape *tape, rc__task_step *info) {
    rc__lm_task *t = (rc__lm_task *)base;
    rc_error why;
    rc_status s = rc__batches_next(t->train, &t->last, &why);
    if (s != RC_OK) return rc__op_fail(tape, s, "next batch", "%s", why.text);
    if (t->state && t->last.reset_state) rc_state_reset(t->state, rc_lm_rnn(t->m));
    info->tokens = t->last.tokens;
    info->ends_epoch = t->last.ends_epoch;
    return rc_lm_loss(tape, t->m, t->last.ids, t->last.targets, t->last.seq_len, t->last.batch, t->state, NULL, NULL);
}

/* One pass over the validation text in parallel rows. */
static rc_status lm_validate(rc__task *base, rc_tape *tape, rc__task_score *score, rc_error *e) {
    rc__lm_task *t = (rc__lm_task *)base;
    double nll = 0;
    size_t count = 0;
    rc__batch b = {0};
    rc_status s = rc__batches_seek(t->valid, (rc__cursor){0}, e);
    while (s == RC_OK && !b.ends_epoch) {
        double part = 0;
        size_t n = 0;
        s = rc__batches_next(t->valid, &b, e);
        if (s != RC_OK) break;
        if (t->valid_state && b.reset_state) rc_state_reset(t->valid_state, rc_lm_rnn(t->m));
        rc_tape_begin(tape, (rc_tape_mode){0});
        rc_lm_loss(tape, t->m, b.ids, b.targets, b.seq_len, b.batch, t->valid_state, &part, &n);
        s = rc_tape_status(tape, e);
        nll += part;
        count += n;
    }
    score->loss = count ? nll / (double)count : NAN;
    return s;
}

static rc_status lm_sample(rc__task *base, const rc_train_options *o, uint64_t step, char **text, size_t *len,
                           rc_error *e) {
    rc__lm_task *t = (rc__lm_task *)base;
    rc_lm_generate_options g = rc_lm_generate_options_default();
    g.length = (size_t)o->sample_length;
    g.seed = (uint64_t)o->seed + step;
    const char *prompt = o->sample_prompt ? o->sample_prompt : "";
    size_t n = strlen(prompt), more = 0;
    char *tail = NULL;
    rc_status s = rc_lm_generate(t->m, prompt, n, &g, &tail, &more, e);
    if (s != RC_OK) return s;
    *text = rc__alloc(n + more + 1);
    if (!*text) {
        rc_text_free(tail, more);
        return rc_fail(e, RC_ENOMEM, "sample: out of memory");
    }
    memcpy(*text, prompt, n);
    memcpy(*text + n, tail, more);
    (*text)[n + more] = 0;
    *len = n + more;
    rc_text_free(tail, more);
    return RC_OK;
}

static rc_status lm_save(rc__task *base, const char *path, const char *provenance, rc_error *e) {
    return rc_lm_save(((rc__lm_task *)base)->m, path, provenance, e);
}

static void lm_where(rc__task *base, char *out, size_t cap) {
    const rc__lm_task *t = (const rc__lm_task *)base;
    if (t->train_docs.ids)
        snprintf(out, cap, "epoch %llu, batch %llu of %zu documents", (unsigned long long)t->last.cursor.epoch + 1,
                 (unsigned long long)t->last.cursor.position + 1, t->last.batch);
    else
        snprintf(out, cap, "epoch %llu, tokens %llu to %llu of each of %zu rows",
                 (unsigned long long)t->last.cursor.epoch + 1, (unsigned long long)t->last.cursor.position,
                 (unsigned long long)t->last.cursor.position + t->last.seq_len, t->last.batch);
}

static double lm_epochs(rc__task *base) {
    const rc__lm_task *t = (const rc__lm_task *)base;
    rc__cursor c = rc__batches_cursor(t->train);
    double batch =
        t->train_docs.ids ? (double)c.position : (double)c.position / (double)rc__batches_max_seq_len(t->train);
    return (double)c.epoch + batch / t->per_epoch;
}

static double lm_batches_per_epoch(rc__task *base) { return ((rc__lm_task *)base)->per_epoch; }

static size_t lm_state(rc__task *base, rc__task_tensor out[RC_TASK_MAX_TENSORS]) {
    rc__lm_task *t = (rc__lm_task *)base;
    size_t n = 0;
    if (!t->state) return 0;
    out[n++] = (rc__task_tensor){"h", rc_state_h(t->state), rc_state_h_len(t->state)};
    if (rc_state_c(t->state)) out[n++] = (rc__task_tensor){"c", rc_state_c(t->state), rc_state_c_len(t->state)};
    return n;
}

static json_t *lm_cursor_get(rc__task *base) {
    const rc__lm_task *t = (const rc__lm_task *)base;
    rc__cursor c = rc__batches_cursor(t->train);
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->hash);
    return json_pack("{sI sI sI ss}", "epoch", (json_int_t)c.epoch, "position", (json_int_t)c.position, "shift",
                     (json_int_t)c.shift, "data", hash);
}

static rc_status lm_cursor_set(rc__task *base, const json_t *cursor, const char *where, rc_error *e) {
    rc__lm_task *t = (rc__lm_task *)base;
    int64_t epoch = 0, position = 0, shift = 0;
    const char *data = NULL;
    rc_status s = rc__json_get_int(cursor, "epoch", RC_JSON_REQUIRED, 0, INT64_MAX, &epoch, where, e);
    if (s == RC_OK) s = rc__json_get_int(cursor, "position", RC_JSON_REQUIRED, 0, INT64_MAX, &position, where, e);
    if (s == RC_OK) s = rc__json_get_int(cursor, "shift", RC_JSON_REQUIRED, 0, INT64_MAX, &shift, where, e);
    if (s == RC_OK) s = rc__json_get_string(cursor, "data", RC_JSON_REQUIRED, &data, where, e);
    if (s != RC_OK) return s;
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->hash);
    if (strcmp(hash, data) != 0)
        return rc_fail(e, RC_EDATA,
                       "the training text is not the one this run began with (%zu tokens now); a changed text is a new "
                       "run: --from",
                       t->n_train);
    return rc__batches_seek(t->train, (rc__cursor){(uint64_t)epoch, (uint64_t)position, (uint64_t)shift}, e);
}

void rc__lm_task_free(rc__lm_task *t) {
    if (!t) return;
    rc_state_free(t->state);
    rc_state_free(t->valid_state);
    rc__batches_free(t->train);
    rc__batches_free(t->valid);
    rc__documents_free(&t->train_docs);
    rc__documents_free(&t->valid_docs);
    rc_ids_free(t->train_ids, t->n_train);
    rc_ids_free(t->valid_ids, t->n_valid);
    rc_text_free(t->valid_text, t->valid_len);
    rc_text_free(t->old_text, t->old_len);
    rc_lm_free(t->m);
    rc__free(t, sizeof *t);
}
static void lm_free(rc__task *base) { rc__lm_task_free((rc__lm_task *)base); }

/* ---- exact validation -------------------------------------------------------------------------------------------- */

/* One stateful pass at batch 1, in fp32 as `recur eval` does; NaN when there is no text or it cannot be scored. */
static double exact_loss(rc_lm *m, const char *text, size_t len, const rc_train_hooks *hooks) {
    if (!text) return NAN;
    if (len > EXACT_MAX) {
        len = EXACT_MAX;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) len--;
        rc__say(hooks, "the exact pass reads the first %zu bytes of the validation text", len);
    }
    rc_lm_eval_options eo = rc_lm_eval_options_default();
    rc_lm_score score;
    rc_error why;
    rc_precision trained_in = rc_params_get_precision(rc_lm_params(m));
    rc_status s = rc_params_set_precision(rc_lm_params(m), RC_FP32, &why);
    if (s == RC_OK) s = rc_lm_eval(m, text, len, &eo, &score, &why);
    if (s != RC_OK) rc__say(hooks, "validation: %s", why.text);
    rc_params_set_precision(rc_lm_params(m), trained_in, NULL);
    return s == RC_OK ? score.nats_per_token : NAN;
}

static rc_status lm_begin(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                          rc_error *e) {
    rc__lm_task *t = (rc__lm_task *)base;
    (void)e;
    if (!o->from) return RC_OK;
    r->new_valid_loss_before = exact_loss(t->m, t->valid_text, t->valid_len, hooks);
    r->old_valid_loss_before = exact_loss(t->m, t->old_text, t->old_len, hooks);
    return RC_OK;
}

static rc_status lm_finish(rc__task *base, const rc_train_options *o, const rc_train_hooks *hooks, rc_train_result *r,
                           rc_error *e) {
    rc__lm_task *t = (rc__lm_task *)base;
    (void)e;
    r->valid_loss = exact_loss(t->m, t->valid_text, t->valid_len, hooks);
    if (o->from) r->old_valid_loss_after = exact_loss(t->m, t->old_text, t->old_len, hooks);
    if (t->exact_says_more && isfinite(r->valid_loss))
        rc__say(hooks, "validations while training started each segment afresh; the final one carries state through "
                       "the text");
    return RC_OK;
}

static void lm_plan(rc__task *base, rc_plan *plan, size_t *data_bytes) {
    const rc__lm_task *t = (const rc__lm_task *)base;
    plan->train_tokens = t->n_train;
    plan->valid_tokens = t->n_valid;
    plan->vocab_size = rc_vocab_size(rc_lm_vocab(t->m));
    plan->epoch_tokens = rc__batches_tokens(t->train);
    *data_bytes = (t->n_train + t->n_valid) * sizeof(int32_t) + t->valid_len;
}

static const rc__task_ops lm_ops = {.params = lm_params,
                                    .next_loss = lm_next_loss,
                                    .validate = lm_validate,
                                    .sample = lm_sample,
                                    .save = lm_save,
                                    .where = lm_where,
                                    .epochs = lm_epochs,
                                    .batches_per_epoch = lm_batches_per_epoch,
                                    .state = lm_state,
                                    .cursor_get = lm_cursor_get,
                                    .cursor_set = lm_cursor_set,
                                    .begin = lm_begin,
                                    .finish = lm_finish,
                                    .plan = lm_plan,
                                    .free = lm_free};

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void describe(const rc__lm_task *t, const rc_train_hooks *hooks) {
    const rc_lm_options *lo = rc_lm_get_options(t->m);
    const rc_vocab *v = rc_lm_vocab(t->m);
    rc__say(hooks, "data: %zu tokens to train on, %zu to validate; vocabulary: %s, %zu entries", t->n_train,
                  t->n_valid, rc_vocab_kind_name(rc_vocab_get_kind(v)), rc_vocab_size(v));
    rc__say(hooks, "model: %s, %d x %zu, embedding %zu%s, %zu parameters", lo->rnn.cell, lo->rnn.num_layers,
                  lo->rnn.hidden_size, lo->embedding_size, lo->tied ? " (tied)" : "",
                  rc_params_len(rc_lm_params(t->m)));
    rc__say_precision(hooks, rc_params_get_precision(rc_lm_params(t->m)));
}

rc_status rc__lm_task_new(rc__lm_task **out, const rc_train_options *o, const char *initial,
                          const rc_train_hooks *hooks, rc_error *e) {
    *out = NULL;
    rc__lm_task *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "train: out of memory");
    t->base.ops = &lm_ops;
    char *text = NULL;
    size_t len = 0;
    bool words = !strncmp(o->vocab, "word", 4), utf8 = false;
    rc_vocab *vocab = NULL;
    rc_status s = RC_OK;
    if (initial || o->from) { /* its vocabulary decides how texts are read; a bad model is told before data is read */
        rc_lm *m;
        s = rc_lm_load(&m, initial ? initial : o->from, e);
        if (s == RC_OK && o->from) words = rc_vocab_get_kind(rc_lm_vocab(m)) == RC_VOCAB_WORD;
        if (s == RC_OK) utf8 = needs_utf8(rc_lm_vocab(m));
        if (s == RC_OK) rc_lm_free(m);
    } else {
        s = rc__ready_vocab(&vocab, o->vocab, &utf8, e);
    }
    if (s == RC_OK)
        s = read_data(o->files, o->n_files, o->valid, o->valid_fraction, words, utf8, &text, &len, &t->valid_text,
                      &t->valid_len, e);
    if (s == RC_OK && initial)
        s = loaded_model(t, o, initial, false, text, len, hooks, e);
    else if (s == RC_OK && o->from)
        s = loaded_model(t, o, o->from, o->grow_vocab, text, len, hooks, e);
    else if (s == RC_OK)
        s = new_model(t, o, vocab, text, len, e);
    else
        rc_vocab_free(vocab);
    rc_precision precision = RC_FP32;
    if (s == RC_OK) s = rc__train_precision(o, &precision, e);
    if (s == RC_OK) s = rc_params_set_precision(rc_lm_params(t->m), precision, e);
    if (s == RC_OK) s = train_batches(t, o, text, len, hooks, e);
    if (s == RC_OK) s = valid_batches(t, o, hooks, e);
    rc_text_free(text, len);
    if (s != RC_OK) return rc__lm_task_free(t), s;
    describe(t, hooks);
    *out = t;
    return RC_OK;
}

static rc_status lm_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                         rc_error *e) {
    rc__lm_task *t;
    rc_status s = rc__lm_task_new(&t, o, initial, hooks, e);
    if (s == RC_OK) *out = &t->base;
    return s;
}

const rc__task_kind rc__task_lm = {
    .name = "lm",
    .title = "a language model",
    .options = "cell embedding tied dropout-input dropout-output dropout-embedding dropout-sequence seq-len "
               "softmax-samples full-bptt no-carry sample-every sample-length sample-prompt grow-vocab preset "
               "label-smoothing",
    .make = lm_make};
