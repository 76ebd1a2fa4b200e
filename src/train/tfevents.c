/* tfevents.c - TensorBoard event files.
 *
 * A file is a sequence of TFRecord frames (little endian):
 *     uint64 length   uint32 masked crc32c of the length   byte data[length]   uint32 masked crc32c of the data
 * The data is one Event message of TensorFlow's event.proto; the few fields that we write, by number and wire type:
 *     Event    1 wall_time (fixed64)  2 step (varint)  3 file_version (bytes)  5 summary  7 session_log
 *     Summary  1 value (repeated)
 *     Value    1 tag  2 simple_value (fixed32)  8 tensor  9 metadata
 *     Tensor   1 dtype (7 = string)  2 shape { 2 dim { 1 size } }  8 string_val
 *     Metadata 1 plugin_data { 1 plugin_name }
 *     SessionLog 1 status (1 = START)
 * Nested messages are written behind a length, so each is put together in a small buffer of its own size first: the
 * sizes are computed ahead. */
#include "train/tfevents.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/runfolder.h"

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static uint32_t crc_table[256];
static void crc_init(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
        crc_table[i] = c;
    }
}

uint32_t rc__crc32c(const void *data, size_t len) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, crc_init);
    const uint8_t *p = data;
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < len; i++) c = crc_table[(c ^ p[i]) & 255] ^ c >> 8;
    return c ^ 0xFFFFFFFFu;
}

/* Rotated and shifted, so that a record that holds records does not have a checksum of checksums. */
uint32_t rc__crc32c_masked(const void *data, size_t len) {
    uint32_t c = rc__crc32c(data, len);
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

struct rc__tfevents {
    int fd;
    char *path;
    uint8_t *data; /* records not yet in the file */
    size_t len, cap;
    bool failed; /* out of memory since the last flush */
};

static uint8_t *reserve(rc__tfevents *w, size_t n) {
    if (w->failed) return NULL;
    if (w->len + n > w->cap) {
        size_t cap = w->cap ? w->cap : 4096;
        while (cap < w->len + n) cap *= 2;
        uint8_t *p = rc__realloc(w->data, w->cap, cap);
        if (!p) return w->failed = true, NULL;
        w->data = p;
        w->cap = cap;
    }
    return w->data + w->len;
}

static uint8_t *put_le(uint8_t *p, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) *p++ = (uint8_t)(v >> 8 * i);
    return p;
}
static size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >>= 7) n++;
    return n;
}
static uint8_t *put_varint(uint8_t *p, uint64_t v) {
    for (; v > 127; v >>= 7) *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}
static size_t bytes_size(size_t len) { return 1 + varint_size(len) + len; } /* field numbers here are all below 16 */
static uint8_t *put_head(uint8_t *p, int field, size_t len) {
    *p++ = (uint8_t)(field << 3 | 2);
    return put_varint(p, len);
}
static uint8_t *put_bytes(uint8_t *p, int field, const void *data, size_t len) {
    p = put_head(p, field, len);
    if (len) memcpy(p, data, len);
    return p + len;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Where an Event of `body` bytes beyond time and step is to be written; frame_end closes it. */
static uint8_t *event_begin(rc__tfevents *w, double wall_time, uint64_t step, size_t body) {
    size_t size = 9 + (step ? 1 + varint_size(step) : 0) + body; /* zero is the default and stays out, as in proto3 */
    uint8_t *p = reserve(w, size + 16);
    if (!p) return NULL;
    uint8_t *start = p;
    p = put_le(p, size, 8);
    p = put_le(p, rc__crc32c_masked(start, 8), 4);
    uint64_t bits;
    memcpy(&bits, &wall_time, 8);
    *p++ = 1 << 3 | 1;
    p = put_le(p, bits, 8);
    if (step == 0) return p;
    *p++ = 2 << 3 | 0;
    return put_varint(p, step);
}
static void event_end(rc__tfevents *w, uint8_t *end) {
    uint8_t *data = w->data + w->len + 12;
    end = put_le(end, rc__crc32c_masked(data, (size_t)(end - data)), 4);
    w->len = (size_t)(end - w->data);
}

void rc__tfevents_scalar(rc__tfevents *w, double wall_time, uint64_t step, const char *tag, double value) {
    size_t tag_len = strlen(tag), value_size = bytes_size(tag_len) + 5, summary = bytes_size(value_size);
    uint8_t *p = event_begin(w, wall_time, step, bytes_size(summary));
    if (!p) return;
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    p = put_head(p, 5, summary);
    p = put_head(p, 1, value_size);
    p = put_bytes(p, 1, tag, tag_len);
    *p++ = 2 << 3 | 5;
    event_end(w, put_le(p, bits, 4));
}

void rc__tfevents_text(rc__tfevents *w, double wall_time, uint64_t step, const char *tag, const char *text,
                       size_t len) {
    static const char plugin[] = "text";
    static const uint8_t shape[] = {2 << 3 | 2, 2, 1 << 3, 1}; /* dim { size: 1 } */
    size_t plugin_data = bytes_size(sizeof plugin - 1), metadata = bytes_size(plugin_data);
    size_t tensor = 2 + bytes_size(sizeof shape) + bytes_size(len), tag_len = strlen(tag);
    size_t value_size = bytes_size(tag_len) + bytes_size(tensor) + bytes_size(metadata),
           summary = bytes_size(value_size);
    uint8_t *p = event_begin(w, wall_time, step, bytes_size(summary));
    if (!p) return;
    p = put_head(p, 5, summary);
    p = put_head(p, 1, value_size);
    p = put_bytes(p, 1, tag, tag_len);
    p = put_head(p, 8, tensor);
    *p++ = 1 << 3 | 0;
    *p++ = 7; /* DT_STRING */
    p = put_bytes(p, 2, shape, sizeof shape);
    p = put_bytes(p, 8, text, len);
    p = put_head(p, 9, metadata);
    p = put_head(p, 1, plugin_data);
    event_end(w, put_bytes(p, 1, plugin, sizeof plugin - 1));
}

static void file_version(rc__tfevents *w, double wall_time) {
    static const char version[] = "brain.Event:2";
    uint8_t *p = event_begin(w, wall_time, 0, bytes_size(sizeof version - 1));
    if (p) event_end(w, put_bytes(p, 3, version, sizeof version - 1));
}

static void session_start(rc__tfevents *w, double wall_time, uint64_t step) {
    static const uint8_t start[] = {1 << 3 | 0, 1};
    uint8_t *p = event_begin(w, wall_time, step, bytes_size(sizeof start));
    if (p) event_end(w, put_bytes(p, 7, start, sizeof start));
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

rc_status rc__tfevents_open(rc__tfevents **out, const char *dir, double wall_time, uint64_t first_step, rc_error *e) {
    *out = NULL;
    char host[128] = "localhost", name[256];
    if (gethostname(host, sizeof host - 1) != 0 || strchr(host, '/')) snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = 0;
    snprintf(name, sizeof name, "events.out.tfevents.%010.0f.%s.%ld", wall_time, host, (long)getpid());
    rc__tfevents *w = rc__calloc(1, sizeof *w);
    if (!w) return rc_fail(e, RC_ENOMEM, "%s: out of memory", dir);
    w->fd = -1;
    w->path = rc__path_join(dir, name);
    rc_status s = RC_OK;
    if (!w->path)
        s = rc_fail(e, RC_ENOMEM, "%s: out of memory", dir);
    else if ((w->fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
        s = rc_fail(e, RC_EIO, "%s: cannot create: %s", w->path, strerror(errno));
    if (s == RC_OK) {
        file_version(w, wall_time);
        if (first_step) session_start(w, wall_time, first_step);
        s = rc__tfevents_flush(w, e);
    }
    if (s != RC_OK) return rc__tfevents_close(w), s;
    *out = w;
    return RC_OK;
}

rc_status rc__tfevents_flush(rc__tfevents *w, rc_error *e) {
    if (w->failed) return w->failed = false, rc_fail(e, RC_ENOMEM, "%s: out of memory", w->path);
    rc_status s = rc__append_whole(w->fd, w->path, w->data, w->len, e);
    w->len = 0;
    return s;
}

void rc__tfevents_close(rc__tfevents *w) {
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    rc__strfree(w->path);
    rc__free(w->data, w->cap);
    rc__free(w, sizeof *w);
}

const char *rc__tfevents_path(const rc__tfevents *w) { return w->path; }
