/* schedule.c - the factor on the learning rate as a function of the steps done and of the fraction of the run done.
 *
 * Everything that must end with the run depends on the fraction p in [0, 1], so a budget of time and one of steps decay
 * alike.
 *   warm-up      (step + 1) / warmup while step < warmup, times the factor below; so the first update has a rate above
 * 0
 *   STEP         gamma^floor(p / every)                                 torch StepLR
 *   EXPONENTIAL  gamma^p                                                torch ExponentialLR with gamma^(1/steps)
 *   COSINE       floor + (1 - floor) (1 + cos(pi p)) / 2                torch CosineAnnealingLR
 *   ONE_CYCLE    cosine from 1/25 up to 1 at peak_at, cosine down to floor   torch OneCycleLR; Smith & Topin 2018
 *   INVERSE_SQRT sqrt(w / max(step + 1, w)), w = max(warmup, 1)         Vaswani et al. 2017, 5.3, its peak scaled to 1
 *   PLATEAU      gamma^(times that `patience` was exceeded)   torch ReduceLROnPlateau, threshold 1e-4 relative */
#include "recur/optim.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define PI                3.14159265358979323846
#define ONE_CYCLE_START   (1.0 / 25)
#define PLATEAU_THRESHOLD 1e-4

static const char *const kind_names[] = {"constant",  "step",         "exponential", "cosine",
                                         "one-cycle", "inverse-sqrt", "plateau"};
#define N_KINDS (sizeof kind_names / sizeof *kind_names)

const char *rc_schedule_name(rc_schedule_kind k) { return (unsigned)k < N_KINDS ? kind_names[k] : "?"; }

bool rc_schedule_from_name(const char *name, rc_schedule_kind *k) {
    for (size_t i = 0; name && i < N_KINDS; i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *k = (rc_schedule_kind)i;
            return true;
        }
    return false;
}

rc_schedule rc_schedule_default(rc_schedule_kind kind) {
    rc_schedule s = {
        .kind = kind, .gamma = 0.5, .every = 0.25, .peak_at = 0.3, .patience = 1, .best = DBL_MAX, .factor = 1};
    if (kind == RC_SCHEDULE_EXPONENTIAL) s.gamma = 0.01;
    if (kind == RC_SCHEDULE_PLATEAU) s.gamma = 0.25;
    if (kind == RC_SCHEDULE_COSINE) s.floor = 0.02;
    return s;
}

/* From a at x = 0 to b at x = 1. */
static double cosine(double a, double b, double x) { return b + (a - b) * (1 + cos(PI * x)) / 2; }

static double one_cycle(const rc_schedule *s, double p) {
    if (p < s->peak_at) return cosine(ONE_CYCLE_START, 1, p / s->peak_at);
    return s->peak_at < 1 ? cosine(1, s->floor, (p - s->peak_at) / (1 - s->peak_at)) : 1;
}

static double decay(const rc_schedule *s, uint64_t step, double p) {
    double n = (double)step + 1, w = s->warmup ? (double)s->warmup : 1;
    switch (s->kind) {
    case RC_SCHEDULE_STEP: /* 1e-9: 0.3 / 0.1 is the third drop though it rounds to 2.9999999999999996 */
        return s->every > 0 ? pow(s->gamma, floor(p / s->every + 1e-9)) : 1;
    case RC_SCHEDULE_EXPONENTIAL: return pow(s->gamma, p);
    case RC_SCHEDULE_COSINE: return cosine(1, s->floor, p);
    case RC_SCHEDULE_ONE_CYCLE: return one_cycle(s, p);
    case RC_SCHEDULE_INVERSE_SQRT: return n > w ? sqrt(w / n) : 1;
    case RC_SCHEDULE_PLATEAU: return s->factor;
    case RC_SCHEDULE_CONSTANT: break;
    }
    return 1;
}

double rc_schedule_factor(const rc_schedule *s, uint64_t step, double progress) {
    double p = progress > 0 ? progress : 0; /* NaN too */
    double f = decay(s, step, p < 1 ? p : 1);
    f = f > s->floor ? f : s->floor;
    f = f < 1 ? f : 1;
    return step < s->warmup ? f * ((double)step + 1) / (double)s->warmup : f;
}

void rc_schedule_observe(rc_schedule *s, double validation_loss) {
    if (s->kind != RC_SCHEDULE_PLATEAU) return;
    if (validation_loss < s->best - PLATEAU_THRESHOLD * fabs(s->best)) { /* false for NaN */
        s->best = validation_loss;
        s->bad = 0;
        return;
    }
    if (++s->bad <= s->patience) return;
    s->bad = 0;
    s->factor *= s->gamma;
    if (s->factor < s->floor) s->factor = s->floor;
}
