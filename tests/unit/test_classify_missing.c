/* A classifier of series with missing values by gru-d: its input decay and its layers' own are there, learn, and come
 * back from the file as the same bits. */
#include "train_helpers.h"

#include "formats/safetensors.h"

/* Two classes of series that rise or fall, three values of four missing, and beside them a channel of noise. */
static void write_series(const char *path, int n, uint64_t seed) {
    rc_rng r = rc_rng_make(seed, 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("@problemName p\n@timeStamps false\n@missing true\n@univariate false\n@dimensions 2\n@equalLength false\n"
          "@classLabel true up down\n@data\n",
          f);
    for (int i = 0; i < n; i++) {
        int steps = 12 + (int)rc_rng_below(&r, 6);
        for (int c = 0; c < 2; c++)
            for (int t = 0; t < steps; t++) {
                double v = 0.3 * rc_rng_normal(&r) + (c ? 0 : i % 2 ? t : steps - t);
                const char *end = t + 1 < steps ? "," : ":";
                if (t && rc_rng_below(&r, 4))
                    fprintf(f, "?%s", end);
                else
                    fprintf(f, "%.3f%s", v, end);
            }
        fprintf(f, "%s\n", i % 2 ? "up" : "down");
    }
    fclose(f);
}

static const char *const train_file[] = {"train.ts"};

static void train(const char *encoder, const char *to) {
    rc_train_options o;
    rc_error e = {0};
    assert_int_equal(rc_train_options_for("classify", &o, &e), RC_OK);
    o.files = train_file;
    o.n_files = 1;
    o.data.numeric = true;
    o.encoder = encoder;
    o.hidden = 12;
    o.epochs = 12;
    o.threads = 1;
    o.out = to;
    o.run = "run";
    if (rc_train(&o, NULL, NULL, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(system("rm -rf run"), 0);
}

static float *tensor(rc__st_file *f, const char *name, size_t len) {
    const rc__st_tensor *t = rc__st_find(f, name);
    if (!t) fail_msg("no tensor %s", name);
    float *x = malloc(len * sizeof *x);
    assert_int_equal(t->len, len);
    assert_int_equal(rc__st_read_real(f, t, x, NULL), RC_OK);
    return x;
}

static double accuracy(rc_model *m) {
    char *json = NULL;
    size_t len = 0;
    rc_error e = {0};
    rc_eval_options o = rc_eval_options_default();
    if (rc_model_eval(m, "test.ts", &o, &json, &len, &e) != RC_OK) fail_msg("%s", e.text);
    const char *at = strstr(json, "\"accuracy\":");
    assert_non_null(at);
    double a = strtod(at + 11, NULL);
    rc_text_free(json, len);
    return a;
}

static void learns_and_loads(void **state) {
    enum { H = 12, I = 6 };
    (void)state;
    rc_error e = {0};
    rc_model *m;
    rc__st_file *f;
    write_series("train.ts", 200, 1);
    write_series("test.ts", 60, 2);
    train("gru-d", "m.safetensors");
    if (rc_model_load(&m, "m.safetensors", &e) != RC_OK) fail_msg("%s", e.text);
    assert_true(accuracy(m) > 0.9);
    assert_int_equal(rc_model_save(m, "again.safetensors", rc_model_provenance(m), &e), RC_OK);
    assert_int_equal(system("cmp -s m.safetensors again.safetensors"), 0);
    rc_model_free(m);
    assert_int_equal(rc__st_open(&f, "m.safetensors", &e), RC_OK);
    float *w = tensor(f, "decay.weight", 2), *b = tensor(f, "decay.bias", 2);
    for (int c = 0; c < 2; c++) assert_true(w[c] != 1 && b[c] != 0); /* where they began */
    free(w), free(b);
    w = tensor(f, "encoder.weight_ih_l0", 4 * H * I);
    for (size_t i = 3 * H * I; i < 4 * H * I; i++) assert_true((i % 3 == 2) == (w[i] != 0));
    free(w);
    rc__st_close(f);
}

/* Another cell has no such tensors, with the mask or without. */
static void other_cells_do_without(void **state) {
    (void)state;
    rc_error e = {0};
    rc__st_file *f;
    write_series("train.ts", 40, 1);
    train("gru", "m.safetensors");
    assert_int_equal(rc__st_open(&f, "m.safetensors", &e), RC_OK);
    assert_null(rc__st_find(f, "decay.weight"));
    free(tensor(f, "encoder.weight_ih_l0", 3 * 12 * 2));
    rc__st_close(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(learns_and_loads, enter_work, leave_work),
                                       cmocka_unit_test_setup_teardown(other_cells_do_without, enter_work, leave_work)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
