/* tests/sim/packet_seal.h - QUIC packets made by hand, protected as their sender would (RFC 9001, section 5) */
#ifndef GH_SIM_PACKET_SEAL_H
#define GH_SIM_PACKET_SEAL_H

#include "crypto/aead.h"

struct packet_keys {
    struct gh_aead_key *key;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
};

/* From the sender's secret. 0 or an error. */
int packet_keys_derive(struct packet_keys *k, const struct gh_aead_suite *suite, const uint8_t *secret);
void packet_keys_fini(struct packet_keys *k);
/* <packet> holds <head> bytes of header as they are before protection, the last four for the packet number, which is written here, and
 * has room for frames and tag behind them; there are at least four bytes of frames, or the packet is not one. The packet's length. */
size_t packet_seal(const struct packet_keys *k, uint8_t *packet, size_t head, uint32_t number, struct gh_span frames);

#endif
