/* bpe.h - byte-level byte-pair encoding (Sennrich et al. 2016, on bytes as in GPT-2).
 *
 * Text is cut into pieces by a regular expression (GPT-2's unless another is given); inside a piece, bytes are merged
 * pair by pair in the order the merges were learned. */
#ifndef RC_BPE_H
#define RC_BPE_H
#include "data/vocab_internal.h"

extern const char *const rc__gpt2_pattern;

typedef struct rc__merge {
    int32_t left, right, result;
} rc__merge;

/* Empty but ready: pieces by pattern (NULL = GPT-2's). RC_EMODEL when the pattern does not compile. */
rc_status rc__bpe_new(rc__bpe **out, const char *pattern, rc_error *e);
void rc__bpe_free(rc__bpe *b);

/* Learns merges until the vocabulary has `size` entries or no pair is left. v is new and of kind RC_VOCAB_BPE. The same
 * entries and merges, in the same order, as Hugging Face's BpeTrainer with the byte-level alphabet. */
rc_status rc__bpe_train(rc_vocab *v, size_t size, const char *text, size_t len, rc_error *e);
/* Finds result = left + right, both entries there are, among the entries; -1 when it is none. */
rc_status rc__merge_result(const rc_vocab *v, rc__merge *m, rc__string *scratch, rc_error *e);
/* After v->entries was filled: takes the merges (copied; results are looked up) and checks that all fits together: 256
 * bytes there, each merge's left + right an entry, no pair twice. RC_EMODEL otherwise. */
rc_status rc__bpe_build(rc_vocab *v, const rc__merge *merges, size_t n, bool ignore_merges, rc_error *e);
rc_status rc__bpe_encode(const rc_vocab *v, const char *text, size_t len, rc__ids *out, rc_error *e);

const char *rc__bpe_pattern(const rc_vocab *v);
const rc__merge *rc__bpe_merges(const rc_vocab *v, size_t *n);
bool rc__bpe_ignores_merges(const rc_vocab *v);

/* GPT-2's printable code points for bytes: '!'..'~', 0xA1..0xAC and 0xAE..0xFF stand for themselves, the others are
 * U+0100 on, in order. */
uint32_t rc__byte_to_unicode(unsigned char byte);
int rc__unicode_to_byte(uint32_t cp); /* -1 when it stands for none */
/* The 256 bytes in the order of their code points above: the ids 0..255 of a trained vocabulary. */
void rc__byte_alphabet(unsigned char order[256]);
#endif
