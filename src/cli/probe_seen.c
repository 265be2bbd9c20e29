#include "cli/probe_seen.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_START 0xcf21ad74u /* of the random of a HelloRetryRequest (RFC 8446, section 4.1.3) */

/* ---- words ---- */

static uint64_t fingerprint(struct gh_span s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * UINT64_C(1099511628211);
    return h;
}

static void say(struct gh_text *out, const char *what)
{
    gh_text_printf(out, "%s%s", out->len ? " " : "", what);
}

static void describe_extensions(struct gh_reader *r, struct gh_text *out)
{
    struct gh_span all = gh_read_span(r, gh_read_u16(r));
    struct gh_reader e = gh_reader_of(all);

    while (gh_reader_left(&e)) {
        uint16_t type = gh_read_u16(&e);
        struct gh_span data = gh_read_span(&e, gh_read_u16(&e));

        if (type == 51 && data.len >= 2) /* the group; the key is new each time */
            gh_text_printf(out, " 51:%u", data.data[0] << 8 | data.data[1]);
        else
            gh_text_printf(out, " %u:%zu:%04x", type, data.len, (unsigned)(fingerprint(data) & 0xffff));
    }
}

static void describe_server_hello(struct gh_span body, struct gh_text *out)
{
    struct gh_reader r = gh_reader_of(body);
    unsigned version = gh_read_u16(&r);
    bool retry = gh_read_u32(&r) == RETRY_START;
    size_t session;

    gh_read_span(&r, 28);
    session = gh_read_u8(&r);
    gh_read_span(&r, session);
    gh_text_printf(out, "%s%s(%04x session:%zu suite:%04x", out->len ? " " : "", retry ? "hello_retry_request" : "server_hello", version, session, gh_read_u16(&r));
    gh_read_u8(&r);
    if (gh_reader_left(&r))
        describe_extensions(&r, out);
    gh_text_append(out, ")");
}

void gh_probe_describe_messages(struct gh_span content, struct gh_text *out)
{
    struct gh_reader r = gh_reader_of(content);

    while (gh_reader_left(&r) >= 4) {
        uint32_t head = gh_read_u32(&r);
        unsigned type = head >> 24;
        size_t len = head & 0xffffff;
        struct gh_span body = gh_read_span(&r, len < gh_reader_left(&r) ? len : gh_reader_left(&r));

        if (type == 2)
            describe_server_hello(body, out);
        else if (type == 12 || type == 4) /* keys, signatures and tickets are new each time */
            gh_text_printf(out, "%smessage(%u, %zu)", out->len ? " " : "", type, len);
        else
            gh_text_printf(out, "%smessage(%u, %zu, %08x)", out->len ? " " : "", type, len, (unsigned)fingerprint(body));
    }
}

/* The line, if it is one, without what does not print. */
static void describe_text(struct gh_span bytes, struct gh_text *out)
{
    static const char date[] = "\r\nDate: ";
    const uint8_t *found = memmem(bytes.data, bytes.len, date, sizeof date - 1);
    size_t before = found ? (size_t)(found - bytes.data) : bytes.len, line = 0;
    uint64_t print;
    struct gh_span rest = gh_span_of(NULL, 0);

    if (found) {
        const uint8_t *end = memchr(found + 2, '\n', bytes.len - before - 2);

        if (end)
            rest = gh_span_of(end, bytes.len - (size_t)(end - bytes.data));
    }
    print = fingerprint(gh_span_of(bytes.data, before)) ^ fingerprint(rest) * 3;
    while (line < bytes.len && line < 60 && isprint(bytes.data[line]))
        line++;
    gh_text_printf(out, "%sbytes(%zu, %08x%s%.*s%s)", out->len ? " " : "", bytes.len, (unsigned)print, line > 8 ? ", \"" : "", line > 8 ? (int)line : 0,
                   (const char *)bytes.data, line > 8 ? "\"" : "");
}

void gh_probe_describe(struct gh_span bytes, struct gh_text *out)
{
    bool sealed = false;

    while (bytes.len >= 5 && bytes.data[0] >= 20 && bytes.data[0] <= 24 && bytes.data[1] == 3) {
        size_t len = (size_t)bytes.data[3] << 8 | bytes.data[4], have = len < bytes.len - 5 ? len : bytes.len - 5;
        struct gh_span content = gh_span_of(bytes.data + 5, have);
        unsigned type = bytes.data[0];

        if (type == 22 && !sealed && have == len)
            gh_probe_describe_messages(content, out);
        else if (type == 21 && have == 2)
            gh_text_printf(out, "%salert(%u, %u, %02x%02x)", out->len ? " " : "", content.data[0], content.data[1], bytes.data[1], bytes.data[2]);
        else if (type == 20)
            say(out, "change_cipher_spec");
        else
            gh_text_printf(out, "%ssealed(%u, %zu%s)", out->len ? " " : "", type, len, have < len ? ", cut short" : "");
        sealed |= type == 20;
        bytes = gh_span_of(bytes.data + 5 + have, bytes.len - 5 - have);
    }
    if (bytes.len)
        describe_text(bytes, out);
}

/* ---- chances ---- */

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* sup of F_a(x) - F_b(x + tolerance) */
static double above(const double *a, size_t n, const double *b, size_t m, double tolerance)
{
    double largest = 0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        double distance;

        while (at < m && b[at] <= a[i] + tolerance)
            at++;
        distance = (double)(i + 1) / (double)n - (double)at / (double)m;
        largest = distance > largest ? distance : largest;
    }
    return largest;
}

/* Of all orders in which n and m observations can come, the share that strays so far: paths on a lattice that leave a corridor. */
static double lattice(size_t n, size_t m, double distance)
{
    double *inside = calloc(m + 1, sizeof *inside), limit = distance - 1e-9, chance;

    if (!inside)
        return -1;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            double total = (double)(i + j), left = j ? inside[j - 1] * (double)j / total : 0, below = i ? inside[j] * (double)i / total : 0;

            double apart = (double)i / (double)n - (double)j / (double)m;

            if (apart >= limit || -apart >= limit)
                inside[j] = 0;
            else
                inside[j] = i + j ? left + below : 1;
        }
    chance = 1 - inside[m];
    free(inside);
    return chance > 0 ? chance : 0;
}

double gh_probe_times_chance(double *a, size_t n, double *b, size_t m, double tolerance)
{
    double up, down;

    if (n == 0 || m == 0)
        return 1;
    qsort(a, n, sizeof *a, compare_times);
    qsort(b, m, sizeof *b, compare_times);
    up = above(a, n, b, m, tolerance);
    down = above(b, m, a, n, tolerance);
    return lattice(n, m, up > down ? up : down);
}

/* Exact enough up to a hundred or so. */
static double choose(unsigned n, unsigned k)
{
    double ways = 1;

    for (unsigned i = 1; i <= k; i++)
        ways = ways * (n - k + i) / i;
    return ways;
}

double gh_probe_counts_chance(unsigned k, unsigned n, unsigned l, unsigned m)
{
    unsigned total = k + l, least = total > m ? total - m : 0, most = total < n ? total : n;
    double all = choose(n + m, total), seen = choose(n, k) * choose(m, l) / all, chance = 0;

    for (unsigned i = least; i <= most; i++) {
        double c = choose(n, i) * choose(m, total - i) / all;

        if (c <= seen * (1 + 1e-9))
            chance += c;
    }
    return chance < 1 ? chance : 1;
}
