/* forecast_svg.c - see forecast_svg.h. */
#include "tasks/forecast_svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define WIDTH  860.0
#define HEIGHT 220.0 /* of one series */
#define LEFT   80.0
#define RIGHT  20.0
#define TOP    28.0
#define BOTTOM 30.0

struct rc__fc_chart {
    rc__writer w;
    const rc__forecast *m;
    const rc__series *s;
    size_t H, n, of;
};

static void put_text(FILE *f, const char *text) {
    for (; *text; text++) switch (*text) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        default:
            if ((unsigned char)*text >= 32) fputc(*text, f);
        }
}

rc_status rc__fc_chart_begin(rc__fc_chart **out, const char *path, const rc__forecast *m, const rc__series *s, size_t H,
                             rc_error *e) {
    *out = NULL;
    rc__fc_chart *c = rc__calloc(1, sizeof *c);
    if (!c) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    size_t S = s->n_groups * s->schema->n_targets;
    *c = (rc__fc_chart){.m = m, .s = s, .H = H, .of = S < RC_FC_MOST_CHARTS ? S : RC_FC_MOST_CHARTS};
    rc_status st = rc__writer_open(&c->w, path, e);
    if (st != RC_OK) {
        rc__free(c, sizeof *c);
        return st;
    }
    fprintf(
        c->w.f,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        WIDTH, HEIGHT * (double)c->of);
    *out = c;
    return RC_OK;
}

typedef struct scale {
    double x0, dx, low, high, top;
} scale;
static double px(const scale *k, double i) { return k->x0 + k->dx * i; }
static double py(const scale *k, double v) {
    return k->top + TOP + (HEIGHT - TOP - BOTTOM) * (1 - (v - k->low) / (k->high - k->low));
}

static void put_line(FILE *f, const scale *k, const double *y, size_t n, size_t from, const char *style) {
    bool open = false;
    fprintf(f, "<path fill=\"none\" %s d=\"", style);
    for (size_t i = 0; i < n; i++) {
        if (isfinite(y[i])) fprintf(f, "%c%.1f %.1f", open ? 'L' : 'M', px(k, (double)(from + i)), py(k, y[i]));
        open = isfinite(y[i]);
    }
    fputs("\"/>\n", f);
}

static void put_band(FILE *f, const scale *k, const double *q, size_t H, size_t Q, size_t low, size_t from) {
    fprintf(f, "<path fill=\"#3b6fb5\" fill-opacity=\"0.18\" d=\"");
    for (size_t j = 0; j < H; j++)
        fprintf(f, "%c%.1f %.1f", j ? 'L' : 'M', px(k, (double)(from + j)), py(k, q[j * Q + low]));
    for (size_t j = H; j-- > 0;) fprintf(f, "L%.1f %.1f", px(k, (double)(from + j)), py(k, q[j * Q + Q - 1 - low]));
    fputs("Z\"/>\n", f);
}

void rc__fc_chart_add(rc__fc_chart *c, size_t group, size_t target, const double *point, const double *quantile) {
    if (c->n == c->of) return;
    FILE *f = c->w.f;
    const rc__group *g = &c->s->group[group];
    const double *y = rc__series_y(c->s, group, target);
    size_t H = c->H, Q = c->m->c.n_quantiles, past = g->n < 3 * H ? g->n : 3 * H;
    if (past < 2 * c->m->c.season) past = g->n < 2 * c->m->c.season ? g->n : 2 * c->m->c.season;
    scale k = {.x0 = LEFT,
               .dx = (WIDTH - LEFT - RIGHT) / (double)(past + H),
               .low = INFINITY,
               .high = -INFINITY,
               .top = HEIGHT * (double)c->n};
    char a[64];
    for (size_t i = 0; i < past; i++) {
        k.low = fmin(k.low, y[g->n - past + i]);
        k.high = fmax(k.high, y[g->n - past + i]);
    }
    bool finite = true;
    for (size_t j = 0; j < H; j++) {
        k.low = fmin(k.low, fmin(point[j], quantile ? quantile[j * Q] : point[j]));
        k.high = fmax(k.high, fmax(point[j], quantile ? quantile[j * Q + Q - 1] : point[j]));
        for (size_t i = 0; quantile && i < Q; i++) finite = finite && isfinite(quantile[j * Q + i]);
    }
    if (!(k.high > k.low)) k.low = isfinite(k.low) ? k.low - 1 : 0, k.high = k.low + 2;
    fprintf(f, "<text x=\"%g\" y=\"%g\" fill=\"#333333\">", LEFT, k.top + 18);
    put_text(f, g->id);
    if (*g->id && c->m->schema->n_targets > 1) fputc(' ', f);
    if (!*g->id || c->m->schema->n_targets > 1) put_text(f, c->m->schema->target[target]);
    fputs("</text>\n", f);
    for (int i = 0; i <= 2; i++) {
        double v = k.low + (k.high - k.low) * i / 2;
        fprintf(f,
                "<path stroke=\"#dddddd\" d=\"M%g %.1fH%g\"/><text x=\"%g\" y=\"%.1f\" text-anchor=\"end\" "
                "fill=\"#666666\">"
                "%.4g</text>\n",
                LEFT, py(&k, v), WIDTH - RIGHT, LEFT - 6, py(&k, v) + 4, v);
    }
    const size_t at[] = {0, past, past + H - 1};
    for (int i = 0; i < 3; i++) {
        fprintf(f, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"%s\" fill=\"#666666\">", px(&k, (double)at[i]),
                k.top + HEIGHT - 10,
                i == 0   ? "start"
                : i == 1 ? "middle"
                         : "end");
        put_text(f, rc__series_time(c->s, group, g->n - past + at[i], a));
        fputs("</text>\n", f);
    }
    for (size_t low = 0; quantile && finite && low < Q / 2; low += Q / 2 > 2 ? Q / 2 - 1 : 1)
        put_band(f, &k, quantile, H, Q, low, past);
    put_line(f, &k, y + g->n - past, past, 0, "stroke=\"#333333\" stroke-width=\"1.2\"");
    put_line(f, &k, point, H, past, "stroke=\"#3b6fb5\" stroke-width=\"1.8\"");
    c->n++;
}

rc_status rc__fc_chart_end(rc__fc_chart *c, rc_status so_far, rc_error *e) {
    rc_status s = so_far;
    if (s == RC_OK) {
        fputs("</svg>\n", c->w.f);
        s = rc__writer_commit(&c->w, e);
    } else {
        rc__writer_abort(&c->w);
    }
    rc__free(c, sizeof *c);
    return s;
}
