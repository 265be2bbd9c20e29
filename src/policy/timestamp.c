#include "policy/timestamp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const int days_before_month[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

static bool leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_before_year(int64_t year) /* since 1970-01-01 */
{
    int64_t y = year - 1;

    return 365 * (year - 1970) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static int days_in_month(int year, int month)
{
    return days_before_month[month] - days_before_month[month - 1] + (month == 2 && leap(year));
}

static int64_t day_number(int year, int month, int day)
{
    return days_before_year(year) + days_before_month[month - 1] + (month > 2 && leap(year)) + day - 1;
}

/* Fits <text> against <shape>: '9' is a digit, everything else stands for itself. */
static bool has_shape(const char *text, size_t len, const char *shape)
{
    if (len != strlen(shape))
        return false;
    for (size_t i = 0; i < len; i++)
        if (shape[i] == '9' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    return true;
}

static int digits(const char *text, int count)
{
    int v = 0;

    for (int i = 0; i < count; i++)
        v = v * 10 + (text[i] - '0');
    return v;
}

int gh_timestamp_parse(const char *text, size_t len, int64_t *ret)
{
    bool date = has_shape(text, len, "9999-99-99");
    bool utc = has_shape(text, len, "9999-99-99T99:99:99Z");
    bool east = has_shape(text, len, "9999-99-99T99:99:99+99:99");
    bool west = has_shape(text, len, "9999-99-99T99:99:99-99:99");
    int year, month, day, hour = 0, minute = 0, second = 0, off = 0;

    if (!date && !utc && !east && !west)
        return GH_ERR_MALFORMED;
    year = digits(text, 4);
    month = digits(text + 5, 2);
    day = digits(text + 8, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return GH_ERR_MALFORMED;
    if (!date) {
        hour = digits(text + 11, 2);
        minute = digits(text + 14, 2);
        second = digits(text + 17, 2);
    }
    if (hour > 23 || minute > 59 || second > 59)
        return GH_ERR_MALFORMED;
    if (east || west) {
        int h = digits(text + 20, 2), m = digits(text + 23, 2);

        if (h > 23 || m > 59)
            return GH_ERR_MALFORMED;
        off = (east ? -1 : 1) * (h * 3600 + m * 60);
    }
    *ret = day_number(year, month, day) * 86400 + hour * 3600 + minute * 60 + second + off;
    return 0;
}

const char *gh_timestamp_emit(int64_t wall_seconds, char buf[GH_TIMESTAMP_TEXT])
{
    int64_t days = wall_seconds / 86400, rest = wall_seconds % 86400, year;
    int month = 1;

    if (wall_seconds < 0 || wall_seconds > INT64_C(253402300799)) { /* 9999-12-31T23:59:59Z */
        snprintf(buf, GH_TIMESTAMP_TEXT, "%lld", (long long)wall_seconds);
        return buf;
    }
    year = 1970 + days / 366;
    while (days_before_year(year + 1) <= days)
        year++;
    days -= days_before_year(year);
    while (days >= days_in_month((int)year, month))
        days -= days_in_month((int)year, month++);
    snprintf(buf, GH_TIMESTAMP_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000, (unsigned)month % 100,
             (unsigned)(days + 1) % 100, (unsigned)(rest / 3600) % 100, (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
    return buf;
}
