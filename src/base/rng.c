/* rng.c - counter-based random numbers (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011). */
#include "base/rng.h"
#include <math.h>

rc_rng rc_rng_make(uint64_t seed, uint64_t stream) { return (rc_rng){.seed = seed, .stream = stream}; }

uint32_t rc_rng_u32(rc_rng *r) {
    uint32_t word[4];
    rc__rng_block(r, r->position / 4, word);
    return word[r->position++ % 4];
}

double rc_rng_uniform(rc_rng *r) { return rc_rng_u32(r) * 0x1p-32; }

/* Box-Muller. The half keeps the logarithm finite: the largest value is sqrt(-2 log 2^-33) = 6.8. */
double rc_rng_normal(rc_rng *r) {
    double u = (rc_rng_u32(r) + 0.5) * 0x1p-32;
    double v = rc_rng_u32(r) * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(6.283185307179586476925 * v);
}

/* The upper half of a 64 x 64 bit product (Lemire, "Fast random integer generation in an interval", 2019, without its
 * rejection: the bias is below n / 2^64). */
uint64_t rc_rng_below(rc_rng *r, uint64_t n) {
    uint64_t high = rc_rng_u32(r);
    uint64_t low = rc_rng_u32(r);
    uint64_t n1 = n >> 32, n0 = (uint32_t)n;
    uint64_t carry = (low * n0) >> 32, mid = high * n0 + carry, mid2 = low * n1 + (uint32_t)mid;
    return high * n1 + (mid >> 32) + (mid2 >> 32);
}
