#include "proto/forward/mss.h"

#define OPTION_END 0
#define OPTION_PAD 1
#define OPTION_MSS 2

static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Offset of the option's value in the TCP header, or 0. */
static size_t find_option(const uint8_t *tcp, size_t head)
{
    for (size_t at = 20; at < head;) {
        if (tcp[at] == OPTION_END)
            return 0;
        if (tcp[at] == OPTION_PAD) {
            at++;
            continue;
        }
        if (head - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > head - at)
            return 0;
        if (tcp[at] == OPTION_MSS)
            return tcp[at + 1] == 4 ? at + 2 : 0;
        at += tcp[at + 1];
    }
    return 0;
}

/* Writes <mss> at <at>; an odd offset touches two words of the sum. */
static void store_option(uint8_t *tcp, size_t at, uint16_t mss, bool partial)
{
    size_t even = at & ~(size_t)1;
    uint16_t first = load16(tcp + even), second = at & 1 ? load16(tcp + even + 2) : 0, check = load16(tcp + 16);

    store16(tcp + at, mss);
    if (partial)
        return;
    check = gh_ip_checksum_update(check, first, load16(tcp + even));
    if (at & 1)
        check = gh_ip_checksum_update(check, second, load16(tcp + even + 2));
    store16(tcp + 16, check);
}

bool gh_mss_clamp(uint8_t *packet, const struct gh_ip_packet *p, size_t mtu, bool partial)
{
    size_t around = p->version == 4 ? 40 : 60, at;
    uint8_t *tcp = packet + p->l4_off;

    if (p->protocol != GH_IP_TCP || !(p->tcp_flags & GH_TCP_SYN) || (p->fragment && p->frag_off > 0) || mtu <= around)
        return false;
    at = find_option(tcp, (size_t)(tcp[12] >> 4) * 4);
    if (at == 0 || load16(tcp + at) <= mtu - around)
        return false;
    store_option(tcp, at, (uint16_t)(mtu - around), partial);
    return true;
}
