#include "services/agent/agent_tunnel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "proto/connect_ip/head.h"
#include "proto/connect_ip/routes.h"
#include "wire/uri_template.h"

static void finish(struct gh_agent_tunnel *t)
{
    if (t->state == GH_AGENT_TUNNEL_ENDED)
        return;
    t->state = GH_AGENT_TUNNEL_ENDED;
    t->events->on_end(t->arg, &t->end);
}

static void reset(struct gh_agent_tunnel *t, enum gh_http_reset why)
{
    if (t->stream)
        gh_http_reset(t->stream, why);
    finish(t);
}

static void say(struct gh_agent_tunnel *t, const char *words)
{
    if (!t->end.words[0])
        snprintf(t->end.words, sizeof t->end.words, "%s", words);
}

void gh_agent_tunnel_end(struct gh_agent_tunnel *t, enum gh_http_reset why, const char *words)
{
    if (t->state != GH_AGENT_TUNNEL_REQUESTED && t->state != GH_AGENT_TUNNEL_OPEN)
        return;
    say(t, words);
    if (t->feeding) { /* the engine is in use below us */
        t->end_wanted = true;
        t->end_reset = why;
        return;
    }
    reset(t, why);
}

void gh_agent_tunnel_close(struct gh_agent_tunnel *t, const char *words)
{
    if (t->state != GH_AGENT_TUNNEL_OPEN) {
        gh_agent_tunnel_end(t, GH_HTTP_REQUEST_CANCELLED, words);
        return;
    }
    say(t, words);
    if (t->stream)
        (void)gh_http_send(t->stream, gh_span_of(NULL, 0), true);
    finish(t);
}

/* Text from the peer for a log line: printable ASCII. */
static size_t append_printable(char *buf, size_t cap, size_t at, struct gh_span text)
{
    for (size_t i = 0; i < text.len && at + 1 < cap; i++)
        buf[at++] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : ' ';
    buf[at] = 0;
    return at;
}

/* ---- what the engine tells ---- */

static int ip_send(void *arg, struct gh_span capsules)
{
    struct gh_agent_tunnel *t = arg;

    return t->stream ? gh_http_send(t->stream, capsules, false) : GH_ERR_CLOSED;
}

static void ip_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct gh_agent_tunnel *t = arg;
    struct gh_prefix usable[GH_FORWARD_PREFIXES];
    size_t n = 0, refused = 0;

    for (size_t i = 0; i < count; i++) {
        if (gh_connect_ip_is_refusal(&list[i]))
            refused++;
        else if (t->no_ipv6 && list[i].prefix.addr.family == 6)
            continue;
        else if (n < GH_FORWARD_PREFIXES && gh_ip_is_unicast(&list[i].prefix.addr) && !gh_ip_is_link_local(&list[i].prefix.addr))
            usable[n++] = list[i].prefix;
    }
    t->events->on_assigned(t->arg, usable, n, refused);
}

static void ip_request(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct gh_agent_tunnel *t = arg;

    (void)list;
    (void)count;
    /* RFC 9484, section 4.7.2: every request is answered; we give no addresses away */
    if (gh_connect_ip_assign(&t->ip, NULL, 0, true) < 0)
        gh_agent_tunnel_end(t, GH_HTTP_INTERNAL_ERROR, "the answer to a request for addresses could not be sent");
}

static void forget_withheld(struct gh_agent_tunnel *t)
{
    free(t->withheld);
    t->withheld = NULL;
    t->withheld_count = 0;
}

static void ip_withheld(void *arg, const struct gh_ip_route *list, size_t count)
{
    struct gh_agent_tunnel *t = arg;

    forget_withheld(t);
    t->withheld = malloc((count + 1) * sizeof *list);
    if (!t->withheld) {
        gh_agent_tunnel_end(t, GH_HTTP_INTERNAL_ERROR, "no memory for routes");
        return;
    }
    if (count)
        memcpy(t->withheld, list, count * sizeof *list);
    t->withheld_count = count;
}

static void ip_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    struct gh_agent_tunnel *t = arg;
    size_t n = count + t->withheld_count;
    struct gh_ip_route *all = malloc((n + 1) * sizeof *all);

    if (!all) {
        gh_agent_tunnel_end(t, GH_HTTP_INTERNAL_ERROR, "no memory for routes");
        return;
    }
    if (count)
        memcpy(all, list, count * sizeof *list);
    if (t->withheld_count)
        memcpy(all + count, t->withheld, t->withheld_count * sizeof *list);
    forget_withheld(t);
    t->events->on_routes(t->arg, all, n > count ? gh_connect_ip_order_routes(all, n) : n);
    free(all);
}

static void ip_packet(void *arg, struct gh_span packet)
{
    struct gh_agent_tunnel *t = arg;

    if (!t->end_wanted)
        t->events->on_packet(t->arg, packet);
}

/* The relay is about to close: what it says is the reason, whatever the stream's end looks like. */
static void ip_farewell(void *arg, uint64_t why, struct gh_span text)
{
    struct gh_agent_tunnel *t = arg;
    size_t at;

    if (t->end.words[0])
        return;
    t->end.farewell = why;
    at = append_printable(t->end.words, sizeof t->end.words, 0, gh_span_str("the relay says: "));
    append_printable(t->end.words, sizeof t->end.words, at, text);
}

static void ip_dns(void *arg, struct gh_span value)
{
    struct gh_agent_tunnel *t = arg;

    if (t->events->on_dns)
        t->events->on_dns(t->arg, value);
}

static void ip_pref64(void *arg, const struct gh_prefix *list, size_t count)
{
    struct gh_agent_tunnel *t = arg;

    if (t->events->on_pref64)
        t->events->on_pref64(t->arg, list, count);
}

static void ip_notice(void *arg, uint64_t what, struct gh_span text)
{
    struct gh_agent_tunnel *t = arg;
    char words[GH_FAREWELL_TEXT + 1];

    append_printable(words, sizeof words, 0, text);
    if (what == GH_NOTICE_NARROW && t->events->on_narrow)
        t->events->on_narrow(t->arg, words);
}

static void ip_ech(void *arg, struct gh_span list)
{
    struct gh_agent_tunnel *t = arg;

    if (t->events->on_ech)
        t->events->on_ech(t->arg, list);
}

static const struct gh_connect_ip_events ip_events = { ip_send,     ip_assign, ip_request, ip_routes, ip_packet,
                                                       ip_farewell, ip_dns,    ip_pref64,  ip_notice, ip_withheld, ip_ech };

/* ---- what the stream tells ---- */

static void after_feed(struct gh_agent_tunnel *t)
{
    t->feeding = false;
    if (t->end_wanted)
        reset(t, t->end_reset);
}

static void open_tunnel(struct gh_agent_tunnel *t)
{
    /* RFC 9484, section 4.7.1: whoever needs an address asks for it; all zero is "any" */
    static const struct gh_prefix wishes[2] = { { { .family = 4 }, 32 }, { { .family = 6 }, 128 } };
    uint64_t first;

    t->state = GH_AGENT_TUNNEL_OPEN;
    t->events->on_open(t->arg);
    if (t->state == GH_AGENT_TUNNEL_OPEN && gh_connect_ip_request(&t->ip, wishes, t->no_ipv6 ? 1 : 2, &first) < 0)
        gh_agent_tunnel_end(t, GH_HTTP_INTERNAL_ERROR, "the request for addresses could not be sent");
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct gh_agent_tunnel *t = arg;
    struct gh_span proxy = gh_http_field_find(head, "proxy-status");
    int rc = gh_connect_ip_check_status(head->status, false);
    size_t at;

    if (s != t->stream || t->state != GH_AGENT_TUNNEL_REQUESTED || t->refused || rc == 0)
        return;
    for (size_t i = 0; rc == 1 && i < head->field_count; i++)
        if (gh_connect_ip_check_field(head->fields[i].name) < 0)
            rc = GH_ERR_MALFORMED;
    if (rc == 1) {
        open_tunnel(t);
        return;
    }
    t->end.status = head->status;
    snprintf(t->end.words, sizeof t->end.words, "the relay answered %u", head->status);
    at = strlen(t->end.words);
    if (proxy.len) {
        at = append_printable(t->end.words, sizeof t->end.words, at, gh_span_str(", Proxy-Status: "));
        append_printable(t->end.words, sizeof t->end.words, at, proxy);
    }
    if (rc == GH_ERR_DENIED)
        t->refused = true; /* the body may say more */
    else
        reset(t, GH_HTTP_MESSAGE_ERROR);
}

static void refusal_body(struct gh_agent_tunnel *t, struct gh_span data, bool end)
{
    size_t at = strlen(t->end.words);

    if (data.len) {
        if (!t->body_begun)
            at = append_printable(t->end.words, sizeof t->end.words, at, gh_span_str(": "));
        t->body_begun = true;
        append_printable(t->end.words, sizeof t->end.words, at, data);
    }
    if (end || strlen(t->end.words) + 1 == sizeof t->end.words)
        reset(t, GH_HTTP_REQUEST_CANCELLED);
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_agent_tunnel *t = arg;
    int rc;

    if (s != t->stream || t->state == GH_AGENT_TUNNEL_ENDED)
        return;
    if (t->state == GH_AGENT_TUNNEL_REQUESTED) {
        if (t->refused)
            refusal_body(t, data, end);
        else if (end)
            gh_agent_tunnel_end(t, GH_HTTP_MESSAGE_ERROR, "the relay ended the request without an answer");
        return;
    }
    t->feeding = true;
    rc = gh_connect_ip_feed(&t->ip, data, end);
    if (rc < 0)
        gh_agent_tunnel_end(t, rc == GH_ERR_TOO_LONG ? GH_HTTP_EXCESSIVE_LOAD : GH_HTTP_MESSAGE_ERROR, "the relay sent a malformed capsule");
    after_feed(t);
    if (rc == 0 && end)
        gh_agent_tunnel_close(t, "the relay closed the tunnel");
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    struct gh_agent_tunnel *t = arg;

    if (s != t->stream || t->state != GH_AGENT_TUNNEL_OPEN)
        return;
    t->feeding = true;
    gh_connect_ip_feed_datagram(&t->ip, payload);
    after_feed(t);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct gh_agent_tunnel *t = arg;

    if (s != t->stream)
        return;
    t->stream = NULL;
    t->end.code = code;
    say(t, "the stream was closed");
    finish(t);
}

const struct gh_http_events gh_agent_tunnel_http_events = { on_answer, on_body, on_datagram, NULL, on_closed };

void gh_agent_tunnel_init(struct gh_agent_tunnel *t, const struct gh_agent_tunnel_events *events, void *arg)
{
    *t = (struct gh_agent_tunnel){ .events = events, .arg = arg };
    gh_connect_ip_init(&t->ip, &ip_events, t);
}

void gh_agent_tunnel_fini(struct gh_agent_tunnel *t)
{
    if (t && t->events)
        gh_connect_ip_fini(&t->ip);
    if (t)
        forget_withheld(t);
    if (t)
        *t = (struct gh_agent_tunnel){ 0 };
}

void gh_agent_tunnel_start(struct gh_agent_tunnel *t, struct gh_http_stream *s, bool no_ipv6)
{
    t->stream = s;
    t->no_ipv6 = no_ipv6;
    t->state = GH_AGENT_TUNNEL_REQUESTED;
}

enum gh_drop gh_agent_tunnel_send(struct gh_agent_tunnel *t, uint8_t *packet, size_t len, uint32_t flow)
{
    int rc;

    if (t->state != GH_AGENT_TUNNEL_OPEN || !t->stream)
        return GH_DROP_NO_DATAGRAM;
    packet[-1] = GH_CONNECT_IP_CONTEXT;
    rc = gh_http_send_datagram(t->stream, gh_span_of(packet - 1, len + 1), flow);
    switch (rc) {
    case 0:
        return GH_DROP_NONE;
    case GH_ERR_AGAIN:
        return GH_DROP_QUEUE_FULL;
    case GH_ERR_TOO_LONG:
        return GH_DROP_TOO_BIG;
    default:
        return GH_DROP_NO_DATAGRAM;
    }
}

size_t gh_agent_tunnel_mtu(const struct gh_agent_tunnel *t)
{
    size_t max = t->stream && t->state == GH_AGENT_TUNNEL_OPEN ? gh_http_datagram_max(t->stream) : 0;

    return max ? max - 1 : 0; /* less the context id */
}

/* ---- the request ---- */

int gh_agent_request_init(struct gh_agent_request *r, const char *host, uint16_t port, const char *template, const uint8_t instance[16])
{
    struct gh_ip_scope any = { .kind = GH_IP_SCOPE_ANY, .ipproto = GH_IPPROTO_ANY };
    struct gh_uri_template t;
    struct gh_writer w;
    bool v6 = strchr(host, ':') != NULL;
    int rc = template[0] == '/' ? gh_uri_template_parse_path(gh_span_str(template), &t) : gh_uri_template_parse(gh_span_str(template), &t), n;

    if (rc < 0)
        return rc;
    *r = (struct gh_agent_request){ 0 };
    if (template[0] != '/')
        n = snprintf(r->authority, sizeof r->authority, "%.*s", (int)t.authority.len, (const char *)t.authority.data);
    else if (port == 443)
        n = snprintf(r->authority, sizeof r->authority, v6 ? "[%s]" : "%s", host);
    else
        n = snprintf(r->authority, sizeof r->authority, v6 ? "[%s]:%u" : "%s:%u", host, port);
    w = gh_writer_of(r->path, sizeof r->path);
    gh_uri_template_expand(&t, &any, &w);
    if (n < 0 || (size_t)n >= sizeof r->authority || w.failed)
        return GH_ERR_TOO_LONG;
    gh_hex_encode(instance, 16, r->instance);
    r->fields[0] = (struct gh_http_field){ gh_span_str("capsule-protocol"), gh_span_str("?1") };
    r->fields[1] = (struct gh_http_field){ gh_span_str("gatehouse-instance"), gh_span_str(r->instance) };
    r->head = (struct gh_http_head){ .method = gh_span_str("CONNECT"),
                                     .scheme = gh_span_str("https"),
                                     .authority = gh_span_str(r->authority),
                                     .path = gh_span_of(r->path, gh_writer_len(&w)),
                                     .protocol = gh_span_str("connect-ip"),
                                     .fields = r->fields,
                                     .field_count = 2 };
    return 0;
}

int gh_agent_request_set_token(struct gh_agent_request *r, const char *user, struct gh_span token)
{
    static const char scheme[] = "Basic ";
    uint8_t text[(GH_AGENT_AUTHORIZATION - sizeof scheme - 4) / 4 * 3];
    struct gh_writer w = gh_writer_of(text, sizeof text);

    gh_write_bytes(&w, user, strlen(user));
    gh_write_u8(&w, ':');
    gh_write_span(&w, token);
    if (!w.failed) {
        strcpy(r->authorization, scheme);
        r->authorization[strlen(scheme) + gh_base64_encode(gh_span_of(text, gh_writer_len(&w)), r->authorization + strlen(scheme))] = 0;
        r->fields[r->head.field_count++] = (struct gh_http_field){ gh_span_str("authorization"), gh_span_str(r->authorization) };
    }
    gh_wipe(text, sizeof text);
    return w.failed ? GH_ERR_TOO_LONG : 0;
}

struct gh_http_head gh_agent_request_head(struct gh_agent_request *r, bool no_ipv6)
{
    struct gh_http_head head = r->head;

    if (no_ipv6)
        r->fields[head.field_count++] = (struct gh_http_field){ gh_span_str("gatehouse-narrow"), gh_span_str("?1") };
    return head;
}
