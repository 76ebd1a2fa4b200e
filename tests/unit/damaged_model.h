/* damaged_model.h - a model file whose document is changed member by member: what is loaded all the same must run,
 * what is refused must name the file, and the member where its type is wrong; nothing is lost, and no more memory
 * taken than told. */
#ifndef DAMAGED_MODEL_H
#define DAMAGED_MODEL_H
#include <jansson.h>

#include "train_helpers.h"

/* Memory of the library, with a bound. */
static struct { size_t now, most; } memory;
static inline void *bounded(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    void *q = NULL;
    if (new_size) {
        if (new_size > memory.most || memory.now > memory.most - new_size) return NULL;
        if (posix_memalign(&q, 64, new_size) != 0) return NULL;
        memory.now += new_size;
        if (p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    }
    free(p);
    memory.now -= old_size;
    return q;
}

/* A model file in pieces: the head as JSON, the document inside it, and the numbers. */
typedef struct parts {
    char *bytes, *numbers;
    size_t len, n_numbers;
    json_t *head, *doc;
} parts;

static inline parts take_apart(const char *path) {
    parts p = {0};
    uint64_t n = 0;
    p.bytes = slurp(path, &p.len);
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)p.bytes[i];
    p.head = json_loadb(p.bytes + 8, n, 0, NULL);
    p.numbers = p.bytes + 8 + n;
    p.n_numbers = p.len - 8 - n;
    p.doc = json_loads(json_string_value(json_object_get(json_object_get(p.head, "__metadata__"), "recur")), 0, NULL);
    assert_non_null(p.doc);
    return p;
}

static inline void put_together(const parts *p, const char *path) {
    char *doc = json_dumps(p->doc, JSON_COMPACT);
    json_object_set_new(json_object_get(p->head, "__metadata__"), "recur", json_string(doc));
    char *head = json_dumps(p->head, JSON_COMPACT);
    size_t n = strlen(head), pad = (8 - n % 8) % 8;
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 8; i++) fputc((int)((n + pad) >> (8 * i) & 255), f);
    fwrite(head, 1, n, f);
    fprintf(f, "%*s", (int)pad, "");
    fwrite(p->numbers, 1, p->n_numbers, f);
    fclose(f);
    free(doc);
    free(head);
}

static inline void leave_parts(parts *p) {
    json_decref(p->doc);
    json_decref(p->head);
    free(p->bytes);
}

/* Uses a model that was loaded, on a file. */
typedef rc_status (*damage_use)(rc_model *m, const char *test, rc_error *e);

/* Loads and, when that goes well, uses it; what is refused names the file, and, when told, the key. */
static inline void try_damaged(const char *what, const char *key, bool must_fail, damage_use use, const char *test) {
    rc_model *m = NULL;
    rc_error e = {0};
    memory.now = 0;
    memory.most = (size_t)24 << 20; /* the tape's blocks of a prediction are the most of it */
    rc_set_allocator(bounded, NULL);
    rc_status s = rc_model_load(&m, "damaged.safetensors", &e);
    if (s == RC_OK) {
        rc_error ignored = {0};
        rc_status used = use(m, test, &ignored);
        if (used != RC_OK && used != RC_EDATA && used != RC_EINVAL)
            fail_msg("%s: loaded, then %s: %s", what, rc_status_name(used), ignored.text);
        if (must_fail) fail_msg("%s was taken", what);
    } else if (s != RC_EMODEL) {
        fail_msg("%s: %s: %s", what, rc_status_name(s), e.text);
    } else if (!strstr(e.text, "damaged.safetensors") || (must_fail && key && !strstr(e.text, key))) {
        fail_msg("%s: \"%s\"", what, e.text);
    }
    rc_model_free(m);
    rc_set_allocator(NULL, NULL);
    if (memory.now) fail_msg("%s: %zu bytes are lost", what, memory.now);
}

static const char *const values[] = {
    "null", "true",     "-1", "0",    "1e30", "4611686018427387904", "1000000000",     "0.5",
    "\"\"", "\"lstm\"", "[]", "[[]]", "{}",   "{\"x\": 1}",          "[\"a\", \"a\"]", "[1e300, -1]"};

static inline bool same_type(const json_t *a, const json_t *b) {
    return json_typeof(a) == json_typeof(b) || (json_is_number(a) && json_is_number(b)) ||
           (json_is_boolean(a) && json_is_boolean(b));
}

/* Each member of obj, which is part of doc: taken away, replaced by every value, and the same inside it. */
static inline size_t damage(const parts *whole, json_t *obj, int depth, damage_use use, const char *test) {
    char keys[40][64];
    const char *name;
    json_t *v;
    size_t n = 0, n_keys = 0;
    json_object_foreach(obj, name, v) {
        assert_true(n_keys < 40);
        snprintf(keys[n_keys++], sizeof keys[0], "%s", name);
    }
    for (size_t k = 0; k < n_keys; k++) {
        const char *key = keys[k];
        char what[200];
        bool vocab =
            strcmp(key, "tokens") == 0 || strcmp(key, "chars") == 0 || strstr(key, "vocab"); /* tests of their own */
        json_t *old = json_incref(json_object_get(obj, key));
        json_object_del(obj, key);
        put_together(whole, "damaged.safetensors");
        snprintf(what, sizeof what, "without \"%s\"", key);
        try_damaged(what, key, false, use, test);
        for (size_t i = 0; i < sizeof values / sizeof *values; i++, n++) {
            json_t *other = json_loads(values[i], JSON_DECODE_ANY, NULL);
            bool wrong = !same_type(old, other);
            json_object_set_new(obj, key, other);
            put_together(whole, "damaged.safetensors");
            snprintf(what, sizeof what, "\"%s\": %s", key, values[i]);
            try_damaged(what, key, wrong, use, test);
        }
        json_object_set_new(obj, key, old);
        if (json_is_object(old) && !vocab && depth < 4) n += damage(whole, old, depth + 1, use, test);
    }
    json_object_set_new(obj, "surprise", json_true());
    put_together(whole, "damaged.safetensors");
    if (obj != json_object_get(whole->doc, "provenance")) try_damaged("one key more", "surprise", true, use, test);
    json_object_del(obj, "surprise");
    return n;
}
#endif
