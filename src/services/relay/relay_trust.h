/* services/relay/relay_trust.h - by what agents are trusted beyond TLS: names, pins, revocation lists
 *
 * Immutable and shared by a snapshot; a reload makes a new one.
 */
#ifndef GH_SERVICES_RELAY_RELAY_TRUST_H
#define GH_SERVICES_RELAY_RELAY_TRUST_H

#include "crypto/identity.h"
#include "services/relay/relay_internal.h"

struct relay_trust;
/* What the configuration names is read and verified; a fault is logged and noted for the reload. */
int relay_trust_load(struct relay *r, const struct gh_relay_conf *conf, struct relay_trust **ret);
void relay_trust_destroy(void *trust);
/* How a name is read from a certificate; good until the worker returns to its loop. */
struct gh_identity_rules relay_trust_rules(struct relay_worker *rw);
/* May the holder of this certificate, or of this user's token, be served? Every way to a session leads through here: a handshake, full or resumed (<is_new>),
 * a request, and a session or connection that lives on. 0; GH_ERR_TIMEOUT when the certificate has expired, GH_ERR_DENIED when it is
 * revoked, not pinned, or the token of no user any more, with words. */
int relay_trust_judge(struct relay_worker *rw, const struct gh_http_peer *peer, bool is_new, char ret_why[GH_IDENTITY_WHY]);
/* After a change: whoever is no longer accepted is told so and goes, idle or not. */
void relay_trust_apply(struct relay_worker *rw);
/* Metrics, ready check and log of a list that gets out of date. For one worker. */
void relay_trust_watch(struct relay_worker *rw);

#endif
