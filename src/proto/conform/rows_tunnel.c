/* Requests and answers (RFC 9114 section 4, RFC 9220, RFC 9484 section 4). */
#include <stdio.h>
#include <string.h>

#include "proto/conform/script.h"

#define PATH 1024u

/* A request with the fields of the row; "AUTHORITY" and "PATH" stand for the tunnel's. */
static int64_t ask_fields(check *c, const char *const *wanted, bool fin)
{
    struct gh_conform_bytes b = { .len = 0 };
    const char *fields[40] = { NULL };
    char path[PATH];

    check_path(c, "%2A", "%2A", path, sizeof path);
    for (size_t i = 0; wanted[i] && i < 38; i++)
        fields[i] = strcmp(wanted[i], "AUTHORITY") == 0 ? c->target->authority : strcmp(wanted[i], "PATH") == 0 ? path : wanted[i];
    gh_conform_head(&b, fields);
    return check_ask(c, gh_conform_span(&b), fin);
}

static void malformed(check *c, const row *r)
{
    if (check_settle(c))
        expect_malformed(c, ask_fields(c, r->fields, false));
}

/* The answer's status is <code>. */
static void status_is(check *c, const row *r)
{
    int64_t id;

    if (!check_settle(c))
        return;
    id = ask_fields(c, r->fields, false);
    if (check_status(c, id) == r->code)
        check_pass(c);
    else
        check_fail(c, "status %u, not %u", check_status(c, id), (unsigned)r->code);
}

#define TUNNEL ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", ":path", "PATH"

static const char *const upper_case[] = { TUNNEL, "Capsule-Protocol", "?1", NULL };
static const char *const connection[] = { TUNNEL, "connection", "upgrade", NULL };
static const char *const transfer_encoding[] = { TUNNEL, "transfer-encoding", "chunked", NULL };
static const char *const pseudo_late[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", "capsule-protocol", "?1", ":path", "PATH", NULL };
static const char *const pseudo_twice[] = { TUNNEL, ":path", "PATH", NULL };
static const char *const pseudo_unknown[] = { TUNNEL, ":anything", "1", NULL };
static const char *const pseudo_of_answers[] = { TUNNEL, ":status", "200", NULL };
static const char *const no_path[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", NULL };
static const char *const no_scheme[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":authority", "AUTHORITY", ":path", "PATH", NULL };
static const char *const no_authority[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":path", "PATH", NULL };
static const char *const no_method[] = { ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", ":path", "PATH", NULL };
static const char *const protocol_of_get[] = { ":method", "GET", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", ":path", "PATH", NULL };
static const char *const unknown_protocol[] = { ":method", "CONNECT", ":protocol", "connect-anything", ":scheme", "https", ":authority", "AUTHORITY", ":path", "PATH", NULL };
static const char *const content_length[] = { TUNNEL, "capsule-protocol", "?1", "content-length", "5", NULL };
static const char *const content_type[] = { TUNNEL, "capsule-protocol", "?1", "content-type", "text/plain", NULL };
static const char *const elsewhere[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", ":path", "/nothing/is/here", "capsule-protocol", "?1", NULL };
static const char *const bad_name[] = { TUNNEL, "capsule-protocol", "?1", "x odd", "1", NULL };
static const char *const bad_value[] = { TUNNEL, "capsule-protocol", "?1", "x-odd", "a\nb", NULL };

const row gh_conform_rows_message[] = {
    { "H7", "an unknown :protocol is answered 501", "RFC 9220, 3", GH_CONFORM_SHOULD, .run = status_is, .fields = unknown_protocol, .code = 501 },
    { "H7", ":protocol with another method", "RFC 9220, 3", .run = malformed, .fields = protocol_of_get },
    { "H8", "a field name in upper case", "RFC 9114, 4.2", .run = malformed, .fields = upper_case },
    { "H8", "the field connection", "RFC 9114, 4.2", .run = malformed, .fields = connection },
    { "H8", "the field transfer-encoding", "RFC 9114, 4.2", .run = malformed, .fields = transfer_encoding },
    { "H8", "a space in a field name", "RFC 9114, 10.3", .run = malformed, .fields = bad_name },
    { "H8", "a line feed in a value", "RFC 9114, 10.3", .run = malformed, .fields = bad_value },
    { "H8", "a pseudo-header behind a field", "RFC 9114, 4.3", .run = malformed, .fields = pseudo_late },
    { "H8", "a pseudo-header twice", "RFC 9114, 4.3", .run = malformed, .fields = pseudo_twice },
    { "H8", "an unknown pseudo-header", "RFC 9114, 4.3", .run = malformed, .fields = pseudo_unknown },
    { "H8", ":status in a request", "RFC 9114, 4.3", .run = malformed, .fields = pseudo_of_answers },
    { "H8", "no :path", "RFC 8441, 4", .run = malformed, .fields = no_path },
    { "H8", "no :scheme", "RFC 8441, 4", .run = malformed, .fields = no_scheme },
    { "H8", "no :authority", "RFC 9114, 4.3.1", .run = malformed, .fields = no_authority },
    { "H8", "no :method", "RFC 9114, 4.3.1", .run = malformed, .fields = no_method },
    { "D8", "Content-Length in a request for a tunnel", "RFC 9297, 3.2", .run = malformed, .fields = content_length },
    { "D8", "Content-Type in a request for a tunnel", "RFC 9297, 3.2", .run = malformed, .fields = content_type },
    { NULL },
};

/* R: requests. */

static void opens(check *c, const row *r)
{
    char value[64];

    (void)r;
    if (!check_open_tunnel(c))
        return;
    if (check_status(c, c->tunnel) >= 204 && check_status(c, c->tunnel) <= 206)
        check_fail(c, "status %u", check_status(c, c->tunnel));
    else if (gh_conform_answer_field(check_answer(c, c->tunnel), "content-length", value, sizeof value) ||
             gh_conform_answer_field(check_answer(c, c->tunnel), "content-type", value, sizeof value))
        check_fail(c, "the answer has Content-Length or Content-Type");
    else
        expect_alive(c);
}

static void answer_has_capsule_protocol(check *c, const row *r)
{
    char value[64];

    (void)r;
    if (!check_open_tunnel(c))
        return;
    if (!gh_conform_answer_field(check_answer(c, c->tunnel), "capsule-protocol", value, sizeof value))
        check_fail(c, "it is absent");
    else if (strncmp(value, "?1", 2) != 0)
        check_fail(c, "it is %s", value);
    else
        check_pass(c);
}

static void refusal_has_no_capsule_protocol(check *c, const row *r)
{
    char value[64];
    int64_t id;

    if (!check_settle(c))
        return;
    id = ask_fields(c, r->fields, false);
    if (check_status(c, id) < 300)
        check_skip(c, "nothing was refused");
    else if (gh_conform_answer_field(check_answer(c, id), "capsule-protocol", value, sizeof value))
        check_fail(c, "status %u with capsule-protocol: %s", check_status(c, id), value);
    else
        check_pass(c);
}

/* Opens whatever capsule-protocol says. */
static void opens_with(check *c, const row *r)
{
    int64_t id;

    if (!check_settle(c))
        return;
    id = ask_fields(c, r->fields, false);
    if (check_status(c, id) / 100 == 2)
        check_pass(c);
    else
        check_fail(c, "status %u", check_status(c, id));
}

static int64_t ask_for(check *c, const char *target, const char *ipproto)
{
    char path[PATH];
    const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "AUTHORITY", ":path", path, "capsule-protocol", "?1", NULL };

    check_path(c, target, ipproto, path, sizeof path);
    return ask_fields(c, fields, false);
}

/* <fields> is target, ipproto. */
static void scope_is_malformed(check *c, const row *r)
{
    if (!strstr(c->target->path, "{target}") || !strstr(c->target->path, "{ipproto}")) {
        check_skip(c, "the URI template has not both variables");
        return;
    }
    if (check_settle(c))
        expect_malformed(c, ask_for(c, r->fields[0], r->fields[1]));
}

/* Opened, or refused for a reason of the proxy's; not malformed. */
static void scope_is_understood(check *c, const row *r)
{
    unsigned status;

    if (!strstr(c->target->path, "{target}") || !strstr(c->target->path, "{ipproto}")) {
        check_skip(c, "the URI template has not both variables");
        return;
    }
    if (!check_settle(c))
        return;
    status = check_status(c, ask_for(c, r->fields[0], r->fields[1]));
    if (status == 400 || status == 404 || status == 0)
        check_fail(c, "status %u", status);
    else if (status / 100 == 2)
        check_pass(c);
    else
        check_skip(c, "the proxy does not serve this");
}

static void name_without_address(check *c, const row *r)
{
    char value[256];
    int64_t id;

    (void)r;
    if (!check_settle(c))
        return;
    c->peer.patience = 15000 * MS; /* a resolver's */
    id = ask_for(c, "nowhere.invalid", "%2A");
    if (check_status(c, id) / 100 == 2)
        check_fail(c, "status %u", check_status(c, id));
    else if (check_status(c, id) == 0)
        check_fail(c, "no answer");
    else if (!gh_conform_answer_field(check_answer(c, id), "proxy-status", value, sizeof value) || !strstr(value, "dns_error"))
        check_fail(c, "status %u without Proxy-Status: dns_error", check_status(c, id));
    else
        check_pass(c);
}

static void end_ends_the_tunnel(check *c, const row *r)
{
    (void)r;
    if (check_open_tunnel(c)) {
        gh_conform_send(&c->peer, c->tunnel, gh_span_of(NULL, 0), true);
        expect_tunnel_over(c);
    }
}

static bool has_routes(struct gh_conform_peer *p, const void *arg)
{
    struct gh_conform_stream *s = gh_conform_stream(p, *(const int64_t *)arg);
    uint64_t type = 0;
    struct gh_span value;
    size_t at = 0;

    while (s && type != 0x03 && gh_conform_answer_capsule(&s->answer, &at, &type, &value))
        ;
    return type == 0x03;
}

/* The routes of a tunnel for one address and protocol name nothing else. */
static void routes_keep_to_the_scope(check *c, const row *r)
{
    static const uint8_t one[] = { 4, 192, 0, 2, 1, 192, 0, 2, 1 };
    uint64_t type;
    struct gh_span value;
    size_t at = 0;

    (void)r;
    if (!check_settle(c))
        return;
    c->tunnel = ask_for(c, "192.0.2.1%2F32", "17");
    if (check_status(c, c->tunnel) / 100 != 2 || !gh_conform_wait(&c->peer, has_routes, &c->tunnel)) {
        check_skip(c, "the proxy does not serve this, or advertises nothing");
        return;
    }
    check_pass(c);
    while (gh_conform_answer_capsule(check_answer(c, c->tunnel), &at, &type, &value))
        if (type == 0x03 && value.len > 0 && (value.len != 10 || memcmp(value.data, one, 9) != 0 || (value.data[9] != 17 && value.data[9] != 0)))
            check_fail(c, "ROUTE_ADVERTISEMENT names more than 192.0.2.1 with protocol 17");
}

static const char *const with_parameter[] = { TUNNEL, "capsule-protocol", "?1;anything=2", NULL };
static const char *const with_other_type[] = { TUNNEL, "capsule-protocol", "\"yes\"", NULL };
static const char *const without[] = { TUNNEL, NULL };

#define T "RFC 9484, "
#define SCOPE(target, ipproto) .fields = (const char *const[]){ target, ipproto }

const row gh_conform_rows_request[] = {
    { "R2", "a request for everything opens a tunnel", T "4.5", .run = opens },
    { "R5", "the answer carries Capsule-Protocol", "RFC 9297, 3.4", GH_CONFORM_SHOULD, .run = answer_has_capsule_protocol },
    { "D10", "a parameter of Capsule-Protocol is ignored", "RFC 9297, 3.4", .run = opens_with, .fields = with_parameter },
    { "D10", "Capsule-Protocol of another type is ignored", "RFC 9297, 3.4", GH_CONFORM_SHOULD, .run = opens_with, .fields = with_other_type },
    { "D10", "Capsule-Protocol may be absent", "RFC 9297, 3.4", GH_CONFORM_SHOULD, .run = opens_with, .fields = without },
    { "D10", "no Capsule-Protocol on a refusal", "RFC 9297, 3.4", .run = refusal_has_no_capsule_protocol, .fields = elsewhere },
    { "R6", "a path that is not the template's", T "3", GH_CONFORM_SHOULD, .run = status_is, .fields = elsewhere, .code = 404 },
    { "R3", "an IPv4 prefix", T "4.6", .run = scope_is_understood, SCOPE("192.0.2.0%2F24", "%2A") },
    { "R3", "an IPv4 address", T "4.6", .run = scope_is_understood, SCOPE("192.0.2.1", "6") },
    { "R3", "an IPv6 prefix", T "4.6", .run = scope_is_understood, SCOPE("2001%3Adb8%3A%3A%2F32", "%2A") },
    { "R3", "a protocol for everything", T "4.6", .run = scope_is_understood, SCOPE("%2A", "17") },
    { "R3", "bits below the prefix", T "4.6", .run = scope_is_malformed, SCOPE("192.0.2.1%2F24", "%2A") },
    { "R3", "a prefix of 33 bits", T "4.6", .run = scope_is_malformed, SCOPE("192.0.2.1%2F33", "%2A") },
    { "R3", "an IPv6 prefix of 129 bits", T "4.6", .run = scope_is_malformed, SCOPE("2001%3Adb8%3A%3A1%2F129", "%2A") },
    { "R3", "ipproto 256", T "4.6", .run = scope_is_malformed, SCOPE("%2A", "256") },
    { "R3", "ipproto that is no number", T "4.6", .run = scope_is_malformed, SCOPE("%2A", "tcp") },
    { "R3", "a target that is broken percent-encoding", T "4.6", .run = scope_is_malformed, SCOPE("192.0.2.%2", "%2A") },
    { "R4", "a name without an address: dns_error", T "4.1", GH_CONFORM_SHOULD, .run = name_without_address },
    { "R7", "the end of the request stream ends the tunnel", T "4.1", .run = end_ends_the_tunnel },
    { "R8", "routes keep to what was asked for", T "4.6", .run = routes_keep_to_the_scope },
    { NULL },
};
