/* Reading (plain, gzip, hostile gzip), atomic writing (failures, full disk), folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "base/file.h"
#include "base/mem.h"
#include "temporary.h"

static char dir[256];

static const char *at(const char *name) { /* a path in the scratch folder, in a small ring */
    static char ring[4][sizeof dir + 400];
    static int next;
    char *p = ring[next++ % 4];
    snprintf(p, sizeof ring[0], "%s/%.390s", dir, name);
    return p;
}

static int make_dir(void **state) {
    (void)state;
    TEMPORARY_NAME(dir, temporary_root(), "test");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void put(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void assert_holds(const char *path, const char *expected) {
    char *data;
    size_t len;
    rc_error e = {0};
    if (rc__file_read(path, false, 0, &data, &len, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(len, strlen(expected));
    assert_string_equal(data, expected);
    rc__free(data, len + 1);
}

static size_t files_in(const char *path) {
    DIR *d = opendir(path);
    size_t n = 0;
    for (struct dirent *f; (f = readdir(d));) n += f->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Expects a failure with the status and with every word in the message; nothing leaks. */
static void assert_refused(const char *path, bool gunzip, size_t limit, rc_status expected, const char *word) {
    size_t before = rc_memory_used(), len = 1;
    char *data = (char *)1;
    rc_error e = {0};
    assert_int_equal(rc__file_read(path, gunzip, limit, &data, &len, &e), expected);
    assert_null(data);
    assert_int_equal(len, 0);
    assert_non_null(strstr(e.text, path));
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in: %s", word, e.text);
    assert_int_equal(rc_memory_used(), before);
    assert_int_equal(rc__file_read(path, gunzip, limit, &data, &len, NULL), expected);
}

static void reads_whole_files(void **state) {
    (void)state;
    size_t before = rc_memory_used();
    put(at("empty"), "", 0);
    assert_holds(at("empty"), "");
    put(at("a"), "hello", 5);
    assert_holds(at("a"), "hello");
    char *data;
    size_t len;
    assert_int_equal(rc__file_read(at("a"), true, 5, &data, &len, NULL), RC_OK); /* exactly the limit */
    assert_int_equal(len, 5);
    rc__free(data, len + 1);
    assert_int_equal(rc__file_read("/proc/self/status", false, 0, &data, &len, NULL), RC_OK); /* size unknown before */
    assert_true(len > 100 && data[len] == 0);
    rc__free(data, len + 1);
    assert_int_equal(rc_memory_used(), before);
    assert_refused(at("a"), false, 4, RC_EDATA, "limit of 4 bytes");
    assert_refused(at("missing"), false, 0, RC_EIO, "No such file");
    assert_refused(dir, false, 0, RC_EIO, "found a folder");
    assert_refused("/dev/zero", false, 0, RC_EIO, "found a device"); /* would fill the memory */
    char *nothing = NULL;
    size_t none = 1;
    assert_int_equal(rc__file_read("/dev/null", true, 0, &nothing, &none, NULL), RC_OK);
    assert_int_equal(none, 0);
    rc__free(nothing, 1);
}

static void *feed(void *ctx) { /* in small pieces, so that reads come short */
    int fd = *(int *)ctx;
    char piece[1000];
    memset(piece, 'p', sizeof piece);
    for (int i = 0; i < 300; i++)
        if (write(fd, piece, sizeof piece) != sizeof piece) break;
    close(fd);
    return NULL;
}

static void reads_standard_input(void **state) {
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        int fd[2], saved = dup(0);
        assert_int_equal(pipe(fd), 0);
        dup2(fd[0], 0);
        close(fd[0]);
        pthread_t t;
        signal(SIGPIPE, SIG_IGN);
        pthread_create(&t, NULL, feed, &fd[1]);
        char *data;
        size_t len;
        rc_error e = {0};
        rc_status s = rc__file_read("-", true, limited ? 1000 : 0, &data, &len, &e);
        dup2(saved, 0);
        close(saved);
        pthread_join(t, NULL);
        assert_int_equal(s, limited ? RC_EDATA : RC_OK);
        if (limited) {
            assert_non_null(strstr(e.text, "standard input"));
        } else {
            assert_int_equal(len, 300000);
            assert_int_equal(data[299999], 'p');
            rc__free(data, len + 1);
        }
    }
}

static size_t gzip(const void *in, size_t n, unsigned char *out, size_t cap) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void unpacks_gzip(void **state) {
    (void)state;
    enum { N = 200000 };
    char *text = malloc(N + 1);
    unsigned char *packed = malloc(N);
    for (size_t i = 0; i < N; i++) text[i] = (char)('a' + i * i / 7 % 26);
    text[N] = 0;
    size_t n = gzip(text, N, packed, N);
    put(at("t.gz"), packed, n);
    char *data;
    size_t len, before = rc_memory_used();
    rc_error e = {0};
    if (rc__file_read(at("t.gz"), true, 0, &data, &len, &e) != RC_OK) fail_msg("%s", e.text);
    assert_int_equal(len, N);
    assert_memory_equal(data, text, N + 1);
    rc__free(data, len + 1);
    assert_int_equal(rc_memory_used(), before);
    assert_int_equal(rc__file_read(at("t.gz"), true, N, &data, &len, &e), RC_OK);
    rc__free(data, len + 1);
    assert_refused(at("t.gz"), true, N - 1, RC_EDATA, "limit of 199999 bytes");
    /* as it is, when not asked to unpack */
    assert_int_equal(rc__file_read(at("t.gz"), false, 0, &data, &len, &e), RC_OK);
    assert_int_equal(len, n);
    rc__free(data, len + 1);
    /* two members and padding */
    size_t m = gzip("tail", 4, packed + n, N - n);
    memset(packed + n + m, 0, 100);
    put(at("two.gz"), packed, n + m + 100);
    assert_int_equal(rc__file_read(at("two.gz"), true, 0, &data, &len, &e), RC_OK);
    assert_int_equal(len, N + 4);
    assert_string_equal(data + N, "tail");
    rc__free(data, len + 1);
    m = gzip("", 0, packed, N); /* nothing inside */
    put(at("empty.gz"), packed, m);
    assert_int_equal(rc__file_read(at("empty.gz"), true, 0, &data, &len, &e), RC_OK);
    assert_int_equal(len, 0);
    rc__free(data, len + 1);
    free(text);
    free(packed);
}

static void refuses_damaged_gzip(void **state) {
    (void)state;
    const char *text = "a text that is long enough to be packed, packed, packed and packed again";
    unsigned char packed[400], bad[400];
    size_t n = gzip(text, strlen(text), packed, sizeof packed);
    for (size_t cut = 2; cut < n; cut++) { /* every prefix */
        put(at("cut.gz"), packed, cut);
        assert_refused(at("cut.gz"), true, 0, RC_EDATA, "bad gzip data");
    }
    size_t accepted = 0;
    for (size_t i = 2; i < n; i++) { /* every byte changed: a status, and the text itself when it is accepted */
        memcpy(bad, packed, n);
        bad[i] ^= 0x55;
        put(at("bad.gz"), bad, n);
        char *data;
        size_t len, before = rc_memory_used();
        rc_status s = rc__file_read(at("bad.gz"), true, 1 << 20, &data, &len, NULL);
        assert_true(s == RC_OK || s == RC_EDATA);
        if (s == RC_OK) {
            accepted++;
            assert_string_equal(data, text);
            rc__free(data, len + 1);
        }
        assert_int_equal(rc_memory_used(), before);
    }
    assert_true(accepted <= 8); /* time, system and flags of the header do not matter */
    memcpy(bad, packed, n);
    memcpy(bad + n, "rubbish", 7);
    put(at("trail.gz"), bad, n + 7);
    assert_refused(at("trail.gz"), true, 0, RC_EDATA, "7 bytes of something else");
}

static void stops_a_gzip_bomb(void **state) {
    (void)state;
    enum { N = 50 << 20 };
    char *zeros = calloc(1, N);
    unsigned char *packed = malloc(1 << 20);
    size_t n = gzip(zeros, N, packed, 1 << 20);
    assert_true(n < 100000);
    put(at("bomb.gz"), packed, n);
    free(zeros);
    free(packed);
    size_t used = rc_memory_used(), peak = rc_memory_peak();
    assert_refused(at("bomb.gz"), true, 1 << 20, RC_EDATA, "limit of 1048576 bytes");
    assert_true(rc_memory_peak() - used < (4u << 20) || rc_memory_peak() == peak);
}

/* Allocation number n fails, for every n. */
typedef struct limiter {
    size_t calls, fail_at;
} limiter;
static void *limited(void *ctx, void *p, size_t old_size, size_t new_size) {
    limiter *l = ctx;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    if (++l->calls == l->fail_at) return NULL;
    void *q = aligned_alloc(64, (new_size + 63) / 64 * 64);
    if (p && q) {
        memcpy(q, p, old_size < new_size ? old_size : new_size);
        free(p);
    }
    return q;
}

static void survives_any_failing_allocation(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'm', sizeof text);
    unsigned char packed[500];
    size_t n = gzip(text, sizeof text, packed, sizeof packed);
    put(at("m.gz"), packed, n);
    put(at("old"), "old", 3);
    size_t before = rc_memory_used(), read_failures = 0, write_failures = 0;
    for (size_t k = 1;; k++) {
        limiter l = {.fail_at = k};
        rc_set_allocator(limited, &l);
        char *data;
        size_t len;
        rc_error e = {0};
        rc_status s = rc__file_read(at("m.gz"), true, 0, &data, &len, &e);
        if (s == RC_OK) rc__free(data, len + 1);
        rc_set_allocator(NULL, NULL);
        assert_int_equal(rc_memory_used(), before);
        if (s == RC_OK) break;
        assert_int_equal(s, RC_ENOMEM);
        read_failures++;
    }
    for (size_t k = 1; k < 12; k++) {
        limiter l = {.fail_at = k};
        put(at("old"), "old", 3);
        rc_set_allocator(limited, &l);
        rc_status s = rc__file_write(at("old"), "new", 3, NULL);
        rc_set_allocator(NULL, NULL);
        assert_holds(at("old"), s == RC_OK ? "new" : "old");
        assert_int_equal(rc_memory_used(), before);
        write_failures += s != RC_OK;
    }
    assert_true(read_failures >= 3 && write_failures >= 3);
}

static void writes_atomically(void **state) {
    (void)state;
    rc_error e = {0};
    size_t before = rc_memory_used();
    put(at("w"), "old", 3);
    chmod(at("w"), 0640);
    size_t files = files_in(dir);
    rc__writer w;
    assert_int_equal(rc__writer_open(&w, at("w"), &e), RC_OK);
    assert_int_equal(rc__writer_put(&w, "new ", 4, &e), RC_OK);
    assert_int_equal(rc__writer_put(&w, NULL, 0, &e), RC_OK);
    fprintf(w.f, "text");
    assert_holds(at("w"), "old"); /* until the commit */
    assert_int_equal(files_in(dir), files + 1);
    assert_int_equal(rc__writer_commit(&w, &e), RC_OK);
    assert_holds(at("w"), "new text");
    assert_int_equal(files_in(dir), files);
    struct stat st;
    stat(at("w"), &st);
    assert_int_equal(st.st_mode & 0777, 0640); /* as the old one had it */

    assert_int_equal(rc__writer_open(&w, at("w"), &e), RC_OK);
    assert_int_equal(rc__writer_put(&w, "x", 1, &e), RC_OK);
    rc__writer_abort(&w);
    rc__writer_abort(&w); /* twice is harmless */
    assert_holds(at("w"), "new text");
    assert_int_equal(files_in(dir), files);
    assert_int_equal(rc__writer_put(&w, "x", 1, &e), RC_EIO);
    assert_int_equal(rc__writer_commit(&w, &e), RC_EIO);

    rc__writer a, b; /* two at once on one name: the later commit wins, neither is mixed */
    assert_int_equal(rc__writer_open(&a, at("w"), &e), RC_OK);
    assert_int_equal(rc__writer_open(&b, at("w"), &e), RC_OK);
    rc__writer_put(&a, "aaaa", 4, &e);
    rc__writer_put(&b, "bb", 2, &e);
    assert_int_equal(rc__writer_commit(&b, &e), RC_OK);
    assert_int_equal(rc__writer_commit(&a, &e), RC_OK);
    assert_holds(at("w"), "aaaa");

    assert_int_equal(symlink("w", at("link")), 0); /* the file is replaced, not the link */
    assert_int_equal(rc__file_write(at("link"), "by link", 7, &e), RC_OK);
    assert_holds(at("w"), "by link");
    lstat(at("link"), &st);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(rc_memory_used(), before);
}

static void devices_are_written_in_place(void **state) {
    (void)state;
    rc_error e = {0};
    if (rc__file_write("/dev/null", "x", 1, &e) != RC_OK) fail_msg("%s", e.text);
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    if (access("/dev/full", W_OK) == 0) {
        char big[100000] = {0};
        assert_int_equal(rc__file_write("/dev/full", big, sizeof big, &e), RC_EIO);
        assert_non_null(strstr(e.text, "No space left"));
        assert_int_equal(rc__file_write("/dev/full", "x", 1, &e), RC_EIO); /* found at the flush */
    }
}

static void a_full_disk_loses_nothing(void **state) {
    (void)state;
    put(at("model"), "precious", 8);
    size_t files = files_in(dir), before = rc_memory_used();
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small = {.rlim_cur = 10000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    static char big[65536];
    for (size_t chunk = 1000; chunk <= 64000; chunk *= 8) { /* fails in put for some, in commit for others */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        rc__writer w;
        rc_error e = {0};
        rc_status s = rc__writer_open(&w, at("model"), &e);
        assert_int_equal(s, RC_OK);
        for (size_t n = 0; n < 12000 && s == RC_OK; n += chunk) s = rc__writer_put(&w, big, chunk, &e);
        if (s == RC_OK) s = rc__writer_commit(&w, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(s, RC_EIO);
        assert_non_null(strstr(e.text, "model"));
        assert_non_null(strstr(e.text, "File too large"));
        assert_holds(at("model"), "precious");
        assert_int_equal(files_in(dir), files);
        assert_int_equal(rc_memory_used(), before);
    }
}

static void unwritable_places_are_named(void **state) {
    (void)state;
    rc_error e = {0};
    put(at("plain"), "x", 1);
    static const struct {
        const char *name, *word;
    } bad[] = {{"no/such/folder/m", "No such file"}, {"plain/m", "ot a"}, {".", "found a folder"}, {"new/", "folder"}};
    size_t files = files_in(dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rc__check_writable(at(bad[i].name), &e), RC_EIO);
        assert_non_null(strstr(e.text, bad[i].word));
        assert_int_equal(rc__file_write(at(bad[i].name), "x", 1, &e), RC_EIO);
        assert_non_null(strstr(e.text, bad[i].name));
    }
    char name[300];
    memset(name, 'n', 250);
    name[250] = 0;
    assert_int_equal(rc__check_writable(at(name), &e), RC_EIO);
    assert_int_equal(rc__check_writable("", &e), RC_EIO);
    assert_int_equal(rc__file_write("", "x", 1, &e), RC_EIO);
    assert_int_equal(rc__check_writable(at("fine"), &e), RC_OK);
    assert_int_equal(rc__check_writable(at("plain"), &e), RC_OK);
    assert_int_equal(rc__check_writable("/dev/null", &e), RC_OK);
    assert_int_equal(files_in(dir), files); /* a check leaves nothing behind */
    if (geteuid() != 0) {
        mkdir(at("locked"), 0500);
        assert_int_equal(rc__check_writable(at("locked/m"), &e), RC_EIO);
        assert_non_null(strstr(e.text, "Permission denied"));
    }
}

static void makes_folders(void **state) {
    (void)state;
    rc_error e = {0};
    assert_int_equal(rc__mkdirs(at("x/y//z/"), &e), RC_OK);
    assert_true(rc__exists(at("x/y/z")));
    assert_int_equal(rc__mkdirs(at("x/y/z"), &e), RC_OK);
    assert_int_equal(rc__mkdirs("/", &e), RC_OK);
    put(at("x/file"), "", 0);
    assert_int_equal(rc__mkdirs(at("x/file"), &e), RC_EIO);
    assert_non_null(strstr(e.text, "found a file"));
    assert_int_equal(rc__mkdirs(at("x/file/z"), &e), RC_EIO);
    assert_int_equal(rc__mkdirs("", &e), RC_EIO);
    assert_false(rc__exists(at("x/nothing")));
    static const char *const join[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}};
    for (size_t i = 0; i < 5; i++) {
        char *p = rc__path_join(join[i][0], join[i][1]);
        assert_string_equal(p, join[i][2]);
        rc__strfree(p);
    }
    double t = rc__now();
    usleep(1000);
    assert_true(rc__now() - t >= 0.0009 && rc__now() - t < 60);
}

static bool any(const char *name, const void *ctx) { return (void)name, (void)ctx, true; }

/* What a killed process left goes; what a living one writes, and what only looks like it, stays. */
static void leftovers(void **state) {
    (void)state;
    char sub[400], path[500];
    snprintf(sub, sizeof sub, "%s/leftovers", dir);
    assert_int_equal(mkdir(sub, 0777), 0);
    static const char *const stay[] = {"a.tmp", "a.tmp.", "a.tmp.x", "a.tmp.1x", ".tmp.1", "a.tmp.1.2.3", "atmp.1", "a.1"};
    static const char *const go[] = {"a.tmp.1", "a.tmp.77777.2", "b.safetensors.tmp.12"};
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
        snprintf(path, sizeof path, "%s/%s", sub, stay[i]);
        put(path, "x", 1);
    }
    for (size_t i = 0; i < sizeof go / sizeof *go; i++) {
        snprintf(path, sizeof path, "%s/%s", sub, go[i]);
        put(path, "x", 1);
    }
    snprintf(path, sizeof path, "%s/target", sub);
    put(path, "old", 3);
    rc__writer w;
    assert_int_equal(rc__writer_open(&w, path, NULL), RC_OK);
    assert_int_equal(rc__writer_put(&w, "new", 3, NULL), RC_OK);
    rc__remove_leftovers_of(path); /* while it is written */
    rc__remove_leftovers(sub, any, NULL);
    struct dirent **names;
    int n = scandir(sub, &names, NULL, NULL), left = 0;
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof go / sizeof *go; k++) assert_string_not_equal(names[i]->d_name, go[k]);
        left += strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0;
        free(names[i]);
    }
    free(names);
    assert_int_equal(left, sizeof stay / sizeof *stay + 2);
    assert_int_equal(rc__writer_commit(&w, NULL), RC_OK);
    assert_holds(path, "new");
    snprintf(path, sizeof path, "%s/target.tmp.5", sub);
    put(path, "x", 1);
    snprintf(path, sizeof path, "%s/target", sub);
    rc__remove_leftovers_of(path);
    snprintf(path, sizeof path, "%s/target.tmp.5", sub);
    assert_false(rc__exists(path));
    rc__remove_leftovers("no such folder", any, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whole_files),
        cmocka_unit_test(reads_standard_input),
        cmocka_unit_test(unpacks_gzip),
        cmocka_unit_test(refuses_damaged_gzip),
        cmocka_unit_test(stops_a_gzip_bomb),
        cmocka_unit_test(survives_any_failing_allocation),
        cmocka_unit_test(writes_atomically),
        cmocka_unit_test(devices_are_written_in_place),
        cmocka_unit_test(a_full_disk_loses_nothing),
        cmocka_unit_test(unwritable_places_are_named),
        cmocka_unit_test(leftovers),
        cmocka_unit_test(makes_folders),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
