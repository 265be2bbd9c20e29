/* tests/sim/forge.h - 1-RTT packets made by hand, in the name of the client (RFC 9000, section 17.3.1; RFC 9001, section 5)
 *
 * The program is linked with --wrap=ngtcp2_conn_install_tx_key: the client's traffic secret is seen when it is installed.
 */
#ifndef GH_SIM_FORGE_H
#define GH_SIM_FORGE_H

#include "sim.h"

struct forge {
    struct gh_quic_cid server; /* the id that the client's packets go to, read from the wire */
};

/* Watches the wire from now on. */
void forge_init(struct forge *f, struct sim *s);
/* Sends the server a packet with these frames, with a packet number far ahead of the client's own. */
void forge_send(struct forge *f, struct sim *s, struct gh_span frames);

#endif
