/* net/quic_internal.h - shared by quic_endpoint.c and quic_group.c */
#ifndef GH_NET_QUIC_INTERNAL_H
#define GH_NET_QUIC_INTERNAL_H

#include "net/quic_endpoint.h"

/* The last byte of an id whose first seven are <cid>, for a worker. */
uint8_t gh_quic_group_last_byte(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN], unsigned worker);

#endif
