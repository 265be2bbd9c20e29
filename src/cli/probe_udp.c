#include "cli/probe_udp.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/probe_seen.h"
#include "crypto/aead.h"

#define NUMBER 2u /* bytes of a packet number of ours */
#define VERSIONS 16u
#define SAMPLE_AT 4u /* behind the start of the number (RFC 9001, section 5.4.2) */

/* Keys of one direction of Initial packets. */
struct keys {
    struct gh_aead_key *key;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
};

static void keys_fini(struct keys *k)
{
    gh_aead_key_destroy(k->key);
    gh_header_key_destroy(k->header);
}

static int keys_init(const uint8_t id[GH_PROBE_ID], bool client, struct keys *ret)
{
    uint8_t secrets[2][32];
    int rc = gh_aead_initial_secrets(gh_span_of(id, GH_PROBE_ID), secrets[0], secrets[1]);

    *ret = (struct keys){ .key = NULL };
    return rc < 0 ? rc : gh_aead_key_derive(gh_aead_suite_initial(GH_AEAD_OPENSSL), secrets[!client], client, &ret->key, ret->iv, &ret->header);
}

/* ---- out ---- */

int gh_probe_udp_seal(const uint8_t id[GH_PROBE_ID], struct gh_span frames, size_t size, uint8_t ret[GH_PROBE_DATAGRAM])
{
    struct gh_writer w = gh_writer_of(ret, GH_PROBE_DATAGRAM);
    struct keys k = { .key = NULL };
    uint8_t text[GH_PROBE_DATAGRAM] = { 0 }, mask[5];
    size_t head, len;
    int rc;

    gh_write_u8(&w, 0xc0 | (NUMBER - 1));
    gh_write_u32(&w, 1);
    gh_write_u8(&w, GH_PROBE_ID);
    gh_write_bytes(&w, id, GH_PROBE_ID);
    gh_write_u8(&w, GH_PROBE_ID);
    gh_write_bytes(&w, GH_PROBE_SOURCE_ID, GH_PROBE_ID);
    gh_write_u8(&w, 0); /* no token */
    head = gh_writer_len(&w) + 2 + NUMBER;
    len = frames.len > SAMPLE_AT ? frames.len : SAMPLE_AT;
    if (head + len + GH_AEAD_TAG < size)
        len = size - head - GH_AEAD_TAG;
    if (head + len + GH_AEAD_TAG > GH_PROBE_DATAGRAM)
        return GH_ERR_TOO_LONG;
    gh_write_u16(&w, (uint16_t)(0x4000 | (NUMBER + len + GH_AEAD_TAG)));
    gh_write_u16(&w, 0); /* the number */
    memcpy(text, frames.data, frames.len);
    rc = keys_init(id, true, &k);
    if (rc == 0)
        rc = gh_aead_seal(k.key, ret + head, gh_span_of(text, len), k.iv, gh_span_of(ret, head));
    if (rc == 0)
        rc = gh_header_mask(k.header, mask, ret + head - NUMBER + SAMPLE_AT);
    keys_fini(&k);
    if (rc < 0)
        return GH_ERR_CRYPTO;
    ret[0] ^= mask[0] & 0x0f;
    for (size_t i = 0; i < NUMBER; i++)
        ret[head - NUMBER + i] ^= mask[1 + i];
    return (int)(head + len + GH_AEAD_TAG);
}

/* ---- in ---- */

static int compare_versions(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* In no order: some servers put a reserved one anywhere (RFC 9000, section 15). */
static void describe_versions(struct gh_reader *r, struct gh_text *out)
{
    uint32_t versions[VERSIONS];
    unsigned count = 0, reserved = 0;

    while (count < VERSIONS && gh_reader_left(r) >= 4) {
        versions[count] = gh_read_u32(r);
        if ((versions[count] & 0x0f0f0f0f) == 0x0a0a0a0a)
            reserved++;
        else
            count++;
    }
    qsort(versions, count, sizeof *versions, compare_versions);
    gh_text_append(out, "version negotiation(");
    for (unsigned i = 0; i < count; i++)
        gh_text_printf(out, "%s%08x", i ? " " : "", versions[i]);
    gh_text_printf(out, "%s)", reserved ? " and a reserved one" : "");
}

static void describe_close(struct gh_reader *r, struct gh_text *out)
{
    uint64_t code = gh_read_varint(r);

    gh_text_printf(out, " close(0x%llx, frame 0x%llx)", (unsigned long long)code, (unsigned long long)gh_read_varint(r));
}

static void skip_ack(struct gh_reader *r)
{
    uint64_t ranges;

    gh_read_varint(r);
    gh_read_varint(r);
    ranges = gh_read_varint(r);
    gh_read_varint(r);
    for (uint64_t i = 0; i < 2 * ranges && !r->failed; i++)
        gh_read_varint(r);
}

/* Frames that an Initial packet may have (RFC 9000, section 17.2.2). */
static void describe_frames(struct gh_span payload, struct gh_text *out)
{
    struct gh_reader r = gh_reader_of(payload);

    while (gh_reader_left(&r)) {
        uint64_t type = gh_read_varint(&r);

        if (type <= 1)
            continue;
        if (type == 2) {
            skip_ack(&r);
        } else if (type == 6) {
            uint64_t offset = gh_read_varint(&r), len = gh_read_varint(&r);
            struct gh_span data = gh_read_span(&r, len < gh_reader_left(&r) ? (size_t)len : gh_reader_left(&r));

            if (offset == 0)
                gh_probe_describe_messages(data, out);
        } else if (type == 0x1c) {
            describe_close(&r, out);
            return; /* words may have ids in them */
        } else {
            gh_text_printf(out, " frame(%llu)", (unsigned long long)type);
            return;
        }
    }
}

/* <number_at>: where the packet number begins. */
static void describe_sealed(struct gh_span packet, size_t number_at, const uint8_t id[GH_PROBE_ID], struct gh_text *out)
{
    uint8_t copy[2048], mask[5], nonce[GH_AEAD_IV];
    size_t number_len, head;
    struct keys k = { .key = NULL };

    if (packet.len > sizeof copy || packet.len < number_at + SAMPLE_AT + 16 || keys_init(id, false, &k) < 0 ||
        gh_header_mask(k.header, mask, packet.data + number_at + SAMPLE_AT) < 0) {
        keys_fini(&k);
        return;
    }
    memcpy(copy, packet.data, packet.len);
    copy[0] ^= mask[0] & 0x0f;
    number_len = (copy[0] & 3u) + 1;
    head = number_at + number_len;
    memcpy(nonce, k.iv, sizeof nonce);
    for (size_t i = 0; i < number_len; i++) { /* none is so large that its first bytes would be missing */
        copy[number_at + i] ^= mask[1 + i];
        nonce[GH_AEAD_IV - number_len + i] ^= copy[number_at + i];
    }
    if (gh_aead_open(k.key, copy + head, gh_span_of(copy + head, packet.len - head), nonce, gh_span_of(copy, head)) == 0)
        describe_frames(gh_span_of(copy + head, packet.len - head - GH_AEAD_TAG), out);
    else
        gh_text_append(out, " that cannot be opened");
    keys_fini(&k);
}

void gh_probe_udp_describe(struct gh_span datagram, const uint8_t id[GH_PROBE_ID], struct gh_text *out)
{
    struct gh_reader r = gh_reader_of(datagram);
    uint8_t first = gh_read_u8(&r);
    uint32_t version = gh_read_u32(&r);
    struct gh_span to, from;
    uint64_t len;

    if (!(first & 0x80)) {
        gh_text_append(out, "short header"); /* sealed, and of any length */
        return;
    }
    to = gh_read_span(&r, gh_read_u8(&r));
    from = gh_read_span(&r, gh_read_u8(&r));
    if (r.failed) {
        gh_text_printf(out, "malformed(%zu)", datagram.len);
    } else if (version == 0) {
        describe_versions(&r, out);
    } else if ((first >> 4 & 3) != 0) {
        gh_text_printf(out, "%s(%zu)", (first >> 4 & 3) == 3 ? "retry" : (first >> 4 & 3) == 2 ? "handshake" : "0-rtt", datagram.len);
    } else {
        gh_read_span(&r, (size_t)gh_read_varint(&r));
        len = gh_read_varint(&r);
        gh_text_printf(out, "initial(%zu, ids of %zu and %zu)", datagram.len, to.len, from.len);
        if (!r.failed && len <= gh_reader_left(&r))
            describe_sealed(gh_span_of(datagram.data, datagram.len - gh_reader_left(&r) + (size_t)len), datagram.len - gh_reader_left(&r), id, out);
    }
}
