/* sequences.c - see sequences.h. */
#include "data/sequences.h"
#include "base/mem.h"
#include "data/strtab.h"
#include <float.h>
#include <math.h>
#include <string.h>

rc_status rc__sequences_step(rc__sequences *q, const double *values, rc_error *e) {
    rc_status s = rc__grow((void **)&q->x, &q->cap_x, (q->steps + 1) * q->channels, sizeof *q->x, e);
    if (s != RC_OK) return s;
    for (size_t c = 0; c < q->channels; c++) {
        if (fabs(values[c]) > (double)FLT_MAX)
            return rc_fail(e, RC_EDATA, "a value of %g, which a float does not hold", values[c]);
        q->x[q->steps * q->channels + c] = values[c];
    }
    q->steps++;
    return RC_OK;
}

rc_status rc__sequences_end(rc__sequences *q, rc_error *e) {
    rc_status s = rc__grow((void **)&q->start, &q->cap_start, q->n + 2, sizeof *q->start, e);
    if (s != RC_OK) return s;
    if (q->n == 0) q->start[0] = 0;
    q->start[++q->n] = q->steps;
    return RC_OK;
}

void rc__sequences_free(rc__sequences *q) {
    rc__free(q->start, q->cap_start * sizeof *q->start);
    rc__free(q->x, q->cap_x * sizeof *q->x);
    *q = (rc__sequences){0};
}

/* ---- scaling ----------------------------------------------------------------------------------------------------- */

/* Shift and scale of steps [from, to) of channel c; false: no value or no variation. */
static bool measure(const rc__sequences *q, size_t from, size_t to, size_t c, bool range, double *shift, double *scale) {
    double sum = 0, squares = 0, low = INFINITY, high = -INFINITY;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        double v = q->x[i * q->channels + c];
        if (isnan(v)) continue;
        n++;
        sum += v;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    *shift = n ? range ? low : sum / (double)n : 0;
    *scale = 1;
    if (n == 0 || !(high > low)) return false;
    for (size_t i = from; i < to; i++) {
        double v = q->x[i * q->channels + c];
        if (!isnan(v)) squares += (v - *shift) * (v - *shift);
    }
    double spread = range ? high - low : sqrt(squares / (double)n);
    if (!(spread > 0) || !isfinite(spread)) return false;
    *scale = spread;
    return true;
}

rc_status rc__scaler_fit(rc__scaler *s, rc__scaling kind, const rc__sequences *q, rc_error *e) {
    *s = (rc__scaler){.kind = kind, .channels = q->channels};
    s->shift = rc__calloc(q->channels, sizeof *s->shift);
    s->scale = rc__calloc(q->channels, sizeof *s->scale);
    if (!s->shift || !s->scale) {
        rc__scaler_free(s);
        return rc_fail(e, RC_ENOMEM, "out of memory (%zu channels)", q->channels);
    }
    for (size_t c = 0; c < q->channels; c++) {
        s->scale[c] = 1;
        if (kind == RC__SCALE_ZSCORE || kind == RC__SCALE_MINMAX)
            measure(q, 0, q->steps, c, kind == RC__SCALE_MINMAX, &s->shift[c], &s->scale[c]);
    }
    return RC_OK;
}

void rc__scaler_free(rc__scaler *s) {
    rc__free(s->shift, s->channels * sizeof *s->shift);
    rc__free(s->scale, s->channels * sizeof *s->scale);
    *s = (rc__scaler){0};
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* One channel of one row: `stride` numbers from step to step of out. */
static void put_channel(const rc__sequences *q, size_t at, size_t steps, size_t c, double shift, double scale, bool mask,
                        rc_real *out, size_t stride) {
    rc_real last = 0;
    double gap = 0;
    for (size_t t = 0; t < steps; t++, out += stride) {
        double v = q->x[(at + t) * q->channels + c];
        bool seen = !isnan(v);
        if (seen) last = (rc_real)((v - shift) / scale);
        out[0] = last;
        if (mask) {
            out[1] = seen;
            out[2] = (rc_real)fmin(gap / 10, 1);
            gap = seen ? 1 : gap + 1;
        }
    }
}

void rc__sequences_batch(const rc__sequences *q, const rc__scaler *s, bool mask, const uint32_t *index, const size_t *from,
                         const int32_t *lengths, size_t n, size_t T, rc_real *x) {
    size_t per = mask ? 3 : 1, width = q->channels * per;
    memset(x, 0, T * n * width * sizeof *x);
    for (size_t r = 0; r < n; r++) {
        size_t first = q->start[index[r]], at = first + (from ? from[r] : 0);
        for (size_t c = 0; c < q->channels; c++) {
            double shift = s->shift[c], scale = s->scale[c];
            if (s->kind == RC__SCALE_SERIES) measure(q, first, q->start[index[r] + 1], c, false, &shift, &scale);
            put_channel(q, at, (size_t)lengths[r], c, shift, scale, mask, x + r * width + c * per, n * width);
        }
    }
}
