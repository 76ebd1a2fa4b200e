/* interrupt.c - the flag that a signal handler raises and the loop reads after each step. */
#include "train/loop.h"
#include <signal.h>

static volatile sig_atomic_t stop;

void rc_train_interrupt(void) { stop = 1; }
bool rc__train_interrupted(void) { return stop != 0; }
void rc__train_interrupt_clear(void) { stop = 0; }
