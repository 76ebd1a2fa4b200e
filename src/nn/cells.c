/* cells.c - the table of cells: each description stands in its cell's file. */
#include <string.h>
#include "kernels/cell.h"
#include "recur/rnn.h"

#define RC_CELL_INFO
const rc__cell_entry rc__cells[RC_CELL_COUNT] = {
#include "kernels/cells.inc"
};
#undef RC_CELL_INFO

static rc_cell_info infos[RC_CELL_COUNT];

__attribute__((constructor)) static void fill_infos(void) {
    for (int i = 0; i < RC_CELL_COUNT; i++) {
        const rc__cell_entry *c = &rc__cells[i];
        infos[i] = (rc_cell_info){c->name, c->text, c->gates, c->has_c, c->projects, !rc__cell_scans(c)};
    }
}

size_t rc_cell_count(void) { return RC_CELL_COUNT; }

const rc_cell_info *rc_cell_at(size_t i) { return i < RC_CELL_COUNT ? &infos[i] : NULL; }

const rc_cell_info *rc_cell_find(const char *name) {
    for (size_t i = 0; name && i < RC_CELL_COUNT; i++)
        if (!strcmp(infos[i].name, name)) return &infos[i];
    return NULL;
}
