/* kv_tree.c - see kv_tree.h. */
#include "nn/kv_tree.h"
#include <string.h>
#include "base/mem.h"

struct rc__kv_tree {
    const rc__transformer *m;
    size_t L, KV, I, H, context, rows, sentences, longest, memory_rows;
    size_t *start; /* (sentences): first row of its memory */
    int32_t *length;
    rc_real *memory;  /* (L, 2, memory_rows, KV): keys, values */
    rc_real **node;   /* (L) blocks of (cap, 2 KV): key, value */
    size_t cap, used; /* nodes that there is room for; that were ever taken */
    uint32_t *spare;  /* (cap) nodes to take again */
    size_t spares;
    uint32_t *path[2]; /* (rows, deep): nodes of each hypothesis, oldest first; of the call before, and of this one */
    size_t deep, steps,
        before;         /* room of a path; steps so far: the length of every path; hypotheses of the call before */
    uint64_t *position; /* (rows) */
    rc_real *room;
    size_t room_len;
    const uint32_t *sentence; /* of the step now running */
};

static void path_of(const rc__kv_tree *x, size_t row, const uint32_t **nodes, size_t *n) {
    size_t all = x->steps + 1, seen = all < x->context ? all : x->context;
    *nodes = x->path[1] + row * x->deep + (all - seen);
    *n = seen;
}

static void own_rows(void *ctx, size_t layer, size_t row, rc_real **k, rc_real **v, rc__kv_rows *past) {
    const rc__kv_tree *x = ctx;
    const uint32_t *nodes;
    size_t n;
    path_of(x, row, &nodes, &n);
    *k = x->node[layer] + nodes[n - 1] * 2 * x->KV;
    *v = *k + x->KV;
    *past = (rc__kv_rows){
        .k = x->node[layer], .v = x->node[layer] + x->KV, .ld = 2 * x->KV, .index = nodes, .n = n, .newest = n - 1};
}

static void memory_rows(void *ctx, size_t layer, size_t row, rc__kv_rows *memory) {
    const rc__kv_tree *x = ctx;
    uint32_t s = x->sentence[row];
    const rc_real *k = x->memory + layer * 2 * x->memory_rows * x->KV + x->start[s] * x->KV;
    *memory = (rc__kv_rows){.k = k, .v = k + x->memory_rows * x->KV, .ld = x->KV, .n = (size_t)x->length[s]};
}

static rc_status take_memory(rc__kv_tree *x, const rc_real *memory, const int32_t *lengths, rc_error *e) {
    for (size_t b = 0; b < x->sentences; b++) {
        x->start[b] = x->memory_rows;
        x->length[b] = lengths[b];
        x->memory_rows += (size_t)lengths[b];
        if ((size_t)lengths[b] > x->longest) x->longest = (size_t)lengths[b];
    }
    size_t block = x->memory_rows * x->KV;
    x->memory = rc__calloc(x->L * 2 * block, sizeof *x->memory);
    if (!x->memory) return rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu sentences", x->sentences);
    rc_status s = RC_OK;
    for (size_t l = 0; l < x->L && s == RC_OK; l++) {
        rc_real *k = x->memory + l * 2 * block;
        s = rc__transformer_memory_kv(x->m, l, x->memory_rows, memory, k, k + block, e);
    }
    return s;
}

rc_status rc__kv_tree_new(rc__kv_tree **out, const rc__transformer *m, size_t rows, size_t n, const rc_real *memory,
                          const int32_t *lengths, rc_error *e) {
    const rc_rnn_options *o = rc__transformer_get_options(m);
    *out = NULL;
    rc__kv_tree *x = rc__calloc(1, sizeof *x);
    if (!x) return rc_fail(e, RC_ENOMEM, "decoding: out of memory");
    *x = (rc__kv_tree){.m = m,
                       .L = (size_t)o->num_layers,
                       .KV = rc__transformer_kv(m),
                       .I = o->input_size,
                       .H = o->hidden_size,
                       .context = o->context,
                       .rows = rows,
                       .sentences = n};
    x->start = rc__calloc(n, sizeof *x->start);
    x->length = rc__calloc(n, sizeof *x->length);
    x->node = rc__calloc(x->L, sizeof *x->node);
    x->position = rc__calloc(rows, sizeof *x->position);
    rc_status s = x->start && x->length && x->node && x->position
                      ? take_memory(x, memory, lengths, e)
                      : rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu hypotheses", rows);
    if (s != RC_OK) {
        rc__kv_tree_free(x);
        return s;
    }
    *out = x;
    return RC_OK;
}

static void drop_nodes(rc__kv_tree *x, rc_real **node, size_t cap) {
    for (size_t l = 0; node && l < x->L; l++) rc__free(node[l], cap * 2 * x->KV * sizeof **node);
    rc__free(node, x->L * sizeof *node);
}

void rc__kv_tree_free(rc__kv_tree *x) {
    if (!x) return;
    drop_nodes(x, x->node, x->cap);
    for (int i = 0; i < 2; i++) rc__free(x->path[i], x->rows * x->deep * sizeof *x->path[i]);
    rc__free(x->spare, x->cap * sizeof *x->spare);
    rc__free(x->memory, x->L * 2 * x->memory_rows * x->KV * sizeof *x->memory);
    rc__free(x->start, x->sentences * sizeof *x->start);
    rc__free(x->length, x->sentences * sizeof *x->length);
    rc__free(x->position, x->rows * sizeof *x->position);
    rc__free(x->room, x->room_len * sizeof *x->room);
    rc__free(x, sizeof *x);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static bool more_nodes(rc__kv_tree *x, size_t n) {
    size_t cap = 2 * x->cap > n ? 2 * x->cap : n, width = 2 * x->KV * sizeof **x->node, bytes;
    if (cap > UINT32_MAX || !rc__size_mul(cap, width, &bytes)) return false;
    rc_real **node = rc__calloc(x->L, sizeof *node);
    uint32_t *spare = rc__alloc(cap * sizeof *spare);
    bool ok = node && spare;
    for (size_t l = 0; ok && l < x->L; l++) ok = (node[l] = rc__alloc(bytes)) != NULL;
    if (!ok) {
        drop_nodes(x, node, cap);
        rc__free(spare, cap * sizeof *spare);
        return false;
    }
    for (size_t l = 0; l < x->L && x->cap; l++) memcpy(node[l], x->node[l], x->used * width);
    if (x->spares) memcpy(spare, x->spare, x->spares * sizeof *spare);
    drop_nodes(x, x->node, x->cap);
    rc__free(x->spare, x->cap * sizeof *spare);
    x->node = node;
    x->spare = spare;
    x->cap = cap;
    return true;
}

/* Nodes that no path of the call before, which those of this one continue, leads through. */
static bool collect(rc__kv_tree *x) {
    uint8_t *live = rc__calloc(x->used + 1, 1);
    if (!live) return false;
    for (size_t r = 0; r < x->before; r++) {
        size_t from = x->steps > x->context ? x->steps - x->context : 0;
        for (size_t i = from; i < x->steps; i++) live[x->path[0][r * x->deep + i]] = 1;
    }
    x->spares = 0;
    for (size_t i = x->used; i-- > 0;)
        if (!live[i]) x->spare[x->spares++] = (uint32_t)i;
    rc__free(live, x->used + 1);
    return true;
}

static bool deeper(rc__kv_tree *x) {
    size_t deep = x->deep ? 2 * x->deep : 32, bytes;
    if (!rc__size_mul(x->rows * sizeof *x->path[0], deep, &bytes)) return false;
    uint32_t *wide[2] = {rc__alloc(bytes), rc__alloc(bytes)};
    if (!wide[0] || !wide[1]) {
        rc__free(wide[0], bytes);
        rc__free(wide[1], bytes);
        return false;
    }
    for (size_t r = 0; x->deep && r < x->rows; r++)
        memcpy(wide[0] + r * deep, x->path[0] + r * x->deep, x->steps * sizeof *wide[0]);
    for (int i = 0; i < 2; i++) {
        rc__free(x->path[i], x->rows * x->deep * sizeof *wide[0]);
        x->path[i] = wide[i];
    }
    x->deep = deep;
    return true;
}

/* The paths of this step: the parent's, and a node of its own. */
static bool extend(rc__kv_tree *x, size_t n, const uint32_t *parent) {
    if (x->steps == x->deep && !deeper(x)) return false;
    if (x->spares + (x->cap - x->used) < n && x->steps && !collect(x)) return false;
    if (x->spares + (x->cap - x->used) < n && !more_nodes(x, x->used + n)) return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t *to = x->path[1] + i * x->deep;
        if (x->steps) memcpy(to, x->path[0] + parent[i] * x->deep, x->steps * sizeof *to);
        to[x->steps] = x->spares ? x->spare[--x->spares] : (uint32_t)x->used++;
    }
    return true;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

rc_status rc__kv_tree_step(rc__kv_tree *x, size_t n, const uint32_t *sentence, const uint32_t *parent,
                           const rc_real *in, rc_real *y, rc_real *weights, size_t stride, rc_error *e) {
    size_t own = x->steps + 1 < x->context ? x->steps + 1 : x->context, most = own > x->longest ? own : x->longest;
    size_t need = rc__transformer_step_room(x->m, x->rows, most);
    if (need > x->room_len) {
        need = rc__transformer_step_room(x->m, x->rows, 2 * most);
        rc__free(x->room, x->room_len * sizeof *x->room);
        x->room = rc__alloc(need * sizeof *x->room);
        x->room_len = x->room ? need : 0;
    }
    if (!x->room || !extend(x, n, parent))
        return rc_fail(e, RC_ENOMEM, "decoding: out of memory for %zu hypotheses", n);
    x->sentence = sentence;
    for (size_t i = 0; i < n; i++) x->position[i] = x->steps;
    rc__transformer_step s = {.rows = n,
                              .x = in,
                              .y = y,
                              .position = x->position,
                              .room = x->room,
                              .weights = weights,
                              .stride = stride,
                              .store = {.ctx = x, .self = own_rows, .memory = memory_rows}};
    rc_status status = rc__transformer_step_run(x->m, &s, most, e);
    if (status != RC_OK) return status;
    uint32_t *swap = x->path[0];
    x->path[0] = x->path[1];
    x->path[1] = swap;
    x->steps++;
    x->before = n;
    return RC_OK;
}
