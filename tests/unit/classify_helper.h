/* classify_helper.h - made-up texts and series with answers, small trainings on them, and what models say. */
#ifndef CLASSIFY_HELPER_H
#define CLASSIFY_HELPER_H
#include "train_helpers.h"

#include <math.h>

static rc_error E;
#define OK(call)                                                                              \
    do {                                                                                      \
        rc_status status_ = (call);                                                           \
        if (status_ != RC_OK) fail_msg("%s: %s: %s", #call, rc_status_name(status_), E.text); \
    } while (0)
#define FAILS(status, word, call)                                                                                      \
    do {                                                                                                               \
        E.text[0] = 0;                                                                                                 \
        rc_status status_ = (call);                                                                                    \
        if (status_ != (status)) fail_msg("%s: %s, expected %s: %s", #call, rc_status_name(status_), #status, E.text); \
        if (!strstr(E.text, (word))) fail_msg("%s: \"%s\" does not mention \"%s\"", #call, E.text, (word));            \
    } while (0)

/* One text: filler words, and among them one that tells the class, negated in a fifth of them. */
static inline const char *make_text(rc_rng *r, bool *good) {
    static const char *const fill[] = {"the", "film", "was", "and", "it", "we", "saw", "Anna", "there", ","};
    static const char *const yes[] = {"great", "lovely", "Fine"}, *const no[] = {"awful", "dull", "Poor"};
    static char text[400];
    size_t n = 0, words = 2 + (size_t)rc_rng_below(r, 8), at = (size_t)rc_rng_below(r, words);
    bool tells = rc_rng_below(r, 2), negated = rc_rng_below(r, 5) == 0;
    for (size_t i = 0; i < words; i++) {
        const char *w = i == at ? (tells ? yes : no)[rc_rng_below(r, 3)] : fill[rc_rng_below(r, 10)];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s", i ? " " : "", i == at && negated ? "not " : "", w);
    }
    *good = tells != negated;
    return text;
}

static inline FILE *open_to_write(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static inline void write_texts(const char *path, int n, uint64_t seed) {
    FILE *f = open_to_write(path);
    rc_rng r = rc_rng_make(seed, 0);
    for (int i = 0; i < n; i++) {
        bool good;
        const char *text = make_text(&r, &good);
        fprintf(f, "%s\t%s\n", good ? "good" : "bad", i == 7 ? "" : text); /* one text is empty */
    }
    fclose(f);
}

/* Labels of what the text names: red, blue, both or neither. */
static inline void write_several(const char *path, int n, uint64_t seed) {
    FILE *f = open_to_write(path);
    rc_rng r = rc_rng_make(seed, 0);
    for (int i = 0; i < n; i++) {
        bool red = rc_rng_below(&r, 2), blue = rc_rng_below(&r, 3) == 0;
        fprintf(f, "%s%s%s\ta%s thing%s\n", red ? "red" : "", red && blue ? "|" : "", blue ? "blue" : "",
                red ? " red" : " plain", blue ? " with blue dots" : " and so on");
    }
    fclose(f);
}

/* Two channels, 3 to 12 steps: the class is whether the second one rises; the target is its slope. '?' in both. */
static inline void write_series(const char *path, int n, uint64_t seed, bool targets) {
    FILE *f = open_to_write(path);
    rc_rng r = rc_rng_make(seed, 0);
    fprintf(f, "@univariate false\n@missing true\n@%s true%s\n@data\n", targets ? "targetLabel" : "classLabel",
            targets ? "" : " up down");
    for (int i = 0; i < n; i++) {
        int len = 3 + (int)rc_rng_below(&r, 10);
        double slope = rc_rng_normal(&r), at = rc_rng_normal(&r);
        slope += slope > 0 ? 0.5 : -0.5;
        for (int c = 0; c < 2; c++)
            for (int k = 0; k < len; k++) {
                double v = c ? at + slope * k + 0.1 * rc_rng_normal(&r) : rc_rng_normal(&r);
                fputs(k ? "," : c ? ":" : "", f);
                if (rc_rng_below(&r, 12) == 0)
                    fputs("?", f);
                else
                    fprintf(f, "%.4f", v);
            }
        if (targets)
            fprintf(f, ":%.4f\n", slope);
        else
            fprintf(f, ":%s\n", slope > 0 ? "up" : "down");
    }
    fclose(f);
}

/* A long table: machines that wear down, with the steps that are left. */
static inline void write_machines(const char *path, int n, uint64_t seed) {
    FILE *f = open_to_write(path);
    rc_rng r = rc_rng_make(seed, 0);
    fputs("machine,hour,heat,noise,left\n", f);
    for (int i = 0; i < n; i++) {
        int life = 10 + (int)rc_rng_below(&r, 20);
        for (int k = 0; k < life; k++)
            fprintf(f, "m%d,%d,%.3f,%.3f,%d\n", i, k, 5 + 0.3 * (30 - life + k) + 0.1 * rc_rng_normal(&r), rc_rng_normal(&r),
                    life - 1 - k);
    }
    fclose(f);
}

static inline rc_train_options small(const char *task, const char *const *file, const char *run) {
    rc_train_options o;
    OK(rc_train_options_for(task, &o, &E));
    o.files = file;
    o.n_files = 1;
    o.run = run;
    o.hidden = 8;
    o.embedding = 6;
    o.char_hidden = 4;
    o.char_embedding = 3;
    o.filters = 5;
    o.kernels = "2,3";
    o.batch = 8;
    o.lr = 0.01;
    o.dropout = 0.1;
    o.dropout_input = 0;
    o.word_dropout = 0.02;
    o.average = "none";
    o.min_count = 1;
    o.epochs = 0;
    o.steps = 12;
    o.warmup = 2;
    o.threads = 1;
    o.quiet = true;
    return o;
}

/* All lines that a model gives, with newlines. */
typedef struct lines {
    char *text;
    size_t len, n;
} lines;
static inline rc_status take_line(void *ctx, const char *text, size_t len) {
    lines *l = ctx;
    l->text = realloc(l->text, l->len + len + 2);
    memcpy(l->text + l->len, text, len);
    l->len += len;
    l->text[l->len++] = '\n';
    l->text[l->len] = 0;
    l->n++;
    return RC_OK;
}
static inline lines predict(rc_model *m, const char *path, const rc_predict_options *o) {
    lines l = {0};
    rc_sink sink = {&l, take_line};
    OK(rc_model_predict(m, path, o, &sink, &E));
    return l;
}
static inline rc_predict_options exact(void) { /* 17 digits: bits */
    rc_predict_options o = rc_predict_options_default();
    o.json = true;
    o.top_k = 9;
    return o;
}

/* A number of eval's report. */
static inline double scored(rc_model *m, const char *path, const char *key) {
    char *json = NULL, word[64];
    size_t len = 0;
    OK(rc_model_eval(m, path, NULL, &json, &len, &E));
    snprintf(word, sizeof word, "\"%s\":", key);
    const char *at = strstr(json, word);
    if (!at) fail_msg("no %s in %s", key, json);
    double v = strtod(at + strlen(word), NULL);
    rc_text_free(json, len);
    return v;
}

static inline rc_model *load(const char *path) {
    rc_model *m = NULL;
    OK(rc_model_load(&m, path, &E));
    return m;
}

static inline void same_lines(const char *what, lines a, lines b) {
    if (a.len != b.len || memcmp(a.text, b.text, a.len) != 0) fail_msg("%s:\n%.600s\nand\n%.600s", what, a.text, b.text);
}
#endif
