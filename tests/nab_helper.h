/* nab_helper.h - the series and label windows of NAB that $RECUR_DATA has, for tests. */
#ifndef NAB_HELPER_H
#define NAB_HELPER_H
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/anomaly.h"

enum { NAB_SERIES = 64, NAB_WINDOWS = 8 };
typedef struct nab_corpus {
    size_t n;
    struct nab_file {
        size_t rows, windows;
        double *value;
        rc__range window[NAB_WINDOWS];
    } file[NAB_SERIES];
} nab_corpus;

/* Rows of a file, their values, and the rows of the windows' times; false when the file is not there. */
static bool nab_read(const char *path, json_t *windows, struct nab_file *f) {
    FILE *in = fopen(path, "r");
    char line[200];
    if (!in) return false;
    f->rows = 0;
    f->windows = json_array_size(windows);
    f->value = malloc(30000 * sizeof *f->value);
    bool header = fgets(line, sizeof line, in) != NULL;
    while (header && f->rows < 30000 && fgets(line, sizeof line, in)) {
        const char *comma = strchr(line, ',');
        for (size_t w = 0; w < f->windows; w++) {
            json_t *at = json_array_get(windows, w);
            if (strncmp(json_string_value(json_array_get(at, 0)), line, 19) == 0) f->window[w].start = f->rows;
            if (strncmp(json_string_value(json_array_get(at, 1)), line, 19) == 0) f->window[w].end = f->rows + 1;
        }
        f->value[f->rows++] = strtod(comma + 1, NULL);
    }
    fclose(in);
    return true;
}

/* 0 when RECUR_DATA is unset. */
static size_t nab_open(nab_corpus *c) {
    const char *data = getenv("RECUR_DATA"), *name;
    char path[600];
    json_t *windows;
    c->n = 0;
    if (!data || !*data) return 0;
    snprintf(path, sizeof path, "%s/nab/labels/combined_windows.json", data);
    json_t *labels = json_load_file(path, 0, NULL);
    json_object_foreach(labels, name, windows) {
        snprintf(path, sizeof path, "%s/nab/%s", data, name);
        if (c->n < NAB_SERIES && nab_read(path, windows, &c->file[c->n])) c->n++;
    }
    json_decref(labels);
    return c->n;
}

static void nab_close(nab_corpus *c) {
    for (size_t k = 0; k < c->n; k++) free(c->file[k].value);
}
#endif
