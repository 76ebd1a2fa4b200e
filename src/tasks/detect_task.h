/* detect_task.h - the task detect, for task.c. */
#ifndef RC_DETECT_TASK_H
#define RC_DETECT_TASK_H
#include "tasks/task.h"
extern const rc__task_kind rc__task_detect;
#endif
