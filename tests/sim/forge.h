/* tests/sim/forge.h - 1-RTT packets made by hand, in the name of either end (RFC 9000, section 17.3.1; RFC 9001, section 5)
 *
 * The program is linked with --wrap=ngtcp2_conn_install_tx_key: traffic secrets are seen when they are installed. The end that is
 * imitated gets acknowledgements of what it never sent, and does not forgive that: cut it off when the other one shall live.
 */
#ifndef GH_SIM_FORGE_H
#define GH_SIM_FORGE_H

#include "sim.h"

struct forge {
    struct gh_quic_cid to[2]; /* the ids that packets of client and server go to, read from the wire */
    uint32_t sent;
};

/* Watches the wire from now on. */
void forge_init(struct forge *f, struct sim *s);
/* What forge_init makes of a datagram on the wire, for those who watch it themselves. */
void forge_see(struct forge *f, bool from_server, struct gh_span payload);
/* True when packets can be made in the name of that end. */
bool forge_ready(const struct forge *f, bool as_server);
/* Sends the other end a packet with these frames, with a packet number far ahead of the real one's. */
void forge_send_as(struct forge *f, struct sim *s, bool as_server, struct gh_span frames);
/* In the name of the client. */
void forge_send(struct forge *f, struct sim *s, struct gh_span frames);

#endif
