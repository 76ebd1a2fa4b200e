/* runfolder.h - the folder of one training run (docs/training.md has its layout).
 *
 * Logs are appended a whole line or record at a time; everything else is written to a temporary name and renamed. While
 * the run is alive its process holds an flock on <run>/lock; the kernel drops it however the process ends. */
#ifndef RC_RUNFOLDER_H
#define RC_RUNFOLDER_H
#include "recur/train.h"
#include "train/tfevents.h"
#include <jansson.h>

typedef struct rc__run {
    char path[512];
    int lock_fd, metrics_fd, samples_fd; /* -1 = not open */
    rc__tfevents *events;
    double created; /* Unix time */
    char *config;   /* the bytes of config.json, for rc__run_hold */
    size_t config_len;
    bool lost; /* another folder is in its place: nothing of it may be written */
} rc__run;

/* How long the logs were when a checkpoint was saved: what is beyond was written by steps that are repeated. */
typedef struct rc__log_lengths {
    int64_t metrics, samples; /* bytes; -1 = not known */
} rc__log_lengths;

/* A new folder: o->run, or runs/DATE-TIME-NAME with the name of the model or the first file. Takes the lock and writes
 * config.json. RC_EINVAL when o->run is in use by a living run, or holds checkpoints of an earlier one. */
rc_status rc__run_create(rc__run *r, const rc_train_options *o, rc_error *e);
/* The folder and its lock alone. */
rc_status rc__run_claim(rc__run *r, const rc_train_options *o, rc_error *e);
/* Takes the lock of an existing run; RC_EINVAL when it is no run folder or is in use. */
rc_status rc__run_reopen(rc__run *r, const char *path, rc_error *e);
/* Opens the logs. resumed NULL: a run that begins, without what an earlier attempt logged. Else it goes on from the
 * checkpoint of `step`: what was logged after that is taken out, by length where that is known, else by step. */
rc_status rc__run_open_logs(rc__run *r, const rc__log_lengths *resumed, uint64_t step, rc_error *e);
/* Rewrites metrics.jsonl without the lines of steps after `step`, and without any that is no JSON object (cut). */
rc_status rc__run_trim_metrics(const char *path, uint64_t step, rc_error *e);
/* Flushes the logs to disk, for a checkpoint that is to remember how long they are. */
rc_status rc__run_sync_logs(rc__run *r, rc__log_lengths *out, rc_error *e);
void rc__run_close(rc__run *r); /* also drops the lock; a zeroed or closed run is fine */

/* A living run may lose its folder: one that was deleted or moved away is made anew (*remade), and RC_EIO tells when
 * another is in its place. */
rc_status rc__run_hold(rc__run *r, bool *remade, rc_error *e);

rc_status rc__run_file(const rc__run *r, const char *name, char *out, size_t cap, rc_error *e); /* <run>/name */
rc_status rc__run_metrics(rc__run *r, const json_t *line, rc_error *e);
rc_status rc__run_sample(rc__run *r, uint64_t step, const char *text, size_t len, rc_error *e);

/* Steps of the checkpoints there are, falling; the list has at most cap entries, *n tells how many. */
rc_status rc__run_checkpoints(const char *run, uint64_t *steps, size_t cap, size_t *n, rc_error *e);
rc_status rc__run_checkpoint_path(const char *run, uint64_t step, char *out, size_t cap, rc_error *e);
void rc__run_prune(const char *run, size_t keep); /* removes all but the last `keep`, which may be 0 */
/* Is `name` in a run folder (or in its checkpoints/) one that training writes? */
bool rc__run_owns(const char *name, bool in_checkpoints);
/* The lock of a run that is not alive, to be closed; -1: errno EWOULDBLOCK when one is, else there is none to take. */
int rc__run_lock(const char *path);
/* Does a living process hold the folder's lock? */
bool rc__run_is_live(const char *path);

/* Appends all bytes, or, when the disk refuses, leaves the file as long as it was. */
rc_status rc__append_whole(int fd, const char *path, const void *data, size_t len, rc_error *e);
double rc__wall_time(void); /* Unix time */
#endif
