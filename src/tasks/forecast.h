/* forecast.h - forecasting: one network for all series (a global model), its windows, scaling and file.
 *
 * A window is a series and an origin o: the network reads the `lookback` steps before o and tells of the `horizon`
 * steps from o on. All it reads and tells is (y - loc) / scale, with loc and scale of the window (rc__fc_scaling), so
 * results in the series' own units are scale * output + loc.
 *
 *   segment    SegRNN (Lin et al. 2023, arXiv 2308.11200): the lookback in segments, a linear layer and relu each, one
 *              recurrent layer over them; all segments of the horizon in one parallel step from its state, told apart
 *              by an embedding of place and series (sections 3.3 and 3.4)
 *   direct     a recurrent encoder over single steps, its last state to all steps of the horizon at once, each with the
 *              covariates of its time (the MLP of MQ-RNN, Wen et al. 2017, arXiv 1711.11053, equation 4), plus a linear
 *              part from the lookback (LSTNet, Lai et al. 2018, arXiv 1703.07015, equation 7)
 *   deepar     autoregressive (Salinas et al. 2020, arXiv 1704.04110): each step from the last ones and the covariates,
 *              a distribution each; forecasts are paths that are drawn
 *   recurrent  the same, one number each, fed with its own forecasts
 *   es-rnn     Holt-Winters smoothing whose parameters are learnt for each series, and a network over what it leaves
 *              (Smyl 2020, "A hybrid method of exponential smoothing and recurrent neural networks") */
#ifndef RC_FORECAST_TASK_H
#define RC_FORECAST_TASK_H
#include "data/epochs.h"
#include "data/series.h"
#include "recur/rnn.h"
#include "tasks/task.h"

enum { RC_FC_SEGMENT, RC_FC_DIRECT, RC_FC_DEEPAR, RC_FC_RECURRENT, RC_FC_ESRNN, RC_FC_KINDS };
enum { RC_FC_POINT, RC_FC_QUANTILE, RC_FC_GAUSSIAN, RC_FC_STUDENT_T, RC_FC_NEGATIVE_BINOMIAL, RC_FC_LIKELIHOODS };
enum { RC_FC_ZSCORE, RC_FC_MINMAX, RC_FC_SERIES, RC_FC_NONE, RC_FC_NORMALIZES };
extern const char *const rc__fc_kinds[RC_FC_KINDS], *const rc__fc_likelihoods[RC_FC_LIKELIHOODS],
                                                        *const rc__fc_normalizes[RC_FC_NORMALIZES];

#define RC_FC_MAX_QUANTILES 99
#define RC_FC_MAX_LAGS      32
#define RC_FC_MAX_HORIZON   100000
#define RC_FC_MAX_LOOKBACK  100000

typedef struct rc__fc_config {
    int kind, likelihood, normalize;
    size_t horizon, lookback, segment, season;
    rc_rnn_options rnn;
    double dropout;
    bool mask;     /* which values are missing is an input */
    bool calendar; /* so is the calendar */
    bool linear;   /* windows: a linear part beside the network (LSTNet's) */
    size_t n_lags, lag[RC_FC_MAX_LAGS];
    size_t n_quantiles;
    double quantile[RC_FC_MAX_QUANTILES];
} rc__fc_config;

/* Of a series over its training part. */
typedef struct rc__fc_stats {
    double mean, deviation, low, high, mean_abs, step; /* step: mean |y_t - y_{t-1}|; deviation, mean_abs, step > 0 */
    double mase;                                       /* rc__mase_scale with the model's season */
} rc__fc_stats;
#define RC_FC_STATS 7

#define RC_FC_NO_BANDS 1e30f

typedef struct rc__forecast {
    rc_model base;
    rc__fc_config c;
    rc__schema *schema;
    size_t n_series; /* that it was trained on; the last of stats is for all others */
    char **id;       /* of the groups: n_series / n_targets */
    size_t n_groups;
    rc__fc_stats *stats;      /* (n_series + 1) */
    double *x_mean, *x_scale; /* of varying covariates, then of fixed ones */
    rc__series *history;      /* the end of the training data, NULL in a model that has none */
    size_t baseline_lookback; /* of the linear baseline */
    rc_rnn *rnn;
    /* Models of a point: quantiles of the errors on the validation windows, scaled (es-rnn: logarithms), (horizon,
     * n_quantiles), and behind them the loss they belong to, RC_FC_NO_BANDS when there are none. NULL: a
     * distribution. */
    rc_real *bands;
    rc_param *embed_w, *embed_b, *place, *channel, *head_w, *head_b, *context_w, *context_b, *mix_w, *mix_b, *ar,
        *future_w, *baseline;
    rc_param
        *smoothing; /* es-rnn: (series, 2 + season): alpha and gamma before the sigmoid, ln of the season's phases */
} rc__forecast;

/* ---- windows ----------------------------------------------------------------------------------------------------- */

typedef struct rc__fc_window {
    uint32_t group, target;
    uint32_t origin; /* step; may be the end of the series (nothing known after it) */
} rc__fc_window;

typedef struct rc__fc_batch { /* of B windows; L = lookback, H = horizon */
    size_t B, L, H, F, n_lags;
    rc_real *past;     /* (L, B) scaled; missing values are the last one before them */
    rc_real *mask;     /* (L, B) 1 = observed */
    rc_real *future;   /* (H, B) scaled; NaN = missing */
    rc_real *features; /* (L + H, B, F) */
    rc_real *lags;     /* autoregressive kinds: (L + H, B, n_lags + 1), the last: lag 1 was observed */
    rc_real *targets;  /* autoregressive kinds: (L + H, B) */
    rc_real *scales;   /* (L + H, B): of the negative binomial */
    int32_t *series;   /* (B) numbers among those of the training, -1 = another */
    int32_t *phase; /* (B) es-rnn: the first step's place in the season, counted from the beginning of the training */
    double *loc, *scale; /* (B) */
    void *block;
    size_t bytes;
} rc__fc_batch;

static inline bool rc__fc_steps(const rc__fc_config *c) {
    return c->kind == RC_FC_DEEPAR || c->kind == RC_FC_RECURRENT;
}
size_t rc__fc_outputs(const rc__fc_config *c); /* numbers that the network gives for a step */
size_t rc__fc_features(const rc__forecast *m);
int32_t rc__fc_series(const rc__forecast *m, const char *id, size_t target); /* -1: not of the training */
/* Numbers of all series of s: (groups * targets). */
int32_t *rc__fc_series_map(const rc__forecast *m, const rc__series *s);
void rc__fc_stats_of(const double *y, size_t n, rc__fc_stats *out);
void rc__fc_scaling(const rc__forecast *m, const double *y, size_t n, size_t origin, int32_t series, double *loc,
                    double *scale);
/* Room for B windows with horizon H (for steps that are forecast one by one it may be any). */
rc_status rc__fc_batch_new(rc__fc_batch *b, const rc__forecast *m, size_t B, size_t H, rc_error *e);
void rc__fc_batch_free(rc__fc_batch *b);
/* n <= the batch's room. map: of rc__fc_series_map. */
void rc__fc_batch_fill(rc__fc_batch *b, const rc__forecast *m, const rc__series *s, const int32_t *map,
                       const rc__fc_window *w, size_t n);

/* ---- networks ---------------------------------------------------------------------------------------------------- */

rc_status rc__fc_build(rc__forecast *m, rc_error *e); /* declares the parameters of m->c; build or read them next */
/* es-rnn: alpha, gamma and season of each series of its training part, to begin with. split: (groups) its steps. */
rc_status rc__fc_start_smoothing(rc__forecast *m, const rc__series *s, const size_t *split, rc_error *e);
rc_status rc__fc_esrnn_build(rc__forecast *m, rc_error *e);
rc_var *rc__fc_esrnn_forward(rc_tape *t, rc__forecast *m, const rc__fc_batch *b,
                             rc_var **penalty); /* (H, B, P), logs */
rc_status rc__fc_add_linear(rc_params *ps, const char *name, size_t out, size_t in, rc_param **w, rc_param **b,
                            rc_error *e);
rc_var *rc__fc_cut(rc_tape *t, rc_var *x, size_t w);                          /* (S * w, B, C) -> (S, B, w * C) */
rc_var *rc__fc_of_series(rc_tape *t, rc_param *table, const rc__fc_batch *b); /* rows of series; others: the mean */
rc_var *rc__fc_loss(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, double own);
/* own: share of inputs that are the network's own forecasts (scheduled sampling). */

/* Forecasts of the batch in units of the series: point (B, H) and quantiles (B, H, n_quantiles; NULL for none).
 * samples: paths of autoregressive kinds. The draws of a window depend on seed and key[b] alone. */
typedef struct rc__fc_forecast {
    size_t H;
    double *point, *quantile;
} rc__fc_forecast;
rc_status rc__fc_run(rc_tape *t, rc__forecast *m, const rc__fc_batch *b, size_t samples, uint64_t seed,
                     const uint64_t *key, rc__fc_forecast *out, rc_error *e);
bool rc__fc_has_quantiles(const rc__forecast *m);
/* Split conformal bands (Stankeviciute et al. 2021, "Conformal time-series forecasting", without its correction for
 * many steps): sets m->bands from forecasts of n windows. */
rc_status rc__fc_fit_bands(rc__forecast *m, rc_tape *t, const rc__series *s, const int32_t *map, const rc__fc_window *w,
                           size_t n, double loss, rc_error *e);

/* ---- baselines --------------------------------------------------------------------------------------------------- */

/* Ridge regression from the lookback to each step of the horizon, one for all series, in scaled units less the last
 * value. Fits m->baseline (H, L + 1) to windows. */
rc_status rc__fc_fit_linear(rc__forecast *m, const rc__series *s, const int32_t *map, const rc__fc_window *w, size_t n,
                            rc_error *e);
void rc__fc_linear(const rc__forecast *m, const double *y, size_t origin, int32_t series, double *f);

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

/* Windows whose horizon lies in steps [from[g], to[g]) of group g, every `stride`; *out: rc__free(out, n * sizeof). A
 * group too short for one whole window that has `partial` gives the one it has. */
rc_status rc__fc_windows(const rc__forecast *m, const rc__series *s, const size_t *from, const size_t *to,
                         size_t stride, bool partial, rc__fc_window **out, size_t *n, rc_error *e);
/* A later file on its own, or joined to what came before it: when its time begins where that ends; without time, when
 * none of its series is long enough for a window. *joined says which; *later is taken over (freed when replaced). */
rc_status rc__fc_continue(const rc__forecast *m, const rc__series *earlier, rc__series **later, bool *joined,
                          rc_error *e);
/* whole: MASE's scale is the past of each window; else that of the training data, where the series is known. */
rc_status rc__fc_score(rc__forecast *m, rc_tape *t, const rc__series *s, const rc__fc_window *w, size_t n, size_t batch,
                       size_t samples, uint64_t seed, bool whole, bool details, json_t *out, rc_error *e);

/* ---- files ------------------------------------------------------------------------------------------------------- */
rc__forecast *rc__fc_new(rc_error *e);
void rc__fc_free(rc_model *m);
rc_status rc__fc_document(const rc_model *m, json_t *doc, rc_error *e);
rc_status rc__fc_tensors(const rc_model *m, rc__st_list *list, rc_error *e);
rc_status rc__fc_open(rc_model **out, const rc__st_file *file, const json_t *doc, const char *where, rc_error *e);
rc_status rc__fc_series_options(const rc_data_options *d, rc__series_options *out, rc_error *e);
rc_status rc__fc_eval(rc_model *m, const char *path, const rc_eval_options *o, json_t *out, rc_error *e);
rc_status rc__fc_predict(rc_model *m, const char *path, const rc_predict_options *o, const rc_sink *sink, rc_error *e);
rc_status rc__fc_make(rc__task **out, const rc_train_options *o, const char *initial, const rc_train_hooks *hooks,
                      rc_error *e);
size_t rc__fc_explain(const rc_model *m, size_t batch, size_t seq_len, char *out, size_t cap);
#endif
