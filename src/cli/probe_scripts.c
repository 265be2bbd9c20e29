#include "cli/probe_scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/span.h"
#include "cli/probe_udp.h"

#define HELLO_MAX 20000u
#define X25519 29
#define P256 23
#define P384 24

const char *const gh_probe_property_names[GH_PROBE_PROPERTIES] = {
    [GH_PROBE_NEGOTIATION] = "certificate, suites, groups and protocols",
    [GH_PROBE_ALERTS] = "alerts and ends",
    [GH_PROBE_GARBAGE] = "garbage of any length",
    [GH_PROBE_SILENCE] = "silence and half a hello",
    [GH_PROBE_CUTS] = "a hello in pieces",
    [GH_PROBE_ENDS] = "half-close",
    [GH_PROBE_RECORDS] = "records that lead nowhere",
    [GH_PROBE_ECH] = "encrypted hellos",
    [GH_PROBE_REQUESTS] = "requests inside TLS",
    [GH_PROBE_UDP] = "QUIC",
};

static const uint16_t suites[] = { 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035 };
static const uint16_t signatures[] = { 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601 };
#define SUITES (sizeof suites / sizeof *suites)

/* What a ClientHello says. */
struct hello {
    const char *name;           /* "" none */
    bool old;                   /* no supported_versions: TLS 1.2 or less */
    uint16_t legacy, suite, group; /* suite, group 0: all */
    const char *alpn[3];
    uint16_t ech;               /* AEAD of a GREASE ECH, 0 none */
    uint16_t extra, extra_len;  /* a further extension of zeroes */
    bool no_share;
    bool quic;                  /* no session id, and the parameters of QUIC */
};

static const struct hello usual = { .legacy = 0x0303, .alpn = { "h2", "http/1.1" } };

/* A length that is filled in when its end is known. */
static uint8_t *open_length(struct gh_writer *w)
{
    uint8_t *at = w->at;

    gh_write_u16(w, 0);
    return w->failed ? NULL : at;
}

static void close_length(struct gh_writer *w, uint8_t *at)
{
    size_t len = at ? (size_t)(w->at - at) - 2 : 0;

    if (!at || w->failed)
        return;
    at[0] = (uint8_t)(len >> 8);
    at[1] = (uint8_t)len;
}

static void write_list(struct gh_writer *w, uint16_t type, const uint16_t *values, size_t count)
{
    gh_write_u16(w, type);
    gh_write_u16(w, (uint16_t)(2 * count + 2));
    gh_write_u16(w, (uint16_t)(2 * count));
    for (size_t i = 0; i < count; i++)
        gh_write_u16(w, values[i]);
}

static void write_empty(struct gh_writer *w, uint16_t type, const char *content, size_t len)
{
    gh_write_u16(w, type);
    gh_write_u16(w, (uint16_t)len);
    gh_write_bytes(w, content, len);
}

static void write_count(struct gh_writer *w, uint8_t from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gh_write_u8(w, (uint8_t)(from + i));
}

static void write_name(struct gh_writer *w, const char *name)
{
    uint16_t len = (uint16_t)strlen(name);

    gh_write_u16(w, 0);
    gh_write_u16(w, (uint16_t)(len + 5));
    gh_write_u16(w, (uint16_t)(len + 3));
    gh_write_u8(w, 0);
    gh_write_u16(w, len);
    gh_write_bytes(w, name, len);
}

static void write_alpn(struct gh_writer *w, const char *const alpn[3])
{
    uint8_t *whole, *list;

    gh_write_u16(w, 16);
    whole = open_length(w);
    list = open_length(w);
    for (size_t i = 0; i < 3 && alpn[i]; i++) {
        gh_write_u8(w, (uint8_t)strlen(alpn[i]));
        gh_write_bytes(w, alpn[i], strlen(alpn[i]));
    }
    close_length(w, list);
    close_length(w, whole);
}

/* The generator of P-256: a share must be a point of the curve (SEC 2, section 2.4.2). */
static const uint8_t p256_point[65] = {
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb,
    0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
};

static void write_shares(struct gh_writer *w, const struct hello *h)
{
    uint8_t *whole, *list;
    bool first = !h->no_share && (h->group == 0 || h->group == X25519), second = !h->no_share && h->group == P256;

    gh_write_u16(w, 51);
    whole = open_length(w);
    list = open_length(w);
    if (first) {
        gh_write_u16(w, X25519);
        gh_write_u16(w, 32);
        write_count(w, 9, 32);
    }
    if (second) {
        gh_write_u16(w, P256);
        gh_write_u16(w, sizeof p256_point);
        gh_write_bytes(w, p256_point, sizeof p256_point);
    }
    close_length(w, list);
    close_length(w, whole);
}

static void write_ech(struct gh_writer *w, uint16_t aead)
{
    uint8_t *whole;

    gh_write_u16(w, 0xfe0d);
    whole = open_length(w);
    gh_write_u8(w, 0);
    gh_write_u16(w, 1);
    gh_write_u16(w, aead);
    gh_write_u8(w, 0x5a);
    gh_write_u16(w, 32);
    write_count(w, 1, 32);
    gh_write_u16(w, 144);
    write_count(w, 7, 144);
    close_length(w, whole);
}

/* Windows of a megabyte, a hundred streams, and our id (RFC 9000, section 18.2). */
static void write_parameters(struct gh_writer *w)
{
    static const uint8_t windows[] = { 0x04, 0x05, 0x06, 0x07 }, counts[] = { 0x08, 0x09 };
    uint8_t *whole;

    gh_write_u16(w, 57);
    whole = open_length(w);
    for (size_t i = 0; i < sizeof windows; i++) {
        gh_write_u8(w, windows[i]);
        gh_write_u8(w, 4);
        gh_write_u32(w, 0x80100000);
    }
    for (size_t i = 0; i < sizeof counts; i++) {
        gh_write_u8(w, counts[i]);
        gh_write_u8(w, 2);
        gh_write_u16(w, 0x4064);
    }
    gh_write_u8(w, 0x0f);
    gh_write_u8(w, GH_PROBE_ID);
    gh_write_bytes(w, GH_PROBE_SOURCE_ID, GH_PROBE_ID);
    close_length(w, whole);
}

static void write_extensions(struct gh_writer *w, const struct hello *h)
{
    static const uint16_t groups[] = { X25519, P256, P384 };

    if (*h->name)
        write_name(w, h->name);
    write_empty(w, 23, "", 0);
    write_empty(w, 0xff01, "\0", 1);
    write_list(w, 10, h->group ? &h->group : groups, h->group ? 1 : 3);
    write_empty(w, 11, "\1\0", 2);
    write_empty(w, 35, "", 0);
    if (h->alpn[0])
        write_alpn(w, h->alpn);
    write_empty(w, 5, "\1\0\0\0\0", 5);
    write_list(w, 13, signatures, sizeof signatures / sizeof *signatures);
    if (!h->old) {
        write_shares(w, h);
        write_empty(w, 45, "\1\1", 2);
        write_empty(w, 43, h->quic ? "\2\3\4" : "\4\3\4\3\3", h->quic ? 3 : 5); /* RFC 9001, section 4.2: QUIC has no older one */
    }
    if (h->ech)
        write_ech(w, h->ech);
    if (h->quic)
        write_parameters(w);
    if (h->extra) {
        gh_write_u16(w, h->extra);
        gh_write_u16(w, h->extra_len);
        for (unsigned i = 0; i < h->extra_len; i++)
            gh_write_u8(w, 0);
    }
}

/* A handshake message. How long it is. */
static size_t write_hello(const struct hello *h, uint8_t buf[HELLO_MAX])
{
    struct gh_writer w = gh_writer_of(buf, HELLO_MAX);
    uint8_t *extensions;
    size_t len;

    gh_write_u32(&w, 1u << 24);
    gh_write_u16(&w, h->legacy);
    write_count(&w, 0, 32);
    gh_write_u8(&w, h->quic ? 0 : 32);
    write_count(&w, 0x40, h->quic ? 0 : 32);
    gh_write_u16(&w, h->suite ? 2 : 2 * SUITES);
    for (size_t i = 0; i < (h->suite ? 1 : SUITES); i++)
        gh_write_u16(&w, h->suite ? h->suite : suites[i]);
    gh_write_u16(&w, 1u << 8); /* one compression: none */
    extensions = open_length(&w);
    write_extensions(&w, h);
    close_length(&w, extensions);
    len = w.failed ? 0 : gh_writer_len(&w);
    if (len >= 4) {
        buf[2] = (uint8_t)((len - 4) >> 8);
        buf[3] = (uint8_t)(len - 4);
    }
    return len;
}

/* ---- the list ---- */

static struct gh_probe *add(struct gh_probes *p, enum gh_probe_property property, const char *name, struct gh_span bytes)
{
    struct gh_probe *list = p->list, *made;

    if (p->count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;

        list = realloc(list, cap * sizeof *list);
        if (!list) {
            p->failed = true;
            return NULL;
        }
        p->list = list;
        p->cap = cap;
    }
    made = &p->list[p->count];
    memset(made, 0, sizeof *made);
    made->property = property;
    made->twin = -1;
    snprintf(made->name, sizeof made->name, "%s", name);
    made->bytes = malloc(bytes.len + 1);
    if (!made->bytes) {
        p->failed = true;
        return NULL;
    }
    if (bytes.len)
        memcpy(made->bytes, bytes.data, bytes.len);
    made->len = bytes.len;
    p->count++;
    return made;
}

/* <message> in records of at most <size>, then <tail>. */
static struct gh_probe *add_records(struct gh_probes *p, enum gh_probe_property property, const char *name, struct gh_span message, size_t size)
{
    size_t cap = message.len + 5 * (message.len / size + 1);
    uint8_t *buf = malloc(cap);
    struct gh_writer w = gh_writer_of(buf, buf ? cap : 0);
    struct gh_probe *made;

    if (!buf) {
        p->failed = true;
        return NULL;
    }
    for (size_t at = 0; at < message.len; at += size) {
        size_t len = message.len - at < size ? message.len - at : size;

        gh_write_u8(&w, 22);
        gh_write_u16(&w, 0x0301);
        gh_write_u16(&w, (uint16_t)len);
        gh_write_bytes(&w, message.data + at, len);
    }
    made = add(p, property, name, gh_span_of(buf, gh_writer_len(&w)));
    free(buf);
    return made;
}

static struct gh_probe *add_hello(struct gh_probes *p, enum gh_probe_property property, const char *name, const struct hello *h)
{
    uint8_t buf[HELLO_MAX];
    size_t len = write_hello(h, buf);

    return add_records(p, property, name, gh_span_of(buf, len), 16384);
}

static void add_first(struct gh_probes *p, enum gh_probe_property property, const char *name, const struct hello *h)
{
    struct gh_probe *made = add_hello(p, property, name, h);

    if (made)
        made->first = true;
}

static void add_negotiations(struct gh_probes *p, const struct hello *base)
{
    static const char *const protocols[][3] = { { NULL }, { "h2" }, { "http/1.1" }, { "foo" }, { "h3" }, { "acme-tls/1" }, { "http/1.1", "h2" } };
    static const uint16_t groups[] = { X25519, P256, P384, 25, 30, 4588 };
    static const char *const names[] = { "", "nobody.invalid", "localhost", "192.0.2.1" };
    char text[48];

    for (unsigned old = 0; old < 2; old++) {
        struct hello h = *base;

        h.old = old;
        add_first(p, GH_PROBE_NEGOTIATION, old ? "TLS 1.2" : "TLS 1.3", &h);
        for (size_t i = 0; i < SUITES; i++) {
            h.suite = suites[i];
            snprintf(text, sizeof text, "TLS 1.%c, suite %04x", old ? '2' : '3', h.suite);
            add_first(p, GH_PROBE_NEGOTIATION, text, &h);
        }
        h.suite = 0;
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
            h.group = groups[i];
            snprintf(text, sizeof text, "TLS 1.%c, group %u", old ? '2' : '3', h.group);
            add_first(p, GH_PROBE_NEGOTIATION, text, &h);
        }
        h.group = 0;
        for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
            memcpy(h.alpn, protocols[i], sizeof h.alpn);
            snprintf(text, sizeof text, "TLS 1.%c, ALPN %s%s%s", old ? '2' : '3', h.alpn[0] ? h.alpn[0] : "none", h.alpn[0] && h.alpn[1] ? " " : "",
                     h.alpn[0] && h.alpn[1] ? h.alpn[1] : "");
            add_first(p, GH_PROBE_NEGOTIATION, text, &h);
        }
        memcpy(h.alpn, base->alpn, sizeof h.alpn);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            h.name = names[i];
            snprintf(text, sizeof text, "TLS 1.%c, name %s", old ? '2' : '3', *names[i] ? names[i] : "none");
            add_first(p, GH_PROBE_NEGOTIATION, text, &h);
        }
    }
}

/* A record around <content>, of whatever kind. */
static struct gh_probe *add_record(struct gh_probes *p, const char *name, unsigned kind, unsigned version, struct gh_span content)
{
    uint8_t buf[HELLO_MAX + 5];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    gh_write_u8(&w, (uint8_t)kind);
    gh_write_u16(&w, (uint16_t)version);
    gh_write_u16(&w, (uint16_t)content.len);
    gh_write_span(&w, content);
    return add(p, GH_PROBE_ALERTS, name, gh_span_of(buf, gh_writer_len(&w)));
}

#define BYTES(text) { text, sizeof(text) - 1 }

static const struct {
    const char *name;
    struct {
        const char *data;
        size_t len;
    } bytes;
} strange[] = {
    { "HTTP", BYTES("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") },
    { "HTTP 1.0", BYTES("GET / HTTP/1.0\r\n\r\n") },
    { "HTTP that is broken", BYTES("GET\r\n\r\n") },
    { "HTTP CONNECT", BYTES("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n") },
    { "HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
    { "PROXY protocol", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n") },
    { "SSL 2", BYTES("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x00\x00\x04\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                     "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") },
    { "SSH", BYTES("SSH-2.0-OpenSSH_9.2\r\n") },
    { "SMTP", BYTES("EHLO localhost\r\n") },
    { "STUN", BYTES("\x00\x01\x00\x00\x21\x12\xa4\x42\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") },
    { "S7", BYTES("\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x02\xc2\x02\x01\x02") },
    { "Modbus", BYTES("\x00\x00\x00\x00\x00\x05\x00\x2b\x0e\x01\x00") },
    { "SOCKS 5", BYTES("\x05\x01\x00") },
    { "record of no length", BYTES("\x16\x03\x01\x00\x00") },
    { "record header too long", BYTES("\x16\x03\x01\x48\x01") },
    { "record version 0x0505", BYTES("\x16\x05\x05\x00\x10") },
    { "message too long", BYTES("\x16\x03\x01\x00\x04\x01\xff\xff\xff") },
    { "server hello", BYTES("\x16\x03\x01\x00\x06\x02\x00\x00\x02\x03\x03") },
    { "alert", BYTES("\x15\x03\x01\x00\x02\x02\x28") },
    { "close", BYTES("\x15\x03\x01\x00\x02\x01\x00") },
    { "change cipher spec", BYTES("\x14\x03\x01\x00\x01\x01") },
    { "data", BYTES("\x17\x03\x03\x00\x05hello") },
    { "heartbeat", BYTES("\x18\x03\x02\x00\x03\x01\x40\x00") },
};

static void add_alerts(struct gh_probes *p, const struct hello *base)
{
    static const uint16_t versions[] = { 0x0000, 0x0200, 0x0300, 0x0303, 0x0399, 0x0505 };
    static const uint8_t kinds[] = { 0, 20, 21, 23, 24, 128, 255 };
    uint8_t message[HELLO_MAX];
    size_t len = write_hello(base, message);
    struct hello h = *base;
    char text[48];

    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        add(p, GH_PROBE_ALERTS, strange[i].name, gh_span_of(strange[i].bytes.data, strange[i].bytes.len));
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        snprintf(text, sizeof text, "hello in a record of %04x", versions[i]);
        add_record(p, text, 22, versions[i], gh_span_of(message, len));
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(text, sizeof text, "hello in a record of type %u", kinds[i]);
        add_record(p, text, kinds[i], 0x0301, gh_span_of(message, len));
    }
    h.old = true;
    for (h.legacy = 0x0300; h.legacy < 0x0303; h.legacy++) {
        snprintf(text, sizeof text, "version %04x alone", h.legacy);
        add_hello(p, GH_PROBE_ALERTS, text, &h);
    }
    h = *base;
    h.suite = 0x00ff;
    add_hello(p, GH_PROBE_ALERTS, "no common suite", &h);
    h = *base;
    h.extra = 0x4444;
    add_record(p, "hello that lies about its length", 22, 0x0301, gh_span_of(message, len - 1));
    message[len] = 0;
    add_record(p, "a byte behind the hello", 22, 0x0301, gh_span_of(message, len + 1));
    memset(message + len, 0, sizeof message - len);
    add_record(p, "record of 18433", 22, 0x0301, gh_span_of(message, 18433));
}

/* Not random: the same at every host. */
static void fill_noise(uint8_t *buf, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        buf[i] = (uint8_t)(seed >> 33);
    }
}

static void add_garbage(struct gh_probes *p)
{
    uint8_t noise[4096];
    char text[48];

    for (size_t len = 1; len <= sizeof noise; len += len < 64 ? 1 : len < 512 ? 29 : 397) {
        fill_noise(noise, len, len);
        snprintf(text, sizeof text, "garbage of %zu", len);
        add(p, GH_PROBE_GARBAGE, text, gh_span_of(noise, len));
    }
}

static void add_pieces(struct gh_probes *p, const struct hello *base)
{
    static const struct {
        const char *name;
        size_t len; /* of the hello in its record; 0: all but one */
    } pieces[] = { { "nothing", SIZE_MAX }, { "one byte", 1 }, { "three bytes", 3 }, { "a record header", 5 }, { "a message header", 9 }, { "half a hello", 150 },
                   { "a hello but one byte", 0 } };
    uint8_t message[HELLO_MAX];
    size_t len = write_hello(base, message);
    struct gh_probe *whole = add_records(p, GH_PROBE_CUTS, "one segment", gh_span_of(message, len), 16384), *made;
    int twin = (int)p->count - 1;
    char text[64];

    if (!whole)
        return;
    whole->first = true;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t n = pieces[i].len == SIZE_MAX ? 0 : pieces[i].len ? pieces[i].len : p->list[twin].len - 1;

        add(p, GH_PROBE_SILENCE, pieces[i].name, gh_span_of(p->list[twin].bytes, n));
        snprintf(text, sizeof text, "end after %s", pieces[i].name);
        made = add(p, GH_PROBE_ENDS, text, gh_span_of(p->list[twin].bytes, n));
        if (made)
            made->end = true;
    }
    made = add(p, GH_PROBE_SILENCE, "an urgent byte", gh_span_of(NULL, 0));
    if (made)
        made->urgent = true;
    made = add(p, GH_PROBE_ENDS, "end after a hello", gh_span_of(p->list[twin].bytes, p->list[twin].len));
    if (made)
        made->end = true;
    for (size_t at = 1; at < p->list[twin].len && !p->failed; at += at < 16 ? 1 : 23) {
        snprintf(text, sizeof text, "two segments, cut at %zu", at);
        made = add(p, GH_PROBE_CUTS, text, gh_span_of(p->list[twin].bytes, p->list[twin].len));
        if (made) {
            made->cut = at;
            made->twin = twin;
            made->first = true;
        }
    }
    for (size_t size = 50; size < len && !p->failed; size *= 2) {
        snprintf(text, sizeof text, "records of %zu", size);
        made = add_records(p, GH_PROBE_CUTS, text, gh_span_of(message, len), size);
        if (made) {
            made->twin = twin;
            made->first = true;
        }
    }
}

static void add_behind(struct gh_probes *p, const struct hello *base, const char *name, struct gh_span tail)
{
    struct gh_probe *made = add_hello(p, GH_PROBE_RECORDS, name, base);
    uint8_t *both = made ? realloc(made->bytes, made->len + tail.len) : NULL;

    if (!both) {
        p->failed = true;
        return;
    }
    memcpy(both + made->len, tail.data, tail.len);
    made->bytes = both;
    made->cut = made->len;
    made->len += tail.len;
}

static void add_records_behind(struct gh_probes *p, const struct hello *base)
{
    static const uint8_t spec[] = { 20, 3, 3, 0, 1, 1 }, alert[] = { 21, 3, 3, 0, 2, 2, 40 }, empty[] = { 23, 3, 3, 0, 0 };
    uint8_t many[2000 * sizeof spec], noise[500];

    for (size_t i = 0; i < 2000; i++)
        memcpy(many + i * sizeof spec, spec, sizeof spec);
    fill_noise(noise, sizeof noise, 1);
    add_behind(p, base, "change cipher spec", gh_span_of(spec, sizeof spec));
    add_behind(p, base, "change cipher spec 40 times", gh_span_of(many, 40 * sizeof spec));
    add_behind(p, base, "change cipher spec 2000 times", gh_span_of(many, sizeof many));
    add_behind(p, base, "alert", gh_span_of(alert, sizeof alert));
    add_behind(p, base, "empty data", gh_span_of(empty, sizeof empty));
    add_behind(p, base, "garbage", gh_span_of(noise, sizeof noise));
}

static void add_encrypted(struct gh_probes *p, const struct hello *base)
{
    struct hello h = *base;

    h.ech = 1;
    add_first(p, GH_PROBE_ECH, "GREASE", &h);
    h.ech = 3;
    add_first(p, GH_PROBE_ECH, "GREASE, ChaCha20", &h);
    h.no_share = true;
    add_first(p, GH_PROBE_ECH, "GREASE, retry", &h);
    h = *base;
    h.extra = 0xfe0d;
    add_hello(p, GH_PROBE_ECH, "empty", &h);
    h.extra_len = 7;
    add_hello(p, GH_PROBE_ECH, "zeroes", &h);
}

#define REQUEST(name, text) { name, BYTES(text) }

static const struct {
    const char *name;
    struct {
        const char *data;
        size_t len;
    } bytes;
} requests[] = {
    REQUEST("none", ""),
    REQUEST("half a request", "GET / HTT"),
    REQUEST("GET", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("GET and close", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    REQUEST("HEAD", "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("no host", "GET / HTTP/1.1\r\n\r\n"),
    REQUEST("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    REQUEST("no version", "GET /\r\n\r\n"),
    REQUEST("version 2.0", "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"),
    REQUEST("nothing there", "GET /there-is-no-such-page HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("absolute", "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n"),
    REQUEST("CONNECT with a token", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nProxy-Authorization: Basic dTp0\r\n\r\n"),
    REQUEST("OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("unknown method", "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REQUEST("POST that stalls", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello"),
    REQUEST("bad length", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"),
    REQUEST("bad chunk", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    REQUEST("WebSocket", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    REQUEST("connect-ip", "GET /.well-known/masque/ip/*/*/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\n"
                          "Capsule-Protocol: ?1\r\n\r\n"),
    REQUEST("connect-ip with a token", "GET /.well-known/masque/ip/*/*/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\n"
                                       "Capsule-Protocol: ?1\r\nAuthorization: Basic dXNlcjp3cm9uZw==\r\n\r\n"),
    REQUEST("a token", "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n"),
    REQUEST("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    REQUEST("no HTTP", "\x05\x01\x00\x00\x00\x00\x00\x00"),
};

static void add_requests(struct gh_probes *p)
{
    static const size_t sizes[] = { 9000, 40000, 70000 };
    struct gh_probe *made;
    char text[48], *large = malloc(80000);
    int len;

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        made = add(p, GH_PROBE_REQUESTS, requests[i].name, gh_span_of(requests[i].bytes.data, requests[i].bytes.len));
        if (made)
            made->tls = true;
    }
    for (size_t i = 0; large && i < sizeof sizes / sizeof *sizes; i++) {
        len = snprintf(large, 80000, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %0*d\r\n\r\n", (int)sizes[i], 0);
        snprintf(text, sizeof text, "header of %zu", sizes[i]);
        made = add(p, GH_PROBE_REQUESTS, text, gh_span_of(large, (size_t)len));
        if (made)
            made->tls = true;
    }
    p->failed |= !large;
    free(large);
}

/* ---- over UDP ---- */

static void add_datagram(struct gh_probes *p, const char *name, struct gh_span bytes, size_t sealed)
{
    struct gh_probe *made = add(p, GH_PROBE_UDP, name, bytes);

    if (!made)
        return;
    made->udp = true;
    made->sealed = sealed;
}

/* CRYPTO frames of a hello, each of at most <size> bytes, the last one first when <backwards>. */
static void add_flight(struct gh_probes *p, const char *name, const struct hello *h, size_t datagram, size_t size, bool backwards)
{
    uint8_t message[HELLO_MAX], frames[GH_PROBE_DATAGRAM];
    struct gh_writer w = gh_writer_of(frames, sizeof frames);
    size_t len = write_hello(h, message), count = (len + size - 1) / size;

    for (size_t i = 0; i < count; i++) {
        size_t at = (backwards ? count - 1 - i : i) * size, n = len - at < size ? len - at : size;

        gh_write_u8(&w, 6);
        gh_write_u16(&w, (uint16_t)(0x4000 | at));
        gh_write_u16(&w, (uint16_t)(0x4000 | n));
        gh_write_bytes(&w, message + at, n);
    }
    if (w.failed)
        p->failed = true;
    else
        add_datagram(p, name, gh_span_of(frames, gh_writer_len(&w)), datagram);
}

static void add_flights(struct gh_probes *p, const struct hello *base)
{
    static const size_t sizes[] = { 600, 1199, 1200, 1252, 1350, GH_PROBE_DATAGRAM };
    static const char *const names[] = { "", "nobody.invalid" };
    struct hello h = *base;
    char text[48];

    h.quic = true;
    h.suite = 0x1301;
    memcpy(h.alpn, (const char *const[3]){ "h3" }, sizeof h.alpn);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(text, sizeof text, "hello in %zu bytes", sizes[i]);
        add_flight(p, text, &h, sizes[i], HELLO_MAX, false);
    }
    add_flight(p, "hello in pieces", &h, 1200, 100, false);
    add_flight(p, "hello in pieces, backwards", &h, 1200, 100, true);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        h.name = names[i];
        snprintf(text, sizeof text, "name %s", *h.name ? h.name : "none");
        add_flight(p, text, &h, 1200, HELLO_MAX, false);
    }
    h.name = base->name;
    h.ech = 1;
    add_flight(p, "GREASE ECH", &h, 1200, HELLO_MAX, false);
    h.ech = 0;
    h.group = P384;
    add_flight(p, "group 24, retry", &h, 1200, HELLO_MAX, false);
    h.group = 0;
    h.suite = 0x00ff;
    add_flight(p, "no common suite", &h, 1200, HELLO_MAX, false);
    h.suite = 0x1301;
    h.alpn[0] = "foo";
    add_flight(p, "ALPN foo", &h, 1200, HELLO_MAX, false);
    h.alpn[0] = "h3";
    h.old = true;
    add_flight(p, "TLS 1.2", &h, 1200, HELLO_MAX, false);
    h.old = h.quic = false;
    add_flight(p, "no parameters", &h, 1200, HELLO_MAX, false);
}

static void add_datagrams(struct gh_probes *p, const struct hello *base)
{
    static const uint32_t versions[] = { 0x1a2a3a4a, 0, 0x6b3343cf, 0xff00001d };
    static const size_t sizes[] = { 1, 20, 43, 100, 1199, 1200, 1452 };
    static const char ping[] = "\1", close[] = "\x1c\0\0\0", odd[] = "\x3f";
    uint8_t noise[GH_PROBE_DATAGRAM];
    char text[48];

    add_flights(p, base);
    add_datagram(p, "a ping", gh_span_of(ping, 1), 1200);
    add_datagram(p, "a close", gh_span_of(close, 4), 1200);
    add_datagram(p, "an unknown frame", gh_span_of(odd, 1), 1200);
    add_datagram(p, "an empty packet", gh_span_of(NULL, 0), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill_noise(noise, sizeof noise, i + 100);
        noise[0] = 0x40 | (noise[0] & 0x3f);
        snprintf(text, sizeof text, "short header, %zu bytes", sizes[i]);
        add_datagram(p, text, gh_span_of(noise, sizes[i]), 0);
        noise[0] |= 0xc0;
        snprintf(text, sizeof text, "noise of %zu", sizes[i]);
        add_datagram(p, text, gh_span_of(noise, sizes[i]), 0);
        for (size_t j = 0; j < sizeof versions / sizeof *versions; j++) {
            struct gh_writer w = gh_writer_of(noise, sizeof noise);

            gh_write_u8(&w, 0xc5);
            gh_write_u32(&w, versions[j]);
            gh_write_u8(&w, 8); /* ids of eight bytes each */
            noise[14] = 8;
            snprintf(text, sizeof text, "version %08x, %zu bytes", versions[j], sizes[i]);
            add_datagram(p, text, gh_span_of(noise, sizes[i]), 0);
        }
    }
}

int gh_probes_create(const char *name, struct gh_probes *ret)
{
    struct gh_probes p = { .list = NULL };
    struct hello base = usual, large;

    base.name = name;
    add_negotiations(&p, &base);
    add_alerts(&p, &base);
    add_garbage(&p);
    add_pieces(&p, &base);
    large = base;
    large.extra = 0x7777;
    large.extra_len = 17000;
    add_first(&p, GH_PROBE_CUTS, "hello of 17000", &large);
    add_records_behind(&p, &base);
    add_encrypted(&p, &base);
    add_requests(&p);
    add_datagrams(&p, &base);
    if (p.failed) {
        gh_probes_fini(&p);
        return GH_ERR_MEMORY;
    }
    *ret = p;
    return 0;
}

void gh_probes_fini(struct gh_probes *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->list[i].bytes);
    free(p->list);
    *p = (struct gh_probes){ .list = NULL };
}
