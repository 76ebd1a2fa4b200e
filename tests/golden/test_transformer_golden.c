/* Blocks of attention against torch.nn.TransformerEncoder and TransformerDecoder (make_transformer.py): outputs and all
 * gradients; and step by step, with the keys and values kept in lists that are shared, as a beam does. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "formats/safetensors.h"
#include "nn/transformer.h"

enum { MAX_T = 8, MAX_B = 4, MAX_L = 2 };
static rc__st_file *file;
static json_t *doc;

static float *get(const char *test, const char *name, size_t dim[3]) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", test, name);
    const rc__st_tensor *t = rc__st_find(file, full);
    if (!t) fail_msg("no tensor %s", full);
    float *x = malloc(t->len * sizeof *x);
    for (int i = 0; dim && i < 3; i++) dim[i] = t->dim[i];
    assert_int_equal(rc__st_read_real(file, t, x, NULL), RC_OK);
    return x;
}

/* Sums of up to a few hundred terms in another order than torch's: some hundred roundings of the largest value. */
static void close_to(const char *test, const char *what, const float *got, const float *want, size_t n) {
    double scale = 1e-3;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 2e-5 * scale))
            fail_msg("%s: %s[%zu] is %.8g, torch has %.8g", test, what, i, (double)got[i], (double)want[i]);
}

typedef struct net {
    const char *name;
    rc_params *ps;
    rc__transformer *m;
    size_t H, L;
    int32_t lengths[MAX_B], memory_lengths[MAX_B];
    bool decoder;
} net;

static size_t number(const char *key) { return (size_t)json_integer_value(json_object_get(doc, key)); }

static net build(json_t *c) {
    net n = {.name = json_string_value(json_object_get(c, "name")), .H = number("H"), .L = number("L")};
    rc_error e = {0};
    rc_rnn_options o = rc_rnn_options_default();
    o.cell = "transformer";
    o.input_size = o.hidden_size = n.H;
    o.ffn = number("F");
    o.num_layers = (int)n.L;
    o.heads = (size_t)json_integer_value(json_object_get(c, "heads"));
    o.post_norm = !json_is_true(json_object_get(c, "pre"));
    o.ffn_kind = json_is_true(json_object_get(c, "relu")) ? RC_FFN_RELU : RC_FFN_GELU;
    o.bidirectional = json_is_true(json_object_get(c, "both"));
    o.context = (size_t)json_integer_value(json_object_get(c, "context"));
    o.no_bias = !json_is_true(json_object_get(c, "bias"));
    o.positions = RC_POSITIONS_NONE;
    n.decoder = json_is_true(json_object_get(c, "decoder"));
    assert_int_equal(rc_params_new(&n.ps, &e), RC_OK);
    if (rc__transformer_new(&n.m, n.ps, "", &o, n.decoder ? n.H : 0, &e)) fail_msg("%s: %s", n.name, e.text);
    assert_int_equal(rc_params_build(n.ps, 1, &e), RC_OK);
    for (size_t i = 0; i < rc_params_count(n.ps); i++) {
        rc_param *p = rc_params_at(n.ps, i);
        char key[200];
        snprintf(key, sizeof key, "%s/w/%s", n.name, p->name);
        const rc__st_tensor *t = rc__st_find(file, key);
        if (!t) fail_msg("torch has no %s", key);
        assert_int_equal(t->ndim, p->ndim);
        for (int k = 0; k < p->ndim; k++) assert_int_equal(t->dim[k], p->dim[k]);
        assert_int_equal(rc__st_read_real(file, t, p->w, &e), RC_OK);
    }
    size_t theirs = 0;
    char prefix[200];
    snprintf(prefix, sizeof prefix, "%s/w/", n.name);
    for (size_t i = 0; i < rc__st_count(file); i++)
        theirs += !strncmp(rc__st_at(file, i)->name, prefix, strlen(prefix));
    assert_int_equal(theirs, rc_params_count(n.ps));
    rc_params_changed(n.ps);
    for (size_t b = 0; b < MAX_B; b++) {
        n.lengths[b] = (int32_t)json_integer_value(json_array_get(json_object_get(doc, "lengths"), b));
        n.memory_lengths[b] = (int32_t)json_integer_value(json_array_get(json_object_get(doc, "memory_lengths"), b));
    }
    return n;
}

static void whole(const net *n) {
    size_t dim[3], mdim[3] = {0};
    float *x = get(n->name, "x", dim), *wy = get(n->name, "wy", NULL), *y = get(n->name, "y", NULL),
          *dx = get(n->name, "d/x", NULL), *memory = n->decoder ? get(n->name, "memory", mdim) : NULL,
          *dm = n->decoder ? get(n->name, "d/memory", NULL) : NULL;
    rc_tape *t;
    rc_error e = {0};
    assert_int_equal(rc_tape_new(&t, &e), RC_OK);
    rc_tape_begin(t, (rc_tape_mode){.grad = true, .training = true});
    rc_var *vx = rc_leaf(t, 3, dim, x);
    rc__transformer_memory mem = {.lengths = n->memory_lengths};
    if (n->decoder) mem.steps = rc_leaf(t, 3, mdim, memory);
    rc_var *vy = rc__transformer_forward(t, n->m, vx, n->lengths, n->decoder ? &mem : NULL, NULL);
    if (rc_backward(t, rc_sum_all(t, rc_mul(t, vy, rc_input(t, 3, dim, wy))), 1, &e))
        fail_msg("%s: %s", n->name, e.text);
    close_to(n->name, "y", vy->x, y, vy->len);
    close_to(n->name, "dx", vx->dx, dx, vx->len);
    if (n->decoder) close_to(n->name, "dmemory", mem.steps->dx, dm, mem.steps->len);
    for (size_t i = 0; i < rc_params_count(n->ps); i++) {
        rc_param *p = rc_params_at(n->ps, i);
        char key[200];
        snprintf(key, sizeof key, "d/w/%s", p->name);
        float *want = get(n->name, key, NULL);
        close_to(n->name, key, p->g, want, p->len);
        free(want);
    }
    rc_tape_free(t);
    free(x), free(wy), free(y), free(dx), free(memory), free(dm);
}

/* Keys and values of step t of row i lie in slot t * rows + i; each row has the list of its own slots. */
typedef struct lists {
    const net *n;
    size_t rows, t, KV, window, S;
    float *k[MAX_L], *v[MAX_L], *mk[MAX_L], *mv[MAX_L];
    uint32_t index[MAX_B][MAX_T];
    const size_t *sentence;
} lists;

static void self_rows(void *ctx, size_t layer, size_t row, rc_real **k, rc_real **v, rc__kv_rows *past) {
    lists *s = ctx;
    size_t slot = s->t * s->rows + row, first = s->window && s->t + 1 > s->window ? s->t + 1 - s->window : 0;
    s->index[row][s->t] = (uint32_t)slot;
    *k = s->k[layer] + slot * s->KV;
    *v = s->v[layer] + slot * s->KV;
    *past = (rc__kv_rows){.k = s->k[layer],
                          .v = s->v[layer],
                          .ld = s->KV,
                          .index = s->index[row] + first,
                          .n = s->t + 1 - first,
                          .newest = s->t - first};
}

static void memory_rows(void *ctx, size_t layer, size_t row, rc__kv_rows *memory) {
    const lists *s = ctx;
    size_t b = s->sentence[row];
    *memory = (rc__kv_rows){.k = s->mk[layer] + b * s->S * s->KV,
                            .v = s->mv[layer] + b * s->S * s->KV,
                            .ld = s->KV,
                            .n = (size_t)s->n->memory_lengths[b]};
}

/* Every step anew the rows change places, so that each finds its past by its list alone. */
static void step_by_step(const net *n) {
    static const size_t perms[3][3] = {{0, 1, 2}, {2, 0, 1}, {1, 2, 0}};
    const rc_rnn_options *o = rc__transformer_get_options(n->m);
    if (o->bidirectional) return;
    size_t dim[3], mdim[3] = {1, 3, n->H}, H = n->H;
    float *x = get(n->name, "x", dim), *y = get(n->name, "y", NULL);
    float *memory = n->decoder ? get(n->name, "memory", mdim) : NULL;
    size_t T = dim[0], B = dim[1], S = mdim[0];
    rc_error e = {0};
    lists s = {.n = n, .rows = B, .KV = rc__transformer_kv(n->m), .S = S, .window = o->context < T ? o->context : 0};
    for (size_t l = 0; l < n->L; l++) {
        s.k[l] = calloc(T * B * s.KV, sizeof(float)), s.v[l] = calloc(T * B * s.KV, sizeof(float));
        s.mk[l] = calloc(S * B * s.KV, sizeof(float)), s.mv[l] = calloc(S * B * s.KV, sizeof(float));
        for (size_t b = 0; n->decoder && b < B; b++) { /* (S, B, H) to each sentence's own rows */
            float *rows = malloc(S * H * sizeof *rows);
            for (size_t i = 0; i < S; i++) memcpy(rows + i * H, memory + (i * B + b) * H, H * sizeof *rows);
            assert_int_equal(
                rc__transformer_memory_kv(n->m, l, S, rows, s.mk[l] + b * S * s.KV, s.mv[l] + b * S * s.KV, &e), RC_OK);
            free(rows);
        }
    }
    float *room = malloc(rc__transformer_step_room(n->m, B, T + S) * sizeof *room), in[MAX_B * 16], out[MAX_B * 16];
    float weights[MAX_B * MAX_T];
    uint64_t position[MAX_B];
    for (size_t t = 0; t < T; t++) {
        const size_t *now = perms[t % 3], *before = perms[(t + 2) % 3];
        uint32_t old[MAX_B][MAX_T];
        memcpy(old, s.index, sizeof old);
        for (size_t i = 0; i < B; i++) {
            for (size_t j = 0; t && j < B; j++)
                if (before[j] == now[i]) memcpy(s.index[i], old[j], sizeof old[j]);
            memcpy(in + i * H, x + (t * B + now[i]) * H, H * sizeof *in);
            position[i] = t;
        }
        s.t = t;
        s.sentence = now;
        rc__transformer_step st = {.rows = B,
                                   .x = in,
                                   .y = out,
                                   .position = position,
                                   .room = room,
                                   .stride = MAX_T,
                                   .weights = n->decoder ? weights : NULL,
                                   .store = {.ctx = &s, .self = self_rows, .memory = n->decoder ? memory_rows : NULL}};
        assert_int_equal(rc__transformer_step_run(n->m, &st, T + S, &e), RC_OK);
        for (size_t i = 0; i < B; i++) {
            if (t < (size_t)n->lengths[now[i]]) close_to(n->name, "step", out + i * H, y + (t * B + now[i]) * H, H);
            double sum = 0;
            for (size_t j = 0; n->decoder && j < MAX_T; j++) {
                sum += (double)weights[i * MAX_T + j];
                if (j >= (size_t)n->memory_lengths[now[i]]) assert_true(weights[i * MAX_T + j] == 0);
            }
            if (n->decoder) assert_true(fabs(sum - 1) < 1e-5);
        }
    }
    for (size_t l = 0; l < n->L; l++) free(s.k[l]), free(s.v[l]), free(s.mk[l]), free(s.mv[l]);
    free(x), free(y), free(memory), free(room);
}

static void against_torch(void **state) {
    (void)state;
    json_t *cases = json_object_get(doc, "cases");
    assert_int_equal(json_array_size(cases), 7);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        net n = build(json_array_get(cases, i));
        whole(&n);
        step_by_step(&n);
        rc__transformer_free(n.m);
        rc_params_free(n.ps);
    }
}

static int setup(void **state) {
    (void)state;
    char path[1024];
    rc_error e = {0};
    snprintf(path, sizeof path, "%s/golden/transformer.safetensors",
             getenv("RECUR_TEST_DIR") ? getenv("RECUR_TEST_DIR") : "tests");
    if (rc__st_open(&file, path, &e)) return fprintf(stderr, "%s\n", e.text), -1;
    doc = json_loads(rc__st_get_meta(file, "cases"), 0, NULL);
    return doc ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    rc__st_close(file);
    json_decref(doc);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_torch)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
