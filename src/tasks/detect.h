/* detect.h - finding anomalies in series: a network that forecasts (or reconstructs) rows, and what its errors say.
 *
 * Everything is causal: the score of a row is a function of that row and of those before it. Training, eval, predict
 * and watch put rows through one engine (detect_score.h) one by one, so where a file is cut, and whether it is a file
 * at all, changes no bit. */
#ifndef RC_DETECT_H
#define RC_DETECT_H
#include "data/table.h"
#include "data/timestamp.h"
#include "tasks/task.h"

enum { RC__DETECT_FORECAST, RC__DETECT_AUTOENCODER };
enum { RC__DETECT_POINT, RC__DETECT_GAUSSIAN, RC__DETECT_STUDENT_T };
extern const char *const rc__detect_kinds[2], *const rc__detect_likelihoods[3];

#define RC__DETECT_MAX_CHANNELS 1024
#define RC__DETECT_CLOCK        12 /* inputs that tell the time: four harmonics of the day, two of the week */

/* What is declared; in the model file. Rows are the unit of all windows: none is a share of the data, so that a longer
 * file gives its first rows the same scores. */
typedef struct rc__detect_options {
    rc_rnn_options rnn; /* input_size is found from the rest */
    int kind, likelihood;
    size_t channels;
    size_t lags;    /* forecast: so many rows before are inputs, beside what the state remembers */
    size_t window;  /* autoencoder: rows that are reconstructed, the newest of them the one that is scored */
    size_t code;    /* autoencoder: numbers that the window has to go through */
    bool clock;     /* the time of day and of the week are inputs */
    size_t history; /* likelihood: rows of errors whose mean and deviation are the normal ones */
    size_t recent;  /* ... and the rows whose mean error is compared with it */
    size_t quiet;   /* an alarm is repeated within so many rows only when the score rises */
    size_t settle;  /* first rows, scored 0 */
    double range;   /* a value beyond all before it by this share of their range is an alarm; < 0: no such rule */
    double threshold;
    /* learning while it runs, when that is asked for */
    size_t online_every; /* rows between updates */
    size_t online_rows;  /* steps of a window that is learnt from */
    size_t online_batch; /* windows of an update: the newest and earlier ones */
    size_t online_keep;  /* rows that are kept to learn from */
    double online_lr;
} rc__detect_options;
rc__detect_options rc__detect_options_default(void);

/* ---- the network: detect_net.c ----------------------------------------------------------------------------------- */

/* Forecast: h_t = rnn(x_t), x_t = [the last `lags` rows, squashed; whether the newest value of each channel was there;
 * the clock of row t]; parameters of the distribution of row t = W [h_t; x_t] + b, so a linear autoregression stands
 * beside the recurrence (LSTNet's, Lai 2018, arXiv 1703.07015, section 3.6).
 * Autoencoder: Malhotra 2016 (arXiv 1607.00148), section 2.1: an encoder reads rows t-window+1..t, its last h goes
 * through `code` numbers, and a decoder makes the rows in reverse order, row t first. */
typedef struct rc__detect_net {
    rc__detect_options o;
    rc_params *ps;
    rc_rnn *rnn, *decoder;
    rc_param *w, *b, *code_w, *code_b;
    size_t inputs; /* of the rnn */
    size_t P;      /* numbers that describe one channel's distribution: 1, 2, 3 */
} rc__detect_net;
/* Declares the parameters; ps is to be built afterwards. */
rc_status rc__detect_net_new(rc__detect_net **out, const rc__detect_options *o, rc_error *e);
void rc__detect_net_free(rc__detect_net *n);
/* x (T, B, inputs), targets (T, B, C) with NaN for missing ones. Autoencoder: T = window. */
rc_var *rc__detect_net_loss(rc_tape *t, const rc__detect_net *n, const rc_real *x, const rc_real *targets, size_t T,
                            size_t B);
/* Autoencoder: what the network makes of the newest row of x (window, 1, inputs): out (C P). */
rc_status rc__detect_net_newest(rc_tape *t, const rc__detect_net *n, const rc_real *x, rc_real *out, rc_error *e);
/* Forecast: W [h; x] + b. */
void rc__detect_net_head(const rc__detect_net *n, const rc_real *h, const rc_real *x, rc_real *out);
/* How surprising z is under P numbers of the network: |z - mean| (point), else ln(p(mode) / p(z)). */
double rc__detect_surprise(const rc__detect_net *n, const rc_real *p, double z);

/* One row as the network is told it. */
typedef struct rc__detect_row {
    const rc_real *z;     /* (C) values, in deviations from the mean; NaN = missing */
    const rc_real *clock; /* (RC__DETECT_CLOCK) or NULL */
} rc__detect_row;
/* The input at a row: before[k] is the row k + 1 earlier, z NULL where there is none. Autoencoder: row alone. */
void rc__detect_net_input(const rc__detect_net *n, const rc__detect_row *row, const rc_real *const *before, rc_real *x);

/* ---- models: detect_file.c --------------------------------------------------------------------------------------- */

typedef struct rc__detect_model {
    rc_model base;
    rc__detect_net *net;
    char **name;          /* (C) of the channels */
    size_t *column;       /* (C) where they are in a file without headings, from 0 */
    size_t time_column;   /* the same; SIZE_MAX: there is no time */
    char *time_name;      /* NULL: no heading, or no time */
    double *mean, *scale; /* (C) */
    bool has_style;
    rc__time_style style;
    bool header;    /* the training file had one */
    char *label;    /* heading of the column with labels, NULL when there is none */
    char delimiter; /* 0 = found out */
} rc__detect_model;
rc_status rc__detect_model_new(rc__detect_model **out, const rc__detect_options *o, rc_error *e);
void rc__detect_model_free(rc__detect_model *m);
void rc__detect_clock(int64_t time, int offset, rc_real clock[RC__DETECT_CLOCK]);
/* z (C) of values x (C). */
void rc__detect_normalise(const rc__detect_model *m, const double *x, rc_real *z);

rc_status rc__detect_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__detect_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
rc_status rc__detect_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                          rc_error *e);
rc_status rc__detect_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__detect_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink,
                             rc_error *e);
#endif
