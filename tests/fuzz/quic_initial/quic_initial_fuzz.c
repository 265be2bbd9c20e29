/* tests/fuzz/quic_initial/quic_initial_fuzz.c - what a stranger may send before there is a connection
 *
 * The first byte chooses. 0: the rest is one datagram as it is. Else the rest is sealed as a client would: per packet two
 * bytes of length and its frames, of version 2 when bit 1 is set; with bit 2 all of them in one datagram.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/quic/initial_peek.h"

#include "../../sim/packet_seal.h"

#define PACKET_MAX 1500u

static void require(bool right)
{
    if (!right)
        abort();
}

static int feed(struct gh_quic_peek *p, bool *begun, struct gh_span datagram)
{
    uint8_t *exact = calloc(1, datagram.len < 1200 ? 1200 : datagram.len);
    struct gh_span d = gh_span_of(exact, datagram.len < 1200 ? 1200 : datagram.len), data;
    struct gh_tls_hello h;
    int rc = 0;

    require(exact != NULL);
    if (datagram.len > 0)
        memcpy(exact, datagram.data, datagram.len);
    if (!*begun)
        rc = gh_quic_peek_init(p, d);
    *begun = true;
    if (rc == 0)
        rc = gh_quic_peek_feed(p, d, &h);
    free(exact);
    if (rc == 1) { /* borrowed from the peek, not from the datagram */
        require(h.body.len + 4 <= GH_QUIC_PEEK_STREAM_MAX && h.random.len == 32);
        (void)gh_tls_hello_find(&h, GH_TLS_QUIC_PARAMETERS, &data);
        (void)gh_tls_hello_alpn_has(&h, "h3");
    }
    require(p->piece_count <= GH_QUIC_PEEK_PIECES);
    for (size_t i = 0; i < p->piece_count; i++) {
        require(p->pieces[i].from < p->pieces[i].to && p->pieces[i].to <= p->cap);
        require(i == 0 || p->pieces[i - 1].to < p->pieces[i].from);
    }
    return rc;
}

static size_t seal(const struct packet_keys *keys, uint32_t version, uint32_t number, struct gh_span frames, uint8_t *packet, size_t cap)
{
    struct gh_writer w = gh_writer_of(packet, cap);

    gh_write_u8(&w, version == GH_QUIC_VERSION_2 ? 0xd3 : 0xc3);
    gh_write_u32(&w, version);
    gh_write_bytes(&w, "\x08" "01234567" "\x00\x00", 11);
    gh_write_u16(&w, (uint16_t)(0x4000 | (4 + frames.len + GH_AEAD_TAG)));
    gh_write_u32(&w, 0);
    require(!w.failed);
    return packet_seal(keys, packet, gh_writer_len(&w), number, frames);
}

static void run_sealed(uint8_t mode, struct gh_span in)
{
    uint32_t version = mode & 2 ? GH_QUIC_VERSION_2 : GH_QUIC_VERSION_1, number = 0;
    struct gh_reader r = gh_reader_of(in);
    struct gh_quic_peek p = { 0 };
    struct packet_keys keys = { 0 };
    bool begun = false;
    uint8_t *datagram = malloc(65536 + PACKET_MAX);
    size_t len = 0;

    require(datagram && gh_aead_initial_client_keys(version, gh_span_of("01234567", 8), true, &keys.key, keys.iv, &keys.header) == 0);
    while (gh_reader_left(&r) >= 2 && len < 60000) {
        size_t n = gh_read_u16(&r) % (PACKET_MAX - 100);
        uint8_t frames[PACKET_MAX] = { 0 };

        n = n < gh_reader_left(&r) ? n : gh_reader_left(&r);
        gh_read_bytes(&r, frames, n);
        len += seal(&keys, version, number++, gh_span_of(frames, n < 4 ? 4 : n), datagram + len, PACKET_MAX);
        if (mode & 4)
            continue;
        (void)feed(&p, &begun, gh_span_of(datagram, len));
        len = 0;
    }
    if (len > 0)
        (void)feed(&p, &begun, gh_span_of(datagram, len));
    gh_quic_peek_fini(&p);
    packet_keys_fini(&keys);
    free(datagram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_quic_peek p = { 0 };
    bool begun = false;

    if (size < 2)
        return 0;
    if (data[0]) {
        run_sealed(data[0], gh_span_of(data + 1, size - 1));
        return 0;
    }
    (void)feed(&p, &begun, gh_span_of(data + 1, size - 1));
    gh_quic_peek_fini(&p);
    return 0;
}
