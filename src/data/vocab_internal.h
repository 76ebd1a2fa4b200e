/* vocab_internal.h - what a vocabulary is made of. */
#ifndef RC_VOCAB_INTERNAL_H
#define RC_VOCAB_INTERNAL_H
#include "base/string.h"
#include "data/strtab.h"
#include "recur/text.h"

#define RC_VOCAB_MAX  ((size_t)1 << 24) /* entries; more is a mistake or an attack */
#define RC_CHAR_PAGES 0x1100            /* 256 code points each, up to U+10FFFF */

typedef struct rc__bpe rc__bpe; /* bpe.h */

struct rc_vocab {
    rc_vocab_kind kind;
    rc__strtab entries; /* in order of id: the bytes; "<unk>" and "<eos>" stand for themselves here */
    int32_t unk, eos;   /* -1 = none */
    /* char: id + 1 of each code point by pages, 0 = unknown; a page without entries is NULL */
    int32_t **pages;
    /* word: split at every Unicode white space (as other libraries do), not only the six of ASCII */
    bool unicode_space;
    rc__bpe *bpe;
    /* Entries of imported tokenizers that are found in text before anything else ("<|endoftext|>"), even inside
     * words. */
    int32_t *specials;
    int32_t *specials_sorted; /* by their bytes */
    size_t n_specials;
    bool special_first[256]; /* bytes that one begins with */
};

/* The growing result of an encoder. */
typedef struct rc__ids {
    int32_t *id;
    size_t n, cap;
} rc__ids;
rc_status rc__ids_reserve(rc__ids *a, size_t more, rc_error *e);

rc_vocab *rc__vocab_new(rc_vocab_kind kind); /* NULL when out of memory */
rc_status rc__byte_init(rc_vocab *v, rc_error *e);
/* Copies the ids of special entries; RC_EMODEL when one does not exist, is empty, or comes
 * twice. */
rc_status rc__vocab_set_specials(rc_vocab *v, const int32_t *ids, size_t n, rc_error *e);

/* vocab_char.c */
rc_status rc__char_init(rc_vocab *v, rc_error *e);             /* no entry yet */
rc_status rc__char_add_unk(rc_vocab *v, rc_error *e);          /* <unk> is the next id */
rc_status rc__char_add(rc_vocab *v, uint32_t cp, rc_error *e); /* RC_EMODEL when it is there already */
rc_status rc__char_learn(rc_vocab *v, const char *text, size_t len, rc_error *e); /* adds what is missing, sorted */
rc_status rc__char_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *unknown, rc_error *e);
void rc__char_free(rc_vocab *v);

/* vocab_word.c */
rc_status rc__word_init(rc_vocab *v, rc_error *e); /* <unk>, <eos> */
rc_status rc__word_learn(rc_vocab *v, const char *text, size_t len, size_t max_size,
                         rc_error *e); /* by count, then bytes */
rc_status rc__word_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, size_t *unknown, rc_error *e);
#endif
