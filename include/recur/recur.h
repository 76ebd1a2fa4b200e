/* recur/recur.h - the whole public interface. */
#ifndef RECUR_RECUR_H
#define RECUR_RECUR_H
#include "recur/base.h"
#include "recur/bench.h"
#include "recur/lm.h"
#include "recur/model.h"
#include "recur/optim.h"
#include "recur/option.h"
#include "recur/rnn.h"
#include "recur/tape.h"
#include "recur/text.h"
#include "recur/train.h"
#endif
