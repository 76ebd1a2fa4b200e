/* fields.h - structs of options as JSON objects, both ways through one table of their fields. */
#ifndef RC_FIELDS_H
#define RC_FIELDS_H
#include "data/strtab.h"
#include "formats/safetensors.h"
#include "nn/encoder.h"
#include "nn/words.h"
#include "recur/model.h"
#include "recur/train.h"
#include <jansson.h>

#define RC__MAX_WIDTH  ((size_t)1 << 24)
#define RC__MAX_LAYERS 1000

typedef enum rc__field_kind {
    RC__FIELD_SIZE,        /* size_t, 0..RC__MAX_WIDTH */
    RC__FIELD_INT,         /* int, 1..RC__MAX_LAYERS */
    RC__FIELD_REAL,        /* double */
    RC__FIELD_PROBABILITY, /* double in [0, 1) */
    RC__FIELD_BOOL,
    RC__FIELD_NAME /* an enum (int), by the names of its values */
} rc__field_kind;

typedef struct rc__field {
    const char *key;
    rc__field_kind kind;
    size_t offset; /* in the struct */
    const char *const *names;
    int n_names;
} rc__field;

/* Sets the fields of the struct at base in obj. False: out of memory. */
bool rc__fields_put(const rc__field *f, size_t n, const void *base, json_t *obj);
/* Reads those that are there; absent ones stay. RC_EMODEL names where and key. */
rc_status rc__fields_get(const rc__field *f, size_t n, const json_t *obj, void *base, const char *where, rc_error *e);

/* A list of different names (labels, columns) as an array of strings. NULL: out of memory, or a name is not UTF-8. */
json_t *rc__names_to_json(const rc__strtab *t);
/* Adds those of obj's key, which must be at least `least`, to t. RC_EMODEL. */
rc_status rc__names_from_json(rc__strtab *t, const json_t *obj, const char *key, size_t least, const char *where,
                              rc_error *e);
/* Which of the n names obj's key is. RC_EMODEL. */
rc_status rc__choice_from_json(const json_t *obj, const char *key, const char *const *names, size_t n, size_t *out,
                               const char *where, rc_error *e);

/* Recurrent layers: "cell" and the fields of rc_rnn_options but input_size, in an object of their own or among others'
 * keys; those of a Transformer's blocks with cell transformer alone. */
#define RC__RNN_KEYS 32
size_t rc__rnn_keys(const char *keys[RC__RNN_KEYS]); /* all of them; returns how many */
extern const char *const rc__position_names[5], *const rc__ffn_names[3];
bool rc__rnn_put(const rc_rnn_options *o, json_t *obj);
/* *o: rc_rnn_options_default() or what absent keys are to mean. hidden_size is required. The cell's name is the static
 * one of the table of cells. */
rc_status rc__rnn_get(rc_rnn_options *o, const json_t *obj, const char *where, rc_error *e);

/* Encoders and words (nn/encoder.h, nn/words.h) as objects of their own; input_size and the numbers of entries are not in
 * them: they follow from what comes before. False, NULL: out of memory. */
json_t *rc__encoder_to_json(const rc__encoder_options *o);
rc_status rc__encoder_from_json(rc__encoder_options *o, const json_t *obj, const char *where, rc_error *e);
json_t *rc__words_to_json(const rc__words_options *o);
rc_status rc__words_from_json(rc__words_options *o, const json_t *obj, const char *where, rc_error *e);
/* "max+mean" and "3,4,5" as the options have them. RC_EINVAL. */
rc_status rc__pool_from_text(const char *text, unsigned *pool, rc_error *e);
rc_status rc__kernels_from_text(const char *text, rc__encoder_options *o, rc_error *e);

/* Refuses a description of layers that the file cannot hold, before anything is declared: a network takes memory for its
 * names and biases at once. Widths are single numbers that some tensor of the file has at least as many numbers as. */
rc_status rc__check_widths(const rc__st_file *file, size_t layers, const size_t *widths, size_t n, const char *where,
                           rc_error *e);

/* The same for an encoder with or without words before it. */
rc_status rc__check_encoder(const rc__st_file *file, const rc__encoder_options *eo, const rc__words_options *wo,
                            const char *where, rc_error *e);

/* From the training options: --encoder, with its layers or kernels and --pool ("" = max for cnn, mean for bow, rnn_pool);
 * --embedding, --chars, --affixes. */
rc_status rc__train_encoder_options(const rc_train_options *o, const char *rnn_pool, rc__encoder_options *x, rc_error *e);
void rc__train_words_options(const rc_train_options *o, rc__words_options *w);

/* How a data file is read, stored with a model. Texts of *o that came from JSON are allocated: rc__data_free. */
json_t *rc__data_to_json(const rc_data_options *o);
rc_status rc__data_from_json(rc_data_options *o, const json_t *obj, const char *where, rc_error *e);
rc_status rc__data_copy(rc_data_options *to, const rc_data_options *from, rc_error *e);
void rc__data_free(rc_data_options *o);
/* delimiter and header as the readers of tables take them. RC_EINVAL. */
struct rc__table_options;
rc_status rc__data_table_options(const rc_data_options *d, struct rc__table_options *out, rc_error *e);
/* --missing "a,b" beside the usual words, into *own, which out then points to. RC_EINVAL: too many. */
typedef struct rc__missing_words {
    const char *list[64];
    char text[512];
} rc__missing_words;
rc_status rc__data_missing(const rc_data_options *d, rc__missing_words *own, struct rc__table_options *out, rc_error *e);
/* What `over` says, and where it says nothing what `under` says; borrows from both. */
rc_data_options rc__data_merge(const rc_data_options *over, const rc_data_options *under);
#endif
