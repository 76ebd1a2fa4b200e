/* timestamp.h - time stamps: reading, the frequency of a column of them, steps ahead, printing as they were written.
 *
 * Seconds since 1970-01-01 00:00 UTC in the proleptic Gregorian calendar, years 1 to 9999, no leap seconds. A stamp
 * without an offset is taken as UTC. A fraction of a second is cut off. */
#ifndef RC_TIMESTAMP_H
#define RC_TIMESTAMP_H
#include "data/source.h"

/* What stands for the date. With slashes, which of month and day comes first is seen from the column, or refused. */
typedef enum rc__date_form {
    RC_DATE_YMD,     /* 2016-07-01, 2016/07/01 */
    RC_DATE_YM,      /* 2016-07 */
    RC_DATE_BASIC,   /* 20160701 */
    RC_DATE_MDY,     /* 7/1/2016 */
    RC_DATE_DMY,     /* 1/7/2016, 1.7.2016 (dots: always this order) */
    RC_DATE_UNIX,    /* 1467331200: a whole number from 10^8 (1973) to 10^11 */
    RC_DATE_INDEX,   /* 0, 1, 2: any other whole number; counts steps, not seconds */
} rc__date_form;

typedef struct rc__time_style {
    rc__date_form form;
    char separator;      /* of the date: '-', '/', '.' */
    bool padded;         /* 07 rather than 7 in month and day */
    char between;        /* date and time: ' ' or 'T'; 0 = no time */
    int fields;          /* 2 = hours and minutes, 3 = with seconds */
    int fraction;        /* digits behind the seconds */
    bool zulu;           /* ends with Z */
    bool has_offset, colon; /* +02:00, or +0200 */
    int offset;          /* seconds east of UTC, of the first stamp of a column; 0 without one */
} rc__time_style;

/* Whether one text is a time stamp that is none of the plain numbers: to tell what a column holds. */
bool rc__time_is(rc__cell c);

/* Reads n cells, one every `stride`; lines (NULL: numbered from 1) are named in messages, as is `where`, "file: column
 * x". order decides dates with slashes: RC_DATE_MDY or RC_DATE_DMY, anything else = seen from the column. All stamps
 * must have the style of the first. RC_EDATA: line, what was expected and found. */
rc_status rc__time_column(const rc__cell *cells, size_t stride, size_t n, const size_t *lines, const char *where,
                          rc__date_form order, rc__time_style *style, int64_t *out, rc_error *e);
/* One stamp in a style that is known, as for what comes after a column. */
bool rc__time_parse(rc__cell c, const rc__time_style *style, int64_t *out);

/* RC_EDATA unless each stamp is after the one before: names the first duplicate or step back, its lines, and how many
 * there are of both. */
rc_status rc__time_check_order(const int64_t *t, size_t n, const size_t *lines, const rc__time_style *style,
                               const char *where, rc_error *e);

/* ---- the calendar ------------------------------------------------------------------------------------------------ */

typedef struct rc__calendar {
    int year, month, day;      /* month and day from 1 */
    int hour, minute, second;
    int weekday;               /* 0 = Monday */
    int year_day;              /* 0 = the first of January */
} rc__calendar;
rc__calendar rc__time_calendar(int64_t seconds, int offset); /* the clock on the wall, `offset` seconds east of UTC */
int64_t rc__time_of(const rc__calendar *c);                  /* of UTC; weekday and year_day are not looked at */

/* ---- frequency --------------------------------------------------------------------------------------------------- */

typedef enum rc__time_unit { RC_UNIT_INDEX, RC_UNIT_SECOND, RC_UNIT_BUSINESS_DAY, RC_UNIT_MONTH } rc__time_unit;

typedef struct rc__frequency {
    rc__time_unit unit;
    int64_t count;    /* units in a step: 3 months, 300 seconds, 604800 seconds = a week */
    int month_day;    /* months: which day, or the last one of shorter months */
    int offset;       /* the clock by which days and months are counted */
    size_t gaps;      /* places where steps are missing, */
    size_t missing;   /* and how many steps in all */
    size_t irregular; /* differences that are no whole number of steps; 0 = a perfect grid with gaps */
    size_t first_irregular; /* which stamp has the first of them before it */
} rc__frequency;

/* The frequency of stamps in order: the commonest difference. Days on which no Saturday and no Sunday comes are business
 * days. RC_EDATA: fewer than two stamps, or no difference makes up half of them. */
rc_status rc__time_frequency(const int64_t *t, size_t n, const rc__time_style *style, const char *where,
                             rc__frequency *f, rc_error *e);
/* "hourly", "every 5 minutes", "daily", "business-daily", "weekly", "monthly", "quarterly", "yearly", "every 3 weeks",
 * "step 1". buf has room for 48. */
const char *rc__frequency_text(const rc__frequency *f, char buf[48]);
/* k steps after t (before, when k < 0), which should be on the grid. */
int64_t rc__time_step(int64_t t, const rc__frequency *f, int64_t k);

/* As it was written: buf has room for 64. */
const char *rc__time_text(int64_t t, const rc__time_style *style, char buf[64]);
#endif
