/* tune_space.c - which options a search draws, and how.
 *
 *     space  = entry { blank entry }
 *     entry  = NAME "=" ( number ".." number | value { "," value } )
 *
 * Rates and whole numbers of a range that begins above 0 are drawn by their logarithm, since what matters there is a
 * factor; other numbers evenly (Bergstra and Bengio 2012, "Random search for hyper-parameter optimization", section 2).
 * */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/options.h"
#include "train/tune.h"

static const rc_option *find(const char *name) {
    size_t n;
    const rc_option *t = rc_train_option_table(&n);
    return rc_option_find(t, n, name);
}

static bool among(const char *const *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}
#define AMONG(list, name) among(list, sizeof(list) / sizeof *(list), name)

/* Options that say how to train. What is trained on and for, and where it goes, is the user's: another vocabulary or
 * horizon makes another loss, which cannot be compared. Lists with commas have no place in the grammar. */
static bool can_be_searched(const rc_option *o) {
    static const char *const groups[] = {"Model", "Regularization", "Optimization"};
    static const char *const not_these[] = {"preset",    "kernels",      "vectors",    "target-cap",
                                            "scheme",    "joint-intent", "horizon",    "season",
                                            "quantiles", "threshold",    "likelihood", "full-bptt"};
    static const char *const these_too[] = {"min-count", "max-len", "lowercase"};
    return AMONG(these_too, o->name) || (AMONG(groups, o->group) && !AMONG(not_these, o->name));
}

static bool is_number(const rc_option *o) { return o->type == RC_OPT_INT || o->type == RC_OPT_REAL; }

static double number_of(const rc_option *o, const rc_train_options *t) {
    const char *at = (const char *)t + o->offset;
    return o->type == RC_OPT_INT ? (double)*(const int64_t *)at : *(const double *)at;
}

static void put_number(const rc_option *o, rc_train_options *t, double v) {
    char *at = (char *)t + o->offset;
    if (o->type == RC_OPT_INT)
        *(int64_t *)at = (int64_t)v;
    else
        *(double *)at = v;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rc_status take_value(const rc_option *o, const char *value, rc_train_options *into, rc_error *e) {
    char where[96];
    snprintf(where, sizeof where, "search: %s", o->name);
    if (!*value) return rc_fail(e, RC_EINVAL, "%s: expected a value, found none", where);
    return rc_option_set(o, into, value, where, e);
}

/* Three figures are enough, and short on a command line. */
static double round_3(double v) {
    if (v == 0) return 0;
    double digits = 2 - floor(log10(fabs(v)));
    if (digits >= 0) return round(v * pow(10, digits)) / pow(10, digits);
    return round(v / pow(10, -digits)) * pow(10, -digits);
}

static rc_status take_range(rc__dim *d, char *low, char *high, rc_error *e) {
    static const char *const rates[] = {"lr", "weight-decay", "eps", "clip", "clip-value"};
    rc_train_options scratch = rc_train_options_default();
    const rc_option *o = d->option;
    rc_status s = take_value(o, low, &scratch, e);
    if (s == RC_OK) d->low = number_of(o, &scratch);
    if (s == RC_OK) s = take_value(o, high, &scratch, e);
    if (s == RC_OK) d->high = number_of(o, &scratch);
    if (s == RC_OK && !(d->low < d->high))
        s = rc_fail(e, RC_EINVAL, "search: %s: expected a range from a smaller to a larger number, found %.40s..%.40s",
                    o->name, low, high);
    d->range = true;
    d->log = d->low > 0 && (o->type == RC_OPT_INT || AMONG(rates, o->name));
    return s;
}

static rc_status take_values(rc__dim *d, char *list, rc_error *e) {
    rc_train_options scratch = rc_train_options_default();
    for (char *p = list, *next; p; p = next) {
        next = strchr(p, ',');
        if (next) *next++ = 0;
        if (d->n == RC__SPACE_VALUES)
            return rc_fail(e, RC_EINVAL, "search: %s: expected at most %d values", d->option->name, RC__SPACE_VALUES);
        if (among(d->value, d->n, p))
            return rc_fail(e, RC_EINVAL, "search: %s: %.60s is named twice", d->option->name, p);
        rc_status s = take_value(d->option, p, &scratch, e);
        if (s != RC_OK) return s;
        d->value[d->n++] = p;
    }
    return RC_OK;
}

static bool kept_by_model(const rc_option *o, const rc_train_options *t) {
    static const char *const still_read[] = {"weight-decay", "label-smoothing", "word-dropout"};
    return t->from && strcmp(o->group, "Optimization") != 0 && !AMONG(still_read, o->name);
}

static rc_status find_searched(const rc__space *sp, const rc_train_options *o, const char *name, const rc_option **out,
                               rc_error *e) {
    size_t n;
    const rc_option *table = rc_train_option_table(&n), *option = rc_option_find(table, n, name);
    *out = option;
    if (!option) {
        const char *near = rc_option_suggest(table, n, name);
        return rc_fail(e, RC_EINVAL,
                       near ? "search: unknown option \"%.60s\"; did you mean %s?" : "search: unknown option \"%.60s\"",
                       name, near);
    }
    if (!can_be_searched(option))
        return rc_fail(e, RC_EINVAL, "search: %s cannot be searched: it is given once, for all trials", name);
    if (!rc_train_option_is_for(name, o->task))
        return rc_fail(e, RC_EINVAL, "search: %s is not read by task %s", name, o->task);
    if (kept_by_model(option, o))
        return rc_fail(e, RC_EINVAL, "search: %s has no effect with --from: the model's own is kept", name);
    if (o->given && among(o->given, o->n_given, name))
        return rc_fail(e, RC_EINVAL, "search: %s is also given as an option of its own; leave one of them out", name);
    for (size_t i = 0; i < sp->n; i++)
        if (sp->dim[i].option == option) return rc_fail(e, RC_EINVAL, "search: %s is named twice", name);
    return RC_OK;
}

static rc_status take_entry(rc__space *sp, const rc_train_options *o, char *entry, rc_error *e) {
    char *equals = strchr(entry, '='), *dots;
    if (!equals || equals == entry)
        return rc_fail(
            e, RC_EINVAL,
            "search: expected entries such as lr=1e-4..1e-2 or hidden=64,128 with blanks between, found \"%.60s\"",
            entry);
    if (sp->n == RC__SPACE_OPTIONS)
        return rc_fail(e, RC_EINVAL, "search: expected at most %d options", RC__SPACE_OPTIONS);
    rc__dim *d = &sp->dim[sp->n];
    *equals = 0;
    rc_status s = find_searched(sp, o, entry, &d->option, e);
    if (s != RC_OK) return s;
    dots = is_number(d->option) ? strstr(equals + 1, "..") : NULL;
    if (dots) *dots = 0;
    s = dots ? take_range(d, equals + 1, dots + 2, e) : take_values(d, equals + 1, e);
    if (s == RC_OK) sp->n++;
    return s;
}

/* ---- the task's own space ---------------------------------------------------------------------------------------- */

static bool is_free(const rc_train_options *o, const char *name) {
    return rc_train_option_is_for(name, o->task) && !kept_by_model(find(name), o) &&
           !(o->given && among(o->given, o->n_given, name));
}

static void append(rc__space *sp, const char *format, ...) {
    size_t n = strlen(sp->text);
    va_list ap;
    va_start(ap, format);
    if (n && n + 1 < sizeof sp->text) sp->text[n++] = ' ';
    vsnprintf(sp->text + n, sizeof sp->text - n, format, ap);
    va_end(ap);
}

/* name=A..B around v, as options write numbers: with a point in every locale. */
static void append_around(rc__space *sp, const char *name, double v, double factor) {
    char low[48], high[48];
    rc_train_options scratch;
    const rc_option *o = find(name);
    put_number(o, &scratch, round_3(v / factor));
    rc_option_get(o, &scratch, low, sizeof low);
    put_number(o, &scratch, round_3(v * factor));
    rc_option_get(o, &scratch, high, sizeof high);
    append(sp, "%s=%s..%s", name, low, high);
}

static void append_halves(rc__space *sp, const rc_train_options *o, const char *name) {
    int64_t v = (int64_t)number_of(find(name), o);
    if (is_free(o, name) && v > 1)
        append(sp, "%s=%lld,%lld,%lld", name, (long long)v / 2, (long long)v, (long long)(2 * v));
}

/* What is worth trying first, around the task's defaults: the rate, the size, and how much it is held back. */
static void own_space(rc__space *sp, const rc_train_options *o) {
    bool lm = strcmp(o->task, "lm") == 0, encoder = rc_train_option_is_for("encoder", o->task);
    bool cnn = encoder && strcmp(o->encoder, "cnn") == 0, bow = encoder && strcmp(o->encoder, "bow") == 0;
    bool words = lm ? !o->tied : rc_train_option_is_for("chars", o->task) && !o->data.numeric && !o->vectors;
    if (is_free(o, "lr")) append_around(sp, "lr", rc__train_lr(o), 5);
    bool answers = rc_train_option_is_for("hops", o->task), looks = answers && strcmp(o->model, "recurrent") != 0;
    if (!cnn && !bow && !looks) append_halves(sp, o, "hidden");
    if (looks && is_free(o, "hops")) append(sp, "hops=0,2,3"); /* 0 is the own of the kind of network */
    if (answers && is_free(o, "embedding")) append(sp, "embedding=0,20,50");
    if (!cnn && !bow && !looks && is_free(o, "layers")) append(sp, o->layers > 1 ? "layers=1,2,3" : "layers=1,2");
    if (cnn) append_halves(sp, o, "filters");
    if (words) append_halves(sp, o, "embedding");
    if (is_free(o, "dropout")) append(sp, "dropout=0..0.6");
    if (is_free(o, "dropout-input") && o->dropout_input > 0) append(sp, "dropout-input=0..0.5");
    /* none by default is a choice of the task */
    if (is_free(o, "weight-decay") && o->weight_decay > 0) append_around(sp, "weight-decay", o->weight_decay, 10);
    /* Of so many steps a larger batch is simply more training; and a language model validates in as many rows, each of
     * which begins without context, so that its losses could not be compared. */
    if (o->steps == 0 && !lm) append_halves(sp, o, "batch");
}

rc_status rc__space_make(rc__space *out, const rc_train_options *o, const char *search, rc_error *e) {
    *out = (rc__space){.n = 0};
    if (!search) own_space(out, o);
    if (search && strlen(search) >= sizeof out->text)
        return rc_fail(e, RC_EINVAL, "search: expected at most %zu bytes, found %zu", sizeof out->text - 1,
                       strlen(search));
    if (search) memcpy(out->text, search, strlen(search) + 1);
    memcpy(out->strings, out->text, sizeof out->strings);
    rc_status s = RC_OK;
    for (char *p = out->strings; s == RC_OK && *p;) {
        size_t blanks = strspn(p, " \t\r\n"), n = strcspn(p + blanks, " \t\r\n");
        char *entry = p + blanks;
        p = entry + n;
        if (*p) *p++ = 0;
        if (n) s = take_entry(out, o, entry, e);
    }
    if (s == RC_OK && out->n == 0)
        s = rc_fail(e, RC_EINVAL,
                    "search: nothing is left to search: expected entries such as lr=1e-4..1e-2 hidden=64,128");
    return s;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static bool contains(const rc__dim *d, const rc_train_options *o) {
    char text[256];
    if (d->range) return number_of(d->option, o) >= d->low && number_of(d->option, o) <= d->high;
    rc_option_get(d->option, o, text, sizeof text);
    for (size_t i = 0; i < d->n; i++) {
        rc_train_options other = *o; /* 0.10 is 0.1 */
        char value[256];
        if (rc_option_set(d->option, &other, d->value[i], NULL, NULL) != RC_OK) continue;
        rc_option_get(d->option, &other, value, sizeof value);
        if (strcmp(text, value) == 0) return true;
    }
    return false;
}

static double draw_number(const rc__dim *d, double u) {
    bool whole = d->option->type == RC_OPT_INT;
    double high = whole ? d->high + 1 : d->high; /* floor gives each whole number its share */
    double v = d->log ? d->low * pow(high / d->low, u) : d->low + (high - d->low) * u;
    v = whole ? floor(v) : round_3(v);
    return fmin(fmax(v, d->low), d->high);
}

rc_status rc__space_draw(const rc__space *sp, rc_rng *rng, bool keep, rc_train_options *o, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; s == RC_OK && i < sp->n; i++) {
        const rc__dim *d = &sp->dim[i];
        double u = rc_rng_uniform(rng);
        if (strcmp(d->option->name, "lr") == 0 && o->lr == 0)
            o->lr = rc__train_lr(o); /* by its number */
        if (keep && contains(d, o)) continue;
        if (d->range)
            put_number(d->option, o, draw_number(d, u));
        else
            s = rc_option_set(d->option, o, d->value[(size_t)(u * (double)d->n)], NULL, e);
    }
    return s;
}

void rc__space_settings(const rc__space *sp, const rc_train_options *o, char *out, size_t cap) {
    size_t at = 0;
    char value[256];
    out[0] = 0;
    for (size_t i = 0; i < sp->n && at < cap; i++) {
        rc_option_get(sp->dim[i].option, o, value, sizeof value);
        at += (size_t)snprintf(out + at, cap - at, "%s%s=%s", i ? " " : "", sp->dim[i].option->name, value);
    }
}
