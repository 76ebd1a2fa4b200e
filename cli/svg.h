/* svg.h - a line chart as an SVG file. */
#ifndef RECUR_CLI_SVG_H
#define RECUR_CLI_SVG_H

#include "recur/base.h"

typedef struct svg_series {
    const char *name;
    const double *x, *y; /* n points; a point that is not finite (or not positive on a log axis) is a gap */
    size_t n;
    size_t color, dash; /* dash 0 is a solid line */
} svg_series;

typedef struct svg_chart {
    const char *title, *subtitle, *x_label, *y_label;
    bool log_y;
    const svg_series *series;
    size_t n_series;
} svg_chart;

/* Written whole (cli_write_file). */
rc_status svg_write(const char *path, const svg_chart *c, rc_error *e);

#endif
