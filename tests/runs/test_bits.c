/* The bits of a whole training: the same model file for any number of threads, on each build of the kernels, in fp32 and
 * bf16; and from build to build within the distance that docs/training.md states.
 *
 *   test_bits              some of the cases, or as many as RECUR_TEST_EFFORT says (a factor)
 *   test_bits 7            the seventh alone
 *   test_bits --distances  prints the distances between builds
 *
 * RECUR names the program. */
#include <math.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recur/recur.h"
#include "runs/same.h"
#include "temporary.h"
#include "test_effort.h"

/* What docs/training.md states under "The same bits". Measured: 2.3e-5 and 8.1e-3 at most (--distances). */
#define MOST_FP32 1e-4
#define MOST_BF16 2e-2

static const char *recur;
static const char *const isas[] = {"ref", "plain", "v2", "v3", "v4", "v4bf16"};
enum { ISAS = sizeof isas / sizeof *isas };

/* Sizes that take the ways there are: rows in groups, columns over a team, tables kept by rows, documents. */
static const char *const cases[] = {
    "--cell lstm --hidden 48 --layers 2 --batch 12 --seq-len 14 --steps 30 --dropout 0.2",
    "--cell gru --hidden 272 --layers 1 --batch 3 --seq-len 9 --steps 6",
    "--cell lstm --hidden 24 --layers 2 --batch 70 --seq-len 7 --steps 20 --average ema --accumulate 2 --tied",
    "--cell rnn --hidden 33 --layers 2 --batch 5 --seq-len 20 --steps 30 --full-bptt --optimizer rmsprop",
    "--cell lstm --hidden 40 --layers 1 --batch 16 --seq-len 11 --steps 20 --vocab word --dropout-embedding 0.1",
    "--cell lstm-projection --hidden 64 --layers 2 --batch 9 --seq-len 10 --steps 15 --no-carry",
    "--cell lstm-layernorm --hidden 40 --layers 1 --batch 9 --seq-len 10 --steps 15 --zoneout 0.1",
    "--cell lstm-peephole --hidden 40 --layers 1 --batch 9 --seq-len 10 --steps 15 --recurrent-dropout 0.2",
    "--cell gru-v1 --hidden 40 --layers 2 --batch 9 --seq-len 10 --steps 15 --skip highway",
    "--cell mingru --hidden 40 --layers 2 --batch 9 --seq-len 10 --steps 15 --skip residual",
    "--cell sru --hidden 40 --layers 2 --batch 9 --seq-len 10 --steps 15",
    "--cell indrnn --hidden 40 --layers 2 --batch 9 --seq-len 10 --steps 15",
    "--cell rhn --hidden 40 --layers 1 --batch 9 --seq-len 10 --steps 15 --optimizer adagrad",
    "--cell mgu --hidden 40 --layers 1 --batch 9 --seq-len 10 --steps 15 --optimizer sgd --lr 0.1 --momentum 0.9",
    "--cell lstm --hidden 512 --layers 1 --batch 2 --seq-len 6 --steps 6 --softmax-samples 8 --vocab word",
};
enum { CASES = sizeof cases / sizeof *cases };

static int failures;

static void make_text(void) {
    rc_rng r = rc_rng_make(1, 0);
    FILE *f = fopen("text.txt", "w");
    for (int i = 0; i < 3000; i++) {
        uint32_t k = (uint32_t)(rc_rng_below(&r, 30) * rc_rng_below(&r, 30));
        fprintf(f, "%c%c%c%c", 'a' + (int)(k % 7), 'a' + (int)(k / 7 % 9), 'a' + (int)(k / 63), rc_rng_below(&r, 8) ? ' ' : '\n');
    }
    fclose(f);
}

static bool has_isa(const char *isa) {
    char command[600];
    snprintf(command, sizeof command, "RECUR_ISA=%s '%s' --version | grep -q 'RECUR_ISA='", isa, recur);
    return system(command) != 0;
}

/* Trains into NAME.safetensors; says so when it fails. */
static bool train(const char *options, const char *isa, const char *precision, int threads, const char *name) {
    char command[1200];
    snprintf(command, sizeof command,
             "rm -rf run && RECUR_ISA=%s '%s' train lm text.txt -o %s.safetensors --run run --sample-length 0 --quiet "
             "--precision %s --threads %d %s",
             isa, recur, name, precision, threads, options);
    if (system(command) == 0) return true;
    fprintf(stderr, "FAILED: %s\n", command);
    failures++;
    return false;
}

/* The norm of the difference of all weights over the norm of what training changed in them. */
static double distance(const char *start, const char *a, const char *b) {
    const char *const paths[] = {start, a, b};
    rc__st_file *f[3] = {NULL};
    double off = 0, moved = 0;
    bool ok = true;
    for (int i = 0; i < 3; i++) ok = rc__st_open(&f[i], paths[i], NULL) == RC_OK && ok;
    for (size_t k = 0; ok && k < rc__st_count(f[0]); k++) {
        const rc__st_tensor *t = rc__st_at(f[0], k);
        float *x[3];
        for (int i = 0; i < 3; i++) {
            const rc__st_tensor *u = rc__st_find(f[i], t->name);
            x[i] = calloc(t->len + 1, sizeof *x[i]);
            ok = ok && u && u->len == t->len && rc__st_read(f[i], u, x[i], NULL) == RC_OK;
        }
        for (size_t j = 0; j < t->len; j++) {
            double d = (double)x[1][j] - (double)x[2][j], m = (double)x[1][j] - (double)x[0][j];
            off += d * d;
            moved += m * m;
        }
        for (int i = 0; i < 3; i++) free(x[i]);
    }
    for (int i = 0; i < 3; i++) rc__st_close(f[i]);
    return ok && moved > 0 ? sqrt(off / moved) : INFINITY;
}

static void run_case(int k, bool bf16, bool tell) {
    const char *precision = bf16 ? "bf16" : "fp32", *reference = NULL;
    char again[64];
    snprintf(again, sizeof again, "test_bits %d", 2 * k + bf16 + 1);
    for (int i = 0; i < ISAS; i++) {
        char first[64], other[64], a[80], b[80];
        if (!has_isa(isas[i])) continue;
        snprintf(first, sizeof first, "%s-1", isas[i]);
        if (!train(cases[k], isas[i], precision, 1, first)) return;
        snprintf(a, sizeof a, "%s.safetensors", first);
        for (int threads = 2; threads <= 4; threads++) {
            if (i < ISAS - 3 && threads != 3 && !tell) continue; /* the slow builds share the code that deals work out */
            snprintf(other, sizeof other, "%s-%d", isas[i], threads);
            snprintf(b, sizeof b, "%s.safetensors", other);
            if (!train(cases[k], isas[i], precision, threads, other)) return;
            if (same_bytes(a, b)) continue;
            fprintf(stderr, "FAILED %s, %s, %s: %d threads give other bits than 1\n    again: RECUR=%s %s\n", cases[k], isas[i],
                    precision, threads, recur, again);
            failures++;
        }
        if (!reference) {
            reference = isas[i];
            continue;
        }
        snprintf(b, sizeof b, "%s-1.safetensors", reference);
        double d = distance("run/checkpoints/initial.safetensors", b, a), most = bf16 ? MOST_BF16 : MOST_FP32;
        if (tell) printf("%-5s %-7s %.2g  %s\n", precision, isas[i], d, cases[k]);
        if (d <= most) continue;
        fprintf(stderr, "FAILED %s, %s, %s: %g from %s, at most %g is promised\n    again: RECUR=%s %s\n", cases[k], isas[i],
                precision, d, reference, most, recur, again);
        failures++;
    }
}

int main(int argc, char **argv) {
    char work[256], command[300];
    TEMPORARY_NAME(work, temporary_root(), "bits");
    recur = getenv("RECUR");
    if (!recur || *recur != '/') return fprintf(stderr, "RECUR must name the program, by a path from /\n"), 2;
    if (!mkdtemp(work) || chdir(work) != 0) return perror(work), 2;
    make_text();
    bool tell = argc == 2 && !strcmp(argv[1], "--distances");
    long n = tell ? 2 * CASES : 3L * test_effort();
    if (argc == 2 && !tell) {
        long k = strtol(argv[1], NULL, 10) - 1;
        if (k >= 0 && k < 2 * CASES) run_case((int)k / 2, k % 2, true);
    } else {
        for (long k = 0; k < n && k < 2 * CASES; k++) run_case((int)k / 2, k % 2, tell);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    if (chdir("/") != 0 || system(command) != 0) return 1;
    return failures ? 1 : 0;
}
