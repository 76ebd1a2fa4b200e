/* Saving and loading recurrent states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/safetensors.h"
#include "recur/rnn.h"
#include "temporary.h"

typedef struct model {
    rc_params *ps;
    rc_rnn *rnn;
} model;

static model make(const char *cell, size_t hidden, size_t proj) {
    model m;
    rc_error e = {0};
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = cell;
    o.input_size = 3;
    o.hidden_size = hidden;
    o.proj_size = proj;
    o.num_layers = 2;
    assert_int_equal(rc_params_new(&m.ps, &e), RC_OK);
    if (rc_rnn_new(&m.rnn, m.ps, "rnn.", &o, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(rc_params_build(m.ps, 1, &e), RC_OK);
    return m;
}

static void drop(model m) {
    rc_rnn_free(m.rnn);
    rc_params_free(m.ps);
}

static rc_state *state_of(model m, size_t batch, double first) {
    rc_state *s;
    rc_error e = {0};
    assert_int_equal(rc_state_new(&s, m.rnn, batch, &e), RC_OK);
    for (size_t i = 0; i < rc_state_h_len(s); i++) rc_state_h(s)[i] = (rc_real)(first + (double)i);
    for (size_t i = 0; i < rc_state_c_len(s); i++) rc_state_c(s)[i] = (rc_real)(-first - (double)i);
    return s;
}

static void expect_refusal(rc_state *s, const char *path, const char *why) {
    rc_error e = {0};
    rc_real before = rc_state_h(s)[0];
    assert_int_equal(rc_state_load(s, path, &e), RC_EMODEL);
    if (!strstr(e.text, why) || !strstr(e.text, path)) fail_msg("expected \"%s\" in \"%s\"", why, e.text);
    assert_true(rc_state_h(s)[0] == before);
}

static void test_state_files(void **unused) {
    (void)unused;
    char path[256];
    TEMPORARY_NAME(path, temporary_root(), "state");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    rc_error e = {0};
    model lstm = make("lstm-projection", 6, 4), gru = make("gru", 4, 0), wide = make("lstm-projection", 7, 4);

    rc_state *a = state_of(lstm, 3, 1), *b = state_of(lstm, 3, 100), *two = state_of(lstm, 2, 0),
             *w = state_of(wide, 3, 0);
    rc_state *g = state_of(gru, 3, 5), *g2 = state_of(gru, 3, 9);
    if (rc_state_save(a, path, &e) != RC_OK) fail_msg("%s", e.text);
    if (rc_state_load(b, path, &e) != RC_OK) fail_msg("%s", e.text);
    assert_memory_equal(rc_state_h(a), rc_state_h(b), rc_state_h_len(a) * sizeof(rc_real));
    assert_memory_equal(rc_state_c(a), rc_state_c(b), rc_state_c_len(a) * sizeof(rc_real));
    rc__st_file *f;
    assert_int_equal(rc__st_open(&f, path, &e), RC_OK);
    const rc__st_tensor *t;
    const size_t h[3] = {2, 3, 4}, c[3] = {2, 3, 6}; /* (layers, batch, width) */
    assert_int_equal(rc__st_expect(f, "h", RC_ST_F32, 3, h, &t, &e), RC_OK);
    assert_int_equal(rc__st_expect(f, "c", RC_ST_F32, 3, c, &t, &e), RC_OK);
    rc__st_close(f);
    expect_refusal(two, path, "tensor \"h\": expected shape (2, 2, 4), file has (2, 3, 4)");
    expect_refusal(w, path, "tensor \"c\": expected shape (2, 3, 7), file has (2, 3, 6)");
    expect_refusal(g, path, "tensor \"c\" is not part of this model's state, expected \"h\" alone");

    if (rc_state_save(g, path, &e) != RC_OK) fail_msg("%s", e.text);
    if (rc_state_load(g2, path, &e) != RC_OK) fail_msg("%s", e.text);
    assert_memory_equal(rc_state_h(g), rc_state_h(g2), rc_state_h_len(g) * sizeof(rc_real));
    expect_refusal(a, path, "tensor \"c\" is missing");
    unlink(path);
    assert_int_equal(rc_state_load(a, path, &e), RC_EIO);

    rc_state *all[] = {a, b, two, w, g, g2};
    for (size_t i = 0; i < 6; i++) rc_state_free(all[i]);
    drop(lstm);
    drop(gru);
    drop(wide);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_state_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
