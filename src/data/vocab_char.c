/* vocab_char.c - one entry per Unicode code point. A code point is found through pages of 256, so encoding is two
 * loads. */
#include <string.h>

#include "base/mem.h"
#include "data/utf8.h"
#include "data/vocab_internal.h"

static int32_t id_of(const rc_vocab *v, uint32_t cp) {
    const int32_t *page = v->pages[cp >> 8];
    return page ? page[cp & 255] - 1 : -1;
}

rc_status rc__char_init(rc_vocab *v, rc_error *e) {
    v->pages = rc__calloc(RC_CHAR_PAGES, sizeof *v->pages);
    if (!v->pages) return rc_fail(e, RC_ENOMEM, "out of memory (character table)");
    return RC_OK;
}

rc_status rc__char_add_unk(rc_vocab *v, rc_error *e) {
    uint32_t id;
    rc_status s = rc__strtab_add(&v->entries, "<unk>", 5, &id, NULL, e);
    if (s == RC_OK) v->unk = (int32_t)id;
    return s;
}

void rc__char_free(rc_vocab *v) {
    if (!v->pages) return;
    for (size_t i = 0; i < RC_CHAR_PAGES; i++) rc__free(v->pages[i], 256 * sizeof **v->pages);
    rc__free(v->pages, RC_CHAR_PAGES * sizeof *v->pages);
}

rc_status rc__char_add(rc_vocab *v, uint32_t cp, rc_error *e) {
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return rc_fail(e, RC_EMODEL, "U+%04X is no character", (unsigned)cp);
    if (id_of(v, cp) >= 0) return rc_fail(e, RC_EMODEL, "U+%04X appears twice", (unsigned)cp);
    int32_t **page = &v->pages[cp >> 8];
    if (!*page) *page = rc__calloc(256, sizeof **page);
    if (!*page) return rc_fail(e, RC_ENOMEM, "out of memory (character table)");
    char bytes[4];
    uint32_t id;
    rc_status s = rc__strtab_add(&v->entries, bytes, rc__utf8_encode(cp, bytes), &id, NULL, e);
    if (s == RC_OK) (*page)[cp & 255] = (int32_t)id + 1;
    return s;
}

rc_status rc__char_learn(rc_vocab *v, const char *text, size_t len, rc_error *e) {
    rc_status s = rc__utf8_check(text, len, e);
    if (s != RC_OK) return s;
    size_t bytes = 0x110000 / 8;
    unsigned char *seen = rc__calloc(bytes, 1); /* one bit per code point */
    if (!seen) return rc_fail(e, RC_ENOMEM, "out of memory (characters seen)");
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        i += rc__utf8_decode(text + i, len - i, &cp);
        seen[cp >> 3] |= (unsigned char)(1u << (cp & 7));
    }
    size_t before = v->entries.count;
    for (uint32_t cp = 0; cp < 0x110000 && s == RC_OK; cp++) {
        if (!seen[cp >> 3])
            cp |= 7; /* eight at once */
        else if ((seen[cp >> 3] >> (cp & 7) & 1) && id_of(v, cp) < 0)
            s = rc__char_add(v, cp, e);
    }
    if (s != RC_OK) { /* out of memory: as if nothing had happened */
        for (size_t id = before; id < v->entries.count; id++) {
            size_t n;
            uint32_t cp = 0;
            const char *entry = rc__strtab_get(&v->entries, id, &n);
            rc__utf8_decode(entry, n, &cp);
            v->pages[cp >> 8][cp & 255] = 0;
        }
        rc__strtab_truncate(&v->entries, before);
    }
    rc__free(seen, bytes);
    return s;
}

rc_status rc__char_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *unknown, rc_error *e) {
    rc_status s = rc__utf8_check(text, len, e);
    if (s == RC_OK) s = rc__ids_reserve(out, rc__utf8_count(text, len), e);
    if (s != RC_OK) return s;
    int32_t ascii[128];
    for (uint32_t c = 0; c < 128; c++) ascii[c] = id_of(v, c);
    int32_t *id = out->id + out->n;
    size_t missing = 0;
    for (size_t i = 0; i < len;) {
        int32_t k;
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            k = ascii[c];
            i++;
        } else {
            uint32_t cp = 0;
            i += rc__utf8_decode(text + i, len - i, &cp);
            k = id_of(v, cp);
        }
        if (k < 0) {
            k = v->unk;
            missing++;
        }
        *id++ = k;
    }
    out->n = (size_t)(id - out->id);
    *unknown += missing;
    return RC_OK;
}
