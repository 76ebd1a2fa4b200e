/* Every cell, and the options, against numbers that make_rnn.py made: outputs, final states, all gradients, ten
 * training steps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "formats/safetensors.h"
#include "recur/rnn.h"

static rc__st_file *file;
static json_t *doc;

typedef struct tensor {
    int ndim;
    size_t dim[RC_ST_MAX_DIMS], len;
    float *x;
} tensor;

static tensor get(const char *test, const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", test, name);
    const rc__st_tensor *t = rc__st_find(file, full);
    if (!t) fail_msg("no tensor %s", full);
    tensor out = {.ndim = t->ndim, .len = t->len, .x = malloc(t->len * sizeof(float) + 4)};
    memcpy(out.dim, t->dim, sizeof out.dim);
    assert_int_equal(rc__st_read_real(file, t, out.x, NULL), RC_OK);
    return out;
}

/* Float sums of up to a few hundred terms in another order than torch's: 2e-5 relative to the largest value, which is
 * about 128 rounding errors. */
#define TOLERANCE 2e-5
static void close_to(const char *test, const char *what, const float *got, const float *want, size_t n,
                     double tolerance) {
    double scale = 1e-3;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * scale))
            fail_msg("%s: %s[%zu] is %.8g, torch has %.8g", test, what, i, (double)got[i], (double)want[i]);
}

typedef struct net {
    rc_params *ps;
    rc_rnn *rnn;
    rc_tape *tape;
    int32_t *lengths;
    bool has_c;
    bool training; /* zoneout has a reference at inference alone: its mean */
} net;

static net build(json_t *c) {
    net n = {0};
    rc_error e = {0};
    const char *name = json_string_value(json_object_get(c, "name"));
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = json_string_value(json_object_get(c, "cell"));
    o.input_size = (size_t)json_integer_value(json_object_get(c, "input"));
    o.hidden_size = (size_t)json_integer_value(json_object_get(doc, "H"));
    o.num_layers = (int)json_integer_value(json_object_get(c, "layers"));
    o.bidirectional = json_is_true(json_object_get(c, "bidirectional"));
    n.has_c = rc_cell_find(o.cell)->has_c;
    if (rc_cell_find(o.cell)->projects) o.proj_size = (size_t)json_integer_value(json_object_get(doc, "P"));
    o.no_bias = json_is_true(json_object_get(c, "no_bias"));
    o.reverse = json_is_true(json_object_get(c, "reverse"));
    if (json_object_get(c, "depth")) o.depth = (int)json_integer_value(json_object_get(c, "depth"));
    o.zoneout_h = json_number_value(json_object_get(c, "zoneout_h"));
    o.zoneout_c = json_number_value(json_object_get(c, "zoneout_c"));
    n.training = o.zoneout_h == 0 && o.zoneout_c == 0;
    const char *skip = json_string_value(json_object_get(c, "skip"));
    if (skip) o.skip = !strcmp(skip, "residual") ? RC_SKIP_RESIDUAL : RC_SKIP_HIGHWAY;
    assert_int_equal(rc_params_new(&n.ps, &e), RC_OK);
    if (rc_rnn_new(&n.rnn, n.ps, "", &o, &e)) fail_msg("%s: %s", name, e.text);
    assert_int_equal(rc_params_build(n.ps, 1, &e), RC_OK);
    assert_int_equal(rc_tape_new(&n.tape, &e), RC_OK);
    json_t *lengths = json_object_get(c, "lengths");
    size_t rows = json_array_size(lengths);
    n.lengths = rows ? malloc(rows * sizeof(int32_t)) : NULL;
    for (size_t i = 0; i < rows; i++) n.lengths[i] = (int32_t)json_integer_value(json_array_get(lengths, i));
    size_t used = 0;
    for (size_t i = 0; i < rc_params_count(n.ps); i++) {
        rc_param *p = rc_params_at(n.ps, i);
        char key[200];
        snprintf(key, sizeof key, "w/%s", p->name);
        tensor w = get(name, key);
        assert_int_equal(w.len, p->len);
        assert_int_equal(w.ndim, p->ndim);
        memcpy(p->w, w.x, w.len * sizeof(float));
        free(w.x);
        used++;
    }
    char prefix[200]; /* torch has no tensor that we lack */
    snprintf(prefix, sizeof prefix, "%s/w/", name);
    for (size_t i = 0; i < rc__st_count(file); i++)
        if (!strncmp(rc__st_at(file, i)->name, prefix, strlen(prefix))) used--;
    assert_int_equal(used, 0);
    rc_params_changed(n.ps);
    return n;
}

static void drop(net *n) {
    rc_tape_free(n->tape);
    rc_rnn_free(n->rnn);
    rc_params_free(n->ps);
    free(n->lengths);
}

static void outputs_and_gradients(net *n, const char *name) {
    tensor x = get(name, "x"), h0 = get(name, "h0"), wy = get(name, "wy"), wh = get(name, "wh"), c0 = {0}, wc = {0};
    if (n->has_c) {
        c0 = get(name, "c0");
        wc = get(name, "wc");
    }
    rc_tape *t = n->tape;
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = n->training});
    rc_var *vx = rc_leaf(t, 3, x.dim, x.x), *vh = rc_leaf(t, 3, h0.dim, h0.x),
           *vc = n->has_c ? rc_leaf(t, 3, c0.dim, c0.x) : NULL;
    rc_var *hn, *cn, *y = rc_rnn_forward_vars(t, n->rnn, vx, n->lengths, vh, vc, &hn, &cn);
    rc_var *loss = rc_add(t, rc_sum_all(t, rc_mul(t, y, rc_input(t, 3, wy.dim, wy.x))),
                          rc_sum_all(t, rc_mul(t, hn, rc_input(t, 3, wh.dim, wh.x))));
    if (cn) loss = rc_add(t, loss, rc_sum_all(t, rc_mul(t, cn, rc_input(t, 3, wc.dim, wc.x))));
    rc_error e = {0};
    if (rc_backward(t, loss, 1, &e)) fail_msg("%s: %s", name, e.text);
    const struct {
        const char *key;
        const float *got;
        bool want;
    } all[] = {{"y", y->x, true},
               {"hn", hn->x, true},
               {"dx", vx->dx, true},
               {"dh0", vh->dx, true},
               {"cn", cn ? cn->x : NULL, n->has_c},
               {"dc0", vc ? vc->dx : NULL, n->has_c}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i].want) continue;
        tensor want = get(name, all[i].key);
        assert_non_null(all[i].got);
        close_to(name, all[i].key, all[i].got, want.x, want.len, TOLERANCE);
        free(want.x);
    }
    for (size_t i = 0; i < rc_params_count(n->ps); i++) {
        rc_param *p = rc_params_at(n->ps, i);
        char key[200];
        snprintf(key, sizeof key, "dw/%s", p->name);
        tensor want = get(name, key);
        close_to(name, key, p->g, want.x, want.len, TOLERANCE);
        free(want.x);
    }
    free(x.x), free(h0.x), free(wy.x), free(wh.x), free(c0.x), free(wc.x);
}

static void ten_steps(net *n, const char *name) {
    tensor x = get(name, "x"), h0 = get(name, "h0"), target = get(name, "target"), losses = get(name, "losses"),
           c0 = {0};
    if (n->has_c) c0 = get(name, "c0");
    float got[10];
    rc_tape *t = n->tape;
    for (int step = 0; step < 10; step++) {
        rc_params_zero_grad(n->ps);
        rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = n->training});
        rc_var *y = rc_rnn_forward_vars(t, n->rnn, rc_input(t, 3, x.dim, x.x), n->lengths, rc_input(t, 3, h0.dim, h0.x),
                                        n->has_c ? rc_input(t, 3, c0.dim, c0.x) : NULL, NULL, NULL);
        rc_var *d = rc_sub(t, y, rc_input(t, 3, target.dim, target.x));
        rc_var *loss = rc_mean_all(t, rc_mul(t, d, d));
        rc_error e = {0};
        if (rc_backward(t, loss, 1, &e)) fail_msg("%s: %s", name, e.text);
        got[step] = (float)loss->x[0];
        for (size_t i = 0; i < rc_params_count(n->ps); i++) {
            rc_param *p = rc_params_at(n->ps, i);
            for (size_t k = 0; k < p->len; k++) p->w[k] -= 0.5f * p->g[k];
        }
        rc_params_changed(n->ps);
    }
    assert_true(got[9] < got[0]);
    close_to(name, "losses", got, losses.x, 10, 10 * TOLERANCE); /* each step adds its own roundings to the weights */
    free(x.x), free(h0.x), free(c0.x), free(target.x), free(losses.x);
}

static int open_file(const char *name) {
    char path[1024];
    rc_error e = {0};
    snprintf(path, sizeof path, "%s/golden/%s", getenv("RECUR_TEST_DIR") ? getenv("RECUR_TEST_DIR") : "tests", name);
    if (rc__st_open(&file, path, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return -1;
    }
    doc = json_loads(rc__st_get_meta(file, "cases"), 0, NULL);
    return doc ? 0 : -1;
}

static void against_torch(size_t at_least) {
    json_t *cases = json_object_get(doc, "cases");
    size_t count = json_array_size(cases);
    assert_true(count >= at_least);
    for (size_t i = 0; i < count; i++) {
        json_t *c = json_array_get(cases, i);
        const char *name = json_string_value(json_object_get(c, "name"));
        net n = build(c);
        outputs_and_gradients(&n, name);
        ten_steps(&n, name);
        drop(&n);
    }
}

static void cells(void **state) {
    (void)state;
    against_torch(2 * (rc_cell_count() - 1)); /* transformer: test_transformer_golden.c */
}

static void options(void **state) {
    (void)state;
    against_torch(25);
}

static int setup_cells(void **state) {
    (void)state;
    return open_file("rnn.safetensors");
}

static int setup_options(void **state) {
    (void)state;
    return open_file("rnn_options.safetensors");
}

static int teardown(void **state) {
    (void)state;
    rc__st_close(file);
    json_decref(doc);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(cells, setup_cells, teardown),
                                       cmocka_unit_test_setup_teardown(options, setup_options, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
