/* synthetic.c - see synthetic.h for what each source is. */
#include "data/synthetic.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/batches.h"
#include "data/source.h"

#define SOURCE_STREAM 0x736F757263653121u /* mixed into the seed: no other use of it draws these numbers */
#define MAX_T         1000000

typedef struct parameter {
    char name;
    size_t otherwise, min, max;
} parameter;

static const struct {
    const char *name;
    parameter p[3];
    size_t n;
} table[] = {
    [RC__ADDING] = {"adding", {{'T', 200, 2, MAX_T}}, 1},
    [RC__COPY] = {"copy", {{'T', 50, 1, MAX_T}, {'n', 10, 1, 10000}, {'k', 8, 2, 10000}}, 3},
    [RC__TEMPORAL_ORDER] = {"temporal-order", {{'T', 50, 10, MAX_T}}, 1},
    [RC__COUNT] = {"count", {{'T', 50, 5, MAX_T}}, 1},
};
enum { SOURCES = sizeof table / sizeof *table };

/* ---- the spec ---------------------------------------------------------------------------------------------------- */

static size_t name_length(const char *spec) {
    const char *colon = strchr(spec, ':');
    return colon ? (size_t)(colon - spec) : strlen(spec);
}

/* The nearest name; *how_far 0 = it is that name. */
static int nearest(const char *spec, size_t len, size_t *how_far) {
    int best = 0;
    *how_far = 99;
    for (int k = 0; k < SOURCES; k++) {
        size_t d = rc__edit_distance(spec, len, table[k].name, strlen(table[k].name));
        if (d < *how_far) {
            *how_far = d;
            best = k;
        }
    }
    return best;
}

bool rc__source_named(const char *spec) {
    size_t len = name_length(spec), how_far;
    nearest(spec, len, &how_far);
    if (how_far == 0) return true;
    return how_far <= 2 && spec[len] == ':' && strchr(spec, '=') != NULL && strpbrk(spec, "/\\") == NULL;
}

static rc_status read_parameters(int kind, const char *spec, size_t value[3], rc_error *e) {
    const char *name = table[kind].name, *s = spec + name_length(spec);
    bool given[3] = {false};
    char known[32] = "";
    size_t n = table[kind].n;
    for (size_t i = 0; i < n; i++) {
        value[i] = table[kind].p[i].otherwise;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%c", i ? ", " : "", table[kind].p[i].name);
    }
    while (*s) {
        s++; /* ':' first, ',' between */
        size_t len = strcspn(s, ","), i = 0;
        while (i < n && !(s[0] == table[kind].p[i].name && s[1] == '=')) i++;
        if (i == n)
            return rc_fail(e, RC_EINVAL, "source \"%s\": \"%.*s\": %s takes %s, as %s:%c=%zu", spec, (int)len, s, name,
                           known, name, table[kind].p[0].name, table[kind].p[0].otherwise);
        if (given[i]) return rc_fail(e, RC_EINVAL, "source \"%s\": %c is given twice", spec, s[0]);
        char *end;
        errno = 0;
        unsigned long long x = strtoull(s + 2, &end, 10);
        if (s[2] < '0' || s[2] > '9' || end != s + len || errno)
            return rc_fail(e, RC_EINVAL, "source \"%s\": %c: \"%.*s\" is not a whole number", spec, s[0],
                           (int)(len - 2), s + 2);
        const parameter *p = &table[kind].p[i];
        if (x < p->min || x > p->max)
            return rc_fail(e, RC_EINVAL, "source \"%s\": %c must be %zu to %zu, found %llu", spec, s[0], p->min, p->max,
                           x);
        value[i] = (size_t)x;
        given[i] = true;
        s += len;
    }
    return RC_OK;
}

rc_status rc__source_parse(rc__source *out, const char *spec, rc_error *e) {
    size_t len = name_length(spec), how_far, value[3] = {0};
    int kind = nearest(spec, len, &how_far);
    if (how_far > 0) {
        if (how_far <= 3 && len > 3)
            return rc_fail(e, RC_EINVAL, "source \"%s\": there is no \"%.*s\"; did you mean %s?", spec, (int)len, spec,
                           table[kind].name);
        return rc_fail(e, RC_EINVAL, "source \"%s\": expected adding, copy, temporal-order or count", spec);
    }
    rc_status st = read_parameters(kind, spec, value, e);
    if (st != RC_OK) return st;
    rc__source s = {.kind = (rc__source_kind)kind,
                    .name = table[kind].name,
                    .T = value[0],
                    .n = value[1],
                    .k = value[2],
                    .seq_len = value[0]};
    switch (s.kind) {
    case RC__ADDING:
        s.input_size = 2;
        s.target = RC__TARGET_VALUE;
        s.output_size = 1;
        s.baseline = 1.0 / 6; /* the variance of the sum of two uniform numbers */
        s.solved_at = 0.01;
        break;
    case RC__COPY:
        s.seq_len = s.T + 2 * s.n;
        s.vocab_size = s.output_size = s.k + 2;
        s.target = RC__TARGET_TOKENS;
        s.score_from = s.T + s.n;
        s.baseline = (double)s.n * log((double)s.k) / (double)s.seq_len;
        s.solved_at = 0.99;
        break;
    case RC__TEMPORAL_ORDER:
        s.vocab_size = 8;
        s.target = RC__TARGET_CLASS;
        s.output_size = 4;
        s.baseline = log(4);
        s.solved_at = 0.99;
        break;
    case RC__COUNT: {
        s.n = (s.T - 1) / 2;
        s.vocab_size = s.output_size = 3;
        s.target = RC__TARGET_TOKENS;
        double p = 2 / ((double)s.n + 1);
        s.baseline = -p * log(p) - (1 - p) * log(1 - p);
        s.solved_at = 0.995;
        break;
    }
    }
    *out = s;
    return RC_OK;
}

bool rc__source_solved(const rc__source *s, double score) {
    return s->target == RC__TARGET_VALUE ? score < s->solved_at : score >= s->solved_at;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void adding_row(const rc__source *s, rc_rng *g, size_t B, size_t r, rc_real *x, rc_real *values) {
    size_t half = s->T / 2, first = (size_t)rc_rng_below(g, half), second = half + (size_t)rc_rng_below(g, s->T - half);
    double sum = 0;
    for (size_t t = 0; t < s->T; t++) {
        bool marked = t == first || t == second;
        rc_real v = (rc_real)(rc_rng_u32(g) >> 8) / (rc_real)16777216; /* 24 bits: exact and below 1 in float too */
        x[(t * B + r) * 2] = v;
        x[(t * B + r) * 2 + 1] = marked;
        if (marked) sum += (double)v;
    }
    values[r] = (rc_real)sum;
}

/* 0..k-1 the symbols, k blank, k + 1 the delimiter */
static void copy_row(const rc__source *s, rc_rng *g, size_t B, size_t r, int32_t *ids, int32_t *targets) {
    int32_t blank = (int32_t)s->k;
    for (size_t t = 0; t < s->seq_len; t++) {
        ids[t * B + r] = t < s->n ? (int32_t)rc_rng_below(g, s->k) : t == s->n + s->T - 1 ? blank + 1 : blank;
        targets[t * B + r] = t < s->T + s->n ? blank : ids[(t - s->T - s->n) * B + r];
    }
}

/* 0..3 a b c d, 4 X, 5 Y, 6 E, 7 B */
static void order_row(const rc__source *s, rc_rng *g, size_t B, size_t r, int32_t *ids, int32_t *targets) {
    size_t tenth = s->T / 10, first = tenth + (size_t)rc_rng_below(g, tenth);
    size_t second = 5 * s->T / 10 + (size_t)rc_rng_below(g, tenth);
    for (size_t t = 0; t < s->T; t++) ids[t * B + r] = (int32_t)rc_rng_below(g, 4);
    int32_t one = (int32_t)rc_rng_below(g, 2), two = (int32_t)rc_rng_below(g, 2);
    ids[r] = 6;
    ids[(s->T - 1) * B + r] = 7;
    ids[first * B + r] = 4 + one;
    ids[second * B + r] = 4 + two;
    targets[r] = 2 * one + two;
}

/* 0 S, 1 a, 2 b */
static void count_row(const rc__source *s, rc_rng *g, size_t B, size_t r, int32_t *ids, int32_t *targets) {
    size_t n = 1 + (size_t)rc_rng_below(g, s->n);
    for (size_t t = 0; t < s->T; t++) {
        ids[t * B + r] = t == 0 || t > 2 * n ? 0 : t <= n ? 1 : 2;
        targets[t * B + r] = t <= n || t > 2 * n ? RC_NO_TARGET : t < 2 * n ? 2 : 0;
    }
}

void rc__source_batch(const rc__source *s, uint64_t seed, uint64_t index, size_t batch, rc_real *x, int32_t *ids,
                      rc_real *values, int32_t *targets) {
    rc_rng g = rc_rng_make(seed ^ SOURCE_STREAM, index);
    for (size_t r = 0; r < batch; r++) switch (s->kind) {
        case RC__ADDING: adding_row(s, &g, batch, r, x, values); break;
        case RC__COPY: copy_row(s, &g, batch, r, ids, targets); break;
        case RC__TEMPORAL_ORDER: order_row(s, &g, batch, r, ids, targets); break;
        case RC__COUNT: count_row(s, &g, batch, r, ids, targets); break;
        }
}
