/* Damaged and crafted files, for every reader of the table in fuzz/readers.c: a status with a message that names the
 * file, nothing left behind, no more memory than READER_MEMORY says. docs/testing.md, "Hostile files". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* after what it needs */

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "readers.h"
#include "recur/recur.h"
#include "temporary.h"
#include "test_effort.h"

/* ---- every prefix and every changed byte ------------------------------------------------------------------------- */

/* Keeps what was wrong where it can be run again. */
static void report(const reader *r, const char *how, size_t at, const void *data, size_t len, const char *wrong) {
    char path[300];
    snprintf(path, sizeof path, "%.200s/recur-hostile-%s", temporary_root(), r->name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(data, 1, len, f);
        fclose(f);
    }
    fail_msg("%s, seed %s, %s %zu: %s\nagain: fuzz_replay --one %s %s", r->name, r->seed, how, at, wrong, r->name,
             path);
}

static rc_status run(const reader *r, const char *how, size_t at, const void *data, size_t len) {
    rc_status s;
    rc_error e;
    const char *wrong = reader_run(r, data, len, &s, &e);
    if (wrong) report(r, how, at, data, len, wrong);
    return s;
}

static void every_prefix(void **state) {
    const reader *r = *state;
    size_t len;
    unsigned char *data = reader_seed(r, &len);
    assert_non_null(data);
    assert_int_equal(run(r, "all bytes", len, data, len), RC_OK);
    for (size_t n = 0; n < len; n++) {
        bool must_fail = r->first != SIZE_MAX && n >= r->first && n < len - r->spare;
        if (run(r, "prefix of", n, data, n) == RC_OK && must_fail) report(r, "prefix of", n, data, n, "was taken");
    }
    free(data);
}

/* Each byte with each bit turned, 0, 255, left out and doubled; with more effort, all 255 other values. */
static void every_byte(void **state) {
    const reader *r = *state;
    size_t len, taken = 0, tried = 0;
    unsigned char *data = reader_seed(r, &len), *other = malloc(len + 1);
    assert_non_null(data);
    assert_non_null(other);
    for (size_t i = 0; i < len; i++) {
        unsigned char was = data[i], to[256];
        int n = 0;
        if (test_effort() > 1) {
            for (int x = 0; x < 256; x++) to[n++] = (unsigned char)x;
        } else {
            for (int bit = 0; bit < 8; bit++) to[n++] = was ^ (unsigned char)(1 << bit);
            to[n++] = 0;
            to[n++] = 255;
        }
        for (int k = 0; k < n; k++) {
            data[i] = to[k];
            taken += run(r, "changed byte", i, data, len) == RC_OK;
            tried++;
        }
        data[i] = was;
        memcpy(other, data, i);
        memcpy(other + i, data + i + 1, len - i - 1);
        taken += run(r, "without byte", i, other, len - 1) == RC_OK;
        memcpy(other + i, data + i, len - i);
        memmove(other + i + 1, other + i, len - i);
        taken += run(r, "twice byte", i, other, len + 1) == RC_OK;
        tried += 2;
    }
    print_message("%s, seed %s: %zu bytes, %zu changes, %zu taken\n", r->name, r->seed, len, tried, taken);
    if (r->first != SIZE_MAX) assert_true(taken < tried); /* some checks bite */
    free(data);
    free(other);
}

/* ---- crafted files ----------------------------------------------------------------------------------------------- */

static const reader *named(const char *name) {
    for (size_t i = 0; i < n_readers; i++)
        if (!strcmp(readers[i].name, name)) return &readers[i];
    fail_msg("no reader %s", name);
    return NULL;
}

typedef struct bytes {
    char *at;
    size_t len, cap;
} bytes;

static void put(bytes *b, const void *data, size_t n) {
    if (b->len + n + 1 > b->cap) {
        b->cap = 2 * (b->len + n + 1);
        b->at = realloc(b->at, b->cap);
        assert_non_null(b->at);
    }
    memcpy(b->at + b->len, data, n);
    b->len += n;
    b->at[b->len] = 0;
}
static void add(bytes *b, const char *text) { put(b, text, strlen(text)); }
static void fill(bytes *b, const char *text, size_t times) {
    for (size_t i = 0; i < times; i++) add(b, text);
}
static void number(bytes *b, const char *format, long long n) {
    char text[64];
    snprintf(text, sizeof text, format, n);
    add(b, text);
}

/* Hands b to the reader, which must refuse it with a message that says `word` (NULL: must take it), and empties b. */
static void give(const char *name, bytes *b, const char *word) {
    const reader *r = named(name);
    rc_status s;
    rc_error e;
    const char *wrong = reader_run(r, b->at ? b->at : "", b->len, &s, &e);
    if (wrong) report(r, "crafted", b->len, b->at, b->len, wrong);
    if (!word && s != RC_OK) report(r, "crafted", b->len, b->at, b->len, e.text);
    if (word && s == RC_OK) report(r, "crafted", b->len, b->at, b->len, "was taken");
    if (word && !strstr(e.text, word)) fail_msg("%s: expected \"%s\" in \"%s\"", name, word, e.text);
    free(b->at);
    *b = (bytes){0};
}

static void give_text(const char *name, const char *text, const char *word) {
    bytes b = {0};
    add(&b, text);
    give(name, &b, word);
}

/* A safetensors file with this header and `data_len` zeros. */
static void give_header(const char *name, const char *json, size_t data_len, const char *word) {
    bytes b = {0};
    uint64_t n = strlen(json);
    put(&b, &n, 8);
    add(&b, json);
    for (size_t i = 0; i < data_len; i++) put(&b, "", 1);
    give(name, &b, word);
}

static void nested_json(void **state) {
    (void)state;
    static const char *const names[] = {"vocabulary", "tokenizer", "config", "status"};
    for (size_t i = 0; i < 4; i++)
        for (int kind = 0; kind < 3; kind++) {
            bytes b = {0};
            add(&b, kind == 0 ? "" : "{\"kind\":");
            fill(&b, kind == 2 ? "{\"a\":" : "[", 100000);
            fill(&b, kind == 2 ? "}" : "]", 100000);
            give(names[i], &b, "nested deeper");
        }
    bytes b = {0};
    uint64_t n = 100000;
    put(&b, &n, 8);
    add(&b, "{\"a\":");
    fill(&b, "[", 99995);
    give("safetensors", &b, "nested deeper");
}

/* The most nodes that a byte of JSON can make, inside what a reader takes: the bound on memory is for these. */
static void dense_json(void **state) {
    (void)state;
    static const char *const parts[] = {"[],",    "{},",        "1,",
                                        "\"a\",", "{\"\":{}},", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]],"};
    static const char *const names[] = {"vocabulary", "tokenizer", "config", "status"};
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            bytes b = {0};
            add(&b, "{\"files\":[");
            while (b.len < 200000) add(&b, parts[i]);
            add(&b, "0]}");
            give(names[k], &b, "");
        }
    bytes b = {0};
    uint64_t n = 0;
    put(&b, &n, 8);
    add(&b, "{");
    for (int i = 0; i < 20000; i++) number(&b, "\"%llx\":0,", i);
    add(&b, "\"x\":0}");
    n = b.len - 8;
    memcpy(b.at, &n, 8);
    give("safetensors", &b, "tensor");
    size_t bytes_used;
    double share = reader_memory_share(&bytes_used);
    print_message("largest share of the memory allowed: %.2f (%zu bytes)\n", share, bytes_used);
    assert_true(share > 0.2); /* else the bound is no bound */
}

static void impossible_sizes(void **state) {
    (void)state;
    static const char *const sizes[] = {"1099511627776",
                                        "4611686018427387904",
                                        "9223372036854775807",
                                        "-1",
                                        "-9223372036854775808",
                                        "18446744073709551616",
                                        "1e18",
                                        "2.5",
                                        "\"2\"",
                                        "null"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char json[400];
        for (int rank = 1; rank <= 3; rank++) {
            snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s%s%s%s%s],\"data_offsets\":[0,8]}}",
                     sizes[i], rank > 1 ? "," : "", rank > 1 ? sizes[i] : "", rank > 2 ? "," : "",
                     rank > 2 ? sizes[i] : "");
            give_header("safetensors", json, 8, "");
        }
        snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,%s]}}", sizes[i]);
        give_header("safetensors", json, 8, "");
        snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%s,8]}}", sizes[i]);
        give_header("safetensors", json, 8, "");
        snprintf(json, sizeof json, "{\"hidden\":%s}", sizes[i]);
        if (strcmp(sizes[i], "\"2\"") != 0)
            give_text("config", json, i == 5 ? "too big" : "hidden"); /* config.json may say "256" or "3m" */
        snprintf(json, sizeof json, "{\"state\":\"done\",\"step\":%s}", sizes[i]);
        if (i != 0 && i != 1 && i != 2) give_text("status", json, i == 5 ? "too big" : "step");
        snprintf(json, sizeof json, "{\"kind\":\"char\",\"codepoints\":[-1,%s]}", sizes[i]);
        give_text("vocabulary", json, i == 5 ? "too big" : "codepoints");
        snprintf(json, sizeof json, "{\"kind\":\"word\",\"words\":[\"a\"],\"unk\":%s}", sizes[i]);
        give_text("vocabulary", json, i == 5 ? "too big" : "unk");
        snprintf(
            json, sizeof json,
            "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":%s},\"unk_token\":\"a\"},\"pre_tokenizer\":{\"type\":"
            "\"WhitespaceSplit\"}}",
            sizes[i]);
        give_text("tokenizer", json, i == 5 ? "too big" : "\"a\"");
    }
    static const uint64_t lies[] = {
        0, 1, 7, 9, 100, 100000000, 100000001, UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        bytes b = {0};
        put(&b, &lies[i], 8);
        add(&b, "{\"a\":{}}");
        if (lies[i] != 8) give("safetensors", &b, "");
    }
    /* An id of 16 million in a file of 100 bytes must not make room for 16 million. */
    give_text("tokenizer",
              "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":16777215},\"unk_token\":\"a\"},\"pre_tokenizer\":{"
              "\"type\":"
              "\"WhitespaceSplit\"}}",
              "id 16777215 is not in 0..0");
}

/* A model file whose document is `doc` and whose tensors fit an lstm of hidden size 2 on a char vocabulary of two. */
static void give_model(const char *model, const char *vocab, const char *more, const char *word) {
    static const struct {
        const char *name, *shape;
        size_t n;
    } t[] = {{"embedding.weight", "2,2", 4}, {"head.bias", "2", 2},      {"head.weight", "2,2", 4},
             {"rnn.bias_hh_l0", "8", 8},     {"rnn.bias_ih_l0", "8", 8}, {"rnn.weight_hh_l0", "8,2", 16},
             {"rnn.weight_ih_l0", "8,2", 16}};
    bytes doc = {0}, header = {0};
    add(&doc, "{\\\"format\\\":1,\\\"task\\\":\\\"lm\\\",\\\"model\\\":{");
    for (const char *p = model; *p; p++) put(&doc, *p == '"' ? "\\\"" : p, *p == '"' ? 2 : 1);
    add(&doc, "},\\\"vocab\\\":");
    for (const char *p = vocab; *p; p++) put(&doc, *p == '"' ? "\\\"" : p, *p == '"' ? 2 : 1);
    add(&doc, "}");
    add(&header, "{\"__metadata__\":{\"recur\":\"");
    add(&header, doc.at);
    add(&header, "\"}");
    size_t at = 0;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char entry[200];
        snprintf(entry, sizeof entry, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                 t[i].name, t[i].shape, at, at + 4 * t[i].n);
        add(&header, entry);
        at += 4 * t[i].n;
    }
    add(&header, more);
    add(&header, "}");
    give_header("model", header.at, at, word);
    free(doc.at);
    free(header.at);
}

static void impossible_models(void **state) {
    (void)state;
    static const char two[] = "{\"kind\":\"char\",\"codepoints\":[-1,97]}";
    give_model("\"hidden_size\":2,\"num_layers\":1", two, "", NULL);
    give_model("\"hidden_size\":2147483648", two, "", "\"hidden_size\"");
    give_model("\"hidden_size\":16777216,\"num_layers\":1", two, "", "hidden_size 16777216");
    give_model("\"hidden_size\":2,\"num_layers\":1,\"embedding_size\":16777216", two, "", "embedding_size 16777216");
    give_model("\"hidden_size\":2,\"num_layers\":1000000000", two, "", "\"num_layers\"");
    give_model("\"hidden_size\":2,\"num_layers\":1000", two, "", "1000 layers");
    give_model("\"hidden_size\":2,\"cell\":\"rhn\",\"depth\":1000", two, "", "layers");
    give_model("\"hidden_size\":2,\"num_layers\":1,\"embedding_size\":9223372036854775807", two, "",
               "\"embedding_size\"");
    give_model("\"hidden_size\":2,\"num_layers\":1,\"dropout\":1e400", two, "", "overflow");
    give_model("\"hidden_size\":2,\"num_layers\":1,\"hidden_size\":2", two, "", "duplicate");
    give_model("\"hidden_size\":2,\"num_layers\":1,\"cell\":\"\\\\u001b[2J\"", two, "", "?[2J"); /* and no escape */
    give_model("\"hidden_size\":2,\"num_layers\":2", two, "", "rnn.weight_ih_l1");
    give_model("\"hidden_size\":2,\"num_layers\":1", "{\"kind\":\"char\",\"codepoints\":[-1,97,98]}", "",
               "3 entries, tensor \"embedding.weight\" has 2 rows");
    give_model("\"hidden_size\":2,\"num_layers\":1", "{\"kind\":\"char\",\"codepoints\":[-1,97,97]}", "", "U+0061");
    give_model("\"hidden_size\":2,\"num_layers\":1", two,
               ",\"more\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[232,232]}", "\"more\" of shape (0,)");
    give_model("\"hidden_size\":2,\"num_layers\":1", two,
               ",\"head.bias\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[232,232]}", "duplicate");
}

/* Weights, moments, averages and states that are no numbers are refused by name, in every element type. */
static void not_numbers(void **state) {
    (void)state;
    static const char *const names[] = {"model", "state", "checkpoint"};
    static const uint32_t bad[] = {0x7fc00000, 0xffc00001, 0x7f800000, 0xff800000};
    for (size_t k = 0; k < 3; k++) {
        const reader *r = named(names[k]);
        size_t len, first = 0;
        unsigned char *data = reader_seed(r, &len);
        assert_non_null(data);
        uint64_t header;
        memcpy(&header, data, 8);
        first = 8 + (size_t)header;
        for (size_t at = first; at + 4 <= len; at += 4)
            for (size_t i = 0; i < 4; i++) {
                bytes b = {0};
                put(&b, data, len);
                memcpy(b.at + at, &bad[i], 4);
                give(names[k], &b, "is not a finite number");
            }
        free(data);
    }
}

static void crafted_vocabularies(void **state) {
    (void)state;
    give_text("vocabulary", "{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",\"b\",\"a\"]}", "same as entry 0");
    give_text("vocabulary", "{\"kind\":\"word\",\"unk\":0,\"words\":[\"\\ud800\"]}", "line 1");
    give_text("vocabulary", "{\"kind\":\"word\",\"unk\":0,\"words\":[\"\xC3\"]}", "line 1");
    give_text("vocabulary", "{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",\"b\"],\"specials\":[1,1]}", "named twice");
    give_text("vocabulary", "{\"kind\":\"word\",\"unk\":0,\"words\":[\"a\",\"b\"],\"specials\":[1,2]}", "specials");
    bytes b = {0};
    add(&b, "{\"kind\":\"word\",\"unk\":0,\"words\":[\"");
    fill(&b, "0123456789abcdef", 1 << 16); /* an entry of 1 MiB, and it may come in the text */
    add(&b, "\",\"cat,\"],\"specials\":[0]}");
    give("vocabulary", &b, NULL);

    /* 65,536 entries and more are ordinary. */
    add(&b, "{\"kind\":\"word\",\"unk\":0,\"words\":[\"<unk>\"");
    for (int i = 0; i < 70000; i++) number(&b, ",\"w%lld\"", i);
    add(&b, "]}");
    give("vocabulary", &b, NULL);
    add(&b, "{\"kind\":\"char\",\"codepoints\":[-1");
    for (int i = 0x20; i < 0x11000; i++)
        if (i < 0xD800 || i > 0xDFFF) number(&b, ",%lld", i);
    add(&b, "]}");
    give("vocabulary", &b, NULL);
}

/* Words w and w' whose first eight bytes differ in the top bit and whose next eight undo it: any two of them have one
 * hash, whatever came before. Eleven such pairs make 2048 strings that only a walk past all of them tells apart. */
static void colliding_entries(void **state) {
    (void)state;
    bytes b = {0};
    add(&b, "{\"kind\":\"bpe\",\"merges\":[],\"entries\":[");
    for (int i = 0; i < 2048; i++) {
        add(&b, i ? ",\"" : "\"");
        for (int bit = 0; bit < 11; bit++) { /* little-endian: byte 7 and 15 have the top bits, 11 has bit 31 */
            char half[17] = "AAAAAAAAAAAAAAAA";
            for (int k = 0; k < 16; k++) {
                bool top = (i >> bit & 1) && (k == 7 || k == 11 || k == 15);
                /* bytes 'A' and 'A' ^ 0x80 = 0xC1, whose printable form is U+00C1 */
                if (top)
                    put(&b, "\xC3\x81", 2);
                else
                    put(&b, half + k, 1);
            }
        }
        add(&b, "\"");
    }
    add(&b, "]}");
    give("vocabulary", &b, "made to");
}

/* A small file that would be much work: one long entry, and a merge of it named a hundred thousand times. */
static void repeated_merges(void **state) {
    (void)state;
    bytes b = {0};
    add(&b, "{\"kind\":\"bpe\",\"entries\":[");
    for (int i = 0; i < 256; i++) { /* GPT-2's printable characters of the 256 bytes, as bpe.c has them */
        bool plain = (i >= '!' && i <= '~') || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE;
        int cp = plain ? i : i <= 32 ? 256 + i : i <= 160 ? 256 + 33 + i - 127 : 256 + 67;
        number(&b, i ? ",\"\\u%04llx\"" : "\"\\u%04llx\"", cp);
    }
    add(&b, ",\"");
    fill(&b, "a", 200000);
    add(&b, "\",\"");
    fill(&b, "a", 400000);
    add(&b, "\"],\"merges\":[256,256");
    fill(&b, ",256,256", 100000);
    add(&b, "]}");
    give("vocabulary", &b, "same as merge 0");
}

static void crafted_tokenizers(void **state) {
    (void)state;
    const char *head = "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0",
               *tail = "},\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}}";
    char json[600];
    snprintf(json, sizeof json, "%s,\"b\":0}%s", head, tail);
    give_text("tokenizer", json, "same id 0");
    snprintf(json, sizeof json, "%s,\"a\":1}%s", head, tail);
    give_text("tokenizer", json, "duplicate");
    snprintf(json, sizeof json, "%s,\"b\":2}%s", head, tail);
    give_text("tokenizer", json, "no hole");
    snprintf(json, sizeof json, "%s,\"\\u0000\":1}%s", head, tail);
    give_text("tokenizer", json, "line 1");

    /* Twenty thousand tokens to look for in a text, all beginning alike. */
    bytes b = {0};
    add(&b, "{\"added_tokens\":[{\"id\":1,\"content\":\"the\"}");
    for (int i = 2; i < 20000; i++) {
        number(&b, ",{\"id\":%lld,", i);
        number(&b, "\"content\":\"the cat %lld\"}", i);
    }
    add(&b, "],");
    add(&b, head + 1);
    add(&b, "}");
    add(&b, tail);
    give("tokenizer", &b, NULL);
}

/* Text that the char, word and bpe vocabularies must take or refuse by line and byte. */
static void odd_texts(void **state) {
    (void)state;
    bytes b = {0};
    give("text", &b, "empty");
    give_text("text", "x", NULL);
    give_text("text", "\n", NULL);
    give_text("text", "first\nsecond \xE4 latin\n", "line 2, byte 8 (offset 13)");
    give_text("text", "\xEF\xBB\xBFmarked\n", NULL);
    give_text("text", "\xC2\x85\xE2\x80\xA8\xC2\xA0", NULL);
    put(&b, "a\0b\0\0", 5);
    give("text", &b, NULL);
    fill(&b, "a", 60000);
    give("text", &b, NULL);
    fill(&b, " ", 60000);
    give("text", &b, NULL);
    fill(&b, "\n", 60000);
    give("text", &b, NULL);
    fill(&b, "\xF0\x9F\x98\x80", 15000);
    give("text", &b, NULL);
    for (int i = 0; i < 9000; i++) number(&b, "w%llx ", i);
    give("text", &b, NULL);
    fill(&b, "\x1f\x8b", 1);
    give("text", &b, "gzip");
    /* More than 65,536 different characters. */
    for (unsigned cp = 0x20; cp < 0x10FFFF && b.len < 64000; cp += 61)
        if (cp < 0xD800 || cp > 0xDFFF) {
            char c[4];
            size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
            c[0] = (char)(n == 1 ? cp : n == 2 ? 0xC0 | cp >> 6 : n == 3 ? 0xE0 | cp >> 12 : 0xF0 | cp >> 18);
            for (size_t k = 1; k < n; k++) c[k] = (char)(0x80 | (cp >> (6 * (n - 1 - k)) & 0x3F));
            put(&b, c, n);
        }
    give("text", &b, NULL);
}

static void large_vocabularies(void **state) {
    (void)state;
    bytes b = {0};
    for (int i = 0; i < 100000; i++) number(&b, "w%llx ", i);
    rc_vocab *v;
    rc_error e;
    int32_t *ids;
    size_t n, unknown;
    assert_int_equal(rc_vocab_train(&v, "word", b.at, b.len, &e), RC_OK);
    assert_int_equal(rc_vocab_size(v), 100002);
    assert_int_equal(rc_vocab_encode(v, b.at, b.len, &ids, &n, &unknown, &e), RC_OK);
    assert_int_equal(n, 100000);
    assert_int_equal(unknown, 0);
    rc_ids_free(ids, n);
    rc_vocab_free(v);
    free(b.at);
}

/* ---- what is no plain file --------------------------------------------------------------------------------------- */

static char work[256];
static int enter(void **state) {
    (void)state;
    TEMPORARY_NAME(work, temporary_root(), "hostile");
    return mkdtemp(work) ? 0 : -1;
}
static int leave(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    return system(command);
}
static const char *in_work(const char *name) {
    static char path[2][512];
    static int k;
    k ^= 1;
    snprintf(path[k], sizeof path[k], "%s/%s", work, name);
    return path[k];
}

static void pack(const char *path, const char *byte, size_t n) {
    static char block[1 << 16];
    memset(block, *byte, sizeof block);
    gzFile z = gzopen(path, "wb9");
    assert_non_null(z);
    for (size_t done = 0; done < n; done += sizeof block)
        assert_int_equal(gzwrite(z, block, sizeof block), sizeof block);
    assert_int_equal(gzclose(z), Z_OK);
}

/* 128 MiB in 130 KB: refused before they are there. What unpacks to 32 MiB is small enough for anyone. */
static void gzip_bombs(void **state) {
    (void)state;
    char *text;
    size_t len, used = rc_memory_used();
    rc_error e = {0};
    const char *path = in_work("bomb.gz");
    pack(path, "\0", (size_t)128 << 20);
    assert_int_equal(rc_text_read(path, &text, &len, &e), RC_EDATA);
    assert_null(text);
    if (!strstr(e.text, path) || !strstr(e.text, "200 times its size")) fail_msg("%s", e.text);
    assert_int_equal(rc_memory_used(), used);
    pack(path, "a", (size_t)32 << 20);
    assert_int_equal(rc_text_read(path, &text, &len, &e), RC_OK);
    assert_int_equal(len, (size_t)32 << 20);
    rc_text_free(text, len);
}

static void refused(rc_status s, const rc_error *e, const char *path, const char *word) {
    if (s == RC_OK) fail_msg("%s was taken", path);
    if (!strstr(e->text, path) || !strstr(e->text, word))
        fail_msg("%s: expected \"%s\" in \"%s\"", path, word, e->text);
}

static void not_files(void **state) {
    (void)state;
    rc_lm *m;
    rc_train_config *c;
    char *text;
    size_t len;
    rc_error e = {0};
    refused(rc_lm_load(&m, work, &e), &e, work, "folder");
    refused(rc_train_config_read(&c, work, &e), &e, work, "folder");
    refused(rc_text_read(work, &text, &len, &e), &e, work, "folder");
    refused(rc_lm_load(&m, "/dev/null", &e), &e, "/dev/null", "too few");
    refused(rc_train_config_read(&c, "/dev/null", &e), &e, "/dev/null", "line 1");
    refused(rc_text_read("/dev/null", &text, &len, &e), &e, "/dev/null", "empty");
    refused(rc_lm_load(&m, "/dev/zero", &e), &e, "/dev/zero", "found a device");
    refused(rc_train_config_read(&c, "/dev/zero", &e), &e, "/dev/zero", "found a device");
    refused(rc_text_read("/dev/zero", &text, &len, &e), &e, "/dev/zero", "found a device");
    /* A file larger than any memory, of which nothing is on the disk. */
    const char *path = in_work("sparse");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0 && ftruncate(fd, (off_t)1 << 42) == 0) {
        refused(rc_text_read(path, &text, &len, &e), &e, path, "larger than the limit");
        refused(rc_lm_load(&m, path, &e), &e, path, "expected a JSON object");
        refused(rc_train_config_read(&c, path, &e), &e, path, "larger than the limit");
    }
    if (fd >= 0) close(fd);
}

static size_t capped_now;
static const size_t capped_at = (size_t)3 << 30;
static void *capped(void *ctx, void *p, size_t old_size, size_t new_size) {
    (void)ctx;
    void *q = NULL;
    if (new_size && (capped_now + new_size > capped_at || posix_memalign(&q, 64, new_size) != 0)) return NULL;
    if (q && p) memcpy(q, p, old_size < new_size ? old_size : new_size);
    free(p);
    capped_now += new_size - old_size;
    return q;
}

/* 2 GiB on one line: it is read with little more memory than it has bytes, and where 3 GiB do not suffice each
 * vocabulary says so. Only with more effort, and where there is the memory. */
static void one_line_of_2_gib(void **state) {
    (void)state;
    static const char *const specs[] = {"byte", "char", "word", "bpe:300"};
    const size_t size = (size_t)2 << 30;
    if (test_effort() < 2 || (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) < 8e9) {
        print_message("needs RECUR_TEST_EFFORT=2 and 8 GB of free memory: skipped\n");
        skip();
    }
    const char *path = in_work("line");
    int fd = open(path, O_WRONLY | O_CREAT, 0600); /* zeros that are not on the disk */
    assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && close(fd) == 0);
    char *text;
    size_t len, n;
    rc_vocab *v;
    int32_t *ids;
    rc_error e = {0};
    capped_now = 0;
    rc_set_allocator(capped, NULL);
    assert_int_equal(rc_text_read(path, &text, &len, &e), RC_OK);
    assert_int_equal(len, size);
    for (int k = 0; k < 4; k++) {
        size_t before = capped_now;
        rc_status s = rc_vocab_train(&v, specs[k], text, len, &e);
        if (s == RC_OK) {
            s = rc_vocab_encode(v, text, len, &ids, &n, NULL, &e);
            rc_vocab_free(v);
        }
        if (s != (k == 2 ? RC_EDATA : RC_ENOMEM)) fail_msg("%s: %s: %s", specs[k], rc_status_name(s), e.text);
        if (!strstr(e.text, k == 2 ? "NUL" : "out of memory")) fail_msg("%s: %s", specs[k], e.text);
        assert_int_equal(capped_now, before);
    }
    rc_text_free(text, len);
    rc_set_allocator(NULL, NULL);
    assert_int_equal(capped_now, 0);
}

/* A run folder whose files are pipes nobody writes to: an answer, not a wait. */
static void pipes_in_a_run(void **state) {
    (void)state;
    static const char *const names[] = {"status.json", "lock", "config.json"};
    for (size_t i = 0; i < 3; i++) {
        char folder[300], path[700];
        snprintf(folder, sizeof folder, "%s/run%zu", work, i);
        assert_int_equal(mkdir(folder, 0777), 0);
        snprintf(path, sizeof path, "%s/checkpoints", folder);
        assert_int_equal(mkdir(path, 0777), 0);
        snprintf(path, sizeof path, "%s/config.json", folder);
        FILE *f = fopen(path, "w");
        fputs("{}", f);
        fclose(f);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        rc_run_info r, *runs;
        rc_error e = {0};
        size_t n;
        rc_status s = rc_run_read(folder, &r, &e);
        if (i == 0) refused(s, &e, path, "expected a file");
        if (i == 1) assert_int_equal(s, RC_OK);
        if (i == 2) refused(s, &e, folder, "no run folder");
        assert_int_equal(rc_runs_list(work, &runs, &n, &e), RC_OK);
        assert_int_equal(n, i == 0 ? 1 : 2); /* the folder without a config is none */
        if (i == 0) assert_string_equal(runs[0].state, "damaged");
        rc_runs_free(runs, n);
        rc_train_options o = rc_train_options_default();
        o.resume = folder;
        if (i == 2) refused(rc_train(&o, NULL, NULL, &e), &e, folder, "no run folder");
    }
}

int main(void) {
    struct CMUnitTest tests[256];
    char names[256][80];
    size_t n = 0;
    for (size_t i = 0; i < n_readers; i++)
        for (int k = 0; k < 2; k++) {
            snprintf(names[n], sizeof names[n], "%s: %s, %s", k ? "every_byte" : "every_prefix", readers[i].name,
                     readers[i].seed);
            tests[n] = (struct CMUnitTest){.name = names[n],
                                           .test_func = k ? every_byte : every_prefix,
                                           .initial_state = (void *)(uintptr_t)&readers[i]};
            n++;
        }
    const struct CMUnitTest crafted[] = {
        cmocka_unit_test(nested_json),
        cmocka_unit_test(dense_json),
        cmocka_unit_test(impossible_sizes),
        cmocka_unit_test(impossible_models),
        cmocka_unit_test(not_numbers),
        cmocka_unit_test(crafted_vocabularies),
        cmocka_unit_test(colliding_entries),
        cmocka_unit_test(repeated_merges),
        cmocka_unit_test(crafted_tokenizers),
        cmocka_unit_test(odd_texts),
        cmocka_unit_test(large_vocabularies),
        cmocka_unit_test_setup_teardown(gzip_bombs, enter, leave),
        cmocka_unit_test_setup_teardown(not_files, enter, leave),
        cmocka_unit_test_setup_teardown(pipes_in_a_run, enter, leave),
        cmocka_unit_test_setup_teardown(one_line_of_2_gib, enter, leave),
    };
    for (size_t i = 0; i < sizeof crafted / sizeof *crafted; i++) tests[n++] = crafted[i];
    return _cmocka_run_group_tests("hostile files", tests, n, NULL, NULL);
}
