/* temporary.h - where a test program may write. */
#ifndef TEMPORARY_H
#define TEMPORARY_H
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *temporary_or(const char *otherwise) {
    const char *dir = getenv("TMPDIR");
    return dir && *dir ? dir : otherwise;
}

/* The folder that the environment names for temporary files, or /tmp. */
static inline const char *temporary_root(void) { return temporary_or("/tmp"); }

/* For hundreds of files that are waited for: in memory, where there is such a folder and the environment names no other. */
static inline const char *temporary_memory(void) {
    return temporary_or(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

/* DIR/recur-NAME-XXXXXX, as mkstemp and mkdtemp want it. */
#define TEMPORARY_NAME(to, dir, name) snprintf(to, sizeof(to), "%.200s/recur-" name "-XXXXXX", dir)
#endif
