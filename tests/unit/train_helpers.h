/* train_helpers.h - a folder, a text and a small model for the tests of training. */
#ifndef TRAIN_HELPERS_H
#define TRAIN_HELPERS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "recur/recur.h"
#include "temporary.h"

static char work[256]; /* the current folder of a test program */

static inline int enter_work(void **state) {
    (void)state;
    TEMPORARY_NAME(work, temporary_root(), "train");
    return mkdtemp(work) && chdir(work) == 0 ? 0 : -1;
}
static inline int leave_work(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

/* Lines of words with some structure, the same for the same seed. */
static inline void write_text(const char *path, size_t bytes, uint64_t seed) {
    static const char *const words[] = {"the", "cat", "sat", "on", "a", "mat", "and", "saw", "dog", "run"};
    rc_rng r = rc_rng_make(seed, 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t n = 0; n < bytes;) {
        size_t k = (size_t)rc_rng_below(&r, 10);
        n += (size_t)fprintf(f, "%s%c", words[k], rc_rng_below(&r, 6) == 0 ? '\n' : ' ');
    }
    fclose(f);
}

static const char *const one_text[] = {"text.txt"};

static inline rc_train_options small_options(const char *run) {
    rc_train_options o = rc_train_options_default();
    o.files = one_text;
    o.n_files = 1;
    o.hidden = 16;
    o.batch = 8;
    o.seq_len = 12;
    o.steps = 40;
    o.sample_length = 0;
    o.valid_every = 10;
    o.warmup = 5;
    o.run = run;
    o.threads = 1;
    return o;
}

static inline char *slurp(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    *len = (size_t)st.st_size;
    char *data = malloc(*len + 1);
    assert_int_equal(fread(data, 1, *len, f), *len);
    data[*len] = 0;
    fclose(f);
    return data;
}

static inline void assert_same_file(const char *a, const char *b) {
    size_t n, m;
    char *x = slurp(a, &n), *y = slurp(b, &m);
    if (n != m || memcmp(x, y, n) != 0) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

static inline rc_train_result train_ok(const rc_train_options *o, const rc_train_hooks *hooks) {
    rc_error e = {0};
    rc_train_result r;
    rc_status s = rc_train(o, hooks, &r, &e);
    if (s != RC_OK) fail_msg("%s: %s", rc_status_name(s), e.text);
    return r;
}

/* Stops the training after the step that *ctx names. */
static inline void stop_at(void *ctx, const rc_train_progress *p) {
    if (p->step == *(const uint64_t *)ctx) rc_train_interrupt();
}
#endif
