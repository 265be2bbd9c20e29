#include "proto/forward/layout.h"

#include "base/error.h"

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define HOP_BY_HOP 0u
#define DESTINATION_OPTIONS 60u
#define TRANSPORT_MAX 512u /* extension headers beyond this are not worth cutting for */

static int parse_ipv4(const uint8_t *p, size_t len, struct gh_layout *l)
{
    size_t header = (size_t)(p[0] & 15) * 4;

    if (len < IPV4_HEADER || header < IPV4_HEADER || header > len)
        return GH_ERR_MALFORMED;
    if (gh_layout_load16(p + 6) & 0x3fff) /* more fragments, or an offset */
        return GH_ERR_UNSUPPORTED;
    l->family = 4;
    l->protocol = p[9];
    l->addresses = 12;
    l->address_len = 4;
    l->transport = (uint16_t)header;
    l->stated_len = gh_layout_load16(p + 2);
    return 0;
}

static int parse_ipv6(const uint8_t *p, size_t len, struct gh_layout *l)
{
    size_t at = IPV6_HEADER;
    uint8_t next;

    if (len < IPV6_HEADER)
        return GH_ERR_MALFORMED;
    next = p[6];
    while (next == HOP_BY_HOP || next == DESTINATION_OPTIONS) {
        if (len - at < 8)
            return GH_ERR_MALFORMED;
        next = p[at];
        at += ((size_t)p[at + 1] + 1) * 8;
        if (at > len)
            return GH_ERR_MALFORMED;
        if (at > TRANSPORT_MAX)
            return GH_ERR_UNSUPPORTED;
    }
    l->family = 6;
    l->protocol = next;
    l->addresses = 8;
    l->address_len = 16;
    l->transport = (uint16_t)at;
    l->stated_len = IPV6_HEADER + (uint32_t)gh_layout_load16(p + 4);
    return 0;
}

int gh_layout_parse(const uint8_t *packet, size_t len, struct gh_layout *ret)
{
    struct gh_layout l = { 0 };
    size_t header;
    int rc;

    if (len == 0)
        return GH_ERR_MALFORMED;
    if (packet[0] >> 4 != 4 && packet[0] >> 4 != 6)
        return GH_ERR_MALFORMED;
    rc = packet[0] >> 4 == 4 ? parse_ipv4(packet, len, &l) : parse_ipv6(packet, len, &l);
    if (rc < 0)
        return rc;
    if (l.protocol == GH_LAYOUT_TCP) {
        if (len - l.transport < TCP_HEADER)
            return GH_ERR_MALFORMED;
        header = (size_t)(packet[l.transport + 12] >> 4) * 4;
        if (header < TCP_HEADER)
            return GH_ERR_MALFORMED;
        l.checksum = (uint16_t)(l.transport + GH_TCP_CHECKSUM);
    } else if (l.protocol == GH_LAYOUT_UDP) {
        header = UDP_HEADER;
        l.checksum = (uint16_t)(l.transport + GH_UDP_CHECKSUM);
    } else {
        return GH_ERR_UNSUPPORTED;
    }
    if (len - l.transport < header)
        return GH_ERR_MALFORMED;
    l.header_len = (uint16_t)(l.transport + header);
    *ret = l;
    return 0;
}
