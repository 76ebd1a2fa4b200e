/* nab_score.c - NAB's score of a corpus with one threshold over it: of the scores that `recur predict --csv` wrote for
 * each series, of NAB's windowed Gaussian and of its null detector on the same series. Made for nab.sh:
 *
 *   nab_score LABELS DATA SCORES FILE...
 *
 * LABELS is NAB's combined_windows.json, whose keys are the FILEs; DATA/FILE has the columns timestamp and value,
 * SCORES/FILE a column score. Prints one line of JSON. */
#include "base/json.h"
#include "base/mem.h"
#include "data/table.h"
#include "data/timestamp.h"
#include "metrics/anomaly.h"
#include "tasks/baselines.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const rc_error *e) {
    fprintf(stderr, "nab_score: %s\n", e->text);
    exit(rc_status_exit_code(e->code));
}

static void *need(void *p) {
    if (p) return p;
    fputs("nab_score: out of memory\n", stderr);
    exit(4);
}

static double *column(const char *folder, const char *file, const char *name, size_t *n, rc__table **keep) {
    char path[1024];
    rc_error e;
    rc__table *t;
    size_t col;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (rc__table_read(&t, path, NULL, &e) != RC_OK || rc__rows_find(rc__table_rows(t), name, &col, &e) != RC_OK)
        die(&e);
    *n = rc__table_n_rows(t);
    double *v = need(calloc(*n + 1, sizeof *v));
    for (size_t i = 0; i < *n; i++)
        if (rc__table_real(t, i, col, &v[i], &e) != RC_OK) die(&e);
    if (keep)
        *keep = t;
    else
        rc__table_free(t);
    return v;
}

static rc__range *windows_of(const json_t *list, const rc__table *t, size_t n, size_t *count) {
    rc_error e;
    rc__time_style style;
    size_t stride = rc__rows_columns(rc__table_rows(t)), W = json_array_size(list);
    int64_t *time = need(calloc(n + 1, sizeof *time)), *edge = need(calloc(2 * W + 1, sizeof *edge));
    rc__cell *cells = need(calloc(2 * W + 1, sizeof *cells));
    rc__range *w = need(calloc(W + 1, sizeof *w));
    if (rc__time_column(rc__table_row(t, 0), stride, n, NULL, rc__table_file(t), RC_DATE_YMD, &style, time, &e) !=
        RC_OK)
        die(&e);
    for (size_t i = 0; i < 2 * W; i++) {
        const char *s = json_string_value(json_array_get(json_array_get(list, i / 2), i % 2));
        cells[i] = (rc__cell){s ? s : "", s ? strlen(s) : 0};
    }
    if (W && rc__time_column(cells, 1, 2 * W, NULL, "labels", RC_DATE_YMD, &style, edge, &e) != RC_OK) die(&e);
    *count = 0;
    for (size_t k = 0; k < W; k++) {
        rc__range r = {n, 0};
        for (size_t i = 0; i < n; i++)
            if (time[i] >= edge[2 * k] && time[i] <= edge[2 * k + 1]) {
                r.start = i < r.start ? i : r.start;
                r.end = i + 1;
            }
        if (r.start < r.end) w[(*count)++] = r;
    }
    free(time);
    free(edge);
    free(cells);
    return w;
}

static void put_scores(json_t *out, const char *of, size_t n, const rc__nab_series *series, const double *threshold) {
    static const char *const names[RC_NAB_PROFILES] = {"standard", "low_fp", "low_fn"};
    for (size_t p = 0; p < RC_NAB_PROFILES; p++) {
        rc__nab_result r;
        rc_error e;
        char key[64];
        if (rc__nab_score(&rc__nab_profiles[p], n, series, threshold, &r, &e) != RC_OK) die(&e);
        snprintf(key, sizeof key, "nab_%s%s", names[p], of);
        json_object_set_new(out, key, json_real(round(1e4 * r.normalised) / 1e4));
        if (p > 0 || *of) continue;
        json_object_set_new(out, "threshold", json_real(r.threshold));
        json_object_set_new(out, "windows", json_integer((json_int_t)r.windows));
        json_object_set_new(out, "windows_found", json_integer((json_int_t)r.found));
        json_object_set_new(out, "false_alarms", json_integer((json_int_t)r.fp));
    }
}

int main(int argc, char **argv) {
    rc_error e;
    json_t *labels;
    if (argc < 5) {
        fputs("nab_score LABELS DATA SCORES FILE...\n", stderr);
        return 2;
    }
    if (rc__json_read(argv[1], (size_t)64 << 20, &labels, &e) != RC_OK) die(&e);
    size_t n = (size_t)argc - 4;
    rc__nab_series *ours = need(calloc(n, sizeof *ours)), *gaussian = need(calloc(n, sizeof *gaussian));
    rc__nab_series *null = need(calloc(n, sizeof *null));
    for (size_t i = 0; i < n; i++) {
        const char *file = argv[i + 4];
        const json_t *list = json_object_get(labels, file);
        rc__table *t;
        size_t rows, scored, windows;
        if (!json_is_array(list)) {
            fprintf(stderr, "nab_score: %s: not in %s\n", file, argv[1]);
            return 3;
        }
        double *x = column(argv[2], file, "value", &rows, &t), *score = column(argv[3], file, "score", &scored, NULL);
        if (rows != scored) {
            fprintf(stderr, "nab_score: %s: %zu rows, %zu scores\n", file, rows, scored);
            return 3;
        }
        rc__range *w = windows_of(list, t, rows, &windows);
        double *g = need(calloc(rows + 1, sizeof *g)), *half = need(calloc(rows + 1, sizeof *half));
        if (rc__windowed_gaussian(rows, x, 6400, 100, g, &e) != RC_OK) die(&e);
        rc__null_detector(rows, half);
        ours[i] = (rc__nab_series){rows, windows, score, w};
        gaussian[i] = (rc__nab_series){rows, windows, g, w};
        null[i] = (rc__nab_series){rows, windows, half, w};
        rc__table_free(t);
        free(x);
    }
    json_t *out = json_object();
    const double five = 5;
    json_object_set_new(out, "series", json_integer((json_int_t)n));
    put_scores(out, "", n, ours, NULL);
    put_scores(out, "_windowed_gaussian", n, gaussian, NULL);
    put_scores(out, "_null", n, null, NULL);
    put_scores(out, "_threshold_5", n, ours, &five); /* the threshold that models have, chosen on nothing */
    char *text = json_dumps(out, JSON_REAL_PRECISION(8));
    puts(need(text));
    return 0; /* what is left is freed by the end */
}
