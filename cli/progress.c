/* progress.c - what a person sees while training runs, and Ctrl-C. Everything goes to standard error. */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- Ctrl-C -------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupts;

static void on_signal(int number) {
    static const char note[] = "\nstopping after this step and saving; once more to leave at once\n";
    if (interrupts++) _exit(128 + number);
    rc_train_interrupt();
    if (write(STDERR_FILENO, note, sizeof note - 1) < 0) return;
}

void cli_catch_interrupts(void) {
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool cli_interrupted(void) { return interrupts > 0; }

/* ---- lines ---------------------------------------------------------------------------------------------------------- */

cli_progress cli_progress_new(bool quiet) {
    cli_progress p = {.terminal = isatty(STDERR_FILENO) != 0, .quiet = quiet, .last_time = cli_now(), .width = 80};
    const char *term = getenv("TERM");
    if (term && strcmp(term, "dumb") == 0) p.terminal = false;
    return p;
}

static void close_line(cli_progress *p) {
    if (p->open) fputs("\r\033[K", stderr);
    p->open = false;
}

void cli_progress_line(cli_progress *p, const char *format, ...) {
    if (p->quiet) return;
    close_line(p);
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static int terminal_width(void) {
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* "[=======>        ]", n columns inside */
static void draw_bar(char *out, int n, double fraction) {
    int full = (int)(fraction * n);
    *out++ = '[';
    for (int i = 0; i < n; i++) *out++ = (char)(i < full ? '=' : i == full ? '>' : ' ');
    *out++ = ']';
    *out = 0;
}

/* What a line holds, by detail: 2 everything, 1 without the epoch, 0 without the learning rate too. */
static int training_text(char *line, size_t cap, const char *label, const rc_train_progress *t, int detail) {
    char steps[48], epoch[32] = "", lr[32] = "", rate[24], left[24] = "?";
    if (t->steps)
        snprintf(steps, sizeof steps, "%llu/%llu", (unsigned long long)t->step, (unsigned long long)t->steps);
    else
        snprintf(steps, sizeof steps, "%llu", (unsigned long long)t->step);
    if (detail > 1 && t->epoch > 0) snprintf(epoch, sizeof epoch, "  epoch %.2f", t->epoch);
    if (detail > 0) snprintf(lr, sizeof lr, "  lr %.2g", t->lr);
    if (t->seconds_left >= 0) cli_time_text(left, sizeof left, t->seconds_left);
    return snprintf(line, cap, "%s%s%3.0f%%  step %s%s  loss %.4f%s  %s tokens/s  %s left", label ? label : "",
                    label ? "  " : "", 100 * t->progress, steps, epoch, t->loss, lr,
                    cli_count_text(rate, sizeof rate, t->tokens_per_second), left);
}

void cli_progress_training(cli_progress *p, const char *label, const rc_train_progress *t) {
    if (p->quiet) return;
    double now = cli_now(), since = now - p->last_time;
    bool due = p->terminal ? since >= 0.1 : since >= 10 || (since >= 0.5 && t->progress - p->last_progress >= 0.05);
    if (!due) return;
    p->last_time = now;
    p->last_progress = t->progress;
    char line[256], bar[48] = "";
    int detail = 2, len = training_text(line, sizeof line, label, t, detail);
    if (!p->terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    int width = terminal_width();
    while (len >= width && detail > 0) len = training_text(line, sizeof line, label, t, --detail);
    int room = width - 1 - len - 4;
    if (room >= 8) draw_bar(bar, room > 30 ? 30 : room, t->progress);
    fprintf(stderr, "\r%s%s%.*s\033[K", bar, *bar ? " " : "", width - 1, line);
    fflush(stderr);
    p->open = true;
}

/* A few lines are enough to see it getting better; the run folder keeps the whole. */
void cli_progress_sample(cli_progress *p, uint64_t step, const char *text, size_t len) {
    enum { LINES = 4 };
    if (p->quiet) return;
    char *clean = cli_clean_text(text, len), *line = clean;
    cli_progress_line(p, "sample at step %llu:", (unsigned long long)step);
    int width = p->terminal ? terminal_width() - 5 : 100;
    for (int i = 0; i < LINES && line && *line;) {
        char *end = strchr(line, '\n');
        size_t n = end ? (size_t)(end - line) : strlen(line);
        char *next = end ? end + 1 : line + n;
        if (n > (size_t)width) { /* a long line goes on in the next row */
            for (n = (size_t)width; n > 1 && ((unsigned char)line[n] & 0xC0) == 0x80; n--)
                ;
            next = line + n;
        }
        if (n > 0) { /* blank lines would take the room of text */
            fprintf(stderr, "  | %.*s\n", (int)n, line);
            i++;
        }
        line = next;
    }
    free(clean);
}

void cli_progress_done(cli_progress *p) {
    close_line(p);
    fflush(stderr);
}
