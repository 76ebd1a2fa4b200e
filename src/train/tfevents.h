/* tfevents.h - event files that TensorBoard opens: TFRecord frames around protocol-buffer messages. */
#ifndef RC_TFEVENTS_H
#define RC_TFEVENTS_H
#include "recur/base.h"

typedef struct rc__tfevents rc__tfevents;

/* Creates <dir>/events.out.tfevents.<seconds>.<host>.<pid> with the version record. first_step > 0 also notes that the
 * run starts again there: TensorBoard then hides what earlier files have from that step on. */
rc_status rc__tfevents_open(rc__tfevents **out, const char *dir, double wall_time, uint64_t first_step, rc_error *e);
/* Adds to a buffer; nothing fails before the flush. A buffer that cannot grow drops the value and the flush tells. */
void rc__tfevents_scalar(rc__tfevents *w, double wall_time, uint64_t step, const char *tag, double value);
void rc__tfevents_text(rc__tfevents *w, double wall_time, uint64_t step, const char *tag, const char *text, size_t len);
/* Writes whole records or nothing: after a failure (disk full) the file ends where it did before. */
rc_status rc__tfevents_flush(rc__tfevents *w, rc_error *e);
void rc__tfevents_close(rc__tfevents *w); /* drops what was not flushed */
const char *rc__tfevents_path(const rc__tfevents *w);

uint32_t rc__crc32c(const void *data, size_t len);        /* Castagnoli, reflected 0x82F63B78 */
uint32_t rc__crc32c_masked(const void *data, size_t len); /* as TFRecord stores it */
#endif
