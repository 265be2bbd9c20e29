/* tests/fuzz/audit_line/audit_line_fuzz.c - lines of an audit file, as whoever may write to it leaves them
 *
 * First the input is a file: what parses is inside of its line, and a verifier finds no good record, since nobody here knows a key.
 * Then the input is what somebody does to a file with a real chain, an operation in two bytes: whatever it is, it is found,
 * unless what is left is the beginning of what was there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/audit_line.h"
#include "core/audit_verify.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool inside(struct gh_span part, struct gh_span all)
{
    return part.len == 0 || (part.data >= all.data && part.data + part.len <= all.data + all.len);
}

static void check_line(struct gh_span line)
{
    struct gh_audit_line l;
    char number[32];
    int n;

    if (gh_audit_line_parse(line, &l) < 0)
        return;
    require(inside(l.covered, line) && inside(l.reason, l.covered) && inside(l.chain_id, l.covered));
    require(l.covered.data == line.data && line.len - l.covered.len >= 64);
    n = snprintf(number, sizeof number, "%llu", (unsigned long long)l.seq);
    require(n > 0 && l.covered.len > (size_t)n && memcmp(l.covered.data + l.covered.len - n, number, (size_t)n) == 0);
    for (size_t i = 0; i < 32; i++) {
        char byte[3];

        snprintf(byte, sizeof byte, "%02x", l.mac[i]);
        require(memcmp(line.data + line.len - (line.data[0] == '{' ? 66 : 64) + 2 * i, byte, 2) == 0);
    }
}

static const uint8_t key[GH_AUDIT_KEY] = { 1 };

static struct gh_audit_verifier *start(void)
{
    struct gh_audit_verifier *v = malloc(sizeof *v);

    if (!v || gh_audit_verify_init(v, key, false) < 0)
        abort();
    v->budget = 10000; /* keys are slow to compute, and say nothing about a parser */
    gh_audit_verify_file(v);
    return v;
}

static void finish(struct gh_audit_verifier *v)
{
    require(gh_audit_verify_end(v, 0, 0) == 0);
    require(v->finding_count <= GH_AUDIT_FINDINGS_MAX);
    gh_audit_verify_fini(v);
    free(v);
}

static void check_file(const uint8_t *data, size_t size)
{
    struct gh_audit_verifier *v = start();
    const uint8_t *end = data + size;

    while (data < end) {
        const uint8_t *stop = memchr(data, '\n', (size_t)(end - data));
        struct gh_span line = gh_span_of(data, (size_t)((stop ? stop : end) - data));

        check_line(line);
        gh_audit_verify_line(v, line, stop != NULL);
        data = stop ? stop + 1 : end;
    }
    require(v->records == 0);
    finish(v);
}

#define LINES 12u
#define ROOM 24u

struct line {
    char text[160];
};

static void write_chain(struct line lines[LINES])
{
    struct gh_audit_chain c;
    uint8_t mac[32];

    gh_audit_chain_init(&c, key, 0);
    for (unsigned i = 0; i < LINES; i++) {
        char *at = lines[i].text;
        int n = snprintf(at, sizeof lines[i].text, "2026-01-31T10:00:00.000Z info acl.allow seq=%u", i);

        require(gh_audit_chain_next(&c, at, (size_t)n, mac) == 0);
        n += snprintf(at + n, sizeof lines[i].text - (size_t)n, " chain=");
        for (unsigned j = 0; j < 32; j++)
            n += snprintf(at + n, sizeof lines[i].text - (size_t)n, "%02x", mac[j]);
    }
}

/* How many lines there are then. */
static unsigned tamper(struct line lines[ROOM], unsigned count, unsigned op, unsigned at, unsigned other)
{
    struct line kept;

    if (count == 0)
        return 0;
    at %= count;
    kept = lines[at];
    switch (op % 4) {
    case 0: /* removed */
        memmove(&lines[at], &lines[at + 1], (count - at - 1) * sizeof *lines);
        return count - 1;
    case 1: /* changed */
        lines[at].text[other % strlen(kept.text)] ^= (char)(1 + other % 3);
        return count;
    case 2: /* swapped */
        lines[at] = lines[other % count];
        lines[other % count] = kept;
        return count;
    default: /* repeated elsewhere */
        if (count == ROOM)
            return count;
        other %= count;
        memmove(&lines[other + 1], &lines[other], (count - other) * sizeof *lines);
        lines[other] = kept;
        return count + 1;
    }
}

static void check_tampering(const uint8_t *data, size_t size)
{
    struct line lines[ROOM], original[LINES];
    struct gh_audit_verifier *v = start();
    unsigned count = LINES;
    bool same;

    write_chain(original);
    memcpy(lines, original, sizeof original);
    for (size_t i = 0; i + 1 < size && i < 32; i += 2)
        count = tamper(lines, count, data[i] & 3, data[i] >> 2, data[i + 1]);
    same = count <= LINES;
    for (unsigned i = 0; i < count; i++) {
        same = same && strcmp(lines[i].text, original[i].text) == 0;
        gh_audit_verify_line(v, gh_span_str(lines[i].text), true);
    }
    require(v->records <= LINES);
    require(gh_audit_verify_end(v, 0, 0) == 0);
    require(same == (v->bad == 0));
    gh_audit_verify_fini(v);
    free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_file(data, size);
    check_tampering(data, size);
    return 0;
}
