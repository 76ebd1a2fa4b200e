/* checkpoint.c - all that a run needs to go on as if it had never stopped, in one safetensors file.
 *
 *     model.<parameter>            the weights as the optimizer sees them
 *     optim.<block>.<parameter>    moments of the optimizer, under torch's names
 *     average.<parameter>          running average of the weights, when on
 *     best.<parameter>             weights of the best validation so far
 *     state.h, state.c             recurrent state carried to the next batch
 *     metadata "recur_checkpoint"  one JSON object: position, schedule, data cursor
 *
 * Random numbers need no entry: masks are a function of (seed, step) and batches of (seed, epoch, position). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "formats/params_file.h"
#include "train/loop.h"

#define CHECKPOINT_VERSION 1

static json_t *position_json(const rc__trainer *t) {
    const rc__position *p = &t->at;
    return json_pack("{si sI sI sf sf sf sf so sI sf so sI sI so sb so so}", "version", CHECKPOINT_VERSION, "step",
                     (json_int_t)p->step, "tokens", (json_int_t)p->tokens, "seconds", p->seconds, "train_seconds",
                     p->train_seconds, "loss_sum", p->loss_sum, "loss_weight", p->loss_weight, "best",
                     rc__real_or_null(p->best), "best_step", (json_int_t)p->best_step, "best_epoch", p->best_epoch,
                     "last_valid", rc__real_or_null(p->last_valid), "last_valid_step", (json_int_t)p->last_valid_step,
                     "bad_validations", (json_int_t)p->bad_validations, "accuracy", rc__real_or_null(p->accuracy),
                     "solved", (int)p->solved, "best_criterion", rc__real_or_null(p->best_criterion), "best_accuracy",
                     rc__real_or_null(p->best_accuracy));
}

static json_t *describe(rc__trainer *t) {
    json_t *root = position_json(t);
    if (!root) return NULL;
    bool ok = !json_object_set_new(root, "schedule",
                                   json_pack("{so sf si}", "best", rc__real_or_null(t->schedule.best), "factor",
                                             t->schedule.factor, "bad", t->schedule.bad));
    ok = ok && !json_object_set_new(root, "optimizer_steps", json_integer((json_int_t)rc_optim_steps(t->optim)));
    if (ok && t->average)
        ok = !json_object_set_new(root, "average_count", json_integer((json_int_t)rc_average_count(t->average)));
    ok = ok && !json_object_set_new(root, "logs", json_pack("{sI sI}", "metrics", (json_int_t)t->at.logs.metrics,
                                                           "samples", (json_int_t)t->at.logs.samples));
    ok = ok && !json_object_set_new(root, "cursor", t->task->ops->cursor_get(t->task));
    if (ok) return root;
    json_decref(root);
    return NULL;
}

rc_status rc__checkpoint_save(rc__trainer *t, const char *path, rc_error *e) {
    rc__st_list list = {0};
    char prefix[64], *text = NULL;
    size_t len = 0;
    json_t *root = describe(t);
    rc_status s = rc__json_print(root, &text, &len, e);
    json_decref(root);
    if (s == RC_OK) s = rc__params_list(&list, t->ps, NULL, "model.", e);
    for (size_t i = 0; s == RC_OK && i < rc_optim_blocks(t->optim); i++) {
        snprintf(prefix, sizeof prefix, "optim.%s.", rc_optim_block_name(t->optim, i));
        s = rc__params_list(&list, t->ps, rc_optim_block(t->optim, i), prefix, e);
    }
    if (s == RC_OK && t->average) s = rc__params_list(&list, t->ps, rc_average_block(t->average), "average.", e);
    if (s == RC_OK && t->best_values && isfinite(t->at.best))
        s = rc__params_list(&list, t->ps, t->best_values, "best.", e);
    rc__task_tensor state[RC_TASK_MAX_TENSORS];
    size_t n_state = t->task->ops->state ? t->task->ops->state(t->task, state) : 0;
    for (size_t i = 0; s == RC_OK && i < n_state; i++)
        s = rc__st_list_add(&list, "state.", state[i].name, RC_ST_REAL, 1, &state[i].len, state[i].data, e);
    if (s == RC_OK) s = rc__st_write(path, list.tensor, list.n, &(rc__st_meta){"recur_checkpoint", text}, 1, e);
    if (text) rc__free(text, len + 1);
    rc__st_list_free(&list);
    return s;
}

static rc_status read_position(rc__position *p, const json_t *root, const char *where, rc_error *e) {
    const double count_max = 9007199254740992.0;
    const rc__json_need must = RC_JSON_REQUIRED;
    int64_t version = 0, step = 0, tokens = 0, best_step = 0, valid_step = 0, bad = 0;
    rc_status s = rc__json_get_int(root, "version", must, 1, INT64_MAX, &version, where, e);
    if (s == RC_OK && version > CHECKPOINT_VERSION)
        s = rc_fail(e, RC_EMODEL, "%s: version %lld was made by a newer recur; this one (%s) reads up to %d", where,
                    (long long)version, rc_version(), CHECKPOINT_VERSION);
    if (s == RC_OK) s = rc__json_get_int(root, "step", must, 0, (int64_t)count_max, &step, where, e);
    if (s == RC_OK) s = rc__json_get_int(root, "tokens", must, 0, (int64_t)count_max, &tokens, where, e);
    if (s == RC_OK) s = rc__json_get_real(root, "seconds", must, 0, 1e12, &p->seconds, where, e);
    if (s == RC_OK) s = rc__json_get_real(root, "train_seconds", must, 0, 1e12, &p->train_seconds, where, e);
    if (s == RC_OK) s = rc__json_get_real(root, "loss_sum", must, 0, 0, &p->loss_sum, where, e);
    if (s == RC_OK) s = rc__json_get_real(root, "loss_weight", must, 0, 1, &p->loss_weight, where, e);
    if (s == RC_OK) s = rc__json_get_int(root, "best_step", must, 0, (int64_t)count_max, &best_step, where, e);
    if (s == RC_OK) s = rc__json_get_real(root, "best_epoch", must, 0, 1e12, &p->best_epoch, where, e);
    if (s == RC_OK) s = rc__json_get_int(root, "last_valid_step", must, 0, (int64_t)count_max, &valid_step, where, e);
    if (s == RC_OK) s = rc__json_get_int(root, "bad_validations", must, 0, (int64_t)count_max, &bad, where, e);
    if (s == RC_OK) s = rc__json_get_bool(root, "solved", must, &p->solved, where, e);
    if (s == RC_OK && (best_step > step || valid_step > step))
        s = rc_fail(e, RC_EMODEL, "%s: validated at step %lld, after its last step %lld", where,
                    (long long)(best_step > step ? best_step : valid_step), (long long)step);
    double *maybe[] = {&p->best, &p->last_valid, &p->accuracy, &p->best_accuracy};
    const char *names[] = {"best", "last_valid", "accuracy", "best_accuracy"};
    for (int i = 0; s == RC_OK && i < 4; i++) {
        const json_t *v = json_object_get(root, names[i]);
        *maybe[i] = NAN;
        if (!json_is_null(v) && (v || i < 3)) /* the last: absent before 0.2 */
            s = rc__json_get_real(root, names[i], must, 0, 0, maybe[i], where, e);
    }
    const json_t *criterion = json_object_get(root, "best_criterion"); /* absent before 0.2: it was the loss */
    p->best_criterion = criterion ? NAN : p->best;
    if (s == RC_OK && criterion && !json_is_null(criterion))
        s = rc__json_get_real(root, "best_criterion", must, 0, 0, &p->best_criterion, where, e);
    p->step = (uint64_t)step;
    p->tokens = (uint64_t)tokens;
    p->best_step = (uint64_t)best_step;
    p->last_valid_step = (uint64_t)valid_step;
    p->bad_validations = bad;
    return s;
}

/* Checkpoints of version 0.1 do not have it. */
static rc_status read_log_lengths(rc__log_lengths *l, const json_t *root, const char *where, rc_error *e) {
    json_t *v = NULL;
    *l = (rc__log_lengths){-1, -1};
    rc_status s = rc__json_get_object(root, "logs", RC_JSON_OPTIONAL, &v, where, e);
    if (s == RC_OK && v) s = rc__json_get_int(v, "metrics", RC_JSON_OPTIONAL, -1, INT64_MAX, &l->metrics, where, e);
    if (s == RC_OK && v) s = rc__json_get_int(v, "samples", RC_JSON_OPTIONAL, -1, INT64_MAX, &l->samples, where, e);
    return s;
}

static rc_status read_schedule(rc_schedule *sch, const json_t *root, const char *where, rc_error *e) {
    json_t *v = NULL;
    int64_t bad = 0;
    rc_status s = rc__json_get_object(root, "schedule", RC_JSON_REQUIRED, &v, where, e);
    if (s == RC_OK) s = rc__json_get_real(v, "factor", RC_JSON_REQUIRED, 0, 1, &sch->factor, where, e);
    if (s == RC_OK) s = rc__json_get_int(v, "bad", RC_JSON_REQUIRED, 0, 1 << 30, &bad, where, e);
    if (s == RC_OK && !json_is_null(json_object_get(v, "best")))
        s = rc__json_get_real(v, "best", RC_JSON_REQUIRED, 0, 0, &sch->best, where, e);
    sch->bad = (int)bad;
    return s;
}

static rc_status read_state(rc__trainer *t, const rc__st_file *f, rc_error *e) {
    rc__task_tensor state[RC_TASK_MAX_TENSORS];
    size_t n = t->task->ops->state ? t->task->ops->state(t->task, state) : 0;
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        char name[64];
        const rc__st_tensor *tensor;
        snprintf(name, sizeof name, "state.%s", state[i].name);
        s = rc__st_expect(f, name, RC_ST_REAL, 1, &state[i].len, &tensor, e);
        if (s == RC_OK) s = rc__st_read(f, tensor, state[i].data, e);
        for (size_t k = 0; s == RC_OK && k < state[i].len; k++)
            if (!isfinite(state[i].data[k]))
                s = rc_fail(e, RC_EMODEL, "%s: tensor \"%s\": element %zu is not a finite number", rc__st_name(f), name,
                            k);
    }
    return s;
}

static bool is_optim_block(const rc__trainer *t, const char *name) {
    char prefix[64];
    for (size_t i = 0; i < rc_optim_blocks(t->optim); i++) {
        snprintf(prefix, sizeof prefix, "optim.%s.", rc_optim_block_name(t->optim, i));
        if (!strncmp(name, prefix, strlen(prefix))) return true;
    }
    return false;
}

static bool is_state(rc__trainer *t, const char *name) {
    rc__task_tensor state[RC_TASK_MAX_TENSORS];
    size_t n = t->task->ops->state ? t->task->ops->state(t->task, state) : 0;
    for (size_t i = 0; i < n; i++)
        if (!strncmp(name, "state.", 6) && !strcmp(name + 6, state[i].name)) return true;
    return false;
}

/* Each part looks for its own tensors, under its prefix; one that belongs to none comes from other options, or from a
 * damaged name. */
static rc_status check_names(rc__trainer *t, const rc__st_file *f, rc_error *e) {
    for (size_t i = 0; i < rc__st_count(f); i++) {
        const char *name = rc__st_at(f, i)->name;
        bool known = !strncmp(name, "model.", 6) || is_optim_block(t, name) || is_state(t, name) ||
                     (t->average && !strncmp(name, "average.", 8)) || (t->best_values && !strncmp(name, "best.", 5));
        if (!known)
            return rc_fail(e, RC_EMODEL, "%s: tensor \"%s\" is not expected in a checkpoint of this run",
                           rc__st_name(f), name);
    }
    return RC_OK;
}

rc_status rc__checkpoint_load(rc__trainer *t, const char *path, rc_error *e) {
    rc__st_file *f = NULL;
    json_t *root = NULL, *cursor = NULL;
    char where[640], prefix[64];
    int64_t steps = 0, count = 0;
    rc__position p = {0};
    snprintf(where, sizeof where, "%s: metadata \"recur_checkpoint\"", path);
    rc_status s = rc__st_open(&f, path, e);
    const char *text = s == RC_OK ? rc__st_get_meta(f, "recur_checkpoint") : NULL;
    if (s == RC_OK && !text)
        s = rc_fail(e, RC_EMODEL, "%s: no checkpoint: its metadata has no \"recur_checkpoint\"", path);
    if (s == RC_OK) s = rc__json_parse(text, strlen(text), where, &root, e);
    if (s == RC_OK && !json_is_object(root)) s = rc_fail(e, RC_EMODEL, "%s: expected an object", where);
    if (s == RC_OK) s = read_position(&p, root, where, e);
    if (s == RC_OK) s = read_log_lengths(&p.logs, root, where, e);
    if (s == RC_OK) s = read_schedule(&t->schedule, root, where, e);
    if (s == RC_OK) s = rc__json_get_int(root, "optimizer_steps", RC_JSON_REQUIRED, 0, INT64_MAX, &steps, where, e);
    if (s == RC_OK && t->average)
        s = rc__json_get_int(root, "average_count", RC_JSON_REQUIRED, 0, INT64_MAX, &count, where, e);
    if (s == RC_OK) s = rc__json_get_object(root, "cursor", RC_JSON_REQUIRED, &cursor, where, e);
    if (s == RC_OK) s = t->task->ops->cursor_set(t->task, cursor, where, e);
    if (s == RC_OK) s = check_names(t, f, e);
    for (size_t i = 0; s == RC_OK && i < rc_optim_blocks(t->optim); i++) {
        snprintf(prefix, sizeof prefix, "optim.%s.", rc_optim_block_name(t->optim, i));
        s = rc__params_read(f, t->ps, rc_optim_block(t->optim, i), prefix, NULL, 0, e);
    }
    if (s == RC_OK && t->average) s = rc__params_read(f, t->ps, rc_average_block(t->average), "average.", NULL, 0, e);
    if (s == RC_OK && t->best_values && isfinite(p.best))
        s = rc__params_read(f, t->ps, t->best_values, "best.", NULL, 0, e);
    if (s == RC_OK) s = read_state(t, f, e);
    if (s == RC_OK) s = rc__params_read(f, t->ps, NULL, "model.", NULL, 0, e);
    if (s == RC_OK) {
        t->at = p;
        rc_optim_set_steps(t->optim, (uint64_t)steps);
        if (t->average) rc_average_set_count(t->average, (uint64_t)count);
    }
    json_decref(root);
    rc__st_close(f);
    return s;
}
