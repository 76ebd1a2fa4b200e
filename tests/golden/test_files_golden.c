/* A state file of each format version loads and is what the model of that version computes; a newer one, and another
 * file of recur, are refused by name. The other files of tests/golden/format1/ are read in tests/cli/files.sh. */
#include "base/file.h"
#include "base/mem.h"
#include "lm_helper.h"
#include "temporary.h"

static const char *golden(const char *name) {
    static char path[2][600];
    static int k;
    k ^= 1;
    const char *dir = getenv("RECUR_TEST_DIR");
    snprintf(path[k], sizeof path[k], "%s/golden/format1/%s", dir ? dir : "tests", name);
    return path[k];
}

static void state_of_format_1(void **unused) {
    (void)unused;
    rc_lm *m;
    rc_state *ours, *file;
    char *text;
    size_t len, n;
    int32_t *ids;
    OK(rc_lm_load(&m, golden("char.safetensors"), &E));
    OK(rc_text_read(golden("text.txt"), &text, &len, &E));
    OK(rc_vocab_encode(rc_lm_vocab(m), text, len, &ids, &n, NULL, &E));
    OK(rc_state_new(&ours, rc_lm_rnn(m), 1, &E));
    OK(rc_state_new(&file, rc_lm_rnn(m), 1, &E));
    rc_real logits[64];
    assert_true(rc_vocab_size(rc_lm_vocab(m)) <= 64);
    for (size_t i = 0; i < 40; i++) OK(rc_lm_step(m, ours, &ids[i], logits, &E)); /* as make_state.c did */
    OK(rc_state_load(file, golden("state.safetensors"), &E));
    assert_int_equal(rc_state_h_len(file), 6);
    for (size_t i = 0; i < 6; i++)
        assert_close(rc_state_h(ours)[i], rc_state_h(file)[i], 40 * 4e-7); /* roundings of 40 steps */
    assert_true(fabs(rc_state_h(file)[0]) + fabs(rc_state_h(file)[1]) > 1e-3);
    rc_state_free(ours);
    rc_state_free(file);
    rc_ids_free(ids, n);
    rc_text_free(text, len);
    rc_lm_free(m);
}

/* The file with one text in it replaced by another of the same length. */
static const char *changed(const char *name, const char *from, const char *to) {
    static char path[256];
    char *data;
    size_t len, n = strlen(from);
    OK(rc__file_read(golden(name), false, 0, &data, &len, &E));
    char *at = memmem(data, len, from, n);
    assert_non_null(at);
    assert_int_equal(n, strlen(to));
    memcpy(at, to, n);
    snprintf(path, sizeof path, "%.200s/recur-golden-state-%d", temporary_root(), (int)getpid());
    OK(rc__file_write(path, data, len, &E));
    rc__free(data, len + 1);
    return path;
}

static void other_states(void **unused) {
    (void)unused;
    rc_lm *m;
    rc_state *s;
    OK(rc_lm_load(&m, golden("char.safetensors"), &E));
    OK(rc_state_new(&s, rc_lm_rnn(m), 1, &E));
    const char *path = changed("state.safetensors", "\\\"format\\\":1", "\\\"format\\\":2");
    FAILS(RC_EMODEL, "format 2 was made by a newer recur", rc_state_load(s, path, &E));
    assert_non_null(strstr(E.text, path));
    path = changed("state.safetensors", "\\\"content\\\":\\\"state", "\\\"content\\\":\\\"stage");
    FAILS(RC_EMODEL, "expected a state", rc_state_load(s, path, &E));
    path = changed("state.safetensors", "\\\"format\\\":1", "\\\"format\\\":x");
    FAILS(RC_EMODEL, "line 1", rc_state_load(s, path, &E));
    path = changed("state.safetensors", "\"recur\"", "\"other\""); /* another program's: taken by its tensors */
    OK(rc_state_load(s, path, &E));
    unlink(path);
    FAILS(RC_EMODEL, "expected a state", rc_state_load(s, golden("char.safetensors"), &E));
    rc_state_free(s);
    rc_lm_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(state_of_format_1), cmocka_unit_test(other_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
