/* services/agent/agent_opener.h - mode proxy: tunnels to single hosts (agent_opener.c)
 *
 * One stays on the connection that it was opened on, also when another one carries from then on; a connection that does not carry any more ends with the
 * last of them.
 */
#ifndef GH_SERVICES_AGENT_AGENT_OPENER_H
#define GH_SERVICES_AGENT_AGENT_OPENER_H

#include "base/list.h"
#include "core/text.h"
#include "ports/tunnel_opener.h"

struct agent;

/* The agent's own; empty with mode tun. */
struct agent_opener {
    struct gh_port_opener port;
    struct gh_list requests; /* struct agent_request: what is open */
    void (*ready)(void *arg);
    void *ready_arg;
    uint64_t opened[2];      /* so far: CONNECT, CONNECT-UDP */
};

void agent_opener_init(struct agent *a);
/* A connection begins to take requests. */
void agent_opener_ready(struct agent *a);
void agent_opener_emit_status(const struct agent *a, struct gh_text *t);

#endif
