/* detect_draw.h - a series with its score and alarms as an SVG file. */
#ifndef RC_DETECT_DRAW_H
#define RC_DETECT_DRAW_H
#include "tasks/detect_score.h"

/* Rows as they come; memory for a number and a half per value of each. */
typedef struct rc__detect_drawing {
    size_t n, cap, channels; /* at most RC__DETECT_DRAWN are drawn */
    float *x, *score;
    uint8_t *alarm;
    char first[48], last[48]; /* their times */
} rc__detect_drawing;
#define RC__DETECT_DRAWN 8
rc_status rc__detect_draw_row(rc__detect_drawing *d, size_t channels, const double *x, const rc__detected *row,
                              rc__cell time, rc_error *e);
rc_status rc__detect_draw(const rc__detect_drawing *d, const char *path, const rc__detect_model *m, double threshold,
                          rc_error *e);
void rc__detect_drawing_free(rc__detect_drawing *d);
#endif
