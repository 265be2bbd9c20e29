#include "proto/conform/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "proto/conform/script.h"

#define GRACE (50 * MS) /* for a reset that follows an answer */

/* control stream; SETTINGS: MAX_FIELD_SECTION_SIZE 16384, H3_DATAGRAM 1 */
static const char good_control[] = "\x00\x04\x07\x06\x80\x00\x40\x00\x33\x01";

const row *const gh_conform_tables[] = { gh_conform_rows_quic,     gh_conform_rows_h3,      gh_conform_rows_qpack,
                                         gh_conform_rows_message,  gh_conform_rows_datagram, gh_conform_rows_capsule,
                                         gh_conform_rows_request,  gh_conform_rows_address, gh_conform_rows_packet,
                                         NULL };

void check_pass(check *c)
{
    c->result->verdict = GH_CONFORM_PASSED;
    c->result->words[0] = 0;
}

void check_fail(check *c, const char *format, ...)
{
    va_list args;

    c->result->verdict = GH_CONFORM_FAILED;
    va_start(args, format);
    vsnprintf(c->result->words, sizeof c->result->words, format, args);
    va_end(args);
}

void check_skip(check *c, const char *why)
{
    c->result->verdict = GH_CONFORM_SKIPPED;
    snprintf(c->result->words, sizeof c->result->words, "%s", why);
}

/* "the connection was closed with …" */
static void fail_closed(check *c, const char *what)
{
    const struct gh_quic_close *why = &c->peer.why;

    if (c->peer.error < 0)
        check_fail(c, "%s: here, %s", what, gh_error_text(c->peer.error));
    else if (why->kind == GH_QUIC_CLOSED_PEER)
        check_fail(c, "%s: the connection was closed with %s code 0x%llx%s%s", what, why->application ? "HTTP/3" : "QUIC",
                   (unsigned long long)why->code, why->reason[0] ? ": " : "", why->reason);
    else
        check_fail(c, "%s: %s", what, why->reason[0] ? why->reason : "the connection was lost");
}

/* Up to a tunnel. */

static bool connect_offering(check *c, uint64_t max_datagram)
{
    int rc = gh_conform_peer_open(&c->peer, c->road, c->patience, max_datagram);

    if (rc == 0)
        return true;
    c->result->unreachable = true;
    if (c->peer.closed)
        fail_closed(c, "no connection");
    else
        check_fail(c, "no connection: %s", gh_error_text(rc));
    return false;
}

bool check_connect(check *c)
{
    return connect_offering(c, 65535);
}

bool check_settle(check *c)
{
    if (!check_connect(c))
        return false;
    c->control = gh_conform_open(&c->peer, false, gh_span_of(good_control, sizeof good_control - 1), false);
    if (c->control < 0)
        check_fail(c, "no control stream may be opened");
    return c->control >= 0;
}

void check_path(const check *c, const char *target, const char *ipproto, char *ret, size_t cap)
{
    struct gh_writer w = gh_writer_of(ret, cap - 1);
    const char *at = c->target->path;

    while (*at) {
        const char *value = strncmp(at, "{target}", 8) == 0 ? target : strncmp(at, "{ipproto}", 9) == 0 ? ipproto : NULL;

        if (value)
            gh_write_span(&w, gh_span_str(value));
        else
            gh_write_u8(&w, (uint8_t)*at);
        at += value ? strchr(at, '}') + 1 - at : 1;
    }
    ret[gh_writer_len(&w)] = 0;
}

void check_tunnel_head(const check *c, struct gh_conform_bytes *b)
{
    char path[1024];
    const char *fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", c->target->authority,
                             ":path", path, "capsule-protocol", "?1", NULL };

    check_path(c, "%2A", "%2A", path, sizeof path);
    gh_conform_head(b, fields);
}

static bool is_answered(struct gh_conform_peer *p, const void *arg)
{
    const struct gh_conform_stream *s = gh_conform_stream(p, *(const int64_t *)arg);

    return s && (s->answer.status >= 200 || s->reset != GH_CONFORM_NO_CODE || s->ended || s->closed);
}

int64_t check_ask(check *c, struct gh_span request, bool fin)
{
    int64_t id = gh_conform_open(&c->peer, true, request, fin);

    if (id >= 0)
        gh_conform_wait(&c->peer, is_answered, &id);
    return id;
}

const struct gh_conform_answer *check_answer(check *c, int64_t stream)
{
    struct gh_conform_stream *s = gh_conform_stream(&c->peer, stream);

    return s ? &s->answer : NULL;
}

unsigned check_status(check *c, int64_t stream)
{
    return check_answer(c, stream) ? check_answer(c, stream)->status : 0;
}

static bool has_settings(struct gh_conform_peer *p, const void *arg)
{
    (void)arg;
    return gh_conform_peer_uni(p, 0x00, 0) != NULL;
}

/* On a connection that is settled. */
static bool ask_for_tunnel(check *c)
{
    struct gh_conform_bytes b = { .len = 0 };
    unsigned status;

    if (!gh_conform_wait(&c->peer, has_settings, NULL)) {
        if (c->peer.closed)
            fail_closed(c, "no SETTINGS");
        else
            check_fail(c, "no SETTINGS came");
        return false;
    }
    check_tunnel_head(c, &b);
    c->tunnel = check_ask(c, gh_conform_span(&b), false);
    status = check_status(c, c->tunnel);
    if (c->peer.closed)
        fail_closed(c, "no tunnel");
    else if (status < 200 || status > 299)
        check_fail(c, "no tunnel: status %u", status);
    return !c->peer.closed && status >= 200 && status <= 299;
}

bool check_open_tunnel(check *c)
{
    return check_settle(c) && ask_for_tunnel(c);
}

void check_capsules(check *c, struct gh_span capsules)
{
    struct gh_conform_bytes b = { .len = 0 };

    gh_conform_tlv(&b, 0x00, capsules);
    gh_conform_send(&c->peer, c->tunnel, gh_conform_span(&b), false);
}

/* Addresses. */

static void read_addresses(check *c)
{
    size_t at = 0;
    uint64_t type;
    struct gh_span value;

    c->v4.family = c->v6.family = 0;
    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value)) {
        struct gh_reader r = gh_reader_of(value);
        uint8_t bytes[16];

        if (type != 0x01)
            continue;
        c->v4.family = c->v6.family = 0;
        while (!r.failed && gh_reader_left(&r)) {
            uint8_t version;

            gh_read_varint(&r);
            version = gh_read_u8(&r);
            gh_read_bytes(&r, bytes, version == 4 ? 4 : 16);
            gh_read_u8(&r);
            if (!r.failed && version == 4 && memcmp(bytes, "\0\0\0\0", 4) != 0)
                c->v4 = gh_ip_v4(bytes);
            else if (!r.failed && version == 6 && memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) != 0)
                c->v6 = gh_ip_v6(bytes);
        }
    }
}

static bool has_addresses(struct gh_conform_peer *p, const void *arg)
{
    check *c = (check *)(uintptr_t)arg;

    (void)p;
    read_addresses(c);
    return c->v4.family || c->v6.family;
}

bool check_addresses(check *c)
{
    static const char request[] = "\x02\x1a\x01\x04\0\0\0\0\x20\x02\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80";

    if (!check_open_tunnel(c))
        return false;
    c->peer.patience = 300 * MS;
    if (!gh_conform_wait(&c->peer, has_addresses, c))
        check_capsules(c, gh_span_of(request, sizeof request - 1));
    c->peer.patience = c->patience;
    if (gh_conform_wait(&c->peer, has_addresses, c))
        return true;
    check_skip(c, "the proxy assigned no address");
    return false;
}

/* Verdicts. */

static bool never(struct gh_conform_peer *p, const void *arg)
{
    (void)p;
    (void)arg;
    return false;
}

/* Of the request that should have ended the connection. */
static const char *what_became_of_it(const check *c, char *buf, size_t cap)
{
    const struct gh_conform_stream *s = NULL;

    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++)
        if (c->peer.streams[i].id >= 0 && (c->peer.streams[i].id & 3) == 0)
            s = &c->peer.streams[i];
    if (!s)
        return "";
    if (s->reset == GH_CONFORM_NO_CODE)
        return s->answer.status ? ", the request was answered" : s->ended ? ", the stream was ended" : "";
    snprintf(buf, cap, ", the stream was aborted with 0x%llx", (unsigned long long)s->reset);
    return buf;
}

void expect_closed(check *c, uint64_t code)
{
    char became[64];

    gh_conform_wait(&c->peer, never, NULL);
    if (!c->peer.closed)
        check_fail(c, "the connection goes on%s", what_became_of_it(c, became, sizeof became));
    else if (c->peer.why.kind == GH_QUIC_CLOSED_PEER && c->peer.why.application && c->peer.why.code == code)
        check_pass(c);
    else
        fail_closed(c, "another end");
}

static bool is_over(struct gh_conform_peer *p, const void *arg)
{
    const struct gh_conform_stream *s = gh_conform_stream(p, *(const int64_t *)arg);

    return s && (s->reset != GH_CONFORM_NO_CODE || s->stopped || s->ended || s->closed);
}

static bool is_reset(struct gh_conform_peer *p, const void *arg)
{
    const struct gh_conform_stream *s = gh_conform_stream(p, *(const int64_t *)arg);

    return s && s->reset != GH_CONFORM_NO_CODE;
}

static uint64_t abort_of(check *c, int64_t stream)
{
    return gh_conform_stream(&c->peer, stream)->reset;
}

void expect_aborted(check *c, int64_t stream, uint64_t code)
{
    const struct gh_conform_stream *s = gh_conform_stream(&c->peer, stream);

    if (!s) {
        check_fail(c, "no stream could be opened");
        return;
    }
    gh_conform_wait(&c->peer, is_over, &stream);
    gh_conform_pause(&c->peer, GRACE); /* the other direction's end, and that of a connection */
    if (c->peer.closed)
        fail_closed(c, "more than the stream was aborted");
    else if (!is_over(&c->peer, &stream))
        check_fail(c, "the stream goes on");
    else if (!is_reset(&c->peer, &stream))
        check_fail(c, "the stream was ended in order, not aborted");
    else if (abort_of(c, stream) != code)
        check_fail(c, "the stream was aborted with 0x%llx, not 0x%llx", (unsigned long long)abort_of(c, stream), (unsigned long long)code);
    else
        check_pass(c);
}

static bool is_refused(struct gh_conform_peer *p, const void *arg)
{
    return is_answered(p, arg) || is_over(p, arg);
}

void expect_malformed(check *c, int64_t stream)
{
    unsigned status;

    if (!gh_conform_stream(&c->peer, stream)) {
        check_fail(c, "no stream could be opened");
        return;
    }
    gh_conform_wait(&c->peer, is_refused, &stream);
    gh_conform_pause(&c->peer, GRACE);
    status = check_status(c, stream);
    if (c->peer.closed)
        fail_closed(c, "more than the stream was aborted");
    else if (status >= 200 && (status < 400 || status > 499))
        check_fail(c, "answered with status %u", status);
    else if (status)
        check_pass(c);
    else if (!is_reset(&c->peer, &stream))
        check_fail(c, "no answer");
    else if (abort_of(c, stream) != H3_MESSAGE_ERROR)
        check_fail(c, "the stream was aborted with 0x%llx, not 0x10e", (unsigned long long)abort_of(c, stream));
    else
        check_pass(c);
}

void expect_alive(check *c)
{
    struct gh_conform_bytes b = { .len = 0 };
    const char *fields[] = { ":method", "GET", ":scheme", "https", ":authority", c->target->authority, ":path", "/", NULL };
    int64_t probe;

    gh_conform_head(&b, fields);
    probe = check_ask(c, gh_conform_span(&b), true);
    gh_conform_pause(&c->peer, GRACE);
    if (c->peer.closed)
        fail_closed(c, "it should go on");
    else if (probe < 0 || !is_answered(&c->peer, &probe))
        check_fail(c, "another request is not answered any more");
    else if (c->tunnel >= 0 && is_reset(&c->peer, &c->tunnel))
        check_fail(c, "the tunnel was aborted with 0x%llx", (unsigned long long)abort_of(c, c->tunnel));
    else if (c->tunnel >= 0 && is_over(&c->peer, &c->tunnel))
        check_fail(c, "the tunnel was ended");
    else
        check_pass(c);
}

void expect_tunnel_over(check *c)
{
    int64_t tunnel = c->tunnel;

    c->tunnel = -1;
    if (!gh_conform_wait(&c->peer, is_over, &tunnel))
        check_fail(c, c->peer.closed ? "the connection was closed" : "the proxy's direction goes on");
    else
        expect_alive(c);
}

void expect_tunnel(check *c)
{
    if (ask_for_tunnel(c))
        check_pass(c);
}

void gh_conform_run(const struct gh_conform_row *r, const struct gh_conform_road *road, const struct gh_conform_target *target,
                    int64_t patience, struct gh_conform_result *ret)
{
    check c = { .road = road, .target = target, .result = ret, .patience = patience, .control = -1, .tunnel = -1 };

    *ret = (struct gh_conform_result){ .verdict = GH_CONFORM_FAILED };
    snprintf(ret->words, sizeof ret->words, "no verdict");
    r->run(&c, r);
    gh_conform_peer_close(&c.peer);
}
