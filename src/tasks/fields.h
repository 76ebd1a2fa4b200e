/* fields.h - structs of options as JSON objects, both ways through one table of their fields. */
#ifndef RC_FIELDS_H
#define RC_FIELDS_H
#include "recur/rnn.h"
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

/* Recurrent layers: "cell" and the fields of rc_rnn_options but input_size, in an object of their own or among others'
 * keys. */
extern const rc__field rc__rnn_fields[];
extern const size_t rc__rnn_n_fields;
bool rc__rnn_put(const rc_rnn_options *o, json_t *obj);
/* *o: rc_rnn_options_default() or what absent keys are to mean. hidden_size is required. The cell's name is the static
 * one of the table of cells. */
rc_status rc__rnn_get(rc_rnn_options *o, const json_t *obj, const char *where, rc_error *e);
#endif
