/* file.c - whole-file reading with gzip, atomic writing, folders. */
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "base/mem.h"

#define DEFAULT_LIMIT ((uint64_t)64 << 30)
#define DEVICE_LIMIT  ((size_t)64 << 20)
#define FIRST_READ    ((size_t)64 << 10)
/* Text packs to a fifth, tables of numbers to a tenth, the same line again and again to a thousandth: what unpacks to
 * more than this is a bomb, or should be unpacked by someone who knows that it is none. */
#define GZIP_RATIO    200
#define GZIP_FREE     ((size_t)64 << 20)

double rc__now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool rc__exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool rc__is_regular(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *rc__path_join(const char *dir, const char *name) {
    size_t d = name[0] == '/' ? 0 : strlen(dir), n = strlen(name);
    bool slash = d > 0 && dir[d - 1] != '/';
    char *p = rc__alloc(d + slash + n + 1);
    if (!p) return NULL;
    memcpy(p, dir, d);
    if (slash) p[d] = '/';
    memcpy(p + d + slash, name, n + 1);
    return p;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* A block that grows; the last byte of cap is kept for the closing 0. */
typedef struct buffer {
    char *data;
    size_t len, cap;
} buffer;

static void buffer_free(buffer *b) {
    rc__free(b->data, b->cap);
    *b = (buffer){0};
}

static bool buffer_resize(buffer *b, size_t cap) {
    char *p = rc__realloc(b->data, b->cap, cap);
    if (!p) return false;
    b->data = p;
    b->cap = cap;
    return true;
}

/* Room for at least one more byte and the closing 0, doubling, but never room for more than limit + 1 bytes of content:
 * one byte more than allowed is enough to know. */
static bool buffer_grow(buffer *b, size_t limit) {
    size_t most = limit > SIZE_MAX - 2 ? SIZE_MAX : limit + 2;
    size_t cap = b->cap < FIRST_READ / 2 ? FIRST_READ : b->cap > most / 2 ? most : b->cap * 2;
    if (cap > most) cap = most;
    return cap > b->len + 1 && buffer_resize(b, cap);
}

/* Closes the block at exactly len + 1 bytes. */
static bool buffer_finish(buffer *b) {
    if (b->cap != b->len + 1 && !buffer_resize(b, b->len + 1)) return false;
    b->data[b->len] = 0;
    return true;
}

static rc_status too_large(const char *name, size_t limit, rc_error *e) {
    return rc_fail(e, RC_EDATA, "%s: larger than the limit of %zu bytes", name, limit);
}

/* /dev/zero and its like, and disks: reading them fills the memory. /dev/null ends at once, a terminal when its user says. */
static bool endless(int fd, const struct stat *st) {
    struct stat null;
    if (S_ISBLK(st->st_mode)) return true;
    bool empty = stat("/dev/null", &null) == 0 && st->st_rdev == null.st_rdev;
    return S_ISCHR(st->st_mode) && !empty && !isatty(fd);
}

/* Files are read whole, so one that is larger than the memory cannot be; to try would bring the machine down. */
static size_t default_limit(void) {
    uint64_t limit = DEFAULT_LIMIT;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0 && (uint64_t)pages * (uint64_t)page < limit) limit = (uint64_t)pages * (uint64_t)page;
    return limit < SIZE_MAX - 2 ? (size_t)limit : SIZE_MAX - 2;
}

static rc_status read_fd(int fd, const char *name, size_t limit, buffer *b, rc_error *e) {
    struct stat st;
    if (fstat(fd, &st) != 0) return rc_fail(e, RC_EIO, "%s: cannot be examined: %s", name, strerror(errno));
    if (S_ISDIR(st.st_mode)) return rc_fail(e, RC_EIO, "%s: expected a file, found a folder", name);
    if (endless(fd, &st)) return rc_fail(e, RC_EIO, "%s: expected a file, found a device", name);
    if (S_ISCHR(st.st_mode) && limit > DEVICE_LIMIT) limit = DEVICE_LIMIT; /* a terminal */
    /* The size is a first guess only: a pipe has none, and a file may grow while it is read. */
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > limit) return too_large(name, limit, e);
        if (!buffer_resize(b, (size_t)st.st_size + 1))
            return rc_fail(e, RC_ENOMEM, "%s: out of memory reading %lld bytes", name, (long long)st.st_size);
    }
    for (;;) {
        if (b->len > limit) return too_large(name, limit, e);
        /* A full block may hold all there is: growing it, which copies, waits until one more byte has come. */
        char next, *to = &next;
        size_t want = 1;
        if (b->len + 1 < b->cap) {
            to = b->data + b->len;
            want = b->cap - b->len - 1;
        }
        ssize_t n = read(fd, to, want < (size_t)1 << 30 ? want : (size_t)1 << 30);
        if (n == 0) return RC_OK;
        if (n > 0 && to == &next && !buffer_grow(b, limit))
            return rc_fail(e, RC_ENOMEM, "%s: out of memory after %zu bytes", name, b->len);
        if (n > 0 && to == &next) b->data[b->len] = next;
        if (n > 0)
            b->len += (size_t)n;
        else if (errno != EINTR)
            return rc_fail(e, RC_EIO, "%s: cannot be read: %s", name, strerror(errno));
    }
}

/* zlib is not told the size of what it frees: it stands in front of the block. */
#define ZHEAD ((size_t)64)
static void *z_alloc(void *ctx, unsigned items, unsigned size) {
    (void)ctx;
    size_t bytes = (size_t)items * size + ZHEAD;
    char *p = rc__alloc(bytes);
    if (!p) return NULL;
    memcpy(p, &bytes, sizeof bytes);
    return p + ZHEAD;
}
static void z_free(void *ctx, void *at) {
    (void)ctx;
    if (!at) return;
    char *p = (char *)at - ZHEAD;
    size_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    rc__free(p, bytes);
}

/* Several members one after the other are one file (as gzip has it); zeros behind the last are padding. */
static rc_status unpack(const char *name, const buffer *in, size_t limit, buffer *out, rc_error *e) {
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    size_t bomb = in->len > (SIZE_MAX - GZIP_FREE) / GZIP_RATIO ? SIZE_MAX : GZIP_FREE + GZIP_RATIO * in->len;
    const char *which = bomb < limit
                            ? " (64 MiB and 200 times its size), as what is made to fill the memory does; if you trust "
                              "it, unpack it first"
                            : "";
    if (bomb < limit) limit = bomb;
    if (inflateInit2(&z, 15 + 16) != Z_OK) return rc_fail(e, RC_ENOMEM, "%s: out of memory unpacking gzip", name);
    rc_status s = RC_OK;
    size_t pos = 0;
    while (s == RC_OK) {
        if (out->len + 1 >= out->cap && !buffer_grow(out, limit)) {
            s = rc_fail(e, RC_ENOMEM, "%s: out of memory after unpacking %zu bytes", name, out->len);
            break;
        }
        size_t left = in->len - pos, room = out->cap - out->len - 1;
        z.next_in = (Bytef *)in->data + pos;
        z.avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
        z.next_out = (Bytef *)out->data + out->len;
        z.avail_out = room < UINT_MAX ? (uInt)room : UINT_MAX;
        uInt in_before = z.avail_in, out_before = z.avail_out;
        int r = inflate(&z, Z_NO_FLUSH);
        pos += in_before - z.avail_in;
        out->len += out_before - z.avail_out;
        if (out->len > limit) {
            s = rc_fail(e, RC_EDATA, "%s: unpacks to more than the limit of %zu bytes%s", name, limit, which);
        } else if (r == Z_STREAM_END) {
            size_t next = pos;
            while (next < in->len && in->data[next] == 0) next++;
            if (next == in->len) break;
            if (in->len - pos >= 2 && (unsigned char)in->data[pos] == 0x1f && (unsigned char)in->data[pos + 1] == 0x8b)
                inflateReset(&z);
            else
                s = rc_fail(e, RC_EDATA, "%s: bad gzip data: %zu bytes of something else after the end", name,
                            in->len - pos);
        } else if (r == Z_MEM_ERROR) {
            s = rc_fail(e, RC_ENOMEM, "%s: out of memory unpacking gzip", name);
        } else if (r == Z_BUF_ERROR || (r == Z_OK && pos == in->len && z.avail_out > 0)) {
            s = rc_fail(e, RC_EDATA, "%s: bad gzip data: ends after %zu bytes, before its end mark", name, in->len);
        } else if (r != Z_OK) {
            s = rc_fail(e, RC_EDATA, "%s: bad gzip data at byte %zu: %s", name, pos, z.msg ? z.msg : "not deflate");
        }
    }
    inflateEnd(&z);
    return s;
}

rc_status rc__file_read(const char *path, bool gunzip, size_t limit, char **data, size_t *len, rc_error *e) {
    *data = NULL;
    *len = 0;
    if (limit == 0) limit = default_limit();
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rc_fail(e, RC_EIO, "%s: cannot be opened: %s", name, strerror(errno));
    buffer raw = {0}, text = {0};
    rc_status s = read_fd(fd, name, limit, &raw, e);
    if (!standard) close(fd);
    if (s != RC_OK) goto fail;
    if (gunzip && raw.len >= 2 && (unsigned char)raw.data[0] == 0x1f && (unsigned char)raw.data[1] == 0x8b) {
        s = unpack(name, &raw, limit, &text, e);
        buffer_free(&raw);
        if (s != RC_OK) goto fail;
        raw = text;
        text = (buffer){0};
    }
    if (!buffer_finish(&raw)) {
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory after %zu bytes", name, raw.len);
        goto fail;
    }
    *data = raw.data;
    *len = raw.len;
    return RC_OK;
fail:
    buffer_free(&raw);
    buffer_free(&text);
    return s;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static void set_parent(char *path) { /* cuts a path down to its folder, in place; path has at least 2 bytes */
    char *slash = strrchr(path, '/');
    if (!slash)
        memcpy(path, ".", 2);
    else if (slash == path)
        path[1] = 0;
    else
        *slash = 0;
}

static char *parent_of(const char *path) {
    size_t n = strlen(path) + 2;
    char *p = rc__alloc(n);
    if (!p) return NULL;
    memcpy(p, path, n - 1);
    set_parent(p);
    return p;
}
/* Its text is shorter than its block, so rc__strfree would be told the wrong size. */
static void parent_free(char *p, const char *path) { rc__free(p, strlen(path) + 2); }

void rc__writer_abort(rc__writer *w) {
    if (w->tmp) unlink(w->tmp); /* while it is open: its lock tells others that it is in use */
    if (w->f) fclose(w->f);
    rc__strfree(w->tmp);
    rc__strfree(w->path);
    *w = (rc__writer){0};
}

/* Reports errno for the target and drops everything. */
static rc_status writer_fail(rc__writer *w, const char *what, int code, rc_error *e) {
    rc_fail(e, RC_EIO, "%s: %s: %s", w->path, what, strerror(code));
    rc__writer_abort(w);
    return RC_EIO;
}

/* A new file that this process holds a lock on: the kernel drops it however the process ends, and rc__remove_leftovers
 * tells by it what is left of a killed one. -1 and EEXIST: another name is to be tried. */
static int open_temporary(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    struct stat st;
    if (fd < 0) return -1;
    /* Between the two calls another process may have taken it for a leftover. Without locks nobody removes any. */
    bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (ours && fstat(fd, &st) == 0 && st.st_nlink > 0) return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

rc_status rc__writer_open(rc__writer *w, const char *path, rc_error *e) {
    *w = (rc__writer){0};
    if (!*path) return rc_fail(e, RC_EIO, "an empty name cannot be written");
    struct stat st;
    bool old = stat(path, &st) == 0;
    if (old && S_ISDIR(st.st_mode)) return rc_fail(e, RC_EIO, "%s: expected a file to write, found a folder", path);
    if (old && !S_ISREG(st.st_mode)) { /* a device or a pipe: replacing it by a file is never what was meant */
        w->path = rc__strdup(path);
        if (!w->path) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
        w->f = fopen(path, "wbe");
        return w->f ? RC_OK : writer_fail(w, "cannot be opened for writing", errno, e);
    }
    char *real = old ? realpath(path, NULL) : NULL; /* through a link: the file it names is replaced, the link stays */
    w->path = rc__strdup(real ? real : path);
    free(real);
    size_t n = w->path ? strlen(w->path) + 48 : 0;
    char *name = w->path ? rc__alloc(n) : NULL;
    if (!name) {
        rc__writer_abort(w);
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    }
    int fd = -1;
    for (int i = 0; i < 100 && fd < 0; i++) { /* a number behind it when another thread writes the same file */
        snprintf(name, n, i ? "%s.tmp.%ld.%d" : "%s.tmp.%ld", w->path, (long)getpid(), i);
        fd = open_temporary(name);
        if (fd < 0 && errno != EEXIST) break;
    }
    int code = errno;
    if (fd >= 0) {
        w->tmp = rc__strdup(name);
        if (!w->tmp) unlink(name);
    }
    rc__free(name, n);
    if (fd < 0) return writer_fail(w, "cannot be written (a temporary file beside it cannot be made)", code, e);
    if (!w->tmp) {
        close(fd);
        rc__writer_abort(w);
        return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    }
    if (old && fchmod(fd, st.st_mode & 07777) != 0) { /* the default mode will do */
    }
    w->f = fdopen(fd, "wb");
    if (!w->f) {
        code = errno;
        close(fd);
        return writer_fail(w, "cannot be written", code, e);
    }
    return RC_OK;
}

rc_status rc__writer_put(rc__writer *w, const void *data, size_t len, rc_error *e) {
    if (!w->f) return rc_fail(e, RC_EIO, "writing to a file that is closed after an earlier error");
    if (len == 0) return RC_OK;
    errno = 0;
    if (fwrite(data, 1, len, w->f) == len) return RC_OK;
    return writer_fail(w, "cannot be written", errno, e);
}

rc_status rc__writer_commit(rc__writer *w, rc_error *e) {
    if (!w->f) return rc_fail(e, RC_EIO, "writing to a file that is closed after an earlier error");
    errno = 0;
    /* Earlier errors count too: a caller may have used fprintf on f. */
    if (ferror(w->f) || fflush(w->f) != 0) return writer_fail(w, "cannot be written", errno ? errno : EIO, e);
    if (w->tmp && fsync(fileno(w->f)) != 0) return writer_fail(w, "cannot be written to disk", errno, e);
    /* Renamed before it is closed and the lock dropped. All of it is on the disk: closing can say nothing new. */
    if (w->tmp && rename(w->tmp, w->path) != 0) return writer_fail(w, "cannot be replaced", errno, e);
    FILE *f = w->f;
    bool device = !w->tmp;
    w->f = NULL;
    if (fclose(f) != 0 && device) return writer_fail(w, "cannot be closed", errno, e);
    if (w->tmp) {
        rc__strfree(w->tmp);
        w->tmp = NULL;
        /* The name itself reaches the disk with its folder. The new file is in place whatever comes of it, and some
         * file systems cannot do it: no error. */
        char *dir = parent_of(w->path);
        int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (dir) parent_free(dir, w->path);
        if (fd >= 0) {
            fsync(fd);
            close(fd);
        }
    }
    rc__writer_abort(w); /* nothing left to undo: frees the names */
    return RC_OK;
}

rc_status rc__file_write(const char *path, const void *data, size_t len, rc_error *e) {
    rc__writer w;
    rc_status s = rc__writer_open(&w, path, e);
    if (s == RC_OK) s = rc__writer_put(&w, data, len, e);
    if (s == RC_OK) s = rc__writer_commit(&w, e);
    return s;
}

/* The length of NAME when text is NAME.tmp.<digits>[.<digits>], as rc__writer_open makes them; else 0. */
static size_t temporary_of(const char *text) {
    size_t n = strlen(text);
    for (int numbers = 0; numbers < 2; numbers++) {
        size_t digits = n;
        while (digits > 0 && text[digits - 1] >= '0' && text[digits - 1] <= '9') digits--;
        if (digits == n || digits < 2 || text[digits - 1] != '.') return 0;
        n = digits - 1;
        if (n > 4 && strncmp(text + n - 4, ".tmp", 4) == 0) return n - 4;
    }
    return 0;
}

static void remove_leftover(const char *path) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path);
    close(fd);
}

void rc__remove_leftovers(const char *dir, bool (*of)(const char *name, const void *ctx), const void *ctx) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        char name[NAME_MAX + 1];
        size_t n = temporary_of(f->d_name);
        if (n == 0 || n > NAME_MAX) continue;
        memcpy(name, f->d_name, n);
        name[n] = 0;
        char *path = of(name, ctx) ? rc__path_join(dir, f->d_name) : NULL;
        if (path) remove_leftover(path);
        rc__strfree(path);
    }
    closedir(d);
}

static bool is_name(const char *name, const void *ctx) { return strcmp(name, ctx) == 0; }

void rc__remove_leftovers_of(const char *path) {
    char *real = realpath(path, NULL); /* the temporary file is beside the file that a link names */
    const char *target = real ? real : path, *base = strrchr(target, '/');
    char *dir = parent_of(target);
    if (dir) rc__remove_leftovers(dir, is_name, base ? base + 1 : target);
    if (dir) parent_free(dir, target);
    free(real);
}

/* ---- folders ------------------------------------------------------------------------------------------------------ */

rc_status rc__mkdirs(const char *path, rc_error *e) {
    size_t n = strlen(path);
    if (n == 0) return rc_fail(e, RC_EIO, "a folder with an empty name cannot be made");
    char *p = rc__alloc(n + 1);
    if (!p) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    memcpy(p, path, n + 1);
    rc_status s = RC_OK;
    for (size_t i = 1; i <= n && s == RC_OK; i++) {
        if (p[i] != '/' && p[i] != 0) continue;
        char c = p[i];
        p[i] = 0;
        struct stat st;
        if (mkdir(p, 0777) != 0) {
            int code = errno;
            /* mkdir says EEXIST for files too, and EROFS or EACCES for folders that are there already. */
            if (stat(p, &st) != 0)
                s = rc_fail(e, RC_EIO, "%s: the folder cannot be made: %s", p, strerror(code));
            else if (!S_ISDIR(st.st_mode))
                s = rc_fail(e, RC_EIO, "%s: expected a folder, found a file", p);
        }
        p[i] = c;
    }
    rc__free(p, n + 1);
    return s;
}

rc_status rc__check_writable(const char *path, rc_error *e) {
    if (!*path) return rc_fail(e, RC_EIO, "an empty name cannot be written");
    struct stat st;
    bool old = stat(path, &st) == 0;
    if (old && S_ISDIR(st.st_mode)) return rc_fail(e, RC_EIO, "%s: expected a file to write, found a folder", path);
    if (old && !S_ISREG(st.st_mode)) {
        if (access(path, W_OK) == 0) return RC_OK;
        return rc_fail(e, RC_EIO, "%s: cannot be written: %s", path, strerror(errno));
    }
    size_t n = strlen(path);
    if (path[n - 1] == '/') return rc_fail(e, RC_EIO, "%s: expected a file to write, found the name of a folder", path);
    const char *base = strrchr(path, '/');
    if (strlen(base ? base + 1 : path) + strlen(".tmp.4194304.9") > NAME_MAX)
        return rc_fail(e, RC_EIO, "%s: the name is too long", path);
    char *real = old ? realpath(path, NULL) : NULL; /* the temporary file goes beside the file that a link names */
    const char *target = real ? real : path;
    char *dir = parent_of(target);
    rc_status s = RC_OK;
    if (!dir)
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    else if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        s = rc_fail(e, RC_EIO, "%s: cannot be written: %s is not a folder", path, dir);
    else if (access(dir, W_OK | X_OK) != 0) /* also when it is not there */
        s = rc_fail(e, RC_EIO, "%s: cannot be written: the folder %s: %s", path, dir, strerror(errno));
    if (dir) parent_free(dir, target);
    free(real);
    return s;
}
