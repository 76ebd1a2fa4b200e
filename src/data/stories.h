/* stories.h - stories with questions about what was told so far, line by line:
 *
 *   babi    the format of the bAbI tasks (Weston et al. 2015, arXiv 1502.05698): "1 Mary went home.", and for questions
 *           "2 Where is Mary?<TAB>home<TAB>1": the answer, several words with commas between, and the numbers of the lines
 *           that support it, which may be absent. Numbers go up by one within a story; 1 begins a new story.
 *   jsonl   {"story": ["...", ...], "question": "...", "answer": "..."}: a story in each line, "story" a text or a list of
 *           texts; the answer a text or a list of texts, which are joined with commas.
 *   plain   lines without numbers: what ends in '?' is a question, a line of white space alone begins a new story; an
 *           answer may follow the question after a tab */
#ifndef RC_STORIES_H
#define RC_STORIES_H
#include "data/source.h"

#define RC_STORY_MAX_WORDS 4096 /* of a sentence, by whoever cuts it; here a bound on the supporting lines of a question */

typedef struct rc__stories_options {
    const char *format; /* NULL or "" or "auto": by the first line with text; or one of those above */
    bool answers;       /* every question must have one; else it may be absent */
} rc__stories_options;

typedef struct rc__story_line {
    bool begins;         /* it is the first of a story */
    bool question;
    rc__cell text;       /* without number; blanks at both ends left out */
    rc__cell answer;     /* of a question; text NULL: none is given */
    const int32_t *support; /* of a question of babi: numbers of sentences of the story, counted from 0 without questions */
    size_t n_support;
    size_t line;         /* of the file, from 1 */
} rc__story_line;

typedef struct rc__stories_reader rc__stories_reader;
/* src stays the caller's and must outlive the reader. */
rc_status rc__stories_open(rc__stories_reader **out, rc__source *src, const rc__stories_options *o, rc_error *e);
/* *more = false after the last. Texts and support last until the next call. RC_EDATA: file, line, column, expected, found. */
rc_status rc__stories_next(rc__stories_reader *r, rc__story_line *out, bool *more, rc_error *e);
void rc__stories_close(rc__stories_reader *r);
const char *rc__stories_how(const rc__stories_reader *r); /* "babi", "jsonl", "plain"; "" before the first line */
#endif
