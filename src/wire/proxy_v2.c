#include "wire/proxy_v2.h"

#define TLV_ALPN 0x01
#define TLV_AUTHORITY 0x02
#define TLV_CRC32C 0x03
#define FAMILY_UNIX 3
#define UNIX_LEN 216u /* two paths of 108 */

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static struct gh_ip mapped(const struct gh_ip *a)
{
    uint8_t bytes[16] = { [10] = 0xff, [11] = 0xff };

    if (a->family != 4)
        return *a;
    memcpy(bytes + 12, a->bytes, 4);
    return gh_ip_v6(bytes);
}

static void emit_tlv(struct gh_writer *w, uint8_t type, struct gh_span value)
{
    if (value.len == 0)
        return;
    gh_write_u8(w, type);
    gh_write_u16(w, (uint16_t)value.len);
    gh_write_span(w, value);
}

int gh_proxy_v2_emit(struct gh_writer *w, const struct gh_proxy_v2 *p)
{
    bool known = !p->local && p->source.family && p->destination.family, six = p->source.family == 6 || p->destination.family == 6;
    struct gh_ip source = six ? mapped(&p->source) : p->source, destination = six ? mapped(&p->destination) : p->destination;
    size_t addresses = !known ? 0 : six ? 36 : 12, tlvs = 0;

    if (p->alpn.len > 255 || p->authority.len > 255)
        return GH_ERR_RANGE;
    tlvs += p->alpn.len ? 3 + p->alpn.len : 0;
    tlvs += p->authority.len ? 3 + p->authority.len : 0;
    gh_write_bytes(w, signature, sizeof signature);
    gh_write_u8(w, p->local ? 0x20 : 0x21);
    gh_write_u8(w, (uint8_t)(!known ? 0 : (six ? 0x20 : 0x10) | (p->datagram ? 2 : 1)));
    gh_write_u16(w, (uint16_t)(addresses + tlvs));
    if (known) {
        gh_write_bytes(w, source.bytes, gh_ip_len(&source));
        gh_write_bytes(w, destination.bytes, gh_ip_len(&destination));
        gh_write_u16(w, p->source_port);
        gh_write_u16(w, p->destination_port);
    }
    emit_tlv(w, TLV_ALPN, p->alpn);
    emit_tlv(w, TLV_AUTHORITY, p->authority);
    return 0;
}

static struct gh_ip read_ip(struct gh_reader *r, unsigned family)
{
    uint8_t bytes[16];

    gh_read_bytes(r, bytes, family == 2 ? 16 : 4);
    return family == 2 ? gh_ip_v6(bytes) : gh_ip_v4(bytes);
}

/* The CRC-32C of RFC 3720, section 12.1, over a header in which the four bytes at <skip> count as zero. */
static uint32_t checksum(struct gh_span header, size_t skip)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < header.len; i++) {
        crc ^= i - skip < 4 ? 0 : header.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static int read_tlvs(struct gh_reader *r, struct gh_span header, struct gh_proxy_v2 *p)
{
    while (gh_reader_left(r) > 0) {
        uint8_t type = gh_read_u8(r);
        struct gh_span value = gh_read_span(r, gh_read_u16(r));

        if (r->failed)
            return GH_ERR_MALFORMED;
        if (type == TLV_ALPN) {
            p->alpn = value;
        } else if (type == TLV_AUTHORITY) {
            p->authority = value;
        } else if (type == TLV_CRC32C) { /* section 2.2.3: whoever can check it must */
            struct gh_reader sum = gh_reader_of(value);

            if (value.len != 4 || gh_read_u32(&sum) != checksum(header, (size_t)(value.data - header.data)))
                return GH_ERR_MALFORMED;
        }
    }
    return 0;
}

/* What follows the sixteen bytes. */
static int read_rest(struct gh_reader *r, struct gh_span header, uint8_t kind, struct gh_proxy_v2 *p)
{
    unsigned family = kind >> 4, protocol = kind & 15;

    if (p->local) /* the whole rest is to be discarded, whatever it says */
        return 0;
    if (family > FAMILY_UNIX || protocol > 2)
        return GH_ERR_MALFORMED; /* section 2.2: other values are reserved */
    if (family == 0 || protocol == 0) /* nothing is said about addresses, and nothing has to follow */
        return 0;
    p->datagram = protocol == 2;
    if (family == FAMILY_UNIX) {
        gh_read_span(r, UNIX_LEN);
    } else {
        p->source = read_ip(r, family);
        p->destination = read_ip(r, family);
        p->source_port = gh_read_u16(r);
        p->destination_port = gh_read_u16(r);
    }
    return r->failed ? GH_ERR_MALFORMED : read_tlvs(r, header, p);
}

int gh_proxy_v2_parse(struct gh_span in, struct gh_proxy_v2 *ret, size_t *ret_len)
{
    size_t begun = in.len < sizeof signature ? in.len : sizeof signature;
    struct gh_reader r = gh_reader_of(in);
    struct gh_proxy_v2 p = { 0 };
    uint8_t command, kind;
    uint16_t len;
    int rc;

    if (begun > 0 && memcmp(in.data, signature, begun) != 0)
        return GH_ERR_UNSUPPORTED;
    if (in.len < GH_PROXY_V2_HEAD)
        return 0;
    gh_read_span(&r, sizeof signature);
    command = gh_read_u8(&r);
    kind = gh_read_u8(&r);
    len = gh_read_u16(&r);
    if (command != 0x20 && command != 0x21)
        return GH_ERR_MALFORMED;
    p.local = command == 0x20;
    if (gh_reader_left(&r) < len)
        return 0;
    r = gh_reader_of(gh_span_of(in.data + GH_PROXY_V2_HEAD, len));
    rc = read_rest(&r, gh_span_of(in.data, GH_PROXY_V2_HEAD + len), kind, &p);
    if (rc < 0)
        return rc;
    *ret = p;
    *ret_len = GH_PROXY_V2_HEAD + len;
    return 1;
}
