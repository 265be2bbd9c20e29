/* base/offload.h - what a TUN leaves to the other side: cutting a large packet and finishing a checksum
 *
 * os/tun translates it to and from the kernel's virtio-net header; proto/forward cuts and merges by it.
 */
#ifndef GH_BASE_OFFLOAD_H
#define GH_BASE_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

enum gh_offload_kind {
    GH_OFFLOAD_NONE, /* one packet as it would be on a wire, but see <needs_csum> */
    GH_OFFLOAD_TCP4,
    GH_OFFLOAD_TCP6,
    GH_OFFLOAD_UDP, /* datagrams of one size, the last may be shorter; IPv4 or IPv6 */
};

/* All zero describes a plain, complete packet. */
struct gh_offload {
    uint8_t kind;          /* enum gh_offload_kind */
    bool needs_csum;       /* the checksum field holds the folded sum of the pseudo header only */
    bool csum_valid;       /* the transport checksum has been verified */
    bool ecn;              /* TCP: CWR is set; it belongs to the first segment alone */
    uint16_t segment_size; /* payload bytes of every segment but the last; 0 when <kind> is none */
    uint16_t header_len;   /* IP and transport header; from the kernel it is a hint, never less than real */
    uint16_t csum_start;   /* where the checksummed bytes begin: the transport header */
    uint16_t csum_offset;  /* of the checksum field, from <csum_start> */
};

#endif
