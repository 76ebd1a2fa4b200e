/* distribution.h - draws from the distributions whose parameters a network gives at a position, and their means. params
 * are those of one position, as rc_gaussian_nll, rc_student_t_nll and rc_negative_binomial_nll (recur/tape.h) read
 * them. A draw takes as many numbers from the generator as it needs, which depends on what it draws; parameters that
 * are not finite give NaN. */
#ifndef RC_DISTRIBUTION_H
#define RC_DISTRIBUTION_H
#include "recur/base.h"

double rc__draw_gaussian(const rc_real *params, rc_rng *r);
double rc__draw_student_t(const rc_real *params, rc_rng *r);
double rc__draw_negative_binomial(const rc_real *params, double scale, rc_rng *r); /* scale > 0; a count */

double rc__mean_gaussian(const rc_real *params); /* that of Student's t too */
double rc__mean_negative_binomial(const rc_real *params, double scale);
#endif
