/* svg.c - draws a line chart: axes with round numbers or decades, grid, lines, a label at each line's end and a legend.
 * Colours are Okabe & Ito's, which colour-blind readers can tell apart; lines differ in dash pattern too.
 */
#include "svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { W = 800, H = 460, LEFT = 84, RIGHT = 190, TOP = 64, BOTTOM = 60 };

static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                     "#e69f00", "#56b4e9", "#000000", "#8c6d31"};
static const char *const dashes[] = {"", "7 3", "2 3", "9 3 2 3"};
#define N_COLORS (sizeof colors / sizeof *colors)
#define N_DASHES (sizeof dashes / sizeof *dashes)

typedef struct axis {
    double min, max; /* of the data; log10 when log */
    bool log;
    double pixel0, pixel1;
} axis;

static bool usable(double v, bool log_scale) { return isfinite(v) && (!log_scale || v > 0); }

static double place(const axis *a, double v) {
    double t = a->log ? log10(v) : v;
    return a->pixel0 + (t - a->min) / (a->max - a->min) * (a->pixel1 - a->pixel0);
}

static void fit(axis *a, const svg_chart *c, bool vertical) {
    a->min = INFINITY;
    a->max = -INFINITY;
    for (size_t s = 0; s < c->n_series; s++)
        for (size_t i = 0; i < c->series[s].n; i++) {
            double v = vertical ? c->series[s].y[i] : c->series[s].x[i];
            if (!usable(v, a->log)) continue;
            v = a->log ? log10(v) : v;
            a->min = fmin(a->min, v);
            a->max = fmax(a->max, v);
        }
    if (!(a->min <= a->max)) { /* nothing to draw */
        a->min = 0;
        a->max = 1;
    }
    if (a->log) { /* whole decades, but no more than 24: below that everything is zero in single precision */
        a->max = ceil(a->max - 1e-9);
        a->min = fmax(floor(a->min + 1e-9), a->max - 24);
    }
    if (a->max - a->min < 1e-12) a->max = a->min + 1;
}

/* 1, 2 or 5 times a power of ten, so that there are about n steps. */
static double round_step(double span, int n) {
    double raw = span / n, power = pow(10, floor(log10(raw))), f = raw / power;
    return power * (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10);
}

static void text(FILE *f, double x, double y, const char *attributes, const char *s) {
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *s; s++) {
        if (*s == '<')
            fputs("&lt;", f);
        else if (*s == '>')
            fputs("&gt;", f);
        else if (*s == '&')
            fputs("&amp;", f);
        else
            fputc(*s, f);
    }
    fputs("</text>\n", f);
}

static void grid(FILE *f, double x0, double y0, double x1, double y1) {
    fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", x0, y0, x1, y1);
}

static void draw_x(FILE *f, const axis *x) {
    char label[32];
    double step = round_step(x->max - x->min, 8);
    double first = ceil(x->min / step) * step;
    for (int i = 0; first + i * step <= x->max + step * 1e-6; i++) {
        double v = first + i * step;
        double at = place(x, v);
        grid(f, at, TOP, at, H - BOTTOM);
        snprintf(label, sizeof label, "%g", fabs(v) < step * 1e-6 ? 0 : v);
        text(f, at, H - BOTTOM + 18, "text-anchor=\"middle\"", label);
    }
}

static void draw_y(FILE *f, const axis *y) {
    char label[64];
    double step = y->log ? fmax(1, ceil((y->max - y->min) / 9)) : round_step(y->max - y->min, 6);
    double first = y->log ? y->max : ceil(y->min / step) * step;
    if (y->log) step = -step; /* from the top: the largest is a whole decade */
    for (int i = 0;; i++) {
        double t = first + i * step;
        if (y->log ? t < y->min - 1e-9 : t > y->max + step * 1e-6) break;
        double at = y->pixel0 + (t - y->min) / (y->max - y->min) * (y->pixel1 - y->pixel0);
        grid(f, LEFT, at, W - RIGHT, at);
        if (y->log) {
            fprintf(
                f,
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">10<tspan dy=\"-5\" font-size=\"9\">%d</tspan></text>\n",
                LEFT - 8, at + 4, (int)lround(t));
        } else {
            snprintf(label, sizeof label, "%g", fabs(t) < step * 1e-6 ? 0 : t);
            text(f, LEFT - 8, at + 4, "text-anchor=\"end\"", label);
        }
    }
}

/* A point below the axis (an underflown gradient) lies on its edge; a zero ends the line there. */
static void draw_line(FILE *f, const svg_series *s, const axis *x, const axis *y) {
    bool pen = false;
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\"",
            colors[s->color % N_COLORS]);
    if (*dashes[s->dash % N_DASHES]) fprintf(f, " stroke-dasharray=\"%s\"", dashes[s->dash % N_DASHES]);
    fputs(" d=\"", f);
    for (size_t i = 0; i < s->n; i++) {
        if (!usable(s->x[i], x->log) || !usable(s->y[i], y->log)) {
            pen = false;
            continue;
        }
        fprintf(f, "%s%.1f %.1f", pen ? "L" : "M", place(x, s->x[i]), fmin(place(y, s->y[i]), H - BOTTOM));
        pen = true;
    }
    fputs("\"/>\n", f);
}

static void draw_legend(FILE *f, const svg_chart *c) {
    for (size_t k = 0; k < c->n_series; k++) {
        const svg_series *s = &c->series[k];
        const char *dash = dashes[s->dash % N_DASHES];
        double y = TOP + 12 + 20 * (double)k, x = W - RIGHT + 16;
        fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\" ", x, y - 4,
                x + 28, y - 4, colors[s->color % N_COLORS]);
        fprintf(f, "stroke-dasharray=\"%s\"/>\n", *dash ? dash : "none");
        text(f, x + 34, y, "", s->name);
    }
}

static void draw(FILE *f, const svg_chart *c) {
    axis x = {.pixel0 = LEFT, .pixel1 = W - RIGHT}, y = {.log = c->log_y, .pixel0 = H - BOTTOM, .pixel1 = TOP};
    fit(&x, c, false);
    fit(&y, c, true);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<rect width=\"%d\" height=\"%d\" "
            "fill=\"#fff\"/>\n",
            W, H, W, H, W, H);
    text(f, LEFT, 26, "font-size=\"17\" font-weight=\"bold\"", c->title);
    text(f, LEFT, 46, "fill=\"#666\"", c->subtitle);
    draw_x(f, &x);
    draw_y(f, &y);
    fprintf(f, "<path fill=\"none\" stroke=\"#222\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, H - BOTTOM, W - RIGHT);
    text(f, (LEFT + W - RIGHT) / 2.0, H - 18, "text-anchor=\"middle\"", c->x_label);
    fprintf(f, "<g transform=\"translate(24 %.1f) rotate(-90)\">", (TOP + H - BOTTOM) / 2.0);
    text(f, 0, 0, "text-anchor=\"middle\"", c->y_label);
    fputs("</g>\n", f);
    for (size_t k = 0; k < c->n_series; k++) draw_line(f, &c->series[k], &x, &y);
    draw_legend(f, c);
    fputs("</svg>\n", f);
}

rc_status svg_write(const char *path, const svg_chart *c, rc_error *e) {
    char *drawn = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&drawn, &len);
    if (f) draw(f, c);
    bool ok = f && !ferror(f);
    if (f && fclose(f) != 0) ok = false;
    rc_status s = ok ? cli_write_file(path, drawn, len, e) : rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    free(drawn);
    return s;
}
