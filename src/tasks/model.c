/* model.c - trained models of every task but lm, by the table of their task. */
#include "base/json.h"
#include "base/mem.h"
#include "recur/text.h"
#include "tasks/data_options.h"
#include "tasks/search_options.h"
#include "tasks/task.h"
#include <stdio.h>
#include <string.h>

#define DATA(field) offsetof(rc_data_options, field)
static const rc_option data_table[] = {RC_DATA_OPTIONS(DATA)};
const rc_option *rc_data_option_table(size_t *n) {
    *n = sizeof data_table / sizeof *data_table;
    return data_table;
}

#define SEARCH(field) offsetof(rc_search_options, field)
static const rc_option search_table[] = {RC_SEARCH_OPTIONS(SEARCH)};
const rc_option *rc_search_option_table(size_t *n) {
    *n = sizeof search_table / sizeof *search_table;
    return search_table;
}

#define EVAL(field) offsetof(rc_eval_options, field)
#define SEARCH_EVAL(field) offsetof(rc_eval_options, search.field)
static const rc_option eval_table[] = {
    {"batch", 0, RC_OPT_INT, EVAL(batch), 1, 65536, NULL, "N", "Results", "sequences at once"},
    {"start", 0, RC_OPT_INT, EVAL(start), -1e15, 1e15, NULL, "N", "Results",
     "forecast: step from which on is forecast, from 1; -N = the last N; 0 = as soon as there is a lookback"},
    {"stride", 0, RC_OPT_INT, EVAL(stride), 1, 1e9, NULL, "N", "Results", "forecast: steps from one forecast to the next"},
    {"details", 0, RC_OPT_BOOL, EVAL(details), 0, 0, NULL, NULL, "Results", "tables of each class, type or series"},
    {"online", 0, RC_OPT_BOOL, EVAL(online), 0, 0, NULL, NULL, "Results",
     "detect: go on learning from the rows, each after it was scored"},
    {"labels", 0, RC_OPT_PATH_IN, EVAL(labels), 0, 0, NULL, "FILE", "Results",
     "detect: JSON of windows by file name, as in NAB"},
    {"reference", 0, RC_OPT_PATH_IN, EVAL(reference), 0, 0, NULL, "FILE", "Results",
     "translate, summarize, chat: the targets, where they are a second file (or the word after FILE)"},
    {"bleu-tokenizer", 0, RC_OPT_CHOICE, EVAL(bleu_tokenizer), 0, 0, "13a intl char none", "KIND", "Results",
     "translate, summarize, chat: how BLEU cuts words, as in sacrebleu"},
    {"lowercase-scores", 0, RC_OPT_BOOL, EVAL(lowercase_scores), 0, 0, NULL, NULL, "Results",
     "translate, summarize, chat: scores in lower case; so anyway when the model writes lower case"},
    {"tokenized", 0, RC_OPT_BOOL, EVAL(tokenized), 0, 0, NULL, NULL, "Results",
     "translate, summarize, chat: BLEU of lower-case text cut by Moses' rules"},
    {"stemmer", 0, RC_OPT_BOOL, EVAL(stemmer), 0, 0, NULL, NULL, "Results",
     "translate, summarize, chat: ROUGE on Porter's stems"},
    {"strategies", 0, RC_OPT_STRING, EVAL(strategies), 0, 0, NULL, "LIST", "Results",
     "translate, summarize, chat: side by side: greedy, beamN, diverseN, sample, top-kN, top-pX"},
    RC_SEARCH_OPTIONS(SEARCH_EVAL)
};
const rc_option *rc_eval_option_table(size_t *n) {
    *n = sizeof eval_table / sizeof *eval_table;
    return eval_table;
}

#define PREDICT(field) offsetof(rc_predict_options, field)
#define SEARCH_PREDICT(field) offsetof(rc_predict_options, search.field)
static const rc_option predict_table[] = {
    {"batch", 0, RC_OPT_INT, PREDICT(batch), 1, 65536, NULL, "N", "Results", "sequences at once"},
    {"csv", 0, RC_OPT_BOOL, PREDICT(csv), 0, 0, NULL, NULL, "Results", "comma separated values with a heading"},
    {"horizon", 0, RC_OPT_INT, PREDICT(horizon), 0, 1e6, NULL, "N", "Results", "forecast: steps; 0 = as trained"},
    {"threshold", 0, RC_OPT_REAL, PREDICT(threshold), -1, 1e9, NULL, "X", "Results",
     "several labels: probability that is enough; detect: score of an alarm; -1 = the model's"},
    {"observe", 0, RC_OPT_PATH_IN, PREDICT(observe), 0, 0, NULL, "FILE", "Results",
     "forecast: values that have come since, to forecast on from"},
    {"svg", 0, RC_OPT_PATH_OUT, PREDICT(svg), 0, 0, NULL, "FILE", "Results", "forecast, detect, translate, summarize, chat: draw it"},
    {"state", 0, RC_OPT_STRING, PREDICT(state), 0, 0, NULL, "FILE", "Results",
     "detect: go on from this state, and write it at the end"},
    {"online", 0, RC_OPT_BOOL, PREDICT(online), 0, 0, NULL, NULL, "Results",
     "detect: go on learning from the rows, each after it was scored"},
    {"alarms", 0, RC_OPT_BOOL, PREDICT(alarms), 0, 0, NULL, NULL, "Results", "detect: alarms alone"},
    {"lenient", 0, RC_OPT_BOOL, PREDICT(lenient), 0, 0, NULL, NULL, "Results",
     "detect: what is no number is missing, lines of another length are left out"},
    {"save-every", 0, RC_OPT_INT, PREDICT(save_every), 0, 1e9, NULL, "N", "Results",
     "detect: write the state every N rows too"},
    {"replace-unknown", 0, RC_OPT_BOOL, PREDICT(replace_unknown), 0, 0, NULL, NULL, "Results",
     "translate, summarize, chat: <unk> becomes the word of the source that was looked at"},
    {"alignments", 0, RC_OPT_CHOICE, PREDICT(alignments), 0, 0, "none text svg html", "KIND", "Results",
     "translate, summarize, chat: what was looked at; svg and html go to --svg FILE"},
    RC_SEARCH_OPTIONS(SEARCH_PREDICT)
};
const rc_option *rc_predict_option_table(size_t *n) {
    *n = sizeof predict_table / sizeof *predict_table;
    return predict_table;
}

rc_search_options rc_search_options_default(void) {
    rc_sampler_options p = rc_sampler_options_default();
    return (rc_search_options){.nbest = 1,
                               .min_length = -1,
                               .length_norm = "model",
                               .length_penalty = -1,
                               .coverage_penalty = -1,
                               .patience = -1,
                               .groups = 1,
                               .diversity = 0.5,
                               .no_repeat = -1,
                               .temperature = 1,
                               .top_p = 1,
                               .repetition_penalty = 1,
                               .repetition_window = (int64_t)p.repetition_window,
                               .seed = 1,
                               .prefix = "",
                               .with = ""};
}

rc_eval_options rc_eval_options_default(void) {
    return (rc_eval_options){.batch = 64,
                             .details = true,
                             .stride = 1,
                             .bleu_tokenizer = "13a",
                             .stemmer = true,
                             .search = rc_search_options_default()};
}

rc_predict_options rc_predict_options_default(void) {
    return (rc_predict_options){.batch = 64,
                                .top_k = 1,
                                .samples = 100,
                                .seed = 1,
                                .threshold = -1,
                                .alignments = "none",
                                .search = rc_search_options_default()};
}

rc_status rc_model_task_of(const char *path, char *task, size_t cap, rc_error *e) {
    rc__st_file *file;
    json_t *doc = NULL;
    const char *name = NULL;
    char where[600];
    rc_status s = rc__st_open(&file, path, e);
    if (s != RC_OK) return s;
    s = rc__model_document(file, &doc, &name, where, sizeof where, e);
    if (s == RC_OK && !rc__task_find(name))
        s = rc_fail(e, RC_EMODEL, "%s: a model for \"%s\", which this recur (%s) does not know", path, name, rc_version());
    if (s == RC_OK) snprintf(task, cap, "%s", name);
    json_decref(doc);
    rc__st_close(file);
    return s;
}

static rc_status read_provenance(rc_model *m, const json_t *doc, const char *where, rc_error *e) {
    json_t *obj = NULL;
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__json_get_object(doc, "provenance", RC_JSON_OPTIONAL, &obj, where, e);
    if (s != RC_OK || !obj) return s;
    s = rc__json_print(obj, &text, &len, e);
    if (s != RC_OK) return s;
    m->provenance = rc__strdup(text);
    rc__free(text, len + 1);
    return m->provenance ? RC_OK : rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
}

rc_status rc_model_load(rc_model **out, const char *path, rc_error *e) {
    rc__st_file *file;
    json_t *doc = NULL;
    const char *task = NULL;
    char where[600];
    rc_model *m = NULL;
    *out = NULL;
    rc_status s = rc__st_open(&file, path, e);
    if (s != RC_OK) return s;
    s = rc__model_document(file, &doc, &task, where, sizeof where, e);
    const rc__task_kind *kind = s == RC_OK ? rc__task_find(task) : NULL;
    if (s == RC_OK && !kind)
        s = rc_fail(e, RC_EMODEL, "%s: a model for \"%s\", which this recur (%s) does not know", path, task, rc_version());
    if (s == RC_OK && !kind->open)
        s = rc_fail(e, RC_EMODEL, "%s: %s, which is loaded in its own way", path, kind->title);
    if (s == RC_OK) s = kind->open(&m, file, doc, where, e);
    if (s == RC_OK) {
        m->kind = kind;
        s = read_provenance(m, doc, where, e);
    }
    json_decref(doc);
    rc__st_close(file);
    if (s != RC_OK) return rc_model_free(m), s;
    *out = m;
    return RC_OK;
}

void rc_model_free(rc_model *m) {
    if (!m) return;
    rc__strfree(m->provenance);
    m->provenance = NULL;
    m->kind->model.free(m);
}

const char *rc_model_task(const rc_model *m) { return m->kind->name; }
const char *rc_model_provenance(const rc_model *m) { return m->provenance ? m->provenance : "{}"; }
rc_params *rc_model_params(const rc_model *m) { return m->params; }

rc_status rc_model_save(const rc_model *m, const char *path, const char *provenance_json, rc_error *e) {
    return rc__model_save(m, path, provenance_json, e);
}

rc_status rc_model_eval(rc_model *m, const char *path, const rc_eval_options *o, char **json, size_t *len, rc_error *e) {
    rc_eval_options plain = rc_eval_options_default();
    *json = NULL;
    *len = 0;
    json_t *out = json_object();
    rc_status s = out ? m->kind->model.eval(m, path, o ? o : &plain, out, e) : rc_fail(e, RC_ENOMEM, "eval: out of memory");
    if (s == RC_OK) s = rc__json_print(out, json, len, e);
    json_decref(out);
    return s;
}

rc_status rc_model_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                           rc_error *e) {
    rc_predict_options plain = rc_predict_options_default();
    return m->kind->model.predict(m, path, o ? o : &plain, sink, e);
}

rc_status rc_model_reasons(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                           rc_error *e) {
    rc_predict_options plain = rc_predict_options_default();
    if (!m->kind->model.reasons)
        return rc_fail(e, RC_EINVAL, "%s cannot say what mattered in its input", m->kind->title);
    return m->kind->model.reasons(m, path, o ? o : &plain, sink, e);
}

size_t rc_model_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap) {
    if (m->kind->model.explain) return m->kind->model.explain(m, batch, seq_len, out, cap);
    if (cap) out[0] = 0;
    return 0;
}

rc_status rc__sink_json(const rc_sink *sink, json_t *v, rc_error *e) {
    char *text = NULL;
    size_t len = 0;
    rc_status s = rc__json_print(v, &text, &len, e);
    json_decref(v);
    if (s != RC_OK) return s;
    s = sink->line(sink->ctx, text, len);
    rc__free(text, len + 1);
    return s == RC_OK || s == RC_ESTOP ? s : rc_fail(e, s, "predict: the results cannot be written");
}

rc_status rc__sink_text(const rc_sink *sink, rc__string *b, rc_error *e) {
    if (b->failed) return rc_fail(e, RC_ENOMEM, "out of memory for a line of results");
    rc_status s = sink->line(sink->ctx, b->s ? b->s : "", b->len);
    b->len = 0;
    return s == RC_OK || s == RC_ESTOP ? s : rc_fail(e, s, "predict: the results cannot be written");
}
