/* codes.c - see codes.h. Categories and simple case mappings come from utf8proc. */
#include "data/codes.h"
#include <utf8proc.h>
#include "base/mem.h"
#include "data/strtab.h"
#include "data/utf8.h"

static utf8proc_category_t category(uint32_t c) {
    return c > 0x10FFFF ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t)c);
}

bool rc__code_is_number(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool rc__code_is_punctuation(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool rc__code_is_symbol(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_SM && k <= UTF8PROC_CATEGORY_SO;
}

bool rc__code_is_currency(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_SC; }

bool rc__code_is_space(uint32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
    utf8proc_category_t k = category(c);
    return c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

bool rc__code_is_alpha(uint32_t c) {
    if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
    switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_MC: return true;
    /* Marks of European scripts stand above letters and are no letters (Other_Alphabetic begins at U+0345); those of the
     * scripts from Hebrew on are vowels, nearly all. The Moses port counts viramas and nuktas too. */
    case UTF8PROC_CATEGORY_MN:
        return c == 0x345 || (c >= 0x5B0 && c < 0x1AB0) || (c >= 0x1B00 && c < 0x1DC0) || c >= 0x2DE0;
    case UTF8PROC_CATEGORY_SO: return c >= 0x24B6 && c <= 0x24E9; /* letters in circles */
    default: return false;
    }
}

bool rc__code_is_alnum(uint32_t c) {
    if (c < 0x80) return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9');
    return category(c) == UTF8PROC_CATEGORY_ND || rc__code_is_alpha(c);
}

bool rc__code_is_lower(uint32_t c) {
    if (c < 0x80) return c >= 'a' && c <= 'z';
    return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA || (c >= 0x2B0 && c <= 0x2B8) ||
           (c >= 0x2170 && c <= 0x217F) || (c >= 0x24D0 && c <= 0x24E9);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

void rc__codes_free(rc__codes *t) {
    rc__free(t->c, t->cap * sizeof *t->c);
    *t = (rc__codes){0};
}

rc_status rc__codes_put(rc__codes *t, uint32_t c, rc_error *e) {
    if (t->n == t->cap) {
        rc_status s = rc__grow((void **)&t->c, &t->cap, t->n + 1, sizeof *t->c, e);
        if (s != RC_OK) return s;
    }
    t->c[t->n++] = c;
    return RC_OK;
}

rc_status rc__codes_read(rc__codes *t, rc__cell text, rc_error *e) {
    t->n = 0;
    rc_status s = rc__grow((void **)&t->c, &t->cap, text.len + 1, sizeof *t->c, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; i < text.len;) {
        uint32_t c = RC_UTF8_REPLACEMENT;
        size_t len = rc__utf8_decode(text.text + i, text.len - i, &c);
        t->c[t->n++] = c;
        i += len ? len : 1;
    }
    return RC_OK;
}

rc_status rc__codes_write(rc__string *out, const uint32_t *c, size_t n, rc_error *e) {
    rc_status s = RC_OK;
    char buf[256];
    size_t used = 0;
    for (size_t i = 0; i < n && s == RC_OK; i++) {
        if (used + 4 > sizeof buf) {
            s = rc__string_put(out, buf, used, e);
            used = 0;
        }
        used += rc__utf8_encode(c[i], buf + used);
    }
    return s == RC_OK && used ? rc__string_put(out, buf, used, e) : s;
}

/* ---- lower case -------------------------------------------------------------------------------------------------- */

static bool is_cased(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT || rc__code_is_lower(c) ||
           (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x2160 && c <= 0x217F);
}

/* Case_Ignorable: marks, formats, modifiers, and what stands inside words (Unicode's Word_Break MidLetter, MidNumLet, Single_Quote). */
static bool is_ignorable(uint32_t c) {
    static const uint32_t inside[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                      0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (c == inside[i]) return true;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return false;
    }
}

/* Unicode 15, table 3-17: after a cased letter, and not before one. */
static bool is_final(const uint32_t *c, size_t n, size_t at) {
    size_t before = at, after = at + 1;
    while (before > 0 && is_ignorable(c[before - 1])) before--;
    if (before == 0 || !is_cased(c[before - 1])) return false;
    while (after < n && is_ignorable(c[after])) after++;
    return after == n || !is_cased(c[after]);
}

rc_status rc__codes_lower(rc__codes *t, rc_error *e) {
    size_t dotted = 0;
    for (size_t i = 0; i < t->n; i++) dotted += t->c[i] == 0x130;
    rc_status s = rc__grow((void **)&t->c, &t->cap, t->n + dotted + 1, sizeof *t->c, e);
    if (s != RC_OK) return s;
    for (size_t i = 0; i < t->n; i++) /* before letters change: whether they are capitals does not matter to it */
        if (t->c[i] == 0x3A3) t->c[i] = is_final(t->c, t->n, i) ? 0x3C2 : 0x3C3;
    for (size_t i = t->n, to = t->n + dotted; i-- > 0;) {
        uint32_t c = t->c[i];
        if (c == 0x130) {
            t->c[--to] = 0x307;
            t->c[--to] = 'i';
        } else if (c < 0x80)
            t->c[--to] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        else
            t->c[--to] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    t->n += dotted;
    return RC_OK;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

void rc__rewrite_free(rc__rewrite *t) {
    rc__codes_free(&t->now);
    rc__codes_free(&t->next);
}

void rc__rewrite_swap(rc__rewrite *t) {
    rc__codes x = t->now;
    t->now = t->next;
    t->next = x;
}

rc_status rc__rewrite_spaces(rc__rewrite *t, const rc__space_rule *r, rc_error *e) {
    rc_status s = rc__grow((void **)&t->next.c, &t->next.cap, 3 * t->now.n + 1, sizeof *t->next.c, e);
    if (s != RC_OK) return s;
    uint32_t *out = t->next.c;
    size_t n = 0;
    for (size_t i = 0; i < t->now.n; i++) {
        const uint32_t *c = t->now.c + i;
        bool match = r->first(c[0]) && (!r->second || (i + 1 < t->now.n && r->second(c[1])));
        if (match && r->before) out[n++] = ' ';
        out[n++] = c[0];
        if (match && r->second) {
            out[n++] = ' ';
            out[n++] = c[1];
            i++;
        }
        if (match && r->after) out[n++] = ' ';
    }
    t->next.n = n;
    rc__rewrite_swap(t);
    return RC_OK;
}
