/* services/relay/relay_acceptor.h - what the door of this node gets from the relay, and gives to it */
#ifndef GH_SERVICES_RELAY_RELAY_ACCEPTOR_H
#define GH_SERVICES_RELAY_RELAY_ACCEPTOR_H

struct gh_ech_keys;
struct gh_tls_ctx;
struct relay;

void relay_acceptor_publish(struct relay *r);

/* relay.c */

/* Whoever was here resumes its TLS session, also after a restart. 0, or an error that was logged. */
int relay_give_tickets(struct relay *r, struct gh_tls_ctx *tls);
/* From now on hellos that <keys> open are opened on the relay's own port; NULL: none are. 0, or an error that was logged. */
int relay_open_ech(struct relay *r, const struct gh_ech_keys *keys);

#endif
