#include "client.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "os/clock.h"
#include "pattern.h"
#include "proto/connect_ip/head.h"

#define ECHO_BYTES 56u
#define IPV4_HEAD 20u
#define ICMP_HEAD 8u
#define ECHO_ID 0x6768u
#define UDP_HEAD 8u
#define PUSH_PORT 40000u
#define PUSH_MAX 1400u

static void fail(struct client *c, const char *why)
{
    if (c->state == CLIENT_FAILED || c->state == CLIENT_LOST)
        return;
    c->state = c->state == CLIENT_UP ? CLIENT_LOST : CLIENT_FAILED;
    snprintf(c->why, sizeof c->why, "%s", why);
}

/* ---- the tunnel ---- */

static int tunnel_send(void *arg, struct gh_span capsules)
{
    struct client *c = arg;

    return c->stream ? gh_h3_send(c->stream, capsules, false) : GH_ERR_STATE;
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct client *c = arg;

    for (size_t i = 0; i < count; i++)
        if (list[i].prefix.addr.family == 4 && !gh_connect_ip_is_refusal(&list[i])) {
            c->address = list[i].prefix.addr;
            c->state = CLIENT_UP;
        }
}

static void on_addresses_wanted(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    (void)arg;
    (void)list;
    (void)count;
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg;
    (void)list;
    (void)count;
}

static void on_pushed(struct client *c, const uint8_t *payload, size_t len)
{
    uint64_t number;

    if (len < sizeof number)
        return;
    memcpy(&number, payload, sizeof number);
    c->wrong += len > PUSH_MAX || number >= c->pushed || memcmp(payload + sizeof number, c->cfg->pattern + pattern_place(number), len - sizeof number) != 0;
    c->returned++;
    c->under_way -= c->under_way > 0;
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct client *c = arg;
    struct gh_ip_packet p;
    int64_t when;

    if (gh_ip_packet_parse(packet.data, packet.len, &p) < 0)
        return;
    if (p.protocol == GH_IP_UDP && p.dst_port == PUSH_PORT && packet.len >= p.l4_off + UDP_HEAD) {
        on_pushed(c, packet.data + p.l4_off + UDP_HEAD, packet.len - p.l4_off - UDP_HEAD);
        return;
    }
    if (p.version != 4 || p.protocol != GH_IP_ICMP || p.icmp_type != 0 ||
        (p.icmp_id != ECHO_ID && !c->cfg->flows) || !gh_ip_equals(&p.src, &c->cfg->target) || packet.len < p.l4_off + ICMP_HEAD + sizeof when)
        return;
    c->wrong += gh_ip_checksum(packet.data + p.l4_off, packet.len - p.l4_off) != 0; /* of all that came, the payload too */
    memcpy(&when, packet.data + p.l4_off + ICMP_HEAD, sizeof when);
    c->last_rtt = gh_clock_now() - when;
    c->answered++;
}

static void on_farewell(void *arg, uint64_t why, struct gh_span text)
{
    (void)why;
    fail(arg, "");
    snprintf(((struct client *)arg)->why, sizeof((struct client *)arg)->why, "farewell: %.*s", (int)text.len, (const char *)text.data);
}

static const struct gh_connect_ip_events tunnel_events = { tunnel_send, on_assign, on_addresses_wanted, on_routes, on_packet, on_farewell };

/* ---- HTTP/3 ---- */

static void on_handshake(void *arg)
{
    struct client *c = arg;

    if (!c->cfg->path && c->state == CLIENT_CONNECTING)
        c->state = CLIENT_UP;
}

static void on_settings(void *arg)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    struct client *c = arg;
    char authority[300];
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .scheme = gh_span_str("https"), .protocol = gh_span_str("connect-ip"),
                                 .fields = fields, .field_count = 1 };

    if (!c->cfg->path || c->stream)
        return;
    snprintf(authority, sizeof authority, "%s:%u", c->cfg->server_name, c->cfg->remote.port);
    head.authority = gh_span_str(authority);
    head.path = gh_span_str(c->cfg->path);
    if (gh_h3_request(c->h3, &head, false, &c->stream) < 0) {
        fail(c, "no request can be made");
        return;
    }
    c->state = CLIENT_REQUESTED;
}

static void on_request(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    (void)arg;
    (void)head;
    gh_h3_reset(s, GH_H3_REQUEST_REJECTED);
}

static void on_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct client *c = arg;
    struct gh_prefix any = { { .family = 4 }, 32 };
    char why[48];
    uint64_t id;
    int rc = gh_connect_ip_check_status(head->status, false);

    (void)s;
    if (rc == 1 && gh_connect_ip_request(&c->tunnel, &any, 1, &id) < 0)
        fail(c, "no address can be asked for");
    if (rc < 0) {
        snprintf(why, sizeof why, "the answer is %u", head->status);
        fail(c, why);
    }
}

static void on_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct client *c = arg;

    (void)s;
    if (gh_connect_ip_feed(&c->tunnel, data, end) < 0 || end)
        fail(c, "the tunnel ended");
}

static bool on_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    (void)s;
    gh_connect_ip_feed_datagram(&((struct client *)arg)->tunnel, payload);
    return true;
}

static void on_writable(void *arg, struct gh_h3_stream *s)
{
    (void)arg;
    (void)s;
}

static void on_stream_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct client *c = arg;
    char why[48];

    if (s != c->stream)
        return;
    c->stream = NULL;
    snprintf(why, sizeof why, "the stream was closed with 0x%llx", (unsigned long long)code);
    fail(c, why);
}

static void on_goaway(void *arg)
{
    (void)arg;
}

static const struct gh_h3_events h3_events = { on_handshake, on_settings, on_request,       on_answer, on_body,
                                               on_datagram,  on_writable, on_stream_closed, on_goaway, NULL };

/* ---- QUIC ---- */

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    (void)arg;
    ret->len = GH_QUIC_CID_LEN;
    return gh_random_bytes(ret->data, ret->len) < 0 ? GH_ERR_CRYPTO : gh_random_bytes(ret_token, GH_QUIC_RESET_TOKEN);
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    (void)arg;
    (void)cid;
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    char text[sizeof why->reason + 64];

    snprintf(text, sizeof text, "the connection is closed: kind %d, code 0x%llx %s", why->kind, (unsigned long long)why->code, why->reason);
    fail(arg, text);
}

static const struct gh_quic_host host = { .make_cid = make_cid, .retire_cid = retire_cid, .on_closed = on_closed };

static struct gh_quic_path path_of(const struct client *c)
{
    return (struct gh_quic_path){ { c->local.ip, c->local.port }, { c->cfg->remote.ip, c->cfg->remote.port } };
}

static void flush(struct client *c, int64_t now)
{
    struct gh_quic_batch b = { .buf = c->cfg->out };

    while (gh_quic_write(c->quic, &b, now) == 1) {
        struct gh_udp_send m = { .payload = { c->cfg->out, b.len }, .segment = b.segment, .remote = c->cfg->remote, .ecn = b.ecn };

        gh_udp_send(&c->udp, &m); /* what does not go is lost, as it could be on its way */
    }
}

static void drop(struct client *c)
{
    if (c->quic) {
        gh_h3_close_streams(c->h3, GH_H3_NO_ERROR);
        gh_h3_destroy(c->h3);
        gh_quic_destroy(c->quic);
        gh_udp_fini(&c->udp);
        gh_connect_ip_fini(&c->tunnel);
    }
    c->quic = NULL;
    c->h3 = NULL;
    c->stream = NULL;
}

static int start(struct client *c, struct gh_tls_ctx *tls, int64_t now)
{
    struct gh_quic_config cfg;
    struct gh_h3_config h3 = { false, 0, &h3_events, c };
    struct gh_quic_target to = { .tls = tls, .server_name = c->cfg->server_name };
    struct gh_quic_path path = path_of(c);
    int rc;

    gh_quic_config_default(&cfg);
    cfg.random = gh_random_system;
    cfg.handshake_timeout = 20 * GH_NANOSECONDS;
    cfg.keep_alive = 0; /* silence for as long as the idle time-outs allow: an idle session is to be idle */
    cfg.idle_timeout = 3600 * GH_NANOSECONDS;
    h3.max_streams_bidi = cfg.max_streams_bidi;
    rc = gh_h3_create(&h3, &c->h3);
    if (rc < 0)
        return rc;
    rc = gh_quic_create_client(&cfg, &(struct gh_quic_owner){ &host, c, &gh_h3_app, c->h3 }, &to, &path, now, &c->quic);
    if (rc < 0) {
        gh_h3_destroy(c->h3);
        c->quic = NULL;
        return rc;
    }
    gh_h3_attach(c->h3, c->quic);
    return 0;
}

int client_open(struct client *c, const struct client_config *cfg, const struct gh_endpoint *from, struct gh_tls_ctx *tls, int64_t now)
{
    int fd, rc;

    *c = (struct client){ .cfg = cfg, .state = CLIENT_FAILED, .started = now, .deadline = GH_QUIC_NEVER };
    fd = gh_udp_open(from, 0);
    if (fd < 0)
        return fd;
    rc = gh_udp_init(&c->udp, fd, c->cfg->features);
    if (rc < 0) {
        gh_sock_close(fd);
        return rc;
    }
    c->local = *from;
    c->local.port = c->udp.port;
    gh_connect_ip_init(&c->tunnel, &tunnel_events, c);
    rc = start(c, tls, now);
    if (rc < 0) {
        gh_connect_ip_fini(&c->tunnel);
        gh_udp_fini(&c->udp);
        return rc;
    }
    c->state = CLIENT_CONNECTING;
    client_turn(c, now);
    return 0;
}

void client_close(struct client *c, int64_t now)
{
    if (c->quic) {
        c->state = CLIENT_IDLE;
        gh_quic_close(c->quic, true, GH_H3_NO_ERROR, "done");
        flush(c, now);
    }
    drop(c);
    c->state = CLIENT_IDLE;
    c->deadline = GH_QUIC_NEVER;
}

void client_turn(struct client *c, int64_t now)
{
    if (!c->quic)
        return;
    if (gh_quic_deadline(c->quic) <= now)
        gh_quic_expire(c->quic, now);
    flush(c, now);
    c->deadline = gh_quic_deadline(c->quic);
    if (c->state == CLIENT_FAILED || c->state == CLIENT_LOST) {
        drop(c);
        c->deadline = GH_QUIC_NEVER;
    }
}

void client_receive(struct client *c, int64_t now)
{
    struct gh_quic_path path = path_of(c);
    struct gh_udp_message m;

    while (c->quic && gh_udp_receive(&c->udp, c->cfg->slab, 1, &m) == 1)
        for (size_t at = 0; at < m.len; at += m.segment)
            gh_quic_recv(c->quic, &path, m.ecn, gh_span_of(m.data + at, m.len - at < m.segment ? m.len - at : m.segment), now);
    client_turn(c, now);
}

static void head_of(const struct client *c, uint8_t *ip, uint8_t protocol, uint16_t len)
{
    uint16_t sum;

    ip[0] = 0x45;
    ip[2] = (uint8_t)(len >> 8);
    ip[3] = (uint8_t)len;
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, c->address.bytes, 4);
    memcpy(ip + 16, c->cfg->target.bytes, 4);
    sum = gh_ip_checksum(ip, IPV4_HEAD);
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
}

int client_push(struct client *c, size_t size, int64_t now)
{
    uint8_t payload[1 + IPV4_HEAD + UDP_HEAD + PUSH_MAX] = { GH_CONNECT_IP_CONTEXT }, *ip = payload + 1, *udp = ip + IPV4_HEAD;
    const uint16_t len = (uint16_t)(IPV4_HEAD + UDP_HEAD + size), ports[] = { PUSH_PORT, c->cfg->target_port, (uint16_t)(UDP_HEAD + size) };
    int rc;

    if (c->state != CLIENT_UP || !c->stream)
        return GH_ERR_STATE;
    if (size < sizeof c->pushed || size > PUSH_MAX)
        return GH_ERR_RANGE;
    head_of(c, ip, GH_IP_UDP, len);
    for (size_t i = 0; i < 3; i++) { /* no checksum: the payload is compared */
        udp[2 * i] = (uint8_t)(ports[i] >> 8);
        udp[2 * i + 1] = (uint8_t)ports[i];
    }
    memcpy(udp + UDP_HEAD, &c->pushed, sizeof c->pushed);
    memcpy(udp + UDP_HEAD + sizeof c->pushed, c->cfg->pattern + pattern_place(c->pushed), size - sizeof c->pushed);
    rc = gh_h3_send_datagram(c->stream, gh_span_of(payload, 1u + len), 0, now);
    if (rc < 0)
        return rc;
    c->pushed++;
    c->under_way++;
    return 0;
}

int client_echo(struct client *c, int64_t now)
{
    uint8_t payload[1 + IPV4_HEAD + ICMP_HEAD + ECHO_BYTES] = { GH_CONNECT_IP_CONTEXT }, *ip = payload + 1, *icmp = ip + IPV4_HEAD;
    const uint16_t len = sizeof payload - 1;
    uint16_t sum, id = c->cfg->flows ? (uint16_t)(ECHO_ID + c->sequence) : ECHO_ID;
    int rc;

    if (c->state != CLIENT_UP || !c->stream)
        return GH_ERR_STATE;
    head_of(c, ip, GH_IP_ICMP, len);
    icmp[0] = 8;
    icmp[4] = (uint8_t)(id >> 8);
    icmp[5] = (uint8_t)id;
    c->sequence++;
    icmp[6] = (uint8_t)(c->sequence >> 8);
    icmp[7] = (uint8_t)c->sequence;
    memcpy(icmp + ICMP_HEAD, &now, sizeof now);
    sum = gh_ip_checksum(icmp, ICMP_HEAD + ECHO_BYTES);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
    rc = gh_h3_send_datagram(c->stream, gh_span_of(payload, sizeof payload), 0, now);
    if (rc == 0)
        c->sent++;
    client_turn(c, now);
    return rc;
}
