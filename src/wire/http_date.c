#include "wire/http_date.h"

#include <stdio.h>

#include "base/error.h"

#define DAY INT64_C(86400)
#define LAST INT64_C(253402300799) /* 9999-12-31 23:59:59 */

static const char days[][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }; /* from 1970-01-01 */
static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return lengths[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

/* Days from 1970-01-01 to the first of January. */
static int64_t year_begin(int64_t year)
{
    int64_t y = year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

const char *gh_http_date_emit(int64_t wall, char buf[GH_HTTP_DATE_TEXT])
{
    int64_t t = wall < 0 ? 0 : wall > LAST ? LAST : wall, day = t / DAY, left = t % DAY;
    int64_t year = 1970 + day / 366; /* never too late */
    unsigned month = 0, of_month;

    while (year_begin(year + 1) <= day)
        year++;
    of_month = (unsigned)(day - year_begin(year));
    while (of_month >= month_days(year, month))
        of_month -= month_days(year, month++);
    snprintf(buf, GH_HTTP_DATE_TEXT, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[day % 7], (of_month + 1) % 100, months[month], (unsigned)year % 10000,
             (unsigned)(left / 3600) % 100, (unsigned)(left / 60 % 60), (unsigned)(left % 60));
    return buf;
}

/* Letters of a pattern: a any letter, d day, n month by name, y year, h m s the time; all else is itself. */
struct parts {
    unsigned day, month, year, hour, minute, second;
    unsigned year_digits;
    char name[4];
};

static bool take(struct parts *p, char what, uint8_t b)
{
    unsigned *number = what == 'd' ? &p->day : what == 'y' ? &p->year : what == 'h' ? &p->hour : what == 'm' ? &p->minute : what == 's' ? &p->second : NULL;

    if (what == 'd' && b == ' ' && p->day == 0)
        return true; /* asctime writes a blank for the first digit */
    if (what == 'a')
        return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
    if (what == 'n') {
        p->name[p->month++ % 3] = (char)b;
        return true;
    }
    if (!number)
        return b == (uint8_t)what;
    if (b < '0' || b > '9')
        return false;
    *number = *number * 10 + (b - '0');
    p->year_digits += what == 'y';
    return true;
}

static bool matches(struct gh_span text, const char *pattern, struct parts *ret)
{
    struct parts p = { 0 };

    if (text.len != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!take(&p, pattern[i], text.data[i]))
            return false;
    *ret = p;
    return true;
}

static int moment(struct parts *p, int64_t *ret)
{
    int64_t day;

    for (p->month = 0; p->month < 12 && strcmp(p->name, months[p->month]) != 0; p->month++)
        ;
    if (p->year_digits == 2)
        p->year += p->year < 70 ? 2000 : 1900;
    if (p->month == 12 || p->year < 1 || p->day < 1 || p->day > month_days(p->year, p->month))
        return GH_ERR_MALFORMED;
    if (p->hour > 23 || p->minute > 59 || p->second > 60)
        return GH_ERR_MALFORMED;
    day = year_begin(p->year) + p->day - 1;
    for (unsigned m = 0; m < p->month; m++)
        day += month_days(p->year, m);
    *ret = day * DAY + p->hour * 3600 + p->minute * 60 + p->second;
    return 0;
}

int gh_http_date_parse(struct gh_span text, int64_t *ret_wall)
{
    struct parts p;
    struct gh_span day = text;

    if (matches(text, "aaa, dd nnn yyyy hh:mm:ss GMT", &p) || matches(text, "aaa nnn dd hh:mm:ss yyyy", &p))
        return moment(&p, ret_wall);
    while (day.len > 0 && day.data[0] != ',') { /* "Sunday, 06-Nov-94 08:49:37 GMT" */
        day.data++;
        day.len--;
    }
    return matches(day, ", dd-nnn-yy hh:mm:ss GMT", &p) ? moment(&p, ret_wall) : GH_ERR_MALFORMED;
}
