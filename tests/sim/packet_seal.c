#include "packet_seal.h"

#include <stdlib.h>
#include <string.h>

int packet_keys_derive(struct packet_keys *k, const struct gh_aead_suite *suite, const uint8_t *secret)
{
    *k = (struct packet_keys){ 0 };
    return gh_aead_key_derive(suite, secret, true, &k->key, k->iv, &k->header);
}

void packet_keys_fini(struct packet_keys *k)
{
    gh_aead_key_destroy(k->key);
    gh_header_key_destroy(k->header);
}

size_t packet_seal(const struct packet_keys *k, uint8_t *packet, size_t head, uint32_t number, struct gh_span frames)
{
    bool is_long = packet[0] & 0x80;
    uint8_t nonce[GH_AEAD_IV], mask[5];

    memcpy(nonce, k->iv, sizeof nonce);
    for (size_t i = 0; i < 4; i++) {
        packet[head - 1 - i] = (uint8_t)(number >> 8 * i);
        nonce[GH_AEAD_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    }
    /* the sample begins four bytes behind the number's start */
    if (gh_aead_seal(k->key, packet + head, frames, nonce, gh_span_of(packet, head)) < 0 || gh_header_mask(k->header, mask, packet + head) < 0)
        abort();
    packet[0] ^= mask[0] & (is_long ? 0x0f : 0x1f);
    for (size_t i = 0; i < 4; i++)
        packet[head - 4 + i] ^= mask[1 + i];
    return head + frames.len + GH_AEAD_TAG;
}
