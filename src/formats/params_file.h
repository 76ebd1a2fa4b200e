/* params_file.h - parameters and the blocks laid out like them (moments, averages) as named tensors. */
#ifndef RC_PARAMS_FILE_H
#define RC_PARAMS_FILE_H
#include "formats/safetensors.h"
#include "recur/tape.h"

/* Appends one tensor per parameter, called <prefix><parameter>, to a list for rc__st_write. block: NULL = the values,
 * else a block of rc_params_block_len elements (a moment, an average), borrowed until the file is written. */
rc_status rc__params_list(rc__st_list *l, const rc_params *ps, const rc_real *block, const char *prefix, rc_error *e);

/* Fills block (NULL = the values, then rc_params_changed) from the tensors <prefix><parameter>. All is checked before
 * the first element is written: a missing tensor, a wrong shape or type, or a tensor whose name starts with prefix
 * (NULL, "" = all) and belongs to no parameter is RC_EMODEL naming file, tensor, expected and found. `other`: n_other
 * prefixes of tensors that are someone else's. Values must be finite. Only such a value, or a failing disk, can leave
 * the block half filled. */
rc_status rc__params_read(const rc__st_file *f, rc_params *ps, rc_real *block, const char *prefix,
                          const char *const *other, size_t n_other, rc_error *e);
#endif
