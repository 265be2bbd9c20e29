/* Packets before there is a connection. */
#include "base/error.h"
#include "proto/quic/internal.h"

int gh_quic_accept(struct gh_span packet, struct gh_quic_initial *ret)
{
    ngtcp2_pkt_hd hd;
    ngtcp2_version_cid vc;
    struct gh_guard g;
    int rc;

    if (packet.len < 1200) /* RFC 9000, section 14.1: a smaller Initial is no Initial */
        return 0;
    if (GH_GUARD_ENTER(&g))
        return 0;
    rc = ngtcp2_pkt_decode_version_cid(&vc, packet.data, packet.len, GH_QUIC_CID_LEN);
    if (rc == NGTCP2_ERR_VERSION_NEGOTIATION && vc.dcidlen <= GH_QUIC_CID_MAX && vc.scidlen <= GH_QUIC_CID_MAX) {
        gh_guard_leave(&g);
        *ret = (struct gh_quic_initial){ .version = vc.version };
        ret->dcid.len = (uint8_t)vc.dcidlen;
        memcpy(ret->dcid.data, vc.dcid, vc.dcidlen);
        ret->scid.len = (uint8_t)vc.scidlen;
        memcpy(ret->scid.data, vc.scid, vc.scidlen);
        return GH_ERR_UNSUPPORTED;
    }
    rc = rc == 0 ? ngtcp2_accept(&hd, packet.data, packet.len) : rc;
    gh_guard_leave(&g);
    if (rc != 0)
        return 0;
    *ret = (struct gh_quic_initial){ .version = hd.version, .token = { hd.token, hd.tokenlen }, .payload = packet.len };
    gh_quic_cid_from(&hd.dcid, &ret->dcid);
    gh_quic_cid_from(&hd.scid, &ret->scid);
    if (hd.version != NGTCP2_PROTO_VER_V1)
        return GH_ERR_UNSUPPORTED;
    return 1;
}

int gh_quic_peek_dcid(struct gh_span packet, struct gh_quic_cid *ret, bool *ret_long)
{
    struct gh_reader r = gh_reader_of(packet);
    uint8_t first = gh_read_u8(&r);
    struct gh_quic_cid cid = { .len = GH_QUIC_CID_LEN };

    if (first & 0x80) { /* RFC 8999, section 5.1: fields of every version */
        gh_read_u32(&r);
        cid.len = gh_read_u8(&r);
        if (cid.len > GH_QUIC_CID_MAX)
            return GH_ERR_MALFORMED;
    }
    gh_read_bytes(&r, cid.data, cid.len);
    if (r.failed)
        return GH_ERR_MALFORMED;
    *ret = cid;
    *ret_long = first & 0x80;
    return 0;
}

int gh_quic_version_negotiation(const struct gh_quic_initial *in, uint8_t unpredictable, uint8_t *buf, size_t cap)
{
    /* a reserved one first (RFC 9000, section 15), never the one that was asked for: who reads that ignores the packet */
    uint32_t reserved = 0x0a0a0a0au | (unpredictable & 0xf0u) * 0x01010100u | (unpredictable & 0x0fu) << 4;
    uint32_t versions[] = { reserved == in->version ? reserved ^ 0x10000000u : reserved, NGTCP2_PROTO_VER_V1 };
    ngtcp2_ssize n = ngtcp2_pkt_write_version_negotiation(buf, cap, unpredictable, in->scid.data, in->scid.len, in->dcid.data,
                                                          in->dcid.len, versions, 2);

    return n < 0 ? GH_ERR_TOO_LONG : (int)n;
}

int gh_quic_retry(const struct gh_quic_initial *in, const struct gh_quic_cid *scid, struct gh_span token, uint8_t *buf, size_t cap)
{
    ngtcp2_crypto_aead aead = { (void *)(uintptr_t)gh_aead_suite_initial(GH_AEAD_OPENSSL), GH_AEAD_TAG };
    ngtcp2_crypto_aead_ctx ctx;
    ngtcp2_cid dcid, lib_scid, odcid;
    struct gh_aead_key *key;
    ngtcp2_ssize n;

    if (in->dcid.len < NGTCP2_MIN_INITIAL_DCIDLEN || gh_aead_retry_key(&key) < 0)
        return GH_ERR_CRYPTO;
    ctx.native_handle = key;
    gh_quic_cid_to(&in->scid, &dcid);
    gh_quic_cid_to(scid, &lib_scid);
    gh_quic_cid_to(&in->dcid, &odcid);
    n = ngtcp2_pkt_write_retry(buf, cap, in->version, &dcid, &lib_scid, &odcid, token.data, token.len, gh_quic_encrypt, &aead, &ctx);
    gh_aead_key_destroy(key);
    return n < 0 ? GH_ERR_TOO_LONG : (int)n;
}

int gh_quic_refuse(const struct gh_quic_initial *in, uint64_t code, uint8_t *buf, size_t cap)
{
    const struct gh_aead_suite *suite = gh_aead_suite_initial(GH_AEAD_OPENSSL);
    ngtcp2_crypto_aead aead = { (void *)(uintptr_t)suite, GH_AEAD_TAG };
    ngtcp2_crypto_cipher cipher = { (void *)(uintptr_t)suite };
    uint8_t client[32], server[32], iv[GH_AEAD_IV];
    ngtcp2_crypto_aead_ctx ctx;
    ngtcp2_crypto_cipher_ctx header_ctx;
    struct gh_header_key *header;
    struct gh_aead_key *key;
    ngtcp2_cid dcid, scid;
    ngtcp2_ssize n;

    if (gh_aead_initial_secrets(gh_span_of(in->dcid.data, in->dcid.len), client, server) < 0 ||
        gh_aead_key_derive(suite, server, true, &key, iv, &header) < 0)
        return GH_ERR_CRYPTO;
    ctx.native_handle = key;
    header_ctx.native_handle = header;
    gh_quic_cid_to(&in->scid, &dcid);
    gh_quic_cid_to(&in->dcid, &scid);
    n = ngtcp2_pkt_write_connection_close(buf, cap, in->version, &dcid, &scid, code, NULL, 0, gh_quic_encrypt, &aead, &ctx, iv, gh_quic_mask,
                                          &cipher, &header_ctx);
    gh_aead_key_destroy(key);
    gh_header_key_destroy(header);
    return n < 0 ? GH_ERR_TOO_LONG : (int)n;
}

int gh_quic_stateless_reset(const uint8_t token[GH_QUIC_RESET_TOKEN], const uint8_t *noise, uint8_t *buf, size_t cap)
{
    ngtcp2_ssize n;

    if (cap < NGTCP2_MIN_STATELESS_RESET_RANDLEN + GH_QUIC_RESET_TOKEN)
        return GH_ERR_TOO_LONG;
    n = ngtcp2_pkt_write_stateless_reset(buf, cap, token, noise, cap - GH_QUIC_RESET_TOKEN);
    return n < 0 ? GH_ERR_TOO_LONG : (int)n;
}
