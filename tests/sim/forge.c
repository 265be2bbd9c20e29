#include "forge.h"

#include <ngtcp2/ngtcp2.h>

#include "../unit/test.h"
#include "packet_seal.h"

#define NUMBER UINT32_C(0x00100000)

int __real_ngtcp2_conn_install_tx_key(ngtcp2_conn *conn, const uint8_t *secret, size_t len, const ngtcp2_crypto_aead_ctx *aead,
                                      const uint8_t *iv, size_t iv_len, const ngtcp2_crypto_cipher_ctx *header);
int __wrap_ngtcp2_conn_install_tx_key(ngtcp2_conn *conn, const uint8_t *secret, size_t len, const ngtcp2_crypto_aead_ctx *aead,
                                      const uint8_t *iv, size_t iv_len, const ngtcp2_crypto_cipher_ctx *header);

static uint8_t secrets[2][GH_AEAD_SECRET_MAX]; /* of client and server */
static bool known[2];

int __wrap_ngtcp2_conn_install_tx_key(ngtcp2_conn *conn, const uint8_t *secret, size_t len, const ngtcp2_crypto_aead_ctx *aead,
                                      const uint8_t *iv, size_t iv_len, const ngtcp2_crypto_cipher_ctx *header)
{
    int who = ngtcp2_conn_is_server(conn);

    assert_true(len <= sizeof secrets[who]);
    memcpy(secrets[who], secret, len);
    known[who] = true;
    return __real_ngtcp2_conn_install_tx_key(conn, secret, len, aead, iv, iv_len, header);
}

/* The client's id is that of all packets to it; the server's, of those that need no handshake. */
void forge_see(struct forge *f, bool from_server, struct gh_span payload)
{
    struct gh_quic_cid cid;
    bool has_long;

    if (gh_quic_peek_dcid(payload, &cid, &has_long) == 0 && (from_server || !has_long))
        f->to[from_server] = cid;
}

static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    forge_see(arg, from_server, payload);
}

void forge_init(struct forge *f, struct sim *s)
{
    *f = (struct forge){ .sent = 0 };
    known[0] = known[1] = false;
    s->on_wire = on_wire;
    s->on_wire_arg = f;
}

bool forge_ready(const struct forge *f, bool as_server)
{
    return known[as_server] && f->to[as_server].len;
}

void forge_send_as(struct forge *f, struct sim *s, bool as_server, struct gh_span frames)
{
    const struct gh_aead_suite *suite = gh_aead_suite_find(0x1301, GH_AEAD_OPENSSL); /* what both sides prefer */
    const struct gh_quic_cid *to = &f->to[as_server];
    struct packet_keys keys;
    uint8_t packet[1500];
    size_t head = 1 + GH_QUIC_CID_LEN + 4;

    assert_true(forge_ready(f, as_server) && to->len == GH_QUIC_CID_LEN && head + frames.len + GH_AEAD_TAG <= sizeof packet);
    assert_int_equal(packet_keys_derive(&keys, suite, secrets[as_server]), 0);
    packet[0] = 0x43; /* short header, fixed bit, packet number of four bytes */
    memcpy(packet + 1, to->data, GH_QUIC_CID_LEN);
    sim_inject(s, as_server, gh_span_of(packet, packet_seal(&keys, packet, head, NUMBER + f->sent++, frames)));
    packet_keys_fini(&keys);
}

void forge_send(struct forge *f, struct sim *s, struct gh_span frames)
{
    forge_send_as(f, s, false, frames);
}
