/* cmd_chat.c - recur chat MODEL: a conversation, on a terminal or through a pipe: a line in, a line out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models.h"

struct chat_options {
    rc_search_options search;
    int64_t threads;
    bool json;
};

#define AT(field) offsetof(struct chat_options, field)
static const rc_option entries[] = {
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Run", "0: all the cores the process may use"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Run", "each reply as a JSON object"},
};

static const rc_option *table(size_t *n) {
    static rc_option all[64];
    static size_t count;
    size_t more;
    if (count == 0) {
        cli_append_options(all, &count, 64, entries, sizeof entries / sizeof *entries, 0);
        const rc_option *t = rc_search_option_table(&more);
        for (size_t i = 0; i < more && count < 64; i++) {
            if (strcmp(t[i].name, "nbest") == 0) continue; /* one reply */
            all[count] = t[i];
            all[count++].offset += AT(search);
        }
    }
    *n = count;
    return all;
}

/* Likely words, drawn: a search says the same dull things again and again. */
static void defaults(void *options) {
    struct chat_options *o = options;
    *o = (struct chat_options){.search = rc_search_options_default()};
    o->search.sample = true;
    o->search.temperature = 0.5;
}

static rc_status settle(cli_args *a, rc_error *e) {
    if (a->help) return RC_OK;
    if (a->n_words == 0) return rc_fail(e, RC_EINVAL, "expected MODEL: a file that recur train chat wrote");
    if (a->n_words > 1) return rc_fail(e, RC_EINVAL, "expected one MODEL, found also \"%s\"", a->words[1]);
    return cli_check_input("model", a->words[0], e);
}

static void put_reply(const struct chat_options *o, const char *said, const char *reply, size_t len) {
    char *text = cli_clean_text(reply, len);
    if (o->json)
        cli_print_json(json_pack("{s:s, s:s}", "said", said, "reply", text));
    else
        puts(text);
    fflush(stdout);
    free(text);
}

/* False: it is over. */
static bool one_line(const struct chat_options *o, rc_chat *c, char *line, size_t len, rc_status *s, rc_error *e) {
    char *reply = NULL;
    size_t n = 0;
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r')) line[--len] = 0;
    if (strcmp(line, "/quit") == 0) return false;
    if (strcmp(line, "/reset") == 0) {
        rc_chat_reset(c);
        return true;
    }
    if (line[0] == '/') {
        fprintf(stderr, "recur chat: /reset forgets what was said, /quit ends\n");
        return true;
    }
    char *said = cli_clean_text(line, len);
    *s = rc_chat_reply(c, said, strlen(said), &reply, &n, e);
    if (*s == RC_OK) put_reply(o, said, reply, n);
    free(said);
    rc_text_free(reply, n);
    return *s == RC_OK && !cli_stdout_gone();
}

static rc_status talk(const struct chat_options *o, rc_chat *c, rc_error *e) {
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *line = NULL;
    size_t cap = 0;
    rc_status s = RC_OK;
    if (terminal) fprintf(stderr, "/reset forgets what was said, /quit ends\n");
    for (;;) {
        if (terminal) fputs("> ", stdout), fflush(stdout);
        ssize_t len = getline(&line, &cap, stdin);
        if (len < 0 || !one_line(o, c, line, (size_t)len, &s, e)) break;
    }
    if (s == RC_OK && ferror(stdin)) s = rc_fail(e, RC_EIO, "standard input cannot be read");
    free(line);
    return s;
}

static int run(cli_args *a) {
    const struct chat_options *o = a->options;
    rc_error e = {RC_OK, ""};
    rc_model *m = NULL;
    rc_chat *c = NULL;
    char task[32] = "";
    rc_status s = o->threads ? rc_set_threads((int)o->threads, &e) : RC_OK;
    if (!s) s = rc_model_task_of(a->words[0], task, sizeof task, &e);
    if (!s && strcmp(task, "chat") != 0)
        s = rc_fail(&e, RC_EMODEL, "%s: a model for %s cannot chat: recur train chat makes one that can", a->words[0],
                    task);
    if (!s) s = rc_model_load(&m, a->words[0], &e);
    if (!s) s = rc_chat_new(&c, m, &o->search, &e);
    if (!s) s = talk(o, c, &e);
    rc_chat_free(c);
    rc_model_free(m);
    return s ? cli_fail(a->command, &e) : CLI_DONE;
}

const cli_command cmd_chat = {
    .name = "chat",
    .usage = "chat MODEL [OPTIONS]",
    .summary = "talk to a chat model",
    .text = "Reads lines from the terminal or a pipe and answers each; it reads as many turns as in training. What it "
            "said lately "
            "it does not say again while it has something else. /reset forgets what was said, /quit ends. The same "
            "seed and the "
            "same lines give the same replies; --no-sample searches instead, --temperature 0 always says what is "
            "likeliest.",
    .examples = "chat bot.safetensors\n"
                "chat bot.safetensors --temperature 0.8 --top-p 0.9 --seed 3\n"
                "chat bot.safetensors --no-sample --beam 5 < questions.txt",
    .words = "file",
    .table = table,
    .options_size = sizeof(struct chat_options),
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
