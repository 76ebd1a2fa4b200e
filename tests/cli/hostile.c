/* hostile.c - every option of every command with values that no one should give. Walks the program's own tables.
 *
 * Each case is a command that works and is small, with one option more, in a process of its own (forked, with the sources
 * of cli/ linked in: thousands of cases in seconds). It must end by itself, with a documented exit code; refuse what
 * breaks the option's type, limits or choices with a message that names the option and shows the value; and leave
 * nothing behind when it refused. RECUR_TEST_EFFORT=2 and more also runs what is legal, and all of it for plan and compare.
 *
 *   hostile [COMMAND [OPTION]]   those cases alone, each printed
 */
#undef main
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "../sanitized.h"
#include "../temporary.h"
#include "../test_effort.h"

int recur_main(int argc, char **argv);

enum { MOST_WORDS = 64, CPU_SECONDS = SANITIZED ? 300 : 60, WALL_SECONDS = 600, MOST_MESSAGE = 8192 };
static const size_t address_space = (size_t)6 << 30, most_resident = (size_t)1 << 30;

static char here[256], out_name[320], err_name[320];
static char err_text[65536];
static size_t cases, failures;
static int effort = 1;
static bool verbose;

/* ---- one case --------------------------------------------------------------------------------------------------- */

typedef struct line {
    const char *word[MOST_WORDS];
    int n;
} line;

static void add(line *l, const char *word) {
    if (l->n + 1 < MOST_WORDS) l->word[l->n++] = word;
}

static void print_line(const line *l) {
    for (int i = 0; i < l->n; i++) printf(" '%.60s%s'", l->word[i], strlen(l->word[i]) > 60 ? "..." : "");
    printf("\n");
}

static void complain(const line *l, const char *format, ...) {
    va_list ap;
    failures++;
    printf("FAILED: ");
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    printf("\n  recur");
    print_line(l);
    printf("  %.400s\n", err_text);
}

static void put_file(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(name);
        exit(1);
    }
}

/* What the working folder holds beside these, and one level below; removed when asked to. Returns how many. */
static const char *const kept[] = {".", "..", "text.txt", "model", "detector", "rows.csv", "texts.tsv", "series.csv", "tags.conll",
                                   "stories.txt", "sorter", "pairs.tsv", "talk.txt", "writer", "bot", "folder"};
static size_t strangers(const char *dir, bool remove_them, char *first, size_t cap) {
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool known = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        for (size_t i = 0; strcmp(dir, ".") == 0 && i < sizeof kept / sizeof *kept; i++) known |= !strcmp(kept[i], e->d_name);
        if (known) continue;
        if (n++ == 0) snprintf(first, cap, "%s/%s", dir, e->d_name);
        if (!remove_them) continue;
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path) != 0) {
            char below[2048];
            strangers(path, true, below, sizeof below);
            rmdir(path);
        }
    }
    if (d) closedir(d);
    return n;
}

static void in_child(const line *l) {
    struct rlimit space = {address_space, address_space}, cpu = {CPU_SECONDS, CPU_SECONDS}, core = {0, 0};
    char *argv[MOST_WORDS + 2];
    static char program[] = "recur";
    argv[0] = program;
    for (int i = 0; i < l->n; i++) argv[i + 1] = strdup(l->word[i]);
    argv[l->n + 1] = NULL;
    int in = open("/dev/null", O_RDONLY), out = open(out_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(err_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(99);
    close(in);
    close(out);
    close(err);
    setrlimit(RLIMIT_CORE, &core);
    setrlimit(RLIMIT_CPU, &cpu);
    if (!SANITIZED) setrlimit(RLIMIT_AS, &space); /* a sanitizer's shadow is larger */
    alarm(WALL_SECONDS);
    exit(recur_main(l->n + 1, argv));
}

static void slurp(const char *name, char *text, size_t cap) {
    FILE *f = fopen(name, "r");
    size_t n = f ? fread(text, 1, cap - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
}

/* Runs it and checks what holds for every command line; returns the exit code, -1 when it did not end by itself. */
static int run(const line *l) {
    struct rusage usage;
    int status;
    cases++;
    if (verbose) print_line(l);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) in_child(l);
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {}
    slurp(err_name, err_text, sizeof err_text);
    char stranger[2048] = "";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (verbose) printf("   exit %d: %.300s\n", code, err_text);
    size_t left = strangers(".", false, stranger, sizeof stranger);
    if (!WIFEXITED(status))
        complain(l, "ended by signal %d after %ld s", WTERMSIG(status), (long)usage.ru_utime.tv_sec);
    else if (code > 4)
        complain(l, "exit code %d", code);
    else if (code != 0 && !*err_text)
        complain(l, "exit code %d without a word", code);
    else if (code == 0 && (strstr(stranger, ".tmp") != NULL))
        complain(l, "left %s behind", stranger);
    else if ((code == 2 || code == 4) && left > 0 && !strstr(stranger, "/run"))
        complain(l, "refused, but left %s", stranger);
    else if (strlen(err_text) > MOST_MESSAGE)
        complain(l, "a message of %zu bytes", strlen(err_text));
    else if ((size_t)usage.ru_maxrss << 10 > most_resident && !SANITIZED)
        complain(l, "took %ld MiB of memory", usage.ru_maxrss >> 10);
    if (left) strangers(".", true, stranger, sizeof stranger);
    return code;
}

/* ---- the commands that work --------------------------------------------------------------------------------------- */

#define TINY "--hidden=4", "--layers=1", "--threads=1"
#define TINY_RUN TINY, "--batch=2", "--seq-len=4", "--steps=2", "--time=1", "--quiet", "--sample-length=2"
static const struct base {
    const char *command;
    const char *word[16];
} bases[] = {
    {"train", {"train", "lm", "text.txt", "--run=run", TINY_RUN}},
    {"plan", {"plan", "lm", "text.txt", "--probe=0.1", TINY, "--batch=2", "--seq-len=4"}},
    {"compare", {"compare", "lm", "text.txt", "--cells=rnn", TINY_RUN}},
    {"tune",
     {"tune", "lm", "text.txt", "--run=run", "--trials=2", "--search=dropout=0,0.1", TINY, "--batch=2", "--seq-len=4",
      "--steps=2", "--time=9", "--quiet"}},
    {"eval", {"eval", "model", "text.txt", "--threads=1"}},
    {"predict", {"predict", "model", "--length=3", "--threads=1"}},
    {"chat", {"chat", "bot", "--threads=1"}},
    {"explain", {"explain", "model", "--threads=1"}},
    {"watch", {"watch", "detector", "rows.csv", "--threads=1"}},
    {"export", {"export", "model", "tokenizer.json"}},
    {"runs", {"runs", "--dir=."}},
    {"bench", {"bench", "rnn", TINY, "--batch=2", "--seq-len=4", "--time=0.01"}},
    {"help", {"help"}},
};

static line base_of(const char *command) {
    line l = {.n = 0};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        for (size_t k = 0; strcmp(bases[i].command, command) == 0 && bases[i].word[k]; k++) add(&l, bases[i].word[k]);
    return l;
}

/* The same for one option: with a task that reads it, or a model. */
static line base_for(const char *command, const rc_option *o) {
    static const char *const tasks[][3] = {{"classify", "texts.tsv"}, {"regress", "series.csv", "--target=y"}, {"tag", "tags.conll"},
                                           {"detect", "rows.csv"}, {"forecast", "rows.csv", "--target=1"},
                                           {"answer", "stories.txt"}, {"translate", "pairs.tsv"}, {"chat", "talk.txt"}};
    static const char *const tiny[] = {TINY, "--batch=2"}, *const run_it[] = {"--run=run", "--steps=2", "--time=1", "--quiet"};
    line l = base_of(command);
    bool trains = strcmp(command, "train") == 0, others = strcmp(command, "plan") == 0 || strcmp(command, "compare") == 0 ||
                                                          strcmp(command, "tune") == 0;
    bool uses = strcmp(command, "eval") == 0 || strcmp(command, "predict") == 0;
    if (uses && (strcmp(o->group, "Data") == 0 || strcmp(o->group, "Results") == 0)) {
        l = (line){.n = 0};
        add(&l, command), add(&l, "sorter"), add(&l, "texts.tsv"), add(&l, "--threads=1");
        return l;
    }
    if (uses && (strcmp(o->group, "Search") == 0)) {
        l = (line){.n = 0};
        add(&l, command), add(&l, "writer"), add(&l, "pairs.tsv"), add(&l, "--threads=1");
        return l;
    }
    if (!(trains || others) || rc_train_option_is_for(o->name, "lm")) return l;
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++) {
        if (!rc_train_option_is_for(o->name, tasks[t][0])) continue;
        l = (line){.n = 0};
        add(&l, command);
        for (size_t i = 0; i < 3 && tasks[t][i]; i++) add(&l, tasks[t][i]);
        for (size_t i = 0; i < 4 && strcmp(tasks[t][0], "detect") != 0; i++) add(&l, tiny[i]);
        for (size_t i = 0; i < 4 && trains; i++) add(&l, run_it[i]);
        return l;
    }
    return l;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

/* What a text is as a whole number, a number, a time: no number at all (NAN), or this. Written down here and not parsed,
 * so that the judge is not the judged. */
static char long_text[5001];
static const struct value {
    const char *text;
    double whole, real, time;
} values[] = {
    {"", NAN, NAN, NAN},
    {" ", NAN, NAN, NAN},
    {"x", NAN, NAN, NAN},
    {"1x", NAN, NAN, NAN},
    {"1 ", NAN, NAN, NAN},
    {" 1", NAN, NAN, NAN},
    {"1\n", NAN, NAN, NAN},
    {"1 2", NAN, NAN, NAN},
    {"0x10", NAN, NAN, NAN},
    {"0x1p3", NAN, NAN, NAN},
    {"1,5", NAN, NAN, NAN},
    {"1.5.2", NAN, NAN, NAN},
    {"1..2", NAN, NAN, NAN},
    {"--1", NAN, NAN, NAN},
    {"+-1", NAN, NAN, NAN},
    {"-", NAN, NAN, NAN},
    {"+", NAN, NAN, NAN},
    {".", NAN, NAN, NAN},
    {"e5", NAN, NAN, NAN},
    {"1e", NAN, NAN, NAN},
    {"nan", NAN, NAN, NAN},
    {"NaN", NAN, NAN, NAN},
    {"inf", NAN, NAN, NAN},
    {"-inf", NAN, NAN, NAN},
    {"infinity", NAN, NAN, NAN},
    {"1e400", NAN, NAN, NAN},
    {"-1e400", NAN, NAN, NAN},
    {"1kk", NAN, NAN, NAN},
    {"1e3k", NAN, NAN, NAN},
    {"99999999999999999999", NAN, 1e20, 1e20},
    {"-99999999999999999999", NAN, -1e20, NAN},
    {"9223372036854775808", NAN, 9223372036854775808.0, 9223372036854775808.0},
    {"9223372036854775807k", NAN, NAN, NAN},
    {"9223372036854775807", 9223372036854775807.0, 9223372036854775808.0, 9223372036854775808.0},
    {"-9223372036854775807", -9223372036854775807.0, -9223372036854775808.0, NAN},
    {"1e308", NAN, 1e308, 1e308},
    {"-1e308", NAN, -1e308, NAN},
    {"1e-400", NAN, 0, 0},
    {"0.5", NAN, 0.5, 0.5},
    {"1.0", NAN, 1, 1},
    {"-1", -1, -1, NAN},
    {"-0", 0, 0, NAN},
    {"0", 0, 0, 0},
    {"1", 1, 1, 1},
    {"1s", NAN, NAN, 1},
    {"1m1m", NAN, NAN, NAN},
    {"1s1h", NAN, NAN, NAN},
    {"-1s", NAN, NAN, NAN},
    {"3q", NAN, NAN, NAN},
    {long_text, NAN, NAN, NAN},
};

/* Legal at its limit, and then busy for as long as was asked: not run. */
static bool endless_at_limit(const char *command, const char *name) {
    static const char *const names[] = {"accumulate", "steps", "probe", "time", "length", "epochs", "sample-length"};
    if (strcmp(command, "bench") == 0 && strcmp(name, "hidden") != 0 && strcmp(name, "layers") != 0)
        return effort < 2 || strcmp(name, "threads") == 0; /* measures what it was told to, five times */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static bool limited(const rc_option *o) { return o->min != 0 || o->max != 0; }

/* --name=value behind the command that works. */
static int give(const char *command, const rc_option *o, const char *value, line *l, char *text, size_t cap) {
    snprintf(text, cap, "--%s=%s", o->name, value);
    *l = base_for(command, o);
    add(l, text);
    return run(l);
}

/* It must be refused, by name and with the value. */
static void refused(const char *command, const rc_option *o, const char *value) {
    char text[5200], shown[48];
    line l;
    int code = give(command, o, value, &l, text, sizeof text);
    bool path = o->type == RC_OPT_PATH_IN || o->type == RC_OPT_PATH_OUT;
    snprintf(text, sizeof text, "--%s", o->name);
    if (code < 0) return; /* said already */
    if (code != 2 && !(path && code == 4))
        complain(&l, "expected to be refused with exit code 2%s, found %d", path ? " or 4" : "", code);
    else if (!strstr(err_text, text))
        complain(&l, "the message does not name %s", text);
    snprintf(shown, sizeof shown, "%.40s", value);
    shown[strcspn(shown, "\n")] = 0; /* controls are shown escaped */
    if (code > 0 && !strstr(err_text, shown)) complain(&l, "the message does not show the value");
}

/* It may be taken or refused (by another rule: what a cell or a model has), but must be told: by the option's name, as
 * the library has it (zoneout_c), by the name of the file, or as out of memory. */
static void told(const char *command, const rc_option *o, const char *value) {
    char text[5200], field[64];
    line l;
    int code = give(command, o, value, &l, text, sizeof text);
    snprintf(field, sizeof field, "%s", o->name);
    for (char *p = field; *p; p++)
        if (*p == '-') *p = '_';
    bool path = o->type == RC_OPT_PATH_IN || o->type == RC_OPT_PATH_OUT;
    if (code > 0 && !strstr(err_text, o->name) && !strstr(err_text, field) && !strstr(err_text, "out of memory") &&
        !(sizeof(size_t) == 4 && strstr(err_text, "too large")) && !(path && strstr(err_text, value)))
        complain(&l, "exit %d, and the message names neither the option nor memory", code);
}

static void try_number(const char *command, const rc_option *o) {
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct value *v = &values[i];
        double x = o->type == RC_OPT_INT ? v->whole : o->type == RC_OPT_REAL ? v->real : v->time;
        bool legal = !isnan(x) && (!limited(o) || (x >= o->min && x <= o->max));
        if (!legal)
            refused(command, o, v->text);
        else if (effort > 1 && !endless_at_limit(command, o->name))
            told(command, o, v->text);
    }
    if (!limited(o)) return;
    char text[64];
    const char *format = o->type == RC_OPT_INT ? "%.0f" : "%.17g";
    snprintf(text, sizeof text, format, o->type == RC_OPT_INT ? o->min - 1 : o->min - 0.001 - fabs(o->min) * 1e-6);
    refused(command, o, text);
    if (o->max < 1e15) {
        snprintf(text, sizeof text, format, o->type == RC_OPT_INT ? o->max + 1 : o->max + 0.001 + fabs(o->max) * 1e-6);
        refused(command, o, text);
    }
    snprintf(text, sizeof text, format, o->min);
    told(command, o, text);
    snprintf(text, sizeof text, format, o->max);
    if (!SANITIZED && !endless_at_limit(command, o->name)) told(command, o, text); /* absurd, within limits: memory is the answer */
}

static void try_choice(const char *command, const rc_option *o) {
    char word[64];
    const char *const wrong[] = {"", " ", "nothing-like-it", "\xff\xfe", long_text};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (strcmp(wrong[i], "\xff\xfe") == 0) {
            char text[5200];
            line l;
            if (give(command, o, wrong[i], &l, text, sizeof text) != 2) complain(&l, "expected exit code 2");
        } else {
            refused(command, o, wrong[i]);
        }
    }
    refused(command, o, o->choices); /* all of them are none of them, unless there is one */
    for (const char *p = o->choices; *p;) {
        size_t n = strcspn(p, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        told(command, o, word);
        snprintf(word, sizeof word, "%.*sx", (int)n, p); /* one letter more, in capitals */
        refused(command, o, word);
        snprintf(word, sizeof word, "%c%.*s", *p >= 'a' ? *p - 32 : '_', (int)n - 1, p + 1);
        refused(command, o, word);
        p += n;
        p += strspn(p, " ");
    }
    snprintf(word, sizeof word, "%.2s", o->choices); /* a prefix is no choice */
    refused(command, o, word);
}

static void try_path(const char *command, const rc_option *o) {
    const char *const both[] = {"", "missing/file", "folder", ".", "/", "text.txt/x", long_text};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) refused(command, o, both[i]);
    if (o->type == RC_OPT_PATH_OUT) {
        refused(command, o, "missing/");
        refused(command, o, "text.txt"); /* is read */
        told(command, o, "new");
        told(command, o, "/dev/null");
        struct stat st;
        told(command, o, "/dev/full");
        if (stat("/dev/full", &st) != 0 || !S_ISCHR(st.st_mode)) { /* nothing may be put in its place */
            printf("FAILED: %s --%s replaced a device\n", command, o->name);
            failures++;
        }
        return;
    }
    refused(command, o, "missing");
    told(command, o, "text.txt");
    char text[64];
    line l;
    if (give(command, o, "/dev/null", &l, text, sizeof text) == 0 && strcmp(o->name, "config") != 0 &&
        strcmp(o->name, "valid") != 0)
        complain(&l, "an empty file was taken");
    int code = give(command, o, "/dev/zero", &l, text, sizeof text);
    if (code < 2) complain(&l, "expected to be refused, found exit code %d", code);
    if (getuid() == 0) return; /* root reads what is unreadable */
    put_file("secret", "x");
    chmod("secret", 0);
    refused(command, o, "secret");
}

/* Texts with a grammar of their own in some option: none may do worse than be refused. */
static void try_string(const char *command, const rc_option *o) {
    static const char *const texts[] = {
        "", " ", "\xff\xfe", "\n", ",", "=", "x=", "=1", "*=nan", "*=1e999", "*=-1", "*=1,", "*=1x", "[", "***************x",
        "%s%n%d", "bpe", "bpe:", "bpe:0", "bpe:-1", "bpe:1x", "bpe:300", "bpe:1000000000", "bpe:99999999999999999999", "word:",
        "word:0", "word:-1", "word:1e3", "word:99999999999999999999", "bytes", "lstm,", ",lstm", "lstm,lstm", "all,rnn",
        "missing.json", "folder", "/dev/null", "/dev/zero", "text.txt", "\\", "\\x", "'", "\"", long_text};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[5200];
        line l;
        give(command, o, texts[i], &l, text, sizeof text);
    }
}

static void try_bool(const char *command, const rc_option *o) {
    static const char *const wrong[] = {"", " ", "maybe", "2", "-1", "TRUE", "t", "truefalse", "true false", long_text};
    bool common = strcmp(o->name, "help") == 0; /* wins over everything, whatever it is said to be */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong && !common; i++) refused(command, o, wrong[i]);
    static const char *const right[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};
    for (size_t i = 0; i < (effort > 1 ? 8 : 2) && !common; i++) told(command, o, right[i]);
    char text[128];
    line l = base_for(command, o);
    snprintf(text, sizeof text, "--no-%s=true", o->name);
    add(&l, text);
    int code = run(&l);
    if (code != 2 || !strstr(err_text, o->name)) complain(&l, "expected exit code 2 and the name, found %d", code);
}

/* What is wrong beside the value: none, a name that is nearly this one, twice. */
static void try_name(const char *command, const rc_option *o) {
    char text[128], name[128];
    line l = base_for(command, o);
    snprintf(name, sizeof name, "--%s", o->name);
    add(&l, name);
    if (o->type != RC_OPT_BOOL) {
        int code = run(&l);
        if (code != 2 || !strstr(err_text, name)) complain(&l, "an option without its value: exit code %d", code);
    }
    size_t n = strlen(o->name);
    if (n < 4) return;
    l = base_for(command, o);
    snprintf(text, sizeof text, "--%.*sq%s=1", (int)n / 2, o->name, o->name + n / 2); /* one letter too many */
    add(&l, text);
    int code = run(&l);
    if (code != 2 || !strstr(err_text, "did you mean --")) complain(&l, "no name was suggested: exit code %d", code);
}

static void try_option(const char *command, const rc_option *o) {
    size_t n;
    const rc_option *train = rc_train_option_table(&n);
    if (cli_command_find(command)->tasks && !rc_train_option_is_for(o->name, "lm")) { /* what lm does not read it says */
        char text[128];
        line l = base_of(command);
        snprintf(text, sizeof text, "--%s=1", o->name);
        add(&l, text);
        if (run(&l) != 2 || !strstr(err_text, o->name) || !strstr(err_text, "not for lm"))
            complain(&l, "expected to be told that it is for other tasks");
    }
    /* plan, compare and tune take train's entries as they are: once through the parser will do. */
    if (effort < 2 && strcmp(command, "train") != 0 && rc_option_find(train, n, o->name) &&
        (strcmp(command, "plan") == 0 || strcmp(command, "compare") == 0 || strcmp(command, "tune") == 0)) {
        if (o->type != RC_OPT_STRING) refused(command, o, "missing/1x");
        try_name(command, o);
        return;
    }
    switch (o->type) {
    case RC_OPT_INT:
    case RC_OPT_REAL:
    case RC_OPT_TIME: try_number(command, o); break;
    case RC_OPT_CHOICE: try_choice(command, o); break;
    case RC_OPT_PATH_IN:
    case RC_OPT_PATH_OUT: try_path(command, o); break;
    case RC_OPT_STRING: try_string(command, o); break;
    case RC_OPT_BOOL: try_bool(command, o); break;
    }
    try_name(command, o);
}

/* ---- arguments that are no options -------------------------------------------------------------------------------- */

static void try_words(const char *command) {
    static const char *const words[] = {
        "",  " ", "missing", "folder", "/", "/dev/null", "/dev/zero", "text.txt/x", "\xff\xfe", "adding", "adding:", "adding:T",
        "adding:T=", "adding:T=0", "adding:T=-1", "adding:T=nan", "adding:T=1e3", "adding:T=1x", "adding:T=5,", "adding:T=5,T=6",
        "adding:T=99999999999999999999", "count:X=5", "temporal-order:T=1", "adding:T=1000000000", long_text};
    size_t place = strcmp(command, "train") == 0 || strcmp(command, "plan") == 0 || strcmp(command, "compare") == 0 ||
                           strcmp(command, "tune") == 0
                       ? 2
                       : 1;
    line l = base_of(command);
    for (size_t at = 1; at <= place && (int)at < l.n; at++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            if (strncmp(words[i], "adding", 6) == 0 && place == 1) continue;
            l = base_of(command);
            l.word[at] = words[i];
            run(&l);
        }
    l = base_of(command); /* none at all, and too many */
    l.n = 1;
    run(&l);
    l = base_of(command);
    for (int i = 0; i < 20; i++) add(&l, "text.txt");
    run(&l);
    static const char *const odd[] = {"-", "--", "-=", "--=", "--=1", "-\xff", "--\xff", "--no-", "--no-=1", "-hh", long_text};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        l = base_of(command);
        add(&l, odd[i]);
        run(&l);
    }
}

/* A budget within the limits of its option that no machine holds: refused at once, and by its reason. */
static void try_memory(void) {
    static const char *const lines[][8] = {
        {"train", "lm", "text.txt", "--run=run", "--hidden=65536", "--layers=64", "--steps=1"},
        {"train", "lm", "text.txt", "--run=run", "--hidden=30000", "--layers=8", "--steps=1"},
        {"plan", "lm", "text.txt", "--hidden=65536", "--layers=64"},
        {"compare", "lm", "text.txt", "--hidden=65536", "--layers=64", "--steps=1"},
        {"train", "lm", "adding:T=1000000", "--run=run", "--batch=1000000", "--hidden=4", "--steps=1"},
        {"plan", "lm", "copy:T=1000000", "--batch=1000000", "--hidden=4"},
        {"bench", "rnn", "--hidden=1000000"},
        {"bench", "rnn", "--hidden=4", "--batch=1000000", "--seq-len=1000000"},
        {"bench", "step", "--hidden=1000", "--batch=1000000", "--layers=1000"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines && !SANITIZED; i++) {
        line l = {.n = 0};
        for (size_t k = 0; k < 8 && lines[i][k]; k++) add(&l, lines[i][k]);
        int code = run(&l);
        if (sizeof(size_t) == 4 && code == 2 && strstr(err_text, "too large")) continue; /* for any address */
        if (code != 4 || !strstr(err_text, "out of memory")) complain(&l, "expected \"out of memory\" and exit code 4, found %d", code);
    }
}

int main(int argc, char **argv) {
    const char *only = argc > 1 ? argv[1] : NULL, *option = argc > 2 ? argv[2] : NULL;
    char folder[256], text[4096] = "";
    TEMPORARY_NAME(folder, temporary_root(), "hostile");
    effort = test_effort();
    verbose = only != NULL;
    memset(long_text, 'x', sizeof long_text - 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    unsetenv("TMPDIR");
    if (!mkdtemp(folder) || chdir(folder) != 0 || mkdir("work", 0700) != 0 || chdir("work") != 0 || mkdir("folder", 0700) != 0) {
        perror(folder);
        return 1;
    }
    snprintf(here, sizeof here, "%s", folder);
    snprintf(out_name, sizeof out_name, "%s/out", folder);
    snprintf(err_name, sizeof err_name, "%s/err", folder);
    for (int i = 0; i < 60; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "the cat %d sat on the mat\n", i % 7);
    put_file("text.txt", text);
    line first = base_of("train");
    add(&first, "--out=model");
    if (run(&first) != 0) {
        printf("FAILED: no model could be trained:\n%s", err_text);
        return 1;
    }
    *text = 0;
    for (int i = 0; i < 60; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d\n", i % 7, i % 5);
    put_file("rows.csv", text);
    line detect = {.n = 0};
    const char *const words[] = {"train", "detect", "rows.csv", "--run=run", "--steps=2", "--threads=1", "--out=detector"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(&detect, words[i]);
    if (run(&detect) != 0) {
        printf("FAILED: no detector could be trained:\n%s", err_text);
        return 1;
    }
    *text = 0;
    for (int i = 0; i < 30; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%s\tthe cat %d sat there\n", i % 2 ? "yes" : "no", i % 5);
    put_file("texts.tsv", text);
    put_file("series.csv", "a,b,y\n1,2,3\n2,1,4\n3,5,1\n4,4,2\n5,1,2\n6,7,1\n");
    put_file("tags.conll", "the D\ncat N\n\na D\ndog N\n\nthe D\nmat N\n\na D\nmat N\n");
    put_file("stories.txt", "1 Ann is in.\n2 Is Ann in?\tyes\n1 Ann is out.\n2 Is Ann in?\tno\n1 Bob is in.\n2 Is Bob in?\tyes\n");
    line sort = {.n = 0};
    const char *const sorting[] = {"train", "classify", "texts.tsv", "--run=run", "--steps=2", TINY, "--out=sorter"};
    for (size_t i = 0; i < sizeof sorting / sizeof *sorting; i++) add(&sort, sorting[i]);
    if (run(&sort) != 0) {
        printf("FAILED: no classifier could be trained:\n%s", err_text);
        return 1;
    }
    put_file("pairs.tsv", "source\ttarget\nthe cat\tcat the\na dog\tdog a\nthe mat\tmat the\na cat\tcat a\n");
    put_file("talk.txt", "hello\nyes\n\nwho\nme\n\nhello\nwell\n");
    const char *const writing[][3] = {{"translate", "pairs.tsv", "--out=writer"}, {"chat", "talk.txt", "--out=bot"}};
    for (size_t k = 0; k < 2; k++) {
        line write = {.n = 0};
        const char *const common[] = {"--run=run", "--steps=2", "--vocab=word", TINY};
        add(&write, "train");
        for (size_t i = 0; i < 3; i++) add(&write, writing[k][i]);
        for (size_t i = 0; i < sizeof common / sizeof *common; i++) add(&write, common[i]);
        if (run(&write) != 0) {
            printf("FAILED: no model for %s could be trained:\n%s", writing[k][0], err_text);
            return 1;
        }
    }
    for (const cli_command *const *c = cli_commands; *c; c++) {
        size_t n = 0;
        if (only && strcmp(only, (*c)->name) != 0) continue;
        const rc_option *table = (*c)->table ? (*c)->table(&n) : NULL;
        line l = base_of((*c)->name);
        if (l.n == 0) {
            printf("FAILED: %s is not in the list of commands that work\n", (*c)->name);
            failures++;
        } else if (run(&l) != 0) {
            complain(&l, "what should work does not");
        }
        for (size_t i = 0; i < n; i++)
            if (!option || strcmp(option, table[i].name) == 0) try_option((*c)->name, &table[i]);
        for (size_t i = 0; i < cli_common_count; i++)
            if (!option || strcmp(option, cli_common_options[i].name) == 0) try_option((*c)->name, &cli_common_options[i]);
        if (!option) try_words((*c)->name);
    }
    if (!only) try_memory();
    strangers("..", true, text, sizeof text);
    rmdir(here);
    printf("%zu command lines, %zu failures\n", cases, failures);
    if (!only && cases < 2500) {
        printf("FAILED: too few: the tables were not walked\n");
        return 1;
    }
    return failures != 0;
}
