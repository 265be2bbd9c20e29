/* proto/quic/keep_alive.h - whose turn it is to break a silence
 *
 * Two ends that keep a connection alive after the same pause do it at the same time: four packets where two would do. And who only
 * acknowledges for longer than a round trip asks for an acknowledgement himself (the library adds a PING, lest it is never known that such packets
 * arrive): three. What comes last before a silence is an acknowledgement; so whoever sent it goes on, with something that is acknowledged, and the other one
 * waits a little longer, a server longer than a client, so that it is clear who goes on when their last packets crossed.
 */
#ifndef GH_PROTO_QUIC_KEEP_ALIVE_H
#define GH_PROTO_QUIC_KEEP_ALIVE_H

#include <stdbool.h>
#include <stdint.h>

struct gh_quic_keep_alive {
    int64_t pause; /* ns; 0: silences are nothing to us */
    bool server;
    bool heard; /* the last packet came from the peer */
};

/* A packet came from the peer, or went to it. True when gh_quic_keep_alive_pause says something else now. */
static inline bool gh_quic_keep_alive_on_packet(struct gh_quic_keep_alive *k, bool heard)
{
    bool changed = k->heard != heard;

    k->heard = heard;
    return changed && k->pause > 0;
}

/* How long we bear with silence from the last packet on; 0: for ever. <idle_timeout> is the connection's, 0 for none: well before it in any case. */
int64_t gh_quic_keep_alive_pause(const struct gh_quic_keep_alive *k, int64_t idle_timeout);

#endif
