/* vocab_json.h - what our JSON form and tokenizer.json share. */
#ifndef RC_VOCAB_JSON_H
#define RC_VOCAB_JSON_H
#include "base/json.h"
#include "data/bpe.h"
#include <jansson.h>

/* Puts "where: " in front of a message; returns s. */
rc_status rc__at(rc_status s, const char *where, rc_error *e);

/* Entry id as a JSON string: UTF-8 as it is, or bytes as GPT-2's printable characters. NULL: out of memory. */
json_t *rc__entry_to_json(const rc_vocab *v, size_t id, bool byte_level);
/* Adds a string as the next entry. RC_EMODEL when it is not byte-level text, or there already. scratch is reused. */
rc_status rc__entry_from_json(rc_vocab *v, const json_t *string, bool byte_level, rc__string *scratch, rc_error *e);

/* A vocabulary as member `key` of obj, both ways. RC_EMODEL names where and key. */
rc_status rc__vocab_put(const rc_vocab *v, json_t *obj, const char *key, rc_error *e);
rc_status rc__vocab_get(rc_vocab **out, const json_t *obj, const char *key, rc__json_need need, const char *where,
                        rc_error *e);
#endif
