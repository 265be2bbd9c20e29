#include "forge.h"

#include <ngtcp2/ngtcp2.h>

#include "../unit/test.h"
#include "crypto/aead.h"

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
    uint8_t packet[1500], nonce[GH_AEAD_IV], mask[5];
    const struct gh_quic_cid *to = &f->to[as_server];
    uint32_t number = NUMBER + f->sent++;
    struct gh_header_key *header;
    struct gh_aead_key *key;
    size_t head = 1 + GH_QUIC_CID_LEN + 4;

    assert_true(forge_ready(f, as_server) && to->len == GH_QUIC_CID_LEN && head + frames.len + GH_AEAD_TAG <= sizeof packet);
    assert_int_equal(gh_aead_key_derive(suite, secrets[as_server], true, &key, nonce, &header), 0);
    packet[0] = 0x43; /* short header, fixed bit, packet number of four bytes */
    memcpy(packet + 1, to->data, GH_QUIC_CID_LEN);
    for (int i = 0; i < 4; i++) {
        packet[head - 1 - (size_t)i] = (uint8_t)(number >> 8 * i);
        nonce[GH_AEAD_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    }
    assert_int_equal(gh_aead_seal(key, packet + head, frames, nonce, gh_span_of(packet, head)), 0);
    assert_int_equal(gh_header_mask(header, mask, packet + head), 0); /* the sample begins 4 bytes behind the number's start */
    packet[0] ^= mask[0] & 0x1f;
    for (size_t i = 0; i < 4; i++)
        packet[head - 4 + i] ^= mask[1 + i];
    sim_inject(s, as_server, gh_span_of(packet, head + frames.len + GH_AEAD_TAG));
    gh_aead_key_destroy(key);
    gh_header_key_destroy(header);
}

void forge_send(struct forge *f, struct sim *s, struct gh_span frames)
{
    forge_send_as(f, s, false, frames);
}
