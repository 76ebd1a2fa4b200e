/* runfolder.c - creating, locking and writing a run folder. */
#include "train/runfolder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define LOCK_TRIES 20

double rc__wall_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static rc_status path_in(const char *dir, const char *name, char *out, size_t cap, rc_error *e) {
    int n = snprintf(out, cap, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= cap) return rc_fail(e, RC_EINVAL, "%.200s...: the path is too long", dir);
    return RC_OK;
}

rc_status rc__run_file(const rc__run *r, const char *name, char *out, size_t cap, rc_error *e) {
    return path_in(r->path, name, out, cap, e);
}

rc_status rc__append_whole(int fd, const char *path, const void *data, size_t len, rc_error *e) {
    if (len == 0) return RC_OK;
    off_t before = lseek(fd, 0, SEEK_END);
    size_t done = 0;
    errno = 0;
    while (done < len) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (done == len) return RC_OK;
    int why = errno ? errno : ENOSPC;
    bool cut = before >= 0 && (done == 0 || ftruncate(fd, before) == 0);
    return rc_fail(e, RC_EIO, "%s: cannot write: %s%s", path, strerror(why), cut ? "" : "; its last line may be cut");
}

/* ---- the lock ---------------------------------------------------------------------------------------------------- */

static bool is_same_file(int fd, const char *path) {
    struct stat held, there;
    return fd >= 0 && fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
           held.st_ino == there.st_ino;
}

/* -1: errno tells why. Who only looks (rc__run_is_live) holds it for a moment: the lock is asked for a few times. */
static int open_locked(const char *path, int flags) {
    for (int i = 0;; i++) {
        int fd = open(path, flags | O_CLOEXEC, 0666);
        if (fd < 0) return -1;
        bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && is_same_file(fd, path)) return fd; /* else deleted meanwhile, with its folder */
        int why = locked ? EWOULDBLOCK : errno;
        close(fd);
        errno = why;
        if (why != EWOULDBLOCK || i == LOCK_TRIES) return -1;
        nanosleep(&(struct timespec){.tv_nsec = i < LOCK_TRIES / 2 ? 1000000 : 10000000}, NULL);
    }
}

static rc_status take_lock(rc__run *r, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(r, "lock", path, sizeof path, e);
    if (s != RC_OK) return s;
    r->lock_fd = open_locked(path, O_RDWR | O_CREAT);
    if (r->lock_fd >= 0) return RC_OK;
    if (errno == EWOULDBLOCK)
        return rc_fail(e, RC_EINVAL,
                       "%s: another training is writing to this run folder; wait for it, or give another --run",
                       r->path);
    return rc_fail(e, RC_EIO, "%s: cannot be made and locked: %s", path, strerror(errno));
}

int rc__run_lock(const char *path) {
    char lock[600];
    return path_in(path, "lock", lock, sizeof lock, NULL) == RC_OK ? open_locked(lock, O_RDWR) : -1;
}

bool rc__run_is_live(const char *path) {
    char lock[600];
    if (path_in(path, "lock", lock, sizeof lock, NULL) != RC_OK) return false;
    int fd = open(lock, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* whatever lies there under this name */
    if (fd < 0) return false;
    bool live = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return live;
}

/* ---- what is in it ----------------------------------------------------------------------------------------------- */

bool rc__run_owns(const char *name, bool in_checkpoints) {
    static const char *const files[] = {"config.json", "status.json", "metrics.jsonl",
                                        "samples.txt", "lock",        "model.safetensors"};
    static const char *const kept[] = {"best.safetensors", "final.safetensors", "initial.safetensors"};
    const char *tmp = strstr(name, ".tmp."); /* what a killed process left of an atomic write */
    char stem[300];
    snprintf(stem, sizeof stem, "%.*s", (int)(tmp ? tmp - name : (ptrdiff_t)strlen(name)), name);
    if (in_checkpoints) {
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (!strcmp(stem, kept[i])) return true;
        size_t n = strlen(stem);
        return !strncmp(stem, "step-", 5) && n > 17 && !strcmp(stem + n - 12, ".safetensors");
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!strcmp(stem, files[i])) return true;
    return !strncmp(name, "events.out.tfevents.", 20);
}

static bool owns_in_checkpoints(const char *name, const void *ctx) { return (void)ctx, rc__run_owns(name, true); }
static bool owns(const char *name, const void *ctx) { return (void)ctx, rc__run_owns(name, false); }

/* A process that was killed while it saved leaves a temporary file as large as a checkpoint. */
static void remove_leftovers(const rc__run *r) {
    char path[600];
    rc__remove_leftovers(r->path, owns, NULL);
    if (rc__run_file(r, "checkpoints", path, sizeof path, NULL) == RC_OK)
        rc__remove_leftovers(path, owns_in_checkpoints, NULL);
}

/* What an earlier attempt without checkpoints left behind. */
static void remove_old_logs(const rc__run *r) {
    DIR *d = opendir(r->path);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        char path[900];
        bool log = !strncmp(f->d_name, "events.out.tfevents.", 20) || !strcmp(f->d_name, "metrics.jsonl") ||
                   !strcmp(f->d_name, "samples.txt") || !strcmp(f->d_name, "status.json");
        if (log && path_in(r->path, f->d_name, path, sizeof path, NULL) == RC_OK) unlink(path);
    }
    closedir(d);
}

/* ---- creating ---------------------------------------------------------------------------------------------------- */

/* "shakespeare" of "data/shakespeare.txt.gz"; letters, digits, '-', '_' and '=' stay. */
static void stem_of(const char *path, char *out, size_t cap) {
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = 0;
    for (const char *p = base; *p && *p != '.' && n + 1 < cap && n < 40; p++) {
        char c = *p;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                     c == '=' || c == '-';
        out[n++] = (char)(plain ? c : '-');
    }
    out[n] = 0;
    if (n == 0 || !strcmp(out, "-")) snprintf(out, cap, "run");
}

static rc_status make_default_folder(rc__run *r, const rc_train_options *o, rc_error *e) {
    char stem[64], stamp[32];
    stem_of(o->out ? o->out : o->n_files ? o->files[0] : "run", stem, sizeof stem);
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    rc_status s = rc__mkdirs("runs", e);
    if (s != RC_OK) return s;
    for (int i = 1; i < 1000; i++) {
        if (i == 1)
            snprintf(r->path, sizeof r->path, "runs/%s-%s", stamp, stem);
        else
            snprintf(r->path, sizeof r->path, "runs/%s-%s-%d", stamp, stem, i);
        if (mkdir(r->path, 0777) == 0) return RC_OK;
        if (errno != EEXIST) break;
    }
    return rc_fail(e, RC_EIO, "%s: cannot create: %s", r->path, strerror(errno));
}

static rc_status claim_given_folder(rc__run *r, const char *path, rc_error *e) {
    if ((size_t)snprintf(r->path, sizeof r->path, "%s", path) >= sizeof r->path)
        return rc_fail(e, RC_EINVAL, "%.100s...: the path of a run folder has at most %zu bytes", path,
                       sizeof r->path - 1);
    for (size_t n = strlen(r->path); n > 1 && r->path[n - 1] == '/'; n--) r->path[n - 1] = 0;
    rc_status s = rc__mkdirs(r->path, e);
    if (s == RC_OK) s = take_lock(r, e);
    size_t n = 0;
    if (s == RC_OK) s = rc__run_checkpoints(r->path, NULL, 0, &n, e);
    if (s == RC_OK && n > 0)
        s = rc_fail(
            e, RC_EINVAL,
            "%s: holds the checkpoints of an earlier run; go on with --resume %s, delete it, or give another --run",
            r->path, r->path);
    return s;
}

static rc_status make_checkpoints_folder(const rc__run *r, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(r, "checkpoints", path, sizeof path, e);
    return s == RC_OK ? rc__mkdirs(path, e) : s;
}

static rc_status keep_config(rc__run *r, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(r, "config.json", path, sizeof path, e);
    return s == RC_OK ? rc__file_read(path, false, 1 << 20, &r->config, &r->config_len, e) : s;
}

rc_status rc__run_claim(rc__run *r, const rc_train_options *o, rc_error *e) {
    *r = (rc__run){.lock_fd = -1, .metrics_fd = -1, .samples_fd = -1, .created = rc__wall_time()};
    rc_status s;
    if (o->run && *o->run) {
        s = claim_given_folder(r, o->run, e);
    } else {
        s = make_default_folder(r, o, e);
        if (s == RC_OK) s = take_lock(r, e);
    }
    if (s != RC_OK) rc__run_close(r);
    return s;
}

rc_status rc__run_create(rc__run *r, const rc_train_options *o, rc_error *e) {
    char path[600];
    rc_status s = rc__run_claim(r, o, e);
    if (s != RC_OK) return s;
    if (s == RC_OK) remove_leftovers(r);
    if (s == RC_OK) remove_old_logs(r);
    if (s == RC_OK) s = make_checkpoints_folder(r, e);
    if (s == RC_OK) s = rc__run_file(r, "config.json", path, sizeof path, e);
    if (s == RC_OK) s = rc_train_config_write(o, path, e);
    if (s == RC_OK) s = keep_config(r, e);
    if (s != RC_OK) rc__run_close(r);
    return s;
}

rc_status rc__run_reopen(rc__run *r, const char *path, rc_error *e) {
    *r = (rc__run){.lock_fd = -1, .metrics_fd = -1, .samples_fd = -1, .created = rc__wall_time()};
    if ((size_t)snprintf(r->path, sizeof r->path, "%s", path) >= sizeof r->path)
        return rc_fail(e, RC_EINVAL, "%.100s...: the path of a run folder has at most %zu bytes", path,
                       sizeof r->path - 1);
    for (size_t n = strlen(r->path); n > 1 && r->path[n - 1] == '/'; n--) r->path[n - 1] = 0;
    if (!rc__exists(r->path)) return rc_fail(e, RC_EIO, "%s: no such run folder", path);
    char config[600];
    rc_status s = rc__run_file(r, "config.json", config, sizeof config, e);
    if (s == RC_OK && !rc__is_regular(config))
        s = rc_fail(e, RC_EINVAL,
                    "%s: no run folder (it has no config.json); a training that was stopped before it had written one "
                    "is to be started again",
                    r->path);
    if (s == RC_OK) s = take_lock(r, e);
    if (s == RC_OK) s = keep_config(r, e);
    if (s != RC_OK) return rc__run_close(r), s;
    remove_leftovers(r);
    json_t *status = NULL;
    char file[600];
    if (rc__run_file(r, "status.json", file, sizeof file, NULL) == RC_OK && rc__is_regular(file) &&
        rc__json_read(file, 1 << 20, &status, NULL) == RC_OK) {
        rc__json_get_real(status, "created", RC_JSON_OPTIONAL, 0, 1e12, &r->created, file, NULL);
        json_decref(status);
    }
    return RC_OK;
}

/* ---- when it is lost --------------------------------------------------------------------------------------------- */

static rc_status is_another(rc__run *r, rc_error *e) {
    r->lost = true;
    return rc_fail(e, RC_EIO,
                   "%s: its lock is not the one that this training holds: another run folder has taken its place, or files "
                   "of it were deleted",
                   r->path);
}

/* A folder that is gone is made anew: lock, config.json, empty logs. */
static rc_status remake(rc__run *r, bool *anew, rc_error *e) {
    char path[600];
    int lost = r->lock_fd;
    size_t n = 0;
    *anew = false;
    rc_status s = rc__mkdirs(r->path, e);
    if (s == RC_OK) s = take_lock(r, e);
    if (s != RC_OK) {
        r->lock_fd = lost;
        return s == RC_EINVAL ? is_another(r, e) : s; /* EINVAL: another training holds it already */
    }
    close(lost);
    s = rc__run_file(r, "metrics.jsonl", path, sizeof path, e);
    if (s != RC_OK || is_same_file(r->metrics_fd, path)) return s; /* the lock alone was deleted */
    *anew = true;
    s = rc__run_checkpoints(r->path, NULL, 0, &n, e);
    if (s == RC_OK && n > 0) s = is_another(r, e);
    if (s == RC_OK) s = make_checkpoints_folder(r, e);
    if (s == RC_OK) s = rc__run_file(r, "config.json", path, sizeof path, e);
    if (s == RC_OK) s = rc__file_write(path, r->config, r->config_len, e);
    return s == RC_OK ? rc__run_open_logs(r, NULL, 0, e) : s;
}

rc_status rc__run_hold(rc__run *r, bool *remade, rc_error *e) {
    char path[600];
    struct stat st;
    *remade = false;
    rc_status s = rc__run_file(r, "lock", path, sizeof path, e);
    if (s != RC_OK || is_same_file(r->lock_fd, path)) return s;
    if (stat(path, &st) == 0) return is_another(r, e);
    if (errno != ENOENT && errno != ENOTDIR)
        return rc_fail(e, RC_EIO, "%s: cannot be examined: %s", path, strerror(errno));
    return remake(r, remade, e);
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

/* RC_OK for a line of a step up to `step`; not for one that is no JSON, such as half a line. */
static rc_status line_stays(const char *line, size_t len, uint64_t step) {
    json_t *v = NULL;
    int64_t n = 0;
    rc_status s = rc__json_parse(line, len, "", &v, NULL);
    if (s == RC_OK) s = rc__json_get_int(v, "step", RC_JSON_OPTIONAL, 0, INT64_MAX, &n, "", NULL);
    json_decref(v);
    return s == RC_OK && (uint64_t)n > step ? RC_ENO : s;
}

rc_status rc__run_trim_metrics(const char *path, uint64_t step, rc_error *e) {
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size == 0) return RC_OK;
    char *data;
    size_t len;
    rc_status s = rc__file_read(path, false, 0, &data, &len, e);
    if (s != RC_OK) return s;
    size_t kept = 0;
    for (size_t at = 0; s == RC_OK && at < len;) {
        char *end = memchr(data + at, '\n', len - at);
        if (!end) break;
        size_t line = (size_t)(end - (data + at)) + 1;
        rc_status stays = line_stays(data + at, line, step);
        if (stays == RC_ENOMEM) { /* what cannot be looked at must not be dropped */
            s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
        } else if (stays == RC_OK) {
            memmove(data + kept, data + at, line);
            kept += line;
        }
        at += line;
    }
    if (s == RC_OK && kept != len) s = rc__file_write(path, data, kept, e);
    rc__free(data, len + 1);
    return s;
}

/* Cuts a log to the length that it had at the checkpoint; *done: false when it is not that log any more. */
static rc_status cut_log(const char *path, int64_t length, bool *done, rc_error *e) {
    char last = '\n';
    struct stat st;
    *done = false;
    int fd = length < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (length < 0 || (fd < 0 && errno == ENOENT)) return RC_OK;
    if (fd < 0) return rc_fail(e, RC_EIO, "%s: cannot open: %s", path, strerror(errno));
    bool holds = fstat(fd, &st) == 0 && st.st_size >= length;
    if (holds && length > 0) holds = pread(fd, &last, 1, (off_t)length - 1) == 1 && last == '\n';
    rc_status s = RC_OK;
    if (holds && st.st_size > length && ftruncate(fd, (off_t)length) != 0)
        s = rc_fail(e, RC_EIO, "%s: cannot be cut to %lld bytes: %s", path, (long long)length, strerror(errno));
    close(fd);
    *done = holds;
    return s;
}

static rc_status open_log(const rc__run *r, const char *name, int *fd, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(r, name, path, sizeof path, e);
    if (s != RC_OK) return s;
    if (rc__exists(path) && !rc__is_regular(path)) /* a pipe would make the run wait for its reader */
        return rc_fail(e, RC_EIO, "%s: expected a file", path);
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *fd >= 0 ? RC_OK : rc_fail(e, RC_EIO, "%s: cannot create: %s", path, strerror(errno));
}

static void close_logs(rc__run *r) {
    if (r->events) rc__tfevents_flush(r->events, NULL);
    rc__tfevents_close(r->events);
    if (r->metrics_fd >= 0) close(r->metrics_fd);
    if (r->samples_fd >= 0) close(r->samples_fd);
    r->events = NULL;
    r->metrics_fd = r->samples_fd = -1;
}

rc_status rc__run_open_logs(rc__run *r, const rc__log_lengths *resumed, uint64_t step, rc_error *e) {
    char path[600];
    bool cut = false;
    rc_status s = RC_OK;
    close_logs(r);
    if (!resumed) remove_old_logs(r);
    if (resumed) {
        s = rc__run_file(r, "metrics.jsonl", path, sizeof path, e);
        if (s == RC_OK) s = cut_log(path, resumed->metrics, &cut, e);
        if (s == RC_OK && !cut) s = rc__run_trim_metrics(path, step, e);
        if (s == RC_OK) s = rc__run_file(r, "samples.txt", path, sizeof path, e);
        if (s == RC_OK) s = cut_log(path, resumed->samples, &cut, e);
    }
    if (s == RC_OK) s = open_log(r, "metrics.jsonl", &r->metrics_fd, e);
    if (s == RC_OK) s = open_log(r, "samples.txt", &r->samples_fd, e);
    if (s == RC_OK) s = rc__tfevents_open(&r->events, r->path, rc__wall_time(), resumed ? step + 1 : 0, e);
    return s;
}

static rc_status sync_log(const rc__run *r, const char *name, int fd, int64_t *length, rc_error *e) {
    char path[600];
    *length = -1;
    if (fd < 0) return RC_OK;
    rc_status s = rc__run_file(r, name, path, sizeof path, e);
    if (s == RC_OK && fsync(fd) != 0 && errno != EINVAL) /* not every file system can */
        s = rc_fail(e, RC_EIO, "%s: cannot be written to disk: %s", path, strerror(errno));
    if (s == RC_OK) *length = (int64_t)lseek(fd, 0, SEEK_END);
    return s;
}

rc_status rc__run_sync_logs(rc__run *r, rc__log_lengths *out, rc_error *e) {
    rc_status s = sync_log(r, "metrics.jsonl", r->metrics_fd, &out->metrics, e);
    return s == RC_OK ? sync_log(r, "samples.txt", r->samples_fd, &out->samples, e) : s;
}

void rc__run_close(rc__run *r) {
    if (!r->path[0]) return;
    close_logs(r);
    if (r->lock_fd >= 0) close(r->lock_fd);
    r->lock_fd = -1;
    if (r->config) rc__free(r->config, r->config_len + 1);
    r->config = NULL;
}

/* The line is printed into a fixed buffer, so that logging allocates nothing of the library's memory. */
rc_status rc__run_metrics(rc__run *r, const json_t *line, rc_error *e) {
    char buf[32768], path[600];
    rc_status s = rc__run_file(r, "metrics.jsonl", path, sizeof path, e);
    if (s != RC_OK) return s;
    if (!line) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    size_t n = json_dumpb(line, buf, sizeof buf - 1, JSON_COMPACT | JSON_REAL_PRECISION(8));
    if (n == 0 || n >= sizeof buf) { /* a model of hundreds of layers */
        char *text;
        s = rc__json_print(line, &text, &n, e);
        if (s != RC_OK) return s;
        text[n] = '\n'; /* in place of its closing NUL */
        s = rc__append_whole(r->metrics_fd, path, text, n + 1, e);
        rc__free(text, n + 1);
        return s;
    }
    buf[n] = '\n';
    return rc__append_whole(r->metrics_fd, path, buf, n + 1, e);
}

rc_status rc__run_sample(rc__run *r, uint64_t step, const char *text, size_t len, rc_error *e) {
    char path[600];
    rc_status s = rc__run_file(r, "samples.txt", path, sizeof path, e);
    if (s != RC_OK) return s;
    size_t cap = len + 64;
    char *block = rc__alloc(cap);
    if (!block) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    size_t n = (size_t)snprintf(block, cap, "=== step %llu\n", (unsigned long long)step);
    memcpy(block + n, text, len);
    n += len;
    block[n++] = '\n';
    s = rc__append_whole(r->samples_fd, path, block, n, e);
    rc__free(block, cap);
    return s;
}

/* ---- checkpoints there are --------------------------------------------------------------------------------------- */

rc_status rc__run_checkpoint_path(const char *run, uint64_t step, char *out, size_t cap, rc_error *e) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/step-%08llu.safetensors", (unsigned long long)step);
    return path_in(run, name, out, cap, e);
}

static bool checkpoint_step(const char *name, uint64_t *step) {
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9') return false;
    char *end;
    errno = 0;
    *step = strtoull(name + 5, &end, 10);
    return errno == 0 && !strcmp(end, ".safetensors");
}

rc_status rc__run_checkpoints(const char *run, uint64_t *steps, size_t cap, size_t *n, rc_error *e) {
    char path[600];
    *n = 0;
    rc_status s = path_in(run, "checkpoints", path, sizeof path, e);
    if (s != RC_OK) return s;
    DIR *d = opendir(path);
    if (!d) return errno == ENOENT ? RC_OK : rc_fail(e, RC_EIO, "%s: cannot read: %s", path, strerror(errno));
    size_t held = 0;
    for (struct dirent *f; (f = readdir(d));) {
        uint64_t step;
        if (!checkpoint_step(f->d_name, &step)) continue;
        ++*n;
        if (cap == 0) continue;
        size_t at = held; /* insertion keeps the largest cap of them, falling */
        while (at > 0 && steps[at - 1] < step) at--;
        if (at >= cap) continue;
        if (held < cap) held++;
        memmove(steps + at + 1, steps + at, (held - at - 1) * sizeof *steps);
        steps[at] = step;
    }
    closedir(d);
    return RC_OK;
}

void rc__run_prune(const char *run, size_t keep) {
    char path[600], file[900];
    size_t n;
    uint64_t *steps = rc__calloc(keep + 1, sizeof *steps);
    if (!steps) return;
    bool full = rc__run_checkpoints(run, steps, keep, &n, NULL) == RC_OK && n > keep &&
                path_in(run, "checkpoints", path, sizeof path, NULL) == RC_OK;
    DIR *d = full ? opendir(path) : NULL;
    if (d) {
        for (struct dirent *f; (f = readdir(d));) {
            uint64_t step;
            if (checkpoint_step(f->d_name, &step) && (keep == 0 || step < steps[keep - 1]) &&
                path_in(path, f->d_name, file, sizeof file, NULL) == RC_OK)
                unlink(file);
        }
        closedir(d);
    }
    rc__free(steps, (keep + 1) * sizeof *steps);
}
