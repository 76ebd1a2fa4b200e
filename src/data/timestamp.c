/* timestamp.c - see timestamp.h. Outline: calendar - one stamp - columns - frequency - steps - printing. */
#include "data/timestamp.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DAY       INT64_C(86400)
#define UNIX_FROM INT64_C(100000000)
#define UNIX_TO   INT64_C(100000000000)
enum { ORDER_MDY = 1, ORDER_DMY = 2 };

/* ---- the calendar ------------------------------------------------------------------------------------------------ */

static bool leap(int64_t y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }
static int month_days(int64_t y, int m) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return m == 2 && leap(y) ? 29 : days[m - 1];
}
/* Days before the year y >= 1, counted from 0001-01-01. */
static int64_t year_start(int64_t y) {
    y--;
    return 365 * y + y / 4 - y / 100 + y / 400;
}
static int before_month(int64_t y, int m) {
    int days = 0;
    for (int i = 1; i < m; i++) days += month_days(y, i);
    return days;
}
static const int64_t epoch = 719162; /* days from 0001-01-01 to 1970-01-01: year_start(1970) */

static int64_t days_of(int64_t y, int m, int d) { return year_start(y) + before_month(y, m) + d - 1 - epoch; }
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t rc__time_of(const rc__calendar *c) {
    return days_of(c->year, c->month, c->day) * DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

rc__calendar rc__time_calendar(int64_t seconds, int offset) {
    rc__calendar c = {.year = 1, .month = 1, .day = 1};
    const int64_t last = days_of(9999, 12, 31) * DAY + DAY - 1;
    if (seconds > last - offset) seconds = last - offset;
    if (seconds < -epoch * DAY - offset) seconds = -epoch * DAY - offset;
    int64_t t = seconds + offset, day = floor_div(t, DAY), rest = t - day * DAY;
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    c.second = (int)(rest % 60);
    c.weekday = (int)((day + epoch) % 7);                 /* 0001-01-01 was a Monday */
    int64_t n = day + epoch, year = n * 400 / 146097 + 1; /* at most one off */
    while (year_start(year) > n) year--;
    while (year_start(year + 1) <= n) year++;
    c.year = (int)year;
    c.year_day = (int)(n - year_start(year));
    int left = c.year_day;
    while (left >= month_days(year, c.month)) left -= month_days(year, c.month++);
    c.day = left + 1;
    return c;
}

/* ---- one stamp --------------------------------------------------------------------------------------------------- */

typedef struct scan {
    const char *at, *end;
} scan;

static bool digit(char c) { return c >= '0' && c <= '9'; }
static char ahead(const scan *s) { return s->at < s->end ? *s->at : 0; }
static bool take(scan *s, char c) {
    if (ahead(s) != c) return false;
    s->at++;
    return true;
}
/* A number of min..max digits; *n says how many. */
static bool number(scan *s, int min, int max, int *value, int *n) {
    int x = 0, k = 0;
    while (k < max && digit(ahead(s))) {
        x = x * 10 + (*s->at++ - '0');
        k++;
    }
    *value = x;
    if (n) *n = k;
    return k >= min && !digit(ahead(s));
}
static bool two(scan *s, int *value) {
    if (s->end - s->at < 2 || !digit(s->at[0]) || !digit(s->at[1])) return false;
    *value = (s->at[0] - '0') * 10 + s->at[1] - '0';
    s->at += 2;
    return true;
}

typedef struct stamp {
    int64_t seconds;
    rc__time_style style; /* form: MDY stands for either order */
    int orders;           /* which are possible, of dates with slashes */
    rc__calendar c;       /* with month and day in the order month, day */
} stamp;

static bool scan_date(scan *s, stamp *p) {
    int a, b, c, na, nb;
    rc__time_style *style = &p->style;
    if (!number(s, 1, 4, &a, &na)) return false;
    char separator = ahead(s);
    if (separator != '-' && separator != '/' && separator != '.') return false;
    s->at++;
    if (!number(s, 1, 2, &b, &nb)) return false;
    style->separator = separator;
    if (na == 4) {
        if (separator == '.') return false;
        p->c = (rc__calendar){.year = a, .month = b, .day = 1};
        style->padded = nb == 2;
        style->form = RC_DATE_YM;
        if (separator == '-' && ahead(s) != '-') return nb == 2;
        int nc;
        if (!take(s, separator) || !number(s, 1, 2, &c, &nc)) return false;
        if (separator == '-' && (nb != 2 || nc != 2)) return false; /* ISO 8601 has two digits */
        style->form = RC_DATE_YMD;
        style->padded = nb == 2 && nc == 2 && (b < 10 || c < 10);
        p->c.day = c;
        return true;
    }
    if (separator == '-' || na > 2 || !take(s, separator) || s->end - s->at < 4 || !number(s, 4, 4, &c, NULL))
        return false;
    style->form = RC_DATE_MDY;
    style->padded = na == 2 && nb == 2 && (a < 10 || b < 10);
    p->orders = separator == '.' ? ORDER_DMY : ORDER_MDY | ORDER_DMY;
    p->c = (rc__calendar){.year = c, .month = a, .day = b};
    return true;
}

static bool scan_time(scan *s, stamp *p) {
    rc__time_style *style = &p->style;
    if (s->at == s->end) return true;
    style->between = *s->at++;
    if (style->between != ' ' && style->between != 'T') return false;
    if (style->between == 'T' && style->form != RC_DATE_YMD && style->form != RC_DATE_BASIC) return false;
    int hours = 0;
    if (!number(s, 1, 2, &p->c.hour, &hours) || !take(s, ':') || !two(s, &p->c.minute)) return false;
    style->fields = 2;
    if (take(s, ':')) {
        if (!two(s, &p->c.second)) return false;
        style->fields = 3;
        if (take(s, '.') || take(s, ',')) {
            while (digit(ahead(s))) s->at++, style->fraction++;
            if (style->fraction == 0 || style->fraction > 9) return false;
        }
    }
    if (take(s, 'Z')) {
        style->zulu = true;
    } else if (ahead(s) == '+' || ahead(s) == '-') {
        int sign = *s->at++ == '-' ? -1 : 1, h, m = 0;
        if (!two(s, &h)) return false;
        style->colon = take(s, ':');
        if (s->at < s->end || style->colon) {
            if (!two(s, &m)) return false;
        } else {
            style->colon = true; /* +02 is printed as +02:00 */
        }
        if (h > 18 || m > 59) return false;
        style->has_offset = true;
        style->offset = sign * (h * 3600 + m * 60);
    }
    return s->at == s->end && p->c.hour < 24 && p->c.minute < 60 && p->c.second < 60;
}

static bool day_is(const rc__calendar *c, int month, int day) {
    return c->year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= month_days(c->year, month);
}

/* Everything but plain numbers. */
static bool scan_stamp(rc__cell text, stamp *p) {
    text = rc__cell_trim(text);
    scan s = {text.text, text.text + text.len};
    *p = (stamp){0};
    int64_t basic = 0;
    if (text.len >= 8 && (text.len == 8 || text.text[8] == 'T') && rc__cell_integer((rc__cell){text.text, 8}, &basic) &&
        digit(text.text[0])) {
        p->style.form = RC_DATE_BASIC;
        p->c =
            (rc__calendar){.year = (int)(basic / 10000), .month = (int)(basic / 100 % 100), .day = (int)(basic % 100)};
        s.at += 8;
    } else if (!scan_date(&s, p)) {
        return false;
    }
    if (!scan_time(&s, p)) return false;
    if (p->style.form != RC_DATE_MDY) return day_is(&p->c, p->c.month, p->c.day);
    if (!day_is(&p->c, p->c.month, p->c.day)) p->orders &= ~ORDER_MDY;
    if (!day_is(&p->c, p->c.day, p->c.month)) p->orders &= ~ORDER_DMY;
    return p->orders != 0;
}

bool rc__time_is(rc__cell c) {
    stamp p;
    return scan_stamp(c, &p) && (p.style.form != RC_DATE_BASIC || p.style.between);
}

/* The seconds of a stamp whose order is known. */
static int64_t seconds_of(const stamp *p, bool day_first) {
    rc__calendar c = p->c;
    if (day_first) {
        c.month = p->c.day;
        c.day = p->c.month;
    }
    return rc__time_of(&c) - p->style.offset;
}

static bool same_style(const rc__time_style *a, const rc__time_style *b) {
    return a->form == b->form && a->separator == b->separator && (a->between != 0) == (b->between != 0) &&
           (a->zulu || a->has_offset) == (b->zulu || b->has_offset);
}

bool rc__time_parse(rc__cell c, const rc__time_style *style, int64_t *out) {
    if (style->form == RC_DATE_UNIX || style->form == RC_DATE_INDEX) return rc__cell_integer(c, out);
    stamp p;
    if (!scan_stamp(c, &p)) return false;
    bool day_first = style->form == RC_DATE_DMY;
    if (p.style.form == RC_DATE_MDY) {
        if (!(p.orders & (day_first ? ORDER_DMY : ORDER_MDY))) return false;
        p.style.form = style->form == RC_DATE_DMY ? RC_DATE_DMY : RC_DATE_MDY;
    }
    if (!same_style(&p.style, style)) return false;
    *out = seconds_of(&p, day_first);
    return true;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static const char *form_text(rc__time_style *s) {
    switch (s->form) {
    case RC_DATE_YMD:
        if (s->separator == '/')
            return s->between ? "a date and time such as 2016/07/01 12:30" : "a date such as 2016/07/01";
        return s->between ? "a date and time such as 2016-07-01 12:30" : "a date such as 2016-07-01";
    case RC_DATE_YM: return "a month such as 2016-07";
    case RC_DATE_BASIC: return "a date such as 20160701";
    case RC_DATE_MDY: return s->between ? "a date and time such as 7/31/2016 12:30" : "a date such as 7/31/2016";
    case RC_DATE_DMY:
        if (s->separator == '.') return "a date such as 31.7.2016";
        return s->between ? "a date and time such as 31/7/2016 12:30" : "a date such as 31/7/2016";
    case RC_DATE_UNIX: return "seconds since 1970";
    default: return "a whole number";
    }
}

static size_t line_of(const size_t *lines, size_t i) { return lines ? lines[i] : i + 1; }

static rc_status not_a_stamp(rc__cell c, const char *expected, size_t line, const char *where, rc_error *e) {
    char shown[64];
    if (rc__cell_trim(c).len == 0)
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %s, found nothing", where, line, expected);
    return rc_fail(e, RC_EDATA, "%s: line %zu: expected %s, found %s", where, line, expected, rc__cell_show(c, shown));
}

/* Whole numbers: dates without separators when all are such, else Unix seconds, else an index. */
static rc_status number_column(const rc__cell *cells, size_t stride, size_t n, const size_t *lines, const char *where,
                               rc__time_style *style, int64_t *out, rc_error *e) {
    bool dates = true, seconds = true;
    *style = (rc__time_style){.form = RC_DATE_INDEX};
    for (size_t i = 0; i < n; i++) {
        rc__cell c = cells[i * stride];
        stamp p;
        if (!rc__cell_integer(c, &out[i])) return not_a_stamp(c, "a whole number", line_of(lines, i), where, e);
        dates = dates && scan_stamp(c, &p) && p.c.year >= 1800 && p.c.year < 2200;
        seconds = seconds && out[i] >= UNIX_FROM && out[i] < UNIX_TO;
    }
    if (dates) {
        style->form = RC_DATE_BASIC;
        for (size_t i = 0; i < n; i++) {
            stamp p;
            scan_stamp(cells[i * stride], &p);
            out[i] = seconds_of(&p, false);
        }
    } else if (seconds) {
        style->form = RC_DATE_UNIX;
    }
    if (style->form == RC_DATE_INDEX)
        for (size_t i = 0; i < n; i++)
            if (out[i] >= UNIX_TO || out[i] <= -UNIX_TO)
                return not_a_stamp(cells[i * stride], "seconds since 1970 (milliseconds? divide by 1000) or an index",
                                   line_of(lines, i), where, e);
    return RC_OK;
}

rc_status rc__time_column(const rc__cell *cells, size_t stride, size_t n, const size_t *lines, const char *where,
                          rc__date_form order, rc__time_style *style, int64_t *out, rc_error *e) {
    *style = (rc__time_style){.form = RC_DATE_INDEX};
    if (n == 0) return RC_OK;
    stamp first;
    int64_t whole;
    if (rc__cell_integer(cells[0], &whole)) return number_column(cells, stride, n, lines, where, style, out, e);
    if (!scan_stamp(cells[0], &first))
        return not_a_stamp(cells[0], "a time stamp (2016-07-01, 2016-07-01 12:30:00, 2016-07, 7/31/2016, 31.7.2016)",
                           line_of(lines, 0), where, e);
    *style = first.style;
    int orders = first.orders;
    size_t ruled[2] = {0, 0}; /* which line ruled out each order */
    for (size_t i = 0; i < n; i++) {
        stamp p;
        rc__cell c = cells[i * stride];
        if (!scan_stamp(c, &p) || !same_style(&p.style, style))
            return not_a_stamp(c, form_text(style), line_of(lines, i), where, e);
        if (style->form != RC_DATE_MDY) {
            out[i] = seconds_of(&p, false);
            if (p.style.fraction > style->fraction) style->fraction = p.style.fraction;
            if (p.style.padded) style->padded = true;
            continue;
        }
        if (p.style.padded) style->padded = true;
        for (int k = 0; k < 2; k++)
            if (!(p.orders & (k + 1)) && ruled[k] == 0) ruled[k] = line_of(lines, i);
        orders &= p.orders;
        if (orders == 0)
            return rc_fail(e, RC_EDATA,
                           "%s: line %zu: expected one order of day and month, found both: line %zu cannot be "
                           "month/day/year and line %zu cannot be day/month/year",
                           where, line_of(lines, i), ruled[0], ruled[1]);
    }
    if (style->form != RC_DATE_MDY) return RC_OK;
    if (orders == (ORDER_MDY | ORDER_DMY)) {
        if (order == RC_DATE_MDY) orders = ORDER_MDY;
        if (order == RC_DATE_DMY) orders = ORDER_DMY;
        char shown[64];
        if (orders == (ORDER_MDY | ORDER_DMY))
            return rc_fail(
                e, RC_EDATA,
                "%s: line %zu: %s may be month/day/year or day/month/year, and no other line tells which; say "
                "mdy or dmy",
                where, line_of(lines, 0), rc__cell_show(cells[0], shown));
    } else if ((order == RC_DATE_MDY && orders == ORDER_DMY) || (order == RC_DATE_DMY && orders == ORDER_MDY)) {
        return rc_fail(e, RC_EDATA, "%s: line %zu: expected %s, found a date that is not", where,
                       ruled[orders == ORDER_DMY ? 0 : 1], order == RC_DATE_MDY ? "month/day/year" : "day/month/year");
    }
    style->form = orders == ORDER_DMY ? RC_DATE_DMY : RC_DATE_MDY;
    for (size_t i = 0; i < n; i++) {
        stamp p;
        scan_stamp(cells[i * stride], &p);
        out[i] = seconds_of(&p, orders == ORDER_DMY);
    }
    return RC_OK;
}

rc_status rc__time_check_order(const int64_t *t, size_t n, const size_t *lines, const rc__time_style *style,
                               const char *where, rc_error *e) {
    size_t twice = 0, back = 0, first = 0;
    for (size_t i = 1; i < n; i++) {
        if (t[i] > t[i - 1]) continue;
        if (first == 0) first = i;
        twice += t[i] == t[i - 1];
        back += t[i] < t[i - 1];
    }
    if (first == 0) return RC_OK;
    char a[64], b[64];
    rc__time_text(t[first], style, a);
    rc__time_text(t[first - 1], style, b);
    if (t[first] == t[first - 1])
        return rc_fail(
            e, RC_EDATA,
            "%s: line %zu: expected a time after that of line %zu, found %s again (%zu twice, %zu steps back)", where,
            line_of(lines, first), line_of(lines, first - 1), a, twice, back);
    return rc_fail(e, RC_EDATA,
                   "%s: line %zu: expected a time after %s of line %zu, found %s (%zu steps back, %zu twice); sort the "
                   "file",
                   where, line_of(lines, first), b, line_of(lines, first - 1), a, back, twice);
}

/* ---- frequency --------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The commonest of n values, which are sorted; the smallest of several. */
static int64_t commonest(int64_t *v, size_t n, size_t *times) {
    qsort(v, n, sizeof *v, compare);
    int64_t best = v[0];
    *times = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && v[j] == v[i]; j++) {
        }
        if (j - i > *times) {
            *times = j - i;
            best = v[i];
        }
    }
    return best;
}

static int64_t month_number(const rc__calendar *c) { return (int64_t)c->year * 12 + c->month - 1; }

/* Whether all stamps have one clock time and one day of the month (the last one where a month is shorter, or the last
 * one of each). */
static bool on_one_month_day(const int64_t *t, size_t n, int offset, int *month_day) {
    int most = 0;
    bool ends = true;
    for (size_t i = 0; i < n; i++) {
        rc__calendar c = rc__time_calendar(t[i], offset);
        if (c.day > most) most = c.day;
        if (c.day != month_days(c.year, c.month)) ends = false;
        if (i && (t[i] - t[0]) % DAY != 0) return false;
        if (i && t[i] - t[i - 1] < 28 * DAY) return false;
    }
    *month_day = ends ? 31 : most;
    for (size_t i = 0; i < n; i++) {
        rc__calendar c = rc__time_calendar(t[i], offset);
        int want = month_days(c.year, c.month) < *month_day ? month_days(c.year, c.month) : *month_day;
        if (c.day != want) return false;
    }
    return true;
}

static int64_t business_days(int64_t t, int offset) { /* number of working days before this one; Monday..Friday */
    int64_t day = floor_div(t + offset, DAY) + epoch, week = day / 7, in_week = day % 7;
    return week * 5 + (in_week < 5 ? in_week : 5);
}

/* In units from the first stamp; *whole = false: not on the grid of units. */
static int64_t units_between(int64_t a, int64_t b, const rc__frequency *f, bool *whole) {
    *whole = true;
    if (f->unit == RC_UNIT_MONTH) {
        rc__calendar x = rc__time_calendar(a, f->offset), y = rc__time_calendar(b, f->offset);
        return month_number(&y) - month_number(&x);
    }
    if (f->unit == RC_UNIT_BUSINESS_DAY) {
        *whole = (b - a) % DAY == 0;
        return business_days(b, f->offset) - business_days(a, f->offset);
    }
    return b - a;
}

rc_status rc__time_frequency(const int64_t *t, size_t n, const rc__time_style *style, const char *where,
                             rc__frequency *f, rc_error *e) {
    *f =
        (rc__frequency){.unit = style->form == RC_DATE_INDEX ? RC_UNIT_INDEX : RC_UNIT_SECOND, .offset = style->offset};
    if (n < 2)
        return rc_fail(e, RC_EDATA, "%s: expected two time stamps or more to see their frequency, found %zu", where, n);
    if (f->unit == RC_UNIT_SECOND && on_one_month_day(t, n, f->offset, &f->month_day)) {
        f->unit = RC_UNIT_MONTH;
    } else if (f->unit == RC_UNIT_SECOND) {
        bool weekend = false, days = true, over = false;
        for (size_t i = 0; i < n; i++) {
            int day = rc__time_calendar(t[i], f->offset).weekday;
            weekend = weekend || day >= 5;
            if (i == 0) continue;
            days = days && (t[i] - t[i - 1]) % DAY == 0;
            over = over || (day == 0 && t[i] - t[i - 1] == 3 * DAY); /* from Friday to Monday */
        }
        if (days && over && !weekend) f->unit = RC_UNIT_BUSINESS_DAY;
    }
    size_t times, bytes = (n - 1) * sizeof(int64_t);
    int64_t *d = rc__alloc(bytes);
    if (!d) return rc_fail(e, RC_ENOMEM, "%s: out of memory", where);
    bool whole;
    for (size_t i = 1; i < n; i++) d[i - 1] = units_between(t[i - 1], t[i], f, &whole);
    f->count = commonest(d, n - 1, &times);
    rc__free(d, bytes);
    if (f->count <= 0 || 2 * times < n - 1)
        return rc_fail(e, RC_EDATA,
                       "%s: expected time stamps at equal distances, found the commonest distance in %zu of %zu places "
                       "only",
                       where, f->count <= 0 ? (size_t)0 : times, n - 1);
    for (size_t i = 1; i < n; i++) {
        int64_t k = units_between(t[i - 1], t[i], f, &whole);
        if (!whole || k % f->count != 0 || k == 0) {
            if (f->irregular++ == 0) f->first_irregular = i;
        } else if (k > f->count) {
            f->gaps++;
            f->missing += (size_t)(k / f->count - 1);
        }
    }
    return RC_OK;
}

const char *rc__frequency_text(const rc__frequency *f, char buf[48]) {
    static const struct {
        rc__time_unit unit;
        int64_t count;
        const char *one, *many;
    } names[] = {
        {RC_UNIT_MONTH, 12, "yearly", "years"},        {RC_UNIT_MONTH, 3, "quarterly", "quarters"},
        {RC_UNIT_MONTH, 1, "monthly", "months"},       {RC_UNIT_BUSINESS_DAY, 1, "business-daily", "business days"},
        {RC_UNIT_SECOND, 7 * DAY, "weekly", "weeks"},  {RC_UNIT_SECOND, DAY, "daily", "days"},
        {RC_UNIT_SECOND, 3600, "hourly", "hours"},     {RC_UNIT_SECOND, 60, "every minute", "minutes"},
        {RC_UNIT_SECOND, 1, "every second", "seconds"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (f->unit != names[i].unit || f->count % names[i].count != 0) continue;
        if (f->count == names[i].count) return snprintf(buf, 48, "%s", names[i].one), buf;
        if (names[i].count == 3) continue; /* six months are no two quarters to a reader */
        return snprintf(buf, 48, "every %lld %s", (long long)(f->count / names[i].count), names[i].many), buf;
    }
    snprintf(buf, 48, "step %lld", (long long)f->count);
    return buf;
}

int64_t rc__time_step(int64_t t, const rc__frequency *f, int64_t k) {
    int64_t by;
    if (__builtin_mul_overflow(k, f->count, &by)) return t;
    if (f->unit == RC_UNIT_MONTH) {
        rc__calendar c = rc__time_calendar(t, f->offset);
        int64_t month = month_number(&c);
        if (__builtin_add_overflow(month, by, &month) || month < 12 || month >= 120000) return t;
        c.year = (int)(month / 12);
        c.month = (int)(month % 12) + 1;
        int last = month_days(c.year, c.month);
        c.day = f->month_day && f->month_day < last ? f->month_day : f->month_day ? last : c.day < last ? c.day : last;
        return rc__time_of(&c) - f->offset;
    }
    if (f->unit == RC_UNIT_BUSINESS_DAY) {
        int64_t day = floor_div(t + f->offset, DAY) + epoch, rest = t + f->offset - (day - epoch) * DAY;
        int64_t working = business_days(t, f->offset);
        if (day % 7 >= 5 && by > 0) working--; /* from a weekend, the step to Monday is one */
        if (__builtin_add_overflow(working, by, &working) || working < 0 || working > 3000000) return t;
        return (working / 5 * 7 + working % 5 - epoch) * DAY + rest - f->offset;
    }
    return __builtin_add_overflow(t, by, &by) ? t : by;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

const char *rc__time_text(int64_t t, const rc__time_style *style, char buf[64]) {
    if (style->form == RC_DATE_UNIX || style->form == RC_DATE_INDEX)
        return snprintf(buf, 64, "%lld", (long long)t), buf;
    rc__calendar c = rc__time_calendar(t, style->offset);
    int width = style->padded ? 2 : 1, n = 0;
    char sep = style->separator;
    switch (style->form) {
    case RC_DATE_YM: n = snprintf(buf, 64, "%04d%c%02d", c.year, sep, c.month); break;
    case RC_DATE_BASIC: n = snprintf(buf, 64, "%04d%02d%02d", c.year, c.month, c.day); break;
    case RC_DATE_MDY: n = snprintf(buf, 64, "%0*d%c%0*d%c%04d", width, c.month, sep, width, c.day, sep, c.year); break;
    case RC_DATE_DMY: n = snprintf(buf, 64, "%0*d%c%0*d%c%04d", width, c.day, sep, width, c.month, sep, c.year); break;
    default:
        if (sep == '-') width = 2;
        n = snprintf(buf, 64, "%04d%c%0*d%c%0*d", c.year, sep, width, c.month, sep, width, c.day);
    }
    if (style->between) n += snprintf(buf + n, 64 - (size_t)n, "%c%02d:%02d", style->between, c.hour, c.minute);
    if (style->fields == 3) n += snprintf(buf + n, 64 - (size_t)n, ":%02d", c.second);
    if (style->fraction) n += snprintf(buf + n, 64 - (size_t)n, ".%0*d", style->fraction, 0);
    if (style->zulu) n += snprintf(buf + n, 64 - (size_t)n, "Z");
    if (style->has_offset) {
        int minutes = abs(style->offset) / 60;
        snprintf(buf + n, 64 - (size_t)n, "%c%02d%s%02d", style->offset < 0 ? '-' : '+', minutes / 60,
                 style->colon ? ":" : "", minutes % 60);
    }
    return buf;
}
