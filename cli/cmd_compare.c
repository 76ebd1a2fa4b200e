/* cmd_compare.c - recur compare TASK DATA... --cells A,B,...: the same data and budget for several cells.
 *
 *  text      one table: validation loss, parameters, tokens/s for each cell
 *  others    the same with the task's measure; cnn and bow are compared as cells are
 *  texts     translate, summarize, chat: each cell with each kind of attention; scores on --test, also by length of the source
 *  sources   each source is an experiment of its own; a table of who solves what
 *  --gradient, --gradient-svg: norm of dLoss/dstate(T-k) against the distance k on the longest source, which shows whether
 *            an error signal reaches back that far
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models.h"
#include "svg.h"
#include "training.h"

enum { MOST_CELLS = 32, MOST_DISTANCE = 1 << 16 };

struct compare_options {
    rc_train_options train; /* first: its table's offsets hold */
    const char *cells, *gradient_svg, *gradient;
    const char *attention, *test, *test_target, *length_svg;
};

#define AT(field) offsetof(struct compare_options, field)
static const rc_option own[] = {
    {"cells", 0, RC_OPT_STRING, AT(cells), 0, 0, NULL, "LIST", "Compare",
     "cells, also cnn and bow, with commas between, or all"},
    {"gradient", 0, RC_OPT_CHOICE, AT(gradient), 0, 0, "none initial trained both", "WHEN", "Compare",
     "gradient norm against distance in time, of the nets before or after training (sources only)"},
    {"gradient-svg", 0, RC_OPT_PATH_OUT, AT(gradient_svg), 0, 0, NULL, "FILE", "Compare",
     "draw it; --gradient both unless given"},
    {"attention", 0, RC_OPT_STRING, AT(attention), 0, 0, NULL, "LIST", "Compare",
     "translate, summarize, chat: none, additive, dot ... with commas between: each cell with each"},
    {"test", 0, RC_OPT_PATH_IN, AT(test), 0, 0, NULL, "FILE", "Compare",
     "translate, summarize, chat: scored after training, also by length of the source (default: --valid)"},
    {"test-target", 0, RC_OPT_PATH_IN, AT(test_target), 0, 0, NULL, "FILE", "Compare",
     "... its references, when a second file"},
    {"length-svg", 0, RC_OPT_PATH_OUT, AT(length_svg), 0, 0, NULL, "FILE", "Compare",
     "... BLEU by length of the source, drawn"},
};

/* The options of train that make sense for several models at once. */
static const rc_option *table(size_t *n) {
    static rc_option entries[256];
    static size_t count;
    static const char *const not_here[] = {"cell",   "attention", "encoder",    "out",
                                           "resume", "from",      "grow-vocab", "freeze"};
    size_t n_train;
    const rc_option *train = rc_train_option_table(&n_train);
    if (count == 0) {
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) entries[count++] = own[i];
        for (size_t i = 0; i < n_train && count < sizeof entries / sizeof *entries; i++) {
            bool skip = false;
            for (size_t k = 0; k < sizeof not_here / sizeof *not_here; k++)
                skip |= strcmp(train[i].name, not_here[k]) == 0;
            if (skip) continue;
            entries[count] = train[i];
            if (strcmp(train[i].name, "run") == 0)
                entries[count].help = "keep the run of each cell in this folder (default: they are removed)";
            count++;
        }
    }
    *n = count;
    return entries;
}

static void defaults(void *options) {
    struct compare_options *o = options;
    *o = (struct compare_options){.train = rc_train_options_default(), .cells = "rnn,lstm,gru", .gradient = "none"};
    o->train.sample_length = 0; /* the table is what is wanted */
}

/* Told before anything is read. */
static rc_status check_attention(const char *list, rc_error *e) {
    size_t n;
    const rc_option *all = rc_train_option_table(&n), *o = rc_option_find(all, n, "attention");
    for (const char *at = list; o && at && *at;) {
        size_t len = strcspn(at, ",");
        bool known = false;
        for (const char *c = o->choices; *c; c += strcspn(c, " "), c += *c == ' ')
            known |= strcspn(c, " ") == len && strncmp(c, at, len) == 0;
        if (!known)
            return rc_fail(e, RC_EINVAL, "--attention: expected some of %s with commas between, found \"%.*s\"",
                           o->choices, (int)(len < 40 ? len : 40), at);
        at += len + (at[len] == ',');
    }
    return RC_OK;
}

static rc_status settle(cli_args *a, rc_error *e) {
    struct compare_options *o = a->options;
    rc_status s = cli_settle_training(a, &o->train, e);
    if (s) return s;
    if (o->train.steps == 0 && o->train.epochs == 0 && o->train.time == 0) o->train.time = 60;
    if (a->help || (s = cli_check_task(a, e))) return s;
    if (o->train.n_files == 0)
        return rc_fail(e, RC_EINVAL, "expected FILE... or sources such as adding:T=50 adding:T=100");
    if ((s = cli_check_data(&o->train, e))) return s;
    size_t sources = 0;
    for (size_t i = 0; i < o->train.n_files; i++)
        sources += strcmp(o->train.task, "lm") == 0 && cli_is_source(o->train.files[i]);
    if (sources && sources < o->train.n_files) return rc_fail(e, RC_EINVAL, "expected files or sources, found both");
    if (o->gradient_svg && !cli_is_given(a, "gradient")) o->gradient = "both";
    bool writes = cli_task_writes(o->train.task);
    if (o->attention && !cli_is_given(a, "cells")) o->cells = o->train.cell; /* the task's own */
    static const char *const of_writers[] = {"attention", "test", "test-target", "length-svg"};
    for (size_t i = 0; !writes && i < 4; i++)
        if (cli_is_given(a, of_writers[i]))
            return rc_fail(e, RC_EINVAL, "--%s has no effect: %s writes no texts", of_writers[i], o->train.task);
    if ((s = check_attention(o->attention, e))) return s;
    if (o->test_target && !o->test) return rc_fail(e, RC_EINVAL, "--test-target needs --test, its sources");
    if (o->length_svg && !o->test && !o->train.valid)
        return rc_fail(e, RC_EINVAL, "--length-svg needs --test or --valid, the pairs that are scored");
    if (!sources && strcmp(o->gradient, "none") != 0)
        return rc_fail(e, RC_EINVAL, "--gradient needs a source such as adding:T=200, found text");
    return RC_OK;
}

static const char *const no_cells[] = {"cnn", "bow"}; /* encoders that are none */
enum { NO_CELLS = sizeof no_cells / sizeof *no_cells };

/* The name of a cell, or of another encoder where the task takes one. */
static rc_status find_cell(const char *name, bool encoders, const char **out, rc_error *e) {
    for (size_t i = 0; encoders && i < NO_CELLS; i++)
        if (strcmp(no_cells[i], name) == 0) return *out = no_cells[i], RC_OK;
    const char *near = encoders && !rc_cell_find(name) ? cli_suggest(no_cells, NO_CELLS, name) : NULL;
    if (near) return rc_fail(e, RC_EINVAL, "--cells: unknown encoder \"%s\"; did you mean %s?", name, near);
    rc_status s = cli_check_cell("--cells", name, e);
    if (s == RC_OK) *out = rc_cell_find(name)->name;
    if (s && encoders && !strstr(e->text, "did you mean")) /* the list is of cells */
        snprintf(e->text + strlen(e->text), sizeof e->text - strlen(e->text), " cnn bow");
    return s;
}

/* "rnn,lstm" to names of known cells; "all" to all, with a gradient those that carry one. */
static rc_status split_cells(const char *list, bool encoders, bool gradient, const char **cells, size_t *n,
                             rc_error *e) {
    *n = 0;
    if (strcmp(list, "all") == 0) {
        for (size_t i = 0; i < rc_cell_count() && *n < MOST_CELLS - NO_CELLS; i++)
            if (!gradient || rc_cell_at(i)->recurrent) cells[(*n)++] = rc_cell_at(i)->name;
        for (size_t i = 0; encoders && i < NO_CELLS; i++) cells[(*n)++] = no_cells[i];
        return RC_OK;
    }
    for (const char *p = list;; p++) {
        char name[64];
        size_t len = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), p);
        const char *found = NULL;
        rc_status s = find_cell(name, encoders, &found, e);
        if (s) return s;
        if (*n == MOST_CELLS) return rc_fail(e, RC_EINVAL, "--cells: expected at most %d cells", MOST_CELLS);
        if (gradient && !rc_cell_find(found)->recurrent)
            return rc_fail(e, RC_EINVAL, "--cells: --gradient is about the state of recurrent cells, which %s has not",
                           found);
        for (size_t i = 0; i < *n; i++)
            if (strcmp(cells[i], name) == 0) return rc_fail(e, RC_EINVAL, "--cells: %s is named twice", name);
        cells[(*n)++] = found;
        p += len;
        if (!*p) return RC_OK;
    }
}

/* ---- running ------------------------------------------------------------------------------------------------------------- */

/* What is trained: a cell, for a task that writes with a kind of attention. */
struct variant {
    const char *cell, *attention; /* attention NULL: the task's own */
    char name[96];
};

struct outcome {
    const struct variant *v;
    const char *cell, *data; /* cell: the variant's name; data: the source, or NULL for text */
    rc_train_result r;
    json_t *test; /* scores on --test, as recur eval gives them */
    bool done, diverged;
};

/* Of one cell before (0) and after (1) training; norms NULL when not wanted. */
struct flow {
    double *norms[2];
    size_t n;
};
static const char *const flow_when[2] = {"initial", "trained"};

struct job {
    const struct compare_options *o;
    const cli_args *args;
    const char *cells[MOST_CELLS];
    struct variant variant[MOST_CELLS];
    size_t n_cells, n_data;  /* n_cells: variants */
    struct outcome *outcome; /* data-major: outcome[d * n_cells + c] */
    struct flow flow[MOST_CELLS];
    const char *flow_source;
    char folder[512]; /* of the runs */
    cli_progress progress;
    char label[128];
};

static void on_message(void *ctx, const char *line) {
    struct job *j = ctx;
    if (j->o->train.run || strncmp(line, "run folder:", 11) != 0) /* of a folder that will not stay */
        cli_progress_line(&j->progress, "%s: %s", j->label, line);
}

static void on_step(void *ctx, const rc_train_progress *t) {
    struct job *j = ctx;
    cli_progress_training(&j->progress, j->label, t);
}

static bool is_lm(const rc_train_options *o) { return strcmp(o->task, "lm") == 0; }

/* Of the model kept, in one pass; of the validations while training where there is no such pass (sources). */
static double loss_of(const struct outcome *o) {
    return isfinite(o->r.valid_loss) ? o->r.valid_loss : o->r.best_valid_loss;
}

static void set_label(struct job *j, const char *cell, const char *data) {
    snprintf(j->label, sizeof j->label, "%s%s%s", cell, data ? " " : "", data ? data : "");
    j->progress.last_progress = 0;
}

static void set_cell(rc_train_options *o, const struct variant *v) {
    if (cli_has_encoder(o))
        o->encoder = v->cell;
    else
        o->cell = v->cell;
    if (v->attention) o->attention = v->attention;
}

/* The model on the test pairs. */
static rc_status test_one(const struct job *j, struct outcome *out, rc_error *e) {
    const struct compare_options *o = j->o;
    rc_eval_options eo = rc_eval_options_default();
    rc_model *m = NULL;
    char *text = NULL;
    size_t len = 0;
    const char *pairs = o->test ? o->test : o->train.valid;
    if (!pairs || !cli_task_writes(o->train.task) || !*out->r.model) return RC_OK;
    eo.reference = o->test ? o->test_target : o->train.valid_target;
    eo.search.beam = o->train.beam;
    rc_status s = rc_model_load(&m, out->r.model, e);
    if (!s) s = rc_model_eval(m, pairs, &eo, &text, &len, e);
    if (!s) out->test = json_loadb(text, len, 0, NULL);
    rc_text_free(text, len);
    rc_model_free(m);
    return s;
}

static rc_status train_one(struct job *j, struct outcome *out, rc_error *e) {
    char run[640];
    rc_train_options o = j->o->train;
    rc_train_hooks hooks = {.ctx = j, .on_message = on_message, .on_step = on_step};
    set_label(j, out->cell, out->data);
    snprintf(run, sizeof run, "%s/%s%s%s", j->folder, out->cell, out->data ? "-" : "", out->data ? out->data : "");
    set_cell(&o, out->v);
    o.run = run;
    if (out->data) {
        o.files = &out->data;
        o.n_files = 1;
    }
    rc_status s = rc_train(&o, &hooks, &out->r, e);
    if (s == RC_EDIVERGED) { /* an answer, not a failure of the comparison */
        cli_progress_line(&j->progress, "%s: %s", j->label, e->text);
        out->diverged = true;
        s = RC_OK;
    }
    out->done = s == RC_OK || s == RC_ESTOP;
    if (out->done && !out->diverged) {
        rc_status tested = test_one(j, out, e);
        if (tested) s = tested;
    }
    if (!j->o->train.run) rc_run_delete(run, NULL);
    char text[24];
    if (out->done && !out->diverged)
        cli_progress_line(&j->progress, "%s: loss %.4f after %llu steps in %s", j->label, loss_of(out),
                          (unsigned long long)out->r.steps, cli_time_text(text, sizeof text, out->r.seconds));
    return s == RC_ESTOP ? RC_OK : s;
}

/* Cells times kinds of attention. */
static rc_status make_variants(struct job *j, rc_error *e) {
    const char *list = j->o->attention && *j->o->attention ? j->o->attention : NULL, *cells[MOST_CELLS];
    size_t n_cells = j->n_cells, n = 0;
    memcpy(cells, j->cells, sizeof cells);
    for (const char *at = list;;) {
        char *kind = NULL;
        if (list) {
            size_t len = strcspn(at, ",");
            kind = strndup(at, len); /* lives as long as the program */
            at += len + (at[len] == ',');
        }
        for (size_t i = 0; i < n_cells; i++, n++) {
            if (n == MOST_CELLS) return rc_fail(e, RC_EINVAL, "expected at most %d models to compare", MOST_CELLS);
            struct variant *v = &j->variant[n];
            *v = (struct variant){.cell = cells[i], .attention = kind};
            snprintf(v->name, sizeof v->name, "%s%s%s", cells[i], kind ? "-" : "", kind ? kind : "");
            j->cells[n] = v->name;
        }
        if (!list || !*at) break;
    }
    j->n_cells = n;
    return RC_OK;
}

/* The longest source: the T= of its name. */
static const char *longest(const rc_train_options *o) {
    const char *best = o->files[0];
    long most = -1;
    for (size_t i = 0; i < o->n_files; i++) {
        const char *t = strstr(o->files[i], "T=");
        long len = t ? strtol(t + 2, NULL, 10) : 0;
        if (len > most) {
            most = len;
            best = o->files[i];
        }
    }
    return best;
}

static bool wants_flow(const struct compare_options *o, int when) {
    return strcmp(o->gradient, flow_when[when]) == 0 || strcmp(o->gradient, "both") == 0;
}

static rc_status measure_flow(struct job *j, rc_error *e) {
    j->flow_source = longest(&j->o->train);
    for (int when = 0; when < 2; when++)
        for (size_t c = 0; c < j->n_cells && wants_flow(j->o, when); c++) {
            rc_train_options o = j->o->train;
            o.cell = j->variant[c].cell;
            o.files = &j->flow_source;
            o.n_files = 1;
            j->flow[c].norms[when] = cli_alloc(MOST_DISTANCE * sizeof(double));
            cli_progress_line(&j->progress, "%s %s: gradient %s training", o.cell, j->flow_source,
                              when ? "after" : "before");
            rc_status s = rc_gradient_flow(&o, when == 1, j->flow[c].norms[when], MOST_DISTANCE, &j->flow[c].n, e);
            if (s) return s;
        }
    return RC_OK;
}

/* ---- telling --------------------------------------------------------------------------------------------------------------- */

/* Of a task with a measure: the lowest of what training chooses its best by. */
static size_t best_of(const struct job *j) {
    size_t best = j->n_cells;
    for (size_t i = 0; i < j->n_cells; i++) {
        const struct outcome *o = &j->outcome[i];
        if (!o->done || o->diverged || !isfinite(o->r.best_criterion)) continue;
        if (best == j->n_cells || o->r.best_criterion < j->outcome[best].r.best_criterion) best = i;
    }
    return best;
}

static void print_task_table(const struct job *j) {
    bool measured = false;
    const char *measure = "", *network = cli_has_encoder(&j->o->train) ? "encoder" : "cell";
    size_t best = best_of(j);
    char text[24];
    for (size_t i = 0; i < j->n_cells; i++) {
        measured |= isfinite(j->outcome[i].r.accuracy) && j->outcome[i].done;
        if (*j->outcome[i].r.measure) measure = j->outcome[i].r.measure;
    }
    cli_table t = cli_table_new(measured ? "lrrrrrrrl" : "lrrrrrrl");
    const char *head[] = {
        network, *measure ? measure : "score", "valid loss", "train loss", "parameters", "updates", "tokens/s", "time",
        ""};
    for (size_t i = 0; i < 9; i++)
        if (i != 1 || measured) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < j->n_cells; i++) {
        const struct outcome *o = &j->outcome[i];
        if (!o->done) continue;
        cli_table_add(&t, "%s", o->cell);
        if (measured) isfinite(o->r.accuracy) ? cli_table_add(&t, "%.4f", o->r.accuracy) : cli_table_add(&t, "-");
        isfinite(loss_of(o)) ? cli_table_add(&t, "%.4f", loss_of(o)) : cli_table_add(&t, "-");
        cli_table_add(&t, "%.4f", o->r.train_loss);
        cli_table_add(&t, "%s", cli_count_text(text, sizeof text, (double)o->r.parameters));
        cli_table_add(&t, "%llu", (unsigned long long)o->r.steps);
        cli_table_add(&t, "%s", cli_count_text(text, sizeof text, o->r.tokens_per_second));
        cli_table_add(&t, "%s", cli_time_text(text, sizeof text, o->r.seconds));
        cli_table_add(&t, "%s", o->diverged ? "diverged" : i == best ? "best" : "");
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static void print_text_table(const struct job *j) {
    static const char *const head[] = {
        "cell", "valid loss", "perplexity", "train loss", "parameters", "steps", "tokens/s", "time", ""};
    cli_table t = cli_table_new("lrrrrrrrl");
    size_t best = j->n_cells;
    char text[24];
    for (size_t i = 0; i < j->n_cells; i++)
        if (j->outcome[i].done && isfinite(loss_of(&j->outcome[i])) &&
            (best == j->n_cells || loss_of(&j->outcome[i]) < loss_of(&j->outcome[best])))
            best = i;
    for (size_t i = 0; i < 9; i++) cli_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < j->n_cells; i++) {
        const struct outcome *o = &j->outcome[i];
        if (!o->done) continue;
        cli_table_add(&t, "%s", o->cell);
        cli_table_add(&t, "%.4f", loss_of(o));
        cli_table_add(&t, "%.3f", exp(loss_of(o)));
        cli_table_add(&t, "%.4f", o->r.train_loss);
        cli_table_add(&t, "%s", cli_count_text(text, sizeof text, (double)o->r.parameters));
        cli_table_add(&t, "%llu", (unsigned long long)o->r.steps);
        cli_table_add(&t, "%s", cli_count_text(text, sizeof text, o->r.tokens_per_second));
        cli_table_add(&t, "%s", cli_time_text(text, sizeof text, o->r.seconds));
        cli_table_add(&t, "%s", o->diverged ? "diverged" : i == best ? "best" : "");
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static void print_source_table(const struct job *j) {
    char align[MOST_CELLS + 2] = "l", text[24];
    memset(align + 1, 'r', j->n_cells);
    align[j->n_cells + 1] = 0;
    cli_table t = cli_table_new(align);
    cli_table_add(&t, "source");
    for (size_t c = 0; c < j->n_cells; c++) cli_table_add(&t, "%s", j->cells[c]);
    for (size_t d = 0; d < j->n_data; d++) {
        cli_table_add(&t, "%s", j->o->train.files[d]);
        for (size_t c = 0; c < j->n_cells; c++) {
            const struct outcome *o = &j->outcome[d * j->n_cells + c];
            if (!o->done)
                cli_table_add(&t, "?");
            else if (o->diverged)
                cli_table_add(&t, "diverged");
            else if (o->r.solved)
                cli_table_add(&t, "solved, %s", cli_time_text(text, sizeof text, o->r.seconds));
            else
                cli_table_add(&t, "no, loss %.4f", o->r.best_valid_loss);
        }
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
    printf("solved: the time it took; no: the loss when the budget was used up\n");
}

/* Distances 1, 2, 5, 10, 20, 50 ... and the last. */
static void print_flow_table(const struct job *j, int when) {
    static const size_t digits[] = {1, 2, 5};
    char align[MOST_CELLS + 2] = "r";
    memset(align + 1, 'r', j->n_cells);
    align[j->n_cells + 1] = 0;
    cli_table t = cli_table_new(align);
    size_t n = j->flow[0].n;
    cli_table_add(&t, "distance");
    for (size_t c = 0; c < j->n_cells; c++) cli_table_add(&t, "%s", j->cells[c]);
    for (size_t k = 0, step = 1, digit = 0; k < n;) {
        cli_table_add(&t, "%zu", k);
        for (size_t c = 0; c < j->n_cells; c++) cli_table_add(&t, "%.2e", j->flow[c].norms[when][k]);
        if (k + 1 == n) break;
        k = digits[digit] * step;
        if (++digit == 3) {
            digit = 0;
            step *= 10;
        }
        if (k >= n) k = n - 1;
    }
    printf("\nnorm of dLoss/dstate at a distance in time from the loss: %s, %s training\n", j->flow_source,
           when ? "after" : "before");
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static rc_status draw_flow(const struct job *j, rc_error *e) {
    svg_series series[2 * MOST_CELLS];
    char names[2 * MOST_CELLS][80], subtitle[256];
    size_t n = 0;
    bool both = strcmp(j->o->gradient, "both") == 0;
    double *x = cli_alloc(MOST_DISTANCE * sizeof *x);
    for (size_t i = 0; i < MOST_DISTANCE; i++) x[i] = (double)i;
    for (int when = 1; when >= 0; when--)
        for (size_t c = 0; c < j->n_cells && wants_flow(j->o, when); c++, n++) {
            snprintf(names[n], sizeof names[n], "%s%s", j->cells[c], !both ? "" : when ? ", trained" : ", untrained");
            series[n] = (svg_series){names[n], x, j->flow[c].norms[when], j->flow[c].n, c, both ? !when : c};
        }
    snprintf(subtitle, sizeof subtitle, "%s, %lld x %lld%s", j->flow_source, (long long)j->o->train.layers,
             (long long)j->o->train.hidden,
             both                  ? ""
             : wants_flow(j->o, 1) ? ", after training"
                                   : ", before training");
    svg_chart chart = {.title = "How far back the gradient reaches",
                       .subtitle = subtitle,
                       .x_label = "distance from the loss, time steps",
                       .y_label = "norm of the gradient of the state",
                       .log_y = true,
                       .series = series,
                       .n_series = n};
    rc_status s = svg_write(j->o->gradient_svg, &chart, e);
    free(x);
    return s;
}

/* ---- scores by length -------------------------------------------------------------------------------------------- */

static double number_in(const json_t *row, const char *key) {
    const json_t *v = json_object_get(row, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* All models are scored on the same pairs, so they have the same rows. */
static void print_lengths(const struct job *j) {
    char align[MOST_CELLS + 3] = "lr";
    const json_t *rows = NULL;
    for (size_t i = 0; i < j->n_cells; i++) {
        align[i + 2] = 'r';
        align[i + 3] = 0;
        if (!rows) rows = json_object_get(j->outcome[i].test, "by_length");
    }
    if (!rows) return;
    cli_table t = cli_table_new(align);
    printf("\nBLEU on %s by words of the source\n", j->o->test ? j->o->test : j->o->train.valid);
    cli_table_add(&t, "words");
    cli_table_add(&t, "pairs");
    for (size_t i = 0; i < j->n_cells; i++) cli_table_add(&t, "%s", j->cells[i]);
    for (size_t r = 0; r <= json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        cli_table_add(&t, "%s", row ? json_string_value(json_object_get(row, "source_words")) : "all");
        cli_table_add(&t, "%.0f", row ? number_in(row, "pairs") : number_in(j->outcome[0].test, "pairs"));
        for (size_t i = 0; i < j->n_cells; i++) {
            const json_t *test = j->outcome[i].test, *mine = json_array_get(json_object_get(test, "by_length"), r);
            double bleu = number_in(row ? mine : test, "bleu");
            isfinite(bleu) ? cli_table_add(&t, "%.2f", bleu) : cli_table_add(&t, "-");
        }
    }
    cli_table_print(&t, stdout);
    cli_table_free(&t);
}

static rc_status draw_lengths(const struct job *j, rc_error *e) {
    enum { MOST_ROWS = 32 };
    static double x[MOST_CELLS][MOST_ROWS], y[MOST_CELLS][MOST_ROWS];
    svg_series series[MOST_CELLS];
    char subtitle[256];
    for (size_t i = 0; i < j->n_cells; i++) {
        const json_t *rows = json_object_get(j->outcome[i].test, "by_length");
        size_t n = json_array_size(rows) < MOST_ROWS ? json_array_size(rows) : MOST_ROWS;
        for (size_t r = 0; r < n; r++) {
            x[i][r] = number_in(json_array_get(rows, r), "mean_words");
            y[i][r] = number_in(json_array_get(rows, r), "bleu");
        }
        series[i] = (svg_series){j->cells[i], x[i], y[i], n, i, i / 8};
    }
    snprintf(subtitle, sizeof subtitle, "%s, %lld x %lld, after training", j->o->test ? j->o->test : j->o->train.valid,
             (long long)j->o->train.layers, (long long)j->o->train.hidden);
    svg_chart chart = {.title = "BLEU by length of the source",
                       .subtitle = subtitle,
                       .x_label = "words of the source",
                       .y_label = "BLEU",
                       .series = series,
                       .n_series = j->n_cells};
    return svg_write(j->o->length_svg, &chart, e);
}

static json_t *outcome_json(const struct outcome *o, bool lm) {
    json_t *j = cli_result_json(&o->r);
    json_object_set_new(j, "cell", json_string(o->cell));
    json_object_set_new(j, "loss", cli_json_real(loss_of(o)));
    if (lm)
        json_object_set_new(j, "perplexity", cli_json_real(exp(loss_of(o))));
    else
        json_object_set_new(j, "measure", json_string(*o->r.measure ? o->r.measure : "accuracy"));
    json_object_set_new(j, "diverged", json_boolean(o->diverged));
    if (o->data) json_object_set_new(j, "source", json_string(o->data));
    if (o->v->attention) {
        json_object_set_new(j, "cell", json_string(o->v->cell));
        json_object_set_new(j, "attention", json_string(o->v->attention));
    }
    if (o->test) json_object_set(j, "test", o->test);
    json_object_del(j, "run");
    json_object_del(j, "model");
    return j;
}

static void print_json(const struct job *j) {
    json_t *results = json_array(), *files = json_array(), *root = json_object();
    for (size_t i = 0; i < j->o->train.n_files; i++) json_array_append_new(files, json_string(j->o->train.files[i]));
    for (size_t i = 0; i < j->n_cells * j->n_data; i++)
        if (j->outcome[i].done) json_array_append_new(results, outcome_json(&j->outcome[i], is_lm(&j->o->train)));
    json_object_set_new(root, "data", files);
    json_object_set_new(root, "time", cli_json_real(j->o->train.time));
    json_object_set_new(root, "steps", json_integer(j->o->train.steps));
    json_object_set_new(root, "epochs", cli_json_real(j->o->train.epochs));
    json_object_set_new(root, "threads", json_integer(rc_threads()));
    json_object_set_new(root, "results", results);
    if (j->flow_source) {
        json_t *flow = json_pack("{s:s}", "source", j->flow_source);
        for (int when = 0; when < 2; when++) {
            json_t *cells = json_object();
            for (size_t c = 0; c < j->n_cells && wants_flow(j->o, when); c++) {
                json_t *norms = json_array();
                for (size_t k = 0; k < j->flow[c].n; k++)
                    json_array_append_new(norms, cli_json_real(j->flow[c].norms[when][k]));
                json_object_set_new(cells, j->cells[c], norms);
            }
            if (wants_flow(j->o, when)) json_object_set(flow, flow_when[when], cells);
            json_decref(cells);
        }
        json_object_set_new(root, "gradient", flow);
    }
    cli_print_json(root);
}

/* Runs of a comparison are thrown away unless --run keeps them. */
static rc_status make_folder(struct job *j, rc_error *e) {
    if (j->o->train.run) {
        snprintf(j->folder, sizeof j->folder, "%s", j->o->train.run);
        return RC_OK;
    }
    cli_temporary(j->folder, sizeof j->folder, "compare");
    return mkdtemp(j->folder)
               ? RC_OK
               : rc_fail(e, RC_EIO, "%s: a temporary folder cannot be made (TMPDIR sets its place)", j->folder);
}

/* What one cell would refuse is told before another has spent its time. */
static rc_status check_all(const struct job *j, rc_error *e) {
    for (size_t i = 0; i < j->n_cells; i++) {
        rc_train_options o = j->o->train;
        rc_error why = {RC_OK, ""};
        set_cell(&o, &j->variant[i]);
        rc_status s = rc_train_check(&o, &why);
        if (s)
            return rc_fail(e, s, "--%s: %s: %s", j->variant[i].attention ? "attention" : "cells", j->cells[i],
                           why.text);
    }
    return RC_OK;
}

static int run(cli_args *a) {
    struct job j = {.o = a->options, .args = a};
    rc_error e = {RC_OK, ""};
    const rc_train_options *t = &j.o->train;
    bool sources = is_lm(t) && cli_is_source(t->files[0]);
    bool gradient = strcmp(j.o->gradient, "none") != 0;
    if (split_cells(j.o->cells, cli_has_encoder(t), gradient, j.cells, &j.n_cells, &e)) return cli_fail(a->command, &e);
    if (cli_check_effect(a, t, j.cells, j.n_cells, &e)) return cli_fail(a->command, &e);
    if (make_variants(&j, &e)) return cli_fail(a->command, &e);
    if (check_all(&j, &e)) return cli_fail(a->command, &e);
    if (make_folder(&j, &e)) return cli_fail(a->command, &e);
    j.n_data = sources ? t->n_files : 1;
    j.outcome = cli_alloc(j.n_data * j.n_cells * sizeof *j.outcome);
    j.progress = cli_progress_new(t->quiet);
    cli_catch_interrupts();
    rc_status s = RC_OK;
    for (size_t i = 0; i < j.n_data * j.n_cells && !s; i++) {
        j.outcome[i].v = &j.variant[i % j.n_cells];
        j.outcome[i].cell = j.cells[i % j.n_cells];
        j.outcome[i].data = sources ? t->files[i / j.n_cells] : NULL;
        s = train_one(&j, &j.outcome[i], &e);
    }
    cli_progress_done(&j.progress);
    if (!s && strcmp(j.o->gradient, "none") != 0) s = measure_flow(&j, &e);
    if (!s && j.o->gradient_svg) s = draw_flow(&j, &e);
    if (!s && j.o->length_svg) s = draw_lengths(&j, &e);
    bool some = j.outcome[0].done;
    if (some && t->json) {
        print_json(&j);
    } else if (some) {
        sources ? print_source_table(&j) : is_lm(t) ? print_text_table(&j) : print_task_table(&j);
        print_lengths(&j);
        for (int when = 0; when < 2 && !s && j.flow_source; when++)
            if (wants_flow(j.o, when)) print_flow_table(&j, when);
    }
    for (size_t c = 0; c < j.n_cells; c++) {
        free(j.flow[c].norms[0]);
        free(j.flow[c].norms[1]);
    }
    for (size_t i = 0; i < j.n_data * j.n_cells; i++) json_decref(j.outcome[i].test);
    free(j.outcome);
    if (!t->run) rmdir(j.folder);
    if (s == RC_EINTERRUPTED) /* its own message names a run that is not kept */
        rc_fail(&e, s, "interrupted; %s", some ? "what was finished is above" : "nothing was finished");
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_compare = {
    .name = "compare",
    .tasks = "lm classify regress tag forecast detect translate summarize chat answer",
    .usage = "compare TASK FILE... --cells LIST [OPTIONS OF train]\ncompare lm SOURCE... --cells LIST [--gradient-svg "
             "FILE]\n"
             "compare translate SRC REF --attention LIST [--test FILE] [OPTIONS]",
    .summary = "the same data and budget for several cells",
    .text =
        "Trains each cell in turn on the same data, with the same seed and budget (--time, --steps or --epochs of "
        "each; the task's own, or 60 seconds), and prints what each reached. Tasks with --encoder compare cnn and bow "
        "too.\n\n"
        "With sources such as adding:T=100 each source is an experiment; the table tells which cell solves which. "
        "--gradient adds the norm of the loss's gradient at the state against the distance in time, on the longest "
        "source, before and after training (for which each cell is trained once more): where it vanishes, a cell "
        "cannot learn.\n\n"
        "Of a task that writes, --attention none,additive,... trains each kind (with each of --cells, or the task's "
        "own), scores "
        "them on --test (else --valid) and prints BLEU by length of the source: what the bottleneck of one vector "
        "costs.",
    .examples = "compare lm book.txt --cells rnn,lstm,gru --time 60s\n"
                "compare classify reviews.csv --cells lstm,gru,cnn,bow\n"
                "compare lm adding:T=50 adding:T=100 --cells rnn,lstm,gru --hidden 64 --layers 1 --time 60s\n"
                "compare lm adding:T=200 --cells rnn,lstm,gru --steps 100 --gradient-svg gradient.svg\n"
                "compare translate train.en train.de --attention none,general --test test.en --test-target test.de "
                "--length-svg length.svg",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct compare_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
