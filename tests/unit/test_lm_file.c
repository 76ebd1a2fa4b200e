/* The file of a language model: what is saved comes back bit for bit; what is wrong is refused by name. */
#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "lm_helper.h"

static const char text[] = "the quick brown fox jumps over the lazy dog. \xC3\xA9t\xC3\xA9 \"quoted\" \\ \n";

static void logits_of(const rc_lm *m, rc_real *logits, size_t steps) {
    rc_state *s;
    size_t V = rc_vocab_size(rc_lm_vocab(m));
    OK(rc_state_new(&s, rc_lm_rnn(m), 1, &E));
    for (size_t i = 0; i < steps; i++) {
        int32_t id = (int32_t)(i * 5 % V);
        OK(rc_lm_step(m, s, &id, logits + i * V, &E));
    }
    rc_state_free(s);
}

static void assert_same_options(const rc_lm_options *a, const rc_lm_options *b) {
    assert_string_equal(a->rnn.cell, b->rnn.cell);
    assert_int_equal(a->rnn.input_size, b->rnn.input_size);
    assert_int_equal(a->rnn.hidden_size, b->rnn.hidden_size);
    assert_int_equal(a->rnn.proj_size, b->rnn.proj_size);
    assert_int_equal(a->rnn.num_layers, b->rnn.num_layers);
    assert_int_equal(a->rnn.no_bias, b->rnn.no_bias);
    assert_int_equal(a->rnn.depth, b->rnn.depth);
    assert_int_equal(a->rnn.skip, b->rnn.skip);
    assert_true(a->rnn.dropout == b->rnn.dropout);
    assert_int_equal(a->rnn.dropout_sequence, b->rnn.dropout_sequence);
    assert_true(a->rnn.recurrent_dropout == b->rnn.recurrent_dropout);
    assert_true(a->rnn.zoneout_h == b->rnn.zoneout_h && a->rnn.zoneout_c == b->rnn.zoneout_c);
    assert_true(a->rnn.weight_drop == b->rnn.weight_drop);
    assert_int_equal(a->rnn.learn_initial_state, b->rnn.learn_initial_state);
    assert_int_equal(a->rnn.init_ih, b->rnn.init_ih);
    assert_int_equal(a->rnn.init_hh, b->rnn.init_hh);
    assert_int_equal(a->rnn.init_torch, b->rnn.init_torch);
    assert_true(a->rnn.forget_bias == b->rnn.forget_bias);
    assert_int_equal(a->rnn.heads, b->rnn.heads);
    assert_int_equal(a->rnn.kv_heads, b->rnn.kv_heads);
    assert_int_equal(a->rnn.ffn, b->rnn.ffn);
    assert_int_equal(a->rnn.context, b->rnn.context);
    assert_int_equal(a->rnn.positions, b->rnn.positions);
    assert_int_equal(a->rnn.post_norm, b->rnn.post_norm);
    assert_int_equal(a->rnn.rms_norm, b->rnn.rms_norm);
    assert_int_equal(a->rnn.ffn_kind, b->rnn.ffn_kind);
    assert_true(a->rnn.attention_dropout == b->rnn.attention_dropout);
    assert_int_equal(a->embedding_size, b->embedding_size);
    assert_int_equal(a->tied, b->tied);
    assert_true(a->dropout_input == b->dropout_input && a->dropout_output == b->dropout_output);
    assert_true(a->dropout_embedding == b->dropout_embedding);
    assert_int_equal(a->dropout_sequence, b->dropout_sequence);
}

static rc_lm *round_trip(const rc_lm *m) {
    rc_lm *back = NULL;
    char *path = temp_path("model.safetensors");
    OK(rc_lm_save(m, path, NULL, &E));
    OK(rc_lm_load(&back, path, &E));
    unlink(path);
    return back;
}

static void check_round_trip(const char *spec, const rc_lm_options *o) {
    rc_lm *m = model_of(spec, text, o), *back = round_trip(m);
    size_t V = rc_vocab_size(rc_lm_vocab(m)), bytes = 30 * V * sizeof(rc_real);
    rc_real *a = malloc(bytes), *b = malloc(bytes);
    logits_of(m, a, 30);
    logits_of(back, b, 30);
    assert_memory_equal(a, b, bytes);
    assert_memory_equal(rc_params_values(rc_lm_params(m)), rc_params_values(rc_lm_params(back)),
                        rc_params_block_len(rc_lm_params(m)) * sizeof(rc_real));
    assert_same_options(rc_lm_get_options(m), rc_lm_get_options(back));
    free(a);
    free(b);
    rc_lm_free(m);
    rc_lm_free(back);
}

static void every_cell(void **unused) {
    (void)unused;
    for (size_t k = 0; k < rc_cell_count(); k++) {
        rc_lm_options o = small_options(rc_cell_at(k)->name);
        check_round_trip("char", &o);
        o.tied = true;
        o.rnn.num_layers = 1;
        check_round_trip("byte", &o);
    }
}

static void every_option(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm-projection");
    o.rnn.proj_size = 5;
    o.rnn.num_layers = 3;
    o.rnn.dropout = 1.0 / 3;
    o.rnn.dropout_sequence = true;
    o.rnn.recurrent_dropout = 0.1;
    o.rnn.zoneout_h = 0.07;
    o.rnn.zoneout_c = 0.3;
    o.rnn.weight_drop = 0.5;
    o.rnn.learn_initial_state = true;
    o.rnn.forget_bias = 0.1;
    o.dropout_input = 0.15;
    o.dropout_output = 0.25;
    o.dropout_embedding = 0.05;
    o.dropout_sequence = true;
    o.tied = true;
    check_round_trip("char", &o);
    for (int kind = 0; kind < 2; kind++) {
        o = small_options("transformer");
        o.rnn.heads = 4;
        o.rnn.kv_heads = 2;
        o.rnn.ffn = 10;
        o.rnn.context = 5;
        o.rnn.positions = kind ? RC_POSITIONS_LEARNED : RC_POSITIONS_ALIBI;
        o.rnn.post_norm = !kind;
        o.rnn.rms_norm = kind;
        o.rnn.ffn_kind = kind ? RC_FFN_SWIGLU : RC_FFN_RELU;
        o.rnn.attention_dropout = 0.2;
        o.rnn.no_bias = kind;
        check_round_trip("char", &o);
    }
    o = small_options("rhn");
    o.rnn.depth = 4;
    o.rnn.no_bias = rc_lm_options_default().rnn.no_bias;
    o.rnn.init_hh = RC_INIT_HE_NORMAL;
    o.rnn.init_ih = RC_INIT_XAVIER_NORMAL;
    check_round_trip("word", &o);
    o = small_options("gru");
    o.embedding_size = 12;
    o.rnn.skip = RC_SKIP_RESIDUAL;
    o.rnn.no_bias = true;
    o.rnn.init_torch = true;
    check_round_trip("byte", &o);
    o = small_options("rnn-relu");
    o.embedding_size = 12;
    o.rnn.skip = RC_SKIP_HIGHWAY;
    o.rnn.init_hh = RC_INIT_IDENTITY;
    check_round_trip("bpe:270", &o);
}

static void vocabulary_and_provenance(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o), *back;
    char *path = temp_path("provenance.safetensors");
    FAILS(RC_EINVAL, "provenance", rc_lm_save(m, path, "{\"a\": ", &E));
    FAILS(RC_EINVAL, "object", rc_lm_save(m, path, "[1]", &E));
    assert_int_not_equal(access(path, F_OK), 0);
    OK(rc_lm_save(m, path, "{\"steps\": 12, \"note\": \"\xC3\xA9\"}", &E));
    rc_lm_free(m);
    OK(rc_lm_load(&m, path, &E));
    assert_non_null(strstr(rc_lm_provenance(m), "\"steps\":"));
    assert_non_null(strstr(rc_lm_provenance(m), "\xC3\xA9"));
    back = round_trip(m); /* kept when none is given */
    assert_string_equal(rc_lm_provenance(m), rc_lm_provenance(back));
    char *one, *two;
    size_t n_one, n_two;
    OK(rc_vocab_to_json(rc_lm_vocab(m), &one, &n_one, &E));
    OK(rc_vocab_to_json(rc_lm_vocab(back), &two, &n_two, &E));
    assert_int_equal(n_one, n_two);
    assert_memory_equal(one, two, n_one);
    rc_text_free(one, n_one);
    rc_text_free(two, n_two);
    unlink(path);
    rc_lm_free(m);
    rc_lm_free(back);
}

/* ---- wrong files: made from a right one by an edit of its document or its list of tensors ----------------------- */

typedef struct edited {
    json_t *doc;
    rc__st_list list;
} edited;
typedef void (*edit)(edited *x);

static rc_lm *victim;

static void set_model(edited *x, const char *key, json_t *value) {
    json_object_set_new(json_object_get(x->doc, "model"), key, value);
}
static rc__st_tensor *tensor(edited *x, const char *name) {
    for (size_t i = 0; i < x->list.n; i++)
        if (strcmp(x->list.tensor[i].name, name) == 0) return &x->list.tensor[i];
    fail_msg("no tensor %s", name);
    return NULL;
}
static rc_real zeros[4096], bad[4096];

static void newer(edited *x) { json_object_set_new(x->doc, "format", json_integer(2)); }
static void no_format(edited *x) { json_object_del(x->doc, "format"); }
static void other_task(edited *x) { json_object_set_new(x->doc, "task", json_string("tagger")); }
static void unknown_key(edited *x) { json_object_set_new(x->doc, "modle", json_object()); }
static void unknown_option(edited *x) { set_model(x, "hiden_size", json_integer(3)); }
static void no_model(edited *x) { json_object_del(x->doc, "model"); }
static void no_vocab(edited *x) { json_object_del(x->doc, "vocab"); }
static void no_hidden(edited *x) { json_object_del(json_object_get(x->doc, "model"), "hidden_size"); }
static void unknown_cell(edited *x) { set_model(x, "cell", json_string("ltsm")); }
static void other_cell(edited *x) { set_model(x, "cell", json_string("gru")); }
static void bad_type(edited *x) { set_model(x, "tied", json_string("yes")); }
static void bad_probability(edited *x) { set_model(x, "dropout", json_real(1.5)); }
static void huge_hidden(edited *x) { set_model(x, "hidden_size", json_integer(16777216)); }
static void beyond_huge(edited *x) { set_model(x, "hidden_size", json_integer(INT64_MAX)); }
static void negative(edited *x) { set_model(x, "num_layers", json_integer(-1)); }
static void many_layers(edited *x) { set_model(x, "num_layers", json_integer(999)); }
static void bad_skip(edited *x) { set_model(x, "skip", json_string("jump")); }
static void heads_of_a_cell(edited *x) { set_model(x, "heads", json_integer(2)); }
static void blocks(edited *x, const char *key, json_t *value) {
    set_model(x, "cell", json_string("transformer"));
    set_model(x, key, value);
}
static void other_blocks(edited *x) { blocks(x, "kv_heads", json_integer(0)); }
static void bad_heads(edited *x) { blocks(x, "heads", json_integer(5)); }
static void bad_context(edited *x) { blocks(x, "context", json_integer(1000000)); }
static void bad_positions(edited *x) { blocks(x, "positions", json_string("somewhere")); }
static void bad_attention_dropout(edited *x) { blocks(x, "attention_dropout", json_real(1)); }
static void bad_ffn(edited *x) { blocks(x, "ffn", json_integer(-1)); }
static void bad_provenance(edited *x) { json_object_set_new(x->doc, "provenance", json_integer(1)); }
static void missing(edited *x) {
    rc__strfree((char *)(uintptr_t)x->list.tensor[1].name);
    x->list.tensor[1] = x->list.tensor[--x->list.n];
}
static void extra(edited *x) {
    size_t dim = 3;
    OK(rc__st_list_add(&x->list, NULL, "stranger", RC_ST_REAL, 1, &dim, zeros, &E));
}
static void wrong_shape(edited *x) {
    rc__st_tensor *t = tensor(x, "rnn.weight_hh_l0");
    t->dim[1]--;
    t->data = zeros;
}
static void wrong_rank(edited *x) {
    rc__st_tensor *t = tensor(x, "head.bias");
    t->dim[1] = 1;
    t->ndim = 2;
}
static void wrong_type(edited *x) { tensor(x, "head.bias")->dtype = RC_ST_I32; }
static void other_vocab(edited *x) {
    rc__st_tensor *t = tensor(x, "embedding.weight");
    t->dim[0]--;
}
static void not_a_number(edited *x) {
    bad[5] = NAN;
    tensor(x, "rnn.weight_ih_l0")->data = bad;
}

static json_t *document_of(const char *path) {
    rc__st_file *f;
    json_t *doc;
    OK(rc__st_open(&f, path, &E));
    const char *meta = rc__st_get_meta(f, "recur");
    OK(rc__json_parse(meta, strlen(meta), "test", &doc, &E));
    rc__st_close(f);
    return doc;
}

static void write_edited(edit how, const char *path) {
    OK(rc_lm_save(victim, path, NULL, &E));
    edited x = {.doc = document_of(path)};
    OK(rc__params_list(&x.list, rc_lm_params(victim), NULL, NULL, &E));
    how(&x);
    char *json;
    size_t len;
    OK(rc__json_print(x.doc, &json, &len, &E));
    OK(rc__st_write(path, x.list.tensor, x.list.n, &(rc__st_meta){"recur", json}, 1, &E));
    json_decref(x.doc);
    rc__st_list_free(&x.list);
    rc_text_free(json, len);
}

static void wrong_files(void **unused) {
    (void)unused;
    static const struct {
        edit how;
        const char *word;
    } cases[] = {
        {newer, "newer recur"},
        {no_format, "format"},
        {other_task, "tagger"},
        {unknown_key, "modle"},
        {unknown_option, "hiden_size"},
        {no_model, "model"},
        {no_vocab, "vocab"},
        {no_hidden, "hidden_size"},
        {unknown_cell, "ltsm"},
        {heads_of_a_cell, "\"heads\" is for cell transformer, the cell is"},
        {other_blocks, "tensor \"rnn.input_proj.weight\" is missing"},
        {bad_heads, "heads is 5, which does not divide hidden_size 12"},
        {bad_context, "context is 1000000, expected 1 to 65536"},
        {bad_positions, "\"positions\": \"somewhere\" is unknown"},
        {bad_attention_dropout, "attention_dropout"},
        {bad_ffn, "ffn"},
        {other_cell, "rnn.weight_ih_l0"},
        {bad_type, "tied"},
        {bad_probability, "dropout"},
        {huge_hidden, "hidden_size 16777216"},
        {beyond_huge, "hidden_size"},
        {negative, "num_layers"},
        {many_layers, "999"},
        {bad_skip, "jump"},
        {bad_provenance, "provenance"},
        {missing, "rnn."},
        {extra, "stranger"},
        {wrong_shape, "rnn.weight_hh_l0"},
        {wrong_rank, "head.bias"},
        {wrong_type, "head.bias"},
        {other_vocab, "vocabulary"},
        {not_a_number, "rnn.weight_ih_l0"},
    };
    rc_lm_options o = small_options("lstm");
    victim = model_of("char", text, &o);
    char *path = temp_path("wrong.safetensors");
    size_t before = rc_memory_used();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rc_lm *m = victim;
        write_edited(cases[i].how, path);
        FAILS(RC_EMODEL, cases[i].word, rc_lm_load(&m, path, &E));
        if (!strstr(E.text, path)) fail_msg("\"%s\" does not name the file", E.text);
        assert_null(m);
        assert_int_equal(rc_lm_load(&m, path, NULL), RC_EMODEL);
        assert_int_equal(rc_memory_used(), before);
    }
    rc_lm *m;
    FAILS(RC_EIO, "absent", rc_lm_load(&m, "/nowhere/absent.safetensors", &E));
    OK(rc__st_write(path, NULL, 0, NULL, 0, &E));
    FAILS(RC_EMODEL, "recur", rc_lm_load(&m, path, &E));
    unlink(path);
    rc_lm_free(victim);
}

static void failed_saves_keep_the_old_file(void **unused) {
    (void)unused;
    rc_lm_options o = small_options("lstm");
    rc_lm *m = model_of("char", text, &o), *back;
    FAILS(RC_EIO, "/nowhere", rc_lm_save(m, "/nowhere/model.safetensors", NULL, &E));
    char *path = temp_path("kept.safetensors");
    OK(rc_lm_save(m, path, "{\"n\": 1}", &E));
    long n = 0;
    for (; n < 1000; n++) {
        failing f = {.left = n};
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc_lm_save(m, path, "{\"n\": 2}", NULL);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        OK(rc_lm_load(&back, path, &E));
        assert_non_null(strchr(rc_lm_provenance(back), '1'));
        rc_lm_free(back);
    }
    assert_true(n > 2 && n < 1000);
    for (n = 0; n < 5000; n++) {
        failing f = {.left = n};
        size_t before = rc_memory_used();
        rc_set_allocator(failing_alloc, &f);
        rc_status s = rc_lm_load(&back, path, NULL);
        rc_set_allocator(NULL, NULL);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        assert_null(back);
        assert_int_equal(rc_memory_used(), before);
    }
    assert_true(n > 10 && n < 5000);
    assert_non_null(strchr(rc_lm_provenance(back), '2'));
    rc_lm_free(back);
    unlink(path);
    rc_lm_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(every_option),
        cmocka_unit_test(vocabulary_and_provenance),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(failed_saves_keep_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
