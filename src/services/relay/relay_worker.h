/* services/relay/relay_worker.h - starting, telling and stopping one worker's part; all on that worker's thread */
#ifndef GH_SERVICES_RELAY_RELAY_WORKER_H
#define GH_SERVICES_RELAY_RELAY_WORKER_H

#include "services/relay/relay_internal.h"

int relay_worker_start(void *state, struct gh_worker *w);
void relay_worker_stop(void *state, struct gh_worker *w);
void relay_worker_goaway(struct relay_worker *rw);
void relay_worker_end_sessions(struct relay_worker *rw, enum session_end why);
void relay_worker_set_tls(struct relay_worker *rw, struct gh_tls_ctx *tls);
/* What a reload may change of an endpoint's limits. */
void relay_worker_set_limits(struct relay_worker *rw, const struct gh_relay_conf *conf);

/* An endpoint on a socket of the door's (ports/tunnel_acceptor.h). */
int relay_worker_open_door(struct relay_worker *rw, struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret);
void relay_worker_close_door(struct relay_worker *rw, struct gh_http_endpoint *endpoint);

#endif
