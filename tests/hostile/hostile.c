/* tests/hostile/hostile.c - an agent with a good certificate that means no good
 *
 *   hostile MODE SECONDS ADDRESS PORT SERVER_NAME CERT KEY CA
 *
 * connect    handshakes one after the other, each closed when it is complete
 * refused    the same, as fast as it goes, with a certificate that the relay does not take
 * requests   ADDRESS_REQUEST capsules as fast as flow control lets them
 * capsules   capsules of a type that nobody knows
 * silent     asks for addresses again and again, and reads no answer
 * datagrams  packets of full size as fast as the congestion window lets them
 * fragments  65,535 first pieces of packets, then 65,535 later pieces of others
 * icmp       packets that call for an ICMP error, and ICMP errors that must not be answered
 *
 * When the tunnel is ended it is opened anew. At the end one line of JSON says what was done and seen.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/conform_road.h"
#include "core/conf.h"
#include "core/text.h"
#include "os/clock.h"
#include "wire/capsule.h"
#include "wire/ip.h"

#define PATIENCE (5 * GH_NANOSECONDS)
#define MILLISECOND INT64_C(1000000)
#define PIECES 65535u

struct hostile {
    struct gh_conform_road road;
    struct gh_conform_peer peer;
    const char *authority;
    int64_t tunnel, until;
    uint8_t address[4];
    uint64_t next_id;
    uint32_t piece;
    unsigned long sent, opened, failed, ended;
    uint64_t code; /* of the last end */
};

static struct gh_tls_ctx *read_tls(char **files)
{
    struct gh_text text[3];
    struct gh_tls_ctx *ctx = NULL;
    char err[256] = "a file cannot be read";
    bool ok = true;

    for (int i = 0; i < 3; i++) {
        gh_text_init(&text[i], 1u << 20);
        ok &= gh_conf_read_file(files[i], &text[i]) == 0;
    }
    if (ok) {
        struct gh_tls_config cfg = { .certificate = { (uint8_t *)text[0].data, text[0].len }, .key = { (uint8_t *)text[1].data, text[1].len },
                                     .ca = { (uint8_t *)text[2].data, text[2].len }, .alpn = "h3" };

        if (gh_tls_ctx_create(&cfg, &ctx, err, sizeof err) < 0)
            ctx = NULL;
    }
    for (int i = 0; i < 3; i++)
        gh_text_fini(&text[i]);
    if (!ctx)
        fprintf(stderr, "hostile: %s\n", err);
    return ctx;
}

static bool over(const struct hostile *h)
{
    return gh_clock_now() >= h->until;
}

/* The tunnel. */

static bool is_assigned(struct gh_conform_peer *p, const void *arg)
{
    struct hostile *h = (struct hostile *)(uintptr_t)arg;
    struct gh_conform_stream *s = gh_conform_stream(p, h->tunnel);
    struct gh_span value;
    uint64_t type;
    size_t at = 0;

    while (s && gh_conform_answer_capsule(&s->answer, &at, &type, &value))
        if (type == GH_CAPSULE_ADDRESS_ASSIGN && value.len >= 7 && value.data[1] == 4) {
            memcpy(h->address, value.data + 2, 4);
            return true;
        }
    return s && (s->reset != GH_CONFORM_NO_CODE || s->ended);
}

static bool open_tunnel(struct hostile *h)
{
    static const char control[] = "\x00\x04\x07\x06\x80\x00\x40\x00\x33\x01";
    const char *fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", h->authority,
                             ":path", "/.well-known/masque/ip/*/*/", "capsule-protocol", "?1", NULL };
    struct gh_conform_bytes b = { .len = 0 };

    gh_conform_head(&b, fields);
    memset(h->address, 0, sizeof h->address);
    h->next_id = 1;
    h->tunnel = -1;
    if (gh_conform_peer_open(&h->peer, &h->road, PATIENCE, 65535) == 0) {
        gh_conform_open(&h->peer, false, gh_span_of(control, sizeof control - 1), false);
        h->tunnel = gh_conform_open(&h->peer, true, gh_conform_span(&b), false);
        gh_conform_wait(&h->peer, is_assigned, h);
    }
    if (h->address[0])
        h->opened++;
    else
        h->failed++;
    return h->address[0] != 0;
}

static bool is_ended(struct hostile *h)
{
    struct gh_conform_stream *s = gh_conform_stream(&h->peer, h->tunnel);

    if (!h->peer.closed && s && s->reset == GH_CONFORM_NO_CODE && !s->ended && !s->stopped)
        return false;
    h->ended++;
    h->code = h->peer.closed ? h->peer.why.code : s ? s->reset : 0;
    return true;
}

/* What is sent into it. */

/* In a DATA frame. */
static void send_body(struct hostile *h, const struct gh_conform_bytes *body)
{
    struct gh_conform_bytes frame = { .len = 0 };

    gh_conform_tlv(&frame, 0x00, gh_conform_span(body));
    gh_conform_send(&h->peer, h->tunnel, gh_conform_span(&frame), false);
}

static void send_requests(struct hostile *h)
{
    struct gh_conform_bytes value = { .len = 0 }, b = { .len = 0 };

    for (int i = 0; i < 16; i++) {
        value.len = 0;
        for (int k = 0; k < 8; k++) {
            gh_conform_varint(&value, h->next_id++);
            gh_conform_append(&value, "\x04\0\0\0\0\x20", 6);
        }
        gh_conform_tlv(&b, GH_CAPSULE_ADDRESS_REQUEST, gh_conform_span(&value));
        h->sent++;
    }
    send_body(h, &b);
}

static void send_capsules(struct hostile *h)
{
    struct gh_conform_bytes b = { .len = 0 };

    for (; b.len < 3000; h->sent++)
        gh_conform_tlv(&b, 0x2b, gh_span_of("x", 1));
    send_body(h, &b);
}

struct ip4 {
    uint8_t to[4], protocol;
    uint16_t id, fragment;
};

static void send_packet(struct hostile *h, struct ip4 f, const void *body, size_t len)
{
    uint8_t p[1400] = { 0, 0x45, 0 };
    uint8_t *ip = p + 1;
    size_t total = 20 + len;
    uint16_t sum;

    ip[2] = (uint8_t)(total >> 8), ip[3] = (uint8_t)total;
    ip[4] = (uint8_t)(f.id >> 8), ip[5] = (uint8_t)f.id;
    ip[6] = (uint8_t)(f.fragment >> 8), ip[7] = (uint8_t)f.fragment;
    ip[8] = 64;
    ip[9] = f.protocol;
    memcpy(ip + 12, h->address, 4);
    memcpy(ip + 16, f.to, 4);
    sum = gh_ip_checksum(ip, 20);
    ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
    memcpy(ip + 20, body, len);
    if (gh_conform_datagram(&h->peer, (uint64_t)h->tunnel / 4, gh_span_of(p, total + 1)) == 0)
        h->sent++;
}

static void send_datagrams(struct hostile *h)
{
    uint8_t udp[1200] = { 0x9c, 0x40, 0, 9, 1200 >> 8, 1200 & 255 };

    for (int i = 0; i < 64; i++)
        send_packet(h, (struct ip4){ { 9, 9, 9, 9 }, 17, 0, 0 }, udp, sizeof udp);
}

static void send_fragments(struct hostile *h)
{
    uint8_t udp[24] = { 0x9c, 0x40, 0, 9, 4, 0 };

    for (int i = 0; i < 64; i++, h->piece++)
        send_packet(h, (struct ip4){ { 9, 9, 9, 9 }, 17, (uint16_t)(h->piece % PIECES), h->piece / PIECES % 2 ? 100 : 0x2000 }, udp, sizeof udp);
}

static void send_icmp(struct hostile *h)
{
    uint8_t echo[8] = { 8, 0, 0xf7, 0xff }, error[36] = { 3, 1 }, nobody[4];
    uint16_t sum;

    memcpy(nobody, h->address, 4);
    nobody[3] = 250; /* of the pool, and nobody's */
    error[8] = 0x45, error[11] = 28, error[16] = 64, error[17] = 17; /* about a packet that never was */
    memcpy(error + 20, nobody, 4);
    memcpy(error + 24, h->address, 4);
    sum = gh_ip_checksum(error, sizeof error);
    error[2] = (uint8_t)(sum >> 8), error[3] = (uint8_t)sum;
    for (int i = 0; i < 32; i++) {
        send_packet(h, (struct ip4){ { nobody[0], nobody[1], nobody[2], nobody[3] }, 1, 0, 0 }, echo, sizeof echo);
        send_packet(h, (struct ip4){ { nobody[0], nobody[1], nobody[2], nobody[3] }, 1, 0, 0 }, error, sizeof error);
    }
}

/* One kind of harm until the time is over. */
static void harm(struct hostile *h, void (*send)(struct hostile *h), bool deaf)
{
    while (!over(h)) {
        if (!open_tunnel(h)) {
            gh_conform_peer_close(&h->peer);
            gh_conform_pause(&h->peer, 0);
            continue;
        }
        for (unsigned long turn = 0; !over(h) && !is_ended(h); turn++) {
            send(h);
            if (!deaf || turn < 30)
                gh_conform_pause(&h->peer, MILLISECOND);
            else
                poll(NULL, 0, 20); /* the socket is not even read */
        }
        gh_conform_peer_close(&h->peer);
    }
}

static bool never(struct gh_conform_peer *p, const void *arg)
{
    (void)p;
    (void)arg;
    return false;
}

static void handshakes(struct hostile *h, bool refused)
{
    while (!over(h)) {
        bool up = gh_conform_peer_open(&h->peer, &h->road, PATIENCE, 65535) == 0;

        if (up && refused) { /* TLS 1.3: the client is done before its certificate is looked at */
            h->peer.patience = GH_NANOSECONDS;
            gh_conform_wait(&h->peer, never, NULL);
            up = !h->peer.closed;
        }
        if (up)
            h->opened++;
        else
            h->failed++;
        gh_conform_peer_close(&h->peer);
        if (!refused)
            poll(NULL, 0, 20);
    }
}

int main(int argc, char **argv)
{
    static struct gh_cli_conform_road udp;
    static struct hostile h;
    static const struct {
        const char *name;
        void (*send)(struct hostile *h);
        bool deaf;
    } modes[] = { { "requests", send_requests, false },   { "capsules", send_capsules, false }, { "silent", send_requests, true },
                  { "datagrams", send_datagrams, false }, { "fragments", send_fragments, false }, { "icmp", send_icmp, false } };
    bool known = false;

    if (argc != 9) {
        fprintf(stderr, "usage: hostile MODE SECONDS ADDRESS PORT SERVER_NAME CERT KEY CA\n");
        return 2;
    }
    udp.tls = read_tls(argv + 6);
    if (!udp.tls || gh_ip_parse(argv[3], strlen(argv[3]), &udp.remote.ip) < 0)
        return 2;
    udp.remote.port = (uint16_t)strtoul(argv[4], NULL, 10);
    udp.server_name = h.authority = argv[5];
    gh_cli_conform_road(&udp, &h.road);
    h.until = gh_clock_now() + (int64_t)(strtod(argv[2], NULL) * (double)GH_NANOSECONDS);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            known = true;
            harm(&h, modes[i].send, modes[i].deaf);
        }
    if (!known)
        handshakes(&h, strcmp(argv[1], "refused") == 0);
    printf("{\"sent\":%lu,\"opened\":%lu,\"failed\":%lu,\"ended\":%lu,\"code\":%" PRIu64 "}\n", h.sent, h.opened, h.failed, h.ended, h.code);
    gh_tls_ctx_put(udp.tls);
    return 0;
}
