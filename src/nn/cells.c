/* cells.c - the table of cells: each description stands in its cell's file. */
#include <string.h>
#include "kernels/cell.h"
#include "recur/rnn.h"

#define RC_CELL_INFO
const rc__cell_entry rc__cells[RC_CELL_COUNT] = {
#include "kernels/cells.inc"
};
#undef RC_CELL_INFO

/* The cells, then what takes their place without being one: nn/transformer.c. */
#define COUNT (RC_CELL_COUNT + 1)
static rc_cell_info infos[COUNT];

__attribute__((constructor)) static void fill_infos(void) {
    for (int i = 0; i < RC_CELL_COUNT; i++) {
        const rc__cell_entry *c = &rc__cells[i];
        infos[i] = (rc_cell_info){c->name, c->text, c->gates, c->has_c, c->projects, !rc__cell_scans(c), true};
    }
    infos[RC_CELL_COUNT] = (rc_cell_info){
        .name = "transformer",
        .text = "blocks of self-attention over the last steps and a feed-forward network (Vaswani et al. 2017), pre-norm"};
}

size_t rc_cell_count(void) { return COUNT; }

const rc_cell_info *rc_cell_at(size_t i) { return i < COUNT ? &infos[i] : NULL; }

const rc_cell_info *rc_cell_find(const char *name) {
    for (size_t i = 0; name && i < COUNT; i++)
        if (!strcmp(infos[i].name, name)) return &infos[i];
    return NULL;
}
