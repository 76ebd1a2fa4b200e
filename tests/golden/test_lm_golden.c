/* Language models with PyTorch's weights, from files that PyTorch wrote, against PyTorch's numbers (make_lm.py):
 * logits, loss, gradients, and ten steps of two optimizers with carried state. */
#include "formats/safetensors.h"
#include "lm_helper.h"

enum { T = 7, B = 3, STEPS = 10 };
static rc__st_file *golden;

static rc_lm *load(const char *name) {
    char path[600];
    rc_lm *m;
    snprintf(path, sizeof path, "%s/golden/lm_%s.safetensors", getenv("RECUR_TEST_DIR"), name);
    OK(rc_lm_load(&m, path, &E));
    return m;
}

static const rc__st_tensor *find(const char *name, const char *what) {
    char key[200];
    snprintf(key, sizeof key, "%s.%s", name, what);
    const rc__st_tensor *t = rc__st_find(golden, key);
    if (!t) fail_msg("lm.safetensors has no %s", key);
    return t;
}

/* Allocated; free. */
static rc_real *numbers(const char *name, const char *what, size_t *len) {
    const rc__st_tensor *t = find(name, what);
    rc_real *x = malloc(t->len * sizeof *x);
    OK(rc__st_read_real(golden, t, x, &E));
    if (len) *len = t->len;
    return x;
}

static int32_t *tokens(const char *name) {
    const rc__st_tensor *t = find(name, "ids");
    int32_t *ids = malloc(t->len * sizeof *ids);
    assert_int_equal(t->len, (STEPS * T + 1) * B);
    OK(rc__st_read(golden, t, ids, &E));
    return ids;
}

/* Single precision: sums of at most a few hundred terms in another order: 2^-24 * 10 * sqrt(200) of the largest. */
static void assert_near(const char *what, const rc_real *got, const rc_real *want, size_t n) {
    double scale = 1e-3;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-5 * scale))
            fail_msg("%s[%zu]: %.8g, expected %.8g", what, i, (double)got[i], (double)want[i]);
}

static void check_logits(const rc_lm *m, const char *name, const int32_t *ids) {
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    rc_real *want = numbers(name, "logits", NULL), *got = malloc(B * V * sizeof *got);
    rc_state *s;
    OK(rc_state_new(&s, rc_lm_rnn(m), B, &E));
    for (size_t t = 0; t < T; t++) {
        OK(rc_lm_step(m, s, ids + t * B, got, &E));
        assert_near("logits", got, want + t * B * V, B * V);
    }
    rc_state_free(s);
    free(got);
    free(want);
}

static void check_gradients(rc_lm *m, const char *name, const int32_t *ids) {
    rc_tape *t;
    rc_real *loss_want = numbers(name, "loss", NULL);
    OK(rc_tape_new(&t, &E));
    rc_params_zero_grad(rc_lm_params(m));
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
    rc_var *loss = rc_lm_loss(t, m, ids, ids + B, T, B, NULL, NULL, NULL);
    OK(rc_backward(t, loss, 1, &E));
    assert_near("loss", loss->x, loss_want, 1);
    for (size_t i = 0; i < rc_params_count(rc_lm_params(m)); i++) {
        rc_param *p = rc_params_at(rc_lm_params(m), i);
        char key[200];
        size_t len;
        snprintf(key, sizeof key, "grad.%s", p->name);
        rc_real *want = numbers(name, key, &len);
        assert_int_equal(len, p->len);
        assert_near(p->name, p->g, want, len);
        free(want);
    }
    rc_tape_free(t);
    free(loss_want);
}

static void check_steps(rc_lm *m, const char *name, const char *which, const int32_t *ids, rc_optim_options how,
                        double lr) {
    rc_tape *t;
    rc_optim *optim;
    rc_state *state;
    rc_real *want = numbers(name, which, NULL), got[STEPS];
    OK(rc_tape_new(&t, &E));
    rc_params_zero_grad(rc_lm_params(m));
    OK(rc_optim_new(&optim, rc_lm_params(m), &how, &E));
    OK(rc_state_new(&state, rc_lm_rnn(m), B, &E));
    for (size_t i = 0; i < STEPS; i++) {
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true, .step = i});
        rc_var *loss = rc_lm_loss(t, m, ids + i * T * B, ids + (i * T + 1) * B, T, B, state, NULL, NULL);
        OK(rc_backward(t, loss, 1, &E));
        OK(rc_optim_step(optim, lr, NULL, &E));
        got[i] = loss->x[0];
    }
    assert_near(which, got, want, STEPS);
    rc_state_free(state);
    rc_optim_free(optim);
    rc_tape_free(t);
    free(want);
}

static void check(const char *name) {
    rc_lm *m = load(name);
    int32_t *ids = tokens(name);
    rc_optim_options sgd = rc_optim_options_default(), adamw = sgd;
    sgd.kind = RC_OPTIM_SGD;
    sgd.momentum = 0.9;
    sgd.weight_decay = 0;
    sgd.clip_norm = 0.25;
    adamw.kind = RC_OPTIM_ADAMW;
    adamw.weight_decay = 0.1;
    check_logits(m, name, ids);
    check_gradients(m, name, ids);
    check_steps(m, name, "sgd", ids, sgd, 0.5);
    rc_lm_free(m);
    m = load(name);
    check_steps(m, name, "adamw", ids, adamw, 0.02);
    rc_lm_free(m);
    free(ids);
}

static void one_case(void **name) { check(*name); }

static int open_golden(void **unused) {
    (void)unused;
    char path[600];
    const char *dir = getenv("RECUR_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/lm.safetensors", dir ? dir : "tests");
    if (!dir) setenv("RECUR_TEST_DIR", "tests", 1);
    return rc__st_open(&golden, path, &E) == RC_OK ? 0 : -1;
}
static int close_golden(void **unused) {
    (void)unused;
    rc__st_close(golden);
    return 0;
}

int main(void) {
#define CASE(name) \
    { name, one_case, NULL, NULL, name }
    const struct CMUnitTest tests[] = {CASE("rnn"),          CASE("rnn-relu"),     CASE("lstm"),
                                       CASE("lstm-tied"),    CASE("lstm-adapter"), CASE("lstm-projection"),
                                       CASE("lstm-no-bias"), CASE("gru")};
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
