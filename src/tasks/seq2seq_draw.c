/* seq2seq_draw.c - see seq2seq_draw.h. */
#include "tasks/seq2seq_draw.h"
#include "base/file.h"
#include "data/utf8.h"
#include <stdio.h>
#include <string.h>

enum {
    CELL = 22,
    LABEL = 7,
    MOST_LABEL = 20,
    GAP = 10,
    TITLE = 44
}; /* pixels; characters of a label; its width each */

static void put_escaped(rc__string *b, rc__cell text, size_t most) {
    size_t shown = 0;
    for (size_t i = 0; i < text.len && shown < most; shown++) {
        uint32_t c;
        size_t n = rc__utf8_decode(text.text + i, text.len - i, &c);
        if (n == 0) { /* a piece of a character, as byte-level BPE has them */
            rc__string_addf(b, "\\x%02x", (unsigned)(unsigned char)text.text[i++]);
            continue;
        }
        if (c < 32 || c == 127) {
            rc__string_add(b, " ");
            i += n;
            continue;
        }
        if (c == '<')
            rc__string_add(b, "&lt;");
        else if (c == '>')
            rc__string_add(b, "&gt;");
        else if (c == '&')
            rc__string_add(b, "&amp;");
        else if (c == '"')
            rc__string_add(b, "&quot;");
        else
            rc__string_add_bytes(b, text.text + i, n);
        i += n;
        if (shown + 2 == most && i < text.len && rc__utf8_count(text.text + i, text.len - i) > 1) {
            rc__string_add(b, "\xE2\x80\xA6");
            break;
        }
    }
}

/* Without the blank that a piece of BPE begins with; a blank alone is drawn as an open box. */
static rc__cell label(rc__cell token) {
    if (token.len == 1 && token.text[0] == ' ') return (rc__cell){"\xE2\x90\xA3", 3};
    if (token.len > 1 && token.text[0] == ' ') token.text++, token.len--;
    return token;
}

static size_t widest(const rc__cell *token, size_t n) {
    size_t most = 1;
    for (size_t i = 0; i < n; i++) {
        size_t len = rc__utf8_count(token[i].text, token[i].len);
        most = len > most ? len : most;
    }
    return most < MOST_LABEL ? most : MOST_LABEL;
}

/* White to dark blue; the weight itself is what the pointer shows. */
static void put_cell(rc__string *b, int x, int y, double w, const rc__heatmap *h, size_t row, size_t column) {
    double t = w < 0 ? 0 : w > 1 ? 1 : w;
    if (t < 0.005) return;
    rc__string_addf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"><title>", x, y,
                    CELL - 1, CELL - 1, (int)(255 - 247 * t), (int)(255 - 207 * t), (int)(255 - 148 * t));
    put_escaped(b, label(h->target[row]), MOST_LABEL);
    rc__string_add(b, " - ");
    put_escaped(b, label(h->source[column]), MOST_LABEL);
    rc__string_addf(b, ": %.2f</title></rect>\n", t);
}

void rc__heatmap_draw(rc__heatmap_svg *out, const rc__heatmap *h) {
    rc__string *b = &out->body;
    size_t rows = h->n_target < RC__HEATMAP_TOKENS ? h->n_target : RC__HEATMAP_TOKENS;
    size_t columns = h->n_source < RC__HEATMAP_TOKENS ? h->n_source : RC__HEATMAP_TOKENS;
    int left = (int)widest(h->target, rows) * LABEL + GAP;
    int top = (int)widest(h->source, columns) * LABEL + GAP;
    out->width = left + (int)columns * CELL + GAP + top / 2; /* slanted labels reach beyond the last column */
    out->height = top + (int)rows * CELL + GAP;
    rc__string_addf(b, "<rect x=\"%d\" y=\"%d\" width=\"%zu\" height=\"%zu\" fill=\"#fff\" stroke=\"#ccc\"/>\n", left,
                    top, columns * CELL, rows * CELL);
    for (size_t j = 0; j < columns; j++) {
        int x = left + (int)j * CELL + CELL / 2 + 4, y = top - 5;
        rc__string_addf(b, "<text x=\"%d\" y=\"%d\" transform=\"rotate(-60 %d %d)\">", x, y, x, y);
        put_escaped(b, label(h->source[j]), MOST_LABEL);
        rc__string_add(b, "</text>\n");
    }
    for (size_t i = 0; i < rows; i++) {
        int y = top + (int)i * CELL;
        rc__string_addf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", left - 6, y + CELL - 7);
        put_escaped(b, label(h->target[i]), MOST_LABEL);
        rc__string_add(b, "</text>\n");
        for (size_t j = 0; j < columns; j++)
            put_cell(b, left + (int)j * CELL, y, (double)h->weight[i * h->stride + j], h, i, j);
    }
    if (rows < h->n_target || columns < h->n_source) {
        rc__string_addf(
            b, "<text x=\"%d\" y=\"%d\" fill=\"#888\">%zu x %zu tokens; the first %d of a side are shown</text>\n",
            left, out->height + 8, h->n_target, h->n_source, RC__HEATMAP_TOKENS);
        out->height += 20;
    }
}

void rc__page_add(rc__page *p, rc__cell title, rc__cell text, const rc__heatmap_svg *svg) {
    rc__string *b = &p->body;
    if (p->n == RC__PAGE_MOST) {
        p->left_out++;
        return;
    }
    p->n++;
    if (p->html) {
        rc__string_add(b, "<section><p class=\"source\">");
        put_escaped(b, title, 2000);
        rc__string_add(b, "</p><p class=\"target\">");
        put_escaped(b, text, 2000);
        rc__string_addf(b, "</p>\n<svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", svg->width, svg->height,
                        svg->width, svg->height);
        rc__string_add_bytes(b, svg->body.s, svg->body.len);
        rc__string_add(b, "</svg></section>\n");
    } else {
        rc__string_addf(b, "<g transform=\"translate(10 %d)\">\n<text y=\"14\" font-weight=\"bold\">", p->height + 8);
        put_escaped(b, title, 110);
        rc__string_add(b, "</text><text y=\"32\">");
        put_escaped(b, text, 110);
        rc__string_addf(b, "</text>\n<g transform=\"translate(0 %d)\">\n", TITLE);
        rc__string_add_bytes(b, svg->body.s, svg->body.len);
        rc__string_add(b, "</g></g>\n");
        size_t longest = title.len > text.len ? title.len : text.len;
        int need = 20 + LABEL * (int)(longest < 110 ? longest : 110);
        if (svg->width + 20 > p->width) p->width = svg->width + 20;
        if (need > p->width) p->width = need;
        p->height += svg->height + TITLE + 16;
    }
    if (svg->body.failed) b->failed = true;
}

static void put_head(rc__string *b, const rc__page *p) {
    if (p->html)
        rc__string_add(b, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Alignments</title><style>\n"
                          "body { font: 14px sans-serif; color: #222; margin: 24px; }\n"
                          "section { margin-bottom: 28px; }\np { margin: 2px 0; }\n.source { font-weight: bold; }\n"
                          "svg { font: 12px sans-serif; fill: #222; }\nsvg rect:hover { stroke: #d55e00; }\n"
                          "</style></head><body>\n");
    else
        rc__string_addf(
            b,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"#fff\"/>\n",
            p->width ? p->width : 100, p->height + 10, p->width ? p->width : 100, p->height + 10);
}

rc_status rc__page_write(rc__page *p, const char *path, rc_error *e) {
    rc__string all = {0};
    put_head(&all, p);
    rc__string_add_bytes(&all, p->body.s ? p->body.s : "", p->body.len);
    if (p->html && p->left_out) rc__string_addf(&all, "<p>%zu further inputs are not drawn.</p>\n", p->left_out);
    rc__string_add(&all, p->html ? "</body></html>\n" : "</svg>\n");
    bool failed = all.failed || p->body.failed;
    rc_status s = failed ? rc_fail(e, RC_ENOMEM, "%s: out of memory", path) : rc__file_write(path, all.s, all.len, e);
    rc__string_free(&all);
    return s;
}
