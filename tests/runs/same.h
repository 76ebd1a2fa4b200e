/* same.h - are two run folders those of the same run? Everything but times, rates, memory and process numbers: weights,
 * moments, averages, positions, logs, samples, and which files there are. */
#ifndef SAME_H
#define SAME_H
#include <dirent.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/safetensors.h"

static char same_why[2000]; /* of the last difference */

__attribute__((format(printf, 1, 2))) static inline bool differ(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(same_why, sizeof same_why, format, args);
    va_end(args);
    return false;
}

static inline char *same_read(const char *path, size_t *len) { /* NULL: cannot be read */
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f) return NULL;
    char *data = fstat(fileno(f), &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;
    *len = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    if (data) data[*len] = 0;
    fclose(f);
    return data;
}

static inline bool same_bytes(const char *a, const char *b) {
    size_t n = 0, m = 0;
    char *x = same_read(a, &n), *y = same_read(b, &m);
    bool same = x && y && n == m && memcmp(x, y, n) == 0;
    free(x), free(y);
    return same || differ("%s and %s differ", a, b);
}

static inline void same_drop(json_t *v, const char *const *names) {
    for (; *names; names++) json_object_del(v, *names);
}

/* The position of a checkpoint; its logs must be as long as it says when it is the last. */
static inline bool same_position(const rc__st_file *f, const rc__st_file *g) {
    static const char *const times[] = {"seconds", "train_seconds", "logs", NULL};
    const char *s = rc__st_get_meta(f, "recur_checkpoint"), *t = rc__st_get_meta(g, "recur_checkpoint");
    json_t *x = s ? json_loads(s, 0, NULL) : NULL, *y = t ? json_loads(t, 0, NULL) : NULL;
    same_drop(x, times), same_drop(y, times);
    bool same = x && y && json_equal(x, y);
    json_decref(x), json_decref(y);
    return same || differ("%s: another position than in %s", rc__st_name(g), rc__st_name(f));
}

static inline bool same_tensors(const rc__st_file *f, const rc__st_file *g) {
    if (rc__st_count(f) != rc__st_count(g)) return differ("%s: another number of tensors", rc__st_name(g));
    for (size_t i = 0; i < rc__st_count(f); i++) {
        const rc__st_tensor *t = rc__st_at(f, i), *u = rc__st_find(g, t->name);
        if (!u || u->len != t->len || u->dtype != t->dtype) return differ("%s: \"%s\"", rc__st_name(g), t->name);
        size_t bytes = t->len * rc__st_dtype_size(t->dtype);
        char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
        bool same = rc__st_read(f, t, x, NULL) == RC_OK && rc__st_read(g, u, y, NULL) == RC_OK && !memcmp(x, y, bytes);
        free(x), free(y);
        if (!same) return differ("%s: \"%s\" has other bits than in %s", rc__st_name(g), t->name, rc__st_name(f));
    }
    return true;
}

static inline bool same_checkpoint(const char *a, const char *b) {
    rc__st_file *f = NULL, *g = NULL;
    rc_error e = {0};
    bool same = rc__st_open(&f, a, &e) == RC_OK && rc__st_open(&g, b, &e) == RC_OK;
    same = same ? same_position(f, g) && same_tensors(f, g) : differ("%s", e.text);
    rc__st_close(f), rc__st_close(g);
    return same;
}

static inline bool same_metrics(const char *a, const char *b) {
    static const char *const times[] = {"seconds", "tokens_per_second", "memory", "memory_resident", NULL};
    FILE *f = fopen(a, "r"), *g = fopen(b, "r");
    char x[16384], y[16384];
    bool same = f && g;
    for (int line = 1; same; line++) {
        bool more = fgets(x, sizeof x, f) != NULL, too = fgets(y, sizeof y, g) != NULL;
        if (!more && !too) break;
        json_t *v = more ? json_loads(x, 0, NULL) : NULL, *w = too ? json_loads(y, 0, NULL) : NULL;
        same_drop(v, times), same_drop(w, times);
        same = v && w && json_equal(v, w);
        json_decref(v), json_decref(w);
        if (!same) differ("%s, line %d: %.700s%s, line %d: %.700s", a, line, more ? x : "none", b, line, too ? y : "none");
    }
    if (f) fclose(f);
    if (g) fclose(g);
    return same;
}

static inline bool is_events(const char *name) { return !strncmp(name, "events.out.tfevents.", 20); }

/* The names in a folder, one a line, sorted; those of event files are left out. */
static inline void same_list(const char *dir, char *out, size_t cap) {
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort);
    out[0] = 0;
    for (int i = 0; i < n; i++) {
        size_t at = strlen(out);
        if (names[i]->d_name[0] != '.' && !is_events(names[i]->d_name)) snprintf(out + at, cap - at, "%s\n", names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static inline bool same_names(const char *a, const char *b) {
    char x[4096], y[4096];
    same_list(a, x, sizeof x), same_list(b, y, sizeof y);
    return strcmp(x, y) == 0 || differ("%s holds:\n%s%s holds:\n%s", a, x, b, y);
}

/* The folders a and b, each with the run in run/ and the model in model.safetensors. */
static inline bool same_run(const char *a, const char *b) {
    static const char *const folders[] = {".", "run", "run/checkpoints"};
    static const char *const exact[] = {"model.safetensors", "run/config.json", "run/samples.txt",
                                        "run/checkpoints/best.safetensors", "run/checkpoints/initial.safetensors"};
    char x[600], y[600], names[4096], *save = NULL;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(x, sizeof x, "%s/%s", a, folders[i]), snprintf(y, sizeof y, "%s/%s", b, folders[i]);
        if (!same_names(x, y)) return false;
    }
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        snprintf(x, sizeof x, "%s/%s", a, exact[i]), snprintf(y, sizeof y, "%s/%s", b, exact[i]);
        if (!same_bytes(x, y)) return false;
    }
    snprintf(x, sizeof x, "%s/run/metrics.jsonl", a), snprintf(y, sizeof y, "%s/run/metrics.jsonl", b);
    if (!same_metrics(x, y)) return false;
    snprintf(x, sizeof x, "%s/run/checkpoints", a);
    same_list(x, names, sizeof names);
    for (char *name = strtok_r(names, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        if (strncmp(name, "step-", 5) != 0) continue;
        snprintf(x, sizeof x, "%s/run/checkpoints/%s", a, name), snprintf(y, sizeof y, "%s/run/checkpoints/%s", b, name);
        if (!same_checkpoint(x, y)) return false;
    }
    return true;
}
#endif
