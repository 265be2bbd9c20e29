#include "proto/forward/segment.h"

#include "base/error.h"
#include "proto/forward/checksum.h"

#define IP_LENGTH_MAX 65535u

static bool kind_fits(const struct gh_offload *o, const struct gh_layout *l)
{
    switch (o->kind) {
    case GH_OFFLOAD_TCP4:
        return l->family == 4 && l->protocol == GH_LAYOUT_TCP;
    case GH_OFFLOAD_TCP6:
        return l->family == 6 && l->protocol == GH_LAYOUT_TCP;
    case GH_OFFLOAD_UDP:
        return l->protocol == GH_LAYOUT_UDP;
    default:
        return false;
    }
}

static int init_whole(struct gh_segment *it, const struct gh_offload *o)
{
    if (o->needs_csum) {
        if (o->csum_start >= it->len)
            return GH_ERR_MALFORMED;
        if (gh_checksum_complete(it->packet + o->csum_start, it->len - o->csum_start, o->csum_offset) < 0)
            return GH_ERR_MALFORMED;
    }
    it->whole = true;
    return 0;
}

int gh_segment_init(struct gh_segment *it, uint8_t *packet, size_t len, const struct gh_offload *o)
{
    const struct gh_layout *l = &it->layout;
    int rc;

    it->packet = packet;
    it->len = len;
    it->number = 0;
    it->whole = it->done = false;
    if (len == 0)
        return GH_ERR_MALFORMED;
    if (o->kind == GH_OFFLOAD_NONE)
        return init_whole(it, o);
    rc = gh_layout_parse(packet, len, &it->layout);
    if (rc < 0)
        return rc;
    if (!kind_fits(o, l) || (o->needs_csum && (o->csum_start != l->transport || o->csum_start + o->csum_offset != l->checksum)))
        return GH_ERR_MALFORMED;
    if (o->segment_size == 0 || l->header_len + (size_t)o->segment_size > IP_LENGTH_MAX || l->header_len > sizeof it->header)
        return GH_ERR_MALFORMED;
    it->at = l->header_len;
    it->size = o->segment_size;
    it->address_sum = gh_checksum_pseudo(packet + l->addresses, l->address_len, l->protocol, 0);
    memcpy(it->header, packet, l->header_len);
    memset(it->header + l->checksum, 0, 2);
    if (l->family == 4)
        memset(it->header + 10, 0, 2);
    return 0;
}

size_t gh_segment_count(const struct gh_segment *it)
{
    size_t payload;

    if (it->whole || it->len == it->layout.header_len)
        return 1;
    payload = it->len - it->layout.header_len;
    return (payload + it->size - 1) / it->size;
}

static void write_ip(const struct gh_segment *it, uint8_t *p, size_t len)
{
    if (it->layout.family == 6) {
        gh_layout_store16(p + 4, (uint32_t)len - 40);
        return;
    }
    gh_layout_store16(p + 2, (uint32_t)len);
    gh_layout_store16(p + 4, gh_layout_load16(it->header + 4) + it->number);
    gh_checksum_store(p + 10, gh_checksum_add_scalar(0, p, it->layout.transport), false);
}

static void write_transport(const struct gh_segment *it, uint8_t *p, size_t len, bool last)
{
    const struct gh_layout *l = &it->layout;
    uint8_t *transport = p + l->transport;
    uint32_t transport_len = (uint32_t)(len - l->transport);

    if (l->protocol == GH_LAYOUT_UDP) {
        gh_layout_store16(transport + GH_UDP_LENGTH, transport_len);
    } else {
        gh_layout_store32(transport + GH_TCP_SEQ,
                          gh_layout_load32(it->header + l->transport + GH_TCP_SEQ) + it->number * (uint32_t)it->size);
        if (!last)
            transport[GH_TCP_FLAGS] &= (uint8_t) ~(GH_TCP_FIN | GH_TCP_PSH);
        if (it->number > 0) /* the window was reduced once (RFC 3168, section 6.1.2) */
            transport[GH_TCP_FLAGS] &= (uint8_t)~GH_TCP_CWR;
    }
    gh_checksum_store(p + l->checksum,
                      gh_checksum_add(gh_checksum_number(it->address_sum, transport_len), transport, transport_len),
                      l->protocol == GH_LAYOUT_UDP);
}

int gh_segment_next(struct gh_segment *it, struct gh_span *ret)
{
    size_t payload, len;
    uint8_t *p;

    if (it->done)
        return 0;
    if (it->whole) {
        it->done = true;
        *ret = gh_span_of(it->packet, it->len);
        return 1;
    }
    payload = it->len - it->at < it->size ? it->len - it->at : it->size;
    len = it->layout.header_len + payload;
    p = it->packet + it->at - it->layout.header_len;
    memcpy(p, it->header, it->layout.header_len);
    it->at += payload;
    it->done = it->at == it->len;
    write_ip(it, p, len);
    write_transport(it, p, len, it->done);
    it->number++;
    *ret = gh_span_of(p, len);
    return 1;
}
