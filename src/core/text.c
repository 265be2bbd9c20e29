#include "core/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void gh_text_init(struct gh_text *t, size_t limit)
{
    *t = (struct gh_text){ .limit = limit };
}

void gh_text_init_fixed(struct gh_text *t, char *buf, size_t cap)
{
    *t = (struct gh_text){ .data = buf, .cap = cap, .limit = cap - 1, .fixed = true };
    buf[0] = 0;
}

void gh_text_fini(struct gh_text *t)
{
    if (!t->fixed)
        free(t->data);
    *t = (struct gh_text){ 0 };
}

static bool reserve(struct gh_text *t, size_t more)
{
    size_t cap = t->cap ? t->cap : 256;
    char *data;

    if (t->failed || more > t->limit || t->len > t->limit - more) {
        t->failed = true;
        return false;
    }
    if (t->len + more < t->cap)
        return true;
    while (cap <= t->len + more)
        cap *= 2;
    data = t->fixed ? NULL : realloc(t->data, cap);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->cap = cap;
    return true;
}

void gh_text_append_span(struct gh_text *t, struct gh_span s)
{
    if (!reserve(t, s.len))
        return;
    if (s.len)
        memcpy(t->data + t->len, s.data, s.len);
    t->len += s.len;
    t->data[t->len] = 0;
}

void gh_text_append(struct gh_text *t, const char *s)
{
    gh_text_append_span(t, gh_span_str(s));
}

void gh_text_append_uint(struct gh_text *t, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    gh_text_append_span(t, gh_span_of(digits + at, sizeof digits - at));
}

void gh_text_append_int(struct gh_text *t, int64_t v)
{
    if (v < 0)
        gh_text_append(t, "-");
    gh_text_append_uint(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void gh_text_printf(struct gh_text *t, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !reserve(t, (size_t)len)) {
        t->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(t->data + t->len, (size_t)len + 1, format, args);
    va_end(args);
    t->len += (size_t)len;
}

/* Bytes of the UTF-8 sequence at the start of <s>, 0 when it is none (RFC 3629, section 4). */
static size_t utf8_len(const uint8_t *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* Line breaks, marks and controls above ASCII, which some readers of JSON and every reader of YAML take for more than text. */
static uint32_t special_above_ascii(const uint8_t *s, size_t n)
{
    uint32_t c = n == 2 ? (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f)
                 : n == 3 ? (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f)
                          : 0;

    return (c >= 0x80 && c <= 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff ? c : 0;
}

static void append_json_char(struct gh_text *t, uint8_t c)
{
    static const char short_of[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };

    if (c == '"' || c == '\\')
        gh_text_append_span(t, gh_span_of((char[]){ '\\', (char)c }, 2));
    else if (c < 0x20 && short_of[c])
        gh_text_append_span(t, gh_span_of((char[]){ '\\', short_of[c] }, 2));
    else
        gh_text_printf(t, "\\u%04x", c);
}

void gh_text_append_json(struct gh_text *t, struct gh_span s)
{
    gh_text_append(t, "\"");
    for (size_t i = 0, start = 0; i <= s.len;) {
        size_t n = i < s.len ? utf8_len(s.data + i, s.len - i) : 0;

        uint32_t special = n > 1 ? special_above_ascii(s.data + i, n) : 0;

        if ((n > 1 && !special) || (n == 1 && s.data[i] >= 0x20 && s.data[i] != 0x7f && s.data[i] != '"' && s.data[i] != '\\')) {
            i += n;
            continue;
        }
        gh_text_append_span(t, gh_span_of(s.data + start, i - start));
        if (i == s.len)
            break;
        if (special)
            gh_text_printf(t, "\\u%04x", special);
        else if (n == 0)
            gh_text_append(t, "\xef\xbf\xbd");
        else
            append_json_char(t, s.data[i]);
        i += n ? n : 1;
        start = i;
    }
    gh_text_append(t, "\"");
}

void gh_text_append_time(struct gh_text *t, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm tm;

    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    if (!gmtime_r(&seconds, &tm)) {
        t->failed = true;
        return;
    }
    gh_text_printf(t, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                   tm.tm_min, tm.tm_sec, ms);
}

void gh_text_append_duration(struct gh_text *t, int64_t ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "d", UINT64_C(86400000000000) }, { "h", UINT64_C(3600000000000) }, { "m", UINT64_C(60000000000) },
                  { "s", 1000000000 },               { "ms", 1000000 },                { "us", 1000 },
                  { "ns", 1 } };
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    if (ns < 0)
        gh_text_append(t, "-");
    if (left == 0)
        gh_text_append(t, "0s");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (left < units[i].ns)
            continue;
        gh_text_append_uint(t, left / units[i].ns);
        gh_text_append(t, units[i].unit);
        left %= units[i].ns;
    }
}

const char *gh_text_string(const struct gh_text *t)
{
    return t->data ? t->data : "";
}
