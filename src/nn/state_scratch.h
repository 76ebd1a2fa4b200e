/* state_scratch.h - a block that a state carries for the one who steps it (a task's inputs, outputs), so that steps
 * allocate nothing and one const model serves many states at once. */
#ifndef RC_STATE_SCRATCH_H
#define RC_STATE_SCRATCH_H
#include "recur/rnn.h"

/* len elements, kept between calls with the same or a smaller len, not cleared; freed with the state, not copied with
 * it. NULL when out of memory. rc_rnn_step does not use this block. */
rc_real *rc__state_scratch(rc_state *s, size_t len);
#endif
