/* spans.h - spans in sequences of tags: reading, writing, repairing, scoring, and which tag may follow which.
 *
 * A tag name is PART-TYPE, cut at the first "-" ("B-PER", "I-geo-loc"), or a part alone ("O", "B"), whose type is "".
 * Parts are B I O E S, and L U, BILOU's names for E S. Tags are numbers into the list of names (int32_t, 0..K-1), one
 * list for truth and guess. A span is [start, end) with a type; the spans of a sequence come in order and do not
 * overlap.
 *
 *   IOB1    I inside; B only where a span follows one of the same type at once (Ramshaw & Marcus 1995)
 *   IOB2    B first, I after: "BIO"
 *   IOBES   B first, E last, I between, S alone        BILOU   the same with L, U for E, S
 */
#ifndef RC_SPANS_H
#define RC_SPANS_H
#include "metrics/classify.h"

typedef enum rc__tag_scheme { RC_TAGS_IOB1, RC_TAGS_IOB2, RC_TAGS_IOBES, RC_TAGS_BILOU } rc__tag_scheme;

/* How tags are read as spans.
 *   RC_SPANS_CONLLEVAL  the Perl script conlleval of 2004-01-26, its endOfChunk and startOfChunk: IOB1's rules on any
 *                       data, so an I- after O or after another type opens a span. Of E- it knows that E and I after E
 *                       open a span, but B after E of the same type does not; S, L, U are letters without meaning, so
 *                       S S of one type is one span. Its one-token brackets "[" "]" and "." are not read.
 *   RC_SPANS_SEQEVAL    seqeval 1.2.2 without mode: the same on B I O, and every E or S ends its span, every B or S
 *                       opens one. L and U count as E and S here, which seqeval has not.
 *   RC_SPANS_STRICT     seqeval 1.2.2 with mode="strict" and the scheme given (rc__spans): what is not a whole valid
 *                       span is none. Tags with a part that the scheme has not are outside. */
typedef enum rc__span_rule { RC_SPANS_CONLLEVAL, RC_SPANS_SEQEVAL, RC_SPANS_STRICT } rc__span_rule;

typedef struct rc__span {
    size_t start, end;
    int32_t type;
} rc__span;

typedef struct rc__tagset rc__tagset;
/* Takes K names apart (copies). RC_EINVAL, naming it: a name twice or empty. */
rc_status rc__tagset_new(const char *const *names, size_t K, rc__tagset **out, rc_error *e);
/* The tags of `scheme` for the types of `from`: "O" first, then type by type in their order, B I [E S]. */
rc_status rc__tagset_convert(const rc__tagset *from, rc__tag_scheme scheme, rc__tagset **out, rc_error *e);
void rc__tagset_free(rc__tagset *t);
size_t rc__tagset_size(const rc__tagset *t);
const char *rc__tagset_name(const rc__tagset *t, size_t k);
size_t rc__tagset_types(const rc__tagset *t); /* types of tags other than O, in order of first appearance; 0.. */
const char *rc__tagset_type(const rc__tagset *t, size_t type);
/* BILOU when a part is L or U, IOBES when one is E or S, else IOB2 (IOB1 has the same names). False: a part is none of
 * these (part-of-speech tags, say), *out untouched. */
bool rc__tagset_scheme(const rc__tagset *t, rc__tag_scheme *out);

/* Spans of one sequence of n tags; out has room for n. Returns their number. A tag outside 0..K-1 reads as O.
 * `scheme` matters to RC_SPANS_STRICT alone; IOB1 is read by conlleval's rules, which are IOB1's. */
size_t rc__spans(const rc__tagset *t, rc__span_rule rule, rc__tag_scheme scheme, const int32_t *tags, size_t n,
                 rc__span *out);
/* Writes spans as tags of `to` by `scheme`, O elsewhere; types are numbers of `types`, looked up in `to` by name. The
 * lists may be one. RC_EINVAL, naming it: a tag that `to` lacks; spans out of order, overlapping, empty, beyond n. */
rc_status rc__tags_of_spans(const rc__tagset *types, const rc__span *spans, size_t count, const rc__tagset *to,
                            rc__tag_scheme scheme, int32_t *tags, size_t n, rc_error *e);

/* Makes a sequence valid in `scheme`: reads it by one rule, writes it by the scheme, counts the tags that changed.
 *   RC_REPAIR_BEGIN  reads by RC_SPANS_SEQEVAL: what looks like a span is one, an I- out of place becomes its B-
 *   RC_REPAIR_DROP   reads by RC_SPANS_STRICT: what is not a whole valid span becomes O */
typedef enum rc__repair { RC_REPAIR_BEGIN, RC_REPAIR_DROP } rc__repair;
rc_status rc__tags_repair(const rc__tagset *t, rc__tag_scheme scheme, rc__repair how, int32_t *tags, size_t n,
                          size_t *changed, rc_error *e);

/* Which tag may follow which, for constrained decoding: allowed (K+1, K+1) of 0 and 1, [from][to], row K the start,
 * column K the end of a sequence. RC_EINVAL, naming it: a tag whose part the scheme has not. */
rc_status rc__tags_allowed(const char *const *names, size_t K, rc__tag_scheme scheme, uint8_t *allowed, rc_error *e);

/* Scores of spans over many sequences: add each, then read. A guessed span is right when the truth has one of the same
 * start, end and type. Quotients as rc__prf_of (0 when the denominator is 0), where seqeval and conlleval agree. */
typedef struct rc__span_scores {
    rc__prf all;     /* of the summed counts: conlleval's overall line, seqeval's micro average        */
    rc__prf macro;   /* mean over types that are in truth or guess: seqeval's macro average            */
    double accuracy; /* tags that are equal / tags, O included; NaN without tags                       */
    size_t right, guessed, truth, tokens;
} rc__span_scores;
typedef struct rc__span_counts rc__span_counts;
rc_status rc__span_counts_new(const rc__tagset *t, rc__span_rule rule, rc__tag_scheme scheme, rc__span_counts **out,
                              rc_error *e); /* t must outlive it */
void rc__span_counts_free(rc__span_counts *c);
rc_status rc__span_counts_add(rc__span_counts *c, const int32_t *truth, const int32_t *guess, size_t n, rc_error *e);
/* each (rc__tagset_types), or NULL: the types, in the tag set's order. */
void rc__span_counts_read(const rc__span_counts *c, rc__span_scores *out, rc__prf *each);
#endif
