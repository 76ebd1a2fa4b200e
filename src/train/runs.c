/* runs.c - looking at run folders from outside. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "train/runfolder.h"

static bool join(char *out, size_t cap, const char *dir, const char *name) {
    int n = snprintf(out, cap, "%s/%s", dir, name);
    return n > 0 && (size_t)n < cap;
}

static uint64_t folder_bytes(const char *path, int depth) {
    uint64_t total = 0;
    DIR *d = opendir(path);
    if (!d) return 0;
    for (struct dirent *f; (f = readdir(d));) {
        char file[900];
        struct stat st;
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..") || !join(file, sizeof file, path, f->d_name)) continue;
        if (lstat(file, &st) != 0) continue;
        if (S_ISDIR(st.st_mode) && depth > 0)
            total += folder_bytes(file, depth - 1);
        else if (S_ISREG(st.st_mode))
            total += (uint64_t)st.st_size;
    }
    closedir(d);
    return total;
}

static bool looks_like_run(const char *path) {
    char config[700], checkpoints[700];
    struct stat st;
    return join(config, sizeof config, path, "config.json") &&
           join(checkpoints, sizeof checkpoints, path, "checkpoints") && rc__is_regular(config) &&
           stat(checkpoints, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Numbers are bounded by what a run can have, so that no caller meets one that fits no other type. */
static rc_status read_status(rc_run_info *r, const json_t *v, const char *where, rc_error *e) {
    static const char *const states[] = {"running", "done", "interrupted", "failed"};
    const char *state = "failed";
    int64_t step = 0;
    rc_status s = rc__json_get_string(v, "state", RC_JSON_REQUIRED, &state, where, e);
    size_t known = 0;
    while (known < 4 && strcmp(states[known], state) != 0) known++;
    if (s == RC_OK && known == 4)
        s = rc_fail(e, RC_EMODEL, "%s: \"state\": expected running, done, interrupted or failed, found \"%.40s\"",
                    where, state);
    if (s == RC_OK) s = rc__json_get_int(v, "step", RC_JSON_OPTIONAL, 0, INT64_MAX, &step, where, e);
    if (s == RC_OK) s = rc__json_get_real(v, "seconds", RC_JSON_OPTIONAL, 0, 1e12, &r->seconds, where, e);
    if (s == RC_OK)
        s = rc__json_get_real(v, "tokens_per_second", RC_JSON_OPTIONAL, 0, 1e18, &r->tokens_per_second, where, e);
    if (s == RC_OK) s = rc__json_get_real(v, "created", RC_JSON_OPTIONAL, 0, 1e12, &r->created, where, e);
    if (s == RC_OK) s = rc__json_get_size(v, "parameters", RC_JSON_OPTIONAL, 0, SIZE_MAX / 2, &r->parameters, where, e);
    if (s == RC_OK && !json_is_null(json_object_get(v, "best_valid_loss")))
        s = rc__json_get_real(v, "best_valid_loss", RC_JSON_OPTIONAL, 0, 0, &r->best_valid_loss, where, e);
    if (s != RC_OK) return s;
    snprintf(r->state, sizeof r->state, "%s", states[known]);
    r->steps = (uint64_t)step;
    return RC_OK;
}

/* What a folder that looks like a run tells of itself. A status that cannot be read is RC_EMODEL; the rest is there all
 * the same, with the state "damaged". */
static rc_status describe(const char *path, rc_run_info *r, rc_error *e) {
    *r = (rc_run_info){.best_valid_loss = NAN};
    char file[700];
    if ((size_t)snprintf(r->path, sizeof r->path, "%s", path) >= sizeof r->path)
        return rc_fail(e, RC_EINVAL, "%.100s...: the path of a run folder has at most %zu bytes", path,
                       sizeof r->path - 1);
    for (size_t n = strlen(r->path); n > 1 && r->path[n - 1] == '/'; n--) r->path[n - 1] = 0;
    if (!rc__exists(r->path)) return rc_fail(e, RC_EIO, "%s: no such run folder", path);
    if (!looks_like_run(r->path))
        return rc_fail(e, RC_EINVAL, "%s: no run folder (expected config.json and checkpoints/ in it)", path);
    const char *slash = strrchr(r->path, '/');
    snprintf(r->name, sizeof r->name, "%.255s", slash ? slash + 1 : r->path);
    snprintf(r->state, sizeof r->state, "failed");
    json_t *v = NULL;
    rc_status s = RC_OK;
    if (join(file, sizeof file, r->path, "status.json") && rc__exists(file)) {
        s = rc__is_regular(file) ? rc__json_read(file, 1 << 20, &v, e)
                                 : rc_fail(e, RC_EMODEL, "%s: expected a file", file);
        if (s == RC_OK) s = read_status(r, v, file, e);
        json_decref(v);
    }
    if (s == RC_ENOMEM) return s;
    if (s == RC_EDATA || s == RC_EIO) { /* too large, a folder: it is no status either way */
        s = RC_EMODEL;
        if (e) e->code = s;
    }
    if (s == RC_EMODEL) snprintf(r->state, sizeof r->state, "damaged");
    if (join(file, sizeof file, r->path, "config.json")) { /* one that nobody can read leaves the cell open */
        rc_train_config *config = NULL;
        rc_error why;
        rc_status read = rc_train_config_read(&config, file, &why);
        if (read == RC_ENOMEM) return rc_fail(e, read, "%s", why.text);
        if (read == RC_OK) snprintf(r->cell, sizeof r->cell, "%s", rc_train_config_options(config)->cell);
        rc_train_config_free(config);
    }
    /* What the status says is what its process last wrote; the lock tells whether there still is one. */
    bool live = rc__run_is_live(r->path);
    if (live)
        snprintf(r->state, sizeof r->state, "running");
    else if (!strcmp(r->state, "running"))
        snprintf(r->state, sizeof r->state, "interrupted");
    r->bytes = folder_bytes(r->path, 1);
    return s;
}

rc_status rc_run_read(const char *path, rc_run_info *out, rc_error *e) {
    rc_run_info r;
    rc_status s = describe(path, &r, e);
    if (s == RC_OK) *out = r;
    return s;
}

static int newest_first(const void *a, const void *b) {
    const rc_run_info *x = a, *y = b;
    if (x->created != y->created) return x->created < y->created ? 1 : -1;
    return strcmp(y->path, x->path);
}

static rc_status push(rc_run_info **runs, size_t *n, size_t *cap, const rc_run_info *r, rc_error *e) {
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        rc_run_info *p = rc__realloc(*runs, *cap * sizeof *p, more * sizeof *p);
        if (!p) return rc_fail(e, RC_ENOMEM, "runs: out of memory");
        *runs = p;
        *cap = more;
    }
    (*runs)[(*n)++] = *r;
    return RC_OK;
}

rc_status rc_runs_list(const char *dir, rc_run_info **out, size_t *n, rc_error *e) {
    *out = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) {
        if (errno == ENOENT && !strcmp(dir, "runs")) return RC_OK; /* the default place, before the first run */
        return rc_fail(e, RC_EIO, "%s: cannot read: %s", dir, strerror(errno));
    }
    rc_run_info *runs = NULL;
    size_t cap = 0;
    rc_status s = RC_OK;
    for (struct dirent *f; s == RC_OK && (f = readdir(d));) {
        char path[512];
        rc_run_info r;
        if (f->d_name[0] == '.' || !join(path, sizeof path, dir, f->d_name) || !looks_like_run(path)) continue;
        rc_status one = describe(path, &r, NULL);
        if (one == RC_OK || one == RC_EMODEL) s = push(&runs, n, &cap, &r, e);
        if (one == RC_ENOMEM) s = rc_fail(e, one, "%s: out of memory", path);
    }
    closedir(d);
    if (s == RC_OK && *n > 0) {
        qsort(runs, *n, sizeof *runs, newest_first);
        rc_run_info *exact = rc__realloc(runs, cap * sizeof *runs, *n * sizeof *runs); /* rc_runs_free knows n alone */
        if (exact) {
            *out = exact;
            return RC_OK;
        }
        s = rc_fail(e, RC_ENOMEM, "runs: out of memory");
    }
    rc__free(runs, cap * sizeof *runs);
    if (s != RC_OK) *n = 0;
    return s;
}

void rc_runs_free(rc_run_info *runs, size_t n) { rc__free(runs, n * sizeof *runs); }

/* Removes our files in path; false (errno set) at the first that resists. */
static bool empty_folder(const char *path, bool in_checkpoints, char *failed, size_t cap) {
    DIR *d = opendir(path);
    if (!d) return errno == ENOENT;
    bool ok = true;
    for (struct dirent *f; ok && (f = readdir(d));) {
        if (!rc__run_owns(f->d_name, in_checkpoints) || !join(failed, cap, path, f->d_name)) continue;
        ok = unlink(failed) == 0;
    }
    int why = errno;
    closedir(d);
    errno = why;
    return ok;
}

rc_status rc_run_delete(const char *path, rc_error *e) {
    char checkpoints[700], failed[900];
    rc_run_info r;
    rc_status s = rc_run_read(path, &r, e);
    if (s == RC_EMODEL && looks_like_run(path))
        s = RC_OK; /* a status file nobody can read is no reason to keep the rest */
    if (s != RC_OK) return s;
    if (!join(checkpoints, sizeof checkpoints, path, "checkpoints"))
        return rc_fail(e, RC_EINVAL, "%s: the path is too long", path);
    int lock = rc__run_lock(path); /* nobody begins in it meanwhile */
    if (lock < 0 && errno == EWOULDBLOCK) return rc_fail(e, RC_EINVAL, "%s: is running; stop it first", path);
    bool empty = empty_folder(checkpoints, true, failed, sizeof failed) && empty_folder(path, false, failed, sizeof failed);
    int why = errno;
    if (lock >= 0) close(lock);
    if (!empty) return rc_fail(e, RC_EIO, "%s: cannot delete: %s", failed, strerror(why));
    rmdir(checkpoints);
    if (rmdir(path) == 0) return RC_OK;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return rc_fail(e, RC_EIO, "%s: the run is deleted; the folder stays, because other files are in it", path);
    return rc_fail(e, RC_EIO, "%s: cannot delete: %s", path, strerror(errno));
}
