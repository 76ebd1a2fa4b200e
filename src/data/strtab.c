/* strtab.c - open addressing with linear probing; the full hash is kept so that growing never touches the strings. */
#include "data/strtab.h"

#include <string.h>

#include "base/mem.h"

/* Eight bytes at a time, multiply and fold; words are short, so the tail is one masked read. */
uint32_t rc__hash_bytes(const char *s, size_t len) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ len, w;
    while (len >= 8) {
        memcpy(&w, s, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
        s += 8;
        len -= 8;
    }
    w = 0;
    memcpy(&w, s, len);
    h = (h ^ w) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return (uint32_t)(h >> 32);
}

/* No chance makes a way this long in a table that is at most half full; strings made to collide do, and each lookup
 * would walk past all of them. */
#define LONGEST_WAY 1024

/* The slot of a string or the free one where it belongs; NULL when the way there is too long. */
static uint32_t *slot_of(const rc__strtab *t, const char *s, size_t len, uint32_t hash) {
    size_t mask = t->n_slots - 1, way = 0;
    for (size_t i = hash & mask; way++ < LONGEST_WAY; i = (i + 1) & mask) {
        uint32_t id = t->slots[i];
        if (id == 0) return &t->slots[i];
        if (t->hash[id - 1] != hash) continue;
        size_t n;
        const char *have = rc__strtab_get(t, id - 1, &n);
        if (n == len && memcmp(have, s, len) == 0) return &t->slots[i];
    }
    return NULL;
}

static void fill_slots(rc__strtab *t) {
    memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    for (size_t id = 0; id < t->count; id++) {
        size_t i = t->hash[id] & (t->n_slots - 1);
        while (t->slots[i]) i = (i + 1) & (t->n_slots - 1);
        t->slots[i] = (uint32_t)id + 1;
    }
}

static rc_status reserve_one(rc__strtab *t, size_t len, rc_error *e) {
    if (t->count >= INT32_MAX - 1) return rc_fail(e, RC_EDATA, "more than %d different entries", INT32_MAX - 1);
    size_t pool_need;
    if (!rc__size_add(t->pool_len, len, &pool_need)) return rc_fail(e, RC_ENOMEM, "out of memory");
    rc_status s = rc__grow((void **)&t->pool, &t->pool_cap, pool_need + 1, 1, e); /* + 1: pool is never NULL */
    if (s != RC_OK) return s;
    s = rc__grow((void **)&t->hash, &t->hash_cap, t->count + 1, sizeof *t->hash, e);
    if (s != RC_OK) return s;
    bool first = t->start_cap == 0;
    s = rc__grow((void **)&t->start, &t->start_cap, t->count + 2, sizeof *t->start, e);
    if (s != RC_OK) return s;
    if (first) t->start[0] = 0;
    if ((t->count + 1) * 2 > t->n_slots) {
        size_t n = t->n_slots ? t->n_slots * 2 : 64;
        uint32_t *slots = rc__alloc(n * sizeof *slots);
        if (!slots) return rc_fail(e, RC_ENOMEM, "out of memory (%zu strings)", t->count);
        rc__free(t->slots, t->n_slots * sizeof *t->slots);
        t->slots = slots;
        t->n_slots = n;
        fill_slots(t);
    }
    return RC_OK;
}

rc_status rc__strtab_add(rc__strtab *t, const char *s, size_t len, uint32_t *id, bool *added, rc_error *e) {
    uint32_t hash = rc__hash_bytes(s, len);
    if (added) *added = false;
    if (t->n_slots) {
        uint32_t *slot = slot_of(t, s, len, hash);
        if (slot && *slot) {
            *id = *slot - 1;
            return RC_OK;
        }
    }
    rc_status st = reserve_one(t, len, e);
    if (st != RC_OK) return st;
    uint32_t *slot = slot_of(t, s, len, hash);
    if (!slot)
        return rc_fail(e, RC_EDATA,
                       "entry %zu: more than %d entries look alike to the table of entries; they were made to",
                       t->count, LONGEST_WAY);
    *id = (uint32_t)t->count;
    *slot = *id + 1;
    t->hash[t->count++] = hash;
    if (len) memcpy(t->pool + t->pool_len, s, len);
    t->pool_len += len;
    t->start[t->count] = t->pool_len;
    if (added) *added = true;
    return RC_OK;
}

int32_t rc__strtab_find(const rc__strtab *t, const char *s, size_t len) {
    if (!t->n_slots) return -1;
    uint32_t *slot = slot_of(t, s, len, rc__hash_bytes(s, len));
    return slot ? (int32_t)*slot - 1 : -1; /* none was added at the end of such a way */
}

void rc__strtab_truncate(rc__strtab *t, size_t count) {
    if (count >= t->count) return;
    t->count = count;
    t->pool_len = t->start[count];
    fill_slots(t);
}

void rc__strtab_free(rc__strtab *t) {
    rc__free(t->pool, t->pool_cap);
    rc__free(t->start, t->start_cap * sizeof *t->start);
    rc__free(t->hash, t->hash_cap * sizeof *t->hash);
    rc__free(t->slots, t->n_slots * sizeof *t->slots);
    memset(t, 0, sizeof *t);
}
