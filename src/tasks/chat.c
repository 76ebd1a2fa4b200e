/* chat.c - a conversation with a model for chat. What it reads of the turns so far is what training pairs had for a source:
 * the last `history` of them, the separator between. */
#include "base/mem.h"
#include "tasks/seq2seq.h"
#include <string.h>

enum { RECENT = 8, DRAWS = 4 }; /* replies that do not come again while there are others; draws to choose from */

struct rc_chat {
    const rc__seq2seq *m;
    rc__seq2seq_search x;
    rc__string *turn; /* the last `history`, a ring */
    size_t history, n_turns, turns_at;
    rc__string recent[RECENT];
    size_t n_recent;
    uint64_t number; /* of replies: by which they draw */
    rc__id_pairs ids;
    rc__string source, reply;
};

rc_status rc_chat_new(rc_chat **out, rc_model *m, const rc_search_options *o, rc_error *e) {
    rc_search_options so = o ? *o : rc_search_options_default();
    *out = NULL;
    if (m->kind != &rc__task_chat)
        return rc_fail(e, RC_EMODEL, "a model for %s cannot chat: recur train chat makes one that can", m->kind->name);
    if (!o) so.sample = true;
    if (so.sample && so.beam <= 0) so.beam = DRAWS;
    rc_chat *c = rc__calloc(1, sizeof *c);
    if (!c) return rc_fail(e, RC_ENOMEM, "chat: out of memory");
    c->m = (const rc__seq2seq *)m;
    rc_status s = rc__seq2seq_search_begin(&c->x, c->m, &so, e);
    c->x.o.nbest = c->x.o.beam; /* to have something else to say */
    c->history = c->m->history ? c->m->history : 1;
    if (s == RC_OK && !(c->turn = rc__calloc(c->history, sizeof *c->turn)))
        s = rc_fail(e, RC_ENOMEM, "chat: out of memory");
    if (s != RC_OK) {
        rc_chat_free(c);
        return s;
    }
    *out = c;
    return RC_OK;
}

void rc_chat_free(rc_chat *c) {
    if (!c) return;
    for (size_t i = 0; c->turn && i < c->history; i++) rc__string_free(&c->turn[i]);
    rc__free(c->turn, c->history * sizeof *c->turn);
    for (size_t i = 0; i < RECENT; i++) rc__string_free(&c->recent[i]);
    rc__string_free(&c->source);
    rc__string_free(&c->reply);
    rc__id_pairs_free(&c->ids);
    rc__seq2seq_search_end(&c->x);
    rc__free(c, sizeof *c);
}

void rc_chat_reset(rc_chat *c) {
    c->n_turns = c->turns_at = c->n_recent = 0;
    c->number = 0;
}

static rc_status add_turn(rc_chat *c, const char *text, size_t len, rc_error *e) {
    rc__string *t = &c->turn[c->turns_at];
    t->len = 0;
    rc_status s = rc__string_put(t, text, len, e);
    if (s != RC_OK) return s;
    c->turns_at = (c->turns_at + 1) % c->history;
    if (c->n_turns < c->history) c->n_turns++;
    return RC_OK;
}

static rc_status join_turns(rc_chat *c, rc_error *e) {
    const char *separator = c->m->separator ? c->m->separator : " | ";
    rc_status s = RC_OK;
    c->source.len = 0;
    for (size_t i = 0; i < c->n_turns && s == RC_OK; i++) {
        const rc__string *t = &c->turn[(c->turns_at + c->history - c->n_turns + i) % c->history];
        if (i) s = rc__string_put(&c->source, separator, strlen(separator), e);
        if (s == RC_OK) s = rc__string_put(&c->source, t->s, t->len, e);
    }
    return s;
}

static bool said_lately(const rc_chat *c, const rc__string *reply) {
    size_t n = c->n_recent < RECENT ? c->n_recent : RECENT;
    for (size_t i = 0; i < n; i++) {
        const rc__string *r = &c->recent[i];
        if (r->len == reply->len && (r->len == 0 || memcmp(r->s, reply->s, r->len) == 0)) return true;
    }
    return false;
}

/* The best result that is not empty and was not said lately, else the best. */
static rc_status take(void *ctx, size_t i, const rc__hypothesis *h, rc_error *e) {
    rc_chat *c = ctx;
    rc_status s = RC_OK;
    (void)i;
    for (size_t k = 0; k < c->x.o.nbest && s == RC_OK; k++) {
        s = rc__seq2seq_decode(c->m, h[k].token, h[k].n, NULL, true, &c->reply, e);
        if (s == RC_OK && c->reply.len && !said_lately(c, &c->reply)) return RC_OK;
    }
    return s == RC_OK ? rc__seq2seq_decode(c->m, h->token, h->n, NULL, true, &c->reply, e) : s;
}

static rc_status answer(rc_chat *c, rc_error *e) {
    uint64_t stream = c->number++;
    c->ids.n = 0;
    c->reply.len = 0;
    c->x.o.stream = &stream;
    rc_status s = rc__id_pairs_add(&c->ids, c->m, (rc__cell){c->source.s, c->source.len}, (rc__cell){"", 0}, 1, e);
    if (s == RC_OK) s = rc__seq2seq_answers(c->m, c->x.nets, c->x.n_nets, &c->ids, &c->x.o, 1, take, c, e);
    c->x.o.stream = NULL;
    return s;
}

static rc_status remember(rc_chat *c, rc_error *e) {
    rc__string *r = &c->recent[c->n_recent++ % RECENT];
    r->len = 0;
    rc_status s = rc__string_put(r, c->reply.s ? c->reply.s : "", c->reply.len, e);
    return s == RC_OK ? add_turn(c, c->reply.s ? c->reply.s : "", c->reply.len, e) : s;
}

rc_status rc_chat_reply(rc_chat *c, const char *text, size_t len, char **reply, size_t *reply_len, rc_error *e) {
    rc__string out = {0};
    *reply = NULL;
    *reply_len = 0;
    rc_status s = RC_OK;
    if (!rc__pair_empty((rc__cell){text, len})) {
        s = add_turn(c, text, len, e);
        if (s == RC_OK) s = join_turns(c, e);
        if (s == RC_OK) s = answer(c, e);
        if (s == RC_OK) s = remember(c, e);
        if (s == RC_OK && c->reply.len) s = rc__string_put(&out, c->reply.s, c->reply.len, e);
    }
    if (s == RC_OK) s = rc__string_take(&out, reply, reply_len, e);
    rc__string_free(&out);
    return s;
}
