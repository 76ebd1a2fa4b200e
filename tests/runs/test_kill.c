/* A run that is killed, or whose disk is full, at any moment: it goes on to the bits of one that was left alone.
 *
 *   test_kill                     all of it, as much as RECUR_TEST_EFFORT says (a factor, 1 is a part)
 *   test_kill kill 57             killed instead of its 57th call that changes a file
 *   test_kill torn 57             killed after that call, which wrote half of its bytes when it was a write
 *   test_kill full 57             the disk is full from that call on
 *   test_kill once 57             that call alone fails
 *   test_kill moment SEED 12      killed at the 12th random moment of a seed, and once more while it goes on
 *
 * RECUR names the program. */
#include <time.h>

#include "recur/recur.h"
#include "runs/same.h"
#include "runs/trace.h"
#include "temporary.h"
#include "test_effort.h"

#define SEED 20240229u

static const char *recur, *self;
static int failures, cases;

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void make_text(void) {
    static const char *const words[] = {"the", "cat", "sat", "on", "a", "mat", "and", "saw", "dog", "run"};
    rc_rng r = rc_rng_make(1, 0);
    FILE *f = fopen("text.txt", "w");
    for (int i = 0; i < 700; i++) fprintf(f, "%s%c", words[rc_rng_below(&r, 10)], rc_rng_below(&r, 6) ? ' ' : '\n');
    fclose(f);
}

/* Run in a folder of its own, so that all paths are the same in each. */
static const char *const fresh[] = {"train", "lm", "../text.txt", "-o", "model.safetensors", "--run", "run", "--hidden", "8",
                                    "--layers", "1", "--batch", "4", "--seq-len", "8", "--valid-every", "4", "--steps", "14",
                                    "--checkpoint-every", "3", "--keep", "2", "--average", "ema", "--sample-length", "5",
                                    "--dropout", "0.2", "--threads", "1", "--quiet", NULL};
/* Long enough for a moment in it: about half a second. */
static const char *const longer[] = {"train", "lm", "../text.txt", "-o", "model.safetensors", "--run", "run", "--hidden", "48",
                                     "--layers", "2", "--batch", "8", "--seq-len", "16", "--valid-every", "20", "--steps", "240",
                                     "--checkpoint-every", "7", "--keep", "2", "--sample-length", "5", "--dropout", "0.2",
                                     "--threads", "2", "--quiet", NULL};
static const char *const resume[] = {"train", "lm", "--resume", "run", "--quiet", NULL};

static char *const *command(const char *const *words, char **out) {
    size_t n = 0;
    out[n++] = (char *)(uintptr_t)recur;
    for (; *words; words++) out[n++] = (char *)(uintptr_t)*words;
    out[n] = NULL;
    return out;
}

static trace_result run_it(const char *const *words, trace_plan plan) {
    char *argv[64];
    return trace_run(command(words, argv), "../out", "../err", plan);
}

static void enter(const char *folder) {
    char text[128];
    snprintf(text, sizeof text, "rm -rf '%s'", folder);
    if (system(text) != 0 || mkdir(folder, 0777) != 0 || chdir(folder) != 0) abort();
}
static void leave(void) {
    if (chdir("..") != 0) abort();
}

static char *errors(void) {
    static char *text;
    size_t n;
    free(text);
    text = same_read("err", &n);
    return text ? text : (text = strdup(""));
}

__attribute__((format(printf, 2, 3))) static bool failed(const char *again, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "FAILED %s: ", again);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n    again: RECUR=%s %s %s\n", recur, self, again);
    va_end(args);
    failures++;
    return false;
}

/* Goes on with the run in the current folder as a person would: --resume, or, when it had not come as far as to write its
 * options, the same command again. */
static trace_result go_on(const char *const *words, trace_plan plan) {
    bool begun = access("run/config.json", F_OK) == 0;
    return run_it(begun ? resume : words, plan);
}

static bool ends_the_same(const char *again, const char *what, const char *whole, const char *folder) {
    trace_plan let = {TRACE_COUNT, 0, 0};
    if (chdir(folder) != 0) abort();
    trace_result r = go_on(whole[0] == 'w' ? fresh : longer, let);
    leave();
    if (r.code != 0) return failed(again, "%s: going on ends with %d: %s", what, r.code, errors());
    if (!same_run(whole, folder)) return failed(again, "%s: %s", what, same_why);
    return true;
}

/* ---- at a call ----------------------------------------------------------------------------------------------------- */

/* A model that is there before keeps its bytes until the new one is whole. */
static const char old_model[] = "an older model";

static bool model_is_whole(const char *folder) {
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    char *data = same_read(path, &n);
    bool old = data && n == sizeof old_model - 1 && memcmp(data, old_model, n) == 0;
    free(data);
    return old || same_bytes("whole/model.safetensors", path);
}

/* Every checkpoint under its own name is one. */
static bool checkpoints_are_whole(const char *folder) {
    char dir[64], path[400];
    snprintf(dir, sizeof dir, "%s/run/checkpoints", folder);
    DIR *d = opendir(dir);
    bool whole = true;
    for (struct dirent *f; d && whole && (f = readdir(d));) {
        size_t n = strlen(f->d_name);
        if (n < 12 || strcmp(f->d_name + n - 12, ".safetensors") != 0) continue;
        rc__st_file *file = NULL;
        rc_error e = {0};
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        whole = rc__st_open(&file, path, &e) == RC_OK || differ("%s", e.text);
        rc__st_close(file);
    }
    if (d) closedir(d);
    return whole;
}

/* Nothing half-written is left by a run that ended by itself. */
static bool nothing_is_left(const char *folder) {
    char names[8192] = "";
    static const char *const in[] = {"", "/run", "/run/checkpoints"};
    for (size_t i = 0; i < 3; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, "%s%s", folder, in[i]);
        same_list(dir, names, sizeof names);
        if (strstr(names, ".tmp.")) return differ("%s holds:\n%s", dir, names);
    }
    return true;
}

static void full_case(const char *again, const trace_result *r) {
    const char *message = errors(), *path = strstr(r->call, "/case/");
    if (!nothing_is_left("case")) {
        failed(again, "%s: %s", r->call, same_why);
    } else if (r->code == 0) {
        /* a folder that is there already; the flush of a folder; what needs no room */
        static const char *const may[] = {"mkdir", "unlink", "ftruncate"};
        const char *base = strrchr(r->call, '/');
        bool allowed = !strncmp(r->call, "fsync", 5) && base && !strchr(base, '.');
        for (size_t i = 0; i < sizeof may / sizeof *may; i++) allowed = allowed || !strncmp(r->call, may[i], strlen(may[i]));
        if (!allowed)
            failed(again, "%s failed and nothing was said", r->call);
        else if (!same_run("whole", "case"))
            failed(again, "%s: %s", r->call, same_why);
    } else if (r->code != 4) {
        failed(again, "%s: exit code %d, expected 4: %s", r->call, r->code, message);
    } else if (!strstr(message, "No space left on device")) {
        failed(again, "%s: the message does not say why: %s", r->call, message);
    } else if (path && !strstr(message, "run") && !strstr(message, "model.safetensors")) {
        failed(again, "%s: the message does not say where: %s", r->call, message);
    } else if (access("case/run/status.json", F_OK) == 0 && !strstr(message, "go on with:\n  ")) {
        failed(again, "%s: the message does not say what to do: %s", r->call, message);
    }
}

static void case_at(const char *mode, long at) {
    static const struct {
        const char *name;
        trace_what what;
    } modes[] = {{"kill", TRACE_KILL}, {"torn", TRACE_TORN}, {"full", TRACE_FULL}, {"once", TRACE_ONCE}};
    size_t m = 0;
    while (strcmp(modes[m].name, mode) != 0) m++;
    char again[64];
    snprintf(again, sizeof again, "%s %ld", mode, at);
    cases++;
    enter("case");
    FILE *f = fopen("model.safetensors", "w");
    fputs(old_model, f);
    fclose(f);
    trace_result r = run_it(fresh, (trace_plan){modes[m].what, at, ENOSPC});
    leave();
    bool killed = modes[m].what == TRACE_KILL || modes[m].what == TRACE_TORN;
    int before = failures;
    if (killed && r.code != -1) failed(again, "%s: it was not killed: %d", r.call, r.code);
    if (!killed) full_case(again, &r);
    if (!model_is_whole("case") || !checkpoints_are_whole("case")) failed(again, "%s: %s", r.call, same_why);
    if (failures == before) ends_the_same(again, r.call, "whole", "case");
}

/* ---- at a moment --------------------------------------------------------------------------------------------------- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_saving(void) {
    char names[4096];
    same_list("run/checkpoints", names, sizeof names);
    return strstr(names, ".tmp.") != NULL;
}

/* Killed after so many seconds, or, from then on, as soon as a checkpoint is being written. false: it had ended. */
static bool killed_after(const char *const *words, double seconds, bool in_save) {
    char *argv[64];
    int status;
    pid_t pid = trace_start(command(words, argv), "../out", "../err", false);
    double end = now() + seconds;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now() >= end && (!in_save || is_saving())) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return true;
        }
        if (!in_save) usleep(500);
    }
    return false;
}

static double length_of_run; /* seconds */

static void case_moment(uint64_t seed, long k) {
    char again[64], what[128];
    rc_rng r = rc_rng_make(seed, (uint64_t)k);
    snprintf(again, sizeof again, "moment %llu %ld", (unsigned long long)seed, k);
    cases++;
    enter("case");
    bool in_save = k % 3 == 0; /* a third in a save */
    double first = rc_rng_uniform(&r) * length_of_run, second = rc_rng_uniform(&r) * length_of_run / 2;
    bool killed = killed_after(longer, first, in_save);
    bool twice = killed && access("run/config.json", F_OK) == 0 && killed_after(resume, second, k % 2 == 0);
    leave();
    snprintf(what, sizeof what, "killed%s after %.3f s%s", in_save ? " while it saved" : "", first, twice ? ", and again" : "");
    ends_the_same(again, killed ? what : "not killed", "long", "case");
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static int whole_run(const char *folder, const char *const *words, long *calls) {
    enter(folder);
    double began = now();
    trace_result r = run_it(words, (trace_plan){TRACE_COUNT, 0, 0});
    length_of_run = now() - began;
    leave();
    *calls = r.calls;
    if (r.code != 0) fprintf(stderr, "%s: a run that nobody disturbs ends with %d: %s\n", folder, r.code, errors());
    return r.code;
}

static void everything(long calls) {
    static const char *const modes[] = {"kill", "torn", "full", "once"};
    for (size_t m = 0; m < 4; m++) {
#ifndef TRACE_CHANGES_CALLS
        if (m > 0) continue;
#endif
        long n = 12L * test_effort() < calls ? 12L * test_effort() : calls;
        for (long i = 0; i < n; i++) case_at(modes[m], 1 + (i * calls + (long)m * calls / 4 / n) / n);
        printf("%s: %ld of %ld calls\n", modes[m], n, calls);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    char work[256];
    TEMPORARY_NAME(work, temporary_root(), "runs");
    recur = getenv("RECUR");
    self = argv[0];
    if (!recur || *recur != '/') return fprintf(stderr, "RECUR must name the program, by a path from /\n"), 2;
    if (!trace_works()) return printf("this machine does not let a process trace its child: skipped\n"), 77;
    setenv("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1", 1); /* leaks are not looked for under ptrace */
    if (!mkdtemp(work) || chdir(work) != 0) return perror(work), 2;
    make_text();
    long calls = 0, others = 0;
    bool moment = argc > 1 && !strcmp(argv[1], "moment");
    if (!moment && whole_run("whole", fresh, &calls) != 0) return 1;
    if ((moment || argc == 1) && whole_run("long", longer, &others) != 0) return 1;
    if (moment && argc == 4) {
        case_moment(strtoull(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
    } else if (argc == 3) {
        case_at(argv[1], strtol(argv[2], NULL, 10));
    } else {
        everything(calls);
        long n = 5L * test_effort() < 50 ? 5L * test_effort() : 50;
        for (long k = 0; k < n; k++) case_moment(SEED, k);
        printf("moments: %ld of 50, seed %u\n", n, SEED);
    }
    char remove[300];
    snprintf(remove, sizeof remove, "rm -rf '%s'", work);
    if (failures) fprintf(stderr, "the last case is in %s\n", work);
    if (chdir("/") != 0 || (!failures && system(remove) != 0)) return 1;
    printf("%d cases, %d failed\n", cases, failures);
    return failures ? 1 : 0;
}
