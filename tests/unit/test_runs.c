/* Run folders from outside: what is listed, what is refused, and that deleting takes nothing that is not ours. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "train/runfolder.h"
#include "unit/train_helpers.h"

static int setup(void **state) {
    if (enter_work(state)) return -1;
    write_text("text.txt", 4000, 1);
    return 0;
}

typedef struct inside {
    const rc_train_options *o;
    int calls;
} inside;

static void while_running(void *ctx, const rc_train_progress *p) {
    inside *in = ctx;
    if (p->step != 5) return;
    rc_error e = {0};
    rc_run_info info;
    assert_int_equal(rc_run_read("runs/live", &info, &e), RC_OK);
    assert_string_equal(info.state, "running");
    assert_int_equal(rc_run_delete("runs/live", &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "is running"));
    rc_train_options second = *in->o;
    assert_int_equal(rc_train(&second, NULL, NULL, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "another training is writing"));
    second = rc_train_options_default();
    second.resume = "runs/live";
    assert_int_equal(rc_train(&second, NULL, NULL, &e), RC_EINVAL);
    assert_non_null(strstr(e.text, "another training is writing"));
    in->calls++;
}

static void test_live_run(void **state) {
    (void)state;
    rc_train_options o = small_options("runs/live");
    inside in = {&o, 0};
    rc_train_hooks hooks = {.ctx = &in, .on_step = while_running};
    train_ok(&o, &hooks);
    assert_int_equal(in.calls, 1);
    assert_false(rc__run_is_live("runs/live"));
}

static void test_read_and_list(void **state) {
    (void)state;
    rc_train_options o = small_options(NULL); /* runs/DATE-TIME-text */
    o.cell = "gru";
    o.steps = 10;
    rc_train_result r = train_ok(&o, NULL), r2 = train_ok(&o, NULL);
    assert_int_equal(strncmp(r.run, "runs/", 5), 0);
    assert_non_null(strstr(r.run, "-text"));
    assert_string_not_equal(r.run, r2.run);
    rc_error e = {0};
    rc_run_info info;
    assert_int_equal(rc_run_read(r.run, &info, &e), RC_OK);
    assert_string_equal(info.state, "done");
    assert_string_equal(info.cell, "gru");
    assert_int_equal(info.steps, 10);
    assert_int_equal(info.parameters, r.parameters);
    assert_true(info.best_valid_loss == r.best_valid_loss);
    assert_true(info.bytes > 1000);
    rc_run_info *runs;
    size_t n;
    assert_int_equal(rc_runs_list("runs", &runs, &n, &e), RC_OK);
    assert_true(n >= 2);
    for (size_t i = 1; i < n; i++) assert_true(runs[i - 1].created >= runs[i].created);
    assert_string_equal(runs[0].path, r2.run);
    rc_runs_free(runs, n);
    assert_int_equal(rc_runs_list("no-such-folder", &runs, &n, &e), RC_EIO);
    assert_int_equal(n, 0);
    rc_runs_free(NULL, 0);
}

/* A process that was killed: its status says running, its lock is gone. */
static void test_killed(void **state) {
    (void)state;
    rc_train_options o = small_options("killed");
    o.steps = 10;
    train_ok(&o, NULL);
    FILE *f = fopen("killed/status.json", "w");
    fprintf(f, "{\"state\": \"running\", \"step\": 10}");
    fclose(f);
    rc_error e = {0};
    rc_run_info info;
    assert_int_equal(rc_run_read("killed", &info, &e), RC_OK);
    assert_string_equal(info.state, "interrupted");
    f = fopen("killed/status.json", "w");
    fprintf(f, "{\"state\": ");
    fclose(f);
    assert_int_equal(rc_run_read("killed", &info, &e), RC_EMODEL);
    assert_int_equal(rc_run_delete("killed", &e), RC_OK);
    assert_int_not_equal(access("killed", F_OK), 0);
}

static atomic_int looks, enough;

static void *look_on(void *ctx) {
    for (; !enough; looks++) rc__run_is_live("looked-at");
    return ctx;
}

/* Who lists the runs while one begins must not be taken for a training. */
static void test_looking_is_no_training(void **state) {
    (void)state;
    rc_error e = {0};
    pthread_t thread;
    rc_train_options o = small_options("looked-at");
    o.steps = 2;
    train_ok(&o, NULL);
    assert_int_equal(pthread_create(&thread, NULL, look_on, NULL), 0);
    while (looks == 0) usleep(100);
    for (int i = 0; i < 2000; i++) {
        rc__run r;
        if (rc__run_reopen(&r, "looked-at", &e) != RC_OK) fail_msg("%d: %s", i, e.text);
        rc__run_close(&r);
    }
    enough = 1;
    pthread_join(thread, NULL);
}

static void test_delete(void **state) {
    (void)state;
    rc_error e = {0};
    assert_int_equal(mkdir("precious", 0777), 0);
    FILE *f = fopen("precious/thesis.txt", "w");
    fclose(f);
    assert_int_equal(rc_run_delete("precious", &e), RC_EINVAL);
    assert_int_equal(rc_run_delete("nothing-here", &e), RC_EIO);
    rc_train_options o = small_options("precious"); /* a run in a folder with other things */
    o.steps = 10;
    o.sample_length = 5;
    train_ok(&o, NULL);
    assert_int_equal(rc_run_delete("precious", &e), RC_EIO);
    assert_non_null(strstr(e.text, "other files"));
    assert_int_equal(access("precious/thesis.txt", F_OK), 0);
    assert_int_not_equal(access("precious/config.json", F_OK), 0);
    assert_int_not_equal(access("precious/checkpoints", F_OK), 0);
    o.run = "gone/";
    train_ok(&o, NULL);
    assert_int_equal(rc_run_delete("gone/", &e), RC_OK);
    assert_int_not_equal(access("gone", F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_live_run), cmocka_unit_test(test_read_and_list),
                                       cmocka_unit_test(test_killed), cmocka_unit_test(test_looking_is_no_training),
                                       cmocka_unit_test(test_delete)};
    return cmocka_run_group_tests(tests, setup, leave_work);
}
