/* data_file.h - for tests of readers: a temporary file with these bytes, and the real files where RECUR_DATA is set. */
#ifndef DATA_FILE_H
#define DATA_FILE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failing.h"
#include "recur/base.h"
#include "temporary.h"

static char data_path[320];

/* The file is called data-XXXXXX.ending; data_path is its name. */
static inline const char *data_put_bytes(const void *bytes, size_t len, const char *ending) {
    snprintf(data_path, sizeof data_path, "%.200s/recur-data-XXXXXX%s", temporary_root(), ending);
    int fd = mkstemps(data_path, (int)strlen(ending));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
    return data_path;
}
static inline const char *data_put(const char *text, const char *ending) {
    return data_put_bytes(text, strlen(text), ending);
}
static inline void data_drop(void) { assert_int_equal(unlink(data_path), 0); }

/* Lets allocation n of reading these bytes fail, for every n until it succeeds: RC_ENOMEM each time, nothing left. `read`
 * reads data_path and frees what it got. */
static inline void data_refuse_each(const char *text, const char *ending, rc_status (*read)(rc_error *e)) {
    data_put(text, ending);
    for (long n = 0;; n++) {
        failing f = {.left = n};
        rc_error e;
        rc_set_allocator(failing_alloc, &f);
        size_t before = rc_memory_used();
        rc_status s = read(&e);
        assert_int_equal(rc_memory_used(), before);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        assert_true(n < 1000);
    }
    data_drop();
}

/* The path of a real file, or NULL: then the test says that it is skipped. */
static inline const char *data_real(const char *name) {
    static char path[512];
    const char *folder = getenv("RECUR_DATA");
    if (!folder || !*folder) {
        print_message("skipped: RECUR_DATA is not set (%s)\n", name);
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}
#endif
