/* smoothing.h - exponential smoothing as an op. */
#ifndef RC_SMOOTHING_H
#define RC_SMOOTHING_H
#include "recur/tape.h"

/* Holt-Winters smoothing without trend, multiplicative season of m steps (Smyl 2020, "A hybrid method of exponential
 * smoothing and recurrent neural networks for time series forecasting", equations 1 and 2), each row of B for itself:
 *   l_t     = alpha y_t / s_t + (1 - alpha) l_{t-1}          l before the first observed step: y / s of that step
 *   s_{t+m} = gamma y_t / l_t + (1 - gamma) s_t
 * y (T, B) above 0 and observed (T, B) are borrowed; where observed is 0 nothing changes: l_t = l_{t-1}, s_{t+m} = s_t.
 * alpha, gamma (B) in (0, 1); log_season (B, m): ln s of the m phases, step t begins at phase[b] + t. gamma NULL: no
 * season, all s = 1, and log_season is not read (NULL).
 * -> (2 T + m, B): ln l_0 .. ln l_{T-1}, then ln s_0 .. ln s_{T+m-1} (m = 1 without a season). A row without an
 * observed step has l = 1. */
rc_var *rc__holt_winters(rc_tape *t, size_t T, size_t B, const rc_real *y, const rc_real *observed, rc_var *alpha,
                         rc_var *gamma, rc_var *log_season, const int32_t *phase);
#endif
