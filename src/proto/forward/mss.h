/* proto/forward/mss.h - lowering the maximum segment size that a TCP SYN announces */
#ifndef GH_PROTO_FORWARD_MSS_H
#define GH_PROTO_FORWARD_MSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/ip.h"

/* Lowers the option of a SYN or SYN-ACK to what fits <mtu> (less 40 bytes on IPv4, 60 on IPv6), with the checksum;
 * <partial>: the checksum field holds the pseudo-header's sum alone and must stay. True when the packet was changed. */
bool gh_mss_clamp(uint8_t *packet, const struct gh_ip_packet *p, size_t mtu, bool partial);

#endif
