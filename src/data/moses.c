/* moses.c - the rules of three scripts of the Moses toolkit: normalize-punctuation.perl, tokenizer.perl (-no-escape, without
 * -a) and detokenizer.perl. Each rule is a pass over the text as in the scripts: their order matters. `$1'$2` of two letters
 * uses both up, so that of neighbours that share a letter only the first is changed; the passes here do the same. */
#include "data/moses.h"
#include <string.h>
#include "base/mem.h"
#include "data/codes.h"
#include "data/utf8.h"

#define RUN_DOT 0x110000u /* a full stop among several: no rule touches it */

/* ---- small passes ------------------------------------------------------------------------------------------------ */

static uint32_t at(const rc__codes *t, size_t i) { return i < t->n ? t->c[i] : 0; }
static bool is(uint32_t c, const char *set) { return c && c < 0x80 && strchr(set, (int)c) != NULL; }
static bool is_ascii_letter(uint32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* \d: decimal digits of any script; numbers that are none (superscripts, fractions, Roman ones) are not \d. */
static bool is_digit(uint32_t c) {
    return (c >= '0' && c <= '9') || (c >= 0x80 && rc__code_is_alnum(c) && !rc__code_is_alpha(c));
}

static size_t decode(const char *s, uint32_t out[16]) {
    size_t n = 0, len = strlen(s);
    for (size_t i = 0; i < len && n < 16; n++) i += rc__utf8_decode(s + i, len - i, &out[n]);
    return n;
}

static bool matches(const rc__codes *t, size_t i, const uint32_t *what, size_t n) {
    return i + n <= t->n && memcmp(t->c + i, what, n * sizeof *what) == 0;
}

/* Every `from`, left to right, becomes `to`. */
static rc_status swap_text(rc__rewrite *t, const char *from, const char *to, rc_error *e) {
    uint32_t a[16], b[16];
    size_t na = decode(from, a), nb = decode(to, b), i = 0;
    rc_status s = RC_OK;
    while (i < t->now.n && !matches(&t->now, i, a, na)) i++;
    if (i == t->now.n) return RC_OK;
    t->next.n = 0;
    for (size_t k = 0; k < t->now.n && s == RC_OK;) {
        bool here = k >= i && matches(&t->now, k, a, na);
        if (!here) {
            s = rc__codes_put(&t->next, t->now.c[k++], e);
            continue;
        }
        for (size_t j = 0; j < nb && s == RC_OK; j++) s = rc__codes_put(&t->next, b[j], e);
        k += na;
    }
    rc__rewrite_swap(t);
    return s;
}

/* Runs of what is_gap holds for become one space, none at both ends. */
static void one_space(rc__codes *t, bool (*is_gap)(uint32_t), bool trim) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        bool gap = is_gap(t->c[i]);
        if (gap && n && t->c[n - 1] == ' ') continue;
        if (gap && n == 0 && trim) continue;
        t->c[n++] = gap ? ' ' : t->c[i];
    }
    while (trim && n && t->c[n - 1] == ' ') n--;
    t->n = n;
}

static bool is_blank(uint32_t c) { return c == ' '; }

/* first `mid` second: mid becomes `to`; the letters on both sides are used up. */
static void between(rc__codes *t, bool (*side)(uint32_t), uint32_t mid, uint32_t to) {
    for (size_t i = 0; i + 2 < t->n; i++) {
        if (!side(t->c[i]) || t->c[i + 1] != mid || !side(t->c[i + 2])) continue;
        t->c[i + 1] = to;
        i += 2;
    }
}

/* ---- normalize-punctuation.perl ---------------------------------------------------------------------------------- */

#define NBSP "\xC2\xA0"
/* Before these: \r and parentheses. After them: quotation marks and numbers by language. "one" stands for s/ +/ /g, 1 to 4 for
 * rules with classes of characters. */
static const char *const substitutions[][2] = {{"\r", ""},
                                               {"(", " ("},
                                               {")", ") "},
                                               {"one", NULL},
                                               {"1", NULL},
                                               {"( ", "("},
                                               {" )", ")"},
                                               {"2", NULL},
                                               {" :", ":"},
                                               {" ;", ";"},
                                               {"`", "'"},
                                               {"''", " \" "},
                                               {"„", "\""},
                                               {"“", "\""},
                                               {"”", "\""},
                                               {"–", "-"},
                                               {"—", " - "},
                                               {"one", NULL},
                                               {"´", "'"},
                                               {"3", NULL},
                                               {"4", NULL},
                                               {"‘", "'"},
                                               {"‚", "'"},
                                               {"’", "\""},
                                               {"''", "\""},
                                               {"´´", "\""},
                                               {"…", "..."},
                                               {NBSP "«" NBSP, " \""},
                                               {"«" NBSP, "\""},
                                               {"«", "\""},
                                               {NBSP "»" NBSP, "\" "},
                                               {NBSP "»", "\""},
                                               {"»", "\""},
                                               {NBSP "%", "%"},
                                               {"nº" NBSP, "nº "},
                                               {NBSP ":", ":"},
                                               {NBSP "ºC", " ºC"},
                                               {NBSP "cm", " cm"},
                                               {NBSP "?", "?"},
                                               {NBSP "!", "!"},
                                               {NBSP ";", ";"},
                                               {"," NBSP, ", "},
                                               {"one", NULL}};

/* `) ,` and `5 %` lose their space. */
static void close_up(rc__codes *t, bool parenthesis) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->c[n++] = t->c[i];
        bool drop = parenthesis ? t->c[i] == ')' && at(t, i + 1) == ' ' && is(at(t, i + 2), ".!:?;,")
                                : is_digit(t->c[i]) && at(t, i + 1) == ' ' && at(t, i + 2) == '%';
        if (!drop) continue;
        t->c[n++] = t->c[i + 2];
        i += 2;
    }
    t->n = n;
}

/* English: "quotation," - the stops go inside:  s/"([,.]+)/$1"/g */
static void stops_inside(rc__codes *t) {
    for (size_t i = 0; i < t->n; i++) {
        if (t->c[i] != '"') continue;
        for (; is(at(t, i + 1), ",."); i++) t->c[i] = t->c[i + 1];
        t->c[i] = '"';
    }
}

/* German, Spanish, French: they go outside:  s/,"/",/g; s/(\.+)"(\s*[^<])/"$1$2/g - at the end they stay */
static void stops_outside(rc__codes *t) {
    for (size_t i = 0; i + 1 < t->n; i++)
        if (t->c[i] == ',' && t->c[i + 1] == '"') t->c[i] = '"', t->c[++i] = ',';
    for (size_t i = 0; i < t->n; i++) {
        size_t from = i;
        while (at(t, i) == '.') i++;
        if (i == from || at(t, i) != '"' || i + 1 == t->n || at(t, i + 1) == '<') continue;
        memmove(t->c + from + 1, t->c + from, (i - from) * sizeof *t->c);
        t->c[from] = '"';
        while (i + 1 < t->n && rc__code_is_space(t->c[i + 1])) i++; /* \s*[^<] is used up */
        if (i + 1 < t->n && t->c[i + 1] != '<') i++;
    }
}

static bool among(const char *language, const char *list) {
    size_t n = strlen(language);
    for (const char *w = list; n && (w = strstr(w, language)) != NULL; w++)
        if ((w == list || w[-1] == ' ') && (w[n] == ' ' || w[n] == 0)) return true;
    return false;
}

static rc_status normalize(rc__rewrite *t, const char *language, rc_error *e) {
    rc_status s = RC_OK;
    for (size_t i = 0; i < sizeof substitutions / sizeof *substitutions && s == RC_OK; i++) {
        const char *from = substitutions[i][0], *to = substitutions[i][1];
        if (to)
            s = swap_text(t, from, to, e);
        else if (*from == 'o')
            one_space(&t->now, is_blank, false);
        else if (*from <= '2')
            close_up(&t->now, *from == '1');
        else
            between(&t->now, is_ascii_letter, *from == '3' ? 0x2018 : 0x2019, '\'');
    }
    if (s != RC_OK) return s;
    if (among(language, "en"))
        stops_inside(&t->now);
    else if (!among(language, "cs cz"))
        stops_outside(&t->now);
    between(&t->now, is_digit, 0xA0, among(language, "de es cs cz fr") ? ',' : '.');
    one_space(&t->now, is_blank, true);
    return RC_OK;
}

/* ---- abbreviations ----------------------------------------------------------------------------------------------- */

/* After which a full stop belongs to the word: the lists of the toolkit (share/nonbreaking_prefixes), compressed: `letters`
 * stands for all capital (u) and small (l) letters of ASCII, `numbers` for 1 to 99, `roman` for i to xx in both cases. numeric:
 * only before a number. Other languages: the English ones, as the script does. */
typedef struct prefixes {
    const char *language;
    bool upper, lower, numbers, roman;
    const char *words, *numeric;
} prefixes;

static const prefixes abbreviations[] = {
    {"en", true, false, false, false,
     "Adj Adm Adv Apr Asst Aug Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dec Dr Drs Ens Feb Gen Gov Hon "
     "Hosp Hr "
     "Insp Jan Jul Jun Lt MM MR MRS MS Maj Mar Messrs Mlle Mme Mr Mrs Ms Msgr Nos Nov Nr Oct Op Ord Pfc Ph Prof Pvt "
     "Rep Reps "
     "Res Rev Rs Rt Sen Sens Sep Sfc Sgt Sr St Supt Surg e.g i.e rev v vs",
     "Art No pp"},
    {"de", true, true, true, true,
     "Adj Adm Adv Art Asst BSE Bart Bldg Brig Bros Buchst Ca Capt Chr Cmdr Co Col Comdr Con Corp Cpl D.h DR Dkr Dr Ens "
     "Gen Gov "
     "Hon Hosp I.F Insp Lt Ltd MM MR MRS MS Maj Messrs Mio Mlle Mme Mr Mrd Mrs Ms Msgr MwSt No Nos Nr Op Ord Pfc Ph "
     "Prof Pvt "
     "Rep Reps Res Rev Rt SA Sen Sens Sfc Sgt Sr St Std Supt Surg Zt b.A bzgl bzw c.-à-d ca d.J d.h dergl dgl etc evtl "
     "ff g.U "
     "g.g.A ggf i.H.v jun k.o l.m m.E o.ä pp s.p.a sen sog sogen spp u.E u.U u.a u.s.w u.ä usf usw vgl vs z.B z.T z.Zt "
     "zzt",
     ""},
    {"fr", true, false, false, false,
     "b c d e f g h i j k l m n o p q r s t u v w x y z A.C.N A.M B.P C.N C.N.S C.P.I C.Q.F.D C.S E.V L.D LL.AA "
     "LL.AA.II LL.AA.RR LL.AA.SS LL.EE LL.MM LL.MM.II.RR MM N.B N.D N.D.A N.D.L.R N.D.T N.P.A.I N.S NN.SS P.S R.-V "
     "R.A.S R.I.P R.P S.A S.A.I S.A.R S.A.S S.E S.M S.M.I.R S.S SS T.S.V.P X.O Z.I al ann apr art auj av boul "
     "c.-à-d ca cf ch.-l chap contr dir e.g env etc ex fasc fig fr fém hab i.e ibid id inf lib loc.cit masc ms "
     "n/réf p.c.c p.ex p.j pl pp sec sect sing sq sqq suiv sup suppl tél vb vol vs",
     ""},
};

static bool same(const uint32_t *c, size_t n, const char *word, size_t len) {
    uint32_t w[16];
    size_t k = 0;
    for (size_t i = 0; i < len && k < 16; k++) i += rc__utf8_decode(word + i, len - i, &w[k]);
    return k == n && memcmp(w, c, n * sizeof *c) == 0;
}

static bool in_list(const char *list, const uint32_t *c, size_t n) {
    while (*list) {
        size_t len = strcspn(list, " ");
        if (same(c, n, list, len)) return true;
        list += len + (list[len] == ' ');
    }
    return false;
}

static bool is_prefix(const prefixes *p, const uint32_t *c, size_t n) {
    static const char roman[] = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx "
                                "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX";
    if (n == 1 && is_ascii_letter(c[0]) && (c[0] < 'a' ? p->upper : p->lower)) return true;
    if (p->numbers && n <= 2 && c[0] >= '1' && c[0] <= '9' && (n == 1 || (c[1] >= '0' && c[1] <= '9'))) return true;
    return (p->roman && in_list(roman, c, n)) || in_list(p->words, c, n);
}

static const prefixes *prefixes_of(const char *language) {
    for (size_t i = 0; i < sizeof abbreviations / sizeof *abbreviations; i++)
        if (strcmp(abbreviations[i].language, language) == 0) return &abbreviations[i];
    return &abbreviations[0];
}

/* ---- tokenizer.perl ---------------------------------------------------------------------------------------------- */

static bool is_comma(uint32_t c) { return c == ','; }
static bool no_number(uint32_t c) { return !rc__code_is_number(c); }
/* what is no letter, digit, white space or one of . ' ` , - */
static bool is_other(uint32_t c) { return !rc__code_is_alnum(c) && !rc__code_is_space(c) && !is(c, ".'`,-"); }
static bool is_alpha(uint32_t c) { return c != RUN_DOT && rc__code_is_alpha(c); }
static bool no_alpha(uint32_t c) { return !is_alpha(c); }
static bool neither(uint32_t c) { return no_alpha(c) && !rc__code_is_number(c); }
static bool is_s(uint32_t c) { return c == 's'; }

/* first ' second: a space before the apostrophe, after it, or both. */
typedef struct apostrophe {
    bool (*first)(uint32_t), (*second)(uint32_t);
    bool before, after;
} apostrophe;

static rc_status cut_apostrophes(rc__rewrite *t, const apostrophe *r, rc_error *e) {
    rc_status s = RC_OK;
    t->next.n = 0;
    for (size_t i = 0; i < t->now.n && s == RC_OK; i++) {
        const uint32_t *c = t->now.c + i;
        s = rc__codes_put(&t->next, c[0], e);
        if (i + 2 >= t->now.n || c[1] != '\'' || !r->first(c[0]) || !r->second(c[2])) continue;
        if (s == RC_OK && r->before) s = rc__codes_put(&t->next, ' ', e);
        if (s == RC_OK) s = rc__codes_put(&t->next, '\'', e);
        if (s == RC_OK && r->after) s = rc__codes_put(&t->next, ' ', e);
        if (s == RC_OK) s = rc__codes_put(&t->next, c[2], e);
        i += 2;
    }
    rc__rewrite_swap(t);
    return s;
}

static rc_status apostrophes(rc__rewrite *t, const char *language, rc_error *e) {
    static const apostrophe english[] = {{no_alpha, no_alpha, true, true},
                                         {neither, is_alpha, true, true},
                                         {is_alpha, no_alpha, true, true},
                                         {is_alpha, is_alpha, true, false},
                                         {rc__code_is_number, is_s, true, false}};
    static const apostrophe romance[] = {{no_alpha, no_alpha, true, true},
                                         {no_alpha, is_alpha, true, true},
                                         {is_alpha, no_alpha, true, true},
                                         {is_alpha, is_alpha, false, true}};
    bool en = among(language, "en"), fr = among(language, "fr it ga ca");
    if (!en && !fr) return swap_text(t, "'", " ' ", e);
    rc_status s = RC_OK;
    for (size_t i = 0; i < (en ? 5u : 4u) && s == RC_OK; i++) s = cut_apostrophes(t, en ? &english[i] : &romance[i], e);
    return s;
}

/* Several full stops stay together, apart from what is around them. */
static rc_status keep_runs(rc__rewrite *t, rc_error *e) {
    rc_status s = RC_OK;
    t->next.n = 0;
    for (size_t i = 0; i < t->now.n && s == RC_OK;) {
        size_t from = i;
        while (at(&t->now, i) == '.') i++;
        if (i - from < 2) {
            i = from;
            s = rc__codes_put(&t->next, t->now.c[i++], e);
            continue;
        }
        s = rc__codes_put(&t->next, ' ', e);
        for (; from < i && s == RC_OK; from++) s = rc__codes_put(&t->next, RUN_DOT, e);
        if (s == RC_OK && i < t->now.n) s = rc__codes_put(&t->next, ' ', e);
    }
    rc__rewrite_swap(t);
    return s;
}

/* Does the full stop after the n characters of this word belong to it? next: the character after the space, 0 at the end. */
static bool keeps_stop(const prefixes *p, const uint32_t *c, size_t n, uint32_t next) {
    bool stop = false, alpha = false;
    for (size_t i = 0; i < n; i++) {
        stop |= c[i] == '.';
        alpha |= is_alpha(c[i]);
    }
    if ((stop && alpha) || is_prefix(p, c, n) || (next && next != RUN_DOT && rc__code_is_lower(next))) return true;
    return in_list(p->numeric, c, n) && next >= '0' && next <= '9';
}

/* Words are put out one by one with single spaces; a full stop at the end of a word is cut off unless the word keeps it. */
static rc_status cut_stops(rc__rewrite *t, const char *language, rc_error *e) {
    const prefixes *p = prefixes_of(language);
    const rc__codes *w = &t->now;
    rc_status s = RC_OK;
    t->next.n = 0;
    for (size_t i = 0; i < w->n && s == RC_OK;) {
        size_t from = i;
        while (i < w->n && w->c[i] != ' ') i++;
        size_t n = i - from, next = i + 1;
        if (t->next.n) s = rc__codes_put(&t->next, ' ', e);
        bool cut = n > 1 && w->c[i - 1] == '.' && !keeps_stop(p, w->c + from, n - 1, at(w, next));
        for (size_t k = 0; k < n && s == RC_OK; k++) {
            if (cut && k == n - 1) s = rc__codes_put(&t->next, ' ', e);
            if (s == RC_OK) s = rc__codes_put(&t->next, w->c[from + k], e);
        }
        i = next;
    }
    rc__rewrite_swap(t);
    return s;
}

static rc_status tokenize(rc__rewrite *t, const char *language, rc_error *e) {
    static const rc__space_rule other = {is_other, NULL, true, true},
                                commas[] = {{no_number, is_comma, false, true}, {is_comma, no_number, true, false}};
    size_t n = 0;
    one_space(&t->now, rc__code_is_space, true);
    for (size_t i = 0; i < t->now.n; i++)
        if (t->now.c[i] >= 32) t->now.c[n++] = t->now.c[i];
    t->now.n = n;
    one_space(&t->now, rc__code_is_space, true);
    rc_status s = rc__rewrite_spaces(t, &other, e);
    if (s == RC_OK) s = keep_runs(t, e);
    for (size_t i = 0; i < 2 && s == RC_OK; i++) s = rc__rewrite_spaces(t, &commas[i], e);
    n = t->now.n;
    if (s == RC_OK && n > 1 && t->now.c[n - 1] == ',' && rc__code_is_number(t->now.c[n - 2])) {
        t->now.c[n - 1] = ' ';
        s = rc__codes_put(&t->now, ',', e);
    }
    if (s == RC_OK) s = apostrophes(t, language, e);
    one_space(&t->now, rc__code_is_space, true);
    if (s == RC_OK) s = cut_stops(t, language, e);
    if (s == RC_OK && t->now.n > 1 && t->now.c[t->now.n - 1] == '\'' && t->now.c[t->now.n - 2] == '.') {
        t->now.n -= 2; /* .' at the end */
        for (const char *c = " . '"; *c && s == RC_OK; c++) s = rc__codes_put(&t->now, (unsigned char)*c, e);
    }
    one_space(&t->now, rc__code_is_space, true);
    for (size_t i = 0; i < t->now.n; i++)
        if (t->now.c[i] == RUN_DOT) t->now.c[i] = '.';
    return s;
}

rc_status rc__moses_tokenize(rc__string *out, rc__cell text, const rc__moses_options *o, rc_error *e) {
    rc__rewrite t = {0};
    const char *language = o->language ? o->language : "";
    rc_status s = rc__codes_read(&t.now, text, e);
    if (s == RC_OK && o->lowercase) s = rc__codes_lower(&t.now, e);
    if (s == RC_OK && o->normalize) s = normalize(&t, language, e);
    if (s == RC_OK) s = tokenize(&t, language, e);
    if (s == RC_OK) s = rc__codes_write(out, t.now.c, t.now.n, e);
    rc__rewrite_free(&t);
    return s;
}

/* ---- detokenizer.perl -------------------------------------------------------------------------------------------- */

typedef struct word {
    const uint32_t *c;
    size_t n;
} word;

typedef struct joiner {
    const char *language;
    rc__codes out;
    word before;
    bool space;                  /* before the next word */
    size_t single, quote, grave; /* quotation marks so far: ' " ` */
} joiner;

/* Scripts that are written without spaces (and Hangul, which is not). */
static bool is_cjk(uint32_t c) {
    static const uint32_t ranges[][2] = {{0x1100, 0x11FF}, {0x2E80, 0xA4CF}, {0xA840, 0xA87F}, {0xAC00, 0xD7AF},
                                         {0xF900, 0xFAFF}, {0xFE30, 0xFE4F}, {0xFF65, 0xFFDC}, {0x20000, 0x2FFFF}};
    for (size_t i = 0; i < 8; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

static bool all_of(word w, bool (*holds)(uint32_t)) {
    for (size_t i = 0; i < w.n; i++)
        if (!holds(w.c[i])) return false;
    return true;
}

static bool opens(uint32_t c) { return is(c, "([{") || c == 0xBF || c == 0xA1 || rc__code_is_currency(c); }
static bool closes(uint32_t c) { return is(c, ",.?!:;\\%}])"); }
static bool quotes(uint32_t c) { return is(c, "'\"`") || c == 0x201E || c == 0x201C; }

static rc_status put_word(joiner *j, word w, bool space_before, bool space_after, rc_error *e) {
    rc_status s = RC_OK;
    if (space_before && j->out.n) s = rc__codes_put(&j->out, ' ', e);
    for (size_t i = 0; i < w.n && s == RC_OK; i++) s = rc__codes_put(&j->out, w.c[i], e);
    j->space = space_after;
    return s;
}

/* The first of two opens, the second closes. */
static rc_status put_quote(joiner *j, word w, rc_error *e) {
    bool double_mark = w.c[0] == '"' || w.c[0] >= 0x80;
    size_t *count = double_mark ? &j->quote : w.c[0] == '`' ? &j->grave : &j->single;
    if (*count % 2 == 1) {
        ++*count;
        return put_word(j, w, false, true, e);
    }
    if (among(j->language, "en") && w.n == 1 && w.c[0] == '\'' && j->before.n && j->before.c[j->before.n - 1] == 's')
        return put_word(j, w, false, true, e); /* the Joneses' house */
    ++*count;
    return put_word(j, w, j->space, false, e);
}

static rc_status join(joiner *j, word w, word next, rc_error *e) {
    bool romance = among(j->language, "fr it ga");
    if (is_cjk(w.c[0]) && !among(j->language, "ko"))
        return put_word(j, w, j->space && !(j->before.n && is_cjk(j->before.c[j->before.n - 1])), true, e);
    if (all_of(w, opens)) return put_word(j, w, j->space, false, e);
    if (all_of(w, closes))
        return put_word(j, w, romance && among(j->language, "fr") && w.n == 1 && is(w.c[0], "?!:;\\%"), true, e);
    if (among(j->language, "en") && j->before.n && w.n > 1 && w.c[0] == '\'' && is_alpha(w.c[1]))
        return put_word(j, w, false, true, e); /* 's, 'll */
    if (romance && w.n > 1 && w.c[w.n - 1] == '\'' && is_alpha(w.c[w.n - 2]) && next.n && is_alpha(next.c[0]))
        return put_word(j, w, j->space, false, e); /* l' */
    if (all_of(w, quotes)) return put_quote(j, w, e);
    return put_word(j, w, j->space, true, e);
}

static word next_word(const rc__codes *t, size_t *i) {
    while (*i < t->n && rc__code_is_space(t->c[*i])) ++*i;
    size_t from = *i;
    while (*i < t->n && !rc__code_is_space(t->c[*i])) ++*i;
    return (word){t->c + from, *i - from};
}

rc_status rc__moses_detokenize(rc__string *out, rc__cell text, const char *language, rc_error *e) {
    rc__codes t = {0};
    joiner j = {.language = language ? language : ""};
    size_t i = 0;
    rc_status s = rc__codes_read(&t, text, e);
    word w = {0};
    if (s == RC_OK) w = next_word(&t, &i);
    while (s == RC_OK && w.n) {
        word next = next_word(&t, &i);
        s = join(&j, w, next, e);
        j.before = w;
        w = next;
    }
    if (s == RC_OK) s = rc__codes_write(out, j.out.c, j.out.n, e);
    rc__codes_free(&j.out);
    rc__codes_free(&t);
    return s;
}
