#include "core/audit_line.h"

#include "base/error.h"
#include "base/hex.h"
#include "policy/timestamp.h"

#define MAC_TEXT 64u
#define DIGITS 20u /* of the largest number */

/* What stands around the parts, by format. */
static const struct form {
    const char *start, *event, *seq, *mac, *end, *reason, *reason_end, *missing, *id;
} forms[] = {
    { "{\"timestamp\":\"", "\",\"level\":\"info\",\"event_type\":\"audit.checkpoint\"", ",\"seq\":", ",\"chain\":\"", "\"}", "\"reason\":\"", "\"",
      ",\"missing_from\":", "\"chain_id\":\"" },
    { "", " info audit.checkpoint ", " seq=", " chain=", "", " reason=", " ", " missing_from=", " chain_id=" },
};

static bool starts_with(struct gh_span s, const char *text)
{
    size_t len = strlen(text);

    return s.len >= len && memcmp(s.data, text, len) == 0;
}

/* Removes <text> from the end. */
static bool cut_end(struct gh_span *s, const char *text)
{
    size_t len = strlen(text);

    if (s->len < len || memcmp(s->data + s->len - len, text, len) != 0)
        return false;
    s->len -= len;
    return true;
}

/* A number without leading zeroes at the front of <s>; how many digits it has, 0 for none. */
static size_t number_at(struct gh_span s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t n = 0;

    for (; n < s.len && s.data[n] >= '0' && s.data[n] <= '9'; n++) {
        uint64_t d = (uint64_t)(s.data[n] - '0');

        if (n == DIGITS || v > (UINT64_MAX - d) / 10)
            return 0;
        v = v * 10 + d;
    }
    if (n > 1 && s.data[0] == '0')
        return 0;
    *ret = v;
    return n;
}

static bool cut_mac(struct gh_span *s, uint8_t ret[32])
{
    if (s->len < MAC_TEXT)
        return false;
    s->len -= MAC_TEXT;
    return gh_hex_decode(gh_span_of(s->data + s->len, MAC_TEXT), GH_HEX_LOWER, ret, 32);
}

/* The last part of what the mac covers. */
static bool find_seq(struct gh_span covered, const char *before, uint64_t *ret)
{
    struct gh_span digits = gh_span_of(covered.data + covered.len, 0), head;

    while (digits.len < DIGITS && digits.data > covered.data && digits.data[-1] >= '0' && digits.data[-1] <= '9')
        digits = gh_span_of(digits.data - 1, digits.len + 1);
    head = gh_span_of(covered.data, covered.len - digits.len);
    return digits.len > 0 && cut_end(&head, before) && number_at(digits, ret) == digits.len;
}

/* From the end of <before> to <end>, or to the end of all; empty when it is not there. */
static struct gh_span between(struct gh_span s, const char *before, const char *end)
{
    const uint8_t *from = memmem(s.data, s.len, before, strlen(before)), *to;

    if (!from)
        return gh_span_of(NULL, 0);
    from += strlen(before);
    to = memmem(from, (size_t)(s.data + s.len - from), end, strlen(end));
    return gh_span_of(from, (size_t)((to ? to : s.data + s.len) - from));
}

/* Checkpoints hold nothing that a peer or a policy says, so that their keys can be looked for. */
static void read_checkpoint(struct gh_span rest, const struct form *f, struct gh_audit_line *ret)
{
    const uint8_t *missing = memmem(rest.data, rest.len, f->missing, strlen(f->missing));

    ret->reason = between(rest, f->reason, f->reason_end);
    ret->chain_id = between(rest, f->id, f->reason_end);
    if (missing) {
        missing += strlen(f->missing);
        ret->has_missing = number_at(gh_span_of(missing, (size_t)(rest.data + rest.len - missing)), &ret->missing_from) > 0;
    }
}

/* 2026-01-31T10:00:00.000Z */
static int64_t wall_of(struct gh_span s)
{
    char text[20];
    int64_t wall;

    if (s.len < 24 || s.data[23] != 'Z')
        return 0;
    memcpy(text, s.data, 19);
    text[19] = 'Z';
    return gh_timestamp_parse(text, sizeof text, &wall) == 0 ? wall : 0;
}

int gh_audit_line_parse(struct gh_span line, struct gh_audit_line *ret)
{
    const struct form *f = &forms[line.len > 0 && line.data[0] == '{' ? 0 : 1];
    struct gh_audit_line l = { .covered = line };
    struct gh_span rest;

    if (!starts_with(line, f->start) || !cut_end(&l.covered, f->end) || !cut_mac(&l.covered, l.mac) || !cut_end(&l.covered, f->mac) ||
        !find_seq(l.covered, f->seq, &l.seq))
        return GH_ERR_MALFORMED;
    rest = gh_span_of(l.covered.data + strlen(f->start), l.covered.len - strlen(f->start));
    l.wall = wall_of(rest);
    if (rest.len > 24) {
        rest = gh_span_of(rest.data + 24, rest.len - 24);
        if (starts_with(rest, f->event))
            read_checkpoint(rest, f, &l);
    }
    *ret = l;
    return 0;
}
