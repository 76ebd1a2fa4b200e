/* forecast_svg.h - forecasts as a picture: for each series the end of its history, the forecast and its bands. */
#ifndef RC_FORECAST_SVG_H
#define RC_FORECAST_SVG_H
#include "tasks/forecast.h"

#define RC_FC_MOST_CHARTS 24 /* series in one picture; the first ones */

typedef struct rc__fc_chart rc__fc_chart;
rc_status rc__fc_chart_begin(rc__fc_chart **out, const char *path, const rc__forecast *m, const rc__series *s, size_t H,
                             rc_error *e);
void rc__fc_chart_add(rc__fc_chart *c, size_t group, size_t target, const double *point, const double *quantile);
/* Writes the file when all went well so far; returns that, or what went wrong. Frees it. */
rc_status rc__fc_chart_end(rc__fc_chart *c, rc_status so_far, rc_error *e);
#endif
