/* tests/hostile/flood.c - first flights of handshakes from addresses that are not the sender's
 *
 *   flood ADDRESS PORT SERVER_NAME CA HANDSHAKES PER_SECOND SECONDS
 *
 * One real ClientHello, sealed anew for each handshake under a connection id of its own (RFC 9001, section 5.2: the keys of Initial
 * packets follow from it), before the first one is sent. Sources are addresses of 100.64.0.0/10. The kernel must let us (IP_TRANSPARENT).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/text.h"
#include "crypto/random.h"
#include "os/clock.h"
#include "proto/quic/quic.h"

#define FLIGHT 4u /* datagrams of a first flight, at most */
#define BATCH 32u

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    (void)arg;
    ret->len = GH_QUIC_CID_LEN;
    return gh_random_bytes(ret->data, ret->len) < 0 ? -1 : gh_random_bytes(ret_token, GH_QUIC_RESET_TOKEN);
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    (void)arg;
    (void)cid;
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    (void)arg;
    fprintf(stderr, "flood: %s\n", why->reason);
}

static const struct gh_quic_host host = { .make_cid = make_cid, .retire_cid = retire_cid, .on_closed = on_closed };
static const struct gh_quic_app app = { NULL };

struct keys {
    struct gh_aead_key *key;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
};

static int keys_of(struct gh_span dcid, bool seal, struct keys *ret)
{
    uint8_t client[32], server[32];
    int rc = gh_aead_initial_secrets(dcid, client, server);

    return rc < 0 ? rc : gh_aead_key_derive(gh_aead_suite_initial(GH_AEAD_OPENSSL), client, seal, &ret->key, ret->iv, &ret->header);
}

static void keys_fini(struct keys *k)
{
    gh_aead_key_destroy(k->key);
    gh_header_key_destroy(k->header);
}

/* A datagram that begins with an Initial packet, up to <end>: where its parts are, and what it says. */
struct initial {
    uint8_t plain[2048];
    size_t len, end, number_at, number_len;
    uint8_t nonce_number[4];
};

static uint64_t varint(const uint8_t **at)
{
    const uint8_t *p = *at;
    unsigned n = 1u << (p[0] >> 6);
    uint64_t v = p[0] & 0x3f;

    for (unsigned i = 1; i < n; i++)
        v = v << 8 | p[i];
    *at = p + n;
    return v;
}

static void nonce_of(const struct keys *k, const struct initial *in, uint8_t ret[GH_AEAD_IV])
{
    memcpy(ret, k->iv, GH_AEAD_IV);
    for (size_t i = 0; i < in->number_len; i++)
        ret[GH_AEAD_IV - in->number_len + i] ^= in->nonce_number[i];
}

static int unseal(const uint8_t *packet, size_t len, struct initial *ret)
{
    const uint8_t *at = packet + 6 + packet[5];
    struct keys k = { NULL };
    uint8_t mask[5], nonce[GH_AEAD_IV];
    size_t token, head, left;
    int rc = keys_of(gh_span_of(packet + 6, packet[5]), false, &k);

    at += 1 + at[0];
    token = (size_t)varint(&at);
    at += token;
    left = (size_t)varint(&at);
    if (rc < 0 || left > (size_t)(packet + len - at) || len > sizeof ret->plain)
        return -1;
    memcpy(ret->plain, packet, len);
    ret->number_at = (size_t)(at - packet);
    ret->end = ret->number_at + left;
    rc = gh_header_mask(k.header, mask, at + 4);
    ret->plain[0] ^= mask[0] & 0x0f;
    ret->number_len = (ret->plain[0] & 3u) + 1;
    for (size_t i = 0; i < ret->number_len; i++)
        ret->nonce_number[i] = ret->plain[ret->number_at + i] ^= mask[1 + i];
    nonce_of(&k, ret, nonce);
    head = ret->number_at + ret->number_len;
    if (rc == 0)
        rc = gh_aead_open(k.key, ret->plain + head, gh_span_of(packet + head, ret->end - head), nonce, gh_span_of(ret->plain, head));
    ret->len = len;
    keys_fini(&k);
    return rc;
}

/* The same under another destination id. */
static int seal(const struct initial *in, const struct keys *k, const uint8_t *dcid, uint8_t *to)
{
    size_t head = in->number_at + in->number_len;
    uint8_t mask[5], nonce[GH_AEAD_IV];
    int rc;

    memcpy(to, in->plain, in->len);
    memcpy(to + 6, dcid, in->plain[5]);
    nonce_of(k, in, nonce);
    rc = gh_aead_seal(k->key, to + head, gh_span_of(to + head, in->end - head - GH_AEAD_TAG), nonce, gh_span_of(to, head));
    if (rc == 0)
        rc = gh_header_mask(k->header, mask, to + in->number_at + 4);
    to[0] ^= mask[0] & 0x0f;
    for (size_t i = 0; i < in->number_len; i++)
        to[in->number_at + i] ^= mask[1 + i];
    return rc;
}

/* The first flight of a client that means it. The number of its datagrams. */
static int first_flight(const char *ca_file, const char *name, struct initial flight[FLIGHT])
{
    static uint8_t buf[GH_QUIC_BATCH_MAX];
    struct gh_quic_batch b = { .buf = buf };
    struct gh_quic_path path = { { { .family = 4 }, 1 }, { { .family = 4, .bytes = { 192, 0, 2, 1 } }, 443 } };
    struct gh_quic_owner owner = { &host, NULL, &app, NULL };
    struct gh_quic_target to = { .server_name = name };
    struct gh_tls_config tls = { .alpn = "h3" };
    struct gh_quic_config cfg;
    struct gh_text ca;
    struct gh_quic *q = NULL;
    char err[256] = "";
    int n = 0;

    gh_text_init(&ca, 1u << 20);
    if (gh_conf_read_file(ca_file, &ca) < 0)
        return -1;
    tls.ca = gh_span_of(ca.data, ca.len);
    gh_quic_config_default(&cfg);
    if (gh_tls_ctx_create(&tls, &to.tls, err, sizeof err) < 0 || gh_quic_create_client(&cfg, &owner, &to, &path, gh_clock_now(), &q) < 0) {
        fprintf(stderr, "flood: no connection: %s\n", err);
        return -1;
    }
    while (gh_quic_write(q, &b, gh_clock_now()) == 1)
        for (size_t at = 0; at < b.len && n < (int)FLIGHT; at += b.segment)
            if (unseal(buf + at, b.len - at < b.segment ? b.len - at : b.segment, &flight[n++]) < 0)
                return -1;
    gh_quic_destroy(q);
    gh_tls_ctx_put(to.tls);
    gh_text_fini(&ca);
    return n;
}

struct shot {
    uint8_t *data;
    size_t len;
    uint32_t from;
};

static size_t prepare(struct shot *shots, unsigned handshakes, const struct initial *flight, int count)
{
    size_t n = 0;
    uint8_t dcid[GH_QUIC_CID_MAX], noise[4];

    for (unsigned i = 0; i < handshakes; i++) {
        struct keys k = { NULL };

        if (gh_random_bytes(dcid, sizeof dcid) < 0 || gh_random_bytes(noise, sizeof noise) < 0 ||
            keys_of(gh_span_of(dcid, flight[0].plain[5]), true, &k) < 0)
            return 0;
        for (int part = 0; part < count; part++) {
            struct shot *s = &shots[n++];

            s->len = flight[part].len;
            s->data = malloc(s->len);
            s->from = 0x64400000u | (((uint32_t)noise[0] << 16 | (uint32_t)noise[1] << 8 | noise[2]) & 0x3fffffu); /* 100.64.0.0/10 */
            if (!s->data || seal(&flight[part], &k, dcid, s->data) < 0)
                return 0;
        }
        keys_fini(&k);
    }
    return n;
}

static unsigned send_some(int fd, const struct sockaddr_in *to, const struct shot *shots, unsigned count)
{
    struct mmsghdr m[BATCH] = { 0 };
    struct iovec iov[BATCH];
    union {
        char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct cmsghdr align;
    } control[BATCH];
    int sent;

    for (unsigned i = 0; i < count; i++) {
        struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(shots[i].from) };
        struct cmsghdr *c;

        iov[i] = (struct iovec){ shots[i].data, shots[i].len };
        m[i].msg_hdr = (struct msghdr){ (void *)(uintptr_t)to, sizeof *to, &iov[i], 1, &control[i], sizeof control[i], 0 };
        c = CMSG_FIRSTHDR(&m[i].msg_hdr);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    sent = sendmmsg(fd, m, count, 0);
    return sent > 0 ? (unsigned)sent : 0;
}

int main(int argc, char **argv)
{
    static struct initial flight[FLIGHT];
    struct sockaddr_in to = { .sin_family = AF_INET };
    unsigned handshakes, one = 1;
    uint64_t due, sent = 0, refused = 0;
    double per_second, seconds;
    struct shot *shots;
    size_t count;
    int64_t start, now;
    int parts, fd;

    if (argc != 8 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: flood ADDRESS PORT SERVER_NAME CA HANDSHAKES PER_SECOND SECONDS\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    handshakes = (unsigned)strtoul(argv[5], NULL, 10);
    per_second = strtod(argv[6], NULL);
    seconds = strtod(argv[7], NULL);
    parts = first_flight(argv[4], argv[3], flight);
    shots = parts > 0 ? calloc((size_t)handshakes * FLIGHT, sizeof *shots) : NULL;
    count = shots ? prepare(shots, handshakes, flight, parts) : 0;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (count == 0 || fd < 0 || setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof one) < 0) {
        fprintf(stderr, "flood: %d datagrams, %zu sealed: %s\n", parts, count, strerror(errno));
        return 1;
    }
    printf("{\"ready\":true,\"datagrams_each\":%d}\n", parts);
    fflush(stdout);
    start = gh_clock_now();
    while ((now = gh_clock_now() - start) < (int64_t)(seconds * 1e9)) {
        due = (uint64_t)((double)now / 1e9 * per_second * parts);
        while (sent + refused < due) {
            size_t at = (sent + refused) % count, left = count - at;
            unsigned want = left < BATCH ? (unsigned)left : BATCH, done = send_some(fd, &to, shots + at, want);

            sent += done;
            refused += done ? 0 : 1;
        }
        poll(NULL, 0, 1);
    }
    printf("{\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"handshakes\":%.0f}\n", sent, refused, (double)sent / parts);
    for (size_t i = 0; i < count; i++)
        free(shots[i].data);
    free(shots);
    close(fd);
    return 0;
}
