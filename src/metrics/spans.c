/* spans.c - tags and spans. What a tag is: a part and a type; what a sequence of tags means: ends_span, starts_span and
 * the strict reading; the rest is writing, counting and the matrix of transitions. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "metrics/spans.h"

static const char parts[] = "BIESLUO";
enum { PARTS = 7 };

typedef struct tag {
    char part;    /* one of parts, or '?' */
    int32_t type; /* -1 only for O: no other tag has its type */
} tag;

struct rc__tagset {
    size_t K, n_types;
    char **names;       /* (K) */
    char **types;       /* (n_types) */
    tag *tags;          /* (K) */
    int32_t *tag_of;    /* (n_types, PARTS): the tag of this type and part, or -1 */
    int32_t outside;    /* the tag "O", or -1 */
    int32_t plain_type; /* of the type "", or -1: what a plain O has */
};

/* ---- tag sets ---------------------------------------------------------------------------------------------------- */

static int32_t find(char *const *list, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], s) == 0) return (int32_t)i;
    }
    return -1;
}

/* A name without a one-letter part, such as a part of speech, is all part, as in conlleval. */
static char part_of_name(const char *name, const char **type) {
    const char *dash = strchr(name, '-');
    size_t len = dash ? (size_t)(dash - name) : strlen(name);
    *type = dash ? dash + 1 : "";
    return len == 1 && strchr(parts, name[0]) ? name[0] : '?';
}

static bool take_type(rc__tagset *t, size_t k) {
    const char *type;
    tag *at = &t->tags[k];
    at->part = part_of_name(t->names[k], &type);
    at->type = find(t->types, t->n_types, type);
    if (at->part == 'O' || at->type >= 0) return true;
    at->type = (int32_t)t->n_types;
    t->types[t->n_types] = rc__strdup(type);
    return t->types[t->n_types++] != NULL;
}

static rc_status take_tags(rc__tagset *t, rc_error *e) {
    const char *type;
    for (size_t k = 0; k < t->K; k++) {
        if (!take_type(t, k)) return rc_fail(e, RC_ENOMEM, "no memory for the types of %zu tags", t->K);
    }
    t->tag_of = rc__alloc((t->n_types + 1) * PARTS * sizeof *t->tag_of);
    if (!t->tag_of) return rc_fail(e, RC_ENOMEM, "no memory for the types of %zu tags", t->K);
    for (size_t i = 0; i < t->n_types * PARTS; i++) t->tag_of[i] = -1;
    for (size_t k = 0; k < t->K; k++) {
        tag *at = &t->tags[k];
        const char *p = strchr(parts, at->part);
        if (at->part == 'O') {
            part_of_name(t->names[k], &type);
            at->type = find(t->types, t->n_types, type);
        } else if (p) {
            t->tag_of[(size_t)at->type * PARTS + (size_t)(p - parts)] = (int32_t)k;
        }
    }
    t->outside = find(t->names, t->K, "O");
    t->plain_type = find(t->types, t->n_types, "");
    return RC_OK;
}

rc_status rc__tagset_new(const char *const *names, size_t K, rc__tagset **out, rc_error *e) {
    rc_status s = RC_OK;
    *out = NULL;
    rc__tagset *t = rc__calloc(1, sizeof *t);
    if (!t) return rc_fail(e, RC_ENOMEM, "no memory for a set of tags");
    t->K = K;
    t->names = rc__calloc(K + 1, sizeof *t->names);
    t->types = rc__calloc(K + 1, sizeof *t->types);
    t->tags = rc__calloc(K + 1, sizeof *t->tags);
    if (!t->names || !t->types || !t->tags) s = rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
    for (size_t k = 0; k < K && s == RC_OK; k++) {
        if (!*names[k]) {
            s = rc_fail(e, RC_EINVAL, "tag %zu has no name", k);
        } else if (find(t->names, k, names[k]) >= 0) {
            s = rc_fail(e, RC_EINVAL, "the tag \"%s\" is there twice", names[k]);
        } else if (!(t->names[k] = rc__strdup(names[k]))) {
            s = rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
        }
    }
    if (s == RC_OK) s = take_tags(t, e);
    if (s == RC_OK) {
        *out = t;
    } else {
        rc__tagset_free(t);
    }
    return s;
}

void rc__tagset_free(rc__tagset *t) {
    if (!t) return;
    for (size_t k = 0; t->names && k < t->K; k++) rc__strfree(t->names[k]);
    for (size_t k = 0; t->types && k < t->n_types; k++) rc__strfree(t->types[k]);
    rc__free(t->names, (t->K + 1) * sizeof *t->names);
    rc__free(t->types, (t->K + 1) * sizeof *t->types);
    rc__free(t->tags, (t->K + 1) * sizeof *t->tags);
    rc__free(t->tag_of, (t->n_types + 1) * PARTS * sizeof *t->tag_of);
    rc__free(t, sizeof *t);
}

size_t rc__tagset_size(const rc__tagset *t) { return t->K; }
const char *rc__tagset_name(const rc__tagset *t, size_t k) { return t->names[k]; }
size_t rc__tagset_types(const rc__tagset *t) { return t->n_types; }
const char *rc__tagset_type(const rc__tagset *t, size_t type) { return t->types[type]; }

bool rc__tagset_scheme(const rc__tagset *t, rc__tag_scheme *out) {
    rc__tag_scheme s = RC_TAGS_IOB2;
    for (size_t k = 0; k < t->K; k++) {
        char p = t->tags[k].part;
        if (p == '?') return false;
        if (p == 'L' || p == 'U') s = RC_TAGS_BILOU;
        if ((p == 'E' || p == 'S') && s == RC_TAGS_IOB2) s = RC_TAGS_IOBES;
    }
    *out = s;
    return true;
}

static const char *parts_of(rc__tag_scheme scheme) {
    return scheme == RC_TAGS_IOBES ? "BIES" : scheme == RC_TAGS_BILOU ? "BILU" : "BI";
}

rc_status rc__tagset_convert(const rc__tagset *from, rc__tag_scheme scheme, rc__tagset **out, rc_error *e) {
    const char *p = parts_of(scheme);
    size_t each = strlen(p), K = 1 + from->n_types * each, room = 0, used = 2;
    *out = NULL;
    for (size_t i = 0; i < from->n_types; i++) room += each * (strlen(from->types[i]) + 3);
    char *text = rc__calloc(room + 2, 1), **names = rc__calloc(K, sizeof *names);
    rc_status s = text && names ? RC_OK : rc_fail(e, RC_ENOMEM, "no memory for %zu tags", K);
    if (s == RC_OK) {
        text[0] = 'O';
        names[0] = text;
        for (size_t k = 1; k < K; k++) {
            const char *type = from->types[(k - 1) / each];
            names[k] = text + used;
            used += (size_t)snprintf(names[k], room + 2 - used, *type ? "%c-%s" : "%c", p[(k - 1) % each], type) + 1;
        }
        s = rc__tagset_new((const char *const *)names, K, out, e);
    }
    rc__free(text, room + 2);
    rc__free(names, K * sizeof *names);
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Letters as the rule knows them: conlleval gives S, L and U no meaning, the others take L and U for E and S. */
static tag tag_at(const rc__tagset *t, rc__span_rule rule, int32_t k) {
    if (k < 0 || (size_t)k >= t->K) return (tag){'O', t->plain_type};
    tag x = t->tags[k];
    if (rule == RC_SPANS_CONLLEVAL) {
        if (strchr("SLU", x.part)) x.part = '?';
    } else if (x.part == 'L') {
        x.part = 'E';
    } else if (x.part == 'U') {
        x.part = 'S';
    }
    return x;
}

/* Whether `a` and `b` in turn are one of the pairs, such as "BB BO". */
static bool is_pair(char a, char b, const char *pairs) {
    for (; *pairs; pairs += pairs[2] ? 3 : 2) {
        if (pairs[0] == a && pairs[1] == b) return true;
    }
    return false;
}

/* Whether a span ended before `now`, and whether one starts there; conlleval's endOfChunk and startOfChunk, and what
 * seqeval adds for E and S. S is no letter to conlleval (tag_at), so the pairs with it may stand here for both. */
static bool ends_span(rc__span_rule rule, tag before, tag now) {
    if (rule == RC_SPANS_SEQEVAL && strchr("ES", before.part)) return true;
    return is_pair(before.part, now.part, "BB BO BS IB IO IS EE EI EO") ||
           (before.part != 'O' && before.type != now.type);
}

static bool starts_span(rc__span_rule rule, tag before, tag now) {
    if (rule == RC_SPANS_SEQEVAL && strchr("BS", now.part)) return true;
    return is_pair(before.part, now.part, "BB IB OB OI EE EI OE SE SI") || (now.part != 'O' && before.type != now.type);
}

static size_t read_loose(const rc__tagset *t, rc__span_rule rule, const int32_t *tags, size_t n, rc__span *out) {
    tag before = {'O', t->plain_type};
    bool open = false;
    size_t count = 0;
    for (size_t i = 0; i <= n; i++) {
        tag now = tag_at(t, rule, i < n ? tags[i] : -1);
        if (open && ends_span(rule, before, now)) {
            out[count++].end = i;
            open = false;
        }
        if (starts_span(rule, before, now)) {
            out[count] = (rc__span){i, 0, now.type};
            open = true;
        }
        before = now;
    }
    return count;
}

/* One past the last tag of the span that begins at i, or i when none does. */
static size_t strict_end(const rc__tagset *t, bool with_end, const int32_t *tags, size_t n, size_t i) {
    tag first = tag_at(t, RC_SPANS_STRICT, tags[i]);
    if (with_end && first.part == 'S') return i + 1;
    if (first.part != 'B') return i;
    for (size_t j = i + 1; j < n; j++) {
        tag x = tag_at(t, RC_SPANS_STRICT, tags[j]);
        if (x.type != first.type || !(x.part == 'I' || (with_end && x.part == 'E'))) return with_end ? i : j;
        if (x.part == 'E') return j + 1;
    }
    return with_end ? i : n;
}

size_t rc__spans(const rc__tagset *t, rc__span_rule rule, rc__tag_scheme scheme, const int32_t *tags, size_t n,
                 rc__span *out) {
    if (rule != RC_SPANS_STRICT) return read_loose(t, rule, tags, n, out);
    if (scheme == RC_TAGS_IOB1) return read_loose(t, RC_SPANS_CONLLEVAL, tags, n, out);
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        size_t end = strict_end(t, scheme != RC_TAGS_IOB2, tags, n, i);
        if (end > i) {
            out[count++] = (rc__span){i, end, t->tags[tags[i]].type};
            i = end;
        } else {
            i++;
        }
    }
    return count;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The part of token i of span s; `touches`: a span of the same type ends where s starts. */
static char part_in_span(rc__tag_scheme scheme, const rc__span *s, size_t i, bool touches) {
    bool first = i == s->start, last = i + 1 == s->end, bilou = scheme == RC_TAGS_BILOU;
    if (scheme == RC_TAGS_IOB1) return first && touches ? 'B' : 'I';
    if (scheme == RC_TAGS_IOB2) return first ? 'B' : 'I';
    if (first && last) return bilou ? 'U' : 'S';
    if (last) return bilou ? 'L' : 'E';
    return first ? 'B' : 'I';
}

static rc_status write_span(const rc__tagset *types, const rc__span *s, const rc__tagset *to, rc__tag_scheme scheme,
                            bool touches, int32_t *tags, rc_error *e) {
    const char *type = types->types[s->type];
    int32_t there = types == to ? s->type : find(to->types, to->n_types, type);
    for (size_t i = s->start; i < s->end; i++) {
        char part = part_in_span(scheme, s, i, touches);
        int32_t k = there < 0 ? -1 : to->tag_of[(size_t)there * PARTS + (size_t)(strchr(parts, part) - parts)];
        if (k < 0) return rc_fail(e, RC_EINVAL, "the tags lack \"%c%s%s\"", part, *type ? "-" : "", type);
        tags[i] = k;
    }
    return RC_OK;
}

rc_status rc__tags_of_spans(const rc__tagset *types, const rc__span *spans, size_t count, const rc__tagset *to,
                            rc__tag_scheme scheme, int32_t *tags, size_t n, rc_error *e) {
    size_t at = 0;
    for (size_t k = 0; k <= count; k++) {
        size_t start = k < count ? spans[k].start : n;
        if (k < count && (start < at || spans[k].end <= start || spans[k].end > n || spans[k].type < 0 ||
                          (size_t)spans[k].type >= types->n_types)) {
            return rc_fail(e, RC_EINVAL, "span %zu, tokens %zu to %zu of type %d: not one after the last within %zu", k,
                           start, spans[k].end, (int)spans[k].type, n);
        }
        if (at < start && to->outside < 0) return rc_fail(e, RC_EINVAL, "the tags lack \"O\"");
        for (; at < start; at++) tags[at] = to->outside;
        if (k == count) break;
        bool touches = k > 0 && spans[k - 1].end == start && spans[k - 1].type == spans[k].type;
        rc_status s = write_span(types, &spans[k], to, scheme, touches, tags, e);
        if (s != RC_OK) return s;
        at = spans[k].end;
    }
    return RC_OK;
}

rc_status rc__tags_repair(const rc__tagset *t, rc__tag_scheme scheme, rc__repair how, int32_t *tags, size_t n,
                          size_t *changed, rc_error *e) {
    size_t room = n + 1, differ = 0, bytes;
    rc__span *spans = rc__size_mul(room, sizeof *spans + sizeof *tags, &bytes) ? rc__alloc(bytes) : NULL;
    if (!spans) return rc_fail(e, RC_ENOMEM, "no memory for the spans of %zu tags", n);
    int32_t *made = (int32_t *)(spans + room);
    size_t count = rc__spans(t, how == RC_REPAIR_BEGIN ? RC_SPANS_SEQEVAL : RC_SPANS_STRICT, scheme, tags, n, spans);
    rc_status s = rc__tags_of_spans(t, spans, count, t, scheme, made, n, e);
    if (s == RC_OK) {
        for (size_t i = 0; i < n; i++) differ += made[i] != tags[i];
        if (n) memcpy(tags, made, n * sizeof *tags);
        *changed = differ;
    }
    rc__free(spans, bytes);
    return s;
}

/* ---- transitions ------------------------------------------------------------------------------------------------- */

/* '\0' stands for both ends of the sequence. */
static bool may_follow(rc__tag_scheme scheme, tag from, tag to) {
    bool inside = from.part == 'B' || from.part == 'I', same = from.type == to.type;
    switch (scheme) {
    case RC_TAGS_IOB1: return to.part != 'B' || (inside && same);
    case RC_TAGS_IOB2: return to.part != 'I' || (inside && same);
    default: /* an open span goes on until its E; nothing else goes on */
        return (to.part == 'I' || to.part == 'E') ? inside && same : !inside;
    }
}

rc_status rc__tags_allowed(const char *const *names, size_t K, rc__tag_scheme scheme, uint8_t *allowed, rc_error *e) {
    rc__tagset *t;
    rc_status s = rc__tagset_new(names, K, &t, e);
    for (size_t k = 0; k < K && s == RC_OK; k++) {
        char p = t->tags[k].part;
        if (p != 'O' && !strchr(parts_of(scheme), p)) {
            s = rc_fail(e, RC_EINVAL, "the tag \"%s\" does not begin with one of %s or O", names[k], parts_of(scheme));
        }
    }
    for (size_t from = 0; from <= K && s == RC_OK; from++) {
        for (size_t to = 0; to <= K; to++) {
            const tag end = {'\0', -1}; /* from it as from an O, to it as to an O */
            allowed[from * (K + 1) + to] =
                may_follow(scheme, from < K ? tag_at(t, RC_SPANS_STRICT, (int32_t)from) : end,
                           to < K ? tag_at(t, RC_SPANS_STRICT, (int32_t)to) : end);
        }
    }
    rc__tagset_free(t);
    return s;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

struct rc__span_counts {
    const rc__tagset *t;
    rc__span_rule rule;
    rc__tag_scheme scheme;
    double *count; /* (types, 3): right, guessed, truth */
    size_t tokens, equal;
    rc__span *spans; /* of the truth, then of the guess: room for each */
    size_t room;
};

rc_status rc__span_counts_new(const rc__tagset *t, rc__span_rule rule, rc__tag_scheme scheme, rc__span_counts **out,
                              rc_error *e) {
    rc__span_counts *c = rc__calloc(1, sizeof *c);
    *out = NULL;
    if (c) c->count = rc__calloc(t->n_types + 1, 3 * sizeof *c->count);
    if (!c || !c->count) {
        rc__free(c, sizeof *c);
        return rc_fail(e, RC_ENOMEM, "no memory to count spans of %zu types", t->n_types);
    }
    c->t = t;
    c->rule = rule;
    c->scheme = scheme;
    *out = c;
    return RC_OK;
}

void rc__span_counts_free(rc__span_counts *c) {
    if (!c) return;
    rc__free(c->count, (c->t->n_types + 1) * 3 * sizeof *c->count);
    rc__free(c->spans, c->room * 2 * sizeof *c->spans);
    rc__free(c, sizeof *c);
}

static rc_status make_room(rc__span_counts *c, size_t n, rc_error *e) {
    if (n <= c->room) return RC_OK;
    size_t bytes, want = n < 64 ? 64 : n + n / 2;
    rc__span *p =
        rc__size_mul(want, 2 * sizeof *p, &bytes) ? rc__realloc(c->spans, c->room * 2 * sizeof *p, bytes) : NULL;
    if (!p) return rc_fail(e, RC_ENOMEM, "no memory for the spans of %zu tags", n);
    c->spans = p;
    c->room = want;
    return RC_OK;
}

rc_status rc__span_counts_add(rc__span_counts *c, const int32_t *truth, const int32_t *guess, size_t n, rc_error *e) {
    rc_status s = make_room(c, n, e);
    if (s != RC_OK) return s;
    rc__span *a = c->spans, *b = c->spans + c->room;
    size_t in_a = rc__spans(c->t, c->rule, c->scheme, truth, n, a);
    size_t in_b = rc__spans(c->t, c->rule, c->scheme, guess, n, b);
    for (size_t i = 0; i < in_a; i++) c->count[3 * (size_t)a[i].type + 2]++;
    for (size_t i = 0; i < in_b; i++) c->count[3 * (size_t)b[i].type + 1]++;
    for (size_t i = 0, j = 0; i < in_a && j < in_b;) { /* both in order, neither overlapping itself */
        if (a[i].start == b[j].start && a[i].end == b[j].end && a[i].type == b[j].type) {
            c->count[3 * (size_t)a[i].type]++;
        }
        if (a[i].start <= b[j].start) {
            i++;
        } else {
            j++;
        }
    }
    for (size_t i = 0; i < n; i++) c->equal += truth[i] == guess[i];
    c->tokens += n;
    return RC_OK;
}

void rc__span_counts_read(const rc__span_counts *c, rc__span_scores *out, rc__prf *each) {
    double right = 0, guessed = 0, truth = 0, present = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < c->t->n_types; i++) {
        const double *x = c->count + 3 * i;
        rc__prf s = rc__prf_of(x[0], x[1], x[2]);
        if (each) each[i] = s;
        right += x[0];
        guessed += x[1];
        truth += x[2];
        if (x[1] + x[2] > 0) {
            present++;
            out->macro.precision += s.precision;
            out->macro.recall += s.recall;
            out->macro.f1 += s.f1;
        }
    }
    if (present > 0) {
        out->macro.precision /= present;
        out->macro.recall /= present;
        out->macro.f1 /= present;
    }
    out->macro.support = truth;
    out->all = rc__prf_of(right, guessed, truth);
    out->accuracy = c->tokens ? (double)c->equal / (double)c->tokens : NAN;
    out->right = (size_t)right;
    out->guessed = (size_t)guessed;
    out->truth = (size_t)truth;
    out->tokens = c->tokens;
}
