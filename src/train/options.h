/* options.h - training options as JSON, and what of them may change when a run goes on. */
#ifndef RC_TRAIN_OPTIONS_H
#define RC_TRAIN_OPTIONS_H
#include "recur/train.h"
#include <jansson.h>

json_t *rc__train_option_json(const rc_option *o, const rc_train_options *options);
json_t *rc__train_config_json(const rc_train_options *o); /* a new reference; NULL when out of memory or not UTF-8 */
/* Puts into config (read from a run) what `given` says beyond the defaults; RC_EINVAL when it may not change. */
rc_status rc__train_merge_resume(rc_train_options *config, const rc_train_options *given, rc_error *e);
/* The learning rate of a run: o->lr, or what 0 stands for (half of it for blocks of attention). */
double rc__train_lr(const rc_train_options *o);
#endif
