/* seq2seq_draw.h - what a decoder looked at, as heat maps: rows are tokens that it wrote, columns those of the source. */
#ifndef RC_SEQ2SEQ_DRAW_H
#define RC_SEQ2SEQ_DRAW_H
#include "base/string.h"
#include "data/source.h"

typedef struct rc__heatmap {
    const rc__cell *source, *target;
    size_t n_source, n_target;
    const rc_real *weight; /* (n_target, stride) */
    size_t stride;
} rc__heatmap;

#define RC__HEATMAP_TOKENS 80 /* of a side; the rest is left out, and said */

/* A picture of its own size in pixels, for rc__page_add. */
typedef struct rc__heatmap_svg {
    rc__string body;
    int width, height;
} rc__heatmap_svg;
void rc__heatmap_draw(rc__heatmap_svg *out, const rc__heatmap *h); /* body.failed: out of memory */

/* One file: SVG, pictures below each other; or HTML, whole in itself, with the texts above each. */
typedef struct rc__page {
    bool html;
    rc__string body;
    int width, height;
    size_t n, left_out;
} rc__page;
#define RC__PAGE_MOST 100 /* pictures; further ones are counted */
void rc__page_add(rc__page *p, rc__cell title, rc__cell text, const rc__heatmap_svg *svg);
rc_status rc__page_write(rc__page *p, const char *path, rc_error *e);
#endif
