/* kind, low byte of the day, salt; sealed: when, and for a Retry the connection id that the client chose first. */
#include "proto/quic/token.h"

#include "base/error.h"
#include "crypto/hkdf.h"

#define KIND_RETRY 0xb6u
#define KIND_NEW 0x36u
#define SALT 16u
#define DAY 86400
#define HEAD (2u + SALT)

/* The key of one token: its nonce is never used twice, since the salt is not. */
static int derive(const struct gh_quic_tokens *t, int64_t day, const uint8_t *salt, bool seal, struct gh_aead_key **ret, uint8_t ret_iv[GH_AEAD_IV])
{
    uint8_t epoch[8], secret[GH_AEAD_SECRET_MAX];
    struct gh_writer w = gh_writer_of(epoch, sizeof epoch);
    int rc;

    gh_write_u64(&w, (uint64_t)day);
    rc = gh_hkdf_sha256(gh_span_of(t->key, sizeof t->key), gh_span_of(epoch, sizeof epoch), "gatehouse token day", secret, 32);
    if (rc == 0)
        rc = gh_hkdf_sha256(gh_span_of(secret, 32), gh_span_of(salt, SALT), "gatehouse token", secret, 32);
    if (rc == 0)
        rc = gh_aead_key_derive(gh_aead_suite_initial(GH_AEAD_OPENSSL), secret, seal, ret, ret_iv, NULL);
    gh_wipe(secret, sizeof secret);
    return rc;
}

/* What a token is bound to without saying so. */
static size_t binding(const uint8_t *head, const struct gh_quic_addr *remote, const struct gh_quic_cid *scid, uint8_t buf[64])
{
    struct gh_writer w = gh_writer_of(buf, 64);

    gh_write_bytes(&w, head, HEAD);
    gh_write_u8(&w, remote->ip.family);
    gh_write_bytes(&w, remote->ip.bytes, remote->ip.family == 4 ? 4 : 16);
    if (scid) {
        gh_write_u16(&w, remote->port);
        gh_write_u8(&w, scid->len);
        gh_write_bytes(&w, scid->data, scid->len);
    }
    return gh_writer_len(&w);
}

static int seal(const struct gh_quic_tokens *t, uint8_t kind, int64_t wall, const struct gh_quic_addr *remote, const struct gh_quic_cid *scid,
                const struct gh_quic_cid *original, uint8_t *ret)
{
    uint8_t iv[GH_AEAD_IV], aad[64];
    struct gh_writer w = gh_writer_of(ret, GH_QUIC_TOKEN_MAX - GH_AEAD_TAG);
    struct gh_aead_key *key;
    size_t aad_len, len;
    int rc;

    gh_write_u8(&w, kind);
    gh_write_u8(&w, (uint8_t)(wall / DAY));
    if (t->random.fill(t->random.arg, ret + 2, SALT) < 0)
        return GH_ERR_CRYPTO;
    w.at += SALT;
    gh_write_u64(&w, (uint64_t)wall);
    if (original)
        gh_write_bytes(&w, original->data, original->len);
    if (w.failed || derive(t, wall / DAY, ret + 2, true, &key, iv) < 0)
        return GH_ERR_CRYPTO;
    len = gh_writer_len(&w);
    aad_len = binding(ret, remote, scid, aad);
    rc = gh_aead_seal(key, ret + HEAD, gh_span_of(ret + HEAD, len - HEAD), iv, gh_span_of(aad, aad_len));
    gh_aead_key_destroy(key);
    return rc < 0 ? rc : (int)len + GH_AEAD_TAG;
}

int gh_quic_token_retry(const struct gh_quic_tokens *t, const struct gh_quic_initial *first, const struct gh_quic_cid *scid,
                        const struct gh_quic_addr *remote, int64_t wall, uint8_t *ret)
{
    return seal(t, KIND_RETRY, wall, remote, scid, &first->dcid, ret);
}

int gh_quic_token_new(const struct gh_quic_tokens *t, const struct gh_quic_addr *remote, int64_t wall, uint8_t *ret)
{
    return seal(t, KIND_NEW, wall, remote, NULL, NULL, ret);
}

/* Count of bytes in <ret>, or an error: the token is not ours, not from there, or older than two days. */
static int unseal(const struct gh_quic_tokens *t, struct gh_span token, const struct gh_quic_addr *remote, const struct gh_quic_cid *scid,
                  int64_t wall, uint8_t ret[GH_QUIC_TOKEN_MAX])
{
    struct gh_span sealed = gh_span_of(token.data + HEAD, token.len - HEAD);
    uint8_t iv[GH_AEAD_IV], aad[64];
    size_t aad_len = binding(token.data, remote, scid, aad);
    int64_t day = wall / DAY;
    struct gh_aead_key *key;
    int rc;

    if (token.data[1] != (uint8_t)day)
        day--;
    if (token.data[1] != (uint8_t)day)
        return GH_ERR_DENIED;
    rc = derive(t, day, token.data + 2, false, &key, iv);
    if (rc < 0)
        return rc;
    rc = gh_aead_open(key, ret, sealed, iv, gh_span_of(aad, aad_len));
    gh_aead_key_destroy(key);
    return rc < 0 ? rc : (int)(sealed.len - GH_AEAD_TAG);
}

int gh_quic_token_check(const struct gh_quic_tokens *t, struct gh_quic_initial *first, const struct gh_quic_addr *remote, int64_t wall)
{
    uint8_t plain[GH_QUIC_TOKEN_MAX];
    struct gh_span token = first->token;
    bool retry = token.len && token.data[0] == KIND_RETRY;
    int refusal = retry ? GH_ERR_DENIED : 0, len;
    struct gh_reader r;
    int64_t age;

    first->proof = GH_QUIC_PROOF_NONE;
    if (token.len < HEAD + 8 + GH_AEAD_TAG || token.len > GH_QUIC_TOKEN_MAX || (!retry && token.data[0] != KIND_NEW))
        return 0; /* another server's, perhaps */
    len = unseal(t, token, remote, retry ? &first->dcid : NULL, wall, plain);
    if (len < 0)
        return refusal;
    r = gh_reader_of(gh_span_of(plain, (size_t)len));
    age = wall - (int64_t)gh_read_u64(&r);
    if (age < 0 || age > (retry ? GH_QUIC_RETRY_LIFE : GH_QUIC_TOKEN_LIFE))
        return refusal;
    if (retry) {
        if (gh_reader_left(&r) > GH_QUIC_CID_MAX)
            return GH_ERR_DENIED;
        first->original.len = (uint8_t)gh_reader_left(&r);
        gh_read_bytes(&r, first->original.data, first->original.len);
    }
    first->proof = retry ? GH_QUIC_PROOF_RETRY : GH_QUIC_PROOF_TOKEN;
    return 0;
}
