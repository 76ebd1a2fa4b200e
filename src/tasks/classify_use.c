/* classify_use.c - trained classifiers and regressors: scores, answers, reasons. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/batches.h"
#include "data/labelled.h"
#include "metrics/classify.h"
#include "tasks/classify.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALIBRATION_BINS 15

/* ---- running ----------------------------------------------------------------------------------------------------- */

rc_var *rc__classifier_loss(rc_tape *t, const rc__classifier *m, rc_var *logits, const rc__example_batch *b,
                            double smoothing, const rc_real *class_weights) {
    rc_loss_options lo = rc_loss_options_default();
    if (m->answer == RC__ANSWER_CLASS) {
        lo.label_smoothing = smoothing;
        lo.class_weights = class_weights;
        return rc_cross_entropy(t, logits, b->label, &lo);
    }
    if (m->answer == RC__ANSWER_CLASSES) return rc_bce_logits(t, logits, b->several, &lo);
    return rc_mse(t, rc_reshape(t, logits, 1, &b->n), b->target, &lo);
}

static size_t answered(const rc__classifier *m, const rc__example_batch *b) {
    size_t n = 0;
    for (size_t r = 0; r < b->n; r++)
        n += m->answer == RC__ANSWER_CLASS ? b->label[r] >= 0 : m->answer == RC__ANSWER_NUMBER ? !isnan((double)b->target[r]) : 1;
    return n;
}

static void probabilities(const rc__classifier *m, const rc_real *z, double *out) {
    size_t C = m->outputs;
    double most = -INFINITY, sum = 0;
    if (m->answer == RC__ANSWER_NUMBER) {
        out[0] = m->target_mean + m->target_scale * (double)z[0];
        return;
    }
    for (size_t c = 0; c < C; c++) most = fmax(most, (double)z[c]);
    for (size_t c = 0; c < C; c++) {
        out[c] = m->answer == RC__ANSWER_CLASS ? exp((double)z[c] - most) : 1 / (1 + exp(-(double)z[c]));
        sum += out[c];
    }
    for (size_t c = 0; c < C && m->answer == RC__ANSWER_CLASS; c++) out[c] /= sum;
}

/* Batches of similar length: padding is never computed, but rows of one length are dealt out best. */
static int longest_first(const void *pa, const void *pb) {
    const uint32_t *a = pa, *b = pb; /* places in the order, then the example */
    uint32_t x = a[1], y = b[1];
    if (x != y) return x < y ? 1 : -1;
    return (a[0] > b[0]) - (a[0] < b[0]);
}

rc_status rc__classify_run(const rc__classifier *m, rc_tape *t, const rc__examples *x, const uint32_t *index, size_t n,
                           size_t batch, double *out, double *loss, rc_error *e) {
    rc__example_batch b = {0};
    double sum = 0;
    size_t count = 0, C = m->outputs;
    if (batch < 1) batch = 64;
    uint32_t(*order)[2] = rc__alloc((n + 1) * sizeof *order), *one = rc__alloc((batch + 1) * sizeof *one);
    rc_status s = order && one ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        order[i][0] = (uint32_t)i;
        order[i][1] = x->each[index ? index[i] : i].length;
    }
    if (s == RC_OK) qsort(order, n, sizeof *order, longest_first);
    for (size_t at = 0; s == RC_OK && at < n; at += batch) {
        size_t rows = n - at < batch ? n - at : batch;
        for (size_t r = 0; r < rows; r++) one[r] = index ? index[order[at + r][0]] : order[at + r][0];
        s = rc__example_batch_make(&b, m, x, one, rows, 0, NULL, e);
        if (s != RC_OK) break;
        rc_tape_begin(t, (rc_tape_mode){0});
        rc_var *z = rc__classifier_forward(t, m, &b), *l = NULL;
        if (loss) l = rc__classifier_loss(t, m, z, &b, 0, NULL);
        s = rc_tape_status(t, e);
        if (s != RC_OK) break;
        for (size_t r = 0; r < rows; r++) probabilities(m, z->x + r * C, out + order[at + r][0] * C);
        if (l) {
            size_t k = answered(m, &b);
            sum += (double)l->x[0] * (double)k;
            count += k;
        }
    }
    if (loss) *loss = count ? sum / (double)count : NAN;
    rc__free(order, (n + 1) * sizeof *order);
    rc__free(one, (batch + 1) * sizeof *one);
    rc__example_batch_free(&b);
    return s;
}

/* ---- measures ---------------------------------------------------------------------------------------------------- */

static size_t best_of(const double *p, size_t C) {
    size_t best = 0;
    for (size_t c = 1; c < C; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

static double micro_f1(const rc__classifier *m, const rc__examples *x, const uint32_t *index, size_t n, const double *out) {
    double right = 0, said = 0, is = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < m->outputs; c++) {
            bool yes = out[i * m->outputs + c] > m->threshold;
            bool truth = x->several[(index ? index[i] : i) * m->outputs + c] > 0;
            right += yes && truth;
            said += yes;
            is += truth;
        }
    return rc__prf_of(right, said, is).f1;
}

double rc__classify_measure(const rc__classifier *m, const rc__examples *x, const uint32_t *index, size_t n,
                            const double *out) {
    double sum = 0;
    size_t count = 0;
    if (m->answer == RC__ANSWER_CLASSES) return micro_f1(m, x, index, n, out);
    for (size_t i = 0; i < n; i++) {
        const rc__example *one = &x->each[index ? index[i] : i];
        if (m->answer == RC__ANSWER_NUMBER) {
            if (isnan(one->target)) continue;
            sum += pow(out[i] - one->target, 2);
        } else {
            sum += (int32_t)best_of(out + i * m->outputs, m->outputs) == one->label; /* a label that is unknown: wrong */
        }
        count++;
    }
    if (count == 0) return NAN;
    return m->answer == RC__ANSWER_NUMBER ? sqrt(sum / (double)count) : sum / (double)count;
}

const char *rc__classify_measure_name(const rc__classifier *m) {
    return m->answer == RC__ANSWER_CLASS ? "accuracy" : m->answer == RC__ANSWER_CLASSES ? "micro F1" : "RMSE";
}

static void put(json_t *out, const char *key, double v) { json_object_set_new(out, key, rc__real_or_null(v)); }

static json_t *label_json(const rc__classifier *m, size_t c) {
    size_t len;
    const char *name = rc__strtab_get(&m->labels, c, &len);
    return json_stringn(name, len);
}

static void put_classes(json_t *out, const rc__classifier *m, const rc__prf *each) {
    json_t *rows = json_array();
    for (size_t c = 0; c < m->outputs; c++)
        json_array_append_new(rows, json_pack("{so sf sf sf sI}", "class", label_json(m, c), "precision", each[c].precision,
                                              "recall", each[c].recall, "f1", each[c].f1, "support",
                                              (json_int_t)each[c].support));
    json_object_set_new(out, "classes", rows);
}

static void put_confusion(json_t *out, const rc__classifier *m, const uint64_t *confusion) {
    enum { MOST = 20 }; /* wider is no table to read */
    size_t C = m->outputs;
    if (C > MOST) return;
    json_t *rows = json_array();
    for (size_t r = 0; r < C; r++) {
        json_t *row = json_object();
        json_object_set_new(row, "truth \\ answer", label_json(m, r));
        for (size_t c = 0; c < C; c++) {
            char key[80];
            size_t len;
            const char *name = rc__strtab_get(&m->labels, c, &len);
            snprintf(key, sizeof key, "%.*s", (int)(len < 79 ? len : 79), name);
            json_object_set_new(row, key, json_integer((json_int_t)confusion[r * C + c]));
        }
        json_array_append_new(rows, row);
    }
    json_object_set_new(out, "confusion", rows);
}

static rc_status score_class(const rc__classifier *m, const rc__examples *x, const double *p, bool details, json_t *out,
                             rc_error *e) {
    size_t C = m->outputs, n = x->n, unknown = 0;
    int32_t *truth = rc__alloc((n + 1) * sizeof *truth), *guess = rc__alloc((n + 1) * sizeof *guess);
    uint64_t *confusion = rc__calloc(C * C, sizeof *confusion);
    rc__prf *each = rc__calloc(C, sizeof *each);
    rc__class_scores cs;
    double loss = NAN, brier = NAN, ece = NAN;
    rc_status s = truth && guess && confusion && each ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        truth[i] = x->each[i].label < 0 ? -1 : x->each[i].label;
        guess[i] = (int32_t)best_of(p + i * C, C);
        unknown += truth[i] < 0;
    }
    if (s == RC_OK) s = rc__confusion(n, truth, guess, C, confusion, NULL, e);
    if (s == RC_OK) s = rc__log_loss(n, C, p, truth, &loss, e);
    if (s == RC_OK) s = rc__brier(n, C, p, truth, &brier, e);
    if (s == RC_OK) s = rc__calibration_error(n, C, p, truth, CALIBRATION_BINS, &ece, e);
    if (s == RC_OK) {
        rc__class_scores_of(C, confusion, &cs, each);
        put(out, "accuracy", cs.accuracy * (double)(n - unknown) / (double)n); /* labels the model does not know are wrong */
        put(out, "macro_f1", cs.macro.f1);
        put(out, "macro_precision", cs.macro.precision);
        put(out, "macro_recall", cs.macro.recall);
        put(out, "weighted_f1", cs.weighted.f1);
        put(out, "balanced_accuracy", cs.balanced);
        put(out, "mcc", cs.mcc);
        put(out, "log_loss", loss);
        put(out, "brier", brier);
        put(out, "calibration_error", ece);
        if (details) put_classes(out, m, each);
        if (details) put_confusion(out, m, confusion);
    }
    rc__free(truth, (n + 1) * sizeof *truth);
    rc__free(guess, (n + 1) * sizeof *guess);
    rc__free(confusion, C * C * sizeof *confusion);
    rc__free(each, C * sizeof *each);
    return s;
}

static rc_status score_classes(const rc__classifier *m, const rc__examples *x, const double *p, bool details,
                               json_t *out, rc_error *e) {
    size_t L = m->outputs, n = x->n;
    uint8_t *truth = rc__alloc(n * L + 1), *guess = rc__alloc(n * L + 1);
    rc__prf *each = rc__calloc(L, sizeof *each);
    rc__multilabel_scores ms;
    rc_status s = truth && guess && each ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", n);
    for (size_t i = 0; s == RC_OK && i < n * L; i++) {
        truth[i] = x->several[i] > 0;
        guess[i] = p[i] > m->threshold;
    }
    if (s == RC_OK) s = rc__multilabel(n, L, truth, guess, &ms, each, e);
    if (s == RC_OK) {
        put(out, "micro_f1", ms.micro.f1);
        put(out, "macro_f1", ms.macro.f1);
        put(out, "weighted_f1", ms.weighted.f1);
        put(out, "samples_f1", ms.samples.f1);
        put(out, "subset_accuracy", ms.subset_accuracy);
        put(out, "hamming_loss", ms.hamming);
        put(out, "threshold", m->threshold);
        if (details) put_classes(out, m, each);
    }
    rc__free(truth, n * L + 1);
    rc__free(guess, n * L + 1);
    rc__free(each, L * sizeof *each);
    return s;
}

static rc_status score_number(const rc__examples *x, const double *p, const char *path, json_t *out, rc_error *e) {
    double squares = 0, absolute = 0, sum = 0, total = 0, bias = 0;
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        double y = x->each[i].target;
        if (isnan(y)) continue;
        n++;
        sum += y;
        bias += p[i] - y;
        squares += (p[i] - y) * (p[i] - y);
        absolute += fabs(p[i] - y);
    }
    for (size_t i = 0; i < x->n; i++)
        if (!isnan(x->each[i].target)) total += pow(x->each[i].target - sum / (double)n, 2);
    if (n == 0) return rc_fail(e, RC_EDATA, "%s: none of its %zu examples has a target to compare with", path, x->n);
    put(out, "rmse", sqrt(squares / (double)n));
    put(out, "mse", squares / (double)n);
    put(out, "mae", absolute / (double)n);
    put(out, "bias", bias / (double)n);
    put(out, "r2", total > 0 ? 1 - squares / total : NAN);
    if (n < x->n) json_object_set_new(out, "without_target", json_integer((json_int_t)(x->n - n)));
    return RC_OK;
}

rc_status rc__classify_eval(rc_model *base, const char *path, const rc_eval_options *o, json_t *out, rc_error *e) {
    rc__classifier *m = (rc__classifier *)base;
    rc__examples x;
    rc__classify_reading r = {0};
    rc_tape *t = NULL;
    double *p = NULL;
    rc_status s = rc__classify_read(m, &x, path, &o->data, &r, e);
    if (s != RC_OK) return s;
    size_t bytes = 0;
    if (!rc__size_mul(x.n * m->outputs, sizeof *p, &bytes) || !(p = rc__alloc(bytes)))
        s = rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", x.n);
    double began = rc__now();
    if (s == RC_OK) s = rc_tape_new(&t, e);
    if (s == RC_OK) s = rc__classify_run(m, t, &x, NULL, x.n, o->batch < 1 ? 64 : (size_t)o->batch, p, NULL, e);
    double seconds = rc__now() - began;
    if (s == RC_OK) {
        json_object_set_new(out, "examples", json_integer((json_int_t)x.n));
        if (m->answer == RC__ANSWER_CLASS && x.unlabelled == x.n)
            s = rc_fail(e, RC_EDATA, "%s: none of its %zu labels is one that the model knows", path, x.n);
        else if (m->answer == RC__ANSWER_CLASS)
            s = score_class(m, &x, p, o->details, out, e);
        else if (m->answer == RC__ANSWER_CLASSES)
            s = score_classes(m, &x, p, o->details, out, e);
        else
            s = score_number(&x, p, path, out, e);
    }
    if (s == RC_OK) {
        if (x.unknown_labels) json_object_set_new(out, "unknown_labels", json_integer((json_int_t)x.unknown_labels));
        if (m->text && x.text.unknown)
            json_object_set_new(out, "unknown_words", json_integer((json_int_t)x.text.unknown));
        put(out, "seconds", seconds);
    }
    rc_tape_free(t);
    rc__free(p, bytes);
    rc__examples_free(&x);
    return s;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* The k best classes in order. */
static void rank(const double *p, size_t C, size_t *order, size_t k) {
    for (size_t i = 0; i < k; i++) {
        size_t best = SIZE_MAX;
        for (size_t c = 0; c < C; c++) {
            bool taken = false;
            for (size_t j = 0; j < i; j++) taken |= order[j] == c;
            if (!taken && (best == SIZE_MAX || p[c] > p[best])) best = c;
        }
        order[i] = best;
    }
}

/* Labels by falling probability: top_k of them, or for several labels those above the threshold. */
static size_t choose(const rc__classifier *m, const double *p, const rc_predict_options *o, size_t *order) {
    size_t C = m->outputs, k = o->top_k < 1 ? 1 : (size_t)o->top_k;
    if (m->answer != RC__ANSWER_CLASSES || o->top_k > 1) {
        k = k > C ? C : k;
        rank(p, C, order, k);
        return k;
    }
    double threshold = o->threshold >= 0 ? o->threshold : m->threshold;
    rank(p, C, order, C);
    for (k = 0; k < C && p[order[k]] > threshold;) k++;
    return k;
}

static json_t *answer_json(const rc__classifier *m, const double *p, const rc_predict_options *o, size_t *order) {
    if (m->answer == RC__ANSWER_NUMBER) return json_pack("{so}", "value", rc__real_or_null(p[0]));
    size_t k = choose(m, p, o, order);
    json_t *top = json_array();
    for (size_t i = 0; i < k; i++)
        json_array_append_new(top, json_pack("{so so}", "label", label_json(m, order[i]), "probability", rc__real_or_null(p[order[i]])));
    if (m->answer == RC__ANSWER_CLASSES) return json_pack("{so}", "labels", top);
    json_t *v = json_pack("{so so}", "label", label_json(m, order[0]), "probability", rc__real_or_null(p[order[0]]));
    if (k > 1)
        json_object_set_new(v, "top", top);
    else
        json_decref(top);
    return v;
}

/* Several labels as two cells, "a|b" and "0.9|0.6", so that every row has as many columns. */
static void several_csv(const rc__classifier *m, const double *p, const size_t *order, size_t k, rc__string *b) {
    const char *between = m->data.label_separator && *m->data.label_separator ? m->data.label_separator : "|";
    rc__string names = {0}, numbers = {0};
    for (size_t i = 0; i < k; i++) {
        size_t len;
        const char *name = rc__strtab_get(&m->labels, order[i], &len);
        if (i) rc__string_add(&names, between);
        if (i) rc__string_add(&numbers, between);
        rc__string_add_bytes(&names, name, len);
        rc__string_addf(&numbers, "%.4f", p[order[i]]);
    }
    rc__string_add_cell(b, names.s, names.len, ',');
    rc__string_add(b, ",");
    rc__string_add_cell(b, numbers.s, numbers.len, ',');
    b->failed = b->failed || names.failed || numbers.failed;
    rc__string_free(&names);
    rc__string_free(&numbers);
}

/* One line: labels and probabilities with tabs (commas) between; a number. */
static rc_status answer_line(const rc__classifier *m, const double *p, const rc_predict_options *o, rc__string *b,
                             size_t *order, const rc_sink *sink, rc_error *e) {
    if (o->json) return rc__sink_json(sink, answer_json(m, p, o, order), e);
    if (m->answer == RC__ANSWER_NUMBER) {
        rc__string_addf(b, "%.9g", p[0]);
        return rc__sink_text(sink, b, e);
    }
    size_t k = choose(m, p, o, order);
    bool several = o->csv && m->answer == RC__ANSWER_CLASSES;
    char between = o->csv ? ',' : '\t';
    if (several) several_csv(m, p, order, k, b);
    for (size_t i = 0; i < k && !several; i++) {
        size_t len;
        const char *name = rc__strtab_get(&m->labels, order[i], &len);
        if (i) rc__string_add_bytes(b, &between, 1);
        rc__string_add_cell(b, name, len, between);
        rc__string_addf(b, "%c%.4f", between, p[order[i]]);
    }
    return rc__sink_text(sink, b, e);
}

static rc_status heading(const rc__classifier *m, const rc_predict_options *o, const rc_sink *sink, rc_error *e) {
    rc__string b = {0};
    if (!o->csv || o->json) return RC_OK;
    size_t k = m->answer != RC__ANSWER_CLASS || o->top_k < 1 ? 1 : (size_t)o->top_k;
    if (k > m->outputs) k = m->outputs;
    rc__string_add(&b, m->answer == RC__ANSWER_NUMBER    ? "value"
                       : m->answer == RC__ANSWER_CLASSES ? "labels,probabilities"
                                                         : "label,probability");
    for (size_t i = 2; i <= k; i++) rc__string_addf(&b, ",label_%zu,probability_%zu", i, i);
    rc_status s = rc__sink_text(sink, &b, e);
    rc__string_free(&b);
    return s;
}

/* All examples of x. */
static rc_status answer(const rc__classifier *m, rc_tape *t, const rc__examples *x, const rc_predict_options *o,
                        const rc_sink *sink, rc_error *e) {
    size_t bytes = x->n * m->outputs * sizeof(double), C = m->outputs;
    double *p = rc__alloc(bytes + 1);
    size_t *order = rc__alloc(C * sizeof *order);
    rc__string b = {0};
    rc_status s = p && order ? RC_OK : rc_fail(e, RC_ENOMEM, "out of memory (%zu examples)", x->n);
    if (s == RC_OK) s = rc__classify_run(m, t, x, NULL, x->n, o->batch < 1 ? 64 : (size_t)o->batch, p, NULL, e);
    for (size_t i = 0; s == RC_OK && i < x->n; i++) s = answer_line(m, p + i * C, o, &b, order, sink, e);
    rc__free(p, bytes + 1);
    rc__free(order, C * sizeof *order);
    rc__string_free(&b);
    return s;
}

/* ---- text as it comes -------------------------------------------------------------------------------------------- */

typedef struct text_stream {
    FILE *f;
    rc__source *src;
    rc__labelled_reader *reader;
} text_stream;

static void close_stream(text_stream *w) {
    rc__labelled_close(w->reader);
    rc__source_free(w->src);
    if (w->f && w->f != stdin) fclose(w->f);
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    return n > k && strncmp(path + n - k, ending, k) == 0;
}

/* Are these texts in the columns of the training data? A table by its name is, and what begins with their heading; other
 * input, such as lines that are typed, is a text a line. */
static bool as_trained(const rc__classifier *m, const char *path, const char *head, size_t len) {
    static const char *const tables[] = {".csv", ".tsv", ".tab", ".jsonl"};
    const char *want = m->data.text;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (ends_in(path, tables[i])) return true;
    if (!want || !*want || !len) return false;
    const char *end = memchr(head, '\n', len);
    size_t line = end ? (size_t)(end - head) : len;
    for (const char *p = want; *p;) { /* every one of "title+description", as a word of its own */
        size_t n = strcspn(p, "+");
        bool found = false;
        if (strspn(p, "0123456789") >= n) return false; /* a number says nothing about a heading */
        for (size_t i = 0; i + n <= line && !found; i++)
            found = memcmp(head + i, p, n) == 0 && (i == 0 || strchr(",;\t\" ", head[i - 1])) &&
                    (i + n == line || strchr(",;\t\" \r", head[i + n]));
        if (!found) return false;
        p += n + (p[n] == '+');
    }
    return true;
}

/* columns: by the columns of training; else by what the options say alone. */
static rc_status open_as(text_stream *w, const rc__classifier *m, const char *path, const rc_data_options *data,
                         bool columns, rc_error *e) {
    *w = (text_stream){0};
    w->f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!w->f) return rc_fail(e, RC_EIO, "%s: cannot be opened", path);
    rc_status s = rc__source_stream(&w->src, w->f, strcmp(path, "-") == 0 ? "standard input" : path, 0, e);
    const char *head = NULL;
    size_t len = 0;
    if (s == RC_OK) s = rc__source_peek(w->src, &head, &len, e);
    rc_data_options d = s == RC_OK && columns && as_trained(m, path, head, len) ? rc__data_merge(data, &m->data) : *data;
    rc__labelled_options lo = {.format = d.format && *d.format ? d.format : NULL,
                               .text = d.text && *d.text ? d.text : NULL,
                               .unlabelled = true};
    if (s == RC_OK) s = rc__data_table_options(&d, &lo.table, e);
    if (s == RC_OK) s = rc__labelled_open(&w->reader, w->src, &lo, e);
    if (s != RC_OK) close_stream(w);
    return s;
}

static rc_status open_stream(text_stream *w, const rc__classifier *m, const char *path, const rc_data_options *data,
                             rc_error *e) {
    bool said = (data->format && *data->format) || (data->text && *data->text);
    rc_error first;
    rc_status s = open_as(w, m, path, data, !said, &first);
    if (s == RC_OK) return s;
    /* a file of another form, such as texts alone in one column, may tell itself what it is */
    if (!said && strcmp(path, "-") != 0 && (s == RC_EINVAL || s == RC_EDATA) && open_as(w, m, path, data, false, e) == RC_OK)
        return RC_OK;
    return rc_fail(e, s, "%s", first.text);
}

/* Up to `most` records into x, which is emptied first. */
static rc_status fill(text_stream *w, const rc__classifier *m, rc__examples *x, size_t most, bool *more, rc_error *e) {
    rc_status s = RC_OK;
    rc__text_set_clear(&x->text);
    x->n = 0;
    while (s == RC_OK && *more && x->n < most) {
        rc__record r;
        s = rc__labelled_next(w->reader, &r, more, e);
        if (s != RC_OK || !*more) break;
        s = rc__text_set_add(&x->text, r.text.text, r.text.len, m->max_len, e);
        if (s == RC_OK)
            s = rc__examples_add(x, 0, (rc__example){.length = (uint32_t)rc__text_set_len(&x->text, x->text.n - 1),
                                                     .label = RC_NO_TARGET, .target = NAN}, e);
    }
    return s;
}

static rc_status predict_text(rc__classifier *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                              rc_error *e) {
    text_stream w;
    rc__examples x = {0};
    rc_tape *t = NULL;
    bool more = true;
    size_t most = o->batch < 1 ? 64 : (size_t)o->batch;
    if (strcmp(path, "-") == 0 && most == 64) most = 1; /* somebody waits for each line */
    rc_status s = open_stream(&w, m, path, &o->data, e);
    if (s != RC_OK) return s;
    rc__text_set_init(&x.text, &m->lexicon);
    s = rc_tape_new(&t, e);
    if (s == RC_OK) s = heading(m, o, sink, e);
    while (s == RC_OK && more) {
        s = fill(&w, m, &x, most, &more, e);
        if (s == RC_OK && x.n > 0) s = answer(m, t, &x, o, sink, e);
    }
    rc_tape_free(t);
    rc__examples_free(&x);
    close_stream(&w);
    return s;
}

rc_status rc__classify_predict(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink,
                               rc_error *e) {
    rc__classifier *m = (rc__classifier *)base;
    if (m->text) return predict_text(m, path, o, sink, e);
    if (o->data.format && strcmp(o->data.format, "lines") == 0)
        return rc_fail(e, RC_EINVAL, "this model reads series of numbers: expected a file of them, found a text");
    rc__examples x;
    rc__classify_reading r = {.unlabelled = true};
    rc_tape *t = NULL;
    rc_status s = rc__classify_read(m, &x, path, &o->data, &r, e);
    if (s != RC_OK) return s;
    s = rc_tape_new(&t, e);
    if (s == RC_OK) s = heading(m, o, sink, e);
    if (s == RC_OK) s = answer(m, t, &x, o, sink, e);
    rc_tape_free(t);
    rc__examples_free(&x);
    return s;
}

/* ---- reasons ----------------------------------------------------------------------------------------------------- */

enum { REASONS_AT_ONCE = 64 };

/* The text without word number left_out (none: SIZE_MAX), as the next example. */
static rc_status add_without(const rc__classifier *m, rc__examples *x, const char *text, size_t len, size_t left_out,
                             rc_error *e) {
    size_t at = 0, from, to;
    rc_status s = RC_OK;
    for (size_t n = 0; s == RC_OK && (!m->max_len || n < m->max_len) && rc__next_word(text, len, &at, &from, &to); n++)
        if (n != left_out) s = rc__text_set_word(&x->text, text + from, to - from, e);
    if (s == RC_OK) s = rc__text_set_end(&x->text, e);
    uint32_t length = s == RC_OK ? (uint32_t)rc__text_set_len(&x->text, x->text.n - 1) : 0;
    rc__example one = {.length = length, .label = RC_NO_TARGET, .target = NAN};
    return s == RC_OK ? rc__examples_add(x, 0, one, e) : s;
}

/* Probabilities p (words + 1, C): of the whole text first, then without word 0, 1, ... in groups, so that memory stays
 * small for long texts. */
static rc_status run_without(const rc__classifier *m, rc_tape *t, const char *text, size_t len, size_t words, double *p,
                             rc_error *e) {
    rc__examples x = {0};
    rc_status s = RC_OK;
    rc__text_set_init(&x.text, &m->lexicon);
    for (size_t from = 0; s == RC_OK && from <= words; from += REASONS_AT_ONCE) {
        rc__text_set_clear(&x.text);
        x.n = 0;
        for (size_t i = from; s == RC_OK && i <= words && i < from + REASONS_AT_ONCE; i++)
            s = add_without(m, &x, text, len, i == 0 ? SIZE_MAX : i - 1, e);
        if (s == RC_OK) s = rc__classify_run(m, t, &x, NULL, x.n, REASONS_AT_ONCE, p + from * m->outputs, NULL, e);
    }
    rc__examples_free(&x);
    return s;
}

static double log_odds(double p) {
    p = fmin(fmax(p, 1e-9), 1 - 1e-9);
    return log(p / (1 - p));
}

/* What a text says without each of its words in turn: the loss of the answer's log-odds is what the word added
 * (occlusion; Li et al. 2016, "Understanding neural networks through representation erasure", equation 1). */
static rc_status text_reasons(const rc__classifier *m, rc_tape *t, const char *text, size_t len,
                              const rc_predict_options *o, const rc_sink *sink, rc_error *e) {
    size_t at = 0, from, to, C = m->outputs, words = 0, bytes = 0;
    while ((!m->max_len || words < m->max_len) && rc__next_word(text, len, &at, &from, &to)) words++;
    double *p = NULL;
    size_t *order = rc__alloc(C * sizeof *order);
    rc__string b = {0}, line = {0};
    json_t *v = NULL, *list = json_array();
    rc_status s = RC_OK;
    if (!rc__size_mul((words + 1) * C, sizeof *p, &bytes) || !(p = rc__alloc(bytes)) || !order || !list)
        s = rc_fail(e, RC_ENOMEM, "out of memory (a text of %zu words)", words);
    if (s == RC_OK) s = run_without(m, t, text, len, words, p, e);
    size_t best = s == RC_OK ? best_of(p, C) : 0;
    at = 0;
    for (size_t n = 0; s == RC_OK && n < words && rc__next_word(text, len, &at, &from, &to); n++) {
        double weight = log_odds(p[best]) - log_odds(p[(n + 1) * C + best]);
        json_array_append_new(list, json_pack("{so sf}", "word", json_stringn(text + from, to - from), "weight", weight));
        rc__string_addf(&b, "%s%+.2f ", n ? "  " : "", weight);
        rc__string_add_bytes(&b, text + from, to - from);
    }
    if (s == RC_OK && o->json) {
        v = answer_json(m, p, o, order);
        json_object_set(v, "words", list);
        s = rc__sink_json(sink, v, e);
    } else if (s == RC_OK) {
        s = answer_line(m, p, o, &line, order, sink, e);
        if (s == RC_OK) s = rc__sink_text(sink, &b, e);
    }
    json_decref(list);
    rc__string_free(&b);
    rc__string_free(&line);
    if (p) rc__free(p, bytes);
    rc__free(order, C * sizeof *order);
    return s;
}

rc_status rc__classify_reasons(rc_model *base, const char *path, const rc_predict_options *o, const rc_sink *sink,
                               rc_error *e) {
    rc__classifier *m = (rc__classifier *)base;
    text_stream w;
    rc_tape *t = NULL;
    bool more = true;
    if (!m->text || m->lexicon.split == RC__SPLIT_VOCAB || m->answer == RC__ANSWER_NUMBER)
        return rc_fail(e, RC_EINVAL, "what mattered is told of words, and this model does not read words");
    rc_status s = open_stream(&w, m, path, &o->data, e);
    if (s != RC_OK) return s;
    s = rc_tape_new(&t, e);
    while (s == RC_OK) {
        rc__record r;
        s = rc__labelled_next(w.reader, &r, &more, e);
        if (s != RC_OK || !more) break;
        s = text_reasons(m, t, r.text.text, r.text.len, o, sink, e);
    }
    rc_tape_free(t);
    close_stream(&w);
    return s;
}

size_t rc__classify_explain(const rc_model *base, size_t batch, size_t seq_len, char *out, size_t cap) {
    const rc__classifier *m = (const rc__classifier *)base;
    char what[300], answers[80] = "a number";
    if (m->answer != RC__ANSWER_NUMBER)
        snprintf(answers, sizeof answers, m->answer == RC__ANSWER_CLASS ? "one of %zu classes" : "any of %zu labels", m->outputs);
    if (m->text)
        snprintf(what, sizeof what, "text: a vocabulary of kind %s, %zu entries%s, embedding %zu%s -> %s\n",
                 rc_vocab_kind_name(rc_vocab_get_kind(m->lexicon.tokens)), rc_vocab_size(m->lexicon.tokens),
                 m->lexicon.buckets ? " and pairs of neighbours" : "", m->wo.embedding_size,
                 m->lexicon.chars ? ", characters" : "", answers);
    else
        snprintf(what, sizeof what, "numbers: %zu channels%s -> %s\n", m->scaler.channels,
                 m->mask ? ", each with what is missing" : "", answers);
    size_t n = strlen(what), put = cap ? (n < cap - 1 ? n : cap - 1) : 0;
    if (cap) memcpy(out, what, put);
    if (cap) out[put] = 0;
    return n + rc__encoder_explain(m->encoder, batch, seq_len, cap > n ? out + n : NULL, cap > n ? cap - n : 0);
}
