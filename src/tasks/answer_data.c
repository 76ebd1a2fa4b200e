/* answer_data.c - stories as numbers, and batches of their questions; see answer.h. */
#include "base/mem.h"
#include "data/lexicon.h"
#include "tasks/answer.h"
#include <string.h>

/* ---- stories ----------------------------------------------------------------------------------------------------- */

void rc__story_set_free(rc__story_set *x) {
    rc__strtab_free(&x->sentences);
    rc__free(x->told, x->cap_told * sizeof *x->told);
    rc__free(x->at, x->cap_at * sizeof *x->at);
    rc__string_free(&x->scratch);
    rc__free(x->ids, x->cap_ids * sizeof *x->ids);
    *x = (rc__story_set){0};
}

bool rc__story_word(const rc__answerer *m, rc__cell text, size_t *at, rc__string *scratch, rc_status *s, rc_error *e) {
    size_t from, to;
    *s = RC_OK;
    while (rc__next_word(text.text, text.len, at, &from, &to)) {
        size_t marks = from;
        while (marks < to && strchr(".,;:?!", text.text[marks])) marks++;
        if (marks == to) continue; /* the end of a sentence tells nothing */
        scratch->len = 0;
        *s = m->lowercase ? rc__lower(scratch, text.text + from, to - from, e)
                          : rc__string_put(scratch, text.text + from, to - from, e);
        return *s == RC_OK;
    }
    return false;
}

static rc_status add_sentence(rc__story_set *x, const rc__answerer *m, rc__cell text, size_t line, int32_t *id, rc_error *e) {
    size_t at = 0, n = 0, words = 0;
    rc_status s;
    uint32_t number = 0;
    while (rc__story_word(m, text, &at, &x->scratch, &s, e)) {
        int32_t word = rc__strtab_find(&m->words, x->scratch.s, x->scratch.len);
        if (++words > RC_STORY_MAX_WORDS)
            return rc_fail(e, RC_EDATA, "line %zu: a sentence of more than %d words", line, RC_STORY_MAX_WORDS);
        x->unknown_words += word < 0;
        if (word < 0) continue;
        s = rc__grow((void **)&x->ids, &x->cap_ids, n + 1, sizeof *x->ids, e);
        if (s != RC_OK) return s;
        x->ids[n++] = word;
    }
    x->n_words += words;
    if (s == RC_OK)
        s = rc__strtab_add(&x->sentences, n ? (const char *)x->ids : "", n * sizeof *x->ids, &number, NULL, e);
    *id = (int32_t)number;
    return s;
}

rc_status rc__story_set_add(rc__story_set *x, const rc__answerer *m, const rc__story_line *line, uint32_t task, rc_error *e) {
    int32_t id = 0;
    if (line->begins) {
        x->n_stories++;
        x->story_first = x->n_told;
    }
    rc_status s = add_sentence(x, m, line->text, line->line, &id, e);
    if (s != RC_OK) return s;
    if (!line->question) {
        s = rc__grow((void **)&x->told, &x->cap_told, x->n_told + 1, sizeof *x->told, e);
        if (s == RC_OK) x->told[x->n_told++] = id;
        return s;
    }
    s = rc__grow((void **)&x->at, &x->cap_at, x->n + 1, sizeof *x->at, e);
    if (s != RC_OK) return s;
    int32_t answer = RC__ANSWER_NONE;
    if (line->answer.text) answer = rc__strtab_find(&m->answers, line->answer.text, line->answer.len);
    x->unknown_answers += answer == RC__ANSWER_UNKNOWN;
    x->at[x->n++] = (rc__question){.first = x->story_first,
                                   .n = x->n_told - x->story_first,
                                   .text = id,
                                   .answer = answer,
                                   .story = (uint32_t)(x->n_stories - 1),
                                   .task = task,
                                   .line = line->line};
    return RC_OK;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

enum { C_START, C_IDS, C_PLACE, C_ROW, C_WHEN, C_LENGTHS, C_QUESTION, C_TARGET, C_MASK, C_SEEN, C_MASK_OF, C_WORDS, C_WORD_LENGTHS,
       C_TARGETS };

void rc__answer_batch_free(rc__answer_batch *b) {
    rc__free(b->start, b->cap[C_START] * sizeof *b->start);
    rc__free(b->ids, b->cap[C_IDS] * sizeof *b->ids);
    rc__free(b->place, b->cap[C_PLACE] * sizeof *b->place);
    rc__free(b->row, b->cap[C_ROW] * sizeof *b->row);
    rc__free(b->when, b->cap[C_WHEN] * sizeof *b->when);
    rc__free(b->lengths, b->cap[C_LENGTHS] * sizeof *b->lengths);
    rc__free(b->question, b->cap[C_QUESTION] * sizeof *b->question);
    rc__free(b->target, b->cap[C_TARGET] * sizeof *b->target);
    rc__free(b->mask, b->cap[C_MASK] * sizeof *b->mask);
    rc__free(b->seen, b->cap[C_SEEN] * sizeof *b->seen);
    rc__free(b->mask_of, b->cap[C_MASK_OF] * sizeof *b->mask_of);
    rc__free(b->words, b->cap[C_WORDS] * sizeof *b->words);
    rc__free(b->word_lengths, b->cap[C_WORD_LENGTHS] * sizeof *b->word_lengths);
    rc__free(b->targets, b->cap[C_TARGETS] * sizeof *b->targets);
    *b = (rc__answer_batch){0};
}

#define ROOM(field, which, n) rc__grow((void **)&b->field, &b->cap[which], (n) + 1, sizeof *b->field, e)

/* Twice the weights of section 4.1, l(k, j) = (1 - j/J) - (k/d) (1 - 2j/J) with word j of J and column k of d from 1, so that
 * their mean is 1 as in a bag; the authors' code does so too. */
static void position_rows(rc_real *mask, size_t J, size_t d, size_t members) {
    for (size_t j = 1; j <= J; j++)
        for (size_t i = 0; i < d * members; i++) {
            double k = (double)(i % d + 1) / (double)d, x = (double)j / (double)J;
            *mask++ = (rc_real)(2 * ((1 - x) - k * (1 - 2 * x)));
        }
}

/* Where the weights of a sentence of J words begin. */
static rc_status mask_rows(rc__answer_batch *b, const rc__answerer *m, size_t J, size_t *first, rc_error *e) {
    *first = 0;
    if (!m->o.position || m->o.kind == RC__ANSWER_ENTITY || m->o.kind == RC__ANSWER_RECURRENT) return RC_OK;
    if (b->mask_of[J]) return *first = (size_t)b->mask_of[J] - 1, RC_OK;
    size_t width = m->o.embedding * m->o.members;
    rc_status s = ROOM(mask, C_MASK, (b->places + J) * width);
    if (s != RC_OK) return s;
    *first = b->places;
    b->mask_of[J] = (int32_t)b->places + 1;
    position_rows(b->mask + b->places * width, J, m->o.embedding, m->o.members);
    b->places += J;
    return RC_OK;
}

/* The sentence's number in the batch, from 0; it joins when it is new. */
static rc_status take_sentence(rc__answer_batch *b, const rc__answerer *m, const rc__story_set *x, int32_t id, int32_t *out,
                               rc_error *e) {
    if (b->seen[id]) return *out = (int32_t)b->seen[id] - 1, RC_OK;
    size_t len, at = b->sentences ? b->start[b->sentences] : 0, first = 0;
    const char *words = rc__strtab_get(&x->sentences, (size_t)id, &len);
    size_t J = len / sizeof(int32_t);
    rc_status s = ROOM(start, C_START, b->sentences + 1);
    if (s == RC_OK) s = ROOM(ids, C_IDS, at + J);
    if (s == RC_OK) s = ROOM(place, C_PLACE, at + J);
    if (s == RC_OK && J) s = mask_rows(b, m, J, &first, e);
    if (s != RC_OK) return s;
    b->start[0] = 0;
    if (J) memcpy(b->ids + at, words, len);
    for (size_t j = 0; j < J; j++) b->place[at + j] = (int32_t)(first + j);
    b->start[b->sentences + 1] = (uint32_t)(at + J);
    if (J > b->longest_sentence) b->longest_sentence = J;
    *out = (int32_t)b->sentences;
    b->seen[id] = (uint32_t)++b->sentences;
    return RC_OK;
}

/* How long ago each memory came. With noise there are gaps, as if some memories in between were empty: as many as drawn from 0
 * to the share of their number, at places drawn (the authors' code; an empty memory holds nothing anyway). */
static void put_times(int32_t *when, size_t n, double noise, rc_rng *rng) {
    size_t most = rng ? (size_t)((double)n * noise + 0.999999) : 0, gaps = most ? (size_t)rc_rng_below(rng, most + 1) : 0;
    size_t left = n, age = n + gaps; /* the oldest comes first */
    for (size_t i = 0; i < n; age--) {
        if (gaps && rc_rng_below(rng, left + gaps) < gaps) {
            gaps--;
            continue;
        }
        when[i++] = (int32_t)age - 1;
        left--;
    }
}

static rc_status put_memories(rc__answer_batch *b, const rc__answerer *m, const rc__story_set *x, const rc__question *q, size_t i,
                              rc_rng *rng, rc_error *e) {
    size_t n = q->n < m->o.memory ? q->n : m->o.memory;
    const int32_t *told = x->told + q->first + (q->n - n);
    size_t rows = n ? n : 1;
    rc_status s = ROOM(row, C_ROW, b->rows + rows);
    if (s == RC_OK) s = ROOM(when, C_WHEN, b->rows + rows);
    for (size_t k = 0; s == RC_OK && k < n; k++) s = take_sentence(b, m, x, told[k], &b->row[b->rows + k], e);
    if (s != RC_OK) return s;
    if (n == 0) b->row[b->rows] = -1; /* an empty sentence, made at the end */
    put_times(b->when + b->rows, rows, m->o.noise, rng);
    b->lengths[i] = (int32_t)rows;
    if (rows > b->longest) b->longest = rows;
    b->rows += rows;
    return RC_OK;
}

static rc_status put_empty(rc__answer_batch *b, rc_error *e) {
    bool any = false;
    for (size_t r = 0; r < b->rows; r++) any = any || b->row[r] < 0;
    if (!any) return RC_OK;
    rc_status s = ROOM(start, C_START, b->sentences + 1);
    if (s != RC_OK) return s;
    b->start[b->sentences + 1] = b->start[b->sentences];
    for (size_t r = 0; r < b->rows; r++)
        if (b->row[r] < 0) b->row[r] = (int32_t)b->sentences;
    b->sentences++;
    return RC_OK;
}

/* Words of story and question one after the other, time first. */
static rc_status put_words(rc__answer_batch *b, rc_error *e) {
    rc_status s = ROOM(word_lengths, C_WORD_LENGTHS, b->n);
    b->words_T = 1;
    for (size_t i = 0, r = 0; s == RC_OK && i < b->n; i++) {
        size_t len = b->start[b->question[i] + 1] - b->start[b->question[i]];
        for (int32_t k = 0; k < b->lengths[i]; k++, r++) len += b->start[b->row[r] + 1] - b->start[b->row[r]];
        b->word_lengths[i] = (int32_t)len;
        if (len > b->words_T) b->words_T = len;
    }
    if (s == RC_OK) s = ROOM(words, C_WORDS, b->words_T * b->n);
    if (s != RC_OK) return s;
    memset(b->words, 0, b->words_T * b->n * sizeof *b->words);
    for (size_t i = 0, r = 0; i < b->n; i++) {
        size_t at = 0;
        for (int32_t k = 0; k <= b->lengths[i]; k++) {
            int32_t from = k < b->lengths[i] ? b->row[r++] : b->question[i];
            for (uint32_t w = b->start[from]; w < b->start[from + 1]; w++) b->words[at++ * b->n + i] = b->ids[w];
        }
    }
    return RC_OK;
}

rc_status rc__answer_batch_make(rc__answer_batch *b, const rc__answerer *m, const rc__story_set *x, const uint32_t *index,
                                size_t n, rc_rng *rng, rc_error *e) {
    b->n = n;
    b->rows = b->sentences = b->places = b->longest = b->longest_sentence = 0;
    rc_status s = ROOM(lengths, C_LENGTHS, n);
    if (s == RC_OK) s = ROOM(question, C_QUESTION, n);
    if (s == RC_OK) s = ROOM(target, C_TARGET, n);
    if (s == RC_OK) s = ROOM(targets, C_TARGETS, n * m->o.members);
    if (s == RC_OK) s = ROOM(seen, C_SEEN, x->sentences.count);
    if (s == RC_OK) s = ROOM(mask_of, C_MASK_OF, RC_STORY_MAX_WORDS);
    if (s != RC_OK) return s;
    memset(b->seen, 0, x->sentences.count * sizeof *b->seen);
    memset(b->mask_of, 0, (RC_STORY_MAX_WORDS + 1) * sizeof *b->mask_of);
    for (size_t i = 0; s == RC_OK && i < n; i++) {
        const rc__question *q = &x->at[index ? index[i] : i];
        s = put_memories(b, m, x, q, i, rng, e);
        if (s == RC_OK) s = take_sentence(b, m, x, q->text, &b->question[i], e);
        b->target[i] = q->answer;
        for (size_t k = 0; k < m->o.members; k++) b->targets[i * m->o.members + k] = q->answer < 0 ? -100 : q->answer;
    }
    if (s == RC_OK) s = put_empty(b, e);
    return s == RC_OK && m->o.kind == RC__ANSWER_RECURRENT ? put_words(b, e) : s;
}
