/* conll.h - sentences with a tag for each word, and with an intent: CoNLL-U, CoNLL columns, JSON lines, snips files,
 * plain words; sentence by sentence and whole.
 *
 *   conllu   10 columns with tabs; multiword (3-4) and empty (5.1) lines are left out; words are numbered 1, 2, ...
 *   columns  a word and its columns on a line, with tabs or white space between; an empty line between sentences;
 *            -DOCSTART- lines are left out. With tabs, white space inside a cell is text.
 *   jsonl    {"tokens" or "words": [...], "tags", "labels" or "slots": [...], "intent": "..."}; in place of tokens a
 *            "text", which is cut at white space. Tags and intent may be absent.
 *   snips    {"Intent": [{"data": [{"text": "...", "entity": "..."}, ...]}, ...]}: whole files alone. The pieces are
 *            joined, the text is cut at white space, and a word has the slot of the first of its characters that are in
 *            one: B- the first word of a slot, I- the next ones, O outside. So "St" and "." of two pieces are one word,
 *            "St.", of the slot that "St" is in, as it is when the text comes without pieces.
 *   words    a sentence in each line, words between white space; no tags */
#ifndef RC_CONLL_H
#define RC_CONLL_H
#include "data/source.h"

typedef struct rc__conll_options {
    const char *format; /* NULL or "auto": found out; or one of those above */
    /* Which column has the tags. NULL: the last one (columns), upos (conllu). A number from 1, or for CoNLL-U form,
     * lemma, upos, xpos, feats, head, deprel, deps or misc; for JSON lines a key. */
    const char *tags;
    size_t word; /* columns: which column has the words, from 1; 0 = the first */
    bool untagged; /* only words are wanted: tags and intents may be absent and are not given */
} rc__conll_options;

typedef struct rc__sentence {
    const rc__cell *words, *tags; /* tags NULL: without */
    const size_t *lines;          /* of each word */
    size_t n, line;               /* line: where it begins; of snips: which utterance, from 1 */
    rc__cell intent;              /* text NULL: none */
} rc__sentence;

/* ---- sentence by sentence ---------------------------------------------------------------------------------------- */

typedef struct rc__conll_reader rc__conll_reader;
/* src stays the caller's and must outlive the reader. */
rc_status rc__conll_open(rc__conll_reader **out, rc__source *src, const rc__conll_options *o, rc_error *e);
/* *more = false after the last. The arrays last until the next call, texts as long as the source says (a whole file:
 * until both are freed; else as the arrays). An empty line of `words`, and of JSON lines without words, is a sentence
 * of 0 words. RC_EDATA: file, line, expected, found. */
rc_status rc__conll_next(rc__conll_reader *r, rc__sentence *s, bool *more, rc_error *e);
void rc__conll_close(rc__conll_reader *r);
const char *rc__conll_how(const rc__conll_reader *r); /* "CoNLL-U, tags are upos" */

/* ---- whole files ------------------------------------------------------------------------------------------------- */

typedef struct rc__sentences {
    rc__sentence *at;
    size_t n, cap, n_words;
    char how[96];
    rc__source *src;
    rc__conll_reader *reader;
    struct rc__arena *arrays;
} rc__sentences;
/* RC_EDATA: no sentence, or one without words; one without tags while others have some. */
rc_status rc__conll_read(rc__sentences **out, const char *path, const rc__conll_options *o, rc_error *e);
void rc__conll_free(rc__sentences *s);
#endif
