/* readers.c - see readers.h. Outline: memory under watch - seeds and readers, one pair after the other - the table - a
 * run. */
#include "readers.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/conll.h"
#include "data/labelled.h"
#include "data/pairs.h"
#include "data/synthetic.h"
#include "data/series.h"
#include "data/stories.h"
#include "data/table.h"
#include "data/timestamp.h"
#include "data/ts_file.h"
#include "data/vectors.h"
#include "formats/params_file.h"
#include "recur/recur.h"
#include "tasks/answer.h"
#include "tasks/tag.h"
#include "tasks/detect_score.h"
#include "tasks/classify.h"
#include "tasks/seq2seq.h"
#include "train/loop.h"

#define TRY(call)                   \
    do {                            \
        if (s == RC_OK) s = (call); \
    } while (0)

/* ---- memory under watch ------------------------------------------------------------------------------------------ */

/* Ours through the library's hook, blocks of their exact size so that a sanitizer sees the first byte beyond; jansson's
 * through its own, since its allocator belongs to the program, and this is one. */
static struct {
    size_t now, top, most;
    bool refused;
} memory;

static bool may_have(size_t more) {
    if (more > memory.most || memory.now > memory.most - more) {
        memory.refused = true;
        return false;
    }
    memory.now += more;
    if (memory.now > memory.top) memory.top = memory.now;
    return true;
}

static void *watched(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    void *q = NULL;
    if (new_size && (!may_have(new_size) || posix_memalign(&q, 64, new_size) != 0)) return NULL;
    if (q && p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    free(p);
    memory.now -= old_size;
    return q;
}

#define HEAD 16 /* jansson frees without the size */
static void *watched_json(size_t size) {
    char *p = may_have(size + HEAD) ? malloc(size + HEAD) : NULL;
    if (!p) return NULL;
    memcpy(p, &size, sizeof size);
    return p + HEAD;
}
static void free_json(void *at) {
    if (!at) return;
    char *p = (char *)at - HEAD;
    size_t size;
    memcpy(&size, p, sizeof size);
    memory.now -= size + HEAD;
    free(p);
}

static void watch(size_t most) {
    memory.now = memory.top = 0;
    memory.most = most;
    memory.refused = false;
    json_set_alloc_funcs(watched_json, free_json);
    rc_set_allocator(watched, NULL);
}
static void unwatch(void) {
    rc_set_allocator(NULL, NULL);
    json_set_alloc_funcs(malloc, free);
}

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

static rc_status write_safetensors(const char *path, rc_error *e) {
    static const float w[6] = {1, -2, 3.5f, 0, -0.0f, 1e-30f};
    static const double d[2] = {1.0 / 3, -1e300};
    static const int64_t steps[1] = {-(INT64_C(1) << 62)};
    static const uint8_t bytes[5] = {0, 1, 127, 128, 255};
    static const uint16_t half[2] = {0x3c00, 0x0001};
    const rc__st_tensor t[] = {
        {.name = "rnn.weight_ih_l0", .dtype = RC_ST_F32, .ndim = 2, .dim = {2, 3}, .data = w},
        {.name = "bytes", .dtype = RC_ST_U8, .ndim = 1, .dim = {5}, .data = bytes},
        {.name = "d", .dtype = RC_ST_F64, .ndim = 1, .dim = {2}, .data = d},
        {.name = "steps", .dtype = RC_ST_I64, .ndim = 0, .data = steps},
        {.name = "half \"\xc3\xa4\"", .dtype = RC_ST_F16, .ndim = 3, .dim = {1, 2, 1}, .data = half},
        {.name = "empty", .dtype = RC_ST_F32, .ndim = 2, .dim = {0, 7}},
    };
    const rc__st_meta meta[] = {{"recur", "{\"format\": 1, \"x\": \"\\u00e4\\n\"}"}, {"note", "line 1\nline 2"}};
    return rc__st_write(path, t, sizeof t / sizeof *t, meta, 2, e);
}

static rc_status read_tensors(const char *path, rc_error *e) {
    rc__st_file *f;
    rc_status s = rc__st_open(&f, path, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; s == RC_OK && i < rc__st_count(f); i++) {
        const rc__st_tensor *t = rc__st_at(f, i);
        size_t bytes = t->len * rc__st_dtype_size(t->dtype);
        void *out = rc__alloc(bytes);
        s = out ? rc__st_read(f, t, out, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
        rc__free(out, bytes);
        const rc__st_tensor *found = rc__st_find(f, t->name);
        if (found != t) s = rc_fail(e, RC_ENO, "%s: a tensor is not found under its name", path);
    }
    rc__st_close(f);
    return s;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static rc_status write_model(const char *path, const char *cell, const char *vocab, const char *text, rc_error *e) {
    rc_vocab *v = NULL;
    rc_lm *m = NULL;
    rc_lm_options o = rc_lm_options_default();
    o.rnn.cell = cell;
    o.rnn.num_layers = 1;
    o.rnn.hidden_size = o.embedding_size = 2;
    rc_status s = rc_vocab_train(&v, vocab, text, strlen(text), e);
    TRY(rc_lm_new(&m, v, &o, 7, e));
    if (s != RC_OK) rc_vocab_free(v);
    TRY(rc_lm_save(m, path, "{\"files\": [\"a.txt\"], \"steps\": 3}", e));
    rc_lm_free(m);
    return s;
}

static rc_status write_char_model(const char *path, rc_error *e) {
    return write_model(path, "lstm", "char", "ab\xC3\xA9", e);
}
static rc_status write_word_model(const char *path, rc_error *e) {
    return write_model(path, "mingru", "word", "the cat\n", e);
}

/* A model that loads must run, and its weights be numbers. */
static rc_status read_model(const char *path, rc_error *e) {
    rc_lm *m = NULL;
    rc_state *state = NULL;
    rc_status s = rc_lm_load(&m, path, e);
    if (s != RC_OK) return m ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    const rc_params *ps = rc_lm_params(m);
    for (size_t i = 0; s == RC_OK && i < rc_params_block_len(ps); i++)
        if (!isfinite(rc_params_values((rc_params *)(uintptr_t)ps)[i]))
            s = rc_fail(e, RC_ENO, "%s: loaded with weights that are no numbers", path);
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    rc_real *logits = rc__calloc(V, sizeof *logits);
    if (!logits) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    TRY(rc_state_new(&state, rc_lm_rnn(m), 1, e));
    for (int32_t id = 0; s == RC_OK && id < 3 && (size_t)id < V; id++) s = rc_lm_step(m, state, &id, logits, e);
    rc_state_free(state);
    rc__free(logits, V * sizeof *logits);
    rc_lm_free(m);
    return s;
}

static rc_status write_tagger(const char *path, rc_error *e) {
    static const char *const names[] = {"O", "B-x", "I-x"};
    rc__tagset *tags = NULL;
    rc__word_counts counts = {0};
    uint32_t id;
    rc__tagger *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    m->base.kind = &rc__task_tag;
    m->spans = m->crf = true;
    m->written_scheme = m->inside_scheme = RC_TAGS_IOB2;
    m->lexicon.split = RC__SPLIT_GIVEN;
    m->lexicon.affixes = 3;
    m->wo = (rc__words_options){
        .embedding_size = 2, .chars = "cnn", .char_embedding = 1, .char_hidden = 2, .affix_embedding = 1};
    m->eo = (rc__encoder_options){.rnn = rc_rnn_options_default(), .pool = RC__POOL_MAX};
    m->eo.rnn.cell = "gru";
    m->eo.rnn.hidden_size = 2;
    m->eo.rnn.num_layers = 1;
    rc_status s = rc__tagset_new(names, 3, &tags, e);
    TRY(rc__tagger_set_tags(m, tags, e));
    TRY(rc__word_counts_word(&counts, false, "cat", 3, e));
    TRY(rc__lexicon_of_counts(&m->lexicon, &counts, 1, 0, true, e));
    TRY(rc__strtab_add(&m->intents, "a", 1, &id, NULL, e));
    TRY(rc__strtab_add(&m->intents, "b", 1, &id, NULL, e));
    TRY(rc__tagger_declare(m, e));
    TRY(rc_params_build(m->base.params, 7, e));
    TRY(rc_model_save(&m->base, path, "{\"steps\": 3}", e));
    rc__word_counts_free(&counts);
    rc__tagset_free(tags);
    rc__tagger_free(&m->base);
    return s;
}

static rc_status write_answerer(const char *path, int kind, rc_error *e) {
    static const char *const words[] = {"where", "cat", "went", "home"};
    rc__answerer *m = rc__calloc(1, sizeof *m);
    uint32_t id;
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = RC_OK;
    m->base.kind = &rc__task_answer;
    m->o = (rc__answer_options){.kind = kind, .embedding = 2, .members = kind < 2 ? 2 : 1, .ensemble = 1, .hops = 2, .position = true,
                                .temporal = kind == 0, .memory = 3, .noise = 0.1, .blocks = 2};
    m->o.reader = (rc__encoder_options){.rnn = rc_rnn_options_default(), .pool = RC__POOL_LAST};
    m->o.reader.rnn.cell = "gru";
    m->o.reader.rnn.hidden_size = 2;
    m->o.reader.rnn.num_layers = 1;
    for (int i = 0; i < 4; i++) TRY(rc__strtab_add(&m->words, words[i], strlen(words[i]), &id, NULL, e));
    TRY(rc__strtab_add(&m->answers, "home", 4, &id, NULL, e));
    TRY(rc__strtab_add(&m->answers, "a,b", 3, &id, NULL, e));
    TRY(rc__answerer_declare(m, e));
    TRY(rc_params_build(m->base.params, 7, e));
    TRY(rc_model_save(&m->base, path, "{\"steps\": 3}", e));
    rc__answerer_free(&m->base);
    return s;
}
static rc_status write_answerer_memory(const char *path, rc_error *e) { return write_answerer(path, RC__ANSWER_MEMORY, e); }
static rc_status write_answerer_query(const char *path, rc_error *e) { return write_answerer(path, RC__ANSWER_QUERY, e); }
static rc_status write_answerer_entity(const char *path, rc_error *e) { return write_answerer(path, RC__ANSWER_ENTITY, e); }
static rc_status write_answerer_reader(const char *path, rc_error *e) { return write_answerer(path, RC__ANSWER_RECURRENT, e); }

/* A model of any task that answers must answer. */
static rc_status read_answerer(const char *path, rc_error *e) {
    rc_model *base = NULL;
    rc_status s = rc_model_load(&base, path, e);
    if (s != RC_OK) return base ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    if (strcmp(rc_model_task(base), "answer") != 0) { /* its document was changed into another's that is whole, too */
        rc_model_free(base);
        return RC_OK;
    }
    rc__answerer *m = (rc__answerer *)base;
    rc__story_set x = {0};
    rc__answer_result r = {0};
    rc_tape *t = NULL;
    const rc__story_line lines[] = {{.begins = true, .text = {"The cat went home.", 18}},
                                    {.text = {"", 0}},
                                    {.question = true, .text = {"Where is the cat?", 17}, .answer = {"home", 4}}};
    for (int i = 0; i < 3; i++) TRY(rc__story_set_add(&x, m, &lines[i], 0, e));
    TRY(rc_tape_new(&t, e));
    TRY(rc__answer_result_new(&r, m, 1, true, e));
    TRY(rc__answerer_run(m, t, &x, NULL, 1, 4, &r, e));
    if (s == RC_OK && (r.answer[0] < 0 || (size_t)r.answer[0] >= m->answers.count))
        s = rc_fail(e, RC_ENO, "%s: an answer that there is not", path);
    rc_tape_free(t);
    rc__answer_result_free(&r, m, 1);
    rc__story_set_free(&x);
    rc_model_free(base);
    return s;
}

/* A model of any task that is a tagger must tag. */
static rc_status read_tagger(const char *path, rc_error *e) {
    rc_model *base = NULL;
    rc_status s = rc_model_load(&base, path, e);
    if (s != RC_OK) return base ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    rc__tagger *m = (rc__tagger *)base;
    rc__tag_set x;
    rc__tag_answers a = {0};
    rc_tape *t = NULL;
    const rc__cell words[] = {{"cat", 3}, {"Caf\xC3\xA9", 5}, {"", 0}};
    int32_t written[3];
    if (strcmp(rc_model_task(base), "tag") != 0) { /* its document was changed into another's that is whole, too */
        rc_model_free(base);
        return RC_OK;
    }
    rc__tag_set_init(&x, m);
    TRY(rc__tag_set_add(&x, m, &(rc__sentence){.words = words, .n = 3}, 0, e));
    TRY(rc_tape_new(&t, e));
    TRY(rc__tag_answers_new(&a, 3, 1, true, NULL, 1, e));
    TRY(rc__tagger_run(m, t, &x, 4, &a, e));
    TRY(rc__tagger_write(m, a.tag, written, 3, e));
    for (size_t i = 0; s == RC_OK && i < 3; i++)
        if (written[i] < 0 || (size_t)written[i] >= rc__tagset_size(m->written))
            s = rc_fail(e, RC_ENO, "%s: a tag that there is not", path);
    rc_tape_free(t);
    rc__tag_answers_free(&a);
    rc__tag_set_free(&x);
    rc_model_free(base);
    return s;
}

/* ---- classifiers and regressors ---------------------------------------------------------------------------------- */

enum { OF_WORDS, OF_SEVERAL, OF_NUMBERS, OF_TARGETS };

static rc_status add_names(rc__strtab *t, const char *a, const char *b, rc_error *e) {
    uint32_t id;
    rc_status s = rc__strtab_add(t, a, strlen(a), &id, NULL, e);
    return s == RC_OK ? rc__strtab_add(t, b, strlen(b), &id, NULL, e) : s;
}

static rc_status write_classifier(const char *path, int kind, rc_error *e) {
    rc__classifier *m = rc__calloc(1, sizeof *m);
    if (!m) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    m->base.kind = kind == OF_TARGETS ? &rc__task_regress : &rc__task_classify;
    m->text = kind <= OF_SEVERAL;
    m->answer = kind == OF_TARGETS ? RC__ANSWER_NUMBER : kind == OF_SEVERAL ? RC__ANSWER_CLASSES : RC__ANSWER_CLASS;
    m->threshold = 0.5;
    m->target_scale = 2;
    m->outputs = kind == OF_TARGETS ? 1 : 2;
    m->mask = kind == OF_NUMBERS;
    m->eo = (rc__encoder_options){.rnn = rc_rnn_options_default(), .pool = RC__POOL_MEAN | RC__POOL_MAX, .filters = 2};
    m->eo.rnn.hidden_size = 2;
    m->eo.rnn.cell = "gru";
    m->eo.kind = kind == OF_SEVERAL ? RC__ENCODER_BOW : kind == OF_TARGETS ? RC__ENCODER_CNN : RC__ENCODER_RNN;
    m->eo.kernels[0] = 2;
    m->eo.n_kernels = 1;
    m->wo = (rc__words_options){.embedding_size = 2, .chars = kind == OF_WORDS ? "cnn" : "none", .char_embedding = 2, .char_hidden = 2};
    rc__word_counts counts = {0};
    rc_status s = RC_OK;
    if (m->text) {
        m->lexicon.lowercase = true;
        m->lexicon.buckets = kind == OF_SEVERAL ? 4 : 0;
        s = rc__word_counts_text(&counts, true, "the cat's \xC3\xA9", 12, e);
        TRY(rc__lexicon_of_counts(&m->lexicon, &counts, 1, 0, kind == OF_WORDS, e));
    } else {
        rc__sequences q = {.channels = 2};
        TRY(rc__sequences_step(&q, (double[]){1, -2}, e));
        TRY(rc__sequences_step(&q, (double[]){3, 5}, e));
        TRY(rc__scaler_fit(&m->scaler, RC__SCALE_ZSCORE, &q, e));
        TRY(add_names(&m->channels, "1", "heat", e));
        rc__sequences_free(&q);
    }
    if (kind != OF_TARGETS) TRY(add_names(&m->labels, "good", "bad \"x\"", e));
    TRY(rc__classifier_declare(m, e));
    TRY(rc_params_build(m->base.params, 3, e));
    TRY(rc__model_save(&m->base, path, "{}", e));
    rc__word_counts_free(&counts);
    rc__classifier_free(&m->base);
    return s;
}
static rc_status write_words(const char *path, rc_error *e) { return write_classifier(path, OF_WORDS, e); }
static rc_status write_several(const char *path, rc_error *e) { return write_classifier(path, OF_SEVERAL, e); }
static rc_status write_numbers(const char *path, rc_error *e) { return write_classifier(path, OF_NUMBERS, e); }
static rc_status write_targets(const char *path, rc_error *e) { return write_classifier(path, OF_TARGETS, e); }

static rc_status count_lines(void *ctx, const char *text, size_t len) {
    (void)text, (void)len;
    ++*(size_t *)ctx;
    return RC_OK;
}

/* A classifier that loads must answer: so many lines as there are texts, or series. */
static rc_status read_classifier(const char *path, rc_error *e) {
    static const char *const inputs[] = {"1,2,?:3,4,5\n", "The cat's\n\n\xC3\xA9 z\n"};
    rc_model *m = NULL;
    char input[300];
    size_t lines = 0;
    rc_status s = rc_model_load(&m, path, e);
    if (s != RC_OK) return m ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    bool text = ((const rc__classifier *)m)->text;
    snprintf(input, sizeof input, "%s.%s", path, text ? "txt" : "ts");
    FILE *f = fopen(input, "wb");
    if (!f) s = rc_fail(e, RC_EIO, "%s: cannot be written", input);
    if (f) fprintf(f, "%s%s", text ? "" : "@univariate false\n@missing true\n@classLabel false\n@data\n", inputs[text]);
    if (f) fclose(f);
    rc_predict_options po = rc_predict_options_default();
    rc_error why;
    po.json = true;
    if (s == RC_OK) {
        rc_status used = rc_model_predict(m, input, &po, &(rc_sink){&lines, count_lines}, &why);
        if (used == RC_OK && lines != (text ? 3 : 1)) s = rc_fail(e, RC_ENO, "%s: %zu answers", path, lines);
        if (used != RC_OK && (used != RC_EDATA || text)) s = rc_fail(e, RC_ENO, "%s: loaded, then %s", path, why.text);
    }
    remove(input);
    rc_model_free(m);
    return s;
    return s;
}

/* ---- forecasters ------------------------------------------------------------------------------------------------- */

static const char seed_series[] = "id,day,k,f,y\n"
                                  "a,2020-01-01,1,u,1\na,2020-01-02,0,u,2\na,2020-01-03,1,u,1\na,2020-01-04,0,u,2\n"
                                  "b,2020-01-01,1,v,3\nb,2020-01-02,0,v,\nb,2020-01-03,1,v,4\nb,2020-01-04,0,v,5\n";

static rc_status write_forecaster(const char *path, const char *kind, const char *known, const char *fixed,
                                  rc_error *e) {
    char data[300];
    const char *files[1] = {data};
    rc_train_options o;
    rc__task *t = NULL;
    snprintf(data, sizeof data, "%.280s.csv", path);
    rc_status s = rc__file_write(data, seed_series, sizeof seed_series - 1, e);
    TRY(rc_train_options_for("forecast", &o, e));
    if (s != RC_OK) return s;
    o.files = files;
    o.n_files = 1;
    o.model = kind;
    o.horizon = 1;
    o.lookback = o.segment = o.hidden = 2;
    o.season = "1";
    o.quantiles = "0.1,0.9";
    o.data.target = "y";
    o.data.inputs = "none";
    o.data.known_ahead = known;
    o.data.fixed = fixed;
    s = rc__task_find("forecast")->make(&t, &o, NULL, NULL, e);
    TRY(t->ops->save(t, path, "{}", e));
    if (t) t->ops->free(t);
    unlink(data);
    return s;
}
static rc_status write_forecaster_direct(const char *path, rc_error *e) {
    return write_forecaster(path, "direct", "k", "f", e);
}
static rc_status write_forecaster_esrnn(const char *path, rc_error *e) {
    return write_forecaster(path, "es-rnn", "", "", e);
}
static rc_status write_forecaster_deepar(const char *path, rc_error *e) {
    return write_forecaster(path, "deepar", "k", "", e);
}

static rc_status write_series(const char *path, rc_error *e) {
    return rc__file_write(path, seed_series, sizeof seed_series - 1, e);
}

/* All that is found out of a file; joined to itself it has nothing to stumble over. */
static rc_status read_series(const char *path, rc_error *e) {
    rc__series_options o = {.known = "k", .fixed = "f"}, plain = {.layout = RC_LAYOUT_AUTO};
    rc__series *a = NULL, *b = NULL;
    rc_status s = rc__series_read(&a, path, &plain, NULL, false, e);
    if (s != RC_OK) return a ? rc_fail(e, RC_ENO, "%s: failed, and left series", path) : s;
    if (rc__series_read(&b, path, &o, NULL, false, NULL) == RC_OK) {
        rc__series *both = NULL;
        if (rc__series_join(&both, b, b, true, NULL) == RC_OK) rc__series_free(both);
        rc__series_free(b);
    }
    rc__series_free(a);
    return RC_OK;
}

/* ---- sequence to sequence ---------------------------------------------------------------------------------------- */

static const char seed_talk[] = "{\"source\": \"a b \\u00e9\", \"target\": \"B A\"}\n{\"source\": \"b a\", \"target\": \"A b\"}\n";

static rc_status write_writer(const char *path, const char *task, const char *vocab, const char *cell, bool shared, rc_error *e) {
    char data[300];
    const char *files[1] = {data};
    rc_train_options o;
    rc__task *t = NULL;
    snprintf(data, sizeof data, "%.280s.jsonl", path);
    rc_status s = rc__file_write(data, seed_talk, sizeof seed_talk - 1, e);
    TRY(rc_train_options_for(task, &o, e));
    if (s != RC_OK) return s;
    o.files = files;
    o.n_files = 1;
    o.valid_fraction = 0;
    o.vocab = vocab;
    o.cell = cell;
    if (!shared) o.encoder = "cnn";
    o.kernels = "2";
    o.filters = 2;
    o.layers = 1;
    o.hidden = o.embedding = o.ffn = 2;
    o.heads = 1;
    o.shared = o.tied = shared;
    o.attention = shared ? "general" : "additive";
    o.coverage = !shared;
    o.copy = false;
    o.max_source = o.max_target = 9;
    s = rc__task_find(task)->make(&t, &o, NULL, NULL, e);
    TRY(t->ops->save(t, path, "{}", e));
    if (t) t->ops->free(t);
    unlink(data);
    return s;
}
static rc_status write_translator(const char *path, rc_error *e) {
    return write_writer(path, "translate", "word", "lstm", true, e);
}
static rc_status write_apart(const char *path, rc_error *e) {
    return write_writer(path, "summarize", "char", "gru", false, e);
}
static rc_status write_chat(const char *path, rc_error *e) {
    return write_writer(path, "chat", "word", "transformer", true, e);
}

/* A model that loads must write, and no more than it may. */
static rc_status read_writer(const char *path, rc_error *e) {
    rc_model *base = NULL;
    rc_status s = rc_model_load(&base, path, e);
    if (s != RC_OK) return base ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    rc__seq2seq *m = (rc__seq2seq *)base;
    rc__id_pairs p = {0};
    rc__string text[2] = {{0}};
    const char *task = rc_model_task(base);
    if (strcmp(task, "translate") != 0 && strcmp(task, "summarize") != 0 && strcmp(task, "chat") != 0) {
        rc_model_free(base); /* its document was changed into another's that is whole, too */
        return RC_OK;
    }
    rc__beam_options bo = m->beam;
    rc_error why;
    bo.beam = bo.beam < 3 ? bo.beam : 3;
    if (bo.max_len > 20) bo.max_len = 20;
    if (bo.min_len > bo.max_len) bo.min_len = 0;
    TRY(rc__id_pairs_add(&p, m, (rc__cell){"a b \xC3\xA9 zz", 9}, (rc__cell){"", 0}, 1, e));
    TRY(rc__id_pairs_add(&p, m, (rc__cell){" ", 1}, (rc__cell){"", 0}, 2, e));
    if (s == RC_OK) {
        rc_status used = rc__seq2seq_translate(m, NULL, 0, &p, &bo, 2, text, &why);
        if (used == RC_OK && text[1].len) s = rc_fail(e, RC_ENO, "%s: an answer to nothing", path);
        if (used != RC_OK && used != RC_EDIVERGED && used != RC_EINVAL) s = rc_fail(e, RC_ENO, "%s: loaded, then %s", path, why.text);
    }
    rc__string_free(&text[0]);
    rc__string_free(&text[1]);
    rc__id_pairs_free(&p);
    rc_model_free(base);
    return s;
}

static rc_status drop_line(void *ctx, const char *text, size_t len) {
    (void)ctx, (void)text, (void)len;
    return RC_OK;
}

/* A model that loads must forecast, if only to say what it lacks. */
static rc_status read_forecaster(const char *path, rc_error *e) {
    rc_model *m = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s != RC_OK) return m ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    rc_predict_options o = rc_predict_options_default();
    rc_sink sink = {NULL, drop_line};
    o.samples = 2;
    o.horizon = 1;
    o.batch = 2;
    rc_model_predict(m, NULL, &o, &sink, NULL);
    rc_model_free(m);
    return RC_OK;
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

static rc_status small_state(rc_params **ps, rc_rnn **rnn, rc_state **state, rc_error *e) {
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = "lstm";
    o.input_size = o.hidden_size = 2;
    o.num_layers = 1;
    rc_status s = rc_params_new(ps, e);
    TRY(rc_rnn_new(rnn, *ps, "rnn.", &o, e));
    TRY(rc_params_build(*ps, 1, e));
    TRY(rc_state_new(state, *rnn, 3, e));
    return s;
}

static rc_status with_state(const char *path, rc_status (*use)(rc_state *s, const char *path, rc_error *e),
                            rc_error *e) {
    rc_params *ps = NULL;
    rc_rnn *rnn = NULL;
    rc_state *state = NULL;
    rc_status s = small_state(&ps, &rnn, &state, e);
    TRY(use(state, path, e));
    rc_state_free(state);
    rc_rnn_free(rnn);
    rc_params_free(ps);
    return s;
}

static rc_status save_state(rc_state *s, const char *path, rc_error *e) {
    for (size_t i = 0; i < rc_state_h_len(s); i++) rc_state_h(s)[i] = (rc_real)i / 8;
    for (size_t i = 0; i < rc_state_c_len(s); i++) rc_state_c(s)[i] = -(rc_real)i;
    return rc_state_save(s, path, e);
}

/* Refused: the state is as before. Taken: it is numbers. */
static rc_status load_state(rc_state *s, const char *path, rc_error *e) {
    rc_state_h(s)[0] = 0.25f;
    rc_status status = rc_state_load(s, path, e);
    if (status != RC_OK)
        return rc_state_h(s)[0] == 0.25f && rc_state_h(s)[1] == 0 ? status
                                                                  : rc_fail(e, RC_ENO, "%s: changed the state", path);
    for (size_t i = 0; i < rc_state_h_len(s); i++)
        if (!isfinite(rc_state_h(s)[i]) || !isfinite(rc_state_c(s)[i]))
            return rc_fail(e, RC_ENO, "%s: loaded a state that is no numbers", path);
    return RC_OK;
}

static rc_status write_state(const char *path, rc_error *e) { return with_state(path, save_state, e); }
static rc_status read_state(const char *path, rc_error *e) { return with_state(path, load_state, e); }

/* ---- detectors --------------------------------------------------------------------------------------------------- */

static rc_status small_detector(rc__detect_model **m, int kind, rc_error *e) {
    rc__detect_options o = rc__detect_options_default();
    o.kind = kind;
    o.channels = o.lags = o.rnn.hidden_size = o.code = 2;
    o.rnn.cell = "gru";
    o.window = o.recent = o.quiet = o.online_rows = o.online_keep = o.online_every = 3;
    o.history = 160;
    o.clock = true;
    rc_status s = rc__detect_model_new(m, &o, e);
    TRY(rc_params_build((*m)->base.params, 1, e));
    for (size_t c = 0; s == RC_OK && c < 2; c++) {
        (*m)->name[c] = rc__strdup(c ? "b" : "a");
        (*m)->column[c] = c + 1;
        (*m)->mean[c] = 2 - (double)c;
        (*m)->scale[c] = .5;
    }
    if (s != RC_OK) return s;
    (*m)->time_column = 0;
    (*m)->time_name = rc__strdup("time");
    (*m)->has_style = (*m)->header = true;
    (*m)->style = (rc__time_style){.form = RC_DATE_YMD, .separator = '-', .padded = true, .between = ' ', .fields = 3};
    return RC_OK;
}

static rc_status run_detector(rc__detector *d, size_t rows, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < rows; i++) {
        rc__detected out;
        const double x[2] = {i == 2 ? NAN : (double)i / 8, 1};
        s = rc__detector_row(d, (int64_t)i * 3600, x, &out, e);
        if (s == RC_OK && !(out.score >= 0)) s = rc_fail(e, RC_ENO, "a score that is no number");
    }
    return s;
}

static rc_status write_detector(const char *path, rc_error *e) {
    rc__detect_model *m = NULL;
    rc_status s = small_detector(&m, RC__DETECT_FORECAST, e);
    TRY(rc_model_save(&m->base, path, NULL, e));
    rc__detect_model_free(m);
    return s;
}
static rc_status write_autoencoder(const char *path, rc_error *e) {
    rc__detect_model *m = NULL;
    rc_status s = small_detector(&m, RC__DETECT_AUTOENCODER, e);
    TRY(rc_model_save(&m->base, path, NULL, e));
    rc__detect_model_free(m);
    return s;
}

/* One that loads must run. */
static rc_status read_detector(const char *path, rc_error *e) {
    rc_model *m = NULL;
    rc__detector *d = NULL;
    rc_status s = rc_model_load(&m, path, e);
    if (s != RC_OK) return m ? rc_fail(e, RC_ENO, "%s: failed, and left a model", path) : s;
    if (strcmp(rc_model_task(m), "detect") == 0 && ((rc__detect_model *)m)->net->o.channels == 2) {
        s = rc__detector_new(&d, (rc__detect_model *)m, false, e);
        TRY(run_detector(d, 5, e));
    }
    rc__detector_free(d);
    rc_model_free(m);
    return s;
}

static rc_status with_detector(const char *path, size_t rows, rc_status (*use)(rc__detector *d, const char *path, rc_error *e),
                               rc_error *e) {
    rc__detect_model *m = NULL;
    rc__detector *d = NULL;
    rc_status s = small_detector(&m, RC__DETECT_FORECAST, e);
    TRY(rc__detector_new(&d, m, true, e));
    TRY(run_detector(d, rows, e));
    TRY(use(d, path, e));
    if (s == RC_OK) s = run_detector(d, 5, e);
    rc__detector_free(d);
    rc__detect_model_free(m);
    return s;
}
static rc_status write_detector_state(const char *path, rc_error *e) { return with_detector(path, 4, rc__detector_save, e); }
static rc_status read_detector_state(const char *path, rc_error *e) { return with_detector(path, 0, rc__detector_load, e); }

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* A task that is nothing but its state and its place in the data. */
typedef struct small_task {
    rc__task base;
    rc_real carried[3];
    int64_t place;
} small_task;

static size_t task_state(rc__task *t, rc__task_tensor out[RC_TASK_MAX_TENSORS]) {
    out[0] = (rc__task_tensor){"h", ((small_task *)t)->carried, 3};
    return 1;
}
static json_t *cursor_get(rc__task *t) { return json_pack("{sI}", "place", (json_int_t)((small_task *)t)->place); }
static rc_status cursor_set(rc__task *t, const json_t *cursor, const char *where, rc_error *e) {
    return rc__json_get_int(cursor, "place", RC_JSON_REQUIRED, 0, 1000, &((small_task *)t)->place, where, e);
}
static const rc__task_ops task_ops = {.state = task_state, .cursor_get = cursor_get, .cursor_set = cursor_set};

static rc_status with_trainer(const char *path, rc_status (*use)(rc__trainer *t, const char *path, rc_error *e),
                              rc_error *e) {
    small_task task = {.base = {.ops = &task_ops, .validates = true}, .carried = {0.5f, -1, 2}, .place = 17};
    rc__trainer t = {.task = &task.base};
    rc_optim_options oo = rc_optim_options_default();
    size_t dim[2] = {2, 2}, bytes = 0;
    rc_status s = rc_params_new(&t.ps, e);
    if (s == RC_OK && !rc_params_add(t.ps, "w", 2, dim, (rc_init){.kind = RC_INIT_ZEROS}, e)) s = RC_ENOMEM;
    TRY(rc_params_build(t.ps, 1, e));
    TRY(rc_optim_new(&t.optim, t.ps, &oo, e));
    TRY(rc_average_new(&t.average, t.ps, RC_AVERAGE_EMA, 0.9, e));
    if (s == RC_OK) {
        bytes = rc_params_block_len(t.ps) * sizeof *t.best_values;
        t.best_values = rc__calloc(1, bytes);
        if (!t.best_values) s = RC_ENOMEM;
    }
    TRY(use(&t, path, e));
    rc__free(t.best_values, bytes);
    rc_average_free(t.average);
    rc_optim_free(t.optim);
    rc_params_free(t.ps);
    return s;
}

static rc_status save_checkpoint(rc__trainer *t, const char *path, rc_error *e) {
    t->at = (rc__position){.step = 40,
                           .tokens = 4000,
                           .seconds = 1.5,
                           .train_seconds = 1.25,
                           .loss_sum = 2,
                           .loss_weight = 0.5,
                           .best = 1.5,
                           .best_step = 30,
                           .best_epoch = 0.75,
                           .last_valid = 1.625,
                           .last_valid_step = 40,
                           .bad_validations = 1,
                           .accuracy = NAN};
    t->schedule.best = NAN;
    t->schedule.factor = 0.5;
    return rc__checkpoint_save(t, path, e);
}

static rc_status load_checkpoint(rc__trainer *t, const char *path, rc_error *e) {
    rc_status s = rc__checkpoint_load(t, path, e);
    for (size_t i = 0; s == RC_OK && i < rc_params_len(t->ps); i++)
        if (!isfinite(rc_params_values(t->ps)[i]) || !isfinite(t->best_values[i]) ||
            !isfinite(rc_optim_block(t->optim, 0)[i]) || !isfinite(rc_average_block(t->average)[i]))
            return rc_fail(e, RC_ENO, "%s: loaded what is no number", path);
    if (s == RC_OK && t->at.best_step > t->at.step) s = rc_fail(e, RC_ENO, "%s: the best step is still to come", path);
    return s;
}

static rc_status write_checkpoint(const char *path, rc_error *e) { return with_trainer(path, save_checkpoint, e); }
static rc_status read_checkpoint(const char *path, rc_error *e) { return with_trainer(path, load_checkpoint, e); }

/* ---- vocabularies ------------------------------------------------------------------------------------------------ */

static const char sample[] = "it's the cat, the c\xC3\xA4t\nand <unk> the\tend 42 <|end|>\xE6\x88\xA6\n";

typedef rc_status (*vocab_writer)(const rc_vocab *, char **, size_t *, rc_error *);
typedef rc_status (*vocab_reader)(rc_vocab **, const char *, size_t, const char *, rc_error *);

static rc_status write_vocab(const char *path, const char *spec, const char *text, vocab_writer write, rc_error *e) {
    rc_vocab *v = NULL;
    char *json = NULL;
    size_t len = 0;
    rc_status s = rc_vocab_train(&v, spec, text, strlen(text), e);
    TRY(write(v, &json, &len, e));
    TRY(rc__file_write(path, json, len, e));
    if (json) rc_text_free(json, len);
    rc_vocab_free(v);
    return s;
}

static rc_status write_vocab_char(const char *path, rc_error *e) {
    return write_vocab(path, "char", "ab\xC3\xA9\n", rc_vocab_to_json, e);
}
static rc_status write_vocab_word(const char *path, rc_error *e) {
    return write_vocab(path, "word", sample, rc_vocab_to_json, e);
}
static rc_status write_vocab_bpe(const char *path, rc_error *e) {
    return write_vocab(path, "bpe:260", sample, rc_vocab_to_json, e);
}
static rc_status write_hf_char(const char *path, rc_error *e) {
    return write_vocab(path, "char", "ab\xC3\xA9\n", rc_vocab_to_hf, e);
}
static rc_status write_hf_word(const char *path, rc_error *e) {
    return write_vocab(path, "word", "the cat\n", rc_vocab_to_hf, e);
}
static rc_status write_hf_bpe(const char *path, rc_error *e) {
    return write_vocab(path, "bpe:260", sample, rc_vocab_to_hf, e);
}

/* What was read must encode a text, or say why not, and give the same text or ids again. */
static rc_status read_vocab_with(const char *path, vocab_reader read, rc_error *e) {
    char *json, *text;
    size_t len, n, m;
    int32_t *ids;
    rc_vocab *v = NULL;
    rc_status s = rc__file_read(path, false, 0, &json, &len, e);
    if (s != RC_OK) return s;
    s = read(&v, json, len, path, e);
    rc_text_free(json, len);
    if (s != RC_OK) return v ? rc_fail(e, RC_ENO, "%s: failed, and left a vocabulary", path) : s;
    if (rc_vocab_encode(v, sample, sizeof sample - 1, &ids, &n, NULL, NULL) == RC_OK) {
        for (size_t i = 0; i < n; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= rc_vocab_size(v))
                s = rc_fail(e, RC_ENO, "%s: encodes to no entry", path);
        TRY(rc_vocab_decode(v, ids, n, &text, &m, e));
        if (s == RC_OK) rc_text_free(text, m);
        rc_ids_free(ids, n);
    }
    rc_vocab_free(v);
    return s;
}

static rc_status read_vocab(const char *path, rc_error *e) { return read_vocab_with(path, rc_vocab_from_json, e); }
static rc_status read_tokenizer(const char *path, rc_error *e) { return read_vocab_with(path, rc_vocab_from_hf, e); }

/* ---- options, and the files of a run folder --------------------------------------------------------------------- */

static const char *const seed_files[] = {"a.txt", "b.txt.gz"};

static rc_status write_config(const char *path, rc_error *e) {
    rc_train_options o = rc_train_options_default();
    o.files = seed_files;
    o.n_files = 2;
    o.steps = 100;
    return rc_train_config_write(&o, path, e);
}

/* Options that were read must be within their limits: they print, and what prints can be set again. */
static rc_status read_config(const char *path, rc_error *e) {
    rc_train_config *c = NULL;
    rc_status s = rc_train_config_read(&c, path, e);
    if (s != RC_OK) return c ? rc_fail(e, RC_ENO, "%s: failed, and left a configuration", path) : s;
    const rc_train_options *o = rc_train_config_options(c);
    rc_train_options again = *o;
    size_t n;
    const rc_option *table = rc_train_option_table(&n);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        char text[64];
        if (table[i].type >= RC_OPT_STRING || rc_option_get(&table[i], o, text, sizeof text) >= sizeof text) continue;
        if (rc_option_set(&table[i], &again, text, "again", NULL) != RC_OK)
            s = rc_fail(e, RC_ENO, "%s: %s: took a value that the option does not have", path, table[i].name);
    }
    for (size_t i = 0; i < o->n_files; i++)
        if (!o->files[i]) s = rc_fail(e, RC_ENO, "%s: a file without a name", path);
    if (s == RC_OK) rc_train_check(o, NULL); /* may refuse, may not fall */
    rc_train_config_free(c);
    return s;
}

static const char seed_options[] =
    "hidden=256\nlr=2e-3\ntime=3m\ncell=gru\ntied=true\nsteps=10k\nclip=1\nfiles=adding:T=200\n"
    "schedule=cosine\nvocab=bpe:8000\n";
static rc_status write_options(const char *path, rc_error *e) {
    return rc__file_write(path, seed_options, sizeof seed_options - 1, e);
}

/* Each line as if it came from the command line, then all of them together. */
static rc_status read_options(const char *path, rc_error *e) {
    rc_train_options o = rc_train_options_default();
    size_t n, len;
    char *text;
    const rc_option *table = rc_train_option_table(&n);
    rc_status s = rc__file_read(path, false, 0, &text, &len, e);
    if (s != RC_OK) return s;
    const char *source = NULL;
    for (char *line = text; s == RC_OK && line < text + len;) {
        char *end = memchr(line, '\n', (size_t)(text + len - line)), *value = strchr(line, '=');
        if (!end) end = text + len;
        *end = 0;
        if (value && value < end) {
            *value++ = 0;
            const rc_option *option = rc_option_find(table, n, line);
            rc__source parsed;
            if (!strcmp(line, "files")) {
                source = value;
                s = rc__source_named(value) ? rc__source_parse(&parsed, value, e) : RC_OK;
            } else if (option && (option->type < RC_OPT_STRING || option->type == RC_OPT_CHOICE)) {
                s = rc_option_set(option, &o, value, line, e);
            } else if (option) {
                *(const char **)((char *)&o + option->offset) = value; /* no look at the disk for a path */
            } else {
                rc_option_suggest(table, n, line);
            }
        }
        line = end + 1;
    }
    if (source) {
        o.files = &source;
        o.n_files = 1;
    }
    rc_option_suggest(table, n, text);
    TRY(rc_train_check(&o, e));
    rc__free(text, len + 1);
    return s;
}

static const char seed_status[] =
    "{\n  \"state\": \"done\",\n  \"pid\": 12,\n  \"step\": 40,\n  \"epochs\": 0.5,\n  \"seconds\": 1.5,\n"
    "  \"best_valid_loss\": 1.625,\n  \"tokens_per_second\": 52000.5,\n  \"parameters\": 3000,\n  \"created\": "
    "1700000000.5\n}\n";
static rc_status write_status(const char *path, rc_error *e) {
    return rc__file_write(path, seed_status, sizeof seed_status - 1, e);
}

/* The folder around status.json, which is here already. */
static rc_status read_status(const char *path, rc_error *e) {
    static const char config[] = "{\"cell\": \"gru\"}\n";
    char folder[512], file[600];
    rc_run_info r = {.steps = 99};
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(file, sizeof file, "%s/checkpoints", folder);
    mkdir(file, 0777);
    snprintf(file, sizeof file, "%s/config.json", folder);
    rc_status s = rc__exists(file) ? RC_OK : rc__file_write(file, config, sizeof config - 1, e);
    if (s != RC_OK) return s;
    s = rc_run_read(folder, &r, e);
    if (s != RC_OK) return r.steps == 99 ? s : rc_fail(e, RC_ENO, "%s: failed, and changed the result", path);
    if (strcmp(r.cell, "gru") != 0 || !(r.seconds >= 0 && r.created >= 0 && r.created <= 1e12))
        return rc_fail(e, RC_ENO, "%s: read to impossible values", path);
    return RC_OK;
}

static const char seed_metrics[] = "{\"step\":10,\"loss\":2.5}\n{\"step\":20,\"loss\":2.25,\"lr\":0.002}\n"
                                   "{\"step\":20,\"valid_loss\":2.5}\n{\"step\":30,\"loss\":2}\n";
static rc_status write_metrics(const char *path, rc_error *e) {
    return rc__file_write(path, seed_metrics, sizeof seed_metrics - 1, e);
}

/* After trimming every line is one of a step up to 20, and trimming again changes nothing. */
static rc_status read_metrics(const char *path, rc_error *e) {
    char *once = NULL, *twice = NULL;
    size_t n = 0, m = 0;
    rc_status s = rc__run_trim_metrics(path, 20, e);
    TRY(rc__file_read(path, false, 0, &once, &n, e));
    TRY(rc__run_trim_metrics(path, 20, e));
    TRY(rc__file_read(path, false, 0, &twice, &m, e));
    if (s == RC_OK && (n != m || memcmp(once, twice, n) != 0))
        s = rc_fail(e, RC_ENO, "%s: trimmed twice is not once", path);
    if (s == RC_OK && n && once[n - 1] != '\n') s = rc_fail(e, RC_ENO, "%s: half a line was left", path);
    if (once) rc__free(once, n + 1);
    if (twice) rc__free(twice, m + 1);
    return s;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static rc_status write_text(const char *path, rc_error *e) {
    return rc__file_write(path, sample, sizeof sample - 1, e);
}

/* Files joined by cat have several members. */
static rc_status write_gzip(const char *path, int members, rc_error *e) {
    rc_status s = RC_OK;
    for (int member = 0; member < members; member++) {
        gzFile z = gzopen(path, member ? "ab" : "wb");
        if (!z || gzwrite(z, sample, sizeof sample - 1) <= 0) s = rc_fail(e, RC_EIO, "%s: cannot be written", path);
        if (z && gzclose(z) != Z_OK) s = rc_fail(e, RC_EIO, "%s: cannot be written", path);
    }
    return s;
}

static rc_status write_one_member(const char *path, rc_error *e) { return write_gzip(path, 1, e); }
static rc_status write_two_members(const char *path, rc_error *e) { return write_gzip(path, 2, e); }

/* Every vocabulary is learnt from the text, and gives it back. */
static rc_status learn(const char *spec, const char *path, const char *text, size_t len, rc_error *e) {
    rc_vocab *v = NULL;
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n = 0, m = 0, unknown = 0;
    rc_status s = rc_vocab_train(&v, spec, text, len, e);
    TRY(rc_vocab_encode(v, text, len, &ids, &n, &unknown, e));
    TRY(rc_vocab_decode(v, ids, n, &back, &m, e));
    if (s == RC_OK && (unknown || (strcmp(spec, "word") != 0 && (m != len || memcmp(back, text, len) != 0))))
        s = rc_fail(e, RC_ENO, "%s: a %s vocabulary made of the text does not give it back", path, spec);
    if (back) rc_text_free(back, m);
    rc_ids_free(ids, n);
    rc_vocab_free(v);
    return s;
}

static rc_status read_text(const char *path, rc_error *e) {
    char *text;
    size_t len;
    rc_status s = rc_text_read(path, &text, &len, e);
    if (s != RC_OK) return s;
    s = learn("byte", path, text, len, e);
    if (len > 1 << 16) { /* what a small gzip file may unpack to takes a while to learn */
        rc_text_free(text, len);
        return s;
    }
    TRY(rc_text_check_utf8(path, text, len, e));
    TRY(learn("char", path, text, len, e));
    TRY(learn("bpe:280", path, text, len, e));
    if (!memchr(text, 0, len)) TRY(learn("word", path, text, len, e));
    rc_text_free(text, len);
    return s;
}

/* ---- data files -------------------------------------------------------------------------------------------------- */

#define SEED(name, text)                                           \
    static rc_status write_##name(const char *path, rc_error *e) { \
        return rc__file_write(path, text, sizeof text - 1, e);     \
    }

SEED(csv, "\xEF\xBB\xBF"
          "date,v,text\r\n2016-07-01,1.5,\"a, \"\"b\"\"\nc\"\r\n2016-07-02,NA,\xC3\xA4\r\n2016-07-04,-2e3,\r\n")
SEED(jsonl, "{\"t\": \"a\\u00e4\", \"n\": 0.1}\n{\"n\": null}\n")
SEED(slashes, "# by hand\n31/7/2016 1:05\t7\n1/8/2016 1:05\t8\n")

/* The same rows again as a stream. */
static rc_status stream_rows(const char *path, const rc__table *t, rc_error *e) {
    FILE *f = fopen(path, "rb");
    rc__source *src = NULL;
    rc__rows *rows = NULL;
    const rc__cell *row = NULL;
    rc_status s = f ? rc__source_stream(&src, f, path, 0, e) : rc_fail(e, RC_EIO, "%s: is gone", path);
    TRY(rc__rows_open(&rows, src, NULL, e));
    if (s == RC_OK && rc__rows_columns(rows) != rc__rows_columns(rc__table_rows(t))) rows = (rc__rows_free(rows), NULL);
    for (size_t n = 0; s == RC_OK && rows; n++) { /* one line shows less than the head of a file: columns may differ */
        s = rc__rows_next(rows, &row, e);
        if (!row) break;
        for (size_t i = 0; i < rc__rows_columns(rows); i++)
            if (row[i].len && memchr(row[i].text, 0, row[i].len)) s = rc_fail(e, RC_ENO, "%s: a cell with a 0", path);
    }
    rc__rows_free(rows);
    rc__source_free(src);
    if (f) fclose(f);
    return s == RC_EDATA ? RC_OK : s;
}

static rc_status use_times(const rc__table *t, const char *path, size_t col, rc_error *e) {
    size_t n = rc__table_n_rows(t), bytes = n * sizeof(int64_t);
    int64_t *at = rc__alloc(bytes);
    rc__time_style style;
    rc__frequency f;
    char text[64];
    if (!at) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = rc__time_column(rc__table_row(t, 0) + col, rc__rows_columns(rc__table_rows(t)), n, rc__table_lines(t),
                                  path, RC_DATE_INDEX, &style, at, e);
    TRY(rc__time_check_order(at, n, rc__table_lines(t), &style, path, e));
    TRY(rc__time_frequency(at, n, &style, path, &f, e));
    if (s == RC_OK) rc__time_text(rc__time_step(at[n - 1], &f, 3), &style, text);
    rc__free(at, bytes);
    return s;
}

static rc_status read_table(const char *path, rc_error *e) {
    rc__table *t;
    rc_status s = rc__table_read(&t, path, NULL, e);
    if (s != RC_OK) return t ? rc_fail(e, RC_ENO, "%s: failed, and left a table", path) : s;
    size_t cols = rc__rows_columns(rc__table_rows(t)), found;
    rc__column_kind kind = RC_COLUMN_TEXT;
    for (size_t i = 0; s == RC_OK && i < rc__table_n_rows(t) * cols; i++) {
        double x;
        if (i < cols) kind = rc__table_column_kind(t, i, NULL);
        if (rc__table_column_kind(t, i % cols, NULL) == RC_COLUMN_NUMBER)
            s = rc__table_real(t, i / cols, i % cols, &x, e);
        if (i < cols && kind == RC_COLUMN_TIME) s = use_times(t, path, i, e);
    }
    TRY(rc__rows_find(rc__table_rows(t), "1", &found, e));
    TRY(stream_rows(path, t, e));
    rc__table_free(t);
    return s;
}

SEED(labelled_tabs, "ham\tOk, \"lar\nspam\tFree\nham\tU dun\r\n")
SEED(labelled_json, "{\"text\": \"a\\n\", \"labels\": [\"x\", \"y\"]}\n{\"labels\": 3, \"text\": \"\"}\n")
SEED(labelled_fasttext, "__label__a __label__b how to\n__label__c fry\n")
SEED(labelled_first, "1 a , b\n0 c\n")

/* Whole, and without labels as a stream, where more is taken. */
static rc_status read_labelled(const char *path, rc_error *e) {
    rc__labelled *l;
    rc_status s = rc__labelled_read(&l, path, NULL, e);
    if (s != RC_OK) {
        if (l) return rc_fail(e, RC_ENO, "%s: failed, and left texts", path);
    } else {
        for (size_t i = 0; i < l->n_rows; i++)
            if (l->rows[i].n_labels == 0 || l->labels[l->rows[i].first] >= l->names.count)
                s = rc_fail(e, RC_ENO, "%s: a text without a label", path);
        rc__labelled_free(l);
    }
    FILE *f = fopen(path, "rb");
    rc__source *src = NULL;
    rc__labelled_reader *r = NULL;
    rc__record record;
    rc_error why;
    bool more = true;
    rc_status t = f ? rc__source_stream(&src, f, path, 0, &why) : RC_EIO;
    if (t == RC_OK) t = rc__labelled_open(&r, src, &(rc__labelled_options){.unlabelled = true}, &why);
    while (t == RC_OK && more) t = rc__labelled_next(r, &record, &more, &why);
    rc__labelled_close(r);
    rc__source_free(src);
    if (f) fclose(f);
    return t == RC_OK || t == RC_EDATA ? s : rc_fail(e, RC_ENO, "%s", why.text);
}

SEED(pairs_tabs, "a b\tx\n\"c\ty\r\n")
SEED(pairs_jsonl, "{\"source\": [\"a\", \"b\\n\"], \"target\": [\"x\", \"y\"]}\n{\"target\": \"\", \"source\": null}\n")
SEED(pairs_json, "{\"conversations\": [[\"a\", {\"text\": \"b\"}], [\"c\", \"d\", \"e\"]]}")
SEED(pairs_talk, "hi\nyes\n\n\nhi\nno\nwhy\n")
#ifdef RC_HAVE_YAML
SEED(pairs_yaml, "conversations:\n- - a\n  - |\n    b\n- [c, \"d: e\", 5]\n- none\n")
#endif

static rc_status use_pairs(const char *path, const rc__pairs_options *o, rc_error *e) {
    rc__pairs *p;
    size_t common = 0, empty = 0, letters = 0;
    char format[16], source[128], target[128];
    rc_status s = rc__pairs_read(&p, path, NULL, o, e);
    if (s != RC_OK) return p ? rc_fail(e, RC_ENO, "%s: failed, and left pairs", path) : s;
    for (size_t i = 0; i < p->n; i++) {
        const rc__pair *one = &p->pair[i];
        empty += rc__pair_empty(one->source);
        for (size_t k = 0; k < one->source.len; k++) letters += one->source.text[k] != 0;
        for (size_t k = 0; k < one->target.len; k++) letters += one->target.text[k] != 0;
        for (size_t k = 0; k < one->n_others; k++) letters += one->others[k].len && one->others[k].text[0];
    }
    rc__pairs_form(p->reader, format, source, target);
    s = rc__pairs_common(p->pair, p->n, p->pair, p->n, &common, e);
    if (s == RC_OK && (common != p->n || empty != p->empty_sources || letters > SIZE_MAX / 2))
        s = rc_fail(e, RC_ENO, "%s: pairs are lost", path);
    rc__pairs_free(p);
    return s;
}

/* As pairs, as conversations, and as a stream of sources. */
static rc_status read_pairs(const char *path, rc_error *e) {
    rc_error why;
    rc_status s = use_pairs(path, NULL, e), t = use_pairs(path, &(rc__pairs_options){.conversations = true, .history = 2}, &why);
    if (t == RC_ENO) return rc_fail(e, t, "%s", why.text);
    if (s == RC_EDATA && t == RC_OK) s = RC_OK;
    FILE *f = fopen(path, "rb");
    rc__source *src = NULL;
    rc__pairs_reader *r = NULL;
    rc__pair pair;
    bool more = true;
    t = f ? rc__source_stream(&src, f, path, 0, &why) : RC_EIO;
    if (t == RC_OK) t = rc__pairs_open(&r, src, NULL, &(rc__pairs_options){.unlabelled = true}, &why);
    while (t == RC_OK && more) t = rc__pairs_next(r, &pair, &more, &why);
    rc__pairs_close(r);
    rc__source_free(src);
    if (f) fclose(f);
    return t == RC_OK || t == RC_EDATA ? s : rc_fail(e, RC_ENO, "%s", why.text);
}

SEED(stories_babi, "1 Ann went home.\n2 Where is Ann? \thome\t1\n3 Bob, too.\n4 Who?\tann,bob\t1 3\n1 Is it?\tno\n")
SEED(stories_json, "{\"story\": [\"a b.\", \"c\"], \"question\": \"d?\", \"answer\": [\"e\", \"f\"]}\n")
SEED(stories_plain, "Ann went home.\nWhere is Ann?\thome\n\nBob left.\nWho left?\tbob\n")

static rc_status read_some_stories(const char *path, bool stream, rc_error *e) {
    FILE *f = stream ? fopen(path, "rb") : NULL;
    rc__source *src = NULL;
    rc__stories_reader *r = NULL;
    bool more = true;
    rc_status s = stream ? (f ? rc__source_stream(&src, f, path, 0, e) : rc_fail(e, RC_EIO, "%s", path)) : rc__source_open(&src, path, e);
    TRY(rc__stories_open(&r, src, &(rc__stories_options){.answers = !stream}, e));
    for (int32_t told = 0; s == RC_OK && more;) {
        rc__story_line l;
        s = rc__stories_next(r, &l, &more, e);
        if (s != RC_OK || !more) break;
        if (l.begins) told = 0;
        for (size_t i = 0; i < l.n_support; i++)
            if (l.support[i] < 0 || l.support[i] >= told) s = rc_fail(e, RC_ENO, "%s: support by a sentence that was not told", path);
        if (l.text.len == 0) s = rc_fail(e, RC_ENO, "%s: a line of nothing", path);
        told += !l.question;
    }
    rc__stories_close(r);
    rc__source_free(src);
    if (f) fclose(f);
    return s;
}

static rc_status read_stories(const char *path, rc_error *e) {
    rc_error why;
    rc_status s = read_some_stories(path, false, e), t = read_some_stories(path, true, &why);
    return t == RC_OK || t == RC_EDATA || t == s ? s : rc_fail(e, RC_ENO, "%s", why.text);
}

SEED(conllu, "# x\n1-2\tab\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tX\t_\t_\t0\tr\t_\t_\n2\tb\tb\tY\t_\t_\t1\to\t_\t_\n\n")
SEED(conll_columns, "-DOCSTART- O\n\nEU B-x\n# I-x\n\nb O\n")
SEED(conll_json, "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"X\", 3], \"intent\": \"I\"}\n")
SEED(conll_snips,
     "{\"A\": [{\"data\": [{\"text\": \"(\"}, {\"text\": \"x y\", \"entity\": \"e\"}, {\"text\": \".\"}]}]}")

static rc_status read_conll(const char *path, rc_error *e) {
    rc__sentences *l;
    rc_status s = rc__conll_read(&l, path, NULL, e);
    if (s != RC_OK) {
        if (l) return rc_fail(e, RC_ENO, "%s: failed, and left sentences", path);
    } else {
        size_t words = 0;
        for (size_t i = 0; i < l->n; words += l->at[i++].n)
            for (size_t k = 0; k < l->at[i].n; k++)
                if (l->at[i].words[k].len == 0 || (l->at[i].tags && l->at[i].tags[k].len == 0))
                    s = rc_fail(e, RC_ENO, "%s: a word or a tag of nothing", path);
        if (words != l->n_words) s = rc_fail(e, RC_ENO, "%s: words are lost", path);
        rc__conll_free(l);
    }
    FILE *f = fopen(path, "rb");
    rc__source *src = NULL;
    rc__conll_reader *r = NULL;
    rc__sentence sentence;
    rc_error why;
    bool more = true;
    rc_status t = f ? rc__source_stream(&src, f, path, 0, &why) : RC_EIO;
    if (t == RC_OK) t = rc__conll_open(&r, src, &(rc__conll_options){.untagged = true}, &why);
    while (t == RC_OK && more) t = rc__conll_next(r, &sentence, &more, &why);
    rc__conll_close(r);
    rc__source_free(src);
    if (f) fclose(f);
    return t == RC_OK || t == RC_EDATA ? s : rc_fail(e, RC_ENO, "%s", why.text);
}

SEED(ts, "#c\n@univariate false\n@missing true\n@classLabel true a b\n@data\n1,?:-2,.5:a\n3:4e1:b\n")
SEED(ucr, "2\t1.5\t-2\n1\tNaN\t3\n")

static rc_status read_ts(const char *path, rc_error *e) {
    rc__ts_set *set;
    rc_status s = rc__ts_read(&set, path, false, e);
    if (s != RC_OK) return set ? rc_fail(e, RC_ENO, "%s: failed, and left series", path) : s;
    size_t total = 0;
    for (size_t i = 0; i < set->n; i++) {
        const rc__ts_series *one = &set->at[i];
        if (set->kind == RC_TS_CLASSES && one->label >= set->classes.count)
            s = rc_fail(e, RC_ENO, "%s: a series without a class", path);
        for (size_t k = 0; k < one->len * set->n_channels; k++)
            if (isinf(one->values[k])) s = rc_fail(e, RC_ENO, "%s: an infinite value", path);
        total += one->len * set->n_channels;
    }
    if (total != set->block_len) s = rc_fail(e, RC_ENO, "%s: values are lost", path);
    rc__ts_free(set);
    return s;
}

SEED(word2vec, "2 3\nthe 1 2 3.5\ncat -1 0 1e-2\n")
SEED(glove, "the 1 2 3.5\n. . -1 0 1e-2\n")

static int64_t find_the(void *ctx, const char *word, size_t len) {
    (void)ctx;
    return len == 3 && memcmp(word, "the", 3) == 0 ? 1 : -1;
}

static rc_status read_vectors(const char *path, rc_error *e) {
    rc_real rows[6] = {0};
    bool found[2] = {0};
    rc__vectors_report report;
    rc_status s = rc__vectors_fill(path, find_the, NULL, 2, 3, rows, found, &report, e);
    for (size_t i = 0; i < 6; i++)
        if (!isfinite(rows[i]) || (i < 3 && rows[i] != 0)) return rc_fail(e, RC_ENO, "%s: a row that is none", path);
    return s;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define ANY SIZE_MAX
const reader readers[] = {
    {"safetensors", "types", "a.safetensors", write_safetensors, read_tensors, 0, 0, 1},
    {"model", "char", "model.safetensors", write_char_model, read_model, 0, 0, 1},
    {"model", "word", "model.safetensors", write_word_model, read_model, 0, 0, 1},
    {"tagger", "crf", "model.safetensors", write_tagger, read_tagger, 0, 0, 1},
    {"answerer", "memory", "model.safetensors", write_answerer_memory, read_answerer, 0, 0, 1},
    {"answerer", "query", "model.safetensors", write_answerer_query, read_answerer, 0, 0, 1},
    {"answerer", "entity", "model.safetensors", write_answerer_entity, read_answerer, 0, 0, 1},
    {"answerer", "reader", "model.safetensors", write_answerer_reader, read_answerer, 0, 0, 1},
    {"classifier", "words", "model.safetensors", write_words, read_classifier, 0, 0, 1},
    {"classifier", "several", "model.safetensors", write_several, read_classifier, 0, 0, 1},
    {"classifier", "numbers", "model.safetensors", write_numbers, read_classifier, 0, 0, 1},
    {"classifier", "targets", "model.safetensors", write_targets, read_classifier, 0, 0, 1},
    {"forecaster", "direct", "forecaster.safetensors", write_forecaster_direct, read_forecaster, 0, 0, 1},
    {"forecaster", "es-rnn", "forecaster.safetensors", write_forecaster_esrnn, read_forecaster, 0, 0, 1},
    {"forecaster", "deepar", "forecaster.safetensors", write_forecaster_deepar, read_forecaster, 0, 0, 1},
    {"writer", "translate", "model.safetensors", write_translator, read_writer, 0, 0, 1},
    {"writer", "summarize", "model.safetensors", write_apart, read_writer, 0, 0, 1},
    {"writer", "chat", "model.safetensors", write_chat, read_writer, 0, 0, 1},
    {"series", "long", "series.csv", write_series, read_series, SIZE_MAX, 0, 1},
    {"state", "lstm", "state.safetensors", write_state, read_state, 0, 0, 1},
    {"detector", "forecast", "model.safetensors", write_detector, read_detector, 0, 0, 1},
    {"detector", "autoencoder", "model.safetensors", write_autoencoder, read_detector, 0, 0, 1},
    {"detector-state", "online", "state.safetensors", write_detector_state, read_detector_state, 0, 0, 1},
    {"checkpoint", "adam", "step-00000040.safetensors", write_checkpoint, read_checkpoint, 0, 0, 1},
    {"vocabulary", "char", "vocab.json", write_vocab_char, read_vocab, 0, 0, 1},
    {"vocabulary", "word", "vocab.json", write_vocab_word, read_vocab, 0, 0, 1},
    {"vocabulary", "bpe", "vocab.json", write_vocab_bpe, read_vocab, 0, 0, 1},
    {"tokenizer", "char", "tokenizer.json", write_hf_char, read_tokenizer, 0, 0, 1},
    {"tokenizer", "word", "tokenizer.json", write_hf_word, read_tokenizer, 0, 0, 1},
    {"tokenizer", "bpe", "tokenizer.json", write_hf_bpe, read_tokenizer, 0, 0, 1},
    {"config", "all", "config.json", write_config, read_config, 0, 1, 1},
    {"status", "done", "status.json", write_status, read_status, 0, 1, 1},
    {"metrics", "lines", "metrics.jsonl", write_metrics, read_metrics, ANY, 0, 1},
    {"options", "lines", "options.txt", write_options, read_options, ANY, 0, 1},
    {"table", "csv", "a.csv", write_csv, read_table, ANY, 0, 1},
    {"table", "jsonl", "a.jsonl", write_jsonl, read_table, ANY, 0, 1},
    {"table", "slashes", "a.txt", write_slashes, read_table, ANY, 0, 1},
    {"labelled", "tabs", "a.txt", write_labelled_tabs, read_labelled, ANY, 0, 1},
    {"labelled", "jsonl", "a.txt", write_labelled_json, read_labelled, ANY, 0, 1},
    {"labelled", "fasttext", "a.txt", write_labelled_fasttext, read_labelled, ANY, 0, 1},
    {"labelled", "label-first", "a.txt", write_labelled_first, read_labelled, ANY, 0, 1},
    {"pairs", "tabs", "a.txt", write_pairs_tabs, read_pairs, ANY, 0, 1},
    {"pairs", "jsonl", "a.txt", write_pairs_jsonl, read_pairs, ANY, 0, 1},
    {"pairs", "json", "a.txt", write_pairs_json, read_pairs, ANY, 0, 1},
    {"pairs", "conversations", "a.txt", write_pairs_talk, read_pairs, ANY, 0, 1},
#ifdef RC_HAVE_YAML
    {"yaml", "conversations", "a.yml", write_pairs_yaml, read_pairs, ANY, 0, 1},
#endif
    {"conll", "conllu", "a.conllu", write_conllu, read_conll, ANY, 0, 1},
    {"conll", "columns", "a.conllu", write_conll_columns, read_conll, ANY, 0, 1},
    {"conll", "jsonl", "a.conllu", write_conll_json, read_conll, 0, 1, 1},
    {"conll", "snips", "a.conllu", write_conll_snips, read_conll, 0, 0, 1},
    {"stories", "babi", "a.txt", write_stories_babi, read_stories, ANY, 0, 1},
    {"stories", "jsonl", "a.txt", write_stories_json, read_stories, ANY, 0, 1},
    {"stories", "plain", "a.txt", write_stories_plain, read_stories, ANY, 0, 1},
    {"series", "ts", "a.ts", write_ts, read_ts, ANY, 0, 1},
    {"series", "ucr", "a.ts", write_ucr, read_ts, ANY, 0, 1},
    {"vectors", "word2vec", "a.vec", write_word2vec, read_vectors, ANY, 0, 1},
    {"vectors", "glove", "a.vec", write_glove, read_vectors, ANY, 0, 1},
    {"text", "lines", "text.txt", write_text, read_text, ANY, 0, 1},
    {"gzip", "member", "text.gz", write_one_member, read_text, 2, 0, 1032},
    {"gzip", "members", "text.gz", write_two_members, read_text, ANY, 0, 1032}, /* the first alone is a file too */
};
const size_t n_readers = sizeof readers / sizeof *readers;

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static char folder[64], message[1400];
static double worst;
static size_t worst_bytes;

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fprintf(stderr, "%s is left behind\n", folder);
}

static bool file_path(const reader *r, char *path, size_t cap) {
    if (!folder[0]) {
        const char *fast =
            access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* memory, where there is such a folder */
        snprintf(folder, sizeof folder, "%s/recur-readers-XXXXXX", fast);
        if (!mkdtemp(folder)) {
            perror(folder);
            folder[0] = 0;
            return false;
        }
        atexit(remove_folder);
    }
    snprintf(path, cap, "%s/%s", folder, r->name); /* one for each, since some look at the files around theirs */
    mkdir(path, 0777);
    snprintf(path, cap, "%s/%s/%s", folder, r->name, r->file);
    return true;
}

static bool put_file(const char *path, const void *data, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool ok = fd >= 0 && write(fd, data, len) == (ssize_t)len;
    if (fd >= 0) close(fd);
    return ok;
}

unsigned char *reader_seed(const reader *r, size_t *len) {
    char path[256], *data;
    rc_error e = {0};
    if (!file_path(r, path, sizeof path)) return NULL;
    rc_status s = r->write(path, &e);
    TRY(rc__file_read(path, false, 0, &data, len, &e));
    if (s != RC_OK) {
        fprintf(stderr, "%s %s: no seed: %s\n", r->name, r->seed, e.text);
        return NULL;
    }
    unsigned char *copy = malloc(*len + 1);
    if (copy) memcpy(copy, data, *len + 1);
    rc__free(data, *len + 1);
    return copy;
}

static const char *look(const reader *r, rc_status s, const rc_error *e, const char *path, size_t len) {
    if (memory.refused) {
        snprintf(message, sizeof message, "more memory than the %zu bytes allowed for a file of %zu: %.800s",
                 READER_MEMORY(r, len), len, e->text);
        return message;
    }
    if (memory.now) {
        snprintf(message, sizeof message, "%zu bytes were left behind", memory.now);
        return message;
    }
    if (s == RC_OK) return NULL;
    snprintf(message, sizeof message, "%s: %.1000s", rc_status_name(s), e->text);
    if (s != RC_EMODEL && s != RC_EDATA && s != RC_EINVAL) return message;
    for (const char *p = e->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return message;
    /* Options and vocabularies learnt from a text name the option, or the place in the text. */
    bool names =
        strstr(e->text, path) || r->read == read_options || (r->read == read_text && s == RC_EDATA && e->text[0]);
    return names ? NULL : message;
}

const char *reader_run(const reader *r, const void *data, size_t len, rc_status *s, rc_error *e) {
    char path[256];
    if (!file_path(r, path, sizeof path) || !put_file(path, data, len)) return "the file cannot be written";
    *e = (rc_error){0};
    watch(READER_MEMORY(r, len));
    *s = r->read(path, e);
    unwatch();
    double share = (double)memory.top / (double)READER_MEMORY(r, len);
    if (share > worst) {
        worst = share;
        worst_bytes = memory.top;
    }
    return look(r, *s, e, path, len);
}

double reader_memory_share(size_t *bytes) {
    if (bytes) *bytes = worst_bytes;
    return worst;
}
