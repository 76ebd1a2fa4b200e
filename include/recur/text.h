/* recur/text.h - reading text, vocabularies and tokenizers, sampling.
 */
#ifndef RECUR_TEXT_H
#define RECUR_TEXT_H

#include "recur/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reading ----------------------------------------------------------------------------------------------------- */
/* Reads one file whole; gzip is recognised by its magic; "-" is standard input. *data ends in an uncounted NUL and is
 * freed with rc_text_free. A directory, an unreadable or an empty file, a truncated gzip: RC_EIO / RC_EDATA by name. */
rc_status rc_text_read(const char *path, char **data, size_t *len, rc_error *e);
void rc_text_free(char *data, size_t len);
/* RC_EDATA when text is not UTF-8: begins with the file's name ("-" is called standard input) and tells line, byte of
 * the line and offset of the first bad sequence. Byte and bpe vocabularies encode other bytes too. */
rc_status rc_text_check_utf8(const char *path, const char *text, size_t len, rc_error *e);

/* ---- tokenizers -------------------------------------------------------------------------------------------------- */
typedef enum rc_vocab_kind { RC_VOCAB_BYTE, RC_VOCAB_CHAR, RC_VOCAB_WORD, RC_VOCAB_BPE } rc_vocab_kind;

typedef struct rc_vocab rc_vocab;

/* spec: "byte", "char", "word", "word:N" (at most N entries, the most frequent), "bpe:N" (at most N entries, 256 or
 * more). Trained on text (UTF-8; RC_EDATA names the line and byte of the first invalid sequence, except for byte).
 *  byte  256 entries, any input.
 *  char  one entry per code point seen, sorted, and <unk> (id 0, shown as U+FFFD) for others.
 *  word  white-space separated tokens, for text that is already tokenised: <unk> (0), <eos> (1, a newline), then the
 *        words by count. A literal <unk> in the text is that entry, and not counted as unknown.
 *  bpe   byte-level BPE (Sennrich et al. 2016 on bytes as in GPT-2): no unknown exists. The same text gives the
 *        entries and merges of Hugging Face's BpeTrainer. Encodes any bytes, UTF-8 or not. */
rc_status rc_vocab_train(rc_vocab **out, const char *spec, const char *text, size_t len, rc_error *e);
void rc_vocab_free(rc_vocab *v);
rc_vocab_kind rc_vocab_get_kind(const rc_vocab *v);
const char *rc_vocab_kind_name(rc_vocab_kind k);
size_t rc_vocab_size(const rc_vocab *v);
int32_t rc_vocab_unk(const rc_vocab *v); /* -1 when there is none */
int32_t rc_vocab_eos(const rc_vocab *v); /* word: the newline's id; else -1 */
/* The bytes entry id stands for when text is put together again ("\n" for <eos>); its length in *len; not NUL-safe. */
const char *rc_vocab_entry(const rc_vocab *v, int32_t id, size_t *len);
/* Text to ids (allocated; rc_ids_free). *unknown (may be NULL) counts ids that became <unk>. */
rc_status rc_vocab_encode(const rc_vocab *v, const char *text, size_t len, int32_t **ids, size_t *n, size_t *unknown,
                          rc_error *e);
void rc_ids_free(int32_t *ids, size_t n);
/* Ids to text (allocated, NUL-terminated; rc_text_free). The text that was encoded, byte for byte, where nothing was
 * unknown; word puts single spaces between tokens and none beside a newline. */
rc_status rc_vocab_decode(const rc_vocab *v, const int32_t *ids, size_t n, char **text, size_t *len, rc_error *e);
/* Adds to a char or word vocabulary the entries of text it lacks, at the end; *added tells how many. RC_EINVAL for
 * others (nothing to add there). */
rc_status rc_vocab_grow(rc_vocab *v, const char *text, size_t len, size_t *added, rc_error *e);
/* Our JSON form (inside model files) and Hugging Face's tokenizer.json (docs/tokenizers.md: what can be read and
 * written). Strings are allocated (rc_text_free). Reading trusts nothing: RC_EMODEL starts with `where` and names the
 * field; from_hf refuses what none of our vocabularies does exactly. */
rc_status rc_vocab_to_json(const rc_vocab *v, char **json, size_t *len, rc_error *e);
rc_status rc_vocab_from_json(rc_vocab **out, const char *json, size_t len, const char *where, rc_error *e);
rc_status rc_vocab_to_hf(const rc_vocab *v, char **json, size_t *len, rc_error *e);
rc_status rc_vocab_from_hf(rc_vocab **out, const char *json, size_t len, const char *where, rc_error *e);

/* ---- sampling ---------------------------------------------------------------------------------------------------- */
typedef struct rc_sampler_options {
    double temperature;        /* 0 = greedy; default 0.8 */
    size_t top_k;              /* 0 = off */
    double top_p;              /* 1 = off (Holtzman et al. 2020) */
    double min_p;              /* 0 = off: keep p >= min_p * p_max */
    double repetition_penalty; /* 1 = off (Keskar et al. 2019): divides logits of recent tokens, multiplies those < 0 */
    size_t repetition_window;  /* tokens looked back at, at most 2048; default 64 */
    bool no_unk;               /* never draw <unk>; default true */
} rc_sampler_options;
rc_sampler_options rc_sampler_options_default(void);
/* Draws an id from logits (n), which it may overwrite. recent (n_recent): last tokens, for the penalty. Order: penalty,
 * temperature, top-k, top-p, min-p. unk -1 = none. Linear in n, allocates nothing; takes one random number, none when
 * greedy. NaN counts as -inf; if no logit is usable, the first id that is not unk. Ties keep the lowest ids. */
int32_t rc_sample(const rc_sampler_options *o, rc_real *logits, size_t n, int32_t unk, const int32_t *recent,
                  size_t n_recent, rc_rng *rng);

#ifdef __cplusplus
}
#endif
#endif
