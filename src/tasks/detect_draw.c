/* detect_draw.c - see detect_draw.h: a strip for each channel and one for the score. A column of a pixel shows the range
 * of the rows in it, so that no spike is lost however long the series is. */
#include "tasks/detect_draw.h"
#include "base/file.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static rc_status grow(rc__detect_drawing *d, rc_error *e) {
    size_t cap = d->cap ? 2 * d->cap : 4096, C = d->channels;
    float *x = rc__realloc(d->x, d->cap * C * sizeof *x, cap * C * sizeof *x);
    if (x) d->x = x;
    float *score = x ? rc__realloc(d->score, d->cap * sizeof *score, cap * sizeof *score) : NULL;
    if (score) d->score = score;
    uint8_t *alarm = score ? rc__realloc(d->alarm, d->cap, cap) : NULL;
    if (!alarm) { /* what grew is a little longer than cap says, which the allocator is told on free */
        if (x) d->x = rc__realloc(x, cap * C * sizeof *x, d->cap * C * sizeof *x);
        if (score) d->score = rc__realloc(score, cap * sizeof *score, d->cap * sizeof *score);
        return rc_fail(e, RC_ENOMEM, "svg: out of memory for %zu rows", cap);
    }
    d->alarm = alarm;
    d->cap = cap;
    return RC_OK;
}

rc_status rc__detect_draw_row(rc__detect_drawing *d, size_t channels, const double *x, const rc__detected *row,
                              rc__cell time, rc_error *e) {
    d->channels = channels < RC__DETECT_DRAWN ? channels : RC__DETECT_DRAWN;
    if (d->n == d->cap) {
        rc_status s = grow(d, e);
        if (s != RC_OK) return s;
    }
    for (size_t c = 0; c < d->channels; c++) d->x[d->n * d->channels + c] = (float)x[c];
    d->score[d->n] = (float)row->score;
    d->alarm[d->n] = row->alarm;
    snprintf(d->last, sizeof d->last, "%.*s", (int)(time.len < 40 ? time.len : 40), time.len ? time.text : "");
    if (d->n == 0) memcpy(d->first, d->last, sizeof d->first);
    d->n++;
    return RC_OK;
}

void rc__detect_drawing_free(rc__detect_drawing *d) {
    rc__free(d->x, d->cap * d->channels * sizeof *d->x);
    rc__free(d->score, d->cap * sizeof *d->score);
    rc__free(d->alarm, d->cap);
    *d = (rc__detect_drawing){0};
}

#define WIDTH  1000
#define LEFT   70
#define HEIGHT 130

static void put_escaped(FILE *f, const char *s) {
    for (; *s; s++) {
        if (*s == '<')
            fputs("&lt;", f);
        else if (*s == '&')
            fputs("&amp;", f);
        else if ((unsigned char)*s >= 32)
            fputc(*s, f);
    }
}

/* One strip at `top`: vertical lines from the least to the largest of each column of pixels, joined. */
static void strip(FILE *f, const float *v, size_t stride, size_t n, int top, const char *name, const char *color) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i * stride])) continue;
        low = fmin(low, (double)v[i * stride]);
        high = fmax(high, (double)v[i * stride]);
    }
    if (!(low <= high)) low = high = 0;
    double span = high > low ? high - low : 1;
    fprintf(f, "<text x=\"%d\" y=\"%d\">", LEFT, top + 12);
    put_escaped(f, name);
    fprintf(f, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.4g</text>", LEFT - 6, top + 26, high);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, top + HEIGHT - 6, low);
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" d=\"", color);
    bool open = false;
    for (size_t p = 0; p < WIDTH; p++) {
        size_t from = p * n / WIDTH, to = (p + 1) * n / WIDTH;
        double least = INFINITY, most = -INFINITY;
        for (size_t i = from; i < to; i++) {
            least = fmin(least, (double)v[i * stride]);
            most = fmax(most, (double)v[i * stride]);
        }
        if (from == to) continue;
        if (!(least <= most)) {
            open = false;
            continue;
        }
        double a = top + 20 + (high - most) / span * (HEIGHT - 30),
               b = top + 20 + (high - least) / span * (HEIGHT - 30);
        fprintf(f, "%c%d %.1fV%.1f", open ? 'L' : 'M', (int)p + LEFT, a, b);
        open = true;
    }
    fputs("\"/>\n", f);
}

static bool write_svg(FILE *f, const rc__detect_drawing *d, const rc__detect_model *m, double threshold) {
    size_t C = d->channels, alarms = 0;
    int height = (int)(C + 1) * HEIGHT + 40;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"11\">\n",
            WIDTH + LEFT + 20, height);
    fputs("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<g stroke=\"#d33\" stroke-opacity=\"0.6\">\n", f);
    for (size_t i = 0; i < d->n; i++) {
        if (!d->alarm[i]) continue;
        double at = LEFT + (double)i * WIDTH / (double)d->n;
        fprintf(f, "<path d=\"M%.1f 16V%d\"/>\n", at, height - 24);
        alarms++;
    }
    fputs("</g>\n", f);
    for (size_t c = 0; c < C; c++) strip(f, d->x + c, C, d->n, (int)c * HEIGHT, m->name[c], "#246");
    char name[96];
    snprintf(name, sizeof name, "score: %zu alarms at %.4g", alarms, threshold);
    strip(f, d->score, 1, d->n, (int)C * HEIGHT, name, "#b50");
    fprintf(f, "<text x=\"%d\" y=\"%d\">", LEFT, height - 8);
    put_escaped(f, d->first);
    fprintf(f, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LEFT + WIDTH, height - 8);
    put_escaped(f, d->last);
    fputs("</text>\n</svg>\n", f);
    return !ferror(f);
}

rc_status rc__detect_draw(const rc__detect_drawing *d, const char *path, const rc__detect_model *m, double threshold,
                          rc_error *e) {
    rc__writer w;
    rc_status s = rc__writer_open(&w, path, e);
    if (s != RC_OK) return s;
    if (write_svg(w.f, d, m, threshold)) return rc__writer_commit(&w, e);
    rc__writer_abort(&w);
    return rc_fail(e, RC_EIO, "%s: cannot be written", path);
}
