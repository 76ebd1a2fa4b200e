/* rnn.c - stacks of recurrent layers: options, parameters, packed copies of them, forward on a tape, single steps. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "nn/rnn_internal.h"
#include "nn/transformer.h"

#define MAX_WIDTH RC__MAX_LAYER_WIDTH

/* What the rest of this file asks of a cell, of one that is none: a stack of blocks. */
static const rc__cell_entry transformer_cell = {.name = "transformer", .id = RC_CELL_COUNT};

rc_rnn_options rc_rnn_options_default(void) {
    return (rc_rnn_options){.cell = "lstm", .num_layers = 1, .depth = 3, .init_ih = RC_INIT_XAVIER_UNIFORM,
                            .init_hh = RC_INIT_ORTHOGONAL, .forget_bias = 1};
}

static const rc__cell_entry *cell_by_name(const char *name) {
    for (int i = 0; name && i < RC_CELL_COUNT; i++)
        if (!strcmp(rc__cells[i].name, name)) return &rc__cells[i];
    return NULL;
}

static rc_status check_probability(const char *what, double p, rc_error *e) {
    if (p >= 0 && p < 1) return RC_OK; /* NaN fails too */
    return rc_fail(e, RC_EINVAL, "rnn: %s is %g, expected a probability in [0, 1)", what, p);
}

/* What only blocks of attention have. */
static const char *of_blocks(const rc_rnn_options *o) {
    rc_rnn_options d = rc_rnn_options_default();
    return o->heads                     ? "heads"
           : o->kv_heads                ? "kv_heads"
           : o->ffn                     ? "ffn"
           : o->context                 ? "context"
           : o->positions != d.positions ? "positions"
           : o->post_norm               ? "post_norm"
           : o->rms_norm                ? "rms_norm"
           : o->ffn_kind != d.ffn_kind  ? "ffn_kind"
           : o->attention_dropout != 0  ? "attention_dropout"
                                        : NULL;
}

static rc_status check_options(const rc_rnn_options *o, const rc__cell_entry **cell, rc_error *e) {
    *cell = cell_by_name(o->cell);
    if (!*cell) return rc_fail(e, RC_EINVAL, "rnn: unknown cell \"%s\"", o->cell ? o->cell : "(null)");
    if (!o->input_size || o->input_size > MAX_WIDTH)
        return rc_fail(e, RC_EINVAL, "rnn: input_size is %zu, expected 1 to %zu", o->input_size, MAX_WIDTH);
    if (!o->hidden_size || o->hidden_size > MAX_WIDTH)
        return rc_fail(e, RC_EINVAL, "rnn: hidden_size is %zu, expected 1 to %zu", o->hidden_size, MAX_WIDTH);
    if (o->num_layers < 1 || o->num_layers > 1000)
        return rc_fail(e, RC_EINVAL, "rnn: num_layers is %d, expected 1 to 1000", o->num_layers);
    if (o->proj_size && !(*cell)->projects)
        return rc_fail(e, RC_EINVAL, "rnn: proj_size is %zu, but cell %s has no projection", o->proj_size, o->cell);
    if (o->proj_size > o->hidden_size)
        return rc_fail(e, RC_EINVAL, "rnn: proj_size is %zu, expected at most hidden_size %zu", o->proj_size,
                       o->hidden_size);
    if ((*cell)->id == RC_CELL_rhn && (o->depth < 1 || o->depth > RC_MAX_STAGES))
        return rc_fail(e, RC_EINVAL, "rnn: depth is %d, expected 1 to %d", o->depth, RC_MAX_STAGES);
    if (o->decay_every && !(*cell)->decay)
        return rc_fail(e, RC_EINVAL, "rnn: decay_every is %zu, but cell %s has no decay", o->decay_every, o->cell);
    if (o->decay_every && o->input_size % o->decay_every)
        return rc_fail(e, RC_EINVAL, "rnn: decay_every is %zu, which does not divide input_size %zu", o->decay_every,
                       o->input_size);
    if (o->zoneout_c > 0 && !(*cell)->has_c)
        return rc_fail(e, RC_EINVAL, "rnn: zoneout_c is %g, but cell %s has no cell state", o->zoneout_c, o->cell);
    if (o->bidirectional && o->reverse)
        return rc_fail(e, RC_EINVAL, "rnn: bidirectional and reverse exclude each other");
    if (o->skip < RC_SKIP_NONE || o->skip > RC_SKIP_HIGHWAY)
        return rc_fail(e, RC_EINVAL, "rnn: unknown skip %d", (int)o->skip);
    if (of_blocks(o))
        return rc_fail(e, RC_EINVAL, "rnn: %s is for cell transformer, the cell is %s", of_blocks(o), o->cell);
    if (!isfinite(o->forget_bias)) return rc_fail(e, RC_EINVAL, "rnn: forget_bias is %g", o->forget_bias);
    rc_status s = check_probability("dropout", o->dropout, e);
    if (!s) s = check_probability("recurrent_dropout", o->recurrent_dropout, e);
    if (!s) s = check_probability("zoneout_h", o->zoneout_h, e);
    if (!s) s = check_probability("zoneout_c", o->zoneout_c, e);
    if (!s) s = check_probability("weight_drop", o->weight_drop, e);
    return s;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

typedef struct namer { /* makes "<prefix>weight_ih_l0_reverse" */
    const char *prefix;
    size_t layer, dir;
    char text[256];
} namer;

static const char *name_of(namer *n, const char *what) {
    snprintf(n->text, sizeof n->text, "%s%s_l%zu%s", n->prefix, what, n->layer, n->dir ? "_reverse" : "");
    return n->text;
}

static rc_param *add_param(rc_params *ps, namer *n, const char *what, size_t rows, size_t cols, rc_init init,
                           rc_error *e) {
    size_t dims[2] = {rows, cols};
    rc_param *p = rc_params_add(ps, name_of(n, what), cols ? 2 : 1, dims, init, e);
    if (p && !cols) p->no_decay = true;
    return p;
}

static rc_init torch_init(size_t H) { return (rc_init){.kind = RC_INIT_UNIFORM, .value = 1.0 / sqrt((double)H)}; }

static rc_status dir_params(rc_rnn *r, rc__dir *d, rc_params *ps, namer *n, rc_error *e) {
    const rc_rnn_options *o = &r->opt;
    const rc__cell_entry *c = r->cell;
    size_t H = r->H, P = r->P, rows = 0;
    d->sees_x = c->sees_x && d->I == H;
    d->G = (size_t)c->gates + (c->sees_x && !d->sees_x ? 1 : 0);
    d->max_k = P;
    for (size_t s = 0; s < r->stages; s++) {
        const rc__stage *st = &c->stage[c->id == RC_CELL_rhn && s > 1 ? 1 : s]; /* its second describes those after */
        d->kind[s] = st->kind;
        d->col[s] = (size_t)st->first;
        if (st->kind == RC_STAGE_NONE) continue;
        d->N[s] = st->kind == RC_STAGE_PROJECT ? P : (size_t)st->gates * H;
        d->K[s] = s ? H : P;
        if (st->kind != RC_STAGE_PROJECT) {
            d->row[s] = rows;
            d->A += (size_t)st->aside * H;
            rows += d->N[s] + (size_t)st->aside * H;
        }
        if (st->kind != RC_STAGE_ADD && d->N[s] > d->max_n) d->max_n = d->N[s];
        if (d->K[s] > d->max_k) d->max_k = d->K[s];
    }
    d->GH = d->G * H;
    d->W = d->GH + d->A;
    rc_init ih = {.kind = o->init_ih, .value = 1.0 / sqrt((double)H), .blocks = d->G};
    rc_init hh = {.kind = o->init_hh, .value = 1.0 / sqrt((double)H), .blocks = rows / H};
    rc_init bias = {.kind = RC_INIT_ZEROS};
    if (o->init_torch) ih = hh = bias = torch_init(H);
    if (d->every) ih.blocks = d->G, ih.thin_block = 1 + (size_t)c->decay, ih.thin_every = d->every;
    if (!(d->w_ih = add_param(ps, n, "weight_ih", d->GH, d->I, ih, e))) return e ? e->code : RC_ENOMEM;
    if (rows && !(d->w_hh = add_param(ps, n, "weight_hh", rows, P, hh, e))) return e ? e->code : RC_ENOMEM;
    if (!o->no_bias && !c->own_bias) {
        if (!(d->b_ih = add_param(ps, n, "bias_ih", d->GH, 0, bias, e))) return e ? e->code : RC_ENOMEM;
        if (rows && !(d->b_hh = add_param(ps, n, "bias_hh", rows, 0, bias, e))) return e ? e->code : RC_ENOMEM;
    }
    if (c->projects) {
        rc_init hr = o->init_torch ? torch_init(H) : (rc_init){.kind = RC_INIT_XAVIER_UNIFORM};
        if (!(d->w_hr = add_param(ps, n, "weight_hr", P, H, hr, e))) return e ? e->code : RC_ENOMEM;
    }
    for (size_t v = 0; v < RC_MAX_VECS && c->vec[v].name; v++) {
        const rc__vec *vec = &c->vec[v];
        rc_init init = {.kind = vec->spread ? RC_INIT_UNIFORM : RC_INIT_CONSTANT, .value = (double)vec->init};
        if (!(d->vec[v] = add_param(ps, n, vec->name, (size_t)vec->blocks * H, 0, init, e)))
            return e ? e->code : RC_ENOMEM;
        d->vecs_len += (size_t)vec->blocks * H;
    }
    d->bias = d->b_ih ? rc__alloc(d->W * sizeof *d->bias) : NULL;
    d->vecs = d->vecs_len ? rc__alloc(d->vecs_len * sizeof *d->vecs) : NULL;
    if ((d->b_ih && !d->bias) || (d->vecs_len && !d->vecs)) return rc_fail(e, RC_ENOMEM, "rnn: out of memory");
    /* The forget gate starts open (Gers et al. 2000; Jozefowicz et al. 2015): its block of bias_ih. */
    rc_param *forget = c->own_bias ? d->vec[RC_MAX_VECS - 1] : d->b_ih; /* lstm-layernorm: the last of five */
    if (forget && c->forget_gate >= 0 && !o->init_torch)
        forget->init = (rc_init){.kind = RC_INIT_CONSTANT, .value = o->forget_bias, .blocks = d->G,
                                 .only_block = 1 + (size_t)c->forget_gate};
    return RC_OK;
}

static rc_status gate_params(rc_rnn *r, size_t l, rc_params *ps, namer *n, rc_error *e) {
    if (r->opt.skip != RC_SKIP_HIGHWAY || l == 0) return RC_OK;
    size_t width = r->D * r->P;
    n->dir = 0;
    rc_init w = {.kind = RC_INIT_XAVIER_UNIFORM}, b = {.kind = RC_INIT_CONSTANT, .value = 1};
    r->gate_w[l] = add_param(ps, n, "weight_gate", width, width, w, e);
    r->gate_b[l] = r->gate_w[l] ? add_param(ps, n, "bias_gate", width, 0, b, e) : NULL;
    return r->gate_b[l] ? RC_OK : e ? e->code : RC_ENOMEM;
}

static rc_status blocks_new(rc_rnn **out, rc_params *ps, const char *prefix, const rc_rnn_options *opt, rc_error *e) {
    rc_rnn *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "rnn: out of memory");
    pthread_mutex_init(&r->lock, NULL);
    rc_status s = rc__transformer_new(&r->blocks, ps, prefix, opt, 0, e);
    if (s != RC_OK) {
        rc_rnn_free(r);
        return s;
    }
    r->opt = *rc__transformer_get_options(r->blocks);
    r->opt.cell = transformer_cell.name;
    r->cell = &transformer_cell;
    r->ps = ps;
    r->H = opt->hidden_size;
    r->P = rc__transformer_state_width(r->blocks);
    r->L = (size_t)opt->num_layers;
    r->D = 1;
    *out = r;
    return RC_OK;
}

rc_status rc_rnn_new(rc_rnn **out, rc_params *ps, const char *prefix, const rc_rnn_options *opt, rc_error *e) {
    *out = NULL;
    if (opt->cell && !strcmp(opt->cell, transformer_cell.name)) return blocks_new(out, ps, prefix, opt, e);
    const rc__cell_entry *cell;
    rc_status s = check_options(opt, &cell, e);
    if (s) return s;
    rc_rnn *r = rc__calloc(1, sizeof *r);
    if (!r) return rc_fail(e, RC_ENOMEM, "rnn: out of memory");
    pthread_mutex_init(&r->lock, NULL);
    rc_error why = {0};
    r->opt = *opt;
    r->opt.cell = cell->name;
    r->cell = cell;
    r->ps = ps;
    r->H = opt->hidden_size;
    r->P = !cell->projects ? r->H : opt->proj_size ? opt->proj_size : (r->H + 1) / 2;
    r->opt.proj_size = cell->projects ? r->P : 0;
    r->L = (size_t)opt->num_layers;
    r->D = opt->bidirectional ? 2 : 1;
    r->stages = cell->id == RC_CELL_rhn ? (size_t)opt->depth : (size_t)cell->stages;
    r->save_width =
        (size_t)(cell->save + cell->save_per_stage * (int)(r->stages - 1)) * r->H + (size_t)cell->save_scalars;
    r->dirs = rc__calloc(r->L * r->D, sizeof *r->dirs);
    r->gate_w = rc__calloc(r->L, sizeof *r->gate_w);
    r->gate_b = rc__calloc(r->L, sizeof *r->gate_b);
    if (!r->dirs || !r->gate_w || !r->gate_b) s = rc_fail(&why, RC_ENOMEM, "rnn: out of memory");
    namer n = {.prefix = prefix ? prefix : ""};
    for (size_t l = 0; !s && l < r->L; l++) {
        n.layer = l;
        for (size_t d = 0; !s && d < r->D; d++) {
            rc__dir *dir = rc__rnn_dir(r, l, d);
            n.dir = d;
            dir->I = l ? r->D * r->P : opt->input_size;
            dir->every = l ? 0 : opt->decay_every;
            s = dir_params(r, dir, ps, &n, &why);
        }
        if (!s) s = gate_params(r, l, ps, &n, &why);
    }
    if (!s && opt->weight_drop > 0 && rc__dir_drop_len(r->dirs) == 0)
        s = rc_fail(&why, RC_EINVAL, "rnn: weight_drop is %g, but cell %s has no recurrent weights", opt->weight_drop,
                    cell->name);
    if (!s && opt->learn_initial_state) {
        char text[256];
        size_t h_dims[2] = {r->L * r->D, r->P}, c_dims[2] = {r->L * r->D, r->H};
        rc_init zero = {.kind = RC_INIT_ZEROS};
        snprintf(text, sizeof text, "%sinitial_h", n.prefix);
        if (!(r->h0 = rc_params_add(ps, text, 2, h_dims, zero, &why))) s = why.code;
        snprintf(text, sizeof text, "%sinitial_c", n.prefix);
        if (!s && cell->has_c && !(r->c0 = rc_params_add(ps, text, 2, c_dims, zero, &why))) s = why.code;
        if (r->h0) r->h0->no_decay = true;
        if (r->c0) r->c0->no_decay = true;
    }
    if (s) {
        rc_rnn_free(r);
        return rc_fail(e, s, "%s", why.text);
    }
    *out = r;
    return RC_OK;
}

void rc_rnn_free(rc_rnn *r) {
    if (!r) return;
    for (size_t i = 0; r->dirs && i < r->L * r->D; i++) {
        rc__dir *d = &r->dirs[i];
        rc__packed_free(&d->ih);
        rc__packed_free(&d->ih_back);
        rc__packed_free(&d->aside);
        rc__packed_free(&d->aside_back);
        rc__packed_free(&d->gate);
        for (size_t s = 0; s < RC_MAX_STAGES; s++) {
            rc__packed_free(&d->hh[s]);
            rc__packed_free(&d->hh_back[s]);
        }
        rc__free(d->bias, d->W * sizeof *d->bias);
        rc__free(d->vecs, d->vecs_len * sizeof *d->vecs);
    }
    rc__free(r->dirs, r->dirs ? r->L * r->D * sizeof *r->dirs : 0);
    rc__free(r->gate_w, r->gate_w ? r->L * sizeof *r->gate_w : 0);
    rc__free(r->gate_b, r->gate_b ? r->L * sizeof *r->gate_b : 0);
    rc__transformer_free(r->blocks);
    pthread_mutex_destroy(&r->lock);
    rc__free(r, sizeof *r);
}

const rc_rnn_options *rc_rnn_get_options(const rc_rnn *r) { return &r->opt; }
size_t rc_rnn_output_size(const rc_rnn *r) { return r->blocks ? r->H : r->D * r->P; }
size_t rc_rnn_state_size(const rc_rnn *r) { return r->P; }

/* ---- copies of the parameters ------------------------------------------------------------------------------------ */

size_t rc__dir_drop_len(const rc__dir *d) {
    if (d->w_hh) return d->w_hh->len;
    return d->kind[0] == RC_STAGE_NONE ? d->vecs_len : 0; /* a scan cell: there is no weight_hh */
}

typedef struct pack_job {
    rc__packed *to;
    const rc_real *from;
    size_t ld;
    bool trans;
} pack_job;

typedef struct pack_list {
    rc__panel_format format;
    pack_job job[16];
    size_t n;
} pack_list;

static void pack_task(void *ctx, size_t task, int worker) {
    (void)worker;
    const pack_job *j = &((const pack_list *)ctx)->job[task];
    rc__packed_set(j->to, j->from, j->ld, j->trans);
}

static void pack_flush(pack_list *l) {
    double work = 0;
    for (size_t i = 0; i < l->n; i++) work += 4.0 * (double)(l->job[i].to->K * l->job[i].to->N);
    rc__parallel(l->n, work, pack_task, l);
    l->n = 0;
}

static rc_status pack_add(pack_list *l, rc__packed *to, size_t K, size_t N, const rc_real *from, size_t ld, bool trans,
                          rc_error *e) {
    rc_status s = rc__packed_ready(to, l->format, K, N, e);
    if (s) return s;
    l->job[l->n++] = (pack_job){to, from, ld, trans};
    if (l->n == sizeof l->job / sizeof *l->job) pack_flush(l);
    return RC_OK;
}

static rc__panel_format format_of(const rc_rnn *r) { return rc__format_of(rc_params_get_precision(r->ps)); }

static rc_status dir_pack(const rc_rnn *r, rc__dir *d, bool backward, const rc_real *w_hh, pack_list *l, rc_error *e) {
    rc_status s = backward ? pack_add(l, &d->ih_back, d->GH, d->I, d->w_ih->w, d->I, false, e)
                           : pack_add(l, &d->ih, d->I, d->GH, d->w_ih->w, d->I, true, e);
    for (size_t i = 0; !s && i < r->stages; i++) {
        if (d->kind[i] == RC_STAGE_NONE) continue;
        size_t N = d->N[i], K = d->K[i];
        const rc_real *w = d->kind[i] == RC_STAGE_PROJECT ? d->w_hr->w : w_hh + d->row[i] * K;
        s = backward ? pack_add(l, &d->hh_back[i], N, K, w, K, false, e) : pack_add(l, &d->hh[i], K, N, w, K, true, e);
    }
    if (!s && d->A) {
        const rc_real *w = w_hh + d->N[0] * r->P;
        s = backward ? pack_add(l, &d->aside_back, d->A, r->P, w, r->P, false, e)
                     : pack_add(l, &d->aside, r->P, d->A, w, r->P, true, e);
    }
    rc_param *gate = r->D == 1 ? r->gate_w[d - r->dirs] : NULL;
    if (!s && gate && !backward) s = pack_add(l, &d->gate, r->P, r->P, gate->w, r->P, true, e);
    return s;
}

static void dir_vectors(const rc_rnn *r, rc__dir *d) {
    size_t H = r->H;
    if (d->bias) memcpy(d->bias, d->b_ih->w, d->GH * sizeof *d->bias);
    if (d->bias && d->A) memcpy(d->bias + d->GH, d->b_hh->w + d->N[0], d->A * sizeof *d->bias);
    for (size_t i = 0; d->b_hh && i < r->stages; i++)
        if (d->kind[i] == RC_STAGE_ADD) rc__k->pw.axpy(d->N[i], 1, d->b_hh->w + d->row[i], d->bias + d->col[i] * H);
    rc_real *to = d->vecs;
    for (size_t v = 0; v < RC_MAX_VECS && d->vec[v]; v++) {
        memcpy(to, d->vec[v]->w, d->vec[v]->len * sizeof *to);
        to += d->vec[v]->len;
    }
}

/* weight_hh (or the recurrent vectors) times the mask. */
static void apply_drop(const rc__dir *d, const rc_real *mask, rc_real *to) {
    if (d->w_hh) {
        rc__k->pw.mul(d->w_hh->len, d->w_hh->w, mask, to);
        return;
    }
    for (size_t v = 0; v < RC_MAX_VECS && d->vec[v]; v++) {
        rc__k->pw.mul(d->vec[v]->len, d->vec[v]->w, mask, to);
        to += d->vec[v]->len;
        mask += d->vec[v]->len;
    }
}

static bool current(const rc_rnn *r, bool backward, uint64_t version) {
    for (size_t i = 0; i < r->L * r->D; i++) {
        const rc__dir *d = &r->dirs[i];
        if (__atomic_load_n(&d->version, __ATOMIC_ACQUIRE) != version) return false;
        if (backward && __atomic_load_n(&d->version_back, __ATOMIC_ACQUIRE) != version) return false;
    }
    return true;
}

rc_status rc__rnn_prepare(const rc_rnn *rnn, bool backward, rc__drop *drop, rc_error *e) {
    rc_rnn *r = (rc_rnn *)(uintptr_t)rnn; /* the copies are a cache: what the model means does not change */
    uint64_t version = rc_params_version(r->ps);
    if (backward && rc_params_get_precision(r->ps) == RC_INT8)
        return rc_fail(e, RC_EINVAL, "int8 weights are for inference; this tape keeps gradients");
    if (!drop && current(r, backward, version)) return RC_OK;
    pthread_mutex_lock(&r->lock);
    rc_status s = RC_OK;
    pack_list list = {.format = format_of(rnn)};
    if (drop) drop->id = ++r->drops;
    for (size_t i = 0; !s && i < r->L * r->D; i++) {
        rc__dir *d = &r->dirs[i];
        const rc_real *w_hh = d->w_hh ? d->w_hh->w : NULL;
        bool dropped = drop && d->w_hh; /* vectors are read from drop->masked itself */
        if (drop) apply_drop(d, drop->mask[i], drop->masked[i]);
        if (dropped) w_hh = drop->masked[i];
        if (dropped || d->version != version) {
            s = dir_pack(r, d, false, w_hh, &list, e);
            dir_vectors(r, d);
        }
        if (!s && backward && (dropped || d->version_back != version)) {
            s = dir_pack(r, d, true, w_hh, &list, e);
            d->drop_back = dropped ? drop->id : 0;
        }
    }
    pack_flush(&list);
    for (size_t i = 0; i < r->L * r->D; i++) {
        rc__dir *d = &r->dirs[i];
        bool dropped = s || (drop && d->w_hh); /* good for this forward alone */
        if (backward) __atomic_store_n(&d->version_back, dropped ? 0 : version, __ATOMIC_RELEASE);
        __atomic_store_n(&d->version, dropped ? 0 : version, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&r->lock);
    return s;
}

rc_status rc__rnn_prepare_back(const rc_rnn *rnn, rc__dir *d, uint64_t id, const rc_real *masked, rc_error *e) {
    if (d->drop_back == id) return RC_OK;
    rc_rnn *r = (rc_rnn *)(uintptr_t)rnn;
    pthread_mutex_lock(&r->lock);
    pack_list list = {.format = format_of(rnn)};
    rc_status s = dir_pack(r, d, true, masked ? masked : d->w_hh ? d->w_hh->w : NULL, &list, e);
    pack_flush(&list);
    d->drop_back = id;
    __atomic_store_n(&d->version_back, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&r->lock);
    return s;
}

/* ---- forward on a tape ------------------------------------------------------------------------------------------- */

typedef struct forward_args {
    rc_var *h0, *c0;
    rc_state *state;
    rc_var **hn, **cn;
} forward_args;

/* A learnt initial state (L*D, width) for every row: (L*D, B, width). */
static rc_var *broadcast_state(rc_tape *t, rc_param *p, size_t B) {
    size_t dims[3] = {p->dim[0], B, p->dim[1]}, one[3] = {p->dim[0], 1, p->dim[1]};
    return rc_add(t, rc_zeros(t, 3, dims), rc_reshape(t, rc_param_var(t, p), 3, one));
}

static rc_var *check_state_var(rc_tape *t, const rc_rnn *r, rc_var *v, const char *name, size_t B, size_t width) {
    size_t want[3] = {r->L * r->D, B, width};
    if (v->ndim == 3 && v->dim[0] == want[0] && v->dim[1] == want[1] && v->dim[2] == want[2]) return v;
    return rc__op_fail(t, RC_EINVAL, "rnn", "%s is %s, expected %s", name, rc__shape_text(v->ndim, v->dim),
                       rc__shape_text(3, want));
}

static rc_var *check_forward(rc_tape *t, const rc_rnn *r, rc_var *x, const int32_t *lengths, const forward_args *a) {
    if (x->ndim != 3 || x->dim[2] != r->opt.input_size)
        return rc__op_fail(t, RC_EINVAL, "rnn", "x is %s, expected (T, B, %zu)", rc__shape_text(x->ndim, x->dim),
                           r->opt.input_size);
    size_t T = x->dim[0], B = x->dim[1];
    if (T * B > INT32_MAX)
        return rc__op_fail(t, RC_EINVAL, "rnn", "x is %s: too many steps", rc__shape_text(3, x->dim));
    for (size_t b = 0; lengths && b < B; b++)
        if (lengths[b] < 0 || (size_t)lengths[b] > T)
            return rc__op_fail(t, RC_EINVAL, "rnn", "lengths[%zu] is %d, expected 0 to T = %zu", b, (int)lengths[b], T);
    if (a->state && (a->state->batch != B || a->state->P != r->P || a->state->rows != r->L * r->D ||
                     a->state->H != r->H || !a->state->c != !r->cell->has_c))
        return rc__op_fail(t, RC_EINVAL, "rnn",
                           "the state is for %zu rows of %zu x %zu, expected %zu rows of %zu x %zu", a->state->batch,
                           a->state->rows, a->state->P, B, r->L * r->D, r->P);
    if (a->h0 && !check_state_var(t, r, a->h0, "h0", B, r->P)->len) return rc__dead(t);
    if (a->c0 && !r->cell->has_c)
        return rc__op_fail(t, RC_EINVAL, "rnn", "c0 given, but cell %s has none", r->cell->name);
    if (a->c0 && !check_state_var(t, r, a->c0, "c0", B, r->H)->len) return rc__dead(t);
    return x;
}

static bool draw_weight_drop(rc_tape *t, const rc_rnn *r, rc__drop *drop) {
    size_t n = r->L * r->D;
    drop->mask = rc__tape_alloc(t, n * sizeof *drop->mask);
    drop->masked = rc__tape_alloc(t, n * sizeof *drop->masked);
    if (!drop->mask || !drop->masked) return false;
    for (size_t i = 0; i < n; i++) {
        size_t len = rc__dir_drop_len(&r->dirs[i]);
        rc_rng rng = rc__tape_rng(t);
        rc_real *m = rc__tape_alloc(t, len * sizeof *m);
        drop->masked[i] = rc__tape_alloc(t, len * sizeof *m);
        if (!m || !drop->masked[i]) return false;
        rc__k->pw.dropout_mask(len, rng, 0, r->opt.weight_drop, m);
        drop->mask[i] = m;
    }
    return true;
}

static rc_var *forward(rc_tape *t, const rc_rnn *r, rc_var *x, const int32_t *lengths, forward_args a) {
    if (!rc__alive(t, "rnn", 1, x)) return rc__dead(t);
    if (!check_forward(t, r, x, lengths, &a)->len) return rc__dead(t);
    rc_tape_mode mode = rc_tape_get_mode(t);
    size_t B = x->dim[1], width = r->D * B * r->P, c_width = r->D * B * r->H;
    rc__drop drop = {0};
    bool drops = mode.training && r->opt.weight_drop > 0;
    if (drops && !draw_weight_drop(t, r, &drop)) return rc__dead(t);
    rc_error why = {0};
    rc_status s = rc__rnn_prepare(r, mode.grad, drops ? &drop : NULL, &why);
    if (s) return rc__op_fail(t, s, "rnn", "%s", why.text);
    if (!a.state && !a.h0 && r->h0) a.h0 = broadcast_state(t, r->h0, B);
    if (!a.state && !a.c0 && r->c0) a.c0 = broadcast_state(t, r->c0, B);
    rc_var *y = x;
    rc_var **hns = NULL, **cns = NULL;
    if (a.hn && !(hns = rc__tape_alloc(t, r->L * sizeof *hns))) return rc__dead(t);
    if (a.cn && r->cell->has_c && !(cns = rc__tape_alloc(t, r->L * sizeof *cns))) return rc__dead(t);
    rc_real *end_h = NULL, *end_c = NULL; /* into the state when all has gone well, so that it is never half advanced */
    if (a.state && !(end_h = rc__tape_alloc(t, a.state->h_len * sizeof *end_h))) return rc__dead(t);
    if (a.state && a.state->c && !(end_c = rc__tape_alloc(t, a.state->c_len * sizeof *end_c))) return rc__dead(t);
    for (size_t l = 0; l < r->L; l++) {
        rc__layer_io io = {.lengths = lengths, .h0 = a.h0, .c0 = a.c0, .first = l * r->D};
        if (a.state) {
            io.init_h = a.state->h + l * width;
            io.end_h = end_h + l * width;
            if (end_c) io.init_c = a.state->c + l * c_width;
            if (end_c) io.end_c = end_c + l * c_width;
        }
        if (hns) io.hn = &hns[l];
        if (cns) io.cn = &cns[l];
        io.drop_id = drop.id;
        for (size_t d = 0; drops && d < r->D; d++) {
            io.drop_mask[d] = drop.mask[l * r->D + d];
            io.drop_masked[d] = drop.masked[l * r->D + d];
        }
        rc_var *in = y;
        if (l && r->opt.dropout > 0)
            in = r->opt.dropout_sequence ? rc_dropout_sequence(t, y, r->opt.dropout) : rc_dropout(t, y, r->opt.dropout);
        if (!in->len) return rc__dead(t);
        rc_var *f = rc__rnn_layer(t, r, l, in, io);
        if (!f->len) return f;
        if (l && r->opt.skip == RC_SKIP_RESIDUAL) {
            f = rc_add(t, y, f);
        } else if (l && r->opt.skip == RC_SKIP_HIGHWAY) {
            /* y + gate (f - y), the gate looks at y (Srivastava et al. 2015) */
            rc_var *gate = rc_sigmoid(t, rc_linear(t, y, rc_param_var(t, r->gate_w[l]), rc_param_var(t, r->gate_b[l])));
            f = rc_add(t, y, rc_mul(t, gate, rc_sub(t, f, y)));
        }
        y = f;
    }
    if (hns) *a.hn = r->L == 1 ? hns[0] : rc_concat(t, (int)r->L, hns, 0);
    if (cns) *a.cn = r->L == 1 ? cns[0] : rc_concat(t, (int)r->L, cns, 0);
    if (y->len && end_h) memcpy(a.state->h, end_h, a.state->h_len * sizeof *end_h);
    if (y->len && end_c) memcpy(a.state->c, end_c, a.state->c_len * sizeof *end_c);
    return y;
}

rc_var *rc_rnn_forward(rc_tape *t, const rc_rnn *rnn, rc_var *x, const int32_t *lengths, rc_state *state) {
    if (rnn->blocks) return rc__transformer_forward(t, rnn->blocks, x, lengths, NULL, state);
    return forward(t, rnn, x, lengths, (forward_args){.state = state});
}

rc_var *rc_rnn_forward_vars(rc_tape *t, const rc_rnn *rnn, rc_var *x, const int32_t *lengths, rc_var *h0, rc_var *c0,
                            rc_var **hn, rc_var **cn) {
    if (hn) *hn = rc__dead(t);
    if (cn) *cn = rnn->cell->has_c ? rc__dead(t) : NULL;
    if (rnn->blocks && (h0 || c0 || hn))
        return rc__op_fail(t, RC_EINVAL, "rnn", "the state of cell transformer, its keys and values, is no variable");
    if (rnn->blocks) return rc__transformer_forward(t, rnn->blocks, x, lengths, NULL, NULL);
    return forward(t, rnn, x, lengths, (forward_args){.h0 = h0, .c0 = c0, .hn = hn, .cn = cn});
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

size_t rc_rnn_explain(const rc_rnn *r, size_t batch, size_t seq_len, char *out, size_t cap) {
    size_t at = 0, most = (size_t)rc_threads();
    if (r->blocks) return rc__transformer_explain(r->blocks, batch, seq_len, out, cap);
    if (cap) out[0] = 0;
    for (size_t l = 0; l < r->L; l++)
        for (size_t i = 0; i < r->D; i++) {
            const rc__dir *d = rc__rnn_dir(r, l, i);
            rc__plan plan;
            rc__layer_plan(r, d, batch, (double)batch, most, &plan);
            size_t tasks = plan.groups * r->D, threads = most < tasks ? most : tasks;
            const char *why = "one thread is set";
            char rows[64];
            snprintf(rows, sizeof rows, "%zu group%s of %zu row%s", plan.groups, plan.groups == 1 ? "" : "s",
                     plan.group * plan.tile, plan.group * plan.tile == 1 ? "" : "s");
            if (rc__layer_work(r, d, batch) * (double)seq_len * (double)r->D < rc__parallel_threshold && most > 1) {
                threads = 1;
                why = "too little work for a second thread";
            } else if (plan.by_columns) {
                threads = most;
                snprintf(rows, sizeof rows, "%zu row%s together", batch, batch == 1 ? "" : "s");
                why = "each thread has its columns of the recurrent weights, two waits a product";
            } else if (threads > 1) {
                why = rc__cell_scans(r->cell) ? "an element-wise scan, no wait between steps"
                                              : "each thread has rows of its own, no wait between steps";
            } else if (most > 1) {
                why = rc__cell_scans(r->cell) ? "an element-wise scan of few rows"
                                              : "few rows, and a step too short to share";
            }
            int n = snprintf(at < cap ? out + at : NULL, at < cap ? cap - at : 0,
                             "layer %zu%s: %s %zu -> %zu, %s, %s, packed products by recur, others by %s, "
                             "kernels %s, %s, %zu thread%s: %s\n",
                             l, i ? " reverse" : "", r->cell->name, d->I, r->P,
                             rc__precision_text(rc_params_get_precision(r->ps)),
                             rc__cell_scans(r->cell) ? "scan" : "fused sequence", rc__gemm_backend(), rc__k->isa,
                             rows, threads, threads == 1 ? "" : "s", why);
            if (n > 0) at += (size_t)n;
        }
    return at;
}
